"""`expand`: one level of a relation, as OpenFGA's Expand gives it. The trees are written by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import fgacore
from fgacore.errors import CODES, FgaError
from fgacore.runtime.expand import expand

MODEL = """
model
  schema 1.1
type user
type org
  relations
    define member: [user]
type team
  relations
    define member: [user, user:*, team#member]
type folder
  relations
    define viewer: [user]
type document
  relations
    define parent: [folder, org]
    define banned: [user with at_night]
    define editor: [user, user:*, team#member, user with at_night]
    define viewer: editor
    define inherited: viewer from parent
    define both: [user] and editor
    define any: [user] or editor or viewer from parent
    define deep: ([user] or (editor and viewer)) but not banned
condition at_night(hour: int) {
  hour < 6
}
"""
NOW = datetime(2026, 3, 1, tzinfo=UTC)
NAME = {"name": "document:1#deep"}


@pytest.fixture
def engine() -> fgacore.Engine:
    engine = fgacore.open(":memory:", clock=lambda: NOW)
    engine.write_model(MODEL)
    return engine


def users(relation: str, *names: str) -> dict[str, Any]:
    return {"name": f"document:1#{relation}", "leaf": {"users": {"users": list(names)}}}


def computed(relation: str, userset: str) -> dict[str, Any]:
    return {"name": f"document:1#{relation}", "leaf": {"computed": {"userset": userset}}}


def parents(relation: str, *usersets: str) -> dict[str, Any]:
    leaf = {"tupleset": "document:1#parent", "computed": [{"userset": userset} for userset in usersets]}
    return {"name": f"document:1#{relation}", "leaf": {"tupleToUserset": leaf}}


def root(engine: fgacore.Engine, relation: str, **options: Any) -> dict[str, Any]:
    tree = expand(engine, "document:1", relation, **options)
    assert list(tree) == ["root"]
    assert isinstance(tree["root"], dict)
    return tree["root"]


def test_stored_tuples_are_users_as_they_are_stored(engine: fgacore.Engine) -> None:
    engine.write([
        ("user:bob", "editor", "document:1"),
        ("user:anne", "editor", "document:1"),
        ("user:*", "editor", "document:1"),
        ("team:sre#member", "editor", "document:1"),
        ("user:carl", "member", "team:sre"),  # one level: not looked into
        ("user:dora", "editor", "document:2"),
    ])  # fmt: skip
    for _ in range(2):
        assert root(engine, "editor") == users("editor", "team:sre#member", "user:*", "user:anne", "user:bob")
        engine.merge()


def test_what_nothing_mentions_has_no_users(engine: fgacore.Engine) -> None:
    assert root(engine, "editor") == users("editor")
    assert root(engine, "inherited") == parents("inherited")


def test_conditions_are_not_evaluated(engine: fgacore.Engine) -> None:
    engine.write([fgacore.Tuple("user:anne", "editor", "document:1", "at_night"), fgacore.Tuple("user:bob", "banned", "document:1", "at_night")])
    assert root(engine, "editor") == users("editor", "user:anne")
    assert root(engine, "banned") == users("banned", "user:bob")


def test_a_computed_relation_is_named(engine: fgacore.Engine) -> None:
    assert root(engine, "viewer") == computed("viewer", "document:1#editor")


def test_a_relation_of_parents_names_each_parent_once_whether_its_type_has_it_or_not(engine: fgacore.Engine) -> None:
    engine.write([("folder:x", "parent", "document:1"), ("org:o", "parent", "document:1"), ("folder:a", "parent", "document:1")])
    assert root(engine, "inherited") == parents("inherited", "folder:a#viewer", "folder:x#viewer", "org:o#viewer")


def test_operations_have_their_operands_in_the_models_order(engine: fgacore.Engine) -> None:
    engine.write([("user:anne", "both", "document:1"), ("user:bob", "deep", "document:1"), ("folder:x", "parent", "document:1")])
    assert root(engine, "both") == {
        "name": "document:1#both",
        "intersection": {"nodes": [users("both", "user:anne"), computed("both", "document:1#editor")]},
    }
    assert root(engine, "any") == {
        "name": "document:1#any",
        "union": {"nodes": [users("any"), computed("any", "document:1#editor"), parents("any", "folder:x#viewer")]},
    }
    inner = NAME | {"intersection": {"nodes": [computed("deep", "document:1#editor"), computed("deep", "document:1#viewer")]}}
    base = NAME | {"union": {"nodes": [users("deep", "user:bob"), inner]}}
    assert root(engine, "deep") == NAME | {"difference": {"base": base, "subtract": computed("deep", "document:1#banned")}}


def test_what_the_model_in_use_does_not_admit_is_not_there(engine: fgacore.Engine) -> None:
    older = engine.stats().model_id
    engine.write([("user:*", "editor", "document:1"), ("user:anne", "editor", "document:1"), ("org:o", "parent", "document:1")])
    engine.write_model(MODEL.replace("editor: [user, user:*,", "editor: [user,").replace("[folder, org]", "[folder]"))
    assert root(engine, "editor") == users("editor", "user:anne")
    assert root(engine, "inherited") == parents("inherited")
    assert root(engine, "editor", model_id=older) == users("editor", "user:*", "user:anne")
    assert root(engine, "inherited", model_id=older) == parents("inherited", "org:o#viewer")


def test_what_has_expired_is_not_there() -> None:
    now = NOW
    engine = fgacore.open(":memory:", clock=lambda: now)
    engine.write_model(MODEL)
    hour = timedelta(hours=1)
    engine.write([fgacore.Tuple("user:anne", "editor", "document:1", expires_at=now + hour), ("user:bob", "editor", "document:1")])
    brought = [fgacore.Tuple("user:carl", "editor", "document:1", expires_at=now + hour)]
    assert root(engine, "editor", contextual_tuples=brought) == users("editor", "user:anne", "user:bob", "user:carl")
    now += hour
    assert root(engine, "editor", contextual_tuples=brought) == users("editor", "user:bob")


def test_contextual_tuples_are_there_and_each_key_is_once(engine: fgacore.Engine) -> None:
    engine.write([("user:anne", "editor", "document:1"), ("folder:x", "parent", "document:1")])
    brought = [
        ("user:new", "editor", "document:1"),
        ("team:new#member", "editor", "document:1"),
        fgacore.Tuple("user:anne", "editor", "document:1", "at_night"),
        ("folder:new", "parent", "document:1"),
        ("user:elsewhere", "editor", "document:2"),
    ]
    assert root(engine, "editor", contextual_tuples=iter(brought)) == users("editor", "team:new#member", "user:anne", "user:new")
    assert root(engine, "inherited", contextual_tuples=brought) == parents("inherited", "folder:new#viewer", "folder:x#viewer")
    assert expand(engine, "document:2", "editor", contextual_tuples=brought)["root"]["leaf"] == {"users": {"users": ["user:elsewhere"]}}
    gone = [fgacore.Tuple("user:anne", "editor", "document:1", expires_at=NOW)]
    assert root(engine, "editor", contextual_tuples=gone) == users("editor")
    assert root(engine, "editor") == users("editor", "user:anne")


@pytest.mark.parametrize(
    ("object", "relation", "options", "code"),
    [
        ("document", "editor", {}, "invalid_object"),
        ("document:1#editor", "editor", {}, "invalid_object"),
        (7, "editor", {}, "invalid_object"),
        ("page:1", "editor", {}, "type_not_found"),
        ("document:1", "flies", {}, "relation_not_found"),
        ("document:1", None, {}, "relation_not_found"),
        ("user:1", "editor", {}, "relation_not_found"),
        ("document:1", "editor", {"model_id": "none"}, "model_not_found"),
        ("document:1", "editor", {"at_least": 99}, "stale"),
        ("document:1", "editor", {"contextual_tuples": [("user:a", "viewer", "document:1")]}, "invalid_contextual_tuple"),
        ("document:1", "editor", {"contextual_tuples": "user:a"}, "invalid_contextual_tuple"),
    ],
)
def test_bad_questions_are_refused(engine: fgacore.Engine, object: Any, relation: Any, options: dict[str, Any], code: str) -> None:
    with pytest.raises(FgaError) as caught:
        expand(engine, object, relation, **options)
    assert (caught.value.code, type(caught.value)) == (code, CODES[code])


def test_a_store_without_a_model_and_a_closed_one_refuse() -> None:
    engine = fgacore.open(":memory:")
    with pytest.raises(fgacore.RequestError) as caught:
        expand(engine, "document:1", "editor")
    assert caught.value.code == "no_model"
    engine.write_model(MODEL)
    engine.close()
    with pytest.raises(fgacore.StoreError) as closed:
        expand(engine, "document:1", "editor")
    assert closed.value.code == "closed"
