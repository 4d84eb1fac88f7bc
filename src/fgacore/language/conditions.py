"""Conditions from their text to something that can be evaluated: by our own evaluator where that can, else by the CEL library.

The library (`cel_expr_python`, the extra `fgacore[conditions]`) compiles and type-checks; its checked expression is read back and, where it
is made only of what kernel/program knows, becomes code for that. Any other goes to the library whole. The library is kept from its own
faults: it never calls back into Python, and no value reaches it that it would cut, misread or crash on.
"""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from fgacore import limits
from fgacore.errors import quote
from fgacore.language.checked import (
    IP_TYPE,
    Checked,
    CheckedError,
    Comprehension,
    Constant,
    Name,
    Node,
    children,
    read_checked,
    replace_nodes,
    walk,
)
from fgacore.language.expressions import Code, NotOurs, find_lifts, translate
from fgacore.language.issues import Issues
from fgacore.language.model import NOWHERE, Condition, Model, Parameter, Position

__all__ = ["CompiledCondition", "ConditionFailed", "LibraryExpression", "compile_conditions"]

_MESSAGE_CHARACTERS_MAX = 200

# Other names are legal in a model, but no expression can say them.
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)

# The library tells faults as `ERROR: <input>:line:column: message`, each followed by the line at fault behind ` | `.
_LIBRARY_FAULT = re.compile(r"ERROR: <input>:(-?[0-9]+):(-?[0-9]+): (.*?)(?=\n \| |\nERROR: |$)", re.DOTALL)
_STATUS = re.compile(r"^[A-Z_]+: | \[[A-Z_]+\]$| \(in container '[^']*'\)")

