"""See check.pxd."""

from libc.string cimport memset

from fgacore.kernel.conditions cimport OUTCOME_FALSE, OUTCOME_TRUE, conditions_free
from fgacore.kernel.ids cimport IdsC, ids_has
from fgacore.kernel.plan cimport (
    OP_CALL, OP_CLOSURE, OP_DIRECT, OP_DIRECT_IF, OP_EXISTS_IF, OP_SELF, OP_WILDCARD, OP_WILDCARD_IF, VERDICT_FALSE, VERDICT_TRUE, OpC, PlanNodeC,
)
from fgacore.kernel.sets cimport NONE, RUN, IterC, SetC, iter_next, iter_start, run_contains, set_contains
from fgacore.kernel.solve cimport solve, solver_free, solver_reset
from fgacore.kernel.side cimport SideC, popcount, side_get
from fgacore.kernel.view cimport (
    CLOSURE_UNKNOWN, CLOSURE_YES, DIRECT_NONE, DIRECT_UNKNOWN, ERROR_CONDITION, ERROR_WORK, MEMO_FALSE, MEMO_TRUE,
    MEMO_UNKNOWN, DirectC, closure_find, closure_test, direct_build, direct_has, memo_get, memo_put, run_table, tuple_decide, view_free, view_reset, whole_find,
)

cdef extern from *:
    int ctz "__builtin_ctzll"(unsigned long long) nogil

cdef enum:
    CALLS_OWN = 0x80000000U      # ids from here on are no objects of a store
    FEW = 16                     # objects of a subject that a sweep compares rather than looks up
    SWEEP_OPS = 256              # operations of a node that can be swept; larger ones are asked one by one

cdef enum:
    PATH_MAX = 64                # questions under way whose verdicts are kept in the memo; deeper ones are not

cdef struct StepC:               # of the path: a question that was entered
    uint32_t node
    uint32_t object

cdef struct FrameC:              # a call under way
    int32_t op                   # OP_EXISTS, OP_EXISTS_IF, OP_CLOSURE walked down, or OP_CALL
    uint32_t object
    uint32_t path                # length of the path when it began
    uint32_t member              # under way
    IterC iter                   # over its members that were not asked yet


cdef bint checker_begin(CheckerC* checker, TableC** tables, uint32_t table_count, const PlanC* plan, uint32_t subject, ViewC* view, uint64_t visited_max) noexcept nogil:
    """Make ready for one subject. view: what is known of it, or NULL for a scratch view. 0: no memory."""
    run_begin(&checker.run, tables, table_count, plan, subject, &checker.scratch if view == NULL else view, visited_max)
    checker.run.conditions = &checker.conditions
    checker.solved = 0
    if checker.solver.plan != NULL:
        solver_reset(&checker.solver)
    if view != NULL or plan.closure_count == 0:
        return 1
    return view_reset(&checker.scratch, plan)


cdef void checker_free(CheckerC* checker) noexcept nogil:
    view_free(&checker.scratch)
    solver_free(&checker.solver)
    conditions_free(&checker.conditions)


cdef inline uint8_t recall(const RunC* run, uint32_t node, uint32_t object) noexcept nogil:
    """What the memo has of a callee: MEMO_*."""
    if not run.view.kept or run.plan.nodes[node].memo == NONE:
        return MEMO_UNKNOWN
    return memo_get(run.view, run.plan.nodes[node].memo, object)


cdef inline void remember(RunC* run, const StepC* path, uint32_t start, uint32_t end, bint verdict) noexcept nogil:
    """Every question entered since `start` has the same verdict: each was the last word of the one before."""
    cdef uint32_t memo
    while end > start:
        end -= 1
        memo = run.plan.nodes[path[end].node].memo
        if memo != NONE:
            memo_put(run.view, memo, path[end].object, verdict)


