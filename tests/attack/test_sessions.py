"""Sessions must not allow what they should not: each test is one way in that somebody might try.

Every answer is taken at all doors of a session at once: a check, a decision, batches, lists and the reach.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import fgacore
from attack.sessions import ASSIGNED, EVERYTHING, MODEL, allowed, chain_of, code_of, denied, grants, nothing
from attack.worlds import START, Clock, at, refusal
from faults.peer import until
from fgacore import RequestError, StoreError, Tuple

ANNE, SUPPORT, HELPER, LAST = "user:anne", "agent:support", "agent:helper", "agent:last"
NEVER = "01ARZ3NDEKTSV4RRFFQ69G5FAV"  # an id that is well formed, and of no delegation


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def engine(clock: Clock) -> Iterator[Any]:
    """A store in which anne and three agents hold all that is asked about."""
    with fgacore.open(":memory:", clock=clock) as opened:
        opened.write_model(MODEL)
        opened.write(grants(ANNE, SUPPORT, HELPER, LAST))
        yield opened


@pytest.fixture
def path(tmp_path: Path, clock: Clock) -> Path:
    """The same on disk, closed."""
    place = tmp_path / "authz"
    with fgacore.open(place, clock=clock) as opened:
        opened.write_model(MODEL)
        opened.write(grants(ANNE, SUPPORT, HELPER, LAST))
    return place


def delegated(engine: Any, **options: Any) -> Any:
    """A session of anne's delegation to the support agent."""
    return engine.session(engine.delegate(**{"by": ANNE, "to": SUPPORT, "scope": list(EVERYTHING)} | options))


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


# Revocation and suspension


@pytest.mark.parametrize("which", [0, 1, 2])
def test_revocation_ends_all_that_hangs_below_and_nothing_else(which: int, engine: Any) -> None:
    ids = chain_of(engine, ANNE, SUPPORT, HELPER, LAST)
    sessions = [engine.session(id) for id in ids]
    other = delegated(engine)
    before = engine.revision
    assert engine.revoke(ids[which], by=ANNE, reason="over") == before + 1
    for number, session in enumerate(sessions):
        if number < which:
            assert allowed(session, "can_read", "ticket:1")
        else:
            denied(session, "delegation_revoked", (SUPPORT, HELPER, LAST)[which])
            nothing(session)
    assert allowed(other, "can_read", "ticket:1")
    engine.revoke(ids[which])
    assert engine.revision == before + 1, "twice revoked is once recorded"
    assert [item.id in ids[:which] for item in engine.delegations() if item.id in ids and item.active] == [True] * which


def test_a_revoked_delegation_is_not_brought_back_by_the_same_again(engine: Any) -> None:
    session = delegated(engine)
    engine.revoke(session.delegation)
    again = delegated(engine)
    assert again.delegation != session.delegation
    assert allowed(again, "can_read", "ticket:1")
    denied(session, "delegation_revoked", SUPPORT)


def test_a_delegation_that_was_revoked_opens_no_session_that_allows(engine: Any) -> None:
    """As a token that is revoked but not expired."""
    ids = chain_of(engine, ANNE, SUPPORT, HELPER)
    engine.revoke(ids[0])
    for id in ids:
        for options in ({}, {"scope": list(EVERYTHING)}, {"expires_in": 5}):
            try:
                session = engine.session(id, **options)
            except RequestError as error:
                assert error.code in ("invalid_delegation", "delegation_revoked")  # noqa: PT017
            else:
                nothing(session)


@pytest.mark.parametrize("who", [ANNE, SUPPORT, HELPER, LAST])
def test_suspension_of_anyone_in_the_chain_denies_all_of_it(who: str, engine: Any) -> None:
    ids = chain_of(engine, ANNE, SUPPORT, HELPER, LAST)
    sessions = [engine.session(id) for id in ids]
    alone = engine.session(SUPPORT)
    before = engine.revision
    assert engine.suspend(who, by="user:boss", reason="INC-7") == before + 1
    engine.suspend(who)
    assert engine.revision == before + 1, "twice suspended is once recorded"
    for session in sessions:
        if who in session.principals:
            denied(session, "suspended", who)
            nothing(session)
        else:
            assert allowed(session, "can_read", "ticket:1")
    assert allowed(alone, "can_read", "ticket:1") is (who != SUPPORT)
    (suspension,) = engine.suspensions()
    assert (suspension.subject, suspension.by, suspension.reason, suspension.revision) == (who, "user:boss", "INC-7", before + 1)
    engine.resume(who)
    engine.resume(who)
    assert engine.revision == before + 2
    assert engine.suspensions() == []
    for session in sessions:
        assert allowed(session, "can_read", "ticket:1")


def test_a_suspended_agent_does_not_come_back_by_another_kind_of_session(engine: Any) -> None:
    id = engine.delegate(by=ANNE, to=SUPPORT, scope=list(EVERYTHING))
    engine.suspend(SUPPORT)
    for make in (
        lambda: engine.session(SUPPORT),
        lambda: engine.session(id),
        lambda: engine.session(SUPPORT, on_behalf_of=ANNE, scope=list(EVERYTHING)),
        lambda: engine.session(SUPPORT, on_behalf_of=ANNE, scope=list(EVERYTHING), authority="lent"),
        lambda: engine.session(engine.delegate(by=ANNE, to=SUPPORT, scope=list(EVERYTHING))),
    ):
        try:
            session = make()
        except RequestError:
            continue
        nothing(session)


def test_suspension_is_of_the_name_and_not_of_its_look_alikes(engine: Any) -> None:
    """Names are bytes: a Cyrillic letter or another composition is somebody else, who is not suspended, and holds nothing of hers."""
    latin, cyrillic = "agent:support", "agent:supp\u043ert"
    engine.write([(cyrillic, "assignee", "ticket:1")])
    engine.suspend(latin)
    assert allowed(engine.session(cyrillic), "can_read", "ticket:1")
    nothing(engine.session(latin))
    engine.boundary(cyrillic, "not can_read ticket:*")
    denied(engine.session(cyrillic), "outside_boundary", cyrillic)
    composed, decomposed = "agent:caf\u00e9", "agent:cafe\u0301"
    engine.write([(composed, "assignee", "ticket:1")])
    assert allowed(engine.session(composed), "can_read", "ticket:1")
    nothing(engine.session(decomposed))


def test_whoever_was_suspended_before_there_was_anything_of_it_is_suspended(engine: Any) -> None:
    """A name of which the store knows nothing yet."""
    engine.suspend("agent:tomorrow")
    engine.write(grants("agent:tomorrow"))
    denied(engine.session("agent:tomorrow"), "suspended", "agent:tomorrow")


# Time


def test_an_expired_parent_ends_its_children(engine: Any, clock: Clock) -> None:
    parent = engine.session(engine.delegate(by=ANNE, to=SUPPORT, scope=list(EVERYTHING), redelegations=1, expires_in=10))
    for seconds in (None, 10_000):
        child = engine.session(parent.delegate(to=HELPER, scope=list(EVERYTHING), expires_in=seconds))
        assert allowed(child, "can_read", "ticket:1")
    clock.seconds += 9
    assert allowed(child, "can_read", "ticket:1")
    clock.seconds += 1
    denied(child, "expired")
    for item in engine.delegations():
        assert not item.active
        nothing(child)


def test_the_end_is_an_instant(engine: Any, clock: Clock) -> None:
    session = delegated(engine, expires_in=900)
    assert session.expires_at == at(START + 900)
    clock.seconds += 899.999999  # type: ignore[assignment]
    assert allowed(session, "can_read", "ticket:1")
    clock.seconds = START + 900
    denied(session, "expired", SUPPORT)


def test_an_end_that_has_passed_does_not_come_back_with_the_clock(engine: Any, clock: Clock) -> None:
    sessions = [delegated(engine, expires_in=10), engine.session(SUPPORT, expires_in=10), engine.session(delegated(engine).delegation, expires_in=10)]
    for session in sessions:
        assert allowed(session, "can_read", "ticket:1")
    clock.seconds += 10
    for session in sessions:
        nothing(session)
    for back in (1, 10, 500, START):
        clock.seconds = START + 10 - back
        for session in sessions:
            denied(session, "expired", SUPPORT)
    longer = delegated(engine, expires_in=10)  # counts from engine time, which stood still
    assert longer.expires_at == at(START + 20)


