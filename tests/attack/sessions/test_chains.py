"""Chains of principals: who may be in one, who may hand on what, and that what is lent ends with whoever lends it."""

from __future__ import annotations

from typing import Any

import pytest

import fgacore
from attack.sessions.desk import (
    ANNE,
    ASSIGNED,
    EVERYTHING,
    HELPER,
    LAST,
    SUPPORT,
    allowed,
    chain_of,
    delegated,
    denied,
    nothing,
)
from attack.worlds import START, Clock, at, refusal
from fgacore import RequestError


def test_what_is_granted_delegated_and_in_scope_is_allowed(engine: Any) -> None:
    """Else all that follows would show nothing."""
    for session in (
        delegated(engine),
        engine.session(SUPPORT),
        engine.session(SUPPORT, on_behalf_of=ANNE, scope=list(EVERYTHING), expires_in=900),
        engine.session(chain_of(engine, ANNE, SUPPORT, HELPER, LAST)[-1]),
    ):
        for name in ASSIGNED:
            assert allowed(session, "can_read", name)
            assert allowed(session, "can_update_status", name)
        assert allowed(session, "can_read", "note:1")
        assert not allowed(session, "can_read", "ticket:4")
        decision = session.decide("can_read", "ticket:1")
        assert (decision.allowed, decision.code, decision.error, decision.revision) == (True, "allowed", None, engine.revision)
        assert (decision.relation, decision.object, decision.instant) == ("can_read", "ticket:1", at(START))


# Chains: empty, duplicate, of oneself, in a circle


@pytest.mark.parametrize(
    "bad", ["", "agent", "agent:", ":x", "agent:*", "team:a#member", "agent:a b", "agent:a#", "agent:\ud800", "agent:a:b", "*", "a" * 300]
)
def test_a_principal_is_a_plain_subject(bad: str, engine: Any) -> None:
    revision = engine.revision
    for call in (
        lambda: engine.session(bad, on_behalf_of=ANNE, scope=list(EVERYTHING)),
        lambda: engine.session(SUPPORT, on_behalf_of=bad, scope=list(EVERYTHING)),
        lambda: engine.delegate(by=bad, to=SUPPORT, scope=list(EVERYTHING)),
        lambda: engine.delegate(by=ANNE, to=bad, scope=list(EVERYTHING)),
        lambda: delegated(engine, redelegations=1).delegate(to=bad, scope=list(EVERYTHING)),
        lambda: engine.suspend(bad),
    ):
        refusal(call)
    assert engine.revision == revision + 1  # of the delegation that was made


@pytest.mark.parametrize("bad", [None, 5, b"agent:support", ["agent:support"], ("agent:support",), object(), True, float("nan")])
def test_what_is_no_text_is_no_principal(bad: Any, engine: Any) -> None:
    for call in (
        lambda: engine.session(bad),
        lambda: engine.delegate(by=bad, to=SUPPORT, scope=[]),
        lambda: engine.delegate(by=ANNE, to=bad, scope=[]),
        lambda: engine.suspend(bad),
    ):
        assert isinstance(refusal(call), RequestError)
    assert bad is None or isinstance(refusal(lambda: engine.session(SUPPORT, on_behalf_of=bad, scope=[])), RequestError)


def test_there_is_no_default_identity(engine: Any) -> None:
    """Nobody asks as nobody: an empty name, or none, is not a client of any kind."""
    for call in (lambda: engine.session(), lambda: engine.delegate(scope=[]), lambda: engine.delegate(by=ANNE, scope=[])):
        with pytest.raises(TypeError):
            call()
    refusal(lambda: engine.session("", scope=[]))
    refusal(lambda: engine.session(SUPPORT, on_behalf_of="", scope=list(EVERYTHING)))


