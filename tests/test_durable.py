"""A store on disk as a user sees it: it is there again, remembers its past, tells its changes, and takes each request once."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import fgacore
from faults import tasks
from faults.peer import Peer, code_of
from faults.world import CONTEXT, MODEL, Clock, Story, answers, ask, key_of, right, stored_in, write_next
from fgacore import Tuple
from fgacore.limits import MEMORY_RECORDS_BYTES_MAX

SECOND = 1_000_000
KEY = ("user:a", "member", "group:g")
NARROW = """
model
  schema 1.1
type user
type group
  relations
    define member: [user]
type doc
  relations
    define reader: [user]
    define viewer: reader
"""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path, clock: Clock) -> Path:
    """A store with the model of the fault tests, whose clock the test sets."""
    place = tmp_path / "authz"
    with fgacore.open(place, clock=clock) as engine:
        engine.write_model(MODEL)
    return place


@pytest.fixture
def engine(path: Path, clock: Clock) -> Iterator[fgacore.Engine]:
    with fgacore.open(path, clock=clock) as opened:
        yield opened


# Opening and closing


@pytest.mark.parametrize("kind", [str, Path])
def test_a_store_is_there_again(kind: Callable[[Path], Any], tmp_path: Path) -> None:
    place = kind(tmp_path / "a" / "b")
    story = Story("again")
    with fgacore.open(place) as engine:
        model_id = engine.write_model(MODEL)
        for _ in range(20):
            revision = write_next(engine, story)
        stats = engine.stats()
    for _ in range(2):
        with fgacore.open(place) as engine:
            assert engine.revision == revision
            assert (engine.stats().tuples, engine.stats().model_id, engine.stats().models) == (stats.tuples, model_id, 1)
            answers(engine, story.state)


def test_a_process_that_ends_without_closing_loses_nothing(path: Path) -> None:
    engine = fgacore.open(path)
    revision = engine.write([KEY])
    with fgacore.open(path) as other:
        assert other.revision == revision
        assert other.check(*KEY) is True
    engine.close()


def test_in_memory_nothing_is_kept_and_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with fgacore.open() as engine:
        engine.write_model(MODEL)
        engine.write([KEY])
    with fgacore.open(":memory:") as engine:
        assert engine.revision == 0
    assert list(tmp_path.iterdir()) == []


def test_two_engines_in_one_process_over_one_store(path: Path) -> None:
    with fgacore.open(path) as left, fgacore.open(path) as right_:
        for number in range(10):
            revision = (left, right_)[number % 2].write([(f"user:{number}", "member", "group:g")])
            other = (right_, left)[number % 2]
            assert other.wait_for(revision, timeout=10) == revision
            assert other.check(f"user:{number}", "member", "group:g", at_least=revision) is True
        assert stored_in(left) == stored_in(right_)


@pytest.mark.parametrize("option", ["clock", "max_staleness", "cache"])
def test_a_wrong_option_is_refused_and_makes_nothing(option: str, tmp_path: Path) -> None:
    wrong: dict[str, Any] = {"clock": 5, "max_staleness": -1.0, "cache": 7}
    with pytest.raises(fgacore.FgaError) as caught:
        fgacore.open(tmp_path / "authz", **{option: wrong[option]}).close()
    assert caught.value.code in ("invalid_store", "invalid_request"), caught.value
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bad", ["", "mysql://host/db", "postgresql://", b"bytes", 5, None, "a\0b"])
def test_a_path_that_is_none_is_refused(bad: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(fgacore.FgaError) as caught:
        fgacore.open(bad).close()
    assert caught.value.code in ("invalid_store", "invalid_request", "store_unavailable"), caught.value
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_the_directory_is_refused_and_left_alone(tmp_path: Path) -> None:
    place = tmp_path / "authz"
    place.write_text("precious")
    with pytest.raises(fgacore.FgaError) as caught:
        fgacore.open(place).close()
    assert caught.value.code in ("invalid_store", "store_unavailable")
    assert place.read_text() == "precious"


def test_a_closed_engine_says_so_in_every_new_call(path: Path) -> None:
    engine = fgacore.open(path)
    revision = engine.write([KEY])
    past = engine.at(revision)
    engine.close()
    engine.close()
    for call in (
        lambda: engine.wait_for(revision, timeout=1),
        lambda: engine.snapshot(),
        lambda: engine.compact(),
        lambda: engine.at(revision),
        lambda: list(engine.changes()),
        lambda: engine.import_tuples([KEY]),
        lambda: engine.export_tuples(path / "export.jsonl"),
        lambda: engine.write([KEY]),
    ):
        assert code_of(call) == "closed"
    assert not (path / "export.jsonl").exists()
    past.close()


# Revisions


def test_each_write_returns_its_own_revision_and_they_only_grow(engine: fgacore.Engine) -> None:
    first = engine.revision
    assert [engine.write([(f"user:{number}", "member", "group:g")]) for number in range(5)] == list(range(first + 1, first + 6))
    assert engine.revision == first + 5


def test_a_refused_write_makes_no_revision_and_leaves_nothing(engine: fgacore.Engine, path: Path) -> None:
    revision = engine.write([KEY])
    for call in (
        lambda: engine.write([("user:b", "member", "group:g"), KEY]),
        lambda: engine.write([("user:b", "member", "group:g")], deletes=[("user:z", "member", "group:g")]),
        lambda: engine.write([("user:b", "nothing", "group:g")]),
        lambda: engine.write_model("model\n  schema 9\n"),
    ):
        assert code_of(call) != "done"
    assert engine.revision == revision
    with fgacore.open(path) as other:
        assert other.revision == revision
        assert stored_in(other).keys() == {KEY}


def test_wait_for_waits_and_at_least_never_does(engine: fgacore.Engine, path: Path, clock: Clock) -> None:
    revision = engine.revision
    begun = time.monotonic()
    assert code_of(lambda: engine.check(*KEY, at_least=revision + 1)) == "stale"
    assert time.monotonic() - begun < 0.5
    assert engine.check(*KEY, at_least=revision) is False
    begun = time.monotonic()
    assert code_of(lambda: engine.wait_for(revision + 1, timeout=0.3)) == "stale"
    assert 0.25 < time.monotonic() - begun < 5.0
    assert engine.wait_for(revision) == revision
    assert engine.wait_for(0, timeout=0) == revision
    assert code_of(lambda: engine.wait_for(revision + 1, timeout=0)) == "stale"
    with fgacore.open(path, clock=clock) as other:
        threading.Timer(0.2, lambda: other.write([KEY])).start()
        assert engine.wait_for(revision + 1, timeout=20) == revision + 1
        assert engine.check(*KEY, at_least=revision + 1) is True


def test_a_wait_ends_with_the_engine(path: Path) -> None:
    engine = fgacore.open(path)
    threading.Timer(0.2, engine.close).start()
    assert code_of(lambda: engine.wait_for(10_000, timeout=20)) == "closed"


@pytest.mark.parametrize("bad", [1.5, "1", None])
def test_what_is_no_revision_is_refused(bad: Any, engine: fgacore.Engine) -> None:
    calls: list[Callable[[], Any]] = [lambda: engine.wait_for(bad, timeout=0), lambda: list(engine.changes(since=bad))]
    if bad is not None:
        calls += [lambda: engine.at(bad), lambda: engine.check(*KEY, at_least=bad)]
    for call in calls:
        with pytest.raises(fgacore.RequestError):
            call()


# The past


def test_every_earlier_revision_answers_as_it_did_then(path: Path, clock: Clock) -> None:
    """Checks, lists and tuples; with a snapshot and a restart between, and in any order."""
    story = Story("past")
    then: dict[int, tuple[Any, Any, int]] = {}
    with fgacore.open(path, clock=clock) as engine:
        for number in range(24):
            revision = write_next(engine, story)
            then[revision] = stored_in(engine), ask(engine), clock.now
            clock.now += SECOND
            if number == 11:
                engine.snapshot()
    with fgacore.open(path, clock=clock) as engine:
        for revision in sorted(then, key=lambda number: number * 7 % 5):
            tuples, found, _ = then[revision]
            with engine.at(revision) as past:
                assert past.revision == revision
                assert stored_in(past) == tuples
                assert ask(past) == found
        for revision, (tuples, _, now) in list(then.items())[::5]:
            for moment in (now, now + SECOND - 1):
                with engine.at(time=Clock(moment)()) as past:
                    assert past.revision == revision
                    assert stored_in(past) == tuples
        answers(engine, story.state)


def test_the_past_reaches_back_to_the_first_write(path: Path, clock: Clock) -> None:
    start = clock.now
    clock.now += SECOND
    with fgacore.open(path, clock=clock) as engine:
        first = engine.write([KEY])
        engine.write(deletes=[KEY])
        engine.snapshot()
        with engine.at(first) as past:
            assert past.check(*KEY) is True
        with engine.at(1) as past:
            assert past.check(*KEY) is False
            assert list(past.read()) == []
        with engine.at(time=Clock(start)()) as past:
            assert past.revision == 1
        with engine.at(time=Clock(start - 1)()) as past:  # before anything
            assert past.revision == 0
            assert code_of(lambda: past.check(*KEY)) == "no_model"
        assert code_of(lambda: engine.at(engine.revision + 1)) == "revision_not_found"


def test_the_models_of_then_answer(engine: fgacore.Engine) -> None:
    old = engine.stats().model_id
    before = engine.write([("user:a", "reader", "doc:1"), ("user:a", "barred", "doc:1")])
    new = engine.write_model(NARROW)
    after = engine.revision
    assert engine.check("user:a", "viewer", "doc:1") is True
    assert code_of(lambda: engine.check("user:a", "can", "doc:1")) == "relation_not_found"
    with engine.at(before) as past:
        assert past.stats().model_id == old
        assert past.check("user:a", "can", "doc:1", context=CONTEXT) is False
        assert past.check("user:a", "viewer", "doc:1", context=CONTEXT) is True
        assert code_of(lambda: past.check("user:a", "viewer", "doc:1", model_id=new)) == "model_not_found"
    with engine.at(after) as past:
        assert past.stats().model_id == new
        assert past.check("user:a", "can", "doc:1", context=CONTEXT, model_id=old) is False
    assert code_of(lambda: engine.at(0).check("user:a", "viewer", "doc:1")) in ("no_model", "revision_not_found")


def test_conditions_and_expiries_are_of_then(engine: fgacore.Engine, clock: Clock) -> None:
    """The clock of the past stands at its record's time, or at the time that was asked for, however late the present is."""
    start = clock.now
    revision = engine.write([Tuple(*KEY, expires_at=Clock(start + 10 * SECOND)()), Tuple("user:a", "reader", "doc:1", "low", {"x": 3})])
    clock.now = start + 20 * SECOND
    assert engine.check(*KEY) is False
    later = engine.write([Tuple("user:a", "reader", "doc:1", "low", {"x": 30})], on_duplicate="replace")
    clock.now = start + 40 * SECOND
    with engine.at(revision) as past:
        assert past.check(*KEY) is True
        assert past.check("user:a", "reader", "doc:1") is True
        assert past.list_objects("user:a", "member", "group").to_list() == ["group:g"]
        assert past.list_objects("user:a", "member", "group").instant == Clock(start)()
        clock.now += 1000 * SECOND
        assert past.check(*KEY) is True
    with engine.at(later) as past:
        assert past.check(*KEY) is False
        assert past.check("user:a", "reader", "doc:1") is False
    for seconds, there in ((0, True), (9.999999, True), (10, False), (15, False)):
        with engine.at(time=Clock(start + round(seconds * SECOND))()) as past:
            assert past.revision == revision
            assert past.check(*KEY) is there, seconds
            assert past.check("user:a", "reader", "doc:1") is True
            assert [item.subject for item in past.read(object="group:g")] == ["user:a"] * there


