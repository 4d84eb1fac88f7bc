"""Fixtures of the attacks on sessions: the help desk, in memory and on disk."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import fgacore
from attack.sessions.desk import ANNE, HELPER, LAST, MODEL, SUPPORT, grants
from attack.worlds import Clock
from faults.peer import Peer


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def engine(clock: Clock) -> Iterator[Any]:
    """A store in which anne and three agents hold all that is asked about."""
    with fgacore.open(":memory:", clock=clock) as opened:
        opened.write_model(MODEL)
        opened.write(grants(ANNE, SUPPORT, HELPER, LAST))
        yield opened


@pytest.fixture
def path(tmp_path: Path, clock: Clock) -> Path:
    """The same on disk, closed."""
    place = tmp_path / "authz"
    with fgacore.open(place, clock=clock) as opened:
        opened.write_model(MODEL)
        opened.write(grants(ANNE, SUPPORT, HELPER, LAST))
    return place


@pytest.fixture
def peer() -> Iterator[Callable[[], Peer]]:
    """Makes processes; they are gone when the test ends."""
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(Peer())
