"""Contextual tuples from the rules' text alone: as good as stored for one call, on every path, and gone without a trace after it."""

from __future__ import annotations

import contextlib
import itertools
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

import fgacore
from fgacore import FgaError, LimitError, Question, RequestError, Tuple

Answer = bool | str
Fact = Tuple | tuple[str, str, str]

MODEL = """
model
  schema 1.1
type user
type group
  relations
    define member: [user, user:*, user with low, group#member, group#member with low]
type folder
  relations
    define parent: [folder]
    define viewer: [user, user:*, group#member] or viewer from parent
type doc
  relations
    define parent: [folder, folder with low]
    define reader: [user, user:*, user with low, user:* with low, user with named, group#member, group#member with low]
    define barred: [user, user:*, group#member]
    define viewer: reader or viewer from parent
    define can: viewer but not barred
    define both: reader and barred
    define knot: [user, doc#knot] but not held
    define held: [user, doc#knot]
condition low(x: int) {
  x < 10
}
condition named(name: string) {
  name == "n"
}
"""


def made(tuples: Sequence[Fact] = ()) -> fgacore.Engine:
    engine = fgacore.open(":memory:")
    engine.write_model(MODEL)
    if tuples:
        engine.write(tuples)
    return engine


def outcome(call: Callable[[], Any]) -> Answer:
    try:
        answer = call()
    except FgaError as error:
        return error.code
    return bool(answer)


def trace(engine: fgacore.Engine) -> tuple[Any, ...]:
    """What a call must not change: the counts, and the tuples themselves where they are few."""
    stats = engine.stats()
    counts = stats.revision, stats.tuples, stats.names, stats.tables, stats.unmerged, stats.models
    return counts if stats.tuples > 1_000 else (*counts, sorted(map(repr, engine.read())))


def ask(
    engine: fgacore.Engine, subject: str, relation: str, name: str, contextual: Sequence[Fact] = (), context: Mapping[str, Any] | None = None
) -> Answer:
    """The answer of every path, with the tuples as the call's, as the question's, and shared between both; asked in turn with the bare question."""
    before = trace(engine)
    bare = outcome(lambda: engine.check(subject, relation, name, context=context))
    triple = (subject, relation, name)
    answers: dict[str, Answer] = {}
    for turn in ("first", "again"):
        answers[f"check {turn}"] = outcome(lambda: engine.check(*triple, context=context, contextual_tuples=contextual))
        assert outcome(lambda: engine.check(*triple, context=context)) == bare, "a contextual tuple outlived its call"
    for count in (1, 70):
        names = [name] * count
        many = outcome(lambda names=names: all(engine.check_objects(subject, relation, names, context=context, contextual_tuples=contextual)))
        answers[f"check_objects {count}"] = many
    half = len(contextual) // 2
    for way, question, shared in (
        ("the call's", Question(*triple), contextual),
        ("the question's", Question(*triple, contextual_tuples=contextual), ()),
        ("both's", Question(*triple, contextual_tuples=contextual[:half]), contextual[half:]),
        ("twice", Question(*triple, contextual_tuples=contextual), list(reversed(contextual))),
    ):
        answers[f"batch_check, {way}"] = batched(engine, [question] * 3, shared, context)
    kind, _, rest = subject.partition(":")
    part, _, userset = rest.partition("#")
    object_type, _, object_part = name.partition(":")
    subject_id = 0 if part == "*" else int(engine.ids(kind, [part])[0])
    ids = engine.ids(object_type, [object_part] * 9)
    if fgacore.NONE not in (subject_id, int(ids[0])):
        subject_type = f"{kind}:*" if part == "*" else f"{kind}#{userset}" if userset else kind
        answers["check_ids"] = outcome(
            lambda: engine.check_ids(
                subject_id, relation, ids, subject_type=subject_type, object_type=object_type, context=context, contextual_tuples=contextual
            ).all()
        )
    assert len(set(answers.values())) == 1, (triple, contextual[:5], answers)
    assert outcome(lambda: engine.check(*triple, context=context)) == bare
    assert trace(engine) == before, "a contextual tuple left a trace"
    return answers.popitem()[1]


