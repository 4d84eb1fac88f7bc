"""See resolve.pxd. Nothing here interns a name or changes the store."""

from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcmp, memset

from cpython.ref cimport PyObject

from fgacore.errors import LimitError, RequestError, quote
from fgacore.kernel.grants cimport NEVER
from fgacore.kernel.names cimport FIND_MANY, fga_hash, fga_same, names_find, names_find_many
from fgacore.kernel.plan cimport ADMIT_WILDCARD, NO_NODE, NO_TABLE, NO_TYPE, admission_key, relation_find
from fgacore.kernel.sets cimport NONE
from fgacore.runtime.clock cimport instant_of
from fgacore.runtime.conditions cimport Conditions
from fgacore.runtime.context cimport context_stored
from fgacore.runtime.text cimport SHAPE_BAD, SHAPE_PLAIN, SHAPE_USERSET, SHAPE_WILDCARD, ShapeC, fga_ascii, refuse, shape_read, text_of
from fgacore.store.lines cimport TextC, TextLot
from fgacore.tuples import Tuple

cdef extern from "Python.h":
    PyObject* PyTuple_GET_ITEM(object items, Py_ssize_t i)

cdef tuple ROW = ("", "", "")    # of a row whose texts are not needed unless it is refused


cdef class Resolver:
    """From the tuples of one call to changes of tables."""

    def __cinit__(self, State state not None):
        self.state = state
        self.names = state.version.names
        self.member_name = b""
        self.kept = []

    def __dealloc__(self):
        cdef uint32_t i
        for i in range(self.extra_count):
            free(<void*>self.extras[i].context)
        free(self.extras)
        free(self.fresh.items)
        free(self.fresh.slots)

    cdef ExtraC* extra(self, ChangeC* change) except NULL:
        """Room for what is stored with a tuple beyond its names, made at first need."""
        cdef void* grown
        if change.extra == 0:
            if self.extra_count == self.extra_room:
                grown = realloc(self.extras, sizeof(ExtraC) * (2 * <size_t>self.extra_room + 16))
                if grown == NULL:
                    raise MemoryError()
                self.extras = <ExtraC*>grown
                self.extra_room = 2 * self.extra_room + 16
            self.extras[self.extra_count].expires = NEVER
            self.extras[self.extra_count].context = NULL
            self.extras[self.extra_count].replaced = NO_TABLE
            self.extra_count += 1
            change.extra = self.extra_count
        return &self.extras[change.extra - 1]

    cdef int resolve_extra(self, object item, object condition, ChangeC* change) except -1:
        """The context and expiry of a fgacore.Tuple."""
        cdef const ContextC* context
        cdef object given = item.context, expires = item.expires_at
        if given is not None and condition is None:
            raise RequestError("a tuple with a context and no condition", code="invalid_tuple")
        if given is not None:
            context = context_stored(self.condition_parameters, given)   # of the condition that resolve_write has just met
            if context.raw_size <= 1:            # an empty map
                free(<void*>context)
            else:
                try:
                    self.extra(change).context = context
                except:
                    free(<void*>context)
                    raise
        if expires is not None:
            self.extra(change).expires = instant_of(expires)
        return 0

    cdef tuple parts(self, item, Py_ssize_t index):
        """The three texts of an item."""
        if type(item) is tuple and len(<tuple>item) == 3:
            return <tuple>item
        if isinstance(item, Tuple):
            return item.subject, item.relation, item.object
        raise RequestError("a tuple is a triple (subject, relation, object) or a fgacore.Tuple", code="invalid_tuple", index=index)

    cdef int resolve_writes(self, list writes, Py_ssize_t first, Py_ssize_t end, ModelPlan model, ChangeC* changes) except -1:
        """Up to FIND_MANY writes. What names a plain subject and an object that are interned is looked up and no more; the rest is read with care."""
        cdef const char* texts[FIND_MANY]
        cdef uint32_t lengths[FIND_MANY]
        cdef const NameC* subjects[FIND_MANY]
        cdef const NameC* objects[FIND_MANY]
        cdef PyObject* parts[FIND_MANY]
        cdef Py_ssize_t i, length = 0
        cdef uint32_t n = <uint32_t>(end - first)
        cdef object item, condition
        cdef uint64_t key
        cdef ChangeC* change
        cdef bint plain[FIND_MANY]   # its names say all
        cdef PyObject* conditions[FIND_MANY]
        for i in range(n):
            item = writes[first + i]
            changes[first + i].extra = 0
            changes[first + i].how = HOW_ADD
            plain[i] = True
            conditions[i] = <PyObject*>None
            if type(item) is not tuple or len(<tuple>item) != 3:
                triple = self.parts(item, first + i)
                self.kept.append(triple)
                condition = item.condition
                if condition is not None:
                    self.kept.append(condition)
                    conditions[i] = <PyObject*>condition
                    plain[i] = False
                elif item.context is not None or item.expires_at is not None:
                    plain[i] = False
                item = triple
            parts[i] = <PyObject*>item
            texts[i] = fga_ascii(PyTuple_GET_ITEM(item, 0), &length)
            lengths[i] = <uint32_t>length if texts[i] != NULL and length < 65536 else 0
            if lengths[i] == 0:
                texts[i] = b""
        names_find_many(&self.names.c, texts, lengths, n, subjects)
        for i in range(n):
            texts[i] = fga_ascii(PyTuple_GET_ITEM(<object>parts[i], 2), &length)
            lengths[i] = <uint32_t>length if texts[i] != NULL and length < 65536 else 0
            if lengths[i] == 0:
                texts[i] = b""
        names_find_many(&self.names.c, texts, lengths, n, objects)
        for i in range(n):
            change = &changes[first + i]
            condition = <object>conditions[i]
            change.table = NO_TABLE
            if subjects[i] != NULL and objects[i] != NULL and <object>PyTuple_GET_ITEM(<object>parts[i], 1) is model.asked_relation:
                key = admission_key(objects[i].type, <uint32_t>model.asked_symbol, subjects[i].type, 0)
                if condition is None:
                    change.table = model.admission(key)
                elif condition is self.condition and key == self.condition_key and model is self.condition_model:
                    change.table = self.condition_table
                change.object = objects[i].id
                change.subject = subjects[i].id
                change.subject_type = subjects[i].type
            if change.table != NO_TABLE and plain[i]:
                continue
            try:
                if change.table == NO_TABLE:
                    self.resolve_write(<object>parts[i], model, condition, change)
                if not plain[i]:
                    self.resolve_extra(writes[first + i], condition, change)
            except (RequestError, LimitError) as error:
                error.index = first + i
                raise
        return 0

    cdef int resolve_texts(self, TextLot lot, ModelPlan model, ChangeC* changes) except -1:
        """Every row of a lot, in the same way: a relation is the same as in the row before, or is looked up."""
        cdef const char* texts[FIND_MANY]
        cdef uint32_t lengths[FIND_MANY]
        cdef const NameC* subjects[FIND_MANY]
        cdef const NameC* objects[FIND_MANY]
        cdef const TextC* row
        cdef TextC last
        cdef object relation = None
        cdef Py_ssize_t first, i
        cdef uint32_t n
        cdef int symbol = -1
        cdef ChangeC* change
        last.length = 0
        for first in range(0, lot.count, FIND_MANY):
            n = <uint32_t>min(FIND_MANY, lot.count - first)
            for i in range(n):
                texts[i] = lot.items[3 * (first + i)].text
                lengths[i] = lot.items[3 * (first + i)].length if lot.items[3 * (first + i)].length < 65536 else 0
            names_find_many(&self.names.c, texts, lengths, n, subjects)
            for i in range(n):
                texts[i] = lot.items[3 * (first + i) + 2].text
                lengths[i] = lot.items[3 * (first + i) + 2].length if lot.items[3 * (first + i) + 2].length < 65536 else 0
            names_find_many(&self.names.c, texts, lengths, n, objects)
            for i in range(n):
                row = &lot.items[3 * (first + i)]
                change = &changes[first + i]
                change.extra = 0
                change.how = HOW_ADD
                change.table = NO_TABLE
                if relation is None or row[1].length != last.length or memcmp(row[1].text, last.text, last.length) != 0:
                    last = row[1]
                    relation = row[1].text[:row[1].length].decode()
                    symbol = relation_find(model, relation)
                if subjects[i] != NULL and objects[i] != NULL and symbol >= 0:
                    change.table = model.admission(admission_key(objects[i].type, <uint32_t>symbol, subjects[i].type, 0))
                    change.object = objects[i].id
                    change.subject = subjects[i].id
                    change.subject_type = subjects[i].type
                if change.table == NO_TABLE:
                    try:
                        self.resolve_names(row[0].text, row[0].length, relation, row[2].text, row[2].length, model, None, ROW, change)
                    except (RequestError, LimitError):
                        try:
                            self.resolve_write(lot.triple(first + i), model, None, change)      # the same, and it says which tuple
                        except (RequestError, LimitError) as error:
                            error.index = first + i
                            raise
                        raise
        return 0

    cdef int resolve_write(self, object parts, ModelPlan model, object condition, ChangeC* change) except -1:
        cdef Py_ssize_t object_length = 0, subject_length = 0
        cdef const char* subject_text = text_of(<object>PyTuple_GET_ITEM(parts, 0), &subject_length, "subject")
        cdef const char* object_text = text_of(<object>PyTuple_GET_ITEM(parts, 2), &object_length, "object")
        return self.resolve_names(
            subject_text, subject_length, <object>PyTuple_GET_ITEM(parts, 1), object_text, object_length, model, condition, parts, change)

    cdef int resolve_names(
            self, const char* subject_text, Py_ssize_t subject_length, object given_relation, const char* object_text, Py_ssize_t object_length,
            ModelPlan model, object condition, object parts, ChangeC* change) except -1:
        """The table and ids of one tuple; `parts` are its three texts, for messages."""
        cdef ShapeC object_shape, subject_shape
        cdef int kind = shape_read(subject_text, subject_length, &subject_shape)
        cdef uint32_t type, subject_type, member = 0
        cdef int relation
        cdef Conditions conditions
        if kind == SHAPE_BAD:
            raise refuse("subject", parts[0])
        if shape_read(object_text, object_length, &object_shape) != SHAPE_PLAIN:
            raise refuse("object", parts[2])
        relation = relation_find(model, given_relation)
        type = model.type_find(object_text, object_shape.colon)
        if type == NO_TYPE:
            raise type_missing(object_text[:object_shape.colon].decode())
        if relation < 0 or model.node_find(type, <uint32_t>relation) == NO_NODE:
            raise relation_missing(object_text[:object_shape.colon].decode(), parts[1])
        subject_type = model.type_find(subject_text, subject_shape.colon)
        if subject_type == NO_TYPE:
            raise type_missing(subject_text[:subject_shape.colon].decode())
        if kind == SHAPE_WILDCARD:
            member = ADMIT_WILDCARD
        elif kind == SHAPE_USERSET:
            member = self.member(model, subject_type, subject_text, &subject_shape) + 1
            if not self.contextual and member == <uint32_t>relation + 1 and subject_shape.end == object_length and memcmp(subject_text, object_text, object_length) == 0:
                raise RequestError(f"the tuple {shown(parts)} says what holds anyway", code="invalid_tuple")
        change.table = NO_TABLE
        if condition is None:
            change.table = model.admission(admission_key(type, <uint32_t>relation, subject_type, member))
        elif condition is self.condition and model is self.condition_model and (
                self.condition_key == admission_key(type, <uint32_t>relation, subject_type, member)):
            change.table = self.condition_table
        else:
            if not isinstance(condition, str):
                raise RequestError("the condition is not a text", code="condition_not_found")
            given = condition
            condition = str.__str__(condition)
            conditions = model.conditions
            if conditions is None or condition not in conditions.numbers:
                raise RequestError(f"the model has no condition {quote(condition)}", code="condition_not_found")
            table = model.conditioned.get((
                type, relation, (subject_type, member - 1 if kind == SHAPE_USERSET else None, kind == SHAPE_WILDCARD), condition))
            if table is not None:
                change.table = table
                self.condition, self.condition_model, self.condition_table = given, model, change.table
                self.condition_parameters = conditions.parameters[conditions.numbers[condition]]
                self.condition_key = admission_key(type, <uint32_t>relation, subject_type, member)
        if change.table == NO_TABLE:
            under = "without a condition" if condition is None else f"with the condition {quote(condition)}"
            raise RequestError(f"the model does not admit {shown(parts)} {under}", code="invalid_tuple")
        change.subject = 0
        change.subject_type = subject_type if kind == SHAPE_PLAIN else NO_TYPE
        if kind != SHAPE_WILDCARD:
            change.subject = self.name_id(subject_text, subject_shape.end, subject_type)
        change.object = self.name_id(object_text, <uint32_t>object_length, type)
        return 0

    cdef uint32_t member(self, ModelPlan model, uint32_t type, const char* text, const ShapeC* shape) except? 0xFFFFFFFFU:
        """The symbol of the relation of a userset; the one read last is remembered, as writes come in runs."""
        cdef uint32_t length = shape.length - shape.end - 1
        cdef object name
        if self.member_model is not model or self.member_type != type or len(self.member_name) != length or memcmp(
                <const char*>self.member_name, text + shape.end + 1, length) != 0:
            name = text[shape.end + 1:shape.length].decode()
            symbol = model.relations.get(name)
            if symbol is None or model.node_find(type, symbol) == NO_NODE:
                raise relation_missing(text[:shape.colon].decode(), name)
            self.member_model, self.member_type, self.member_symbol, self.member_name = model, type, symbol, text[shape.end + 1:shape.length]
        return self.member_symbol

    cdef int resolve_delete(self, item, Py_ssize_t index, ChangeC* change) except -1:
        """A key to delete: any well-formed names; of no table where the store has none that could hold it."""
        cdef tuple parts = self.parts(item, index)
        cdef ShapeC object_shape, subject_shape
        cdef Py_ssize_t object_length = 0, subject_length = 0
        cdef const char* object_text
        cdef const char* subject_text
        cdef int kind
        symbols = self.state.symbols
        if parts is not item:
            self.kept.append(parts)
        try:
            subject_text = text_of(parts[0], &subject_length, "subject")
            object_text = text_of(parts[2], &object_length, "object")
            kind = shape_read(subject_text, subject_length, &subject_shape)
            if kind == SHAPE_BAD:
                raise refuse("subject", parts[0])
            if shape_read(object_text, object_length, &object_shape) != SHAPE_PLAIN:
                raise refuse("object", parts[2])
            if not isinstance(parts[1], str):
                raise RequestError("the relation is not a text", code="invalid_relation")
            name = str.__str__(parts[1])
        except RequestError as error:
            error.index = index
            raise
        member = None
        relation = symbols.relations.get(name)
        if kind == SHAPE_USERSET:
            member = symbols.relations.get(subject_text[subject_shape.end + 1:subject_length].decode(), -1)
        subject_symbol = symbols.types.get(subject_text[:subject_shape.colon].decode())
        siblings = symbols.siblings.get((
            symbols.types.get(object_text[:object_shape.colon].decode()), relation, (subject_symbol, member, kind == SHAPE_WILDCARD)))
        change.subject_type = NO_TYPE if subject_symbol is None or kind != SHAPE_PLAIN else subject_symbol
        change.table = NO_TABLE
        if siblings is not None and siblings[0] < self.state.sibling_count:      # a model that could not be published leaves numbers behind
            change.table = siblings[0]
        change.extra = 0
        change.how = HOW_ADD
        change.subject = 0
        change.object = self.name_id(object_text, <uint32_t>object_length, NO_TYPE)
        if kind != SHAPE_WILDCARD:
            change.subject = self.name_id(subject_text, subject_shape.end, NO_TYPE)
        return 0

    cdef uint32_t name_id(self, const char* text, uint32_t length, uint32_t type) except? 0xFFFFFFFFU:
        """The id of a name, or the provisional number of one that would be new."""
        cdef const NameC* entry = names_find(&self.names.c, text, length)
        if entry != NULL:
            return entry.id
        return PROVISIONAL | new_name(&self.names.c, &self.fresh, text, length, type)


