"""See writes.pxd."""

from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

import heapq

from fgacore.errors import LimitError, RequestError, StoreError
from fgacore.kernel.grants cimport NEVER, GrantC
from fgacore.kernel.memory cimport pointers_add, pointers_free
from fgacore.kernel.names cimport FIND_MANY
from fgacore.kernel.plan cimport NO_TABLE, NO_TYPE, ModelPlan, Plan
from fgacore.kernel.tables cimport Edit, Version
from fgacore.kernel.values cimport ContextC, context_equal
from fgacore.kernel.view cimport cache_drop
from fgacore.limits import WRITE_TUPLES_MAX
from fgacore.runtime.resolve cimport HOW_ADD, HOW_IN_PLACE, HOW_MOVE, HOW_SKIP, PROVISIONAL, ChangeC, ExtraC, NewNameC, NewNamesC, Resolver, shown, stored_with

cdef enum:
    SORT_FROM = 64               # tuples of a call from which they are sorted into their tables
    EXPIRIES_MIN = 1024          # of the heap, before what is no longer stored is looked for in it

cdef dict DUPLICATES = {"error": ON_ERROR, "ignore": ON_IGNORE, "replace": ON_REPLACE}


cdef class Writer:
    """The writes of one store. The caller holds the store's write lock through every call."""

    def __cinit__(self, State state not None):
        self.state = state
        self.structural = set()
        self.expiries = []
        self.expiries_max = EXPIRIES_MIN

    def add_model(self, ModelPlan model not None, set structural not None):
        """Make a model the newest, in a revision of its own. structural: its tables that shape closures and parents. Returns the revision."""
        cdef Version version
        self.begin()
        try:
            self.structural |= structural
            self.state.ring()
            self.state.models[model.model_id] = model
            try:
                version = self.publish(Edit(self.state.version, self.state.serial + 1, self.state.sibling_count), 1, True)
            except:
                del self.state.models[model.model_id]
                raise
            self.state.model = model
            self.state.version = version
            return version.revision
        finally:
            self.busy = False

    cdef Version publish(self, Edit edit, uint64_t revisions, bint structural):
        """The next version, so many revisions on. Arrays that the names replaced go with the version before."""
        cdef size_t i
        cdef Version version
        for i in range(self.state.names.retired.count):
            pointers_add(&edit.c.retired, self.state.names.retired.items[i])
        version = edit.publish(self.state.version.revision + revisions, structural)
        pointers_free(&self.state.names.retired, False)
        self.state.serial = version.serial
        return version

    def write(self, list writes not None, list deletes not None, str on_duplicate not None, bint ignore_missing, model_id=None):
        """Apply deletes, then writes, all or nothing. Returns (revision, tuples written, tuples deleted).

        Writes are held to the model; deletes only to the shape of names. The same key twice among writes, or among deletes, is refused.
        """
        cdef ModelPlan model = None
        cdef Py_ssize_t n_writes = len(writes), n_deletes = len(deletes), total = n_writes + n_deletes, i
        cdef int duplicates = DUPLICATES[on_duplicate]
        cdef ChangeC* changes = NULL
        cdef Resolver resolver = Resolver.__new__(Resolver, self.state)
        cdef Version version, newest
        cdef Edit edit
        cdef uint64_t written = 0, deleted = 0
        cdef bint structural
        cdef list models
        cdef tuple result
        if total > WRITE_TUPLES_MAX:
            raise LimitError(f"a write of more than {WRITE_TUPLES_MAX} tuples (WRITE_TUPLES_MAX)")
        self.begin()
        try:
            if n_writes or model_id is not None:
                model = self.state.plan(model_id)
            version = self.state.version
            changes = <ChangeC*>malloc(sizeof(ChangeC) * <size_t>(total + 1))
            if changes == NULL:
                raise MemoryError()
            for i in range(n_deletes):
                resolver.resolve_delete(deletes[i], i, &changes[i])
            for i in range(0, n_writes, FIND_MANY):
                resolver.resolve_writes(writes, i, min(n_writes, i + FIND_MANY), model, changes + n_deletes)
            refuse_repeats(self.state, changes, n_deletes, deletes)
            refuse_repeats(self.state, changes + n_deletes, n_writes, writes)
            deleted = self.find_deleted(version, changes, n_deletes, deletes, ignore_missing)
            written = self.find_written(version, changes, n_deletes, total, writes, resolver, duplicates)
            if not written and not deleted:
                return version.revision, 0, 0
            if not self.state.open:      # by code of the caller's that ran in a mapping
                raise StoreError("the engine is closed", code="closed")
            # From here on nothing can be refused; only memory can run out, and then the edit is let go and the names merely stay.
            self.intern(changes, total, resolver)
            edit = Edit(version, self.state.serial + 1, self.state.sibling_count)
            for i in range(n_deletes):
                if changes[i].how != HOW_SKIP:
                    edit.remove(changes[i].table, changes[i].object, changes[i].subject)
            for i in range(n_deletes, total):
                if changes[i].how == HOW_MOVE:
                    edit.remove(resolver.extras[changes[i].extra - 1].replaced, changes[i].object, changes[i].subject)
            add_all(edit, changes + n_deletes, n_writes)
            if resolver.extra_count:
                self.grant_all(edit, changes + n_deletes, n_writes, resolver)
            for table in {changes[i].table for i in range(min(total, SORT_FROM))} if total <= SORT_FROM else range(edit.table_count):
                edit.settle(table)
            structural = self.shapes(changes, total, resolver)
            models = list(self.state.models.values())
            result = (version.revision + 1, written, deleted)
            newest = self.publish(edit, 1, structural)
            # INVARIANT (no view outlives its version): from here to the end nothing is allocated, so nothing can fail, collect garbage or let the GIL go.
            self.state.version = newest
            self.drop_views(changes, total, models)
            return result
        finally:
            self.busy = False
            free(changes)

    cdef int begin(self) except -1:
        """Begin a write, at the instant that the clock gives. What runs in the middle of one in its own thread (a finalizer, a mapping of the
        caller's) cannot write or wait for what has expired: StoreError `busy`."""
        if self.state.ticking:
            self.tick()
        if not self.state.open:
            raise StoreError("the engine is closed", code="closed")
        if self.busy:
            raise StoreError("a write is under way in this thread", code="busy")
        self.busy = True
        return 0

    cdef uint64_t find_deleted(self, Version version, ChangeC* changes, Py_ssize_t count, list deletes, bint ignore_missing) except? 0xFFFFFFFFFFFFFFFFU:
        """Find where each key to delete is stored. Returns how many are."""
        cdef uint64_t found = 0
        cdef Py_ssize_t i
        for i in range(count):
            if changes[i].table != NO_TABLE:
                changes[i].table = NO_TABLE if (changes[i].object | changes[i].subject) & PROVISIONAL else self.state.stored_in(
                    version, changes[i].table, changes[i].object, changes[i].subject)
            if changes[i].table != NO_TABLE:
                found += 1
            elif ignore_missing:
                changes[i].how = HOW_SKIP
            else:
                raise RequestError(f"the tuple {shown(deletes[i])} to delete is not stored", code="tuple_missing", index=i)
        return found

    cdef uint64_t find_written(
            self, Version version, ChangeC* changes, Py_ssize_t first, Py_ssize_t end, list writes, Resolver resolver, int duplicates,
            ) except? 0xFFFFFFFFFFFFFFFFU:
        """Find how each tuple is to be written: it may be stored already. Returns how many are to be. changes: the deletes before `first`, found."""
        cdef uint64_t count = 0
        cdef Py_ssize_t i
        cdef uint32_t stored
        cdef set gone = None
        cdef bint same
        if first and end > first:
            gone = {(self.state.key_tables[changes[i].table], changes[i].object, changes[i].subject) for i in range(first) if changes[i].table != NO_TABLE}
        for i in range(first, end):
            stored = NO_TABLE
            if not (changes[i].object | changes[i].subject) & PROVISIONAL:
                stored = self.state.stored_in(version, changes[i].table, changes[i].object, changes[i].subject)
            if stored != NO_TABLE and (gone is None or (self.state.key_tables[stored], changes[i].object, changes[i].subject) not in gone):
                same = stored == changes[i].table and same_grant(version.grant(stored, changes[i].object, changes[i].subject), resolver, &changes[i])
                if duplicates == ON_ERROR:
                    raise RequestError(f"the tuple {shown(writes[i - first])} is stored already", code="tuple_exists", index=i - first)
                if same:
                    changes[i].how = HOW_SKIP
                    continue
                if duplicates == ON_IGNORE:
                    raise RequestError(
                        f"the tuple {shown(writes[i - first])} is stored already, with another condition, context or expiry", code="tuple_differs",
                        index=i - first)
                changes[i].how = HOW_IN_PLACE if stored == changes[i].table else HOW_MOVE
                resolver.extra(&changes[i]).replaced = stored
            count += 1
        return count

    cdef int grant_all(self, Edit edit, const ChangeC* changes, Py_ssize_t count, Resolver resolver) except -1:
        """Store what goes with the tuples beyond their names, and note those that can expire."""
        cdef Py_ssize_t i
        cdef ExtraC* extra
        cdef const ContextC* context
        if len(self.expiries) > self.expiries_max:
            self.drop_stale(edit.before)
        for i in range(count):
            if changes[i].how == HOW_SKIP or changes[i].extra == 0:
                continue
            extra = &resolver.extras[changes[i].extra - 1]
            context = extra.context
            extra.context = NULL     # the edit's from here on
            edit.grant(changes[i].table, changes[i].object, changes[i].subject, extra.expires, context)
            if extra.expires != NEVER:
                heapq.heappush(self.expiries, (extra.expires, changes[i].table, changes[i].object, changes[i].subject))
        self.set_next()          # an entry whose write fails after all is one of a tuple that is not stored
        return 0

    cdef int drop_stale(self, Version version) except -1:
        """Drop from the heap what is no longer stored, or no longer expires then."""
        cdef list kept = [
            entry for entry in self.expiries if version.has(entry[1], entry[2], entry[3]) and expires_at(version, entry[1], entry[2], entry[3]) == entry[0]]
        heapq.heapify(kept)
        self.expiries = kept
        self.expiries_max = max(<size_t>EXPIRIES_MIN, 2 * <size_t>len(kept))
        return 0

    cdef int set_next(self) except -1:
        self.state.next_expiry = self.expiries[0][0] if self.expiries else NEVER
        self.state.ticking = self.state.clock is not None or self.state.next_expiry != NEVER
        return 0

    def look(self):
        """Let what has expired be absent from the newest version."""
        if self.state.ticking:
            self.tick()

    cdef int64_t tick(self) except -1:
        """Where a tuple has expired since, make a version without it. Before a call takes its version, where `ticking`. Returns the call's instant."""
        cdef int64_t instant = self.state.now() if self.state.open else 0
        if self.state.open and instant >= self.state.next_expiry:
            with self.state.lock:
                if self.busy:
                    raise StoreError("a write is under way in this thread", code="busy")
                if self.state.instant >= self.state.next_expiry:
                    self.busy = True
                    try:
                        self.expire(self.state.instant)
                    finally:
                        self.busy = False
        return instant

    cdef int expire(self, int64_t instant) except -1:
        """Make a version without the tuples that have expired by an instant. The revision stays: nothing was written. Under the write lock."""
        cdef Version version = self.state.version, newest
        cdef Resolver resolver = Resolver.__new__(Resolver, self.state)
        cdef Edit edit
        cdef ChangeC* changes = NULL
        cdef Py_ssize_t i, count = 0
        cdef list due = [], models, kinds
        cdef set seen = set()
        cdef bint structural
        while self.expiries and self.expiries[0][0] <= instant:
            entry = heapq.heappop(self.expiries)
            if entry[1:] not in seen and version.has(entry[1], entry[2], entry[3]) and expires_at(version, entry[1], entry[2], entry[3]) <= instant:
                seen.add(entry[1:])
                due.append(entry)
        if not due:
            return self.set_next()
        try:
            changes = <ChangeC*>malloc(sizeof(ChangeC) * <size_t>len(due))
            if changes == NULL:
                raise MemoryError()
            kinds = list(self.state.symbols.tables)
            edit = Edit(version, self.state.serial + 1, self.state.sibling_count)
            for i in range(len(due)):
                kind = kinds[due[i][1]][2]
                changes[i].table = due[i][1]
                changes[i].object = due[i][2]
                changes[i].subject = due[i][3]
                changes[i].subject_type = kind[0] if kind[1] is None and not kind[2] else NO_TYPE
                changes[i].extra = 0
                changes[i].how = HOW_ADD
                edit.remove(changes[i].table, changes[i].object, changes[i].subject)
            count = len(due)
            for table in {entry[1] for entry in due}:
                edit.settle(table)
            structural = self.shapes(changes, count, resolver)
            models = list(self.state.models.values())
            newest = self.publish(edit, 0, structural)
            # INVARIANT (no view outlives its version): as in write.
            self.state.version = newest
            self.drop_views(changes, count, models)
            self.expired += count
            return self.set_next()
        except:
            for entry in due:        # not done: the next call tries again
                heapq.heappush(self.expiries, entry)
            raise
        finally:
            free(changes)

    def sweep(self):
        """Record the removal of what has expired, in a revision of its own. Returns (revision, how many)."""
        cdef uint64_t count
        self.begin()
        try:
            count = self.expired
            if count:
                self.state.version = self.publish(Edit(self.state.version, self.state.serial + 1, self.state.sibling_count), 1, False)
                self.expired = 0
            return self.state.version.revision, count
        finally:
            self.busy = False

    def merge(self):
        """Fold every delta into its base. The revision stays: nothing that is stored changes."""
        cdef Version version
        cdef Edit edit
        cdef uint32_t table
        self.begin()
        try:
            version = self.state.version
            if version.delta_count() == 0:
                return
            edit = Edit(version, self.state.serial + 1, version.table_count)
            for table in range(edit.table_count):
                edit.merge(table)
            self.state.version = edit.publish(version.revision, False)
            self.state.serial = self.state.version.serial
        finally:
            self.busy = False

    cdef bint shapes(self, const ChangeC* changes, Py_ssize_t total, Resolver resolver) except -1:
        """Whether any change is of a structural table."""
        cdef Py_ssize_t i
        cdef uint32_t last = NO_TABLE
        for i in range(total):
            if changes[i].how == HOW_MOVE and resolver.extras[changes[i].extra - 1].replaced in self.structural:
                return True
            if changes[i].how != HOW_SKIP and changes[i].table != last:
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
            if changes[i].how == HOW_SKIP or changes[i].subject_type == NO_TYPE:
                continue
            type = changes[i].subject_type
            for model in models:
                if type < model.plain_count and model.plain_plans[type] != NULL:
                    cache_drop(&self.state.cache, (<Plan>model.plain_plans[type]).serial, changes[i].subject)

    cdef int intern(self, ChangeC* changes, Py_ssize_t total, Resolver resolver) except -1:
        """Intern the new names of what is written, in the order of the call, subject before object; put their ids in place of the numbers."""
        cdef Py_ssize_t i
        cdef uint32_t k
        cdef NewNamesC* fresh = &resolver.fresh
        if fresh.count == 0:
            return 0
        for k in range(fresh.count):
            fresh.items[k].id = 0xFFFFFFFFU
        for i in range(total):
            if changes[i].how == HOW_SKIP:
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