def test_nobody_delegates_to_oneself(engine: Any) -> None:
    revision = engine.revision
    assert refusal(lambda: engine.delegate(by=SUPPORT, to=SUPPORT, scope=list(EVERYTHING))).code == "invalid_delegation"
    assert refusal(lambda: engine.session(SUPPORT, on_behalf_of=SUPPORT, scope=list(EVERYTHING))).code == "invalid_delegation"
    assert refusal(lambda: engine.session(SUPPORT).delegate(to=SUPPORT, scope=list(EVERYTHING))).code == "invalid_delegation"
    assert engine.revision == revision


@pytest.mark.parametrize("again", [ANNE, SUPPORT, HELPER, LAST])
def test_no_principal_is_twice_in_a_chain(again: str, engine: Any) -> None:
    session = engine.session(chain_of(engine, ANNE, SUPPORT, HELPER, LAST)[0])
    revision = engine.revision
    wide = engine.session(engine.delegate(by=ANNE, to=SUPPORT, scope=list(EVERYTHING), redelegations=9))
    second = engine.session(wide.delegate(to=HELPER, scope=list(EVERYTHING), redelegations=8))
    third = engine.session(second.delegate(to=LAST, scope=list(EVERYTHING), redelegations=7))
    assert refusal(lambda: third.delegate(to=again, scope=list(EVERYTHING))).code == "invalid_delegation"
    assert list(third.principals) == [ANNE, SUPPORT, HELPER, LAST]
    assert list(session.principals) == [ANNE, SUPPORT]
    assert engine.revision == revision + 3


def test_two_that_delegate_to_each_other_gain_nothing(engine: Any) -> None:
    """A circle of two delegations: each is a chain of two, and each needs the root to hold it."""
    engine.delete(subject=HELPER)
    engine.delete(subject=SUPPORT)
    there = engine.session(engine.delegate(by=SUPPORT, to=HELPER, scope=list(EVERYTHING), authority="lent"))
    back = engine.session(engine.delegate(by=HELPER, to=SUPPORT, scope=list(EVERYTHING), authority="lent"))
    for session in (there, back):
        nothing(session)
    denied(there, "not_held", SUPPORT)
    denied(back, "not_held", HELPER)
    engine.write([(SUPPORT, "assignee", "ticket:1")])
    assert allowed(there, "can_read", "ticket:1")
    denied(back, "not_held", HELPER)


def test_a_chain_is_no_longer_than_its_bound(engine: Any) -> None:
    """And the last one that is not too long still counts every principal."""
    agents = [f"agent:{number}" for number in range(40)]
    engine.write([(agent, "assignee", "ticket:1") for agent in agents])
    session = engine.session(engine.delegate(by=ANNE, to=agents[0], scope=list(EVERYTHING), redelegations=15))
    made = [session]
    code = "done"
    for number, agent in enumerate(agents[1:]):
        try:
            id = made[-1].delegate(to=agent, scope=list(EVERYTHING), redelegations=14 - number)
        except fgacore.FgaError as error:
            code = error.code
            break
        made.append(engine.session(id))
    assert code in ("limit_exceeded", "invalid_delegation")
    assert 8 <= len(made[-1].principals) <= 16
    assert allowed(made[-1], "can_read", "ticket:1")
    for agent in list(made[-1].principals)[1:]:
        engine.delete(subject=agent, object="ticket:1")
        denied(made[-1], "not_held", agent)
        engine.write([(agent, "assignee", "ticket:1")])
    assert allowed(made[-1], "can_read", "ticket:1")


# Redelegation


def test_redelegations_are_used_up(engine: Any) -> None:
    assert refusal(lambda: delegated(engine).delegate(to=HELPER, scope=list(EVERYTHING))).code == "invalid_delegation"
    session = delegated(engine, redelegations=1)
    assert refusal(lambda: session.delegate(to=HELPER, scope=list(EVERYTHING), redelegations=1)).code == "invalid_delegation"
    assert refusal(lambda: session.delegate(to=HELPER, scope=list(EVERYTHING), redelegations=2)).code == "invalid_delegation"
    child = engine.session(session.delegate(to=HELPER, scope=list(EVERYTHING)))
    assert refusal(lambda: child.delegate(to=LAST, scope=list(EVERYTHING))).code == "invalid_delegation"


