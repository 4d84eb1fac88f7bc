"""The reader of checked expressions: the trees of true ones, and a clean refusal of everything else."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fgacore.language.checked import (
    TYPE_URL,
    Call,
    Checked,
    CheckedError,
    Comprehension,
    Constant,
    ListOf,
    MapOf,
    Name,
    Node,
    Select,
    Type,
    children,
    read_checked,
    replace_nodes,
    walk,
)

cel = pytest.importorskip("cel_expr_python.cel", reason="the extra `conditions` is not installed")

INT, STRING = Type("int"), Type("string")
ENVIRONMENT = cel.NewEnv(
    variables={
        "i": cel.Type.INT,
        "s": cel.Type.STRING,
        "b": cel.Type.BOOL,
        "t": cel.Type.TIMESTAMP,
        "a": cel.Type.DYN,
        "ip": cel.Type.AbstractType("ipaddress"),
        "numbers": cel.Type.List(cel.Type.INT),
        "names": cel.Type.Map(cel.Type.STRING, cel.Type.STRING),
    }
)
TEXTS = [
    "i < 100",
    "b ? -i == -9223372036854775808 : i == 18",
    'names.x == "é😀" || has(names.y) || names["z"] == s',
    "numbers.exists(n, numbers.all(m, m <= n && i != n))",
    "numbers.exists_one(n, n == 1) && numbers.map(n, n * 2) == [2, 4]",
    '{"a": 1u, "b": 2u} == a && null == a && [] == a && b"\\x00" == a && -1.5 == a',
    't < timestamp("2024-01-01T00:00:00Z") + duration("1h")',
    "google.protobuf.Duration{seconds: 5} == duration(s)",
    "[ip] == [ip]",
]


def serialized(text: str) -> bytes:
    data = ENVIRONMENT.compile(text).serialize()
    assert isinstance(data, bytes)
    return data


def plain(node: Node) -> object:
    """A tree without its ids, as tuples."""
    if isinstance(node, Constant):
        return node.value
    if isinstance(node, Name):
        return f"<{node.name}>"
    return type(node).__name__, *(plain(child) for child in children(node))


def field(number: int, data: bytes) -> bytes:
    """A field of bytes shorter than 128."""
    return bytes([number << 3 | 2, len(data)]) + data


def wrapped(expression: bytes) -> bytes:
    """An expression's bytes in what the library puts around them."""
    return long_field(1, TYPE_URL.encode()) + long_field(2, long_field(4, expression))


def long_field(number: int, data: bytes) -> bytes:
    size = len(data)
    written = bytearray([number << 3 | 2])
    while size > 127:
        written.append(size & 127 | 128)
        size >>= 7
    return bytes([*written, size]) + data


def test_operators_names_and_types_are_read() -> None:
    checked = read_checked(serialized("i < 100"))
    root = checked.root
    assert isinstance(root, Call)
    assert (root.function, checked.overloads[root.id], checked.offsets[root.id]) == ("_<_", ("less_int64",), 2)
    assert [checked.type(node) for node in walk(root)] == [Type("bool"), INT, INT]
    assert plain(root) == ("Call", "<i>", 100)


def test_selections_know_whether_they_only_test() -> None:
    root = read_checked(serialized('names.x == "" || has(names.y)')).root
    assert [(node.field, node.test) for node in walk(root) if isinstance(node, Select)] == [("x", False), ("y", True)]


@pytest.mark.parametrize(
    ("text", "value", "kind"),
    [
        ("-9223372036854775808", -(2**63), "int"),
        ("9223372036854775807", 2**63 - 1, "int"),
        ("18446744073709551615u", 2**64 - 1, "uint"),
        ("-1.5", -1.5, "double"),
        ("true", True, "bool"),
        ("false", False, "bool"),
        ("null", None, "null"),
        ("'é😀'", "é😀", "string"),
        ("b'\\x00\\xff'", b"\x00\xff", "bytes"),
    ],
)
def test_constants_keep_their_value_and_kind(text: str, value: object, kind: str) -> None:
    root = read_checked(serialized(text)).root
    assert isinstance(root, Constant)
    assert (root.value, root.kind, type(root.value)) == (value, kind, type(value))


