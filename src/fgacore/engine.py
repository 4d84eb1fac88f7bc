"""The door: Engine as users see it. Checks are inherited from the compiled runtime; here are models, writes, reads and the life of a store."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Literal

from fgacore.errors import LimitError, ModelError, RequestError, StoreError, quote
from fgacore.kernel.plan import ModelPlan
from fgacore.language import load
from fgacore.language.compile import Compiler, Kind, SymbolTable
from fgacore.language.conditions import compile_conditions
from fgacore.language.model import Model
from fgacore.limits import CHANGES_KEPT_MAX, STORE_RELATIONS_MAX, STORE_TYPES_MAX
from fgacore.results import Change, Stats
from fgacore.runtime.clock import moment_of
from fgacore.runtime.conditions import Conditions
from fgacore.runtime.context import unpack
from fgacore.runtime.expand import expand
from fgacore.runtime.lists import Lists
from fgacore.runtime.reach import Reach, reach
from fgacore.runtime.state import State
from fgacore.runtime.subjects import SubjectSet, list_subjects
from fgacore.runtime.ulid import UlidSource
from fgacore.tuples import Triple, Tuple

__all__ = ["Clock", "Engine", "open"]

Clock = Callable[[], datetime | float]


def open(path: str | os.PathLike[str] = ":memory:", *, clock: Clock | None = None) -> Engine:
    """Open a store. `:memory:` is a new, empty one that keeps nothing beyond the process.

    clock: gives the time by which tuples expire, as an aware datetime or as seconds since the epoch; default: the machine's clock.
    Engine time never goes back: it is the latest time that was seen.

    >>> import fgacore
    >>> with fgacore.open(":memory:") as engine:
    ...     _ = engine.write_model(model)
    """
    if path != ":memory:":
        raise RequestError("a store on disk is not supported yet, only `:memory:`", code="not_supported")
    if clock is not None and not callable(clock):
        raise RequestError("the clock is not callable")
    return Engine(State(SymbolTable(), clock))


class Engine(Lists):
    """One store, open in this process. Thread-safe: readers never block; writes take turns. Use it as a context manager, or close it."""

    def __init__(self, state: State) -> None:
        self._lock = state.lock
        self._ulids = UlidSource()
        self._changes: deque[Change] = deque(maxlen=CHANGES_KEPT_MAX)

    # ---- the life of a store ----

    def close(self) -> None:
        """Let go of everything. Calls under way end as they began; later ones raise StoreError `closed`."""
        with self._lock:
            self._state.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        if not self._state.is_open:
            return "<fgacore.Engine, closed>"
        return f"<fgacore.Engine :memory:, revision {self._state.revision}>"

    @property
    def revision(self) -> int:
        """The position in the log after the newest write; 0 for an empty store."""
        self._refuse_closed()
        return self._state.revision

    # ---- models ----

    def write_model(self, source: str | Mapping[str, Any] | os.PathLike[str], *, actor: str | None = None, reason: str | None = None) -> str:
        """Make a model the newest of the store, and return its id, a ULID. Earlier models stay and can be asked by `model_id=`.

        source: OpenFGA's DSL, or its JSON, as text or dict; only an os.PathLike is a path (`.fga`, `.json`, `fga.mod`).
        Raises ModelError with every fault found, each with line and column.
        """
        model = load(source)
        if not model.types:
            raise ModelError("a model has at least one type", code="invalid_model")
        compiled = list(compile_conditions(model).values()) if model.conditions else []
        with self._lock:
            self._refuse_closed()
            self._refuse_symbols(model)
            conditions = Conditions(compiled, self._state.symbols.signatures) if compiled else None
            compiler = Compiler(model, self._state.symbols)
            plan = ModelPlan(self._ulids.make(), compiler, compiler.types, compiler.relations, compiler.nodes, compiler.admitted_tables(), conditions)
            revision = self._writer.add_model(plan, compiler.structural_tables())
            self._changes.append(Change(revision, time.time(), "model", actor, reason, model_id=plan.model_id))
        return plan.model_id

    def _refuse_symbols(self, model: Model) -> None:
        """Types and relations are numbered in 16 bits over the life of a store."""
        symbols = self._state.symbols
        relations = {relation for definition in model.types.values() for relation in definition.relations}
        for known, more, most, name in (
            (symbols.types, set(model.types), STORE_TYPES_MAX, "STORE_TYPES_MAX"),
            (symbols.relations, relations, STORE_RELATIONS_MAX, "STORE_RELATIONS_MAX"),
        ):
            if len(known) + sum(text not in known for text in more) > most:
                raise LimitError(f"the models of the store have more than {most} names in all ({name})")

    # ---- tuples ----

    def write(
        self,
        writes: Iterable[Triple | Tuple] = (),
        *,
        deletes: Iterable[Triple | Tuple] = (),
        on_duplicate: Literal["error", "ignore", "replace"] = "error",
        on_missing: Literal["error", "ignore"] = "error",
        actor: str | None = None,
        reason: str | None = None,
        model_id: str | None = None,
    ) -> int:
        """Store and delete tuples, all or nothing, and return the revision. Visible to every call that begins after it returns.

        Triples are (subject, relation, object); a fgacore.Tuple may have a condition with its context, and an expiry. Deletes come first.
        Writes are held to the model (default: the newest), deletes only to the shape of names. A tuple is stored already where its three
        names are, whatever its condition, context and expiry. on_duplicate: `error` refuses such a tuple, `ignore` passes over it where nothing
        about it differs, `replace` puts the new one in its place. on_missing: `error` refuses to delete what is not stored, `ignore` passes over
        it. Refused as well: the same key twice among writes or among deletes, and a userset in its own relation, which holds anyway.
        actor and reason are kept with the revision (`changes`). Raises RequestError with the item's `.index`.
        """
        self._refuse_option("on_duplicate", on_duplicate, "error", "ignore", "replace")
        self._refuse_option("on_missing", on_missing, "error", "ignore")
        items, gone = _list(writes, "writes"), _list(deletes, "deletes")
        with self._lock:
            self._refuse_closed()
            before = self._state.revision
            revision, written, deleted = self._writer.write(items, gone, on_duplicate, on_missing == "ignore", model_id)
            if revision != before and (actor is not None or reason is not None):
                self._changes.append(Change(revision, time.time(), "tuples", actor, reason, written=written, deleted=deleted))
        return revision

    def delete(
        self,
        *,
        subject: str | None = None,
        relation: str | None = None,
        object: str | None = None,
        actor: str | None = None,
        reason: str | None = None,
    ) -> int:
        """Delete every stored tuple with these parts, at least one of them given, in one write; return the revision."""
        if subject is None and relation is None and object is None:
            raise RequestError("a delete names at least one of subject, relation and object")
        with self._lock:
            found = list(self.read(subject=subject, relation=relation, object=object))
            return self.write(deletes=found, on_missing="ignore", actor=actor, reason=reason)  # one may expire between the two

    def sweep(self, *, actor: str | None = None, reason: str | None = None) -> int:
        """Record that tuples expired, all since the last sweep, in one revision (`changes`: kind `expiry`); return the revision.

        An expired tuple is absent from its instant on, swept or not.
        """
        with self._lock:
            self._writer.look()
            self._refuse_closed()
            revision, count = self._writer.sweep()
            if count:
                self._changes.append(Change(revision, time.time(), "expiry", actor, reason, deleted=count))
        return revision

    def read(self, *, subject: str | None = None, relation: str | None = None, object: str | None = None) -> Iterator[Tuple]:
        """Iterate over the stored tuples with these parts (none given: all), of the revision at the call, in no order that can be relied on.

        Tuples that the newest model no longer admits are stored, and read, all the same; checks ignore them.
        """
        self._writer.look()
        self._refuse_closed()
        return self._read(subject, relation, object)

    def _read(self, subject: str | None, relation: str | None, object: str | None) -> Iterator[Tuple]:
        state, version, symbols = self._state, self._state.newest, self._state.symbols
        tables, types, relations = list(symbols.tables.items()), list(symbols.types), list(symbols.relations)
        asked = None if subject is None else self.name_parts(subject, "subject")
        asked_object = None if object is None else self.name_parts(object, "object")
        if relation is not None and not isinstance(relation, str):
            raise RequestError("the relation is not a text", code="invalid_relation")

        def subject_text(kind: Kind, id: int) -> str:
            if kind[2]:
                return f"{types[kind[0]]}:*"
            name = state.name_table.text(kind[0], id) or ""
            return name if kind[1] is None else f"{name}#{relations[kind[1]]}"

        def tuples() -> Iterator[Tuple]:
            for (type, symbol, kind, condition), table in tables:
                if relation is not None and relations[symbol] != relation:
                    continue
                if asked is not None and (types[kind[0]], None if kind[1] is None else relations[kind[1]], kind[2]) != asked[:3]:
                    continue
                if asked_object is not None and types[type] != asked_object[0]:
                    continue
                if asked is not None:
                    subjects = [0] if kind[2] else [i for i in [self._id(asked)] if i is not None]
                    pairs = ((o, s) for s in subjects for o in version.members(table, s, True))
                elif asked_object is not None:
                    objects = [i for i in [self._id(asked_object)] if i is not None]
                    pairs = ((o, s) for o in objects for s in version.members(table, o))
                else:
                    pairs = ((o, s) for o in version.keys(table) for s in version.members(table, o))
                only = None if asked_object is None else self._id(asked_object)
                for o, s in pairs:
                    if asked_object is None or o == only:
                        expires, raw = version.stored_with(table, o, s)
                        yield Tuple(
                            subject_text(kind, s),
                            relations[symbol],
                            state.name_table.text(type, o) or "",
                            condition=condition or None,
                            context=None if raw is None else unpack(raw),
                            expires_at=None if expires is None else moment_of(expires),
                        )

        return tuples()

    def _id(self, parts: tuple[str, str | None, bool, str]) -> int | None:
        found = self._state.name_table.find(parts[3].encode())
        return None if found is None else found[1]

    # ---- lists; of objects: runtime/lists.pyx ----

    def list_subjects(
        self,
        object: str,
        relation: str,
        subject_type: str,
        *,
        context: Mapping[str, Any] | None = None,
        contextual_tuples: Iterable[Tuple | Triple] = (),
        on_missing_context: Literal["raise", "report"] = "raise",
        model_id: str | None = None,
        at_least: int | None = None,
    ) -> SubjectSet:
        """Every subject of a kind, `user` or `team#member`, that holds `relation` on `object`: a SubjectSet. Complete, at one revision.

        Where a condition met on the way fails it raises RequestError; with on_missing_context="report" those on whom that depends are in
        `.undetermined`.
        """
        return list_subjects(
            self,
            object,
            relation,
            subject_type,
            context=context,
            contextual_tuples=contextual_tuples,
            on_missing_context=on_missing_context,
            model_id=model_id,
            at_least=at_least,
        )

    def expand(
        self,
        object: str,
        relation: str,
        *,
        contextual_tuples: Iterable[Tuple | Triple] = (),
        model_id: str | None = None,
        at_least: int | None = None,
    ) -> dict[str, Any]:
        """How `relation` on `object` comes about, one level deep, as OpenFGA's Expand gives it. Conditions are not evaluated."""
        return expand(self, object, relation, contextual_tuples=contextual_tuples, model_id=model_id, at_least=at_least)

    def reach(
        self,
        subject: str,
        *,
        context: Mapping[str, Any] | None = None,
        contextual_tuples: Iterable[Tuple | Triple] = (),
        model_id: str | None = None,
        at_least: int | None = None,
    ) -> Reach:
        """All that `subject` can do, its blast radius: the exact set of objects for every type and relation that it can hold, at one revision."""
        return reach(self, subject, context=context, contextual_tuples=contextual_tuples, model_id=model_id, at_least=at_least)

    def changes(self, since: int = 0) -> list[Change]:
        """What was recorded after revision `since`: every model, and the writes that named an actor or a reason, the newest 100,000 of them."""
        if not isinstance(since, int):
            raise RequestError("`since` is not a revision")
        with self._lock:
            self._refuse_closed()
            return [change for change in self._changes if change.revision > since]

    def merge(self) -> None:
        """Fold what was written since into the frozen base now, rather than when it has grown. Maintenance: reads are fastest after it."""
        with self._lock:
            self._refuse_closed()
            self._writer.merge()

    def stats(self) -> Stats:
        """Counts of the store and of the work done since it was opened."""
        state = self._state
        self._writer.look()
        self._refuse_closed()
        version, model = state.newest, state.newest_model
        views, view_bytes, view_hits, view_misses, view_drops = state.views()
        return Stats(
            revision=version.revision,
            model_id=None if model is None else model.model_id,
            models=len(state.models),
            tuples=version.tuple_count(),
            unmerged=version.delta_count(),
            names=len(state.name_table),
            tables=version.table_total,
            checks=state.checks,
            tuples_visited=state.visited,
            alternations=state.alternations,
            conditions_decided=state.decided,
            views=views,
            view_bytes=view_bytes,
            view_hits=view_hits,
            view_misses=view_misses,
            view_drops=view_drops,
        )

    def _refuse_closed(self) -> None:
        if not self._state.is_open:
            raise StoreError("the engine is closed", code="closed")

    @staticmethod
    def _refuse_option(name: str, value: object, *options: str) -> None:
        if value not in options:
            raise RequestError(f"{name} is {' or '.join(map(quote, options))}")


def _list(items: Iterable[Triple | Tuple], what: str) -> list[Triple | Tuple]:
    if isinstance(items, (str, bytes, Tuple)) or not isinstance(items, Iterable):
        raise RequestError(f"`{what}` is not a list of tuples")
    return list(items)  # our own: nobody takes an item away while it is read