def test_what_expired_is_counted_once_whoever_saw_it(path: Path) -> None:
    """A process whose clock is ahead lets a tuple expire that another deletes, or replaces, before; and a replay goes by the time of the records."""
    ahead, behind = Clock(), Clock()
    with fgacore.open(path, clock=behind) as first, fgacore.open(path, clock=ahead) as second:
        soon, later = Clock(ahead.now + 10 * SECOND)(), Clock(ahead.now + 100 * SECOND)()
        revision = first.write([Tuple("user:a", "member", "group:g", expires_at=soon), Tuple("user:b", "member", "group:g", expires_at=soon)])
        revision = first.write([Tuple("user:c", "member", "group:g", expires_at=soon)])
        second.wait_for(revision, timeout=20)
        ahead.now += 20 * SECOND
        assert [second.check(f"user:{name}", "member", "group:g") for name in "abc"] == [False] * 3
        first.write(deletes=[KEY])
        revision = first.write([Tuple("user:b", "member", "group:g", expires_at=later)], on_duplicate="replace")
        second.wait_for(revision, timeout=20)
        assert [second.check(f"user:{name}", "member", "group:g") for name in "abc"] == [False, True, False]
        with fgacore.open(path, clock=ahead) as third:  # from the log alone
            assert third.sweep() == revision + 1
        for engine in (first, second):
            assert engine.wait_for(revision + 1, timeout=20) == revision + 1
            assert engine.sweep() == revision + 1
        assert [(change.kind, change.deleted) for change in first.changes(since=revision)] == [("expiry", 1)]


