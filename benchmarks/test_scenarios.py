"""Every scenario of the registry, in every way that it can be asked. Its answers are compared before anything is timed; no time is asserted.

`single` is one check after the other; `strings` is check_objects with 500 texts; `triples` is batch_check; `ids` is check_ids, the ids found
beforehand; `loop` plays a whole loop with its writes; `cold` is batches of subjects never asked before.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest

import fgacore
from benchmarks.scenarios import REGISTRY, Entry, Scenario, load, one_by_one, play, verify

pytestmark = pytest.mark.benchmark(disable_gc=True)

Loaded = tuple[Entry, Scenario, fgacore.Engine]


@pytest.fixture(scope="module")
def loaded(request: pytest.FixtureRequest) -> Iterator[Loaded]:
    """The scenario and a verified engine. Cold questions are verified on an engine of their own, so that they are still cold here."""
    entry: Entry = request.param
    scenario = entry.build()
    engine = load(scenario)
    verify(scenario, engine)
    if scenario.cold:
        verify(scenario, load(scenario), cold=True)
    yield entry, scenario, engine
    engine.close()
    gc.collect()


CASES = [pytest.param(entry, way, id=f"{entry.name}-{way}") for entry in REGISTRY for way in entry.ways]


@pytest.mark.parametrize(("loaded", "way"), CASES, indirect=["loaded"], scope="module")
def test_scenario(loaded: Loaded, way: str, benchmark: Any, measure: Any) -> None:
    entry, scenario, engine = loaded
    benchmark.group = "scenarios"
    benchmark.extra_info.update(row=entry.name, column=way, x=REGISTRY.index(entry), tuples=len(scenario.stored))
    questions, listed, given = scenario.questions, scenario.listed, scenario.given

    if way == "single":
        run = one_by_one(engine, scenario.context)
        measure(lambda: run(questions), len(questions))
    elif way == "triples":
        measure(lambda: engine.batch_check(questions, **given), len(questions))
    elif way == "loop":
        measure(lambda: play(engine, scenario.loop), sum(len(step.questions) for step in scenario.loop))
    elif way == "cold":
        lots = iter(scenario.cold)
        size = len(scenario.cold[0].questions)
        measure(engine.batch_check, size, rounds=len(scenario.cold), setup=lambda: ((next(lots).questions,), {}))
    else:
        assert listed is not None
        subject, relation, objects = listed.subject, listed.relation, listed.objects
        if way == "strings":
            measure(lambda: engine.check_objects(subject, relation, objects, **given), len(objects))
        else:
            subject_type, _, name = subject.partition(":")
            object_type = objects[0].partition(":")[0]
            id = int(engine.ids(subject_type, [name])[0])
            ids = engine.ids(object_type, [object.partition(":")[2] for object in objects])
            measure(lambda: engine.check_ids(id, relation, ids, subject_type=subject_type, object_type=object_type, **given), len(objects))
