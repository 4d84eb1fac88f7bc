"""See checks.pxd. Names are resolved under the GIL; batches are answered without it."""

from libc.stdlib cimport free, malloc

from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE

import numpy

from fgacore.errors import FgaError, InternalError, LimitError, RequestError, StoreError
from fgacore.kernel.check cimport SWEEP, UNKNOWN, YES, ask, sweep
from fgacore.kernel.names cimport names_find
from fgacore.kernel.plan cimport relation_find
from fgacore.kernel.sets cimport GHOST, NONE
from fgacore.kernel.view cimport ERROR_WORK
from fgacore.limits import BATCH_ITEMS_MAX, CHECK_WORK_MAX
from fgacore.results import BatchResult
from fgacore.runtime.text cimport SHAPE_BAD, SHAPE_PLAIN, SHAPE_USERSET, SHAPE_WILDCARD, ShapeC, refuse, shape_read, text_of
from fgacore.tuples import Question

cdef Py_ssize_t batch_max = BATCH_ITEMS_MAX
cdef object NOTHING = ()         # the default of contextual_tuples: the one empty tuple of the interpreter
cdef enum:
    BUILD_ITEMS = 8              # a batch of so many builds a view at once
    NOGIL_ITEMS = 64             # a batch of so many is worth the 40 ns of letting the GIL go


cdef object unsupported(str what):
    return RequestError(f"{what} not supported yet", code="not_supported")


cdef int refuse_extras(object context, object contextual_tuples) except -1:
    """What this engine cannot take into account is an error, never ignored."""
    if context is not None:
        raise unsupported("a context is")
    if contextual_tuples is not None and contextual_tuples is not NOTHING and len(contextual_tuples):
        raise unsupported("contextual tuples are")
    return 0


cdef object kernel_error(int error):
    """The exception of a kernel's error code."""
    if error == ERROR_WORK:
        return LimitError(f"the question touches more than {CHECK_WORK_MAX} tuples (CHECK_WORK_MAX)", code="limit_exceeded")
    return MemoryError()


