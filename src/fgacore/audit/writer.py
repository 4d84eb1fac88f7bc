"""Writing decisions: a thread takes what has gathered in memory, chains it and appends it, every few milliseconds while there is anything.

Each process's use of an engine is a chain of its own, begun with the first decision. Where a block cannot be written, the ring keeps nothing more
until it can, so that what is not on its way to the disk is denied (or, if so chosen, counted as missing); where the log was taken away it stays so.
"""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
import queue
import sys
import threading
import time
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fgacore.errors import StoreError
from fgacore.formats import DECISIONS_SEGMENT_NAME, DECISIONS_SEQUENCE_NAME
from fgacore.limits import LOG_FLUSH_SECONDS, LOG_RING_BYTES, LOG_SEGMENT_BYTES
from fgacore.runtime.decisions import DecisionRing
from fgacore.runtime.ulid import UlidSource

from .files import SEGMENT_HEAD, block_bytes, end_record, genesis, private_key, segment_head

__all__ = ["DecisionLog", "LogOptions"]

_LOG = logging.getLogger("fgacore")
_IDLE_ROUNDS = 20  # without anything to write, before the thread lies down
WAIT_SECONDS = 1.0  # between two looks of who waits for the thread, whether it lives


@dataclass(frozen=True, slots=True)
class LogOptions:
    """How decisions are kept. key: a private key of Ed25519, with which blocks are signed; None: they are not."""

    directory: Path
    mode: Literal["buffered", "sync"] = "buffered"
    contexts: Literal["full", "digest"] = "full"
    on_failure: Literal["deny", "allow"] = "deny"
    key: bytes | None = None


class DecisionLog:
    """The decision log of one engine. What is in it is written when it is closed, when nobody has it any more, and when the interpreter ends."""

    def __init__(self, options: LogOptions, store_id: bytes) -> None:
        self._chain = _Chain(options, store_id)
        self.ring = self._chain.ring
        self._end = weakref.finalize(self, self._chain.close)

    @property
    def directory(self) -> Path:
        """Where the chains lie."""
        return self._chain.options.directory

    def flush(self) -> bool:
        """Whether everything that was decided so far is on the disk; what is not is written."""
        return self._chain.flush()

    def close(self) -> None:
        """Write what there is, end the chain, and keep nothing more."""
        self._end()

    def after_fork(self) -> None:
        """In the child: a chain of its own."""
        self._chain.begin_process()


