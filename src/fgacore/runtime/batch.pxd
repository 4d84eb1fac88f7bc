"""Batches: the questions of one call as arrays, filled from Python objects under the GIL, found and answered without it."""

from cpython.ref cimport PyObject
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t

from fgacore.kernel.check cimport CheckerC
from fgacore.kernel.names cimport NameC, NamesC
from fgacore.runtime.overlay cimport Overlay

cdef enum:
    NAME_BYTES = 65536           # a longer text is no name; its true length is not needed to say so

cdef struct BatchC:              # the questions of one call; one allocation, which begins at texts
    Py_ssize_t count
    Py_ssize_t failed            # a question that failed, or -1
    Py_ssize_t missing           # names in no table
    const char** texts           # of the objects, held by the call's list
    PyObject** subjects          # NULL: the question is in error
    const NameC** askers         # entries of the subjects, where they are plain names that are in a table
    uint32_t* lengths
    uint32_t* ids                # of the objects
    uint32_t* nodes              # NO_NODE: unknown
    int32_t* symbols             # of the relations, -1: of no type
    uint8_t* answers
    const uint32_t* limits       # over contextual tuples: names of each type that count as known by their entry, limit_count types; NULL: all do
    uint32_t limit_count


cdef list batch_items(object items, str what)
cdef int batch_open(BatchC* batch, Py_ssize_t count) except -1
cdef int batch_over(BatchC* batch, Overlay overlay) except -1
cdef int batch_text(BatchC* batch, Py_ssize_t i, object item) except -1
cdef list batch_list(const BatchC* batch)
cdef list batch_allowed(const BatchC* batch, list items)
cdef void answer_texts(CheckerC* checker, const NamesC* names, const uint64_t* node_slots, uint64_t node_mask, int symbol, BatchC* batch, const char* own, uint32_t own_length) noexcept nogil
cdef void find_targets(const NamesC* names, const uint64_t* node_slots, uint64_t node_mask, BatchC* batch) noexcept nogil
cdef Py_ssize_t answer_run(CheckerC* checker, BatchC* batch, Py_ssize_t first, Py_ssize_t end) noexcept nogil
cdef Py_ssize_t answer_ids(CheckerC* checker, uint32_t node, const char* ids, Py_ssize_t count, uint8_t* answers) noexcept nogil
