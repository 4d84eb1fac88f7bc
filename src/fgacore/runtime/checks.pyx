"""See checks.pxd. Names are resolved under the GIL; batches are answered without it."""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcmp, memset

from collections.abc import Mapping
from operator import index

from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.ref cimport PyObject

import numpy

from fgacore.errors import FgaError, LimitError, RequestError, StoreError, quote
from fgacore.kernel.check cimport UNKNOWN, YES, ask, ask_simple
from fgacore.kernel.names cimport NameC, Names, NamesC, names_count, names_settled, names_find
from fgacore.kernel.plan cimport NO_NODE, relation_find
from fgacore.kernel.sets cimport GHOST, NONE
from fgacore.kernel.view cimport ERROR_CONDITION, ERROR_CONDITION_WORK, ERROR_RAISED, ERROR_WORK
from fgacore.limits import BATCH_ITEMS_MAX, CHECK_WORK_MAX, CONDITION_WORK_MAX
from fgacore.results import BatchResult, Ids
from fgacore.runtime.batch cimport (
    NAME_BYTES, answer_ids, answer_run, answer_texts, batch_allowed, batch_items, batch_list, batch_open, batch_over, batch_text, find_targets,
)
from fgacore.runtime.gate cimport fga_gate_enter, fga_gate_leave, fga_gate_return, fga_gate_wait
from fgacore.runtime.overlay cimport contextual_list, overlay_make
from fgacore.runtime.resolve cimport PROVISIONAL
from fgacore.runtime.text cimport SHAPE_BAD, SHAPE_PLAIN, SHAPE_USERSET, SHAPE_WILDCARD, ShapeC, fga_ascii, refuse, shape_read, text_of
from fgacore.tuples import Question

cdef extern from "Python.h":
    PyObject* PyList_GET_ITEM(object items, Py_ssize_t i)
    PyObject* PyTuple_GET_ITEM(object items, Py_ssize_t i)

cdef Py_ssize_t batch_max = BATCH_ITEMS_MAX
cdef object NOTHING = ()         # the default of contextual_tuples: the one empty tuple of the interpreter
cdef enum:
    BUILD_ITEMS = 8              # a batch of so many builds a view at once
    NOGIL_ITEMS = 64             # a batch of so many is worth the 40 ns of letting the GIL go


cdef bint given(object contextual_tuples) noexcept:
    """Whether there are contextual tuples; what is no list of them is refused where they are read."""
    return contextual_tuples is not NOTHING and contextual_tuples is not None and not (
        (type(contextual_tuples) is list or type(contextual_tuples) is tuple) and not contextual_tuples)


cdef object kernel_error(Checker checker):
    """The exception of what a call ran into."""
    cdef int error = checker.c.run.error
    if error == ERROR_WORK:
        return LimitError(f"the question touches more than {CHECK_WORK_MAX} tuples (CHECK_WORK_MAX)", code="limit_exceeded")
    if error == ERROR_CONDITION_WORK:
        return LimitError(f"the conditions of the call take more than {CONDITION_WORK_MAX} steps (CONDITION_WORK_MAX)", code="limit_exceeded")
    if error == ERROR_CONDITION:
        return checker.request.error()
    if error == ERROR_RAISED:
        return checker.request.raised
    return MemoryError()


cdef inline bint is_own_ghost(const AskerC* asker, const char* text, Py_ssize_t length) noexcept:
    """Whether a text is the asking userset's own object, where that had no name when the asker was looked up."""
    return asker.id == GHOST and asker.own != NULL and asker.own_length == length and memcmp(asker.own, text, length) == 0