def batched(engine: fgacore.Engine, questions: Sequence[Any], shared: Sequence[Fact], context: Mapping[str, Any] | None) -> Answer:
    try:
        result = engine.batch_check(questions, context=context, contextual_tuples=shared)
    except FgaError as error:
        return error.code
    answers = {result.errors[index].code if index in result.errors else result[index] for index in range(len(questions))}
    assert len(answers) == 1, answers
    return answers.pop()


PLACES: dict[str, list[Any]] = {  # each makes user:new a viewer of doc:new
    "direct": [("user:new", "reader", "doc:new")],
    "wildcard": [("user:*", "reader", "doc:new")],
    "userset": [("user:new", "member", "group:new"), ("group:new#member", "reader", "doc:new")],
    "wildcard member": [("user:*", "member", "group:new"), ("group:new#member", "reader", "doc:new")],
    "userset's userset": [
        ("user:new", "member", "group:new"),
        ("group:new#member", "member", "group:newer"),
        ("group:newer#member", "reader", "doc:new"),
    ],
    "parent": [("user:new", "viewer", "folder:new"), ("folder:new", "parent", "doc:new")],
    "parents": [
        ("user:new", "member", "group:new"),
        ("group:new#member", "viewer", "folder:top"),
        ("folder:top", "parent", "folder:new"),
        ("folder:new", "parent", "doc:new"),
    ],
    "through a cycle": [
        ("user:new", "member", "group:new"),
        ("group:new#member", "member", "group:newer"),
        ("group:newer#member", "member", "group:new"),
        ("group:newer#member", "reader", "doc:new"),
    ],
    "knot": [("user:new", "reader", "doc:new"), ("doc:other#knot", "knot", "doc:new"), ("user:new", "knot", "doc:other")],
}


@pytest.mark.parametrize("place", PLACES)
def test_names_that_nobody_has_seen_are_as_good_as_stored_ones(place: str) -> None:
    facts = PLACES[place]
    engine = made()
    for order in list(itertools.permutations(facts))[:6]:
        assert ask(engine, "user:new", "viewer", "doc:new", order) is True
        assert ask(engine, "user:new", "can", "doc:new", order) is True
        assert ask(engine, "user:strange", "viewer", "doc:new", order) is ("wildcard" in place)
        assert ask(engine, "user:new", "viewer", "doc:strange", order) is False
    for left_out in range(len(facts)):
        if place != "knot" and facts[left_out] != ("group:newer#member", "member", "group:new"):
            assert ask(engine, "user:new", "viewer", "doc:new", facts[:left_out] + facts[left_out + 1 :]) is False
    assert ask(engine, "user:new", "can", "doc:new", [*facts, ("user:new", "barred", "doc:new")]) is False
    assert engine.stats().names == 0


@pytest.mark.parametrize("place", PLACES)
def test_every_mixture_of_stored_and_contextual_tuples_is_the_same(place: str) -> None:
    facts = PLACES[place]
    for mask in range(1 << len(facts)):
        stored = [fact for i, fact in enumerate(facts) if mask >> i & 1]
        given = [fact for i, fact in enumerate(facts) if not mask >> i & 1]
        engine = made([*stored, ("user:other", "reader", "doc:other")])
        for _ in range(2):
            assert ask(engine, "user:new", "viewer", "doc:new", given) is True
            assert ask(engine, "user:new", "can", "doc:new", [*given, ("user:*", "barred", "doc:new")]) is False
            assert ask(engine, "user:new", "can", "doc:new", facts) is True


