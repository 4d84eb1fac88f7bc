"""What callers hand in: tuples to store and questions to ask. Small frozen values; a plain triple serves wherever nothing else is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

__all__ = ["Question", "Triple", "Tuple"]

Triple = tuple[str, str, str]  # (subject, relation, object)


@dataclass(frozen=True, slots=True)
class Tuple:
    """A fact to store: `subject` holds `relation` on `object`, perhaps under a condition with its context, perhaps until an instant."""

    subject: str
    relation: str
    object: str
    condition: str | None = None
    context: Mapping[str, Any] | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """One question of a batch: may `subject` do `relation` on `object`?"""

    subject: str
    relation: str
    object: str
    context: Mapping[str, Any] | None = None
    contextual_tuples: Sequence[Tuple | Triple] = ()
