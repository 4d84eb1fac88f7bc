"""One thing varied at a time, on the three shapes: tuples, batch size, depth. Peers are asked the same lists, and their answers compared first.

Threads are swept by threads.py, whose figure is a throughput. Named engines stop at 100,000 tuples and batches of 1,000: loading more takes
some of them minutes and gigabytes. Python by hand stops at a million tuples.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from functools import partial
from itertools import cycle
from typing import Any

import pytest

from benchmarks.peers import HAND, named
from benchmarks.scenarios import SHAPES, VIEWER, ObjectList, Scenario, WrongAnswer, load, verify

pytestmark = pytest.mark.benchmark(disable_gc=True)

TUPLES = (10_000, 100_000, 1_000_000, 10_000_000)
BATCHES = (1, 3, 10, 30, 100, 500, 1_000, 3_000, 10_000)
DEPTHS = (1, 2, 5, 10, 20, 50)
TUPLE_COUNT = 100_000  # where something else is varied
BATCH_COUNT = 500

HAND_TUPLES_MAX = 1_000_000
NAMED_TUPLES_MAX = 100_000
NAMED_BATCH_MAX = 1_000

OURS = "fgacore"


def peers_of(config: pytest.Config, tuple_count: int) -> dict[str, Any]:
    """fgacore and who is measured beside it on a store of this size."""
    found: dict[str, Any] = {OURS: load}
    if tuple_count <= HAND_TUPLES_MAX:
        found |= HAND
    if config.getoption("--named") and tuple_count <= NAMED_TUPLES_MAX:
        found |= named(config.getoption("--openfga"))
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A parameter `store` is (shape, tuples); `who` is named where it can be asked."""
    if metafunc.function is test_tuples:
        sizes = [size for size in TUPLES if size <= metafunc.config.getoption("--tuples-max")]
        cases = [((shape, size), who) for size in sizes for shape in SHAPES for who in peers_of(metafunc.config, size)]
        metafunc.parametrize(
            ("store", "who"), cases, ids=[f"{store[0]}-{store[1]}-{who}" for store, who in cases], indirect=["store"], scope="module"
        )
    elif metafunc.function is test_batch_size:
        cases = [((shape, TUPLE_COUNT), who) for shape in SHAPES for who in peers_of(metafunc.config, TUPLE_COUNT)]
        wide = [(store, who, size) for store, who in cases for size in BATCHES if who == OURS or who in HAND or size <= NAMED_BATCH_MAX]
        names = [f"{store[0]}-{who}-{size}" for store, who, size in wide]
        metafunc.parametrize(("store", "who", "size"), wide, ids=names, indirect=["store"], scope="module")


class Store:
    """A scenario, and its peers, each made once and verified."""

    def __init__(self, scenario: Scenario, config: pytest.Config) -> None:
        self.scenario = scenario
        self.config = config
        self.made: dict[str, Any] = {}

    def peer(self, who: str) -> Any:
        if who not in self.made:
            for peer in self.made.values():
                getattr(peer, "close", lambda: None)()
            self.made.clear()  # one at a time: the large ones are large
            gc.collect()
            peer = peers_of(self.config, 0)[who](self.scenario)
            listed = list_of(self.scenario)
            if list(peer.check_objects(listed.subject, VIEWER, listed.objects[:BATCH_COUNT])) != listed.answers[:BATCH_COUNT]:
                raise WrongAnswer(f"{who} answers {self.scenario.name} wrongly")
            self.made[who] = peer
        return self.made[who]


def list_of(scenario: Scenario) -> ObjectList:
    assert scenario.listed is not None
    return scenario.listed


@pytest.fixture(scope="module")
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    shape, tuple_count = request.param
    made = Store(SHAPES[shape](tuple_count, batch_count=max(BATCHES)), request.config)
    yield made
    for peer in made.made.values():
        getattr(peer, "close", lambda: None)()
    made.made.clear()
    gc.collect()


def test_tuples(store: Store, who: str, benchmark: Any, measure: Any) -> None:
    """A batch of 500 texts of one subject, over stores from ten thousand tuples to ten million.

    Twenty lists take turns: one list asked again and again would stay in the processor's cache, however large the store is.
    """
    peer, listed = store.peer(who), list_of(store.scenario)
    turns = cycle([listed.objects[start : start + BATCH_COUNT] for start in range(0, len(listed.objects), BATCH_COUNT)])
    check_objects, subject = peer.check_objects, listed.subject
    count = len(store.scenario.tuples)
    benchmark.group = f"tuples, {store.scenario.name}"
    benchmark.extra_info.update(row=f"{count:,} tuples", column=who, x=count, shape=store.scenario.name)
    measure(lambda: check_objects(subject, VIEWER, next(turns)), BATCH_COUNT)


def test_batch_size(store: Store, who: str, size: int, benchmark: Any, measure: Any) -> None:
    """Texts of one subject, from one to ten thousand in a call."""
    peer, listed = store.peer(who), list_of(store.scenario)
    benchmark.group = f"batch, {store.scenario.name}"
    benchmark.extra_info.update(row=f"{size:,} a batch", column=who, x=size, shape=store.scenario.name)
    measure(partial(peer.check_objects, listed.subject, VIEWER, listed.objects[:size]), size)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("shape", ["groups", "folders"])
def test_depth(shape: str, depth: int, benchmark: Any, measure: Any) -> None:
    """Groups and folders nested deeper and deeper; an allowed question needs all the levels."""
    scenario = SHAPES[shape](TUPLE_COUNT, depth=depth)
    engine = load(scenario)
    verify(scenario, engine)
    listed = list_of(scenario)
    benchmark.group = "depth"
    benchmark.extra_info.update(row=f"{shape}, {depth} deep", column=OURS, x=depth, shape=shape)
    measure(partial(engine.check_objects, listed.subject, VIEWER, listed.objects), len(listed.objects))
