"""The large organisation answers by its rule what an engine and the oracle answer from its tuples, and the script runs small."""

from __future__ import annotations

import csv
import json
import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.scenarios import VIEWER, WrongAnswer
from benchmarks.scenarios.large import MODEL, Large, Questions, texts, to_csv, to_triples

import fgacore
from benchmarks import report, scale
from fgacore.language import parse
from oracle import Oracle

SIZES = (1_000, 2_003, 30_000)


def all_of(large: Large, size: int = 300) -> list[tuple[str, str, str]]:
    return [triple for columns in large.columns(size) for triple in to_triples(columns)]


def stored(large: Large) -> fgacore.Engine:
    engine = fgacore.open(":memory:")
    engine.write_model(MODEL)
    engine.write(all_of(large))
    return engine


@pytest.mark.parametrize("tuple_count", SIZES)
def test_the_organisation_has_as_many_tuples_and_names_as_asked(tuple_count: int) -> None:
    large = Large(tuple_count)
    triples = all_of(large)
    assert len(triples) == len(set(triples)) == tuple_count
    names = {name.partition("#")[0] for subject, _, object in triples for name in (subject, object)}
    assert large.name_count - 10 <= len(names) <= large.name_count == tuple_count * 30 // 100
    assert all(13 <= len(name) <= 17 for name in names)
    assert all_of(large, size=10_000) == triples


def test_an_organisation_is_no_smaller_than_its_parts() -> None:
    with pytest.raises(ValueError, match="a thousand"):
        Large(100)


def test_the_rule_is_the_oracle() -> None:
    large = Large(1_000)
    oracle = Oracle(parse(MODEL), all_of(large))
    for user in range(0, large.users, 7):
        seen = {object for relation, object in oracle.atoms(texts("user", user)) if relation == VIEWER}
        right = {texts("document", document) for document in range(large.documents) if large.holds(user, document)}
        assert {object for object in seen if object.startswith("document:")} == right


def test_the_rule_is_what_an_engine_answers() -> None:
    large = Large(30_000)
    with stored(large) as engine:
        questions = Questions(large, seed=1)
        asked, answers = questions.singles(300)
        assert list(engine.batch_check(asked)) == answers
        batch = questions.batch(200)
        assert engine.check_objects(batch.subject, VIEWER, batch.objects) == batch.answers
        users, documents = np.random.default_rng(2).integers((large.users, large.documents), size=(500, 2)).T
        for user, document in zip(users.tolist(), documents.tolist(), strict=True):
            assert engine.check(texts("user", user), VIEWER, texts("document", document)) is large.holds(user, document)


def test_no_name_is_asked_for_twice() -> None:
    questions = Questions(Large(30_000), seed=3)
    asked = questions.singles(100)[0] + questions.singles(100)[0]
    batches = [questions.batch(50) for _ in range(10)]
    subjects = [subject for subject, _, _ in asked] + [batch.subject for batch in batches]
    objects = [object for _, _, object in asked] + [object for batch in batches for object in batch.objects]
    assert len(subjects) == len(set(subjects)) == 210
    assert len(objects) == len(set(objects)) == 700


def test_questions_that_all_have_one_answer_are_not_asked() -> None:
    large = Large(30_000)
    large.holds = lambda user, document: True  # type: ignore[method-assign]
    with pytest.raises(WrongAnswer, match="100 of 100"):
        Questions(large, seed=4).singles(100)


