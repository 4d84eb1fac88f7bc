"""One way to ask, whoever answers: the oracle, or the engine by every path it has.

A suite or a property is written once against `Adapter` and run over each of them. `ask` gives for every path one answer for each question,
in order: a bool, `Refused` with the code of the error, or None where this path has no way to ask it. An expected `Refused` has every code
that is right; `REFUSED` has none, and any will do. `list_objects` and `list_subjects` give for every path what it lists, or `Refused`.
An adapter compares nothing and holds no expectation of its own, but for what only ids can say (see `EngineAdapter`), and that what a list is
in its several forms is one and the same.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy

import fgacore
from fgacore import language
from fgacore.errors import RequestError
from fgacore.language.model import Model
from oracle import Oracle, Stored, Unanswerable

__all__ = [
    "OBJECT_PATHS",
    "PATHS",
    "REFUSED",
    "SUBJECT_PATHS",
    "Adapter",
    "Answer",
    "EngineAdapter",
    "Listed",
    "Listing",
    "ObjectsQuestion",
    "OracleAdapter",
    "Question",
    "Refused",
    "SubjectsQuestion",
    "Triple",
    "differences",
    "given",
    "instant",
    "oracle_answer",
    "oracle_objects",
    "oracle_subjects",
]

Triple = tuple[str, str, str]
PATHS = ("check", "check_objects", "batch_check", "batch_each", "check_ids")
OBJECT_PATHS = ("list_objects", "list_objects, report", "filter_objects", "reach")
SUBJECT_PATHS = ("list_subjects", "list_subjects, report")
FIRST_ID_OF_A_CALL = 1 << 31  # names that only contextual tuples have get ids from here on
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Refused:
    """The question is an error, and saying so is the right answer."""

    codes: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return " or ".join(["refused", *sorted(self.codes)])


REFUSED = Refused()
Answer = bool | Refused | None


class Question(NamedTuple):
    """May the subject, as the relation, on the object; in this context, and were these tuples stored?"""

    subject: str
    relation: str
    object: str
    context: Mapping[str, Any] | None = None
    contextual_tuples: Sequence[Stored | Triple] = ()

    def __str__(self) -> str:
        text = f"{self.subject} {self.relation} {self.object}"
        if self.context is not None:
            text += f" in {self.context!r}"
        return text + (f" with {list(self.contextual_tuples)}" if self.contextual_tuples else "")


class ObjectsQuestion(NamedTuple):
    """What of this type may the subject, as the relation; in this context, and were these tuples stored?"""

    subject: str
    relation: str
    type: str
    context: Mapping[str, Any] | None = None
    contextual_tuples: Sequence[Stored | Triple] = ()


class SubjectsQuestion(NamedTuple):
    """Who of this kind (`user` or `team#member`) may, as the relation, on the object; in this context, and were these tuples stored?"""

    object: str
    relation: str
    kind: str
    context: Mapping[str, Any] | None = None
    contextual_tuples: Sequence[Stored | Triple] = ()


@dataclass(frozen=True)
class Listed:
    """What a list says, sorted; what is there twice stays twice. None where the path has no word for it.

    `items` of subjects have the wildcard among them where it holds, as OpenFGA lists it.
    """

    items: tuple[str, ...]
    undetermined: tuple[str, ...] | None = None
    excluded: tuple[str, ...] | None = None


Listing = Listed | Refused | None


class Adapter(Protocol):
    """A store of tuples under a sequence of models; the newest model answers, at the instant `now` (microseconds since the epoch)."""

    now: int

    def write_model(self, source: str | Path | dict[str, Any]) -> object: ...

    def write(self, tuples: Iterable[Stored | Triple]) -> None: ...

    def delete(self, tuples: Iterable[Triple]) -> None: ...

    def ask(self, questions: Sequence[Question]) -> dict[str, list[Answer]]: ...

    def list_objects(self, question: ObjectsQuestion) -> dict[str, Listing]: ...

    def list_subjects(self, question: SubjectsQuestion) -> dict[str, Listing]: ...

    def close(self) -> None: ...


def differences(answers: dict[str, list[Answer]], questions: Sequence[Question], expected: Sequence[Answer]) -> list[str]:
    """One readable line for every answer, on any path, that is not the expected one."""
    lines = []
    for path, given in answers.items():
        assert len(given) == len(questions) == len(expected), f"{path} gave {len(given)} answers to {len(questions)} questions"
        for question, answer, right in zip(questions, given, expected, strict=True):
            if answer is not None and not _agrees(answer, right):
                lines.append(f"{path}: {question}: is {answer}, should be {right}")
    return lines


def _agrees(answer: Answer, right: Answer) -> bool:
    if isinstance(answer, Refused) and isinstance(right, Refused):
        return not answer.codes or not right.codes or answer.codes <= right.codes
    return answer is right


def instant(microseconds: int) -> datetime:
    """Microseconds since the epoch as what users give."""
    return EPOCH + timedelta(microseconds=microseconds)


class OracleAdapter:
    """The oracle over all tuples written so far."""

    def __init__(self) -> None:
        self.tuples: dict[Triple, Stored] = {}
        self.model: Model | None = None
        self.now = 0
        self._time = 0
        self._oracle: Oracle | None = None

    def write_model(self, source: str | Path | dict[str, Any]) -> None:
        self.model = language.load(source)
        self._oracle = None

    def write(self, tuples: Iterable[Stored | Triple]) -> None:
        for item in tuples:
            stored = item if isinstance(item, Stored) else Stored(*item)
            self.tuples[stored.key] = stored
        self._oracle = None

    def delete(self, tuples: Iterable[Triple]) -> None:
        for triple in tuples:
            del self.tuples[triple]
        self._oracle = None

    @property
    def oracle(self) -> Oracle:
        if self._oracle is None:
            assert self.model is not None
            self._oracle = Oracle(self.model, self.tuples.values())
        return self._oracle

    def ask(self, questions: Sequence[Question]) -> dict[str, list[Answer]]:
        self._time = max(self._time, self.now)
        return {"oracle": [oracle_answer(self.oracle, question, self._time) for question in questions]}

    def list_objects(self, question: ObjectsQuestion) -> dict[str, Listing]:
        """As asked for without a report: an error where anything is in doubt."""
        self._time = max(self._time, self.now)
        return {"oracle": oracle_objects(self.oracle, question, self._time)[0]}

    def list_subjects(self, question: SubjectsQuestion) -> dict[str, Listing]:
        self._time = max(self._time, self.now)
        return {"oracle": oracle_subjects(self.oracle, question, self._time)[0]}

    def close(self) -> None:
        pass


def oracle_answer(oracle: Oracle, question: Question, at: int | None = None) -> Answer:
    """What the oracle says, with every code that would be right where that is an error."""
    try:
        return oracle.check(*question, at)
    except Unanswerable as error:
        return Refused(error.codes)
    except RequestError as error:
        return Refused(frozenset({error.code}))


def oracle_objects(oracle: Oracle, question: ObjectsQuestion, at: int | None = None) -> tuple[Listing, Listing]:
    """What the oracle lists, where nobody asks it to report, and where somebody does."""
    try:
        found = oracle.list_objects(*question, at)
    except RequestError as error:
        return _refused(error), _refused(error)
    report = Listed(tuple(sorted(found.definite)), tuple(sorted(found.undetermined)))
    return Refused(found.codes) if found.undetermined else report, report


def oracle_subjects(oracle: Oracle, question: SubjectsQuestion, at: int | None = None) -> tuple[Listing, Listing]:
    """The same of subjects."""
    try:
        found = oracle.list_subjects(*question, at)
    except RequestError as error:
        return _refused(error), _refused(error)
    items = (*found.subjects, *([f"{question.kind}:*"] if found.wildcard else []))
    report = Listed(tuple(sorted(items)), tuple(sorted(found.undetermined)), tuple(sorted(found.excluded)))
    return Refused(found.met) if found.met else report, report


class EngineAdapter:
    """The engine in memory, asked by `check`, `check_objects`, `batch_check`, `check_ids`, and `batch_check` with surroundings for each item.

    What a question brings is said by the call where the call is about that question or those that share it. `batch_check` says half of it
    by the call and half by the item, and something else by the call that the item's takes the place of; `batch_each` says all of it by the
    item, in one call for all questions, whatever they bring.

    Ids exist only for names that the store has seen: a plain subject without one is asked as NONE, which is to get what any unknown
    subject gets; an object or a userset without one has no answer by ids that text would agree with, so NONE must be False and is
    reported as None.
    """

    def __init__(self) -> None:
        self.now = 0
        self._time = 0  # the latest that the engine has seen: its time never goes back
        self.engine = fgacore.open(":memory:", clock=self._clock)
        self._reached: tuple[str, fgacore.Reach] | None = None  # the latest, and what was asked: the next question often wants the same

    def _clock(self) -> datetime:
        self._time = max(self._time, self.now)
        return instant(self.now)

    def write_model(self, source: str | Path | dict[str, Any]) -> str:
        return self.engine.write_model(source)

    def write(self, tuples: Iterable[Stored | Triple]) -> None:
        batch = [given(item) for item in tuples]
        if batch:
            self.engine.write(batch)

    def delete(self, tuples: Iterable[Triple]) -> None:
        batch = list(tuples)
        if batch:
            self.engine.write(deletes=batch)

    def ask(self, questions: Sequence[Question], model_id: str | None = None, paths: Sequence[str] = PATHS) -> dict[str, list[Answer]]:
        """The answers by these paths, asked in this order: what one path teaches the engine, the next one uses."""
        ways = {
            "check": self._check,
            "check_objects": self._check_objects,
            "batch_check": self._batch_check,
            "batch_each": self._batch_each,
            "check_ids": self._check_ids,
        }
        options = {} if model_id is None else {"model_id": model_id}
        return {path: ways[path](questions, options) for path in paths}

    def list_objects(
        self,
        question: ObjectsQuestion,
        model_id: str | None = None,
        paths: Sequence[str] = OBJECT_PATHS,
        candidates: Sequence[str] | None = None,
    ) -> dict[str, Listing]:
        """What each of these paths lists, asked in this order. `candidates` are what is filtered; without any, that path has no answer."""
        options: dict[str, Any] = {} if model_id is None else {"model_id": model_id}
        subject, relation, type_name = question[:3]
        brought = _surroundings(Question(subject, relation, "", *question[3:]))

        def listed(mode: Literal["raise", "report"]) -> Listed:
            found = self.engine.list_objects(subject, relation, type_name, on_missing_context=mode, **brought, **options)
            assert (found.subject, found.relation, found.type) == (subject, relation, type_name)
            assert (found.revision, found.instant) == (self.engine.revision, instant(self._time))
            definite, undetermined = self._names(found), self._names(found.undetermined)
            for name in candidates or ():
                assert (name in found, name in found.undetermined) == (name in definite, name in undetermined), name
            return Listed(tuple(sorted(definite)), tuple(sorted(undetermined)))

        def filtered() -> Listing:
            if candidates is None:
                return None
            rest, refused = list(candidates), set[str]()
            while True:
                try:
                    kept = self.engine.filter_objects(subject, relation, rest, **brought, **options)
                    break
                except RequestError as error:
                    if error.index is None:
                        raise
                    refused.add(rest.pop(error.index))
            assert kept == [name for name in rest if name in kept], f"{kept} is not in the order of {rest}, or has lost what is there twice"
            return Listed(tuple(sorted(set(kept))), tuple(sorted(refused)))

        def reached() -> Listing:
            key = repr((subject, model_id, question[3:], self.engine.revision, self.now))
            if self._reached is None or self._reached[0] != key:
                self._reached = key, self.engine.reach(subject, **brought, **options)
            reach, pair = self._reached[1], (type_name, relation)
            definite, conditional = (tuple(sorted(self._names(part[pair]))) if pair in part else () for part in (reach.definite, reach.conditional))
            assert (reach.subject, reach.revision, reach.instant) == (subject, self.engine.revision, instant(self._time))
            assert reach.counts.get(pair, (0, 0)) == (len(definite), len(conditional))
            assert not conditional or (not reach.complete and reach.conditions[pair])
            return Listed(definite, conditional)

        ways = {
            "list_objects": lambda: listed("raise"),
            "list_objects, report": lambda: listed("report"),
            "filter_objects": filtered,
            "reach": reached,
        }
        return {path: _listing(ways[path]) for path in paths}

    def list_subjects(self, question: SubjectsQuestion, model_id: str | None = None, paths: Sequence[str] = SUBJECT_PATHS) -> dict[str, Listing]:
        """What each of these paths lists, asked in this order."""
        options: dict[str, Any] = {} if model_id is None else {"model_id": model_id}
        object_name, relation, kind = question[:3]
        brought = _surroundings(Question("", relation, object_name, *question[3:]))

        def listed(mode: Literal["raise", "report"]) -> Listed:
            found = self.engine.list_subjects(object_name, relation, kind, on_missing_context=mode, **brought, **options)
            every = [*found.subjects, *([f"{kind}:*"] if found.wildcard else [])]
            assert (found.revision, found.instant) == (self.engine.revision, instant(self._time))
            assert sorted(found.to_list()) == sorted(every) == sorted(found)
            assert len(found) == len(every)
            assert all(name in found for name in every)
            assert not any(name in found for name in (*found.excluded, *found.undetermined))
            return Listed(tuple(sorted(every)), tuple(sorted(found.undetermined)), tuple(sorted(found.excluded)))

        ways = {"list_subjects": lambda: listed("raise"), "list_subjects, report": lambda: listed("report")}
        return {path: _listing(ways[path]) for path in paths}

    def list_relations(self, question: Question, model_id: str | None = None) -> list[str] | Refused:
        """The relations of the question's object that its subject has; the question's own relation plays no part."""
        options: dict[str, Any] = {} if model_id is None else {"model_id": model_id}
        try:
            return self.engine.list_relations(question.subject, question.object, **_surroundings(question), **options)
        except RequestError as error:
            return _refused(error)

    def _names(self, found: fgacore.ObjectSet) -> list[str]:
        """The names in a set, which is the same in all its forms."""
        names = list(found)
        ids = found.ids
        assert len(found) == len(names) == len(set(names))
        assert names == found.to_list()
        assert all(name in found for name in names)
        assert f"{found.type}:never-seen" not in found
        assert ids.dtype == numpy.uint32
        assert ids.tolist() == sorted(set(ids.tolist())) == list(found.bitmap)
        known = ids[ids < FIRST_ID_OF_A_CALL]
        texts = self.engine.names(found.type, known)
        assert [f"{found.type}:{text}" for text in texts] == names[: len(known)]
        assert self.engine.ids(found.type, [text for text in texts if text is not None]).tolist() == known.tolist()
        return names

    def close(self) -> None:
        self.engine.close()

    def _check(self, questions: Sequence[Question], options: dict[str, Any]) -> list[Answer]:
        def answer(question: Question) -> Answer:
            try:
                return _bool(self.engine.check(question.subject, question.relation, question.object, **_surroundings(question), **options))
            except RequestError as error:
                return _refused(error)

        return [answer(question) for question in questions]

    def _check_objects(self, questions: Sequence[Question], options: dict[str, Any]) -> list[Answer]:
        """One call for all objects of a subject and relation."""

        def ask(first: Question, indexes: list[int]) -> Sequence[bool]:
            objects = [questions[index].object for index in indexes]
            return self.engine.check_objects(first.subject, first.relation, objects, **_surroundings(first), **options)

        answers: list[Answer] = [None] * len(questions)
        for indexes in _groups(questions, lambda question: (question.subject, question.relation)):
            for index, answer in _ask_all(questions, indexes, ask):
                answers[index] = answer if isinstance(answer, Refused) else _bool(answer)
        return answers

    def _batch_check(self, questions: Sequence[Question], options: dict[str, Any]) -> list[Answer]:
        """One call for all that bring the same."""
        answers: list[Answer] = [None] * len(questions)
        for indexes in _groups(questions, lambda question: ()):
            first = questions[indexes[0]]
            call: dict[str, Any] = {}
            own: dict[str, Any] = {}
            if isinstance(first.context, dict):
                names = list(first.context)
                own["context"] = {name: first.context[name] for name in names[::2]}
                call["context"] = {name: first.context[name] for name in names[1::2]} | dict.fromkeys(names[:1])  # this None is laid over
            if first.contextual_tuples:
                tuples = [given(item) for item in first.contextual_tuples]
                own["contextual_tuples"], call["contextual_tuples"] = tuples[::2], tuples[1::2]
            items = [fgacore.Question(*questions[index][:3], **own) if own else questions[index][:3] for index in indexes]
            for index, answer in zip(indexes, self._batch(items, call | options), strict=True):
                answers[index] = answer
        return answers

    def _batch_each(self, questions: Sequence[Question], options: dict[str, Any]) -> list[Answer]:
        items = [fgacore.Question(*question[:3], **own) if (own := _surroundings(question)) else question[:3] for question in questions]
        return self._batch(items, options)

    def _batch(self, items: Sequence[Any], options: dict[str, Any]) -> list[Answer]:
        try:
            result = self.engine.batch_check(items, **options)
        except RequestError as error:
            return [_refused(error)] * len(items)
        answers: list[Answer] = [_bool(answer) for answer in result]
        for index, fault in result.errors.items():
            assert isinstance(fault, RequestError), fault
            assert answers[index] is False, f"item {index} is in error and reads {answers[index]}"
            answers[index] = _refused(fault)
        return answers

    def _check_ids(self, questions: Sequence[Question], options: dict[str, Any]) -> list[Answer]:
        """One call for all objects of a subject, relation and type of object. What is malformed as text may have no form in ids."""
        answers: list[Answer] = [None] * len(questions)
        groups = _groups(questions, lambda question: (question.subject, question.relation, question.object.partition(":")[0]))
        for group in groups:
            indexes = [index for index in group if _has_ids(questions[index])]
            if not indexes:
                continue
            first = questions[indexes[0]]
            name, hash_sign, subject_relation = first.subject.partition("#")
            type_name, _, subject_id_text = name.partition(":")
            object_type = first.object.partition(":")[0]
            wildcard = subject_id_text == "*" and not hash_sign
            kind = f"{type_name}:*" if wildcard else f"{type_name}#{subject_relation}" if hash_sign else type_name
            try:
                subject_id = fgacore.NONE if wildcard else int(self.engine.ids(type_name, [subject_id_text])[0])
                ids = self.engine.ids(object_type, [questions[index].object.partition(":")[2] for index in indexes])
            except RequestError as error:
                if error.code != "type_not_found":
                    raise
                continue  # a type that no model of the store has has no ids
            ids_of = dict(zip(indexes, ids, strict=True))

            def ask(
                first: Question,
                indexes: list[int],
                subject_id: int = subject_id,
                kind: str = kind,
                object_type: str = object_type,
                ids_of: dict[int, Any] = ids_of,
            ) -> Sequence[bool]:
                object_ids = numpy.array([ids_of[index] for index in indexes], dtype=numpy.uint32)
                found = self.engine.check_ids(
                    subject_id, first.relation, object_ids, subject_type=kind, object_type=object_type, **_surroundings(first), **options
                )
                assert isinstance(found, numpy.ndarray)
                assert found.dtype == numpy.bool_
                assert found.shape == object_ids.shape
                return [bool(answer) for answer in found]

            contextual = {name for item in first.contextual_tuples for name in (item.key if isinstance(item, Stored) else item)}
            for index, answer in _ask_all(questions, indexes, ask):
                if ids_of[index] == fgacore.NONE or (hash_sign and subject_id == fgacore.NONE):
                    assert answer is False or isinstance(answer, Refused), f"NONE was granted: {questions[index]}"
                elif subject_id != fgacore.NONE or first.subject not in contextual:  # a name that only this request has is nobody by ids
                    answers[index] = answer
        return answers


def given(item: Stored | Triple) -> fgacore.Tuple | Triple:
    """A tuple as it is given to the engine: a plain triple where that says all."""
    if not isinstance(item, Stored):
        return item
    if item.condition is None and item.context is None and item.expires_at is None:
        return item.key
    expires_at = None if item.expires_at is None else instant(item.expires_at)
    return fgacore.Tuple(*item.key, condition=item.condition, context=item.context, expires_at=expires_at)


def _surroundings(question: Question) -> dict[str, Any]:
    """What a question brings, as keywords of a call or of an item."""
    brought: dict[str, Any] = {}
    if question.context is not None:
        brought["context"] = question.context
    if question.contextual_tuples:
        brought["contextual_tuples"] = [given(item) for item in question.contextual_tuples]
    return brought


NAME = re.compile(r"[^:#@\s]+:[^:#\s*][^:#\s]*")
RELATION = re.compile(r"[^:#@\s]{1,50}")


def _has_ids(question: Question) -> bool:
    """Whether subject and object are well formed, and so can have ids."""
    name, hash_sign, relation = question.subject.partition("#")
    if name.endswith(":*") and not hash_sign:
        name = name.replace("*", "x")  # a wildcard is well formed where any subject of its type is
    named = all(NAME.fullmatch(text) and len(text.encode()) <= 256 for text in (name, question.object))
    return named and (not hash_sign or RELATION.fullmatch(relation) is not None)


def _groups(questions: Sequence[Question], key: Callable[[Question], object]) -> list[list[int]]:
    """The positions of the questions that have a key in common and bring the same."""
    groups: dict[object, list[int]] = defaultdict(list)
    texts: dict[tuple[int, int], str] = {}  # of what they bring, by identity: many bring the very same, and it may be long
    for index, question in enumerate(questions):
        brought = id(question.context), id(question.contextual_tuples)
        if brought not in texts:
            texts[brought] = repr((question.context, list(question.contextual_tuples)))
        groups[key(question), texts[brought]].append(index)
    return list(groups.values())


def _ask_all(
    questions: Sequence[Question], indexes: list[int], ask: Callable[[Question, list[int]], Sequence[bool]]
) -> Iterable[tuple[int, bool | Refused]]:
    """Answers to all these questions, by a call that an item at fault refuses as a whole, naming it: the others are asked again without it."""
    rest = list(indexes)
    while rest:
        try:
            answers = ask(questions[rest[0]], rest)
        except RequestError as error:
            if error.index is None:  # the subject, the relation, or what the call brings: every item is refused
                yield from ((index, _refused(error)) for index in rest)
                return
            yield rest.pop(error.index), _refused(error)
            continue
        yield from zip(rest, answers, strict=True)
        return


def _listing(ask: Callable[[], Listing]) -> Listing:
    try:
        return ask()
    except RequestError as error:
        return _refused(error)


def _refused(error: RequestError) -> Refused:
    return Refused(frozenset({error.code}))


def _bool(answer: object) -> bool:
    assert answer is True or answer is False, f"{answer!r} is not a bool"
    return answer
