"""OpenFGA's store files (`store.fga.yaml`) as data: a model, tuples, and tests with assertions of their own.

Only reads. Files that a store names (`model_file`, `tuple_file`, `tuple_files`) are looked up beside it; a model file is kept as a path,
since it may be a list of modules. Lists of users and objects are expanded to all pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from suites.openfga_suite import SuiteTuple

__all__ = ["StoreCheck", "StoreFile", "StoreTest", "find_stores", "load_store"]


@dataclass(frozen=True)
class StoreCheck:
    """One check with its expected answer."""

    subject: str
    relation: str
    object: str
    expected: bool
    context: Mapping[str, Any] | None


@dataclass(frozen=True)
class StoreTest:
    """One test of a store: tuples of its own beside the store's, and assertions. The lists are kept as the file has them."""

    name: str
    tuples: tuple[SuiteTuple, ...]
    checks: tuple[StoreCheck, ...]
    list_objects: tuple[Mapping[str, Any], ...]
    list_users: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class StoreFile:
    """A store file. `model` is DSL text, or the path of a model or of a list of modules."""

    path: Path
    model: str | Path
    tuples: tuple[SuiteTuple, ...]
    tests: tuple[StoreTest, ...]


def find_stores(folder: Path) -> list[Path]:
    """Every store file below the folder."""
    return sorted(folder.rglob("*.fga.yaml"))


def load_store(path: Path) -> StoreFile:
    """The store with everything it names."""
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    model = document["model"] if "model" in document else (path.parent / document["model_file"]).resolve()
    tests = tuple(_test(item, f"test-{number}", path.parent) for number, item in enumerate(document.get("tests") or (), start=1))
    return StoreFile(path, model, _tuples(document, path.parent), tests)


def _test(item: dict[str, Any], default_name: str, folder: Path) -> StoreTest:
    checks = tuple(check for group in item.get("check") or () for check in _checks(group))
    lists = (tuple(item.get(key) or ()) for key in ("list_objects", "list_users"))
    return StoreTest(item.get("name") or default_name, _tuples(item, folder), checks, *lists)


def _checks(group: dict[str, Any]) -> list[StoreCheck]:
    subjects = [group["user"]] if "user" in group else group["users"]
    objects = [group["object"]] if "object" in group else group["objects"]
    return [
        StoreCheck(subject, relation, object_name, expected, group.get("context"))
        for subject in subjects
        for object_name in objects
        for relation, expected in group["assertions"].items()
    ]


def _tuples(item: dict[str, Any], folder: Path) -> tuple[SuiteTuple, ...]:
    rows = list(item.get("tuples") or ())
    files = ([item["tuple_file"]] if "tuple_file" in item else []) + list(item.get("tuple_files") or ())
    for name in files:
        path = folder / name
        assert path.suffix in (".yaml", ".json"), f"{path}: no reader for tuples in this format"  # JSON is YAML
        rows += yaml.safe_load(path.read_text(encoding="utf-8")) or ()
    return tuple(SuiteTuple.from_item(row) for row in rows)
