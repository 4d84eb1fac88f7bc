"""What is installed and what runs: the compiled kernel, typed, with its data, of the build that was asked for, for any machine of its platform."""

from __future__ import annotations

import importlib
import os
import re
import types
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.metadata import metadata
from importlib.resources import files
from pathlib import Path

import pytest

import fgacore

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "src" / "fgacore"
INSTALLED = Path(fgacore.__file__).parent
COMPILED = sorted(".".join(path.relative_to(ROOT / "src").with_suffix("").parts) for path in SOURCES.rglob("*.pyx"))
PUBLIC = {
    *("NONE", "BatchResult", "Engine", "Question", "Tuple", "open"),
    *("FgaError", "InternalError", "LimitError", "ModelError", "RequestError", "StoreError"),
}


def profile() -> str:
    debug = os.environ.get("FGACORE_DEBUG", "") not in ("", "0")
    return os.environ.get("FGACORE_SANITIZE") or ("debug" if debug else "release")


def defining_class(cls: type, name: str) -> type:
    return next(base for base in cls.__mro__ if name in vars(base))


def test_there_is_a_compiled_kernel() -> None:
    assert {name.split(".")[1] for name in COMPILED} >= {"kernel", "runtime"}


@pytest.mark.parametrize("name", COMPILED)
def test_module_is_an_extension(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__file__ is not None
    assert module.__file__.endswith(tuple(EXTENSION_SUFFIXES))
    assert Path(module.__file__).is_relative_to(INSTALLED)


@pytest.mark.parametrize("method", ["check", "check_objects", "batch_check", "check_ids"])
def test_no_python_frame_stands_between_caller_and_kernel(method: str) -> None:
    cls = defining_class(fgacore.Engine, method)
    assert cls.__module__ in COMPILED
    assert not isinstance(vars(cls)[method], types.FunctionType)


def test_build_under_test_is_the_one_asked_for() -> None:
    expected = SOURCES if profile() == "release" else ROOT / "build" / profile() / "lib" / "fgacore"
    assert expected.resolve() == INSTALLED.resolve()


def test_no_compiled_module_has_lost_its_source() -> None:
    built = {path.relative_to(SOURCES).parent / path.name.partition(".")[0] for path in SOURCES.rglob("*.so")}
    sources = {path.relative_to(SOURCES).with_suffix("") for path in SOURCES.rglob("*.pyx")}
    assert built - sources == set()


@pytest.mark.parametrize("suffix", [".pxd", ".pyi"])
def test_every_compiled_module_has_its_header_and_stub(suffix: str) -> None:
    assert [path.name for path in SOURCES.rglob("*.pyx") if not path.with_suffix(suffix).exists()] == []


def test_installed_package_is_typed() -> None:
    assert (INSTALLED / "py.typed").exists()
    missing = [name for name in COMPILED if not INSTALLED.parent.joinpath(*name.split(".")).with_suffix(".pyi").exists()]
    assert missing == []


def test_data_of_the_demo_is_installed() -> None:
    for name in ("helpdesk.fga", "helpdesk.tuples.yaml"):
        assert files("fgacore.cli").joinpath("data", name).is_file()


def test_public_names_are_listed_and_there() -> None:
    assert set(fgacore.__all__) >= PUBLIC
    assert [name for name in fgacore.__all__ if not hasattr(fgacore, name)] == []
    assert len(set(fgacore.__all__)) == len(fgacore.__all__)


def test_flags_suit_every_machine_of_the_platform() -> None:
    build_files = [ROOT / "setup.py", ROOT / "pyproject.toml", ROOT / "Makefile", *SOURCES.rglob("*.pyx")]
    assert [path.name for path in build_files if re.search(r"-m(arch|tune|cpu)\b", path.read_text(encoding="utf-8"))] == []


def test_licence_is_apache_2_and_shipped() -> None:
    assert metadata("fgacore")["License-Expression"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_version_is_in_the_changelog_or_ahead_of_it() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## \[(.+?)\]", changelog, re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert all(tuple(map(int, heading.split("."))) <= tuple(map(int, metadata("fgacore")["Version"].split("."))) for heading in headings[1:])
