"""The modelling language to a model: a recursive descent over the scanner's tokens, of schema 1.1 and 1.2, models and module files.

A fault is noted and reading goes on at the next line, so that one run tells as many faults as it can. Nothing here judges meaning:
whether a type exists is asked by validate.py. Parentheses nest to MODEL_REWRITE_DEPTH_MAX, and nothing else recurses.
`parse` is for everybody; `read` is for modules.py and load.py, which go on to judge what was read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NoReturn, TypeVar

from fgacore import limits
from fgacore.errors import LimitError, quote
from fgacore.language.issues import Issues
from fgacore.language.model import (
    NOWHERE,
    ComputedUserset,
    Condition,
    Difference,
    Intersection,
    Model,
    Parameter,
    Position,
    Relation,
    Restriction,
    Rewrite,
    This,
    TupleToUserset,
    TypeDefinition,
    Union,
)
from fgacore.language.scan import END, LINE, WORD, Scanner, SyntaxFault

__all__ = ["PARAMETER_CONTAINERS", "PARAMETER_TYPES", "RESERVED_WORDS", "Source", "is_condition_name", "is_name", "parse", "read"]

# Words that the grammar needs; all other words are names, `model`, `type` and `module` among them.
RESERVED_WORDS = frozenset({"and", "or", "from", "with", "relations", "define", "condition", "in", "true", "false", "null"})
PARAMETER_TYPES = frozenset({"bool", "string", "int", "uint", "double", "duration", "timestamp", "ipaddress"})
PARAMETER_CONTAINERS = frozenset({"list", "map"})

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_\-]*|[A-Za-z_][A-Za-z0-9_]*(?:[./\-][A-Za-z0-9_]+)*", re.ASCII)
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_\-]*", re.ASCII)
_VERSION = re.compile(r"[0-9]+\.[0-9]+")
_BLANK = re.compile(r"(?:\s|(?<![^ \t\f\n])#[^\n]*)*")
_NOT = re.compile(r"[ \t\f]+not(?![A-Za-z0-9_./\-])")

# Words that begin a line: where one is found amid a construct, the construct was left unfinished.
_LINE_WORDS = ("define", "type", "extend", "condition")

_T = TypeVar("_T")


def is_name(text: str) -> bool:
    """True if the language can write this name of a type or relation."""
    return text not in RESERVED_WORDS and _NAME.fullmatch(text) is not None


def is_condition_name(text: str) -> bool:
    """True if the language can write this name of a condition or parameter."""
    return text not in RESERVED_WORDS and text not in PARAMETER_TYPES and text not in PARAMETER_CONTAINERS and _PLAIN_NAME.fullmatch(text) is not None


@dataclass(slots=True)
class Source:
    """One text as read: what it defines, what it extends, and the faults found on the way."""

    issues: Issues
    schema: str = ""
    schema_position: Position = (1, 1)
    module: str = ""
    types: dict[str, TypeDefinition] = field(default_factory=dict)
    extensions: dict[str, TypeDefinition] = field(default_factory=dict)
    conditions: dict[str, Condition] = field(default_factory=dict)

    def model(self) -> Model:
        """What was read as one model, its extensions added to its types. Relations that are there already are kept and noted."""
        types = dict(self.types)
        for name, extension in self.extensions.items():
            types[name] = extended(types[name], [extension], self.issues) if name in types else extension
        return Model(self.schema, types, self.conditions, self.schema_position)


def extended(definition: TypeDefinition, extensions: list[TypeDefinition], issues: Issues) -> TypeDefinition:
    """The type with the relations of its extensions added; one that the type has already is a fault of the extension."""
    relations = dict(definition.relations)
    for extension in extensions:
        for relation in extension.relations.values():
            if relation.name in relations:
                message = f"relation {quote(relation.name)} is defined on type {quote(definition.name)} already"
                issues.add("duplicated_error", message, relation.position, relation.name, extension.file or None)
            else:
                relations[relation.name] = relation
    return replace(definition, relations=relations)


def parse(text: str, file: str = "") -> Model:
    """Read a model, or one module file, in OpenFGA's language; ModelError with every fault of its syntax.

    A module file alone gives a model without a schema: load_modules joins the files of an `fga.mod`. `file` names the text in faults.

    >>> model = parse("model\\n  schema 1.1\\ntype user\\ntype doc\\n  relations\\n    define viewer: [user]\\n")
    >>> model.types["doc"].relations["viewer"].restrictions
    (Restriction(type='user', relation=None, wildcard=False, condition=None),)
    """
    source = read(text, file)
    model = source.model()
    source.issues.raise_found()
    return model


def read(text: str, file: str = "") -> Source:
    """As `parse`, with the faults in `issues` instead of raised."""
    issues = Issues(file)
    source = Source(issues)
    try:
        scanner = Scanner(text)
    except SyntaxFault as fault:
        issues.add("syntax_error", fault.message, fault.position, fault.symbol)
        return source
    _Parser(scanner, source, file).run()
    return source


class _Parser:
    """One run over one text. `run` fills the source; every other method reads one construct from the token at hand on."""

    def __init__(self, scanner: Scanner, source: Source, file: str) -> None:
        self.scanner = scanner
        self.source = source
        self.file = file
        self.relation_count = 0
        self.restrictions: tuple[Restriction, ...] = ()  # of the relation at hand

    # Faults

    def fail(self, message: str) -> NoReturn:
        scanner = self.scanner
        symbol = scanner.value
        found = f"found {quote(symbol)}" if symbol else "found the end of the " + ("line" if scanner.kind is LINE else "text")
        raise SyntaxFault(f"{message}, {found}", scanner.position, symbol)

    def note(self, fault: SyntaxFault) -> None:
        self.source.issues.add("syntax_error", fault.message, fault.position, fault.symbol)

    def guarded(self, construct: Callable[[], _T], *resume: str) -> _T | None:
        """Read a construct; after a fault in it go on at the next line, or at a line that begins with one of the words in `resume`."""
        try:
            return construct()
        except SyntaxFault as fault:
            self.note(fault)
        scanner = self.scanner
        while scanner.kind is not END:
            if scanner.first and scanner.kind is WORD and scanner.value in (resume or _LINE_WORDS):
                break
            scanner.skip_line()
            self.skip_lines()
            if not resume:
                break
        return None

    # Tokens

    def expect(self, kind: str, message: str) -> None:
        if self.scanner.kind != kind:
            self.fail(message)
        self.scanner.advance()

    def expect_close(self, kind: str, message: str) -> None:
        """As `expect`, for a mark that stands directly behind what is before it."""
        if self.scanner.gap:
            self.fail(message)
        self.expect(kind, message)

    def end_line(self, message: str = "expected the end of the line") -> None:
        if self.scanner.kind is not END:
            self.expect(LINE, message)

    def skip_lines(self) -> None:
        if self.scanner.kind is LINE:
            self.scanner.advance()

    def at(self, word: str) -> bool:
        return self.scanner.kind is WORD and self.scanner.value == word

    def name(self, what: str, rule: Callable[[str], bool] = is_name) -> str:
        value = self.scanner.value
        if self.scanner.kind is not WORD or not rule(value):
            self.fail(f"expected {what}")
        self.scanner.advance()
        return value

    # Constructs

    def run(self) -> None:
        if self.header():
            self.definitions()

    def header(self) -> bool:
        """The first lines. False where there are none: nothing after them would be understood."""
        if not self.at("model") and not self.at("module"):
            try:
                self.fail("expected `model` or `module`")
            except SyntaxFault as fault:
                self.note(fault)
            return False
        self.guarded(self.model_header if self.at("model") else self.module_header, "type", "extend", "condition")
        return True

    def model_header(self) -> None:
        scanner, source = self.scanner, self.source
        scanner.advance()
        self.expect(LINE, "expected the end of the line after `model`")
        if not self.at("schema"):
            self.fail("expected `schema`")
        scanner.advance()
        if scanner.kind is not WORD or not _VERSION.fullmatch(scanner.value):
            self.fail("expected a schema version such as `1.1`")
        source.schema, source.schema_position = scanner.value, scanner.position
        scanner.advance()
        self.end_line()

    def module_header(self) -> None:
        self.scanner.advance()
        self.source.module = self.name("the name of the module")
        self.end_line()

    def definitions(self) -> None:
        scanner, issues = self.scanner, self.source.issues
        while scanner.kind is not END and not issues.full:
            if self.at("type") or self.at("extend"):
                self.guarded(self.type_definition)
            elif self.at("condition"):
                self.guarded(self.condition, "type", "extend", "condition")
            else:
                self.guarded(self.stray)

    def stray(self) -> None:
        """A line that begins no construct."""
        try:
            self.fail("expected `relations` before `define`" if self.at("define") else "expected `type` or `condition`")
        finally:
            self.scanner.skip_line()  # or a stray `define` would be found again

    def type_definition(self) -> None:
        scanner, source = self.scanner, self.source
        if source.conditions:
            source.issues.add("syntax_error", "types come before conditions", scanner.position, scanner.value)
        extends = self.at("extend")
        if extends:
            scanner.advance()
            if not self.at("type"):
                self.fail("expected `type` after `extend`")
        scanner.advance()
        position = scanner.position
        name = self.guarded(self.type_name) or ""
        if extends and not source.module:
            source.issues.add("syntax_error", "`extend type` is only allowed in a module", position, name)
        relations: dict[str, Relation] = {}
        if self.at("relations") or self.at("define"):
            self.guarded(self.relations_header)
            self.relations(name, relations, extends)
        if not name:
            return  # its relations were read so that their faults are told, and those alone
        definition = TypeDefinition(name, relations, source.module, self.file if source.module else "", position)
        known = source.extensions if extends else source.types
        if name not in known:
            known[name] = definition
            if len(source.types) + len(source.extensions) > limits.MODEL_TYPES_MAX:
                raise LimitError(f"the model has more than {limits.MODEL_TYPES_MAX} types (MODEL_TYPES_MAX)")
        elif extends:
            source.issues.add("duplicated_error", f"type {quote(name)} is extended in this file already", position, name)
        else:
            message = f"type {quote(name)} is defined again on line {position[0]}"
            source.issues.add("duplicated_error", message, known[name].position, name)

    def type_name(self) -> str:
        name = self.name("the name of the type")
        self.end_line()
        return name

    def relations_header(self) -> None:
        if self.at("define"):
            self.fail("expected `relations` before `define`")
        self.scanner.advance()
        self.end_line()
        if not self.at("define"):
            self.fail("expected `define`")

    def relations(self, type_name: str, relations: dict[str, Relation], extends: bool) -> None:
        scanner, issues = self.scanner, self.source.issues
        while scanner.kind is not END and not issues.full:
            if scanner.kind is WORD and scanner.value in ("type", "extend", "condition"):
                return
            relation = self.guarded(lambda: self.relation(extends))
            if relation is None:
                continue
            if relation.name in relations:
                message = f"relation {quote(relation.name)} is defined on type {quote(type_name)} already"
                issues.add("duplicated_error", message, relation.position, relation.name)
            else:
                relations[relation.name] = relation
                self.relation_count += 1
                if self.relation_count > limits.MODEL_RELATIONS_MAX:
                    raise LimitError(f"the model has more than {limits.MODEL_RELATIONS_MAX} relations (MODEL_RELATIONS_MAX)")

    def relation(self, extends: bool) -> Relation:
        scanner, source = self.scanner, self.source
        if not self.at("define"):
            self.fail("expected `define`")
        scanner.advance()
        position = scanner.position
        name = self.name("the name of the relation")
        self.expect(":", "expected `:`")
        self.restrictions = ()
        rewrite = self.rewrite(first=True, depth=1)
        self.unmixed()
        self.end_line()
        module = source.module if extends else ""
        return Relation(name, rewrite, self.restrictions, module, self.file if module else "", position)

    # Rewrites: the only recursion, bounded by `depth`.

    def rewrite(self, first: bool, depth: int) -> Rewrite:
        """One operand, or several under one operator. Restrictions may stand only where nothing is before them: `first`."""
        if depth >= limits.MODEL_REWRITE_DEPTH_MAX:  # its operands are one deeper
            line, column = self.scanner.position
            raise LimitError(f"{line}:{column}: a rewrite nests deeper than {limits.MODEL_REWRITE_DEPTH_MAX} (MODEL_REWRITE_DEPTH_MAX)")
        operand = self.operand(first, depth)
        operator = self.scanner.value if self.scanner.kind is WORD else ""
        if operator == "but":
            self.operator("but")
            if not self.at("not"):
                self.fail("expected `but not`")
            self.operator("not")
            return Difference(operand, self.operand(False, depth))
        if operator not in ("and", "or"):
            return operand
        children = [operand]
        while self.at(operator):
            self.operator(operator)
            children.append(self.operand(False, depth))
        return Union(tuple(children)) if operator == "or" else Intersection(tuple(children))

    def unmixed(self) -> None:
        if self.at("and") or self.at("or") or self.at("but"):
            self.fail("operators do not mix without parentheses")

    def operator(self, word: str) -> None:
        if not self.scanner.gap:
            self.fail(f"expected a blank before `{word}`")
        self.scanner.advance()
        if not self.scanner.gap:
            self.fail(f"expected a blank after `{word}`")

    def operand(self, first: bool, depth: int) -> Rewrite:
        scanner = self.scanner
        position = scanner.position
        if scanner.kind == "(":
            scanner.advance()
            inner = self.rewrite(first, depth + 1)
            self.unmixed()
            self.expect(")", "expected `)`")
            return inner
        if scanner.kind == "[":
            if not first:
                self.fail("expected a relation, since type restrictions come first")
            self.restrictions = self.restriction_list()
            return This(position)
        if self.at("but") and _NOT.match(scanner.text, scanner.end):
            self.fail("expected a relation")
        relation = self.name("a relation")
        if not self.at("from"):
            return ComputedUserset(relation, position)
        scanner.advance()
        tupleset_position = scanner.position
        return TupleToUserset(relation, self.name("a relation after `from`"), position, tupleset_position)

    def restriction_list(self) -> tuple[Restriction, ...]:
        """`[...]`, which may run over several lines."""
        scanner = self.scanner
        scanner.advance()
        found: list[Restriction] = []
        while True:
            self.skip_lines()
            found.append(self.restriction())
            self.skip_lines()
            if len(found) > limits.MODEL_RESTRICTIONS_MAX:
                raise LimitError(f"a relation has more than {limits.MODEL_RESTRICTIONS_MAX} type restrictions (MODEL_RESTRICTIONS_MAX)")
            if scanner.kind == "]":
                scanner.advance()
                return tuple(found)
            self.expect(",", "expected `,` or `]`")

    def restriction(self) -> Restriction:
        scanner = self.scanner
        position = scanner.position
        type_name = self.name("a type")
        relation: str | None = None
        condition: str | None = None
        condition_position = NOWHERE
        wildcard = False
        if scanner.kind == ":":
            self.expect_close(":", "expected `:*` directly after the type")
            self.expect_close("*", "expected `*` directly after `:`")
            wildcard = True
        elif scanner.kind == "#":
            scanner.advance()
            if scanner.gap:
                self.fail("expected a relation directly after `#`")
            relation = self.name("a relation")
        if self.at("with"):
            scanner.advance()
            condition_position = scanner.position
            condition = self.name("a condition")
        return Restriction(type_name, relation, wildcard, condition, position, condition_position)

    # Conditions

    def condition(self) -> None:
        scanner, source = self.scanner, self.source
        scanner.advance()
        position = scanner.position
        name = self.name("the name of the condition", is_condition_name)
        self.expect("(", "expected `(`")
        parameters = self.parameters(name)
        if scanner.kind != "{":
            self.fail("expected `{`")
        opened, start = scanner.position, scanner.end
        expression = scanner.body()
        if not expression:
            self.fail("expected an expression")
        if len(expression.encode()) > limits.CONDITION_EXPRESSION_BYTES_MAX:
            raise LimitError(f"condition {quote(name)} is longer than {limits.CONDITION_EXPRESSION_BYTES_MAX} bytes (CONDITION_EXPRESSION_BYTES_MAX)")
        scanner.advance()
        self.end_line()
        if name in source.conditions:
            source.issues.add("duplicated_error", f"condition {quote(name)} is defined already", position, name)
            return
        if len(source.conditions) >= limits.MODEL_CONDITIONS_MAX:
            raise LimitError(f"the model has more than {limits.MODEL_CONDITIONS_MAX} conditions (MODEL_CONDITIONS_MAX)")
        file = self.file if source.module else ""
        place = self.place_behind(opened, start)
        source.conditions[name] = Condition(name, parameters, expression, source.module, file, position, place)

    def place_behind(self, opened: Position, start: int) -> Position:
        """The first place behind a brace, which is at `opened` and ends at the offset `start`, that is neither blank nor comment."""
        text = self.scanner.text
        blank = _BLANK.match(text, start)
        first = blank.end() if blank else start
        return opened[0] + text.count("\n", start, first), first - text.rfind("\n", 0, first)

    def parameters(self, condition: str) -> dict[str, Parameter]:
        """From behind the `(` to behind the `)`; may run over several lines."""
        scanner, issues = self.scanner, self.source.issues
        parameters: dict[str, Parameter] = {}
        while True:
            self.skip_lines()
            position = scanner.position
            name = self.name("the name of a parameter", is_condition_name)
            self.expect(":", "expected `:` and the type of the parameter")
            parameter = self.parameter()
            if name in parameters:
                issues.add("duplicated_error", f"parameter {quote(name)} of condition {quote(condition)} is defined already", position, name)
            else:
                parameters[name] = parameter
            if len(parameters) > limits.MODEL_PARAMETERS_MAX:
                raise LimitError(f"condition {quote(condition)} has more than {limits.MODEL_PARAMETERS_MAX} parameters (MODEL_PARAMETERS_MAX)")
            self.skip_lines()
            if scanner.kind == ")":
                scanner.advance()
                return parameters
            self.expect(",", "expected `,` or `)`")

    def parameter(self) -> Parameter:
        container = self.scanner.value
        if self.scanner.kind is not WORD or container not in PARAMETER_CONTAINERS:
            return Parameter(self.name("the type of the parameter", PARAMETER_TYPES.__contains__))
        self.scanner.advance()
        self.expect_close("<", f"expected `<` and the type of the members of the {container}")
        member = self.name(f"the type of the members of the {container}", PARAMETER_TYPES.__contains__)
        self.expect_close(">", "expected `>`")
        return Parameter(container, member)
