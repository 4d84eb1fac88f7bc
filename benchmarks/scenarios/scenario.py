"""What a scenario is: data, questions and their right answers, worked out without any engine, and how an engine is held to them.

Nothing is timed before `verify` has passed; it raises WrongAnswer, naming the first question that was answered otherwise.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    import fgacore
    from fgacore.engine import Clock

__all__ = [
    "Entry",
    "ObjectList",
    "Scenario",
    "Step",
    "Triple",
    "WrongAnswer",
    "balanced",
    "compare",
    "fresh",
    "load",
    "lots",
    "one_by_one",
    "play",
    "verify",
]

Triple = tuple[str, str, str]  # subject, relation, object

Written = TypeVar("Written")

LOT = 10_000  # tuples in one write of a load


class WrongAnswer(AssertionError):
    """An engine or a peer answered otherwise than the scenario knows to be right; its times would mean nothing."""


@dataclass(frozen=True, slots=True)
class ObjectList:
    """One subject, one relation and many objects of one type."""

    subject: str
    relation: str
    objects: list[str]
    answers: list[bool]

    def triples(self) -> list[Triple]:
        return [(self.subject, self.relation, object) for object in self.objects]


@dataclass(frozen=True, slots=True)
class Step:
    """One batch of a loop, and what is written once it is answered."""

    questions: list[Triple]
    answers: list[bool]
    writes: tuple[Triple, ...] = ()
    deletes: tuple[Triple, ...] = ()


@dataclass(frozen=True, slots=True)
class Scenario:
    """Data and questions. A part that a scenario has no use for is empty.

    INVARIANT (round trip): the writes of `loop`, all taken together, leave the tuples as they were, so that it can be played again and again.
    INVARIANT (own texts): no name in a question is the same object as in a tuple or in another question. A dict finds a key that is the same
    object without comparing, which flatters whoever keeps names in dicts: those who ask have texts of their own.
    """

    name: str
    model: str
    tuples: list[Triple]
    questions: list[Triple]  # of many subjects, or of many relations; asked one by one and as one batch
    answers: list[bool]
    listed: ObjectList | None = None
    loop: tuple[Step, ...] = ()
    cold: tuple[Step, ...] = ()  # no subject twice, and none that `questions` or `listed` ask for: an engine is asked each of them once
    grants: list[fgacore.Tuple] = field(default_factory=list)  # stored beside `tuples`: with a condition, or until an instant
    context: Mapping[str, Any] | None = None  # of every question

    @property
    def stored(self) -> list[Triple | fgacore.Tuple]:
        return [*self.tuples, *self.grants]

    @property
    def given(self) -> dict[str, Any]:
        """The keywords that a question is asked with."""
        return {} if self.context is None else {"context": self.context}

    def __post_init__(self) -> None:  # own texts
        put = object.__setattr__
        put(self, "questions", _own(self.questions))
        if self.listed is not None:
            put(self, "listed", replace(self.listed, objects=list(map(fresh, self.listed.objects)), subject=fresh(self.listed.subject)))
        for name in ("loop", "cold"):
            put(self, name, tuple(replace(step, questions=_own(step.questions)) for step in getattr(self, name)))


class Entry(NamedTuple):
    """A line of the registry. `ways` are those of: single, strings, triples, ids, loop, cold."""

    name: str
    about: str
    build: Callable[[], Scenario]
    ways: tuple[str, ...]


def fresh(text: str) -> str:
    """The same text as a new object, whose hash nobody has computed yet."""
    return text[:1] + text[1:]


def _own(questions: list[Triple]) -> list[Triple]:
    """The relation stays the literal that callers write."""
    return [(fresh(subject), relation, fresh(object)) for subject, relation, object in questions]


def balanced(chance: random.Random, count: int, draw: Callable[[], Triple], allowed: Callable[[Triple], bool]) -> tuple[list[Triple], list[bool]]:
    """`count` drawn questions, half of them allowed, in the order of drawing, and their answers."""
    questions: list[Triple] = []
    answers: list[bool] = []
    wanted = {True: count // 2, False: count - count // 2}
    for _ in range(10_000 * count):
        if len(questions) == count:
            return questions, answers
        question = draw()
        answer = allowed(question)
        if wanted[answer]:
            wanted[answer] -= 1
            questions.append(question)
            answers.append(answer)
    raise AssertionError(f"questions like {draw()} are nearly never {max(wanted, key=lambda answer: wanted[answer])}: the data is of another shape")


def load(scenario: Scenario, clock: Clock | None = None) -> fgacore.Engine:
    """A new engine in memory with the scenario's model and tuples, written in lots and merged, as after a restart."""
    import fgacore

    engine = fgacore.open(":memory:", clock=clock)
    engine.write_model(scenario.model)
    for lot in lots(scenario.stored):
        engine.write(lot)
    engine.merge()
    return engine


