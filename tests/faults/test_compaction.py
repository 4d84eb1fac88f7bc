"""Compaction: how personal data is erased. The names of what was deleted are nowhere any more, ids are new, and no old id means anything."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy
import pytest

import fgacore
from faults import tasks
from faults.logs import chain_is_whole, command, contents, database
from faults.peer import Peer, code_of, until
from faults.world import CONTEXT, MODEL, Clock, Story, answers, key_of, write_next
from fgacore import Tuple
from oracle import Key

SOAK = bool(os.environ.get("FGACORE_SOAK"))
SECRET = "mrs-henrietta-lacks"
REFUSED = ("generation_differs", "sets_differ")


def replayed(changes: Iterable[fgacore.Change]) -> set[Key]:
    """The keys that are stored after these changes; a checkpoint begins anew."""
    found: set[Key] = set()
    for change in changes:
        if change.kind == "checkpoint":
            found.clear()
        found -= {key_of(item) for item in change.deletes}
        found |= {key_of(item) for item in change.writes}
    return found


def with_a_secret(engine: fgacore.Engine) -> None:
    """A person who is mentioned as subject, in an object's name, as actor and reason, in a context, and gone from all of it but the history."""
    engine.write(
        [
            (f"user:{SECRET}", "member", "group:g"),
            (f"user:{SECRET}", "reader", "doc:1"),
            ("user:a", "reader", f"doc:file-of-{SECRET}"),
            ("user:a", "reader", "doc:1"),
        ],
        actor=f"user:{SECRET}",
        reason=f"at the wish of {SECRET}",
    )
    engine.snapshot()
    engine.write([(f"group:{SECRET}#member", "reader", "doc:2")])
    engine.delete(subject=f"user:{SECRET}")
    engine.delete(object=f"doc:file-of-{SECRET}")
    engine.delete(subject=f"group:{SECRET}#member")


def test_names_of_deleted_tuples_are_nowhere_in_the_directory(store: Path) -> None:
    with fgacore.open(store) as engine:
        with_a_secret(engine)
        assert SECRET.encode() in contents(store)
        engine.compact(actor="user:keeper", reason="erasure request 12")
        assert SECRET.encode() not in contents(store), "while the engine is open"
        assert engine.check("user:a", "reader", "doc:1", context=CONTEXT) is True
        assert engine.check(f"user:{SECRET}", "reader", "doc:1", context=CONTEXT) is False
    assert SECRET.encode() not in contents(store)
    with fgacore.open(store, verify=True) as engine:
        assert engine.check("user:a", "reader", "doc:1", context=CONTEXT) is True
        assert [(item.subject, item.object) for item in engine.read()] == [("user:a", "doc:1")]
    assert SECRET.encode() not in contents(store)
    chain_is_whole(store)