def test_only_the_knots_own_relations_are_undefined() -> None:
    engine = made()
    knot: list[Fact] = [("user:a", "knot", "doc:1"), ("doc:1#knot", "held", "doc:1")]
    assert ask(engine, "user:a", "knot", "doc:1", knot) is False
    assert ask(engine, "user:a", "knot", "doc:1", knot[:1]) is True
    engine.write([knot[1]])
    assert ask(engine, "user:a", "knot", "doc:1", knot[:1]) is False
    assert ask(engine, "user:a", "knot", "doc:2", [("user:a", "knot", "doc:2"), ("doc:1#knot", "held", "doc:2")]) is True


def test_the_rules_for_names_hold_for_names_of_one_call() -> None:
    engine = made()
    given: list[Fact] = [("user:*", "reader", "doc:1"), ("group:g#member", "barred", "doc:1")]
    assert ask(engine, "user:*", "viewer", "doc:1", given) is True
    assert ask(engine, "group:g#member", "viewer", "doc:1", given) is False
    assert ask(engine, "group:g#member", "barred", "doc:1", given) is True
    assert ask(engine, "group:h#member", "barred", "doc:1", [*given, ("group:h#member", "member", "group:g")]) is True
    assert ask(engine, "doc:1#viewer", "viewer", "doc:1", given) is True
    assert ask(engine, "user:A", "viewer", "doc:2", [("user:a", "reader", "doc:2")]) is False
    assert ask(engine, "user:a", "viewer", "doc:2", [("user:a", "reader", "doc:2\0")]) is False


def test_conditions_of_contextual_tuples_are_evaluated() -> None:
    """CVE-2024-56323 of OpenFGA: a condition on a contextual tuple was skipped."""
    engine = made([("user:m", "member", "group:g"), ("user:f", "viewer", "folder:f")])
    for subject, fact in (
        ("user:a", Tuple("user:a", "reader", "doc:1", "low")),
        ("user:a", Tuple("user:*", "reader", "doc:1", "low")),
        ("user:m", Tuple("group:g#member", "reader", "doc:1", "low")),
        ("user:f", Tuple("folder:f", "parent", "doc:1", "low")),
    ):
        own = Tuple(fact.subject, fact.relation, fact.object, "low", {"x": 3})
        never = Tuple(fact.subject, fact.relation, fact.object, "low", {"x": 30})
        assert ask(engine, subject, "viewer", "doc:1", [fact], {"x": 9}) is True
        assert ask(engine, subject, "viewer", "doc:1", [fact], {"x": 10}) is False
        assert ask(engine, subject, "viewer", "doc:1", [fact]) == "context_missing"
        assert ask(engine, subject, "viewer", "doc:1", [fact], {"x": "ten"}) == "invalid_context"
        assert ask(engine, subject, "viewer", "doc:1", [own], {"x": 10}) is True
        assert ask(engine, subject, "viewer", "doc:1", [never], {"x": 9}) is False
        assert ask(engine, subject, "viewer", "doc:1", [fact, ("user:*", "reader", "doc:2")]) == "context_missing"
        assert ask(engine, "group:none#member", "viewer", "doc:1", [fact]) is False


def test_a_contextual_tuple_takes_the_place_of_the_stored_one_in_every_position() -> None:
    positions: list[tuple[str, str, str, list[Fact]]] = [  # subject, relation and object of the tuple that changes; what else is stored
        ("user:a", "reader", "doc:1", []),
        ("user:*", "reader", "doc:1", []),
        ("group:g#member", "reader", "doc:1", [("user:a", "member", "group:g")]),
        ("user:a", "member", "group:g", [("group:g#member", "reader", "doc:1")]),
        ("group:h#member", "member", "group:g", [("group:g#member", "reader", "doc:1"), ("user:a", "member", "group:h")]),
        ("folder:f", "parent", "doc:1", [("user:a", "viewer", "folder:f")]),
    ]
    forms: dict[str, tuple[str | None, dict[str, Any] | None, Answer, Answer]] = {  # condition, context, answer without context, with x = 50
        "plain": (None, None, True, True),
        "holds": ("low", {"x": 1}, True, True),
        "never": ("low", {"x": 11}, False, False),
        "open": ("low", None, "context_missing", False),
    }
    for subject, relation, name, others in positions:
        for stored, given in itertools.product(forms, repeat=2):
            engine = made([Tuple(subject, relation, name, *forms[stored][:2]), *others])
            overlay = Tuple(subject, relation, name, *forms[given][:2])
            for _ in range(2):
                assert ask(engine, "user:a", "viewer", "doc:1") == forms[stored][2], (subject, stored)
                assert ask(engine, "user:a", "viewer", "doc:1", [overlay]) == forms[given][2], (subject, stored, given)
                assert ask(engine, "user:a", "viewer", "doc:1", [overlay], {"x": 50}) == forms[given][3], (subject, stored, given)
                assert ask(engine, "user:a", "viewer", "doc:1", (), {"x": 50}) == forms[stored][3], (subject, stored)
            assert ask(engine, "user:a", "can", "doc:1", [overlay, ("user:a", "barred", "doc:1")], {"x": 1}) is False


