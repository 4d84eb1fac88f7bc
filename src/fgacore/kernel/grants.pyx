"""See grants.pxd. A child of a node is NULL, a node, or a chain of grants of one hash, marked by its lowest bit."""

from libc.stdint cimport uintptr_t
from libc.stdlib cimport free

from fgacore.kernel.delta cimport drop_array, node_own
from fgacore.kernel.memory cimport edit_alloc, edit_replace
from fgacore.kernel.side cimport TRIE_BITS, TRIE_WIDTH

cdef enum:
    LEVELS_MAX = 8               # of a trie over hashes of 32 bits


cdef inline uint32_t hash_of(uint32_t object, uint32_t subject) noexcept nogil:
    cdef uint64_t key = ((<uint64_t>object << 32) | subject) * <uint64_t>0x9E3779B97F4A7C15U
    key = (key ^ key >> 29) * <uint64_t>0xBF58476D1CE4E5B9U
    return <uint32_t>(key >> 32)


cdef inline void* as_leaf(GrantC* grant) noexcept nogil:
    return <void*>((<uintptr_t>grant) | 1) if grant != NULL else NULL


cdef const GrantC* grant_get(const void* root, uint32_t object, uint32_t subject) noexcept nogil:
    """The grant of a tuple, or NULL where it has none."""
    cdef uint32_t hash = hash_of(object, subject)
    cdef const GrantC* grant
    while root != NULL:
        if grant_is_leaf(root):
            grant = grant_of_leaf(root)
            while grant != NULL:
                if grant.object == object and grant.subject == subject:
                    return grant
                grant = grant.next
            return NULL
        root = (<const NodeC*>root).child[hash & (TRIE_WIDTH - 1)]
        hash >>= TRIE_BITS
    return NULL


cdef GrantC* chain_without(EditC* edit, GrantC* chain, uint32_t object, uint32_t subject) except? NULL nogil:
    """A chain without one grant: what lies before it is copied. Its context goes with it."""
    cdef GrantC* out = NULL
    cdef GrantC* copy
    cdef GrantC* grant = chain
    while grant != NULL and (grant.object != object or grant.subject != subject):
        grant = grant.next
    if grant == NULL:
        return chain
    out = grant.next
    while chain != grant:
        copy = <GrantC*>edit_alloc(edit, sizeof(GrantC))
        copy.object = chain.object
        copy.subject = chain.subject
        copy.expires = chain.expires
        copy.context = chain.context
        copy.context_stamp = chain.context_stamp
        copy.next = out
        out = copy
        edit_replace(edit, chain)
        chain = chain.next
    drop_array(edit, grant.context, grant.context_stamp)
    edit_replace(edit, grant)
    return out


cdef int grant_put(EditC* edit, void** root, uint32_t object, uint32_t subject, int64_t expires, const ContextC* context) except -1 nogil:
    """Keep what is stored with a tuple, in the place of what was. The context is the edit's already."""
    cdef uint32_t hash = hash_of(object, subject), other, shift = 0
    cdef void** slot = root
    cdef NodeC* node
    cdef GrantC* rest = NULL
    cdef GrantC* grant
    grant = <GrantC*>edit_alloc(edit, sizeof(GrantC))
    while slot[0] != NULL:
        if grant_is_leaf(slot[0]):
            other = hash_of(grant_of_leaf(slot[0]).object, grant_of_leaf(slot[0]).subject)
            if other == hash:
                rest = chain_without(edit, grant_of_leaf(slot[0]), object, subject)
                break
            node = node_own(edit, NULL)
            node.child[(other >> shift) & (TRIE_WIDTH - 1)] = slot[0]
        else:
            node = node_own(edit, <NodeC*>slot[0])
        slot[0] = node
        slot = &node.child[(hash >> shift) & (TRIE_WIDTH - 1)]
        shift += TRIE_BITS
    grant.object = object
    grant.subject = subject
    grant.expires = expires
    grant.context = context
    grant.context_stamp = edit.stamp
    grant.next = rest
    slot[0] = as_leaf(grant)
    return 0


cdef int grant_drop(EditC* edit, void** root, uint32_t object, uint32_t subject) except -1 nogil:
    """Forget what is stored with a tuple, if anything is. A node that is left with nothing goes too."""
    cdef uint32_t hash = hash_of(object, subject), depth = 0, i
    cdef void** path[LEVELS_MAX + 1]
    cdef void** slot = root
    cdef NodeC* node
    if grant_get(root[0], object, subject) == NULL:
        return 0
    while not grant_is_leaf(slot[0]):
        node = node_own(edit, <NodeC*>slot[0])
        slot[0] = node
        path[depth] = slot
        slot = &node.child[(hash >> TRIE_BITS * depth) & (TRIE_WIDTH - 1)]
        depth += 1
    slot[0] = as_leaf(chain_without(edit, grant_of_leaf(slot[0]), object, subject))
    while depth and slot[0] == NULL:
        depth -= 1
        slot = path[depth]
        node = <NodeC*>slot[0]
        for i in range(TRIE_WIDTH):
            if node.child[i] != NULL:
                return 0
        edit_replace(edit, node)
        slot[0] = NULL
    return 0


cdef void grants_free(void* root) noexcept nogil:
    """Free a whole trie, at most as deep as the hash has digits."""
    cdef GrantC* grant
    cdef GrantC* following
    cdef uint32_t i
    if root == NULL:
        return
    if grant_is_leaf(root):
        grant = grant_of_leaf(root)
        while grant != NULL:
            following = grant.next
            free(<void*>grant.context)
            free(grant)
            grant = following
        return
    for i in range(TRIE_WIDTH):
        grants_free((<NodeC*>root).child[i])
    free(root)
