"""Interning and growth: see names.pxd. Everything here but the finding runs under the store's write lock and the GIL."""

from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy

import cython

from cpython.list cimport PyList_New

from fgacore.errors import StoreError
from fgacore.kernel.memory cimport pointers_add, pointers_free, pointers_reserve

cdef enum:
    SLOTS_MIN = 256
    LOAD_NUMERATOR = 5           # grow above 5/8 full: a look-up probes 1.3 slots on average, an absent name 2.4
    LOAD_DENOMINATOR = 8


cdef extern from *:
    """
    /* Put UTF-8 into a new list as a str; ASCII, which nearly all names are, without a decoder. */
    static inline int fga_put_text(PyObject *list, Py_ssize_t i, const char *text, Py_ssize_t length) {
        uint64_t word, high = 0;
        Py_ssize_t at;
        PyObject *out = PyUnicode_New(length, 127);
        char *to;
        if (out == NULL) return -1;
        to = (char *)PyUnicode_1BYTE_DATA(out);
        if (length >= 8) {
            for (at = 0; at + 8 <= length; at += 8) {
                memcpy(&word, text + at, 8);
                memcpy(to + at, &word, 8);
                high |= word;
            }
            memcpy(&word, text + length - 8, 8);
            memcpy(to + length - 8, &word, 8);
            high |= word;
        } else {
            for (at = 0; at < length; at++) high |= (uint64_t)(unsigned char)(to[at] = text[at]);
        }
        if (high & 0x8080808080808080u) {
            Py_DECREF(out);
            out = PyUnicode_DecodeUTF8(text, length, NULL);
        }
        if (out == NULL) return -1;
        PyList_SET_ITEM(list, i, out);
        return 0;
    }
    """
    int fga_put_text(object items, Py_ssize_t i, const char* text, Py_ssize_t length) except -1


