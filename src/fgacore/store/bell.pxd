"""The page that the processes of one store share, and one process's hold on it.

`ring` and `wake` may be called by any thread, `wait` by one at a time; only `wait` writes `reported`. A bell is closed when no thread is inside.
"""

from libc.stdint cimport int32_t, uint32_t, uint64_t

cdef extern from * nogil:
    """
    #include <stdint.h>
    #ifndef FGACORE_BELL_PAGE
    #define FGACORE_BELL_PAGE
    /* The first bytes of the file; 40 zeros follow. The layout is on disk: do not change it. */
    typedef struct {
        uint64_t magic;       /* BELL_MAGIC of formats.py */
        uint64_t revision;    /* the newest that was rung; only grows */
        uint32_t word;        /* the futex: another one after each ring */
        uint32_t zero;
    } BellPageC;
    #endif
    """
    ctypedef struct BellPageC:
        uint64_t magic
        uint64_t revision
        uint32_t word


cdef class Bell:
    cdef int fd               # -1: closed
    cdef int writable
    cdef void* map            # the same bytes, for the futex alone: never read or written through it
    cdef int32_t woken        # by `wake`; `wait` takes it back
    cdef BellPageC reported   # the state that `wait` last returned for: it is never news again

    cdef void give_up(self)


cdef class News:
    """What a process has of a log, and whether there is more: read and set by threads that have not the GIL, too."""

    cdef uint64_t seen        # the newest revision that this process has
    cdef int32_t behind       # there is more, which was not fetched yet
