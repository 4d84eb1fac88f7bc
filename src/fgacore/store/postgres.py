"""One log for many machines, in PostgreSQL: three tables, of which `fgacore_store` has one row for each store, the head.

A writer locks the head row, so that all writers of a store stand in line. Everything said to the server is in `SQL`: plain statements without
advisory locks, sequences or what else only one server has, so that the log may lie in others of its language too; `tests/store/test_postgres.py`
holds the texts to that. Transactions are READ COMMITTED.

NOTIFY is part of the transaction that writes and shortens the wait of those who follow; they look at the head row every `poll` seconds as well.
A URL may say `store=NAME`, `notify=0` and `poll=SECONDS`; what else it says is for libpq. The password is in no message.
"""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final, TypeVar
from urllib.parse import unquote_plus, urlsplit, urlunsplit

import psycopg
from psycopg import errors as pg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from fgacore.errors import FgaError, InternalError, RequestError, StoreError, quote
from fgacore.formats import HASH_BYTES, POSTGRES_SCHEMA_VERSION, SEED_BYTES, STORE_ID_BYTES
from fgacore.limits import LOG_WAIT_SECONDS, REQUEST_SECONDS

from .bell import News, forget, wait_readable
from .log import READ_BYTES, Head, Log, Row
from .records import genesis

__all__ = ["SQL", "PostgresLog"]

_Result = TypeVar("_Result")
_Connection = psycopg.Connection[tuple[Any, ...]]

SQL: Final = {
    "create_store": """CREATE TABLE IF NOT EXISTS fgacore_store (store TEXT PRIMARY KEY, version BIGINT NOT NULL, store_id BYTEA NOT NULL,
        seed BYTEA NOT NULL, generation BIGINT NOT NULL, revision BIGINT NOT NULL, hash BYTEA NOT NULL, time BIGINT NOT NULL,
        base_revision BIGINT NOT NULL, base_hash BYTEA NOT NULL)""",
    "create_log": """CREATE TABLE IF NOT EXISTS fgacore_log (store TEXT NOT NULL, revision BIGINT NOT NULL, time BIGINT NOT NULL,
        hash BYTEA NOT NULL, record BYTEA NOT NULL, PRIMARY KEY (store, revision))""",
    "create_log_time": "CREATE INDEX IF NOT EXISTS fgacore_log_time ON fgacore_log (store, time, revision)",
    "create_request": """CREATE TABLE IF NOT EXISTS fgacore_request (store TEXT NOT NULL, id TEXT NOT NULL, revision BIGINT NOT NULL,
        digest BYTEA NOT NULL, time BIGINT NOT NULL, PRIMARY KEY (store, id))""",
    "create_request_time": "CREATE INDEX IF NOT EXISTS fgacore_request_time ON fgacore_request (store, time)",
    "new_store": """INSERT INTO fgacore_store (store, version, store_id, seed, generation, revision, hash, time, base_revision, base_hash)
        VALUES (%s, %s, %s, %s, 1, 0, %s, 0, 0, %s) ON CONFLICT (store) DO NOTHING""",
    "store": "SELECT version, store_id, seed FROM fgacore_store WHERE store = %s",
    "head": "SELECT revision, hash, time, generation FROM fgacore_store WHERE store = %s",
    "lock": "SELECT revision, hash, time, generation FROM fgacore_store WHERE store = %s FOR UPDATE",
    "base": "SELECT base_revision, base_hash FROM fgacore_store WHERE store = %s",
    "sizes": "SELECT revision, octet_length(record) FROM fgacore_log WHERE store = %s AND revision > %s ORDER BY revision LIMIT %s",
    "scan": "SELECT revision, record, hash, time FROM fgacore_log WHERE store = %s AND revision > %s AND revision <= %s ORDER BY revision",
    "row": "SELECT revision, record, hash, time FROM fgacore_log WHERE store = %s AND revision = %s",
    "stamp": "SELECT hash, time FROM fgacore_log WHERE store = %s AND revision = %s",
    "revision_at": "SELECT revision FROM fgacore_log WHERE store = %s AND time <= %s ORDER BY time DESC, revision DESC LIMIT 1",
    "append": "INSERT INTO fgacore_log (store, revision, record, hash, time) VALUES (%s, %s, %s, %s, %s)",
    "advance": "UPDATE fgacore_store SET revision = %s, hash = %s, time = %s WHERE store = %s",
    "drop": "DELETE FROM fgacore_log WHERE store = %s",
    "compact": "UPDATE fgacore_store SET generation = %s, base_revision = %s, base_hash = %s WHERE store = %s",
    "request": "SELECT revision, digest FROM fgacore_request WHERE store = %s AND id = %s",
    "remember": "INSERT INTO fgacore_request (store, id, revision, digest, time) VALUES (%s, %s, %s, %s, %s)",
    "forget": "DELETE FROM fgacore_request WHERE store = %s AND time < %s",
    "now": "SELECT clock_timestamp()",
    "begin": "BEGIN ISOLATION LEVEL READ COMMITTED",
    "commit": "COMMIT",
    "rollback": "ROLLBACK",
    "notify": "SELECT pg_notify(%s, %s)",
    "listen": "LISTEN {}",  # a channel of ours: letters and digits
    "lock_timeout": "SET lock_timeout = {}",  # milliseconds
    "idle_timeout": "SET idle_in_transaction_session_timeout = {}",  # milliseconds
    "durability": "SHOW synchronous_commit",
    "durable": "SET synchronous_commit = 'on'",
}

