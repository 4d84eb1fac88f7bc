"""See writes.pxd."""

from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memcpy, memset

from cpython.ref cimport PyObject

from fgacore.errors import LimitError, RequestError, quote
from fgacore.kernel.memory cimport pointers_add, pointers_free
from fgacore.kernel.names cimport FIND_MANY, fga_hash, fga_same, names_find, names_find_many
from fgacore.kernel.plan cimport ADMIT_WILDCARD, NO_NODE, NO_TABLE, NO_TYPE, ModelPlan, Plan, admission_key, relation_find
from fgacore.kernel.tables cimport Edit, Version
from fgacore.kernel.view cimport cache_drop
from fgacore.limits import WRITE_TUPLES_MAX
from fgacore.runtime.text cimport SHAPE_BAD, SHAPE_PLAIN, SHAPE_USERSET, SHAPE_WILDCARD, ShapeC, fga_ascii, refuse, shape_read, text_of
from fgacore.tuples import Tuple

cdef extern from "Python.h":
    PyObject* PyTuple_GET_ITEM(object items, Py_ssize_t i)

cdef enum:
    SORT_FROM = 64               # tuples of a call from which they are sorted into their tables


cdef class Writer:
    """The writes of one store. The caller holds the store's write lock through every call."""

    cdef State state
    cdef ModelPlan member_model  # the userset's relation read last: of which model and type, its bytes and its symbol
    cdef uint32_t member_type
    cdef uint32_t member_symbol
    cdef bytes member_name
    cdef set structural          # tables that shape closures and parents under any model of the store: usersets, wildcards, parents

    def __cinit__(self, State state not None):
        self.state = state
        self.structural = set()
        self.member_name = b""

    def add_model(self, ModelPlan model not None, set structural not None):
        """Make a model the newest, in a revision of its own. structural: its tables that shape closures and parents. Returns the revision."""
        cdef Edit edit = Edit(self.state.version, self.state.serial + 1, len(self.state.symbols.tables))
        cdef Version version
        self.structural |= structural
        self.state.models[model.model_id] = model
        try:
            version = self.publish(edit, True)
        except:
            del self.state.models[model.model_id]
            raise
        self.state.model = model
        self.state.version = version
        return version.revision

    cdef Version publish(self, Edit edit, bint structural):
        """The next version. Arrays that the names replaced go with the version before."""
        cdef size_t i
        cdef Version version
        for i in range(self.state.names.retired.count):
            pointers_add(&edit.c.retired, self.state.names.retired.items[i])
        version = edit.publish(self.state.version.revision + 1, structural)
        pointers_free(&self.state.names.retired, False)
        self.state.serial = version.serial
        return version

    def write(self, list writes not None, list deletes not None, bint ignore_duplicate, bint ignore_missing, model_id=None):
        """Apply deletes, then writes, all or nothing. Returns (revision, tuples written, tuples deleted).

        Writes are held to the model; deletes only to the shape of names. The same key twice in one call is refused.
        """
        cdef ModelPlan model = None
        cdef Py_ssize_t n_writes = len(writes), n_deletes = len(deletes), total = n_writes + n_deletes, i
        cdef ChangeC* changes = NULL
        cdef NewNamesC fresh
        cdef Version version = self.state.version
        cdef Edit edit
        cdef uint64_t written = 0, deleted = 0
        cdef bint structural
        cdef list models
        cdef tuple result
        cdef Version newest
        cdef list kept = []          # texts that only this call holds, until they are interned
        cdef bint stored
        if total > WRITE_TUPLES_MAX:
            raise LimitError(f"a write of more than {WRITE_TUPLES_MAX} tuples (WRITE_TUPLES_MAX)")
        if n_writes or model_id is not None:
            model = self.state.plan(model_id)
        memset(&fresh, 0, sizeof(fresh))
        changes = <ChangeC*>malloc(sizeof(ChangeC) * (total + 1))
        if changes == NULL:
            raise MemoryError()
        try:
            for i in range(n_deletes):
                self.resolve_delete(deletes[i], i, &changes[i], &fresh, kept)
            for i in range(0, n_writes, FIND_MANY):
                self.resolve_writes(writes, i, min(n_writes, i + FIND_MANY), model, changes + n_deletes, &fresh, kept)
            refuse_repeats(changes, total, n_deletes, writes, deletes)
            for i in range(total):
                stored = changes[i].table != NO_TABLE and (changes[i].object | changes[i].subject) & PROVISIONAL == 0 and version.has(
                    changes[i].table, changes[i].object, changes[i].subject)
                if i < n_deletes:
                    if not stored:
                        if not ignore_missing:
                            raise RequestError(f"the tuple {shown(deletes[i])} to delete is not stored", code="tuple_missing", index=i)
                        changes[i].table = NO_TABLE
                elif stored:
                    if not ignore_duplicate:
                        raise RequestError(f"the tuple {shown(writes[i - n_deletes])} is stored already", code="tuple_exists", index=i - n_deletes)
                    changes[i].table = NO_TABLE
            for i in range(total):
                if changes[i].table != NO_TABLE:
                    if i < n_deletes:
                        deleted += 1
                    else:
                        written += 1
            if not written and not deleted:
                return version.revision, 0, 0
            # From here on nothing can be refused; only memory can run out, and then the edit is let go and the names merely stay.
            self.intern(changes, total, &fresh)
            edit = Edit(version, self.state.serial + 1, len(self.state.symbols.tables))
            for i in range(n_deletes):
                if changes[i].table != NO_TABLE:
                    edit.remove(changes[i].table, changes[i].object, changes[i].subject)
            add_all(edit, changes + n_deletes, n_writes)
            for table in {changes[i].table for i in range(min(total, SORT_FROM))} if total <= SORT_FROM else range(edit.table_count):
                edit.settle(table)
            structural = self.shapes(changes, total)
            models = list(self.state.models.values())
            result = (version.revision + 1, written, deleted)
            newest = self.publish(edit, structural)
            # INVARIANT (no view outlives its version): from here to the end nothing is allocated, so nothing can fail, collect garbage or let the GIL go.
            self.state.version = newest
            self.drop_views(changes, total, models)
            return result
        finally:
            free(changes)
            free(fresh.items)
            free(fresh.slots)

    def merge(self):
        """Fold every delta into its base. The revision stays: nothing that is stored changes."""
        cdef Version version = self.state.version
        cdef Edit edit
        cdef uint32_t table
        if version.delta_count() == 0:
            return
        edit = Edit(version, self.state.serial + 1, version.table_count)
        for table in range(edit.table_count):
            edit.merge(table)
        self.state.version = edit.publish(version.revision, False)
        self.state.serial = self.state.version.serial

    cdef bint shapes(self, const ChangeC* changes, Py_ssize_t total) except -1:
        """Whether any change is of a structural table."""
        cdef Py_ssize_t i
        cdef uint32_t last = NO_TABLE
        for i in range(total):
            if changes[i].table != NO_TABLE and changes[i].table != last:
                last = changes[i].table
                if last in self.structural:
                    return True
        return False

    cdef void drop_views(self, const ChangeC* changes, Py_ssize_t total, list models) noexcept:
        """End the views of the plain subjects that were written about; structural changes end all views by the version's number."""
        cdef Py_ssize_t i
        cdef uint32_t type
        cdef ModelPlan model
        if self.state.cache.count == 0:
            return
        for i in range(total):
            if changes[i].table == NO_TABLE or changes[i].subject_type == NO_TYPE:
                continue
            type = changes[i].subject_type
            for model in models:
                if type < model.plain_count and model.plain_plans[type] != NULL:
                    cache_drop(&self.state.cache, (<Plan>model.plain_plans[type]).serial, changes[i].subject)

    # ---- from texts to changes ----

    cdef tuple parts(self, item, Py_ssize_t index):
        """The three texts of an item; what this engine cannot take into account is refused."""
        if type(item) is tuple and len(<tuple>item) == 3:
            return <tuple>item
        if isinstance(item, Tuple):
            if item.condition is not None or item.context is not None:
                raise RequestError("conditions on tuples are not supported yet", code="not_supported", index=index)
            if item.expires_at is not None:
                raise RequestError("expiry of tuples is not supported yet", code="not_supported", index=index)
            return item.subject, item.relation, item.object
        raise RequestError("a tuple is a triple (subject, relation, object) or a fgacore.Tuple", code="invalid_tuple", index=index)

    cdef int resolve_writes(self, list writes, Py_ssize_t first, Py_ssize_t end, ModelPlan model, ChangeC* changes, NewNamesC* fresh, list kept) except -1:
        """Up to FIND_MANY writes. What names a plain subject and an object that are interned is looked up and no more; the rest is read with care."""
        cdef const char* texts[FIND_MANY]
        cdef uint32_t lengths[FIND_MANY]
        cdef const NameC* subjects[FIND_MANY]
        cdef const NameC* objects[FIND_MANY]
        cdef PyObject* parts[FIND_MANY]
        cdef Py_ssize_t i, length = 0
        cdef uint32_t n = <uint32_t>(end - first)
        cdef object item
        cdef int relation
        for i in range(n):
            item = writes[first + i]
            if type(item) is not tuple or len(<tuple>item) != 3:
                item = self.parts(item, first + i)
                kept.append(item)
            parts[i] = <PyObject*>item
            texts[i] = fga_ascii(PyTuple_GET_ITEM(item, 0), &length)
            lengths[i] = <uint32_t>length if texts[i] != NULL and length < 65536 else 0
            if lengths[i] == 0:
                texts[i] = b""
        names_find_many(&self.state.names.c, texts, lengths, n, subjects)
        for i in range(n):
            texts[i] = fga_ascii(PyTuple_GET_ITEM(<object>parts[i], 2), &length)
            lengths[i] = <uint32_t>length if texts[i] != NULL and length < 65536 else 0
            if lengths[i] == 0:
                texts[i] = b""
        names_find_many(&self.state.names.c, texts, lengths, n, objects)
        for i in range(n):
            if subjects[i] != NULL and objects[i] != NULL:
                item = <object>PyTuple_GET_ITEM(<object>parts[i], 1)
                relation = model.asked_symbol if item is model.asked_relation else -1
                if relation >= 0:
                    changes[first + i].table = model.admission(admission_key(objects[i].type, <uint32_t>relation, subjects[i].type, 0))
                    if changes[first + i].table != NO_TABLE:
                        changes[first + i].object = objects[i].id
                        changes[first + i].subject = subjects[i].id
                        changes[first + i].subject_type = subjects[i].type
                        continue
            try:
                self.resolve_write(<object>parts[i], model, &changes[first + i], fresh)
            except RequestError as error:
                error.index = first + i
                raise
        return 0

    cdef int resolve_write(self, object parts, ModelPlan model, ChangeC* change, NewNamesC* fresh) except -1:
        cdef ShapeC object_shape, subject_shape
        cdef Py_ssize_t object_length = 0, subject_length = 0
        cdef const char* subject_text = text_of(<object>PyTuple_GET_ITEM(parts, 0), &subject_length, "subject")
        cdef const char* object_text = text_of(<object>PyTuple_GET_ITEM(parts, 2), &object_length, "object")
        cdef int kind = shape_read(subject_text, subject_length, &subject_shape)
        cdef uint32_t type, subject_type, member = 0
        cdef int relation
        if kind == SHAPE_BAD:
            raise refuse("subject", parts[0])
        if shape_read(object_text, object_length, &object_shape) != SHAPE_PLAIN:
            raise refuse("object", parts[2])
        relation = relation_find(model, <object>PyTuple_GET_ITEM(parts, 1))
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
            if member == <uint32_t>relation + 1 and subject_shape.end == object_length and memcmp(subject_text, object_text, object_length) == 0:
                raise RequestError(f"the tuple {shown(parts)} says what holds anyway", code="invalid_tuple")
        change.table = model.admission(admission_key(type, <uint32_t>relation, subject_type, member))
        if change.table == NO_TABLE:
            raise RequestError(f"the model does not admit {shown(parts)}", code="invalid_tuple")
        change.subject = 0
        change.subject_type = subject_type if kind == SHAPE_PLAIN else NO_TYPE
        if kind != SHAPE_WILDCARD:
            change.subject = self.name_id(subject_text, subject_shape.end, subject_type, fresh)
        change.object = self.name_id(object_text, <uint32_t>object_length, type, fresh)
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

    cdef int resolve_delete(self, item, Py_ssize_t index, ChangeC* change, NewNamesC* fresh, list kept) except -1:
        """A key to delete: any well-formed names; of no table where the store has none that could hold it."""
        cdef tuple parts = self.parts(item, index)
        cdef ShapeC object_shape, subject_shape
        cdef Py_ssize_t object_length = 0, subject_length = 0
        cdef const char* object_text
        cdef const char* subject_text
        cdef int kind
        symbols = self.state.symbols
        if parts is not item:
            kept.append(parts)
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
        table = symbols.tables.get((
            symbols.types.get(object_text[:object_shape.colon].decode()), relation, (subject_symbol, member, kind == SHAPE_WILDCARD), ""))
        change.subject_type = NO_TYPE if subject_symbol is None or kind != SHAPE_PLAIN else subject_symbol
        change.table = NO_TABLE if table is None else table
        change.subject = 0
        change.object = self.name_id(object_text, <uint32_t>object_length, NO_TYPE, fresh)
        if kind != SHAPE_WILDCARD:
            change.subject = self.name_id(subject_text, subject_shape.end, NO_TYPE, fresh)
        return 0

    cdef uint32_t name_id(self, const char* text, uint32_t length, uint32_t type, NewNamesC* fresh) except? 0xFFFFFFFFU:
        """The id of a name, or the provisional number of one that would be new."""
        cdef const NameC* entry = names_find(&self.state.names.c, text, length)
        if entry != NULL:
            return entry.id
        return PROVISIONAL | new_name(&self.state.names.c, fresh, text, length, type)

    cdef int intern(self, ChangeC* changes, Py_ssize_t total, NewNamesC* fresh) except -1:
        """Intern the new names of what is written, in the order of the call, subject before object; put their ids in place of the numbers."""
        cdef Py_ssize_t i
        cdef uint32_t k
        if fresh.count == 0:
            return 0
        for k in range(fresh.count):
            fresh.items[k].id = 0xFFFFFFFFU
        for i in range(total):
            if changes[i].table == NO_TABLE:
                continue
            if changes[i].subject & PROVISIONAL:
                changes[i].subject = self.intern_one(&fresh.items[changes[i].subject & ~<uint32_t>PROVISIONAL])
            if changes[i].object & PROVISIONAL:
                changes[i].object = self.intern_one(&fresh.items[changes[i].object & ~<uint32_t>PROVISIONAL])
        return 0

    cdef uint32_t intern_one(self, NewNameC* name) except? 0xFFFFFFFFU:
        if name.id == 0xFFFFFFFFU:
            name.id = self.state.names.intern(name.text, name.length, <unsigned short>name.type).id
        return name.id


