"""What is recorded of agents: who is suspended, what bounds whom, who lends what to whom, and a store's settings for them.

Each is a record of the log like a write, and counts in every process as soon as that process has its revision. What is asked for is checked in the
state that the record meets. Reading the records is runtime/control.py's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from fgacore.errors import RequestError, StoreError, quote
from fgacore.kernel.plan import ModelPlan
from fgacore.limits import CALENDAR_SECONDS_MAX, CHAIN_PRINCIPALS_MAX, TASK_BYTES_MAX
from fgacore.results import Delegation, Suspension
from fgacore.runtime.clock import moment_of
from fgacore.runtime.control import AUTHORITIES, BOUND_TO, Control, Delegated, boundary_payload, delegated_payload, revoked_payload, stopped_payload
from fgacore.runtime.requests import fits
from fgacore.runtime.scopes import read_scope
from fgacore.runtime.state import State
from fgacore.runtime.store import Store
from fgacore.runtime.writes import Writer

__all__ = [
    "Holder",
    "bound",
    "configure",
    "control_of",
    "delegate",
    "delegations",
    "lift",
    "model_of",
    "plain",
    "revoke",
    "set_suspended",
    "settings",
    "suspensions",
    "task_of",
    "until",
]


class Holder(Protocol):
    """What is needed of an engine."""

    _store: Store

    @property
    def _state(self) -> State: ...
    @property
    def _writer(self) -> Writer: ...
    def name_parts(self, text: str, what: str) -> tuple[str, str | None, bool, str]: ...


# ---- what callers give ----


def plain(engine: Holder, given: object, what: str) -> str:
    """A plain subject as a text of our own. RequestError `invalid_principal`."""
    try:
        if not isinstance(given, str):
            raise RequestError("it is not a text")
        text = str.__str__(given)
        _, member, is_wildcard, _ = engine.name_parts(text, "subject")
    except RequestError as error:
        raise RequestError(f"{what} is no plain subject: {error.message}", code="invalid_principal") from None
    if member is not None or is_wildcard:
        raise RequestError(f"{what} is one subject, no userset and no wildcard: {quote(text)}", code="invalid_principal")
    return text


def control_of(engine: Holder) -> Control:
    """What is recorded of agents, of a state that is as new as its store asks for. StoreError `closed`."""
    engine._writer.look()
    if not engine._state.is_open:
        raise StoreError("the engine is closed", code="closed")
    return engine._state.control


def model_of(engine: Holder) -> ModelPlan:
    """The newest model, of a state that is as new as its store asks for."""
    control_of(engine)
    model = engine._state.newest_model
    if model is None:
        raise RequestError("the store has no model yet", code="no_model")
    return model


def known(engine: Holder, model: ModelPlan, given: object, what: str) -> str:
    """A plain subject of a type that the model has."""
    text = plain(engine, given, what)
    type = text.partition(":")[0]
    if type not in model.source.model.types:
        raise RequestError(f"the model has no type {quote(type)}", code="type_not_found")
    return text


def until(instant: int, seconds: object) -> int | None:
    """The instant that lies so many seconds after another; None: there is no end."""
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise RequestError("expires_in is a number of seconds above 0, or None", code="invalid_delegation")
    try:
        span = float.__float__(seconds) if isinstance(seconds, float) else float(int.__index__(seconds))  # of a class of its own it may lie
    except OverflowError:
        span = math.inf
    if not 0 < span < math.inf:
        raise RequestError("expires_in is a number of seconds above 0, or None", code="invalid_delegation")
    if span >= (CALENDAR_SECONDS_MAX * 1_000_000 - instant) / 1_000_000:
        raise RequestError("expires_in ends after the year 9999", code="invalid_delegation")
    return instant + max(1, round(span * 1_000_000))


def task_of(given: object) -> str | None:
    """A task as it is kept."""
    if given is None:
        return None
    if isinstance(given, str) and fits(given, TASK_BYTES_MAX):
        return str.__str__(given)
    raise RequestError(f"the task is a text of at most {TASK_BYTES_MAX} bytes (TASK_BYTES_MAX)")


# ---- suspensions and boundaries ----


def set_suspended(engine: Holder, subject: str, is_stopped: bool, by: str | None, reason: str | None) -> int:
    """Suspend a subject, or let it go on; the revision. Where nothing changes there is no record."""
    subject = plain(engine, subject, "who is suspended")
    state = engine._state
    type = subject.partition(":")[0]
    if is_stopped and type not in state.symbols.types:
        raise RequestError(f"no model of the store has a type {quote(type)}: nobody would be stopped", code="type_not_found")

    def make() -> tuple[Any, Any] | None:
        if (subject in state.control.suspensions) is is_stopped:
            return None
        payload = stopped_payload(subject, is_stopped, by, reason, state.moment())
        return payload, lambda: engine._writer.take_control("suspension", payload)

    return engine._store.record("suspension", make, by, reason)


def suspensions(engine: Holder) -> list[Suspension]:
    """Who is suspended, in the order in which they were."""
    control = control_of(engine)
    return [Suspension(subject, each.by, each.reason, moment_of(each.since), each.revision) for subject, each in list(control.suspensions.items())]


def bound(engine: Holder, target: str, entries: Iterable[str], by: str | None, reason: str | None) -> int:
    """Draw the boundary of a type or of one subject, in place of the one that it has; the revision."""
    model = model_of(engine)
    target = _target(engine, target)
    if target.partition(":")[0] not in model.source.model.types:
        raise RequestError(f"the model has no type {quote(target.partition(':')[0])}", code="type_not_found")
    texts = read_scope(entries, model, engine, "boundary")
    if not texts:
        raise RequestError("a boundary has at least one entry: to have none, lift it", code="invalid_scope")
    return _record_boundary(engine, target, texts, by, reason)


def lift(engine: Holder, target: str, by: str | None, reason: str | None) -> int:
    """Lift the boundary of a type or of one subject; the revision."""
    return _record_boundary(engine, _target(engine, target), None, by, reason)


def _target(engine: Holder, given: object) -> str:
    if isinstance(given, str) and ":" not in given:
        return str.__str__(given)
    return plain(engine, given, "what is bounded")


def _record_boundary(engine: Holder, target: str, texts: tuple[str, ...] | None, by: str | None, reason: str | None) -> int:
    state = engine._state

    def make() -> tuple[Any, Any] | None:
        if state.control.boundaries.get(target) == texts:
            return None
        payload = boundary_payload(target, texts)
        return payload, lambda: engine._writer.take_control("boundary", payload)

    return engine._store.record("boundary", make, by, reason)


# ---- delegations ----


def delegate(
    engine: Holder,
    *,
    by: str,
    to: str,
    scope: Iterable[str],
    within: tuple[str, ...] | None = None,
    expires_in: float | None,
    ends: int | None = None,
    task: str | None,
    redelegations: int,
    authority: str,
    reason: str | None,
    parent: str | None = None,
) -> str:
    """Record a delegation; its id. within, ends: what bounds the session that goes on. RequestError where it may not be."""
    model = model_of(engine)
    by, to = known(engine, model, by, "who delegates"), known(engine, model, to, "who is delegated to")
    if scope is None:
        raise RequestError("a delegation has a scope: what of it is lent", code="invalid_scope")
    texts = read_scope(scope, model, engine, "scope")
    task = task_of(task)
    until(0, expires_in)
    if authority not in AUTHORITIES:
        raise RequestError("authority is `both` or `lent`", code="invalid_delegation")
    passes: object = redelegations
    if isinstance(passes, bool) or not isinstance(passes, int) or not 0 <= passes < CHAIN_PRINCIPALS_MAX:
        raise RequestError(f"redelegations is a number below {CHAIN_PRINCIPALS_MAX} (CHAIN_PRINCIPALS_MAX)", code="invalid_delegation")
    if by == to:
        raise RequestError("nobody delegates to itself", code="invalid_delegation")
    state = engine._state
    id = engine._store.ulids.make()

    def make() -> tuple[Any, Any]:
        instant = state.moment()
        expires = min((each for each in (until(instant, expires_in), ends) if each is not None), default=None)
        _refuse_delegation(state.control, parent, by, to, redelegations, instant, ends)
        made = Delegated(id, by, to, texts, within, authority, task, redelegations, parent, instant, expires, reason, state.revision + 1, False)
        payload = delegated_payload(made)
        return payload, lambda: engine._writer.take_control("delegation", payload)

    engine._store.record("delegation", make, by, reason)
    return id


def _refuse_delegation(control: Control, parent: str | None, by: str, to: str, redelegations: int, instant: int, ends: int | None) -> None:
    """Refuse a delegation that hangs below nothing that lives, or goes on further than it may."""
    chain = [] if parent is None else control.chain(parent)
    if chain is None:
        raise RequestError("the delegation that this one goes on from is not there", code="delegation_not_found")
    for subject in (by, to):
        if subject in control.suspensions:
            raise RequestError(f"{quote(subject)} is suspended", code="invalid_delegation")
    if ends is not None and instant >= ends:
        raise RequestError("the session is over", code="invalid_delegation")
    if not chain:
        return
    if control.is_over(chain, instant) or control.is_stopped(chain):
        raise RequestError("the delegation that this one goes on from is revoked, expired, or of somebody suspended", code="invalid_delegation")
    if redelegations >= chain[-1].redelegations:
        left = chain[-1].redelegations
        why = f"redelegations fall from link to link, and it has {left}" if left else "the delegation may not be passed on: it has no redelegations"
        raise RequestError(why, code="invalid_delegation")
    if to in [chain[0].by, *(each.to for each in chain)]:
        raise RequestError(f"{quote(to)} is in the chain already", code="invalid_delegation")
    if len(chain) + 2 > CHAIN_PRINCIPALS_MAX:
        raise RequestError(f"a chain has at most {CHAIN_PRINCIPALS_MAX} principals (CHAIN_PRINCIPALS_MAX)", code="invalid_delegation")


def revoke(engine: Holder, delegation_id: str, by: str | None, reason: str | None) -> int:
    """End a delegation; the revision. Where it is revoked already there is no record."""
    if not isinstance(delegation_id, str):
        raise RequestError("the id of a delegation is a text", code="delegation_not_found")
    id = str.__str__(delegation_id)
    state = engine._state

    def make() -> tuple[Any, Any] | None:
        found = state.control.delegations.get(id)
        if found is None:
            raise RequestError(f"no delegation {quote(id)}", code="delegation_not_found")
        if found.revoked:
            return None
        payload = revoked_payload(id)
        return payload, lambda: engine._writer.take_control("delegation", payload)

    return engine._store.record("delegation", make, by, reason)


def delegations(engine: Holder, *, by: str | None, to: str | None, active: bool | None) -> list[Delegation]:
    """The recorded delegations, the oldest first."""
    control, state = control_of(engine), engine._state
    with state.lock:
        instant, items = state.moment(), list(control.delegations.values())
        out = []
        for each in items:
            if (by is not None and each.by != by) or (to is not None and each.to != to):
                continue
            chain = control.chain(each.id)
            is_active = chain is not None and not control.is_over(chain, instant) and not control.is_stopped(chain)
            if active is None or is_active is bool(active):
                out.append(_told(each, is_active))
    return out


def _told(each: Delegated, is_active: bool) -> Delegation:
    expires = None if each.expires is None else moment_of(each.expires)
    return Delegation(
        each.id, each.by, each.to, each.scope, each.within, each.authority, each.task, each.redelegations, each.parent, moment_of(each.created),
        expires, each.reason, each.revision, each.revoked, is_active,
    )  # fmt: skip


# ---- settings ----


def configure(engine: Holder, require_delegation: Iterable[str] | None, bind: Mapping[str, str] | None, by: str | None, reason: str | None) -> int:
    """Record settings of the store; the revision."""
    model = model_of(engine)
    payload: dict[str, Any] = {}
    if require_delegation is not None:
        given: object = require_delegation
        if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
            raise RequestError("require_delegation is a list of types")
        types = list(given)
        for type in types:
            if not isinstance(type, str) or type not in model.source.model.types:
                raise RequestError(f"the model has no type {quote(type)}", code="type_not_found")
        payload["require_delegation"] = sorted({str.__str__(type) for type in types})
    if bind is not None:
        bound_to: object = bind
        if not isinstance(bound_to, Mapping) or not all(isinstance(name, str) and name and to in BOUND_TO for name, to in bound_to.items()):
            raise RequestError("bind is a mapping from names of parameters to `clock`")
        payload["bind"] = {str.__str__(name): str.__str__(to) for name, to in bound_to.items()}
    if not payload:
        raise RequestError("there is nothing to configure")

    def make() -> tuple[Any, Any]:
        return payload, lambda: engine._writer.take_control("setting", payload)

    return engine._store.record("setting", make, by, reason)


def settings(engine: Holder) -> dict[str, Any]:
    """What `configure` has recorded."""
    control = control_of(engine)
    return {"require_delegation": sorted(control.require_delegation), "bind": dict(control.bind)}
