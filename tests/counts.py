"""Counts of suite cases, said at the end of a test run: what was met, out of how many.

Tests call `report`; the hook in conftest.py prints what was gathered. A count is a statement, not a test: the test that reports it also asserts.
"""

from __future__ import annotations

LINES: list[str] = []


def report(name: str, passed: int, total: int, note: str = "") -> None:
    """Note that `passed` of `total` cases of `name` hold; the summary prints it once."""
    line = f"{name}: {passed} of {total}" + (f" ({note})" if note else "")
    if line not in LINES:
        LINES.append(line)
