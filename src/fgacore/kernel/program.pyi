from typing import Any

OVERLOADS: frozenset[str]

class Program:
    def __init__(self, code: tuple[Any, ...], parameter_count: int) -> None: ...
