"""A shared log on PostgreSQL under faults: writers killed, the server shut down at once, the connection gone, and everything going on afterwards.

Reads go on without the server for `max_staleness` seconds and then fail closed; writes fail with a clear error at once. A test that stops the
server has one of its own.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import counts
import fgacore
from faults import tasks
from faults.peer import Peer, code_of, until
from faults.servers import Server, without_store
from faults.world import CONTEXT, Story, answers, ask, right, write_next
from fgacore import StoreError, Tuple

SOAK = bool(os.environ.get("FGACORE_SOAK"))
SEED = int(os.environ.get("FGACORE_SEED") or random.SystemRandom().randrange(1 << 32))
KILLS = 200 if SOAK else 6
SHUTDOWNS = 40 if SOAK else 2
NAMES = ("first", "second")
GONE = ("store_unavailable", "commit_unknown")


def stories() -> dict[str, Story]:
    return {name: Story(f"{SEED} {name}", name=name, mine=tasks.own(name)) for name in NAMES}


def started(url: str, told: dict[str, Story], peer: Callable[[], Peer], *, again: bool = False) -> dict[str, Peer]:
    """Two writers, each going on with its own story, once both have written."""
    crew = {name: peer() for name in NAMES}
    for name, child in crew.items():
        child.start(tasks.write_own_story, url, f"{SEED} {name}", told[name].step, name, again=again)
    for child in crew.values():
        assert child.hear()[0] == "open"
        child.hear()
    return crew


def judge(url: str, told: dict[str, Story], crew: dict[str, Peer]) -> int:
    """After their death: each acknowledged step is there, and at most the one after it; the answers are the oracle's. How many were acknowledged."""
    with fgacore.open(url) as engine:
        state: dict[Any, Any] = {}
        count = 0
        for name, child in crew.items():
            done = [step for step, _ in child.last_words() if isinstance(step, int)]
            count += len(done)
            step = told[name].told(engine)
            last = done[-1] if done else told[name].step
            assert last <= step <= last + 1, f"FGACORE_SEED={SEED}, {name}: acknowledged {last}, found {step}"
            told[name].go(step)
            state |= told[name].state
        answers(engine, state)
        revisions = [change.revision for change in engine.changes(since=0)]
        assert revisions == list(range(1, engine.revision + 1))
        return count


def test_killed_writers_over_postgres_lose_nothing_that_they_acknowledged(pg_store: Callable[[], str], peer: Callable[[], Peer]) -> None:
    chance = random.Random(f"{SEED} postgres")
    url, told, total = pg_store(), stories(), 0
    for number in range(KILLS):
        crew = started(url, told, peer)
        time.sleep(chance.random() * 0.08)
        crew["first"].kill()
        if number % 2:  # the other is not held up by a lock of the dead
            for _ in range(5):
                crew["second"].hear()
        crew["second"].kill()
        total += judge(url, told, crew)
    counts.report("kill -9 of writers over PostgreSQL", KILLS, KILLS, f"{total} acknowledged writes, all there")


def test_a_server_shut_down_at_once_loses_nothing_that_was_acknowledged(server: Server, peer: Callable[[], Peer]) -> None:
    """Between the writes of two processes, which are then killed; and of which the writes go on by themselves once the server is back."""
    chance = random.Random(f"{SEED} shutdown")
    url, told = server.store(), stories()
    for number in range(SHUTDOWNS):
        crew = started(url, told, peer, again=True)
        time.sleep(chance.random() * 0.1)
        server.stop_at_once()
        if number % 2:
            for child in crew.values():
                child.kill()
            server.start()
        else:
            time.sleep(0.3)
            server.start()
            for child in crew.values():  # what was under way is asked for again by its request id, and stored once
                heard = until(lambda child=child: [told for told in (child.hear() for _ in range(10)) if isinstance(told[0], int)])
                assert heard
            for child in crew.values():
                child.kill()
        judge(url, told, crew)


