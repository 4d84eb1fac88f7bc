"""Sessions of several engines, of the past, of a closed engine, and over all that a store lives through."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
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
    SUPPORT,
    allowed,
    code_of,
    delegated,
    denied,
    grants,
    nothing,
)
from attack.worlds import START, Clock, at, refusal
from faults import tasks
from faults.peer import Peer, until
from fgacore import StoreError
from postgres import StoreUrl


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


def test_a_model_written_in_memory_has_the_time_of_the_clock(clock: Clock) -> None:
    """A clock that is bound stands at the time of the record, when the past is asked."""
    with fgacore.open(":memory:", clock=clock) as opened:
        opened.write_model(MODEL)
        clock.seconds += 10
        opened.write_model(MODEL)
        assert [change.time for change in opened.changes()] == [START, START + 10]
        with opened.at(1) as past:
            assert past.reach(SUPPORT).instant == at(START)


@pytest.mark.parametrize("how", ["merge", "snapshot", "close"])
def test_a_moment_of_the_past_stands_at_its_record_whatever_snapshot_it_is_read_from(how: str, path: Path, clock: Clock) -> None:
    engine: Any = fgacore.open(path, clock=clock)
    id = engine.delegate(by=ANNE, to=SUPPORT, scope=list(EVERYTHING), expires_in=3)
    revision = engine.revision
    clock.seconds += 5
    denied(engine.session(id), "expired", SUPPORT)
    getattr(engine, how)()
    if how == "close":
        engine = fgacore.open(path, clock=clock)
    with engine, engine.at(revision) as past:
        decision = past.session(id).decide("can_read", "ticket:1")
        assert (decision.code, decision.instant) == ("allowed", at(START))


def test_a_delegation_made_by_another_process_is_used_and_stopped_here(path: Path, peer: Callable[[], Peer]) -> None:
    """And one of here there."""
    with fgacore.open(path) as opened:
        engine: Any = opened
        other = peer()
        other.run(tasks.open, os.fspath(path))
        id = other.call("delegate", by=ANNE, to=SUPPORT, scope=list(EVERYTHING), redelegations=1)
        engine.wait_for(other.call("revision"), timeout=20)
        session = engine.session(id)
        assert allowed(session, "can_read", "ticket:1")
        child = engine.session(session.delegate(to=HELPER, scope=list(EVERYTHING)))
        assert allowed(child, "can_read", "ticket:1")
        other.call("wait_for", engine.revision, timeout=20)
        assert other.run(tasks.session_decides, child.delegation, "can_read", "ticket:1") == "allowed"
        engine.wait_for(other.call("revoke", id), timeout=20)
        denied(child, "delegation_revoked", SUPPORT)
        assert other.run(tasks.session_decides, child.delegation, "can_read", "ticket:1") == "delegation_revoked"
        revision = engine.suspend(ANNE)
        other.call("wait_for", revision, timeout=20)
        fresh = other.call("delegate", by="agent:last", to="agent:helper", scope=list(EVERYTHING))
        engine.wait_for(other.call("revision"), timeout=20)
        assert allowed(engine.session(fresh), "can_read", "ticket:1")
        other.kill()
        denied(child, "delegation_revoked", SUPPORT)
        engine.suspend(LAST)
        denied(engine.session(fresh), "suspended", LAST)


def test_a_child_of_a_fork_is_bound_by_what_the_parent_records_later(path: Path, peer: Callable[[], Peer]) -> None:
    """A session that was made before the fork, asked on both sides of it."""
    found = peer().run(tasks.fork_with_session, os.fspath(path), ANNE, SUPPORT, list(EVERYTHING))
    assert found == ["allowed", "allowed", "suspended", "suspended"]


def test_machines_that_share_a_log_share_what_stops_sessions(postgres: StoreUrl) -> None:
    """As two engines over one directory, over PostgreSQL."""
    with fgacore.open(postgres()) as left_, fgacore.open(postgres()) as right_:
        left: Any = left_
        right: Any = right_
        left.write_model(MODEL)
        left.write(grants(ANNE, SUPPORT, HELPER))
        id = left.delegate(by=ANNE, to=SUPPORT, scope=list(EVERYTHING), redelegations=1, expires_in=3_600)
        child = left.session(id).delegate(to=HELPER, scope=["can_read ticket:*"])
        right.wait_for(left.revision, timeout=30)
        session, below = right.session(id), right.session(child)
        assert allowed(below, "can_read", "ticket:1")
        for stop, start, code in (
            (lambda: left.suspend(SUPPORT), lambda: left.resume(SUPPORT), "suspended"),
            (lambda: left.boundary("agent", "can_read note:*"), lambda: left.lift_boundary("agent"), "outside_boundary"),
        ):
            right.wait_for(stop(), timeout=30)
            denied(below, code, SUPPORT)
            right.wait_for(start(), timeout=30)
            assert allowed(below, "can_read", "ticket:1")
        left.wait_for(right.revoke(id), timeout=30)
        denied(left.session(child), "delegation_revoked", SUPPORT)
        denied(session, "delegation_revoked", SUPPORT)


def test_whoever_switches_a_bound_off_is_in_the_log(path: Path, clock: Clock) -> None:
    """No permission switches enforcement off in silence: each such write is a record of its own, with who, why, and what."""
    with fgacore.open(path, clock=clock) as opened:
        engine: Any = opened
        id = engine.delegate(by=ANNE, to=SUPPORT, scope=list(EVERYTHING), reason="case 1")
        before = engine.revision
        by: dict[str, Any] = {"by": "user:boss"}
        engine.suspend(SUPPORT, reason="1", **by)
        engine.resume(SUPPORT, reason="2", **by)
        engine.boundary("agent", "can_read ticket:*", reason="3", **by)
        engine.lift_boundary("agent", reason="4", **by)
        engine.configure(require_delegation=["agent"], bind={"current_time": "clock"}, reason="5", **by)
        engine.configure(require_delegation=[], bind={}, reason="6", **by)
        engine.revoke(id, reason="7", **by)
        found = [(change.kind, change.actor, change.reason) for change in engine.changes(since=before)]
        kinds = ["suspension", "suspension", "boundary", "boundary", "setting", "setting", "delegation"]
        assert found == [(kind, "user:boss", str(number)) for number, kind in enumerate(kinds, start=1)]
        (made,) = [change for change in engine.changes() if change.revision == before]
        assert (made.kind, made.actor, made.reason) == ("delegation", ANNE, "case 1")
