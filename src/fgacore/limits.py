"""Every bound of fgacore in one place, each with its unit and its reason.

OpenFGA's bounds on names hold here in bytes of UTF-8, since names are compared as bytes.
"""

from __future__ import annotations

# Names (OpenFGA's rules; bytes).
TYPE_BYTES_MAX = 254
RELATION_BYTES_MAX = 50
CONDITION_BYTES_MAX = 50
OBJECT_BYTES_MAX = 256  # `type:id` as a whole
SUBJECT_BYTES_MAX = 512  # `type:id#relation` as a whole

# Models. A model is compiled once and kept for the life of the store: generous, but a bound.
MODEL_BYTES_MAX = 1 << 20  # text of one model or module, DSL or JSON; OpenFGA takes 256 KiB
MODEL_TYPES_MAX = 1_000
MODEL_RELATIONS_MAX = 10_000  # over all types
MODEL_REWRITE_DEPTH_MAX = 64  # nesting of parentheses or of JSON rewrites: parsers and compilers recurse this deep, no deeper
MODEL_RESTRICTIONS_MAX = 1_000  # in one relation
MODEL_CONDITIONS_MAX = 100
MODEL_PARAMETERS_MAX = 100  # of one condition
MODEL_ISSUES_MAX = 100  # faults reported in one run
MODULE_FILES_MAX = 1_000
CONDITION_EXPRESSION_BYTES_MAX = 4_096

# Store. Symbols are numbered in 16 bits and names within a type in 32.
STORE_TYPES_MAX = 65_000  # over all models of a store
STORE_RELATIONS_MAX = 65_000
WRITE_TUPLES_MAX = 10_000_000  # in one call
MEMORY_RECORDS_BYTES_MAX = 64 << 20  # of records that a store without a log keeps for `changes` and `at`, the newest

# Log and snapshots.
ACTOR_BYTES_MAX = 1_024  # of `actor` and of `reason`, each: they are in every record
REQUEST_ID_BYTES_MAX = 256
REQUEST_SECONDS = 86_400  # that a request id is remembered
CLOCK_AHEAD_SECONDS = 3_600  # that a record may be ahead of this machine's clock: whoever took it in would never again have an earlier time
LOG_WAIT_SECONDS = 30.0  # that a write waits for its turn among processes
RECORD_BYTES_MAX = 256 << 20  # of one record, which is read and written whole; the databases take 1 GB and 1 GiB
RECORD_TUPLES = 100_000  # of one record of a checkpoint, so that a reader needs little memory
SNAPSHOTS_KEPT = 2
SNAPSHOT_CHANGES_MIN = 100_000  # tuples written or deleted since the newest snapshot before another is made by itself,
SNAPSHOT_FRACTION = 8  # and the part of the store's tuples: replay reads a million changes in a second or two
SNAPSHOT_CLOSE_TUPLES = 1_000_000  # a store up to here leaves a snapshot whenever it is closed: it takes a tenth of a second

# Import. A file is read in lots, so that memory does not grow with it.
IMPORT_LOT_TUPLES = 200_000  # at most in one lot, and in one record
IMPORT_LOT_BYTES = 16 << 20  # text of one lot, where it is read as objects: contexts make tuples large
IMPORT_LINE_BYTES_MAX = 1 << 20  # one tuple in a file: the largest context, escaped, takes a fifth
IMPORT_ERRORS_MAX = 1_000  # bad lines told one by one; the others are counted

# Questions.
BATCH_ITEMS_MAX = 10_000_000  # in one call
LIST_WORK_MAX = 2_000_000_000  # tuples looked at for one list: a list is never cut short, it is whole or an error
CONTEXTUAL_TUPLES_MAX = 10_000  # of one question; OpenFGA takes 100
CHECK_WORK_MAX = 50_000_000  # tuples looked at for one question, so that one question is seconds, never minutes

# Agents.
CALENDAR_SECONDS_MAX = 253_402_300_799  # since 1970, the last second of the year 9999: no datetime is later
CHAIN_PRINCIPALS_MAX = 16  # from the root to the asking agent; a denial's code and its link share a byte
SCOPE_ENTRIES_MAX = 1_000  # of one scope or boundary: each question reads them all
LOG_RING_BYTES = 32 << 20  # of decisions on their way to the disk, two halves: each some 250,000 single ones, or three million in batches
LOG_FLUSH_SECONDS = 0.05  # between two writes of what has gathered: what a crash loses, at most
LOG_SEGMENT_BYTES = 64 << 20  # of one file of decisions, about
TASK_BYTES_MAX = 1_024  # of a delegation's task: it is in its record, and in each session's of the decision log

# Contexts of conditions (bytes of msgpack) and evaluations.
CONTEXT_BYTES_MAX = 32_768  # stored with one tuple; OpenFGA's bound
REQUEST_CONTEXT_BYTES_MAX = 1 << 20  # of one request, what is a parameter of a condition
CONTEXT_DEPTH_MAX = 64  # lists and maps within each other: readers recurse this deep, no deeper
CONDITION_WORK_MAX = 200_000_000  # operators evaluated, and 16 bytes compared, in one call: about a second

assert TYPE_BYTES_MAX + 2 <= OBJECT_BYTES_MAX <= SUBJECT_BYTES_MAX  # a type, a colon and an id of one byte fit an object
assert OBJECT_BYTES_MAX + 1 + RELATION_BYTES_MAX <= SUBJECT_BYTES_MAX  # any object and any relation make a userset
