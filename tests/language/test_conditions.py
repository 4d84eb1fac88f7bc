"""Conditions: what compiles and to what, every kind of fault with its place, and every defect of the CEL library with its guard."""

from __future__ import annotations

import gc
import importlib
import subprocess
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fgacore import language, limits
from fgacore.errors import FgaError, ModelError
from fgacore.language.conditions import CompiledCondition, ConditionFailed, LibraryExpression, compile_conditions
from fgacore.language.expressions import OURS
from fgacore.language.model import Condition, Model, Parameter
from suites.folder import SUITES, needs_suites
from suites.openfga_suite import load_suite

cel = pytest.importorskip("cel_expr_python.cel", reason="the extra `conditions` is not installed")

HEADER = "model\n  schema 1.1\ntype user\n"
PARAMETERS = (
    "i: int, j: int, u: uint, d: double, s: string, b: bool, t: timestamp, p: duration, ip: ipaddress,"
    " numbers: list<int>, names: list<string>, table: map<int>, addresses: list<ipaddress>"
)
NUMBERS = {name.split(":")[0].strip(): number for number, name in enumerate(PARAMETERS.split(","))}


def compiled(expression: str, parameters: str = PARAMETERS) -> CompiledCondition:
    model = language.parse(f"{HEADER}condition c({parameters}) {{\n  {expression}\n}}\n")
    return compile_conditions(model)["c"]


def code(expression: str, parameters: str = PARAMETERS) -> object:
    found = compiled(expression, parameters)
    assert found.library is None
    return found.code


def library(expression: str, parameters: str = PARAMETERS) -> LibraryExpression:
    found = compiled(expression, parameters)
    assert found.code is None
    assert found.library is not None
    return found.library


def with_types(expression: str, **parameters: Parameter) -> CompiledCondition:
    """A condition as JSON can declare it: with parameters of type `any`, and names that no expression can say."""
    return compile_conditions(Model("1.1", {}, {"c": Condition("c", parameters, expression)}))["c"]


def answer(expression: str, *values: object, parameters: str = PARAMETERS) -> bool:
    """What the library says, for values of the parameters in their order; None for those not given."""
    found = library(expression, parameters)
    count = parameters.count(":") + len(found.lifted)
    return found.evaluate([*values, *[None] * (count - len(values))])


def one(expression: str, **values: object) -> bool:
    """What the library says, with these parameters given."""
    given: list[object] = [None] * len(NUMBERS)
    for name, value in values.items():
        given[NUMBERS[name]] = value
    return answer(expression, *given)


def faults(text: str) -> list[tuple[int, int, str]]:
    """Line, column and message of each fault of the conditions of a model."""
    with pytest.raises(ModelError) as caught:
        compile_conditions(language.parse(text))
    assert {issue.code for issue in caught.value.issues} == {"invalid_condition"}
    return [(issue.line, issue.column, issue.message) for issue in caught.value.issues]


# What is ours