cdef class Checks:
    """What answers questions. Thread-safe: readers never block, and each call sees one revision."""

    def __cinit__(self, store not None, *args, **kwargs):
        self._state = store if isinstance(store, State) else store.state
        self._writer = Writer(self._state)

    # ---- from texts to ids ----

    cdef Plan asker(self, const NamesC* names, ModelPlan model, object subject, AskerC* asker):
        """The plan for the kind of a subject, and its id."""
        cdef Py_ssize_t length = 0
        cdef const char* text = text_of(subject, &length, "subject")
        cdef const NameC* entry
        asker.own = NULL
        asker.own_length = 0
        if 0 < length < 65536:
            entry = names_find(names, text, <uint32_t>length)
            if entry != NULL and entry.type < model.plain_count and model.plain_plans[entry.type] != NULL:
                asker.id = entry.id
                return <Plan>model.plain_plans[entry.type]
        return self.asker_slow(names, model, subject, text, length, asker, None)

    cdef Plan asker_over(self, const NamesC* names, ModelPlan model, object subject, AskerC* asker, Overlay overlay):
        """The same over contextual tuples, or without."""
        cdef Py_ssize_t length = 0
        cdef const char* text
        if overlay is None:
            return self.asker(names, model, subject, asker)
        text = text_of(subject, &length, "subject")
        return self.asker_slow(names, model, subject, text, length, asker, overlay)

    cdef uint32_t name_id(self, const NamesC* names, Overlay overlay, const char* text, Py_ssize_t length) noexcept:
        """The id of a name, first among those that only the call knows; NONE: nothing mentions it."""
        cdef const NameC* entry
        cdef uint32_t id = overlay.find(text, <uint32_t>length) if overlay is not None else NONE
        if id != NONE:
            return id
        entry = names_find(names, text, <uint32_t>length)
        return entry.id if entry != NULL else NONE

    cdef Plan asker_slow(
            self, const NamesC* names, ModelPlan model, object subject, const char* text, Py_ssize_t length, AskerC* asker, Overlay overlay):
        """A userset, a wildcard, a name that nothing mentions or only the call does, the first question of a kind; or an error."""
        cdef ShapeC shape
        cdef int kind = shape_read(text, length, &shape)
        if kind == SHAPE_BAD:
            raise refuse("subject", subject)
        cdef object type_name = text[:shape.colon].decode()
        cdef object type = model.types.get(type_name)
        cdef object relation
        if type is None:
            raise RequestError(f"the model has no type {quote(type_name)}", code="type_not_found")
        if kind == SHAPE_WILDCARD:
            asker.id = 0         # the one subject of a wildcard's tables
            return model.plan_of((type, None, True))
        asker.id = self.name_id(names, overlay, text, shape.end)
        asker.own = NULL
        asker.own_length = 0
        if kind == SHAPE_PLAIN:
            return model.plan_of((type, None, False))
        relation_name = text[shape.end + 1:shape.length].decode()
        relation = model.relations.get(relation_name)
        if relation is None or model.node_find(type, relation) == NO_NODE:
            raise RequestError(f"the type {quote(type_name)} has no relation {quote(relation_name)}", code="relation_not_found")
        if asker.id == NONE:
            asker.id = GHOST
        asker.own = text
        asker.own_length = shape.end
        return model.plan_of((type, relation, False))

    cdef int target(
            self, const NamesC* names, ModelPlan model, int relation, object relation_text, object object, const AskerC* asker, uint32_t* node,
            uint32_t* id) except -1:
        """The node that a question is about, and the id of its object: NONE where nothing mentions it, GHOST where it is the asking userset's."""
        cdef Py_ssize_t length = 0
        cdef const char* text = text_of(object, &length, "object")
        cdef const NameC* entry
        if 0 < length < 65536 and relation >= 0:
            entry = names_find(names, text, <uint32_t>length)
            if entry != NULL:
                node[0] = model.node_find(entry.type, <uint32_t>relation)
                if node[0] != NO_NODE:
                    id[0] = GHOST if is_own_ghost(asker, text, length) else entry.id
                    return 0
        return self.target_slow(names, model, relation, relation_text, object, text, length, asker, node, id, None)

    cdef int target_slow(
            self, const NamesC* names, ModelPlan model, int relation, object relation_text, object object, const char* text, Py_ssize_t length,
            const AskerC* asker, uint32_t* node, uint32_t* id, Overlay overlay) except -1:
        cdef ShapeC shape
        if shape_read(text, length, &shape) != SHAPE_PLAIN:
            raise refuse("object", object)
        type_name = text[:shape.colon].decode()
        type = model.types.get(type_name)
        if type is None:
            raise RequestError(f"the model has no type {quote(type_name)}", code="type_not_found")
        node[0] = model.node_find(type, <uint32_t>relation) if relation >= 0 else NO_NODE
        if node[0] == NO_NODE:
                raise RequestError(f"the type {quote(type_name)} has no relation {quote(relation_text)}", code="relation_not_found")
        if asker.own != NULL and asker.own_length == length and memcmp(asker.own, text, length) == 0:
            id[0] = asker.id     # by text: it may have been interned since the one or the other was looked up
        else:
            id[0] = NONE if overlay is None else self.name_id(names, overlay, text, length)
        return 0

    cdef int target_over(
            self, const NamesC* names, ModelPlan model, object relation, object object, const AskerC* asker, uint32_t* node, uint32_t* id,
            Overlay overlay) except -1:
        """The same over contextual tuples, or without."""
        cdef int symbol = relation_find(model, relation)
        cdef Py_ssize_t length = 0
        cdef const char* text
        if overlay is None:
            return self.target(names, model, symbol, relation, object, asker, node, id)
        text = text_of(object, &length, "object")
        return self.target_slow(names, model, symbol, relation, object, text, length, asker, node, id, overlay)

    # ---- questions ----

    def check(self, subject, relation, object, *, context=None, contextual_tuples=(), model_id=None, at_least=None):
        """Whether `subject` holds `relation` on `object`, at the newest revision.

        `model_id` picks a model (default: the newest). `at_least` is a revision that the answer must not be older than: StoreError `stale` otherwise.
        Raises RequestError for a malformed name and for a type or relation that the model does not have; a name that nothing mentions is an honest False
        (or what a wildcard, or a userset's own relation, grants). The semantics are OpenFGA's: docs/answers.md.

        >>> engine.check("user:anne", "viewer", "document:plan")
        True
        """
        cdef AskerC asker
        cdef uint32_t node = 0, id = 0
        cdef State state = self._state
        cdef ModelPlan model
        cdef Plan plan
        cdef Version version
        cdef int answer
        cdef int64_t instant = self._writer.tick(True) if state.ticking else 0
        model = state.model
        version = state.version      # before the names: what is interned later is in none of its tables
        if model is None or model_id is not None or at_least is not None:
            model = self.model_for(model_id, at_least)
        if given(contextual_tuples):
            instant = instant or state.now()
            return self.check_over(
                version, model, subject, relation, object, context, overlay_make(state, model, version, contextual_tuples, instant), instant)
        plan = self.asker(&version.names.c, model, subject, &asker)
        self.target(&version.names.c, model, relation_find(model, relation), relation, object, &asker, &node, &id)
        if context is not None or plan.c.nodes[node].conditioned:
            return self.check_long(version, model, plan, asker.id, node, id, context, instant)
        answer = state.ask_single(version, plan, asker.id, node, id)
        if answer == UNKNOWN:
            return self.check_long(version, model, plan, asker.id, node, id, None, instant)
        state.checks += 1
        return answer == YES

    cdef object check_long(
            self, Version version, ModelPlan model, Plan plan, uint32_t subject, uint32_t node, uint32_t id, object context, int64_t instant):
        """A question that a bounded walk of stored tuples does not answer: it may hang on conditions, or take long. Without the GIL."""
        cdef Checker checker = self._state.take()
        cdef bint answer
        checker.version = version
        try:
            self._state.begin(checker, plan, subject, False)
            self._state.prepare(checker, model, context, instant)
            with nogil:
                answer = ask(&checker.c, node, id)
            if checker.c.run.error:
                raise kernel_error(checker)
            self._state.checks += 1
            return answer
        finally:
            self._state.give(checker)

    cdef object check_over(
            self, Version version, ModelPlan model, object subject, object relation, object object, object context, Overlay overlay, int64_t instant):
        """A question over contextual tuples, or without: then of `version`."""
        cdef AskerC asker
        cdef uint32_t node = 0, id = 0
        cdef Plan plan = self.asker_over(&version.names.c, model, subject, &asker, overlay)
        self.target_over(&version.names.c, model, relation, object, &asker, &node, &id, overlay)
        return self.check_long(version if overlay is None else overlay.version, model, plan, asker.id, node, id, context, instant)

    cdef ModelPlan model_for(self, object model_id, object at_least):
        """The model asked for, or the newest; the store open, and as new as asked."""
        if not self._state.open:
            raise StoreError("the engine is closed", code="closed")
        if at_least is not None:
            self.fresh(at_least)
        return self._state.plan(model_id)

    def check_objects(self, subject, relation, objects, *, context=None, contextual_tuples=(), model_id=None, at_least=None):
        """Whether `subject` holds `relation` on each of `objects`: a list of bool, in their order, all of one revision.

        A bad item raises its error, with its position in `.index`; nothing is answered then.
        """
        return self.answer_objects(subject, relation, objects, context, contextual_tuples, model_id, at_least, False)

    cdef list answer_objects(
            self, object subject, object relation, object objects, object context, object contextual_tuples, object model_id, object at_least,
            bint only):
        """The answer for each object; with `only` the objects that are allowed instead."""
        cdef AskerC asker
        cdef ModelPlan model
        cdef Plan plan
        cdef Checker checker
        cdef BatchC batch
        cdef Py_ssize_t i
        cdef const char* own
        cdef Py_ssize_t length = 0
        cdef uint64_t entry
        cdef int symbol
        cdef int64_t instant
        cdef Overlay overlay = None
        cdef list items
        items = batch_items(objects, "objects")
        instant = self._writer.tick(len(items) < NOGIL_ITEMS) if self._state.ticking else 0
        memset(&batch, 0, sizeof(batch))
        checker = self._state.take()
        try:
            model = self.model_for(model_id, at_least)
            if given(contextual_tuples):
                overlay = overlay_make(self._state, model, checker.version, contextual_tuples, instant or self._state.now())
                checker.version = overlay.version
                batch_over(&batch, overlay)
            if context is not None or model.conditions is not None:
                self._state.prepare(checker, model, context, instant)
            plan = self.asker_over(&checker.version.names.c, model, subject, &asker, overlay)
            symbol = relation_find(model, relation)
            batch_open(&batch, len(items))
            entry = fga_gate_enter(&self._state.gate) if batch.count >= NOGIL_ITEMS else 0
            for i in range(batch.count):
                batch.texts[i] = fga_ascii(PyList_GET_ITEM(items, i), &length)
                if batch.texts[i] != NULL and length < NAME_BYTES:
                    batch.lengths[i] = <uint32_t>length
                else:
                    batch_text(&batch, i, <object>PyList_GET_ITEM(items, i))
            self._state.begin(checker, plan, asker.id, batch.count >= BUILD_ITEMS)
            own = asker.own if asker.id == GHOST else NULL
            if batch.count >= NOGIL_ITEMS:
                fga_gate_leave(&self._state.gate)
                with nogil:
                    answer_texts(&checker.c, &checker.version.names.c, model.node_slots, model.node_mask, symbol, &batch, own, asker.own_length)
                    fga_gate_wait(&self._state.gate, entry)
                fga_gate_return(&self._state.gate)
            else:
                answer_texts(&checker.c, &checker.version.names.c, model.node_slots, model.node_mask, symbol, &batch, own, asker.own_length)
            for i in range(batch.missing):
                self.answer_missing(checker, model, symbol, relation, items, &asker, &batch, batch.ids[i], overlay)
            if batch.failed >= 0:
                raised = kernel_error(checker)
                raised.index = batch.failed
                raise raised
            self._state.checks += batch.count
            return batch_allowed(&batch, items) if only else batch_list(&batch)
        finally:
            self._state.give(checker)
            free(batch.texts)

    cdef int answer_missing(
            self, Checker checker, ModelPlan model, int symbol, object relation, list items, const AskerC* asker, BatchC* batch, Py_ssize_t i,
            Overlay overlay) except -1:
        """An object whose name is in no table: an error, an honest no, the asking userset's own object, or one that only the call knows."""
        cdef uint32_t node = 0, id = 0
        cdef object item = items[i]
        try:
            self.target_slow(&checker.version.names.c, model, symbol, relation, item, batch.texts[i], batch.lengths[i], asker, &node, &id, overlay)
        except FgaError as error:
            error.index = i
            raise
        if id != NONE and batch.failed < 0:
            checker.c.run.visited_max = checker.c.run.visited + self._state.visited_max
            batch.answers[i] = ask(&checker.c, node, id)
            if checker.c.run.error:
                batch.failed = i
        return 0

    def batch_check(self, questions, *, context=None, contextual_tuples=(), model_id=None, at_least=None):
        """Answers to many questions, triples or `fgacore.Question`, all of one revision: a BatchResult, in their order.

        An item in error reads False and has its error in `.errors`, by index; the others are answered.
        """
        cdef AskerC asker
        cdef ModelPlan model
        cdef Plan plan
        cdef Checker checker
        cdef BatchC batch
        cdef Py_ssize_t i, j, first, count
        cdef int64_t instant
        cdef Version version
        cdef Overlay overlay = None
        cdef list items, kept = [], apart = []
        cdef dict errors = {}
        cdef object item
        cdef Py_ssize_t length = 0
        items = batch_items(questions, "questions")
        instant = self._writer.tick(len(items) < NOGIL_ITEMS) if self._state.ticking else 0
        count = len(items)
        memset(&batch, 0, sizeof(batch))
        checker = self._state.take()
        version = checker.version
        try:
            model = self.model_for(model_id, at_least)
            if given(contextual_tuples):
                instant = instant or self._state.now()
                overlay = overlay_make(self._state, model, version, contextual_tuples, instant)
                checker.version = overlay.version
                batch_over(&batch, overlay)
            if context is not None or model.conditions is not None:
                self._state.prepare(checker, model, context, instant)
            batch_open(&batch, count)
            for i in range(count):
                item = <object>PyList_GET_ITEM(items, i)
                if type(item) is tuple and len(<tuple>item) == 3 and <object>PyTuple_GET_ITEM(item, 1) is model.asked_relation:
                    batch.texts[i] = fga_ascii(PyTuple_GET_ITEM(item, 2), &length)
                    if batch.texts[i] != NULL and length < NAME_BYTES:
                        batch.lengths[i] = <uint32_t>length
                        batch.subjects[i] = PyTuple_GET_ITEM(item, 0)
                        batch.symbols[i] = model.asked_symbol
                        continue
                try:
                    if type(item) is not tuple or len(<tuple>item) != 3:
                        if is_apart(item):
                            apart.append(i)
                            batch.subjects[i] = NULL
                            batch.texts[i] = b""
                            batch.lengths[i] = 0
                            continue
                        item = question_parts(item)
                        kept.append(item)    # its parts are held by nobody else
                    batch.subjects[i] = PyTuple_GET_ITEM(item, 0)
                    batch.symbols[i] = relation_find(model, <object>PyTuple_GET_ITEM(item, 1))
                    batch_text(&batch, i, <object>PyTuple_GET_ITEM(item, 2))
                except FgaError as error:
                    error.index = i
                    errors[i] = error
                    batch.subjects[i] = NULL
                    batch.texts[i] = b""
                    batch.lengths[i] = 0
            if count >= NOGIL_ITEMS:
                with nogil:
                    find_targets(&checker.version.names.c, model.node_slots, model.node_mask, &batch)
            else:
                find_targets(&checker.version.names.c, model.node_slots, model.node_mask, &batch)
            first = 0
            while first < count:
                j = first + 1
                while j < count and batch.subjects[j] == batch.subjects[first]:
                    j += 1
                if batch.subjects[first] != NULL and not (j - first < BUILD_ITEMS and self.answer_few(checker, model, &batch, first, j)):
                    self.answer_group(checker, model, items, errors, &batch, first, j, overlay, instant)
                first = j
            if apart and not instant:
                instant = self._state.now()
            for i in apart:
                try:
                    batch.answers[i] = self.answer_question(version, model, items[i], context, overlay, instant)
                except FgaError as error:
                    error.index = i
                    errors[i] = error
            self._state.checks += count - len(apart)
            return BatchResult(batch_list(&batch), errors)
        finally:
            self._state.give(checker)
            free(batch.texts)

    cdef bint answer_question(
            self, Version version, ModelPlan model, object item, object context, Overlay overlay, int64_t instant) except -1:
        """One question of a batch by itself, its own context over the call's and its own contextual tuples beside the call's."""
        cdef tuple parts
        if isinstance(item, Question):
            if item.context is not None:
                context = item.context if context is None else merged(context, item.context)
            if given(item.contextual_tuples):
                own = contextual_list(item.contextual_tuples)
                overlay = overlay_make(self._state, model, version, own if overlay is None else overlay.items + own, instant)
        parts = question_parts(item)
        return self.check_over(version, model, parts[0], parts[1], parts[2], context, overlay, instant)

    cdef bint answer_few(self, Checker checker, ModelPlan model, BatchC* batch, Py_ssize_t first, Py_ssize_t end) noexcept:
        """The same for a few questions of a plain subject about known names, where bounded walks suffice: nothing can go wrong then. 0: not so."""
        cdef const NameC* entry = batch.askers[first]
        cdef Plan plan
        cdef Py_ssize_t i
        cdef int answer
        if entry == NULL or entry.type >= model.plain_count or model.plain_plans[entry.type] == NULL:
            return 0
        plan = <Plan>model.plain_plans[entry.type]
        for i in range(first, end):
            if batch.nodes[i] == NO_NODE or plan.c.nodes[batch.nodes[i]].conditioned:
                return 0
            if plan.c.nodes[batch.nodes[i]].simple:
                batch.answers[i] = ask_simple(
                    checker.version.tables, checker.version.table_count, &plan.c, entry.id, batch.nodes[i], batch.ids[i])
                continue
            answer = self._state.ask_single(checker.version, plan, entry.id, batch.nodes[i], batch.ids[i])
            if answer == UNKNOWN:
                return 0
            batch.answers[i] = answer == YES
        return 1

    cdef int answer_group(
            self, Checker checker, ModelPlan model, list items, dict errors, BatchC* batch, Py_ssize_t first, Py_ssize_t end,
            Overlay overlay, int64_t instant) except -1:
        """The questions first..end of a batch, which one subject asks; their own errors go into `errors`."""
        cdef AskerC asker
        cdef Plan plan
        cdef Py_ssize_t i, j
        cdef bint conditioned = False
        cdef int answer
        cdef object item
        try:
            plan = self.asker_over(&checker.version.names.c, model, <object>batch.subjects[first], &asker, overlay)
        except FgaError as error:
            for i in range(first, end):
                errors[i] = type(error)(error.message, code=error.code, index=i)
            return 0
        for i in range(first, end):
            if is_own_ghost(&asker, batch.texts[i], batch.lengths[i]):
                batch.ids[i] = GHOST
            if batch.nodes[i] == NO_NODE:
                item = items[i] if type(items[i]) is tuple else question_parts(items[i])
                try:
                    self.target_slow(
                        &checker.version.names.c, model, batch.symbols[i], item[1], item[2], batch.texts[i], batch.lengths[i], &asker,
                        &batch.nodes[i], &batch.ids[i], overlay)
                except FgaError as error:
                    error.index = i
                    errors[i] = error
                    batch.nodes[i] = NO_NODE
            if batch.nodes[i] != NO_NODE and plan.c.nodes[batch.nodes[i]].conditioned:
                conditioned = True
        if end - first < BUILD_ITEMS and not conditioned:
            for i in range(first, end):
                if batch.nodes[i] == NO_NODE:
                    continue
                answer = self._state.ask_single(checker.version, plan, asker.id, batch.nodes[i], batch.ids[i])
                if answer != UNKNOWN:
                    batch.answers[i] = answer == YES
                    continue
                try:
                    batch.answers[i] = self.check_long(checker.version, model, plan, asker.id, batch.nodes[i], batch.ids[i], None, instant)
                except FgaError as error:
                    error.index = i
                    errors[i] = error
            return 0
        self._state.begin(checker, plan, asker.id, end - first >= BUILD_ITEMS)
        i = first
        while i < end:
            if end - i >= NOGIL_ITEMS:
                with nogil:
                    j = answer_run(&checker.c, batch, i, end)
            else:
                j = answer_run(&checker.c, batch, i, end)
            if checker.c.run.error:
                # The item at j - 1 failed: its error is its own, the rest goes on afresh.
                error = kernel_error(checker)
                if not isinstance(error, FgaError):
                    raise error
                error.index = j - 1
                errors[j - 1] = error
                batch.answers[j - 1] = 0
                self._state.begin(checker, plan, asker.id, end - first >= BUILD_ITEMS)
            i = j
        return 0

    def check_ids(self, subject_id, relation, object_ids, *, subject_type, object_type, out=None, context=None, contextual_tuples=(), model_id=None,
                  at_least=None, generation=None):
        """The same as check_objects over ids (`Engine.ids`), without a text touched: a bool array, in their order.

        object_ids: a C-contiguous one-dimensional numpy array of uint32. What `Engine.ids` gives knows its generation, and is refused in another
        (`generation_differs`); so is any other array once the store has been compacted, unless `generation` says which one it and subject_id are of. out: a bool (or uint8) array of the same length to write into and return.
        subject_type is a kind of subject: `user`, `team#member` (subject_id is then a team), or `user:*` (subject_id is ignored).
        fgacore.NONE as subject gets only what a wildcard grants; as object, or as the object of a userset, it gets False.
        """
        cdef AskerC asker
        cdef ModelPlan model
        cdef Plan plan
        cdef Checker checker
        cdef Py_buffer objects, answers
        cdef Py_ssize_t failed, count
        cdef uint32_t node, limit
        cdef const char* ids
        cdef Overlay overlay = None
        cdef int64_t instant = self._writer.tick(True) if self._state.ticking else 0
        checker = self._state.take()
        try:
            refuse_generation(checker.version.names, object_ids, generation)
            model = self._state.plan(model_id)
            if at_least is not None:
                self.fresh(at_least)
            if given(contextual_tuples):
                overlay = overlay_make(self._state, model, checker.version, contextual_tuples, instant or self._state.now())
                checker.version = overlay.version
            self._state.prepare(checker, model, context, instant)
            plan = self.asker_by_id(checker.version, model, subject_id, subject_type, &asker)
            symbol = relation_find(model, relation)
            kind = model.types.get(str.__str__(object_type)) if isinstance(object_type, str) else None
            if kind is None:
                raise RequestError(f"the model has no type {quote(object_type)}", code="type_not_found")
            node = model.node_find(kind, symbol) if symbol >= 0 else NO_NODE
            if node == NO_NODE:
                raise RequestError(f"the type {quote(object_type)} has no relation {quote(relation)}", code="relation_not_found")
            array_get(object_ids, &objects, b"I", "object_ids", False)
            if overlay is not None:      # only the call's own texts reach the names that it alone knows
                PyBuffer_Release(&objects)
                known = numpy.array(object_ids, numpy.uint32)
                known[known >= <uint32_t>PROVISIONAL] = <uint32_t>NONE
                array_get(known, &objects, b"I", "object_ids", False)
            try:
                count = objects.shape[0]
                if count > batch_max:
                    raise LimitError(f"a batch of more than {batch_max} items (BATCH_ITEMS_MAX)")
                if out is None:
                    out = numpy.empty(count, numpy.bool_)
                array_get(out, &answers, b"?B", "out", True)
                try:
                    if <char*>answers.buf < <char*>objects.buf + 4 * count and <char*>objects.buf < <char*>answers.buf + answers.shape[0]:
                        raise RequestError("`out` and `object_ids` share memory")
                    if answers.shape[0] != count:
                        raise RequestError("`out` has another length than `object_ids`")
                    self._state.begin(checker, plan, asker.id, count >= BUILD_ITEMS)
                    ids = <const char*>objects.buf
                    if count >= NOGIL_ITEMS:
                        with nogil:
                            failed = answer_ids(&checker.c, node, ids, count, <uint8_t*>answers.buf)
                    else:
                        failed = answer_ids(&checker.c, node, ids, count, <uint8_t*>answers.buf)
                    if failed >= 0:
                        raised = kernel_error(checker)
                        raised.index = failed
                        raise raised
                finally:
                    PyBuffer_Release(&answers)
            finally:
                PyBuffer_Release(&objects)
            self._state.checks += count
        finally:
            self._state.give(checker)
        return out

    cdef Plan asker_by_id(self, Version version, ModelPlan model, object subject_id, object subject_type, AskerC* asker):
        """The plan and id for a kind of subject given as text: `user`, `team#member`, `user:*`."""
        cdef object relation = None
        cdef bint wildcard = False
        if not isinstance(subject_type, str):
            raise RequestError("the subject_type is not a text", code="invalid_subject")
        name = str.__str__(subject_type)
        if name.endswith(":*"):
            name, wildcard = name.removesuffix(":*"), True
        elif "#" in name:
            name, _, relation = name.partition("#")
        kind = model.types.get(name)
        if kind is None:
            raise RequestError(f"the model has no type {quote(name)}", code="type_not_found")
        asker.own = NULL
        asker.own_length = 0
        if wildcard:
            asker.id = 0
            return model.plan_of((kind, None, True))
        if relation is not None:
            symbol = model.relations.get(relation)
            if symbol is None or model.node_find(kind, symbol) == NO_NODE:
                raise RequestError(f"the type {quote(name)} has no relation {quote(relation)}", code="relation_not_found")
            relation = symbol
        try:
            number = index(subject_id)
        except TypeError:
            raise RequestError("the subject_id is not an integer", code="invalid_subject") from None
        if number != NONE and not 0 <= number < names_count(version.names, kind):
            raise RequestError(f"no id `{number}` of the type {quote(name)}", code="invalid_subject")
        asker.id = number
        return model.plan_of((kind, relation, False))

    cdef int fresh(self, object at_least) except -1:
        if not isinstance(at_least, int):
            raise RequestError("at_least is not a revision")
        if at_least > self._state.version.revision:
            raise StoreError(f"revision {at_least} is wanted, {self._state.version.revision} is the newest here", code="stale")
        return 0

    def name_parts(self, text, str what):
        """(type, relation of a userset or None, whether it is a wildcard, the whole name of the object part) of a well-formed `subject` or `object`."""
        cdef ShapeC shape
        cdef Py_ssize_t length = 0
        cdef const char* name = text_of(text, &length, what)
        cdef int kind = shape_read(name, length, &shape)
        if kind == SHAPE_BAD or (what == "object" and kind != SHAPE_PLAIN):
            raise refuse(what, text)
        relation = name[shape.end + 1:length].decode() if kind == SHAPE_USERSET else None
        return name[:shape.colon].decode(), relation, kind == SHAPE_WILDCARD, name[:shape.end].decode()

    # ---- ids and names ----

    def ids(self, type, names):
        """The ids of names of one type, given by the part after the colon: a uint32 array; fgacore.NONE for what nothing mentions."""
        cdef const NameC* entry
        cdef Py_ssize_t i, length = 0
        cdef const char* text
        cdef list items = batch_items(names, "names")
        cdef uint32_t[::1] view
        cdef Version version = self._state.version
        if not self._state.open:
            raise StoreError("the engine is closed", code="closed")
        prefix = self.type_of(type) + ":"
        out = numpy.empty(len(items), numpy.uint32)
        view = out
        for i in range(len(items)):
            item = items[i]
            if not isinstance(item, str):
                raise RequestError("the object is not a text", code="invalid_object", index=i)
            whole = prefix + item
            text = text_of(whole, &length, "object")
            entry = names_find(&version.names.c, text, <uint32_t>length) if length < 65536 else NULL
            view[i] = entry.id if entry != NULL and entry.id < names_settled(version.names, entry.type) else NONE
        return Ids.of(out, version.names.generation)

    def names(self, type, ids, *, generation=None):
        """The parts after the colon of the names of ids of one type: a list of str, None for an id that was never given. generation: as in check_ids."""
        cdef const NameC* entry
        cdef const uint32_t[::1] view
        cdef Py_ssize_t i
        cdef Py_ssize_t prefix = 0
        cdef Names known = self._state.version.names
        if not self._state.open:
            raise StoreError("the engine is closed", code="closed")
        refuse_generation(known, ids, generation)
        type = self.type_of(type)
        symbol = self._state.symbols.types.get(type)
        prefix = len(type.encode()) + 1
        try:
            array = numpy.asarray(ids)
            if array.dtype != numpy.uint32:
                if array.size and (array.dtype.kind not in "iu" or array.min() < 0 or array.max() > NONE):
                    raise RequestError("ids are integers of 32 bits without sign")
                array = array.astype(numpy.uint32)
            array = numpy.ascontiguousarray(array)
            view = array
        except (ValueError, TypeError, OverflowError):
            raise RequestError("ids are integers of 32 bits without sign, in one dimension") from None
        out = []
        for i in range(view.shape[0]):
            entry = known.of(symbol, view[i]) if symbol is not None else NULL
            out.append(None if entry == NULL else known.decoded(entry, <uint32_t>prefix))
        return out

    cdef str type_of(self, object type):
        """The name of a type that a model of the store has; else an error."""
        if not isinstance(type, str):
            raise RequestError("the type is not a text", code="type_not_found")
        type = str.__str__(type)
        if type not in self._state.symbols.types:
            raise RequestError(f"no model has a type {quote(type)}", code="type_not_found")
        return type


