"""See merge.pxd."""

from libc.stdint cimport uint32_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset

from array import array

from cpython.bytes cimport PyBytes_FromStringAndSize
from pyroaring import BitMap

from fgacore.kernel.delta cimport drop_array, retire_trie
from fgacore.kernel.memory cimport pointers_add, pointers_reserve
from fgacore.kernel.sets cimport ROARING, RUN, RUN_MAX, SetC, set_decode
from fgacore.kernel.side cimport LARGE, LeafC, PageC, leaves, popcount, side_base

cdef struct BuildC:              # a base under construction
    PageC* pages
    uint32_t page_count
    uint32_t* offsets
    uint64_t offset_capacity
    uint32_t set_count
    uint32_t* words
    uint64_t word_count
    uint64_t word_capacity


cdef int build_room(BuildC* build, uint64_t words) except -1 nogil:
    cdef uint64_t capacity
    cdef void* grown
    if build.word_count + words + WORDS_SPARE > build.word_capacity:
        capacity = build.word_capacity + (build.word_capacity >> 1)
        if capacity < build.word_count + words + WORDS_SPARE:
            capacity = build.word_count + words + WORDS_SPARE
        if build.word_count + words >= LARGE:
            with gil:
                raise MemoryError("a table of more than 2^31 words")
        grown = realloc(build.words, 4 * capacity)
        if grown == NULL:
            with gil:
                raise MemoryError()
        build.words = <uint32_t*>grown
        build.word_capacity = capacity
    if build.set_count + 2 > build.offset_capacity:
        capacity = 2 * build.offset_capacity + 64
        grown = realloc(build.offsets, 4 * capacity)
        if grown == NULL:
            with gil:
                raise MemoryError()
        build.offsets = <uint32_t*>grown
        build.offset_capacity = capacity
    return 0


cdef void build_begin(BuildC* build, uint32_t id, uint32_t flag) noexcept nogil:
    build.pages[id >> 6].bits |= (<uint64_t>1) << (id & 63)
    build.offsets[build.set_count] = <uint32_t>build.word_count | flag
    build.set_count += 1


cdef int build_large(BuildC* build, uint32_t id, const uint32_t* members, uint32_t count) except -1 with gil:
    """A set above RUN_MAX as a portable roaring bitmap, which pyroaring writes."""
    cdef object values = array("I")
    values.frombytes(PyBytes_FromStringAndSize(<const char*>members, 4 * <Py_ssize_t>count))
    cdef bytes data = BitMap(values).serialize()
    cdef uint32_t size = <uint32_t>len(data)
    build_room(build, 2 + ((size + 3) >> 2))
    build_begin(build, id, LARGE)
    build.words[build.word_count] = count
    build.words[build.word_count + 1] = size
    build.words[build.word_count + 1 + ((size + 3) >> 2)] = 0
    memcpy(build.words + build.word_count + 2, <const char*>data, size)
    build.word_count += 2 + ((size + 3) >> 2)
    return 0