def test_a_tuple_of_another_condition_takes_the_place_too() -> None:
    engine = made([Tuple("user:a", "reader", "doc:1", "named", {"name": "n"})])
    assert ask(engine, "user:a", "viewer", "doc:1") is True
    assert ask(engine, "user:a", "viewer", "doc:1", [Tuple("user:a", "reader", "doc:1", "low", {"x": 10})]) is False
    assert ask(engine, "user:a", "viewer", "doc:1", [Tuple("user:a", "reader", "doc:1", "named", {"name": "m"})]) is False
    assert ask(engine, "user:a", "viewer", "doc:1", [Tuple("user:a", "reader", "doc:1", "named")], {"name": "m"}) is False
    assert ask(engine, "user:a", "viewer", "doc:1", [("user:a", "reader", "doc:2")]) is True


def test_a_stored_subtraction_can_be_lifted_only_by_its_own_key() -> None:
    engine = made(
        [("user:*", "reader", "doc:1"), ("user:a", "barred", "doc:1"), ("group:g#member", "barred", "doc:1"), ("user:b", "member", "group:g")]
    )
    for overlay in (
        [("user:a", "reader", "doc:1")],
        [("user:a", "barred", "doc:2")],
        [("user:a", "barred", "doc:1")],
        [("user:*", "barred", "doc:2")],
    ):
        assert ask(engine, "user:a", "can", "doc:1", overlay) is False
        assert ask(engine, "user:b", "can", "doc:1", overlay) is False
    never = Tuple("user:b", "member", "group:g", "low", {"x": 11})
    assert ask(engine, "user:b", "can", "doc:1", [never]) is True  # in this call b is no member, so b is not barred
    assert ask(engine, "user:b", "can", "doc:1", [Tuple("user:b", "member", "group:g", "low")]) == "context_missing"
    assert ask(engine, "user:a", "can", "doc:1", [never]) is False


def test_equal_contextual_tuples_are_one_and_differing_ones_an_error() -> None:
    engine = made()
    plain, low, one, two = (
        ("user:a", "reader", "doc:1"),
        Tuple("user:a", "reader", "doc:1", "low"),
        Tuple("user:a", "reader", "doc:1", "low", {"x": 1}),
        Tuple("user:a", "reader", "doc:1", "low", {"x": 2}),
    )
    for fact in (plain, one, two):
        assert ask(engine, "user:a", "viewer", "doc:1", [fact] * 5) is True
    assert ask(engine, "user:a", "viewer", "doc:1", [plain, Tuple(*plain)]) is True
    assert ask(engine, "user:a", "viewer", "doc:1", [low, Tuple("user:a", "reader", "doc:1", "low", {})], {"x": 1}) is True
    for left, right in itertools.permutations((plain, low, one, two), 2):
        for others in ((), [("user:z", "reader", f"doc:{i}") for i in range(50)]):
            for subject in ("user:a", "user:b"):
                assert ask(engine, subject, "viewer", "doc:1", [left, *others, right], {"x": 1}) == "invalid_contextual_tuple"
    assert ask(engine, "user:a", "viewer", "doc:1", [plain, ("user:a", "reader", "doc:2"), ("user:a", "barred", "doc:1")]) is True


