"""What the attack tests of sessions share: a help desk, an engine with a clock, and every door of a session asked at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from fgacore import FgaError, Tuple

__all__ = [
    "ANNE",
    "ASSIGNED",
    "EVERYTHING",
    "HELPER",
    "LAST",
    "MODEL",
    "NEVER",
    "SUPPORT",
    "allowed",
    "chain_of",
    "code_of",
    "conditioned",
    "delegated",
    "denied",
    "grants",
    "nothing",
]

ANNE, SUPPORT, HELPER, LAST = "user:anne", "agent:support", "agent:helper", "agent:last"
NEVER = "01ARZ3NDEKTSV4RRFFQ69G5FAV"  # an id that is well formed, and of no delegation
MODEL = """
model
  schema 1.1
type user
type agent
type team
  relations
    define member: [user, agent, team#member]
type project
type ticket
  relations
    define assignee: [user, agent, team#member]
    define reader: [user, user:*, agent, agent:*, user with fresh, agent with fresh, user with small, agent with small]
    define barred: [user, agent]
    define in_project: [project, project with small]
    define can_read: (reader or assignee) but not barred
    define can_update_status: assignee
type note
  relations
    define can_read: [user, agent]
type payment
  relations
    define can_read: [user, agent]
condition fresh(current_time: timestamp, until: timestamp) {
  current_time < until
}
condition small(x: int) {
  x < 10
}
"""
EVERYTHING = ("can_read ticket:*", "can_update_status ticket:*", "can_read note:*", "can_read payment:*")
ASSIGNED = [f"ticket:{number}" for number in range(1, 4)]


def grants(*subjects: str) -> list[tuple[str, str, str]]:
    """Everything that a session is asked about, for each of these."""
    found = [(subject, "assignee", name) for subject in subjects for name in ASSIGNED]
    return found + [(subject, "can_read", name) for subject in subjects for name in ("note:1", "payment:1")]


def delegated(engine: Any, **options: Any) -> Any:
    """A session of anne's delegation to the support agent."""
    return engine.session(engine.delegate(**{"by": ANNE, "to": SUPPORT, "scope": list(EVERYTHING)} | options))


def conditioned(engine: Any) -> None:
    """Ticket 20 is read until an instant, ticket 21 while x is small; by anne and the agent alike."""
    until_ = {"until": "1970-01-01T00:20:00Z"}
    for subject in (ANNE, SUPPORT):
        engine.write(
            [Tuple(subject, "reader", "ticket:20", condition="fresh", context=until_), Tuple(subject, "reader", "ticket:21", condition="small")]
        )


def chain_of(engine: Any, *principals: str, scope: Iterable[str] = EVERYTHING, **options: Any) -> list[str]:
    """Delegations from each principal to the next, the first by the root; their ids, in order."""
    scope = list(scope)
    left = len(principals) - 2
    ids = [engine.delegate(by=principals[0], to=principals[1], scope=scope, redelegations=left, **options)]
    for principal in principals[2:]:
        left -= 1
        ids.append(engine.session(ids[-1]).delegate(to=principal, scope=scope, redelegations=left, **options))
    return ids


def code_of(call: Callable[[], object]) -> str:
    """The code of the error that the call raises; `done` where it raises none."""
    try:
        call()
    except FgaError as error:
        return error.code
    return "done"


def allowed(session: Any, relation: str, object: str, **options: Any) -> bool:
    """What the session may, at every door; they must agree. An error at any door is one at all, and counts as no."""
    type_name = object.partition(":")[0]
    doors: dict[str, Callable[[], bool]] = {
        "check": lambda: session.check(relation, object, **options),
        "decide": lambda: _decided(session.decide(relation, object, **options)),
        "check_objects": lambda: session.check_objects(relation, [object], **options) == [True],
        "filter_objects": lambda: session.filter_objects(relation, [object], **options) == [object],
        "batch_check": lambda: session.batch_check([(relation, object)], **options)[0],
        "list_objects": lambda: object in session.list_objects(relation, type_name, on_missing_context="report", **options),
        "list_relations": lambda: relation in session.list_relations(object, **options),
        "reach": lambda: object in session.reach(**options).definite.get((type_name, relation), ()),
    }
    answers = {name: _answer(door) for name, door in doors.items()}
    assert len(set(answers.values())) == 1, f"{relation} {object}: {answers}"
    return answers["check"]


def _answer(door: Callable[[], bool]) -> bool:
    try:
        answer = door()
    except FgaError:
        return False
    assert answer is True or answer is False, f"{answer!r} is not a bool"
    return answer


def _decided(decision: Any) -> bool:
    assert bool(decision) is decision.allowed
    assert (decision.code == "allowed") is decision.allowed
    return decision.allowed


def denied(session: Any, code: str, principal: str | None = None, relation: str = "can_read", object: str = "ticket:1", **options: Any) -> None:
    """It is denied at every door, for this reason."""
    assert not allowed(session, relation, object, **options)
    decision = session.decide(relation, object, **options)
    assert (decision.allowed, decision.code) == (False, code), decision
    assert principal is None or decision.principal == principal, decision


def nothing(session: Any) -> None:
    """No door lets anything out."""
    assert not any(session.check_objects("can_read", [*ASSIGNED, "ticket:never-seen"]))
    assert session.filter_objects("can_read", ASSIGNED) == []
    assert not any(session.batch_check([("can_read", name) for name in [*ASSIGNED, "note:1", "payment:1"]]))
    for type_name in ("ticket", "note", "payment"):
        assert list(session.list_objects("can_read", type_name)) == []
    for name in [*ASSIGNED, "note:1", "payment:1"]:
        assert session.list_relations(name) == []
        assert session.check("can_read", name) is False
        assert not session.decide("can_read", name)
    reach = session.reach()
    assert not any(len(found) for found in [*reach.definite.values(), *reach.conditional.values()])