@cython.no_gc
cdef class Names:
    """The interned names of one store."""

    def __cinit__(self, bytes seed not None, uint64_t generation=1, bytes store not None=bytes(16)):
        if len(seed) != 32 or len(store) != 16:
            raise ValueError("a seed of 32 bytes, an identity of 16")
        self.generation = generation
        self.store = store
        memcpy(self.c.seed, <const char*>seed, 32)
        self.c.slots = slots_new(SLOTS_MIN)
        self.chunk_capacity = 16
        self.c.chunks = <char**>calloc(self.chunk_capacity, sizeof(char*))
        if self.c.slots == NULL or self.c.chunks == NULL:
            raise MemoryError()
        self.add_chunk()
        self.used = 1            # place 0 is no entry: a slot of 0 is free

    def __dealloc__(self):
        cdef uint32_t i
        if self.c.chunks != NULL:
            for i in range(self.chunk_count):
                free(self.c.chunks[i])
        free(self.c.chunks)
        free(self.c.slots)
        for i in range(self.type_count):
            free(self.places[i])
        free(self.places)
        free(self.places_count)
        free(self.places_room)
        free(self.settled)
        base_free(<BaseC*>self.c.base)
        pointers_free(&self.retired, True)

    def __len__(self):
        return self.count

    def count_of(self, uint16_t type):
        """Number of names of a type; its ids are below it."""
        return names_count(self, type)

    cdef int add_chunk(self) except -1:
        cdef char** chunks
        cdef char* chunk
        if self.chunk_count == self.chunk_capacity:
            if self.chunk_count >= (<uint32_t>1 << (32 - CHUNK_BITS)) - 1:
                raise MemoryError("more than 32 GiB of names")
            pointers_reserve(&self.retired, 1)
            chunks = <char**>calloc(2 * self.chunk_capacity, sizeof(char*))
            if chunks == NULL:
                raise MemoryError()
            memcpy(chunks, self.c.chunks, self.chunk_count * sizeof(char*))
            pointers_add(&self.retired, self.c.chunks)
            fga_store_ptr(<void**>&self.c.chunks, chunks)
            self.chunk_capacity *= 2
        chunk = <char*>malloc((<size_t>1 << CHUNK_BITS) * UNIT + 8)
        if chunk == NULL:
            raise MemoryError()
        self.c.chunks[self.chunk_count] = chunk
        self.chunk_count += 1
        self.used = 0
        return 0

    cdef int grow_slots(self) except -1:
        cdef SlotsC* old = self.c.slots
        cdef SlotsC* slots
        cdef uint64_t i, at, hash
        cdef const NameC* entry
        pointers_reserve(&self.retired, 1)
        slots = slots_new(2 * (old.mask + 1))
        if slots == NULL:
            raise MemoryError()
        for i in range(old.mask + 1):
            if old.slot[i] == 0:
                continue
            entry = names_entry(&self.c, <uint32_t>old.slot[i])
            hash = fga_hash(self.c.seed, <const char*>(entry + 1), entry.length)
            at = hash & slots.mask
            while slots.slot[at]:
                at = (at + 1) & slots.mask
            slots.slot[at] = old.slot[i]
        pointers_add(&self.retired, old)
        fga_store_ptr(<void**>&self.c.slots, slots)
        return 0

    cdef int add_types(self, uint32_t count) except -1:
        cdef uint32_t** places = <uint32_t**>realloc(self.places, count * sizeof(uint32_t*))
        cdef uint32_t* sizes
        if places == NULL:
            raise MemoryError()
        self.places = places
        sizes = <uint32_t*>realloc(self.places_count, count * sizeof(uint32_t))
        if sizes == NULL:
            raise MemoryError()
        self.places_count = sizes
        sizes = <uint32_t*>realloc(self.places_room, count * sizeof(uint32_t))
        if sizes == NULL:
            raise MemoryError()
        self.places_room = sizes
        sizes = <uint32_t*>realloc(self.settled, count * sizeof(uint32_t))
        if sizes == NULL:
            raise MemoryError()
        self.settled = sizes
        while self.type_count < count:
            self.settled[self.type_count] = 0
            self.places[self.type_count] = NULL
            self.places_count[self.type_count] = 0
            self.places_room[self.type_count] = 0
            self.type_count += 1
        return 0

    cdef const NameC* intern(self, const char* text, uint32_t length, uint16_t type) except NULL:
        """The entry of a valid name, made if it is new. `text` begins with the name of `type` and a colon."""
        cdef const NameC* found = names_find(&self.c, text, length)
        cdef NameC* entry
        cdef uint32_t units, place, room
        cdef uint64_t hash, at
        cdef uint32_t frozen = base_count(self.c.base, type)
        cdef uint32_t* places
        if found != NULL:
            return found
        if type >= self.type_count:
            self.add_types(<uint32_t>type + 1)
        if self.places_count[type] >= ID_MAX:
            raise MemoryError("more than 2^31 names of one type")
        if self.places_count[type] - frozen == self.places_room[type]:
            room = 2 * self.places_room[type] if self.places_room[type] else 16
            places = <uint32_t*>realloc(self.places[type], 4 * <size_t>room)   # read under the GIL only, so it may move
            if places == NULL:
                raise MemoryError()
            self.places[type] = places
            self.places_room[type] = room
        if (self.count - base_total(self.c.base) + 1) * LOAD_DENOMINATOR > (self.c.slots.mask + 1) * LOAD_NUMERATOR:
            self.grow_slots()
        units = (sizeof(NameC) + length + UNIT - 1) // UNIT
        if self.used + units > (1 << CHUNK_BITS):
            self.add_chunk()
        place = ((self.chunk_count - 1) << CHUNK_BITS) | self.used
        entry = <NameC*>names_entry(&self.c, place)
        entry.id = self.places_count[type]
        entry.type = type
        entry.length = <uint16_t>length
        memcpy(<char*>(entry + 1), text, length)
        self.used += units
        self.places[type][entry.id - frozen] = place
        self.places_count[type] += 1
        self.count += 1
        hash = fga_hash(self.c.seed, text, length)
        at = hash & self.c.slots.mask
        while self.c.slots.slot[at]:
            at = (at + 1) & self.c.slots.mask
        fga_store_u64(&self.c.slots.slot[at], (hash & 0xFFFFFFFF00000000U) | place)
        return entry

    def mark(self):
        """How many names there are of each type, for `forget`."""
        cdef uint16_t type
        return [names_count(self, type) for type in range(<uint16_t>self.type_count)]

    def forget(self, list mark not None):
        """Take back every name interned since a mark: nobody has been told of one. Costs as much as there are names in the delta."""
        cdef SlotsC* old = self.c.slots
        cdef SlotsC* slots
        cdef uint32_t type, kept
        cdef uint64_t i, at, hash
        cdef const NameC* entry
        for type in range(self.type_count):
            if names_count(self, <uint16_t>type) != (mark[type] if type < <uint32_t>len(mark) else 0):
                break
        else:
            return
        pointers_reserve(&self.retired, 1)
        slots = slots_new(old.mask + 1)
        if slots == NULL:
            raise MemoryError()
        for type in range(self.type_count):
            kept = mark[type] if type < <uint32_t>len(mark) else 0
            self.count -= names_count(self, <uint16_t>type) - kept
            self.places_count[type] = kept
        for i in range(old.mask + 1):
            if old.slot[i] == 0:
                continue
            entry = names_entry(&self.c, <uint32_t>old.slot[i])
            if entry.id >= names_count(self, entry.type):
                continue
            hash = fga_hash(self.c.seed, <const char*>(entry + 1), entry.length)
            at = hash & slots.mask
            while slots.slot[at]:
                at = (at + 1) & slots.mask
            slots.slot[at] = old.slot[i]
        pointers_add(&self.retired, old)
        fga_store_ptr(<void**>&self.c.slots, slots)

    cdef void settle(self) noexcept:
        """All names that there are will stay."""
        cdef uint32_t type
        for type in range(self.type_count):
            self.settled[type] = self.places_count[type]

    def settled_counts(self):
        """How many names of each type the newest version knows."""
        cdef uint32_t type
        return [self.settled[type] for type in range(self.type_count)]

    cdef const NameC* of(self, uint16_t type, uint32_t id) noexcept nogil:
        """The entry of an id, or NULL. Under the GIL: the arrays of places may move."""
        cdef uint32_t frozen = base_count(self.c.base, type)
        if type >= self.type_count or id >= self.places_count[type]:
            return NULL
        if id < frozen:
            return base_of(self.c.base, type, id)
        return names_entry(&self.c, self.places[type][id - frozen])

    cdef int lay_base(self, BaseC* base, object mapping) except -1:
        """Begin above a base, before any name is interned. It is the names' from here on, also where this fails; `mapping` goes when they go."""
        cdef uint32_t type
        self.c.base = base
        self.mapping = mapping
        self.add_types(base.type_count)
        for type in range(base.type_count):
            self.places_count[type] = base.counts[type]
        self.count = base.count
        self.settle()
        return 0

    cdef object decoded(self, const NameC* entry, uint32_t skip):
        """The text of an entry from its byte `skip` on."""
        try:
            return (<const char*>(entry + 1))[min(skip, entry.length):entry.length].decode("utf-8")
        except UnicodeDecodeError:
            raise damaged() from None

    def text(self, uint16_t type, uint32_t id):
        """The whole name of an id as text, or None."""
        cdef const NameC* entry = self.of(type, id)
        if entry == NULL:
            return None
        return self.decoded(entry, 0)

    def texts(self, uint16_t type, const uint32_t[::1] ids not None):
        """The whole names of ids of one type, a list of str. Every id must have been given; only in a damaged snapshot one was not: StoreError."""
        cdef const NameC* entry
        cdef Py_ssize_t i, count = ids.shape[0]
        cdef uint32_t known = names_count(self, type), frozen = base_count(self.c.base, type)
        cdef const uint32_t* places = self.places[type] if known else NULL      # they may move only where the GIL is let go, which nothing here does
        cdef list out = PyList_New(count)
        try:
            for i in range(count):
                if ids[i] < frozen:
                    entry = base_of(self.c.base, type, ids[i])
                else:
                    entry = names_entry(&self.c, places[ids[i] - frozen]) if ids[i] < known else NULL
                if entry == NULL:
                    raise damaged()
                fga_prefetch(<const char*>entry + 512)
                fga_put_text(out, i, <const char*>(entry + 1), entry.length)
        except UnicodeDecodeError:
            raise damaged() from None
        return out

    def find(self, bytes name not None):
        """(type symbol, id) of a name, or None."""
        cdef const NameC* entry = names_find(&self.c, name, <uint32_t>len(name))
        return None if entry == NULL else (entry.type, entry.id)

    def find_many(self, list names not None):
        """The same for each of many, found together: for tests."""
        cdef const char* texts[FIND_MANY]
        cdef uint32_t lengths[FIND_MANY]
        cdef const NameC* entries[FIND_MANY]
        cdef uint32_t i, n
        cdef list out = []
        for first in range(0, len(names), FIND_MANY):
            n = <uint32_t>min(FIND_MANY, len(names) - first)
            for i in range(n):
                texts[i] = <bytes?>names[first + i]
                lengths[i] = <uint32_t>len(<bytes>names[first + i])
            names_find_many(&self.c, texts, lengths, n, entries)
            for i in range(n):
                out.append(None if entries[i] == NULL else (entries[i].type, entries[i].id))
        return out

    def add(self, bytes name not None, uint16_t type):
        """Intern a name and return its id: for tests; a store interns what it writes."""
        if not 0 < len(name) < 65536:
            raise ValueError("a name of 1 to 65,535 bytes")
        id = self.intern(name, <uint32_t>len(name), type).id
        self.settle()
        return id