# What the library raises, by way of pybind11.
_LIBRARY_ERRORS = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DURATION_MAX = timedelta(microseconds=(1 << 63) // 1_000)  # Go's, OpenFGA's and our evaluator's: 64 bits of nanoseconds

_START = (1, 1)  # of an expression


class ConditionFailed(Exception):
    """The expression has no answer for these values: an overflow, a missing key, a value that is not allowed. Neither true nor false."""


@dataclass(frozen=True, slots=True)
class LibraryExpression:
    """An expression that the library evaluates. Safe to use from several threads at once.

    `lifted` is code of type bool for our evaluator, whose answers `evaluate` takes behind the parameters: what is computed from addresses,
    which the library does not have.
    """

    lifted: tuple[Code, ...]
    _expression: Any
    _names: tuple[str | None, ...]  # of the parameters, then of what is lifted; None for what the expression does not read
    _bool: Any

    def evaluate(self, values: Sequence[object]) -> bool:
        """The answer for one value for each parameter, in their order, then for each of `lifted` True, False or None where it failed.

        Values are bool, int, float, str, aware datetime, timedelta, list, dict or None, of the types declared. ConditionFailed where the
        expression has no answer.
        """
        data: dict[str, object] = {}
        for name, value in zip(self._names, values, strict=True):
            if name is None or (value is None and name.startswith(_LIFTED)):
                continue  # a variable without a value is an error of the expression just where it is read
            _guard(value, 1)
            data[name] = value
        try:
            result = self._expression.eval(data=data)
            if result.type() == self._bool:
                return bool(result.value())
            reason = str(result.plain_value())
        except _LIBRARY_ERRORS as error:
            reason = str(error)
        raise ConditionFailed(_one_line(reason))


@dataclass(frozen=True, slots=True)
class CompiledCondition:
    """A condition that can be evaluated: by `code` with kernel/program, or by `library`; the other is None.

    `parameters` are in the order of their declaration, which is how code and library number them.
    """

    name: str
    parameters: tuple[tuple[str, Parameter], ...]
    code: Code | None
    library: LibraryExpression | None


def compile_conditions(model: Model) -> dict[str, CompiledCondition]:
    """Every condition of the model by name; ModelError with every fault found.

    `conditions_unavailable` where the library is not installed, else `invalid_condition`: an expression does not compile against its declared
    parameters, is not of type bool, names something undeclared, or would need what the library cannot be trusted with.
    """
    if not model.conditions:
        return {}
    issues = Issues()
    try:
        library = _Library()
    except ImportError:
        name, condition = next(iter(model.conditions.items()))
        message = f"condition {quote(name)} needs the extra `fgacore[conditions]`, which is not installed"
        issues.fail("conditions_unavailable", message, condition.position, name)
    compiled: dict[str, CompiledCondition] = {}
    for name, condition in model.conditions.items():
        try:
            compiled[name] = _compiled(library, name, condition)
        except _Faults as faults:
            for (line, column), message in sorted(set(faults.found)):
                place = _place(condition, line, column)
                where = "" if place[0] or not line else f" (line {line}, column {column} of its expression)"
                issues.add("invalid_condition", f"condition {quote(name)}: {message}{where}", place, name, condition.file or None)
    issues.raise_found()
    return compiled


class _Faults(Exception):
    """What is wrong with one condition: places within its expression, from 1, or NOWHERE where it is not the expression; and messages."""

    def __init__(self, *found: tuple[Position, str]) -> None:
        super().__init__()
        self.found = found


class _Library:
    """The CEL library as conditions use it."""

    def __init__(self) -> None:
        self.cel: Any = importlib.import_module("cel_expr_python.cel")
        kinds = self.cel.Type
        self.address = kinds.AbstractType(IP_TYPE)
        self.types = {
            "bool": kinds.BOOL,
            "string": kinds.STRING,
            "int": kinds.INT,
            "uint": kinds.UINT,
            "double": kinds.DOUBLE,
            "duration": kinds.DURATION,
            "timestamp": kinds.TIMESTAMP,
            "any": kinds.DYN,
            IP_TYPE: self.address,
        }
        self.functions = [
            self.function("ipaddress", "string_to_ip", self.address, [kinds.STRING], False),
            self.function("in_cidr", "ip_in_cidr", kinds.BOOL, [self.address, kinds.STRING], True),
        ]
        self.folds = {kind: self.fold_expressions(kind) for kind in ("duration", "timestamp")}

    def function(self, name: str, overload: str, result: Any, parameters: list[Any], member: bool) -> Any:
        """A function that the checker knows and nobody can call: a callback into Python leaks memory at each call."""
        return self.cel.FunctionDecl(name, [self.cel.Overload(overload, return_type=result, parameters=parameters, is_member=member)])

    def type(self, parameter: Parameter) -> Any:
        """The library's type of a parameter."""
        if parameter.type == "list":
            return self.cel.Type.List(self.types[parameter.member or "any"])
        if parameter.type == "map":
            return self.cel.Type.Map(self.cel.Type.STRING, self.types[parameter.member or "any"])
        return self.types[parameter.type]

    def variables(self, condition: Condition) -> dict[str, Any]:
        """The parameters of a condition that an expression can name, with their types."""
        return {name: self.type(parameter) for name, parameter in condition.parameters.items() if _IDENTIFIER.fullmatch(name)}

    def environment(self, variables: Mapping[str, Any]) -> Any:
        """An environment that has compiled something: one that has not checks no inputs of an expression that it deserializes."""
        environment = self.cel.NewEnv(variables=dict(variables), functions=self.functions)
        environment.compile("true")
        return environment

    def fold_expressions(self, kind: str) -> tuple[Any, Any]:
        """The conversion of a text, and whether a value is exactly what the text says: the values of Python end at microseconds."""
        environment = self.environment({"text": self.types["string"], "value": self.types[kind]})
        return environment.compile(f"{kind}(text)"), environment.compile(f"{kind}(text) == value")

    def fold(self, kind: str, text: str) -> tuple[int, int] | None:
        """A constant duration, or timestamp since 1970, in seconds and nanoseconds from 0.

        None where it is none or not of whole microseconds, and for a duration beyond 64 bits of nanoseconds: there the library's arithmetic
        has rules of its own (a timestamp minus 400 years is minus 292).
        """
        convert, is_exact = self.folds[kind]
        try:
            value = convert.eval(data={"text": text}).value()
            if not isinstance(value, (datetime, timedelta)) or is_exact.eval(data={"text": text, "value": value}).value() is not True:
                return None
        except _LIBRARY_ERRORS:
            return None
        if isinstance(value, timedelta) and abs(value) > _DURATION_MAX:
            return None
        since = value if isinstance(value, timedelta) else value - _EPOCH
        seconds, rest = divmod(since, timedelta(seconds=1))
        return seconds, rest // timedelta(microseconds=1) * 1_000


def _compiled(library: _Library, name: str, condition: Condition) -> CompiledCondition:
    """One condition, or _Faults."""
    expression, checked, serialized = _checked(library, condition)
    parameters = {name: number for number, name in enumerate(condition.parameters)}
    listed = tuple(condition.parameters.items())
    try:
        return CompiledCondition(name, listed, translate(checked, checked.root, parameters, library.fold), None)
    except NotOurs:
        pass
    lifts = find_lifts(checked, parameters, library.fold)
    if lifts.left is not None:
        message = "what is computed from an `ipaddress` here cannot be computed apart from the rest, and the rest needs the CEL library"
        raise _Faults((_place_of(condition, checked, lifts.left), message))
    if lifts.nodes:
        expression, checked = _without_lifted(library, condition, serialized, lifts.nodes)
    read = _read(checked.root, frozenset())
    names = [name if name in read else None for name in condition.parameters]
    names += (_lifted(number) for number in range(len(lifts.nodes)))
    return CompiledCondition(name, listed, None, LibraryExpression(lifts.code, expression, tuple(names), library.types["bool"]))


def _read(node: Node, hidden: frozenset[str]) -> set[str]:
    """The names of the parameters that an expression reads; `hidden` are the variables of comprehensions around it."""
    if isinstance(node, Name):
        return set() if node.name in hidden else {node.name.removeprefix(".")}
    if not isinstance(node, Comprehension):
        return set().union(*(_read(part, hidden) for part in children(node)))
    within = hidden | {node.variable, node.accumulator}
    return set().union(*(_read(part, hidden if part is node.range else within) for part in children(node)))


_LIFTED = "@lifted"


def _lifted(number: int) -> str:
    """The variable that stands for what our evaluator computes first. No expression can name it."""
    return f"{_LIFTED}{number}"


def _checked(library: _Library, condition: Condition) -> tuple[Any, Checked, bytes]:
    """The library's expression of a condition, its tree, and its bytes."""
    text = condition.expression
    bad = re.search("[\0\ud800-\udfff]", text)
    if bad:
        raise _Faults((_line_and_column(text, bad.start()), f"{quote(bad.group())} is not allowed in an expression"))
    if len(text.encode()) > limits.CONDITION_EXPRESSION_BYTES_MAX:
        bound = f"{limits.CONDITION_EXPRESSION_BYTES_MAX} bytes (CONDITION_EXPRESSION_BYTES_MAX)"
        raise _Faults((_START, f"the expression is longer than {bound}"))
    try:
        environment = library.environment(library.variables(condition))
    except _LIBRARY_ERRORS as error:
        raise _Faults((NOWHERE, f"a parameter cannot be declared: {_one_line(str(error))}")) from None
    try:
        expression = environment.compile(text)
        serialized = expression.serialize()
        checked = read_checked(serialized)
    except CheckedError as error:
        raise _Faults((_START, f"the expression cannot be read: {error}")) from None
    except _LIBRARY_ERRORS as error:
        raise _Faults(*_library_faults(str(error))) from None
    if expression.return_type() != library.types["bool"]:
        raise _Faults((_START, f"the expression is {_type_name(expression)}, not bool"))
    for node in walk(checked.root):
        if isinstance(node, Constant) and isinstance(node.value, str) and "\0" in node.value:
            raise _Faults((_place_of(condition, checked, node), "a text with the character NUL is not allowed"))
    return expression, checked, serialized


def _type_name(expression: Any) -> str:
    return quote(str(expression.return_type().name()).lower())


def _without_lifted(library: _Library, condition: Condition, serialized: bytes, nodes: tuple[Node, ...]) -> tuple[Any, Checked]:
    """The expression with what is lifted replaced by variables, and its tree. The library's environment of it knows no addresses."""
    names = {node.id: _lifted(number) for number, node in enumerate(nodes)}
    rest = replace_nodes(serialized, names)
    environment = library.environment(library.variables(condition) | dict.fromkeys(names.values(), library.types["bool"]))
    try:
        return environment.deserialize(rest), read_checked(rest)
    except _LIBRARY_ERRORS as error:
        raise _Faults((_START, f"the part for the CEL library cannot be read: {_one_line(str(error))}")) from None


# Places


def _place(condition: Condition, line: int, column: int) -> Position:
    """A place of the expression, from 1, as a place of the model's text; the condition's own where only that is known."""
    if condition.expression_position == NOWHERE or not line:
        return condition.position
    first_line, first_column = condition.expression_position
    return first_line + line - 1, column + (first_column - 1 if line == 1 else 0)


def _place_of(condition: Condition, checked: Checked, node: Node) -> Position:
    return _line_and_column(condition.expression, checked.offsets.get(node.id, 0))


def _line_and_column(text: str, offset: int) -> Position:
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


# What the library says


def _library_faults(said: str) -> list[tuple[Position, str]]:
    """The faults in the library's own words, each on one line. Those without a place only count where there are no others."""
    matches = islice(_LIBRARY_FAULT.finditer(said), limits.MODEL_ISSUES_MAX)
    found = [((int(match[1]), int(match[2])), _one_line(match[3])) for match in matches]
    placed = [fault for fault in found if min(fault[0]) > 0]
    return placed or [(_START, message) for _, message in found] or [(_START, _one_line(said))]


def _one_line(said: str) -> str:
    """A message of the library as ours are: one line, in lower case, without its status, its lists of tokens, and not longer than one reads."""
    said = said.split(" expecting ")[0].split("\n | ")[0][: 2 * _MESSAGE_CHARACTERS_MAX]  # it may quote a whole value
    said = _STATUS.sub("", said).removeprefix("Syntax error: ")
    said = " ".join("".join(char if char.isprintable() else " " for char in said).split()).rstrip(".")
    said = re.sub(r"'([^']*)'", r"`\1`", said[:1].lower() + said[1:])
    return said if len(said) <= _MESSAGE_CHARACTERS_MAX else said[: _MESSAGE_CHARACTERS_MAX - 1] + "…"


# What the library must not be given


def _guard(value: object, depth: int) -> None:
    """Refuse what the library would cut, misread or crash on: NUL in a text, a value that nests deep, a time without a zone.

    It takes the seconds of a time from a double, which centuries away rounds the last microseconds of a second up, and adds them again.
    """
    if isinstance(value, str):
        if "\0" in value:
            raise ConditionFailed("a text with the character NUL is not allowed")
    elif isinstance(value, datetime):
        if value.utcoffset() is None:
            raise ConditionFailed("a time without a zone is not allowed")
        if math.floor(value.timestamp()) != (value - _EPOCH) // timedelta(seconds=1):
            raise ConditionFailed("a time so far from now is not told apart from one a second later")
    elif isinstance(value, (list, dict)):
        if depth > limits.CONTEXT_DEPTH_MAX:  # the library recurses over a value, and 10,000 levels end the process
            raise ConditionFailed(f"a value nests deeper than {limits.CONTEXT_DEPTH_MAX}")
        for part in value:
            _guard(part, depth + 1)
        if isinstance(value, dict):
            for part in value.values():
                _guard(part, depth + 1)
