"""Many processes that write to one directory: one sequence of revisions, nothing lost, nothing twice, and everybody has the same ids and answers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fgacore
from faults import tasks
from faults.logs import chain_is_whole
from faults.peer import Peer, until
from faults.world import CONTEXT, ask, right
from oracle import Key, Stored

SOAK = bool(os.environ.get("FGACORE_SOAK"))
CREW = 8
WRITES = 400 if SOAK else 40


def replayed(engine: fgacore.Engine) -> dict[Key, Stored]:
    """What the changes come to, one after the other."""
    state: dict[Key, Stored] = {}
    revision = 0
    for change in engine.changes(since=0):
        assert change.revision == revision + 1, f"revision {change.revision} follows {revision}"
        revision = change.revision
        assert (change.written, change.deleted) == (len(change.writes), len(change.deletes)), change
        for item in change.deletes:
            state.pop((item.subject, item.relation, item.object), None)
        for item in change.writes:
            state[item.subject, item.relation, item.object] = Stored(item.subject, item.relation, item.object, item.condition, item.context)
    assert revision == engine.revision
    return state


def all_agree(path: Path, crew: list[Peer], engine: fgacore.Engine) -> None:
    """Every process, and one that has just opened, says the same as this engine: tuples, answers and ids."""
    mine = tasks.seen(engine)
    for child in crew:
        child.call("wait_for", mine[0], timeout=20)
        assert child.run(tasks.everything) == mine
    with fgacore.open(path) as late:
        assert tasks.seen(late) == mine
    with fgacore.open(path, read_only=True) as reader:
        assert tasks.seen(reader) == mine


def test_disjoint_writers_share_one_sequence_of_revisions(store: Path, peer: Callable[[], Peer]) -> None:
    crew, followers = [peer() for _ in range(CREW)], [peer(), peer()]
    for follower in followers:
        follower.run(tasks.open, os.fspath(store))
    with fgacore.open(store) as engine:
        first = engine.revision
        for number, child in enumerate(crew):
            child.start(tasks.write_own, os.fspath(store), f"w{number}", WRITES, 3)
        revisions = [child.end() for child in crew]
        every = sorted(revision for found in revisions for revision in found)
        assert every == list(range(first + 1, first + 1 + CREW * WRITES))
        assert all(found == sorted(found) for found in revisions)
        assert engine.wait_for(every[-1], timeout=20) == every[-1]
        for number in range(CREW):
            changes = [change for change in engine.changes(since=first) if change.actor == f"w{number}"]
            assert [change.revision for change in changes] == revisions[number]
            assert [change.reason for change in changes] == [f"lot {lot}" for lot in range(WRITES)]
            for lot in range(WRITES):
                assert len(engine.list_subjects(f"doc:w{number}-{lot}", "reader", "user", context=CONTEXT)) == 3
        assert engine.stats().tuples == CREW * WRITES * 3
        all_agree(store, followers, engine)
    chain_is_whole(store)


def test_overlapping_writers_agree_with_the_changes_and_the_oracle(store: Path, peer: Callable[[], Peer]) -> None:
    crew, follower = [peer() for _ in range(CREW)], peer()
    follower.run(tasks.open, os.fspath(store))
    for seed, child in enumerate(crew):
        child.start(tasks.write_shared, os.fspath(store), seed, WRITES)
    done = [write for child in crew for write in child.end()]
    with fgacore.open(store) as engine:
        state = replayed(engine)
        assert {(item.subject, item.relation, item.object) for item in engine.read()} == state.keys()
        assert ask(engine) == right(state.values())
        made = {f"{change.actor} {change.reason}": change for change in engine.changes(since=0) if change.kind == "tuples"}
        for revision, text in done:
            if text in made:  # a write of which nothing was left to do makes no revision
                assert made[text].revision == revision, text
        assert made.keys() <= {text for _, text in done}
        assert len(made) > CREW
        all_agree(store, [follower], engine)
    chain_is_whole(store)


def test_of_writers_that_want_the_same_exactly_one_wins_each_turn(store: Path, peer: Callable[[], Peer]) -> None:
    """A token is handed on, each time away from its holder: a lost update would give two tokens, or none."""
    with fgacore.open(store) as engine:
        first = engine.write([("user:nobody", "mark", "ledger:token")])
        crew = [peer() for _ in range(CREW)]
        for number, child in enumerate(crew):
            child.start(tasks.take_turns, os.fspath(store), f"p{number}", WRITES)
        won = sum(child.end() for child in crew)
        assert won >= WRITES
        engine.wait_for(first + won, timeout=20)
        assert engine.revision == first + won
        holder = "user:nobody"
        for change in engine.changes(since=first):
            assert [item.subject for item in change.deletes] == [holder]
            assert change.reason == f"from {holder}"
            (item,) = change.writes
            holder = item.subject
        assert [item.subject for item in engine.read(relation="mark")] == [holder]


def test_processes_that_open_at_once_make_one_store(tmp_path: Path, peer: Callable[[], Peer]) -> None:
    for number in range(10 if SOAK else 3):
        path = tmp_path / f"new-{number}"
        crew = [peer() for _ in range(CREW)]
        for child in crew:
            child.run(tasks.ready)
        at = time.monotonic() + 0.05
        for child in crew:
            child.start(tasks.race_open, os.fspath(path), at)
        found = [child.end() for child in crew]
        assert len({revision for revision, _ in found}) == CREW
        with fgacore.open(path) as engine:
            assert engine.revision == 2 * CREW
            assert len(engine.list_subjects("doc:1", "reader", "user", context=CONTEXT)) == CREW
            assert {change.model_id for change in engine.changes(since=0) if change.kind == "model"} == {model_id for _, model_id in found}
        chain_is_whole(path)


def test_threads_of_one_process_commit_together_and_each_has_its_revision(store: Path, peer: Callable[[], Peer]) -> None:
    found = peer().run(tasks.write_in_threads, os.fspath(store), 8, WRITES)
    assert found["faults"] == []
    assert all(revisions == sorted(set(revisions)) for revisions in found["revisions"])
    with fgacore.open(store) as engine:
        assert tasks.seen(engine) == found["seen"]
        by_actor: dict[Any, list[int]] = {}
        for change in engine.changes(since=1):
            by_actor.setdefault(change.actor, []).append(change.revision)
        assert by_actor == {f"thread {number}": revisions for number, revisions in enumerate(found["revisions"])}
    chain_is_whole(store)


def test_a_follower_sees_every_write_whole_and_in_order(store: Path, peer: Callable[[], Peer]) -> None:
    """Ten tuples move together from one object to another: no follower ever sees some here and some there."""
    writer = peer()
    lot = [(f"user:m{number}", "reader") for number in range(10)]
    questions = [(subject, relation, name) for name in ("doc:1", "doc:2") for subject, relation in lot]
    with fgacore.open(store) as engine:
        engine.write([(*pair, "doc:1") for pair in lot])
        writer.run(tasks.open, os.fspath(store))
        writer.start(tasks.move_together, lot, WRITES * 5)
        before = engine.revision
        turns = set()
        while writer.silent():
            revision = engine.revision
            answers = list(engine.batch_check(questions, context=CONTEXT))
            assert revision >= before
            before = revision
            assert answers in ([True] * 10 + [False] * 10, [False] * 10 + [True] * 10), answers
            turns.add(answers[0])
        last = writer.end()
        assert turns == {True, False}
        assert engine.wait_for(last, timeout=10) == last


def test_ids_agree_in_every_process_whoever_has_given_them(store: Path, peer: Callable[[], Peer]) -> None:
    left, right_ = peer(), peer()
    left.run(tasks.open, os.fspath(store))
    right_.run(tasks.open, os.fspath(store))
    last = 0
    for number in range(30):
        child = (left, right_)[number % 2]
        last = child.call("write", [(f"user:n{number}", "reader", f"doc:n{number}"), (f"group:n{number}#member", "reader", f"doc:m{number}")])
        if number == 14:
            left.call("snapshot")
    with fgacore.open(store) as engine:
        assert engine.revision == last
        all_agree(store, [left, right_], engine)
        names = [f"n{number}" for number in range(30)]
        assert sorted(engine.ids("user", names).tolist()) == list(range(30))


def test_a_late_writer_is_held_to_the_newest_model(store: Path, peer: Callable[[], Peer]) -> None:
    """A model that another process has just written is the one that the next write is held to, whatever this process knew before."""
    other = peer()
    with fgacore.open(store) as engine:
        other.run(tasks.open, os.fspath(store))
        other.call("write_model", "model\n  schema 1.1\ntype user\ntype doc\n  relations\n    define reader: [user]\n    define editor: [user]\n")
        engine.write([("user:a", "editor", "doc:1")])
        assert until(lambda: engine.check("user:a", "editor", "doc:1")) is True
