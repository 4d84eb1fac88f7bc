"""See solve.pxd."""

from libc.stdlib cimport free, realloc
from libc.string cimport memset

from fgacore.kernel.conditions cimport OUTCOME_ERROR, OUTCOME_TRUE
from fgacore.kernel.plan cimport (
    OP_CALL, OP_CLOSURE, OP_DIRECT, OP_DIRECT_IF, OP_EXISTS_IF, OP_SELF, OP_WILDCARD, OP_WILDCARD_IF, UNDER_NONE, UNDER_ODD, VERDICT_FALSE, VERDICT_TRUE, OpC, PlanC,
)
from fgacore.kernel.sets cimport NONE, RUN, SetC, iter_next, iter_start, set_contains
from fgacore.kernel.side cimport side_get
from fgacore.kernel.tables cimport TableC
from fgacore.kernel.view cimport CLOSURE_YES, ERROR_CONDITION, ERROR_MEMORY, ERROR_WORK, closure_test, run_table, tuple_decide

cdef enum:
    KEEP_ATOMS = 4096            # memory for this many is kept between runs
    ORDINAL_SHARED = 63          # calls from this ordinal on are read again each time

cdef enum:                       # how a question that reaches conditions is settled
    ALL_UNKNOWN = 1
    UPPER = 2


cdef bint grow(void** items, uint32_t* room, uint32_t wanted, size_t size) noexcept nogil:
    cdef uint64_t capacity = 2 * <uint64_t>room[0] + 64
    cdef void* grown
    if wanted <= room[0]:
        return 1
    if capacity < wanted:
        capacity = wanted
    if capacity > 0x7FFFFFFF:
        return 0
    grown = realloc(items[0], capacity * size)
    if grown == NULL:
        return 0
    items[0] = grown
    room[0] = <uint32_t>capacity
    return 1


cdef void solver_free(SolverC* solver) noexcept nogil:
    free(solver.atoms)
    free(solver.slots)
    free(solver.waiters)
    free(solver.tasks)
    free(solver.goals)
    free(solver.demand)
    free(solver.demand_next)
    free(solver.components)
    memset(solver, 0, sizeof(SolverC))


cdef void solver_reset(SolverC* solver) noexcept nogil:
    """Forget every verdict: another subject, version or plan is asked next."""
    if solver.atom_room > KEEP_ATOMS:
        solver_free(solver)
        return
    if solver.atom_count:
        memset(solver.slots, 0, 4 * (solver.mask + 1))
    solver.atom_count = 0
    solver.waiter_count = 0
    solver.waiter_free = NONE
    solver.task_count = 0
    solver.task_free = NONE
    solver.goal_count = 0
    solver.demand_count = 0
    solver.unsure = 0
    solver.plan = NULL


cdef uint32_t atom_get(SolverC* solver, uint32_t node, uint32_t object) noexcept nogil:
    """The number of an atom, made if it is new; NONE: no memory."""
    cdef uint64_t key = (<uint64_t>node << 32) | object
    cdef uint64_t at, mask, i
    cdef uint32_t* slots
    cdef AtomC* atom
    if 2 * <uint64_t>(solver.atom_count + 1) > solver.mask:
        mask = 4 * (solver.mask + 1) - 1 if solver.mask else 255
        slots = <uint32_t*>realloc(NULL, 4 * (mask + 1))
        if slots == NULL:
            return NONE
        memset(slots, 0, 4 * (mask + 1))
        for i in range(solver.atom_count):
            at = (((<uint64_t>solver.atoms[i].node << 32) | solver.atoms[i].object) * <uint64_t>0x9E3779B97F4A7C15U) >> 32 & mask
            while slots[at]:
                at = (at + 1) & mask
            slots[at] = <uint32_t>i + 1
        free(solver.slots)
        solver.slots = slots
        solver.mask = mask
    at = (key * <uint64_t>0x9E3779B97F4A7C15U) >> 32 & solver.mask
    while solver.slots[at]:
        atom = &solver.atoms[solver.slots[at] - 1]
        if atom.object == object and atom.node == node:
            return solver.slots[at] - 1
        at = (at + 1) & solver.mask
    if not grow(<void**>&solver.atoms, &solver.atom_room, solver.atom_count + 1, sizeof(AtomC)):
        return NONE
    atom = &solver.atoms[solver.atom_count]
    memset(atom, 0, sizeof(AtomC))
    atom.object = object
    atom.node = node
    atom.waiters = NONE
    atom.next = NONE
    atom.estimate = node & 1     # before any pass nothing is definite and everything possible
    solver.slots[at] = solver.atom_count + 1
    solver.atom_count += 1
    return solver.atom_count - 1


