"""Contexts: what is accepted for a parameter and as what, what is refused and why, and that a stored context reads back as it was.

OpenFGA's coercions are Go's parsers; they are held to Python's own exact ones where the two agree.
"""

from __future__ import annotations

import ipaddress
import itertools
import math
import os
import random
import struct
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from enum import IntEnum, StrEnum
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgacore.errors import InternalError, LimitError, RequestError
from fgacore.kernel.program import Program
from fgacore.limits import CONTEXT_BYTES_MAX, CONTEXT_DEPTH_MAX, REQUEST_CONTEXT_BYTES_MAX
from fgacore.runtime.context import Context, Parameters, evaluate, fault, unpack

EXAMPLES = 40 if os.environ.get("FGACORE_SMALL") else 200

INT_MAX, INT_MIN, UINT_MAX = 2**63 - 1, -(2**63), 2**64 - 1
ZONE = timezone(timedelta(hours=2))


class Name(StrEnum):
    TEN = "10"


class Number(IntEnum):
    TEN = 10


class Loud(str):
    """A text whose own code must never run."""

    def __str__(self) -> str:
        raise AssertionError

    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other)


class Broken(Mapping[str, object]):
    """A mapping that fails when it is read."""

    def __getitem__(self, key: str) -> object:
        raise RuntimeError

    def __iter__(self) -> Iterator[str]:
        return iter(["x"])

    def __len__(self) -> int:
        return 1


class NoZone(tzinfo):
    """A zone that fails when it is asked."""

    def utcoffset(self, moment: datetime | None) -> timedelta:
        raise RuntimeError

    def dst(self, moment: datetime | None) -> timedelta:
        raise RuntimeError

    def tzname(self, moment: datetime | None) -> str:
        raise RuntimeError


def one(type: str, member: str | None = None) -> Parameters:
    return Parameters([("x", type, member)])


def parameters_of(type: str) -> Parameters:
    """Of `int`, `list<int>`, ..."""
    base, _, member = type.removesuffix(">").partition("<")
    return one(base, member or None)


def nested(depth: int, inner: object = 1) -> Any:
    value = inner
    for _ in range(depth):
        value = [value]
    return value


def moment(*parts: int, micros: int = 0) -> datetime:
    year, month, day, hour, minute, second = (*parts, 1, 1, 0, 0, 0)[: len(parts)] + (1, 1, 0, 0, 0)[len(parts) - 1 :]
    return datetime(year, month, day, hour, minute, second, micros, tzinfo=UTC)


