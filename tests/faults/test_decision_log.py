"""The decision log under faults: what is not on its way to the disk is denied, and whatever is lost is counted, exactly.

A full disk, a directory that may not be written, files removed or replaced in mid-session, kill -9, forks, a log that cannot keep up.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import counts
import fgacore
from faults import tasks
from faults.peer import Peer, until
from fgacore.audit import heads, read, replay, verify
from fgacore.audit.verify import ChainReport

SOAK = bool(os.environ.get("FGACORE_SOAK"))
KILLS = 60 if SOAK else 6
NOBODY = 65_534


def reports(path: Path, *, again: bool = True) -> list[ChainReport]:
    """What is found of each chain of a store, none of which was changed; again: each decision comes out as it was."""
    found = verify(path / "decisions")
    assert found.good, found
    if again:
        made = replay(path)
        assert made.good, made.examples[:3]
    return found.chains


def report(path: Path) -> ChainReport:
    (found,) = reports(path)
    return found


def missing(found: ChainReport) -> int:
    return sum(after - first for first, after in found.missing)


def counter(path: Path, chain: str) -> int:
    return int.from_bytes((path / "decisions" / chain / "sequence").read_bytes(), "little")


# ---- kill -9 ----


def test_a_kill_loses_what_was_not_written_and_the_count_of_it_is_exact(store: Path, peer: Callable[[], Peer]) -> None:
    child = peer()
    child.start(tasks.decide, os.fspath(store), 5_000)
    assert child.hear() == "open"
    for _ in range(5_000):
        child.hear()
    assert child.hear() == "done"
    child.kill()
    found = report(store)
    assert not found.is_ended
    assert found.decisions + found.lost == 5_000 == counter(store, found.chain)
    assert found.missing == []


@pytest.mark.parametrize("mode", ["buffered", "sync"])
def test_kills_at_any_instant(mode: str, store: Path, peer: Callable[[], Peer]) -> None:
    """What was answered is counted, all of it; in sync mode it is there."""
    chance, lost = random.Random(), 0
    for _ in range(KILLS):
        child = peer()
        child.start(tasks.decide, os.fspath(store), 1_000_000, each=50 if mode == "buffered" else 1, decision_log=mode)
        assert child.hear() == "open"
        child.hear()
        time.sleep(chance.random() * 0.2)
        child.kill()
        answered = child.last_words()[-1]
        found = max(reports(store, again=mode == "sync"), key=lambda each: each.chain)
        assert found.lost is not None
        assert found.decisions + found.lost == counter(store, found.chain)
        assert answered <= counter(store, found.chain) <= answered + 50
        if mode == "sync":
            assert found.decisions >= answered
        lost += found.lost
        shutil.rmtree(store / "decisions" / found.chain)
    counts.report(f"kill -9 of who decides, {mode}", KILLS, KILLS, f"{lost} decisions lost, and counted")


def test_what_is_older_than_the_time_between_two_writes_is_there(store: Path, peer: Callable[[], Peer]) -> None:
    child = peer()
    child.start(tasks.decide, os.fspath(store), 300, each=300, then=1.0)
    assert [child.hear(), child.hear(), child.hear()] == ["open", 300, "done"]
    child.kill()
    found = report(store)
    assert (found.decisions, found.lost) == (300, 0)


@pytest.mark.parametrize("how", ["dropped", "left"])
def test_a_process_that_ends_without_closing_leaves_a_whole_log(how: str, store: Path, peer: Callable[[], Peer]) -> None:
    child = peer()
    child.run(tasks.decide_and_end, os.fspath(store), how)
    child._out.close()  # no more orders: it ends as any interpreter does
    child.process.wait(20)
    found = report(store)
    assert (found.decisions, found.lost, found.is_ended) == (100, 0, True)


# ---- a disk that is full, or may not be written ----


@pytest.mark.parametrize("mode", ["buffered", "sync"])
def test_a_full_disk_denies_until_there_is_room_and_the_gap_shows(mode: str, store: Path, peer: Callable[[], Peer]) -> None:
    found = peer().run(tasks.decide_on_full_disk, os.fspath(store), begun=True, decision_log=mode)
    every = found["before"] + found["full"] + found["after"]
    assert found["before"] == ["allowed"] * 5
    assert found["full"][-6:] == ["log_failed"] * 6
    assert found["after"][-6:] == ["allowed"] * 6
    kept = report(store)
    assert kept.is_ended
    assert kept.torn == 0
    assert kept.decisions + missing(kept) == len(every) == counter(store, kept.chain)
    assert missing(kept) > 0
    if mode == "buffered":
        assert kept.decisions == every.count("allowed")
        assert missing(kept) == every.count("log_failed")
    else:  # one that could not be waited for is denied, and written once there is room
        assert kept.decisions >= every.count("allowed")


@pytest.mark.parametrize("mode", ["buffered", "sync"])
def test_a_disk_that_is_full_from_the_start(mode: str, store: Path, peer: Callable[[], Peer]) -> None:
    """The chain cannot be begun: nothing is allowed, and no litter is left."""
    found = peer().run(tasks.decide_on_full_disk, os.fspath(store), begun=False, decision_log=mode)
    assert set(found["full"]) == {"log_failed"}
    assert found["folders"] == 0
    assert found["after"][-6:] == ["allowed"] * 6
    kept = report(store)
    assert kept.decisions == 6
    assert missing(kept) == len(found["full"]) + len(found["after"]) - 6


@pytest.mark.parametrize("begun", [False, True])
def test_with_allow_a_full_disk_denies_nothing_and_the_gap_shows(begun: bool, store: Path, peer: Callable[[], Peer]) -> None:
    found = peer().run(tasks.decide_on_full_disk, os.fspath(store), begun=begun, on_log_failure="allow")
    every = found["before"] + found["full"] + found["after"]
    assert set(every) == {"allowed"}
    kept = report(store)
    assert missing(kept) > 5
    assert kept.decisions + missing(kept) == len(every)


@pytest.fixture
def shared(store: Path) -> Iterator[Path]:
    """The store where another user may read everything and change nothing."""
    with fgacore.open(store) as engine:
        tasks._desk(engine)
    place = Path("/tmp") / f"fgacore-decisions-{os.getpid()}-{time.monotonic_ns()}"
    shutil.copytree(store, place)
    for found in place.iterdir():
        found.chmod(0o444)
    place.chmod(0o555)
    yield place
    place.chmod(0o755)
    shutil.rmtree(place)


def test_a_reader_that_may_not_write_its_log_is_denied_unless_it_chose_otherwise(shared: Path, peer: Callable[[], Peer], tmp_path: Path) -> None:
    child = peer()
    child.run(tasks.ready)
    if os.getuid() == 0:
        child.run(tasks.become, NOBODY)
    path = os.fspath(shared)
    elsewhere = Path("/tmp") / f"fgacore-elsewhere-{os.getpid()}-{time.monotonic_ns()}"
    assert child.run(tasks.decide_once, path, read_only=True) == ["log_failed", "False", "False"]
    for options in ({"on_log_failure": "allow"}, {"decision_log": "off"}, {"log_directory": os.fspath(elsewhere)}):
        assert child.run(tasks.decide_once, path, read_only=True, **options) == ["allowed", "True", "True"]
    assert verify(elsewhere).decisions == 3
    shutil.rmtree(elsewhere)


# ---- files removed or replaced in mid-session ----


def _remove_folder(folder: Path) -> None:
    shutil.rmtree(folder)


def _remove_all(folder: Path) -> None:
    shutil.rmtree(folder.parent)


def _remove_segment(folder: Path) -> None:
    (folder / "000001.fgd").unlink()


def _move_away(folder: Path) -> None:
    folder.parent.rename(folder.parent.with_name("moved"))


def _replace_segment(folder: Path) -> None:
    path = folder / "000001.fgd"
    path.with_suffix(".new").write_bytes(path.read_bytes())
    path.with_suffix(".new").rename(path)


def _replace_folder(folder: Path) -> None:
    shutil.copytree(folder, folder.with_name("copy"))
    shutil.rmtree(folder)
    folder.with_name("copy").rename(folder)


def _append(folder: Path) -> None:
    with (folder / "000001.fgd").open("ab") as file:
        file.write(b"something of another")


def _cut(folder: Path) -> None:
    os.truncate(folder / "000001.fgd", 200)


HARMS = [_remove_folder, _remove_all, _remove_segment, _move_away, _replace_segment, _replace_folder, _append, _cut]


@pytest.mark.parametrize("mode", ["buffered", "sync"])
@pytest.mark.parametrize("harm", HARMS)
def test_a_log_that_was_taken_away_denies_for_good(harm: Callable[[Path], None], mode: Any, store: Path) -> None:
    """Until a new engine begins a chain of its own; what was taken away is not made again in silence."""
    with fgacore.open(store, decision_log=mode) as engine:
        session = tasks._desk(engine)
        assert session.check("can", "doc:1")
        assert engine._decisions is not None
        assert engine._decisions.flush()
        (folder,) = (store / "decisions").iterdir()
        anchored = heads(store / "decisions")
        harm(folder)
        codes = tasks.decide_until(session, "log_failed")
        if mode == "sync":
            assert codes == ["log_failed"], "what is not on the disk was answered"
        (store / "decisions").mkdir(exist_ok=True)
        for _ in range(5):
            assert session.decide("can", "doc:1").code == "log_failed"
            assert session.check_objects("can", ["doc:1"]) == [False]
            time.sleep(0.02)
        with fgacore.open(store, decision_log=mode) as other:
            assert tasks._desk(other).check("can", "doc:1")
    if harm not in (_replace_segment, _replace_folder, _append):
        assert not verify(store / "decisions", anchored).good


def test_with_allow_a_log_that_was_taken_away_denies_nothing(store: Path) -> None:
    with fgacore.open(store, on_log_failure="allow") as engine:
        session = tasks._desk(engine)
        assert session.check("can", "doc:1")
        shutil.rmtree(store / "decisions")
        for _ in range(20):
            assert session.decide("can", "doc:1").code == "allowed"
            time.sleep(0.01)


def test_what_is_denied_anyway_keeps_its_code(store: Path) -> None:
    with fgacore.open(store, decision_log="sync") as engine:
        session = tasks._desk(engine)
        session.check("can", "doc:1")
        shutil.rmtree(store / "decisions")
        assert session.decide("can", "doc:1").code == "log_failed"
        assert session.decide("can", "doc:none").code == "not_held"


# ---- a log that cannot keep up ----


def test_a_full_ring_denies_and_the_gap_shows(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one who writes stands still, as before a disk that hangs."""
    monkeypatch.setattr("fgacore.audit.writer.LOG_RING_BYTES", 1 << 16)
    with fgacore.open(store) as engine:
        session = tasks._desk(engine)
        assert session.check("can", "doc:1")
        decisions: Any = engine._decisions
        assert decisions.flush()
        append, hangs = decisions._chain._append, threading.Event()

        def hang(*block: Any) -> None:
            hangs.wait()
            append(*block)

        monkeypatch.setattr(decisions._chain, "_append", hang)
        codes = [session.decide("can", "doc:1").code for _ in range(2_000)]
        begun = time.monotonic()
        batch = session.check_objects("can", ["doc:1"] * 10)
        assert time.monotonic() - begun < 5.0
        hangs.set()
        denied = codes.count("log_failed")
        assert 0 < denied < len(codes)
        assert set(codes) == {"allowed", "log_failed"}
        assert batch == [False] * 10
        tasks.decide_until(session, "allowed")
    found = report(store)
    assert missing(found) >= denied + 1
    assert found.is_ended


