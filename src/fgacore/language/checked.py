"""The checked expression that the CEL library serializes, as a tree: a small reader of its protocol buffers (`cel.expr.CheckedExpr`).

It takes exactly the form that is known here. A field that it does not know could change what an expression means, so it is refused, like
all that is malformed, nests deeper or is longer than any expression of a condition can become. Called by conditions.py.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = [
    "Call",
    "Checked",
    "CheckedError",
    "Comprehension",
    "Constant",
    "ListOf",
    "MapOf",
    "Name",
    "Node",
    "Select",
    "Type",
    "children",
    "read_checked",
    "replace_nodes",
    "walk",
]

TYPE_URL = "type.googleapis.com/cel.expr.CheckedExpr"
IP_TYPE = "ipaddress"

# The parser nests 32 deep, and a chain of `&&` becomes a balanced tree: 125 levels and 0.1 MB are the most that was seen of an expression of
# CONDITION_EXPRESSION_BYTES_MAX.
_BYTES_MAX = 1 << 20
_DEPTH_MAX = 160

# How a field lies in the bytes.
_INT = 0
_FIXED64 = 1
_BYTES = 2


class CheckedError(ValueError):
    """The bytes are not a checked expression in the form known here, or one beyond the bounds."""


@dataclass(frozen=True, slots=True)
class Type:
    """A static type: `int`, `list` or `map` with `members`, `dyn`, `ipaddress`; `other` for all that conditions have no name for."""

    name: str
    members: tuple[Type, ...] = ()

    def holds(self, name: str) -> bool:
        """True if this type, or one within it, has the name."""
        return self.name == name or any(member.holds(name) for member in self.members)


OTHER = Type("other")


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal. `kind` is null, bool, int, uint, double, string or bytes."""

    id: int
    kind: str
    value: bool | int | float | str | bytes | None


@dataclass(frozen=True, slots=True)
class Name:
    """A parameter, or the variable of a comprehension around it. With a dot before it, it is no variable of a comprehension."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Select:
    """`operand.field`, or with `test` `has(operand.field)`."""

    id: int
    operand: Node
    field: str
    test: bool


@dataclass(frozen=True, slots=True)
class Call:
    """A function or an operator. A method's target is its first argument."""

    id: int
    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class ListOf:
    """`[a, b]`"""

    id: int
    elements: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class MapOf:
    """`{a: b}`, or a message: then `message` names it and the keys are its fields."""

    id: int
    message: str
    entries: tuple[tuple[Node | str, Node], ...]


@dataclass(frozen=True, slots=True)
class Comprehension:
    """What the macros (`all`, `exists`, `map`, ...) become: a loop over `range` that folds `step` into the accumulator."""

    id: int
    variable: str
    range: Node
    accumulator: str
    start: Node
    condition: Node
    step: Node
    result: Node


Node = Constant | Name | Select | Call | ListOf | MapOf | Comprehension


@dataclass(frozen=True, slots=True)
class Checked:
    """A checked expression. The mappings are by the id of a node; `offsets` are in characters of the expression's text."""

    root: Node
    overloads: Mapping[int, tuple[str, ...]]
    types: Mapping[int, Type]
    offsets: Mapping[int, int]

    def type(self, node: Node) -> Type:
        """The static type of a node."""
        return self.types.get(node.id, OTHER)


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below, in the order of the source."""
    if isinstance(node, Select):
        return (node.operand,)
    if isinstance(node, Call):
        return node.arguments
    if isinstance(node, ListOf):
        return node.elements
    if isinstance(node, MapOf):
        return tuple(part for entry in node.entries for part in entry if not isinstance(part, str))
    if isinstance(node, Comprehension):
        return node.range, node.start, node.condition, node.step, node.result
    return ()


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it."""
    stack = [node]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(children(node)))


def read_checked(data: bytes) -> Checked:
    """The tree in what `Expression.serialize()` gives; CheckedError for any other bytes."""
    expression = _unpacked(data)
    fields = _message(expression, {2: _BYTES, 3: _BYTES, 4: _BYTES, 5: _BYTES}, repeated=(2, 3))
    overloads = {}
    for key, value in map(_entry, fields[2]):
        reference = _message(value, {1: _BYTES, 3: _BYTES, 4: _BYTES}, repeated=(3,))
        overloads[key] = tuple(map(_text, reference[3]))
    types = {key: _type(value, 1) for key, value in map(_entry, fields[3])}
    return Checked(_node(_needed(fields, 4), 1), overloads, types, _offsets(fields.get(5, memoryview(b""))))


