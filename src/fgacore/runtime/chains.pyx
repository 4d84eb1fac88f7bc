"""See chains.pxd."""

from cpython.ref cimport PyObject
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy, memset

from collections.abc import Mapping

import numpy

from fgacore.errors import FgaError, InternalError, RequestError, StoreError, quote
from fgacore.formats import DECISION_CODES, SEMANTICS_VERSION
from fgacore.kernel.check cimport NO, UNKNOWN, YES
from fgacore.kernel.grants cimport NEVER
from fgacore.kernel.names cimport NameC, Names, NamesC, names_find, names_settled
from fgacore.kernel.plan cimport NO_NODE, ModelPlan, Plan, relation_find
from fgacore.kernel.sets cimport GHOST, NONE
from fgacore.kernel.tables cimport Version
from fgacore.limits import CHAIN_PRINCIPALS_MAX
from fgacore.results import BatchResult, Decision
from fgacore.runtime.batch cimport NAME_BYTES, answer_run, batch_allowed, batch_items, batch_list, batch_open, batch_text, find_targets
from fgacore.runtime.checks cimport AskerC, kernel_error
from fgacore.runtime.clock import moment_of
from fgacore.runtime.objects cimport ObjectSet, object_set
from fgacore.runtime.scopes import read_entry
from fgacore.runtime.text cimport fga_ascii, text_of

cdef extern from "Python.h":
    PyObject* PyList_GET_ITEM(object items, Py_ssize_t i)

cdef enum:
    BUILD_ITEMS = 8              # as in checks.pyx
    NOGIL_ITEMS = 64
    RECORD_ITEMS = 1 << 17       # decisions of one record of the decision log,
    RECORD_BYTES = 4 << 20       # and what they come to, about: a part of what fits into memory
    RECORD_ITEM_BYTES = 272      # of one, at most: its name, where no table has it, and 11 more
    WHERE_ITEMS = 4096           # of a batch at a time, where entries ask questions of their own

cdef enum:
    NO_CONTEXT = 0xFFFFFFFEU     # no number of a context: it was given, and is not kept

cdef enum:                       # what is known of a `where` and an object
    WHERE_NO = 0
    WHERE_YES = 1
    WHERE_ERROR = 2

cdef dict CODES = {number: code for code, number in DECISION_CODES.items()}
cdef object EMPTY = numpy.empty(0, numpy.uint32)

if [DECISION_CODES[code] for code in (
        "allowed", "not_held", "out_of_scope", "outside_boundary", "suspended", "delegation_revoked", "expired", "delegation_required", "undetermined",
        "log_failed", "delegation_not_found")] != list(range(11)) or CHAIN_PRINCIPALS_MAX > CHAIN_MAX:
    raise InternalError("the codes of decisions are not those of formats.py")


cdef inline uint8_t code_of(int code, Py_ssize_t link) noexcept nogil:
    return <uint8_t>(code | link << LINK_SHIFT)


cdef class Pin:
    """A version, a model and an instant that several calls go by."""


# ---- rules ----


cdef class Rules:

    def __dealloc__(self):
        free(self.layers)
        free(self.entries)
        free(self.where_nodes)


cdef list ends_of(Chained chain, list chains):
    """(link, instant) of each end of a chain, from the root on."""
    cdef list ends = [(i, each.expires) for i, each in enumerate(chains) if each is not None and each.expires is not None]
    if chain._expires is not None:
        ends.append((len(chain.principals) - 1, chain._expires))
    return ends


cdef uint8_t expired(Rules rules, int64_t instant) except 255:
    """The code byte of a chain that is over at an instant: of the first link that is."""
    for link, end in rules.ends:
        if instant >= end:
            return code_of(EXPIRED, link)
    raise InternalError("a chain that is over without an end")


cdef uint8_t control_verdict(Chained chain, object control, list chains) except 255:
    """The code byte that answers everything as things stand, or 0."""
    cdef Py_ssize_t i
    for i, delegated in enumerate(chains):
        if chain._delegations[i] is not None and (delegated is None or delegated.to != chain.principals[i] or delegated.by != chain.principals[i - 1]):
            return code_of(DELEGATION_NOT_FOUND, i)
        if delegated is not None and delegated.revoked:
            return code_of(DELEGATION_REVOKED, i)
    for i, principal in enumerate(chain.principals):
        if principal in control.suspensions:
            return code_of(SUSPENDED, i)
    if chain._unrecorded:
        for i, principal in enumerate(chain.principals[1:], start=1):
            if principal.partition(":")[0] in control.require_delegation:
                return code_of(DELEGATION_REQUIRED, i)
    return 0


cdef list layers_of(Chained chain, object control, list chains):
    """(code, link, texts) of each boundary, then of each scope, from the root to the asking agent."""
    cdef list out = []
    cdef Py_ssize_t i
    for i, principal in enumerate(chain.principals):
        for target in (principal.partition(":")[0], principal):
            if target in control.boundaries:
                out.append((OUTSIDE_BOUNDARY, i, control.boundaries[target]))
    for i, delegated in enumerate(chains):
        if delegated is not None:
            if delegated.within is not None:
                out.append((OUT_OF_SCOPE, i - 1, delegated.within))
            out.append((OUT_OF_SCOPE, i, delegated.scope))
        if chain._scopes[i] is not None:
            out.append((OUT_OF_SCOPE, i, chain._scopes[i]))
    return out


