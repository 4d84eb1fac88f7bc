"""Snapshots: whole or not there, whatever happens while one is written; and no bit of one changes without being found."""

from __future__ import annotations

import hashlib
import logging
import os
import resource
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgpack
import pytest

import fgacore
from fgacore.errors import StoreError
from fgacore.formats import SNAPSHOT_ALIGNMENT, SNAPSHOT_HEADER_BYTES, SNAPSHOT_MAGIC, SNAPSHOT_SECTIONS, SNAPSHOT_VERSION
from fgacore.kernel.image import image_open, image_write
from fgacore.store.snapshot import Snapshot, find_snapshots, open_snapshot, prune, set_aside, write_snapshot

NOBODY = 65_534
SECTIONS = {name: bytes((7 * i + number) % 256 for i in range(20 + 23 * number)) for number, name in enumerate(SNAPSHOT_SECTIONS)}
META: dict[str, Any] = {"revision": 12, "store": b"\x00\xff" * 8, "models": [["01ARZ", "model\n  schema 1.1\n"]], "hash": bytes(32)}


def written(directory: Path, revision: int = 12, sections: dict[str, bytes] = SECTIONS) -> Path:
    return write_snapshot(directory, meta={**META, "revision": revision}, sections=iter(sections.items()))


def code_of(path: Path) -> str:
    """The code of the error that opening a snapshot, or else verifying it, raises."""
    with pytest.raises(StoreError) as caught:
        open_snapshot(path).verify()
    assert path.name in caught.value.message
    return caught.value.code


def rows_of(path: Path) -> dict[str, tuple[int, int]]:
    """Where each part of a snapshot lies, (offset, size), by the bytes alone."""
    data = path.read_bytes()
    at, size = struct.unpack_from("<QQ", data, 24)
    sections = {name: (offset, length) for name, offset, length, _ in msgpack.unpackb(data[at:])}
    return {"header": (0, SNAPSHOT_HEADER_BYTES), "table": (at, size), **sections}


def crafted(path: Path, rows: Any, sections: bytes = b"", version: int = SNAPSHOT_VERSION) -> Path:
    """A snapshot whose hashes are right, whatever its table says."""
    table = rows if isinstance(rows, bytes) else msgpack.packb(rows)
    at = SNAPSHOT_HEADER_BYTES + len(sections)
    header = struct.pack("<8sIIQQQ56x", SNAPSHOT_MAGIC, version, 0, at + len(table), at, len(table))
    path.write_bytes(header + hashlib.sha256(header + table).digest() + sections + table)
    return path


# ---- what is written is what is read ----


