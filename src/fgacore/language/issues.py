"""The faults of a model, gathered in one run and raised as one ModelError.

Every part of the language writes here.
"""

from __future__ import annotations

from typing import NoReturn

from fgacore.errors import ModelError, ModelIssue
from fgacore.language.model import NOWHERE, Position
from fgacore.limits import MODEL_ISSUES_MAX

__all__ = ["Issues"]


class Issues:
    """Faults in the order in which they were found, at most MODEL_ISSUES_MAX."""

    __slots__ = ("file", "found")

    def __init__(self, file: str = "") -> None:
        self.file = file
        self.found: list[ModelIssue] = []

    @property
    def full(self) -> bool:
        """True once more faults would not be kept: the finder may stop."""
        return len(self.found) >= MODEL_ISSUES_MAX

    def add(self, code: str, message: str, position: Position = NOWHERE, symbol: str = "", file: str | None = None) -> None:
        """Note one fault. `file` is where it is, if that is not the file these issues belong to."""
        if not self.full:
            self.found.append(ModelIssue(code, message, position[0], position[1], symbol, self.file if file is None else file))

    def has(self, code: str) -> bool:
        """True if a fault of this code was found."""
        return any(issue.code == code for issue in self.found)

    def fail(self, code: str, message: str, position: Position = NOWHERE, symbol: str = "") -> NoReturn:
        """Note a fault after which nothing can be read, and raise."""
        self.found = self.found[: MODEL_ISSUES_MAX - 1]
        self.add(code, message, position, symbol)
        raise self.error()

    def raise_found(self) -> None:
        """Raise what was found as one ModelError, by place if it is all of one file; do nothing where nothing was found."""
        if self.found:
            raise self.error()

    def error(self) -> ModelError:
        """What was found as one error."""
        if len({issue.file for issue in self.found}) == 1:
            self.found.sort(key=lambda issue: (issue.line, issue.column))
        more = len(self.found) - 1
        message = str(self.found[0]) + (f" (and {more} more)" if more else "")
        return ModelError(message, issues=tuple(self.found))