cdef bint task_push(SolverC* solver, uint32_t component, uint32_t atom, int32_t op) noexcept nogil:
    cdef uint32_t task = solver.task_free
    if task != NONE:
        solver.task_free = solver.tasks[task].next
    else:
        if not grow(<void**>&solver.tasks, &solver.task_room, solver.task_count + 1, sizeof(TaskC)):
            return 0
        task = solver.task_count
        solver.task_count += 1
    solver.tasks[task].atom = atom
    solver.tasks[task].op = op
    solver.tasks[task].next = solver.components[component].tasks
    solver.components[component].tasks = task
    return 1


cdef bint waiter_push(SolverC* solver, uint32_t callee, uint32_t caller, int32_t op) noexcept nogil:
    cdef uint32_t waiter = solver.waiter_free
    if waiter != NONE:
        solver.waiter_free = solver.waiters[waiter].next
    else:
        if not grow(<void**>&solver.waiters, &solver.waiter_room, solver.waiter_count + 1, sizeof(WaiterC)):
            return 0
        waiter = solver.waiter_count
        solver.waiter_count += 1
    solver.waiters[waiter].atom = caller
    solver.waiters[waiter].op = op
    solver.waiters[waiter].next = solver.atoms[callee].waiters
    solver.atoms[callee].waiters = waiter
    return 1


cdef void waiters_drop(SolverC* solver, AtomC* atom) noexcept nogil:
    cdef uint32_t waiter = atom.waiters, following
    while waiter != NONE:
        following = solver.waiters[waiter].next
        solver.waiters[waiter].next = solver.waiter_free
        solver.waiter_free = waiter
        waiter = following
    atom.waiters = NONE


cdef bint atom_open(SolverC* solver, const PlanC* plan, uint32_t number) noexcept nogil:
    """Begin an atom that is new: list it in its component and give it a task."""
    cdef AtomC* atom = &solver.atoms[number]
    cdef uint32_t component = plan.nodes[atom.node >> 1].component
    atom.state = ATOM_OPEN
    if not atom.listed:
        atom.listed = 1
        atom.next = solver.components[component].atoms
        solver.components[component].atoms = number
    return task_push(solver, component, number, plan.nodes[atom.node >> 1].entry)


cdef bint atom_true(SolverC* solver, const PlanC* plan, uint32_t number) noexcept nogil:
    """An atom holds: wake those who wait for it."""
    cdef AtomC* atom = &solver.atoms[number]
    cdef uint32_t waiter = atom.waiters, component = plan.nodes[atom.node >> 1].component
    atom.state = ATOM_TRUE
    while waiter != NONE:
        if solver.atoms[solver.waiters[waiter].atom].state == ATOM_OPEN:
            if not task_push(solver, component, solver.waiters[waiter].atom, plan.ops[solver.waiters[waiter].op].if_true):
                return 0
        waiter = solver.waiters[waiter].next
    waiters_drop(solver, atom)
    return 1


cdef bint goal_push(SolverC* solver, uint32_t atom, uint32_t caller, int32_t op) noexcept nogil:
    if not grow(<void**>&solver.goals, &solver.goal_room, solver.goal_count + 1, sizeof(GoalC)):
        return 0
    solver.goals[solver.goal_count].atom = atom
    solver.goals[solver.goal_count].caller = caller
    solver.goals[solver.goal_count].op = op
    solver.goal_count += 1
    return 1


cdef bint demand(SolverC* solver, const PlanC* plan, uint32_t component, uint32_t node, uint32_t object) noexcept nogil:
    """See that an atom is computed in every pass of both modes from now on."""
    cdef uint32_t definite = atom_get(solver, node << 1, object), possible = atom_get(solver, node << 1 | 1, object), current
    cdef uint32_t room = solver.demand_room
    cdef ComponentC* c = &solver.components[component]
    if definite == NONE or possible == NONE:
        return 0
    if solver.atoms[definite].demanded:
        return 1
    if not grow(<void**>&solver.demand, &room, solver.demand_count + 1, 8) or not grow(
            <void**>&solver.demand_next, &solver.demand_room, solver.demand_count + 1, 4):
        return 0
    solver.demand[2 * solver.demand_count] = definite
    solver.demand[2 * solver.demand_count + 1] = possible
    solver.demand_next[solver.demand_count] = c.demand
    c.demand = solver.demand_count
    solver.demand_count += 1
    solver.atoms[definite].demanded = 1
    solver.atoms[possible].demanded = 1
    c.grown = 1
    current = possible if c.mode else definite
    if solver.atoms[current].state == ATOM_NEW:
        return atom_open(solver, plan, current)
    return 1


