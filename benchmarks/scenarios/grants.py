"""Grants that hang on a condition, or that expire: five for each document, as in `direct`, and every question finds one of them.

The kinds differ in what is given to a grant, and in nothing else: whom and what they grant is the same, so that any of them can be asked beside
`plain`. No two grants of a kind have the same context. Whether a condition holds is worked out with Python's own dates, addresses and patterns.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple

from fgacore import Tuple

from .scenario import ObjectList, Scenario
from .shapes import AGENT, VIEWER

__all__ = ["KINDS", "NOW", "Kind", "grants"]

Context = Mapping[str, Any]

QUESTION_COUNT = 400  # of many subjects
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)  # when those who ask say it is
ADDRESS = "10.1.2.3"  # where they say that they are
LATER = datetime(2100, 1, 1, tzinfo=UTC)  # from here on grants expire

MODEL = """model
  schema 1.1
type user
type doc
  relations
    define viewer: [{restrictions}]
"""


class Kind(NamedTuple):
    """What is given to a grant. `condition` is its declaration, empty if there is none; `holds` is given the request's context under the grant's."""

    about: str
    condition: str = ""
    contexts: Callable[[random.Random, int], list[dict[str, Any]]] | None = None  # one for each grant; None: they have none
    request: Context | None = None
    holds: Callable[[Context], bool] = lambda context: True
    expires: bool = False
    declared_only: bool = False  # the condition is one that a grant may have, but none has

    @property
    def declared(self) -> str:
        return self.condition.partition("(")[0].removeprefix("condition ")

    @property
    def name(self) -> str | None:
        """Of the condition that each grant has."""
        return None if self.declared_only else self.declared or None

    @property
    def restrictions(self) -> str:
        if self.declared_only:
            return f"user, user with {self.declared}"
        return f"user with {self.declared}" if self.condition else "user"


def _numbers(chance: random.Random, count: int) -> list[dict[str, Any]]:
    return [{"x": 100 + number // 2 if number % 2 else 99 - number // 2} for number in chance.sample(range(count), count)]


def _times(chance: random.Random, count: int) -> list[dict[str, Any]]:
    """Granted in the last two hours, to the millisecond, for up to two hours: half are over."""
    ages = chance.sample(range(max(7_200_000, count)), count)
    times = [NOW - timedelta(milliseconds=age) for age in ages]
    return [{"grant_time": _text(time), "grant_duration": f"{chance.randrange(1, 120)}m"} for time in times]


def _networks(chance: random.Random, count: int) -> list[dict[str, Any]]:
    """Prefixes of 8 to 16 bits, no two the same text: half of them around the address."""
    found: dict[str, None] = {}
    own = int(ip_address(ADDRESS))
    while len(found) < count:
        free = 32 - chance.randrange(8, 17)
        base = own if chance.random() < 0.5 else chance.getrandbits(32)
        found[f"{ip_address(base >> free << free | chance.getrandbits(free))}/{32 - free}"] = None
    return [{"network": text} for text in found]


def _names(chance: random.Random, count: int) -> list[dict[str, Any]]:
    return [{"name": f"{chance.choice(('agent', 'guest'))}-{number}"} for number in range(count)]


def _text(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


BELOW = "condition below(x: int) { x < 100 }"

KINDS: dict[str, Kind] = {
    "plain": Kind("without a condition"),
    "open": Kind("without one, under a model that knows one", BELOW, declared_only=True),
    "below": Kind("x < 100, x in the request", BELOW, None, {"x": 7}, lambda given: given["x"] < 100),
    "below_own": Kind("x < 100, x in the tuple", BELOW, _numbers, None, lambda given: given["x"] < 100),
    "until": Kind(
        "current_time < grant_time + grant_duration",
        "condition until(current_time: timestamp, grant_time: timestamp, grant_duration: duration) { current_time < grant_time + grant_duration }",
        _times,
        {"current_time": _text(NOW)},
        lambda given: (
            datetime.fromisoformat(given["current_time"])
            < datetime.fromisoformat(given["grant_time"]) + timedelta(minutes=int(given["grant_duration"].removesuffix("m")))
        ),
    ),
    "network": Kind(
        "address.in_cidr(network)",
        "condition inside(address: ipaddress, network: string) { address.in_cidr(network) }",
        _networks,
        {"address": ADDRESS},
        lambda given: ip_address(given["address"]) in ip_network(given["network"], strict=False),
    ),
    "pattern": Kind(
        "name.matches(...), which the library evaluates",
        'condition named(name: string) { name.matches("^agent-[0-9]+$") }',
        _names,
        None,
        lambda given: re.search("^agent-[0-9]+$", given["name"]) is not None,
    ),
    "expires": Kind("without a condition, each until an instant of its own", expires=True),
}


def grants(kind: str, tuple_count: int = 100_000, batch_count: int = 500, seed: int = 41) -> Scenario:
    """Five users hold each document, and the agent holds four documents for each that it asks for. Where conditions can fail, half of them do."""
    given = KINDS[kind]
    chance = random.Random(seed)
    docs = [f"doc:{number}" for number in range(max(20, tuple_count // 5))]
    users = [f"user:{number}" for number in range(max(10, len(docs) // 2))]
    pairs = [(user, doc) for doc in docs for user in chance.sample(users, 5)]
    pairs += [(AGENT, doc) for doc in chance.sample(docs, min(len(docs), 4 * batch_count))]
    chance.shuffle(pairs)

    contexts = given.contexts(random.Random(seed + 1), len(pairs)) if given.contexts else [None] * len(pairs)
    instants = [LATER + timedelta(seconds=number) if given.expires else None for number in range(len(pairs))]
    stored = [
        Tuple(user, VIEWER, doc, given.name, context, expires_at) for (user, doc), context, expires_at in zip(pairs, contexts, instants, strict=True)
    ]
    right = {pair: given.holds({**(given.request or {}), **(context or {})}) for pair, context in zip(pairs, contexts, strict=True)}

    def asked(of_agent: bool, count: int) -> list[tuple[str, str]]:
        """The first so many of them, half of each answer if there are both."""
        by_answer = [[pair for pair in pairs if (pair[0] == AGENT) is of_agent and right[pair] is answer] for answer in (True, False)]
        some = [pair for pool in by_answer for pair in pool[: count // 2 if all(by_answer) else count]]
        chance.shuffle(some)
        return some

    listed, questions = asked(True, batch_count), asked(False, QUESTION_COUNT)
    bare = given.name is None and not given.expires
    return Scenario(
        name=f"grants_{kind}",
        model=MODEL.format(restrictions=given.restrictions) + given.condition + "\n",
        tuples=[(user, VIEWER, doc) for user, doc in pairs] if bare else [],
        grants=[] if bare else stored,
        context=given.request,
        questions=[(user, VIEWER, doc) for user, doc in questions],
        answers=[right[pair] for pair in questions],
        listed=ObjectList(AGENT, VIEWER, [doc for _, doc in listed], [right[pair] for pair in listed]),
    )
