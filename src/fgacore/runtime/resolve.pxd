"""From the tuples that a caller hands over to changes of tables: names found or noted as new, the table that the model admits them to, contexts read.

A new name has a provisional number, until a write interns it; a contextual tuple's name keeps it as its id for the length of the call.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from fgacore.kernel.grants cimport NEVER
from fgacore.kernel.names cimport NameC, Names, NamesC
from fgacore.kernel.plan cimport NO_TABLE, ModelPlan
from fgacore.kernel.values cimport ContextC
from fgacore.runtime.context cimport Parameters
from fgacore.runtime.state cimport State
from fgacore.runtime.text cimport ShapeC
from fgacore.store.lines cimport TextLot

cdef enum:
    PROVISIONAL = 0x80000000U    # of an id: number of a name that is new; names of a store have no such ids

cdef enum:
    HOW_ADD = 0
    HOW_SKIP = 1                 # nothing is to be done
    HOW_IN_PLACE = 2             # stored in its table already: only what is stored with it changes
    HOW_MOVE = 3                 # stored in `replaced`, with another condition: from there into its table

cdef struct ChangeC:             # one tuple of a call, resolved
    uint32_t table               # NO_TABLE: of no table that the store has
    uint32_t object              # id, or PROVISIONAL | number
    uint32_t subject
    uint32_t subject_type        # symbol, of a plain subject; NO_TYPE: a userset or wildcard
    uint32_t extra               # number + 1 of what is stored beyond the names; 0: nothing
    uint32_t how                 # HOW_*

cdef struct ExtraC:
    int64_t expires              # microseconds since the epoch, or NEVER
    const ContextC* context      # NULL: none. The resolver's, until an edit takes it
    uint32_t replaced            # of HOW_MOVE

cdef struct NewNameC:            # a name that is not interned; its text belongs to the caller's str
    const char* text
    uint32_t length
    uint32_t type
    uint64_t hash
    uint32_t id                  # once interned

cdef struct NewNamesC:
    NewNameC* items
    uint32_t count
    uint32_t room
    uint32_t* slots              # number + 1 by hash
    uint64_t mask


cdef class Resolver:
    """Of one call: it holds the texts of its new names."""

    cdef State state
    cdef Names names             # in which names are looked up: of the newest version, or of the one that a call holds
    cdef NewNamesC fresh
    cdef ExtraC* extras
    cdef uint32_t extra_count
    cdef uint32_t extra_room
    cdef bint contextual         # a userset in its own relation says what holds anyway: refused where it would be stored
    cdef list kept               # texts that only this call holds
    cdef ModelPlan member_model  # the userset's relation read last: of which model and type, its bytes and its symbol
    cdef uint32_t member_type
    cdef uint32_t member_symbol
    cdef bytes member_name
    cdef object condition        # read last: the same str again and again, of which model, and the table for which kind of tuple
    cdef ModelPlan condition_model
    cdef uint64_t condition_key
    cdef uint32_t condition_table
    cdef Parameters condition_parameters
    cdef ExtraC* extra(self, ChangeC* change) except NULL
    cdef int resolve_extra(self, object item, object condition, ChangeC* change) except -1
    cdef tuple parts(self, item, Py_ssize_t index)
    cdef int resolve_writes(self, list writes, Py_ssize_t first, Py_ssize_t end, ModelPlan model, ChangeC* changes) except -1
    cdef int resolve_texts(self, TextLot lot, ModelPlan model, ChangeC* changes) except -1
    cdef int resolve_names(
        self, const char* subject_text, Py_ssize_t subject_length, object given_relation, const char* object_text, Py_ssize_t object_length,
        ModelPlan model, object condition, object parts, ChangeC* change) except -1
    cdef int resolve_write(self, object parts, ModelPlan model, object condition, ChangeC* change) except -1
    cdef int resolve_delete(self, item, Py_ssize_t index, ChangeC* change) except -1
    cdef uint32_t member(self, ModelPlan model, uint32_t type, const char* text, const ShapeC* shape) except? 0xFFFFFFFFU
    cdef uint32_t name_id(self, const char* text, uint32_t length, uint32_t type) except? 0xFFFFFFFFU


cdef inline ExtraC stored_with(Resolver resolver, const ChangeC* change) noexcept:
    """What a change stores beyond the names, where it says nothing the defaults."""
    cdef ExtraC nothing
    if change.extra:
        return resolver.extras[change.extra - 1]
    nothing.expires = NEVER
    nothing.context = NULL
    nothing.replaced = NO_TABLE
    return nothing


cdef uint32_t new_name_find(const NamesC* names, const NewNamesC* fresh, const char* text, uint32_t length) noexcept
cdef object shown_at(object items, Py_ssize_t i)
cdef object shown(object item)
