"""Where and of what a figure was measured: machine, commit, versions. Every result carries it; a time without it says nothing."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["RESULTS", "ROOT", "facts", "line"]

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"

PACKAGES = ("numpy", "pyroaring", "cython", "pytest-benchmark", "cel-expr-python", "cedarpy", "casbin", "lakera-regorus")


def facts() -> dict[str, Any]:
    """The facts as JSON has them. No name of the machine or of a user is among them."""
    import fgacore

    return {
        "machine": {
            "cpu": _cpu(),
            "cpus": os.cpu_count(),
            "architecture": platform.machine(),
            "system": f"{platform.system()} {platform.release()}",
            "load": round(os.getloadavg()[0], 2),  # of the last minute when asked: what else the machine was doing
        },
        "commit": _commit(),
        "versions": {
            "python": platform.python_version(),
            "compiler": platform.python_compiler(),
            "fgacore": _version("fgacore") or getattr(fgacore, "__version__", "in place"),
            **{name: version for name in PACKAGES if (version := _version(name))},
        },
    }


def line(facts: dict[str, Any]) -> str:
    """The facts in one line of text."""
    machine, versions = facts["machine"], facts["versions"]
    named = ", ".join(f"{name} {version}" for name, version in versions.items() if name not in ("compiler", "cython", "pytest-benchmark"))
    return f"{machine['cpu']}, {machine['cpus']} CPUs, {machine['system']}, load {machine['load']}; commit {facts['commit']}; {named}"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for text in info.read_text(encoding="utf-8").splitlines():
            if text.startswith("model name"):
                return text.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit() -> str:
    """The commit, with a `+` if files differ from it."""
    try:
        commit = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--", "src", "setup.py"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit}+" if changed.strip() else commit