def test_a_method_has_its_target_first() -> None:
    root = read_checked(serialized('s.startsWith("x")')).root
    assert plain(root) == ("Call", "<s>", "x")


def test_comprehensions_lists_and_maps_are_read_whole() -> None:
    loop = read_checked(serialized("numbers.exists(n, n == 1)")).root
    assert isinstance(loop, Comprehension)
    assert (loop.variable, loop.accumulator, plain(loop.range)) == ("n", "@result", "<numbers>")
    assert plain(loop.start) is False
    assert plain(loop.step) == ("Call", "<@result>", ("Call", "<n>", 1))
    root = read_checked(serialized('{"a": [1, 2]} == a')).root
    assert isinstance(root, Call)
    found = root.arguments[0]
    assert isinstance(found, MapOf)
    assert [(plain(key), plain(value)) for key, value in found.entries if not isinstance(key, str)] == [("a", ("ListOf", 1, 2))]
    message = next(node for node in walk(read_checked(serialized(TEXTS[7])).root) if isinstance(node, MapOf))
    assert (message.message, message.entries[0][0]) == ("google.protobuf.Duration", "seconds")


def test_types_of_containers_and_addresses_are_read() -> None:
    checked = read_checked(serialized("[ip] == [ip] && names == {} && a == a && t == t"))
    types = {plain(node): checked.type(node) for node in walk(checked.root) if isinstance(node, (Name, ListOf))}
    address = Type("ipaddress")
    assert types["<ip>"] == address
    assert types["ListOf", "<ip>"] == Type("list", (address,))
    assert types["ListOf", "<ip>"].holds("ipaddress")
    assert types["<names>"] == Type("map", (STRING, STRING))
    assert not types["<names>"].holds("ipaddress")
    assert (types["<a>"], types["<t>"]) == (Type("dyn"), Type("timestamp"))


def test_offsets_count_characters() -> None:
    checked = read_checked(serialized('s == "é😀" && i == 3'))
    [three] = [node for node in walk(checked.root) if isinstance(node, Constant) and node.value == 3]
    assert checked.offsets[three.id] == len('s == "é😀" && i == ')


def test_a_replaced_node_becomes_a_variable_and_the_rest_stays() -> None:
    data = serialized("b && (i < 100 || numbers.all(n, n > 0)) && s == s")
    checked = read_checked(data)
    [comparison] = [node for node in walk(checked.root) if isinstance(node, Call) and node.function == "_<_"]
    [loop] = [node for node in walk(checked.root) if isinstance(node, Comprehension)]
    changed = read_checked(replace_nodes(data, {comparison.id: "@one", loop.id: "@two"}))
    assert plain(changed.root) == ("Call", ("Call", "<b>", ("Call", "<@one>", "<@two>")), ("Call", "<s>", "<s>"))
    assert changed.overloads[comparison.id] == ()
    assert {id: names for id, names in checked.overloads.items() if id not in (comparison.id, loop.id)}.items() <= changed.overloads.items()
    assert (changed.types, changed.offsets) == (checked.types, checked.offsets)
    assert read_checked(replace_nodes(data, {})) == checked


TRUE = field(3, bytes([2 << 3, 1]))


