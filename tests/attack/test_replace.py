"""Writes that meet a stored tuple of the same key: replace, ignore, delete and write in one call; and what read gives back."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from ipaddress import ip_address
from typing import Any

import pytest

import fgacore
from fgacore import FgaError, RequestError, Tuple

MODEL = """
model
  schema 1.1
type user
type group
  relations
    define member: [user, user:*, user with low, group#member]
type doc
  relations
    define parent: [doc, doc with low]
    define viewer: [user, user:*, user with low, user:* with low, user with rich, group#member, group#member with low] or viewer from parent
condition low(x: int) {
  x < 10
}
condition rich(at: timestamp, grace: duration, ip: ipaddress, tags: list<string>, sizes: map<int>, ratio: double, big: uint, name: string, ok: bool) {
  ok && ratio < 2.0 && big > 1u && "a" in tags && sizes["k"] == 1 && ip.in_cidr("10.0.0.0/8") && at + grace > at && name != ""
}
"""
KEY = ("user:a", "viewer", "doc:1")
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
FORMS: dict[str, tuple[Any, ...]] = {
    "plain": (),
    "low": ("low",),
    "low 1": ("low", {"x": 1}),
    "low 2": ("low", {"x": 2}),
    "low 11": ("low", {"x": 11}),
    "plain until noon": (None, None, NOON),
    "plain until one": (None, None, NOON + timedelta(hours=1)),
    "plain until a microsecond later": (None, None, NOON + timedelta(microseconds=1)),
    "low 1 until noon": ("low", {"x": 1}, NOON),
}


def made(*facts: Any) -> fgacore.Engine:
    engine = fgacore.open(":memory:", clock=lambda: datetime(2025, 1, 1, tzinfo=UTC))
    engine.write_model(MODEL)
    if facts:
        engine.write(facts)
    return engine


def stored(engine: fgacore.Engine) -> list[tuple[Any, ...]]:
    return sorted(
        ((f.subject, f.relation, f.object, f.condition, f.context or None, f.expires_at) for f in engine.read()), key=lambda found: repr(found)
    )


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(FgaError) as caught:
        call()
    return caught.value.code


@pytest.mark.parametrize("old", FORMS)
@pytest.mark.parametrize("new", FORMS)
def test_one_key_is_one_tuple_whatever_it_carries(old: str, new: str) -> None:
    before, after = Tuple(*KEY, *FORMS[old]), Tuple(*KEY, *FORMS[new])
    engine = made(before, ("user:b", "viewer", "doc:1"))
    first = stored(engine)
    revision = engine.revision
    assert code_of(lambda: engine.write([("user:c", "viewer", "doc:1"), after])) == "tuple_exists"
    with pytest.raises(RequestError) as caught:
        engine.write([("user:c", "viewer", "doc:1"), after], on_duplicate="error")
    assert caught.value.index == 1
    assert (stored(engine), engine.revision) == (first, revision)
    if old == new:
        assert engine.write([after], on_duplicate="ignore") == revision
        assert engine.write([after], on_duplicate="replace") == revision
        assert stored(engine) == first
    else:
        with pytest.raises(RequestError) as caught:
            engine.write([("user:c", "viewer", "doc:1"), after], on_duplicate="ignore")
        assert (caught.value.code, caught.value.index) == ("tuple_differs", 1)
        assert (stored(engine), engine.revision) == (first, revision)
        assert engine.write([after], on_duplicate="replace") == revision + 1
        assert len(stored(engine)) == 2
        assert stored(engine)[0][3:] == (after.condition, after.context, after.expires_at)
    assert engine.stats().tuples == 2
    assert engine.write(deletes=[KEY]) > revision
    assert [found[0] for found in stored(engine)] == ["user:b"]
    assert engine.check(*KEY, context={"x": 1}) is False


@pytest.mark.parametrize("old", FORMS)
@pytest.mark.parametrize("new", FORMS)
def test_delete_and_write_of_one_key_in_one_call_replaces(old: str, new: str) -> None:
    before, after = Tuple(*KEY, *FORMS[old]), Tuple(*KEY, *FORMS[new])
    for option in ("error", "ignore", "replace"):
        engine = made(before, ("user:b", "viewer", "doc:1"))
        revision = engine.revision
        engine.write([after], deletes=[KEY], on_duplicate=option)  # type: ignore[arg-type]
        assert stored(engine)[0][3:] == (after.condition, after.context, after.expires_at)
        assert engine.stats().tuples == 2
        assert engine.revision <= revision + 1, "one write is one revision"
        assert engine.check(*KEY, context={"x": 1}) is (new != "low 11")
        assert engine.check(*KEY, context={"x": 10}) is (new not in ("low", "low 11"))


def test_delete_and_write_of_a_missing_key() -> None:
    engine = made(("user:b", "viewer", "doc:1"))
    with pytest.raises(RequestError) as caught:
        engine.write([Tuple(*KEY, "low")], deletes=[KEY])
    assert caught.value.code == "tuple_missing"
    assert len(stored(engine)) == 1
    engine.write([Tuple(*KEY, "low", {"x": 1})], deletes=[KEY], on_missing="ignore")
    assert engine.check(*KEY)
    engine.write([Tuple(*KEY, "low", {"x": 11})], deletes=[KEY, ("user:b", "viewer", "doc:1")])
    assert not engine.check(*KEY)
    assert engine.stats().tuples == 1


def test_a_key_stands_once_among_writes_and_once_among_deletes() -> None:
    engine = made(KEY)
    before = stored(engine), engine.revision
    low = Tuple(*KEY, "low", {"x": 1})
    for option in ("error", "ignore", "replace"):
        for pair in itertools.product((KEY, low, Tuple(*KEY, None, None, NOON)), repeat=2):
            assert code_of(lambda pair=pair, option=option: engine.write(pair, on_duplicate=option)) == "duplicate_tuple"
            assert code_of(lambda pair=pair, option=option: engine.write(pair, deletes=[KEY], on_duplicate=option)) == "duplicate_tuple"
        assert code_of(lambda option=option: engine.write([low], deletes=[KEY, KEY], on_duplicate=option)) == "duplicate_tuple"
    assert (stored(engine), engine.revision) == before


@pytest.mark.parametrize("bad", ["Replace", "replace ", "", None, 1, b"replace", ["replace"], "upsert"])
def test_an_option_that_does_not_exist_is_refused(bad: Any) -> None:
    engine = made(KEY)
    assert code_of(lambda: engine.write([KEY], on_duplicate=bad)) == "invalid_request"
    assert code_of(lambda: engine.write(deletes=[KEY], on_missing=bad)) == "invalid_request"
    assert code_of(lambda: engine.write(deletes=[("user:z", "viewer", "doc:z")], on_missing="replace")) == "invalid_request"  # type: ignore[arg-type]
    assert engine.stats().tuples == 1


def test_a_write_that_is_refused_replaces_nothing() -> None:
    engine = made(*(Tuple(f"user:{i}", "viewer", "doc:1", "low", {"x": 1}) for i in range(50)))
    before = stored(engine), engine.revision, engine.stats().names
    faults: list[Any] = [
        ("user:new", "viewer"),
        ("user:new", "viewers", "doc:1"),
        Tuple("user:new", "viewer", "doc:1", "high"),
        Tuple("user:new", "viewer", "doc:1", "low", {"x": "many"}),
        Tuple("user:new", "viewer", "doc:1", "low", {"y": 1}),
        Tuple("user:new", "viewer", "doc:1", None, None, datetime(2030, 1, 1)),  # noqa: DTZ001
        Tuple("user:7", "viewer", "doc:1", "low", {"x": 3}),
    ]
    for bad in faults:
        changes: list[Any] = [Tuple(f"user:{i}", "viewer", "doc:1", "low", {"x": 11}) for i in range(50)]
        with pytest.raises(RequestError) as caught:
            engine.write([*changes, bad], on_duplicate="replace")
        assert caught.value.index == 50, bad
        assert (stored(engine), engine.revision, engine.stats().names) == before
        assert engine.check("user:7", "viewer", "doc:1")


def test_a_mass_replacement_is_one_step() -> None:
    count = 3_000
    for shape in ("one object", "one subject"):
        keys = [(f"user:{i}", "viewer", "doc:1") if shape == "one object" else ("user:1", "viewer", f"doc:{i}") for i in range(count)]
        engine = made(*keys)
        revision = engine.revision
        for number, form in enumerate([("low", {"x": 1}), ("low", {"x": 11}), (), ("low",), (None, None, NOON), ("low", {"x": 11}), ()]):
            assert engine.write([Tuple(*key, *form) for key in keys], on_duplicate="replace") == revision + number + 1
            wanted = form != ("low", {"x": 11})
            assert list(engine.batch_check(keys, context={"x": 1})) == [wanted] * count
            assert engine.stats().tuples == count
            if number == 3:
                engine.merge()
        engine.write(deletes=keys)
        assert engine.stats().tuples == 0


def test_usersets_wildcards_and_parents_are_replaced_too() -> None:
    engine = made(("user:a", "member", "group:g"), ("user:a", "viewer", "doc:2"))
    for key in (("user:*", "viewer", "doc:1"), ("group:g#member", "viewer", "doc:1"), ("doc:2", "parent", "doc:1")):
        engine.write([key])
        for form, answer in (
            (("low", {"x": 11}), False),
            (("low", {"x": 1}), True),
            ((), True),
            ((None, None, NOON), True),
            (("low", {"x": 12}), False),
        ):
            for _ in range(3):
                engine.check("user:a", "viewer", "doc:1")  # views are warm
            engine.write([Tuple(*key, *form)], on_duplicate="replace")
            assert engine.check("user:a", "viewer", "doc:1") is answer, (key, form)
            assert engine.check_objects("user:a", "viewer", ["doc:1"] * 20) == [answer] * 20
        engine.write(deletes=[key])


def test_ignore_compares_meaning_not_spelling() -> None:
    engine = made(Tuple(*KEY, "low", {"x": 1}, NOON), ("user:b", "viewer", "doc:1"), Tuple("user:c", "viewer", "doc:1", "low"))
    same: list[Any] = [
        Tuple(*KEY, "low", {"x": 1}, datetime(2030, 1, 1, 14, tzinfo=timezone(timedelta(hours=2)))),
        Tuple("user:b", "viewer", "doc:1", None, None, None),
        Tuple("user:c", "viewer", "doc:1", "low", {}),
    ]
    revision = engine.revision
    for fact in same:
        assert engine.write([fact], on_duplicate="ignore") == revision, fact
        assert engine.write([fact], on_duplicate="replace") == revision, fact
    assert code_of(lambda: engine.write([Tuple("user:c", "viewer", "doc:1", "low", {"x": 0})], on_duplicate="ignore")) == "tuple_differs"


RICH = {
    "at": datetime(2024, 2, 29, 13, 30, 0, 250_000, tzinfo=timezone(timedelta(hours=1, minutes=30))),
    "grace": timedelta(hours=1, microseconds=1),
    "ip": ip_address("10.1.2.3"),
    "tags": ("a", "b"),
    "sizes": {"k": 1, "l": -(2**63)},
    "ratio": 0.1,
    "big": 2**64 - 1,
    "name": "é\U0001f600",
    "ok": True,
}


def test_read_gives_back_what_was_written() -> None:
    engine = made(Tuple(*KEY, "rich", RICH, NOON))
    (found,) = engine.read()
    assert isinstance(found, Tuple)
    assert (found.subject, found.relation, found.object, found.condition, found.expires_at) == (*KEY, "rich", NOON)
    assert found.expires_at is not None
    assert found.expires_at.tzinfo is not None
    assert type(found.context) is dict
    assert set(found.context) == set(RICH)
    kept = {key: found.context[key] for key in ("sizes", "ratio", "big", "name", "ok")}
    assert kept == {key: RICH[key] for key in kept}
    assert found.context["tags"] == ["a", "b"]
    assert found.context["ip"] == "10.1.2.3"
    assert isinstance(found.context["at"], str)
    assert datetime.fromisoformat(found.context["at"]) == RICH["at"]
    assert isinstance(found.context["grace"], str)
    assert engine.check(*KEY) is True
    revision = engine.revision
    assert engine.write([found], on_duplicate="ignore") == revision, "what read gives is equal to what is stored"
    assert engine.write([found], on_duplicate="replace") == revision
    other = made(*engine.read())
    assert list(other.read()) == [found]
    assert other.check(*KEY) is True


def test_what_read_gives_can_be_deleted() -> None:
    engine = made(*(Tuple("user:a", "viewer", f"doc:{i}", *form) for i, form in enumerate(FORMS.values())))
    engine.write(deletes=list(engine.read(subject="user:a")))
    assert engine.stats().tuples == 0


def test_a_context_is_a_copy() -> None:
    context: dict[str, Any] = {"x": 1}
    fact = Tuple(*KEY, "low", context)
    engine = made(fact)
    context["x"] = 11
    assert engine.check(*KEY) is True
    (found,) = engine.read()
    assert found.context == {"x": 1}
    assert isinstance(found.context, dict)
    found.context["x"] = 11
    assert engine.check(*KEY) is True
    assert [again.context for again in engine.read()] == [{"x": 1}]


def test_a_filtered_delete_takes_every_form() -> None:
    engine = made(*(Tuple(f"user:{i}", "viewer", "doc:1", *form) for i, form in enumerate(FORMS.values())), ("user:a", "member", "group:g"))
    engine.delete(object="doc:1")
    assert [found[0] for found in stored(engine)] == ["user:a"]
    assert not any(engine.check(f"user:{i}", "viewer", "doc:1", context={"x": 1}) for i in range(len(FORMS)))


def test_a_tuple_is_deleted_by_its_key_under_a_model_that_knows_its_condition_no_more() -> None:
    engine = made(Tuple(*KEY, "low", {"x": 1}))
    engine.write_model("model\n  schema 1.1\ntype user\ntype doc\n  relations\n    define viewer: [user]\n")
    assert code_of(lambda: engine.write([KEY])) == "tuple_exists"
    assert code_of(lambda: engine.write([KEY], on_duplicate="ignore")) == "tuple_differs"
    engine.write([KEY], on_duplicate="replace")
    assert engine.check(*KEY)
    engine.write(deletes=[KEY])
    assert stored(engine) == []


def test_counts_follow_a_walk_over_forms() -> None:
    """The same key in turn under every form, by every option: one tuple at most, and the last form counts."""
    engine = made()
    for number, (old, new) in enumerate(itertools.permutations(FORMS, 2)):
        engine.write([Tuple(*KEY, *FORMS[old])], on_duplicate="replace")
        if number % 3 == 0:
            engine.write([Tuple(*KEY, *FORMS[new])], on_duplicate="replace")
        elif number % 3 == 1:
            engine.write([Tuple(*KEY, *FORMS[new])], deletes=[KEY])
        else:
            engine.write(deletes=[KEY])
            engine.write([Tuple(*KEY, *FORMS[new])])
        assert engine.stats().tuples == 1
        (found,) = stored(engine)
        wanted = Tuple(*KEY, *FORMS[new])
        assert found[3:] == (wanted.condition, wanted.context, wanted.expires_at)
        assert engine.check(*KEY, context={"x": 10}) is (new not in ("low", "low 11"))


def test_a_replacement_is_recorded_with_its_actor() -> None:
    engine = made(KEY)
    revision = engine.write([Tuple(*KEY, "low", {"x": 1})], on_duplicate="replace", actor="user:lead", reason="narrowed")
    change = list(engine.changes(since=revision - 1))[-1]
    assert (change.revision, change.actor, change.reason, change.written) == (revision, "user:lead", "narrowed", 1)
