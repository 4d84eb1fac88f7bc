"""A damaged, cut or foreign log: it is found, said with its place, and nothing is answered from it.

The log is what cannot be made again, so a bad record stops the open, unless a snapshot has everything up to it. What is torn at its end, and only
that, can be cut off on request by `fgacore repair`.
"""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgpack
import pytest

import fgacore
from faults import tasks
from faults.logs import chain_is_whole, command, database, flip, flip_in_record, refusal, snapshots, without_snapshots
from faults.peer import Peer, code_of, until
from faults.world import STEPS, Story, answers, write_next
from fgacore import StoreError


@pytest.mark.parametrize("position", [0, 1, 5, -1])
@pytest.mark.parametrize("revision", [1, 2, 15, STEPS + 1])
def test_a_flipped_bit_in_a_log_record_stops_the_open_and_says_where(revision: int, position: int, told: tuple[Path, Story]) -> None:
    path, _ = told
    without_snapshots(path)
    flip_in_record(path, revision, position=position)
    for options in ({}, {"read_only": True}, {"verify": True}):
        error = refusal(path, **options)
        assert error.code == "corrupt", error
        assert re.search(rf"\b{revision}\b", str(error)), error
    found = command("verify", path)
    assert found.exit_code != 0
    assert re.search(rf"\b{revision}\b", found.output), found.output


def test_a_flipped_bit_in_a_hash_of_the_log_stops_the_open(told: tuple[Path, Story]) -> None:
    path, _ = told
    without_snapshots(path)
    with database(path) as connection:
        ((digest,),) = connection.execute("SELECT hash FROM log WHERE revision = 12").fetchall()
        connection.execute("UPDATE log SET hash = ? WHERE revision = 12", (bytes([digest[0] ^ 1]) + digest[1:],))
    error = refusal(path)
    assert error.code == "corrupt"
    assert re.search(r"\b1[23]\b", str(error)), error


def test_a_missing_record_stops_the_open_and_says_where(told: tuple[Path, Story]) -> None:
    path, _ = told
    without_snapshots(path)
    with database(path) as connection:
        connection.execute("DELETE FROM log WHERE revision = 12")
    error = refusal(path)
    assert error.code == "corrupt"
    assert re.search(r"\b1[123]\b", str(error)), error


def test_two_records_that_changed_places_stop_the_open(told: tuple[Path, Story]) -> None:
    path, _ = told
    without_snapshots(path)
    with database(path) as connection:
        first, second = (connection.execute("SELECT record, hash FROM log WHERE revision = ?", (revision,)).fetchone() for revision in (9, 10))
        connection.execute("UPDATE log SET record = ?, hash = ? WHERE revision = 9", second)
        connection.execute("UPDATE log SET record = ?, hash = ? WHERE revision = 10", first)
    assert refusal(path).code == "corrupt"
    assert command("verify", path).exit_code != 0


def test_verify_finds_damage_that_a_snapshot_hides_from_the_open(told: tuple[Path, Story]) -> None:
    """Opening reads only what is newer than the snapshot; `verify` reads everything, and `at` of a damaged moment is refused."""
    path, story = told
    flip_in_record(path, 12)
    with fgacore.open(path) as engine:
        answers(engine, story.state)
        assert code_of(lambda: engine.at(20).read()) == "corrupt"
    found = command("verify", path)
    assert found.exit_code != 0
    assert re.search(r"\b12\b", found.output), found.output


def test_verify_with_a_head_finds_a_log_that_was_cut_or_rewritten(told: tuple[Path, Story]) -> None:
    """A log cut at a record is whole in itself; only a head that was written down elsewhere shows that it was longer."""
    path, _ = told
    with database(path) as connection:
        heads = {revision: digest.hex() for revision, digest in connection.execute("SELECT revision, hash FROM log").fetchall()}
    assert command("verify", path, "--head", heads[STEPS + 1]).exit_code == 0
    assert command("verify", path, "--head", heads[5]).exit_code == 0
    without_snapshots(path)
    with database(path) as connection:
        connection.execute("DELETE FROM log WHERE revision > 20")
    assert command("verify", path).exit_code == 0
    assert command("verify", path, "--head", heads[20]).exit_code == 0
    assert command("verify", path, "--head", heads[STEPS + 1]).exit_code != 0
    assert command("verify", path, "--head", "00" * 32).exit_code != 0


