"""Asking by the public door: check, check_objects, batch_check, check_ids, ids and names. What the answers mean: properties/ and suites/."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy
import pytest

import fgacore
from fgacore import NONE, BatchResult, Question
from fgacore.errors import CODES, FgaError

MODEL = """
model
  schema 1.1
type user
type team
  relations
    define member: [user, user:*, team#member]
type document
  relations
    define banned: [user]
    define viewer: [user, user:*, team#member]
    define can_read: viewer but not banned
"""
DOCUMENTS = [f"document:{i}" for i in range(5)]


@pytest.fixture
def engine() -> fgacore.Engine:
    engine = fgacore.open(":memory:")
    engine.write_model(MODEL)
    engine.write([
        ("user:anne", "viewer", "document:0"),
        ("user:anne", "member", "team:sre"),
        ("team:sre#member", "viewer", "document:1"),
        ("user:*", "viewer", "document:2"),
        ("user:anne", "banned", "document:2"),
        ("user:bob", "viewer", "document:3"),
    ])  # fmt: skip
    return engine


def refused(call: Callable[..., object], *args: Any, **options: Any) -> tuple[str, int | None]:
    with pytest.raises(FgaError) as caught:
        call(*args, **options)
    assert type(caught.value) is CODES[caught.value.code]
    return caught.value.code, caught.value.index


ANSWERS = {
    "user:anne": [True, True, False, False, False],
    "user:bob": [False, False, True, True, False],
    "user:never-seen": [False, False, True, False, False],
    "user:*": [False, False, True, False, False],
    "team:sre#member": [False, True, False, False, False],
    "team:never-seen#member": [False] * 5,
    "document:1#can_read": [False, True, False, False, False],
    "document:4#can_read": [False] * 4 + [True],
}


@pytest.mark.parametrize("subject", ANSWERS)
@pytest.mark.parametrize("merged", [False, True])
def test_every_way_to_ask_has_the_same_answers(engine: fgacore.Engine, subject: str, merged: bool) -> None:
    if merged:
        engine.merge()
    right = ANSWERS[subject]
    assert [engine.check(subject, "can_read", document) for document in DOCUMENTS] == right
    assert engine.check_objects(subject, "can_read", DOCUMENTS * 20) == right * 20
    assert engine.check_objects(subject, "can_read", iter(DOCUMENTS)) == right
    assert list(engine.batch_check([(subject, "can_read", document) for document in DOCUMENTS])) == right
    assert list(engine.batch_check(Question(subject, "can_read", document) for document in DOCUMENTS)) == right


def test_ids_ask_what_names_ask(engine: fgacore.Engine) -> None:
    documents = engine.ids("document", [name.partition(":")[2] for name in DOCUMENTS])
    assert documents.dtype == numpy.uint32
    anne, sre = int(engine.ids("user", ["anne"])[0]), int(engine.ids("team", ["sre"])[0])
    for subject, subject_type, name in (
        (anne, "user", "user:anne"),
        (NONE, "user", "user:never-seen"),
        (sre, "team#member", "team:sre#member"),
        (7, "user:*", "user:*"),
    ):
        answers = engine.check_ids(subject, "can_read", documents, subject_type=subject_type, object_type="document")
        assert answers.dtype == numpy.bool_
        assert answers.tolist() == ANSWERS[name]
    many = engine.check_ids(anne, "can_read", numpy.tile(documents, 100), subject_type="user", object_type="document")
    assert many.tolist() == ANSWERS["user:anne"] * 100
    assert not engine.check_ids(NONE, "viewer", documents, subject_type="team#member", object_type="document").any()
    none = numpy.full(3, NONE, numpy.uint32)
    assert not engine.check_ids(NONE, "viewer", none, subject_type="document#viewer", object_type="document").any()


@pytest.mark.parametrize("dtype", [numpy.bool_, numpy.uint8])
def test_answers_are_written_where_the_caller_wants_them(engine: fgacore.Engine, dtype: Any) -> None:
    documents = engine.ids("document", ["0", "1", "2"])
    out = numpy.ones(3, dtype)
    given = engine.check_ids(int(engine.ids("user", ["bob"])[0]), "can_read", documents, subject_type="user", object_type="document", out=out)
    assert given is out
    assert out.tolist() == [False, False, True]


def test_arrays_of_another_kind_are_refused(engine: fgacore.Engine) -> None:
    good, options = numpy.zeros(4, numpy.uint32), {"subject_type": "user", "object_type": "document"}
    frozen = numpy.zeros(4, numpy.bool_)
    frozen.flags.writeable = False
    for bad in ([0], good.astype(numpy.int32), good.astype(numpy.uint64), good[::2], good.reshape(2, 2), "0000", None):
        assert refused(engine.check_ids, 0, "viewer", bad, **options)[0] == "invalid_request"
    for out in (numpy.zeros(3, numpy.bool_), numpy.zeros(4, numpy.float64), numpy.zeros(8, numpy.bool_)[::2], frozen, [False] * 4):
        assert refused(engine.check_ids, 0, "viewer", good, out=out, **options)[0] == "invalid_request"
    for subject in ("0", None, 1.0, -1, 2, 1 << 40):
        assert refused(engine.check_ids, subject, "viewer", good, **options)[0] == "invalid_subject"
    assert refused(engine.check_ids, 0, "viewer", good, subject_type="robot", object_type="document")[0] == "type_not_found"
    assert refused(engine.check_ids, 0, "viewer", good, subject_type="user", object_type="planet")[0] == "type_not_found"
    assert refused(engine.check_ids, 0, "viewer", good, subject_type="team#viewer", object_type="document")[0] == "relation_not_found"
    assert refused(engine.check_ids, 0, "member", good, **options)[0] == "relation_not_found"
    assert refused(engine.check_ids, 0, "viewer", good, subject_type=7, object_type="document")[0] == "invalid_subject"


def test_names_and_ids_are_each_others_inverse(engine: fgacore.Engine) -> None:
    ids = engine.ids("user", ["bob", "nobody", "anne", "bob"])
    assert ids.tolist() == [1, NONE, 0, 1]
    assert engine.names("user", ids) == ["bob", None, "anne", "bob"]
    assert engine.names("document", [0, 99]) == ["0", None]
    assert engine.ids("user", []).shape == (0,)
    assert engine.names("user", []) == []
    assert refused(engine.ids, "robot", ["x"]) == ("type_not_found", None)
    assert refused(engine.names, "robot", [0]) == ("type_not_found", None)
    assert refused(engine.ids, "user", ["x", 7]) == ("invalid_object", 1)
    for bad in ("abc", 7, None):
        assert refused(engine.ids, "user", bad) == ("invalid_request", None)
    for bad in ([-1], [1 << 32], [[0]], ["0"], [0.5], None):
        assert refused(engine.names, "user", bad) == ("invalid_request", None)


FAULTS: list[tuple[Sequence[Any], str]] = [
    (("anne", "viewer", "document:0"), "invalid_subject"),
    ((None, "viewer", "document:0"), "invalid_subject"),
    (("user:a b", "viewer", "document:0"), "invalid_subject"),
    (("user:anne", "viewer", "document"), "invalid_object"),
    (("user:anne", "viewer", "document:*"), "invalid_object"),
    (("user:anne", "viewer", "document:1#viewer"), "invalid_object"),
    (("user:anne", "viewer", 7), "invalid_object"),
    (("user:anne", 7, "document:0"), "invalid_relation"),
    (("robot:anne", "viewer", "document:0"), "type_not_found"),
    (("user:anne", "viewer", "planet:0"), "type_not_found"),
    (("user:anne", "editor", "document:0"), "relation_not_found"),
    (("user:anne", "member", "document:0"), "relation_not_found"),
    (("team:sre#viewer", "viewer", "document:0"), "relation_not_found"),
]


@pytest.mark.parametrize(("fault", "code"), FAULTS)
def test_a_bad_question_is_told_by_code_and_index(engine: fgacore.Engine, fault: Sequence[Any], code: str) -> None:
    subject, relation, object = fault
    assert refused(engine.check, *fault) == (code, None)
    of_the_object = code == "invalid_object" or object == "planet:0" or (code == "relation_not_found" and subject == "user:anne")
    objects = [object, object] if not of_the_object else [*DOCUMENTS[: 2 * (relation == "viewer")], object]
    assert refused(engine.check_objects, subject, relation, objects) == (code, len(objects) - 1 if of_the_object else None)
    result = engine.batch_check([("user:anne", "viewer", "document:0"), tuple(fault), ("user:bob", "viewer", "document:3")])
    assert list(result) == [True, False, True]
    assert {index: (error.code, error.index) for index, error in result.errors.items()} == {1: (code, 1)}


def test_a_batch_result_is_a_sequence_of_bool(engine: fgacore.Engine) -> None:
    questions: list[Any] = [("user:anne", "viewer", "document:0"), ("user:anne", "viewer", "document:3"), ("user:anne", "viewer"), "abc"]
    result = engine.batch_check(questions)
    assert isinstance(result, BatchResult)
    assert isinstance(result, Sequence)
    assert (len(result), result[0], result[-1], result[:2], list(reversed(result))) == (4, True, False, [True, False], [False, False, False, True])
    assert (result.count(True), result.index(False), True in result) == (1, 1, True)
    assert result == [True, False, False, False]
    assert result != [True]
    assert result != engine.batch_check(questions[:2])
    assert engine.batch_check(questions[:2]) == engine.batch_check(questions[:2])
    assert {error.code for error in result.errors.values()} == {"invalid_request"}
    assert repr(result) == "BatchResult(4 answers, 1 allowed, 2 errors)"
    with pytest.raises(IndexError):
        result[4]
    with pytest.raises(TypeError):
        hash(result)


def test_a_batch_is_a_list_of_items(engine: fgacore.Engine) -> None:
    for bad in ("document:0", b"document:0", 7, None):
        assert refused(engine.check_objects, "user:anne", "viewer", bad) == ("invalid_request", None)
        assert refused(engine.batch_check, bad) == ("invalid_request", None)
    assert engine.check_objects("user:anne", "viewer", []) == []
    assert list(engine.batch_check([])) == []


ASKED: dict[str, tuple[Any, ...]] = {
    "check": ("user:anne", "viewer", "document:0"),
    "check_objects": ("user:anne", "viewer", ["document:0"]),
    "batch_check": ([("user:anne", "viewer", "document:0")],),
}


@pytest.mark.parametrize("way", ASKED)
def test_a_context_that_is_no_mapping_is_refused_though_nothing_reads_it(engine: fgacore.Engine, way: str) -> None:
    call = getattr(engine, way)
    assert refused(call, *ASKED[way], context=[("hour", 3)]) == ("invalid_context", None)
    assert call(*ASKED[way], context={"hour": 3}) in (True, [True])


@pytest.mark.parametrize("way", ASKED)
def test_contextual_tuples_are_there_for_one_call(engine: fgacore.Engine, way: str) -> None:
    call, contextual = getattr(engine, way), [("user:new", "viewer", "document:0")]
    asked: tuple[Any, ...] = ("user:new", "viewer", "document:0") if way == "check" else ("user:new", "viewer", ["document:0"])
    asked = ([("user:new", "viewer", "document:0")],) if way == "batch_check" else asked
    assert call(*asked, contextual_tuples=contextual) in (True, [True])
    assert call(*asked) in (False, [False])
    assert engine.ids("user", ["new"])[0] == fgacore.NONE


@pytest.mark.parametrize("way", ASKED)
def test_at_least_is_held_to_the_newest_revision(engine: fgacore.Engine, way: str) -> None:
    call = getattr(engine, way)
    for revision in (0, engine.revision):
        assert call(*ASKED[way], at_least=revision) in (True, [True])
    assert refused(call, *ASKED[way], at_least=engine.revision + 1) == ("stale", None)
    engine.write([("user:x", "viewer", "document:4")])
    assert call(*ASKED[way], at_least=engine.revision) in (True, [True])


@pytest.mark.parametrize("way", ASKED)
def test_a_revision_is_an_integer(engine: fgacore.Engine, way: str) -> None:
    assert refused(getattr(engine, way), *ASKED[way], at_least="7") == ("invalid_request", None)


@pytest.mark.parametrize("bad", [7, "user:anne viewer document:0", fgacore.Tuple("user:anne", "viewer", "document:0"), [("user:anne", "viewer")]])
@pytest.mark.parametrize("way", ASKED)
def test_contextual_tuples_of_another_kind_are_the_callers_error(engine: fgacore.Engine, way: str, bad: Any) -> None:
    assert refused(getattr(engine, way), *ASKED[way], contextual_tuples=bad)[0] == "invalid_contextual_tuple"
