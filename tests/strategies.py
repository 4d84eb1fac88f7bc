"""Small random worlds: models of every shape that the language allows, the tuples that they admit, and the questions one can ask.

Everything is made from one primitive, `Choices.below`, so that Hypothesis (which shrinks) and a plain seeded generator (which runs long)
make the same worlds. A choice of 0 is always the plainest. Few types, few names and few relations: a world is small enough that cycles,
stale tuples and names met in two roles are common and not a matter of luck.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

from hypothesis import strategies as st

from adapters import Question, Triple
from fgacore import language
from fgacore.errors import ModelError
from fgacore.language.model import (
    ComputedUserset,
    Difference,
    Intersection,
    Model,
    Relation,
    Restriction,
    Rewrite,
    This,
    TupleToUserset,
    TypeDefinition,
    Union,
)

__all__ = [
    "Choices",
    "RandomChoices",
    "Tape",
    "all_questions",
    "describe",
    "make_model",
    "make_question",
    "make_subject",
    "make_tuple",
    "make_tuples",
    "pick",
    "some",
    "tapes",
]

T = TypeVar("T")

PLAIN_TYPES = ("user", "bot")
OBJECT_TYPES = ("doc", "group", "folder")
RELATIONS = ("a", "b", "c", "d")
TUPLESETS = ("parent", "owner")
IDS = ("1", "2", "3")
ID_WEIGHTS = ("1", "1", "2", "1", "2", "3")  # names meet each other often
UNSEEN = "x"  # the id that no tuple ever has
REWRITE_DEPTH_MAX = 3


class Choices(Protocol):
    """Where randomness comes from."""

    def below(self, bound: int) -> int:
        """A number from 0 to bound - 1; the smaller, the plainer."""


class RandomChoices:
    """From a seeded generator."""

    def __init__(self, seed: int | str) -> None:
        self._random = random.Random(seed)

    def below(self, bound: int) -> int:
        return self._random.randrange(bound)


class Tape:
    """From a string of bytes, each read once; after the last, every choice is 0. Hypothesis makes it shorter and plainer."""

    def __init__(self, tape: bytes) -> None:
        self._rest = iter(tape)

    def below(self, bound: int) -> int:
        return next(self._rest, 0) % bound


def tapes(size: int) -> st.SearchStrategy[Tape]:
    """Tapes long enough for about `size` choices."""
    return st.binary(min_size=size // 2, max_size=size * 3 // 2).map(Tape)


def pick(source: Choices, items: Sequence[T]) -> T:
    return items[source.below(len(items))]


def some(source: Choices, items: Sequence[T], count: int) -> list[T]:
    """`count` different items, or all of them."""
    rest = list(items)
    return [rest.pop(source.below(len(rest))) for _ in range(min(count, len(rest)))]


def make_model(source: Choices) -> Model:
    """A valid model. Where the first attempt has a relation that nothing can enter, every relation is given a direct way in."""
    types, relations = _shape(source)
    model = Model("1.1", {name: _type(source, name, types, relations) for name in types})
    try:
        language.validate(model)
    except ModelError:
        model = Model("1.1", {name: _opened(definition) for name, definition in model.types.items()})
        language.validate(model)
    return model


def make_tuple(source: Choices, model: Model) -> Triple:
    """A tuple that the model admits. It is never an object's own userset on its own relation: that is not to be written."""
    object_type, relation = pick(source, [(name, relation) for name, relation in _relations(model) if relation.restrictions])
    object_name = f"{object_type}:{pick(source, ID_WEIGHTS)}"
    restriction = pick(source, relation.restrictions)
    if restriction.wildcard:
        return f"{restriction.type}:*", relation.name, object_name
    ids = [id_ for id_ in ID_WEIGHTS if (object_name, relation.name) != (f"{restriction.type}:{id_}", restriction.relation)]
    subject = f"{restriction.type}:{pick(source, ids)}"
    return (f"{subject}#{restriction.relation}" if restriction.relation else subject), relation.name, object_name


