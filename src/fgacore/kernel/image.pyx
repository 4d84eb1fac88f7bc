"""See image.pxd. Writing reads a version that is held, beside readers and writers; opening makes a version whose bases lie in the memory given."""

from libc.stdint cimport uintptr_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

import cython

from cpython.buffer cimport PyBuffer_FillInfo

from fgacore.errors import StoreError
from fgacore.kernel.grants cimport NEVER, GrantC, grant_is_leaf, grant_of_leaf
from fgacore.kernel.merge cimport WORDS_SPARE, side_rebuild
from fgacore.kernel.names cimport (
    ID_MAX, UNIT, BaseC, NameC, Names, NamesC, base_count, base_free, base_of, base_slot, fga_hash, names_count, names_entry,
)
from fgacore.kernel.sets cimport RUN_MAX
from fgacore.kernel.side cimport LARGE, TRIE_WIDTH, NodeC, PageC, SideC, popcount
from fgacore.kernel.tables cimport TableC, Version

cdef extern from "Python.h":
    Py_buffer* PyMemoryView_GET_BUFFER(object view)

cdef enum:
    CHUNK_BYTES = 1 << 20        # of what is put together piece by piece
    PAGES_MAX = 1 << 25          # 2^31 ids
    TYPES_MAX = 65536
    LEVELS_MAX = 8               # of a trie of grants
    ALIGNMENT = 64               # formats.SNAPSHOT_ALIGNMENT

assert sizeof(SideEntryC) == 48 and sizeof(GrantEntryC) == 24 and sizeof(TypeEntryC) == 8 and sizeof(PageC) == 16

cdef int64_t INSTANT_MIN = -62_135_596_800_000_000, INSTANT_END = 253_402_300_800_000_000   # the years 1 and 10,000
cdef bytes ZEROS = bytes(4 * WORDS_SPARE + ALIGNMENT)


cdef object damaged(str section, str why):
    return StoreError(f"the snapshot is damaged: its section {section} {why}", code="corrupt")


# ---- writing ----

@cython.no_gc
cdef class Block:
    """Memory that goes out as a buffer: its own, or what `owner` keeps."""

    cdef char* data
    cdef Py_ssize_t size
    cdef object owner

    @staticmethod
    cdef Block room(size_t size):
        cdef Block block = Block.__new__(Block)
        block.data = <char*>malloc(size + 1)
        if block.data == NULL:
            raise MemoryError()
        block.size = size
        return block

    def __dealloc__(self):
        if self.owner is None:
            free(self.data)

    def __getbuffer__(self, Py_buffer* buffer, int flags):
        PyBuffer_FillInfo(buffer, self, self.data, self.size, True, flags)


