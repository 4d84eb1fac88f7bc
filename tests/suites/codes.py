"""Our codes and OpenFGA's numbers for the same refusals of a check: one table, so that a suite's `errorCode` is compared and not merely an error."""

from __future__ import annotations

__all__ = ["OPENFGA_CODES", "codes_of"]

VALIDATION_ERROR = 2000
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


def codes_of(number: int) -> frozenset[str]:
    """Every code of ours that is OpenFGA's number. There is at least one."""
    codes = frozenset(code for code, known in OPENFGA_CODES.items() if known == number)
    assert codes, f"no code of ours is OpenFGA's {number}"
    return codes
