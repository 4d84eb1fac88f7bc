"""From ids back to tuples as text: what is stored, and what records of the log say."""

from __future__ import annotations

import struct
from collections.abc import Callable, Container, Iterator
from typing import Any

from fgacore.errors import RequestError, StoreError
from fgacore.kernel.names import Names
from fgacore.kernel.tables import Version
from fgacore.language.compile import Kind, SymbolTable
from fgacore.results import Change
from fgacore.runtime.clock import moment_of
from fgacore.runtime.context import unpack
from fgacore.runtime.control import CONTROL_KINDS, control_details
from fgacore.store.records import Record
from fgacore.tuples import Tuple

__all__ = ["NameParts", "Teller", "stored_tuples"]

NameParts = Callable[[str, str], tuple[str, str | None, bool, str]]  # of a subject or object: Checks.name_parts


class Teller:
    """Tells tuples by their names. Good for the tables that there were when it was made."""

    def __init__(self, names: Names, symbols: SymbolTable) -> None:
        self.names = names
        self.types, self.relations = list(symbols.types), list(symbols.relations)
        self.tables = list(symbols.tables)

    def subject(self, kind: Kind, id: int) -> str:
        if kind[2]:
            return f"{self.types[kind[0]]}:*"
        name = self.names.text(kind[0], id) or ""
        return name if kind[1] is None else f"{name}#{self.relations[kind[1]]}"

    def stored(self, table: int, object: int, subject: int, expires: int | None, raw: bytes | None) -> Tuple:
        type, relation, kind, condition = self.tables[table]
        return Tuple(
            self.subject(kind, subject),
            self.relations[relation],
            self.names.text(type, object) or "",
            condition=condition or None,
            context=None if raw is None else unpack(raw),
            expires_at=None if expires is None else moment_of(expires),
        )

    def change(self, record: Record, types: Container[str] | None) -> Change | None:
        """What a record says; with `types` only tuples of these object types, and None where it has none."""
        told: dict[str, Any] = {}
        payload: Any = record.payload
        if types is not None and record.kind != "tuples":
            return None
        match record.kind:
            case "tuples":
                grants = {index: (expires, raw) for index, expires, raw in payload[4]}
                writes = tuple(self._tuples(payload[3], grants, types))
                deletes = tuple(self._tuples(payload[2], {}, types))
                if types is not None and not writes and not deletes:
                    return None
                told = {"written": len(writes), "deleted": len(deletes), "writes": writes, "deletes": deletes}
            case "model":
                told = {"model_id": payload[0]}
            case "expiry":
                told = {"deleted": payload[0]}
            case kind if kind in CONTROL_KINDS:
                told = {"details": control_details(kind, payload)}
        return Change(record.revision, record.time / 1_000_000, record.kind, record.actor, record.reason, **told)

    def _tuples(self, packed: bytes, grants: dict[int, tuple[int | None, bytes | None]], types: Container[str] | None) -> Iterator[Tuple]:
        for index, (table, object, subject) in enumerate(struct.iter_unpack("<3I", packed)):
            if table >= len(self.tables):
                raise StoreError("damaged: a tuple of a table that is not there", code="corrupt")
            if types is None or self.types[self.tables[table][0]] in types:
                yield self.stored(table, object, subject, *grants.get(index, (None, None)))


def stored_tuples(
    version: Version, symbols: SymbolTable, name_parts: NameParts, subject: str | None, relation: str | None, object: str | None
) -> Iterator[Tuple]:
    """The stored tuples of a version with these parts. Faults of the request are raised at once, not at the first item."""
    teller = Teller(version.names, symbols)
    tables = list(symbols.tables.items())
    asked = None if subject is None else name_parts(subject, "subject")
    asked_object = None if object is None else name_parts(object, "object")
    if relation is not None and not isinstance(relation, str):
        raise RequestError("the relation is not a text", code="invalid_relation")

    def id_of(parts: tuple[str, str | None, bool, str]) -> int | None:
        found = version.names.find(parts[3].encode())
        return None if found is None else found[1]

    def tuples() -> Iterator[Tuple]:
        for (type, symbol, kind, _), table in tables:
            if relation is not None and teller.relations[symbol] != relation:
                continue
            if asked is not None and (teller.types[kind[0]], None if kind[1] is None else teller.relations[kind[1]], kind[2]) != asked[:3]:
                continue
            if asked_object is not None and teller.types[type] != asked_object[0]:
                continue
            if asked is not None:
                subjects = [0] if kind[2] else [i for i in [id_of(asked)] if i is not None]
                pairs = ((o, s) for s in subjects for o in version.members(table, s, True))
            elif asked_object is not None:
                objects = [i for i in [id_of(asked_object)] if i is not None]
                pairs = ((o, s) for o in objects for s in version.members(table, o))
            else:
                pairs = ((o, s) for o in version.keys(table) for s in version.members(table, o))
            only = None if asked_object is None else id_of(asked_object)
            for o, s in pairs:
                if asked_object is None or o == only:
                    yield teller.stored(table, o, s, *version.stored_with(table, o, s))

    return tuples()
