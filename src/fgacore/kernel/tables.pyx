"""Edits, merges and versions: see tables.pxd. Called under the store's write lock, except what is inline there."""

from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memmove, memset

import cython
from array import array

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.ref cimport PyObject
from pyroaring import BitMap

from fgacore.kernel.memory cimport edit_abandon, edit_alloc, edit_replace, pointers_add, pointers_free, pointers_reserve
from fgacore.kernel.sets cimport (
    ARRAY_MAX, BITMAP_BYTES, CHUNKED, CONTAINER_ARRAY, CONTAINER_BITMAP, ROARING, RUN_MAX, ChunkC, ContainerC, IterC,
    container_cardinality, container_contains, container_members, iter_next, iter_start, set_container, set_container_count, set_contains, set_decode,
)

cdef extern from *:
    long refcount "Py_REFCNT"(PyObject*)

cdef enum:
    FILTER_BITS_MIN = 1024
    FILTER_BITS_EACH = 8         # filter bits for each id of the delta: one untouched id in eight at most takes the slow path
    WORDS_SPARE = 16             # readable words past the end, so that a vector load of a run stays inside
    MERGE_MIN = 4096             # changes below which a table is not merged by itself
    MERGE_FRACTION = 8           # and the part of the table above which it is: docs/performance.md


cdef bint delta_get(const SideC* side, uint32_t id, SetC* out) noexcept nogil:
    cdef const NodeC* node = side.root
    cdef uint32_t shift = TRIE_BITS * side.height
    if node == NULL or (shift < 32 and id >> shift):
        return 0
    while shift > TRIE_BITS:
        shift -= TRIE_BITS
        node = <const NodeC*>node.child[(id >> shift) & (TRIE_WIDTH - 1)]
        if node == NULL:
            return 0
    if node.child[id & (TRIE_WIDTH - 1)] == NULL:
        return 0
    out[0] = (<const BlockC*>node.child[id & (TRIE_WIDTH - 1)]).set
    return 1


cdef bint base_large(const SideC* side, uint32_t offset, SetC* out) noexcept nogil:
    """A roaring bitmap of the base: two words (members, bytes) before it. Offsets out of the words read as an empty set."""
    cdef uint64_t at = offset & ~<uint32_t>LARGE
    if at + 2 > side.word_count:
        return 0
    out.count = side.words[at]
    out.size = side.words[at + 1]
    out.data = side.words + at + 2
    out.form = ROARING
    return out.count != 0 and at + 2 + ((<uint64_t>out.size + 3) >> 2) <= side.word_count


# ---- editing one side ----

