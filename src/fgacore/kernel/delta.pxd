"""Editing a side: one member more or less in the set of one id, in the delta of the edit's own version.

The path to a set is copied where another version can reach it; so is a run, and of a large set the one container that changes.
A base that is mapped may be damaged: then a member to remove may not be there. A change that is none is none; nothing is overrun.
INVARIANT (published blocks are frozen): a block whose stamp is not the current edit's is never written to, the filter's bits excepted.
Under the store's write lock.
"""

from libc.stdint cimport uint32_t, uint64_t

from fgacore.kernel.memory cimport EditC
from fgacore.kernel.side cimport NodeC, SideC

cdef int side_change(EditC* edit, SideC* side, uint32_t id, uint32_t value, bint adding) except -1 nogil
cdef int retire_trie(EditC* edit, NodeC* node, uint32_t level) except -1 nogil
cdef int drop_array(EditC* edit, const void* array, uint64_t stamp) except -1 nogil
cdef NodeC* node_own(EditC* edit, NodeC* node) except NULL nogil
