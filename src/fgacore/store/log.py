"""The contract of a log, whatever it lies in, and the way to open one.

A process that writes takes the lock, catches up with what others wrote, appends and commits:

    with log.locked() as head:
        ... read(after=what it has) and apply; validate ...
        log.append(rows)            # chained to head.hash, numbered from head.revision + 1
    log.ring(rows[-1].revision)

`locked`, what is called within it, and `ring` are one thread's at a time; the caller has a lock for that. `read`, `scan`, `row`, `head` and the like
are any thread's and never wait for the writer. `wait` is the follower thread's. No exception of a database ever leaves: all are StoreErrors.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from fgacore.errors import InternalError, RequestError, StoreError, quote
from fgacore.limits import LOG_WAIT_SECONDS

from .bell import News

__all__ = ["READ_BYTES", "Head", "Log", "Row", "cache_directory", "open_log"]

READ_BYTES = 4 << 20  # of records that one `read` fetches, about


class Head(NamedTuple):
    """Where the log ends. Of an empty one: revision 0, the genesis hash, time 0, generation 1."""

    revision: int
    hash: bytes
    time: int
    generation: int


class Row(NamedTuple):
    """A record as it lies in the log: its bytes, and their hash chained to the row before. `time` is in microseconds."""

    revision: int
    data: bytes
    hash: bytes
    time: int


class Log(ABC):
    """An append-only, chained sequence of records that several processes share.

    name: for messages: a path, or a URL without its password. directory: of a log that lies in one.
    store_id: 16 bytes that no other store has. seed: 32 secret bytes for the hash of names.
    """

    name: str
    directory: Path | None = None
    read_only: bool
    store_id: bytes
    seed: bytes

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    # --- reading: any thread ---

    @abstractmethod
    def head(self) -> Head:
        """The newest record's place."""

    def generation(self) -> int:
        """The generation that is current; each compaction begins a new one."""
        return self.head().generation

    @abstractmethod
    def base(self) -> tuple[int, bytes]:
        """The revision and hash that the first record kept is chained to: (0, genesis), or the head before the last compaction."""

    @abstractmethod
    def scan(self, after: int, bytes_max: int = READ_BYTES) -> list[Row]:
        """The next rows after a revision as they lie, in order, at least one where there is any: for `read`, and for those who look for damage."""

    def read(self, after: int, bytes_max: int = READ_BYTES) -> list[Row]:
        """The next rows after a revision, in order and without a gap, at least one where there is any.

        StoreError `compacted` where `after` lies before the base, `corrupt` where a record is missing.
        """
        rows = self.scan(after, bytes_max)
        for expected, row in enumerate(rows, after + 1):
            if row.revision != expected:
                if expected <= self.base()[0]:
                    raise StoreError(f"{self.name}: revision {expected} was dropped by a compaction; open the store anew", code="compacted")
                raise StoreError(f"{self.name}: revision {expected} is missing; see `fgacore verify`", code="corrupt")
        return rows

    @abstractmethod
    def row(self, revision: int) -> Row | None:
        """One row, or None where it is not kept."""

    @abstractmethod
    def stamp(self, revision: int) -> tuple[bytes, int] | None:
        """Hash and time of one row, without its record, or None where it is not kept."""

    @abstractmethod
    def revision_at(self, time: int) -> int:
        """The newest revision kept that is of this time or before; 0 where there is none."""

    # --- writing: one thread at a time ---

    @abstractmethod
    def locked(self, timeout: float = LOG_WAIT_SECONDS) -> AbstractContextManager[Head]:
        """Hold the write lock, and know the head. Leaving commits what was appended, if anything; an exception takes it back.

        StoreError `store_unavailable` where the lock was not to be had in time.
        """

    @abstractmethod
    def now(self) -> int | None:
        """Within `locked`: the time that all writers share, in microseconds; None: each has its machine's."""

    @abstractmethod
    def append(self, rows: Sequence[Row]) -> None:
        """Within `locked`: put rows after the head."""

    @abstractmethod
    def request(self, id: str) -> tuple[int, bytes] | None:
        """Within `locked`: the revision and digest that a request id was remembered with."""

    @abstractmethod
    def remember(self, id: str, revision: int, digest: bytes, time: int) -> None:
        """Within `locked`: remember a request id, and forget those that are older than REQUEST_SECONDS at `time`, in microseconds."""

    @abstractmethod
    def replace(self, rows: Sequence[Row], generation: int) -> None:
        """Within `locked`: drop every record and put these after the head, which becomes the base. The caller calls `tidy` after the commit."""

    @abstractmethod
    def tidy(self) -> None:
        """After a `replace`: leave nothing on the disk of what it dropped, as far as the backend can say so."""

    # --- following ---

    @abstractmethod
    def wait(self, news: News, timeout: float) -> bool:
        """Block, without the GIL, until there may be records after `news.revision` (True), or the time is over or `wake` was called (False).

        The revision may grow meanwhile. `news.is_behind` is set as soon as there is more, before the GIL is asked for.
        """

    @abstractmethod
    def ring(self, revision: int) -> None:
        """After a commit: let other processes know."""

    @abstractmethod
    def wake(self) -> None:
        """End a `wait` of this process."""

    # --- the end ---

    @abstractmethod
    def close(self) -> None:
        """Give up every connection. A second call does nothing; any other call then raises StoreError `closed`."""

    @abstractmethod
    def forked(self) -> None:
        """In a child, before anything else: forget the connections it inherited, which are the parent's, and open others when they are needed."""

    # --- for the backends ---

    def _check_rows(self, head: Head, rows: Sequence[Row]) -> None:
        """Rows follow the head, one by one, and time does not go back."""
        revision, time = head.revision, head.time
        for row in rows:
            if row.revision != revision + 1 or row.time < time:
                raise InternalError(f"revision {row.revision} cannot follow {revision} in the log")
            revision, time = row.revision, row.time

    def _must_write(self) -> None:
        if self.read_only:
            raise StoreError(f"{self.name} was opened read-only", code="read_only")


def cache_directory(cache: str | os.PathLike[str] | None, store_id: bytes) -> Path:
    """Where the files of this machine lie that belong to a store whose log is elsewhere. cache: default: one of the user's."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fgacore" if cache is None else Path(cache)
    return base / store_id.hex()


def open_log(target: str | os.PathLike[str], *, read_only: bool = False) -> Log:
    """The log in a directory, made if it is not there, or behind a URL of PostgreSQL. `read_only` makes nothing.

    RequestError `invalid_store` for what is neither, `extra_missing` where psycopg is needed and not installed.
    """
    if isinstance(target, str):
        scheme, separator, _ = target.partition("://")
        if separator and scheme in ("postgresql", "postgres"):
            try:
                from .postgres import PostgresLog
            except ImportError as error:
                raise RequestError("a store in PostgreSQL needs the extra: pip install 'fgacore[postgres]'", code="extra_missing") from error
            return PostgresLog(target, read_only=read_only)
        if separator and scheme.isalnum():
            raise RequestError(f"`{scheme}://` is no store: name a directory, or postgresql://user@host/database?store=NAME", code="invalid_store")
    elif not isinstance(target, os.PathLike):
        raise RequestError("a store is named by a path or a URL", code="invalid_store")
    path: object = os.fspath(target)
    if not isinstance(path, str) or not path or "\0" in path or path == ":memory:":
        raise RequestError(f"{quote(path)} names no directory for a store", code="invalid_store")
    from .sqlite import SqliteLog

    return SqliteLog(Path(path), read_only=read_only)
