"""`fgacore snapshot`, `compact`, `verify` and `repair`: what they do to a store, and what they find wrong with one."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import fgacore
from cli_stores import invoke, store_in, stored

TUPLES = [("user:anne", "viewer", "doc:1"), ("user:bob", "member", "team:x")]


def damage_record(store: Path, revision: int) -> None:
    """Flip a bit in the middle of a record."""
    with closing(sqlite3.connect(store / "log.sqlite", isolation_level=None)) as connection:
        (data,) = connection.execute("SELECT record FROM log WHERE revision = ?", (revision,)).fetchone()
        at = len(data) // 2
        connection.execute("UPDATE log SET record = ? WHERE revision = ?", (data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :], revision))


def test_a_snapshot_is_written_by_hand(tmp_path: Path) -> None:
    store = store_in(tmp_path, *TUPLES)
    for path in store.glob("snapshot-*.fga"):
        path.unlink()
    assert invoke("snapshot", "--store", store).output == "snapshot of revision 2\n"
    assert (store / "snapshot-2.fga").exists()
    assert json.loads(invoke("snapshot", "--json", "--store", store).output) == {"revision": 2}


def test_compact_drops_history_only_when_told_so(tmp_path: Path) -> None:
    store = store_in(tmp_path, *TUPLES)
    invoke("write", *TUPLES[0], "--delete", "--store", store)
    result = invoke("compact", "--store", store)
    assert (result.exit_code, result.output) == (2, "Error: compact drops the history for good: say --yes\n")
    result = invoke("compact", "--yes", "--store", store, "--json", "--reason", "erased: anne")
    assert result.exit_code == 0, result.output
    told = json.loads(result.output)
    assert told["generation"] == 2
    assert stored(store) == {"user:bob member team:x"}
    assert all(b"user:anne" not in path.read_bytes() for path in store.iterdir() if path.is_file())
    assert invoke("compact", "--yes", "--store", store).output.startswith("generation 3, from revision ")


def test_a_whole_store_is_verified(tmp_path: Path) -> None:
    store = store_in(tmp_path, *TUPLES)
    result = invoke("verify", store)
    assert result.exit_code == 0
    counts, head = result.output.splitlines()
    assert counts == "2 records, 1 snapshots, no faults; revision 2"
    anchor = head.removeprefix("head ")
    invoke("write", "user:eve", "viewer", "doc:1", "--store", store)
    assert invoke("verify", store, "--head", anchor).exit_code == 0
    told = json.loads(invoke("verify", "--store", store, "--json").output)
    assert (told["records"], told["revision"], told["faults"]) == (3, 3, [])


def test_a_hash_that_is_not_in_the_chain_is_a_fault(tmp_path: Path) -> None:
    store = store_in(tmp_path, *TUPLES)
    result = invoke("verify", store, "--head", "ab" * 32)
    assert result.exit_code == 1
    assert "the hash given is in no record" in result.stderr
    for wrong in ("ab", "x" * 64, ""):
        assert invoke("verify", store, "--head", wrong).exit_code == 2


def test_damage_is_told_with_its_place(tmp_path: Path) -> None:
    store = store_in(tmp_path, *TUPLES)
    damage_record(store, 1)
    with (store / "snapshot-2.fga").open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)[0]
        file.seek(-1, 2)
        file.write(bytes([last ^ 1]))
    result = invoke("verify", store)
    assert result.exit_code == 1
    assert result.stderr.startswith("revision 1: ")
    assert "snapshot-2.fga" in result.stderr
    assert result.stdout.startswith("2 records, 1 snapshots, 2 faults; revision 2\n")
    assert len(json.loads(invoke("verify", store, "--json").output)["faults"]) == 2


def test_a_torn_tail_is_cut_and_only_a_tail(tmp_path: Path) -> None:
    store = store_in(tmp_path, *TUPLES)
    assert invoke("repair", store).output == "nothing to repair; revision 2\n"
    damage_record(store, 2)
    assert invoke("verify", store).exit_code == 1
    assert invoke("repair", store).output == "1 records cut; revision 1\n"
    assert invoke("verify", store).exit_code == 0
    with fgacore.open(store) as engine:
        assert engine.revision == 1
        engine.write(TUPLES)
    damage_record(store, 1)
    result = invoke("repair", store)
    assert (result.exit_code, "(corrupt)" in result.output) == (2, True)
    assert json.loads(invoke("repair", store_in(tmp_path / "other"), "--json").output) == {"removed": 0, "revision": 1, "backup": None}


def test_a_file_that_cannot_be_read_in_whole_is_kept_beside(tmp_path: Path) -> None:
    store = store_in(tmp_path, *TUPLES)
    with fgacore.open(store) as engine:
        for number in range(200):
            engine.write([("user:anne", "viewer", f"doc:{number}-{'x' * 200}")])
    path = store / "log.sqlite"
    os.truncate(path, path.stat().st_size * 7 // 10 // 4096 * 4096)
    result = invoke("repair", store)
    assert result.exit_code == 0, result.output
    assert result.output.endswith(f"; the damaged file is kept as {store}/log.sqlite.damaged-1\n")
    assert invoke("verify", store).exit_code == 0


def test_repair_is_for_a_directory() -> None:
    result = invoke("repair", "postgresql://nobody@nowhere/db")
    assert result.exit_code == 2
    assert result.output.startswith("Error: repair is for a store in a directory")
    assert result.output.count("\n") == 1


@pytest.mark.parametrize("verb", ["verify", "repair"])
def test_a_directory_without_a_store_is_told(verb: str, tmp_path: Path) -> None:
    result = invoke(verb, tmp_path)
    assert result.exit_code == 2
    assert result.output.startswith(f"Error: there is no store in {tmp_path}")
    assert list(tmp_path.iterdir()) == []