cdef int walk(RunC* run, int32_t op, uint32_t object, uint64_t budget, uint64_t chain_max) noexcept nogil:
    """Follow the plan from an operation to a verdict. UNKNOWN where the frames, the budget of members, or the steps of chains do not suffice:
    nothing is concluded then."""
    cdef FrameC frames[FRAMES_MAX]
    cdef StepC path[PATH_MAX]
    cdef FrameC* frame
    cdef const PlanC* plan = run.plan
    cdef const OpC* ops = plan.ops
    cdef const OpC* o
    cdef const TableC* table
    cdef SetC s
    cdef uint32_t depth = 0, member = 0, length = 0, node
    cdef uint64_t spent = 0
    cdef uint8_t known
    cdef bint kept = run.view.kept, single
    cdef int found
    cdef int32_t last_direct = -1, few_op = -1
    cdef uint32_t few_count = 0
    cdef const uint32_t* few = NULL
    # A chain of calls that are each their caller's last word: Brent's method finds where it returns to itself.
    cdef uint32_t chain_object = NONE, chain_node = 0
    cdef uint64_t chain_length = 0, chain_power = 1
    while True:
        if op < 0:
            if kept and length:
                remember(run, path, frames[depth - 1].path if depth else 0, length, op == VERDICT_TRUE)
            if depth == 0:
                return YES if op == VERDICT_TRUE else NO
            frame = &frames[depth - 1]
            length = frame.path
            object = frame.object
            o = &ops[frame.op]
            chain_object = NONE
            chain_length = 0
            chain_power = 1
            if op == VERDICT_TRUE and o.code == OP_EXISTS_IF:
                found = tuple_decide(run, o, object, frame.member)
                if found > OUTCOME_TRUE:
                    run.failed = 1
                    return UNKNOWN
                if found == OUTCOME_FALSE:
                    op = VERDICT_FALSE
            if op == VERDICT_TRUE:
                op = o.if_true
                depth -= 1
                continue
            op = o.if_false
            if o.code == OP_CALL:
                depth -= 1
                continue
            while True:          # the next member of which nothing is known
                if not iter_next(&frame.iter, &member):
                    depth -= 1
                    break
                spent += 1
                run.visited += 1
                if spent > budget:
                    return UNKNOWN
                if kept:
                    known = recall(run, o.node, member)
                    if known == MEMO_FALSE:
                        continue
                    if known == MEMO_TRUE:
                        if o.code == OP_EXISTS_IF:
                            found = tuple_decide(run, o, object, member)
                            if found > OUTCOME_TRUE:
                                run.failed = 1
                                return UNKNOWN
                            if found == OUTCOME_FALSE:
                                continue
                        op = o.if_true
                        depth -= 1
                        break
                    if length < PATH_MAX:
                        path[length].node = o.node
                        path[length].object = member
                        length += 1
                frame.member = member
                object = member
                op = plan.nodes[o.node].entry
                break
            continue
        o = &ops[op]
        if o.code == OP_SELF:
            op = o.if_true if object == run.subject and object != NONE else o.if_false
            continue
        if o.code == OP_CALL:
            member = object
            single = 1
        else:
            if kept and o.code == OP_DIRECT and run.view.directs[o.closure].state != DIRECT_UNKNOWN:
                # What the view has: all of the subject's own tuples in the table.
                op = o.if_true if direct_has(&run.view.directs[o.closure], object) else o.if_false
                continue
            table = run_table(run, o.table)
            if o.code == OP_DIRECT:
                # Met again in one walk (a chain of parents): where the subject has few objects in the table, compare with those from then on.
                if op == few_op:
                    op = o.if_true if few_count and run_contains(few, few_count, object) else o.if_false
                    continue
                if table != NULL and op == last_direct:
                    if not side_get(&table.reverse, run.subject, &s):
                        few_op = op
                        few_count = 0
                    elif s.form == RUN and s.count <= FEW:
                        few_op = op
                        few_count = s.count
                        few = <const uint32_t*>s.data
                last_direct = op
                op = o.if_true if table != NULL and side_get(&table.forward, object, &s) and set_contains(&s, run.subject) else o.if_false
                continue
            if table == NULL or not side_get(&table.forward, object, &s):
                op = o.if_false
                continue
            if o.code == OP_WILDCARD:
                op = o.if_true
                continue
            if o.code == OP_DIRECT_IF or o.code == OP_WILDCARD_IF:
                member = run.subject if o.code == OP_DIRECT_IF else 0
                found = OUTCOME_FALSE
                if o.code == OP_WILDCARD_IF or set_contains(&s, member):
                    found = tuple_decide(run, o, object, member)
                if found > OUTCOME_TRUE:
                    run.failed = 1
                    return UNKNOWN
                op = o.if_true if found == OUTCOME_TRUE else o.if_false
                continue
            if o.code == OP_CLOSURE:
                found = closure_find(run, o.closure, &s)
                if found == CLOSURE_UNKNOWN:
                    found = closure_test(run, o.closure, &s, budget)
                if found != CLOSURE_UNKNOWN:
                    op = o.if_true if found == CLOSURE_YES else o.if_false
                    continue
                if run.error:
                    return UNKNOWN
            single = s.form == RUN and s.count == 1
            if single:
                member = (<const uint32_t*>s.data)[0]
                run.visited += 1
                if kept:
                    known = recall(run, o.node, member)
                    if known != MEMO_UNKNOWN:
                        found = OUTCOME_TRUE if known == MEMO_TRUE else OUTCOME_FALSE
                        if found == OUTCOME_TRUE and o.code == OP_EXISTS_IF:
                            found = tuple_decide(run, o, object, member)
                        if found > OUTCOME_TRUE:
                            run.failed = 1
                            return UNKNOWN
                        op = o.if_true if found == OUTCOME_TRUE else o.if_false
                        continue
        node = o.node
        if single and o.tail:
            # The callee's answer is this one's: go on in place.
            if run.visited > run.visited_max:
                run.error = ERROR_WORK
                return UNKNOWN
            if chain_max == 0:
                return UNKNOWN
            chain_max -= 1
            if member == chain_object and node == chain_node:
                op = VERDICT_FALSE   # a pure chain that returns to itself proves nothing
                continue
            chain_length += 1
            if chain_length == chain_power:
                chain_power *= 2
                chain_length = 0
                chain_object = member
                chain_node = node
        else:
            spent += 1
            if depth == FRAMES_MAX or spent > budget:
                return UNKNOWN
            frame = &frames[depth]
            frame.op = op
            frame.object = object
            frame.path = length
            frame.member = member
            depth += 1
            chain_object = NONE
            chain_length = 0
            chain_power = 1
            if o.code != OP_CALL:
                iter_start(&frame.iter, &s)
                if single:
                    frame.iter.at = 1    # read above
                else:
                    op = VERDICT_FALSE   # take the first member as the next after a no
                    continue
        if kept and length < PATH_MAX:
            path[length].node = node
            path[length].object = member
            length += 1
        object = member
        op = plan.nodes[node].entry


