"""The log in PostgreSQL: the same promises as on a disk, a server that dies and comes back, and only plain SQL."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import psycopg
import pytest

from fgacore.cli.local_postgres import LocalPostgres
from fgacore.errors import FgaError, InternalError, StoreError
from fgacore.formats import POSTGRES_SCHEMA_VERSION
from fgacore.store import postgres as backend
from fgacore.store.bell import News
from fgacore.store.log import open_log
from fgacore.store.postgres import SQL, PostgresLog
from fgacore.store.records import genesis
from store_rows import assert_chained, put, rows_after, whole

SPAWN = multiprocessing.get_context("spawn")
FORK = multiprocessing.get_context("fork")

StoreUrl = Callable[..., str]


@pytest.fixture
def log(postgres: StoreUrl) -> Iterator[PostgresLog]:
    with closing(PostgresLog(postgres())) as log:
        yield log


@pytest.fixture
def admin(postgres: StoreUrl) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(re.sub(r"&store=[^&]*", "", postgres()), autocommit=True) as connection:
        yield connection


def code_of(call: Any, *arguments: Any, **named: Any) -> str:
    with pytest.raises(FgaError) as caught:
        call(*arguments, **named)
    assert "\n" not in str(caught.value)
    return caught.value.code


# --- the texts ---

REFUSED = (
    r"advisory|serial|sequence|nextval|generated|\bidentity\b|returning|\bwith\b|lateral|trigger|\bdo\s+\$|create function|jsonb|\bcopy\b|gen_random"
)


@pytest.mark.parametrize("name", sorted(SQL))
def test_only_plain_sql_is_said(name: str) -> None:
    text = SQL[name]
    assert not re.search(REFUSED, text, re.IGNORECASE)
    assert ";" not in text
    assert set(re.findall(r"\b([a-z_]+)\(", text)) <= {"pg_notify", "clock_timestamp", "octet_length"}
    assert "'" not in text.replace("'on'", "")  # values are parameters, never text
    assert text.split()[0] in {"CREATE", "INSERT", "SELECT", "UPDATE", "DELETE", "BEGIN", "COMMIT", "ROLLBACK", "LISTEN", "SET", "SHOW"}


def test_a_text_that_is_not_plain_would_be_seen() -> None:
    for text in ("SELECT pg_advisory_lock(1)", "id BIGSERIAL", "WITH x AS (DELETE FROM a RETURNING *)", "id BIGINT GENERATED ALWAYS AS IDENTITY"):
        assert re.search(REFUSED, text, re.IGNORECASE)


def test_everything_that_is_said_is_on_the_list() -> None:
    """Each call of `execute` takes a text of the list, and each text of the list is used."""
    with open(backend.__file__, encoding="utf-8") as file:
        source = file.read()
    said = re.findall(r"execute(?:many)?\(\s*([^,)\s]+)", source)
    assert said
    assert all(text.startswith("SQL[") for text in said)
    used = set(re.findall(r"SQL\[\"(\w+)\"\]", source)) | set(re.findall(r"_one\(\w+, \"(\w+)\"", source))
    used |= set(re.findall(r"\"(create_\w+)\"[,)]", source))
    assert used == set(SQL)


# --- the promises of a log ---


def test_a_new_store_is_empty(log: PostgresLog, postgres: StoreUrl) -> None:
    assert log.head() == (0, genesis(log.store_id), 0, 1)
    assert log.base() == (0, genesis(log.store_id))
    assert (log.generation(), log.read(0), log.row(1), log.revision_at(1 << 70)) == (1, [], None, 0)
    with closing(PostgresLog(postgres())) as again:
        assert (again.store_id, again.seed) == (log.store_id, log.seed)


def test_what_is_appended_is_there(log: PostgresLog, postgres: StoreUrl) -> None:
    with log.locked() as head:
        rows = rows_after(head, 10)
        log.append(rows[:3])
        log.append([])
        log.append(rows[3:4])
        log.append(rows[4:])
    assert whole(log) == rows
    assert log.row(7) == rows[6]
    assert log.row(1 << 70) is None
    assert log.read(4) == rows[4:]
    assert log.read(1 << 70) == []
    assert [log.revision_at(row.time) for row in rows] == list(range(1, 11))
    with closing(open_log(postgres(), read_only=True)) as again:
        assert whole(again) == rows
        assert code_of(put, again) == "read_only"
        assert code_of(again.tidy) == "read_only"


def test_reading_comes_in_pages(log: PostgresLog, monkeypatch: pytest.MonkeyPatch) -> None:
    put(log, 10, payload=b"x" * 1000)
    assert [row.revision for row in log.read(0, bytes_max=1)] == [1]
    assert [row.revision for row in log.read(3, bytes_max=2500)] == [4, 5, 6]
    monkeypatch.setattr(backend, "_PAGE_ROWS", 4)
    assert [row.revision for row in log.read(0)] == [1, 2, 3, 4]
    assert len(whole(log)) == 10


def test_stores_of_one_database_do_not_meet(postgres_server: LocalPostgres) -> None:
    names = ["one", "one'; DROP TABLE fgacore_log; --", "ünï cödé", "x" * 200]
    logs = [PostgresLog(postgres_server.url(name)) for name in names]
    for count, log in enumerate(logs, 1):
        put(log, count)
    for count, log in enumerate(logs, 1):
        assert assert_chained(log) == count
        log.close()
    assert len({log.store_id for log in logs}) == len({log._channel for log in logs}) == len(names)


def test_an_exception_takes_everything_back(log: PostgresLog) -> None:
    put(log)

    def fail() -> None:
        with log.locked() as head:
            log.append(rows_after(head, 3))
            log.remember("a", 2, b"digest", 0)
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    with log.locked() as head:
        assert head.revision == 1
        assert log.request("a") is None
    assert put(log) == 2


def test_rows_that_cannot_follow_are_refused(log: PostgresLog) -> None:
    put(log, 2)
    with log.locked() as head:
        good = rows_after(head, 2)
    with pytest.raises(InternalError), log.locked():
        log.append(good[1:])
    assert code_of(log.append, good) == "internal"

    def remember_twice() -> None:
        with log.locked():
            log.remember("a", 1, b"", 5)
            log.remember("a", 1, b"", 5)

    assert code_of(remember_twice) == "internal"


def test_request_ids_are_remembered_for_a_day(log: PostgresLog) -> None:
    day = 86_400 * 1_000_000
    with log.locked():
        log.remember("first", 1, b"one", 5)
    with log.locked():
        assert log.request("first") == (1, b"one")
        log.remember("second", 2, b"two", day + 6)
    with log.locked():
        assert log.request("first") is None
        assert log.request("second") == (2, b"two")


def test_the_time_is_the_servers(log: PostgresLog) -> None:
    with log.locked():
        now = log.now()
        assert now is not None
        assert abs(now - time.time_ns() // 1000) < 60_000_000
        assert (log.now() or 0) > now
    assert code_of(log.now) == "internal"


def test_compaction_begins_a_generation(log: PostgresLog, postgres: StoreUrl) -> None:
    put(log, 50)
    old = log.head()
    with log.locked() as head:
        rows = rows_after(head._replace(generation=2), 2, "kept")
        log.replace(rows, 2)
        assert log.head() == old
    log.tidy()
    assert log.base() == (50, old.hash)
    assert log.head() == (52, rows[-1].hash, rows[-1].time, 2)
    assert whole(log) == rows
    assert code_of(log.read, 3) == "compacted"
    put(log)
    with closing(PostgresLog(postgres())) as again:
        assert assert_chained(again) == 3


# --- several at once ---


def append_many(url: str, count: int, together: Any) -> None:
    together.wait()
    with closing(PostgresLog(url)) as log:
        for _ in range(count):
            put(log)


def test_many_processes_make_and_write_one_store(postgres: StoreUrl, admin: psycopg.Connection[Any]) -> None:
    admin.execute("CREATE SCHEMA race")
    url = postgres(options="-c search_path=race")  # the tables are made anew there, by whoever comes first
    together = SPAWN.Barrier(4)
    writers = [SPAWN.Process(target=append_many, args=(url, 40, together)) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 4
    with closing(PostgresLog(url)) as log:
        assert assert_chained(log) == 160


def test_who_waits_too_long_for_the_lock_is_told(log: PostgresLog, postgres: StoreUrl) -> None:
    with closing(PostgresLog(postgres())) as other:
        with log.locked() as head:
            with pytest.raises(StoreError, match=r"held the write lock for 0\.05 s") as caught, other.locked(timeout=0.05):
                raise AssertionError
            assert caught.value.code == "store_unavailable"
            log.append(rows_after(head))
            assert other.head().revision == 0  # and readers do not wait
        assert put(other) == 2


def write_later(url: str, seconds: float) -> None:
    with closing(PostgresLog(url)) as log:
        time.sleep(seconds)
        put(log)


@pytest.mark.parametrize("options", [{}, {"notify": "0", "poll": "0.05"}, {"poll": "3600"}])
def test_a_write_of_another_process_ends_a_wait(postgres: StoreUrl, options: dict[str, str]) -> None:
    """By NOTIFY alone, by polling alone, by both."""
    news = News()
    with closing(PostgresLog(postgres(**options))) as log:
        assert log.wait(News(0), 0.01) is False
        writer = SPAWN.Process(target=write_later, args=(postgres(**options), 0.2))
        writer.start()
        news.revision = 0
        assert log.wait(news, 60) is True
        assert news.is_behind is True
        assert log.head().revision == 1
        assert log.wait(News(0), 0) is True
        assert log.wait(News(1), 0.01) is False
        writer.join()


def test_wake_and_close_end_a_wait(log: PostgresLog) -> None:
    for call in (log.wake, log.close):
        threading.Timer(0.1, call).start()
        started = time.monotonic()
        with suppress(StoreError):
            assert log.wait(News(0), 60) is False
        assert time.monotonic() - started < 30
    time.sleep(0.1)
    for call in (log.head, log.base, lambda: log.read(0), lambda: log.row(1), lambda: log.wait(News(0), 1), log.tidy, lambda: put(log)):
        assert code_of(call) == "closed"
    log.close()
    log.wake()


def test_a_forked_child_has_connections_of_its_own(log: PostgresLog) -> None:
    put(log)
    log.wait(News(0), 1)

    def work() -> None:
        log.forked()
        assert put(log) == 2
        assert log.wait(News(1), 1) is True
        assert assert_chained(log) == 2
        log.close()

    child = FORK.Process(target=work)
    child.start()
    child.join()
    assert child.exitcode == 0
    assert log.wait(News(1), 5) is True
    assert put(log) == 3
    assert assert_chained(log) == 3


def write_until_it_ends(url: str, told: Any) -> None:
    with closing(PostgresLog(url)) as log:
        while True:
            try:
                told.send(put(log))
            except StoreError as error:
                if error.code not in ("store_unavailable", "commit_unknown"):
                    raise
                time.sleep(0.02)


def test_a_server_that_dies_loses_nothing_that_was_acknowledged(postgres: StoreUrl, postgres_server: LocalPostgres) -> None:
    ours, theirs = SPAWN.Pipe(duplex=False)
    writers = [SPAWN.Process(target=write_until_it_ends, args=(postgres(), theirs)) for _ in range(2)]
    with closing(PostgresLog(postgres())) as log:
        for writer in writers:
            writer.start()
        theirs.close()
        acknowledged = 0
        for _ in range(3):
            for _ in range(50):
                acknowledged = max(acknowledged, ours.recv())
            postgres_server.stop(at_once=True)
            postgres_server.start()
            while ours.poll():
                acknowledged = max(acknowledged, ours.recv())
            assert log.head().revision >= acknowledged
        for writer in writers:
            writer.kill()
            writer.join()
        assert assert_chained(log) == log.head().revision


# --- a server that is not there ---


def test_a_server_that_comes_back_is_found_again(log: PostgresLog, postgres_server: LocalPostgres) -> None:
    put(log)
    assert log.wait(News(0), 1) is True
    threading.Timer(0.1, postgres_server.stop).start()
    assert code_of(log.wait, News(1), 60) == "store_unavailable"
    for call in (log.head, lambda: put(log), lambda: log.wait(News(1), 0.3)):
        assert code_of(call) == "store_unavailable"
    postgres_server.start()
    assert log.head().revision == 1
    assert put(log) == 2
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with suppress(StoreError):
            if log.wait(News(1), 1):
                break
    assert log.wait(News(1), 1) is True


def test_a_connection_that_was_dropped_meanwhile_is_made_anew(log: PostgresLog, admin: psycopg.Connection[Any]) -> None:
    put(log)
    log.head()
    admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'fgacore'")
    assert log.head().revision == 1
    assert put(log) == 2


def test_a_connection_lost_while_committing_is_told(log: PostgresLog, admin: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is asked to commit, and the answer never comes: it may or may not be stored."""
    put(log)
    monkeypatch.setitem(SQL, "commit", "SELECT pg_terminate_backend(pg_backend_pid())")
    with pytest.raises(StoreError, match="request_id") as caught:
        put(log)
    assert caught.value.code == "commit_unknown"
    monkeypatch.undo()
    assert put(log) == 2


