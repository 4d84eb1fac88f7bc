"""Every way to ask gives the oracle's answer, or its error, where conditions, contexts, contextual tuples and expiry are about.

As test_check_agrees, over worlds in which some of what is admitted has a condition. FGACORE_SEED repeats a long run, FGACORE_SOAK=1 runs many.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from adapters import PATHS, Question, Refused, oracle_answer
from fgacore import language
from oracle import Stored, Value
from properties.conditioned import INSTANTS, START, Conditioned
from properties.lockstep import SOAK
from properties.scenarios import model_text
from strategies import IDS, RandomChoices, Tape, all_questions, make_context, make_contextual, make_stored, make_subject, over, tapes

SEED = int(os.environ.get("FGACORE_SEED") or random.SystemRandom().randrange(1 << 32))


@settings(max_examples=4_000 if SOAK else 250)
@given(tapes(450))
def test_all_paths_agree_on_contexts_before_and_after_a_merge(source: Tape) -> None:
    lockstep = Conditioned()
    lockstep.any_model(source)
    model = lockstep.models[0][1]
    lockstep.put(make_stored(source, model, 10 + source.below(30)))
    for merged in (False, True):
        if merged:
            lockstep.merge()
        for _ in range(3):
            context = make_context(source, model)
            lockstep.ask([question._replace(context=context) for question in all_questions(make_subject(source, model), model)])
    lockstep.close()


@settings(max_examples=4_000 if SOAK else 250)
@given(tapes(450))
def test_all_paths_agree_on_contextual_tuples(source: Tape) -> None:
    """Also in an empty store, and with every stored tuple brought again as something else."""
    lockstep = Conditioned()
    lockstep.any_model(source)
    model = lockstep.models[0][1]
    stored = make_stored(source, model, source.below(20))
    lockstep.put(stored)
    others = [other for known in stored if (other := over(source, model, known)) is not None]
    for _ in range(3):
        context, contextual = make_context(source, model), make_contextual(source, model, stored)
        every = [*others, *(item for item in contextual if item.key not in {other.key for other in others})]
        for brought in (contextual, every):
            questions = all_questions(make_subject(source, model), model)
            lockstep.ask([Question(*question[:3], context, brought) for question in questions])
    lockstep.close()


@settings(max_examples=3_000 if SOAK else 150)
@given(tapes(600))
def test_contexts_of_an_older_model_are_read_by_the_parameters_of_the_model_in_use(source: Tape) -> None:
    lockstep = Conditioned()
    for _ in range(2):
        lockstep.any_model(source)
        lockstep.any_write(source)
        lockstep.any_write(source)
        if source.below(2):
            lockstep.merge()
    for index, (_, model) in enumerate(lockstep.models):
        for _ in range(2):
            context, contextual = make_context(source, model), make_contextual(source, model, list(lockstep.tuples.values()))
            questions = all_questions(make_subject(source, model), model)
            lockstep.ask([Question(*question[:3], context, contextual) for question in questions], index)
    lockstep.close()


@settings(max_examples=3_000 if SOAK else 150)
@given(tapes(450))
def test_all_paths_agree_while_time_passes(source: Tape) -> None:
    """Everything is asked of one subject before and after each instant at which something expires, so that what was learnt must be forgotten."""
    lockstep = Conditioned()
    lockstep.any_model(source)
    model = lockstep.models[0][1]
    lockstep.put(make_stored(source, model, 10 + source.below(30), INSTANTS))
    subject, context = make_subject(source, model), make_context(source, model)
    questions = [question._replace(context=context) for question in all_questions(subject, model)]
    for step in (0, 1, 0, 2, 3, 7, 8, 21, 5):
        lockstep.move(START + step)
        lockstep.ask(questions)
        if source.below(4) == 3:
            lockstep.sweep()
        if source.below(4) == 3:
            lockstep.any_write(source)
    lockstep.close()


class Histories(RuleBasedStateMachine):
    """Any sequence of models, writes, deletes, merges, moments and questions."""

    def __init__(self) -> None:
        super().__init__()
        self.lockstep = Conditioned()

    @initialize(source=tapes(200))
    def first(self, source: Tape) -> None:
        self.lockstep.any_model(source)
        self.lockstep.any_write(source)

    @precondition(lambda self: len(self.lockstep.models) < 4)
    @rule(source=tapes(200))
    def write_model(self, source: Tape) -> None:
        self.lockstep.any_model(source)

    @rule(source=tapes(80))
    def write(self, source: Tape) -> None:
        self.lockstep.any_write(source)

    @rule(source=tapes(6))
    def delete(self, source: Tape) -> None:
        self.lockstep.any_delete(source)

    @rule(source=tapes(40))
    def exchange(self, source: Tape) -> None:
        self.lockstep.any_exchange(source)

    @rule(source=tapes(1))
    def move(self, source: Tape) -> None:
        self.lockstep.any_move(source)

    @rule()
    def sweep(self) -> None:
        self.lockstep.sweep()

    @rule()
    def merge(self) -> None:
        self.lockstep.merge()

    @rule(source=tapes(60))
    def ask(self, source: Tape) -> None:
        self.lockstep.any_question(source)

    @rule(source=tapes(60))
    def ask_again(self, source: Tape) -> None:
        self.lockstep.any_question(source)

    def teardown(self) -> None:
        self.lockstep.close()


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=1_500 if SOAK else 70, stateful_step_count=60 if SOAK else 25)


@pytest.mark.parametrize("number", range(64 if SOAK else 4))
def test_long_histories_agree(number: int) -> None:
    print(f"FGACORE_SEED={SEED}, number {number}")
    source = RandomChoices(f"{SEED}-conditioned-{number}")
    for _ in range(100 if SOAK else 25):
        lockstep = Conditioned()
        lockstep.any_model(source)
        for _ in range(30):
            lockstep.any_step(source)
        lockstep.close()


@pytest.mark.parametrize("number", range(32 if SOAK else 2))
def test_every_question_of_a_dense_world_agrees(number: int) -> None:
    """As many tuples as a world of three ids holds, and much of what can be asked of it."""
    print(f"FGACORE_SEED={SEED}, number {number}")
    source = RandomChoices(f"{SEED}-conditioned-dense-{number}")
    for _ in range(12 if SOAK else 5):
        lockstep = Conditioned()
        lockstep.any_model(source)
        model = lockstep.models[0][1]
        lockstep.put(make_stored(source, model, 60))
        lockstep.merge()
        lockstep.put(make_stored(source, model, 10), on_duplicate="replace")
        contexts = [make_context(source, model), None]
        names = [f"{type_name}:{id_}" for type_name in model.types for id_ in IDS]
        usersets = [f"{name}#{relation}" for name in names for relation in model.types[name.partition(":")[0]].relations]
        for subject in (*names, *(f"{type_name}:*" for type_name in model.types), *usersets):
            for context in contexts:
                lockstep.ask([question._replace(context=context) for question in all_questions(subject, model)])
        lockstep.close()


class Listening(Conditioned):
    """Keeps the questions and asks none of them."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Question] = []

    def ask(self, questions: Sequence[Question], model_index: int | None = None, paths: Sequence[str] = PATHS) -> None:
        self.asked += questions


