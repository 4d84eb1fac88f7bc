"""From records of the log to a state: what opening, following, `at` and going over to another generation have in common.

A state is brought forward record by record. Each record is checked against the one before it (revision, hash, generation, time), so that a state is
what its log says or is refused. Nothing is published in the middle of what was written in one piece.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from fgacore.errors import StoreError
from fgacore.kernel.image import image_grants, image_open
from fgacore.kernel.names import Names
from fgacore.kernel.plan import ModelPlan
from fgacore.kernel.tables import Version
from fgacore.language.compile import SymbolTable
from fgacore.limits import CLOCK_AHEAD_SECONDS
from fgacore.runtime.control import CONTROL_KINDS, Control
from fgacore.runtime.models import add_symbols, read_model_payload, stored_model, table_row
from fgacore.runtime.state import State
from fgacore.runtime.writes import Renumbering, Staged, Writer
from fgacore.store.log import Log, Row
from fgacore.store.records import Record, chain, decode
from fgacore.store.snapshot import Snapshot

__all__ = [
    "Link",
    "Position",
    "Replay",
    "checkpoint",
    "compile_stored",
    "empty_replay",
    "joined",
    "memory_replay",
    "read_rows",
    "snapshot_meta",
    "snapshot_replay",
    "tuple_count",
]


@dataclass(frozen=True, slots=True)
class Position:
    """Where in a log a state stands, beside its revision."""

    hash: bytes
    time: int  # of the newest record, microseconds since the epoch
    generation: int


class Link(NamedTuple):
    """A record, its row, and the hash that the row is chained to."""

    before: bytes
    row: Row
    record: Record


def read_rows(rows: Iterable[Row], before: bytes) -> Iterator[Link]:
    """Rows that follow the one whose hash is `before`, with the records that they are. StoreError where one does not follow, or is none."""
    for row in rows:
        if chain(before, row.data) != row.hash:
            raise StoreError(f"damaged: the record of revision {row.revision} does not follow the one before it", code="corrupt")
        try:
            yield Link(before, row, decode(row.data))
        except StoreError as error:
            raise StoreError(f"the record of revision {row.revision}: {error.message}", code=error.code) from error
        before = row.hash


class Replay:
    """A state and its place in the log. The caller holds the state's lock, or nobody else knows the state."""

    def __init__(self, state: State, position: Position, *, live: bool = False) -> None:
        self.state = state
        self.writer = Writer(state)
        self.position = position
        self.changes = 0  # tuples written and deleted since it was made
        self._live = live  # models are compiled as they come; otherwise the newest at the end
        self.is_begun = False  # the state has taken something in
        self._staged: Staged | None = None
        self._count = 0  # records in it
        self._open = False  # the last record is continued by the next

    def links(self, links: Iterable[Link], *, until: int | None = None) -> bool:
        """Bring the state forward over what follows its revision, at most to a revision. Whether it stands at the end of a piece, and not within one.

        Only then is anything visible. Where it raises, the state is of no more use.
        """
        return self.records(self._checked(links), until=until)

    def records(self, records: Iterable[Record], *, until: int | None = None) -> bool:
        """The same over records that nobody can have changed."""
        for record in records:
            self._take(record)
            if record.revision == until:
                break
        if not self._open:
            self._flush()
        return not self._open

    def _checked(self, links: Iterable[Link]) -> Iterator[Record]:
        latest = self.state.moment() + CLOCK_AHEAD_SECONDS * 1_000_000
        for link in links:
            row, record, before = link.row, link.record, self.position
            revision = self.state.revision + self._count + 1
            if row.revision != revision or link.before != before.hash:
                raise StoreError(f"damaged: the record of revision {revision} does not follow the one before it", code="corrupt")
            if (record.revision, record.generation) != (revision, before.generation) or record.time < before.time:
                raise StoreError(f"damaged: the record of revision {revision} is out of order", code="corrupt")
            if record.time > latest:
                raise StoreError(
                    f"the record of revision {revision} is of a time more than {CLOCK_AHEAD_SECONDS} seconds ahead: set this machine's clock, "
                    "or find who wrote it",
                    code="clock_jumped",
                )
            self.position = Position(row.hash, record.time, before.generation)
            yield record

    def _take(self, record: Record) -> None:
        self.is_begun = True
        if self._staged is not None and not self._open and self.writer.is_due(self._staged, record.time):
            self._flush()
        self._open = record.more
        match record.kind:
            case "tuples":
                if self._staged is None:
                    self._staged = self.writer.begin_at(record.time)
                self.writer.apply(self._staged, record.payload)
                self._count += 1
                self.changes += tuple_count(record.payload)
                return
            case "model":
                self._flush()
                self.writer.reach(record.time)
                self._take_model(record.payload)
            case "expiry":
                self._flush()
                self.writer.swept(record.time)
            case kind if kind in CONTROL_KINDS:
                self._flush()
                self.writer.reach(record.time)
                self.writer.take_control(kind, record.payload)
            case "checkpoint" if self.state.newest_model is None and not self.state.sources:
                self.writer.reach(record.time)
                self._take_checkpoint(record.payload)
                self.writer.skip(1)
            case _:
                raise StoreError(
                    f"the record of revision {record.revision} is a {record.kind}, which this version of fgacore does not know", code="unknown_record"
                )

    def _take_model(self, payload: object) -> None:
        model_id, source, types, relations, tables = read_model_payload(payload)
        if model_id in self.state.sources:  # of a state that began with them
            self.writer.skip(1)
            return
        add_symbols(self.state.symbols, types, relations, tables)
        if self._live:
            made = stored_model(self.state.symbols, model_id, source)
            self.writer.add_model(made.plan, made.structural, source)
        else:
            self.writer.add_source(model_id, source)
            self.writer.skip(1)

    def _take_checkpoint(self, payload: object) -> None:
        match payload:
            case [list(models), list(types), list(relations), list(tables)]:
                add_symbols(self.state.symbols, types, relations, tables)
                for model in models:
                    match model:
                        case [str(model_id), str(source)]:
                            self.writer.add_source(model_id, source)
                        case _:
                            raise StoreError("damaged: a model of a checkpoint", code="corrupt")
            case _:
                raise StoreError("damaged: the shape of a checkpoint", code="corrupt")

    def _flush(self) -> None:
        if self._staged is not None:
            staged, count = self._staged, self._count
            self._staged, self._count = None, 0
            self.writer.commit(staged, count)

    def finish(self) -> None:
        """Compile the newest model, where that was left for the end."""
        newest = next(reversed(self.state.sources), None)
        if newest is not None and newest not in self.state.models:
            compile_stored(self.state, newest)
        self.state.name_newest(newest)