def param(name: str) -> tuple[str, int]:
    return "param", NUMBERS[name]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("i < 100", ("call", "less_int64", param("i"), ("const", "int", 100))),
        ("5u == u", ("call", "equals", ("const", "uint", 5), param("u"))),
        ("d >= -1.5", ("call", "greater_equals_double", param("d"), ("const", "double", -1.5))),
        ("b && !b || true", ("or", ("and", param("b"), ("not", param("b"))), ("const", "bool", True))),
        ("b ? i == 1 : b", ("if", param("b"), ("call", "equals", param("i"), ("const", "int", 1)), param("b"))),
        ("i in [1, j]", ("call", "in_list", param("i"), ("list", ("const", "int", 1), param("j")))),
        ("numbers[0] == 1", ("call", "equals", ("call", "index_list", param("numbers"), ("const", "int", 0)), ("const", "int", 1))),
        ('s in table && table[s] == 1', ("and", ("call", "in_map", param("s"), param("table")),
                                       ("call", "equals", ("call", "index_map", param("table"), param("s")), ("const", "int", 1)))),
        ("table.x == 1", ("call", "equals", ("select", param("table"), "x"), ("const", "int", 1))),
        ("has(table.x)", ("has", param("table"), "x")),
        ("size(s) == s.size()", ("call", "equals", ("call", "size_string", param("s")), ("call", "string_size", param("s")))),
        ('s.startsWith("x")', ("call", "starts_with_string", param("s"), ("const", "string", "x"))),
        ("t < t + p", ("call", "less_timestamp", param("t"), ("call", "add_timestamp_duration", param("t"), param("p")))),
        ('ip.in_cidr("10.0.0.0/8")', ("call", "ip_in_cidr", param("ip"), ("const", "string", "10.0.0.0/8"))),
        ("ipaddress(s) == ip", ("call", "equals", ("call", "string_to_ip", param("s")), param("ip"))),
        ("[null] == []", ("call", "equals", ("list", ("const", "null", None)), ("list",))),
        ("table.all(k, k == s)", ("all", param("table"), ("call", "equals", ("local", 0), param("s")))),
        ("numbers.exists_one(n, n > i)", ("exists_one", param("numbers"), ("call", "greater_int64", ("local", 0), param("i")))),
    ],
)  # fmt: skip
def test_the_usual_operators_are_code_for_our_evaluator(expression: str, expected: object) -> None:
    assert code(expression) == expected


def test_variables_of_comprehensions_are_numbered_from_the_outermost() -> None:
    found = code("numbers.exists(n, names.exists(m, numbers.all(k, k == n) && m == s))")
    inner = ("all", param("numbers"), ("call", "equals", ("local", 2), ("local", 0)))
    assert found == ("exists", param("numbers"), ("exists", param("names"), ("and", inner, ("call", "equals", ("local", 1), param("s")))))


def test_a_variable_hides_a_parameter_except_behind_a_dot() -> None:
    assert code("numbers.exists(i, i == .i)") == ("exists", param("numbers"), ("call", "equals", ("local", 0), param("i")))
    assert code("numbers.exists(numbers, numbers > 0)") == ("exists", param("numbers"), ("call", "greater_int64", ("local", 0), ("const", "int", 0)))
    assert code("numbers.exists(n, numbers.exists(n, n > 0))")[2][2][2] == ("local", 1)  # type: ignore[index]


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("1h30m", "duration", (5400, 0)),
        ("-1.5s", "duration", (-2, 500_000_000)),
        ("3.000001s", "duration", (3, 1000)),
        ("-2562047h47m16.854775s", "duration", (-9_223_372_037, 145_225_000)),
        ("2024-01-01T00:00:00Z", "timestamp", (1_704_067_200, 0)),
        ("2024-01-01T01:00:00.25+01:00", "timestamp", (1_704_067_200, 250_000_000)),
        ("1969-12-31T23:59:59.75Z", "timestamp", (-1, 750_000_000)),
        ("0001-01-02T00:00:00Z", "timestamp", (-62_135_510_400, 0)),
    ],
)
def test_constant_durations_and_timestamps_are_computed_once(text: str, kind: str, expected: tuple[int, int]) -> None:
    assert code(f'{kind}("{text}") == {kind[0].replace("d", "p")}') == ("call", "equals", ("const", kind, expected), param(kind[0].replace("d", "p")))


@pytest.mark.parametrize(
    "expression",
    [
        's.matches("^a+$")',
        "int(s) == 1",
        "t.getHours() == 1",
        "type(i) == int",
        "dyn(i) == 1",
        "numbers + numbers == []",
        "numbers.map(n, n + 1) == [2]",
        "numbers.filter(n, n > 1) == [2]",
        '{"a": 1} == table',
        'b"x" == b"y"',
        "b < true",
        "timestamp(i) == t",
        "duration(s) == p",
        'duration("never") == p',
        'duration("1ns") == p',
        't - duration("2562048h") < t',
        'timestamp("2024-01-01T00:00:00.000000001Z") == t',
        "(b ? null : p) == p",
        "d < 1e999",
        "google.protobuf.Duration{seconds: 5} == p",
    ],
)
def test_everything_else_is_the_librarys(expression: str) -> None:
    assert library(expression).lifted == ()


