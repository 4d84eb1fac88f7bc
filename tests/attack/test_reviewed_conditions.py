"""What a review of conditions, contextual tuples and expiry found, each as the shortest way to see it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy
import pytest

import fgacore
from fgacore import Question, RequestError, StoreError, Tuple
from fgacore.language.conditions import LibraryExpression

PLAIN = """
model
  schema 1.1
type user
type doc
  relations
    define viewer: [user]
"""
CONDITIONED = """
model
  schema 1.1
type user
type doc
  relations
    define viewer: [user with c]
condition c(x: {type}) {{
  {expression}
}}
"""
TEXT = CONDITIONED.format(type="string", expression='x == "a"')
NUMBER = CONDITIONED.format(type="int", expression="x < 5")
LIBRARY = CONDITIONED.format(type="string", expression="int(x) < 5")  # a conversion: not of our own operators

# A finalizer runs wherever an object is made while a collection is due: `due` chooses the place.
FINALIZER = """
import gc
from datetime import UTC, datetime

import fgacore
from fgacore import RequestError, StoreError, Tuple

MODEL = "model\\n  schema 1.1\\ntype user\\ntype doc\\n  relations\\n    define viewer: [user]\\n"


def at(seconds):
    return datetime.fromtimestamp(seconds, UTC)


class Asks:
    def __init__(self):
        self.cycle = self

    def __del__(self):
        global seconds
        seconds = 1_010
        try:
            engine.check("user:a", "viewer", "doc:1")
        except (RequestError, StoreError):
            pass


def write(due, writes, deletes):
    gc.collect()
    gc.disable()
    Asks()
    gc.set_threshold(due)
    gc.enable()
    try:
        engine.write(writes, deletes=deletes)
    except (RequestError, StoreError):
        pass
    gc.set_threshold(700)
    gc.collect()
    gc.disable()


for due in range(1, 150):
    seconds = 1_000
    engine = fgacore.open(clock=lambda: seconds)
    engine.write_model(MODEL)
"""


class Clock:
    """Seconds since the epoch, `step` more at each reading."""

    def __init__(self) -> None:
        self.seconds = 1_000
        self.step = 0

    def __call__(self) -> int:
        self.seconds += self.step
        return self.seconds


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def alone(script: str) -> str:
    """What a script prints in a process of its own, which must end well."""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0, (run.returncode, run.stdout[-500:], run.stderr[-1_500:])
    return run.stdout.strip()


def conditioned(model: str, *contexts: dict[str, Any]) -> fgacore.Engine:
    engine = fgacore.open()
    engine.write_model(model)
    engine.write([Tuple("user:a", "viewer", f"doc:{i}", "c", context) for i, context in enumerate(contexts)])
    return engine


def questions(count: int) -> list[tuple[str, str, str]]:
    return [("user:a", "viewer", f"doc:{i}") for i in range(count)]


# ---- a write, and what runs in the middle of it ----


def test_a_finalizer_that_asks_in_the_middle_of_a_write_does_not_break_the_store() -> None:
    """The question finds a tuple expired and makes a version; the write then must not put one beside it that shares its blocks."""
    script = """
    engine.write([Tuple("user:a", "viewer", f"doc:{i}", expires_at=at(1_005)) for i in range(20)])
    engine.write([("user:b", "viewer", f"doc:{i}") for i in range(20)])
    gone = [("user:b", "viewer", f"doc:{i}") for i in range(20)]
    write(due, [Tuple("user:c", "viewer", f"doc:{i}", expires_at=at(9_000)) for i in range(20)], gone)
    seconds = 1_010
    kinds = {tuple.subject for tuple in engine.read()}
    assert kinds in ({"user:b"}, {"user:c"}), (due, kinds)
    engine.merge()