cdef bint pass_begin(SolverC* solver, const PlanC* plan, uint32_t component, uint8_t mode) noexcept nogil:
    """Ask every demanded atom anew in one mode."""
    cdef ComponentC* c = &solver.components[component]
    cdef uint32_t number = c.atoms, i
    cdef AtomC* atom
    c.mode = mode
    c.grown = 0
    solver.passes += 1
    while number != NONE:
        atom = &solver.atoms[number]
        if (atom.node & 1) == mode and not atom.final:
            atom.state = ATOM_NEW
            atom.done = 0
            atom.pending = 0
            waiters_drop(solver, atom)
        number = atom.next
    i = c.demand
    while i != NONE:
        number = solver.demand[2 * i + mode]
        if solver.atoms[number].state == ATOM_NEW and not atom_open(solver, plan, number):
            return 0
        i = solver.demand_next[i]
    return 1


cdef bint pass_end(SolverC* solver, const PlanC* plan, uint32_t component) noexcept nogil:
    """Nothing is left to do in this pass: compare with the estimates; begin the next, or settle."""
    cdef ComponentC* c = &solver.components[component]
    cdef uint32_t i = c.demand, number, following
    cdef bint changed = c.grown
    cdef uint8_t value
    cdef AtomC* atom
    while i != NONE:
        atom = &solver.atoms[solver.demand[2 * i + c.mode]]
        value = atom.state == ATOM_TRUE
        if value != atom.estimate:
            atom.estimate = value
            changed = 1
        i = solver.demand_next[i]
    c.unchanged = 0 if changed else c.unchanged + 1
    if c.unchanged < 2:
        return pass_begin(solver, plan, component, not c.mode)
    number = c.atoms
    while number != NONE:        # both last passes agree with their estimates: what they found is final
        atom = &solver.atoms[number]
        following = atom.next
        if atom.state == ATOM_OPEN:
            atom.state = ATOM_FALSE
        if atom.state != ATOM_NEW:
            atom.final = 1
        waiters_drop(solver, atom)
        atom.listed = 0
        number = following
    i = c.demand
    while i != NONE:
        solver.atoms[solver.demand[2 * i]].demanded = 0
        solver.atoms[solver.demand[2 * i + 1]].demanded = 0
        i = solver.demand_next[i]
    c.atoms = NONE
    c.demand = NONE
    c.running = 0
    return 1


cdef bint quiet(SolverC* solver, const PlanC* plan, uint32_t component, uint32_t goal) noexcept nogil:
    """A component has no task left while an atom of it is asked for."""
    cdef ComponentC* c = &solver.components[component]
    cdef AtomC* atom
    cdef uint32_t number
    if not plan.unstratified[component]:
        number = c.atoms
        while number != NONE:    # all that could become yes has been looked at: the rest is no
            atom = &solver.atoms[number]
            if atom.state == ATOM_OPEN:
                atom.state = ATOM_FALSE
            waiters_drop(solver, atom)
            number = atom.next
        c.atoms = NONE
        return 1
    if c.running:
        return pass_end(solver, plan, component)
    c.running = 1
    c.unchanged = 0
    c.mode = 0
    c.grown = 0
    c.demand = NONE
    solver.passes += 1
    return demand(solver, plan, component, solver.atoms[goal].node >> 1, solver.atoms[goal].object)