_INTEGER_MAX = (1 << 63) - 1
_STORE_CHARACTERS_MAX = 200
_PAGE_ROWS = 10_000
_IDLE_MILLISECONDS = 120_000  # within `locked` and silent: a machine that is gone must not hold the head for ever
_CLOSE_SECONDS = 5.0
_NAP_MIN, _NAP_MAX = 0.1, 5.0  # seconds between two attempts to connect
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A network that is dead is noticed within some ten seconds. A URL may say otherwise.
_CONNECT = {
    "application_name": "fgacore",
    "connect_timeout": "5",
    "keepalives_idle": "4",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}


class PostgresLog(Log):
    """The log of one store of a database. Tables and store are made if they are not there, unless they are only to be read."""

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        self.read_only = read_only
        self._parse(url)
        self._channel = "fgacore_" + sha256(self._store.encode()).hexdigest()[:32]  # never the name itself
        self._closed = False
        self._process = os.getpid()
        self._head = Head(0, b"", 0, 1)  # within `locked`: with what was appended
        self._base: tuple[int, bytes] | None = None  # within `locked`: of a compaction
        self._dirty = False
        self._within = False
        self._lock_timeout = -1.0  # of the writer's session
        self._pause, self._next_attempt = _NAP_MIN, 0.0
        self._start()
        try:
            self.store_id, self.seed = self._open_store()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        """No connection yet: at first, and in a child."""
        self._read_lock, self._write_lock, self._wait_lock, self._wake_lock = (threading.Lock() for _ in range(4))
        self._reader: _Connection | None = None
        self._writer: _Connection | None = None
        self._listener: _Connection | None = None
        self._woken, self._to_wake = os.pipe()
        os.set_blocking(self._to_wake, False)
        os.set_blocking(self._woken, False)

    def _parse(self, url: str) -> None:
        """Our options out of the URL, the rest for libpq, and a name without secrets."""
        own: dict[str, str] = {}
        try:
            parts = urlsplit(url)
        except ValueError:
            raise _no_url() from None
        for option in parts.query.split("&"):
            name, _, value = option.partition("=")
            if name in own:
                raise RequestError(f"`{name}=` is twice in the URL of the store", code="invalid_store")
            if name in ("store", "notify", "poll"):
                own[name] = unquote_plus(value)
        rest = "&".join(option for option in parts.query.split("&") if option.partition("=")[0] not in own)
        self._store = own.get("store", "default")
        user, at, host = parts.netloc.rpartition("@")
        self.name = f"postgresql://{user.partition(':')[0]}{at}{host}{parts.path}?store={self._store}"
        if not self._store or len(self._store) > _STORE_CHARACTERS_MAX or not self._store.isprintable():
            raise RequestError(f"{quote(self._store)} is no name of a store: 1 to {_STORE_CHARACTERS_MAX} printable characters", code="invalid_store")
        if own.get("notify", "1") not in ("0", "1"):
            raise RequestError("`notify=` in the URL of a store is 0 or 1", code="invalid_store")
        self._notify = own.get("notify", "1") == "1"
        if not re.fullmatch(r"\d{1,5}(\.\d{1,6})?", own.get("poll", "0.25")) or not 0.001 <= float(own.get("poll", "0.25")) <= 3600:
            raise RequestError("`poll=` in the URL of a store is a number of seconds from 0.001 to 3600", code="invalid_store")
        self._poll = float(own.get("poll", "0.25"))
        try:
            given = {name: str(value) for name, value in conninfo_to_dict(urlunsplit(parts._replace(query=rest))).items()}
            self._conninfo = make_conninfo("", **{**_CONNECT, **given})
        except (psycopg.Error, UnicodeError):  # its text may show the password
            raise _no_url() from None

    # --- connections ---

    def _connect(self) -> _Connection:
        try:
            return psycopg.connect(self._conninfo, autocommit=True, prepare_threshold=None)
        except psycopg.Error as error:
            raise self._error(error) from error

    def _open_store(self) -> tuple[bytes, bytes]:
        """Find the store's row, or make it; several processes may do so at once."""
        for attempt in range(10):
            try:
                found = self._read(lambda connection: self._find_store(connection))
            except FgaError as error:
                if not isinstance(error.__cause__, (pg.UniqueViolation, pg.DuplicateTable, pg.DuplicateObject, pg.InternalError_)) or attempt == 9:
                    raise
                time.sleep(0.02 * random.random())  # noqa: S311 - jitter; another process was making the same table
                continue
            if found is None:
                raise StoreError(f"there is no store {self.name}", code="store_unavailable")
            version, store_id, seed = found
            if type(version) is int and version > POSTGRES_SCHEMA_VERSION:
                raise StoreError(f"{self.name} has version {version}: it needs a newer fgacore than this one", code="unknown_record")
            if version == POSTGRES_SCHEMA_VERSION and len(store_id) == STORE_ID_BYTES and len(seed) == SEED_BYTES:
                return store_id, seed
            break
        raise StoreError(f"{self.name} is damaged: its row in fgacore_store is none", code="corrupt")

    def _find_store(self, connection: _Connection) -> tuple[Any, ...] | None:
        try:
            found = self._one(connection, "store", self._store)
        except pg.UndefinedTable:
            if self.read_only:
                return None
            for name in ("create_store", "create_log", "create_log_time", "create_request", "create_request_time"):
                connection.execute(SQL[name])
            found = None
        if found is None and not self.read_only:
            store_id = os.urandom(STORE_ID_BYTES)
            start = genesis(store_id)
            connection.execute(SQL["new_store"], (self._store, POSTGRES_SCHEMA_VERSION, store_id, os.urandom(SEED_BYTES), start, start))
            found = self._one(connection, "store", self._store)
        return found

    def _one(self, connection: _Connection, name: str, *values: object) -> tuple[Any, ...] | None:
        return connection.execute(SQL[name], values, binary=True).fetchone()

    # --- reading ---

    def _read(self, ask: Callable[[_Connection], _Result]) -> _Result:
        """What the reader's connection answers; asked again once, over another, where the server has dropped it meanwhile."""
        with self._read_lock:
            fresh = self._reader is None
            while True:
                self._must_be_open()
                if self._reader is None:
                    self._reader = self._connect()
                try:
                    return ask(self._reader)
                except psycopg.Error as error:
                    gone = self._reader.broken or self._reader.closed
                    if gone:
                        _close(self._reader)
                        self._reader = None
                    if not gone or fresh:
                        raise self._error(error) from error
                    fresh = True

    def head(self) -> Head:
        return self._as_head(self._read(lambda connection: self._one(connection, "head", self._store)))

    def _as_head(self, found: tuple[Any, ...] | None) -> Head:
        if found is None:
            raise StoreError(f"{self.name} is gone: its row in fgacore_store was removed", code="corrupt")
        if len(found[1]) != HASH_BYTES:
            raise StoreError(f"{self.name}: the head of the log is damaged; see `fgacore verify`", code="corrupt")
        return Head(*found)

    def base(self) -> tuple[int, bytes]:
        found = self._read(lambda connection: self._one(connection, "base", self._store))
        if found is None or len(found[1]) != HASH_BYTES:
            raise StoreError(f"{self.name}: the base of the log is damaged; see `fgacore verify`", code="corrupt")
        return found[0], found[1]

    def scan(self, after: int, bytes_max: int = READ_BYTES) -> list[Row]:
        return [self._as_row(found) for found in self._read(lambda connection: self._scan(connection, min(after, _INTEGER_MAX), bytes_max))]

    def _scan(self, connection: _Connection, after: int, bytes_max: int) -> list[tuple[Any, ...]]:
        last = after
        for revision, size in connection.execute(SQL["sizes"], (self._store, after, _PAGE_ROWS), binary=True):
            last, bytes_max = revision, bytes_max - size
            if bytes_max <= 0:
                break
        return connection.execute(SQL["scan"], (self._store, after, last), binary=True).fetchall() if last > after else []

    def _as_row(self, found: tuple[Any, ...]) -> Row:
        if len(found[2]) != HASH_BYTES:
            raise StoreError(f"{self.name}: revision {found[0]} is damaged; see `fgacore verify`", code="corrupt")
        return Row(*found)

    def row(self, revision: int) -> Row | None:
        found = self._read(lambda connection: self._one(connection, "row", self._store, min(revision, _INTEGER_MAX)))
        return found if found is None else self._as_row(found)

    def stamp(self, revision: int) -> tuple[bytes, int] | None:
        found = self._read(lambda connection: self._one(connection, "stamp", self._store, min(revision, _INTEGER_MAX)))
        return None if found is None else (found[0], found[1])

    def revision_at(self, time: int) -> int:
        found = self._read(lambda connection: self._one(connection, "revision_at", self._store, min(time, _INTEGER_MAX)))
        return found[0] if found else 0

    # --- writing ---

    @contextmanager
    def locked(self, timeout: float = LOG_WAIT_SECONDS) -> Iterator[Head]:
        self._must_write()
        with self._write_lock:
            self._must_be_open()
            self._head = head = self._begin(timeout)
            self._within, self._dirty = True, False
            process = os.getpid()
            try:
                yield head
                if self._dirty:
                    self._commit()
            finally:
                self._within = False
                if process == os.getpid():  # else this is a child that was forked within
                    self._end()

    def _begin(self, timeout: float) -> Head:
        fresh = self._writer is None
        while True:
            connection: _Connection | None = None
            try:
                connection = self._writer = self._writer or self._connect_writer()
                if timeout != self._lock_timeout:
                    connection.execute(SQL["lock_timeout"].format(max(1, int(timeout * 1000))))
                    self._lock_timeout = timeout
                connection.execute(SQL["begin"])
                return self._as_head(self._one(connection, "lock", self._store))
            except psycopg.Error as error:
                gone = connection is None or connection.broken or connection.closed
                self._end()
                if gone and not fresh:  # the server dropped it while nothing was written
                    fresh = True
                    continue
                if isinstance(error, pg.LockNotAvailable):
                    raise StoreError(
                        f"{self.name}: other processes held the write lock for {timeout:g} s; try again", code="store_unavailable"
                    ) from error
                raise self._error(error) from error
            except BaseException:
                self._end()
                raise

    def _connect_writer(self) -> _Connection:
        connection = self._connect()
        self._lock_timeout = -1.0
        try:
            connection.execute(SQL["idle_timeout"].format(_IDLE_MILLISECONDS))
            if self._one(connection, "durability") == ("off",):
                connection.execute(SQL["durable"])
        except psycopg.Error as error:
            _close(connection)
            raise self._error(error) from error
        return connection

    def _commit(self) -> None:
        connection = self._writer
        if connection is None:
            raise InternalError("the log is written without its lock")
        head = self._head
        with self._writing():
            if self._base is not None:
                connection.execute(SQL["compact"], (head.generation, *self._base, self._store))
            connection.execute(SQL["advance"], (head.revision, head.hash, head.time, self._store))
            if self._notify:
                connection.execute(SQL["notify"], (self._channel, str(head.revision)))
        try:
            connection.execute(SQL["commit"])
        except psycopg.Error as error:
            if connection.broken or connection.closed or isinstance(error, pg.StatementCompletionUnknown):
                raise StoreError(
                    f"{self.name}: the connection was lost while committing; ask again with the same request_id", code="commit_unknown"
                ) from error
            raise self._error(error, writing=True) from error

    def _end(self) -> None:
        """Out of any transaction; a connection that is not to be had out of it is given up."""
        self._base = None
        connection = self._writer
        if connection is None:
            return
        try:
            if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                connection.execute(SQL["rollback"])
        except psycopg.Error:
            pass
        if connection.closed or connection.broken or connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            self._writer = None
            _close(connection)

    @contextmanager
    def _writing(self) -> Iterator[_Connection]:
        """Statements within `locked`."""
        if self._writer is None or not self._within:
            raise InternalError("the log is written without its lock")
        try:
            yield self._writer
        except psycopg.Error as error:
            raise self._error(error, writing=True) from error

    def now(self) -> int | None:
        with self._writing() as connection:
            found = self._one(connection, "now")
        if found is None:
            raise InternalError("the server has no time")
        since: timedelta = found[0] - _EPOCH
        return since // timedelta(microseconds=1)

    def append(self, rows: Sequence[Row]) -> None:
        if not rows:
            return
        self._check_rows(self._head, rows)
        self._dirty = True
        with self._writing() as connection, connection.cursor() as cursor:
            if len(rows) == 1:
                cursor.execute(SQL["append"], (self._store, *rows[0]))
            else:
                cursor.executemany(SQL["append"], [(self._store, *row) for row in rows])
        last = rows[-1]
        self._head = Head(last.revision, last.hash, last.time, self._head.generation)

    def request(self, id: str) -> tuple[int, bytes] | None:
        with self._writing() as connection:
            found = self._one(connection, "request", self._store, id)
        return None if found is None else (found[0], found[1])

    def remember(self, id: str, revision: int, digest: bytes, time: int) -> None:
        self._dirty = True
        with self._writing() as connection:
            connection.execute(SQL["forget"], (self._store, time - REQUEST_SECONDS * 1_000_000))
            connection.execute(SQL["remember"], (self._store, id, revision, digest, time))

    def replace(self, rows: Sequence[Row], generation: int) -> None:
        self._dirty = True
        with self._writing() as connection:
            connection.execute(SQL["drop"], (self._store,))
        self._base = self._head.revision, self._head.hash
        self._head = self._head._replace(generation=generation)
        self.append(rows)

    def tidy(self) -> None:
        """Nothing: what was deleted goes with the server's next vacuum, from its write-ahead files and backups in their time."""
        self._must_write()
        self._must_be_open()

    # --- following ---

    def wait(self, news: News, timeout: float) -> bool:
        """As every log; StoreError `store_unavailable` where the server cannot be asked: the next call tries again, after a pause that grows."""
        with self._wait_lock:
            return self._wait(news, time.monotonic() + timeout)

    def _wait(self, news: News, deadline: float) -> bool:
        self._must_be_open()
        connection = self._listener
        try:
            if connection is None:
                connection = self._connect_listener(deadline)
                if connection is None:
                    return False
            while True:
                for _ in connection.notifies(timeout=0):
                    pass  # that there is one is all it says
                found = self._as_head(self._one(connection, "head", self._store))
                self._pause = _NAP_MIN
                if found.revision > news.revision:
                    news.is_behind = True
                    return True
                news.is_behind = False  # what was seen was this process's own
                if any(True for _ in connection.notifies(timeout=0)):  # one that came with the answer makes no socket readable
                    continue
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                if wait_readable(connection.fileno(), self._woken, min(left, self._poll), news) & 2:
                    self._drain()
                    return False
        except psycopg.Error as error:
            self._drop_listener(connection)
            raise self._error(error) from error

    def _connect_listener(self, deadline: float) -> _Connection | None:
        """A connection that listens, or None when woken. It is not sought before its time."""
        pause = self._next_attempt - time.monotonic()
        if pause > 0:
            if wait_readable(self._woken, self._woken, min(pause, max(0.0, deadline - time.monotonic()))):
                self._drain()
                return None
            if time.monotonic() < self._next_attempt:
                raise StoreError(f"{self.name} is out of reach; it is sought again in a moment", code="store_unavailable")
        self._next_attempt = time.monotonic() + self._pause * random.uniform(0.5, 1)  # noqa: S311 - jitter
        self._pause = min(self._pause * 2, _NAP_MAX)
        connection = self._connect()
        if self._notify:
            with suppress(pg.FeatureNotSupported, pg.ReadOnlySqlTransaction, pg.SyntaxError):  # a server that has none, or a standby, is polled
                connection.execute(SQL["listen"].format(self._channel))
        self._listener = connection
        return connection

    def _drop_listener(self, connection: _Connection | None) -> None:
        self._listener = None
        self._next_attempt = time.monotonic() + self._pause * random.uniform(0.5, 1)  # noqa: S311 - jitter
        if connection is not None:
            _close(connection)

    def _drain(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._woken, 4096)

    def ring(self, revision: int) -> None:
        """Nothing: NOTIFY was part of the transaction."""

    def wake(self) -> None:
        with self._wake_lock, suppress(BlockingIOError):
            if self._to_wake >= 0:
                os.write(self._to_wake, b"x")

    # --- the end ---

    def _must_be_open(self) -> None:
        if self._closed:
            raise StoreError(f"{self.name} is closed", code="closed")

    def close(self) -> None:
        self._closed = True
        self.wake()
        with self._read_lock, self._write_lock:
            for connection in (self._reader, self._writer):
                if connection is not None:
                    _close(connection)
            self._reader = self._writer = None
        if self._wait_lock.acquire(timeout=_CLOSE_SECONDS):  # else the server is silent, and the follower's thread ends with its connection
            try:
                if self._listener is not None:
                    _close(self._listener)
                self._listener = None
                with self._wake_lock:
                    for descriptor in (self._woken, self._to_wake):
                        if descriptor >= 0:
                            os.close(descriptor)
                    self._woken = self._to_wake = -1
            finally:
                self._wait_lock.release()

    def forked(self) -> None:
        if self._process == os.getpid():
            return
        self._process = os.getpid()
        for connection in (self._reader, self._writer, self._listener):
            if connection is not None:
                with suppress(OSError, psycopg.Error):
                    os.close(connection.fileno())  # this process's hold on the socket; nothing is said over it
                forget(connection)
        self._within = self._dirty = False
        for descriptor in (self._woken, self._to_wake):
            if descriptor >= 0:
                os.close(descriptor)
        self._start()

    # --- errors ---

    def _error(self, error: psycopg.Error, writing: bool = False) -> FgaError:
        """Whose fault an error of the server is, and what to do about it."""
        why = str(error).strip().splitlines()
        what = why[0] if why else type(error).__name__
        if isinstance(error, (pg.DiskFull, pg.OutOfMemory)):
            return StoreError(f"{self.name}: the server's disk or memory is full; nothing was stored", code="store_full")
        if isinstance(error, (pg.DataCorrupted, pg.IndexCorrupted)):
            return StoreError(f"{self.name}: the server says that its data is damaged ({what}); see `fgacore verify`", code="corrupt")
        if isinstance(error, pg.ReadOnlySqlTransaction) or (writing and isinstance(error, pg.InsufficientPrivilege)):
            return StoreError(
                f"{self.name} cannot be written by this role, or on this server ({what}); open it with read_only=True", code="read_only"
            )
        if isinstance(error, pg.InsufficientPrivilege):
            return StoreError(f"{self.name}: the role lacks a right ({what}); see docs/operations.md", code="store_unavailable")
        if isinstance(error, psycopg.IntegrityError):
            return InternalError(f"{self.name}: the log was used against its rules ({what})")
        return StoreError(f"{self.name} cannot be used ({what}); try again when the server is there", code="store_unavailable")


def _no_url() -> RequestError:
    return RequestError("the URL of the store is none that PostgreSQL's client reads: postgresql://user@host/database", code="invalid_store")


def _close(connection: _Connection) -> None:
    with suppress(psycopg.Error):
        connection.close()
