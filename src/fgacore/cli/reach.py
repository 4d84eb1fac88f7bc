"""`fgacore reach`: all that a subject holds, in a store file or a store, and what has been lent to it; or with `--to` all that hold one relation on
any object of a type.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

import fgacore
from fgacore.errors import ModelError
from fgacore.runtime.reach import subject_types
from fgacore.store.faults import FileFault

from .options import Failure, json_object, store_option
from .options import open_store as open_stored
from .store_file import read_store
from .store_tests import model_faults, open_store
from .terminal import plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["reach"]

NAMES_SHOWN = 3  # of a set, unless `--names` asks for another number


@click.command()
@click.argument("places", nargs=-1, metavar="[SUBJECT] [FILE]")
@store_option
@click.option("--to", "target", metavar="'RELATION TYPE'", help="Tell instead who holds this relation on objects of this type.")
@click.option("--context", "context_text", metavar="JSON", help="The context of the question, for conditions.")
@click.option("--names", "shown", type=click.IntRange(min=0), default=NAMES_SHOWN, show_default=True, help="Names to print of each set.")
@click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON.")
@click.option("--allow-external-files", is_flag=True, help="Let the store file name files outside its folder.")
@click.pass_context
def reach(
    ctx: click.Context,
    places: tuple[str, ...],
    store: str | None,
    target: str | None,
    context_text: str | None,
    shown: int,
    as_json: bool,
    allow_external_files: bool,
) -> None:
    """Show all that a subject can reach.

    FILE is a store file like store.fga.yaml; the tuples of its tests are left out. Without a FILE it is the store of --store, and then also what has
    been lent to the subject. With --to there is no SUBJECT.

    \b
      fgacore reach agent:support helpdesk.fga.yaml
      fgacore reach agent:support --store ./authz
      fgacore reach --to "can_read ticket" helpdesk.fga.yaml
    """
    names = 1 if target is None else 0
    is_file = len(places) == names + 1 and ctx.get_parameter_source("store") is not ParameterSource.COMMANDLINE
    if not is_file and (len(places) != names or store is None):
        raise click.UsageError("give a SUBJECT, or --to 'RELATION TYPE', and a FILE or --store")
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr] # a terminal may not have every character of a name
    context = json_object("--context", context_text)
    with _open(Path(places[-1]), allow_external_files) if is_file else open_stored(store, read_only=True) as engine:
        if target is None:
            found = engine.reach(places[0], context=context)
            click.echo(_json(found.to_dict())) if as_json else _print_reach(found, shown, None if is_file else engine.delegations(to=places[0]))
            return
        words = target.split()
        if len(words) != 2:
            raise click.UsageError("--to takes a relation and a type, as in --to 'can_read ticket'")
        relation, type = words
        rows = list(_holders(engine, relation, type, context))
        if as_json:
            click.echo(_json({"relation": relation, "type": type, "subjects": [_told(found) for found in rows]}))
        else:
            _print_holders(rows, relation, type, shown)


def _open(path: Path, allow_external_files: bool) -> fgacore.Engine:
    """An engine with the model and the tuples of a store file. What is wrong with it is a line on stderr for each fault, and exit status 2."""
    try:
        store = read_store(path, allow_external_files=allow_external_files)
        try:
            return open_store(store)
        except ModelError as error:
            raise Failure("\n".join(plain(str(fault)) for fault in model_faults(store, error))) from error
    except FileFault as fault:
        raise Failure(plain(str(fault))) from fault


def _holders(engine: fgacore.Engine, relation: str, type: str, context: Mapping[str, Any] | None) -> Iterator[fgacore.ObjectSet]:
    """The set of each plain subject that holds the relation on any object: by kind, its wildcard first, then in the order of their names."""
    subjects: dict[str, set[str]] = {kind: set() for kind in subject_types(engine, type, relation)}
    for stored in engine.read():
        kind, _, id = stored.subject.partition(":")
        if kind in subjects and "#" not in id and id != "*":
            subjects[kind].add(stored.subject)
    for kind, names in subjects.items():
        for name in (f"{kind}:*", *sorted(names)):
            found = engine.list_objects(name, relation, type, context=context, on_missing_context="report")
            if len(found) or len(found.undetermined):
                yield found


def _print_reach(found: fgacore.Reach, shown: int, delegations: list[fgacore.Delegation] | None) -> None:
    console = _console()
    rows, empty = _held(found, shown)
    console.print(f"{plain(found.subject)} at revision {found.revision}, {found.instant:%Y-%m-%d %H:%M:%S} UTC\n")
    console.print(rows if rows.row_count else "It reaches nothing.")
    if empty:
        console.print(f"\nOn nothing: {empty} more {'relation' if empty == 1 else 'relations'} that its kind could hold.")
    _print_beyond(console, found, shown)
    terms = {each.id: _terms(each) for each in delegations or ()}
    for lent in found.lent:
        rows, _ = _held(lent.reach, shown)
        console.print(f"\nLent, {' > '.join(map(plain, lent.chain))}, {terms.get(lent.delegation, f'by {lent.delegation}')}:\n")
        console.print(rows if rows.row_count else "It reaches nothing.")
    if found.unbounded and delegations is not None:  # a file has no sessions
        console.print("\nUnbounded: it may act for anyone, by sessions of which there is no record. `require_delegation` refuses them.")
    if not found.complete or not all(lent.reach.complete for lent in found.lent):
        console.print("\nConditional: it hangs on a context that was not given, or on a condition that failed; --context gives one.")


def _held(found: fgacore.Reach, shown: int) -> tuple[Table, int]:
    """A row for each relation that is held on anything, and how many others there are."""
    rows, empty = _table("type", "relation", "definite", "conditional", "conditions", "objects"), 0
    for (type, relation), (definite, conditional) in found.counts.items():
        if not definite and not conditional:
            empty += 1
            continue
        conditions = ", ".join(found.conditions[type, relation])
        names = _names((found.definite[type, relation], found.conditional[type, relation]), shown)
        rows.add_row(type, relation, f"{definite:,}", f"{conditional:,}" if conditional else "", conditions, names)
    return rows, empty


def _print_beyond(console: Console, found: fgacore.Reach, shown: int) -> None:
    """What tuples grant and the subject's boundary lets no session have."""
    rows = _table("type", "relation", "granted", "objects")
    for (type, relation), objects in found.beyond.items():
        if len(objects):
            rows.add_row(type, relation, f"{len(objects):,}", _names((objects,), shown))
    if rows.row_count:
        console.print("\nBeyond its boundary: granted, and out of reach of every session of it:\n")
        console.print(rows)


