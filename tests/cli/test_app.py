"""The command as a whole: help, version, the module form, and how errors leave it."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import fgacore
from fgacore import FgaError, RequestError
from fgacore.cli import helpdesk, main
from fgacore.errors import InternalError


def failing_with(error: FgaError, monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def fail() -> None:
        raise error

    monkeypatch.setitem(main.commands, "fail", fail)


def test_help_names_every_verb_with_a_line_on_each() -> None:
    output = CliRunner().invoke(main, ["--help"]).output
    width = max(map(len, main.commands))
    for name, command in main.commands.items():
        assert f"  {name:{width}}  {command.get_short_help_str(limit=200)}" in output


def test_version_is_that_of_the_distribution() -> None:
    assert CliRunner().invoke(main, ["--version"]).output == f"fgacore {version('fgacore')}\n"


def test_module_form_is_the_same_command() -> None:
    run = subprocess.run([sys.executable, "-m", "fgacore", "--version"], capture_output=True, text=True, check=True)
    assert run.stdout == f"fgacore {version('fgacore')}\n"


def test_help_does_not_load_what_only_tables_need() -> None:
    program = "import sys, fgacore.cli; sys.exit('rich was imported' if 'rich' in sys.modules else 0)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_an_unknown_verb_is_refused() -> None:
    result = CliRunner().invoke(main, ["nothing-of-this-name"])
    assert result.exit_code == 2


def test_an_error_is_one_line_with_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    failing_with(RequestError("type `unicorn` is not in the model", code="invalid_request"), monkeypatch)
    result = CliRunner().invoke(main, ["fail"])
    assert result.exit_code == 2
    assert result.output == "Error: type `unicorn` is not in the model (invalid_request)\n"


def test_an_error_cannot_steer_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    failing_with(RequestError("a \x1b[31m red name"), monkeypatch)
    assert CliRunner().invoke(main, ["fail"]).output == "Error: a \\x1b[31m red name (invalid_request)\n"


VERBS_OF_A_STORE = ("import", "export", "write", "read", "changes", "snapshot", "compact", "verify", "repair")


@pytest.mark.parametrize("verb", VERBS_OF_A_STORE)
def test_the_examples_of_its_help_run(verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each in turn, beside a store and the files that the examples name."""
    monkeypatch.chdir(tmp_path)
    Path("model.fga").write_text("model\n  schema 1.1\ntype agent\ntype ticket\n  relations\n    define assignee: [agent]\n")
    Path("tuples.csv").write_text("subject,relation,object\nagent:support,assignee,ticket:1\n")
    if verb != "import":
        with fgacore.open("./authz") as engine:
            engine.write_model(Path("model.fga"))
    examples = re.findall(r"^ +fgacore (.*)$", CliRunner().invoke(main, [verb, "--help"]).output, re.MULTILINE)
    assert examples
    for example in examples:
        result = CliRunner().invoke(main, shlex.split(example))
        assert result.exit_code == 0, f"{example}: {result.output}"
        assert result.exception is None


@pytest.mark.parametrize("verb", VERBS_OF_A_STORE)
@pytest.mark.parametrize(
    ("store", "message"),
    [
        (None, "no store is named: give --store PATH or URL, or set FGACORE_STORE"),
        ("./nothing", "there is no store in "),
        (":memory:", "`:memory:` "),
        ("mysql://host/db", "PostgreSQL|postgresql://"),
    ],
)
def test_without_a_store_the_next_step_is_told(verb: str, store: str | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FGACORE_STORE", raising=False)
    more = {"import": ["-"], "export": ["x.csv"], "write": ["a", "b", "c"], "compact": ["--yes"]}.get(verb, [])
    named = [] if store is None else ["--store", store]
    result = CliRunner().invoke(main, [verb, *more, *named])
    assert result.exit_code == 2
    assert re.search(message, result.output)
    assert result.output.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_store_may_be_named_by_the_environment(tmp_path: Path) -> None:
    with fgacore.open(tmp_path / "authz") as engine:
        engine.write_model("model\n  schema 1.1\ntype user\n")
    for verb in ("read", "changes", "snapshot", "verify", "repair"):
        result = CliRunner(env={"FGACORE_STORE": str(tmp_path / "authz")}).invoke(main, [verb])
        assert result.exit_code == 0, result.output


def test_a_broken_invariant_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    failing_with(InternalError("a set is out of order"), monkeypatch)
    assert isinstance(CliRunner().invoke(main, ["fail"]).exception, InternalError)


def test_shown_model_is_the_one_the_demo_uses() -> None:
    output = CliRunner().invoke(main, ["demo", "--show-model"]).output
    assert output.startswith(helpdesk.model_text())
    assert output.count("\n# ") - helpdesk.model_text().count("\n# ") == len(helpdesk.named_tuples())
