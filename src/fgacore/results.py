"""What callers get back where a plain bool or list does not say enough."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, overload

import numpy

from fgacore.errors import FgaError
from fgacore.tuples import Tuple

__all__ = ["BatchResult", "Change", "Decision", "Delegation", "Ids", "ImportResult", "Stats", "Suspension"]


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


class Ids(numpy.ndarray[Any, numpy.dtype[numpy.uint32]]):
    """Ids of names of one type, uint32, and the generation of the store that they are of: another one numbers names anew. Slices keep it."""

    generation: int | None = None

    def __array_finalize__(self, source: object) -> None:
        self.generation = getattr(source, "generation", None)

    @classmethod
    def of(cls, array: numpy.ndarray[Any, Any], generation: int) -> Ids:
        """An array as ids, without a copy."""
        made = array.view(cls)
        made.generation = generation
        return made


@dataclass(frozen=True, slots=True)
class Change:
    """One record of the log: its revision, when it was written (seconds since the epoch), its kind (`tuples`, `model`, `expiry`, `checkpoint`,
    `delegation`, `suspension`, `boundary`, `setting`), by whom and why; for tuples what was written and deleted, for the last four what they say in
    `details`. `written` and `deleted` count them; of an `expiry` the tuples that had expired.
    """

    revision: int
    time: float
    kind: str
    actor: str | None
    reason: str | None
    written: int = 0
    deleted: int = 0
    model_id: str | None = None
    writes: tuple[Tuple, ...] = field(default=(), repr=False)
    deletes: tuple[Tuple, ...] = field(default=(), repr=False)
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer of `Session.decide`: true exactly where it is allowed. `code` is `allowed` or says what denied; `principal` and `delegation` say
    where in the chain, as far as the code has a place there. `error` is what kept an `undetermined` question from an answer.
    """

    allowed: bool
    code: str
    principal: str | None
    delegation: str | None
    relation: str
    object: str
    revision: int
    instant: datetime
    model_id: str
    error: FgaError | None = None

    def __bool__(self) -> bool:
        return self.allowed


@dataclass(frozen=True, slots=True)
class Delegation:
    """A recorded delegation: `by` lends `to` what `scope` admits of its own authority, until `expires_at` (None: until it is revoked).

    authority: `both`, where `to` must hold what it asks for as well, or `lent`. within: the scope of the session that went on with authority of its
    own. parent: the delegation that it goes on from. active: neither it nor one above it is revoked or expired, and no principal of its chain is
    suspended.
    """

    id: str
    by: str
    to: str
    scope: tuple[str, ...]
    within: tuple[str, ...] | None
    authority: str
    task: str | None
    redelegations: int
    parent: str | None
    created: datetime
    expires_at: datetime | None
    reason: str | None
    revision: int
    revoked: bool
    active: bool


@dataclass(frozen=True, slots=True)
class Suspension:
    """A subject that is suspended: by whom, why, since when, and the revision that says so."""

    subject: str
    by: str | None
    reason: str | None
    since: datetime
    revision: int


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What an import did: the newest revision; items read, written, and skipped for their faults, of which the first are told in `errors`."""

    revision: int
    read: int
    written: int
    skipped: int = 0
    errors: tuple[str, ...] = ()


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