cdef int refuse_generation(Names names, object ids, object generation) except -1:
    """Refuse ids of another generation, and once there was another, ids that may be of any."""
    if generation is None and isinstance(ids, Ids):
        generation = ids.generation
    if generation is None and names.generation != 1:
        raise RequestError(
            f"the store is of generation {names.generation}: say with `generation` of which the ids are", code="generation_differs")
    if generation is not None and generation != names.generation:
        raise RequestError(f"the ids are of generation {generation}, the store is of {names.generation}", code="generation_differs")
    return 0


cdef int array_get(object array, Py_buffer* buffer, bytes formats, str what, bint writable) except -1:
    """The buffer of a one-dimensional C-contiguous array whose items are one of the formats, four bytes for `I`, one for the others."""
    cdef bint good
    try:
        PyObject_GetBuffer(array, buffer, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (PyBUF_WRITABLE if writable else 0))
    except (TypeError, ValueError, BufferError):
        raise RequestError(f"`{what}` is not a C-contiguous array{' that can be written' if writable else ''}") from None
    good = buffer.ndim == 1 and buffer.format != NULL and buffer.format[0] in formats and buffer.format[1] == 0
    good = good and buffer.itemsize == (4 if formats == b"I" else 1)
    if not good:
        PyBuffer_Release(buffer)
        raise RequestError(f"`{what}` is not a one-dimensional array of {'uint32' if formats == b'I' else 'bool'}")
    return 0


cdef bint is_apart(object item):
    """Whether a question has a context or contextual tuples of its own, and so is answered by itself."""
    return isinstance(item, Question) and (item.context is not None or given(item.contextual_tuples))


cdef tuple question_parts(object item):
    """The triple of a fgacore.Question."""
    if type(item) is tuple and len(<tuple>item) == 3:
        return <tuple>item
    if not isinstance(item, Question):
        raise RequestError("a question is a triple (subject, relation, object) or a fgacore.Question")
    return item.subject, item.relation, item.object


cdef dict merged(object context, object own):
    """A question's context over the call's, key by key."""
    if not isinstance(context, Mapping) or not isinstance(own, Mapping):
        raise RequestError("a context is a mapping", code="invalid_context")
    try:
        return {**context, **own}
    except Exception as error:   # a mapping's own code
        raise RequestError("a context that cannot be read", code="invalid_context") from error