def test_what_is_asked_has_answers_and_errors_of_every_kind() -> None:
    """What is compared in these histories is only worth as much as the histories."""
    answers: Counter[str] = Counter()
    for seed in range(60):
        source = RandomChoices(f"kinds {seed}")
        lockstep = Listening()
        lockstep.any_model(source)
        lockstep.put(make_stored(source, lockstep.models[0][1], 20 + source.below(20), INSTANTS))
        for _ in range(5):
            lockstep.any_question(source)
        for question in lockstep.asked:
            answer = oracle_answer(lockstep.oracle(0), question, lockstep.instant())
            answers.update(answer.codes if isinstance(answer, Refused) else [str(answer)])
            answers["with contextual tuples"] += bool(question.contextual_tuples)
        lockstep.close()
    kinds = ("True", "context_missing", "invalid_context", "condition_failed", "invalid_contextual_tuple", "with contextual tuples")
    assert min(answers[kind] for kind in kinds) > 0.003 * answers.total()


@pytest.mark.parametrize("path", PATHS)
def test_each_path_alone_is_asked_in_the_same_surroundings(path: str) -> None:
    """One subject, objects whose grants differ in condition, context, expiry and origin: each path gives every answer by itself."""
    lockstep = Conditioned()
    source = RandomChoices("alone")
    for _ in range(20):
        lockstep.any_model(source)
        model = lockstep.models[-1][1]
        lockstep.put(make_stored(source, model, 12, INSTANTS), on_duplicate="replace")
        for _ in range(4):
            stored: list[Stored] = make_contextual(source, model, list(lockstep.tuples.values()))
            questions = all_questions(make_subject(source, model), model)
            lockstep.ask([Question(*question[:3], make_context(source, model), stored) for question in questions[::4]], paths=[path])
    lockstep.close()


LARGE = model_text(
    """
    type user
    type group
    member: [user, user with small, user:* with small, group#member]
    type doc
    owner: [user, user with small, group#member with small]
    barred: [user with small, user with tagged]
    viewer: owner but not barred
    condition small(x: int, y: int) { x < y }
    condition tagged(tag: string, tags: list<string>) { tag in tags }
    """
)