def test_a_torn_tail_stops_the_open_and_repair_cuts_it(told: tuple[Path, Story]) -> None:
    path, _ = told
    without_snapshots(path)
    with database(path) as connection:
        connection.execute("UPDATE log SET record = substr(record, 1, length(record) / 2) WHERE revision = ?", (STEPS + 1,))
    assert refusal(path).code == "corrupt"
    assert refusal(path).code == "corrupt", "looking at it has changed it"
    repaired = command("repair", path)
    assert repaired.exit_code == 0, repaired.output
    with fgacore.open(path) as engine:
        assert engine.revision == STEPS
        story = Story("damage").go(STEPS - 1)
        answers(engine, story.state)
        write_next(engine, story)
        answers(engine, story.state)
    chain_is_whole(path)


def test_a_snapshot_of_what_repair_has_cut_off_is_not_used(told: tuple[Path, Story]) -> None:
    """The snapshot has the write whose record is gone: it must not bring it back, least of all beside another record of that revision."""
    path, _ = told
    with database(path) as connection:
        connection.execute("UPDATE log SET record = substr(record, 1, length(record) / 2) WHERE revision = ?", (STEPS + 1,))
    assert command("repair", path).exit_code == 0
    with fgacore.open(path) as engine:
        story = Story("damage").go(STEPS - 1)
        assert engine.revision == STEPS
        answers(engine, story.state)
        engine.write([("user:other", "reader", "doc:other")])
        assert engine.revision == STEPS + 1
    with fgacore.open(path) as engine:
        assert engine.check("user:other", "reader", "doc:other", context={}) is True
        assert story.told(engine) == STEPS - 1
    chain_is_whole(path)


def test_repair_cuts_only_a_tail(told: tuple[Path, Story]) -> None:
    """A bad record with good ones after it is damage and no torn end: nothing is cut, nothing changes."""
    path, _ = told
    flip_in_record(path, 12)
    with database(path) as connection:
        before = connection.execute("SELECT * FROM log ORDER BY revision").fetchall()
    refused = command("repair", path)
    assert refused.exit_code != 0
    assert re.search(r"\b12\b", refused.output), refused.output
    with database(path) as connection:
        assert connection.execute("SELECT * FROM log ORDER BY revision").fetchall() == before


def test_repair_of_a_whole_store_changes_nothing(told: tuple[Path, Story]) -> None:
    path, story = told
    before = chain_is_whole(path)
    assert command("repair", path).exit_code == 0
    assert chain_is_whole(path) == before
    with fgacore.open(path) as engine:
        answers(engine, story.state)


@pytest.mark.parametrize("part", [0.0, 0.001, 0.3, 0.6, 0.95])
def test_a_short_database_stops_the_open_or_loses_nothing(part: float, told: tuple[Path, Story]) -> None:
    """Cut anywhere, the file is never taken for a store that has less in it; cut to nothing, it is not taken for a new one beside its snapshots."""
    path, story = told
    with database(path):
        pass
    size = (path / "log.sqlite").stat().st_size
    os.truncate(path / "log.sqlite", int(size * part))
    for found in path.glob("log.sqlite-*"):
        found.unlink()
    assert command("verify", path).exit_code != 0
    try:
        engine = fgacore.open(path, read_only=True)
    except StoreError as error:
        if error.code not in ("corrupt", "store_unavailable"):
            raise
        assert refusal(path).code in ("corrupt", "store_unavailable")
    else:  # the end that is missing was not needed: a snapshot has it
        with engine:
            assert part > 0.9
            answers(engine, story.state)


