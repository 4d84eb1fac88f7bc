"""A damaged, cut, foreign or newer snapshot: it is set aside with a warning and the log replayed, and no answer was ever wrong."""

from __future__ import annotations

import logging
import os
import re
import shutil
from pathlib import Path

import pytest

import fgacore
from faults.logs import chain_is_whole, flip, flip_in_record, refusal, snapshots
from faults.peer import code_of, until
from faults.world import CONTEXT, STEPS, Story, answers, write_next
from fgacore import StoreError
from fgacore.formats import SNAPSHOT_VERSION
from fgacore.store.snapshot import find_snapshots, open_snapshot


def reopened(path: Path, story: Story, caplog: pytest.LogCaptureFixture, *, verify: bool = False, aside: str | None = None) -> None:
    """The store opens all the same and answers rightly; the bad snapshot is set aside, and the log of warnings says so."""
    with caplog.at_level(logging.WARNING, logger="fgacore"), fgacore.open(path, verify=verify) as engine:
        answers(engine, story.state)
        damaged = until(lambda: sorted(path.glob("*.damaged")))
        answers(engine, story.state)
        assert engine.revision == STEPS + 1
        write_next(engine, story)
        answers(engine, story.state)
    if aside is not None:
        assert f"{aside}.damaged" in [found.name for found in damaged]
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING and record.name.startswith("fgacore")]
    assert any("snapshot-" in text for text in warnings), warnings
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="fgacore"), fgacore.open(path, verify=True) as engine:
        answers(engine, story.state)
    assert not caplog.records
    chain_is_whole(path)


@pytest.mark.parametrize("part", range(24))
def test_a_flipped_bit_anywhere_in_a_snapshot_is_found_by_verify(part: int, told: tuple[Path, Story], caplog: pytest.LogCaptureFixture) -> None:
    """Over its whole length in steps; padding alone may differ, and then nothing is wrong."""
    path, story = told
    (newest, *_) = snapshots(path)
    size = newest.stat().st_size
    position = size * part // 24
    before = newest.read_bytes()
    flip(newest, position, part % 8)
    padding = not any(before[max(0, position - 3) : position + 4])
    if padding:
        with fgacore.open(path, verify=True) as engine:
            answers(engine, story.state)
        return
    reopened(path, story, caplog, verify=True, aside=newest.name)


def test_a_flipped_bit_in_each_section_of_a_snapshot_is_found_behind_the_open(told: tuple[Path, Story], caplog: pytest.LogCaptureFixture) -> None:
    """Without `verify=True` the sections are read after the open: damage is found soon, and then answers come from the log."""
    path, _ = told
    names = list(open_snapshot(find_snapshots(path)[0][1]).sections)
    assert len(names) >= 5
    pristine = path.parent / "pristine"
    shutil.copytree(path, pristine)
    for name in names:
        shutil.rmtree(path)
        shutil.copytree(pristine, path)
        newest = snapshots(path)[0]
        data = newest.read_bytes()
        section = bytes(open_snapshot(newest).sections[name])
        if not section:
            continue
        position = data.index(section) + min(len(section) - 1, next((place for place, byte in enumerate(section) if byte), 0))
        flip(newest, position, 0)
        story = Story("damage").go(STEPS)
        with caplog.at_level(logging.WARNING, logger="fgacore"):
            try:
                engine = fgacore.open(path)
            except StoreError as error:
                raise AssertionError(f"section {name}: {error}") from error
            with engine:
                until(lambda path=path: sorted(path.glob("*.damaged")))
                until(lambda engine=engine: code_of(lambda: engine.check("user:a", "reader", "doc:1", context=CONTEXT)) != "corrupt")
                answers(engine, story.state)
                write_next(engine, story)
                answers(engine, story.state)
        chain_is_whole(path)


@pytest.mark.parametrize("part", [0.0, 0.01, 0.1, 0.5, 0.9, 0.999])
def test_a_short_snapshot_is_set_aside_and_the_log_replayed(part: float, told: tuple[Path, Story], caplog: pytest.LogCaptureFixture) -> None:
    path, story = told
    (newest, *_) = snapshots(path)
    os.truncate(newest, int(newest.stat().st_size * part))
    reopened(path, story, caplog, aside=newest.name)


def test_a_snapshot_of_another_store_is_not_used(told: tuple[Path, Story], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A restored backup, or a file that was copied over: of this revision, whole, and of something else."""
    path, story = told
    other = tmp_path / "other"
    with fgacore.open(other) as engine:
        engine.write_model("model\n  schema 1.1\ntype user\ntype doc\n  relations\n    define reader: [user]\n")
        for number in range(STEPS):
            engine.write([(f"user:stranger-{number}", "reader", "doc:1")])
        engine.snapshot()
    for found in snapshots(path):
        found.unlink()
    shutil.copy(snapshots(other)[0], path / f"snapshot-{STEPS + 1}.fga")
    with caplog.at_level(logging.WARNING, logger="fgacore"), fgacore.open(path) as engine:
        assert engine.check("user:stranger-1", "reader", "doc:1", context={"x": 5}) is engine.check(
            "user:unheard-of", "reader", "doc:1", context={"x": 5}
        )
        answers(engine, story.state)


def test_the_older_snapshot_serves_where_the_newest_is_damaged(told: tuple[Path, Story], caplog: pytest.LogCaptureFixture) -> None:
    path, story = told
    with fgacore.open(path) as engine:
        for _ in range(5):
            write_next(engine, story)
        engine.snapshot()
    newest, older = snapshots(path)
    flip_in_record(path, 3)  # so that only a snapshot can bring the first thirty steps back
    os.truncate(newest, newest.stat().st_size // 2)
    with caplog.at_level(logging.WARNING, logger="fgacore"), fgacore.open(path) as engine:
        answers(engine, story.state)
    assert older.exists()
    assert newest.with_name(newest.name + ".damaged").exists()


def test_a_damaged_snapshot_and_a_damaged_log_are_no_store(told: tuple[Path, Story], caplog: pytest.LogCaptureFixture) -> None:
    path, _ = told
    flip_in_record(path, 12)
    for found in snapshots(path):
        os.truncate(found, found.stat().st_size // 2)
    with caplog.at_level(logging.WARNING, logger="fgacore"):
        error = refusal(path)
    assert error.code == "corrupt"
    assert re.search(r"\b12\b", str(error)), error


def test_a_stray_file_with_the_name_of_a_snapshot_is_passed_over(told: tuple[Path, Story], caplog: pytest.LogCaptureFixture) -> None:
    path, story = told
    (path / "snapshot-99999999.fga").write_bytes(b"nothing of ours" * 100)
    (path / "snapshot-x.fga").write_bytes(b"")
    (path / "snapshot-.fga").mkdir()
    with caplog.at_level(logging.WARNING, logger="fgacore"), fgacore.open(path) as engine:
        answers(engine, story.state)
        engine.snapshot()


def test_a_snapshot_of_the_future_is_set_aside_and_the_log_replayed(told: tuple[Path, Story], caplog: pytest.LogCaptureFixture) -> None:
    """The format version is the number that follows the magic: any other number there is a newer format, or damage, and never read on."""
    path, story = told
    (newest, *_) = snapshots(path)
    header = newest.read_bytes()[:16]
    place = next(position for position in range(4, 13) if int.from_bytes(header[position : position + 4], "little") == SNAPSHOT_VERSION)
    flip(newest, place, 3)
    reopened(path, story, caplog)
