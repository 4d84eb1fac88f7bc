"""`fgacore reach`: what a subject of a store file holds, who holds a relation, as a table and as JSON; and how a wrong use ends."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import fgacore
from fgacore.cli import main

STORE = """\
model: |
  model
    schema 1.1
  type user
  type robot
  type team
    relations
      define member: [user]
  type doc
    relations
      define owner: [user]
      define viewer: [user, user:*, robot with office, team#member] or owner
      define audited: [robot]
  condition office(hour: int) {
    hour < 17
  }
tuples:
  - {user: "user:anne", relation: owner, object: "doc:1"}
  - {user: "user:anne", relation: owner, object: "doc:2"}
  - {user: "user:anne", relation: owner, object: "doc:3"}
  - {user: "user:anne", relation: owner, object: "doc:4"}
  - {user: "user:bob", relation: member, object: "team:x"}
  - {user: "team:x#member", relation: viewer, object: "doc:1"}
  - {user: "user:*", relation: viewer, object: "doc:9"}
  - {user: "robot:r", relation: viewer, object: "doc:1", condition: {name: office}}
  - {user: "robot:idle", relation: audited, object: "doc:1"}
tests:
  - tuples: [{user: "user:eve", relation: viewer, object: "doc:1"}]
    check: [{user: "user:eve", object: "doc:1", assertions: {viewer: true}}]
"""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store.fga.yaml"
    path.write_text(STORE)
    return path


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["reach", *map(str, arguments)])


def rows(output: str) -> list[list[str]]:
    """The cells of the lines of a table, split where two spaces are."""
    return [re.split(r" {2,}", line.strip()) for line in output.splitlines() if "  " in line.strip()]


def test_a_table_has_each_relation_held_with_its_count_and_names(store: Path) -> None:
    result = invoke("user:anne", store)
    assert result.exit_code == 0, result.output
    assert result.output.startswith("user:anne at revision 2, ")
    assert rows(result.output) == [
        ["type", "relation", "definite", "conditional", "conditions", "objects"],
        ["doc", "owner", "4", "doc:1, doc:2, doc:3 and 1 more"],
        ["doc", "viewer", "5", "doc:1, doc:2, doc:3 and 2 more"],
    ]
    assert "On nothing: 1 more relation that its kind could hold." in result.output
    assert "Conditional" not in result.output


@pytest.mark.parametrize(("names", "shown"), [("0", None), ("1", "doc:1 and 3 more"), ("9", "doc:1, doc:2, doc:3, doc:4")])
def test_as_many_names_are_shown_as_are_asked_for(names: str, shown: str | None, store: Path) -> None:
    _, owner, *_ = rows(invoke("user:anne", store, "--names", names).output)
    assert owner == ["doc", "owner", "4", *([shown] if shown else [])]


def test_what_hangs_on_a_condition_is_told_apart_until_a_context_decides(store: Path) -> None:
    output = invoke("robot:r", store).output
    assert ["doc", "viewer", "0", "1", "office", "doc:1?"] in rows(output)
    assert "Conditional: it hangs on a context that was not given" in output
    assert ["doc", "viewer", "1", "doc:1"] in rows(invoke("robot:r", store, "--context", '{"hour": 9}').output)
    assert "It reaches nothing." in invoke("robot:r", store, "--context", '{"hour": 20}').output


def test_tuples_of_the_tests_are_left_out(store: Path) -> None:
    assert ["doc", "viewer", "1", "doc:9"] in rows(invoke("user:eve", store).output)


def test_json_has_all_of_it(store: Path) -> None:
    told = json.loads(invoke("robot:r", store, "--json").output)
    assert (told["subject"], told["revision"], told["complete"]) == ("robot:r", 2, False)
    assert told["relations"] == [
        {"type": "doc", "relation": "viewer", "definite": [], "conditional": ["doc:1"], "conditions": ["office"]},
        {"type": "doc", "relation": "audited", "definite": [], "conditional": [], "conditions": []},
    ]


def test_who_holds_a_relation_is_every_subject_of_the_store_that_does(store: Path) -> None:
    result = invoke("--to", "viewer doc", store, "--names", "2")
    assert result.exit_code == 0, result.output
    assert rows(result.output) == [
        ["subject", "definite", "conditional", "objects"],
        ["user:*", "1", "doc:9"],
        ["user:anne", "5", "doc:1, doc:2 and 3 more"],
        ["user:bob", "2", "doc:1, doc:9"],
        ["robot:r", "0", "1", "doc:1?"],
    ]
    assert "A wildcard is everybody of its type" in result.output


def test_who_holds_a_relation_as_json_and_by_context(store: Path) -> None:
    told = json.loads(invoke("--to", "viewer doc", store, "--json", "--context", '{"hour": 9}').output)
    assert (told["relation"], told["type"]) == ("viewer", "doc")
    assert told["subjects"][-1] == {"subject": "robot:r", "definite": ["doc:1"], "conditional": []}
    assert len(told["subjects"]) == 4


def test_nobody_is_said_where_nobody_does(tmp_path: Path) -> None:
    path = tmp_path / "store.fga.yaml"
    path.write_text(STORE[: STORE.index("tuples:")])
    assert "Nobody does." in invoke("--to", "viewer doc", path).output
    assert "It reaches nothing." in invoke("user:anne", path).output


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("user:anne",),
        ("user:anne", "{store}", "more"),
        ("--to", "viewer doc", "user:anne", "{store}"),
        ("--to", "viewer", "{store}"),
        ("--to", "viewer doc more", "{store}"),
        ("user:anne", "{store}", "--context", "{"),
        ("user:anne", "{store}", "--context", "[]"),
        ("user:anne", "{store}", "--names", "-1"),
    ],
)
def test_a_wrong_use_is_refused_with_the_usage(arguments: tuple[str, ...], store: Path) -> None:
    result = invoke(*(argument.replace("{store}", str(store)) for argument in arguments))
    assert result.exit_code == 2
    assert "Usage:" in result.output


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("unicorn:a", "{store}"), "type_not_found"),
        (("user", "{store}"), "invalid_subject"),
        (("team:x#fly", "{store}"), "relation_not_found"),
        (("--to", "fly doc", "{store}"), "relation_not_found"),
        (("--to", "viewer unicorn", "{store}"), "type_not_found"),
    ],
)
def test_a_question_that_makes_no_sense_is_one_line_with_its_code(arguments: tuple[str, ...], code: str, store: Path) -> None:
    result = invoke(*(argument.replace("{store}", str(store)) for argument in arguments))
    assert result.exit_code == 2
    assert re.fullmatch(rf"Error: .*\({code}\)\n", result.output)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (STORE.replace("[robot]", "[nobody]"), r"store\.fga\.yaml:13: .*\(invalid_type\)"),
        (STORE.replace("robot:idle", "idle"), r"store\.fga\.yaml:26: .*\(invalid_subject\)"),
        (STORE.replace("tuples:", "tupels:", 1), r"store\.fga\.yaml:1: .*unknown key `tupels`"),
        ("model_file: ../m.fga\n", r"store\.fga\.yaml:1: .*outside its folder"),
    ],
)
def test_a_fault_of_the_file_has_its_place(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "store.fga.yaml"
    path.write_text(text)
    result = invoke("user:anne", path)
    assert result.exit_code == 2
    assert re.search(message, result.output), result.output


# ---- a store, and what has been lent ----

DESK = """
model
  schema 1.1
type user
type agent
type ticket
  relations
    define assignee: [user, agent]
    define can_read: assignee
type payment
  relations
    define reader: [user, agent]
    define can_read: reader
"""


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A store in which two people lend the agent something, one of them through another agent, and the graph grants it too much."""
    with fgacore.open(tmp_path / "desk") as engine:
        engine.write_model(DESK)
        engine.write([
            *((f"user:{user}", "assignee", f"ticket:{user}-{number}") for user in ("anne", "bob") for number in (1, 2)),
            ("agent:support", "assignee", "ticket:own"),
            ("agent:support", "assignee", "ticket:anne-1"),
            ("agent:support", "reader", "payment:1"),
        ])  # fmt: skip
        engine.boundary("agent", "not can_read payment:*")
    return tmp_path / "desk"


def lines(output: str, after: str) -> list[str]:
    """What is printed after a line that begins so, up to the next empty line but one."""
    found = output[output.index(f"\n{after}") + 1 :].split("\n\n")
    return found[0].splitlines() + (found[1].splitlines() if len(found) > 1 else [])


def test_a_store_is_named_by_an_option_or_the_environment(desk: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_option = invoke("agent:support", "--store", desk)
    assert by_option.exit_code == 0, by_option.output
    assert ["ticket", "can_read", "2", "ticket:anne-1, ticket:own"] in rows(by_option.output)
    assert ["agent:support", "1", "ticket:own"] not in rows(by_option.output)
    assert ["agent:support", "2", "ticket:anne-1, ticket:own"] in rows(invoke("--to", "can_read ticket", "--store", desk).output)
    monkeypatch.setenv("FGACORE_STORE", str(desk))
    assert ["ticket", "can_read", "2", "ticket:anne-1, ticket:own"] in rows(invoke("agent:support").output)
    assert ["doc", "owner", "4", "doc:1, doc:2, doc:3 and 1 more"] in rows(invoke("user:anne", store).output)  # a file is what was meant


def test_a_file_and_a_store_at_once_are_a_wrong_use(desk: Path, store: Path) -> None:
    for arguments in (("user:anne", store, "--store", desk), ("--store", desk), ("--to", "can_read ticket", store, "--store", desk)):
        result = invoke(*arguments)
        assert result.exit_code == 2
        assert "Usage:" in result.output


def test_what_is_granted_beyond_the_boundary_is_told_apart(desk: Path) -> None:
    output = invoke("agent:support", "--store", desk).output
    assert ["payment", "can_read", "1", "payment:1"] in rows("\n".join(lines(output, "Beyond its boundary: ")))
    assert "Beyond" not in invoke("user:anne", "--store", desk).output


def test_each_active_delegation_is_labelled_by_its_chain_with_what_it_reaches(desk: Path) -> None:
    with fgacore.open(desk) as engine:
        anne = engine.delegate(by="user:anne", to="agent:support", scope=["can_read ticket:*"], expires_in=900, task="refund-4711")
        bob = engine.delegate(by="user:bob", to="agent:front", scope=["can_read ticket:*"], authority="lent", redelegations=1)
        below = engine.session(bob).delegate(to="agent:support", scope=["can_read ticket:bob-2"], authority="lent")
        gone = engine.delegate(by="user:bob", to="agent:support", scope=["can_read ticket:*"])
        engine.revoke(gone)
    output = invoke("agent:support", "--store", desk).output
    first = lines(output, "Lent, user:anne > agent:support, ")
    assert re.search(rf"by {anne} for refund-4711, until \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC:", first[0])
    assert ["ticket", "can_read", "1", "ticket:anne-1"] in rows("\n".join(first))
    second = lines(output, "Lent, user:bob > agent:front > agent:support, ")
    assert f"by {below}, until it is revoked:" in second[0]
    assert ["ticket", "can_read", "1", "ticket:bob-2"] in rows("\n".join(second))
    assert gone not in output
    told = json.loads(invoke("agent:support", "--store", desk, "--json").output)
    assert [(each["delegation"], each["chain"]) for each in told["lent"]] == [
        (anne, ["user:anne", "agent:support"]),
        (below, ["user:bob", "agent:front", "agent:support"]),
    ]
    reached = {(row["type"], row["relation"]): row["definite"] for row in told["lent"][1]["reach"]["relations"]}
    assert reached["ticket", "can_read"] == ["ticket:bob-2"]
    assert told["beyond"] == [{"type": "payment", "relation": "can_read", "objects": ["payment:1"]}]


def test_unbounded_is_said_until_a_record_is_required(desk: Path) -> None:
    said = "Unbounded: it may act for anyone"
    assert said in invoke("agent:support", "--store", desk).output
    assert json.loads(invoke("agent:support", "--store", desk, "--json").output)["unbounded"] is True
    with fgacore.open(desk) as engine:
        engine.configure(require_delegation=["agent"])
    assert said not in invoke("agent:support", "--store", desk).output
    assert json.loads(invoke("agent:support", "--store", desk, "--json").output)["unbounded"] is False


def test_a_file_has_no_sessions_to_be_unbounded(store: Path) -> None:
    assert "Unbounded" not in invoke("robot:r", store).output


def test_a_task_cannot_steer_the_terminal(desk: Path) -> None:
    with fgacore.open(desk) as engine:
        engine.delegate(by="user:anne", to="agent:support", scope=["can_read ticket:*"], task="[red]\x1b[31m\nrefund")
    output = invoke("agent:support", "--store", desk).output
    assert "\x1b" not in output
    assert "[red]\\x1b[31m\\nrefund" in output


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    result = invoke("user:anne", tmp_path / "nothing.fga.yaml")
    assert (result.exit_code, result.output) == (2, f"Error: {tmp_path}/nothing.fga.yaml: does not exist\n")


def test_a_name_cannot_steer_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "store.fga.yaml"
    path.write_text(STORE.replace('"user:anne", relation: owner, object: "doc:1"', '"user:anne", relation: owner, object: "doc:[red]\\e[31m"'))
    output = invoke("user:anne", path, "--names", "9").output
    assert "\x1b" not in output
    assert "doc:[red]\\x1b[31m" in output
