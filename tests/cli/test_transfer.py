"""`fgacore import` and `export`: files and streams into a store and out of it, what is said of them, and what a wrong line does."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from cli_stores import MODEL, invoke, store_in, stored

CSV = "subject,relation,object\nuser:anne,viewer,doc:1\nteam:x#member,viewer,doc:1\nuser:bob,member,team:x\n"


@pytest.fixture
def tuples(tmp_path: Path) -> Path:
    path = tmp_path / "tuples.csv"
    path.write_text(CSV)
    return path


def test_an_import_says_what_it_did(tuples: Path, tmp_path: Path) -> None:
    store = store_in(tmp_path)
    result = invoke("import", tuples, "--store", store, "--actor", "user:lead", "--reason", "start")
    assert (result.exit_code, result.output) == (0, "3 tuples written of 3 read; revision 2\n")
    assert stored(store) == {"user:anne viewer doc:1", "team:x#member viewer doc:1", "user:bob member team:x"}
    assert "user:lead  start" in invoke("changes", "--store", store).output


def test_a_model_makes_the_store(tuples: Path, tmp_path: Path) -> None:
    (tmp_path / "model.fga").write_text(MODEL)
    result = invoke("import", tuples, "--store", tmp_path / "new", "--model", tmp_path / "model.fga", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.output) == {"revision": 2, "read": 3, "written": 3, "skipped": 0, "errors": []}
    assert len(stored(tmp_path / "new")) == 3


@pytest.mark.parametrize("format", ["jsonl", "csv", "yaml", "parquet"])
def test_what_is_exported_is_imported_through_files_and_streams(format: str, tuples: Path, tmp_path: Path) -> None:
    store = store_in(tmp_path)
    invoke("import", tuples, "--store", store)
    invoke("write", "user:eve", "viewer", "doc:2", "--condition", "office", "--context", '{"hour": 9}', "--store", store)
    result = invoke("export", tmp_path / f"all.{format}", "--store", store)
    assert (result.exit_code, result.output) == (0, f"4 tuples written to {tmp_path}/all.{format}\n")
    streamed = invoke("export", "-", "--format", format, "--store", store)
    assert streamed.exit_code == 0
    (tmp_path / "model.fga").write_text(MODEL)
    for number, (file, data) in enumerate([(tmp_path / f"all.{format}", b""), ("-", streamed.stdout_bytes)]):
        copy = tmp_path / f"copy{number}"
        more = [] if data == b"" else ["--format", format]
        result = invoke("import", file, "--store", copy, "--model", tmp_path / "model.fga", *more, input=data)
        assert result.exit_code == 0, result.output
        assert invoke("read", "--json", "--store", copy).output.splitlines() == invoke("read", "--json", "--store", store).output.splitlines()


def test_an_export_may_be_of_a_part(tuples: Path, tmp_path: Path) -> None:
    store = store_in(tmp_path)
    invoke("import", tuples, "--store", store)
    result = invoke("export", "-", "--format", "csv", "--object", "team:x", "--store", store)
    assert result.output == "subject,relation,object,condition,context,expires_at\nuser:bob,member,team:x,,,\n"
    result = invoke("export", tmp_path / "part.csv", "--subject", "user:anne", "--relation", "viewer", "--store", store)
    assert result.output.startswith("1 tuples written to ")


@pytest.mark.parametrize("line", ["user:anne,viewer", "user:anne,flies,doc:1"])
def test_a_bad_line_stops_the_whole_import_or_is_skipped(line: str, tmp_path: Path) -> None:
    store = store_in(tmp_path)
    path = tmp_path / "bad.csv"
    path.write_text(f"{CSV}{line}\nuser:eve,viewer,doc:1\n")
    result = invoke("import", path, "--store", store)
    assert result.exit_code == 2
    assert result.output.startswith(f"Error: {path}:5: ")
    assert stored(store) == set()
    result = invoke("import", path, "--store", store, "--on-error", "skip")
    assert result.exit_code == 0
    assert result.stderr.startswith(f"{path}:5: ")
    assert result.stdout.startswith("4 tuples written of 5 read, 1 skipped; revision ")
    assert len(stored(store)) == 4


def test_of_very_many_bad_lines_the_first_are_told(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    (tmp_path / "bad.csv").write_text(CSV + "x\n" * 1_003)
    result = invoke("import", tmp_path / "bad.csv", "--store", store, "--on-error", "skip")
    assert len(result.stderr.splitlines()) == 1_001
    assert result.stderr.endswith("and 3 more\n")


def test_tuples_that_are_stored_are_an_error_or_passed_over(tuples: Path, tmp_path: Path) -> None:
    store = store_in(tmp_path, ("user:anne", "viewer", "doc:1"))
    result = invoke("import", tuples, "--store", store)
    assert (result.exit_code, "(tuple_exists)" in result.output) == (2, True)
    copy = store_in(tmp_path / "copy", ("user:anne", "viewer", "doc:1"))
    result = invoke("import", tuples, "--store", copy, "--on-error", "skip")
    assert result.stdout.startswith("2 tuples written of 3 read, 1 skipped; revision ")
    result = invoke("import", tuples, "--store", store, "--on-duplicate", "ignore", "--lots", "2")
    assert (result.exit_code, result.output) == (0, "2 tuples written of 3 read; revision 4\n")


@pytest.mark.parametrize("lots", [[], ["--lots", "1"]])
def test_an_import_under_a_request_id_is_made_once(lots: list[str], tuples: Path, tmp_path: Path) -> None:
    store = store_in(tmp_path)
    for _ in range(2):
        result = invoke("import", tuples, "--store", store, "--request-id", "nightly", *lots)
        assert result.exit_code == 0, result.output
    assert len(stored(store)) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.csv"], "does not exist"),
        (["-"], "give the format"),
        (["tuples.txt"], "give the format"),
        (["tuples.csv", "--lots", "9000000"], "IMPORT_LOT_TUPLES"),
    ],
)
def test_what_cannot_be_imported_is_one_line(arguments: list[str], message: str, tmp_path: Path) -> None:
    result = invoke("import", *arguments, "--store", store_in(tmp_path))
    assert (result.exit_code, message in result.output, result.output.count("\n")) == (2, True, 1), result.output


def test_no_line_of_a_file_steers_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("subject,relation,object\nuser:\x1b[31m,viewer,doc:\x1b[31m \n")
    store = store_in(tmp_path)
    for more in ([], ["--on-error", "skip"]):
        assert "\x1b" not in invoke("import", tmp_path / "bad.csv", "--store", store, *more).output


def on_a_terminal(*arguments: str | Path) -> tuple[str, str]:
    """What a verb says, and what it shows on the terminal that its stderr is."""
    leader, follower = pty.openpty()
    run = subprocess.Popen(
        [sys.executable, "-m", "fgacore", *map(str, arguments)], stdout=subprocess.PIPE, stderr=follower, env={**os.environ, "TERM": "xterm"}
    )
    os.close(follower)
    shown = b""
    try:
        while data := os.read(leader, 65536):
            shown += data
    except OSError:  # the other end is closed
        pass
    os.close(leader)
    out, _ = run.communicate()
    assert run.returncode == 0, shown
    return out.decode(), shown.decode()


def test_a_terminal_shows_a_bar(tuples: Path, tmp_path: Path) -> None:
    store = store_in(tmp_path)
    out, shown = on_a_terminal("import", tuples, "--store", store)
    assert out == "3 tuples written of 3 read; revision 2\n"
    assert "3 tuples" in shown
    out, shown = on_a_terminal("export", tmp_path / "t.csv", "--store", store)
    assert out.startswith("3 tuples written to ")
    assert "3 tuples" in shown
