"""Questions asked by a session: a chain of principals, what each of them was lent, and what bounds them. One version, one instant, for all of it.

What a chain goes by is compiled from the state's Control under the state's lock, for one model, and anew whenever either has changed: a delegation that is
revoked, a subject that is suspended, a boundary that is drawn count from the next question on. Nothing of an answer is kept.

    current     the rules for the newest Control and model
    admit       boundaries and scopes: on names alone, but for entries with `where`, which ask a question of their own
    ask         each principal that must hold it, from the root on, only about what is still open

A denial has a code and the link (the principal's place in the chain) that it comes from, in one byte: see formats.py.
Any number of threads may use one chain.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from fgacore.kernel.plan cimport ModelPlan
from fgacore.kernel.tables cimport Version
from fgacore.runtime.batch cimport BatchC
from fgacore.runtime.decisions cimport DecisionRing
from fgacore.runtime.lists cimport Lists
from fgacore.runtime.objects cimport ObjectSet
from fgacore.runtime.state cimport Checker, State
from fgacore.runtime.writes cimport Writer

cdef enum:                       # formats.py DECISION_CODES
    ALLOWED = 0
    NOT_HELD = 1
    OUT_OF_SCOPE = 2
    OUTSIDE_BOUNDARY = 3
    SUSPENDED = 4
    DELEGATION_REVOKED = 5
    EXPIRED = 6
    DELEGATION_REQUIRED = 7
    UNDETERMINED = 8
    LOG_FAILED = 9
    DELEGATION_NOT_FOUND = 10
    NO_CODE = 255                # of an item that is in error

cdef enum:
    LINK_SHIFT = 4
    CHAIN_MAX = 16               # principals: limits.py

cdef struct EntryC:              # of a scope or boundary
    uint32_t node                # the (type, relation) that it is about
    uint32_t length              # of the object's name; 0: every object of the type
    const char* text             # held by Rules.texts
    int32_t where                # number of its `where`; -1: none

cdef struct LayerC:              # one scope or boundary: entries from first on admit, from exceptions to end deny
    uint32_t first
    uint32_t exceptions
    uint32_t end
    uint8_t link
    uint8_t code                 # of a denial by it
    uint8_t open                 # it admits whatever is no exception


cdef class Rules:
    """What one chain goes by under one Control and one model. Immutable but for its number in the decision log."""
    cdef uint64_t serial         # of the Control
    cdef ModelPlan model
    cdef uint8_t verdict         # answers every question; 0: none does
    cdef int64_t expires         # the instant from which on it is over
    cdef list ends               # (link, instant) of each end, from the root on
    cdef LayerC* layers
    cdef EntryC* entries
    cdef uint32_t* where_nodes   # NO_NODE: it cannot be evaluated
    cdef uint32_t layer_count
    cdef uint32_t entry_count
    cdef list where_relations
    cdef list where_subjects
    cdef list texts
    cdef uint64_t policy         # revision of the newest record of the Control
    cdef uint32_t number         # in the decision log; 0: not there yet
    cdef uint64_t epoch          # of the ring that gave it
    cdef uint64_t generation     # of the names that its ids are of


cdef class Pin:
    cdef Version version
    cdef ModelPlan model
    cdef int64_t instant
    cdef bytes settled           # how many names of each type the version knows


cdef struct AskedC:              # what a question was answered at
    uint64_t revision
    int64_t instant
    uint8_t code


cdef class Chained:
    cdef readonly Lists _engine
    cdef readonly State _state
    cdef readonly Writer _writer
    cdef readonly DecisionRing _ring
    cdef readonly tuple principals       # the root first, the asking agent last
    cdef readonly tuple _holds           # whether each must hold what is asked
    cdef readonly tuple _delegations     # by which each got it: an id, or None
    cdef readonly tuple _scopes          # given with the session: entries for each, or None
    cdef readonly object _expires        # microseconds, or None: of the session alone
    cdef readonly object task
    cdef readonly dict _context          # the session's own, or None
    cdef readonly frozenset _keys        # what a call may give
    cdef readonly bint _unrecorded       # on behalf of somebody, and no delegation says so
    cdef readonly bint _controlled       # suspensions, boundaries and settings count
    cdef readonly bint _apart            # its answers are found elsewhere, over what the log does not have
    cdef Rules rules
    cdef Rules current(self, bint patient, int64_t* instant)
    cdef Rules compile(self)
    cdef dict taken(self, object context, bint refused=*)
    cdef object merged(self, dict given)
    cdef int where_holds(
        self, Rules rules, Version version, int32_t where, const char* text, uint32_t length, uint32_t id, object context, int64_t instant) except -1
    cdef int admit(
        self, Rules rules, Version version, uint32_t node, const char* text, uint32_t length, uint32_t id, object context, int64_t instant) except -1
    cdef int one(self, object relation, object object, object context, object at_least, bint quiet, AskedC* asked, list held) except -1
    cdef int ask_group(
        self, Checker checker, ModelPlan model, object subject, BatchC* group, const BatchC* batch, const uint32_t* places, list errors) except -1
    cdef int evaluate(self, Checker checker, Rules rules, BatchC* batch, uint8_t* codes, int64_t instant, dict errors) except -1
    cdef int evaluate_part(
        self, Checker checker, Rules rules, BatchC* batch, uint8_t* codes, Py_ssize_t first, Py_ssize_t end, int64_t instant, dict errors) except -1
    cdef int wheres(
        self, Checker checker, Rules rules, const BatchC* batch, const uint8_t* codes, const uint32_t* entry_ids, Py_ssize_t first, Py_ssize_t count,
        BatchC* group, uint32_t* places, uint8_t* found) except -1
    cdef list many(self, list items, object relation, bint pairs, object context, object at_least, bint quiet, bint only, dict errors, Pin pin)
    cdef uint32_t context_number(self, dict context) except? 0xFFFFFFFFU
    cdef dict description(self, Rules rules)
    cdef bint keep(
        self, Rules rules, Version version, bytes settled, BatchC* batch, uint8_t* codes, object context, int64_t instant) except -1
    cdef bint number(self, Rules rules) except -1
    cdef list lists(self, list pairs, object context, object at_least)
    cdef object admitted_ids(
        self, Rules rules, Version version, const LayerC* layer, uint32_t node, str type, object context, int64_t instant, object ids)
    cdef object where_ids(self, Rules rules, Version version, int32_t where, str type, object context, int64_t instant, bint possible)
