"""A model to the text of OpenFGA's language, in the one order its tools write: what is read back means the same.

JSON can say more than the language can write: names with other characters, restrictions that are not the first operand, parameters of type
`any`. Such a model is refused, never written as something else.
"""

from __future__ import annotations

import re
from typing import NoReturn

from fgacore.errors import ModelError, ModelIssue, quote
from fgacore.language.model import (
    ComputedUserset,
    Condition,
    Difference,
    Intersection,
    Model,
    Position,
    Relation,
    Restriction,
    Rewrite,
    This,
    TupleToUserset,
    TypeDefinition,
)
from fgacore.language.parse import PARAMETER_CONTAINERS, PARAMETER_TYPES, is_condition_name, is_name
from fgacore.language.scan import Scanner, SyntaxFault
from fgacore.limits import MODEL_REWRITE_DEPTH_MAX

__all__ = ["render"]

_VERSION = re.compile(r"[0-9]+\.[0-9]+", re.ASCII)


def render(model: Model, *, sources: bool = False) -> str:
    """The model as text. Relations and conditions are sorted by name, or by module, file and name where there are modules.

    `sources` adds a comment to what came from a module file. ModelError where the language cannot express the model.
    """
    if not _VERSION.fullmatch(model.schema):
        _refuse(f"schema version {quote(model.schema)}", (0, 0), model.schema)
    modular = any(definition.module for definition in model.types.values())
    types = sorted(model.types.values(), key=_order) if modular else model.types.values()
    pieces = [f"model\n  schema {model.schema}\n"]
    pieces += (_type(definition, sources) for definition in types)
    pieces += (_condition(condition, sources) for condition in sorted(model.conditions.values(), key=_order))
    return "\n".join(pieces)


def _refuse(what: str, position: Position, symbol: str, file: str = "") -> NoReturn:
    message = f"{what} cannot be written in the modelling language, only in JSON"
    raise ModelError(message, issues=(ModelIssue("not_expressible", message, *position, symbol, file),))


def _order(item: TypeDefinition | Relation | Condition) -> tuple[str, str, str]:
    return (item.module, item.file if item.module else "", item.name)


def _source(item: TypeDefinition | Relation | Condition, sources: bool, prefix: str = "") -> str:
    if not sources or not (item.module or item.file):
        return ""
    return f" # {prefix}module: {quote(item.module)[1:-1]}, file: {quote(item.file)[1:-1]}"


def _name(name: str, what: str, position: Position) -> str:
    if not is_name(name):
        _refuse(f"{what} name {quote(name)}", position, name)
    return name


def _type(definition: TypeDefinition, sources: bool) -> str:
    lines = [f"type {_name(definition.name, 'type', definition.position)}{_source(definition, sources)}"]
    if definition.relations:
        lines.append("  relations")
    for relation in sorted(definition.relations.values(), key=_order):
        name = _name(relation.name, "relation", relation.position)
        body = _Writer(definition, relation).written()
        lines.append(f"    define {name}: {body}{_source(relation, sources, 'extended by: ')}")
    return "\n".join(lines) + "\n"


class _Writer:
    """Writes one relation. The restrictions stand at most once, before everything else."""

    def __init__(self, definition: TypeDefinition, relation: Relation) -> None:
        self.definition = definition
        self.relation = relation
        self.assigned = False

    def refuse(self) -> NoReturn:
        what = f"relation {quote(self.relation.name)} of type {quote(self.definition.name)}"
        _refuse(what, self.relation.position, self.relation.name, self.relation.file or self.definition.file)

    def written(self) -> str:
        text = self.rewrite(self.relation.rewrite, True, 1)
        if self.relation.restrictions and not self.assigned:
            self.refuse()
        return text

    def rewrite(self, rewrite: Rewrite, first: bool, depth: int) -> str:
        """Without parentheses around it. `first`: nothing is written before it."""
        if depth > MODEL_REWRITE_DEPTH_MAX:
            self.refuse()
        match rewrite:
            case This():
                if not first or not self.relation.restrictions:
                    self.refuse()
                self.assigned = True
                return "[" + ", ".join(map(_restriction, self.relation.restrictions)) + "]"
            case ComputedUserset(relation, position):
                return _name(relation, "relation", position)
            case TupleToUserset(relation, tupleset, position):
                return f"{_name(relation, 'relation', position)} from {_name(tupleset, 'relation', position)}"
            case Difference(base, subtract):
                return f"{self.operand(base, first, depth)} but not {self.operand(subtract, False, depth)}"
        children = list(rewrite.children)
        if len(children) < 2:
            self.refuse()
        # Neither operator minds the order of its operands; the language wants the restrictions first.
        children.sort(key=lambda child: not isinstance(child, This))
        operator = " and " if isinstance(rewrite, Intersection) else " or "
        return operator.join(self.operand(child, first and index == 0, depth) for index, child in enumerate(children))

    def operand(self, rewrite: Rewrite, first: bool, depth: int) -> str:
        text = self.rewrite(rewrite, first, depth + 1)
        return text if isinstance(rewrite, (This, ComputedUserset, TupleToUserset)) else f"({text})"


def _restriction(restriction: Restriction) -> str:
    text = _name(restriction.type, "type", restriction.position)
    if restriction.wildcard and restriction.relation is not None:
        _refuse(f"type restriction {quote(restriction.type)} that is both a userset and a wildcard", restriction.position, text)
    if restriction.wildcard:
        text += ":*"
    if restriction.relation is not None:
        text += "#" + _name(restriction.relation, "relation", restriction.position)
    if restriction.condition is not None:
        text += " with " + _name(restriction.condition, "condition", restriction.condition_position)
    return text


def _condition(condition: Condition, sources: bool) -> str:
    for name in (condition.name, *condition.parameters):
        if not is_condition_name(name):
            _refuse(f"condition or parameter name {quote(name)}", condition.position, name, condition.file)
    kinds = []
    for name, parameter in sorted(condition.parameters.items()):
        kind = parameter.type if parameter.member is None else f"{parameter.type}<{parameter.member}>"
        fits = parameter.type in (PARAMETER_TYPES if parameter.member is None else PARAMETER_CONTAINERS)
        if not fits or (parameter.member is not None and parameter.member not in PARAMETER_TYPES):
            _refuse(f"parameter {quote(name)} of condition {quote(condition.name)}", condition.position, name, condition.file)
        kinds.append(f"{name}: {kind}")
    body = f"{{\n  {condition.expression}\n}}"
    if not kinds or not _reads_back(body, condition.expression):
        _refuse(f"condition {quote(condition.name)}", condition.position, condition.name, condition.file)
    return f"condition {condition.name}({', '.join(kinds)}) {body}{_source(condition, sources)}\n"


def _reads_back(body: str, expression: str) -> bool:
    """True if the language reads the expression out of the body as it is, but for blanks around it and at the ends of its lines."""
    if "\r" in expression or not expression.strip():
        return False
    try:
        scanner = Scanner(body)
        return scanner.body().split() == expression.split() and scanner.end == len(scanner.text)
    except SyntaxFault:
        return False
