"""What agents may be lent, and what bounds them: delegations, suspensions, boundaries and settings, as the records of the log have made them.

A state has one Control; a record changes it in the same step that makes its revision visible, under the state's lock. Payloads are read here and
written by agents/; docs/format.md has their bytes. Nothing is decided here: `chains.pyx` reads it anew whenever it has changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from fgacore.errors import StoreError

__all__ = [
    "AUTHORITIES",
    "BOUND_TO",
    "CONTROL_KINDS",
    "Control",
    "Delegated",
    "Stopped",
    "boundary_payload",
    "control_details",
    "delegated_payload",
    "revoked_payload",
    "stopped_payload",
]

CONTROL_KINDS = frozenset(("delegation", "suspension", "boundary", "setting"))
BOUND_TO = ("clock",)  # what a parameter of a condition can be bound to
AUTHORITIES = ("both", "lent")


class Delegated(NamedTuple):
    """A recorded delegation. Times in microseconds since the epoch."""

    id: str
    by: str
    to: str
    scope: tuple[str, ...]
    within: tuple[str, ...] | None  # the scope of the session that went on with authority of its own; None: none
    authority: str
    task: str | None
    redelegations: int
    parent: str | None
    created: int
    expires: int | None
    reason: str | None
    revision: int
    revoked: bool


class Stopped(NamedTuple):
    """A suspension in force."""

    by: str | None
    reason: str | None
    since: int
    revision: int


class Control:
    """Delegations by id, suspensions by subject, boundaries by what they bound, settings. Changed by `take` alone."""

    def __init__(self) -> None:
        self.revision = 0  # of the newest record of it
        self.delegations: dict[str, Delegated] = {}
        self.suspensions: dict[str, Stopped] = {}
        self.boundaries: dict[str, tuple[str, ...]] = {}
        self.require_delegation: frozenset[str] = frozenset()
        self.bind: dict[str, str] = {}

    def take(self, kind: str, payload: object, revision: int) -> None:
        """Take in a record. StoreError `corrupt` where it is none of its kind."""
        try:
            match kind:
                case "delegation":
                    self._take_delegation(payload, revision)
                case "suspension":
                    self._take_suspension(payload, revision)
                case "boundary":
                    self._take_boundary(payload)
                case "setting":
                    self._take_setting(payload)
                case _:
                    raise ValueError
        except (TypeError, ValueError, KeyError) as error:
            raise StoreError(f"damaged: the shape of a record of a {kind}", code="corrupt") from error
        self.revision = revision

    def _take_delegation(self, payload: object, revision: int) -> None:
        match payload:
            case ["revoked", str(id)]:
                self.delegations[id] = self.delegations[id]._replace(revoked=True)
            case ["made", str(id), str(by), str(to), list() | tuple() as scope, within, str(authority), str() | None as task, int(redelegations),
                  str() | None as parent, int(created), int() | None as expires, str() | None as reason]:  # fmt: skip
                if authority not in AUTHORITIES or id in self.delegations or (parent is not None and parent not in self.delegations):
                    raise ValueError
                self.delegations[id] = Delegated(
                    id, by, to, _texts(scope), None if within is None else _texts(within), authority, task, redelegations, parent, created, expires,
                    reason, revision, False,
                )  # fmt: skip
            case _:
                raise ValueError

    def _take_suspension(self, payload: object, revision: int) -> None:
        match payload:
            case [str(subject), bool(is_stopped), str() | None as by, str() | None as reason, int(since)]:
                if is_stopped:
                    self.suspensions[subject] = Stopped(by, reason, since, revision)
                else:
                    del self.suspensions[subject]
            case _:
                raise ValueError

    def _take_boundary(self, payload: object) -> None:
        match payload:
            case [str(target), None]:
                del self.boundaries[target]
            case [str(target), list() | tuple() as entries]:
                self.boundaries[target] = _texts(entries)
            case _:
                raise ValueError

    def _take_setting(self, payload: object) -> None:
        if not isinstance(payload, Mapping) or not payload or not payload.keys() <= {"require_delegation", "bind"}:
            raise ValueError
        if "require_delegation" in payload:
            self.require_delegation = frozenset(_texts(payload["require_delegation"]))
        if "bind" in payload:
            bind = dict(payload["bind"])
            if not all(isinstance(name, str) and to in BOUND_TO for name, to in bind.items()):
                raise ValueError
            self.bind = bind

    # ---- reading ----

    def chain(self, id: str) -> list[Delegated] | None:
        """A delegation after those above it, the first one first; None where one is not known."""
        chain: list[Delegated] = []
        at: str | None = id
        while at is not None:
            found = self.delegations.get(at)
            if found is None:
                return None
            chain.append(found)
            at = found.parent
        chain.reverse()
        return chain

    def is_over(self, chain: list[Delegated], instant: int) -> bool:
        """Whether one of a chain is revoked, or expired at an instant."""
        return any(each.revoked or (each.expires is not None and instant >= each.expires) for each in chain)

    def is_stopped(self, chain: list[Delegated]) -> bool:
        """Whether a principal of a chain is suspended."""
        return any(each.by in self.suspensions or each.to in self.suspensions for each in chain)

    # ---- as checkpoints and snapshots have it ----

    def records(self, instant: int) -> Iterator[tuple[str, Any]]:
        """(kind, payload) of what still counts at an instant: delegations that are over are not among it."""
        for id, each in self.delegations.items():
            chain = self.chain(id)
            if chain is not None and not self.is_over(chain, instant):
                yield "delegation", delegated_payload(each)
        for subject, stopped in self.suspensions.items():
            yield "suspension", stopped_payload(subject, True, stopped.by, stopped.reason, stopped.since)
        for target, entries in self.boundaries.items():
            yield "boundary", boundary_payload(target, entries)
        if self.require_delegation or self.bind:
            yield "setting", {"require_delegation": sorted(self.require_delegation), "bind": self.bind}

    def dump(self) -> list[Any]:
        """All of it, for a snapshot's meta."""
        return [
            self.revision,
            [list(each) for each in self.delegations.values()],
            [[subject, *stopped] for subject, stopped in self.suspensions.items()],
            [[target, entries] for target, entries in self.boundaries.items()],
            sorted(self.require_delegation),
            self.bind,
        ]

    @classmethod
    def loaded(cls, dumped: Any) -> Control:
        """From what `dump` gave. TypeError or ValueError where it is none."""
        control = cls()
        control.revision, delegations, suspensions, boundaries, types, bind = dumped
        for row in delegations:
            made = Delegated(*row)
            made = made._replace(scope=_texts(made.scope), within=None if made.within is None else _texts(made.within))
            control.delegations[made.id] = made
        control.suspensions = {subject: Stopped(*stopped) for subject, *stopped in suspensions}
        control.boundaries = {target: _texts(entries) for target, entries in boundaries}
        control.require_delegation = frozenset(_texts(types))
        control.bind = dict(bind)
        return control


