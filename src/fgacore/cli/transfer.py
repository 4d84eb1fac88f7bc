"""`fgacore import` and `fgacore export`: tuples from a file into a store, and from a store into a file."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from fgacore.store.transfer import FORMATS, write_tuples

from .options import attribution_options, filter_options, open_store, store_option
from .terminal import plain

__all__ = ["export_tuples", "import_tuples"]

Progress = Callable[[int, float | None], None]

_format_option = click.option("--format", type=click.Choice(FORMATS), help="Of the file, where its name does not say it.")


@click.command("import")
@click.argument("file", metavar="FILE")
@store_option
@_format_option
@click.option("--model", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE", help="Write this model first.")
@click.option("--on-error", type=click.Choice(["stop", "skip"]), default="stop", show_default=True, help="At a bad line.")
@click.option("--on-duplicate", type=click.Choice(["error", "ignore", "replace"]), default="error", show_default=True, help="At a stored tuple.")
@click.option("--lots", type=click.IntRange(min=1), metavar="N", help="Write N at a time, each lot for itself, not all or nothing.")
@click.option("--request-id", metavar="ID", help="Names this import for 24 hours: begun again, it passes over what is written.")
@attribution_options
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def import_tuples(
    file: str,
    store: str | None,
    format: str | None,
    model: Path | None,
    on_error: str,
    on_duplicate: str,
    lots: int | None,
    request_id: str | None,
    actor: str | None,
    reason: str | None,
    as_json: bool,
) -> None:
    """Write the tuples of a file.

    FILE is JSON lines, CSV, YAML or Parquet; - is standard input, and needs --format. All of it is written, or nothing. With --model the store is
    made if it is not there.

    \b
      fgacore import tuples.csv --store ./authz --model model.fga
    """
    with open_store(store, create=model is not None) as engine, _progress("import") as progress:
        if model is not None:
            engine.write_model(model, actor=actor, reason=reason)
        result = engine.import_tuples(
            sys.stdin.buffer if file == "-" else file,
            format=format,  # type: ignore[arg-type] # click has seen to these
            on_error=on_error,  # type: ignore[arg-type]
            on_duplicate=on_duplicate,  # type: ignore[arg-type]
            lots=lots,
            actor=actor,
            reason=reason,
            request_id=request_id,
            progress=progress,
        )
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(result), ensure_ascii=False))
        return
    for message in result.errors:
        click.echo(plain(message), err=True)
    if result.skipped > len(result.errors):
        click.echo(f"and {result.skipped - len(result.errors):,} more", err=True)
    skipped = f", {result.skipped:,} skipped" if result.skipped else ""
    click.echo(f"{result.written:,} tuples written of {result.read:,} read{skipped}; revision {result.revision}")


@click.command("export")
@click.argument("file", metavar="FILE")
@store_option
@_format_option
@filter_options
def export_tuples(file: str, store: str | None, format: str | None, subject: str | None, relation: str | None, object: str | None) -> None:
    """Write the tuples of a store to a file.

    FILE ends in .jsonl, .csv, .yaml or .parquet; - is standard output, and needs --format. The file is there whole, or as it was before.

    \b
      fgacore export tuples.jsonl --store ./authz
    """
    with open_store(store, read_only=True) as engine:
        if file == "-":
            write_tuples(sys.stdout.buffer, format, engine.read(subject=subject, relation=relation, object=object))
            return
        with _progress("export") as progress:
            count = engine.export_tuples(
                file,
                format=format,  # type: ignore[arg-type] # click has seen to it
                subject=subject,
                relation=relation,
                object=object,
                progress=progress,
            )
    click.echo(f"{count:,} tuples written to {plain(file)}")


@contextmanager
def _progress(verb: str) -> Iterator[Progress | None]:
    """A bar on a terminal, and nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns: tuple[Any, ...] = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[count]:,} tuples"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(verb, total=None, count=0)

        def progress(count: int, share: float | None) -> None:
            bar.update(task, total=None if share is None else 1.0, completed=share or 0, count=count)

        yield progress
