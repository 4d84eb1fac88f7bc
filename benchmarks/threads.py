"""Two things that a median of batches does not show: what several threads get out of one engine, and what writing costs.

    python -m benchmarks.threads [--shape direct] [--threads 1,2] [--batches 20000] [--delta 100000] [--json FILE]

Threads: each asks batches of 500 texts for the one agent, from lists of its own, over one engine whose views are warm; throughput is that of
all together, against one thread asking as many batches as each of them. Writes: a load in lots of 10,000; then one tuple at a time, on an
engine that is merged, and on one with 100,000 changes that are not. Each figure is the median of three runs.

`machine` is the ratio of threads that never need the interpreter's lock (they hash a block), measured in turn with ours: what this machine
had to give just then. Where it is well below the number of threads, others were at work, and the ratio beside it says nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from time import perf_counter, perf_counter_ns
from typing import Any

import fgacore

from .machine import facts, line
from .scenarios import AGENT, SHAPES, VIEWER, Scenario, Triple, fresh, load, lots, verify
from .timing import quiet

__all__ = ["Unmerged", "load_cost", "main", "throughput", "write_cost"]

RUNS = 3
TUPLE_COUNT = 100_000
BATCHES = 20_000
WARM_BATCHES = 20
DELTA = 100_000
WRITES = 1_000  # single writes in one run


class Unmerged(RuntimeError):
    """The engine has merged what a measurement needs unmerged."""


def throughput(engine: fgacore.Engine, scenario: Scenario, thread_count: int, batch_count: int) -> float:
    """Batches a second that so many threads are answered, each asking `batch_count` of them."""
    assert scenario.listed is not None
    objects = scenario.listed.objects

    def asking() -> Callable[[], object]:
        return partial(engine.check_objects, fresh(AGENT), VIEWER, list(map(fresh, objects)))

    return _at_once([asking() for _ in range(thread_count)], batch_count)


def machine_throughput(thread_count: int, block_count: int) -> float:
    """Blocks a second that so many threads hash, without the interpreter's lock."""
    block = bytes(1 << 17)  # a quarter of a millisecond or less
    return _at_once([partial(hashlib.sha256, block)] * thread_count, block_count)


