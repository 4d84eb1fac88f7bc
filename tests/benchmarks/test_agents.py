"""Sessions in the benchmarks: the answers of the data are right, a wrong one stops the run, and the script runs on tiny sizes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from benchmarks.scenarios import WrongAnswer
from benchmarks.scenarios.lent import LENT, Lent

import fgacore
from benchmarks import agents, report
from fgacore.language import parse
from oracle import Oracle


def small(name: str) -> Lent:
    return LENT[name](1_500 if name != "helpdesk" else 8_000, 40)


@pytest.fixture
def desk() -> Lent:
    return small("helpdesk")


def admitted(scope: list[str], relation: str, object: str) -> bool:
    """A scope without `where`, read by hand: some entry matches, and no exception does."""

    def matches(entry: str) -> bool:
        named, at = entry.split()
        return named == relation and at in (object, object.partition(":")[0] + ":*")

    return any(matches(entry) for entry in scope if not entry.startswith("not ")) and not any(
        matches(entry.removeprefix("not ")) for entry in scope if entry.startswith("not ")
    )


@pytest.mark.parametrize("name", LENT)
def test_the_oracle_and_the_scope_give_the_answers(name: str) -> None:
    lent = small(name)
    oracle = Oracle(parse(lent.model), lent.tuples)
    asked = [*zip(lent.pairs, lent.held, lent.answers, strict=True)]
    asked += [((lent.relation, object), held, right) for object, held, right in zip(lent.objects, lent.object_held, lent.object_answers, strict=True)]
    for (relation, object), held, right in asked:
        found = tuple(oracle.check(subject, relation, object) for subject in (lent.root, lent.agent))
        assert found == held
        assert right is (all(found) and admitted(lent.scope, relation, object))
    assert {right for _, _, right in asked} == {True, False}
    assert any(all(held) and not right for _, held, right in asked), "nothing hangs on the exception"
    assert len(lent.scope) == 3


@pytest.mark.parametrize("name", LENT)
def test_sessions_of_a_store_on_disk_give_the_answers_with_a_log_and_without(name: str) -> None:
    lent = small(name)
    with agents.stored(lent) as directory, fgacore.open(directory) as engine, fgacore.open(directory, decision_log="off") as mute:
        for each in (engine, mute):
            agents.verify(each, agents.session_of(each, lent), lent)


def test_a_session_that_answers_otherwise_is_not_timed(desk: Lent) -> None:
    with agents.stored(desk) as directory, fgacore.open(directory) as engine:
        with pytest.raises(WrongAnswer):
            agents.verify(engine, agents.session_of(engine, desk, desk.scope[:2]), desk)  # without the exception
        with pytest.raises(WrongAnswer):
            agents.verify(engine, agents.session_of(engine, desk), replace(desk, held=[(not root, agent) for root, agent in desk.held]))


def test_an_answer_that_changes_while_it_is_timed_is_seen() -> None:
    answers = iter([[True, False], [True, False], [True, True], [False, False]])
    kept = agents.Kept(lambda _: next(answers), [True, False], "a run")
    with pytest.raises(WrongAnswer, match="1 of 2 answers"):
        agents.timed_in_turn([(kept, None)], rounds=2, unit=2)


def test_sessions_are_measured_beside_the_checks_they_take(desk: Lent) -> None:
    rows = agents.measure_sessions(desk, rounds=1)
    assert {name: row["must"] for name, row in rows.items() if "must" in row} == {
        "helpdesk: a check": "<= 1.5",
        "helpdesk: a check, all allowed": "<= 1.5",
        "helpdesk: batch of 40 objects": "<= 1.3",
        "helpdesk: batch of 40 objects, the log alone": "<= 0.15",
        "helpdesk: batch of 40 objects, all allowed": "<= 1.3",
        "helpdesk: batch of 40 objects, all allowed, the log alone": "<= 0.15",
        "helpdesk: batch of 40 pairs": "<= 1.3",
        "helpdesk: batch of 40 pairs, the log alone": "<= 0.15",
    }
    assert len(rows) == 12


def test_sessions_are_made_in_each_way(desk: Lent) -> None:
    rows = agents.measure_made(desk, rounds=1, session_count=3)
    assert [row.get("must") for row in rows.values()] == ["<= 20", "<= 20", "<= 20", None]
    assert all(row["value"] > 0 for row in rows.values())


def test_what_was_logged_is_verified_and_replayed_before_it_counts(desk: Lent) -> None:
    rows = agents.measure_replay(desk, batch_count=40)
    assert {name: row.get("must") for name, row in rows.items()} == {
        "verify, batches": None,
        "replay, batches": ">= 200,000",
        "verify, single decisions": None,
        "replay, single decisions": None,
    }
    assert rows["replay, batches"]["told"] == f"{40 * 40 + 3 * 40:,} decisions"


def test_a_suspension_is_a_denial_in_another_process(desk: Lent) -> None:
    rows = agents.measure_stops(desk, times=2)
    assert list(rows) == ["a suspension: until another process denies", "a tuple deleted: until another process denies"]


@pytest.mark.parametrize(
    ("must", "held", "missed"), [(agents.MADE, 20, 20.1), (agents.CHECKED, 1.5, 1.51), (agents.BATCHED, 1.3, 1.31), (agents.LOGGED, 0.15, 0.16)]
)
def test_bars_are_those_of_the_project_and_held_up_to_their_bound(must: agents.Must, held: float, missed: float) -> None:
    assert agents.make_row(held, "", must=must)["holds"] is True
    assert agents.make_row(missed, "", must=must)["holds"] is False


def test_a_replay_is_as_fast_as_it_must_be_or_it_is_not() -> None:
    assert agents.make_row(200_000, "", must=agents.REPLAY)["holds"] is True
    assert agents.make_row(199_999, "", must=agents.REPLAY)["holds"] is False


def test_the_script_prints_and_writes_facts_rows_and_musts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = tmp_path / "agents.json"
    chosen: dict[str, Callable[..., Lent]] = {name: LENT[name] for name in ("helpdesk", "groups")}
    monkeypatch.setattr(agents, "LENT", chosen)
    few = ["--batch", "20", "--rounds", "1", "--replayed", "20", "--stops", "1"]
    agents.main(["--tuples", "8000", *few, "--json", str(found)])
    record: dict[str, Any] = json.loads(found.read_text())
    assert {"machine", "commit", "versions"} <= record.keys()
    rows = record["agents"]
    assert {name.partition(":")[0] for name in rows} >= {"helpdesk", "groups", "a suspension"}
    printed = capsys.readouterr().out
    assert all(name in printed for name in rows)
    assert "must <= 1.5: " in printed

    page = tmp_path / "page.md"
    page.write_text("<!-- measured: agents -->\nfrom before\n<!-- end -->\n")
    report.main(["--results", str(tmp_path), "--docs", str(page)])
    assert "| a session made, by no record | " in page.read_text()
    assert "from before" not in page.read_text()
