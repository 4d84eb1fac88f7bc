"""Options of the pytest-benchmark runs, what their JSON carries besides, and the table at the end: nanoseconds a check."""

from __future__ import annotations

import os
from collections.abc import Callable
from time import perf_counter
from typing import Any

import pytest

from benchmarks.machine import facts
from benchmarks.report import rank

Measure = Callable[..., None]

SECONDS = 0.4  # for one measurement, roughly


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("fgacore benchmarks")
    group.addoption(
        "--tuples-max", type=int, default=1_000_000, help="largest store of the sweeps; 10000000 needs gigabytes of memory and some minutes more"
    )
    group.addoption("--named", action="store_true", help="also the named engines that are installed (the extra `bench`)")
    group.addoption("--openfga", metavar="URL", default=os.environ.get("FGACORE_OPENFGA_URL"), help="with --named: also this OpenFGA server")


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    machine_info.pop("node", None)  # the machine's name is nobody's business


def pytest_benchmark_update_json(config: pytest.Config, benchmarks: list[Any], output_json: dict[str, Any]) -> None:
    output_json.update(facts())
    output_json["unit"] = "seconds a round; extra_info.checks is how many checks a round is"


@pytest.fixture
def measure(benchmark: Any) -> Measure:
    """Time `run`, which makes so many checks: rounds of at least a millisecond, as many as fit, without the garbage collector."""

    def timed(run: Callable[[], object], checks: int, rounds: int | None = None, setup: Callable[[], Any] | None = None) -> None:
        benchmark.extra_info["checks"] = checks
        if setup is not None:  # each round once, on what setup makes: nothing is warm
            benchmark.pedantic(run, setup=setup, rounds=rounds or 1)
            return
        run()
        started = perf_counter()
        run()
        once = perf_counter() - started
        iterations = max(1, min(1000, int(1e-3 / once)))
        benchmark.pedantic(run, iterations=iterations, rounds=max(3, min(101, int(SECONDS / (once * iterations)))))

    return timed


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """One line for each scenario or sweep, one column for each way of asking."""
    session = getattr(config, "_benchmarksession", None)
    if session is None or not session.benchmarks:
        return
    groups: dict[str, dict[str, dict[str, float]]] = {}
    order: dict[str, int] = {}
    for each in session.benchmarks:
        if not each.stats.data:
            continue
        row, column = each.extra_info["row"], each.extra_info["column"]
        order[row] = each.extra_info.get("x", len(order))
        groups.setdefault(each.group, {}).setdefault(row, {})[column] = each.stats.median * 1e9 / each.extra_info["checks"]
    for group, rows in groups.items():
        columns = sorted({column for row in rows.values() for column in row}, key=rank)
        terminalreporter.section(f"{group}: nanoseconds a check, medians")
        width = max(len(row) for row in rows) + 2
        terminalreporter.write_line(" " * width + "".join(f"{column:>20}" for column in columns))
        for row, times in sorted(rows.items(), key=lambda item: order[item[0]]):
            terminalreporter.write_line(
                f"{row:<{width}}" + "".join(f"{times[column]:>20,.1f}" if column in times else f"{'':>20}" for column in columns)
            )