def test_the_smallest_expression_is_read() -> None:
    assert read_checked(wrapped(TRUE)) == Checked(Constant(0, "bool", True), {}, {}, {})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        field(1, TYPE_URL.encode()),
        field(1, b"type.googleapis.com/cel.expr.ParsedExpr") + field(2, field(4, TRUE)),
        wrapped(b""),
        wrapped(TRUE) + b"\0",
        wrapped(TRUE + TRUE),
        wrapped(TRUE + field(4, field(1, b"x"))),
        wrapped(TRUE + field(10, b"")),
        wrapped(TRUE + bytes([3 << 3, 1])),
        wrapped(field(3, b"")),
        wrapped(field(3, bytes([2 << 3, 2]))),
        wrapped(field(3, bytes([3 << 3, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2]))),
        wrapped(field(3, bytes([3 << 3, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 0]))),
        wrapped(field(3, field(6, b"\xff"))),
        wrapped(field(3, bytes([5 << 3 | 1, 0, 0]))),
        wrapped(field(4, b"")),
        wrapped(field(5, field(2, b"x"))),
        wrapped(field(7, field(1, TRUE) + bytes([2 << 3 | 2, 1, 0]))),
        wrapped(field(8, field(2, field(4, TRUE)))),
        wrapped(field(9, field(1, b"x"))),
        wrapped(bytes([3 << 3 | 3]) + TRUE),
        long_field(1, TYPE_URL.encode()) + long_field(2, field(4, TRUE) + field(6, b"2")),
        long_field(1, TYPE_URL.encode()) + long_field(2, field(4, TRUE) + field(3, bytes([8, 1]) + field(2, b""))),
    ],
)
def test_what_is_not_exactly_the_form_is_refused(data: bytes) -> None:
    with pytest.raises(CheckedError):
        read_checked(data)


def test_depth_and_size_are_bounded() -> None:
    deep = TRUE
    for _ in range(150):
        deep = long_field(7, long_field(1, deep))
    assert isinstance(read_checked(wrapped(deep)).root, ListOf)
    nested = TRUE
    for _ in range(2_000):
        nested = long_field(7, long_field(1, nested))
    with pytest.raises(CheckedError, match="nests deeper"):
        read_checked(wrapped(nested))
    type_bytes = bytes([3 << 3, 2])
    for _ in range(2_000):
        type_bytes = long_field(6, long_field(1, type_bytes))
    typed = long_field(3, bytes([8, 1]) + long_field(2, type_bytes)) + field(4, TRUE)
    with pytest.raises(CheckedError, match="nests deeper"):
        read_checked(long_field(1, TYPE_URL.encode()) + long_field(2, typed))
    with pytest.raises(CheckedError, match="longer"):
        read_checked(wrapped(field(3, b"") + long_field(4, bytes(1 << 20))))


def sound(data: bytes) -> None:
    """The bytes are a tree of our classes, with ids and texts of the right kinds, or CheckedError."""
    try:
        checked = read_checked(data)
    except CheckedError:
        return
    assert {type(key) for key in (*checked.overloads, *checked.types, *checked.offsets)} <= {int}
    assert {type(name) for names in checked.overloads.values() for name in names} <= {str}
    assert {type(value) for value in checked.offsets.values()} <= {int}
    assert {type(value) for value in checked.types.values()} <= {Type}
    for node in walk(checked.root):
        assert isinstance(node, Node)
        assert -(2**63) <= node.id < 2**63
        if isinstance(node, Constant):
            kinds = {"null": type(None), "bool": bool, "int": int, "uint": int, "double": float, "string": str, "bytes": bytes}
            assert type(node.value) is kinds[node.kind]
        else:
            assert all(value is not None for value in dataclasses.asdict(node).values())


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_or_a_tree(data: bytes) -> None:
    sound(data)
    sound(wrapped(data))


@given(st.sampled_from(TEXTS), st.data())
def test_a_truncated_expression_is_refused(text: str, data: st.DataObject) -> None:
    whole = serialized(text)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    with pytest.raises(CheckedError):
        read_checked(cut)


@given(st.sampled_from(TEXTS), st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 7)), min_size=1, max_size=4))
@example(TEXTS[0], [(0, 0)])
def test_flipped_bits_are_refused_or_a_tree(text: str, flips: list[tuple[int, int]]) -> None:
    data = bytearray(serialized(text))
    for place, bit in flips:
        data[place % len(data)] ^= 1 << bit
    sound(bytes(data))


@given(st.sampled_from(TEXTS), st.integers(0, 10_000), st.binary(max_size=12))
def test_spliced_bytes_are_refused_or_a_tree(text: str, place: int, piece: bytes) -> None:
    data = serialized(text)
    at = place % (len(data) + 1)
    sound(data[:at] + piece + data[at:])
