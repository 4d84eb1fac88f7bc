"""The evaluator of conditions, operator by operator: what it says is what cel-expr-python 0.1.3 was seen to say.

tests/properties/test_expressions.py holds it to that library on random expressions; here are the corners, the bounds and the refusals.
"""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgacore.errors import LimitError, RequestError
from fgacore.kernel.program import OVERLOADS, Program
from fgacore.runtime.context import Parameters, evaluate

EXAMPLES = 40 if os.environ.get("FGACORE_SMALL") else 200

Code = tuple[Any, ...]
ERROR = "error"
INT_MAX, INT_MIN, UINT_MAX = 2**63 - 1, -(2**63), 2**64 - 1
ITERATIONS_MAX = 9_999  # the library's bound is 10,000, which it refuses

TYPES = {
    "i": ("int", None),
    "j": ("int", None),
    "u": ("uint", None),
    "v": ("uint", None),
    "d": ("double", None),
    "e": ("double", None),
    "s": ("string", None),
    "b": ("bool", None),
    "t": ("timestamp", None),
    "q": ("timestamp", None),
    "r": ("duration", None),
    "a": ("any", None),
    "c": ("any", None),
    "ip": ("ipaddress", None),
    "li": ("list", "int"),
    "la": ("list", "any"),
    "ls": ("list", "string"),
    "m": ("map", "int"),
    "ma": ("map", "any"),
}
DEFAULTS: dict[str, object] = {
    "i": 1,
    "j": 2,
    "u": 1,
    "v": 2,
    "d": 1.0,
    "e": 2.0,
    "s": "a",
    "b": True,
    "t": datetime(2020, 1, 1, tzinfo=UTC),
    "q": datetime(2021, 1, 1, tzinfo=UTC),
    "r": timedelta(hours=1),
    "a": 1,
    "c": 1,
    "ip": "10.1.2.3",
    "li": [1, 2],
    "la": [1],
    "ls": ["a"],
    "m": {"a": 1},
    "ma": {"a": 1},
}
PARAMETERS = Parameters([(name, *type) for name, type in TYPES.items()])
PARAM = {name: ("param", i) for i, name in enumerate(TYPES)}
TRUE, FALSE = ("const", "bool", True), ("const", "bool", False)
FAILS = ("call", "equals", ("call", "divide_int64", PARAM["i"], ("const", "int", 0)), ("const", "int", 1))


def num(value: int) -> Code:
    return ("const", "int", value)


def text(value: str) -> Code:
    return ("const", "string", value)


def span(seconds: int, nanos: int = 0) -> Code:
    return ("const", "duration", (seconds, nanos))


def moment(seconds: int, nanos: int = 0) -> Code:
    return ("const", "timestamp", (seconds, nanos))


FIRST, LAST = moment(-62135596800), moment(253402300799)


def call(overload: str, *operands: Code | str) -> Code:
    """A call; a plain str is a parameter."""
    return ("call", overload, *(PARAM[operand] if isinstance(operand, str) else operand for operand in operands))


def equals(a: Code | str, b: Code | str) -> Code:
    return call("equals", a, b)


def answer(code: Code, **values: object) -> bool | str:
    try:
        return evaluate(Program(code, len(TYPES)), PARAMETERS, DEFAULTS | values)
    except RequestError as error:
        return ERROR if error.code == "condition_failed" else error.code


def has_value(code: Code) -> Code:
    """True whatever the value of the code is, and an error where it has none."""
    return equals(code, code)


