"""Clocks that jump: engine time never goes back, a far future is refused, and no expired tuple comes back to life.

The clock is given by the test, and jumps as clocks of machines do: back after a correction, ahead after a wrong one, and differently for two
processes of one store.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgpack
import pytest

import fgacore
from faults.logs import chain_is_whole, database, without_snapshots
from faults.peer import Peer, code_of, until
from faults.world import MODEL, Clock
from fgacore import Tuple

SECOND = 1_000_000
DAY = 86_400 * SECOND
KEY = ("user:a", "member", "group:g")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timed(tmp_path: Path, clock: Clock) -> Path:
    """A store whose clock the test sets, with a tuple that expires in ten seconds."""
    path = tmp_path / "authz"
    with fgacore.open(path, clock=clock) as engine:
        engine.write_model(MODEL)
        engine.write([Tuple(*KEY, expires_at=Clock(clock.now + 10 * SECOND)())])
    return path


def test_a_clock_that_jumps_back_stops_time_and_brings_nothing_back(timed: Path, clock: Clock) -> None:
    start = clock.now
    with fgacore.open(timed, clock=clock) as engine:
        assert engine.check(*KEY) is True
        clock.now = start + 10 * SECOND
        assert engine.check(*KEY) is False
        clock.now = start - 30 * DAY
        assert engine.check(*KEY) is False
        revision = engine.write([("user:b", "member", "group:g")])
        (change,) = engine.changes(since=revision - 1)
        assert change.time >= (start + 10 * SECOND) / 1e6
        assert engine.check(*KEY) is False
    chain_is_whole(timed)


def test_time_does_not_go_back_over_a_restart(timed: Path, clock: Clock) -> None:
    """The last time that the log has seen is where time goes on from, whatever the clock of the machine says."""
    start = clock.now
    with fgacore.open(timed, clock=clock) as engine:
        clock.now = start + 20 * SECOND
        engine.write([("user:b", "member", "group:g")])
    clock.now = start
    for _ in range(2):
        with fgacore.open(timed, clock=clock) as engine:
            assert engine.check(*KEY) is False
            assert list(engine.read(subject="user:a")) == []
            engine.write([("user:c", "member", "group:g")], on_duplicate="ignore")
    without_snapshots(timed)
    with fgacore.open(timed, clock=clock) as engine:
        assert engine.check(*KEY) is False
    chain_is_whole(timed)


def test_time_that_another_process_has_written_counts_here_too(timed: Path, clock: Clock) -> None:
    """One process is ahead: what it has recorded moves the time of the other, whose own clock is behind."""
    ahead = Clock(clock.now)
    with fgacore.open(timed, clock=clock) as behind, fgacore.open(timed, clock=ahead) as other:
        ahead.now += 15 * SECOND
        revision = other.write([("user:b", "member", "group:g")])
        behind.wait_for(revision, timeout=10)
        assert behind.check(*KEY) is False
        assert behind.check(*KEY, at_least=revision) is False


def test_a_clock_of_the_machine_that_jumps_far_ahead_may_not_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A time once recorded moves all processes for good: a jump of the machine's clock is refused, and is over once the clock is right again."""
    jump, machine = 0.0, time.time
    with fgacore.open(tmp_path / "authz") as engine:
        engine.write_model(MODEL)
        engine.write([KEY])
        revision = engine.revision
        monkeypatch.setattr(time, "time", lambda: machine() + jump)
        jump = 2 * 3600.0
        assert code_of(lambda: engine.write([("user:b", "member", "group:g")])) == "clock_jumped"
        assert code_of(lambda: engine.write_model(MODEL)) == "clock_jumped"
        assert engine.revision == revision
        assert engine.check(*KEY) is True
        jump = 0.0
        engine.write([("user:b", "member", "group:g")])
    chain_is_whole(tmp_path / "authz")


def test_a_machine_that_slept_for_weeks_goes_on(timed: Path, clock: Clock) -> None:
    """A store that was closed, or not written to, for a long time is nothing odd."""
    clock.now += 60 * DAY
    with fgacore.open(timed, clock=clock) as engine:
        assert engine.check(*KEY) is False
        engine.write([("user:b", "member", "group:g")])
        assert engine.check("user:b", "member", "group:g") is True


