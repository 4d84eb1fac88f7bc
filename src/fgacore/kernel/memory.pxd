"""Allocation for structures that readers share with a writer: nothing a published version can reach is changed or freed under it.

A write is one edit. Blocks that the edit allocates carry its stamp and may be changed in place until the edit is published;
any other block is copied first and the old one retired. Retired blocks are freed when the last version that could reach them is gone.
Used by names and tables, under the store's write lock. A reader makes one kind of edit: a private one, whose version only its own call sees.
Its blocks lie in an arena that goes with the version; it frees nothing of others.
"""

from libc.stdint cimport uint64_t

cdef struct PointersC:           # a growing array of pointers
    void** items
    size_t count
    size_t capacity

cdef struct EditC:
    uint64_t stamp               # of this edit; every block it allocated begins with it
    PointersC fresh              # every block allocated by the edit: freed if it is abandoned
    PointersC discarded          # the fresh blocks that it replaced itself: freed when it is published
    PointersC retired            # older blocks that it replaced: freed when the version before it, and all older ones, are gone
    char* arena                  # of a private edit: where its next block goes,
    char* arena_end              # and where the chunk ends; the chunks are in `fresh`
    bint private

cdef int pointers_reserve(PointersC* p, size_t more) except -1 nogil
cdef int pointers_add(PointersC* p, void* item) except -1 nogil
cdef void pointers_free(PointersC* p, bint items) noexcept nogil
cdef void* edit_alloc(EditC* edit, size_t size) except NULL nogil
cdef void* edit_keep(EditC* edit, void* block) except NULL nogil
cdef int edit_replace(EditC* edit, void* block) except -1 nogil
cdef void edit_abandon(EditC* edit) noexcept nogil
