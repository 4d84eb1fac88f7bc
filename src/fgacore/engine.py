"""The door: Engine as users see it. Checks are inherited from the compiled runtime; here are models, writes, reads and the life of a store."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from fgacore.agents.authority import bound, configure, control_of, delegate, delegations, lift, revoke, set_suspended, settings, suspensions
from fgacore.agents.blast import whole_reach
from fgacore.agents.claims import ClaimsMapping, read_claims
from fgacore.agents.logged import LoggedChecks
from fgacore.agents.sessions import Session, claimed_session, open_session
from fgacore.audit.writer import DecisionLog, LogOptions
from fgacore.errors import ModelError, RequestError, StoreError, quote
from fgacore.formats import DECISIONS_FOLDER
from fgacore.language import load
from fgacore.limits import ACTOR_BYTES_MAX, IMPORT_LOT_TUPLES
from fgacore.results import Change, Delegation, ImportResult, Stats, Suspension
from fgacore.runtime.chains import Chained
from fgacore.runtime.clock import instant_of
from fgacore.runtime.decisions import DecisionRing
from fgacore.runtime.expand import expand
from fgacore.runtime.imports import Progress, import_lots, told
from fgacore.runtime.lists import Lists
from fgacore.runtime.memory import MemoryStore
from fgacore.runtime.reach import Reach
from fgacore.runtime.reads import Teller, stored_tuples
from fgacore.runtime.replica import Replica
from fgacore.runtime.requests import check_request_id, digest, fits
from fgacore.runtime.store import Clock, Store, Write
from fgacore.runtime.subjects import SubjectSet, list_subjects
from fgacore.store.log import cache_directory, open_log
from fgacore.store.transfer import Source, read_tuples, write_tuples
from fgacore.tuples import Triple, Tuple

__all__ = ["Clock", "Engine", "open"]

OnDuplicate = Literal["error", "ignore", "replace"]


def open(
    path: str | os.PathLike[str] = ":memory:",
    *,
    clock: Clock | None = None,
    read_only: bool = False,
    verify: bool = False,
    max_staleness: float | None = 30.0,
    cache: str | os.PathLike[str] | None = None,
    decision_log: Literal["buffered", "sync", "off"] | None = None,
    log_directory: str | os.PathLike[str] | None = None,
    log_checks: bool = False,
    log_context: Literal["full", "digest"] = "full",
    on_log_failure: Literal["deny", "allow"] = "deny",
    log_key: bytes | None = None,
) -> Engine:
    """Open a store. Any number of processes may have it open, and each may write.

    path: a directory, made where there is none; `postgresql://user@host/database?store=NAME`, a log that machines share; or `:memory:`, a new, empty
    store that keeps nothing beyond the process.
    clock: gives the time by which tuples expire, as an aware datetime or as seconds since the epoch; default: the machine's clock.
    Engine time never goes back: it is the latest time that was seen, in this process or in the log.
    read_only: never write, nothing but reads; a store that does not exist is an error then.
    verify: do not answer before every byte of the snapshot has been verified; else that happens behind.
    max_staleness: seconds for which answers are given without news of the log (a connection that is lost); then they fail with StoreError `stale`.
    None: without end.
    cache: the directory of a PostgreSQL store's local snapshots; default: one of the user's cache.
    decision_log: how the decisions of sessions are kept. `buffered`, the default of a store on disk: written 50 ms later at most; `sync`: before the
    answer; `off`, the default in memory. log_directory: where; default: `decisions` in the store's directory, or in the cache of a PostgreSQL store.
    log_checks: the engine's own checks are kept as well. log_context: `digest` keeps no values of contexts, so those decisions cannot be made again.
    on_log_failure: what cannot be kept is denied, or with `allow` answered all the same, and the gap shows. log_key: a private key of Ed25519, 32
    bytes or a PEM, that signs each block; needs `fgacore[audit]`.

    >>> import fgacore
    >>> with fgacore.open(":memory:") as engine:
    ...     _ = engine.write_model(model)
    """
    if clock is not None and not callable(clock):
        raise RequestError("the clock is not callable")
    seconds: object = max_staleness
    if seconds is not None and not (isinstance(seconds, (int, float)) and seconds > 0):
        raise RequestError("max_staleness is a number of seconds above 0, or None")
    for name, given, options in (
        ("decision_log", decision_log, (None, "buffered", "sync", "off")),
        ("log_context", log_context, ("full", "digest")),
        ("on_log_failure", on_log_failure, ("deny", "allow")),
    ):
        if given not in options:
            raise RequestError(f"{name} is {' or '.join(quote(option) for option in options if option)}")
    if log_key is not None and not isinstance(log_key, bytes):
        raise RequestError("log_key is the bytes of a key")
    if log_checks and decision_log == "off":
        raise RequestError("log_checks says what goes into the decision log, which is off")
    make = _LoggedEngine if log_checks else Engine

    def log_in(default: Path | None, store_id: bytes) -> DecisionLog | None:
        """The decision log, where there is one."""
        if decision_log == "off" or (default is None and log_directory is None):
            return None
        directory = Path(log_directory) if log_directory is not None else (default or Path()) / DECISIONS_FOLDER
        return DecisionLog(LogOptions(directory, decision_log or "buffered", log_context, on_log_failure, log_key), store_id)

    if path == ":memory:":
        if read_only:
            raise RequestError("a store of `:memory:` begins empty: for reading only it is of no use", code="invalid_store")
        if log_directory is None and (decision_log in ("buffered", "sync") or log_checks):
            raise RequestError("a store in memory has no directory: a decision log needs `log_directory`", code="invalid_store")
        store = MemoryStore(clock)
        return make(store, log_in(None, store.state.name_table.store))
    if cache is not None and not (isinstance(path, str) and "://" in path):
        raise RequestError("a cache is for the snapshots of a PostgreSQL store: this one has a directory", code="invalid_store")
    log = open_log(path, read_only=read_only)
    directory = log.directory if log.directory is not None else _cache_directory(cache, log.store_id, read_only=read_only)
    if directory is None and log_directory is None and decision_log != "off":
        log.close()
        raise StoreError("there is no place for the decision log: give a `cache` or a `log_directory`, or turn it off", code="store_unavailable")
    try:
        decisions = log_in(directory, log.store_id)
    except BaseException:
        log.close()
        raise
    return make(Replica(log, directory, clock=clock, max_staleness=max_staleness, verify=verify), decisions)


def _cache_directory(cache: str | os.PathLike[str] | None, store_id: bytes, *, read_only: bool) -> Path | None:
    """Where the local snapshots of a store lie whose log is elsewhere; None: they cannot be kept."""
    directory = cache_directory(cache, store_id)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        if cache is None:
            return None
        raise StoreError(f"the cache {directory.parent} cannot be used: {error.strerror}") from error
    return directory


class Engine(Lists):
    """One store, open in this process. Thread-safe: readers never block; writes take turns. Use it as a context manager, or close it."""

    def __init__(self, store: Store, decisions: DecisionLog | None = None) -> None:
        self._store = store
        self._decisions = decisions
        self._ring = DecisionRing() if decisions is None else decisions.ring
        self._askers: dict[tuple[str, bool], Chained] = {}
        if decisions is not None:
            store.in_child.append(decisions.after_fork)

    # ---- the life of a store ----

    def close(self) -> None:
        """Leave a snapshot where it helps the next one to open the store, and let go of everything.

        Calls under way end as they began; later ones raise StoreError `closed`.
        """
        self._store.close()
        if self._decisions is not None:
            self._decisions.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        if not self._state.is_open:
            return "<fgacore.Engine, closed>"
        return f"<fgacore.Engine {self._store.name}, revision {self._state.revision}>"

    @property
    def revision(self) -> int:
        """The position in the log after the newest write that this process has; 0 for an empty store."""
        self._writer.look()
        self._refuse_closed()
        return self._state.revision

    @property
    def generation(self) -> int:
        """1, and one more with each `compact`: ids are good within a generation."""
        self._refuse_closed()
        return self._state.newest.names.generation

    # ---- models ----

    def write_model(self, source: str | Mapping[str, Any] | os.PathLike[str], *, actor: str | None = None, reason: str | None = None) -> str:
        """Make a model the newest of the store, and return its id, a ULID. Earlier models stay and can be asked by `model_id=`.

        source: OpenFGA's DSL, or its JSON, as text or dict; only an os.PathLike is a path (`.fga`, `.json`, `fga.mod`).
        Raises ModelError with every fault found, each with line and column.
        """
        _refuse_attribution(actor, reason)
        model = load(source)
        if not model.types:
            raise ModelError("a model has at least one type", code="invalid_model")
        return self._store.write_model(model, actor, reason)

    # ---- tuples ----

    def write(
        self,
        writes: Iterable[Triple | Tuple] = (),
        *,
        deletes: Iterable[Triple | Tuple] = (),
        on_duplicate: OnDuplicate = "error",
        on_missing: Literal["error", "ignore"] = "error",
        actor: str | None = None,
        reason: str | None = None,
        model_id: str | None = None,
        request_id: str | None = None,
    ) -> int:
        """Store and delete tuples, all or nothing, and return the revision. When it returns, the write is on disk, and visible to every call that
        begins.
        Triples are (subject, relation, object); a fgacore.Tuple may have a condition with its context, and an expiry. Deletes come first. Writes are
        held to the model (default: the newest), deletes only to the shape of names. A tuple is stored already where its three names are, whatever its
        condition, context and expiry. on_duplicate: `error` refuses such a tuple, `ignore` passes over it where nothing about it differs, `replace`
        puts the new one in its place. on_missing: `error` refuses to delete what is not stored, `ignore` passes over it. Refused as well: the same
        key twice among writes or among deletes, and a userset in its own relation, which holds anyway. actor and reason are kept with the revision
        (`changes`). request_id: a text of yours that names this write for 24 hours: the same write under the same id is made once and returns the
        first revision, another one is StoreError `conflict`. Raises RequestError with the item's `.index`.
        """
        if on_duplicate not in ("error", "ignore", "replace") or on_missing not in ("error", "ignore"):
            self._refuse_option("on_duplicate", on_duplicate, "error", "ignore", "replace")
            self._refuse_option("on_missing", on_missing, "error", "ignore")
        if actor is not None or reason is not None:
            _refuse_attribution(actor, reason)
        items = list(writes) if type(writes) is list else _list(writes, "writes")  # our own: nobody takes an item away while it is read
        gone = [] if type(deletes) is tuple and not deletes else _list(deletes, "deletes")
        write = Write(items, gone, on_duplicate, on_missing == "ignore", model_id, actor, reason, request_id)
        if request_id is not None:
            check_request_id(request_id)
            write.digest = digest(write)
        return self._store.write(write)

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
        _refuse_attribution(actor, reason)
        self._read(subject, relation, object)  # what is wrong with the parts is told before anything is locked

        def found() -> list[Triple | Tuple]:
            return list(self._read(subject, relation, object))

        return self._store.write(Write([], found, "error", True, None, actor, reason, None))

    def sweep(self, *, actor: str | None = None, reason: str | None = None) -> int:
        """Record that tuples expired, all since the last sweep, in one revision (`changes`: kind `expiry`); return the revision.

        An expired tuple is absent from its instant on, swept or not.
        """
        _refuse_attribution(actor, reason)
        return self._store.sweep(actor, reason)

    def import_tuples(
        self,
        source: Source,
        *,
        format: Literal["jsonl", "csv", "yaml", "parquet"] | None = None,
        on_error: Literal["stop", "skip"] = "stop",
        on_duplicate: OnDuplicate = "error",
        lots: int | None = None,
        actor: str | None = None,
        reason: str | None = None,
        request_id: str | None = None,
        progress: Progress | None = None,
    ) -> ImportResult:
        """Write the tuples of a file or an iterable, in memory that does not grow with it.
        source: a path (`.jsonl`, `.csv`, `.yaml`, `.parquet`; or `format`), a file open as bytes, or an iterable of triples and fgacore.Tuples. All
        or nothing, in one transaction; with `lots` so many tuples at a time, each lot for itself. request_id: as in `write`; an import in lots that
        was broken off can be begun again with it, and passes over what is written already.
        on_error: `stop` at the first bad line, or `skip` it; what is no file of its format is an error either way. on_duplicate: as in `write`, also
        where a source has a tuple twice. progress: called with (tuples read, share of the source or None) after each lot. Raises RequestError with
        `FILE:LINE` in its message.
        """
        self._refuse_option("on_duplicate", on_duplicate, "error", "ignore", "replace")
        self._refuse_option("on_error", on_error, "stop", "skip")
        _refuse_attribution(actor, reason)
        if lots is not None and not 1 <= lots <= IMPORT_LOT_TUPLES:
            raise RequestError(f"lots is a number of tuples, at most {IMPORT_LOT_TUPLES} (IMPORT_LOT_TUPLES)")
        if request_id is not None:
            check_request_id(request_id)
        with read_tuples(source, format, on_error=on_error, lot_tuples=lots or IMPORT_LOT_TUPLES) as reader:
            return import_lots(self._store, reader, on_duplicate, actor, reason, in_lots=lots is not None, request_id=request_id, progress=progress)

    def export_tuples(
        self,
        target: str | os.PathLike[str],
        *,
        format: Literal["jsonl", "csv", "yaml", "parquet"] | None = None,
        subject: str | None = None,
        relation: str | None = None,
        object: str | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Write the stored tuples with these parts (none given: all) to a file, which is there whole or not at all; return how many.

        progress: called with (tuples written, None) after every few thousand.
        """
        found = self.read(subject=subject, relation=relation, object=object)
        return write_tuples(target, format, found if progress is None else told(found, progress))

    def read(self, *, subject: str | None = None, relation: str | None = None, object: str | None = None) -> Iterator[Tuple]:
        """Iterate over the stored tuples with these parts (none given: all), of the revision at the call, in no order that can be relied on.

        Tuples that the newest model no longer admits are stored, and read, all the same; checks ignore them.
        """
        self._writer.look()
        self._refuse_closed()
        return self._read(subject, relation, object)

    def _read(self, subject: str | None, relation: str | None, object: str | None) -> Iterator[Tuple]:
        return stored_tuples(self._state.newest, self._state.symbols, self.name_parts, subject, relation, object)

    # ---- the log ----

    def changes(self, since: int = 0, *, types: Iterable[str] | None = None, follow: bool = False) -> Iterator[Change]:
        """Iterate over what was recorded after revision `since`, oldest first: tuples, models, expiries.
        types: only tuples of these object types. follow: go on with what comes, until the engine is closed. A store of `:memory:` keeps the newest 64
        MiB of its records; one that was compacted begins with what it held then. StoreError `compacted` where some of what was asked for is gone.
        """
        since = _revision(since)
        if isinstance(types, str):
            raise RequestError("`types` is a list of object types")
        self._writer.look()
        self._refuse_closed()
        return self._changes(since, None if types is None else frozenset(types), follow)

    def _changes(self, since: int, types: frozenset[str] | None, follow: bool) -> Iterator[Change]:
        while True:
            teller: Teller | None = None
            for record in self._store.records(since):
                if teller is None or record.kind in ("model", "checkpoint"):
                    teller = Teller(self._state.newest.names, self._state.symbols)
                since = record.revision
                change = teller.change(record, types)
                if change is not None:
                    yield change
            if not follow or not self._state.is_open:
                return
            self._store.wait_news(since)

    def wait_for(self, revision: int, timeout: float | None = None) -> int:
        """Wait until this process has a revision, which another has written; return the newest. StoreError `stale` where it has not come in time."""
        found = self._store.wait_for(_revision(revision), timeout)
        self._refuse_closed()
        return found

    def at(self, revision: int | None = None, *, time: datetime | None = None) -> Engine:
        """The store as it was: an engine for reading, with the model of then, its clock standing at that record's time, or at `time`.

        StoreError `compacted` where the history does not go back so far; RequestError `revision_not_found` for what has not been yet.
        """
        if (revision is None) == (time is None):
            raise RequestError("at takes a revision or a time")
        return Engine(self._store.at(None if revision is None else _revision(revision), None if time is None else _instant(time)))

    def snapshot(self) -> int:
        """Write the newest revision as a snapshot, from which the store is opened, and go over to it; return the revision. By itself it happens when
        the log has grown, and on close.
        """
        self._refuse_closed()
        return self._store.snapshot()

    def compact(self, *, actor: str | None = None, reason: str | None = None) -> int:
        """Begin a new generation of the store, and return its revision: history is dropped, and with it every name that no tuple has any more.

        Ids of before are refused from here on (`generation_differs`), in all processes.
        """
        _refuse_attribution(actor, reason)
        return self._store.compact(actor, reason)

    def merge(self) -> None:
        """Fold what was written since into the frozen base now, rather than when it has grown: of a store on disk a snapshot. Reads are fastest after
        it.
        """
        self._refuse_closed()
        if self._store.read_only:
            raise StoreError("the engine is open for reading only", code="read_only")
        self._store.snapshot()

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
        """All that `subject` can do, its blast radius: the exact set of objects for every type and relation that it can hold, at one revision.

        Of a plain subject also what each active delegation to it lets it do, whether it may act for anyone, and what it is granted beyond its
        boundary.
        """
        return whole_reach(self, subject, context=context, contextual_tuples=contextual_tuples, model_id=model_id, at_least=at_least)

    # ---- agents ----

    def session(
        self,
        who: str,
        *,
        on_behalf_of: str | None = None,
        scope: Iterable[str] | None = None,
        expires_in: float | None = None,
        task: str | None = None,
        authority: Literal["both", "lent"] | None = None,
        context: Mapping[str, Any] | None = None,
        context_keys: Iterable[str] = (),
    ) -> Session:
        """A session: the use of a recorded delegation, `who` being its id; or of an agent, on somebody's behalf (unrecorded) or of its own authority.
        scope: entries such as `can_read ticket:*`, `can_update ticket:17`, `can_read ticket:* where in_project project:alpha`, `not can_read note:*`.
        An agent on somebody's behalf needs one; otherwise it may be left out, and then narrows nothing; an empty one admits nothing. expires_in:
        seconds. authority: `both` (the default), where the agent must hold what it asks for as well, or `lent`. context: values for conditions,
        which no call overrides. context_keys: the only keys that a call may give. Of a delegation, scope and expires_in narrow further, and the rest
        stands in it. Raises RequestError.

        >>> session = engine.session("agent:support", on_behalf_of="user:anne", scope=["can_read ticket:*"], expires_in=900, task="refund-4711")
        """
        return open_session(
            self,
            who,
            on_behalf_of=on_behalf_of,
            scope=scope,
            expires_in=expires_in,
            task=task,
            authority=authority,
            context=context,
            context_keys=context_keys,
        )

    def session_from_claims(
        self,
        claims: Mapping[str, Any],
        mapping: ClaimsMapping | Mapping[str, Any],
        *,
        expires_in: float | None = None,
        task: str | None = None,
        context: Mapping[str, Any] | None = None,
        context_keys: Iterable[str] = (),
    ) -> Session:
        """An unrecorded session from the claims of a token that the caller has verified: `sub` is the root, `act` the asking agent, a nested `act`
        who acted before. All of them must hold what is asked; `exp` ends it; `scope` only narrows. RequestError `invalid_claims` where they say less.
        """
        found = read_claims(claims, mapping)
        return claimed_session(
            self, found.principals, found.scope, found.expires_at, expires_in=expires_in, task=task, context=context, context_keys=context_keys
        )

    def delegate(
        self,
        *,
        by: str,
        to: str,
        scope: Iterable[str],
        expires_in: float | None = None,
        task: str | None = None,
        redelegations: int = 0,
        authority: Literal["both", "lent"] = "both",
        reason: str | None = None,
    ) -> str:
        """Record that `by` lends `to` what the scope admits of its own authority, whatever that is at each question; the delegation's id.

        expires_in: seconds; None: until it is revoked. redelegations: how many times it may be passed on, one less with each link. authority: `both`,
        where `to` must hold what it asks for as well, or `lent`. Raises RequestError.
        """
        _refuse_attribution(None, reason)
        return delegate(
            self,
            by=by,
            to=to,
            scope=scope,
            expires_in=expires_in,
            task=task,
            redelegations=redelegations,
            authority=authority,
            reason=reason,
        )

    def revoke(self, delegation_id: str, *, by: str | None = None, reason: str | None = None) -> int:
        """End a delegation and all that hangs below it, from the next question on; the revision. Twice is no second record."""
        _refuse_attribution(by, reason)
        return revoke(self, delegation_id, by, reason)

    def delegations(self, *, by: str | None = None, to: str | None = None, active: bool | None = None) -> list[Delegation]:
        """The recorded delegations, the oldest first: of one who delegates, to one agent, only those that can be used or cannot."""
        return delegations(self, by=by, to=to, active=active)

    def suspend(self, subject: str, *, by: str | None = None, reason: str | None = None) -> int:
        """Deny every question of every session in whose chain a subject is, until `resume`; the revision. Twice is no second record."""
        _refuse_attribution(by, reason)
        return set_suspended(self, subject, True, by, reason)

    def resume(self, subject: str, *, by: str | None = None, reason: str | None = None) -> int:
        """End a suspension; the revision."""
        _refuse_attribution(by, reason)
        return set_suspended(self, subject, False, by, reason)

    def suspensions(self) -> list[Suspension]:
        """Who is suspended, by whom, why and since when."""
        return suspensions(self)

    def boundary(self, target: str, *entries: str, by: str | None = None, reason: str | None = None) -> int:
        """Draw the boundary of a type (`agent`) or of one subject (`agent:support`), in place of the one that it has; the revision.

        Whatever anyone grants or lends, no session with such a principal passes it. Entries are those of a scope. Exceptions alone admit everything
        else; with positive entries it admits only those.

        >>> engine.boundary("agent", "not can_read_payments customer:*")  # doctest: +SKIP
        """
        _refuse_attribution(by, reason)
        return bound(self, target, entries, by, reason)

    def lift_boundary(self, target: str, *, by: str | None = None, reason: str | None = None) -> int:
        """Lift the boundary of a type or of one subject; the revision."""
        _refuse_attribution(by, reason)
        return lift(self, target, by, reason)

    def boundaries(self) -> dict[str, tuple[str, ...]]:
        """The entries of each boundary, by what it bounds."""
        return dict(control_of(self).boundaries)

    def configure(
        self,
        *,
        require_delegation: Iterable[str] | None = None,
        bind: Mapping[str, Literal["clock"]] | None = None,
        by: str | None = None,
        reason: str | None = None,
    ) -> int:
        """Record settings of the store, each whole in place of what it was; the revision.

        require_delegation: the types of agent that act for others by recorded delegations only. bind: parameters of conditions that are always the
        engine's time, as text (`{"current_time": "clock"}`): whatever a session or a call gives for them does not count, only a tuple's own context
        does.
        """
        _refuse_attribution(by, reason)
        return configure(self, require_delegation, bind, by, reason)

    @property
    def settings(self) -> dict[str, Any]:
        """What `configure` has recorded."""
        return settings(self)

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
            models=len(state.sources),
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


class _LoggedEngine(LoggedChecks, Engine):
    """An engine whose own checks are logged."""


def _refuse_attribution(actor: object, reason: object) -> None:
    """Refuse what cannot be kept with a record."""
    for name, text in (("actor", actor), ("reason", reason)):
        if text is None:
            continue
        if not isinstance(text, str) or not fits(text, ACTOR_BYTES_MAX):
            raise RequestError(f"{name} is a text of at most {ACTOR_BYTES_MAX} bytes (ACTOR_BYTES_MAX)")


def _revision(given: object) -> int:
    if not isinstance(given, int) or isinstance(given, bool):
        raise RequestError("a revision is an integer")
    return given


def _instant(moment: datetime) -> int:
    try:
        return instant_of(moment)
    except RequestError as error:
        raise RequestError("time is a datetime with an offset", code="invalid_request") from error


def _list(items: Iterable[Triple | Tuple], what: str) -> list[Triple | Tuple]:
    if isinstance(items, (str, bytes, Tuple)) or not isinstance(items, Iterable):
        raise RequestError(f"`{what}` is not a list of tuples")
    return list(items)