def test_the_past_cannot_be_written(engine: fgacore.Engine, tmp_path: Path) -> None:
    revision = engine.write([KEY])
    engine.write(deletes=[KEY])
    with engine.at(revision) as past:
        for call in (
            lambda: past.write([("user:b", "member", "group:g")]),
            lambda: past.write(deletes=[KEY]),
            lambda: past.delete(subject="user:a"),
            lambda: past.write_model(MODEL),
            lambda: past.sweep(),
            lambda: past.snapshot(),
            lambda: past.compact(),
            lambda: past.import_tuples([("user:b", "member", "group:g")]),
        ):
            assert code_of(call) == "read_only"
        assert past.check(*KEY) is True
        assert past.export_tuples(tmp_path / "then.jsonl") == 1
        assert code_of(lambda: past.check(*KEY, at_least=revision + 1)) == "stale"
        assert code_of(lambda: past.wait_for(revision + 1, timeout=0.1)) == "stale"
        assert [change.revision for change in past.changes(since=0)] == list(range(1, revision + 1))
    assert engine.check(*KEY) is False


def test_the_past_does_not_move_and_does_not_end_with_the_present(path: Path, clock: Clock) -> None:
    engine = fgacore.open(path, clock=clock)
    revision = engine.write([KEY])
    past = engine.at(revision)
    engine.write(deletes=[KEY])
    engine.write([("user:b", "member", "group:g")])
    assert past.revision == revision
    assert past.check(*KEY) is True
    assert past.check("user:b", "member", "group:g") is False
    engine.close()
    assert code_of(lambda: past.check(*KEY)) in ("done", "closed")
    past.close()


