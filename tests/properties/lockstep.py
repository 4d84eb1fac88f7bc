"""One engine and the oracle, led through the same history: models, writes, deletes and merges, and questions at any moment.

Every question is asked by every path and must have the oracle's answer. The history is kept as text, so that a failure tells its story.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from adapters import PATHS, EngineAdapter, Question, Triple, differences, oracle_answer
from fgacore import language
from fgacore.language.model import Model
from oracle import Oracle, Stored
from strategies import Choices, all_questions, describe, make_model, make_question, make_subject, make_tuples, pick, some

__all__ = ["SOAK", "Lockstep"]

SOAK = bool(os.environ.get("FGACORE_SOAK"))


class Lockstep:
    """The engine, what it should hold, and what was done so far."""

    def __init__(self) -> None:
        self.engine = EngineAdapter()
        self.models: list[tuple[str, Model]] = []
        self.tuples: dict[Triple, Stored] = {}
        self.history: list[str] = []
        self._oracles: dict[int, Oracle] = {}

    def close(self) -> None:
        self.engine.close()

    # What is done, with everything chosen by the caller

    def write_model(self, model: Model) -> None:
        self.history.append(f"model {len(self.models)}:\n{describe(model)}")
        model_id = self.engine.write_model(language.to_json(model))
        self.models.append((model_id, model))

    def write(self, writes: Iterable[Triple] = (), deletes: Iterable[Triple] = ()) -> None:
        """The writes must be new and the deletes stored; what is in either is left as it is otherwise."""
        gone = [triple for triple in deletes if triple in self.tuples]
        new = [triple for triple in writes if triple not in self.tuples]
        if not new and not gone:
            return
        self.history.append(f"write {_story(new)}, delete {_story(gone)}")
        self.engine.engine.write(new, deletes=gone)
        for triple in gone:
            del self.tuples[triple]
        self.tuples.update({triple: Stored(*triple) for triple in new})
        self._oracles.clear()

    def merge(self) -> None:
        self.history.append("merge")
        self.engine.engine.merge()

    def ask(self, questions: Sequence[Question], model_index: int | None = None, paths: Sequence[str] = PATHS) -> None:
        """Every path has the oracle's answer to every question, under the newest model or under the one that is named."""
        model_id = None if model_index is None else self.models[model_index][0]
        oracle = self.oracle(len(self.models) - 1 if model_index is None else model_index)
        expected = [oracle_answer(oracle, question, self.instant()) for question in questions]
        answers = self.engine.ask(questions, model_id, paths)
        faults = differences(answers, questions, expected)
        if faults:
            asked = f"ask by {', '.join(paths)}, model {'newest' if model_index is None else model_index}"
            raise AssertionError("\n".join([*self.history, asked, *faults[:20]]))

    def instant(self) -> int | None:
        """The instant of the asking. Nothing expires here."""
        return None

    def oracle(self, model_index: int) -> Oracle:
        if model_index not in self._oracles:
            self._oracles[model_index] = Oracle(self.models[model_index][1], self.tuples.values())
        return self._oracles[model_index]

    # The same, chosen at random

    def any_model(self, source: Choices) -> None:
        self.write_model(make_model(source))

    def any_write(self, source: Choices) -> None:
        self.write(make_tuples(source, self.models[-1][1], 1 + source.below(12)))

    def any_delete(self, source: Choices) -> None:
        self.write(deletes=some(source, list(self.tuples), 1 + source.below(3)))

    def any_exchange(self, source: Choices) -> None:
        self.write(make_tuples(source, self.models[-1][1], 1 + source.below(3)), some(source, list(self.tuples), 1 + source.below(3)))

    def any_question(self, source: Choices) -> None:
        """All there is to ask about one subject, or some of it, or a mixed handful; under any model, by the paths in any order."""
        model_index = pick(source, [None, *range(len(self.models))])
        model = self.models[-1 if model_index is None else model_index][1]
        paths = some(source, PATHS, len(PATHS))
        if source.below(3):
            subject = make_subject(source, model)
            questions = all_questions(subject, model)
            if source.below(3) == 2:
                questions = some(source, questions, 1 + source.below(12))
        else:
            questions = [make_question(source, model) for _ in range(1 + source.below(10))]
        self.ask(questions, model_index, paths)

    def any_step(self, source: Choices) -> None:
        kind = source.below(20)
        if kind < 9:
            self.any_question(source)
        elif kind < 14:
            self.any_write(source)
        elif kind < 16:
            self.any_delete(source)
        elif kind < 17:
            self.any_exchange(source)
        elif kind < 19:
            self.merge()
        else:
            self.any_model(source)


def _story(tuples: Sequence[Triple]) -> str:
    return "[" + ", ".join(" ".join(triple) for triple in tuples) + "]"