cdef object type_missing(str type):
    return RequestError(f"the model has no type {quote(type)}", code="type_not_found")


cdef object relation_missing(str type, object relation):
    return RequestError(f"the type {quote(type)} has no relation {quote(relation)}", code="relation_not_found")


cdef object shown_at(object items, Py_ssize_t i):
    """One of a list of tuples, or of a TextLot, as its three texts."""
    return shown((<TextLot>items).triple(i) if isinstance(items, TextLot) else items[i])


cdef object shown(object item):
    """A tuple as its three texts."""
    parts = item if isinstance(item, tuple) else (item.subject, item.relation, item.object)
    return " ".join([quote(part) for part in parts])


cdef uint32_t new_name_find(const NamesC* names, const NewNamesC* fresh, const char* text, uint32_t length) noexcept:
    """The provisional id of a name that is new in a call; NONE: it is not."""
    cdef uint64_t hash, at
    cdef uint32_t i
    if fresh.count == 0:
        return NONE
    hash = fga_hash(names.seed, text, length)
    at = hash & fresh.mask
    while fresh.slots[at]:
        i = fresh.slots[at] - 1
        if fresh.items[i].hash == hash and fresh.items[i].length == length and fga_same(fresh.items[i].text, text, length):
            return PROVISIONAL | i
        at = (at + 1) & fresh.mask
    return NONE