@pytest.mark.parametrize("bad", [{}, {"revision": 1, "time": datetime(2025, 1, 1, tzinfo=UTC)}, {"time": datetime(2025, 1, 1)}, {"time": 5}])  # noqa: DTZ001
def test_at_wants_a_revision_or_a_time_with_an_offset(bad: dict[str, Any], engine: fgacore.Engine) -> None:
    with pytest.raises((fgacore.RequestError, TypeError)):
        engine.at(**bad)


def test_a_time_ahead_of_the_clock_is_refused_or_is_now(engine: fgacore.Engine, clock: Clock) -> None:
    """What will be true then nobody knows."""
    engine.write([Tuple(*KEY, expires_at=Clock(clock.now + 10 * SECOND)())])
    code = code_of(lambda: engine.at(time=Clock(clock.now + 3600 * SECOND)()).close())
    assert code in ("revision_not_found", "invalid_request"), code


# Requests that are known by an id


def test_the_same_request_twice_is_one_write(engine: fgacore.Engine, path: Path) -> None:
    options: dict[str, Any] = {"deletes": [("user:x", "member", "group:g")], "actor": "user:lead", "reason": "INC-7", "request_id": "r-1"}
    engine.write([("user:x", "member", "group:g")])
    revision = engine.write([KEY], **options)
    assert engine.write([KEY], **options) == revision
    assert engine.revision == revision
    engine.write([("user:b", "member", "group:g")])
    assert engine.write([KEY], **options) == revision
    engine.write(deletes=[KEY])
    assert engine.write([KEY], **options) == revision
    assert engine.check(*KEY) is False, "a repeated request has brought back what was deleted since"


