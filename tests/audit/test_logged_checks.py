"""An engine that logs its own checks answers as one that does not, at every door, and what it logged is decided again."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fgacore
from fgacore import Question, Tuple, audit

SEED = int(os.environ.get("FGACORE_SEED", "20261125"))
MODEL = """
model
  schema 1.1
type user
type group
  relations
    define member: [user, group#member, user:*]
type folder
  relations
    define viewer: [user, group#member]
type document
  relations
    define parent: [folder]
    define blocked: [user, group#member]
    define viewer: [user, user with small, group#member] or viewer from parent
    define can_read: viewer but not blocked
condition small(x: int) {
  x < 10
}
"""
USERS = [f"user:{number}" for number in range(5)]
GROUPS = [f"group:{number}" for number in range(4)]
FOLDERS = [f"folder:{number}" for number in range(3)]
DOCUMENTS = [f"document:{number}" for number in range(8)]
SUBJECTS = [*USERS, "user:nobody", "user:*", *(f"{group}#member" for group in GROUPS), "group:unheard#member", "robot:1", "user", "user:a b", 7]
RELATIONS = ["viewer", "can_read", "can_read", "blocked", "member", "nothing", 5]
OBJECTS = [*DOCUMENTS, *DOCUMENTS, "document:unheard", *GROUPS, "group:unheard", *FOLDERS, "robot:1", "document", "document:*", None]
CONTEXTS = [None, None, {}, {"x": 5}, {"x": 50}, {"x": "no"}, {"other": 1}, 9]


def tuples(source: random.Random) -> list[Any]:
    """Some of each kind, each once."""
    found: dict[tuple[str, str, str], Any] = {}
    for _ in range(60):
        member = source.choice([*USERS, *USERS, *(f"{group}#member" for group in GROUPS)])
        relation, places = source.choice([("member", GROUPS), ("viewer", FOLDERS), ("viewer", DOCUMENTS), ("blocked", DOCUMENTS)])
        place = source.choice(places)
        if member == f"{place}#{relation}":
            continue
        conditioned = relation == "viewer" and place in DOCUMENTS and member in USERS and source.random() < 0.5
        found[member, relation, place] = Tuple(member, relation, place, condition="small") if conditioned else (member, relation, place)
    for document in DOCUMENTS:
        folder = source.choice(FOLDERS)
        found[folder, "parent", document] = (folder, "parent", document)
    return list(found.values())


def outcome(call: Callable[[], Any]) -> Any:
    """What a call gives, or by whose fault it gives nothing: of several faults in one question, either may be told."""
    try:
        found = call()
    except fgacore.FgaError as error:
        return type(error).__name__
    if isinstance(found, fgacore.BatchResult):
        return list(found), {index: (type(error), error.index) for index, error in found.errors.items()}
    return found.tolist() if isinstance(found, np.ndarray) else found


def calls(source: random.Random) -> tuple[str, Callable[[fgacore.Engine], Any]]:
    """A question at one of the doors."""
    subject, relation, context = source.choice(SUBJECTS), source.choice(RELATIONS), source.choice(CONTEXTS)
    names: list[Any] = [source.choice(OBJECTS) for _ in range(source.choice((0, 1, 3, 12, 80)))]
    if source.random() < 0.7:  # a bad one spoils them all
        names = [name for name in names if name in DOCUMENTS or name == "document:unheard"]
    contextual: Any = source.choice([(), (), [], None, [("user:0", "viewer", "document:fresh")]])
    door = source.choice(["check", "check_objects", "filter_objects", "batch_check", "check_ids"])
    options: dict[str, Any] = {"context": context, "contextual_tuples": contextual}
    name: Any = source.choice(OBJECTS)
    if door == "check":
        return door, lambda engine: engine.check(subject, relation, name, **options)
    if door == "batch_check":
        questions: list[Any] = [(source.choice(SUBJECTS), source.choice(RELATIONS), each) for each in names]
        questions += [Question("user:1", "can_read", "document:1", context=source.choice([None, {"x": 1}]))] * source.choice((0, 1))
        questions += ["no question"] * source.choice((0, 0, 0, 1))
        source.shuffle(questions)
        return door, lambda engine: engine.batch_check(list(questions), **options)
    if door == "check_ids":
        ids = np.array([source.choice([0, 1, 2, fgacore.NONE]) for _ in names], np.uint32)
        kind = source.choice(["user", "group#member", "user:*"])
        return door, lambda engine: engine.check_ids(source_id, "can_read", ids, subject_type=kind, object_type="document", context=context)
    return door, lambda engine: getattr(engine, door)(subject, relation, list(names), **options)


source_id = 1


@pytest.mark.parametrize("number", range(6))
def test_logged_checks_are_the_checks(number: int, tmp_path: Path) -> None:
    source = random.Random(SEED + number)
    print("seed", SEED + number)
    with fgacore.open(":memory:") as plain, fgacore.open(tmp_path / "authz", log_checks=True) as logged:
        first = tuples(source)
        for engine in (plain, logged):
            engine.write_model(MODEL)
            engine.write(first)
        answered = 0
        for turn in range(400):
            if turn % 50 == 49:
                gone = source.choice(first)
                for engine in (plain, logged):
                    engine.write([], deletes=[gone], on_missing="ignore")
            door, call = calls(source)
            expected = outcome(lambda call=call: call(plain))  # type: ignore[misc]
            assert outcome(lambda call=call: call(logged)) == expected, (door, turn)  # type: ignore[misc]
            answered += not isinstance(expected, str)
        assert answered > 100
        found = audit.replay(logged)
        assert found.differences == 0, found.examples[:3]
        assert found.same > 100
    assert audit.verify(tmp_path / "authz" / "decisions").good
