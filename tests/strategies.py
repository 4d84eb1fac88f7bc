"""Small random worlds: models of every shape that the language allows, the tuples that they admit, and the questions one can ask.

Everything is made from one primitive, `Choices.below`, so that Hypothesis (which shrinks) and a plain seeded generator (which runs long)
make the same worlds. A choice of 0 is always the plainest. Few types, few names and few relations: a world is small enough that cycles,
stale tuples and names met in two roles are common and not a matter of luck.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from hypothesis import strategies as st

from adapters import Question, Triple
from fgacore import language
from fgacore.errors import ModelError
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
from oracle import Stored

__all__ = [
    "Choices",
    "RandomChoices",
    "Tape",
    "all_questions",
    "conditioned",
    "describe",
    "make_context",
    "make_contextual",
    "make_model",
    "make_question",
    "make_stored",
    "make_subject",
    "make_tuple",
    "make_tuples",
    "over",
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
    """A tuple that a model without conditions admits."""
    return _tuple(source, model)[0]


def _tuple(source: Choices, model: Model) -> tuple[Triple, Restriction]:
    """A tuple, and what admits it. It is never an object's own userset on its own relation: that is not to be written."""
    object_type, relation = pick(source, [(name, relation) for name, relation in _relations(model) if relation.restrictions])
    object_name = f"{object_type}:{pick(source, ID_WEIGHTS)}"
    restriction = pick(source, relation.restrictions)
    if restriction.wildcard:
        return (f"{restriction.type}:*", relation.name, object_name), restriction
    ids = [id_ for id_ in ID_WEIGHTS if (object_name, relation.name) != (f"{restriction.type}:{id_}", restriction.relation)]
    subject = f"{restriction.type}:{pick(source, ids)}"
    return (f"{subject}#{restriction.relation}" if restriction.relation else subject, relation.name, object_name), restriction


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
            admitted = ", ".join(_shown(restriction) for restriction in relation.restrictions)
            out.append(f"  {relation.name}: {_describe(relation.rewrite, f'[{admitted}]')}")
    for condition in model.conditions.values():
        parameters = ", ".join(f"{name}: {kind.type}" + (f"<{kind.member}>" if kind.member else "") for name, kind in condition.parameters.items())
        out.append(f"condition {condition.name}({parameters}) {{ {condition.expression} }}")
    return "\n".join(out)


def _shown(restriction: Restriction) -> str:
    suffix = f"#{restriction.relation}" if restriction.relation else ":*" if restriction.wildcard else ""
    return f"{restriction.type}{suffix}" + (f" with {restriction.condition}" if restriction.condition else "")


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


# Conditions: a handful, each with another meaning or other parameters that a model may give it, so that a newer model meets older contexts.


def _condition(name: str, expression: str, **parameters: str) -> Condition:
    kinds = {key: Parameter(*text.split()) for key, text in parameters.items()}
    return Condition(name, kinds, expression)


CONDITIONS = (
    (_condition("small", "x < 10", x="int"), _condition("small", 'x == "5"', x="string"), _condition("small", "x < 10 && y < 10", x="int", y="int")),
    (_condition("tiny", "x < 10", x="int"), _condition("tiny", "x < 10.0", x="double")),
    (_condition("ratio", "x / y > 1", x="int", y="int"), _condition("ratio", "y == 0 || x / y > 1", x="int", y="int")),
    (_condition("until", "now < end", now="timestamp", end="timestamp"), _condition("until", "end < now", now="timestamp", end="timestamp")),
    (_condition("lasting", "now < start + length", now="timestamp", start="timestamp", length="duration"),),
    (_condition("tagged", "tag in tags", tag="string", tags="list string"), _condition("tagged", 'tags.exists(t, t == "a")', tags="list string")),
    (_condition("inside", "ip.in_cidr(net)", ip="ipaddress", net="string"), _condition("inside", 'ip.in_cidr("10.0.0.0/8")', ip="ipaddress")),
    (_condition("matching", 'tag.matches("^a+$")', tag="string"), _condition("matching", 'tag.startsWith("a")', tag="string")),
    (
        _condition("counted", "counts[tag] > 0", counts="map int", tag="string"),
        _condition("counted", "tag in counts", counts="map int", tag="string"),
    ),
    (_condition("anything", 'what == "yes"', what="any"), _condition("anything", "what == true", what="bool")),
)
EXAMPLES: dict[tuple[str, str | None], tuple[Any, ...]] = {
    ("int", None): (5, 20, "5", 0, 5.0, -3, "1e1"),
    ("double", None): (5, 20.5, "5.5"),
    ("string", None): ("a", "b", "aa", "5", "10.0.0.0/8", "no network"),
    ("bool", None): (True, False),
    ("timestamp", None): ("2024-01-01T00:00:00Z", "2024-01-01T01:30:00+01:00", "2024-01-02T00:00:00.5Z"),
    ("duration", None): ("1h", "30m", "-1.5s", "48h"),
    ("ipaddress", None): ("10.0.0.1", "::ffff:10.1.2.3", "192.168.0.1", "2001:db8::1"),
    ("list", "string"): (["a", "b"], [], ["b"]),
    ("map", "int"): ({"a": 1, "b": 0}, {}, {"aa": "7"}),
    ("any", None): ("yes", "no", None, 5, ["yes"]),
}
WRONG: tuple[Any, ...] = (True, "wrong", 1.5, None, [1], {"a": "a"}, float("nan"), 1 << 70, "a\0b")


