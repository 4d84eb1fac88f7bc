"""Scopes and boundaries: what an entry means, what is refused for a typing error, and that no way leads around them."""

from __future__ import annotations

from typing import Any

import pytest

from attack.sessions.desk import (
    ANNE,
    ASSIGNED,
    EVERYTHING,
    HELPER,
    MODEL,
    SUPPORT,
    allowed,
    chain_of,
    delegated,
    denied,
    grants,
    nothing,
)
from attack.worlds import refusal
from fgacore import RequestError, Tuple

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
    assert set(session.list_objects("can_read", "ticket")) == {"ticket:1*", "ticket:1\0"}
    assert session.check_objects("can_read", ["ticket:1", "ticket:11", "ticket:1*", "ticket:1\0", "ticket:12"]) == [False, False, True, True, False]


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


def test_a_boundary_outlives_the_type_that_it_is_of(engine: Any) -> None:
    """A model without the type, and then with it again: whoever is of it is bound as before."""
    engine.boundary("agent", "not can_read payment:*")
    lesser = MODEL.replace("type agent\n", "")
    for old in (", agent:*", ", agent with fresh", ", agent with small", ", agent"):
        lesser = lesser.replace(old, "")
    engine.write_model(lesser)
    assert engine.boundaries()["agent"] == ("not can_read payment:*",)
    engine.write_model(MODEL)
    denied(engine.session(SUPPORT), "outside_boundary", SUPPORT, object="payment:1")
    assert allowed(engine.session(SUPPORT), "can_read", "note:1")


def test_a_boundary_is_replaced_by_one_write_and_never_missing_in_between(engine: Any) -> None:
    session = engine.session(SUPPORT)
    engine.boundary("agent", "can_read note:*")
    before = engine.revision
    assert engine.boundary("agent", "can_read ticket:1") == before + 1
    with engine.at(before) as past:
        denied(past.session(SUPPORT), "outside_boundary", SUPPORT, object="ticket:1")
    assert allowed(session, "can_read", "ticket:1")
    denied(session, "outside_boundary", SUPPORT, object="note:1")


def test_entries_about_what_is_lost_do_not_meet_questions_that_are_at_fault(engine: Any) -> None:
    """In one batch: an entry of a lost relation, an unknown relation, and good questions between."""
    session = engine.session(SUPPORT, scope=["can_update_status ticket:* where in_project project:alpha", "can_read ticket:*", "not barred ticket:*"])
    engine.write_model(MODEL.replace("    define can_update_status: assignee\n", ""))
    questions = [
        ("can_update_status", "ticket:1"),
        ("can_read", "ticket:1"),
        ("nothing", "ticket:2"),
        ("can_read", "no object"),
        ("can_read", "ticket:2"),
    ]
    for times in (1, 40):
        found = session.batch_check(questions * times)
        assert list(found) == [False, True, False, False, True] * times
        assert len(found.errors) == 3 * times
