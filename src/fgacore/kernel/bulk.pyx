"""See bulk.pxd."""

from libc.stdint cimport int32_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset

from fgacore.kernel.conditions cimport OUTCOME_ERROR, OUTCOME_TRUE
from fgacore.kernel.ids cimport ids_add, ids_free, ids_has, ids_put, ids_write
from fgacore.kernel.plan cimport (
    OP_CALL, OP_CLOSURE, OP_DIRECT, OP_DIRECT_IF, OP_EXISTS, OP_EXISTS_IF, OP_SELF, OP_WILDCARD, OP_WILDCARD_IF, UNDER_NONE, UNDER_ODD, VERDICT_FALSE,
    VERDICT_TRUE, OpC, PlanC, PlanNodeC,
)
from fgacore.kernel.sets cimport NONE, IterC, SetC, iter_next, iter_start
from fgacore.kernel.side cimport side_get
from fgacore.kernel.tables cimport TableC
from fgacore.kernel.view cimport ERROR_MEMORY, ERROR_WORK, GROUP_DONE, closure_build, run_table, tuple_decide

cdef struct SpanC:               # ids, rising; with `but` all others
    uint32_t* ids
    uint32_t count
    bint but

cdef struct FeedC:               # an operation inside a recursion: what its callee holds on leads to objects of its node
    uint32_t callee              # node << 1 | mode
    uint32_t caller
    int32_t op


# ---- the set of one operation ----

cdef bint fails(BulkC* bulk, const OpC* o, uint32_t mode) noexcept nogil:
    """Whether a tuple whose condition failed counts in a mode."""
    bulk.unsure = 1
    return mode ^ (o.under == UNDER_ODD) ^ bulk.upper


cdef bint put_all(BulkC* bulk, const OpC* o, uint32_t mode, IdsC* out, uint32_t member) noexcept nogil:
    """Put in the objects that a member is stored on, in the table of an operation; of conditioned tuples those that count. 0: error."""
    cdef RunC* run = bulk.run
    cdef const TableC* table = run_table(run, o.table)
    cdef SetC s
    cdef IterC it
    cdef uint32_t object = 0
    cdef int outcome
    cdef bint new
    if table == NULL or not side_get(&table.reverse, member, &s):
        return 1
    run.visited += s.count
    if run.visited > run.visited_max:
        run.error = ERROR_WORK
        return 0
    if o.code < OP_DIRECT_IF:
        if not ids_put(out, &s):
            run.error = ERROR_MEMORY
            return 0
        return 1
    iter_start(&it, &s)
    while iter_next(&it, &object):
        outcome = tuple_decide(run, o, object, member)
        if run.error:
            return 0
        if outcome == OUTCOME_TRUE or (outcome == OUTCOME_ERROR and fails(bulk, o, mode)):
            if not ids_add(out, object, &new):
                run.error = ERROR_MEMORY
                return 0
    return 1


cdef uint32_t callee_of(const PlanC* plan, const OpC* o, uint32_t mode) noexcept nogil:
    """The node and mode that a call reads."""
    if plan.nodes[o.node].uncertain or plan.nodes[o.node].conditioned:
        return o.node << 1 | (mode ^ (o.under == UNDER_ODD))
    return o.node << 1


cdef bint put_members(BulkC* bulk, const OpC* o, uint32_t mode, IdsC* out, const IdsC* members) noexcept nogil:
    """The objects that members lead to. 0: error."""
    cdef uint32_t i
    cdef uint32_t* all
    cdef bint good = 1, new
    if members.count == 0:
        return 1
    all = members.list
    if members.listed != members.count:
        all = <uint32_t*>malloc(4 * <size_t>members.count)
        if all == NULL:
            bulk.run.error = ERROR_MEMORY
            return 0
        ids_write(members, all)
    for i in range(members.count):
        if o.code == OP_CALL:
            good = ids_add(out, all[i], &new)
            if not good:
                bulk.run.error = ERROR_MEMORY
        else:
            good = put_all(bulk, o, mode, out, all[i])
        if not good:
            break
    if all != members.list:
        free(all)
    return good


