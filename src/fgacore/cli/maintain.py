"""`fgacore snapshot`, `compact`, `verify` and `repair`: what keeps a store quick, small and whole."""

from __future__ import annotations

import dataclasses
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from fgacore.errors import StoreError
from fgacore.store.log import Log, open_log
from fgacore.store.snapshot import find_snapshots, open_snapshot
from fgacore.store.verify import repair_sqlite, verify_log

from .options import Failure, attribution_options, open_store, store_named, store_option
from .terminal import plain

__all__ = ["compact", "repair", "snapshot", "verify"]

_json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


@click.command()
@store_option
@_json_option
def snapshot(store: str | None, as_json: bool) -> None:
    """Write a snapshot, from which a store opens at once.

    \b
      fgacore snapshot --store ./authz
    """
    with open_store(store) as engine:
        revision = engine.snapshot()
    click.echo(json.dumps({"revision": revision}) if as_json else f"snapshot of revision {revision}")


@click.command()
@store_option
@attribution_options
@click.option("--yes", is_flag=True, help="Do it: history cannot be brought back.")
@_json_option
def compact(store: str | None, actor: str | None, reason: str | None, yes: bool, as_json: bool) -> None:
    """Drop the history of a store, and names without tuples.

    A new generation begins: `changes` and `at` go back to here, and ids of before are refused. Take a backup first, and delete it where names must be
    gone for good.

    \b
      fgacore compact --yes --store ./authz --reason "erased: anne"
    """
    if not yes:
        raise Failure("compact drops the history for good: say --yes")
    with open_store(store) as engine:
        revision = engine.compact(actor=actor, reason=reason)
        generation = engine.generation
    click.echo(json.dumps({"revision": revision, "generation": generation}) if as_json else f"generation {generation}, from revision {revision}")


@click.command()
@click.argument("place", required=False, metavar="[PATH|URL]")
@store_option
@click.option("--head", metavar="HASH", help="A hash that was written down elsewhere: it must be in the chain.")
@_json_option
def verify(place: str | None, store: str | None, head: str | None, as_json: bool) -> None:
    """Read a whole store and say whether it is as it was written.

    Every record of the log, its chain of hashes, and every section of the snapshots. Exit status 0: whole; 1: damaged; 2: it could not be looked at.

    \b
      fgacore verify ./authz
    """
    try:
        anchor = None if head is None else bytes.fromhex(head)
    except ValueError:
        anchor = b""
    if anchor is not None and len(anchor) != 32:
        raise click.UsageError("--head is a hash of 64 hexadecimal digits, as verify prints it")
    with closing(open_log(store_named(place or store), read_only=True)) as log:
        result = verify_log(log, anchor)
        faults = [str(fault) for fault in result.faults]
        snapshots = _snapshots(log, faults)
    found = {"records": result.records, "revision": result.revision, "head": result.hash.hex(), "snapshots": snapshots, "faults": faults}
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
    else:
        for fault in faults:
            click.echo(plain(fault), err=True)
        click.echo(f"{result.records:,} records, {snapshots} snapshots, {len(faults) or 'no'} faults; revision {result.revision}")
        click.echo(f"head {result.hash.hex()}")
    if faults:
        raise click.exceptions.Exit(1)


def _snapshots(log: Log, faults: list[str]) -> int:
    """Verify the snapshots beside a log, and count them. One that is unlinked meanwhile is none."""
    found = find_snapshots(log.directory) if log.directory is not None else []
    for _, path in found:
        try:
            open_snapshot(path).verify()
        except StoreError as error:
            if path.exists():
                faults.append(f"{path.name}: {error.message}")
    return len(found)


@click.command()
@click.argument("place", required=False, metavar="[PATH]")
@store_option
@_json_option
def repair(place: str | None, store: str | None, as_json: bool) -> None:
    """Cut a torn tail off the log in a directory, and only a tail.

    Nothing else may have the store open. Damage before a record that is good is not repaired: bring the store back from a backup.

    \b
      fgacore repair ./authz
    """
    store = store_named(place or store)
    if "://" in store:
        raise Failure("repair is for a store in a directory: for one in PostgreSQL, see to the server, or bring back a backup")
    result = repair_sqlite(Path(store))
    if as_json:
        told: dict[str, Any] = {**dataclasses.asdict(result), "backup": None if result.backup is None else str(result.backup)}
        click.echo(json.dumps(told))
        return
    if result.removed or result.backup is not None:
        kept = f"; the damaged file is kept as {result.backup}" if result.backup is not None else ""
        click.echo(plain(f"{result.removed:,} records cut; revision {result.revision}{kept}"))
    else:
        click.echo(f"nothing to repair; revision {result.revision}")
