"""The traversal: does the subject of a run hold a node on an object?

Three tiers, each exact. A walk follows the plan with a few frames and a budget: whatever it finishes is the answer, as no branch was cut.
Where it cannot finish (deep, wide or cyclic data) the budget grows once, and then solve.pyx answers in linear work.
Batches run one operation over a group of 64 objects, then the next over those still open (a sweep).
No allocation after warm-up, no Python object, no GIL, no recursion on the C stack. Callers: runtime/checks.pyx.
"""

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t

from fgacore.kernel.plan cimport PlanC
from fgacore.kernel.solve cimport SolverC
from fgacore.kernel.tables cimport TableC
from fgacore.kernel.view cimport RunC, ViewC

cdef enum:
    NO = 0
    YES = 1
    UNKNOWN = 2                  # not found within the budget

cdef enum:
    FRAMES_MAX = 64              # of a walk; deeper data goes to the solver
    WALK_FIRST = 256             # frames and members that the first walk may take
    WALK_SECOND = 4096           # and the second; together some tens of microseconds before the solver is set up
    CHAIN_SINGLE = 8192          # steps of chains that a single check takes under the GIL
    SWEEP = 64                   # objects of a sweep: a bit each in a word

cdef struct CheckerC:            # the memory of a call: one thread owns it while it runs
    RunC run
    ViewC scratch                # the view of a subject that has none of its own
    SolverC solver
    bint solved                  # the solver was needed for this subject: short walks from here on


cdef bint checker_begin(CheckerC* checker, TableC** tables, uint32_t table_count, const PlanC* plan, uint32_t subject, ViewC* view, uint64_t visited_max) noexcept nogil
cdef inline void simple_begin(
        CheckerC* checker, TableC** tables, uint32_t table_count, const PlanC* plan, uint32_t subject, uint64_t visited_max) noexcept nogil:
    """Make ready for one question about a simple node: no view, and none of what a search needs."""
    checker.run.tables = tables
    checker.run.table_count = table_count
    checker.run.plan = plan
    checker.run.subject = subject
    checker.run.visited = 0
    checker.run.visited_max = visited_max
    checker.run.error = 0
    checker.solved = 0
    checker.run.view = &checker.scratch


cdef int ask_bounded(CheckerC* checker, uint32_t node, uint32_t object, uint64_t chain_max) noexcept nogil
cdef bint ask(CheckerC* checker, uint32_t node, uint32_t object) noexcept nogil
cdef void sweep(CheckerC* checker, uint32_t node, const uint32_t* objects, uint32_t count, uint8_t* out) noexcept nogil
cdef void checker_free(CheckerC* checker) noexcept nogil
