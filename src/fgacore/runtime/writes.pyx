"""See writes.pxd."""

from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset

from fgacore.errors import LimitError, RequestError
from fgacore.kernel.memory cimport pointers_add, pointers_free
from fgacore.kernel.names cimport fga_hash, fga_same, names_find
from fgacore.kernel.plan cimport ModelPlan, Plan
from fgacore.kernel.tables cimport Edit, Version
from fgacore.kernel.view cimport cache_drop
from fgacore.limits import WRITE_TUPLES_MAX
from fgacore.runtime.text cimport SHAPE_BAD, SHAPE_PLAIN, SHAPE_USERSET, SHAPE_WILDCARD, ShapeC, refuse, shape_read, text_of
from fgacore.tuples import Tuple

cdef enum:
    NO_TABLE = 0xFFFFFFFFU
    NO_TYPE = 0xFFFFFFFFU        # of a new name that only a delete has mentioned: it is not interned
    SORT_FROM = 64               # tuples of a call from which they are sorted into their tables


cdef class Writer:
    """The writes of one store. The caller holds the store's write lock through every call."""

    cdef State state
    cdef set structural          # tables that shape closures and parents under any model of the store: usersets, wildcards, parents
    cdef dict admissions         # ModelPlan to {(object type, relation, subject type, subject relation or -1 or -2 for a wildcard): table}

    def __cinit__(self, State state not None):
        self.state = state
        self.admissions = {}
        self.structural = set()

    def add_model(self, ModelPlan model not None, dict admissions not None, parents):
        """Make a model the newest, in a revision of its own. admissions: which tables it admits; parents: those that it reads parents from. Returns the revision."""
        cdef Edit edit = Edit(self.state.version, self.state.serial + 1, len(self.state.symbols.tables))
        cdef Version version
        for (type, relation, kind), table in admissions.items():
            if kind[1] is not None or kind[2]:
                self.structural.add(table)
        self.structural.update(parents)
        version = self.publish(edit, True)
        self.admissions[model.model_id] = admissions
        self.state.models[model.model_id] = model
        self.state.model = model
        self.state.version = version
        return version.revision

    cdef Version publish(self, Edit edit, bint structural):
        """The next version. Arrays that the names replaced go with the version before."""
        cdef size_t i
        self.state.serial = edit.c.stamp
        for i in range(self.state.names.retired.count):
            pointers_add(&edit.c.retired, self.state.names.retired.items[i])
        pointers_free(&self.state.names.retired, False)
        return edit.publish(self.state.version.revision + 1, structural)

    def write(self, list writes not None, list deletes not None, bint ignore_duplicate, bint ignore_missing, model_id=None):
        """Apply deletes, then writes, all or nothing. Returns (revision, tuples written, tuples deleted).

        Writes are held to the model; deletes only to the shape of names. The same key twice in one call is refused.
        """
        cdef ModelPlan model = None
        cdef dict admissions = None
        cdef Py_ssize_t n_writes = len(writes), n_deletes = len(deletes), total = n_writes + n_deletes, i
        cdef ChangeC* changes = NULL
        cdef NewNamesC fresh
        cdef Version version = self.state.version
        cdef Edit edit
        cdef uint64_t written = 0, deleted = 0
        cdef bint stored
        if total > WRITE_TUPLES_MAX:
            raise LimitError(f"a write of more than {WRITE_TUPLES_MAX} tuples (WRITE_TUPLES_MAX)")
        if n_writes or model_id is not None:
            model = self.state.plan(model_id)
            admissions = self.admissions[model.model_id]
        memset(&fresh, 0, sizeof(fresh))
        changes = <ChangeC*>malloc(sizeof(ChangeC) * (total + 1))
        if changes == NULL:
            raise MemoryError()
        try:
            for i in range(n_deletes):
                self.resolve_delete(deletes[i], i, &changes[i], &fresh)
            for i in range(n_writes):
                self.resolve_write(writes[i], i, model, admissions, &changes[n_deletes + i], &fresh)
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
            newest = self.publish(edit, self.shapes(changes, total))
            self.state.version = newest      # no call can begin between this and the dropping of views: both are under the GIL, and nothing lets go of it
            self.drop_views(changes, total)
            return self.state.version.revision, written, deleted
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
        self.state.serial = edit.c.stamp
        self.state.version = edit.publish(version.revision, False)

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

    cdef int drop_views(self, const ChangeC* changes, Py_ssize_t total) except -1:
        """End the views of the plain subjects that were written about; structural changes end all views by the version's number."""
        cdef Py_ssize_t i
        cdef uint32_t type
        cdef ModelPlan model
        cdef list models
        if self.state.cache.count == 0:
            return 0
        models = list(self.state.models.values())
        for i in range(total):
            if changes[i].table == NO_TABLE or changes[i].subject_type == NO_TYPE:
                continue
            type = changes[i].subject_type
            for model in models:
                if type < model.plain_count and model.plain_plans[type] != NULL:
                    cache_drop(&self.state.cache, (<Plan>model.plain_plans[type]).serial, changes[i].subject)
        return 0

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

    cdef int resolve_write(self, item, Py_ssize_t index, ModelPlan model, dict admissions, ChangeC* change, NewNamesC* fresh) except -1:
        cdef tuple parts = self.parts(item, index)
        cdef ShapeC object_shape, subject_shape
        cdef Py_ssize_t object_length = 0, subject_length = 0
        cdef const char* object_text
        cdef const char* subject_text
        cdef int kind
        try:
            subject_text = text_of(parts[0], &subject_length, "subject")
            object_text = text_of(parts[2], &object_length, "object")
            kind = shape_read(subject_text, subject_length, &subject_shape)
            if kind == SHAPE_BAD:
                raise refuse("subject", parts[0])
            if shape_read(object_text, object_length, &object_shape) != SHAPE_PLAIN:
                raise refuse("object", parts[2])
            relation = parts[1]
            if not isinstance(relation, str):
                raise RequestError("the relation is not a text", code="invalid_relation")
            object_type = object_text[:object_shape.colon].decode()
            type_symbol = model.types.get(object_type)
            if type_symbol is None:
                raise RequestError(f"the model has no type `{object_type}`", code="type_not_found")
            symbol = model.relations.get(relation)
            if symbol is None or model.node_find(type_symbol, symbol) == 0xFFFFFFFFU:
                raise RequestError(f"the type `{object_type}` has no relation `{relation[:80]}`", code="relation_not_found")
            subject_type = subject_text[:subject_shape.colon].decode()
            subject_symbol = model.types.get(subject_type)
            if subject_symbol is None:
                raise RequestError(f"the model has no type `{subject_type}`", code="type_not_found")
            member = None
            if kind == SHAPE_USERSET:
                name = subject_text[subject_shape.end + 1:subject_length].decode()
                member = model.relations.get(name)
                if member is None or model.node_find(subject_symbol, member) == 0xFFFFFFFFU:
                    raise RequestError(f"the type `{subject_type}` has no relation `{name}`", code="relation_not_found")
                if subject_shape.end == object_length and name == relation and subject_text[:subject_shape.end] == object_text[:object_length]:
                    raise RequestError(f"the tuple {shown(parts)} says what holds anyway", code="invalid_tuple")
            table = admissions.get((type_symbol, symbol, (subject_symbol, member, kind == SHAPE_WILDCARD)))
            if table is None:
                raise RequestError(f"the model does not admit {shown(parts)}", code="invalid_tuple")
        except RequestError as error:
            error.index = index
            raise
        change.table = table
        change.subject = 0
        change.subject_type = subject_symbol if kind == SHAPE_PLAIN else NO_TYPE
        if kind != SHAPE_WILDCARD:
            change.subject = self.name_id(subject_text, subject_shape.end, subject_symbol, fresh)
        change.object = self.name_id(object_text, <uint32_t>object_length, type_symbol, fresh)
        return 0

    cdef int resolve_delete(self, item, Py_ssize_t index, ChangeC* change, NewNamesC* fresh) except -1:
        """A key to delete: any well-formed names; of no table where the store has none that could hold it."""
        cdef tuple parts = self.parts(item, index)
        cdef ShapeC object_shape, subject_shape
        cdef Py_ssize_t object_length = 0, subject_length = 0
        cdef const char* object_text
        cdef const char* subject_text
        cdef int kind
        cdef const NameC* entry
        symbols = self.state.symbols
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
        except RequestError as error:
            error.index = index
            raise
        member = None
        relation = symbols.relations.get(parts[1])
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


cdef object shown(object item):
    """A tuple as `subject relation object`, cut to a line."""
    parts = item if isinstance(item, tuple) else (item.subject, item.relation, item.object)
    text = " ".join(part if len(part) <= 80 else part[:80] + "…" for part in parts)
    return "`" + "".join(c if c.isprintable() else "\ufffd" for c in text) + "`"


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
    cdef Py_ssize_t i, n = 0
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
        for table in range(edit.table_count):
            if counts[table] == 0:
                continue
            n = 0
            for i in range(count):
                if changes[i].table == table:
                    pairs[n] = <uint64_t>changes[i].object << 32 | changes[i].subject
                    by_subject[n] = <uint64_t>changes[i].subject << 32 | changes[i].object
                    n += 1
            with nogil:
                radix_sort(pairs, spare, n)
                radix_sort(by_subject, spare, n)
            edit.add_many(table, pairs, by_subject, n)
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
