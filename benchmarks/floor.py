"""Builds `floor.pyx` on the fly, in a temporary folder, with the compiler flags of the fgacore that it is compared with: those of setup.py."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from .scenarios import Triple

__all__ = ["Floor", "make_floor"]

SOURCE = Path(__file__).with_suffix(".pyx")
SETUP = Path(__file__).parents[1] / "setup.py"

BUILD = """
import sys
from Cython.Build import cythonize
from setuptools import Extension, setup

flags = sys.argv.pop(1).split()
setup(name="floor_probe", ext_modules=cythonize([Extension("floor_probe", ["floor_probe.pyx"], extra_compile_args=flags)], quiet=True))
"""


class Floor(Protocol):
    """What floor.pyx makes."""

    def number(self, name: str) -> int: ...
    def check(self, subject: str, relation: str, object: str) -> bool: ...
    def check_objects(self, subject: str, relation: str, objects: list[str]) -> list[bool]: ...
    def batch_check(self, questions: list[Triple]) -> list[bool]: ...
    def check_ids(self, subject: int, objects: Any, answers: Any) -> None: ...


_built: list[ModuleType] = []  # once in a process


def make_floor(shape: str, tuples: list[Triple]) -> Floor:
    """The floor of one of the shapes over these tuples."""
    if not _built:
        _built.append(_build())
    floor: Floor = _built[0].Floor(shape, tuples)
    return floor


def compile_flags() -> list[str]:
    """The flags that setup.py gives the compiler in this environment."""
    spec = importlib.util.spec_from_file_location("fgacore_setup", SETUP)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    here = Path.cwd()
    try:
        spec.loader.exec_module(module)
    finally:
        os.chdir(here)  # setup.py goes to its own folder
    flags: list[str] = module.flags()[0]
    return flags


def _build() -> ModuleType:
    with tempfile.TemporaryDirectory(prefix="fgacore-floor-") as name:
        folder = Path(name)
        (folder / "floor_probe.pyx").write_text(SOURCE.read_text(encoding="utf-8"), encoding="utf-8")
        (folder / "build.py").write_text(BUILD, encoding="utf-8")
        command = [sys.executable, "build.py", " ".join(compile_flags()), "--quiet", "build_ext", "--inplace"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"the floor cannot be built:\n{done.stdout}{done.stderr}")
        spec = importlib.util.spec_from_file_location("floor_probe", next(folder.glob("floor_probe*.so")))
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module