def test_expired_tuples_are_erased_too(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "authz"
    with fgacore.open(path, clock=clock) as engine:
        engine.write_model(MODEL)
        engine.write([Tuple(f"user:{SECRET}", "member", "group:g", expires_at=Clock(clock.now + 1_000_000)()), ("user:a", "member", "group:g")])
        clock.now += 2_000_000
        engine.compact()
    assert SECRET.encode() not in contents(path)


def test_names_that_are_still_in_use_stay(store: Path) -> None:
    """Compaction erases what was deleted, and nothing else: grants, contexts, expiries and all models that count."""
    story = Story("stays")
    with fgacore.open(store) as engine:
        for _ in range(40):
            write_next(engine, story)
        before = tasks.seen(engine)
        engine.compact()
        answers(engine, story.state)
        after = tasks.seen(engine)
        assert (after[1], after[2]) == (before[1], before[2])
    with fgacore.open(store, verify=True) as engine:
        answers(engine, story.state)
        assert tasks.seen(engine)[3] == after[3]
        write_next(engine, story)
        answers(engine, story.state)


def test_the_command_erases(store: Path) -> None:
    with fgacore.open(store) as engine:
        with_a_secret(engine)
    result = command("compact", "--store", store, "--yes")
    assert result.exit_code == 0, result.output
    assert SECRET.encode() not in contents(store)
    chain_is_whole(store)


def test_ids_are_renumbered_and_old_ones_and_sets_are_refused(store: Path) -> None:
    with fgacore.open(store) as engine:
        engine.write([(f"user:{number}", "reader", f"doc:{number % 50}") for number in range(500)])
        engine.write(deletes=[(f"user:{number}", "reader", f"doc:{number % 50}") for number in range(0, 500, 2)])
        generation = engine.generation
        old = engine.list_objects("user:7", "reader", "doc", context=CONTEXT)
        reach = engine.reach("user:7", context=CONTEXT)
        assert old.to_list() == ["doc:7"]
        revision = engine.compact()
        assert engine.generation == generation + 1
        assert engine.revision == revision
        new = engine.list_objects("user:7", "reader", "doc", context=CONTEXT)
        assert new.to_list() == ["doc:7"]
        assert (old.generation, new.generation) == (generation, generation + 1)
        for operation in (
            lambda: old | new,
            lambda: old & new,
            lambda: new - old,
            lambda: new ^ old,
            lambda: reach.diff(engine.reach("user:7")),
        ):
            assert code_of(operation) in REFUSED
        assert old != new
        ids = engine.ids("user", [str(number) for number in range(1, 500, 2)])
        assert sorted(ids.tolist()) == list(range(250)), "the ids of a new generation are dense"
        assert old.to_list() == ["doc:7"], "an old set goes on saying what it said"


def test_ids_of_an_old_generation_do_not_grant(store: Path) -> None:
    """The numbers of before mean others now: a call by ids must say of which generation they are, and another than the store's is refused."""
    one = numpy.zeros(1, dtype=numpy.uint32)
    with fgacore.open(store) as engine:
        engine.write([(f"user:{number}", "reader", f"doc:{number}") for number in range(20)])
        ids = engine.ids("doc", ["19"])
        assert ids[0] == 19
        engine.write(deletes=[(f"user:{number}", "reader", f"doc:{number}") for number in range(19)])
        engine.compact()
        assert engine.ids("doc", ["19"]).tolist() == [0]
        assert engine.ids("user", ["3"]).tolist() == [fgacore.NONE]

        def by_ids(given: Any, **options: Any) -> list[bool]:
            found = engine.check_ids(0, "reader", given, subject_type="user", object_type="doc", context=CONTEXT, **options)
            return [bool(answer) for answer in found]

        assert by_ids(one, generation=engine.generation) == [True]
        assert by_ids(ids, generation=engine.generation) == [False]
        for call in (lambda: by_ids(one), lambda: by_ids(ids), lambda: by_ids(one, generation=1), lambda: by_ids(one, generation=3)):
            assert code_of(call) == "generation_differs"


def test_history_before_is_gone_and_says_so(store: Path) -> None:
    """What was dropped is refused, not passed over: a consumer of changes that is behind must begin anew, and is told.

    Who begins anew, from 0, gets the checkpoint: all that was stored then, and what came after it.
    """
    story = Story("history")
    with fgacore.open(store) as engine:
        for _ in range(20):
            write_next(engine, story)
        before = engine.revision
        revision = engine.compact(actor="user:keeper", reason="quarterly")
        assert revision > before
        for call in (
            lambda: engine.at(before - 3),
            lambda: engine.at(1),
            lambda: engine.changes(since=1),
            lambda: list(engine.changes(since=before - 3)),
        ):
            assert code_of(lambda call=call: list(call())) == "compacted"
        assert replayed(engine.changes(since=0)) == Story("history").go(20).state.keys()
        first = write_next(engine, story)
        assert first == revision + 1
        assert [change.revision for change in engine.changes(since=revision)] == [first]
        with engine.at(first) as past:
            answers(past, story.state)
        with engine.at(revision) as past:
            answers(past, Story("history").go(20).state)
        checkpoint = [change for change in engine.changes(since=before) if change.kind == "checkpoint"]
        assert [(change.actor, change.reason) for change in checkpoint[:1]] == [("user:keeper", "quarterly")]


def test_a_time_before_the_checkpoint_is_gone_too(tmp_path: Path) -> None:
    clock = Clock()
    start = clock.now
    with fgacore.open(tmp_path / "authz", clock=clock) as engine:
        engine.write_model(MODEL)
        engine.write([("user:a", "member", "group:g")])
        clock.now += 10_000_000
        engine.compact()
        clock.now += 10_000_000
        engine.write(deletes=[("user:a", "member", "group:g")])
        assert code_of(lambda: engine.at(time=Clock(start + 1_000_000)())) == "compacted"
        with engine.at(time=Clock(start + 15_000_000)()) as past:
            assert past.check("user:a", "member", "group:g") is True


def test_the_chain_goes_on_over_a_compaction(store: Path) -> None:
    """A head that was written down before is no longer in the log; the checkpoint is chained to the last of them."""
    story = Story("chain")
    with fgacore.open(store) as engine:
        for _ in range(10):
            write_next(engine, story)
    with database(store) as connection:
        ((head,),) = connection.execute("SELECT hash FROM log ORDER BY revision DESC LIMIT 1").fetchall()
    with fgacore.open(store) as engine:
        engine.compact()
        write_next(engine, story)
    with database(store) as connection:
        ((base,),) = connection.execute("SELECT base_hash FROM store").fetchall()
    assert base == head
    chain_is_whole(store)
    with database(store) as connection:
        ((newest,),) = connection.execute("SELECT hash FROM log ORDER BY revision DESC LIMIT 1").fetchall()
    assert command("verify", store, "--head", newest.hex()).exit_code == 0


def test_other_processes_go_over_to_the_new_generation_by_themselves(store: Path, peer: Callable[[], Peer]) -> None:
    story, reader, writer = Story("over"), peer(), peer()
    with fgacore.open(store) as engine:
        for _ in range(20):
            write_next(engine, story)
        reader.run(tasks.open, os.fspath(store), read_only=True)
        writer.run(tasks.open, os.fspath(store))
        for turn in range(4):
            revision = engine.compact() if turn % 2 else writer.call("compact")
            for child in (reader, writer):
                assert child.call("wait_for", revision, timeout=10) >= revision
                assert child.call("generation") == turn + 2
            engine.wait_for(revision, timeout=10)
            for _ in range(3):
                write_next(engine, story)
            for child in (reader, writer):
                child.call("wait_for", engine.revision, timeout=10)
                assert child.run(tasks.everything) == tasks.seen(engine)
            last = writer.call("write", [(f"user:turn-{turn}", "mark", "ledger:turn")])
            engine.wait_for(last, timeout=10)
        engine.delete(object="ledger:turn")
        answers(engine, story.state)
    chain_is_whole(store)


@pytest.mark.parametrize("read_only", [False, True])
def test_opening_while_another_compacts(read_only: bool, store: Path, peer: Callable[[], Peer]) -> None:
    """Whatever falls between the steps of the opening, it is of one whole moment, and no compaction is taken for damage."""
    story, writer, keeper = Story("meanwhile"), peer(), peer()
    writer.start(tasks.write_story, os.fspath(store), "meanwhile", 0)
    keeper.start(tasks.keep_snapshots, os.fspath(store), compact=True)
    assert writer.hear()[0] == "open"
    assert keeper.hear() == "open"
    for _ in range(400 if SOAK else 60):
        with fgacore.open(store, read_only=read_only) as engine:
            marks = [item.subject for item in engine.read(relation="mark")]
            assert len(marks) <= 1
    for child in (writer, keeper):
        child.kill()
        child.last_words()
    with fgacore.open(store) as engine:
        answers(engine, story.go(story.told(engine)).state)
    chain_is_whole(store)


def test_a_store_that_was_compacted_while_nobody_looked_opens_by_its_checkpoint(store: Path, peer: Callable[[], Peer]) -> None:
    """An engine that missed the compaction by a long way, since its process stood still, comes back to the new generation."""
    story, sleeper = Story("sleeper"), peer()
    with fgacore.open(store) as engine:
        for _ in range(10):
            write_next(engine, story)
        sleeper.run(tasks.open, os.fspath(store))
        sleeper.process.send_signal(signal.SIGSTOP)
        for _ in range(2):
            engine.compact()
            for _ in range(10):
                write_next(engine, story)
        sleeper.process.send_signal(signal.SIGCONT)
        sleeper.call("wait_for", engine.revision, timeout=20)
        assert sleeper.run(tasks.everything) == tasks.seen(engine)
        last = sleeper.call("write", [("user:awake", "mark", "ledger:awake")])
        engine.wait_for(last, timeout=10)
        engine.delete(object="ledger:awake")
        answers(engine, story.state)


def test_compaction_beside_writers_and_readers_in_threads(store: Path) -> None:
    story, faults, done = Story("threads"), [], threading.Event()
    with fgacore.open(store) as engine:
        engine.write([("user:fixed", "mark", "ledger:fixed")])

        def read() -> None:
            try:
                while not done.is_set():
                    assert engine.check("user:fixed", "mark", "ledger:fixed") is True
                    assert engine.check("user:other", "mark", "ledger:fixed") is False
                    assert engine.batch_check([("user:fixed", "mark", "ledger:fixed"), ("user:x", "mark", "ledger:fixed")] * 40)[:2] == [True, False]
                    assert engine.list_objects("user:fixed", "mark", "ledger").to_list() == ["ledger:fixed"]
                    assert sorted(engine.list_subjects("ledger:fixed", "mark", "user")) == ["user:fixed"]
            except BaseException as error:  # noqa: BLE001 - told by the main thread
                faults.append(repr(error))

        threads = [threading.Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        for number in range(60):
            write_next(engine, story)
            if number % 6 == 0:
                engine.compact()
        done.set()
        for thread in threads:
            thread.join(60)
        assert faults == []
        engine.delete(object="ledger:fixed")
        answers(engine, story.state)
        assert engine.generation == 11
    chain_is_whole(store)


def test_following_changes_over_a_compaction_leaves_nothing_out(store: Path) -> None:
    """A follower that has seen everything meets the checkpoint, which tells what is stored once more, and then every write after it."""
    found: list[Any] = []
    with fgacore.open(store) as engine:
        story = Story("following")

        def follow() -> None:
            for change in engine.changes(since=1, follow=True):
                found.append(change)
                if change.reason == "step 20":
                    return

        thread = threading.Thread(target=follow)
        thread.start()
        for number in range(20):
            write_next(engine, story)
            if number == 9:
                until(lambda: found and found[-1].reason == "step 10")
                engine.compact()
        thread.join(20)
        assert not thread.is_alive(), [change.revision for change in found][-3:]
    assert [change.reason for change in found if change.actor == "only"] == [f"step {number}" for number in range(1, 21)]
    assert next(change.kind for change in found if change.actor != "only") == "checkpoint"
    assert replayed(found) == story.state.keys()


def test_request_ids_survive_a_compaction(store: Path) -> None:
    with fgacore.open(store) as engine:
        revision = engine.write([("user:a", "member", "group:g")], request_id="r-1")
        engine.compact()
        assert engine.write([("user:a", "member", "group:g")], request_id="r-1") == revision
        assert code_of(lambda: engine.write([("user:b", "member", "group:g")], request_id="r-1")) == "conflict"


def test_an_empty_store_can_be_compacted(tmp_path: Path) -> None:
    with fgacore.open(tmp_path / "authz") as engine:
        engine.compact()
        engine.write_model(MODEL)
        engine.write([("user:a", "member", "group:g")])
        engine.compact()
        assert engine.check("user:a", "member", "group:g") is True
    with fgacore.open(tmp_path / "authz") as engine:
        assert engine.check("user:a", "member", "group:g") is True
    chain_is_whole(tmp_path / "authz")


def test_a_large_store_is_compacted_whole_and_read_whole(store: Path) -> None:
    """A checkpoint of more than one record: nobody stops in its middle."""
    with fgacore.open(store) as engine, fgacore.open(store, read_only=True) as reader:
        for lot in range(6):
            engine.write([(f"user:{lot}-{number}", "reader", f"doc:{number}") for number in range(20_000)])
        engine.delete(object="doc:7")
        revision = engine.compact()
        reader.wait_for(revision, timeout=30)
        for found in (engine, reader):
            assert found.stats().tuples == 119_994
            assert found.check("user:5-19999", "reader", "doc:19999", context=CONTEXT) is True
            assert found.check("user:5-7", "reader", "doc:7", context=CONTEXT) is False
    with fgacore.open(store, verify=True) as engine:
        assert engine.stats().tuples == 119_994
    chain_is_whole(store)
