"""Making every decision again: the store's log is walked forward once, and each decision is evaluated at its revision, its instant and what bound it
then.

A decision that comes out otherwise is a difference: there are none, unless the log of decisions, or the store's, is not what was. What cannot be
made again is counted apart, with the reason.
"""

from __future__ import annotations

import heapq
import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fgacore.errors import FgaError, StoreError
from fgacore.formats import DECISION_CODES, SEMANTICS_VERSION
from fgacore.runtime.chains import Chained
from fgacore.runtime.lists import Lists
from fgacore.runtime.replay import Link, empty_replay, read_rows
from fgacore.store.log import Log

from .files import chains, existing
from .place import StoreName, log_of
from .show import Logged, logged

__all__ = ["Difference", "Replayed", "replay"]

_LOG_FAILED = DECISION_CODES["log_failed"]
_LINK_SHIFT = 4
_CHAINS_MAX = 4_096  # sessions that are kept compiled
_WALKS_MAX = 4  # states at once
_BROKEN_MAX = 16  # walks that are begun anew since a decision has led one astray
_DIFFERENCES_MAX = 1_000  # told one by one


@dataclass(frozen=True, slots=True)
class Difference:
    """A decision that comes out otherwise than it was logged. place: its number in its record."""

    chain: str
    sequence: int
    place: int
    revision: int
    logged: str
    replayed: str


@dataclass(slots=True)
class Replayed:
    """What became of a log of decisions. same: how many came out as they were logged; differences: how many did not, of which `examples` tells the
    first thousand. apart: how many cannot be made again, by reason.
    """

    same: int = 0
    differences: int = 0
    apart: Counter[str] = field(default_factory=Counter)
    examples: list[Difference] = field(default_factory=list)

    @property
    def decisions(self) -> int:
        """How many there are in all."""
        return self.same + self.differences + sum(self.apart.values())

    @property
    def good(self) -> bool:
        """Whether every decision that can be made again came out as it was logged."""
        return self.differences == 0

    def __bool__(self) -> bool:
        return self.good


def replay(store: StoreName, directory: str | os.PathLike[str] | None = None, *, progress: Callable[[int], None] | None = None) -> Replayed:
    """Make every decision again that a store's sessions have made, over the store's log. store: its path or URL, or an engine that has it open.
    directory: where its decisions lie, where that is not the default. progress: called with the number of decisions done so far, now and then.

    Raises StoreError where one of the logs was damaged: `fgacore verify` and `fgacore audit verify` say where.
    """
    with log_of(store, directory) as (log, place):
        return _Replaying(log).run(existing(place) if directory is not None else place, progress)


class _Clock:
    """What the state goes by: the instant of the decision under way."""

    instant = 0

    def __call__(self) -> float:
        return self.instant / 1_000_000


