"""Interning and growth: see names.pxd. Everything here but the finding runs under the store's write lock and the GIL."""

from libc.stdlib cimport calloc, free, malloc, realloc
from cpython.list cimport PyList_New
from libc.string cimport memcpy

from fgacore.kernel.memory cimport pointers_add, pointers_free, pointers_reserve

cdef enum:
    SLOTS_MIN = 256
    LOAD_NUMERATOR = 5           # grow above 5/8 full: a look-up probes 1.3 slots on average, an absent name 2.4
    LOAD_DENOMINATOR = 8
    ID_MAX = 0x7FFFFFFF          # ids of one type; above it lie the ghosts and NONE


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


cdef class Names:
    """The interned names of one store."""

    def __cinit__(self, bytes seed not None):
        if len(seed) != 32:
            raise ValueError("a seed of 32 bytes")
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
        pointers_free(&self.retired, True)

    def __len__(self):
        return self.count

    def count_of(self, uint16_t type):
        """Number of names of a type; its ids are below it."""
        return self.places_count[type] if type < self.type_count else 0

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
        while self.type_count < count:
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
        cdef uint32_t* places
        if found != NULL:
            return found
        if type >= self.type_count:
            self.add_types(<uint32_t>type + 1)
        if self.places_count[type] >= ID_MAX:
            raise MemoryError("more than 2^31 names of one type")
        if self.places_count[type] == self.places_room[type]:
            room = 2 * self.places_room[type] if self.places_room[type] else 16
            places = <uint32_t*>realloc(self.places[type], 4 * <size_t>room)   # read under the GIL only, so it may move
            if places == NULL:
                raise MemoryError()
            self.places[type] = places
            self.places_room[type] = room
        if (self.count + 1) * LOAD_DENOMINATOR > (self.c.slots.mask + 1) * LOAD_NUMERATOR:
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
        self.places[type][entry.id] = place
        self.places_count[type] += 1
        self.count += 1
        hash = fga_hash(self.c.seed, text, length)
        at = hash & self.c.slots.mask
        while self.c.slots.slot[at]:
            at = (at + 1) & self.c.slots.mask
        fga_store_u64(&self.c.slots.slot[at], (hash & 0xFFFFFFFF00000000U) | place)
        return entry

    cdef const NameC* of(self, uint16_t type, uint32_t id) noexcept nogil:
        """The entry of an id, or NULL. Under the GIL: the arrays of places may move."""
        if type >= self.type_count or id >= self.places_count[type]:
            return NULL
        return names_entry(&self.c, self.places[type][id])

    def text(self, uint16_t type, uint32_t id):
        """The whole name of an id as text, or None."""
        cdef const NameC* entry = self.of(type, id)
        if entry == NULL:
            return None
        return (<const char*>(entry + 1))[:entry.length].decode("utf-8")

    def texts(self, uint16_t type, const uint32_t[::1] ids not None):
        """The whole names of ids of one type, a list of str. Every id must have been given."""
        cdef const NameC* entry
        cdef Py_ssize_t i, count = ids.shape[0]
        cdef uint32_t known = self.places_count[type] if type < self.type_count else 0
        cdef const uint32_t* places = self.places[type] if known else NULL      # they may move only where the GIL is let go, which nothing here does
        cdef list out = PyList_New(count)
        for i in range(count):
            if ids[i] >= known:
                raise ValueError("an id of no name")
            entry = names_entry(&self.c, places[ids[i]])
            fga_prefetch(<const char*>entry + 512)
            fga_put_text(out, i, <const char*>(entry + 1), entry.length)
        return out

    def find(self, bytes name not None):
        """(type symbol, id) of a name, or None."""
        cdef const NameC* entry = names_find(&self.c, name, <uint32_t>len(name))
        return None if entry == NULL else (entry.type, entry.id)

    def add(self, bytes name not None, uint16_t type):
        """Intern a name and return its id: for tests; a store interns what it writes."""
        if not 0 < len(name) < 65536:
            raise ValueError("a name of 1 to 65,535 bytes")
        return self.intern(name, <uint32_t>len(name), type).id


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
    cdef const NameC* entry
    cdef uint32_t i
    for i in range(count):
        hashes[i] = fga_hash(names.seed, texts[i], lengths[i])
        fga_prefetch(&slots.slot[hashes[i] & slots.mask])
    for i in range(count):
        slot = fga_load_u64(&slots.slot[hashes[i] & slots.mask])
        entries[i] = NULL
        if slot:
            entries[i] = names_entry(names, <uint32_t>slot)
            fga_prefetch(entries[i])
    for i in range(count):
        at = hashes[i] & slots.mask
        while True:
            slot = fga_load_u64(&slots.slot[at])
            if slot == 0:
                entries[i] = NULL
                break
            if (slot ^ hashes[i]) >> 32 == 0:
                entry = names_entry(names, <uint32_t>slot)
                if entry.length == lengths[i] and fga_same(<const char*>(entry + 1), texts[i], lengths[i]):
                    entries[i] = entry
                    break
            at = (at + 1) & slots.mask
