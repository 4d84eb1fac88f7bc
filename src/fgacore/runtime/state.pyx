"""See state.pxd."""

from libc.stdlib cimport free, realloc

import os
import threading
from collections.abc import Mapping

from fgacore.errors import RequestError, StoreError, quote
from fgacore.kernel.grants cimport NEVER
from fgacore.kernel.check cimport CHAIN_SINGLE, NO, UNKNOWN, YES, ask_bounded, ask_simple, checker_begin, checker_free, run_begin
from fgacore.kernel.view cimport cache_close, cache_find, cache_give, cache_open, cache_take, view_count
from fgacore.kernel.plan cimport NO_TABLE
from fgacore.limits import CHECK_WORK_MAX, CONDITION_WORK_MAX
from fgacore.runtime.clock cimport clock_read
from fgacore.runtime.conditions cimport Conditions
from fgacore.runtime.gate cimport GATE_PATIENCE


cdef enum:
    CHECKERS_IDLE_MAX = 64       # more than that many threads at once allocate anew


cdef class Checker:
    """The memory of one call."""

    def __dealloc__(self):
        checker_free(&self.c)


cdef class State:
    """The state of one store in memory."""

    def __cinit__(self, symbols, clock=None):
        self.lock = threading.RLock()
        self.clock = clock
        self.next_expiry = NEVER
        self.ticking = clock is not None
        self.conditions_work = CONDITION_WORK_MAX
        self.names = Names(os.urandom(32))
        self.serial = 1
        self.version = Version.empty(self.serial)
        self.models = {}
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
            raise RequestError(f"no model {quote(model_id)}", code="model_not_found")
        return found

    cdef int prepare(self, Checker checker, ModelPlan model, object context) except -1:
        """Take in the context of a call, or of one of its questions, which `checker` answers. Without conditions nothing reads it."""
        if model.conditions is not None:
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
        for tables in self.symbols.siblings.values():
            for i in range(<uint32_t>len(tables)):
                self.siblings[<uint32_t>tables[i]] = tables[(i + 1) % len(tables)]
                self.key_tables[<uint32_t>tables[i]] = tables[0]
        self.sibling_count = count
        return 0

    cdef uint32_t stored_in(self, Version version, uint32_t table, uint32_t object, uint32_t subject) noexcept:
        """The table in which the key of a tuple is stored: the one given, or one that differs in the condition. NO_TABLE: none."""
        cdef uint32_t at = table
        while True:
            if version.has(at, object, subject):
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
        self.version = Version.empty(self.serial + 1)

    def moment(self):
        """Engine time in microseconds since the epoch."""
        return self.now()

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
