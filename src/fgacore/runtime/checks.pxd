"""Checks: texts to ids, then the kernel. The base class of the engine, so that no Python frame lies between a caller and the kernel."""

from libc.stdint cimport int64_t, uint32_t

from fgacore.kernel.names cimport NamesC
from fgacore.kernel.plan cimport ModelPlan, Plan
from fgacore.kernel.tables cimport Version
from fgacore.runtime.batch cimport BatchC
from fgacore.runtime.overlay cimport Overlay
from fgacore.runtime.state cimport Checker, State
from fgacore.runtime.writes cimport Writer

cdef struct AskerC:              # a subject, resolved
    uint32_t id                  # of the subject; of an asking userset, of its object. Where nothing mentions it NONE, and GHOST for a userset's
    const char* own              # the object part of an asking userset; NULL for others
    uint32_t own_length


cdef class Checks:
    # Names are looked up in those of the version that the call holds: what takes a NamesC* is given that version's.
    cdef readonly State _state
    cdef readonly Writer _writer
    cdef Plan asker_by_id(self, Version version, ModelPlan model, object subject_id, object subject_type, AskerC* asker)
    cdef list answer_objects(
        self, object subject, object relation, object objects, object context, object contextual_tuples, object model_id, object at_least,
        bint only)
    cdef int answer_missing(
        self, Checker checker, ModelPlan model, int symbol, object relation, list items, const AskerC* asker, BatchC* batch, Py_ssize_t i,
        Overlay overlay) except -1
    cdef bint answer_few(self, Checker checker, ModelPlan model, BatchC* batch, Py_ssize_t first, Py_ssize_t end) noexcept
    cdef int answer_group(
        self, Checker checker, ModelPlan model, list items, dict errors, BatchC* batch, Py_ssize_t first, Py_ssize_t end, Overlay overlay,
        int64_t instant) except -1
    cdef int target_over(
        self, const NamesC* names, ModelPlan model, object relation, object object, const AskerC* asker, uint32_t* node, uint32_t* id,
        Overlay overlay) except -1
    cdef Plan asker_over(self, const NamesC* names, ModelPlan model, object subject, AskerC* asker, Overlay overlay)
    cdef int fresh(self, object at_least) except -1
    cdef str type_of(self, object type)
    cdef Plan asker(self, const NamesC* names, ModelPlan model, object subject, AskerC* asker)
    cdef Plan asker_slow(
        self, const NamesC* names, ModelPlan model, object subject, const char* text, Py_ssize_t length, AskerC* asker, Overlay overlay)
    cdef uint32_t name_id(self, const NamesC* names, Overlay overlay, const char* text, Py_ssize_t length) noexcept
    cdef ModelPlan model_for(self, object model_id, object at_least)
    cdef object check_long(
        self, Version version, ModelPlan model, Plan plan, uint32_t subject, uint32_t node, uint32_t id, object context, int64_t instant)
    cdef object check_over(
        self, Version version, ModelPlan model, object subject, object relation, object object, object context, Overlay overlay, int64_t instant)
    cdef bint answer_question(
        self, Version version, ModelPlan model, object item, object context, Overlay overlay, int64_t instant) except -1
    cdef int target(
        self, const NamesC* names, ModelPlan model, int relation, object relation_text, object object, const AskerC* asker, uint32_t* node,
        uint32_t* id) except -1
    cdef int target_slow(
        self, const NamesC* names, ModelPlan model, int relation, object relation_text, object object, const char* text, Py_ssize_t length,
        const AskerC* asker, uint32_t* node, uint32_t* id, Overlay overlay) except -1


cdef bint given(object contextual_tuples) noexcept
cdef object kernel_error(Checker checker)
