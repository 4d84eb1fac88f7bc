"""What a caller may bring to a question, and what it may not: contexts, the clock, tuples; and the settings of a store that say so."""

from __future__ import annotations

from typing import Any

import pytest

import fgacore
from attack.sessions.desk import (
    ANNE,
    EVERYTHING,
    MODEL,
    SUPPORT,
    allowed,
    code_of,
    conditioned,
    delegated,
    denied,
    nothing,
)
from attack.worlds import START, Clock, at, refusal
from fgacore import RequestError, Tuple

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
