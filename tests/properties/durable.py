"""As conditioned, in a directory: closed and opened again, followed by a second engine, forked, compacted, and asked of its past.

Whatever was answered at a revision is what `at` answers of it later, until a compaction. The two engines stand for two processes: each has its own
clock, connection and follower, and shares only the files.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Literal

import fgacore
from adapters import PATHS, Answer, EngineAdapter, Question, Triple, differences, given, instant, oracle_answer
from faults.tasks import forked
from fgacore import language
from fgacore.errors import RequestError
from fgacore.language.model import Model
from oracle import Oracle, Stored
from properties.conditioned import INSTANTS, Conditioned
from strategies import Choices, all_questions, make_context, make_stored, make_subject, pick

__all__ = ["Durable"]

FORMATS = ("jsonl", "csv", "yaml")
FOLLOWED = 20.0  # seconds


class Generational(EngineAdapter):
    """Says with ids of which generation they are, as a store that was ever compacted wants it."""

    def _check_ids(self, questions: Sequence[Question], options: dict[str, Any]) -> list[Answer]:
        return super()._check_ids(questions, options | {"generation": self.engine.generation})


class Opened(Generational):
    """An engine over a directory, with a clock that stands at `now` from the beginning."""

    def __init__(self, path: Path, now: int, **options: Any) -> None:
        super().__init__()
        self.engine.close()
        self.now = self._time = now
        self.engine = fgacore.open(path, clock=self._clock, **options)


class Past(Generational):
    """A moment of the past, asked by the same paths."""

    def __init__(self, engine: fgacore.Engine, time: int) -> None:
        super().__init__()
        self.engine.close()
        self.now = self._time = time
        self.engine = engine


class Durable(Conditioned):
    """The engine, its follower, what both should hold, and what was there at each revision."""

    def __init__(self) -> None:
        super().__init__()
        self.engine.close()
        self.folder = Path(tempfile.mkdtemp(prefix="fgacore-machine-"))
        self.path = self.folder / "authz"
        self.engine = Opened(self.path, self.now)
        self.follower: Opened | None = None
        self._follower_writes = False
        self.moments: dict[int, tuple[dict[Triple, Stored], int, int]] = {}  # tuples, models and time, by revision
        self.generation = self.engine.engine.generation
        self._files = 0

    def close(self) -> None:
        self.engine.close()
        if self.follower is not None:
            self.follower.close()
        shutil.rmtree(self.folder)

    # What is done, with everything chosen by the caller

    def write_model(self, model: Model) -> None:
        super().write_model(model)
        self.noted()

    def put(
        self,
        writes: Sequence[Stored],
        deletes: Collection[Triple] = (),
        on_duplicate: Literal["error", "ignore", "replace"] = "error",
        on_missing: Literal["error", "ignore"] = "error",
        faults: Collection[str] = (),
    ) -> None:
        super().put(writes, deletes, on_duplicate, on_missing, faults)
        self.noted()

    def sweep(self) -> None:
        super().sweep()
        self.noted()

    def move(self, clock: int) -> None:
        super().move(clock)
        if self.follower is not None:
            self.follower.now = clock
            self.followed()

    def noted(self) -> None:
        """What is there at the newest revision, and the follower has it too."""
        self.moments.setdefault(self.engine.engine.revision, (self.live(), len(self.models), self.now))  # a refused write changes no moment
        self.followed()

    def followed(self) -> None:
        """The follower has the newest revision, and reads and numbers everything as the engine does."""
        if self.follower is None:
            return
        revision = self.engine.engine.revision
        self.require(self.follower.engine.wait_for(revision, timeout=FOLLOWED) == revision, "the follower is ahead")
        self.require(self.follower.engine.generation == self.engine.engine.generation == self.generation, "generations differ")
        self.turned(self.read)
        self.require(_numbered(self.follower.engine, self.tuples) == _numbered(self.engine.engine, self.tuples), "ids differ")

    def turned(self, work: Any) -> None:
        """Do this with the follower in the engine's place."""
        assert self.follower is not None
        self.engine, self.follower = self.follower, self.engine  # type: ignore[assignment]
        try:
            work()
        finally:
            self.engine, self.follower = self.follower, self.engine  # type: ignore[assignment]

    def require(self, holds: bool, why: str) -> None:
        if not holds:
            raise AssertionError("\n".join([*self.history, why]))

    def snapshot(self) -> None:
        self.history.append("snapshot")
        self.require(self.engine.engine.snapshot() == self.engine.engine.revision, "the snapshot is not of the newest revision")
        self.read()
        self.followed()

    def compact(self) -> None:
        """Nothing is answered otherwise, revisions go on growing, and the past is gone."""
        self.history.append("compact")
        before = self.engine.engine.revision
        revision = self.engine.engine.compact(reason="compacted")
        self.generation += 1
        self.require(revision > before, f"revision {revision} follows {before}")
        self.require(self.engine.engine.revision == revision, "the engine is not at the checkpoint")
        self.moments.clear()
        self.expired = 0
        self.tuples = self.live()
        self._oracles.clear()
        self.read()
        self.noted()
        if before:
            try:
                self.engine.engine.at(before).close()
            except fgacore.StoreError as error:
                self.require(error.code == "compacted", f"the past is {error.code}")
            else:
                self.require(False, "what was dropped is still there")

    def reopen(self, *, verify: bool) -> None:
        """Close and open; the clock of the machine has not gone back meanwhile."""
        self.history.append(f"reopen, verify {verify}")
        revision = self.engine.engine.revision
        self.engine.close()
        self.engine = Opened(self.path, self.now, verify=verify)
        self.require(self.engine.engine.revision == revision, f"revision {self.engine.engine.revision} was {revision}")
        self.read()
        self.engine.engine.sweep(reason="expired")
        self.expired = 0
        self.noted()

    def follow(self, *, read_only: bool) -> None:
        """A second engine opens, or the one that is there closes."""
        self.history.append(f"follower opens, read_only {read_only}" if self.follower is None else "follower closes")
        if self.follower is None:
            self.follower, self._follower_writes = Opened(self.path, self.now, read_only=read_only), not read_only
            self.followed()
        else:
            self.follower.close()
            self.follower = None

    def swap(self) -> None:
        """The follower writes from here on, and the engine follows."""
        if self.follower is None or not self._follower_writes:
            return
        self.history.append("swap")
        self.follower.now = max(self.follower.now, self.now)
        self.engine.now = max(self.engine.now, self.now)
        self.engine, self.follower = self.follower, self.engine  # type: ignore[assignment]
        self.read()
        self.followed()

    def fork(self, questions: Sequence[Question], written: Stored) -> None:
        """A child has the same answers, and writes one tuple, which the parent then has as well."""
        self.history.append(f"fork, and there write {written}")

        def child() -> None:
            self.ask(questions)
            self.engine.engine.write([given(written)], on_duplicate="replace", reason="child")

        before = self.engine.engine.revision
        faults = forked(child)
        self.require(not faults, "; ".join(faults))
        after = self.live()
        known = after.get(written.key)
        if known is None or not known.same(written):
            after[written.key] = written
            self.engine.engine.wait_for(before + 1, timeout=FOLLOWED)
            self.tuples = after
            self.expired += len(after) - len(self.live())
            self._oracles.clear()
        self.read()
        self.noted()

    def ask_past(self, revision: int, questions: Sequence[Question], *, by_time: bool) -> None:
        """The answers that were right at that revision, under the model of then, at the time of its record."""
        tuples, models, time = self.moments[revision]
        self.history.append(f"at revision {revision}{', by its time' if by_time else ''}")
        newest = max(number for number, moment in self.moments.items() if moment[2] == time)  # of several at one instant
        if by_time:
            tuples, models, _ = self.moments[newest]
        past = Past(self.engine.engine.at(time=instant(time)) if by_time else self.engine.engine.at(revision), time)
        try:
            self.require(past.engine.revision == (newest if by_time else revision), f"it is revision {past.engine.revision}")
            if not models:
                return
            oracle = Oracle(self.models[models - 1][1], tuples.values())
            expected = [oracle_answer(oracle, question, time) for question in questions]
            faults = differences(past.ask(questions, None, PATHS), questions, expected)
            self.require(not faults, "\n".join(faults[:20]))
            read = {(item.subject, item.relation, item.object) for item in past.engine.read()}
            self.require(read == tuples.keys(), f"read {read ^ tuples.keys()}")
        finally:
            past.close()

    def move_out_and_in(self, kind: str) -> None:
        """Export everything, delete it, and import it: what the newest model still admits is there again, exactly, and the rest is told."""
        self.history.append(f"export, delete and import, {kind}")
        self._files += 1
        target = self.folder / f"tuples-{self._files}.{kind}"
        live = self.live()
        count = self.engine.engine.export_tuples(target)
        self.require(count == len(live), f"exported {count} of {len(live)}")
        if live:
            self.put([], list(live))
        admitted = {key: stored for key, stored in live.items() if self._may_be_written(stored)}
        result = self.engine.engine.import_tuples(target, on_error="skip", reason="imported")
        counted = result.read, result.written, result.skipped, len(result.errors)
        refused = len(live) - len(admitted)
        self.require(counted == (len(live), len(admitted), refused, refused), f"{result}, of {len(live)}, {len(admitted)} admitted")
        self.tuples = admitted
        self._oracles.clear()
        self.read()
        self.noted()

    def _may_be_written(self, stored: Stored) -> bool:
        """Whether a store under the newest model takes this tuple in: told by one in memory."""
        with fgacore.open(":memory:", clock=lambda: instant(self.now)) as engine:
            engine.write_model(language.to_json(self.models[-1][1]))
            try:
                engine.write([given(stored)])
            except RequestError:
                return False
            return True

    # The same, chosen at random

    def any_past(self, source: Choices) -> None:
        if not self.moments:
            return
        revision = pick(source, sorted(self.moments, reverse=True))
        models = self.moments[revision][1]
        if not models:
            return
        model = self.models[models - 1][1]
        context = make_context(source, model)
        questions = [question._replace(context=context) for question in all_questions(make_subject(source, model), model)]
        self.ask_past(revision, questions, by_time=bool(source.below(2)))

    def any_fork(self, source: Choices) -> None:
        model = self.models[-1][1]
        context = make_context(source, model)
        questions = [question._replace(context=context) for question in all_questions(make_subject(source, model), model)]
        self.fork(questions, make_stored(source, model, 1, INSTANTS)[0])

    def any_file(self, source: Choices) -> None:
        self.move_out_and_in(pick(source, FORMATS))

    def any_question_of_the_follower(self, source: Choices) -> None:
        if self.follower is not None:
            self.history.append("by the follower:")
            self.turned(lambda: self.any_question(source))


def _numbered(engine: fgacore.Engine, tuples: Collection[Triple]) -> dict[str, list[int]]:
    """The ids of the names that these tuples mention."""
    names: dict[str, set[str]] = {}
    for subject, _, name in tuples:
        for text in (subject.partition("#")[0], name):
            kind, _, part = text.partition(":")
            if part != "*":
                names.setdefault(kind, set()).add(part)
    return {kind: engine.ids(kind, sorted(parts)).tolist() for kind, parts in sorted(names.items())}