def make_tuples(source: Choices, model: Model, count: int) -> list[Triple]:
    """Up to `count` different tuples."""
    return list(dict.fromkeys(make_tuple(source, model) for _ in range(count)))


def make_subject(source: Choices, model: Model) -> str:
    """Anyone who can ask: a plain name, a userset or a wildcard of any type, also names that no tuple mentions."""
    kind = source.below(8)
    type_name = "user" if kind < 3 else pick(source, list(model.types))
    if kind == 7:
        return f"{type_name}:*"
    name = f"{type_name}:{pick(source, (*ID_WEIGHTS, UNSEEN))}"
    relations = list(model.types[type_name].relations)
    return f"{name}#{pick(source, relations)}" if kind >= 5 and relations else name


def make_question(source: Choices, model: Model) -> Question:
    """One question that the model can answer."""
    subject = make_subject(source, model)
    type_name, relation = pick(source, list(_relations(model)))
    return Question(subject, relation.name, f"{type_name}:{pick(source, (*IDS, UNSEEN))}")


def all_questions(subject: str, model: Model) -> list[Question]:
    """Everything that can be asked about one subject: each relation of each object, seen or not."""
    return [Question(subject, relation.name, f"{type_name}:{id_}") for type_name, relation in _relations(model) for id_ in (*IDS, UNSEEN)]


def describe(model: Model) -> str:
    """The model on few lines, for a failure's message."""
    out = []
    for type_name, definition in model.types.items():
        out.append(f"type {type_name}")
        for relation in definition.relations.values():
            admitted = ", ".join(r.type + (f"#{r.relation}" if r.relation else ":*" if r.wildcard else "") for r in relation.restrictions)
            out.append(f"  {relation.name}: {_describe(relation.rewrite, f'[{admitted}]')}")
    return "\n".join(out)


def _describe(rewrite: Rewrite, admitted: str) -> str:
    match rewrite:
        case This():
            return admitted
        case ComputedUserset(relation):
            return relation
        case TupleToUserset(relation, tupleset):
            return f"{relation} from {tupleset}"
        case Union(children):
            return "(" + " or ".join(_describe(child, admitted) for child in children) + ")"
        case Intersection(children):
            return "(" + " and ".join(_describe(child, admitted) for child in children) + ")"
        case Difference(base, subtract):
            return f"({_describe(base, admitted)} but not {_describe(subtract, admitted)})"


def _relations(model: Model) -> Iterator[tuple[str, Relation]]:
    for type_name, definition in model.types.items():
        for relation in definition.relations.values():
            yield type_name, relation


def _shape(source: Choices) -> tuple[dict[str, bool], dict[str, tuple[str, ...]]]:
    """Which types there are (and whether they are objects), and the names of the relations of each."""
    plain = PLAIN_TYPES[: 1 + source.below(2)]
    objects = OBJECT_TYPES[: pick(source, (1, 1, 2, 2, 3))]
    types = dict.fromkeys(plain, False) | dict.fromkeys(objects, True)
    return types, {name: RELATIONS[: 1 + source.below(4)] for name in objects}


def _type(source: Choices, name: str, types: dict[str, bool], relations: dict[str, tuple[str, ...]]) -> TypeDefinition:
    if not types[name]:
        return TypeDefinition(name)
    parents: dict[str, list[str]] = {}
    for tupleset in TUPLESETS[: source.below(3)]:
        # At most one of the types that it points to lacks relations altogether: at least one must have something to inherit.
        parents[tupleset] = some(source, list(relations), 1 + source.below(2)) + (["user"] if source.below(4) == 3 else [])
    built = {tupleset: Relation(tupleset, This(), tuple(Restriction(parent) for parent in found)) for tupleset, found in parents.items()}
    for position, relation in enumerate(relations[name]):
        later = relations[name][position + 1 :] + tuple(parents)  # computed relations never form a cycle of their own: no model may have one
        rewrite = _rewrite(source, later, parents, relations, pick(source, (1, 2, 0, REWRITE_DEPTH_MAX)), [])
        restrictions = _restrictions(source, name, types, relations) if _has_this(rewrite) else ()
        built[relation] = Relation(relation, rewrite, restrictions)
    if len(relations[name]) > 1 and source.below(3) == 0:
        _tie(source, name, built, *relations[name][:2])
    return TypeDefinition(name, built)


