"""Reading the decision log: decisions one by one, with the sessions and contexts that they refer to, and with names where a store is given."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from fgacore.errors import RequestError, StoreError, quote
from fgacore.formats import DECISION_CODES
from fgacore.kernel.names import Names
from fgacore.limits import CALENDAR_SECONDS_MAX
from fgacore.runtime.clock import moment_of

from .files import Chain, Decided, chains, existing, opened, read_chain, records
from .place import StoreName, state_of

__all__ = ["Logged", "LoggedDecision", "logged", "read"]

_CODES = {number: code for code, number in DECISION_CODES.items()}
_NONE = 0xFFFFFFFF
_INSTANT_FIRST, _INSTANT_END = -62_135_596_800_000_000, (CALENDAR_SECONDS_MAX + 1) * 1_000_000  # of the years 1 to 9999: what a datetime can be


@dataclass(frozen=True, slots=True)
class LoggedDecision:
    """One decision as it was made. object: its name, or `TYPE#ID` where the store does not know it any more (another generation). code, principal and
    delegation: what denied, and where in the chain. session: all that the log says of it. context: what the call gave, None where it gave none or
    only its digest is kept.
    """

    chain: str
    sequence: int
    time: datetime
    revision: int
    principals: tuple[str, ...]
    relation: str
    object: str
    allowed: bool
    code: str
    principal: str | None
    delegation: str | None
    task: str | None
    context: dict[str, Any] | None
    session: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "chain": self.chain,
            "sequence": self.sequence,
            "time": self.time.isoformat(),
            "revision": self.revision,
            "principals": list(self.principals),
            "relation": self.relation,
            "object": self.object,
            "allowed": self.allowed,
            "code": self.code,
            "principal": self.principal,
            "delegation": self.delegation,
            "task": self.task,
            "context": self.context,
            "model": self.session.get("model"),
            "policy": self.session.get("policy"),
        }


class Logged(NamedTuple):
    """A record of decisions with what it refers to."""

    chain: str
    decided: Decided
    session: dict[str, Any]  # with its own context as a map, where that is kept
    session_context: dict[str, Any] | None  # the record of it: `context` is missing where only the digest is kept
    context: dict[str, Any] | None  # likewise, of the call


def logged(chain: Chain, store_id: bytes | None = None) -> Iterator[list[Logged]]:
    """The decisions of a chain, block by block. StoreError `corrupt` where it was changed."""
    sessions: dict[int, dict[str, Any]] = {}
    contexts: dict[int, dict[str, Any]] = {}
    name, new = chain.name, tuple.__new__  # as Logged(...), without a frame of Python for each
    for block in read_chain(chain, store_id):
        found = []
        try:
            for kind, _, value in records(block.payload):
                if kind == "session":
                    sessions[value[0]] = _session(value[1])
                elif kind == "context":
                    contexts[value[0]] = _context(value[1])
                elif kind == "decisions":
                    session = sessions[value.session]
                    own = None if session["context"] is None else contexts[session["context"]]
                    if not _INSTANT_FIRST <= value.instant < _INSTANT_END:
                        raise ValueError
                    found.append(new(Logged, (name, value, session, own, contexts[value.context] if value.context else None)))
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise StoreError(f"damaged: the decisions of {chain.name} in segment {block.segment}", code="corrupt") from error
        yield found
    if chain.problem is not None:
        raise StoreError(f"damaged: the decisions of {chain.name}: {chain.problem}", code="corrupt")


def _session(value: Any) -> dict[str, Any]:
    """The description of a session. ValueError where it is none."""
    match value:
        case {"principals": [*principals], "holds": [*holds], "delegations": [*delegations], "scopes": [*scopes], "expires": None | int() as expires,
              "task": None | str(), "context": None | int(), "context_keys": [*keys], "unrecorded": bool(), "controlled": bool(), "apart": bool(),
              "model": str(), "policy": int(), "generation": int(), "semantics": int()}:  # fmt: skip
            if (
                len(principals) == len(holds) == len(delegations) == len(scopes)
                and all(isinstance(text, str) for text in (*principals, *keys, *(id for id in delegations if id is not None)))
                and all(isinstance(each, bool) for each in holds)
                and all(scope is None or (isinstance(scope, list) and all(isinstance(entry, str) for entry in scope)) for scope in scopes)
                and (expires is None or -(2**63) <= expires < 2**63)
            ):
                return dict(value)
    raise ValueError("no session is described")


def _context(value: Any) -> dict[str, Any]:
    """The record of a context. ValueError where it is none."""
    match value:
        case {"digest": bytes()}:
            if isinstance(value.get("context", {}), dict):
                return dict(value)
    raise ValueError("no context")


def read(
    store: StoreName,
    directory: str | os.PathLike[str] | None = None,
    *,
    subject: str | None = None,
    object: str | None = None,
    relation: str | None = None,
    code: str | None = None,
    delegation: str | None = None,
    task: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Generator[LoggedDecision, None, None]:
    """The decisions that a store's sessions have made, chain by chain, each in the order in which they were written. store: its path or URL, or an
    engine that has it open. directory: where its decisions lie, where that is not the default.

    subject: a principal of the chain. code: one of those of a Decision, or `denied` for all that deny. delegation: one of the chain's. since, until:
    when it was decided, from the first to before the second. StoreError `corrupt` where the log was changed.
    """
    if code is not None and code != "denied" and code not in DECISION_CODES:
        raise RequestError(f"no decision has the code {quote(code)}: there are {', '.join(DECISION_CODES)}, and `denied`")
    times: tuple[tuple[str, Any], ...] = (("since", since), ("until", until))
    for name, time in times:
        if time is not None and (not isinstance(time, datetime) or time.utcoffset() is None):
            raise RequestError(f"{name} is a datetime with an offset")
    return _read(store, directory, _Wanted(subject, object, relation, code, delegation, task, since, until))


@dataclass(frozen=True, slots=True)
class _Wanted:
    subject: str | None
    object: str | None
    relation: str | None
    code: str | None
    delegation: str | None
    task: str | None
    since: datetime | None
    until: datetime | None

    def session(self, each: Logged) -> bool:
        """Whether decisions of this record can be wanted at all."""
        session, time = each.session, moment_of(each.decided.instant)
        return (
            (self.subject is None or self.subject in session["principals"])
            and (self.delegation is None or self.delegation in session["delegations"])
            and (self.task is None or self.task == session["task"])
            and (self.since is None or time >= self.since)
            and (self.until is None or time < self.until)
        )

    def decision(self, relation: str, object: str, code: str) -> bool:
        return (
            (self.object is None or self.object == object)
            and (self.relation is None or self.relation == relation)
            and (self.code is None or self.code == code or (self.code == "denied" and code != "allowed"))
        )


def _read(store: StoreName, directory: str | os.PathLike[str] | None, wanted: _Wanted) -> Generator[LoggedDecision, None, None]:
    with state_of(store, directory) as (state, store_id, place):
        for chain in chains(place if directory is None else existing(place)):
            for block in logged(chain, store_id):
                names, types, relations = state.newest.names, list(state.symbols.types), list(state.symbols.relations)
                for each in block:
                    if wanted.session(each):
                        yield from _told(each, wanted, names, types, relations)


def _told(each: Logged, wanted: _Wanted, names: Names, types: list[str], relations: list[str]) -> Iterator[LoggedDecision]:
    decided, session = each.decided, each.session
    try:
        whole = opened(decided)
        said_types = [types[type] for type in whole.types.tolist()]
        said_relations = [relations[relation] for relation in whole.relations.tolist()]
    except (ValueError, IndexError) as error:
        raise StoreError(f"damaged: decision {decided.sequence} of {each.chain}", code="corrupt") from error
    same = names.generation == session["generation"]
    texts = iter(whole.texts)
    principals = tuple(session["principals"])
    time = moment_of(decided.instant)
    context = None if each.context is None else each.context.get("context")
    for type, number, relation, id, code in zip(
        said_types, whole.types.tolist(), said_relations, whole.ids.tolist(), whole.codes.tolist(), strict=True
    ):
        known = next(texts) if id == _NONE else names.text(number, id) if same else None
        object = known or f"{type}#{id}"
        said, link = _CODES.get(code & 15, "unknown"), code >> 4
        if not wanted.decision(relation, object, said):
            continue
        denied = code != 0 and said != "log_failed" and link < len(principals)
        yield LoggedDecision(
            chain=each.chain,
            sequence=decided.sequence,
            time=time,
            revision=decided.revision,
            principals=principals,
            relation=relation,
            object=object,
            allowed=code == 0,
            code=said,
            principal=principals[link] if denied else None,
            delegation=session["delegations"][link] if denied else None,
            task=session["task"],
            context=context,
            session=session,
        )
