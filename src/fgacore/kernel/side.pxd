"""One side of a table: an id to its set of ids. A frozen base, and above it a delta.

  base    pages of 64 ids (presence bits, rank), an offset for each present id, and the words in which runs and roaring bitmaps lie.
          Flat arrays and offsets, never pointers: the layout of the snapshot file, which may be mapped: then nobody here frees them.
  delta   whole sets for the ids changed since, in a persistent 16-way trie: copying the path makes a new version, the old one stays as it was.
  filter  a bit for the low bits of every id in the delta: where it is 0 the base answers alone. Never cleared before a merge; a stale 1 is harmless.
Everything here reads, but side_free. Any number of threads may, beside a writer, which never changes what they can reach (delta.pyx).
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from fgacore.kernel.sets cimport RUN, SetC

cdef extern from *:
    int popcount "__builtin_popcountll"(unsigned long long) nogil

cdef enum:
    LARGE = 0x80000000U          # of an offset: a roaring bitmap lies there, not a run
    TRIE_BITS = 4
    TRIE_WIDTH = 16

cdef struct PageC:               # 64 consecutive ids of a base
    uint64_t bits                # which of them have a set
    uint32_t rank                # number of sets before this page
    uint32_t reserved

cdef struct NodeC:               # of the trie
    uint64_t stamp
    void* child[16]              # NodeC, on the lowest level BlockC

cdef struct BlockC:              # a set in the delta
    uint64_t stamp
    SetC set                     # data points behind this struct
    uint32_t capacity            # members or chunks for which there is room
    uint32_t reserved

cdef struct SideC:
    const PageC* pages           # page_count of them
    const uint32_t* offsets      # set_count + 1, in words
    const uint32_t* words        # word_count, and 16 more that may be read
    uint64_t word_count
    uint32_t page_count
    uint32_t set_count
    NodeC* root                  # NULL: no delta
    uint8_t* filter              # filter_mask + 1 bits; NULL: no delta
    uint32_t filter_mask
    uint32_t height              # levels of the trie
    uint32_t delta_count         # ids in the delta
    uint64_t base_stamp          # of the edit that made the base's arrays; 0: they are mapped, and the version's names keep the mapping
    uint64_t filter_stamp        # and the filter

cdef struct LeafC:               # a set of the delta, with its id
    uint32_t id
    const BlockC* block


cdef inline bint side_get(const SideC* side, uint32_t id, SetC* out) noexcept nogil:
    """The set of an id. 0 where it is empty, and then out is not to be read."""
    cdef const PageC* page
    cdef uint64_t bit
    cdef uint32_t rank, offset
    if side.filter != NULL and (side.filter[(id & side.filter_mask) >> 3] >> (id & 7)) & 1:
        if delta_get(side, id, out):
            return out.count != 0
    if (id >> 6) >= side.page_count:
        return 0
    page = &side.pages[id >> 6]
    bit = (<uint64_t>1) << (id & 63)
    if not page.bits & bit:
        return 0
    rank = page.rank + <uint32_t>popcount(page.bits & (bit - 1))
    offset = side.offsets[rank]
    if offset & LARGE:
        return base_large(side, offset, out)
    out.data = side.words + offset
    out.count = (side.offsets[rank + 1] & ~<uint32_t>LARGE) - offset
    out.form = RUN
    return 1


cdef inline bint side_mapped(const SideC* side) noexcept nogil:
    return side.pages != NULL and side.base_stamp == 0


cdef bint delta_get(const SideC* side, uint32_t id, SetC* out) noexcept nogil
cdef bint base_large(const SideC* side, uint32_t offset, SetC* out) noexcept nogil
cdef bint side_base(const SideC* side, uint32_t id, SetC* out) noexcept nogil
cdef void leaves(const NodeC* node, uint32_t level, uint32_t prefix, LeafC* out, uint32_t* count) noexcept nogil
cdef uint64_t side_bytes(const SideC* side) noexcept nogil
cdef void side_free(SideC* side) noexcept nogil