class _Walk:
    """A state that is brought forward over the store's log, and the sessions that ask it."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._clock = _Clock()
        self._replay = empty_replay(log, self._clock, live=True)
        self._links = self._all_links()
        self._engine = Lists(self._replay.state)
        self._chains: dict[int, tuple[dict[str, Any], Chained]] = {}
        self.generation = self._replay.position.generation
        self.first = self._replay.state.revision  # where the log begins
        self.is_broken = False

    def _all_links(self) -> Iterator[Link]:
        after, before = self._replay.state.revision, self._replay.position.hash
        while rows := self._log.read(after):
            yield from read_rows(rows, before)
            after, before = rows[-1].revision, rows[-1].hash

    def codes(self, each: Logged) -> tuple[bytes, bytes] | None:
        """The code bytes of a decision as they were logged, and as they come out now; None: the walk has gone beyond it."""
        decided, replay = each.decided, self._replay
        state = replay.state
        if decided.revision < state.revision or decided.instant < state.expired_last:
            return None
        self._clock.instant = decided.instant  # not before any record that the decision has seen
        if decided.revision > state.revision:
            self.is_broken = True
            if not replay.links(self._links, until=decided.revision) or state.revision != decided.revision:
                raise StoreError(f"the store's log has no revision {decided.revision}", code="corrupt")
            replay.finish()
            self.is_broken = False
        if decided.instant < state.latest and not state.rewind(decided.instant):
            raise StoreError("the decision is older than the record that it has seen", code="corrupt")
        model = state.newest_model
        if model is None or model.model_id != each.session["model"]:
            raise StoreError("another model was the newest then", code="corrupt")
        known = self._chains.get(id(each.session))
        return (self._chain(each) if known is None else known[1]).codes(
            decided.payload,
            decided.start,
            decided.end,
            decided.items,
            (decided.type, decided.relation) if decided.is_uniform else None,
            None if each.context is None else each.context["context"],
        )

    def _chain(self, each: Logged) -> Chained:
        if len(self._chains) >= _CHAINS_MAX:
            self._chains.clear()
        own = None if each.session_context is None else each.session_context["context"]
        chain = Chained.described(self._engine, {**each.session, "context": own})
        self._chains[id(each.session)] = each.session, chain
        return chain


class _Replaying:
    """Decisions come by revision and instant, but instants of processes whose clocks differ do not fit into one walk where something expired in
    between: then others follow behind.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._walks = [_Walk(log)]
        self._generation, self._first = self._walks[0].generation, self._walks[0].first
        self._first += self._first > 0  # the first revision that a state can be made of
        self._sessions: dict[int, tuple[dict[str, Any], str | None]] = {}  # why all of a session's are apart
        self._broken = 0  # walks that were given up
        self._done = Replayed()

    def run(self, directory: Path, progress: Callable[[int], None] | None) -> Replayed:
        count, told = 0, 0
        streams = [_in_order(logged(chain, self._log.store_id)) for chain in chains(directory)]
        for each in heapq.merge(*streams, key=_moment) if len(streams) > 1 else itertools.chain(*streams):
            self._one(each)
            count += each.decided.items
            if progress is not None and count - told >= 10_000:
                progress(count)
                told = count
        return self._done

    def _one(self, each: Logged) -> None:
        count = each.decided.items
        reason = self._apart(each)
        if reason is not None:
            self._done.apart[reason] += count
            return
        try:
            said, made = self._codes(each)
        except (FgaError, ValueError) as error:
            self._differ(each, 0, count, "", str(error))
            self._give_up_broken()
            return
        if said == made:
            self._done.same += count
            return
        for place, (was, now) in enumerate(zip(said, made, strict=True)):
            if was & 15 == _LOG_FAILED:
                self._done.apart["not_logged"] += 1
            elif was == now:
                self._done.same += 1
            else:
                self._differ(each, place, 1, _code(was), _code(now))

    def _differ(self, each: Logged, place: int, count: int, was: str, now: str) -> None:
        self._done.differences += count
        if len(self._done.examples) < _DIFFERENCES_MAX:
            decided = each.decided
            self._done.examples.append(Difference(each.chain, decided.sequence, place, decided.revision, was, now))

    def _apart(self, each: Logged) -> str | None:
        """Why a decision cannot be made again; None: it can."""
        known = self._sessions.get(id(each.session))
        if known is None:
            if len(self._sessions) >= _CHAINS_MAX:
                self._sessions.clear()
            known = self._sessions[id(each.session)] = each.session, self._apart_all(each)
        if known[1] is not None:
            return known[1]
        if each.decided.revision < self._first:
            return "compacted"
        return None if each.context is None or "context" in each.context else "context_not_kept"

    def _apart_all(self, each: Logged) -> str | None:
        """The same of every decision of a session."""
        session, own = each.session, each.session_context
        if session["semantics"] != SEMANTICS_VERSION:
            return "other_semantics"
        if session["apart"]:
            return "contextual"
        if session["generation"] != self._generation:
            return "compacted"
        return None if own is None or "context" in own else "context_not_kept"

    def _give_up_broken(self) -> None:
        """A decision that leads a walk astray is no reason for the next ones to differ; where the store's log is damaged, they all do."""
        kept = [walk for walk in self._walks if not walk.is_broken]
        if len(kept) < len(self._walks) and self._broken < _BROKEN_MAX:
            self._broken += 1
            self._walks = kept

    def _codes(self, each: Logged) -> tuple[bytes, bytes]:
        for walk in self._walks:
            found = walk.codes(each)
            if found is not None:
                return found
        if len(self._walks) == _WALKS_MAX:
            self._walks.pop()
        self._walks.append(_Walk(self._log))
        found = self._walks[-1].codes(each)
        if found is None:
            raise StoreError("the decision is older than the store", code="corrupt")
        return found


def _moment(each: Logged) -> tuple[int, int]:
    return each.decided.revision, each.decided.instant


def _in_order(blocks: Iterator[list[Logged]]) -> Iterator[Logged]:
    """The decisions of a chain by revision and instant: threads that decided at once may stand a little out of order, within a block and the next."""
    held: list[Logged] = []
    for block in blocks:
        block.sort(key=_moment)
        if held and block and _moment(block[0]) < _moment(held[-1]):
            held = list(heapq.merge(held, block, key=_moment))
            yield from itertools.islice(held, len(held) - len(block))
            held = held[len(held) - len(block) :]
        else:
            yield from held
            held = block
    yield from held


def _code(byte: int) -> str:
    name = next((code for code, number in DECISION_CODES.items() if number == byte & 15), "unknown")
    return name if byte >> _LINK_SHIFT == 0 else f"{name} of {byte >> _LINK_SHIFT}"