def test_only_equality_takes_values_of_any_type() -> None:
    a, many = Parameter("any"), Parameter("list", "any")
    others = ("a < 1", "a + 1 == 2", "!a", "a || a", "a.b == 1", "has(a.b)", "a[0] == 1", 'a.startsWith("x")', "size(a) == 1", "many.exists(m, m)")
    assert with_types("a == 1", a=a).code == ("call", "equals", ("param", 0), ("const", "int", 1))
    assert with_types("many.exists(m, m == a) && a in many", a=a, many=many).library is None
    for expression in others:
        assert with_types(expression, a=a, many=many).code is None, expression


def test_the_list_of_our_overloads_is_what_the_library_calls_them() -> None:
    """Each is met in an expression that is ours, so none is misspelt."""
    expressions = [
        *(f"{x} {operator} {x}" for x in "iudstp" for operator in ("<", "<=", ">", ">=")),
        *(f"{x} {operator} {x} == {x}" for x in "iud" for operator in "+-*/"),
        *(
            "i % i == i",
            "u % u == u",
            "-i == i",
            "-d == d",
            "s + s != s",
            "t + p == t",
            "p + t == t",
            "p + p == p",
            "t - t == p",
            "t - p == t",
            "p - p == p",
        ),
        *("i in numbers", "s in table", "numbers[i] == i", "table[s] == i", "size(s) == s.size()", "size(numbers) == numbers.size()"),
        *("size(table) == table.size()", "s.contains(s)", "s.startsWith(s)", "s.endsWith(s)", "ipaddress(s).in_cidr(s)"),
    ]
    found: set[str] = set()

    def collect(item: object) -> None:
        if isinstance(item, tuple):
            if item[:1] == ("call",):
                found.add(str(item[1]))
            for part in item:
                collect(part)

    for expression in expressions:
        collect(code(expression))
    assert found == OURS


def test_parameters_keep_the_order_of_their_declaration() -> None:
    found = compiled("z == a", "z: string, a: string, m: map<double>")
    assert found.name == "c"
    assert found.parameters == (("z", Parameter("string")), ("a", Parameter("string")), ("m", Parameter("map", "double")))
    assert found.code == ("call", "equals", ("param", 0), ("param", 1))


# Faults and their places


@pytest.mark.parametrize(
    ("expression", "place", "message"),
    [
        ("foo == 1", (5, 3), "undeclared reference to `foo`"),
        ("i == 1 && s.foo()", (5, 18), "undeclared reference to `foo`"),
        ("i", (5, 3), "the expression is `int`, not bool"),
        ("numbers", (5, 3), "the expression is `list<int>`, not bool"),
        ("i + 1", (5, 3), "the expression is `int`, not bool"),
        ("i ==", (5, 7), "mismatched input `<EOF>`"),
        ("@i == 1", (5, 3), "token recognition error at: `@`"),
        ("1 == 1.0", (5, 5), "found no matching overload for `_==_` applied to `(int, double)`"),
        ("i < 1.5", (5, 5), "found no matching overload for `_<_` applied to `(int, double)`"),
        ('s == "\\x00"', (5, 8), "a text with the character NUL is not allowed"),
        ('"é😀" == s && i == s', (5, 18), "found no matching overload for `_==_` applied to `(int, string)`"),
        ("9223372036854775808 == i", (5, 3), "invalid int literal"),
        ("(" * 40 + "b" + ")" * 40, (5, 3), "expression recursion limit exceeded. limit: 32"),
        ("+".join("i" * 60) + " == 1", (5, 3), "exceeded max recursion depth of 32 when parsing"),
        ("names.exists(n, n.matches(s) && ipaddress(n) == ip)", (5, 44), None),
        ("s.matches(s) ? ip.in_cidr(s) : string(i) == s && ipaddress(string(i)) == ip", (5, 61), None),
    ],
)
def test_a_fault_of_an_expression_has_its_place(expression: str, place: tuple[int, int], message: str | None) -> None:
    text = f"{HEADER}condition c({PARAMETERS}) {{\n  {expression}\n}}\n"
    apart = "what is computed from an `ipaddress` here cannot be computed apart from the rest, and the rest needs the CEL library"
    [found] = faults(text)
    assert found == (*place, f"condition `c`: {message or apart}")