cdef object damaged():
    return StoreError("the snapshot of the store is damaged: an id without a name", code="corrupt")


cdef uint64_t base_total(const BaseC* base) noexcept nogil:
    return base.count if base != NULL else 0


cdef void base_free(BaseC* base) noexcept:
    if base != NULL:
        free(base.counts)
        free(base.firsts)
        free(base)


cdef const NameC* base_find(const BaseC* base, uint64_t hash, const char* text, uint32_t length) noexcept nogil:
    """The entry of a name in a base, or NULL; after at most as many steps as there are slots."""
    cdef uint32_t at = base_slot(base, hash), left = base.slot_count
    cdef uint64_t slot
    cdef const NameC* entry
    while left:
        slot = base.slots[at]
        if slot == 0:
            return NULL
        if (slot ^ hash) >> 32 == 0:
            entry = base_entry(base, <uint32_t>slot)
            if entry != NULL and entry.length == length and fga_same(<const char*>(entry + 1), text, length):
                return entry
        at += 1
        if at == base.slot_count:
            at = 0
        left -= 1
    return NULL


cdef const NameC* base_of(const BaseC* base, uint16_t type, uint32_t id) noexcept nogil:
    """The entry of an id below base_count of its type; NULL where another one, or none, lies at its place."""
    cdef const NameC* entry = base_entry(base, base.places[<uint64_t>base.firsts[type] + id])
    return entry if entry != NULL and entry.id == id and entry.type == type else NULL


