"""The oracle: what an answer means, in plain Python over dicts and sets.

It is the definition that every path of the engine is compared with, so it is written to be read, not to be fast, and it shares no code
with the engine: only the classes of the model's syntax tree and the class of its error.

For one subject each (relation, object) is an atom with a value of Kleene's three. `Oracle.solve` computes the well-founded model by the
alternating fixpoint: begin with nothing known; take what the `but not` operands are assumed to be from the round before; close everything
else over that, from false upwards; repeat until a round changes nothing. Only an atom that is then true is allowed.

A question has surroundings: the instant of the asking, a context, and contextual tuples. `Oracle.facts` settles which tuples are there, and
which of them have a condition that failed. Such a tuple counts as undefined. Where the answer is then undefined, and the best that the failed
conditions could have said would make it true, the question is an error (`Unanswerable`); anything else undefined denies.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from fgacore.errors import RequestError
from fgacore.language.model import ComputedUserset, Difference, Intersection, Model, Restriction, Rewrite, This, TupleToUserset, Union
from oracle_conditions import Failed, convert, holds

__all__ = ["Atom", "Facts", "Key", "ObjectList", "Oracle", "Stored", "SubjectList", "Unanswerable", "Value"]

Atom = tuple[str, str]  # (relation, object)
Key = tuple[str, str, str]  # (subject, relation, object): two tuples with the same key are the same tuple


class Value(IntEnum):
    """Kleene's three, in the order of truth: union is the maximum, intersection the minimum."""

    FALSE = 0
    UNDEFINED = 1
    TRUE = 2

    def negated(self) -> Value:
        return Value(2 - self)


class Unanswerable(RequestError):
    """The answer hangs on conditions that failed. Which of them is named is not settled: `codes` has the code of each that failed."""

    def __init__(self, codes: frozenset[str]) -> None:
        super().__init__("the answer hangs on conditions that failed", code=min(codes))
        self.codes = codes


@dataclass(frozen=True)
class ObjectList:
    """The objects for which the check is true, and those for which it is an error. `codes` has those of every condition that failed anywhere.

    A list that is not asked to report is an error where any is undetermined.
    """

    definite: frozenset[str]
    undetermined: frozenset[str]
    codes: frozenset[str]


@dataclass(frozen=True)
class SubjectList:
    """Who has a relation on an object, of one kind of subject.

    Of plain subjects without the wildcard, and of usersets: every one for which the check is true. Beside the wildcard, only those of them that
    are explicit, see `Oracle.explicit`; `excluded` are those that some tuple mentions and for which the check is not true.
    `undetermined` are those for which the check is an error. `met` has the codes of every condition that failed on the way down from the object,
    whether an answer hangs on it or not: with any of them, a list that is not asked to report is an error.
    """

    subjects: frozenset[str]
    wildcard: bool
    excluded: frozenset[str]
    undetermined: frozenset[str]
    met: frozenset[str]


@dataclass(frozen=True)
class Stored:
    """One tuple of the store, or of a request. `expires_at` is in microseconds since the epoch: from that instant on the tuple is absent."""

    subject: str
    relation: str
    object: str
    condition: str | None = None
    context: Mapping[str, Any] | None = None
    expires_at: int | None = None

    @property
    def key(self) -> Key:
        return self.subject, self.relation, self.object

    def same(self, other: Stored) -> bool:
        """Whether nothing tells the two apart."""
        return (self.key, self.condition, self.expires_at) == (other.key, other.condition, other.expires_at) and _same(self.context, other.context)


