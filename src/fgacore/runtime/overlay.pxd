"""Contextual tuples: a private version above the one that a call holds, and the names that only the call knows."""

from libc.stdint cimport int64_t, uint32_t

from fgacore.kernel.plan cimport ModelPlan
from fgacore.kernel.tables cimport Version
from fgacore.runtime.resolve cimport Resolver
from fgacore.runtime.state cimport State


cdef class Overlay:
    """Of one call, or of one question in it. Nothing of it is stored, and no view sees it."""

    cdef readonly Version version
    cdef Resolver resolver       # holds the names that no table of the store has, with their provisional ids
    cdef list items              # hold the texts
    cdef uint32_t* limits        # how many names each type had before the call's were read, limit_count types; NULL: it knows none of its own
    cdef uint32_t limit_count

    cdef uint32_t find(self, const char* text, uint32_t length) noexcept


cdef Overlay overlay_make(State state, ModelPlan model, Version version, object items, int64_t instant)
cdef list contextual_list(object items)