def appended(path: Path, ahead: int) -> int:
    """A record of this much later than the newest, well formed and chained, as a process with a wrong clock would have left it; its revision."""
    with database(path) as connection:
        revision, time, digest, record = connection.execute("SELECT revision, time, hash, record FROM log ORDER BY revision DESC LIMIT 1").fetchone()
        fields = msgpack.unpackb(record, strict_map_key=False)
        fields[2], fields[3] = revision + 1, time + ahead
        fields[-1] = _other_subject(fields[-1])
        data = msgpack.packb(fields)
        connection.execute(
            "INSERT INTO log (revision, time, hash, record) VALUES (?, ?, ?, ?)",
            (revision + 1, time + ahead, hashlib.sha256(digest + data).digest(), data),
        )
    return int(revision) + 1


def _other_subject(payload: object) -> object:
    """The same record, about someone else."""
    if isinstance(payload, dict):
        return {key: _other_subject(value) for key, value in payload.items()}
    if isinstance(payload, list):
        return [_other_subject(value) for value in payload]
    return "user:late" if payload == "user:b" else payload


def test_a_record_of_a_far_future_is_refused(timed: Path, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """Taken in, it would expire everything that expires at all, for good."""
    with fgacore.open(timed, clock=clock) as engine:
        engine.write([("user:b", "member", "group:g")])
    without_snapshots(timed)
    revision = appended(timed, 4_000 * DAY)
    with pytest.raises(fgacore.StoreError) as caught:
        fgacore.open(timed, clock=clock).close()
    assert caught.value.code == "clock_jumped"
    assert str(revision) in str(caught.value)


def test_a_record_of_a_far_future_stops_a_process_that_follows(timed: Path, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.CRITICAL), fgacore.open(timed, clock=clock) as engine:
        engine.write([("user:b", "member", "group:g")])
        assert engine.check(*KEY) is True
        appended(timed, 4_000 * DAY)
        assert until(lambda: code_of(lambda: engine.check(*KEY)) == "clock_jumped")
        assert code_of(lambda: engine.write([("user:c", "member", "group:g")])) == "clock_jumped"


def test_a_record_of_a_time_before_the_one_before_it_is_damage(timed: Path, clock: Clock) -> None:
    with fgacore.open(timed, clock=clock) as engine:
        engine.write([("user:b", "member", "group:g")])
    without_snapshots(timed)
    appended(timed, -5 * DAY)
    assert code_of(lambda: fgacore.open(timed, clock=clock)) == "corrupt"


def test_two_processes_of_which_one_is_a_little_ahead_write_in_turn(timed: Path, clock: Clock) -> None:
    """Clocks of two machines differ: times do not fall, and nobody is refused for it."""
    other = Clock(clock.now + 2 * SECOND)
    with fgacore.open(timed, clock=clock) as left, fgacore.open(timed, clock=other) as right:
        for number in range(6):
            (left, right)[number % 2].write([(f"user:{number}", "member", "group:h")])
            clock.now += 1_000
            other.now += 1_000
        left.wait_for(right.revision, timeout=10)
        times = [change.time for change in left.changes(since=0)]
        assert times == sorted(times)
    chain_is_whole(timed)


def test_an_expiry_that_has_passed_while_the_store_was_closed_has_passed(timed: Path, clock: Clock) -> None:
    for jump, there in ((9 * SECOND, True), (10 * SECOND, False), (11 * SECOND, False)):
        moved = Clock(clock.now + jump)
        with fgacore.open(timed, clock=moved, read_only=True) as engine:
            assert engine.check(*KEY) is there
            assert [item.subject for item in engine.read(object="group:g")] == ["user:a"] * there
            assert len(engine.list_objects("user:a", "member", "group")) == there


def test_the_clock_of_the_machine_is_used_where_none_is_given(tmp_path: Path, peer: Callable[[], Peer]) -> None:
    with fgacore.open(tmp_path / "authz") as engine:
        engine.write_model(MODEL)
        before = datetime.now(UTC)
        engine.write([Tuple(*KEY, expires_at=before + timedelta(seconds=0.3))])
        assert engine.check(*KEY) is True
        until(lambda: not engine.check(*KEY))
        assert datetime.now(UTC) >= before + timedelta(seconds=0.3)