def replace_nodes(data: bytes, names: Mapping[int, str]) -> bytes:
    """The serialized expression with each node in `names`, by its id, replaced by a variable of that name.

    The bytes are those that `read_checked` takes, and no node of `names` lies within another.
    """
    written = bytearray()
    for number, wire, value in _fields(_unpacked(data)):
        if number == 2 and _entry(_as_bytes(value))[0] in names:
            continue
        written += _field(number, wire, _rewritten(_as_bytes(value), _EXPRESSION, names) if number == 4 else value)
    for id, name in names.items():
        written += _field(2, _BYTES, _field(1, _INT, id) + _field(2, _BYTES, _field(1, _BYTES, name.encode())))
    return _field(1, _BYTES, TYPE_URL.encode()) + _field(2, _BYTES, bytes(written))


# Messages


def _unpacked(data: bytes) -> memoryview:
    if len(data) > _BYTES_MAX:
        raise CheckedError(f"a checked expression is longer than {_BYTES_MAX} bytes")
    packed = _message(memoryview(data), {1: _BYTES, 2: _BYTES})
    if _text(_needed(packed, 1)) != TYPE_URL:
        raise CheckedError("not a checked expression")
    return _as_bytes(_needed(packed, 2))


def _entry(data: memoryview) -> tuple[int, memoryview]:
    """An entry of a map by ids."""
    fields = _message(data, {1: _INT, 2: _BYTES})
    return _signed(fields.get(1, 0)), _as_bytes(fields.get(2, memoryview(b"")))


def _offsets(data: memoryview) -> dict[int, int]:
    """Where each node stands, of the whole SourceInfo. The offset of the first character is left out of the bytes."""
    form = {1: _BYTES, 2: _BYTES, 3: _BYTES, 4: _BYTES, 5: _BYTES}
    entries = (_message(entry, {1: _INT, 2: _INT}) for entry in _message(data, form, repeated=(4, 5))[4])
    return {_signed(entry.get(1, 0)): _signed(entry.get(2, 0)) for entry in entries}


def _node(data: memoryview, depth: int) -> Node:
    if depth > _DEPTH_MAX:
        raise CheckedError(f"a checked expression nests deeper than {_DEPTH_MAX}")
    fields = _message(data, {2: _INT, 3: _BYTES, 4: _BYTES, 5: _BYTES, 6: _BYTES, 7: _BYTES, 8: _BYTES, 9: _BYTES})
    id = _signed(fields.pop(2, 0))
    kind, body = _only(fields)
    depth += 1
    if kind == 3:
        return _constant(id, body)
    if kind == 4:
        return Name(id, _text(_needed(_message(body, {1: _BYTES}), 1)))
    if kind == 5:
        fields = _message(body, {1: _BYTES, 2: _BYTES, 3: _INT})
        return Select(id, _node(_needed(fields, 1), depth), _text(_needed(fields, 2)), _bool(fields.get(3, 0)))
    if kind == 6:
        fields = _message(body, {1: _BYTES, 2: _BYTES, 3: _BYTES}, repeated=(3,))
        arguments = [fields[1], *fields[3]] if 1 in fields else fields[3]
        return Call(id, _text(_needed(fields, 2)), tuple(_node(item, depth) for item in arguments))
    if kind == 7:
        return ListOf(id, tuple(_node(item, depth) for item in _message(body, {1: _BYTES}, repeated=(1,))[1]))
    if kind == 8:
        fields = _message(body, {1: _BYTES, 2: _BYTES}, repeated=(2,))
        message = _text(fields[1]) if 1 in fields else ""
        return MapOf(id, message, tuple(_map_entry(item, depth) for item in fields[2]))
    fields = _message(body, dict.fromkeys(range(1, 8), _BYTES))
    start, condition, step, result = (_node(_needed(fields, number), depth) for number in (4, 5, 6, 7))
    over = _node(_needed(fields, 2), depth)
    return Comprehension(id, _text(_needed(fields, 1)), over, _text(_needed(fields, 3)), start, condition, step, result)


def _constant(id: int, data: memoryview) -> Constant:
    kind, value = _only(_message(data, {1: _INT, 2: _INT, 3: _INT, 4: _INT, 5: _FIXED64, 6: _BYTES, 7: _BYTES}))
    if kind == 1:
        return Constant(id, "null", None)
    if kind == 2:
        return Constant(id, "bool", _bool(value))
    if kind == 3:
        return Constant(id, "int", _signed(value))
    if kind == 4:
        return Constant(id, "uint", value)
    if kind == 5:
        return Constant(id, "double", struct.unpack("<d", value)[0])
    return Constant(id, "string", _text(value)) if kind == 6 else Constant(id, "bytes", bytes(value))


def _map_entry(data: memoryview, depth: int) -> tuple[Node | str, Node]:
    fields = _message(data, {1: _INT, 2: _BYTES, 3: _BYTES, 4: _BYTES})
    if (2 in fields) == (3 in fields):
        raise CheckedError("an entry of a map has one key")
    return _text(fields[2]) if 2 in fields else _node(fields[3], depth), _node(_needed(fields, 4), depth)


_PRIMITIVES = {1: "bool", 2: "int", 3: "uint", 4: "double", 5: "string", 6: "bytes"}
_WELL_KNOWN = {2: "timestamp", 3: "duration"}


