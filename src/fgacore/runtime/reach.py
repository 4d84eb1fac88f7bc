"""Reach: all that a subject holds, for each type and relation that its kind can have at all, as sets of one revision, instant and model.

What is definite and what hangs on a condition that fails stand apart: `definite` is where check is True, `conditional` where it raises. Together they
are an upper bound. Two reaches of one engine can be compared: `Reach.diff`. Plain Python over the lists; the engine calls `reach`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any, Literal, Protocol

import numpy as np
from pyroaring import BitMap

from fgacore.errors import RequestError, StoreError, quote
from fgacore.kernel.plan import ModelPlan
from fgacore.kernel.tables import Version
from fgacore.language.compile import Compiler, Kind
from fgacore.language.model import ComputedUserset, Difference, Rewrite, This, TupleToUserset
from fgacore.limits import CONTEXTUAL_TUPLES_MAX
from fgacore.results import Change
from fgacore.runtime.clock import moment_of
from fgacore.runtime.control import CONTROL_KINDS
from fgacore.runtime.objects import ObjectSet
from fgacore.runtime.state import State
from fgacore.runtime.writes import Writer
from fgacore.tuples import Triple, Tuple

__all__ = ["Cause", "Lent", "Reach", "ReachChange", "ReachDiff", "reach", "subject_types"]

Pair = tuple[str, str]  # type, relation
Cause = Literal["tuple", "model", "expiry", "authority"]

TRIES = 3  # to list while nothing is written; after that only what is told beside the sets is less exact
WALK_MAX = 200_000  # objects and members looked at, in one reach, to say which conditions decide; beyond it all that might are named
CALL_IDS = 1 << 31  # ids from here on are of names that only a call's contextual tuples know


class Lister(Protocol):
    """What is needed of an engine."""

    @property
    def _state(self) -> State: ...
    @property
    def _writer(self) -> Writer: ...
    def _list_all(
        self,
        subject: str,
        pairs: Iterable[Pair],
        *,
        context: Mapping[str, Any] | None = None,
        contextual_tuples: Sequence[Tuple | Triple] = (),
        model_id: str | None = None,
        at_least: int | None = None,
    ) -> list[ObjectSet]: ...
    def name_parts(self, text: str, what: str) -> tuple[str, str | None, bool, str]: ...
    def changes(self, since: int = 0) -> Iterator[Change]: ...


# ---- what callers get ----


@dataclass(frozen=True, slots=True)
class ReachChange:
    """One object that was gained or lost. The causes are those of `Reach.diff`."""

    type: str
    relation: str
    object: str
    cause: Cause


@dataclass(frozen=True, slots=True, repr=False)
class ReachDiff:
    """How a reach of a subject differs from another, of revision `before` and of `after`; lists by type and relation, and within one by rising id.

    `gained` and `lost` are of what is definite, `gained_conditional` and `lost_conditional` of what is conditional: an object that passes from one to
    the other is gained in one and lost in the other.
    """

    subject: str
    before: int
    after: int
    gained: list[ReachChange]
    lost: list[ReachChange]
    gained_conditional: list[ReachChange]
    lost_conditional: list[ReachChange]

    def __repr__(self) -> str:
        conditional = f", conditional +{len(self.gained_conditional)} -{len(self.lost_conditional)}"
        return f"<fgacore.ReachDiff of {self.subject}, revision {self.before} to {self.after}: +{len(self.gained)} -{len(self.lost)}{conditional}>"

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        lists = ("gained", "lost", "gained_conditional", "lost_conditional")
        told: dict[str, Any] = {"subject": self.subject, "before": self.before, "after": self.after}
        for name in lists:
            changes: list[ReachChange] = getattr(self, name)
            told[name] = [{"type": c.type, "relation": c.relation, "object": c.object, "cause": c.cause} for c in changes]
        return told


@dataclass(frozen=True, slots=True, eq=False)
class Lent:
    """What a subject reaches by one delegation: its id, the principals of its chain, the root first, and all that a session of it may."""

    delegation: str
    chain: tuple[str, ...]
    reach: Reach


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Reach:
    """All that `subject` holds: exact at `revision` and `instant`, under the model `model_id`.

    The mappings have a key for each (type, relation) that the subject's kind can have at all, in the model's order, whether it holds any or not.
    `definite` has the objects on which check is True, `conditional` those on which it raises, since a condition fails that the answer hangs on.
    `conditions` has the names of the conditions that decide, sorted: at least those, and at most all that the relation can meet on the way.
    Of a plain subject, `Engine.reach` tells what it is lent as well: `lent` has each active delegation to it, with its chain and what it reaches by
    it alone; `unbounded` says that unrecorded sessions are allowed for its type, so that it may act for anyone; `beyond` has what the graph grants
    it and a boundary lets no session of it use.
    """

    subject: str
    revision: int
    instant: datetime
    model_id: str
    definite: dict[Pair, ObjectSet]
    conditional: dict[Pair, ObjectSet]
    conditions: dict[Pair, tuple[str, ...]]
    _engine: Lister
    _model: ModelPlan
    _expired: int | None  # tuples that have expired since the last sweep; None: a write came in between
    _context: dict[str, Any] = field(default_factory=dict)  # as far as the model's conditions read it
    _tuples: dict[Triple, Tuple] = field(default_factory=dict)  # contextual ones, by key
    _chain: tuple[str, ...] | None = None  # of a session: the principals that must hold what it may
    lent: tuple[Lent, ...] = ()
    unbounded: bool = False
    beyond: dict[Pair, ObjectSet] = field(default_factory=dict)

    @property
    def counts(self) -> dict[Pair, tuple[int, int]]:
        """(definite, conditional) for each pair."""
        return {pair: (len(found), len(self.conditional[pair])) for pair, found in self.definite.items()}

    @property
    def complete(self) -> bool:
        """Whether nothing is conditional: then `definite` is the whole answer, else it is a lower bound, and with `conditional` an upper one."""
        return not any(len(found) for found in self.conditional.values())

    def __repr__(self) -> str:
        definite, conditional = (sum(map(len, found.values())) for found in (self.definite, self.conditional))
        place = f"at revision {self.revision}: {definite} definite, {conditional} conditional"
        return f"<fgacore.Reach of {self.subject} {place}, {len(self.definite)} relations>"

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON has it: names in lists, the instant as text."""
        return {
            "subject": self.subject,
            "revision": self.revision,
            "instant": self.instant.isoformat(),
            "model_id": self.model_id,
            "complete": self.complete,
            "relations": [
                {
                    "type": pair[0],
                    "relation": pair[1],
                    "definite": found.to_list(),
                    "conditional": self.conditional[pair].to_list(),
                    "conditions": list(self.conditions[pair]),
                }
                for pair, found in self.definite.items()
            ],
            "lent": [{"delegation": each.delegation, "chain": list(each.chain), "reach": each.reach.to_dict()} for each in self.lent],
            "unbounded": self.unbounded,
            "beyond": [
                {"type": type, "relation": relation, "objects": found.to_list()} for (type, relation), found in self.beyond.items() if len(found)
            ],
        }

    def to_arrow(self) -> Any:
        """A pyarrow.Table: a row for each object, with `type` and `relation` (dictionaries), `object` (text) and `conditional` (bool).

        Subject, revision, instant and model id are the schema's metadata. Needs `fgacore[arrow]`: RequestError `extra_missing` without.
        """
        try:
            import pyarrow as pa
        except ImportError as error:
            raise RequestError("a table needs pyarrow: install `fgacore[arrow]`", code="extra_missing") from error
        sets = [(pair, found, False) for pair, found in self.definite.items()] + [(pair, found, True) for pair, found in self.conditional.items()]
        counts = [len(found) for _, found, _ in sets]
        columns = {}
        for part, name in enumerate(("type", "relation")):
            words = {word: number for number, word in enumerate(dict.fromkeys(pair[part] for pair in self.definite))}
            numbers = np.repeat(np.array([words[pair[part]] for pair, _, _ in sets], np.int32), counts)
            columns[name] = pa.DictionaryArray.from_arrays(pa.array(numbers), pa.array(list(words), pa.string()))
        columns["object"] = pa.array([name for _, found, _ in sets for name in found], pa.string())
        columns["conditional"] = pa.array(np.repeat(np.array([conditional for _, _, conditional in sets], np.bool_), counts))
        told = {"subject": self.subject, "revision": str(self.revision), "instant": self.instant.isoformat(), "model_id": self.model_id}
        return pa.table(columns).replace_schema_metadata(told)

    def diff(self, other: Reach) -> ReachDiff:
        """What is gained and lost from this reach to another of the same subject. Usually the other is the newer one; each change has a cause:

        - `model`: the models differ, and under the older model the newer state would have brought no change. If the engine has moved on since the
          newer reach, that state is gone; then the model is named wherever the two define the relation, or what it reads, differently.
        - `expiry`: no tuple was written or deleted in between, so a tuple has expired.
        - `authority`: of a session, no tuple was written, and a delegation, suspension, boundary or setting was.
        - `tuple`: tuples were written or deleted. Others may have expired in between as well.

        Raises RequestError `sets_differ` for reaches of two subjects or engines, or with other contexts or contextual tuples.
        """
        if not isinstance(other, Reach):
            raise RequestError("a reach is compared with another reach")
        if self.subject != other.subject or self._engine._state is not other._engine._state:
            raise RequestError("the reaches are of two subjects or of two engines", code="sets_differ")
        if self._tuples != other._tuples or any(
            self._context.get(name, _MISSING) != other._context.get(name, _MISSING)
            for name in _parameters(self._model.source) & _parameters(other._model.source)
        ):
            raise RequestError("the reaches have other contexts or contextual tuples: no cause could be told", code="sets_differ")
        if (self.revision, self.instant) <= (other.revision, other.instant):
            return _Comparison(self, other).diff()
        found = _Comparison(other, self).diff()  # causes lie between the older and the newer, whichever way one looks
        return ReachDiff(found.subject, found.after, found.before, found.lost, found.gained, found.lost_conditional, found.gained_conditional)


