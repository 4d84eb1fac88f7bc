"""Scopes and boundaries: lists of entries, each a text.

    [not ]RELATION TYPE:ID            one object
    [not ]RELATION TYPE:*             every object of the type
    ... where RELATION SUBJECT        only those on which the subject holds the relation

Relations and types by exact name: there are no patterns. `not` makes an exception, which wins.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from fgacore.errors import LimitError, RequestError, quote
from fgacore.kernel.plan import ModelPlan
from fgacore.limits import SCOPE_ENTRIES_MAX

__all__ = ["Entry", "read_entry", "read_scope"]


class Entry(NamedTuple):
    """One entry of a scope or boundary."""

    is_exception: bool
    relation: str
    type: str
    object: str | None  # the whole name; None: every object of the type
    where: tuple[str, str] | None  # relation and subject


class _Names(Protocol):
    def name_parts(self, text: str, what: str) -> tuple[str, str | None, bool, str]: ...


def read_entry(text: str) -> Entry:
    """An entry by its shape alone; ValueError where it has none. Whether the names in it are names is for `read_scope`."""
    tokens = [token for token in text.split(" ") if token]
    is_exception = len(tokens) in (3, 6) and tokens[0] == "not"
    if is_exception:
        del tokens[0]
    if len(tokens) not in (2, 5) or (len(tokens) == 5 and tokens[2] != "where"):
        raise ValueError
    type, colon, id = tokens[1].partition(":")
    if not colon or not id:
        raise ValueError
    return Entry(is_exception, tokens[0], type, None if id == "*" else tokens[1], (tokens[3], tokens[4]) if len(tokens) == 5 else None)


def read_scope(given: Iterable[str], model: ModelPlan, names: _Names, what: str) -> tuple[str, ...]:
    """The entries of a scope as texts of our own, each held to a model. RequestError `invalid_scope`, LimitError."""
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise RequestError(f"the {what} is not a list of entries", code="invalid_scope")
    texts: list[str] = []
    for item in given:
        if len(texts) == SCOPE_ENTRIES_MAX:
            raise LimitError(f"the {what} has more than {SCOPE_ENTRIES_MAX} entries (SCOPE_ENTRIES_MAX)")
        if not isinstance(item, str):
            raise RequestError(f"an entry of the {what} is not a text", code="invalid_scope")
        text = str.__str__(item)
        try:
            _refuse(read_entry(text), model, names)
        except ValueError:
            raise RequestError(
                f"the {what} has {quote(text)}: an entry is `[not ]RELATION TYPE:ID`, or with `*` for the id, perhaps with ` where RELATION SUBJECT`",
                code="invalid_scope",
            ) from None
        except RequestError as error:
            raise RequestError(f"the {what} has {quote(text)}: {error.message}", code="invalid_scope") from None
        texts.append(text)
    return tuple(texts)


def _refuse(entry: Entry, model: ModelPlan, names: _Names) -> None:
    """Refuse an entry about what the model does not have, or about what is no name."""
    types = model.source.model.types
    if entry.object is not None:
        names.name_parts(entry.object, "object")
    relations = [(entry.type, entry.relation)]
    if entry.where is not None:
        relations.append((entry.type, entry.where[0]))
        subject_type, member, _, _ = names.name_parts(entry.where[1], "subject")
        relations.append((subject_type, member or ""))
    for type, relation in relations:
        if type not in types:
            raise RequestError(f"the model has no type {quote(type)}")
        if relation and relation not in types[type].relations:
            raise RequestError(f"the type {quote(type)} has no relation {quote(relation)}")
