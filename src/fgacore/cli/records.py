"""`fgacore write`, `read` and `changes`: one write, the tuples that are stored, and the log of what was written."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

import fgacore
from fgacore.errors import FgaError, InternalError
from fgacore.store.faults import FileFault
from fgacore.store.transfer import read_file
from fgacore.store.tuple_files import json_text, mapping_of, moment_of_text, moment_text
from fgacore.tuples import Triple, Tuple

from .options import Failure, attribution_options, filter_options, json_object, open_store, store_option
from .terminal import plain

__all__ = ["changes", "read", "write"]


@click.command()
@click.argument("names", nargs=-1, metavar="[SUBJECT RELATION OBJECT]")
@store_option
@click.option("--file", type=click.Path(path_type=Path), metavar="FILE", help="Take the tuples of a file, all in one write.")
@click.option("--delete", is_flag=True, help="Delete instead.")
@click.option("--condition", metavar="NAME", help="Under this condition.")
@click.option("--context", "context_text", metavar="JSON", help="The condition's own context.")
@click.option("--expires-at", metavar="TIME", help="Until this time, like 2026-01-05T10:00:00Z.")
@click.option("--on-duplicate", type=click.Choice(["error", "ignore", "replace"]), default="error", show_default=True, help="At a stored tuple.")
@click.option("--on-missing", type=click.Choice(["error", "ignore"]), default="error", show_default=True, help="At one to delete that is not stored.")
@click.option("--request-id", metavar="ID", help="Names this write for 24 hours: asked again, it is made once.")
@attribution_options
@click.option("--json", "as_json", is_flag=True, help="Print the revision as JSON.")
def write(
    names: tuple[str, ...],
    store: str | None,
    file: Path | None,
    delete: bool,
    condition: str | None,
    context_text: str | None,
    expires_at: str | None,
    on_duplicate: str,
    on_missing: str,
    request_id: str | None,
    actor: str | None,
    reason: str | None,
    as_json: bool,
) -> None:
    """Store or delete tuples in one write.

    \b
      fgacore write agent:support assignee ticket:47291 --store ./authz --reason INC-7
      fgacore write agent:support assignee ticket:47291 --store ./authz --delete
    """
    if (len(names) == 3) is (file is not None) or (names and len(names) != 3):
        raise click.UsageError("give SUBJECT RELATION OBJECT, or --file")
    if (delete or file is not None) and (condition, context_text, expires_at) != (None, None, None):
        raise click.UsageError("--condition, --context and --expires-at are for one tuple that is stored")
    items: list[Triple | Tuple] = []
    lines: list[int] = []
    if file is None:
        subject, relation, object = names
        items.append(Tuple(subject, relation, object, condition, json_object("--context", context_text), _moment(expires_at)))
    else:
        try:
            for item, line in read_file(file):
                items.append(item)
                lines.append(line)
        except FileFault as fault:
            raise Failure(plain(str(fault))) from fault
    with open_store(store) as engine:
        try:
            revision = engine.write(
                [] if delete else items,
                deletes=items if delete else [],
                on_duplicate=on_duplicate,  # type: ignore[arg-type] # click has seen to these
                on_missing=on_missing,  # type: ignore[arg-type]
                actor=actor,
                reason=reason,
                request_id=request_id,
            )
        except InternalError:
            raise
        except FgaError as error:
            if file is None or error.index is None:
                raise
            raise Failure(plain(str(FileFault(file, f"{error.message} ({error.code})", lines[error.index])))) from error
    click.echo(json.dumps({"revision": revision}) if as_json else f"revision {revision}")


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    return moment_of_text(text, lambda _: click.UsageError("--expires-at is not a time like 2026-01-05T10:00:00Z"))


@click.command()
@store_option
@filter_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines, as `export` writes them.")
def read(store: str | None, subject: str | None, relation: str | None, object: str | None, as_json: bool) -> None:
    """Print stored tuples.

    \b
      fgacore read --object ticket:47291 --store ./authz
    """
    with open_store(store, read_only=True) as engine:
        for item in engine.read(subject=subject, relation=relation, object=object):
            _echo(json_text(mapping_of(item)) if as_json else _line(item))


@click.command()
@store_option
@click.option("--since", type=click.IntRange(min=0), default=0, metavar="REVISION", help="Only what was recorded after it.")
@click.option("--type", "types", multiple=True, metavar="TYPE", help="Only tuples of objects of this type; may stand several times.")
@click.option("--follow", is_flag=True, help="Go on with what comes, until interrupted.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines, one for each revision.")
def changes(store: str | None, since: int, types: tuple[str, ...], follow: bool, as_json: bool) -> None:
    """Print what was recorded, oldest first.

    \b
      fgacore changes --since 7 --store ./authz
    """
    with open_store(store, read_only=True) as engine:
        try:
            for change in engine.changes(since, types=types or None, follow=follow):
                if as_json:
                    _echo(json_text(_mapping(change)))
                else:
                    for line in _lines(change):
                        _echo(line)
                if follow:
                    sys.stdout.flush()
        except KeyboardInterrupt:
            if not follow:
                raise


def _echo(line: str) -> None:
    """A line without control characters, so that no stored text can steer the terminal; JSON has none, and stays as it is."""
    click.echo(plain(line))


def _line(item: Tuple) -> str:
    """A tuple in words: `user:anne viewer doc:1 with office {"hour": 9} until 2026-01-05T10:00:00Z`."""
    parts = [item.subject, item.relation, item.object]
    if item.condition is not None:
        parts += ["with", item.condition]
    if item.context:
        parts.append(json_text(item.context))
    if item.expires_at is not None:
        parts += ["until", moment_text(item.expires_at)]
    return " ".join(parts)


def _lines(change: fgacore.Change) -> Iterator[str]:
    yield "  ".join(filter(None, [str(change.revision), _time(change), change.kind, change.model_id, change.actor, change.reason]))
    if told := {name: value for name, value in change.details.items() if value is not None}:
        yield f"  {json_text(told)}"
    yield from (f"  + {_line(item)}" for item in change.writes)
    yield from (f"  - {_line(item)}" for item in change.deletes)


def _mapping(change: fgacore.Change) -> dict[str, Any]:
    return {
        "revision": change.revision,
        "time": _time(change),
        "kind": change.kind,
        "actor": change.actor,
        "reason": change.reason,
        "model_id": change.model_id,
        "details": dict(change.details),
        "written": change.written,
        "deleted": change.deleted,
        "writes": [mapping_of(item) for item in change.writes],
        "deletes": [mapping_of(item) for item in change.deletes],
    }


def _time(change: fgacore.Change) -> str:
    return moment_text(datetime.fromtimestamp(change.time, UTC))
