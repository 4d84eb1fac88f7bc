"""Names: every object name of a store (`ticket:47291`), interned once, with its type and its dense id within that type.

An open-addressing table of 8-byte slots (high hash bits, place of the entry) over a 64-bit hash with a seed of the store's own,
and entries in chunks that never move: id, type, length, text. A look-up touches a slot and an entry, nothing else.
Ids are given in the order of interning, from 0 within each type, and are never reused.
Below what was interned in this process there may lie a frozen base, the names of a snapshot: the same entries in one block, slots of its own, and the
places of all ids, type after type. It is mapped from a file, so no byte of it is trusted: what it has out of its bounds reads as not found.
Thread-safety: `names_find` may run without the GIL beside one writer. The writer publishes a slot after its entry; arrays that grow are replaced,
and the old ones retired with the version in force (memory.pxd). A name found that is younger than the version a reader holds is in none of that version's tables.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from fgacore.kernel.memory cimport PointersC

cdef extern from * nogil:
    """
    #include <stdint.h>
    #include <string.h>
    static inline uint64_t fga_mix(uint64_t a, uint64_t b) {
        __uint128_t p = (__uint128_t)a * b;
        return (uint64_t)p ^ (uint64_t)(p >> 64);
    }
    static inline uint64_t fga_read64(const char *p) { uint64_t v; memcpy(&v, p, 8); return v; }
    static inline uint64_t fga_read32(const char *p) { uint32_t v; memcpy(&v, p, 4); return v; }
    /* Folded multiplication over 16 bytes at a time; seed is four random words of the store, so that chosen names cannot be made to collide. */
    static inline uint64_t fga_hash(const uint64_t *seed, const char *text, uint32_t length) {
        uint64_t a, b, h = seed[0] ^ length;
        uint32_t left = length;
        while (left > 16) {
            h = fga_mix(fga_read64(text) ^ seed[1], fga_read64(text + 8) ^ h);
            text += 16;
            left -= 16;
        }
        if (left >= 8) {
            a = fga_read64(text);
            b = fga_read64(text + left - 8);
        } else if (left >= 4) {
            a = fga_read32(text);
            b = fga_read32(text + left - 4);
        } else if (left > 0) {
            a = ((uint64_t)(unsigned char)text[0] << 16) | ((uint64_t)(unsigned char)text[left >> 1] << 8) | (unsigned char)text[left - 1];
            b = 0;
        } else {
            a = 0;
            b = 0;
        }
        h = fga_mix(a ^ seed[2], b ^ h);
        return fga_mix(h ^ seed[3], seed[1] ^ length);
    }
    static inline uint64_t fga_load_u64(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    static inline void fga_store_u64(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
    static inline void *fga_load_ptr(void *const *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    static inline void fga_store_ptr(void **p, void *v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
    static inline int fga_same(const char *a, const char *b, uint32_t n) {
        while (n >= 8) {
            if (fga_read64(a) != fga_read64(b)) return 0;
            a += 8; b += 8; n -= 8;
        }
        while (n--) if (*a++ != *b++) return 0;
        return 1;
    }
    static inline void fga_prefetch(const void *p) { __builtin_prefetch(p); }
    """
    uint64_t fga_hash(const uint64_t* seed, const char* text, uint32_t length)
    uint64_t fga_load_u64(const uint64_t* p)
    void fga_store_u64(uint64_t* p, uint64_t v)
    void* fga_load_ptr(void** p)
    void fga_store_ptr(void** p, void* v)
    bint fga_same(const char* a, const char* b, uint32_t n)
    void fga_prefetch(const void* p)

cdef enum:
    FIND_MANY = 64               # names that names_find_many takes at once

cdef enum:
    CHUNK_BITS = 15              # a chunk is 2^15 units of 8 bytes
    UNIT = 8
    ID_MAX = 0x7FFFFFFF          # ids of one type; above it lie the ghosts and NONE

cdef struct NameC:               # an entry; the text follows it
    uint32_t id                  # dense, within the type
    uint16_t type                # symbol of the type
    uint16_t length              # of the text, bytes
    # char text[length]

cdef struct SlotsC:              # one allocation: this header, then the slots
    uint64_t mask                # slots - 1
    uint64_t slot[1]             # 0: free; else high 32 bits of the hash << 32 | place of the entry, in units

cdef struct BaseC:               # frozen
    const uint64_t* slots        # slot_count of them, as SlotsC has them: of the hash h the first is at (h's low 32 bits) * slot_count >> 32
    const char* arena            # unit_count units; an entry begins at its place
    const uint32_t* places       # of the ids of type 0, then of type 1, ...
    uint32_t* counts             # by type, type_count of them: ids
    uint32_t* firsts             # by type: where its places begin
    uint64_t unit_count
    uint64_t count               # names
    uint32_t slot_count
    uint32_t type_count

cdef struct NamesC:
    SlotsC* slots                # replaced when it grows
    char** chunks                # replaced when it grows; the chunks stay
    uint64_t seed[4]
    const BaseC* base            # NULL: none


cdef inline const NameC* names_entry(const NamesC* names, uint32_t place) noexcept nogil:
    return <const NameC*>((<char**>fga_load_ptr(<void**>&names.chunks))[place >> CHUNK_BITS] + <uint64_t>(place & ((1 << CHUNK_BITS) - 1)) * UNIT)


cdef inline uint32_t base_slot(const BaseC* base, uint64_t hash) noexcept nogil:
    """The first slot in which a name may be."""
    return <uint32_t>(<uint64_t><uint32_t>hash * base.slot_count >> 32)


cdef inline const NameC* base_entry(const BaseC* base, uint32_t place) noexcept nogil:
    """The entry at a place, NULL where there cannot be one: it lies in the arena, text included, and its id is one of its type."""
    cdef const NameC* entry
    if place >= base.unit_count:
        return NULL
    entry = <const NameC*>(base.arena + <uint64_t>place * UNIT)
    if sizeof(NameC) + entry.length > (base.unit_count - place) * UNIT or entry.type >= base.type_count or entry.id >= base.counts[entry.type]:
        return NULL
    return entry


cdef void base_free(BaseC* base) noexcept
cdef const NameC* base_find(const BaseC* base, uint64_t hash, const char* text, uint32_t length) noexcept nogil
cdef const NameC* base_of(const BaseC* base, uint16_t type, uint32_t id) noexcept nogil


cdef inline const NameC* names_find(const NamesC* names, const char* text, uint32_t length) noexcept nogil:
    """The entry of a name, or NULL."""
    cdef uint64_t hash = fga_hash(names.seed, text, length)
    cdef SlotsC* slots = <SlotsC*>fga_load_ptr(<void**>&names.slots)
    cdef uint64_t at = hash & slots.mask, slot
    cdef const NameC* entry
    while True:
        slot = fga_load_u64(&slots.slot[at])
        if slot == 0:
            return base_find(names.base, hash, text, length) if names.base != NULL else NULL
        if (slot ^ hash) >> 32 == 0:
            entry = names_entry(names, <uint32_t>slot)
            if entry.length == length and fga_same(<const char*>(entry + 1), text, length):
                return entry
        at = (at + 1) & slots.mask


cdef void names_find_many(const NamesC* names, const char** texts, const uint32_t* lengths, uint32_t count, const NameC** entries) noexcept nogil


cdef class Names:
    cdef NamesC c
    cdef readonly uint64_t generation    # of the store: another one numbers the ids anew
    cdef readonly bytes store    # identity of the store, 16 bytes. Ids mean the same in all names of one store and generation
    cdef PointersC retired       # replaced arrays, for the next version to take along
    cdef object mapping          # what keeps the memory of the base
    cdef uint64_t count          # names, those of the base included
    cdef uint32_t chunk_count
    cdef uint32_t chunk_capacity
    cdef uint32_t used           # units used of the last chunk
    cdef uint32_t** places       # for each type: dense id, less the ids of the base, to place; places_room[type] of room
    cdef uint32_t* places_count  # ids, those of the base included
    cdef uint32_t* places_room
    cdef uint32_t* settled       # ids that the newest version knows: those beyond it may be taken back
    cdef uint32_t type_count
    cdef int add_chunk(self) except -1
    cdef int grow_slots(self) except -1
    cdef int add_types(self, uint32_t count) except -1
    cdef const NameC* intern(self, const char* text, uint32_t length, uint16_t type) except NULL
    cdef int lay_base(self, BaseC* base, object mapping) except -1
    cdef object decoded(self, const NameC* entry, uint32_t skip)
    cdef void settle(self) noexcept
    cdef const NameC* of(self, uint16_t type, uint32_t id) noexcept nogil


cdef inline uint32_t base_count(const BaseC* base, uint32_t type) noexcept nogil:
    """Number of a base's ids of a type; 0 where there is no base."""
    return base.counts[type] if base != NULL and type < base.type_count else 0


cdef inline uint32_t names_count(Names names, uint16_t type) noexcept:
    """Number of names of a type; its ids are below it. Under the GIL."""
    return names.places_count[type] if type < names.type_count else 0


cdef inline uint32_t names_settled(Names names, uint16_t type) noexcept:
    """The same without those that a write under way has brought. Under the GIL."""
    return names.settled[type] if type < names.type_count else 0
