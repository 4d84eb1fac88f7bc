"""See check.pxd."""

from libc.string cimport memset

from fgacore.kernel.plan cimport OP_CALL, OP_CLOSURE, OP_DIRECT, OP_EXISTS, OP_SELF, OP_WILDCARD, VERDICT_FALSE, VERDICT_TRUE, OpC
from fgacore.kernel.sets cimport NONE, RUN, IterC, SetC, iter_next, iter_start, set_contains
from fgacore.kernel.solve cimport solve, solver_free, solver_reset
from fgacore.kernel.tables cimport popcount, side_get
from fgacore.kernel.view cimport CLOSURE_UNKNOWN, CLOSURE_YES, ERROR_MEMORY, ERROR_WORK, closure_test, run_table, view_free, view_reset

cdef enum:
    NO = 0
    YES = 1
    UNKNOWN = 2

cdef struct FrameC:              # a call under way
    int32_t op                   # OP_EXISTS, OP_CLOSURE walked down, or OP_CALL
    uint32_t object
    IterC iter                   # over its members that were not asked yet


cdef bint checker_begin(CheckerC* checker, TableC** tables, uint32_t table_count, const PlanC* plan, uint32_t subject, ViewC* view, uint64_t visited_max) noexcept nogil:
    """Make ready for one subject. view: what is known of it, or NULL for a scratch view. 0: no memory."""
    checker.run.tables = tables
    checker.run.table_count = table_count
    checker.run.plan = plan
    checker.run.subject = subject
    checker.run.visited = 0
    checker.run.visited_max = visited_max
    checker.run.error = 0
    checker.solved = 0
    if checker.solver.plan != NULL:
        solver_reset(&checker.solver)
    if view != NULL:
        checker.run.view = view
        return 1
    checker.run.view = &checker.scratch
    if plan.closure_count == 0:
        return 1
    return view_reset(&checker.scratch, plan)


cdef void checker_free(CheckerC* checker) noexcept nogil:
    view_free(&checker.scratch)
    solver_free(&checker.solver)


cdef int walk(RunC* run, int32_t op, uint32_t object, uint64_t budget) noexcept nogil:
    """Follow the plan from an operation to a verdict. UNKNOWN where the budget or the frames do not suffice."""
    cdef FrameC frames[FRAMES_MAX]
    cdef FrameC* frame
    cdef const PlanC* plan = run.plan
    cdef const OpC* ops = plan.ops
    cdef const OpC* o
    cdef const TableC* table
    cdef SetC s
    cdef uint32_t depth = 0, member = 0
    cdef uint64_t spent = 0
    cdef int32_t entry
    cdef int found
    # A chain of calls that are each their caller's last word: Brent's method finds where it returns to itself.
    cdef uint32_t chain_object = NONE, chain_node = 0
    cdef uint64_t chain_length = 0, chain_power = 1
    while True:
        if op < 0:
            if depth == 0:
                return YES if op == VERDICT_TRUE else NO
            frame = &frames[depth - 1]
            object = frame.object
            o = &ops[frame.op]
            if op == VERDICT_TRUE:
                op = o.if_true
                depth -= 1
            elif o.code != OP_CALL and iter_next(&frame.iter, &member):
                spent += 1
                run.visited += 1
                if spent > budget:
                    return UNKNOWN
                object = member
                op = plan.nodes[o.node].entry
            else:
                op = o.if_false
                depth -= 1
            chain_object = NONE
            chain_length = 0
            chain_power = 1
            continue
        o = &ops[op]
        if o.code == OP_SELF:
            op = o.if_true if object == run.subject and object != NONE else o.if_false
            continue
        if o.code == OP_CALL:
            entry = plan.nodes[o.node].entry
            member = object
        else:
            table = run_table(run, o.table)
            if table == NULL or not side_get(&table.forward, object, &s):
                op = o.if_false
                continue
            if o.code == OP_DIRECT:
                op = o.if_true if set_contains(&s, run.subject) else o.if_false
                continue
            if o.code == OP_WILDCARD:
                op = o.if_true
                continue
            if o.code == OP_CLOSURE:
                found = closure_test(run, o.closure, &s, budget)
                if found != CLOSURE_UNKNOWN:
                    op = o.if_true if found == CLOSURE_YES else o.if_false
                    continue
                if run.error:
                    return UNKNOWN
            if s.form == RUN and s.count == 1:
                member = (<const uint32_t*>s.data)[0]
            entry = plan.nodes[o.node].entry
        if o.tail and (o.code == OP_CALL or (s.form == RUN and s.count == 1)):
            # The callee's answer is this one's: go on in place.
            run.visited += 1
            if run.visited > run.visited_max:
                run.error = ERROR_WORK
                return UNKNOWN
            if member == chain_object and o.node == chain_node:
                op = VERDICT_FALSE   # a pure chain that returns to itself proves nothing
                continue
            chain_length += 1
            if chain_length == chain_power:
                chain_power *= 2
                chain_length = 0
                chain_object = member
                chain_node = o.node
            object = member
            op = entry
            continue
        if depth == FRAMES_MAX:
            return UNKNOWN
        spent += 1
        if spent > budget:
            return UNKNOWN
        frame = &frames[depth]
        frame.op = op
        frame.object = object
        depth += 1
        if o.code != OP_CALL:
            iter_start(&frame.iter, &s)
            iter_next(&frame.iter, &member)
            run.visited += 1
        chain_object = NONE
        chain_length = 0
        chain_power = 1
        object = member
        op = entry


cdef bint ask(CheckerC* checker, uint32_t node, uint32_t object) noexcept nogil:
    """Whether the subject holds a node on an object. Where run.error is set the answer is no and means nothing."""
    return ask_from(checker, node, checker.run.plan.nodes[node].entry, object)


cdef bint ask_from(CheckerC* checker, uint32_t node, int32_t op, uint32_t object) noexcept nogil:
    """The same, where the operations of the node before `op` were already followed for this object."""
    cdef RunC* run = &checker.run
    cdef int answer
    answer = walk(run, op, object, WALK_FIRST)
    if answer == UNKNOWN and not run.error and not checker.solved:
        answer = walk(run, op, object, WALK_SECOND)
    if answer != UNKNOWN:
        return answer == YES
    if run.error:
        return 0
    checker.solved = 1
    return solve(&checker.solver, run, node, object)


cdef void sweep(CheckerC* checker, uint32_t node, const uint32_t* objects, uint32_t count, uint8_t* out) noexcept nogil:
    """Up to 64 objects at once, operation by operation; out: 1 or 0 for each. On run.error the rest reads 0."""
    cdef RunC* run = &checker.run
    cdef uint32_t i
    memset(out, 0, count)
    for i in range(count):
        out[i] = ask(checker, node, objects[i])
        if run.error:
            memset(out, 0, count)
            return