CASES: list[tuple[Code, dict[str, object], bool | str]] = [
    # NaN and doubles.
    (equals(call("divide_double", "d", "e"), call("divide_double", "d", "e")), {"d": 0.0, "e": 0.0}, False),
    (call("not_equals", call("divide_double", "d", "e"), "d"), {"d": 0.0, "e": 0.0}, True),
    (call("less_double", call("divide_double", "d", "e"), ("const", "double", 1.0)), {"d": 0.0, "e": 0.0}, False),
    (call("greater_equals_double", call("divide_double", "d", "e"), ("const", "double", 1.0)), {"d": 0.0, "e": 0.0}, False),
    (call("greater_double", call("divide_double", "d", "e"), ("const", "double", 1e308)), {"e": 0.0}, True),
    (call("in_list", call("divide_double", "d", "e"), ("list", call("divide_double", "d", "e"))), {"d": 0.0, "e": 0.0}, False),
    (equals(call("negate_double", "d"), "d"), {"d": 0.0}, True),
    # Numbers of different kinds.
    (equals("a", "c"), {"a": 1, "c": 1.0}, True),
    (equals("a", "c"), {"a": 1, "c": 1.5}, False),
    (equals("a", "c"), {"a": 2**53 + 1, "c": 2.0**53}, True),
    (equals("a", "c"), {"a": INT_MAX, "c": 2.0**63}, True),
    (equals("a", "c"), {"a": True, "c": 1}, False),
    (equals("a", "c"), {"a": "1", "c": 1}, False),
    (equals("a", "c"), {"a": None, "c": None}, True),
    (equals("a", "c"), {"a": None, "c": 0}, False),
    (equals("u", "i"), {}, True),
    (equals("u", "i"), {"u": 2**63, "i": INT_MIN}, False),
    (call("less_int64", "a", num(1)), {"a": 0.5}, True),
    (call("less_int64", "a", num(1)), {"a": "x"}, ERROR),
    (call("less_uint64", "i", "u"), {"i": -1, "u": UINT_MAX}, True),
    (call("less_uint64", "u", "i"), {"i": -1, "u": 0}, False),
    (call("less_int64", "a", "c"), {"a": 1, "c": 1.5}, True),
    (call("less_int64", "a", "c"), {"a": None, "c": None}, ERROR),
    # Lists and maps.
    (equals("a", "c"), {"a": [1, 2.0], "c": [1.0, 2]}, True),
    (equals("a", "c"), {"a": [1, 2], "c": [2, 1]}, False),
    (equals("a", "c"), {"a": {"x": 1, "y": [2]}, "c": {"y": [2.0], "x": 1}}, True),
    (equals("a", "c"), {"a": {"x": 1}, "c": {"y": 1}}, False),
    (equals("a", "c"), {"a": {"x": 1}, "c": [1]}, False),
    (equals("li", ("list",)), {"li": []}, True),
    (equals(("list", num(1), PARAM["a"]), ("list", num(1), num(1))), {}, True),
    (equals(call("add_list", "li", "li"), ("list", num(1), num(2), num(1), num(2))), {}, True),
    # Integers overflow, and do not wrap.
    (has_value(call("add_int64", "i", "j")), {"i": INT_MAX}, ERROR),
    (has_value(call("subtract_int64", "i", "j")), {"i": INT_MIN}, ERROR),
    (has_value(call("multiply_int64", "i", "j")), {"i": 2**62}, ERROR),
    (has_value(call("negate_int64", "i")), {"i": INT_MIN}, ERROR),
    (has_value(call("divide_int64", "i", "j")), {"i": INT_MIN, "j": -1}, ERROR),
    (has_value(call("modulo_int64", "i", "j")), {"i": INT_MIN, "j": -1}, ERROR),
    (has_value(call("divide_int64", "i", "j")), {"j": 0}, ERROR),
    (has_value(call("modulo_int64", "i", "j")), {"j": 0}, ERROR),
    (equals(call("divide_int64", "i", "j"), num(-3)), {"i": -7}, True),
    (equals(call("modulo_int64", "i", "j"), num(-1)), {"i": -7}, True),
    (equals(call("multiply_int64", "i", "j"), num(INT_MIN)), {"i": -(2**62)}, True),
    (has_value(call("add_uint64", "u", "v")), {"u": UINT_MAX}, ERROR),
    (has_value(call("subtract_uint64", "u", "v")), {}, ERROR),
    (has_value(call("multiply_uint64", "u", "v")), {"u": 2**63}, ERROR),
    (has_value(call("divide_uint64", "u", "v")), {"v": 0}, ERROR),
    (has_value(call("modulo_uint64", "u", "v")), {"v": 0}, ERROR),
    (equals(call("modulo_uint64", "u", "v"), ("const", "uint", 1)), {"u": UINT_MAX}, True),
    (has_value(call("add_int64", "a", num(1))), {"a": 0.5}, ERROR),
    (has_value(call("modulo_int64", "d", "e")), {}, ERROR),
    # Texts: by character, and whole.
    (equals(call("size_string", "s"), num(2)), {"s": "é😀"}, True),
    (call("less_string", "s", text("b")), {"s": "😀"}, False),
    (call("less_string", "s", text("ab")), {"s": "a"}, True),
    (call("contains_string", "s", text("")), {}, True),
    (call("contains_string", "s", text("bc")), {"s": "abcd"}, True),
    (call("starts_with_string", "s", text("ab")), {}, False),
    (call("starts_with_string", "s", text("ab")), {"s": "abc"}, True),
    (call("ends_with_string", "s", text("bc")), {"s": "abc"}, True),
    (call("ends_with_string", "s", text("ab")), {"s": "abc"}, False),
    (equals(text("a\0b"), text("a")), {}, False),
    (equals(call("size_string", text("a\0b")), num(3)), {}, True),
    (equals(call("add_string", "s", "s"), text("abab")), {"s": "ab"}, True),
    # Members.
    (equals(call("index_list", "li", num(1)), num(2)), {}, True),
    (has_value(call("index_list", "li", num(2))), {}, ERROR),
    (has_value(call("index_list", "li", num(-1))), {}, ERROR),
    (has_value(call("index_list", "li", num(INT_MAX))), {}, ERROR),
    (equals(call("index_list", "la", "c"), num(1)), {"c": -0.0}, True),
    (has_value(call("index_list", "la", "c")), {"c": 0.5}, ERROR),
    (has_value(call("index_list", "la", "c")), {"c": 1e300}, ERROR),
    (has_value(call("index_list", "la", "c")), {"c": False}, ERROR),
    (equals(call("index_map", "m", text("a")), num(1)), {}, True),
    (has_value(call("index_map", "m", text("b"))), {}, ERROR),
    (has_value(call("index_map", "m", "c")), {"c": 1}, ERROR),
    (equals(("select", PARAM["m"], "a"), num(1)), {}, True),
    (has_value(("select", PARAM["m"], "b")), {}, ERROR),
    (has_value(("select", PARAM["a"], "b")), {"a": [1]}, ERROR),
    (("has", PARAM["m"], "a"), {}, True),
    (("has", PARAM["m"], "b"), {}, False),
    (("has", PARAM["a"], "b"), {"a": None}, ERROR),
    (("has", ("select", PARAM["ma"], "x"), "y"), {}, ERROR),
    (call("in_list", "i", "li"), {}, True),
    (call("in_list", "a", "la"), {"a": 1.0}, True),
    (call("in_list", "s", ("list", text("x"), text("a"))), {}, True),
    (call("in_list", "s", ("list",)), {}, False),
    (call("in_map", "s", "m"), {}, True),
    (call("in_map", "c", "m"), {"c": 1.0}, False),
    (call("in_map", "c", "m"), {"c": True}, False),
    (call("in_map", "c", "m"), {"c": None}, ERROR),
    (call("in_map", "c", "m"), {"c": [1]}, ERROR),
    (call("in_map", "s", "a"), {"a": 3}, ERROR),
    (equals(call("size_map", "m"), call("size_list", "la")), {}, True),
    (has_value(call("size_list", "a")), {"a": 5}, ERROR),
    # Times. Differences have the range of 64 bits of nanoseconds, whole seconds alone too.
    (call("less_timestamp", "t", "q"), {}, True),
    (call("less_timestamp", "t", call("add_timestamp_duration", "t", "r")), {}, True),
    (equals(call("subtract_timestamp_timestamp", "q", "t"), span(366 * 86400)), {}, True),
    (equals(call("add_timestamp_duration", LAST, span(0, 999_999_999)), LAST), {}, False),
    (has_value(call("add_timestamp_duration", LAST, span(1))), {}, ERROR),
    (equals(call("subtract_timestamp_duration", FIRST, span(0)), FIRST), {}, True),
    (has_value(call("subtract_timestamp_duration", FIRST, span(0, 1))), {}, ERROR),
    (equals(call("add_duration_timestamp", span(315537897599), FIRST), LAST), {}, True),
    (has_value(call("subtract_timestamp_duration", moment(0), span(-9223372037, 145224192))), {}, ERROR),
    (equals(call("subtract_timestamp_duration", moment(0), span(-9223372037, 145224193)), moment(9223372036, 854775807)), {}, True),
    (
        equals(
            call("subtract_timestamp_duration", LAST, span(315537897599)),
            call("subtract_timestamp_duration", LAST, span(9223372036, 854775807)),
        ),
        {},
        True,
    ),
    (has_value(call("subtract_timestamp_timestamp", LAST, FIRST)), {}, ERROR),
    (has_value(call("subtract_timestamp_timestamp", moment(9223372036, 854775807), moment(0))), {}, True),
    (has_value(call("subtract_timestamp_timestamp", moment(9223372036, 854775808), moment(0))), {}, ERROR),
    (has_value(call("subtract_timestamp_timestamp", moment(0), moment(9223372036, 854775808))), {}, True),
    (has_value(call("subtract_timestamp_timestamp", moment(0), moment(9223372036, 854775809))), {}, ERROR),
    (has_value(call("subtract_timestamp_timestamp", moment(9223372037, 500000000), moment(0, 900000000))), {}, ERROR),
    (has_value(call("add_duration_duration", span(9223372036, 854775807), span(0, 1))), {}, ERROR),
    (has_value(call("subtract_duration_duration", span(-9223372037, 145224192), span(0, 1))), {}, ERROR),
    (has_value(call("subtract_duration_duration", span(0), span(-9223372037, 145224192))), {}, ERROR),
    (equals(call("subtract_duration_duration", span(315576000000), span(1)), span(9223372035, 854775807)), {}, True),
    (equals(call("add_duration_duration", span(315576000000), span(-315576000000)), span(-1, 999_999_999)), {}, True),
    (call("less_duration", span(-1, 999_999_999), span(0)), {}, True),
    (call("less_timestamp", ("if", PARAM["b"], PARAM["r"], PARAM["a"]), PARAM["t"]), {}, ERROR),
    # Logic absorbs errors from both sides; a choice does not.
    (("or", FAILS, TRUE), {}, True),
    (("or", TRUE, FAILS), {}, True),
    (("or", FAILS, FALSE), {}, ERROR),
    (("or", FALSE, FAILS), {}, ERROR),
    (("and", FAILS, FALSE), {}, False),
    (("and", FALSE, FAILS), {}, False),
    (("and", FAILS, TRUE), {}, ERROR),
    (("and", TRUE, FAILS), {}, ERROR),
    (("not", FAILS), {}, ERROR),
    (("if", FAILS, TRUE, TRUE), {}, ERROR),
    (("if", TRUE, TRUE, FAILS), {}, True),
    (("if", FALSE, FAILS, FALSE), {}, False),
    (("or", PARAM["a"], TRUE), {}, True),
    (("or", PARAM["a"], FALSE), {}, ERROR),
    (("and", PARAM["a"], FALSE), {}, False),
    (("not", PARAM["a"]), {}, ERROR),
    (PARAM["a"], {}, ERROR),
    (PARAM["a"], {"a": True}, True),
    # Loops.
    (("all", PARAM["li"], equals(call("divide_int64", ("local", 0), call("subtract_int64", ("local", 0), num(1))), num(5))), {}, False),
    (("exists", PARAM["li"], equals(call("divide_int64", ("local", 0), call("subtract_int64", ("local", 0), num(1))), num(2))), {}, True),
    (("exists", PARAM["li"], equals(call("divide_int64", ("local", 0), call("subtract_int64", ("local", 0), num(1))), num(3))), {}, ERROR),
    (("exists_one", PARAM["li"], equals(call("divide_int64", ("local", 0), call("subtract_int64", ("local", 0), num(1))), num(2))), {}, ERROR),
    (("exists_one", PARAM["li"], equals(("local", 0), num(2))), {}, True),
    (("exists_one", PARAM["li"], TRUE), {}, False),
    (("all", ("list",), FALSE), {}, True),
    (("exists", ("list",), TRUE), {}, False),
    (("exists", PARAM["a"], equals(("local", 0), text("k"))), {"a": {"k": 1, "j": 2}}, True),
    (("exists", PARAM["a"], TRUE), {"a": 1}, ERROR),
    (("all", PARAM["a"], TRUE), {"a": None}, ERROR),
    (("exists", PARAM["la"], ("local", 0)), {"la": [1, True]}, True),
    (("exists", PARAM["la"], ("local", 0)), {"la": [1, False]}, ERROR),
    (("all", PARAM["la"], ("local", 0)), {"la": [1, False]}, False),
    (("exists_one", PARAM["la"], ("local", 0)), {"la": [1, True]}, ERROR),
    (("exists", PARAM["li"], ("exists", PARAM["li"], call("less_int64", ("local", 1), ("local", 0)))), {}, True),
    # Addresses.
    (call("ip_in_cidr", "ip", text("10.0.0.0/8")), {}, True),
    (call("ip_in_cidr", "ip", text("11.0.0.0/8")), {}, False),
    (call("ip_in_cidr", "ip", text("10.9.9.9/8")), {}, True),
    (call("ip_in_cidr", "ip", text("::/0")), {}, False),
    (call("ip_in_cidr", "ip", text("10.0.0.0/33")), {}, ERROR),
    (call("ip_in_cidr", "ip", text("10.0.0.1")), {}, ERROR),
    (call("ip_in_cidr", "ip", "s"), {"s": "10.0.0.0/8"}, True),
    (call("ip_in_cidr", "ip", "s"), {"s": "10.0.0.0/08"}, ERROR),
    (call("ip_in_cidr", "ip", text("10.0.0.0/8")), {"ip": "::ffff:10.0.0.1"}, True),
    (call("ip_in_cidr", "ip", text("2001:db8::/33")), {"ip": "2001:db8:7fff::1"}, True),
    (call("ip_in_cidr", "ip", text("2001:db8::/33")), {"ip": "2001:db8:8000::1"}, False),
    (call("ip_in_cidr", "ip", text("2001:db8::/127")), {"ip": "2001:db8::1"}, True),
    (call("ip_in_cidr", "a", text("10.0.0.0/8")), {"a": "10.0.0.1"}, ERROR),
    (equals(call("string_to_ip", text("10.1.2.3")), "ip"), {}, True),
    (equals(call("string_to_ip", "s"), "ip"), {"s": "10.1.2.4"}, False),
    (has_value(call("string_to_ip", "s")), {"s": "10.1.2.3/8"}, ERROR),
    (has_value(call("string_to_ip", text("010.1.2.3"))), {}, ERROR),
    (equals("ip", text("10.1.2.3")), {}, False),
]


