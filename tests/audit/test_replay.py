"""Every decision is made again, over all that can happen to a store meanwhile; and one that was changed in the log comes out otherwise."""

from __future__ import annotations

import contextlib
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import fgacore
from audit.desk import AGENT, ANNE, MODEL, SCOPE, Clock, blocks, chain_folders, made, rewrite
from fgacore.audit import Replayed, replay, verify

NAMES = [f"ticket:{number}" for number in range(12)] + ["ticket:hidden", "ticket:never", "note:1"]
OTHER = "agent:other"


def clean(found: Replayed, **apart: int) -> Replayed:
    """Nothing comes out otherwise, and only this was not made again."""
    assert found.good, found.examples[:5]
    assert (found.differences, dict(found.apart)) == (0, apart)
    assert found.decisions == found.same + sum(apart.values())
    return found


def live(path: Path, seed: int, steps: int = 150, **options: Any) -> int:
    """Random writes, stops, bounds, models and questions of all kinds of sessions; how many decisions were made."""
    chance, clock, count = random.Random(seed), Clock(), 0
    with made(path, clock=clock, **options) as engine:
        sessions: list[Any] = []
        ids: list[str] = []
        for step in range(steps):
            clock.seconds += chance.choice((0, 0, 0.001, 1, 30))
            match chance.randrange(12):
                case 0:
                    item = (chance.choice((ANNE, AGENT, OTHER)), chance.choice(("reader", "barred")), chance.choice(NAMES[:12]))
                    engine.write([item], on_duplicate="replace")
                case 1:
                    expiry = fgacore.Tuple(chance.choice((ANNE, AGENT)), "barred", chance.choice(NAMES[:12]), expires_at=later(clock, chance))
                    engine.write([expiry], on_duplicate="replace")
                case 2:
                    item = fgacore.Tuple(chance.choice((ANNE, AGENT)), "reader", chance.choice(NAMES[:12]), condition="small")
                    engine.write([item], on_duplicate="replace")
                case 3 if not {ANNE, AGENT} & {stopped.subject for stopped in engine.suspensions()}:
                    options_of = {"expires_in": chance.choice((None, 5, 200)), "authority": chance.choice(("both", "lent"))}
                    ids.append(engine.delegate(by=ANNE, to=AGENT, scope=SCOPE, redelegations=2, **options_of))
                case 4 if ids:
                    engine.revoke(chance.choice(ids))
                case 5 if chance.random() < 0.6 or engine.suspensions():
                    chance.choice((engine.suspend, engine.resume))(chance.choice((ANNE, AGENT, OTHER)))
                case 6:
                    engine.boundary(chance.choice(("agent", AGENT)), f"not can_read {chance.choice(NAMES[:4])}")
                case 7 if step % 3 == 0:
                    engine.write_model(MODEL.replace("condition small", f"type spare_{step}\ncondition small"))
                case 8:
                    engine.configure(require_delegation=chance.choice(([], ["agent"])), bind=chance.choice(({}, {"now": "clock"})))
                case _:
                    pass
            own: dict[str, Any] = {"context": {"x": 3}} if chance.random() < 0.3 else {"context_keys": ["x"]}
            makers: list[Callable[[], Any]] = [
                lambda own=own: engine.session(AGENT, **own),
                lambda own=own: engine.session(OTHER, on_behalf_of=ANNE, scope=SCOPE, expires_in=40, authority="lent", **own),
            ]
            if ids:
                makers.append(lambda own=own: engine.session(chance.choice(ids), **own))
            with contextlib.suppress(fgacore.RequestError):  # of what is revoked, over, suspended or needs a delegation
                sessions.append(chance.choice(makers)())
            for session in chance.sample(sessions, min(3, len(sessions))):
                context = {"x": chance.choice((3, 30))} if session._keys and chance.random() < 0.5 else None
                names = chance.choices(NAMES, k=chance.choice((1, 3, 12)))
                if chance.random() < 0.5:
                    session.decide("can_read", names[0], context=context)
                    count += 1
                else:
                    session.batch_check([("can_read", name) for name in names], context=context)
                    count += len(names)
    return count


