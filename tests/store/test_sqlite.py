"""The log in a directory: what is committed is there, what is not is not, and every fault of disk or caller has its error."""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from fgacore.errors import FgaError, InternalError, RequestError, StoreError
from fgacore.formats import SQLITE_APPLICATION_ID
from fgacore.store import sqlite
from fgacore.store.bell import Bell, News
from fgacore.store.log import Log, Row, open_log
from fgacore.store.records import genesis
from fgacore.store.sqlite import SqliteLog, store_error
from store_rows import assert_chained, put, rows_after, whole

SPAWN = multiprocessing.get_context("spawn")
FORK = multiprocessing.get_context("fork")
NOBODY = 65534


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "authz"


@pytest.fixture
def log(directory: Path) -> Iterator[SqliteLog]:
    with closing(SqliteLog(directory)) as log:
        yield log


def code_of(call: Any, *arguments: Any, **named: Any) -> str:
    with pytest.raises(FgaError) as caught:
        call(*arguments, **named)
    assert "\n" not in str(caught.value)
    return caught.value.code


# --- what lies there ---


def test_a_new_store_is_empty_and_private(log: SqliteLog, directory: Path) -> None:
    assert log.head() == (0, genesis(log.store_id), 0, 1)
    assert log.base() == (0, genesis(log.store_id))
    assert (log.generation(), log.read(0), log.row(1), log.revision_at(1 << 62)) == (1, [], None, 0)
    assert len(log.store_id) == 16
    assert len(log.seed) == 32
    assert directory.stat().st_mode & 0o777 == 0o700
    put(log)
    assert {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()} == dict.fromkeys(
        ("log.sqlite", "log.sqlite-wal", "log.sqlite-shm", "bell"), 0o600
    )


def test_what_is_appended_is_there_after_a_reopening(log: SqliteLog, directory: Path) -> None:
    with log.locked() as head:
        rows = rows_after(head, 10)
        log.append(rows[:3])
        log.append(rows[3:])
    assert whole(log) == rows
    assert log.row(7) == rows[6]
    assert log.row(1 << 70) is None
    assert log.read(4) == rows[4:]
    assert log.read(1 << 70) == []
    assert log.head() == (10, rows[-1].hash, rows[-1].time, 1)
    log.close()
    with closing(open_log(directory)) as again:
        assert whole(again) == rows
        assert (again.store_id, again.seed) == (log.store_id, log.seed)
        assert again.now() is None


def test_times_are_found(log: SqliteLog) -> None:
    put(log, 5)
    times = [row.time for row in whole(log)]
    assert [log.revision_at(time) for time in times] == [1, 2, 3, 4, 5]
    assert log.revision_at(times[0] - 1) == 0
    assert log.revision_at(1 << 70) == 5


def test_reading_comes_in_pages(log: SqliteLog) -> None:
    put(log, 10, payload=b"x" * 1000)
    assert [row.revision for row in log.read(0, bytes_max=1)] == [1]
    assert [row.revision for row in log.read(3, bytes_max=2500)] == [4, 5, 6]
    assert len(whole(log)) == 10


def test_an_exception_takes_everything_back(log: SqliteLog) -> None:
    put(log)

    def fail() -> None:
        with log.locked() as head:
            log.append(rows_after(head, 3))
            log.remember("a", 2, b"digest", 0)
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    assert len(whole(log)) == 1
    with log.locked() as head:
        assert head.revision == 1
        assert log.request("a") is None
    assert put(log) == 2


def test_an_empty_turn_writes_nothing(log: SqliteLog, directory: Path) -> None:
    put(log)
    before = {path: path.read_bytes() for path in (directory / "log.sqlite", directory / "log.sqlite-wal")}
    with log.locked() as head:
        assert head.revision == 1
    with log.locked():
        log.append([])
    assert {path: path.read_bytes() for path in before} == before


def test_rows_that_cannot_follow_are_refused(log: SqliteLog) -> None:
    put(log, 2)

    def append(*rows: Row) -> None:
        with log.locked():
            log.append(rows)

    with log.locked() as head:
        good = rows_after(head, 2)
    assert code_of(append, good[1]) == "internal"
    assert code_of(append, good[0], good[0]) == "internal"
    assert code_of(append, good[0]._replace(time=1)) == "internal"
    assert code_of(log.append, good) == "internal"  # without the lock
    append(*good)