def test_a_connection_lost_before_is_no_doubt(log: PostgresLog, admin: psycopg.Connection[Any]) -> None:
    put(log)

    def lose() -> None:
        with log.locked() as head:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'fgacore'")
            log.append(rows_after(head))

    assert code_of(lose) == "store_unavailable"
    assert put(log) == 2


def test_nobody_at_the_address_is_an_error() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        assert code_of(open_log, f"postgresql://user@127.0.0.1:{port}/db") == "store_unavailable"
    assert code_of(open_log, "postgresql://user@/db?host=/nowhere") == "store_unavailable"


# --- rights, versions, names ---


def test_a_role_that_lacks_a_right_is_told(postgres_server: LocalPostgres, admin: psycopg.Connection[Any], log: PostgresLog) -> None:
    put(log)
    admin.execute("CREATE ROLE reader LOGIN")
    url = postgres_server.url(log._store, user="reader")
    try:
        assert code_of(open_log, url) == "store_unavailable"
        admin.execute("GRANT SELECT ON fgacore_store, fgacore_log TO reader")
        with closing(open_log(url, read_only=True)) as reader:
            assert assert_chained(reader) == 1
            assert reader.wait(News(0), 1) is True
        with closing(open_log(url)) as reader:
            assert code_of(put, reader) in ("read_only", "store_unavailable")
        admin.execute("GRANT UPDATE ON fgacore_store TO reader")
        with closing(open_log(url)) as reader:
            assert code_of(put, reader) == "read_only"
        assert code_of(open_log, postgres_server.url("another", user="reader"), read_only=True) == "store_unavailable"
    finally:
        admin.execute("DROP OWNED BY reader")
        admin.execute("DROP ROLE reader")


