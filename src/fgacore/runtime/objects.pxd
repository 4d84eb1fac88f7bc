"""ObjectSet: the objects that a list has found, as ids first, and as names when they are asked for."""

from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

from fgacore.kernel.names cimport Names


cdef class ObjectSet:
    cdef Names names
    cdef uint16_t symbol         # of the type
    cdef dict own                # names that only the call knows, by id, or None
    cdef int64_t micros          # the instant
    cdef object roaring
    cdef object rest             # the undetermined, or None
    cdef object array            # the ids
    cdef readonly str subject
    cdef readonly str relation
    cdef readonly str type
    cdef readonly uint64_t revision
    cdef readonly uint64_t generation
    cdef ObjectSet with_ids(self, object ids)
    cdef ObjectSet combined(self, object other, object combine)


cdef ObjectSet object_set(Names names, uint16_t symbol, dict own, object ids, str subject, str relation, str type, uint64_t revision, int64_t micros)