@pytest.mark.parametrize(("code", "values", "expected"), CASES)
def test_operators_mean_what_the_library_says(code: Code, values: dict[str, object], expected: bool | str) -> None:
    assert answer(code, **values) == expected


def test_every_overload_has_a_case() -> None:
    """But for those that are one operator with another name: comparisons by kind, and the two spellings of a size."""

    def overloads(code: object) -> set[str]:
        if not isinstance(code, tuple):
            return set()
        return {code[1]}.union(*map(overloads, code)) if code[:1] == ("call",) else set().union(*map(overloads, code))

    alike = {name for name in OVERLOADS if name.startswith(("less_", "greater_"))} | {"string_size", "list_size", "map_size"}
    plain = {"add_double", "subtract_double", "multiply_double", "divide_uint64"}
    assert set().union(*(overloads(code) for code, _, _ in CASES)) >= OVERLOADS - alike - plain


@pytest.mark.parametrize(
    ("overload", "expected"), [("add_double", 3.5), ("subtract_double", -0.5), ("multiply_double", 3.0), ("divide_double", 0.75)]
)
def test_doubles_are_ieee(overload: str, expected: float) -> None:
    assert answer(equals(call(overload, "d", "e"), ("const", "double", expected)), d=1.5, e=2.0) is True


@given(st.integers(INT_MIN, INT_MAX), st.integers(INT_MIN, INT_MAX), st.sampled_from(["add", "subtract", "multiply", "divide", "modulo"]))
@settings(max_examples=EXAMPLES, deadline=None)
def test_integers_are_exact_or_fail(a: int, b: int, name: str) -> None:
    quotient = 0 if b == 0 else abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    exact = {"add": a + b, "subtract": a - b, "multiply": a * b, "divide": quotient, "modulo": a - b * quotient}[name]
    failed = (b == 0 and name in ("divide", "modulo")) or not INT_MIN <= exact <= INT_MAX or (name == "modulo" and (a, b) == (INT_MIN, -1))
    code = call(f"{name}_int64", "i", "j")
    assert answer(equals(code, num(0 if failed else exact)), i=a, j=b) == (ERROR if failed else True)


