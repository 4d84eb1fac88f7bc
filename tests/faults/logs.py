"""The files of a store, seen from outside: the chain recomputed from the documented bytes, damage done to a place, and what the command says."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import fgacore
from fgacore import StoreError
from fgacore.cli import main

__all__ = ["chain_is_whole", "command", "contents", "database", "flip", "flip_in_record", "hold", "refusal", "snapshots", "without_snapshots"]


def command(*arguments: object) -> Result:
    """Run `fgacore` with these words."""
    return CliRunner().invoke(main, [str(word) for word in arguments], catch_exceptions=False)


@contextmanager
def database(path: Path) -> Iterator[sqlite3.Connection]:
    """The log's database, as any tool opens it; what was done is in the file itself and not in the WAL when the block ends."""
    with closing(sqlite3.connect(path / "log.sqlite", isolation_level=None, timeout=20)) as connection:
        yield connection
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def chain_is_whole(path: Path) -> int:
    """Every hash is SHA-256 over the hash before it and the record, revisions follow each other, time does not fall; the newest revision."""
    with database(path) as connection:
        revision, previous = connection.execute("SELECT base_revision, base_hash FROM store").fetchone()
        before = 0
        for found, time, digest, record in connection.execute("SELECT revision, time, hash, record FROM log ORDER BY revision"):
            assert found == revision + 1, f"revision {found} follows {revision}"
            assert digest == hashlib.sha256(previous + record).digest(), f"the chain breaks at revision {found}"
            assert time >= before, f"time goes back at revision {found}"
            revision, previous, before = found, digest, time
    verified = command("verify", path)
    assert verified.exit_code == 0, verified.output
    return int(revision)


def flip_in_record(path: Path, revision: int, *, position: int = -1) -> None:
    """Flip one bit of one record of the log."""
    with database(path) as connection:
        ((record,),) = connection.execute("SELECT record FROM log WHERE revision = ?", (revision,)).fetchall()
        damaged = bytearray(record)
        damaged[position] ^= 0x10
        connection.execute("UPDATE log SET record = ? WHERE revision = ?", (bytes(damaged), revision))


def flip(path: Path, position: int, bit: int = 0) -> None:
    """Flip one bit of a file, in a copy that takes its place: what others have mapped stays as it is."""
    data = bytearray(path.read_bytes())
    data[position] ^= 1 << bit
    copy = path.with_name(path.name + ".copy")
    copy.write_bytes(data)
    os.replace(copy, path)


def snapshots(path: Path) -> list[Path]:
    """The snapshots in a store's directory, newest first."""
    return sorted(path.glob("snapshot-*.fga"), key=lambda found: int(found.stem.partition("-")[2]), reverse=True)


def contents(path: Path) -> bytes:
    """The bytes of every file in the directory."""
    return b"\0".join(found.read_bytes() for found in sorted(path.rglob("*")) if found.is_file())


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Hold the log's write lock, as a writer that stands still in its middle does."""
    with closing(sqlite3.connect(path / "log.sqlite", isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def without_snapshots(path: Path) -> None:
    """Remove the snapshots: the log alone is the store."""
    for found in snapshots(path):
        found.unlink()


def refusal(path: Path, **options: object) -> StoreError:
    """The error with which the store does not open."""
    with pytest.raises(StoreError) as caught:
        fgacore.open(path, **options).close()  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return caught.value