def test_another_payload_under_the_same_request_is_a_conflict(engine: fgacore.Engine) -> None:
    revision = engine.write([KEY], request_id="r-1")
    for call in (
        lambda: engine.write([("user:b", "member", "group:g")], request_id="r-1"),
        lambda: engine.write([KEY, ("user:b", "member", "group:g")], request_id="r-1"),
        lambda: engine.write(deletes=[KEY], request_id="r-1"),
        lambda: engine.write([Tuple(*KEY, expires_at=datetime(2030, 1, 1, tzinfo=UTC))], request_id="r-1"),
        lambda: engine.write([], request_id="r-1"),
    ):
        assert code_of(call) == "conflict"
    assert engine.revision == revision
    assert stored_in(engine).keys() == {KEY}


def test_a_request_is_known_after_a_restart_and_in_another_process(engine: fgacore.Engine, path: Path, clock: Clock) -> None:
    revision = engine.write([KEY], request_id="r-1")
    with fgacore.open(path, clock=clock) as other:
        assert other.write([KEY], request_id="r-1") == revision
        assert code_of(lambda: other.write([("user:b", "member", "group:g")], request_id="r-1")) == "conflict"
        assert other.revision == revision


def test_a_request_of_two_at_once_is_stored_once(path: Path) -> None:
    with fgacore.open(path) as engine, Peer() as left, Peer() as right_:
        for number in range(8):
            crew = (left, right_)
            for child in crew:
                child.run(tasks.ready)
            payload = [(f"user:{number}", "member", "group:g")]
            at = time.monotonic() + 0.1
            for child in crew:
                child.start(tasks.same_request, os.fspath(path), f"r-{number}", payload, at)
            found = {child.every()[1] for child in crew}
            assert len(found) == 1, found
            assert engine.wait_for(max(found), timeout=10) == max(found)
        assert engine.stats().tuples == 8


def test_a_refused_request_is_not_remembered(engine: fgacore.Engine) -> None:
    assert code_of(lambda: engine.write(deletes=[KEY], request_id="r-1")) == "tuple_missing"
    engine.write([KEY], request_id="r-1")
    assert engine.check(*KEY) is True


def test_a_request_is_forgotten_after_a_day(engine: fgacore.Engine, clock: Clock) -> None:
    start = clock.now
    revision = engine.write([KEY], request_id="r-1")
    clock.now = start + 23 * 3600 * SECOND
    assert engine.write([KEY], request_id="r-1") == revision
    clock.now = start + 25 * 3600 * SECOND
    engine.write([("user:b", "member", "group:g")], request_id="r-2")
    assert engine.write(deletes=[KEY], request_id="r-1") == revision + 2
    assert engine.check(*KEY) is False


@pytest.mark.parametrize("bad", ["", 5, b"r", "x" * 100_000, "a\0b", "\ud800"])
def test_what_is_no_request_id_is_refused(bad: Any, engine: fgacore.Engine) -> None:
    revision = engine.revision
    with pytest.raises(fgacore.FgaError) as caught:
        engine.write([KEY], request_id=bad)
    assert isinstance(caught.value, fgacore.RequestError | fgacore.LimitError)
    assert engine.revision == revision


# Changes


def test_changes_tell_everything_in_order(engine: fgacore.Engine, clock: Clock) -> None:
    start = clock.now
    item = Tuple("user:a", "reader", "doc:1", "low", {"x": 3})
    engine.write([KEY, item], actor="user:lead", reason="INC-7")
    clock.now += SECOND
    engine.write([("user:b", "member", "group:g")], deletes=[KEY])
    model_id = engine.write_model(NARROW, actor="user:author", reason="smaller")
    engine.write([Tuple("user:c", "member", "group:g", expires_at=Clock(clock.now + SECOND)())])
    clock.now += 2 * SECOND
    engine.sweep(actor="cron", reason="expired")
    found = list(engine.changes())
    assert [change.revision for change in found] == [1, 2, 3, 4, 5, 6]
    assert [change.kind for change in found] == ["model", "tuples", "tuples", "model", "tuples", "expiry"]
    assert [(change.actor, change.reason) for change in found[1:4]] == [("user:lead", "INC-7"), (None, None), ("user:author", "smaller")]
    assert (found[5].actor, found[5].reason, found[5].deleted) == ("cron", "expired", 1)
    assert found[5].deletes == ()  # how many, not which: what expires when stands in the write that stored it
    assert {key_of(each) for each in found[1].writes} == {KEY, key_of(item)}
    assert item in found[1].writes
    assert found[3].model_id == model_id
    assert ([key_of(each) for each in found[2].writes], [key_of(each) for each in found[2].deletes]) == ([("user:b", "member", "group:g")], [KEY])
    assert [(change.written, change.deleted) for change in found[1:3]] == [(2, 0), (1, 1)]
    assert [change.time for change in found[1:3]] == [start / 1e6, (start + SECOND) / 1e6]
    assert list(engine.changes(since=4)) == found[4:]
    assert list(engine.changes(since=6)) == []
    assert list(engine.changes(since=600)) == []


