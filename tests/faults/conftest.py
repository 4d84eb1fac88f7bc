"""Fixtures of the fault tests."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import fgacore
from faults.logs import snapshots
from faults.peer import Peer
from faults.servers import Server
from faults.world import MODEL, STEPS, Story, write_next
from fgacore.cli.local_postgres import LocalPostgres

if os.environ.get("FGACORE_DEBUG"):  # what is shown here is of processes, disks and servers: once is enough
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture
def peer() -> Iterator[Callable[[], Peer]]:
    """Makes processes; they are gone when the test ends."""
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(Peer())


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A directory with a store that has the model of `faults.world`, closed."""
    path = tmp_path / "authz"
    with fgacore.open(path) as engine:
        engine.write_model(MODEL)
    return path


@pytest.fixture
def told(store: Path) -> tuple[Path, Story]:
    """A store with a history of 30 steps, and a snapshot at its end."""
    story = Story("damage")
    with fgacore.open(store) as engine:
        for _ in range(STEPS):
            write_next(engine, story)
        engine.snapshot()
    assert snapshots(store)
    return store, story


@pytest.fixture
def pg_store(postgres_server: LocalPostgres) -> Callable[[], str]:
    """Makes stores on the server that all tests share, each with the model of `faults.world`."""
    return Server(postgres_server).store


@pytest.fixture(scope="module")
def own_server() -> Iterator[LocalPostgres]:
    """A server for the tests of one file, which stop it."""
    with LocalPostgres() as postgres:
        yield postgres


@pytest.fixture
def server(own_server: LocalPostgres) -> Iterator[Server]:
    """It runs when the test begins, and again for the next."""
    yield Server(own_server)
    own_server.stop(at_once=True)
    own_server.start()