ACCEPTED: list[tuple[str, object, object]] = [
    ("bool", True, True),
    ("string", "é😀", "é😀"),
    ("string", "", ""),
    ("string", Name.TEN, "10"),
    ("string", Loud("x"), "x"),
    ("int", 10, 10),
    ("int", INT_MAX, INT_MAX),
    ("int", INT_MIN, INT_MIN),
    ("int", Number.TEN, 10),
    ("int", 10.0, 10),
    ("int", -0.0, 0),
    ("int", -(2.0**63), INT_MIN),
    ("int", "10", 10),
    ("int", Name.TEN, 10),
    ("int", "+10", 10),
    ("int", "-9223372036854775808", INT_MIN),
    ("int", "9223372036854775807.000", INT_MAX),
    ("int", "1e3", 1000),
    ("int", "1.5E+1", 15),
    ("int", "1000e-3", 1),
    ("int", "0e99999999999999999999", 0),
    ("int", ".0", 0),
    ("int", "5.", 5),
    ("uint", 0, 0),
    ("uint", UINT_MAX, UINT_MAX),
    ("uint", "18446744073709551615", UINT_MAX),
    ("uint", "-0", 0),
    ("uint", 3.0, 3),
    ("double", 1.5, 1.5),
    ("double", 2**53 + 1, 2.0**53),
    ("double", UINT_MAX, 2.0**64),
    ("double", "0.1", 0.1),
    ("double", "-.5e1", -5.0),
    ("double", "123456789012345678901234567890", 123456789012345678901234567890.0),
    ("double", "4.9406564584124654e-324", 5e-324),
    ("double", "1e-999999999999", 0.0),
    ("double", "1.7976931348623157e308", 1.7976931348623157e308),
    ("duration", "1h30m", timedelta(minutes=90)),
    ("duration", "1.5s", timedelta(seconds=1.5)),
    ("duration", "-2ms", timedelta(milliseconds=-2)),
    ("duration", "+5us", timedelta(microseconds=5)),
    ("duration", "5µs", timedelta(microseconds=5)),
    ("duration", "5μs", timedelta(microseconds=5)),
    ("duration", "1000ns", timedelta(microseconds=1)),
    ("duration", "0", timedelta(0)),
    ("duration", "-0", timedelta(0)),
    ("duration", ".5h", timedelta(minutes=30)),
    ("duration", "1.h", timedelta(hours=1)),
    ("duration", "1h1h", timedelta(hours=2)),
    ("duration", "2562047h47m16.854775s", timedelta(microseconds=9223372036854775)),
    ("duration", "-2562047h47m16.854775s", timedelta(microseconds=-9223372036854775)),
    ("duration", "0.100000000000000000000000000000s", timedelta(milliseconds=100)),
    ("duration", timedelta(days=-1, microseconds=1), timedelta(days=-1, microseconds=1)),
    ("duration", timedelta(microseconds=9223372036854775), timedelta(microseconds=9223372036854775)),
    ("timestamp", "1972-01-01T10:00:20.021Z", moment(1972, 1, 1, 10, 0, 20, micros=21_000)),
    ("timestamp", "2024-02-29T23:59:59+01:30", moment(2024, 2, 29, 22, 29, 59)),
    ("timestamp", "2024-01-01T00:00:00-00:30", moment(2024, 1, 1, 0, 30)),
    ("timestamp", "2024-01-01T00:00:00+24:60", moment(2023, 12, 30, 23, 0)),
    ("timestamp", "2024-01-01T1:02:03Z", moment(2024, 1, 1, 1, 2, 3)),
    ("timestamp", "2024-01-01T01:02:03,5Z", moment(2024, 1, 1, 1, 2, 3, micros=500_000)),
    ("timestamp", "2024-01-01T01:02:03.1234560009999Z", moment(2024, 1, 1, 1, 2, 3, micros=123_456)),
    ("timestamp", "0001-01-02T00:00:00Z", moment(1, 1, 2)),
    ("timestamp", "9999-12-30T23:59:59.999999Z", moment(9999, 12, 30, 23, 59, 59, micros=999_999)),
    ("timestamp", datetime(2024, 1, 1, 2, tzinfo=ZONE), moment(2024, 1, 1)),
    ("timestamp", datetime(2024, 1, 1, 0, 0, 0, 5, tzinfo=UTC), moment(2024, 1, 1, micros=5)),
    ("ipaddress", "192.168.0.1", "192.168.0.1"),
    ("ipaddress", "2001:DB8::1", "2001:db8::1"),
    ("ipaddress", "::", "::"),
    ("ipaddress", "1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
    ("ipaddress", "64:ff9b::192.0.2.33", "64:ff9b::c000:221"),
    ("ipaddress", "::ffff:10.0.0.1", "10.0.0.1"),
    ("ipaddress", ipaddress.ip_address("10.0.0.1"), "10.0.0.1"),
    ("ipaddress", ipaddress.ip_address("::ffff:10.0.0.1"), "10.0.0.1"),
    ("list<string>", ["a", "b"], ["a", "b"]),
    ("list<int>", (1, "2", 3.0), [1, 2, 3]),
    ("list<any>", [1, "a", None, [True]], [1, "a", None, [True]]),
    ("list<timestamp>", [moment(2024), "2024-01-01T00:00:00Z"], [moment(2024)] * 2),
    ("list<ipaddress>", [ipaddress.ip_address("::1")], ["::1"]),
    ("list<string>", [], []),
    ("map<int>", {"b": 1, "a": "2"}, {"a": 2, "b": 1}),
    ("map<int>", MappingProxyType({"a": 1}), {"a": 1}),
    ("map<int>", OrderedDict(a=1), {"a": 1}),
    ("map<int>", {Loud("k"): 1}, {"k": 1}),
    ("map<any>", {"a": {"b": [{}]}}, {"a": {"b": [{}]}}),
    ("any", None, None),
    ("any", 1.5, 1.5),
    ("any", UINT_MAX, UINT_MAX),
    ("any", "x", "x"),
    ("any", [1, {"a": [2]}], [1, {"a": [2]}]),
    ("any", datetime(2024, 1, 1, 2, tzinfo=ZONE), "2024-01-01T00:00:00Z"),
    ("any", timedelta(hours=25, microseconds=-1), "24h59m59.999999s"),
    ("any", timedelta(seconds=-90), "-0h1m30s"),
    ("any", ipaddress.ip_address("::1"), "::1"),
    ("any", nested(CONTEXT_DEPTH_MAX), nested(CONTEXT_DEPTH_MAX)),
]

REFUSED: list[tuple[str, object, str]] = [
    ("bool", 1, "type"),
    ("bool", "true", "type"),
    ("bool", None, "type"),
    ("string", 1, "type"),
    ("string", b"x", "type"),
    ("string", moment(2024), "type"),
    ("string", timedelta(1), "type"),
    ("string", ipaddress.ip_address("::1"), "type"),
    ("string", "a\0b", "NUL"),
    ("string", "\ud800", "Unicode"),
    ("int", True, "type"),
    ("int", None, "type"),
    ("int", 1.5, "type"),
    ("int", "1.5", "type"),
    ("int", "1e-1", "type"),
    ("int", "", "type"),
    ("int", " 1", "type"),
    ("int", "1 ", "type"),
    ("int", "1_000", "type"),
    ("int", "0x10", "type"),
    ("int", "1e", "type"),
    ("int", "+", "type"),
    ("int", ".", "type"),
    ("int", "1.2.3", "type"),
    ("int", "inf", "type"),
    ("int", "10p2", "type"),
    ("int", "\u0661", "type"),
    ("int", "1" * 2_000, "type"),
    ("int", 2**63, "range"),
    ("int", 2**64, "range"),
    ("int", INT_MIN - 1, "range"),
    ("int", 2.0**63, "range"),
    ("int", 1e300, "range"),
    ("int", "9223372036854775808", "range"),
    ("int", "1e99999999999999", "range"),
    ("int", "1" * 1_000, "range"),
    ("int", math.nan, "finite"),
    ("uint", -1, "range"),
    ("uint", "-1", "range"),
    ("uint", -1.0, "range"),
    ("uint", "18446744073709551616", "range"),
    ("uint", 2.0**64, "range"),
    ("double", True, "type"),
    ("double", "x", "type"),
    ("double", "nan", "type"),
    ("double", "Infinity", "type"),
    ("double", math.inf, "finite"),
    ("double", "1e309", "range"),
    ("double", 10**400, "range"),
    ("duration", "2sm", "type"),
    ("duration", "", "type"),
    ("duration", "-", "type"),
    ("duration", "1", "type"),
    ("duration", "1d", "type"),
    ("duration", "1 h", "type"),
    ("duration", "h", "type"),
    ("duration", ".h", "type"),
    ("duration", "1H", "type"),
    ("duration", "--1h", "type"),
    ("duration", "1h-1m", "type"),
    ("duration", "2562047h47m16.854775808s", "type"),
    ("duration", "99999999999999999999h", "type"),
    ("duration", 60, "type"),
    ("duration", moment(2024), "type"),
    ("duration", timedelta(days=106752), "range"),
    ("duration", timedelta.max, "range"),
    ("timestamp", "2023-0914", "type"),
    ("timestamp", "2024-01-01", "type"),
    ("timestamp", "2024-01-01T00:00:00", "type"),
    ("timestamp", "2024-01-01t00:00:00Z", "type"),
    ("timestamp", "2024-01-01T00:00:00z", "type"),
    ("timestamp", "2024-01-01 00:00:00Z", "type"),
    ("timestamp", "2024-01-01T00:00:00.Z", "type"),
    ("timestamp", "2024-01-01T00:00:00Z ", "type"),
    ("timestamp", "2024-01-01T00:00:00+0100", "type"),
    ("timestamp", "2024-01-01T00:00:00+25:00", "type"),
    ("timestamp", "2024-01-01T24:00:00Z", "type"),
    ("timestamp", "2024-01-01T00:60:00Z", "type"),
    ("timestamp", "2024-01-01T00:00:60Z", "type"),
    ("timestamp", "2023-02-29T00:00:00Z", "type"),
    ("timestamp", "1900-02-29T00:00:00Z", "type"),
    ("timestamp", "2024-04-31T00:00:00Z", "type"),
    ("timestamp", "2024-00-01T00:00:00Z", "type"),
    ("timestamp", "2024-13-01T00:00:00Z", "type"),
    ("timestamp", "2024-01-00T00:00:00Z", "type"),
    ("timestamp", "0000-01-01T00:00:00Z", "range"),
    ("timestamp", "0001-01-01T00:00:00+00:01", "range"),
    ("timestamp", "9999-12-31T23:59:59-00:01", "range"),
    ("timestamp", 1704067200, "type"),
    ("timestamp", date(2024, 1, 1), "type"),
    ("timestamp", datetime(2024, 1, 1), "offset"),  # noqa: DTZ001
    ("timestamp", datetime(1, 1, 1, tzinfo=ZONE), "range"),
    ("timestamp", datetime(2024, 1, 1, tzinfo=NoZone()), "own code"),
    ("ipaddress", "10.0.0", "type"),
    ("ipaddress", "10.0.0.0.1", "type"),
    ("ipaddress", "10.0.0.256", "type"),
    ("ipaddress", "010.0.0.1", "type"),
    ("ipaddress", "10.0.0.1 ", "type"),
    ("ipaddress", "10.0.0.1/8", "type"),
    ("ipaddress", "", "type"),
    ("ipaddress", "localhost", "type"),
    ("ipaddress", ":", "type"),
    ("ipaddress", ":::", "type"),
    ("ipaddress", "1::2::3", "type"),
    ("ipaddress", "1:2:3:4:5:6:7", "type"),
    ("ipaddress", "1:2:3:4:5:6:7:8:9", "type"),
    ("ipaddress", "1:2:3:4:5:6:7:8::", "type"),
    ("ipaddress", "::1:2:3:4:5:6:7:8", "type"),
    ("ipaddress", "12345::", "type"),
    ("ipaddress", "::1.2.3", "type"),
    ("ipaddress", "fe80::1%eth0", "zone"),
    ("ipaddress", 1, "type"),
    ("list<int>", "12", "type"),
    ("list<int>", {"a": 1}, "type"),
    ("list<int>", {1, 2}, "type"),
    ("list<int>", [1, "x"], "type"),
    ("list<string>", ["a", None], "type"),
    ("list<string>", [moment(2024)], "type"),
    ("map<int>", [1], "type"),
    ("map<int>", {"a": "x"}, "type"),
    ("map<int>", {1: 1}, "keys"),
    ("map<int>", {"a\0": 1}, "NUL"),
    ("map<int>", {"\udfff": 1}, "Unicode"),
    ("map<int>", Broken(), "own code"),
    ("any", object(), "type"),
    ("any", [math.inf], "finite"),
    ("any", {"a": [{"b": "\0"}]}, "NUL"),
    ("any", 2**64, "range"),
    ("any", nested(CONTEXT_DEPTH_MAX + 1), "deeper"),
    ("any", nested(10_000), "deeper"),
    ("any", 1j, "type"),
]


@pytest.mark.parametrize(("type", "given", "value"), ACCEPTED)
def test_values_are_read_alike_wherever_they_come_from(type: str, given: object, value: object) -> None:
    parameters = parameters_of(type)
    stored = Context(parameters, {"x": given}, "stored")
    assert "bad" not in stored.states()
    for context in (stored, Context(parameters, {"x": given}), Context(parameters, stored.raw(), "reread")):
        assert repr(context.values()) == repr([value])
        assert context.states() == stored.states()


@pytest.mark.parametrize(("type", "given", "reason"), REFUSED)
def test_what_is_not_of_its_type_is_refused_where_it_is_written_and_bad_where_it_is_asked(type: str, given: object, reason: str) -> None:
    parameters = parameters_of(type)
    with pytest.raises(RequestError) as error:
        Context(parameters, {"x": given}, "stored")
    assert error.value.code == "invalid_context"
    assert "`x`" in error.value.message
    assert reason in error.value.message
    assert Context(parameters, {"x": given}).states() == ["bad"]
    assert fault(parameters, 0, {"x": given}) == error.value.message


# Keys and mappings


def test_a_key_that_is_no_parameter_is_refused_in_a_write_and_passed_over_in_a_request() -> None:
    with pytest.raises(RequestError, match="`y` of the context is no parameter"):
        Context(one("int"), {"x": 1, "y": 2}, "stored")
    request = Context(one("int"), {"x": 1, "y": object(), "z": nested(100_000), "\ud800": 1})
    assert request.values() == [1]


@pytest.mark.parametrize("kind", ["stored", "request"])
@pytest.mark.parametrize("context", [[("x", 1)], "x", 1, Broken(), {1: 2}, {b"x": 1}, {"x": 1, None: 2}])
def test_what_is_no_mapping_of_texts_is_refused(kind: str, context: object) -> None:
    with pytest.raises(RequestError) as error:
        Context(one("int"), context, kind)
    assert error.value.code == "invalid_context"


@pytest.mark.parametrize("kind", ["stored", "request"])
@pytest.mark.parametrize("context", [None, {}, MappingProxyType({})])
def test_an_empty_context_has_nothing(kind: str, context: object) -> None:
    assert Context(one("int"), context, kind).states() == ["missing"]


@pytest.mark.parametrize("kind", ["stored", "request"])
@pytest.mark.parametrize("context", [{Loud("x"): 1}, OrderedDict(x=1), MappingProxyType({"x": 1})])
def test_any_mapping_will_do(kind: str, context: object) -> None:
    assert Context(one("int"), context, kind).values() == [1]


class Twin(str):
    """Texts that are alike and are different keys."""

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other


def test_two_keys_alike_are_never_taken_for_one() -> None:
    twins = {Twin("x"): 1, Twin("x"): 2}
    with pytest.raises(RequestError, match="twice"):
        Context(one("int"), twins, "stored")
    with pytest.raises(RequestError, match="distinct"):
        Context(one("any"), {"x": twins}, "stored")
    assert Context(one("any"), {"x": twins}).states() == ["bad"]


def test_a_name_may_have_several_types() -> None:
    parameters = Parameters([("x", "int", None), ("y", "string", None), ("x", "string", None), ("x", "any", None), ("x", "list", "int")])
    assert Context(parameters, {"x": "5", "y": "b"}).values() == [5, "b", "5", "5", None]
    assert Context(parameters, {"x": [1, [2]], "y": "b"}).states() == ["bad", "string", "bad", "list", "bad"]
    both = Context(parameters, {"x": [1, "2"]})
    assert both.values() == [None, None, None, [1, "2"], [1, 2]]
    assert Context(parameters, msgpack.packb({"x": [1, "2"]}), "reread").values() == both.values()


def test_many_parameters_are_filled_each_from_its_key() -> None:
    names = [f"p{i}" for i in range(300)]
    parameters = Parameters([(name, "int", None) for name in names])
    values = dict(zip(random.Random(1).sample(names, 300), range(300), strict=True))
    for kind in ("stored", "request"):
        assert Context(parameters, values, kind).values() == [values[name] for name in names]


@pytest.mark.parametrize("parameter", [("x", "int", "int"), ("x", "list", None), ("x", "list", "map"), ("x", "money", None), ("x", None, None)])
def test_a_parameter_of_no_type_is_refused(parameter: Any) -> None:
    with pytest.raises(ValueError, match="cannot be of type"):
        Parameters([parameter])


# Stored contexts

JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(INT_MIN, UINT_MAX),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=20),
        st.dictionaries(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5), inner, max_size=20),
    ),
    max_leaves=30,
)