def test_a_clock_that_goes_back_lengthens_nothing(engine: Any, clock: Clock) -> None:
    clock.seconds = START - 900
    session = engine.session(SUPPORT, expires_in=5)
    assert session.expires_at is not None
    assert session.expires_at >= at(START - 900)
    clock.seconds = START + 5
    nothing(session)


def test_a_jump_of_the_clock_ends_what_ends_in_between(engine: Any, clock: Clock) -> None:
    """Of years, over all that is set to expire."""
    ids = [engine.delegate(by=ANNE, to=SUPPORT, scope=list(EVERYTHING), expires_in=seconds) for seconds in (1, 60, 3_600, 86_400, 31_536_000)]
    sessions = [engine.session(id) for id in ids]
    clock.seconds += 2 * 31_536_000
    for session in sessions:
        denied(session, "expired", SUPPORT)


@pytest.mark.parametrize("seconds", [0, -1, -0.0, float("nan"), float("inf"), -float("inf"), "900", True, 1e300, [900], b"9"])
def test_a_time_to_live_is_a_number_above_zero(seconds: Any, engine: Any) -> None:
    revision = engine.revision
    for call in (
        lambda: engine.delegate(by=ANNE, to=SUPPORT, scope=list(EVERYTHING), expires_in=seconds),
        lambda: engine.session(SUPPORT, on_behalf_of=ANNE, scope=list(EVERYTHING), expires_in=seconds),
        lambda: engine.session(SUPPORT, expires_in=seconds),
    ):
        error = refusal(call)
        assert isinstance(error, (RequestError, fgacore.LimitError)), error
    assert engine.revision == revision


def test_a_session_ends_no_later_than_its_delegation(engine: Any, clock: Clock) -> None:
    id = engine.delegate(by=ANNE, to=SUPPORT, scope=list(EVERYTHING), expires_in=10)
    session = engine.session(id, expires_in=10_000)
    assert session.expires_at == at(START + 10)
    clock.seconds += 10
    nothing(session)


def test_a_clock_that_fails_denies(clock: Clock) -> None:
    """Nothing turns it into an allow."""
    state = {"broken": False}

    def failing() -> int:
        if state["broken"]:
            raise OSError("no time")
        return clock()

    with fgacore.open(":memory:", clock=failing) as engine:
        engine.write_model(MODEL)
        engine.write(grants(ANNE, SUPPORT))
        session = delegated(engine, expires_in=900)
        assert session.check("can_read", "ticket:1")
        state["broken"] = True
        for call in (lambda: session.check("can_read", "ticket:1"), lambda: session.decide("can_read", "ticket:1").allowed):
            try:
                assert call() is False
            except StoreError as error:
                assert error.code == "clock_failed"  # noqa: PT017


# Ids


@pytest.mark.parametrize(
    "id",
    [
        NEVER,
        NEVER.lower(),
        "",
        "0",
        "01ARZ3NDEKTSV4RRFFQ69G5FA",
        f"{NEVER}0",
        "0" * 26,
        "Z" * 26,
        "8" + "0" * 25,
        f" {NEVER}",
        f"{NEVER}\n",
        "01ARZ3NDEKTSV4RRFFQ69G5FA\u0406",
        "\0" * 26,
        "U" * 26,
    ],
)
def test_forged_and_malformed_ids_are_no_delegation(id: str, engine: Any) -> None:
    delegated(engine)
    revision = engine.revision
    assert refusal(lambda: engine.session(id)).code in ("delegation_not_found", "invalid_principal")
    assert refusal(lambda: engine.revoke(id)).code == "delegation_not_found"
    assert engine.revision == revision


@pytest.mark.parametrize("bad", [None, 5, b"01ARZ3NDEKTSV4RRFFQ69G5FAV", ["x"], object()])
def test_an_id_that_is_no_text_is_refused(bad: Any, engine: Any) -> None:
    assert isinstance(refusal(lambda: engine.revoke(bad)), RequestError)


def test_an_id_is_taken_as_it_is_written(engine: Any) -> None:
    """Crockford's base 32 has other ways to write the same number: here they are other ids."""
    id = engine.delegate(by=ANNE, to=SUPPORT, scope=list(EVERYTHING))
    for other in (id.lower(), id.replace("0", "O"), id.replace("1", "I"), id.replace("1", "L"), f"{id} ", f" {id}", f"{id}:", f"delegation:{id}"):
        if other != id:
            assert code_of(lambda other=other: nothing(engine.session(other))) in (
                "done",
                "delegation_not_found",
                "invalid_principal",
                "type_not_found",
            )
    assert ":" not in id
    assert len(id) == 26


def test_a_delegation_of_one_store_is_none_of_another(engine: Any, clock: Clock) -> None:
    session = delegated(engine)
    with fgacore.open(":memory:", clock=clock) as other:
        other.write_model(MODEL)
        other.write(grants(ANNE, SUPPORT))
        assert refusal(lambda: other.session(session.delegation)).code == "delegation_not_found"
        assert refusal(lambda: other.revoke(session.delegation)).code == "delegation_not_found"
        own = delegated(other)
        assert refusal(lambda: engine.session(own.delegation)).code == "delegation_not_found"
        other.suspend(SUPPORT)
        nothing(own)
        assert allowed(session, "can_read", "ticket:1")


def test_what_a_delegation_fixes_is_not_given_again(engine: Any) -> None:
    id = engine.delegate(by=ANNE, to=SUPPORT, scope=["can_read ticket:1"])
    for options in ({"on_behalf_of": "user:boss"}, {"on_behalf_of": ANNE}, {"task": "other"}, {"authority": "lent"}):
        assert code_of(lambda options=options: engine.session(id, **options)) != "done", options


# Scopes


def test_an_empty_scope_is_nothing(engine: Any) -> None:
    for session in (
        delegated(engine, scope=[]),
        engine.session(delegated(engine).delegation, scope=[]),
        engine.session(SUPPORT, scope=[]),
        engine.session(SUPPORT, scope=()),
        engine.session(SUPPORT, on_behalf_of=ANNE, scope=[]),
        engine.session(SUPPORT, scope=["not can_read ticket:1"]),
        delegated(engine, scope=["not can_read note:*"]),
    ):
        nothing(session)
        denied(session, "out_of_scope", SUPPORT)


def test_a_scope_cannot_be_left_out_where_somebody_lends(engine: Any) -> None:
    revision = engine.revision
    for call in (
        lambda: engine.delegate(by=ANNE, to=SUPPORT, scope=None),
        lambda: engine.session(SUPPORT, on_behalf_of=ANNE),
        lambda: engine.session(SUPPORT, on_behalf_of=ANNE, scope=None),
        lambda: engine.session(SUPPORT).delegate(to=HELPER, scope=None),
    ):
        assert isinstance(refusal(call), RequestError)
    assert engine.revision == revision


def test_a_session_only_narrows(engine: Any) -> None:
    id = engine.delegate(by=ANNE, to=SUPPORT, scope=["can_read ticket:1", "can_read ticket:2"])
    wide = engine.session(id, scope=list(EVERYTHING))
    assert allowed(wide, "can_read", "ticket:1")
    denied(wide, "out_of_scope", SUPPORT, object="ticket:3")
    narrow = engine.session(id, scope=["can_read ticket:2", "can_read ticket:3"])
    assert allowed(narrow, "can_read", "ticket:2")
    denied(narrow, "out_of_scope", SUPPORT, object="ticket:1")
    denied(narrow, "out_of_scope", SUPPORT, object="ticket:3")


def test_exceptions_win_wherever_they_stand(engine: Any) -> None:
    for scope in (
        ["can_read ticket:*", "not can_read ticket:1"],
        ["not can_read ticket:1", "can_read ticket:*"],
        ["not can_read ticket:1", "can_read ticket:1", "can_read ticket:*", "can_read ticket:1"],
        ["can_read ticket:1", "can_read ticket:2", "not can_read ticket:1"],
    ):
        session = delegated(engine, scope=scope)
        denied(session, "out_of_scope", SUPPORT)
        assert allowed(session, "can_read", "ticket:2")
    denied(delegated(engine, scope=["can_read ticket:*", "not can_read ticket:*"]), "out_of_scope", SUPPORT)


