"""The reach of a subject: what check says of every object, told apart by what hangs on conditions; and how two reaches differ, with the cause."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import fgacore
from fgacore import Engine, FgaError, Reach, ReachChange, ReachDiff, RequestError, StoreError, Tuple
from fgacore.runtime import reach as module

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
MODEL = """
model
  schema 1.1
type user
type team
  relations
    define member: [user, user with on_duty, team#member]
type folder
  relations
    define parent: [folder, folder with open]
    define viewer: [user, user:*, team#member] or viewer from parent
type doc
  relations
    define folder: [folder]
    define owner: [user]
    define blocked: [user, user with flagged]
    define viewer: owner or viewer from folder
    define can_read: viewer but not blocked
    define audited: [team]
condition on_duty(shift: string) {
  shift == "day"
}
condition open(hour: int) {
  hour < 17
}
condition flagged(level: int) {
  level > 3
}
"""
TUPLES: list[tuple[str, str, str] | Tuple] = [
    ("user:anne", "member", "team:a"),
    ("team:a#member", "member", "team:b"),
    Tuple("user:bob", "member", "team:b", "on_duty"),
    ("team:b#member", "viewer", "folder:top"),
    ("folder:top", "parent", "folder:in"),
    Tuple("folder:in", "parent", "folder:deep", "open"),
    ("user:*", "viewer", "folder:public"),
    ("folder:top", "folder", "doc:1"),
    ("folder:deep", "folder", "doc:2"),
    ("folder:public", "folder", "doc:3"),
    ("user:anne", "owner", "doc:4"),
    ("user:anne", "blocked", "doc:4"),
    Tuple("user:anne", "blocked", "doc:1", "flagged"),
    ("team:a", "audited", "doc:1"),
]
OBJECTS = {
    "team": ["team:a", "team:b"],
    "folder": ["folder:top", "folder:in", "folder:deep", "folder:public"],
    "doc": ["doc:1", "doc:2", "doc:3", "doc:4"],
}
SUBJECTS = ["user:anne", "user:bob", "user:nobody", "user:*", "team:a", "team:a#member", "team:unknown#member", "folder:top", "doc:1#viewer"]


class World:
    """An engine whose clock stands still until it is moved."""

    def __init__(self, model: str = MODEL, tuples: list[Any] | None = None) -> None:
        self.now = START
        self.engine = fgacore.open(":memory:", clock=lambda: self.now)
        self.engine.write_model(model)
        if tuples is not None:
            self.engine.write(tuples)


@pytest.fixture
def engine() -> Iterator[Engine]:
    with World(tuples=TUPLES).engine as engine:
        yield engine


def names(found: Mapping[tuple[str, str], Any]) -> dict[tuple[str, str], list[str]]:
    """What is not empty."""
    return {pair: objects.to_list() for pair, objects in found.items() if len(objects)}


def told(changes: list[ReachChange]) -> list[tuple[str, str, str, str]]:
    return [(change.type, change.relation, change.object, change.cause) for change in changes]


def checked(engine: Engine, subject: str, type: str, relation: str, **options: Any) -> tuple[set[str], set[str]]:
    """The objects on which check is True, and on which it raises."""
    definite, conditional = set(), set()
    for name in [*OBJECTS[type], f"{type}:unknown", subject.partition("#")[0]]:
        if name.startswith(f"{type}:") and not name.endswith("*"):
            try:
                if engine.check(subject, relation, name, **options):
                    definite.add(name)
            except RequestError:
                conditional.add(name)
    return definite, conditional


# ---- what a reach has ----


@pytest.mark.parametrize("context", [None, {"shift": "day"}, {"hour": 9}, {"hour": 9, "level": 1}, {"shift": "day", "hour": 20, "level": 9}])
@pytest.mark.parametrize("subject", SUBJECTS)
def test_reach_is_what_check_says_of_every_object(subject: str, context: dict[str, Any] | None, engine: Engine) -> None:
    found = engine.reach(subject, context=context)
    for type, relations in (
        ("team", ["member"]),
        ("folder", ["parent", "viewer"]),
        ("doc", ["folder", "owner", "blocked", "viewer", "can_read", "audited"]),
    ):
        for relation in relations:
            expected = checked(engine, subject, type, relation, context=context)
            if (type, relation) in found.definite:
                pair = found.definite[type, relation], found.conditional[type, relation]
                assert tuple(map(set, pair)) == expected, (type, relation)
                assert found.counts[type, relation] == tuple(map(len, expected))
            else:
                assert expected == (set(), set()), (type, relation)


def test_pairs_are_those_that_the_kind_can_have_in_the_order_of_the_model(engine: Engine) -> None:
    user = [("team", "member"), ("folder", "viewer"), ("doc", "owner"), ("doc", "blocked"), ("doc", "viewer"), ("doc", "can_read")]
    assert list(engine.reach("user:nobody").definite) == user
    assert list(engine.reach("team:a").definite) == [("doc", "audited")]
    assert list(engine.reach("folder:in").definite) == [("folder", "parent"), ("doc", "folder")]
    found = engine.reach("user:anne")
    assert list(found.conditional) == list(found.conditions) == list(found.counts) == user


def test_it_is_complete_where_nothing_is_conditional(engine: Engine) -> None:
    assert engine.reach("user:anne").complete is False
    whole = engine.reach("user:anne", context={"hour": 9, "level": 9, "shift": "night"})
    assert whole.complete is True
    assert names(whole.conditional) == {}
    assert names(whole.definite)["doc", "can_read"] == ["doc:2", "doc:3"]


def test_all_sets_have_one_stamp(engine: Engine) -> None:
    found = engine.reach("user:anne")
    assert (found.revision, found.instant, found.subject) == (2, START, "user:anne")
    assert found.model_id == engine.stats().model_id
    for (type, relation), objects in [*found.definite.items(), *found.conditional.items()]:
        assert (objects.type, objects.relation, objects.subject) == (type, relation, "user:anne")
        assert (objects.revision, objects.instant) == (2, START)


def test_an_earlier_model_can_be_asked(engine: Engine) -> None:
    first = engine.reach("user:anne", context={"hour": 9, "level": 1})
    engine.write_model("model\n  schema 1.1\ntype user\ntype doc\n  relations\n    define owner: [user]\n")
    assert names(engine.reach("user:anne").definite) == {("doc", "owner"): ["doc:4"]}
    again = engine.reach("user:anne", model_id=first.model_id, context={"hour": 9, "level": 1})
    assert names(again.definite) == names(first.definite)
    assert again.revision == 3


def test_contextual_tuples_are_in_it_with_objects_that_nothing_else_mentions(engine: Engine) -> None:
    brought = [("user:nobody", "owner", "doc:new"), ("user:nobody", "member", "team:b")]
    found = engine.reach("user:nobody", contextual_tuples=(item for item in brought))
    assert names(found.definite)["doc", "owner"] == ["doc:new"]
    assert set(found.definite["doc", "viewer"]) == {"doc:1", "doc:3", "doc:new"}
    assert names(engine.reach("user:nobody").definite) == {("folder", "viewer"): ["folder:public"], ("doc", "viewer"): ["doc:3"]} | {
        ("doc", "can_read"): ["doc:3"]
    }


def test_no_contextual_tuples_may_be_said_as_none(engine: Engine) -> None:
    assert names(engine.reach("user:anne", contextual_tuples=None).definite) == names(engine.reach("user:anne").definite)  # type: ignore[arg-type]


def test_a_model_without_relations_reaches_nothing() -> None:
    world = World("model\n  schema 1.1\ntype user\n")
    found = world.engine.reach("user:anne")
    assert (found.definite, found.counts, found.complete, found.revision, found.instant) == ({}, {}, True, 1, START)
    with fgacore.open(":memory:", clock=lambda: 1_000.0) as engine:
        engine.write_model("model\n  schema 1.1\ntype user\n")
        assert engine.reach("user:anne").instant == datetime.fromtimestamp(1_000, UTC)


def test_a_kind_that_can_hold_nothing_reaches_nothing(engine: Engine) -> None:
    found = engine.reach("doc:1")
    assert (found.definite, found.revision, found.instant) == ({}, 2, START)


@pytest.mark.parametrize(
    ("subject", "options", "code"),
    [
        ("anne", {}, "invalid_subject"),
        ("unicorn:anne", {}, "type_not_found"),
        ("team:a#fly", {}, "relation_not_found"),
        (7, {}, "invalid_subject"),
        ("user:anne", {"model_id": "01"}, "model_not_found"),
        ("user:anne", {"model_id": []}, "model_not_found"),
        ("user:anne", {"context": 7}, "invalid_context"),
        ("user:anne", {"contextual_tuples": "x"}, "invalid_contextual_tuple"),
        ("user:anne", {"contextual_tuples": [("user:anne", "fly", "doc:1")]}, "invalid_contextual_tuple"),
        ("user:anne", {"contextual_tuples": Tuple("user:anne", "owner", "doc:1")}, "invalid_contextual_tuple"),
        ("user:anne", {"contextual_tuples": (("user:a", "owner", f"doc:{i}") for i in range(10**9))}, "limit_exceeded"),
        ("user:anne", {"at_least": 3}, "stale"),
        ("doc:1", {"at_least": 3}, "stale"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(subject: Any, options: dict[str, Any], code: str, engine: Engine) -> None:
    with pytest.raises(FgaError) as caught:
        engine.reach(subject, **options)
    assert caught.value.code == code


def test_without_a_model_and_once_closed_it_is_refused(engine: Engine) -> None:
    with fgacore.open(":memory:") as empty, pytest.raises(RequestError) as caught:
        empty.reach("user:anne")
    assert caught.value.code == "no_model"
    engine.close()
    with pytest.raises(StoreError) as closed:
        engine.reach("user:anne")
    assert closed.value.code == "closed"


# ---- the conditions that decide ----


def test_conditions_are_named_that_lie_on_the_way(engine: Engine) -> None:
    anne, bob = engine.reach("user:anne"), engine.reach("user:bob")
    assert names(anne.conditional) == {
        ("folder", "viewer"): ["folder:deep"],
        ("doc", "blocked"): ["doc:1"],
        ("doc", "viewer"): ["doc:2"],
        ("doc", "can_read"): ["doc:1", "doc:2"],
    }
    assert {pair: found for pair, found in anne.conditions.items() if found} == {
        ("folder", "viewer"): ("open",),  # not on_duty: it is on no way that begins at folder:deep and ends at anne
        ("doc", "blocked"): ("flagged",),
        ("doc", "viewer"): ("open",),
        ("doc", "can_read"): ("flagged", "open"),
    }
    assert bob.conditions["team", "member"] == ("on_duty",)
    assert bob.conditions["doc", "viewer"] == ("on_duty", "open")
    assert bob.conditions["doc", "can_read"] == ("on_duty", "open")


def test_conditions_are_a_bound_where_the_way_is_too_long(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WALK_MAX", 2)
    assert engine.reach("user:anne").conditions["doc", "viewer"] == ("on_duty", "open")


def test_conditions_are_a_bound_over_contextual_tuples(engine: Engine) -> None:
    found = engine.reach("user:anne", contextual_tuples=[("user:anne", "owner", "doc:9")])
    assert found.conditions["doc", "viewer"] == ("on_duty", "open")
    assert found.conditions["doc", "owner"] == ()


def test_without_the_decided_conditions_those_left_are_named(engine: Engine) -> None:
    found = engine.reach("user:anne", context={"hour": 9})
    assert names(found.conditional) == {("doc", "blocked"): ["doc:1"], ("doc", "can_read"): ["doc:1"]}
    assert found.conditions["doc", "can_read"] == ("flagged",)


def test_a_cycle_in_the_data_ends_the_walk() -> None:
    world = World(tuples=[Tuple("user:bob", "member", "team:a", "on_duty"), *((f"team:{a}#member", "member", f"team:{b}") for a, b in ("ab", "ba"))])
    world.engine.write([("folder:x", "parent", "folder:y"), ("folder:y", "parent", "folder:x"), ("team:b#member", "viewer", "folder:x")])
    found = world.engine.reach("user:bob")
    assert names(found.conditional)["folder", "viewer"] == ["folder:x", "folder:y"]
    assert found.conditions["folder", "viewer"] == ("on_duty",)


# ---- how two reaches differ ----

PLAIN = """
model
  schema 1.1
type user
type doc
  relations
    define owner: [user]
    define viewer: [user] or owner
    define can_read: viewer
"""


def changed(world: World, change: Callable[[World], object], **options: Any) -> ReachDiff:
    before = world.engine.reach("user:anne", **options)
    change(world)
    return before.diff(world.engine.reach("user:anne", **options))


def test_a_write_is_the_cause_of_what_it_grants_and_takes() -> None:
    world = World(PLAIN, [("user:anne", "viewer", "doc:1")])
    found = changed(world, lambda w: w.engine.write([("user:anne", "owner", "doc:2")], deletes=[("user:anne", "viewer", "doc:1")]))
    assert told(found.gained) == [("doc", relation, "doc:2", "tuple") for relation in ("owner", "viewer", "can_read")]
    assert told(found.lost) == [("doc", relation, "doc:1", "tuple") for relation in ("viewer", "can_read")]
    assert (found.gained_conditional, found.lost_conditional, found.before, found.after) == ([], [], 2, 3)


def test_nothing_changed_is_no_change() -> None:
    world = World(PLAIN, [("user:anne", "viewer", "doc:1")])
    found = changed(world, lambda w: w.engine.write([("user:bob", "viewer", "doc:1")]))
    assert (found.gained, found.lost) == ([], [])


def passing(world: World) -> None:
    world.now += timedelta(hours=1)


def test_an_expiry_is_the_cause_where_nothing_was_written() -> None:
    world = World(PLAIN, [Tuple("user:anne", "viewer", "doc:1", expires_at=START + timedelta(hours=1))])
    found = changed(world, passing)
    assert told(found.lost) == [("doc", "viewer", "doc:1", "expiry"), ("doc", "can_read", "doc:1", "expiry")]
    assert found.gained == []


def test_an_expired_block_lets_something_be_gained(engine: Engine) -> None:
    world = World(tuples=[("user:anne", "owner", "doc:1"), Tuple("user:anne", "blocked", "doc:1", expires_at=START + timedelta(hours=1))])
    found = changed(world, passing)
    assert told(found.gained) == [("doc", "can_read", "doc:1", "expiry")]
    assert told(found.lost) == [("doc", "blocked", "doc:1", "expiry")]


def test_a_sweep_is_no_write() -> None:
    world = World(PLAIN, [Tuple("user:anne", "viewer", "doc:1", expires_at=START + timedelta(hours=1))])

    def swept(world: World) -> None:
        passing(world)
        world.engine.sweep()

    found = changed(world, swept)
    assert (found.before, found.after) == (2, 3)
    assert {change.cause for change in found.lost} == {"expiry"}


def test_a_write_beside_an_expiry_is_named() -> None:
    world = World(PLAIN, [Tuple("user:anne", "viewer", "doc:1", expires_at=START + timedelta(hours=1))])

    def both(world: World) -> None:
        world.engine.write([("user:anne", "viewer", "doc:2")], actor="user:lead")
        passing(world)

    found = changed(world, both)
    assert {change.cause for change in found.gained + found.lost} == {"tuple"}


def test_an_expired_contextual_tuple_is_an_expiry() -> None:
    world = World(PLAIN)
    brought = [Tuple("user:anne", "viewer", "doc:new", expires_at=START + timedelta(hours=1))]
    assert told(changed(world, passing, contextual_tuples=brought).lost)[0] == ("doc", "viewer", "doc:new", "expiry")


WIDER = PLAIN.replace("define can_read: viewer", "define audience: [user]\n    define can_read: viewer or audience")
NARROWER = PLAIN.replace("[user] or owner", "[user]")


def test_a_model_is_the_cause_of_what_it_takes() -> None:
    world = World(PLAIN, [("user:anne", "owner", "doc:1"), ("user:anne", "viewer", "doc:2")])
    found = changed(world, lambda w: w.engine.write_model(NARROWER))
    assert told(found.lost) == [("doc", "viewer", "doc:1", "model"), ("doc", "can_read", "doc:1", "model")]
    assert found.gained == []


def test_a_relation_that_a_model_brings_or_takes_is_of_the_model() -> None:
    world = World(WIDER, [("user:anne", "audience", "doc:1")])
    lost = changed(world, lambda w: w.engine.write_model(PLAIN)).lost
    assert told(lost) == [("doc", "audience", "doc:1", "model"), ("doc", "can_read", "doc:1", "model")]
    gained = changed(world, lambda w: w.engine.write_model(WIDER)).gained
    assert told(gained) == [("doc", "audience", "doc:1", "model"), ("doc", "can_read", "doc:1", "model")]


def test_two_models_in_one_state_differ_by_the_model() -> None:
    world = World(PLAIN, [("user:anne", "owner", "doc:1")])
    older = world.engine.stats().model_id
    world.engine.write_model(NARROWER)
    before, after = world.engine.reach("user:anne", model_id=older), world.engine.reach("user:anne")
    assert told(before.diff(after).lost) == [("doc", "viewer", "doc:1", "model"), ("doc", "can_read", "doc:1", "model")]
    assert told(after.diff(before).gained) == [("doc", "viewer", "doc:1", "model"), ("doc", "can_read", "doc:1", "model")]


def model_and_tuples(world: World) -> None:
    world.engine.write_model(NARROWER)
    world.engine.write([("user:anne", "viewer", "doc:3")], deletes=[("user:anne", "viewer", "doc:2")])


def test_beside_a_new_model_a_write_is_the_cause_of_what_it_alone_changed() -> None:
    world = World(PLAIN, [("user:anne", "owner", "doc:1"), ("user:anne", "viewer", "doc:2")])
    found = changed(world, model_and_tuples)
    assert told(found.gained) == [("doc", "viewer", "doc:3", "tuple"), ("doc", "can_read", "doc:3", "tuple")]
    causes = {(change.relation, change.object): change.cause for change in found.lost}
    assert causes == {("viewer", "doc:1"): "model", ("can_read", "doc:1"): "model", ("viewer", "doc:2"): "tuple", ("can_read", "doc:2"): "tuple"}


def test_beside_a_new_model_an_expiry_is_the_cause_of_what_it_alone_changed() -> None:
    world = World(PLAIN, [("user:anne", "owner", "doc:1"), Tuple("user:anne", "viewer", "doc:2", expires_at=START + timedelta(hours=1))])

    def both(world: World) -> None:
        world.engine.write_model(NARROWER)
        passing(world)

    causes = {change.object: change.cause for change in changed(world, both).lost if change.relation == "viewer"}
    assert causes == {"doc:1": "model", "doc:2": "expiry"}


def test_once_the_newer_state_is_gone_the_model_is_named_where_it_says_otherwise() -> None:
    world = World(PLAIN, [("user:anne", "owner", "doc:1"), ("user:anne", "viewer", "doc:2")])
    before = world.engine.reach("user:anne")
    model_and_tuples(world)
    world.engine.write([("user:anne", "owner", "doc:4")])
    after = world.engine.reach("user:anne")
    world.engine.write([("user:bob", "viewer", "doc:1")])
    found = before.diff(after)
    assert {change.cause for change in found.lost} == {"model"}
    assert {(change.relation, change.cause) for change in found.gained} == {("owner", "tuple"), ("viewer", "model"), ("can_read", "model")}


def test_a_model_that_says_the_same_is_no_cause() -> None:
    world = World(PLAIN, [("user:anne", "viewer", "doc:2")])

    def same(world: World) -> None:
        world.engine.write_model(f"# once more\n{PLAIN}\ntype robot\n")
        world.engine.write([("user:anne", "viewer", "doc:3")])

    found = changed(world, same)
    assert {change.cause for change in found.gained} == {"tuple"}


def test_a_condition_that_says_otherwise_is_of_the_model(engine: Engine) -> None:
    before = engine.reach("user:anne", context={"hour": 18, "level": 1})
    engine.write_model(MODEL.replace("hour < 17", "hour < 19"))
    found = before.diff(engine.reach("user:anne", context={"hour": 18, "level": 1}))
    assert told(found.gained) == [
        ("folder", "viewer", "folder:deep", "model"),
        ("doc", "viewer", "doc:2", "model"),
        ("doc", "can_read", "doc:2", "model"),
    ]


def test_what_passes_from_conditional_to_definite_is_gained_in_one_and_lost_in_the_other(engine: Engine) -> None:
    before = engine.reach("user:bob")
    engine.write([("user:bob", "member", "team:b")], on_duplicate="replace")
    found = before.diff(engine.reach("user:bob"))
    assert ("team", "member", "team:b", "tuple") in told(found.gained)
    assert ("team", "member", "team:b", "tuple") in told(found.lost_conditional)
    assert ("doc", "viewer", "doc:2", "tuple") not in told(found.gained)
    assert found.lost == []
    back = engine.reach("user:bob")
    engine.write([Tuple("user:bob", "member", "team:b", "on_duty")], on_duplicate="replace")
    assert told(back.diff(engine.reach("user:bob")).gained_conditional) == told(found.lost_conditional)


def test_a_difference_looked_at_from_the_newer_has_the_same_causes() -> None:
    world = World(PLAIN, [("user:anne", "owner", "doc:1"), ("user:anne", "viewer", "doc:2")])
    older = world.engine.reach("user:anne")
    model_and_tuples(world)
    newer = world.engine.reach("user:anne")
    forth, back = older.diff(newer), newer.diff(older)
    assert {change.cause for change in forth.lost} == {"model", "tuple"}
    assert (back.gained, back.lost) == (forth.lost, forth.gained)
    assert (forth.before, forth.after, back.before, back.after) == (2, 4, 4, 2)
    world.engine.write([Tuple("user:anne", "owner", "doc:9", expires_at=START + timedelta(hours=1))])
    lent = world.engine.reach("user:anne")
    passing(world)
    assert told(world.engine.reach("user:anne").diff(lent).gained) == [("doc", "owner", "doc:9", "expiry")]


def test_objects_of_contextual_tuples_are_compared_by_name() -> None:
    world = World(PLAIN, [("user:anne", "owner", "doc:1")])
    brought = [("user:anne", "owner", "doc:2"), ("user:anne", "owner", "doc:3")]
    found = changed(world, lambda w: w.engine.write([("user:zoe", "owner", "doc:3"), ("user:anne", "owner", "doc:4")]), contextual_tuples=brought)
    assert told(found.gained) == [("doc", relation, "doc:4", "tuple") for relation in ("owner", "viewer", "can_read")]
    assert found.lost == []


def test_reaches_that_cannot_be_compared_are_refused(engine: Engine) -> None:
    mine = engine.reach("user:anne")
    for other in (
        engine.reach("user:bob"),
        World(tuples=TUPLES).engine.reach("user:anne"),
        engine.reach("user:anne", context={"hour": 9}),
        engine.reach("user:anne", contextual_tuples=[("user:anne", "owner", "doc:1")]),
    ):
        with pytest.raises(RequestError) as caught:
            mine.diff(other)
        assert caught.value.code == "sets_differ"
    with pytest.raises(RequestError):
        mine.diff("a reach")  # type: ignore[arg-type]


def test_a_context_that_the_caller_changes_later_is_the_one_that_was_given(engine: Engine) -> None:
    context = {"hour": 9, "not for us": [1]}
    before = engine.reach("user:anne", context=context)
    context["not for us"] = [2]
    assert before.diff(engine.reach("user:anne", context=context)).gained == []
    context["hour"] = 20
    with pytest.raises(RequestError):
        before.diff(engine.reach("user:anne", context=context))


# ---- as data ----


def test_to_dict_is_json_with_all_of_it(engine: Engine) -> None:
    found = engine.reach("user:anne")
    data = json.loads(json.dumps(found.to_dict()))
    assert {name: data[name] for name in ("subject", "revision", "instant", "model_id", "complete")} == {
        "subject": "user:anne",
        "revision": 2,
        "instant": "2026-01-05T09:00:00+00:00",
        "model_id": found.model_id,
        "complete": False,
    }
    assert [(item["type"], item["relation"]) for item in data["relations"]] == list(found.definite)
    assert data["relations"][-1] == {
        "type": "doc",
        "relation": "can_read",
        "definite": ["doc:3"],
        "conditional": ["doc:1", "doc:2"],
        "conditions": ["flagged", "open"],
    }
    engine.write([("user:anne", "owner", "doc:5")])
    changes = found.diff(engine.reach("user:anne"))
    data = json.loads(json.dumps(changes.to_dict()))
    assert data["gained"][0] == {"type": "doc", "relation": "owner", "object": "doc:5", "cause": "tuple"}
    assert (data["before"], data["after"], len(data["gained"]), data["lost"]) == (2, 3, 3, [])


def test_to_arrow_has_a_row_for_each_object(engine: Engine) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: the extra fgacore[arrow]")
    found = engine.reach("user:anne")
    table = found.to_arrow()
    expected = [{"type": t, "relation": r, "object": o, "conditional": False} for (t, r), objects in found.definite.items() for o in objects]
    expected += [{"type": t, "relation": r, "object": o, "conditional": True} for (t, r), objects in found.conditional.items() for o in objects]
    assert table.to_pylist() == expected
    assert table.schema.metadata[b"subject"] == b"user:anne"
    assert table.schema.metadata[b"revision"] == b"2"
    assert engine.reach("doc:1").to_arrow().num_rows == 0


def test_without_pyarrow_the_extra_is_named(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(RequestError, match=r"`fgacore\[arrow\]`") as caught:
        engine.reach("user:anne").to_arrow()
    assert caught.value.code == "extra_missing"


def test_reprs_say_what_matters(engine: Engine) -> None:
    before = engine.reach("user:anne")
    assert repr(before) == "<fgacore.Reach of user:anne at revision 2: 11 definite, 5 conditional, 6 relations>"
    engine.write([("user:anne", "owner", "doc:5")])
    assert repr(before.diff(engine.reach("user:anne"))) == "<fgacore.ReachDiff of user:anne, revision 2 to 3: +3 -0, conditional +0 -0>"
    with pytest.raises(AttributeError):
        before.subject = "user:bob"  # type: ignore[misc]


# ---- beside writes ----


def test_a_reach_beside_writes_is_of_one_revision() -> None:
    """Each write moves all three relations together: a reach that mixes two revisions would see them apart."""
    world = World(PLAIN)
    done = threading.Event()

    def write() -> None:
        for number in range(400):
            world.engine.write([("user:anne", "owner", f"doc:{number}"), ("user:anne", "viewer", f"doc:x{number}")])
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    reaches: list[Reach] = []
    while not done.is_set() or not reaches:
        reaches.append(world.engine.reach("user:anne"))
    writer.join()
    for found in reaches:
        count = found.revision - 1
        assert found.counts == {("doc", "owner"): (count, 0), ("doc", "viewer"): (2 * count, 0), ("doc", "can_read"): (2 * count, 0)}
