"""See ids.pxd."""

from libc.stdint cimport uint8_t, uint16_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset

from fgacore.kernel.sets cimport (
    CONTAINER_ARRAY, CONTAINER_BITMAP, RUN, ContainerC, IterC, container_members, iter_next, iter_start, set_container, set_container_count,
)
from fgacore.kernel.side cimport popcount

cdef extern from *:
    """
    #include <stdlib.h>
    #include <string.h>
    static int fga_rising(const void *a, const void *b) {
        uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
        return (x > y) - (x < y);
    }
    static void fga_sort(uint32_t *ids, size_t count) { qsort(ids, count, sizeof(uint32_t), fga_rising); }
    """
    void fga_sort(uint32_t* ids, size_t count) nogil
    int ctz "__builtin_ctzll"(unsigned long long) nogil


cdef void ids_free(IdsC* ids) noexcept nogil:
    cdef uint32_t i
    if ids.pages != NULL:
        for i in range(ids.page_count):
            free(ids.pages[i])
    free(ids.pages)
    free(ids.list)
    free(ids.slots)
    memset(ids, 0, sizeof(IdsC))


cdef bint list_add(IdsC* ids, uint32_t id) noexcept nogil:
    cdef void* grown
    if ids.listed == ids.room:
        if ids.room >= 0x40000000U:
            return 0
        grown = realloc(ids.list, 4 * (2 * <size_t>ids.room + 64))
        if grown == NULL:
            return 0
        ids.list = <uint32_t*>grown
        ids.room = 2 * ids.room + 64
    ids.list[ids.listed] = id
    ids.listed += 1
    return 1


cdef uint64_t* page_of(IdsC* ids, uint32_t page) noexcept nogil:
    """The bits of a page, made if it is new; NULL: no memory."""
    cdef void* grown
    cdef uint32_t count
    if page >= ids.page_count:
        count = page + 1 + (page >> 3)
        grown = realloc(ids.pages, sizeof(uint64_t*) * <size_t>count)
        if grown == NULL:
            return NULL
        ids.pages = <uint64_t**>grown
        memset(ids.pages + ids.page_count, 0, sizeof(uint64_t*) * <size_t>(count - ids.page_count))
        ids.page_count = count
    if ids.pages[page] == NULL:
        ids.pages[page] = <uint64_t*>calloc(PAGE_WORDS, 8)
    return ids.pages[page]


cdef bint to_pages(IdsC* ids) noexcept nogil:
    cdef uint32_t i
    cdef uint64_t* page
    if ids.pages != NULL:
        return 1
    ids.pages = <uint64_t**>calloc(1, sizeof(uint64_t*))
    if ids.pages == NULL:
        return 0
    ids.page_count = 1
    for i in range(ids.listed):
        page = page_of(ids, ids.list[i] >> 16)
        if page == NULL:
            return 0
        page[(ids.list[i] & 0xFFFF) >> 6] |= (<uint64_t>1) << (ids.list[i] & 63)
    free(ids.slots)
    ids.slots = NULL
    ids.mask = 0
    return 1


cdef bint grow_slots(IdsC* ids) noexcept nogil:
    cdef uint32_t mask = 4 * (ids.mask + 1) - 1 if ids.mask else 255, i, at
    cdef uint32_t* slots
    while mask < 2 * (ids.listed + 1):
        mask = 4 * (mask + 1) - 1
    slots = <uint32_t*>calloc(<size_t>mask + 1, 4)
    if slots == NULL:
        return 0
    for i in range(ids.listed):
        at = (ids.list[i] * <uint32_t>0x9E3779B1U >> 7) & mask
        while slots[at]:
            at = (at + 1) & mask
        slots[at] = i + 1
    free(ids.slots)
    ids.slots = slots
    ids.mask = mask
    return 1


cdef bint ids_add(IdsC* ids, uint32_t id, bint* new) noexcept nogil:
    """Put one id in and at the end of the list, where it is new. 0: no memory."""
    cdef uint32_t at
    cdef uint64_t* page
    cdef uint64_t bit
    new[0] = 0
    if ids.pages == NULL and ids.count >= IDS_FEW and not to_pages(ids):
        return 0
    if ids.pages != NULL:
        page = page_of(ids, id >> 16)
        if page == NULL:
            return 0
        bit = (<uint64_t>1) << (id & 63)
        if page[(id & 0xFFFF) >> 6] & bit:
            return 1
        if not list_add(ids, id):
            return 0
        page[(id & 0xFFFF) >> 6] |= bit
    else:
        if 2 * (ids.count + 1) > ids.mask and not grow_slots(ids):
            return 0
        at = (id * <uint32_t>0x9E3779B1U >> 7) & ids.mask
        while ids.slots[at]:
            if ids.list[ids.slots[at] - 1] == id:
                return 1
            at = (at + 1) & ids.mask
        if not list_add(ids, id):
            return 0
        ids.slots[at] = ids.listed
    ids.count += 1
    new[0] = 1
    return 1


