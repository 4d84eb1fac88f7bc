"""What the tests of the language ask again and again: which faults does this model have, and where."""

from __future__ import annotations

from collections.abc import Callable

from fgacore import language
from fgacore.errors import ModelError, ModelIssue

HEADER = "model\n  schema 1.1\ntype user\n"


def issues(action: Callable[..., object], *arguments: object, **options: object) -> list[ModelIssue]:
    """The faults that a call raises; none where it returns."""
    try:
        action(*arguments, **options)
    except ModelError as error:
        return list(error.issues)
    return []


def parse_faults(text: str) -> list[tuple[str, int, int, str]]:
    """Code, line, column and symbol of every fault that parsing finds."""
    return [(issue.code, issue.line, issue.column, issue.symbol) for issue in issues(language.parse, text)]


def faults(text: str, *, strict: bool = False) -> list[tuple[str, int, str]]:
    """Code, line and symbol of every fault that loading finds."""
    return [(issue.code, issue.line, issue.symbol) for issue in issues(language.load, text, strict=strict)]


def document(*relations: str) -> str:
    """A model with users and a type `doc` that has these relations; the first stands on line 6."""
    return HEADER + "type doc\n  relations\n" + "".join(f"    define {relation}\n" for relation in relations)
