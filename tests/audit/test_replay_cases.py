"""Every decision comes out again as it was logged, over random histories and in each case that is hard; and one that was changed does not."""

from __future__ import annotations

import os
import random
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgpack
import pytest

import fgacore
from audit.desk import AGENT, ANNE, SCOPE, Block, Clock, Record, blocks, chain_folders, made, rewrite
from fgacore import audit
from fgacore.errors import FgaError, RequestError, StoreError
from properties.lockstep import SOAK
from properties.sessions import Sessions
from strategies import RandomChoices

SEED = int(os.environ.get("FGACORE_SEED") or random.SystemRandom().randrange(1 << 32))
TICKETS = [f"ticket:{number}" for number in range(24)]
COUNT = len(TICKETS) + 4  # decisions of the store that is changed


def lent(engine: fgacore.Engine, **options: Any) -> fgacore.Session:
    return engine.session(engine.delegate(by=ANNE, to=AGENT, scope=SCOPE), **options)


def same(found: audit.Replayed, count: int) -> None:
    assert (found.decisions, found.same, found.differences, dict(found.apart)) == (count, count, 0, {}), found.examples[:5]


# ---- random histories ----


@pytest.mark.parametrize("number", range(40 if SOAK else 6))
def test_random_histories_come_out_as_they_were_logged(number: int) -> None:
    """Writes, models, expiries, conditions, revocations, suspensions, boundaries, settings, clocks that go back, snapshots, compactions, reopenings
    and followers in between."""
    print(f"FGACORE_SEED={SEED}, number {number}")
    source = RandomChoices(f"{SEED}-replay-{number}")
    with closing(Sessions(on_disk=True)) as sessions:
        sessions.any_model(source)
        for _ in range(2):
            sessions.any_write(source)
            sessions.any_delegation(source)
            sessions.any_grant(source)
        for _ in range(60):
            sessions.any_step(source)
        assert sessions.folder is not None
        sessions.engine.close()
        if sessions.follower is not None:
            sessions.follower.close()
        store = sessions.folder / "authz"
        if not (store / "decisions").exists():
            return
        verified, replayed = audit.verify(store / "decisions"), audit.replay(store)
        sessions.require(verified.good and not any(chain.missing or chain.lost for chain in verified.chains), str(verified))
        sessions.require(replayed.differences == 0, "\n".join(map(str, replayed.examples[:5])))
        sessions.require(verified.decisions == replayed.decisions, f"{verified.decisions} verified, {replayed.decisions} replayed")
        sessions.require(replayed.apart.keys() <= {"compacted", "context_not_kept"}, str(replayed.apart))
        sessions.require(replayed.decisions == sum(1 for _ in audit.read(store)), "others are read")


def test_these_histories_are_not_empty() -> None:
    kinds: Counter[str] = Counter()
    for number in range(2):
        source = RandomChoices(f"replay-{number}")
        with closing(Sessions(on_disk=True)) as sessions:
            sessions.any_model(source)
            for _ in range(2):
                sessions.any_write(source)
                sessions.any_delegation(source)
                sessions.any_grant(source)
            for _ in range(60):
                sessions.any_step(source)
            kinds.update(each.code for each in audit.read(sessions.engine))
            kinds["replayed"] += audit.replay(sessions.engine).same
    assert kinds["replayed"] > 500
    assert {"allowed", "not_held", "out_of_scope", "delegation_revoked"} <= kinds.keys(), kinds


# ---- each case that is hard ----


def test_what_changes_between_decisions(tmp_path: Path) -> None:
    with made(tmp_path / "authz") as engine:
        session, count = lent(engine), 0

        def ask() -> None:
            nonlocal count
            session.check_objects("can_read", [*TICKETS, "ticket:unheard-of", "note:1"])
            session.batch_check([("can_read", "ticket:1"), ("can_update", "ticket:2"), ("can_read", "note:1")])
            session.decide("can_read", "ticket:3")
            session.filter_objects("can_update", TICKETS)
            count += len(TICKETS) + 2 + 3 + 1 + len(TICKETS)

        ask()
        engine.write([(ANNE, "barred", "ticket:3")])
        ask()
        engine.suspend(ANNE)
        ask()
        engine.resume(ANNE)
        engine.boundary("agent", "not can_update ticket:*")
        ask()
        engine.snapshot()
        engine.lift_boundary("agent")
        engine.configure(require_delegation=["agent"])
        ask()
        engine.write([(AGENT, "can_read", "note:1"), (ANNE, "can_read", "note:1"), (AGENT, "reader", "ticket:unheard-of")])
        ask()
        assert session.delegation is not None
        engine.revoke(session.delegation)
        ask()
        same(audit.replay(engine), count)
    same(audit.replay(tmp_path / "authz"), count)
    with fgacore.open(tmp_path / "authz") as engine:  # from the snapshot
        lent(engine).check_objects("can_read", TICKETS)
        same(audit.replay(engine), count + len(TICKETS))


