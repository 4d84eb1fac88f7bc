"""Writes: validate a whole call against the state, then change it in one edit. Nothing is interned or changed before all of it is known to be right."""

from libc.stdint cimport uint32_t, uint64_t

from fgacore.kernel.names cimport NameC, NamesC
from fgacore.runtime.state cimport State

cdef enum:
    PROVISIONAL = 0x80000000U    # of an id: number of a name that this call would add

cdef struct ChangeC:             # one tuple of a call, resolved
    uint32_t table               # NO_TABLE: of no table that the store has
    uint32_t object              # id, or PROVISIONAL | number
    uint32_t subject
    uint32_t subject_type        # symbol, of a plain subject; NO_TYPE: a userset or wildcard

cdef struct NewNameC:            # a name that is not interned yet; its text belongs to the caller's str
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
