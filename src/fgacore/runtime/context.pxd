"""Contexts: from what a caller hands over to the values of a condition's parameters, and back.

A context is packed first (msgpack of JSON's kinds; datetimes, timedeltas and addresses as their texts) and then read by kernel/values for the
declared types, so that a context given, one stored and one read again for a newer model come to the same values. Packing runs no code of the
caller's but where there is no other way (a mapping that is no dict, the offset of a datetime); what fails there is the caller's error.
All of it holds the GIL.
"""

from libc.stdint cimport uint8_t, uint32_t

from fgacore.kernel.values cimport ContextC, TypeC, ValueC

cdef class Parameters:
    """An ordered list of names and their types: of one condition, or of all conditions of a model, where a name may have several types.
    Immutable.
    """

    cdef readonly uint32_t signature
    cdef uint32_t count
    cdef bint repeated           # a name is there twice
    cdef tuple names             # count of them
    cdef dict first              # name: its first slot
    cdef TypeC* types            # count of them
    cdef uint32_t* following     # the next slot of the same name; count: none


cdef class Context:
    """Owns a context, for Python code that looks at one."""

    cdef readonly Parameters parameters
    cdef ContextC* c


cdef ContextC* context_stored(Parameters p, object context) except NULL
cdef ContextC* context_reread(Parameters p, const uint8_t* raw, uint32_t raw_size) except NULL
cdef ContextC* context_request(Parameters p, object context) except NULL
cdef str context_fault(Parameters p, uint32_t slot, object context)
cdef object value_object(const ValueC* value)
cdef dict context_unpack(const uint8_t* raw, uint32_t raw_size)