def test_changes_of_types_have_only_what_touches_them(engine: fgacore.Engine) -> None:
    engine.write([KEY], reason="group")
    engine.write([("user:a", "reader", "doc:1"), ("user:b", "member", "group:g")], reason="both")
    engine.write([("user:a", "viewer", "folder:f")], reason="folder")
    engine.write_model(MODEL)
    engine.write(deletes=[("user:a", "reader", "doc:1"), KEY], reason="deleted")
    found = list(engine.changes(types=["doc"]))
    assert [change.reason for change in found] == ["both", "deleted"]
    assert [[key_of(item) for item in (*change.writes, *change.deletes)] for change in found] == [[("user:a", "reader", "doc:1")]] * 2
    assert [(change.written, change.deleted) for change in found] == [(1, 0), (0, 1)]
    assert [change.reason for change in engine.changes(types=["doc", "folder"])] == ["both", "folder", "deleted"]
    assert list(engine.changes(types=["ledger"])) == []
    assert {change.kind for change in engine.changes(types=["doc", "folder", "group"])} == {"tuples"}


def test_changes_come_from_disk_after_a_restart(path: Path, clock: Clock) -> None:
    story = Story("changes")
    with fgacore.open(path, clock=clock) as engine:
        for _ in range(30):
            write_next(engine, story)
        before = list(engine.changes())
    with fgacore.open(path, clock=clock) as engine:
        assert list(engine.changes()) == before
    with fgacore.open(path, clock=clock, read_only=True) as engine:
        assert list(engine.changes(since=10)) == before[10:]
    assert len(before) == 31


def test_followed_changes_arrive_as_they_are_written(path: Path) -> None:
    found: list[Any] = []
    with fgacore.open(path) as engine, fgacore.open(path) as other:
        engine.write([KEY])

        def follow() -> None:
            for change in engine.changes(since=1, follow=True):
                found.append(change)
                if change.revision == 12:
                    return

        thread = threading.Thread(target=follow)
        thread.start()
        for number in range(10):
            (engine, other)[number % 2].write([(f"user:{number}", "member", "group:h")], actor=f"writer {number % 2}")
            time.sleep(0.002 * number)
        thread.join(20)
        assert not thread.is_alive()
    assert [change.revision for change in found] == list(range(2, 13))
    assert [change.actor for change in found[1:]] == ["writer 0", "writer 1"] * 5


def test_following_ends_with_the_engine(path: Path) -> None:
    engine = fgacore.open(path)
    seen = threading.Event()
    found: list[Any] = []

    def follow() -> None:
        try:
            for change in engine.changes(follow=True):
                found.append(change.revision)
                seen.set()
        except fgacore.StoreError as error:
            found.append(error.code)

    thread = threading.Thread(target=follow)
    thread.start()
    assert seen.wait(10)
    engine.close()
    thread.join(10)
    assert not thread.is_alive()
    assert found in ([1], [1, "closed"])


def test_a_reader_of_changes_that_is_slow_or_gone_holds_nobody_up(path: Path) -> None:
    with fgacore.open(path) as engine:
        slow = iter(engine.changes())
        next(slow)
        for number in range(50):
            engine.write([(f"user:{number}", "member", "group:g")])
        left = [change.revision for change in slow]
        assert left in ([], list(range(2, 52)))  # of the revision at the call, or of all there is: never with a gap
        following = iter(engine.changes(follow=True))
        next(following)
        del following
        engine.write([("user:after", "member", "group:g")])


# Import and export