def test_a_stopped_server_stops_writes_at_once_and_reads_after_max_staleness(server: Server) -> None:
    url, story = server.store(), Story("stale")
    with fgacore.open(url, max_staleness=1.5) as engine:
        write_next(engine, story)
        answers(engine, story.state)
        revision = engine.revision
        server.stop_at_once()
        begun = time.monotonic()
        with pytest.raises(StoreError) as caught:
            engine.write([("user:a", "reader", "doc:9")])
        assert caught.value.code in GONE
        assert "\n" not in str(caught.value)
        assert time.monotonic() - begun < 15
        if time.monotonic() - begun < 1.0:
            answers(engine, story.state)  # reads go on
        until(lambda: code_of(lambda: ask(engine)) == "stale", 20)
        assert time.monotonic() - begun > 1.0, "it was stale long before its time"
        for question in (
            lambda: engine.check("user:a", "reader", "doc:1", context=CONTEXT),
            lambda: engine.check_objects("user:a", "reader", ["doc:1"], context=CONTEXT),
            lambda: engine.batch_check([("user:a", "reader", "doc:1")], context=CONTEXT),
            lambda: engine.list_objects("user:a", "reader", "doc", context=CONTEXT),
            lambda: engine.list_subjects("doc:1", "reader", "user", context=CONTEXT),
            lambda: engine.list_relations("user:a", "doc:1", context=CONTEXT),
            lambda: engine.filter_objects("user:a", "reader", ["doc:1"], context=CONTEXT),
            lambda: engine.reach("user:a", context=CONTEXT),
            lambda: engine.expand("doc:1", "viewer"),
            lambda: list(engine.read()),
            lambda: engine.check("user:a", "reader", "doc:1", context=CONTEXT, at_least=revision),
        ):
            assert code_of(question) == "stale"
        assert code_of(lambda: engine.write([("user:a", "reader", "doc:9")])) in (*GONE, "stale")
        server.start()
        until(lambda: code_of(lambda: ask(engine)) == "done", 20)
        answers(engine, story.state)
        until(lambda: code_of(lambda: engine.write([("user:late", "reader", "doc:9")])) == "done", 20)
        assert engine.check("user:late", "reader", "doc:9", context=CONTEXT) is True


def test_no_bound_on_staleness_must_be_written_out_and_then_holds(server: Server) -> None:
    url, story = server.store(), Story("unbounded")
    with fgacore.open(url, max_staleness=None) as unbounded, fgacore.open(url, max_staleness=1.5) as bounded:
        write_next(unbounded, story)
        bounded.wait_for(unbounded.revision, timeout=10)
        server.stop_at_once()
        until(lambda: code_of(lambda: ask(bounded)) == "stale", 20)
        time.sleep(1.0)
        answers(unbounded, story.state)
        server.start()


def test_a_quiet_log_is_not_a_stale_one(pg_store: Callable[[], str]) -> None:
    """Nothing is written for longer than the bound, and the server is there: that there is no news is news."""
    url = pg_store()
    with fgacore.open(url, max_staleness=0.6) as engine:
        for _ in range(20):
            assert engine.check("user:a", "reader", "doc:1", context=CONTEXT) is False
            time.sleep(0.1)


def test_expiry_goes_on_while_the_server_is_gone(server: Server) -> None:
    """An expired grant is absent from its instant on, news or no news."""
    url = server.store()
    with fgacore.open(url, max_staleness=None) as engine:
        engine.write([("user:b", "member", "group:g")])
        soon = tasks.now() + timedelta(seconds=1.2)
        engine.write([Tuple("user:a", "member", "group:g", expires_at=soon)])
        server.stop_at_once()
        assert engine.check("user:a", "member", "group:g") is (tasks.now() < soon)
        until(lambda: not engine.check("user:a", "member", "group:g"), 10)
        assert engine.check("user:b", "member", "group:g") is True
        server.start()


def test_an_open_without_a_server_is_a_clear_refusal(server: Server) -> None:
    url = server.store()
    server.stop_at_once()
    begun = time.monotonic()
    with pytest.raises(StoreError) as caught:
        fgacore.open(url).close()
    assert caught.value.code == "store_unavailable"
    assert time.monotonic() - begun < 30
    server.start()


def test_a_write_whose_commit_is_unknown_is_settled_by_its_request_id(server: Server) -> None:
    """Shutdowns at random instants under one writer: asked again with the same request id, each write is there exactly once."""
    url = server.store()
    with fgacore.open(url, max_staleness=None) as engine:
        stop = threading.Event()

        def disturb() -> None:
            chance = random.Random(SEED)
            try:
                for _ in range(6 if SOAK else 2):
                    time.sleep(0.1 + chance.random() * 0.2)
                    server.stop_at_once()
                    server.start()
            finally:
                stop.set()

        thread = threading.Thread(target=disturb)
        thread.start()
        number, failures, revisions = 0, 0, []
        while not stop.is_set() or number < 20:
            while True:
                try:
                    revisions.append(engine.write([(f"user:r{number}", "reader", "doc:1")], request_id=f"request {number}"))
                    break
                except StoreError as error:
                    if error.code not in GONE:
                        raise
                    failures += 1
                    time.sleep(0.02)
            number += 1
        thread.join()
        assert revisions == sorted(set(revisions))
        changes = [change for change in engine.changes(since=1) if change.kind == "tuples"]
        assert [item.subject for change in changes for item in change.writes] == [f"user:r{n}" for n in range(number)]
        assert [change.revision for change in changes] == revisions
        counts.report("writes over server shutdowns", number, number, f"{failures} failed first, each stored once")