def test_request_ids_are_remembered_for_a_day(log: SqliteLog) -> None:
    day = 86_400 * 1_000_000
    with log.locked():
        log.remember("first", 1, b"one", 5)
    with log.locked():
        assert log.request("first") == (1, b"one")
        log.remember("second", 2, b"two", day + 5)
    with log.locked():
        assert log.request("first") == (1, b"one")
        log.remember("third", 3, b"three", day + 6)
    with log.locked():
        assert log.request("first") is None
        assert log.request("second") == (2, b"two")
    with pytest.raises(InternalError), log.locked():
        log.remember("second", 3, b"two", day + 7)


def test_compaction_erases_and_goes_on(log: SqliteLog, directory: Path) -> None:
    put(log, 50, payload="user:somebody-to-be-erased" * 100)
    old = log.head()
    with log.locked() as head:
        rows = rows_after(head._replace(generation=2), 2, "kept")
        log.replace(rows, 2)
        assert log.head() == old  # nothing is to be seen before the commit
    log.tidy()
    assert log.base() == (50, old.hash)
    assert log.head() == (52, rows[-1].hash, rows[-1].time, 2)
    assert whole(log) == rows
    assert code_of(log.read, 0) == "compacted"
    assert code_of(log.read, 49) == "compacted"
    assert log.row(50) is None
    put(log)
    assert assert_chained(log) == 3
    for path in directory.iterdir():
        assert b"somebody" not in path.read_bytes(), path
    log.close()
    assert b"somebody" not in (directory / "log.sqlite").read_bytes()
    with closing(SqliteLog(directory)) as again:
        assert again.generation() == 2
        assert_chained(again)


