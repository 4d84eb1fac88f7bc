"""Values of conditions' parameters, and the texts they are read from. Plain structs, immutable once made; any thread may read them.

A context is one allocation: its values, the members of its lists and maps, and the msgpack they were read from, into which texts point.
`value_read` is the one way from msgpack to values of declared types, with OpenFGA's coercions (its package internal/condition/types, on Go's
own parsers). It trusts no byte. What is refused here and accepted there: infinities, binary exponents, numbers out of range (there they are
clamped), years before 1 or after 9999 in UTC, zones of addresses. An IPv4 address mapped into IPv6 is read as the IPv4 address it is.
Callers: runtime/context.pyx, which makes contexts; kernel/program.pyx, which reads values.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp

cdef enum:
    VALUE_MISSING = 0            # not given
    VALUE_BAD                    # given, but not of the declared type
    VALUE_NULL
    VALUE_BOOL
    VALUE_INT
    VALUE_UINT
    VALUE_DOUBLE
    VALUE_STRING
    VALUE_DURATION
    VALUE_TIMESTAMP
    VALUE_IP
    VALUE_LIST
    VALUE_MAP

cdef enum:                       # declared types of parameters
    TYPE_ANY = 0
    TYPE_BOOL
    TYPE_STRING
    TYPE_INT
    TYPE_UINT
    TYPE_DOUBLE
    TYPE_DURATION
    TYPE_TIMESTAMP
    TYPE_IP
    TYPE_LIST
    TYPE_MAP

cdef enum:                       # why a value is refused
    FAULT_NONE = 0
    FAULT_TYPE                   # not of the declared type
    FAULT_RANGE                  # out of the type's range
    FAULT_FINITE                 # NaN or an infinity
    FAULT_NUL                    # a NUL character in a text
    FAULT_UNICODE                # a lone surrogate
    FAULT_DEPTH                  # nested deeper than CONTEXT_DEPTH_MAX
    FAULT_KEY                    # a key of a map that is no text, or twice the same
    FAULT_ZONE                   # a datetime without an offset, or an address with a zone
    FAULT_CODE                   # the object's own code failed
    FAULT_SIZE                   # more bytes than a context may have
    FAULT_DAMAGED                # not the msgpack that we write
    FAULT_MEMORY

cdef enum:
    SECOND = 1000000000          # in nanoseconds
    NUMBER_BYTES_MAX = 1024      # of a number given as text

cdef extern from *:
    """
    #define FGA_TIME_FIRST INT64_C(-62135596800)
    #define FGA_TIME_LAST INT64_C(253402300799)
    """
    const int64_t TIME_FIRST "FGA_TIME_FIRST"    # 0001-01-01T00:00:00Z, in seconds since 1970
    const int64_t TIME_LAST "FGA_TIME_LAST"      # 9999-12-31T23:59:59Z

cdef struct ValueC

cdef union WordC:
    int64_t integer              # BOOL: 0 or 1; INT; DURATION and TIMESTAMP: seconds, of a timestamp since 1970
    uint64_t natural             # UINT; IP: the high half of an IPv6 address
    double real                  # DOUBLE
    const uint8_t* text          # STRING: valid UTF-8 without NUL, not terminated (a text in an expression may hold NUL)
    const ValueC* items          # LIST: the members; MAP: key and value in turn, keys are STRINGs, sorted by their bytes, none twice

cdef struct ValueC:
    uint32_t tag                 # VALUE_*
    uint32_t size                # STRING: bytes; LIST: members; MAP: entries; IP: 4 or 6
    WordC word
    uint64_t low                 # DURATION and TIMESTAMP: nanoseconds, 0 to 999,999,999, added to the seconds; IP: the low half, or all of IPv4

cdef struct ContextC:            # the values of one context for one list of parameters; ONE allocation, immutable, freed with free()
    uint64_t hash                # of raw
    uint32_t signature           # number of the list of parameters
    uint32_t count               # number of values
    uint32_t raw_size
    const uint8_t* raw           # the context as msgpack with sorted keys, in the same allocation. Of a request: size 0
    uint64_t bytes               # of the allocation
    ValueC values[1]             # count of them: MISSING where the context does not have the parameter

cdef struct TypeC:               # the declared type of a parameter
    uint32_t type                # TYPE_*
    uint32_t member              # of LIST and MAP: of what, no LIST or MAP itself

cdef struct ScanC:               # a position in msgpack
    const uint8_t* at
    const uint8_t* end

cdef struct NetworkC:
    ValueC address               # an IP, its host bits 0
    uint32_t bits                # of the prefix


cdef inline bint context_equal(const ContextC* a, const ContextC* b) noexcept nogil:
    """Whether two stored contexts say the same, whatever parameters they were read for; NULL is no context."""
    return a == b or (a != NULL and b != NULL and a.hash == b.hash and a.raw_size == b.raw_size and memcmp(a.raw, b.raw, a.raw_size) == 0)


cdef inline int text_order(const ValueC* a, const ValueC* b) noexcept nogil:
    """Below, at or above 0: two STRINGs by their bytes, which is the order of their characters."""
    cdef int order = memcmp(a.word.text, b.word.text, a.size if a.size < b.size else b.size)
    return order if order else (a.size > b.size) - (a.size < b.size)


cdef const ValueC* map_get(const ValueC* map, const ValueC* key) noexcept nogil
cdef bint item_read(ScanC* scan, ValueC* out) noexcept nogil
cdef bint item_skip(ScanC* scan, uint32_t depth, uint64_t* count) noexcept nogil
cdef int value_read(ScanC* scan, TypeC type, ValueC* out, ValueC** room, const ValueC* room_end, uint32_t depth) noexcept nogil
cdef int value_coerce(ValueC* value, uint32_t type) noexcept nogil
cdef int integer_parse(const uint8_t* text, uint32_t size, bint* negative, uint64_t* out) noexcept nogil
cdef int double_parse(const uint8_t* text, uint32_t size, double* out) noexcept nogil
cdef bint duration_parse(const uint8_t* text, uint32_t size, int64_t* nanos) noexcept nogil
cdef int timestamp_parse(const uint8_t* text, uint32_t size, ValueC* out) noexcept nogil
cdef int ip_parse(const uint8_t* text, uint32_t size, ValueC* out) noexcept nogil
cdef bint network_parse(const uint8_t* text, uint32_t size, NetworkC* out) noexcept nogil
cdef bint network_contains(const NetworkC* network, const ValueC* ip) noexcept nogil
