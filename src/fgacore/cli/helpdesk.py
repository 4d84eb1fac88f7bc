"""The helpdesk of the demo: the small one from package data with its named decisions, and a large one made from a seed.

It only makes data, and asks nothing: the tests recompute its answers without an engine.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from itertools import count, islice

from fgacore.tuples import Triple, Tuple

__all__ = [
    "AGENT",
    "BOUNDARY",
    "DECISIONS",
    "GRANT",
    "GRANT_DECISIONS",
    "LENT",
    "LOOP",
    "LOOP_TICKETS",
    "MISTAKES",
    "PERSON",
    "REACH",
    "SESSION_DECISIONS",
    "TICKET",
    "Decision",
    "SessionDecision",
    "generated_questions",
    "generated_tuples",
    "model_text",
    "named_tuples",
]

AGENT = "agent:support"

# The large helpdesk. Its tickets, each with notes and messages, take what is left of the tuples asked for.
USER_COUNT = 200
AGENT_COUNT = 50  # other agents, beside `agent:support`
TEAM_COUNT = 40  # a tree in which a team's members belong to the team above it as well
TEAM_WIDTH = 3  # teams right below one
QUEUE_COUNT = 20
CUSTOMER_COUNT = 2_000

AGENT_TEAM = TEAM_COUNT - 1  # a leaf of the tree
AGENT_SHARE = 0.05  # of all tickets are assigned to `agent:support` in person
TEAM_SHARE = 0.15  # are assigned to a team
CONFLICT_SHARE = 0.1  # are closed to somebody; in half of the cases to `agent:support`


@dataclass(frozen=True, slots=True)
class Decision:
    """A question about the small helpdesk with the answer that the story demands, and why."""

    subject: str
    relation: str
    object: str
    allowed: bool
    why: str


DECISIONS = (  # the reasons are short: a table of them fits a terminal of 80 columns
    Decision(AGENT, "can_read", "ticket:47291", True, "assigned to it"),
    Decision(AGENT, "can_update_status", "ticket:47291", True, "assigned to it"),
    Decision(AGENT, "can_read", "ticket:47292", True, "assigned to its team"),
    Decision(AGENT, "can_close", "ticket:47291", False, "for the queue's lead"),
    Decision(AGENT, "can_read", "ticket:47293", False, "a conflict of interest"),
    Decision(AGENT, "can_read", "ticket:50110", False, "somebody else's"),
    Decision(AGENT, "can_update_status", "ticket:50110", False, "somebody else's"),
    Decision(AGENT, "can_read", "note:suspicion", False, "internal"),
    Decision(AGENT, "can_read_payments", "customer:acme", False, "for billing"),
    Decision(AGENT, "can_read", "direct_message:17", False, "it takes no part"),
    Decision("user:lena", "can_read", "note:suspicion", True, "she wrote it"),
    Decision("user:ines", "can_read_payments", "customer:acme", True, "she is in billing"),
    Decision("user:lena", "can_read", "direct_message:17", False, "leads; takes no part"),
)


# One ticket more, for an hour: the clock of the demo is moved over the end of this grant.
GRANT = Tuple(AGENT, "assignee", "ticket:50110", expires_at=datetime(2026, 1, 5, 10, 0, tzinfo=UTC))
GRANT_DECISIONS = (  # each with the time at which it is asked
    (datetime(2026, 1, 5, 9, 0, tzinfo=UTC), Decision(AGENT, "can_read", "ticket:50110", True, "lent until 10:00")),
    (datetime(2026, 1, 5, 10, 0, tzinfo=UTC), Decision(AGENT, "can_read", "ticket:50110", False, "the hour is over")),
)


# One ticket more, for good; and what the agent holds, in numbers of objects, before and after. It holds nothing else.
TICKET: list[Triple] = [("queue:refunds", "queue", "ticket:47294"), (AGENT, "assignee", "ticket:47294")]
REACH: dict[tuple[str, str], tuple[int, int]] = {
    ("team", "member"): (1, 1),
    ("ticket", "assignee"): (3, 4),  # one of them is closed to it: a conflict of interest
    ("ticket", "conflicted"): (1, 1),
    ("ticket", "can_read"): (2, 3),
    ("ticket", "can_update_status"): (2, 3),
}


@dataclass(frozen=True, slots=True)
class SessionDecision:
    """What the agent asks for a person, the code that the story demands, which principal it comes from, and why."""

    relation: str
    object: str
    code: str
    principal: str | None
    why: str


# The founding story. Lena leads the queue, and lends the agent her authority for one refund: generously, and beside grants that should not be there.
PERSON = "user:lena"
MISTAKES: list[Triple] = [
    ("team:leads#member", "billing", "customer:acme"),
    ("team:first-line#member", "billing", "customer:acme"),  # now the agent may read payments, as far as the tuples go
    (AGENT, "assignee", "ticket:61000"),  # of a queue that lena does not lead
]
BOUNDARY = ("agent", "not can_read_payments customer:*")  # whatever anyone grants, or lends
LENT = ("can_read ticket:*", "can_update_status ticket:47291", "can_read note:*", "can_read_payments customer:*")
SESSION_DECISIONS = (
    SessionDecision("can_read", "ticket:47291", "allowed", None, "assigned to it"),
    SessionDecision("can_update_status", "ticket:47291", "allowed", None, "assigned to it"),
    SessionDecision("can_read", "ticket:47292", "allowed", None, "to its team"),
    SessionDecision("can_update_status", "ticket:47292", "out_of_scope", AGENT, "not lent"),
    SessionDecision("can_read", "ticket:50110", "not_held", AGENT, "hers, not its"),
    SessionDecision("can_read", "ticket:61000", "not_held", PERSON, "its, not hers"),
    SessionDecision("can_read", "note:suspicion", "not_held", AGENT, "internal"),
    SessionDecision("can_read_payments", "customer:acme", "outside_boundary", AGENT, "for no agent"),
)

# Its loop: what happens in the middle of it, and what each of its next questions is answered.
LOOP_TICKETS = ("ticket:47291", "ticket:47292", "ticket:47291")
LOOP = (
    ("nothing", "allowed"),
    ("revoke", "delegation_revoked"),
    ("delegate", "allowed"),
    ("suspend", "suspended"),
    ("resume", "allowed"),
)


def model_text() -> str:
    """The model of both helpdesks, in OpenFGA's language."""
    return _data("helpdesk.fga")


