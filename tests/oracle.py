"""The oracle: what an answer means, in plain Python over dicts and sets.

It is the definition that every path of the engine is compared with, so it is written to be read, not to be fast, and it shares no code
with the engine: only the classes of the model's syntax tree and the class of its error.

For one subject each (relation, object) is an atom with a value of Kleene's three. `Oracle.solve` computes the well-founded model by the
alternating fixpoint: begin with nothing known; take what the `but not` operands are assumed to be from the round before; close everything
else over that, from false upwards; repeat until a round changes nothing. Only an atom that is then true is allowed.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import IntEnum

from fgacore.errors import RequestError
from fgacore.language.model import ComputedUserset, Difference, Intersection, Model, Restriction, Rewrite, This, TupleToUserset, Union

__all__ = ["Atom", "Oracle", "Stored", "Value"]

Atom = tuple[str, str]  # (relation, object)


class Value(IntEnum):
    """Kleene's three, in the order of truth: union is the maximum, intersection the minimum."""

    FALSE = 0
    UNDEFINED = 1
    TRUE = 2

    def negated(self) -> Value:
        return Value(2 - self)


@dataclass(frozen=True)
class Stored:
    """One tuple of the store."""

    subject: str
    relation: str
    object: str
    condition: str | None = None


@dataclass(frozen=True)
class Subject:
    """A subject taken apart: `user:anne`, `team:sre#member` (relation) or `user:*` (wildcard). `object` is the part before the `#`."""

    text: str
    type: str
    object: str
    relation: str | None
    wildcard: bool

    @property
    def plain(self) -> bool:
        return self.relation is None and not self.wildcard


@dataclass(frozen=True)
class Rule:
    """What makes an atom true: the rewrite, and the relation whose stored tuples `This` means in it."""

    rewrite: Rewrite
    relation: str


# OpenFGA's rules for names, over bytes: white space is ASCII's, lengths are those of the UTF-8.
OBJECT = re.compile(rb"([^:#@\s]{1,254}):([^:#\s]+)")
RELATION = re.compile(rb"[^:#@\s]{1,50}")


