"""What the runs wrote, in one small file, and as the tables of docs/performance.md.

    python -m benchmarks.report [--results DIR] [--reference] [--docs docs/performance.md]

Reads scenarios.json, sweeps.json, compare.json, conditions.json, lists.json, agents.json, threads.json and scale.json of the results, as far as they
are there, and writes summary.json beside them. `--reference` also puts it where the repository keeps one such file, from which the plots of the
documentation are drawn. `--docs` writes the tables between the markers `<!-- measured: NAME -->` and `<!-- end -->` of a page, nothing else of it.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

from .lists import GROUPS as LISTS
from .machine import RESULTS, line
from .scale import amount
from .scenarios import SHAPES

__all__ = ["ORDER", "WAYS", "collect", "dump", "fill", "main", "tables"]

REFERENCE = Path(__file__).parent / "reference.json"

# Who is measured, in the order of tables and legends.
ORDER = (
    "fgacore",
    "by hand, recursion",
    "by hand, closure",
    "by hand, pyroaring",
    "regorus",
    "cedarpy",
    "casbin FastEnforcer",
    "OpenFGA server",
)
WAYS = ("loop", "single", "strings", "triples", "ids", "cold")

Summary = dict[str, Any]


def rank(name: str) -> tuple[int, str]:
    """For sorting: engines, ways and shapes in their order, others after them."""
    known = (*ORDER, *WAYS, *SHAPES)
    return (known.index(name) if name in known else len(known), name)


def collect(results: Path) -> Summary:
    """One summary of what the folder holds. Times are nanoseconds a check, rounded to tenths."""
    summary: Summary = {}
    for name in ("scale", "agents", "conditions", "lists", "threads", "compare", "scenarios", "sweeps"):  # the last one's facts stand
        path = results / f"{name}.json"
        if not path.exists():
            continue
        found = json.loads(path.read_text(encoding="utf-8"))
        summary |= {key: found[key] for key in ("machine", "commit", "versions")}
        if name in ("scenarios", "sweeps"):
            summary |= {part: value for part, value in _benchmarks(found["benchmarks"]).items() if value}
        else:
            parts = ("compare", "named", "conditions", "lists", "agents", "threads", "writes", "scale")
            summary |= {key: _rounded(found[key]) for key in parts if key in found}
    return summary


def _benchmarks(found: list[dict[str, Any]]) -> Summary:
    scenarios: dict[str, dict[str, Any]] = {}
    sweeps: dict[str, dict[str, dict[str, list[list[float]]]]] = {}
    for each in sorted(found, key=lambda each: float(each["extra_info"]["x"])):
        extra = each["extra_info"]
        time = round(each["stats"]["median"] * 1e9 / extra["checks"], 1)
        if each["group"] == "scenarios":
            scenarios.setdefault(extra["row"], {"tuples": extra["tuples"]})[extra["column"]] = time
        else:
            swept = each["group"].partition(",")[0]
            sweeps.setdefault(swept, {}).setdefault(extra["shape"], {}).setdefault(extra["column"], []).append([extra["x"], time])
    ordered = {
        swept: {shape: {name: sorted(by_shape[shape][name]) for name in sorted(by_shape[shape], key=rank)} for shape in sorted(by_shape, key=rank)}
        for swept, by_shape in sweeps.items()
    }
    return {"scenarios": scenarios, "sweeps": ordered}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return round(value, 2) if isinstance(value, float) else value


def dump(summary: Summary, path: Path) -> None:
    """As JSON with one line for each part's part, so that a difference can be read."""
    parts = []
    for key, value in summary.items():
        if isinstance(value, dict) and any(isinstance(each, dict) for each in value.values()):
            inner = ",\n".join(f"  {json.dumps(name)}: {json.dumps(each)}" for name, each in value.items())
            parts.append(f" {json.dumps(key)}: {{\n{inner}\n }}")
        else:
            parts.append(f" {json.dumps(key)}: {json.dumps(value)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def tables(summary: Summary) -> dict[str, str]:
    """Markdown by the name of its marker; only of what was measured."""
    made = {"machine": f"Measured on: {line(summary)}."} if summary.keys() - {"machine", "commit", "versions", "scale"} else {}
    if "scenarios" in summary:
        rows = [[name, f"{row['tuples']:,}", *(_number(row.get(way)) for way in WAYS)] for name, row in summary["scenarios"].items()]
        made["scenarios"] = _table(["scenario", "tuples", *WAYS], rows)
    for swept, first in (("tuples", "tuples"), ("batch", "texts a call"), ("depth", "levels")):
        if swept in summary.get("sweeps", {}):
            made[swept] = "\n\n".join(_sweep(shape, first, by_name) for shape, by_name in summary["sweeps"][swept].items())
    if summary.get("compare"):
        made["compare"] = "\n\n".join(_compare(shape, rows) for shape, rows in summary["compare"].items())
    if any(summary.get("named", {}).values()):
        rows = [
            [
                shape,
                name,
                *(f"{times[way] / 1e3:,.1f} | {times[way] / times[f'{way}, fgacore']:,.0f}" for way in ("single", "batch")),
                f"{times['load_s']:.2f}",
            ]
            for shape, by_name in summary["named"].items()
            for name, times in by_name.items()
        ]
        made["named"] = _table(["shape", "engine", "single, us | x fgacore", "batch of 500, us a check | x fgacore", "load, s"], rows)
    if summary.get("conditions"):
        made["conditions"] = "\n\n".join(_conditions(group, rows) for group, rows in summary["conditions"].items() if rows)
    if summary.get("lists"):
        made["lists"] = "\n\n".join(_lists(group, rows) for group, rows in summary["lists"].items() if rows)
    if summary.get("agents"):
        made["agents"] = _table(["session", "measured", "must", ""], [_agents(name, row) for name, row in summary["agents"].items()])
    if "scale" in summary:
        made["scale"] = _scale(summary["scale"])
    if "threads" in summary:
        counts = list(next(iter(summary["threads"].values())))
        rows = [
            [
                name,
                *(
                    f"{by_count[number]['per_second']:,.0f} | {by_count[number]['ratio']:.2f} | {by_count[number]['machine']:.2f}"
                    for number in counts
                ),
            ]
            for name, by_count in summary["threads"].items()
        ]
        made["threads"] = _table(["", *(f"{number} at once, a second | x one | machine" for number in counts)], rows)
    if "writes" in summary:
        rows = [
            [
                name,
                f"{row['load_ns_per_tuple']:.0f}" if "load_ns_per_tuple" in row else "",
                f"{row['write_us']:.2f}",
                f"{row['write_and_check_us']:.2f}",
            ]
            for name, row in summary["writes"].items()
        ]
        made["writes"] = _table(["", "load, ns a tuple", "one write, us", "write and check, us"], rows)
    return made


def _sweep(shape: str, first: str, by_name: dict[str, list[list[float]]]) -> str:
    points = {x for values in by_name.values() for x, _ in values}
    rows = [[f"{x:,}", *(_number(_at(values, x)) for values in by_name.values())] for x in sorted(points)]
    return _table([f"{shape}: {first}", *by_name], rows)


def _at(values: list[list[float]], x: float) -> float | None:
    return next((time for at, time in values if at == x), None)


def _compare(shape: str, rows: dict[str, dict[str, float]]) -> str:
    made = []
    for name, times in rows.items():
        ours, floor = times["fgacore"], times.get("floor")
        hand = {who: time for who, time in times.items() if who.startswith("by hand")}
        best = min(hand, key=lambda who: hand[who], default=None)
        by_hand = [_number(hand[best]), f"{hand[best] / ours:.2f}", best.partition(", ")[2]] if best else ["", "", ""]
        made.append([name, _number(floor), _number(ours), f"{ours / floor:.2f}" if floor else "", *by_hand])
    return _table([shape, "floor", "fgacore", "x floor", "best by hand", "x hand", "which"], made)


def _conditions(group: str, rows: dict[str, dict[str, Any]]) -> str:
    theirs = next((name.partition(": ")[0] for name in rows if group.startswith("named")), None)
    head = [group, "fgacore", theirs or "without", "x", "more, us", "must"]
    made = []
    for name, row in rows.items():
        must = f"{row['must']}: {'held' if row['holds'] else 'not held'}" if "must" in row else ""
        made.append([name, _number(row["ns"]), _number(row["beside"]), f"{row['x']:,.2f}", "" if theirs else f"{row['more_us']:,.2f}", must])
    return _table(head, made)


def _lists(group: str, rows: dict[str, dict[str, Any]]) -> str:
    head = [group, "fgacore, us", f"{LISTS[group]}, us", "x", "ns an item", "must"]
    made = []
    for name, row in rows.items():
        must = f"{row['must']}: {'held' if row['holds'] else 'not held'}" if "must" in row else ""
        item = f"{row['item_ns']:.1f}" if "item_ns" in row else ""
        made.append([name, _number(row["us"]), _number(row["beside"]), f"{row['x']:,.2f}", item, must])
    return _table(head, made)


def _agents(name: str, row: dict[str, Any]) -> list[str]:
    must = f"{row['must']}: {'held' if row['holds'] else 'not held'}" if "must" in row else ""
    return [name, f"{amount(row['value'])} {row['unit']}", must, row["told"]]


def _scale(found: dict[str, Any]) -> str:
    told = f"{found['tuples']:,} tuples over {found['names']:,} names, measured on: {found['on']}."
    rows = []
    for name, row in found["rows"].items():
        must = f"{row['must']}: {'held' if row['holds'] else 'not held'}" if "must" in row else ""
        aim = f"{row['aim']}: {'reached' if row['reached'] else 'not reached'}" if "aim" in row else ""
        rows.append([name, f"{amount(row['value'])} {row['unit']}", must, aim, row["told"]])
    return f"{told}\n\n{_table(['figure', 'measured', 'must', 'aim', ''], rows)}"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    head = " | ".join(head).split(" | ")
    align = ["---", *["--:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, align, *rows))


def fill(page: str, made: dict[str, str]) -> str:
    """The page with every marked place that there is a table for filled anew."""

    def filled(found: re.Match[str]) -> str:
        name = found[1]
        return f"<!-- measured: {name} -->\n{made[name]}\n<!-- end -->" if name in made else found[0]

    return re.sub(r"<!-- measured: (\w+) -->\n.*?<!-- end -->", filled, page, flags=re.DOTALL)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the runs wrote (default: benchmarks/results)")
    parser.add_argument("--reference", action="store_true", help="also write benchmarks/reference.json")
    parser.add_argument("--docs", type=Path, action="append", default=[], help="a page to fill the tables into")
    options = parser.parse_args(arguments)
    summary = collect(options.results)
    if not summary:
        parser.exit(1, f"there are no results in {options.results}: run `make bench` first\n")
    for path in [options.results / "summary.json", *([REFERENCE] if options.reference else [])]:
        dump(summary, path)
        print(f"wrote {path}")
    for page in options.docs:
        page.write_text(fill(page.read_text(encoding="utf-8"), tables(summary)), encoding="utf-8")
        print(f"filled {page}")


if __name__ == "__main__":
    main()
