"""Import and export of tuples: files and iterables read in lots, in bounded memory, and files written whole or not at all.

Reading knows no model: a lot is what a file says, in its order, and the engine judges it. Formats are JSON lines, CSV, YAML and Parquet, chosen by
the end of the name or by `format`; a JSON list is read as well, up to 64 MiB. What a tuple looks like in them stands in tuple_files.py.
"""

from __future__ import annotations

import csv
import errno
import io
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal

from fgacore.errors import FgaError, InternalError, RequestError, StoreError, quote
from fgacore.limits import IMPORT_ERRORS_MAX, IMPORT_LINE_BYTES_MAX, IMPORT_LOT_BYTES, IMPORT_LOT_TUPLES
from fgacore.store.documents import TEXT_BYTES_MAX, Document, open_plain, read_json, read_yaml_items, rest_of
from fgacore.store.faults import FileFault
from fgacore.store.lines import CsvLines, TextLot
from fgacore.store.tuple_files import COLUMNS, Columns, json_text, mapping_of, row_of, tuple_of_mapping, yaml_text
from fgacore.tuples import Triple, Tuple

__all__ = ["FORMATS", "Lot", "TupleReader", "read_file", "read_tuples", "write_tuples"]

FORMATS = ("jsonl", "csv", "yaml", "parquet")
PARQUET_ROWS = 8_192  # read or written at once

_SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".yaml": "yaml", ".yml": "yaml", ".parquet": "parquet", ".json": "json"}

Source = str | os.PathLike[str] | BinaryIO | Iterable[Triple | Tuple]
Report = Callable[[FileFault], None]


@dataclass(frozen=True, slots=True)
class Lot:
    """Some tuples of a source, in its order. `items` is a TextLot where a file says no more than three names a row."""

    items: list[Triple | Tuple] | TextLot
    path: Path | None  # None: from an iterable
    lines: Sequence[int] | None  # of the items; None: they begin at `first`, or the TextLot has them
    first: int = 0  # how many came before, in an iterable

    def __len__(self) -> int:
        return len(self.items)

    def line(self, index: int) -> int:
        """The line of an item, from 1 (in Parquet: its row); 0 where there is none."""
        if isinstance(self.items, TextLot):
            return self.items.line(index)
        return self.lines[index] if self.lines else 0

    def place(self, index: int) -> str:
        """Where an item is: `file:line`, or `item 17` of an iterable, counted from 0."""
        return f"item {self.first + index}" if self.path is None else FileFault(self.path, "", self.line(index)).place


