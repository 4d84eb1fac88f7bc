"""What is remembered must never answer another question: another context, contextual tuple, model, revision, instant or subject.

Each accident that is known from other engines has its test, by its CVE of OpenFGA where it has one.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import pytest

import fgacore
from fgacore import FgaError, Question, RequestError, Tuple

Answer = bool | str

MODEL = """
model
  schema 1.1
type user
type group
  relations
    define member: [user, user with low, group#member, group#member with low]
type doc
  relations
    define parent: [doc, doc with low]
    define reader: [user, user:*, user with low, user:* with low, user with word, group#member, group#member with low]
    define barred: [user, user with low]
    define viewer: reader or viewer from parent
    define can: viewer but not barred
condition low(x: int) {
  x < 10
}
condition word(a: string, b: string) {
  a == "x" && b == "y"
}
"""
KEY = ("user:a", "reader", "doc:1")


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_000

    def __call__(self) -> int:
        return self.seconds

    def after(self, seconds: int) -> datetime:
        return datetime.fromtimestamp(self.seconds + seconds, UTC)


def made(*facts: Any, model: str = MODEL) -> fgacore.Engine:
    engine = fgacore.open(":memory:")
    engine.write_model(model)
    if facts:
        engine.write(facts)
    return engine


def outcome(call: Callable[[], Any]) -> Answer:
    try:
        return bool(call())
    except FgaError as error:
        return error.code


def each(result: fgacore.BatchResult) -> list[Answer]:
    return [result.errors[index].code if index in result.errors else result[index] for index in range(len(result))]


# Every combination of subject, context, contextual tuple, model and state, in a thousand orders

CONTEXTS: list[dict[str, Any] | None] = [None, {}, {"x": 1}, {"x": 11}, {"x": "1"}, {"x": "bad"}, {"y": 1}, {"x": 10, "y": 1}, {"x": 9.0}]
FORMS: dict[str, tuple[Any, ...]] = {"plain": (), "bare": ("low",), "one": ("low", {"x": 1}), "eleven": ("low", {"x": 11})}
MODELS = {
    "low": MODEL,
    "high": MODEL.replace("x < 10", "x >= 10"),
    "without": MODEL.replace("define reader: [user, user:*, user with low,", "define reader: [user,"),
}
OVERLAYS: dict[str, list[Any]] = {
    "nothing": [],
    **{form: [Tuple(*KEY, *rest)] for form, rest in FORMS.items()},
    "barred": [("user:a", "barred", "doc:1")],
    "barred if low": [Tuple("user:a", "barred", "doc:1", "low")],
    "somebody else's": [("user:b", "barred", "doc:1"), ("user:b", "reader", "doc:1"), ("user:new", "reader", "doc:1")],
}


def value(model: str, form: str | None, context: dict[str, Any] | None) -> Answer:
    """What the form of the one tuple makes of the question, by hand."""
    if form is None:
        return False
    if form == "plain":
        return True
    x = FORMS[form][1]["x"] if len(FORMS[form]) > 1 else (context or {}).get("x")
    if x is None:
        return "context_missing"
    if x == "bad":
        return "invalid_context"
    return (int(x) < 10) is (model != "high")


def wanted(model: str, stored: str | None, overlay: str, context: dict[str, Any] | None) -> Answer:
    form = overlay if overlay in FORMS else stored
    base = False if model == "without" and form not in (None, "plain") else value(model, form, context)
    subtract = True if overlay == "barred" else value(model, "bare", context) if overlay == "barred if low" else False
    if base is False or subtract is True:
        return False
    return next((part for part in (base, subtract) if isinstance(part, str)), True)


def fits(model: str, overlay: str) -> bool:
    return model != "without" or overlay in ("nothing", "plain", "barred", "somebody else's", "barred if low")


ASKED = [(model, overlay, number) for model in MODELS for overlay in OVERLAYS for number in range(len(CONTEXTS)) if fits(model, overlay)]


@pytest.mark.parametrize("seed", range(4))
def test_no_answer_depends_on_what_was_asked_before(seed: int) -> None:
    """A walk over states and questions: after every write, expiry and model, all in one order after the other."""
    generator = random.Random(seed)
    clock = Clock()
    engine = fgacore.open(":memory:", clock=clock)
    ids = {name: engine.write_model(text) for name, text in MODELS.items()}
    engine.write_model(MODEL)
    engine.write([("user:z", "reader", "doc:1"), ("user:a", "reader", "doc:z")])
    stored: str | None = None
    for _ in range(40):
        before, stored = stored, generator.choice([None, *FORMS])
        how = generator.randrange(3)
        if stored is not None:
            expiry = clock.after(100) if how == 2 else None
            engine.write([Tuple(*KEY, *(*FORMS[stored], None, None)[:2], expires_at=expiry)], on_duplicate="replace")
        elif how == 0 or before is None:
            engine.write(deletes=[KEY], on_missing="ignore")
        else:
            engine.write([Tuple(*KEY, *(*FORMS[before], None, None)[:2], expires_at=clock.after(5))], on_duplicate="replace")
            assert outcome(lambda: engine.check("user:a", "can", "doc:1")) == wanted("low", before, "nothing", None)
            clock.seconds += 5
        asked = generator.sample(ASKED, 60)
        for model, overlay, number in asked[:25]:
            context, given = CONTEXTS[number], OVERLAYS[overlay]
            want = wanted(model, stored, overlay, context)
            got = outcome(lambda m=ids[model], c=context, g=given: engine.check("user:a", "can", "doc:1", context=c, contextual_tuples=g, model_id=m))
            assert got == want, (model, stored, overlay, context)
            assert engine.check("user:z", "can", "doc:1", context=context, contextual_tuples=given, model_id=ids[model]) is True
        for model in MODELS:
            mixed = [item for item in asked if item[0] == model]
            questions = [Question("user:a", "can", "doc:1", context=CONTEXTS[n], contextual_tuples=OVERLAYS[o]) for _, o, n in mixed]
            woven: list[Any] = [question for pair in zip(questions, itertools.repeat(("user:z", "can", "doc:1"))) for question in pair]
            got_all = each(engine.batch_check(woven, model_id=ids[model]))
            assert got_all[1::2] == [True] * len(mixed)
            assert got_all[::2] == [wanted(model, stored, o, CONTEXTS[n]) for _, o, n in mixed], (model, stored)
        if stored is not None and how == 2:
            clock.seconds += 100
            assert engine.check("user:a", "can", "doc:1", context={"x": 1}) is False
            stored = None


def test_one_question_a_thousand_times_under_contexts_in_turn() -> None:
    engine = made(Tuple(*KEY, "low"), Tuple("user:b", "member", "group:g", "low"), ("group:g#member", "reader", "doc:2"))
    generator = random.Random(5)
    for subject, name in (("user:a", "doc:1"), ("user:b", "doc:2")):
        for _ in range(1_000):
            context = generator.choice(CONTEXTS)
            assert outcome(lambda s=subject, n=name, c=context: engine.check(s, "can", n, context=c)) == wanted("low", "bare", "nothing", context)


def test_one_model_after_the_other_a_thousand_times() -> None:
    engine = fgacore.open(":memory:")
    ids = [engine.write_model(MODELS[name]) for name in ("low", "high", "low", "without")]
    engine.write([Tuple(*KEY, "low", {"x": 1})], model_id=ids[0])
    generator = random.Random(9)
    for _ in range(1_000):
        number = generator.randrange(4)
        assert engine.check("user:a", "can", "doc:1", model_id=ids[number]) is (True, False, True, False)[number]


def test_every_order_of_a_few_questions() -> None:
    contexts: list[Any] = [None, {"x": 1}, {"x": 11}, {"x": "bad"}]
    for order in itertools.permutations(range(4)):
        engine = made(Tuple("user:a", "member", "group:g", "low"), ("group:g#member", "reader", "doc:0"), ("doc:0", "parent", "doc:1"))
        for number in order * 2:
            context = contexts[number]
            assert outcome(lambda e=engine, c=context: e.check("user:a", "can", "doc:1", context=c)) == wanted("low", "bare", "nothing", context)


# Contexts that look alike


def any_model(expression: str, kind: str = "TYPE_NAME_ANY") -> dict[str, Any]:
    """A model in JSON, since the DSL has no `any`: viewer: [user with same]."""
    parameters = {"left": {"type_name": kind}, "right": {"type_name": kind}}
    return {
        "schema_version": "1.1",
        "type_definitions": [
            {"type": "user"},
            {
                "type": "doc",
                "relations": {"viewer": {"this": {}}},
                "metadata": {"relations": {"viewer": {"directly_related_user_types": [{"type": "user", "condition": "same"}]}}},
            },
        ],
        "conditions": {"same": {"name": "same", "expression": expression, "parameters": parameters}},
    }


LOOKALIKES: list[list[Any]] = [  # values that Python finds equal, or that print alike, and CEL does not
    [1, True, "1", "True", [1], {"k": 1}, "1.0"],
    [0, False, "", None, [], {}, "0", "None", "[]", "{}"],
    [[1], [True], ["1"], [[1]], [1, 1], {"k": [1]}],
    [{"k": 1}, {"k": True}, {"k": "1"}, {"k": [1]}, {"K": 1}, {"k": 1, "l": 1}, {"k": {"k": 1}}],
    ["ab", "a b", "a,b", "a\nb", "ab ", "AB", "a\u0301b", "\u00e1b", ["a", "b"], ["ab"], ["a,b"]],
]


@pytest.mark.parametrize("values", LOOKALIKES, ids=repr)
def test_values_that_look_alike_are_told_apart(values: list[Any]) -> None:
    engine = fgacore.open(":memory:")
    engine.write_model(any_model("left == right"))
    numbered = list(enumerate(values))
    engine.write([Tuple("user:a", "viewer", f"doc:{i}", "same", {"left": left}) for i, left in numbered])
    for i, right in [*numbered, *reversed(numbered)]:
        answers = engine.check_objects("user:a", "viewer", [f"doc:{j}" for j, _ in numbered], context={"right": right})
        assert answers == [i == j for j, _ in numbered], right
    pairs = list(itertools.product(numbered, repeat=2))
    random.Random(3).shuffle(pairs)
    result = engine.batch_check([Question("user:a", "viewer", f"doc:{i}", context={"right": right}) for (i, _), (_, right) in pairs])
    assert each(result) == [i == j for (i, _), (j, _) in pairs]
    for i, left in numbered:
        for j, other in numbered:
            fact = Tuple("user:a", "viewer", f"doc:{i}", "same", {"left": other})
            if i == j:
                engine.write([fact], on_duplicate="ignore")
                continue
            with pytest.raises(RequestError) as caught:
                engine.write([fact], on_duplicate="ignore")
            assert caught.value.code == "tuple_differs", (left, other)


def test_the_zeros_are_two() -> None:
    """0.0 and -0.0 are equal and hash alike, and 1 divided by them is not the same."""
    engine = fgacore.open(":memory:")
    engine.write_model(any_model("left / right > 0.0", "TYPE_NAME_DOUBLE"))
    signs = [0.0, -0.0, 0.0, -0.0, -0.0, 0.0]
    engine.write([Tuple("user:a", "viewer", f"doc:{i}", "same", {"left": 1.0, "right": zero}) for i, zero in enumerate(signs)])
    wanted_all = [str(zero) == "0.0" for zero in signs]
    assert engine.check_objects("user:a", "viewer", [f"doc:{i}" for i in range(6)]) == wanted_all
    for _ in range(3):
        assert [engine.check("user:a", "viewer", f"doc:{i}") for i in range(6)] == wanted_all
    engine.write([Tuple("user:b", "viewer", "doc:1", "same", {"left": 1.0})])
    questions = [Question("user:b", "viewer", "doc:1", context={"right": zero}) for zero in signs * 20]
    assert each(engine.batch_check(questions)) == wanted_all * 20


def test_a_context_whose_text_holds_delimiters() -> None:
    """CVE-2026-33729: keys of a cache that were joined from parts, so that two contexts had one key."""
    engine = made(Tuple(*KEY, "word"))
    good = {"a": "x", "b": "y"}
    joined = ['x","b":"y', "x b:y", "x,b=y", "x/b:y", "x|y", "x\x1fy", "x'b'y", "x\ny", "xy", "x ", "", "x" * 1_000, "x\u200b", "\ufeffx"]
    tricky: list[dict[str, Any]] = [
        *({"a": text, "b": "y"} for text in joined),
        *({"a": "x", "b": text} for text in joined),
        *({"a": text} for text in joined),
        {"ab": "xy"},
        {"a": "y", "b": "x"},
        {"a b": "x", "b": "y"},
        {"a": "x", "B": "y"},
    ]
    for context in tricky:
        want = False if context.keys() >= {"a", "b"} else "context_missing"
        for one in (context, good, context):
            got = outcome(lambda c=one: engine.check(*KEY, context=c))
            assert got == (True if one is good else want), one
    questions = [Question(*KEY, context=context) for pair in zip(tricky, itertools.repeat(good)) for context in pair]
    got_all = each(engine.batch_check(questions))
    assert got_all[1::2] == [True] * len(tricky)
    assert True not in got_all[::2]


def test_the_order_of_keys_and_the_kind_of_mapping_do_not_matter() -> None:
    engine = made(Tuple(*KEY, "word"))
    for context in (
        {"a": "x", "b": "y"},
        {"b": "y", "a": "x"},
        OrderedDict(b="y", a="x"),
        MappingProxyType({"a": "x", "b": "y"}),
        {"b": "y", "c": 1, "a": "x"},
    ):
        assert engine.check(*KEY, context=context) is True
        assert engine.check(*KEY, context={**context, "a": "y"}) is False


# Identity is no key: objects that change, and objects that take the place of others


def test_a_context_that_changes_between_calls_is_read_again() -> None:
    engine = made(Tuple(*KEY, "low"))
    context: dict[str, Any] = {}
    own: dict[str, Any] = {"x": 1}
    given = [Tuple("user:n", "reader", "doc:n", "low", own)]
    question = Question(*KEY, context=context)
    for x, want in ((1, True), (11, False), (2, True), (12, False)) * 20:
        context["x"] = own["x"] = x
        assert engine.check(*KEY, context=context) is want
        assert list(engine.batch_check([question])) == [want]
        assert list(engine.batch_check([KEY] * 100, context=context)) == [want] * 100
        assert engine.check("user:n", "can", "doc:n", contextual_tuples=given) is want
    context.clear()
    assert outcome(lambda: engine.check(*KEY, context=context)) == "context_missing"


def test_contextual_tuples_that_change_between_calls_are_read_again() -> None:
    engine = made(("user:s", "reader", "doc:s"))
    given: list[Any] = []
    question = Question("user:n", "can", "doc:n", contextual_tuples=given)
    forms: list[list[Any]] = [
        [("user:n", "reader", "doc:n")],
        [("user:n", "reader", "doc:m")],
        [("user:n", "member", "group:n"), ("group:n#member", "reader", "doc:n")],
        [("user:n", "member", "group:m"), ("group:n#member", "reader", "doc:n")],
        [("user:*", "reader", "doc:n")],
        [],
    ]
    for form, want in zip(forms * 10, [True, False] * 30, strict=True):
        given[:] = form
        assert engine.check("user:n", "can", "doc:n", contextual_tuples=given) is want
        assert list(engine.batch_check([question])) == [want]
        assert engine.check("user:n", "can", "doc:n") is False


def test_contexts_and_tuples_that_take_each_others_address() -> None:
    """Each item's context dies when the next is made, and the next is likely to lie where it lay."""
    engine = made(Tuple(*KEY, "low"))

    def questions() -> Iterator[Question]:
        for i in range(2_000):
            yield Question(*KEY, context={"x": i % 20})

    def overlays() -> Iterator[Question]:
        for i in range(2_000):
            yield Question("user:n", "can", "doc:n", contextual_tuples=[Tuple("user:n", "reader", "doc:n", "low", {"x": i % 20})])

    try:
        result = engine.batch_check(questions())  # type: ignore[arg-type]
    except RequestError:  # not a list: then a list of items that die one by one is as good
        result = engine.batch_check(list(questions()))
    assert list(result) == [i % 20 < 10 for i in range(2_000)]
    assert list(engine.batch_check(list(overlays()))) == [i % 20 < 10 for i in range(2_000)]
    for i in range(2_000):
        assert engine.check(*KEY, context={"x": i % 20}) is (i % 20 < 10)
        assert engine.check("user:n", "can", "doc:n", contextual_tuples=[Tuple("user:n", "reader", "doc:n", "low", {"x": i % 20})]) is (i % 20 < 10)


# After errors, writes and expiries


class Breaking(dict[str, Any]):
    """A mapping that breaks off in the middle, whichever way it is read."""

    def _break(self, *_: object) -> Any:
        raise KeyboardInterrupt

    __getitem__ = __iter__ = get = keys = values = items = __len__ = __contains__ = _break


def test_a_call_that_fails_leaves_nothing_behind() -> None:
    engine = made(Tuple(*KEY, "low"), Tuple("user:a", "member", "group:g", "low"), ("group:g#member", "reader", "doc:2"))
    failing: list[Callable[[], object]] = [
        lambda: engine.check(*KEY, context={"x": "bad"}),
        lambda: engine.check(*KEY),
        lambda: engine.check(*KEY, context=Breaking(x=1)),
        lambda: engine.check(*KEY, contextual_tuples=[("user:a", "reader", "doc:1"), ("user:a", "reader")]),  # type: ignore[list-item]
        lambda: engine.check("user:a", "can", "doc:2", context={"x": float("nan")}),
        lambda: engine.check_objects("user:a", "can", ["doc:1", "doc:2", "doc"], context={"x": 1}),
        lambda: engine.check_objects("user:a", "can", ["doc:1", "doc:2"]),
        lambda: engine.batch_check([KEY, KEY], context=Breaking(x=1)),
    ]
    for _ in range(3):
        for call in failing:
            with contextlib.suppress(FgaError, KeyboardInterrupt):
                call()
            for name in ("doc:1", "doc:2"):
                assert engine.check("user:a", "can", name, context={"x": 11}) is False
                assert engine.check("user:a", "can", name, context={"x": 1}) is True
                assert outcome(lambda n=name: engine.check("user:a", "can", n)) == "context_missing"


def test_every_write_about_a_condition_is_seen_at_once() -> None:
    engine = made(("user:a", "member", "group:g"), ("user:a", "reader", "doc:0"))
    places = [KEY, ("user:*", "reader", "doc:1"), ("group:g#member", "reader", "doc:1"), ("doc:0", "parent", "doc:1")]
    for place in places * 3:
        for form in ("bare", "one", "eleven", "plain", "bare", "eleven", "one"):
            engine.write([Tuple(*place, *FORMS[form])], on_duplicate="replace")
            for context in CONTEXTS:
                want = wanted("low", form, "nothing", context)
                assert outcome(lambda c=context: engine.check("user:a", "can", "doc:1", context=c)) == want, (place, form, context)
        engine.write(deletes=[place])
        assert engine.check("user:a", "can", "doc:1") is False


def test_membership_under_a_condition_is_not_remembered_as_membership() -> None:
    """The closure of a subject is the same for all contexts only where no condition is in it."""
    engine = made(
        Tuple("user:a", "member", "group:0", "low"),
        *(Tuple(f"group:{i}#member", "member", f"group:{i + 1}", *(("low",) if i % 2 else ())) for i in range(10)),
        *((f"group:{i}#member", "reader", f"doc:{i}") for i in range(11)),
        ("user:b", "member", "group:0"),
    )
    objects = [f"doc:{i}" for i in range(11)]
    for x in (1, 11, 1, 11, 5, 50) * 5:
        assert engine.check_objects("user:a", "can", objects, context={"x": x}) == [x < 10] * 11
        assert engine.check_objects("user:b", "can", objects, context={"x": x}) == [True, True] + [x < 10] * 9
    assert [outcome(lambda n=name: engine.check("user:b", "can", n)) for name in objects] == [True, True] + ["context_missing"] * 9


def test_subjects_do_not_share_what_is_theirs() -> None:
    engine = made(*(Tuple(f"user:{i}", "member", "group:g", "low", {"x": i}) for i in range(20)), ("group:g#member", "reader", "doc:1"))
    order = list(range(20)) * 10
    random.Random(1).shuffle(order)
    assert list(engine.batch_check([(f"user:{i}", "can", "doc:1") for i in order])) == [i < 10 for i in order]
    for i in order:
        assert engine.check(f"user:{i}", "can", "doc:1", context={"x": 30 - i}) is (i < 10)


# Named accidents


def test_a_cut_cycle_is_not_remembered() -> None:
    """CVE-2025-46331: an answer that a cycle cut short was cached as final."""
    ring = [Tuple(f"group:{i}#member", "member", f"group:{(i + 1) % 4}", *(("low",) if i == 2 else ())) for i in range(4)]
    for order in itertools.permutations(range(4)):
        engine = made(*ring, ("user:a", "member", "group:0"))
        for number in order:
            assert engine.check("user:a", "member", f"group:{number}", context={"x": 11}) is (number < 3)
            assert engine.check("user:a", "member", f"group:{number}", context={"x": 1}) is True
            assert outcome(lambda e=engine, n=number: e.check("user:a", "member", f"group:{n}")) == (True if number < 3 else "context_missing")
        overlay = [Tuple("user:a", "member", "group:0", "low", {"x": 11}), ("user:a", "member", "group:3")]
        for number in order:
            assert engine.check("user:a", "member", f"group:{number}", context={"x": 11}, contextual_tuples=overlay) is (number < 3 or number == 3)


def test_a_restriction_by_type_holds_for_contextual_tuples_and_old_ones() -> None:
    """CVE-2025-48371 and CVE-2025-64751: a wildcard or a tuple of another restriction counted where it was not admitted."""
    engine = fgacore.open(":memory:")
    old = engine.write_model("model\n  schema 1.1\ntype user\ntype doc\n  relations\n    define viewer: [user, user:*]\n")
    engine.write([("user:*", "viewer", "doc:1"), ("user:a", "viewer", "doc:2")])
    restrictions = {"user": (False, True), "user:* with low": (False, False), "user with low": (False, False), "user, user:* with low": (False, True)}
    for restriction, answers in restrictions.items():
        text = "model\n  schema 1.1\ntype user\ntype doc\n  relations\n    define viewer: [{}]\ncondition low(x: int) {{\n  x < 10\n}}\n"
        engine.write_model(text.format(restriction))
        for context in (None, {"x": 1}):
            assert [engine.check("user:a", "viewer", name, context=context) for name in ("doc:1", "doc:2")] == list(answers), restriction
        code = outcome(lambda: engine.check("user:a", "viewer", "doc:1", context={"x": 1}, contextual_tuples=[("user:*", "viewer", "doc:1")]))
        assert code == "invalid_contextual_tuple", restriction
        assert engine.check("user:b", "viewer", "doc:1", model_id=old) is True


def test_ids_that_differ_in_case_are_different() -> None:
    """CVE-2026-55170."""
    engine = made(Tuple("user:Anne", "reader", "doc:One", "low", {"x": 1}), ("user:s", "reader", "doc:s"))
    for subject, name in itertools.product(("user:Anne", "user:anne", "user:ANNE"), ("doc:One", "doc:one")):
        assert engine.check(subject, "can", name) is ((subject, name) == ("user:Anne", "doc:One"))
        assert engine.check("user:new", "can", name, contextual_tuples=[("user:New", "reader", name)]) is False


def test_the_same_tuple_in_one_batch_under_other_contexts() -> None:
    """CVE-2026-34972: items of one batch with the same tuple took each other's answers."""
    engine = made(Tuple(*KEY, "low"))
    xs = [random.Random(4).randrange(20) for _ in range(1_000)]
    assert list(engine.batch_check([Question(*KEY, context={"x": x}) for x in xs])) == [x < 10 for x in xs]
    barred = [[("user:a", "barred", "doc:1")] if x % 2 else [] for x in xs]
    questions = [Question("user:a", "can", "doc:1", context={"x": x}, contextual_tuples=given) for x, given in zip(xs, barred, strict=True)]
    assert list(engine.batch_check(questions)) == [x < 10 and not x % 2 for x in xs]
    assert list(engine.batch_check(questions, context={"x": 100})) == [x < 10 and not x % 2 for x in xs]


def test_names_that_run_into_each_other() -> None:
    """Keys joined from type, id and relation without a border make two questions one."""
    model = "model\n  schema 1.1\ntype u\ntype uu\n" + "".join(
        f"type {name}\n  relations\n    define a: [u with low, uu with low]\n    define aa: [u with low, uu with low]\n" for name in ("d", "dd")
    )
    engine = made(Tuple("u:a", "a", "d:da", "low"), model=model + "condition low(x: int) {\n  x < 10\n}\n")
    questions = list(itertools.product(("u:a", "uu:a", "u:aa", "u:ua"), ("a", "aa"), ("d:da", "dd:a", "d:daa", "dd:da", "d:a")))
    for _ in range(2):
        answers = engine.batch_check(questions, context={"x": 1})
        assert [question for question, answer in zip(questions, answers, strict=True) if answer] == [("u:a", "a", "d:da")]


def test_engines_share_nothing() -> None:
    """Two stores with the same names, the same condition's name, other expressions and other facts."""
    low = made(Tuple(*KEY, "low"), ("user:b", "reader", "doc:1"))
    high = made(("user:filler", "reader", "doc:1"), Tuple(*KEY, "low"), model=MODELS["high"])
    for x in (1, 11, 5, 50) * 50:
        assert low.check(*KEY, context={"x": x}) is (x < 10)
        assert high.check(*KEY, context={"x": x}) is (x >= 10)
        assert (low.check("user:b", "can", "doc:1"), high.check("user:b", "can", "doc:1")) == (True, False)
    low.close()
    assert high.check(*KEY, context={"x": 11}) is True


def test_threads_with_contexts_of_their_own_never_cross() -> None:
    """One subject, one view, four contexts at once, beside writes that end the view."""
    engine = made(Tuple("user:a", "member", "group:g", "low"), ("group:g#member", "reader", "doc:1"), Tuple("user:a", "reader", "doc:2", "low"))
    contexts: list[Any] = [None, {"x": 1}, {"x": 11}, {"x": "bad"}]
    faults: list[Any] = []
    done = threading.Event()

    def ask(context: Any) -> None:
        want = wanted("low", "bare", "nothing", context)
        while not done.is_set():
            for name in ("doc:1", "doc:2"):
                got = outcome(lambda n=name: engine.check("user:a", "can", n, context=context))
                many = each(engine.batch_check([("user:a", "can", name)] * 70, context=context))
                if got != want or many != [want] * 70:
                    faults.append((context, name, got, set(many)))
                    return

    threads = [threading.Thread(target=ask, args=(context,)) for context in contexts]
    for thread in threads:
        thread.start()
    try:
        for number in range(200):
            engine.write([(f"user:w{number}", "member", "group:g"), ("user:a", "reader", f"doc:w{number}")])
            if number % 25 == 0:
                engine.write_model(MODEL)
    finally:
        done.set()
        for thread in threads:
            thread.join(60)
    assert not faults, faults[:3]


def test_a_moment_is_not_remembered_with_its_answers() -> None:
    """The same subject before and after an expiry in its group, at its parent and beside it, with the same context objects."""
    clock = Clock()
    engine = fgacore.open(":memory:", clock=clock)
    engine.write_model(MODEL)
    context = {"x": 1}
    for number in range(40):
        end = clock.after(10)
        place = [("user:a", "member", "group:g"), ("group:g#member", "reader", "doc:0"), ("doc:0", "parent", "doc:1")]
        facts = [Tuple(*fact, "low", None, end if i == number % 3 else None) for i, fact in enumerate(place)]
        engine.write(facts, on_duplicate="replace")
        for _ in range(3):
            assert engine.check("user:a", "can", "doc:1", context=context) is True
            assert engine.check("user:a", "can", "doc:1", context={"x": 11}) is False
        clock.seconds += 10
        for _ in range(3):
            assert engine.check("user:a", "can", "doc:1", context=context) is False
            assert engine.check("user:a", "can", "doc:1", context=context, contextual_tuples=[KEY]) is True
        if number % 4 == 0:
            engine.sweep()
