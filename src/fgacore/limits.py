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
CHANGES_KEPT_MAX = 100_000  # recorded writes of a store in memory, the newest
WRITE_TUPLES_MAX = 10_000_000  # in one call

# Questions.
BATCH_ITEMS_MAX = 10_000_000  # in one call
LIST_WORK_MAX = 2_000_000_000  # tuples looked at for one list: a list is never cut short, it is whole or an error
CONTEXTUAL_TUPLES_MAX = 10_000  # of one question; OpenFGA takes 100
CHECK_WORK_MAX = 50_000_000  # tuples looked at for one question, so that one question is seconds, never minutes

# Contexts of conditions (bytes of msgpack) and evaluations.
CONTEXT_BYTES_MAX = 32_768  # stored with one tuple; OpenFGA's bound
REQUEST_CONTEXT_BYTES_MAX = 1 << 20  # of one request, what is a parameter of a condition
CONTEXT_DEPTH_MAX = 64  # lists and maps within each other: readers recurse this deep, no deeper
CONDITION_WORK_MAX = 200_000_000  # operators evaluated, and 16 bytes compared, in one call: about a second

assert TYPE_BYTES_MAX + 2 <= OBJECT_BYTES_MAX <= SUBJECT_BYTES_MAX  # a type, a colon and an id of one byte fit an object
assert OBJECT_BYTES_MAX + 1 + RELATION_BYTES_MAX <= SUBJECT_BYTES_MAX  # any object and any relation make a userset