def test_places_are_those_of_the_models_text() -> None:
    text = (
        HEADER
        + "condition one(i: int) { i == x }\n"
        + "condition two(i: int) {   # a comment\n\n   # another\r\n\ti == 1 &&   # more\n  y\n}\n"
        + 'condition three(s: string) { s == """\n""" && z }\n'
        + "condition four(i: int) {\n  // the first line of the expression\n  i == w}\n"
    )
    undeclared = [(line, column, message[-3:]) for line, column, message in faults(text)]
    assert undeclared == [(4, 30, "`x`"), (9, 3, "`y`"), (12, 8, "`z`"), (15, 8, "`w`")]


def test_every_fault_is_told_in_the_order_of_the_text() -> None:
    text = f"{HEADER}condition b(i: int) {{ i == x && y && z }}\ncondition a(i: int) {{ i }}\ncondition ok(i: int) {{ i == 1 }}\n"
    assert [(line, column) for line, column, _ in faults(text)] == [(4, 28), (4, 33), (4, 38), (5, 23)]
    assert faults(text) == faults(text)


def test_faults_of_json_have_their_place_within_the_expression() -> None:
    with pytest.raises(ModelError) as caught:
        with_types("i == 1 &&\n  x", i=Parameter("int"))
    [issue] = caught.value.issues
    assert (issue.line, issue.message) == (0, "condition `c`: undeclared reference to `x` (line 2, column 3 of its expression)")


def test_a_fault_of_a_module_names_its_file(tmp_path: Path) -> None:
    (tmp_path / "fga.mod").write_text("schema: '1.2'\ncontents:\n  - core.fga\n  - more.fga\n")
    (tmp_path / "core.fga").write_text("module core\ntype user\n")
    (tmp_path / "more.fga").write_text("module more\ntype doc\n  relations\n    define a: [user with c]\ncondition c(i: int) { j == 1 }\n")
    with pytest.raises(ModelError) as caught:
        compile_conditions(language.load(tmp_path / "fga.mod"))
    [issue] = caught.value.issues
    assert (issue.file, issue.line, issue.column) == ("more.fga", 5, 23)


@pytest.mark.parametrize("name", ["type", "bytes", "null_type"])
def test_a_parameter_cannot_take_the_name_of_a_type(name: str) -> None:
    [(line, column, message)] = faults(f"{HEADER}condition c({name}: int) {{ 1 == 1 }}\n")
    assert (line, column) == (4, 11)
    assert message == f"condition `c`: a parameter cannot be declared: variable `{name}` declared multiple times"


def test_names_that_no_expression_can_say_are_no_hindrance() -> None:
    assert compiled("b", "a-b: int, b: bool").code == ("param", 1)
    assert with_types("b", **{"a\0b": Parameter("int"), "x y": Parameter("int"), "é": Parameter("int"), "b": Parameter("bool")}).code == ("param", 3)
    [(_, _, message)] = faults(f"{HEADER}condition c(a-b: int, b: int) {{ a-b == 1 }}\n")
    assert message.endswith("undeclared reference to `a`")


@pytest.mark.parametrize(("bad", "shown"), [("\0", "`\\x00`"), ("\ud800", "`\\ud800`")])
def test_what_is_no_text_is_refused_before_the_library_sees_it(bad: str, shown: str) -> None:
    with pytest.raises(ModelError, match="line 2, column 3") as caught:
        with_types(f"s ==\n '{bad}'", s=Parameter("string"))
    assert f"{shown} is not allowed in an expression" in caught.value.issues[0].message


