"""A store that keeps nothing beyond the process. Its records are in a deque, as many as fit, for `changes` and `at`."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from fgacore.errors import StoreError
from fgacore.language.compile import SymbolTable
from fgacore.limits import REQUEST_SECONDS
from fgacore.runtime.clock import moment_of
from fgacore.runtime.replay import Position, checkpoint, joined, memory_replay
from fgacore.runtime.state import State
from fgacore.runtime.store import Clock, Make, Past, StageLot, Store, Write, compacted, same_request
from fgacore.store.records import Record

__all__ = ["MemoryStore"]


class MemoryStore(Store):
    """A new, empty store."""

    name = ":memory:"

    def __init__(self, clock: Clock | None) -> None:
        super().__init__(State(SymbolTable(), clock))
        self._clock = clock
        self._kept: deque[tuple[int, int, str, str | None, str | None, Any]] = deque()  # (revision, time, kind, actor, reason, payload)
        self._requests: dict[str, tuple[int, bytes, int]] = {}  # request id to revision, digest and time
        self._is_importing = False  # seen by this thread alone, under the lock: in the middle of an import nothing else is written
        self._begins = 0  # the first revision that there is of this generation
        self._is_trimmed = False  # records of it are gone: no earlier state can be made from the others

    def close(self) -> None:
        with self.state.lock:
            self.state.close()
        self.tell()

    # ---- writing ----

    def _refuse_import(self) -> None:
        if self._is_importing:
            raise StoreError("a write is under way in this thread", code="busy")

    def write(self, write: Write) -> int:
        with self.state.lock:
            if self._is_importing:
                self._refuse_import()
            if write.request_id is None:
                return self._write(write)
            found = self._request(write.request_id)
            if found is None:
                found = self._write(write), write.digest
                self._requests[write.request_id] = *found, self.state.latest
            return same_request(write, *found)

    def _write(self, write: Write) -> int:
        """Under the lock."""
        gone = write.deletes if isinstance(write.deletes, list) else write.deletes()
        revision = self.writer.write(
            write.writes, gone, write.on_duplicate, write.ignore_missing, write.model_id, self._kept, write.actor, write.reason
        )
        if self.state.keeps_too_much:  # from here on nothing is allocated that could fail: what is written is written
            self._trim()
        if self._waiting:
            self.tell()
        return revision

    def _request(self, request_id: str) -> tuple[int, bytes] | None:
        """What is known of a request id. Those that are a day old are forgotten."""
        now = self.state.moment()
        for known in [known for known, (_, _, then) in self._requests.items() if now - then > REQUEST_SECONDS * 1_000_000]:
            del self._requests[known]
        found = self._requests.get(request_id)
        return None if found is None else found[:2]

    def record(self, kind: str, make: Make, actor: str | None, reason: str | None) -> int:
        self.refuse_writes()
        with self.state.lock:
            self._refuse_import()
            self.state.moment()
            made = make()
            if made is not None:
                self._keep(kind, actor, reason, made[0])
                try:
                    made[1]()
                except BaseException:
                    self._kept.pop()
                    raise
                self.tell()
            return self.state.revision

    def import_lots(self, lots: Iterator[Any], stage: StageLot, write: Write) -> tuple[int, int]:
        self.refuse_writes()
        with self.state.lock:
            self._refuse_import()
            self._is_importing = True
            try:
                return self._import(lots, stage, write)
            finally:
                self._is_importing = False

    def _import(self, lots: Iterator[Any], stage: StageLot, write: Write) -> tuple[int, int]:
        """Under the lock."""
        found = None if write.request_id is None else self._request(write.request_id)
        if found is not None:
            return self._same_import(lots, write, *found), 0
        staged = self.writer.begin()
        payloads, written = [], 0
        try:
            for count, payload in self._stage_lots(lots, stage, staged, write.on_duplicate):
                written += count
                payloads.append(payload)
        except BaseException:
            self.writer.abandon(staged)
            raise
        if payloads:
            payload = joined(payloads)
            self._keep("tuples", write.actor, write.reason, payload)
            while not self.writer.commit(staged, 1):  # code of the caller's has looked at the store, and a tuple had expired
                staged = self.writer.begin()
                self.writer.apply(staged, payload)
            self._trim()
            self.tell()
        if write.request_id is not None:
            digest = write.digest if write.finish is None else write.finish()
            self._requests[write.request_id] = self.state.revision, digest, self.state.latest
        return self.state.revision, written

    def _keep(self, kind: str, actor: str | None, reason: str | None, payload: Any) -> None:
        """Keep the record of what is about to be made visible."""
        self._kept.append((self.state.revision + 1, self.state.latest, kind, actor, reason, payload))
        self.state.kept_bytes += _size(kind, payload)

    def _trim(self) -> None:
        """Keep no more records than fit."""
        while self.state.keeps_too_much:
            _, _, kind, _, _, payload = self._kept.popleft()
            self.state.kept_bytes -= _size(kind, payload)
            self._is_trimmed = True

    # ---- maintenance ----

    def snapshot(self) -> int:
        with self.state.lock:
            self.writer.merge()
            return self.state.revision

    def compact(self, actor: str | None, reason: str | None) -> int:
        self.refuse_writes()
        with self.state.lock:
            self._refuse_import()
            self.writer.look()
            revision, generation = self.state.revision, self.state.newest.names.generation + 1
            made = [
                Record(revision + number, generation, self.state.latest, kind, more, actor, reason, payload)
                for number, (kind, more, payload) in enumerate(checkpoint(self.state, self.state.newest.tuple_count() + 1), start=1)
            ]
            fresh = memory_replay(revision, Position(b"", 0, generation), self._clock, self.state.newest.names)
            fresh.records(made)
            fresh.finish()
            self.state.adopt(fresh.state, False)
            self._kept = deque((each.revision, each.time, each.kind, actor, reason, each.payload) for each in made)
            self.state.kept_bytes = sum(_size(each.kind, each.payload) for each in made)
            self._begins = self.state.revision
            self._is_trimmed = False
            self.tell()
            return self.state.revision

    # ---- the past ----

    def _records(self) -> list[Record]:
        with self.state.lock:
            generation = self.state.newest.names.generation
            return [
                Record(revision, generation, time, kind, False, actor, reason, payload) for revision, time, kind, actor, reason, payload in self._kept
            ]

    def records(self, since: int) -> Iterator[Record]:
        kept = self._records()
        if kept and 0 < since < kept[0].revision - 1:
            raise compacted(since)
        yield from (record for record in kept if record.revision > since)

    def at(self, revision: int | None, instant: int | None) -> Store:
        self._refuse_moment(revision, instant)
        kept = self._records()
        first = kept[0].revision - 1 if kept else self.state.revision
        if revision is None:
            revision = max((record.revision for record in kept if instant is not None and record.time <= instant), default=first)
        if self._is_trimmed or revision < self._begins:
            raise compacted(revision)
        wanted = [record for record in kept if record.revision <= revision]
        frozen = moment_of(instant if instant is not None else wanted[-1].time if wanted else 0)
        names = self.state.newest.names
        replay = memory_replay(first, Position(b"", 0, names.generation), lambda: frozen, names)
        replay.records(wanted)
        replay.finish()
        return Past(replay.state, self)


def _size(kind: str, payload: Any) -> int:
    """As Writer.write counts a record."""
    return 400 + len(payload[1]) + len(payload[2]) + len(payload[3]) + 200 * len(payload[4]) if kind == "tuples" else 0
