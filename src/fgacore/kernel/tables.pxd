"""Tables: for each object the set of its subjects, for each subject the set of its objects; and versions of all of them.

A table holds the tuples of one (object type, relation, kind of subject, condition), as two sides (side.pxd).
A Version is an immutable state of all tables. It is pinned by holding the object; its blocks live as long as it does. Versions form a chain:
each keeps what the next one replaced, and keeps the next one alive. A private version, of one call, is outside the chain.
A version has the names by which its ids are read: whoever takes it reads its names, not the store's, which another generation may have replaced.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from fgacore.kernel.grants cimport GrantC
from fgacore.kernel.memory cimport EditC, PointersC
from fgacore.kernel.names cimport Names
from fgacore.kernel.side cimport SideC
from fgacore.kernel.values cimport ContextC

cdef struct TableC:
    uint64_t stamp
    SideC forward                # object id to subject ids
    SideC reverse                # subject id to object ids
    void* grants                 # contexts and expiries: grants.pxd
    uint64_t tuple_count
    uint64_t delta_tuples        # changes since the last merge


cdef class Version:
    cdef TableC** tables         # table_count of them, by table id
    cdef uint32_t table_count
    cdef readonly Names names    # of its ids, and of later ones; where a base is mapped, they keep the mapping
    cdef readonly uint64_t revision
    cdef readonly uint64_t structural  # serial of the newest version, up to this one, that changed a userset, wildcard or parent table
    cdef readonly uint64_t serial    # of this state in this process; grows, never reused: also the stamp of its edit
    cdef PointersC retired       # what the next version replaced
    cdef Version next            # the version after this one: it must outlive this one's retired blocks
    cdef EditC own               # of a private version: its blocks, which go with it,
    cdef Version base            # and the version that it lies above
    @staticmethod
    cdef Version empty(uint64_t serial, Names names)
    cdef bint has(self, uint32_t table, uint32_t object, uint32_t subject) noexcept nogil
    cdef const GrantC* grant(self, uint32_t table, uint32_t object, uint32_t subject) noexcept nogil


cdef class Edit:
    cdef EditC c
    cdef Version before
    cdef TableC** tables
    cdef uint32_t table_count
    cdef readonly bint changed   # a tuple was added or removed, or what is stored with one was said
    cdef TableC* table_own(self, uint32_t table) except NULL
    cdef bint has(self, uint32_t table, uint32_t object, uint32_t subject) noexcept nogil
    cdef const GrantC* grant_of(self, uint32_t table, uint32_t object, uint32_t subject) noexcept nogil
    cdef int add(self, uint32_t table, uint32_t object, uint32_t subject) except -1
    cdef int remove(self, uint32_t table, uint32_t object, uint32_t subject) except -1
    cdef int grant(self, uint32_t table, uint32_t object, uint32_t subject, int64_t expires, const ContextC* context) except -1
    cdef int add_many(self, uint32_t table, uint64_t* by_object, uint64_t* by_subject, size_t count) except -1
    cdef int merge(self, uint32_t table) except -1
    cdef int settle(self, uint32_t table) except -1
    cdef Version publish(self, uint64_t revision, bint structural)
    @staticmethod
    cdef Edit private(Version before, uint32_t table_count)
    cdef Version publish_private(self)