cdef Rules rules_make(Chained chain, ModelPlan model):
    """The rules of a chain. Under the state's lock."""
    cdef Rules rules = Rules.__new__(Rules)
    cdef EntryC* entry
    cdef LayerC* layer
    cdef list layers = [], wheres = []
    cdef uint32_t at = 0
    cdef Py_ssize_t i
    control = chain._state.control
    rules.serial = chain._state.control_serial
    rules.model = model
    rules.policy = control.revision
    rules.generation = chain._state.newest.names.generation
    rules.expires = NEVER
    rules.texts = []
    if chain._controlled:
        chains = [None if id is None else control.delegations.get(id) for id in chain._delegations]
        rules.verdict = control_verdict(chain, control, chains)
        rules.ends = ends_of(chain, chains)
        for _, end in rules.ends:
            rules.expires = min(rules.expires, <int64_t>end)
        layers = [(code, link, [read_entry(text) for text in texts]) for code, link, texts in layers_of(chain, control, chains)]
    rules.layer_count = len(layers)
    rules.entry_count = sum(len(entries) for _, _, entries in layers)
    rules.layers = <LayerC*>calloc(rules.layer_count + 1, sizeof(LayerC))
    rules.entries = <EntryC*>calloc(rules.entry_count + 1, sizeof(EntryC))
    if rules.layers == NULL or rules.entries == NULL:
        raise MemoryError()
    for i, (code, link, entries) in enumerate(layers):
        layer = &rules.layers[i]
        layer.code, layer.link, layer.first = code, link, at
        layer.open = code == OUTSIDE_BOUNDARY and all(each.is_exception for each in entries)
        for is_exception in (False, True):
            if is_exception:
                layer.exceptions = at
            for each in entries:
                if each.is_exception is not is_exception:
                    continue
                entry = &rules.entries[at]
                entry.node = node_named(model, each.type, each.relation)
                entry.where = -1
                if each.object is not None:
                    text = each.object.encode()
                    rules.texts.append(text)
                    entry.text, entry.length = <const char*><bytes>text, <uint32_t>len(text)
                if each.where is not None:
                    entry.where = len(wheres)
                    wheres.append((node_named(model, each.type, each.where[0]), *each.where))
                at += 1
        layer.end = at
    rules.where_relations = [relation for _, relation, _ in wheres]
    rules.where_subjects = [subject for _, _, subject in wheres]
    rules.where_nodes = <uint32_t*>calloc(len(wheres) + 1, 4)
    if rules.where_nodes == NULL:
        raise MemoryError()
    for i, (node, _, _) in enumerate(wheres):
        rules.where_nodes[i] = node
    return rules


cdef uint32_t node_named(ModelPlan model, str type, str relation):
    """The node of a relation of a type by their names, or NO_NODE."""
    symbol, number = model.types.get(type), model.relations.get(relation)
    return NO_NODE if symbol is None or number is None else model.node_find(symbol, number)


cdef void admit_many(
        Rules rules, const BatchC* batch, uint8_t* codes, const uint32_t* entry_ids, const uint8_t* wheres, Py_ssize_t first,
        Py_ssize_t end) noexcept nogil:
    """Hold the open questions first..end to boundaries and scopes. wheres: what is known of each `where` and question, end - first of them each."""
    cdef Py_ssize_t i
    cdef uint32_t k, e
    cdef const LayerC* layer
    cdef const EntryC* entry
    cdef int held
    cdef bint admitted
    for k in range(rules.layer_count):
        layer = &rules.layers[k]
        for i in range(first, end):
            if codes[i] or batch.nodes[i] == NO_NODE:
                continue
            admitted = layer.open
            for e in range(layer.first, layer.end):
                if e < layer.exceptions and admitted:
                    continue
                entry = &rules.entries[e]
                if entry.node != batch.nodes[i] or (entry.length and not entry_is(batch, i, entry, entry_ids[e])):
                    continue
                held = WHERE_YES if entry.where < 0 else wheres[entry.where * (end - first) + i - first]
                if e < layer.exceptions:
                    admitted = held == WHERE_YES
                elif held != WHERE_NO:
                    admitted = False
                    break
            if not admitted:
                codes[i] = code_of(layer.code, layer.link)


cdef inline bint entry_names(const EntryC* entry, const char* text, uint32_t length) noexcept nogil:
    """Whether an entry names this object."""
    return entry.length == length and memcmp(text, entry.text, length) == 0


cdef inline bint entry_is(const BatchC* batch, Py_ssize_t i, const EntryC* entry, uint32_t id) noexcept nogil:
    """Whether an entry names the object of a question of its node: by id, or by text where no table has the name."""
    if batch.ids[i] == NONE:     # the entry's name may have been interned since the question's was looked up
        return batch.texts[i] != NULL and entry_names(entry, batch.texts[i], batch.lengths[i])
    return batch.ids[i] == id


# ---- the chain ----


