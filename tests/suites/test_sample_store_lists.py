"""OpenFGA's sample stores: every list, by the oracle and by every path of the engine; and again with all tuples contextual."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from adapters import Adapter, EngineAdapter, Listed, ObjectsQuestion, OracleAdapter, Question, SubjectsQuestion
from oracle import Stored
from suites.folder import needs_suites
from suites.sample_stores import StoreFile, StoreTest
from suites.tally import Tally
from suites.test_openfga_lists import fault
from suites.test_sample_stores import FOLDER, STORES

pytestmark = needs_suites

ADAPTERS: dict[str, Callable[[], Adapter]] = {"oracle": OracleAdapter, "engine": EngineAdapter}
CASES = [(store, test) for store in STORES for test in store.tests if test.list_objects or test.list_users]
IDS = [f"{store.path.relative_to(FOLDER)}-{test.name}" for store, test in CASES]


@pytest.fixture(scope="module")
def tally() -> Iterator[Tally]:
    with Tally.reporting() as tally:
        yield tally


def objects_questions(items: tuple[Mapping[str, Any], ...], brought: list[Stored]) -> list[tuple[ObjectsQuestion, Listed]]:
    return [
        (ObjectsQuestion(item["user"], relation, item["type"], item.get("context"), brought), Listed(tuple(sorted(expected or ()))))
        for item in items
        for relation, expected in item["assertions"].items()
    ]


def subjects_questions(items: tuple[Mapping[str, Any], ...], brought: list[Stored]) -> list[tuple[SubjectsQuestion, Listed]]:
    found = []
    for item in items:
        [wanted] = item["user_filter"]
        kind = f"{wanted['type']}#{wanted['relation']}" if "relation" in wanted else wanted["type"]
        for relation, expected in item["assertions"].items():
            question = SubjectsQuestion(item["object"], relation, kind, item.get("context"), brought)
            found.append((question, Listed(tuple(sorted(expected.get("users") or ())))))
    return found


@pytest.mark.parametrize(("store", "test"), CASES, ids=IDS)
@pytest.mark.parametrize("contextual", [False, True], ids=["stored", "contextual"])
@pytest.mark.parametrize("name", ADAPTERS)
def test_sample_store_lists_are_the_expected_ones(name: str, contextual: bool, store: StoreFile, test: StoreTest, tally: Tally) -> None:
    adapter = ADAPTERS[name]()
    adapter.write_model(store.model)
    tuples = list({item.triple: Stored(*item.triple, item.condition, item.context or None) for item in (*store.tuples, *test.tuples)}.values())
    adapter.write(tuples)
    if contextual:
        adapter.delete(item.key for item in tuples)  # their names keep their ids
    brought = tuples if contextual else []
    faults = []
    checks: list[Question] = []
    every: list[tuple[ObjectsQuestion | SubjectsQuestion, Listed]] = [
        *objects_questions(test.list_objects, brought),
        *subjects_questions(test.list_users, brought),
    ]
    for question, expected in every:
        if isinstance(question, ObjectsQuestion):
            answers = adapter.list_objects(question)
            checks += [Question(question.subject, question.relation, item, *question[3:]) for item in expected.items]
        else:
            answers = adapter.list_subjects(question)
            checks += [Question(item, question.relation, question.object, *question[3:]) for item in expected.items]
        for path, answer in answers.items():
            if answer is not None:
                found = fault(path, answer, expected)
                tally.add(f"sample store lists{', all tuples contextual' if contextual else ''}, {path}", not found, 1, "every store")
                faults += [f"{question}: {found}"] if found else []
    for path, checked in adapter.ask(checks).items():
        faults += [f"{path}: {asked}: is {answer}" for asked, answer in zip(checks, checked, strict=True) if answer not in (True, None)]
    adapter.close()
    assert not faults, "\n".join(faults)


def test_every_list_is_asked() -> None:
    items = [item for _, test in CASES for item in (*test.list_objects, *test.list_users)]
    assert sum(len(item["assertions"]) for item in items) == 20
    assert {store.path.parent.relative_to(FOLDER).parts[0] for store, _ in CASES} == {
        "entitlements",
        "expenses",
        "gdrive",
        "github",
        "multitenant-rbac",
        "slack",
        "temporal-access",
    }
