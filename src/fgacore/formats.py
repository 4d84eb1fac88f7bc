"""Every value that lies on a disk, in a database or in a shared page. Do not change any of them: what is written stays readable.

A value may be added; what an older fgacore would misread needs a new number beside it, and that older one then stops with `unknown_record`.
docs/format.md says what each byte means.
"""

from __future__ import annotations

# --- records of the log ------------------------------------------------------------------------------------------------------------------

RECORD_VERSION = 1
KINDS = {
    "tuples": 1,
    "model": 2,
    "delegation": 3,
    "suspension": 4,
    "boundary": 5,
    "fields": 6,
    "approval_policy": 7,
    "approval": 8,
    "invariant": 9,
    "setting": 10,
    "checkpoint": 11,
    "expiry": 12,
}
GENESIS_PREFIX = b"fgacore log 1\0"  # with the store's id it is what the first record is chained to
STORE_ID_BYTES = 16
SEED_BYTES = 32
HASH_BYTES = 32

# --- the log of decisions ------------------------------------------------------------------------------------------------------------------

SEMANTICS_VERSION = 1  # of what an answer means: a replay by another one says so
DECISION_CODES = {
    "allowed": 0,
    "not_held": 1,
    "out_of_scope": 2,
    "outside_boundary": 3,
    "suspended": 4,
    "delegation_revoked": 5,
    "expired": 6,
    "delegation_required": 7,
    "undetermined": 8,
    "log_failed": 9,
    "delegation_not_found": 10,
}  # in the low 4 bits of a byte; above them the link, the principal's place in the chain
DECISION_KINDS = {"decisions": 1, "session": 2, "context": 3, "end": 4}
DECISION_FLAG_UNIFORM = 1  # one type and relation for all decisions of a record
DECISIONS_FOLDER = "decisions"  # in a store's directory: a folder for each chain
DECISIONS_MAGIC = b"fgadec1\0"
DECISIONS_VERSION = 1
DECISIONS_GENESIS_PREFIX = b"fgacore decisions 1\0"  # with the store's id and the chain's it is what the first block is chained to
DECISIONS_SEGMENT_NAME = "{number:06d}.fgd"
DECISIONS_SEQUENCE_NAME = "sequence"  # 8 bytes: how many decisions were made
DECISIONS_FLAG_SIGNED = 1  # of a block: an Ed25519 signature of its hash follows its head
SIGNATURE_BYTES = 64

# --- the log in SQLite and in PostgreSQL ---------------------------------------------------------------------------------------------------

SQLITE_FILE = "log.sqlite"
SQLITE_APPLICATION_ID = 0x46474163  # "FGAc", in the header of the file
SQLITE_SCHEMA_VERSION = 1  # its user_version
POSTGRES_SCHEMA_VERSION = 1  # in each row of fgacore_store

SQLITE_LOCK_START, SQLITE_LOCK_BYTES = 0x4000_0002, 510  # SQLite's own: the bytes of its file that each process that has it open keeps locked

# --- the bell ------------------------------------------------------------------------------------------------------------------------------

BELL_FILE = "bell"
BELL_MAGIC = b"fgabell1"  # then the revision, 8 bytes, and the futex word, 4, as the machine has them; 64 bytes in all

# --- the snapshot ------------------------------------------------------------------------------------------------------------------------

# A snapshot is a cache of the log, so a new version of it reads no older one. Its version changes with what lies in any section, and so with the
# hash of names (kernel/names.pxd), the slots of a base, the pages and offsets of a side (kernel/side.pxd) and the form of large sets.
SNAPSHOT_VERSION = 2
SNAPSHOT_MAGIC = b"fgasnap\0"
# The header: magic, version, 4 zeros, size of the file, offset and size of the table (8 bytes each), zeros; from byte 96 on the SHA-256 of what is
# before it and of the table.
SNAPSHOT_HEADER_BYTES = 128
SNAPSHOT_ALIGNMENT = 64  # of a section in the file, and of what lies in the section `sets`
SNAPSHOT_META = "meta"  # the section that is a map in msgpack; the others are the image, kernel/image.pxd:
SNAPSHOT_SECTIONS = ("names.arena", "names.slots", "names.places", "sets", "sides", "grants")
SNAPSHOT_NAME = "snapshot-{revision}.fga"