_MISSING = object()


def reach(
    engine: Lister,
    subject: str,
    *,
    context: Mapping[str, Any] | None = None,
    contextual_tuples: Iterable[Tuple | Triple] = (),
    model_id: str | None = None,
    at_least: int | None = None,
    chain: tuple[str, ...] | None = None,
) -> Reach:
    """All that a subject holds, of one revision, instant and model. Raises what a list raises, except for conditions that fail.

    chain: of a session, which is then `engine`: the principals that must hold what it may; `subject` only names it.
    """
    if not engine._state.is_open:
        raise StoreError("the engine is closed", code="closed")
    subjects = [engine.name_parts(each, "subject") for each in chain or (subject,)]
    given: Any = contextual_tuples
    if isinstance(given, Iterable) and not isinstance(given, (str, bytes)):
        given = list(islice(given, CONTEXTUAL_TUPLES_MAX + 1))  # read once, listed more than once; the list itself says what is wrong
    for _ in range(TRIES):
        engine._writer.look()
        version, expired = engine._state.newest, engine._writer.expired
        model = _model_of(engine, model_id)
        compiler: Compiler = model.source
        kinds = [_kind_of(compiler, parts) for parts in subjects]
        pairs = compiler.reachable(kinds[0])
        for kind in kinds[1:]:
            others = set(compiler.reachable(kind))
            pairs = [pair for pair in pairs if pair in others]
        asked = pairs or compiler.names[:1]  # any list tells revision and instant
        sets = engine._list_all(subject, asked, context=context, contextual_tuples=given, model_id=model.model_id, at_least=at_least)
        alone = engine._state.newest is version
        if alone:
            break
    definite = dict(zip(pairs, sets, strict=False))
    conditional = {pair: found.undetermined for pair, found in definite.items()}
    deciders = []
    for kind, parts in zip(kinds, subjects, strict=True):
        id = version.names.find(parts[3].encode())
        deciders.append(_Conditions(compiler, kind, version if alone and not given else None, None if id is None else id[1]))

    def deciding(pair: Pair, found: ObjectSet) -> tuple[str, ...]:
        return tuple(sorted({name for each in deciders for name in each.deciding(pair, found)}))

    parameters = _parameters(compiler)
    return Reach(
        subject=subject,
        revision=sets[0].revision if sets else version.revision,
        instant=sets[0].instant if sets else moment_of(engine._state.moment()),
        model_id=model.model_id,
        definite=definite,
        conditional=conditional,
        conditions={pair: deciding(pair, found) if len(found) else () for pair, found in conditional.items()},
        _engine=engine,
        _model=model,
        _expired=expired if alone else None,
        _context={} if context is None else deepcopy({name: context[name] for name in parameters if name in context}),
        _tuples=dict(map(_kept, given or ())),
        _chain=chain,
    )