cdef class Chained:
    """What a session inherits: its questions."""

    def __cinit__(
            self, Lists engine not None, DecisionRing ring not None, tuple principals not None, tuple holds not None, tuple delegations not None,
            tuple scopes not None, expires=None, task=None, dict context=None, frozenset keys=frozenset(), bint unrecorded=False,
            bint controlled=True, bint apart=False):
        if not 0 < len(principals) <= CHAIN_MAX or not len(principals) == len(holds) == len(delegations) == len(scopes) or not any(holds):
            raise InternalError("a chain of principals without its links")
        self._engine, self._ring = engine, ring
        self._state, self._writer = engine._state, engine._writer
        self.principals, self._holds, self._delegations, self._scopes = principals, holds, delegations, scopes
        self._expires, self.task, self._context, self._keys = expires, task, context or None, keys
        self._unrecorded, self._controlled, self._apart = unrecorded, controlled, apart

    cdef Rules current(self, bint patient, int64_t* instant):
        """The rules for what is newest, and the instant of the call. Nothing may run between this and the look at the state's version: rules, instant and
        version are of one moment. patient: as in State.attend."""
        cdef Rules rules
        while True:
            instant[0] = self._writer.tick(patient) if self._state.ticking else 0
            rules = self.rules
            if rules is not None and rules.serial == self._state.control_serial and rules.model is self._state.model:
                if instant[0] == 0:
                    instant[0] = self._state.now()   # the machine's clock: no Python
                return rules
            self.compile()           # which may wait: then the instant is another one

    cdef Rules compile(self):
        cdef Rules rules
        with self._state.lock:   # a record changes the Control and the revision in one step, under it
            rules = rules_make(self, self._engine.model_for(None, None))
        self.rules = rules
        return rules

    cdef dict taken(self, object context, bint refused=True):
        """The caller's context as ours, which has only keys that the session named: what is evaluated is what is logged, whatever the caller does. refused:
        others are refused; in a replay they were not."""
        cdef dict given
        if not isinstance(context, Mapping):
            raise RequestError("a context is a mapping", code="invalid_context")
        try:
            given = {str.__str__(name) if isinstance(name, str) else name: copied(value, 0) for name, value in dict(context).items()}
        except Exception as error:   # a mapping's own code
            raise RequestError("a context that cannot be read", code="invalid_context") from error
        if self._controlled and refused:
            for name in given:
                if not isinstance(name, str) or name not in self._keys:
                    raise RequestError(f"the session takes no context {quote(name)}: it was not named when it was made", code="context_refused")
                if self._state.bound is not None and name in self._state.bound:
                    raise RequestError(f"the store binds {quote(name)} to its clock: no call gives it", code="context_refused")
        return given

    cdef object merged(self, dict given):
        """The session's context over the caller's."""
        if given is None or self._context is None:
            return self._context if given is None else given
        return {**given, **self._context}

    # ---- one question ----

    cdef int where_holds(
            self, Rules rules, Version version, int32_t where, const char* text, uint32_t length, uint32_t id, object context,
            int64_t instant) except -1:
        """WHERE_*: whether the subject of a `where` holds its relation on an object."""
        cdef AskerC asker
        cdef Plan plan
        cdef uint32_t node = rules.where_nodes[where]
        cdef int answer = UNKNOWN
        if node == NO_NODE:
            return WHERE_ERROR
        try:
            plan = self._engine.asker(&version.names.c, rules.model, rules.where_subjects[where], &asker)
            if asker.id == GHOST and asker.own != NULL and asker.own_length == length and memcmp(asker.own, text, length) == 0:
                id = GHOST
            if not plan.c.nodes[node].conditioned:
                answer = self._state.ask_single(version, plan, asker.id, node, id)
            if answer == UNKNOWN:
                return WHERE_YES if self._engine.check_long(version, rules.model, plan, asker.id, node, id, context, instant) else WHERE_NO
            return WHERE_YES if answer == YES else WHERE_NO
        except StoreError:           # closed meanwhile: that is no answer
            raise
        except FgaError:
            return WHERE_ERROR

    cdef int admit(
            self, Rules rules, Version version, uint32_t node, const char* text, uint32_t length, uint32_t id, object context,
            int64_t instant) except -1:
        """The code byte of the first boundary or scope that does not admit a question; 0: all do."""
        cdef uint32_t k, e
        cdef const LayerC* layer
        cdef const EntryC* entry
        cdef bint admitted
        for k in range(rules.layer_count):
            layer = &rules.layers[k]
            admitted = layer.open
            for e in range(layer.first, layer.end):
                if e < layer.exceptions and admitted:
                    continue
                entry = &rules.entries[e]
                if entry.node != node or (entry.length and not entry_names(entry, text, length)):
                    continue
                if entry.where < 0:
                    admitted = e < layer.exceptions
                elif e < layer.exceptions:
                    admitted = self.where_holds(rules, version, entry.where, text, length, id, context, instant) == WHERE_YES
                elif self.where_holds(rules, version, entry.where, text, length, id, context, instant) != WHERE_NO:
                    admitted = False
                if not admitted and e >= layer.exceptions:
                    break
            if not admitted:
                return code_of(layer.code, layer.link)
        return 0

    cdef int one(self, object relation, object object, object context, object at_least, bint quiet, AskedC* asked, list held) except -1:
        """Whether a question is allowed. What it was answered at is in `asked`, also where it raises since a condition failed. quiet: it is not logged.
        held: gets the rules."""
        cdef AskerC asker
        cdef State state = self._state
        cdef Version version
        cdef Rules rules
        cdef ModelPlan model
        cdef Plan plan
        cdef uint32_t node = NO_NODE, id = NONE, logged = NONE
        cdef Py_ssize_t length = 0, i
        cdef const char* text
        cdef const NameC* entry = NULL
        cdef int symbol, answer
        cdef uint8_t code
        cdef uint16_t type, number
        cdef uint32_t place
        cdef int64_t instant
        cdef bint kept
        cdef object whole = context, error = None
        if context is not None or self._context is not None:
            context = self.taken(context) if context is not None else None
            whole = self.merged(context)
        if at_least is not None:
            self._engine.model_for(None, at_least)
        rules = self.current(True, &instant)
        version = state.version
        model = rules.model
        symbol = relation_find(model, relation)
        text = text_of(object, &length, "object")
        if 0 < length < NAME_BYTES and symbol >= 0:
            entry = names_find(&version.names.c, text, <uint32_t>length)
            if entry != NULL:
                node = model.node_find(entry.type, <uint32_t>symbol)
                id = entry.id
                if id < names_settled(version.names, entry.type):    # now: a name that is told later is not one that this version knows
                    logged = id
        if node == NO_NODE:
            asker.own = NULL
            asker.id = NONE
            self._engine.target_slow(&version.names.c, model, symbol, relation, object, text, length, &asker, &node, &id, None)
        if held is not None:
            held.append(rules)
        code = rules.verdict
        if code == 0 and instant >= rules.expires:
            code = expired(rules, instant)
        if code == 0 and rules.layer_count:
            code = <uint8_t>self.admit(rules, version, node, text, <uint32_t>length, id, whole, instant)
        if code == 0:
            for i in range(len(self.principals)):
                if self._holds[i] is not True:
                    continue
                plan = self._engine.asker(&version.names.c, model, self.principals[i], &asker)
                place = id
                if asker.id == GHOST and asker.own != NULL and asker.own_length == length and memcmp(asker.own, text, length) == 0:
                    place = GHOST
                answer = UNKNOWN
                if not plan.c.nodes[node].conditioned:
                    answer = state.ask_single(version, plan, asker.id, node, place)
                if answer == UNKNOWN:
                    try:
                        answer = YES if self._engine.check_long(version, model, plan, asker.id, node, place, whole, instant) else NO
                    except StoreError:
                        raise
                    except FgaError as raised:
                        if error is None:
                            error = raised
                            code = code_of(UNDETERMINED, i)
                        continue
                if answer == NO:
                    code = code_of(NOT_HELD, i)
                    error = None
                    break
        state.checks += 1
        if self._ring.is_open and not quiet:
            type, number = model.node_types[node], model.node_relations[node]
            place = 0 if context is None else self.context_number(context)
            if place == NO_CONTEXT or not (rules.number != 0 and rules.epoch == self._ring.epoch or self.number(rules)):
                kept = self._ring.miss()
            else:
                kept = self._ring.put_one(
                    rules.number, place, instant, version.revision, type, number, logged, code, text, <uint32_t>length) and (
                    not self._ring.is_sync or self._ring.sync())
            if not kept and self._ring.denies and code == 0:
                code = LOG_FAILED
        asked.revision, asked.instant, asked.code = version.revision, instant, code
        if error is not None:
            raise error
        return code == 0

    def check(self, relation, object, *, context=None, at_least=None):
        """Whether the session may: every principal that must holds `relation` on `object`, every scope and boundary admits it, and nothing of the
        chain is revoked, suspended or expired, at the newest revision and one instant.

        context: only keys that the session named when it was made. Raises as `Engine.check` does, where no principal says no; the asking of a session
        that is over is a denial, not an error.
        """
        cdef AskedC asked
        return self.one(relation, object, context, at_least, False, &asked, None) == 1

    def decide(self, relation, object, *, context=None, at_least=None):
        """The same as a Decision: its code says what denied, and its principal and delegation where in the chain. A condition that fails does not
        raise: the code is `undetermined`, and `error` has it.
        """
        cdef AskedC asked
        cdef object error = None
        cdef int code, link
        cdef list held = []
        asked.code = NO_CODE
        try:
            self.one(relation, object, context, at_least, False, &asked, held)
        except FgaError as raised:
            if asked.code == NO_CODE:        # the question itself is at fault
                raise
            error = raised
        code, link = asked.code & 15, asked.code >> LINK_SHIFT
        denied = code != ALLOWED and code != LOG_FAILED
        return Decision(
            code == ALLOWED, CODES[code], self.principals[link] if denied else None, self._delegations[link] if denied else None,
            str.__str__(relation), str.__str__(object), asked.revision, moment_of(asked.instant), (<Rules>held[0]).model.model_id, error)

    # ---- many questions ----

    cdef int ask_group(
            self, Checker checker, ModelPlan model, object subject, BatchC* group, const BatchC* batch, const uint32_t* places,
            list errors) except -1:
        """Answer the questions of a group for one subject: 0, 1, or 2 where it failed, with (number, error) in `errors`. places: where each is in the
        batch."""
        cdef AskerC asker
        cdef Py_ssize_t i = 0, j
        cdef uint32_t at
        cdef Plan plan = self._engine.asker(&checker.version.names.c, model, subject, &asker)
        if asker.id == GHOST and asker.own != NULL:
            for j in range(group.count):
                at = places[j]
                if batch.texts[at] != NULL and batch.lengths[at] == asker.own_length and memcmp(batch.texts[at], asker.own, asker.own_length) == 0:
                    group.ids[j] = GHOST
        self._state.begin(checker, plan, asker.id, group.count >= BUILD_ITEMS)
        checker.c.conditions.work = self._state.conditions_work    # for each subject, as in a call of its own
        while i < group.count:
            if group.count - i >= NOGIL_ITEMS:
                with nogil:
                    j = answer_run(&checker.c, group, i, group.count)
            else:
                j = answer_run(&checker.c, group, i, group.count)
            if checker.c.run.error:
                error = kernel_error(checker)
                if not isinstance(error, FgaError):
                    raise error
                errors.append((j - 1, error))
                group.answers[j - 1] = WHERE_ERROR
                self._state.begin(checker, plan, asker.id, group.count >= BUILD_ITEMS)
            i = j
        return 0

    cdef int wheres(
            self, Checker checker, Rules rules, const BatchC* batch, const uint8_t* codes, const uint32_t* entry_ids, Py_ssize_t first,
            Py_ssize_t count, BatchC* group, uint32_t* places, uint8_t* found) except -1:
        """Ask the questions of entries with `where` for `count` questions of a batch."""
        cdef uint32_t e
        cdef Py_ssize_t i, n
        cdef const EntryC* entry
        for e in range(rules.entry_count):
            entry = &rules.entries[e]
            if entry.where < 0:
                continue
            n = 0
            for i in range(first, first + count):
                if codes[i] == 0 and batch.nodes[i] == entry.node and (not entry.length or entry_is(batch, i, entry, entry_ids[e])):
                    group.nodes[n] = rules.where_nodes[entry.where]
                    group.ids[n] = batch.ids[i]
                    group.answers[n] = 0
                    places[n] = <uint32_t>i
                    n += 1
            group.count = n
            if n == 0:
                continue
            if rules.where_nodes[entry.where] == NO_NODE:
                memset(group.answers, WHERE_ERROR, n)
            else:
                try:
                    self.ask_group(checker, rules.model, rules.where_subjects[entry.where], group, batch, places, [])
                except StoreError:
                    raise
                except FgaError:
                    memset(group.answers, WHERE_ERROR, n)
            for i in range(n):
                found[entry.where * count + places[i] - first] = group.answers[i]
        return 0

    cdef int evaluate(self, Checker checker, Rules rules, BatchC* batch, uint8_t* codes, int64_t instant, dict errors) except -1:
        """The code byte of each question of a batch; where entries ask questions of their own, so many at a time, which bounds the memory."""
        cdef Py_ssize_t first = 0, end
        while first < batch.count:
            end = batch.count if not rules.where_subjects else min(batch.count, first + WHERE_ITEMS)
            self.evaluate_part(checker, rules, batch, codes, first, end, instant, errors)
            first = end
        return 0

    cdef int evaluate_part(
            self, Checker checker, Rules rules, BatchC* batch, uint8_t* codes, Py_ssize_t first, Py_ssize_t end, int64_t instant,
            dict errors) except -1:
        """The code byte of each question first..end that is not in error. What failed, and decides, goes into `errors` by its place in the batch."""
        cdef BatchC group
        cdef Py_ssize_t i, n, count = end - first, where_count = len(rules.where_subjects)
        cdef uint32_t e
        cdef uint32_t* places = NULL
        cdef uint32_t* entry_ids = NULL
        cdef uint8_t* found = NULL
        cdef uint8_t verdict = rules.verdict
        cdef const NameC* entry
        cdef dict failed = {}
        cdef list errs
        if verdict == 0 and instant >= rules.expires:
            verdict = expired(rules, instant)
        memset(codes + first, verdict, count)
        if verdict:
            return 0
        memset(&group, 0, sizeof(BatchC))
        try:
            places = <uint32_t*>malloc(<size_t>(count + 1) * 13)
            entry_ids = <uint32_t*>malloc(<size_t>(rules.entry_count + 1) * 4)
            found = <uint8_t*>calloc(where_count * count + 1, 1)
            if places == NULL or entry_ids == NULL or found == NULL:
                raise MemoryError()
            group.ids, group.nodes = places + count, places + 2 * count
            group.answers = <uint8_t*>(places + 3 * count)
            for e in range(rules.entry_count):
                entry = NULL
                if rules.entries[e].length:
                    entry = names_find(&checker.version.names.c, rules.entries[e].text, rules.entries[e].length)
                entry_ids[e] = entry.id if entry != NULL else NONE
            if where_count:
                self.wheres(checker, rules, batch, codes, entry_ids, first, count, &group, places, found)
            if rules.layer_count:
                admit_many(rules, batch, codes, entry_ids, found, first, end)
            for link in range(len(self.principals)):
                if self._holds[link] is not True:
                    continue
                n = 0
                for i in range(first, end):
                    if codes[i] == 0 and batch.nodes[i] != NO_NODE:
                        group.nodes[n] = batch.nodes[i]
                        group.ids[n] = batch.ids[i]
                        group.answers[n] = 0
                        places[n] = <uint32_t>i
                        n += 1
                if n == 0:
                    break
                group.count = n
                errs = []
                self.ask_group(checker, rules.model, self.principals[link], &group, batch, places, errs)
                for i in range(n):
                    if group.answers[i] == 0:
                        codes[places[i]] = code_of(NOT_HELD, link)
                for at, error in errs:
                    failed.setdefault(places[<Py_ssize_t>at], (link, error))
            for at, (link, error) in failed.items():
                if codes[<Py_ssize_t>at] == 0:
                    codes[<Py_ssize_t>at] = code_of(UNDETERMINED, link)
                    error.index = at
                    errors[at] = error
        finally:
            free(places)
            free(entry_ids)
            free(found)
        return 0

    cdef list many(self, list items, object relation, bint pairs, object context, object at_least, bint quiet, bint only, dict errors, Pin pin):
        """The answers of a batch, a list of bool, or with `only` the items that are allowed: about one relation, or of pairs. Items in error go into
        `errors`; without it they raise."""
        cdef AskerC asker
        cdef BatchC batch
        cdef Checker checker
        cdef Rules rules
        cdef ModelPlan model
        cdef uint8_t* codes = NULL
        cdef Py_ssize_t i, count = len(items)
        cdef Py_ssize_t length = 0
        cdef int symbol = -1
        cdef int64_t instant = 0
        cdef bytes settled
        cdef const char* text
        cdef dict own = {} if errors is None else errors
        cdef list objects = [pair_of(item, i, own if errors is not None else None) for i, item in enumerate(items)] if pairs else items
        cdef object whole = context
        if context is not None or self._context is not None:
            context = self.taken(context) if context is not None else None
            whole = self.merged(context)
        if at_least is not None:
            self._engine.model_for(None, at_least)
        memset(&batch, 0, sizeof(batch))
        checker = self._state.take()
        try:
            rules = self.current(count < NOGIL_ITEMS, &instant)
            checker.version = self._state.version
            settled = settled_of(checker.version.names)
            if pin is not None:
                checker.version, instant, settled = pin.version, pin.instant, pin.settled
                if rules.model is not pin.model or rules.generation != pin.version.names.generation:
                    rules = rules_make(self, pin.model)
                    rules.generation = pin.version.names.generation
            model = rules.model
            if whole is not None or model.conditions is not None:
                self._state.prepare(checker, model, whole, instant)
            batch_open(&batch, count)
            memset(batch.subjects, 0, <size_t>count * sizeof(void*))
            codes = <uint8_t*>calloc(count + 1, 1)
            if codes == NULL:
                raise MemoryError()
            if not pairs:
                symbol = relation_find(model, relation)
            for i in range(count):
                item = <object>PyList_GET_ITEM(objects, i)
                batch.texts[i], batch.lengths[i], batch.symbols[i] = b"", 0, -1     # of an item that is in error
                if pairs:
                    if item is None:
                        continue
                    try:
                        symbol = relation_find(model, (<tuple>item)[0])
                    except FgaError as error:
                        fault(error, i, errors)
                        continue
                    item = (<tuple>item)[1]
                text = fga_ascii(<PyObject*>item, &length)
                if text != NULL and length < NAME_BYTES:
                    batch.texts[i], batch.lengths[i], batch.symbols[i] = text, <uint32_t>length, symbol
                    continue
                try:
                    batch_text(&batch, i, item)
                    batch.symbols[i] = symbol
                except FgaError as error:
                    fault(error, i, errors)
            if count >= NOGIL_ITEMS:
                with nogil:
                    find_targets(&checker.version.names.c, model.node_slots, model.node_mask, &batch)
            else:
                find_targets(&checker.version.names.c, model.node_slots, model.node_mask, &batch)
            asker.own = NULL
            asker.id = NONE
            for i in range(count):
                if batch.nodes[i] != NO_NODE or i in own:
                    continue
                item = objects[i]
                try:
                    self._engine.target_slow(
                        &checker.version.names.c, model, batch.symbols[i], item[0] if pairs else relation, item[1] if pairs else item,
                        batch.texts[i], batch.lengths[i], &asker, &batch.nodes[i], &batch.ids[i], None)
                except FgaError as error:
                    fault(error, i, errors)
                    batch.nodes[i] = NO_NODE
            self.evaluate(checker, rules, &batch, codes, instant, own)
            self._state.checks += count
            for i in range(count):
                batch.answers[i] = codes[i] == 0 and batch.nodes[i] != NO_NODE
            if self._ring.is_open and not quiet:
                if not self.keep(rules, checker.version, settled, &batch, codes, context, instant) and self._ring.denies:
                    memset(batch.answers, 0, count)
            if errors is None and own:
                raise own[min(own)]
            return batch_allowed(&batch, items) if only else batch_list(&batch)
        finally:
            self._state.give(checker)
            free(batch.texts)
            free(codes)

    cdef bint keep(
            self, Rules rules, Version version, bytes settled, BatchC* batch, uint8_t* codes, object context, int64_t instant) except -1:
        """Log a batch as one record, or several where it is large, without the items that are in error. Moves what is left of them together: the batch
        is over."""
        cdef const uint32_t* known = <const uint32_t*><const char*>settled   # how many names of each type the version knows
        cdef Py_ssize_t known_count = len(settled) // 4
        cdef Py_ssize_t i, end, n = 0
        cdef uint16_t* types = <uint16_t*>malloc(<size_t>(batch.count + 1) * 4)
        cdef uint16_t* relations = types + batch.count
        cdef uint32_t id, limit = 0, differ = 0, top = 0
        cdef uint16_t last = 0
        cdef uint32_t number
        if types == NULL:
            raise MemoryError()
        try:
            for i in range(batch.count):
                differ += batch.nodes[i] != batch.nodes[0]
                if batch.ids[i] > top:
                    top = batch.ids[i]
            if not differ and batch.count and batch.nodes[0] != NO_NODE:     # the usual: one relation and type, and all names known
                last = rules.model.node_types[batch.nodes[0]]
                if last < known_count and top < known[last]:
                    n = batch.count
                    for i in range(n):
                        types[i] = last
                    last = rules.model.node_relations[batch.nodes[0]]
                    for i in range(n):
                        relations[i] = last
            for i in range(batch.count if n == 0 else 0):
                if batch.nodes[i] == NO_NODE:
                    continue
                types[n] = rules.model.node_types[batch.nodes[i]]
                relations[n] = rules.model.node_relations[batch.nodes[i]]
                if n == 0 or types[n] != last:
                    last = types[n]
                    limit = known[last] if last < known_count else 0
                id = batch.ids[i]
                batch.ids[n] = id if id < limit else <uint32_t>NONE
                batch.texts[n], batch.lengths[n], codes[n] = batch.texts[i], batch.lengths[i], codes[i]
                n += 1
            if n == 0:
                return True
            number = self.context_number(context)
            if number == NO_CONTEXT or not self.number(rules):
                return self._ring.miss()
            i = 0
            while i < n:
                if i and not self._ring.sync():      # a batch larger than what fits waits for the disk
                    return self._ring.miss()
                end = record_end(batch, i, n)
                if not self._ring.put(
                        rules.number, number, instant, version.revision, <uint32_t>(end - i), types + i, relations + i, batch.ids + i, codes + i,
                        batch.texts + i, batch.lengths + i):
                    return False
                i = end
            return not self._ring.is_sync or self._ring.sync()
        finally:
            free(types)

    cdef bint number(self, Rules rules) except -1:
        """Have the rules' number in the decision log; False where it could not be kept."""
        if rules.number == 0 or rules.epoch != self._ring.epoch:
            rules.number = self._ring.describe(self.description(rules))
            rules.epoch = self._ring.epoch
        return rules.number != 0

    cdef uint32_t context_number(self, dict context) except? 0xFFFFFFFFU:
        """The number of a caller's context in the decision log; 0: there is none. NO_CONTEXT: it could not be kept."""
        cdef uint32_t number
        if context is None:
            return 0
        number = self._ring.context(context)
        return number if number else NO_CONTEXT

    cdef dict description(self, Rules rules):
        """The chain as the decision log has it."""
        return {
            "principals": list(self.principals),
            "holds": list(self._holds),
            "delegations": list(self._delegations),
            "scopes": [None if scope is None else list(scope) for scope in self._scopes],
            "expires": self._expires,
            "task": self.task,
            "context": self._context,
            "context_keys": sorted(self._keys),
            "unrecorded": bool(self._unrecorded),
            "controlled": bool(self._controlled),
            "apart": bool(self._apart),
            "model": rules.model.model_id,
            "policy": rules.policy,
            "generation": rules.generation,
            "semantics": SEMANTICS_VERSION,
        }

    def check_objects(self, relation, objects, *, context=None, at_least=None):
        """Whether the session may, for each of `objects`: a list of bool, in their order, all of one revision and instant.

        A bad item, and one whose answer is an error, raises, with its position in `.index`.
        """
        return self.many(batch_items(objects, "objects"), relation, False, context, at_least, False, False, None, None)

    def filter_objects(self, relation, objects, *, context=None, at_least=None):
        """Those of `objects` on which the session may, in their order: check_objects, but a list of the allowed."""
        return self.many(batch_items(objects, "objects"), relation, False, context, at_least, False, True, None, None)

    def batch_check(self, questions, *, context=None, at_least=None):
        """Answers to many questions, pairs (relation, object), all of one revision and instant: a BatchResult, in their order.

        An item in error reads False and has its error in `.errors`, by index; the others are answered.
        """
        cdef dict errors = {}
        return BatchResult(self.many(batch_items(questions, "questions"), None, True, context, at_least, False, False, errors, None), errors)

    # ---- lists ----

    cdef list lists(self, list pairs, object context, object at_least):
        """An ObjectSet for each (type, relation), of one version and instant, with what is undetermined apart."""
        cdef Rules rules
        cdef Version version
        cdef ObjectSet found
        cdef uint32_t node, k
        cdef int64_t instant
        cdef list out = [], each, sets = []
        cdef Py_ssize_t i
        context = self.merged(self.taken(context) if context is not None else None)
        if at_least is not None:
            self._engine.model_for(None, at_least)
        rules = self.current(False, &instant)
        version = self._state.version
        nodes = [self._engine.node_of(rules.model, type, relation) for type, relation in pairs]
        alive = rules.verdict == 0 and instant < rules.expires
        if alive and pairs:
            for i in range(len(self.principals)):
                if self._holds[i] is True:
                    sets.append(self._engine.list_all(self.principals[i], pairs, context, (), None, None, True, version, rules.model, instant))
        for i in range(len(pairs)):
            type, relation = str.__str__(pairs[i][0]), str.__str__(pairs[i][1])
            definite = possible = EMPTY
            if alive:
                for n, each in enumerate(sets):
                    found = each[i]
                    upper = found.array if found.rest is None else numpy.union1d(found.array, (<ObjectSet>found.rest).array)
                    definite = found.array if n == 0 else both(definite, found.array)
                    possible = upper if n == 0 else both(possible, upper)
                node = nodes[i]
                for k in range(rules.layer_count):
                    possible = self.admitted_ids(rules, version, &rules.layers[k], node, type, context, instant, possible)
                definite = both(definite, possible)
            found = object_set(
                version.names, rules.model.types[type], None, definite, self.principals[len(self.principals) - 1], relation, type, version.revision,
                instant)
            rest = numpy.setdiff1d(possible, definite, assume_unique=True)
            found.rest = found.with_ids(rest) if len(rest) else None
            out.append(found)
        return out

    cdef object admitted_ids(
            self, Rules rules, Version version, const LayerC* layer, uint32_t node, str type, object context, int64_t instant, object ids):
        """Those of some ids, rising, that a scope or boundary admits."""
        cdef uint32_t e
        cdef const EntryC* entry
        cdef const NameC* name
        cdef list positive = []
        cdef bint everything = layer.open
        for e in range(layer.first, layer.end):
            if not len(ids):
                return ids
            entry = &rules.entries[e]
            if e == layer.exceptions and not everything:
                ids = both(ids, numpy.unique(numpy.concatenate(positive)) if positive else EMPTY)
            if entry.node != node or (e < layer.exceptions and everything):
                continue
            meant = ids
            if entry.length:
                name = names_find(&version.names.c, entry.text, entry.length)
                meant = EMPTY if name == NULL else both(ids, numpy.array([name.id], numpy.uint32))
            if entry.where >= 0:
                held = self.where_ids(rules, version, entry.where, type, context, instant, e >= layer.exceptions)
                meant = meant if held is None else both(meant, held)
            elif e < layer.exceptions and not entry.length:
                everything = True
            if e < layer.exceptions:
                positive.append(meant)
            else:
                ids = numpy.setdiff1d(ids, meant, assume_unique=True)
        if layer.exceptions == layer.end and not everything:
            ids = both(ids, numpy.unique(numpy.concatenate(positive)) if positive else EMPTY)
        return ids

    cdef object where_ids(self, Rules rules, Version version, int32_t where, str type, object context, int64_t instant, bint possible):
        """The ids of a type on which a `where` holds; with `possible` those too on which it cannot be evaluated: None, all of them."""
        cdef ObjectSet found
        if rules.where_nodes[where] != NO_NODE:
            try:
                found = self._engine.list_all(
                    rules.where_subjects[where], [(type, rules.where_relations[where])], context, (), None, None, True, version, rules.model, instant)[0]
            except FgaError:
                return None if possible else EMPTY
            return found.array if not possible or found.rest is None else numpy.union1d(found.array, (<ObjectSet>found.rest).array)
        return None if possible else EMPTY

    def list_objects(self, relation, type, *, context=None, on_missing_context="raise", at_least=None):
        """Every object of `type` on which the session may, at the newest revision: an ObjectSet. Never cut short.

        Where the list hangs on a condition that fails it raises; with on_missing_context="report" `.undetermined` has those objects. Not logged: what is
        done with an object is asked with `check`.
        """
        cdef ObjectSet found
        cdef AskedC asked
        if on_missing_context not in ("raise", "report"):
            raise RequestError("on_missing_context is `raise` or `report`")
        found = self.lists([(type, relation)], context, at_least)[0]
        if found.rest is not None and on_missing_context == "raise":
            self.one(relation, next(iter(found.rest)), context, at_least, True, &asked, None)
            raise RequestError("the list hangs on a condition that failed", code="condition_failed")
        return found

    def _list_all(self, subject, pairs, *, context=None, contextual_tuples=(), model_id=None, at_least=None):
        """As Engine._list_all, for this chain: what `reach` lists."""
        return self.lists(list(pairs), context, at_least)

    def _bounded(self, list sets not None):
        """Of some ObjectSets, what the boundaries of the chain admit, at the newest version."""
        cdef int64_t instant = 0
        cdef Rules rules = self.current(False, &instant)
        cdef Version version = self._state.version
        cdef ObjectSet found
        cdef uint32_t node, k
        cdef list out = []
        for found in sets:
            ids = found.array
            node = self._engine.node_of(rules.model, found.type, found.relation)
            for k in range(rules.layer_count):
                if rules.layers[k].code == OUTSIDE_BOUNDARY:
                    ids = self.admitted_ids(rules, version, &rules.layers[k], node, found.type, None, instant, ids)
            out.append(found.with_ids(ids))
        return out

    def list_relations(self, object, *, context=None, at_least=None):
        """The relations by which the session may something with `object`, in the model's order, all of one revision and instant. Not logged.

        Raises the error of the first relation whose answer is one.
        """
        cdef int64_t instant = 0
        cdef Rules rules = self.current(True, &instant)
        type = self._engine.name_parts(object, "object")[0]
        if type not in rules.model.types:
            raise RequestError(f"the model has no type {quote(type)}", code="type_not_found")
        relations = list(rules.model.source.model.types[type].relations)
        answers = self.many([(relation, object) for relation in relations], None, True, context, at_least, True, False, None, None)
        return [relation for relation, allowed in zip(relations, answers) if allowed]

    # ---- the log of an engine's own checks ----

    def _pin(self):
        """What several batches of one call go by."""
        cdef Pin pin = Pin.__new__(Pin)
        pin.model = self.current(False, &pin.instant).model
        pin.version = self._state.version
        pin.settled = settled_of(pin.version.names)
        return pin

    def _pinned(self, list questions not None, context, Pin pin not None):
        """The answers to pairs at what was pinned, and their errors by place."""
        cdef dict errors = {}
        return self.many(questions, None, True, context, None, False, False, errors, pin), errors

    def _note(self, list questions not None, list answers not None, context):
        """Log answers to pairs that were found elsewhere, at the newest version, under the objects' names. Whether that was done."""
        cdef int64_t instant = 0
        cdef Rules rules = self.current(False, &instant)
        cdef Version version = self._state.version
        cdef uint16_t type, number
        cdef uint32_t place
        cdef uint8_t code
        cdef Py_ssize_t length = 0
        cdef const char* text
        cdef bint kept = True
        place = self.context_number(None if context is None else self.taken(context))
        if place == NO_CONTEXT or not self.number(rules):
            return self._ring.miss()
        for (relation, object), allowed in zip(questions, answers):
            text = text_of(object, &length, "object")
            symbol = self._state.symbols.types.get(str.__str__(object).partition(":")[0])
            relation = self._state.symbols.relations.get(str.__str__(relation))
            if symbol is None or relation is None or length >= NAME_BYTES:
                continue             # of no model that the store ever had: an error, and no answer
            type, number = symbol, relation
            code = ALLOWED if allowed is True else NOT_HELD if allowed is False else UNDETERMINED
            kept = kept and self._ring.put_one(
                rules.number, place, instant, version.revision, type, number, NONE, code, text, <uint32_t>length)
        return kept and (not self._ring.is_sync or self._ring.sync())

    # ---- replay ----

    @staticmethod
    def described(Lists engine not None, dict described not None):
        """The chain of a session as the decision log describes it, over an engine that logs nothing. ValueError where it describes none."""
        try:
            return Chained(
                engine, DecisionRing(), tuple(described["principals"]), tuple(described["holds"]), tuple(described["delegations"]),
                tuple(None if scope is None else tuple(scope) for scope in described["scopes"]), described["expires"], described["task"],
                described["context"], frozenset(described["context_keys"]), described["unrecorded"], described["controlled"],
                described["apart"])
        except (KeyError, TypeError, InternalError) as error:
            raise ValueError("no session is described") from error

    def codes(self, bytes payload not None, Py_ssize_t start, Py_ssize_t end, Py_ssize_t count, tuple uniform, context=None):
        """The code bytes of a record of decisions as they were logged, and as they come out at the newest version of the engine and its clock's instant.

        The record's rest lies in payload[start:end], docs/format.md; uniform: type and relation of all of them, or None. ValueError where the bytes are
        none, or name what the model does not have.
        """
        cdef BatchC batch
        cdef Checker checker
        cdef Rules rules
        cdef Py_ssize_t i
        cdef const char* data = <const char*>payload
        cdef Py_ssize_t types = start, ids, bits, denied, texts
        cdef uint16_t type = 0, relation = 0, length
        cdef bytearray was = bytearray(count), out = bytearray(count)
        cdef uint8_t* logged = <uint8_t*><char*>was
        cdef uint8_t* codes = <uint8_t*><char*>out
        cdef dict errors = {}
        cdef int64_t instant
        if uniform is not None:
            type, relation = uniform
        ids = start if uniform is not None else start + 4 * count
        bits = ids + 4 * count
        denied = bits + (count + 7) // 8
        if count < 1 or start < 0 or denied > end or end > len(payload):
            raise ValueError("a record is cut off")
        texts = denied
        for i in range(count):
            texts += not (<uint8_t>data[bits + (i >> 3)] >> (i & 7)) & 1
        if texts > end:
            raise ValueError("a record is cut off")
        whole = self.merged(self.taken(context, False) if context is not None else None)
        memset(&batch, 0, sizeof(batch))
        checker = self._state.take()
        try:
            rules = self.current(False, &instant)
            checker.version = self._state.version
            if whole is not None or rules.model.conditions is not None:
                self._state.prepare(checker, rules.model, whole, instant)
            batch_open(&batch, count)
            for i in range(count):
                if not (<uint8_t>data[bits + (i >> 3)] >> (i & 7)) & 1:
                    logged[i] = <uint8_t>data[denied]
                    denied += 1
                if uniform is None:
                    memcpy(&type, data + types + 4 * i, 2)
                    memcpy(&relation, data + types + 4 * i + 2, 2)
                batch.nodes[i] = rules.model.node_find(type, relation)
                if batch.nodes[i] == NO_NODE:
                    raise ValueError("the model has no such relation")
                memcpy(&batch.ids[i], data + ids + 4 * i, 4)
                batch.texts[i], batch.lengths[i] = NULL, 0
                if batch.ids[i] == NONE:
                    if texts + 2 > end:
                        raise ValueError("a record is cut off")
                    memcpy(&length, data + texts, 2)
                    texts += 2 + length
                    if texts > end:
                        raise ValueError("a record is cut off")
                    batch.texts[i], batch.lengths[i] = data + texts - length, length
            self.evaluate(checker, rules, &batch, codes, instant, errors)
            return bytes(was), bytes(out)
        finally:
            self._state.give(checker)
            free(batch.texts)


