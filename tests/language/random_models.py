"""Random models from a string of bytes: those that the language can write, and those that only JSON can.

Names are few, so that they meet; each is written another way. A tape that ends answers 0, and a choice of 0 is always the plainest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from hypothesis import strategies as st

from fgacore.language.model import (
    ComputedUserset,
    Condition,
    Difference,
    Intersection,
    Model,
    Parameter,
    Relation,
    Restriction,
    Rewrite,
    This,
    TupleToUserset,
    TypeDefinition,
    Union,
)

T = TypeVar("T")

PRIMITIVES = ("bool", "string", "int", "uint", "double", "duration", "timestamp", "ipaddress")
EXPRESSIONS = ("a > 1", "'}' == a", 'r"\\" == b', "{'k': a}.k", "a // } b", "a &&\n  b", "'''x\n # } ''' == a", "a in ['#', \"{\"]")
NAMES = ("a", "b", "user", "type", "model", "extend", "a.b", "a/b-c", "_", "x-", "list", "but")
CONDITION_NAMES = ("c", "d-e", "_x", "late", "module", "not")
JSON_NAMES = (*NAMES, "and", "é", "a b", "*", "1", "\U0001f511", "a\nb")
JSON_TEXTS = ("", "x.fga", "é\n", "a } b", "a # b", " ", "\U0001f511")


class Tape:
    """Choices read from bytes, each once."""

    def __init__(self, tape: bytes, *, names: Sequence[str], conditions: Sequence[str]) -> None:
        self.rest = iter(tape)
        self.names = names
        self.conditions = conditions

    def below(self, bound: int) -> int:
        return next(self.rest, 0) % bound

    def pick(self, items: Sequence[T]) -> T:
        return items[self.below(len(items))]

    def name(self) -> str:
        return self.pick(self.names)

    def restriction(self) -> Restriction:
        kind = self.below(4)
        condition = self.pick(self.conditions) if self.below(3) == 1 else None
        return Restriction(self.name(), self.name() if kind == 2 else None, kind == 1, condition)

    def restrictions(self, least: int) -> tuple[Restriction, ...]:
        return tuple(self.restriction() for _ in range(least + self.below(3)))

    def rewrite(self, depth: int, *, this: bool = False) -> Rewrite:
        """`this`: the relation's own tuples may be an operand, anywhere."""
        kind = self.below(7 if depth else 3)
        if kind < 2:
            return ComputedUserset(self.name())
        if kind == 2:
            return This() if this and self.below(2) else TupleToUserset(self.name(), self.name())
        if kind == 3:
            return Difference(self.rewrite(depth - 1, this=this), self.rewrite(depth - 1, this=this))
        children = tuple(self.rewrite(depth - 1, this=this) for _ in range(2 + self.below(2)))
        return Union(children) if kind < 6 else Intersection(children)

    def led(self, rewrite: Rewrite) -> Rewrite:
        """The rewrite with the relation's own tuples before everything else."""
        kind = self.below(5)
        if kind == 1 and isinstance(rewrite, Difference):
            return Difference(self.led(rewrite.base), rewrite.subtract)
        if kind == 1 and isinstance(rewrite, (Union, Intersection)):
            return type(rewrite)((self.led(rewrite.children[0]), *rewrite.children[1:]))
        if kind == 2:
            return Union((This(), rewrite))
        if kind == 3:
            return Intersection((This(), rewrite))
        return Difference(This(), rewrite) if kind == 4 else This()

    def parameters(self, names: Sequence[str], primitives: Sequence[str], least: int) -> dict[str, Parameter]:
        found = {}
        for _ in range(least + self.below(3)):
            kind = self.below(4)
            member = self.pick(primitives)
            found[self.pick(names)] = Parameter(("list", "map")[kind - 2], member) if kind > 1 else Parameter(member)
        return found


def text_model(data: bytes) -> Model:
    """A model that the language can write. It need not be valid."""
    tape = Tape(data, names=NAMES, conditions=CONDITION_NAMES)
    types: dict[str, TypeDefinition] = {}
    for _ in range(tape.below(4)):
        relations: dict[str, Relation] = {}
        for _ in range(tape.below(4)):
            rewrite = tape.rewrite(3)
            restrictions = tape.restrictions(1) if tape.below(2) else ()
            name = tape.name()
            relations[name] = Relation(name, tape.led(rewrite) if restrictions else rewrite, restrictions)
        name = tape.name()
        types[name] = TypeDefinition(name, relations)
    conditions: dict[str, Condition] = {}
    for _ in range(tape.below(3)):
        name = tape.pick(CONDITION_NAMES)
        conditions[name] = Condition(name, tape.parameters(CONDITION_NAMES, PRIMITIVES, 1), tape.pick(EXPRESSIONS))
    return Model(tape.pick(("1.1", "1.2")), types, conditions)


def json_model(data: bytes) -> Model:
    """A model that JSON can write, of any names and shapes. It is seldom valid."""
    tape = Tape(data, names=JSON_NAMES, conditions=JSON_NAMES)

    def origin() -> tuple[str, str]:
        return tape.pick(JSON_TEXTS), tape.pick(JSON_TEXTS)

    types: dict[str, TypeDefinition] = {}
    for _ in range(tape.below(4)):
        relations: dict[str, Relation] = {}
        for _ in range(tape.below(4)):
            name = tape.name()
            relations[name] = Relation(name, tape.rewrite(3, this=True), tape.restrictions(0), *origin())
        name = tape.name()
        types[name] = TypeDefinition(name, relations, *origin())
    conditions: dict[str, Condition] = {}
    for _ in range(tape.below(3)):
        parameters = tape.parameters(JSON_NAMES, (*PRIMITIVES, "any"), 0)
        conditions[tape.name()] = Condition(tape.name(), parameters, tape.pick((*EXPRESSIONS, *JSON_TEXTS)), *origin())
    return Model(tape.pick(("1.1", "1.2", "", "x")), types, conditions)


TEXT_MODELS = st.binary(max_size=200).map(text_model)
JSON_MODELS = st.binary(max_size=200).map(json_model)
