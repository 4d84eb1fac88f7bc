"""What a naive engine gets wrong, as data: small stores whose answers were worked out by hand from the meaning of the language.

They are in `tests/scenarios/*.yaml`, and those too regular to write down are made here. Each proves its point alone, without the public
suites. A scenario has one or more stages in one store: each stage is a new model, more tuples, and the questions to which the answer is
then yes, no, or an error of the caller's. Lines read subject, relation, object; models are without header and `define`. A tuple may go on
`with` a condition, its context as JSON, and `until` an instant.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from oracle import Stored

__all__ = ["SCENARIOS", "Scenario", "Stage", "lines", "model_text", "tuple_lines"]

FOLDER = Path(__file__).parents[1] / "scenarios"


@dataclass(frozen=True)
class Stage:
    """A model, what is written under it, what surrounds the questions, and the questions by their answers.

    Without a model the newest stays. `at` is the instant, in microseconds; `code` is that of what is refused, where it matters which.
    """

    model: str = ""
    tuples: str = ""
    context: dict[str, Any] | None = None
    contextual: str = ""
    at: int = 0
    allowed: str = ""
    denied: str = ""
    refused: str = ""
    code: str | None = None


@dataclass(frozen=True)
class Scenario:
    """Stages in one store; the tuples of all stages add up."""

    name: str
    stages: tuple[Stage, ...]


def lines(text: str) -> list[tuple[str, str, str]]:
    """The triples of a block of lines."""
    found = []
    for line in text.strip().splitlines():
        if line.strip():
            subject, relation, name = line.split()
            found.append((subject, relation, name))
    return found


TUPLE = re.compile(r"(\S+) (\S+) (\S+)(?: with (\S+)(?: (\{.*\}))?)?(?: until (\d+))?")


def tuple_lines(text: str) -> list[Stored]:
    """The tuples of a block of lines."""
    found = []
    for line in text.strip().splitlines():
        match = TUPLE.fullmatch(line.strip())
        assert match is not None, line
        subject, relation, name, condition, context, until = match.groups()
        found.append(Stored(subject, relation, name, condition, json.loads(context) if context else None, int(until) if until else None))
    return found


def model_text(text: str) -> str:
    """A model in the DSL, from lines such as `type doc` and `viewer: [user]`; indentation and `define` are put in."""
    out = ["model", "  schema 1.1"]
    fresh = False
    for raw in text.strip().splitlines():
        line = raw.strip()
        if line.startswith("type "):
            out.append(line)
            fresh = True
        elif line.startswith("condition "):
            out.append(line)
        elif line:
            if fresh:
                out.append("  relations")
                fresh = False
            out.append(f"    define {line}")
    return "\n".join(out) + "\n"


def _chain(length: int) -> str:
    """ann in the first group, each group in the next, the last on the doc."""
    nested = "\n".join(f"group:{number}#member member group:{number + 1}" for number in range(1, length))
    return f"user:ann member group:1\n{nested}\ngroup:{length}#member viewer doc:1"


def _mesh(size: int) -> str:
    """Every group a member of every other: the simple paths through it are beyond counting."""
    return "\n".join(f"group:{one}#member member group:{other}" for one in range(size) for other in range(size) if one != other)


def _read(path: Path) -> list[Scenario]:
    items = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [Scenario(item["name"], tuple(Stage(**stage) for stage in item["stages"])) for item in items]


GENERATED = (
    Scenario(
        "mutually_nested_groups_do_not_make_paths_to_count",
        (
            Stage(
                """
        type user
        type group
        member: [user, group#member]
        """,
                _mesh(24) + "\nuser:ann member group:23",
                allowed="""
        user:ann member group:0
        user:ann member group:11
        """,
                denied="""
        user:bob member group:0
        user:bob member group:23
        """,
            ),
        ),
    ),
    Scenario(
        "mutually_nested_groups_under_an_exclusion_and_an_intersection",
        (
            Stage(
                """
        type user
        type group
        member: [user, group#member]
        barred: [user, group#barred]
        good: [group#good, group#member] and cleared
        cleared: [user, user:*]
        active: member but not barred
        """,
                _mesh(12)
                + """
        user:ann member group:3
        group:4#barred barred group:5
        group:5#barred barred group:4
        user:bob member group:3
        user:bob barred group:5
        group:0#member good group:1
        group:1#good good group:2
        group:2#good good group:1
        user:* cleared group:1
        user:ann cleared group:2
        """,
                allowed="""
        user:ann active group:0
        user:ann active group:4
        user:bob active group:0
        user:ann good group:1
        user:ann good group:2
        user:bob good group:1
        """,
                denied="""
        user:bob active group:4
        user:bob active group:5
        user:bob good group:2
        user:eve active group:0
        user:eve good group:1
        """,
            ),
        ),
    ),
    Scenario(
        "there_is_no_depth_limit",
        (
            Stage(
                """
        type user
        type group
        member: [user, group#member]
        type doc
        viewer: [group#member]
        """,
                _chain(300),
                allowed="""
        user:ann viewer doc:1
        user:ann member group:300
        group:7#member viewer doc:1
        """,
                denied="""
        user:bob viewer doc:1
        group:301#member viewer doc:1
        """,
            ),
        ),
    ),
    Scenario(
        "parents_have_no_depth_limit_either",
        (
            Stage(
                """
        type user
        type folder
        parent: [folder]
        viewer: [user] or viewer from parent
        """,
                "user:ann viewer folder:0\n" + "\n".join(f"folder:{number} parent folder:{number + 1}" for number in range(300)),
                allowed="user:ann viewer folder:300",
                denied="user:bob viewer folder:300",
            ),
        ),
    ),
)

SCENARIOS = (*(scenario for path in sorted(FOLDER.glob("*.yaml")) for scenario in _read(path)), *GENERATED)
