"""The log of one machine: `log.sqlite` in a directory, in write-ahead mode, synced at each commit, and the bell beside it.

One connection writes and one reads, so a writer never blocks a reader; both are opened when they are needed. SQLite must not be carried over a fork:
a child would believe that it holds its parent's locks, and lose what it writes once the parent closes. So both are closed before a fork and opened
anew on either side of it.

What a directory that cannot be written allows, is read: where SQLite could not make its shared index, the file is read as one that nobody
changes, and opened anew once it, or a write-ahead file, is seen to have changed.
"""

from __future__ import annotations

import errno
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeGuard, TypeVar
from weakref import WeakSet

from fgacore.errors import FgaError, InternalError, RequestError, StoreError
from fgacore.formats import BELL_FILE, HASH_BYTES, SEED_BYTES, SQLITE_APPLICATION_ID, SQLITE_FILE, SQLITE_SCHEMA_VERSION, STORE_ID_BYTES
from fgacore.limits import LOG_WAIT_SECONDS, REQUEST_SECONDS

from .bell import Bell, News, forget
from .log import READ_BYTES, Head, Log, Row
from .records import genesis

__all__ = ["SqliteLog", "create_tables", "is_open_here", "os_error", "store_error", "sync_directory"]

_Result = TypeVar("_Result")

_SHORTEST_NAP, _LONGEST_NAP = 0.0002, 0.005  # seconds between two tries for the write lock
_TURN = 0.25  # seconds on the bell before the log itself is looked at: a writer may die between its commit and its ring
_TURN_WITHOUT_BELL = 0.004
_WAL_BYTES = 32 + 1000 * (24 + 4096)  # after so many pages SQLite copies them into the main file, and begins anew in front
_READ_WAIT = 10.0  # seconds; readers wait for recovery alone

_INTEGER_MAX = (1 << 63) - 1

_TABLES = (
    """CREATE TABLE store (store_id BLOB NOT NULL, seed BLOB NOT NULL, generation INTEGER NOT NULL,
       base_revision INTEGER NOT NULL, base_hash BLOB NOT NULL)""",
    "CREATE TABLE log (revision INTEGER PRIMARY KEY, time INTEGER NOT NULL, hash BLOB NOT NULL, record BLOB NOT NULL)",
    "CREATE TABLE request (id TEXT PRIMARY KEY, revision INTEGER NOT NULL, digest BLOB NOT NULL, time INTEGER NOT NULL)",
    "CREATE INDEX request_time ON request (time)",
)
_HEAD = "SELECT generation, base_revision, base_hash, revision, hash, time FROM store LEFT JOIN log ON revision = (SELECT max(revision) FROM log)"
_STORE = "SELECT store_id, seed, generation, base_revision, base_hash FROM store"
_SCAN = "SELECT revision, record, hash, time FROM log WHERE revision > ? ORDER BY revision"
_ROW = "SELECT revision, record, hash, time FROM log WHERE revision = ?"
_STAMP = "SELECT hash, time FROM log WHERE revision = ?"
_INSERT = "INSERT INTO log (revision, record, hash, time) VALUES (?, ?, ?, ?)"


