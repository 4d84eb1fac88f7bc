"""The errors of fgacore: one tree, by whose fault it is.

Each class names who can mend it: the model's author, the caller, a bound of `limits.py`, the world, or us.
Each error carries a `code`, stable across releases; `CODES` is the catalogue (docs/errors.md explains every code).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CODES", "FgaError", "InternalError", "LimitError", "ModelError", "ModelIssue", "RequestError", "StoreError", "quote"]

_QUOTE_CHARACTERS_MAX = 80


def quote(text: object) -> str:
    """The user's text in backticks, as messages have it: on one line, without control characters, and not longer than a reader wants.

    What is no text is not shown: turning it into one would run code of its own.
    """
    if not isinstance(text, str):
        return "(not a text)"
    text = str.__str__(text)
    if len(text) > _QUOTE_CHARACTERS_MAX:
        text = text[: _QUOTE_CHARACTERS_MAX - 1] + "…"
    if not text.isprintable():
        text = "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)
    return f"`{text}`"


@dataclass(frozen=True, slots=True)
class ModelIssue:
    """One fault of a model: where it is, which rule it breaks and by which symbol.

    `line` and `column` count from 1 and are 0 where a place does not exist (a model in JSON).
    """

    code: str
    message: str
    line: int = 0
    column: int = 0
    symbol: str = ""
    file: str = ""

    def __str__(self) -> str:
        place = f"{self.line}:{self.column}: " if self.line else ""
        if not self.file:
            return f"{place}{self.message}"
        return f"{self.file}:{place}{self.message}" if place else f"{self.file}: {self.message}"


class FgaError(Exception):
    """The root of every error that fgacore raises on purpose.

    `code` is one of `CODES`; `index` is the position of the item at fault in a batch, or None.
    """

    default_code = "internal"

    def __init__(self, message: str, *, code: str | None = None, index: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.index = index


class ModelError(FgaError):
    """The model is at fault. `issues` has every fault found in one run; `line` and `column` are those of the first."""

    default_code = "invalid_model"

    def __init__(self, message: str, *, code: str | None = None, issues: tuple[ModelIssue, ...] = ()) -> None:
        super().__init__(message, code=code or (issues[0].code if issues else None))
        self.issues = issues
        self.line = issues[0].line if issues else 0
        self.column = issues[0].column if issues else 0


class RequestError(FgaError):
    """The caller is at fault: a malformed name, an unknown type or relation, an argument of the wrong kind."""

    default_code = "invalid_request"


class LimitError(FgaError):
    """A bound of `limits.py` was reached. The message names it."""

    default_code = "limit_exceeded"


class StoreError(FgaError):
    """The store or the world is at fault: a conflict, corruption, something stale or out of reach."""

    default_code = "store_unavailable"


class InternalError(FgaError):
    """An invariant of ours is broken. Please report it; the answer was withheld."""

    default_code = "internal"


# Stable: do not change a code or its class. docs/errors.md has a line for each; tests/test_errors.py holds both to this list.
CODES: dict[str, type[FgaError]] = {
    "invalid_model": ModelError,
    "syntax_error": ModelError,
    "schema_version_required": ModelError,
    "invalid_schema": ModelError,
    "invalid_name": ModelError,
    "reserved_type_keywords": ModelError,
    "reserved_relation_keywords": ModelError,
    "duplicated_error": ModelError,
    "missing_definition": ModelError,
    "invalid_type": ModelError,
    "invalid_relation_type": ModelError,
    "invalid_relation_on_tupleset": ModelError,
    "tupleuserset_not_direct": ModelError,
    "relation_no_entry_point": ModelError,
    "relation_cycle": ModelError,
    "relation_not_assignable": ModelError,
    "assignable_relation_must_have_type": ModelError,
    "invalid_rewrite": ModelError,
    "invalid_condition": ModelError,
    "condition_not_defined": ModelError,
    "condition_not_used": ModelError,
    "different_nested_condition_name": ModelError,
    "conditions_unavailable": ModelError,
    "not_expressible": ModelError,
    "not_a_module": ModelError,
    "invalid_contents_item": ModelError,
    "module_not_readable": ModelError,
    "multiple_modules_in_file": ModelError,
    "invalid_request": RequestError,
    "invalid_subject": RequestError,
    "invalid_object": RequestError,
    "invalid_relation": RequestError,
    "invalid_tuple": RequestError,
    "type_not_found": RequestError,
    "relation_not_found": RequestError,
    "model_not_found": RequestError,
    "no_model": RequestError,
    "duplicate_tuple": RequestError,
    "tuple_exists": RequestError,
    "tuple_missing": RequestError,
    "tuple_differs": RequestError,
    "condition_not_found": RequestError,
    "invalid_expiry": RequestError,
    "invalid_context": RequestError,
    "context_missing": RequestError,
    "condition_failed": RequestError,
    "invalid_contextual_tuple": RequestError,
    "sets_differ": RequestError,
    "generation_differs": RequestError,
    "revision_not_found": RequestError,
    "invalid_store": RequestError,
    "invalid_file": RequestError,
    "extra_missing": RequestError,
    "invalid_principal": RequestError,
    "invalid_scope": RequestError,
    "invalid_delegation": RequestError,
    "delegation_not_found": RequestError,
    "delegation_required": RequestError,
    "context_refused": RequestError,
    "invalid_claims": RequestError,
    "limit_exceeded": LimitError,
    "store_unavailable": StoreError,
    "closed": StoreError,
    "stale": StoreError,
    "busy": StoreError,
    "clock_failed": StoreError,
    "clock_jumped": StoreError,
    "read_only": StoreError,
    "conflict": StoreError,
    "compacted": StoreError,
    "corrupt": StoreError,
    "unknown_record": StoreError,
    "store_full": StoreError,
    "commit_unknown": StoreError,
    "internal": InternalError,
}
