"""Counts what a module of suite tests has passed, and reports one line for it when the module is done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from counts import report

__all__ = ["Tally"]


class Tally:
    """Passed and total, by name."""

    def __init__(self) -> None:
        self.passed: Counter[str] = Counter()
        self.total: Counter[str] = Counter()
        self.notes: dict[str, str] = {}

    def add(self, name: str, passed: int, total: int, note: str = "") -> None:
        self.passed[name] += passed
        self.total[name] += total
        if note:
            self.notes[name] = note

    @classmethod
    @contextmanager
    def reporting(cls) -> Iterator[Tally]:
        tally = cls()
        yield tally
        for name in tally.total:
            report(name, tally.passed[name], tally.total[name], tally.notes.get(name, ""))
