"""Claims into a session's parts: who stands in the chain, which scope entries are admitted, and when all of it ends.

The claims are those of a token that was verified already: no signature, issuer, audience or `nbf` is looked at here. `sub` is the root, `act` the
agent that asks, and an `act` within an `act` whoever acted before it (RFC 8693). That specification lets deciders pass over the earlier actors; here
every one of them stands in the chain, and all must hold. Nothing is guessed: what is malformed or not foreseen by the mapping is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, NamedTuple

from fgacore.errors import LimitError, RequestError, quote
from fgacore.limits import CALENDAR_SECONDS_MAX, CHAIN_PRINCIPALS_MAX, OBJECT_BYTES_MAX

__all__ = ["Claimed", "ClaimsMapping", "read_claims"]

_TEMPLATE = re.compile(r"([^\s:#@*{}]+):([^\s:#*{}]*)\{(\w+)\}([^\s:#*{}]*)", re.ASCII)


class Claimed(NamedTuple):
    """What claims say: the principals, root first and the asking agent last; the scope's entries; seconds since the epoch, or None."""

    principals: tuple[str, ...]
    scope: tuple[str, ...]
    expires_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimsMapping:
    """How the claims of a token become principals and scope entries.

    subject, actor: how a principal is named, such as `user:{sub}` and `agent:{sub}`: a type and an id with one claim in it. `actor` reads the claims
    within `act`. It is None for agents that act in their own name, and then an `act` is refused; where it is a template, an `act` is demanded.
    scopes: the entries that each scope string of the token admits. A string that is not here admits nothing.
    default_scope: the entries for a token without a `scope` claim. None: nothing.

    >>> mapping = ClaimsMapping(subject="user:{sub}", actor="agent:{sub}", scopes={"tickets:read": ["can_read ticket:*"]})
    """

    subject: str
    actor: str | None
    scopes: Mapping[str, Iterable[str]] = field(default_factory=dict)
    default_scope: Iterable[str] | None = None

    def __post_init__(self) -> None:
        _template(self.subject, "subject")
        if self.actor is not None:
            _template(self.actor, "actor")
        given: object = self.scopes
        if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
            raise RequestError("`scopes` of a mapping of claims is a mapping from scope strings to lists of entries")
        kept = {name: _entries(entries, f"the scope {quote(name)} of a mapping of claims") for name, entries in self.scopes.items()}
        object.__setattr__(self, "scopes", MappingProxyType(kept))  # copies: who made the mapping cannot widen it afterwards
        if self.default_scope is not None:
            object.__setattr__(self, "default_scope", _entries(self.default_scope, "`default_scope` of a mapping of claims"))

    @classmethod
    def of(cls, given: ClaimsMapping | Mapping[str, Any]) -> ClaimsMapping:
        """A mapping as it is, or one made of a dict with the same names. RequestError for a name that it does not have, or lacks."""
        if isinstance(given, ClaimsMapping):
            return given
        if not isinstance(given, Mapping):
            raise RequestError("a mapping of claims is a ClaimsMapping, or a dict like one")
        known = [each.name for each in fields(cls)]
        for name in given:
            if name not in known:
                raise RequestError(f"a mapping of claims has no {quote(name)}: it has {', '.join(map(quote, known))}")
        for name in ("subject", "actor"):
            if name not in given:
                raise RequestError(f"a mapping of claims says what its {quote(name)} is")
        return cls(**given)


def read_claims(claims: Mapping[str, Any], mapping: ClaimsMapping | Mapping[str, Any]) -> Claimed:
    """The principals, the scope and the end of what verified claims say, by a mapping (see ClaimsMapping).

    The entries of all known scope strings count together, so an exception of one holds for all. Names are well-formed, and not looked up; entries are
    as the mapping has them. Raises RequestError `invalid_claims` for claims that are missing, malformed or not foreseen, LimitError for actors
    without end.

    >>> read_claims({"sub": "anne", "act": {"sub": "support"}, "scope": "tickets:read"}, mapping)
    Claimed(principals=('user:anne', 'agent:support'), scope=('can_read ticket:*',), expires_at=None)
    """
    mapping = ClaimsMapping.of(mapping)
    if not isinstance(claims, Mapping):
        raise _refusal("claims are a mapping")
    return Claimed(_principals(claims, mapping), _scope(claims, mapping), _expiry(claims))