@dataclass
class Facts:
    """The tuples that are there for one question: admitted by the model, not expired, and with a condition, if any, that is not false.

    Each is TRUE, or UNDEFINED where its condition failed.
    """

    by_subject: dict[Atom, dict[str, Value]] = field(default_factory=lambda: defaultdict(dict))
    usersets: dict[Atom, list[tuple[Subject, Value]]] = field(default_factory=lambda: defaultdict(list))  # those whose subject is a userset
    parents: dict[Atom, list[tuple[Subject, Value]]] = field(default_factory=lambda: defaultdict(list))  # those whose subject is a plain object
    objects: set[str] = field(default_factory=set)  # every object that one of them mentions, on either side
    codes: set[str] = field(default_factory=set)  # of the conditions that failed
    failures: dict[Atom, set[str]] = field(default_factory=lambda: defaultdict(set))  # the same, by where the tuples are
    solutions: dict[str, Solution] = field(default_factory=dict)  # by the text of the subject
    explicit: dict[str, set[Atom]] = field(default_factory=dict)  # likewise

    def add(self, stored: Stored, value: Value) -> None:
        subject, atom = _subject(stored.subject), (stored.relation, stored.object)
        self.by_subject[atom][stored.subject] = value
        self.objects.add(stored.object)
        if not subject.wildcard:
            self.objects.add(subject.object)
            (self.parents if subject.plain else self.usersets)[atom].append((subject, value))


