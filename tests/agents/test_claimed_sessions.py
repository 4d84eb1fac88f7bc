"""Sessions made from claims: all who are named must hold what is asked, nothing of a token widens anything, and its end is the session's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import fgacore
from fgacore import ClaimsMapping, RequestError

MODEL = """
model
  schema 1.1
type user
type agent
type ticket
  relations
    define assignee: [user, agent]
    define can_read: assignee
    define can_close: assignee
"""
EVERYBODY = ("user:anne", "agent:front", "agent:support")
MAPPING = ClaimsMapping(
    subject="user:{sub}",
    actor="agent:{sub}",
    scopes={"read": ["can_read ticket:*", "not can_read ticket:secret"], "close": ["can_close ticket:*"], "gone": ["can_fly ticket:*"]},
)
NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
CLAIMS: dict[str, Any] = {"sub": "anne", "act": {"sub": "support", "act": {"sub": "front"}}, "scope": "read"}


def without(missing: str) -> str:
    """The ticket that everybody but one holds."""
    return f"ticket:without-{missing.partition(':')[2]}"


class Clock:
    now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def engine(clock: Clock) -> fgacore.Engine:
    made = fgacore.open(":memory:", clock=clock)
    made.write_model(MODEL)
    made.write([
        *((subject, "assignee", "ticket:all") for subject in EVERYBODY),
        *((subject, "assignee", "ticket:secret") for subject in EVERYBODY),
        *((subject, "assignee", without(missing)) for missing in EVERYBODY for subject in EVERYBODY if subject != missing),
    ])  # fmt: skip
    return made


def code_of(engine: fgacore.Engine, claims: dict[str, Any], mapping: Any = MAPPING, **given: Any) -> str:
    with pytest.raises(RequestError) as caught:
        engine.session_from_claims(claims, mapping, **given)
    return caught.value.code


def test_everybody_who_is_named_must_hold_what_is_asked(engine: fgacore.Engine) -> None:
    session = engine.session_from_claims(CLAIMS, MAPPING)
    assert session.principals == EVERYBODY
    assert session.check("can_read", "ticket:all") is True
    for missing in EVERYBODY:
        found = session.decide("can_read", without(missing))
        assert (found.code, found.principal) == ("not_held", missing)
    assert session.list_objects("can_read", "ticket").to_list() == ["ticket:all"]


def test_the_scope_of_the_claims_narrows_and_an_exception_of_one_word_holds_for_all(engine: fgacore.Engine) -> None:
    for scope, allowed in (("read", ["can_read"]), ("read close", ["can_read", "can_close"]), ("openid", []), ("", []), (None, [])):
        claims = {key: value for key, value in {**CLAIMS, "scope": scope}.items() if value is not None}
        session = engine.session_from_claims(claims, MAPPING)
        assert session.list_relations("ticket:all") == allowed
    assert engine.session_from_claims({**CLAIMS, "scope": "close read"}, MAPPING).check("can_read", "ticket:secret") is False


def test_the_end_is_the_earlier_of_the_tokens_and_the_calls(engine: fgacore.Engine, clock: Clock) -> None:
    exp = int((NOW + timedelta(minutes=10)).timestamp())
    for expires_in, minutes in ((None, 10), (60, 1), (3_600, 10)):
        clock.now = NOW
        session = engine.session_from_claims({**CLAIMS, "exp": exp}, MAPPING, expires_in=expires_in)
        assert session.expires_at == NOW + timedelta(minutes=minutes)
    assert session.check("can_read", "ticket:all") is True
    clock.now = NOW + timedelta(minutes=10)
    assert session.decide("can_read", "ticket:all").code == "expired"


def test_a_token_that_is_over_makes_a_session_that_is_over(engine: fgacore.Engine) -> None:
    for exp in (0, int(NOW.timestamp())):
        session = engine.session_from_claims({**CLAIMS, "exp": exp}, MAPPING, expires_in=900)
        assert session.decide("can_read", "ticket:all").code == "expired"


def test_claims_alone_are_no_record(engine: fgacore.Engine) -> None:
    session = engine.session_from_claims(CLAIMS, MAPPING)
    with pytest.raises(RequestError) as caught:
        session.delegate(to="agent:other", scope=["can_read ticket:all"])
    assert caught.value.code == "invalid_delegation"
    engine.configure(require_delegation=["agent"])
    assert session.decide("can_read", "ticket:all").code == "delegation_required"
    assert code_of(engine, CLAIMS) == "delegation_required"


def test_an_agent_in_its_own_name_is_narrowed_by_its_token(engine: fgacore.Engine) -> None:
    alone = ClaimsMapping(subject="agent:{sub}", actor=None, scopes=dict(MAPPING.scopes))
    session = engine.session_from_claims({"sub": "support", "scope": "read"}, alone)
    assert session.principals == ("agent:support",)
    assert session.list_relations("ticket:all") == ["can_read"]
    assert engine.session_from_claims({"sub": "support"}, alone).list_relations("ticket:all") == []


@pytest.mark.parametrize(
    ("claims", "mapping", "code"),
    [
        ({**CLAIMS, "act": {"sub": "support", "act": {"sub": "support"}}}, MAPPING, "invalid_delegation"),
        ({**CLAIMS, "sub": "support"}, ClaimsMapping(subject="agent:{sub}", actor="agent:{sub}"), "invalid_delegation"),
        (CLAIMS, {"subject": "person:{sub}", "actor": "agent:{sub}"}, "type_not_found"),
        ({**CLAIMS, "scope": "gone"}, MAPPING, "invalid_scope"),
        ({**CLAIMS, "sub": "anne#member"}, MAPPING, "invalid_claims"),
        ({**CLAIMS, "sub": "*"}, MAPPING, "invalid_claims"),
    ],
)
def test_claims_that_name_no_chain_of_the_store_make_no_session(engine: fgacore.Engine, claims: dict[str, Any], mapping: Any, code: str) -> None:
    assert code_of(engine, claims, mapping) == code


def test_a_suspension_of_an_earlier_actor_stops_it(engine: fgacore.Engine) -> None:
    session = engine.session_from_claims(CLAIMS, MAPPING)
    engine.suspend("agent:front")
    found = session.decide("can_read", "ticket:all")
    assert (found.code, found.principal) == ("suspended", "agent:front")
