"""`fgacore reach`: what a subject of a store file holds, who holds a relation, as a table and as JSON; and how a wrong use ends."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

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


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    result = invoke("user:anne", tmp_path / "nothing.fga.yaml")
    assert (result.exit_code, result.output) == (2, f"Error: {tmp_path}/nothing.fga.yaml: does not exist\n")


def test_a_name_cannot_steer_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "store.fga.yaml"
    path.write_text(STORE.replace('"user:anne", relation: owner, object: "doc:1"', '"user:anne", relation: owner, object: "doc:[red]\\e[31m"'))
    output = invoke("user:anne", path, "--names", "9").output
    assert "\x1b" not in output
    assert "doc:[red]\\x1b[31m" in output
