"""Runs the tests of a store file against an engine of their own, and says what came of each assertion.

Tests share one engine that holds the store's tuples; a test with tuples of its own gets another. Nothing is kept from one file to the next.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import fgacore
from fgacore.errors import FgaError, InternalError, ModelError, quote

from .documents import FileFault
from .store_file import Assertion, Store, StoreTest, read_store
from .tuple_files import PlacedTuple

__all__ = ["FileResult", "Outcome", "run_file"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one assertion: `passed`, `failed` (another answer than expected, or an error), or `not run`. `seconds` is what asking took."""

    test: str
    assertion: Assertion
    status: str
    message: str = ""
    seconds: float = 0.0


@dataclass(slots=True)
class FileResult:
    """What came of one file. A fault is an error in the file itself, its model or its tuples: what hangs on it was not asked."""

    path: Path
    outcomes: list[Outcome] = field(default_factory=list)
    faults: list[FileFault] = field(default_factory=list)
    seconds: float = 0.0

    def count(self, status: str) -> int:
        return sum(outcome.status == status for outcome in self.outcomes)


def run_file(path: Path, *, wanted: Callable[[str], bool] = bool, allow_external_files: bool = False) -> FileResult:
    """Run the tests of a store file whose names are `wanted`. Whatever is wrong with it is in the result, except an InternalError."""
    result = FileResult(path)
    started = time.perf_counter()
    try:
        store = read_store(path, allow_external_files=allow_external_files)
        tests = [test for test in store.tests if wanted(test.name)]
        if tests or not store.tests:
            _run(store, tests, result)
    except FileFault as fault:
        result.faults.append(fault)
    except ModelError as error:
        result.faults += _model_faults(store, error)
    except InternalError:
        raise
    except FgaError as error:  # a bound that the model reaches
        result.faults.append(FileFault(path, f"{error.message} ({error.code})"))
    result.seconds = time.perf_counter() - started
    return result


def _run(store: Store, tests: Iterable[StoreTest], result: FileResult) -> None:
    with _engine(store) as shared:
        for test in tests:
            if not test.tuples:
                result.outcomes += [_ask(shared, test, assertion) for assertion in test.assertions]
                continue
            with _engine(store) as own:
                try:
                    _write(own, test.tuples)
                except FileFault as fault:
                    result.faults.append(fault)
                else:
                    result.outcomes += [_ask(own, test, assertion) for assertion in test.assertions]


def _engine(store: Store) -> fgacore.Engine:
    """An engine that holds the model and the tuples of the store."""
    engine = fgacore.open(":memory:")
    engine.write_model(store.model)
    _write(engine, store.tuples)
    return engine


def _write(engine: fgacore.Engine, tuples: Iterable[PlacedTuple]) -> None:
    """Write all of them. One that is there already, or stands twice, is one; if it has another condition or context, it is a fault."""
    first: dict[tuple[str, str, str], PlacedTuple] = {}
    again = []
    for placed in tuples:
        key = (placed.tuple.subject, placed.tuple.relation, placed.tuple.object)
        if first.setdefault(key, placed) is not placed:
            again.append(placed)
    for lot in (list(first.values()), *([placed] for placed in again)):
        try:
            engine.write([placed.tuple for placed in lot], on_duplicate="ignore")
        except InternalError:
            raise
        except FgaError as error:
            placed = lot[error.index or 0]
            text = f"{placed.tuple.subject} {placed.tuple.relation} {placed.tuple.object}"
            raise FileFault(placed.path, f"tuple {quote(text)}: {error.message} ({error.code})", placed.line) from error


def _ask(engine: fgacore.Engine, test: StoreTest, assertion: Assertion) -> Outcome:
    if assertion.expected is None:
        return Outcome(test.name, assertion, "not run", f"{assertion.kind} is not supported yet")
    started = time.perf_counter()
    try:
        answer = str(engine.check(assertion.subject, assertion.relation, assertion.object, context=assertion.context)).lower()
    except InternalError:
        raise
    except FgaError as error:
        answer = f"an error: {error.message} ({error.code})"
    seconds = time.perf_counter() - started
    expected = str(assertion.expected).lower()
    if answer == expected:
        return Outcome(test.name, assertion, "passed", seconds=seconds)
    return Outcome(test.name, assertion, "failed", f"expected {expected}, got {answer}", seconds)


def _model_faults(store: Store, error: ModelError) -> list[FileFault]:
    """The faults of a model, each in the file that it is in: the store's own, the model's, or a module beside it."""
    faults = []
    for issue in error.issues:
        if isinstance(store.model, str):
            path, line = store.path, issue.line + store.model_line - 1 if issue.line and store.model_line else 0
        else:
            path, line = (store.model.parent / issue.file if issue.file else store.model), issue.line
        faults.append(FileFault(path, f"{issue.message} ({issue.code})", line))
    return faults or [FileFault(store.path, f"{error.message} ({error.code})")]
