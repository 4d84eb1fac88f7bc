"""Conditions from the rules' text alone: every kind of restriction, Kleene's table at every distance, recursion, merging, changes of the model.

Every question is put on every path, cold and warm, and all paths must agree, on the error's code too.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy
import pytest

import fgacore
from fgacore import FgaError, Question, RequestError, Tuple

Answer = bool | str  # a verdict, or the code of an error

MODEL = """
model
  schema 1.1
type user
type group
  relations
    define member: [user, user:*, user with low, group#member, group#member with low]
type folder
  relations
    define parent: [folder, folder with low]
    define viewer: [user, user with low, group#member with low] or viewer from parent
type doc
  relations
    define parent: [folder with low, doc]
    define direct: [user with low]
    define wild: [user, user:* with low]
    define both: [user, user with low, user with named]
    define set: [group#member with low, group#member with named]
    define owner: [user, user with low, user with named]
    define banned: [user with low, user:* with named]
    define viewer: direct or wild or both or set or viewer from parent
    define can_view: viewer but not banned
    define safe: owner and viewer

condition low(x: int) {
  x < 10
}
condition named(name: string, wanted: string) {
  name == wanted
}
"""


def made(model: str = MODEL, tuples: Sequence[Tuple | tuple[str, str, str]] = ()) -> fgacore.Engine:
    engine = fgacore.open(":memory:")
    engine.write_model(model)
    if tuples:
        engine.write(tuples)
    return engine


def outcome(call: Callable[[], Any]) -> Answer:
    try:
        answer = call()
    except FgaError as error:
        return error.code
    assert answer is True or answer is False, answer
    return bool(answer)


def paths(
    engine: fgacore.Engine, subject: str, relation: str, name: str, context: Mapping[str, Any] | None, model_id: str | None = None
) -> Iterator[tuple[str, Answer]]:
    """The same question by every way in."""
    for turn in ("cold", "again"):
        yield f"check {turn}", outcome(lambda: engine.check(subject, relation, name, context=context, model_id=model_id))
    for count in (1, 3, 70):
        yield (
            f"check_objects {count}",
            outcome(lambda names=[name] * count: one(engine.check_objects(subject, relation, names, context=context, model_id=model_id))),
        )
    triple = (subject, relation, name)
    half = len(context) // 2 if context else 0
    items = list(context.items()) if context else []
    for way, questions, shared in (
        ("call's context", [triple] * 3, context),
        ("own context", [Question(*triple, context=context)] * 3, None),
        ("own context laid over", [Question(*triple, context=context)] * 70, {key: "overlaid" for key, _ in items}),
        ("context in two halves", [Question(*triple, context=dict(items[:half]))] * 2, dict(items[half:])),
    ):
        result = engine.batch_check(questions, context=shared, model_id=model_id)
        assert not any(answer for index, answer in enumerate(result) if index in result.errors), "an item in error reads False"
        answers = {result.errors[index].code if index in result.errors else result[index] for index in range(len(questions))}
        assert len(answers) == 1, (way, answers)
        yield f"batch_check {way}", answers.pop()
    kind, _, rest = subject.partition(":")
    subject_name, _, userset = rest.partition("#")
    object_type, _, object_name = name.partition(":")
    object_ids = engine.ids(object_type, [object_name] * 5)
    subject_id = 0 if subject_name == "*" else int(engine.ids(kind, [subject_name])[0])
    if fgacore.NONE in (subject_id, int(object_ids[0])):
        return
    subject_type = f"{kind}:*" if subject_name == "*" else f"{kind}#{userset}" if userset else kind
    yield (
        "check_ids",
        outcome(
            lambda: one(
                engine.check_ids(
                    subject_id, relation, object_ids, subject_type=subject_type, object_type=object_type, context=context, model_id=model_id
                ).tolist()
            )
        ),
    )


def one(answers: list[bool]) -> bool:
    assert len(set(answers)) == 1, answers
    return answers[0]


def ask(
    engine: fgacore.Engine, subject: str, relation: str, name: str, context: Mapping[str, Any] | None = None, model_id: str | None = None
) -> Answer:
    answers = dict(paths(engine, subject, relation, name, context, model_id))
    assert len(set(answers.values())) == 1, ((subject, relation, name), context, answers)
    return answers.popitem()[1]


# Every kind of restriction. None as answer: the parameter is missing, which is an error.

PLACES: dict[str, list[Any]] = {
    "direct": [Tuple("user:a", "direct", "doc:1", "low")],
    "wildcard": [Tuple("user:*", "wild", "doc:1", "low")],
    "beside an unconditioned restriction": [Tuple("user:a", "both", "doc:1", "low")],
    "userset": [("user:a", "member", "group:g"), Tuple("group:g#member", "set", "doc:1", "low")],
    "member of a userset": [
        Tuple("user:a", "member", "group:g", "low"),
        Tuple("group:g#member", "set", "doc:1", "named", {"name": "n", "wanted": "n"}),
    ],
    "wildcard member": [("user:*", "member", "group:g"), Tuple("group:g#member", "set", "doc:1", "low")],
    "nested userset": [
        ("user:a", "member", "group:h"),
        Tuple("group:h#member", "member", "group:g", "low"),
        Tuple("group:g#member", "set", "doc:1", "low"),
    ],
    "parent": [Tuple("folder:f", "parent", "doc:1", "low"), ("user:a", "viewer", "folder:f")],
    "parent's parent": [
        Tuple("folder:f", "parent", "doc:1", "low"),
        Tuple("folder:e", "parent", "folder:f", "low"),
        ("user:a", "viewer", "folder:e"),
    ],
    "viewer of a parent": [Tuple("folder:f", "parent", "doc:1", "low"), Tuple("user:a", "viewer", "folder:f", "low")],
    "group of a parent": [
        ("doc:0", "parent", "doc:1"),
        Tuple("folder:f", "parent", "doc:0", "low"),
        Tuple("group:g#member", "viewer", "folder:f", "low"),
        ("user:a", "member", "group:g"),
    ],
}


@pytest.mark.parametrize("place", PLACES)
def test_a_condition_holds_in_every_place(place: str) -> None:
    engine = made(tuples=PLACES[place])
    for _ in range(2):
        assert ask(engine, "user:a", "viewer", "doc:1", {"x": 9}) is True
        assert ask(engine, "user:a", "viewer", "doc:1", {"x": 10}) is False
        assert ask(engine, "user:a", "viewer", "doc:1", {}) == "context_missing"
        assert ask(engine, "user:a", "viewer", "doc:1", None) == "context_missing"
        assert ask(engine, "user:a", "viewer", "doc:1", {"x": "ten"}) == "invalid_context"
        assert ask(engine, "user:a", "can_view", "doc:1", {"x": 9}) is True
        assert ask(engine, "user:a", "viewer", "doc:2", None) is False


@pytest.mark.parametrize("place", PLACES)
def test_a_stranger_is_not_asked_for_context(place: str) -> None:
    engine = made(tuples=[*PLACES[place], ("user:z", "member", "group:other")])
    everybody = "wildcard" in place
    assert ask(engine, "user:z", "viewer", "doc:1", {"x": 10}) is False
    assert ask(engine, "user:z", "viewer", "doc:1", {"x": 9}) is everybody
    assert ask(engine, "user:z", "viewer", "doc:1") == ("context_missing" if everybody else False)
    assert ask(engine, "user:never-seen", "viewer", "doc:1") == ("context_missing" if everybody else False)


@pytest.mark.parametrize("place", PLACES)
def test_a_way_without_conditions_asks_for_no_context(place: str) -> None:
    engine = made(tuples=[*PLACES[place], ("user:a", "wild", "doc:1")])
    for context in (None, {}, {"x": 10}, {"x": 9}, {"x": "ten"}):
        assert ask(engine, "user:a", "viewer", "doc:1", context) is True


@pytest.mark.parametrize("place", PLACES)
def test_a_tuple_in_its_own_context_needs_none_of_the_request(place: str) -> None:
    places = [number for number, fact in enumerate(PLACES[place]) if isinstance(fact, Tuple) and fact.condition == "low"]

    def stored(values: Mapping[int, int]) -> fgacore.Engine:
        return made(tuples=[replace(fact, context={"x": values[i]}) if i in values else fact for i, fact in enumerate(PLACES[place])])

    engine = stored(dict.fromkeys(places, 3))
    for context in (None, {}, {"x": 9}, {"x": 10}, {"x": "ten"}, {"x": None}):
        assert ask(engine, "user:a", "viewer", "doc:1", context) is True
    for number in places:
        assert ask(stored({**dict.fromkeys(places, 3), number: 30}), "user:a", "viewer", "doc:1", {"x": 3}) is False


def test_a_wildcard_as_the_subject_meets_the_conditioned_wildcard() -> None:
    engine = made(tuples=[Tuple("user:*", "wild", "doc:1", "low"), ("user:a", "wild", "doc:1")])
    assert ask(engine, "user:*", "viewer", "doc:1", {"x": 9}) is True
    assert ask(engine, "user:*", "viewer", "doc:1", {"x": 10}) is False
    assert ask(engine, "user:*", "viewer", "doc:1") == "context_missing"
    assert ask(engine, "user:a", "viewer", "doc:1") is True
    assert ask(engine, "group:g#member", "viewer", "doc:1") is False  # a wildcard grants no userset, and asks it for no context


def test_a_userset_as_the_subject_meets_conditions() -> None:
    engine = made(tuples=[Tuple("group:g#member", "set", "doc:1", "low"), Tuple("group:h#member", "member", "group:g", "low", {"x": 1})])
    for subject in ("group:g#member", "group:h#member"):
        assert ask(engine, subject, "viewer", "doc:1", {"x": 9}) is True
        assert ask(engine, subject, "viewer", "doc:1", {"x": 10}) is False
        assert ask(engine, subject, "viewer", "doc:1") == "context_missing"
    assert ask(engine, "group:g#member", "member", "group:g") is True
    assert ask(engine, "doc:1#viewer", "viewer", "doc:1") is True
    assert ask(engine, "doc:1#banned", "banned", "doc:1") is True
    assert ask(engine, "doc:1#banned", "can_view", "doc:1") is False


def test_several_conditions_for_one_kind_are_kept_apart() -> None:
    engine = made(
        tuples=[
            ("user:plain", "both", "doc:1"),
            Tuple("user:low", "both", "doc:1", "low"),
            Tuple("user:named", "both", "doc:1", "named", {"wanted": "n"}),
        ]
    )
    low, named = {"x": 1}, {"name": "n"}
    everything = {**low, **named}
    expected = {
        "user:plain": (True, True, True, True),
        "user:low": (True, "context_missing", True, "context_missing"),
        "user:named": ("context_missing", True, True, "context_missing"),
        "user:none": (False, False, False, False),
    }
    for subject, answers in expected.items():
        assert tuple(ask(engine, subject, "both", "doc:1", context) for context in (low, named, everything, None)) == answers, subject
    assert ask(engine, "user:named", "both", "doc:1", {"name": "m", "x": 1}) is False
    assert ask(engine, "user:low", "both", "doc:1", {"name": "n", "x": 11}) is False


def test_two_conditions_on_two_ways_to_one_group() -> None:
    """One way's failure is no obstacle to another's success, and is an error beside another's no."""
    engine = made(tuples=[("user:a", "member", "group:g"), ("user:a", "member", "group:h")])
    engine.write([Tuple("group:g#member", "set", "doc:1", "low"), Tuple("group:h#member", "set", "doc:1", "named", {"wanted": "n"})])
    assert ask(engine, "user:a", "viewer", "doc:1") == "context_missing"
    assert ask(engine, "user:a", "viewer", "doc:1", {"x": 1}) is True
    assert ask(engine, "user:a", "viewer", "doc:1", {"x": 11}) == "context_missing"
    assert ask(engine, "user:a", "viewer", "doc:1", {"name": "n"}) is True
    assert ask(engine, "user:a", "viewer", "doc:1", {"name": "m"}) == "context_missing"
    assert ask(engine, "user:a", "viewer", "doc:1", {"name": "m", "x": 11}) is False
    assert ask(engine, "user:a", "viewer", "doc:1", {"name": "n", "x": 11}) is True


def test_a_missing_parameter_is_an_error_where_the_expression_would_not_read_it() -> None:
    model = """
model
  schema 1.1
type user
type doc
  relations
    define viewer: [user with either]
    define unused: [user with idle]
condition either(x: int, y: int) {
  x < 100 || y < 50
}
condition idle(x: int) {
  true
}
"""
    engine = made(model, [Tuple("user:a", "viewer", "doc:1", "either"), Tuple("user:a", "unused", "doc:1", "idle")])
    assert ask(engine, "user:a", "viewer", "doc:1", {"x": 10}) == "context_missing"
    assert ask(engine, "user:a", "viewer", "doc:1", {"y": 10}) == "context_missing"
    assert ask(engine, "user:a", "viewer", "doc:1", {"x": 10, "y": 60}) is True
    assert ask(engine, "user:a", "viewer", "doc:1", {"x": 100, "y": 50}) is False
    assert ask(engine, "user:a", "viewer", "doc:1", {"x": 10, "y": "bad"}) == "invalid_context"
    assert ask(engine, "user:a", "unused", "doc:1") == "context_missing"
    assert ask(engine, "user:a", "unused", "doc:1", {"x": 0}) is True
    with pytest.raises(RequestError, match="either") as caught:
        engine.check("user:a", "viewer", "doc:1", context={"x": 10})
    assert "y" in str(caught.value)
    assert "`x`" not in str(caught.value)


# Kleene's table, exhaustively: yes, no and bad are single facts; every expression of two and of three of them is a relation.

VALUES: dict[str, bool | None] = {"yes": True, "no": False, "bad": None}


def either(left: bool | None, right: bool | None) -> bool | None:
    return True if True in (left, right) else None if None in (left, right) else False


def both(left: bool | None, right: bool | None) -> bool | None:
    return False if False in (left, right) else None if None in (left, right) else True


def less(left: bool | None, right: bool | None) -> bool | None:
    return both(left, None if right is None else not right)


OPERATIONS = {"or": either, "and": both, "but not": less}


def expressions() -> dict[str, bool | None]:
    """The text of each expression, with its value by Kleene's rules."""
    pairs = {
        f"{left} {word} {right}": operation(VALUES[left], VALUES[right])
        for (word, operation), left, right in itertools.product(OPERATIONS.items(), VALUES, VALUES)
        if left != right
    }
    found = dict(pairs)
    for (pair, value), (word, operation), single in itertools.product(pairs.items(), OPERATIONS.items(), VALUES):
        found[f"({pair}) {word} {single}"] = operation(value, VALUES[single])
        found[f"{single} {word} ({pair})"] = operation(VALUES[single], value)
    for (left, one_value), (right, other_value) in itertools.product(list(pairs.items())[::2], list(pairs.items())[1::2]):
        found[f"({left}) but not ({right})"] = less(one_value, other_value)
    return found


EXPRESSIONS = expressions()
TRAPS = {  # how `bad` fails: its condition, its own context, the context of the request, the code
    "missing": ("need", None, None, "context_missing"),
    "wrong": ("need", None, {"n": "none"}, "invalid_context"),
    "failing": ("fails", None, {"n": 0}, "condition_failed"),
    "failing in its own context": ("fails", {"n": 0}, {"n": 1}, "condition_failed"),
}


def kleene_model() -> str:
    lines = ["model", "  schema 1.1", "type user", "type doc", "  relations"]
    lines += ["    define up: [doc]", "    define yes: [user]", "    define no: [user]", "    define bad: [user, user with need, user with fails]"]
    for number, expression in enumerate(EXPRESSIONS):
        lines += [
            f"    define e{number}: {expression}",
            f"    define computed{number}: e{number} or no",
            f"    define set{number}: [doc#e{number}]",
            f"    define far{number}: e{number} from up",
            f"    define twice{number}: yes but not (yes but not e{number})",
        ]
    lines += ["condition need(n: int) {", "  n > 0", "}", "condition fails(n: int) {", "  1 / n > 0", "}"]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("trap", TRAPS)
def test_kleenes_table_at_every_distance(trap: str) -> None:
    condition, own, context, code = TRAPS[trap]
    facts: list[Tuple | tuple[str, str, str]] = [
        Tuple("user:a", "bad", "doc:1", condition, own),
        Tuple("user:a", "bad", "doc:3", condition, own),
        ("user:a", "yes", "doc:1"),
        ("user:a", "yes", "doc:3"),
        ("doc:1", "up", "doc:2"),
        ("doc:0", "up", "doc:2"),
    ]
    facts += [(f"doc:1#e{number}", f"set{number}", "doc:2") for number in range(len(EXPRESSIONS))]
    engine = made(kleene_model(), facts)
    expected: list[Answer] = []
    questions = []
    for number, value in enumerate(EXPRESSIONS.values()):
        answer: Answer = code if value is None else value
        for relation, name in (
            (f"e{number}", "doc:1"),
            (f"computed{number}", "doc:1"),
            (f"twice{number}", "doc:1"),
            (f"set{number}", "doc:2"),
            (f"far{number}", "doc:2"),
        ):
            questions.append(("user:a", relation, name))
            expected.append(answer)
    for _ in range(2):
        result = engine.batch_check(questions, context=context)
        found = [result.errors[index].code if index in result.errors else result[index] for index in range(len(questions))]
        wrong = [
            (question, expression_of(question), want, got) for question, want, got in zip(questions, expected, found, strict=True) if want != got
        ]
        assert not wrong, wrong[:5]
    for index in range(0, len(questions), 37):
        assert ask(engine, *questions[index], context) == expected[index], (questions[index], expression_of(questions[index]))


def expression_of(question: tuple[str, str, str]) -> str:
    return list(EXPRESSIONS)[int(question[1].lstrip("abcdefghijklmnopqrstuvwxyz"))]


def test_an_error_far_away_does_not_outweigh_a_yes_at_hand_in_any_order() -> None:
    """Twenty groups, of which one fails, one says no and one says yes, in every place: the order of names and of writing decides nothing."""
    for failing, passing in itertools.permutations((0, 1, 10, 18, 19), 2):
        engine = made()
        engine.write([("user:a", "member", f"group:{i}") for i in range(20)])
        engine.write(
            [
                Tuple(f"group:{i}#member", "set", "doc:1", "low", None if i == failing else {"x": 1 if i == passing else 50})
                for i in (range(20) if failing < passing else reversed(range(20)))
            ]
        )
        assert ask(engine, "user:a", "viewer", "doc:1") is True
        engine.write(deletes=[(f"group:{passing}#member", "set", "doc:1")])
        assert ask(engine, "user:a", "viewer", "doc:1") == "context_missing"
        engine.write(deletes=[(f"group:{failing}#member", "set", "doc:1")])
        assert ask(engine, "user:a", "viewer", "doc:1") is False


def test_a_no_needs_no_context() -> None:
    """In an intersection any false decides; so does a false base or a true subtract, whatever else fails."""
    engine = made(
        tuples=[
            Tuple("user:a", "owner", "doc:1", "low"),
            Tuple("user:b", "direct", "doc:2", "low"),
            Tuple("user:b", "banned", "doc:2", "low", {"x": 1}),
        ]
    )
    assert ask(engine, "user:a", "safe", "doc:1") is False
    assert ask(engine, "user:b", "can_view", "doc:2") is False
    engine.write([("user:a", "both", "doc:1")])
    assert ask(engine, "user:a", "safe", "doc:1") == "context_missing"
    assert ask(engine, "user:a", "safe", "doc:1", {"x": 1}) is True
    engine.write([Tuple("user:*", "banned", "doc:1", "named", {"wanted": "n"})])
    assert ask(engine, "user:a", "can_view", "doc:1") == "context_missing"
    assert ask(engine, "user:a", "can_view", "doc:1", {"name": "n"}) is False
    assert ask(engine, "user:a", "can_view", "doc:1", {"name": "m"}) is True
    assert ask(engine, "user:z", "can_view", "doc:1") is False


# Recursion


def test_a_cycle_of_conditioned_groups() -> None:
    engine = made(
        tuples=[
            Tuple("group:a#member", "member", "group:b", "low"),
            Tuple("group:b#member", "member", "group:c", "low"),
            Tuple("group:c#member", "member", "group:a", "low"),
            ("user:in-a", "member", "group:a"),
            Tuple("user:low-in-b", "member", "group:b", "low"),
        ]
    )
    for group in ("group:a", "group:b", "group:c"):
        assert ask(engine, "user:in-a", "member", group, {"x": 1}) is True
        assert ask(engine, "user:in-a", "member", group, {"x": 11}) is (group == "group:a")
        assert ask(engine, "user:in-a", "member", group) == (True if group == "group:a" else "context_missing")
        assert ask(engine, "user:low-in-b", "member", group, {"x": 1}) is True
        assert ask(engine, "user:low-in-b", "member", group, {"x": 11}) is False
        assert ask(engine, "user:low-in-b", "member", group) == "context_missing"
        assert ask(engine, "user:nobody", "member", group) is False  # no value of the conditions makes nobody a member
    engine.write([("group:a#member", "member", "group:c")])
    assert ask(engine, "user:in-a", "member", "group:c") is True
    assert ask(engine, "user:in-a", "member", "group:b") == "context_missing"


def test_a_long_chain_of_conditioned_groups_and_folders() -> None:
    depth = 3_000
    groups = [Tuple(f"group:{i}#member", "member", f"group:{i + 1}", "low", None if i % 2 else {"x": i % 10}) for i in range(depth)]
    folders = [Tuple(f"folder:{i}", "parent", f"folder:{i + 1}", "low", None if i % 2 else {"x": i % 10}) for i in range(depth)]
    engine = made(tuples=[*groups, *folders, ("user:a", "member", "group:0"), ("user:a", "viewer", "folder:0")])
    for relation, name in (("member", f"group:{depth}"), ("viewer", f"folder:{depth}")):
        assert ask(engine, "user:a", relation, name, {"x": 9}) is True
        assert ask(engine, "user:a", relation, name, {"x": 10}) is False
        assert ask(engine, "user:a", relation, name) == "context_missing"
        assert ask(engine, "user:b", relation, name) is False


def test_a_dense_tangle_of_conditioned_groups_is_no_explosion() -> None:
    """Sixty groups, each in each: counting paths would never end."""
    engine = made(tuples=[Tuple(f"group:{i}#member", "member", f"group:{j}", "low") for i in range(60) for j in range(60) if i != j])
    engine.write([("user:a", "member", "group:0"), Tuple("group:59#member", "set", "doc:1", "low")])
    assert ask(engine, "user:a", "viewer", "doc:1", {"x": 1}) is True
    assert ask(engine, "user:a", "viewer", "doc:1", {"x": 11}) is False
    assert ask(engine, "user:a", "viewer", "doc:1") == "context_missing"
    assert ask(engine, "user:b", "viewer", "doc:1") is False


KNOT = """
model
  schema 1.1
type user
type doc
  relations
    define plain: [user, user with low]
    define viewer: [user, user with low, doc#viewer, doc#viewer with low] but not restricted
    define restricted: [user, user with low, doc#viewer, doc#viewer with low]
    define can_read: plain but not restricted
condition low(x: int) {
  x < 10
}
"""


def test_a_failing_condition_in_a_recursion_through_but_not() -> None:
    """A failing tuple counts as present where it would grant and absent where it would bar: what is not true even then is False."""
    knot = ("doc:1#viewer", "restricted", "doc:1")
    cases: list[tuple[str, list[Any], Answer, Answer, Answer]] = [  # facts, then the answer without context, where low holds, where it does not
        ("a failing base alone", [Tuple("user:a", "viewer", "doc:1", "low")], "context_missing", True, False),
        ("a failing base in a knot", [Tuple("user:a", "viewer", "doc:1", "low"), knot], "context_missing", False, False),
        ("a failing subtract", [("user:a", "viewer", "doc:1"), Tuple("user:a", "restricted", "doc:1", "low")], "context_missing", False, True),
        (
            "a failing subtract in a knot",
            [("user:a", "viewer", "doc:1"), Tuple("user:a", "restricted", "doc:1", "low"), knot],
            "context_missing",
            False,
            False,
        ),
        ("a knot that a condition ties", [("user:a", "viewer", "doc:1"), Tuple(*knot, "low")], "context_missing", False, True),
        ("a true subtract", [Tuple("user:a", "viewer", "doc:1", "low"), ("user:a", "restricted", "doc:1")], False, False, False),
        (
            "a way round that a condition opens",
            [("user:a", "viewer", "doc:2"), Tuple("doc:2#viewer", "viewer", "doc:1", "low")],
            "context_missing",
            True,
            False,
        ),
        (
            "a failing way to a knotted viewer",
            [("user:a", "viewer", "doc:2"), ("doc:2#viewer", "restricted", "doc:2"), Tuple("doc:2#viewer", "viewer", "doc:1", "low")],
            False,
            False,
            False,
        ),
        (
            "a plain cycle",
            [Tuple("doc:1#viewer", "viewer", "doc:2", "low"), ("doc:2#viewer", "viewer", "doc:1")],
            False,
            False,
            False,
        ),
    ]
    for what, facts, missing, holds, fails in cases:
        engine = made(KNOT, facts)
        assert ask(engine, "user:a", "viewer", "doc:1", {"x": 1}) == holds, what
        assert ask(engine, "user:a", "viewer", "doc:1", {"x": 11}) == fails, what
        assert ask(engine, "user:a", "viewer", "doc:1") == missing, what
        assert ask(engine, "user:b", "viewer", "doc:1") is False, what


def test_undefined_denies_at_a_distance_beside_conditions() -> None:
    engine = made(KNOT, [("user:a", "viewer", "doc:1"), ("doc:1#viewer", "restricted", "doc:1"), Tuple("user:a", "plain", "doc:1", "low")])
    for context in (None, {"x": 1}, {"x": 11}):
        assert ask(engine, "user:a", "can_read", "doc:1", context) is False
    engine.write(deletes=[("doc:1#viewer", "restricted", "doc:1")])
    assert ask(engine, "user:a", "can_read", "doc:1") == "context_missing"
    assert ask(engine, "user:a", "can_read", "doc:1", {"x": 1}) is True
    engine.write([Tuple("doc:1#viewer", "restricted", "doc:1", "low", {"x": 1})])
    assert ask(engine, "user:a", "can_read", "doc:1", {"x": 1}) is False
    engine.write([Tuple("doc:1#viewer", "restricted", "doc:1", "low", {"x": 11})], on_duplicate="replace")
    assert ask(engine, "user:a", "can_read", "doc:1", {"x": 1}) is True


# Contexts: the tuple's over the request's, the question's over the call's


def test_the_tuples_own_context_wins_key_by_key() -> None:
    engine = made(
        tuples=[
            Tuple("user:none", "both", "doc:1", "named"),
            Tuple("user:name", "both", "doc:1", "named", {"name": "own"}),
            Tuple("user:wanted", "both", "doc:1", "named", {"wanted": "own"}),
            Tuple("user:all", "both", "doc:1", "named", {"name": "own", "wanted": "own"}),
            Tuple("user:never", "both", "doc:1", "named", {"name": "own", "wanted": "other"}),
        ]
    )
    contexts: list[dict[str, Any]] = [
        {},
        {"name": "own"},
        {"wanted": "own"},
        {"name": "own", "wanted": "own"},
        {"name": "x", "wanted": "x"},
        {"name": 7},
    ]
    missing = "context_missing"
    expected: dict[str, list[Answer]] = {
        "user:none": [missing, missing, missing, True, True],
        "user:name": [missing, missing, True, True, False, missing],
        "user:wanted": [missing, True, missing, True, False, "invalid_context"],
        "user:all": [True] * 6,
        "user:never": [False] * 6,
    }
    for subject, answers in expected.items():
        for context, answer in zip(contexts, answers, strict=False):
            assert ask(engine, subject, "both", "doc:1", context) == answer, (subject, context)
    assert ask(engine, "user:none", "both", "doc:1", {"name": 7}) in ("context_missing", "invalid_context")


def test_unknown_keys_of_a_request_are_ignored() -> None:
    engine = made(tuples=[Tuple("user:a", "direct", "doc:1", "low")])
    for extra in ({"y": 1}, {"X": 100}, {"x ": 100}, {"": 0}, {"é": [1, {"x": 100}]}, {"other": {"deep": [[[]]]}}, {"low": 1, "user": "user:b"}):
        assert ask(engine, "user:a", "viewer", "doc:1", {"x": 9, **extra}) is True
        assert ask(engine, "user:a", "viewer", "doc:1", {"x": 10, **extra}) is False
        assert ask(engine, "user:a", "viewer", "doc:1", extra) == "context_missing"


def test_a_question_lays_its_context_over_the_calls_and_no_other_questions() -> None:
    engine = made(tuples=[Tuple("user:a", "both", "doc:1", "named"), Tuple("user:b", "both", "doc:1", "named", {"wanted": "n"})])
    questions = [
        Question("user:a", "both", "doc:1"),
        Question("user:a", "both", "doc:1", context={"name": "n"}),
        Question("user:a", "both", "doc:1", context={"name": "n", "wanted": "n"}),
        Question("user:a", "both", "doc:1", context={}),
        Question("user:b", "both", "doc:1", context={"wanted": "m", "name": "m"}),
        Question("user:b", "both", "doc:1", context={"name": "n"}),
        Question("user:a", "both", "doc:1", context=None),
    ]
    for turn in (questions, questions * 30):
        result = engine.batch_check(turn, context={"wanted": "n"})
        times = len(turn) // len(questions)
        assert list(result) == [False, True, True, False, False, True, False] * times
        wanted = {index + 7 * turn: "context_missing" for index in (0, 3, 6) for turn in range(times)}
        assert {index: error.code for index, error in result.errors.items()} == wanted


def test_the_index_of_an_error_is_that_of_its_item() -> None:
    engine = made(tuples=[Tuple("user:a", "direct", f"doc:{i}", "low", {"x": i % 20} if i % 7 else None) for i in range(200)])
    objects = [f"doc:{i}" for i in range(200)]
    result = engine.batch_check([("user:a", "viewer", name) for name in objects])
    assert list(result) == [bool(i % 7) and i % 20 < 10 for i in range(200)]
    assert sorted(result.errors) == [i for i in range(200) if not i % 7]
    assert {error.code for error in result.errors.values()} == {"context_missing"}
    assert engine.check_objects("user:a", "viewer", objects, context={"x": 3}) == [not i % 7 or i % 20 < 10 for i in range(200)]
    ids = engine.ids("doc", [str(i) for i in range(200)])
    user = int(engine.ids("user", ["a"])[0])
    for first in (0, 1, 77, 196):
        wanted = next(i for i in range(first, 200) if not i % 7)
        with pytest.raises(RequestError) as caught:
            engine.check_objects("user:a", "viewer", objects[first:])
        assert (caught.value.code, caught.value.index) == ("context_missing", wanted - first)
        out = numpy.ones(200 - first, bool)
        with pytest.raises(RequestError) as caught:
            engine.check_ids(user, "viewer", ids[first:], subject_type="user", object_type="doc", out=out)
        assert (caught.value.code, caught.value.index) == ("context_missing", wanted - first)
    good = [i for i in range(200) if i % 7]
    assert engine.check_objects("user:a", "viewer", [objects[i] for i in good]) == [i % 20 < 10 for i in good]


def test_many_tuples_under_one_condition_are_told_apart_by_their_contexts() -> None:
    count = 5_000
    engine = made(tuples=[Tuple(f"user:{i}", "direct", "doc:1", "low", {"x": i % 20} if i % 3 else None) for i in range(count)])
    engine.write([Tuple("user:one", "direct", f"doc:many{i}", "low", {"x": i % 20} if i % 3 else None) for i in range(count)])
    for x in (5, 15):
        wanted = [(i % 20 if i % 3 else x) < 10 for i in range(count)]
        assert list(engine.batch_check([(f"user:{i}", "viewer", "doc:1") for i in range(count)], context={"x": x})) == wanted
        assert engine.check_objects("user:one", "viewer", [f"doc:many{i}" for i in range(count)], context={"x": x}) == wanted
        ids = engine.ids("doc", [f"many{i}" for i in range(count)])
        one_id = int(engine.ids("user", ["one"])[0])
        assert engine.check_ids(one_id, "viewer", ids, subject_type="user", object_type="doc", context={"x": x}).tolist() == wanted
    result = engine.batch_check([(f"user:{i}", "viewer", "doc:1") for i in range(count)])
    assert sorted(result.errors) == list(range(0, count, 3))


# Types and what is accepted for them


def typed(kind: str, expression: str) -> fgacore.Engine:
    text = f"model\n  schema 1.1\ntype user\ntype doc\n  relations\n    define viewer: [user with c]\ncondition c(v: {kind}) {{\n  {expression}\n}}\n"
    return made(text, [Tuple("user:a", "viewer", "doc:1", "c")])


ACCEPTED: list[tuple[str, str, list[Any], list[Any]]] = [  # type, expression, values for which it holds, values for which it does not
    ("bool", "v", [True], [False]),
    ("string", "v == 'é'", ["é"], ["e\u0301", "", "É", "x" * 1000]),
    ("int", "v == 12", [12, 12.0, "12", "12.0", "1.2e1"], [-12, "13", 0, -(2**63), 2**63 - 1, "9223372036854775807", "-9223372036854775808"]),
    ("int", "v == 9223372036854775807", [2**63 - 1, "9223372036854775807"], ["9223372036854775806", 2**63 - 2]),
    ("uint", "v == 12u", [12, 12.0, "12"], [0, 2**64 - 1, "18446744073709551615"]),
    ("uint", "v == 18446744073709551615u", [2**64 - 1, "18446744073709551615"], ["18446744073709551614", 2**64 - 2]),
    ("double", "v == 1.5", [1.5, "1.5", "15e-1"], [1, "2", -1.5, 1.7976931348623157e308, 5e-324]),
    ("duration", "v == duration('90m')", ["1h30m", "90m", "1.5h", "5400s", "5400000ms", "5400000000us", "5400000000µs"], ["0", "-90m", "1h"]),
    ("duration", "v == duration('-2ms')", ["-2ms", "-2000us"], ["2ms", "+2ms"]),
    (
        "timestamp",
        "v == timestamp('2024-02-29T12:00:00Z')",
        ["2024-02-29T12:00:00Z", "2024-02-29T13:30:00+01:30", "2024-02-29T12:00:00.000Z", "2024-02-28T23:00:00-13:00"],
        ["2024-02-29T12:00:00.000001Z", "2024-02-29T12:00:00+00:01", "0001-01-02T00:00:00Z", "9999-12-30T00:00:00Z"],
    ),
    (
        "ipaddress",
        "v.in_cidr('192.168.0.0/24')",
        ["192.168.0.0", "192.168.0.255", "::ffff:192.168.0.1"],
        ["192.168.1.0", "::1", "::c0a8:1", "0.0.0.0"],
    ),
    ("ipaddress", "v == ipaddress('::1')", ["::1", "0:0:0:0:0:0:0:1"], ["::2", "0.0.0.1", "127.0.0.1"]),
    ("ipaddress", "v.in_cidr('2001:db8::/32')", ["2001:db8::", "2001:db8:ffff::1"], ["2001:db9::", "32.1.13.184"]),
    ("list<string>", "v.exists(t, t == 'a')", [["b", "a"], ("a",)], [[], ["b"]]),
    ("list<int>", "v.all(t, t > 0)", [[], [1, "2", 3.0]], [[0], [1, -1]]),
    ("map<string>", "v['k'] == 'a'", [{"k": "a"}], [{"k": "b", "other": "a"}]),
    ("map<int>", "v['k'] == 1", [{"k": 1}, {"k": "1"}, {"k": 1.0}], [{"k": 2}]),
    ("list<bool>", "v[0]", [[True, False]], [[False, True]]),
]


@pytest.mark.parametrize(("kind", "expression", "holding", "failing"), ACCEPTED, ids=lambda value: value if isinstance(value, str) else "")
def test_values_are_taken_as_their_types_say(kind: str, expression: str, holding: list[Any], failing: list[Any]) -> None:
    engine = typed(kind, expression)
    for values, answer in ((holding, True), (failing, False)):
        for value in values:
            assert ask(engine, "user:a", "viewer", "doc:1", {"v": value}) is answer, value
            engine.write([Tuple("user:a", "viewer", "doc:2", "c", {"v": value})], on_duplicate="replace")
            assert ask(engine, "user:a", "viewer", "doc:2", {"v": None}) is answer, value
            assert engine.check("user:a", "viewer", "doc:3", contextual_tuples=[Tuple("user:a", "viewer", "doc:3", "c", {"v": value})]) is answer, (
                value
            )


REFUSED: dict[str, list[Any]] = {
    "bool": [0, 1, "true", "", None, [], 1.0],
    "string": [0, True, None, b"a", ["a"], {"a": 1}, 1.5],
    "int": [
        True,
        False,
        1.5,
        "1.5",
        "",
        "x",
        "0x",
        "1_0",
        "\uff11",
        "\u0661",
        None,
        [1],
        "inf",
        "nan",
        2**63,
        -(2**63) - 1,
        1e19,
        float(2**63),
        "9223372036854775808",
        "1e400",
    ],
    "uint": [True, -1, "-1", 1.5, 2**64, "18446744073709551616", float(2**64), None, "", "-0.5"],
    "double": [
        True,
        "",
        "x",
        "1e309",
        "-1e309",
        "inf",
        "Infinity",
        "nan",
        "NaN",
        10**400,
        float("inf"),
        float("nan"),
        None,
        "1_0.0",
        "\uff11.0",
        "1.5 x",
    ],
    "duration": [
        "",
        "1",
        "h",
        "1 h",
        "1h 30m",
        "1d",
        "P1D",
        "PT1H",
        "1h30",
        "1:30",
        90,
        1.5,
        None,
        True,
        "\u0661h",
        "1_0s",
        "--1s",
        "1e3s",
        "9" * 400 + "s",
    ],
    "timestamp": [
        "",
        "2024-02-30T00:00:00Z",
        "2024-02-29",
        "2024-02-29T12:00:00",
        "2024-13-01T00:00:00Z",
        "20240229T120000Z",
        "2024-W09-4T12:00:00Z",
        "2024-02-29T25:00:00Z",
        "2024-02-29T12:00Z",
        "now",
        1709208000,
        1709208000.0,
        None,
        "\uff12024-02-29T12:00:00Z",
        "2024-02-29T12:00:00Z ",
        "02024-02-29T12:00:00Z",
    ],
    "ipaddress": [
        "",
        "1.2.3",
        "1.2.3.4.5",
        "256.0.0.1",
        "01.2.3.4",
        "1.2.3.4/24",
        "localhost",
        16909060,
        1,
        None,
        True,
        b"\x01\x02\x03\x04",
        ":::",
        "1.2.3.4 ",
        "\uff11.2.3.4",
    ],
    "list<string>": ["a", {"a": 1}, None, [1], ["a", None], {"a"}, iter(["a"])],
    "list<int>": [["x"], [True], [1, 1.5], "12", 12],
    "map<string>": [[], "a", None, {"k": 1}, {1: "a"}, {None: "a"}, [("k", "a")]],
    "map<int>": [{"k": "x"}, {"k": True}, {"k": None}],
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_value_of_a_wrong_type_is_refused_wherever_it_comes_from(kind: str) -> None:
    engine = typed(kind, "v == v")
    for value in REFUSED[kind]:
        assert ask(engine, "user:a", "viewer", "doc:1", {"v": value}) == "invalid_context", value
        revision = engine.revision
        with pytest.raises(RequestError) as caught:
            engine.write([Tuple("user:a", "viewer", "doc:2", "c", {"v": value})])
        assert (caught.value.code, caught.value.index) == ("invalid_context", 0), value
        with pytest.raises(RequestError) as caught:
            engine.check("user:b", "viewer", "doc:9", contextual_tuples=[Tuple("user:a", "viewer", "doc:2", "c", {"v": value})])
        assert caught.value.code == "invalid_contextual_tuple", value
        assert engine.revision == revision
        assert engine.stats().tuples == 1
    assert ask(engine, "user:a", "viewer", "doc:1", None) == "context_missing"


@pytest.mark.parametrize(
    ("kind", "expression", "value"),
    [
        ("int", "v + 1 > 0", 2**63 - 1),
        ("int", "v - 1 < 0", -(2**63)),
        ("int", "v * v > 0", 2**40),
        ("int", "-v > 0", -(2**63)),
        ("int", "1 / v > 0", 0),
        ("int", "1 % v > 0", 0),
        ("int", "v / -1 > 0", -(2**63)),
        ("uint", "v - 1u > 0u", 0),
        ("uint", "v + 1u >= 0u", 2**64 - 1),
        ("list<int>", "v[0] == 1", []),
        ("list<int>", "v[3] == 1", [1, 1, 1]),
        ("list<int>", "v[-1] == 1", [1]),
        ("map<string>", "v['k'] == 'a'", {"K": "a"}),
        ("map<string>", "v.k == 'a'", {}),
        ("string", "int(v) > 0", "one"),
        ("string", "timestamp(v) > timestamp('2024-01-01T00:00:00Z')", "soon"),
        ("string", "duration(v) > duration('1s')", "long"),
        ("string", "ipaddress(v).in_cidr('0.0.0.0/0')", "nowhere"),
        ("string", "ipaddress('1.2.3.4').in_cidr(v)", "1.2.3.4/33"),
        ("string", "ipaddress('1.2.3.4').in_cidr(v)", ""),
        ("string", "'a'.matches(v)", "("),
        ("timestamp", "v + duration('24h') > v", "9999-12-31T12:00:00Z"),
    ],
)
def test_an_expression_that_fails_is_an_error_and_neither_yes_nor_no(kind: str, expression: str, value: Any) -> None:
    engine = typed(kind, expression)
    assert ask(engine, "user:a", "viewer", "doc:1", {"v": value}) == "condition_failed"
    engine.write([Tuple("user:a", "viewer", "doc:2", "c", {"v": value})])
    assert ask(engine, "user:a", "viewer", "doc:2") == "condition_failed"
    assert ask(engine, "user:b", "viewer", "doc:2") is False


def test_logic_inside_an_expression_absorbs_its_failures_as_cel_does() -> None:
    for expression, answers in {
        "1 / v > 0 || v == 0": {0: True, 1: True, 2: False},
        "v == 0 || 1 / v > 0": {0: True, 1: True, 2: False},
        "1 / v > 0 && v != 0": {0: False, 1: True, 2: False},
        "v != 0 && 1 / v > 0": {0: False, 1: True, 2: False},
        "v == 0 ? false : 1 / v > 0": {0: False, 1: True, 2: False},
        "[1, 0, 2].exists(e, v / e > 1)": {2: True, 0: "condition_failed", 4: True},
        "[1, 0, 2].all(e, v / e > 1)": {1: False, 4: "condition_failed"},
    }.items():
        engine = typed("int", expression)
        for value, answer in answers.items():
            assert ask(engine, "user:a", "viewer", "doc:1", {"v": value}) == answer, (expression, value)


# A model that changes


def changing(restrictions: str, *conditions: str) -> str:
    types = "type user\ntype group\n  relations\n    define member: [user]\ntype doc\n  relations\n    define viewer: "
    return "\n".join(["model\n  schema 1.1", types + restrictions, *(f"condition {condition}" for condition in conditions)])


def test_a_model_that_changes_its_conditions() -> None:
    engine = fgacore.open(":memory:")
    first = engine.write_model(changing("[user with low]", "low(x: int) {\n  x < 10\n}"))
    engine.write([Tuple("user:bare", "viewer", "doc:1", "low"), Tuple("user:own", "viewer", "doc:1", "low", {"x": 5})])

    def answers(context: dict[str, Any] | None, model_id: str | None = None) -> tuple[Answer, Answer]:
        return ask(engine, "user:bare", "viewer", "doc:1", context, model_id), ask(engine, "user:own", "viewer", "doc:1", context, model_id)

    def still_the_first() -> None:
        assert answers({"x": 10}, first) == (False, True)
        assert answers(None, first) == ("context_missing", True)

    still_the_first()
    engine.write_model(changing("[user with other]", "other(x: int) {\n  x < 10\n}"))  # renamed: tuples of the old name count no more
    assert answers({"x": 1}) == (False, False)
    assert answers(None) == (False, False)
    still_the_first()
    engine.write_model(changing("[user with low]", "low(x: string) {\n  x == 'a'\n}"))  # another type: the stored value is wrong now
    assert answers({"x": "a"}) == (True, "invalid_context")
    assert answers({"x": 3}) == ("invalid_context", "invalid_context")
    still_the_first()
    engine.write_model(changing("[user with low]", "low(y: int) {\n  y < 10\n}"))  # the parameter is gone: its stored value is ignored
    assert answers({"x": 1}) == ("context_missing", "context_missing")
    assert answers({"y": 1}) == (True, True)
    assert answers({"y": 11}) == (False, False)
    engine.write_model(changing("[user with low]", "low(x: int, y: int) {\n  x < y\n}"))  # one more
    assert answers({"y": 6, "x": 6}) == (False, True)
    assert answers({"x": 1}) == ("context_missing", "context_missing")
    engine.write_model(changing("[user with low]", "low(x: int) {\n  x >= 10\n}"))  # another expression under the same name
    assert answers({"x": 10}) == (True, False)
    still_the_first()
    engine.write_model(changing("[user]"))  # no condition at all: a conditioned tuple is not admitted
    assert answers({"x": 1}) == (False, False)
    assert answers(None) == (False, False)
    engine.write_model(changing("[group#member, user:* with low]", "low(x: int) {\n  x < 10\n}"))  # the condition, but for wildcards only
    assert answers({"x": 1}) == (False, False)
    engine.write_model(changing("[user, user with low]", "low(x: double) {\n  x < 5.5\n}"))  # 5 is a double too
    assert answers({"x": 5.7}) == (False, True)
    still_the_first()
    assert {(found.subject, found.condition) for found in engine.read()} == {("user:bare", "low"), ("user:own", "low")}


def test_a_plain_tuple_under_a_model_that_now_wants_a_condition() -> None:
    engine = fgacore.open(":memory:")
    first = engine.write_model(changing("[user, user:*]"))
    engine.write([("user:a", "viewer", "doc:1"), ("user:*", "viewer", "doc:2")])
    engine.write_model(changing("[user with low, user:* with low]", "low(x: int) {\n  x < 10\n}"))
    for context in (None, {"x": 1}, {"x": 11}):
        assert ask(engine, "user:a", "viewer", "doc:1", context) is False
        assert ask(engine, "user:a", "viewer", "doc:2", context) is False
        assert ask(engine, "user:a", "viewer", "doc:1", context, first) is True
        assert ask(engine, "user:b", "viewer", "doc:2", context, first) is True
    engine.write([Tuple("user:*", "viewer", "doc:2", "low")], on_duplicate="replace")
    assert ask(engine, "user:b", "viewer", "doc:2", {"x": 1}) is True
    assert ask(engine, "user:b", "viewer", "doc:2", {"x": 1}, first) is False


def test_what_a_write_may_say_of_conditions() -> None:
    engine = made()
    for fact, codes in [
        (("user:a", "direct", "doc:1"), {"invalid_tuple"}),  # the condition is missing
        (Tuple("user:a", "direct", "doc:1", "named"), {"invalid_tuple"}),  # another than the restriction names
        (Tuple("user:a", "wild", "doc:1", "low"), {"invalid_tuple"}),  # conditioned for wildcards, not for users
        (("user:*", "wild", "doc:1"), {"invalid_tuple"}),
        (Tuple("user:*", "wild", "doc:1", "named"), {"invalid_tuple"}),
        (Tuple("group:g#member", "set", "doc:1"), {"invalid_tuple"}),
        (Tuple("folder:f", "parent", "doc:1"), {"invalid_tuple"}),
        (Tuple("doc:2", "parent", "doc:1", "low"), {"invalid_tuple"}),
        (Tuple("user:a", "direct", "doc:1", "lower"), {"condition_not_found"}),
        (Tuple("user:a", "direct", "doc:1", "Low"), {"condition_not_found"}),
        (Tuple("user:a", "direct", "doc:1", "low "), {"condition_not_found", "invalid_tuple"}),
        (Tuple("user:a", "direct", "doc:1", "low\0"), {"condition_not_found", "invalid_tuple"}),
        (Tuple("user:a", "direct", "doc:1", "\ud800"), {"condition_not_found", "invalid_tuple"}),
        (Tuple("user:a", "direct", "doc:1", ""), {"condition_not_found", "invalid_tuple"}),
        (Tuple("user:a", "direct", "doc:1", 7), {"condition_not_found", "invalid_tuple", "invalid_request"}),  # type: ignore[arg-type]
        (Tuple("user:a", "direct", "doc:1", b"low"), {"condition_not_found", "invalid_tuple", "invalid_request"}),  # type: ignore[arg-type]
        (Tuple("user:a", "direct", "doc:1", "low", {"y": 1}), {"invalid_context"}),
        (Tuple("user:a", "direct", "doc:1", "low", {"x": 1, "y": 1}), {"invalid_context"}),
        (Tuple("user:a", "direct", "doc:1", "low", {1: 1}), {"invalid_context"}),  # type: ignore[dict-item]
        (Tuple("user:a", "direct", "doc:1", "low", [("x", 1)]), {"invalid_context"}),  # type: ignore[arg-type]
        (Tuple("user:a", "direct", "doc:1", "low", "x"), {"invalid_context"}),  # type: ignore[arg-type]
        (Tuple("user:a", "both", "doc:1", None, {"x": 1}), {"invalid_context", "invalid_tuple"}),  # a context of no condition
    ]:
        with pytest.raises(RequestError) as caught:
            engine.write([("user:a", "member", "group:g"), fact])
        assert caught.value.code in codes, (fact, caught.value.code)
        assert caught.value.index == 1, fact
        with pytest.raises(RequestError) as caught:
            engine.check("user:a", "viewer", "doc:1", contextual_tuples=[("user:a", "member", "group:g"), fact])
        assert caught.value.code == "invalid_contextual_tuple", fact
    assert engine.stats().tuples == 0
    assert engine.stats().names == 0
