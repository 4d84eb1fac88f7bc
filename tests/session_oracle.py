"""What a session may do, in plain Python over the oracle: the definition that every door of a session is compared with.

Like the oracle it is written to be read and shares no code with the engine. A chain has principals, the root first and the asking agent last.
At each question, over the tuples, the model, the records and the instant of one moment: the root holds what is asked; so does each later principal,
unless what it was handed was lent; the scope of each link admits it, and what the link was narrowed to when it was handed on; every boundary of every
principal admits it; nothing in the chain is revoked, suspended or over. `SessionOracle.decide` gives what `decide` must say, `Verdict.answer` what
`check` must.

Entries are read here by a reader of our own: `["not "]RELATION TYPE:ID|TYPE:*[ where RELATION SUBJECT]`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from fgacore.errors import RequestError
from fgacore.language.model import Model
from oracle import Oracle, Unanswerable

__all__ = ["Asking", "Control", "Entry", "Recorded", "SessionOracle", "Verdict", "entries_of", "known_to"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Entry:
    """One line of a scope or of a boundary. `name` is an object, or `TYPE:*`."""

    exception: bool
    relation: str
    name: str
    where: tuple[str, str] | None  # relation, subject

    @property
    def type(self) -> str:
        return self.name.partition(":")[0]

    def names(self, relation: str, object: str) -> bool:
        """Whether it is about this relation and object, its `where` aside."""
        return relation == self.relation and (object == self.name or (self.name.endswith(":*") and object.partition(":")[0] == self.type))


def entries_of(texts: Iterable[str]) -> tuple[Entry, ...]:
    return tuple(_entry(text) for text in texts)


def _entry(text: str) -> Entry:
    words = text.split(" ")
    exception = words[0] == "not" and len(words) in (3, 6)
    words = words[exception:]
    assert len(words) == 2 or (len(words) == 5 and words[2] == "where"), text
    return Entry(exception, words[0], words[1], (words[3], words[4]) if len(words) == 5 else None)


def known_to(model: Model, texts: Iterable[str]) -> bool:
    """Whether the model has every type and relation that these entries name: only such entries can be given."""

    def has(type_name: str, relation: str | None) -> bool:
        return type_name in model.types and (relation is None or relation in model.types[type_name].relations)

    def subject(text: str) -> bool:
        name, _, relation = text.partition("#")
        return has(name.partition(":")[0], relation or None)

    return all(
        has(entry.type, entry.relation) and (entry.where is None or (has(entry.type, entry.where[0]) and subject(entry.where[1])))
        for entry in entries_of(texts)
    )


@dataclass(frozen=True)
class Recorded:
    """A delegation. `within` is what the session was narrowed to that handed it on. `expires_at`: microseconds since the epoch, or None."""

    id: str
    by: str
    to: str
    scope: tuple[str, ...]
    authority: str = "both"
    redelegations: int = 0
    parent: str | None = None
    within: tuple[str, ...] | None = None
    expires_at: int | None = None
    revoked: bool = False


@dataclass
class Control:
    """What is recorded about agents at one revision."""

    delegations: dict[str, Recorded] = field(default_factory=dict)
    suspended: set[str] = field(default_factory=set)
    boundaries: dict[str, tuple[str, ...]] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    clocks: frozenset[str] = frozenset()  # parameters that are bound to the clock
    gone: dict[str, Recorded] = field(default_factory=dict)  # delegations that were over, and that a compaction dropped

    def copy(self) -> Control:
        return Control(dict(self.delegations), set(self.suspended), dict(self.boundaries), self.required, self.clocks, dict(self.gone))

    def known(self, id: str) -> Recorded:
        return self.delegations.get(id) or self.gone[id]

    def chain(self, id: str) -> list[Recorded]:
        """The delegations that this one hangs on, the root's first, itself last."""
        links = [self.known(id)]
        while (parent := links[0].parent) is not None:
            links.insert(0, self.known(parent))
        return links

    def is_active(self, id: str, at: int) -> bool:
        """Neither it nor one above it is revoked or over, and no principal of its chain is suspended."""
        chain = self.chain(id)
        return not self.is_over(id, at) and not self.suspended & {chain[0].by, *(link.to for link in chain)}

    def is_over(self, id: str, at: int) -> bool:
        """It, or one above it, is revoked, expired or gone: for good."""
        return any(link.id in self.gone or link.revoked or (link.expires_at is not None and at >= link.expires_at) for link in self.chain(id))


@dataclass(frozen=True)
class Asking:
    """A session: of a delegation (`delegation`), unrecorded (`subject`, `on_behalf_of`) or autonomous (`subject`)."""

    delegation: str | None = None
    subject: str | None = None
    on_behalf_of: str | None = None
    scope: tuple[str, ...] | None = None
    expires_at: int | None = None
    authority: str = "both"
    context: Mapping[str, Any] | None = None
    context_keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """What a decision must be. `principals`: who may be named for a denial. `errors`: codes of what failed, where it is undetermined.

    `loose` where the text says no more than that it is not allowed: a principal of a type that the model has lost.
    """

    code: str
    principals: frozenset[str] = frozenset()
    errors: frozenset[str] = frozenset()
    loose: bool = False

    @property
    def allowed(self) -> bool:
        return self.code == "allowed"

    @property
    def undetermined(self) -> bool:
        return self.code == "undetermined"


ALLOWED = Verdict("allowed")


@dataclass(frozen=True)
class _Link:
    """One principal: whether it must hold what is asked, and how it came into the chain."""

    principal: str
    holds: bool
    scopes: tuple[tuple[Entry, ...], ...] = ()
    within: tuple[Entry, ...] | None = None  # what the session before it was narrowed to
    expires_at: int | None = None
    revoked: bool = False
    gone: bool = False