def _terms(delegation: fgacore.Delegation) -> str:
    """A delegation in one line: its id, its task, its end."""
    end = "until it is revoked" if delegation.expires_at is None else f"until {delegation.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    task = "" if delegation.task is None else f" for {plain(delegation.task)}"
    return f"by {delegation.id}{task}, {end}"


def _print_holders(found: list[fgacore.ObjectSet], relation: str, type: str, shown: int) -> None:
    console, rows = _console(), _table("subject", "definite", "conditional", "objects")
    for objects in found:
        conditional = len(objects.undetermined)
        names = _names((objects, objects.undetermined), shown)
        rows.add_row(plain(objects.subject), f"{len(objects):,}", f"{conditional:,}" if conditional else "", names)
    console.print(f"who holds {plain(relation)} on any {plain(type)}\n", markup=False)
    console.print(rows if found else "Nobody does.")
    if any(objects.subject.endswith(":*") for objects in found):
        console.print("\nA wildcard is everybody of its type, also those whom no tuple mentions.")


def _names(sets: Iterable[fgacore.ObjectSet], shown: int) -> str:
    """The first names of some sets, those of the second with a question mark, and how many are left out."""
    names = [name + "?" * rank for rank, found in enumerate(sets) for name in found.to_list()]
    more = [f"and {len(names) - shown:,} more"] if len(names) > shown > 0 else []
    return ", ".join([plain(name) for name in names[:shown]]) + " ".join(["", *more])


def _told(found: fgacore.ObjectSet) -> dict[str, Any]:
    return {"subject": found.subject, "definite": found.to_list(), "conditional": found.undetermined.to_list()}


def _json(told: dict[str, Any]) -> str:
    return json.dumps(told, indent=2, ensure_ascii=False)


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False, emoji=False, markup=False, width=None if sys.stdout.isatty() else 160)


def _table(*columns: str) -> Table:
    from rich.table import Table

    rows = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        rows.add_column(column, justify="right" if column in ("definite", "conditional", "granted") else "left", overflow="fold")
    return rows
