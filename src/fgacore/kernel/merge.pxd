"""Merging a side: a new base of the old one, its delta, and what a large write adds. Under the store's write lock; readers go on beside it."""

from libc.stdint cimport uint64_t

from fgacore.kernel.memory cimport EditC
from fgacore.kernel.side cimport SideC

cdef enum:
    WORDS_SPARE = 16             # readable words past the end of a base's, so that a vector load of a run stays inside

cdef int side_rebuild(const SideC* side, const uint64_t* added, size_t added_count, SideC* out) except -1 nogil
cdef int side_swap(EditC* edit, SideC* side, SideC* rebuilt) except -1 nogil
