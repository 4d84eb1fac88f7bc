"""Expiry from the rules' text alone: absent from the instant on, at every hop, on every path, whatever the clock does and was known before."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import fgacore
from fgacore import FgaError, Question, RequestError, Tuple
from fgacore.errors import CODES

Answer = bool | str
Fact = Tuple | tuple[str, str, str]

MODEL = """
model
  schema 1.1
type user
type group
  relations
    define member: [user, user:*, user with low, group#member]
type folder
  relations
    define parent: [folder]
    define viewer: [user, group#member] or viewer from parent
type doc
  relations
    define parent: [folder, folder with low]
    define reader: [user, user:*, user with low, user:* with low, group#member, group#member with low]
    define barred: [user, user:*, group#member]
    define viewer: reader or viewer from parent
    define can: viewer but not barred
    define both: reader and barred
    define knot: [user, doc#knot] but not held
    define held: [user, doc#knot]
condition low(x: int) {
  x < 10
}
"""
START = 1_700_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KEY = ("user:a", "reader", "doc:1")


def instant(seconds: float) -> datetime:
    """So many seconds after START, exact to the microsecond."""
    return EPOCH + timedelta(seconds=START) + timedelta(microseconds=round(seconds * 1e6))


class Clock:
    """A clock that a test sets: `now` is what a call gives back, or an exception that it raises."""

    def __init__(self) -> None:
        self.now: Any = START
        self.calls = 0

    def __call__(self) -> Any:
        self.calls += 1
        if isinstance(self.now, BaseException):
            raise self.now
        return self.now


def made(*facts: Any, model: str = MODEL) -> tuple[fgacore.Engine, Clock]:
    clock = Clock()
    engine = fgacore.open(":memory:", clock=clock)
    engine.write_model(model)
    if facts:
        engine.write(facts)
    return engine, clock


def until(fact: tuple[str, str, str], seconds: float, *condition: Any) -> Tuple:
    return Tuple(*fact, *(condition or (None, None)), expires_at=instant(seconds))


def outcome(call: Callable[[], Any]) -> Answer:
    try:
        return bool(call())
    except FgaError as error:
        return error.code


def ask(
    engine: fgacore.Engine, subject: str, relation: str, name: str, context: Mapping[str, Any] | None = None, contextual: Sequence[Fact] = ()
) -> Answer:
    """The answer of every path, which must be one."""
    triple = (subject, relation, name)
    both: dict[str, Any] = {"context": context, "contextual_tuples": contextual}
    answers: dict[str, Answer] = {}
    answers["check"] = outcome(lambda: engine.check(*triple, **both))
    for count in (1, 70):
        answers[f"check_objects {count}"] = outcome(lambda names=[name] * count: all(engine.check_objects(subject, relation, names, **both)))
        result = engine.batch_check([Question(*triple, **both)] * count)
        answers[f"batch_check {count}"] = result.errors[0].code if result.errors else all(result)
        assert len(set(result)) == 1
    kind, _, part = subject.partition(":")
    if "#" not in part and part != "*":
        subject_id = int(engine.ids(kind, [part])[0])
        ids = engine.ids(name.partition(":")[0], [name.partition(":")[2]] * 70)
        if subject_id != fgacore.NONE and ids[0] != fgacore.NONE:
            answers["check_ids"] = outcome(
                lambda: engine.check_ids(subject_id, relation, ids, subject_type=kind, object_type=name.partition(":")[0], **both).all()
            )
    answers["check again"] = outcome(lambda: engine.check(*triple, **both))
    assert len(set(answers.values())) == 1, (triple, answers)
    return answers["check"]


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(FgaError) as caught:
        call()
    return caught.value.code


HOPS: dict[str, list[tuple[str, str, str]]] = {  # each fact alone can expire, and makes user:a no viewer of doc:1 then
    "direct": [KEY],
    "wildcard": [("user:*", "reader", "doc:1")],
    "userset": [("user:a", "member", "group:g"), ("group:g#member", "reader", "doc:1")],
    "wildcard member": [("user:*", "member", "group:g"), ("group:g#member", "reader", "doc:1")],
    "userset's userset": [("user:a", "member", "group:h"), ("group:h#member", "member", "group:g"), ("group:g#member", "reader", "doc:1")],
    "parent": [("user:a", "viewer", "folder:f"), ("folder:f", "parent", "doc:1")],
    "parents": [
        ("user:a", "member", "group:g"),
        ("group:g#member", "viewer", "folder:e"),
        ("folder:e", "parent", "folder:f"),
        ("folder:f", "parent", "doc:1"),
    ],
}
CASES = [(hop, number) for hop, facts in HOPS.items() for number in range(len(facts))]


@pytest.mark.parametrize(("hop", "number"), CASES)
@pytest.mark.parametrize("warm", [0, 4])
def test_a_tuple_is_absent_from_its_instant_on_at_every_hop(hop: str, number: int, warm: int) -> None:
    facts: list[Any] = list(HOPS[hop])
    facts[number] = until(facts[number], 100)
    engine, clock = made(*facts)
    for _ in range(warm):
        assert ask(engine, "user:a", "can", "doc:1") is True
    for now, answer in ((99, True), (99.999999, True), (100, False), (100.000001, False), (101, False), (10**6, False)):
        clock.now = instant(now)
        assert ask(engine, "user:a", "can", "doc:1") is answer, now
    assert engine.revision == 2, "expiry is no write"


@pytest.mark.parametrize("bar", [("user:a", "barred", "doc:1"), ("user:*", "barred", "doc:1"), ("group:b#member", "barred", "doc:1")])
@pytest.mark.parametrize("hop", HOPS)
def test_an_expired_bar_bars_no_more(hop: str, bar: tuple[str, str, str]) -> None:
    """A subtraction that expires grants, at its instant and not before."""
    engine, clock = made(*HOPS[hop], until(bar, 100), ("user:a", "member", "group:b"))
    for _ in range(4):
        assert ask(engine, "user:a", "viewer", "doc:1") is True
        assert ask(engine, "user:a", "can", "doc:1") is False
    clock.now = instant(99.999999)
    assert ask(engine, "user:a", "can", "doc:1") is False
    clock.now = instant(100)
    assert ask(engine, "user:a", "can", "doc:1") is True


@pytest.mark.parametrize("forms", list(itertools.product(["datetime", "int", "float"], repeat=2)), ids=str)
def test_a_clock_may_speak_in_seconds_or_datetimes(forms: tuple[str, str]) -> None:
    speak: dict[str, Callable[[float], Any]] = {
        "datetime": lambda seconds: instant(seconds).astimezone(ZoneInfo("Asia/Kathmandu")),
        "int": lambda seconds: START + int(seconds),
        "float": lambda seconds: START + float(seconds),
    }
    engine, clock = made(until(KEY, 100))
    clock.now = speak[forms[0]](99)
    assert ask(engine, *KEY) is True
    clock.now = speak[forms[1]](100)
    assert ask(engine, *KEY) is False


def test_the_wall_clock_is_the_default() -> None:
    engine = fgacore.open(":memory:")
    engine.write_model(MODEL)
    now = datetime.now(UTC)
    soon = now + timedelta(milliseconds=300)
    engine.write([Tuple(*KEY, expires_at=soon), Tuple("user:b", "reader", "doc:1", expires_at=now - timedelta(seconds=1))])
    assert engine.check(*KEY)
    assert not engine.check("user:b", "reader", "doc:1")
    while datetime.now(UTC) <= soon:
        time.sleep(0.01)
    assert not engine.check(*KEY)


def test_engine_time_never_goes_back() -> None:
    engine, clock = made(until(KEY, 100), until(("user:a", "reader", "doc:2"), 200))
    clock.now = instant(150)
    assert ask(engine, *KEY) is False
    for now in (instant(50), START - 10**6, 1, 0, 0.0, instant(99.999999), datetime(1971, 1, 1, tzinfo=UTC)):
        clock.now = now
        assert ask(engine, *KEY) is False, "an expired tuple came back with the clock"
        assert ask(engine, "user:a", "reader", "doc:2") is True
        assert code_of(lambda: engine.write(deletes=[KEY])) == "tuple_missing"
        engine.write([until(("user:a", "reader", "doc:3"), 149)], on_duplicate="replace")
        assert ask(engine, "user:a", "reader", "doc:3") is False, "expired already by the time that the engine has seen"
    for now in (-1, -(10**9), datetime(1900, 1, 1, tzinfo=UTC)):  # before all times that there are: the past, or no time
        clock.now = now
        assert outcome(lambda: engine.check(*KEY)) in (False, "clock_failed")
    clock.now = instant(200)
    assert ask(engine, "user:a", "reader", "doc:2") is False


@pytest.mark.parametrize("seer", ["check", "check_objects", "batch_check", "check_ids", "read", "write", "sweep"])
def test_every_call_that_reads_the_clock_moves_the_engines_time(seer: str) -> None:
    engine, clock = made(until(KEY, 100), until(("user:a", "reader", "doc:2"), 1_000))
    ids = engine.ids("doc", ["1"])
    clock.now = instant(100)
    calls: dict[str, Callable[[], object]] = {
        "check": lambda: engine.check(*KEY),
        "check_objects": lambda: engine.check_objects("user:a", "reader", ["doc:1"]),
        "batch_check": lambda: engine.batch_check([KEY]),
        "check_ids": lambda: engine.check_ids(int(engine.ids("user", ["a"])[0]), "reader", ids, subject_type="user", object_type="doc"),
        "read": lambda: list(engine.read()),
        "write": lambda: engine.write([("user:z", "reader", "doc:z")]),
        "sweep": engine.sweep,
    }
    calls[seer]()
    clock.now = instant(0)
    assert ask(engine, *KEY) is False
    assert ask(engine, "user:a", "reader", "doc:2") is True


def test_many_expiries_in_jumps_of_every_size() -> None:
    count = 2_000
    generator = random.Random(11)
    ends = [generator.randrange(1, 500) for _ in range(count)]
    engine, clock = made(*(until(("user:a", "reader", f"doc:{i}"), end) for i, end in enumerate(ends)))
    engine.write([until((f"user:{i}", "reader", "doc:many"), end) for i, end in enumerate(ends)])
    objects = [f"doc:{i}" for i in range(count)]
    questions = [(f"user:{i}", "can", "doc:many") for i in range(count)]
    for now in (0, 1, 2, 3, 40, 41, 250, 251, 499, 500, 501):
        clock.now = instant(now)
        wanted = [end > now for end in ends]
        assert engine.check_objects("user:a", "can", objects) == wanted
        assert list(engine.batch_check(questions)) == wanted
        assert [engine.check("user:a", "viewer", name) for name in objects[:50]] == wanted[:50]
        assert sum(1 for _ in engine.read()) == 2 * sum(wanted)
    assert engine.revision == 3


def test_thousands_of_expiries_at_one_instant() -> None:
    count = 20_000
    engine, clock = made(*(until((f"user:{i}", "member", "group:g"), 100) for i in range(count)), ("group:g#member", "reader", "doc:1"))
    engine.write([(f"user:k{i}", "member", "group:g") for i in range(500)])
    questions = [(f"user:{i}", "viewer", "doc:1") for i in range(0, count, 7)] + [(f"user:k{i}", "viewer", "doc:1") for i in range(500)]
    split = len(questions) - 500
    for _ in range(2):
        assert list(engine.batch_check(questions)) == [True] * len(questions)
    clock.now = instant(100)
    for _ in range(2):
        assert list(engine.batch_check(questions)) == [False] * split + [True] * 500
    revision = engine.revision
    assert engine.sweep(actor="user:janitor", reason="nightly") == revision + 1
    assert engine.stats().tuples == 501
    assert list(engine.batch_check(questions)) == [False] * split + [True] * 500
    change = list(engine.changes(since=revision))[-1]
    assert (change.kind, change.deleted, change.actor, change.reason, change.revision) == ("expiry", count, "user:janitor", "nightly", revision + 1)


def test_one_batch_has_one_instant() -> None:
    """A clock that ticks at every look at it: answers in one batch are all from before or all from after."""
    clock = itertools.count(START)
    looks = []

    def ticking() -> int:
        looks.append(next(clock))
        return looks[-1]

    engine = fgacore.open(":memory:", clock=ticking)
    engine.write_model(MODEL)
    engine.write([until(("user:a", "reader", f"doc:{i}"), 30) for i in range(1_000)])
    engine.write([until((f"user:{i}", "member", "group:g"), 30) for i in range(1_000)] + [("group:g#member", "reader", "doc:g")])
    ids = engine.ids("doc", [str(i) for i in range(1_000)])
    user = int(engine.ids("user", ["a"])[0])
    seen = set()
    for turn in range(60):
        before = len(looks)
        answers = (
            engine.check_objects("user:a", "can", [f"doc:{i}" for i in range(1_000)]),
            list(engine.batch_check([(f"user:{i}", "can", "doc:g") for i in range(1_000)])),
            list(engine.batch_check([Question("user:a", "can", f"doc:{i}", context={"x": i}) for i in range(300)])),
            engine.check_ids(user, "can", ids, subject_type="user", object_type="doc").tolist(),
            [found.relation == "reader" for found in engine.read(object="doc:7")],
        )
        assert len(looks) - before <= len(answers), "one call looks at the clock once"
        for answer in answers:
            assert len(set(answer)) <= 1, turn
        seen.add(answers[0][0])
        if not answers[3][0]:
            break
    assert seen <= {True, False}
    assert not engine.check("user:a", "can", "doc:7")


# Writes, deletes, read, sweep


def test_an_expired_tuple_is_missing_for_writes_and_deletes() -> None:
    for option in ("error", "ignore", "replace"):
        engine, clock = made(until(KEY, 100), ("user:a", "reader", "doc:2"))
        clock.now = instant(100)
        assert code_of(lambda engine=engine: engine.write(deletes=[KEY])) == "tuple_missing"
        assert engine.write(deletes=[KEY], on_missing="ignore") == 2
        for form in ((), ("low", {"x": 1}), (None, None, instant(200))):
            engine, clock = made(until(KEY, 100), ("user:a", "reader", "doc:2"))
            clock.now = instant(100)
            engine.write([Tuple(*KEY, *form)], on_duplicate=option)  # type: ignore[arg-type]
            assert ask(engine, *KEY) is True
            (found,) = engine.read(object="doc:1")
            assert found == Tuple(*KEY, *(*form, None, None, None)[:3])
            clock.now = instant(200)
            assert ask(engine, *KEY) is (len(form) != 3)
            assert engine.sweep() >= 3
            assert ask(engine, *KEY) is (len(form) != 3), "a sweep removed what was written since"
            engine.write(deletes=[KEY], on_missing="ignore")
            assert ask(engine, *KEY) is False


def test_an_expiry_is_moved_shortened_and_lifted_by_replace() -> None:
    for warm in (0, 4):
        engine, clock = made(until(KEY, 100))
        for _ in range(warm):
            ask(engine, *KEY)
        engine.write([until(KEY, 200)], on_duplicate="replace")  # later
        clock.now = instant(100)
        assert ask(engine, *KEY) is True
        engine.write([until(KEY, 120)], on_duplicate="replace")  # earlier
        clock.now = instant(119.999999)
        assert ask(engine, *KEY) is True
        engine.write([until(KEY, 130)], deletes=[KEY])
        clock.now = instant(120)
        assert ask(engine, *KEY) is True
        engine.write([KEY], on_duplicate="replace")  # for good
        clock.now = instant(10_000)
        assert ask(engine, *KEY) is True
        engine.write([until(KEY, 10_001)], on_duplicate="replace")  # for a second more
        assert ask(engine, *KEY) is True
        clock.now = instant(10_001)
        assert ask(engine, *KEY) is False
        engine.write([until(KEY, 10_002)])
        assert ask(engine, *KEY) is True
        engine.write([until(KEY, 5)], on_duplicate="replace")  # into the past: gone at once
        assert ask(engine, *KEY) is False
        assert list(engine.read()) == []


def test_a_tuple_that_has_expired_already_is_accepted_and_absent() -> None:
    engine, clock = made()
    for end in (instant(0), instant(-1), EPOCH, datetime(1, 1, 2, tzinfo=UTC), datetime(1969, 12, 31, tzinfo=UTC)):
        assert engine.write([Tuple(*KEY, expires_at=end)]) > 0
        assert ask(engine, *KEY) is False
        assert list(engine.read()) == []
    clock.now = instant(1)
    assert ask(engine, *KEY) is False
    engine.write([KEY])
    assert ask(engine, *KEY) is True
    assert engine.sweep() >= engine.revision
    assert ask(engine, *KEY) is True


def test_deletes_by_filter_leave_out_what_has_expired() -> None:
    engine, clock = made(until(KEY, 100), until(("user:b", "reader", "doc:1"), 200), ("user:c", "reader", "doc:1"))
    clock.now = instant(100)
    revision = engine.delete(object="doc:1", actor="user:lead")
    change = list(engine.changes(since=revision - 1))[-1]
    assert change.deleted == 2
    assert list(engine.read()) == []
    clock.now = instant(300)
    engine.sweep()
    assert engine.stats().tuples == 0


def test_read_shows_what_lives_and_says_until_when() -> None:
    paris = datetime(2023, 11, 14, 23, 16, tzinfo=ZoneInfo("Europe/Paris"))
    engine, clock = made(until(KEY, 100), Tuple("user:b", "reader", "doc:1", expires_at=paris), ("user:c", "reader", "doc:1"))
    found = {fact.subject: fact.expires_at for fact in engine.read(object="doc:1")}
    assert found == {"user:a": instant(100), "user:b": paris, "user:c": None}
    assert all(end is None or end.tzinfo is not None for end in found.values())
    clock.now = instant(100)
    assert {fact.subject for fact in engine.read()} == {"user:b", "user:c"}
    assert {fact.subject for fact in engine.read(subject="user:a")} == set()
    clock.now = paris
    assert {fact.subject for fact in engine.read(relation="reader")} == {"user:c"}


def test_a_read_that_has_begun_is_of_its_instant() -> None:
    engine, clock = made(*(until((f"user:{i}", "reader", "doc:1"), 100 + i % 3) for i in range(3_000)))
    reading = engine.read()
    first = [next(reading) for _ in range(10)]
    clock.now = instant(1_000)
    assert list(engine.read()) == []
    engine.sweep()
    assert len(first) + sum(1 for _ in reading) == 3_000


def test_sweep_records_what_has_expired_and_nothing_else() -> None:
    engine, clock = made(until(KEY, 100), until(("user:b", "reader", "doc:1"), 200), ("user:c", "reader", "doc:1"))
    assert engine.sweep() == 2, "nothing to record"
    clock.now = instant(150)
    assert engine.sweep(actor="user:janitor") == 3
    assert engine.sweep() == 3
    changes = [change for change in engine.changes(since=2) if change.kind == "expiry"]
    assert [(change.revision, change.deleted, change.actor) for change in changes] == [(3, 1, "user:janitor")]
    assert engine.stats().tuples == 2
    clock.now = instant(1_000)
    assert engine.sweep() == 4
    assert engine.sweep() == 4
    assert [(change.deleted, change.written) for change in engine.changes(since=3) if change.kind == "expiry"] == [(1, 0)]
    assert [fact.subject for fact in engine.read()] == ["user:c"]
    engine.write([until(KEY, 2_000)])
    assert ask(engine, *KEY) is True
    assert engine.sweep() == 5


def test_a_sweep_of_nothing_but_groups_and_parents() -> None:
    engine, clock = made(*(until(fact, 100) for fact in (*HOPS["userset's userset"], *HOPS["parents"][1:])))
    assert ask(engine, "user:a", "can", "doc:1") is True
    clock.now = instant(100)
    assert ask(engine, "user:a", "can", "doc:1") is False
    engine.sweep()
    assert ask(engine, "user:a", "can", "doc:1") is False
    assert engine.stats().tuples == 0
    engine.write(HOPS["userset"])
    assert ask(engine, "user:a", "can", "doc:1") is True


# With conditions, with contextual tuples, with knots


def test_expiry_and_condition_on_one_tuple() -> None:
    engine, clock = made(
        until(KEY, 100, "low", None), until(("user:*", "reader", "doc:2"), 100, "low", {"x": 1}), until(("user:b", "member", "group:g"), 50)
    )
    engine.write([until(("group:g#member", "reader", "doc:3"), 100, "low", None)])
    assert ask(engine, *KEY, {"x": 1}) is True
    assert ask(engine, *KEY, {"x": 11}) is False
    assert ask(engine, *KEY) == "context_missing"
    assert ask(engine, "user:z", "can", "doc:2") is True
    assert ask(engine, "user:b", "can", "doc:3") == "context_missing"
    clock.now = instant(50)
    assert ask(engine, "user:b", "can", "doc:3") is False
    clock.now = instant(100)
    for context in (None, {}, {"x": 1}, {"x": 11}, {"x": "bad"}):
        assert ask(engine, *KEY, context) is False, "an expired tuple needs no context"
        assert ask(engine, "user:z", "can", "doc:2", context) is False


def test_contextual_tuples_expire_too() -> None:
    engine, clock = made(until(KEY, 100))
    new = ("user:n", "reader", "doc:n")
    assert ask(engine, *new, contextual=[until(new, 1)]) is True
    assert ask(engine, *new, contextual=[until(new, 0)]) is False
    assert ask(engine, *new, contextual=[until(new, -5)]) is False
    group = [until(("user:n", "member", "group:n"), 60), until(("group:n#member", "reader", "doc:n"), 70)]
    assert ask(engine, "user:n", "can", "doc:n", contextual=group) is True
    clock.now = instant(60)
    assert ask(engine, "user:n", "can", "doc:n", contextual=group) is False
    clock.now = instant(100)
    assert ask(engine, *KEY) is False
    assert ask(engine, *KEY, contextual=[KEY]) is True
    assert ask(engine, *KEY, contextual=[until(KEY, 101)]) is True
    assert ask(engine, *KEY, contextual=[until(KEY, 100)]) is False
    assert ask(engine, *KEY) is False
    clock.now = instant(101)
    assert ask(engine, *KEY, contextual=[until(KEY, 101)]) is False
    assert engine.ids("user", ["n"]).tolist() == [fgacore.NONE]


def test_a_contextual_tuple_over_a_stored_one_that_expires() -> None:
    engine, clock = made(until(KEY, 100), until(("user:a", "barred", "doc:1"), 50))
    never = Tuple(*KEY, "low", {"x": 11})
    assert ask(engine, *KEY, contextual=[never]) is False
    assert ask(engine, "user:a", "can", "doc:1") is False
    clock.now = instant(50)
    assert ask(engine, "user:a", "can", "doc:1") is True
    assert ask(engine, "user:a", "can", "doc:1", contextual=[never]) is False
    assert ask(engine, "user:a", "can", "doc:1", contextual=[("user:a", "barred", "doc:1")]) is False
    clock.now = instant(100)
    assert ask(engine, "user:a", "can", "doc:1", contextual=[KEY]) is True


def test_a_knot_that_time_unties() -> None:
    engine, clock = made(("user:a", "knot", "doc:1"), until(("doc:1#knot", "held", "doc:1"), 100), until(("user:a", "held", "doc:1"), 50))
    assert ask(engine, "user:a", "knot", "doc:1") is False
    clock.now = instant(50)
    assert ask(engine, "user:a", "knot", "doc:1") is False
    clock.now = instant(100)
    assert ask(engine, "user:a", "knot", "doc:1") is True


def test_a_long_chain_loses_its_links_one_by_one() -> None:
    depth = 400
    engine, clock = made(*(until((f"group:{i}#member", "member", f"group:{i + 1}"), 10 + i) for i in range(depth)), ("user:a", "member", "group:0"))
    for now in (0, 9, 10, 11, 200, 408, 409, 410):
        clock.now = instant(now)
        gone = min(now - 10, depth - 1) if now >= 10 else -1  # the last link that is gone
        assert ask(engine, "user:a", "member", f"group:{depth}") is (gone < 0)
        assert ask(engine, f"group:{gone + 1}#member", "member", f"group:{depth}") is True
        if gone >= 0:
            assert ask(engine, f"group:{gone}#member", "member", f"group:{depth}") is False


# Views that were warm, models that changed, random walks


def test_what_was_known_before_does_not_outlive_its_instant() -> None:
    """Views warmed by every path, for many subjects, then one expiry after the other in its own call."""
    facts = [until((f"user:{i}", "member", f"group:{i % 7}"), 10 + i) for i in range(60)]
    facts += [until((f"group:{g}#member", "reader", "doc:1"), 100 + g) for g in range(7)]
    engine, clock = made(*facts, ("user:0", "reader", "doc:2"))
    questions = [(f"user:{i}", "can", "doc:1") for i in range(60)]
    for now in range(0, 110, 3):
        for _ in range(3):
            clock.now = instant(now)
            wanted = [now < 10 + i and now < 100 + i % 7 for i in range(60)]
            assert [engine.check(*question) for question in questions] == wanted
            assert list(engine.batch_check(questions)) == wanted
    assert engine.check("user:0", "can", "doc:2")


def test_expiry_holds_under_old_models_and_after_new_ones() -> None:
    engine, clock = made(until(KEY, 100))
    first = engine.stats().model_id
    engine.write_model(MODEL.replace("define reader: [user, ", "define reader: ["))
    assert engine.check(*KEY) is False
    assert engine.check(*KEY, model_id=first) is True
    clock.now = instant(100)
    assert engine.check(*KEY, model_id=first) is False
    engine.write_model(MODEL)
    assert ask(engine, *KEY) is False
    engine.sweep()
    assert engine.check(*KEY, model_id=first) is False


def test_a_random_walk_of_writes_and_time() -> None:
    """The engine beside a dict from key to expiry, asked after every step."""
    generator = random.Random(23)
    engine, clock = made()
    keys = [(f"user:{s}", "reader", f"doc:{o}") for s in range(4) for o in range(4)]
    book: dict[tuple[str, str, str], float | None] = {}
    now = 0.0
    for step in range(1_500):
        key = keys[generator.randrange(16)]
        living = key in book and (book[key] is None or book[key] > now)  # type: ignore[operator]
        end = generator.choice([None, now + generator.randrange(1, 12), now + 5, now - 1])
        fact = Tuple(*key, expires_at=None if end is None else instant(end))
        match generator.randrange(7):
            case 0:
                assert outcome(lambda fact=fact: engine.write([fact])) == ("tuple_exists" if living else True), step
                book[key] = book[key] if living else end
            case 1:
                engine.write([fact], on_duplicate="replace")
                book[key] = end
            case 2:
                assert outcome(lambda key=key: engine.write(deletes=[key])) == (True if living else "tuple_missing"), step
                if living:
                    del book[key]
            case 3:
                engine.write([fact], deletes=[key], on_missing="ignore")
                book[key] = end
            case 4:
                engine.sweep()
                expired = [k for k, e in book.items() if e is not None and e <= now]
                for k in expired:
                    del book[k]
                assert engine.stats().tuples == len(book)
            case _:
                now += generator.choice([0, 0.000001, 1, 1, 3, 20])
                clock.now = instant(now - generator.choice([0, 0, 0, 100])) if generator.random() < 0.2 else instant(now)
                engine.check(*key)
                clock.now = instant(now)
        wanted = [k in book and (book[k] is None or book[k] > now) for k in keys]  # type: ignore[operator]
        assert list(engine.batch_check(keys)) == wanted, step
        if step % 10 == 0:
            assert [engine.check(*k) for k in keys] == wanted, step
            assert {(f.subject, f.relation, f.object) for f in engine.read()} == {k for k, live in zip(keys, wanted, strict=True) if live}
        if step % 100 == 0:
            engine.merge()


def test_threads_that_ask_while_time_passes_never_see_the_past_again() -> None:
    engine, clock = made(*(until((f"user:{i}", "member", "group:g"), i + 1) for i in range(300)), ("group:g#member", "reader", "doc:1"))
    faults: list[str] = []
    done = threading.Event()
    reached = [0]

    def reader() -> None:
        gone = 0
        while not done.is_set():
            floor = reached[0]
            answers = list(engine.batch_check([(f"user:{i}", "can", "doc:1") for i in range(300)]))
            first = answers.index(True) if True in answers else 300
            if answers != [i >= first for i in range(300)] or first < max(floor, gone):
                faults.append(f"{first} after {floor} and {gone}")
                return
            gone = first
            if engine.check(f"user:{floor}", "can", "doc:1") and reached[0] > floor + 1 and engine.check(f"user:{floor}", "can", "doc:1"):
                faults.append(f"user:{floor} lives at {reached[0]}")
                return

    threads = [threading.Thread(target=reader) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for number in range(301):
            clock.now = instant(number)
            engine.check("user:0", "can", "doc:1")
            reached[0] = number
            if number % 10 == 0:
                engine.write([(f"user:w{number}", "member", "group:g")])
            if number % 50 == 0:
                engine.sweep()
            time.sleep(0.001)
    finally:
        done.set()
        for thread in threads:
            thread.join(60)
    assert not faults, faults[:3]


# Hostile clocks and hostile instants


class Sulking(tzinfo):
    """A zone that has no offset: a datetime with it is naive."""

    def utcoffset(self, when: datetime | None) -> None:
        return None

    def tzname(self, when: datetime | None) -> str:
        return "none"

    def dst(self, when: datetime | None) -> None:
        return None


class Raising(Sulking):
    def utcoffset(self, when: datetime | None) -> None:
        raise ValueError("no offset for you")


HOSTILE = [
    ValueError("no time"),
    None,
    "2023-11-14T22:13:20Z",
    b"0",
    [],
    1j,
    float("nan"),
    float("inf"),
    float("-inf"),
    1e300,
    -1e300,
    10**30,
    -(10**30),
    2**63,
    datetime(2023, 11, 14),  # noqa: DTZ001
    datetime(2023, 11, 14, tzinfo=Sulking()),
    datetime(2023, 11, 14, tzinfo=Raising()),
    timedelta(1),
    object(),
]


@pytest.mark.parametrize("hostile", HOSTILE, ids=repr)
def test_a_clock_that_tells_no_time_is_an_error_and_moves_nothing(hostile: Any) -> None:
    engine, clock = made(until(KEY, 100), ("user:p", "reader", "doc:2"))
    assert ask(engine, *KEY) is True
    for turn in range(2):
        clock.now = hostile
        for call in (
            lambda: engine.check(*KEY),
            lambda: engine.check_objects("user:a", "can", ["doc:1"]),
            lambda: engine.check_ids(int(engine.ids("user", ["a"])[0]), "can", engine.ids("doc", ["1"]), subject_type="user", object_type="doc"),
            lambda: engine.write([("user:z", "reader", "doc:z")]),
            lambda: engine.write([until(KEY, 10**6)], on_duplicate="replace"),
            engine.sweep,
        ):
            with pytest.raises(FgaError) as caught:
                call()
            assert isinstance(caught.value, CODES[caught.value.code])
            str(caught.value).encode()
        try:
            result = engine.batch_check([KEY])
        except FgaError:
            pass
        else:
            assert list(result) == [False]
            assert list(result.errors) == [0]
        clock.now = instant(50 + turn)
        assert ask(engine, *KEY) is True, "a bad reading is no time"
        assert engine.stats().tuples == 2
    clock.now = instant(100)
    assert ask(engine, *KEY) is False
    clock.now = hostile
    for _ in range(3):
        assert outcome(lambda: engine.check(*KEY)) is not True
    clock.now = instant(0)
    assert ask(engine, *KEY) is False


@pytest.mark.parametrize("hostile", [7, "wall", object(), b"", [], datetime(2023, 1, 1, tzinfo=UTC)], ids=repr)
def test_a_clock_that_cannot_be_called_is_refused(hostile: Any) -> None:
    with pytest.raises((FgaError, TypeError)):
        fgacore.open(":memory:", clock=hostile).write_model(MODEL)


def test_a_clock_that_is_interrupted_interrupts() -> None:
    engine, clock = made(until(KEY, 100))
    clock.now = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        engine.check(*KEY)
    clock.now = instant(99)
    assert ask(engine, *KEY) is True


def test_a_clock_that_asks_the_engine_does_not_hang_it() -> None:
    depth = []
    engine: fgacore.Engine

    def asking() -> int:
        if ready and len(depth) < 3:
            depth.append(1)
            engine.check(*KEY)
            engine.write([("user:z", "reader", "doc:z")], on_duplicate="ignore")
            depth.pop()
        return START

    ready = False
    engine = fgacore.open(":memory:", clock=asking)
    engine.write_model(MODEL)
    engine.write([until(KEY, 100)])
    ready = True
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(outcome(lambda: engine.check(*KEY))), daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive(), "a clock that asks the engine hangs it"
    assert answers[0] is True or answers[0] in CODES


def test_a_clock_that_closes_the_engine_closes_it() -> None:
    for call in (lambda e: e.check(*KEY), lambda e: e.batch_check([KEY] * 100)[0], lambda e: e.check_objects("user:a", "can", ["doc:1"])[0]):
        now: list[Callable[[], None]] = []

        def closing(now: list[Callable[[], None]] = now) -> int:
            for act in now:
                act()
            return START

        engine = fgacore.open(":memory:", clock=closing)
        engine.write_model(MODEL)
        engine.write([until(KEY, 100)])
        now.append(engine.close)
        assert outcome(lambda e=engine, c=call: c(e)) in (True, "closed")
        assert outcome(lambda e=engine, c=call: c(e)) == "closed"


@pytest.mark.parametrize(
    "bad",
    [
        datetime(2030, 1, 1),  # noqa: DTZ001
        datetime(2030, 1, 1, tzinfo=Sulking()),
        datetime(2030, 1, 1, tzinfo=Raising()),
        datetime(2030, 1, 1, tzinfo=UTC).date(),
        1_900_000_000,
        1.9e9,
        "2030-01-01T00:00:00Z",
        b"",
        True,
        False,
        0,
        "",
        timedelta(hours=1),
        [],
        float("inf"),
        object(),
    ],
    ids=repr,
)
def test_an_expiry_that_is_no_instant_is_refused(bad: Any) -> None:
    engine, _ = made(("user:p", "reader", "doc:2"))
    for option in ("error", "ignore", "replace"):
        with pytest.raises(RequestError) as caught:
            engine.write([("user:q", "reader", "doc:2"), Tuple(*KEY, expires_at=bad)], on_duplicate=option)  # type: ignore[arg-type]
        assert (caught.value.code, caught.value.index) == ("invalid_expiry", 1)
    assert outcome(lambda: engine.check(*KEY, contextual_tuples=[Tuple(*KEY, expires_at=bad)])) == "invalid_contextual_tuple"
    assert engine.stats().tuples == 1


@pytest.mark.parametrize(
    "end",
    [
        datetime.max.replace(tzinfo=UTC),
        datetime.min.replace(tzinfo=UTC),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-14))),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
        datetime(2030, 3, 31, 2, 30, tzinfo=ZoneInfo("Europe/Paris")),
        datetime(2030, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Paris"), fold=1),
        datetime(2023, 11, 14, 22, 14, tzinfo=timezone(timedelta(microseconds=1))),
    ],
    ids=repr,
)
def test_an_instant_at_the_edge_is_kept_or_refused(end: datetime) -> None:
    engine, _clock = made()
    try:
        engine.write([Tuple(*KEY, expires_at=end)])
    except RequestError as error:
        code = error.code
    else:
        code = ""
        living = end.year > 2023 or end.month == 11
        assert ask(engine, *KEY) is living
        if living:
            (found,) = engine.read()
            assert found.expires_at is not None
            assert found.expires_at - EPOCH == end - EPOCH
    assert code in ("", "invalid_expiry")


def test_folds_and_zones_name_instants() -> None:
    paris = ZoneInfo("Europe/Paris")
    first = datetime(2030, 10, 27, 2, 30, tzinfo=paris, fold=0)  # 00:30 UTC
    second = first.replace(fold=1)  # 01:30 UTC
    engine, clock = made(Tuple(*KEY, expires_at=first), Tuple("user:b", "reader", "doc:1", expires_at=second))
    for hour, minute, left in ((0, 29, 2), (0, 30, 1), (1, 29, 1), (1, 30, 0)):
        clock.now = datetime(2030, 10, 27, hour, minute, tzinfo=UTC)
        assert sum(1 for _ in engine.read()) == left
    engine, clock = made(until(KEY, 0.5))
    clock.now = first  # a clock in Paris, in the hour that comes twice
    assert ask(engine, *KEY) is False
    engine.write([Tuple(*KEY, expires_at=datetime(2030, 10, 27, 1, 30, tzinfo=UTC))])
    assert ask(engine, *KEY) is True
    clock.now = second
    assert ask(engine, *KEY) is False
