"""Versions and edits: see tables.pxd. Called under the store's write lock."""

from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

import cython

from cpython.ref cimport PyObject

from fgacore.kernel.delta cimport side_change
from fgacore.kernel.grants cimport NEVER, grant_drop, grant_get, grant_put, grants_free
from fgacore.kernel.memory cimport edit_abandon, edit_alloc, edit_keep, edit_replace, pointers_add, pointers_free, pointers_reserve
from fgacore.kernel.merge cimport side_rebuild, side_swap
from fgacore.kernel.sets cimport IterC, SetC, iter_next, iter_start, set_contains
from fgacore.kernel.side cimport LeafC, leaves, popcount, side_bytes, side_free, side_get, side_mapped

cdef extern from *:
    long refcount "Py_REFCNT"(PyObject*)

cdef uint64_t PRIVATE_STAMP = <uint64_t>-1      # no published block has it

cdef enum:
    MERGE_MIN = 4096             # changes below which a table is not merged by itself
    MERGE_FRACTION = 8           # and the part of the table above which it is: docs/performance.md
    LOT_MIN = 64                 # tuples that one write adds to a table, from which they may go straight into a new base,
    LOT_FRACTION = 32            # and the part of the table from which they do: a rebuilt tuple costs a tenth of one put into the delta
    MAPPED_MIN = 65536           # as MERGE_MIN, where the base is mapped,
    MAPPED_FRACTION = 2          # and as MERGE_FRACTION and LOT_FRACTION


@cython.no_gc
cdef class Version:
    """The immutable state of all tables at one revision. Hold it to pin it."""

    def __dealloc__(self):
        cdef Version following, after
        cdef uint32_t i
        if self.own.private:
            free(self.tables)
            edit_abandon(&self.own)
            return
        if self.next is None:
            # The newest: what its tables hold is reachable from no other version.
            for i in range(self.table_count):
                if self.tables[i] != NULL:
                    side_free(&self.tables[i].forward)
                    side_free(&self.tables[i].reverse)
                    grants_free(self.tables[i].grants)
                    free(self.tables[i])
        free(self.tables)
        pointers_free(&self.retired, True)
        # A chain of versions that only this one held is released in a loop: one after the other would recurse as deep as it is long.
        following = self.next
        self.next = None
        while following is not None and refcount(<PyObject*>following) == 1 and following.next is not None:
            after = following.next
            following.next = None
            free(following.tables)
            following.tables = NULL
            following.table_count = 0
            pointers_free(&following.retired, True)
            following = after
            after = None         # or the count of the next one would be two

    @staticmethod
    cdef Version empty(uint64_t serial, Names names):
        cdef Version version = Version.__new__(Version)
        version.serial = serial
        version.names = names
        return version

    @staticmethod
    def at_revision(uint64_t serial, uint64_t revision, Names names not None):
        """An empty version with a serial and a revision: where a log begins that was compacted."""
        cdef Version version = Version.empty(serial, names)
        version.revision = revision
        return version

    @property
    def table_total(self):
        """Number of tables."""
        return self.table_count

    def tuple_count(self):
        """Number of stored tuples, over all tables."""
        cdef uint64_t total = 0
        cdef uint32_t i
        for i in range(self.table_count):
            if self.tables[i] != NULL:
                total += self.tables[i].tuple_count
        return total

    def delta_count(self):
        """Number of changes not yet merged into a base, over all tables."""
        cdef uint64_t total = 0
        cdef uint32_t i
        for i in range(self.table_count):
            if self.tables[i] != NULL:
                total += self.tables[i].delta_tuples
        return total

    def table_bytes(self, uint32_t table):
        """Bytes of a table's two bases."""
        cdef const TableC* t
        if table >= self.table_count or self.tables[table] == NULL:
            return 0
        t = self.tables[table]
        return side_bytes(&t.forward) + side_bytes(&t.reverse)

    def members(self, uint32_t table, uint32_t id, bint reverse=False):
        """The members of one set, rising: the subjects of an object, or with reverse the objects of a subject."""
        cdef SetC s
        cdef IterC it
        cdef uint32_t value
        cdef list out = []
        if table >= self.table_count or self.tables[table] == NULL:
            return out
        if not side_get(&self.tables[table].reverse if reverse else &self.tables[table].forward, id, &s):
            return out
        iter_start(&it, &s)
        while iter_next(&it, &value):
            out.append(value)
        return out

    def stored_with(self, uint32_t table, uint32_t object, uint32_t subject):
        """(instant of expiry or None, context as msgpack or None) of a tuple that is stored."""
        cdef const GrantC* grant = self.grant(table, object, subject)
        if grant == NULL:
            return None, None
        return None if grant.expires == NEVER else grant.expires, None if grant.context == NULL else (<const char*>grant.context.raw)[:grant.context.raw_size]

    def keys(self, uint32_t table, bint reverse=False):
        """The ids that have a set in one side of a table, rising: the objects, or with reverse the subjects."""
        cdef const SideC* side
        cdef LeafC* delta = NULL
        cdef uint32_t delta_count = 0, d = 0, page, base_id
        cdef uint64_t bits
        cdef list out = []
        if table >= self.table_count or self.tables[table] == NULL:
            return out
        side = &self.tables[table].reverse if reverse else &self.tables[table].forward
        try:
            if side.root != NULL:
                delta = <LeafC*>malloc(sizeof(LeafC) * (side.delta_count + 1))
                if delta == NULL:
                    raise MemoryError()
                leaves(side.root, side.height, 0, delta, &delta_count)
            for page in range(side.page_count):
                bits = side.pages[page].bits
                while bits:
                    base_id = 64 * page + <uint32_t>popcount((bits & (0 - bits)) - 1)
                    bits &= bits - 1
                    while d < delta_count and delta[d].id < base_id:
                        if delta[d].block.set.count:
                            out.append(delta[d].id)
                        d += 1
                    if d < delta_count and delta[d].id == base_id:
                        if delta[d].block.set.count:
                            out.append(base_id)
                        d += 1
                    else:
                        out.append(base_id)
            while d < delta_count:
                if delta[d].block.set.count:
                    out.append(delta[d].id)
                d += 1
        finally:
            free(delta)
        return out

    cdef bint has(self, uint32_t table, uint32_t object, uint32_t subject) noexcept nogil:
        """Whether a tuple is stored."""
        return tables_has(self.tables, self.table_count, table, object, subject)

    cdef const GrantC* grant(self, uint32_t table, uint32_t object, uint32_t subject) noexcept nogil:
        """What is stored with a tuple that is stored; NULL: nothing."""
        return tables_grant(self.tables, self.table_count, table, object, subject)


