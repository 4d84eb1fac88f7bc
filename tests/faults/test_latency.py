"""How long a revoked grant is still answered in another process: from the return of the write to the first check there that denies.

The two read one clock (CLOCK_MONOTONIC is the machine's). What is measured is printed with the counts. On a machine that is busy with other
things one measurement in a thousand means little: so a run may be repeated once, and the median is held to less than the tail.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import counts
import fgacore
from faults import tasks
from faults.peer import Failed, Peer
from faults.servers import with_options

SOAK = bool(os.environ.get("FGACORE_SOAK"))
REVOCATIONS = 1_000 if SOAK else 200
WARM_UP = 20


def measured(engine: fgacore.Engine, other: Peer, count: int) -> list[float]:
    """Milliseconds for each of so many revocations, sorted."""
    engine.write([("user:a", "reader", f"doc:token-{number}") for number in range(count)], on_duplicate="ignore")
    other.call("wait_for", engine.revision, timeout=20)
    other.start(tasks.deny_times, count)
    found = []
    for number in range(count):
        assert other.hear() == "watching"
        time.sleep(0.001 * (number % 3))
        engine.write(deletes=[("user:a", "reader", f"doc:token-{number}")])
        returned = time.monotonic()
        found.append(max(0.0, (other.hear() - returned) * 1e3))
    other.end()
    return sorted(found[WARM_UP:])


def held_to(name: str, engine: fgacore.Engine, other: Peer, *, median: float, tail: float | None = None, count: int = REVOCATIONS) -> None:
    """Median and 99th percentile are within these, in milliseconds; at the second attempt at the latest.

    Over a server there are three processes for it, on as few cores as there are: its tail is printed alone.
    """
    for attempt in range(2):
        found = measured(engine, other, count + WARM_UP)
        p50, p99 = found[len(found) // 2], found[len(found) * 99 // 100]
        counts.report(
            f"revocation seen by another process, {name}", len(found), len(found), f"p50 {p50:.2f} ms, p99 {p99:.2f} ms, max {found[-1]:.2f} ms"
        )
        if attempt or (p50 <= median and (tail is None or p99 <= tail)):
            assert p50 <= median, f"p50 {p50:.2f} ms"
            assert tail is None or p99 <= tail, f"p99 {p99:.2f} ms"
            return


def test_a_revocation_is_seen_by_another_process_within_ten_milliseconds(store: Path, peer: Callable[[], Peer]) -> None:
    other = peer()
    with fgacore.open(store) as engine:
        other.run(tasks.open, os.fspath(store))
        held_to("SQLite", engine, other, median=5.0, tail=10.0)


def test_a_revocation_is_seen_by_a_reader_that_only_reads(store: Path, peer: Callable[[], Peer]) -> None:
    other = peer()
    with fgacore.open(store) as engine:
        other.run(tasks.open, os.fspath(store), read_only=True)
        held_to("SQLite, read-only", engine, other, median=5.0, tail=10.0)


def test_no_check_allows_once_at_least_names_the_revoking_write(store: Path, peer: Callable[[], Peer]) -> None:
    """Whoever hands the revision on is served by it at once, or told that it has not come: never by what was before."""
    other = peer()
    with fgacore.open(store) as engine:
        other.run(tasks.open, os.fspath(store))
        stale = 0
        for number in range(REVOCATIONS):
            engine.write([("user:a", "reader", f"doc:{number}")])
            revision = engine.write(deletes=[("user:a", "reader", f"doc:{number}")])
            try:
                assert other.call("check", "user:a", "reader", f"doc:{number}", at_least=revision) is False
            except Failed as failed:
                if failed.code != "stale":
                    raise
                stale += 1
            other.call("wait_for", revision, timeout=10)
            assert other.call("check", "user:a", "reader", f"doc:{number}", at_least=revision) is False
        counts.report("reads by at_least answered at once", REVOCATIONS - stale, REVOCATIONS, "the others were told `stale`")


@pytest.mark.parametrize(
    ("options", "name", "median"),
    [({}, "PostgreSQL with NOTIFY", 10.0), ({"notify": "0", "poll": "0.05"}, "PostgreSQL by polling", 60.0)],
)
def test_a_revocation_is_seen_over_postgres(
    options: dict[str, str], name: str, median: float, pg_store: Callable[[], str], peer: Callable[[], Peer]
) -> None:
    url, other = with_options(pg_store(), **options), peer()
    with fgacore.open(url) as engine:
        other.run(tasks.open, url)
        held_to(name, engine, other, median=median, count=REVOCATIONS if not options else REVOCATIONS // 2)