def test_sync_answers_wait_for_the_disk_and_share_the_wait(store: Path) -> None:
    """Threads that decide at once: every answer is on the disk when it is given, without a gap, in fewer blocks than answers."""
    with fgacore.open(store, decision_log="sync") as engine:
        session = tasks._desk(engine)
        assert session.check("can", "doc:1")
        (folder,) = (store / "decisions").iterdir()
        faults: list[str] = []

        def work() -> None:
            for _ in range(40):
                before = (folder / "000001.fgd").stat().st_size
                if not session.check("can", "doc:1"):
                    faults.append("denied")
                if (folder / "000001.fgd").stat().st_size <= before:
                    faults.append("answered before it was written")

        crew = [threading.Thread(target=work) for _ in range(6)]
        for thread in crew:
            thread.start()
        for thread in crew:
            thread.join()
        assert faults == []
    found = report(store)
    assert (found.decisions, found.missing, found.lost) == (241, [], 0)


def test_threads_that_begin_a_log_at_once_lose_nothing(tmp_path: Path, store: Path) -> None:
    for number in range(10):
        place = tmp_path / f"log-{number}"
        with fgacore.open(store, log_directory=place) as engine:
            sessions = [tasks._desk(engine) for _ in range(6)]
            barrier = threading.Barrier(6)
            answers: list[bool] = []

            def work(session: Any, barrier: threading.Barrier = barrier, answers: list[bool] = answers) -> None:
                barrier.wait()
                answers += [session.check("can", "doc:1") for _ in range(30)]

            crew = [threading.Thread(target=work, args=(session,)) for session in sessions]
            for thread in crew:
                thread.start()
            for thread in crew:
                thread.join()
            assert answers == [True] * 180
        (found,) = verify(place).chains
        assert (found.problems, found.decisions, found.missing) == ([], 180, [])


