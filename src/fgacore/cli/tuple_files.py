"""Tuples as OpenFGA's tools write them down: `user`, `relation`, `object` and `condition`, in YAML, JSON, JSON lines or CSV."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fgacore.tuples import Tuple

from .documents import Document, Fields, FileFault, read_json, read_text, read_yaml

__all__ = ["PlacedTuple", "placed_tuple", "read_tuple_file"]

_REQUIRED = ("user_type", "user_id", "relation", "object_type", "object_id")
_COLUMNS = (*_REQUIRED, "user_relation", "condition_name", "condition_context")


@dataclass(frozen=True, slots=True)
class PlacedTuple:
    """A tuple, and where it is written. `line` is 0 where there is none."""

    tuple: Tuple
    path: Path
    line: int


def placed_tuple(document: Document, item: object, line: int = 0) -> PlacedTuple:
    """The tuple that one mapping of a document is. `line` is used where the mapping has none of its own."""
    fields = Fields(document, item, "a tuple", ("user", "relation", "object", "condition"), line)
    condition = fields.mapping("condition")
    name, context = None, None
    if condition is not None:
        parts = Fields(document, condition, "a condition", ("name", "context"), fields.line)
        name, context = parts.text("name"), parts.mapping("context")
    made = Tuple(fields.text("user"), fields.text("relation"), fields.text("object"), name, context)
    return PlacedTuple(made, document.path, fields.line)


def read_tuple_file(path: Path) -> list[PlacedTuple]:
    """The tuples of a `.yaml`, `.yml`, `.json`, `.jsonl` or `.csv` file. FileFault where it is none, or holds no tuple at all."""
    match path.suffix:
        case ".yaml" | ".yml":
            return _items(read_yaml(path))
        case ".json":
            return _items(read_json(path, read_text(path)))
        case ".jsonl":
            documents = [read_json(path, line, number) for number, line in enumerate(read_text(path).split("\n"), start=1) if line.strip()]
            return _some(path, [placed_tuple(document, document.root, document.line) for document in documents])
        case ".csv":
            return _rows(path)
    raise FileFault(path, "is no file of tuples: its name ends in none of .yaml, .yml, .json, .jsonl and .csv")


def _items(document: Document) -> list[PlacedTuple]:
    if not isinstance(document.root, list):
        raise FileFault(document.path, "is not a list of tuples")
    return _some(document.path, [placed_tuple(document, item) for item in document.root])


def _some(path: Path, tuples: list[PlacedTuple]) -> list[PlacedTuple]:
    if not tuples:
        raise FileFault(path, "holds no tuple")
    return tuples


def _rows(path: Path) -> list[PlacedTuple]:
    """The rows of a CSV file under the headers that OpenFGA's tools write. The headers alone are a file without tuples."""
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        for name in header:
            if name not in _COLUMNS or header.count(name) > 1:
                raise FileFault(path, f"has a column `{name}` that is unknown or stands twice (known are {', '.join(_COLUMNS)})", 1)
        missing = [name for name in _REQUIRED if name not in header]
        if missing:
            raise FileFault(path, f"has no column `{missing[0]}`", 1)
        tuples = []
        for row in reader:
            if row and len(row) != len(header):
                raise FileFault(path, f"has {len(row)} values in a row under {len(header)} columns", reader.line_num)
            if row:
                tuples.append(PlacedTuple(_row(path, dict(zip(header, row, strict=True)), reader.line_num), path, reader.line_num))
    except csv.Error as error:
        raise FileFault(path, f"is not CSV: {error}", reader.line_num) from error
    return tuples


def _row(path: Path, row: dict[str, str], line: int) -> Tuple:
    userset = row.get("user_relation")
    condition = row.get("condition_name") or None
    context: Any = None
    if text := row.get("condition_context"):
        if condition is None:
            raise FileFault(path, "has a `condition_context` without a `condition_name`", line)
        context = read_json(path, text, line).root
        if not isinstance(context, dict):
            raise FileFault(path, "has a `condition_context` that is not an object", line)
    subject = f"{row['user_type']}:{row['user_id']}" + (f"#{userset}" if userset else "")
    return Tuple(subject, row["relation"], f"{row['object_type']}:{row['object_id']}", condition, context)