def compile_stored(state: State, model_id: str) -> ModelPlan:
    """Compile a model that the state has as JSON."""
    made = stored_model(state.symbols, model_id, state.sources[model_id])
    Writer(state).keep_model(made.plan, made.structural)
    return made.plan


def tuple_count(payload: Any) -> int:
    """How many tuples a payload of tuples writes and deletes."""
    return (len(payload[2]) + len(payload[3])) // 12


# ---- where a state begins ----


def empty_replay(log: Log, clock: Callable[[], Any] | None, *, live: bool = False) -> Replay:
    """At the beginning of what the log keeps. live: models are compiled as they come."""
    revision, hash = log.base()
    generation = log.generation()
    names = Names(log.seed, generation, log.store_id)
    state = State(SymbolTable(), clock, names, 1, Version.at_revision(1, revision, names))
    state.compile_by(compile_stored)
    return Replay(state, Position(hash, 0, generation), live=live)


def memory_replay(revision: int, position: Position, clock: Callable[[], Any] | None, like: Names) -> Replay:
    """An empty state at a revision, of a store without a log."""
    names = Names(os.urandom(32), position.generation, like.store)
    state = State(SymbolTable(), clock, names, 1, Version.at_revision(1, revision, names))
    state.compile_by(compile_stored)
    return Replay(state, position)


def joined(payloads: list[Any]) -> Any:
    """Payloads of tuples that follow each other as one."""
    grants, count = [], 0
    for payload in payloads:
        grants += [(index + count, expires, context) for index, expires, context in payload[4]]
        count += len(payload[3]) // 12
    names, deletes, writes = (b"".join(payload[part] for payload in payloads) for part in (1, 2, 3))
    return max(payload[0] for payload in payloads), names, deletes, writes, grants


def snapshot_replay(
    log: Log, snapshot: Snapshot, clock: Callable[[], Any] | None, like: State | None = None, *, instant: int | None = None
) -> Replay:
    """At a snapshot. like: a state of the same generation whose models are taken over; it must not be older than the snapshot. instant: engine time
    is not later than that, though the snapshot was written later; nothing has expired in between.
    """
    meta = snapshot.meta
    try:
        position = Position(meta["hash"], meta["time"], meta["generation"])
        serial = 1 if like is None else like.serial + 1
        names, version = image_open(snapshot.sections, log.seed, position.generation, log.store_id, snapshot, serial, meta["revision"])
        state = State(SymbolTable() if like is None else like.symbols, clock, names, serial, version)
        state.compile_by(compile_stored)
        replay = Replay(state, position)
        if like is None:
            add_symbols(state.symbols, meta["types"], meta["relations"], meta["tables"])
            for model_id, source in meta["models"]:
                replay.writer.add_source(model_id, source)
        else:
            state.take_models(like)
        state.begin_control(Control.loaded(meta["control"]))
        state.reach_instant(meta["instant"] if instant is None else min(meta["instant"], instant))
        state.set_expired(meta["expired"], meta["expired_last"])
        if len(snapshot.sections["grants"]):
            replay.finish()
            replay.writer.load_grants(image_grants(snapshot.sections["grants"]))
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{snapshot.path.name} is damaged: {error}", code="corrupt") from error
    return replay


def snapshot_meta(state: State, position: Position, store_id: bytes) -> dict[str, Any]:
    """What a snapshot says beside its image. Under the state's lock."""
    symbols = state.symbols
    return {
        "store": store_id,
        "generation": position.generation,
        "revision": state.revision,
        "hash": position.hash,
        "time": position.time,
        "instant": state.moment(),
        "expired": state.expired,
        "expired_last": state.expired_last,
        "control": state.control.dump(),
        "models": [[model_id, source] for model_id, source in state.sources.items()],
        "types": list(symbols.types),
        "relations": list(symbols.relations),
        "tables": [table_row(key) for key in symbols.tables],
    }


def checkpoint(state: State, size: int) -> Iterator[tuple[str, bool, Any]]:
    """The records with which a generation begins, of what a state holds: (kind, more, payload). First the models and numbers, then the tuples in
    lots, then delegations and what bounds agents.
    """
    symbols = state.symbols
    models = [[model_id, source] for model_id, source in state.sources.items()]
    held: tuple[str, Any] = ("checkpoint", [models, list(symbols.types), list(symbols.relations), [table_row(key) for key in symbols.tables]])
    for record in itertools.chain(
        (("tuples", payload) for payload in Renumbering(state, size)),
        state.control.records(state.latest),
    ):
        yield held[0], True, held[1]
        held = record
    yield held[0], False, held[1]