cdef SlotsC* slots_new(uint64_t count) noexcept:
    cdef SlotsC* slots = <SlotsC*>calloc(1, sizeof(SlotsC) + 8 * count)
    if slots != NULL:
        slots.mask = count - 1
    return slots


cdef void names_find_many(const NamesC* names, const char** texts, const uint32_t* lengths, uint32_t count, const NameC** entries) noexcept nogil:
    """The entries of up to FIND_MANY names, NULL where there is none. In stages, so that the memory of all of them is fetched at once."""
    cdef uint64_t hashes[FIND_MANY]
    cdef SlotsC* slots = <SlotsC*>fga_load_ptr(<void**>&names.slots)
    cdef uint64_t at, slot
    cdef const BaseC* base = names.base
    cdef const NameC* entry
    cdef uint32_t i
    for i in range(count):
        hashes[i] = fga_hash(names.seed, texts[i], lengths[i])
        fga_prefetch(&slots.slot[hashes[i] & slots.mask])
        if base != NULL:
            fga_prefetch(&base.slots[base_slot(base, hashes[i])])
    for i in range(count):
        slot = fga_load_u64(&slots.slot[hashes[i] & slots.mask])
        entries[i] = NULL
        if slot:
            entries[i] = names_entry(names, <uint32_t>slot)
            fga_prefetch(entries[i])
        if base != NULL:
            fga_prefetch(base.arena + <uint64_t><uint32_t>base.slots[base_slot(base, hashes[i])] * UNIT)
    for i in range(count):
        at = hashes[i] & slots.mask
        while True:
            slot = fga_load_u64(&slots.slot[at])
            if slot == 0:
                entries[i] = base_find(base, hashes[i], texts[i], lengths[i]) if base != NULL else NULL
                break
            if (slot ^ hashes[i]) >> 32 == 0:
                entry = names_entry(names, <uint32_t>slot)
                if entry.length == lengths[i] and fga_same(<const char*>(entry + 1), texts[i], lengths[i]):
                    entries[i] = entry
                    break
            at = (at + 1) & slots.mask
