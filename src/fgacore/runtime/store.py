"""A store in this process, whatever keeps it: what stores with and without a log have in common. Called by the engine."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from fgacore.errors import RequestError, StoreError, quote
from fgacore.language.model import Model
from fgacore.runtime.models import compile_model, conditions_of, model_payload, model_source
from fgacore.runtime.replay import compile_stored
from fgacore.runtime.state import State
from fgacore.runtime.ulid import UlidSource
from fgacore.runtime.writes import Staged, Writer
from fgacore.store.records import Record
from fgacore.tuples import Triple, Tuple

__all__ = ["Clock", "Items", "Make", "Past", "StageLot", "Store", "Write", "compacted", "same_request"]

Clock = Callable[[], Any]
Items = list[Triple | Tuple]
Make = Callable[[], tuple[Any, Callable[[], None]] | None]  # the payload of a record, and what makes it visible; None: there is nothing to record
StageLot = Callable[[Any, Callable[[Any], tuple[int, Any]]], Iterator[tuple[int, Any]]]  # stages a lot, by one call or more of what it is given

WAIT_SECONDS = 1.0  # between two looks of who waits for news

# What a forked child has to begin anew. A fork is the process's, not a store's; nothing else is kept for the process.
_live: weakref.WeakSet[Store] = weakref.WeakSet()


@dataclass(eq=False, slots=True)
class Write:
    """A write of tuples that is asked for, and what came of it."""

    writes: Items
    deletes: Items | Callable[[], Items]  # given, or found in the state that the write meets
    on_duplicate: str
    ignore_missing: bool
    model_id: str | None
    actor: str | None
    reason: str | None
    request_id: str | None
    digest: bytes = b""
    finish: Callable[[], bytes] | None = None  # the digest of what is read meanwhile, once all of it has been
    revision: int = 0
    error: BaseException | None = None
    done: bool = False

    def gone(self) -> Items:
        """What is to be deleted. Under the state's lock."""
        return self.deletes if isinstance(self.deletes, list) else self.deletes()


