"""Is a log what it was when it was written? `verify_log` walks it and only reads; `repair_sqlite` cuts a torn tail on request, and only a tail."""

from __future__ import annotations

import fcntl
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from fgacore.errors import RequestError, StoreError
from fgacore.formats import BELL_FILE, HASH_BYTES, SQLITE_APPLICATION_ID, SQLITE_FILE, SQLITE_LOCK_BYTES, SQLITE_LOCK_START, SQLITE_SCHEMA_VERSION

from .log import Log, Row
from .records import chain, decode
from .sqlite import create_tables, is_open_here, os_error, sync_directory

__all__ = ["FAULTS_MAX", "Fault", "RepairResult", "VerifyResult", "repair_sqlite", "verify_log"]

FAULTS_MAX = 100  # reported in one run

_UNANCHORED = "the hash given is in no record: the log was cut, rewritten or compacted after it was anchored"
_SNAPSHOT = re.compile(r"snapshot-(\d+)\.fga")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, and at which revision; 0 for what is wrong with the log as a whole."""

    revision: int
    why: str

    def __str__(self) -> str:
        return f"revision {self.revision}: {self.why}" if self.revision else self.why


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """What was read, up to which revision and hash, and every fault found, at most FAULTS_MAX. `hash` is what may be anchored elsewhere."""

    records: int
    revision: int
    hash: bytes
    faults: tuple[Fault, ...]

    def __bool__(self) -> bool:
        return not self.faults


@dataclass(frozen=True, slots=True)
class RepairResult:
    """How many records were cut, the revision that is now the newest, and where the damaged file is kept, if it had to be exchanged."""

    removed: int
    revision: int
    backup: Path | None


# --- verify --------------------------------------------------------------------------------------------------------------------------------


def verify_log(log: Log, head: bytes | None = None) -> VerifyResult:
    """Read every record up to the head of this moment: none is missing, each is one, and the hashes of all are a chain.

    head: a hash that was written down elsewhere; it must be in the chain. Others may write meanwhile, and if one compacts, it begins again.
    """
    while True:
        base = log.base()
        result = _Walk(log, base, head).result()
        if log.base() == base:
            return result


class _Walk:
    """One walk over a log, from its base."""

    def __init__(self, log: Log, base: tuple[int, bytes], anchor: bytes | None) -> None:
        self.log = log
        self.revision, self.hash = base
        self.previous: bytes | None = self.hash  # None after what could not be read: then the next one is only looked at by itself
        self.time = 0
        self.records = 0
        self.anchor = anchor
        self.is_anchored = anchor is None or anchor == self.hash
        self.faults: list[Fault] = []

    def result(self) -> VerifyResult:
        try:
            self.walk()
        except StoreError as error:
            if error.code != "corrupt":
                raise
            self.faults.append(Fault(0, error.message))  # where the log ends cannot be read
        if not self.is_anchored:
            self.faults.append(Fault(0, _UNANCHORED))
        return VerifyResult(self.records, self.revision, self.hash, tuple(self.faults[:FAULTS_MAX]))

    def walk(self) -> None:
        end = self.log.head()
        while self.revision < end.revision and len(self.faults) < FAULTS_MAX:
            try:
                rows = self.log.scan(self.revision)
            except StoreError as error:
                if error.code != "corrupt":
                    raise
                self.pass_over(self.revision + 1, f"it cannot be read ({error.message})")
                continue
            if not rows or rows[0].revision > end.revision:
                self.pass_over(end.revision, f"all records after {self.revision} are missing")
            for row in rows:
                if row.revision > end.revision:
                    break
                self.look_at(row, end.generation)
        if self.revision == end.revision and self.previous is not None and self.previous != end.hash:
            self.faults.append(Fault(end.revision, "the head has another hash than its record"))

    def pass_over(self, revision: int, why: str) -> None:
        self.faults.append(Fault(revision, why))
        self.revision, self.previous = revision, None

    def look_at(self, row: Row, generation: int) -> None:
        if row.revision != self.revision + 1:
            self.pass_over(row.revision - 1, f"it is missing, with all after {self.revision}")
        why = None
        if self.previous is not None and chain(self.previous, row.data) != row.hash:
            why = "its hash is not that of its bytes after the record before"
        else:
            try:
                record = decode(row.data)
            except StoreError as error:
                why = error.message
            else:
                if (record.revision, record.time, record.generation) != (row.revision, row.time, generation):
                    why = "its place in the log is not the one that it names"
                elif row.time < self.time:
                    why = "its time is before that of the record before"
        if why is not None:
            self.faults.append(Fault(row.revision, why))
        self.records += 1
        self.revision, self.hash, self.previous, self.time = row.revision, row.hash, row.hash, max(self.time, row.time)
        self.is_anchored = self.is_anchored or row.hash == self.anchor


# --- repair --------------------------------------------------------------------------------------------------------------------------------


def repair_sqlite(directory: Path) -> RepairResult:
    """Cut a torn tail: the first bad record and all after it, if none of those is good by itself. What is good is never cut: StoreError `corrupt`.

    A file that SQLite cannot read in whole is exchanged for a new one of what is good, and kept beside. Snapshots of what was cut are set aside.
    """
    path = directory / SQLITE_FILE
    if not path.is_file():
        raise RequestError(f"there is no store in {directory}", code="invalid_store")
    _must_be_alone(directory, path)
    try:
        result = _repair(directory, path)
    except sqlite3.Error as error:
        raise StoreError(f"{path} cannot be read at all ({error}): bring the store back from a backup", code="corrupt") from error
    except OSError as error:
        raise os_error(str(directory), error) from error
    for snapshot in directory.glob("snapshot-*.fga"):
        found = _SNAPSHOT.fullmatch(snapshot.name)
        if found and int(found[1]) > result.revision:
            snapshot.rename(snapshot.with_name(snapshot.name + ".damaged"))
    (directory / BELL_FILE).unlink(missing_ok=True)
    sync_directory(directory)
    return result


def _must_be_alone(directory: Path, path: Path) -> None:
    """No process has the store open: each that has keeps these bytes of the file locked."""
    busy = StoreError(f"the store in {directory} is open: end the processes that use it before a repair", code="store_unavailable")
    if is_open_here(directory):  # and opening the file here would take that lock away
        raise busy
    try:
        with path.open("r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, SQLITE_LOCK_BYTES, SQLITE_LOCK_START)
    except BlockingIOError as error:
        raise busy from error
    except OSError as error:
        raise os_error(str(directory), error) from error


def _repair(directory: Path, path: Path) -> RepairResult:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=1, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema=ON")  # nothing is written to it: SQLite then reads what is left of a file that was cut
        (application,), (version,) = connection.execute("PRAGMA application_id").fetchone(), connection.execute("PRAGMA user_version").fetchone()
        if application != SQLITE_APPLICATION_ID:
            raise RequestError(f"{path} is no store of fgacore", code="invalid_store")
        if version > SQLITE_SCHEMA_VERSION:
            raise StoreError(f"{path} has version {version}: it needs a newer fgacore than this one", code="unknown_record")
        store = connection.execute("SELECT store_id, seed, generation, base_revision, base_hash FROM store").fetchone()
        if store is None:
            raise StoreError(f"{path} does not say whose store it is: bring it back from a backup", code="corrupt")
        is_whole = _is_whole(connection)
        good = _good_prefix(connection, store[3], store[4])
        behind = _revisions_behind(connection, good)
        for revision in behind:
            if _is_good_by_itself(connection, revision):
                raise StoreError(
                    f"{path}: revision {good + 1} is damaged and revision {revision} after it is not: this is no torn tail; nothing was changed, "
                    "bring the store back from a backup",
                    code="corrupt",
                )
        if is_whole:
            if behind:
                _cut(connection, good)
            return RepairResult(len(behind), good, None)
        new = directory / (SQLITE_FILE + ".new")
        _copy(connection, new, store, good)
    return RepairResult(len(behind), good, _exchange(directory, path, new))


def _is_whole(connection: sqlite3.Connection) -> bool:
    try:
        return connection.execute("PRAGMA integrity_check(1)").fetchall() == [("ok",)]
    except sqlite3.Error:
        return False


def _good_prefix(connection: sqlite3.Connection, revision: int, hash: bytes) -> int:
    """The last revision up to which everything is as it was written. A record of a newer fgacore is good, and stops us."""
    for row in _rows(connection, revision):
        if row is None or row.revision != revision + 1 or chain(hash, row.data) != row.hash:
            break
        try:
            if decode(row.data).revision != row.revision:
                break
        except StoreError as error:
            if error.code == "unknown_record":
                raise
            break
        revision, hash = row.revision, row.hash
    return revision


def _rows(connection: sqlite3.Connection, after: int) -> Iterator[Row | None]:
    """The rows after a revision, up to one that is none or cannot be read."""
    try:
        for found in connection.execute("SELECT revision, record, hash, time FROM log WHERE revision > ? ORDER BY revision", (after,)):
            yield _as_row(found)
            after = found[0]
    except sqlite3.Error:  # Python's module fetches one row ahead: the row before the one that cannot be read was not given
        while (row := _row(connection, after + 1)) is not None:
            yield row
            after += 1


def _row(connection: sqlite3.Connection, revision: int) -> Row | None:
    try:
        return _as_row(connection.execute("SELECT revision, record, hash, time FROM log WHERE revision = ?", (revision,)).fetchone())
    except sqlite3.Error:
        return None


def _as_row(found: tuple[object, ...] | None) -> Row | None:
    if found is None:
        return None
    revision, data, hash, time = found
    if type(revision) is int and type(data) is bytes and type(hash) is bytes and len(hash) == HASH_BYTES and type(time) is int:
        return Row(revision, data, hash, time)
    return None


def _revisions_behind(connection: sqlite3.Connection, good: int) -> list[int]:
    """Every revision after the good ones of which there is any trace: read from both ends, and from the index."""
    seen: set[int] = set()
    for query in (
        "SELECT revision FROM log NOT INDEXED WHERE revision > ? ORDER BY revision",
        "SELECT revision FROM log NOT INDEXED WHERE revision > ? ORDER BY revision DESC",
    ):
        with suppress(sqlite3.Error):
            for (revision,) in connection.execute(query, (good,)):
                seen.add(revision)
    return sorted(seen)


def _is_good_by_itself(connection: sqlite3.Connection, revision: int) -> bool:
    """A record that decodes, and whose hash is that of its bytes after the hash stored with the record before."""
    before, row = _row(connection, revision - 1), _row(connection, revision)
    if before is None or row is None or chain(before.hash, row.data) != row.hash:
        return False
    try:
        decode(row.data)
    except StoreError as error:
        return error.code == "unknown_record"
    return True


def _cut(connection: sqlite3.Connection, good: int) -> None:
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("DELETE FROM log WHERE revision > ?", (good,))
    connection.execute("DELETE FROM request WHERE revision > ?", (good,))
    connection.execute("COMMIT")


def _copy(connection: sqlite3.Connection, new: Path, store: tuple[bytes, bytes, int, int, bytes], good: int) -> None:
    """A new file with what is good."""
    for leftover in (new, new.with_name(new.name + "-wal"), new.with_name(new.name + "-shm")):
        leftover.unlink(missing_ok=True)
    os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    with closing(sqlite3.connect(new, isolation_level=None)) as target:
        target.execute("PRAGMA journal_mode=WAL")
        target.execute("PRAGMA synchronous=FULL")
        target.execute("BEGIN IMMEDIATE")
        create_tables(target, *store)
        for row in _rows(connection, store[3]):
            if row is None or row.revision > good:
                break
            target.execute("INSERT INTO log (revision, record, hash, time) VALUES (?, ?, ?, ?)", row)
        with suppress(sqlite3.Error):  # request ids are a convenience of one day
            for found in connection.execute("SELECT id, revision, digest, time FROM request WHERE revision <= ?", (good,)):
                target.execute("INSERT OR IGNORE INTO request (id, revision, digest, time) VALUES (?, ?, ?, ?)", found)
        target.execute("COMMIT")


def _exchange(directory: Path, path: Path, new: Path) -> Path:
    """Put the new file in the old one's place, which is kept under a name that no file had. There is a log at every instant."""
    number = 1
    while (backup := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    os.link(path, backup)
    for suffix in ("-wal", "-shm"):  # what SQLite could not put back into the damaged file belongs to that
        beside = path.with_name(path.name + suffix)
        if beside.exists():
            beside.rename(backup.with_name(backup.name + suffix))
    new.replace(path)
    sync_directory(directory)
    return backup