@cython.no_gc
cdef class NamesImage:
    """The names of an image in the making. What can move or grow is copied when it is made, under the GIL; the entries stay where they are."""

    cdef Names names
    cdef uint32_t type_count
    cdef uint64_t total
    cdef uint32_t* counts        # by type: ids to write
    cdef uint32_t* frozen        # by type: how many of them lie in the base of the names
    cdef uint32_t* others        # the places of the others, type after type
    cdef Block places            # of the image
    cdef Block slots
    cdef uint64_t slot_count
    cdef uint64_t unit           # of the arena: the next
    cdef uint32_t type           # of the next entry, `done` were before it, `other` of them not from the base
    cdef uint32_t id
    cdef uint64_t done
    cdef uint64_t other

    def __cinit__(self, Names names not None, counts):
        cdef uint32_t type, known, frozen, wanted
        cdef uint64_t others = 0
        cdef TypeEntryC* entry
        self.names = names
        self.type_count = names.type_count if counts is None else <uint32_t>min(len(counts), TYPES_MAX)
        self.counts = <uint32_t*>calloc(self.type_count + 1, 4)
        self.frozen = <uint32_t*>calloc(self.type_count + 1, 4)
        if self.counts == NULL or self.frozen == NULL:
            raise MemoryError()
        for type in range(self.type_count):
            known = names_count(names, type)
            wanted = known if counts is None else counts[type]
            if wanted > known:
                raise ValueError("more names than there are")
            self.counts[type] = wanted
            frozen = base_count(names.c.base, type)
            self.frozen[type] = min(frozen, wanted)
            self.total += wanted
            others += wanted - self.frozen[type]
        self.slot_count = self.total + self.total // 2 + 1      # 2/3 full: an absent name costs five slots, side by side
        if self.slot_count > 0xFFFFFFFFU:
            raise MemoryError("more than 2^31 names")
        self.others = <uint32_t*>malloc(4 * (others + 1))
        if self.others == NULL:
            raise MemoryError()
        self.places = Block.room(8 + sizeof(TypeEntryC) * self.type_count + 4 * self.total)
        self.slots = Block.room(8 * self.slot_count)
        memset(self.slots.data, 0, 8 * self.slot_count)
        (<uint32_t*>self.places.data)[0] = self.type_count
        (<uint32_t*>self.places.data)[1] = <uint32_t>self.total
        entry = <TypeEntryC*>(self.places.data + 8)
        known = 0
        others = 0
        for type in range(self.type_count):
            entry[type].count = self.counts[type]
            entry[type].first = known
            known += self.counts[type]
            wanted = self.counts[type] - self.frozen[type]
            if wanted:
                memcpy(self.others + others, names.places[type], 4 * <size_t>wanted)
            others += wanted

    def __dealloc__(self):
        free(self.counts)
        free(self.frozen)
        free(self.others)

    cdef int64_t fill(self, char* out, int64_t room) noexcept nogil:
        """Entries, as many as fit, in the order of types and ids, and their slots and places. Bytes filled, 0: all are written; -1: the base is damaged; -2: full."""
        cdef const NamesC* c = &self.names.c
        cdef uint32_t* places = <uint32_t*>(self.places.data + 8 + sizeof(TypeEntryC) * self.type_count)
        cdef uint64_t* slots = <uint64_t*>self.slots.data
        cdef const NameC* entry
        cdef int64_t used = 0
        cdef uint64_t units, hash, at
        if self.unit == 0:
            memset(out, 0, UNIT)
            self.unit = 1
            used = UNIT
        while self.type < self.type_count:
            if self.id == self.counts[self.type]:
                self.type += 1
                self.id = 0
                continue
            if self.id < self.frozen[self.type]:
                entry = base_of(c.base, <unsigned short>self.type, self.id)
                if entry == NULL:
                    return -1
            else:
                entry = names_entry(c, self.others[self.other])
            units = (sizeof(NameC) + entry.length + UNIT - 1) // UNIT
            if used + <int64_t>(units * UNIT) > room:
                break
            if self.unit + units > 0xFFFFFFFFU:
                return -2
            memset(out + used + (units - 1) * UNIT, 0, UNIT)
            memcpy(out + used, entry, sizeof(NameC) + entry.length)
            used += units * UNIT
            hash = fga_hash(c.seed, <const char*>(entry + 1), entry.length)
            at = <uint64_t><uint32_t>hash * self.slot_count >> 32
            while slots[at]:
                at += 1
                if at == self.slot_count:
                    at = 0
            slots[at] = (hash & <uint64_t>0xFFFFFFFF00000000U) | self.unit
            places[self.done] = <uint32_t>self.unit
            self.other += self.id >= self.frozen[self.type]
            self.done += 1
            self.id += 1
            self.unit += units
        return used


cdef object padding(uint64_t size):
    """The zeros that fill up to the next border of 64 bytes."""
    return memoryview(ZEROS)[:(0 - size) & (ALIGNMENT - 1)]


