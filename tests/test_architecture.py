"""Which layer may know which: every import and cimport under src/fgacore is an arrow, and every arrow points down.

The rules are those of docs/architecture.md. Each is also broken on purpose, in a synthetic package, so that the check is known to bite.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "fgacore"

# A layer and all that it may know. `door` is `fgacore/__init__.py`, which re-exports the engine and does nothing else.
LEAVES = {"errors", "formats", "limits", "tuples", "results"}
BELOW_RUNTIME = LEAVES | {"kernel", "language", "store"}
BELOW_ENGINE = BELOW_RUNTIME | {"runtime", "agents", "audit"}
BELOW_EDGES = BELOW_ENGINE | {"engine", "door"}
MAY_KNOW: dict[str, set[str]] = {
    "errors": set(),
    "formats": set(),
    "limits": set(),
    "tuples": {"errors", "limits"},
    "results": {"errors", "limits", "tuples"},
    "kernel": LEAVES,
    "language": LEAVES | {"kernel"},
    "store": LEAVES | {"kernel"},
    "runtime": BELOW_RUNTIME,
    "agents": BELOW_RUNTIME | {"runtime"},
    "audit": BELOW_RUNTIME | {"runtime"},
    "engine": BELOW_ENGINE,
    "door": BELOW_ENGINE | {"engine"},
    "cli": BELOW_EDGES,
    "server": BELOW_EDGES,
    "integrations": BELOW_EDGES,
    "__main__": {"cli"},
}

# The kernel computes on integers: it reads no file, no clock and no network, and writes no log.
NOT_IN_THE_KERNEL = {"asyncio", "datetime", "io", "logging", "os", "pathlib", "socket", "sqlite3", "subprocess", "tempfile", "time"}

IMPORT_LINE = re.compile(
    r"^[ \t]*(?:from[ \t]+(?P<source>[\w.]+)[ \t]+c?import[ \t]+(?P<names>\([^)]*\)|[^\n#]*)|c?import[ \t]+(?P<modules>[^\n#]+))", re.MULTILINE
)


def imported(path: Path, module: str, is_package: bool) -> Iterator[str]:
    """The absolute dotted names that a file imports or cimports, `from a import b` as `a.b`."""
    text = path.read_text(encoding="utf-8")
    if path.suffix in (".py", ".pyi"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                source = absolute("." * node.level + (node.module or ""), module, is_package)
                yield from (f"{source}.{alias.name}" for alias in node.names)
        return
    text = re.sub(r'("""|\'\'\').*?\1', "", text, flags=re.DOTALL)  # prose may have a line that begins with "import"
    for found in IMPORT_LINE.finditer(text):
        if found["modules"]:
            yield from (name.split()[0] for name in found["modules"].split(",") if name.strip())
        else:
            source = absolute(found["source"], module, is_package)
            names = re.sub(r"#[^\n]*", "", found["names"]).strip("() \t\n\\")
            yield from (f"{source}.{name.split()[0]}" for name in names.split(",") if name.strip())


def absolute(name: str, module: str, is_package: bool) -> str:
    """A possibly relative module name, as seen from `module`, in full."""
    level = len(name) - len(name.lstrip("."))
    if not level:
        return name
    parts = module.split(".") if is_package else module.split(".")[:-1]
    return ".".join([*parts[: len(parts) - level + 1], *filter(None, [name[level:]])])


def layer_of(dotted: str) -> str | None:
    """The layer of one of our modules, or of a name in it; None for a module of somebody else."""
    first, *rest = dotted.split(".")
    if first != "fgacore":
        return None
    return rest[0] if rest and rest[0] in MAY_KNOW else "door"


def wrong_arrows(package: Path) -> list[str]:
    """Every arrow of the package that no rule allows, and every file that belongs to no layer."""
    wrong = []
    for path in sorted(path for suffix in ("py", "pyi", "pyx", "pxd") for path in package.rglob(f"*.{suffix}")):
        place = path.relative_to(package)
        is_package = path.stem == "__init__"
        parts = place.with_suffix("").parts[: -1 if is_package else None]
        layer = parts[0] if parts else "door"
        if layer not in MAY_KNOW:
            wrong.append(f"{place}: no layer of this name")
            continue
        for name in imported(path, ".".join(["fgacore", *parts]), is_package):
            other = layer_of(name)
            if other is None and layer == "kernel" and name.split(".")[0] in NOT_IN_THE_KERNEL:
                wrong.append(f"{place}: the kernel must not know `{name}`")
            if other is not None and other != layer and other not in MAY_KNOW[layer]:
                wrong.append(f"{place}: {layer} must not know {other} (`{name}`)")
    return wrong


