"""See conditions.pxd."""

from libc.stdlib cimport calloc, free

from fgacore.errors import RequestError, quote
from fgacore.kernel.conditions cimport (
    FAILED_INVALID, FAILED_MISSING, FAILED_RUN, OUTCOME_ERROR, OUTCOME_FALSE, OUTCOME_STOP, OUTCOME_TRUE, PARAMETERS_MAX, STOP_MEMORY, STOP_RAISED, STOP_WORK,
    conditions_begin, parameters_take, run_outcome,
)
from fgacore.kernel.program cimport RUN_ERROR, RUN_TRUE, Program, program_run
from fgacore.kernel.values cimport VALUE_BAD, ValueC
from fgacore.language.conditions import ConditionFailed
from fgacore.runtime.context cimport context_fault, context_request, context_reread, value_object

cdef enum:
    LIBRARY_WORK = 10000         # what one evaluation by the library counts: its own bound on iterations,
    LIBRARY_BYTE_WORK = 8        # and for each byte of values, which are made to objects for it


cdef int outside(void* data, uint32_t condition, const ContextC* context, FaultC* fault) noexcept with gil:
    """Decide what the kernel cannot. Whatever is raised here that is no failed condition stops the call and is raised there."""
    cdef Request request = <Request>data
    try:
        return request.decide(condition, context, fault)
    except MemoryError:
        request.kernel.stop = STOP_MEMORY
    except BaseException as error:
        request.raised = error
        request.kernel.stop = STOP_RAISED
    return OUTCOME_STOP


cdef class Conditions:
    """The conditions of a model. compiled: CompiledCondition by number; signatures: a store's numbers of lists of parameters, which grow."""

    def __cinit__(self, list compiled not None, dict signatures not None):
        cdef uint32_t i, j, at = 0
        cdef dict numbered = {}
        cdef list slots = []
        cdef Program program
        self.compiled = compiled
        self.numbers = {condition.name: number for number, condition in enumerate(compiled)}
        self.parameters, self.programs, self.lifted = [], [], []
        for condition in compiled:
            listed = tuple((name, parameter.type, parameter.member) for name, parameter in condition.parameters)
            self.parameters.append(Parameters(listed, signatures.setdefault(listed, len(signatures) + 1)))
            self.programs.append(None if condition.code is None else Program(condition.code, len(listed)))
            self.lifted.append([] if condition.library is None else [Program(code, len(listed)) for code in condition.library.lifted])
            slots.append([numbered.setdefault(parameter, len(numbered)) for parameter in listed])
        self.request = Parameters(tuple(numbered), 0)
        self.items = <ConditionC*>calloc(len(compiled) + 1, sizeof(ConditionC))
        self.slots = <uint32_t*>calloc(sum(map(len, slots)) + 1, sizeof(uint32_t))
        if self.items == NULL or self.slots == NULL:
            raise MemoryError()
        for i in range(<uint32_t>len(compiled)):
            self.items[i].slots = self.slots + at
            self.items[i].count = len(slots[i])
            self.items[i].signature = (<Parameters>self.parameters[i]).signature
            for j in range(self.items[i].count):
                self.slots[at] = slots[i][j]
                at += 1
            if self.programs[i] is not None:
                program = self.programs[i]
                self.items[i].program = &program.c

    def __dealloc__(self):
        free(self.items)
        free(self.slots)

    def __len__(self):
        return len(self.compiled)