def later(clock: Clock, chance: random.Random) -> Any:
    return Clock(clock.seconds + chance.choice((0.5, 10, 100)))()


@pytest.mark.parametrize("seed", range(6))
def test_every_decision_of_a_lively_store_comes_out_as_it_was(seed: int, tmp_path: Path) -> None:
    count = live(tmp_path / "s", seed)
    found = clean(replay(tmp_path / "s"))
    assert found.same == verify(tmp_path / "s" / "decisions").decisions
    assert found.same <= count  # a question that is in error is no decision
    assert found.same > count * 0.7


def test_it_needs_no_snapshot_and_no_engine_to_be_closed(tmp_path: Path) -> None:
    with made(tmp_path / "s") as engine:
        session = engine.session(AGENT, on_behalf_of=ANNE, scope=SCOPE)
        session.check("can_read", "ticket:1")
        engine.snapshot()
        engine.write(deletes=[(ANNE, "reader", "ticket:1")])
        session.check("can_read", "ticket:1")
        assert clean(replay(engine)).same == 2
        session.check("can_read", "ticket:2")
        assert clean(replay(engine)).same == 3
    assert clean(replay(tmp_path / "s")).same == 3


@pytest.mark.parametrize("place", range(4))
def test_an_answer_that_was_changed_comes_out_otherwise(place: int, tmp_path: Path) -> None:
    """By one who made the hashes anew: the store's log is another witness."""
    with made(tmp_path / "s", decision_log="sync") as engine:
        session = engine.session(AGENT, on_behalf_of=ANNE, scope=SCOPE)
        for names in (["ticket:1"], ["ticket:hidden"], ["ticket:1", "ticket:none"], ["ticket:2", "ticket:3"]):
            session.check_objects("can_read", names)
    folder = chain_folders(tmp_path / "s" / "decisions")[0]
    each = blocks(folder)
    record = each[place].records[-1]
    body = bytearray(record.body)
    bits = 32 + 4 * body[24]
    if body[bits] & 1:  # an answer that allowed, made a denial: there are zeros behind it, or the next denial's code
        body[bits] &= ~1
        body[bits + 1 : bits + 1] = b"\x01"
        body = body[: len(record.body)]
    else:
        body[bits] |= 1
        del body[bits + 1]
        body.append(0)
    each[place] = each[place].of([*each[place].records[:-1], replace(record, body=bytes(body))])
    rewrite(folder, each)
    assert verify(tmp_path / "s" / "decisions").good
    found = replay(tmp_path / "s")
    assert found.differences == 1
    assert not found.good
    (example,) = found.examples
    assert (example.sequence, example.place, example.chain) == (place, 0, folder.name)
    assert {example.logged, example.replayed} >= {"allowed"}


@pytest.mark.parametrize(("place", "at", "size", "origin"), [(0, 0, 8, 2), (0, 8, 8, 2), (1, 16, 4, 0)], ids=["revision", "instant", "session"])
def test_what_a_decision_stood_on_cannot_be_changed_unnoticed(place: int, at: int, size: int, origin: int, tmp_path: Path) -> None:
    """A decision that is said to be of another's revision, instant or session, where that makes a difference."""
    clock = Clock()
    with made(tmp_path / "s", decision_log="sync", clock=clock) as engine:
        session = engine.session(AGENT, on_behalf_of=ANNE, scope=SCOPE, expires_in=100)
        other = engine.session(OTHER, on_behalf_of=ANNE, scope=SCOPE)
        assert session.check("can_read", "ticket:1")
        assert not other.check("can_read", "ticket:1")
        clock.seconds += 200
        engine.write([(ANNE, "barred", "ticket:1")])
        assert not session.check("can_read", "ticket:2")
    folder = chain_folders(tmp_path / "s" / "decisions")[0]
    each = blocks(folder)
    *others, record = each[place].records
    body = record.body[:at] + each[origin].records[-1].body[at : at + size] + record.body[at + size :]
    each[place] = each[place].of([*others, replace(record, body=body)])
    rewrite(folder, each)
    assert replay(tmp_path / "s").differences == 1