@pytest.mark.parametrize(
    "bad",
    [
        ("user:a", "reader"),
        ("user:a", "reader", "doc:1", "low"),
        "user:a reader doc:1",
        None,
        7,
        {},
        {"subject": "user:a", "relation": "reader", "object": "doc:1"},
        Question("user:a", "reader", "doc:1"),
        ("user:a", "reader", None),
        (None, "reader", "doc:1"),
        ("user:a", b"reader", "doc:1"),
        ("user", "reader", "doc:1"),
        ("user:a", "reader", "doc"),
        ("user:a b", "reader", "doc:1"),
        ("user:a", "reader", "doc:*"),
        ("user:a", "reader", "doc:" + "x" * 300),
        ("user:\ud800", "reader", "doc:1"),
        ("user:a", "reader", "dog:1"),
        ("martian:a", "reader", "doc:1"),
        ("user:a", "readers", "doc:1"),
        ("user:a", "viewer", "doc:1"),
        ("folder:f", "reader", "doc:1"),
        ("group:g", "reader", "doc:1"),
        ("group:g#members", "reader", "doc:1"),
        ("group:*", "reader", "doc:1"),
        ("group:*#member", "reader", "doc:1"),
        ("doc:2", "parent", "doc:1"),
        ("folder:*", "parent", "doc:1"),
        Tuple("user:a", "barred", "doc:1", "low"),
        Tuple("user:a", "reader", "doc:1", "none"),
        Tuple("user:*", "reader", "doc:1", "named"),
        Tuple("user:a", "reader", "doc:1", "low", {"y": 1}),
        Tuple("user:a", "reader", "doc:1", "low", {"x": "many"}),
        Tuple("user:a", "reader", "doc:1", "low", {"x": True}),
        Tuple("user:a", "reader", "doc:1", "low", [1]),  # type: ignore[arg-type]
        Tuple("user:a", "reader", "doc:1", "low", {"x": float("nan")}),
        Tuple("user:a", "reader", "doc:1", None, None, "tomorrow"),  # type: ignore[arg-type]
    ],
    ids=lambda bad: repr(bad)[:60],
)
def test_a_bad_contextual_tuple_is_refused_though_it_does_not_matter(bad: Any) -> None:
    engine = made([("user:a", "reader", "doc:1")])
    good = ("user:z", "reader", "doc:9")
    for given in ([bad], [good, bad], [bad, good, good]):
        assert ask(engine, "user:a", "viewer", "doc:1", given) == "invalid_contextual_tuple"
        assert ask(engine, "user:never", "viewer", "doc:9", given) == "invalid_contextual_tuple"
        with pytest.raises(RequestError) as caught:
            engine.check("user:a", "viewer", "doc:1", contextual_tuples=given)
        assert 0 < len(str(caught.value)) < 2_000
        str(caught.value).encode()
    result = engine.batch_check(
        [Question("user:a", "viewer", "doc:1"), Question("user:a", "viewer", "doc:1", contextual_tuples=[bad]), ("user:a", "viewer", "doc:1")]
    )
    assert list(result) == [True, False, True]
    assert {index: error.code for index, error in result.errors.items()} == {1: "invalid_contextual_tuple"}