def test_an_entry_is_of_its_relation_and_its_object_alone(engine: Any) -> None:
    """No prefixes, no patterns, and no relation stands for those that it is made of."""
    engine.write([(subject, "assignee", "ticket:11") for subject in (ANNE, SUPPORT)])
    session = delegated(engine, scope=["can_read ticket:1"])
    assert allowed(session, "can_read", "ticket:1")
    for relation, name in (
        ("can_read", "ticket:11"),
        ("can_update_status", "ticket:1"),
        ("assignee", "ticket:1"),
        ("reader", "ticket:1"),
        ("can_read", "note:1"),
    ):
        denied(session, "out_of_scope", SUPPORT, relation=relation, object=name)


@pytest.mark.parametrize(
    "entry",
    [
        "",
        " ",
        "can_read",
        "ticket:*",
        "can_read ticket",
        "can_read ticket:",
        "can_read ticket:**",
        "can_read *:1",
        "can_read *",
        "can_read *:*",
        "* ticket:*",
        "can_* ticket:1",
        "can_read\tticket:1",
        "can_read ticket:1\n",
        "can_read ticket:1 ticket:2",
        "can_read,can_update_status ticket:1",
        "not",
        "not not can_read ticket:1",
        "NOT can_read ticket:1",
        "Not can_read ticket:1",
        "no can_read ticket:1",
        "!can_read ticket:1",
        "can_read ticket:1 where",
        "can_read ticket:* where in_project",
        "can_read ticket:* where project:alpha",
        "can_read ticket:* where in_project project:alpha and in_project project:beta",
        "can_read ticket:* where in_project project:alpha where in_project project:beta",
        "can_read ticket:* where not in_project project:alpha",
        "can_read ticket:* WHERE in_project project:alpha",
        "can_read ticket:* if in_project project:alpha",
        "can_read ticket:* where in_project project",
        "can_read ticket:* where in_project project:",
        "can_read tickets:*",
        "can_reads ticket:*",
        "can_read Ticket:*",
        "can_read ticket:* where in_projects project:alpha",
        "can_read ticket:* where in_project projects:alpha",
        "can_read user:*",
        "can_read ticket:1#reader",
        "can_read team:a#member",
        "c\u0430n_read ticket:*",
        "can_read t\u0456cket:*",
        "can_read ticket:\ud800",
        "can_read ticket:" + "x" * 300,
        "can_read ticket:1\u00a0where in_project project:alpha",
    ],
)
def test_a_malformed_entry_is_refused_everywhere(entry: str, engine: Any) -> None:
    """Where a typing error would make it mean something wider, or would take an exception away."""
    revision, session = engine.revision, engine.session(SUPPORT)
    good = "can_read ticket:1"
    for call in (
        lambda: engine.delegate(by=ANNE, to=SUPPORT, scope=[good, entry]),
        lambda: engine.session(SUPPORT, scope=[entry]),
        lambda: engine.session(SUPPORT, on_behalf_of=ANNE, scope=[good, entry]),
        lambda: session.delegate(to=HELPER, scope=[entry, good]),
        lambda: engine.boundary("agent", good, entry),
    ):
        error = refusal(call)
        assert error.code in ("invalid_scope", "limit_exceeded"), error
        str(error).encode()
    assert engine.revision == revision


def test_more_than_one_space_changes_nothing(engine: Any) -> None:
    """An exception stays one, however many spaces there are, or is refused."""
    for entry in ("not  can_read ticket:1", " not can_read ticket:1", "not can_read  ticket:1", " not  can_read  ticket:1 "):
        try:
            session = engine.session(SUPPORT, scope=["can_read ticket:*", entry])
        except RequestError:
            continue
        denied(session, "out_of_scope", SUPPORT)
        assert allowed(session, "can_read", "ticket:2")


def test_a_star_within_an_id_is_a_character(engine: Any) -> None:
    """An id may have one: so it is no pattern, and no mistake either."""
    session = engine.session(SUPPORT, scope=["can_read ticket:1*", "can_read ticket:1\0"])
    engine.write([(SUPPORT, "assignee", name) for name in ("ticket:1*", "ticket:11", "ticket:1\0")])
    assert list(session.list_objects("can_read", "ticket")) == ["ticket:1*", "ticket:1\0"]
    nothing(session)


def test_the_message_of_a_bad_entry_names_it(engine: Any) -> None:
    assert "can_write ticket:*" in str(refusal(lambda: engine.session(SUPPORT, scope=["can_read ticket:*", "can_write ticket:*"])))


@pytest.mark.parametrize(
    "bad",
    [
        "can_read ticket:*",
        b"can_read ticket:*",
        5,
        True,
        {"can_read ticket:*": 1}.items(),
        [5],
        [None],
        [b"can_read ticket:*"],
        [["can_read ticket:*"]],
        [("can_read", "ticket:*")],
    ],
)
def test_a_scope_is_a_list_of_texts(bad: Any, engine: Any) -> None:
    """One text is a sequence of its letters: not a scope."""
    for call in (
        lambda: engine.delegate(by=ANNE, to=SUPPORT, scope=bad),
        lambda: engine.session(SUPPORT, scope=bad),
    ):
        assert isinstance(refusal(call), RequestError)


def test_a_where_is_live(engine: Any) -> None:
    session = delegated(engine, scope=["can_read ticket:* where in_project project:alpha"])
    denied(session, "out_of_scope", SUPPORT)
    engine.write([("project:alpha", "in_project", "ticket:1"), ("project:beta", "in_project", "ticket:2")])
    assert allowed(session, "can_read", "ticket:1")
    denied(session, "out_of_scope", SUPPORT, object="ticket:2")
    assert list(session.list_objects("can_read", "ticket")) == ["ticket:1"]
    engine.delete(subject="project:alpha")
    denied(session, "out_of_scope", SUPPORT)
    except_alpha = delegated(engine, scope=["can_read ticket:*", "not can_read ticket:* where in_project project:alpha"])
    assert allowed(except_alpha, "can_read", "ticket:1")
    engine.write([("project:alpha", "in_project", "ticket:1")])
    denied(except_alpha, "out_of_scope", SUPPORT)


def test_a_where_that_cannot_be_evaluated_admits_nothing_and_excepts_everything(engine: Any) -> None:
    engine.write([Tuple("project:alpha", "in_project", "ticket:1", condition="small")])
    keys = {"context_keys": ["x"]}
    positive = engine.session(SUPPORT, scope=["can_read ticket:* where in_project project:alpha"], **keys)
    exception = engine.session(SUPPORT, scope=["can_read ticket:*", "not can_read ticket:* where in_project project:alpha"], **keys)
    for context in (None, {"x": "not a number"}, {"x": float("nan")}, {"x": None}):
        denied(positive, "out_of_scope", SUPPORT, context=context)
        denied(exception, "out_of_scope", SUPPORT, context=context)
    assert allowed(positive, "can_read", "ticket:1", context={"x": 5})
    denied(exception, "out_of_scope", SUPPORT, context={"x": 5})
    denied(positive, "out_of_scope", SUPPORT, context={"x": 50})
    assert allowed(exception, "can_read", "ticket:1", context={"x": 50})
    assert allowed(exception, "can_read", "ticket:2")


def test_a_type_that_the_model_loses_is_lost_to_its_scopes(engine: Any) -> None:
    """The question is an error then; the rest of the scope goes on; and when the type comes back, the scope says what it said."""
    session = delegated(engine, scope=[*EVERYTHING, "not can_read ticket:2"])
    lesser = MODEL.replace("type payment\n  relations\n    define can_read: [user, agent]\n", "")
    assert lesser != MODEL
    engine.write_model(lesser)
    assert refusal(lambda: session.check("can_read", "payment:1")).code == "type_not_found"
    assert not allowed(session, "can_read", "payment:1")
    assert allowed(session, "can_read", "ticket:1")
    denied(session, "out_of_scope", SUPPORT, object="ticket:2")
    assert ("payment", "can_read") not in session.reach().definite
    assert refusal(lambda: engine.session(SUPPORT, scope=["can_read payment:*"])).code == "invalid_scope"
    assert allowed(engine.session(session.delegation), "can_read", "ticket:1"), "a recorded scope does not need the model to be read"
    engine.write_model(MODEL)
    assert allowed(session, "can_read", "payment:1")
    denied(session, "out_of_scope", SUPPORT, object="ticket:2")


