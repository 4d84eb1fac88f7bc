"""A PostgreSQL server that a test may stop as it likes: at once, as a crash would, and start again where it was."""

from __future__ import annotations

from itertools import count
from urllib.parse import parse_qsl, urlencode

import fgacore
from faults.world import MODEL
from fgacore.cli.local_postgres import LocalPostgres

__all__ = ["Server", "with_options", "without_store"]

_NUMBERS = count(1)


class Server:
    """One server, and stores on it."""

    def __init__(self, postgres: LocalPostgres) -> None:
        self._postgres = postgres

    def store(self) -> str:
        """The URL of a new store that has the model of `faults.world`."""
        url = self._postgres.url(f"fault-{next(_NUMBERS)}")
        with fgacore.open(url) as engine:
            engine.write_model(MODEL)
        return url

    def stop_at_once(self) -> None:
        self._postgres.stop(at_once=True)

    def start(self) -> None:
        self._postgres.start()


def with_options(url: str, **options: str) -> str:
    """The URL with these options, in place of any that it has."""
    base, _, query = url.partition("?")
    return f"{base}?{urlencode(dict(parse_qsl(query)) | options)}"


def without_store(url: str) -> str:
    """The URL of the database, with no store named."""
    base, _, query = url.partition("?")
    return f"{base}?{urlencode([pair for pair in parse_qsl(query) if pair[0] != 'store'])}"
