"""Closures: see view.pxd."""

from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memset

from fgacore.kernel.conditions cimport OUTCOME_STOP, STOP_RAISED, STOP_WORK, condition_decide
from fgacore.kernel.grants cimport GrantC, grant_get
from fgacore.kernel.ids cimport PAGE_WORDS, ids_free
from fgacore.kernel.plan cimport EdgeC, OpC, SeedC
from fgacore.kernel.sets cimport NONE, IterC, iter_next, iter_start, set_contains
from fgacore.kernel.side cimport side_get

cdef enum:
    WHOLE_BYTES_MAX = 1 << 23    # of a view with all it keeps; a list beyond it is not kept
    SLOTS_MIN = 64
    DIRECT_WORTH = 2             # a bitmap is made once twice the questions are as many as the subject's tuples: about 2 ns each


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
    view.stale = 0
    memo_clear(view)
    if view.kept and plan.memo_count:
        if view.memo_room < plan.memo_count:
            grown = realloc(view.memos, plan.memo_count * sizeof(MemoC))
            if grown == NULL:
                return 0
            view.memos = <MemoC*>grown
            view.memo_room = plan.memo_count
        memset(view.memos, 0, view.memo_room * sizeof(MemoC))
    if view.kept and plan.direct_count:
        if view.direct_room < plan.direct_count:
            grown = realloc(view.directs, plan.direct_count * sizeof(DirectC))
            if grown == NULL:
                return 0
            view.directs = <DirectC*>grown
            view.direct_room = plan.direct_count
        memset(view.directs, 0, view.direct_room * sizeof(DirectC))
    if plan.group_count:
        memset(view.groups, 0, plan.group_count * sizeof(GroupC))
        memset(view.counts, 0, plan.closure_count * sizeof(uint32_t))
    return 1


cdef void memo_clear(ViewC* view) noexcept nogil:
    cdef uint32_t i, j
    for i in range(view.memo_room):
        for j in range(view.memos[i].page_count):
            free(view.memos[i].pages[j])
        free(view.memos[i].pages)
        view.memos[i].pages = NULL
        view.memos[i].page_count = 0
    for i in range(view.direct_room):
        direct_clear(&view.directs[i])
    for i in range(view.whole_count):
        ids_free(&view.wholes[i].objects)
    view.whole_count = 0
    view.bytes = 0


cdef void direct_clear(DirectC* d) noexcept nogil:
    cdef uint32_t i
    for i in range(d.page_count):
        free(d.pages[i])
    free(d.pages)
    memset(d, 0, sizeof(DirectC))


cdef uint32_t direct_build(RunC* run, uint32_t table, uint32_t direct, uint64_t questions) noexcept nogil:
    """Note that so many questions read the subject's own tuples in a table; make their bitmap once it is worth it. DIRECT_*."""
    cdef ViewC* view = run.view
    cdef DirectC* d = &view.directs[direct]
    cdef const TableC* t = run_table(run, table)
    cdef IterC it
    cdef SetC s
    cdef uint32_t id = 0, last = 0, page
    if t == NULL or not side_get(&t.reverse, run.subject, &s):
        d.state = DIRECT_NONE
        return DIRECT_NONE
    d.asked += questions
    if d.asked * DIRECT_WORTH < s.count or view.bytes > MEMO_BYTES_MAX:
        return DIRECT_UNKNOWN
    iter_start(&it, &s)
    while iter_next(&it, &id):
        last = id
    if last >= 0x80000000U:
        return DIRECT_UNKNOWN
    d.pages = <uint8_t**>calloc((last >> DIRECT_PAGE_BITS) + 1, sizeof(uint8_t*))
    if d.pages == NULL:
        return DIRECT_UNKNOWN
    d.page_count = (last >> DIRECT_PAGE_BITS) + 1
    view.bytes += d.page_count * sizeof(uint8_t*)
    iter_start(&it, &s)
    while iter_next(&it, &id):
        page = id >> DIRECT_PAGE_BITS
        if page >= d.page_count:
            continue
        if d.pages[page] == NULL:
            d.pages[page] = <uint8_t*>calloc(1, 1 << (DIRECT_PAGE_BITS - 3))
            if d.pages[page] == NULL:
                direct_clear(d)
                return DIRECT_UNKNOWN
            view.bytes += 1 << (DIRECT_PAGE_BITS - 3)
        d.pages[page][(id & ((1 << DIRECT_PAGE_BITS) - 1)) >> 3] |= <uint8_t>(1 << (id & 7))
    d.state = DIRECT_BITS
    return DIRECT_BITS


