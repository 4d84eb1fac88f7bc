"""Writing to a log that processes share. In each process one thread at a time leads; it writes what has gathered behind it as well.

    lock the head of the log      other processes wait
    meet it                       the state catches up with what they wrote
    stage                         each write is checked against that state and those before it; its record is chained to the one before
    append, commit                from here on it is written, whatever happens to this process
    publish                       and visible here; the others are told

The state's lock is held while memory is changed and never while the log is waited for, so a tuple that expires meanwhile moves the state on: what was
staged is then taken from the log, as a follower takes it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from fgacore.errors import InternalError, StoreError
from fgacore.limits import CLOCK_AHEAD_SECONDS, RECORD_TUPLES
from fgacore.runtime.replay import Position, checkpoint
from fgacore.runtime.store import Make, Write, same_request
from fgacore.runtime.writes import Staged
from fgacore.store.log import Log, Row
from fgacore.store.records import Record, chain, encode

if TYPE_CHECKING:
    from fgacore.runtime.replica import Replica

__all__ = ["Leader"]

StagedLots = Callable[[Staged], Iterator[tuple[int, Any]]]  # (tuples written, payload) of each part of an import


class Leader:
    """The writes of one replica."""

    def __init__(self, replica: Replica, log: Log, *, own_clock: bool) -> None:
        self._replica = replica
        self._log = log
        self._state, self._writer = replica.state, replica.writer
        self._turn = threading.Lock()
        self._thread = 0  # that has it
        self._queue: deque[Write] = deque()
        self._own_clock = own_clock  # given by the caller: it may be moved at will
        self._offset = _clock_offset()

    @property
    def is_here(self) -> bool:
        """Whether this thread is in the middle of a write."""
        return self._thread == threading.get_ident()

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """The turn of this thread: no other of this process writes, or lays the state on another base."""
        if self.is_here:
            raise StoreError("a write is under way in this thread", code="busy")
        with self._turn:
            self._thread = threading.get_ident()
            try:
                yield
            finally:
                self._thread = 0

    # ---- tuples ----

    def write(self, write: Write) -> int:
        if self.is_here:
            raise StoreError("a write is under way in this thread", code="busy")
        self._queue.append(write)
        with self._turn:
            if not write.done:
                self._thread = threading.get_ident()
                try:
                    self._lead()
                finally:
                    self._thread = 0
        if write.error is not None:
            raise write.error
        return write.revision

    def _lead(self) -> None:
        """Write all that waits, in one transaction."""
        group = []
        while self._queue:
            group.append(self._queue.popleft())
        try:
            self._write_group(group)
        except BaseException as error:
            for write in group:
                if write.error is None:
                    write.error = StoreError(error.message, code=error.code) if isinstance(error, StoreError) else error
            if not isinstance(error, Exception):
                raise
        finally:
            for write in group:
                write.done = True

    def _write_group(self, group: list[Write]) -> None:
        rows: list[Row] = []
        changes = 0
        with self._staging() as staged:
            seen: dict[str, Write] = {}
            with self._state.lock:
                for write in group:
                    changes += self._stage(write, staged, rows, seen)
            if rows:
                self._log.append(rows)
            for request_id, write in seen.items():
                self._log.remember(request_id, write.revision, write.digest, staged.instant)
        self._publish(rows, changes, staged=staged)

    @contextlib.contextmanager
    def _staging(self) -> Iterator[Staged]:
        """Hold the head of the log, and stage writes in the state that it is that of. Leaving commits what was appended.

        What fails is let go while the head is still held: nobody else can have written, and the names that came with it can be taken back. Where it
        is the commit that fails, it may be in the log after all, or others have written since: then the state is loaded anew.
        """
        staged: Staged | None = None
        try:
            with self._log.locked() as head:
                self._replica.meet(head)
                with self._state.lock:
                    self._refuse_jump(self._log.now())
                    staged = self._writer.begin()
                try:
                    yield staged
                except BaseException:
                    gone, staged = staged, None
                    with self._state.lock:
                        self._writer.abandon(gone)
                    raise
        except BaseException as error:
            if staged is not None:
                self._let_go(staged, error)
            raise

    def _let_go(self, staged: Staged, error: BaseException) -> None:
        """The commit has failed."""
        if isinstance(error, StoreError) and error.code != "commit_unknown":  # it is not in the log
            with contextlib.suppress(InternalError), self._state.lock:
                self._writer.abandon(staged)
                return
        self._replica.lose(error)

    def _stage(self, write: Write, staged: Staged, rows: list[Row], seen: dict[str, Write]) -> int:
        """Stage one write of a group after the others; its own fault is its own error. Returns how many tuples it changes. Under the state's lock."""
        try:
            if write.request_id is not None:
                first = seen.get(write.request_id)
                found = (first.revision, first.digest) if first is not None else self._log.request(write.request_id)
                if found is not None:
                    write.revision = same_request(write, *found)
                    return 0
            written, deleted, payload = self._writer.stage(
                staged, write.writes, write.gone(), write.on_duplicate, write.ignore_missing, write.model_id
            )
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - the caller's own code may raise anything: it goes back to the caller
            write.error = error
            return 0
        if payload is not None:
            self._add_row(rows, staged.instant, "tuples", False, write, payload)
        write.revision = self._state.revision + len(rows)
        if write.request_id is not None:
            seen[write.request_id] = write
        return written + deleted

    def import_lots(self, lots: StagedLots, write: Write, same: Callable[[int, bytes], int]) -> tuple[int, int]:
        """lots: what is staged, part by part. same: the revision that is returned where the request id is known."""
        with self.turn():
            return self._import(lots, write, same)

    def _import(self, lots: StagedLots, write: Write, same: Callable[[int, bytes], int]) -> tuple[int, int]:
        rows: list[Row] = []
        written, pending = 0, None  # the last payload: whether another follows it is not known yet
        with self._staging() as staged:
            found = None if write.request_id is None else self._log.request(write.request_id)
            if found is not None:
                return same(*found), 0
            for count, payload in lots(staged):
                written += count
                if pending is not None:
                    self._append(rows, staged.instant, True, write, pending)
                pending = payload
            if pending is not None:
                self._append(rows, staged.instant, False, write, pending)
            revision = self._state.revision + len(rows)
            if write.request_id is not None:
                self._log.remember(write.request_id, revision, write.digest if write.finish is None else write.finish(), staged.instant)
        self._publish(rows, written, staged=staged)
        return revision, written

    def _append(self, rows: list[Row], instant: int, more: bool, write: Write, payload: Any) -> None:
        """Append one record now, and keep only where it stands."""
        self._add_row(rows, instant, "tuples", more, write, payload)
        self._log.append([rows[-1]])
        rows[-1] = rows[-1]._replace(data=b"")

    # ---- other records ----

    def record(self, kind: str, make: Make, actor: str | None, reason: str | None) -> int:
        with self.turn():
            write = Write([], [], "error", False, None, actor, reason, None)
            rows: list[Row] = []
            with self._log.locked() as head:
                self._replica.meet(head)
                with self._state.lock:
                    self._refuse_jump(self._log.now())
                    self._state.moment()
                    made = make()
                    if made is None:
                        return self._state.revision
                    self._add_row(rows, self._state.latest, kind, False, write, made[0])
                self._log.append(rows)
            self._publish(rows, 1, publish=made[1])
            return rows[-1].revision

    def compact(self, actor: str | None, reason: str | None) -> int:
        """Put a generation of what is stored now in the place of the log's records. The state stays as it was: the caller loads it anew."""
        with self.turn():
            write = Write([], [], "error", False, None, actor, reason, None)
            rows: list[Row] = []
            with self._log.locked() as head:
                self._replica.meet(head)
                with self._state.lock:
                    self._refuse_jump(self._log.now())
                    self._writer.look()
                    for kind, more, payload in checkpoint(self._state, RECORD_TUPLES):
                        self._add_row(rows, self._state.latest, kind, more, write, payload, head.generation + 1)
                self._log.replace(rows, head.generation + 1)
            return rows[-1].revision

    # ---- parts ----

    def _add_row(self, rows: list[Row], instant: int, kind: str, more: bool, write: Write, payload: Any, generation: int | None = None) -> None:
        """One more record after the newest, or after those that are about to be appended."""
        position = self._replica.position
        revision, hash = (rows[-1].revision, rows[-1].hash) if rows else (self._state.revision, position.hash)
        time = max(instant, position.time)
        data = encode(Record(revision + 1, generation or position.generation, time, kind, more, write.actor, write.reason, payload))
        rows.append(Row(revision + 1, data, chain(hash, data), time))

    def _refuse_jump(self, now: int | None) -> None:
        """Go by the time that all writers share; or refuse to write where a machine's clock has jumped far ahead, and would take everyone's time with
        it.
        """
        if now is not None:
            self._state.reach_instant(now)
        elif not self._own_clock and _clock_offset() - self._offset > CLOCK_AHEAD_SECONDS:
            raise StoreError(
                f"this machine's clock has jumped more than {CLOCK_AHEAD_SECONDS} seconds ahead since the store was opened: set it, or open the "
                "store again",
                code="clock_jumped",
            )

    def _publish(self, rows: list[Row], changes: int, *, staged: Staged | None = None, publish: Callable[[], None] | None = None) -> None:
        """Make visible what the log has: what was staged, or what `publish` does. Where the state has moved on since, it comes from the log."""
        if not rows:
            return
        replica, is_behind = self._replica, False
        with self._state.lock:
            if self._state.revision < rows[0].revision:
                if publish is not None:
                    publish()
                elif staged is not None:
                    is_behind = not self._writer.commit(staged, len(rows))
                if not is_behind:
                    replica.position = Position(rows[-1].hash, rows[-1].time, replica.position.generation)
                    replica.changes += changes
        if is_behind:
            replica.catch_up()
        replica.renew()
        replica.tell()
        self._log.ring(rows[-1].revision)


def _clock_offset() -> float:
    """How far the machine's clock is from one that nobody sets, in seconds."""
    return time.time() - time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
