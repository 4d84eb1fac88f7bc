"""The bell: 64 bytes of a file through which a process that has committed wakes those that follow. A hint, never the truth.

The bytes are read by `pread` and written by `pwrite`; the mapping only gives the futex its address and is never touched, so a file that is cut short,
or a disk that is full, is an error code and no signal. No content of the file does harm: `wait` reports one state of it once, and who is woken looks
at the log itself. Also here, since it must run without the GIL too: waiting for a socket.
"""

from cpython.ref cimport Py_INCREF
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

import os

from fgacore.formats import BELL_MAGIC as _MAGIC

cdef extern from * nogil:
    """
    #include <errno.h>
    #include <poll.h>
    #include <string.h>
    #include <sys/mman.h>
    #include <time.h>
    #include <unistd.h>
    #if defined(__linux__)
    #include <linux/futex.h>
    #include <sys/syscall.h>
    #endif
    enum { BELL_BYTES = 64, BELL_NAP = 1000000 };    /* nanoseconds between two looks where there is no futex */
    static inline int64_t fga_bell_now(void) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
    }
    static inline void fga_bell_nap(int64_t nanoseconds) {
        struct timespec t;
        t.tv_sec = (time_t)(nanoseconds / 1000000000);
        t.tv_nsec = (long)(nanoseconds % 1000000000);
        nanosleep(&t, NULL);
    }
    static inline void *fga_bell_map(int fd, int writable) {
        void *map = mmap(NULL, BELL_BYTES, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
        return map == MAP_FAILED ? NULL : map;
    }
    static inline void fga_bell_unmap(void *map) { munmap(map, BELL_BYTES); }
    /* What the page says; 0 where it is cut short. */
    static inline int fga_bell_read(int fd, BellPageC *page) {
        if (pread(fd, page, sizeof *page, 0) == (ssize_t)sizeof *page) return 1;
        memset(page, 0, sizeof *page);
        return 0;
    }
    /* Another word than before, and all who wait are awake. The kernel adds: several may ring at once, and a page that is gone is EFAULT. */
    static inline void fga_bell_bump(int fd, void *map, int writable) {
    #if defined(__linux__)
        char *word = (char *)map + 16;
        if (!writable || syscall(SYS_futex, word, FUTEX_WAKE_OP, 0x7fffffff, (void *)0, word, FUTEX_OP(FUTEX_OP_ADD, 1, FUTEX_OP_CMP_EQ, 0)) < 0)
            syscall(SYS_futex, word, FUTEX_WAKE, 0x7fffffff, NULL, NULL, 0);
    #else
        BellPageC page;
        if (!writable || !fga_bell_read(fd, &page)) return;
        page.word++;
        if (pwrite(fd, &page.word, 4, 16) != 4) return;
    #endif
    }
    static inline void fga_bell_sleep(void *map, uint32_t word, int64_t nanoseconds) {
    #if defined(__linux__)
        struct timespec t;
        t.tv_sec = (time_t)(nanoseconds / 1000000000);
        t.tv_nsec = (long)(nanoseconds % 1000000000);
        if (syscall(SYS_futex, (char *)map + 16, FUTEX_WAIT, word, &t, NULL, 0) == 0) return;
        if (errno == EAGAIN || errno == EINTR || errno == ETIMEDOUT) return;
    #endif
        fga_bell_nap(nanoseconds < BELL_NAP ? nanoseconds : BELL_NAP);
    }
    static inline void fga_bell_write(int fd, uint64_t revision) {
        if (pwrite(fd, &revision, 8, 8) != 8) return;    /* a full disk: who follows looks by itself */
    }
    static inline int fga_bell_poll(int first, int second, int64_t nanoseconds) {
        struct pollfd each[2];
        int n, milliseconds = (int)((nanoseconds + 999999) / 1000000);
        each[0].fd = first; each[0].events = POLLIN; each[0].revents = 0;
        each[1].fd = second; each[1].events = POLLIN; each[1].revents = 0;
        n = poll(each, 2, milliseconds);
        if (n <= 0) return n;
        return (each[0].revents ? 1 : 0) | (each[1].revents ? 2 : 0);
    }
    static inline void fga_flag_put(int32_t *flag, int value) { if (flag) __atomic_store_n(flag, value, __ATOMIC_RELEASE); }
    static inline void fga_flag_set(int32_t *flag) { fga_flag_put(flag, 1); }
    static inline uint64_t fga_revision_in(const uint64_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
    static inline int32_t fga_flag_take(int32_t *flag) { return __atomic_exchange_n(flag, 0, __ATOMIC_ACQ_REL); }
    """
    enum: BELL_BYTES
    int64_t fga_bell_now()
    void* fga_bell_map(int fd, int writable)
    void fga_bell_unmap(void* map)
    int fga_bell_read(int fd, BellPageC* page)
    void fga_bell_bump(int fd, void* map, int writable)
    void fga_bell_sleep(void* map, uint32_t word, int64_t nanoseconds)
    void fga_bell_write(int fd, uint64_t revision)
    int fga_bell_poll(int first, int second, int64_t nanoseconds)
    void fga_flag_put(int32_t* flag, int value)
    void fga_flag_set(int32_t* flag)
    uint64_t fga_revision_in(const uint64_t* word)
    int32_t fga_flag_take(int32_t* flag)


