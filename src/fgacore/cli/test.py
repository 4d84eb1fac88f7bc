"""`fgacore test`: runs store files (`store.fga.yaml`), the tests that OpenFGA's own command line runs, and reports as test runners do.

The exit status says the outcome: 0 all passed, 1 something failed, 2 the command was wrong.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .junit import junit_xml
from .store_tests import FileResult, Outcome, run_file
from .terminal import plain

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["test"]

STORE_FILES = "*.fga.yaml"  # what a folder is searched for
CONTEXT_CHARACTERS_MAX = 200  # of a context that is printed
COLORS = {"passed": "green", "failed": "red"}


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILES...")
@click.option("--filter", "text", metavar="TEXT", help="Run only tests whose name contains this, in any case.")
@click.option("-v", "--verbose", is_flag=True, help="List every assertion.")
@click.option("--junit", type=click.Path(dir_okay=False, writable=True, path_type=Path), metavar="FILE", help="Write a report as JUnit XML.")
@click.option("--allow-external-files", is_flag=True, help="Let a store file name files outside its folder.")
def test(files: tuple[str, ...], text: str | None, verbose: bool, junit: Path | None, allow_external_files: bool) -> None:
    """Run the tests of store files.

    FILES are files like store.fga.yaml, folders to search for *.fga.yaml, or patterns. Exit status: 0 all passed, 1 something failed or could not
    be read.
    """
    from rich.console import Console

    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr] # a terminal may not have every character of a name
    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    started = time.perf_counter()
    results = []
    for path in _store_files(files):
        result = run_file(path, wanted=_wanted(text), allow_external_files=allow_external_files)
        if text is None or result.outcomes or result.faults:
            results.append(result)
            _print_file(console, result, verbose)
    seconds = time.perf_counter() - started
    if not results:
        raise click.UsageError(f"no test with an assertion has {text!r} in its name")
    _print_details(console, results)
    _print_summary(console, results, seconds)
    if junit is not None:
        try:
            junit.write_bytes(junit_xml(results, seconds))
        except OSError as error:
            raise click.FileError(str(junit), error.strerror) from error
    sys.exit(any(result.faults or result.count("failed") for result in results))


def _store_files(names: Sequence[str]) -> list[Path]:
    """The files that are meant, each once, in the order of the names. UsageError for a name that stands for none."""
    found: dict[Path, Path] = {}
    for name in names:
        paths = list(_matching(name))
        if not paths:
            raise click.UsageError(f"no store file at {name!r} (a folder is searched for {STORE_FILES})")
        for path in paths:
            found.setdefault(path.resolve(), path)
    return list(found.values())


def _matching(name: str) -> Iterator[Path]:
    path = Path(name)
    if path.is_dir():
        yield from sorted(found for found in path.rglob(STORE_FILES) if found.is_file())
    elif path.exists():
        yield path
    else:
        yield from (found for found in map(Path, sorted(glob(name, recursive=True))) if found.is_file())


def _wanted(text: str | None) -> Callable[[str], bool]:
    return lambda name: text is None or text.casefold() in name.casefold()


def _print_file(console: Console, result: FileResult, verbose: bool) -> None:
    failed = bool(result.faults or result.count("failed"))
    console.print("FAIL" if failed else "ok  ", style="red" if failed else "green", end="")
    console.print(f"  {plain(str(result.path))}  {_counts([result]) or 'nothing to run'}")
    if verbose:
        for outcome in result.outcomes:
            console.print(f"      {outcome.status:6}", style=COLORS[outcome.status], end="")
            console.print(f"  {plain(outcome.test)}: {plain(str(outcome.assertion))}")


def _print_details(console: Console, results: Sequence[FileResult]) -> None:
    for result in results:
        for fault in result.faults:
            console.print(f"\n{plain(fault.place)}", style="bold")
            console.print(f"    {plain(fault.message)}")
        for outcome in result.outcomes:
            if outcome.status == "failed":
                console.print(f"\n{plain(str(result.path))}:{outcome.assertion.line}  {plain(outcome.test)}", style="bold")
                console.print(f"    {plain(str(outcome.assertion))}{_context(outcome)}")
                console.print(f"    {plain(outcome.message)}")


def _print_summary(console: Console, results: Sequence[FileResult], seconds: float) -> None:
    console.print(f"\n{len(results)} {'file' if len(results) == 1 else 'files'}: {_counts(results) or 'nothing to run'}, in {seconds:.2f} s")


def _counts(results: Sequence[FileResult]) -> str:
    counts = [(sum(result.count(status) for result in results), status) for status in ("passed", "failed")]
    faults = sum(len(result.faults) for result in results)
    counts.append((faults, "error" if faults == 1 else "errors"))
    return ", ".join(f"{count:,} {status}" for count, status in counts if count)


def _context(outcome: Outcome) -> str:
    """The context of a question, where it has one, cut to what a reader wants."""
    if not outcome.assertion.context:
        return ""
    text = json.dumps(outcome.assertion.context, ensure_ascii=False)
    return plain(f"  context {text if len(text) <= CONTEXT_CHARACTERS_MAX else text[: CONTEXT_CHARACTERS_MAX - 1] + '…'}")
