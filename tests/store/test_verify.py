"""Damage is found where it is, and a repair cuts a torn tail and nothing else."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fgacore.errors import FgaError
from fgacore.store.bell import Bell, News
from fgacore.store.log import Head, Log, Row, open_log
from fgacore.store.records import Record, chain, encode
from fgacore.store.sqlite import SqliteLog
from fgacore.store.verify import FAULTS_MAX, VerifyResult, repair_sqlite, verify_log
from store_rows import assert_chained, put, rows_after, whole

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A store of 200 records of some 600 bytes, a snapshot at 150 and one at 200."""
    directory = tmp_path / "authz"
    with closing(SqliteLog(directory)) as log:
        for _ in range(20):
            put(log, 10, payload=b"x" * 500)
        with log.locked():
            log.remember("early", 100, b"digest", 1)
            log.remember("late", 200, b"digest", 1)
    for revision in (150, 200):
        (directory / f"snapshot-{revision}.fga").touch()
    return directory


def verify(directory: Path, head: bytes | None = None) -> VerifyResult:
    with closing(SqliteLog(directory, read_only=True)) as log:
        return verify_log(log, head)


def change(directory: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(directory / "log.sqlite", isolation_level=None)) as connection:
        connection.execute(statement, values)


def rows_of(directory: Path) -> list[Row]:
    with closing(SqliteLog(directory, read_only=True)) as log:
        return whole(log)


def places(result: VerifyResult) -> list[int]:
    return [fault.revision for fault in result.faults]


def code_of(call: Any, *arguments: Any, **named: Any) -> str:
    with pytest.raises(FgaError) as caught:
        call(*arguments, **named)
    assert "\n" not in str(caught.value)
    return caught.value.code


def flip(directory: Path, revision: int, place: int = 300) -> None:
    row = rows_of(directory)[revision - 1]
    data = bytearray(row.data)
    data[place] ^= 1
    change(directory, "UPDATE log SET record = ? WHERE revision = ?", bytes(data), revision)


# --- verify ---


def test_a_log_that_is_whole_is_found_so(directory: Path) -> None:
    rows = rows_of(directory)
    result = verify(directory)
    assert result
    assert (result.records, result.revision, result.hash, result.faults) == (200, 200, rows[-1].hash, ())


def test_an_empty_log_is_whole(tmp_path: Path) -> None:
    with closing(SqliteLog(tmp_path / "new")) as log:
        assert verify_log(log) == VerifyResult(0, 0, log.head().hash, ())


def test_a_flipped_bit_is_found_where_it_is(directory: Path) -> None:
    for revision in (1, 77, 200):
        flip(directory, revision)
    assert places(verify(directory)) == [1, 77, 200]


@pytest.mark.parametrize(
    ("statement", "faults"),
    [
        ("DELETE FROM log WHERE revision = 50", [50]),
        ("DELETE FROM log WHERE revision BETWEEN 50 AND 60", [60]),
        ("UPDATE log SET time = 5 WHERE revision = 9", [9]),
        ("UPDATE log SET hash = zeroblob(32) WHERE revision = 9", [9, 10]),
        ("UPDATE log SET hash = 'text' WHERE revision = 9", [9]),
        ("UPDATE log SET record = zeroblob(40) WHERE revision = 9", [9]),
        ("UPDATE store SET base_hash = zeroblob(32)", [1]),
    ],
)
def test_what_was_changed_is_found_where_it_is(directory: Path, statement: str, faults: list[int]) -> None:
    change(directory, statement)
    result = verify(directory)
    assert places(result) == faults
    assert all(str(fault).startswith(f"revision {fault.revision}: ") for fault in result.faults)


def rewrite(directory: Path, revision: int, changed: dict[str, Any] | None = None) -> None:
    """What a forger does: another record in the place of one, and every hash after it made to fit."""
    with closing(sqlite3.connect(directory / "log.sqlite", isolation_level=None)) as connection:
        rows = connection.execute("SELECT revision, record, hash, time FROM log ORDER BY revision").fetchall()
        (previous,) = connection.execute("SELECT base_hash FROM store").fetchone()
        for number, data, _, time in rows:
            if number == revision:
                data = encode(Record(revision, 1, time, "tuples", False, None, None, "forged")._replace(**(changed or {})))
            previous = chain(previous, data)
            connection.execute("UPDATE log SET record = ?, hash = ? WHERE revision = ?", (data, previous, number))


