"""Lists: every object on which a subject holds a relation, the allowed ones among candidates, the relations that hold on one object."""

from libc.stdint cimport int64_t, uint32_t

from fgacore.kernel.plan cimport ModelPlan
from fgacore.kernel.tables cimport Version
from fgacore.runtime.checks cimport AskerC, Checks
from fgacore.runtime.overlay cimport Overlay


cdef class Lists(Checks):
    cdef list list_all(
        self, object subject, list pairs, object context, object contextual_tuples, object model_id, object at_least, bint report,
        Version version, ModelPlan pinned, int64_t instant)
    cdef uint32_t node_of(self, ModelPlan model, object type, object relation) except? 0xFFFFFFFFU
    cdef dict own_names(self, Overlay overlay, ModelPlan model, const AskerC* asker, object subject)