def delegated_payload(each: Delegated) -> list[Any]:
    """The payload with which a delegation is recorded."""
    within = None if each.within is None else list(each.within)
    return [
        "made", each.id, each.by, each.to, list(each.scope), within, each.authority, each.task, each.redelegations, each.parent, each.created,
        each.expires, each.reason,
    ]  # fmt: skip


def revoked_payload(id: str) -> list[Any]:
    """The payload with which a delegation is ended, and all that hang below it."""
    return ["revoked", id]


def stopped_payload(subject: str, is_stopped: bool, by: str | None, reason: str | None, since: int) -> list[Any]:
    """The payload with which a subject is suspended, or may go on."""
    return [subject, is_stopped, by, reason, since]


def boundary_payload(target: str, entries: tuple[str, ...] | None) -> list[Any]:
    """The payload of a boundary; None lifts it."""
    return [target, None if entries is None else list(entries)]


def control_details(kind: str, payload: Any) -> dict[str, Any]:
    """What a record says, by name: for `changes`."""
    match kind:
        case "delegation" if payload[0] == "revoked":
            return {"revoked": payload[1]}
        case "delegation":
            names = [name for name in Delegated._fields if name not in ("revision", "revoked")]
            return dict(zip(names, payload[1:], strict=True))
        case "suspension":
            return {"subject": payload[0], "suspended": payload[1]}
        case "boundary":
            return {"target": payload[0], "entries": payload[1]}
    return dict(payload)


def _texts(items: Any) -> tuple[str, ...]:
    texts = tuple(items)
    if isinstance(items, str) or not all(isinstance(text, str) for text in texts):
        raise ValueError
    return texts