def test_large_sets_agree_with_conditions_contextual_tuples_and_expiry() -> None:
    """Thousands of subjects on one object and of objects for one subject, each with a context of its own; hundreds brought in their place."""
    print(f"FGACORE_SEED={SEED}")
    rng = random.Random(f"{SEED}-conditioned-large")
    users, docs = 4_000, 1_000

    def stored(subject: str, relation: str, name: str) -> Stored:
        kind = rng.randrange(4) if relation != "barred" else 1 + rng.randrange(3)
        expires_at = rng.choice(INSTANTS)
        if kind == 0 and "#" not in subject:
            return Stored(subject, relation, name, expires_at=expires_at)
        if kind == 1 and relation == "barred":
            return Stored(subject, relation, name, "tagged", {"tags": rng.sample("abcd", 2)}, expires_at)
        own = rng.choice([{"y": rng.randrange(10)}, {"x": rng.randrange(10), "y": 5}, {}, {"x": rng.randrange(10)}])
        return Stored(subject, relation, name, "small", own, expires_at)

    names = [(f"user:{user}", "owner", "doc:0") for user in rng.sample(range(users), 2_000)]
    names += [(f"user:{user}", "member", "group:0") for user in rng.sample(range(users), 1_000)]
    names += [("user:7", "owner", f"doc:{doc}") for doc in rng.sample(range(docs), 500)]
    names += [("user:7", "barred", f"doc:{doc}") for doc in rng.sample(range(docs), 500)]
    names += [(f"user:{user}", "barred", "doc:0") for user in rng.sample(range(users), 500)]
    names += [("group:0#member", "owner", f"doc:{doc}") for doc in rng.sample(range(docs), 400)]
    names = list(dict.fromkeys(names))
    rng.shuffle(names)
    lockstep = Conditioned()
    lockstep.write_model(language.load(LARGE))
    lockstep.put([stored(*name) for name in names])
    contexts: list[dict[str, Any] | None] = [{"x": 5, "y": 5, "tag": "a"}, {"x": 2, "tag": "b"}, {"tag": 1, "x": 9, "y": 0}, None]
    for step in (0, 2, 8, 21):
        lockstep.move(START + step)
        if step == 2:
            lockstep.merge()
        if step == 8:
            lockstep.put([stored(*name) for name in rng.sample(names, 600)], on_duplicate="replace")
        for context in contexts[: 4 if SOAK else 2] if step else contexts:
            contextual = [stored(*name) for name in rng.sample(names, 300)] if rng.randrange(2) else []
            lockstep.history.clear()  # too long to tell
            questions = [(f"user:{user}", "viewer", "doc:0") for user in rng.sample(range(users), 30 if SOAK else 5)]
            questions += [("user:7", "viewer", f"doc:{doc}") for doc in rng.sample(range(docs), 200)]
            questions += [("user:7", "member", "group:0"), ("group:0#member", "owner", "doc:1")]
            lockstep.ask([Question(*question, context, contextual) for question in questions])
    lockstep.close()


KNOTS = (
    """
    type user
    type doc
    viewer: [user, user with small, doc#viewer with small] but not restricted
    restricted: [user, user:* with tagged, doc#viewer, doc#viewer with small]
    reader: [user with tagged]
    either: reader or viewer
    strict: reader but not restricted
    condition small(x: int) { x < 10 }
    condition tagged(tag: string, tags: list<string>) { tag in tags }
    """,
    """
    type user
    type place
    player: [user:*, user:* with small]
    move: [place, place with small, place with until]
    losing: player but not winning
    winning: [user, user with until] or losing from move
    condition small(x: int) { x < 10 }
    condition until(now: timestamp, end: timestamp) { now < end }
    """,
    """
    type user
    type group
    member: [user, user with small, group#member, group#active with small]
    barred: [group#active, group#active with ratio, user with ratio]
    active: member but not (barred but not spared)
    spared: [user, group#barred, group#barred with small]
    condition small(x: int) { x < 10 }
    condition ratio(x: int, y: int) { x / y > 1 }
    """,
    """
    type user
    type folder
    parent: [folder, folder with inside]
    open: [user:*, user with small]
    shut: [user, user with inside, folder#seen]
    seen: (open or seen from parent) but not (shut and shut from parent)
    condition small(x: int) { x < 10 }
    condition inside(ip: ipaddress, net: string) { ip.in_cidr(net) }
    """,
)


@pytest.mark.parametrize("knot", KNOTS, ids=["restricted", "game", "spared", "parents"])
def test_subtractions_inside_a_recursion_agree_where_conditions_fail(knot: str) -> None:
    """Answers that depend on themselves beside errors: which denies and which is raised is the alternating fixpoint's to say."""
    print(f"FGACORE_SEED={SEED}")
    source = RandomChoices(f"{SEED}-{knot}")
    model = language.load(model_text(knot))
    undefined = refused = 0
    for _ in range(2_000 if SOAK else 100):
        lockstep = Conditioned()
        lockstep.write_model(model)
        lockstep.put(make_stored(source, model, 6 + source.below(24)))
        if source.below(2):
            lockstep.merge()
        for _ in range(3):
            context = make_context(source, model)
            contextual = make_contextual(source, model, list(lockstep.tuples.values()))
            questions = [Question(*question[:3], context, contextual) for question in all_questions(make_subject(source, model), model)]
            lockstep.ask(questions)
            for question in questions:
                answer = oracle_answer(lockstep.oracle(0), question, lockstep.instant())
                refused += isinstance(answer, Refused)
                undefined += answer is False and lockstep.oracle(0).value(*question) is Value.UNDEFINED
        lockstep.close()
    assert undefined
    assert refused
