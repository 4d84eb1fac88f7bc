from collections.abc import Iterable, Mapping
from typing import Any, Literal

from fgacore.runtime.checks import Checks
from fgacore.runtime.objects import ObjectSet
from fgacore.tuples import Triple, Tuple

class Lists(Checks):
    def filter_objects(
        self,
        subject: str,
        relation: str,
        objects: Iterable[str],
        *,
        context: Mapping[str, Any] | None = None,
        contextual_tuples: Iterable[Tuple | Triple] = (),
        model_id: str | None = None,
        at_least: int | None = None,
    ) -> list[str]: ...
    def list_objects(
        self,
        subject: str,
        relation: str,
        type: str,
        *,
        context: Mapping[str, Any] | None = None,
        contextual_tuples: Iterable[Tuple | Triple] = (),
        on_missing_context: Literal["raise", "report"] = "raise",
        model_id: str | None = None,
        at_least: int | None = None,
    ) -> ObjectSet: ...
    def list_relations(
        self,
        subject: str,
        object: str,
        *,
        context: Mapping[str, Any] | None = None,
        contextual_tuples: Iterable[Tuple | Triple] = (),
        model_id: str | None = None,
        at_least: int | None = None,
    ) -> list[str]: ...
    def _list_all(
        self,
        subject: str,
        pairs: Iterable[tuple[str, str]],
        *,
        context: Mapping[str, Any] | None = None,
        contextual_tuples: Iterable[Tuple | Triple] = (),
        model_id: str | None = None,
        at_least: int | None = None,
    ) -> list[ObjectSet]: ...
