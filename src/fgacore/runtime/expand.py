"""One relation of one object, as model and tuples say it: the tuples that are there, and the tree of `expand`.

`Facts` reads the tuples of one version under one model, with those of a call laid over; `pin` says which model a call goes by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from fgacore.errors import RequestError, StoreError, quote
from fgacore.kernel.plan import ModelPlan
from fgacore.kernel.tables import Version
from fgacore.language.compile import Compiler, Kind
from fgacore.language.model import ComputedUserset, Difference, Intersection, Rewrite, This, TupleToUserset
from fgacore.limits import CONTEXTUAL_TUPLES_MAX
from fgacore.runtime.checks import Checks
from fgacore.runtime.clock import moment_of
from fgacore.runtime.context import unpack
from fgacore.tuples import Triple, Tuple

__all__ = ["Facts", "Met", "expand", "known_node", "now", "pin"]

Stored = tuple[int, int, int]  # table, object id, subject id
Met = tuple[Kind, str, str, Stored | Tuple]  # kind of the subject, its name ("" for a wildcard), condition or "", where the tuple is


def expand(
    engine: Checks,
    object: str,
    relation: str,
    *,
    contextual_tuples: Iterable[Tuple | Triple] = (),
    model_id: str | None = None,
    at_least: int | None = None,
) -> dict[str, Any]:
    """Why `relation` may hold on `object`, one level deep, as OpenFGA's Expand has it: {"root": node}.

    A node has a `name` and one of: `leaf` with `users` (the tuples as stored), `computed` or `tupleToUserset`; `union` or `intersection` with
    `nodes`; `difference` with `base` and `subtract`. Names are sorted. Conditions are not evaluated: their tuples are there.
    Raises RequestError as `check` does.
    """
    plan, brought = pin(engine, contextual_tuples, model_id, at_least)
    compiler: Compiler = plan.source
    node = known_node(engine, compiler, object, relation)
    engine._writer.look()
    facts = Facts(engine, compiler, engine._state.newest, brought, now(engine))

    def tree(rewrite: Rewrite) -> dict[str, Any]:
        return {"name": f"{object}#{relation}"} | value(rewrite)

    def value(rewrite: Rewrite) -> dict[str, Any]:
        if isinstance(rewrite, This):
            return {"leaf": {"users": {"users": sorted(facts.text(met) for met in facts.subjects(node, object))}}}
        if isinstance(rewrite, ComputedUserset):
            return {"leaf": {"computed": {"userset": f"{object}#{rewrite.relation}"}}}
        if isinstance(rewrite, TupleToUserset):
            tupleset = compiler.node_of[compiler.names[node][0], rewrite.tupleset]
            parents = sorted({name for kind, name, _, _ in facts.subjects(tupleset, object) if kind[1] is None and not kind[2]})
            computed = [{"userset": f"{name}#{rewrite.relation}"} for name in parents]
            return {"leaf": {"tupleToUserset": {"tupleset": f"{object}#{rewrite.tupleset}", "computed": computed}}}
        if isinstance(rewrite, Difference):
            return {"difference": {"base": tree(rewrite.base), "subtract": tree(rewrite.subtract)}}
        nodes = {"nodes": [tree(child) for child in rewrite.children]}
        return {"intersection": nodes} if isinstance(rewrite, Intersection) else {"union": nodes}

    return {"root": tree(compiler.rewrites[node])}


# ---- what a call goes by ----


def pin(
    engine: Checks, contextual_tuples: Iterable[Tuple | Triple], model_id: str | None, at_least: int | None
) -> tuple[ModelPlan, list[Tuple | Triple]]:
    """The model of a call and its contextual tuples, in a list of our own, held to that model. Raises as a check with these would."""
    state = engine._state
    given: Any = contextual_tuples
    if given is not None and hasattr(given, "__iter__") and not isinstance(given, (str, bytes, Tuple)):
        given = list(islice(given, CONTEXTUAL_TUPLES_MAX + 1))
    if model_id is None and (newest := state.newest_model) is not None:
        model_id = newest.model_id
    engine.batch_check((), contextual_tuples=given, model_id=model_id, at_least=at_least)
    plan = state.newest_model if model_id is None else state.models.get(model_id)
    if plan is None:
        raise StoreError("the engine is closed", code="closed")
    return plan, given or []


def now(engine: Checks) -> datetime:
    """The time by the engine's clock, in UTC."""
    return moment_of(engine._state.moment())


