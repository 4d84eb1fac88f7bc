"""Writes: validate a whole call against the state, then change it in one edit. Nothing is interned or changed before all of it is known to be right.

What expires is taken out in the same way when its instant has passed, at the first call after it, without a revision of its own.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from fgacore.kernel.tables cimport Edit, Version
from fgacore.runtime.resolve cimport ChangeC, NewNameC, Resolver
from fgacore.runtime.state cimport State

cdef enum:                       # what to do with a tuple that is stored already
    ON_ERROR = 0
    ON_IGNORE = 1                # pass over it, where it is stored as it is to be
    ON_REPLACE = 2


cdef class Writer:
    cdef State state
    cdef set structural          # tables that shape closures and parents under any model of the store: usersets, wildcards, parents
    cdef list expiries           # a heap of (instant, table, object id, subject id): every stored tuple that can expire, and some that are gone
    cdef size_t expiries_max     # entries from which those that are gone are dropped
    cdef readonly uint64_t expired   # tuples that expired, and whose removal is not recorded
    cdef bint busy               # a write is under way: its lock lets its own thread in again
    cdef int begin(self) except -1
    cdef Version publish(self, Edit edit, uint64_t revisions, bint structural)
    cdef uint64_t find_deleted(self, Version version, ChangeC* changes, Py_ssize_t count, list deletes, bint ignore_missing) except? 0xFFFFFFFFFFFFFFFFU
    cdef uint64_t find_written(
        self, Version version, ChangeC* changes, Py_ssize_t first, Py_ssize_t end, list writes, Resolver resolver, int duplicates,
        ) except? 0xFFFFFFFFFFFFFFFFU
    cdef int grant_all(self, Edit edit, const ChangeC* changes, Py_ssize_t count, Resolver resolver) except -1
    cdef int drop_stale(self, Version version) except -1
    cdef int set_next(self) except -1
    cdef int64_t tick(self) except -1
    cdef int expire(self, int64_t instant) except -1
    cdef bint shapes(self, const ChangeC* changes, Py_ssize_t total, Resolver resolver) except -1
    cdef void drop_views(self, const ChangeC* changes, Py_ssize_t total, list models) noexcept
    cdef int intern(self, ChangeC* changes, Py_ssize_t total, Resolver resolver) except -1
    cdef uint32_t intern_one(self, NewNameC* name) except? 0xFFFFFFFFU