print("well")
"""
    assert alone(FINALIZER + script) == "well"


def test_a_tuple_that_expires_in_the_middle_of_its_write_is_absent() -> None:
    """What a question in the middle of the write takes for gone must not be forgotten: nothing would ever take the tuple out."""
    script = """
    write(due, [Tuple("user:b", "viewer", f"doc:{i}", expires_at=at(1_005)) for i in range(40)], [])
    seconds = 1_010
    assert not engine.check("user:b", "viewer", "doc:0"), due
    assert not list(engine.read()), due
print("well")
"""
    assert alone(FINALIZER + script) == "well"


def test_a_model_whose_writing_is_interrupted_leaves_no_table_behind_that_nothing_knows() -> None:
    script = textwrap.dedent("""
        import fgacore, fgacore.runtime.models as models
        head = "model\\n  schema 1.1\\ntype user\\ntype doc\\n  relations\\n"
        engine = fgacore.open()
        engine.write_model(head + "    define z: [user]\\n")
        engine.write([("user:a", "z", "doc:1"), ("user:b", "z", "doc:1")])

        def interrupted(*arguments):
            raise KeyboardInterrupt

        real, models.ModelPlan = models.ModelPlan, interrupted
        try:
            engine.write_model(head + "".join(f"    define r{i}: [user]\\n" for i in range(5_000)))
        except KeyboardInterrupt:
            pass
        models.ModelPlan = real
        for i in range(0, 5_000, 50):
            keys = [("user:a", f"r{i}", "doc:1"), ("user:b", f"r{i}", "doc:1")]
            assert engine.write(deletes=keys, on_missing="ignore") == engine.revision
        print("well")
    """)
    assert alone(script) == "well"


def test_a_write_to_an_engine_that_its_clock_has_closed_is_refused() -> None:
    clock, closing = Clock(), False

    def read() -> int:
        if closing:
            engine.close()
        return clock()

    engine = fgacore.open(clock=read)
    engine.write_model(PLAIN)
    closing = True
    with pytest.raises(StoreError) as caught:
        engine.write(questions(1))
    assert caught.value.code == "closed"


# ---- errors of conditions in batches ----


@pytest.mark.parametrize("count", [2, 5, 100])
def test_equal_stored_contexts_of_the_wrong_type_are_errors_of_their_items_alone(count: int) -> None:
    """The second is not decided anew: why the first failed is known by the address of the first one's context."""
    engine = conditioned(TEXT, *[{"x": "long"}] * count)
    engine.write_model(NUMBER)
    result = engine.batch_check([*questions(count), ("user:b", "viewer", "doc:0")])
    assert [result.errors[i].code for i in range(count)] == ["invalid_context"] * count
    assert list(result.errors) == list(range(count))


@pytest.mark.parametrize("request_context", [None, {}, {"x": 3}])
def test_equal_contexts_that_fail_alike_say_the_same(request_context: dict[str, Any] | None) -> None:
    engine = conditioned(TEXT, {"x": "long"}, {"x": "long"})
    engine.write_model(NUMBER)
    result = engine.batch_check(questions(2), context=request_context)
    assert str(result.errors[0]) == str(result.errors[1])


def test_equal_contexts_that_the_library_refuses_say_the_same() -> None:
    result = conditioned(LIBRARY, {"x": "long"}, {"x": "long"}).batch_check(questions(2))
    assert str(result.errors[0]) == str(result.errors[1])
    assert "cannot convert" in str(result.errors[1])


def test_check_objects_says_which_object_it_was_though_the_context_is_read_for_the_message() -> None:
    """The context is read once more to say what is wrong with it; what fails then is no excuse for an error without its index."""

    class Once(Mapping[str, Any]):
        reads = 0

        def __iter__(self) -> Iterator[str]:
            return iter(["x"])

        def __len__(self) -> int:
            return 1

        def __getitem__(self, key: str) -> Any:
            self.reads += 1
            if self.reads > 1:
                raise OSError
            return [1]

    engine = conditioned(NUMBER, {"x": 1}, {})
    with pytest.raises(RequestError) as caught:
        engine.check_objects("user:a", "viewer", ["doc:0", "doc:1"], context=Once())
    assert (caught.value.code, caught.value.index) == ("invalid_context", 1)
    assert list(engine.batch_check(questions(2), context=Once())) == [True, False]


