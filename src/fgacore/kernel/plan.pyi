from typing import Any

class Plan:
    @property
    def kind(self) -> tuple[int, int | None, bool]: ...
    @property
    def serial(self) -> int: ...
    @property
    def op_count(self) -> int: ...
    def __init__(self, kind: tuple[int, int | None, bool], parts: Any, serial: int = 0, condition_count: int = 0) -> None: ...

class ModelPlan:
    @property
    def source(self) -> Any: ...
    @property
    def model_id(self) -> str: ...
    def __init__(
        self,
        model_id: str,
        source: Any,
        types: dict[str, int],
        relations: dict[str, int],
        nodes: dict[tuple[int, int], int],
        admissions: dict[tuple[int, int, tuple[int, int | None, bool], str], int],
        conditions: Any = None,
    ) -> None: ...
    @property
    def conditions(self) -> Any: ...
    @property
    def conditioned(self) -> dict[tuple[int, int, tuple[int, int | None, bool], str], int]: ...
