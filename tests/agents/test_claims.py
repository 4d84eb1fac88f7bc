"""Claims of a verified token: the chain they name, what their scope admits, when they end; and that nothing malformed is read as something."""

from __future__ import annotations

from collections import UserDict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgacore import FgaError, LimitError, RequestError
from fgacore.agents.claims import Claimed, ClaimsMapping, read_claims
from fgacore.limits import CHAIN_PRINCIPALS_MAX, OBJECT_BYTES_MAX

SCOPES = {
    "tickets:read": ["can_read ticket:*", "not can_read ticket:47292"],
    "tickets:status": ["can_update_status ticket:*"],
    "both": ["can_read ticket:*", "can_update_status ticket:*"],
    "empty": [],
}
MAPPING = ClaimsMapping(subject="user:{sub}", actor="agent:{sub}", scopes=SCOPES)
ALONE = ClaimsMapping(subject="agent:{sub}", actor=None, scopes=SCOPES)
ANNE = {"sub": "anne", "act": {"sub": "support"}}


def refusal(claims: Any, mapping: Any = MAPPING) -> str:
    with pytest.raises(RequestError) as caught:
        read_claims(claims, mapping)
    assert caught.value.code == "invalid_claims"
    assert "\n" not in str(caught.value)
    return str(caught.value)


def chain(*actors: str) -> dict[str, Any]:
    """Claims of anne with these actors, the asking one first."""
    inner: dict[str, Any] = {"sub": actors[-1]}
    for actor in reversed(actors[:-1]):
        inner = {"sub": actor, "act": inner}
    return {"sub": "anne", "act": inner}


# ---- principals ----


def test_sub_is_the_root_and_act_the_asking_agent() -> None:
    assert read_claims(ANNE, MAPPING) == Claimed(("user:anne", "agent:support"), (), None)


def test_nested_acts_are_earlier_actors_and_the_asking_agent_comes_last() -> None:
    assert read_claims(chain("asks", "before", "first"), MAPPING).principals == ("user:anne", "agent:first", "agent:before", "agent:asks")


@given(st.lists(st.from_regex(r"[a-z0-9._@|-]{1,20}", fullmatch=True), min_size=1, max_size=CHAIN_PRINCIPALS_MAX - 1))
def test_no_actor_is_left_out_whatever_the_nesting(actors: list[str]) -> None:
    assert read_claims(chain(*actors), MAPPING).principals == ("user:anne", *(f"agent:{actor}" for actor in reversed(actors)))


def test_nesting_has_an_end() -> None:
    most = [f"a{number}" for number in range(CHAIN_PRINCIPALS_MAX - 1)]
    assert len(read_claims(chain(*most), MAPPING).principals) == CHAIN_PRINCIPALS_MAX
    endless: dict[str, Any] = {"sub": "loop"}
    endless["act"] = endless
    for claims in (chain(*most, "more"), {"sub": "anne", "act": endless}, chain(*map(str, range(5_000)))):
        with pytest.raises(LimitError, match="CHAIN_PRINCIPALS_MAX"):
            read_claims(claims, MAPPING)


def test_claims_that_name_no_agent_are_not_those_of_the_user_alone() -> None:
    assert "no `act`" in refusal({"sub": "anne"})


def test_an_agent_in_its_own_name_has_a_mapping_that_says_so() -> None:
    assert read_claims({"sub": "support"}, ALONE).principals == ("agent:support",)
    assert "foresees no actor" in refusal(ANNE, ALONE)
    assert "foresees no actor" in refusal({"sub": "support", "act": None}, ALONE)


@pytest.mark.parametrize("act", [None, "support", ["support"], 7, True])
def test_an_act_is_an_object(act: object) -> None:
    assert "`act` is no object" in refusal({"sub": "anne", "act": act})
    assert "`act.act` is no object" in refusal({"sub": "anne", "act": {"sub": "support", "act": act}})


BAD = [None, "", 7, True, b"anne", ["anne"], {"sub": "anne"}]
TRICKS = [
    "*",
    "an*ne",
    "anne#member",
    "team:x",
    "user:anne",
    ":",
    "#",
    "a b",
    " anne",
    "anne ",
    "a\tb",
    "a\nb",
    "a\x00b",
    "a\u00a0b",
    "a\u2028b",
    "a\u200bb",
    "\ud800",
]


