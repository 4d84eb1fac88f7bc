"""What the fault tests write, and what must then be answered: a model, histories that a seed decides, and every answer beside the oracle's.

A history leaves its step in the store itself: each step is one write that deletes the mark of the step before and stores its own. So a store
that comes back from a fault says how far it got, and one mark too many or too few is a write of which half is there.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import fgacore
from adapters import Listed, Listing, ObjectsQuestion, Question, Refused, SubjectsQuestion, given, oracle_answer, oracle_objects, oracle_subjects
from fgacore import language
from oracle import Key, Oracle, Stored

__all__ = ["ADMITTED", "CONTEXT", "MODEL", "QUESTIONS", "STEPS", "Clock", "Story", "answers", "ask", "key_of", "right", "stored_in", "write_next"]

MODEL = """
model
  schema 1.1
type user
type group
  relations
    define member: [user, user:*, group#member]
type folder
  relations
    define parent: [folder]
    define viewer: [user, group#member] or viewer from parent
type doc
  relations
    define parent: [folder]
    define reader: [user, user:*, user with low, group#member, group#member with low]
    define barred: [user, group#member]
    define viewer: reader or viewer from parent
    define can: viewer but not barred
    define knot: [user, doc#knot] but not held
    define held: [user, doc#knot]
type ledger
  relations
    define mark: [user]
condition low(x: int) {
  x < 10
}
"""
PARSED = language.load(MODEL)
CONTEXT = {"x": 5}
USERS = ("user:a", "user:b", "user:c")
GROUPS = ("group:g", "group:h")
FOLDERS = ("folder:e", "folder:f")
DOCS = ("doc:1", "doc:2", "doc:3")
SUBJECTS = (*USERS, "user:never-seen", "user:*", "group:g#member")
QUESTIONS = [
    (subject, relation, name)
    for subject in SUBJECTS
    for names, relations in ((DOCS, ("reader", "viewer", "can", "knot")), (FOLDERS, ("viewer",)), (GROUPS, ("member",)))
    for name in names
    for relation in relations
]
LISTS = [(subject, relation, kind) for subject in SUBJECTS for relation, kind in (("can", "doc"), ("viewer", "folder"))]
HELD = [("doc:1", "viewer"), ("doc:2", "can"), ("group:g", "member"), ("group:h", "member")]
STEPS = 30  # of the history that most stores here have
FAR = 4_000_000_000_000_000  # an instant that no run of these tests sees, microseconds since the epoch


class Clock:
    """A clock that a test sets, in microseconds since the epoch."""

    def __init__(self, now: int = 1_750_000_000_000_000) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=self.now)


def _admitted() -> list[Stored]:
    """Every tuple that a history may hold; those that differ in condition, context or expiry alone have the same key."""
    found: list[Stored] = []
    usersets = tuple(f"{group}#member" for group in GROUPS)
    for group in GROUPS:
        found += [Stored(subject, "member", group) for subject in (*USERS, "user:*", *usersets) if subject != f"{group}#member"]
    for folder in FOLDERS:
        found += [Stored(subject, "viewer", folder) for subject in (*USERS, *usersets)]
        found += [Stored(parent, "parent", folder) for parent in FOLDERS]
    for doc in DOCS:
        found += [Stored(folder, "parent", doc) for folder in FOLDERS]
        found += [Stored(subject, "reader", doc, expires_at=expiry) for subject in (*USERS, *usersets) for expiry in (None, FAR)]
        found += [Stored("user:a", "reader", doc, "low", context) for context in (None, {"x": 3}, {"x": 30})]
        found += [Stored("group:g#member", "reader", doc, "low", {"x": 9}), Stored("user:*", "reader", doc)]
        found += [Stored(subject, "barred", doc) for subject in (*USERS, *usersets)]
        found += [
            Stored(subject, relation, doc) for relation in ("knot", "held") for subject in ("user:a", "doc:1#knot") if subject != f"{doc}#{relation}"
        ]
    return found


ADMITTED = _admitted()


class Story:
    """A history that a seed decides. `state` is what is stored after `step` steps; a writer and whoever judges it tell the same story."""

    def __init__(self, seed: int | str, *, name: str = "only", mine: Iterable[Stored] = ADMITTED, size: int = 4) -> None:
        self.name = name
        self.step = 0
        self.state: dict[Key, Stored] = {}
        self._random = random.Random(seed)
        self._mine = list(mine)
        self._size = size

    def mark(self, step: int) -> Stored:
        return Stored(f"user:step-{step}", "mark", f"ledger:{self.name}")

    def next(self) -> tuple[list[Stored], list[Key]]:
        """The next step: its writes, all new, and its deletes, all stored."""
        gone = self._random.sample(sorted(self.state), min(len(self.state), self._random.randrange(self._size)))
        deletes = [key for key in gone if key[1] != "mark"]
        new = {stored.key: stored for stored in self._random.sample(self._mine, min(len(self._mine), 1 + self._random.randrange(self._size)))}
        writes = [stored for key, stored in new.items() if key not in self.state or key in deletes]
        if self.step:
            deletes.append(self.mark(self.step).key)
        self.step += 1
        writes.append(self.mark(self.step))
        for key in deletes:
            del self.state[key]
        self.state.update({stored.key: stored for stored in writes})
        return writes, deletes

    def go(self, step: int) -> Story:
        """Go on to this step."""
        while self.step < step:
            self.next()
        assert self.step == step, "a story is not told backwards"
        return self

    def told(self, engine: fgacore.Engine) -> int:
        """How far the store has got, 0 if not begun; anything but one mark is a write of which half is there."""
        marks = [item.subject for item in engine.read(object=f"ledger:{self.name}")]
        assert len(marks) <= 1, f"half a write: {marks}"
        return int(marks[0].removeprefix("user:step-")) if marks else 0


def write_next(engine: fgacore.Engine, story: Story) -> int:
    """Write the next step; the revision."""
    writes, deletes = story.next()
    return engine.write([given(stored) for stored in writes], deletes=deletes, actor=story.name, reason=f"step {story.step}")


def key_of(item: fgacore.Tuple) -> Key:
    return item.subject, item.relation, item.object


def stored_in(engine: fgacore.Engine) -> dict[Key, tuple[Any, ...]]:
    """Everything that can be read, by key."""
    found: dict[Key, tuple[Any, ...]] = {}
    for item in engine.read():
        assert key_of(item) not in found, f"read twice: {item}"
        found[key_of(item)] = item.condition, dict(item.context or {}), item.expires_at
    return found


def ask(engine: fgacore.Engine, context: Mapping[str, Any] | None = CONTEXT) -> dict[str, Any]:
    """What the engine answers: single checks beside the batch, lists of objects and of subjects; an error by its code."""
    options: dict[str, Any] = {} if context is None else {"context": context}
    found: dict[str, Any] = {}
    batch = engine.batch_check(QUESTIONS, **options)
    for index, question in enumerate(QUESTIONS):
        found[" ".join(question)] = batch.errors[index].code if index in batch.errors else batch[index]
    for question in QUESTIONS[::7]:
        assert _attempt(lambda question=question: engine.check(*question, **options)) == found[" ".join(question)]
    options["on_missing_context"] = "report"
    for subject, relation, kind in LISTS:
        objects = engine.list_objects(subject, relation, kind, **options)
        found[f"objects: {subject} {relation} {kind}"] = sorted(objects), sorted(objects.undetermined)
    for name, relation in HELD:
        subjects = engine.list_subjects(name, relation, "user", **options)
        found[f"subjects: {name} {relation}"] = sorted(subjects), sorted(subjects.undetermined)
    return found


def right(tuples: Iterable[Stored], context: Mapping[str, Any] | None = CONTEXT, at: int | None = None) -> dict[str, Any]:
    """What `ask` must give, by the oracle."""
    oracle = Oracle(PARSED, tuples)
    found: dict[str, Any] = {}

    for question in QUESTIONS:
        answer = oracle_answer(oracle, Question(*question, context), at)
        found[" ".join(question)] = min(answer.codes) if isinstance(answer, Refused) else answer
    for subject, relation, kind in LISTS:
        found[f"objects: {subject} {relation} {kind}"] = _listed(oracle_objects(oracle, ObjectsQuestion(subject, relation, kind, context), at)[1])
    for name, relation in HELD:
        found[f"subjects: {name} {relation}"] = _listed(oracle_subjects(oracle, SubjectsQuestion(name, relation, "user", context), at)[1])
    return found


def answers(engine: fgacore.Engine, tuples: Mapping[Key, Stored], *, at: int | None = None, context: Mapping[str, Any] | None = CONTEXT) -> None:
    """The engine stores exactly these tuples, and answers as the oracle does over them."""
    expected = {
        key: (stored.condition, dict(stored.context or {}), None if stored.expires_at is None else Clock(stored.expires_at)())
        for key, stored in tuples.items()
        if at is None or stored.expires_at is None or at < stored.expires_at
    }
    assert stored_in(engine) == expected
    assert ask(engine, context) == right(tuples.values(), context, at)


def _listed(listing: Listing) -> tuple[list[str], list[str]]:
    assert isinstance(listing, Listed)
    return list(listing.items), list(listing.undetermined or ())


def _attempt(call: Any) -> Any:
    try:
        return call()
    except fgacore.RequestError as error:
        return error.code