cdef bint ask(CheckerC* checker, uint32_t node, uint32_t object) noexcept nogil:
    """Whether the subject holds a node on an object. Where run.error is set the answer is no and means nothing."""
    cdef int answer = ask_bounded(checker, node, object, <uint64_t>-1)
    if answer != UNKNOWN:
        return answer == YES
    if checker.run.error:
        return 0
    checker.solved = 1
    return solve(&checker.solver, &checker.run, node, object)


cdef int ask_bounded(CheckerC* checker, uint32_t node, uint32_t object, uint64_t chain_max) noexcept nogil:
    """YES, NO, or UNKNOWN after a bounded number of frames, members, and steps of chains."""
    cdef RunC* run = &checker.run
    cdef const IdsC* whole
    cdef int answer
    if run.view.kept and run.view.whole_count and object < CALLS_OWN:
        whole = whole_find(run.view, node)
        if whole != NULL:
            return YES if ids_has(whole, object) else NO
    run.failed = 0
    answer = walk(run, run.plan.nodes[node].entry, object, WALK_FIRST, chain_max)
    if answer == UNKNOWN and not run.error and not checker.solved and not run.failed:
        answer = walk(run, run.plan.nodes[node].entry, object, WALK_SECOND, chain_max)
    return answer


cdef bint callee(CheckerC* checker, const OpC* o, uint32_t object, const SetC* s) noexcept nogil:
    """Whether a node holds on any member of an object's set: OP_EXISTS and OP_EXISTS_IF of a sweep."""
    cdef RunC* run = &checker.run
    cdef IterC it
    cdef uint32_t member = 0
    cdef uint8_t known
    cdef bint verdict
    iter_start(&it, s)
    while iter_next(&it, &member):
        run.visited += 1
        known = recall(run, o.node, member)
        if known == MEMO_UNKNOWN:
            verdict = ask(checker, o.node, member)
            if run.error:
                return 0
            if run.view.kept and run.plan.nodes[o.node].memo != NONE:
                memo_put(run.view, run.plan.nodes[o.node].memo, member, verdict)
            known = MEMO_TRUE if verdict else MEMO_FALSE
        if known == MEMO_TRUE and (o.code != OP_EXISTS_IF or sure(run, o, object, member)):
            return 1
        if run.error:
            return 0
    return 0


cdef bint sure(RunC* run, const OpC* o, uint32_t object, uint32_t member) noexcept nogil:
    """Whether the condition of a stored tuple holds. Where it fails run.error is set: the question is then asked by itself."""
    cdef int outcome = tuple_decide(run, o, object, member)
    if outcome > OUTCOME_TRUE and not run.error:
        run.error = ERROR_CONDITION
    return outcome == OUTCOME_TRUE