def test_a_server_that_only_reads_is_read(log: PostgresLog, postgres: StoreUrl) -> None:
    put(log)
    with closing(PostgresLog(postgres(options="-c default_transaction_read_only=on"))) as reader:
        assert reader.wait(News(0), 1) is True
        assert assert_chained(reader) == 1
        assert code_of(put, reader) == "read_only"


def test_a_store_that_is_not_there_is_not_made_for_reading(postgres: StoreUrl, admin: psycopg.Connection[Any], log: PostgresLog) -> None:
    assert code_of(PostgresLog, postgres(store="never"), read_only=True) == "store_unavailable"
    admin.execute("CREATE SCHEMA empty")
    assert code_of(PostgresLog, postgres(options="-c search_path=empty"), read_only=True) == "store_unavailable"


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        (f"UPDATE fgacore_store SET version = {POSTGRES_SCHEMA_VERSION + 1} WHERE store = %s", "unknown_record"),
        ("UPDATE fgacore_store SET version = 0 WHERE store = %s", "corrupt"),
        ("UPDATE fgacore_store SET seed = 'x' WHERE store = %s", "corrupt"),
        ("UPDATE fgacore_store SET hash = 'x' WHERE store = %s", "corrupt"),
        ("UPDATE fgacore_store SET base_hash = 'x' WHERE store = %s", "corrupt"),
        ("UPDATE fgacore_log SET hash = 'x' WHERE store = %s", "corrupt"),
        ("DELETE FROM fgacore_log WHERE store = %s AND revision = 2", "corrupt"),
    ],
)
def test_what_is_no_store_of_ours_is_refused(log: PostgresLog, postgres: StoreUrl, admin: psycopg.Connection[Any], statement: str, code: str) -> None:
    put(log, 3)
    admin.execute(statement, (log._store,))  # type: ignore[arg-type]

    def read() -> None:
        with closing(PostgresLog(postgres())) as again:
            again.head()
            again.base()
            whole(again)

    assert code_of(read) == code


