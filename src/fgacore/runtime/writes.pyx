"""See writes.pxd."""

from libc.stdint cimport uint8_t, uint16_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset

import heapq

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize

from fgacore.errors import InternalError, LimitError, RequestError, StoreError
from fgacore.kernel.grants cimport NEVER, GrantC
from fgacore.kernel.memory cimport pointers_add, pointers_free
from fgacore.kernel.names cimport FIND_MANY, NameC
from fgacore.kernel.plan cimport NO_TABLE, NO_TYPE, ModelPlan, Plan
from fgacore.kernel.sets cimport IterC, SetC, iter_next, iter_start
from fgacore.kernel.side cimport side_get
from fgacore.kernel.tables cimport Edit, Version
from fgacore.kernel.values cimport ContextC, context_equal
from fgacore.kernel.view cimport cache_drop
from fgacore.limits import WRITE_TUPLES_MAX
from fgacore.runtime.conditions cimport Conditions
from fgacore.runtime.context cimport Parameters, context_reread
from fgacore.store.lines cimport TextLot
from fgacore.runtime.resolve cimport (
    HOW_ADD, HOW_IN_PLACE, HOW_MOVE, HOW_SKIP, PROVISIONAL, ChangeC, ExtraC, NewNameC, Resolver, shown_at, stored_with,
)

cdef enum:
    SORT_FROM = 64               # tuples of a call from which they are sorted into their tables
    EXPIRIES_MIN = 1024          # of the heap, before what is no longer stored is looked for in it
    TRIPLE = 12                  # bytes of (table, object id, subject id) in a payload,
    NAME_HEAD = 8                # and of (type, length, id) before a name's text

cdef SetC NOTHING                # the empty set
memset(&NOTHING, 0, sizeof(SetC))

cdef dict DUPLICATES = {"error": ON_ERROR, "ignore": ON_IGNORE, "replace": ON_REPLACE}


cdef class Staged:
    """Writes on their way."""

    def __cinit__(self, Writer writer not None, int64_t instant):
        self.edit = Edit(writer.state.version, writer.state.serial + 1, writer.state.sibling_count)
        self.names = writer.state.names
        self.expiries = []
        self.soonest = NEVER
        self.instant = instant

    def __dealloc__(self):
        free(self.touched)

    cdef int touch(self, const ChangeC* changes, Py_ssize_t count) except -1:
        """Note the plain subjects that were written about, whose views end."""
        cdef Py_ssize_t i
        cdef size_t room
        cdef void* grown
        if self.touched_room < self.touched_count + <size_t>count:
            room = 2 * self.touched_room if 2 * self.touched_room > self.touched_count + <size_t>count else self.touched_count + <size_t>count
            grown = realloc(self.touched, room * sizeof(TouchedC))
            if grown == NULL:
                raise MemoryError()
            self.touched = <TouchedC*>grown
            self.touched_room = room
        for i in range(count):
            if changes[i].how != HOW_SKIP and changes[i].subject_type != NO_TYPE:
                self.touched[self.touched_count].type = changes[i].subject_type
                self.touched[self.touched_count].id = changes[i].subject
                self.touched_count += 1
        return 0


