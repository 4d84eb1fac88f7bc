"""Texts that nobody writes by mistake: only ModelError and LimitError come out, in time that grows with the text and no faster."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgacore import language, limits
from fgacore.errors import LimitError, ModelError
from fgacore.language.model import Model
from fgacore.language.modules import read_module_list
from language.faults import HEADER, document

MODEL = (
    document("parent: [doc]", "a: [user, user:*, doc#a with late] or (a from parent and b)", "b: [user] but not a", "c: a or (b and (a or b))")
    + "condition late(hour: int, days: list<string>) {\n  hour > 20 && '}' in days # night\n}\n"
)
PIECES = (
    *"[](){}<>:*,#\"'\\ \t\n\r\0\ufeff\u2028é",
    "  ",
    "\n\n",
    "\ud800",
    "and",
    "or",
    "but not",
    "from",
    "with",
    "model",
    "schema",
    "1.1",
    "module",
    "type",
    "extend type",
)
PIECES += ("relations", "define", "condition", "user", "a", "list<int>", "int", "'''", '"""', 'r"', "//", "#", "/", "-", ".", "\x0b")
KEYS = (
    "schema_version",
    "type_definitions",
    "type",
    "relations",
    "metadata",
    "directly_related_user_types",
    "this",
    "union",
    "child",
    "computedUserset",
)
KEYS += (
    "tupleToUserset",
    "tupleset",
    "difference",
    "base",
    "subtract",
    "relation",
    "wildcard",
    "condition",
    "conditions",
    "parameters",
    "type_name",
    "x",
)

TEXTS = st.lists(st.sampled_from(PIECES), max_size=60).map("".join) | st.text(st.characters(), max_size=40)


def refusal(action: Callable[..., object], *arguments: object) -> ModelError | LimitError | None:
    """What a call refuses with; anything else that it raises fails the test."""
    try:
        action(*arguments)
    except (ModelError, LimitError) as error:
        return error
    return None


def harmless(action: Callable[..., object], *arguments: object) -> None:
    """Call; a refusal must say what is wrong, on one line, and how often at most."""
    error = refusal(action, *arguments)
    if isinstance(error, ModelError):
        assert 1 <= len(error.issues) <= limits.MODEL_ISSUES_MAX
        assert all(issue.message.isprintable() for issue in error.issues)
    elif error is not None:
        assert "_MAX" in error.message


def whole(text: str) -> None:
    harmless(language.parse, text)
    harmless(language.load, text)


@given(TEXTS)
def test_any_text_is_read_or_refused(text: str) -> None:
    whole(text)
    whole(HEADER + text)
    whole(document("a: " + text))
    whole(HEADER + "condition c(a: int) {" + text)


@given(st.integers(0, len(MODEL)), st.integers(0, 12), TEXTS)
def test_any_edit_of_a_model_is_read_or_refused(start: int, removed: int, inserted: str) -> None:
    whole(MODEL[:start] + inserted + MODEL[start + removed :])


@given(st.integers(0, len(MODEL)))
def test_any_beginning_of_a_model_is_read_or_refused(end: int) -> None:
    whole(MODEL[:end])


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=4) | st.sampled_from(["1.1", "user", "TYPE_NAME_INT"])
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4), max_leaves=20)
OBJECTS = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4)


@given(OBJECTS)
def test_any_json_is_read_or_refused(value: dict[str, Any]) -> None:
    harmless(language.from_json, value)
    harmless(language.from_json, json.dumps(value))
    harmless(language.load, value)


@given(st.data())
def test_any_edit_of_a_json_model_is_read_or_refused(data: st.DataObject) -> None:
    value: Any = json.loads(json.dumps(language.to_json(language.parse(MODEL))))
    node = value
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = data.draw(st.sampled_from(keys))
        inner = node[key]
        if not isinstance(inner, (dict, list)) or not inner or data.draw(st.integers(0, 4)) == 0:
            break
        node = inner
    action = data.draw(st.sampled_from(["replace", "remove", "add"]))
    if action == "replace":
        node[key] = data.draw(VALUES)
    elif action == "remove":
        del node[key]
    elif isinstance(node, dict):
        node[data.draw(st.sampled_from(KEYS))] = data.draw(VALUES)
    harmless(language.from_json, value)
    harmless(language.load, value)


@given(st.binary(max_size=60) | st.text(st.characters(), max_size=60))
def test_any_bytes_are_json_or_refused(source: str | bytes) -> None:
    harmless(language.from_json, source)


@given(
    TEXTS
    | st.lists(
        st.sampled_from(
            ["schema", "contents", ": ", "'1.2'", "\n", "- ", "a.fga", "[", "]", "{", "}", "&a ", "*a ", "? ", "!!str ", "---\n", "|", "  "]
        ),
        max_size=30,
    ).map("".join)
)
def test_any_module_list_is_read_or_refused(text: str) -> None:
    harmless(read_module_list, text)