@pytest.mark.parametrize(
    "ask", [lambda e: e.check_objects("user:a", "viewer", [q[2] for q in questions(10)]), lambda e: e.batch_check(questions(10))]
)
def test_an_interrupt_while_the_library_decides_ends_the_batch(ask: Callable[[fgacore.Engine], object], monkeypatch: pytest.MonkeyPatch) -> None:
    engine = conditioned(LIBRARY, *({"x": str(i)} for i in range(10)))
    real, calls = LibraryExpression.evaluate, []

    def evaluate(self: LibraryExpression, values: list[object]) -> bool:
        calls.append(values)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, values)

    monkeypatch.setattr(LibraryExpression, "evaluate", evaluate)
    with pytest.raises(KeyboardInterrupt):
        ask(engine)
    assert len(calls) == 2


# ---- expiry ----


def test_delete_by_parts_passes_over_what_expires_in_the_middle_of_it() -> None:
    """The tuples are read and deleted at two readings of the clock."""
    clock = Clock()
    engine = fgacore.open(clock=clock)
    engine.write_model(PLAIN)
    engine.write([Tuple("user:a", "viewer", "doc:0", expires_at=at(1_010)), ("user:a", "viewer", "doc:1")])
    clock.seconds, clock.step = 1_008, 1
    engine.delete(subject="user:a")
    assert list(engine.read()) == []


def test_stats_count_no_tuple_that_has_expired() -> None:
    clock = Clock()
    engine = fgacore.open(clock=clock)
    engine.write_model(PLAIN)
    engine.write([Tuple("user:a", "viewer", "doc:0", expires_at=at(1_010))])
    clock.seconds = 1_010
    assert engine.stats().tuples == 0


# ---- contextual tuples ----


def test_contextual_tuples_of_a_question_are_read_no_further_than_their_bound() -> None:
    engine = fgacore.open()
    engine.write_model(PLAIN)
    taken = 0

    def endless() -> Iterator[tuple[str, str, str]]:
        nonlocal taken
        while taken < 1_000_000:
            taken += 1
            yield ("user:a", "viewer", "doc:0")

    result = engine.batch_check([Question("user:a", "viewer", "doc:0", contextual_tuples=endless())])  # type: ignore[arg-type]
    assert result.errors[0].code == "limit_exceeded"
    assert taken <= 10_001


def test_an_id_that_was_never_given_is_no_name_of_a_contextual_tuple() -> None:
    engine = fgacore.open()
    engine.write_model(PLAIN)
    engine.write(questions(1))
    ids = numpy.array([0, 1, 1 << 31, (1 << 31) + 1], numpy.uint32)
    subject = engine.ids("user", ["a"])[0]
    found = engine.check_ids(
        subject,
        "viewer",
        ids,
        subject_type="user",
        object_type="doc",
        contextual_tuples=[("user:a", "viewer", "doc:new"), ("user:b", "viewer", "doc:newer")],
    )
    assert found.tolist() == [True, False, False, False]


def test_a_mapping_that_writes_while_it_is_written_is_told_that_a_write_is_under_way() -> None:
    engine, seen = conditioned(NUMBER), []

    class Writes(Mapping[str, Any]):
        def __iter__(self) -> Iterator[str]:
            with pytest.raises(StoreError) as caught:
                engine.write([Tuple("user:b", "viewer", "doc:1", "c")])
            seen.append(caught.value.code)
            return iter(["x"])

        def __len__(self) -> int:
            return 1

        def __getitem__(self, key: str) -> int:
            return 1

    engine.write([Tuple("user:a", "viewer", "doc:0", "c", Writes())])
    assert set(seen) == {"busy"}
    assert [item.subject for item in engine.read()] == ["user:a"]
