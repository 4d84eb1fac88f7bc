"""Grants: what is stored with a tuple beyond its three names, its condition's context and its expiry. Most tuples have none.

One persistent 16-way trie for each table, by a hash of (object id, subject id), in which a leaf lies as high as it can; copying the path makes a new
version. Whether a tuple is stored, only the sides of its table say: a grant is read where they have it.
Written under the store's write lock, or in a private edit; read by any thread without the GIL.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t, uintptr_t

from fgacore.kernel.memory cimport EditC
from fgacore.kernel.side cimport NodeC
from fgacore.kernel.values cimport ContextC

cdef enum:
    NEVER = 0x7FFFFFFFFFFFFFFF   # an instant that does not come, in microseconds since the epoch

cdef struct GrantC:
    uint64_t stamp
    uint32_t object
    uint32_t subject
    int64_t expires              # microseconds since the epoch, or NEVER
    const ContextC* context      # NULL: none; a block of its own, shared by the copies of a grant
    uint64_t context_stamp       # of the edit that brought the context
    GrantC* next                 # another with the same hash


cdef inline bint grant_is_leaf(const void* child) noexcept nogil:
    """Whether a child of a node is a chain of grants, and no node."""
    return (<uintptr_t>child) & 1


cdef inline GrantC* grant_of_leaf(const void* child) noexcept nogil:
    return <GrantC*>((<uintptr_t>child) & ~<uintptr_t>1)


cdef const GrantC* grant_get(const void* root, uint32_t object, uint32_t subject) noexcept nogil
cdef int grant_put(EditC* edit, void** root, uint32_t object, uint32_t subject, int64_t expires, const ContextC* context) except -1 nogil
cdef int grant_drop(EditC* edit, void** root, uint32_t object, uint32_t subject) except -1 nogil
cdef void grants_free(void* root) noexcept nogil
