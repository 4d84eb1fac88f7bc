"""A set of ids in the making: what a list has found so far. Few ids are hashed; beyond IDS_FEW they are bits in pages of 65,536.

The ids are also kept in the order found (`list`), which is the queue of what has yet to be followed, as long as whole sets are not put in at once.
One owner; without the GIL. Every function that allocates returns 0 where there is no memory.
"""

from libc.stdint cimport uint32_t, uint64_t

from fgacore.kernel.sets cimport SetC, run_contains

cdef enum:
    IDS_FEW = 4096               # ids that are hashed at most; fewer where their pages are few
    IDS_PAGE = 32                # ids for each page from which bits are less work than sorting
    PAGE_WORDS = 1024            # of 64 bits

cdef struct IdsC:
    uint32_t* list               # in the order found; listed of them
    uint32_t listed
    uint32_t room
    uint32_t count               # ids in the set
    uint32_t* slots              # position + 1 by hash; 0: free. NULL: the list is one rising run
    uint32_t mask
    uint64_t** pages             # NULL: hashed
    uint32_t page_count
    uint32_t next                # of the list: not followed yet

cdef bint ids_add(IdsC* ids, uint32_t id, bint* new) noexcept nogil
cdef bint ids_put(IdsC* ids, const SetC* s) noexcept nogil
cdef void ids_write(const IdsC* ids, uint32_t* out) noexcept nogil
cdef void ids_free(IdsC* ids) noexcept nogil


cdef inline bint ids_has(const IdsC* ids, uint32_t id) noexcept nogil:
    """Whether an id is in the set."""
    cdef uint32_t at
    if ids.pages != NULL:
        return (id >> 16) < ids.page_count and ids.pages[id >> 16] != NULL and (ids.pages[id >> 16][(id & 0xFFFF) >> 6] >> (id & 63)) & 1
    if ids.slots == NULL:
        return ids.listed != 0 and run_contains(ids.list, ids.listed, id)    # one run, and no more was put in
    at = (id * <uint32_t>0x9E3779B1U >> 7) & ids.mask
    while ids.slots[at]:
        if ids.list[ids.slots[at] - 1] == id:
            return 1
        at = (at + 1) & ids.mask
    return 0
