"""OpenFGA's sample stores: every check of a store whose model has no condition, by the oracle and by every path of the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from adapters import Adapter, EngineAdapter, OracleAdapter, Question, differences
from suites.folder import SUITES, needs_suites
from suites.sample_stores import StoreFile, StoreTest, find_stores, load_store
from suites.tally import Tally

pytestmark = needs_suites

ADAPTERS: dict[str, Callable[[], Adapter]] = {"oracle": OracleAdapter, "engine": EngineAdapter}
FOLDER = SUITES / "sample-stores"
STORES = [load_store(path) for path in find_stores(FOLDER)]
CASES = [(store, test) for store in STORES if not store.conditional for test in store.tests if test.checks]
IDS = [f"{store.path.relative_to(FOLDER)}-{test.name}" for store, test in CASES]


@pytest.fixture(scope="module")
def tally() -> Iterator[Tally]:
    with Tally.reporting() as tally:
        yield tally


@pytest.mark.parametrize(("store", "test"), CASES, ids=IDS)
@pytest.mark.parametrize("name", ADAPTERS)
def test_sample_store_checks_have_the_expected_answers(name: str, store: StoreFile, test: StoreTest, tally: Tally) -> None:
    adapter = ADAPTERS[name]()
    adapter.write_model(store.model)
    adapter.write(dict.fromkeys(item.triple for item in (*store.tuples, *test.tuples)))
    questions = [Question(check.subject, check.relation, check.object) for check in test.checks]
    expected = [check.expected for check in test.checks]
    faults = []
    for path, given in adapter.ask(questions).items():
        lines = differences({path: given}, questions, expected)
        asked = [answer for answer in given if answer is not None]
        note = "names without ids left out" if path == "check_ids" else "every store without conditions"
        tally.add(f"sample store checks, {path}", len(asked) - len(lines), len(asked), note)
        faults += lines
    adapter.close()
    assert not faults, "\n".join(faults)


def test_every_store_without_conditions_is_asked() -> None:
    assert {store.path.parent.relative_to(FOLDER).parts[0] for store, _ in CASES} == {
        "abac-with-rebac",
        "entitlements",
        "expenses",
        "gdrive",
        "github",
        "modular",
        "multitenant-rbac",
        "role-assignments",
        "slack",
    }
    assert [store.path.parent.name for store in STORES if store.conditional] == ["temporal-access"]
