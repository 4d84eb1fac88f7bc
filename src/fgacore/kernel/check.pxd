"""The traversal: does the subject of a run hold a node on an object?

Three tiers, each exact. A walk follows the plan with a few frames and a budget: whatever it finishes is the answer, as no branch was cut.
Where it cannot finish (deep, wide or cyclic data) the budget grows once, and then solve.pyx answers in linear work.
Batches run one operation over a group of 64 objects, then the next over those still open (a sweep).
No allocation after warm-up, no Python object, no GIL, no recursion on the C stack. Callers: runtime/checks.pyx.
"""

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t

from fgacore.kernel.conditions cimport ConditionsC
from fgacore.kernel.plan cimport OP_SELF, OP_WILDCARD, VERDICT_TRUE, OpC, PlanC
from fgacore.kernel.sets cimport NONE, SetC, set_contains
from fgacore.kernel.side cimport side_get
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
    ConditionsC conditions       # of the call
    bint solved                  # the solver was needed for this subject: short walks from here on


cdef bint checker_begin(CheckerC* checker, TableC** tables, uint32_t table_count, const PlanC* plan, uint32_t subject, ViewC* view, uint64_t visited_max) noexcept nogil
cdef inline bint ask_simple(TableC** tables, uint32_t table_count, const PlanC* plan, uint32_t subject, uint32_t node, uint32_t object) noexcept nogil:
    """Whether a subject holds a simple node: one that reads stored tuples and no more, so that no call, view or bound comes into it."""
    cdef int32_t op = plan.nodes[node].entry
    cdef const OpC* o
    cdef SetC s
    cdef bint yes
    while op >= 0:
        o = &plan.ops[op]
        if o.code == OP_SELF:
            yes = object == subject and object != NONE
        else:
            yes = o.table < table_count and tables[o.table] != NULL and side_get(&tables[o.table].forward, object, &s) and (
                o.code == OP_WILDCARD or set_contains(&s, subject))
        op = o.if_true if yes else o.if_false
    return op == VERDICT_TRUE


cdef inline void run_begin(
        RunC* run, TableC** tables, uint32_t table_count, const PlanC* plan, uint32_t subject, ViewC* view, uint64_t visited_max) noexcept nogil:
    run.tables = tables
    run.table_count = table_count
    run.plan = plan
    run.subject = subject
    run.view = view
    run.visited = 0
    run.visited_max = visited_max
    run.error = 0


cdef int ask_bounded(CheckerC* checker, uint32_t node, uint32_t object, uint64_t chain_max) noexcept nogil
cdef bint ask(CheckerC* checker, uint32_t node, uint32_t object) noexcept nogil
cdef void sweep(CheckerC* checker, uint32_t node, const uint32_t* objects, uint32_t count, uint8_t* out) noexcept nogil
cdef void checker_free(CheckerC* checker) noexcept nogil