@pytest.mark.parametrize("bad", [-1, 0.5, "1", None, True, float("inf"), 1 << 70, float("nan"), [1]])
def test_redelegations_are_a_small_number(bad: Any, engine: Any) -> None:
    revision = engine.revision
    refusal(lambda: engine.delegate(by=ANNE, to=SUPPORT, scope=list(EVERYTHING), redelegations=bad))
    assert engine.revision == revision


def test_a_session_that_is_not_recorded_does_not_hand_on(engine: Any) -> None:
    session = engine.session(SUPPORT, on_behalf_of=ANNE, scope=list(EVERYTHING))
    assert refusal(lambda: session.delegate(to=HELPER, scope=list(EVERYTHING))).code == "invalid_delegation"


def test_a_session_that_was_narrowed_hands_on_no_more_than_it_has(engine: Any) -> None:
    """The child's scope names everything, the session that made it could read one ticket."""
    id = engine.delegate(by=ANNE, to=SUPPORT, scope=list(EVERYTHING), redelegations=2)
    narrow = engine.session(id, scope=["can_read ticket:1"])
    child = engine.session(narrow.delegate(to=HELPER, scope=list(EVERYTHING), redelegations=1, authority="lent"))
    grandchild = engine.session(child.delegate(to=LAST, scope=list(EVERYTHING), authority="lent"))
    for session in (narrow, child, grandchild):
        assert allowed(session, "can_read", "ticket:1")
        denied(session, "out_of_scope", object="ticket:2")
        denied(session, "out_of_scope", object="payment:1")
        denied(session, "out_of_scope", relation="can_update_status")


def test_a_session_that_is_nothing_hands_on_nothing(engine: Any) -> None:
    id = engine.delegate(by=ANNE, to=SUPPORT, scope=list(EVERYTHING), redelegations=1)
    child = engine.session(engine.session(id, scope=[]).delegate(to=HELPER, scope=list(EVERYTHING), authority="lent"))
    nothing(child)


def test_a_session_that_ends_soon_hands_on_nothing_that_lasts(engine: Any, clock: Clock) -> None:
    id = engine.delegate(by=ANNE, to=SUPPORT, scope=list(EVERYTHING), redelegations=1)
    child = engine.session(engine.session(id, expires_in=10).delegate(to=HELPER, scope=list(EVERYTHING), expires_in=10_000))
    assert allowed(child, "can_read", "ticket:1")
    clock.seconds += 10
    denied(child, "expired", HELPER)
    nothing(child)
    assert engine.delegations(to=HELPER, active=True) == []


def test_an_agent_that_is_alone_and_narrowed_hands_on_no_more_than_it_has(engine: Any, clock: Clock) -> None:
    session = engine.session(SUPPORT, scope=["can_read ticket:1"], expires_in=10)
    child = engine.session(session.delegate(to=HELPER, scope=list(EVERYTHING), authority="lent"))
    assert list(child.principals) == [SUPPORT, HELPER]
    assert allowed(child, "can_read", "ticket:1")
    denied(child, "out_of_scope", object="ticket:2")
    clock.seconds += 10
    nothing(child)


@pytest.mark.parametrize("stop", ["revoke", "suspend root", "suspend agent", "expire", "expire session"])
def test_nothing_hangs_on_what_is_over(stop: str, engine: Any, clock: Clock) -> None:
    id = engine.delegate(by=ANNE, to=SUPPORT, scope=list(EVERYTHING), redelegations=5, expires_in=100)
    session = engine.session(id, expires_in=50)
    if stop == "revoke":
        engine.revoke(id)
    elif stop.startswith("suspend"):
        engine.suspend(ANNE if stop.endswith("root") else SUPPORT)
    else:
        clock.seconds += 50 if stop == "expire session" else 100
    revision = engine.revision
    assert refusal(lambda: session.delegate(to=HELPER, scope=list(EVERYTHING))).code == "invalid_delegation"
    assert engine.revision == revision


# Authority is live