def test_contexts_of_which_only_the_digest_is_kept_are_apart(tmp_path: Path) -> None:
    with made(tmp_path / "s", log_context="digest") as engine:
        session = engine.session(AGENT, on_behalf_of=ANNE, scope=SCOPE, context_keys=["x"])
        session.check("can_read", "ticket:1")
        session.check_objects("can_read", ["ticket:1", "ticket:2"], context={"x": 1})
        engine.session(AGENT, on_behalf_of=ANNE, scope=SCOPE, context={"x": 1}).check("can_read", "ticket:1")
    assert clean(replay(tmp_path / "s"), context_not_kept=3).same == 1
    assert verify(tmp_path / "s" / "decisions").good


def test_decisions_of_before_a_compaction_are_apart(tmp_path: Path) -> None:
    with made(tmp_path / "s") as engine:
        delegation = engine.delegate(by=ANNE, to=AGENT, scope=SCOPE)
        session = engine.session(delegation)
        session.check_objects("can_read", ["ticket:1", "ticket:2"])
        engine.compact()
        session.check("can_read", "ticket:1")
        session.check("can_read", "ticket:hidden")
        engine.write([("agent:new", "reader", "ticket:1")])
        session.check("can_read", "ticket:2")
        clean(replay(engine), compacted=2)
    assert clean(replay(tmp_path / "s"), compacted=2).same == 3


def test_checks_over_contextual_tuples_are_apart(tmp_path: Path) -> None:
    with made(tmp_path / "s", log_checks=True) as engine:
        engine.check(ANNE, "can_read", "ticket:1")
        engine.check(ANNE, "can_read", "ticket:none", contextual_tuples=[(ANNE, "reader", "ticket:none")])
    assert clean(replay(tmp_path / "s"), contextual=1).same == 1


def test_processes_that_decide_at_once_are_replayed_in_one_walk(tmp_path: Path) -> None:
    """Some behind the others, by clocks that differ, with tuples that expire in between."""
    chance = random.Random(2)
    clocks = [Clock(), Clock(1_750_000_040), Clock(1_749_999_970)]
    made(tmp_path / "s", clock=clocks[2]).close()
    engines = [fgacore.open(tmp_path / "s", clock=clock) for clock in clocks]
    count = 0
    try:
        for step in range(60):
            writer = engines[step % 3]
            who, name = chance.choice((ANNE, AGENT)), chance.choice(NAMES[:12])
            expiry = later(clocks[0], chance)
            writer.write([fgacore.Tuple(who, "barred", name, expires_at=expiry)], on_duplicate="replace")
            for engine in engines:
                if chance.random() < 0.7:
                    engine.wait_for(writer.revision, timeout=20)
                engine.session(AGENT, on_behalf_of=ANNE, scope=SCOPE).check_objects("can_read", NAMES[:12])
                count += 12
            for clock in clocks:
                clock.seconds += chance.choice((0, 3, 20))
    finally:
        for engine in engines:
            engine.close()
    assert len(chain_folders(tmp_path / "s" / "decisions")) == 3
    assert clean(replay(tmp_path / "s")).same == count


def test_a_store_that_was_put_back_is_noticed(tmp_path: Path) -> None:
    """The decisions stand on revisions that it does not have."""
    made(tmp_path / "s").close()
    shutil.copytree(tmp_path / "s", tmp_path / "earlier")
    with fgacore.open(tmp_path / "s") as engine:
        engine.write([(ANNE, "reader", "ticket:late")])
        engine.session(AGENT, on_behalf_of=ANNE, scope=SCOPE).check("can_read", "ticket:1")
    shutil.copytree(tmp_path / "s" / "decisions", tmp_path / "earlier" / "decisions")
    found = replay(tmp_path / "earlier")
    assert found.differences == 1
    assert "revision" in found.examples[0].replayed


def test_progress_is_told(tmp_path: Path) -> None:
    with made(tmp_path / "s") as engine:
        session = engine.session(AGENT, on_behalf_of=ANNE, scope=SCOPE)
        for _ in range(60):
            session.check_objects("can_read", ["ticket:1"] * 500)
    told: list[int] = []
    replay(tmp_path / "s", progress=told.append)
    assert told == sorted(told)
    assert told[-1] >= 20_000
