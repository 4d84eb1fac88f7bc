"""One tuple in a file, read and written: as a mapping (JSON, YAML) or as a row (CSV, Parquet), in our words or in those of OpenFGA's tools.

A mapping has `subject` (or `user`), `relation` and `object`; perhaps a `condition`, by name or as OpenFGA's mapping of `name` and `context`; a
`context`; an `expires_at` (RFC 3339). A row has the columns of the same names, its context as JSON; or those that OpenFGA's tools write.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fgacore.errors import quote
from fgacore.store.documents import Document, Fields, read_json
from fgacore.store.faults import FileFault
from fgacore.tuples import Triple, Tuple

__all__ = [
    "COLUMNS",
    "Columns",
    "PlacedTuple",
    "json_text",
    "mapping_of",
    "moment_of_text",
    "moment_text",
    "placed_tuple",
    "row_of",
    "tuple_of_mapping",
    "yaml_text",
]

COLUMNS = ("subject", "relation", "object", "condition", "context", "expires_at")

_NAMES = COLUMNS[:3]
_OPENFGA_NAMES = ("user_type", "user_id", "relation", "object_type", "object_id")
_OPENFGA_COLUMNS = (*_OPENFGA_NAMES, "user_relation", "condition_name", "condition_context")
_KEYS = ("subject", "user", *COLUMNS[1:])
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6}0*)?(?:[Zz]|[-+][0-9]{2}:[0-9]{2})")
_SIMPLE_KEY_CHARACTERS_MAX = 1000  # a longer key of YAML is marked as one


@dataclass(frozen=True, slots=True)
class PlacedTuple:
    """A tuple, and where it is written. `line` is 0 where there is none."""

    tuple: Tuple
    path: Path
    line: int


# ---- mappings ----


def tuple_of_mapping(document: Document, item: object, line: int = 0) -> Triple | Tuple:
    """The tuple that one mapping of a document is. `line` is used where the mapping has none of its own. FileFault for what is none."""
    if type(item) is dict and len(item) == 3:  # nearly all there are, read at once
        found = (item.get("subject") or item.get("user"), item.get("relation"), item.get("object"))
        if all(type(text) is str for text in found):
            return found  # type: ignore[return-value]
    fields = Fields(document, item, "a tuple", _KEYS, line)
    if fields.has("subject") and fields.has("user"):
        raise fields.fault("has both a `subject` and a `user`")
    names = fields.text("user" if fields.has("user") else "subject"), fields.text("relation"), fields.text("object")
    condition, context, expires = fields.value("condition"), fields.mapping("context"), None
    if isinstance(condition, dict):
        parts = Fields(document, condition, "a condition", ("name", "context"), fields.line)
        if parts.has("context") and context is not None:
            raise fields.fault("has two contexts")
        condition, context = parts.text("name"), parts.mapping("context") if context is None else context
    elif condition is not None and not isinstance(condition, str):
        raise fields.fault("has a `condition` that is neither a text nor a mapping")
    if context is not None and condition is None:
        raise fields.fault("has a `context` and no `condition`")
    if fields.has("expires_at"):
        expires = moment_of_text(fields.text("expires_at"), fields.fault)
    return names if condition is None and expires is None else Tuple(*names, condition, context, expires)


def placed_tuple(document: Document, item: object, line: int = 0) -> PlacedTuple:
    """The same, with its place."""
    found = tuple_of_mapping(document, item, line)
    return PlacedTuple(found if isinstance(found, Tuple) else Tuple(*found), document.path, document.line_of(item) or line)


def mapping_of(item: Tuple) -> dict[str, Any]:
    """A tuple in our words, with no more keys than it needs."""
    found: dict[str, Any] = {"subject": item.subject, "relation": item.relation, "object": item.object}
    if item.condition is not None:
        found["condition"] = item.condition
    if item.context:
        found["context"] = item.context
    if item.expires_at is not None:
        found["expires_at"] = moment_text(item.expires_at)
    return found


# ---- rows ----


class Columns:
    """What the columns of a file are. Raises FileFault for a header that is not one of tuples."""

    def __init__(self, path: Path, header: Sequence[str]) -> None:
        self._path = path
        self.is_openfga = any(name in _OPENFGA_COLUMNS and name not in COLUMNS for name in header)
        known, required = (_OPENFGA_COLUMNS, _OPENFGA_NAMES) if self.is_openfga else (COLUMNS, _NAMES)
        for name in header:
            if name not in known or header.count(name) > 1:
                raise FileFault(path, f"has a column {quote(name)} that is unknown or stands twice (known are {', '.join(known)})", 1)
        for name in required:
            if name not in header:
                raise FileFault(path, f"has no column `{name}`", 1)
        self._at = {name: header.index(name) if name in header else -1 for name in known}

    @property
    def names(self) -> tuple[int, int, int]:
        """Which columns are subject, relation and object, in a file in our words."""
        subject, relation, object = (self._at[name] for name in _NAMES)
        return subject, relation, object

    def tuple_of(self, row: Sequence[str | None], line: int) -> Triple | Tuple:
        """The tuple of a row, which has as many values as the header. A value that is missing is like an empty one."""
        values = {name: (row[at] or "") if at >= 0 else "" for name, at in self._at.items()}
        expires = None
        if self.is_openfga:
            userset = values["user_relation"]
            subject = f"{values['user_type']}:{values['user_id']}" + (f"#{userset}" if userset else "")
            names = subject, values["relation"], f"{values['object_type']}:{values['object_id']}"
            condition, context = values["condition_name"], self._context("condition_context", values, "condition_name", line)
        else:
            names = values["subject"], values["relation"], values["object"]
            condition, context = values["condition"], self._context("context", values, "condition", line)
            if text := values["expires_at"]:
                expires = moment_of_text(text, lambda why: FileFault(self._path, why, line))
        return Tuple(*names, condition or None, context, expires) if condition or expires else names

    def _context(self, name: str, values: dict[str, str], condition: str, line: int) -> dict[str, Any] | None:
        if not values[name]:
            return None
        if not values[condition]:
            raise FileFault(self._path, f"has a `{name}` without a `{condition}`", line)
        context = read_json(self._path, values[name], line).root
        if not isinstance(context, dict):
            raise FileFault(self._path, f"has a `{name}` that is not an object", line)
        return context


def row_of(item: Tuple) -> tuple[str, str, str, str, str, str]:
    """A tuple under COLUMNS. What it does not have is empty."""
    context = json_text(item.context) if item.context else ""
    expires = "" if item.expires_at is None else moment_text(item.expires_at)
    return item.subject, item.relation, item.object, item.condition or "", context, expires


# ---- texts ----

json_text: Callable[[Any], str] = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def yaml_text(value: Any) -> str:
    """A value in one line of YAML: JSON with what YAML's readers would not take as it stands escaped, and long keys marked."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_yaml_key(key)}: {yaml_text(item)}' for key, item in value.items())}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(yaml_text, value))}]"
    text = json_text(value)
    return text if text.isprintable() else "".join(char if char.isprintable() else _escaped(char) for char in text)


def _yaml_key(key: str) -> str:
    text = yaml_text(key)
    return text if len(text) <= _SIMPLE_KEY_CHARACTERS_MAX else f"? {text} "


def _escaped(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) <= 0xFFFF else f"\\U{ord(char):08x}"


def moment_of_text(text: str, fault: Callable[[str], Exception]) -> datetime:
    """An instant as RFC 3339 has it, in UTC; microseconds are the finest there are."""
    try:
        if not _MOMENT.fullmatch(text):
            raise ValueError
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise fault(f"has an `expires_at` that is not a time like `2026-01-05T10:00:00Z`: {quote(text)}") from error


def moment_text(moment: datetime) -> str:
    """The other way round."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