def conditioned(source: Choices, model: Model) -> Model:
    """The model with conditions on some of what it admits: beside the same without one, in its place, or two with different ones."""
    every = [pick(source, variants) for variants in CONDITIONS]
    some_conditions = some(source, every, 1 + source.below(4))

    def admitted(restriction: Restriction) -> list[Restriction]:
        first, second = (replace(restriction, condition=pick(source, some_conditions).name) for _ in range(2))
        return pick(source, [[first], [restriction], [restriction, first], [first, second], [restriction]])

    def relation(known: Relation) -> Relation:
        return replace(known, restrictions=tuple(dict.fromkeys(found for item in known.restrictions for found in admitted(item))))

    types = {name: replace(known, relations={key: relation(found) for key, found in known.relations.items()}) for name, known in model.types.items()}
    used = {item.condition for definition in types.values() for found in definition.relations.values() for item in found.restrictions}
    return Model(model.schema, types, {condition.name: condition for condition in some_conditions if condition.name in used})


def make_stored(source: Choices, model: Model, count: int, instants: Sequence[int | None] = (None,)) -> list[Stored]:
    """Up to `count` tuples of different keys that the model admits, with contexts that may be written, each expiring at one of these instants."""
    return list({stored.key: stored for stored in (_stored(source, model, *_tuple(source, model), instants) for _ in range(count))}.values())


def over(source: Choices, model: Model, stored: Stored, instants: Sequence[int | None] = (None,)) -> Stored | None:
    """Another tuple of the same key, with what the model admits of it: another condition or context, or none; None where it admits nothing."""
    name, hash_sign, relation = stored.subject.partition("#")
    definition = model.types.get(stored.object.partition(":")[0])
    known = definition.relations.get(stored.relation) if definition else None
    kind = (name.partition(":")[0], relation if hash_sign else None, name.endswith(":*"))
    fitting = [found for found in known.restrictions if (found.type, found.relation, found.wildcard) == kind] if known else []
    return _stored(source, model, stored.key, pick(source, fitting), instants) if fitting else None


def _stored(source: Choices, model: Model, key: Triple, restriction: Restriction, instants: Sequence[int | None]) -> Stored:
    context = None
    if restriction.condition is not None:
        parameters = model.conditions[restriction.condition].parameters
        context = {name: pick(source, EXAMPLES[kind.type, kind.member]) for name, kind in parameters.items() if source.below(5) < 2} or None
    return Stored(*key, restriction.condition, context, pick(source, instants))


def make_context(source: Choices, model: Model) -> dict[str, Any] | None:
    """What a request may bring: for most parameters a good value, for some none or a wrong one; sometimes nothing at all."""
    if source.below(8) == 7:
        return None
    kinds: dict[str, list[Parameter]] = {}
    for condition in model.conditions.values():
        for name, kind in condition.parameters.items():
            kinds.setdefault(name, []).append(kind)
    context: dict[str, Any] = {"unknown": float("nan")} if source.below(8) == 7 else {}
    for name, found in sorted(kinds.items()):
        kind = pick(source, found)
        choice = source.below(8)
        if choice == 7:
            context[name] = pick(source, WRONG)
        elif choice < 6:
            context[name] = pick(source, EXAMPLES[kind.type, kind.member])
    return context


def make_contextual(source: Choices, model: Model, stored: Sequence[Stored], instants: Sequence[int | None] = (None,)) -> list[Stored]:
    """Tuples for one question: new ones, and others in the place of stored ones; now and then the same one twice, or one that is a fault."""
    found = {item.key: item for item in make_stored(source, model, source.below(4), instants)}
    for _ in range(source.below(3) if stored else 0):
        other = over(source, model, pick(source, stored), instants)
        if other is not None:
            found[other.key] = other
    tuples = list(found.values())
    if tuples and source.below(6) == 5:
        tuples.append(tuples[0])
    if tuples and source.below(24) == 23:
        first = tuples[0]
        faults = [
            replace(first, context={"undeclared": 1}),
            replace(first, relation="nothing"),
            replace(first, subject="nobody"),
            replace(first, condition="nothing"),
        ]
        tuples.append(pick(source, faults))
    return tuples