def test_a_relation_that_the_model_loses_denies_where_an_exception_needs_it(engine: Any) -> None:
    engine.write([("project:alpha", "in_project", "ticket:1")])
    exception = delegated(engine, scope=["can_read ticket:*", "not can_read ticket:* where in_project project:alpha"])
    positive = delegated(engine, scope=["can_read ticket:* where in_project project:alpha", "can_read note:*"])
    assert allowed(exception, "can_read", "ticket:2")
    assert allowed(positive, "can_read", "ticket:1")
    engine.write_model(MODEL.replace("    define in_project: [project, project with small]\n", ""))
    for name in ASSIGNED:
        denied(exception, "out_of_scope", SUPPORT, object=name)
        denied(positive, "out_of_scope", SUPPORT, object=name)
    assert allowed(positive, "can_read", "note:1")
    engine.boundary("agent", "not can_update_status ticket:*")
    assert allowed(positive, "can_read", "note:1")


def test_a_subject_type_that_the_model_loses_denies(engine: Any) -> None:
    engine.write([("project:alpha", "in_project", "ticket:1")])
    session = delegated(engine, scope=["can_read ticket:*", "not can_read ticket:* where in_project project:beta"])
    assert allowed(session, "can_read", "ticket:1")
    lesser = MODEL.replace("type project\n", "").replace(
        "define in_project: [project, project with small]", "define in_project: [user, user with small]"
    )
    engine.write_model(lesser)
    denied(session, "out_of_scope", SUPPORT)


def test_a_model_without_agents_leaves_agents_nothing(engine: Any) -> None:
    sessions = [delegated(engine), engine.session(SUPPORT), engine.session(SUPPORT, on_behalf_of=ANNE, scope=list(EVERYTHING))]
    lesser = MODEL.replace("type agent\n", "")
    for old, new in ((", agent:*", ""), (", agent with fresh", ""), (", agent with small", ""), (", agent", "")):
        lesser = lesser.replace(old, new)
    engine.write_model(lesser)
    for session in sessions:
        for name in [*ASSIGNED, "note:1", "payment:1"]:
            assert not allowed(session, "can_read", name)


# Boundaries


def test_a_boundary_stops_whatever_anyone_grants(engine: Any) -> None:
    engine.boundary("agent", "not can_read payment:*", "not can_read note:*", by="user:boss")
    engine.write([("agent:other", "can_read", "payment:1")])
    for session in (
        delegated(engine),
        delegated(engine, authority="lent"),
        engine.session(SUPPORT),
        engine.session(SUPPORT, on_behalf_of=ANNE, scope=list(EVERYTHING), authority="lent"),
        engine.session("agent:other"),
    ):
        denied(session, "outside_boundary", session.subject, object="payment:1")
    assert allowed(delegated(engine), "can_read", "ticket:1")
    assert engine.check(ANNE, "can_read", "payment:1"), "a boundary is of sessions"


def test_a_second_session_does_not_shed_a_bound(engine: Any) -> None:
    """Not by another delegation, a longer chain, another agent behind it, or a session of its own."""
    engine.boundary(SUPPORT, "can_read ticket:1")
    made = [
        engine.session(SUPPORT),
        engine.session(SUPPORT, scope=list(EVERYTHING)),
        delegated(engine),
        delegated(engine, authority="lent"),
        engine.session(chain_of(engine, ANNE, SUPPORT, HELPER)[-1]),
        engine.session(chain_of(engine, ANNE, HELPER, SUPPORT)[-1]),
        engine.session(engine.session(SUPPORT).delegate(to=HELPER, scope=list(EVERYTHING))),
        engine.session(engine.session(SUPPORT).delegate(to=HELPER, scope=list(EVERYTHING), authority="lent")),
    ]
    for session in made:
        assert allowed(session, "can_read", "ticket:1")
        denied(session, "outside_boundary", SUPPORT, object="ticket:2")
        denied(session, "outside_boundary", SUPPORT, relation="can_update_status")


def test_a_boundary_of_the_root_holds_as_well(engine: Any) -> None:
    session = delegated(engine)
    engine.boundary("user", "not can_read ticket:1")
    denied(session, "outside_boundary", ANNE)
    engine.lift_boundary("user")
    engine.boundary(ANNE, "can_read ticket:2")
    denied(session, "outside_boundary", ANNE)
    assert allowed(session, "can_read", "ticket:2")


def test_the_boundary_of_an_agent_does_not_replace_that_of_its_type(engine: Any) -> None:
    engine.boundary("agent", "not can_read payment:*")
    engine.boundary(SUPPORT, "can_read payment:*", "can_read ticket:*")
    session = delegated(engine)
    denied(session, "outside_boundary", SUPPORT, object="payment:1")
    denied(session, "outside_boundary", SUPPORT, object="note:1")
    assert allowed(session, "can_read", "ticket:1")
    engine.lift_boundary(SUPPORT)
    assert allowed(session, "can_read", "note:1")
    denied(session, "outside_boundary", SUPPORT, object="payment:1")
    assert engine.boundaries() == {"agent": ("not can_read payment:*",)}


def test_a_boundary_of_nothing_is_refused_and_leaves_the_old_one(engine: Any) -> None:
    engine.boundary("agent", "can_read ticket:*")
    revision = engine.revision
    for call in (lambda: engine.boundary("agent"), lambda: engine.boundary(SUPPORT), lambda: engine.boundary("agent", *[])):
        assert refusal(call).code == "invalid_scope"
    assert engine.revision == revision
    denied(delegated(engine), "outside_boundary", SUPPORT, object="note:1")


@pytest.mark.parametrize("target", ["", "agents", "agent:*", "team:a#member", "*", "Agent", "agent ", None, 5, "agent:", "\u0430gent"])
def test_a_boundary_is_of_a_type_or_of_one_subject(target: Any, engine: Any) -> None:
    """A boundary with a typing error would bound nobody."""
    revision = engine.revision
    assert isinstance(refusal(lambda: engine.boundary(target, "not can_read payment:*")), RequestError)
    assert engine.revision == revision


def test_a_boundary_with_a_where_that_cannot_be_evaluated_denies(engine: Any) -> None:
    engine.write([Tuple("project:secret", "in_project", "ticket:1", condition="small")])
    engine.boundary("agent", "not can_read ticket:* where in_project project:secret")
    session = engine.session(SUPPORT, context_keys=["x"])
    denied(session, "outside_boundary", SUPPORT)
    denied(session, "outside_boundary", SUPPORT, context={"x": 5})
    assert allowed(session, "can_read", "ticket:1", context={"x": 50})
    assert allowed(session, "can_read", "ticket:2")
    engine.boundary("agent", "can_read ticket:* where in_project project:secret")
    denied(session, "outside_boundary", SUPPORT)
    assert allowed(session, "can_read", "ticket:1", context={"x": 5})


def test_a_name_that_begins_like_a_type_has_its_boundary_all_the_same(engine: Any) -> None:
    """A target is told from a subject by its colon alone, and an agent's id may be any text."""
    odd = "agent:agent"
    engine.write(grants(odd))
    engine.boundary("agent:agent", "can_read ticket:1")
    denied(engine.session(odd), "outside_boundary", odd, object="ticket:2")
    assert allowed(engine.session(SUPPORT), "can_read", "ticket:2")


# Settings


def test_where_a_record_is_required_an_unrecorded_session_is_refused_and_an_open_one_denied(engine: Any) -> None:
    session = engine.session(SUPPORT, on_behalf_of=ANNE, scope=list(EVERYTHING))
    assert allowed(session, "can_read", "ticket:1")
    engine.configure(require_delegation=["agent"])
    denied(session, "delegation_required", SUPPORT)
    nothing(session)
    for authority in ("both", "lent"):
        with pytest.raises(RequestError) as caught:
            engine.session(SUPPORT, on_behalf_of=ANNE, scope=list(EVERYTHING), authority=authority)
        assert caught.value.code == "delegation_required"
    assert allowed(engine.session(SUPPORT), "can_read", "ticket:1")
    assert allowed(delegated(engine), "can_read", "ticket:1")
    engine.configure(require_delegation=[])
    assert allowed(session, "can_read", "ticket:1")


def test_a_setting_is_replaced_whole_and_leaves_the_others(engine: Any) -> None:
    engine.configure(require_delegation=["agent"], bind={"current_time": "clock"})
    engine.configure(require_delegation=["user", "agent"])
    assert code_of(lambda: engine.session(SUPPORT, on_behalf_of=ANNE, scope=[])) == "delegation_required"
    assert code_of(lambda: engine.session(SUPPORT, context_keys=["current_time"]).check("can_read", "ticket:1", context={"current_time": "x"})) == (
        "context_refused"
    )
    engine.configure(bind={})
    assert code_of(lambda: engine.session(SUPPORT, on_behalf_of=ANNE, scope=[])) == "delegation_required"