def lots(tuples: list[Written], size: int = LOT) -> Iterator[list[Written]]:
    for start in range(0, len(tuples), size):
        yield tuples[start : start + size]


def one_by_one(peer: Any, context: Mapping[str, Any] | None = None) -> Callable[[list[Triple]], None]:
    """Asks one question after the other, with a context if there is one; the answers are dropped."""
    check = peer.check

    def run(questions: list[Triple]) -> None:
        for subject, relation, object in questions:
            check(subject, relation, object)

    def run_in_context(questions: list[Triple]) -> None:
        for subject, relation, object in questions:
            check(subject, relation, object, context=context)

    return run if context is None else run_in_context


def play(engine: fgacore.Engine, loop: Sequence[Step]) -> None:
    """Ask and write what a loop says; the answers are dropped."""
    for step in loop:
        engine.batch_check(step.questions)
        if step.writes or step.deletes:
            engine.write(step.writes, deletes=step.deletes)


def verify(scenario: Scenario, engine: fgacore.Engine, cold: bool = False) -> None:
    """Compare every answer, on every path, with the right one. `cold` spends the cold questions too: do that to an engine of its own."""
    given = scenario.given
    for question, right in zip(scenario.questions, scenario.answers, strict=True):
        compare([engine.check(*question, **given)], [question], [right], "check")
    compare(engine.batch_check(scenario.questions, **given), scenario.questions, scenario.answers, "batch_check")
    if scenario.listed is not None:
        _verify_list(scenario.listed, engine, given)
    for step in scenario.loop:
        compare(engine.batch_check(step.questions), step.questions, step.answers, "batch_check in the loop")
        if step.writes or step.deletes:
            engine.write(step.writes, deletes=step.deletes)
    if cold:
        for step in scenario.cold:
            compare(engine.batch_check(step.questions), step.questions, step.answers, "batch_check of cold subjects")


def _verify_list(listed: ObjectList, engine: fgacore.Engine, given: dict[str, Any]) -> None:
    triples = listed.triples()
    compare(engine.check_objects(listed.subject, listed.relation, listed.objects, **given), triples, listed.answers, "check_objects")
    compare(engine.batch_check(triples, **given), triples, listed.answers, "batch_check")
    subject_type, _, subject = listed.subject.partition(":")
    object_type = listed.objects[0].partition(":")[0]
    ids = engine.ids(object_type, [object.partition(":")[2] for object in listed.objects])
    id = int(engine.ids(subject_type, [subject])[0])
    found = engine.check_ids(id, listed.relation, ids, subject_type=subject_type, object_type=object_type, **given)
    compare([bool(answer) for answer in found], triples, listed.answers, "check_ids")


def compare(given: Sequence[bool], questions: Sequence[Triple], right: Sequence[bool], path: str) -> None:
    """Raise WrongAnswer for the first answer that is not the right one. `path` says by which way, or by whom, they were given."""
    for answer, question, expected in zip(given, questions, right, strict=True):
        if answer is not expected:
            raise WrongAnswer(f"{path}: {' '.join(question)} is {answer}, should be {expected}")