def subject_types(engine: Lister, type: str, relation: str) -> list[str]:
    """The types whose plain subjects can hold a relation of a type at all, under the newest model, in its order."""
    compiler: Compiler = _model_of(engine, None).source
    if type not in compiler.types:
        raise RequestError(f"the model has no type {quote(type)}", code="type_not_found")
    if (type, relation) not in compiler.node_of:
        raise RequestError(f"the type {quote(type)} has no relation {quote(relation)}", code="relation_not_found")
    return [name for name, symbol in compiler.types.items() if (type, relation) in compiler.reachable((symbol, None, False))]


def _kept(item: Tuple | Triple) -> tuple[Triple, Tuple]:
    made = item if isinstance(item, Tuple) else Tuple(*item)
    kept = Tuple(made.subject, made.relation, made.object, made.condition, deepcopy(dict(made.context or {})), made.expires_at)
    return (kept.subject, kept.relation, kept.object), kept


def _model_of(engine: Lister, model_id: object) -> ModelPlan:
    models, newest = engine._state.models, engine._state.newest_model
    if model_id is None:
        if newest is None:
            raise RequestError("the store has no model yet", code="no_model")
        return newest
    if not isinstance(model_id, str) or model_id not in models:
        raise RequestError(f"no model {quote(model_id)}", code="model_not_found")
    return models[model_id]