cdef bint put_op(BulkC* bulk, const OpC* o, uint32_t mode, IdsC* out, const IdsC* callee) noexcept nogil:
    """The objects on which an operation says yes. callee: what a call reads. 0: error."""
    cdef RunC* run = bulk.run
    cdef uint32_t group, i
    cdef bint new
    if o.code == OP_SELF:
        if run.subject != NONE and not ids_add(out, run.subject, &new):
            run.error = ERROR_MEMORY
            return 0
        return 1
    if o.code == OP_DIRECT or o.code == OP_DIRECT_IF:
        return put_all(bulk, o, mode, out, run.subject)
    if o.code == OP_WILDCARD or o.code == OP_WILDCARD_IF:
        return put_all(bulk, o, mode, out, 0)
    if o.code == OP_CLOSURE:
        group = run.plan.groups[o.closure]
        if run.view.groups[group].state != GROUP_DONE and not closure_build(run, group, <uint64_t>-1):
            if not run.error:
                run.error = ERROR_MEMORY
            return 0
        for i in range(run.view.list_count):
            if run.view.list[i] >> 32 == o.closure and not put_all(bulk, o, mode, out, <uint32_t>run.view.list[i]):
                return 0
        return 1
    return put_members(bulk, o, mode, out, callee)


# ---- spans ----

cdef bint span_join(SpanC* a, const SpanC* b, bint keep_a, bint keep_both, bint keep_b) noexcept nogil:
    """a becomes the ids that are in a alone, in both, in b alone, as asked. 0: no memory."""
    cdef uint32_t* out = <uint32_t*>malloc(4 * (<size_t>a.count + b.count + 1))
    cdef uint32_t i = 0, j = 0, n = 0
    if out == NULL:
        return 0
    while i < a.count or j < b.count:
        if j == b.count or (i < a.count and a.ids[i] < b.ids[j]):
            if keep_a:
                out[n] = a.ids[i]
                n += 1
            i += 1
        elif i == a.count or b.ids[j] < a.ids[i]:
            if keep_b:
                out[n] = b.ids[j]
                n += 1
            j += 1
        else:
            if keep_both:
                out[n] = a.ids[i]
                n += 1
            i += 1
            j += 1
    free(a.ids)
    a.ids = out
    a.count = n
    return 1


cdef bint span_copy(SpanC* out, const SpanC* a) noexcept nogil:
    out[0] = a[0]
    out.ids = <uint32_t*>malloc(4 * (<size_t>a.count + 1))
    if out.ids == NULL:
        return 0
    if a.count:
        memcpy(out.ids, a.ids, 4 * <size_t>a.count)
    return 1


cdef bint span_and(SpanC* a, const SpanC* b, bint but) noexcept nogil:
    """a becomes what is in a and in b; with but: in a and not in b. b is no complement."""
    if not a.but:
        return span_join(a, b, but, not but, 0)
    if but:                      # all but a, and not in b
        return span_join(a, b, 1, 1, 1)
    a.but = 0
    return span_join(a, b, 0, 0, 1)


cdef bint span_or(SpanC* a, const SpanC* b) noexcept nogil:
    """a becomes what is in a or in b."""
    if a.but and b.but:
        return span_join(a, b, 0, 1, 0)
    if a.but:
        return span_join(a, b, 1, 0, 0)
    if b.but:
        a.but = 1
        return span_join(a, b, 0, 0, 1)
    return span_join(a, b, 1, 1, 1)


# ---- a node outside any recursion ----

cdef bint is_union(const PlanC* plan, const PlanNodeC* n) noexcept nogil:
    """Whether a node's operations are alternatives, and nothing else."""
    cdef int32_t op = n.entry
    while op >= 0:
        if plan.ops[op].if_true != VERDICT_TRUE or plan.ops[op].under != UNDER_NONE:
            return 0
        op = plan.ops[op].if_false
    return op == VERDICT_FALSE