@dataclass(frozen=True)
class Solution:
    """The well-founded model, and the atoms that are true in the best case: were every failed condition to say what helps."""

    values: dict[Atom, Value]
    best: set[Atom]

    def true(self, relation: str, name: str) -> bool:
        return self.values[relation, name] is Value.TRUE

    def error(self, relation: str, name: str) -> bool:
        """Whether the answer hangs on conditions that failed."""
        return self.values[relation, name] is Value.UNDEFINED and (relation, name) in self.best


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
    """The answers of one model over one set of tuples, each a `Stored` or a plain triple.

    Every question takes `context`, `contextual_tuples` (the same) and `at`: the instant, in microseconds since the epoch (None: before every
    expiry).
    """

    def __init__(self, model: Model, tuples: Iterable[Stored | Key]) -> None:
        self.model = model
        self._rules: dict[str, dict[str, Rule]] = {type_name: {} for type_name in model.types}
        for type_name, definition in model.types.items():
            for relation in definition.relations.values():
                self._add_rule(type_name, relation.name, relation.name, relation.rewrite)
        self._tuples: dict[Key, Stored] = {}
        for item in tuples:
            stored = item if isinstance(item, Stored) else Stored(*item)
            self._tuples[stored.key] = stored
        self._facts: dict[str, Facts] = {}
        self._latest: tuple[object, object, int | None, Facts] | None = None

    # The questions

    def check(
        self,
        subject: str,
        relation: str,
        object: str,
        context: Mapping[str, Any] | None = None,
        contextual_tuples: Sequence[Stored | Key] = (),
        at: int | None = None,
    ) -> bool:
        """Whether the subject has the relation on the object: true, and not merely undefined. Unanswerable where that hangs on what failed."""
        facts = self.facts(context, contextual_tuples, at)
        solution = self._answer(subject, relation, object, facts)
        if solution.error(relation, object):
            raise Unanswerable(frozenset(facts.codes))
        return solution.true(relation, object)

    def value(
        self,
        subject: str,
        relation: str,
        object: str,
        context: Mapping[str, Any] | None = None,
        contextual_tuples: Sequence[Stored | Key] = (),
        at: int | None = None,
    ) -> Value:
        """As `check`, in three values, where what hangs on a failed condition is undefined."""
        return self._answer(subject, relation, object, self.facts(context, contextual_tuples, at)).values[relation, object]

    def atoms(self, subject: str) -> set[Atom]:
        """Every (relation, object) that is true for the subject, over all objects that the tuples mention and the subject's own."""
        asking = self._valid_subject(subject)
        facts = self.facts()
        values = dict(self._solution(asking, facts).values)
        if not asking.wildcard and asking.object not in facts.objects:
            values |= self.solve(asking, {asking.object}, facts).values
        return {(relation, name) for (relation, name), value in values.items() if value is Value.TRUE and ":" not in relation}

    # The lists

    def list_objects(
        self,
        subject: str,
        relation: str,
        type: str,
        context: Mapping[str, Any] | None = None,
        contextual_tuples: Sequence[Stored | Key] = (),
        at: int | None = None,
    ) -> ObjectList:
        """Every object of the type for which the check is true, and those for which it is an error."""
        asking = self._valid_subject(subject)
        self._refuse_unknown(type, relation)
        facts = self.facts(context, contextual_tuples, at)
        objects = facts.objects | {asking.object} if asking.relation else facts.objects  # a userset is in itself, mentioned or not
        solution = self._solution(asking, facts) if objects == facts.objects else self.solve(asking, objects, facts)
        names = [name for name in objects if _type(name) == type]
        return ObjectList(
            frozenset(name for name in names if solution.true(relation, name)),
            frozenset(name for name in names if solution.error(relation, name)),
            frozenset(facts.codes),
        )

    def list_subjects(
        self,
        object: str,
        relation: str,
        kind: str,
        context: Mapping[str, Any] | None = None,
        contextual_tuples: Sequence[Stored | Key] = (),
        at: int | None = None,
    ) -> SubjectList:
        """Every subject of the kind (`user` or `team#member`) that has the relation on the object, and who is in doubt or left out."""
        type_name, hash_sign, member = kind.partition("#")
        self._refuse_unknown(type_name, member if hash_sign else None)
        self._valid_object(object, relation)
        facts = self.facts(context, contextual_tuples, at)
        names = [name for name in facts.objects | {object} if _type(name) == type_name]

        def solution(subject: str) -> Solution:
            """A plain subject may be the object itself, which no tuple need mention."""
            asking = _subject(subject)
            return self._solution(asking, facts) if object in facts.objects else self.solve(asking, {object}, facts)

        candidates = {f"{name}{hash_sign}{member}" for name in names}
        true = {subject for subject in candidates if solution(subject).true(relation, object)}
        errors = {subject for subject in candidates if solution(subject).error(relation, object)}
        wildcard, excluded = False, set[str]()
        if not hash_sign:
            everyone = solution(f"{type_name}:*")
            wildcard = everyone.true(relation, object)
            if everyone.error(relation, object):
                errors.add(f"{type_name}:*")
            if wildcard:
                excluded = candidates - true - errors
                for subject in true - facts.explicit.keys():
                    facts.explicit[subject] = self.explicit(_subject(subject), facts)
                true = {subject for subject in true if (relation, object) in facts.explicit[subject]}
        return SubjectList(frozenset(true), wildcard, frozenset(excluded), frozenset(errors), frozenset(self._met(object, relation, facts)))

    def _met(self, name: str, relation: str, facts: Facts) -> set[str]:
        """The codes of all that failed among the tuples that lead down from the object."""
        codes: set[str] = set()
        seen: set[Atom] = set()
        rest = [(relation, name)]

        def walk(rewrite: Rewrite, relation: str, name: str) -> None:
            match rewrite:
                case This():
                    codes.update(facts.failures.get((relation, name), ()))
                    rest.extend((str(userset.relation), userset.object) for userset, _ in facts.usersets.get((relation, name), ()))
                case ComputedUserset():
                    rest.append((rewrite.relation, name))
                case TupleToUserset():
                    codes.update(facts.failures.get((rewrite.tupleset, name), ()))
                    rest.extend((rewrite.relation, parent.object) for parent, _ in facts.parents.get((rewrite.tupleset, name), ()))
                case Union() | Intersection():
                    for child in rewrite.children:
                        walk(child, relation, name)
                case Difference():
                    walk(rewrite.base, relation, name)
                    walk(rewrite.subtract, relation, name)

        while rest:
            relation, name = rest.pop()
            rule = self._rules[_type(name)].get(relation)
            if rule is not None and (relation, name) not in seen:
                seen.add((relation, name))
                walk(rule.rewrite, rule.relation, name)
        return codes

    def explicit(self, asking: Subject, facts: Facts) -> set[Atom]:
        """The atoms at which the plain subject is explicit: what the tuples say of it there is about itself, not merely about everyone.

        By its value (true or not) it is then an explicit have or an explicit has-not; where it is not explicit, it is as everyone is.
        - Direct: a stored tuple names it, or it is explicit in a userset, as in a union.  Computed: as the relation.  From parents: as a union.
        - Union: it is an explicit have in an operand; or it is not in the union, and an explicit has-not in an operand.
        - Intersection: it is in the intersection, and an explicit have in an operand; or it is an explicit has-not in an operand.
        - But not: it is explicit in the base; or it is explicit in what is subtracted, and the base may hold for everyone. So an explicit has-not
          of what is subtracted is an explicit have under a wildcard, and an explicit have there an explicit has-not.
        Through a cycle nobody becomes explicit that is not so otherwise.

        Whoever has another answer than everyone is explicit: so a list of the explicit haves and the wildcard leaves nobody out.
        """
        values, everyone = self._solution(asking, facts).values, self._solution(_subject(f"{asking.type}:*"), facts).values
        everyone_asking = _subject(f"{asking.type}:*")
        found: set[Atom] = set()

        def value(rewrite: Rewrite, relation: str, name: str) -> bool:
            return self._expression(rewrite, relation, name, asking, facts, values, values, Value.UNDEFINED) is Value.TRUE

        def any_of(atoms: Iterable[Atom], there: bool) -> bool:
            """As in a union: an explicit have of one of these; or an explicit has-not, where the whole does not hold."""
            return any(atom in found and (values[atom] is Value.TRUE or not there) for atom in atoms)

        def said(rewrite: Rewrite, relation: str, name: str) -> bool:
            here = value(rewrite, relation, name)
            match rewrite:
                case This():
                    named = asking.text in facts.by_subject.get((relation, name), {})
                    usersets = [(str(userset.relation), userset.object) for userset, _ in facts.usersets.get((relation, name), ())]
                    return named or any_of(usersets, here)
                case ComputedUserset():
                    return (rewrite.relation, name) in found
                case TupleToUserset():
                    return any_of([(rewrite.relation, parent.object) for parent, _ in facts.parents.get((rewrite.tupleset, name), ())], here)
                case Union():
                    return any(said(child, relation, name) and (value(child, relation, name) or not here) for child in rewrite.children)
                case Intersection():
                    return any(said(child, relation, name) and value(child, relation, name) is here for child in rewrite.children)
                case Difference(subtract=ComputedUserset(relation=subtracted)):
                    base = self._expression(rewrite.base, relation, name, everyone_asking, facts, everyone, everyone, Value.UNDEFINED)
                    return said(rewrite.base, relation, name) or ((subtracted, name) in found and base is not Value.FALSE)
            raise AssertionError(rewrite)

        while True:
            more = set()
            for relation, name in values.keys() - found:
                rule = self._rules[_type(name)][relation]
                if said(rule.rewrite, rule.relation, name):
                    more.add((relation, name))
            if not more:
                return found
            found |= more

    def _answer(self, subject: str, relation: str, object: str, facts: Facts) -> Solution:
        asking = self._valid_subject(subject)
        self._valid_object(object, relation)
        if object in facts.objects:
            return self._solution(asking, facts)
        return self.solve(asking, {object}, facts)  # no tuple leads to or from an object that none mentions

    # The tuples that are there

    def facts(self, context: Any = None, contextual_tuples: Sequence[Stored | Key] = (), at: int | None = None) -> Facts:
        """What counts of the tuples, stored and contextual, in these surroundings."""
        if context is not None and not (isinstance(context, Mapping) and all(isinstance(key, str) for key in context)):
            raise RequestError("the context is not a mapping by text", code="invalid_context")
        if self._latest is not None and self._latest[0] is context and self._latest[1] is contextual_tuples and self._latest[2] == at:
            return self._latest[3]  # the very same again: no need to compare by text
        contextual = [item if isinstance(item, Stored) else Stored(*item) for item in contextual_tuples]
        surroundings = repr((context, contextual, at))
        if surroundings not in self._facts:
            self._facts[surroundings] = self._make_facts(context or {}, contextual, at)
        self._latest = context, contextual_tuples, at, self._facts[surroundings]
        return self._facts[surroundings]

    def _make_facts(self, request: Mapping[str, Any], contextual: list[Stored], at: int | None) -> Facts:
        overlay: dict[Key, Stored] = {}
        for item in contextual:
            self.refuse_contextual(item)
            if not overlay.setdefault(item.key, item).same(item):
                raise RequestError("two contextual tuples have the same key and differ", code="invalid_contextual_tuple")
        facts = Facts()
        for stored in (self._tuples | overlay).values():
            expired = at is not None and stored.expires_at is not None and at >= stored.expires_at
            if expired or not self._admits(stored):
                continue
            try:
                if stored.condition is None or holds(self.model.conditions[stored.condition], stored.context or {}, request):
                    facts.add(stored, Value.TRUE)
            except Failed as failed:
                facts.codes.add(failed.code)
                facts.failures[stored.relation, stored.object].add(failed.code)
                facts.add(stored, Value.UNDEFINED)
        return facts

    # The well-founded model

    def _solution(self, asking: Subject, facts: Facts) -> Solution:
        if asking.text not in facts.solutions:
            facts.solutions[asking.text] = self.solve(asking, facts.objects, facts)
        return facts.solutions[asking.text]

    def solve(self, asking: Subject, objects: Collection[str], facts: Facts) -> Solution:
        """The value of every atom of these objects."""
        atoms = [(relation, name) for name in sorted(objects) for relation in self._rules[_type(name)]]
        values = dict.fromkeys(atoms, Value.UNDEFINED)
        while True:
            closed = self._close(asking, atoms, facts, assumed=values, failed=Value.UNDEFINED)
            if closed == values:
                return Solution(values, self._best(asking, atoms, facts) if facts.codes else set())
            values = closed

    def _best(self, asking: Subject, atoms: list[Atom], facts: Facts) -> set[Atom]:
        """The atoms that are true where a tuple whose condition failed is there for what is granted, and not there for what is subtracted."""
        granted = dict.fromkeys(atoms, Value.FALSE)
        while True:
            subtracted = self._close(asking, atoms, facts, assumed=granted, failed=Value.FALSE)
            closed = self._close(asking, atoms, facts, assumed=subtracted, failed=Value.TRUE)
            if closed == granted:
                return {atom for atom, value in granted.items() if value is Value.TRUE}
            granted = closed

    def _close(self, asking: Subject, atoms: list[Atom], facts: Facts, assumed: dict[Atom, Value], failed: Value) -> dict[Atom, Value]:
        """The least values under which every rule holds, where what is subtracted has its assumed value, and a failed condition this one."""
        values = dict.fromkeys(atoms, Value.FALSE)
        changed = True
        while changed:
            changed = False
            for relation, name in atoms:
                value = self._atom(asking, relation, name, facts, values, assumed, failed)
                if value is not values[relation, name]:
                    values[relation, name] = value
                    changed = True
        return values

    def _atom(
        self, asking: Subject, relation: str, name: str, facts: Facts, values: dict[Atom, Value], assumed: dict[Atom, Value], failed: Value
    ) -> Value:
        if values[relation, name] is Value.TRUE:  # values only rise
            return Value.TRUE
        if asking.text == f"{name}#{relation}":  # a userset is in its own relation, whatever the rewrite
            return Value.TRUE
        rule = self._rules[_type(name)][relation]
        return self._expression(rule.rewrite, rule.relation, name, asking, facts, values, assumed, failed)

    def _expression(
        self,
        rewrite: Rewrite,
        relation: str,
        name: str,
        asking: Subject,
        facts: Facts,
        values: dict[Atom, Value],
        assumed: dict[Atom, Value],
        failed: Value,
    ) -> Value:
        """The value of an expression on an object. `relation` is the one whose tuples `This` means."""

        def through(relation: str | None, subject: Subject, there: Value) -> Value:
            """What a tuple gives whose subject is an object or a userset. A parent whose type lacks the relation has no such atom: nothing."""
            return min(_there(there, failed), values.get((relation or "", subject.object), Value.FALSE))

        def direct() -> Value:
            """What the tuples on a relation give: to the subject they name, to all plain subjects of a type, to who is in a userset."""
            by_subject = facts.by_subject.get((relation, name), {})
            names = [asking.text, f"{asking.type}:*"] if asking.plain else [asking.text]
            found = [_there(by_subject[text], failed) for text in names if text in by_subject]
            found += [through(userset.relation, userset, there) for userset, there in facts.usersets.get((relation, name), ())]
            return max(found, default=Value.FALSE)

        def evaluate(rewrite: Rewrite) -> Value:
            match rewrite:
                case This():
                    return direct()
                case ComputedUserset():
                    return values[rewrite.relation, name]
                case TupleToUserset():
                    parents = facts.parents.get((rewrite.tupleset, name), ())
                    return max((through(rewrite.relation, parent, there) for parent, there in parents), default=Value.FALSE)
                case Union():
                    return max(evaluate(child) for child in rewrite.children)
                case Intersection():
                    return min(evaluate(child) for child in rewrite.children)
                case Difference(subtract=ComputedUserset(relation=subtracted)):
                    return min(evaluate(rewrite.base), assumed[subtracted, name].negated())
            raise AssertionError(rewrite)

        return evaluate(rewrite)

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

    def refuse_contextual(self, stored: Stored) -> None:
        """RequestError unless the tuple could be written under the model: names, restriction, condition, and a context of the declared types."""
        try:
            self._valid_subject(stored.subject)
            self._valid_object(stored.object, stored.relation)
            parameters = self.model.conditions[stored.condition].parameters if stored.condition in self.model.conditions else {}
            for name, value in (stored.context or {}).items():
                if name not in parameters:
                    raise Failed("invalid_context")
                convert(value, parameters[name])
        except (RequestError, Failed) as fault:
            raise RequestError(f"contextual tuple: {fault}", code="invalid_contextual_tuple") from None
        if not self._admits(stored) or stored.subject == f"{stored.object}#{stored.relation}":
            raise RequestError("the model does not admit the contextual tuple", code="invalid_contextual_tuple")

    def _valid_subject(self, text: str) -> Subject:
        object_text, hash_sign, relation = text.partition("#")
        wildcard = object_text.endswith(":*") and not hash_sign
        if len(text.encode()) > 512 or not (wildcard or _well_formed(object_text)) or (hash_sign and not RELATION.fullmatch(relation.encode())):
            raise RequestError(f"malformed subject `{text}`", code="invalid_subject")
        self._refuse_unknown(_type(object_text), relation if hash_sign else None)
        return _subject(text)

    def _valid_object(self, text: str, relation: str) -> None:
        if not _well_formed(text):
            raise RequestError(f"malformed object `{text}`", code="invalid_object")
        self._refuse_unknown(_type(text), relation)

    def _refuse_unknown(self, type_name: str, relation: str | None) -> None:
        if type_name not in self.model.types:
            raise RequestError(f"the model has no type `{type_name}`", code="type_not_found")
        if relation is not None and relation not in self.model.types[type_name].relations:
            raise RequestError(f"the type `{type_name}` has no relation `{relation}`", code="relation_not_found")


def _type(name: str) -> str:
    return name.partition(":")[0]


def _well_formed(text: str) -> bool:
    encoded = text.encode()
    match = OBJECT.fullmatch(encoded)
    return match is not None and not match[2].startswith(b"*") and len(encoded) <= 256


def _there(value: Value, failed: Value) -> Value:
    return failed if value is Value.UNDEFINED else value


def _same(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> bool:
    """Whether two contexts are the same values of JSON; none is an empty one. A number is not its text, nor an integer a fraction."""
    return json.dumps(one or {}, sort_keys=True, default=repr) == json.dumps(other or {}, sort_keys=True, default=repr)


def _subject(text: str) -> Subject:
    """Take apart a subject that is known to be well formed."""
    name, hash_sign, relation = text.partition("#")
    return Subject(text, _type(name), name, relation if hash_sign else None, wildcard=name.endswith(":*") and not hash_sign)
