"""What the attack tests of lists share: a clock, refusals, and the key of a tuple."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from fgacore import FgaError, Tuple

__all__ = ["START", "Clock", "at", "attempt", "key_of", "refusal"]

START = 1_000


class Clock:
    """Seconds since the epoch."""

    def __init__(self) -> None:
        self.seconds = START

    def __call__(self) -> int:
        return self.seconds


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def refusal(call: Callable[[], object]) -> FgaError:
    """The error that the call raises."""
    with pytest.raises(FgaError) as caught:
        call()
    return caught.value


def attempt(call: Callable[[], Any]) -> tuple[Any, FgaError | None]:
    """What the call gives, or what it raises."""
    try:
        return call(), None
    except FgaError as error:
        return None, error


def key_of(fact: Tuple | tuple[str, str, str]) -> tuple[str, str, str]:
    return (fact.subject, fact.relation, fact.object) if isinstance(fact, Tuple) else fact