class Oracle:
    """The answers of one model over one set of tuples."""

    def __init__(self, model: Model, tuples: Iterable[tuple[str, str, str]]) -> None:
        self.model = model
        self._rules: dict[str, dict[str, Rule]] = {type_name: {} for type_name in model.types}
        for type_name, definition in model.types.items():
            for relation in definition.relations.values():
                self._add_rule(type_name, relation.name, relation.name, relation.rewrite)

        self._stored: dict[Atom, dict[str, Stored]] = defaultdict(dict)  # by subject, for each relation and object
        self._usersets: dict[Atom, list[Stored]] = defaultdict(list)  # those among them whose subject is a userset
        self._parents: dict[Atom, list[Stored]] = defaultdict(list)  # and those whose subject is a plain object
        self._objects: set[str] = set()  # every object that an admitted tuple mentions, on either side
        for triple in tuples:
            stored = Stored(*triple)
            if not self._admits(stored):
                continue
            subject, atom = _subject(stored.subject), (stored.relation, stored.object)
            self._stored[atom][stored.subject] = stored
            self._objects.add(stored.object)
            if not subject.wildcard:
                self._objects.add(subject.object)
                (self._parents if subject.plain else self._usersets)[atom].append(stored)
        self._solutions: dict[str, dict[Atom, Value]] = {}

    # The questions

    def check(self, subject: str, relation: str, object: str) -> bool:
        """Whether the subject has the relation on the object: true, and not merely undefined."""
        return self.value(subject, relation, object) is Value.TRUE

    def value(self, subject: str, relation: str, object: str) -> Value:
        """As `check`, in three values."""
        asking = self._valid_subject(subject)
        self._valid_object(object, relation)
        if object in self._objects:
            return self._solution(asking)[relation, object]
        return self.solve(asking, {object})[relation, object]  # no tuple leads to or from an object that none mentions

    def atoms(self, subject: str) -> set[Atom]:
        """Every (relation, object) that is true for the subject, over all objects that the tuples mention and the subject's own."""
        asking = self._valid_subject(subject)
        values = dict(self._solution(asking))
        if not asking.wildcard and asking.object not in self._objects:
            values |= self.solve(asking, {asking.object})
        return {(relation, name) for (relation, name), value in values.items() if value is Value.TRUE and ":" not in relation}

    # The well-founded model

    def _solution(self, asking: Subject) -> dict[Atom, Value]:
        if asking.text not in self._solutions:
            self._solutions[asking.text] = self.solve(asking, self._objects)
        return self._solutions[asking.text]

    def solve(self, asking: Subject, objects: Collection[str]) -> dict[Atom, Value]:
        """The value of every atom of these objects."""
        atoms = [(relation, name) for name in sorted(objects) for relation in self._rules[_type(name)]]
        values = dict.fromkeys(atoms, Value.UNDEFINED)
        while True:
            closed = self._close(asking, atoms, assumed=values)
            if closed == values:
                return values
            values = closed

    def _close(self, asking: Subject, atoms: list[Atom], assumed: dict[Atom, Value]) -> dict[Atom, Value]:
        """The least values under which every rule holds, where what is subtracted has its assumed value."""
        values = dict.fromkeys(atoms, Value.FALSE)
        changed = True
        while changed:
            changed = False
            for relation, name in atoms:
                value = self._atom(asking, relation, name, values, assumed)
                if value is not values[relation, name]:
                    values[relation, name] = value
                    changed = True
        return values

    def _atom(self, asking: Subject, relation: str, name: str, values: dict[Atom, Value], assumed: dict[Atom, Value]) -> Value:
        if values[relation, name] is Value.TRUE:  # values only rise
            return Value.TRUE
        if asking.text == f"{name}#{relation}":  # a userset is in its own relation, whatever the rewrite
            return Value.TRUE
        rule = self._rules[_type(name)][relation]

        def evaluate(rewrite: Rewrite) -> Value:
            match rewrite:
                case This():
                    return self._direct(asking, rule.relation, name, values)
                case ComputedUserset():
                    return values[rewrite.relation, name]
                case TupleToUserset():
                    parents = self._parents.get((rewrite.tupleset, name), ())
                    # A parent whose type lacks the relation has no such atom, and gives nothing.
                    return max((values.get((rewrite.relation, stored.subject), Value.FALSE) for stored in parents), default=Value.FALSE)
                case Union():
                    return max(evaluate(child) for child in rewrite.children)
                case Intersection():
                    return min(evaluate(child) for child in rewrite.children)
                case Difference(subtract=ComputedUserset(relation=subtracted)):
                    return min(evaluate(rewrite.base), assumed[subtracted, name].negated())
            raise AssertionError(rewrite)

        return evaluate(rule.rewrite)

    def _direct(self, asking: Subject, relation: str, name: str, values: dict[Atom, Value]) -> Value:
        """What the tuples stored on a relation give: to the subject they name, to all plain subjects of a type, or to who is in a userset."""
        by_subject = self._stored.get((relation, name), {})
        if asking.text in by_subject or (asking.plain and f"{asking.type}:*" in by_subject):
            return Value.TRUE
        usersets = (_subject(stored.subject) for stored in self._usersets.get((relation, name), ()))
        return max((values[userset.relation or "", userset.object] for userset in usersets), default=Value.FALSE)

    # The model

    def _add_rule(self, type_name: str, name: str, relation: str, rewrite: Rewrite) -> None:
        """Every `but not` operand becomes a rule of its own. Its name holds a colon, which no relation's name does."""
        rules = self._rules[type_name]

        def named(rewrite: Rewrite) -> Rewrite:
            match rewrite:
                case Union():
                    return Union(tuple(named(child) for child in rewrite.children))
                case Intersection():
                    return Intersection(tuple(named(child) for child in rewrite.children))
                case Difference():
                    base = named(rewrite.base)
                    subtracted = f"{relation}:{len(rules)}"
                    self._add_rule(type_name, subtracted, relation, rewrite.subtract)
                    return Difference(base, ComputedUserset(subtracted))
                case _:
                    return rewrite

        rules[name] = Rule(This(), relation)  # holds the place, so that names made from the count are distinct
        rules[name] = Rule(named(rewrite), relation)

    def _admits(self, stored: Stored) -> bool:
        """Whether the model would let this tuple be written: only then does it count."""
        definition = self.model.types.get(_type(stored.object))
        relation = definition.relations.get(stored.relation) if definition else None
        if relation is None:
            return False
        subject = _subject(stored.subject)
        wanted = Restriction(subject.type, subject.relation, subject.wildcard, stored.condition)
        return wanted in relation.restrictions

    def _valid_subject(self, text: str) -> Subject:
        object_text, hash_sign, relation = text.partition("#")
        if len(text.encode()) > 512:
            raise RequestError(f"subject `{text}` is too long")
        if object_text.endswith(":*") and not hash_sign:
            self._valid_type(object_text.removesuffix(":*"))
        else:
            self._valid_object(object_text, relation if hash_sign else None)
        return _subject(text)

    def _valid_object(self, text: str, relation: str | None) -> None:
        encoded = text.encode()
        match = OBJECT.fullmatch(encoded)
        if match is None or match[2].startswith(b"*") or not 2 <= len(encoded) <= 256:
            raise RequestError(f"malformed name `{text}`")
        self._valid_type(_type(text))
        if relation is None:
            return
        if not RELATION.fullmatch(relation.encode()):
            raise RequestError(f"malformed relation `{relation}`")
        if relation not in self.model.types[_type(text)].relations:
            raise RequestError(f"type `{_type(text)}` has no relation `{relation}`")

    def _valid_type(self, type_name: str) -> None:
        if type_name not in self.model.types:
            raise RequestError(f"the model has no type `{type_name}`")


def _type(name: str) -> str:
    return name.partition(":")[0]


def _subject(text: str) -> Subject:
    """Take apart a subject that is known to be well formed."""
    name, hash_sign, relation = text.partition("#")
    return Subject(text, _type(name), name, relation if hash_sign else None, wildcard=name.endswith(":*") and not hash_sign)
