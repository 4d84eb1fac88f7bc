"""Draws what the sweeps measured: time a check against tuples and against batch size, one panel for each shape, both axes logarithmic.

    python -m benchmarks.plot [--from benchmarks/reference.json] [--to docs]

It writes performance-tuples.svg and performance-batch.svg by itself, without a plotting library; their colours follow the reader's light or
dark setting.
"""

from __future__ import annotations

import argparse
import json
import math
from html import escape
from pathlib import Path
from typing import Any

from .report import ORDER, REFERENCE, rank

__all__ = ["PLOTS", "draw", "main"]

Series = dict[str, list[list[float]]]  # a name to its points

PLOTS = {"tuples": ("tuples in the store", "batches of 500 texts"), "batch": ("texts in one call", "about 100,000 tuples")}
SHAPES = {"direct": "direct grants", "groups": "groups, 5 deep", "folders": "folders, 10 deep"}

PANEL, HEIGHT = 268, 250  # of one panel's drawing area
LEFT, TOP, GAP, BOTTOM = 66, 66, 26, 98

# One colour for each, light and dark; the first is ours and thicker.
COLOURS = {
    "fgacore": ("#0b62c4", "#6cb2ff"),
    "by hand, recursion": ("#8a6d00", "#dcbc4b"),
    "by hand, closure": ("#3a7d1f", "#86cf68"),
    "by hand, pyroaring": ("#00756b", "#4fd0c2"),
    "regorus": ("#b04a00", "#ff9a52"),
    "cedarpy": ("#a3195b", "#ff85b5"),
    "casbin FastEnforcer": ("#6f3fb3", "#bd9bf5"),
    "OpenFGA server": ("#555555", "#bbbbbb"),
}

ENGINES = {"regorus", "cedarpy", "casbin FastEnforcer", "OpenFGA server"}  # dashed