def test_a_snapshot_is_what_was_written(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert path == tmp_path / "snapshot-12.fga"
    assert os.listdir(tmp_path) == [path.name]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    snapshot = open_snapshot(path)
    assert (snapshot.path, snapshot.meta, snapshot.size) == (path, META, path.stat().st_size)
    assert {name: bytes(section) for name, section in snapshot.sections.items()} == SECTIONS
    assert all(section.readonly for section in snapshot.sections.values())
    assert snapshot.verify() is True
    assert {at % SNAPSHOT_ALIGNMENT for at, _ in rows_of(path).values()} == {0}


def test_sections_may_come_in_pieces_and_be_empty_or_large(tmp_path: Path) -> None:
    large = os.urandom(5 << 20)
    pieces = [
        (name, piece) for name in SNAPSHOT_SECTIONS for piece in ([memoryview(large)[: 3 << 20], b"", large[3 << 20 :]] if name == "sets" else [b""])
    ]
    snapshot = open_snapshot(write_snapshot(tmp_path, meta=META, sections=pieces))
    assert {name: len(section) for name, section in snapshot.sections.items()} == {**dict.fromkeys(SNAPSHOT_SECTIONS, 0), "sets": len(large)}
    assert snapshot.sections["sets"] == large
    assert snapshot.verify()


def test_the_image_of_a_store_is_read_where_the_file_is_mapped(tmp_path: Path) -> None:
    with fgacore.open(":memory:") as engine:
        engine.write_model("model\n  schema 1.1\ntype user\ntype doc\n  relations\n    define viewer: [user]\n")
        engine.write(sorted({(f"user:{i % 700}", "viewer", f"doc:{i % 90}") for i in range(5_000)}))
        version = engine._state.newest
    path = write_snapshot(tmp_path, meta={"revision": version.revision}, sections=image_write(version))
    snapshot = open_snapshot(path)
    names, mapped = image_open(snapshot.sections, bytes(32), 1, bytes(16), snapshot, 1, version.revision)
    path.unlink()
    del snapshot
    for reverse in (False, True):
        assert mapped.keys(0, reverse) == version.keys(0, reverse)
        assert [mapped.members(0, id, reverse) for id in mapped.keys(0, reverse)] == [
            version.members(0, id, reverse) for id in mapped.keys(0, reverse)
        ]
    assert [names.text(0, id) for id in range(700)] == [version.names.text(0, id) for id in range(700)]


def test_a_mapping_outlives_its_snapshot_and_its_file(tmp_path: Path) -> None:
    path = written(tmp_path)
    section = open_snapshot(path).sections["sets"]
    path.unlink()
    assert section == SECTIONS["sets"]


def test_another_snapshot_of_a_revision_takes_the_place_of_the_first_and_leaves_its_readers_alone(tmp_path: Path) -> None:
    first = open_snapshot(written(tmp_path))
    others = {**SECTIONS, "sets": b"others"}
    second = open_snapshot(written(tmp_path, sections=others))
    assert (bytes(first.sections["sets"]), bytes(second.sections["sets"])) == (SECTIONS["sets"], b"others")
    assert first.verify()
    assert second.verify()
    assert len(find_snapshots(tmp_path)) == 1


def test_verifying_stops_when_it_is_told_to(tmp_path: Path) -> None:
    asked: list[int] = []
    snapshot = open_snapshot(written(tmp_path, sections={**SECTIONS, "sets": bytes(8 << 20)}))
    assert snapshot.verify(lambda: asked.append(0) is None and len(asked) > 3) is False
    assert len(asked) == 4
    assert snapshot.verify(lambda: False) is True


# ---- damage ----


@pytest.mark.parametrize("part", ["header", "table", "meta", *SNAPSHOT_SECTIONS])
def test_a_flipped_bit_in_any_part_is_found(part: str, tmp_path: Path) -> None:
    path = written(tmp_path)
    good = path.read_bytes()
    at, size = rows_of(path)[part]
    for place in range(at, at + size):
        for bit in (0, 7) if size < 300 else (place % 8,):
            path.write_bytes(good[:place] + bytes([good[place] ^ 1 << bit]) + good[place + 1 :])
            if part in SNAPSHOT_SECTIONS:
                snapshot = open_snapshot(path)  # the sections are verified behind
                with pytest.raises(StoreError, match=rf"damaged: its section {part} ") as caught:
                    snapshot.verify()
                assert caught.value.code == "corrupt"
            else:
                with pytest.raises(StoreError) as caught:
                    open_snapshot(path)
                newer = 8 <= place < 12 and int.from_bytes(path.read_bytes()[8:12], "little") > SNAPSHOT_VERSION
                assert caught.value.code == ("unknown_record" if newer else "corrupt")


def test_a_short_file_is_found_whatever_is_missing(tmp_path: Path) -> None:
    path = written(tmp_path)
    good = path.read_bytes()
    for size in range(len(good)):
        path.write_bytes(good[:size])
        assert code_of(path) == "corrupt"
    path.write_bytes(good + b"\0")
    assert code_of(path) == "corrupt"


def test_a_file_that_is_no_snapshot_is_no_snapshot(tmp_path: Path) -> None:
    path = tmp_path / "snapshot-1.fga"
    for data in (b"", b"\0" * 4_096, b"SQLite format 3\0" * 64, SNAPSHOT_MAGIC * 64):
        path.write_bytes(data)
        assert code_of(path) == ("unknown_record" if data.startswith(SNAPSHOT_MAGIC) else "corrupt")


def test_a_snapshot_of_a_newer_version_is_unknown(tmp_path: Path) -> None:
    path = crafted(tmp_path / "snapshot-1.fga", ["whatever a newer version has"], version=SNAPSHOT_VERSION + 1)
    assert code_of(path) == "unknown_record"
    assert code_of(crafted(path, [], version=0)) == "corrupt"


def test_a_snapshot_that_cannot_be_read_is_unavailable(tmp_path: Path) -> None:
    assert code_of(tmp_path / "snapshot-1.fga") == "store_unavailable"
    (tmp_path / "snapshot-2.fga").mkdir()
    assert code_of(tmp_path / "snapshot-2.fga") == "store_unavailable"


def good_rows(meta: bytes, sections: bytes) -> list[list[Any]]:
    """A table over an area that begins with `meta`; every other section is its second block of 64 bytes, or empty behind it."""
    area = meta.ljust(64, b"\0") + sections
    begin = SNAPSHOT_HEADER_BYTES
    rows: list[list[Any]] = [["meta", begin, len(meta), hashlib.sha256(meta).digest()]]
    for number, name in enumerate(SNAPSHOT_SECTIONS):
        size = len(area) - 64 if number == 0 else 0
        rows.append([name, begin + (64 if number == 0 else len(area)), size, hashlib.sha256(area[64:] if number == 0 else b"").digest()])
    return rows


def with_row(row: int, column: int, value: Any) -> Any:
    def change(rows: list[list[Any]]) -> list[list[Any]]:
        rows[row][column] = value
        return rows

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows[:-1],
        lambda rows: [*rows, rows[-1]],
        lambda rows: [rows[1], rows[0], *rows[2:]],
        lambda rows: dict(enumerate(rows)),
        lambda rows: [row[:3] for row in rows],
        lambda rows: None,
        lambda rows: b"\xc1",
        lambda rows: msgpack.packb(rows) + b"\0",
        lambda rows: b"\x91" * 5_000,
        with_row(1, 0, "others"),
        with_row(1, 0, b"names.arena"),
        with_row(1, 1, SNAPSHOT_HEADER_BYTES),  # over the section before
        with_row(1, 1, SNAPSHOT_HEADER_BYTES + 65),
        with_row(1, 1, 0),
        with_row(1, 1, 1 << 62),
        with_row(1, 1, True),
        with_row(1, 2, 1 << 62),
        with_row(1, 2, -1),
        with_row(1, 2, 192),
        with_row(6, 2, 1),
        with_row(6, 1, 1 << 40),
        with_row(2, 3, b"short"),
        with_row(0, 3, bytes(32)),
        with_row(0, 2, 5),
    ],
)
def test_a_table_that_was_written_wrongly_is_refused_when_the_snapshot_is_opened(change: Any, tmp_path: Path) -> None:
    meta = msgpack.packb({"revision": 1})
    area = meta.ljust(64, b"\0") + bytes(range(128))
    path = crafted(tmp_path / "snapshot-1.fga", good_rows(meta, bytes(range(128))), area)
    assert open_snapshot(path).verify()
    path = crafted(path, change(good_rows(meta, bytes(range(128)))), area)
    with pytest.raises(StoreError) as caught:
        open_snapshot(path)
    assert caught.value.code == "corrupt"


