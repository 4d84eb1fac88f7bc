"""What callers get back where a plain bool or list does not say enough."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

from fgacore.errors import FgaError

__all__ = ["BatchResult", "Change", "Stats"]


class BatchResult(Sequence[bool]):
    """The answers of `batch_check`, in the order of the questions. An item in error reads False and has its error in `errors`."""

    __slots__ = ("_answers", "errors")

    def __init__(self, answers: list[bool], errors: Mapping[int, FgaError]) -> None:
        self._answers = answers
        self.errors = errors

    def __len__(self) -> int:
        return len(self._answers)

    @overload
    def __getitem__(self, index: int) -> bool: ...
    @overload
    def __getitem__(self, index: slice) -> list[bool]: ...
    def __getitem__(self, index: int | slice) -> bool | list[bool]:
        return self._answers[index]

    def __iter__(self) -> Iterator[bool]:
        return iter(self._answers)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, BatchResult):
            return self._answers == other._answers and dict(self.errors) == dict(other.errors)
        return self._answers == other if isinstance(other, list) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"BatchResult({len(self._answers)} answers, {sum(self._answers)} allowed, {len(self.errors)} errors)"


@dataclass(frozen=True, slots=True)
class Change:
    """One recorded write: its revision, when (seconds since the epoch), `model`, `tuples` or `expiry`, by whom and why."""

    revision: int
    time: float
    kind: str
    actor: str | None
    reason: str | None
    written: int = 0
    deleted: int = 0
    model_id: str | None = None


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts of a store, and of the work done since it was opened."""

    revision: int
    model_id: str | None
    models: int
    tuples: int
    unmerged: int  # changes not yet folded into the frozen base
    names: int
    tables: int
    checks: int  # questions answered
    tuples_visited: int  # tuples looked at for them
    alternations: int  # passes over recursions that have an exclusion inside
    conditions_decided: int  # evaluations of conditions for them
    views: int  # subjects of which something is kept between questions
    view_bytes: int
    view_hits: int  # questions, or batches, that found their subject's view
    view_misses: int
    view_drops: int  # views given up for room