@pytest.mark.parametrize("value", [*BAD, *TRICKS, "a" * OBJECT_BYTES_MAX, "ä" * (OBJECT_BYTES_MAX // 2)])
def test_what_makes_no_plain_name_is_refused_at_every_place(value: object) -> None:
    assert "`sub`" in refusal({"sub": value, "act": {"sub": "support"}})
    assert "`act.sub`" in refusal({"sub": "anne", "act": {"sub": value}})
    assert "`act.act.sub`" in refusal({"sub": "anne", "act": {"sub": "support", "act": {"sub": value}}})


@pytest.mark.parametrize("claims", [{}, {"act": {"sub": "support"}}, {"sub": "anne", "act": {}}, {"sub": "anne", "act": {"iss": "x"}}])
def test_a_principal_that_is_missing_is_nobody(claims: dict[str, Any]) -> None:
    assert "have no `" in refusal(claims)


@given(st.text(), st.sampled_from(["user:{sub}", "user:idp-{sub}", "user:{sub}@idp", "user:a|{sub}|b"]))
def test_a_name_is_plain_and_of_the_templates_type_or_there_is_none(value: str, template: str) -> None:
    try:
        name = read_claims({"sub": value}, ClaimsMapping(subject=template, actor=None)).principals[0]
    except RequestError:
        return
    type, _, id = name.partition(":")
    assert type == "user"
    assert id == template.removeprefix("user:").replace("{sub}", value)
    assert id
    assert not any(char.isspace() or char in ":#*" for char in id)


@given(st.text(max_size=10), st.text(max_size=10))
def test_two_people_are_never_one_name(one: str, other: str) -> None:
    try:
        first, second = (read_claims({"sub": value}, ClaimsMapping(subject="user:x{sub}y", actor=None)).principals for value in (one, other))
    except FgaError:
        return
    assert (first == second) is (one == other)


def test_another_claim_may_name_the_principal() -> None:
    mapping = ClaimsMapping(subject="user:{email}", actor="agent:{client_id}")
    claims = {"sub": "248289761001", "email": "anne@example.com", "act": {"sub": "x", "client_id": "support-2.3"}}
    assert read_claims(claims, mapping).principals == ("user:anne@example.com", "agent:support-2.3")
    assert "`act.client_id`" in refusal({**claims, "client_id": "outside", "act": {"sub": "x"}}, mapping)


# ---- scope ----


@pytest.mark.parametrize(
    ("scope", "entries"),
    [
        ("tickets:status", ["can_update_status ticket:*"]),
        ("tickets:status tickets:read", ["can_update_status ticket:*", "can_read ticket:*", "not can_read ticket:47292"]),
        (["tickets:status", "tickets:read"], ["can_update_status ticket:*", "can_read ticket:*", "not can_read ticket:47292"]),
        ("both tickets:status", ["can_read ticket:*", "can_update_status ticket:*"]),
        ("tickets:status  tickets:status", ["can_update_status ticket:*"]),
        ("openid tickets:status admin", ["can_update_status ticket:*"]),
        ("", []),
        ([], []),
        ("empty", []),
        ("admin", []),
        ("TICKETS:STATUS", []),
        ("tickets:*", []),
        ("tickets:status\ttickets:read", []),
        ("can_read ticket:*", []),
        (["tickets:status tickets:read"], []),
    ],
)
def test_known_strings_together_and_unknown_ones_nothing(scope: object, entries: list[str]) -> None:
    assert read_claims({**ANNE, "scope": scope}, MAPPING).scope == tuple(entries)


@pytest.mark.parametrize(
    "scope", [None, 7, True, {"tickets:read": True}, {"tickets:read"}, ["tickets:read", None], [["tickets:read"]], b"tickets:read"]
)
def test_a_scope_that_is_no_text_is_refused(scope: object) -> None:
    assert "`scope`" in refusal({**ANNE, "scope": scope})


def test_without_a_scope_claim_there_is_nothing_but_the_default() -> None:
    named = ClaimsMapping(subject="user:{sub}", actor="agent:{sub}", scopes=SCOPES, default_scope=["can_read ticket:1"])
    assert read_claims(ANNE, MAPPING).scope == ()
    assert read_claims(ANNE, named).scope == ("can_read ticket:1",)
    for scope in ("", "admin", []):  # a claim that admits nothing is not a missing one
        assert read_claims({**ANNE, "scope": scope}, named).scope == ()


@given(st.lists(st.sampled_from([*SCOPES, "admin", ""])))
def test_a_scope_claim_admits_what_the_mapping_has_for_its_strings_and_no_more(strings: list[str]) -> None:
    right = {entry for each in strings for entry in SCOPES.get(each, [])}
    for scope in (strings, " ".join(strings)):
        found = read_claims({**ANNE, "scope": scope}, MAPPING).scope
        assert set(found) == right
        assert len(found) == len(right)


# ---- exp ----


@pytest.mark.parametrize("exp", [0, 1_700_000_000, 1_700_000_000.5, 253_402_300_799])
def test_exp_is_the_end_in_seconds(exp: float) -> None:
    assert read_claims({**ANNE, "exp": exp}, MAPPING).expires_at == exp


@pytest.mark.parametrize(
    "exp", [None, "1700000000", True, False, [1], float("nan"), float("inf"), -float("inf"), -1, 1e300, 10**400, 253_402_300_800]
)
def test_an_exp_that_is_no_time_is_refused_and_never_no_end(exp: object) -> None:
    assert "`exp`" in refusal({**ANNE, "exp": exp})


# ---- what is given ----


@pytest.mark.parametrize("claims", [None, "anne", [("sub", "anne")], 7, '{"sub": "anne"}'])
def test_claims_are_a_mapping(claims: object) -> None:
    assert "claims are a mapping" in refusal(claims)


def test_claims_and_mapping_may_be_any_mapping() -> None:
    given = UserDict({"subject": "user:{sub}", "actor": "agent:{sub}", "scopes": UserDict(SCOPES)})
    claims = UserDict({"sub": "anne", "act": UserDict({"sub": "support"}), "scope": "tickets:status"})
    assert read_claims(claims, given) == (("user:anne", "agent:support"), ("can_update_status ticket:*",), None)


def test_other_claims_are_passed_over() -> None:
    assert read_claims({**ANNE, "iss": 7, "nbf": "x", "may_act": {"sub": "boss"}, "permissions": ["all"]}, MAPPING).scope == ()


NO_TEMPLATES = [
    "user",
    "user:",
    "user:anne",
    "{sub}",
    "{type}:{sub}",
    "user:{sub}:x",
    "user:{sub}#member",
    "user:*{sub}",
    "user:{sub}{sub}",
    "user:{iss}-{sub}",
    "user:{}",
    "user:{a.b}",
    "user:{0[x]}",
    "user:{sub!r}",
    "user:{{sub}}",
]


@pytest.mark.parametrize("template", [None, 7, "", "user: {sub}", "us er:{sub}", "user:{sub}\n", *NO_TEMPLATES])
def test_a_template_has_a_type_and_one_claim(template: Any) -> None:
    for fault in (lambda: ClaimsMapping(subject=template, actor="agent:{sub}"), lambda: ClaimsMapping(subject="user:{sub}", actor=template or "")):
        with pytest.raises(RequestError, match="a type and an id with one claim"):
            fault()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"subject": "user:{sub}"}, "`actor`"),
        ({"actor": "agent:{sub}"}, "`subject`"),
        ({"subject": "user:{sub}", "actor": None, "default_scopes": []}, "no `default_scopes`"),
        ({"subject": "user:{sub}", "actor": None, "scopes": ["tickets:read"]}, "`scopes`"),
        ({"subject": "user:{sub}", "actor": None, "scopes": {7: []}}, "`scopes`"),
        ({"subject": "user:{sub}", "actor": None, "scopes": {"tickets:read": "can_read ticket:*"}}, "list of entries"),
        ({"subject": "user:{sub}", "actor": None, "scopes": {"tickets:read": None}}, "list of entries"),
        ({"subject": "user:{sub}", "actor": None, "scopes": {"tickets:read": [7]}}, "not a text"),
        ({"subject": "user:{sub}", "actor": None, "default_scope": "can_read ticket:*"}, "list of entries"),
        ("user:{sub}", "ClaimsMapping"),
        (None, "ClaimsMapping"),
    ],
)
def test_a_mapping_that_is_wrong_is_refused_whatever_the_claims(given: Any, message: str) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        read_claims(ANNE, given)
    assert caught.value.code == "invalid_request"


def test_a_mapping_is_not_widened_by_whoever_made_it() -> None:
    entries = ["can_read ticket:1"]
    scopes, default = {"tickets:read": entries}, ["can_read ticket:2"]
    mapping = ClaimsMapping(subject="user:{sub}", actor="agent:{sub}", scopes=scopes, default_scope=default)
    entries.append("can_read payment:*")
    scopes["payments"] = ["can_read payment:*"]
    default.append("can_read payment:*")
    assert read_claims({**ANNE, "scope": "tickets:read payments"}, mapping).scope == ("can_read ticket:1",)
    assert read_claims(ANNE, mapping).scope == ("can_read ticket:2",)
    with pytest.raises(AttributeError):
        mapping.subject = "agent:{sub}"  # type: ignore[misc]
    with pytest.raises(TypeError):
        mapping.scopes["payments"] = ("can_read payment:*",)  # type: ignore[index]
