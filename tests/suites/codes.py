"""Our codes and OpenFGA's numbers for the same refusals, so that a suite's `errorCode` is compared and not merely an error.

A check has one table. The lists have numbers of their own for what the model does not have: of the object in ListObjects, in ListUsers everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["LIST_OBJECTS_CODES", "LIST_USERS_CODES", "OPENFGA_CODES", "codes_of"]

VALIDATION_ERROR = 2000
TYPE_NOT_FOUND = 2021
RELATION_NOT_FOUND = 2022
INVALID_TUPLE = 2027

OPENFGA_CODES = {
    "invalid_subject": VALIDATION_ERROR,
    "invalid_object": VALIDATION_ERROR,
    "invalid_relation": VALIDATION_ERROR,
    "type_not_found": VALIDATION_ERROR,
    "relation_not_found": VALIDATION_ERROR,
    "context_missing": VALIDATION_ERROR,
    "invalid_context": VALIDATION_ERROR,
    "condition_failed": VALIDATION_ERROR,
    "invalid_contextual_tuple": INVALID_TUPLE,
}

UNKNOWN_IN_LISTS = {"type_not_found": TYPE_NOT_FOUND, "relation_not_found": RELATION_NOT_FOUND}
LIST_USERS_CODES = tuple((OPENFGA_CODES | UNKNOWN_IN_LISTS).items())
LIST_OBJECTS_CODES = (*OPENFGA_CODES.items(), *UNKNOWN_IN_LISTS.items())


def codes_of(number: int, pairs: Iterable[tuple[str, int]] = OPENFGA_CODES.items()) -> frozenset[str]:
    """Every code of ours that is OpenFGA's number by this table. There is at least one."""
    codes = frozenset(code for code, known in pairs if known == number)
    assert codes, f"no code of ours is OpenFGA's {number}"
    return codes