@given(JSON)
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_stored_context_reads_back_as_it_was(value: Any) -> None:
    context = Context(one("any"), {"x": value}, "stored")
    assert repr(context.values()) == repr([sorted_keys(value)])
    assert repr(unpack(context.raw())) == repr({"x": sorted_keys(value)})
    assert context.raw() == msgpack.packb({"x": sorted_keys(value)})


def sorted_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: sorted_keys(value[key]) for key in sorted(value, key=str.encode)}
    return [sorted_keys(member) for member in value] if isinstance(value, list) else value


def test_contexts_are_equal_by_what_they_say() -> None:
    parameters = Parameters([("x", "int", None), ("y", "any", None)])
    a = Context(parameters, {"x": 1, "y": {"b": 1, "a": 2}}, "stored")
    b = Context(Parameters([("y", "any", None), ("x", "int", None)], 7), {"y": {"a": 2, "b": 1}, "x": 1}, "stored")
    assert a == b
    assert hash(a) == hash(b)
    for other in ({"x": 1}, {"x": "1", "y": {"b": 1, "a": 2}}, {"x": 1, "y": {"b": 1, "a": 3}}):
        assert a != Context(parameters, other, "stored")
    assert b.parameters.signature == 7


def test_a_stored_context_may_be_read_for_other_parameters() -> None:
    stored = Context(Parameters([("x", "string", None), ("y", "any", None), ("z", "int", None)]), {"x": "5", "y": [1, "a"], "z": 3}, "stored")
    newer = Parameters([("w", "int", None), ("x", "int", None), ("y", "list", "int"), ("z", "double", None)])
    again = Context(newer, stored.raw(), "reread")
    assert again.states() == ["missing", "int", "bad", "double"]
    assert again.values() == [None, 5, None, 3.0]
    assert again == stored