cdef int filter_add(EditC* edit, SideC* side, uint32_t id) except -1 nogil:
    """Set the bit of an id before the version that needs it is published; grow by folding, so that old bits keep their meaning."""
    cdef uint32_t bits = side.filter_mask + 1 if side.filter != NULL else 0
    cdef uint32_t wanted = bits, i
    cdef uint8_t* grown
    if wanted == 0:
        wanted = FILTER_BITS_MIN
    while wanted < 0x40000000U and <uint64_t>side.delta_count * FILTER_BITS_EACH > wanted:
        wanted *= 2
    if wanted != bits:
        pointers_reserve(&edit.fresh, 1)
        grown = <uint8_t*>calloc(wanted >> 3, 1)
        if grown == NULL:
            with gil:
                raise MemoryError()
        pointers_add(&edit.fresh, grown)
        if bits:
            for i in range(wanted // bits):
                memcpy(grown + i * (bits >> 3), side.filter, bits >> 3)
            drop_array(edit, side.filter, side.filter_stamp)
        side.filter = grown
        side.filter_stamp = edit.stamp
        side.filter_mask = wanted - 1
    side.filter[(id & side.filter_mask) >> 3] |= <uint8_t>(1 << (id & 7))
    return 0


cdef int drop_array(EditC* edit, const void* array, uint64_t stamp) except -1 nogil:
    """The edit no longer uses an array that carries no stamp itself; stamp is that of the edit that made it."""
    if array == NULL:
        return 0
    return pointers_add(&edit.discarded if stamp == edit.stamp else &edit.retired, <void*>array)


cdef NodeC* node_own(EditC* edit, NodeC* node) except NULL nogil:
    """The node itself where the edit owns it, else a copy."""
    cdef NodeC* copy
    if node != NULL and node.stamp == edit.stamp:
        return node
    copy = <NodeC*>edit_alloc(edit, sizeof(NodeC))
    if node == NULL:
        memset(copy.child, 0, sizeof(copy.child))
    else:
        memcpy(copy.child, node.child, sizeof(copy.child))
        edit_replace(edit, node)
    return copy


cdef void** leaf_slot(EditC* edit, SideC* side, uint32_t id) except NULL nogil:
    """The place of an id's block in the trie, every node on the way owned by the edit."""
    cdef NodeC* node
    cdef uint32_t shift
    cdef void** slot
    while side.root == NULL or (TRIE_BITS * side.height < 32 and id >> (TRIE_BITS * side.height)):
        node = node_own(edit, NULL)
        node.child[0] = side.root
        side.root = node
        side.height += 1
    slot = <void**>&side.root
    shift = TRIE_BITS * side.height
    while True:
        node = node_own(edit, <NodeC*>slot[0])
        slot[0] = node
        shift -= TRIE_BITS
        slot = &node.child[(id >> shift) & (TRIE_WIDTH - 1)]
        if shift == 0:
            return slot


cdef BlockC* block_new(EditC* edit, uint32_t form, uint32_t capacity) except NULL nogil:
    cdef size_t item = sizeof(uint32_t) if form == RUN else sizeof(ChunkC)
    cdef BlockC* block = <BlockC*>edit_alloc(edit, sizeof(BlockC) + item * capacity)
    block.set.data = <const void*>(block + 1)
    block.set.count = 0
    block.set.form = form
    block.set.size = 0
    block.capacity = capacity
    return block


cdef int chunk_own(EditC* edit, ChunkC* chunk, uint32_t room) except -1 nogil:
    """Make a container's data the edit's own, with room for one more member: an array, or a bitmap once it is full. Runs are unpacked."""
    cdef uint8_t* block
    cdef uint16_t* values
    cdef uint32_t i, count, bytes_wanted
    cdef ContainerC old = chunk.container
    cdef bint own = chunk.block != NULL and (<uint64_t*>chunk.block)[0] == edit.stamp
    count = container_cardinality(&old)
    if old.kind == CONTAINER_BITMAP and own:
        return 0
    if old.kind == CONTAINER_ARRAY and own and count + room <= (<uint32_t*>chunk.block)[2]:
        return 0
    if count + room > ARRAY_MAX or old.kind == CONTAINER_BITMAP:
        block = <uint8_t*>edit_alloc(edit, 16 + BITMAP_BYTES)
        if old.kind == CONTAINER_BITMAP:
            memcpy(block + 16, old.data, BITMAP_BYTES)
        else:
            memset(block + 16, 0, BITMAP_BYTES)
            values = <uint16_t*>malloc(65536 * sizeof(uint16_t))
            if values == NULL:
                with gil:
                    raise MemoryError()
            count = container_members(&old, values)
            for i in range(count):
                block[16 + (values[i] >> 3)] |= <uint8_t>(1 << (values[i] & 7))
            free(values)
        chunk.container.kind = CONTAINER_BITMAP
    else:
        bytes_wanted = count + room + (count if own else 0)
        if bytes_wanted > ARRAY_MAX:
            bytes_wanted = ARRAY_MAX
        block = <uint8_t*>edit_alloc(edit, 16 + 2 * bytes_wanted)
        (<uint32_t*>block)[2] = bytes_wanted          # room in members
        container_members(&old, <uint16_t*>(block + 16))
        chunk.container.kind = CONTAINER_ARRAY
    edit_replace(edit, chunk.block)
    chunk.block = block
    chunk.container.data = block + 16
    chunk.container.count = count
    return 0


cdef BlockC* block_chunked(EditC* edit, const SetC* s, uint32_t spare) except NULL nogil:
    """A chunked copy of any set: the containers of a large set are shared, a run is split."""
    cdef uint32_t count = set_container_count(s), i, start, key
    cdef BlockC* block
    cdef ChunkC* chunks
    cdef const uint32_t* run = <const uint32_t*>s.data
    cdef uint8_t* data
    if s.form == RUN:
        count = 0
        for i in range(s.count):
            if i == 0 or (run[i] >> 16) != (run[i - 1] >> 16):
                count += 1
    block = block_new(edit, CHUNKED, count + spare)
    chunks = <ChunkC*>(block + 1)
    block.set.count = s.count
    block.set.size = count
    if s.form == CHUNKED:
        if count:
            memcpy(chunks, s.data, count * sizeof(ChunkC))
    elif s.form == ROARING:
        for i in range(count):
            chunks[i].block = NULL
            if not set_container(s, i, &chunks[i].container):
                block.set.size = i
                break
    else:
        i = 0
        count = 0
        while i < s.count:
            key = run[i] >> 16
            start = i
            while i < s.count and (run[i] >> 16) == key:
                i += 1
            data = <uint8_t*>edit_alloc(edit, 16 + 2 * (i - start + 1))
            (<uint32_t*>data)[2] = i - start + 1
            chunks[count].block = data
            chunks[count].container.data = data + 16
            chunks[count].container.count = i - start
            chunks[count].container.key = <uint16_t>key
            chunks[count].container.kind = CONTAINER_ARRAY
            for key in range(i - start):
                (<uint16_t*>(data + 16))[key] = <uint16_t>run[start + key]
            count += 1
    return block


cdef uint32_t chunk_find(const ChunkC* chunks, uint32_t count, uint32_t key) noexcept nogil:
    """The first chunk whose key is not below key."""
    cdef uint32_t first = 0, half
    while count:
        half = count >> 1
        if chunks[first + half].container.key < key:
            first += half + 1
            count -= half + 1
        else:
            count = half
    return first


cdef int chunk_change(EditC* edit, BlockC* block, uint32_t value, bint adding) except -1 nogil:
    """Add or remove one member of a chunked block that the edit owns and that has room for one more chunk."""
    cdef ChunkC* chunks = <ChunkC*>(block + 1)
    cdef uint32_t at = chunk_find(chunks, block.set.size, value >> 16), low = value & 0xFFFF, i, count
    cdef ContainerC* c
    cdef uint16_t* values
    cdef uint8_t* bits
    cdef uint8_t* data
    if at == block.set.size or chunks[at].container.key != value >> 16:
        data = <uint8_t*>edit_alloc(edit, 16 + 2 * 4)
        (<uint32_t*>data)[2] = 4
        memmove(chunks + at + 1, chunks + at, (block.set.size - at) * sizeof(ChunkC))
        block.set.size += 1
        chunks[at].block = data
        chunks[at].container.data = data + 16
        chunks[at].container.count = 0
        chunks[at].container.key = <uint16_t>(value >> 16)
        chunks[at].container.kind = CONTAINER_ARRAY
    chunk_own(edit, &chunks[at], 1 if adding else 0)
    c = &chunks[at].container
    if c.kind == CONTAINER_BITMAP:
        bits = <uint8_t*>c.data
        if adding:
            bits[low >> 3] |= <uint8_t>(1 << (low & 7))
            c.count += 1
        else:
            bits[low >> 3] &= <uint8_t>~(1 << (low & 7))
            c.count -= 1
    else:
        values = <uint16_t*>c.data
        i = 0
        count = c.count
        while count:             # lower bound
            if values[i + (count >> 1)] < low:
                i += (count >> 1) + 1
                count -= (count >> 1) + 1
            else:
                count >>= 1
        if adding:
            memmove(values + i + 1, values + i, 2 * (c.count - i))
            values[i] = <uint16_t>low
            c.count += 1
        else:
            memmove(values + i, values + i + 1, 2 * (c.count - i - 1))
            c.count -= 1
    if c.count == 0:
        edit_replace(edit, chunks[at].block)
        memmove(chunks + at, chunks + at + 1, (block.set.size - at - 1) * sizeof(ChunkC))
        block.set.size -= 1
    if adding:
        block.set.count += 1
    else:
        block.set.count -= 1
    return 0


cdef int side_change(EditC* edit, SideC* side, uint32_t id, uint32_t value, bint adding) except -1 nogil:
    """Add a member that is not there, or remove one that is."""
    cdef SetC old
    cdef void** slot = leaf_slot(edit, side, id)
    cdef BlockC* block = <BlockC*>slot[0]
    cdef BlockC* grown
    cdef uint32_t i, count, half, capacity
    cdef uint32_t* members
    if block == NULL:
        side.delta_count += 1
        filter_add(edit, side, id)
        if not side_base(side, id, &old):
            old.data = NULL
            old.count = 0
            old.form = RUN
    else:
        old = block.set
    if old.form == RUN and old.count + 1 <= RUN_MAX:
        if block == NULL or block.stamp != edit.stamp or block.capacity < old.count + 1:
            capacity = old.count + 1
            if block != NULL and block.stamp == edit.stamp:
                capacity *= 2
            grown = block_new(edit, RUN, capacity)
            if old.count:
                memcpy(<void*>grown.set.data, old.data, 4 * <size_t>old.count)
            grown.set.count = old.count
            slot[0] = grown
            edit_replace(edit, block)
            block = grown
        members = <uint32_t*>block.set.data
        i = 0
        count = block.set.count
        while count:
            half = count >> 1
            if members[i + half] < value:
                i += half + 1
                count -= half + 1
            else:
                count = half
        if adding:
            memmove(members + i + 1, members + i, 4 * <size_t>(block.set.count - i))
            members[i] = value
            block.set.count += 1
        else:
            memmove(members + i, members + i + 1, 4 * <size_t>(block.set.count - i - 1))
            block.set.count -= 1
        return 0
    if block == NULL or block.stamp != edit.stamp or block.set.form != CHUNKED or block.capacity < block.set.size + 1:
        grown = block_chunked(edit, &old, 1 if block == NULL or block.stamp != edit.stamp else old.size + 1)
        slot[0] = grown
        edit_replace(edit, block)
        block = grown
    return chunk_change(edit, block, value, adding)


cdef bint side_base(const SideC* side, uint32_t id, SetC* out) noexcept nogil:
    """The set of an id in the base alone."""
    cdef SideC base = side[0]
    base.filter = NULL
    return side_get(&base, id, out)


# ---- merging one side: a new base ----

cdef struct LeafC:
    uint32_t id
    const BlockC* block

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


cdef int leaves(const NodeC* node, uint32_t level, uint32_t prefix, LeafC* out, uint32_t* count) noexcept nogil:
    """Every block of a trie in order of its id; as deep as the trie is high, at most eight."""
    cdef uint32_t i
    for i in range(TRIE_WIDTH):
        if node.child[i] == NULL:
            continue
        if level == 1:
            out[count[0]].id = (prefix << TRIE_BITS) | i
            out[count[0]].block = <const BlockC*>node.child[i]
            count[0] += 1
        else:
            leaves(<const NodeC*>node.child[i], level - 1, (prefix << TRIE_BITS) | i, out, count)
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


cdef int retire_trie(EditC* edit, NodeC* node, uint32_t level) except -1 nogil:
    """Retire a whole delta: nodes, blocks, and the containers that only it holds."""
    cdef uint32_t i, j
    cdef BlockC* block
    cdef ChunkC* chunks
    for i in range(TRIE_WIDTH):
        if node.child[i] == NULL:
            continue
        if level > 1:
            retire_trie(edit, <NodeC*>node.child[i], level - 1)
            continue
        block = <BlockC*>node.child[i]
        if block.set.form == CHUNKED:
            chunks = <ChunkC*>(block + 1)
            for j in range(block.set.size):
                edit_replace(edit, chunks[j].block)
        edit_replace(edit, block)
    return edit_replace(edit, node)


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


# ---- versions ----

cdef void node_free(NodeC* node, uint32_t level) noexcept nogil:
    cdef uint32_t i, j
    cdef BlockC* block
    for i in range(TRIE_WIDTH):
        if node.child[i] == NULL:
            continue
        if level > 1:
            node_free(<NodeC*>node.child[i], level - 1)
            continue
        block = <BlockC*>node.child[i]
        if block.set.form == CHUNKED:
            for j in range(block.set.size):
                free((<ChunkC*>(block + 1))[j].block)
        free(block)
    free(node)


cdef void side_free(SideC* side) noexcept nogil:
    free(<void*>side.pages)
    free(<void*>side.offsets)
    free(<void*>side.words)
    free(side.filter)
    if side.root != NULL:
        node_free(side.root, side.height)


@cython.no_gc
cdef class Version:
    """The immutable state of all tables at one revision. Hold it to pin it."""

    def __dealloc__(self):
        cdef Version following, after
        cdef uint32_t i
        if self.next is None:
            # The newest: what its tables hold is reachable from no other version.
            for i in range(self.table_count):
                if self.tables[i] != NULL:
                    side_free(&self.tables[i].forward)
                    side_free(&self.tables[i].reverse)
                    free(self.tables[i])
        free(self.tables)
        pointers_free(&self.retired, True)
        # A chain of versions that only this one held is released in a loop: one after the other would recurse as deep as it is long.
        following = self.next
        self.next = None
        while following is not None and refcount(<PyObject*>following) == 1 and following.next is not None:
            after = following.next
            following.next = None
            free(following.tables)
            following.tables = NULL
            following.table_count = 0
            pointers_free(&following.retired, True)
            following = after
            after = None         # or the count of the next one would be two

    @staticmethod
    cdef Version empty(uint64_t serial):
        cdef Version version = Version.__new__(Version)
        version.serial = serial
        return version

    @property
    def table_total(self):
        """Number of tables."""
        return self.table_count

    def tuple_count(self):
        """Number of stored tuples, over all tables."""
        cdef uint64_t total = 0
        cdef uint32_t i
        for i in range(self.table_count):
            if self.tables[i] != NULL:
                total += self.tables[i].tuple_count
        return total

    def delta_count(self):
        """Number of changes not yet merged into a base, over all tables."""
        cdef uint64_t total = 0
        cdef uint32_t i
        for i in range(self.table_count):
            if self.tables[i] != NULL:
                total += self.tables[i].delta_tuples
        return total

    def table_bytes(self, uint32_t table):
        """Bytes of a table's two bases."""
        cdef const TableC* t
        if table >= self.table_count or self.tables[table] == NULL:
            return 0
        t = self.tables[table]
        return side_bytes(&t.forward) + side_bytes(&t.reverse)

    def members(self, uint32_t table, uint32_t id, bint reverse=False):
        """The members of one set, rising: the subjects of an object, or with reverse the objects of a subject."""
        cdef SetC s
        cdef IterC it
        cdef uint32_t value
        cdef list out = []
        if table >= self.table_count or self.tables[table] == NULL:
            return out
        if not side_get(&self.tables[table].reverse if reverse else &self.tables[table].forward, id, &s):
            return out
        iter_start(&it, &s)
        while iter_next(&it, &value):
            out.append(value)
        return out

    def keys(self, uint32_t table, bint reverse=False):
        """The ids that have a set in one side of a table, rising: the objects, or with reverse the subjects."""
        cdef const SideC* side
        cdef LeafC* delta = NULL
        cdef uint32_t delta_count = 0, d = 0, page, base_id
        cdef uint64_t bits
        cdef list out = []
        if table >= self.table_count or self.tables[table] == NULL:
            return out
        side = &self.tables[table].reverse if reverse else &self.tables[table].forward
        try:
            if side.root != NULL:
                delta = <LeafC*>malloc(sizeof(LeafC) * (side.delta_count + 1))
                if delta == NULL:
                    raise MemoryError()
                leaves(side.root, side.height, 0, delta, &delta_count)
            for page in range(side.page_count):
                bits = side.pages[page].bits
                while bits:
                    base_id = 64 * page + <uint32_t>popcount((bits & (0 - bits)) - 1)
                    bits &= bits - 1
                    while d < delta_count and delta[d].id < base_id:
                        if delta[d].block.set.count:
                            out.append(delta[d].id)
                        d += 1
                    if d < delta_count and delta[d].id == base_id:
                        if delta[d].block.set.count:
                            out.append(base_id)
                        d += 1
                    else:
                        out.append(base_id)
            while d < delta_count:
                if delta[d].block.set.count:
                    out.append(delta[d].id)
                d += 1
        finally:
            free(delta)
        return out

    cdef bint has(self, uint32_t table, uint32_t object, uint32_t subject) noexcept nogil:
        """Whether a tuple is stored."""
        cdef SetC s
        if table >= self.table_count or self.tables[table] == NULL:
            return 0
        return side_get(&self.tables[table].forward, object, &s) and set_contains(&s, subject)


cdef uint64_t side_bytes(const SideC* side) noexcept nogil:
    return 4 * side.word_count + 4 * (<uint64_t>side.set_count + 1) + 16 * <uint64_t>side.page_count if side.words != NULL else 0


@cython.no_gc
cdef class Edit:
    """A private next version in the making: change it, then publish it or let it go. One at a time for a store."""

    def __cinit__(self, Version before not None, uint64_t serial, uint32_t table_count):
        cdef uint32_t count = table_count if table_count > before.table_count else before.table_count
        memset(&self.c, 0, sizeof(EditC))
        self.c.stamp = serial
        self.before = before
        self.tables = <TableC**>calloc(count + 1, sizeof(TableC*))
        if self.tables == NULL:
            raise MemoryError()
        if before.table_count:
            memcpy(self.tables, before.tables, before.table_count * sizeof(TableC*))
        self.table_count = count

    def __dealloc__(self):
        edit_abandon(&self.c)    # empty once published
        free(self.tables)

    cdef TableC* table_own(self, uint32_t table) except NULL:
        cdef TableC* old
        cdef TableC* own
        if table >= self.table_count:
            raise IndexError("no such table")
        old = self.tables[table]
        if old != NULL and old.stamp == self.c.stamp:
            return old
        own = <TableC*>edit_alloc(&self.c, sizeof(TableC))
        if old == NULL:
            memset(own, 0, sizeof(TableC))
        else:
            own[0] = old[0]
            edit_replace(&self.c, old)
        own.stamp = self.c.stamp
        self.tables[table] = own
        return own

    cdef int add(self, uint32_t table, uint32_t object, uint32_t subject) except -1:
        """Store a tuple that is not stored."""
        cdef TableC* t = self.table_own(table)
        side_change(&self.c, &t.forward, object, subject, 1)
        side_change(&self.c, &t.reverse, subject, object, 1)
        t.tuple_count += 1
        t.delta_tuples += 1
        return 0

    cdef int remove(self, uint32_t table, uint32_t object, uint32_t subject) except -1:
        """Drop a tuple that is stored."""
        cdef TableC* t = self.table_own(table)
        side_change(&self.c, &t.forward, object, subject, 0)
        side_change(&self.c, &t.reverse, subject, object, 0)
        t.tuple_count -= 1
        t.delta_tuples += 1
        return 0

    cdef int add_many(self, uint32_t table, uint64_t* by_object, uint64_t* by_subject, size_t count) except -1:
        """Store many tuples that are not stored: (object << 32 | subject) and (subject << 32 | object), each sorted and without repeats.

        A lot that is large beside the table goes straight into a new base; a smaller one into the delta.
        """
        cdef TableC* t = self.table_own(table)
        cdef SideC forward, reverse
        cdef size_t i
        if count >= 64 and count * MERGE_FRACTION >= t.tuple_count:
            with nogil:
                side_rebuild(&t.forward, by_object, count, &forward)
                side_swap(&self.c, &t.forward, &forward)
                side_rebuild(&t.reverse, by_subject, count, &reverse)
                side_swap(&self.c, &t.reverse, &reverse)
            t.delta_tuples = 0
        else:
            for i in range(count):
                side_change(&self.c, &t.forward, <uint32_t>(by_object[i] >> 32), <uint32_t>by_object[i], 1)
            for i in range(count):
                side_change(&self.c, &t.reverse, <uint32_t>(by_subject[i] >> 32), <uint32_t>by_subject[i], 1)
            t.delta_tuples += count
        t.tuple_count += count
        return 0

    cdef int merge(self, uint32_t table) except -1:
        """Fold a table's delta into a new base."""
        cdef TableC* t = self.tables[table] if table < self.table_count else NULL
        cdef SideC forward, reverse
        if t == NULL or (t.forward.root == NULL and t.reverse.root == NULL):
            return 0
        t = self.table_own(table)
        with nogil:
            side_rebuild(&t.forward, NULL, 0, &forward)
            side_swap(&self.c, &t.forward, &forward)
            side_rebuild(&t.reverse, NULL, 0, &reverse)
            side_swap(&self.c, &t.reverse, &reverse)
        t.delta_tuples = 0
        return 0

    cdef int settle(self, uint32_t table) except -1:
        """Merge a table whose delta has grown beyond its part."""
        cdef TableC* t = self.tables[table] if table < self.table_count else NULL
        if t == NULL or t.delta_tuples < MERGE_MIN or t.delta_tuples * MERGE_FRACTION < t.tuple_count:
            return 0
        return self.merge(table)

    cdef Version publish(self, uint64_t revision, bint structural):
        """The version, which takes over what the edit allocated. The version before is given what it must keep for its readers."""
        cdef Version version = Version.__new__(Version)
        cdef size_t i
        pointers_reserve(&self.before.retired, self.c.retired.count)    # the last that can fail
        version.tables = self.tables
        version.table_count = self.table_count
        version.revision = revision
        version.serial = self.c.stamp
        version.structural = self.c.stamp if structural else self.before.structural
        for i in range(self.c.retired.count):    # the caller may have added blocks of the names
            pointers_add(&self.before.retired, self.c.retired.items[i])
        pointers_free(&self.c.discarded, True)
        pointers_free(&self.c.fresh, False)
        pointers_free(&self.c.retired, False)
        self.tables = NULL
        self.table_count = 0
        self.before.next = version
        self.before = None
        return version
