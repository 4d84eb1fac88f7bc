"""Forks: preloading servers, multiprocessing, threads that write meanwhile. A child reopens what it needs at its first use; the parent feels nothing.

The forks happen in a peer, never in the test run itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import fgacore
from faults import tasks
from faults.logs import chain_is_whole
from faults.peer import Peer
from faults.world import CONTEXT, Story, answers, write_next

SOAK = bool(os.environ.get("FGACORE_SOAK"))


def test_children_made_after_the_open_answer_and_write_and_the_parent_sees_it(store: Path, peer: Callable[[], Peer]) -> None:
    found = peer().run(tasks.fork_after_open, os.fspath(store))
    assert found["faults"] == []
    first = found["first"]
    assert found["changes"] == [(first + 1 + number, f"child {number}") for number in range(4)] + [(first + 5, None)]
    assert found["last"] == first + 5
    assert chain_is_whole(store) == first + 5


def test_a_preloading_server_whose_workers_all_write_and_follow(store: Path, peer: Callable[[], Peer]) -> None:
    children, count = 4, 100 if SOAK else 15
    found = peer().run(tasks.fork_many, os.fspath(store), children, count)
    assert found["statuses"] == [0] * children
    assert found["revision"] == found["first"] + children * count
    assert found["every"] is True
    with fgacore.open(store) as engine:
        assert engine.revision == found["revision"]
        assert engine.stats().tuples == children * count + 1
    chain_is_whole(store)


def test_a_pool_of_multiprocessing_over_an_open_engine(store: Path, peer: Callable[[], Peer]) -> None:
    found, seen_by_parent = peer().run(tasks.fork_by_multiprocessing, os.fspath(store))
    revisions = [revision for revision, _ in found]
    assert sorted(revisions) == list(range(min(revisions), min(revisions) + 9))
    assert all(answer for _, answer in found)
    assert all(seen_by_parent)
    chain_is_whole(store)


@pytest.mark.parametrize("threads", [1, 4])
def test_forks_while_threads_write(threads: int, store: Path, peer: Callable[[], Peer]) -> None:
    """Whatever lock a thread held at the instant of the fork, the child is not held up by it, and breaks nothing of the parent's."""
    count = 600 if SOAK else 160
    found = peer().run(tasks.write_in_threads, os.fspath(store), threads, count, fork=True)
    assert found["faults"] == []
    assert found["children"] >= 2
    with fgacore.open(store) as engine:
        assert tasks.seen(engine) == found["seen"]
        actors = [change.actor for change in engine.changes(since=1)]
        assert [actors.count(f"thread {number}") for number in range(threads)] == [count] * threads
        assert [actors.count(f"child {number}") for number in range(found["children"])] == [1] * found["children"]
    chain_is_whole(store)


def test_children_that_are_killed_do_the_parent_no_harm(store: Path, peer: Callable[[], Peer]) -> None:
    answer, revision = peer().run(tasks.fork_and_end_badly, os.fspath(store))
    assert answer is True
    assert chain_is_whole(store) == revision


def test_a_child_that_closes_leaves_the_parents_engine_open(store: Path, peer: Callable[[], Peer]) -> None:
    found = peer().run(tasks.fork_and_close, os.fspath(store))
    assert found == {"faults": [], "parent": [True, True, True]}
    chain_is_whole(store)


def test_a_child_of_a_child_works_too(store: Path, peer: Callable[[], Peer]) -> None:
    faults, revision = peer().run(tasks.fork_twice, os.fspath(store))
    assert faults == []
    with fgacore.open(store) as engine:
        assert engine.revision == revision
        assert all(engine.check_objects("user:deep", "reader", [f"doc:{depth}" for depth in range(4)], context=CONTEXT))
    chain_is_whole(store)


def test_fork_of_a_store_in_memory_has_two_stores(peer: Callable[[], Peer]) -> None:
    """Nothing is shared there: each goes on alone, from the same state."""
    assert peer().run(tasks.fork_in_memory) == ([], True, False)


def test_fork_with_a_snapshot_mapped(told: tuple[Path, Story], peer: Callable[[], Peer]) -> None:
    """The child goes on reading what the parent has mapped, also after newer snapshots have taken its place."""
    path, story = told
    child = peer()
    child.start(tasks.fork_and_snapshot, os.fspath(path))
    assert child.end() == []
    with fgacore.open(path) as engine:
        state = dict(story.state)
        assert story.told(engine) == story.step
        extra = {(item.subject, item.relation, item.object) for item in engine.read()} - state.keys()
        assert extra == {("user:a", "member", "group:forked"), ("user:b", "member", "group:forked")}
        engine.write(deletes=list(extra))
        answers(engine, state)
        write_next(engine, story)
        answers(engine, story.state)
