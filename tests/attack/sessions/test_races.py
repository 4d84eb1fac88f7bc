"""Sessions asked while others record: nothing is allowed after it was stopped, and each answer is of one version."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fgacore
from attack.sessions.desk import ANNE, ASSIGNED, EVERYTHING, HELPER, MODEL, SUPPORT, code_of, conditioned, delegated, denied, nothing

ROUNDS = 2_000 if os.environ.get("FGACORE_SOAK") else 120
pytestmark = pytest.mark.usefixtures("_restless")


class Watch:
    """Threads that ask until the test is done. Each writes down what it finds with what was in force before and after the question."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.faults: list[str] = []
        self.turns = 0
        self._threads: list[threading.Thread] = []

    def run(self, work: Callable[[], str | None]) -> None:
        def loop() -> None:
            while not self.over.is_set():
                try:
                    fault = work()
                except BaseException as error:  # noqa: BLE001 - told by the main thread
                    fault = repr(error)
                self.turns += 1
                if fault is not None:
                    self.faults.append(fault)
                    return

        self._threads.append(threading.Thread(target=loop, daemon=True))
        self._threads[-1].start()

    def let_ask(self) -> None:
        turns = self.turns
        while self.turns == turns and not self.faults:
            time.sleep(0)

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self._threads:
            thread.join(60)
        assert not self.faults, self.faults[0]


@pytest.mark.parametrize("stop", ["suspend", "boundary", "delete", "configure"])
def test_nothing_is_allowed_that_began_after_the_stop_returned(stop: str, engine: Any) -> None:
    """`stopped` is even while it may be allowed; a question that sees the same odd number before and after must be denied."""
    unrecorded = engine.session(SUPPORT, on_behalf_of=ANNE, scope=list(EVERYTHING))
    session = unrecorded if stop == "configure" else engine.session(engine.delegate(by=ANNE, to=SUPPORT, scope=list(EVERYTHING)))
    steps = {
        "suspend": (lambda: engine.suspend(SUPPORT), lambda: engine.resume(SUPPORT)),
        "boundary": (lambda: engine.boundary("agent", "not can_read ticket:*"), lambda: engine.lift_boundary("agent")),
        "delete": (lambda: engine.write([(ANNE, "barred", name) for name in ASSIGNED]), lambda: engine.delete(relation="barred")),
        "configure": (lambda: engine.configure(require_delegation=["agent"]), lambda: engine.configure(require_delegation=[])),
    }
    down, up = steps[stop]
    state = {"turn": 0}
    doors: list[Callable[[], Any]] = [
        lambda: session.check("can_read", "ticket:1"),
        lambda: session.decide("can_read", "ticket:1").allowed,
        lambda: any(session.check_objects("can_read", ASSIGNED * 50)),
        lambda: bool(session.filter_objects("can_read", ASSIGNED)),
        lambda: any(session.batch_check([("can_read", name) for name in ASSIGNED])),
        lambda: bool(len(session.list_objects("can_read", "ticket"))),
        lambda: "can_read" in session.list_relations("ticket:1"),
        lambda: bool(len(session.reach().definite["ticket", "can_read"])),
    ]
    turns = itertools.cycle(doors)

    def ask() -> str | None:
        door = next(turns)
        before = state["turn"]
        answer = door()
        after = state["turn"]
        if before == after and before % 4 == 2 and answer:
            return f"allowed after the stop by door {doors.index(door)}"
        if before == after and before % 4 == 0 and not answer:
            return f"denied after the start by door {doors.index(door)}"
        return None

    with Watch() as watch:
        for _ in range(3):
            watch.run(ask)
        for _ in range(ROUNDS):
            state["turn"] += 1
            down()
            state["turn"] += 1
            watch.let_ask()
            state["turn"] += 1
            up()
            state["turn"] += 1
            watch.let_ask()