# Bounds


@pytest.mark.parametrize("form", ["all", "exists", "exists_one"])
def test_iterations_are_bounded(form: str) -> None:
    body = TRUE if form == "all" else FALSE
    loop = (form, PARAM["li"], body)
    assert answer(loop, li=[0] * ITERATIONS_MAX) is (form == "all")
    assert answer(loop, li=[0] * (ITERATIONS_MAX + 1)) == ERROR


def test_no_alternative_absorbs_too_many_iterations() -> None:
    loop = ("all", PARAM["li"], TRUE)
    many = [0] * (ITERATIONS_MAX + 1)
    assert answer(("or", loop, TRUE), li=many) == ERROR
    assert answer(("and", loop, FALSE), li=many) == ERROR
    assert answer(("or", TRUE, loop), li=many) is True


def test_iterations_count_over_all_loops() -> None:
    nested = ("all", PARAM["li"], ("all", PARAM["li"], TRUE))
    assert answer(nested, li=[0] * 99) is True
    assert answer(nested, li=[0] * 100) == ERROR
    in_turn = ("and", ("all", PARAM["li"], TRUE), ("all", PARAM["li"], TRUE))
    assert answer(in_turn, li=[0] * 4_999) is True
    assert answer(in_turn, li=[0] * 5_000) == ERROR