cdef object type_missing(str type):
    return RequestError(f"the model has no type {quote(type)}", code="type_not_found")


cdef object relation_missing(str type, object relation):
    return RequestError(f"the type {quote(type)} has no relation {quote(relation)}", code="relation_not_found")


cdef object shown(object item):
    """A tuple as its three texts."""
    parts = item if isinstance(item, tuple) else (item.subject, item.relation, item.object)
    return " ".join([quote(part) for part in parts])


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


cdef int refuse_repeats(const ChangeC* changes, Py_ssize_t total, Py_ssize_t n_deletes, list writes, list deletes) except -1:
    """The same key twice in one call, in writes, deletes or both."""
    cdef uint64_t mask = 15, at
    cdef Py_ssize_t i, j
    cdef uint32_t* slots
    if total < 2:
        return 0
    while mask < 2 * <uint64_t>total:
        mask = 2 * mask + 1
    slots = <uint32_t*>calloc(mask + 1, 4)
    if slots == NULL:
        raise MemoryError()
    try:
        for i in range(total):
            if changes[i].table == NO_TABLE:
                continue
            at = (((<uint64_t>changes[i].object << 32 | changes[i].subject) * <uint64_t>0x9E3779B97F4A7C15U) ^ changes[i].table * <uint64_t>0xBF58476D1CE4E5B9U)
            at = (at ^ at >> 29) * <uint64_t>0x94D049BB133111EBU >> 20 & mask
            while slots[at]:
                j = slots[at] - 1
                if changes[j].object == changes[i].object and changes[j].subject == changes[i].subject and changes[j].table == changes[i].table:
                    item = deletes[i] if i < n_deletes else writes[i - n_deletes]
                    raise RequestError(
                        f"the tuple {shown(item)} is twice in one write", code="duplicate_tuple", index=i if i < n_deletes else i - n_deletes)
                at = (at + 1) & mask
            slots[at] = <uint32_t>i + 1
    finally:
        free(slots)
    return 0