def draw(swept: str, by_shape: dict[str, Series], note: str) -> str:
    """One SVG of the sweep."""
    below, fixed = PLOTS[swept]
    shapes = [shape for shape in SHAPES if shape in by_shape]
    names = sorted({name for shape in shapes for name in by_shape[shape]}, key=rank)
    points = [point for shape in shapes for values in by_shape[shape].values() for point in values]
    if not points:
        raise ValueError(f"nothing was measured of `{swept}`")
    x_low, x_high = math.log10(min(x for x, _ in points)) - 0.15, math.log10(max(x for x, _ in points)) + 0.15
    y_low, y_high = math.floor(math.log10(min(y for _, y in points))), math.ceil(math.log10(max(y for _, y in points)) + 1e-9)
    width = LEFT + len(shapes) * (PANEL + GAP) + 8
    parts = [_head(width, TOP + HEIGHT + BOTTOM, names, f"Time a check against {below}, {fixed}")]
    parts.append(f'<text class="title" x="{LEFT}" y="22">Time a check against {below}</text>')
    parts.append(f'<text x="{LEFT}" y="40">{fixed}, one subject; both axes logarithmic; less is better</text>')

    def y_at(value: float) -> float:
        return TOP + HEIGHT * (1 - (math.log10(value) - y_low) / (y_high - y_low))

    for number, shape in enumerate(shapes):
        left = LEFT + number * (PANEL + GAP)

        def x_at(value: float, left: float = left) -> float:
            return left + PANEL * (math.log10(value) - x_low) / (x_high - x_low)

        parts.append(f'<text class="panel" x="{left + PANEL / 2:.0f}" y="{TOP - 8}">{SHAPES[shape]}</text>')
        for decade in range(y_low, y_high + 1):
            y = y_at(10**decade)
            parts.append(f'<line class="grid" x1="{left}" x2="{left + PANEL}" y1="{y:.1f}" y2="{y:.1f}"/>')
            if number == 0:
                parts.append(f'<text class="end" x="{left - 8}" y="{y + 4:.1f}">{_duration(decade)}</text>')
        for decade in range(math.ceil(x_low), math.floor(x_high) + 1):
            x = x_at(10**decade)
            parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{TOP + HEIGHT}"/>')
            parts.append(f'<text class="middle" x="{x:.1f}" y="{TOP + HEIGHT + 16}">{_count(decade)}</text>')
        parts.append(f'<text class="middle" x="{left + PANEL / 2:.0f}" y="{TOP + HEIGHT + 34}">{below}</text>')
        for name in reversed(names):  # ours on top
            if name in by_shape[shape]:
                at = [(x_at(x), y_at(y)) for x, y in by_shape[shape][name]]
                series = f"s{names.index(name)}"
                parts.append(f'<polyline class="{series}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in at)}"/>')
                parts += [f'<circle class="{series}" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>' for x, y in at]
    parts += _legend(names, width)
    parts.append(f'<text class="note" x="{LEFT}" y="{TOP + HEIGHT + BOTTOM - 8}">{escape(note)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _head(width: int, height: int, names: list[str], title: str) -> str:
    def rules(which: int) -> str:
        colours = (COLOURS.get(name, ("#555555", "#bbbbbb"))[which] for name in names)
        return " ".join(f"polyline.s{number} {{ stroke: {colour} }} circle.s{number} {{ fill: {colour} }}" for number, colour in enumerate(colours))

    engines = " ".join(f"polyline.s{number} {{ stroke-dasharray: 5 3 }}" for number, name in enumerate(names) if name in ENGINES)
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return f"""<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(title)}">
<title>{escape(title)}</title>
<style>
text {{ font: 12px system-ui, sans-serif; fill: #222 }}
.title {{ font-size: 15px; font-weight: 600 }} .panel {{ font-weight: 600 }}
.panel, .middle {{ text-anchor: middle }} .end {{ text-anchor: end }}
.note {{ font-size: 10px; fill: #666 }} .back {{ fill: #fff }}
.grid {{ stroke: #ddd; stroke-width: 1 }}
polyline {{ fill: none; stroke-width: 1.6 }} {engines}
polyline.s0 {{ stroke-width: 3.2 }}
{rules(0)}
@media (prefers-color-scheme: dark) {{
text {{ fill: #e6e6e6 }} .note {{ fill: #999 }} .back {{ fill: #0d1117 }} .grid {{ stroke: #333b45 }}
{rules(1)}
}}
</style>
<rect class="back" width="{width}" height="{height}"/>"""


def _legend(names: list[str], width: int) -> list[str]:
    """In rows under the panels."""
    parts, x, y = [], float(LEFT), TOP + HEIGHT + 58
    for number, name in enumerate(names):
        step = 34 + 6.6 * len(name)
        if x + step > width:
            x, y = float(LEFT), y + 18
        parts.append(f'<polyline class="s{number}" points="{x:.0f},{y - 4} {x + 18:.0f},{y - 4}"/>')
        parts.append(f'<text x="{x + 23:.0f}" y="{y}">{escape(name)}</text>')
        x += step
    return parts


def _duration(decade: int) -> str:
    """A power of ten of nanoseconds, in words."""
    for unit, power in (("s", 9), ("ms", 6), ("µs", 3), ("ns", 0)):
        if decade >= power:
            return f"{10 ** (decade - power)} {unit}"
    return f"{10.0**decade:g} ns"


def _count(decade: int) -> str:
    return f"{10 ** (decade - 6)}M" if decade >= 6 else f"{10 ** (decade - 3)}k" if decade >= 3 else str(10**decade)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plot", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="source", type=Path, default=REFERENCE, help="a summary (default: benchmarks/reference.json)")
    parser.add_argument("--to", type=Path, default=Path(__file__).parents[1] / "docs", help="the folder to draw into (default: docs)")
    options = parser.parse_args(arguments)
    summary: dict[str, Any] = json.loads(options.source.read_text(encoding="utf-8"))
    machine, versions = summary["machine"], summary["versions"]
    named = ", ".join(f"{name} {versions[name]}" for name in ("python", "cedarpy", "casbin", "lakera-regorus") if name in versions)
    note = f"{machine['cpu']}, {machine['cpus']} CPUs; fgacore at {summary['commit']}; {named}"
    options.to.mkdir(parents=True, exist_ok=True)
    for swept in PLOTS:
        if swept in summary.get("sweeps", {}):
            path = options.to / f"performance-{swept}.svg"
            path.write_text(draw(swept, summary["sweeps"][swept], note), encoding="utf-8")
            print(f"drew {path}")


assert set(COLOURS) == set(ORDER)
assert set(ORDER) > ENGINES

if __name__ == "__main__":
    main()