cdef void whole_keep(ViewC* view, uint32_t node, IdsC* objects) noexcept nogil:
    """Take over all objects of a node, where there is room: checks are then one look-up. What is not kept is left to the caller."""
    cdef uint64_t bytes = 4 * (<uint64_t>objects.room + objects.mask + 1) + 8 * <uint64_t>objects.page_count
    cdef uint32_t i
    for i in range(objects.page_count):
        bytes += 8 * PAGE_WORDS if objects.pages[i] != NULL else 0
    if view.whole_count == WHOLES_MAX or view.bytes + bytes > WHOLE_BYTES_MAX or whole_find(view, node) != NULL:
        return
    if view.wholes == NULL:
        view.wholes = <WholeC*>calloc(WHOLES_MAX, sizeof(WholeC))
        if view.wholes == NULL:
            return
    view.wholes[view.whole_count].node = node
    view.wholes[view.whole_count].objects = objects[0]
    view.whole_count += 1
    view.bytes += bytes
    memset(objects, 0, sizeof(IdsC))


cdef bint memo_put(ViewC* view, uint32_t memo, uint32_t id, bint verdict) noexcept nogil:
    """Keep an exact verdict; it is simply not kept where there is no room. 1 if kept."""
    cdef MemoC* m = &view.memos[memo]
    cdef uint32_t page = id >> MEMO_PAGE_BITS, count
    cdef void* grown
    if id >= 0x80000000U or view.bytes > MEMO_BYTES_MAX:
        return 0
    if page >= m.page_count:
        count = page + 1 + (page >> 1)
        grown = realloc(m.pages, count * sizeof(uint8_t*))
        if grown == NULL:
            return 0
        m.pages = <uint8_t**>grown
        memset(m.pages + m.page_count, 0, (count - m.page_count) * sizeof(uint8_t*))
        view.bytes += (count - m.page_count) * sizeof(uint8_t*)
        m.page_count = count
    if m.pages[page] == NULL:
        m.pages[page] = <uint8_t*>calloc(1, 1 << (MEMO_PAGE_BITS - 2))
        if m.pages[page] == NULL:
            return 0
        view.bytes += 1 << (MEMO_PAGE_BITS - 2)
    m.pages[page][(id & ((1 << MEMO_PAGE_BITS) - 1)) >> 2] |= <uint8_t>((MEMO_TRUE if verdict else MEMO_FALSE) << ((id & 3) << 1))
    return 1


cdef void view_free(ViewC* view) noexcept nogil:
    memo_clear(view)
    free(view.memos)
    free(view.directs)
    free(view.wholes)
    free(view.slots)
    free(view.list)
    free(view.groups)
    free(view.counts)
    memset(view, 0, sizeof(ViewC))


cdef bint view_add(ViewC* view, uint32_t closure, uint32_t id) noexcept nogil:
    """Put an id into a closure, if it is not there. 0: no memory, and then it is not."""
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
    if 2 * (<uint64_t>view.list_count + 1) > view.mask:
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
        at = (key * <uint64_t>0x9E3779B97F4A7C15U) >> 32 & mask
        while slots[at] != <uint64_t>0xFFFFFFFFFFFFFFFFU:
            at = (at + 1) & mask
    view.list[view.list_count] = key
    view.list_count += 1
    view.counts[closure] += 1
    view.slots[at] = key
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
    """Grow a group's closures by at most `budget` tuples, whole sets only. 1: complete."""
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
    if members.count <= 4 * <uint64_t>view.list_count + 4:
        iter_start(&it, members)
        run.visited += members.count
        while iter_next(&it, &id):
            if view_has(view, closure, id):
                return CLOSURE_YES
    else:
        run.visited += view.list_count   # the closures of a view share one list
        for i in range(view.list_count):
            if view.list[i] >> 32 == closure and set_contains(members, <uint32_t>view.list[i]):
                return CLOSURE_YES
    return CLOSURE_NO if complete else CLOSURE_UNKNOWN


# ---- the cache: under the GIL ----

cdef bint cache_open(CacheC* cache) noexcept:
    memset(cache, 0, sizeof(CacheC))
    cache.slots = <SlotC*>calloc(2 * CACHE_SETS, sizeof(SlotC))
    return cache.slots != NULL


cdef void cache_close(CacheC* cache) noexcept:
    cdef uint32_t i
    if cache.slots == NULL:
        return
    for i in range(2 * CACHE_SETS):
        slot_free(cache, &cache.slots[i])
    free(cache.slots)
    cache.slots = NULL


