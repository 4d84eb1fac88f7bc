"""`fgacore write`, `read` and `changes`: what they store, print and follow."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import fgacore
from cli_stores import MODEL, invoke, store_in, stored

ANNE = ("user:anne", "viewer", "doc:1")


def test_a_tuple_is_written_and_deleted_in_somebodys_name(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    result = invoke("write", *ANNE, "--store", store, "--actor", "user:lead", "--reason", "INC-7")
    assert (result.exit_code, result.output) == (0, "revision 2\n")
    assert stored(store) == {"user:anne viewer doc:1"}
    result = invoke("write", *ANNE, "--delete", "--store", store, "--json")
    assert (result.exit_code, json.loads(result.output)) == (0, {"revision": 3})
    assert stored(store) == set()
    _, first, second = invoke("changes", "--json", "--store", store).output.splitlines()
    assert json.loads(first)["actor"] == "user:lead"
    assert json.loads(second)["deletes"] == [{"subject": "user:anne", "relation": "viewer", "object": "doc:1"}]


def test_all_that_a_tuple_can_have_is_written(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    more = ["--condition", "office", "--context", '{"hour": 9}', "--expires-at", "2126-01-05T10:00:00Z"]
    assert invoke("write", *ANNE, *more, "--store", store).exit_code == 0
    assert invoke("read", "--store", store).output == 'user:anne viewer doc:1 with office {"hour": 9} until 2126-01-05T10:00:00Z\n'
    (line,) = invoke("read", "--json", "--store", store).output.splitlines()
    assert json.loads(line) == {
        "subject": "user:anne",
        "relation": "viewer",
        "object": "doc:1",
        "condition": "office",
        "context": {"hour": 9},
        "expires_at": "2126-01-05T10:00:00Z",
    }


def test_the_tuples_of_a_file_are_one_write(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    file = tmp_path / "t.jsonl"
    file.write_text('{"user": "user:anne", "relation": "viewer", "object": "doc:1"}\n{"user": "user:bob", "relation": "viewer", "object": "doc:1"}\n')
    assert invoke("write", "--file", file, "--store", store).output == "revision 2\n"
    assert len(stored(store)) == 2
    assert invoke("write", "--file", file, "--delete", "--store", store).output == "revision 3\n"
    assert stored(store) == set()


def test_a_bad_line_of_a_file_is_told_by_its_place(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    file = tmp_path / "t.csv"
    file.write_text("subject,relation,object\nuser:anne,viewer,doc:1\nuser:anne,flies,doc:1\n")
    result = invoke("write", "--file", file, "--store", store)
    assert result.exit_code == 2
    assert result.output == f"Error: {file}:3: the type `doc` has no relation `flies` (relation_not_found)\n"
    file.write_text("subject,relation,object\nx\n")
    assert invoke("write", "--file", file, "--store", store).output == f"Error: {file}:2: has 1 values in a row under 3 columns\n"
    assert invoke("write", "--file", tmp_path / "nothing.csv", "--store", store).output == f"Error: {tmp_path}/nothing.csv: does not exist\n"
    assert stored(store) == set()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give SUBJECT RELATION OBJECT, or --file"),
        (["user:anne", "viewer"], "give SUBJECT RELATION OBJECT, or --file"),
        ([*ANNE, "--file", "t.csv"], "give SUBJECT RELATION OBJECT, or --file"),
        (["user:anne", "--file", "t.csv"], "give SUBJECT RELATION OBJECT, or --file"),
        ([*ANNE, "--delete", "--condition", "office"], "are for one tuple that is stored"),
        (["--file", "t.csv", "--expires-at", "2126-01-05T10:00:00Z"], "are for one tuple that is stored"),
        ([*ANNE, "--expires-at", "soon"], "--expires-at is not a time"),
        ([*ANNE, "--condition", "office", "--context", "{"], "--context is not JSON"),
        ([*ANNE, "--condition", "office", "--context", "[]"], "--context is not a JSON object"),
        ([*ANNE, "--context", "{}"], "(invalid_tuple)"),
        (["anne", "viewer", "doc:1"], "(invalid_subject)"),
        ([*ANNE, "--delete"], "(tuple_missing)"),
    ],
)
def test_what_cannot_be_written_is_an_error(arguments: list[str], message: str, tmp_path: Path) -> None:
    store = store_in(tmp_path)
    result = invoke("write", *arguments, "--store", store)
    assert result.exit_code == 2
    assert message in result.output
    assert stored(store) == set()


def test_what_is_there_or_is_not_may_be_passed_over(tmp_path: Path) -> None:
    store = store_in(tmp_path, ANNE)
    assert "(tuple_exists)" in invoke("write", *ANNE, "--store", store).output
    assert invoke("write", *ANNE, "--on-duplicate", "ignore", "--store", store).output == "revision 2\n"
    assert invoke("write", "user:bob", "viewer", "doc:1", "--delete", "--on-missing", "ignore", "--store", store).output == "revision 2\n"


def test_a_request_id_makes_a_write_once(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    for _ in range(2):
        assert invoke("write", *ANNE, "--request-id", "a", "--store", store).output == "revision 2\n"
    assert "(conflict)" in invoke("write", "user:bob", "viewer", "doc:1", "--request-id", "a", "--store", store).output


def test_read_takes_parts(tmp_path: Path) -> None:
    store = store_in(tmp_path, ANNE, ("user:bob", "member", "team:x"), ("user:bob", "viewer", "doc:1"))
    assert len(invoke("read", "--store", store).output.splitlines()) == 3
    assert invoke("read", "--subject", "user:bob", "--relation", "member", "--store", store).output == "user:bob member team:x\n"
    assert len(invoke("read", "--object", "doc:1", "--store", store).output.splitlines()) == 2


def test_no_stored_text_steers_the_terminal(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    with fgacore.open(store) as engine:
        engine.write([("user:\x1b[31m", "viewer", "doc:1")], reason="\x1b[31m\n")
    for verb in ("read", "changes"):
        for more in ([], ["--json"]):
            output = invoke(verb, *more, "--store", store).output
            assert "\x1b" not in output
            assert all(json.loads(line) for line in output.splitlines() if more)


def test_changes_tell_who_did_what(tmp_path: Path) -> None:
    store = store_in(tmp_path, ANNE, ("user:bob", "member", "team:x"))
    model, written, *tuples = invoke("changes", "--store", store).output.splitlines()
    assert model.split("  ")[0::2][:2] == ["1", "model"]
    assert written.split("  ")[0::2] == ["2", "tuples", "INC-7"]
    assert sorted(tuples) == ["  + user:anne viewer doc:1", "  + user:bob member team:x"]
    assert invoke("changes", "--since", "2", "--store", store).output == ""
    first, *tuples = invoke("changes", "--type", "team", "--store", store).output.splitlines()
    assert (first[:3], tuples) == ("2  ", ["  + user:bob member team:x"])
    told = json.loads(invoke("changes", "--since", "1", "--json", "--store", store).output)
    assert {key: told[key] for key in ("revision", "kind", "actor", "reason", "written", "deleted", "model_id")} == {
        "revision": 2,
        "kind": "tuples",
        "actor": "user:lead",
        "reason": "INC-7",
        "written": 2,
        "deleted": 0,
        "model_id": None,
    }


def test_changes_tell_what_was_lent_bounded_and_stopped(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    with fgacore.open(store) as engine:
        since = engine.revision
        id = engine.delegate(by="user:anne", to="user:bob", scope=["viewer doc:*"], task="trip")
        engine.boundary("user", "not viewer doc:9", by="user:lead")
        engine.suspend("user:bob", by="user:lead", reason="INC-9")
        engine.revoke(id)
    output = invoke("changes", "--since", str(since), "--store", store).output
    heads = [line.split("  ")[2:] for line in output.splitlines() if not line.startswith(" ")]
    assert [head[0] for head in heads] == ["delegation", "boundary", "suspension", "delegation"]
    assert heads[2][1:] == ["user:lead", "INC-9"]
    told = [json.loads(line) for line in output.splitlines() if line.startswith("  {")]
    assert {key: told[0][key] for key in ("id", "by", "to", "scope", "task")} == {
        "id": id,
        "by": "user:anne",
        "to": "user:bob",
        "scope": ["viewer doc:*"],
        "task": "trip",
    }
    assert None not in told[0].values()
    assert id in told[3].values()
    lines = [json.loads(line) for line in invoke("changes", "--since", str(since), "--json", "--store", store).output.splitlines()]
    assert [line["kind"] for line in lines] == [head[0] for head in heads]
    assert lines[0]["details"]["scope"] == ["viewer doc:*"]


def test_changes_follow_other_processes_until_interrupted(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    command = [sys.executable, "-m", "fgacore", "changes", "--since", "1", "--follow", "--json", "--store", str(store)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        with fgacore.open(store) as engine:
            for number in range(3):
                engine.write([("user:anne", "viewer", f"doc:{number}")])
                assert json.loads(run.stdout.readline())["revision"] == 2 + number
        run.send_signal(signal.SIGINT)
        assert run.wait(10) == 0, run.stderr.read()


def test_the_verbs_take_a_store_in_postgresql(postgres: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    store = postgres()
    (tmp_path / "model.fga").write_text(MODEL)
    (tmp_path / "t.csv").write_text("subject,relation,object\nuser:anne,viewer,doc:1\n")
    for verb, arguments, said in (
        ("import", [tmp_path / "t.csv", "--model", tmp_path / "model.fga"], "1 tuples written of 1 read; revision 2\n"),
        ("write", ["user:bob", "member", "team:x"], "revision 3\n"),
        ("read", ["--object", "team:x"], "user:bob member team:x\n"),
        ("export", [tmp_path / "all.jsonl"], f"2 tuples written to {tmp_path}/all.jsonl\n"),
        ("snapshot", [], "snapshot of revision 3\n"),
        ("verify", [], "3 records, 0 snapshots, no faults; revision 3\n"),
        ("compact", ["--yes"], "generation 2, from revision "),
    ):
        result = invoke(verb, *arguments, "--store", store)
        assert (result.exit_code, result.output[: len(said)]) == (0, said), result.output
