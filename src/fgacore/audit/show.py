"""Reading the decision log: decisions one by one, with the sessions and contexts that they refer to, and with names where a store is given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from fgacore.errors import StoreError
from fgacore.formats import DECISION_CODES
from fgacore.runtime.clock import moment_of
from fgacore.runtime.state import State

from .files import Chain, Decided, chains, opened, read_chain, records

__all__ = ["Filter", "LoggedDecision", "Store", "logged", "read"]

_CODES = {number: code for code, number in DECISION_CODES.items()}
_NONE = 0xFFFFFFFF


class Store(Protocol):
    """What is needed of an engine to say names."""

    @property
    def _state(self) -> State: ...


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


@dataclass(frozen=True, slots=True)
class Filter:
    """Which decisions are wanted; None: any."""

    subject: str | None = None  # a principal of the chain
    object: str | None = None
    relation: str | None = None
    code: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def wants(self, each: LoggedDecision) -> bool:
        return (
            (self.subject is None or self.subject in each.principals)
            and (self.object is None or self.object == each.object)
            and (self.relation is None or self.relation == each.relation)
            and (self.code is None or self.code == each.code or (self.code == "denied" and not each.allowed))
            and (self.since is None or each.time >= self.since)
            and (self.until is None or each.time < self.until)
        )


@dataclass(slots=True)
class Logged:
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
    for block in read_chain(chain, store_id):
        found = []
        try:
            for kind, _, value in records(block.payload):
                if kind == "session":
                    sessions[value[0]] = value[1]
                elif kind == "context":
                    contexts[value[0]] = value[1]
                elif kind == "decisions":
                    session = sessions[value.session]
                    own = None if session["context"] is None else contexts[session["context"]]
                    found.append(Logged(chain.name, value, session, own, contexts[value.context] if value.context else None))
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"damaged: the decisions of {chain.name} in segment {block.segment}", code="corrupt") from error
        yield found
    if chain.problem is not None:
        raise StoreError(f"damaged: the decisions of {chain.name}: {chain.problem}", code="corrupt")


def read(directory: Path, store: Store, wanted: Filter | None = None) -> Iterator[LoggedDecision]:
    """The decisions of a log that are wanted, chain by chain, in the order in which they were made."""
    wanted = wanted or Filter()
    for chain in chains(directory):
        for block in logged(chain):
            for each in block:
                yield from (decision for decision in _told(each, store) if wanted.wants(decision))


def _told(each: Logged, store: Store) -> Iterator[LoggedDecision]:
    symbols, names = store._state.symbols, store._state.newest.names
    types, relations = list(symbols.types), list(symbols.relations)
    decided, session, whole = each.decided, each.session, opened(each.decided)
    same = names.generation == session["generation"]
    texts = iter(whole.texts)
    principals = tuple(session["principals"])
    time = moment_of(decided.instant)
    for type, relation, id, code in zip(whole.types.tolist(), whole.relations.tolist(), whole.ids.tolist(), whole.codes.tolist(), strict=True):
        known = next(texts) if id == _NONE else names.text(type, id) if same else None
        said, link = _CODES.get(code & 15, "unknown"), code >> 4
        denied = code != 0 and said != "log_failed"
        yield LoggedDecision(
            each.chain,
            decided.sequence,
            time,
            decided.revision,
            principals,
            relations[relation],
            known or f"{types[type]}#{id}",
            code == 0,
            said,
            principals[link] if denied and link < len(principals) else None,
            session["delegations"][link] if denied and link < len(principals) else None,
            session["task"],
            None if each.context is None else each.context.get("context"),
            session,
        )
