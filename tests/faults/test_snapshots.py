"""Snapshots: the same answers with and without, written beside readers and writers, mapped by other processes, the newest two kept."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fgacore
from adapters import given
from faults import tasks
from faults.logs import chain_is_whole, snapshots, without_snapshots
from faults.peer import Peer, until
from faults.world import MODEL, STEPS, Clock, Story, answers, stored_in, write_next
from fgacore import Tuple

SOAK = bool(os.environ.get("FGACORE_SOAK"))


def test_answers_and_ids_are_the_same_with_and_without_a_snapshot(told: tuple[Path, Story]) -> None:
    path, story = told
    seen: list[Any] = []
    for way in ({}, {"verify": True}, {"read_only": True}, {"read_only": True, "verify": True}):
        with fgacore.open(path, **way) as engine:
            answers(engine, story.state)
            seen.append(tasks.seen(engine))
    without_snapshots(path)
    with fgacore.open(path, read_only=True) as engine:
        answers(engine, story.state)
        seen.append(tasks.seen(engine))
    assert all(found == seen[0] for found in seen)


@pytest.mark.parametrize("steps", [0, 1, 7])
def test_what_was_written_after_the_snapshot_is_there_too(steps: int, told: tuple[Path, Story]) -> None:
    """As a delta above the mapped base, in this process, after a kill, and merged into the next snapshot."""
    path, story = told
    child = Peer()
    with child:
        child.start(tasks.write_story, os.fspath(path), "damage", STEPS, steps=STEPS + steps)
        while steps and child.hear()[0] != STEPS + steps:
            pass
        child.kill()
    with fgacore.open(path) as engine:
        story.go(story.told(engine))
        assert story.step >= STEPS + steps
        answers(engine, story.state)
        for _ in range(3):
            write_next(engine, story)
            answers(engine, story.state)
        engine.snapshot()
        answers(engine, story.state)
        write_next(engine, story)
        answers(engine, story.state)
        engine.merge()
        answers(engine, story.state)


def test_the_newest_two_are_kept(told: tuple[Path, Story]) -> None:
    path, story = told
    with fgacore.open(path) as engine:
        taken = []
        for _ in range(5):
            write_next(engine, story)
            revision = engine.snapshot()
            assert revision == engine.revision
            taken.append(revision)
            assert len(snapshots(path)) <= 2
        assert [int(found.stem.partition("-")[2]) for found in snapshots(path)] == taken[:-3:-1]
        assert engine.snapshot() == taken[-1]
        assert len(snapshots(path)) == 2
        answers(engine, story.state)


def test_closing_writes_one_so_that_the_next_open_reads_no_log(store: Path) -> None:
    story = Story("closing")
    with fgacore.open(store) as engine:
        engine.write([(f"user:{number}", "reader", f"doc:{number}") for number in range(3_000)])
        for _ in range(200):
            write_next(engine, story)
        revision = engine.revision
    assert int(snapshots(store)[0].stem.partition("-")[2]) == revision
    before = [found.read_bytes() for found in snapshots(store)]
    with fgacore.open(store) as engine:
        assert engine.stats().tuples == 3_000 + len(story.state)
    assert [found.read_bytes() for found in snapshots(store)] == before, "nothing was written, and a snapshot was"


def test_a_log_that_grows_gets_snapshots_by_itself(store: Path) -> None:
    """A process that is never closed must not make the next one replay its whole life."""
    with fgacore.open(store) as engine:
        first = [found.name for found in snapshots(store)]
        for lot in range(60):
            engine.write([(f"user:{number}", "reader", f"doc:{lot}-{number}") for number in range(2_000)])
        until(lambda: [found.name for found in snapshots(store)] != first, 20)
        with fgacore.open(store, read_only=True, verify=True) as reader:
            assert reader.stats().tuples == 120_000
            assert reader.check("user:5", "reader", "doc:59-5", context={}) is True


def test_one_process_writes_snapshots_and_the_others_map_them(told: tuple[Path, Story], peer: Callable[[], Peer]) -> None:
    path, story = told
    reader, writer = peer(), peer()
    reader.run(tasks.open, os.fspath(path), read_only=True)
    writer.run(tasks.open, os.fspath(path))
    with fgacore.open(path) as engine:
        for turn in range(6):
            for _ in range(4):
                write_next(engine, story)
            revision = (engine.snapshot() if turn % 2 else writer.call("snapshot")) if turn != 4 else engine.revision
            assert revision <= engine.revision
            for child in (reader, writer):
                child.call("wait_for", engine.revision, timeout=10)
                assert child.run(tasks.everything) == tasks.seen(engine)
        answers(engine, story.state)
    chain_is_whole(path)


def test_a_follower_drops_its_delta_for_the_snapshot_of_another(store: Path, peer: Callable[[], Peer]) -> None:
    """What was written as single tuples, many of them, is mapped and no longer held by each process for itself."""
    reader = peer()
    reader.run(tasks.open, os.fspath(store), read_only=True)
    with fgacore.open(store) as engine:
        for lot in range(40):
            engine.write([(f"user:{number}", "reader", f"doc:{lot}-{number}") for number in range(1_000)])
        engine.snapshot()
        reader.call("wait_for", engine.revision, timeout=20)
        until(lambda: reader.call("stats")["unmerged"] < 4_000, 10)
        assert reader.call("stats")["tuples"] == 40_000
        assert reader.call("check", "user:7", "reader", "doc:39-7", context={}) is True


def test_a_mapped_snapshot_lives_on_after_its_file_is_gone(told: tuple[Path, Story], peer: Callable[[], Peer]) -> None:
    """Snapshots are only ever unlinked: who has one mapped goes on reading it."""
    path, story = told
    reader = peer()
    reader.run(tasks.open, os.fspath(path), read_only=True)
    with fgacore.open(path) as engine:
        past = engine.at(engine.revision)
        was = dict(story.state)
        for _ in range(4):
            write_next(engine, story)
            engine.snapshot()
        without_snapshots(path)
        answers(past, was)
        answers(engine, story.state)
        reader.call("wait_for", engine.revision, timeout=10)
        assert reader.run(tasks.everything) == tasks.seen(engine)
        past.close()


def test_snapshots_beside_writes_and_checks_in_threads(store: Path) -> None:
    """Nothing is lost from a snapshot taken in the middle of writes, and no answer changes under a reader."""
    story = Story("beside")
    faults: list[str] = []
    done = threading.Event()
    with fgacore.open(store) as engine:
        engine.write([("user:fixed", "reader", "doc:fixed")])

        def guard(work: Callable[[], None]) -> Callable[[], None]:
            def guarded() -> None:
                try:
                    while not done.is_set():
                        work()
                except BaseException as error:  # noqa: BLE001 - told by the main thread
                    faults.append(repr(error))
                    done.set()

            return guarded

        def check() -> None:
            assert engine.check("user:fixed", "reader", "doc:fixed", context={"x": 50}) is True
            assert engine.check("user:fixed", "barred", "doc:fixed", context={"x": 50}) is False
            assert engine.list_objects("user:fixed", "can", "doc", context={"x": 5}, on_missing_context="report").to_list().count("doc:fixed") == 1

        taken = []
        threads = [threading.Thread(target=guard(work)) for work in (check, check, lambda: taken.append(engine.snapshot()))]
        for thread in threads:
            thread.start()
        for _ in range(400 if SOAK else 80):
            write_next(engine, story)
        done.set()
        for thread in threads:
            thread.join(60)
        assert faults == []
        assert taken == sorted(taken)
        engine.write(deletes=[("user:fixed", "reader", "doc:fixed")])
        answers(engine, story.state)
    with fgacore.open(store, verify=True) as engine:
        answers(engine, story.state)
    chain_is_whole(store)


def test_two_processes_that_take_snapshots_at_once(told: tuple[Path, Story], peer: Callable[[], Peer]) -> None:
    path, story = told
    crew = [peer(), peer()]
    for child in crew:
        child.start(tasks.keep_snapshots, os.fspath(path))
        assert child.hear() == "open"
    with fgacore.open(path) as engine:
        for _ in range(40):
            write_next(engine, story)
        for child in crew:
            until(lambda child=child: child.hear() == engine.revision, 20)
            child.kill()
    assert 1 <= len(snapshots(path)) <= 2
    with fgacore.open(path, verify=True) as engine:
        answers(engine, story.state)


def test_contexts_and_expiries_come_back_from_a_snapshot(store: Path) -> None:
    clock = Clock()
    soon = clock.now + 5_000_000
    facts = [
        Tuple("user:a", "reader", "doc:1", "low", {"x": 3}),
        Tuple("user:b", "reader", "doc:1", "low"),
        Tuple("group:g#member", "reader", "doc:1", "low", {"x": 30}),
        Tuple("user:c", "reader", "doc:1", expires_at=Clock(soon)()),
        Tuple("user:d", "reader", "doc:1", "low", {"x": 1}, Clock(soon)()),
        ("user:e", "member", "group:g"),
    ]
    path = store.parent / "timed"
    with fgacore.open(path, clock=clock) as engine:
        engine.write_model("""
