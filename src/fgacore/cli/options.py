"""Options that several verbs have: which store, in whose name, a JSON object; and how a verb fails."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

import fgacore
from fgacore.formats import SQLITE_FILE
from fgacore.store.snapshot import find_snapshots

from .terminal import plain

__all__ = ["Failure", "attribution_options", "filter_options", "json_object", "open_store", "store_named", "store_option"]

Command = TypeVar("Command", bound=Callable[..., Any])


class Failure(click.ClickException):
    """What went wrong, in one line: exit status 2, as click's own for a command that is wrong."""

    exit_code = 2


def store_option(command: Command) -> Command:
    """`--store`, or FGACORE_STORE: a directory, or the URL of a store in PostgreSQL."""
    text = "The store: a directory, or postgresql://user@host/db?store=NAME.  [env: FGACORE_STORE]"
    return click.option("--store", "store", envvar="FGACORE_STORE", metavar="PATH|URL", help=text)(command)


def store_named(store: str | None, *, create: bool = False) -> str:
    """The store that a verb is for. It is there, or with `create` will be: a misspelt path is no empty store."""
    if not store:
        raise Failure("no store is named: give --store PATH or URL, or set FGACORE_STORE")
    if store == ":memory:":
        raise Failure("`:memory:` keeps nothing beyond a process: name a directory, or a URL of PostgreSQL")
    if not create and "://" not in store and not (Path(store) / SQLITE_FILE).exists() and not find_snapshots(Path(store)):
        raise Failure(plain(f"there is no store in {store}: `fgacore import FILE --model MODEL --store {store}` makes one"))
    return store


def open_store(store: str | None, *, read_only: bool = False, create: bool = False) -> fgacore.Engine:
    """The engine of a store."""
    return fgacore.open(store_named(store, create=create), read_only=read_only)


def attribution_options(command: Command) -> Command:
    """`--actor` and `--reason`, which are kept with the revision."""
    command = click.option("--reason", metavar="TEXT", help="Why; kept in the log.")(command)
    return click.option("--actor", metavar="NAME", help="In whose name; kept in the log.")(command)


def filter_options(command: Command) -> Command:
    """The parts of the tuples that are meant: all, where none is given."""
    for part in ("object", "relation", "subject"):
        command = click.option(f"--{part}", metavar="NAME", help=f"Only tuples with this {part}.")(command)
    return command


def json_object(option: str, text: str | None) -> Mapping[str, Any] | None:
    """What an option says as JSON, which is an object."""
    if text is None:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"{option} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise click.UsageError(f"{option} is not a JSON object")
    return found
