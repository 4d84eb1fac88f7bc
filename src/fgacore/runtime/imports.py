"""Import: lots of tuples into a store, in one piece or lot by lot, with what is wrong told by its place."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from typing import Any

from fgacore.errors import FgaError
from fgacore.results import ImportResult
from fgacore.runtime.requests import digest
from fgacore.runtime.store import Items, Store, Write
from fgacore.store.lines import TextLot
from fgacore.store.transfer import Lot, TupleReader
from fgacore.tuples import Tuple

__all__ = ["Progress", "import_lots", "told"]

_TELL_EACH = 10_000

Progress = Callable[[int, float | None], None]  # tuples read, and how much of the source that is, from 0 to 1, where it is known


def import_lots(
    store: Store,
    reader: TupleReader,
    on_duplicate: str,
    actor: str | None,
    reason: str | None,
    *,
    in_lots: bool,
    request_id: str | None,
    progress: Progress | None,
) -> ImportResult:
    """Write what a reader hands out: all of it or nothing, or with `in_lots` each lot for itself, under the request id and its place among them."""

    def of(lots: Iterator[Lot]) -> Iterator[Lot]:
        for lot in lots:
            if request_id is not None and not in_lots:
                whole.update(_digest(write, lot))
            yield lot
            if progress is not None:
                progress(reader.read, reader.share)

    def stage(lot: Lot, put: Callable[[Any], tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
        return _stage(lot, put, reader.refuse)

    whole = hashlib.sha256()
    write = Write([], [], on_duplicate, False, None, actor, reason, request_id)
    if not in_lots:
        write.finish = whole.digest
        revision, written = store.import_lots(of(reader), stage, write)
    else:
        revision, written = store.state.revision, 0
        for number, lot in enumerate(of(reader)):
            each = dataclasses.replace(write, request_id=None if request_id is None else f"{request_id}/{number}")
            if request_id is not None:
                each.digest = _digest(write, lot)
            revision, count = store.import_lots(iter([lot]), stage, each)
            written += count
    return ImportResult(revision, reader.read, written, reader.skipped, tuple(reader.errors))


def told(tuples: Iterator[Tuple], progress: Progress) -> Iterator[Tuple]:
    """The same tuples; `progress` is told of every few thousand, and of the last."""
    count = 0
    for count, each in enumerate(tuples, start=1):
        yield each
        if count % _TELL_EACH == 0:
            progress(count, None)
    progress(count, None)


def _digest(write: Write, lot: Lot) -> bytes:
    items: Items = [*lot.items.triples()] if isinstance(lot.items, TextLot) else lot.items
    return digest(dataclasses.replace(write, writes=items))


def _stage(lot: Lot, write: Callable[[Any], tuple[int, Any]], refuse: Callable[[str, FgaError], None]) -> Iterator[tuple[int, Any]]:
    """Stage a lot; where one of its tuples is refused, and `refuse` lets that pass, what comes before it and what comes after."""
    parts: list[tuple[int, Any]] = [(0, lot.items)]
    while parts:
        first, items = parts.pop()
        try:
            yield write(items)
        except FgaError as error:
            if error.index is None:
                raise
            at, error.index = error.index, None
            refuse(lot.place(first + at), error)
            texts = items.triples() if isinstance(items, TextLot) else items
            parts += [part for part in ((first + at + 1, texts[at + 1 :]), (first, texts[:at])) if part[1]]
