"""Questions to a session: malformed, many at once, about odd names, and after everything changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import fgacore
from attack.sessions.desk import (
    ANNE,
    ASSIGNED,
    EVERYTHING,
    HELPER,
    MODEL,
    SUPPORT,
    allowed,
    chain_of,
    code_of,
    delegated,
    denied,
    nothing,
)
from attack.worlds import START, Clock, at, refusal
from fgacore import RequestError, Tuple


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


def test_relation_and_object_are_not_exchanged(engine: Any) -> None:
    session = engine.session(SUPPORT)
    for door in (session.check, session.decide):
        assert isinstance(refusal(lambda: door("ticket:1", "can_read")), RequestError)  # noqa: B023
        assert isinstance(refusal(lambda: door(SUPPORT, "ticket:1")), RequestError)  # noqa: B023
    found = session.batch_check([("ticket:1", "can_read")])
    assert (list(found), set(found.errors)) == ([False], {0})


@pytest.mark.parametrize("bad", ["5", 1.5, b"5", [5], object()])
def test_a_revision_that_is_asked_for_is_a_number(bad: Any, engine: Any) -> None:
    session = engine.session(SUPPORT)
    for call in (lambda: session.check("can_read", "ticket:1", at_least=bad), lambda: session.decide("can_read", "ticket:1", at_least=bad)):
        with pytest.raises((RequestError, TypeError)):
            call()


def test_a_relation_that_is_unknown_is_an_error_and_no_list_is_empty_for_it(engine: Any) -> None:
    """A typing error must not look like a denial, nor an exception that was meant."""
    for session in (engine.session(SUPPORT), delegated(engine), engine.session(SUPPORT, scope=[])):
        for call in (
            lambda: session.check("can_raed", "ticket:1"),  # noqa: B023
            lambda: session.check_objects("can_raed", ["ticket:1"]),  # noqa: B023
            lambda: session.filter_objects("can_raed", ["ticket:1"]),  # noqa: B023
            lambda: session.list_objects("can_raed", "ticket"),  # noqa: B023
            lambda: session.list_objects("can_read", "tikcet"),  # noqa: B023
            lambda: session.list_relations("tikcet:1"),  # noqa: B023
        ):
            assert refusal(call).code in ("relation_not_found", "type_not_found")


@pytest.mark.parametrize("bad", ["report ", "", None, True, 5])
def test_a_list_is_asked_to_raise_or_to_report(bad: Any, engine: Any) -> None:
    with pytest.raises((RequestError, TypeError)):
        engine.session(SUPPORT).list_objects("can_read", "ticket", on_missing_context=bad)
