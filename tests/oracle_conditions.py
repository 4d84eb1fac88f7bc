"""What a condition says, for the oracle: Google's own CEL runtime over values that are converted here, by OpenFGA's rules, in plain Python.

Addresses are canonical text for that runtime, and `in_cidr` is a function of Python's: slow, and it leaks some bytes at each call, so it is
for tests alone. A condition that has no answer is `Failed`, with the code of the error that is due.
"""

from __future__ import annotations

import functools
import ipaddress
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from cel_expr_python import cel

from fgacore.language.model import Condition, Parameter

__all__ = ["Failed", "convert", "holds"]

DEPTH_MAX = 64
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
DURATION = re.compile(r"([+-]?)((?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+|0)", re.ASCII)
DURATION_PART = re.compile(r"([\d.]+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
MICROSECONDS = {"us": Fraction(1), "µs": Fraction(1), "μs": Fraction(1), "s": Fraction(10**6), "m": Fraction(60 * 10**6), "h": Fraction(3600 * 10**6)}
MICROSECONDS |= {"ns": Fraction(1, 1000), "ms": Fraction(1000)}
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)


class Failed(Exception):
    """The condition has no answer. `code` is one of `context_missing`, `invalid_context`, `condition_failed`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def holds(condition: Condition, own: Mapping[str, Any], request: Mapping[str, Any]) -> bool:
    """What the condition says of a tuple with this context under a request with that one. Every parameter is needed, and the tuple's own wins."""
    values = {}
    for name, parameter in condition.parameters.items():
        if name not in own and name not in request:
            raise Failed("context_missing")
        values[name] = convert(own[name] if name in own else request[name], parameter)
    try:
        result = _expression(condition.expression, tuple(condition.parameters.items())).eval(data=values)
    except RuntimeError:
        raise Failed("condition_failed") from None
    if result.type() != cel.Type.BOOL:
        raise Failed("condition_failed")
    answer = result.value()
    assert answer is True or answer is False
    return answer


def convert(value: object, parameter: Parameter) -> object:
    """The value as one of the parameter's type; Failed `invalid_context` where it is none."""
    if parameter.type == "list":
        if not isinstance(value, list | tuple):
            raise Failed("invalid_context")
        return [_single(member, parameter.member or "any") for member in value]
    if parameter.type == "map":
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise Failed("invalid_context")
        return {_text(key): _single(member, parameter.member or "any") for key, member in value.items()}
    return _single(value, parameter.type)


def _single(value: object, type_name: str) -> object:
    match type_name:
        case "bool" if isinstance(value, bool):
            return value
        case "string" if isinstance(value, str):
            return _text(value)
        case "int":
            return _integer(value, -(1 << 63), (1 << 63) - 1)
        case "uint":
            return _integer(value, 0, (1 << 64) - 1)
        case "double":
            number = _number(value)
            try:
                return float(number)
            except OverflowError:
                raise Failed("invalid_context") from None
        case "duration":
            return _duration(value)
        case "timestamp":
            return _timestamp(value)
        case "ipaddress":
            return _address(value)
        case "any":
            return _any(value, 0)
    raise Failed("invalid_context")


def _text(value: str) -> str:
    if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
        raise Failed("invalid_context")
    return value


def _number(value: object) -> Fraction:
    if isinstance(value, int) and not isinstance(value, bool):
        return Fraction(value)
    if isinstance(value, float) and math.isfinite(value):
        return Fraction(value)
    if isinstance(value, str) and NUMBER.fullmatch(value):
        return Fraction(value)
    raise Failed("invalid_context")


def _integer(value: object, least: int, most: int) -> int:
    number = _number(value)
    if number.denominator != 1 or not least <= number <= most:
        raise Failed("invalid_context")
    return int(number)


def _duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    match = DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise Failed("invalid_context")
    amount = sum((Fraction(number) * MICROSECONDS[unit] for number, unit in DURATION_PART.findall(match[2])), Fraction(0))
    assert amount.denominator == 1, "tests count in whole microseconds"
    if amount > Fraction((1 << 63) - 1, 1000):
        raise Failed("invalid_context")
    return timedelta(microseconds=int(-amount if match[1] == "-" else amount))


def _timestamp(value: object) -> datetime:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value
    match = TIMESTAMP.fullmatch(value) if isinstance(value, str) else None
    if match is None or not isinstance(value, str):
        raise Failed("invalid_context")
    assert not (match[1] or "")[7:].strip("0"), "tests count in whole microseconds"
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Failed("invalid_context") from None


def _address(value: object) -> str:
    if not isinstance(value, str | ipaddress.IPv4Address | ipaddress.IPv6Address):
        raise Failed("invalid_context")
    try:
        return _canonical(str(value))
    except ValueError:
        raise Failed("invalid_context") from None


def _canonical(text: str) -> str:
    """The one text of an address; an IPv4 address within IPv6 is that IPv4 address."""
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)


def _any(value: object, depth: int) -> object:
    if depth > DEPTH_MAX:
        raise Failed("invalid_context")
    match value:
        case None | bool():
            return value
        case int() if -(1 << 63) <= value < 1 << 64:
            return value
        case float() if math.isfinite(value):
            return value
        case str():
            return _text(value)
        case list() | tuple():
            return [_any(member, depth + 1) for member in value]
        case dict() if all(isinstance(key, str) for key in value):
            return {_text(key): _any(member, depth + 1) for key, member in value.items()}
    raise Failed("invalid_context")


# The runtime. Its checker knows addresses as a type of their own; what it then runs has text in their place, as it has no such values.

T = cel.Type
ADDRESS = T.AbstractType("ipaddress")
TYPES = {"bool": T.BOOL, "string": T.STRING, "int": T.INT, "uint": T.UINT, "double": T.DOUBLE, "any": T.DYN}
TYPES |= {"duration": T.DURATION, "timestamp": T.TIMESTAMP}


@functools.lru_cache(maxsize=1_000)
def _expression(text: str, parameters: tuple[tuple[str, Parameter], ...]) -> Any:
    checked = _environment(parameters, ADDRESS).compile(text)
    assert checked.return_type() == T.BOOL
    running = _environment(parameters, T.STRING)
    running.compile("true")  # an environment that never compiled anything skips checks of its input
    return running.deserialize(checked.serialize())


def _environment(parameters: tuple[tuple[str, Parameter], ...], address: Any) -> Any:
    def type_of(name: str) -> Any:
        return address if name == "ipaddress" else TYPES[name]

    def declared(parameter: Parameter) -> Any:
        if parameter.type == "list":
            return T.List(type_of(parameter.member or "any"))
        if parameter.type == "map":
            return T.Map(T.STRING, type_of(parameter.member or "any"))
        return type_of(parameter.type)

    parse = cel.Overload("string_to_ip", return_type=address, parameters=[T.STRING], impl=_canonical)
    within = cel.Overload("ip_in_cidr", return_type=T.BOOL, parameters=[address, T.STRING], is_member=True, impl=_within)
    return cel.NewEnv(
        variables={name: declared(parameter) for name, parameter in parameters},
        functions=[cel.FunctionDecl("ipaddress", [parse]), cel.FunctionDecl("in_cidr", [within])],
    )


def _within(address: str, network: str) -> bool:
    return ipaddress.ip_address(address) in ipaddress.ip_network(network, strict=False)