def _kind_of(compiler: Compiler, parts: tuple[str, str | None, bool, str]) -> Kind:
    type, relation, wildcard, _ = parts
    if type not in compiler.types:
        raise RequestError(f"the model has no type {quote(type)}", code="type_not_found")
    if relation is not None and (type, relation) not in compiler.node_of:
        raise RequestError(f"the type {quote(type)} has no relation {quote(relation)}", code="relation_not_found")
    return compiler.types[type], None if relation is None else compiler.relations[relation], wildcard


def _parameters(compiler: Compiler) -> set[str]:
    """The names of all parameters of a model's conditions: what it reads of a context."""
    return {name for condition in compiler.model.conditions.values() for name in condition.parameters}


# ---- what a relation reads ----


@dataclass(frozen=True, slots=True)
class _Step:
    """A way from a node down: over the members of `table`, or on the object itself where it is None, to `node`, or to a subject of a kind."""

    table: int | None
    condition: str
    node: int | None
    kind: Kind | None


def _steps(compiler: Compiler, node: int) -> Iterator[_Step]:
    """Everything that a node's rewrite reads, subtracted or not."""
    type, _ = compiler.names[node]
    todo: list[Rewrite] = [compiler.rewrites[node]]
    while todo:
        rewrite = todo.pop()
        if isinstance(rewrite, This):
            for kind, table, condition in compiler.admissions[node]:
                yield _Step(table, condition, None if kind[1] is None else compiler.nodes[kind[0], kind[1]], kind)
        elif isinstance(rewrite, ComputedUserset):
            yield _Step(None, "", compiler.node_of[type, rewrite.relation], None)
        elif isinstance(rewrite, TupleToUserset):
            relation = compiler.relations.get(rewrite.relation)
            tupleset = compiler.node_of.get((type, rewrite.tupleset))
            if relation is None or tupleset is None:
                continue
            for kind, table, condition in compiler.admissions[tupleset]:
                callee = compiler.nodes.get((kind[0], relation))
                if callee is not None and kind[1] is None and not kind[2]:
                    yield _Step(table, condition, callee, None)
        elif isinstance(rewrite, Difference):
            todo += [rewrite.base, rewrite.subtract]
        else:
            todo += rewrite.children


