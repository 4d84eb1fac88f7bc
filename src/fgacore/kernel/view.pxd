"""What is known of one subject in one version under one plan: its closure, the usersets it belongs to, and verdicts on the objects that lead to others.

A closure is built group by group (closures that feed each other), from membership tables only, upwards from the subject: reverse sets of its direct
and wildcard memberships, then of each userset found. It may stop at a budget and go on later; an unfinished closure proves membership, never its absence.
One open-addressing set of (closure << 32 | id) for all closures of the view, and a list of the same in the order found, which is also the queue.
A memo keeps exact verdicts of (node, object), two bits each in pages made at first touch; only callees of calls over sets, never the question itself.
One owner at a time: a view is written without the GIL by the thread that holds its run. Threads that ask for one subject at once have one each.

Views are cached by (plan, subject). The first question of a subject leaves its name in the cache and works in scratch; the second, or a batch, builds.
INVARIANT (a view answers for its versions only): it is true from the version it was begun in (`low`) until a table that shapes closures and parents
changes (Version.structural grows past `low`), or a tuple of its own plain subject does (the writer sets `stale` when it publishes).
Only calls that hold the newest version take a view (State.begin); older ones work in scratch. The plan's serial is part of the key, so no model answers for another.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from fgacore.kernel.conditions cimport ConditionsC
from fgacore.kernel.ids cimport IdsC, ids_has
from fgacore.kernel.plan cimport OpC, PlanC
from fgacore.kernel.sets cimport RUN, SetC
from fgacore.kernel.tables cimport TableC

cdef enum:
    GROUP_UNSEEDED = 0
    GROUP_GROWING = 1
    GROUP_DONE = 2

cdef enum:
    CLOSURE_NO = 0
    CLOSURE_YES = 1
    CLOSURE_UNKNOWN = 2
    CLOSURE_SHORT = 16           # members of a set that are looked up one by one without more thought

cdef struct GroupC:              # progress of one group
    uint32_t state               # GROUP_*
    uint32_t seed                # next seed to read
    uint32_t head                # next entry of the list to follow
    uint32_t edge                # next edge of that entry

cdef enum:
    MEMO_UNKNOWN = 0
    MEMO_FALSE = 2
    MEMO_TRUE = 3
    MEMO_PAGE_BITS = 10          # ids of a page
    DIRECT_PAGE_BITS = 10        # the same, one bit each
    MEMO_BYTES_MAX = 1 << 22     # of one view; beyond it nothing is added
    CACHE_SETS = 2048            # of two subjects each
    WHOLES_MAX = 8               # lists that one view keeps, the first
    TWINS_MAX = 16               # views of one subject
    CACHE_BYTES_MAX = 1 << 26    # of all views; beyond it they are dropped

cdef struct MemoC:               # the pages of one memo node
    uint8_t** pages              # 2^MEMO_PAGE_BITS ids, two bits each; NULL: none known
    uint32_t page_count

cdef enum:
    DIRECT_UNKNOWN = 0
    DIRECT_BITS = 1              # all of the subject's objects are in the pages
    DIRECT_NONE = 2              # it has none

cdef struct DirectC:             # the subject's own tuples in one table, as a bitmap of objects
    uint8_t** pages              # NULL: none there
    uint32_t page_count
    uint32_t state               # DIRECT_*
    uint64_t asked               # questions about this table so far: the bitmap is made once they outweigh it

cdef struct WholeC:              # every object on which the subject holds a node: a list was asked
    uint32_t node
    IdsC objects

cdef struct ViewC:
    ViewC* twin                  # another of the same subject, for a call at the same time: each has its own owner
    uint64_t low                 # serial of the version it was begun in
    uint8_t busy                 # a call owns it
    uint8_t stale                # its subject was written about since
    uint8_t kept                 # in the cache: it has a memo; a scratch view has none
    MemoC* memos
    DirectC* directs
    WholeC* wholes               # whole_count of them, room for WHOLES_MAX
    uint32_t whole_count
    uint32_t memo_room
    uint32_t direct_room
    uint64_t bytes               # allocated for the memo
    uint64_t counted             # bytes of the view as the cache has them
    uint64_t* slots              # ALL_ONES: free
    uint64_t mask                # slots - 1
    uint64_t* list
    uint32_t list_count
    uint32_t list_capacity
    GroupC* groups               # of the plan
    uint32_t* counts             # members of each closure
    uint32_t group_room
    uint32_t closure_room

cdef struct RunC:                # one call for one subject: everything a traversal reads
    TableC** tables
    const PlanC* plan
    ViewC* view
    uint32_t table_count
    uint32_t subject             # id: of the subject, or of the object of an asking userset; NONE where nothing mentions it
    uint64_t visited             # tuples looked at
    uint64_t visited_max         # for one question: from limits.py
    int error                    # ERROR_*, 0: none
    ConditionsC* conditions      # of the call
    bint failed                  # a walk met a condition that failed: the solver says whether the answer hangs on it

cdef enum:
    ERROR_MEMORY = 1
    ERROR_WORK = 2
    ERROR_CONDITION = 3          # the answer hangs on a condition that failed: conditions.fault
    ERROR_CONDITION_WORK = 4     # the conditions of the call took more than their bound
    ERROR_RAISED = 5             # what decides conditions outside has an exception to raise


cdef inline const TableC* run_table(const RunC* run, uint32_t table) noexcept nogil:
    """A table, or NULL where nothing was ever stored in it."""
    return run.tables[table] if table < run.table_count else NULL


cdef inline bint view_has(const ViewC* view, uint32_t closure, uint32_t id) noexcept nogil:
    cdef uint64_t key = (<uint64_t>closure << 32) | id
    cdef uint64_t at = (key * <uint64_t>0x9E3779B97F4A7C15U) >> 32 & view.mask
    while view.slots[at] != <uint64_t>0xFFFFFFFFFFFFFFFFU:
        if view.slots[at] == key:
            return 1
        at = (at + 1) & view.mask
    return 0


cdef inline int closure_find(RunC* run, uint32_t closure, const SetC* members) noexcept nogil:
    """Whether any member of a short run is in a closure that is complete; CLOSURE_UNKNOWN: ask closure_test."""
    cdef const ViewC* view = run.view
    cdef const uint32_t* ids = <const uint32_t*>members.data
    cdef uint32_t i
    if view.groups[run.plan.groups[closure]].state != GROUP_DONE or members.form != RUN or members.count > CLOSURE_SHORT:
        return CLOSURE_UNKNOWN
    run.visited += members.count
    for i in range(members.count):
        if view_has(view, closure, ids[i]):
            return CLOSURE_YES
    return CLOSURE_NO


cdef bint view_reset(ViewC* view, const PlanC* plan) noexcept nogil
cdef void view_free(ViewC* view) noexcept nogil
cdef bint closure_build(RunC* run, uint32_t group, uint64_t budget) noexcept nogil
cdef int closure_test(RunC* run, uint32_t closure, const SetC* members, uint64_t budget) noexcept nogil


cdef struct SlotC:
    uint64_t plan
    uint32_t subject
    ViewC* view                  # NULL: asked once

cdef struct CacheC:
    SlotC* slots                 # 2 * CACHE_SETS
    uint64_t bytes
    uint64_t hits                # questions, or batches, that found their view
    uint64_t misses
    uint64_t drops               # views dropped for room
    uint32_t count               # views

cdef uint32_t direct_build(RunC* run, uint32_t table, uint32_t direct, uint64_t questions) noexcept nogil
cdef int tuple_decide(RunC* run, const OpC* o, uint32_t object, uint32_t member) noexcept nogil
cdef void whole_keep(ViewC* view, uint32_t node, IdsC* objects) noexcept nogil
cdef bint memo_put(ViewC* view, uint32_t memo, uint32_t id, bint verdict) noexcept nogil
cdef ViewC* cache_take(CacheC* cache, const PlanC* plan, uint64_t plan_serial, uint32_t subject, uint64_t version, uint64_t structural, bint build) noexcept
cdef void cache_give(CacheC* cache, ViewC* view) noexcept
cdef void cache_drop(CacheC* cache, uint64_t plan_serial, uint32_t subject) noexcept
cdef bint cache_open(CacheC* cache) noexcept
cdef void cache_close(CacheC* cache) noexcept


cdef inline uint8_t memo_get(const ViewC* view, uint32_t memo, uint32_t id) noexcept nogil:
    """MEMO_*. Of a kept view only."""
    cdef const MemoC* m = &view.memos[memo]
    if (id >> MEMO_PAGE_BITS) >= m.page_count or m.pages[id >> MEMO_PAGE_BITS] == NULL:
        return MEMO_UNKNOWN
    return (m.pages[id >> MEMO_PAGE_BITS][(id & ((1 << MEMO_PAGE_BITS) - 1)) >> 2] >> ((id & 3) << 1)) & 3


cdef inline bint direct_has(const DirectC* d, uint32_t id) noexcept nogil:
    """Of a bitmap that is built: whether the subject is stored on an object."""
    return (id >> DIRECT_PAGE_BITS) < d.page_count and d.pages[id >> DIRECT_PAGE_BITS] != NULL and (
        d.pages[id >> DIRECT_PAGE_BITS][(id & ((1 << DIRECT_PAGE_BITS) - 1)) >> 3] >> (id & 7)) & 1


cdef inline const IdsC* whole_find(const ViewC* view, uint32_t node) noexcept nogil:
    """All objects of a node where a list has found them, or NULL."""
    cdef uint32_t i
    for i in range(view.whole_count):
        if view.wholes[i].node == node:
            return &view.wholes[i].objects
    return NULL


cdef inline SlotC* cache_set(CacheC* cache, uint64_t plan_serial, uint32_t subject) noexcept:
    """The first of the two slots where a subject may be."""
    cdef uint64_t key = (plan_serial << 32) ^ subject
    return &cache.slots[2 * ((key * <uint64_t>0x9E3779B97F4A7C15U) >> 40 & (CACHE_SETS - 1))]


cdef inline ViewC* cache_find(CacheC* cache, uint64_t plan_serial, uint32_t subject, uint64_t version, uint64_t structural) noexcept:
    """The view of a subject where it is there, true for the version, and nobody's; else NULL."""
    cdef SlotC* slot = cache_set(cache, plan_serial, subject)
    cdef ViewC* view
    if slot.plan != plan_serial or slot.subject != subject:
        slot += 1
        if slot.plan != plan_serial or slot.subject != subject:
            return NULL
    view = slot.view
    if view == NULL or view.busy or view.stale or view.low > version or structural > view.low:
        return NULL
    return view


cdef inline void view_count(CacheC* cache, ViewC* view) noexcept nogil:
    """Bring the cache's sum of bytes up to date."""
    cdef uint64_t bytes = sizeof(ViewC) + 8 * (view.mask + 1) + 8 * <uint64_t>view.list_capacity + view.bytes
    cache.bytes += bytes - view.counted
    view.counted = bytes
