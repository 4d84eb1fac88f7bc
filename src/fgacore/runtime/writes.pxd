"""Writes: each is validated whole against the state and the writes staged before it, then made in an edit that nobody sees until it is committed.

    stage     validate, intern the new names, change the edit; the write as a payload for the log
    commit    publish the edit: after the log has the payload
    apply     the same from a payload, as written by any process: what followers and replays do, and a writer whose state has moved on meanwhile

Nothing is interned or changed before all of a write is known to be right. What expires is taken out in the same way when its instant has passed, at the
first call after it, without a revision of its own. The caller holds the state's lock through every call.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from fgacore.kernel.names cimport Names
from fgacore.kernel.tables cimport Edit, Version
from fgacore.runtime.resolve cimport ChangeC, NewNameC, Resolver
from fgacore.runtime.state cimport State

cdef enum:                       # what to do with a tuple that is stored already
    ON_ERROR = 0
    ON_IGNORE = 1                # pass over it, where it is stored as it is to be
    ON_REPLACE = 2

cdef struct TouchedC:            # a plain subject that was written about
    uint32_t type
    uint32_t id


cdef class Staged:
    """Writes on their way, one after the other in one edit. Made by Writer.begin; good for as long as the version that it began with is the newest.

    New names are interned as they come; `Writer.abandon` forgets them again. Until it is committed no tuple and no id tells of them.
    """

    cdef Edit edit
    cdef Names names             # into which it interns
    cdef list mark               # how many names of each type there were when it began
    cdef TouchedC* touched
    cdef size_t touched_count
    cdef size_t touched_room
    cdef list expiries           # to go into the heap
    cdef bint structural         # a structural table was changed
    cdef readonly int64_t instant    # engine time when it began
    cdef readonly int64_t soonest    # the first expiry among its tuples, or NEVER
    cdef int touch(self, const ChangeC* changes, Py_ssize_t count) except -1


cdef class Writer:
    cdef State state
    cdef int enter(self) except -1
    cdef tuple stage_items(
        self, Staged staged, object writes, list deletes, int duplicates, bint ignore_missing, object model_id, bint repeats)
    cdef bint finish(self, Staged staged, uint64_t revisions) except -1
    cdef Version publish(self, Edit edit, uint64_t revisions, bint structural)
    cdef uint64_t find_deleted(self, Edit edit, ChangeC* changes, Py_ssize_t count, list deletes, bint ignore_missing) except? 0xFFFFFFFFFFFFFFFFU
    cdef uint64_t find_written(
        self, Edit edit, ChangeC* changes, Py_ssize_t first, Py_ssize_t end, object writes, Resolver resolver, int duplicates,
        ) except? 0xFFFFFFFFFFFFFFFFU
    cdef bytes intern(self, ChangeC* changes, Py_ssize_t total, Resolver resolver)
    cdef int perform(self, Staged staged, ChangeC* changes, Py_ssize_t deletes, Py_ssize_t total, Resolver resolver) except -1
    cdef int grant_all(self, Staged staged, const ChangeC* changes, Py_ssize_t count, Resolver resolver) except -1
    cdef int drop_stale(self) except -1
    cdef int set_next(self) except -1
    cdef int64_t tick(self, bint patient) except -1
    cdef int64_t expire_due(self) except -1
    cdef int expire(self, int64_t instant) except -1
    cdef int confirm(self, int64_t instant) except -1
    cdef bint shapes(self, const ChangeC* changes, Py_ssize_t total, Resolver resolver) except -1
    cdef void drop_views(self, const TouchedC* touched, size_t count, list models) noexcept