@pytest.mark.parametrize(
    "bad",
    [
        {"require_delegation": "agent"},
        {"require_delegation": ["agents"]},
        {"require_delegation": [5]},
        {"require_delegation": True},
        {"require_delegation": ["agent:support"]},
        {"bind": {"current_time": "caller"}},
        {"bind": {"current_time": None}},
        {"bind": ["current_time"]},
        {"bind": {5: "clock"}},
        {"bind": "current_time"},
    ],
)
def test_a_setting_that_would_protect_nothing_is_refused(bad: dict[str, Any], engine: Any) -> None:
    revision = engine.revision
    assert isinstance(refusal(lambda: engine.configure(**bad)), RequestError)
    assert engine.revision == revision


# Contexts


def conditioned(engine: Any) -> None:
    """Ticket 20 is read until an instant, ticket 21 while x is small; by anne and the agent alike."""
    until_ = {"until": "1970-01-01T00:20:00Z"}
    for subject in (ANNE, SUPPORT):
        engine.write(
            [Tuple(subject, "reader", "ticket:20", condition="fresh", context=until_), Tuple(subject, "reader", "ticket:21", condition="small")]
        )


def test_only_keys_that_were_named_are_taken(engine: Any) -> None:
    conditioned(engine)
    id = engine.delegate(by=ANNE, to=SUPPORT, scope=list(EVERYTHING))
    for session in (engine.session(id), engine.session(id, context_keys=["y", "X", "x "])):
        for call in (
            lambda: session.check("can_read", "ticket:21", context={"x": 1}),  # noqa: B023
            lambda: session.decide("can_read", "ticket:21", context={"x": 1}),  # noqa: B023
            lambda: session.check_objects("can_read", ["ticket:21"], context={"x": 1}),  # noqa: B023
            lambda: session.filter_objects("can_read", ["ticket:21"], context={"x": 1}),  # noqa: B023
            lambda: session.batch_check([("can_read", "ticket:21")], context={"x": 1}),  # noqa: B023
            lambda: session.list_objects("can_read", "ticket", context={"x": 1}),  # noqa: B023
            lambda: session.list_relations("ticket:21", context={"x": 1}),  # noqa: B023
            lambda: session.reach(context={"x": 1}),  # noqa: B023
            lambda: session.check("can_read", "ticket:1", context={"nothing": 1}),  # noqa: B023
        ):
            assert refusal(call).code == "context_refused"
        assert refusal(lambda: session.check("can_read", "ticket:21")).code == "context_missing"  # noqa: B023
        denied(session, "undetermined", ANNE, object="ticket:21")
    session = engine.session(id, context_keys=["x"])
    assert allowed(session, "can_read", "ticket:21", context={"x": 1})
    assert not allowed(session, "can_read", "ticket:21", context={"x": 10})
    denied(session, "undetermined", ANNE, object="ticket:21", context={"x": "text"})
    assert session.decide("can_read", "ticket:21").error.code == "context_missing"


def test_the_sessions_own_context_is_not_the_callers(engine: Any) -> None:
    conditioned(engine)
    id = engine.delegate(by=ANNE, to=SUPPORT, scope=list(EVERYTHING))
    session = engine.session(id, context={"x": 50})
    assert not allowed(session, "can_read", "ticket:21")
    assert refusal(lambda: session.check("can_read", "ticket:21", context={"x": 1})).code == "context_refused"
    try:
        both = engine.session(id, context={"x": 50}, context_keys=["x"])
    except RequestError as error:
        assert error.code == "context_refused"  # noqa: PT017
    else:
        assert refusal(lambda: both.check("can_read", "ticket:21", context={"x": 1})).code == "context_refused"


def test_the_tuples_own_context_wins_over_all(engine: Any) -> None:
    engine.write([Tuple(SUPPORT, "reader", "ticket:22", condition="small", context={"x": 50})])
    assert not allowed(engine.session(SUPPORT, context={"x": 1}), "can_read", "ticket:22")
    assert not allowed(engine.session(SUPPORT, context_keys=["x"]), "can_read", "ticket:22", context={"x": 1})


def test_a_missing_parameter_is_an_error_and_never_a_yes(engine: Any) -> None:
    conditioned(engine)
    for session in (delegated(engine), engine.session(SUPPORT), engine.session(SUPPORT, context={}, context_keys=["x"])):
        denied(session, "undetermined", object="ticket:21")
        assert refusal(lambda: session.check("can_read", "ticket:21")).code == "context_missing"  # noqa: B023
        assert "ticket:21" not in session.list_objects("can_read", "ticket", on_missing_context="report")
        assert "ticket:21" in session.list_objects("can_read", "ticket", on_missing_context="report").undetermined


def test_one_that_does_not_hold_denies_whatever_of_another_cannot_be_told(engine: Any) -> None:
    """In either order."""
    engine.write([Tuple(ANNE, "reader", "ticket:23", condition="small"), Tuple(SUPPORT, "reader", "ticket:24", condition="small")])
    denied(delegated(engine), "not_held", SUPPORT, object="ticket:23")
    denied(delegated(engine), "not_held", ANNE, object="ticket:24")
    assert delegated(engine).check("can_read", "ticket:23") is False
    assert delegated(engine).check("can_read", "ticket:24") is False


def test_the_clock_is_not_the_callers(engine: Any, clock: Clock) -> None:
    """Once bound, nobody brings another time: not the session, not its maker, not a question of the engine."""
    conditioned(engine)
    engine.configure(bind={"current_time": "clock"})
    session = delegated(engine)
    assert allowed(session, "can_read", "ticket:20")
    clock.seconds = 1_200
    assert not allowed(session, "can_read", "ticket:20")
    early = {"current_time": "1970-01-01T00:00:00Z"}
    for keys in ((), ("current_time",)):
        try:
            other = engine.session(SUPPORT, context_keys=keys)
        except RequestError as error:
            assert error.code == "context_refused"  # noqa: PT017
            continue
        assert refusal(lambda: other.check("can_read", "ticket:20", context=early)).code == "context_refused"  # noqa: B023
    try:
        own = engine.session(SUPPORT, context=early)
    except RequestError as error:
        assert error.code == "context_refused"  # noqa: PT017
    else:
        assert not allowed(own, "can_read", "ticket:20")
    try:
        assert engine.check(SUPPORT, "can_read", "ticket:20", context=early) is False
    except RequestError as error:
        assert error.code == "context_refused"  # noqa: PT017


def test_a_clock_that_is_bound_later_binds_the_sessions_that_are_open(engine: Any, clock: Clock) -> None:
    conditioned(engine)
    early = {"current_time": "1970-01-01T00:00:00Z"}
    own = engine.session(SUPPORT, context=early)
    caller = engine.session(SUPPORT, context_keys=["current_time"])
    clock.seconds = 1_200
    assert allowed(own, "can_read", "ticket:20")
    assert allowed(caller, "can_read", "ticket:20", context=early)
    engine.configure(bind={"current_time": "clock"})
    assert not allowed(own, "can_read", "ticket:20")
    assert refusal(lambda: caller.check("can_read", "ticket:20", context=early)).code == "context_refused"


def test_the_bound_clock_is_the_one_instant_of_the_question(clock: Clock) -> None:
    """The clock moves with each look; anne's right ends where the agent's begins, so no instant allows it."""
    looks = {"count": 0, "step": 0}

    def moving() -> float:
        looks["count"] += looks["step"]
        return START + looks["count"]

    model = MODEL.replace("current_time < until", "current_time < until && current_time >= start").replace(
        "until: timestamp", "until: timestamp, start: timestamp"
    )
    with fgacore.open(":memory:", clock=moving) as engine:
        any_engine: Any = engine
        engine.write_model(model)

        def when(second: int) -> str:
            return at(START + second).strftime("%Y-%m-%dT%H:%M:%SZ")

        for second in range(0, 400, 2):
            name = f"ticket:at-{second}"
            engine.write([Tuple(ANNE, "reader", name, condition="fresh", context={"start": when(second), "until": when(second + 1)})])
            engine.write([Tuple(SUPPORT, "reader", name, condition="fresh", context={"start": when(second + 1), "until": when(second + 2)})])
        any_engine.configure(bind={"current_time": "clock"})
        session = any_engine.session(SUPPORT, on_behalf_of=ANNE, scope=["can_read ticket:*"])
        looks["step"] = 1
        names = [f"ticket:at-{second}" for second in range(0, 400, 2)]
        for _ in range(20):
            assert session.check_objects("can_read", names) == [False] * len(names)
            assert list(session.list_objects("can_read", "ticket")) == []
            assert not session.check("can_read", names[0])