cdef list side_chunks(Version version, const SideC* side, SideEntryC* entry, uint64_t at):
    """A side as one base, in chunks of the section `sets` from byte `at` on, and where they lie; no chunk where it is empty. With a delta it is
    merged into a copy of its own, which goes with the chunks."""
    cdef SideC base = side[0]
    cdef Block pages = Block.__new__(Block), offsets = Block.__new__(Block), words = Block.__new__(Block)
    cdef list out
    memset(entry, 0, sizeof(SideEntryC))
    if side.root == NULL:
        pages.owner = offsets.owner = words.owner = version
    else:
        with nogil:
            side_rebuild(side, NULL, 0, &base)
    pages.data, offsets.data, words.data = <char*>base.pages, <char*>base.offsets, <char*>base.words
    if base.set_count == 0:
        return []
    pages.size = 16 * <Py_ssize_t>base.page_count
    offsets.size = 4 * (<Py_ssize_t>base.set_count + 1)
    words.size = 4 * <Py_ssize_t>base.word_count
    entry.page_count = base.page_count
    entry.set_count = base.set_count
    entry.word_count = base.word_count
    entry.pages = at
    entry.offsets = (entry.pages + pages.size + ALIGNMENT - 1) & ~<uint64_t>(ALIGNMENT - 1)
    entry.words = (entry.offsets + offsets.size + ALIGNMENT - 1) & ~<uint64_t>(ALIGNMENT - 1)
    return [
        memoryview(pages), padding(pages.size), memoryview(offsets), padding(offsets.size), memoryview(words),
        memoryview(ZEROS)[:4 * WORDS_SPARE + ((0 - <uint64_t>words.size - 4 * WORDS_SPARE) & (ALIGNMENT - 1))],
    ]


cdef struct WalkC:               # a position in a trie of grants
    const NodeC* nodes[8]        # LEVELS_MAX
    uint32_t at[8]               # the next child of each
    uint32_t depth
    const GrantC* chain


cdef void walk_into(WalkC* walk, const void* child) noexcept nogil:
    if child == NULL:
        return
    if grant_is_leaf(child):
        walk.chain = grant_of_leaf(child)
    elif walk.depth < LEVELS_MAX:
        walk.nodes[walk.depth] = <const NodeC*>child
        walk.at[walk.depth] = 0
        walk.depth += 1


cdef void walk_begin(WalkC* walk, const void* root) noexcept nogil:
    walk.depth = 0
    walk.chain = NULL
    walk_into(walk, root)


cdef const GrantC* walk_peek(WalkC* walk) noexcept nogil:
    """The grant at hand, which `walk.chain` is; NULL: there are no more."""
    cdef uint32_t i
    while walk.chain == NULL and walk.depth:
        i = walk.depth - 1
        if walk.at[i] == TRIE_WIDTH:
            walk.depth -= 1
            continue
        walk.at[i] += 1
        walk_into(walk, walk.nodes[i].child[walk.at[i] - 1])
    return walk.chain


cdef int64_t grants_fill(WalkC* walk, uint32_t table, char* out, int64_t room) noexcept nogil:
    """Grants, as many as fit. Bytes filled; 0: there are no more, or the next one alone is larger."""
    cdef GrantEntryC entry
    cdef const GrantC* grant
    cdef int64_t used = 0
    while True:
        grant = walk_peek(walk)
        if grant == NULL:
            return used
        entry.table = table
        entry.object = grant.object
        entry.subject = grant.subject
        entry.size = grant.context.raw_size if grant.context != NULL else 0
        entry.expires = grant.expires
        if used + <int64_t>sizeof(GrantEntryC) + entry.size > room:
            return used
        memcpy(out + used, &entry, sizeof(GrantEntryC))
        used += sizeof(GrantEntryC)
        if entry.size:
            memcpy(out + used, grant.context.raw, entry.size)
            used += entry.size
        walk.chain = grant.next