cdef bint run_task(SolverC* solver, RunC* run, uint32_t number, int32_t op, IterC* resumed) noexcept nogil:
    """Follow one atom's graph from an operation on, until it is settled, waits, or has to settle another first. 0: error."""
    cdef const PlanC* plan = run.plan
    cdef const OpC* o
    cdef const TableC* table
    cdef SetC s
    cdef IterC it
    cdef uint32_t component = plan.nodes[solver.atoms[number].node >> 1].component
    cdef uint32_t mode = solver.atoms[number].node & 1, object = solver.atoms[number].object
    cdef uint32_t child, callee, lower, member = 0
    cdef uint8_t value
    cdef bint yes, waits
    while True:
        if solver.atoms[number].state != ATOM_OPEN:
            return 1
        if op == VERDICT_TRUE:
            return atom_true(solver, plan, number)
        if op == VERDICT_FALSE:
            if not solver.atoms[number].pending and not plan.unstratified[component]:
                solver.atoms[number].state = ATOM_FALSE
            return 1
        o = &plan.ops[op]
        if o.code == OP_SELF:
            op = o.if_true if object == run.subject and object != NONE else o.if_false
            continue
        table = run_table(run, o.table) if o.code != OP_CALL else NULL
        if o.code == OP_DIRECT or o.code == OP_WILDCARD:
            yes = table != NULL and side_get(&table.forward, object, &s) and (o.code == OP_WILDCARD or set_contains(&s, run.subject))
            op = o.if_true if yes else o.if_false
            continue
        if o.code == OP_DIRECT_IF or o.code == OP_WILDCARD_IF:
            yes = 0
            member = run.subject if o.code == OP_DIRECT_IF else 0
            if table != NULL and side_get(&table.forward, object, &s) and (o.code == OP_WILDCARD_IF or set_contains(&s, member)):
                yes = stands(solver, run, o, mode, object, member)
                if run.error:
                    return 0
            op = o.if_true if yes else o.if_false
            continue
        if o.code == OP_CLOSURE:
            yes = table != NULL and side_get(&table.forward, object, &s) and closure_test(run, o.closure, &s, <uint64_t>-1) == CLOSURE_YES
            if run.error:
                return 0
            op = o.if_true if yes else o.if_false
            continue
        # A call: OP_EXISTS over the members of a set, OP_CALL on the object itself.
        if resumed != NULL:
            it = resumed[0]
            resumed = NULL
        else:
            if o.ordinal < ORDINAL_SHARED:
                if (solver.atoms[number].done >> o.ordinal) & 1:
                    return 1     # read before: what follows from it is under way or waits
                solver.atoms[number].done |= (<uint64_t>1) << o.ordinal
            if o.code == OP_CALL:
                s.count = 0
                s.form = RUN
            elif table == NULL or not side_get(&table.forward, object, &s):
                op = o.if_false
                continue
            iter_start(&it, &s)
        callee = o.node << 1
        if plan.nodes[o.node].uncertain or plan.nodes[o.node].conditioned:
            callee |= mode ^ (o.under == UNDER_ODD)
        lower = plan.nodes[o.node].component
        yes = 0
        waits = 0
        while True:
            if o.code == OP_CALL:
                if it.at:
                    break
                it.at = 1        # its one member, the object itself, is read
                member = object
            else:
                if not iter_next(&it, &member):
                    break
                run.visited += 1
                if run.visited > run.visited_max:
                    run.error = ERROR_WORK
                    return 0
                if o.code == OP_EXISTS_IF and not stands(solver, run, o, mode, object, member):
                    if run.error:
                        return 0
                    continue
            child = atom_get(solver, callee, member)
            if child == NONE:
                run.error = ERROR_MEMORY
                return 0
            if lower == component and o.under != UNDER_NONE and not solver.atoms[child].final:
                # Inside an unstratified component and under a subtraction: the last pass's word, asked anew in every pass from now on.
                if not demand(solver, plan, component, o.node, member):
                    run.error = ERROR_MEMORY
                    return 0
                if solver.atoms[child].estimate:
                    yes = 1
                    break
                continue
            value = solver.atoms[child].state
            if value == ATOM_TRUE:
                yes = 1
                break
            if value == ATOM_FALSE:
                continue
            if lower != component:
                # Settle it first, then go on here.
                if not goal_push(solver, child, number, op):
                    run.error = ERROR_MEMORY
                    return 0
                solver.goals[solver.goal_count - 1].iter = it
                return 1
            if not waits:
                waits = 1
                solver.atoms[number].pending = 1
                if not task_push(solver, component, number, o.if_false):    # after the callees, which are pushed above it
                    run.error = ERROR_MEMORY
                    return 0
            if not waiter_push(solver, child, number, op) or (value == ATOM_NEW and not atom_open(solver, plan, child)):
                run.error = ERROR_MEMORY
                return 0
        if yes:
            op = o.if_true
        elif waits:
            return 1
        else:
            op = o.if_false


cdef bint stands(SolverC* solver, RunC* run, const OpC* o, uint32_t mode, uint32_t object, uint32_t member) noexcept nogil:
    """Whether a conditioned tuple counts in a mode. No, with run.error set, where the conditions cannot go on."""
    cdef int outcome = OUTCOME_ERROR if solver.unknown else tuple_decide(run, o, object, member)
    if outcome == OUTCOME_ERROR:
        solver.unsure = 1
        return mode ^ (o.under == UNDER_ODD) ^ solver.upper
    return outcome == OUTCOME_TRUE