@pytest.mark.parametrize("mode", ["buffered", "sync"])
def test_signal_handlers_that_decide_in_the_midst_of_a_write_do_no_harm(mode: Any, store: Path) -> None:
    """They run between any two steps of the thread that writes: what cannot be written there and then is denied."""
    with fgacore.open(store, decision_log=mode) as engine:
        session = tasks._desk(engine)
        inside: list[bool] = []
        before = signal.signal(signal.SIGALRM, lambda *_: inside.append(session.check("can", "doc:1")))
        signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)
        try:
            end, answers = time.monotonic() + 1.0, []
            while time.monotonic() < end:
                answers.append(session.check("can", "doc:1"))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert inside
        assert all(answers)
    found = report(store)
    assert found.is_ended
    assert found.decisions + missing(found) == len(answers) + len(inside)


def test_closing_while_threads_decide_loses_no_answer(store: Path) -> None:
    engine: Any = fgacore.open(store)
    session = tasks._desk(engine)
    answers: list[int] = []

    def work() -> None:
        count = 0
        try:
            while session.check("can", "doc:1"):
                count += 1
        except fgacore.StoreError as error:
            assert error.code == "closed"  # noqa: PT017 - in a thread
        answers.append(count)

    crew = [threading.Thread(target=work) for _ in range(4)]
    for thread in crew:
        thread.start()
    time.sleep(0.1)
    engine.close()
    for thread in crew:
        thread.join()
    found = report(store)
    assert found.is_ended
    assert found.decisions >= sum(answers) > 0


