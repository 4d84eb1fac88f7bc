"""`fgacore audit verify`, `head`, `replay` and `show`: what was decided, and whether the log of it is what was written."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import click

from fgacore.audit import ChainReport, Difference, LoggedDecision, heads, read, verify
from fgacore.audit import replay as replay_log
from fgacore.audit.place import decisions_directory
from fgacore.errors import StoreError
from fgacore.formats import DECISION_CODES
from fgacore.store.log import open_log
from fgacore.store.tuple_files import moment_of_text, moment_text

from .options import Command, Failure, store_named, store_option
from .terminal import plain

__all__ = ["audit"]

_json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


def _place_options(command: Command) -> Command:
    """`--store`, and `--log` for decisions that lie elsewhere."""
    text = "Where the decisions lie.  [default: `decisions` in the store's directory]"
    return store_option(click.option("--log", "log", type=click.Path(path_type=Path), metavar="DIR", help=text)(command))


@click.group()
def audit() -> None:
    """The log of decisions: verify it, anchor it, replay it, read it.

    Exit status 0: as it should be; 1: changed, damaged, or decided otherwise; 2: it could not be looked at.
    """


@contextmanager
def _damage() -> Iterator[None]:
    """What is damaged is a finding: exit status 1."""
    try:
        yield
    except StoreError as error:
        if error.code != "corrupt":
            raise
        click.echo(plain(error.message), err=True)
        raise click.exceptions.Exit(1) from error


def _place(store: str | None, log: Path | None) -> tuple[Path, bytes | None]:
    """Where the decisions lie, and the id of their store where one is named."""
    if log is not None and not store:
        return log, None
    with closing(open_log(store_named(store), read_only=True)) as opened:
        return decisions_directory(opened, log), opened.store_id


@audit.command("verify")
@_place_options
@click.option("--head", "given", multiple=True, metavar="HEAD", help="A head that was kept elsewhere: it must be there. Can be repeated.")
@click.option("--heads", "listed", type=click.File(), metavar="FILE", help="The same, a line each, as `head` printed them; -: stdin.")
@click.option("--key", type=click.Path(path_type=Path), metavar="FILE", help="The public key that must have signed each block: PEM, or 32 bytes.")
@_json_option
def verify_command(store: str | None, log: Path | None, given: tuple[str, ...], listed: Any, key: Path | None, as_json: bool) -> None:
    """Read every byte, and say what was changed since it was written.

    \b
      fgacore audit verify --store ./authz --heads anchored.txt
    """
    anchors = [*given, *(line for line in (listed or ()) if line.strip())]
    public = None
    if key is not None:
        try:
            public = key.read_bytes()
        except OSError as error:
            raise Failure(plain(f"the key {key} cannot be read: {error.strerror}")) from error
    directory, store_id = _place(store, log)
    found = verify(directory, anchors, public, store_id=store_id)
    if as_json:
        chains = [dataclasses.asdict(chain) for chain in found.chains]
        click.echo(json.dumps({"good": found.good, "decisions": found.decisions, "problems": found.problems, "chains": chains}))
    else:
        for problem in (*(f"{chain.chain}: {each}" for chain in found.chains for each in chain.problems), *found.problems):
            click.echo(plain(problem), err=True)
        for chain in found.chains:
            click.echo(_chain_line(chain))
        said = "as it was written" if found.good else "NOT as it was written"
        click.echo(f"{found.decisions:,} decisions in {len(found.chains):,} chains: {said}")
    if not found.good:
        raise click.exceptions.Exit(1)


def _chain_line(chain: ChainReport) -> str:
    gone = sum(end - first for first, end in chain.missing)
    parts = [f"{chain.chain}  {chain.decisions:,} decisions in {chain.blocks:,} blocks"]
    if chain.signed:
        parts.append(f"{chain.signed:,} signed")
    if gone:
        parts.append(f"{gone:,} calls not kept")
    if chain.lost:
        parts.append(f"{chain.lost:,} calls lost at the end, or on their way")
    elif chain.lost is None and not chain.problems and not chain.is_ended:
        parts.append("how many were lost at the end is not known")
    if chain.torn:
        parts.append(f"{chain.torn:,} bytes of a write that was broken off")
    parts.append("ended" if chain.is_ended else "not ended")
    return ", ".join(parts)


@audit.command()
@_place_options
@_json_option
def head(store: str | None, log: Path | None, as_json: bool) -> None:
    """Print the head of each chain: keep them where the host of the log cannot reach.

    \b
      fgacore audit head --store ./authz >> anchored.txt
    """
    directory, _ = _place(store, log)
    with _damage():
        found = heads(directory)
    if as_json:
        click.echo(json.dumps(found))
    else:
        for each in found:
            click.echo(each)


@audit.command()
@_place_options
@_json_option
def replay(store: str | None, log: Path | None, as_json: bool) -> None:
    """Make every decision again, each at its revision, its instant and what bound it then. There is no difference, or it is told.

    \b
      fgacore audit replay --store ./authz
    """
    with _damage():
        found = replay_log(store_named(store), log)
    if as_json:
        differences = [dataclasses.asdict(each) for each in found.examples]
        counts = {"decisions": found.decisions, "same": found.same, "differences": found.differences, "apart": dict(found.apart)}
        click.echo(json.dumps({**counts, "examples": differences}))
    else:
        for each in found.examples:
            click.echo(plain(_difference_line(each)), err=True)
        if found.differences > len(found.examples):
            click.echo(f"and {found.differences - len(found.examples):,} more", err=True)
        for reason, count in sorted(found.apart.items()):
            click.echo(f"{count:,} cannot be made again: {_REASONS.get(reason, reason)}")
        click.echo(f"{found.decisions:,} decisions, {found.same:,} made again as they were, {found.differences or 'no'} differences")
    if not found.good:
        raise click.exceptions.Exit(1)


_REASONS = {
    "other_semantics": "made by an fgacore to which answers meant something else",
    "contextual": "made over contextual tuples, or an older model",
    "compacted": "their history was dropped by a compaction",
    "context_not_kept": "only the digest of their context was kept",
    "not_logged": "denied since the log failed",
}


def _difference_line(each: Difference) -> str:
    was = f"logged {each.logged or 'nothing'}, replayed {each.replayed}"
    return f"{each.chain} decision {each.sequence}, item {each.place}, revision {each.revision}: {was}"


@audit.command()
@_place_options
@click.option("--subject", metavar="NAME", help="Only where this is a principal of the chain.")
@click.option("--relation", metavar="NAME", help="Only this relation.")
@click.option("--object", metavar="NAME", help="Only this object.")
@click.option("--code", type=click.Choice(["denied", *DECISION_CODES]), help="Only with this code; `denied`: all that deny.")
@click.option("--delegation", metavar="ID", help="Only by this delegation.")
@click.option("--task", metavar="TEXT", help="Only for this task.")
@click.option("--since", metavar="TIME", help="From this time on, like 2026-01-05T10:00:00Z.")
@click.option("--until", metavar="TIME", help="Before this time.")
@click.option("--limit", type=click.IntRange(min=0), metavar="N", help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line.")
def show(store: str | None, log: Path | None, since: str | None, until: str | None, limit: int | None, as_json: bool, **wanted: Any) -> None:
    """Print what was decided, for whom, and why not.

    \b
      fgacore audit show --store ./authz --subject agent:support --code denied
    """
    with _damage(), closing(read(store_named(store), log, since=_time("--since", since), until=_time("--until", until), **wanted)) as found:
        for each in islice(found, limit):
            click.echo(json.dumps(each.to_dict(), ensure_ascii=True, default=str) if as_json else plain(_line(each)))


def _time(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    return moment_of_text(text, lambda _: click.UsageError(f"{option} is not a time like 2026-01-05T10:00:00Z"))


def _line(each: LoggedDecision) -> str:
    because = "" if each.principal is None else f" ({each.principal})"
    task = "" if each.task is None else f"  {each.task}"
    return f"{moment_text(each.time)}  {' > '.join(each.principals)}  {each.relation} {each.object}  {each.code}{because}{task}"