@dataclass(frozen=True)
class SessionOracle:
    """The answers of sessions over one model, the tuples, and what is recorded, at one instant (microseconds since the epoch)."""

    oracle: Oracle
    control: Control
    at: int

    def decide(self, session: Asking, relation: str, object: str, context: Mapping[str, Any] | None = None) -> Verdict:
        """What the session may; the first reason against it, in the order in which denials have their code."""
        surroundings = self.surroundings(session, context)
        links = self.links(session)
        for link in links:  # one reason, of two codes
            if link.gone or link.revoked:
                return Verdict("delegation_not_found" if link.gone else "delegation_revoked", frozenset({link.principal}))
        for code, at_fault in (
            ("suspended", lambda link: link.principal in self.control.suspended),
            ("delegation_required", lambda link: self._unrecorded(session) and link is links[-1]),
            ("expired", lambda link: link.expires_at is not None and self.at >= link.expires_at),
            ("outside_boundary", lambda link: not self._bounded(link.principal, relation, object, surroundings)),
        ):
            for link in links:
                if at_fault(link):
                    return Verdict(code, frozenset({link.principal}))
        if (named := self._out_of_scope(links, relation, object, surroundings)) is not None:
            return Verdict("out_of_scope", named)
        return self._held(links, relation, object, surroundings)

    def surroundings(self, session: Asking, context: Mapping[str, Any] | None) -> dict[str, Any]:
        """The context of a question. A key of the session's own is not the caller's to give, and the engine's clock wins over both."""
        clock = EPOCH + timedelta(microseconds=self.at)
        return {**(context or {}), **(session.context or {}), **dict.fromkeys(sorted(self.control.clocks), clock)}

    def links(self, session: Asking) -> list[_Link]:
        own = () if session.scope is None else (entries_of(session.scope),)
        if session.delegation is not None:
            chain = self.control.chain(session.delegation)
            links = [_Link(chain[0].by, True)]
            for record in chain:
                within = None if record.within is None else entries_of(record.within)
                scopes = (entries_of(record.scope),)
                links.append(
                    _Link(record.to, record.authority == "both", scopes, within, record.expires_at, record.revoked, record.id in self.control.gone)
                )
            ends = [end for end in (links[-1].expires_at, session.expires_at) if end is not None]
            links[-1] = replace(links[-1], scopes=links[-1].scopes + own, expires_at=min(ends, default=None))
            return links
        assert session.subject is not None
        if session.on_behalf_of is None:
            return [_Link(session.subject, True, own, None, session.expires_at)]
        return [_Link(session.on_behalf_of, True), _Link(session.subject, session.authority == "both", own, None, session.expires_at)]

    def _unrecorded(self, session: Asking) -> bool:
        """Whether it is for somebody without a record, by an agent of a type that must have one."""
        return session.on_behalf_of is not None and str(session.subject).partition(":")[0] in self.control.required

    def _bounded(self, principal: str, relation: str, object: str, context: Mapping[str, Any]) -> bool:
        for target in (principal.partition(":")[0], principal):
            entries = entries_of(self.control.boundaries.get(target, ()))
            if entries and not self._admits(entries, relation, object, context, everything=all(entry.exception for entry in entries)):
                return False
        return True

    def _out_of_scope(self, links: Sequence[_Link], relation: str, object: str, context: Mapping[str, Any]) -> frozenset[str] | None:
        """Who may be named where a scope does not admit it. What a session was narrowed to when it handed on is its own, and part of what it gave."""

        def first(faults: Sequence[bool]) -> str | None:
            return next((link.principal for link, fault in zip(links, faults, strict=True) if fault), None)

        own = [any(not self._admits(scope, relation, object, context) for scope in link.scopes) for link in links]
        within = [link.within is not None and not self._admits(link.within, relation, object, context) for link in links]
        taken = first([fault or inner for fault, inner in zip(own, within, strict=True)])
        given = first([fault or inner for fault, inner in zip(own, [*within[1:], False], strict=True)])
        named = frozenset(principal for principal in (taken, given) if principal is not None)
        return named or None

    def _admits(self, entries: Sequence[Entry], relation: str, object: str, context: Mapping[str, Any], *, everything: bool = False) -> bool:
        """Some positive entry matches, and no exception does. A `where` without an answer helps neither: the one admits nothing, the other denies."""
        positive = everything
        for entry in entries:
            if entry.names(relation, object):
                there = self._where(entry, object, context)
                if entry.exception and there is not False:
                    return False
                positive = positive or (not entry.exception and there is True)
        return positive

    def _where(self, entry: Entry, object: str, context: Mapping[str, Any]) -> bool | None:
        """None: it cannot be evaluated."""
        if entry.where is None:
            return True
        relation, subject = entry.where
        try:
            return self.oracle.check(subject, relation, object, context, (), self.at)
        except RequestError:
            return None

    def _held(self, links: Sequence[_Link], relation: str, object: str, context: Mapping[str, Any]) -> Verdict:
        """All must hold it: any that does not denies, else any that cannot be told is an error."""
        failed: Verdict | None = None
        lost = False
        for link in links:
            if not link.holds:
                continue
            try:
                if not self.oracle.check(link.principal, relation, object, context, (), self.at):
                    return Verdict("not_held", frozenset({link.principal}), loose=lost)
            except Unanswerable as error:
                failed = failed or Verdict("undetermined", frozenset({link.principal}), error.codes)
            except RequestError:
                lost = True
        if lost:
            return Verdict("not_held", loose=True)
        return failed or ALLOWED
