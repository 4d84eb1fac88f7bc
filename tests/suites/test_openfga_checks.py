"""OpenFGA's consolidated suite: every Check assertion without contextual tuples, by the oracle and by every path of the engine.

Stages share one store: their tuples add up, each stage's model is the newest, and what an older model admitted must not count under it.
The one case with another answer here is the depth limit: there is none, so that question has its honest answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from adapters import REFUSED, Adapter, Answer, EngineAdapter, OracleAdapter, Question, differences
from suites.folder import SUITES, needs_suites
from suites.openfga_suite import Check, SuiteTest, load_suite
from suites.tally import Tally

pytestmark = needs_suites

ADAPTERS: dict[str, Callable[[], Adapter]] = {"oracle": OracleAdapter, "engine": EngineAdapter}
DEPTH_LIMIT = ("resolution_too_complex_throws_error", 2002)  # ours: true, since there is no depth limit
NOTE = "of 360, without the 6 with contextual tuples; one by our own rule: no depth limit"
NOTES = {"check_ids": "names without ids and malformed names left out"}
CONSOLIDATED = load_suite(SUITES / "openfga" / "consolidated_1_1_tests.yaml") if SUITES.is_dir() else []
ABAC = load_suite(SUITES / "openfga" / "abac_tests.yaml") if SUITES.is_dir() else []


@pytest.fixture(scope="module")
def tally() -> Iterator[Tally]:
    with Tally.reporting() as tally:
        yield tally


def expectation(test: SuiteTest, check: Check) -> Answer:
    if check.error_code is None:
        return check.expected
    if (test.name, check.error_code) == DEPTH_LIMIT:
        return True
    assert check.error_code == 2000, f"{test.name}: no rule for the code {check.error_code}"
    return REFUSED


@pytest.mark.parametrize("test", CONSOLIDATED, ids=lambda test: test.name)
@pytest.mark.parametrize("name", ADAPTERS)
def test_consolidated_checks_have_the_expected_answers(name: str, test: SuiteTest, tally: Tally) -> None:
    adapter = ADAPTERS[name]()
    faults = []
    for number, stage in enumerate(test.stages, start=1):
        checks = [check for check in stage.checks if not check.contextual_tuples]
        questions = [Question(check.subject, check.relation, check.object) for check in checks]
        expected = [expectation(test, check) for check in checks]
        adapter.write_model(stage.model)
        adapter.write(item.triple for item in stage.tuples)
        answers = adapter.ask(questions)
        for path, given in answers.items():
            lines = differences({path: given}, questions, expected)
            asked = [answer for answer in given if answer is not None]
            tally.add(f"consolidated checks, {path}", len(asked) - len(lines), len(asked), NOTES.get(path, NOTE))
            faults += [f"stage {number}: {line}" for line in lines]
    adapter.close()
    assert not faults, "\n".join(faults)


def test_the_suite_is_whole() -> None:
    checks = [check for test in CONSOLIDATED for stage in test.stages for check in stage.checks]
    assert len(checks) == 360
    assert sum(not check.contextual_tuples for check in checks) == 354
    assert not any(item.condition for test in CONSOLIDATED for stage in test.stages for item in stage.tuples)
    assert len({test.name for test in CONSOLIDATED}) == len(CONSOLIDATED) == 137
    assert sum(len(stage.checks) for test in ABAC for stage in test.stages) == 125