model
  schema 1.1
type user
type group
  relations
    define member: [user]
type doc
  relations
    define reader: [user, user with low, group#member with low]
condition low(x: int) {
  x < 10
}
""")
        engine.write(facts)
        engine.snapshot()
    for verify in (True, False):
        with fgacore.open(path, clock=clock, verify=verify) as engine:
            assert {(item.subject, item.condition, item.expires_at) for item in engine.read(object="doc:1")} == {
                (item.subject, item.condition, item.expires_at) for item in facts if isinstance(item, Tuple)
            }
            found = [engine.check(f"user:{name}", "reader", "doc:1", context={"x": 5}) for name in "abcde"]
            assert found == [True, True, True, True, False]
            assert engine.check("user:b", "reader", "doc:1", context={"x": 50}) is False
    clock.now = soon
    with fgacore.open(path, clock=clock) as engine:
        assert [engine.check(f"user:{name}", "reader", "doc:1", context={"x": 5}) for name in "abcde"] == [True, True, False, False, False]
        assert len(list(engine.read())) == 4
        engine.snapshot()
        engine.write([Tuple("user:c", "reader", "doc:1")])
        assert engine.check("user:c", "reader", "doc:1", context={"x": 5}) is True


def test_models_of_all_times_come_back_from_a_snapshot(store: Path) -> None:
    with fgacore.open(store) as engine:
        old = engine.stats().model_id
        engine.write([("user:a", "reader", "doc:1"), ("user:a", "barred", "doc:1")])
        new = engine.write_model("model\n  schema 1.1\ntype user\ntype doc\n  relations\n    define reader: [user]\n    define can: reader\n")
        engine.snapshot()
    with fgacore.open(store, verify=True) as engine:
        assert (engine.stats().model_id, engine.stats().models) == (new, 2)
        assert engine.check("user:a", "can", "doc:1") is True
        assert engine.check("user:a", "can", "doc:1", model_id=old, context={"x": 5}) is False
        assert len(list(engine.read())) == 2
        with engine.at(2) as past:
            assert past.check("user:a", "can", "doc:1", context={"x": 5}) is False


def test_large_sets_and_many_names_come_back_from_a_snapshot(store: Path) -> None:
    """Beyond every small form: runs, bitmaps, pages, and names of all lengths, non-ASCII among them."""
    names = [f"{'n' * (number % 200)}{number}é" if number % 7 == 0 else f"{number}" for number in range(20_000)]
    with fgacore.open(store) as engine:
        engine.write([(f"user:{name}", "reader", "doc:large") for name in names])
        engine.write([("user:one", "reader", f"doc:{name}") for name in names])
        engine.write(deletes=[(f"user:{name}", "reader", "doc:large") for name in names[::3]])
        engine.snapshot()
        engine.write(deletes=[(f"user:{name}", "reader", "doc:large") for name in names[1::3]])
    with fgacore.open(store, verify=True) as engine:
        for part, there in ((names[::3], False), (names[1::3], False), (names[2::3], True)):
            assert set(engine.batch_check([(f"user:{name}", "reader", "doc:large") for name in part], context={"x": 50})) == {there}
        assert all(engine.check_objects("user:one", "reader", [f"doc:{name}" for name in names], context={"x": 50}))
        assert len(engine.list_objects("user:one", "reader", "doc", context={"x": 50})) == len(names)
        assert engine.stats().tuples == len(names) + len(names[2::3])
        engine.write([(f"user:{name}", "reader", "doc:large") for name in names[::3]])
        assert len(engine.list_subjects("doc:large", "reader", "user", context={"x": 50})) == len(names) - len(names[1::3])


def test_opening_while_another_writes_and_takes_snapshots(store: Path, peer: Callable[[], Peer]) -> None:
    """Each open, whatever it meets, is of one whole moment: the story's state at its step."""
    writer = peer()
    writer.start(tasks.write_story, os.fspath(store), "opening", 0, snapshot_each=2, pause=0.001)
    assert writer.hear()[0] == "open"
    story = Story("opening")
    begun = time.monotonic()
    opens = 0
    while opens < (200 if SOAK else 25) and time.monotonic() - begun < 60:
        with fgacore.open(store, read_only=bool(opens % 2), verify=opens % 3 == 0) as engine:
            past = engine.at(engine.revision)
            story.go(story.told(past))
            answers(past, story.state)
            past.close()
        opens += 1
    writer.kill()


def test_a_story_told_twice_has_the_same_ids(tmp_path: Path) -> None:
    """Replaying gives the ids that writing gave, also with other moments of snapshots and merges."""
    found = []
    for number in range(3):
        story = Story("ids")
        path = tmp_path / f"store-{number}"
        with fgacore.open(path) as engine:
            engine.write_model(MODEL)
            for step in range(25):
                writes, deletes = story.next()
                engine.write([given(stored) for stored in writes], deletes=deletes)
                if number and step % (3 * number) == 0:
                    engine.snapshot()
        with fgacore.open(path) as engine:
            found.append((stored_in(engine), tasks.seen(engine)[3]))
    assert found[0] == found[1] == found[2]