cdef bint solve(SolverC* solver, RunC* run, uint32_t node, uint32_t object) noexcept nogil:
    """Whether the subject definitely holds a node on an object. On run.error the answer is no and means nothing."""
    cdef uint64_t bound = run.visited_max, left = bound - run.visited if bound > run.visited else 0
    cdef bint yes
    if not run.plan.nodes[node].conditioned:
        return settle(solver, run, node, object)
    # First without deciding a condition: the answer may hang on none of them.
    yes = settle_as(solver, run, node, object, ALL_UNKNOWN | UPPER, left)
    if yes and solver.unsure and not run.error:
        yes = settle_as(solver, run, node, object, ALL_UNKNOWN, left)
        if not yes and not run.error:
            yes = settle_as(solver, run, node, object, 0, left)
            if not yes and solver.unsure and not run.error and settle_as(solver, run, node, object, UPPER, left) and not run.error:
                run.error = ERROR_CONDITION
    run.visited_max = bound
    return yes and not run.error


cdef bint settle_as(SolverC* solver, RunC* run, uint32_t node, uint32_t object, uint32_t how, uint64_t left) noexcept nogil:
    """Settle an atom anew, with so many tuples left to visit. ALL_UNKNOWN: no condition is decided; UPPER: see solve.pxd."""
    run.visited_max = run.visited + left
    solver_reset(solver)
    solver.unknown = how & ALL_UNKNOWN != 0
    solver.upper = how & UPPER != 0
    return settle(solver, run, node, object)


cdef bint settle(SolverC* solver, RunC* run, uint32_t node, uint32_t object) noexcept nogil:
    """Whether an atom is definitely true, in the way that solver.unknown and solver.upper say."""
    cdef const PlanC* plan = run.plan
    cdef uint32_t root, component, task, i, atom
    cdef int32_t op
    cdef GoalC goal
    if solver.plan != <const void*>plan:
        solver_reset(solver)
        if not grow(<void**>&solver.components, &solver.component_room, plan.component_count, sizeof(ComponentC)):
            run.error = ERROR_MEMORY
            return 0
        for i in range(plan.component_count):
            memset(&solver.components[i], 0, sizeof(ComponentC))
            solver.components[i].tasks = NONE
            solver.components[i].atoms = NONE
            solver.components[i].demand = NONE
        solver.plan = <const void*>plan
        solver.task_free = NONE
        solver.waiter_free = NONE
    root = atom_get(solver, node << 1, object)
    solver.goal_count = 0
    if root == NONE or not goal_push(solver, root, NONE, 0):
        run.error = ERROR_MEMORY
        return 0
    while solver.goal_count:
        goal = solver.goals[solver.goal_count - 1]
        component = plan.nodes[solver.atoms[goal.atom].node >> 1].component
        atom = goal.atom
        if settled(solver, plan, atom):
            solver.goal_count -= 1
            if goal.caller != NONE and not goal_resume(solver, run, &goal):
                break
            continue
        if solver.atoms[atom].state == ATOM_NEW and not plan.unstratified[component]:
            if not atom_open(solver, plan, atom):
                run.error = ERROR_MEMORY
                break
            continue
        task = solver.components[component].tasks
        if task == NONE:
            if not quiet(solver, plan, component, atom):
                run.error = ERROR_MEMORY
                break
            continue
        solver.components[component].tasks = solver.tasks[task].next
        i = solver.tasks[task].atom
        op = solver.tasks[task].op
        solver.tasks[task].next = solver.task_free
        solver.task_free = task
        if not run_task(solver, run, i, op, NULL):
            if not run.error:
                run.error = ERROR_MEMORY
            break
    if run.error:
        solver_free(solver)      # half-done passes are nothing to go on from
        return 0
    return solver.atoms[root].state == ATOM_TRUE


cdef bint settled(const SolverC* solver, const PlanC* plan, uint32_t number) noexcept nogil:
    """Whether an atom's verdict may be used."""
    cdef const AtomC* atom = &solver.atoms[number]
    if plan.unstratified[plan.nodes[atom.node >> 1].component]:
        return atom.final
    return atom.state == ATOM_TRUE or atom.state == ATOM_FALSE


cdef bint goal_resume(SolverC* solver, RunC* run, const GoalC* goal) noexcept nogil:
    """Go on with a call whose member was settled."""
    cdef IterC it = goal.iter
    cdef int32_t op = goal.op
    if solver.atoms[goal.atom].state == ATOM_TRUE:
        return run_task(solver, run, goal.caller, run.plan.ops[op].if_true, NULL)
    return run_task(solver, run, goal.caller, op, &it)