cdef bint tables_has(TableC** tables, uint32_t table_count, uint32_t table, uint32_t object, uint32_t subject) noexcept nogil:
    cdef SetC s
    if table >= table_count or tables[table] == NULL:
        return 0
    return side_get(&tables[table].forward, object, &s) and set_contains(&s, subject)


cdef const GrantC* tables_grant(TableC** tables, uint32_t table_count, uint32_t table, uint32_t object, uint32_t subject) noexcept nogil:
    if table >= table_count or tables[table] == NULL:
        return NULL
    return grant_get(tables[table].grants, object, subject)


@cython.no_gc
cdef class Edit:
    """A private next version in the making: change it, then publish it or let it go. One at a time for a store."""

    def __cinit__(self, Version before not None, uint64_t serial, uint32_t table_count, bint private=False):
        cdef uint32_t count = table_count if table_count > before.table_count else before.table_count
        memset(&self.c, 0, sizeof(EditC))
        self.c.stamp = PRIVATE_STAMP if private else serial
        self.c.private = private
        self.before = before
        self.tables = <TableC**>calloc(count + 1, sizeof(TableC*))
        if self.tables == NULL:
            raise MemoryError()
        if before.table_count:
            memcpy(self.tables, before.tables, before.table_count * sizeof(TableC*))
        self.table_count = count

    def __dealloc__(self):
        edit_abandon(&self.c)    # empty once published
        free(self.tables)

    cdef TableC* table_own(self, uint32_t table) except NULL:
        cdef TableC* old
        cdef TableC* own
        if table >= self.table_count:
            raise IndexError("no such table")
        old = self.tables[table]
        if old != NULL and old.stamp == self.c.stamp:
            return old
        own = <TableC*>edit_alloc(&self.c, sizeof(TableC))
        if old == NULL:
            memset(own, 0, sizeof(TableC))
        else:
            own[0] = old[0]
            edit_replace(&self.c, old)
        own.stamp = self.c.stamp
        self.tables[table] = own
        return own

    cdef bint has(self, uint32_t table, uint32_t object, uint32_t subject) noexcept nogil:
        """Whether a tuple is stored, by the edit or before it."""
        return tables_has(self.tables, self.table_count, table, object, subject)

    cdef const GrantC* grant_of(self, uint32_t table, uint32_t object, uint32_t subject) noexcept nogil:
        """What is stored with a tuple that `has` says is stored; NULL: nothing. Until the edit's next change."""
        return tables_grant(self.tables, self.table_count, table, object, subject)

    cdef int add(self, uint32_t table, uint32_t object, uint32_t subject) except -1:
        """Store a tuple that is not stored."""
        cdef TableC* t = self.table_own(table)
        self.changed = True
        side_change(&self.c, &t.forward, object, subject, 1)
        side_change(&self.c, &t.reverse, subject, object, 1)
        t.tuple_count += 1
        t.delta_tuples += 1
        return 0

    cdef int remove(self, uint32_t table, uint32_t object, uint32_t subject) except -1:
        """Drop a tuple that is stored."""
        cdef TableC* t = self.table_own(table)
        self.changed = True
        side_change(&self.c, &t.forward, object, subject, 0)
        side_change(&self.c, &t.reverse, subject, object, 0)
        if t.grants != NULL:
            grant_drop(&self.c, &t.grants, object, subject)
        t.tuple_count -= 1
        t.delta_tuples += 1
        return 0

    cdef int grant(self, uint32_t table, uint32_t object, uint32_t subject, int64_t expires, const ContextC* context) except -1:
        """Say what is stored with a tuple of the edit, in the place of what was. The context is the edit's from here on, also where this fails."""
        cdef TableC* t
        if context != NULL:
            edit_keep(&self.c, <void*>context)
        t = self.table_own(table)
        self.changed = True
        if context != NULL or expires != NEVER:
            return grant_put(&self.c, &t.grants, object, subject, expires, context)
        return grant_drop(&self.c, &t.grants, object, subject)

    cdef int add_many(self, uint32_t table, uint64_t* by_object, uint64_t* by_subject, size_t count) except -1:
        """Store many tuples that are not stored: (object << 32 | subject) and (subject << 32 | object), each sorted and without repeats.

        A lot that is large beside the table goes straight into a new base; a smaller one into the delta. Beside a mapped base it is half as large
        as the table or goes into the delta: a new base is private memory, and the next snapshot takes the delta in.
        """
        cdef TableC* t = self.table_own(table)
        cdef SideC forward, reverse
        cdef size_t i
        cdef uint32_t fraction = MAPPED_FRACTION if side_mapped(&t.forward) else LOT_FRACTION
        self.changed = True
        pointers_reserve(&self.c.fresh, 6)       # so that a rebuilt side is never lost
        if count >= LOT_MIN and count * fraction >= t.tuple_count:
            with nogil:
                side_rebuild(&t.forward, by_object, count, &forward)
                side_swap(&self.c, &t.forward, &forward)
                side_rebuild(&t.reverse, by_subject, count, &reverse)
                side_swap(&self.c, &t.reverse, &reverse)
            t.delta_tuples = 0
        else:
            for i in range(count):
                side_change(&self.c, &t.forward, <uint32_t>(by_object[i] >> 32), <uint32_t>by_object[i], 1)
            for i in range(count):
                side_change(&self.c, &t.reverse, <uint32_t>(by_subject[i] >> 32), <uint32_t>by_subject[i], 1)
            t.delta_tuples += count
        t.tuple_count += count
        return 0

    cdef int merge(self, uint32_t table) except -1:
        """Fold a table's delta into a new base."""
        cdef TableC* t = self.tables[table] if table < self.table_count else NULL
        cdef SideC forward, reverse
        if t == NULL or (t.forward.root == NULL and t.reverse.root == NULL):
            return 0
        t = self.table_own(table)
        pointers_reserve(&self.c.fresh, 6)
        with nogil:
            side_rebuild(&t.forward, NULL, 0, &forward)
            side_swap(&self.c, &t.forward, &forward)
            side_rebuild(&t.reverse, NULL, 0, &reverse)
            side_swap(&self.c, &t.reverse, &reverse)
        t.delta_tuples = 0
        return 0

    cdef int settle(self, uint32_t table) except -1:
        """Merge a table whose delta has grown beyond its part. Over a mapped base, which a merge replaces by private memory, a much larger one."""
        cdef TableC* t = self.tables[table] if table < self.table_count else NULL
        if t == NULL or t.delta_tuples < MERGE_MIN or t.delta_tuples * MERGE_FRACTION < t.tuple_count:
            return 0
        if side_mapped(&t.forward) and (t.delta_tuples < MAPPED_MIN or t.delta_tuples * MAPPED_FRACTION < t.tuple_count):
            return 0
        return self.merge(table)

    cdef Version publish(self, uint64_t revision, bint structural):
        """The version, which takes over what the edit allocated. The version before is given what it must keep for its readers."""
        cdef Version version = Version.__new__(Version)
        cdef size_t i
        pointers_reserve(&self.before.retired, self.c.retired.count)    # the last that can fail
        version.tables = self.tables
        version.table_count = self.table_count
        version.names = self.before.names
        version.revision = revision
        version.serial = self.c.stamp
        version.structural = self.c.stamp if structural else self.before.structural
        for i in range(self.c.retired.count):    # the caller may have added blocks of the names
            pointers_add(&self.before.retired, self.c.retired.items[i])
        pointers_free(&self.c.discarded, True)
        pointers_free(&self.c.fresh, False)
        pointers_free(&self.c.retired, False)
        self.tables = NULL
        self.table_count = 0
        self.before.next = version
        self.before = None
        return version

    @staticmethod
    cdef Edit private(Version before, uint32_t table_count):
        """An edit for one call: any number at once, beside readers and the writer."""
        return Edit(before, 0, table_count, True)

    cdef Version publish_private(self):
        """The version of a private edit, for its call alone. It has no views, and keeps the version that it lies above."""
        cdef Version version = Version.__new__(Version)
        version.tables = self.tables
        version.table_count = self.table_count
        version.names = self.before.names
        version.revision = self.before.revision
        version.serial = self.before.serial
        version.structural = self.before.structural
        version.own = self.c
        version.base = self.before
        self.tables = NULL
        self.table_count = 0
        memset(&self.c, 0, sizeof(EditC))
        self.before = None
        return version

    def change(self, uint32_t table, add=(), remove=(), expires=None, bint together=False):
        """Remove and add (object, subject) pairs, if need be many together; `expires` is stored with each of those to add: for tests."""
        cdef uint64_t* pairs
        cdef size_t i, count
        for object, subject in remove:
            if self.has(table, object, subject):
                self.remove(table, object, subject)
        add = set(add)
        added = sorted([(object, subject) for object, subject in add if not self.has(table, object, subject)])
        if together and added:
            count = len(added)
            pairs = <uint64_t*>malloc(16 * count)
            if pairs == NULL:
                raise MemoryError()
            try:
                for i, (object, subject) in enumerate(added):
                    pairs[i] = <uint64_t>object << 32 | <uint32_t>subject
                for i, (subject, object) in enumerate(sorted((subject, object) for object, subject in added)):
                    pairs[count + i] = <uint64_t>subject << 32 | <uint32_t>object
                self.add_many(table, pairs, pairs + count, count)
            finally:
                free(pairs)
        for object, subject in added:
            if not together:
                self.add(table, object, subject)
        for object, subject in add if expires is not None else ():
            self.grant(table, object, subject, expires, NULL)

    def holds(self, uint32_t table, uint32_t object, uint32_t subject):
        """Whether a tuple is stored, and when it expires: (False, None), (True, None), (True, instant). For tests."""
        cdef const GrantC* grant = self.grant_of(table, object, subject)
        if not self.has(table, object, subject):
            return False, None
        return True, None if grant == NULL or grant.expires == NEVER else grant.expires

    def finish(self, uint64_t revision, merging=(), settling=()):
        """The version of the edit, after some tables were merged, and some settled: for tests."""
        if self.before is None:
            raise ValueError("an edit is published once")
        if self.c.private:
            return self.publish_private()
        for table in merging:
            self.merge(table)
        for table in settling:
            self.settle(table)
        return self.publish(revision, True)