@given(st.binary(max_size=40))
@settings(max_examples=EXAMPLES * 2, deadline=None)
def test_bytes_that_are_no_context_are_refused(raw: bytes) -> None:
    for data in (raw, b"\x81\xa1x" + raw):
        try:
            expected = msgpack.unpackb(data, strict_map_key=False)
        except Exception:  # noqa: BLE001 - of whatever kind: it has no meaning there
            expected = None
        try:
            found = unpack(data)
        except InternalError:
            continue
        assert repr(found) == repr(expected)


@given(st.binary(max_size=40))
@settings(max_examples=EXAMPLES * 2, deadline=None)
def test_bytes_that_are_no_value_make_it_bad_or_are_refused(raw: bytes) -> None:
    for type in ("any", "list<int>", "map<any>", "string", "timestamp"):
        try:
            context = Context(parameters_of(type), b"\x81\xa1x" + raw, "reread")
        except InternalError:
            continue
        try:
            assert len(context.values()) == 1
        except (UnicodeDecodeError, RequestError):
            assert context.states() != ["bad"]


@pytest.mark.parametrize("raw", [b"", b"\xc0", b"\x81", b"\x81\x01\x01", b"\x80\x80", b"\xdf\xff\xff\xff\xff", b"\x81\xa1x" + b"\x91" * 80 + b"\x01"])
def test_damage_is_an_error_of_ours(raw: bytes) -> None:
    with pytest.raises(InternalError):
        Context(one("any"), raw, "reread")
    with pytest.raises(InternalError):
        unpack(raw)


