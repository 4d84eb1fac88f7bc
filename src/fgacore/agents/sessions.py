"""Sessions: the use of a delegation, or of an agent's own authority, by one task. The questions are inherited from the compiled runtime."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fgacore.errors import RequestError, quote
from fgacore.runtime.chains import Chained
from fgacore.runtime.clock import moment_of
from fgacore.runtime.control import AUTHORITIES
from fgacore.runtime.decisions import DecisionRing
from fgacore.runtime.lists import Lists
from fgacore.runtime.reach import Reach, reach
from fgacore.runtime.scopes import read_scope

from .authority import Holder, delegate, known, model_of, task_of, until

if TYPE_CHECKING:
    from fgacore.results import Change

__all__ = ["Session", "claimed_session", "open_session"]


class Opener(Holder, Lists):
    """What is needed of an engine."""

    _ring: DecisionRing


class Session(Chained):
    """Questions asked in the name of a chain of principals: whoever lent authority first, each agent that it was passed on to, the asking agent last.

    Made by `Engine.session`. Thread-safe, and cheap enough to be made for each task. Nothing is copied into it: every answer is of what holds then.
    """

    @property
    def subject(self) -> str:
        """The agent that asks."""
        return self.principals[-1]

    @property
    def delegation(self) -> str | None:
        """The id of the recorded delegation that it uses, or None."""
        return self._delegations[-1]

    @property
    def scope(self) -> tuple[str, ...] | None:
        """The entries that it was made with, or those of its delegation; None: it has none and is not narrowed."""
        if self._scopes[-1] is not None or self.delegation is None:
            return self._scopes[-1]
        found = self._state.control.delegations.get(self.delegation)
        return None if found is None else found.scope

    @property
    def expires_at(self) -> datetime | None:
        """When it is over at the latest, by the chain as it is now; None: when it is revoked."""
        ends = [] if self._expires is None else [self._expires]
        for id in self._delegations:
            found = None if id is None else self._state.control.delegations.get(id)
            if found is not None and found.expires is not None:
                ends.append(found.expires)
        return moment_of(min(ends)) if ends else None

    def __repr__(self) -> str:
        return f"<fgacore.Session {' > '.join(self.principals)}>"

    def __reduce__(self) -> Any:
        raise TypeError("a session belongs to its engine: make another one from the delegation's id")

    def reach(self, *, context: Mapping[str, Any] | None = None, at_least: int | None = None) -> Reach:
        """All that the session may: the exact set of objects for every type and relation, at one revision. Not logged."""
        return reach(self, " > ".join(self.principals), context=context, at_least=at_least, chain=self._holders())

    def _holders(self) -> tuple[str, ...]:
        """The principals that must hold what is asked."""
        return tuple(principal for principal, holds in zip(self.principals, self._holds, strict=True) if holds)

    def name_parts(self, text: str, what: str) -> tuple[str, str | None, bool, str]:
        """As the engine's."""
        return self._engine.name_parts(text, what)

    def changes(self, since: int = 0) -> Iterator[Change]:
        """As the engine's."""
        changes: Iterator[Change] = self._engine.changes(since)  # type: ignore[attr-defined]
        return changes

    def delegate(
        self,
        *,
        to: str,
        scope: Iterable[str],
        expires_in: float | None = None,
        task: str | None = None,
        redelegations: int = 0,
        authority: str = "both",
        reason: str | None = None,
    ) -> str:
        """Pass on what the session may, or a part of it, to another agent; the new delegation's id.

        Of a session that uses a recorded delegation, as far as that may be passed on: `redelegations` falls with each link. Of an autonomous session
        it begins with the agent's own authority. Whatever bounds this session bounds what comes of it, now and later. RequestError
        `invalid_delegation`.
        """
        engine: Any = self._engine
        if self._unrecorded:
            raise RequestError(
                "nothing is recorded of whom this session acts for: only a recorded delegation can be passed on", code="invalid_delegation"
            )
        return delegate(
            engine,
            by=self.subject,
            to=to,
            scope=scope,
            within=self._scopes[-1],
            expires_in=expires_in,
            ends=self._expires,
            task=task,
            redelegations=redelegations,
            authority=authority,
            reason=reason,
            parent=self.delegation,
        )


