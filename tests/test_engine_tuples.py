"""Writing, deleting and reading tuples by the public door. Atomicity in the large: attack/test_atomicity.py."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

import fgacore
from fgacore.errors import CODES, FgaError

MODEL = """
model
  schema 1.1
type user
type agent
type team
  relations
    define member: [user, agent, user:*, team#member]
type document
  relations
    define parent: [document]
    define owner: [user]
    define viewer: [user, user:*, agent, team#member, document#viewer] or owner
    define can_read: viewer
"""
STORED = [
    ("user:anne", "owner", "document:1"),
    ("user:anne", "viewer", "document:1"),
    ("user:anne", "viewer", "document:2"),
    ("user:bob", "viewer", "document:2"),
    ("user:*", "viewer", "document:3"),
    ("agent:anne", "viewer", "document:1"),
    ("team:sre#member", "viewer", "document:1"),
    ("team:sre#member", "member", "team:all"),
    ("document:1#viewer", "viewer", "document:2"),
    ("document:1", "parent", "document:2"),
    ("user:anne", "member", "team:sre"),
]
FRESH = ("user:new", "viewer", "document:new")
Triple = tuple[str, str, str]


@pytest.fixture
def engine() -> fgacore.Engine:
    engine = fgacore.open(":memory:")
    engine.write_model(MODEL)
    engine.write(STORED)
    return engine


def refused(call: Callable[..., object], *args: Any, **options: Any) -> tuple[str, int | None]:
    with pytest.raises(FgaError) as caught:
        call(*args, **options)
    assert type(caught.value) is CODES[caught.value.code]
    return caught.value.code, caught.value.index


def triples(found: Iterator[fgacore.Tuple]) -> list[Triple]:
    return [(t.subject, t.relation, t.object) for t in found]


def state(engine: fgacore.Engine) -> tuple[object, ...]:
    stats = engine.stats()
    return sorted(triples(engine.read())), stats.revision, stats.names, stats.tuples, stats.unmerged


# ---- reading and deleting by parts ----


@pytest.mark.parametrize("given", list(itertools.product((False, True), repeat=3)))
@pytest.mark.parametrize("merged", [False, True])
def test_read_and_delete_match_every_part_given(engine: fgacore.Engine, given: tuple[bool, ...], merged: bool) -> None:
    if merged:
        engine.merge()
    for triple in [*STORED, FRESH, ("team:none#member", "none", "none:1")]:
        parts = {name: part for name, part, wanted in zip(("subject", "relation", "object"), triple, given, strict=True) if wanted}
        right = [t for t in STORED if all(part == t[("subject", "relation", "object").index(name)] for name, part in parts.items())]
        assert sorted(triples(engine.read(**parts))) == sorted(right)
        if parts:
            before = engine.revision
            assert engine.delete(**parts) == engine.revision == before + bool(right)
            assert set(triples(engine.read())) == set(STORED) - set(right)
            engine.write(right)


def test_read_is_of_the_revision_at_the_call(engine: fgacore.Engine) -> None:
    reading = engine.read(relation="viewer", object="document:2")
    before = triples(engine.read(relation="viewer", object="document:2"))
    engine.write([("user:carl", "viewer", "document:2")], deletes=[("user:bob", "viewer", "document:2")])
    engine.merge()
    assert triples(reading) == before


@pytest.mark.parametrize("parts", [{"subject": "user:anne"}, {"relation": "viewer"}, {"object": "document:1"}])
def test_reading_goes_on_over_a_new_model(engine: fgacore.Engine, parts: dict[str, str]) -> None:
    reading = engine.read(**parts)
    right = triples(engine.read(**parts))
    engine.write_model(MODEL + "type folder\n  relations\n    define keeper: [folder#keeper, user]\n")
    assert triples(reading) == right


def test_malformed_parts_are_refused_at_the_call(engine: fgacore.Engine) -> None:
    assert refused(engine.read, subject="anne") == ("invalid_subject", None)
    assert refused(engine.read, subject=7) == ("invalid_subject", None)
    assert refused(engine.read, object="document:1#viewer") == ("invalid_object", None)
    assert refused(engine.read, object="document:*") == ("invalid_object", None)
    assert refused(engine.read, relation=7) == ("invalid_relation", None)
    assert refused(engine.delete) == ("invalid_request", None)


@pytest.mark.parametrize("text", ["nocolon", 7, "a b:c"])
def test_a_malformed_object_to_read_is_named_as_the_object(engine: fgacore.Engine, text: Any) -> None:
    assert refused(engine.read, object=text) == ("invalid_object", None)


# ---- writing ----


def test_items_are_triples_tuples_or_any_iterable_of_them(engine: fgacore.Engine) -> None:
    some = [(f"user:{i}", "viewer", "document:many") for i in range(6)]
    engine.write(iter(some[:2]))
    engine.write({some[2]: None})
    engine.write((fgacore.Tuple(*some[3]), some[4]), deletes=[fgacore.Tuple(*STORED[0])])
    engine.write(fgacore.Tuple(*t) for t in some[5:])
    assert set(triples(engine.read())) == {*STORED[1:], *some}
    for bad in ("user:anne viewer document:1", b"abc", fgacore.Tuple(*FRESH), 7, None):
        assert refused(engine.write, bad) == ("invalid_request", None)
        assert refused(engine.write, deletes=bad) == ("invalid_request", None)


def test_duplicates_and_missing_ones_are_refused_or_passed_over(engine: fgacore.Engine) -> None:
    before = state(engine)
    assert refused(engine.write, [FRESH, STORED[3]]) == ("tuple_exists", 1)
    assert refused(engine.write, deletes=[STORED[3], FRESH]) == ("tuple_missing", 1)
    assert state(engine) == before
    assert engine.write([STORED[3]], deletes=[FRESH], on_duplicate="ignore", on_missing="ignore") == before[1]
    assert state(engine) == before
    engine.write([STORED[3], FRESH], on_duplicate="ignore")
    engine.write(deletes=[FRESH, ("user:other", "viewer", "document:other")], on_missing="ignore")
    assert set(triples(engine.read())) == set(STORED)
    assert engine.ids("user", ["other"])[0] == fgacore.NONE  # what was only to be deleted has no name
    assert refused(engine.write, [FRESH], on_duplicate="skip") == ("invalid_request", None)
    assert refused(engine.write, [FRESH], on_missing=None) == ("invalid_request", None)


def test_the_same_key_twice_is_refused_wherever_it_stands(engine: fgacore.Engine) -> None:
    before = state(engine)
    other = ("user:other", "viewer", "document:new")
    options: dict[str, Any] = {"on_duplicate": "ignore", "on_missing": "ignore"}
    assert refused(engine.write, [FRESH, other, FRESH], **options) == ("duplicate_tuple", 2)
    assert refused(engine.write, [FRESH, fgacore.Tuple(*FRESH)], **options) == ("duplicate_tuple", 1)
    assert refused(engine.write, deletes=[STORED[0], STORED[1], STORED[0]], **options) == ("duplicate_tuple", 2)
    assert state(engine) == before


def test_the_same_key_deleted_and_written_is_written_anew(engine: fgacore.Engine) -> None:
    before, after = engine.revision, datetime(2099, 1, 1, tzinfo=UTC)
    assert engine.write([fgacore.Tuple(*STORED[0], expires_at=after)], deletes=[STORED[0]]) == before + 1
    assert [item.expires_at for item in engine.read() if (item.subject, item.relation, item.object) == STORED[0]] == [after]


def test_deletes_come_before_writes(engine: fgacore.Engine) -> None:
    """So a fault among the deletes is the one that is told, and both are one revision."""
    assert refused(engine.write, [STORED[1]], deletes=[FRESH]) == ("tuple_missing", 0)
    assert refused(engine.write, [("user", "viewer", "document:1")], deletes=[("user:x", "viewer", "doc")]) == ("invalid_object", 0)
    before = engine.revision
    assert engine.write([FRESH], deletes=STORED) == before + 1
    assert triples(engine.read()) == [FRESH]


FAULTS: list[tuple[Any, str]] = [
    (("user", "viewer", "document:1"), "invalid_subject"),
    ((7, "viewer", "document:1"), "invalid_subject"),
    (("user:\udc80", "viewer", "document:1"), "invalid_subject"),
    (("user:" + "x" * 252, "viewer", "document:1"), "invalid_subject"),
    (("user:x", "viewer", "document"), "invalid_object"),
    (("user:x", "viewer", "document:*"), "invalid_object"),
    (("user:x", "viewer", "document:1#viewer"), "invalid_object"),
    (("user:x", "viewer", None), "invalid_object"),
    (("user:x", 7, "document:1"), "invalid_relation"),
    (("robot:x", "viewer", "document:1"), "type_not_found"),
    (("user:x", "viewer", "planet:1"), "type_not_found"),
    (("user:x", "editor", "document:1"), "relation_not_found"),
    (("user:x", "member", "document:1"), "relation_not_found"),
    (("team:x#viewer", "viewer", "document:1"), "relation_not_found"),
    (("agent:x", "owner", "document:1"), "invalid_tuple"),
    (("user:*", "owner", "document:1"), "invalid_tuple"),
    (("agent:*", "viewer", "document:1"), "invalid_tuple"),
    (("team:x#member", "owner", "document:1"), "invalid_tuple"),
    (("team:x", "viewer", "document:1"), "invalid_tuple"),
    (("user:x", "can_read", "document:1"), "invalid_tuple"),
    (("document:1#viewer", "viewer", "document:1"), "invalid_tuple"),
    (("user:x", "viewer"), "invalid_tuple"),
    (["user:x", "viewer", "document:1"], "invalid_tuple"),
    (None, "invalid_tuple"),
    (fgacore.Tuple("user:x", "viewer", "document:1", condition="night"), "condition_not_found"),
    (fgacore.Tuple("user:x", "viewer", "document:1", context={}), "invalid_tuple"),
    (fgacore.Tuple("user:x", "viewer", "document:1", expires_at=datetime(2099, 1, 1)), "invalid_expiry"),  # noqa: DTZ001
]


@pytest.mark.parametrize(("fault", "code"), FAULTS, ids=[str(fault)[:60] for fault, _ in FAULTS])
def test_a_fault_is_told_by_code_and_index_and_leaves_nothing_behind(engine: fgacore.Engine, fault: Any, code: str) -> None:
    before = state(engine)
    assert refused(engine.write, [FRESH, fault], deletes=STORED[:2], actor="user:lead") == (code, 1)
    assert state(engine) == before
    assert engine.ids("user", ["new"])[0] == engine.ids("document", ["new"])[0] == fgacore.NONE
    assert [change.kind for change in engine.changes()] == ["model", "tuples"]
    if code not in ("type_not_found", "relation_not_found", "invalid_tuple", "condition_not_found", "invalid_expiry"):
        # deletes are held to the shape of names alone
        assert refused(engine.write, deletes=[STORED[0], fault]) == (code, 1)
        assert state(engine) == before


def test_what_no_model_admits_any_more_can_still_be_deleted(engine: fgacore.Engine) -> None:
    engine.write_model("model\n  schema 1.1\ntype user\n")
    assert set(triples(engine.read())) == set(STORED)
    engine.write(deletes=STORED)
    assert engine.stats().tuples == 0
    assert refused(engine.write, deletes=[("robot:x", "viewer", "planet:1")]) == ("tuple_missing", 0)
