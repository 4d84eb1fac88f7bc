"""Tables: for each object the set of its subjects, for each subject the set of its objects; a frozen base and a delta; versions.

A table holds the tuples of one (object type, relation, kind of subject, condition). Each of its two sides maps an id to a set:
  base    pages of 64 ids (presence bits, rank), an offset for each present id, and the words in which runs and roaring bitmaps lie.
          Flat arrays and offsets, never pointers: the layout of the snapshot file.
  delta   whole sets for the ids changed since, in a persistent 16-way trie: copying the path makes a new version, the old one stays as it was.
  filter  a bit for the low bits of every id in the delta: where it is 0 the base answers alone. Never cleared before a merge; a stale 1 is harmless.
A Version is an immutable state of all tables. It is pinned by holding the object; its blocks live as long as it does.
INVARIANT (published blocks are frozen): a block whose stamp is not the current edit's is never written to, the filter's bits excepted.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from fgacore.kernel.memory cimport EditC, PointersC
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
    uint64_t base_stamp          # of the edit that made the base's arrays
    uint64_t filter_stamp        # and the filter

cdef struct TableC:
    uint64_t stamp
    SideC forward                # object id to subject ids
    SideC reverse                # subject id to object ids
    uint64_t tuple_count
    uint64_t delta_tuples        # changes since the last merge


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


cdef bint delta_get(const SideC* side, uint32_t id, SetC* out) noexcept nogil
cdef bint base_large(const SideC* side, uint32_t offset, SetC* out) noexcept nogil


cdef class Version:
    cdef TableC** tables         # table_count of them, by table id
    cdef uint32_t table_count
    cdef readonly uint64_t revision
    cdef readonly uint64_t structural  # serial of the newest version, up to this one, that changed a userset, wildcard or parent table
    cdef readonly uint64_t serial    # of this state in this process; grows, never reused: also the stamp of its edit
    cdef PointersC retired       # what the next version replaced
    cdef Version next            # the version after this one: it must outlive this one's retired blocks
    @staticmethod
    cdef Version empty(uint64_t serial)
    cdef bint has(self, uint32_t table, uint32_t object, uint32_t subject) noexcept nogil


cdef class Edit:
    cdef EditC c
    cdef Version before
    cdef TableC** tables
    cdef uint32_t table_count
    cdef TableC* table_own(self, uint32_t table) except NULL
    cdef int add(self, uint32_t table, uint32_t object, uint32_t subject) except -1
    cdef int remove(self, uint32_t table, uint32_t object, uint32_t subject) except -1
    cdef int add_many(self, uint32_t table, uint64_t* by_object, uint64_t* by_subject, size_t count) except -1
    cdef int merge(self, uint32_t table) except -1
    cdef int settle(self, uint32_t table) except -1
    cdef Version publish(self, uint64_t revision, bint structural)
