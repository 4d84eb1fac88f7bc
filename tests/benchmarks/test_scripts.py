"""The scripts run on tiny sizes, and what they write can be read: threads, the report, the plots, the pytest-benchmark runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from benchmarks.machine import facts, line

from benchmarks import plot, report, threads

ROOT = Path(__file__).parents[2]
FACTS: dict[str, Any] = {
    "machine": {"cpu": "a processor", "cpus": 2, "system": "Linux", "load": 0.5},
    "commit": "0123",
    "versions": {"python": "3.11"},
}


def test_threads_prints_and_writes_its_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = tmp_path / "threads.json"
    threads.main(["--batches", "3", "--tuples", "1000", "--delta", "0", "--json", str(found)])
    record = json.loads(found.read_text())
    assert record["threads"].keys() == {"direct", "groups", "folders"}
    assert record["threads"]["direct"].keys() == {"1", "2"}
    assert record["threads"]["direct"]["2"].keys() == {"per_second", "ratio", "machine"}
    assert record["writes"]["direct"]["write_us"] > 0
    assert "write and check" in capsys.readouterr().out


def test_writes_beside_a_delta_have_one() -> None:
    found = threads.measure_writes([], tuple_count=0, delta=1_000, runs=1, write_count=20)
    assert found["beside a delta"]["unmerged"] >= 1_000


def test_a_delta_that_was_merged_is_no_delta() -> None:
    from benchmarks.scenarios import SHAPES, load

    scenario = SHAPES["direct"](2_000)
    with load(scenario) as engine, pytest.raises(threads.Unmerged):
        threads.leave_unmerged(engine, scenario, iter(range(10**6)), 20_000)


def test_facts_name_machine_commit_and_versions() -> None:
    found = facts()
    assert found["versions"]["python"] in line(found)
    assert found["commit"] in line(found)
    assert os.uname().nodename not in json.dumps(found)


def benchmark(group: str, row: str, column: str, seconds: float, **extra: Any) -> dict[str, Any]:
    return {"group": group, "stats": {"median": seconds}, "extra_info": {"row": row, "column": column, "checks": 500, **extra}}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    found = [
        benchmark("scenarios", "helpdesk_loop", "loop", 5e-5, x=0, tuples=100_000),
        benchmark("scenarios", "helpdesk_loop", "ids", 5e-6, x=0, tuples=100_000),
    ]
    for shape in ("direct", "folders"):
        for who in ("cedarpy", "fgacore", "by hand, closure"):
            found += [benchmark(f"tuples, {shape}", "", who, 1e-5 * size, x=size, shape=shape) for size in (10_000, 100)]
    found.append(benchmark("depth", "groups, 5 deep", "fgacore", 1e-5, x=5, shape="groups"))
    (tmp_path / "sweeps.json").write_text(json.dumps({**FACTS, "benchmarks": found}))
    rows = {"single": {"floor": 100.0, "fgacore": 50.0, "by hand, closure": 200.0, "by hand, recursion": 300.0}}
    named = {"cedarpy": {"single": 2e4, "single, fgacore": 100.0, "batch": 1e4, "batch, fgacore": 25.0, "load_s": 1.5}}
    (tmp_path / "compare.json").write_text(json.dumps({**FACTS, "compare": {"direct": rows}, "named": {"direct": named}}))
    return tmp_path


def test_report_gathers_times_a_check_and_fills_marked_places_alone(results: Path) -> None:
    page = results / "page.md"
    page.write_text(
        "Before.\n<!-- measured: scenarios -->\nfrom before\n<!-- end -->\nBetween.\n<!-- measured: writes -->\nkept\n<!-- end -->\nAfter.\n"
    )
    report.main(["--results", str(results), "--docs", str(page)])
    summary = json.loads((results / "summary.json").read_text())
    assert summary["scenarios"]["helpdesk_loop"] == {"tuples": 100_000, "loop": 100.0, "ids": 10.0}
    assert summary["sweeps"]["tuples"]["direct"]["fgacore"] == [[100, 2000.0], [10_000, 200_000.0]]
    filled = page.read_text()
    assert "| helpdesk_loop | 100,000 | 100 |  |  |  | 10.0 |  |" in filled
    assert "from before" not in filled
    assert "Between.\n<!-- measured: writes -->\nkept\n<!-- end -->\nAfter.\n" in filled
    assert "| single | 100 | 50.0 | 0.50 | 200 | 4.00 | closure |" in report.tables(summary)["compare"]


def test_report_of_nothing_says_what_to_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        report.main(["--results", str(tmp_path)])
    assert "make bench" in capsys.readouterr().err


def test_plot_draws_each_series_of_each_shape(results: Path) -> None:
    report.main(["--results", str(results)])
    plot.main(["--from", str(results / "summary.json"), "--to", str(results / "drawn")])
    assert [path.name for path in (results / "drawn").iterdir()] == ["performance-tuples.svg"]  # the batch size was not swept
    text = (results / "drawn" / "performance-tuples.svg").read_text(encoding="utf-8")
    picture = ElementTree.fromstring(text)
    drawn = picture.findall(".//{http://www.w3.org/2000/svg}polyline")
    assert len(drawn) == 2 * 3 + 3  # two panels of three, and the legend
    words = "".join(picture.itertext())
    for word in ("fgacore", "cedarpy", "by hand, closure", "direct grants", "folders, 10 deep", "a processor", "0123"):
        assert word in words
    assert "prefers-color-scheme: dark" in text
    for shape in drawn[:6]:
        x, y = zip(*(map(float, point.split(",")) for point in shape.attrib["points"].split()), strict=True)
        assert list(x) == sorted(x)
        assert list(y) == sorted(y, reverse=True)  # a longer time is higher up


def test_reference_and_pictures_of_the_documentation_belong_together() -> None:
    summary = json.loads(report.REFERENCE.read_text(encoding="utf-8"))
    for swept in plot.PLOTS:
        text = (ROOT / "docs" / f"performance-{swept}.svg").read_text(encoding="utf-8")
        assert summary["commit"] in text, "draw them again: python -m benchmarks.plot"


@pytest.mark.parametrize(
    ("module", "chosen"), [("test_scenarios.py", "github_50 or gdrive_as_is_50"), ("test_sweeps.py", "10000-by or direct-10000-fgacore")]
)
def test_benchmark_runs_write_times_and_facts(module: str, chosen: str, tmp_path: Path) -> None:
    found = tmp_path / f"{module.removeprefix('test_').removesuffix('.py')}.json"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--benchmark-quiet", "--tuples-max=10000", f"--benchmark-json={found}"]
    done = subprocess.run([*command, "-k", chosen, f"benchmarks/{module}"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nanoseconds a check" in done.stdout
    record = json.loads(found.read_text())
    assert {"machine", "commit", "versions"} <= record.keys()
    assert "node" not in record["machine_info"]
    assert all(each["extra_info"]["checks"] > 0 for each in record["benchmarks"])
    assert report.collect(tmp_path)
