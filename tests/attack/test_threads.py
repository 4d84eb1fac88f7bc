"""Readers beside a writer: every batch is of one revision, nobody waits for ever, and closing under way ends calls cleanly.

The writer changes facts so that a mixed answer shows: it moves whole groups of tuples at once, and moves one token along a line of objects.
No test measures time; each runs until the writer has done its part.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
from collections.abc import Callable

import numpy
import pytest

import fgacore
from fgacore import StoreError

SOAK = bool(os.environ.get("FGACORE_SOAK"))
ROUNDS = 4_000 if SOAK else 250
READERS = 4

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
    define barred: [user, group#member]
    define reader: [user, user:*, group#member]
    define viewer: reader or viewer from parent
    define can: viewer but not barred
    define knot: [user, doc#knot] but not held
    define held: [user, doc#knot]
"""


pytestmark = pytest.mark.usefixtures("_restless")


def made() -> fgacore.Engine:
    engine = fgacore.open(":memory:")
    engine.write_model(MODEL)
    return engine


class Crew:
    """Threads that run until the writer is done or one of them has found a fault; the first fault is raised in the test."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.faults: list[BaseException] = []
        self.turns = [0] * 64
        self.threads: list[threading.Thread] = []

    def reader(self, work: Callable[[], None]) -> None:
        number = len(self.threads)

        def loop() -> None:
            while not self.done.is_set() or self.turns[number] < 3:
                work()
                self.turns[number] += 1

        self._start(loop)

    def writer(self, work: Callable[[], None]) -> None:
        def once() -> None:
            try:
                work()
            finally:
                self.done.set()

        self._start(once)

    def let_read(self) -> None:
        """Let some reader end a turn before the writer goes on: the writes are spread over what the readers do."""
        turns = sum(self.turns)
        while sum(self.turns) == turns and not self.done.is_set():
            time.sleep(0)

    def _start(self, target: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                target()
            except BaseException as error:  # noqa: BLE001 - told by the main thread
                self.faults.append(error)
                self.done.set()

        self.threads.append(threading.Thread(target=guarded, daemon=True))

    def run(self) -> None:
        for thread in self.threads:
            thread.start()
        for thread in self.threads:
            thread.join(120)
            assert not thread.is_alive() or self.faults, "a thread does not end"
        if self.faults:
            raise self.faults[0]
        assert all(self.turns[number] >= 3 for number in range(len(self.threads) - 1))


def one_side(answers: list[bool], half: int, what: str) -> None:
    left, right = set(answers[:half]), set(answers[half:])
    assert len(left) == len(right) == 1, f"{what}: a mixed batch {answers}"
    assert left != right, f"{what}: both sides or none {answers}"


def flip(
    crew: Crew, engine: fgacore.Engine, sides: list[list[tuple[str, str, str]]], rounds: int, merge_each: int = 17, model_each: int = 41
) -> None:
    """Take away the one side and give the other, in one write, again and again; the first side is stored."""
    for number in range(rounds):
        engine.write(sides[(number + 1) % 2], deletes=sides[number % 2])
        if number % merge_each == 0:
            engine.merge()
        if number % model_each == 0:
            engine.write_model(MODEL)
        if number % 3 == 0:
            crew.let_read()


def test_grants_that_move_together_are_seen_together() -> None:
    """Directly, through a group, through a folder, and by being barred: each has its own two sides, all moved by one write."""
    size = 40
    engine = made()
    left, right = [f"doc:l{i}" for i in range(size)], [f"doc:r{i}" for i in range(size)]

    def side(docs: list[str], mark: str) -> list[tuple[str, str, str]]:
        found = [("user:direct", "reader", doc) for doc in docs]
        found += [("user:grouped", "member", f"group:{mark}"), ("folder:moving", "parent", f"folder:{mark}")]
        return found

    fixed = [(f"group:{mark}#member", "reader", doc) for mark, docs in (("l", left), ("r", right)) for doc in docs]
    fixed += [(f"folder:{mark}", "parent", doc) for mark, docs in (("l", left), ("r", right)) for doc in docs]
    fixed += [("user:nested", "viewer", "folder:top"), ("folder:top", "parent", "folder:moving"), ("group:l#member", "barred", "doc:bar")]
    engine.write([*fixed, *side(left, "l")])
    sides = [side(left, "l"), side(right, "r")]
    both = left + right
    ids = engine.ids("doc", [doc.removeprefix("doc:") for doc in both])
    assert (ids[:size] != fgacore.NONE).all()
    subjects = {name: int(engine.ids("user", [name])[0]) for name in ("direct", "grouped", "nested")}
    crew = Crew()

    def by_objects() -> None:
        for name in subjects:
            one_side(engine.check_objects(f"user:{name}", "viewer", both), size, name)

    def by_batch() -> None:
        questions = [(f"user:{name}", "can", doc) for name in subjects for doc in both]
        answers = list(engine.batch_check(questions))
        for position in range(0, len(answers), 2 * size):
            one_side(answers[position : position + 2 * size], size, "batch")
        assert len({tuple(answers[position : position + 2 * size]) for position in range(0, len(answers), 2 * size)}) == 1, (
            "three sides of two revisions"
        )

    def by_ids() -> None:
        known = engine.ids("doc", [doc.removeprefix("doc:") for doc in both])
        for name, subject in subjects.items():
            one_side(engine.check_ids(subject, "viewer", known, subject_type="user", object_type="doc").tolist(), size, name)

    def by_read() -> None:
        read = {(found.subject, found.relation, found.object) for found in engine.read()}
        assert read == {*fixed, *sides[0]} or read == {*fixed, *sides[1]}
        assert engine.stats().tuples == len(fixed) + len(sides[0])

    for work in (by_objects, by_batch, by_ids, by_read):
        crew.reader(work)
    crew.writer(lambda: flip(crew, engine, sides, ROUNDS))
    crew.run()
    engine.close()


def test_large_batches_without_the_lock_are_of_one_revision() -> None:
    """So many ids in one call that the writer is sure to write meanwhile; the sets are large enough for every form."""
    size = 30_000
    engine = made()
    left, right = [f"doc:{i}" for i in range(size)], [f"doc:{i}" for i in range(size, 2 * size)]
    sides = [[("user:a", "reader", doc) for doc in docs] + [("user:b", "member", f"group:{docs is left}")] for docs in (left, right)]
    engine.write([("user:a", "reader", doc) for doc in right])
    engine.write([(f"group:{docs is left}#member", "reader", doc) for docs in (left, right) for doc in docs])
    engine.write(sides[0], deletes=[("user:a", "reader", doc) for doc in right])
    ids = engine.ids("doc", [str(i) for i in range(2 * size)])
    assert (ids != fgacore.NONE).all()
    many = numpy.tile(ids, 4)
    first, second = (int(found) for found in engine.ids("user", ["a", "b"]))
    crew = Crew()

    def by_ids(subject: int) -> None:
        answers = engine.check_ids(subject, "can", many, subject_type="user", object_type="doc").reshape(4, 2, size)
        assert (answers == answers[:, :, :1]).all(), "a mixed batch"
        assert (answers[:, 0, 0] != answers[:, 1, 0]).all()
        assert (answers[:, :, 0] == answers[0, :, 0]).all(), "the batch ends at another revision than it began"

    def by_objects() -> None:
        one_side(engine.check_objects("user:b", "viewer", left + right), size, "objects")

    crew.reader(lambda: by_ids(first))
    crew.reader(lambda: by_ids(second))
    crew.reader(by_objects)
    crew.writer(lambda: flip(crew, engine, sides, 200 if SOAK else 8, merge_each=3, model_each=5))
    crew.run()
    engine.close()


def test_a_token_moves_forward_for_every_reader() -> None:
    """One tuple of many is stored at any time, under names that are new with each write. No reader sees none, two, or an older one again."""
    engine = made()
    rounds = ROUNDS * 3
    places = [f"doc:t{number}" for number in range(rounds + 1)]
    engine.write([("user:token", "reader", places[0]), ("group:g#member", "member", "group:t0")])
    crew = Crew()
    newest = [0]

    def reader(ask: Callable[[], list[bool]]) -> Callable[[], None]:
        last = [0]

        def work() -> None:
            floor = newest[0]  # written, and returned from, before this call begins
            answers = ask()
            assert sum(answers) == 1, f"{sum(answers)} places hold the token"
            place = answers.index(True)
            assert place >= floor, f"the write of {floor} had returned, {place} was seen"
            assert place >= last[0], f"from {last[0]} back to {place}"
            last[0] = place

        return work

    def by_ids() -> list[bool]:
        found = engine.ids("doc", [place.removeprefix("doc:") for place in places])
        while True:  # the token may be on a name younger than these ids: then ask for the ids again
            answers = engine.check_ids(0, "viewer", found, subject_type="user", object_type="doc").tolist()
            if any(answers):
                return answers
            found = engine.ids("doc", [place.removeprefix("doc:") for place in places])

    assert engine.ids("user", ["token"])[0] == 0
    crew.reader(reader(lambda: engine.check_objects("user:token", "viewer", places)))
    crew.reader(reader(lambda: list(engine.batch_check([("user:token", "can", place) for place in places]))))
    crew.reader(reader(by_ids))

    def moving() -> None:
        for number in range(rounds):
            engine.write([("user:token", "reader", places[number + 1])], deletes=[("user:token", "reader", places[number])])
            newest[0] = number + 1
            if number % 97 == 0:
                engine.merge()
            if number % 5 == 0:
                crew.let_read()

    crew.writer(moving)
    crew.run()
    engine.close()


def test_recursion_and_negation_beside_a_writer() -> None:
    """A chain of groups and folders is cut at one place and mended at another, so the whole below flips; a knot flips beside it."""
    length = 60
    engine = made()
    chain = [(f"group:{i}#member", "member", f"group:{i + 1}") for i in range(length)] + [
        (f"folder:{i}", "parent", f"folder:{i + 1}") for i in range(length)
    ]
    knots = [(f"doc:{i}#knot", "knot", f"doc:{i + 1}") for i in range(length)]
    engine.write([*chain, *knots, ("user:a", "viewer", "folder:0"), ("user:a", "knot", "doc:0"), ("doc:3#knot", "held", "doc:50")])
    sides = [[("user:a", "member", "group:0"), ("user:b", "held", "doc:0")], [("user:b", "member", "group:0"), ("user:a", "held", "doc:0")]]
    engine.write(sides[0])
    groups = [f"group:{i}" for i in range(length + 1)]
    crew = Crew()

    def chained() -> None:
        questions = [(user, "member", group) for user in ("user:a", "user:b") for group in groups]
        one_side(list(engine.batch_check(questions)), len(groups), "groups")

    def knotted() -> None:
        questions = [("user:a", "member", "group:60"), *(("user:a", "knot", f"doc:{i}") for i in range(length + 1))]
        answers = list(engine.batch_check(questions))
        expected = [answers[0] and i < 50 for i in range(length + 1)]  # 50 is held by who has 3
        assert answers[1:] == expected, (answers[0], answers[1:])

    def constant() -> None:
        assert engine.check_objects("user:a", "viewer", [f"folder:{i}" for i in (0, 1, 30, length)]) == [True] * 4
        assert engine.check("user:nobody", "viewer", f"folder:{length}") is False

    for work in (chained, knotted, constant):
        crew.reader(work)
    crew.writer(lambda: flip(crew, engine, sides, ROUNDS * 2))
    crew.run()
    engine.close()


class WritesWhenLookedUp(str):
    """A relation whose look-up makes the engine write: the least that another thread may do at that moment, without the thread."""

    then: Callable[[], object]

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other)

    def __hash__(self) -> int:
        self.then()
        return str.__hash__(self)


@pytest.mark.parametrize("count", [1, 4, 20])
@pytest.mark.parametrize("asked_before", [0, 1, 2, 3])
@pytest.mark.parametrize("path", ["check", "check_objects", "batch_check"])
@pytest.mark.parametrize("grants", [False, True])
def test_a_write_amid_a_question_is_not_forgotten(path: str, asked_before: int, count: int, grants: bool) -> None:
    """What is learnt from the version before the write must not answer after it: a revoked grant would stay."""
    engine = made()
    fact = ("user:a", "member", "group:0")
    engine.write([("group:0#member", "member", "group:1"), ("user:x", "member", "group:0"), ("user:a", "reader", "doc:1")])
    if not grants:
        engine.write([fact])
    for _ in range(asked_before):
        assert engine.check("user:a", "member", "group:1") is not grants
    relation = WritesWhenLookedUp("member")
    writes: dict[str, object] = {"writes": [fact], "on_duplicate": "ignore"} if grants else {"deletes": [fact], "on_missing": "ignore"}
    relation.then = lambda: engine.write(**writes)  # type: ignore[arg-type]
    with contextlib.suppress(fgacore.RequestError):  # a subclass of text may be refused
        if path == "check":
            engine.check("user:a", relation, "group:1")
        elif path == "check_objects":
            engine.check_objects("user:a", relation, ["group:1"] * count)
        else:
            engine.batch_check([("user:a", relation if number == count // 2 else "member", "group:1") for number in range(count)])
    engine.write(**writes)  # type: ignore[arg-type] - if the look-up did not
    for _ in range(2):
        assert engine.check("user:a", "member", "group:1") is grants
        assert engine.check_objects("user:a", "member", ["group:1"] * 20) == [grants] * 20
        assert list(engine.batch_check([("user:a", "member", "group:1")] * 3)) == [grants] * 3
    engine.close()


@pytest.mark.parametrize("length", [0, 1, 2, 3, 9])
def test_when_all_is_quiet_every_answer_is_of_the_last_write(length: int) -> None:
    """Membership passes to and fro between two users while they are asked; then nobody writes any more, and nothing old may remain."""
    groups = [f"group:{number}" for number in range(length + 1)]
    for rounds in range(1, 40 if SOAK else 14):
        engine = made()
        engine.write([(f"group:{number}#member", "member", f"group:{number + 1}") for number in range(length)])
        sides = [[("user:a", "member", "group:0")], [("user:b", "member", "group:0")]]
        engine.write(sides[0])
        questions = [(user, "member", group) for user in ("user:a", "user:b") for group in groups]
        crew = Crew()
        crew.reader(lambda engine=engine, questions=questions: one_side(list(engine.batch_check(questions)), len(groups), "batch"))
        crew.reader(lambda engine=engine: engine.check_objects("user:b", "member", groups) and None)
        crew.reader(lambda engine=engine: engine.check("user:a", "member", groups[-1]) and None)
        crew.writer(lambda crew=crew, engine=engine, sides=sides, rounds=rounds: flip(crew, engine, sides, rounds))
        crew.run()
        expected = [rounds % 2 == 0] * len(groups) + [rounds % 2 == 1] * len(groups)
        assert list(engine.batch_check(questions)) == expected, f"after {rounds} writes"
        assert [engine.check(*question) for question in questions] == expected, f"after {rounds} writes"
        engine.close()


def test_writers_take_turns_and_nothing_is_lost() -> None:
    engine = made()
    crew = Crew()
    count, lots = 4, 150
    revisions: list[list[int]] = [[] for _ in range(count)]

    def writing(number: int) -> Callable[[], None]:
        def work() -> None:
            for lot in range(lots):
                revisions[number].append(engine.write([(f"user:{number}-{lot}-{i}", "reader", f"doc:{i}") for i in range(7)]))
                if lot % 10 == number:
                    engine.merge()
                if lot % 3 == 0:
                    revisions[number].append(engine.delete(subject=f"user:{number}-{lot}-3"))

        return work

    threads = [threading.Thread(target=writing(number)) for number in range(count)]

    def looking() -> None:
        engine.check("user:0-0-0", "reader", "doc:0")
        assert 0 <= engine.stats().tuples <= count * lots * 7

    def all_of_them() -> None:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    crew.reader(looking)
    crew.writer(all_of_them)
    crew.run()
    flat = sorted(revision for found in revisions for revision in found)
    assert len(set(flat)) == len(flat), "two writes have one revision"
    assert all(found == sorted(found) for found in revisions)
    assert engine.stats().tuples == count * (lots * 7 - len(range(0, lots, 3)))
    assert engine.revision == flat[-1]
    engine.close()


def test_engines_do_not_meet() -> None:
    """Many engines at once, each with its own answers, in threads of their own and crosswise."""
    count = 24
    engines = [made() for _ in range(count)]
    crew = Crew()

    def work(number: int) -> Callable[[], None]:
        def once() -> None:
            engine = engines[number]
            for lot in range(6):
                engine.write([(f"user:{number}", "reader", f"doc:{lot}"), (f"group:{number}#member", "reader", f"doc:{lot}")])
                for other in range(count):
                    assert engine.check(f"user:{other}", "viewer", f"doc:{lot}") is (other == number)
                assert engines[(number + 1) % count].check(f"user:{number}", "viewer", f"doc:{lot}") is False
            engine.delete(relation="reader")
            assert engine.stats().tuples == 0

        return once

    for number in range(count - 1):
        crew.reader(work(number))
    crew.writer(work(count - 1))
    crew.run()
    for engine in engines:
        engine.close()


def test_closing_under_way_ends_in_an_answer_or_in_closed() -> None:
    for number in range(40 if SOAK else 8):
        engine = made()
        docs = [f"doc:{i}" for i in range(4_000)]
        engine.write([("user:a", "reader", doc) for doc in docs])
        ids = engine.ids("doc", [doc.removeprefix("doc:") for doc in docs])
        subject = int(engine.ids("user", ["a"])[0])
        begun, faults = threading.Barrier(6), []

        def closed_or(work: Callable[[], bool], begun: threading.Barrier = begun, faults: list[BaseException] = faults) -> None:
            begun.wait()
            try:
                for _ in range(100_000):
                    assert work()
                faults.append(AssertionError("the engine is closed, and answers"))
            except StoreError as error:
                if error.code != "closed":
                    faults.append(error)
            except BaseException as error:  # noqa: BLE001 - told by the main thread
                faults.append(error)

        fresh = itertools.count()
        works: list[Callable[[], bool]] = [
            lambda engine=engine, docs=docs: all(engine.check_objects("user:a", "can", docs)),
            lambda engine=engine, docs=docs: all(engine.batch_check([("user:a", "viewer", doc) for doc in docs[:500]])),
            lambda engine=engine, ids=ids, subject=subject: bool(engine.check_ids(subject, "can", ids, subject_type="user", object_type="doc").all()),
            lambda engine=engine, fresh=fresh: engine.write([(f"user:{next(fresh)}", "reader", "doc:x")]) > 0,
            lambda engine=engine: sum(1 for _ in engine.read(object="doc:7")) == 1,
        ]
        threads = [threading.Thread(target=closed_or, args=(work,), daemon=True) for work in works]
        for thread in threads:
            thread.start()
        begun.wait()
        if number % 2:
            engine.merge()
        engine.close()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        assert not faults, faults


def test_what_a_closed_engine_says() -> None:
    engine = made()
    engine.write([("user:a", "reader", "doc:1")])
    reading = engine.read()
    engine.close()
    engine.close()
    ids = numpy.zeros(1, dtype=numpy.uint32)
    calls: list[Callable[[], object]] = [
        lambda: engine.check("user:a", "reader", "doc:1"),
        lambda: engine.check_objects("user:a", "reader", ["doc:1"]),
        lambda: engine.check_objects("user:a", "reader", []),
        lambda: engine.batch_check([("user:a", "reader", "doc:1")]),
        lambda: engine.batch_check([]),
        lambda: engine.check_ids(0, "reader", ids, subject_type="user", object_type="doc"),
        lambda: engine.ids("user", ["a"]),
        lambda: engine.names("user", ids),
        lambda: engine.write([("user:b", "reader", "doc:1")]),
        lambda: engine.write(),
        lambda: engine.delete(subject="user:a"),
        lambda: list(engine.read()),
        lambda: engine.write_model(MODEL),
        engine.merge,
        engine.stats,
    ]
    for call in calls:
        with pytest.raises(StoreError) as caught:
            call()
        assert caught.value.code == "closed"
    rest = [("user:a", "reader", "doc:1")]
    with contextlib.suppress(StoreError):  # a read that began before the close ends as it began, or says so
        rest = [(found.subject, found.relation, found.object) for found in reading]
    assert rest == [("user:a", "reader", "doc:1")]
    assert "closed" in repr(engine)