def image_write(Version version not None, counts=None):
    """The image of a version: an iterator of (section, bytes), section after section, each in its pieces, in the order of formats.SNAPSHOT_SECTIONS.

    counts: how many names to take, by type; default: all there are at this call. Deltas are merged, one side at a time. Others may write meanwhile:
    what was taken at the call does not change. A piece may be kept as long as one likes.
    """
    return pieces(version, NamesImage(version.names, counts))


def pieces(Version version, NamesImage names):
    cdef Block block, entries
    cdef SideEntryC* entry
    cdef const GrantC* grant
    cdef WalkC walk
    cdef int64_t filled
    cdef uint64_t at = 0, room
    cdef uint32_t table
    while True:
        block = Block.room(CHUNK_BYTES)
        with nogil:
            filled = names.fill(block.data, CHUNK_BYTES)
        if filled == -1:
            raise damaged("names.arena", "does not have the name of an id")
        if filled == -2:
            raise MemoryError("more than 32 GiB of names")
        if filled == 0:
            break
        block.size = filled
        yield "names.arena", memoryview(block)
    yield "names.slots", memoryview(names.slots)
    yield "names.places", memoryview(names.places)
    names = None
    entries = Block.room(2 * sizeof(SideEntryC) * <size_t>version.table_count)
    memset(entries.data, 0, entries.size)
    yield "sets", memoryview(b"")
    for table in range(version.table_count):
        if version.tables[table] == NULL or version.tables[table].tuple_count == 0:
            continue
        for reverse in range(2):
            entry = &(<SideEntryC*>entries.data)[2 * table + <uint32_t>reverse]
            chunks = side_chunks(version, &version.tables[table].reverse if reverse else &version.tables[table].forward, entry, at)
            entry.tuple_count = version.tables[table].tuple_count
            for chunk in chunks:
                at += <uint64_t>len(chunk)
                yield "sets", chunk
            chunks = chunk = None
    yield "sides", memoryview(entries)
    yield "grants", memoryview(b"")
    for table in range(version.table_count):
        if version.tables[table] == NULL:
            continue
        walk_begin(&walk, version.tables[table].grants)
        while True:
            grant = walk_peek(&walk)
            if grant == NULL:
                break
            room = sizeof(GrantEntryC) + (grant.context.raw_size if grant.context != NULL else 0)
            block = Block.room(max(room, <uint64_t>CHUNK_BYTES))
            with nogil:
                filled = grants_fill(&walk, table, block.data, block.size)
            block.size = filled
            yield "grants", memoryview(block)


# ---- opening ----

cdef const char* section_of(object sections, str name, list views, uint64_t* size) except NULL:
    """Where a section lies; a view of it goes to `views`, which keeps it there."""
    cdef Py_buffer* buffer
    view = sections.get(name)
    if view is None:
        raise damaged(name, "is missing")
    view = memoryview(view)
    buffer = PyMemoryView_GET_BUFFER(view)
    if not view.c_contiguous or <uintptr_t>buffer.buf & 7:
        raise ValueError("a section is one block, aligned to 8 bytes")
    views.append(view)
    size[0] = <uint64_t>buffer.len
    return <const char*>buffer.buf


