"""See conditions.pxd."""

from libc.stdlib cimport calloc, free
from libc.string cimport memset

from fgacore.kernel.program cimport RUN_ERROR, RUN_FALSE, RUN_TRUE, RUN_WORK, program_run
from fgacore.kernel.values cimport VALUE_BAD, VALUE_MISSING, context_equal

cdef enum:
    OUTCOMES_MIN = 64
    OUTCOMES_KEPT = 4096         # slots kept between calls


cdef bint conditions_begin(
        ConditionsC* c, const ConditionC* conditions, const ContextC* request, outside_t outside, void* data, uint64_t work) noexcept nogil:
    """Ready for a call, or for another request in it. Nothing that was found for another is kept. 0: no memory."""
    if c.outcomes == NULL or c.mask >= OUTCOMES_KEPT or c.round == 0xFFFFFFFFU:
        free(c.outcomes)
        c.outcomes = <OutcomeC*>calloc(OUTCOMES_MIN, sizeof(OutcomeC))
        c.mask = OUTCOMES_MIN - 1
        c.round = 0
        if c.outcomes == NULL:
            return 0
    c.round += 1
    c.count = 0
    c.conditions = conditions
    c.request = request
    c.outside = outside
    c.data = data
    c.work = work
    c.stop = 0
    memset(&c.fault, 0, sizeof(FaultC))
    return 1


cdef void conditions_free(ConditionsC* c) noexcept nogil:
    free(c.outcomes)
    memset(c, 0, sizeof(ConditionsC))


cdef inline uint64_t hash_of(uint32_t condition, const ContextC* context) noexcept nogil:
    cdef uint64_t key = (context.hash if context != NULL else 0) ^ (<uint64_t>condition << 32)
    return (key * <uint64_t>0x9E3779B97F4A7C15U) >> 32


cdef inline bint is_same(const ContextC* a, const ContextC* b) noexcept nogil:
    return context_equal(a, b) and (a == NULL or a.signature == b.signature)


cdef bint grow(ConditionsC* c) noexcept nogil:
    cdef uint64_t mask = 4 * (c.mask + 1) - 1, i, at
    cdef OutcomeC* grown = <OutcomeC*>calloc(mask + 1, sizeof(OutcomeC))
    if grown == NULL:
        return 0
    for i in range(c.mask + 1):
        if c.outcomes[i].round == c.round:
            at = hash_of(c.outcomes[i].condition, c.outcomes[i].context) & mask
            while grown[at].round == c.round:
                at = (at + 1) & mask
            grown[at] = c.outcomes[i]
    free(c.outcomes)
    c.outcomes = grown
    c.mask = mask
    return 1


cdef int condition_decide(ConditionsC* c, uint32_t condition, const ContextC* context) noexcept nogil:
    """Whether a condition holds for a tuple's context over the request's: OUTCOME_*."""
    cdef uint64_t at = hash_of(condition, context) & c.mask
    cdef OutcomeC* known
    cdef FaultC fault
    cdef int outcome
    while c.outcomes[at].round == c.round:
        known = &c.outcomes[at]
        if known.condition == condition and is_same(known.context, context):
            if known.outcome == OUTCOME_ERROR and c.fault.kind == FAILED_NOT:
                c.fault.kind = known.kind
                c.fault.condition = condition
                c.fault.parameter = known.parameter
                c.fault.context = known.context
            return known.outcome
        if c.work == 0:              # chosen contexts may all have one hash
            c.stop = STOP_WORK
            return OUTCOME_STOP
        c.work -= 1
        at = (at + 1) & c.mask
    memset(&fault, 0, sizeof(FaultC))
    fault.condition = condition
    fault.context = context
    outcome = decide(c, condition, context, &fault)
    c.decided += 1
    if outcome == OUTCOME_STOP:
        return outcome
    if outcome == OUTCOME_ERROR and c.fault.kind == FAILED_NOT:
        c.fault = fault
    if 2 * <uint64_t>(c.count + 1) > c.mask:
        if not grow(c):
            c.stop = STOP_MEMORY
            return OUTCOME_STOP
        at = hash_of(condition, context) & c.mask
        while c.outcomes[at].round == c.round:
            at = (at + 1) & c.mask
    known = &c.outcomes[at]
    known.context = context
    known.condition = condition
    known.round = c.round
    known.outcome = <uint8_t>outcome
    known.kind = <uint8_t>fault.kind
    known.parameter = <uint16_t>fault.parameter
    c.count += 1
    return outcome


cdef bint parameters_take(
        const ConditionC* condition, const ContextC* own, const ContextC* request, const ValueC** values, FaultC* fault) noexcept nogil:
    """The value of each parameter: a tuple's own wins over the request's. Every one has a value, or the condition fails, whatever its expression
    would have made of it: 0, with the fault."""
    cdef const ValueC* value
    cdef uint32_t i
    for i in range(condition.count):
        value = &own.values[i] if own != NULL else NULL
        if value == NULL or value.tag == VALUE_MISSING:
            value = &request.values[condition.slots[i]] if request != NULL else NULL
        if value == NULL or value.tag == VALUE_MISSING or value.tag == VALUE_BAD:
            fault.kind = FAILED_INVALID if value != NULL and value.tag == VALUE_BAD else FAILED_MISSING
            fault.parameter = i
            return 0
        values[i] = value
    return 1


cdef int run_outcome(ConditionsC* c, int ran, FaultC* fault) noexcept nogil:
    """What a run of a program comes to: OUTCOME_*."""
    if ran == RUN_TRUE:
        return OUTCOME_TRUE
    if ran == RUN_FALSE:
        return OUTCOME_FALSE
    if ran == RUN_ERROR:
        fault.kind = FAILED_RUN
        return OUTCOME_ERROR
    c.stop = STOP_WORK if ran == RUN_WORK else STOP_MEMORY
    return OUTCOME_STOP


cdef int decide(ConditionsC* c, uint32_t number, const ContextC* context, FaultC* fault) noexcept nogil:
    """Decide a condition here, or outside: OUTCOME_*."""
    cdef const ConditionC* condition
    cdef const ValueC* values[PARAMETERS_MAX]
    if c.conditions == NULL:     # no call is under way
        c.stop = STOP_MEMORY
        return OUTCOME_STOP
    condition = &c.conditions[number]
    if condition.program == NULL or condition.count > PARAMETERS_MAX or (
            context != NULL and context.signature != condition.signature):
        return c.outside(c.data, number, context, fault)
    if not parameters_take(condition, context, c.request, values, fault):
        return OUTCOME_ERROR
    return run_outcome(c, program_run(condition.program, values, &c.work), fault)
