"""OpenFGA's two suites: every Check assertion, with the codes of errors, by the oracle and by every path of the engine.

Stages share one store: their tuples add up, each stage's model is the newest, and what an older model admitted must not count under it.
Each test of a single stage is asked again with all its tuples contextual: in an empty store, and where their names have ids.
The one case with another answer here is the depth limit: there is none, so that question has its honest answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest

from adapters import Adapter, Answer, EngineAdapter, OracleAdapter, Question, Refused, differences
from oracle import Stored
from suites.codes import OPENFGA_CODES, codes_of
from suites.folder import SUITES, needs_suites
from suites.openfga_suite import Check, SuiteTest, SuiteTuple, load_suite
from suites.tally import Tally

pytestmark = needs_suites

ADAPTERS: dict[str, Callable[[], Adapter]] = {"oracle": OracleAdapter, "engine": EngineAdapter}
DEPTH_LIMIT = ("resolution_too_complex_throws_error", 2002)  # ours: true, since there is no depth limit
NOTES = {"check_ids": "names without ids and malformed names left out"}
FILES = {"consolidated": "consolidated_1_1_tests.yaml", "abac": "abac_tests.yaml"}
SUITE = {name: load_suite(SUITES / "openfga" / file) if SUITES.is_dir() else [] for name, file in FILES.items()}
CASES = [pytest.param(name, test, id=f"{name}-{test.name}") for name, tests in SUITE.items() for test in tests]
SINGLE = [pytest.param(name, test, id=f"{name}-{test.name}") for name, tests in SUITE.items() for test in tests if len(test.stages) == 1]


@pytest.fixture(scope="module")
def tally() -> Iterator[Tally]:
    with Tally.reporting() as tally:
        yield tally


def expectation(test: SuiteTest, check: Check) -> Answer:
    if check.error_code is None:
        return check.expected
    if (test.name, check.error_code) == DEPTH_LIMIT:
        return True
    return Refused(codes_of(check.error_code))


def stored(items: Sequence[SuiteTuple]) -> list[Stored]:
    return [Stored(*item.triple, item.condition, item.context or None) for item in items]


def faults_of(adapter: Adapter, test: SuiteTest, checks: Sequence[Check], questions: list[Question], tally: Tally, name: str, note: str) -> list[str]:
    expected = [expectation(test, check) for check in checks]
    faults = []
    for path, given in adapter.ask(questions).items():
        lines = differences({path: given}, questions, expected)
        asked = [answer for answer in given if answer is not None]
        tally.add(f"{name}, {path}", len(asked) - len(lines), len(asked), NOTES.get(path, note))
        faults += lines
    return faults


@pytest.mark.parametrize(("suite", "test"), CASES)
@pytest.mark.parametrize("name", ADAPTERS)
def test_checks_have_the_expected_answers(name: str, suite: str, test: SuiteTest, tally: Tally) -> None:
    adapter = ADAPTERS[name]()
    note = "one by our own rule: no depth limit" if suite == "consolidated" else ""
    faults = []
    for number, stage in enumerate(test.stages, start=1):
        adapter.write_model(stage.model)
        adapter.write(stored(stage.tuples))
        questions = [Question(check.subject, check.relation, check.object, check.context, stored(check.contextual_tuples)) for check in stage.checks]
        found = faults_of(adapter, test, stage.checks, questions, tally, f"{suite} checks", note)
        faults += [f"stage {number}: {line}" for line in found]
    adapter.close()
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(("suite", "test"), SINGLE)
@pytest.mark.parametrize("name", ADAPTERS)
def test_checks_have_the_same_answers_where_every_tuple_is_contextual(name: str, suite: str, test: SuiteTest, tally: Tally) -> None:
    [stage] = test.stages
    adapter = ADAPTERS[name]()
    adapter.write_model(stage.model)
    questions = []
    for check in stage.checks:
        own = stored(check.contextual_tuples)
        keys = {item.key for item in own}
        others = [item for item in stored(stage.tuples) if item.key not in keys]
        questions.append(Question(check.subject, check.relation, check.object, check.context, [*others, *own]))
    faults = faults_of(adapter, test, stage.checks, questions, Tally(), "", "")
    adapter.write(stored(stage.tuples))
    adapter.delete(item.triple for item in stage.tuples)
    faults += faults_of(adapter, test, stage.checks, questions, tally, f"{suite} checks, all tuples contextual", "tests of one stage")
    adapter.close()
    assert not faults, "\n".join(faults)


def test_the_suites_are_whole() -> None:
    checks = {name: [check for test in tests for stage in test.stages for check in stage.checks] for name, tests in SUITE.items()}
    assert {name: len(found) for name, found in checks.items()} == {"consolidated": 360, "abac": 125}
    assert {name: len(tests) for name, tests in SUITE.items()} == {"consolidated": 137, "abac": 23}
    assert sum(bool(check.contextual_tuples) for check in checks["consolidated"]) == 6
    numbers = {check.error_code for found in checks.values() for check in found} - {None, DEPTH_LIMIT[1]}
    assert numbers == set(OPENFGA_CODES.values())