def test_a_batch_is_of_one_version(engine: Any) -> None:
    """In each version one of the two tickets is allowed: of the other, anne or the agent lacks it. No answer has both or none."""
    session = delegated(engine)
    for subject in (ANNE, SUPPORT):
        engine.delete(subject=subject)
        engine.write([(subject, "reader", "ticket:left"), (subject, "reader", "ticket:right")])
    names = ["ticket:left", "ticket:right"]
    engine.write([], deletes=[(ANNE, "reader", "ticket:right")])

    def ask() -> str | None:
        found = session.check_objects("can_read", names)
        listed = set(session.list_objects("can_read", "ticket"))
        kept = session.filter_objects("can_read", names)
        batch = list(session.batch_check([("can_read", name) for name in names]))
        reached = set(session.reach().definite["ticket", "can_read"])
        if sum(found) != 1 or len(listed) != 1 or len(kept) != 1 or sum(batch) != 1 or len(reached) != 1:
            return f"mixed: {found}, {listed}, {kept}, {batch}, {reached}"
        return None

    with Watch() as watch:
        for _ in range(3):
            watch.run(ask)
        for turn in range(ROUNDS):
            there, gone = names if turn % 2 else names[::-1]
            who, other = (ANNE, SUPPORT) if turn % 4 < 2 else (SUPPORT, ANNE)
            writes = [(who, "reader", there), (other, "reader", there), (other, "reader", gone)]
            engine.write(writes, deletes=[(who, "reader", gone)], on_duplicate="ignore", on_missing="ignore")
            watch.let_ask()


def test_records_and_tuples_are_of_one_version(engine: Any) -> None:
    """The agent is suspended before it is given a right, and loses it before it is resumed: at no revision may it use it."""
    session = delegated(engine)
    engine.delete(subject=SUPPORT)

    def ask() -> str | None:
        found = session.check_objects("can_read", ASSIGNED)
        listed = set(session.list_objects("can_read", "ticket"))
        reached = session.reach().definite["ticket", "can_read"]
        if any(found) or listed or len(reached) or session.check("can_read", "ticket:1") or session.decide("can_read", "ticket:1"):
            return f"allowed what it never might: {found}, {listed}, {list(reached)}"
        return None

    with Watch() as watch:
        for _ in range(3):
            watch.run(ask)
        for _ in range(ROUNDS):
            engine.suspend(SUPPORT)
            engine.write([(SUPPORT, "assignee", name) for name in ASSIGNED])
            watch.let_ask()
            engine.delete(subject=SUPPORT)
            engine.resume(SUPPORT)


def test_many_hand_on_at_once_and_nothing_outlives_the_root(engine: Any) -> None:
    """Children are made while the root is revoked: each is refused, or is denied after."""
    for _ in range(10):
        id = engine.delegate(by=ANNE, to=SUPPORT, scope=list(EVERYTHING), redelegations=3)
        session, made = engine.session(id), []
        gate = threading.Barrier(4)

        def hand_on(session: Any = session, made: list[str] = made, gate: threading.Barrier = gate) -> None:
            gate.wait()
            for _ in range(20):
                with contextlib.suppress(fgacore.RequestError):
                    made.append(session.delegate(to=HELPER, scope=list(EVERYTHING)))

        threads = [threading.Thread(target=hand_on) for _ in range(3)]
        for thread in threads:
            thread.start()
        gate.wait()
        revision = engine.revoke(id)
        for thread in threads:
            thread.join(60)
        for child in made:
            assert code_of(lambda child=child: denied(engine.session(child), "delegation_revoked", SUPPORT)) in ("done", "invalid_delegation")
        assert all(item.revision < revision for item in engine.delegations(to=HELPER) if item.id in made)
        assert engine.delegations(to=HELPER, active=True) == []