@pytest.mark.parametrize("authority", ["both", "lent"])
def test_a_delegator_who_loses_the_right_lends_it_no_more(authority: str, engine: Any) -> None:
    session = delegated(engine, authority=authority)
    assert allowed(session, "can_read", "ticket:1")
    engine.delete(subject=ANNE, object="ticket:1")
    denied(session, "not_held", ANNE)
    assert allowed(session, "can_read", "ticket:2")
    engine.write([(ANNE, "barred", "ticket:2")])
    denied(session, "not_held", ANNE, object="ticket:2")
    engine.write([(ANNE, "reader", "ticket:1")])
    assert allowed(session, "can_read", "ticket:1")
    assert not allowed(session, "can_update_status", "ticket:1")


def test_an_agent_between_that_loses_the_right_ends_it_for_those_below(engine: Any) -> None:
    ids = chain_of(engine, ANNE, SUPPORT, HELPER, LAST)
    engine.delete(subject=SUPPORT)
    for id in ids:
        denied(engine.session(id), "not_held", SUPPORT)
        nothing(engine.session(id))


def test_lent_authority_needs_no_grant_of_the_agent_and_gives_it_none(engine: Any) -> None:
    engine.delete(subject=SUPPORT)
    session = delegated(engine, authority="lent", scope=["can_read ticket:1"])
    assert allowed(session, "can_read", "ticket:1")
    assert not engine.check(SUPPORT, "can_read", "ticket:1")
    nothing(engine.session(SUPPORT))
    denied(delegated(engine), "not_held", SUPPORT)


def test_lent_and_both_of_two_delegations_do_not_mix(engine: Any) -> None:
    """The same agent, from the same person: each session is what its own delegation says."""
    engine.delete(subject=SUPPORT)
    lent, both = delegated(engine, authority="lent"), delegated(engine, authority="both")
    for _ in range(3):
        assert allowed(lent, "can_read", "ticket:1")
        denied(both, "not_held", SUPPORT)


@pytest.mark.parametrize("bad", ["LENT", "", "all", None, True, 1, "both "])
def test_authority_is_both_or_lent(bad: Any, engine: Any) -> None:
    assert refusal(lambda: delegated(engine, authority=bad)).code == "invalid_delegation"
    if bad is not None:  # not given
        assert refusal(lambda: engine.session(SUPPORT, on_behalf_of=ANNE, scope=[], authority=bad)).code == "invalid_delegation"


def test_a_wildcard_counts_for_each_principal_by_its_own_type(engine: Any) -> None:
    engine.write([("user:*", "reader", "ticket:9")])
    denied(delegated(engine), "not_held", SUPPORT, object="ticket:9")
    engine.write([("agent:*", "reader", "ticket:9")])
    assert allowed(delegated(engine), "can_read", "ticket:9")
    assert allowed(engine.session("agent:never-seen", on_behalf_of="user:never-seen", scope=list(EVERYTHING)), "can_read", "ticket:9")


def test_a_name_that_nothing_mentions_holds_nothing(engine: Any) -> None:
    for session in (
        engine.session("agent:never-seen"),
        engine.session("agent:never-seen", on_behalf_of=ANNE, scope=list(EVERYTHING)),
        engine.session(SUPPORT, on_behalf_of="user:never-seen", scope=list(EVERYTHING), authority="lent"),
    ):
        nothing(session)


def test_a_session_of_before_sees_the_name_that_a_write_brings(engine: Any) -> None:
    """Ids are found anew: a name that was unknown when the session was made is nobody else's later, and its own then."""
    session = engine.session("agent:late", on_behalf_of="user:late", scope=list(EVERYTHING))
    nothing(session)
    engine.write([("user:other", "assignee", "ticket:1"), ("agent:other", "assignee", "ticket:1")])
    nothing(session)
    engine.write([("user:late", "assignee", "ticket:2"), ("agent:late", "assignee", "ticket:2")])
    assert allowed(session, "can_read", "ticket:2")
    assert not allowed(session, "can_read", "ticket:1")
