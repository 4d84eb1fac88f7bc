"""How time is taken: several things in turn, so that what disturbs the machine disturbs all of them alike, and the median of each."""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter_ns
from typing import Any

__all__ = ["in_turn", "quiet"]

Timed = tuple[Callable[[Any], object], Callable[[], Any]]  # what is timed, and what makes its argument, untimed


@contextmanager
def quiet() -> Iterator[None]:
    """Without the garbage collector, which would strike whoever happens to be running."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def in_turn(timed: Sequence[Timed], rounds: int, unit: int, warm: bool = True) -> list[float]:
    """Median nanoseconds for one of `unit` items, of each.

    `warm` runs each once, untimed, right before: nobody pays for the cache misses of another.
    """
    times: list[list[float]] = [[] for _ in timed]
    for _ in range(rounds):
        for taken, (run, make) in zip(times, timed, strict=True):
            if warm:
                run(make())
            argument = make()
            started = perf_counter_ns()
            run(argument)
            taken.append((perf_counter_ns() - started) / unit)
    return [statistics.median(taken) for taken in times]