def _principals(claims: Mapping[str, Any], mapping: ClaimsMapping) -> tuple[str, ...]:
    root = _principal(mapping.subject, claims, "")
    if mapping.actor is None:
        if "act" in claims:
            raise _refusal("the claims have an `act`, and the mapping foresees no actor")
        return (root,)
    if "act" not in claims:
        raise _refusal("the claims have no `act`: nobody says which agent asks")
    actors: list[str] = []  # the newest first, as they lie within each other
    place, inner = "", claims
    while "act" in inner:
        if len(actors) == CHAIN_PRINCIPALS_MAX - 1:
            raise LimitError(f"the claims name more than {CHAIN_PRINCIPALS_MAX} principals (CHAIN_PRINCIPALS_MAX)")
        place, inner = f"{place}act.", inner["act"]
        if not isinstance(inner, Mapping):
            raise _refusal(f"{quote(place[:-1])} is no object")
        actors.append(_principal(mapping.actor, inner, place))
    return (root, *reversed(actors))


def _principal(template: str, claims: Mapping[str, Any], place: str) -> str:
    """A plain name of the template's own type. One claim goes into a template, so no two values of it become one name."""
    type, before, claim, after = _template(template, "subject")
    value = claims.get(claim)
    told = quote(place + claim)
    if value is None:
        raise _refusal(f"the claims have no {told}")
    if not isinstance(value, str):
        raise _refusal(f"{told} is not a text")
    if not value or not value.isprintable() or any(char in value for char in " :#*"):
        raise _refusal(f"{told} is no part of a plain name: {quote(value)}")
    name = f"{type}:{before}{value}{after}"
    if len(name.encode()) > OBJECT_BYTES_MAX:
        raise _refusal(f"{told} makes a name of more than {OBJECT_BYTES_MAX} bytes (OBJECT_BYTES_MAX)")
    return name


def _scope(claims: Mapping[str, Any], mapping: ClaimsMapping) -> tuple[str, ...]:
    if "scope" not in claims:
        return tuple(mapping.default_scope or ())
    given = claims["scope"]
    strings = given.split(" ") if isinstance(given, str) else given  # by spaces alone, as RFC 6749 has it: a tab is part of an unknown string
    if not isinstance(strings, (list, tuple)) or not all(isinstance(each, str) for each in strings):
        raise _refusal("`scope` is neither a text nor a list of texts")
    return tuple(dict.fromkeys(entry for each in strings for entry in mapping.scopes.get(each, ())))


def _expiry(claims: Mapping[str, Any]) -> float | None:
    if "exp" not in claims:
        return None
    given = claims["exp"]
    if isinstance(given, bool) or not isinstance(given, (int, float)) or (isinstance(given, float) and not math.isfinite(given)):
        raise _refusal("`exp` is not a number of seconds")
    if not 0 <= given <= CALENDAR_SECONDS_MAX:
        raise _refusal("`exp` is no time between 1970 and 9999")
    return given


def _template(text: object, what: str) -> tuple[str, str, str, str]:
    """The type, what stands before the claim, its name, and what stands after it."""
    found = _TEMPLATE.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise RequestError(f"the {quote(what)} of a mapping of claims is a type and an id with one claim, as in `user:{{sub}}`: {quote(text)}")
    return found[1], found[2], found[3], found[4]


def _entries(given: object, what: str) -> tuple[str, ...]:
    if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
        raise RequestError(f"{what} is a list of entries")
    kept = tuple(given)
    if not all(isinstance(entry, str) for entry in kept):
        raise RequestError(f"{what} has an entry that is not a text")
    return kept


def _refusal(message: str) -> RequestError:
    return RequestError(message, code="invalid_claims")
