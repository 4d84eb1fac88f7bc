"""The command as a whole: help, version, the module form, and how errors leave it."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import click
import pytest
from click.testing import CliRunner

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
    assert result.exit_code == 1
    assert result.output == "Error: type `unicorn` is not in the model (invalid_request)\n"


def test_a_broken_invariant_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    failing_with(InternalError("a set is out of order"), monkeypatch)
    assert isinstance(CliRunner().invoke(main, ["fail"]).exception, InternalError)


def test_shown_model_is_the_one_the_demo_uses() -> None:
    output = CliRunner().invoke(main, ["demo", "--show-model"]).output
    assert output.startswith(helpdesk.model_text())
    assert output.count("\n# ") - helpdesk.model_text().count("\n# ") == len(helpdesk.named_tuples())