cdef BaseC* base_open(object sections, list views) except NULL:
    """The names of an image. Their directory is checked; places and entries are where they are used."""
    cdef uint64_t slots_size = 0, arena_size = 0, places_size = 0, total = 0
    cdef const char* slots = section_of(sections, "names.slots", views, &slots_size)
    cdef const char* arena = section_of(sections, "names.arena", views, &arena_size)
    cdef const char* places = section_of(sections, "names.places", views, &places_size)
    cdef const TypeEntryC* entry = <const TypeEntryC*>(places + 8)
    cdef uint32_t type, type_count, count
    cdef BaseC* base
    if slots_size & 7 or not 1 <= slots_size >> 3 <= 0xFFFFFFFFU:
        raise damaged("names.slots", "has an impossible size")
    if arena_size & 7 or not 1 <= arena_size >> 3 <= 0xFFFFFFFFU:
        raise damaged("names.arena", "has an impossible size")
    if places_size < 8:
        raise damaged("names.places", "has an impossible size")
    type_count = (<const uint32_t*>places)[0]
    count = (<const uint32_t*>places)[1]
    if type_count > TYPES_MAX or places_size != 8 + sizeof(TypeEntryC) * <uint64_t>type_count + 4 * <uint64_t>count:
        raise damaged("names.places", "has another size than it says")
    for type in range(type_count):
        if entry[type].first != total or entry[type].count > ID_MAX:
            raise damaged("names.places", "has a wrong directory")
        total += entry[type].count
    if total != count:
        raise damaged("names.places", "has a wrong directory")
    base = <BaseC*>calloc(1, sizeof(BaseC))
    if base == NULL:
        raise MemoryError()
    base.counts = <uint32_t*>malloc(4 * <size_t>(type_count + 1))
    base.firsts = <uint32_t*>malloc(4 * <size_t>(type_count + 1))
    if base.counts == NULL or base.firsts == NULL:
        base_free(base)
        raise MemoryError()
    for type in range(type_count):
        base.counts[type] = entry[type].count
        base.firsts[type] = entry[type].first
    base.slots = <const uint64_t*>slots
    base.slot_count = <uint32_t>(slots_size >> 3)
    base.arena = arena
    base.unit_count = arena_size >> 3
    base.places = <const uint32_t*>(entry + type_count)
    base.count = count
    base.type_count = type_count
    return base


cdef bint lies_within(uint64_t at, uint64_t bytes, uint64_t size) noexcept nogil:
    return at & (ALIGNMENT - 1) == 0 and at <= size and bytes <= size - at


cdef bint side_open(const SideEntryC* entry, const char* sets, uint64_t size, SideC* side) noexcept nogil:
    """Lay a side over its part of the section `sets`. 0: what side_get follows without a look is not as it must be."""
    cdef const PageC* pages
    cdef const uint32_t* offsets
    cdef uint64_t rank = 0
    cdef uint32_t i, start, end, wrong = 0
    memset(side, 0, sizeof(SideC))
    if entry.set_count == 0 and entry.page_count == 0 and entry.word_count == 0:
        return entry.tuple_count == 0
    if not 1 <= entry.page_count <= PAGES_MAX or entry.word_count >= LARGE:
        return 0
    if not lies_within(entry.pages, 16 * <uint64_t>entry.page_count, size) or not lies_within(entry.offsets, 4 * (<uint64_t>entry.set_count + 1), size):
        return 0
    if not lies_within(entry.words, 4 * (entry.word_count + WORDS_SPARE), size):
        return 0
    pages = <const PageC*>(sets + entry.pages)
    offsets = <const uint32_t*>(sets + entry.offsets)
    for i in range(entry.page_count):
        wrong |= pages[i].rank != <uint32_t>rank
        rank += <uint32_t>popcount(pages[i].bits)
    if wrong or rank != entry.set_count:
        return 0
    for i in range(entry.set_count):         # runs of at least one and at most RUN_MAX members; a large set checks itself
        start = offsets[i] & (LARGE - 1)
        end = offsets[i + 1] & (LARGE - 1)
        wrong |= (end <= start) | ((offsets[i] < LARGE) & (end - start > RUN_MAX))
    if wrong or offsets[entry.set_count] & (LARGE - 1) > entry.word_count:
        return 0
    side.pages = pages
    side.offsets = offsets
    side.words = <const uint32_t*>(sets + entry.words)
    side.word_count = entry.word_count
    side.page_count = entry.page_count
    side.set_count = entry.set_count
    return 1