class Store(ABC):
    """One store, open in this process. Thread-safe."""

    name: str
    read_only = False

    def __init__(self, state: State) -> None:
        self.state = state
        self.writer = Writer(state)
        self.ulids = UlidSource()
        self.in_child: list[Callable[[], None]] = []  # called in a child of fork
        self._begin_process()
        state.compile_by(compile_stored)
        _live.add(self)

    def _begin_process(self) -> None:
        """What belongs to the process, and is made anew after a fork."""
        self._news = threading.Condition()
        self._waiting = 0  # threads that wait for it

    def after_fork(self) -> None:
        """In the child: nothing of the parent's threads and locks is used again."""
        self.state.forked()
        self._begin_process()
        for begin in self.in_child:
            begin()

    # ---- what differs ----

    @abstractmethod
    def close(self) -> None:
        """Let go of everything."""

    @abstractmethod
    def write(self, write: Write) -> int:
        """Write tuples, all or nothing, and return the revision: that of the first call with this request id, where there was one."""

    @abstractmethod
    def record(self, kind: str, make: Make, actor: str | None, reason: str | None) -> int:
        """Record what `make` returns, called in the state that the record meets, and return the revision. What it did to the state and came to
        nothing is its caller's to take back.
        """

    @abstractmethod
    def import_lots(self, lots: Iterator[Any], stage: StageLot, write: Write) -> tuple[int, int]:
        """Write lots of tuples in one piece, all or nothing. Returns the revision, and how many tuples were written: none where the request id is
        known.
        """

    @abstractmethod
    def snapshot(self) -> int:
        """Lay what is stored on a new base, where there is a log one that others can open; the revision."""

    @abstractmethod
    def compact(self, actor: str | None, reason: str | None) -> int:
        """Begin a new generation, of what is stored now and nothing older: names have new ids, and those of deleted tuples are gone. The revision."""

    @abstractmethod
    def records(self, since: int) -> Iterator[Record]:
        """Every record after a revision that this process has, oldest first; 0: whatever is kept. StoreError `compacted` where some are gone."""

    @abstractmethod
    def at(self, revision: int | None, instant: int | None) -> Store:
        """The store as it was at a revision, with the clock at that record's time; or as it was at an instant, with the clock there. For reading."""

    # ---- what is the same ----

    def refuse_writes(self) -> None:
        if not self.state.is_open:
            raise StoreError("the engine is closed", code="closed")
        if self.read_only:
            raise StoreError("the engine is open for reading only", code="read_only")

    def _refuse_moment(self, revision: int | None, instant: int | None) -> None:
        """Refuse a revision or an instant that has not been yet."""
        if not self.state.is_open:
            raise StoreError("the engine is closed", code="closed")
        if instant is not None and instant > self.state.moment():
            raise RequestError("the time is not yet: there is nothing to know of it", code="revision_not_found")
        if revision is not None and not 0 <= revision <= self.state.revision:
            raise RequestError(f"there is no revision {revision}: the newest is {self.state.revision}", code="revision_not_found")

    def write_model(self, model: Model, actor: str | None, reason: str | None) -> str:
        """Make a model the newest; its id."""
        compiled, source, model_id = conditions_of(model), model_source(model), self.ulids.make()

        def make() -> tuple[Any, Callable[[], None]]:
            symbols = self.state.symbols.copy()  # the state's own are of what is stored
            mark = symbols.mark()
            made = compile_model(symbols, model_id, model, compiled)

            def publish() -> None:
                self.writer.add_model(made.plan, made.structural, source, symbols)

            return model_payload(model_id, source, symbols, mark), publish

        self.record("model", make, actor, reason)
        return model_id

    def sweep(self, actor: str | None, reason: str | None) -> int:
        """Record how many tuples have expired since the last such record; the revision."""

        def make() -> tuple[Any, Callable[[], Any]] | None:
            self.writer.look()
            instant = self.state.latest
            return ([self.state.expired], lambda: self.writer.swept(instant)) if self.state.expired else None

        return self.record("expiry", make, actor, reason)

    def _same_import(self, lots: Iterator[Any], write: Write, revision: int, known: bytes) -> int:
        """The revision of the first import with a request id, if it was of the same."""
        if write.finish is not None:
            for _ in lots:
                pass
            write.digest = write.finish()
        return same_request(write, revision, known)

    def _stage_lots(self, lots: Iterator[Any], stage: StageLot, staged: Staged, on_duplicate: str) -> Iterator[tuple[int, Any]]:
        """(tuples written, payload) of each part of each lot that changes anything."""

        def one(items: Any) -> tuple[int, Any]:
            with self.state.lock:
                return self.writer.stage_lot(staged, items, on_duplicate)

        for lot in lots:
            for count, payload in stage(lot, one):
                if payload is not None:
                    yield count, payload

    # ---- news ----

    def tell(self) -> None:
        """Wake those who wait for a newer revision."""
        if self._waiting:
            with self._news:
                self._news.notify_all()

    @contextlib.contextmanager
    def _waits(self) -> Iterator[None]:
        with self._news:
            self._waiting += 1
            try:
                yield
            finally:
                self._waiting -= 1

    def wait_news(self, revision: int) -> None:
        """Wait until there is more than a revision, a second has passed, or the store is closed."""
        with self._waits():
            if self.state.is_open and self.state.revision <= revision:
                self._news.wait(WAIT_SECONDS)

    def wait_for(self, revision: int, timeout: float | None) -> int:
        """Wait until this process has a revision; return the newest. StoreError `stale` where it has not in time."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._waits():
            while self.state.is_open and self.state.revision < revision:
                left = WAIT_SECONDS if deadline is None else deadline - time.monotonic()
                if left <= 0:
                    raise StoreError(f"revision {revision} is wanted, {self.state.revision} is the newest here", code="stale")
                self._news.wait(min(left, WAIT_SECONDS))
        return self.state.revision


class Past(Store):
    """A store as it was. Its history is that of the store it was made from, up to then."""

    read_only = True

    def __init__(self, state: State, parent: Store) -> None:
        super().__init__(state)
        self.name = f"{parent.name} at revision {state.revision}"
        self._parent = parent

    def close(self) -> None:
        with self.state.lock:
            self.state.close()
        self.tell()

    def write(self, write: Write) -> int:
        return self._refuse()

    def record(self, kind: str, make: Make, actor: str | None, reason: str | None) -> int:
        return self._refuse()

    def import_lots(self, lots: Iterator[Any], stage: StageLot, write: Write) -> tuple[int, int]:
        return self._refuse(), 0

    def compact(self, actor: str | None, reason: str | None) -> int:
        return self._refuse()

    def snapshot(self) -> int:
        return self._refuse()

    def _refuse(self) -> int:
        self.refuse_writes()
        return 0

    def records(self, since: int) -> Iterator[Record]:
        for record in self._parent.records(since):
            if record.revision > self.state.revision:
                return
            yield record

    def at(self, revision: int | None, instant: int | None) -> Store:
        raise StoreError("the engine stands at a revision already: ask the one it was made from", code="read_only")


def same_request(write: Write, revision: int, known: bytes) -> int:
    """The revision of the first write with a request id, if it was the same."""
    if known != write.digest:
        raise StoreError(f"the request id {quote(write.request_id)} was used for another write, at revision {revision}", code="conflict")
    return revision


def compacted(revision: int) -> StoreError:
    return StoreError(f"revision {revision} lies before what is kept: the history up to then was dropped", code="compacted")


def _after_fork() -> None:
    for store in list(_live):
        store.after_fork()


os.register_at_fork(after_in_child=_after_fork)
