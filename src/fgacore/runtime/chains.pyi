from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy

from fgacore.errors import FgaError
from fgacore.results import BatchResult, Decision
from fgacore.runtime.decisions import DecisionRing
from fgacore.runtime.lists import Lists
from fgacore.runtime.objects import ObjectSet
from fgacore.runtime.state import State
from fgacore.runtime.writes import Writer

class Pin: ...
class Rules: ...

class Chained:
    def __init__(
        self,
        engine: Lists,
        ring: DecisionRing,
        principals: tuple[str, ...],
        holds: tuple[bool, ...],
        delegations: tuple[str | None, ...],
        scopes: tuple[tuple[str, ...] | None, ...],
        expires: int | None = None,
        task: str | None = None,
        context: dict[str, Any] | None = None,
        keys: frozenset[str] = ...,
        unrecorded: bool = False,
        controlled: bool = True,
        apart: bool = False,
    ) -> None: ...
    @property
    def _engine(self) -> Lists: ...
    @property
    def _state(self) -> State: ...
    @property
    def _writer(self) -> Writer: ...
    @property
    def _ring(self) -> DecisionRing: ...
    @property
    def principals(self) -> tuple[str, ...]: ...
    @property
    def _holds(self) -> tuple[bool, ...]: ...
    @property
    def _delegations(self) -> tuple[str | None, ...]: ...
    @property
    def _scopes(self) -> tuple[tuple[str, ...] | None, ...]: ...
    @property
    def _expires(self) -> int | None: ...
    @property
    def task(self) -> str | None: ...
    @property
    def _context(self) -> dict[str, Any] | None: ...
    @property
    def _keys(self) -> frozenset[str]: ...
    @property
    def _unrecorded(self) -> bool: ...
    @property
    def _controlled(self) -> bool: ...
    def check(self, relation: str, object: str, *, context: Mapping[str, Any] | None = None, at_least: int | None = None) -> bool: ...
    def decide(self, relation: str, object: str, *, context: Mapping[str, Any] | None = None, at_least: int | None = None) -> Decision: ...
    def check_objects(
        self, relation: str, objects: Iterable[str], *, context: Mapping[str, Any] | None = None, at_least: int | None = None
    ) -> list[bool]: ...
    def filter_objects(
        self, relation: str, objects: Iterable[str], *, context: Mapping[str, Any] | None = None, at_least: int | None = None
    ) -> list[str]: ...
    def batch_check(
        self, questions: Iterable[tuple[str, str]], *, context: Mapping[str, Any] | None = None, at_least: int | None = None
    ) -> BatchResult: ...
    def list_objects(
        self,
        relation: str,
        type: str,
        *,
        context: Mapping[str, Any] | None = None,
        on_missing_context: Literal["raise", "report"] = "raise",
        at_least: int | None = None,
    ) -> ObjectSet: ...
    def list_relations(self, object: str, *, context: Mapping[str, Any] | None = None, at_least: int | None = None) -> list[str]: ...
    def _list_all(
        self,
        subject: str,
        pairs: Iterable[tuple[str, str]],
        *,
        context: Mapping[str, Any] | None = None,
        contextual_tuples: Any = (),
        model_id: str | None = None,
        at_least: int | None = None,
    ) -> list[ObjectSet]: ...
    def _bounded(self, sets: list[ObjectSet]) -> list[ObjectSet]: ...
    @property
    def _apart(self) -> bool: ...
    def _pin(self) -> Pin: ...
    def _pinned(self, questions: list[tuple[Any, Any]], context: Mapping[str, Any] | None, pin: Pin) -> tuple[list[bool], dict[int, FgaError]]: ...
    def _note(self, questions: list[tuple[Any, Any]], answers: list[bool | None], context: Mapping[str, Any] | None) -> bool: ...
    @staticmethod
    def described(engine: Lists, described: dict[str, Any]) -> Chained: ...
    def codes(
        self,
        types: numpy.ndarray[Any, numpy.dtype[numpy.uint16]],
        relations: numpy.ndarray[Any, numpy.dtype[numpy.uint16]],
        ids: numpy.ndarray[Any, numpy.dtype[numpy.uint32]],
        texts: list[str],
        context: dict[str, Any] | None = None,
    ) -> bytes: ...