# Bounds


def test_a_stored_context_has_at_most_so_many_bytes() -> None:
    fits = "a" * (CONTEXT_BYTES_MAX - 6)  # the head of the map, the key, and three bytes before the text
    assert len(Context(one("string"), {"x": fits}, "stored").raw()) == CONTEXT_BYTES_MAX
    values: list[object] = [fits + "a", "a" * (1 << 22), ["a"] * CONTEXT_BYTES_MAX, {str(i): i for i in range(CONTEXT_BYTES_MAX)}]
    for value in values:
        with pytest.raises(LimitError) as error:
            Context(one("any"), {"x": value}, "stored")
        assert error.value.code == "limit_exceeded"


def test_a_request_context_has_at_most_so_many_bytes() -> None:
    size = REQUEST_CONTEXT_BYTES_MAX - 5
    assert Context(one("string"), {"x": "a" * size}).values() == ["a" * size]
    values: list[object] = ["a" * (size + 1), [[]] * REQUEST_CONTEXT_BYTES_MAX, {"k": "é" * size}, ["ab"] * (size // 2)]
    for value in values:
        with pytest.raises(LimitError):
            Context(one("any"), {"x": value})
    assert Context(one("int"), {"x": 1, "not a parameter": "a" * (4 * size)}).values() == [1]


def test_a_value_that_holds_itself_is_too_deep() -> None:
    loop: list[object] = []
    loop.append(loop)
    assert Context(one("any"), {"x": loop}).states() == ["bad"]


class Endless(Mapping[str, object]):
    """A mapping whose keys have no end."""

    def __getitem__(self, key: str) -> object:
        return 1

    def __iter__(self) -> Iterator[str]:
        return map(str, itertools.count())

    def __len__(self) -> int:
        return 1


class EndlessDict(dict[str, object]):
    """A dict that says so."""

    def __iter__(self) -> Iterator[str]:
        return map(str, itertools.count())

    def keys(self) -> Any:
        return iter(self)


@pytest.mark.parametrize("kind", ["stored", "request"])
def test_an_endless_mapping_ends(kind: str) -> None:
    for context in (Endless(), {"x": Endless()}):
        with pytest.raises(LimitError):
            Context(one("any"), context, kind)
    assert Context(one("any"), EndlessDict(x=EndlessDict(y=1)), kind).values() == [{"y": 1}]


def test_what_a_mapping_does_while_it_is_read_changes_nothing() -> None:
    """Its own code may change the context around it: every value is held, and none is read twice."""
    context: dict[str, object] = {}

    class Clearing(Broken):
        def __iter__(self) -> Iterator[str]:
            context.clear()
            return iter(["k"])

        def __getitem__(self, key: str) -> object:
            return 1

    parameters = Parameters([(name, "any", None) for name in "abc"])
    for _ in range(50):
        context.update(a=Clearing(), b=["x"], c=2)
        assert Context(parameters, context).states()[0] == "map"


# Parsers, against Python's own


DIGITS = st.one_of(st.sampled_from(["0", "1", "000", "9007199254740993"]), st.integers(0, 10**25).map(str))
EXPONENTS = st.one_of(st.just(""), st.builds("{}{}".format, st.sampled_from(["e", "E+", "e-", "e00"]), st.integers(0, 330)))


@given(st.builds("{}{}{}{}{}".format, st.sampled_from(["", "+", "-"]), st.just("") | DIGITS, st.sampled_from(["", "."]), DIGITS, EXPONENTS))
@settings(max_examples=EXAMPLES * 2, deadline=None)
def test_numbers_are_read_exactly(text: str) -> None:
    exact = Fraction(text)
    whole = Context(Parameters([("x", "int", None), ("x", "uint", None), ("x", "double", None)]), {"x": text})
    integral = int(exact) if exact.denominator == 1 else None
    assert whole.values()[0] == (integral if integral is not None and INT_MIN <= integral <= INT_MAX else None)
    assert whole.values()[1] == (integral if integral is not None and 0 <= integral <= UINT_MAX else None)
    assert whole.values()[2] == (float(text) if math.isfinite(float(text)) else None)


@given(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)), st.integers(-23 * 60, 23 * 60))  # noqa: DTZ001
@settings(max_examples=EXAMPLES, deadline=None)
def test_times_are_read_as_python_reads_them(local: datetime, minutes: int) -> None:
    aware = local.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    if not moment(1, 1, 2) <= aware < moment(9999, 12, 31):
        return
    for written in (aware, aware.isoformat()):
        assert Context(one("timestamp"), {"x": written}).values() == [aware.astimezone(UTC)]


