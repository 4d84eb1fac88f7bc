"""Whether a model means something: every rule beyond the grammar, all faults in one run.

The rules are those of OpenFGA's server; `strict` adds those of its language tools, which refuse what the server takes: a condition that
nothing uses, a repeated operand, several modules in one file. Where the server refuses a sound model because its search for an entry point
stops early, this takes it. Nothing here recurses and each step is linear in the model: a model is text from outside.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fgacore import limits
from fgacore.errors import quote
from fgacore.language.graph import Tuplesets, entry_points, on_cycles
from fgacore.language.issues import Issues
from fgacore.language.model import (
    NOWHERE,
    ComputedUserset,
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
    Union,
)

__all__ = ["SCHEMAS", "find_issues", "find_name_issues", "valid_object_id", "validate"]

SCHEMAS = ("1.1", "1.2")
RESERVED_NAMES = ("self", "this")

# White space is ASCII's, as in OpenFGA. A `*` would look like a wildcard.
_NAME = re.compile(r"[^:#@*\s]+", re.ASCII)
_OBJECT_ID = re.compile(r"[A-Za-z0-9_|@.+/\-][A-Za-z0-9_|*@.+/\-]*", re.ASCII)
_OBJECT_ID_BYTES_MAX = limits.OBJECT_BYTES_MAX - 2  # a type of one byte and a colon


def validate(model: Model, *, strict: bool = False) -> None:
    """Raise ModelError with every fault of the model's meaning; return where there is none.

    As the server without `strict`, as OpenFGA's language tools with it.
    """
    issues = Issues()
    find_issues(model, issues, strict=strict)
    issues.raise_found()


def valid_object_id(text: str) -> bool:
    """True if OpenFGA's language tools take this id of an object (the part after the colon).

    This is the rule for files that people write: letters, digits and ``_|*@.+/-``, no ``*`` first. The engine itself takes more.
    """
    return len(text) <= _OBJECT_ID_BYTES_MAX and _OBJECT_ID.fullmatch(text) is not None


def find_issues(model: Model, issues: Issues, *, strict: bool) -> None:
    """Add every fault of the model to `issues`."""
    if not model.schema:
        issues.add("schema_version_required", "a schema version is required", model.schema_position)
        return
    if model.schema not in SCHEMAS:
        message = f"schema version {quote(model.schema)} is not supported, only `1.1` and `1.2`"
        issues.add("invalid_schema", message, model.schema_position, model.schema)
        return
    find_name_issues(model, issues)
    before = len(issues.found)
    judge = _Judge(model, issues)
    judge.references()
    # A missing relation leaves others without an entry point: telling those too would hide the cause.
    if len(issues.found) == before:
        judge.loops(strict)
    if strict:
        judge.duplicates()
    judge.conditions(strict)
    if strict:
        judge.modules()


def find_name_issues(model: Model, issues: Issues) -> None:
    """Add the faults of names: the one rule that can be asked of half a model."""
    for definition in model.types.values():
        _name(definition.name, "type", limits.TYPE_BYTES_MAX, definition.position, definition.file, issues)
        for relation in definition.relations.values():
            _name(relation.name, "relation", limits.RELATION_BYTES_MAX, relation.position, _file(definition, relation), issues)
    for name, condition in model.conditions.items():
        _name(name, "condition", limits.CONDITION_BYTES_MAX, condition.position, condition.file, issues)


def _name(name: str, kind: str, size_max: int, position: Position, file: str, issues: Issues) -> None:
    if name in RESERVED_NAMES and kind != "condition":
        issues.add(f"reserved_{kind}_keywords", f"a {kind} cannot be named {quote(name)}", position, name, file or None)
    elif not _NAME.fullmatch(name) or len(name.encode()) > size_max:
        message = f"{kind} name {quote(name)} is not 1 to {size_max} bytes without white space, `:`, `#`, `@` or `*`"
        issues.add("invalid_name", message, position, name, file or None)


def _file(definition: TypeDefinition, relation: Relation) -> str:
    return relation.file or definition.file


def leaves(rewrite: Rewrite) -> Iterator[This | ComputedUserset | TupleToUserset]:
    """The operands of a rewrite, left to right."""
    stack = [rewrite]
    while stack:
        node = stack.pop()
        if isinstance(node, (Union, Intersection)):
            stack.extend(reversed(node.children))
        elif isinstance(node, Difference):
            stack += (node.subtract, node.base)
        else:
            yield node


def written(restriction: Restriction) -> str:
    """A restriction as the language writes it, without its condition."""
    if restriction.relation is not None:
        return f"{restriction.type}#{restriction.relation}"
    return f"{restriction.type}:*" if restriction.wildcard else restriction.type


class _Judge:
    """One run over one model: each method is one group of rules."""

    def __init__(self, model: Model, issues: Issues) -> None:
        self.model = model
        self.issues = issues
        self.definition: TypeDefinition = TypeDefinition("")  # at hand
        self.name = ""  # of the relation at hand
        self.file = ""
        self.tuplesets = Tuplesets(model)

    def relations(self) -> Iterator[Relation]:
        """Every relation, with `definition`, `name` and `file` set to it, until there are faults enough."""
        for definition in self.model.types.values():
            self.definition = definition
            for relation in definition.relations.values():
                if self.issues.full:
                    return
                self.name, self.file = relation.name, _file(definition, relation)
                yield relation

    def add(self, code: str, message: str, position: Position = NOWHERE, symbol: str = "") -> None:
        self.issues.add(code, message, position, symbol, self.file or None)

    # References

    def references(self) -> None:
        """Every name that a relation mentions exists and may stand where it stands."""
        for relation in self.relations():
            if not self.sound(relation):
                continue
            assignable = False
            for leaf in leaves(relation.rewrite):
                if isinstance(leaf, This):
                    assignable = True
                elif isinstance(leaf, TupleToUserset):
                    self.tuple_to_userset(leaf)
                elif leaf.relation not in self.definition.relations:
                    message = f"relation {quote(leaf.relation)} does not exist on type {quote(self.definition.name)}"
                    self.add("missing_definition", message, leaf.position, leaf.relation)
            if assignable and not relation.restrictions:
                message = f"relation {quote(self.name)} can be assigned but names no type"
                self.add("assignable_relation_must_have_type", message, relation.position, self.name)
            if relation.restrictions and not assignable:
                message = f"relation {quote(self.name)} has type restrictions but cannot be assigned"
                self.add("relation_not_assignable", message, relation.position, self.name)
            for restriction in relation.restrictions:
                self.restriction(restriction)

    def sound(self, relation: Relation) -> bool:
        """The shape of a rewrite, which JSON leaves open: two operands at least, and no deeper than anything recurses."""
        stack: list[tuple[Rewrite, int]] = [(relation.rewrite, 1)]
        while stack:
            node, depth = stack.pop()
            if isinstance(node, (Union, Intersection)):
                if len(node.children) < 2:
                    kind = "a union" if isinstance(node, Union) else "an intersection"
                    message = f"relation {quote(self.name)} has {kind} of fewer than two operands"
                    self.add("invalid_rewrite", message, relation.position, self.name)
                    return False
                stack += ((child, depth + 1) for child in node.children)
            elif isinstance(node, Difference):
                stack += ((node.base, depth + 1), (node.subtract, depth + 1))
            if depth > limits.MODEL_REWRITE_DEPTH_MAX:
                message = f"relation {quote(self.name)} nests deeper than {limits.MODEL_REWRITE_DEPTH_MAX} (MODEL_REWRITE_DEPTH_MAX)"
                self.add("invalid_rewrite", message, relation.position, self.name)
                return False
        return True

    def tuple_to_userset(self, leaf: TupleToUserset) -> None:
        tupleset = self.definition.relations.get(leaf.tupleset)
        symbol = f"{leaf.relation} from {leaf.tupleset}"
        if tupleset is None:
            message = f"relation {quote(leaf.tupleset)} does not exist on type {quote(self.definition.name)}"
            self.add("invalid_relation_type", message, leaf.position, symbol)
            return
        place = (self.definition.name, leaf.tupleset)
        if not self.tuplesets.plain(place):
            message = f"relation {quote(leaf.tupleset)} stands after `from` and so must name plain types only, such as `[folder]`"
            self.add("tupleuserset_not_direct", message, leaf.tupleset_position, leaf.tupleset)
            return
        if leaf.relation in self.tuplesets.index(place):
            return
        for name in dict.fromkeys(item.type for item in tupleset.restrictions):
            message = f"relation {quote(leaf.relation)} does not exist on type {quote(name)}, which {quote(leaf.tupleset)} leads to"
            self.add("invalid_relation_on_tupleset", message, leaf.position, symbol)
            if self.issues.full:
                return

    def restriction(self, restriction: Restriction) -> None:
        target = self.model.types.get(restriction.type)
        if target is None:
            self.add("invalid_type", f"type {quote(restriction.type)} does not exist", restriction.position, restriction.type)
        elif restriction.relation is not None and (restriction.wildcard or restriction.relation not in target.relations):
            message = f"relation {quote(restriction.relation)} does not exist on type {quote(restriction.type)}"
            if restriction.wildcard:
                message = f"type restriction {quote(written(restriction))} is both a userset and a wildcard"
            self.add("invalid_relation_type", message, restriction.position, written(restriction))
        if restriction.condition is not None and restriction.condition not in self.model.conditions:
            message = f"condition {quote(restriction.condition)} does not exist"
            self.add("condition_not_defined", message, restriction.condition_position, restriction.condition)

    # Loops

    def loops(self, strict: bool) -> None:
        """Every relation can be held by somebody, and no relation is computed from itself."""
        found = entry_points(self.model, self.tuplesets, strict=strict)
        cyclic = on_cycles(self.model)
        for relation in self.relations():
            place = (self.definition.name, self.name)
            if place not in found:
                message = f"relation {quote(self.name)} of type {quote(self.definition.name)} has no entry point: nobody can ever hold it"
                self.add("relation_no_entry_point", message, relation.position, self.name)
            elif place in cyclic:
                message = f"relation {quote(self.name)} of type {quote(self.definition.name)} is computed from itself"
                self.add("relation_cycle", message, relation.position, self.name)

    # Repetitions

    def duplicates(self) -> None:
        """No operand and no restriction is given twice."""
        for relation in self.relations():
            seen: set[tuple[str, str | None]] = set()
            for restriction in relation.restrictions:
                key = (written(restriction), restriction.condition)
                if key in seen:
                    symbol = key[0] + (f" with {key[1]}" if key[1] is not None else "")
                    message = f"type restriction {quote(symbol)} is given twice in relation {quote(self.name)}"
                    self.add("duplicated_error", message, restriction.position, symbol)
                seen.add(key)
            self.operands(relation.rewrite)

    def operands(self, rewrite: Rewrite) -> None:
        stack = [rewrite]
        while stack:
            node = stack.pop()
            if isinstance(node, Difference):
                children: tuple[Rewrite, ...] = (node.base, node.subtract)
            elif isinstance(node, (Union, Intersection)):
                children = node.children
            else:
                continue
            seen: set[str] = set()
            for child in children:
                if isinstance(child, (ComputedUserset, TupleToUserset)):
                    symbol = child.relation if isinstance(child, ComputedUserset) else f"{child.relation} from {child.tupleset}"
                    if symbol in seen:
                        self.add("duplicated_error", f"operand {quote(symbol)} is given twice in relation {quote(self.name)}", child.position, symbol)
                    seen.add(symbol)
            stack.extend(reversed(children))

    # Conditions and modules

    def conditions(self, strict: bool) -> None:
        used = {item.condition for kind in self.model.types.values() for relation in kind.relations.values() for item in relation.restrictions}
        for name, condition in self.model.conditions.items():
            self.file = condition.file
            if condition.name != name:
                message = f"condition {quote(name)} names itself {quote(condition.name)}"
                self.add("different_nested_condition_name", message, condition.position, condition.name)
            if not condition.expression.strip():
                self.add("invalid_condition", f"condition {quote(name)} has no expression", condition.position, name)
            if strict and name not in used:
                self.add("condition_not_used", f"condition {quote(name)} is not used", condition.position, name)

    def modules(self) -> None:
        """A file is one module."""
        modules: dict[str, dict[str, None]] = {}
        for definition in self.model.types.values():
            modules.setdefault(definition.file, {})[definition.module] = None
            for relation in definition.relations.values():
                if relation.module:
                    modules.setdefault(relation.file, {})[relation.module] = None
        for condition in self.model.conditions.values():
            modules.setdefault(condition.file, {})[condition.module] = None
        self.file = ""
        for file, names in modules.items():
            if file and len(names) > 1:
                message = f"file {quote(file)} has several modules: {', '.join(map(quote, names))}"
                self.add("multiple_modules_in_file", message, NOWHERE, file)
