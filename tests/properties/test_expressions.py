"""Conditions mean what the CEL library says: random typed expressions over random values, by our evaluator and by the library.

The library is asked for the same text in an environment where addresses are texts and the functions of addresses are Python's; the product
never does that, since callbacks leak. Three answers exist: true, false, and an error of whatever kind.
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fgacore.errors import ModelError, RequestError
from fgacore.kernel.program import OVERLOADS, Program
from fgacore.language.conditions import CompiledCondition, ConditionFailed, compile_conditions
from fgacore.language.expressions import OURS
from fgacore.language.model import Condition, Model, Parameter
from fgacore.runtime import context

cel = pytest.importorskip("cel_expr_python.cel", reason="the extra `conditions` is not installed")

ERROR = "error"

PARAMETERS = {
    "i": Parameter("int"),
    "j": Parameter("int"),
    "u": Parameter("uint"),
    "d": Parameter("double"),
    "s": Parameter("string"),
    "r": Parameter("string"),
    "b": Parameter("bool"),
    "t": Parameter("timestamp"),
    "p": Parameter("duration"),
    "ip": Parameter("ipaddress"),
    "a": Parameter("any"),
    "li": Parameter("list", "int"),
    "ls": Parameter("list", "string"),
    "la": Parameter("list", "any"),
    "lip": Parameter("list", "ipaddress"),
    "mi": Parameter("map", "int"),
    "ms": Parameter("map", "string"),
}
BY_TYPE: dict[str, list[str]] = {}
for _name, _parameter in PARAMETERS.items():
    BY_TYPE.setdefault(_parameter.type + (f"<{_parameter.member}>" if _parameter.member else ""), []).append(_name)

SCALARS = ("int", "uint", "double", "string", "bool", "timestamp", "duration", "ipaddress")
ORDERED = ("int", "uint", "double", "string", "timestamp", "duration")
LISTS = ("list<int>", "list<string>", "list<any>", "list<ipaddress>")
MAPS = ("map<int>", "map<string>")

INSTANTS = ("1970-01-01T00:00:00Z", "2024-02-29T12:00:00.5+01:00", "0001-01-02T00:00:00Z", "9999-12-30T23:59:59Z")
LITERALS: dict[str, list[str]] = {
    "int": ["0", "1", "-1", "2", "3", "7", "9223372036854775807", "-9223372036854775808", "4611686018427387904"],
    "uint": ["0u", "1u", "2u", "18446744073709551615u", "9223372036854775808u"],
    "double": ["0.0", "-0.0", "1.0", "-1.5", "0.1", "1e308", "-1e308", "1e-320", "9007199254740993.0"],
    "string": ['""', '"a"', '"ab"', '"b"', '"é"', '"😀a"', '"x"', '"10.0.0.1"', '"10.0.0.0/8"', "'\\n'"],
    "bool": ["true", "false"],
    "timestamp": [f'timestamp("{text}")' for text in INSTANTS],
    "duration": [f'duration("{text}")' for text in ("0s", "1h", "-1.5s", "1us", "87660000h", "-87660000h", "2562047h47m16s", "-2562048h")],
    "ipaddress": [f'ipaddress("{text}")' for text in ("10.0.0.1", "192.168.1.1", "2001:db8::1", "::ffff:10.0.0.1", "10.0.0", "")],
    "any": ["null", "1", "1u", "1.0", '"a"', "true", "[1]", "[]"],
}  # fmt: skip
NETWORKS = [
    '"10.0.0.0/8"',
    '"10.0.0.1/32"',
    '"0.0.0.0/0"',
    '"192.168.1.77/24"',
    '"2001:db8::/32"',
    '"::/0"',
    '"10.0.0.0"',
    '"10.0.0.0/33"',
    '"x"',
    "s",
    "r",
]

Scope = tuple[tuple[str, str], ...]  # the variables of the comprehensions around it, and their types


class Writer:
    """Writes a random expression of a given type. Every operand stands in parentheses, so that precedence plays no part."""

    def __init__(self, draw: st.DrawFn, whole: bool) -> None:
        self.draw = draw
        self.whole = whole  # with functions that are the library's

    def pick(self, options: Sequence[str]) -> str:
        return self.draw(st.sampled_from(options))

    def leaf(self, kind: str, scope: Scope) -> str:
        options = [name for name, other in scope if other == kind] + BY_TYPE.get(kind, []) + LITERALS.get(kind, [])
        if kind == "any":
            options += BY_TYPE["int"] + BY_TYPE["string"]
        return self.pick(options)

    def of(self, kind: str, scope: Scope, depth: int) -> str:
        """An expression of this type, at most `depth` operators deep."""
        if depth <= 0 or not self.draw(st.integers(0, 4)):
            return self.leaf(kind, scope)
        if kind == "bool":
            return self.truth(scope, depth - 1)
        down = functools.partial(self.of, scope=scope, depth=depth - 1)
        options: list[Callable[[], str]] = [lambda: f"({down('bool')} ? {down(kind)} : {down(kind)})"]
        if kind in ("int", "uint", "double"):
            signs = "+-*/" if kind == "double" else "+-*/%"
            options += [lambda: f"({down(kind)} {self.pick(list(signs))} {down(kind)})"] * 3
        if kind in ("int", "double"):
            options.append(lambda: f"(-{down(kind)})")
        if kind in ("int", "string"):
            options.append(lambda: f"(l{kind[0]}[{down('int')}])")
            options.append(lambda: f"(m{kind[0]}[{down('string')}])")
            options.append(lambda: f"(m{kind[0]}.{self.pick(['x', 'y', 'z'])})")
        if kind == "int":
            options.append(lambda: f"size({down(self.pick(('string', *LISTS, *MAPS)))})")
            options.append(lambda: f"({down(self.pick(('string', *LISTS, *MAPS)))}).size()")
        if kind == "string":
            options.append(lambda: f"({down('string')} + {down('string')})")
        if kind == "ipaddress":
            options.append(lambda: f"ipaddress({down('string')})")
        if kind == "timestamp":
            options += [lambda: f"({down(kind)} {self.pick(['+', '-'])} {down('duration')})", lambda: f"({down('duration')} + {down(kind)})"]
        if kind == "duration":
            options += [lambda: f"({down(kind)} {self.pick(['+', '-'])} {down(kind)})", lambda: f"({down('timestamp')} - {down('timestamp')})"]
        if kind.startswith("list"):
            member = kind[5:-1]
            options += [lambda: "[" + ", ".join(down(member) for _ in range(self.draw(st.integers(1, 3)))) + "]"] * 2
        if kind == "any":
            options = [lambda: self.of(self.pick((*SCALARS[:7], *LISTS, *MAPS)), scope, depth - 1)]
        return self.draw(st.sampled_from(options))()

    def truth(self, scope: Scope, depth: int) -> str:
        down = functools.partial(self.of, scope=scope, depth=depth)

        def ordered() -> str:
            kind = self.pick(ORDERED)
            return f"({down(kind)} {self.pick(['<', '<=', '>', '>='])} {down(kind)})"

        def equal() -> str:
            kind = self.pick((*SCALARS, *LISTS, *MAPS))
            return f"({down(kind)} {self.pick(['==', '!='])} {down(kind)})"

        def equal_to_any() -> str:
            sides = [down("any"), self.leaf("any", scope) if self.draw(st.booleans()) else "a"]
            left, right = self.draw(st.permutations([sides[0], "a"])) if self.draw(st.booleans()) else (sides[1], "a")
            return f"({left} {self.pick(['==', '!='])} {right})"

        def member() -> str:
            kind = self.pick(("int", "string", "ipaddress"))
            return f"({down(kind)} in {down(f'list<{kind}>')})"

        def loop() -> str:
            over = self.pick((*LISTS, *MAPS))
            kind = over[5:-1] if over.startswith("list") else "string"
            name = self.pick(["x", "y", "i", "s"])  # some hide a parameter or another variable
            inner = (*((other, type) for other, type in scope if other != name), (name, kind))
            return f"({down(over)}).{self.pick(['all', 'exists', 'exists_one'])}({name}, {self.of('bool', inner, depth)})"

        options: list[Callable[[], str]] = [
            *[lambda: f"({down('bool')} {self.pick(['&&', '||'])} {down('bool')})"] * 3,
            lambda: f"(!{down('bool')})",
            lambda: f"({down('bool')} ? {down('bool')} : {down('bool')})",
            *[ordered] * 3,
            *[equal] * 2,
            equal_to_any,
            member,
            lambda: f"({down('string')} in {self.pick(['mi', 'ms'])})",
            lambda: f"({down('any')} in la)",
            *[loop] * 2,
            lambda: f"has({self.pick(['mi', 'ms'])}.{self.pick(['x', 'y', 'z'])})",
            lambda: f"({down('string')}).{self.pick(['contains', 'startsWith', 'endsWith'])}({down('string')})",
            *[lambda: f"({down('ipaddress')}).in_cidr({self.pick(NETWORKS)})"] * 2,
        ]
        if self.whole:
            options += [lambda: f"({down('string')}).matches({self.pick(['s', 'r', self.leaf('string', scope)])})"] * 4
            options += [lambda: f"(int({down('string')}) == {down('int')})", lambda: f"({down('list<int>')}.map(x, x + 1) == {down('list<int>')})"]
        return self.draw(st.sampled_from(options))()


@st.composite
def expressions(draw: st.DrawFn, *, whole: bool = False) -> str:
    """The text of an expression of type bool. One in which a variable of a loop hides a parameter of another type may not compile."""
    return Writer(draw, whole).of("bool", (), draw(st.integers(1, 5)))


TEXTS = st.sampled_from(["", "a", "b", "ab", "aba", "é", "😀", "x", "1", "10.0.0.1", "10.0.0.0/8", "fe80::1"])
INTS = st.one_of(st.integers(-3, 3), st.sampled_from([2**63 - 1, -(2**63), 2**62, -(2**62), 2**53 + 1]), st.integers(-(2**63), 2**63 - 1))
UINTS = st.one_of(st.integers(0, 3), st.sampled_from([2**64 - 1, 2**63]))
DOUBLES = st.one_of(st.sampled_from([0.0, -0.0, 1.0, 0.1, -1.5, 1e308, 5e-324, 2.0**53]), st.floats(allow_nan=False, allow_infinity=False))
TIMES = st.one_of(
    st.sampled_from([datetime(1970, 1, 1, tzinfo=UTC), datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, 23, 59, 59, tzinfo=UTC)]),
    st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    # Farther away the library takes some microseconds for those of the next second, which the product refuses.
    st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)).map(lambda time: time.replace(microsecond=0)),  # noqa: DTZ001
)
SPANS = st.one_of(
    st.sampled_from([timedelta(0), timedelta(hours=1), timedelta(seconds=-1.5), timedelta(microseconds=1), timedelta(days=106_751)]),
    st.timedeltas(timedelta(days=-106_751), timedelta(days=106_751)),
)
ADDRESSES = st.sampled_from(["10.0.0.1", "10.255.0.7", "192.168.1.1", "2001:db8::1", "::", "::1"])
KEYS = st.sampled_from(["x", "y", "a", "é"])
ANY = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-2, 2), st.sampled_from([1.0, 1.5, -0.0, 2.0**53]), st.sampled_from(["", "a"])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=2)),
    max_leaves=6,
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "int": INTS,
    "uint": UINTS,
    "double": DOUBLES,
    "string": TEXTS,
    "bool": st.booleans(),
    "timestamp": TIMES,
    "duration": SPANS,
    "ipaddress": ADDRESSES,
    "any": ANY,
}


def values_of(parameter: Parameter) -> st.SearchStrategy[Any]:
    if parameter.type == "list":
        return st.lists(VALUES[parameter.member or ""], max_size=4)
    if parameter.type == "map":
        return st.dictionaries(KEYS, VALUES[parameter.member or ""], max_size=3)
    return VALUES[parameter.type]


ALL_VALUES = st.tuples(*(values_of(parameter) for parameter in PARAMETERS.values())).map(list)


# The library, whole


def address(text: str) -> str:
    found = ipaddress.ip_address(text)
    return str(found.ipv4_mapped or found if isinstance(found, ipaddress.IPv6Address) else found)


def in_cidr(text: str, network: str) -> bool:
    if "/" not in network:
        raise ValueError("a network has a prefix")
    return ipaddress.ip_address(text) in ipaddress.ip_network(network, strict=False)


@functools.cache
def shim() -> Any:
    """An environment of the library that evaluates everything, addresses as texts."""
    kinds = cel.Type
    scalars = {
        "bool": kinds.BOOL,
        "string": kinds.STRING,
        "int": kinds.INT,
        "uint": kinds.UINT,
        "double": kinds.DOUBLE,
        "duration": kinds.DURATION,
        "timestamp": kinds.TIMESTAMP,
        "ipaddress": kinds.STRING,
        "any": kinds.DYN,
    }

    def of(parameter: Parameter) -> Any:
        if parameter.type == "list":
            return kinds.List(scalars[parameter.member or ""])
        return kinds.Map(kinds.STRING, scalars[parameter.member or ""]) if parameter.type == "map" else scalars[parameter.type]

    functions = [
        cel.FunctionDecl("ipaddress", [cel.Overload("string_to_ip", return_type=kinds.STRING, parameters=[kinds.STRING], impl=address)]),
        cel.FunctionDecl(
            "in_cidr", [cel.Overload("ip_in_cidr", return_type=kinds.BOOL, parameters=[kinds.STRING] * 2, is_member=True, impl=in_cidr)]
        ),
    ]
    return cel.NewEnv(variables={name: of(parameter) for name, parameter in PARAMETERS.items()}, functions=functions)


def whole_answer(text: str, values: Sequence[object]) -> bool | str:
    """What the library says to the whole expression, with callbacks for addresses."""
    try:
        result = shim().compile(text).eval(data=dict(zip(PARAMETERS, values, strict=True)))
    except (RuntimeError, ValueError):
        return ERROR
    return bool(result.value()) if result.type() == cel.Type.BOOL else ERROR


# The product


def compiled(text: str) -> CompiledCondition:
    return compile_conditions(Model("1.1", {}, {"c": Condition("c", PARAMETERS, text)}))["c"]


EXAMPLES: dict[str, object] = {
    "int": 1,
    "uint": 1,
    "double": 1.0,
    "string": "a",
    "bool": True,
    "timestamp": datetime(2024, 1, 1, tzinfo=UTC),
    "duration": timedelta(hours=1),
    "ipaddress": "10.0.0.1",
    "list": [],
    "map": {},
}
SIGNATURE = context.Parameters([(name, parameter.type, parameter.member) for name, parameter in PARAMETERS.items()])


def evaluate(code: Any, values: Sequence[object]) -> bool | None:
    """What our evaluator says: None where the expression fails. That is the only way in which it may fail."""
    try:
        return bool(context.evaluate(Program(code, len(PARAMETERS)), SIGNATURE, dict(zip(PARAMETERS, values, strict=True))))
    except RequestError as error:
        if error.code != "condition_failed":
            raise
        return None


def product_answer(condition: CompiledCondition, values: Sequence[object]) -> bool | str:
    """What the product says, whichever way it takes."""
    if condition.library is None:
        return ERROR if (found := evaluate(condition.code, values)) is None else found
    lifted = [evaluate(code, values) for code in condition.library.lifted]
    try:
        return condition.library.evaluate([*values, *lifted])
    except ConditionFailed:
        return ERROR


def answers(examples: int, *, whole: bool) -> set[tuple[str, bool | str]]:
    """Compare the product with the library on random expressions; which way each took, and its answer."""
    seen: set[tuple[str, bool | str]] = set()

    @settings(max_examples=examples)
    @given(expressions(whole=whole), ALL_VALUES)
    @example('ip.in_cidr("10.0.0.0/8") && s.matches("a+")', [EXAMPLES.get(parameter.type) for parameter in PARAMETERS.values()])
    def run(text: str, values: list[object]) -> None:
        try:
            condition = compiled(text)
        except ModelError:
            return  # the library refuses the text, or it cannot be taken apart
        expected = whole_answer(text, values)
        assert product_answer(condition, values) == expected
        seen.add(("ours" if condition.library is None else "apart" if condition.library.lifted else "whole", expected))

    run()
    return seen


def test_our_evaluator_says_what_the_library_says() -> None:
    assert answers(600, whole=False) >= {("ours", True), ("ours", False), ("ours", ERROR)}


def test_the_library_says_the_same_with_addresses_computed_apart() -> None:
    seen = answers(500, whole=True)
    assert seen >= {("whole", True), ("whole", False), ("whole", ERROR)}
    assert "apart" in {way for way, _ in seen}


@pytest.mark.parametrize(("outer", "inner", "fits"), [(20, 498, True), (20, 499, False), (100, 98, True), (100, 99, False)])
@pytest.mark.parametrize(("macro", "body"), [("all", "true"), ("exists", "false"), ("exists_one", "x == y")])
def test_both_stop_after_the_same_number_of_iterations(macro: str, body: str, outer: int, inner: int, fits: bool) -> None:
    values = [list(range(inner)) if name == "li" else EXAMPLES.get(parameter.type) for name, parameter in PARAMETERS.items()]
    text = f"{list(range(outer))}.{macro}(x, li.{macro}(y, {body}))"
    expected = whole_answer(text, values)
    assert (expected is not ERROR) == fits
    assert product_answer(compiled(text), values) == expected


def test_the_overloads_that_are_ours_are_known_to_the_evaluator() -> None:
    assert OURS <= OVERLOADS
