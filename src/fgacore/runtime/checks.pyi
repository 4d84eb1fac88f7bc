from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fgacore.results import BatchResult, Ids
from fgacore.runtime.state import State
from fgacore.runtime.writes import Writer
from fgacore.tuples import Question, Triple, Tuple

class Checks:
    @property
    def _state(self) -> State: ...
    @property
    def _writer(self) -> Writer: ...
    def __init__(self, store: Any) -> None: ...
    def check(
        self,
        subject: str,
        relation: str,
        object: str,
        *,
        context: Mapping[str, Any] | None = None,
        contextual_tuples: Iterable[Tuple | Triple] = (),
        model_id: str | None = None,
        at_least: int | None = None,
    ) -> bool: ...
    def check_objects(
        self,
        subject: str,
        relation: str,
        objects: Iterable[str],
        *,
        context: Mapping[str, Any] | None = None,
        contextual_tuples: Iterable[Tuple | Triple] = (),
        model_id: str | None = None,
        at_least: int | None = None,
    ) -> list[bool]: ...
    def batch_check(
        self,
        questions: Iterable[Question | Triple],
        *,
        context: Mapping[str, Any] | None = None,
        contextual_tuples: Iterable[Tuple | Triple] = (),
        model_id: str | None = None,
        at_least: int | None = None,
    ) -> BatchResult: ...
    def check_ids(
        self,
        subject_id: int,
        relation: str,
        object_ids: NDArray[np.uint32],
        *,
        subject_type: str,
        object_type: str,
        out: NDArray[np.bool_] | NDArray[np.uint8] | None = None,
        context: Mapping[str, Any] | None = None,
        contextual_tuples: Iterable[Tuple | Triple] = (),
        model_id: str | None = None,
        at_least: int | None = None,
        generation: int | None = None,
    ) -> NDArray[np.bool_]: ...
    def ids(self, type: str, names: Iterable[str]) -> Ids: ...
    def names(self, type: str, ids: NDArray[np.integer[Any]] | Sequence[int], *, generation: int | None = None) -> list[str | None]: ...
    def name_parts(self, text: str, what: str) -> tuple[str, str | None, bool, str]: ...