def open_session(
    engine: Any,
    who: str,
    *,
    on_behalf_of: str | None,
    scope: Iterable[str] | None,
    expires_in: float | None,
    task: str | None,
    authority: str | None,
    context: Mapping[str, Any] | None,
    context_keys: Iterable[str],
) -> Session:
    """A session of a recorded delegation, by its id; or of an agent, on somebody's behalf or autonomous."""
    model = model_of(engine)
    given: object = who
    if not isinstance(given, str):
        raise RequestError("a session is of a subject, or of a delegation by its id", code="invalid_principal")
    who = str.__str__(who)
    entries = None if scope is None else read_scope(scope, model, engine, "scope")
    ends = until(engine._state.moment(), expires_in)
    own, keys = _contexts(engine, context, context_keys)
    task = task_of(task)
    if ":" not in who:
        if on_behalf_of is not None or task is not None or authority is not None:
            raise RequestError("on whose behalf, the task and the authority stand in the delegation", code="invalid_delegation")
        chain = engine._state.control.chain(who)
        if chain is None:
            raise RequestError(f"{quote(who)} is neither a subject nor the id of a delegation", code="delegation_not_found")
        principals = (chain[0].by, *(each.to for each in chain))
        holds = (True, *(each.authority == "both" for each in chain))
        links = (None, *(each.id for each in chain))
        scopes = (*[None] * len(chain), entries)
        return Session(engine, engine._ring, principals, holds, links, scopes, ends, chain[-1].task, own, keys)
    subject = known(engine, model, who, "the asking agent")
    if on_behalf_of is None:
        if authority not in (None, "both"):
            raise RequestError("authority is lent by somebody: the session says on whose behalf it is", code="invalid_delegation")
        return Session(engine, engine._ring, (subject,), (True,), (None,), (entries,), ends, task, own, keys)
    if entries is None:
        raise RequestError("a session on somebody's behalf has a scope", code="invalid_scope")
    if authority is not None and authority not in AUTHORITIES:
        raise RequestError("authority is `both` or `lent`", code="invalid_delegation")
    return _unrecorded(
        engine, (known(engine, model, on_behalf_of, "on whose behalf it is"), subject), authority != "lent", entries, ends, task, own, keys
    )


def claimed_session(
    engine: Any,
    principals: tuple[str, ...],
    scope: Iterable[str],
    expires_at: float | None,
    *,
    expires_in: float | None,
    task: str | None,
    context: Mapping[str, Any] | None,
    context_keys: Iterable[str],
) -> Session:
    """A session of a chain that verified claims name. All of it must hold what is asked."""
    model = model_of(engine)
    principals = tuple(known(engine, model, principal, "a principal of the claims") for principal in principals)
    entries = read_scope(scope, model, engine, "scope")
    ends = until(engine._state.moment(), expires_in)
    if expires_at is not None:
        claimed = round(expires_at * 1_000_000)
        ends = claimed if ends is None else min(ends, claimed)
    own, keys = _contexts(engine, context, context_keys)
    return _unrecorded(engine, principals, True, entries, ends, task_of(task), own, keys)


def _unrecorded(
    engine: Any,
    principals: tuple[str, ...],
    holds: bool,
    entries: tuple[str, ...],
    ends: int | None,
    task: str | None,
    own: dict[str, Any] | None,
    keys: frozenset[str],
) -> Session:
    if len(set(principals)) != len(principals):
        raise RequestError("a principal is in the chain twice", code="invalid_delegation")
    nobody = (None,) * len(principals)
    for principal in principals[1:]:
        type = principal.partition(":")[0]
        if type in engine._state.control.require_delegation:
            raise RequestError(f"the store has {quote(type)} act for others by a recorded delegation only", code="delegation_required")
    return Session(
        engine, engine._ring, principals, (True, *(holds,) * (len(principals) - 1)), nobody, (*nobody[1:], entries), ends, task, own, keys,
        len(principals) > 1,
    )  # fmt: skip


def _contexts(engine: Any, context: Mapping[str, Any] | None, context_keys: Iterable[str]) -> tuple[dict[str, Any] | None, frozenset[str]]:
    """The session's own context, ours from here on, and the keys that a call may give."""
    if isinstance(context_keys, (str, bytes)) or not isinstance(context_keys, Iterable):
        raise RequestError("context_keys is a list of texts")
    names = list(context_keys)
    if context is not None and not isinstance(context, Mapping):
        raise RequestError("a context is a mapping", code="invalid_context")
    try:
        own = None if context is None else deepcopy(dict(context))
    except Exception as error:  # a mapping's own code
        raise RequestError("a context that cannot be read", code="invalid_context") from error
    if not all(isinstance(name, str) for name in [*names, *(own or ())]):
        raise RequestError("the keys of a context are texts", code="invalid_context")
    keys = frozenset(str.__str__(name) for name in names)
    own = None if own is None else {str.__str__(name): value for name, value in own.items()}
    for name in engine._state.control.bind:
        if name in keys or name in (own or ()):
            raise RequestError(f"the store binds {quote(name)} to its clock: no session gives it", code="context_refused")
    for name in keys.intersection(own or ()):
        raise RequestError(f"the session itself gives {quote(name)}: no call does", code="context_refused")
    return own, keys