def test_lines_are_the_triples(tmp_path: Path) -> None:
    large = Large(2_000)
    scale.write_csv(tmp_path / "tuples.csv", large)
    with (tmp_path / "tuples.csv").open(encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["subject", "relation", "object"]
    assert [tuple(row) for row in rows] == all_of(large)
    assert to_csv(next(large.columns(10))).count("\n") == 10


def test_making_triples_is_no_part_of_their_import() -> None:
    ready = scale.Ready(Large(30_000))
    assert list(ready) == all_of(ready.large)
    assert ready.seconds > 0


@pytest.mark.parametrize("tuple_count", [400, 700, 1_100])
def test_the_prefix_of_a_log_is_told_from_more_and_less(tuple_count: int) -> None:
    large = Large(2_000)
    with fgacore.open(":memory:") as engine:
        engine.write_model(MODEL)
        engine.write(all_of(large)[:tuple_count])
        scale.hold_prefix(engine, large, tuple_count)
        with pytest.raises(WrongAnswer, match="should be"):
            scale.hold_prefix(engine, large, tuple_count + 1)
        gone = [each for each in all_of(large)[:tuple_count] if each[2].startswith("document:")]
        if len(gone) > 5:
            engine.write(deletes=gone, writes=[("user:x", "member", f"group:{number}") for number in range(len(gone))])
            with pytest.raises(WrongAnswer, match="the state of then"):
                scale.hold_prefix(engine, large, tuple_count)


def test_a_store_that_lacks_a_tuple_or_answers_otherwise_is_not_timed() -> None:
    large = Large(2_000)
    with stored(large) as engine:
        scale.verify(engine, large, seed=5)
        engine.write(deletes=all_of(large)[:1])
        with pytest.raises(WrongAnswer, match="1,999 tuples"):
            scale.verify(engine, large, seed=5)
        memberships = [each for each in all_of(large) if each[1] == "member"][1:]
        engine.write([(f"user:other-{number}", "member", "group:other") for number in range(len(memberships) + 1)], deletes=memberships)
        with pytest.raises(WrongAnswer, match="answers are wrong"):
            scale.verify(engine, large, seed=5)


def wrongly(engine: fgacore.Engine, subject: str, relation: str, objects: Sequence[str]) -> list[bool]:
    return [True] * len(objects)


def test_a_batch_beside_writes_that_is_answered_wrongly_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    large = Large(2_000)
    lists = [Questions(large, seed=6).batch(20)]
    with stored(large) as engine:
        assert len(scale.ask_lists(engine, lists, 0.0, 0.0)) == 1
        monkeypatch.setattr(fgacore.Engine, "check_objects", wrongly)
        with pytest.raises(WrongAnswer, match="beside writes"):
            scale.ask_lists(engine, lists, 0.0, 0.0)


def test_batches_are_asked_as_often_as_they_should_be() -> None:
    large = Large(2_000)
    lists = [Questions(large, seed=6).batch(20)]
    with stored(large) as engine:
        assert 1 <= len(scale.ask_lists(engine, lists, 0.05, 0.01)) <= 6


@pytest.mark.parametrize(
    ("must", "value", "text", "holds", "reached"),
    [
        (scale.Must(40, 25), 25, "<= 40", True, True),
        (scale.Must(40, 25), 40, "<= 40", True, False),
        (scale.Must(40, 25), 40.1, "<= 40", False, False),
        (scale.Must(1e6, least=True), 1e6, ">= 1,000,000", True, None),
        (scale.Must(1e6, least=True), 999_999, ">= 1,000,000", False, None),
        (scale.Must(1.3), 1.31, "<= 1.3", False, None),
    ],
)
def test_a_must_is_held_up_to_its_bound(must: scale.Must, value: float, text: str, holds: bool, reached: bool | None) -> None:
    row = scale.make_row(value, "bytes", must=must)
    assert (row["must"], row["holds"], row.get("reached")) == (text, holds, reached)


def test_memory_is_of_this_process() -> None:
    before = scale.memory()
    with mmap.mmap(-1, 16 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as held:  # new pages, whatever the allocator has left over
        held.write(b"x" * (16 << 20))
        after = scale.memory()
    assert after.own - before.own > 12 << 20
    assert after.all >= after.own


def test_a_store_without_a_snapshot_in_memory_is_not_measured() -> None:
    with pytest.raises(RuntimeError, match="no snapshot is mapped"):
        scale.apart(scale.touch_snapshots)  # this process may still have one of another test


ROWS = {  # and their musts
    "import, an iterable of triples": ">= 1,000,000",
    "import, CSV": ">= 1,500,000",
    "import, triples in lots of 200": None,
    "memory": "<= 40",
    "memory, the process that imported": None,
    "snapshot written": None,
    "open": "<= 20",
    "a second process": "<= 10",
    "cold check": "<= 3",
    "cold batch of 500, one user": "<= 250",
    "cold batch of 500, many users": None,
    "replay, an import in one piece": ">= 500,000",
    "replay, records of 200": ">= 500,000",
    "at(revision), records of 200": ">= 500,000",
    "replay, single writes": None,
    "at(revision), single writes": None,
    "one durable write": "<= 1.3",
    "1,000 tuples in one durable write": "<= 2",
    "batches of 500 beside documents, one every ms: p99": "<= 3",
    "batches of 500 beside documents, back to back: p99": "<= 3",
    "batches of 500 beside grants, one every ms: p99": "<= 3",
    "batches of 500 beside grants, back to back: p99": "<= 3",
}


def test_the_script_prints_and_writes_facts_rows_and_musts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, kept = tmp_path / "scale.json", tmp_path / "kept"
    few = ["--singles", "60", "--opened", "1", "--cold", "100", "--lists", "4", "--rounds", "4", "--seconds", "0.2"]
    scale.main(["--size", "2000", *few, "--keep", str(kept), "--json", str(found)])
    record: dict[str, Any] = json.loads(found.read_text())
    assert {"machine", "commit", "versions"} <= record.keys()
    rows = record["scale"]["rows"]
    assert {name: row.get("must") for name, row in rows.items()} == ROWS
    assert all(row["value"] > 0 for row in rows.values())
    assert (kept / "store" / "log.sqlite").exists()
    printed = capsys.readouterr().out
    assert all(name in printed for name in ROWS)
    assert "aim <= 25" in printed

    page = tmp_path / "page.md"
    page.write_text("<!-- measured: machine -->\nanother run's\n<!-- end -->\n<!-- measured: scale -->\nfrom before\n<!-- end -->\n")
    report.main(["--results", str(tmp_path), "--docs", str(page)])
    assert "2,000 tuples over 600 names, measured on: " in page.read_text()
    assert "| one durable write | " in page.read_text()
    assert "from before" not in page.read_text()
    assert "another run's" in page.read_text()  # it says of itself where it was measured

    with pytest.raises(SystemExit):
        scale.main(["--keep", str(kept)])
    assert "is not empty" in capsys.readouterr().err