@pytest.mark.parametrize("bad", [5, "x", ["x"], {5: 1}, {None: 1}, [("x", 1)], True])
def test_a_context_is_a_mapping_by_text(bad: Any, engine: Any) -> None:
    session = engine.session(SUPPORT, context_keys=["x"])
    for call in (lambda: session.check("can_read", "ticket:1", context=bad), lambda: engine.session(SUPPORT, context=bad)):
        assert isinstance(refusal(call), RequestError)


@pytest.mark.parametrize("bad", ["x", 5, [5], [None], b"x", True])
def test_keys_are_a_list_of_texts(bad: Any, engine: Any) -> None:
    assert isinstance(refusal(lambda: engine.session(SUPPORT, context_keys=bad)), RequestError)


@pytest.mark.parametrize("name", ["check", "decide", "check_objects", "filter_objects", "batch_check", "list_objects", "list_relations", "reach"])
def test_a_session_takes_no_tuples_and_no_model_of_the_caller(name: str, engine: Any) -> None:
    session = engine.session("agent:nobody")
    arguments = {
        "check": ("can_read", "ticket:1"),
        "decide": ("can_read", "ticket:1"),
        "check_objects": ("can_read", ["ticket:1"]),
        "filter_objects": ("can_read", ["ticket:1"]),
        "batch_check": ([("can_read", "ticket:1")],),
        "list_objects": ("can_read", "ticket"),
        "list_relations": ("ticket:1",),
        "reach": (),
    }[name]
    for options in ({"contextual_tuples": [("agent:nobody", "reader", "ticket:1")]}, {"model_id": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}):
        with pytest.raises((TypeError, RequestError)):
            getattr(session, name)(*arguments, **options)


def test_a_question_of_a_batch_brings_nothing_of_its_own(engine: Any) -> None:
    """Neither a subject, nor a context or tuples in an item."""
    session = engine.session("agent:nobody")
    tuples = [("agent:nobody", "reader", "ticket:1")]
    for item in (
        (SUPPORT, "can_read", "ticket:1"),
        ("can_read", "ticket:1", {"contextual_tuples": tuples}),
        fgacore.Question(SUPPORT, "can_read", "ticket:1"),
        fgacore.Question("agent:nobody", "can_read", "ticket:1", contextual_tuples=tuples),
        "can_read ticket:1",
        ("can_read",),
        None,
        5,
    ):
        try:
            found = session.batch_check([item])
        except RequestError:
            continue
        assert list(found) == [False]
        assert 0 in found.errors


# Questions


def test_answers_do_not_run_into_each_other(engine: Any) -> None:
    """Two questions about one object, the same one twice, and one at fault between others."""
    engine.delete(subject=SUPPORT, object="ticket:2")
    session = delegated(engine, scope=["can_read ticket:*", "can_update_status ticket:1", "not can_read ticket:3"])
    found = session.batch_check(
        [
            ("can_read", "ticket:1"),
            ("can_update_status", "ticket:1"),
            ("can_read", "ticket:2"),
            ("can_read", "tick et:1"),
            ("nothing", "ticket:1"),
            ("can_read", "ticket:3"),
            ("can_read", "ticket:1"),
        ]
    )
    assert list(found) == [True, True, False, False, False, False, True]
    assert set(found.errors) == {3, 4}
    assert session.check_objects("can_read", ["ticket:1", "ticket:2", "ticket:1", "ticket:3", "ticket:1"]) == [True, False, True, False, True]
    assert session.filter_objects("can_read", ["ticket:3", "ticket:1", "ticket:2", "ticket:1"]) == ["ticket:1", "ticket:1"]
    assert session.check_objects("can_read", []) == []
    assert list(session.batch_check([])) == []


@pytest.mark.parametrize(
    "name",
    [
        "",
        "ticket",
        "ticket:",
        "ticket:*",
        "ticket:*a",
        "tickets:1",
        "ticket:1#reader",
        "user:anne#x",
        "ticket:a b",
        "ticket:\ud800",
        "ticket:" + "x" * 300,
    ],
)
def test_a_malformed_object_is_never_allowed(name: str, engine: Any) -> None:
    """Also where the scope names all objects of its type, and everyone may read."""
    engine.write([("agent:*", "reader", "ticket:1")])
    for session in (engine.session(SUPPORT, scope=["can_read ticket:*"]), engine.session(SUPPORT, scope=[]), engine.session(SUPPORT)):
        assert isinstance(refusal(lambda: session.check("can_read", name)), RequestError)  # noqa: B023
        error = refusal(lambda: session.check_objects("can_read", ["ticket:1", name]))  # noqa: B023
        assert error.index == 1
        assert not allowed(session, "can_read", name)


def test_odd_ids_are_what_they_are(engine: Any) -> None:
    """Ids with all the characters that a name may have; in a scope, an exception, and a question."""
    odd = [
        "ticket:a*b",
        "ticket:a/b",
        "ticket:where",
        "ticket:not",
        "ticket:\u00e9",
        "ticket:e\u0301",
        "ticket:1.0",
        "ticket:01",
        "ticket:\u200b1",
        "ticket:%2A",
        "ticket:'",
        'ticket:"',
        "ticket:x,y",
        "ticket:\U0001f600",
        "ticket:|",
        "ticket:a@b",
        "ticket:\u00a0",
    ]
    engine.write([(SUPPORT, "assignee", name) for name in odd])
    for name in odd:
        session = engine.session(SUPPORT, scope=[f"can_read {name}"])
        assert list(session.list_objects("can_read", "ticket")) == [name]
        except_ = engine.session(SUPPORT, scope=["can_read ticket:*", f"not can_read {name}"])
        denied(except_, "out_of_scope", SUPPORT, object=name)
        for other in odd:
            assert session.check("can_read", other) is (other == name)
            assert except_.check("can_read", other) is (other != name)


def test_relations_and_types_that_are_called_like_the_words_of_a_scope() -> None:
    """`not` and `where` may be names: an entry means one thing, or is refused."""
    header = "model\n  schema 1.1\ntype agent\ntype not\n  relations\n    define where: [agent]\n"
    text = f"{header}type where\n  relations\n    define not: [agent]\n    define where: [agent]\n"
    with fgacore.open(":memory:") as opened:
        engine: Any = opened
        engine.write_model(text)
        engine.write([("agent:a", relation, name) for relation, name in (("where", "not:1"), ("not", "where:1"), ("where", "where:1"))])

        def held(*scope: str) -> set[tuple[str, str]]:
            session = engine.session("agent:a", scope=list(scope))
            return {pair for pair in (("where", "not:1"), ("not", "where:1"), ("where", "where:1")) if session.check(*pair)}

        assert held("where not:*") == {("where", "not:1")}
        assert held("not where:*") == {("not", "where:1")}, "of two words, the first is the relation"
        assert held("where where:*", "not where where:1") == set()
        assert held("not where:1", "where where:* where not agent:a") == {("not", "where:1"), ("where", "where:1")}
        assert held("not where:*", "not not where:1") == set()


def test_lists_are_whole(engine: Any) -> None:
    """Thousands of objects: nothing is cut short and taken for all."""
    names = [f"ticket:many-{number}" for number in range(5_000)]
    engine.write([(subject, "assignee", name) for name in names for subject in (ANNE, SUPPORT)])
    session = delegated(engine, scope=["can_read ticket:*", "not can_read ticket:many-17", "not can_read ticket:1"])
    due = ({*names} - {"ticket:many-17"}) | {"ticket:2", "ticket:3"}
    assert set(session.list_objects("can_read", "ticket")) == due
    assert set(session.filter_objects("can_read", [*names, *ASSIGNED])) == due
    assert set(session.reach().definite["ticket", "can_read"]) == due
    assert sum(session.check_objects("can_read", names)) == len(names) - 1


