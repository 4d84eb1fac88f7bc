"""`list_subjects`: who has a relation on an object. Expectations are written by hand; agreement with checks on random stores: properties/."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import fgacore
from fgacore.errors import CODES, FgaError
from fgacore.runtime.subjects import SubjectSet, list_subjects

NOW = datetime(2026, 3, 1, tzinfo=UTC)
MODEL = """
model
  schema 1.1
type user
type robot
type team
  relations
    define member: [user, user:*, team#member]
type folder
  relations
    define parent: [folder]
    define viewer: [user, team#member] or viewer from parent
type document
  relations
    define parent: [folder]
    define banned: [user, team#member]
    define viewer: [user, user:*, robot, team#member] or viewer from parent
    define can_view: viewer but not banned
    define signed: [user]
    define can_sign: viewer and signed
"""


def store(model: str = MODEL, *tuples: Any, clock: Callable[[], datetime] | None = None) -> fgacore.Engine:
    engine = fgacore.open(":memory:", clock=clock)
    engine.write_model(model)
    if tuples:
        engine.write(tuples)
    return engine


def listed(engine: fgacore.Engine, object: str, relation: str, kind: str = "user", **options: Any) -> list[str]:
    """What is listed, each of them checked again."""
    found = list_subjects(engine, object, relation, kind, **options)
    options.pop("on_missing_context", None)
    assert all(engine.check(name, relation, object, **options) for name in found)
    assert len(found) == len(found.to_list()) == len(set(found))
    return found.to_list()


# ---- whom tuples lead to ----


def test_every_way_down_is_gone() -> None:
    engine = store(
        MODEL,
        ("user:direct", "viewer", "document:1"),
        ("robot:r2", "viewer", "document:1"),
        ("team:sre#member", "viewer", "document:1"),
        ("team:core#member", "member", "team:sre"),
        ("user:both", "member", "team:sre"),
        ("user:both", "member", "team:core"),
        ("user:nested", "member", "team:core"),
        ("folder:in", "parent", "document:1"),
        ("folder:out", "parent", "folder:in"),
        ("user:above", "viewer", "folder:out"),
        ("team:hr#member", "viewer", "folder:out"),
        ("user:hr", "member", "team:hr"),
        ("user:elsewhere", "viewer", "document:2"),
        ("user:elsewhere", "member", "team:other"),
    )
    for _ in range(2):
        assert listed(engine, "document:1", "viewer") == ["user:above", "user:both", "user:direct", "user:hr", "user:nested"]
        assert listed(engine, "document:1", "viewer", "robot") == ["robot:r2"]
        assert listed(engine, "document:1", "viewer", "team#member") == ["team:core#member", "team:hr#member", "team:sre#member"]
        assert listed(engine, "document:1", "viewer", "folder#viewer") == ["folder:in#viewer", "folder:out#viewer"]
        engine.merge()


def test_operations_leave_out_whom_they_must() -> None:
    engine = store(
        MODEL,
        ("user:anne", "viewer", "document:1"),
        ("user:bob", "viewer", "document:1"),
        ("team:sre#member", "viewer", "document:1"),
        ("user:carl", "member", "team:sre"),
        ("user:bob", "banned", "document:1"),
        ("user:never-a-viewer", "banned", "document:1"),
        ("user:anne", "signed", "document:1"),
        ("user:dora", "signed", "document:1"),
    )
    found = list_subjects(engine, "document:1", "can_view", "user")
    assert (found.subjects, found.wildcard, found.excluded, found.undetermined) == (["user:anne", "user:carl"], False, [], [])
    assert listed(engine, "document:1", "can_view", "team#member") == ["team:sre#member"]
    engine.write([("team:sre#member", "banned", "document:1")])
    assert listed(engine, "document:1", "can_view") == ["user:anne"]
    assert listed(engine, "document:1", "can_view", "team#member") == []
    assert listed(engine, "document:1", "can_sign") == ["user:anne"]


def test_a_userset_is_in_its_own_relation_known_or_not() -> None:
    engine = store(MODEL, ("team:sre#member", "viewer", "document:1"))
    assert listed(engine, "document:never-seen", "viewer", "document#viewer") == ["document:never-seen#viewer"]
    assert listed(engine, "document:1", "can_view", "document#viewer") == ["document:1#viewer"]
    assert listed(engine, "document:1", "can_sign", "document#viewer") == []
    assert listed(engine, "document:1", "viewer", "team") == []
    assert listed(engine, "team:sre", "member", "team#member") == ["team:sre#member"]


def test_cycles_end_and_grant_nothing_of_themselves() -> None:
    engine = store(
        MODEL,
        ("team:red#member", "member", "team:blue"),
        ("team:blue#member", "member", "team:red"),
        ("folder:a", "parent", "folder:b"),
        ("folder:b", "parent", "folder:a"),
        ("folder:a", "parent", "document:1"),
        ("team:red#member", "viewer", "folder:b"),
    )
    assert listed(engine, "document:1", "viewer") == []
    assert listed(engine, "document:1", "viewer", "team#member") == ["team:blue#member", "team:red#member"]
    engine.write([("user:anne", "member", "team:blue")])
    assert listed(engine, "document:1", "viewer") == ["user:anne"]


def test_a_kind_that_can_never_hold_the_relation_gets_nothing() -> None:
    engine = store(MODEL, ("user:anne", "viewer", "document:1"), ("user:*", "viewer", "document:1"))
    for kind in ("folder", "document", "document#banned", "team"):
        found = list_subjects(engine, "document:1", "viewer", kind)
        assert (found.to_list(), found.wildcard, found.excluded) == ([], False, [])
    assert listed(engine, "folder:1", "viewer", "robot") == []


def test_chains_and_crowds_are_listed_whole() -> None:
    chain = [(f"folder:{i + 1}", "parent", f"folder:{i}") for i in range(2_000)]
    crowd = [(f"user:{i}", "member", "team:all") for i in range(2_000)]
    engine = store(MODEL, *chain, *crowd, ("folder:0", "parent", "document:1"), ("team:all#member", "viewer", "folder:2000"))
    assert listed(engine, "document:1", "can_view") == sorted(name for name, _, _ in crowd)
    assert len(listed(engine, "document:1", "can_view", "folder#viewer")) == 2_001
    engine.write([("user:*", "viewer", "document:1"), ("user:7", "banned", "document:1")])
    found = list_subjects(engine, "document:1", "can_view", "user")
    assert (len(found), found.wildcard, found.excluded) == (2_000, True, ["user:7"])


# ---- the wildcard ----

OPERATIONS = """
model
  schema 1.1
type user
type robot
type team
  relations
    define member: [user, user:*, robot:*]
type document
  relations
    define parent: [document]
    define a: [user, user:*, robot:*, team#member]
    define b: [user, user:*, team#member]
    define c: [user, user:*]
    define either: a or b
    define both: a and b
    define not_b: a but not b
    define chain: a but not (b but not c)
    define mixed: (a but not b) and c
    define joined: (a but not b) or c
    define up: a or not_b from parent
"""
PQR = {"p": "user:p", "q": "user:q", "r": "user:r", "*": "user:*"}


@pytest.mark.parametrize(
    ("relation", "a", "b", "c", "expected", "excluded"),
    [
        ("a", "*", "", "", "*", ""),
        ("a", "* p", "", "", "p *", ""),
        ("either", "*", "p", "", "p *", ""),
        ("either", "p", "q", "", "p q", ""),
        ("both", "*", "*", "", "*", ""),
        ("both", "* p", "* q", "", "p q *", ""),
        ("both", "*", "p", "", "p", ""),  # not everyone: nobody is excluded from a wildcard
        ("both", "* p q", "r", "", "r", ""),
        ("not_b", "*", "", "", "*", ""),
        ("not_b", "*", "p", "", "*", "p"),
        ("not_b", "* p q", "p", "", "q *", "p"),
        ("not_b", "* p", "*", "", "", ""),
        ("not_b", "p", "q", "", "p", ""),
        # An exception from an exception is about the subject itself.
        ("chain", "*", "*", "p", "p", ""),
        ("chain", "*", "p r", "p q", "p *", "r"),
        ("chain", "*", "* p q", "* q", "p q *", ""),
        ("chain", "*", "q", "*", "q *", ""),
        ("chain", "*", "", "p", "*", ""),  # p is excepted from nothing
        # Who is excluded in one operand is excluded from the intersection.
        ("mixed", "*", "p", "q", "q", ""),
        ("mixed", "*", "p", "p q", "q", ""),
        ("mixed", "*", "p", "*", "*", "p"),
        ("mixed", "*", "p", "* q", "q *", "p"),
        # Whom another operand's wildcard reaches is excluded no more, and is only one of everybody.
        ("joined", "*", "p", "*", "*", ""),
        ("joined", "*", "p", "* p", "p *", ""),
        ("joined", "*", "p q", "p", "p *", "q"),
    ],
)
def test_what_is_listed_beside_the_wildcard(relation: str, a: str, b: str, c: str, expected: str, excluded: str) -> None:
    tuples = [(PQR[name], held, "document:1") for held, names in (("a", a), ("b", b), ("c", c)) for name in names.split()]
    engine = store(OPERATIONS, *tuples)
    assert listed(engine, "document:1", relation) == [PQR[name] for name in expected.split()]
    found = list_subjects(engine, "document:1", relation, "user")
    assert found.excluded == [PQR[name] for name in excluded.split()]
    assert found.wildcard == ("user:*" in expected or "*" in expected.split())
    for name in found.excluded:
        assert not engine.check(name, relation, "document:1")


def test_who_is_explicit_in_a_userset_or_a_parent_is_so_here() -> None:
    engine = store(
        OPERATIONS,
        ("user:*", "a", "document:1"),
        ("team:x#member", "a", "document:1"),
        ("user:in-team", "member", "team:x"),
        ("team:x#member", "b", "document:2"),
        ("user:*", "a", "document:2"),
        ("document:2", "parent", "document:1"),
        ("user:named-there", "a", "document:2"),
    )
    assert listed(engine, "document:1", "a") == ["user:in-team", "user:*"]
    assert list_subjects(engine, "document:2", "not_b", "user").excluded == ["user:in-team"]
    assert listed(engine, "document:1", "up") == ["user:in-team", "user:named-there", "user:*"]


def test_a_wildcard_is_of_its_type_and_no_userset() -> None:
    engine = store(OPERATIONS, ("user:*", "a", "document:1"), ("robot:*", "member", "team:x"), ("team:x#member", "a", "document:1"))
    assert listed(engine, "document:1", "a", "robot") == ["robot:*"]
    found = list_subjects(engine, "document:1", "a", "team#member")
    assert (found.to_list(), found.wildcard) == (["team:x#member"], False)


def test_wildcards_around_cycles() -> None:
    engine = store(
        """
        model
          schema 1.1
        type user
        type page
          relations
            define parent: [page]
            define blocked: [user] or blocked from parent
            define seen: [user, user:*] or seen from parent
            define open: (seen but not blocked) or open from parent
        """,
        ("page:a", "parent", "page:b"),
        ("page:b", "parent", "page:a"),
        ("user:*", "seen", "page:a"),
        ("user:bad", "blocked", "page:b"),
        ("user:good", "seen", "page:b"),
    )
    for page in ("page:a", "page:b"):
        found = list_subjects(engine, page, "open", "user")
        assert (found.to_list(), found.excluded) == (["user:good", "user:*"], ["user:bad"])


# ---- conditions ----

CONDITIONS = """
model
  schema 1.1
type user
type robot
type team
  relations
    define member: [user, user with at_level]
type folder
  relations
    define viewer: [user, user with at_level]
type document
  relations
    define parent: [folder with at_level]
    define blocked: [user with at_level]
    define viewer: [user, user with at_level, user:* with at_level, user:*, robot with at_level, team#member with at_level]
    define can_view: viewer but not blocked
    define inherited: viewer or viewer from parent
condition at_level(level: int, needed: int) {
  level >= needed
}
"""


def leveled(subject: str, relation: str, object: str, needed: int | None = None) -> fgacore.Tuple:
    return fgacore.Tuple(subject, relation, object, "at_level", None if needed is None else {"needed": needed})


def test_a_condition_is_decided_for_each_tuple() -> None:
    engine = store(
        CONDITIONS,
        leveled("user:low", "viewer", "document:1", 1),
        leveled("user:high", "viewer", "document:1", 9),
        leveled("team:low#member", "viewer", "document:1", 1),
        leveled("team:high#member", "viewer", "document:1", 9),
        ("user:in-low", "member", "team:low"),
        ("user:in-high", "member", "team:high"),
        leveled("folder:x", "parent", "document:1", 5),
        leveled("user:above", "viewer", "folder:x", 6),
    )
    assert listed(engine, "document:1", "inherited", context={"level": 4}) == ["user:in-low", "user:low"]
    assert listed(engine, "document:1", "inherited", context={"level": 5}) == ["user:in-low", "user:low"]
    assert listed(engine, "document:1", "inherited", context={"level": 6}) == ["user:above", "user:in-low", "user:low"]
    assert len(listed(engine, "document:1", "inherited", context={"level": 9})) == 5
    assert listed(engine, "document:1", "viewer", "team#member", context={"level": 4}) == ["team:low#member"]


def test_a_list_raises_for_a_condition_that_it_meets_and_reports_only_what_hangs_on_it() -> None:
    engine = store(
        CONDITIONS,
        ("user:sure", "viewer", "document:1"),
        leveled("user:doubt", "viewer", "document:1", 1),
        leveled("user:sure", "blocked", "document:2", 1),
        ("user:sure", "viewer", "document:2"),
        leveled("user:nobody", "blocked", "document:2", 1),
        ("user:sure", "viewer", "document:3"),
        leveled("folder:x", "parent", "document:3", 1),
        ("user:sure", "viewer", "folder:x"),
        leveled("robot:r", "viewer", "document:4", 1),
    )
    for object, relation, subjects, undetermined in (
        ("document:1", "viewer", ["user:sure"], ["user:doubt"]),
        ("document:2", "can_view", [], ["user:sure"]),
        ("document:3", "inherited", ["user:sure"], []),
        ("document:4", "viewer", [], []),
    ):
        with pytest.raises(fgacore.RequestError) as caught:
            list_subjects(engine, object, relation, "user")
        assert (caught.value.code, caught.value.index) == ("context_missing", None)
        found = list_subjects(engine, object, relation, "user", on_missing_context="report")
        assert (found.subjects, found.undetermined) == (subjects, undetermined)
        for name in undetermined:
            with pytest.raises(fgacore.RequestError):
                engine.check(name, relation, object)
        if object != "document:4":
            assert list_subjects(engine, object, relation, "user", context={"level": 1}).undetermined == []
    assert listed(engine, "document:1", "blocked", "team#member") == []  # never a member of what is blocked: nothing is asked


def test_a_condition_behind_a_false_one_is_not_met() -> None:
    engine = store(
        CONDITIONS,
        leveled("team:x#member", "viewer", "document:1", 9),
        leveled("user:anne", "member", "team:x"),  # needs `needed`, which nobody gives
    )
    assert listed(engine, "document:1", "viewer", context={"level": 1}) == []
    with pytest.raises(fgacore.RequestError) as caught:
        list_subjects(engine, "document:1", "viewer", "user", context={"level": 9})
    assert caught.value.code == "context_missing"


def test_a_wildcard_under_a_condition() -> None:
    engine = store(
        CONDITIONS,
        leveled("user:*", "viewer", "document:1", 1),
        leveled("user:named", "viewer", "document:1", 5),
        ("user:sure", "viewer", "document:1"),
        leveled("user:named", "blocked", "document:1", 8),
    )
    assert listed(engine, "document:1", "can_view", context={"level": 0}) == ["user:sure"]
    assert listed(engine, "document:1", "can_view", context={"level": 1}) == ["user:sure", "user:*"]  # what is false names nobody
    assert listed(engine, "document:1", "can_view", context={"level": 5}) == ["user:named", "user:sure", "user:*"]
    found = list_subjects(engine, "document:1", "can_view", "user", context={"level": 8})
    assert (found.to_list(), found.excluded) == (["user:sure", "user:*"], ["user:named"])
    doubt = list_subjects(engine, "document:1", "can_view", "user", on_missing_context="report")
    assert (doubt.subjects, doubt.wildcard, doubt.excluded) == (["user:sure"], False, [])
    assert doubt.undetermined == ["user:*", "user:named"]


def test_a_context_is_read_by_the_model_in_use() -> None:
    engine = store(CONDITIONS, leveled("user:anne", "viewer", "document:1", 2), ("user:bob", "viewer", "document:1"))
    engine.write_model(CONDITIONS.replace("needed: int", "other: string").replace("level >= needed", 'level > 0 && other == "yes"'))
    assert listed(engine, "document:1", "viewer", context={"level": 1, "other": "yes"}) == ["user:anne", "user:bob"]
    engine.write_model(CONDITIONS.replace("needed: int", "needed: list<int>").replace("level >= needed", "level in needed"))
    with pytest.raises(fgacore.RequestError) as caught:
        list_subjects(engine, "document:1", "viewer", "user", context={"level": 1})
    assert caught.value.code == "invalid_context"
    found = list_subjects(engine, "document:1", "viewer", "user", context={"level": 1}, on_missing_context="report")
    assert (found.subjects, found.undetermined) == (["user:bob"], ["user:anne"])


# ---- what a call brings, models, time ----


def test_contextual_tuples_are_laid_over_what_is_stored() -> None:
    engine = store(
        CONDITIONS,
        ("user:anne", "viewer", "document:1"),
        leveled("user:bob", "viewer", "document:1", 9),
    )
    brought = [
        leveled("user:anne", "viewer", "document:1", 9),
        ("user:bob", "viewer", "document:1"),
        ("user:new", "viewer", "document:1"),
        leveled("team:new#member", "viewer", "document:1", 1),
        ("user:of-new", "member", "team:new"),
    ]
    for given in (brought, tuple(brought), iter(brought)):
        found = list_subjects(engine, "document:1", "viewer", "user", context={"level": 1}, contextual_tuples=given)
        assert found.to_list() == ["user:bob", "user:new", "user:of-new"]
    assert listed(engine, "document:1", "viewer", "team#member", context={"level": 1}, contextual_tuples=brought) == ["team:new#member"]
    everyone = list_subjects(engine, "document:new", "viewer", "user", contextual_tuples=[("user:*", "viewer", "document:new")])
    assert (everyone.to_list(), everyone.wildcard) == (["user:*"], True)
    assert listed(engine, "document:1", "viewer", context={"level": 1}) == ["user:anne"]


def test_only_what_the_model_in_use_admits_counts() -> None:
    engine = store(MODEL, ("user:*", "viewer", "document:1"), ("team:a#member", "viewer", "document:1"), ("user:x", "member", "team:a"))
    older = engine.stats().model_id
    engine.write_model(MODEL.replace("viewer: [user, user:*, robot, team#member]", "viewer: [user, robot]"))
    assert listed(engine, "document:1", "viewer") == []
    assert listed(engine, "document:1", "viewer", model_id=older) == ["user:x", "user:*"]


def test_what_expires_is_listed_until_its_instant() -> None:
    now = NOW
    hour = timedelta(hours=1)
    engine = store(MODEL, fgacore.Tuple("user:anne", "viewer", "document:1", expires_at=now + hour), clock=lambda: now)
    brought = [fgacore.Tuple("user:bob", "viewer", "document:1", expires_at=now + hour)]
    first = list_subjects(engine, "document:1", "viewer", "user", contextual_tuples=brought)
    assert (first.subjects, first.instant, first.revision) == (["user:anne", "user:bob"], NOW, engine.revision)
    gone = [fgacore.Tuple("user:anne", "viewer", "document:1", expires_at=now)]
    assert listed(engine, "document:1", "viewer", contextual_tuples=gone) == []
    now += hour
    last = list_subjects(engine, "document:1", "viewer", "user", contextual_tuples=brought)
    assert (last.subjects, last.instant, last.revision) == ([], NOW + hour, first.revision)


# ---- one revision ----


def test_a_write_between_the_walk_and_the_checks_is_seen_whole_or_not() -> None:
    engine = store(MODEL, ("user:old", "viewer", "document:1"))
    ask, turns = engine.batch_check, []

    def meanwhile(questions: Any, **options: Any) -> fgacore.BatchResult:
        answers = ask(questions, **options)
        if questions and len(turns) < 5:
            turns.append(engine.revision)
            engine.write([(f"user:new-{len(turns)}", "viewer", "document:1")], deletes=[(turns_before(turns), "viewer", "document:1")])
        return answers

    def turns_before(turns: list[int]) -> str:
        return "user:old" if len(turns) == 1 else f"user:new-{len(turns) - 1}"

    engine.batch_check = meanwhile  # type: ignore[method-assign]
    found = list_subjects(engine, "document:1", "viewer", "user")
    assert len(turns) == 5
    assert (found.to_list(), found.revision) == (["user:new-5"], engine.revision)


def test_a_list_beside_a_busy_writer_is_of_one_revision() -> None:
    engine = store(MODEL, ("user:0", "viewer", "document:1"))
    stop = threading.Event()

    def write() -> None:
        turn = 0
        while not stop.is_set():
            engine.write([(f"user:{1 - turn}", "viewer", "document:1")], deletes=[(f"user:{turn}", "viewer", "document:1")])
            turn = 1 - turn

    thread = threading.Thread(target=write)
    thread.start()
    try:
        seen: set[int] = set()
        while len(seen) < 20:  # the writer gets its turns
            found = list_subjects(engine, "document:1", "viewer", "user")
            assert found.to_list() == [f"user:{(found.revision - 2) % 2}"]
            seen.add(found.revision)
            time.sleep(0.0005)
    finally:
        stop.set()
        thread.join()


# ---- the set, and bad input ----


def test_a_set_is_a_frozen_sequence_of_names() -> None:
    engine = store(MODEL, ("user:*", "viewer", "document:1"), ("user:anne", "viewer", "document:1"), ("user:bob", "banned", "document:1"))
    found = list_subjects(engine, "document:1", "can_view", "user")
    assert (len(found), list(found), found.to_list()) == (2, ["user:anne", "user:*"], ["user:anne", "user:*"])
    assert "user:anne" in found
    assert "user:*" in found
    assert "user:bob" not in found
    assert "user:someone" not in found
    assert (found.object, found.relation, found.subject_type) == ("document:1", "can_view", "user")
    assert repr(found) == f"SubjectSet(`can_view` on `document:1`: `user:*` but 1, 1 named, revision {engine.revision})"
    assert found == list_subjects(engine, "document:1", "can_view", "user")
    assert found != list_subjects(engine, "document:1", "viewer", "user")
    with pytest.raises(FrozenInstanceError):
        found.wildcard = False  # type: ignore[misc]
    nobody = list_subjects(engine, "document:2", "can_view", "user")
    assert isinstance(nobody, SubjectSet)
    assert (len(nobody), list(nobody), "user:*" in nobody, bool(nobody)) == (0, [], False, False)


@pytest.mark.parametrize(
    ("object", "relation", "kind", "options", "code"),
    [
        ("document", "viewer", "user", {}, "invalid_object"),
        ("document:*", "viewer", "user", {}, "invalid_object"),
        (None, "viewer", "user", {}, "invalid_object"),
        ("page:1", "viewer", "user", {}, "type_not_found"),
        ("document:1", "flies", "user", {}, "relation_not_found"),
        ("document:1", 7, "user", {}, "relation_not_found"),
        ("robot:1", "viewer", "user", {}, "relation_not_found"),
        ("document:1", "viewer", "alien", {}, "type_not_found"),
        ("document:1", "viewer", "", {}, "type_not_found"),
        ("document:1", "viewer", "team#flies", {}, "relation_not_found"),
        ("document:1", "viewer", "team#", {}, "relation_not_found"),
        ("document:1", "viewer", "user:*", {}, "invalid_subject"),
        ("document:1", "viewer", ["user"], {}, "invalid_subject"),
        ("document:1", "viewer", "user", {"on_missing_context": "ignore"}, "invalid_request"),
        ("document:1", "viewer", "user", {"model_id": "none"}, "model_not_found"),
        ("document:1", "viewer", "user", {"at_least": 99}, "stale"),
        ("document:1", "viewer", "user", {"context": 7}, "invalid_context"),
        ("document:1", "viewer", "user", {"contextual_tuples": [("user:a", "can_view", "document:1")]}, "invalid_contextual_tuple"),
        ("document:1", "viewer", "user", {"contextual_tuples": [("user:a", "viewer")]}, "invalid_contextual_tuple"),
        ("document:1", "viewer", "user", {"contextual_tuples": 7}, "invalid_contextual_tuple"),
        ("document:1", "viewer", "user", {"contextual_tuples": [("user:a", "viewer", f"document:{i}") for i in range(10_001)]}, "limit_exceeded"),
    ],
)
def test_bad_questions_are_refused(object: Any, relation: Any, kind: Any, options: dict[str, Any], code: str) -> None:
    engine = store(MODEL, ("user:anne", "viewer", "document:1"))
    with pytest.raises(FgaError) as caught:
        list_subjects(engine, object, relation, kind, **options)
    assert (caught.value.code, type(caught.value)) == (code, CODES[code])


def test_a_closed_store_and_one_without_a_model_refuse() -> None:
    engine = fgacore.open(":memory:")
    for code in ("no_model", "closed"):
        with pytest.raises(FgaError) as caught:
            list_subjects(engine, "document:1", "viewer", "user")
        assert caught.value.code == code
        engine.close()