def _tie(source: Choices, name: str, built: dict[str, Relation], first: str, second: str) -> None:
    """Make what is subtracted from the first relation depend on the first: chance alone seldom ties such a knot."""
    user, everyone = Restriction("user"), Restriction("user", wildcard=True)
    bases: list[Rewrite] = [This(), Union((This(), built[first].rewrite))]
    base = pick(source, bases)
    built[first] = Relation(
        first,
        pick(source, [Difference(base, ComputedUserset(second)), Difference(base, Difference(This(), ComputedUserset(second)))]),
        tuple(dict.fromkeys((*built[first].restrictions, user, everyone))),
    )
    rewrites: list[Rewrite] = [This(), Union((This(), built[second].rewrite)), Difference(This(), built[second].rewrite)]
    built[second] = Relation(second, pick(source, rewrites), tuple(dict.fromkeys((Restriction(name, first), *built[second].restrictions, user))))


def _rewrite(
    source: Choices, computed: Sequence[str], parents: dict[str, list[str]], relations: dict[str, tuple[str, ...]], depth: int, seen: list[This]
) -> Rewrite:
    """`seen` has the direct grants so far: once there is one, another is rare, so that operands differ."""
    kind = source.below(8) if depth else 7
    if kind < 6:
        children = [_rewrite(source, computed, parents, relations, depth - 1, seen) for _ in range(2)]
        if kind in (0, 1, 2):
            return Difference(*children)
        if source.below(4) == 3:
            children.append(_rewrite(source, computed, parents, relations, 0, seen))
        return Union(tuple(children)) if kind in (3, 4) else Intersection(tuple(children))
    kind = source.below(4)
    if (kind == 0 or (seen and kind == 1)) and computed:
        return ComputedUserset(pick(source, computed))
    if (kind == 2 or (seen and kind == 1)) and parents:
        tupleset = pick(source, list(parents))
        inherited = sorted({relation for parent in parents[tupleset] for relation in relations.get(parent, ())})
        return TupleToUserset(pick(source, inherited), tupleset)
    seen.append(This())
    return seen[-1]


def _restrictions(source: Choices, name: str, types: dict[str, bool], relations: dict[str, tuple[str, ...]]) -> tuple[Restriction, ...]:
    """Mostly users, everyone, and usersets of the type itself, through which relations recurse."""
    usersets = [Restriction(type_name, relation) for type_name in (name, *relations) for relation in relations[type_name]]
    wildcards = [Restriction(type_name, wildcard=True) for type_name in types]
    others = [Restriction(type_name) for type_name in types if type_name != "user"]
    found = [Restriction("user")] if source.below(5) < 4 else []
    found += some(source, usersets, source.below(4))
    found += [Restriction("user", wildcard=True)] if source.below(3) == 2 else []
    found += some(source, wildcards, max(0, source.below(6) - 4))
    found += some(source, others, max(0, source.below(6) - 4))
    return tuple(dict.fromkeys(found)) or (Restriction("user"),)


def _has_this(rewrite: Rewrite) -> bool:
    match rewrite:
        case This():
            return True
        case Union(children) | Intersection(children):
            return any(_has_this(child) for child in children)
        case Difference(base, subtract):
            return _has_this(base) or _has_this(subtract)
    return False


def _opened(definition: TypeDefinition) -> TypeDefinition:
    """The same type with `[user] or ...` in front of every relation."""
    built = {}
    for name, relation in definition.relations.items():
        user = Restriction("user")
        restrictions = relation.restrictions if user in relation.restrictions else (user, *relation.restrictions)
        built[name] = relation if name in TUPLESETS else Relation(name, Union((This(), relation.rewrite)), restrictions)
    return TypeDefinition(definition.name, built)
