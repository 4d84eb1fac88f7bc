"""Runs the tests of a store file against an engine of their own, and says what came of each assertion.

Tests share one engine that holds the store's tuples; a test with tuples of its own gets another. Nothing is kept from one file to the next.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import fgacore
from fgacore.errors import FgaError, InternalError, ModelError, quote
from fgacore.store.faults import FileFault
from fgacore.store.tuple_files import PlacedTuple

from .store_file import Assertion, Store, StoreTest, read_store

__all__ = ["FileResult", "Outcome", "model_faults", "open_store", "run_file"]

NAMES_SHOWN_MAX = 10  # of what is missing from a list, or too much in it


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one assertion: `passed` or `failed` (another answer than expected, or an error). `seconds` is what asking took."""

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
        result.faults += model_faults(store, error)
    except InternalError:
        raise
    except FgaError as error:  # a bound that the model reaches
        result.faults.append(FileFault(path, f"{error.message} ({error.code})"))
    result.seconds = time.perf_counter() - started
    return result


def _run(store: Store, tests: Iterable[StoreTest], result: FileResult) -> None:
    with open_store(store) as shared:
        for test in tests:
            if not test.tuples:
                result.outcomes += [_ask(shared, test, assertion) for assertion in test.assertions]
                continue
            with open_store(store) as own:
                try:
                    _write(own, test.tuples)
                except FileFault as fault:
                    result.faults.append(fault)
                else:
                    result.outcomes += [_ask(own, test, assertion) for assertion in test.assertions]


def open_store(store: Store) -> fgacore.Engine:
    """An engine that holds the model and the tuples of a store. Raises FileFault for its tuples, and for its model what `model_faults` explains."""
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
    started = time.perf_counter()
    message = ""
    try:
        answer = _answer(engine, assertion)
    except InternalError:
        raise
    except FgaError as error:
        expected = f"{len(assertion.expected)} names" if isinstance(assertion.expected, tuple) else str(assertion.expected).lower()
        message = f"expected {expected}, got an error: {error.message} ({error.code})"
    else:
        message = _difference(assertion.expected, answer)
    return Outcome(test.name, assertion, "failed" if message else "passed", message, time.perf_counter() - started)


def _answer(engine: fgacore.Engine, assertion: Assertion) -> bool | list[str]:
    subject, relation, object, context = assertion.subject, assertion.relation, assertion.object, assertion.context
    if assertion.kind == "list_objects":
        return engine.list_objects(subject, relation, object, context=context).to_list()
    if assertion.kind == "list_users":
        found = [engine.list_subjects(object, relation, kind, context=context).to_list() for kind in subject.split(",")]
        return [name for names in found for name in names]
    return engine.check(subject, relation, object, context=context)


def _difference(expected: bool | tuple[str, ...], answer: bool | list[str]) -> str:
    """How an answer is not the expected one; nothing where it is. Lists are compared without order, and as often as a name stands in them."""
    if isinstance(expected, bool) or isinstance(answer, bool):
        return "" if expected is answer else f"expected {str(expected).lower()}, got {str(answer).lower()}"
    missing, unexpected = Counter(expected) - Counter(answer), Counter(answer) - Counter(expected)
    parts = [f"{what} {_listed(list(names.elements()))}" for what, names in (("missing", missing), ("unexpected", unexpected)) if names]
    return f"expected {len(expected)} names, got {len(answer)}: {'; '.join(parts)}" if parts else ""


def _listed(names: list[str]) -> str:
    more = len(names) - NAMES_SHOWN_MAX
    return ", ".join(names[:NAMES_SHOWN_MAX]) + (f" and {more:,} more" if more > 0 else "")


def model_faults(store: Store, error: ModelError) -> list[FileFault]:
    """The faults of a model, each in the file that it is in: the store's own, the model's, or a module beside it."""
    faults = []
    for issue in error.issues:
        if isinstance(store.model, str):
            path, line = store.path, issue.line + store.model_line - 1 if issue.line and store.model_line else 0
        else:
            path, line = (store.model.parent / issue.file if issue.file else store.model), issue.line
        faults.append(FileFault(path, f"{issue.message} ({issue.code})", line))
    return faults or [FileFault(store.path, f"{error.message} ({error.code})")]