def test_no_list_remembers_what_was_allowed(engine: Any) -> None:
    """Every door, again and again, over every way to end it."""
    session = delegated(engine, redelegations=1)
    child = engine.session(session.delegate(to=HELPER, scope=list(EVERYTHING)))
    stops: list[tuple[Callable[[], Any], Callable[[], Any]]] = [
        (lambda: engine.suspend(ANNE), lambda: engine.resume(ANNE)),
        (lambda: engine.boundary("agent", "not can_read ticket:1"), lambda: engine.lift_boundary("agent")),
        (lambda: engine.delete(subject=SUPPORT, object="ticket:1"), lambda: engine.write([(SUPPORT, "assignee", "ticket:1")])),
        (lambda: engine.write([(ANNE, "barred", "ticket:1")]), lambda: engine.delete(relation="barred")),
        (
            lambda: engine.write_model(MODEL.replace("define can_read: (reader or assignee)", "define can_read: reader")),
            lambda: engine.write_model(MODEL),
        ),
        (lambda: engine.boundary(SUPPORT, "can_read ticket:2"), lambda: engine.lift_boundary(SUPPORT)),
    ]
    for _ in range(3):
        for stop, start in stops:
            for _ in range(3):
                assert allowed(session, "can_read", "ticket:1")
                assert allowed(child, "can_read", "ticket:1")
            stop()
            for _ in range(3):
                assert not allowed(session, "can_read", "ticket:1")
                assert not allowed(child, "can_read", "ticket:1")
            engine.merge()
            assert not allowed(child, "can_read", "ticket:1")
            start()
    engine.revoke(session.delegation)
    nothing(child)


def test_a_tuple_that_expires_ends_it_for_the_chain(engine: Any, clock: Clock) -> None:
    for subject, name in ((ANNE, "ticket:30"), (SUPPORT, "ticket:31")):
        other = SUPPORT if subject == ANNE else ANNE
        engine.write([Tuple(subject, "assignee", name, expires_at=at(START + 5)), (other, "assignee", name)])
    session = delegated(engine)
    assert allowed(session, "can_read", "ticket:30")
    assert allowed(session, "can_read", "ticket:31")
    clock.seconds += 5
    denied(session, "not_held", ANNE, object="ticket:30")
    denied(session, "not_held", SUPPORT, object="ticket:31")


def test_a_store_without_a_model_allows_nothing() -> None:
    with fgacore.open(":memory:") as opened:
        engine: Any = opened
        assert code_of(lambda: nothing(engine.session(SUPPORT))) in ("no_model", "type_not_found", "invalid_principal")
        assert code_of(lambda: engine.delegate(by=ANNE, to=SUPPORT, scope=["can_read ticket:*"])) != "done"


def test_the_order_of_denials_names_the_worst_first(engine: Any, clock: Clock) -> None:
    """All at once, then taken away one by one."""
    ids = chain_of(engine, ANNE, SUPPORT, HELPER, scope=["can_read note:*"], expires_in=10)
    session = engine.session(ids[-1])
    engine.delete(subject=ANNE)
    engine.boundary(ANNE, "not can_read ticket:*")
    clock.seconds += 10
    engine.suspend(HELPER)
    denied(session, "suspended", HELPER)
    engine.revoke(ids[0])
    denied(session, "delegation_revoked", SUPPORT)
    fresh = engine.session(SUPPORT, on_behalf_of=ANNE, scope=["can_read note:*"], expires_in=1)
    clock.seconds += 1
    denied(fresh, "expired", SUPPORT)
    engine.configure(require_delegation=["agent"])
    denied(fresh, "delegation_required", SUPPORT)
    engine.configure(require_delegation=[])
    fresh = engine.session(SUPPORT, on_behalf_of=ANNE, scope=["can_read note:*"])
    denied(fresh, "outside_boundary", ANNE)
    engine.lift_boundary(ANNE)
    denied(fresh, "out_of_scope", SUPPORT)
    fresh = engine.session(SUPPORT, on_behalf_of=ANNE, scope=list(EVERYTHING))
    denied(fresh, "not_held", ANNE)


# Stores and processes


def test_what_one_engine_records_binds_the_sessions_of_another(path: Path, clock: Clock) -> None:
    with fgacore.open(path, clock=clock) as left_, fgacore.open(path, clock=clock) as right_:
        left: Any = left_
        right: Any = right_
        id = left.delegate(by=ANNE, to=SUPPORT, scope=list(EVERYTHING), redelegations=1)
        right.wait_for(left.revision, timeout=20)
        session = right.session(id)
        assert allowed(session, "can_read", "ticket:1")
        child = left.session(id).delegate(to=HELPER, scope=list(EVERYTHING))
        right.wait_for(left.revision, timeout=20)
        below = right.session(child)
        for stop, start in (
            (lambda: left.suspend(SUPPORT), lambda: left.resume(SUPPORT)),
            (lambda: left.boundary("agent", "can_read note:*"), lambda: left.lift_boundary("agent")),
            (lambda: left.delete(subject=SUPPORT, object="ticket:1"), lambda: left.write([(SUPPORT, "assignee", "ticket:1")])),
        ):
            revision = stop()
            assert code_of(lambda: session.check("can_read", "ticket:1", at_least=left.revision)) in ("done", "stale")
            right.wait_for(revision, timeout=20)
            for item in (session, below):
                assert not allowed(item, "can_read", "ticket:1")
            right.wait_for(start(), timeout=20)
            assert allowed(below, "can_read", "ticket:1")
        revision = right.revoke(id)
        left.wait_for(revision, timeout=20)
        nothing(below)
        nothing(left.session(child) if code_of(lambda: left.session(child)) == "done" else below)


def test_a_follower_that_is_behind_says_so_and_does_not_wait(path: Path, clock: Clock) -> None:
    with fgacore.open(path, clock=clock) as opened:
        engine: Any = opened
        session = delegated(engine)
        ahead = engine.revision + 1
        for call in (
            lambda: session.check("can_read", "ticket:1", at_least=ahead),
            lambda: session.decide("can_read", "ticket:1", at_least=ahead),
            lambda: session.check_objects("can_read", ASSIGNED, at_least=ahead),
            lambda: session.filter_objects("can_read", ASSIGNED, at_least=ahead),
            lambda: session.batch_check([("can_read", "ticket:1")], at_least=ahead),
            lambda: session.list_objects("can_read", "ticket", at_least=ahead),
            lambda: session.list_relations("ticket:1", at_least=ahead),
            lambda: session.reach(at_least=ahead),
        ):
            error = refusal(call)
            assert isinstance(error, StoreError)
            assert error.code == "stale"
        engine.suspend(SUPPORT)
        assert session.check("can_read", "ticket:1", at_least=ahead) is False


