"""See delta.pxd."""

from libc.stdint cimport uint8_t, uint16_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memmove, memset

from fgacore.kernel.memory cimport edit_alloc, edit_replace, pointers_add, pointers_reserve
from fgacore.kernel.sets cimport (
    ARRAY_MAX, BITMAP_BYTES, CHUNKED, CONTAINER_ARRAY, CONTAINER_BITMAP, ROARING, RUN, RUN_MAX, ChunkC, ContainerC, SetC,
    container_cardinality, container_members, set_container, set_container_count,
)
from fgacore.kernel.side cimport TRIE_BITS, TRIE_WIDTH, BlockC, side_base

cdef const uint8_t* ALL_IDS = b"\xff"

cdef enum:
    FILTER_BITS_MIN = 1024
    FILTER_BITS_EACH = 8         # filter bits for each id of the delta: one untouched id in eight at most takes the slow path


cdef int filter_add(EditC* edit, SideC* side, uint32_t id) except -1 nogil:
    """Set the bit of an id before the version that needs it is published; grow by folding, so that old bits keep their meaning."""
    cdef uint32_t bits = side.filter_mask + 1 if side.filter != NULL else 0
    cdef uint32_t wanted = bits, i
    cdef uint8_t* grown
    if edit.private:             # the filter is shared with others, and a call is short: it looks into the delta for every id
        side.filter = <uint8_t*>ALL_IDS
        side.filter_mask = 7
        return 0
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
    """The edit no longer uses an array that carries no stamp itself; stamp is that of the edit that made it, 0 of a mapped one, which nobody frees."""
    if array == NULL or stamp == 0 or edit.private:
        return 0
    return pointers_add(&edit.discarded if stamp == edit.stamp else &edit.retired, <void*>array)


cdef NodeC* node_own(EditC* edit, NodeC* node) except NULL nogil:
    """The node itself where the edit owns it, else a copy; a new one for NULL."""
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
    if not adding and (at == block.set.size or chunks[at].container.key != value >> 16):
        return 0
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
        if (bits[low >> 3] >> (low & 7)) & 1 == adding:
            return 0
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
        if (i < c.count and values[i] == low) == adding:
            return 0
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
        if (i < block.set.count and members[i] == value) == adding:
            return 0
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