def synthetic(folder: Path, place: str, text: str) -> Path:
    path = folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return folder


def test_every_arrow_points_down() -> None:
    assert wrong_arrows(PACKAGE) == []


def test_all_that_is_there_is_read() -> None:
    """A rule over nothing would hold: the compiled core and the door are among what is read, and their arrows are seen."""
    seen = {layer for path in PACKAGE.rglob("*.py*") for name in imported_if_source(path) if (layer := layer_of(name))}
    assert {"kernel", "language", "runtime", "engine", "errors", "limits"} <= seen


def imported_if_source(path: Path) -> list[str]:
    if path.suffix not in (".py", ".pyi", ".pyx"):
        return []
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    is_package = parts[-1] == "__init__"
    return list(imported(path, ".".join(parts[:-1] if is_package else parts), is_package))


def test_rules_have_no_cycle() -> None:
    settled: set[str] = set()
    while free := {layer for layer, known in MAY_KNOW.items() if layer not in settled and known <= settled}:
        settled |= free
    assert settled == set(MAY_KNOW)


@pytest.mark.parametrize(("layer", "other"), [(layer, other) for layer in MAY_KNOW for other in MAY_KNOW if other not in (layer, "__main__")])
def test_each_rule_bites(layer: str, other: str, tmp_path: Path) -> None:
    single = layer in LEAVES or layer in ("engine", "__main__")
    place = "__init__.py" if layer == "door" else f"{layer}.py" if single else f"{layer}/part.py"
    line = "import fgacore\n" if other == "door" else f"from fgacore.{other} import part\n"
    assert (wrong_arrows(synthetic(tmp_path, place, line)) == []) is (other in MAY_KNOW[layer])


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("kernel/check.pyx", "cimport fgacore.runtime.checks\n"),
        ("kernel/check.pyx", "from fgacore.runtime.checks cimport Checks\n"),
        ("kernel/check.pyx", "from fgacore.runtime cimport (\n    checks,  # why\n    versions,\n)\n"),
        ("kernel/check.pyx", "from ..runtime.checks cimport Checks\n"),
        ("kernel/check.pyx", "from .. import engine\n"),
        ("kernel/check.pxd", "from libc.stdint cimport uint32_t\nfrom fgacore.store.log cimport Log\n"),
        ("kernel/check.pyx", "def f():\n    from fgacore.language import parse\n"),
        ("kernel/check.pyi", "from fgacore.runtime.checks import Checks\n"),
        ("kernel/check.pyx", "import numpy, time\n"),
        ("kernel/check.pyx", "from time import monotonic\n"),
        ("kernel/check.py", "import logging\n"),
        ("language/parse.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..store import log\n"),
        ("language/parse.py", "from fgacore import Engine\n"),
        ("language/parse.py", "from .. import Engine\n"),
        ("agents/scope.py", "from ..audit.explain import explain\n"),
        ("results.py", "from .kernel import sets\n"),
        ("helpers/text.py", ""),
        ("utils.py", "import json\n"),
    ],
)
def test_a_wrong_arrow_is_seen_in_every_spelling(place: str, text: str, tmp_path: Path) -> None:
    assert wrong_arrows(synthetic(tmp_path, place, text)) != []


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("kernel/check.pyx", '"""What a batch does.\n\nimport time is not what this says.\n"""\nfrom .sets cimport Run\nfrom ..limits import X\n'),
        ("kernel/__init__.py", "from .sets import Sets\nfrom ..errors import FgaError\n"),
        ("runtime/checks.pyx", "from fgacore.kernel.check cimport check_one\nimport time\n"),
        ("__init__.py", "from .engine import Engine, open\nfrom fgacore.errors import FgaError\n"),
        ("cli/demo.py", "import fgacore\nfrom . import helpdesk\n"),
    ],
)
def test_a_right_arrow_is_not_taken_for_a_wrong_one(place: str, text: str, tmp_path: Path) -> None:
    assert wrong_arrows(synthetic(tmp_path, place, text)) == []


def test_oracle_shares_no_code_with_what_it_judges() -> None:
    names = list(imported(ROOT / "tests" / "oracle.py", "oracle", is_package=False))
    judged = {"kernel", "runtime", "store", "engine", "door", "agents", "audit"}
    assert [name for name in names if layer_of(name) in judged or name.startswith("fgacore.language.compile")] == []