def test_time_passes_and_nothing_is_recorded(tmp_path: Path) -> None:
    clock = Clock()
    with made(tmp_path / "authz", clock=clock) as engine:
        for number in range(10):
            at = fgacore.Tuple(AGENT, "reader", f"ticket:t{number}", expires_at=Clock(clock.seconds + number)())
            engine.write([at, (ANNE, "reader", f"ticket:t{number}")])
        session = engine.session(engine.delegate(by=ANNE, to=AGENT, scope=SCOPE, expires_in=8.5), expires_in=7)
        answers = []
        for _ in range(12):
            answers.append(session.check_objects("can_read", [f"ticket:t{number}" for number in range(10)]))
            clock.seconds += 1
        assert len({tuple(answer) for answer in answers}) == 8
        engine.sweep()
        assert session.check("can_read", "ticket:1") is False
        same(audit.replay(engine), 12 * 10 + 1)


def test_conditions_and_their_contexts(tmp_path: Path) -> None:
    clock = Clock()
    with made(tmp_path / "authz", clock=clock) as engine:
        engine.write([fgacore.Tuple(who, "reader", "ticket:c", condition="small") for who in (ANNE, AGENT)])
        engine.write([fgacore.Tuple(who, "reader", "ticket:own", condition="small", context={"x": 3}) for who in (ANNE, AGENT)])
        by_call = lent(engine, context_keys=["x"])
        by_session = lent(engine, context={"x": 5})
        asked = 0
        for x in (1, 20, 1):
            assert by_call.check("can_read", "ticket:c", context={"x": x}) is (x < 10)
            by_call.check_objects("can_read", ["ticket:c", "ticket:own"], context={"x": x})
            asked += 3
        assert by_call.decide("can_read", "ticket:c").code == "undetermined"
        assert by_session.check("can_read", "ticket:c")
        same(audit.replay(engine), asked + 2)


def test_an_engines_own_checks(tmp_path: Path) -> None:
    with made(tmp_path / "authz", log_checks=True) as engine:
        engine.check(ANNE, "can_read", "ticket:1")
        engine.check_objects(AGENT, "can_read", [*TICKETS, "ticket:never"])
        engine.suspend(AGENT)  # bounds sessions, and not an engine's own checks
        assert engine.check(AGENT, "can_read", "ticket:1")
        engine.check(AGENT, "can_read", "ticket:new", contextual_tuples=[(AGENT, "reader", "ticket:new")])
        found = audit.replay(engine)
        assert (found.same, found.differences, dict(found.apart)) == (len(TICKETS) + 3, 0, {"contextual": 1})


def test_threads_that_decide_while_others_write(tmp_path: Path) -> None:
    with made(tmp_path / "authz") as engine:
        session, stop, counts = lent(engine), threading.Event(), Counter[int]()

        def ask(number: int) -> None:
            source = random.Random(number)
            while not stop.is_set():
                size = source.choice((1, 1, 7, 20))
                session.check_objects("can_read", [source.choice(TICKETS) for _ in range(size)])
                counts[number] += size
                time.sleep(0.001)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for turn in range(48):
            ticket = TICKETS[turn % 24]
            if turn // 24 == 0:
                engine.write([(AGENT, "barred", ticket)])
            else:
                engine.write(deletes=[(AGENT, "barred", ticket)])
            if turn % 10 == 0:
                engine.suspend(AGENT)
                engine.resume(AGENT)
        stop.set()
        for thread in threads:
            thread.join()
        same(audit.replay(engine), counts.total())


def test_processes_whose_clocks_differ(tmp_path: Path) -> None:
    ahead, behind = Clock(), Clock()
    with made(tmp_path / "authz", clock=ahead) as first:
        engines = [first, fgacore.open(tmp_path / "authz", clock=behind)]
        until = Clock(ahead.seconds + 30)()
        first.write([fgacore.Tuple(AGENT, "reader", "ticket:late", expires_at=until), (ANNE, "reader", "ticket:late")])
        engines[1].wait_for(first.revision, timeout=20)
        ahead.seconds += 60
        sessions = [lent(first), None]
        engines[1].wait_for(first.revision, timeout=20)
        sessions[1] = lent(engines[1])
        asked = 0
        for _ in range(5):
            for session in sessions:
                assert session is not None
                session.check_objects("can_read", ["ticket:late", "ticket:1"])
                asked += 2
            behind.seconds += 7
            ahead.seconds += 1
        engines[1].close()
        same(audit.replay(first), asked)


