"""See decisions.pxd."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

import datetime
import ipaddress
from _thread import interrupt_main
from hashlib import sha256

import msgpack

from fgacore.formats import DECISION_FLAG_UNIFORM, DECISION_KINDS
from fgacore.kernel.sets cimport NONE
from fgacore.limits import LOG_FLUSH_SECONDS
from fgacore.runtime.clock cimport clock_monotonic, clock_nap

cdef int KIND_DECISIONS = DECISION_KINDS["decisions"], KIND_SESSION = DECISION_KINDS["session"], KIND_CONTEXT = DECISION_KINDS["context"]
cdef uint8_t UNIFORM = DECISION_FLAG_UNIFORM
cdef int64_t FLUSH_NANOSECONDS = round(LOG_FLUSH_SECONDS * 1e9)

cdef enum:
    NAP_NANOSECONDS = 200000     # between two looks for room
    CONTEXTS_MAX = 65536         # that are known by their digests; then they are kept anew

cdef struct RecordC:             # the head of a record; docs/format.md
    uint32_t size
    uint8_t kind
    uint8_t flags
    uint16_t zero
    uint64_t sequence

cdef struct DecidedC:            # after it, of decisions
    uint64_t revision
    int64_t instant
    uint32_t session
    uint32_t context
    uint32_t count
    uint16_t type
    uint16_t relation


cdef class DecisionRing:
    """The decisions of one engine that are not written yet. capacity: bytes; 0: nothing is kept."""

    def __cinit__(self, size_t capacity=0, *, bint denies=True, bint is_sync=False, bint digests=False):
        cdef int i
        self.denies, self.is_sync, self.digests = denies, is_sync, digests
        self.half = capacity // 2 & ~<size_t>7
        self.is_open = capacity > 0
        self.contexts = {}
        self.is_asleep = True
        if self.is_open:
            for i in range(2):
                self.halves[i].data = <char*>malloc(self.half)
                if self.halves[i].data == NULL:
                    raise MemoryError()

    def __dealloc__(self):
        free(self.halves[0].data)
        free(self.halves[1].data)

    cdef char* room(self, size_t size) noexcept:
        """Room for a record in the half that is being filled; NULL: there is none, or nothing may be put."""
        cdef HalfC* half
        if not self.is_open:
            return NULL
        if self.halves[self.filled].used + size > self.half // 4 and not self.is_hurried and not self.press():
            return NULL
        if self.halves[self.filled].used + size > self.half and not self.wait_room(size):
            return NULL
        if self.is_failed or self.is_refused:
            return NULL
        half = &self.halves[self.filled]     # from here to the end of the record nothing else runs: no Python, and the GIL is held
        half.used += size
        return half.data + half.used - size

    cdef bint press(self) noexcept:
        """Have what there is written soon."""
        self.is_hurried = True
        try:
            if self.hurry is not None:
                self.hurry()
            return True
        except KeyboardInterrupt:
            interrupt_main()
        except BaseException:
            pass
        self.is_hurried = False
        return False

    cdef bint wait_room(self, size_t size) noexcept:
        """Wait until there is room for a record, at most as long as writes lie apart; False: there is none."""
        cdef int64_t until
        if self.is_stuck or size > self.half or self.hurry is None or not self.press():
            return False
        until = clock_monotonic() + FLUSH_NANOSECONDS
        while self.halves[self.filled].used + size > self.half:
            if self.is_failed or self.is_refused or clock_monotonic() > until:
                self.is_stuck = True
                return False
            with nogil:
                clock_nap(NAP_NANOSECONDS)
        return not self.is_failed and not self.is_refused

    cdef bint rouse(self) noexcept:
        """Wake whoever writes; False where that failed."""
        self.is_asleep = False
        try:
            if self.wake is not None:
                self.wake()
            return True
        except KeyboardInterrupt:    # it is for the main thread's own code
            self.is_asleep = True
            interrupt_main()
        except BaseException:        # it may be anything: then nothing would be written, and nothing counts as kept
            self.is_asleep = True
        return False

    cdef bint miss(self) noexcept:
        """Use up a sequence number for what cannot be kept, so that the gap shows. False."""
        self.sequence += 1
        if self.counter != NULL:
            memcpy(self.counter, &self.sequence, 8)
        return False

    cdef char* head(
            self, size_t size, uint8_t flags, uint32_t session, uint32_t context, int64_t instant, uint64_t revision, uint32_t count, uint16_t type,
            uint16_t relation) noexcept:
        """The head of a record of decisions; where the rest goes, or NULL. It uses up a sequence number either way."""
        cdef HalfC* half
        cdef RecordC* record
        cdef DecidedC* decided
        cdef char* at = self.room(size) if not self.is_asleep or self.rouse() else NULL
        self.sequence += 1
        if self.counter != NULL:
            memcpy(self.counter, &self.sequence, 8)
        if at == NULL:
            return NULL
        record, decided = <RecordC*>at, <DecidedC*>(at + sizeof(RecordC))
        record.size, record.kind, record.flags, record.zero, record.sequence = <uint32_t>size, <uint8_t>KIND_DECISIONS, flags, 0, self.sequence - 1
        decided.revision, decided.instant, decided.session, decided.context, decided.count = revision, instant, session, context, count
        decided.type, decided.relation = type, relation
        half = &self.halves[self.filled]
        if half.count == 0:
            half.first = self.sequence - 1
        half.count += 1
        return at + sizeof(RecordC) + sizeof(DecidedC)

    cdef bint put_one(
            self, uint32_t session, uint32_t context, int64_t instant, uint64_t revision, uint16_t type, uint16_t relation, uint32_t id, uint8_t code,
            const char* text, uint32_t length) noexcept:
        """The record of one decision; text and length are read only where the id is NONE. False: it is not kept."""
        cdef size_t more = 5 + (code != 0) + (2 + length if id == NONE else 0)
        cdef uint16_t short = <uint16_t>length
        cdef char* at
        at = self.head(sizeof(RecordC) + sizeof(DecidedC) + (more + 7 & ~<size_t>7), UNIFORM, session, context, instant, revision, 1, type, relation)
        if at == NULL:
            return False
        memset(at, 0, more + 7 & ~<size_t>7)
        memcpy(at, &id, 4)
        at[4] = code == 0
        at += 5
        if code:
            at[0] = <char>code
            at += 1
        if id == NONE:
            memcpy(at, &short, 2)
            memcpy(at + 2, text, length)
        return True

    cdef bint put(
            self, uint32_t session, uint32_t context, int64_t instant, uint64_t revision, uint32_t count, const uint16_t* types,
            const uint16_t* relations, const uint32_t* ids, const uint8_t* codes, const char** texts, const uint32_t* lengths) noexcept:
        """One record of `count` decisions, one at least; texts and lengths are read only where an id is NONE. False: it is not kept."""
        cdef size_t more = 4 * <size_t>count + (count + 7) // 8
        cdef uint32_t i, denied = 0, others = 0, unknown = 0
        cdef uint16_t length
        cdef uint64_t eight
        cdef char* at
        cdef char* end
        cdef uint8_t* bits
        for i in range(count):
            others += types[i] != types[0] or relations[i] != relations[0]
        for i in range(count):
            denied += codes[i] != 0
        for i in range(count):
            unknown += ids[i] == NONE
        more += denied
        if others:
            more += 4 * <size_t>count
        if unknown:
            for i in range(count):
                if ids[i] == NONE:
                    more += 2 + lengths[i]
        more = more + 7 & ~<size_t>7
        at = self.head(
            sizeof(RecordC) + sizeof(DecidedC) + more, 0 if others else UNIFORM, session, context, instant, revision, count, 0 if others else types[0],
            0 if others else relations[0])
        if at == NULL:
            return False
        end = at + more
        if others:
            for i in range(count):
                memcpy(at, &types[i], 2)
                memcpy(at + 2, &relations[i], 2)
                at += 4
        memcpy(at, ids, 4 * <size_t>count)
        at += 4 * <size_t>count
        bits = <uint8_t*>at
        memset(bits, 0, (count + 7) // 8)
        at += (count + 7) // 8
        i = 0
        while i < count:
            if i & 7 == 0 and i + 8 <= count:
                memcpy(&eight, codes + i, 8)
                if eight == 0:
                    bits[i >> 3] = 0xFF
                    i += 8
                    continue
            if codes[i] == 0:
                bits[i >> 3] |= <uint8_t>(1 << (i & 7))
            else:
                at[0] = <char>codes[i]
                at += 1
            i += 1
        if unknown:
            for i in range(count):
                if ids[i] == NONE:
                    length = <uint16_t>lengths[i]
                    memcpy(at, &length, 2)
                    memcpy(at + 2, texts[i], length)
                    at += 2 + length
        memset(at, 0, end - at)
        return True

    cdef uint32_t note(self, int kind, bytes data) except? 0xFFFFFFFFU:
        """A record of bytes under the next number of its kind; the number, or 0 where there is no room."""
        cdef RecordC head
        cdef uint32_t number
        cdef uint32_t length = <uint32_t>len(data)
        cdef size_t size = (sizeof(RecordC) + 8 + length + 7) & ~<size_t>7
        cdef char* at = self.room(size)
        if at == NULL:
            return 0
        if kind == KIND_SESSION:     # only now: others may have had room while this one was waited for
            self.session_count += 1
            number = self.session_count
        else:
            self.context_count += 1
            number = self.context_count
        memset(at, 0, size)
        head.size, head.kind, head.flags, head.zero, head.sequence = <uint32_t>size, <uint8_t>kind, 0, 0, self.sequence
        memcpy(at, &head, sizeof(RecordC))
        memcpy(at + sizeof(RecordC), &number, 4)
        memcpy(at + sizeof(RecordC) + 4, &length, 4)
        memcpy(at + sizeof(RecordC) + 8, <const char*>data, length)
        return number

    def describe(self, dict session not None):
        """The number of a session as it is described; 0 where that could not be kept. Its context is kept for itself, and the number stands for it."""
        described = dict(session)
        if described["context"] is not None:
            described["context"] = self.context(described["context"])
            if described["context"] == 0:
                return 0
        return self.note(KIND_SESSION, packed(described))

    def context(self, dict context not None):
        """The number of a context, kept once by its digest; 0 where that could not be. What cannot be kept as msgpack is kept as a digest of its keys."""
        cdef dict kept = {}
        try:
            ordered = in_order(context, 0)
            digest = sha256(msgpack.packb(ordered, use_bin_type=True)).digest()
            if not self.digests:
                kept["context"] = ordered
        except (TypeError, ValueError, OverflowError, RecursionError):     # a lone surrogate is a ValueError
            digest = sha256(b"\0" + ascii(sorted(map(str, context))).encode()).digest()
        number = self.contexts.get(digest)
        if number is not None:
            return number
        kept["digest"] = digest
        number = self.note(KIND_CONTEXT, msgpack.packb(kept, use_bin_type=True))
        if number:
            if len(self.contexts) >= CONTEXTS_MAX:
                self.contexts.clear()
            self.contexts[digest] = number
        return number

    def sync(self):
        """Whether everything put so far is on the disk, which is waited for."""
        try:
            return self.flush is not None and self.flush() is True
        except Exception:            # whatever keeps it from the disk, it is not there
            return False

    # ---- for the thread that writes ----

    def take(self):
        """What waits to be written: (bytes, decisions in them, sequence of the first, sequence after the last). It stays here until `done`, and is what
        the next call gives where it could not be written."""
        cdef HalfC* half
        if not self.is_taken:
            if self.halves[self.filled].used == 0:
                return b"", 0, self.sequence, self.sequence
            self.is_taken = True
            self.is_hurried = False
            self.filled ^= 1
        half = &self.halves[self.filled ^ 1]
        first = half.first if half.count else self.sequence
        return half.data[:half.used], half.count, first, first + half.count

    def done(self, bint kept):
        """What was taken is on the disk, or is not: then nothing more is kept until it is."""
        cdef HalfC* half = &self.halves[self.filled ^ 1]
        self.is_failed = not kept
        if kept:
            self.is_stuck = False
        if kept and self.is_taken:
            half.used = half.count = 0
            self.is_taken = False

    def refuse(self):
        """Keep nothing from here on: the log is not there any more."""
        self.is_refused = True

    def sleep(self):
        """The one who writes lies down: True, and the next decision wakes it. False: there is something to write."""
        self.is_asleep = not self.is_taken and self.halves[self.filled].used == 0
        return self.is_asleep

    def on_wake(self, call):
        """What wakes the one who writes."""
        self.wake = call

    def on_hurry(self, call):
        """What is called as there is much to write, and nobody should wait for the next round."""
        self.hurry = call

    def on_sync(self, call):
        """What writes all there is, and returns whether it did."""
        self.flush = call

    def count_into(self, buffer):
        """Keep the sequence in a buffer of 8 bytes as well, from here on."""
        cdef Py_buffer view
        self.forget_counter()
        PyObject_GetBuffer(buffer, &view, PyBUF_SIMPLE | PyBUF_WRITABLE)
        try:
            if view.len < 8:
                raise ValueError("the buffer has less than 8 bytes")
            self.counter = <uint8_t*>view.buf
            self.counted = memoryview(buffer)    # holds it where it is
        finally:
            PyBuffer_Release(&view)
        memcpy(self.counter, &self.sequence, 8)

    def forget_counter(self):
        """Count in no buffer."""
        self.counter = NULL
        self.counted = None

    def begin_process(self):
        """In a child of fork: nothing of the parent's is this one's to write."""
        cdef int i
        self.forget_counter()
        for i in range(2):
            self.halves[i].used = self.halves[i].count = 0
        self.filled = 0
        self.is_taken = self.is_failed = self.is_refused = self.is_hurried = self.is_stuck = False
        self.is_asleep = True
        self.epoch += 1
        self.sequence = 0
        self.session_count = self.context_count = 0
        self.contexts.clear()


cdef bytes packed(object value):
    """msgpack with the keys of each map sorted: one form for one value."""
    return msgpack.packb(in_order(value, 0), use_bin_type=True)


cdef object in_order(object value, int depth):
    """A value of exact types, its maps sorted by key. TypeError for what msgpack does not have and conditions do not either."""
    if depth > 64:
        raise ValueError("nested too deep")
    if value is None or type(value) in (bool, int, float, str, bytes):
        return value
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("a key that is no text")
        return {str.__str__(key): in_order(value[key], depth + 1) for key in sorted(value, key=str.__str__)}
    if isinstance(value, (list, tuple)):
        return [in_order(item, depth + 1) for item in value]
    if isinstance(value, bool):
        return bool(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__index__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, datetime.datetime) and datetime.datetime.utcoffset(value) is not None:
        return datetime.datetime.isoformat(datetime.datetime.astimezone(value, datetime.timezone.utc))
    if isinstance(value, datetime.timedelta):
        return f"{value // datetime.timedelta(microseconds=1)}us"
    if isinstance(value, (ipaddress.IPv4Address, ipaddress.IPv6Address)):
        return str(value)
    raise TypeError("a value that is not kept")
