"""One way to ask, whoever answers: the oracle, or the engine by every path it has.

A suite or a property is written once against `Adapter` and run over each of them. `ask` gives for every path one answer for each question,
in order: a bool, `REFUSED` where the question itself is an error of the caller's, or None where this path has no way to ask it.
An adapter compares nothing and holds no expectation of its own, but for what only ids can say (see `EngineAdapter`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy

import fgacore
from fgacore import language
from fgacore.errors import RequestError
from fgacore.language.model import Model
from oracle import Oracle

__all__ = ["PATHS", "REFUSED", "Adapter", "Answer", "EngineAdapter", "OracleAdapter", "Question", "Triple", "differences"]

Triple = tuple[str, str, str]
PATHS = ("check", "check_objects", "batch_check", "check_ids")


class Refused:
    """The question is an error, and saying so is the right answer."""

    def __repr__(self) -> str:
        return "refused"


REFUSED = Refused()
Answer = bool | Refused | None


class Question(NamedTuple):
    """May the subject, as the relation, on the object?"""

    subject: str
    relation: str
    object: str


class Adapter(Protocol):
    """A store of tuples under a sequence of models; the newest model answers."""

    def write_model(self, source: str | Path | dict[str, Any]) -> object: ...

    def write(self, tuples: Iterable[Triple]) -> None: ...

    def delete(self, tuples: Iterable[Triple]) -> None: ...

    def ask(self, questions: Sequence[Question]) -> dict[str, list[Answer]]: ...

    def close(self) -> None: ...


def differences(answers: dict[str, list[Answer]], questions: Sequence[Question], expected: Sequence[Answer]) -> list[str]:
    """One readable line for every answer, on any path, that is not the expected one."""
    lines = []
    for path, given in answers.items():
        assert len(given) == len(questions) == len(expected), f"{path} gave {len(given)} answers to {len(questions)} questions"
        for question, answer, right in zip(questions, given, expected, strict=True):
            if answer is not None and answer is not right:
                lines.append(f"{path}: {question.subject} {question.relation} {question.object}: is {answer}, should be {right}")
    return lines


class OracleAdapter:
    """The oracle over all tuples written so far."""

    def __init__(self) -> None:
        self.tuples: dict[Triple, None] = {}
        self.model: Model | None = None
        self._oracle: Oracle | None = None

    def write_model(self, source: str | Path | dict[str, Any]) -> None:
        self.model = language.load(source)
        self._oracle = None

    def write(self, tuples: Iterable[Triple]) -> None:
        self.tuples.update(dict.fromkeys(tuples))
        self._oracle = None

    def delete(self, tuples: Iterable[Triple]) -> None:
        for triple in tuples:
            del self.tuples[triple]
        self._oracle = None

    @property
    def oracle(self) -> Oracle:
        if self._oracle is None:
            assert self.model is not None
            self._oracle = Oracle(self.model, self.tuples)
        return self._oracle

    def ask(self, questions: Sequence[Question]) -> dict[str, list[Answer]]:
        return {"oracle": [self._answer(question) for question in questions]}

    def _answer(self, question: Question) -> Answer:
        try:
            return self.oracle.check(*question)
        except RequestError:
            return REFUSED

    def close(self) -> None:
        pass


class EngineAdapter:
    """The engine in memory, asked by `check`, `check_objects`, `batch_check` and `check_ids`.

    Ids exist only for names that the store has seen: a plain subject without one is asked as NONE, which is to get what any unknown
    subject gets; an object or a userset without one has no answer by ids that text would agree with, so NONE must be False and is
    reported as None.
    """

    def __init__(self) -> None:
        self.engine = fgacore.open(":memory:")

    def write_model(self, source: str | Path | dict[str, Any]) -> str:
        return self.engine.write_model(source)

    def write(self, tuples: Iterable[Triple]) -> None:
        batch = list(tuples)
        if batch:
            self.engine.write(batch)

    def delete(self, tuples: Iterable[Triple]) -> None:
        batch = list(tuples)
        if batch:
            self.engine.write(deletes=batch)

    def ask(self, questions: Sequence[Question], model_id: str | None = None, paths: Sequence[str] = PATHS) -> dict[str, list[Answer]]:
        """The answers by these paths, asked in this order: what one path teaches the engine, the next one uses."""
        options = {} if model_id is None else {"model_id": model_id}
        answers: dict[str, list[Answer]] = {}
        for path in paths:
            if path == "check":
                answers[path] = [self._check(question, options) for question in questions]
            elif path == "check_objects":
                answers[path] = self._check_objects(questions, options)
            elif path == "batch_check":
                answers[path] = self._batch_check(questions, options)
            else:
                assert path == "check_ids"
                refused = {index for given in answers.values() for index, answer in enumerate(given) if answer is REFUSED}
                answers[path] = self._check_ids(questions, refused, options)
        return answers

    def close(self) -> None:
        self.engine.close()

    def _check(self, question: Question, options: dict[str, Any]) -> Answer:
        try:
            return _bool(self.engine.check(*question, **options))
        except RequestError:
            return REFUSED

    def _check_objects(self, questions: Sequence[Question], options: dict[str, Any]) -> list[Answer]:
        """One call for all objects of a subject and relation. One that is refused refuses the call and is named: the others are asked again."""
        answers: list[Answer] = [None] * len(questions)
        groups: dict[tuple[str, str], list[int]] = defaultdict(list)
        for index, question in enumerate(questions):
            groups[question.subject, question.relation].append(index)
        for (subject, relation), indexes in groups.items():
            while indexes:
                try:
                    given = self.engine.check_objects(subject, relation, [questions[index].object for index in indexes], **options)
                except RequestError as error:
                    answers[indexes.pop(error.index or 0)] = REFUSED  # a subject or relation at fault has no index, and refuses every object
                    continue
                for index, answer in zip(indexes, given, strict=True):
                    answers[index] = _bool(answer)
                break
        return answers

    def _batch_check(self, questions: Sequence[Question], options: dict[str, Any]) -> list[Answer]:
        result = self.engine.batch_check([(question.subject, question.relation, question.object) for question in questions], **options)
        answers: list[Answer] = [_bool(answer) for answer in result]
        for index, error in result.errors.items():
            assert isinstance(error, RequestError), error
            assert answers[index] is False, f"item {index} is in error and reads {answers[index]}"
            answers[index] = REFUSED
        return answers

    def _check_ids(self, questions: Sequence[Question], refused: set[int], options: dict[str, Any]) -> list[Answer]:
        """One call for all objects of a subject, relation and type of object. What another path refused may have no form in ids."""
        answers: list[Answer] = [None] * len(questions)
        groups: dict[tuple[str, str, str], list[int]] = defaultdict(list)
        for index, question in enumerate(questions):
            if index not in refused:
                groups[question.subject, question.relation, question.object.partition(":")[0]].append(index)
        for (subject, relation, object_type), indexes in groups.items():
            name, hash_sign, subject_relation = subject.partition("#")
            type_name, _, subject_id_text = name.partition(":")
            wildcard = subject_id_text == "*" and not hash_sign
            kind = f"{type_name}:*" if wildcard else f"{type_name}#{subject_relation}" if hash_sign else type_name
            subject_id = fgacore.NONE if wildcard else int(self.engine.ids(type_name, [subject_id_text])[0])
            object_ids = self.engine.ids(object_type, [questions[index].object.partition(":")[2] for index in indexes])
            given = self.engine.check_ids(subject_id, relation, object_ids, subject_type=kind, object_type=object_type, **options)
            assert isinstance(given, numpy.ndarray)
            assert given.dtype == numpy.bool_
            assert given.shape == object_ids.shape
            for index, object_id, answer in zip(indexes, object_ids, given, strict=True):
                if object_id == fgacore.NONE or (hash_sign and subject_id == fgacore.NONE):
                    assert not answer, f"NONE was granted: {questions[index]}"
                else:
                    answers[index] = bool(answer)
        return answers


def _bool(answer: object) -> bool:
    assert answer is True or answer is False, f"{answer!r} is not a bool"
    return answer