def test_what_is_no_store_of_its_own(tmp_path: Path) -> None:
    with fgacore.open(":memory:", log_directory=tmp_path / "log") as engine:
        engine.write_model("model\n  schema 1.1\ntype user\ntype doc\n  relations\n    define viewer: [user]\n")
        with pytest.raises(RequestError, match="no log of its own") as caught:
            audit.replay(engine)
        assert caught.value.code == "invalid_store"
    with pytest.raises(StoreError):
        audit.replay(tmp_path / "nowhere")
    with made(tmp_path / "authz"):
        pass
    with pytest.raises(StoreError, match="no such directory"):
        audit.replay(tmp_path / "authz", tmp_path / "nowhere")
    same(audit.replay(tmp_path / "authz"), 0)  # nothing was decided yet


# ---- what was changed, by somebody who makes the hashes anew ----


def changed(path: Path, change: Callable[[list[Record]], list[Record]]) -> audit.Replayed:
    """A log whose records were changed, which verifies all the same, replayed."""
    (folder,) = chain_folders(path / "decisions")
    new: list[Block] = [block.of(change(block.records)) for block in blocks(folder)]
    rewrite(folder, new)
    assert audit.verify(path / "decisions").good
    return audit.replay(path)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "authz"
    with made(path) as engine:
        engine.write([fgacore.Tuple(who, "reader", "ticket:c", condition="small") for who in (ANNE, AGENT)])
        session = lent(engine, context_keys=["x"])
        session.check_objects("can_read", [*TICKETS, "ticket:unheard-of"], context={"x": 1})  # the last five are not held
        engine.write([(AGENT, "barred", "ticket:0")])
        session.check("can_read", "ticket:c", context={"x": 2})
        session.check("can_read", "ticket:c", context={"x": 12})
        session.check("can_read", "ticket:0")  # anne holds it, the agent does not
    same(audit.replay(path), COUNT)
    return path


def edited(at: int, form: str, value: int, *, number: int = 0) -> Callable[[list[Record]], list[Record]]:
    """The record of decisions of that sequence number with another value in its body."""

    def change(records: list[Record]) -> list[Record]:
        new = []
        for record in records:
            if record.kind == 1 and record.sequence == number:
                body = bytearray(record.body)
                struct.pack_into(form, body, at, value)
                record = Record(record.kind, record.flags, record.sequence, bytes(body))
            new.append(record)
        return new

    return change


BITS = 32 + 4 * (len(TICKETS) + 1)  # of the batch: after head and ids


def test_another_code_or_link(store: Path) -> None:
    code = BITS + 4  # of the first of those that were denied
    found = changed(store, edited(code, "<B", 1 | 1 << 4))
    assert (found.differences, found.same) == (1, COUNT - 1)
    (told,) = found.examples
    assert (told.sequence, told.place, told.logged, told.replayed) == (0, 20, "not_held of 1", "not_held")
    assert not found


def test_an_allow_that_was_a_denial(store: Path) -> None:
    """The bit of a single decision is set, and its code is the padding's."""
    found = changed(store, edited(32 + 4, "<H", 1, number=2))
    assert (found.differences, [each.sequence for each in found.examples]) == (1, [2])
    assert (found.examples[0].logged, found.examples[0].replayed[:8]) == ("allowed", "not_held")


def test_another_revision(store: Path) -> None:
    with fgacore.open(store) as engine:
        newest = engine.revision
    found = changed(store, edited(0, "<Q", newest))
    assert [each.place for each in found.examples] == [0]  # ticket:0, which is barred by then
    assert changed(store, edited(0, "<Q", newest + 1)).differences == len(TICKETS) + 1
    assert changed(store, edited(0, "<Q", 2**64 - 1)).differences == len(TICKETS) + 1
    assert changed(store, edited(0, "<Q", 1)).differences == len(TICKETS) + 1  # the model alone: nothing is held, and the delegation is not there


def test_another_instant(store: Path) -> None:
    assert changed(store, edited(8, "<q", 250_000_000_000_000_000)).good  # in the year 9892; nothing of it ends before
    for instant in (-5, 0, 1):
        found = changed(store, edited(8, "<q", instant))
        assert found.differences == len(TICKETS) + 1, (instant, found)
        assert found.same == 3
    for instant in (2**63 - 1, -(2**63)):  # no time at all
        with pytest.raises(StoreError) as caught:
            changed(store, edited(8, "<q", instant))
        assert caught.value.code == "corrupt"


