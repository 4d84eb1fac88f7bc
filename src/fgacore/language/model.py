"""The model as data: what a parser makes, a validator reads, a renderer writes and the compiler turns into a plan.

Immutable values without behaviour. Positions are (line, column) from 1, and (0, 0) where the source has none (JSON); they take no part in equality.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = [
    "ComputedUserset",
    "Condition",
    "Difference",
    "Intersection",
    "Model",
    "Parameter",
    "Position",
    "Relation",
    "Restriction",
    "Rewrite",
    "This",
    "TupleToUserset",
    "TypeDefinition",
    "Union",
]

Position = tuple[int, int]
NOWHERE: Position = (0, 0)


def _position() -> Position:  # a dataclass field, typed as what it holds
    return field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Restriction:
    """Who may be written on a relation: `type`, `type#relation` or `type:*`, each perhaps `with condition`."""

    type: str
    relation: str | None = None
    wildcard: bool = False
    condition: str | None = None
    position: Position = _position()
    condition_position: Position = _position()


@dataclass(frozen=True, slots=True)
class This:
    """The tuples stored on the relation itself: `[...]` in the DSL; what it admits is in Relation.restrictions."""

    position: Position = _position()


@dataclass(frozen=True, slots=True)
class ComputedUserset:
    """Another relation of the same object: `owner`."""

    relation: str
    position: Position = _position()


@dataclass(frozen=True, slots=True)
class TupleToUserset:
    """A relation of the objects that `tupleset` points to: `relation from tupleset`."""

    relation: str
    tupleset: str
    position: Position = _position()
    tupleset_position: Position = _position()


@dataclass(frozen=True, slots=True)
class Union:
    """`a or b`"""

    children: tuple[Rewrite, ...]


@dataclass(frozen=True, slots=True)
class Intersection:
    """`a and b`"""

    children: tuple[Rewrite, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """`base but not subtract`"""

    base: Rewrite
    subtract: Rewrite


Rewrite = This | ComputedUserset | TupleToUserset | Union | Intersection | Difference


@dataclass(frozen=True, slots=True)
class Relation:
    """One relation of a type. `module` and `file` are set where it came from a module file."""

    name: str
    rewrite: Rewrite
    restrictions: tuple[Restriction, ...] = ()
    module: str = ""
    file: str = ""
    position: Position = _position()


@dataclass(frozen=True, slots=True)
class TypeDefinition:
    """A type and its relations, in the order of the source."""

    name: str
    relations: dict[str, Relation] = field(default_factory=dict)
    module: str = ""
    file: str = ""
    position: Position = _position()


@dataclass(frozen=True, slots=True)
class Parameter:
    """The type of a condition's parameter: a name such as `int`, or `list` / `map` with the type of its members."""

    type: str
    member: str | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition as parsed: its parameters and the text of its CEL expression.

    The lines of the expression are lines of the source, and its columns too, but for those of the first line, which begins at
    `expression_position`.
    """

    name: str
    parameters: dict[str, Parameter]
    expression: str
    module: str = ""
    file: str = ""
    position: Position = _position()
    expression_position: Position = _position()


@dataclass(frozen=True, slots=True)
class Model:
    """A whole model. Immutable; two models are equal where they mean the same, wherever they were written."""

    schema: str
    types: dict[str, TypeDefinition]
    conditions: dict[str, Condition] = field(default_factory=dict)
    schema_position: Position = _position()
