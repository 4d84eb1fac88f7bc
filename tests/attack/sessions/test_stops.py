"""What ends a session: revocation, suspension, time; in the chain, and for all that hangs below."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import fgacore
from attack.sessions.desk import (
    ANNE,
    ASSIGNED,
    EVERYTHING,
    HELPER,
    LAST,
    MODEL,
    NEVER,
    SUPPORT,
    allowed,
    chain_of,
    code_of,
    delegated,
    denied,
    grants,
    nothing,
)
from attack.worlds import START, Clock, at, refusal
from fgacore import RequestError, StoreError

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


@pytest.mark.parametrize(("above", "below"), [(10, 5), (10, 10), (10, None), (5, 10)])
def test_the_first_link_from_the_root_that_is_over_is_named(above: int, below: int | None, engine: Any, clock: Clock) -> None:
    parent = engine.session(engine.delegate(by=ANNE, to=SUPPORT, scope=list(EVERYTHING), redelegations=1, expires_in=above))
    child = engine.session(parent.delegate(to=HELPER, scope=list(EVERYTHING), expires_in=below))
    clock.seconds += 20
    denied(child, "expired", SUPPORT)


@pytest.mark.parametrize("seconds", [1e9, 1e11, 2.5e11, 3e11, 1e12, 9e12, 10**12, 10**30])
def test_an_end_beyond_the_calendar_is_refused_or_shown(seconds: float, engine: Any) -> None:
    """What is recorded must be shown for ever after: one such record must not end every list."""
    for make in (
        lambda: delegated(engine, expires_in=seconds),
        lambda: engine.session(SUPPORT, expires_in=seconds),
        lambda: engine.session(engine.delegate(by=ANNE, to=SUPPORT, scope=list(EVERYTHING)), expires_in=seconds),
    ):
        try:
            session = make()
        except RequestError:
            continue
        assert session.expires_at > at(START)
        assert allowed(session, "can_read", "ticket:1")
    assert all(item.active and (item.expires_at is None or item.expires_at > at(START)) for item in engine.delegations())


@pytest.mark.parametrize("stop", ["suspend", "revoke"])
def test_one_write_stops_hundreds_that_hang_below(stop: str, engine: Any) -> None:
    """However many and however deep: none is forgotten, whether it was asked before or not."""
    id = engine.delegate(by=ANNE, to=SUPPORT, scope=list(EVERYTHING), redelegations=9)
    engine.write([(f"agent:{number}", "assignee", "ticket:1") for number in range(400)])
    made = [engine.session(id)]
    for number in range(400):
        above = made[number // 5]  # each hands on to five
        left = 9 - len(above.principals) + 1
        made.append(engine.session(above.delegate(to=f"agent:{number}", scope=list(EVERYTHING), redelegations=left)))
    assert all(session.check("can_read", "ticket:1") for session in made[::2])
    before = engine.revision
    if stop == "suspend":
        engine.suspend(SUPPORT)
    else:
        engine.revoke(id)
    assert engine.revision == before + 1
    codes = {(decision.allowed, decision.code, decision.principal) for decision in (session.decide("can_read", "ticket:1") for session in made)}
    assert codes == {(False, "suspended" if stop == "suspend" else "delegation_revoked", SUPPORT)}
    assert not any(any(session.check_objects("can_read", ASSIGNED)) for session in made)
    assert engine.delegations(active=True) == []


@pytest.mark.parametrize("on_disk", [False, True])
def test_the_end_of_a_session_alone_is_watched(on_disk: bool, engine: Any, path: Path, clock: Clock) -> None:
    """Where nothing else in the store ever ends: no tuple, no delegation."""
    opened: Any = fgacore.open(path, clock=clock, read_only=True) if on_disk else engine
    with opened:
        sessions = [opened.session(SUPPORT, expires_in=10), opened.session(SUPPORT, on_behalf_of=ANNE, scope=list(EVERYTHING), expires_in=10)]
        for session in sessions:
            assert allowed(session, "can_read", "ticket:1")
        clock.seconds += 9
        for session in sessions:
            assert session.check("can_read", "ticket:1")
        clock.seconds += 1
        for session in sessions:
            assert session.check("can_read", "ticket:1") is False
            denied(session, "expired", SUPPORT)
            nothing(session)


@pytest.mark.parametrize("door", ["check", "decide", "check_objects", "filter_objects", "batch_check", "list_objects", "list_relations", "reach"])
def test_every_door_looks_at_the_clock_first(door: str, engine: Any, clock: Clock) -> None:
    """It is the first that is asked after the end."""
    session = engine.session(SUPPORT, expires_in=10)
    doors = {
        "check": lambda: session.check("can_read", "ticket:1"),
        "decide": lambda: bool(session.decide("can_read", "ticket:1")),
        "check_objects": lambda: any(session.check_objects("can_read", ASSIGNED)),
        "filter_objects": lambda: bool(session.filter_objects("can_read", ASSIGNED)),
        "batch_check": lambda: any(session.batch_check([("can_read", "ticket:1")])),
        "list_objects": lambda: len(session.list_objects("can_read", "ticket")) > 0,
        "list_relations": lambda: "can_read" in session.list_relations("ticket:1"),
        "reach": lambda: len(session.reach().definite["ticket", "can_read"]) > 0,
    }
    assert doors[door]() is True
    clock.seconds += 10
    assert doors[door]() is False