def test_an_expression_is_bounded() -> None:
    longest = f"s == '{'x' * (limits.CONDITION_EXPRESSION_BYTES_MAX - 7)}'"
    assert with_types(longest, s=Parameter("string")).library is None
    with pytest.raises(ModelError, match="CONDITION_EXPRESSION_BYTES_MAX"):
        with_types(f"{longest} ", s=Parameter("string"))


def test_faults_are_bounded_and_on_one_line() -> None:
    many = "".join(f"condition c{number}(i: int) {{ [{', '.join('x' * 600)}] == [] }}\n" for number in range(50))
    found = faults(HEADER + many)
    assert len(found) == limits.MODEL_ISSUES_MAX
    [(_, _, message)] = faults(f"{HEADER}condition c(i: int) {{ i == {'x' * 3000} }}\n")
    assert len(message) < 300
    assert message.isprintable()


def test_a_model_without_conditions_needs_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib, "import_module", pytest.fail)
    assert compile_conditions(language.parse(HEADER)) == {}


def test_without_the_library_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cel_expr_python.cel", None)
    with pytest.raises(ModelError, match=r"fgacore\[conditions\]") as caught:
        compile_conditions(language.parse(f"{HEADER}condition c(i: int) {{ i == 1 }}\ncondition d(i: int) {{ i }}\n"))
    [issue] = caught.value.issues
    assert (issue.code, issue.line, issue.column, issue.symbol) == ("conditions_unavailable", 4, 11, "c")


def test_the_library_is_imported_only_when_it_is_needed() -> None:
    code = "import sys, fgacore.language.conditions; print([name for name in sys.modules if 'cel_expr' in name])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


# The library as an evaluator


def test_the_library_answers_with_values_of_every_type() -> None:
    assert one('s.matches("^a+$")', s="aaa") is True
    assert one('s.matches("^a+$")', s="ab") is False
    assert one("u + 1u == 18446744073709551615u && dyn(b)", u=2**64 - 2, b=True) is True
    assert one("d == 1.5 && dyn(b)", d=1.5, b=True) is True
    assert one("t.getFullYear() == 2024", t=datetime(2024, 6, 1, tzinfo=UTC)) is True
    assert one("p.getSeconds() == -2", p=timedelta(seconds=-2)) is True
    assert one("numbers.map(n, n * 2) == [2, 4]", numbers=[1, 2]) is True
    assert one('table.map(k, table[k]) == [3] && names.filter(n, n != "") == []', table={"a": 3}, names=[""]) is True
    assert with_types("a == null && a != 1 && a < 1", a=Parameter("any")).library is not None


def test_values_of_parameters_that_are_not_read_are_not_looked_at() -> None:
    assert one('s.matches("a")', s="a", names=["\0"]) is True


@pytest.mark.parametrize(
    ("expression", "values", "message"),
    [
        ("int(s) == 1", {"s": "x"}, "cannot convert string to int"),
        ("string(1 / i) == s", {"i": 0, "s": ""}, "divide by zero"),
        ("string(i + 1) == s", {"i": 2**63 - 1, "s": ""}, "integer overflow"),
        ("dyn(numbers[0]) == 1", {"numbers": []}, "index error: index=0 size=0"),
        ('dyn(table["x\\ny"]) == 1', {"table": {}}, 'key not found in map : "x\\ny"'),
        ("dyn(s) == ''", {"s": 5}, "unexpected value type for `s`: int"),
    ],
)
def test_an_expression_without_an_answer_fails_on_one_line(expression: str, values: dict[str, object], message: str) -> None:
    with pytest.raises(ConditionFailed) as caught:
        one(expression, **values)
    found = str(caught.value)
    assert found.isprintable()
    assert message in found


def test_a_failure_that_quotes_a_value_is_short() -> None:
    with pytest.raises(ConditionFailed) as caught:
        one("dyn(table[s]) == 1", table={}, s="é" * 1_000_000)
    assert len(str(caught.value)) <= 200


