from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef class DecisionRing:
    cdef public bint is_open
    cdef public bint denies
    cdef public bint is_sync
    cdef public unsigned long long epoch
    cdef bint put(
        self, uint32_t session, uint32_t context, int64_t instant, uint64_t revision, uint32_t count, const uint16_t* types, const uint16_t* relations,
        const uint32_t* ids, const uint8_t* codes, const char** texts, const uint32_t* lengths) noexcept
