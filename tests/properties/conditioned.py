"""As lockstep, with all that surrounds a question: conditions and contexts, contextual tuples, and a clock that moves and also goes back.

The engine's time is the latest that it has been asked or told anything at. Every write says what it must come to: what is stored then, or the
code of the refusal, after which nothing has changed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, Literal

from adapters import PATHS, Question, Triple, given, instant
from fgacore.errors import RequestError
from oracle import Stored
from properties.lockstep import Lockstep
from strategies import (
    Choices,
    all_questions,
    conditioned,
    make_context,
    make_contextual,
    make_model,
    make_question,
    make_stored,
    make_subject,
    over,
    pick,
    some,
)

__all__ = ["START", "Conditioned"]

START = 1_750_000_000_000_000  # microseconds since the epoch
INSTANTS = (None, None, None, *(START + step for step in (1, 2, 3, 5, 8, 13)))  # some tuples never expire


class Conditioned(Lockstep):
    """The engine, what it should hold, and the time it should have."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.engine.now = START
        self.expired = 0  # tuples, since the last sweep

    def instant(self) -> int:
        return self.now

    def live(self) -> dict[Triple, Stored]:
        """What is stored and has not expired."""
        return {key: stored for key, stored in self.tuples.items() if stored.expires_at is None or self.now < stored.expires_at}

    # What is done, with everything chosen by the caller

    def move(self, clock: int) -> None:
        """Set the clock. Time goes on with it, and stands still while the clock is behind."""
        self.history.append(f"clock {clock - START}, time {max(self.now, clock) - START}")
        self.engine.now = clock
        before = len(self.live())
        self.now = max(self.now, clock)
        self.expired += before - len(self.live())
        self.read()  # time is what the engine has seen of the clock

    def put(
        self,
        writes: Sequence[Stored],
        deletes: Collection[Triple] = (),
        on_duplicate: Literal["error", "ignore", "replace"] = "error",
        on_missing: Literal["error", "ignore"] = "error",
        faults: Collection[str] = (),
    ) -> None:
        """One write, whatever it must come to. `faults` are the codes of what is wrong with the tuples themselves."""
        self.history.append(f"write {writes}, delete {list(deletes)}, on_duplicate {on_duplicate}, on_missing {on_missing}")
        after, codes = self.live(), set(faults)
        for key in deletes:
            if after.pop(key, None) is None and on_missing == "error":
                codes.add("tuple_missing")
        for stored in writes:
            known = after.get(stored.key)
            if known is not None and on_duplicate == "error":
                codes.add("tuple_exists")
            elif known is not None and on_duplicate == "ignore" and not known.same(stored):
                codes.add("tuple_differs")
            elif known is None or on_duplicate == "replace":
                after[stored.key] = stored
        code = "done"
        try:
            self.engine.engine.write([given(stored) for stored in writes], deletes=list(deletes), on_duplicate=on_duplicate, on_missing=on_missing)
        except RequestError as error:
            code = error.code
        if code not in (codes or {"done"}):
            raise AssertionError("\n".join([*self.history, f"came to {code}, should be {codes or 'done'}"]))
        if not codes:
            self.tuples = after
            self.expired += len(after) - len(self.live())  # written too late
        self._oracles.clear()
        self.read()

    def sweep(self) -> None:
        """The removal of whatever has expired is recorded, in one revision. No answer changes."""
        self.history.append("sweep")
        engine, before = self.engine.engine, self.engine.engine.revision
        count, self.expired = self.expired, 0
        after = engine.sweep(reason="expired")
        recorded = [(change.kind, change.reason, change.deleted) for change in engine.changes(since=before)]
        if after - before != bool(count) or recorded != [("expiry", "expired", count)] * bool(count):
            raise AssertionError("\n".join([*self.history, f"revision {before} to {after}, {recorded}, for {count} tuples"]))
        self.read()

    def read(self) -> None:
        """The engine reads what should be stored."""
        found = {(item.subject, item.relation, item.object): item for item in self.engine.engine.read()}
        live = self.live()
        wrong = list(found.keys() ^ live.keys())
        for key in found.keys() & live.keys():
            item, stored = found[key], live[key]
            expires_at = None if stored.expires_at is None else instant(stored.expires_at)
            if (item.condition, item.expires_at) != (stored.condition, expires_at) or (item.context or {}) != (stored.context or {}):
                wrong.append(key)
        if wrong:
            lines = [f"read {found.get(key)}, should be {live.get(key)}" for key in wrong]
            raise AssertionError("\n".join([*self.history, *lines]))

    # The same, chosen at random

    def any_model(self, source: Choices) -> None:
        self.write_model(conditioned(source, make_model(source)))

    def any_write(self, source: Choices) -> None:
        """New tuples for the most part; some in the place of stored ones, with something else about them."""
        model, live = self.models[-1][1], self.live()
        found = {stored.key: stored for stored in make_stored(source, model, 1 + source.below(12), INSTANTS)}
        way = source.below(5)
        if live and source.below(2):
            other = over(source, model, pick(source, list(live.values())), INSTANTS)
            found |= {other.key: other} if other else {}
        if way == 4:
            found = {key: stored for key, stored in found.items() if key not in live}
        if found:
            self.put(list(found.values()), on_duplicate="replace" if way < 2 else "ignore" if way == 2 else "error")

    def any_refused_write(self, source: Choices) -> None:
        """A tuple that may not be written, among some that may: none is."""
        writes = list(make_stored(source, self.models[-1][1], 1 + source.below(4)))
        fault, code = pick(
            source,
            [
                (replace(writes[0], condition="nothing"), "condition_not_found"),
                (replace(writes[0], context={"undeclared": 1}), "invalid_context"),
                (replace(writes[0], subject="nobody"), "invalid_subject"),
            ],
        )
        if code != "invalid_context" or fault.condition is not None:
            self.put([fault, *writes[1:]], on_duplicate="replace", faults=[code])

    def any_delete(self, source: Choices) -> None:
        deletes = some(source, list(self.tuples), 1 + source.below(3))
        if deletes:
            self.put([], deletes, on_missing="ignore" if source.below(2) else "error")

    def any_exchange(self, source: Choices) -> None:
        """Some are deleted, and of these some are written again in the same call."""
        model, live = self.models[-1][1], self.live()
        gone = some(source, list(live.values()), 1 + source.below(3))
        again = [found for stored in gone if source.below(2) and (found := over(source, model, stored, INSTANTS)) is not None]
        new = [stored for stored in make_stored(source, model, source.below(3), INSTANTS) if stored.key not in live]
        if gone:
            self.put([*again, *new], [stored.key for stored in gone])

    def any_move(self, source: Choices) -> None:
        self.move(START + pick(source, (1, 2, 3, 5, 8, 13, 21, 0)))

    def any_question(self, source: Choices) -> None:
        """All there is to ask about one subject, or some of it, or a mixed handful; with the same surroundings, or each with its own."""
        model_index = pick(source, [None, *range(len(self.models))])
        model = self.models[-1 if model_index is None else model_index][1]
        paths = some(source, PATHS, len(PATHS))

        def surroundings() -> tuple[dict[str, Any] | None, list[Stored]]:
            contextual = make_contextual(source, model, list(self.tuples.values()), INSTANTS) if source.below(2) else []
            return make_context(source, model), contextual

        shared = [surroundings() for _ in range(1 + source.below(3))]
        if source.below(3):
            questions = all_questions(make_subject(source, model), model)
            if source.below(3) == 2:
                questions = some(source, questions, 1 + source.below(12))
        else:
            questions = [make_question(source, model) for _ in range(1 + source.below(10))]
        self.ask([Question(*question[:3], *pick(source, shared)) for question in questions], model_index, paths)

    def any_step(self, source: Choices) -> None:
        kind = source.below(25)
        if kind < 10:
            self.any_question(source)
        elif kind < 14:
            self.any_write(source)
        elif kind < 16:
            self.any_delete(source)
        elif kind < 17:
            self.any_exchange(source)
        elif kind < 20:
            self.any_move(source)
        elif kind < 21:
            self.sweep()
        elif kind < 22:
            self.any_refused_write(source)
        elif kind < 24:
            self.merge()
        else:
            self.any_model(source)