def test_errors_are_absorbed_as_cel_says() -> None:
    assert one("int(s) == 1 || b", s="x", b=True) is True
    assert one("int(s) == 1 && b", s="x", b=False) is False
    with pytest.raises(ConditionFailed):
        one("int(s) == 1 || b", s="x", b=False)


# What is lifted out of an expression of the library


def test_addresses_are_computed_apart_and_their_answers_put_in() -> None:
    found = library('s.matches("^a") && (ip.in_cidr("10.0.0.0/8") || addresses.exists(a, a == ip)) || size(addresses) == 7')
    either = ("or", ("call", "ip_in_cidr", param("ip"), ("const", "string", "10.0.0.0/8")),
              ("exists", param("addresses"), ("call", "equals", ("local", 0), param("ip"))))  # fmt: skip
    assert found.lifted == (either, ("call", "equals", ("call", "size_list", param("addresses")), ("const", "int", 7)))
    values: list[object] = ["unused"] * len(NUMBERS)
    values[NUMBERS["s"]] = "abc"
    for first, second, expected in [(True, False, True), (False, False, False), (False, True, True), (None, True, True), (True, None, True)]:
        assert found.evaluate([*values, first, second]) is expected
    for first, second in [(None, False), (False, None), (None, None)]:
        with pytest.raises(ConditionFailed):
            found.evaluate([*values, first, second])
    values[NUMBERS["s"]] = "b"
    assert found.evaluate([*values, None, False]) is False


def test_what_fails_is_an_error_and_neither_true_nor_false() -> None:
    found = library('s.matches("^a") && (ip == ip) == (ip == ip)')
    values: list[object] = ["a"] * len(NUMBERS)
    assert found.lifted == (("call", "equals", ("call", "equals", param("ip"), param("ip")), ("call", "equals", param("ip"), param("ip"))),)
    with pytest.raises(ConditionFailed):
        found.evaluate([*values, None])
    negated = library('!(ip == ip) && s.matches("^a")')
    assert negated.evaluate([*values, False]) is False
    branch = library('ip == ip ? s.matches("^a") : s.matches("^a")')
    with pytest.raises(ConditionFailed):
        branch.evaluate([*values, None])


def test_what_stands_in_a_comprehension_is_lifted_where_it_does_not_use_its_variable() -> None:
    found = library('names.exists(n, n.matches("^a") && ip.in_cidr("10.0.0.0/8"))')
    assert found.lifted == (("call", "ip_in_cidr", param("ip"), ("const", "string", "10.0.0.0/8")),)
    hidden = library('names.exists(ip, ip.matches("^a") && .ip.in_cidr("10.0.0.0/8"))')
    assert hidden.lifted == found.lifted
    values: list[object] = ["\0"] * len(NUMBERS)  # the address itself never reaches the library
    values[NUMBERS["names"]] = ["b", "ab"]
    assert (hidden.evaluate([*values, True]), hidden.evaluate([*values, False])) == (True, False)


# The defects of cel-expr-python 0.1.3, each with its guard


