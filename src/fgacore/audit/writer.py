"""Writing decisions: a thread takes what has gathered in memory, chains it and appends it, every few milliseconds while there is anything.

Each process's use of an engine is a chain of its own, begun with the first decision. Where a block cannot be written, the ring keeps nothing more
until it can, so that what is not on its way to the disk is denied (or, if so chosen, counted as missing); where the log was taken away it stays so.
"""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
import sys
import threading
import time
import weakref
from collections.abc import Iterator
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
        self.ring.on_hurry(self._press)

    def _begin(self) -> None:
        self._lock = threading.RLock()
        self._is_busy = False  # a thread that holds the lock is at work: what a signal or the garbage collector runs meanwhile finds it so
        self._ends = False  # to be closed as soon as that is over
        self._woken = threading.Event()
        self._pressed = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._is_gone = False
        self._is_torn = False  # the last write left something behind that is no block
        self._name = ""  # none yet
        self._refused_at = -LOG_FLUSH_SECONDS  # when there was no place for the chain, by the monotonic clock
        self._warned = False
        self._finalize: Any = None

    def begin_process(self) -> None:
        """In a child of fork: the parent's files are the parent's."""
        if self._file is not None:
            os.close(self._file)
        self._file, self._counter = None, None
        self._begin()
        self.ring.begin_process()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """The lock, of which a thread takes no second: _Busy."""
        with self._lock:
            if self._is_busy:
                raise _Busy
            self._is_busy = True
            try:
                yield
            finally:
                self._is_busy = False

    # ---- the first decision ----

    def wake(self) -> None:
        """There is a decision, and nobody writes. Raises where there is no place for it."""
        with self._alone():
            if self._is_closed or self._is_gone:
                raise StoreError("the decision log is closed", code="closed")
            if not self._name:
                self._open_chain()
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="fgacore-decisions", daemon=True)
                thread.start()
                self._thread = thread
            self._woken.set()

    def _press(self) -> None:
        """Do not wait for the next round: there is much to write."""
        self._pressed.set()

    def _open_chain(self) -> None:
        """Make the folder of the chain. Not tried again at once where there is no place for it."""
        now = time.monotonic()
        if now - self._refused_at < LOG_FLUSH_SECONDS:
            raise StoreError("the decision log cannot be begun", code="store_unavailable")
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
        except OSError as error:
            self._name, self._refused_at = "", now
            if self._file is not None:
                os.close(self._file)
                self._file = None
            for path in reversed(made):
                with contextlib.suppress(OSError):
                    path.rmdir() if path is folder else path.unlink()
            self._warn(f"decisions cannot be kept in {self.options.directory}: {error.strerror}")
            raise
        self._counter = counter
        self.ring.count_into(counter)
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

    # ---- writing ----

    def flush(self) -> bool:
        """Whether everything that was decided so far is on the disk; False in the midst of a write of the same thread, too."""
        try:
            with self._alone():
                is_written = self._flush()
        except _Busy:
            return False
        if self._ends:
            self.close()
        return is_written

    def _flush(self) -> bool:
        """Alone."""
        if not self._name:  # nothing was decided yet, or there was no place for it: what is in the ring only describes sessions
            return self.ring.sequence == 0
        try:
            while True:
                data, count, first, _ = self.ring.take()
                if not data:
                    return self._file is not None and not self._is_gone
                self._append(data, count, first)
                self.ring.done(True)
                self._warned = False
        except _Gone as error:
            self._is_gone = True
            self.ring.done(False)
            self.ring.refuse()
            self._warn(f"decisions are not kept any more: {error}")
        except Exception as error:  # noqa: BLE001 - whatever it is, what was taken is not on the disk, and the next round tries again
            self.ring.done(False)
            self._warn(f"decisions are not written: {getattr(error, 'strerror', None) or error!r}")
        return False

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

    # ---- the thread, and the end ----

    def _run(self) -> None:
        idle, woken = 0, self._woken
        while True:
            self._pressed.wait(LOG_FLUSH_SECONDS)
            self._pressed.clear()
            if self._ends:
                self.close()
            with self._alone():
                if self._is_closed or self._is_gone:
                    return
                before = self._hash
                is_written = self._flush()
                idle = idle + 1 if is_written and self._hash == before else 0
                if idle < _IDLE_ROUNDS or not self.ring.sleep():
                    continue
                woken.clear()
            woken.wait()
            idle = 0

    def close(self) -> None:
        """Write what there is, end the chain, and keep nothing more."""
        try:
            with self._alone():
                self._close()
        except _Busy:  # called in the midst of a write, by whatever ran then
            self._ends = True
            self._pressed.set()

    def _close(self) -> None:
        if self._is_closed:
            return
        self.ring.refuse()  # what is decided from here on is not in it
        if self._flush() and self._file is not None:
            try:
                self._append(end_record(self.ring.sequence), 0, self.ring.sequence)
            except (OSError, _Gone) as error:
                self._warn(f"the end of the decisions is not written: {error}")
        self._is_closed = True
        self._woken.set()
        self._pressed.set()
        if self._finalize is not None:
            self._finalize.cancel()
            self._finalize = None
        if self._file is not None:
            os.close(self._file)
            self._file = None
        self.ring.forget_counter()
        if self._counter is not None:
            self._counter.close()
            self._counter = None


class _Busy(Exception):
    """The thread is in the midst of it."""


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