def test_tidying_says_when_a_reader_keeps_it_from_its_work(log: SqliteLog, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(log, 3)
    monkeypatch.setattr(sqlite, "LOG_WAIT_SECONDS", 0.05)
    with closing(sqlite3.connect(directory / "log.sqlite", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM log").fetchone()
        with log.locked() as head:
            log.replace(rows_after(head._replace(generation=2)), 2)
        assert code_of(log.tidy) == "store_unavailable"
    log.tidy()


# --- several at once ---


def append_many(directory: str, count: int, together: Any) -> None:
    together.wait()
    with closing(SqliteLog(Path(directory))) as log:
        for _ in range(count):
            put(log)


def test_many_processes_make_and_write_one_store(directory: Path) -> None:
    together = SPAWN.Barrier(4)
    writers = [SPAWN.Process(target=append_many, args=(str(directory), 40, together)) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 4
    with closing(SqliteLog(directory)) as log:
        assert assert_chained(log) == 160


def test_who_waits_too_long_for_the_lock_is_told(log: SqliteLog, directory: Path) -> None:
    with closing(SqliteLog(directory)) as other, log.locked():
        started = time.monotonic()
        with pytest.raises(StoreError, match=r"held the write lock for 0\.05 s") as caught, other.locked(timeout=0.05):
            raise AssertionError
        assert caught.value.code == "store_unavailable"
        assert time.monotonic() - started < 5
    put(other := SqliteLog(directory))
    other.close()


def test_a_writer_does_not_hold_up_readers(log: SqliteLog) -> None:
    put(log)
    with log.locked() as head:
        log.append(rows_after(head, 5))
        assert log.head().revision == 1
        assert len(log.read(0)) == 1
        assert log.wait(News(1), 0.01) is False
    assert log.head().revision == 6


def write_later(directory: str, seconds: float, ring: bool) -> None:
    with closing(SqliteLog(Path(directory))) as log:
        time.sleep(seconds)
        if ring:
            put(log)
        else:  # as one that dies between its commit and its ring
            with log.locked() as head:
                log.append(rows_after(head))


@pytest.mark.parametrize("ring", [True, False])
def test_a_write_of_another_process_ends_a_wait(log: SqliteLog, directory: Path, ring: bool) -> None:
    news = News()
    writer = SPAWN.Process(target=write_later, args=(str(directory), 0.2, ring))
    writer.start()
    news.revision = 0
    assert log.wait(news, 60) is True
    assert news.is_behind is True
    assert log.head().revision == 1
    assert log.wait(News(1), 0.01) is False
    assert log.wait(News(0), 0) is True
    writer.join()


def test_without_a_bell_the_log_is_looked_at(log: SqliteLog, directory: Path) -> None:
    (directory / "bell").unlink()
    with closing(SqliteLog(directory, read_only=True)) as reader:
        assert not (directory / "bell").exists()
        threading.Timer(0.05, put, (log,)).start()
        assert reader.wait(News(0), 60) is True
    log.wait(News(1), 0)
    assert (directory / "bell").exists()  # who follows and may write has made another


def test_a_bell_that_was_exchanged_is_found(log: SqliteLog, directory: Path) -> None:
    with closing(SqliteLog(directory)) as other:
        (directory / "bell").unlink()
        put(other)
        assert log.wait(News(0), 60) is True
        assert log.wait(News(1), 0.01) is False
        started = time.monotonic()
        threading.Timer(0.02, put, (other,)).start()
        assert log.wait(News(1), 60) is True
        assert time.monotonic() - started < 10


def test_wake_and_close_end_a_wait(log: SqliteLog) -> None:
    for call in (log.wake, log.close):
        threading.Timer(0.05, call).start()
        started = time.monotonic()
        with suppress(StoreError):  # `closed`, where the log was asked again before the end was seen
            assert log.wait(News(0), 60) is False
        assert time.monotonic() - started < 30
    for call in (log.head, log.base, lambda: log.read(0), lambda: log.row(1), lambda: log.wait(News(0), 1), log.tidy, lambda: put(log)):
        assert code_of(call) == "closed"
    log.close()


def write_until_killed(directory: str, told: Any) -> None:
    with closing(SqliteLog(Path(directory))) as log:
        while True:
            told.send(put(log, random.randint(1, 5), payload=b"x" * random.randint(1, 9000)))


def test_who_is_killed_loses_nothing_that_was_acknowledged(directory: Path) -> None:
    with closing(SqliteLog(directory)) as log:
        for _ in range(8):
            ours, theirs = SPAWN.Pipe(duplex=False)
            writer = SPAWN.Process(target=write_until_killed, args=(str(directory), theirs))
            writer.start()
            theirs.close()
            acknowledged = ours.recv()
            time.sleep(random.uniform(0, 0.05))
            os.kill(writer.pid or 0, signal.SIGKILL)
            writer.join()
            try:
                while True:
                    acknowledged = ours.recv()
            except EOFError:
                pass
            assert log.head().revision >= acknowledged
            assert assert_chained(log) == log.head().revision


# --- forks ---


def in_child(log: SqliteLog, work: Any) -> int:
    """What a forked child's work comes to: its exit code."""
    process = FORK.Process(target=work)
    process.start()
    process.join()
    return process.exitcode if process.exitcode is not None else -1


def test_a_forked_child_reads_and_writes_with_connections_of_its_own(log: SqliteLog) -> None:
    put(log)

    def work() -> None:
        log.forked()
        assert put(log, 2) == 3
        assert assert_chained(log) == 3

    assert in_child(log, work) == 0
    assert put(log) == 4
    assert assert_chained(log) == 4


def test_a_fork_waits_for_the_thread_that_writes(log: SqliteLog) -> None:
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            put(log)

    thread = threading.Thread(target=write)
    thread.start()

    def work() -> None:
        before = log.head().revision
        put(log)
        assert assert_chained(log) > before

    try:
        assert [in_child(log, work) for _ in range(8)] == [0] * 8
    finally:
        stop.set()
        thread.join()
    assert_chained(log)


def test_a_parent_that_closes_takes_nothing_from_its_child(directory: Path) -> None:
    """Were SQLite carried over the fork, the parent, as the last to close, would remove the write-ahead file that the child goes on writing to."""
    log = SqliteLog(directory)
    put(log)
    (theirs, ours), (back, answer) = FORK.Pipe(), FORK.Pipe()

    def work() -> None:
        put(log)
        answer.send("written")
        theirs.recv()
        put(log)
        put(log)

    child = FORK.Process(target=work)
    child.start()
    assert back.recv() == "written"
    log.close()
    with closing(SqliteLog(directory)) as second:
        put(second)
    ours.send("closed")
    child.join()
    assert child.exitcode == 0
    with closing(SqliteLog(directory)) as third:
        assert assert_chained(third) == 5


def test_a_child_that_was_forked_within_a_write_is_refused(log: SqliteLog) -> None:
    put(log)

    def work() -> None:
        log.forked()
        sys.exit(7 if code_of(log.head) == "store_unavailable" == code_of(put, log) else 1)

    with log.locked() as head:
        assert in_child(log, work) == 7
        log.append(rows_after(head))
    assert assert_chained(log) == 2


# --- reading alone ---


def test_reading_alone_makes_nothing_and_writes_nothing(log: SqliteLog, directory: Path, tmp_path: Path) -> None:
    assert code_of(SqliteLog, tmp_path / "absent", read_only=True) == "store_unavailable"
    assert not (tmp_path / "absent").exists()
    with closing(SqliteLog(directory, read_only=True)) as reader:
        put(log, 3)
        assert assert_chained(reader) == 3
        for call in (lambda: put(reader), reader.tidy):
            assert code_of(call) == "read_only"


def as_nobody(work: Any) -> int:
    """Run in a child that is not root: root may write everywhere."""

    def child() -> None:
        if os.getuid() == 0:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        work()

    process = FORK.Process(target=child)
    process.start()
    process.join()
    return process.exitcode if process.exitcode is not None else -1


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[Path]:
    """A directory with a store of three rows that everybody may read and nobody but us write; reachable from the root."""
    import shutil
    import tempfile

    top = Path(tempfile.mkdtemp(dir="/tmp"))
    top.chmod(0o755)
    directory = top / "authz"
    with closing(SqliteLog(directory)) as log:
        put(log, 3)
    for path in directory.iterdir():
        path.chmod(0o444)
    directory.chmod(0o555)
    yield directory
    directory.chmod(0o755)
    shutil.rmtree(top)


def test_a_directory_that_cannot_be_written_is_read(shown: Path) -> None:
    def work() -> None:
        assert code_of(SqliteLog, shown) == "read_only"
        with closing(SqliteLog(shown, read_only=True)) as reader:
            assert assert_chained(reader) == 3
            assert reader.wait(News(3), 0.01) is False
        assert sorted(path.name for path in shown.iterdir()) == ["bell", "log.sqlite"]

    assert as_nobody(work) == 0


@pytest.mark.skipif(os.getuid() != 0, reason="needs two users")
def test_who_may_only_read_sees_what_others_write(shown: Path) -> None:
    to_child, child_end = FORK.Pipe()

    def work() -> None:
        with closing(SqliteLog(shown, read_only=True)) as reader:
            child_end.send(reader.head().revision)
            child_end.recv()
            assert reader.wait(News(3), 20) is True
            assert assert_chained(reader) == 4
            child_end.send("seen")
            child_end.recv()
            assert assert_chained(reader) == 5

    results: list[int] = []
    threading.Thread(target=lambda: results.append(as_nobody(work))).start()
    assert to_child.recv() == 3
    with closing(SqliteLog(shown)) as log:
        put(log)
        for path in shown.iterdir():
            path.chmod(0o644)
        to_child.send("written")
        assert to_child.recv() == "seen"
        put(log)
    to_child.send("closed")
    while not results:
        time.sleep(0.01)
    assert results == [0]


def test_a_directory_that_cannot_be_entered_or_made_is_an_error(shown: Path) -> None:
    def work() -> None:
        assert code_of(SqliteLog, shown / "below") == "read_only"

    assert as_nobody(work) == 0


# --- the disk ---


def test_a_full_disk_stores_nothing_and_says_so(log: SqliteLog, directory: Path) -> None:
    put(log, 3)
    (pages,) = log._writer.execute("PRAGMA page_count").fetchone()  # type: ignore[union-attr]
    log._writer.execute(f"PRAGMA max_page_count = {pages + 2}")  # type: ignore[union-attr]
    assert code_of(put, log, 1, b"x" * 100_000) == "store_full"
    assert assert_chained(log) == 3
    log._writer.execute("PRAGMA max_page_count = 1000000")  # type: ignore[union-attr]
    put(log, 1, b"x" * 100_000)
    assert assert_chained(log) == 4


def test_a_file_that_may_not_grow_stores_nothing_and_says_so(log: SqliteLog) -> None:
    put(log, 3)

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
        assert code_of(put, log, 1, b"x" * 100_000) == "store_full"
        assert assert_chained(log) == 3
        put(log)

    assert in_child(log, work) == 0
    put(log, 1, b"x" * 100_000)
    assert assert_chained(log) == 5


def test_an_error_of_sqlite_is_told_by_whose_fault_it_is() -> None:
    def code(number: int, committing: bool = False) -> str:
        error = sqlite3.OperationalError("some text")
        error.sqlite_errorcode = number
        return store_error("./authz", error, committing).code

    assert code(sqlite3.SQLITE_IOERR_FSYNC, committing=True) == "commit_unknown"
    assert code(sqlite3.SQLITE_IOERR_FSYNC) == "store_unavailable"
    assert code(sqlite3.SQLITE_FULL, committing=True) == "store_full"
    assert code(sqlite3.SQLITE_IOERR_WRITE) == "store_full"
    assert code(sqlite3.SQLITE_CORRUPT_INDEX) == "corrupt"
    assert code(sqlite3.SQLITE_NOTADB) == "corrupt"
    assert code(sqlite3.SQLITE_READONLY_DIRECTORY) == "read_only"
    assert code(sqlite3.SQLITE_CANTOPEN) == "store_unavailable"
    assert code(sqlite3.SQLITE_BUSY) == "store_unavailable"
    assert code(sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY) == "internal"
    assert store_error("./authz", sqlite3.ProgrammingError("no code")).code == "store_unavailable"


# --- damage ---


def closed_store(directory: Path, count: int = 200) -> Path:
    with closing(SqliteLog(directory)) as log:
        put(log, count, payload=b"x" * 500)
    return directory / "log.sqlite"


def test_a_page_that_is_overwritten_is_corrupt(directory: Path) -> None:
    path = closed_store(directory)
    data = bytearray(path.read_bytes())
    for start in range(4096 * 6, len(data), 4096):  # all pages after the schema and the first of the log
        data[start : start + 100] = b"\xff" * 100
    path.write_bytes(data)

    def read() -> None:
        with closing(SqliteLog(directory)) as log:
            whole(log)

    assert code_of(read) == "corrupt"


@pytest.mark.parametrize("content", [b"", b"not a database, but long enough to be taken for one" * 10])
def test_a_log_that_is_gone_is_corrupt(directory: Path, content: bytes) -> None:
    """Never is an empty store made where there was one: every question would be denied, and no one would know why."""
    path = closed_store(directory)
    path.write_bytes(content)
    for read_only in (False, True):
        assert code_of(SqliteLog, directory, read_only=read_only) == "corrupt"
    path.unlink()
    for read_only in (False, True):
        assert code_of(SqliteLog, directory, read_only=read_only) == "corrupt"
    (directory / "bell").unlink()
    (directory / "snapshot-200.fga").touch()
    assert code_of(SqliteLog, directory) == "corrupt"
    (directory / "snapshot-200.fga").unlink()
    SqliteLog(directory).close()


def test_what_is_written_ahead_is_not_lost_with_an_empty_file(log: SqliteLog, directory: Path, tmp_path: Path) -> None:
    """SQLite itself would remove a write-ahead file beside an empty one."""
    put(log, 3)
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "log.sqlite").touch()
    (copy / "log.sqlite-wal").write_bytes((directory / "log.sqlite-wal").read_bytes())
    for read_only in (False, True):
        assert code_of(SqliteLog, copy, read_only=read_only) == "corrupt"
    assert (copy / "log.sqlite-wal").read_bytes() == (directory / "log.sqlite-wal").read_bytes()


def test_a_store_that_is_made_in_the_middle_of_an_opening_is_opened(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file was not there a moment ago; now it is, with a bell that was rung."""
    others: list[SqliteLog] = []

    def made_meanwhile(path: Path, create: bool) -> Bell:
        if not others:
            others.append(None)  # type: ignore[arg-type]
            others.append(SqliteLog(directory))
            put(others[-1])
        return Bell(path, create)

    monkeypatch.setattr(sqlite, "Bell", made_meanwhile)
    with closing(SqliteLog(directory)) as log:
        assert assert_chained(log) == 1
    others[-1].close()


def test_a_file_that_was_cut_is_corrupt(directory: Path) -> None:
    path = closed_store(directory)
    for size in (100, 4096, 5000, 4096 * 10):
        os.truncate(path, size) if path.stat().st_size > size else None

        def read() -> None:
            with closing(SqliteLog(directory)) as log:
                whole(log)

        assert code_of(read) == "corrupt"


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("PRAGMA user_version = 2", "unknown_record"),
        ("PRAGMA user_version = 0", "corrupt"),
        ("PRAGMA application_id = 1", "invalid_store"),
        ("DROP TABLE request", "corrupt"),
        ("DELETE FROM store", "corrupt"),
        ("INSERT INTO store SELECT * FROM store", "corrupt"),
        ("UPDATE store SET store_id = 'text'", "corrupt"),
        ("UPDATE store SET seed = x'00'", "corrupt"),
        ("UPDATE store SET generation = 0", "corrupt"),
        ("UPDATE store SET base_hash = x''", "corrupt"),
        ("UPDATE log SET hash = 'text' WHERE revision = 3", "corrupt"),
        ("UPDATE log SET record = 5 WHERE revision = 2", "corrupt"),
        ("DELETE FROM log WHERE revision = 2", "corrupt"),
    ],
)
def test_what_is_no_store_of_ours_is_refused(directory: Path, statement: str, code: str) -> None:
    path = closed_store(directory, 3)
    change(path, statement)

    def read(read_only: bool) -> None:
        with closing(SqliteLog(directory, read_only=read_only)) as log:
            log.head()
            whole(log)

    assert code_of(read, False) == code
    assert code_of(read, True) == code


def test_a_database_of_somebody_else_is_left_alone(directory: Path) -> None:
    directory.mkdir()
    change(directory / "log.sqlite", "CREATE TABLE mine (x)")
    before = (directory / "log.sqlite").read_bytes()
    assert code_of(SqliteLog, directory) == "invalid_store"
    assert (directory / "log.sqlite").read_bytes() == before
    assert SQLITE_APPLICATION_ID.to_bytes(4, "big") == b"FGAc"


# --- names ---


def test_what_names_no_store_is_refused(tmp_path: Path) -> None:
    for wrong in ("", "a\0b", ":memory:", "mysql://host/db", "http://host", b"bytes", 5, None):
        assert code_of(open_log, wrong) == "invalid_store"
    file = tmp_path / "file"
    file.touch()
    assert code_of(open_log, file) == "invalid_store"
    assert code_of(open_log, file / "below") == "invalid_store"


def test_a_name_with_every_odd_sign_is_a_directory(tmp_path: Path) -> None:
    odd = tmp_path / "a ?b#c%20d&mode=memory'\"ü"
    with closing(open_log(odd)) as log:
        put(log)
        assert str(odd) in repr(log)
        with closing(open_log(str(odd), read_only=True)) as reader:
            assert assert_chained(reader) == 1
    assert (odd / "log.sqlite").exists()


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "fgacore.store.postgres", raising=False)
    with pytest.raises(RequestError, match=r"fgacore\[postgres\]") as caught:
        open_log("postgresql://user@host/db")
    assert caught.value.code == "extra_missing"


def test_the_contract_has_no_more_than_the_backends_keep() -> None:
    assert SqliteLog.__abstractmethods__ == frozenset()
    assert Log.__abstractmethods__