cdef int add_all(Edit edit, const ChangeC* changes, Py_ssize_t count) except -1:
    """Add tuples that are not stored; many of them sorted into their tables."""
    cdef Py_ssize_t i, n = 0, total
    cdef uint32_t table
    cdef uint64_t* pairs = NULL
    cdef uint64_t* by_subject
    cdef uint64_t* spare
    cdef uint32_t* counts = NULL
    if count < SORT_FROM:
        for i in range(count):
            if changes[i].table != NO_TABLE:
                edit.add(changes[i].table, changes[i].object, changes[i].subject)
        return 0
    try:
        counts = <uint32_t*>calloc(edit.table_count + 1, 4)
        pairs = <uint64_t*>malloc(3 * 8 * <size_t>(count + 1))
        if counts == NULL or pairs == NULL:
            raise MemoryError()
        by_subject = pairs + count
        spare = by_subject + count
        for i in range(count):
            if changes[i].table != NO_TABLE:
                counts[changes[i].table] += 1
        for table in range(edit.table_count):    # where each table's part ends; filled from there down
            counts[table] += counts[table - 1] if table else 0
        for i in range(count):
            if changes[i].table != NO_TABLE:
                counts[changes[i].table] -= 1
                pairs[counts[changes[i].table]] = <uint64_t>changes[i].object << 32 | changes[i].subject
                by_subject[counts[changes[i].table]] = <uint64_t>changes[i].subject << 32 | changes[i].object
                n += 1
        for table in range(edit.table_count):
            i = counts[table]                    # where it begins
            total = (counts[table + 1] if table + 1 < edit.table_count else n) - i
            if total == 0:
                continue
            with nogil:
                radix_sort(pairs + i, spare, total)
                radix_sort(by_subject + i, spare, total)
            edit.add_many(table, pairs + i, by_subject + i, total)
    finally:
        free(counts)
        free(pairs)
    return 0


cdef void radix_sort(uint64_t* items, uint64_t* spare, Py_ssize_t count) noexcept nogil:
    """Sort by the bits in which the items differ at all, eleven at a time from the lowest."""
    cdef uint64_t differ = 0, first
    cdef uint32_t counts[2048]
    cdef uint32_t shift, b, total, n
    cdef Py_ssize_t i
    cdef uint64_t* source = items
    cdef uint64_t* target = spare
    cdef uint64_t* swap
    if count < 2:
        return
    first = items[0]
    for i in range(count):
        differ |= items[i] ^ first
    shift = 0
    while shift < 64:
        if (differ >> shift) & 1 == 0:
            shift += 1
            continue
        memset(counts, 0, sizeof(counts))
        for i in range(count):
            counts[(source[i] >> shift) & 2047] += 1
        total = 0
        for b in range(2048):
            n = counts[b]
            counts[b] = total
            total += n
        for i in range(count):
            b = (source[i] >> shift) & 2047
            target[counts[b]] = source[i]
            counts[b] += 1
        swap = source
        source = target
        target = swap
        shift += 11
    if source != items:
        memcpy(items, source, 8 * <size_t>count)
