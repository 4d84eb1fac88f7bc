"""The catalogue of errors: every code that the package can raise is in it, is explained in the docs and is named by a test."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fgacore import errors

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "src" / "fgacore"
DOCS = ROOT / "docs" / "errors.md"
QUOTED = r"""["'](\w+)["']"""
TESTED_IN = {"*.py": QUOTED, "*.json": QUOTED, "*.yaml": r"\b\w+\b", "*.yml": r"\b\w+\b"}


def classes(root: type[errors.FgaError] = errors.FgaError) -> Iterator[type[errors.FgaError]]:
    yield root
    for child in root.__subclasses__():
        yield from classes(child)


def literal_codes(path: Path) -> set[str]:
    """Every `code="…"` written in a source file, and what a ModelIssue is made with."""
    text = path.read_text(encoding="utf-8")
    found = set(re.findall(r"""\bcode\s*=\s*["'](\w+)["']""", text))
    if path.suffix == ".py":
        for node in ast.walk(ast.parse(text)):
            made = node.func if isinstance(node, ast.Call) else None
            if isinstance(node, ast.Call) and isinstance(made, ast.Name) and made.id == "ModelIssue" and node.args:
                first = node.args[0]
                found |= {first.value} if isinstance(first, ast.Constant) and isinstance(first.value, str) else set()
    return found


@pytest.fixture(scope="module")
def named_in_tests() -> set[str]:
    """Every word in quotes in a test, and every word of the data that tests read."""
    named: set[str] = set()
    for pattern, word in TESTED_IN.items():
        for path in (ROOT / "tests").rglob(pattern):
            if path != Path(__file__):
                named.update(re.findall(word, path.read_text(encoding="utf-8")))
    return named


def test_catalogue_is_not_empty_and_names_classes_of_the_tree() -> None:
    assert errors.CODES
    assert set(errors.CODES.values()) <= set(classes())


def test_default_of_every_class_is_in_the_catalogue_under_its_class() -> None:
    for cls in classes():
        if cls is not errors.FgaError and cls.__module__ == errors.__name__:  # not those of other tests
            assert errors.CODES.get(cls.default_code) is cls, cls.__name__


def test_every_code_written_in_the_sources_is_in_the_catalogue() -> None:
    written = {code: path.name for suffix in ("py", "pyx") for path in SOURCES.rglob(f"*.{suffix}") for code in literal_codes(path)}
    assert {code: where for code, where in written.items() if code not in errors.CODES} == {}


@pytest.mark.parametrize("code", sorted(errors.CODES))
def test_code_has_a_line_in_the_docs(code: str) -> None:
    assert re.search(rf"^\| `{code}` \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE), f"no line for `{code}` in {DOCS.name}"


def test_docs_have_no_line_for_a_code_that_is_gone() -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)) - set(errors.CODES) == set()


@pytest.mark.parametrize("code", sorted(errors.CODES))
def test_code_is_named_by_a_test(code: str, named_in_tests: set[str]) -> None:
    assert code in named_in_tests
