"""Lists are held to right answers before they are timed, a wrong one stops the run, and the script runs small."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from benchmarks.scenarios import AGENT, SHAPES, VIEWER, Scenario, WrongAnswer, load

import fgacore
from benchmarks import lists, report
from fgacore.language import parse
from oracle import Oracle


def small(shape: str) -> Scenario:
    return SHAPES[shape](2_000, batch_count=60)


@pytest.mark.parametrize("shape", SHAPES)
def test_lists_by_hand_are_those_of_the_oracle(shape: str) -> None:
    scenario = small(shape)
    hand = lists.HandLists(scenario)
    oracle = Oracle(parse(scenario.model), scenario.tuples)
    docs = {object for _, _, object in scenario.tuples if object.startswith("doc:")}
    for subject in (AGENT, "user:1", "user:nobody"):
        wanted = {object for relation, object in oracle.atoms(subject) if relation == VIEWER and object in docs}
        numbers = hand.list_objects(subject)
        assert {hand.names[number] for number in numbers} == wanted
        assert numbers.dtype == "uint32"
        assert sorted(numbers) == list(numbers)
    assert len(hand.list_objects(AGENT)) > 0


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_is_measured_beside_lists_by_hand(shape: str) -> None:
    groups = lists.measure_hand(small(shape), rounds=1)
    (row,) = groups["by hand, pyroaring"].values()
    assert row["must"] == ("<= 2 x" if shape == "direct" else "<= 1 x")
    assert len(groups["engines"]) == (2 if shape == "folders" else 0)
    assert all(row["x"] == pytest.approx(row["beside"] / row["us"]) for row in groups["engines"].values())


@pytest.mark.parametrize("way", lists.WAYS)
def test_everything_is_reached_by_one_way_alone(way: str) -> None:
    engine, names = lists.open_everything(way, 2_000)
    assert engine.check_objects(AGENT, VIEWER, names) == [True] * 2_000
    first = next(iter(engine.read(subject=AGENT)))
    engine.write(deletes=[first])
    left = engine.check_objects(AGENT, VIEWER, names)
    assert left == ([name != first.object for name in names] if way == "direct" else [False] * 2_000)


def test_few_among_many_are_held_to_checks() -> None:
    engine, mine = lists.open_many(600, few=20)
    docs = [f"doc:{number}" for number in range(600)]
    for way, (subject, relation) in lists.FEW_WAYS.items():
        answers = engine.check_objects(subject, relation, docs)
        assert [doc for doc, answer in zip(docs, answers, strict=True) if answer] == mine[way]
    assert [len(names) for names in mine.values()] == [20, 20, 20, 10]


def test_the_reach_is_held_to_checks() -> None:
    engine, right = lists.open_reach(2_000, 2_600)
    assert len(right) == lists.TYPES * lists.RELATIONS
    assert sum(map(len, right.values())) > 2_000
    for (kind, relation), names in list(right.items())[:30]:
        docs = [f"{kind}:{number}" for number in range(100)]
        answers = engine.check_objects(AGENT, relation, docs)
        assert [doc for doc, answer in zip(docs, answers, strict=True) if answer] == names


def test_every_part_is_measured() -> None:
    everything = lists.measure_all(2_000, rounds=1)
    assert [row["must"] for row in everything["everything, as ids"].values() if "must" in row] == ["<= 4 x", "<= 12 x", "<= 12 x"]
    assert [row["must"] for row in everything["everything, as names"].values()] == ["<= 3 x"] * 3
    assert len(everything["everything, as ids"]) == 6
    assert {row["must"] for row in lists.measure_few(3_000, 300, few=10, rounds=1).values()} == {"<= 3 x"}
    filters = lists.measure_filters(2_000, candidate_count=60, rounds=1)
    assert [row["must"] for row in filters.values()] == ["<= 1.2 x", "<= 3 ns an item"] * 3 + ["<= 0.65 x", "<= 1 x"]
    (reach,) = lists.measure_reach(2_000, 2_600, rounds=1).values()
    assert reach["must"] == "<= 1 x and <= 50 ms"


class Generous:
    """A peer that allows everything."""

    def __init__(self, scenario: Scenario) -> None:
        pass

    def check(self, subject: str, relation: str, object: str) -> bool:
        return True

    def check_objects(self, subject: str, relation: str, objects: list[str]) -> list[bool]:
        return [True] * len(objects)


def test_a_peer_that_lists_too_much_is_not_timed() -> None:
    with pytest.raises(WrongAnswer, match=r"generous: .* 0 missing, .* too many"):
        lists.measure_named(small("direct"), {"generous": Generous})


def test_lists_that_lack_one_are_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = small("groups")
    with load(scenario) as engine:
        lacking = engine.list_objects(AGENT, VIEWER, "doc")
        lacking -= engine.list_objects(AGENT, VIEWER, "doc", contextual_tuples=[]) & _first_of(engine)
        monkeypatch.setattr(fgacore.Engine, "list_objects", lambda *arguments, **more: lacking)
        with pytest.raises(WrongAnswer, match="1 missing"):
            lists.measure_hand(scenario, rounds=1)


def _first_of(engine: fgacore.Engine) -> fgacore.ObjectSet:
    """A set of the agent's first document alone."""
    found = engine.list_objects(AGENT, VIEWER, "doc")
    only = engine.list_objects(f"{found.to_list()[0]}#{VIEWER}", VIEWER, "doc")
    assert len(only) == 1
    return only


@pytest.mark.parametrize(
    ("must", "text", "held", "missed"),
    [
        (lists.Must("x", 4), "<= 4 x", (40, 10), (41, 10)),
        (lists.Must("ms", 50), "<= 50 ms", (50e6, 1), (51e6, 1)),
        (lists.Must("ns", 3), "<= 3 ns an item", (30, 10), (31, 10)),
        (lists.Must("peer", 250), ">= 250 x", (10, 2_500), (10, 2_499)),
    ],
)
def test_a_must_is_held_up_to_its_bound(must: lists.Must, text: str, held: tuple[float, float], missed: tuple[float, float]) -> None:
    for times, right in ((held, True), (missed, False)):
        row = lists.make_row(*times, must, items=10, peer=must.figure == "peer")
        assert row["must"] == text
        assert row["holds"] is right
    both = lists.make_row(60e6, 60e6, lists.Must("x", 1), lists.Must("ms", 50))
    assert (both["must"], both["holds"]) == ("<= 1 x and <= 50 ms", False)


def test_the_script_prints_and_writes_facts_rows_and_musts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = tmp_path / "lists.json"
    lists.main(["--objects", "2000", "--many", "4000", "--tuples", "2000", "--rounds", "1", "--json", str(found)])
    record: dict[str, Any] = json.loads(found.read_text())
    assert {"machine", "commit", "versions"} <= record.keys()
    assert record["lists"].keys() == lists.GROUPS.keys()
    assert all(rows for rows in record["lists"].values())
    printed = capsys.readouterr().out
    for text in ("2,000, direct", "<= 12 x, ", "flatnonzero us", "after a list, folders", "pairs", record["versions"]["python"]):
        assert text in printed
    page = tmp_path / "page.md"
    page.write_text("<!-- measured: lists -->\nfrom before\n<!-- end -->\n")
    report.main(["--results", str(tmp_path), "--docs", str(page)])
    assert "| 2,000, direct |" in page.read_text()
    assert "flatnonzero, us" in page.read_text()
    assert "from before" not in page.read_text()
