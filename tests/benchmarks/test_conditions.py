"""Grants with conditions and expiry, and what questions bring along: the answers are right, a wrong one stops the run, and the script runs small."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from benchmarks.peers import named_until
from benchmarks.scenarios import AGENT, KINDS, Scenario, WrongAnswer, grants, load, verify
from benchmarks.scenarios.grants import LATER

from benchmarks import conditions, report
from fgacore.language import parse
from fgacore.tuples import Tuple
from oracle import Oracle, Stored

FAIL_SOME = {"below_own", "until", "network", "pattern"}  # whose contexts differ, so that half of the answers are no


def small(kind: str) -> Scenario:
    return grants(kind, 300, batch_count=30)


def microseconds(time: datetime | None) -> int | None:
    return None if time is None else int(time.timestamp()) * 1_000_000


def as_stored(each: Tuple) -> Stored:
    return Stored(each.subject, each.relation, each.object, each.condition, each.context, microseconds(each.expires_at))


def oracle_of(scenario: Scenario) -> Oracle:
    return Oracle(parse(scenario.model), [*scenario.tuples, *map(as_stored, scenario.grants)])


@pytest.mark.parametrize("kind", KINDS)
def test_the_oracle_gives_the_answers_of_grants(kind: str) -> None:
    scenario = small(kind)
    oracle = oracle_of(scenario)
    assert scenario.listed is not None
    asked = [*zip(scenario.questions[:60], scenario.answers, strict=False), *zip(scenario.listed.triples(), scenario.listed.answers, strict=True)]
    assert [(question, answer) for question, answer in asked if oracle.check(*question, scenario.context) is not answer] == []
    assert {answer for _, answer in asked} == ({True, False} if kind in FAIL_SOME else {True})


@pytest.mark.parametrize("kind", KINDS)
def test_the_engine_gives_the_answers_of_grants_by_every_path(kind: str) -> None:
    scenario = small(kind)
    with load(scenario) as engine:
        verify(scenario, engine)
        assert engine.stats().tuples == len(scenario.stored)


def test_every_kind_grants_the_same_and_no_context_comes_twice() -> None:
    plain = small("plain").tuples
    for kind in KINDS:
        scenario = small(kind)
        assert scenario.tuples + [(each.subject, each.relation, each.object) for each in scenario.grants] == plain
        if kind in FAIL_SOME:
            assert len({json.dumps(each.context) for each in scenario.grants}) == len(scenario.grants)
    assert small("below").questions == small("plain").questions


@pytest.mark.parametrize(("kind", "context"), [("below", {"x": 100}), ("until", {"current_time": "2026-03-02T12:00:00Z"})])
def test_grants_asked_in_another_context_are_seen_to_be_wrong(kind: str, context: dict[str, Any]) -> None:
    scenario = small(kind)
    with load(scenario) as engine, pytest.raises(WrongAnswer, match="is False, should be True"):
        verify(replace(scenario, context=context), engine)


def test_grants_expire_by_a_clock() -> None:
    scenario = small("expires")
    clock = conditions.Clock(LATER)
    with load(scenario, clock) as engine:  # the first one's instant
        with pytest.raises(WrongAnswer):
            verify(replace(scenario, questions=[(each.subject, each.relation, each.object) for each in scenario.grants[:1]], answers=[True]), engine)
        assert engine.stats().tuples == len(scenario.grants) - 1


@pytest.mark.parametrize("sort", ["known", "new", "conditioned"])
def test_the_oracle_gives_the_answers_with_contextual_tuples_and_without(sort: str) -> None:
    scenario = small("open")
    brought = conditions.bring(scenario, sort, 20)
    oracle = oracle_of(scenario)
    along = list(map(as_stored, brought.tuples))
    assert [oracle.check(*question, contextual_tuples=along) for question in brought.questions] == brought.answers
    assert [oracle.check(*question) for question in brought.questions] == brought.without
    assert brought.answers.count(True) > brought.without.count(True) > 0
    assert False in brought.answers
    assert len({(each.subject, each.object) for each in brought.tuples}) == 20


@pytest.mark.parametrize("kind", ["below", "until"])
def test_the_oracle_gives_the_answers_to_questions_with_contexts_of_their_own(kind: str) -> None:
    scenario = small(kind)
    oracle = oracle_of(scenario)
    own, answers = conditions._with_own_contexts(kind, scenario)
    assert [oracle.check(each.subject, each.relation, each.object, each.context) for each in own] == answers
    assert set(answers) == {True, False}
    assert len({json.dumps(each.context) for each in own}) == len(own)


def test_conditions_are_measured_beside_the_same_without() -> None:
    rows = conditions.measure_conditions(300, rounds=1, batch_count=30)
    assert sum(row.startswith("x < 100:") for row in rows) == 6
    assert all(row["ns"] > 0 and row["x"] == pytest.approx(row["ns"] / row["beside"]) for row in rows.values())
    assert rows["x < 100: single"]["must"] == "<= 5 x"
    assert rows["until grant_time + grant_duration: batch of 30 texts"]["must"] == "<= 400 ns"
    assert rows["address.in_cidr(network): batch of 30 triples"]["must"] == "<= 600 ns"


def test_contextual_tuples_are_measured_by_the_call() -> None:
    rows = conditions.measure_contextual(300, rounds=1, counts=(20, 40), batch_count=30)
    assert [name for name, row in rows.items() if "must" in row] == [name for name in rows if name.startswith("20 ")]
    assert len(rows) == 12


def test_the_passing_of_instants_is_seen_and_measured() -> None:
    rows = conditions.measure_expiry(300, rounds=5, batch_count=30)
    assert len(rows) == 5
    assert rows["the first check after a tuple expired"]["ns"] > 0


def test_conditioned_writes_are_there_and_measured() -> None:
    rows = conditions.measure_writes(300, write_count=3, loads=1)
    assert len(rows) == 8
    assert all(row["x"] > 0 for row in rows.values())


class Timeless:
    """A peer that never lets a grant end."""

    def __init__(self, scenario: Scenario) -> None:
        pass

    def check(self, subject: str, relation: str, object: str) -> bool:
        return True

    def check_objects(self, subject: str, relation: str, objects: list[str]) -> list[bool]:
        return [True] * len(objects)


def test_a_peer_that_knows_no_time_is_not_timed() -> None:
    with pytest.raises(WrongAnswer, match=f"timeless: {AGENT} viewer doc:.* is True, should be False"):
        conditions.measure_named(small("until"), {"timeless": Timeless})


def test_named_engines_that_know_times_answer_rightly() -> None:
    rows = conditions.measure_named(small("until"), named_until(), seconds=0.01)
    assert list(rows) == [f"{name}: {way}" for name in named_until() for way in ("single", "batch of 30 texts")]
    assert all(row["x"] == pytest.approx(row["beside"] / row["ns"]) for row in rows.values())


@pytest.mark.parametrize(
    ("must", "text", "held", "missed"),
    [
        (conditions.Must("x", 5), "<= 5 x", (50, 10), (51, 10)),
        (conditions.Must("ns", 400), "<= 400 ns", (400, 10), (401, 10)),
        (conditions.Must("more_us", 15), "<= 15 us more", (15_010, 10), (15_020, 10)),
        (conditions.Must("peer", 50), ">= 50 x", (10, 500), (10, 499)),
    ],
)
def test_a_must_is_held_up_to_its_bound(must: conditions.Must, text: str, held: tuple[float, float], missed: tuple[float, float]) -> None:
    for times, right in ((held, True), (missed, False)):
        row = conditions.make_row(*times, must, peer=must.figure == "peer")
        assert row["must"] == text
        assert row["holds"] is right


def test_the_script_prints_and_writes_facts_rows_and_musts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = tmp_path / "conditions.json"
    conditions.main(["--tuples", "2000", "--rounds", "1", "--named", "--json", str(found)])
    record = json.loads(found.read_text())
    assert {"machine", "commit", "versions"} <= record.keys()
    assert record["conditions"].keys() == conditions.GROUPS.keys()
    printed = capsys.readouterr().out
    for text in ("x < 100: single", "<= 5 x, ", "20 of names nobody has seen: a check", "us more", record["versions"]["python"]):
        assert text in printed
    page = tmp_path / "page.md"
    page.write_text("<!-- measured: conditions -->\nfrom before\n<!-- end -->\n")
    report.main(["--results", str(tmp_path), "--docs", str(page)])
    assert "| single |" in page.read_text()
    assert "from before" not in page.read_text()
