"""See state.pxd."""

import os

from fgacore.errors import RequestError, StoreError
from fgacore.kernel.check cimport checker_free
from fgacore.limits import CHECK_WORK_MAX


cdef class Checker:
    """The memory of one call."""

    def __dealloc__(self):
        checker_free(&self.c)


cdef class State:
    """The state of one store in memory."""

    def __cinit__(self, symbols):
        self.names = Names(os.urandom(32))
        self.serial = 1
        self.version = Version.empty(self.serial)
        self.models = {}
        self.symbols = symbols
        self.checkers = []
        self.visited_max = CHECK_WORK_MAX
        self.open = True

    cdef Checker take(self):
        """A checker for one call, holding the newest version."""
        cdef Checker checker
        if not self.open:
            raise StoreError("the engine is closed", code="closed")
        checker = self.checkers.pop() if self.checkers else Checker.__new__(Checker)
        checker.version = self.version
        return checker

    cdef int give(self, Checker checker) except -1:
        checker.version = None
        if len(self.checkers) < 64:
            self.checkers.append(checker)
        return 0

    cdef ModelPlan plan(self, object model_id):
        """The model of an id, or the newest."""
        cdef ModelPlan found
        if model_id is None:
            if self.model is None:
                raise RequestError("the store has no model yet", code="no_model")
            return self.model
        found = self.models.get(model_id) if isinstance(model_id, str) else None
        if found is None:
            raise RequestError(f"no model `{model_id}`", code="model_not_found")
        return found

    def close(self):
        """Refuse further use and let go of what is held."""
        self.open = False
        self.checkers = []
        self.models = {}
        self.model = None
        self.version = Version.empty(self.serial + 1)

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
