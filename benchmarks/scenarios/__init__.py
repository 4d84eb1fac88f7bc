"""The registry of scenarios: every one that `make bench` times, the headline first. Sizes are those of the tables in docs/performance.md."""

from __future__ import annotations

from functools import partial

from .grants import KINDS, grants
from .helpdesk import helpdesk_loop, writes_between
from .operators import exclusion, intersection, wide_union, wildcards
from .organisations import gdrive, github
from .scenario import Entry, ObjectList, Scenario, Step, Triple, WrongAnswer, compare, fresh, load, lots, one_by_one, play, verify
from .shapes import AGENT, SHAPES, VIEWER, direct, folders, groups

__all__ = [
    "AGENT",
    "KINDS",
    "REGISTRY",
    "SHAPES",
    "VIEWER",
    "Entry",
    "ObjectList",
    "Scenario",
    "Step",
    "Triple",
    "WrongAnswer",
    "compare",
    "fresh",
    "grants",
    "load",
    "lots",
    "one_by_one",
    "play",
    "verify",
]

EVERY_WAY = ("single", "strings", "triples", "ids")

REGISTRY: tuple[Entry, ...] = (
    Entry(
        "helpdesk_loop",
        "an agent at work: 500 mixed decisions a step, 1 % of steps followed by a write about the agent",
        helpdesk_loop,
        ("loop", *EVERY_WAY),
    ),
    Entry("direct", "five viewers a document, granted one by one", direct, EVERY_WAY),
    Entry("groups", "groups nested five deep", groups, EVERY_WAY),
    Entry("folders", "folders nested ten deep", folders, EVERY_WAY),
    *(Entry(f"github_{count}", f"GitHub-like, N = {count}", partial(github, count), EVERY_WAY) for count in (50, 500, 5000)),
    *(Entry(f"gdrive_fixed_{count}", f"Drive-like, N = {count}", partial(gdrive, count), EVERY_WAY) for count in (50, 500, 5000)),
    *(
        Entry(
            f"gdrive_as_is_{count}",
            f"Drive-like as published, no view grant counts, N = {count}",
            partial(gdrive, count, names_fixed=False),
            EVERY_WAY,
        )
        for count in (50, 500, 5000)
    ),
    *(Entry(f"wide_union_{width}", f"a union of {width} relations", partial(wide_union, width), EVERY_WAY) for width in (1, 4, 16, 64)),
    Entry("intersection", "shown and cleared", intersection, EVERY_WAY),
    Entry("exclusion", "shown but not blocked", exclusion, EVERY_WAY),
    Entry("wildcards", "public documents with exceptions, and strangers who ask", wildcards, EVERY_WAY),
    *(
        Entry(f"grants_{kind}", f"grants {KINDS[kind].about}", partial(grants, kind), EVERY_WAY)
        for kind in ("plain", "below", "until", "network", "pattern", "expires")
    ),
    Entry("cold_subjects", "groups five deep, each subject asked once", partial(groups, cold_batches=20), ("cold",)),
    Entry("writes_between", "the helpdesk, a write after every 100 decisions", writes_between, ("loop",)),
)