def test_repair_of_a_short_database_keeps_the_damaged_one(told: tuple[Path, Story]) -> None:
    path, _ = told
    without_snapshots(path)
    with database(path) as connection:
        for _ in range(8):
            connection.execute("UPDATE log SET record = record")
        connection.execute("VACUUM")
    size = (path / "log.sqlite").stat().st_size
    os.truncate(path / "log.sqlite", size // 2)
    for found in path.glob("log.sqlite-*"):
        found.unlink()
    repaired = command("repair", path)
    if repaired.exit_code == 0:  # what can be read is a store again, of an earlier revision
        with fgacore.open(path) as engine:
            assert engine.revision <= STEPS + 1
            if engine.revision > 1:
                answers(engine, Story("damage").go(engine.revision - 1).state)
        chain_is_whole(path)
        assert list(path.glob("log.sqlite.damaged*"))
    else:
        assert (path / "log.sqlite").stat().st_size == size // 2, "it could not be repaired, and was changed"


@pytest.mark.parametrize("position", [0, 16, 24, 100, 3_000, 5_000, 9_000, 13_000])
def test_a_flipped_bit_anywhere_in_the_database_is_never_an_answer(position: int, told: tuple[Path, Story]) -> None:
    """Whatever page it is in: the store does not open, or nothing that counts was hit and everything is as it was."""
    path, story = told
    without_snapshots(path)
    with database(path):
        pass
    flip(path / "log.sqlite", position, 3)
    for found in path.glob("log.sqlite-*"):
        found.unlink()
    try:
        engine = fgacore.open(path, read_only=True)
    except StoreError as error:
        if error.code not in ("corrupt", "unknown_record", "store_unavailable"):
            raise
        return
    with engine:
        assert engine.revision == STEPS + 1
        answers(engine, story.state)


@pytest.mark.parametrize("what", ["text", "database", "folder"])
def test_what_is_no_store_is_refused_and_left_alone(what: str, tmp_path: Path) -> None:
    path = tmp_path / "other"
    path.mkdir()
    log = path / "log.sqlite"
    if what == "text":
        log.write_text("this is no database, however long it is read\n" * 200)
    elif what == "database":
        with closing(sqlite3.connect(log)) as connection:
            connection.execute("CREATE TABLE log (mine TEXT)")
            connection.execute("INSERT INTO log VALUES ('precious')")
            connection.commit()
    else:
        log.mkdir()
    before = log.read_bytes() if log.is_file() else b""
    with pytest.raises(fgacore.FgaError) as caught:
        fgacore.open(path).close()
    assert caught.value.code in ("corrupt", "invalid_store", "store_unavailable"), caught.value
    assert (log.read_bytes() if log.is_file() else b"") == before


def test_a_lost_log_beside_its_snapshots_is_no_new_store(told: tuple[Path, Story]) -> None:
    """The log was removed, the snapshots are there: to begin anew would throw away every grant and every revocation, without a word."""
    path, _ = told
    for found in path.glob("log.sqlite*"):
        found.unlink()
    assert refusal(path).code in ("corrupt", "store_unavailable")
    assert snapshots(path)


@pytest.mark.parametrize("size", [0, 8, 64, 5_000])
def test_any_bytes_of_the_bell_are_harmless(size: int, told: tuple[Path, Story], peer: Callable[[], Peer]) -> None:
    path, story = told
    bell = path / "bell"
    bell.write_bytes(os.urandom(size))
    other = peer()
    with fgacore.open(path) as engine:
        answers(engine, story.state)
        other.run(tasks.open, os.fspath(path))
        revision = other.call("write", [("user:b", "reader", "doc:rung")])
        assert engine.wait_for(revision, timeout=5) == revision
        bell.unlink()
        revision = other.call("write", [("user:b", "barred", "doc:rung")])
        assert engine.wait_for(revision, timeout=5) == revision


# What a newer fgacore has written


def rewritten(path: Path, revision: int, change: Callable[[list[object]], None]) -> None:
    """One record with another content, the chain made anew from there on: as a newer, or a hostile, writer would leave it."""
    with database(path) as connection:
        rows = connection.execute("SELECT revision, record FROM log WHERE revision >= ? ORDER BY revision", (revision,)).fetchall()
        ((previous,),) = connection.execute(
            "SELECT hash FROM log WHERE revision = ?1 UNION ALL SELECT base_hash FROM store WHERE base_revision = ?1", (revision - 1,)
        ).fetchall()
        for found, record in rows:
            if found == revision:
                fields = msgpack.unpackb(record, strict_map_key=False)
                change(fields)
                record = msgpack.packb(fields)
            previous = hashlib.sha256(previous + record).digest()
            connection.execute("UPDATE log SET record = ?, hash = ? WHERE revision = ?", (record, previous, found))


def set_version(fields: list[object]) -> None:
    fields[0] = 2


def set_kind(fields: list[object]) -> None:
    fields[4] = 77


@pytest.mark.parametrize("change", [set_version, set_kind])
def test_a_record_of_the_future_stops_the_open(change: Callable[[list[object]], None], told: tuple[Path, Story]) -> None:
    path, _ = told
    without_snapshots(path)
    rewritten(path, 12, change)
    error = refusal(path)
    assert error.code == "unknown_record", error
    assert re.search(r"\b12\b", str(error)), error


@pytest.mark.parametrize(("kind", "code"), [(6, "unknown_record"), (7, "unknown_record"), (8, "unknown_record"), (9, "unknown_record"),
                                            (3, "corrupt"), (4, "corrupt"), (5, "corrupt"), (10, "corrupt")])  # fmt: skip
def test_a_record_of_a_reserved_kind_stops_the_open_too(kind: int, code: str, told: tuple[Path, Story]) -> None:
    """Approvals, invariants and the like are not implemented here: to skip one could be an allow. And what is a delegation, suspension, boundary or
    setting by its kind alone is damaged.
    """
    path, _ = told
    without_snapshots(path)

    def set_reserved(fields: list[object]) -> None:
        fields[4] = kind

    rewritten(path, 12, set_reserved)
    assert refusal(path).code == code


@pytest.mark.parametrize("change", [set_version, set_kind])
def test_a_record_of_the_future_stops_a_process_that_follows(change: Callable[[list[object]], None], told: tuple[Path, Story]) -> None:
    """It is appended by another while this one runs: from there on this one answers nothing, and says why."""
    path, _ = told
    with fgacore.open(path) as engine:
        assert isinstance(engine.check("user:a", "reader", "doc:1", context={"x": 5}), bool)
        with database(path) as connection:
            revision, time, digest, record = connection.execute(
                "SELECT revision, time, hash, record FROM log ORDER BY revision DESC LIMIT 1"
            ).fetchone()
            fields = msgpack.unpackb(record, strict_map_key=False)
            fields[2] = revision + 1
            change(fields)
            record = msgpack.packb(fields)
            connection.execute(
                "INSERT INTO log (revision, time, hash, record) VALUES (?, ?, ?, ?)",
                (revision + 1, time, hashlib.sha256(digest + record).digest(), record),
            )
        assert until(lambda: code_of(lambda: engine.check("user:a", "reader", "doc:1", context={"x": 5})) == "unknown_record")
        assert code_of(lambda: engine.write([("user:z", "reader", "doc:1")])) == "unknown_record"
        assert code_of(lambda: list(engine.list_objects("user:a", "reader", "doc", context={"x": 5}))) == "unknown_record"


def test_a_database_of_the_future_is_refused(told: tuple[Path, Story]) -> None:
    path, _ = told
    with database(path) as connection:
        ((version,),) = connection.execute("PRAGMA user_version").fetchall()
        connection.execute(f"PRAGMA user_version = {version + 1}")
    for options in ({}, {"read_only": True}):
        assert refusal(path, **options).code == "unknown_record"
