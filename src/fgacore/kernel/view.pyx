"""Closures: see view.pxd."""

from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memset

from fgacore.kernel.plan cimport EdgeC, SeedC
from fgacore.kernel.sets cimport NONE, RUN, IterC, iter_next, iter_start, set_contains
from fgacore.kernel.tables cimport side_get

cdef enum:
    SLOTS_MIN = 64


cdef bint view_reset(ViewC* view, const PlanC* plan) noexcept nogil:
    """Forget everything; ready for any subject under the plan. 0: no memory."""
    cdef void* grown
    if view.slots == NULL or view.mask > 1023:     # a large set is given back rather than cleared
        free(view.slots)
        view.slots = <uint64_t*>malloc(8 * SLOTS_MIN)
        if view.slots == NULL:
            return 0
        view.mask = SLOTS_MIN - 1
        memset(view.slots, 0xFF, 8 * SLOTS_MIN)
    elif view.list_count:
        memset(view.slots, 0xFF, 8 * (view.mask + 1))
    if view.list_capacity > 1024:
        free(view.list)
        view.list = NULL
        view.list_capacity = 0
    view.list_count = 0
    if view.group_room < plan.group_count:
        grown = realloc(view.groups, plan.group_count * sizeof(GroupC))
        if grown == NULL:
            return 0
        view.groups = <GroupC*>grown
        view.group_room = plan.group_count
    if view.closure_room < plan.closure_count:
        grown = realloc(view.counts, plan.closure_count * sizeof(uint32_t))
        if grown == NULL:
            return 0
        view.counts = <uint32_t*>grown
        view.closure_room = plan.closure_count
    if plan.group_count:
        memset(view.groups, 0, plan.group_count * sizeof(GroupC))
        memset(view.counts, 0, plan.closure_count * sizeof(uint32_t))
    return 1


cdef void view_free(ViewC* view) noexcept nogil:
    free(view.slots)
    free(view.list)
    free(view.groups)
    free(view.counts)
    memset(view, 0, sizeof(ViewC))


cdef bint view_add(ViewC* view, uint32_t closure, uint32_t id) noexcept nogil:
    """Put an id into a closure, if it is not there. 0: no memory."""
    cdef uint64_t key = (<uint64_t>closure << 32) | id
    cdef uint64_t at = (key * <uint64_t>0x9E3779B97F4A7C15U) >> 32 & view.mask
    cdef uint64_t mask, i
    cdef uint64_t* slots
    cdef void* grown
    while view.slots[at] != <uint64_t>0xFFFFFFFFFFFFFFFFU:
        if view.slots[at] == key:
            return 1
        at = (at + 1) & view.mask
    if view.list_count == view.list_capacity:
        grown = realloc(view.list, 8 * (2 * <size_t>view.list_capacity + 32))
        if grown == NULL:
            return 0
        view.list = <uint64_t*>grown
        view.list_capacity = 2 * view.list_capacity + 32
    view.list[view.list_count] = key
    view.list_count += 1
    view.counts[closure] += 1
    view.slots[at] = key
    if 2 * <uint64_t>view.list_count > view.mask:
        mask = 4 * (view.mask + 1) - 1
        slots = <uint64_t*>malloc(8 * (mask + 1))
        if slots == NULL:
            return 0
        memset(slots, 0xFF, 8 * (mask + 1))
        for i in range(view.list_count):
            at = (view.list[i] * <uint64_t>0x9E3779B97F4A7C15U) >> 32 & mask
            while slots[at] != <uint64_t>0xFFFFFFFFFFFFFFFFU:
                at = (at + 1) & mask
            slots[at] = view.list[i]
        free(view.slots)
        view.slots = slots
        view.mask = mask
    return 1


cdef bint add_set(RunC* run, const SetC* s, uint32_t closure) noexcept nogil:
    cdef IterC it
    cdef uint32_t id = 0
    iter_start(&it, s)
    while iter_next(&it, &id):
        if id != NONE and not view_add(run.view, closure, id):
            run.error = ERROR_MEMORY
            return 0
    run.visited += s.count
    if run.visited > run.visited_max:
        run.error = ERROR_WORK
        return 0
    return 1


cdef bint closure_build(RunC* run, uint32_t group, uint64_t budget) noexcept nogil:
    """Grow a group's closures by at most `budget` tuples, or one set where even that is larger than what is left at the start. 1: complete."""
    cdef GroupC* g = &run.view.groups[group]
    cdef const PlanC* plan = run.plan
    cdef const SeedC* seed
    cdef const EdgeC* edge
    cdef const TableC* table
    cdef SetC s
    cdef uint32_t closure, id, i
    cdef uint64_t spent = 0
    if g.state == GROUP_UNSEEDED:
        for i in range(plan.own_count):
            if plan.groups[plan.own_closures[i]] == group and run.subject != NONE:
                if not view_add(run.view, plan.own_closures[i], run.subject):
                    run.error = ERROR_MEMORY
                    return 0
        while plan.seed_offsets[group] + g.seed < plan.seed_offsets[group + 1]:
            seed = &plan.seeds[plan.seed_offsets[group] + g.seed]
            table = run_table(run, seed.table)
            if table != NULL and side_get(&table.reverse, 0 if seed.wildcard else run.subject, &s):
                if spent + s.count > budget:
                    return 0
                spent += s.count
                if not add_set(run, &s, seed.closure):
                    return 0
            g.seed += 1
        g.state = GROUP_GROWING
    while g.head < run.view.list_count:
        closure = <uint32_t>(run.view.list[g.head] >> 32)
        id = <uint32_t>run.view.list[g.head]
        if plan.groups[closure] == group:
            while plan.edge_offsets[closure] + g.edge < plan.edge_offsets[closure + 1]:
                edge = &plan.edges[plan.edge_offsets[closure] + g.edge]
                table = run_table(run, edge.table)
                if table != NULL and side_get(&table.reverse, id, &s):
                    if spent + s.count > budget:
                        return 0
                    spent += s.count
                    if not add_set(run, &s, edge.closure):
                        return 0
                g.edge += 1
        g.edge = 0
        g.head += 1
    g.state = GROUP_DONE
    return 1


cdef int closure_test(RunC* run, uint32_t closure, const SetC* members, uint64_t budget) noexcept nogil:
    """Whether any of the members is in the closure; it is grown within the budget first where it is not complete."""
    cdef ViewC* view = run.view
    cdef uint32_t group = run.plan.groups[closure], id = 0, i
    cdef IterC it
    cdef bint complete = view.groups[group].state == GROUP_DONE or closure_build(run, group, budget)
    if run.error:
        return CLOSURE_UNKNOWN
    if view.counts[closure] == 0:
        return CLOSURE_NO if complete else CLOSURE_UNKNOWN
    if members.count <= 4 * <uint64_t>view.counts[closure] + 4:
        iter_start(&it, members)
        run.visited += members.count
        while iter_next(&it, &id):
            if view_has(view, closure, id):
                return CLOSURE_YES
    else:
        run.visited += view.counts[closure]
        for i in range(view.list_count):
            if view.list[i] >> 32 == closure and set_contains(members, <uint32_t>view.list[i]):
                return CLOSURE_YES
    return CLOSURE_NO if complete else CLOSURE_UNKNOWN