# Each makes a text of about `size` characters.
SHAPES: dict[str, Callable[[int], str]] = {
    "new lines": lambda size: "\n" * size,
    "lines of blanks": lambda size: HEADER + " \n" * (size // 2),
    "blanks": lambda size: HEADER + " " * size,
    "comments": lambda size: HEADER + "#\n" * (size // 2),
    "one comment": lambda size: HEADER + "#" * size,
    "one word": lambda size: HEADER + "type " + "a-" * (size // 2),
    "one dotted word": lambda size: HEADER + "type " + "a." * (size // 2),
    "strange characters": lambda size: HEADER + "é" * (size // 2),
    "strange lines": lambda size: HEADER + "%\n" * (size // 2),
    "one union": lambda size: document("a: b" + " or b" * (size // 5)),
    "blanks after but": lambda size: document("a: but" + " " * size),
    "one intersection in parentheses": lambda size: document("a: (b" + " and b" * (size // 6)),
    "open parentheses": lambda size: document("a: " + "(" * size),
    "parentheses": lambda size: document("a: b" + " or (b)" * (size // 7)),
    "open list": lambda size: document("a: [" + "\n" * size),
    "faulty relations": lambda size: document(*["define"] * (size // 18)),
    "open conditions": lambda size: HEADER + "condition c(a: int) {\n" * (size // 22),
    "open strings": lambda size: HEADER + 'condition c(a: int) { """\n' * (size // 26),
    "open raw strings": lambda size: HEADER + "condition c(a: int) { r'\n" * (size // 25),
    "open comments": lambda size: HEADER + "condition c(a: int) {\n" + "#\n" * (size // 2),
    "braces": lambda size: HEADER + "condition c(a: int) {" + "{" * size,
    "backslashes": lambda size: HEADER + "condition c(a: int) { '" + "\\" * size,
    "parameters": lambda size: HEADER + "condition c(" + "a: int, " * (size // 8),
    "json lists": lambda size: '{"type_definitions": ' + "[" * size,
    "json objects": lambda size: '{"type_definitions": ' + '{"a":' * (size // 5),
    "json text": lambda size: '{"id": "' + "\\" * size,
    "json types": lambda size: '{"type_definitions": [' + "{}," * (size // 3) + "{}]}",
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_million_characters_of_one_shape_are_read_or_refused(shape: Callable[[int], str]) -> None:
    whole(shape(limits.MODEL_BYTES_MAX - 200))
    whole(shape(limits.MODEL_BYTES_MAX + 1_000))


def seconds(action: Callable[[], object]) -> float:
    """The least of several runs, in the time of this process: what others do on the machine counts little."""
    runs = []
    for _ in range(3):
        start = time.process_time()
        action()
        runs.append(time.process_time() - start)
    return min(runs)


def chain(count: int) -> str:
    """Every relation is computed from another, and reached through the same parents."""
    return document(
        "p: [doc]", "r0: [user]", *(f"r{n}: [user, doc#r{n - 1}] or r{n - 1} or (r{n * 7 % count} from p and r0)" for n in range(1, count))
    )


def chained(size: int) -> Model:
    return language.parse(chain(size))


GROWTH: dict[str, tuple[Callable[[int], Callable[[], object]], int]] = {
    "parse": (lambda size: partial(language.parse, chain(size)), 250),
    "validate": (lambda size: partial(language.validate, chained(size), strict=True), 250),
    "render": (lambda size: partial(language.render, chained(size)), 250),
    "from_json": (lambda size: partial(language.from_json, json.dumps(language.to_json(chained(size)))), 250),
    "one long line": (lambda size: partial(language.parse, document("a: b" + " or b" * size)), 4_000),
    "comments": (lambda size: partial(language.parse, HEADER + "# x\n" * size), 15_000),
    "faults": (lambda size: partial(refusal, language.parse, document("a: [" + "user,\n" * 9, *["x: x"] * size)), 1_000),
}


@pytest.mark.parametrize(("make", "size"), GROWTH.values(), ids=GROWTH)
def test_time_grows_as_the_text_does(make: Callable[[int], Callable[[], object]], size: int) -> None:
    """Eight times the text may cost eight times as much, and some; a square would cost sixty-four times."""
    assert seconds(make(8 * size)) < 24 * max(seconds(make(size)), 1e-4)


def test_work_is_bounded_where_a_wide_relation_is_reached_again_and_again() -> None:
    """A tupleset of many types costs its width once, not for each relation asked through it."""

    def wide(width: int) -> Callable[[], object]:
        types = "".join(f"type t{n}\n  relations\n    define a: [user]\n" for n in range(width))
        through = "".join(f"    define q{n}: a from p\n" for n in range(width))
        doc = f"type doc\n  relations\n    define p: [{', '.join(f't{n}' for n in range(width))}]\n"
        return partial(language.validate, language.parse(HEADER + types + doc + through))

    assert seconds(wide(800)) < 24 * max(seconds(wide(100)), 1e-4)
