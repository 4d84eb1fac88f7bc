"""Sets of ids as the kernel reads them: three forms behind one small struct, none of them owned here.

A run is a sorted array of uint32. A roaring set is a bitmap in its portable serialized form, read in place; its bytes may come from a file,
so every read of them is bounds-checked and damage reads as absence (open-time checks report it). A chunked set is a directory of containers,
the form in which a large set is edited: a change copies one container, never the set.
All functions are pure readers: any number of threads may use them beside a writer, which never changes a published set.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    RUN = 0
    ROARING = 1
    CHUNKED = 2

cdef enum:
    RUN_MAX = 256                # members; above it a set is stored as a roaring bitmap (two bytes a member instead of four)
    ARRAY_MAX = 4096             # members of an array container; above it a container is a bitmap (the roaring format's own bound)
    BITMAP_BYTES = 8192

cdef enum:
    CONTAINER_ARRAY = 0
    CONTAINER_BITMAP = 1
    CONTAINER_RUNS = 2           # only in bytes that others wrote; ours are never run-length encoded

cdef extern from *:
    """
    #define FGA_NONE 0xFFFFFFFFu
    #define FGA_GHOST 0xFFFFFFFEu
    """
    const uint32_t NONE "FGA_NONE"    # the id of no name: equals nothing, itself included
    const uint32_t GHOST "FGA_GHOST"  # an object that nothing mentions, asked for its own userset: in no table, equal to itself

cdef struct SetC:
    const void* data             # RUN: uint32_t[count]; ROARING: the bytes; CHUNKED: ChunkC[chunk_count]
    uint32_t count               # members
    uint32_t form                # RUN, ROARING or CHUNKED
    uint32_t size                # ROARING: bytes; CHUNKED: number of chunks; RUN: unused

cdef struct ContainerC:
    const uint8_t* data          # uint16_t values, 8,192 bytes of bits, or (start, length - 1) pairs of uint16_t
    uint32_t count               # members (CONTAINER_RUNS: number of runs)
    uint16_t key                 # the high 16 bits of every member
    uint16_t kind                # CONTAINER_*

cdef struct ChunkC:              # one container of a chunked set
    ContainerC container
    void* block                  # the allocation that holds the data, or NULL where it lies in a base

cdef struct IterC:               # a position in a set; set_next gives the members in rising order
    SetC set
    ContainerC container
    uint32_t chunk               # number of the container that comes next
    uint32_t at                  # RUN: index; array: index; bitmap: next bit; runs: run number
    uint32_t within              # runs: offset in the run


cdef inline bint run_contains(const uint32_t* run, uint32_t count, uint32_t value) noexcept nogil:
    """A short run is scanned, a longer one halved without branches (kernel notes: scanning wins up to some tens)."""
    cdef uint32_t i, half
    if count <= 8:
        for i in range(count):
            if run[i] == value:
                return 1
        return 0
    while count > 1:
        half = count >> 1
        if run[half - 1] < value:
            run += half
        count -= half
    return run[0] == value


cdef inline bint set_contains(const SetC* s, uint32_t value) noexcept nogil:
    if s.form == RUN:
        return run_contains(<const uint32_t*>s.data, s.count, value)
    return large_contains(s, value)


cdef inline void iter_start(IterC* it, const SetC* s) noexcept nogil:
    it.set = s[0]
    it.chunk = 0
    it.at = 0
    it.within = 0
    it.container.count = 0
    it.container.kind = CONTAINER_ARRAY


cdef inline bint iter_next(IterC* it, uint32_t* value) noexcept nogil:
    """The next member into value; 0 when there is none."""
    if it.set.form == RUN:
        if it.at >= it.set.count:
            return 0
        value[0] = (<const uint32_t*>it.set.data)[it.at]
        it.at += 1
        return 1
    return large_next(it, value)


cdef bint large_contains(const SetC* s, uint32_t value) noexcept nogil
cdef bint large_next(IterC* it, uint32_t* value) noexcept nogil
cdef uint32_t set_container_count(const SetC* s) noexcept nogil
cdef bint set_container(const SetC* s, uint32_t i, ContainerC* out) noexcept nogil
cdef bint container_contains(const ContainerC* c, uint16_t low) noexcept nogil
cdef uint32_t container_members(const ContainerC* c, uint16_t* out) noexcept nogil
cdef uint32_t container_cardinality(const ContainerC* c) noexcept nogil
cdef void set_decode(const SetC* s, uint32_t* out) noexcept nogil
cdef bint roaring_measure(const uint8_t* data, uint32_t size, uint64_t* count) noexcept nogil