def test_one_thousand_contextual_tuples() -> None:
    engine = made([("user:s", "reader", "doc:s")])
    chain: list[Fact] = [("user:new", "member", "group:0"), ("group:998#member", "reader", "doc:new")]
    chain += [(f"group:{i}#member", "member", f"group:{i + 1}") for i in range(998)]
    random.Random(7).shuffle(chain)
    assert len(chain) == 1_000
    assert ask(engine, "user:new", "can", "doc:new", chain) is True
    assert ask(engine, "user:new", "can", "doc:new", [*chain[:-1], ("user:new", "barred", "doc:new")]) is False
    gap = [fact for fact in chain if fact != ("group:500#member", "member", "group:501")]
    assert ask(engine, "user:new", "can", "doc:new", gap) is False
    wide: list[Fact] = [Tuple(f"user:{i}", "reader", "doc:new", "low", {"x": i % 20}) for i in range(1_000)]
    names = [f"user:{i}" for i in range(1_000)]
    result = engine.batch_check([(name, "viewer", "doc:new") for name in names], contextual_tuples=wide)
    assert list(result) == [i % 20 < 10 for i in range(1_000)]
    one = [("user:new", "reader", f"doc:{i}") for i in range(0, 1_000, 2)]
    assert engine.check_objects("user:new", "viewer", [f"doc:{i}" for i in range(1_000)], contextual_tuples=one) == [i % 2 == 0 for i in range(1_000)]
    assert engine.stats().names == 2


def test_too_many_contextual_tuples_are_a_limit() -> None:
    engine = made([("user:s", "reader", "doc:s")])
    facts = [("user:s", "reader", f"doc:{i}") for i in range(1_000_000)]
    with pytest.raises(LimitError) as caught:
        engine.check("user:s", "viewer", "doc:s", contextual_tuples=facts)
    assert caught.value.code == "limit_exceeded"
    assert engine.check("user:s", "viewer", "doc:s")


def test_contextual_tuples_that_are_no_list() -> None:
    engine = made([("user:a", "reader", "doc:1")])
    for bad in (7, "user:a", {"a": 1}, object(), True, b"x"):
        for call in (
            lambda bad=bad: engine.check("user:a", "viewer", "doc:1", contextual_tuples=bad),
            lambda bad=bad: engine.check_objects("user:a", "viewer", ["doc:1"], contextual_tuples=bad),
            lambda bad=bad: engine.batch_check([("user:a", "viewer", "doc:1")], contextual_tuples=bad),
        ):
            with pytest.raises(RequestError) as caught:
                call()
            assert caught.value.code in ("invalid_request", "invalid_contextual_tuple")
        result = engine.batch_check([Question("user:a", "viewer", "doc:1", contextual_tuples=bad)])  # type: ignore[arg-type]
        assert list(result) == [False]
        assert list(result.errors) == [0]
    for empty in ((), [], None):
        assert engine.check("user:a", "viewer", "doc:1", contextual_tuples=empty) is True  # type: ignore[arg-type]


def test_contextual_tuples_that_write_close_or_empty_their_list_do_no_harm() -> None:
    engine = made([("user:s", "reader", "doc:s")])
    given: list[Any] = []

    class Acting(Tuple):
        __slots__ = ()

        def __getattribute__(self, name: str) -> Any:
            engine.write([("user:w", "barred", "doc:w")], on_duplicate="ignore")
            engine.check("user:s", "viewer", "doc:s", contextual_tuples=[("user:n", "reader", "doc:s")])
            given.clear()
            return super().__getattribute__(name)

    for _ in range(20):
        given[:] = [
            Acting("user:n", "member", "group:n"),
            ("group:n#member", "reader", "doc:n"),
            *(("user:n", "barred", f"doc:{i}") for i in range(300)),
        ]
        with contextlib.suppress(FgaError):  # a list that is no list any more may be refused
            assert engine.check("user:n", "can", "doc:n", contextual_tuples=given) is True
        assert engine.check("user:n", "can", "doc:n") is False

    class Closing(Acting):
        __slots__ = ()

        def __getattribute__(self, name: str) -> Any:
            engine.close()
            return Tuple.__getattribute__(self, name)

    assert outcome(lambda: engine.check("user:m", "can", "doc:n", contextual_tuples=[Closing("user:n", "reader", "doc:n")])) in (False, "closed")
    assert outcome(lambda: engine.check("user:s", "viewer", "doc:s")) == "closed"