class TupleReader(Iterator[Lot]):
    """The lots of one source, and what came of it so far. Close it, or use it as a context manager, unless it is read to its end.

    With on_error="stop" a bad line raises RequestError `invalid_file`, `FILE:LINE: why`; with "skip" it is counted in `skipped`, the first 1,000 are
    told in `errors`, and reading goes on. What is no file of its format at all is an error either way.
    """

    def __init__(self, source: Any, format: str | None, on_error: Literal["stop", "skip"], lot_tuples: int) -> None:
        self.read = 0  # tuples handed out, and lines that are none
        self.skipped = 0
        self.errors: list[str] = []
        self._skips = on_error == "skip"
        self._path: Path | None = None
        self._file: BinaryIO | None = None
        self._own: BinaryIO | None = None  # opened here
        self._size = 0
        if isinstance(source, (str, os.PathLike)):
            self._path = _path(source)
            format = _format(self._path, format, (*FORMATS, "json"))
            with _faults():
                self._file = self._own = open_plain(self._path)
            self._size = os.fstat(self._file.fileno()).st_size
        elif isinstance(source, io.TextIOBase):
            raise RequestError("the source is open as text, and must give bytes")
        elif hasattr(source, "read"):
            self._path = Path(str(getattr(source, "name", "(file)")))
            format, self._file = _format(self._path, format, (*FORMATS, "json")), source
        elif format is not None:
            raise RequestError("a format is that of a file, and the source is none")
        elif isinstance(source, (bytes, Tuple)) or not isinstance(source, Iterable):
            raise RequestError("the source is neither a file nor an iterable of tuples")
        if self._path is None or self._file is None:
            self._lots = _of_iterable(source, lot_tuples)
        else:
            self._lots = _READERS[format or ""](self._file, self._path, self._report, lot_tuples)

    @property
    def share(self) -> float | None:
        """How much of the source has been read, from 0 to 1; None where that is not known."""
        return None if self._own is None or self._own.closed or not self._size else min(1.0, self._own.tell() / self._size)

    def __next__(self) -> Lot:
        try:
            with _faults():
                lot = next(self._lots)
        except BaseException:  # the end, too
            self.close()
            raise
        self.read += len(lot)
        return lot

    def refuse(self, place: str, error: FgaError) -> None:
        """What the engine says of an item at `place`: kept and counted, or raised, of its class and code, with the place before its message."""
        if not self._skips or isinstance(error, InternalError):
            raise type(error)(f"{place}: {error.message}", code=error.code) from error
        self._count(f"{place}: {error.message}")

    def _report(self, fault: FileFault) -> None:
        if not self._skips:
            raise fault
        self.read += 1
        self._count(str(fault))

    def _count(self, message: str) -> None:
        self.skipped += 1
        if len(self.errors) < IMPORT_ERRORS_MAX:
            self.errors.append(message)

    def close(self) -> None:
        if self._own is not None:
            self._own.close()

    def __enter__(self) -> TupleReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def read_tuples(
    source: Source, format: str | None = None, *, on_error: Literal["stop", "skip"] = "stop", lot_tuples: int = IMPORT_LOT_TUPLES
) -> TupleReader:
    """Read a file (a path, or something open that gives bytes) or an iterable of triples and fgacore.Tuple, in lots of at most `lot_tuples`."""
    if on_error not in ("stop", "skip"):
        raise RequestError("on_error is `stop` or `skip`")
    return TupleReader(source, format, on_error, lot_tuples)


def read_file(path: Path) -> Iterator[tuple[Triple | Tuple, int]]:
    """The tuples of a file that is small enough to be held whole, each with its line. FileFault for whatever is wrong with it."""
    if path.suffix not in _SUFFIXES:
        raise FileFault(path, f"is no file of tuples: its name ends in none of {', '.join(_SUFFIXES)}")
    with open_plain(path) as file:
        if os.fstat(file.fileno()).st_size > TEXT_BYTES_MAX:
            raise FileFault(path, f"is longer than {TEXT_BYTES_MAX:,} bytes")
        for lot in _READERS[_SUFFIXES[path.suffix]](file, path, _raise, IMPORT_LOT_TUPLES):
            items = lot.items.triples() if isinstance(lot.items, TextLot) else lot.items
            yield from ((item, lot.line(index)) for index, item in enumerate(items))


def write_tuples(target: str | os.PathLike[str] | BinaryIO, format: str | None, tuples: Iterable[Tuple]) -> int:
    """Write tuples to a file, and return how many. A path has all of them or is as it was before; a new file is for its owner alone."""
    if not isinstance(target, (str, os.PathLike)):
        return _WRITERS[_format(Path(str(getattr(target, "name", "(file)"))), format, FORMATS)](target, tuples)
    path = _path(target)
    write = _WRITERS[_format(path, format, FORMATS)]
    with _replaced(path) as file:
        return write(file, tuples)


# ---- files ----


def _path(given: str | os.PathLike[str]) -> Path:
    text: object = os.fspath(given)
    if not isinstance(text, str) or not text or "\0" in text:
        raise RequestError("the path is not a text that can name a file", code="invalid_file")
    return Path(text)


def _format(path: Path, format: str | None, known: Sequence[str]) -> str:
    if format is None:
        format = _SUFFIXES.get(path.suffix.lower())
        if format is None or format not in known:
            ends = ", ".join(suffix for suffix, name in _SUFFIXES.items() if name in known)
            raise RequestError(f"{path}: its name ends in none of {ends}: give the format", code="invalid_file")
    elif format not in known:
        raise RequestError(f"the format is one of {', '.join(map(quote, known))}", code="invalid_file")
    return format


@contextmanager
def _faults() -> Iterator[None]:
    """Faults of a file as errors of the caller's."""
    try:
        yield
    except FileFault as fault:
        raise RequestError(str(fault), code="invalid_file") from fault


