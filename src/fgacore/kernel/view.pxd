"""What is known of one subject in one version under one plan: its closure, the usersets it belongs to.

A closure is built group by group (closures that feed each other), from membership tables only, upwards from the subject: reverse sets of its direct
and wildcard memberships, then of each userset found. It may stop at a budget and go on later; an unfinished closure proves membership, never its absence.
One open-addressing set of (closure << 32 | id) for all closures of the view, and a list of the same in the order found, which is also the queue.
One owner at a time: a view is written without the GIL by the thread that holds its run.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from fgacore.kernel.plan cimport PlanC
from fgacore.kernel.sets cimport SetC
from fgacore.kernel.tables cimport TableC

cdef enum:
    GROUP_UNSEEDED = 0
    GROUP_GROWING = 1
    GROUP_DONE = 2

cdef enum:
    CLOSURE_NO = 0
    CLOSURE_YES = 1
    CLOSURE_UNKNOWN = 2

cdef struct GroupC:              # progress of one group
    uint32_t state               # GROUP_*
    uint32_t seed                # next seed to read
    uint32_t head                # next entry of the list to follow
    uint32_t edge                # next edge of that entry

cdef struct ViewC:
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
    int error                    # ERROR_*

cdef enum:
    ERROR_NONE = 0
    ERROR_MEMORY = 1
    ERROR_WORK = 2


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


cdef bint view_reset(ViewC* view, const PlanC* plan) noexcept nogil
cdef void view_free(ViewC* view) noexcept nogil
cdef bint closure_build(RunC* run, uint32_t group, uint64_t budget) noexcept nogil
cdef int closure_test(RunC* run, uint32_t closure, const SetC* members, uint64_t budget) noexcept nogil