@pytest.mark.parametrize("size", [200, 300, 5_000, 70_000])
def test_on_top_of_sets_of_every_size(size: int) -> None:
    engine = made([(f"user:{i}", "reader", "doc:wide") for i in range(size)])
    engine.write([(f"user:{i}", "member", "group:wide") for i in range(size)] + [("group:wide#member", "reader", "doc:set")])
    engine.write([("user:deep", "reader", f"doc:{i}") for i in range(size)])
    middle = f"user:{size // 2}"
    for _ in range(2):
        assert ask(engine, middle, "viewer", "doc:wide", [Tuple(middle, "reader", "doc:wide", "low", {"x": 11})]) is False
        assert ask(engine, middle, "viewer", "doc:wide", [Tuple(middle, "reader", "doc:wide", "low", {"x": 1})]) is True
        assert ask(engine, "user:0", "viewer", "doc:wide", [Tuple(middle, "reader", "doc:wide", "low", {"x": 11})]) is True
        assert ask(engine, "user:new", "viewer", "doc:wide", [("user:new", "reader", "doc:wide")]) is True
        assert ask(engine, "user:new", "viewer", "doc:wide", [("user:newer", "reader", "doc:wide")]) is False
        assert ask(engine, middle, "viewer", "doc:set", [Tuple(middle, "member", "group:wide", "low", {"x": 11})]) is False
        assert ask(engine, "user:new", "viewer", "doc:set", [("user:new", "member", "group:wide")]) is True
        assert ask(engine, "user:new", "viewer", "doc:set", [("user:*", "member", "group:wide")]) is True
        assert ask(engine, "user:deep", "viewer", f"doc:{size // 3}", [Tuple("user:deep", "reader", f"doc:{size // 3}", "low", {"x": 11})]) is False
        assert ask(engine, "user:deep", "viewer", "doc:new", [("user:deep", "reader", "doc:new")]) is True
        assert ask(engine, middle, "can", "doc:wide", [("group:wide#member", "barred", "doc:wide")]) is False
        engine.merge()


def test_items_of_one_batch_do_not_see_each_others_tuples() -> None:
    engine = made([("user:s", "reader", "doc:s")])
    questions = []
    expected = []
    for i in range(400):
        own = [("user:a", "reader", f"doc:{i % 5}")] if i % 3 else []
        questions.append(Question("user:a", "viewer", f"doc:{i % 4}", contextual_tuples=own))
        expected.append(bool(i % 3) and i % 5 == i % 4)
    assert list(engine.batch_check(questions)) == expected
    shared = [("user:a", "reader", "doc:3")]
    with_shared = [want or i % 4 == 3 for i, want in enumerate(expected)]
    result = engine.batch_check(questions, contextual_tuples=shared)
    assert list(result) == with_shared
    assert not result.errors
    differing = [Question("user:a", "viewer", "doc:3", contextual_tuples=[Tuple("user:a", "reader", "doc:3", "low", {"x": 1})]), *questions[:3]]
    result = engine.batch_check(differing, contextual_tuples=shared)
    assert {index: error.code for index, error in result.errors.items()} == {0: "invalid_contextual_tuple"}


def test_a_model_id_decides_what_is_admitted() -> None:
    engine = made()
    first = engine.stats().model_id
    engine.write_model(MODEL.replace("define barred: [user, user:*, group#member]", "define barred: [user]").replace("x < 10", "x < 5"))
    given: list[Fact] = [Tuple("user:a", "reader", "doc:1", "low", {"x": 7}), ("user:*", "barred", "doc:2")]
    assert outcome(lambda: engine.check("user:a", "viewer", "doc:1", contextual_tuples=given)) == "invalid_contextual_tuple"
    assert engine.check("user:a", "viewer", "doc:1", contextual_tuples=given, model_id=first) is True
    assert engine.check("user:a", "viewer", "doc:1", contextual_tuples=given[:1]) is False
    assert engine.check("user:a", "viewer", "doc:1", contextual_tuples=given[:1], model_id=first) is True


