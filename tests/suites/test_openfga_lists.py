"""OpenFGA's two suites: every ListObjects and ListUsers assertion, with the codes of errors, by the oracle and by every path of the engine.

As OpenFGA's own runners do: a list has no order and no duplicate; everything that it has is checked, and must be true; and each test of a
single stage is asked again with all its tuples contextual: in an empty store, and where their names have ids.
Where a condition fails, a list that is asked to report has no error, and its answer is in no suite; so there it is not compared.
The one case with another answer here is the depth limit: there is none, so that list has its honest answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest

from adapters import Adapter, EngineAdapter, Listed, Listing, ObjectsQuestion, OracleAdapter, Question, Refused, SubjectsQuestion
from oracle import Stored
from suites.codes import LIST_OBJECTS_CODES, LIST_USERS_CODES, codes_of
from suites.folder import needs_suites
from suites.openfga_suite import ListObjects, ListUsers, Stage, SuiteTest, SuiteTuple
from suites.tally import Tally
from suites.test_openfga_checks import CASES, DEPTH_LIMIT, SINGLE, SUITE, stored

pytestmark = needs_suites

ADAPTERS: dict[str, Callable[[], Adapter]] = {"oracle": OracleAdapter, "engine": EngineAdapter}
NOT_LIMITED = ("user:maria",)  # who the list is that DEPTH_LIMIT would refuse
CONDITIONS = frozenset({"context_missing", "invalid_context", "condition_failed"})


@pytest.fixture(scope="module")
def tally() -> Iterator[Tally]:
    with Tally.reporting() as tally:
        yield tally


def expectation(test: SuiteTest, assertion: ListObjects | ListUsers) -> Listed | Refused:
    if (test.name, assertion.error_code) == DEPTH_LIMIT:
        return Listed(NOT_LIMITED)
    if assertion.error_code is not None:
        return Refused(codes_of(assertion.error_code, LIST_OBJECTS_CODES if isinstance(assertion, ListObjects) else LIST_USERS_CODES))
    return Listed(tuple(sorted(assertion.expected)))


def compared(path: str, answer: Listing, expected: Listed | Refused) -> bool:
    """Whether the suite says what this path should list. A report, a filter and a reach say which items a failed condition leaves in doubt."""
    if answer is None or (path == "reach" and isinstance(expected, Refused)):
        return False  # a reach is asked of no relation, so it refuses none
    return not (path.endswith("report") and isinstance(expected, Refused) and expected.codes & CONDITIONS)


def fault(path: str, answer: Listing, expected: Listed | Refused) -> str:
    """What is wrong with an answer, or nothing."""
    if isinstance(expected, Refused):
        right = isinstance(answer, Refused) and answer.codes <= expected.codes
    else:
        right = isinstance(answer, Listed) and answer.items == expected.items and not answer.undetermined
    return "" if right else f"{path}: is {answer}, should be {expected}"


def faults_of(
    adapter: Adapter, test: SuiteTest, stage: Stage, bring: Callable[[Sequence[SuiteTuple]], list[Stored]], tally: Tally, name: str
) -> list[str]:
    """Every list of the stage by every path, and a check of every item that it should have."""
    faults = []
    note = "one by our own rule: no depth limit" if any(item.error_code == DEPTH_LIMIT[1] for item in stage.list_users) else ""
    assertions: list[ListObjects | ListUsers] = [*stage.list_objects, *stage.list_users]
    for assertion in assertions:
        expected, brought = expectation(test, assertion), bring(assertion.contextual_tuples)
        question: ObjectsQuestion | SubjectsQuestion
        if isinstance(assertion, ListObjects):
            question = ObjectsQuestion(assertion.subject, assertion.relation, assertion.type, assertion.context, brought)
            answers, items = adapter.list_objects(question), [(assertion.subject, item) for item in assertion.expected]
        else:
            question = SubjectsQuestion(assertion.object, assertion.relation, assertion.kind, assertion.context, brought)
            answers, items = adapter.list_subjects(question), [(item, assertion.object) for item in assertion.expected]
        api = "ListObjects" if isinstance(assertion, ListObjects) else "ListUsers"
        for path, answer in answers.items():
            if compared(path, answer, expected):
                found = fault(path, answer, expected)
                tally.add(f"{name} {api}, {path}", not found, 1, note)
                faults += [f"{question}: {found}"] if found else []
        questions = [Question(subject, assertion.relation, item, assertion.context, brought) for subject, item in items]
        for path, checked in adapter.ask(questions).items():
            faults += [
                f"{path}: {asked}: is {answer}, but is listed" for asked, answer in zip(questions, checked, strict=True) if answer not in (True, None)
            ]
    return faults


@pytest.mark.parametrize(("suite", "test"), CASES)
@pytest.mark.parametrize("name", ADAPTERS)
def test_lists_are_the_expected_ones(name: str, suite: str, test: SuiteTest, tally: Tally) -> None:
    adapter = ADAPTERS[name]()
    faults = []
    for number, stage in enumerate(test.stages, start=1):
        adapter.write_model(stage.model)
        adapter.write(stored(stage.tuples))
        faults += [f"stage {number}: {line}" for line in faults_of(adapter, test, stage, stored, tally, suite)]
    adapter.close()
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(("suite", "test"), SINGLE)
@pytest.mark.parametrize("name", ADAPTERS)
def test_lists_are_the_same_where_every_tuple_is_contextual(name: str, suite: str, test: SuiteTest, tally: Tally) -> None:
    [stage] = test.stages
    adapter = ADAPTERS[name]()
    adapter.write_model(stage.model)

    def bring(own: Sequence[SuiteTuple]) -> list[Stored]:
        keys = {item.triple for item in own}
        return stored([*(item for item in stage.tuples if item.triple not in keys), *own])

    faults = faults_of(adapter, test, stage, bring, Tally(), "")
    adapter.write(stored(stage.tuples))
    adapter.delete(item.triple for item in stage.tuples)
    faults += faults_of(adapter, test, stage, bring, tally, f"{suite}, all tuples contextual,")
    adapter.close()
    assert not faults, "\n".join(faults)


def test_the_suites_are_whole() -> None:
    stages = {name: [stage for test in tests for stage in test.stages] for name, tests in SUITE.items()}
    assert {name: sum(len(stage.list_objects) for stage in found) for name, found in stages.items()} == {"consolidated": 270, "abac": 75}
    assert {name: sum(len(stage.list_users) for stage in found) for name, found in stages.items()} == {"consolidated": 295, "abac": 91}
    every = [stage for found in stages.values() for stage in found]
    numbers = {item.error_code for stage in every for item in stage.list_objects} | {item.error_code for stage in every for item in stage.list_users}
    assert numbers - {None, DEPTH_LIMIT[1]} == {number for _, number in (*LIST_OBJECTS_CODES, *LIST_USERS_CODES)}
