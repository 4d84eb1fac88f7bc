"""kill -9 of writing processes at random instants, and what must then be there.

A write that was acknowledged is there, in its order; one that was under way is there or is not, whole either way; and the store that is opened
again answers as the oracle does over what survived. FGACORE_SEED repeats the histories (not the instants), FGACORE_SOAK=1 kills a thousand times.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import counts
import fgacore
from faults import tasks
from faults.logs import chain_is_whole, snapshots
from faults.peer import Peer
from faults.world import Story, answers

SOAK = bool(os.environ.get("FGACORE_SOAK"))
SEED = int(os.environ.get("FGACORE_SEED") or random.SystemRandom().randrange(1 << 32))
KILLS = 140 if SOAK else 7  # of each of the ways below, which are seven; and of the crew of writers
DELAY = 0.1  # seconds at most from the order, or from the first acknowledgement, to the kill

WAYS: dict[str, dict[str, Any]] = {
    "writes alone": {},
    "snapshots by hand": {"snapshot_each": 3},
    "compactions": {"compact_each": 4},
    "closing and opening": {"reopen_each": 3},
    "all of it": {"snapshot_each": 5, "compact_each": 9, "reopen_each": 7},
    "snapshots by another": {},
    "compactions by another": {},
}


def acknowledged(child: Peer) -> list[tuple[int, int]]:
    """The steps and revisions of the writes that had returned."""
    return [told for told in child.last_words() if told[0] != "open"]


def judge(engine: fgacore.Engine, story: Story, told: list[tuple[int, int]], way: str) -> None:
    """What the store has got to is what was acknowledged, or the one step that was under way; and it answers accordingly."""
    last = told[-1] if told else (story.step, 0)
    step = story.told(engine)
    note = f"FGACORE_SEED={SEED}, {way}: acknowledged {last}, found step {step} at revision {engine.revision}"
    assert last[0] <= step <= last[0] + 1, note
    assert engine.revision >= last[1], note
    assert [revision for _, revision in told] == sorted({revision for _, revision in told}), note
    story.go(step)
    answers(engine, story.state)


@pytest.mark.parametrize("way", WAYS)
def test_a_killed_writer_loses_nothing_that_it_acknowledged(way: str, store: Path, peer: Callable[[], Peer]) -> None:
    chance = random.Random(f"{SEED} {way}")
    story = Story(SEED)
    spare, other = peer(), peer()
    total = 0
    for number in range(KILLS):
        child, spare = spare, peer()
        beside, other = other, peer() if way.endswith("another") else other
        if way.endswith("another"):
            beside.start(tasks.keep_snapshots, os.fspath(store), compact=way.startswith("compactions"))
        child.start(tasks.write_story, os.fspath(store), SEED, story.step, **WAYS[way])
        if number % 4:  # else it may be killed while it opens
            assert child.hear()[0] == "open"
            assert child.hear()[0] == story.step + 1
        time.sleep(chance.random() * DELAY)
        child.kill()
        if way.endswith("another"):
            beside.close()
        with fgacore.open(store, verify=bool(number % 2)) as engine:
            told = acknowledged(child)
            total += len(told)
            judge(engine, story, told, way)
        assert len(snapshots(store)) <= 3  # a kill may come between a new one and the end of the third
    chain_is_whole(store)
    leftovers = [found.name for found in store.iterdir() if not found.name.startswith(("log.sqlite", "snapshot-", "snapshot.lock", "bell"))]
    assert not leftovers, leftovers
    counts.report(f"kill -9, {way}", KILLS, KILLS, f"{total} acknowledged writes, all there")


def test_killed_writers_leave_the_others_their_turn(store: Path, peer: Callable[[], Peer]) -> None:
    """Three write at once, and all are killed at one instant, or one of them alone, whose death must not hold up the rest."""
    chance = random.Random(f"{SEED} crew")
    names = ("first", "second", "third")
    stories = {name: Story(f"{SEED} {name}", name=name, mine=tasks.own(name)) for name in names}
    for number in range(KILLS // 3 + 1):
        crew = {name: peer() for name in names}
        for name, child in crew.items():
            child.start(tasks.write_own_story, os.fspath(store), f"{SEED} {name}", stories[name].step, name)
        for child in crew.values():
            assert child.hear()[0] == "open"
            child.hear()
        time.sleep(chance.random() * DELAY)
        if number % 2:
            crew["first"].kill()
            for name in ("second", "third"):  # they go on
                for _ in range(20):
                    crew[name].hear()
        for child in crew.values():
            child.kill()
        with fgacore.open(store) as engine:
            state = {}
            for name, child in crew.items():
                last = acknowledged(child)
                step = stories[name].told(engine)
                if last:
                    assert last[-1][0] <= step <= last[-1][0] + 1, f"FGACORE_SEED={SEED}, {name}"
                stories[name].go(step)
                state |= stories[name].state
            answers(engine, state)
    chain_is_whole(store)


def test_a_stopped_writer_that_is_killed_gives_the_lock_back(store: Path, peer: Callable[[], Peer]) -> None:
    """The lock is held by a process that stands still: others wait for it, and go on as soon as it is dead."""
    holder, writer = peer(), peer()
    holder.start(tasks.hold_lock, os.fspath(store / "log.sqlite"), 60.0)
    assert holder.hear() == "held"
    with fgacore.open(store) as engine:
        writer.run(tasks.open, os.fspath(store))
        writer.start(tasks.call, "write", [("user:a", "reader", "doc:1")])
        assert writer.silent(0.5), "the lock was not held"
        assert engine.check("user:a", "reader", "doc:1") is False  # reads wait for nothing
        holder.kill()
        revision = writer.end()
        assert engine.wait_for(revision, timeout=10) >= revision
        assert engine.check("user:a", "reader", "doc:1", at_least=revision) is True
