"""Decisions on their way to the log: records in memory, until the thread that writes them takes them (audit/writer.py).

Everything happens under the GIL. Two halves: one is filled, the other is being written; `take` turns them round. A record is there whole or not at all, and
its bytes are those of the file (docs/format.md). A decision that finds no room, or a log that fails, is refused: its sequence number is used up
all the same, so the gap shows. `put` allocates nothing and calls no Python, but to wake the writer, or to press it.
A half that is full is waited for, for as long as writes lie apart, and once: then decisions are refused until something was written.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef struct HalfC:
    char* data
    size_t used
    uint64_t count               # decisions in it
    uint64_t first               # sequence of the first


cdef class DecisionRing:
    cdef readonly bint is_open   # False: nothing is kept
    cdef readonly bint denies    # what is not kept is denied
    cdef readonly bint is_sync   # an answer waits until it is on the disk
    cdef readonly bint digests   # of contexts, only the digest is kept
    cdef readonly uint64_t epoch     # numbers of sessions and contexts are good within one
    cdef readonly uint64_t sequence  # decisions made, those refused included
    cdef HalfC halves[2]
    cdef int filled              # the half that is being filled
    cdef bint is_taken           # the other one is being written
    cdef bint is_failed          # it could not be, the last time
    cdef bint is_refused         # the log is gone for good
    cdef bint is_asleep          # nobody writes until woken
    cdef bint is_hurried         # it was said that there is much to write
    cdef bint is_stuck           # room was waited for in vain: nothing waits again until something was written
    cdef size_t half             # bytes of one
    cdef uint8_t* counter        # where the sequence is kept beside, or NULL
    cdef object counted          # what holds that memory
    cdef object wake
    cdef object flush
    cdef object hurry
    cdef uint32_t session_count
    cdef uint32_t context_count
    cdef dict contexts           # number by digest
    cdef char* room(self, size_t size) noexcept
    cdef bint rouse(self) noexcept
    cdef bint press(self) noexcept
    cdef bint miss(self) noexcept
    cdef bint wait_room(self, size_t size) noexcept
    cdef uint32_t note(self, int kind, bytes data) except? 0xFFFFFFFFU
    cdef char* head(
        self, size_t size, uint8_t flags, uint32_t session, uint32_t context, int64_t instant, uint64_t revision, uint32_t count, uint16_t type,
        uint16_t relation) noexcept
    cdef bint put_one(
        self, uint32_t session, uint32_t context, int64_t instant, uint64_t revision, uint16_t type, uint16_t relation, uint32_t id, uint8_t code,
        const char* text, uint32_t length) noexcept
    cdef bint put(
        self, uint32_t session, uint32_t context, int64_t instant, uint64_t revision, uint32_t count, const uint16_t* types,
        const uint16_t* relations, const uint32_t* ids, const uint8_t* codes, const char** texts, const uint32_t* lengths) noexcept
