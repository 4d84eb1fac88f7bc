"""The state that checks read and writes replace: names, the current version, the models. Held by the engine, shared by its runtime."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from fgacore.kernel.check cimport CheckerC
from fgacore.kernel.names cimport Names
from fgacore.kernel.plan cimport ModelPlan
from fgacore.kernel.plan cimport Plan
from fgacore.kernel.tables cimport Version
from fgacore.kernel.view cimport CacheC, ViewC
from fgacore.runtime.conditions cimport Request
from fgacore.runtime.gate cimport GateC


cdef class Checker:
    """The memory of one call at a time, from a pool. Owned by the thread that took it."""
    cdef CheckerC c
    cdef Version version         # pinned while it is in use
    cdef Request request         # the context of the call, where its model has conditions
    cdef ViewC* view             # of the subject under way, owned until it is given back; NULL: the scratch view


cdef class State:
    cdef Names names
    cdef Version version         # the newest; replaced whole, under the GIL
    cdef ModelPlan model         # the newest model, or None
    cdef readonly dict models    # model id to ModelPlan
    cdef readonly object symbols # SymbolTable: numbers of types, relations and tables
    cdef CheckerC single         # of single checks, which run under the GIL from begin to end
    cdef Checker spare           # an idle checker, before those of the list
    cdef list checkers           # idle
    cdef CacheC cache            # of views
    cdef GateC gate              # of threads that ask batches at once
    cdef readonly object lock    # of writes, and of moves to the next expiry
    cdef readonly object clock   # gives the time: an aware datetime or seconds since the epoch; None: the wall clock
    cdef int64_t instant         # engine time: the latest that was seen, in microseconds since the epoch
    cdef int64_t next_expiry     # of a tuple that is stored; NEVER: none
    cdef bint ticking            # calls look at the clock: a tuple can expire, or the clock is not the machine's
    cdef uint32_t* siblings      # by table: the next one with the same object type, relation and kind of subject, in a ring
    cdef uint32_t* key_tables    # by table: the first of its ring, which stands for the key
    cdef uint32_t sibling_count
    cdef uint64_t conditions_work    # of all conditions of one call
    cdef uint64_t visited_max    # tuples looked at for one question
    cdef uint64_t serial         # of the newest version
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
    cdef uint32_t stored_in(self, Version version, uint32_t table, uint32_t object, uint32_t subject) noexcept
    cdef int prepare(self, Checker checker, ModelPlan model, object context) except -1
