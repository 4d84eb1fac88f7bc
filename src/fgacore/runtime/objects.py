"""ObjectSet: the objects that a list has found, as ids first, and as names when they are asked for."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

import numpy as np
import pyroaring
from numpy.typing import NDArray

from fgacore.errors import RequestError
from fgacore.kernel.names import Names

__all__ = ["ObjectSet"]


class ObjectSet:
    """Objects of one type on which a subject holds a relation, at one revision and instant. Immutable.

    `ids` are the objects' dense ids within their type, rising, uint32; they belong to the store's generation. An object that only the contextual
    tuples of the call know has an id from 2**31 on, which means nothing elsewhere. `undetermined` are the objects whose answer hangs on a condition
    that failed: empty, unless the list was asked to report them.
    """

    __slots__ = ("_bitmap", "_names", "_own", "_symbol", "generation", "ids", "instant", "relation", "revision", "subject", "type", "undetermined")

    def __init__(
        self,
        names: Names,
        symbol: int,
        own: Mapping[int, str],
        ids: NDArray[np.uint32],
        asked: tuple[str, str, str],
        stamp: tuple[int, int, datetime],
        undetermined: ObjectSet | None = None,
    ) -> None:
        self._names, self._symbol, self._own = names, symbol, own
        self._bitmap: pyroaring.BitMap | None = None
        ids.flags.writeable = False
        self.ids = ids
        self.subject, self.relation, self.type = asked
        self.generation, self.revision, self.instant = stamp
        if undetermined is None:
            undetermined = self._with(np.empty(0, np.uint32)) if len(ids) else self
        self.undetermined = undetermined

    def _with(self, ids: NDArray[np.uint32]) -> ObjectSet:
        asked, stamp = (self.subject, self.relation, self.type), (self.generation, self.revision, self.instant)
        return ObjectSet(self._names, self._symbol, self._own, ids, asked, stamp)

    @property
    def bitmap(self) -> pyroaring.BitMap:
        """The ids as a roaring bitmap; the same object each time, a copy of yours is `BitMap(s.bitmap)`."""
        if self._bitmap is None:
            self._bitmap = pyroaring.BitMap(array("I", self.ids.tobytes()))  # what it reads fastest
        return self._bitmap

    def to_list(self) -> list[str]:
        """The names, `type:id`, in rising order of the ids."""
        known = len(self.ids) if not self._own else int(np.searchsorted(self.ids, np.uint32(1 << 31)))
        names = self._names.texts(self._symbol, self.ids[:known])
        return names + [self._own[int(id)] for id in self.ids[known:]] if known < len(self.ids) else names

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[str]:
        return iter(self.to_list())

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        if name in self._own.values():
            return any(text == name and id in self.bitmap for id, text in self._own.items())
        try:
            found = self._names.find(name.encode())
        except UnicodeEncodeError:
            return False
        return found is not None and found[0] == self._symbol and found[1] in self.bitmap

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ObjectSet):
            return NotImplemented
        if self.type != other.type or self._names is not other._names or self.generation != other.generation:
            return False
        return self.to_list() == other.to_list() if self._own or other._own else bool(np.array_equal(self.ids, other.ids))

    __hash__ = None  # type: ignore[assignment]

    def _combined(self, other: ObjectSet, combine: Callable[[Any, Any], Any]) -> ObjectSet:
        if not isinstance(other, ObjectSet):
            raise TypeError("an ObjectSet is combined with another")
        mine, theirs = (self._names, self.type, self.generation, self.revision), (other._names, other.type, other.generation, other.revision)
        if mine[0] is not theirs[0] or mine[1:] != theirs[1:]:
            raise RequestError("the sets are of different stores, types, generations or revisions", code="sets_differ")
        if (self._own or other._own) and self._own is not other._own:
            raise RequestError("a set over contextual tuples has names of its own: combine the names", code="sets_differ")
        return self._with(combine(self.ids, other.ids).astype(np.uint32))

    def __or__(self, other: ObjectSet) -> ObjectSet:
        return self._combined(other, np.union1d)

    def __and__(self, other: ObjectSet) -> ObjectSet:
        return self._combined(other, lambda a, b: np.intersect1d(a, b, assume_unique=True))

    def __sub__(self, other: ObjectSet) -> ObjectSet:
        return self._combined(other, lambda a, b: np.setdiff1d(a, b, assume_unique=True))

    def __xor__(self, other: ObjectSet) -> ObjectSet:
        return self._combined(other, lambda a, b: np.setxor1d(a, b, assume_unique=True))

    def __repr__(self) -> str:
        more = f", {len(self.undetermined)} undetermined" if len(self.undetermined) and self.undetermined is not self else ""
        return f"<ObjectSet of {len(self)} {self.type} that {self.subject} is {self.relation} of{more}, revision {self.revision}>"