def test_a_loop_that_is_decided_stops() -> None:
    assert answer(("exists", PARAM["li"], equals(("local", 0), num(0))), li=[0] * 20_000) is True


def test_work_is_bounded() -> None:
    program = Program(("all", PARAM["li"], TRUE), len(TYPES))
    values = DEFAULTS | {"li": [0] * 1000}
    assert evaluate(program, PARAMETERS, values, work=3_000) is True
    with pytest.raises(LimitError):
        evaluate(program, PARAMETERS, values, work=300)


@pytest.mark.parametrize(
    "code",
    [
        equals("a", "c"),
        call("contains_string", "s", text("x")),
        equals(call("size_string", "s"), num(0)),
        equals(call("add_string", "s", "s"), text("x")),
        call("less_string", "s", "s"),
        call("in_list", "a", "la"),
    ],
)
def test_long_values_are_work(code: Code) -> None:
    values = DEFAULTS | {"a": "y" * 100_000, "c": "y" * 100_000, "s": "z" * 100_000, "la": [0] * 20_000}
    program = Program(code, len(TYPES))
    assert evaluate(program, PARAMETERS, values) in (True, False)
    with pytest.raises(LimitError):
        evaluate(program, PARAMETERS, values, work=5_000)


def test_what_an_expression_builds_is_bounded() -> None:
    code: Code = PARAM["s"]
    for _ in range(60):
        code = call("add_string", code, "s")
    program = Program(equals(call("size_string", code), num(61 * 900_000)), len(TYPES))
    with pytest.raises(LimitError):
        evaluate(program, PARAMETERS, DEFAULTS | {"s": "x" * 900_000})