cdef int side_rebuild(const SideC* side, const uint64_t* added, size_t added_count, SideC* out) except -1 nogil:
    """A base of everything: the old base, the delta over it, and sorted (id << 32 | member) pairs that are in neither."""
    cdef BuildC build
    cdef LeafC* delta = NULL
    cdef uint32_t delta_count = 0, d = 0, id, page, base_id, next_base, count, n, max_id = 0
    cdef uint64_t bits = 0, capacity
    cdef size_t a = 0, b
    cdef SetC s
    cdef bint done = 0
    cdef uint32_t* scratch = NULL
    cdef uint64_t scratch_capacity = 0
    memset(&build, 0, sizeof(build))
    try:
        if side.root != NULL:
            delta = <LeafC*>malloc(sizeof(LeafC) * (side.delta_count + 1))
            if delta == NULL:
                with gil:
                    raise MemoryError()
            leaves(side.root, side.height, 0, delta, &delta_count)
        if side.page_count:
            max_id = 64 * side.page_count - 1
        if delta_count and delta[delta_count - 1].id > max_id:
            max_id = delta[delta_count - 1].id
        if added_count and <uint32_t>(added[added_count - 1] >> 32) > max_id:
            max_id = <uint32_t>(added[added_count - 1] >> 32)
        build.page_count = (max_id >> 6) + 1
        build.pages = <PageC*>calloc(build.page_count, sizeof(PageC))
        if build.pages == NULL:
            with gil:
                raise MemoryError()
        build.offset_capacity = side.set_count + delta_count + 64
        build.offsets = <uint32_t*>malloc(4 * build.offset_capacity)
        build.word_capacity = side.word_count + added_count + 1024
        build.words = <uint32_t*>malloc(4 * build.word_capacity)
        if build.offsets == NULL or build.words == NULL:
            with gil:
                raise MemoryError()
        page = 0
        if side.page_count:
            bits = side.pages[0].bits
        while True:
            # The next id of the base, of the delta and of the pairs: take the smallest.
            while bits == 0 and page + 1 < side.page_count:
                page += 1
                bits = side.pages[page].bits
            id = 0xFFFFFFFFU
            base_id = id
            if bits:
                base_id = 64 * page + <uint32_t>popcount((bits & (0 - bits)) - 1)
                id = base_id
            if d < delta_count and delta[d].id < id:
                id = delta[d].id
            if a < added_count and <uint32_t>(added[a] >> 32) < id:
                id = <uint32_t>(added[a] >> 32)
            if id == 0xFFFFFFFFU:
                break
            s.count = 0
            s.form = RUN
            if base_id == id:
                bits &= bits - 1
                if not side_base(side, id, &s):
                    s.count = 0
                    s.form = RUN
            if d < delta_count and delta[d].id == id:
                s = delta[d].block.set
                d += 1
            b = a
            while b < added_count and <uint32_t>(added[b] >> 32) == id:
                b += 1
            n = <uint32_t>(b - a)
            if <uint64_t>s.count + n >= LARGE:
                with gil:
                    raise MemoryError("a set of more than 2^31 members")
            count = s.count + n
            if count == 0:
                continue
            if count <= RUN_MAX and s.form == RUN:
                build_room(&build, count)
                build_begin(&build, id, 0)
                merge_run(build.words + build.word_count, <const uint32_t*>s.data, s.count, added + a, n)
                build.word_count += count
            elif n == 0 and s.form == ROARING:
                build_room(&build, 2 + ((<uint64_t>s.size + 3) >> 2))
                build_begin(&build, id, LARGE)
                build.words[build.word_count] = s.count
                build.words[build.word_count + 1] = s.size
                build.words[build.word_count + 1 + ((s.size + 3) >> 2)] = 0
                memcpy(build.words + build.word_count + 2, s.data, s.size)
                build.word_count += 2 + ((<uint64_t>s.size + 3) >> 2)
            else:
                if scratch_capacity < <uint64_t>s.count + count:
                    capacity = <uint64_t>s.count + count + 4096
                    free(scratch)
                    scratch = <uint32_t*>malloc(4 * capacity)
                    scratch_capacity = capacity if scratch != NULL else 0
                    if scratch == NULL:
                        with gil:
                            raise MemoryError()
                set_decode(&s, scratch)
                merge_run(scratch + s.count, scratch, s.count, added + a, n)
                if count <= RUN_MAX:
                    build_room(&build, count)
                    build_begin(&build, id, 0)
                    memcpy(build.words + build.word_count, scratch + s.count, 4 * <size_t>count)
                    build.word_count += count
                else:
                    build_large(&build, id, scratch + s.count, count)
            a = b
        build_room(&build, 0)
        build.offsets[build.set_count] = <uint32_t>build.word_count
        memset(build.words + build.word_count, 0, 4 * WORDS_SPARE)
        n = 0
        for page in range(build.page_count):
            build.pages[page].rank = n
            n += <uint32_t>popcount(build.pages[page].bits)
        memset(out, 0, sizeof(SideC))
        out.pages = build.pages
        out.page_count = build.page_count
        out.offsets = build.offsets
        out.set_count = build.set_count
        out.words = build.words
        out.word_count = build.word_count
        done = 1
    finally:
        free(delta)
        free(scratch)
        if not done:
            free(build.pages)
            free(build.offsets)
            free(build.words)
    return 0


cdef void merge_run(uint32_t* out, const uint32_t* run, uint32_t count, const uint64_t* added, uint32_t n) noexcept nogil:
    """Two disjoint rising sequences into one."""
    cdef uint32_t i = 0, j = 0
    if n == 0:
        if count:
            memcpy(out, run, 4 * <size_t>count)
        return
    while i < count or j < n:
        if j == n or (i < count and run[i] < <uint32_t>added[j]):
            out[0] = run[i]
            i += 1
        else:
            out[0] = <uint32_t>added[j]
            j += 1
        out += 1


cdef int side_swap(EditC* edit, SideC* side, SideC* rebuilt) except -1 nogil:
    """Put a rebuilt base in a side's place."""
    pointers_reserve(&edit.fresh, 3)
    pointers_add(&edit.fresh, <void*>rebuilt.pages)
    pointers_add(&edit.fresh, <void*>rebuilt.offsets)
    pointers_add(&edit.fresh, <void*>rebuilt.words)
    rebuilt.base_stamp = edit.stamp
    if side.root != NULL:
        retire_trie(edit, side.root, side.height)
    drop_array(edit, side.pages, side.base_stamp)
    drop_array(edit, side.offsets, side.base_stamp)
    drop_array(edit, side.words, side.base_stamp)
    drop_array(edit, side.filter, side.filter_stamp)
    side[0] = rebuilt[0]
    return 0
