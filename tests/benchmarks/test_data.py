"""The scenarios' own answers are right: the oracle agrees with them on small sizes, and the engine on the sizes of a quick run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from benchmarks.scenarios import REGISTRY, SHAPES, Scenario, WrongAnswer, load, play, verify
from benchmarks.scenarios.helpdesk import helpdesk_loop, writes_between
from benchmarks.scenarios.operators import exclusion, intersection, wide_union, wildcards
from benchmarks.scenarios.organisations import gdrive, github

from fgacore.language import parse
from oracle import Oracle

# The oracle evaluates everything for each subject: few tuples, and not every question.
SMALL: dict[str, Callable[[], Scenario]] = {
    "direct": partial(SHAPES["direct"], 100),
    "groups": partial(SHAPES["groups"], 100),
    "groups, one deep": partial(SHAPES["groups"], 100, depth=1),
    "folders": partial(SHAPES["folders"], 120, depth=3),
    "helpdesk_loop": partial(helpdesk_loop, 4_600, step_count=4, batch_count=40),
    "writes_between": partial(writes_between, 4_600, step_count=4, batch_count=20),
    "github": partial(github, 8),
    "gdrive, fixed": partial(gdrive, 8),
    "gdrive, as is": partial(gdrive, 8, names_fixed=False),
    "wide_union": partial(wide_union, 4, 100),
    "intersection": partial(intersection, 400),
    "exclusion": partial(exclusion, 400),
    "wildcards": partial(wildcards, 180),
}
SUBJECTS_ASKED = 6


@pytest.mark.parametrize("name", SMALL)
def test_the_oracle_gives_the_answers_of_a_scenario(name: str) -> None:
    scenario = SMALL[name]()
    oracle = Oracle(parse(scenario.model), scenario.tuples)
    asked = list(zip(scenario.questions, scenario.answers, strict=True))
    if scenario.listed is not None:
        asked += zip(scenario.listed.triples(), scenario.listed.answers, strict=True)
    subjects = list(dict.fromkeys(question[0] for question, _ in reversed(asked)))[:SUBJECTS_ASKED]
    compared = [(question, answer, oracle.check(*question)) for question, answer in asked if question[0] in subjects]
    assert [each for each in compared if each[1] is not each[2]] == []
    assert {answer for _, answer, _ in compared} == {True, False}


@pytest.mark.parametrize("name", ["helpdesk_loop", "writes_between"])
def test_the_oracle_gives_the_answers_of_each_step_of_a_loop(name: str) -> None:
    scenario = SMALL[name]()
    stored = dict.fromkeys(scenario.tuples)
    model = parse(scenario.model)
    for step in scenario.loop:
        oracle = Oracle(model, stored)
        assert [oracle.check(*question) for question in step.questions] == step.answers
        for triple in step.deletes:
            del stored[triple]
        stored |= dict.fromkeys(step.writes)
    assert set(stored) == set(scenario.tuples), "a loop leaves the tuples as they were"
    assert any(step.writes for step in scenario.loop)


@pytest.mark.parametrize("name", SMALL)
def test_the_engine_gives_the_answers_by_every_path(name: str) -> None:
    scenario = SMALL[name]()
    with load(scenario) as engine:
        verify(scenario, engine, cold=True)
        play(engine, scenario.loop)
        verify(scenario, engine)


def test_a_wrong_answer_is_seen() -> None:
    scenario = SMALL["direct"]()
    with load(scenario) as engine:
        subject, relation, object = next(question for question, answer in zip(scenario.questions, scenario.answers, strict=True) if answer)
        engine.delete(subject=subject, relation=relation, object=object)
        with pytest.raises(WrongAnswer, match=f"{subject} {relation} {object} is False, should be True"):
            verify(scenario, engine)


def test_no_question_shares_a_text_with_the_tuples() -> None:
    scenario = SMALL["helpdesk_loop"]()
    assert scenario.listed is not None
    texts = [text for question in scenario.questions for text in (question[0], question[2])]
    texts += scenario.listed.objects
    texts += [text for step in scenario.loop for question in step.questions for text in (question[0], question[2])]
    stored = {id(text) for triple in scenario.tuples for text in triple}
    assert not stored.intersection(map(id, texts))
    assert len(set(map(id, texts))) == len(texts)


def test_cold_questions_are_of_subjects_that_nothing_else_asks_for() -> None:
    scenario = SHAPES["groups"](20_000, cold_batches=1)
    cold = [question[0] for step in scenario.cold for question in step.questions]
    assert len(set(cold)) == len(cold) > 300
    assert not {question[0] for question in scenario.questions} & set(cold)


def test_the_same_seed_gives_the_same_scenario() -> None:
    for make in SMALL.values():
        assert make() == make()


def test_organisations_keep_the_mean_degree_of_fifty() -> None:
    for make in (github, gdrive):
        per_entity = {count: len(make(count).tuples) / count for count in (50, 500, 2_000)}
        assert max(per_entity.values()) < 1.25 * min(per_entity.values()), per_entity


def test_published_view_grants_match_nobody() -> None:
    as_is, fixed = gdrive(50, names_fixed=False), gdrive(50)
    assert len(as_is.tuples) == len(fixed.tuples)
    assert sum(as_is.answers) < sum(fixed.answers)


def test_the_headline_is_first_and_no_name_comes_twice() -> None:
    names = [entry.name for entry in REGISTRY]
    assert names[0] == "helpdesk_loop"
    assert len(set(names)) == len(names)