def test_what_an_iteration_builds_is_freed_after_it() -> None:
    grows = equals(call("size_string", call("add_string", "s", "s")), num(200_000))
    assert answer(("all", PARAM["li"], grows), s="x" * 100_000, li=[0] * 2_000) is True


# Refusals

BAD_CODE: list[object] = [
    (),
    ("unknown",),
    [],
    None,
    "param",
    ("param",),
    ("param", len(TYPES)),
    ("param", -1),
    ("param", True),
    ("param", 0, 0),
    ("local", 0),
    ("all", PARAM["li"], ("local", 1)),
    ("all", ("local", 0), TRUE),
    ("all", PARAM["li"]),
    ("and", TRUE),
    ("or", TRUE, TRUE, TRUE),
    ("not", "x"),
    ("if", TRUE, TRUE),
    ("select", PARAM["m"]),
    ("select", PARAM["m"], 1),
    ("has", PARAM["m"], "\ud800"),
    ("list", 1),
    ("call",),
    ("call", "matches_string", PARAM["s"], PARAM["s"]),
    ("call", "equals", TRUE),
    ("call", ["equals"], TRUE, TRUE),
    ("const", "int"),
    ("const", "int", 2**63),
    ("const", "int", True),
    ("const", "int", 1.0),
    ("const", "uint", -1),
    ("const", "double", 1),
    ("const", "bool", 1),
    ("const", "null", 0),
    ("const", "string", b"x"),
    ("const", "string", "\ud800"),
    ("const", "bytes", b"x"),
    ("const", "duration", (0, 10**9)),
    ("const", "duration", (0, -1)),
    ("const", "duration", (315576000001, 0)),
    ("const", "duration", 1),
    ("const", "timestamp", (253402300800, 0)),
    ("const", "timestamp", (-62135596801, 0)),
    ("const", ("bool", True), True),
]