cdef bint solve_flat(BulkC* bulk, uint32_t key) noexcept nogil:
    """A node that calls only what is done. 0: error."""
    cdef const PlanC* plan = bulk.run.plan
    cdef const PlanNodeC* n = &plan.nodes[key >> 1]
    cdef IdsC* out = &bulk.found[key]
    cdef IdsC y
    cdef SpanC* reach
    cdef SpanC yes, part
    cdef SpanC total
    cdef const OpC* o
    cdef int32_t op = n.entry, i
    cdef int32_t successor
    cdef bint good = 1, new
    cdef uint32_t mode = key & 1, k
    if is_union(plan, n):
        while op >= 0:
            o = &plan.ops[op]
            if not put_op(bulk, o, mode, out, &bulk.found[callee_of(plan, o, mode)]):
                return 0
            op = o.if_false
        return 1
    reach = <SpanC*>calloc(<size_t>(n.entry - n.first + 1), sizeof(SpanC))
    memset(&total, 0, sizeof(SpanC))
    if reach == NULL:
        bulk.run.error = ERROR_MEMORY
        return 0
    reach[n.entry - n.first].but = 1
    while op >= n.first and good:
        o = &plan.ops[op]
        if not reach[op - n.first].but and reach[op - n.first].count == 0:
            op -= 1
            continue
        memset(&y, 0, sizeof(IdsC))
        memset(&yes, 0, sizeof(SpanC))
        good = put_op(bulk, o, mode, &y, &bulk.found[callee_of(plan, o, mode)])
        if good:
            yes.ids = <uint32_t*>malloc(4 * (<size_t>y.count + 1))
            good = yes.ids != NULL
        if good:
            yes.count = y.count
            ids_write(&y, yes.ids)
        ids_free(&y)
        for i in range(2):
            successor = o.if_false if i else o.if_true
            if not good or successor == VERDICT_FALSE:
                continue
            good = span_copy(&part, &reach[op - n.first]) and span_and(&part, &yes, i == 1)
            if good:
                good = span_or(&total if successor == VERDICT_TRUE else &reach[successor - n.first], &part)
                free(part.ids)
        free(yes.ids)
        op -= 1
    for i in range(n.entry - n.first + 1):
        free(reach[i].ids)
    free(reach)
    if good and not total.but:
        for k in range(total.count):
            good = good and ids_add(out, total.ids[k], &new)
    free(total.ids)
    if not good and not bulk.run.error:
        bulk.run.error = ERROR_MEMORY
    return good


# ---- a component with a recursion ----

cdef struct LoopC:               # one pass over a component
    FeedC* feeds
    uint32_t feed_count
    uint32_t feed_room
    IdsC* sets                   # of each operation of the plan that a point is tested on; NULL where not needed
    uint8_t* every               # operations that say yes on everything: an estimate before any pass
    IdsC* before                 # of the pass before: node << 1 | mode
    bint first                   # nothing is estimated yet: mode possible has everything
    uint32_t mode


cdef bint point(const PlanC* plan, const PlanNodeC* n, const LoopC* loop, uint32_t mode, uint32_t object) noexcept nogil:
    """Whether a node's wiring says yes on an object, by the sets of its operations so far."""
    cdef int32_t op = n.entry
    while op >= 0:
        if loop.every[2 * op + mode] or ids_has(&loop.sets[2 * op + mode], object):
            op = plan.ops[op].if_true
        else:
            op = plan.ops[op].if_false
    return op == VERDICT_TRUE


cdef bint inside(const PlanC* plan, const OpC* o, uint32_t component) noexcept nogil:
    return (o.code == OP_EXISTS or o.code == OP_CALL or o.code == OP_EXISTS_IF) and plan.nodes[o.node].component == component


cdef bint found_new(BulkC* bulk, const LoopC* loop, uint32_t key, int32_t op, uint32_t object) noexcept nogil:
    """An operation of a node says yes on an object: put the object in if that suffices. 0: error."""
    cdef const PlanC* plan = bulk.run.plan
    cdef const PlanNodeC* n = &plan.nodes[key >> 1]
    cdef bint new = 1
    cdef bint good = ids_add(&loop.sets[2 * op + (key & 1)], object, &new)
    if good and new and not ids_has(&bulk.found[key], object) and point(plan, n, loop, key & 1, object):
        good = ids_add(&bulk.found[key], object, &new)
    if not good:
        bulk.run.error = ERROR_MEMORY
    return good