cdef bint grants_shaped(const char* data, uint64_t size) noexcept nogil:
    """Whether the section `grants` is entries and nothing else, their instants such as a datetime can have."""
    cdef GrantEntryC entry
    while size:
        if size < sizeof(GrantEntryC):
            return 0
        memcpy(&entry, data, sizeof(GrantEntryC))
        if entry.size > size - sizeof(GrantEntryC) or (entry.expires != NEVER and not INSTANT_MIN <= entry.expires < INSTANT_END):
            return 0
        data += sizeof(GrantEntryC) + entry.size
        size -= sizeof(GrantEntryC) + entry.size
    return 1


def image_open(sections not None, bytes seed not None, uint64_t generation, bytes store not None, owner, uint64_t serial, uint64_t revision):
    """(Names, Version) over the sections of an image, a mapping of names to buffers. Nothing is copied: the names hold `owner` and views of the buffers.

    Every size, rank and offset is checked first, whatever the bytes: StoreError `corrupt` names the section. The tuples have no grants yet: image_grants.
    """
    cdef list views = []
    cdef Names names = Names(seed, generation, store)
    cdef Version version = Version.__new__(Version)
    cdef uint64_t sets_size = 0, sides_size = 0, grants_size = 0
    cdef const char* sets
    cdef const SideEntryC* entries
    cdef const char* grants
    cdef uint32_t table, table_count
    cdef TableC* t
    cdef bint good
    names.lay_base(base_open(sections, views), (owner, views))
    sets = section_of(sections, "sets", views, &sets_size)
    entries = <const SideEntryC*>section_of(sections, "sides", views, &sides_size)
    grants = section_of(sections, "grants", views, &grants_size)
    if sides_size % (2 * sizeof(SideEntryC)) or sides_size // (2 * sizeof(SideEntryC)) > 0x7FFFFFFF:
        raise damaged("sides", "has an impossible size")
    with nogil:
        good = grants_shaped(grants, grants_size)
    if not good:
        raise damaged("grants", "is not grants")
    version.names = names
    version.revision = revision
    version.serial = version.structural = serial
    table_count = <uint32_t>(sides_size // (2 * sizeof(SideEntryC)))
    version.tables = <TableC**>calloc(table_count + 1, sizeof(TableC*))
    if version.tables == NULL:
        raise MemoryError()
    version.table_count = table_count
    for table in range(table_count):
        if entries[2 * table].tuple_count != entries[2 * table + 1].tuple_count:
            raise damaged("sides", f"counts the tuples of table {table} twice, and differently")
        if entries[2 * table].tuple_count == 0 and entries[2 * table].set_count == 0 and entries[2 * table + 1].set_count == 0:
            continue
        t = <TableC*>calloc(1, sizeof(TableC))
        if t == NULL:
            raise MemoryError()
        t.stamp = serial
        version.tables[table] = t
        with nogil:
            good = side_open(&entries[2 * table], sets, sets_size, &t.forward) and side_open(&entries[2 * table + 1], sets, sets_size, &t.reverse)
        if not good or t.forward.pages == NULL or t.reverse.pages == NULL:
            raise damaged("sets", f"does not hold table {table} as the section sides has it")
        t.tuple_count = entries[2 * table].tuple_count
    return names, version


def image_grants(section not None):
    """What is stored with tuples, of the section `grants`: (table, object, subject, instant of expiry or None, context as msgpack or None)."""
    cdef GrantEntryC entry
    cdef Py_buffer* buffer
    cdef const char* data
    cdef uint64_t at = 0, size
    view = memoryview(section)
    buffer = PyMemoryView_GET_BUFFER(view)
    data = <const char*>buffer.buf
    size = <uint64_t>buffer.len
    if not view.c_contiguous or not grants_shaped(data, size):
        raise damaged("grants", "is not grants")
    while at < size:
        memcpy(&entry, data + at, sizeof(GrantEntryC))
        context = (data + at + sizeof(GrantEntryC))[:entry.size] if entry.size else None
        at += sizeof(GrantEntryC) + entry.size
        yield entry.table, entry.object, entry.subject, None if entry.expires == NEVER else entry.expires, context