cdef class Writer:
    """The writes of one store."""

    def __cinit__(self, State state not None):
        self.state = state

    @property
    def expired(self):
        """Tuples that expired, and whose removal is not recorded."""
        return self.state.expired

    # ---- models ----

    def add_model(self, ModelPlan model not None, set structural not None, str source="", symbols=None):
        """Make a model the newest, in a revision of its own. structural: its tables that shape closures and parents. symbols: the store's with those of
        the model; None: they have them already. Returns the revision."""
        cdef Version version
        self.enter()
        try:
            if symbols is not None:
                self.state.symbols = symbols
            self.state.structural |= structural
            self.state.ring()
            self.state.models[model.model_id] = model
            self.state.sources[model.model_id] = source
            try:
                version = self.publish(Edit(self.state.version, self.state.serial + 1, self.state.sibling_count), 1, True)
            except:
                del self.state.models[model.model_id], self.state.sources[model.model_id]
                raise
            self.state.model = model
            self.state.show(version)
            return version.revision
        finally:
            self.state.busy = False

    def add_source(self, str model_id not None, str source not None):
        """Take in a model that is compiled when it is asked for, and is not the newest."""
        self.state.sources[model_id] = source
        self.state.ring()

    def keep_model(self, ModelPlan model not None, set structural not None):
        """A model that was taken in before, and is compiled now."""
        self.state.structural |= structural
        self.state.models[model.model_id] = model

    # ---- tuples ----

    def write(
            self, list writes not None, list deletes not None, str on_duplicate not None, bint ignore_missing, model_id=None, kept=None,
            actor=None, reason=None):
        """Apply deletes, then writes, all or nothing. Returns the revision.

        kept: a deque that the record is appended to, of a store without a log, as (revision, time, kind, actor, reason, payload).

        Writes are held to the model; deletes only to the shape of names. The same key twice among writes, or among deletes, is refused.
        """
        cdef Staged staged
        cdef tuple found
        cdef object result
        self.enter()
        try:
            staged = Staged(self, self.state.instant)
            found = self.stage_items(staged, writes, deletes, DUPLICATES[on_duplicate], ignore_missing, model_id, False)
            if found[2] is None:
                return self.state.version.revision
            result = self.state.version.revision + 1
            if kept is None:
                self.finish(staged, 1)
                return result
            kept.append((result, staged.instant, "tuples", actor, reason, found[2]))
            try:
                self.finish(staged, 1)
            except:
                kept.pop()
                raise
            self.state.kept_bytes += payload_size(found[2])
            return result
        finally:
            self.state.busy = False

    def begin(self):
        """Begin to stage writes."""
        cdef Staged staged
        self.enter()
        try:
            staged = Staged(self, self.state.instant)
            staged.mark = staged.names.mark()
            return staged
        finally:
            self.state.busy = False

    def begin_at(self, int64_t instant):
        """Begin to stage what was written at an instant. As there, what had expired by then is absent; what expired since is not yet, unless the clock
        here has let it."""
        self.reach(instant)
        return Staged(self, instant)

    def is_due(self, Staged staged not None, int64_t instant):
        """Whether a tuple expires by an instant, stored or staged."""
        return self.state.next_expiry <= instant or staged.soonest <= instant

    def stage(self, Staged staged not None, list writes not None, list deletes not None, str on_duplicate not None, bint ignore_missing, model_id=None):
        """Stage a write after others. Returns (tuples written, tuples deleted, payload or None where nothing changes); an error stages nothing."""
        if self.state.busy:
            raise StoreError("a write is under way in this thread", code="busy")
        self.state.busy = True
        try:
            return self.stage_items(staged, writes, deletes, DUPLICATES[on_duplicate], ignore_missing, model_id, False)
        finally:
            self.state.busy = False

    def stage_lot(self, Staged staged not None, items, str on_duplicate not None):
        """Stage one lot of an import: a list of tuples, or a TextLot. Returns (tuples written, payload or None). Where the same key comes twice in a lot it
        is as if in two: on_duplicate says what is done."""
        if self.state.busy:
            raise StoreError("a write is under way in this thread", code="busy")
        self.state.busy = True
        try:
            found = self.stage_items(staged, items, [], DUPLICATES[on_duplicate], False, None, True)
            return found[0], found[2]
        finally:
            self.state.busy = False

    def commit(self, Staged staged not None, uint64_t revisions):
        """Publish what was staged, so many revisions on. False: the state has moved on since, and what was staged is to be applied from its payloads."""
        if self.state.busy:
            raise StoreError("a write is under way in this thread", code="busy")
        self.state.busy = True
        try:
            return self.finish(staged, revisions)
        finally:
            self.state.busy = False

    cdef int enter(self) except -1:
        """Begin a write, at the instant that the clock gives. What runs in the middle of one in its own thread (a finalizer, a mapping of the
        caller's) cannot write or wait for what has expired: StoreError `busy`."""
        if self.state.timed and self.state.open:
            self.expire_due()
        else:
            self.state.now()
        if not self.state.open:
            raise StoreError("the engine is closed", code="closed")
        if self.state.busy:
            raise StoreError("a write is under way in this thread", code="busy")
        self.state.busy = True
        return 0

    cdef tuple stage_items(
            self, Staged staged, object writes, list deletes, int duplicates, bint ignore_missing, object model_id, bint repeats):
        """repeats: the same key may be there twice."""
        cdef ModelPlan model = None
        cdef Py_ssize_t n_writes = len(writes), n_deletes = len(deletes), total = n_writes + n_deletes, i
        cdef ChangeC* changes = NULL
        cdef Resolver resolver = Resolver.__new__(Resolver, self.state)
        cdef uint64_t written = 0, deleted = 0
        cdef bytes names
        if total > WRITE_TUPLES_MAX:
            raise LimitError(f"a write of more than {WRITE_TUPLES_MAX} tuples (WRITE_TUPLES_MAX)")
        try:
            if n_writes or model_id is not None:
                model = self.state.plan(model_id)
            changes = <ChangeC*>malloc(sizeof(ChangeC) * <size_t>(total + 1))
            if changes == NULL:
                raise MemoryError()
            for i in range(n_deletes):
                resolver.resolve_delete(deletes[i], i, &changes[i])
            if isinstance(writes, TextLot):
                resolver.resolve_texts(<TextLot>writes, model, changes + n_deletes)
            else:
                for i in range(0, n_writes, FIND_MANY):
                    resolver.resolve_writes(<list>writes, i, min(n_writes, i + FIND_MANY), model, changes + n_deletes)
            see_repeats(self.state, changes, n_deletes, deletes, resolver, ON_ERROR, False)
            see_repeats(self.state, changes + n_deletes, n_writes, writes, resolver, duplicates, repeats)
            deleted = self.find_deleted(staged.edit, changes, n_deletes, deletes, ignore_missing)
            written = self.find_written(staged.edit, changes, n_deletes, total, writes, resolver, duplicates)
            if not written and not deleted:
                return 0, 0, None
            if not self.state.open:      # by code of the caller's that ran in a mapping
                raise StoreError("the engine is closed", code="closed")
            # From here on nothing can be refused; only memory can run out, and then all that is staged is let go.
            names = self.intern(changes, total, resolver)
            payload = payload_of(self.state, resolver, changes, n_deletes, total, names, model)
            self.perform(staged, changes, n_deletes, total, resolver)
            return written, deleted, payload
        finally:
            free(changes)

    cdef int perform(self, Staged staged, ChangeC* changes, Py_ssize_t deletes, Py_ssize_t total, Resolver resolver) except -1:
        """Make the changes in the edit: deletes first."""
        cdef Py_ssize_t i
        cdef Edit edit = staged.edit
        for i in range(deletes):
            if changes[i].how != HOW_SKIP:
                edit.remove(changes[i].table, changes[i].object, changes[i].subject)
        for i in range(deletes, total):
            if changes[i].how == HOW_MOVE:
                edit.remove(resolver.extras[changes[i].extra - 1].replaced, changes[i].object, changes[i].subject)
        add_all(edit, changes + deletes, total - deletes)
        if resolver.extra_count:
            self.grant_all(staged, changes + deletes, total - deletes, resolver)
        for table in {changes[i].table for i in range(total)} if total <= SORT_FROM else range(edit.table_count):
            edit.settle(table)
        staged.structural = staged.structural or self.shapes(changes, total, resolver)
        if self.state.cache.count:
            staged.touch(changes, total)
        else:
            staged.structural = True     # views that are made while this is on its way end with it
        return 0

    cdef bint finish(self, Staged staged, uint64_t revisions) except -1:
        """Publish what was staged."""
        cdef list models
        cdef Version newest
        if staged.edit is None or staged.edit.before is not self.state.version:
            return False
        models = list(self.state.models.values()) if self.state.cache.count else []
        for entry in staged.expiries:
            heapq.heappush(self.state.expiries, entry)
        newest = self.publish(staged.edit, revisions, staged.structural)
        if revisions:
            self.confirm(staged.instant)
        if revisions:            # an expiry, which is none, may come while the names of a write are on their way
            self.state.names.settle()
        staged.edit = None
        # INVARIANT (no view outlives its version): from here to the end nothing is allocated, so nothing can fail, collect garbage or let the GIL go.
        self.state.show(newest)
        self.drop_views(staged.touched, staged.touched_count, models)
        self.set_next()
        return True

    def abandon(self, Staged staged not None):
        """Let go of what was staged, and forget its names: nobody has seen them. Only where the log does not have it, and no other write came since."""
        cdef list known = staged.names.settled_counts()
        staged.edit = None
        if known[:len(staged.mark)] != staged.mark or any(known[len(staged.mark):]):
            raise InternalError("names that are taken back have been told")
        staged.names.forget(staged.mark)

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

    cdef uint64_t find_deleted(self, Edit edit, ChangeC* changes, Py_ssize_t count, list deletes, bint ignore_missing) except? 0xFFFFFFFFFFFFFFFFU:
        """Find where each key to delete is stored. Returns how many are."""
        cdef uint64_t found = 0
        cdef Py_ssize_t i
        for i in range(count):
            if changes[i].table != NO_TABLE:
                changes[i].table = NO_TABLE if (changes[i].object | changes[i].subject) & PROVISIONAL else self.state.stored_in(
                    edit, changes[i].table, changes[i].object, changes[i].subject)
            if changes[i].table != NO_TABLE:
                found += 1
            elif ignore_missing:
                changes[i].how = HOW_SKIP
            else:
                raise RequestError(f"the tuple {shown_at(deletes, i)} to delete is not stored", code="tuple_missing", index=i)
        return found

    cdef uint64_t find_written(
            self, Edit edit, ChangeC* changes, Py_ssize_t first, Py_ssize_t end, object writes, Resolver resolver, int duplicates,
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
            if changes[i].how == HOW_SKIP:
                continue
            stored = NO_TABLE
            if not (changes[i].object | changes[i].subject) & PROVISIONAL:
                stored = self.state.stored_in(edit, changes[i].table, changes[i].object, changes[i].subject)
            if stored != NO_TABLE and (gone is None or (self.state.key_tables[stored], changes[i].object, changes[i].subject) not in gone):
                same = stored == changes[i].table and same_grant(edit.grant_of(stored, changes[i].object, changes[i].subject), resolver, &changes[i])
                if duplicates == ON_ERROR:
                    raise RequestError(f"the tuple {shown_at(writes, i - first)} is stored already", code="tuple_exists", index=i - first)
                if same:
                    changes[i].how = HOW_SKIP
                    continue
                if duplicates == ON_IGNORE:
                    raise RequestError(
                        f"the tuple {shown_at(writes, i - first)} is stored already, with another condition, context or expiry", code="tuple_differs",
                        index=i - first)
                changes[i].how = HOW_IN_PLACE if stored == changes[i].table else HOW_MOVE
                resolver.extra(&changes[i]).replaced = stored
            count += 1
        return count

    cdef bytes intern(self, ChangeC* changes, Py_ssize_t total, Resolver resolver):
        """Intern the new names of what is written, in the order of the call, subject before object, and put their ids in place of the numbers.
        Returns them as a payload has them: type, length, id, text."""
        cdef Py_ssize_t i, size = 0
        cdef uint32_t k
        cdef NewNameC* name
        cdef uint8_t* at
        cdef bytes out
        if resolver.fresh.count == 0:
            return b""
        for k in range(resolver.fresh.count):
            resolver.fresh.items[k].id = 0xFFFFFFFFU
            size += NAME_HEAD + resolver.fresh.items[k].length
        out = PyBytes_FromStringAndSize(NULL, size)
        at = <uint8_t*>PyBytes_AS_STRING(out)
        for i in range(2 * total):
            if changes[i >> 1].how == HOW_SKIP:
                continue
            k = changes[i >> 1].object if i & 1 else changes[i >> 1].subject
            if not k & PROVISIONAL:
                continue
            name = &resolver.fresh.items[k & ~<uint32_t>PROVISIONAL]
            if name.id == 0xFFFFFFFFU:
                name.id = self.state.names.intern(name.text, name.length, <uint16_t>name.type).id
                (<uint16_t*>at)[0] = <uint16_t>name.type
                (<uint16_t*>at)[1] = <uint16_t>name.length
                memcpy(at + 4, &name.id, 4)
                memcpy(at + NAME_HEAD, name.text, name.length)
                at += NAME_HEAD + name.length
            if i & 1:
                changes[i >> 1].object = name.id
            else:
                changes[i >> 1].subject = name.id
        if at - <uint8_t*>PyBytes_AS_STRING(out) == size:
            return out
        return out[:at - <uint8_t*>PyBytes_AS_STRING(out)]       # the names of what is passed over stay unknown

    cdef int grant_all(self, Staged staged, const ChangeC* changes, Py_ssize_t count, Resolver resolver) except -1:
        """Store what goes with the tuples beyond their names, and note those that can expire."""
        cdef Py_ssize_t i
        cdef ExtraC* extra
        cdef const ContextC* context
        if len(self.state.expiries) > self.state.expiries_max:
            self.drop_stale()
        for i in range(count):
            if changes[i].how == HOW_SKIP or changes[i].extra == 0:
                continue
            extra = &resolver.extras[changes[i].extra - 1]
            context = extra.context
            extra.context = NULL     # the edit's from here on
            staged.edit.grant(changes[i].table, changes[i].object, changes[i].subject, extra.expires, context)
            if extra.expires != NEVER:
                staged.expiries.append((extra.expires, changes[i].table, changes[i].object, changes[i].subject))
                staged.soonest = min(staged.soonest, extra.expires)
        return 0

    # ---- payloads ----

    def apply(self, Staged staged not None, payload):
        """Make the changes of a payload, which some process wrote, after others in one edit. What the clock here has let expire already is no error.

        StoreError `corrupt` for what no writer wrote. The names of the payload are interned at once; where anything fails, the state is of no more use.
        """
        if self.state.busy:
            raise StoreError("a write is under way in this thread", code="busy")
        self.state.busy = True
        try:
            apply_payload(self, staged, payload)
        finally:
            self.state.busy = False

    # ---- expiry ----

    cdef int drop_stale(self) except -1:
        """Drop from the heap what is no longer stored, or no longer expires then."""
        cdef Version version = self.state.version
        cdef list kept = [
            entry for entry in self.state.expiries
            if version.has(entry[1], entry[2], entry[3]) and expires_at(version, entry[1], entry[2], entry[3]) == entry[0]]
        heapq.heapify(kept)
        self.state.expiries = kept
        self.state.expiries_max = max(<size_t>EXPIRIES_MIN, 2 * <size_t>len(kept))
        return 0

    cdef int set_next(self) except -1:
        self.state.next_expiry = self.state.expiries[0][0] if self.state.expiries else NEVER
        return self.state.set_ticking()

    def look(self):
        """Let what has expired be absent from the newest version, which is as new as the store asks for."""
        if self.state.ticking:
            self.tick(False)

    cdef int64_t tick(self, bint patient) except -1:
        """Before a call takes its version, where `ticking`: whether the state may answer; and where a tuple has expired since, a version without it.
        Returns the call's instant; 0: the clock was not looked at. patient: as in State.attend."""
        if not self.state.open:
            return 0
        if self.state.keeper is not None:
            self.state.attend(patient)
        return self.expire_due() if self.state.timed else 0

    cdef int64_t expire_due(self) except -1:
        """Take out what has expired by now; returns now."""
        cdef int64_t instant = self.state.now()
        if instant >= self.state.next_expiry:
            with self.state.lock:
                if self.state.busy:
                    raise StoreError("a write is under way in this thread", code="busy")
                if self.state.instant >= self.state.next_expiry:
                    self.state.busy = True
                    try:
                        self.expire(self.state.instant)
                    finally:
                        self.state.busy = False
                instant = self.state.instant     # what is absent now is absent at the instant that the call goes by
        return instant

    def reach(self, int64_t instant):
        """Be at an instant at which another process wrote: what had expired by then is absent."""
        self.state.reach_instant(instant)
        self.confirm(instant)
        if instant >= self.state.next_expiry:
            if self.state.busy:
                raise StoreError("a write is under way in this thread", code="busy")
            self.expire(instant)
            self.confirm(instant)

    cdef int confirm(self, int64_t instant) except -1:
        """There is a record of this instant: what expired by then has expired for every process."""
        if self.state.ahead:
            self.state.ahead = {key: expires for key, expires in self.state.ahead.items() if expires > instant}
        return 0

    cdef int expire(self, int64_t instant) except -1:
        """Make a version without the tuples that have expired by an instant. The revision stays: nothing was written. Under the state's lock."""
        cdef Version version = self.state.version
        cdef Staged staged
        cdef ChangeC* changes = NULL
        cdef Py_ssize_t i, count = 0
        cdef list due = []
        cdef set seen = set()
        while self.state.expiries and self.state.expiries[0][0] <= instant:
            entry = heapq.heappop(self.state.expiries)
            if entry[1:] not in seen and version.has(entry[1], entry[2], entry[3]) and expires_at(version, entry[1], entry[2], entry[3]) <= instant:
                seen.add(entry[1:])
                due.append(entry)
        if not due:
            return self.set_next()
        try:
            count = len(due)
            changes = <ChangeC*>malloc(sizeof(ChangeC) * <size_t>count)
            if changes == NULL:
                raise MemoryError()
            for i in range(count):
                changes[i].table = due[i][1]
                changes[i].object = due[i][2]
                changes[i].subject = due[i][3]
                changes[i].subject_type = self.state.plain_types[changes[i].table]
                changes[i].extra = 0
                changes[i].how = HOW_ADD
            staged = Staged(self, instant)
            self.perform(staged, changes, count, count, Resolver.__new__(Resolver, self.state))
            self.finish(staged, 0)
            self.state.expired += count
            for entry in due:
                self.state.ahead[entry[1:]] = entry[0]
            self.state.expired_last = max(self.state.expired_last, due[count - 1][0])
            return 0
        except:
            for entry in due:        # not done: the next call tries again
                heapq.heappush(self.state.expiries, entry)
            raise
        finally:
            free(changes)

    def skip(self, uint64_t revisions):
        """Go on by so many revisions, which change no tuple."""
        self.enter()
        try:
            self.state.show(self.publish(Edit(self.state.version, self.state.serial + 1, self.state.sibling_count), revisions, False))
        finally:
            self.state.busy = False

    def take_control(self, str kind not None, payload):
        """Take in a record of what agents may be lent or what bounds them, in a revision of its own. It and the revision become visible in one step:
        no session goes by the one without the other."""
        cdef Version version
        self.enter()
        try:
            version = self.publish(Edit(self.state.version, self.state.serial + 1, self.state.sibling_count), 1, False)
            self.state.control.take(kind, payload, version.revision)
            self.state.set_control(self.state.control)
            self.state.show(version)
        finally:
            self.state.busy = False

    def swept(self, int64_t instant):
        """Take note that the removal of what had expired by an instant is recorded."""
        self.reach(instant)
        self.skip(1)
        self.state.expired = len(self.state.ahead)

    # ---- maintenance ----

    def merge(self):
        """Fold every delta into its base. The revision stays: nothing that is stored changes."""
        cdef Version version
        cdef Edit edit
        cdef uint32_t table
        self.enter()
        try:
            version = self.state.version
            if version.delta_count() == 0:
                return
            edit = Edit(version, self.state.serial + 1, version.table_count)
            for table in range(edit.table_count):
                edit.merge(table)
            self.state.show(edit.publish(version.revision, False))
            self.state.serial = self.state.version.serial
        finally:
            self.state.busy = False

    def load_grants(self, grants):
        """Store what goes with tuples that are stored: of (table, object, subject, expires or None, raw context or None), of a snapshot, into a state
        that nobody sees yet."""
        cdef dict parameters = {}
        cdef Edit edit = Edit(self.state.version, self.state.serial + 1, self.state.sibling_count)
        cdef const ContextC* context
        cdef int64_t expiry
        for table, object, subject, expires, raw in grants:
            if not edit.has(table, object, subject):
                raise StoreError("damaged: a grant of a tuple that is not stored", code="corrupt")
            context = NULL
            if raw is not None:
                if table not in parameters:
                    parameters[table] = parameters_under(self.state, None, table)
                context = reread_under(parameters[table], raw)
            expiry = NEVER if expires is None else expires
            edit.grant(table, object, subject, expiry, context)
            if expires is not None:
                self.state.expiries.append((expires, table, object, subject))
        heapq.heapify(self.state.expiries)
        self.state.show(edit.publish(self.state.version.revision, True))
        self.state.serial = self.state.version.serial
        self.set_next()

    cdef bint shapes(self, const ChangeC* changes, Py_ssize_t total, Resolver resolver) except -1:
        """Whether any change is of a structural table."""
        cdef Py_ssize_t i
        cdef uint32_t last = NO_TABLE
        for i in range(total):
            if changes[i].how == HOW_MOVE and resolver.extras[changes[i].extra - 1].replaced in self.state.structural:
                return True
            if changes[i].how != HOW_SKIP and changes[i].table != last:
                last = changes[i].table
                if last in self.state.structural:
                    return True
        return False

    cdef void drop_views(self, const TouchedC* touched, size_t count, list models) noexcept:
        """End the views of the plain subjects that were written about; structural changes end all views by the version's number."""
        cdef size_t i
        cdef uint32_t type
        cdef ModelPlan model
        if self.state.cache.count == 0:
            return
        for i in range(count):
            type = touched[i].type
            for model in models:
                if type < model.plain_count and model.plain_plans[type] != NULL:
                    cache_drop(&self.state.cache, (<Plan>model.plain_plans[type]).serial, touched[i].id)


# ---- payloads of the log: (model number + 1 or 0, names, deletes, writes, grants); docs/format.md ----


cdef tuple payload_of(
        State state, Resolver resolver, const ChangeC* changes, Py_ssize_t deletes, Py_ssize_t total, bytes names, ModelPlan model):
    """What a write changes, by ids: (table, object, subject) of what goes and of what comes, and what is stored with the latter beyond their names."""
    cdef Py_ssize_t i, gone = 0, come = 0
    cdef uint32_t* triples
    cdef bytes out, put
    cdef list grants = []
    cdef ExtraC extra
    for i in range(total):
        if changes[i].how == HOW_SKIP:
            continue
        if i < deletes or changes[i].how == HOW_MOVE:
            gone += 1
        come += i >= deletes
    out = PyBytes_FromStringAndSize(NULL, TRIPLE * gone)
    put = PyBytes_FromStringAndSize(NULL, TRIPLE * come)
    triples = <uint32_t*>PyBytes_AS_STRING(out)
    for i in range(total):
        if (changes[i].how != HOW_SKIP and i < deletes) or (i >= deletes and changes[i].how == HOW_MOVE):
            triples[0] = changes[i].table if i < deletes else resolver.extras[changes[i].extra - 1].replaced
            triples[1] = changes[i].object
            triples[2] = changes[i].subject
            triples += 3
    triples = <uint32_t*>PyBytes_AS_STRING(put)
    come = 0
    for i in range(deletes, total):
        if changes[i].how == HOW_SKIP:
            continue
        triples[0] = changes[i].table
        triples[1] = changes[i].object
        triples[2] = changes[i].subject
        triples += 3
        if changes[i].extra:
            extra = stored_with(resolver, &changes[i])
            if extra.expires != NEVER or extra.context != NULL:
                grants.append((
                    come, None if extra.expires == NEVER else extra.expires,
                    None if extra.context == NULL else (<const char*>extra.context.raw)[:extra.context.raw_size]))
        come += 1
    return 0 if model is None else list(state.sources).index(model.model_id) + 1 if grants else 0, names, out, put, grants


cdef Py_ssize_t payload_size(tuple payload) except -1:
    """About how many bytes a payload takes in memory."""
    return 400 + len(<bytes>payload[1]) + len(<bytes>payload[2]) + len(<bytes>payload[3]) + 200 * len(<list>payload[4])


cdef object damaged(str what):
    return StoreError(f"damaged: {what} of a record of tuples", code="corrupt")


cdef const ContextC* reread(Parameters parameters, bytes raw) except NULL:
    try:
        return context_reread(parameters, <const uint8_t*><const char*>raw, <uint32_t>len(raw))
    except (RequestError, InternalError) as error:
        raise damaged("a context") from error


cdef const ContextC* reread_under(list lists, bytes raw) except NULL:
    """Under the first list of parameters that takes it."""
    cdef Parameters each
    for each in lists:
        try:
            return reread(each, raw)
        except StoreError:
            continue
    raise damaged("a context")


cdef list parameters_under(State state, ModelPlan model, uint32_t table):
    """Of the condition of a table, as a model declares it; without one as any model does, the newest first: a call under another reads contexts again."""
    cdef ModelPlan each
    cdef Conditions conditions
    cdef list found = []
    cdef str name = state.table_condition(table)
    for each in ([model] if model is not None else [state.plan(model_id) for model_id in reversed(state.sources)]):
        conditions = each.conditions
        if conditions is not None and name in conditions.numbers:
            found.append(conditions.parameters[conditions.numbers[name]])
    return found


cdef int apply_payload(Writer writer, Staged staged, object payload) except -1:
    """See Writer.apply."""
    cdef State state = writer.state
    cdef Edit edit = staged.edit
    cdef Resolver resolver = Resolver.__new__(Resolver, state)
    cdef ChangeC* changes = NULL
    cdef const uint8_t* at
    cdef const uint8_t* end
    cdef const uint32_t* triples
    cdef Py_ssize_t i, n_deletes, n_writes, total
    cdef uint16_t type, length
    cdef uint32_t id, stored
    cdef ExtraC* extra
    cdef ModelPlan model = None
    cdef bytes names, out, put
    cdef dict parameters = {}
    if not isinstance(payload, (list, tuple)) or len(payload) != 5:
        raise damaged("the shape")
    number, first, second, third, grants = payload
    if not (isinstance(number, int) and isinstance(first, bytes) and isinstance(second, bytes) and isinstance(third, bytes)
            and isinstance(grants, (list, tuple))):
        raise damaged("the shape")
    names, out, put = first, second, third
    if len(out) % TRIPLE or len(put) % TRIPLE or not 0 <= number <= len(state.sources):
        raise damaged("the size")
    at = <const uint8_t*>PyBytes_AS_STRING(names)
    end = at + len(names)
    while at < end:
        if end - at < NAME_HEAD:
            raise damaged("a name")
        memcpy(&type, at, 2)
        memcpy(&length, at + 2, 2)
        memcpy(&id, at + 4, 4)
        if length == 0 or end - at - NAME_HEAD < length or type >= len(state.symbols.types):
            raise damaged("a name")
        if state.names.intern(<const char*>at + NAME_HEAD, length, type).id != id:
            raise damaged("the id of a name")
        at += NAME_HEAD + length
    n_deletes = len(out) // TRIPLE
    n_writes = len(put) // TRIPLE
    total = n_deletes + n_writes
    try:
        changes = <ChangeC*>malloc(sizeof(ChangeC) * <size_t>(total + 1))
        if changes == NULL:
            raise MemoryError()
        for i in range(total):
            triples = <const uint32_t*>(PyBytes_AS_STRING(out) + TRIPLE * i) if i < n_deletes else <const uint32_t*>(
                PyBytes_AS_STRING(put) + TRIPLE * (i - n_deletes))
            if triples[0] >= state.sibling_count or (triples[1] | triples[2]) & PROVISIONAL:
                raise damaged("a tuple")
            changes[i].table = triples[0]
            changes[i].object = triples[1]
            changes[i].subject = triples[2]
            changes[i].subject_type = state.plain_types[triples[0]]
            changes[i].extra = 0
            changes[i].how = HOW_ADD
        for i in range(n_deletes):
            if edit.has(changes[i].table, changes[i].object, changes[i].subject):
                edit.remove(changes[i].table, changes[i].object, changes[i].subject)
            elif state.ahead:
                take_back(state, &changes[i])
        for i in range(n_deletes, total):
            stored = state.stored_in(edit, changes[i].table, changes[i].object, changes[i].subject)
            if stored == NO_TABLE and state.ahead:
                take_back(state, &changes[i])
            if stored == changes[i].table:
                changes[i].how = HOW_IN_PLACE
                if edit.grant_of(stored, changes[i].object, changes[i].subject) != NULL:
                    resolver.extra(&changes[i])      # nothing, unless the payload says more
            elif stored != NO_TABLE:                 # it had expired where this was written, and has not here
                edit.remove(stored, changes[i].object, changes[i].subject)
        if grants and number:
            model = state.plan(list(state.sources)[number - 1])
        for grant in grants:
            if not (isinstance(grant, (list, tuple)) and len(grant) == 3 and isinstance(grant[0], int) and 0 <= grant[0] < n_writes):
                raise damaged("a grant")
            if not ((grant[1] is None or isinstance(grant[1], int)) and (grant[2] is None or isinstance(grant[2], bytes))):
                raise damaged("a grant")
            i = n_deletes + <Py_ssize_t>grant[0]
            extra = resolver.extra(&changes[i])
            if grant[1] is not None:
                extra.expires = grant[1]
            if grant[2] is not None:
                if changes[i].table not in parameters:
                    parameters[changes[i].table] = parameters_under(state, model, changes[i].table)
                extra.context = reread_under(parameters[changes[i].table], grant[2])
        # The deletes are made: of them only the views and the shape are still to be noted.
        add_all(edit, changes + n_deletes, n_writes)
        if resolver.extra_count:
            writer.grant_all(staged, changes + n_deletes, n_writes, resolver)
        for table in {changes[i].table for i in range(total)} if total <= SORT_FROM else range(edit.table_count):
            edit.settle(table)
        staged.structural = staged.structural or writer.shapes(changes, total, resolver)
        if state.cache.count:
            staged.touch(changes, total)
        else:
            staged.structural = True     # as in perform
    finally:
        free(changes)
    return 0


cdef int take_back(State state, const ChangeC* change) except -1:
    """The clock here let a tuple expire that was deleted, or replaced, before that."""
    if state.ahead.pop((change.table, change.object, change.subject), None) is not None:
        state.expired -= 1
    return 0


cdef int see_repeats(State state, ChangeC* changes, Py_ssize_t count, object items, Resolver resolver, int duplicates, bint allowed) except -1:
    """The same key twice among the writes, or among the deletes, of a call: refused, or where it is allowed, as if the second came in a later call."""
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
                    if not allowed or duplicates == ON_ERROR:
                        raise RequestError(f"the tuple {shown_at(items, i)} is twice in one write", code="duplicate_tuple", index=i)
                    if duplicates == ON_REPLACE:
                        changes[j].how = HOW_SKIP
                    elif changes[j].table == changes[i].table and same_extra(resolver, &changes[j], &changes[i]):
                        changes[i].how = HOW_SKIP
                    else:
                        raise RequestError(
                            f"the tuple {shown_at(items, i)} comes twice, with another condition, context or expiry", code="tuple_differs", index=i)
                    break
                at = (at + 1) & mask
            slots[at] = <uint32_t>i + 1
    finally:
        free(slots)
    return 0


cdef bint same_extra(Resolver resolver, const ChangeC* a, const ChangeC* b) noexcept:
    """Whether two changes store the same beyond the names."""
    cdef ExtraC x = stored_with(resolver, a), y = stored_with(resolver, b)
    return x.expires == y.expires and context_equal(x.context, y.context)


cdef class Renumbering:
    """What a state holds, as payloads of tuples for a new generation: names are numbered anew, as they come, and those that no tuple has do not come."""

    cdef State state
    cdef Version version
    cdef list kinds              # of the tables
    cdef uint32_t** ids          # by type: old id to new; 0xFFFFFFFF: it has not come yet
    cdef uint32_t* counts        # by type: names that have come
    cdef uint32_t types
    cdef Py_ssize_t size         # tuples of a payload
    cdef uint32_t table          # that comes next
    cdef list objects            # of the table under way
    cdef Py_ssize_t at           # the object of them that comes next
    cdef uint32_t object
    cdef IterC members           # of the object under way

    def __cinit__(self, State state not None, Py_ssize_t size):
        cdef uint32_t type
        cdef size_t count
        self.state, self.version, self.size = state, state.version, size
        self.kinds = list(state.symbols.tables)
        self.objects = []
        self.types = <uint32_t>len(state.symbols.types)
        self.ids = <uint32_t**>calloc(self.types + 1, sizeof(uint32_t*))
        self.counts = <uint32_t*>calloc(self.types + 1, 4)
        if self.ids == NULL or self.counts == NULL:
            raise MemoryError()
        for type in range(self.types):
            count = state.names.count_of(<uint16_t>type)
            self.ids[type] = <uint32_t*>malloc(4 * (count + 1))
            if self.ids[type] == NULL:
                raise MemoryError()
            memset(self.ids[type], 0xFF, 4 * (count + 1))
        iter_start(&self.members, &NOTHING)

    def __dealloc__(self):
        cdef uint32_t type
        if self.ids != NULL:
            for type in range(self.types):
                free(self.ids[type])
        free(self.ids)
        free(self.counts)

    def __iter__(self):
        return self

    def __next__(self):
        """The next payload."""
        cdef bytearray names = bytearray()
        cdef bytes put = PyBytes_FromStringAndSize(NULL, TRIPLE * self.size)
        cdef uint32_t* triples = <uint32_t*>PyBytes_AS_STRING(put)
        cdef list grants = []
        cdef Py_ssize_t count = 0
        cdef uint32_t subject, table, object_type
        cdef const GrantC* grant
        cdef SetC found
        while count < self.size:
            if not iter_next(&self.members, &subject):
                if self.at < len(self.objects):
                    self.object = self.objects[self.at]
                    self.at += 1
                    if side_get(&self.version.tables[self.table - 1].forward, self.object, &found):
                        iter_start(&self.members, &found)
                    continue
                if self.table == self.version.table_count or self.table == len(self.kinds):
                    break
                self.objects, self.at = self.version.keys(self.table), 0
                self.table += 1
                continue
            table = self.table - 1
            kind = self.kinds[table]
            object_type = kind[0]
            triples[0] = table
            triples[2] = 0 if kind[2][2] else self.number(<uint32_t>kind[2][0], subject, names)
            triples[1] = self.number(object_type, self.object, names)
            triples += 3
            grant = self.version.grant(table, self.object, subject)
            if grant != NULL:
                grants.append((
                    count, None if grant.expires == NEVER else grant.expires,
                    None if grant.context == NULL else (<const char*>grant.context.raw)[:grant.context.raw_size]))
            count += 1
        if count == 0:
            raise StopIteration
        return 0, bytes(names), b"", put[:TRIPLE * count], grants

    cdef uint32_t number(self, uint32_t type, uint32_t id, bytearray names) except? 0xFFFFFFFFU:
        """The new id of an old one."""
        cdef const NameC* entry
        cdef uint16_t head[2]
        cdef uint32_t number
        if self.ids[type][id] == 0xFFFFFFFFU:
            entry = self.version.names.of(<uint16_t>type, id)
            if entry == NULL:
                raise StoreError("damaged: a tuple of a name that is not there", code="corrupt")
            number = self.counts[type]
            self.counts[type] += 1
            self.ids[type][id] = number
            head[0] = <uint16_t>type
            head[1] = entry.length
            names += (<const char*>head)[:4] + (<const char*>&number)[:4] + (<const char*>(entry + 1))[:entry.length]
        return self.ids[type][id]


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