cdef bint worth_pages(const IdsC* ids, const SetC* s) noexcept nogil:
    """Whether the ids are many for the pages that they lie in: by the last of a run, which is the highest."""
    cdef uint32_t high
    if s.form != RUN or s.count == 0:
        return 0
    high = (<const uint32_t*>s.data)[s.count - 1]
    if ids.listed and ids.list[ids.listed - 1] > high:
        high = ids.list[ids.listed - 1]
    return ids.count + s.count >= IDS_PAGE * ((high >> 16) + 1)


cdef bint ids_put(IdsC* ids, const SetC* s) noexcept nogil:
    """Put a whole set in. Of many ids only the bits are kept, no list. 0: no memory."""
    cdef IterC it
    cdef ContainerC c
    cdef uint16_t members[4096]
    cdef uint16_t* low
    cdef void* grown
    cdef uint64_t* page
    cdef uint64_t word, old
    cdef uint32_t id = 0, i, j, n
    cdef bint new
    if ids.count == 0 and s.form == RUN and ids.pages == NULL:
        grown = realloc(ids.list, 4 * <size_t>s.count + 4)
        if grown == NULL:
            return 0
        ids.list = <uint32_t*>grown
        memcpy(ids.list, s.data, 4 * <size_t>s.count)
        ids.room = s.count
        ids.listed = s.count
        ids.count = s.count
        return 1
    if ids.pages == NULL and <uint64_t>ids.count + s.count <= IDS_FEW and not worth_pages(ids, s):
        iter_start(&it, s)
        while iter_next(&it, &id):
            if not ids_add(ids, id, &new):
                return 0
        return 1
    if not to_pages(ids):
        return 0
    if s.form == RUN:
        for i in range(s.count):
            id = (<const uint32_t*>s.data)[i]
            page = page_of(ids, id >> 16)
            if page == NULL:
                return 0
            old = page[(id & 0xFFFF) >> 6]
            word = old | (<uint64_t>1) << (id & 63)
            ids.count += old != word
            page[(id & 0xFFFF) >> 6] = word
        return 1
    for i in range(set_container_count(s)):
        if not set_container(s, i, &c):
            break
        page = page_of(ids, c.key)
        if page == NULL:
            return 0
        if c.kind == CONTAINER_BITMAP:
            for j in range(PAGE_WORDS):
                memcpy(&word, c.data + 8 * j, 8)
                ids.count += <uint32_t>popcount(word & ~page[j])
                page[j] |= word
            continue
        low = members
        if c.kind != CONTAINER_ARRAY or c.count > 4096:
            low = <uint16_t*>malloc(65536 * 2)
            if low == NULL:
                return 0
        n = container_members(&c, low)
        for j in range(n):
            old = page[low[j] >> 6]
            word = old | (<uint64_t>1) << (low[j] & 63)
            ids.count += old != word
            page[low[j] >> 6] = word
        if low != members:
            free(low)
    return 1


cdef void ids_write(const IdsC* ids, uint32_t* out) noexcept nogil:
    """All of them, rising: `count` of them."""
    cdef uint32_t page, word, first, i
    cdef uint64_t bits
    if ids.pages == NULL:
        if ids.count == 0:
            return
        memcpy(out, ids.list, 4 * <size_t>ids.count)
        for i in range(1, ids.count):
            if out[i] < out[i - 1]:
                fga_sort(out, ids.count)
                return
        return
    for page in range(ids.page_count):
        if ids.pages[page] == NULL:
            continue
        for word in range(PAGE_WORDS):
            bits = ids.pages[page][word]
            first = page << 16 | word << 6
            if bits == <uint64_t>-1:
                for i in range(64):
                    out[i] = first + i
                out += 64
                continue
            while bits:
                out[0] = first + <uint32_t>ctz(bits)
                out += 1
                bits &= bits - 1
