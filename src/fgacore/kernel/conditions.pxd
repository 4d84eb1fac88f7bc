"""The conditions of one call: how each is decided, and what was found so far, so that a condition is decided once for each context.

A condition of our own operators is run here (program.pyx). Any other, and a context that was stored for other parameters than the model has now, is
decided by `outside`, which takes the GIL. The work of all of them together is bounded.
One owner at a time; used without the GIL.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from fgacore.kernel.program cimport ProgramC
from fgacore.kernel.values cimport ContextC, ValueC

cdef enum:
    OUTCOME_FALSE = 0
    OUTCOME_TRUE = 1
    OUTCOME_ERROR = 2            # the condition failed, by `fault`: unknown, as Kleene has it
    OUTCOME_STOP = 3             # the call cannot go on: `stop` says why

cdef enum:
    PARAMETERS_MAX = 128         # of a condition: limits.py admits fewer

cdef enum:
    FAILED_NOT = 0
    FAILED_MISSING = 1           # a parameter is in neither context
    FAILED_INVALID = 2           # a parameter is not of its type
    FAILED_RUN = 3               # the expression itself failed

cdef enum:
    STOP_MEMORY = 1
    STOP_WORK = 2
    STOP_RAISED = 3              # what decides outside has an exception to raise

cdef struct ConditionC:
    const ProgramC* program      # NULL: decided outside
    const uint32_t* slots        # the number of each parameter among the values of the request
    uint32_t signature           # of its parameters: a context read for others is decided outside
    uint32_t count               # of its parameters

cdef struct FaultC:
    uint32_t kind                # FAILED_*
    uint32_t condition
    uint32_t parameter           # of FAILED_MISSING and FAILED_INVALID
    const ContextC* context      # of the tuple: in a version that the call holds

cdef struct OutcomeC:
    const ContextC* context      # NULL where the tuple has none
    uint32_t condition
    uint32_t round               # of the call it belongs to
    uint8_t outcome
    uint8_t kind                 # FAILED_*
    uint16_t parameter

ctypedef int (*outside_t)(void* data, uint32_t condition, const ContextC* context, FaultC* fault) noexcept nogil

cdef struct ConditionsC:
    const ConditionC* conditions # of the model, by number
    const ContextC* request      # the values of the request; NULL: none
    outside_t outside
    void* data                   # for it
    uint64_t work                # that is left
    uint64_t decided             # conditions decided, for the counts of the store
    FaultC fault                 # the first that failed
    int stop                     # STOP_*
    OutcomeC* outcomes           # open addressing, by condition and context
    uint64_t mask
    uint32_t count
    uint32_t round

cdef bint parameters_take(
    const ConditionC* condition, const ContextC* own, const ContextC* request, const ValueC** values, FaultC* fault) noexcept nogil
cdef int run_outcome(ConditionsC* c, int ran, FaultC* fault) noexcept nogil
cdef int condition_decide(ConditionsC* c, uint32_t condition, const ContextC* context) noexcept nogil
cdef bint conditions_begin(ConditionsC* c, const ConditionC* conditions, const ContextC* request, outside_t outside, void* data, uint64_t work) noexcept nogil
cdef void conditions_free(ConditionsC* c) noexcept nogil