def test_a_contextual_tuple_is_never_stored_nor_read() -> None:
    engine = made([("user:s", "reader", "doc:s")])
    given: list[Fact] = [("user:ghost", "reader", "doc:ghost"), ("group:ghost#member", "reader", "doc:s")]
    for _ in range(50):
        assert engine.check("user:ghost", "viewer", "doc:ghost", contextual_tuples=given)
    assert [(found.subject, found.object) for found in engine.read()] == [("user:s", "doc:s")]
    for kind in ("user", "doc", "group", "folder"):
        assert engine.ids(kind, ["ghost"]).tolist() == [fgacore.NONE]
    with pytest.raises(RequestError) as caught:
        engine.write(deletes=[("user:ghost", "reader", "doc:ghost")])
    assert caught.value.code == "tuple_missing"
    engine.write([("user:fresh", "reader", "doc:fresh")])
    assert engine.names("user", engine.ids("user", ["s", "fresh"])) == ["s", "fresh"]
    assert engine.ids("user", ["fresh"]).tolist() == [1], "a name of one call took an id"


def test_a_name_that_is_written_while_it_is_contextual_elsewhere() -> None:
    """Ids of one call must not be those that the next write gives to other names."""
    engine = made([("user:s", "reader", "doc:s")])
    given: list[Fact] = [("user:ghost", "member", "group:ghost"), ("group:ghost#member", "reader", "doc:ghost")]
    for number in range(30):
        assert engine.check("user:ghost", "viewer", "doc:ghost", contextual_tuples=given)
        engine.write([(f"user:w{number}", "member", f"group:w{number}"), (f"group:w{number}#member", "reader", f"doc:w{number}")])
        assert not engine.check(f"user:w{number}", "viewer", "doc:ghost", contextual_tuples=given)
        assert not engine.check("user:ghost", "viewer", f"doc:w{number}", contextual_tuples=given)
        assert not engine.check("user:ghost", "viewer", "doc:ghost")


def test_threads_with_overlays_of_their_own_never_cross() -> None:
    engine = made([("user:s", "reader", "doc:s"), ("group:g#member", "reader", "doc:g"), Tuple("user:c", "reader", "doc:c", "low")])
    faults: list[str] = []
    done = threading.Event()

    def reader(me: int) -> None:
        x = 1 if me % 2 else 11
        given: list[Fact] = [(f"user:{me}", "member", "group:g"), ("user:s", "barred", "doc:s") if me % 2 else ("user:s", "barred", f"doc:{me}")]
        own = Tuple("user:c", "reader", "doc:c", "low", {"x": 12 - x})
        while not done.is_set():
            answers = (
                engine.check(f"user:{me}", "viewer", "doc:g", contextual_tuples=given),
                engine.check(f"user:{(me + 1) % 4}", "viewer", "doc:g", contextual_tuples=given),
                engine.check("user:s", "can", "doc:s", contextual_tuples=given),
                engine.check("user:c", "viewer", "doc:c", context={"x": x}),
                engine.check("user:c", "viewer", "doc:c", context={"x": x}, contextual_tuples=[own]),
                *engine.batch_check(
                    [Question(f"user:{i}", "viewer", "doc:g", contextual_tuples=given if i == me else ()) for i in range(4)], context={"x": x}
                ),
            )
            wanted = (True, False, not me % 2, bool(me % 2), not me % 2, *(i == me for i in range(4)))
            if answers != wanted:
                faults.append(f"{me}: {answers} for {wanted}")
                return

    def writer() -> None:
        for number in range(120):
            engine.write([(f"user:w{number}", "member", "group:g"), (f"user:w{number}", "reader", "doc:s")])
            if number % 20 == 0:
                engine.write_model(MODEL)
            if number % 33 == 0:
                engine.merge()

    threads = [threading.Thread(target=reader, args=(me,)) for me in range(4)]
    for thread in threads:
        thread.start()
    try:
        writer()
    finally:
        done.set()
        for thread in threads:
            thread.join(60)
    assert not faults, faults[:3]
    assert engine.ids("user", [str(me) for me in range(4)]).tolist() == [fgacore.NONE] * 4
