"""See memory.pxd."""

from libc.stdlib cimport free, malloc, realloc

cdef extern from *:
    """
    #include <stdlib.h>
    #if defined(__GLIBC__)
    #include <malloc.h>
    static inline void fga_release(void) { malloc_trim(0); }
    #else
    static inline void fga_release(void) {}
    #endif
    """
    void fga_release() nogil

cdef enum:
    ARENA_BYTES = 16384          # of a chunk; a larger block has one of its own


cdef bint pointers_room(PointersC* p, size_t more) noexcept nogil:
    """Make room, so that the next `more` additions cannot fail. 0: no memory."""
    cdef size_t capacity = 2 * p.capacity if p.capacity else 8
    cdef void** items
    if p.count + more <= p.capacity:
        return 1
    if capacity < p.count + more:
        capacity = p.count + more
    items = <void**>realloc(p.items, capacity * sizeof(void*))
    if items == NULL:
        return 0
    p.items = items
    p.capacity = capacity
    return 1


cdef int pointers_reserve(PointersC* p, size_t more) except -1 nogil:
    """The same, or MemoryError."""
    if not pointers_room(p, more):
        with gil:
            raise MemoryError()
    return 0


cdef int pointers_add(PointersC* p, void* item) except -1 nogil:
    pointers_reserve(p, 1)
    p.items[p.count] = item
    p.count += 1
    return 0


cdef void pointers_free(PointersC* p, bint items) noexcept nogil:
    """Free the array, and with items what it points to."""
    cdef size_t i
    if items:
        for i in range(p.count):
            free(p.items[i])
    free(p.items)
    p.items = NULL
    p.count = 0
    p.capacity = 0


cdef void* edit_alloc(EditC* edit, size_t size) except NULL nogil:
    """A block owned by the edit until it is published, then by the versions. Its first eight bytes are the edit's stamp."""
    cdef void* block
    cdef size_t room
    if edit.private:
        size = (size + 7) & ~<size_t>7
        if <size_t>(edit.arena_end - edit.arena) < size:
            room = size if size > ARENA_BYTES else ARENA_BYTES
            edit.arena = <char*>edit_keep(edit, malloc(room))
            edit.arena_end = edit.arena + room
        block = edit.arena
        edit.arena += size
        (<uint64_t*>block)[0] = edit.stamp
        return block
    pointers_reserve(&edit.fresh, 1)
    block = malloc(size)
    if block == NULL:
        with gil:
            raise MemoryError()
    (<uint64_t*>block)[0] = edit.stamp
    pointers_add(&edit.fresh, block)
    return block


cdef void* edit_keep(EditC* edit, void* block) except NULL nogil:
    """Take over a block that carries no stamp; NULL: it could not be had. It is freed where this fails."""
    if block == NULL or not pointers_room(&edit.fresh, 1):
        free(block)
        with gil:
            raise MemoryError()
    edit.fresh.items[edit.fresh.count] = block
    edit.fresh.count += 1
    return block


cdef int edit_replace(EditC* edit, void* block) except -1 nogil:
    """The edit no longer uses a stamped block: discard its own, retire another's."""
    if block == NULL or edit.private:
        return 0
    if (<uint64_t*>block)[0] == edit.stamp:
        return pointers_add(&edit.discarded, block)
    return pointers_add(&edit.retired, block)


cdef void edit_abandon(EditC* edit) noexcept nogil:
    """Undo: free what the edit allocated, forget what it would have retired."""
    pointers_free(&edit.fresh, True)
    pointers_free(&edit.discarded, False)
    pointers_free(&edit.retired, False)


def release():
    """Give memory that is free back to the machine, after much of it was: where the C library keeps it for itself otherwise."""
    with nogil:
        fga_release()