def test_a_follower_without_news_for_too_long_stops_answering(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The news do not come: a suspension may be among them, so after max_staleness nothing is answered."""
    with fgacore.open(path, clock=lambda: START) as writer_, fgacore.open(path, clock=lambda: START, read_only=True, max_staleness=0.5) as opened:
        writer: Any = writer_
        id = writer.delegate(by=ANNE, to=SUPPORT, scope=list(EVERYTHING))
        opened.wait_for(writer.revision, timeout=20)
        engine: Any = opened
        session = engine.session(id)
        assert session.check("can_read", "ticket:1")
        log = engine._store.log

        def unreachable(*_: Any, **__: Any) -> Any:
            raise StoreError("the log is out of reach")

        for name in dir(log):
            if name in ("news", "rows", "read", "head", "since", "wait", "poll", "records"):
                monkeypatch.setattr(log, name, unreachable)
        writer.suspend(SUPPORT)

        def silent() -> bool:
            try:
                return session.check("can_read", "ticket:1") is False  # the news came all the same
            except StoreError as error:
                return error.code in ("stale", "store_unavailable")

        until(silent)
        for call in (lambda: session.decide("can_read", "ticket:1"), lambda: session.check_objects("can_read", ASSIGNED)):
            try:
                found = call()
            except StoreError as error:
                assert error.code in ("stale", "store_unavailable")  # noqa: PT017
            else:
                assert not (any(found) if isinstance(found, list) else found)
        monkeypatch.undo()


def test_an_engine_for_reading_changes_nothing_and_is_bound_by_all(path: Path, clock: Clock) -> None:
    with fgacore.open(path, clock=clock) as opened:
        writer: Any = opened
        id = writer.delegate(by=ANNE, to=SUPPORT, scope=list(EVERYTHING), redelegations=1)
        writer.boundary("agent", "not can_read payment:*")
        writer.suspend(HELPER)
        writer.configure(require_delegation=["agent"])
    with fgacore.open(path, clock=clock, read_only=True) as opened:
        engine: Any = opened
        session = engine.session(id)
        assert allowed(session, "can_read", "ticket:1")
        denied(session, "outside_boundary", SUPPORT, object="payment:1")
        denied(engine.session(HELPER), "suspended", HELPER)
        assert code_of(lambda: engine.session(SUPPORT, on_behalf_of=ANNE, scope=[])) == "delegation_required"
        revision = engine.revision
        for call in (
            lambda: engine.resume(HELPER),
            lambda: engine.suspend(SUPPORT),
            lambda: engine.lift_boundary("agent"),
            lambda: engine.boundary("agent", "can_read ticket:*"),
            lambda: engine.revoke(id),
            lambda: engine.delegate(by=ANNE, to=SUPPORT, scope=list(EVERYTHING)),
            lambda: engine.configure(require_delegation=[]),
            lambda: session.delegate(to=LAST, scope=list(EVERYTHING)),
        ):
            assert code_of(call) == "read_only"
        assert engine.revision == revision


def test_the_past_cannot_be_changed_and_says_what_was(engine: Any) -> None:
    session = delegated(engine)
    allowed_at = engine.revision
    engine.suspend(SUPPORT)
    suspended_at = engine.revision
    engine.revoke(session.delegation)
    with engine.at(allowed_at) as past:
        assert allowed(past.session(session.delegation), "can_read", "ticket:1")
        for call in (lambda: past.suspend(SUPPORT), lambda: past.delegate(by=ANNE, to=SUPPORT, scope=[]), lambda: past.revoke(session.delegation)):
            assert code_of(call) == "read_only"
    with engine.at(suspended_at) as past:
        denied(past.session(session.delegation), "suspended", SUPPORT)
    with engine.at(allowed_at - 1) as past:
        assert code_of(lambda: past.session(session.delegation)) == "delegation_not_found"
    nothing(session)


def test_a_session_of_a_closed_engine_answers_nothing(path: Path, clock: Clock) -> None:
    engine: Any = fgacore.open(path, clock=clock)
    session = delegated(engine, redelegations=1)
    assert session.check("can_read", "ticket:1")
    engine.close()
    for call in (
        lambda: session.check("can_read", "ticket:1"),
        lambda: session.decide("can_read", "ticket:1"),
        lambda: session.check_objects("can_read", ASSIGNED),
        lambda: session.filter_objects("can_read", ASSIGNED),
        lambda: session.batch_check([("can_read", "ticket:1")]),
        lambda: session.list_objects("can_read", "ticket"),
        lambda: session.list_relations("ticket:1"),
        lambda: session.reach(),
        lambda: session.delegate(to=HELPER, scope=list(EVERYTHING)),
        lambda: engine.session(session.delegation),
        lambda: engine.session(SUPPORT),
        lambda: engine.delegations(),
        lambda: engine.suspensions(),
        lambda: engine.suspend(SUPPORT),
        lambda: engine.boundary("agent", "can_read ticket:*"),
        lambda: engine.boundaries(),
        lambda: engine.configure(require_delegation=[]),
        lambda: engine.revoke(session.delegation),
        lambda: engine.delegate(by=ANNE, to=SUPPORT, scope=[]),
    ):
        assert code_of(call) == "closed"


@pytest.mark.parametrize("how", ["reopen", "snapshot", "compact", "merge"])
def test_what_stops_sessions_outlives_the_process_a_snapshot_and_a_compaction(how: str, path: Path, clock: Clock) -> None:
    with fgacore.open(path, clock=clock) as opened:
        engine: Any = opened
        good, gone, over = (
            engine.delegate(by=ANNE, to=SUPPORT, scope=list(EVERYTHING), redelegations=1, expires_in=seconds) for seconds in (None, None, 10)
        )
        child = engine.session(gone).delegate(to=HELPER, scope=list(EVERYTHING))
        narrowed = engine.session(engine.session(good, scope=["can_read ticket:1"]).delegate(to=HELPER, scope=list(EVERYTHING))).delegation
        engine.revoke(gone)
        engine.suspend(LAST, by=ANNE, reason="why")
        engine.boundary("agent", "not can_read payment:*")
        engine.configure(require_delegation=["agent"], bind={"current_time": "clock"})
        since = engine.suspensions()[0].since
        clock.seconds += 10
        if how != "reopen":
            getattr(engine, how)()
        before = engine.revision
    clock.seconds = START
    with fgacore.open(path, clock=clock) as opened:
        engine = opened
        assert engine.revision == before
        assert allowed(engine.session(good), "can_read", "ticket:1")
        denied(engine.session(good), "outside_boundary", SUPPORT, object="payment:1")
        denied(engine.session(narrowed), "out_of_scope", object="ticket:2")
        denied(engine.session(LAST), "suspended", LAST)
        assert isinstance(since, datetime)
        assert [(item.subject, item.by, item.reason, item.since) for item in engine.suspensions()] == [(LAST, ANNE, "why", since)]
        assert code_of(lambda: engine.session(SUPPORT, on_behalf_of=ANNE, scope=[])) == "delegation_required"
        assert code_of(lambda: engine.session(SUPPORT, context_keys=["current_time"]).check("can_read", "ticket:1", context={"current_time": 1})) == (
            "context_refused"
        )
        for id in (gone, child, over):
            if id is over and how == "reopen":
                clock.seconds = START + 10  # in the log there is no later instant than this
            assert code_of(lambda id=id: nothing(engine.session(id))) in ("done", "delegation_not_found", "invalid_delegation", "delegation_revoked")
        assert {item.id for item in engine.delegations(active=True)} == {good, narrowed}


def test_a_session_goes_on_over_a_compaction_with_the_right_names(path: Path, clock: Clock) -> None:
    """Names are numbered anew: whoever gets a number of before must not get what it had."""
    with fgacore.open(path, clock=clock) as opened:
        engine: Any = opened
        engine.write([(f"agent:filler-{number}", "assignee", f"ticket:filler-{number}") for number in range(50)])
        engine.write(grants("user:late", "agent:late"))
        session = engine.session(
            engine.delegate(by="user:late", to="agent:late", scope=["can_read ticket:1", "can_read ticket:filler-3", "not can_read ticket:2"])
        )
        assert allowed(session, "can_read", "ticket:1")
        for number in range(50):
            engine.delete(subject=f"agent:filler-{number}")
        engine.delete(subject=LAST)
        engine.compact()
        assert allowed(session, "can_read", "ticket:1")
        for name in ("ticket:2", "ticket:3", "note:1"):
            assert not allowed(session, "can_read", name)
        engine.delete(subject="user:late")
        nothing(session)
        engine.compact()
        nothing(session)
        engine.write([(f"user:new-{number}", "assignee", "ticket:1") for number in range(80)])
        nothing(session)


@pytest.mark.parametrize("mode", ["buffered", "sync"])
def test_what_the_log_cannot_keep_is_denied(mode: str, path: Path, clock: Clock) -> None:
    """A file lies where the log's folder would be."""
    with fgacore.open(path, clock=clock) as engine:
        id = engine.delegate(by=ANNE, to=SUPPORT, scope=list(EVERYTHING))  # type: ignore[attr-defined]
    place = path.parent / "elsewhere"
    place.write_text("not a folder")
    log: dict[str, Any] = {"decision_log": mode, "log_directory": place}
    try:
        opened = fgacore.open(path, clock=clock, **log)
    except fgacore.FgaError:
        return  # found at once: there is no session to ask
    with opened:
        engine_: Any = opened
        session = engine_.session(id)

        def kept_from() -> bool:
            decision = session.decide("can_read", "ticket:1")
            return (decision.allowed, decision.code) == (False, "log_failed")

        until(kept_from)
        assert session.check("can_read", "ticket:1") is False
        assert session.check_objects("can_read", ASSIGNED) == [False] * 3
        assert session.filter_objects("can_read", ASSIGNED) == []
        assert not any(session.batch_check([("can_read", name) for name in ASSIGNED]))
        assert session.decide("can_read", "ticket:4").code == "not_held", "what is denied anyway keeps its reason"
    assert place.read_text() == "not a folder"