def _read_nodes(compiler: Compiler, node: int) -> set[int]:
    """A node and all that it reads, at any distance."""
    seen, todo = {node}, [node]
    while todo:
        for step in _steps(compiler, todo.pop()):
            if step.node is not None and step.node not in seen:
                seen.add(step.node)
                todo.append(step.node)
    return seen


def _definition(compiler: Compiler, pair: Pair) -> dict[object, object] | None:
    """All that answers of a relation follow from, as the model has it; None where it does not have the relation."""
    if pair not in compiler.node_of:
        return None
    told: dict[object, object] = {}
    for node in _read_nodes(compiler, compiler.node_of[pair]):
        admitted = {(kind, condition) for kind, _, condition in compiler.admissions[node]}
        told[compiler.names[node]] = (compiler.rewrites[node], admitted, {(step.table, step.condition) for step in _steps(compiler, node)})
        for step in _steps(compiler, node):
            if step.condition:
                condition = compiler.model.conditions[step.condition]
                told[step.condition] = (condition.parameters, condition.expression)
    return told


class _Conditions:
    """Which conditions decide what is conditional: a walk down from the objects over what the subject's question can read.

    It names every condition that a tuple on the way has; where there is no version to walk, or the way is too long, every one that could be there.
    """

    def __init__(self, compiler: Compiler, kind: Kind, version: Version | None, subject: int | None) -> None:
        self._compiler = compiler
        self._kinds = [kind] if kind[1] is not None else [kind, (kind[0], None, True)]
        self._version = version
        self._subject = subject
        self._left = WALK_MAX
        self._reached = {compiler.node_of[pair] for pair in compiler.reachable(kind)} if compiler.model.conditions else set()
        self._all: dict[int, set[str]] = {}  # by node: the conditions that it can meet at all

    def deciding(self, pair: Pair, objects: ObjectSet) -> tuple[str, ...]:
        """The names, sorted; none where there are no objects."""
        if not len(objects):
            return ()
        node = self._compiler.node_of[pair]
        possible = self._possible(node)
        if len(possible) > 1 and self._version is not None:
            possible = self._walked(node, objects.bitmap, self._version) or possible
        return tuple(sorted(possible))

    def _ways(self, node: int) -> Iterator[_Step]:
        for step in _steps(self._compiler, node):
            if step.node in self._reached if step.node is not None else step.kind in self._kinds:
                yield step

    def _possible(self, node: int) -> set[str]:
        if node not in self._all:
            seen, todo, found = {node}, [node], set()
            while todo:
                for step in self._ways(todo.pop()):
                    found |= {step.condition} - {""}
                    if step.node is not None and step.node not in seen:
                        seen.add(step.node)
                        todo.append(step.node)
            self._all[node] = found
        return self._all[node]

    def _walked(self, node: int, objects: BitMap, version: Version) -> set[str]:
        """The conditions of the tuples on the way; none where the way is too long."""
        possible, found = self._possible(node), set[str]()
        seen: dict[int, BitMap] = {}
        todo = [(node, objects)]
        while todo and found != possible:
            node, objects = todo.pop()
            objects = objects - seen.setdefault(node, BitMap())
            seen[node] |= objects
            if not objects or self._possible(node) <= found:
                continue
            for step in self._ways(node):
                met = objects
                if step.table is not None:
                    met = self._members(version, step, objects)
                    if self._left < 0:
                        return set()
                if step.condition and met:
                    found.add(step.condition)
                if step.node is not None:
                    todo.append((step.node, met))
        return found

    def _members(self, version: Version, step: _Step, objects: BitMap) -> BitMap:
        """What a step leads to from these objects; where it leads to the subject itself, those of the objects that have it."""
        assert step.table is not None
        if step.node is None:
            wildcard = step.kind is not None and step.kind[2]
            subject = 0 if wildcard else self._subject
            held = [] if subject is None or not step.condition else version.members(step.table, subject, True)
            self._left -= len(held)
            return objects & BitMap(held)
        out = BitMap()
        for object in objects:
            members = version.members(step.table, object)
            self._left -= 1 + len(members)
            if self._left < 0:
                break
            out.update(members)
        return out