cdef ViewC* cache_take(CacheC* cache, const PlanC* plan, uint64_t plan_serial, uint32_t subject, uint64_t version, uint64_t structural, bint build) noexcept:
    """A view of a subject, for this call alone, or NULL: work in scratch. build: make one though the subject was never asked before."""
    cdef SlotC* slot = cache_set(cache, plan_serial, subject)
    cdef ViewC* view
    cdef ViewC* free_view = NULL
    cdef ViewC** link
    cdef uint32_t twins = 0
    if slot.plan != plan_serial or slot.subject != subject:
        if (slot + 1).plan == plan_serial and (slot + 1).subject == subject:
            slot += 1
        else:
            # The other of the two was used before this one: it goes.
            if not slot_busy(slot + 1):
                slot_swap(slot)
            if slot_busy(slot):
                cache.misses += 1
                return NULL
            slot_free(cache, slot)
            slot.plan = plan_serial
            slot.subject = subject
            if not build:
                cache.misses += 1
                return NULL
    view = slot.view
    while view != NULL:
        if not view.busy and not view.stale and structural <= view.low:
            view.busy = 1
            cache.hits += 1
            return view
        view = view.twin
    if cache.bytes > CACHE_BYTES_MAX:
        cache_shrink(cache)
        slot.plan = plan_serial
        slot.subject = subject
    link = &slot.view
    while link[0] != NULL:
        if not link[0].busy:
            free_view = link[0]
        link = &link[0].twin
        twins += 1
    cache.misses += 1
    view = free_view
    if view == NULL:
        if twins >= TWINS_MAX:
            return NULL
        view = <ViewC*>calloc(1, sizeof(ViewC))
        if view == NULL:
            return NULL
        view.kept = 1
        link[0] = view
        cache.count += 1
    if not view_reset(view, plan):
        view.stale = 1
        return NULL
    view.low = version
    view.busy = 1
    view_count(cache, view)
    return view


cdef bint slot_busy(const SlotC* slot) noexcept:
    cdef const ViewC* view = slot.view
    while view != NULL:
        if view.busy:
            return 1
        view = view.twin
    return 0


cdef void slot_swap(SlotC* slot) noexcept:
    cdef SlotC other = slot[0]
    slot[0] = slot[1]
    slot[1] = other


cdef void slot_free(CacheC* cache, SlotC* slot) noexcept:
    """Drop the views of a slot, none of which is busy, and its name."""
    cdef ViewC* view = slot.view
    cdef ViewC* twin
    while view != NULL:
        twin = view.twin
        cache.bytes -= view.counted
        cache.count -= 1
        cache.drops += 1
        view_free(view)
        free(view)
        view = twin
    slot.view = NULL
    slot.plan = 0


cdef void cache_shrink(CacheC* cache) noexcept:
    """Drop every view that no call owns."""
    cdef uint32_t i
    for i in range(2 * CACHE_SETS):
        if not slot_busy(&cache.slots[i]):
            slot_free(cache, &cache.slots[i])


cdef void cache_give(CacheC* cache, ViewC* view) noexcept:
    """The call is done with its view."""
    view.busy = 0
    view_count(cache, view)


cdef void cache_drop(CacheC* cache, uint64_t plan_serial, uint32_t subject) noexcept:
    """A tuple of the subject was written: what is known of it ends with the version before."""
    cdef SlotC* slot = cache_set(cache, plan_serial, subject)
    cdef ViewC* view
    cdef int i
    for i in range(2):
        if slot[i].plan == plan_serial and slot[i].subject == subject:
            view = slot[i].view
            while view != NULL:
                view.stale = 1
                view = view.twin


cdef int tuple_decide(RunC* run, const OpC* o, uint32_t object, uint32_t member) noexcept nogil:
    """Whether the condition of a stored tuple holds: OUTCOME_*. On OUTCOME_STOP run.error says why."""
    cdef const GrantC* grant = grant_get(run.tables[o.table].grants, object, member)
    cdef int outcome = condition_decide(run.conditions, o.closure, grant.context if grant != NULL else NULL)
    if outcome == OUTCOME_STOP:
        if run.conditions.stop == STOP_WORK:
            run.error = ERROR_CONDITION_WORK
        else:
            run.error = ERROR_RAISED if run.conditions.stop == STOP_RAISED else ERROR_MEMORY
    return outcome
