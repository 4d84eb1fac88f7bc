"""See state.pxd."""

from libc.stdlib cimport free, realloc
from libc.string cimport memset

import itertools
import os
import threading
from collections.abc import Mapping

from fgacore.errors import RequestError, StoreError, quote
from fgacore.kernel.grants cimport NEVER
from fgacore.kernel.check cimport CHAIN_SINGLE, NO, UNKNOWN, YES, ask_bounded, ask_simple, checker_begin, checker_free, run_begin
from fgacore.kernel.view cimport cache_close, cache_find, cache_give, cache_open, cache_take, view_count
from fgacore.kernel.plan cimport NO_TABLE, NO_TYPE
from fgacore.kernel.tables cimport Edit, Version
from fgacore.limits import CHECK_WORK_MAX, CONDITION_WORK_MAX, MEMORY_RECORDS_BYTES_MAX
from fgacore.runtime.clock cimport clock_monotonic, clock_nap, clock_read
from fgacore.runtime.clock import moment_of
from fgacore.runtime.conditions cimport Conditions
from fgacore.runtime.control import Control
from fgacore.runtime.gate cimport GATE_PATIENCE
from fgacore.store.bell cimport News


cdef enum:
    CHECKERS_IDLE_MAX = 64       # more than that many threads at once allocate anew
    BEHIND_NANOSECONDS = 50000   # that a check waits for news on their way
    EXPIRIES_MIN = 1024          # of the heap, before what is no longer stored is looked for in it

cdef uint64_t kept_bytes_max = MEMORY_RECORDS_BYTES_MAX
cdef int64_t ALWAYS = 0x7FFFFFFFFFFFFFFF


cdef class Checker:
    """The memory of one call."""

    def __dealloc__(self):
        checker_free(&self.c)