cdef class News:
    """What a process has of a log, and whether there is more: for threads that look at it while they have not the GIL."""

    def __cinit__(self, uint64_t revision=0):
        self.seen = revision

    @property
    def revision(self) -> int:
        """The newest revision that this process has."""
        return fga_revision_in(&self.seen)

    @revision.setter
    def revision(self, uint64_t revision) -> None:
        self.seen = revision

    @property
    def is_behind(self) -> bool:
        """Whether there is more, which was not fetched yet."""
        return self.behind != 0

    @is_behind.setter
    def is_behind(self, bint is_behind) -> None:
        fga_flag_put(&self.behind, is_behind)


cdef class Bell:
    """One process's hold on the bell of a store. `ring` and `wake` are any thread's, `wait` is one thread's; the owner closes it when none is inside.

    OSError where the file is not there and not to be made, or is no bell and cannot be written.
    """

    def __cinit__(self, path, bint create):
        self.fd = -1
        self.map = NULL
        self.woken = 0
        self.writable = 0
        if create:
            try:
                self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
                self.writable = 1
            except PermissionError:
                pass
        if self.fd < 0:
            self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        if os.pread(self.fd, BELL_BYTES, 0)[:8] != _MAGIC or os.fstat(self.fd).st_size < BELL_BYTES:
            if not self.writable:
                raise OSError(f"{path} is no bell")
            if os.pwrite(self.fd, _MAGIC.ljust(BELL_BYTES, b"\0"), 0) != BELL_BYTES:
                raise OSError(f"{path} cannot be written")
        self.map = fga_bell_map(self.fd, self.writable)
        if self.map == NULL:
            raise OSError(errno, os.strerror(errno), path)
        fga_bell_read(self.fd, &self.reported)
        self.reported.revision = 0  # what was rung before is news to one who has not seen it

    def __dealloc__(self):
        self.give_up()

    cdef void give_up(self):
        if self.map != NULL:
            fga_bell_unmap(self.map)
            self.map = NULL
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def close(self) -> None:
        """Give up file and mapping. A second call does nothing."""
        self.give_up()

    @property
    def revision(self) -> int:
        """The newest revision that was rung, as far as the file can be believed."""
        cdef BellPageC page
        if self.fd < 0:
            return 0
        fga_bell_read(self.fd, &page)
        return page.revision

    def ring(self, uint64_t revision) -> None:
        """Tell all who wait that this revision is in the log. Does nothing where the file cannot be written."""
        cdef BellPageC page
        if self.map == NULL or not self.writable:
            return
        with nogil:
            if fga_bell_read(self.fd, &page) and page.revision < revision:
                fga_bell_write(self.fd, revision)
            fga_bell_bump(self.fd, self.map, 1)

    def wake(self) -> None:
        """End the `wait` of this process. What waits elsewhere looks, and waits on."""
        if self.map == NULL:
            return
        fga_flag_set(&self.woken)
        fga_bell_bump(self.fd, self.map, self.writable)

    def wait(self, News news not None, double timeout) -> bool:
        """Wait, without the GIL, until a revision after `news.revision` is rung: True. False when the time is over or `wake` was called.

        `news.is_behind` is set before the GIL is asked for.
        """
        cdef BellPageC page
        cdef int64_t end, left
        cdef bint found = False
        if self.map == NULL:
            return False
        with nogil:
            end = fga_bell_now() + <int64_t> (min(max(timeout, 0.0), 1e6) * 1e9)
            while not fga_flag_take(&self.woken):
                fga_bell_read(self.fd, &page)
                if page.revision > fga_revision_in(&news.seen) and (page.revision != self.reported.revision or page.word != self.reported.word):
                    self.reported = page
                    fga_flag_set(&news.behind)
                    found = True
                    break
                left = end - fga_bell_now()
                if left <= 0:
                    break
                fga_bell_sleep(self.map, page.word, left)
        return found


def wait_readable(int first, int second, double timeout, News news=None) -> int:
    """Wait, without the GIL, until one of two descriptors can be read: 1 for the first, 2 for the second, 3 for both; 0 when the time is over.

    `news.is_behind` is set where the first one can be, before the GIL is asked for.
    """
    cdef int64_t end, left
    cdef int ready, error
    cdef int32_t* flag = &news.behind if news is not None else NULL
    with nogil:
        end = fga_bell_now() + <int64_t> (min(max(timeout, 0.0), 1e6) * 1e9)
        while True:
            left = end - fga_bell_now()
            ready = fga_bell_poll(first, second, left if left > 0 else 0)
            error = errno
            if ready & 1 and ready > 0:
                fga_flag_set(flag)
            if ready > 0 or (ready == 0 and left <= 0) or (ready < 0 and error != EINTR and error != EAGAIN):
                break
    if ready < 0:
        raise OSError(error, os.strerror(error))
    return ready


def forget(object) -> None:
    """Keep an object until the process ends: a connection inherited over a fork must never be closed, since that would reach the parent's."""
    Py_INCREF(object)
