"""OpenFGA's own test files as data: tests of one or more stages, each a new model and more tuples in the same store, and assertions.

Only reads. What an absent key means is settled here: no expectation is false for a check and nothing for a list; a name that occurs twice
gets a number; a number that YAML cannot hold (it reads as infinite) stays infinite, since the expected answer is an error either way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

__all__ = ["Check", "ListObjects", "ListUsers", "Stage", "SuiteTest", "SuiteTuple", "load_suite"]


@dataclass(frozen=True)
class SuiteTuple:
    """A tuple as the file has it, perhaps with a condition and its context."""

    subject: str
    relation: str
    object: str
    condition: str | None = None
    context: Mapping[str, Any] = field(default_factory=dict)

    @property
    def triple(self) -> tuple[str, str, str]:
        return self.subject, self.relation, self.object

    @classmethod
    def from_item(cls, item: Mapping[str, Any]) -> SuiteTuple:
        condition = item.get("condition") or {}
        return cls(item["user"], item["relation"], item["object"], condition.get("name"), condition.get("context") or {})


@dataclass(frozen=True)
class Check:
    """One check: either `expected`, or the code of the error that is due."""

    subject: str
    relation: str
    object: str
    expected: bool
    error_code: int | None
    contextual_tuples: tuple[SuiteTuple, ...]
    context: Mapping[str, Any] | None


@dataclass(frozen=True)
class ListObjects:
    """All objects of a type that the subject has the relation on. Order means nothing; a duplicate is a fault."""

    subject: str
    relation: str
    type: str
    expected: tuple[str, ...]
    error_code: int | None
    contextual_tuples: tuple[SuiteTuple, ...]
    context: Mapping[str, Any] | None


@dataclass(frozen=True)
class ListUsers:
    """All subjects of one kind (`user` or `group#member`) that have the relation on the object."""

    object: str
    relation: str
    kind: str
    expected: tuple[str, ...]
    error_code: int | None
    contextual_tuples: tuple[SuiteTuple, ...]
    context: Mapping[str, Any] | None


@dataclass(frozen=True)
class Stage:
    """A model, the tuples written under it, and what must then hold."""

    model: str
    tuples: tuple[SuiteTuple, ...]
    checks: tuple[Check, ...]
    list_objects: tuple[ListObjects, ...]
    list_users: tuple[ListUsers, ...]


@dataclass(frozen=True)
class SuiteTest:
    """A store and what happens to it, stage by stage."""

    name: str
    stages: tuple[Stage, ...]


def load_suite(path: Path) -> list[SuiteTest]:
    """Every test of the file, with names made distinct."""
    with path.open(encoding="utf-8") as file:
        document = yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    seen: Counter[str] = Counter()
    tests = []
    for item in document["tests"]:
        seen[item["name"]] += 1
        name = item["name"] if seen[item["name"]] == 1 else f"{item['name']}-{seen[item['name']]}"
        tests.append(SuiteTest(name, tuple(_stage(stage) for stage in item["stages"])))
    return tests


def _stage(item: dict[str, Any]) -> Stage:
    return Stage(
        model=item["model"],
        tuples=_tuples(item.get("tuples")),
        checks=tuple(_check(check) for check in item.get("checkAssertions") or ()),
        list_objects=tuple(_list_objects(assertion) for assertion in item.get("listObjectsAssertions") or ()),
        list_users=tuple(_list_users(assertion) for assertion in item.get("listUsersAssertions") or ()),
    )


def _tuples(items: list[dict[str, Any]] | None) -> tuple[SuiteTuple, ...]:
    return tuple(SuiteTuple.from_item(item) for item in items or ())


def _check(item: dict[str, Any]) -> Check:
    question = item["tuple"]
    return Check(question["user"], question["relation"], question["object"], bool(item.get("expectation")), *_common(item))


def _list_objects(item: dict[str, Any]) -> ListObjects:
    request = item["request"]
    return ListObjects(request["user"], request["relation"], request["type"], tuple(item.get("expectation") or ()), *_common(item))


def _list_users(item: dict[str, Any]) -> ListUsers:
    request = item["request"]
    [kind] = request["filters"]
    return ListUsers(request["object"], request["relation"], kind, tuple(item.get("expectation") or ()), *_common(item))


def _common(item: dict[str, Any]) -> tuple[int | None, tuple[SuiteTuple, ...], Mapping[str, Any] | None]:
    return item.get("errorCode"), _tuples(item.get("contextualTuples")), item.get("context")