cdef int refuse_repeats(State state, const ChangeC* changes, Py_ssize_t count, list items) except -1:
    """The same key twice among the writes, or among the deletes, of a call."""
    cdef uint64_t mask = 15, at
    cdef Py_ssize_t i, j
    cdef uint32_t key
    cdef uint32_t* slots
    if count < 2:
        return 0
    while mask < 2 * <uint64_t>count:
        mask = 2 * mask + 1
    slots = <uint32_t*>calloc(mask + 1, 4)
    if slots == NULL:
        raise MemoryError()
    try:
        for i in range(count):
            if changes[i].table == NO_TABLE:
                continue
            key = state.key_tables[changes[i].table]
            at = ((<uint64_t>changes[i].object << 32 | changes[i].subject) * <uint64_t>0x9E3779B97F4A7C15U) ^ key * <uint64_t>0xBF58476D1CE4E5B9U
            at = (at ^ at >> 29) * <uint64_t>0x94D049BB133111EBU >> 20 & mask
            while slots[at]:
                j = slots[at] - 1
                if changes[j].object == changes[i].object and changes[j].subject == changes[i].subject and state.key_tables[changes[j].table] == key:
                    raise RequestError(f"the tuple {shown(items[i])} is twice in one write", code="duplicate_tuple", index=i)
                at = (at + 1) & mask
            slots[at] = <uint32_t>i + 1
    finally:
        free(slots)
    return 0


cdef bint same_grant(const GrantC* grant, Resolver resolver, const ChangeC* change) noexcept:
    """Whether what is stored with a tuple is what a write says."""
    cdef ExtraC extra = stored_with(resolver, change)
    if grant == NULL:
        return extra.expires == NEVER and extra.context == NULL
    return grant.expires == extra.expires and context_equal(grant.context, extra.context)


cdef int64_t expires_at(Version version, uint32_t table, uint32_t object, uint32_t subject) noexcept:
    """When a stored tuple expires, or NEVER."""
    cdef const GrantC* grant = version.grant(table, object, subject)
    return grant.expires if grant != NULL else NEVER


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
            if changes[i].how == HOW_ADD or changes[i].how == HOW_MOVE:
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
            if changes[i].how == HOW_ADD or changes[i].how == HOW_MOVE:
                counts[changes[i].table] += 1
        for table in range(edit.table_count):    # where each table's part ends; filled from there down
            counts[table] += counts[table - 1] if table else 0
        for i in range(count):
            if changes[i].how == HOW_ADD or changes[i].how == HOW_MOVE:
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