def test_one_session_is_asked_by_many_threads(engine: Any) -> None:
    """With other contexts, objects and relations at once: no answer is another's."""
    conditioned(engine)
    session = engine.session(SUPPORT, on_behalf_of=ANNE, scope=["can_read ticket:*", "not can_read ticket:2"], context_keys=["x"])
    cases = [("ticket:1", 1, True), ("ticket:2", 1, False), ("ticket:21", 1, True), ("ticket:21", 50, False), ("ticket:4", 1, False)]
    number = itertools.count()

    def ask() -> str | None:
        name, x, right = cases[next(number) % len(cases)]
        found = session.check("can_read", name, context={"x": x})
        many = session.check_objects("can_read", [name, "ticket:1", "ticket:2"], context={"x": x})
        return None if (found, many) == (right, [right, True, False]) else f"{name} {x}: {found}, {many}"

    with Watch() as watch:
        for _ in range(4):
            watch.run(ask)
        for turn in range(ROUNDS // 2):
            engine.write([(f"agent:other-{turn}", "assignee", f"ticket:other-{turn}")])
            if turn % 20 == 19:
                engine.merge()
            watch.let_ask()


def test_closing_under_way_ends_questions_cleanly(path: Path) -> None:
    for _ in range(5):
        engine: Any = fgacore.open(path)
        session = engine.session(engine.delegate(by=ANNE, to=SUPPORT, scope=list(EVERYTHING)))

        def ask(session: Any = session) -> str | None:
            """What is allowed, a denial since the log takes nothing any more, or the error that says so."""
            try:
                answer = session.check_objects("can_read", ASSIGNED)
                if answer == [True] * 3:
                    return None
                decision = session.decide("can_read", "ticket:1")
            except fgacore.StoreError as error:
                return None if error.code == "closed" else f"closing gave {error.code}"
            return None if answer == [False] * 3 and decision.code in ("log_failed", "allowed") else f"closing gave {answer}, {decision}"

        with Watch() as watch:
            for _ in range(3):
                watch.run(ask)
            watch.let_ask()
            engine.close()
            for _ in range(20):
                watch.let_ask()


def test_two_engines_of_one_store_never_allow_after_they_have_the_news(path: Path) -> None:
    with fgacore.open(path) as left_, fgacore.open(path) as right_:
        left: Any = left_
        right: Any = right_
        session = right.session(SUPPORT, on_behalf_of=ANNE, scope=list(EVERYTHING))
        for turn in range(ROUNDS // 4):
            revision = left.suspend(SUPPORT) if turn % 2 == 0 else left.resume(SUPPORT)
            right.wait_for(revision, timeout=20)
            assert session.check("can_read", "ticket:1", at_least=revision) is (turn % 2 == 1)
        if not session.check("can_read", "ticket:1"):
            nothing(session)


@pytest.mark.parametrize("work", ["compact", "merge", "model", "reopen"])
def test_what_the_store_goes_through_changes_no_answer(work: str, path: Path) -> None:
    """Names are numbered anew, tables are exchanged, models come and go, other engines open and close: the same is allowed, and no more."""
    lesser = MODEL.replace("type payment\n  relations\n    define can_read: [user, agent]\n", "")
    with fgacore.open(path) as opened:
        engine: Any = opened
        engine.write([(f"agent:filler-{number}", "assignee", f"ticket:filler-{number}") for number in range(30)])
        id = engine.delegate(by=ANNE, to=SUPPORT, scope=["can_read ticket:*", "not can_read ticket:2", "can_read payment:*"])
        session = engine.session(id)
        names = ["ticket:filler-1", *ASSIGNED, "ticket:filler-2"]

        def ask() -> str | None:
            found = session.check_objects("can_read", names)
            listed = set(session.list_objects("can_read", "ticket"))
            decision = session.decide("can_read", "ticket:2")
            fresh = engine.session(id).check("can_read", "ticket:3")
            try:
                payment = session.check("can_read", "payment:1")
            except fgacore.RequestError as error:
                payment = work == "model" and error.code == "type_not_found"
            if found != [False, True, False, True, False] or listed != {"ticket:1", "ticket:3"} or not fresh or not payment:
                return f"{found}, {listed}, {fresh}, {payment}"
            return None if decision.code == "out_of_scope" else f"{decision}"

        with Watch() as watch:
            for _ in range(3):
                watch.run(ask)
            for turn in range(ROUNDS // 6):
                if work == "model":
                    engine.write_model(lesser if turn % 2 == 0 else MODEL)
                elif work == "reopen":
                    with fgacore.open(path) as other_:
                        other: Any = other_
                        assert other.session(id).check("can_read", "ticket:1")
                        other.write([(f"agent:new-{turn}", "assignee", "ticket:new")])
                else:
                    engine.delete(subject=f"agent:filler-{turn % 30}")
                    engine.write([(f"agent:other-{turn}", "assignee", f"ticket:other-{turn}")])
                    getattr(engine, work)()
                watch.let_ask()


def test_delegations_made_at_once_have_ids_of_their_own(path: Path) -> None:
    """By two engines over one store, in threads."""
    with fgacore.open(path) as left, fgacore.open(path) as right:
        made: list[str] = []

        def work(engine: Any) -> None:
            made.extend(engine.delegate(by=ANNE, to=SUPPORT, scope=["can_read ticket:1"]) for _ in range(20))

        threads = [threading.Thread(target=work, args=(engine,)) for engine in (left, right, left, right)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(set(made)) == 80
        for engine in (left, right):
            any_engine: Any = engine
            any_engine.wait_for(max(left.revision, right.revision), timeout=20)
            assert {item.id for item in any_engine.delegations()} == set(made)
            revisions = [item.revision for item in any_engine.delegations()]
            assert len(set(revisions)) == 80