def test_many_writers_over_postgres_share_one_sequence(pg_store: Callable[[], str], peer: Callable[[], Peer]) -> None:
    url, count = pg_store(), 100 if SOAK else 15
    crew, follower = [peer() for _ in range(4)], peer()
    follower.run(tasks.open, url)
    for seed, child in enumerate(crew):
        child.start(tasks.write_shared, url, seed, count)
    done = [write for child in crew for write in child.end()]
    with fgacore.open(url) as engine:
        state = {}
        for change in engine.changes(since=0):
            for item in change.deletes:
                state.pop((item.subject, item.relation, item.object), None)
            for item in change.writes:
                state[item.subject, item.relation, item.object] = (item.subject, item.relation, item.object)
        assert ask(engine) == right(state.values())  # type: ignore[arg-type]
        follower.call("wait_for", engine.revision, timeout=20)
        assert follower.run(tasks.everything) == tasks.seen(engine)
        made = {f"{change.actor} {change.reason}": change.revision for change in engine.changes(since=1)}
        assert all(made[text] == revision for revision, text in done if text in made)


def test_a_cache_of_snapshots_answers_the_same_and_is_only_a_cache(pg_store: Callable[[], str], tmp_path: Path) -> None:
    url, story, cache = pg_store(), Story("cache"), tmp_path / "cache"
    with fgacore.open(url, cache=cache) as engine:
        for _ in range(20):
            write_next(engine, story)
        engine.snapshot()
        answers(engine, story.state)
    assert list(cache.rglob("snapshot-*.fga"))
    with fgacore.open(url, cache=cache, verify=True) as engine, fgacore.open(url) as plain:
        assert tasks.seen(engine) == tasks.seen(plain)
        write_next(engine, story)
        answers(engine, story.state)
    for found in cache.rglob("snapshot-*.fga"):
        os.truncate(found, found.stat().st_size // 2)
    with fgacore.open(url, cache=cache) as engine:
        answers(engine, story.state)


def test_one_cache_for_two_stores_does_not_mix_them(pg_store: Callable[[], str], tmp_path: Path) -> None:
    left, right_ = pg_store(), pg_store()
    told = {left: Story("left"), right_: Story("right")}
    for url in (left, right_):
        with fgacore.open(url, cache=tmp_path) as engine:
            for _ in range(10):
                write_next(engine, told[url])
            engine.snapshot()
    for url in (right_, left):
        with fgacore.open(url, cache=tmp_path, verify=True) as engine:
            answers(engine, told[url].state)


def test_stores_in_one_database_do_not_meet(pg_store: Callable[[], str]) -> None:
    with fgacore.open(pg_store()) as left, fgacore.open(pg_store()) as right_:
        left.write([("user:a", "member", "group:g")])
        right_.write([("user:b", "member", "group:g")])
        assert (left.revision, right_.revision) == (2, 2)
        assert left.check("user:b", "member", "group:g") is False
        assert right_.check("user:a", "member", "group:g") is False


def test_errors_and_reprs_hold_no_password(server: Server) -> None:
    url = server.store()
    secret = url.replace("postgres@", "postgres:s3cr3t-word@", 1)
    assert "s3cr3t-word" in secret
    server.stop_at_once()
    with pytest.raises(StoreError) as caught:
        fgacore.open(secret).close()
    assert "s3cr3t-word" not in str(caught.value)
    server.start()
    with fgacore.open(secret) as engine:
        assert "s3cr3t-word" not in repr(engine)


@pytest.mark.parametrize("tail", ["store=", "store=a&store=b", "poll=0", "poll=x", "notify=maybe", "store=" + "x" * 5_000])
def test_a_url_with_odd_options_is_refused_not_guessed(tail: str, pg_store: Callable[[], str]) -> None:
    with pytest.raises(fgacore.RequestError) as caught:
        fgacore.open(f"{without_store(pg_store())}&{tail}").close()
    assert caught.value.code == "invalid_store"


def test_a_fork_over_postgres(pg_store: Callable[[], str], peer: Callable[[], Peer]) -> None:
    found = peer().run(tasks.fork_after_open, pg_store())
    assert found["faults"] == []


def test_compaction_over_postgres_is_followed(pg_store: Callable[[], str], peer: Callable[[], Peer]) -> None:
    url, story, other = pg_store(), Story("compacted"), peer()
    with fgacore.open(url) as engine:
        for _ in range(15):
            write_next(engine, story)
        other.run(tasks.open, url)
        before = engine.revision
        revision = other.call("compact", actor="user:keeper", reason="erasure")
        assert revision > before
        engine.wait_for(revision, timeout=10)
        answers(engine, story.state)
        write_next(engine, story)
        answers(engine, story.state)
        assert engine.generation == 2
        other.call("wait_for", engine.revision, timeout=10)
        assert other.run(tasks.everything) == tasks.seen(engine)
    with fgacore.open(url) as engine:
        answers(engine, story.state)