@given(st.timedeltas(timedelta(days=-106751), timedelta(days=106751)))
@settings(max_examples=EXAMPLES, deadline=None)
def test_durations_are_exact(span: timedelta) -> None:
    assert Context(one("duration"), {"x": span}, "stored").values() == [span]


@given(st.one_of(st.ip_addresses(), st.ip_addresses().map(lambda a: ipaddress.ip_address(a.packed[:2].ljust(len(a.packed), b"\0")))))
@settings(max_examples=EXAMPLES, deadline=None)
def test_addresses_are_read_as_python_reads_them(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    plain = address.ipv4_mapped or address if isinstance(address, ipaddress.IPv6Address) else address
    for text in (str(address), address.exploded, str(address).upper()):
        assert Context(one("ipaddress"), {"x": text}).values() == [str(plain)]


@given(st.text("0123456789abcdf:.%", max_size=24))
@settings(max_examples=EXAMPLES * 2, deadline=None)
def test_what_is_no_address_is_none_here(text: str) -> None:
    try:
        valid = "%" not in text and ipaddress.ip_address(text) is not None
    except ValueError:
        valid = False
    assert (Context(one("ipaddress"), {"x": text}).states() == ["ipaddress"]) is valid


@given(st.ip_addresses(), st.ip_addresses(), st.integers(0, 128), st.booleans())
@settings(max_examples=EXAMPLES * 2, deadline=None)
def test_networks_contain_what_python_says(address: Any, other: Any, bits: int, near: bool) -> None:
    if near:  # an address that shares the first bits, and perhaps one more
        width = address.max_prefixlen
        other = type(address)(int(address) ^ (int(other) >> min(bits, width) if other.version == address.version else 0))
    bits = min(bits, address.max_prefixlen)
    text = f"{address}/{bits}"
    mapped = getattr(address, "ipv4_mapped", None) if bits >= 96 else None
    network = ipaddress.ip_network((mapped, bits - 96) if mapped else (address, bits), strict=False)
    parameters = Parameters([("ip", "ipaddress", None), ("net", "string", None)])
    plain = getattr(other, "ipv4_mapped", None) or other
    expected = plain.version == network.version and plain in network
    for code in (("param", 1), ("const", "string", text)):
        program = Program(("call", "ip_in_cidr", ("param", 0), code), 2)
        assert evaluate(program, parameters, {"ip": str(other), "net": text}) is expected


@pytest.mark.parametrize(
    ("address", "network", "expected"),
    [
        ("10.0.0.1", "::ffff:10.0.0.0/104", True),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.0/104", True),
        ("11.0.0.1", "::ffff:10.0.0.0/104", False),
        ("10.0.0.1", "::/0", False),
        ("10.0.0.1", "0.0.0.0/0", True),
        ("::1", "0.0.0.0/0", False),
    ],
)
def test_a_mapped_network_is_the_network_it_maps(address: str, network: str, expected: bool) -> None:
    program = Program(("call", "ip_in_cidr", ("param", 0), ("const", "string", network)), 1)
    assert evaluate(program, one("ipaddress"), {"x": address}) is expected


@pytest.mark.parametrize(
    "network",
    ["", "/", "10.0.0.0", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/08", "10.0.0.0/33", "::/129", "::/1000", "::%e/8", "x/8", "::/8 "],
)
def test_a_malformed_network_fails(network: str) -> None:
    for code in (("const", "string", network), ("param", 1)):
        program = Program(("call", "ip_in_cidr", ("param", 0), code), 2)
        with pytest.raises(RequestError) as error:
            evaluate(program, Parameters([("ip", "ipaddress", None), ("net", "string", None)]), {"ip": "10.0.0.1", "net": network})
        assert error.value.code == "condition_failed"


# Values as Python has them


@pytest.mark.parametrize(
    ("type", "value"),
    [
        ("duration", "1ns"),
        ("timestamp", "2024-01-01T00:00:00.0000001Z"),
        ("timestamp", "0001-01-01T23:59:59Z"),
        ("timestamp", "9999-12-31T00:00:00Z"),
        ("list<duration>", ["1ns"]),
    ],
)
def test_what_python_cannot_hold_is_no_value_for_the_library(type: str, value: object) -> None:
    context = Context(parameters_of(type), {"x": value}, "stored")
    assert "bad" not in context.states()
    with pytest.raises(RequestError) as error:
        context.values()
    assert error.value.code == "invalid_context"


@given(st.floats(allow_nan=False, allow_infinity=False))
@settings(max_examples=EXAMPLES, deadline=None)
def test_doubles_keep_every_bit(value: float) -> None:
    (found,) = Context(one("double"), {"x": value}, "stored").values()
    (read,) = Context(one("double"), {"x": repr(value)}).values()
    assert struct.pack(">d", found) == struct.pack(">d", value) == struct.pack(">d", read)