cdef uint64_t sweep_op(CheckerC* checker, const OpC* o, const uint32_t* objects, uint64_t open) noexcept nogil:
    """One operation over the open objects of a group: the bits of those that answer yes."""
    cdef RunC* run = &checker.run
    cdef const TableC* table = NULL
    cdef const SideC* side = NULL
    cdef const DirectC* direct
    cdef const uint32_t* few
    cdef SetC s
    cdef uint64_t yes = 0, left, bit
    cdef uint32_t i
    cdef int found
    if o.code == OP_SELF:
        left = open
        while left:
            i = <uint32_t>ctz(left)
            left &= left - 1
            if objects[i] == run.subject and objects[i] != NONE:
                yes |= (<uint64_t>1) << i
        return yes
    if o.code == OP_CALL:
        left = open
        while left and not run.error:
            i = <uint32_t>ctz(left)
            left &= left - 1
            if ask(checker, o.node, objects[i]):
                yes |= (<uint64_t>1) << i
        return yes
    table = run_table(run, o.table)
    if table == NULL:
        return 0
    side = &table.forward
    if o.code == OP_DIRECT and run.view.kept and (
            run.view.directs[o.closure].state != DIRECT_UNKNOWN or direct_build(run, o.table, o.closure, <uint64_t>popcount(open)) != DIRECT_UNKNOWN):
        direct = &run.view.directs[o.closure]
        if direct.state == DIRECT_NONE:
            return 0
        left = open
        while left:
            i = <uint32_t>ctz(left)
            left &= left - 1
            yes |= <uint64_t>direct_has(direct, objects[i]) << i
        return yes
    if o.code == OP_DIRECT:
        # Where the subject has few objects in the table they are compared at once; none at all is a no for the whole group.
        if not side_get(&table.reverse, run.subject, &s):
            return 0
        if s.form == RUN and s.count <= FEW:
            few = <const uint32_t*>s.data
            left = open
            while left:
                i = <uint32_t>ctz(left)
                left &= left - 1
                if run_contains(few, s.count, objects[i]):
                    yes |= (<uint64_t>1) << i
            return yes
        left = open
        while left:
            i = <uint32_t>ctz(left)
            left &= left - 1
            if side_get(side, objects[i], &s) and set_contains(&s, run.subject):
                yes |= (<uint64_t>1) << i
        return yes
    left = open
    while left and not run.error:
        i = <uint32_t>ctz(left)
        bit = left & (0 - left)
        left &= left - 1
        if not side_get(side, objects[i], &s):
            continue
        if o.code == OP_WILDCARD:
            yes |= bit
            continue
        if o.code == OP_DIRECT_IF or o.code == OP_WILDCARD_IF:
            if o.code == OP_WILDCARD_IF or set_contains(&s, run.subject):
                if sure(run, o, objects[i], run.subject if o.code == OP_DIRECT_IF else 0):
                    yes |= bit
            continue
        if o.code == OP_CLOSURE:
            found = closure_find(run, o.closure, &s)
            if found == CLOSURE_UNKNOWN:
                found = closure_test(run, o.closure, &s, WALK_SECOND)
            if found != CLOSURE_UNKNOWN:
                if found == CLOSURE_YES:
                    yes |= bit
                continue
            if run.error:
                break
        if callee(checker, o, objects[i], &s):
            yes |= bit
    return yes


cdef void sweep(CheckerC* checker, uint32_t node, const uint32_t* objects, uint32_t count, uint8_t* out) noexcept nogil:
    """Up to 64 objects at once, operation by operation. out: 1 or 0 for each; on run.error it means nothing."""
    cdef RunC* run = &checker.run
    cdef const PlanNodeC* n = &run.plan.nodes[node]
    cdef const OpC* o
    cdef uint64_t open[SWEEP_OPS]
    cdef uint64_t allowed = 0, yes, no
    cdef const IdsC* whole
    cdef uint32_t i
    cdef int32_t op
    if count == 0:
        return
    if n.entry < 0:
        memset(out, n.entry == VERDICT_TRUE, count)
        return
    if run.view.kept and run.view.whole_count:
        whole = whole_find(run.view, node)
        for i in range(count):
            if whole != NULL and objects[i] >= CALLS_OWN:
                whole = NULL
        if whole != NULL:
            for i in range(count):
                out[i] = ids_has(whole, objects[i])
            return
    # A node that may be undefined is asked whole: undefined counts as no at the end, which is not what a subtraction may take for no on the way.
    if n.entry - n.first >= SWEEP_OPS or count < 4 or n.uncertain:
        for i in range(count):
            out[i] = ask(checker, node, objects[i])
            if run.error:
                return
        return
    memset(open, 0, (n.entry - n.first + 1) * sizeof(uint64_t))
    open[n.entry - n.first] = <uint64_t>-1 >> (64 - count)
    op = n.entry
    while op >= n.first:
        if open[op - n.first]:
            o = &run.plan.ops[op]
            yes = sweep_op(checker, o, objects, open[op - n.first])
            if run.error:
                return
            no = open[op - n.first] & ~yes
            if o.if_true >= 0:
                open[o.if_true - n.first] |= yes
            elif o.if_true == VERDICT_TRUE:
                allowed |= yes
            if o.if_false >= 0:
                open[o.if_false - n.first] |= no
            elif o.if_false == VERDICT_TRUE:
                allowed |= no
        op -= 1
    for i in range(count):
        out[i] = (allowed >> i) & 1