cdef bint begin_node(BulkC* bulk, LoopC* loop, uint32_t key, uint32_t component) noexcept nogil:
    """Read what a node's operations take from outside the recursion, or from the pass before; note those that feed on it. 0: error."""
    cdef const PlanC* plan = bulk.run.plan
    cdef const PlanNodeC* n = &plan.nodes[key >> 1]
    cdef const OpC* o
    cdef int32_t op
    cdef uint32_t mode = key & 1, callee
    cdef void* grown
    for op in range(n.first, n.entry + 1):
        o = &plan.ops[op]
        callee = callee_of(plan, o, mode)
        if inside(plan, o, component):
            if o.under == UNDER_NONE:
                if loop.feed_count == loop.feed_room:
                    grown = realloc(loop.feeds, sizeof(FeedC) * (2 * <size_t>loop.feed_room + 16))
                    if grown == NULL:
                        bulk.run.error = ERROR_MEMORY
                        return 0
                    loop.feeds = <FeedC*>grown
                    loop.feed_room = 2 * loop.feed_room + 16
                loop.feeds[loop.feed_count].callee = callee
                loop.feeds[loop.feed_count].caller = key
                loop.feeds[loop.feed_count].op = op
                loop.feed_count += 1
                continue
            if loop.first and callee & 1:
                loop.every[2 * op + mode] = 1
                continue
            if not put_members(bulk, o, mode, &loop.sets[2 * op + mode], &loop.before[callee]):
                return 0
            continue
        if not put_op(bulk, o, mode, &loop.sets[2 * op + mode], &bulk.found[callee]):
            return 0
    return 1


cdef bint seed_node(BulkC* bulk, const LoopC* loop, uint32_t key) noexcept nogil:
    """Put in what a node holds on before its recursion gives anything. 0: error."""
    cdef const PlanC* plan = bulk.run.plan
    cdef const PlanNodeC* n = &plan.nodes[key >> 1]
    cdef const IdsC* set
    cdef int32_t op
    cdef uint32_t i, mode = key & 1
    cdef uint32_t* all
    cdef bint good = 1, new
    for op in range(n.first, n.entry + 1):
        set = &loop.sets[2 * op + mode]
        if set.count == 0:
            continue
        all = <uint32_t*>malloc(4 * <size_t>set.count)
        if all == NULL:
            bulk.run.error = ERROR_MEMORY
            return 0
        ids_write(set, all)
        for i in range(set.count):
            if good and point(plan, n, loop, mode, all[i]):
                good = ids_add(&bulk.found[key], all[i], &new)
        free(all)
        if not good:
            bulk.run.error = ERROR_MEMORY
            return 0
    return 1


cdef bint feed(BulkC* bulk, const LoopC* loop, const FeedC* f, uint32_t member) noexcept nogil:
    """What a new member of a callee leads to. 0: error."""
    cdef RunC* run = bulk.run
    cdef const OpC* o = &run.plan.ops[f.op]
    cdef const TableC* table
    cdef SetC s
    cdef IterC it
    cdef uint32_t object = 0
    cdef int outcome
    if o.code == OP_CALL:
        return found_new(bulk, loop, f.caller, f.op, member)
    table = run_table(run, o.table)
    if table == NULL or not side_get(&table.reverse, member, &s):
        return 1
    run.visited += s.count
    if run.visited > run.visited_max:
        run.error = ERROR_WORK
        return 0
    iter_start(&it, &s)
    while iter_next(&it, &object):
        if o.code == OP_EXISTS_IF:
            outcome = tuple_decide(run, o, object, member)
            if run.error:
                return 0
            if outcome != OUTCOME_TRUE and not (outcome == OUTCOME_ERROR and fails(bulk, o, f.caller & 1)):
                continue
        if not found_new(bulk, loop, f.caller, f.op, object):
            return 0
    return 1


cdef bint run_pass(BulkC* bulk, LoopC* loop, uint32_t component, uint32_t modes) noexcept nogil:
    """Solve the needed nodes of a component in the modes asked (bit 0: definite, bit 1: possible), what is subtracted as `before` has it. 0: error."""
    cdef const PlanC* plan = bulk.run.plan
    cdef uint32_t node, key, mode, i, f, at
    cdef bint busy = 1
    loop.feed_count = 0
    for at in range(bulk.starts[component], bulk.starts[component + 1]):
        node = bulk.order[at]
        for mode in range(2):
            key = node << 1 | mode
            if bulk.needed[key] and modes & (1 << mode):
                ids_free(&bulk.found[key])
                for i in range(<uint32_t>plan.nodes[node].first, <uint32_t>(plan.nodes[node].entry + 1)):
                    ids_free(&loop.sets[2 * i + mode])
                    loop.every[2 * i + mode] = 0
                if not begin_node(bulk, loop, key, component):
                    return 0
    for at in range(bulk.starts[component], bulk.starts[component + 1]):
        for mode in range(2):
            key = bulk.order[at] << 1 | mode
            if bulk.needed[key] and modes & (1 << mode) and not seed_node(bulk, loop, key):
                return 0
    while busy:
        busy = 0
        for f in range(loop.feed_count):     # each callee's news to each of its callers, in turn
            key = loop.feeds[f].callee
            if f and loop.feeds[f - 1].callee == key:
                continue
            while bulk.found[key].next < bulk.found[key].listed:
                busy = 1
                i = bulk.found[key].list[bulk.found[key].next]
                bulk.found[key].next += 1
                if not news(bulk, loop, key, i):
                    return 0
    return 1