cdef class Request:
    """The context of a call."""

    def __dealloc__(self):
        free(self.values)

    cdef int begin(self, Conditions conditions, object context, ConditionsC* kernel, uint64_t work) except -1:
        """Read the context of a call for the conditions of a model."""
        self.end()
        self.conditions = conditions
        self.context = context
        self.kernel = kernel
        if context is not None:
            self.values = context_request(conditions.request, context)
        if not conditions_begin(kernel, conditions.items, self.values, outside, <void*>self, work):
            raise MemoryError()
        return 0

    cdef int end(self) except -1:
        """Let go of the call's context; no condition can be decided until the next begins."""
        if self.kernel != NULL:
            self.kernel.conditions = NULL
            self.kernel = NULL
        free(self.values)
        self.values = NULL
        self.context = None
        self.messages = None
        self.raised = None
        return 0

    cdef object error(self):
        """The exception of the condition that failed."""
        cdef const FaultC* fault = &self.kernel.fault
        cdef object condition = self.conditions.compiled[fault.condition]
        name = condition.parameters[fault.parameter][0] if fault.kind != FAILED_RUN else ""
        if fault.kind == FAILED_MISSING:
            return RequestError(
                f"the condition {quote(condition.name)} needs the parameter {quote(name)}, which neither the tuple's context nor the request's has",
                code="context_missing")
        why = None if self.messages is None else self.messages.get((fault.condition, <size_t>fault.context))
        if fault.kind == FAILED_INVALID:
            if why is None:
                try:
                    why = context_fault(self.conditions.request, self.conditions.items[fault.condition].slots[fault.parameter], self.context)
                except RequestError as error:
                    why = error.message
            return RequestError(f"the parameter {quote(name)} of the condition {quote(condition.name)}: {why}", code="invalid_context")
        why = "" if why is None else f": {why}"
        return RequestError(f"the condition {quote(condition.name)} failed{why}", code="condition_failed")

    cdef int fail(self, FaultC* fault, uint32_t kind, str why) except -1:
        """Note why a condition failed."""
        fault.kind = kind
        if self.messages is None:
            self.messages = {}
        self.messages[fault.condition, <size_t>fault.context] = why
        return OUTCOME_ERROR

    cdef int decide(self, uint32_t number, const ContextC* context, FaultC* fault) except -1:
        """Decide a condition under the GIL: OUTCOME_*."""
        cdef Parameters parameters = self.conditions.parameters[number]
        cdef const ConditionC* condition = &self.conditions.items[number]
        cdef const ValueC* values[PARAMETERS_MAX]
        cdef ContextC* again = NULL
        cdef Program program
        cdef uint32_t i
        cdef int ran
        cdef list found
        cdef uint64_t work = 0
        if condition.count > PARAMETERS_MAX:
            return self.fail(fault, FAILED_RUN, "it has too many parameters")
        if context != NULL and (condition.program == NULL or context.signature != condition.signature):
            work += context.bytes
        if condition.program == NULL and self.values != NULL:
            work += self.values.bytes
        work = LIBRARY_BYTE_WORK * work + (LIBRARY_WORK if condition.program == NULL else 0)
        if self.kernel.work < work:
            self.kernel.stop = STOP_WORK
            return OUTCOME_STOP
        self.kernel.work -= work
        try:
            if context != NULL and context.signature != condition.signature:
                again = context_reread(parameters, context.raw, context.raw_size)
            if not parameters_take(condition, again if again != NULL else context, self.values, values, fault):
                if again != NULL and again.values[fault.parameter].tag == VALUE_BAD:
                    return self.fail(fault, FAILED_INVALID, "the value stored with the tuple is not of its type in this model")
                return OUTCOME_ERROR
            if condition.program != NULL:
                return run_outcome(self.kernel, program_run(condition.program, values, &self.kernel.work), fault)
            found = []
            for i in range(condition.count):
                try:
                    found.append(value_object(values[i]))
                except RequestError as error:
                    fault.parameter = i
                    return self.fail(fault, FAILED_INVALID, error.message)
            for program in self.conditions.lifted[number]:
                ran = program_run(&program.c, values, &self.kernel.work)
                if ran > RUN_ERROR:
                    return run_outcome(self.kernel, ran, fault)
                found.append(None if ran == RUN_ERROR else ran == RUN_TRUE)
            try:
                return OUTCOME_TRUE if self.conditions.compiled[number].library.evaluate(found) else OUTCOME_FALSE
            except ConditionFailed as error:
                return self.fail(fault, FAILED_RUN, str(error))
        finally:
            free(again)
