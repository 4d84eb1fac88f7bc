"""The state that checks read and writes replace: names, the current version, the models. Held by the engine, shared by its runtime."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from fgacore.kernel.check cimport CheckerC
from fgacore.kernel.names cimport Names
from fgacore.kernel.plan cimport ModelPlan
from fgacore.kernel.plan cimport Plan
from fgacore.kernel.tables cimport Edit, Version
from fgacore.kernel.view cimport CacheC, ViewC
from fgacore.runtime.conditions cimport Request
from fgacore.runtime.gate cimport GateC
from fgacore.store.bell cimport News


cdef class Checker:
    """The memory of one call at a time, from a pool. Owned by the thread that took it."""
    cdef CheckerC c
    cdef Version version         # pinned while it is in use
    cdef Request request         # the context of the call, where its model has conditions
    cdef ViewC* view             # of the subject under way, owned until it is given back; NULL: the scratch view


cdef class State:
    cdef Names names             # of the newest version
    cdef Version version         # the newest; replaced whole, under the GIL
    cdef readonly News news      # its revision, and whether the log has more
    cdef ModelPlan model         # the newest model, or None
    cdef readonly dict models    # model id to ModelPlan, of those that are compiled
    cdef readonly dict sources   # model id to the model's JSON, in the order of the log: a model's place in it is its number
    cdef readonly object symbols # SymbolTable: numbers of types, relations and tables
    cdef readonly object control # Control: delegations, suspensions, boundaries and settings. Changed under the lock
    cdef readonly uint64_t control_serial    # grows whenever it is: what was made of it before is of no more use
    cdef dict bound              # parameters of conditions that a call cannot give: name to what it is bound to; None: there are none
    cdef readonly set structural # tables that shape closures and parents under any model compiled: usersets, wildcards, parents
    cdef readonly list expiries  # a heap of (instant, table, object id, subject id): every stored tuple that can expire, and some that are gone
    cdef size_t expiries_max     # entries from which those that are gone are dropped
    cdef readonly uint64_t expired   # tuples that expired, and whose removal is not recorded
    cdef dict ahead              # of these the ones that expired since the newest record: (table, object id, subject id) to the instant
    cdef readonly int64_t expired_last   # the latest expiry among all that expired
    cdef CheckerC single         # of single checks, which run under the GIL from begin to end
    cdef Checker spare           # an idle checker, before those of the list
    cdef list checkers           # idle
    cdef CacheC cache            # of views
    cdef GateC gate              # of threads that ask batches at once
    cdef readonly object lock    # of changes to this state: held for as long as they are made, never while a disk or a server is waited for
    cdef bint busy               # a change is under way: the lock lets its own thread in again
    cdef readonly object clock   # gives the time: an aware datetime or seconds since the epoch; None: the wall clock
    cdef int64_t instant         # engine time: the latest that was seen, in microseconds since the epoch
    cdef int64_t next_expiry     # of a tuple that is stored; NEVER: none
    cdef bint timed              # calls look at the clock: a tuple can expire, or the clock is not the machine's
    cdef bint ticking            # calls have something to do before they begin: `timed`, or a log is followed
    cdef object compiler         # compiles a model that is there as JSON; None: there is none such
    cdef object keeper           # of a state that follows a log: runtime/replica.py's Replica, which is asked to `attend`. None: nothing is followed
    cdef bint attention          # the keeper has something to see to, or nothing may be answered
    cdef int64_t fresh_until     # by the monotonic clock, in nanoseconds: until then answers need no more news of the log
    cdef uint32_t* siblings      # by table: the next one with the same object type, relation and kind of subject, in a ring
    cdef uint32_t* key_tables    # by table: the first of its ring, which stands for the key
    cdef uint32_t* plain_types   # by table: the type of its plain subjects; NO_TYPE: they are usersets or a wildcard
    cdef uint32_t sibling_count
    cdef uint64_t conditions_work    # of all conditions of one call
    cdef uint64_t visited_max    # tuples looked at for one question
    cdef readonly uint64_t serial    # of the newest version
    cdef public uint64_t kept_bytes  # of the records that a store without a log keeps, about
    cdef readonly uint64_t visited   # tuples looked at since the store was opened
    cdef readonly uint64_t checks    # questions answered
    cdef readonly uint64_t decided       # conditions evaluated
    cdef readonly uint64_t alternations  # passes over recursions with a subtraction inside
    cdef bint open
    cdef int ask_single(self, Version version, Plan plan, uint32_t subject, uint32_t node, uint32_t id) noexcept
    cdef Checker take(self)
    cdef int give(self, Checker checker) except -1
    cdef int begin(self, Checker checker, Plan plan, uint32_t subject, bint build) except -1
    cdef int end(self, Checker checker) except -1
    cdef ModelPlan plan(self, object model_id)
    cdef int64_t now(self) except -1
    cdef int ring(self) except -1
    cdef int set_ticking(self) except -1
    cdef void show(self, Version version) noexcept
    cdef int attend(self, bint patient) except -1
    cdef uint32_t stored_in(self, Edit edit, uint32_t table, uint32_t object, uint32_t subject) noexcept
    cdef int prepare(self, Checker checker, ModelPlan model, object context, int64_t instant) except -1
    cdef int set_control(self, object control) except -1