def test_no_callback_into_python_is_ever_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Callbacks leak at every call. No function is declared with one, and no expression of the library keeps a call of ours."""
    made: list[dict[str, object]] = []
    original = cel.Overload

    def record(*arguments: object, **keywords: object) -> object:
        made.append(keywords)
        return original(*arguments, **keywords)

    monkeypatch.setattr(cel, "Overload", record)
    found = library('s.matches("^a") && ip.in_cidr("10.0.0.0/8")')
    assert {str(keywords["return_type"].name()) for keywords in made} == {"ipaddress", "BOOL"}  # type: ignore[attr-defined]
    assert not any("impl" in keywords for keywords in made)
    values = [*["a"] * len(NUMBERS), True]
    found.evaluate(values)
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(2_000):
        found.evaluate(values)
    gc.collect()
    assert sys.getallocatedblocks() - before < 500


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        ('dyn(s) == "a"', {"s": "a\0b"}),
        ('dyn(names) == ["a"]', {"names": ["a\0b"]}),
        ('dyn(table) == {"a": 1}', {"table": {"a\0b": 1}}),
    ],
)
def test_a_text_that_would_be_cut_at_nul_is_refused(expression: str, values: dict[str, object]) -> None:
    """The library itself says true."""
    with pytest.raises(ConditionFailed, match="NUL"):
        one(expression, **values)


def test_a_value_that_would_crash_the_library_is_refused() -> None:
    found = with_types("dyn(a) == 1 || a < 1", a=Parameter("any")).library
    assert found is not None
    nested: object = 1
    for _ in range(10_000):
        nested = [nested]
    with pytest.raises(ConditionFailed, match="deeper"):
        found.evaluate([nested])
    keyed: object = 1
    for _ in range(10_000):
        keyed = {"k": keyed}
    with pytest.raises(ConditionFailed, match="deeper"):
        found.evaluate([keyed])
    shallow: object = 1
    for _ in range(64):
        shallow = [shallow]
    with pytest.raises(ConditionFailed, match="overload"):
        found.evaluate([shallow])


@pytest.mark.parametrize("value", ["\ud800", "a\udfff"])
def test_a_lone_surrogate_fails(value: str) -> None:
    with pytest.raises(ConditionFailed):
        one('dyn(s) == "a"', s=value)


def test_inputs_of_a_rebuilt_expression_are_checked() -> None:
    """An environment that compiled nothing would take an int for a text, and no datetime at all."""
    found = library('s.matches("^5") && t.getFullYear() == 2024 && ip == ip')
    values: list[object] = [None] * len(NUMBERS)
    values[NUMBERS["s"]], values[NUMBERS["t"]] = "5", datetime(2024, 1, 1, tzinfo=UTC)
    assert found.evaluate([*values, True]) is True
    values[NUMBERS["s"]] = 5
    with pytest.raises(ConditionFailed):
        found.evaluate([*values, True])


def test_both_kinds_of_errors_fail() -> None:
    with pytest.raises(ConditionFailed, match="divide by zero"):  # a value of type error
        one("string(1 / i) == ''", i=0)
    loops = "numbers.all(x, numbers.all(y, numbers.all(z, dyn(x + y + z) > 0)))"
    with pytest.raises(ConditionFailed, match="budget"):  # raised
        one(loops, numbers=[1] * 100)


def test_what_is_not_bool_never_comes_back() -> None:
    class Answer:
        def type(self) -> object:
            return cel.Type.INT

        def value(self) -> object:
            return 1

        def plain_value(self) -> object:
            return 1

    class Expression:
        def eval(self, data: object) -> Answer:
            return Answer()

    with pytest.raises(ConditionFailed):
        LibraryExpression((), Expression(), (), cel.Type.BOOL).evaluate([])


@pytest.mark.parametrize("value", [(1,), {1}, object(), b"x", 1 + 2j])
def test_values_of_other_classes_fail(value: object) -> None:
    with pytest.raises(ConditionFailed):
        one("numbers.map(n, n) == [1]", numbers=value)


def test_a_time_without_a_zone_is_refused() -> None:
    """The library reads it as UTC."""
    with pytest.raises(ConditionFailed, match="without a zone"):
        one("t.getFullYear() == 2024", t=datetime(2024, 1, 1))  # noqa: DTZ001


def test_a_time_that_the_library_shifts_by_a_second_is_refused() -> None:
    """It reads the first as 9503-01-06T21:27:10.999995Z; a constant of that kind is left to the library, which reads texts right."""
    with pytest.raises(ConditionFailed, match="a second later"):
        one("t.getSeconds() == 9", t=datetime(9503, 1, 6, 21, 27, 9, 999_995, tzinfo=UTC))
    assert one("t.getSeconds() == 9", t=datetime(9503, 1, 6, 21, 27, 9, 999_000, tzinfo=UTC)) is True
    assert one("t.getSeconds() == 9", t=datetime(2024, 1, 6, 21, 27, 9, 999_999, tzinfo=UTC)) is True
    assert one('timestamp("9503-01-06T21:27:09.999995Z") < t', t=datetime(9503, 1, 6, 21, 27, 10, tzinfo=UTC)) is True


@pytest.mark.parametrize("value", [datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)])
def test_the_ends_of_time_fail(value: datetime) -> None:
    with pytest.raises(ConditionFailed):
        one("t.getFullYear() > 0", t=value)


@pytest.mark.parametrize("value", [timedelta.max, timedelta.min])
def test_durations_out_of_range_fail(value: timedelta) -> None:
    with pytest.raises(ConditionFailed):
        one("p.getSeconds() != 0", p=value)


@pytest.mark.parametrize(("name", "value"), [("i", 2**63), ("i", -(2**63) - 1), ("u", 2**64), ("u", -1), ("i", 1.5)])
def test_numbers_out_of_range_fail(name: str, value: object) -> None:
    with pytest.raises(ConditionFailed):
        one(f"dyn({name}) != 7", **{name: value})


def test_each_evaluation_has_values_of_its_own() -> None:
    found = library('s.matches("^a") || b')
    values: list[object] = [None] * len(NUMBERS)
    values[NUMBERS["s"]], values[NUMBERS["b"]] = "a", False
    assert found.evaluate(values) is True
    values[NUMBERS["s"]] = "b"
    assert found.evaluate(values) is False


def test_threads_share_an_expression() -> None:
    found = library('int(s) == i && names.exists(n, n.matches("^x" + s + "$"))')
    wrong: list[object] = []

    def ask(number: int) -> None:
        values: list[object] = [None] * len(NUMBERS)
        values[NUMBERS["s"]], values[NUMBERS["i"]] = str(number), number
        for turn in range(2_000):
            values[NUMBERS["names"]] = ["y", f"x{number + turn % 2}"]
            if found.evaluate(values) is not (turn % 2 == 0):
                wrong.append((number, turn))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_part_too_deep_to_be_rebuilt_is_refused_or_right() -> None:
    """What holds addresses goes to the library as bytes, which that reads to a depth of its own."""
    refused: list[str] = []
    for depth in range(5, 30, 4):
        expression = "ip == ip && s.matches(s)"
        for _ in range(depth):
            expression = f"[1].all(x, {expression})"
        try:
            found = library(expression)
        except ModelError as error:
            refused.append(error.message)
        else:
            assert [found.evaluate([*["a"] * len(NUMBERS), value]) for value in (True, False)] == [True, False]
    assert all("cannot be read" in message for message in refused)
    assert len(refused) < 5


# Public models


def public_models() -> list[tuple[str, str]]:
    """Every model of the public suites that has a condition, by where it is."""
    if not SUITES.is_dir():
        return []
    suite = load_suite(SUITES / "openfga" / "abac_tests.yaml")
    found = [(f"{test.name}-{number}", stage.model) for test in suite for number, stage in enumerate(test.stages)]
    paths: Sequence[Path] = sorted([*SUITES.rglob("*.fga"), *SUITES.rglob("authorization-model.json")])
    found += [(str(path.relative_to(SUITES)), path.read_text(encoding="utf-8")) for path in paths]
    return [(name, text) for name, text in found if "condition" in text]


@needs_suites
def test_every_condition_of_the_public_suites_compiles() -> None:
    ours = whole = 0
    refused: dict[str, str] = {}
    for name, text in public_models():
        model = language.from_json(text) if text.lstrip().startswith("{") else language.parse(text)
        try:
            conditions = compile_conditions(model)
        except FgaError as error:
            refused[name] = error.message
            continue
        ours += sum(condition.code is not None for condition in conditions.values())
        whole += sum(condition.library is not None for condition in conditions.values())
    assert sorted(refused) == [f"language/transformer/11-multiple-conditions/authorization-model.{suffix}" for suffix in ("fga", "json")]
    assert all("undeclared reference to `document_attributes`" in message for message in refused.values())
    assert (ours, whole) == (83, 2)
