"""Which store and which log of decisions is meant: a directory, a URL, or an engine that is open."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from fgacore.errors import RequestError, StoreError
from fgacore.formats import DECISIONS_FOLDER
from fgacore.runtime.replica import Replica
from fgacore.runtime.state import State
from fgacore.runtime.store import Store
from fgacore.store.log import Log, cache_directory, open_log

from .writer import DecisionLog

__all__ = ["Opened", "StoreName", "decisions_directory", "log_of", "state_of"]


class Opened(Protocol):
    """What is needed of an engine."""

    _store: Store
    _decisions: DecisionLog | None

    @property
    def _state(self) -> State: ...


StoreName = str | os.PathLike[str] | Opened


def decisions_directory(log: Log, directory: str | os.PathLike[str] | None = None) -> Path:
    """Where the decisions of a store lie, unless another place is named."""
    if directory is not None:
        return Path(directory)
    return (log.directory if log.directory is not None else cache_directory(None, log.store_id)) / DECISIONS_FOLDER


@contextmanager
def log_of(store: StoreName, directory: str | os.PathLike[str] | None) -> Iterator[tuple[Log, Path]]:
    """The log of a store, and where its decisions lie. What an engine has not written yet is written first."""
    if isinstance(store, (str, os.PathLike)):
        log = open_log(store, read_only=True)
        try:
            yield log, decisions_directory(log, directory)
        finally:
            log.close()
        return
    place = _flushed(store, directory)
    replica = store._store
    if not isinstance(replica, Replica):
        raise RequestError("this engine has no log of its own to walk: ask one of a store on disk", code="invalid_store")
    yield replica.log, place or decisions_directory(replica.log)


@contextmanager
def state_of(store: StoreName, directory: str | os.PathLike[str] | None) -> Iterator[tuple[State, bytes, Path]]:
    """The newest state of a store, its id, and where its decisions lie, as above."""
    if isinstance(store, (str, os.PathLike)):
        log = open_log(store, read_only=True)
        place = decisions_directory(log, directory)
        replica = Replica(log, log.directory, clock=None, max_staleness=None, verify=False)
        try:
            yield replica.state, log.store_id, place
        finally:
            replica.close()
        return
    flushed = _flushed(store, directory)
    if flushed is None:
        raise RequestError("this engine keeps no decisions: name the directory where they lie", code="invalid_store")
    yield store._state, store._state.newest.names.store, flushed


def _flushed(engine: Opened, directory: str | os.PathLike[str] | None) -> Path | None:
    """Where an engine's decisions lie, all of them."""
    decisions = engine._decisions
    if decisions is not None and not decisions.flush():
        raise StoreError("what was decided is not all on the disk: see the log of the process", code="store_unavailable")
    if directory is not None:
        return Path(directory)
    return None if decisions is None else decisions.directory
