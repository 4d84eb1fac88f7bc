"""What a review found in how writes reach the disk, each with the interleaving that showed it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import fgacore
from fgacore import FgaError, StoreError
from fgacore.runtime import replica
from fgacore.tuples import Triple

MODEL = """
model
  schema 1.1
type user
type team
  relations
    define member: [user]
type doc
  relations
    define viewer: [user, team#member]
"""
WIDER = f"{MODEL}type folder\n  relations\n    define owner: [user]\ntype file\n  relations\n    define owner: [user]\n"
NARROWER = MODEL.replace("[user, team#member]", "[team#member]")

Opener = Callable[[], fgacore.Engine]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    """Opens one store, as often as a test likes."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(fgacore.open(tmp_path / "authz"))


def log_of(engine: fgacore.Engine) -> Any:
    store: Any = engine._store
    return store.log


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(FgaError) as caught:
        call()
    return caught.value.code


def test_a_view_that_is_made_while_a_revocation_is_on_its_way_ends_with_it(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = opened()
    engine.write_model(MODEL)
    engine.write([("user:a", "viewer", f"doc:{i}") for i in range(3)])
    questions = [("user:a", "viewer", f"doc:{i}") for i in range(3)]
    log, asked = log_of(engine), []
    append = log.append

    def slow(rows: Sequence[Any]) -> None:
        append(rows)
        asked.append([list(engine.batch_check(questions * 10)), engine.check(*questions[1])])  # the first questions of all

    monkeypatch.setattr(log, "append", slow)
    engine.write(deletes=[questions[1]])
    assert asked == [[[True] * 30, True]]
    assert engine.check(*questions[1]) is False
    assert list(engine.batch_check(questions * 10)) == [True, False, True] * 10


def test_a_view_that_is_made_while_a_team_is_on_its_way_ends_with_it(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, other = opened(), opened()
    engine.write_model(MODEL)
    engine.write([("user:a", "member", "team:t"), ("team:t#member", "viewer", "doc:1")])
    log = log_of(engine)
    append = log.append

    def slow(rows: Sequence[Any]) -> None:
        append(rows)
        for _ in range(3):
            assert engine.check("user:a", "viewer", "doc:1")

    monkeypatch.setattr(log, "append", slow)
    revision = engine.write(deletes=[("user:a", "member", "team:t")])
    other.wait_for(revision, 10)
    for asked in (engine, other):
        assert asked.check("user:a", "viewer", "doc:1") is False


def test_names_of_an_import_that_fails_are_taken_back_before_another_can_write(opened: Opener, tmp_path: Path) -> None:
    first, second = opened(), opened()
    first.write_model(MODEL)
    second.wait_for(1, 10)
    tuples: list[Triple] = [("user:a", "viewer", "doc:1"), ("user:a", "viewer", "doc:2")]
    begun, written = threading.Event(), threading.Event()

    def other() -> None:
        begun.wait(30)
        second.write(tuples)
        written.set()

    def fails(*_: object) -> None:
        begun.set()  # the other process is waiting for the head from here on
        raise RuntimeError("progress fails")

    thread = threading.Thread(target=other)
    thread.start()
    with pytest.raises(RuntimeError):
        first.import_tuples(tuples, progress=fails)
    thread.join()
    assert written.is_set()
    first.wait_for(2, 10)
    first.write([("user:mallory", "viewer", "doc:new1")])
    last = first.write([("user:x", "viewer", "doc:new2")])
    second.wait_for(last, 10)
    with fgacore.open(tmp_path / "authz", read_only=True) as third:
        for engine in (first, second, third):
            assert engine.check("user:mallory", "viewer", "doc:new2") is False
            assert engine.check("user:mallory", "viewer", "doc:new1") is True
            assert engine.check("user:a", "viewer", "doc:2") is True


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_in_the_middle_of_an_import_its_own_code_writes_nothing(where: str, tmp_path: Path) -> None:
    with fgacore.open(":memory:" if where == "memory" else tmp_path / "authz") as engine:
        engine.write_model(MODEL)
        refused = []

        def source() -> Iterator[Triple]:
            yield ("user:x", "viewer", "doc:1")
            refused.append(code_of(lambda: engine.write([("user:alice", "viewer", "doc:secret")])))
            refused.append(code_of(engine.compact))
            refused.append(code_of(lambda: engine.write_model(MODEL)))
            refused.append(code_of(lambda: engine.import_tuples([("user:alice", "viewer", "doc:secret")])))
            yield ("user:bad", "nonsense", "doc:1")

        assert code_of(lambda: engine.import_tuples(source())) == "relation_not_found"
        assert refused == ["busy"] * 4
        engine.write([("user:alice", "viewer", "doc:secret")])
        engine.write([("user:mallory", "viewer", "doc:m")])
        assert {(found.subject, found.object) for found in engine.read()} == {("user:alice", "doc:secret"), ("user:mallory", "doc:m")}
        assert not engine.check("user:mallory", "viewer", "doc:secret")


def test_a_snapshot_beside_a_model_tells_nothing_of_it(opened: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = opened()
    engine.write_model(MODEL)
    engine.write([("user:a", "viewer", "doc:1")])
    log, threads = log_of(engine), []
    append = log.append

    def slow(rows: Sequence[Any]) -> None:
        threads.append(threading.Thread(target=engine.snapshot))
        threads[-1].start()
        threads[-1].join(0.3)
        append(rows)

    monkeypatch.setattr(log, "append", slow)
    engine.write_model(WIDER)
    threads[0].join()
    with fgacore.open(tmp_path / "authz", read_only=True) as again:
        assert again.check("user:a", "viewer", "doc:1")
        assert again.stats().model_id == engine.stats().model_id
        assert not list(tmp_path.rglob("*.damaged"))


def test_a_model_that_cannot_be_written_leaves_no_number_behind(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, other = opened(), opened()
    engine.write_model(MODEL)
    log = log_of(engine)

    def full(rows: Sequence[Any]) -> None:
        raise StoreError("the disk is full", code="store_full")

    with monkeypatch.context() as context:
        context.setattr(log, "append", full)
        assert code_of(lambda: engine.write_model(WIDER)) == "store_full"
    other.write_model(MODEL + "type page\n  relations\n    define reader: [user]\n")
    revision = other.write([("user:a", "reader", "page:1")])
    engine.wait_for(revision, 10)
    assert engine.check("user:a", "reader", "page:1")
    engine.write_model(WIDER)
    assert not engine.check("user:a", "owner", "file:1")


def test_going_over_to_a_snapshot_takes_no_model_that_has_not_come_yet(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, other = opened(), opened()
    engine.write_model(MODEL)
    engine.write([("user:a", "viewer", "doc:1")])
    write = replica.write_snapshot

    def slow(*arguments: Any, **named: Any) -> Path:
        made = write(*arguments, **named)
        held, let_go = threading.Event(), threading.Event()

        def keep() -> None:
            with engine._state.lock:  # the follower is late
                held.set()
                let_go.wait(0.5)

        threading.Thread(target=keep).start()
        held.wait(10)
        other.write_model(NARROWER)
        return made

    monkeypatch.setattr(replica, "write_snapshot", slow)
    engine.snapshot()
    monkeypatch.undo()
    engine.wait_for(other.revision, 10)
    assert engine.stats().model_id == other.stats().model_id
    assert [asked.check("user:a", "viewer", "doc:1") for asked in (engine, other)] == [False, False]


def test_a_child_that_is_forked_while_a_snapshot_is_made_keeps_nobody_from_the_next(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = opened()
    engine.write_model(MODEL)
    write, children = replica.write_snapshot, []

    def forking(*arguments: Any, **named: Any) -> Path:
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
        children.append(child)
        return write(*arguments, **named)

    monkeypatch.setattr(replica, "write_snapshot", forking)
    try:
        engine.snapshot()
        monkeypatch.undo()
        started = time.monotonic()
        revision = engine.write([("user:a", "viewer", "doc:1")])
        assert engine.snapshot() == revision
        assert time.monotonic() - started < 20
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