class SqliteLog(Log):
    """A log in a directory, which is made if it is not there, unless it is only to be read."""

    directory: Path

    def __init__(self, directory: Path, *, read_only: bool = False) -> None:
        self.name = str(directory)
        self.directory = Path(os.path.abspath(directory))
        self.read_only = read_only
        self._path = self.directory / SQLITE_FILE
        self._uri = self._path.as_uri()
        self._wal = self.directory / (SQLITE_FILE + "-wal")
        self._write_lock = threading.Lock()  # over the writer: one thread at a time, and no fork
        self._read_lock = threading.Lock()  # over the reader, likewise
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._unchanged: tuple[int, ...] | None = None  # of a file that is read as one that nobody changes: what it looked like
        self._within: int | None = None  # the thread that is within `locked`
        self._head = Head(0, b"", 0, 1)  # within `locked`: with what was appended
        self._dirty = False  # within `locked`: there is something to commit
        self._is_grown = False  # the write-ahead file has its size
        self._closed = False
        self._unusable = False
        self._awake = threading.Event()
        self._bell: Bell | None = None
        self._bell_inode = 0
        self._process = os.getpid()
        _LOGS.add(self)
        try:
            if read_only:
                self._find()
            else:
                self._make()
            file = os.stat(self._path)
            self._identity = file.st_dev, file.st_ino
            self.store_id, self.seed = self._read_store()
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise os_error(self.name, error) from error
            raise
        self._look_for_bell()

    # --- opening ---

    def _find(self) -> None:
        """To read: everything is there already, and ours."""
        if not self._path.exists():
            self._must_be_new()
            raise StoreError(f"there is no store in {self.name}", code="store_unavailable")
        if self._path.stat().st_size == 0:
            self._must_be_new()
        if not self._read(self._is_ours):
            raise StoreError(f"the store in {self.name} is not made yet", code="store_unavailable")

    def _make(self) -> None:
        """To write: whoever comes first makes the directory, the file and its tables; all others find them."""
        try:
            if not self.directory.is_dir():
                self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                sync_directory(self.directory.parent)
        except FileExistsError as error:
            raise RequestError(f"{self.name} is a file: a store is a directory", code="invalid_store") from error
        except NotADirectoryError as error:
            raise RequestError(f"{self.name} lies in what is no directory", code="invalid_store") from error
        is_new = not self._path.exists()
        if is_new or self._path.stat().st_size == 0:
            self._must_be_new()
        if not os.access(self.directory, os.W_OK) or not (is_new or os.access(self._path, os.W_OK)):
            raise StoreError(f"{self.name} cannot be written by this user; open it with read_only=True, or mend its rights", code="read_only")
        deadline = time.monotonic() + LOG_WAIT_SECONDS
        while True:  # another process may be making it at this moment
            try:
                with self._write_lock:
                    self._writer = self._open_writer(is_new)
                return
            except sqlite3.Error as error:
                if not _is_busy(error) or time.monotonic() > deadline:
                    raise store_error(self.name, error) from error
            time.sleep(_LONGEST_NAP * random.uniform(0.5, 1))  # noqa: S311 - jitter

    def _must_be_new(self) -> None:
        """An empty or absent file is the beginning of a store only where there never was one: else its log is gone, and SQLite would remove what
        is written ahead. Whoever makes a store writes into the file before there is anything else.
        """
        bell = 0
        with suppress(OSError):
            bell = Bell(self.directory / BELL_FILE, False).revision
        was_there = bell or any(self.directory.glob("snapshot-*.fga")) or (self._wal.exists() and self._wal.stat().st_size)
        if was_there and not (self._path.exists() and self._path.stat().st_size):  # else another process has made it meanwhile
            raise StoreError(
                f"{self._path} is empty or gone, but there was a store: bring its log back from a backup, or begin in another directory",
                code="corrupt",
            )

    def _open_writer(self, is_new: bool = False) -> sqlite3.Connection:
        connection = self._connect("rwc" if is_new else "rw", timeout=0)
        try:
            if not self._is_ours(connection):
                if is_new:
                    self._path.chmod(0o600)  # SQLite gives its other files the same
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("BEGIN IMMEDIATE")
                if not self._is_ours(connection):
                    store_id = os.urandom(STORE_ID_BYTES)
                    create_tables(connection, store_id, os.urandom(SEED_BYTES), 1, 0, genesis(store_id))
                connection.execute("COMMIT")
            if connection.execute("PRAGMA journal_mode=WAL").fetchone()[0] != "wal":
                raise StoreError(f"{self.name}: SQLite keeps no write-ahead log on this file system", code="store_unavailable")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA secure_delete=ON")
        except BaseException:
            connection.close()
            raise
        return connection

    def _open_reader(self) -> sqlite3.Connection:
        if not self.read_only:
            connection = self._connect("rw", timeout=_READ_WAIT)
            connection.execute("PRAGMA query_only=ON")
            return connection
        connection = self._connect("ro", timeout=_READ_WAIT)
        try:
            connection.execute(_STORE).fetchone()
        except sqlite3.OperationalError:
            connection.close()
            unchanged = self._looks()
            if unchanged[-1] > 0 or os.access(self.directory, os.W_OK):  # what is in a write-ahead file must not be passed over
                raise
            connection = self._connect("ro&immutable=1", timeout=0)
            self._unchanged = unchanged
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect(self, mode: str, timeout: float) -> sqlite3.Connection:
        return sqlite3.connect(f"{self._uri}?mode={mode}", uri=True, timeout=timeout, isolation_level=None, check_same_thread=False)

    def _looks(self) -> tuple[int, ...]:
        file = self._path.stat()
        wal = self._wal.stat().st_size if self._wal.exists() else -1
        return file.st_ino, file.st_mtime_ns, file.st_size, wal

    def _is_ours(self, connection: sqlite3.Connection) -> bool:
        """Whether the file is a store of this version; False for one with nothing in it yet. StoreError or RequestError for anything else."""
        (application,), (version,) = connection.execute("PRAGMA application_id").fetchone(), connection.execute("PRAGMA user_version").fetchone()
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if application == 0 and version == 0 and not tables:
            return False
        if application != SQLITE_APPLICATION_ID:
            raise RequestError(f"{self._path} is a database, but not of fgacore", code="invalid_store")
        if version > SQLITE_SCHEMA_VERSION:
            raise StoreError(f"{self._path} has version {version}: it needs a newer fgacore than this one", code="unknown_record")
        if version != SQLITE_SCHEMA_VERSION or not {"store", "log", "request"} <= tables:
            raise StoreError(f"{self._path} is damaged: its tables are not those of a store; see `fgacore verify`", code="corrupt")
        return True

    def _read_store(self) -> tuple[bytes, bytes]:
        found = self._read(lambda connection: connection.execute(_STORE).fetchall())
        if len(found) == 1:
            store_id, seed, generation, base_revision, base_hash = found[0]
            if (
                (_is_bytes(store_id, STORE_ID_BYTES) and _is_bytes(seed, SEED_BYTES) and _is_bytes(base_hash, HASH_BYTES))
                and (type(generation) is int and generation >= 1)
                and (type(base_revision) is int and base_revision >= 0)
            ):
                return store_id, seed
        raise StoreError(f"{self._path} is damaged: it does not say whose store it is; see `fgacore verify`", code="corrupt")

    # --- reading ---

    def _read(self, ask: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """What the reader's connection answers, once it has one."""
        with self._read_lock:
            while True:
                self._must_be_open()
                try:
                    if self._reader is None:
                        self._reader = self._open_reader()
                    answer = ask(self._reader)
                    if self._unchanged is None or self._unchanged == self._looks():
                        return answer
                except OSError as error:
                    raise os_error(self.name, error) from error
                except sqlite3.Error as error:
                    if self._unchanged is None or self._unchanged == self._looks():
                        raise store_error(self.name, error) from error
                self._drop_reader()  # it was read as if nobody changed it, and has changed

    def _drop_reader(self) -> None:
        self._unchanged = None
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def head(self) -> Head:
        return self._as_head(self._read(lambda connection: connection.execute(_HEAD).fetchone()))

    def _as_head(self, found: tuple[object, ...] | None) -> Head:
        if found is not None:
            generation, base_revision, base_hash, revision, hash, time = found
            if revision is None:
                revision, hash, time = base_revision, base_hash, 0
            if type(revision) is int and _is_bytes(hash, HASH_BYTES) and type(time) is int and type(generation) is int:
                return Head(revision, hash, time, generation)
        raise StoreError(f"{self.name}: the head of the log is damaged; see `fgacore verify`", code="corrupt")

    def base(self) -> tuple[int, bytes]:
        _, _, _, revision, hash = self._read(lambda connection: connection.execute(_STORE).fetchone())
        return revision, hash

    def scan(self, after: int, bytes_max: int = READ_BYTES) -> list[Row]:
        return self._read(lambda connection: self._scan(connection, after, bytes_max))

    def _scan(self, connection: sqlite3.Connection, after: int, bytes_max: int) -> list[Row]:
        rows: list[Row] = []
        cursor = connection.execute(_SCAN, (min(after, _INTEGER_MAX),))
        try:
            for found in cursor:
                rows.append(self._as_row(found))
                bytes_max -= len(rows[-1].data)
                if bytes_max <= 0:
                    break
        except (sqlite3.Error, StoreError):
            if not rows:  # else it is the first row of the next call; and Python's module fetches one row ahead, so this one may be good
                found = connection.execute(_ROW, (min(after + 1, _INTEGER_MAX),)).fetchone()
                if found is None:
                    raise
                rows.append(self._as_row(found))
        finally:
            cursor.close()
        return rows

    def _as_row(self, found: tuple[object, ...]) -> Row:
        revision, data, hash, time = found
        if type(revision) is int and type(data) is bytes and type(time) is int and _is_bytes(hash, HASH_BYTES):
            return Row(revision, data, hash, time)
        raise StoreError(f"{self.name}: revision {revision} is damaged; see `fgacore verify`", code="corrupt")

    def row(self, revision: int) -> Row | None:
        found = self._read(lambda connection: connection.execute(_ROW, (min(revision, _INTEGER_MAX),)).fetchone())
        return found if found is None else self._as_row(found)

    def stamp(self, revision: int) -> tuple[bytes, int] | None:
        found = self._read(lambda connection: connection.execute(_STAMP, (revision,)).fetchone())
        return None if found is None else (found[0], found[1])

    def revision_at(self, time: int) -> int:
        return self._read(lambda connection: self._revision_at(connection, min(time, _INTEGER_MAX)))

    def _revision_at(self, connection: sqlite3.Connection, time: int) -> int:
        """By halving: time never goes back, so it needs no index, which every write would pay for."""
        first, last = connection.execute("SELECT min(revision), max(revision) FROM log").fetchone()
        found = 0
        while first is not None and first <= last:
            middle = (first + last) // 2
            (then,) = connection.execute("SELECT time FROM log WHERE revision = ?", (middle,)).fetchone() or (None,)
            if type(then) is not int:
                raise StoreError(f"{self.name}: revision {middle} is missing; see `fgacore verify`", code="corrupt")
            if then <= time:
                found, first = middle, middle + 1
            else:
                last = middle - 1
        return found

    # --- writing ---

    @contextmanager
    def locked(self, timeout: float = LOG_WAIT_SECONDS) -> Iterator[Head]:
        self._must_write()
        connection = self._begin(timeout)
        try:
            self._within, self._dirty = threading.get_ident(), False
            try:
                self._head = head = self._as_head(connection.execute(_HEAD).fetchone())
            except sqlite3.Error as error:
                raise store_error(self.name, error) from error
            yield head
            if self._dirty:
                try:
                    connection.execute("COMMIT")
                except sqlite3.Error as error:
                    raise store_error(self.name, error, committing=True) from error
        finally:
            if self._within is not None:  # else this is a child that was forked within
                self._within = None
                try:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                except sqlite3.Error:
                    self._writer = None
                    connection.close()
                self._write_lock.release()

    def _begin(self, timeout: float) -> sqlite3.Connection:
        """The writer's connection within a transaction that has SQLite's write lock; `_write_lock` is held then."""
        deadline, nap = time.monotonic() + timeout, _SHORTEST_NAP
        while True:
            self._write_lock.acquire()
            try:
                self._must_be_open()
                if self._writer is None:
                    self._writer = self._open_writer()
                self._must_be_same()
                self._writer.execute("BEGIN IMMEDIATE")
                return self._writer
            except sqlite3.Error as error:
                self._write_lock.release()
                if not _is_busy(error):
                    raise store_error(self.name, error) from error
                if time.monotonic() >= deadline:
                    raise StoreError(
                        f"{self.name}: other processes held the write lock for {timeout:g} s; try again", code="store_unavailable"
                    ) from error
            except BaseException:
                self._write_lock.release()
                raise
            time.sleep(nap * random.uniform(0.5, 1))  # noqa: S311 - jitter
            nap = min(nap * 1.5, _LONGEST_NAP)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Statements within `locked`."""
        if self._writer is None or self._within is None:
            raise InternalError("the log is written without its lock")
        try:
            yield self._writer
        except sqlite3.Error as error:
            raise store_error(self.name, error) from error

    def now(self) -> int | None:
        return None

    def append(self, rows: Sequence[Row]) -> None:
        self._check_rows(self._head, rows)
        if not rows:
            return
        if self._writer is None or self._within is None:
            raise InternalError("the log is written without its lock")
        self._dirty = True
        if not self._is_grown:
            self._grow()
        try:
            if len(rows) == 1:
                self._writer.execute(_INSERT, rows[0])
            else:
                self._writer.executemany(_INSERT, rows)
        except sqlite3.Error as error:
            raise store_error(self.name, error) from error
        last = rows[-1]
        self._head = Head(last.revision, last.hash, last.time, self._head.generation)

    def _grow(self) -> None:
        """Give the write-ahead file the size up to which SQLite lets it grow: a commit that makes a file longer waits about twice as long.

        Zeros behind its last frame are no frames. Under the write lock, so nobody else writes there.
        """
        self._is_grown = True
        with suppress(OSError):  # a full disk: it grows as it can
            size = self._wal.stat().st_size
            if size < _WAL_BYTES:
                descriptor = os.open(self._wal, os.O_WRONLY | os.O_CLOEXEC)
                try:
                    os.pwrite(descriptor, bytes(_WAL_BYTES - size), size)
                finally:
                    os.close(descriptor)

    def request(self, id: str) -> tuple[int, bytes] | None:
        with self._writing() as connection:
            found = connection.execute("SELECT revision, digest FROM request WHERE id = ?", (id,)).fetchone()
        return None if found is None else (found[0], found[1])

    def remember(self, id: str, revision: int, digest: bytes, time: int) -> None:
        self._dirty = True
        with self._writing() as connection:
            connection.execute("DELETE FROM request WHERE time < ?", (time - REQUEST_SECONDS * 1_000_000,))
            connection.execute("INSERT INTO request (id, revision, digest, time) VALUES (?, ?, ?, ?)", (id, revision, digest, time))

    def replace(self, rows: Sequence[Row], generation: int) -> None:
        self._dirty = True
        with self._writing() as connection:
            connection.execute("DELETE FROM log")
            connection.execute(
                "UPDATE store SET generation = ?, base_revision = ?, base_hash = ?", (generation, self._head.revision, self._head.hash)
            )
        self._head = self._head._replace(generation=generation)
        self.append(rows)

    def tidy(self) -> None:
        """Erase for good: what was deleted is zeros already; the file is written anew without it, and the write-ahead file cut to nothing."""
        self._must_write()
        deadline = time.monotonic() + LOG_WAIT_SECONDS
        for statement in ("VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"):
            while True:
                with self._write_lock:
                    self._must_be_open()
                    try:
                        if self._writer is None:
                            self._writer = self._open_writer()
                        found = self._writer.execute(statement).fetchone()
                        if found is None or found[0] == 0:  # a checkpoint says whether it was kept from its work
                            break
                    except sqlite3.Error as error:
                        if not _is_busy(error):
                            raise store_error(self.name, error) from error
                if time.monotonic() >= deadline:
                    raise StoreError(
                        f"{self.name}: what was dropped is still in the write-ahead file, since another process reads it; compact again later"
                    )
                time.sleep(_LONGEST_NAP)

    # --- following ---

    def wait(self, news: News, timeout: float) -> bool:
        self._must_be_open()
        deadline = time.monotonic() + timeout
        while not self._awake.is_set():
            left = max(0.0, deadline - time.monotonic())
            bell = self._look_for_bell()
            if bell is None:
                self._awake.wait(min(left, _TURN_WITHOUT_BELL))
            elif bell.wait(news, min(left, _TURN)):
                return True
            if self._last() > news.revision:
                news.is_behind = True
                return True
            if not left:
                return False
        self._awake.clear()
        return False

    def _must_be_same(self) -> None:
        """The file that lies there is the one that was opened: what goes to another is seen by nobody."""
        try:
            file = os.stat(self._path)
        except OSError as error:
            raise StoreError(f"{self._path} is gone from under this process: bring it back, and open the store again", code="corrupt") from error
        if (file.st_dev, file.st_ino) != self._identity:
            raise StoreError(f"{self._path} was replaced under this process: open the store again", code="corrupt")

    def _last(self) -> int:
        self._must_be_same()
        found = self._read(lambda connection: connection.execute("SELECT max(revision) FROM log").fetchone())
        return found[0] if type(found[0]) is int else 0

    def _look_for_bell(self) -> Bell | None:
        """The bell that lies in the directory now; whoever restores a backup may have put another one there."""
        path = self.directory / BELL_FILE
        try:
            inode = path.stat().st_ino
        except OSError:
            inode = 0
        if self._bell is None or inode != self._bell_inode:
            try:
                self._bell = Bell(path, not self.read_only)  # a thread that waits on the one before has it still
                self._bell_inode = path.stat().st_ino
            except OSError:
                self._bell = None
        return self._bell

    def ring(self, revision: int) -> None:
        bell = self._bell or self._look_for_bell()  # whether it is still the one that lies there, `wait` sees to
        if bell is not None:
            bell.ring(revision)

    def wake(self) -> None:
        self._awake.set()
        bell = self._bell
        if bell is not None:
            bell.wake()

    # --- the end, and forks ---

    def _must_be_open(self) -> None:
        if self._closed:
            raise StoreError(f"{self.name} is closed", code="closed")
        if self._unusable:
            raise StoreError(f"{self.name}: the process was forked while it wrote, or without Python's knowledge; open the store in the child")

    def close(self) -> None:
        self._closed = True
        self.wake()
        with self._write_lock, self._read_lock:
            self._give_up()

    def _give_up(self) -> None:
        with suppress(sqlite3.Error):
            self._drop_reader()
        if self._writer is not None:
            self._is_grown = False  # who closes last removes the file
            writer, self._writer = self._writer, None
            with suppress(sqlite3.Error):
                writer.close()

    def forked(self) -> None:
        if self._process == os.getpid():
            return
        self._process = os.getpid()
        if self._writer is not None or self._reader is not None:  # nothing closed them before the fork: see the top
            forget(self._writer)
            forget(self._reader)
            self._writer = self._reader = self._within = None
            self._unusable = True
        self._write_lock, self._read_lock, self._awake = threading.Lock(), threading.Lock(), threading.Event()

    def before_fork(self) -> bool:
        """Close both connections and hold their locks; False where this very thread is within `locked`."""
        if self._within == threading.get_ident():
            return False
        self._write_lock.acquire()
        self._read_lock.acquire()
        self._give_up()
        return True

    @property
    def is_closed(self) -> bool:
        return self._closed

    def after_fork(self) -> None:
        """In the parent, which `before_fork` has held up."""
        self._read_lock.release()
        self._write_lock.release()


# --- forks -------------------------------------------------------------------------------------------------------------------------------

# Every log of this process, and those that a fork under way holds up. A fork is the process's, no engine's, so these are the process's too.
_LOGS: WeakSet[SqliteLog] = WeakSet()
_HELD: list[SqliteLog] = []


def _before_fork() -> None:
    _HELD.extend(log for log in list(_LOGS) if log.before_fork())


def _after_fork_in_parent() -> None:
    while _HELD:
        _HELD.pop().after_fork()


def _after_fork_in_child() -> None:
    _HELD.clear()
    for log in list(_LOGS):
        log.forked()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)


def is_open_here(directory: Path) -> bool:
    """Whether this process has the log of this directory open."""
    return any(not log.is_closed and log.directory == directory.absolute() for log in list(_LOGS))


# --- helpers -----------------------------------------------------------------------------------------------------------------------------


def create_tables(connection: sqlite3.Connection, store_id: bytes, seed: bytes, generation: int, base_revision: int, base_hash: bytes) -> None:
    """Within a transaction: an empty log of this store."""
    for statement in (*_TABLES, f"PRAGMA application_id = {SQLITE_APPLICATION_ID}", f"PRAGMA user_version = {SQLITE_SCHEMA_VERSION}"):
        connection.execute(statement)
    connection.execute("INSERT INTO store VALUES (?, ?, ?, ?, ?)", (store_id, seed, generation, base_revision, base_hash))


def store_error(name: str, error: sqlite3.Error, committing: bool = False) -> FgaError:
    """Whose fault an error of SQLite is, and what to do about it."""
    code = getattr(error, "sqlite_errorcode", 0)
    primary = code & 0xFF
    if committing and code in (sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC):
        return StoreError(f"{name}: the disk failed while committing; ask again with the same request_id", code="commit_unknown")
    if primary == sqlite3.SQLITE_FULL or code in (sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE):
        return StoreError(f"{name}: the disk takes no more (full, over a quota, or failing); nothing was stored", code="store_full")
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT) or code == sqlite3.SQLITE_IOERR_SHORT_READ:
        return StoreError(f"{name}: the log is damaged ({error}); `fgacore verify` says where, `fgacore repair` cuts a torn tail", code="corrupt")
    if primary in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return StoreError(f"{name} cannot be written; open it with read_only=True, or mend its rights", code="read_only")
    if primary in (sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISUSE):
        return InternalError(f"{name}: the log was used against its rules ({error})")
    if primary == sqlite3.SQLITE_BUSY:
        return StoreError(f"{name}: the log is locked by another process; try again", code="store_unavailable")
    return StoreError(f"{name}: the log cannot be used ({error})", code="store_unavailable")


def os_error(name: str, error: OSError) -> StoreError:
    """The same for an error of the operating system."""
    why = os.strerror(error.errno) if error.errno else str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StoreError(f"{name}: the disk takes no more ({why})", code="store_full")
    if error.errno == errno.EROFS or (error.errno in (errno.EACCES, errno.EPERM)):
        return StoreError(f"{name} cannot be used by this user ({why}); mend its rights", code="read_only")
    return StoreError(f"{name} cannot be used ({why})", code="store_unavailable")


def _is_busy(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _is_bytes(value: object, length: int) -> TypeGuard[bytes]:
    return type(value) is bytes and len(value) == length


def sync_directory(path: Path) -> None:
    """A directory that was made is one after a crash."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