# ---- how two reaches differ ----


class _Comparison:
    """From the older reach to the newer."""

    def __init__(self, before: Reach, after: Reach) -> None:
        self._before = before
        self._after = after
        self._same: dict[Pair, bool] = {}  # whether both models say the same of a relation

    def diff(self) -> ReachDiff:
        before, after = self._before, self._after
        gained, lost = _beyond(after.definite, before.definite), _beyond(before.definite, after.definite)
        more, fewer = _beyond(after.conditional, before.conditional), _beyond(before.conditional, after.conditional)
        lists: list[list[ReachChange]] = [[], [], [], []]
        if gained or lost or more or fewer:
            changes = [change for change in before._engine.changes(before.revision) if change.revision <= after.revision]
            is_written = after.revision - before.revision > sum(change.kind != "tuples" for change in changes)
            other: Cause = "tuple" if is_written else "expiry"
            if other == "expiry" and before._chain is not None and any(change.kind in CONTROL_KINDS for change in changes):
                other = "authority"
            by_model = before.model_id != after.model_id
            asif = None if not by_model or not (is_written or self._may_have_expired(changes)) else self._older_model_now()
            for out, found, is_gain, part in (
                (lists[0], gained, True, "definite"),
                (lists[1], lost, False, "definite"),
                (lists[2], more, True, "conditional"),
                (lists[3], fewer, False, "conditional"),
            ):
                for pair, name in found:
                    cause = "model" if by_model and self._is_by_model(pair, name, is_gain, part, asif) else other
                    out.append(ReachChange(*pair, name, cause))
        return ReachDiff(before.subject, before.revision, after.revision, *lists)

    def _may_have_expired(self, changes: list[Change]) -> bool:
        """Whether a tuple may have expired in between, stored or contextual."""
        before, after = self._before, self._after
        if before._expired is None or after._expired is None:
            return True
        stored = after._expired + sum(change.deleted for change in changes if change.kind == "expiry") - before._expired
        return stored > 0 or self._passed(after.instant)

    def _passed(self, instant: datetime, since: datetime | None = None) -> bool:
        """Whether a contextual tuple has expired by an instant, and not by an earlier one: that of the older reach, if none is given."""
        since = since or self._before.instant
        return any(item.expires_at is not None and since < item.expires_at <= instant for item in self._before._tuples.values())

    def _older_model_now(self) -> Reach | None:
        """The reach under the older model in the state of the newer one; None where that state is gone."""
        before, after = self._before, self._after
        if before._chain is not None:  # what was lent, and what bounded it, is of the newest revision only
            return None
        found = reach(
            before._engine,
            before.subject,
            context=before._context,
            contextual_tuples=list(before._tuples.values()),
            model_id=before.model_id,
        )
        is_same = found.revision == after.revision and found._expired is not None and found._expired == after._expired
        return found if is_same and not self._passed(found.instant, after.instant) else None

    def _is_by_model(self, pair: Pair, name: str, is_gain: bool, part: str, asif: Reach | None) -> bool:
        """Whether the models differ in a relation, and under the older one this change would not have been."""
        if pair not in self._same:
            self._same[pair] = _definition(self._before._model.source, pair) == _definition(self._after._model.source, pair)
        if self._same[pair]:
            return False
        if asif is None:
            return True
        sets: dict[Pair, ObjectSet] = getattr(asif, part)
        return (pair in sets and name in sets[pair]) is not is_gain


def _beyond(those: dict[Pair, ObjectSet], others: dict[Pair, ObjectSet]) -> list[tuple[Pair, str]]:
    """The objects of some sets that are not in others: by id where the store knows them, else by name."""
    out = []
    for pair, found in those.items():
        other = others.get(pair)
        if other is None:
            names = found.to_list()
        elif any(len(ids) and ids[-1] >= CALL_IDS for ids in (found.ids, other.ids)):
            known = set(other.to_list())
            names = [name for name in found.to_list() if name not in known]
        else:
            names = found._names_beyond(other)
        out += [(pair, name) for name in names]
    return out
