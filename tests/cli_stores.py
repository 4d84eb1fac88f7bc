"""A store on disk for the tests of the verbs, and how they are called."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

import fgacore
from fgacore.cli import main

MODEL = """
model
  schema 1.1
type user
type team
  relations
    define member: [user]
type doc
  relations
    define viewer: [user, user with office, team#member]
condition office(hour: int) {
  hour < 17
}
"""


def store_in(folder: Path, *tuples: fgacore.Tuple | tuple[str, str, str]) -> Path:
    """A store with a model, and in one write the tuples given."""
    path = folder / "authz"
    with fgacore.open(path) as engine:
        engine.write_model(MODEL)
        if tuples:
            engine.write(tuples, actor="user:lead", reason="INC-7")
    return path


def stored(path: Path) -> set[str]:
    """What is stored, tuple by tuple."""
    with fgacore.open(path, read_only=True) as engine:
        return {f"{item.subject} {item.relation} {item.object}" for item in engine.read()}


def invoke(verb: str, *arguments: str | Path, input: str | bytes | None = None) -> Result:
    return CliRunner().invoke(main, [verb, *map(str, arguments)], input=input)