cdef uint32_t new_name(const NamesC* names, NewNamesC* fresh, const char* text, uint32_t length, uint32_t type) except? 0xFFFFFFFFU:
    """The number of a new name within the call."""
    cdef uint64_t hash = fga_hash(names.seed, text, length), at, mask
    cdef uint32_t i
    cdef uint32_t* slots
    cdef void* grown
    if 2 * <uint64_t>(fresh.count + 1) > fresh.mask:
        mask = 4 * (fresh.mask + 1) - 1 if fresh.mask else 15
        slots = <uint32_t*>calloc(mask + 1, 4)
        if slots == NULL:
            raise MemoryError()
        for i in range(fresh.count):
            at = fresh.items[i].hash & mask
            while slots[at]:
                at = (at + 1) & mask
            slots[at] = i + 1
        free(fresh.slots)
        fresh.slots = slots
        fresh.mask = mask
    at = hash & fresh.mask
    while fresh.slots[at]:
        i = fresh.slots[at] - 1
        if fresh.items[i].hash == hash and fresh.items[i].length == length and fga_same(fresh.items[i].text, text, length):
            if fresh.items[i].type == NO_TYPE:
                fresh.items[i].type = type
            return i
        at = (at + 1) & fresh.mask
    if fresh.count == fresh.room:
        grown = realloc(fresh.items, sizeof(NewNameC) * (2 * <size_t>fresh.room + 16))
        if grown == NULL:
            raise MemoryError()
        fresh.items = <NewNameC*>grown
        fresh.room = 2 * fresh.room + 16
    fresh.items[fresh.count].text = text
    fresh.items[fresh.count].length = length
    fresh.items[fresh.count].type = type
    fresh.items[fresh.count].hash = hash
    fresh.slots[at] = fresh.count + 1
    fresh.count += 1
    return fresh.count - 1