def _type(data: memoryview, depth: int) -> Type:
    if depth > _DEPTH_MAX:
        raise CheckedError(f"a type nests deeper than {_DEPTH_MAX}")
    scalars = dict.fromkeys((2, 3, 4, 5), _INT)
    kind, body = _only(_message(data, scalars | dict.fromkeys((1, 6, 7, 8, 9, 10, 11, 12, 14), _BYTES)))
    if kind == 1:
        return Type("dyn")
    if kind == 2:
        return Type("null")
    if kind == 3:
        return Type(_PRIMITIVES.get(body, "other"))
    if kind == 5:
        return Type(_WELL_KNOWN.get(body, "other"))
    if kind == 6:
        return Type("list", (_type(_needed(_message(body, {1: _BYTES}), 1), depth + 1),))
    if kind == 7:
        fields = _message(body, {1: _BYTES, 2: _BYTES})
        return Type("map", (_type(_needed(fields, 1), depth + 1), _type(_needed(fields, 2), depth + 1)))
    if kind == 14:
        fields = _message(body, {1: _BYTES, 2: _BYTES}, repeated=(2,))
        members = tuple(_type(member, depth + 1) for member in fields[2])
        return Type(IP_TYPE if _text(_needed(fields, 1)) == IP_TYPE else "other", members)
    return OTHER


# The wire


def _message(data: memoryview, form: Mapping[int, int], repeated: tuple[int, ...] = ()) -> dict[int, Any]:
    """The fields of a message by their numbers; a repeated one is a list, perhaps empty. `form` has how each field lies in the bytes."""
    found: dict[int, Any] = {number: [] for number in repeated}
    for number, wire, value in _fields(data):
        if form.get(number) != wire:
            raise CheckedError(f"field {number} of kind {wire} is not known")
        if number in repeated:
            found[number].append(value)
        elif number in found:
            raise CheckedError(f"field {number} is given twice")
        else:
            found[number] = value
    return found


def _fields(data: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    """Every field in order: number, kind, and what it holds."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        if key & 7 == _INT:
            value, at = _varint(data, at)
            yield key >> 3, _INT, value
            continue
        size = 8
        if key & 7 == _BYTES:
            size, at = _varint(data, at)
        elif key & 7 != _FIXED64:
            raise CheckedError("a field is of a kind that is not known")
        if size > len(data) - at:
            raise CheckedError("a field is longer than what holds it")
        yield key >> 3, key & 7, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise CheckedError("the bytes end within a number")
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            if value >> 64:
                break
            return value, at
    raise CheckedError("a number is longer than 64 bits")


def _needed(fields: Mapping[int, Any], number: int) -> Any:
    if number not in fields:
        raise CheckedError(f"field {number} is missing")
    return fields[number]


def _only(fields: Mapping[int, Any]) -> tuple[int, Any]:
    """The one field of a message that is a choice."""
    if len(fields) != 1:
        raise CheckedError("not one choice")
    return next(iter(fields.items()))


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _bool(value: int) -> bool:
    if value > 1:
        raise CheckedError("neither true nor false")
    return value == 1


def _text(value: memoryview) -> str:
    try:
        return str(value, "utf-8")
    except UnicodeDecodeError:
        raise CheckedError("a text is not UTF-8") from None


def _as_bytes(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise CheckedError("a number where bytes are due")
    return value


# Writing. Which fields of a message hold expressions, by number, and of those the fields that do.
_Schema = dict[int, Any]
_EXPRESSION: _Schema = {}
_EXPRESSION |= {
    5: {1: _EXPRESSION},
    6: {1: _EXPRESSION, 3: _EXPRESSION},
    7: {1: _EXPRESSION},
    8: {2: {3: _EXPRESSION, 4: _EXPRESSION}},
    9: dict.fromkeys((2, 4, 5, 6, 7), _EXPRESSION),
}


def _rewritten(data: memoryview, schema: _Schema, names: Mapping[int, str]) -> bytes:
    if schema is _EXPRESSION:
        id = next((_signed(value) for number, _, value in _fields(data) if number == 2 and isinstance(value, int)), 0)
        if id in names:
            return _field(2, _INT, id) + _field(4, _BYTES, _field(1, _BYTES, names[id].encode()))
    written = bytearray()
    for number, wire, value in _fields(data):
        written += _field(number, wire, _rewritten(_as_bytes(value), schema[number], names) if number in schema else value)
    return bytes(written)


def _field(number: int, wire: int, value: int | bytes | memoryview) -> bytes:
    key = _varint_bytes(number << 3 | wire)
    if isinstance(value, int):
        return key + _varint_bytes(value)
    return key + (_varint_bytes(len(value)) if wire == _BYTES else b"") + bytes(value)


def _varint_bytes(value: int) -> bytes:
    written = bytearray()
    value &= (1 << 64) - 1
    while value > 127:
        written.append(value & 127 | 128)
        value >>= 7
    written.append(value)
    return bytes(written)