def named_tuples() -> list[Triple]:
    """The tuples of the small helpdesk."""
    import yaml

    return [(item["subject"], item["relation"], item["object"]) for item in yaml.safe_load(_data("helpdesk.tuples.yaml"))]


def generated_tuples(tuple_count: int, seed: int = 1) -> list[Triple]:
    """`tuple_count` different tuples of a large helpdesk; the same for the same seed, and a prefix of those of a larger count."""
    return list(islice(_tuples(random.Random(seed)), tuple_count))  # noqa: S311 - data of a demo, not a secret


def generated_questions(tuples: list[Triple], question_count: int, seed: int = 2) -> list[Triple]:
    """What `agent:support` asks in its loop over these tuples: about its own tickets, others' tickets, and what is not for it at all."""
    chance = random.Random(seed)  # noqa: S311 - data of a demo, not a secret
    assignees = {AGENT, *(f"team:{team}#member" for team in _teams_from(AGENT_TEAM))}
    own = [object for subject, relation, object in tuples if relation == "assignee" and subject in assignees]
    every: dict[str, dict[str, None]] = {"ticket": {}, "note": {}, "customer": {}, "direct_message": {}}
    for _, _, object in tuples:
        every.get(object.partition(":")[0], {})[object] = None
    kinds = (  # relation, objects, parts in a hundred
        ("can_read", own, 35),
        ("can_update_status", own, 15),
        ("can_read", list(every["ticket"]), 25),
        ("can_read", list(every["note"]), 10),
        ("can_read_payments", list(every["customer"]), 10),
        ("can_read", list(every["direct_message"]), 5),
    )
    drawn = chance.choices(kinds, weights=[weight for _, _, weight in kinds], k=question_count)
    return [(AGENT, relation, chance.choice(objects)) for relation, objects, _ in drawn]


def _tuples(chance: random.Random) -> Iterator[Triple]:
    """The tuples of the large helpdesk, without end and without repetition."""
    yield AGENT, "member", f"team:{AGENT_TEAM}"
    for team in range(1, TEAM_COUNT):
        yield f"team:{team}#member", "member", f"team:{_team_above(team)}"
    for user in range(USER_COUNT):
        yield f"user:{user}", "member", f"team:{chance.randrange(TEAM_COUNT)}"
    for queue in range(QUEUE_COUNT):
        yield f"user:{chance.randrange(USER_COUNT)}", "lead", f"queue:{queue}"
    for customer in range(CUSTOMER_COUNT):
        yield f"team:{chance.randrange(TEAM_COUNT // 2)}#member", "billing", f"customer:{customer}"
        yield f"user:{chance.randrange(USER_COUNT)}", "account_manager", f"customer:{customer}"
    for number in count():
        yield from _ticket(chance, number)


def _ticket(chance: random.Random, number: int) -> Iterator[Triple]:
    """One ticket of the large helpdesk, with a note or a private conversation on every other one."""
    ticket = f"ticket:{number}"
    yield f"queue:{chance.randrange(QUEUE_COUNT)}", "queue", ticket
    yield f"customer:{chance.randrange(CUSTOMER_COUNT)}", "customer", ticket
    draw = chance.random()
    if draw < AGENT_SHARE:
        yield AGENT, "assignee", ticket
    elif draw < AGENT_SHARE + TEAM_SHARE:
        yield f"team:{chance.randrange(TEAM_COUNT)}#member", "assignee", ticket
    else:
        yield _anyone(chance), "assignee", ticket
    if chance.random() < CONFLICT_SHARE:
        yield AGENT if chance.random() < 0.5 else _anyone(chance), "conflicted", ticket
    if number % 2 == 0:
        yield ticket, "ticket", f"note:{number}"
        yield f"user:{chance.randrange(USER_COUNT)}", "author", f"note:{number}"
    elif number % 4 == 1:
        first = chance.randrange(USER_COUNT)
        yield f"user:{first}", "participant", f"direct_message:{number}"
        yield f"user:{(first + 1 + chance.randrange(USER_COUNT - 1)) % USER_COUNT}", "participant", f"direct_message:{number}"


def _anyone(chance: random.Random) -> str:
    """A user or one of the other agents."""
    number = chance.randrange(USER_COUNT + AGENT_COUNT)
    return f"user:{number}" if number < USER_COUNT else f"agent:{number - USER_COUNT}"


def _team_above(team: int) -> int:
    return (team - 1) // TEAM_WIDTH


def _teams_from(team: int) -> Iterator[int]:
    """A team and all those above it."""
    yield team
    while team:
        team = _team_above(team)
        yield team


def _data(name: str) -> str:
    return files("fgacore.cli").joinpath("data", name).read_text(encoding="utf-8")