@contextmanager
def _replaced(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` once it is whole and on the disk."""
    try:
        path = Path(os.path.realpath(path))  # what a link points to is replaced, not the link
        if path.exists() and not path.is_file():
            raise RequestError(f"{path}: is not a plain file", code="invalid_file")
        beside = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}.part")
        with open(beside, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            try:
                yield file
                file.flush()
                os.fsync(file.fileno())
                beside.replace(path)
            except BaseException:
                with suppress(OSError):
                    beside.unlink()
                raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreError(f"{path}: there is no room left for it on its disk", code="store_full") from error
        raise RequestError(f"{path}: cannot be written: {error.strerror or error}", code="invalid_file") from error


def _raise(fault: FileFault) -> None:
    raise fault


# ---- reading ----


def _of_iterable(source: Iterable[Triple | Tuple], lot_tuples: int) -> Iterator[Lot]:
    items, first = iter(source), 0
    while lot := list(islice(items, lot_tuples)):
        yield Lot(lot, None, None, first)
        first += len(lot)


def _lots(path: Path, items: Iterable[tuple[Triple | Tuple, int, int]], lot_tuples: int) -> Iterator[Lot]:
    """Items, each with its line and its size, put together to lots."""
    lot: list[Triple | Tuple] = []
    lines: list[int] = []
    bytes_left = IMPORT_LOT_BYTES
    for item, line, size in items:
        lot.append(item)
        lines.append(line)
        bytes_left -= size
        if bytes_left <= 0 or len(lot) == lot_tuples:
            yield Lot(lot, path, lines)
            lot, lines, bytes_left = [], [], IMPORT_LOT_BYTES
    if lot:
        yield Lot(lot, path, lines)


def _read_jsonl(file: BinaryIO, path: Path, report: Report, lot_tuples: int) -> Iterator[Lot]:
    return _lots(path, _json_lines(file, path, report), lot_tuples)


def _json_lines(file: BinaryIO, path: Path, report: Report) -> Iterator[tuple[Triple | Tuple, int, int]]:
    number = 0
    while data := _line(file, path):
        number += 1
        try:
            if len(data) > IMPORT_LINE_BYTES_MAX:
                while data and not data.endswith(b"\n"):
                    data = _line(file, path)
                raise FileFault(path, f"has a line longer than {IMPORT_LINE_BYTES_MAX:,} bytes", number)
            text = data.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            if text:
                document = read_json(path, text, number)
                yield tuple_of_mapping(document, document.root, number), number, len(data)
        except UnicodeDecodeError:
            report(FileFault(path, "is not UTF-8", number))
        except FileFault as fault:
            report(fault)


def _line(file: BinaryIO, path: Path) -> bytes:
    with _readable(path):
        return file.readline(IMPORT_LINE_BYTES_MAX + 1)


def _read_json(file: BinaryIO, path: Path, report: Report, lot_tuples: int) -> Iterator[Lot]:
    root = read_json(path, rest_of(path, file)).root
    yield from _lots(path, _mappings((Document(path, item) for item in _items_of(path, root)), report), lot_tuples)


def _items_of(path: Path, root: object) -> list[Any]:
    if not isinstance(root, list):
        raise FileFault(path, "is not a list of tuples")
    return root


def _read_yaml(file: BinaryIO, path: Path, report: Report, lot_tuples: int) -> Iterator[Lot]:
    with _readable(path):
        yield from _lots(path, _mappings(read_yaml_items(path, file), report), lot_tuples)


def _mappings(items: Iterable[Document], report: Report) -> Iterator[tuple[Triple | Tuple, int, int]]:
    for document in items:
        try:
            found = tuple_of_mapping(document, document.root, document.line)
        except FileFault as fault:
            report(fault)
        else:
            yield found, document.line, 0 if isinstance(found, tuple) else 1024


def _read_csv(file: BinaryIO, path: Path, report: Report, lot_tuples: int) -> Iterator[Lot]:
    with _readable(path):
        reader = CsvLines(file, path, report, lot_tuples)
        columns = Columns(path, [name.strip() for name in reader.header])
        if not columns.is_openfga:
            reader.place(*columns.names)
        for rows in reader:
            if isinstance(rows, TextLot):
                yield Lot(rows, path, None)
            else:
                yield from _rows(path, columns, rows, report)


def _rows(path: Path, columns: Columns, rows: Iterable[tuple[int, Sequence[str | None]]], report: Report) -> Iterator[Lot]:
    items, lines = [], []
    for line, row in rows:
        try:
            items.append(columns.tuple_of(row, line))
            lines.append(line)
        except FileFault as fault:
            report(fault)
    if items:
        yield Lot(items, path, lines)


def _read_parquet(file: BinaryIO, path: Path, report: Report, lot_tuples: int) -> Iterator[Lot]:
    arrow, parquet = _arrow()
    try:
        found = parquet.ParquetFile(file)
        columns = Columns(path, found.schema_arrow.names)
        first = 1
        for batch in found.iter_batches(batch_size=min(PARQUET_ROWS, lot_tuples)):
            values = [_texts(arrow, path, name, column) for name, column in zip(batch.schema.names, batch.columns, strict=True)]
            yield from _rows(path, columns, enumerate(zip(*values, strict=True), start=first), report)
            first += len(batch)
    except (arrow.ArrowException, OSError) as error:
        raise FileFault(path, f"is not Parquet as it must be: {str(error).splitlines()[0]}") from error


def _texts(arrow: Any, path: Path, name: str, column: Any) -> list[str | None]:
    """The values of a column as texts; instants as RFC 3339 has them."""
    if arrow.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if name == "expires_at" and arrow.types.is_timestamp(column.type) and column.type.tz is not None:
        column = arrow.compute.strftime(column.cast(arrow.timestamp("us", "UTC")), "%Y-%m-%dT%H:%M:%SZ")
    if not (arrow.types.is_string(column.type) or arrow.types.is_large_string(column.type) or arrow.types.is_null(column.type)):
        raise FileFault(path, f"has a column {quote(name)} that is not of texts")
    texts: list[str | None] = column.to_pylist()
    return texts


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.compute
        import pyarrow.parquet
    except ImportError as error:
        raise RequestError("a file of Parquet needs pyarrow: install `fgacore[arrow]`", code="extra_missing") from error
    return pyarrow, pyarrow.parquet


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FileFault(path, f"cannot be read: {error.strerror or error}") from error


_READERS: dict[str, Callable[[BinaryIO, Path, Report, int], Iterator[Lot]]] = {
    "jsonl": _read_jsonl,
    "json": _read_json,
    "csv": _read_csv,
    "yaml": _read_yaml,
    "parquet": _read_parquet,
}


# ---- writing ----


def _each(tuples: Iterable[Tuple], write: Callable[[Tuple], object]) -> int:
    return sum(1 for _ in map(write, tuples))


def _write_jsonl(file: BinaryIO, tuples: Iterable[Tuple]) -> int:
    return _each(tuples, lambda item: file.write(f"{json_text(mapping_of(item))}\n".encode()))


def _write_yaml(file: BinaryIO, tuples: Iterable[Tuple]) -> int:
    count = _each(tuples, lambda item: file.write(f"- {yaml_text(mapping_of(item))}\n".encode()))
    if not count:
        file.write(b"[]\n")
    return count


def _write_csv(file: BinaryIO, tuples: Iterable[Tuple]) -> int:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    try:
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(COLUMNS)
        return _each(tuples, lambda item: rows.writerow(row_of(item)))
    finally:
        text.detach()


def _write_parquet(file: BinaryIO, tuples: Iterable[Tuple]) -> int:
    arrow, parquet = _arrow()
    schema = arrow.schema([(name, arrow.string()) for name in COLUMNS])
    count, items = 0, iter(tuples)
    with parquet.ParquetWriter(file, schema) as writer:
        while rows := [row_of(item) for item in islice(items, PARQUET_ROWS)]:
            columns = [arrow.array([value or None for value in values], arrow.string()) for values in zip(*rows, strict=True)]
            writer.write_batch(arrow.record_batch(columns, schema=schema))
            count += len(rows)
    return count


_WRITERS: dict[str, Callable[[BinaryIO, Iterable[Tuple]], int]] = {
    "jsonl": _write_jsonl,
    "csv": _write_csv,
    "yaml": _write_yaml,
    "parquet": _write_parquet,
}