def test_another_context(store: Path) -> None:
    found = changed(store, edited(20, "<I", 2, number=2))
    assert [each.sequence for each in found.examples] == [2]


def test_another_object(store: Path) -> None:
    assert changed(store, edited(32, "<I", 2**31, number=1)).differences == 1
    assert changed(store, edited(28, "<H", 60_000, number=1)).differences == 1
    assert changed(store, edited(30, "<H", 60_000, number=1)).differences == 1


def described(change: dict[str, Any]) -> Callable[[list[Record]], list[Record]]:
    """The description of a session with other values."""

    def of(records: list[Record]) -> list[Record]:
        new = []
        for record in records:
            if record.kind == 2:
                number, session = record.note
                data = msgpack.packb(dict(sorted({**session, **change}.items())))
                body = struct.pack("<II", number, len(data)) + data
                record = Record(2, 0, record.sequence, body + bytes(-len(body) % 8))
            new.append(record)
        return new

    return of


@pytest.mark.parametrize(
    ("change", "differences"),
    [
        ({"principals": [ANNE, "agent:other"]}, COUNT),
        ({"principals": ["user:eve", AGENT]}, COUNT),
        ({"delegations": [None, "01M89EDB0JSEM4ZZ8RWACKVC67"]}, COUNT),
        ({"delegations": [None, None], "unrecorded": True}, 0),
        ({"scopes": [None, ["not can_read ticket:*"]]}, COUNT),
        ({"holds": [True, False]}, 1),
        ({"expires": 1}, COUNT),
        ({"model": "01M89EDB0JSEM4ZZ8RWACKVC67"}, COUNT),
    ],
)
def test_another_session(change: dict[str, Any], differences: int, store: Path) -> None:
    found = changed(store, described(change))
    assert found.differences == differences, Counter((each.logged, each.replayed) for each in found.examples)


def test_what_the_next_version_means_is_not_judged_by_this_one(store: Path) -> None:
    found = changed(store, described({"semantics": 2}))
    assert (found.differences, dict(found.apart)) == (0, {"other_semantics": COUNT})


@pytest.mark.parametrize(
    "change",
    [
        {"principals": []},
        {"principals": [ANNE]},
        {"principals": [ANNE, 3]},
        {"principals": ANNE},
        {"principals": [f"agent:{number}" for number in range(40)], "delegations": [None] * 40, "holds": [True] * 40, "scopes": [None] * 40},
        {"principals": ["", "agent:*"]},
        {"delegations": 3},
        {"holds": [True]},
        {"holds": None},
        {"scopes": [None]},
        {"scopes": [None, ["no such entry"]]},
        {"scopes": [None, [3]]},
        {"expires": "soon"},
        {"expires": 2**63},
        {"context": 7},
        {"context": "x"},
        {"context_keys": [1]},
        {"context_keys": None},
        {"model": None},
        {"task": 3},
        {"semantics": "1"},
        {"generation": None},
    ],
)
def test_a_session_that_is_none(change: dict[str, Any], store: Path) -> None:
    """Whatever is said of it: damage or differences, and nothing else."""
    try:
        found = changed(store, described(change))
    except StoreError:
        with pytest.raises(StoreError) as caught:
            list(audit.read(store))
        assert caught.value.code == "corrupt"
    else:
        assert found.differences == COUNT
        assert len(list(audit.read(store))) == COUNT


@pytest.mark.parametrize("number", range(40 if SOAK else 4))
def test_random_bytes_under_right_hashes(number: int, store: Path) -> None:
    """Somebody who makes the hashes anew can write anything: it is told, and nothing breaks."""
    print(f"FGACORE_SEED={SEED}, number {number}")
    source = random.Random(f"{SEED}-bytes-{number}")
    (folder,) = chain_folders(store / "decisions")
    whole, told = blocks(folder), set[str]()
    for _ in range(40):
        new = []
        for block in whole:
            data = bytearray(block.payload)
            for _ in range(source.choice((0, 1, 1, 2, 6))):
                at = source.randrange(len(data))
                data[at] = source.choice((0, 1, 0x7F, 0x80, 0xFF, data[at] ^ 1 << source.randrange(8), source.randrange(256)))
            new.append(Block(block.flags, block.first, block.decisions, block.time, block.hash, block.signature, bytes(data)))
        rewrite(folder, new)
        audit.verify(store / "decisions")
        for call in (lambda: audit.replay(store), lambda: list(audit.read(store))):
            try:
                call()
            except FgaError as error:
                told.add(error.code)
    assert told <= {"corrupt", "unknown_record"}