@pytest.mark.parametrize("code", BAD_CODE)
def test_malformed_code_is_refused(code: Any) -> None:
    with pytest.raises(ValueError, match=r"in the code|the code is|`"):
        Program(code, len(TYPES))


@pytest.mark.parametrize("count", [-1, 1 << 16, True, 1.0, None])
def test_a_wrong_number_of_parameters_is_refused(count: Any) -> None:
    with pytest.raises(ValueError, match="out of range"):
        Program(TRUE, count)


def nested(depth: int) -> Code:
    code: Code = TRUE
    for _ in range(depth - 1):
        code = ("not", code)
    return code


def test_code_is_bounded() -> None:
    assert answer(nested(64)) is False
    with pytest.raises(ValueError, match="nested too deep"):
        Program(nested(65), 0)
    assert answer(call("in_list", "i", ("list", *[num(1)] * 4_093))) is True
    with pytest.raises(ValueError, match="too long"):
        Program(call("in_list", "i", ("list", *[num(1)] * 4_094)), len(TYPES))
    shared: Code = TRUE
    for _ in range(60):
        shared = ("and", shared, shared)
    with pytest.raises(ValueError, match="too long"):
        Program(shared, 0)


LEAVES = st.one_of(
    st.none(),
    st.integers(-2, 20),
    st.sampled_from(["and", "or", "not", "if", "all", "exists", "exists_one", "list", "select", "has", "const", "param", "local", "call", "int"]),
    st.sampled_from(sorted(OVERLOADS)),
    st.sampled_from([TRUE, FALSE, PARAM["li"], PARAM["a"], PARAM["s"], PARAM["ip"], num(1), text("a"), ("local", 0)]),
)


@given(st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4).map(tuple), max_leaves=20))
@settings(max_examples=EXAMPLES, deadline=None)
def test_any_code_is_refused_or_has_an_answer(code: Any) -> None:
    try:
        Program(code, len(TYPES))
    except ValueError:
        return
    assert answer(code) in (True, False, ERROR)


OPERANDS = st.recursive(
    st.sampled_from([*PARAM.values(), TRUE, FALSE, num(0), num(-1), text(""), text("10.0.0.0/8"), span(1), moment(0), ("const", "null", None)]),
    lambda inner: st.one_of(
        st.tuples(st.just("call"), st.sampled_from(sorted(OVERLOADS - {"string_to_ip"})), inner, inner),
        st.tuples(st.sampled_from(["and", "or"]), inner, inner),
        st.tuples(st.just("if"), inner, inner, inner),
        st.tuples(st.just("list"), inner, inner),
        st.tuples(st.just("select"), inner, st.just("a")),
        st.tuples(st.sampled_from(["all", "exists", "exists_one"]), inner, inner),
    ),
    max_leaves=12,
)


@given(OPERANDS)
@settings(max_examples=EXAMPLES, deadline=None)
def test_operands_of_any_kind_have_an_answer_and_logic_is_consistent(code: Any) -> None:
    """Whatever an operand is, `x || !x` is true or fails, and `x && !x` is false or fails with it."""
    try:
        Program(code, len(TYPES))
    except ValueError:
        return
    either, both = answer(("or", code, ("not", code))), answer(("and", code, ("not", code)))
    assert (either, both) in ((True, False), (ERROR, ERROR))


def test_a_program_may_run_in_many_threads() -> None:
    program = Program(("all", PARAM["li"], equals(call("add_string", "s", "s"), text("aa"))), len(TYPES))
    values = DEFAULTS | {"li": [0] * 500}
    wrong: list[object] = []

    def run() -> None:
        wrong.extend(found for _ in range(100) if (found := evaluate(program, PARAMETERS, values)) is not True)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_values_are_needed() -> None:
    program = Program(call("less_int64", "i", num(1)), len(TYPES))
    with pytest.raises(RequestError) as missing:
        evaluate(program, PARAMETERS, {"i": 1})
    assert missing.value.code == "context_missing"
    with pytest.raises(RequestError) as bad:
        evaluate(program, PARAMETERS, DEFAULTS | {"i": "x"})
    assert bad.value.code == "invalid_context"
    with pytest.raises(ValueError, match="more parameters"):
        evaluate(program, Parameters([]), {})
