"""A real PostgreSQL for the tests: one server for the session, and a store of its own for each test that asks for one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import pytest

from fgacore.cli.local_postgres import LocalPostgres

StoreUrl = Callable[..., str]

_NUMBERS = count(1)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[LocalPostgres]:
    """The server; a test that stops it starts it again."""
    with LocalPostgres() as server:
        yield server


@pytest.fixture
def postgres(postgres_server: LocalPostgres) -> StoreUrl:
    """The URL of a store that this test alone has: `postgres()`, or with options of the URL, as `postgres(notify="0", poll="0.1")`."""
    store = f"test-{next(_NUMBERS)}"

    def url(**options: str) -> str:
        return postgres_server.url(store, options)

    return url