cdef bint news(BulkC* bulk, const LoopC* loop, uint32_t key, uint32_t member) noexcept nogil:
    """Tell every operation that feeds on a node of a new member. 0: error."""
    cdef uint32_t f
    for f in range(loop.feed_count):
        if loop.feeds[f].callee == key and not feed(bulk, loop, &loop.feeds[f], member):
            return 0
    return 1


cdef bint solve_loop(BulkC* bulk, uint32_t component) noexcept nogil:
    """A component with a recursion. 0: error."""
    cdef const PlanC* plan = bulk.run.plan
    cdef LoopC loop
    cdef uint32_t node, mode, i, at
    cdef uint64_t counts[2]
    cdef uint64_t total
    cdef bint good, changed = 1
    memset(&loop, 0, sizeof(LoopC))
    loop.sets = <IdsC*>calloc(2 * <size_t>plan.op_count + 1, sizeof(IdsC))
    loop.every = <uint8_t*>calloc(2 * <size_t>plan.op_count + 1, 1)
    loop.before = <IdsC*>calloc(2 * <size_t>plan.node_count + 1, sizeof(IdsC))
    good = loop.sets != NULL and loop.every != NULL and loop.before != NULL
    if not good:
        bulk.run.error = ERROR_MEMORY
    elif not plan.unstratified[component]:
        good = run_pass(bulk, &loop, component, 3)
    else:
        counts[0] = 0
        counts[1] = <uint64_t>-1
        loop.first = 1
        while changed and good:          # possible, then definite: the one shrinks, the other grows, until neither changes
            changed = 0
            for i in range(2):
                mode = 1 - i
                good = good and run_pass(bulk, &loop, component, 1 << mode)
                total = 0
                for at in range(bulk.starts[component], bulk.starts[component + 1]):
                    node = bulk.order[at]
                    if good:
                        total += bulk.found[node << 1 | mode].count
                        ids_free(&loop.before[node << 1 | mode])
                        good = copy(&loop.before[node << 1 | mode], &bulk.found[node << 1 | mode])
                        if not good:
                            bulk.run.error = ERROR_MEMORY
                changed = changed or total != counts[mode]
                counts[mode] = total
                if mode == 1:
                    loop.first = 0
    if loop.sets != NULL:
        for i in range(2 * plan.op_count):
            ids_free(&loop.sets[i])
    if loop.before != NULL:
        for i in range(2 * plan.node_count):
            ids_free(&loop.before[i])
    free(loop.sets)
    free(loop.every)
    free(loop.before)
    free(loop.feeds)
    return good


cdef bint copy(IdsC* out, const IdsC* ids) noexcept nogil:
    """A set with the same ids. 0: no memory."""
    cdef uint32_t* all
    cdef uint32_t i
    cdef bint good = 1, new
    if ids.count == 0:
        return 1
    all = <uint32_t*>malloc(4 * <size_t>ids.count)
    if all == NULL:
        return 0
    ids_write(ids, all)
    for i in range(ids.count):
        good = good and ids_add(out, all[i], &new)
    free(all)
    return good


# ---- all together ----