cdef class State:
    """The state of one store in memory."""

    def __cinit__(self, symbols, clock=None, Names names=None, uint64_t serial=1, Version version=None):
        self.lock = threading.RLock()
        self.news = News()
        self.clock = clock
        self.control = Control()
        self.next_expiry = NEVER
        self.fresh_until = ALWAYS
        self.set_ticking()
        self.conditions_work = CONDITION_WORK_MAX
        self.names = names if names is not None else Names(os.urandom(32), 1, os.urandom(16))
        self.serial = serial
        self.show(version if version is not None else Version.empty(serial, self.names))
        self.models = {}
        self.sources = {}
        self.structural = set()
        self.expiries = []
        self.ahead = {}
        self.expiries_max = EXPIRIES_MIN
        self.symbols = symbols
        self.checkers = []
        self.visited_max = CHECK_WORK_MAX
        self.open = True
        self.gate.patience = GATE_PATIENCE
        if not cache_open(&self.cache):
            raise MemoryError()

    def __dealloc__(self):
        cache_close(&self.cache)
        checker_free(&self.single)
        free(self.siblings)
        free(self.key_tables)
        free(self.plain_types)

    cdef int ask_single(self, Version version, Plan plan, uint32_t subject, uint32_t node, uint32_t id) noexcept:
        """One question by a bounded walk: NO, YES or UNKNOWN. Under the GIL, running no Python code: not for a node that hangs on conditions."""
        cdef ViewC* view = NULL
        cdef int answer
        if plan.c.nodes[node].simple:
            return YES if ask_simple(version.tables, version.table_count, &plan.c, subject, node, id) else NO
        if version is self.version:
            view = cache_find(&self.cache, plan.serial, subject, version.serial, version.structural)
        if view != NULL:
            self.cache.hits += 1
            run_begin(&self.single.run, version.tables, version.table_count, &plan.c, subject, view, self.visited_max)
        else:
            if version is self.version:
                view = cache_take(&self.cache, &plan.c, plan.serial, subject, version.serial, version.structural, False)
            if not checker_begin(&self.single, version.tables, version.table_count, &plan.c, subject, view, self.visited_max):
                return UNKNOWN
        answer = ask_bounded(&self.single, node, id, CHAIN_SINGLE)
        self.visited += self.single.run.visited
        if view != NULL:
            view.busy = 0
            view_count(&self.cache, view)
        return answer

    cdef Checker take(self):
        """A checker for one call, holding the newest version."""
        cdef Checker checker
        if not self.open:
            raise StoreError("the engine is closed", code="closed")
        checker = self.spare
        if checker is not None:
            self.spare = None
        elif self.checkers:
            checker = self.checkers.pop()
        else:
            checker = Checker.__new__(Checker)
        checker.version = self.version
        return checker

    cdef int give(self, Checker checker) except -1:
        """The call is over, well or badly."""
        self.end(checker)
        checker.version = None
        if checker.request is not None:
            checker.request.end()
        if self.spare is None:
            self.spare = checker
        elif len(self.checkers) < CHECKERS_IDLE_MAX:
            self.checkers.append(checker)
        return 0

    cdef int begin(self, Checker checker, Plan plan, uint32_t subject, bint build) except -1:
        """Make a checker ready for a subject. build: many questions follow, so a view is worth making at once.

        INVARIANT (only the newest version has views): a view begun in an older one would miss the writes since, which found no view to mark as stale.
        """
        self.end(checker)
        if checker.version is self.version:
            checker.view = cache_take(&self.cache, &plan.c, plan.serial, subject, checker.version.serial, checker.version.structural, build)
        if not checker_begin(
                &checker.c, checker.version.tables, checker.version.table_count, &plan.c, subject, checker.view, self.visited_max):
            raise MemoryError()
        return 0

    cdef int end(self, Checker checker) except -1:
        """Count the work done for a subject and give its view back."""
        self.visited += checker.c.run.visited
        checker.c.run.visited = 0
        self.decided += checker.c.conditions.decided
        checker.c.conditions.decided = 0
        self.alternations += checker.c.solver.passes
        checker.c.solver.passes = 0
        if checker.view != NULL:
            cache_give(&self.cache, checker.view)
            checker.view = NULL
        return 0

    cdef ModelPlan plan(self, object model_id):
        """The model of an id, or the newest."""
        cdef ModelPlan found
        if model_id is None:
            if self.model is None:
                raise RequestError("the store has no model yet", code="no_model")
            return self.model
        found = self.models.get(str.__str__(model_id)) if isinstance(model_id, str) else None
        if found is None:
            if self.compiler is None or not isinstance(model_id, str) or str.__str__(model_id) not in self.sources:
                raise RequestError(f"no model {quote(model_id)}", code="model_not_found")
            with self.lock:
                found = self.models.get(str.__str__(model_id)) or self.compiler(self, str.__str__(model_id))
        return found

    cdef int prepare(self, Checker checker, ModelPlan model, object context, int64_t instant) except -1:
        """Take in the context of a call, or of one of its questions, which `checker` answers, at the call's instant. Without conditions nothing reads
        it."""
        if model.conditions is not None:
            if self.bound is not None:
                if instant == 0:     # it was bound since the call began
                    instant = self.now()
                if context is not None and not isinstance(context, Mapping):
                    raise RequestError("a context is a mapping", code="invalid_context")
                try:
                    context = {**(context or {}), **dict.fromkeys(self.bound, moment_of(instant).isoformat())}
                except Exception as error:   # a mapping's own code
                    raise RequestError("a context that cannot be read", code="invalid_context") from error
            if checker.request is None:
                checker.request = Request.__new__(Request)
            checker.request.begin(<Conditions>model.conditions, context, &checker.c.conditions, self.conditions_work)
        elif context is not None and not isinstance(context, Mapping):
            raise RequestError("a context is a mapping", code="invalid_context")
        return 0

    # ---- time ----

    cdef int64_t now(self) except -1:
        """Engine time in microseconds since the epoch: what the clock says, but never less than it was."""
        cdef int64_t read = clock_read(self.clock)
        if read > self.instant:
            self.instant = read
        return self.instant

    cdef void show(self, Version version) noexcept:
        """Make a version the newest."""
        self.version = version
        self.news.seen = version.revision

    cdef int set_ticking(self) except -1:
        self.timed = self.clock is not None or self.next_expiry != NEVER or self.bound is not None
        self.ticking = self.timed or self.keeper is not None
        return 0

    cdef int attend(self, bint patient) except -1:
        """Of a state that follows a log: whether it may still answer. StoreError where it may not. Before a call takes its version.

        patient: where there are news that the state has not yet, let the thread that fetches them have the interpreter for a moment. Python would hand it
        over every five milliseconds only, several times for one record. A batch lets it go anyway.
        """
        if self.attention or clock_monotonic() > self.fresh_until:
            self.keeper.attend()
        elif patient and self.news.behind:
            with nogil:
                clock_nap(BEHIND_NANOSECONDS)
        return 0

    cdef int set_control(self, object control) except -1:
        """Make these what agents may be lent and what bounds them: whoever made anything of them makes it anew."""
        self.control = control
        self.control_serial += 1
        self.bound = control.bind or None
        return self.set_ticking()

    def begin_control(self, control not None):
        """Begin with what a snapshot says of delegations and what belongs to them, in a state that nobody sees yet."""
        self.set_control(control)

    def compile_by(self, compiler):
        """How a model that the state has as JSON alone is compiled: called with the state and the model's id, under the lock."""
        self.compiler = compiler

    def name_newest(self, model_id):
        """Which of the compiled models is the newest."""
        self.model = None if model_id is None else self.models[model_id]

    def take_models(self, State other not None):
        """Begin with the models of another state of the same store."""
        self.models, self.sources, self.structural, self.model = other.models, other.sources, other.structural, other.model
        self.ring()

    def set_expired(self, uint64_t expired, int64_t last):
        """How many tuples expired without a record, and when the last one did."""
        self.expired = expired
        self.expired_last = last

    def follow(self, keeper):
        """Ask `keeper` to attend before calls, when its time is over or `notice` was called. None: never."""
        self.keeper = keeper
        self.set_ticking()

    def notice(self, bint attention):
        """Let the next call, and every one until this is taken back, ask the keeper."""
        self.attention = attention

    def renew(self, double seconds):
        """News of the log were had now: answers need none for so many seconds; with infinity for ever."""
        self.fresh_until = ALWAYS if seconds > 1e9 else clock_monotonic() + <int64_t>(seconds * 1e9)

    def reach_instant(self, int64_t instant):
        """Engine time is not before an instant."""
        if instant > self.instant:
            self.instant = instant

    def rewind(self, int64_t instant):
        """Let engine time go back, in a state that is replayed for nobody else. False where a tuple has expired since: it is not there any more."""
        if self.expired_last > instant:
            return False
        self.instant = instant
        return True

    def adopt(self, State other not None, bint same):
        """Take over what another state of the same store holds. Calls under way go on in the version that they have; no view outlives it. Under the lock.

        same: it holds the same as this one, only otherwise laid out.
        """
        cdef Edit edit
        cdef Version version
        cdef uint64_t serial = max(self.serial, other.serial) + 1
        edit = Edit(other.version, serial, other.version.table_count)
        version = edit.publish(other.version.revision, True)
        self.serial = other.serial = serial
        self.names = other.names
        self.show(version)
        other.version = version
        self.expiries, self.expiries_max, self.next_expiry = other.expiries, other.expiries_max, other.next_expiry
        self.expired, self.expired_last, self.ahead = other.expired, other.expired_last, other.ahead
        if not same:
            self.models, self.sources, self.symbols, self.model = other.models, other.sources, other.symbols, other.model
            self.structural = other.structural
            self.instant = max(self.instant, other.instant)
            self.ring()
        self.set_control(other.control)

    def forked(self):
        """In a child of fork, whose other threads are gone: what they held is free again."""
        self.lock = threading.RLock()
        self.busy = False
        cache_close(&self.cache)
        if not cache_open(&self.cache):
            raise MemoryError()
        memset(&self.gate, 0, sizeof(GateC))
        self.gate.patience = GATE_PATIENCE
        self.spare = None
        self.checkers = []

    # ---- keys ----

    cdef int ring(self) except -1:
        """Take in the tables that a model has added. Under the write lock."""
        cdef uint32_t count = len(self.symbols.tables), i
        cdef void* grown = realloc(self.siblings, 4 * <size_t>(count + 1))
        if grown == NULL:
            raise MemoryError()
        self.siblings = <uint32_t*>grown
        grown = realloc(self.key_tables, 4 * <size_t>(count + 1))
        if grown == NULL:
            raise MemoryError()
        self.key_tables = <uint32_t*>grown
        grown = realloc(self.plain_types, 4 * <size_t>(count + 1))
        if grown == NULL:
            raise MemoryError()
        self.plain_types = <uint32_t*>grown
        for (_, _, kind, _), table in self.symbols.tables.items():
            self.plain_types[<uint32_t>table] = kind[0] if kind[1] is None and not kind[2] else NO_TYPE
        for tables in self.symbols.siblings.values():
            for i in range(<uint32_t>len(tables)):
                self.siblings[<uint32_t>tables[i]] = tables[(i + 1) % len(tables)]
                self.key_tables[<uint32_t>tables[i]] = tables[0]
        self.sibling_count = count
        return 0

    def table_condition(self, uint32_t table):
        """The condition of a table's tuples, or an empty text."""
        return next(itertools.islice(self.symbols.tables, table, None))[3]

    cdef uint32_t stored_in(self, Edit edit, uint32_t table, uint32_t object, uint32_t subject) noexcept:
        """The table in which the key of a tuple is stored: the one given, or one that differs in the condition. NO_TABLE: none."""
        cdef uint32_t at = table
        while True:
            if edit.has(at, object, subject):
                return at
            at = self.siblings[at]
            if at == table:
                return NO_TABLE

    def close(self):
        """Refuse further use and let go of what is held."""
        self.open = False
        self.spare = None
        self.checkers = []
        self.models = {}
        self.model = None
        self.show(Version.empty(self.serial + 1, self.names))

    def moment(self):
        """Engine time in microseconds since the epoch."""
        return self.now()

    @property
    def is_stale(self):
        """Whether news of the log are overdue."""
        return clock_monotonic() > self.fresh_until

    @property
    def keeps_too_much(self):
        """Whether the records that a store without a log keeps are more than fit."""
        return self.kept_bytes > kept_bytes_max

    @property
    def latest(self):
        """Engine time that was seen last, without a look at the clock."""
        return self.instant

    @property
    def is_open(self):
        """False once closed."""
        return self.open

    @property
    def revision(self):
        """The position in the log after the newest write."""
        return self.version.revision

    @property
    def newest(self):
        """The newest version."""
        return self.version

    @property
    def newest_model(self):
        """The newest ModelPlan, or None."""
        return self.model

    @property
    def name_table(self):
        """The store's names."""
        return self.names

    def views(self):
        """(views, bytes, hits, misses, drops) of the cache."""
        return self.cache.count, self.cache.bytes, self.cache.hits, self.cache.misses, self.cache.drops