@pytest.mark.parametrize("meta", [b"", b"\xc1", msgpack.packb([1]), msgpack.packb({1: 2}), msgpack.packb({}) * 2, msgpack.packb(None)])
def test_a_meta_that_is_no_map_of_texts_is_refused_when_the_snapshot_is_opened(meta: bytes, tmp_path: Path) -> None:
    path = crafted(tmp_path / "snapshot-1.fga", good_rows(meta, b""), meta.ljust(64, b"\0"))
    with pytest.raises(StoreError, match="meta") as caught:
        open_snapshot(path)
    assert caught.value.code == "corrupt"


# ---- writing fails ----


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As on a full disk: no file grows beyond `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("room", [0, 100, SNAPSHOT_HEADER_BYTES, 200, 1_000])
def test_a_full_disk_leaves_the_older_snapshot_and_nothing_else(room: int, tmp_path: Path) -> None:
    older = written(tmp_path, 11)
    with files_of_at_most(room), pytest.raises(StoreError) as caught:
        written(tmp_path)
    assert (caught.value.code, find_snapshots(tmp_path), os.listdir(tmp_path)) == ("store_full", [(11, older)], [older.name])
    assert open_snapshot(older).verify()
    written(tmp_path)
    assert [revision for revision, _ in find_snapshots(tmp_path)] == [12, 11]


def test_a_directory_that_cannot_be_written_is_read_only() -> None:
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o555)
    try:
        if os.geteuid() == 0:
            os.seteuid(NOBODY)
        with pytest.raises(StoreError) as caught:
            written(directory)
    finally:
        os.seteuid(os.getuid())
        found = os.listdir(directory)
        shutil.rmtree(directory)
    assert (caught.value.code, found) == ("read_only", [])


def test_a_directory_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    for directory in (tmp_path / "none", written(tmp_path)):
        with pytest.raises(StoreError) as caught:
            written(directory)
        assert caught.value.code == "store_unavailable"


def test_what_goes_wrong_while_sections_are_made_leaves_nothing(tmp_path: Path) -> None:
    def failing() -> Iterator[tuple[str, bytes]]:
        yield "names.arena", bytes(100)
        raise KeyError("an error of its own")

    with pytest.raises(KeyError):
        write_snapshot(tmp_path, meta=META, sections=failing())
    wrong: list[list[tuple[str, bytes]]] = [
        [],
        list(SECTIONS.items())[::-1],
        [*SECTIONS.items(), ("more", b"")],
        [*SECTIONS.items(), ("names.arena", b"again")],
    ]
    for sections in wrong:
        with pytest.raises(ValueError, match="in their order"):
            write_snapshot(tmp_path, meta=META, sections=sections)
    assert os.listdir(tmp_path) == []


ENDLESS = """
import sys
from pathlib import Path
from fgacore.store.snapshot import write_snapshot

def endless():
    yield "names.arena", bytes(100_000)
    print("writing", flush=True)
    while True:
        yield "names.arena", bytes(1)

write_snapshot(Path(sys.argv[1]), meta={"revision": 13}, sections=endless())
"""


def test_a_writer_that_is_killed_leaves_no_snapshot_and_the_next_one_cleans_up(tmp_path: Path) -> None:
    older = written(tmp_path, 11)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", ENDLESS, str(tmp_path)], env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"writing\n"
        left = [name for name in os.listdir(tmp_path) if name != older.name]
        assert len(left) == 1
        written(tmp_path, 12)
        assert left[0] in os.listdir(tmp_path)  # its process lives
        process.kill()
    assert [revision for revision, _ in find_snapshots(tmp_path)] == [12, 11]
    written(tmp_path, 14)
    assert sorted(os.listdir(tmp_path)) == ["snapshot-11.fga", "snapshot-12.fga", "snapshot-14.fga"]


def test_an_unfinished_file_is_nobodys_after_an_hour(tmp_path: Path) -> None:
    left = tmp_path / f"snapshot-5.fga.{os.getpid()}-0123abcd.tmp"
    others = [tmp_path / "snapshot-5.fga.damaged", tmp_path / "mine.tmp", tmp_path / "snapshot-5.fga.tmp"]
    for path in (left, *others):
        path.write_bytes(b"")
    written(tmp_path)
    assert left.exists()
    os.utime(left, (time.time() - 3_700,) * 2)
    written(tmp_path)
    assert not left.exists()
    assert all(path.exists() for path in others)


# ---- the files of a directory ----


def test_snapshots_are_found_by_their_names_and_the_newest_comes_first(tmp_path: Path) -> None:
    for name in ("log.sqlite", "snapshot-01.fga", "snapshot-.fga", "snapshot--1.fga", "snapshot-3.fga.damaged", "snapshot-4.fga~", "xsnapshot-4.fga"):
        (tmp_path / name).write_bytes(b"")
    for revision in (9, 10, 0, 123_456_789_012):
        written(tmp_path, revision)
    assert find_snapshots(tmp_path) == [(revision, tmp_path / f"snapshot-{revision}.fga") for revision in (123_456_789_012, 10, 9, 0)]
    assert find_snapshots(tmp_path / "none") == []
    with pytest.raises(StoreError) as caught:
        find_snapshots(tmp_path / "log.sqlite")
    assert caught.value.code == "store_unavailable"


def test_the_newest_two_are_kept_and_one_that_is_mapped_stays_readable(tmp_path: Path) -> None:
    mapped = open_snapshot(written(tmp_path, 1))
    for revision in (2, 3, 10):
        written(tmp_path, revision)
    prune(tmp_path)
    assert [revision for revision, _ in find_snapshots(tmp_path)] == [10, 3]
    assert mapped.verify()
    prune(tmp_path, 1)
    prune(tmp_path, 1)
    assert [revision for revision, _ in find_snapshots(tmp_path)] == [10]


def test_a_snapshot_of_no_use_is_set_aside_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = written(tmp_path)
    with caplog.at_level(logging.WARNING, logger="fgacore"):
        set_aside(path, "its section sets is not as it was written")
        set_aside(path, "another process was first")
    assert os.listdir(tmp_path) == ["snapshot-12.fga.damaged"]
    assert [(record.name, record.getMessage()) for record in caplog.records] == [
        ("fgacore", f"the snapshot {path} is set aside as snapshot-12.fga.damaged: its section sets is not as it was written")
    ]
    written(tmp_path)
    set_aside(path, "again")
    assert os.listdir(tmp_path) == ["snapshot-12.fga.damaged"]


def test_what_cannot_be_renamed_or_unlinked_stays_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    directory = Path(tempfile.mkdtemp())
    path, others = written(directory, 5), [written(directory, revision) for revision in (6, 7)]
    directory.chmod(0o555)
    try:
        if os.geteuid() == 0:
            os.seteuid(NOBODY)
        with caplog.at_level(logging.WARNING, logger="fgacore"):
            set_aside(path, "why")
            prune(directory, 2)
    finally:
        os.seteuid(os.getuid())
        found = find_snapshots(directory)
        shutil.rmtree(directory)
    assert found == [(revision, directory / f"snapshot-{revision}.fga") for revision in (7, 6, 5)]
    assert [record.getMessage().split(" (")[0] for record in caplog.records] == [
        f"the snapshot {path} is of no use, and could not be set aside",
        f"the old snapshot {path} could not be removed: Permission denied",
    ]
    assert len(others) == 2


def test_a_snapshot_shows_itself_in_one_line(tmp_path: Path) -> None:
    snapshot = open_snapshot(written(tmp_path))
    assert isinstance(snapshot, Snapshot)
    assert repr(snapshot) == f"<Snapshot snapshot-12.fga, {snapshot.size} bytes>"
