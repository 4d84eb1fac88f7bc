"""The general search: any recursion, any cycle, any exclusion, in work linear in the tuples touched.

Atoms are (node, object) pairs, in two modes where a node is uncertain: definite (0) and possible (1). A positive call inside a component registers the
caller as waiting and goes on as if the answer were no; a yes wakes those who wait; when a component has nothing left to do, what is still open is no.
So every set is read once for each atom and operation. Calls into lower components, and calls under a subtraction, are settled before they are used.
An unstratified component (a subtraction inside its recursion) is solved by the alternating fixpoint: passes in mode definite and possible in turn, each
reading calls under a subtraction from the pass before (odd: of the other mode; even: of its own), until two passes change nothing.
A condition that fails is unknown: in mode definite its tuple is absent, in mode possible present. Where the answer is then not definite, the question
is solved again the other way round (`upper`): only if that makes it definite does the answer hang on what failed, and is an error. In the same way
it is first solved with all conditions unknown, so that none is decided where the answer hangs on none.
INVARIANT (final): an atom that is TRUE or FALSE outside a pass keeps its verdict for this subject, version and plan.
Used by check.pyx where a bounded walk does not suffice. One solver for a run; its memory is kept between runs up to a size.
"""

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t

from fgacore.kernel.sets cimport IterC
from fgacore.kernel.view cimport RunC

cdef enum:
    ATOM_NEW = 0                 # not asked in this pass
    ATOM_OPEN = 1
    ATOM_FALSE = 2
    ATOM_TRUE = 3

cdef struct AtomC:
    uint32_t object
    uint32_t node                # node << 1 | mode
    uint64_t done                # calls already read, by ordinal
    uint32_t waiters             # first of the list of those who wait, or NONE
    uint32_t next                # in its component's list of open or touched atoms
    uint8_t state                # ATOM_*
    uint8_t pending              # it has read an answer that may still become yes
    uint8_t final                # in an unstratified component: settled by a finished alternation
    uint8_t demanded             # its estimate is read
    uint8_t estimate             # of the last pass
    uint8_t listed               # it is in its component's list

cdef struct WaiterC:
    uint32_t atom
    int32_t op
    uint32_t next

cdef struct TaskC:
    uint32_t atom
    int32_t op
    uint32_t next

cdef struct GoalC:
    uint32_t atom                # to be settled
    uint32_t caller              # atom to go on with then, or NONE
    int32_t op                   # the call of the caller
    IterC iter                   # and where it was

cdef struct ComponentC:
    uint32_t tasks               # head of its stack of tasks
    uint32_t atoms               # head of its open (stratified) or touched (unstratified) atoms
    uint32_t demand              # head of the demanded atoms, through AtomC numbers in demand_next
    uint8_t mode                 # of the current pass
    uint8_t running              # an alternation is under way
    uint8_t grown                # something new was demanded in this pass
    uint8_t unchanged            # passes in a row that changed nothing

cdef struct SolverC:
    AtomC* atoms
    uint32_t atom_count
    uint32_t atom_room
    uint32_t* slots              # atom number + 1 by hash; 0: free
    uint64_t mask
    WaiterC* waiters
    uint32_t waiter_count
    uint32_t waiter_room
    uint32_t waiter_free         # head of the free list
    TaskC* tasks
    uint32_t task_count
    uint32_t task_room
    uint32_t task_free
    GoalC* goals
    uint32_t goal_count
    uint32_t goal_room
    uint32_t* demand             # demanded pairs: atom numbers (definite, possible), per component through next links
    uint32_t* demand_next
    uint32_t demand_count
    uint32_t demand_room
    ComponentC* components
    uint32_t component_room
    bint unsure                  # a condition was unknown since the solver was reset
    bint unknown                 # no condition is decided: all are unknown
    bint upper                   # what is unknown is present in mode definite, absent in mode possible
    uint64_t passes              # of alternations, for the tests of work
    const void* plan             # the atoms belong to this plan, to one subject and one version


cdef void solver_reset(SolverC* solver) noexcept nogil
cdef void solver_free(SolverC* solver) noexcept nogil
cdef bint solve(SolverC* solver, RunC* run, uint32_t node, uint32_t object) noexcept nogil