def test_what_is_exported_is_imported_the_same(path: Path, tmp_path: Path, clock: Clock) -> None:
    story = Story("export")
    with fgacore.open(path, clock=clock) as engine:
        for _ in range(15):
            write_next(engine, story)
        for suffix in ("jsonl", "csv", "yaml"):
            target = tmp_path / f"tuples.{suffix}"
            assert engine.export_tuples(target) == len(story.state)
            with fgacore.open(tmp_path / suffix, clock=clock) as copy:
                copy.write_model(MODEL)
                result = copy.import_tuples(target, actor="user:mover", reason="moved")
                assert (result.read, result.written, result.skipped, result.errors) == (len(story.state), len(story.state), 0, ())
                assert result.revision == copy.revision
                answers(copy, story.state)
                assert {(change.actor, change.reason) for change in copy.changes(since=1)} == {("user:mover", "moved")}
                assert sum(change.written for change in copy.changes(since=1)) == len(story.state)
            with fgacore.open(tmp_path / suffix, clock=clock) as copy:
                answers(copy, story.state)


def test_an_import_is_all_or_nothing(engine: fgacore.Engine, path: Path) -> None:
    revision = engine.write([KEY])
    good = [(f"user:{number}", "member", "group:h") for number in range(1_000)]
    for bad in (("user:z", "nothing", "group:h"), ("nobody", "member", "group:h"), KEY):
        with pytest.raises(fgacore.FgaError):
            engine.import_tuples([*good, bad, ("user:y", "member", "group:h")])
        assert engine.revision == revision
        assert engine.stats().tuples == 1
    result = engine.import_tuples(good)
    assert result.written == 1_000
    with fgacore.open(path) as other:
        assert other.revision == result.revision == engine.revision
        assert other.stats().tuples == 1_001
    with engine.at(revision) as past:
        assert stored_in(past).keys() == {KEY}


def test_an_import_by_lots_can_be_resumed(engine: fgacore.Engine, tmp_path: Path) -> None:
    """What was written before the fault stays, and the same file goes on from there when it has been mended."""
    source = tmp_path / "tuples.csv"
    rows = [f"user:{number},member,group:h" for number in range(100)]
    source.write_text("\n".join(["subject,relation,object", *rows[:60], "user:z,nothing,group:h", *rows[60:]]) + "\n")
    with pytest.raises(fgacore.RequestError) as caught:
        engine.import_tuples(source, lots=10)
    assert "tuples.csv:62" in str(caught.value)
    assert engine.stats().tuples in range(10, 61)
    source.write_text("\n".join(["subject,relation,object", *rows]) + "\n")
    result = engine.import_tuples(source, lots=10, on_duplicate="ignore")
    assert engine.stats().tuples == 100
    assert result.revision == engine.revision


def test_bad_lines_are_skipped_on_request_and_told(engine: fgacore.Engine, tmp_path: Path) -> None:
    source = tmp_path / "tuples.jsonl"
    source.write_text(
        '{"subject": "user:a", "relation": "member", "object": "group:g"}\n'
        "not json\n"
        '{"subject": "user:b", "relation": "nothing", "object": "group:g"}\n'
        '{"user": "user:c", "relation": "member", "object": "group:g"}\n'
    )
    revision = engine.revision
    with pytest.raises(fgacore.RequestError) as caught:
        engine.import_tuples(source)
    assert "tuples.jsonl:2" in str(caught.value)
    assert engine.revision == revision
    result = engine.import_tuples(source, on_error="skip")
    assert (result.written, result.skipped) == (2, 2)
    assert [error.partition(": ")[0].rpartition("/")[2] for error in result.errors] == ["tuples.jsonl:2", "tuples.jsonl:3"]
    assert {subject for subject, _, _ in stored_in(engine)} == {"user:a", "user:c"}


def test_an_import_with_a_request_id_is_taken_once(engine: fgacore.Engine) -> None:
    lot = [(f"user:{number}", "member", "group:h") for number in range(50)]
    first = engine.import_tuples(lot, request_id="import-1")
    again = engine.import_tuples(lot, request_id="import-1")
    assert again.revision == first.revision == engine.revision
    assert code_of(lambda: engine.import_tuples(lot[1:], request_id="import-1")) == "conflict"


def test_an_export_with_parts_has_only_these(engine: fgacore.Engine, tmp_path: Path) -> None:
    engine.write([KEY, ("user:b", "member", "group:g"), ("user:a", "reader", "doc:1")])
    target = tmp_path / "part.csv"
    assert engine.export_tuples(target, subject="user:a") == 2
    assert engine.export_tuples(target, object="group:g") == 2
    assert "user:b,member,group:g" in target.read_text()
    assert "doc:1" not in target.read_text()
    assert target.stat().st_mode & 0o077 == 0


