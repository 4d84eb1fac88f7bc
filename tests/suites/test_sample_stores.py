"""OpenFGA's sample stores: every check, by the oracle and by every path of the engine; and again with all tuples contextual."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from adapters import Adapter, EngineAdapter, OracleAdapter, Question, differences
from oracle import Stored
from suites.folder import SUITES, needs_suites
from suites.sample_stores import StoreFile, StoreTest, find_stores, load_store
from suites.tally import Tally

pytestmark = needs_suites

ADAPTERS: dict[str, Callable[[], Adapter]] = {"oracle": OracleAdapter, "engine": EngineAdapter}
FOLDER = SUITES / "sample-stores"
STORES = [load_store(path) for path in find_stores(FOLDER)]
CASES = [(store, test) for store in STORES for test in store.tests if test.checks]
IDS = [f"{store.path.relative_to(FOLDER)}-{test.name}" for store, test in CASES]


@pytest.fixture(scope="module")
def tally() -> Iterator[Tally]:
    with Tally.reporting() as tally:
        yield tally


@pytest.mark.parametrize(("store", "test"), CASES, ids=IDS)
@pytest.mark.parametrize("contextual", [False, True], ids=["stored", "contextual"])
@pytest.mark.parametrize("name", ADAPTERS)
def test_sample_store_checks_have_the_expected_answers(name: str, contextual: bool, store: StoreFile, test: StoreTest, tally: Tally) -> None:
    adapter = ADAPTERS[name]()
    adapter.write_model(store.model)
    tuples = list({item.triple: Stored(*item.triple, item.condition, item.context or None) for item in (*store.tuples, *test.tuples)}.values())
    adapter.write(tuples)
    if contextual:
        adapter.delete(item.key for item in tuples)  # their names keep their ids
    brought = tuples if contextual else ()
    questions = [Question(check.subject, check.relation, check.object, check.context, brought) for check in test.checks]
    expected = [check.expected for check in test.checks]
    faults = []
    for path, given in adapter.ask(questions).items():
        lines = differences({path: given}, questions, expected)
        asked = [answer for answer in given if answer is not None]
        tally.add(
            f"sample store checks{', all tuples contextual' if contextual else ''}, {path}",
            len(asked) - len(lines),
            len(asked),
            "names without ids left out" if path == "check_ids" else "every store",
        )
        faults += lines
    adapter.close()
    assert not faults, "\n".join(faults)


def test_every_store_is_asked() -> None:
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
        "temporal-access",
    }
    assert {store.path.parent.name for store, _ in CASES for item in store.tuples if item.condition} == {"temporal-access"}