def known_node(engine: Checks, compiler: Compiler, object: str, relation: Any) -> int:
    """The node of a relation of an object; RequestError for a malformed name, and for a type or relation that the model does not have."""
    type = engine.name_parts(object, "object")[0]
    _refuse_unknown(compiler, type, None)
    if not isinstance(relation, str) or (type, relation) not in compiler.node_of:
        raise RequestError(f"the type {quote(type)} has no relation {quote(relation)}", code="relation_not_found")
    return compiler.node_of[type, relation]


def _refuse_unknown(compiler: Compiler, type: str, relation: str | None) -> None:
    if type not in compiler.types:
        raise RequestError(f"the model has no type {quote(type)}", code="type_not_found")
    if relation is not None and (type, relation) not in compiler.node_of:
        raise RequestError(f"the type {quote(type)} has no relation {quote(relation)}", code="relation_not_found")


# ---- the tuples ----


class Facts:
    """The tuples of one version that a model admits, with a call's contextual tuples laid over: each takes the place of the stored one of its key.

    Contextual tuples are taken to be valid under the model; those that have expired at `instant` are absent, in that place.
    """

    def __init__(self, engine: Checks, compiler: Compiler, version: Version, contextual: Sequence[Tuple | Triple], instant: datetime) -> None:
        self.compiler = compiler
        self.version = version
        self._names = version.names
        self._types = {symbol: name for name, symbol in compiler.types.items()}
        self._relations = {symbol: name for name, symbol in compiler.relations.items()}
        self._brought: dict[tuple[int, str], dict[tuple[Kind, str], Tuple | None]] = {}  # None: expired
        for item in contextual:
            given = item if isinstance(item, Tuple) else Tuple(*item)
            type, member, wildcard, name = engine.name_parts(given.subject, "subject")
            kind = compiler.types[type], None if member is None else compiler.relations[member], wildcard
            node = known_node(engine, compiler, given.object, given.relation)
            expired = given.expires_at is not None and given.expires_at <= instant
            self._brought.setdefault((node, given.object), {})[kind, "" if wildcard else name] = None if expired else given

    def subjects(self, node: int, object: str, wanted: Callable[[Kind, str], bool] | None = None) -> Iterator[Met]:
        """The tuples on one relation of an object, each once; where `wanted` is given, those of whose kind of subject and condition it is true."""
        brought = self._brought.get((node, object), {})
        found = self._names.find(object.encode())
        for kind, table, condition in self.compiler.admissions[node] if found is not None else ():
            if found is None or (wanted is not None and not wanted(kind, condition)):
                continue
            for id in self.version.members(table, found[1]):
                name = "" if kind[2] else self._names.text(kind[0], id) or ""
                if not brought or (kind, name) not in brought:
                    yield kind, name, condition, (table, found[1], id)
        for (kind, name), given in brought.items():
            if given is not None and (wanted is None or wanted(kind, given.condition or "")):
                yield kind, name, given.condition or "", given

    def carried(self, where: Stored | Tuple) -> bytes | int:
        """What tells the contexts of tuples apart, within this call."""
        return id(where) if isinstance(where, Tuple) else self.version.stored_with(*where)[1] or b""

    def context(self, where: Stored | Tuple) -> Mapping[str, Any]:
        """The context that a tuple carries."""
        if isinstance(where, Tuple):
            return where.context or {}
        raw = self.version.stored_with(*where)[1]
        return {} if raw is None else unpack(raw)

    def text(self, met: Met) -> str:
        """The subject of a tuple as text."""
        kind, name, _, _ = met
        if kind[2]:
            return f"{self._types[kind[0]]}:*"
        return name if kind[1] is None else f"{name}#{self._relations[kind[1]]}"