def test_a_record_that_is_not_where_it_belongs_is_found(directory: Path) -> None:
    changes: list[dict[str, Any]] = [{"revision": 7}, {"generation": 2}, {"time": 7}]
    for changed in changes:
        rewrite(directory, 90, changed)
        assert places(verify(directory)) == [90]


def test_only_a_hash_that_was_written_down_shows_a_forgery(directory: Path) -> None:
    anchor, early = rows_of(directory)[-1].hash, rows_of(directory)[20].hash
    assert verify(directory, anchor)
    rewrite(directory, 90)
    assert verify(directory)
    result = verify(directory, anchor)
    assert places(result) == [0]
    assert "cut, rewritten or compacted" in str(result.faults[0])
    assert verify(directory, early)
    change(directory, "DELETE FROM log WHERE revision > 190")
    assert verify(directory)
    assert places(verify(directory, anchor)) == [0]


def test_pages_that_cannot_be_read_are_a_fault_at_the_first_revision(directory: Path) -> None:
    path = directory / "log.sqlite"
    data = bytearray(path.read_bytes())
    where = data.find(rows_of(directory)[99].hash) // 4096 * 4096
    data[where : where + 4096] = b"\xff" * 4096
    path.write_bytes(data)
    result = verify(directory)
    assert 0 < len(result.faults) < FAULTS_MAX
    assert 90 < result.faults[0].revision <= 100 <= result.faults[-1].revision < 110
    assert all("cannot be read" in fault.why for fault in result.faults)
    os.truncate(path, len(data) * 6 // 10)
    assert code_of(verify, directory) == "corrupt"


def test_what_is_compacted_meanwhile_is_walked_again(directory: Path) -> None:
    class Compacted(SqliteLog):
        """Compacts itself when it is first read."""

        done = False

        def head(self) -> Head:
            head = super().head()
            if not self.done:
                self.done = True
                with self.locked() as head:
                    self.replace(rows_after(head._replace(generation=2), 3), 2)
            return head

    with closing(Compacted(directory)) as log:
        result = verify_log(log)
    assert (result.records, result.revision, result.faults) == (3, 203, ())


def test_a_store_in_postgres_is_verified(postgres: Callable[..., str]) -> None:
    with closing(open_log(postgres())) as log:
        put(log, 50)
        assert verify_log(log, log.head().hash).records == 50
        log._writer.execute("UPDATE fgacore_log SET record = %s WHERE store = %s AND revision = 7", (b"x", log._store))  # type: ignore[attr-defined]
        log._writer.execute("DELETE FROM fgacore_log WHERE store = %s AND revision >= 49", (log._store,))  # type: ignore[attr-defined]
        assert places(verify_log(log)) == [7, 50]


# --- repair ---


def test_a_log_that_is_whole_is_not_changed(directory: Path) -> None:
    before = rows_of(directory)
    result = repair_sqlite(directory)
    assert (result.removed, result.revision, result.backup) == (0, 200, None)
    assert rows_of(directory) == before
    assert (directory / "snapshot-200.fga").exists()


def test_a_torn_tail_is_cut(directory: Path) -> None:
    flip(directory, 199)
    flip(directory, 200)
    before = rows_of(directory)
    result = repair_sqlite(directory)
    assert (result.removed, result.revision, result.backup) == (2, 198, None)
    assert rows_of(directory) == before[:198]
    assert verify(directory)
    assert sorted(path.name for path in directory.glob("snapshot*")) == ["snapshot-150.fga", "snapshot-200.fga.damaged"]
    with closing(SqliteLog(directory)) as log:
        with log.locked():
            assert log.request("early") == (100, b"digest")
            assert log.request("late") is None
        assert put(log) == 199
        assert_chained(log)


@pytest.mark.parametrize("damage", ["flip", "gap", "hash"])
def test_only_a_tail_is_cut(directory: Path, damage: str) -> None:
    if damage == "flip":
        flip(directory, 150)
    elif damage == "gap":
        change(directory, "DELETE FROM log WHERE revision = 150")
    else:
        change(directory, "UPDATE log SET hash = zeroblob(32) WHERE revision = 150")
    with closing(sqlite3.connect(directory / "log.sqlite")) as connection:
        before = list(connection.iterdump())
    with pytest.raises(FgaError, match=r"revision 150 is damaged and revision 15. after it is not") as caught:
        repair_sqlite(directory)
    assert caught.value.code == "corrupt"
    with closing(sqlite3.connect(directory / "log.sqlite")) as connection:
        assert list(connection.iterdump()) == before
    assert (directory / "snapshot-200.fga").exists()


def test_a_record_of_a_newer_fgacore_is_never_cut(directory: Path) -> None:
    with closing(SqliteLog(directory)) as log, log.locked() as head:
        data = b"\x91\x02"  # version 2, whatever it is
        log.append([Row(201, data, chain(head.hash, data), head.time)])
    assert places(verify(directory)) == [201]
    assert code_of(repair_sqlite, directory) == "unknown_record"
    flip(directory, 200)
    assert code_of(repair_sqlite, directory) == "corrupt"
    assert len(rows_of(directory)) == 201


def test_a_file_that_was_cut_is_exchanged_for_what_is_good(directory: Path) -> None:
    path = directory / "log.sqlite"
    before, store_id = rows_of(directory), SqliteLog(directory)
    store_id.close()
    os.truncate(path, path.stat().st_size * 7 // 10 // 4096 * 4096)
    damaged = path.read_bytes()
    result = repair_sqlite(directory)
    assert result.backup == directory / "log.sqlite.damaged-1"
    assert result.backup.read_bytes() == damaged
    assert 0 < result.revision < 200
    assert rows_of(directory) == before[: result.revision]
    assert verify(directory)
    assert path.stat().st_mode & 0o777 == 0o600
    with closing(SqliteLog(directory)) as log:
        assert (log.store_id, log.seed) == (store_id.store_id, store_id.seed)
        assert put(log) == result.revision + 1
    assert not (directory / "snapshot-200.fga").exists()
    os.truncate(path, path.stat().st_size - 4096 * 3)
    assert repair_sqlite(directory).backup == directory / "log.sqlite.damaged-2"


def test_a_page_in_the_middle_is_no_tail(directory: Path) -> None:
    path = directory / "log.sqlite"
    data = bytearray(path.read_bytes())
    where = data.find(rows_of(directory)[100].hash) // 4096 * 4096
    data[where : where + 4096] = b"\xff" * 4096
    path.write_bytes(data)
    assert code_of(repair_sqlite, directory) == "corrupt"
    assert path.read_bytes() == data
    assert not list(directory.glob("*.damaged*"))


def test_a_file_that_is_none_is_not_repaired(directory: Path, tmp_path: Path) -> None:
    assert code_of(repair_sqlite, tmp_path / "absent") == "invalid_store"
    (directory / "log.sqlite").write_bytes(b"no database at all, of more bytes than its header has" * 10)
    assert code_of(repair_sqlite, directory) == "corrupt"
    other = tmp_path / "other"
    other.mkdir()
    change(other, "CREATE TABLE mine (x)")
    assert code_of(repair_sqlite, other) == "invalid_store"


def hold_open(directory: str, opened: Any, done: Any) -> None:
    with closing(SqliteLog(Path(directory))) as log:
        log.head()
        opened.set()
        done.wait()


def test_a_store_that_is_open_is_not_repaired(directory: Path) -> None:
    flip(directory, 200)
    with closing(SqliteLog(directory)):
        assert code_of(repair_sqlite, directory) == "store_unavailable"
    opened, done = SPAWN.Event(), SPAWN.Event()
    process = SPAWN.Process(target=hold_open, args=(str(directory), opened, done))
    process.start()
    opened.wait()
    assert code_of(repair_sqlite, directory) == "store_unavailable"
    done.set()
    process.join()
    assert repair_sqlite(directory).revision == 199


def test_after_a_repair_the_bell_claims_nothing(directory: Path) -> None:
    assert Bell(directory / "bell", False).revision == 200
    flip(directory, 200)
    repair_sqlite(directory)
    with closing(SqliteLog(directory)) as log:
        assert log.wait(News(199), 0.01) is False


def test_the_walk_needs_no_more_than_the_contract() -> None:
    assert {"base", "head", "scan"} <= set(dir(Log))