def test_an_export_that_fails_leaves_what_was_there(engine: fgacore.Engine, tmp_path: Path) -> None:
    target = tmp_path / "tuples.jsonl"
    target.write_text("before")
    engine.write([KEY])

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, fgacore.FgaError)):
        engine.export_tuples(target, progress=interrupt)
    assert target.read_text() == "before"
    assert [found.name for found in tmp_path.iterdir() if found.is_file()] == ["tuples.jsonl"]


# Several threads


def test_threads_that_write_at_once_commit_in_groups_and_each_is_whole(path: Path) -> None:
    with fgacore.open(path) as engine:
        revisions: dict[int, list[int]] = {}

        def work(number: int) -> None:
            revisions[number] = [
                engine.write([(f"user:{number}", "reader", f"doc:{number}-{lot}"), (f"user:{number}", "barred", f"doc:{number}-{lot}")])
                for lot in range(25)
            ]

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        every = sorted(revision for found in revisions.values() for revision in found)
        assert every == list(range(2, 202))
        for number, found in revisions.items():
            for lot, revision in enumerate(found):
                (change,) = (change for change in engine.changes(since=revision - 1) if change.revision == revision)
                assert {key_of(item) for item in change.writes} == {
                    (f"user:{number}", relation, f"doc:{number}-{lot}") for relation in ("reader", "barred")
                }
    with fgacore.open(path) as engine:
        assert engine.stats().tuples == 400
        assert ask(engine) == right([])


def test_a_refused_write_in_a_group_fails_alone(path: Path) -> None:
    """Writes of several threads are committed together, and one of them is wrong: the others are stored."""
    with fgacore.open(path) as engine:
        engine.write([KEY])
        outcomes: list[str] = []
        begin = threading.Barrier(8)

        def work(number: int) -> None:
            for lot in range(20):
                begin.wait(30)
                writes = [KEY] if number % 2 else [(f"user:{number}", "member", f"group:{lot}")]
                outcomes.append(code_of(lambda writes=writes: engine.write(writes)))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert sorted(outcomes) == ["done"] * 80 + ["tuple_exists"] * 80
        assert engine.revision == 82
        assert engine.stats().tuples == 81


def test_a_call_sees_what_was_written_before_it_began(path: Path) -> None:
    with fgacore.open(path) as engine:
        for number in range(50):
            question = ("user:a", "reader", f"doc:{number}")
            assert engine.check(*question) is False
            engine.write([question])
            assert engine.check(*question) is True
            engine.write(deletes=[question])
            assert engine.check(*question) is False


def test_the_clock_of_the_past_and_a_delta_of_days(engine: fgacore.Engine, clock: Clock) -> None:
    """A whole life of a grant, in the eyes of each day."""
    start = clock.now
    day = 86_400 * SECOND
    for number in range(6):
        clock.now = start + number * day
        if number == 1:
            engine.write([Tuple(*KEY, expires_at=Clock(start + 3 * day)())])
        if number == 4:
            engine.write([KEY])
        if number == 5:
            engine.write(deletes=[KEY])
    found = []
    for half in range(1, 12):
        with engine.at(time=Clock(start + half * day // 2)()) if half * day // 2 <= 5 * day else engine.at(engine.revision) as past:
            found.append(past.check(*KEY))
    assert found == [False, True, True, True, True, False, False, True, True, False, False]


def test_in_memory_nothing_is_known_of_the_past_once_records_are_gone() -> None:
    with fgacore.open(":memory:") as engine:
        engine.write_model(MODEL)
        first = engine.write([("user:anne", "member", "group:g")])
        assert engine.at(first).check("user:anne", "member", "group:g")
        engine._state.kept_bytes = MEMORY_RECORDS_BYTES_MAX  # all that fits: the next write lets go of the first
        second = engine.write([("user:bob", "member", "group:g")])
        for revision in (first, second):
            with pytest.raises(fgacore.StoreError) as raised:
                engine.at(revision)
            assert raised.value.code == "compacted"
        assert engine.check("user:anne", "member", "group:g")
