"""An engine whose own checks go into the decision log as well: `open(log_checks=True)`. Each subject is a chain of one, which nothing bounds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fgacore.errors import FgaError
from fgacore.results import BatchResult
from fgacore.runtime.chains import Chained
from fgacore.runtime.decisions import DecisionRing
from fgacore.runtime.lists import Lists
from fgacore.tuples import Question, Triple, Tuple

__all__ = ["LoggedChecks"]

_CHAINS_MAX = 10_000  # subjects whose chain is kept


class LoggedChecks(Lists):
    """The checks of an engine, logged. Where a call gives contextual tuples, an older model or ids, the answer is noted and cannot be made again."""

    _ring: DecisionRing
    _askers: dict[tuple[str, bool], Chained]

    def _asker(self, subject: str, *, apart: bool = False) -> Chained:
        """The chain of a subject that is a text."""
        key = str.__str__(subject), apart
        found = self._askers.get(key)
        if found is None:
            if len(self._askers) >= _CHAINS_MAX:
                self._askers.clear()
            found = self._askers[key] = Chained(self, self._ring, (key[0],), (True,), (None,), (None,), controlled=False, apart=apart)
        return found

    def _noted(self, subject: str, questions: list[tuple[str, str]], answers: Sequence[bool | None], context: Mapping[str, Any] | None) -> bool:
        """Note answers that are not made again; False where what is not kept is denied, and they are not."""
        return self._asker(subject, apart=True)._note(questions, list(answers), context) or not self._ring.denies

    def check(
        self,
        subject: str,
        relation: str,
        object: str,
        *,
        context: Mapping[str, Any] | None = None,
        contextual_tuples: Iterable[Tuple | Triple] = (),
        model_id: str | None = None,
        at_least: int | None = None,
    ) -> bool:
        """As Engine.check."""
        who: Any = subject
        if isinstance(who, str) and _is_none(contextual_tuples) and model_id is None:
            return self._asker(who).check(relation, object, context=context, at_least=at_least)
        allowed = super().check(subject, relation, object, context=context, contextual_tuples=contextual_tuples, model_id=model_id, at_least=at_least)
        return self._noted(subject, [(relation, object)], [allowed], context) and allowed

    def check_objects(
        self,
        subject: str,
        relation: str,
        objects: Iterable[str],
        *,
        context: Mapping[str, Any] | None = None,
        contextual_tuples: Iterable[Tuple | Triple] = (),
        model_id: str | None = None,
        at_least: int | None = None,
    ) -> list[bool]:
        """As Engine.check_objects."""
        who: Any = subject
        items = _listed(objects)
        if isinstance(who, str) and _is_none(contextual_tuples) and model_id is None and items:
            return self._asker(who).check_objects(relation, items, context=context, at_least=at_least)
        answers = super().check_objects(
            subject, relation, items, context=context, contextual_tuples=contextual_tuples, model_id=model_id, at_least=at_least
        )
        kept = self._noted(subject, [(relation, item) for item in items], answers, context)
        return answers if kept else [False] * len(answers)

    def filter_objects(
        self,
        subject: str,
        relation: str,
        objects: Iterable[str],
        *,
        context: Mapping[str, Any] | None = None,
        contextual_tuples: Iterable[Tuple | Triple] = (),
        model_id: str | None = None,
        at_least: int | None = None,
    ) -> list[str]:
        """As Engine.filter_objects."""
        items = _listed(objects)
        answers = self.check_objects(
            subject, relation, items, context=context, contextual_tuples=contextual_tuples, model_id=model_id, at_least=at_least
        )
        return [item for item, allowed in zip(items, answers, strict=True) if allowed]

    def batch_check(
        self,
        questions: Iterable[Triple | Question],
        *,
        context: Mapping[str, Any] | None = None,
        contextual_tuples: Iterable[Tuple | Triple] = (),
        model_id: str | None = None,
        at_least: int | None = None,
    ) -> BatchResult:
        """As Engine.batch_check."""
        items = _listed(questions)
        if _is_none(contextual_tuples) and model_id is None and isinstance(items, list) and all(map(_is_plain, items)):
            return self._pinned_batch(items, context, at_least)
        found = super().batch_check(items, context=context, contextual_tuples=contextual_tuples, model_id=model_id, at_least=at_least)
        kept = True
        for index, item in enumerate(items):
            parts = item if isinstance(item, tuple) else (item.subject, item.relation, item.object) if isinstance(item, Question) else ()
            if len(parts) == 3 and all(isinstance(part, str) for part in parts):
                kept &= self._noted(parts[0], [parts[1:]], [None if index in found.errors else found[index]], context)
        return found if kept else BatchResult([False] * len(found), found.errors)

    def _pinned_batch(self, items: list[Triple | Question], context: Mapping[str, Any] | None, at_least: int | None) -> BatchResult:
        """Each subject's questions as a batch of its own, all of one version and instant."""
        groups: dict[str, list[int]] = {}
        triples = [item if isinstance(item, tuple) else (item.subject, item.relation, item.object) for item in items]
        for index, (subject, _, _) in enumerate(triples):
            groups.setdefault(str.__str__(subject), []).append(index)
        answers = [False] * len(items)
        errors: dict[int, FgaError] = {}
        pin = None
        super().batch_check([], context=context, at_least=at_least)  # closed, stale, no model, no context: as it says
        for subject, places in groups.items():
            chain = self._asker(subject)
            pin = chain._pin() if pin is None else pin
            try:
                found, failed = chain._pinned([triples[place][1:] for place in places], context, pin)
            except FgaError as raised:
                if raised.code not in ("invalid_subject", "type_not_found", "relation_not_found"):
                    raise
                for place in places:
                    errors[place] = type(raised)(raised.message, code=raised.code, index=place)
                continue
            for place, allowed in zip(places, found, strict=True):
                answers[place] = allowed
            for number, error in failed.items():
                error.index = places[number]
                errors[places[number]] = error
        return BatchResult(answers, errors)

    def check_ids(self, subject_id: Any, relation: str, object_ids: Any, **options: Any) -> Any:
        """As Engine.check_ids."""
        answers = super().check_ids(subject_id, relation, object_ids, **options)
        kind, type = options["subject_type"], options["object_type"]
        generation = self._state.newest.names.generation
        plain = kind.partition("#")[0].removesuffix(":*")
        who = ["*"] if kind.endswith(":*") else self.names(plain, [subject_id], generation=generation)
        if who[0] is None:  # nobody that the store knows
            who = [f"#{subject_id}"]
        subject = f"{plain}:{who[0]}" + (f"#{kind.partition('#')[2]}" if "#" in kind else "")
        names = self.names(type, object_ids, generation=generation)
        pairs = [((relation, f"{type}:{name}"), bool(allowed)) for name, allowed in zip(names, answers, strict=True) if name is not None]
        if pairs and not self._noted(subject, [pair for pair, _ in pairs], [allowed for _, allowed in pairs], options.get("context")):
            answers[:] = False
        return answers


def _is_none(contextual_tuples: object) -> bool:
    """Whether there are no contextual tuples, however that is said."""
    return contextual_tuples is None or (type(contextual_tuples) in (tuple, list) and not contextual_tuples)


def _listed(given: Any) -> Any:
    """What is a list of things, read once; the rest as it is: whoever reads it says what is wrong."""
    return given if isinstance(given, (str, bytes)) or not isinstance(given, Iterable) else list(given)


def _is_plain(item: object) -> bool:
    """Whether a question is a triple of texts with nothing of its own."""
    if isinstance(item, Question):
        if item.context is not None or not _is_none(item.contextual_tuples):
            return False
        item = (item.subject, item.relation, item.object)
    return type(item) is tuple and len(item) == 3 and isinstance(item[0], str)
