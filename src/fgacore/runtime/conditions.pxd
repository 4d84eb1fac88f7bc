"""The conditions of a model as the kernel takes them, and the part of deciding them that needs Python: the library's expressions, and contexts that
were stored under other parameters than the model has now.
"""

from libc.stdint cimport uint32_t, uint64_t

from fgacore.kernel.conditions cimport ConditionC, ConditionsC, FaultC
from fgacore.kernel.values cimport ContextC
from fgacore.runtime.context cimport Parameters


cdef class Conditions:
    """Of one model; immutable."""

    cdef ConditionC* items       # by number
    cdef uint32_t* slots         # of all of them
    cdef readonly dict numbers   # name to number
    cdef readonly list parameters  # of each condition
    cdef readonly Parameters request  # every parameter of every condition: (name, type) once
    cdef list compiled           # CompiledCondition
    cdef list programs           # that hold what `items` point to; None: the library's
    cdef list lifted             # programs of what the library leaves to us, for each condition


cdef class Request:
    """The context of a call, as its conditions read it. One call at a time."""

    cdef Conditions conditions
    cdef object context          # as given
    cdef ContextC* values        # of conditions.request; NULL: no context
    cdef dict messages           # (condition, address of the tuple's context) to why it failed
    cdef object raised           # what must not be taken for a failed condition
    cdef ConditionsC* kernel     # of the checker that asks

    cdef int begin(self, Conditions conditions, object context, ConditionsC* kernel, uint64_t work) except -1
    cdef int end(self) except -1
    cdef object error(self)
    cdef int fail(self, FaultC* fault, uint32_t kind, str why) except -1
    cdef int decide(self, uint32_t number, const ContextC* context, FaultC* fault) except -1