# ---- forks ----


@pytest.mark.parametrize("threads", [0, 3])
def test_each_process_has_a_chain_of_its_own(threads: int, store: Path, peer: Callable[[], Peer]) -> None:
    assert peer().run(tasks.fork_and_decide, os.fspath(store), threads=threads) == []
    found = reports(store)
    assert len(found) == 9
    assert all((each.missing, each.lost, each.is_ended) == ([], 0, True) for each in found)
    decisions = [each.decisions for each in found]  # the parent's chain is the oldest
    assert sorted(decisions[1:]) == [20] * 4 + [30] * 4
    assert decisions[0] == 20 or (threads and decisions[0] > 20)
    with fgacore.open(store) as engine:
        assert {each.principals for each in read(engine)} == {("user:a", "user:b")}, "a child describes its sessions anew"


def test_workers_of_multiprocessing_leave_whole_chains(store: Path, peer: Callable[[], Peer]) -> None:
    count = peer().run(tasks.decide_in_pool, os.fspath(store))
    assert count == 120
    found = reports(store)
    assert sum(each.decisions for each in found) == 120
    assert all((each.lost, each.is_ended) == (0, True) for each in found)


# ---- the one who writes ----


def test_an_engine_that_does_not_decide_has_nobody_who_writes(store: Path) -> None:
    """No thread, no file; and one that lies down is woken by the next decision."""

    def writers() -> int:
        return sum(thread.name == "fgacore-decisions" for thread in threading.enumerate())

    with fgacore.open(store) as engine:
        session = tasks._desk(engine)
        assert writers() == 0
        assert session.check("can", "doc:1")
        assert writers() == 1
        (folder,) = (store / "decisions").iterdir()
        size = until(lambda: (found := (folder / "000001.fgd").stat().st_size) > 104 and found)
        time.sleep(1.5)  # it has lain down
        assert (folder / "000001.fgd").stat().st_size == size
        assert session.check("can", "doc:1")
        until(lambda: (folder / "000001.fgd").stat().st_size > size)
    until(lambda: writers() == 0)