def _at_once(tasks: list[Callable[[], object]], times: int) -> float:
    """Each task so many times in a thread of its own, all begun together: how many are done in a second."""
    start = threading.Barrier(len(tasks) + 1)

    def work(task: Callable[[], object]) -> None:
        for _ in range(WARM_BATCHES):
            task()
        start.wait()
        for _ in range(times):
            task()

    threads = [threading.Thread(target=work, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    start.wait()
    started = perf_counter()
    for thread in threads:
        thread.join()
    return len(tasks) * times / (perf_counter() - started)


def load_cost(scenario: Scenario) -> float:
    """Nanoseconds a tuple, written in lots of 10,000 into an empty engine that has the model."""
    engine = fgacore.open(":memory:")
    engine.write_model(scenario.model)
    written = list(lots(scenario.stored))
    with quiet():
        started = perf_counter_ns()
        for lot in written:
            engine.write(lot)
        return (perf_counter_ns() - started) / len(scenario.stored)


def write_cost(engine: fgacore.Engine, scenario: Scenario, numbers: Iterator[int], write_count: int = WRITES) -> tuple[float, float]:
    """Median microseconds of one write of one tuple, and of that and the check that sees it. The tuples are new ones of the scenario's own kind."""
    last = _last_table(scenario)
    writes, both = [], []
    with quiet():
        for _ in range(write_count):
            triple = _new(last, next(numbers))
            started = perf_counter_ns()
            engine.write([triple])
            writes.append(perf_counter_ns() - started)
        for _ in range(write_count):
            triple = _new(last, next(numbers))
            started = perf_counter_ns()
            engine.write([triple])
            seen = engine.check(*triple)
            both.append(perf_counter_ns() - started)
            assert seen
    return statistics.median(writes) / 1e3, statistics.median(both) / 1e3


def leave_unmerged(engine: fgacore.Engine, scenario: Scenario, numbers: Iterator[int], change_count: int) -> None:
    """Write one tuple at a time until so many changes are in the delta.

    A table merges its delta once it outgrows an eighth of the table, and a large lot goes into the base directly: so this takes a table of at
    least eight times as many tuples, and many small writes.
    """
    last = _last_table(scenario)
    for _ in range(change_count):
        engine.write([_new(last, next(numbers))])
    unmerged = engine.stats().unmerged
    if unmerged < change_count:
        raise Unmerged(
            f"{change_count} single writes left {unmerged} changes unmerged: {scenario.name} with {len(scenario.tuples)} tuples is too small"
        )


def _last_table(scenario: Scenario) -> Triple:
    """A tuple about who views a document, or a folder: that table is the largest of its shape that a user is written to."""
    return (
        next(triple for triple in scenario.tuples if triple[1] == VIEWER and triple[0].startswith("user:"))
        if scenario.name != "groups"
        else ("user:new", "member", "group:0-0")
    )


def _new(like: Triple, number: int) -> Triple:
    """A tuple of the same table: a user never heard of, on the object of another tuple."""
    return f"user:new-{number}", like[1], f"{like[2].partition(':')[0]}:new-{number // 5}"


def _ratios(measure: Callable[[int, int], float], thread_counts: Sequence[int], times: int, runs: int) -> dict[str, dict[str, float]]:
    """By number of threads: how many a second, and the ratio to one thread's of the same run. All take turns, and the machine's threads with them."""
    taken: dict[int, list[float]] = {number: [] for number in sorted({1, *thread_counts})}
    hashed: dict[int, list[float]] = {number: [] for number in taken}
    with quiet():
        for _ in range(runs):
            for number in taken:
                taken[number].append(measure(number, times))
                hashed[number].append(machine_throughput(number, max(10, times // 20)))
    return {
        str(number): {
            "per_second": statistics.median(slot),
            "ratio": statistics.median(many / one for many, one in zip(slot, taken[1], strict=True)),
            "machine": statistics.median(many / one for many, one in zip(hashed[number], hashed[1], strict=True)),
        }
        for number, slot in taken.items()
    }


def measure_threads(shapes: Sequence[str], thread_counts: Sequence[int], batch_count: int, tuple_count: int, runs: int = RUNS) -> dict[str, Any]:
    """For each shape: batches a second by number of threads, the ratio to one thread's, and the machine's own ratio."""
    found: dict[str, Any] = {}
    for shape in shapes:
        scenario = SHAPES[shape](tuple_count)
        engine = load(scenario)
        verify(scenario, engine)
        found[shape] = _ratios(partial(throughput, engine, scenario), thread_counts, batch_count, runs)
    return found


def measure_writes(shapes: Sequence[str], tuple_count: int, delta: int, runs: int = RUNS, write_count: int = WRITES) -> dict[str, Any]:
    """For each shape: load, one write, one write and the check that sees it; and the same beside an unmerged delta, on a store large enough."""
    found: dict[str, Any] = {}
    for shape in shapes:
        scenario = SHAPES[shape](tuple_count)
        engine = load(scenario)
        numbers = count()
        costs = [write_cost(engine, scenario, numbers, write_count) for _ in range(runs)]
        found[shape] = {
            "load_ns_per_tuple": statistics.median(load_cost(scenario) for _ in range(runs)),
            "write_us": statistics.median(write for write, _ in costs),
            "write_and_check_us": statistics.median(both for _, both in costs),
        }
    if delta:
        scenario = SHAPES["direct"](9 * delta)
        engine = load(scenario)
        numbers = count()
        merged = write_cost(engine, scenario, numbers, write_count)
        engine.merge()
        leave_unmerged(engine, scenario, numbers, delta)
        costs = [write_cost(engine, scenario, numbers, write_count) for _ in range(runs)]
        if engine.stats().unmerged < delta:
            raise Unmerged("the delta was merged while it was measured beside")
        verify(scenario, engine)
        found["beside a delta"] = {
            "tuples": engine.stats().tuples,
            "unmerged": engine.stats().unmerged,
            "write_us, merged": merged[0],
            "write_us": statistics.median(write for write, _ in costs),
            "write_and_check_us": statistics.median(both for _, both in costs),
        }
    return found


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.threads", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", action="append", choices=sorted(SHAPES), help="one of the shapes (default: all three)")
    parser.add_argument(
        "--threads", type=lambda text: [int(part) for part in text.split(",")], default=[1, 2], help="numbers of threads (default: 1,2)"
    )
    parser.add_argument("--batches", type=int, default=BATCHES, help="batches that each thread asks (default: %(default)s)")
    parser.add_argument("--tuples", type=int, default=TUPLE_COUNT, help="of each shape, roughly (default: %(default)s)")
    parser.add_argument("--delta", type=int, default=DELTA, help="unmerged changes to write beside; 0 leaves it out (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args(arguments)
    shapes = options.shape or list(SHAPES)
    record: dict[str, Any] = {**facts(), "tuples": options.tuples, "batches": options.batches}
    print(line(record))
    record["threads"] = measure_threads(shapes, options.threads, options.batches, options.tuples)
    print(
        f"\n{'batches of 500 texts':<22}"
        + "".join(f"{number + ' at once, a second':>24}{'x one':>8}{'machine':>9}" for number in record["threads"][shapes[0]])
    )
    for shape, by_count in record["threads"].items():
        print(f"  {shape:<20}" + "".join(f"{row['per_second']:>24,.0f}{row['ratio']:>8.2f}{row['machine']:>9.2f}" for row in by_count.values()))
    record["writes"] = measure_writes(shapes, options.tuples, options.delta)
    print(f"\n{'writes':<22}{'load, ns a tuple':>18}{'one write, us':>16}{'write and check, us':>22}")
    for shape in shapes:
        row = record["writes"][shape]
        print(f"  {shape:<20}{row['load_ns_per_tuple']:>18.0f}{row['write_us']:>16.2f}{row['write_and_check_us']:>22.2f}")
    if options.delta:
        row = record["writes"]["beside a delta"]
        print(f"  beside {row['unmerged']:,} unmerged changes, {row['tuples']:,} tuples: {row['write_us']:.2f} us", end="")
        print(f" (merged {row['write_us, merged']:.2f}), write and check {row['write_and_check_us']:.2f} us")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
