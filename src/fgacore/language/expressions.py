"""From a checked expression to the code of our own evaluator (kernel/program), where it is made of what that evaluator knows.

The checker has chosen an overload for each call, and every operand must have exactly the static type that the overload takes: nothing is
guessed at run time, and what is not in `OPERANDS` is not ours. Code is nested tuples:

    ("const", kind, value)                kind bool, int, uint, double, string, null; (seconds, nanos) for duration and timestamp
    ("param", i)  ("local", i)            a parameter; the variable of the i-th comprehension around it, the outermost is 0
    ("list", element...)                  ("select", map, key)  ("has", map, key)
    ("and", a, b)  ("or", a, b)  ("not", a)  ("if", condition, a, b)
    ("all" | "exists" | "exists_one", range, body)    ("call", overload, argument...)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fgacore.language.checked import (
    IP_TYPE,
    OTHER,
    Call,
    Checked,
    Comprehension,
    Constant,
    ListOf,
    Name,
    Node,
    Select,
    Type,
    children,
    walk,
)

__all__ = ["OPERANDS", "OURS", "Code", "Fold", "NotOurs", "find_lifts", "holds_addresses", "translate"]

Code = tuple[Any, ...]
Fold = Callable[[str, str], tuple[int, int] | None]

# The bounds of kernel/program. What goes beyond them is not ours.
CODE_DEPTH_MAX = 64
CODE_NODES_MAX = 4_096

_ORDERED = {"int64": "int", "uint64": "uint", "double": "double", "string": "string", "timestamp": "timestamp", "duration": "duration"}
_NUMBERS = {"int64": "int", "uint64": "uint", "double": "double"}

# The overloads that are ours, with the static types that their operands must have; `any` is every type, `dyn` too.
OPERANDS: dict[str, tuple[str, ...]] = {
    **{f"{name}_{kind}": (type, type) for name in ("less", "less_equals", "greater", "greater_equals") for kind, type in _ORDERED.items()},
    **{f"{name}_{kind}": (type, type) for name in ("add", "subtract", "multiply", "divide") for kind, type in _NUMBERS.items()},
    "modulo_int64": ("int", "int"),
    "modulo_uint64": ("uint", "uint"),
    "negate_int64": ("int",),
    "negate_double": ("double",),
    "add_string": ("string", "string"),
    "add_timestamp_duration": ("timestamp", "duration"),
    "add_duration_timestamp": ("duration", "timestamp"),
    "add_duration_duration": ("duration", "duration"),
    "subtract_timestamp_timestamp": ("timestamp", "timestamp"),
    "subtract_timestamp_duration": ("timestamp", "duration"),
    "subtract_duration_duration": ("duration", "duration"),
    "equals": ("any", "any"),
    "not_equals": ("any", "any"),
    "in_list": ("any", "list"),
    "in_map": ("string", "map"),
    "index_list": ("list", "int"),
    "index_map": ("map", "string"),
    "size_string": ("string",),
    "string_size": ("string",),
    "size_list": ("list",),
    "list_size": ("list",),
    "size_map": ("map",),
    "map_size": ("map",),
    "contains_string": ("string", "string"),
    "starts_with_string": ("string", "string"),
    "ends_with_string": ("string", "string"),
    "string_to_ip": ("string",),
    "ip_in_cidr": (IP_TYPE, "string"),
}
OURS = frozenset(OPERANDS)

_LOGIC = {"logical_and": "and", "logical_or": "or", "logical_not": "not"}
_CONVERSIONS = {"string_to_duration": "duration", "string_to_timestamp": "timestamp"}


class NotOurs(Exception):
    """Something that our evaluator does not know."""


def translate(checked: Checked, node: Node, parameters: Mapping[str, int], fold: Fold, hidden: frozenset[str] = frozenset()) -> Code:
    """The code of a node; NotOurs where it is not made of what our evaluator knows.

    `parameters` are their numbers by name, `fold` computes a constant duration or timestamp from its kind and text, and a name in `hidden`
    is a variable of a comprehension around the node, which the code would not know.
    """
    translator = _Translator(checked, parameters, fold, hidden)
    return translator.code(node, (), 1)


def holds_addresses(checked: Checked, node: Node) -> bool:
    """True if the node is of a type with addresses in it, or takes or makes one: the library has no such values."""
    called = checked.overloads.get(node.id, ())
    return checked.type(node).holds(IP_TYPE) or "ip_in_cidr" in called or "string_to_ip" in called


@dataclass(frozen=True, slots=True)
class Lifts:
    """What our evaluator computes first for an expression that the library evaluates: the nodes of type bool and their code.

    `left` is the first node with addresses that is in none of them, or None.
    """

    nodes: tuple[Node, ...]
    code: tuple[Code, ...]
    left: Node | None


def find_lifts(checked: Checked, parameters: Mapping[str, int], fold: Fold) -> Lifts:
    """The largest parts of the expression that hold addresses and that can be computed by themselves."""
    nodes: list[Node] = []
    codes: list[Code] = []
    left: list[Node] = []
    with_addresses = {node.id for node in walk(checked.root) if holds_addresses(checked, node)}

    def lift(node: Node, hidden: frozenset[str]) -> None:
        if not any(part.id in with_addresses for part in walk(node)):
            return
        if checked.type(node).name == "bool":
            try:
                codes.append(translate(checked, node, parameters, fold, hidden))
                nodes.append(node)
                return
            except NotOurs:
                pass
        if node.id in with_addresses:
            left.append(node)
        for part in children(node):
            within = isinstance(node, Comprehension) and part is not node.range
            lift(part, hidden | {node.variable, node.accumulator} if within and isinstance(node, Comprehension) else hidden)

    lift(checked.root, frozenset())
    return Lifts(tuple(nodes), tuple(codes), left[0] if left else None)


class _Translator:
    """One translation of one node."""

    def __init__(self, checked: Checked, parameters: Mapping[str, int], fold: Fold, hidden: frozenset[str]) -> None:
        self.checked = checked
        self.parameters = parameters
        self.fold = fold
        self.hidden = hidden
        self.count = 0

    def code(self, node: Node, scope: tuple[str, ...], depth: int) -> Code:
        """The code of a node within comprehensions that have these variables, the outermost first."""
        self.count += 1
        if depth > CODE_DEPTH_MAX or self.count > CODE_NODES_MAX:
            raise NotOurs
        if isinstance(node, Constant):
            return self.constant(node)
        if isinstance(node, Name):
            return self.name(node.name, scope)
        depth += 1
        if isinstance(node, Select):
            return "has" if node.test else "select", self.typed(node.operand, "map", scope, depth), node.field
        if isinstance(node, ListOf):
            [member] = self.checked.type(node).members or (OTHER,)
            return "list", *(self.joined(element, member, scope, depth) for element in node.elements)
        if isinstance(node, Call):
            return self.call(node, scope, depth)
        if isinstance(node, Comprehension):
            return self.comprehension(node, scope, depth)
        raise NotOurs

    def typed(self, node: Node, type: str, scope: tuple[str, ...], depth: int) -> Code:
        """As `code`, of a node that must have this static type."""
        if type != "any" and self.checked.type(node).name != type:
            raise NotOurs
        return self.code(node, scope, depth)

    def joined(self, node: Node, type: Type, scope: tuple[str, ...], depth: int) -> Code:
        """As `code`, of one of several nodes whose common type is `type`: the checker lets null pass for a duration, and we do not."""
        if self.checked.type(node) != type and not type.holds("dyn"):
            raise NotOurs
        return self.code(node, scope, depth)

    def constant(self, node: Constant) -> Code:
        if node.kind == "bytes" or (isinstance(node.value, float) and not math.isfinite(node.value)):
            raise NotOurs
        return "const", node.kind, node.value

    def name(self, name: str, scope: tuple[str, ...]) -> Code:
        plain = name.removeprefix(".")
        if plain == name and name in scope:
            return "local", len(scope) - 1 - scope[::-1].index(name)
        if plain not in self.parameters or (plain == name and name in self.hidden):
            raise NotOurs
        return "param", self.parameters[plain]

    def call(self, node: Call, scope: tuple[str, ...], depth: int) -> Code:
        called = self.checked.overloads.get(node.id, ())
        overload = called[0] if len(called) == 1 else ""
        arguments = node.arguments
        if overload in _LOGIC:
            return _LOGIC[overload], *(self.typed(argument, "bool", scope, depth) for argument in arguments)
        if overload == "conditional":
            condition, *branches = arguments
            type = self.checked.type(node)
            return "if", self.typed(condition, "bool", scope, depth), *(self.joined(branch, type, scope, depth) for branch in branches)
        if overload in _CONVERSIONS:
            return self.conversion(_CONVERSIONS[overload], arguments)
        types = OPERANDS.get(overload, ())
        if not types or len(types) != len(arguments):
            raise NotOurs
        return "call", overload, *(self.typed(argument, type, scope, depth) for argument, type in zip(arguments, types, strict=True))

    def conversion(self, kind: str, arguments: tuple[Node, ...]) -> Code:
        """`duration("1h")` and the like, computed here once."""
        [argument] = arguments
        value = self.fold(kind, argument.value) if isinstance(argument, Constant) and isinstance(argument.value, str) else None
        if value is None:
            raise NotOurs
        return "const", kind, value

    def comprehension(self, node: Comprehension, scope: tuple[str, ...], depth: int) -> Code:
        macro, body = _macro(node)
        if self.checked.type(node.range).name not in ("list", "map"):
            raise NotOurs
        return macro, self.code(node.range, scope, depth), self.typed(body, "bool", (*scope, node.variable), depth)


def _macro(node: Comprehension) -> tuple[str, Node]:
    """Which of our macros a comprehension is, and its body. Every part but the body must be as the macro makes it."""
    step = node.step
    if isinstance(step, Call) and len(step.arguments) == (3 if step.function == "_?_:_" else 2):
        body = step.arguments[0 if step.function == "_?_:_" else 1]
        for macro, made in _MACROS.items():
            if made == (_shape(node.start), _shape(node.condition), _shape(step, body), _shape(node.result)) and node.accumulator == "@result":
                return macro, body
    raise NotOurs


def _shape(node: Node, body: Node | None = None) -> object:
    """A node without its ids, and with its body left out."""
    if node is body:
        return "body"
    if isinstance(node, Constant):
        return node.kind, node.value
    if isinstance(node, Name):
        return node.name
    if isinstance(node, Call):
        return node.function, *(_shape(argument, body) for argument in node.arguments)
    return None


# Start, loop condition, step and result, as the parser expands the macros.
_MACROS: dict[str, tuple[object, ...]] = {
    "all": (("bool", True), ("@not_strictly_false", "@result"), ("_&&_", "@result", "body"), "@result"),
    "exists": (("bool", False), ("@not_strictly_false", ("!_", "@result")), ("_||_", "@result", "body"), "@result"),
    "exists_one": (("int", 0), ("bool", True), ("_?_:_", "body", ("_+_", "@result", ("int", 1)), "@result"), ("_==_", "@result", ("int", 1))),
}
