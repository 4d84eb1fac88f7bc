"""Reading a side: see side.pxd."""

from libc.stdlib cimport free

from fgacore.kernel.sets cimport CHUNKED, ROARING, ChunkC


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
    """A roaring bitmap of the base: two words (members, bytes) before it. Bytes out of the words, or too few for the members, read as an empty set:
    each container has up to 65,536 members and four bytes in the header."""
    cdef uint64_t at = offset & ~<uint32_t>LARGE
    if at + 2 > side.word_count:
        return 0
    out.count = side.words[at]
    out.size = side.words[at + 1]
    out.data = side.words + at + 2
    out.form = ROARING
    return out.count != 0 and out.count <= 16384 * <uint64_t>out.size and at + 2 + ((<uint64_t>out.size + 3) >> 2) <= side.word_count


cdef bint side_base(const SideC* side, uint32_t id, SetC* out) noexcept nogil:
    """The set of an id in the base alone."""
    cdef SideC base = side[0]
    base.filter = NULL
    return side_get(&base, id, out)


cdef void leaves(const NodeC* node, uint32_t level, uint32_t prefix, LeafC* out, uint32_t* count) noexcept nogil:
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


cdef uint64_t side_bytes(const SideC* side) noexcept nogil:
    return 4 * side.word_count + 4 * (<uint64_t>side.set_count + 1) + 16 * <uint64_t>side.page_count if side.words != NULL else 0


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
    if not side_mapped(side):
        free(<void*>side.pages)
        free(<void*>side.offsets)
        free(<void*>side.words)
    free(side.filter)
    if side.root != NULL:
        node_free(side.root, side.height)
