"""A full disk, a directory that may only be read, a lock that is held: the right error, nothing lost, and reads go on."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import fgacore
from faults import tasks
from faults.logs import chain_is_whole, hold, snapshots
from faults.peer import Failed, Peer, code_of
from faults.world import MODEL, Story, answers, ask, write_next

NOBODY = 65_534


@pytest.fixture
def bounded(told: tuple[Path, Story]) -> Path:
    """The store, and how large its files are now: what a limit is counted from."""
    return told[0]


def largest(path: Path) -> int:
    return max(found.stat().st_size for found in path.iterdir())


@pytest.mark.parametrize("room", [0, 4_096, 100_000, 3_000_000])
def test_a_full_disk_refuses_the_write_and_keeps_all_before_it(room: int, bounded: Path, peer: Callable[[], Peer]) -> None:
    """With room for some writes, also for a WAL and a checkpoint of it, or for none at all."""
    child = peer()
    child.start(tasks.fill_disk, os.fspath(bounded), largest(bounded) + room)
    heard, (number, code, after, reads) = child.every()
    assert (code, after) == ("store_full", "store_full")
    assert reads is True
    with fgacore.open(bounded) as engine:
        assert all(engine.check(f"user:{'x' * 200}{acknowledged}", "reader", f"doc:{acknowledged}", context={}) for acknowledged in heard)
        assert not engine.check(f"user:{'x' * 200}{number}", "reader", f"doc:{number}", context={"x": 50}), "refused, and there all the same"
        assert engine.check("user:b", "reader", "doc:room", context={"x": 50}) is True
        assert engine.check("user:a", "reader", "doc:kept", context={"x": 50}) is True
    chain_is_whole(bounded)


def test_a_snapshot_that_does_not_fit_leaves_no_part_of_itself(bounded: Path, peer: Callable[[], Peer]) -> None:
    before = snapshots(bounded)
    with fgacore.open(bounded) as engine:
        engine.write([(f"user:{'z' * 200}{number}", "reader", "doc:1") for number in range(2_000)])
        code, goes_on = peer().run(tasks.snapshot_on_full_disk, os.fspath(bounded), 50_000)
        assert code == "store_full"
        assert goes_on is True
        assert [found for found in bounded.iterdir() if found.name.endswith((".tmp", ".part"))] == []
    assert set(before) - set(snapshots(bounded)) == set() or len(snapshots(bounded)) == 2
    with fgacore.open(bounded, verify=True) as engine:
        assert engine.check("user:b", "reader", "doc:room", context={"x": 50}) is True
    chain_is_whole(bounded)


# Permissions. They do not bind root, so another user looks.


@pytest.fixture
def shared(told: tuple[Path, Story]) -> Iterator[tuple[Path, Story]]:
    """The store where another user can reach it, and may read everything and change nothing."""
    place = Path("/tmp") / f"fgacore-faults-{os.getpid()}-{time.monotonic_ns()}"
    shutil.copytree(told[0], place)
    for found in place.iterdir():
        found.chmod(0o444)
    place.chmod(0o555)
    yield place, told[1]
    place.chmod(0o755)
    shutil.rmtree(place)


def as_another(peer: Callable[[], Peer]) -> Peer:
    """A process whose user owns nothing here; where the test run itself is not root, its own user is bound as well."""
    child = peer()
    child.run(tasks.ready)
    if os.getuid() == 0:
        child.run(tasks.become, NOBODY)
    return child


def test_a_read_only_directory_can_be_read(shared: tuple[Path, Story], peer: Callable[[], Peer]) -> None:
    path, story = shared
    before = {found.name: found.read_bytes() for found in path.iterdir()}
    child = as_another(peer)
    child.run(tasks.open, os.fspath(path), read_only=True)
    revision, _, found, _ = child.run(tasks.everything)
    assert revision == story.step + 1
    with fgacore.open(":memory:") as engine:
        engine.write_model(MODEL)
        story_again = Story("damage")
        for _ in range(story.step):
            write_next(engine, story_again)
        assert found == ask(engine)
    assert code_of(lambda: child.call("write", [("user:a", "reader", "doc:9")])) == "read_only"
    assert code_of(lambda: child.call("snapshot")) == "read_only"
    assert code_of(lambda: child.call("compact")) == "read_only"
    assert code_of(lambda: child.call("write_model", "model\n  schema 1.1\ntype user\n")) == "read_only"
    child.run(tasks.close)
    assert {found.name: found.read_bytes() for found in path.iterdir()} == before


def test_a_read_only_directory_is_refused_where_writing_was_asked_for(shared: tuple[Path, Story], peer: Callable[[], Peer]) -> None:
    """At the open, or at the first write: with the code that says why."""
    path, _ = shared
    child = as_another(peer)

    def open_and_write() -> None:
        child.run(tasks.open, os.fspath(path))
        child.call("write", [("user:a", "reader", "doc:9")])

    with pytest.raises(Failed) as caught:
        open_and_write()
    assert caught.value.code == "read_only", caught.value.text
    assert os.fspath(path) in caught.value.text


def test_a_directory_that_may_not_be_entered_is_unavailable(shared: tuple[Path, Story], peer: Callable[[], Peer]) -> None:
    path, _ = shared
    path.chmod(0o000)
    child = as_another(peer)
    for options in ({}, {"read_only": True}):
        assert code_of(lambda options=options: child.run(tasks.open, os.fspath(path), **options)) in ("store_unavailable", "read_only")


def test_a_store_that_is_not_there_is_not_made_by_a_reader(tmp_path: Path) -> None:
    path = tmp_path / "nothing"
    assert code_of(lambda: fgacore.open(path, read_only=True)) in ("store_unavailable", "invalid_store")
    assert not path.exists()


def test_read_only_refuses_every_change_and_follows(told: tuple[Path, Story], peer: Callable[[], Peer]) -> None:
    path, story = told
    with fgacore.open(path) as writer, fgacore.open(path, read_only=True) as reader:
        for change in (
            lambda: reader.write([("user:a", "reader", "doc:9")]),
            lambda: reader.write(deletes=[("user:a", "reader", "doc:9")], on_missing="ignore"),
            lambda: reader.delete(subject="user:a"),
            lambda: reader.write_model("model\n  schema 1.1\ntype user\n"),
            lambda: reader.snapshot(),
            lambda: reader.compact(),
            lambda: reader.import_tuples([("user:a", "reader", "doc:9")]),
            lambda: reader.sweep(),
        ):
            assert code_of(change) == "read_only"
        revision = write_next(writer, story)
        assert reader.wait_for(revision, timeout=10) == revision
        answers(reader, story.state)
    with fgacore.open(path, read_only=True) as reader:
        answers(reader, story.state)


def test_what_a_store_makes_is_for_its_owner_alone(told: tuple[Path, Story]) -> None:
    """Who may do what on what is nobody else's business."""
    path, _ = told
    assert path.stat().st_mode & 0o077 == 0
    for found in path.iterdir():
        assert found.stat().st_mode & 0o077 == 0, found.name


def test_a_lock_that_is_held_makes_writers_wait_and_readers_not(told: tuple[Path, Story]) -> None:
    path, story = told
    with fgacore.open(path) as engine:
        with hold(path):
            begun = time.monotonic()
            answers(engine, story.state)
            with fgacore.open(path, read_only=True) as reader:
                answers(reader, story.state)
            assert time.monotonic() - begun < 10.0, "a reader has waited for a writer"
        write_next(engine, story)
        answers(engine, story.state)


def test_a_directory_that_was_moved_away_is_no_empty_store(told: tuple[Path, Story], tmp_path: Path) -> None:
    """Its files live on for who has them open; who opens the place anew finds another store, and the two never mix."""
    path, story = told
    with fgacore.open(path) as engine:
        shutil.move(path, tmp_path / "moved")
        answers(engine, story.state)
        code = code_of(lambda: engine.write([("user:a", "reader", "doc:moved")]))
        with fgacore.open(tmp_path / "moved") as moved:
            assert moved.check("user:a", "reader", "doc:moved", context={"x": 50}) is (code == "done")