cdef bytes settled_of(Names names):
    """How many names of each type the newest version knows, at this moment: a uint32 for each type."""
    return (<const char*>names.settled)[:4 * names.type_count] if names.type_count else b""


cdef object copied(object value, int depth):
    """A value whose lists and maps nobody else has."""
    if depth <= 64 and type(value) is dict:
        return {key: copied(item, depth + 1) for key, item in (<dict>value).items()}
    if depth <= 64 and type(value) is list:
        return [copied(item, depth + 1) for item in <list>value]
    return value


cdef Py_ssize_t record_end(const BatchC* batch, Py_ssize_t first, Py_ssize_t end) noexcept:
    """Where a record of the decision log ends that begins with a question of a batch."""
    cdef Py_ssize_t i = first
    cdef size_t size = 0
    end = min(end, first + <Py_ssize_t>RECORD_ITEMS)
    if (end - first) * RECORD_ITEM_BYTES <= RECORD_BYTES:
        return end
    while i < end and size <= RECORD_BYTES:
        size += 9 + (2 + batch.lengths[i] if batch.ids[i] == NONE else 0)
        i += 1
    return i


cdef object pair_of(object item, Py_ssize_t i, dict errors):
    """A question of a batch as a tuple of two; None where it is none and that is noted."""
    if type(item) is tuple and len(<tuple>item) == 2:
        return item
    error = RequestError("a question of a session is a pair (relation, object)", index=i)
    if errors is None:
        raise error
    errors[i] = error
    return None


cdef int fault(object error, Py_ssize_t i, dict errors) except -1:
    """Note an item's error, or raise it."""
    error.index = i
    if errors is None:
        raise error
    errors[i] = error
    return 0


cdef object both(object a, object b):
    """What two rising arrays of ids have in common."""
    if a is b:
        return a
    return numpy.intersect1d(a, b, assume_unique=True)