cdef bint bulk_open(BulkC* bulk, RunC* run, bint upper) noexcept nogil:
    """Ready for a run: its subject, plan, version and conditions. 0: no memory."""
    cdef size_t count = 2 * <size_t>run.plan.node_count + 1
    cdef uint32_t i
    memset(bulk, 0, sizeof(BulkC))
    bulk.run = run
    bulk.upper = upper
    bulk.found = <IdsC*>calloc(count, sizeof(IdsC))
    bulk.needed = <uint8_t*>calloc(count, 1)
    bulk.done = <uint8_t*>calloc(count, 1)
    bulk.called = <uint8_t*>calloc(count, 1)
    bulk.order = <uint32_t*>malloc(4 * (<size_t>run.plan.node_count + 1))
    bulk.starts = <uint32_t*>calloc(<size_t>run.plan.component_count + 2, 4)
    if bulk.found == NULL or bulk.needed == NULL or bulk.done == NULL or bulk.called == NULL or bulk.order == NULL or bulk.starts == NULL:
        return 0
    for i in range(run.plan.op_count):
        if run.plan.ops[i].code >= OP_EXISTS:
            bulk.called[run.plan.ops[i].node] = 1
    for i in range(run.plan.node_count):
        bulk.starts[run.plan.nodes[i].component + 2] += 1
    for i in range(run.plan.component_count):
        bulk.starts[i + 2] += bulk.starts[i + 1]
    for i in range(run.plan.node_count):         # starts[c + 1] is where the next of c goes, and in the end where c + 1 begins
        bulk.order[bulk.starts[run.plan.nodes[i].component + 1]] = i
        bulk.starts[run.plan.nodes[i].component + 1] += 1
    return 1


cdef void bulk_close(BulkC* bulk) noexcept nogil:
    cdef uint32_t i
    if bulk.found != NULL:
        for i in range(2 * bulk.run.plan.node_count):
            ids_free(&bulk.found[i])
    free(bulk.found)
    free(bulk.needed)
    free(bulk.done)
    free(bulk.called)
    free(bulk.order)
    free(bulk.starts)
    memset(bulk, 0, sizeof(BulkC))


cdef void bulk_forget(BulkC* bulk, uint32_t node) noexcept nogil:
    """The set of a node has been read: let it go, unless others are made of it."""
    if not bulk.called[node]:
        ids_free(&bulk.found[node << 1])
        bulk.done[node << 1] = 0
        bulk.needed[node << 1] = 0


cdef bint mark(BulkC* bulk, uint32_t node) noexcept nogil:
    """Mark what a node's set is made of. 0: no memory."""
    cdef const PlanC* plan = bulk.run.plan
    cdef uint32_t* stack = <uint32_t*>malloc(8 * (<size_t>plan.node_count + 1))
    cdef uint32_t depth = 0, key, callee
    cdef int32_t op
    cdef const OpC* o
    if stack == NULL:
        return 0
    stack[0] = node << 1
    depth = 1
    bulk.needed[node << 1] = 1
    while depth:
        depth -= 1
        key = stack[depth]
        if plan.unstratified[plan.nodes[key >> 1].component] and not bulk.needed[key ^ 1]:
            bulk.needed[key ^ 1] = 1
            stack[depth] = key ^ 1
            depth += 1
        for op in range(plan.nodes[key >> 1].first, plan.nodes[key >> 1].entry + 1):
            o = &plan.ops[op]
            if o.code == OP_EXISTS or o.code == OP_CALL or o.code == OP_EXISTS_IF:
                callee = callee_of(plan, o, key & 1)
                if not bulk.needed[callee]:
                    bulk.needed[callee] = 1
                    stack[depth] = callee
                    depth += 1
    free(stack)
    return 1


cdef const IdsC* bulk_list(BulkC* bulk, uint32_t node) noexcept nogil:
    """The objects on which the subject definitely holds a node. NULL: run.error says why. What is done for one node serves the next."""
    cdef const PlanC* plan = bulk.run.plan
    cdef uint32_t component, n, key, at
    cdef int32_t op
    cdef bint recursive, wanted
    if not mark(bulk, node):
        bulk.run.error = ERROR_MEMORY
        return NULL
    for component in range(plan.nodes[node].component + 1):
        recursive = 0
        wanted = 0
        for at in range(2 * bulk.starts[component], 2 * bulk.starts[component + 1]):
            n = bulk.order[at >> 1]
            key = n << 1 | (at & 1)
            if not bulk.needed[key] or bulk.done[key]:
                continue
            wanted = 1
            for op in range(plan.nodes[n].first, plan.nodes[n].entry + 1):
                recursive = recursive or inside(plan, &plan.ops[op], component)
        if not wanted:
            continue
        if recursive and not solve_loop(bulk, component):
            return NULL
        for at in range(2 * bulk.starts[component], 2 * bulk.starts[component + 1]):
            key = bulk.order[at >> 1] << 1 | (at & 1)
            if bulk.needed[key] and not bulk.done[key]:
                if not recursive and not solve_flat(bulk, key):
                    return NULL
                bulk.done[key] = 1
    return &bulk.found[node << 1]