class _Chain:
    """The chain that one process writes."""

    def __init__(self, options: LogOptions, store_id: bytes) -> None:
        self.options = options
        self.ring = DecisionRing(
            LOG_RING_BYTES, denies=options.on_failure == "deny", is_sync=options.mode == "sync", digests=options.contexts == "digest"
        )
        self._store_id = store_id
        self._sign = None if options.key is None else private_key(options.key).sign
        self._file: int | None = None
        self._counter: mmap.mmap | None = None
        self._begin()
        self.ring.on_wake(self.wake)
        self.ring.on_sync(self.flush)
        self.ring.on_hurry(self.press)

    def _begin(self) -> None:
        self._calls: queue.SimpleQueue[_Round | None] = queue.SimpleQueue()  # to the thread; a signal handler may put in the middle of a put
        self._starting = threading.RLock()
        self._is_starting = False
        self._thread: threading.Thread | None = None
        self._is_begun = False  # there is a chain
        self._refusal: BaseException | None = None  # why there was no place for it
        self._refused_at = -LOG_FLUSH_SECONDS  # when, by the monotonic clock
        self._is_closing = self._is_closed = self._is_gone = False
        self._is_torn = False  # the last write left something behind that is no block
        self._warned = False
        self._hash = b""
        self._finalize: Any = None

    def begin_process(self) -> None:
        """In a child of fork: the parent's files are the parent's."""
        if self._file is not None:
            os.close(self._file)
        self._file, self._counter = None, None
        self._begin()
        self.ring.begin_process()

    # ---- who asks, in any thread ----

    def wake(self) -> None:
        """There is a decision, and nobody writes. Raises where there is no place for it."""
        if self._is_begun and self._thread is not None and self._thread.is_alive():
            self._calls.put(None)
            return
        if time.monotonic() - self._refused_at < LOG_FLUSH_SECONDS:  # not tried again at once
            raise StoreError("the decision log cannot be begun", code="store_unavailable")
        with self._starting:
            if self._is_closing or self._is_gone or self._is_starting:
                raise StoreError("the decision log is closed, or being begun by this very thread", code="closed")
            if self._thread is None or not self._thread.is_alive():
                self._is_starting = True
                try:
                    thread = threading.Thread(target=self._run, name="fgacore-decisions", daemon=True)
                    thread.start()
                    self._thread = thread
                finally:
                    self._is_starting = False
        if not self._round() and not self._is_begun:
            raise StoreError("the decision log cannot be begun", code="store_unavailable") from self._refusal

    def press(self) -> None:
        """Do not wait for the next round: there is much to write."""
        self._calls.put(None)

    def flush(self) -> bool:
        """Whether everything that was put so far is on the disk."""
        thread = self._thread
        if thread is None or not thread.is_alive() or thread is threading.current_thread():
            return self.ring.sequence == 0  # nothing was decided yet, or nobody is there to write it
        return self._round()

    def _round(self) -> bool:
        """Wait for a round of the thread that begins after this; whether it left nothing behind."""
        mine = _Round()
        self._calls.put(mine)
        while not mine.over.acquire(timeout=WAIT_SECONDS):
            thread = self._thread
            if self._is_closed or thread is None or not thread.is_alive():
                return False
        return mine.is_good

    def close(self) -> None:
        """Refuse what comes, have written what there is, and end the chain."""
        self.ring.refuse()
        self.ring.forget_counter()
        self._is_closing = True
        self._calls.put(None)
        thread = self._thread
        if thread is None or not thread.is_alive():
            self._finish()
        elif thread is not threading.current_thread():  # else the thread does it by itself, when this round is over
            thread.join()

    # ---- the thread: nothing else writes ----

    def _run(self) -> None:
        idle = 0
        while not self._is_closing:
            calls = self._called(LOG_FLUSH_SECONDS if idle <= _IDLE_ROUNDS and not self._is_gone else None)
            before, is_good = self._hash, False
            try:
                is_good = self._flush()
            finally:
                for each in calls:
                    if each is not None:
                        each.is_good = is_good
                        each.over.release()
            # Whoever called may not have put anything yet.
            idle = idle + 1 if is_good and self._hash == before and not calls else 0
            if idle > _IDLE_ROUNDS and not self.ring.sleep():
                idle = 0
        self._finish()

    def _called(self, seconds: float | None) -> list[_Round | None]:
        """Wait for a call, or so long; the calls that came, with who waits for the round that begins now."""
        calls: list[_Round | None] = []
        with contextlib.suppress(queue.Empty):
            calls.append(self._calls.get(timeout=seconds))
            while True:
                calls.append(self._calls.get_nowait())
        return calls

    def _flush(self) -> bool:
        """Write what is in the ring. Whether that was done, and there is a chain."""
        try:
            if not self._is_begun:
                self._open_chain()
                self.ring.done(True)
                return True  # whoever woke the thread has not put anything yet
            for _ in range(2):  # what came while this is under way is the next round's
                data, count, first, _ = self.ring.take()
                if not data:
                    break
                self._append(data, count, first)
                self.ring.done(True)
                self._warned = False
            else:
                return not self._is_gone
            self.ring.done(True)
            return not self._is_gone
        except _Gone as error:
            self._is_gone = True
            self.ring.done(False)
            self.ring.refuse()
            self._warn(f"decisions are not kept any more: {error}")
        except Exception as error:  # noqa: BLE001 - whatever it is, what was taken is not on the disk, and the next round tries again
            self.ring.done(False)
            self._warn(f"decisions are not written: {getattr(error, 'strerror', None) or error!r}")
        return False

    def _open_chain(self) -> None:
        """Make the folder of the chain, whole or not at all."""
        name = UlidSource().make()
        folder = self.options.directory / name
        made: list[Path] = []
        try:
            self.options.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(mode=0o700)
            made.append(folder)
            counter = self._open_counter(folder / DECISIONS_SEQUENCE_NAME, made)
            self._folder, self._number, self._hash, self._name = folder, 0, genesis(self._store_id, name), name
            self._open_segment()
            made.append(self._path)
            for place in (folder, self.options.directory):
                _sync_directory(place)
        except BaseException as error:
            self._refusal, self._refused_at = error, time.monotonic()
            if self._file is not None:
                os.close(self._file)
                self._file = None
            for path in reversed(made):
                with contextlib.suppress(OSError):
                    path.rmdir() if path is folder else path.unlink()
            raise
        self._counter = counter
        self.ring.count_into(counter)
        self._is_begun = True
        util = sys.modules.get("multiprocessing.util")
        if util is not None:  # its workers end without the interpreter's own endings
            self._finalize = util.Finalize(None, self.close, exitpriority=0)

    @staticmethod
    def _open_counter(path: Path, made: list[Path]) -> mmap.mmap:
        """A file of 8 bytes in memory. They are written first: a page without room on the disk would end the process when it is."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        made.append(path)
        try:
            _write_all(descriptor, bytes(8))
            os.fsync(descriptor)
            return mmap.mmap(descriptor, 8)
        finally:
            os.close(descriptor)

    def _open_segment(self) -> None:
        path = self._folder / DECISIONS_SEGMENT_NAME.format(number=self._number + 1)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_APPEND, 0o600)
        try:
            _write_all(descriptor, segment_head(self._store_id, self._name, self._number + 1, self._hash))
        except BaseException:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        if self._file is not None:
            os.close(self._file)
        self._file, self._path, self._size, self._number = descriptor, path, SEGMENT_HEAD.size, self._number + 1

    def _append(self, payload: bytes, count: int, first: int) -> None:
        """Append a block, all of it or none, and wait for the disk."""
        if self._file is None:
            raise _Gone("there is no file")
        if self._is_torn:
            os.ftruncate(self._file, self._size)
            self._is_torn = False
        self._refuse_other()
        if self._size >= LOG_SEGMENT_BYTES:
            self._open_segment()
            _sync_directory(self._folder)
        data, hash = block_bytes(self._hash, payload, first, count, time.time_ns() // 1_000, self._sign)
        self._is_torn = True
        _write_all(self._file, data)
        os.fdatasync(self._file)
        self._is_torn = False
        self._size += len(data)
        self._hash = hash

    def _refuse_other(self) -> None:
        """Refuse to go on in a file that is not there any more, or that others have changed."""
        assert self._file is not None
        ours = os.fstat(self._file)
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            raise _Gone(f"{self._path} was removed") from None
        if (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino):
            raise _Gone(f"{self._path} was replaced")
        if ours.st_size != self._size:
            raise _Gone(f"{self._path} was written by another")

    def _warn(self, message: str) -> None:
        if not self._warned:
            self._warned = True
            _LOG.error("fgacore: %s%s", message, "; decisions are denied" if self.options.on_failure == "deny" else "")

    def _finish(self) -> None:
        """Write what there is, end the chain, and let go of its files."""
        if self._is_closed:
            return
        self.ring.forget_counter()  # again: the chain may have been begun since
        sequence = self.ring.sequence
        if self._is_begun and self._flush() and self._flush() and self._file is not None:
            try:
                self._append(end_record(sequence), 0, sequence)
            except (OSError, _Gone) as error:
                self._warn(f"the end of the decisions is not written: {error}")
        if self._finalize is not None:
            self._finalize.cancel()
            self._finalize = None
        if self._file is not None:
            os.close(self._file)
            self._file = None
        if self._counter is not None:
            self._counter.close()
            self._counter = None
        self._is_closed = True


class _Round:
    """Somebody waits for a round of the thread."""

    __slots__ = ("is_good", "over")

    def __init__(self) -> None:
        self.is_good = False
        self.over = threading.Lock()
        self.over.acquire()


class _Gone(Exception):
    """The log is not where it was, or not what it was."""


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