def test_a_store_that_was_removed_beneath_is_corrupt(log: PostgresLog, admin: psycopg.Connection[Any]) -> None:
    admin.execute("DELETE FROM fgacore_store WHERE store = %s", (log._store,))
    assert code_of(log.head) == code_of(log.base) == code_of(put, log) == code_of(log.wait, 0, 1) == "corrupt"


def test_durability_is_never_off(postgres: StoreUrl) -> None:
    with closing(PostgresLog(postgres(options="-c synchronous_commit=off"))) as log:
        put(log)
        assert log._writer is not None
        assert log._writer.execute("SHOW synchronous_commit").fetchone() == ("on",)
        assert log._writer.execute("SHOW idle_in_transaction_session_timeout").fetchone() == ("2min",)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hunter2@h/db?store=",
        "postgresql://u:hunter2@h/db?store=a%00b",
        "postgresql://u:hunter2@h/db?store=" + "x" * 201,
        "postgresql://u:hunter2@h/db?notify=2",
        "postgresql://u:hunter2@h/db?poll=0",
        "postgresql://u:hunter2@h/db?poll=nan",
        "postgresql://u:hunter2@h/db?poll=1e9",
        "postgresql://u:hunter2@h/db?nonsense=1",
        "postgresql://u:hunter2@h/db?password=hunter2&nonsense",
        "postgresql://u:hunter2@[::1/db",
        "postgresql://u:hunter2@h/%zz",
    ],
)
def test_a_wrong_url_is_refused_and_its_password_not_shown(url: str) -> None:
    with pytest.raises(FgaError) as caught:
        open_log(url)
    assert caught.value.code == "invalid_store"
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_password_is_in_no_message_and_no_repr(postgres_server: LocalPostgres) -> None:
    with closing(open_log(postgres_server.url("secrets", password="hunter@2"))) as log:
        assert "hunter" not in log.name + repr(log)
        assert log.name == "postgresql://postgres@/postgres?store=secrets"
    wrong = "postgresql://user:hunter2@127.0.0.1:1/db"
    with pytest.raises(StoreError) as caught:
        open_log(wrong)
    assert "hunter2" not in str(caught.value) + str(caught.value.__cause__)


def test_a_server_of_ones_own_leaves_nothing() -> None:
    with LocalPostgres() as server:
        directory = server._directory
        with closing(PostgresLog(server.url())) as log:
            put(log)
        assert os.path.isdir(directory)
    assert not os.path.exists(directory)
    server.close()


def start_and_be_killed(told: Any) -> None:
    server = LocalPostgres()
    told.send(str(server._directory))
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_server_ends_with_the_process_that_started_it() -> None:
    ours, theirs = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=start_and_be_killed, args=(theirs,))
    process.start()
    directory = ours.recv()
    process.join()
    deadline = time.monotonic() + 20
    while os.path.exists(directory) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not os.path.exists(directory)
