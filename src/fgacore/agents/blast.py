"""The blast radius of an agent, whole: what it holds itself, what it is lent, and where the graph grants more than its boundary lets through."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from fgacore.limits import CONTEXTUAL_TUPLES_MAX
from fgacore.runtime.chains import Chained
from fgacore.runtime.reach import Lent, Reach, reach
from fgacore.tuples import Triple, Tuple

from .sessions import open_session

__all__ = ["whole_reach"]

TRIES = 3  # to have all of it of one revision; after that each part has the revision that it says


def whole_reach(
    engine: Any,
    subject: str,
    *,
    context: Mapping[str, Any] | None,
    contextual_tuples: Iterable[Tuple | Triple],
    model_id: str | None,
    at_least: int | None,
) -> Reach:
    """The reach of a subject, and of a plain one what comes to it by delegations. Contextual tuples and an older model are for its own part alone: no
    session takes them. The context goes to conditions of both.
    """
    given: Any = contextual_tuples
    if isinstance(given, Iterable) and not isinstance(given, (str, bytes)):
        given = list(islice(given, CONTEXTUAL_TUPLES_MAX + 1))  # read once; the list itself says what is wrong
    for _ in range(TRIES):
        own = reach(engine, subject, context=context, contextual_tuples=given, model_id=model_id, at_least=at_least)
        type, member, is_wildcard, _ = engine.name_parts(subject, "subject")
        if member is not None or is_wildcard:
            return own
        control, lent = engine._state.control, []
        own_context = {name: value for name, value in dict(context or {}).items() if name not in control.bind}
        for delegation in engine.delegations(to=subject, active=True):
            session = open_session(
                engine, delegation.id, on_behalf_of=None, scope=None, expires_in=None, task=None, authority=None, context=own_context, context_keys=()
            )
            lent.append(Lent(delegation.id, session.principals, session.reach()))
        beyond = {}
        if type in control.boundaries or subject in control.boundaries:
            bounded = Chained(engine, engine._ring, (str.__str__(subject),), (True,), (None,), (None,))._bounded(list(own.definite.values()))
            beyond = {pair: found - inside for (pair, found), inside in zip(own.definite.items(), bounded, strict=True)}
        if engine._state.revision == own.revision:
            break
    return dataclasses.replace(own, lent=tuple(lent), unbounded=type not in control.require_delegation, beyond=beyond)