cdef class Checks:
    """What answers questions. Thread-safe: readers never block, and each call sees one revision."""

    def __cinit__(self, State state not None, *args, **kwargs):
        self.state = state

    # ---- from texts to ids ----

    cdef Plan asker(self, ModelPlan model, object subject, AskerC* asker):
        """The plan for the kind of a subject, and its id."""
        cdef Py_ssize_t length = 0
        cdef const char* text = text_of(subject, &length, "subject")
        cdef const NameC* entry
        asker.ghost = NULL
        asker.ghost_length = 0
        if 0 < length < 65536:
            entry = names_find(&self.state.names.c, text, <uint32_t>length)
            if entry != NULL and entry.type < model.plain_count and model.plain_plans[entry.type] != NULL:
                asker.id = entry.id
                return <Plan>model.plain_plans[entry.type]
        return self.asker_slow(model, subject, text, length, asker)

    cdef Plan asker_slow(self, ModelPlan model, object subject, const char* text, Py_ssize_t length, AskerC* asker):
        """A userset, a wildcard, a name that nothing mentions, the first question of a kind; or an error."""
        cdef ShapeC shape
        cdef const NameC* entry
        cdef int kind = shape_read(text, length, &shape)
        if kind == SHAPE_BAD:
            raise refuse("subject", subject)
        cdef object type_name = text[:shape.colon].decode()
        cdef object type = model.types.get(type_name)
        cdef object relation
        if type is None:
            raise RequestError(f"the model has no type `{type_name}`", code="type_not_found")
        if kind == SHAPE_WILDCARD:
            asker.id = 0         # the one subject of a wildcard's tables
            return model.plan_of((type, None, True))
        entry = names_find(&self.state.names.c, text, shape.end)
        if kind == SHAPE_PLAIN:
            asker.id = entry.id if entry != NULL else NONE
            return model.plan_of((type, None, False))
        relation_name = text[shape.end + 1:shape.length].decode()
        relation = model.relations.get(relation_name)
        if relation is None or model.node_find(type, relation) == 0xFFFFFFFFU:
            raise RequestError(f"the type `{type_name}` has no relation `{relation_name}`", code="relation_not_found")
        if entry != NULL:
            asker.id = entry.id
        else:
            asker.id = GHOST
            asker.ghost = text
            asker.ghost_length = shape.end
        return model.plan_of((type, relation, False))

    cdef int target(self, ModelPlan model, int relation, object relation_text, object object, const AskerC* asker, uint32_t* node, uint32_t* id) except -1:
        """The node that a question is about, and the id of its object: NONE where nothing mentions it, GHOST where it is the asking userset's."""
        cdef Py_ssize_t length = 0
        cdef const char* text = text_of(object, &length, "object")
        cdef const NameC* entry
        if 0 < length < 65536 and relation >= 0:
            entry = names_find(&self.state.names.c, text, <uint32_t>length)
            if entry != NULL:
                node[0] = model.node_find(entry.type, <uint32_t>relation)
                if node[0] != 0xFFFFFFFFU:
                    id[0] = entry.id
                    return 0
        return self.target_slow(model, relation, relation_text, object, text, length, asker, node, id)

    cdef int target_slow(
            self, ModelPlan model, int relation, object relation_text, object object, const char* text, Py_ssize_t length,
            const AskerC* asker, uint32_t* node, uint32_t* id) except -1:
        cdef ShapeC shape
        if shape_read(text, length, &shape) != SHAPE_PLAIN:
            raise refuse("object", object)
        type_name = text[:shape.colon].decode()
        type = model.types.get(type_name)
        if type is None:
            raise RequestError(f"the model has no type `{type_name}`", code="type_not_found")
        node[0] = model.node_find(type, <uint32_t>relation) if relation >= 0 else 0xFFFFFFFFU
        if node[0] == 0xFFFFFFFFU:
            shown = relation_text if len(relation_text) <= 80 else relation_text[:80] + "…"
            raise RequestError(f"the type `{type_name}` has no relation `{shown}`", code="relation_not_found")
        id[0] = NONE
        if asker.ghost != NULL and asker.ghost_length == shape.length and asker.ghost[:asker.ghost_length] == text[:length]:
            id[0] = GHOST
        return 0

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
        cdef State state = self.state
        cdef ModelPlan model = state.model
        cdef Plan plan
        cdef Version version
        cdef int answer
        if context is not None or contextual_tuples is not NOTHING:
            refuse_extras(context, contextual_tuples)
        if model is None or model_id is not None or at_least is not None:
            model = self.model_for(model_id, at_least)
        plan = self.asker(model, subject, &asker)
        self.target(model, relation_find(model, relation), relation, object, &asker, &node, &id)
        # From here on no Python code runs and the GIL is held, so nothing can be written or closed: the newest version needs no pin.
        version = state.version
        answer = state.ask_single(version, plan, asker.id, node, id)
        if answer == UNKNOWN:
            return self.check_long(version, plan, asker.id, node, id)
        return answer == YES

    cdef object check_long(self, Version version, Plan plan, uint32_t subject, uint32_t node, uint32_t id):
        """A question that a bounded walk does not answer: without the GIL, however long it takes."""
        cdef Checker checker = self.state.take()
        cdef bint answer
        checker.version = version
        try:
            self.state.begin(checker, plan, subject, False)
            with nogil:
                answer = ask(&checker.c, node, id)
            if checker.c.run.error:
                raise kernel_error(checker.c.run.error)
            return answer
        finally:
            self.state.give(checker)

    cdef ModelPlan model_for(self, object model_id, object at_least):
        """The model asked for, or the newest; the store open, and as new as asked."""
        if not self.state.open:
            raise StoreError("the engine is closed", code="closed")
        if at_least is not None:
            self.fresh(at_least)
        return self.state.plan(model_id)

    def check_objects(self, subject, relation, objects, *, context=None, contextual_tuples=(), model_id=None, at_least=None):
        """Whether `subject` holds `relation` on each of `objects`: a list of bool, in their order, all of one revision.

        A bad item raises its error, with its position in `.index`; nothing is answered then.
        """
        cdef AskerC asker
        cdef ModelPlan model
        cdef Plan plan
        cdef Checker checker
        cdef Py_ssize_t i, count
        cdef int symbol
        cdef list items
        cdef uint32_t* nodes = NULL
        cdef uint32_t* ids = NULL
        cdef uint8_t* answers = NULL
        cdef Py_ssize_t failed
        if context is not None or contextual_tuples is not NOTHING:
            refuse_extras(context, contextual_tuples)
        items = batch_items(objects, "objects")
        count = PyList_GET_SIZE(items)
        checker = self.state.take()
        try:
            model = self.state.plan(model_id)
            if at_least is not None:
                self.fresh(at_least)
            plan = self.asker(model, subject, &asker)
            symbol = relation_find(model, relation)
            nodes = <uint32_t*>malloc(9 * <size_t>(count + 1))
            if nodes == NULL:
                raise MemoryError()
            ids = nodes + count
            answers = <uint8_t*>(ids + count)
            for i in range(count):
                try:
                    self.target(model, symbol, relation, <object>PyList_GET_ITEM(items, i), &asker, &nodes[i], &ids[i])
                except FgaError as error:
                    error.index = i
                    raise
            self.state.begin(checker, plan, asker.id, count >= BUILD_ITEMS)
            if count >= NOGIL_ITEMS:
                with nogil:
                    failed = answer_many(checker, nodes, ids, count, answers)
            else:
                failed = answer_many(checker, nodes, ids, count, answers)
            if failed >= 0:
                raised = kernel_error(checker.c.run.error)
                raised.index = failed
                raise raised
            self.state.checks += count
            return [answers[i] != 0 for i in range(count)]
        finally:
            self.state.give(checker)
            free(nodes)

    def batch_check(self, questions, *, context=None, contextual_tuples=(), model_id=None, at_least=None):
        """Answers to many questions, triples or `fgacore.Question`, all of one revision: a BatchResult, in their order.

        An item in error reads False and has its error in `.errors`, by index; the others are answered.
        """
        cdef AskerC asker
        cdef ModelPlan model
        cdef Plan plan = None
        cdef Checker checker
        cdef Py_ssize_t i, count
        cdef uint32_t node = 0, id = 0
        cdef bint answer, begun = False
        cdef object subject, relation, object, asked = None, item
        cdef list items, answers
        cdef dict errors = {}
        if context is not None or contextual_tuples is not NOTHING:
            refuse_extras(context, contextual_tuples)
        items = batch_items(questions, "questions")
        count = PyList_GET_SIZE(items)
        checker = self.state.take()
        try:
            model = self.state.plan(model_id)
            if at_least is not None:
                self.fresh(at_least)
            answers = [False] * count
            for i in range(count):
                item = <object>PyList_GET_ITEM(items, i)
                try:
                    if type(item) is tuple and len(<tuple>item) == 3:
                        subject, relation, object = <tuple>item
                    elif isinstance(item, Question):
                        refuse_extras(item.context, item.contextual_tuples)
                        subject, relation, object = item.subject, item.relation, item.object
                    else:
                        raise RequestError("a question is a triple (subject, relation, object) or a fgacore.Question")
                    if plan is None or subject is not asked:
                        asked = None
                        plan = self.asker(model, subject, &asker)
                        asked = subject
                        begun = False
                    self.target(model, relation_find(model, relation), relation, object, &asker, &node, &id)
                    if not begun:
                        self.state.begin(checker, plan, asker.id, False)
                        begun = True
                    checker.c.run.visited_max = checker.c.run.visited + self.state.visited_max
                    answer = ask(&checker.c, node, id)
                    if checker.c.run.error:
                        begun = False
                        raise kernel_error(checker.c.run.error)
                    answers[i] = answer
                except FgaError as error:
                    error.index = i
                    errors[i] = error
            self.state.checks += count
        finally:
            self.state.give(checker)
        return BatchResult(answers, errors)

    def check_ids(self, subject_id, relation, object_ids, *, subject_type, object_type, out=None, context=None, contextual_tuples=(), model_id=None,
                  at_least=None):
        """The same as check_objects over ids (`Engine.ids`), without a text touched: a bool array, in their order.

        object_ids: a C-contiguous one-dimensional numpy array of uint32. out: a bool (or uint8) array of the same length to write into and return.
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
        cdef const uint32_t* ids
        if context is not None or contextual_tuples is not NOTHING:
            refuse_extras(context, contextual_tuples)
        checker = self.state.take()
        try:
            model = self.state.plan(model_id)
            if at_least is not None:
                self.fresh(at_least)
            plan = self.asker_by_id(model, subject_id, subject_type, &asker)
            symbol = relation_find(model, relation)
            kind = model.types.get(object_type) if isinstance(object_type, str) else None
            if kind is None:
                raise RequestError(f"the model has no type `{object_type}`", code="type_not_found")
            node = model.node_find(kind, symbol) if symbol >= 0 else 0xFFFFFFFFU
            if node == 0xFFFFFFFFU:
                raise RequestError(f"the type `{object_type}` has no relation `{relation}`", code="relation_not_found")
            array_get(object_ids, &objects, b"I", "object_ids", False)
            try:
                count = objects.shape[0]
                if count > batch_max:
                    raise LimitError(f"a batch of more than {batch_max} items (BATCH_ITEMS_MAX)")
                if out is None:
                    out = numpy.empty(count, numpy.bool_)
                array_get(out, &answers, b"?B", "out", True)
                try:
                    if answers.shape[0] != count:
                        raise RequestError("`out` has another length than `object_ids`")
                    self.state.begin(checker, plan, asker.id, count >= BUILD_ITEMS)
                    ids = <const uint32_t*>objects.buf
                    if count >= NOGIL_ITEMS:
                        with nogil:
                            failed = answer_ids(checker, node, ids, count, <uint8_t*>answers.buf)
                    else:
                        failed = answer_ids(checker, node, ids, count, <uint8_t*>answers.buf)
                    if failed >= 0:
                        raised = kernel_error(checker.c.run.error)
                        raised.index = failed
                        raise raised
                finally:
                    PyBuffer_Release(&answers)
            finally:
                PyBuffer_Release(&objects)
            self.state.checks += count
        finally:
            self.state.give(checker)
        return out

    cdef Plan asker_by_id(self, ModelPlan model, object subject_id, object subject_type, AskerC* asker):
        """The plan and id for a kind of subject given as text: `user`, `team#member`, `user:*`."""
        cdef object relation = None
        cdef bint wildcard = False
        if not isinstance(subject_type, str):
            raise RequestError("the subject_type is not a text", code="invalid_subject")
        name = subject_type
        if name.endswith(":*"):
            name, wildcard = name.removesuffix(":*"), True
        elif "#" in name:
            name, _, relation = name.partition("#")
        kind = model.types.get(name)
        if kind is None:
            raise RequestError(f"the model has no type `{name}`", code="type_not_found")
        asker.ghost = NULL
        asker.ghost_length = 0
        if wildcard:
            asker.id = 0
            return model.plan_of((kind, None, True))
        if relation is not None:
            symbol = model.relations.get(relation)
            if symbol is None or model.node_find(kind, symbol) == 0xFFFFFFFFU:
                raise RequestError(f"the type `{name}` has no relation `{relation}`", code="relation_not_found")
            relation = symbol
        try:
            number = subject_id.__index__()
        except AttributeError:
            raise RequestError("the subject_id is not an integer", code="invalid_subject") from None
        if number != NONE and not 0 <= number < self.state.names.count_of(kind):
            raise RequestError(f"no id `{number}` of the type `{name}`", code="invalid_subject")
        asker.id = number
        return model.plan_of((kind, relation, False))

    cdef int fresh(self, object at_least) except -1:
        if not isinstance(at_least, int):
            raise RequestError("at_least is not a revision")
        if at_least > self.state.version.revision:
            raise StoreError(f"revision {at_least} is wanted, {self.state.version.revision} is the newest here", code="stale")
        return 0

    def subject_parts(self, subject):
        """(type, relation of a userset or None, whether it is a wildcard, the whole name of the object part) of a well-formed subject."""
        cdef ShapeC shape
        cdef Py_ssize_t length = 0
        cdef const char* text = text_of(subject, &length, "subject")
        cdef int kind = shape_read(text, length, &shape)
        if kind == SHAPE_BAD:
            raise refuse("subject", subject)
        relation = text[shape.end + 1:length].decode() if kind == SHAPE_USERSET else None
        return text[:shape.colon].decode(), relation, kind == SHAPE_WILDCARD, text[:shape.end].decode()

    # ---- ids and names ----

    def ids(self, type, names):
        """The ids of names of one type, given by the part after the colon: a uint32 array; fgacore.NONE for what nothing mentions."""
        cdef const NameC* entry
        cdef Py_ssize_t i, length = 0
        cdef const char* text
        cdef list items = batch_items(names, "names")
        cdef uint32_t[::1] view
        if not self.state.open:
            raise StoreError("the engine is closed", code="closed")
        prefix = self.type_of(type) and type + ":"
        out = numpy.empty(len(items), numpy.uint32)
        view = out
        for i in range(len(items)):
            item = items[i]
            if not isinstance(item, str):
                raise RequestError("the object is not a text", code="invalid_object", index=i)
            whole = prefix + item
            text = text_of(whole, &length, "object")
            entry = names_find(&self.state.names.c, text, <uint32_t>length) if length < 65536 else NULL
            view[i] = entry.id if entry != NULL else NONE
        return out

    def names(self, type, ids):
        """The parts after the colon of the names of ids of one type: a list of str, None for an id that was never given."""
        cdef const NameC* entry
        cdef uint32_t[::1] view
        cdef Py_ssize_t i
        cdef Py_ssize_t prefix = 0
        if not self.state.open:
            raise StoreError("the engine is closed", code="closed")
        self.type_of(type)
        symbol = self.state.symbols.types.get(type)
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
            entry = self.state.names.of(symbol, view[i]) if symbol is not None else NULL
            out.append(None if entry == NULL else (<const char*>(entry + 1))[prefix:entry.length].decode("utf-8"))
        return out

    cdef bint type_of(self, object type) except -1:
        """True for a type that a model of the store has; else an error."""
        if not isinstance(type, str):
            raise RequestError("the type is not a text", code="type_not_found")
        if type not in self.state.symbols.types:
            raise RequestError(f"no model has a type `{type}`", code="type_not_found")
        return True


cdef list batch_items(object items, str what):
    """A batch as a list, bounded; a text is not a list of its letters."""
    cdef list out
    if type(items) is list:
        out = <list>items
    elif isinstance(items, (str, bytes)) or not hasattr(items, "__iter__"):
        raise RequestError(f"`{what}` is not a list")
    else:
        out = []
        for item in items:
            if len(out) >= batch_max:
                break
            out.append(item)
        else:
            return out
        raise LimitError(f"a batch of more than {batch_max} items (BATCH_ITEMS_MAX)")
    if len(out) > batch_max:
        raise LimitError(f"a batch of more than {batch_max} items (BATCH_ITEMS_MAX)")
    return out


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


cdef Py_ssize_t answer_many(Checker checker, const uint32_t* nodes, const uint32_t* ids, Py_ssize_t count, uint8_t* answers) noexcept nogil:
    """Answer each, in groups that ask for the same node; an index in the first group that failed, or -1."""
    cdef Py_ssize_t i = 0, n
    cdef uint64_t bound = checker.c.run.visited_max
    while i < count:
        n = 1
        while n < SWEEP and i + n < count and nodes[i + n] == nodes[i]:
            n += 1
        checker.c.run.visited_max = checker.c.run.visited + n * bound
        sweep(&checker.c, nodes[i], ids + i, <uint32_t>n, answers + i)
        if checker.c.run.error:
            return i
        i += n
    return -1


cdef Py_ssize_t answer_ids(Checker checker, uint32_t node, const uint32_t* ids, Py_ssize_t count, uint8_t* answers) noexcept nogil:
    cdef Py_ssize_t i = 0, n
    cdef uint64_t bound = checker.c.run.visited_max
    while i < count:
        n = min(<Py_ssize_t>SWEEP, count - i)
        checker.c.run.visited_max = checker.c.run.visited + n * bound
        sweep(&checker.c, node, ids + i, <uint32_t>n, answers + i)
        if checker.c.run.error:
            return i
        i += n
    return -1
