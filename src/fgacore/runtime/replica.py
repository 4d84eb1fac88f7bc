"""A store that is a replica of a log: how it is opened, follows, is laid on snapshots, and goes back.

    follow     a thread waits for news of the log and brings the state forward; answers wait for nothing
    snapshot   the state's image beside the log: whoever opens the store, or has grown beyond its base, maps it
    lose       where the state may not be what the log says, nothing is answered until it is loaded again

The state's lock is held while memory is changed, never while a disk or a server is waited for.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fgacore.errors import FgaError, RequestError, StoreError
from fgacore.kernel.image import image_write
from fgacore.kernel.memory import release
from fgacore.limits import LOG_WAIT_SECONDS, SNAPSHOT_CHANGES_MIN, SNAPSHOT_CLOSE_TUPLES, SNAPSHOT_FRACTION, SNAPSHOTS_KEPT
from fgacore.runtime.clock import moment_of
from fgacore.runtime.leader import Leader
from fgacore.runtime.replay import Link, Replay, empty_replay, read_rows, snapshot_meta, snapshot_replay
from fgacore.runtime.store import WAIT_SECONDS, Clock, Make, Past, StageLot, Store, Write, compacted
from fgacore.runtime.writes import Staged
from fgacore.store.log import READ_BYTES, Head, Log
from fgacore.store.records import Record, decode
from fgacore.store.snapshot import Snapshot, find_snapshots, open_snapshot, prune, set_aside, write_snapshot

__all__ = ["Replica"]

_LOG = logging.getLogger("fgacore")
_LOCK_NAP_SECONDS = 0.01


class Replica(Store):
    """A store of a log, from its newest good snapshot in `directory` and the records since. The log is the replica's from here on, also where it
    fails.
    """

    def __init__(self, log: Log, directory: Path | None, *, clock: Clock | None, max_staleness: float | None, verify: bool) -> None:
        self.log = log
        self.name = log.name
        self.read_only = log.read_only
        self.directory = directory
        self._clock = clock
        self._max_staleness = max_staleness
        try:
            replay, snapshot = _load(log, directory, clock, verify=verify)
        except BaseException:
            log.close()
            raise
        self.position = replay.position
        super().__init__(replay.state)
        self._stand_on(snapshot, replay, verified=verify)
        self._follow()

    def _begin_process(self) -> None:
        super()._begin_process()
        self._leader = Leader(self, self.log, own_clock=self._clock is not None)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._snapshots = threading.Lock()
        self._failure: FgaError | None = None  # why there are no news of the log
        self._lost: FgaError | None = None  # why the state is of no use, and nothing is answered until it is loaded again
        self._stopped: FgaError | None = None  # why the log cannot be followed any further: the state is whole, and nothing is answered from it
        self._is_forked = False

    def _stand_on(self, snapshot: Snapshot | None, replay: Replay, *, verified: bool = False) -> None:
        """Note which snapshot the state lies on, and how far it has grown since; verify it behind, unless that was done."""
        self._mapped = snapshot
        self._is_verified = verified
        if snapshot is not None and not verified:
            self._start(_verify, snapshot)
        self._snapshot_revision = 0 if snapshot is None else int(snapshot.meta["revision"])
        self._snapshot_tuples = self.state.newest.tuple_count()
        self.changes = replay.changes  # tuples written and deleted since

    # ---- threads, and the end ----

    def _follow(self) -> None:
        self.state.follow(self)
        self.renew()
        self._start(_follow)

    def _start(self, run: Callable[..., None], *arguments: Any) -> None:
        """A thread that does not keep the replica alive."""
        name = f"fgacore-{run.__name__.strip('_')}"
        thread = threading.Thread(target=run, args=(weakref.ref(self), self._stop, *arguments), name=name, daemon=True)
        self._threads = [*(each for each in self._threads if each.is_alive()), thread]
        thread.start()

    @property
    def pause(self) -> float:
        """Seconds between two looks at a log of which nothing is heard."""
        return WAIT_SECONDS if self._max_staleness is None else min(WAIT_SECONDS, self._max_staleness / 4)

    def renew(self) -> None:
        """There were news of the log just now."""
        self.state.renew(float("inf") if self._max_staleness is None else self._max_staleness)

    def close(self) -> None:
        """Leave a snapshot where it helps the next one to open, stop following, and let go of everything."""
        if not self.state.is_open:
            return
        if self._is_forked:
            self._revive()
        if self._is_worth_a_snapshot():
            with contextlib.suppress(StoreError):  # nothing is lost without it
                self.snapshot()
        self._stop.set()
        self.log.wake()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()
        with self._leader.turn(), self.state.lock:
            self.state.close()
        self.tell()
        self.log.close()

    def __del__(self) -> None:
        stop = getattr(self, "_stop", None)
        if stop is not None and not stop.is_set() and not self._is_forked:
            stop.set()
            self.log.wake()
            self.log.close()

    def _is_worth_a_snapshot(self) -> bool:
        if self.read_only or self.directory is None or self._lost is not None or self.state.revision == self._snapshot_revision:
            return False
        tuples = self.state.newest.tuple_count()
        return tuples <= SNAPSHOT_CLOSE_TUPLES or self.changes * SNAPSHOT_FRACTION >= tuples

    # ---- before each call ----

    def attend(self) -> None:
        """Called before an answer, when something is to be seen to. StoreError where nothing may be answered."""
        if self._is_forked:
            self._revive()
        bad = self._lost or self._stopped
        if bad is not None:
            raise StoreError(bad.message, code=bad.code)
        if self.state.is_stale:
            why = "" if self._failure is None else f": {self._failure.message}"
            raise StoreError(f"there have been no news of the log for more than {self._max_staleness} seconds{why}", code="stale")

    def after_fork(self) -> None:
        lost, stopped = self._lost, self._stopped
        super().after_fork()
        self._lost, self._stopped, self._is_forked = lost, stopped, True
        self.state.notice(True)

    def _revive(self) -> None:
        """The first use in a forked child: connections, a follower and locks of its own."""
        with self.state.lock:
            if not self._is_forked:
                return
            self.log.forked()
            self.catch_up()
            self._is_forked = False
            self._stopped = None
            self.state.notice(self._lost is not None)
            self._follow()

    # ---- following ----

    def catch_up(self) -> bool:
        """Bring the state to the newest record. Whether there was any."""
        taken = False
        while links := self._next_links():
            taken = True
            with self.state.lock:
                fresh = [link for link in links if link.row.revision > self.state.revision]
                if fresh and fresh[0].record.generation == self.position.generation:
                    self._take(fresh)
                    fresh = []
            if fresh:
                self._reload()
            elif sum(len(link.row.data) for link in links) < READ_BYTES:
                break  # that was all there was; of what comes, there is other news
        return taken

    def _next_links(self) -> list[Link]:
        """The next records, to the end of what was written in one piece."""
        with self.state.lock:
            after, before = self.state.revision, self.position.hash
        try:
            links = list(read_rows(self.log.read(after), before))
            while links and links[-1].record.more:
                more = self.log.read(links[-1].row.revision)
                if not more:
                    raise StoreError("damaged: the log ends within what was written in one piece", code="corrupt")
                links += read_rows(more, links[-1].row.hash)
        except StoreError as error:
            if error.code != "compacted":
                raise
            self._reload()
            return []
        return links

    def _take(self, links: list[Link]) -> None:
        """Take records into the state. Under its lock."""
        replay = Replay(self.state, self.position, live=True)
        try:
            replay.links(links)
        except BaseException as error:
            if replay.is_begun:
                self.lose(error)
            raise
        self.position = replay.position
        self.changes += replay.changes
        self.tell()

    def meet(self, head: Head) -> None:
        """Be where the head of the log is, which is locked."""
        if self._lost is not None:
            self._reload()
        if (head.revision, head.generation) != (self.state.revision, self.position.generation):
            self.catch_up()
        if (self.state.revision, self.position.hash, self.position.generation) != (head.revision, head.hash, head.generation):
            raise StoreError(
                "the log is not the one that this process has followed: it was put back to an earlier state, or rewritten", code="corrupt"
            )

    def lose(self, error: BaseException) -> None:
        """The state may not be what the log says: nothing is answered until it is loaded again."""
        self._lost = error if isinstance(error, FgaError) else StoreError(f"the log could not be followed: {error!r}")
        self.state.notice(True)
        _LOG.error("fgacore answers nothing until the store is loaded again: %s", self._lost.message)

    def _reload(self) -> None:
        """Load the store anew beside what is there, and take it over: another generation, or a state that is lost."""
        with contextlib.nullcontext() if self._leader.is_here else self._leader.turn():
            while not self._stop.is_set():
                replay, snapshot = _load(self.log, self.directory, self._clock)
                head = self.log.head()
                if (head.revision, head.generation) != (replay.state.revision, replay.position.generation):
                    continue
                with self.state.lock:
                    self.state.adopt(replay.state, False)
                    self.position, self._lost = replay.position, None
                    self._stand_on(snapshot, replay)
                    self.state.notice(self._stopped is not None)
                self.tell()
                return

    def look(self, woken: StoreError | None) -> None:
        """What the following thread does when it is woken, or a second has passed. woken: the log cannot be reached."""
        try:
            if woken is not None:
                raise woken
            if self._lost is not None:
                self._reload()
            if not self.catch_up():
                self._refuse_shorter()
        except FgaError as error:
            self._fail(error)
        else:
            self._failure = self._stopped = None
            self.renew()
            self.state.notice(self._lost is not None)
        self.state.news.is_behind = False

    def _fail(self, error: FgaError) -> None:
        """There are no news. Where the log is not out of reach but not what it should be, that stops the answers at once."""
        if self._failure is None or self._failure.message != error.message:
            _LOG.warning("fgacore: no news of the log: %s", error.message)
        self._failure = error
        if error.code in ("corrupt", "unknown_record", "clock_jumped"):
            self._stopped = error
            self.state.notice(True)

    def _refuse_shorter(self) -> None:
        """A log that ends before what was taken from it is not the one that was followed."""
        known = self.state.revision
        if self.log.head().revision < known:
            raise StoreError("the log ends before what this process has: it was put back to an earlier state; open the store again", code="corrupt")

    def tend(self) -> None:
        """What is done beside following: go over to a newer snapshot, or make one."""
        if self.directory is None or self._lost is not None or self.changes < max(SNAPSHOT_CHANGES_MIN, self._snapshot_tuples // SNAPSHOT_FRACTION):
            return
        if not any(thread.name == "fgacore-snapshot" and thread.is_alive() for thread in self._threads):
            self._start(_snapshot)

    # ---- writing: leader.py ----

    def refuse_writes(self) -> None:
        super().refuse_writes()
        if self._is_forked:
            self._revive()

    def write(self, write: Write) -> int:
        self.refuse_writes()
        return self._leader.write(write)

    def record(self, kind: str, make: Make, actor: str | None, reason: str | None) -> int:
        self.refuse_writes()
        return self._leader.record(kind, make, actor, reason)

    def import_lots(self, lots: Iterator[Any], stage: StageLot, write: Write) -> tuple[int, int]:
        self.refuse_writes()

        def staged_lots(staged: Staged) -> Iterator[tuple[int, Any]]:
            return self._stage_lots(lots, stage, staged, write.on_duplicate)

        return self._leader.import_lots(staged_lots, write, lambda revision, known: self._same_import(lots, write, revision, known))

    # ---- snapshots and generations ----

    def snapshot(self) -> int:
        self.refuse_writes()
        if self.directory is None:
            raise StoreError("there is no directory for snapshots: give the store a cache", code="store_unavailable")
        with self._snapshots, _directory_lock(self.directory):
            newest = self._newer_snapshot()
            if newest is not None:
                self._go_over(newest)
            if self.state.revision == self._snapshot_revision:
                return self._snapshot_revision
            if self._mapped is not None and not self._is_verified:
                self.verify(self._mapped, self._stop)  # damage must not be copied, under new checksums
            with self._leader.turn(), self.state.lock:  # no write is on its way: names and symbols are those of this revision
                if self._lost is not None:
                    raise StoreError(self._lost.message, code=self._lost.code)
                meta = snapshot_meta(self.state, self.position, self.log.store_id)
                sections = image_write(self.state.newest, self.state.newest.names.settled_counts())
            path = write_snapshot(self.directory, meta=meta, sections=sections)
            prune(self.directory, SNAPSHOTS_KEPT)
            self._go_over(open_snapshot(path), verified=True)
        return int(meta["revision"])

    def _newer_snapshot(self) -> Snapshot | None:
        """A snapshot that another process has left since, if it is good."""
        for revision, path in find_snapshots(self.directory or Path()):
            if revision <= self._snapshot_revision:
                break
            try:
                snapshot = open_snapshot(path)
            except StoreError:
                continue
            if _belongs(self.log, snapshot):
                return snapshot
        return None

    def grow(self) -> None:
        """The log has grown beyond the base: go over to a snapshot that there is, or make one."""
        if self.read_only:
            newest = self._newer_snapshot()
            if newest is not None:
                self._go_over(newest)
        else:
            self.snapshot()

    def _go_over(self, snapshot: Snapshot, *, verified: bool = False) -> None:
        """Lay the state on a snapshot, in the place of its own base and of what has changed up to it."""
        if snapshot.meta["revision"] > self.state.revision:
            self.catch_up()
        replay = snapshot_replay(self.log, snapshot, self._clock, self.state)
        while not self._stop.is_set():
            _forward(self.log, replay, self.state.revision)  # no further: it shares the models of this state
            with self._leader.turn(), self.state.lock:
                if self._lost is not None or self.position.generation != replay.position.generation:
                    return
                if self.state.revision == replay.state.revision:
                    replay.state.reach_instant(self.state.latest)
                    replay.writer.look()  # what has expired here is absent there too, and counted once
                    self.state.adopt(replay.state, True)
                    self._stand_on(snapshot, replay, verified=verified)
                    break
            if self.state.revision < replay.state.revision:
                self.catch_up()
        release()  # what lay in memory now lies in the file

    def verify(self, snapshot: Snapshot, stop: threading.Event) -> None:
        """Verify a snapshot that is in use, all of it. Where it is damaged, nothing is answered until the log has been replayed."""
        try:
            whole = snapshot.verify(stop.is_set)
            with self.state.lock:
                self._is_verified = self._is_verified or (whole and self._mapped is snapshot)
        except StoreError as error:
            with self.state.lock:
                if self._mapped is not snapshot:
                    return
                self.lose(error)
            if self.read_only:
                _LOG.warning("the snapshot %s is passed over: %s", snapshot.path.name, error.message)
            else:
                set_aside(snapshot.path, error.message)
            self._reload()

    def compact(self, actor: str | None, reason: str | None) -> int:
        self.refuse_writes()
        revision = self._leader.compact(actor, reason)
        self._reload()
        self.log.ring(revision)
        if self.directory is not None:
            for path in self.directory.glob("snapshot-*.fga*"):
                path.unlink(missing_ok=True)  # of the generation before, set aside or not: they have the names that are gone
            self.snapshot()
        self.log.tidy()
        return revision

    # ---- the past ----

    def records(self, since: int) -> Iterator[Record]:
        if 0 < since < self.log.base()[0]:
            raise compacted(since)
        generation = self.position.generation
        while since < self.state.revision:
            for row in self.log.read(max(since, self.log.base()[0])):
                record = decode(row.data)
                if record.generation != generation:
                    raise compacted(since)
                if record.revision > self.state.revision:
                    return
                yield record
                since = record.revision

    def at(self, revision: int | None, instant: int | None) -> Store:
        if self._is_forked:
            self._revive()
        self._refuse_moment(revision, instant)
        if revision is None:
            revision = self.log.revision_at(instant or 0)
        first = self.log.base()[0]
        if revision < first + (first > 0):
            raise compacted(revision)
        if instant is None:
            found = self.log.stamp(revision) if revision else None
            instant = 0 if found is None else found[1]
        frozen = moment_of(instant)
        return Past(_load_at(self.log, self.directory, lambda: frozen, until=revision, instant=instant)[0].state, self)


# ---- loading ----


def _load(log: Log, directory: Path | None, clock: Clock | None, *, verify: bool = False) -> tuple[Replay, Snapshot | None]:
    """A state at the newest revision of the log, and the snapshot that it lies on. Where another process compacts meanwhile, it is begun again."""
    while True:
        generation = log.generation()
        try:
            return _load_at(log, directory, clock, verify=verify)
        except StoreError:
            if log.generation() == generation:
                raise


def _load_at(
    log: Log, directory: Path | None, clock: Clock | None, *, until: int | None = None, instant: int | None = None, verify: bool = False
) -> tuple[Replay, Snapshot | None]:
    """A state at the newest revision of the log, or at revision `until` and engine time `instant`; and the snapshot that it lies on."""
    doubtful: list[tuple[Path, str]] = []
    for revision, path in [] if directory is None else find_snapshots(directory):
        if until is not None and revision > until:
            continue
        try:
            snapshot = open_snapshot(path)
            if _is_outlived(log, snapshot):
                if not log.read_only:
                    path.unlink(missing_ok=True)
                continue
            if not _belongs(log, snapshot):
                raise StoreError("it is of another log, or newer than this one", code="corrupt")
            if instant is not None and snapshot.meta["expired_last"] > instant:
                continue  # what has expired since is not in it
            if verify:
                snapshot.verify()
            replay = snapshot_replay(log, snapshot, clock, instant=instant)
        except StoreError as error:
            if not path.exists():  # another process has removed it since
                continue
            if error.code not in ("corrupt", "unknown_record"):
                raise
            if log.read_only or until is not None:
                _LOG.warning("the snapshot %s is passed over: %s", path.name, error.message)
            else:
                set_aside(path, error.message)
            continue
        try:
            _forward(log, replay, until)
            replay.finish()
        except StoreError as error:
            if error.code != "corrupt":
                raise
            doubtful.append((path, error.message))
            continue
        return replay, snapshot
    replay = empty_replay(log, clock)
    _forward(log, replay, until)
    replay.finish()
    for path, why in doubtful:  # the log is whole: it was the snapshot that does not fit it
        if log.read_only or until is not None:
            _LOG.warning("the snapshot %s is passed over: %s", path.name, why)
        else:
            set_aside(path, why)
    return replay, None


def _belongs(log: Log, snapshot: Snapshot) -> bool:
    """Whether a snapshot is of this log, and not newer."""
    meta = snapshot.meta
    if (meta.get("store"), meta.get("generation")) != (log.store_id, log.generation()):
        return False
    found = log.stamp(meta["revision"])
    return found is not None and found[0] == meta["hash"]


def _is_outlived(log: Log, snapshot: Snapshot) -> bool:
    """Whether a snapshot is of a generation that is over: it has names that were erased."""
    return bool(snapshot.meta.get("store") == log.store_id and snapshot.meta.get("generation", 0) < log.generation())


def _forward(log: Log, replay: Replay, until: int | None = None) -> None:
    """Bring a replay to the newest record, or to a revision."""
    is_whole, after = True, replay.state.revision
    while until is None or after < until:
        rows = log.read(after)
        if not rows:
            break
        is_whole = replay.links(read_rows(rows, replay.position.hash), until=until)
        after = rows[-1].revision
    if not is_whole:
        if until is not None:
            raise RequestError(f"revision {until} lies within what was written in one piece", code="revision_not_found")
        raise StoreError("damaged: the log ends within what was written in one piece", code="corrupt")


# ---- threads ----


def _follow(replica: weakref.ref[Replica], stop: threading.Event) -> None:
    """Wait for news of the log, and fetch them."""
    try:
        _follow_on(replica, stop)
    except BaseException:
        _LOG.critical("fgacore follows the log no more: answers end when they are older than max_staleness", exc_info=True)
        raise


def _follow_on(replica: weakref.ref[Replica], stop: threading.Event) -> None:
    due = time.monotonic() + WAIT_SECONDS
    while not stop.is_set():
        held = replica()
        if held is None:
            return
        log, news, pause, woken = held.log, held.state.news, held.pause, None
        del held
        try:
            log.wait(news, pause)
        except StoreError as error:
            woken = error
        held = replica()
        if held is None or stop.is_set():
            return
        held.look(woken)
        if time.monotonic() >= due:
            held.tend()
            due = time.monotonic() + WAIT_SECONDS
        del held


def _verify(replica: weakref.ref[Replica], stop: threading.Event, snapshot: Snapshot) -> None:
    """Verify the snapshot that a store was opened on."""
    held = replica()
    if held is not None:
        held.verify(snapshot, stop)


def _snapshot(replica: weakref.ref[Replica], stop: threading.Event) -> None:
    """Make a snapshot, as the log has grown."""
    held = replica()
    if held is None or stop.is_set():
        return
    try:
        held.grow()
    except FgaError as error:
        _LOG.warning("fgacore: no snapshot: %s", error.message)


@contextlib.contextmanager
def _directory_lock(directory: Path) -> Iterator[None]:
    """One process at a time makes a snapshot in a directory."""
    try:
        descriptor = os.open(directory / "snapshot.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"no snapshot in {directory}: {error.strerror}", code="store_unavailable") from error
    try:
        deadline = time.monotonic() + LOG_WAIT_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if time.monotonic() > deadline:
                    raise StoreError(f"another process is making a snapshot in {directory}", code="store_unavailable") from error
            time.sleep(_LOCK_NAP_SECONDS)
        try:
            yield
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # a child that was forked meanwhile has the file open as well
    finally:
        os.close(descriptor)
