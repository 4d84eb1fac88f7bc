"""Every way to ask gives the oracle's answer: over random models, tuples and questions, in any mixture of base and delta.

Hypothesis finds small faults and shrinks them; the long runs go on where it stops, from a seed that a failure prints (FGACORE_SEED repeats
one, FGACORE_SOAK=1 runs many more).
"""

from __future__ import annotations

import os
import random

import numpy
import pytest
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

import fgacore
from adapters import PATHS, EngineAdapter, Question, Triple
from fgacore import language
from properties.lockstep import SOAK, Lockstep
from properties.scenarios import model_text
from strategies import IDS, UNSEEN, RandomChoices, Tape, all_questions, make_model, make_subject, make_tuples, tapes

SEED = int(os.environ.get("FGACORE_SEED") or random.SystemRandom().randrange(1 << 32))


@settings(max_examples=5_000 if SOAK else 400)
@given(tapes(220))
def test_all_paths_agree_before_and_after_a_merge(source: Tape) -> None:
    lockstep = Lockstep()
    lockstep.any_model(source)
    model = lockstep.models[0][1]
    lockstep.write(make_tuples(source, model, 10 + source.below(30)))
    for merged in (False, True):
        if merged:
            lockstep.merge()
        for _ in range(3):
            lockstep.ask(all_questions(make_subject(source, model), model))
    lockstep.close()


@settings(max_examples=5_000 if SOAK else 250)
@given(tapes(350))
def test_tuples_of_an_older_model_count_only_where_the_model_in_use_admits_them(source: Tape) -> None:
    lockstep = Lockstep()
    for _ in range(2):
        lockstep.any_model(source)
        lockstep.any_write(source)
        lockstep.any_write(source)
        if source.below(2):
            lockstep.merge()
    for index, (_, model) in enumerate(lockstep.models):
        for _ in range(2):
            lockstep.ask(all_questions(make_subject(source, model), model), index)
    lockstep.close()


class Histories(RuleBasedStateMachine):
    """Any sequence of models, writes, deletes, merges and questions."""

    def __init__(self) -> None:
        super().__init__()
        self.lockstep = Lockstep()

    @initialize(source=tapes(120))
    def first(self, source: Tape) -> None:
        self.lockstep.any_model(source)
        self.lockstep.any_write(source)

    @precondition(lambda self: len(self.lockstep.models) < 4)
    @rule(source=tapes(120))
    def write_model(self, source: Tape) -> None:
        self.lockstep.any_model(source)

    @rule(source=tapes(40))
    def write(self, source: Tape) -> None:
        self.lockstep.any_write(source)

    @rule(source=tapes(6))
    def delete(self, source: Tape) -> None:
        self.lockstep.any_delete(source)

    @rule(source=tapes(24))
    def exchange(self, source: Tape) -> None:
        self.lockstep.any_exchange(source)

    @rule()
    def merge(self) -> None:
        self.lockstep.merge()

    @rule(source=tapes(16))
    def ask(self, source: Tape) -> None:
        self.lockstep.any_question(source)

    @rule(source=tapes(16))
    def ask_again(self, source: Tape) -> None:
        self.lockstep.any_question(source)

    def teardown(self) -> None:
        self.lockstep.close()


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=2_000 if SOAK else 100, stateful_step_count=60 if SOAK else 25)


@pytest.mark.parametrize("number", range(64 if SOAK else 4))
def test_long_histories_agree(number: int) -> None:
    seed = f"{SEED}-{number}"
    print(f"FGACORE_SEED={SEED}, number {number}")
    source = RandomChoices(seed)
    for _ in range(100 if SOAK else 40):
        lockstep = Lockstep()
        lockstep.any_model(source)
        for _ in range(30):
            lockstep.any_step(source)
        lockstep.close()


@pytest.mark.parametrize("number", range(64 if SOAK else 4))
def test_every_question_of_a_dense_world_agrees(number: int) -> None:
    """As many tuples as a world of three ids holds, and everything that can be asked of it."""
    print(f"FGACORE_SEED={SEED}, number {number}")
    source = RandomChoices(f"{SEED}-dense-{number}")
    for _ in range(20 if SOAK else 8):
        lockstep = Lockstep()
        lockstep.any_model(source)
        model = lockstep.models[0][1]
        lockstep.write(make_tuples(source, model, 60))
        lockstep.merge()
        lockstep.write(make_tuples(source, model, 10), list(lockstep.tuples)[::9])
        names = [f"{type_name}:{id_}" for type_name in model.types for id_ in (*IDS, UNSEEN)]
        usersets = [f"{name}#{relation}" for name in names for relation in model.types[name.partition(":")[0]].relations]
        for subject in (*names, *(f"{type_name}:*" for type_name in model.types), *usersets):
            lockstep.ask(all_questions(subject, model))
        lockstep.close()


LARGE = model_text(
    """
    type user
    type group
    member: [user, user:*, group#member]
    type folder
    parent: [folder]
    viewer: [user, group#member] or viewer from parent
    type note
    reader: [user, group#member]
    type doc
    parent: [folder]
    barred: [user, group#member]
    owner: [user, group#member]
    viewer: owner or viewer from parent
    reader: viewer but not barred
    both: owner and viewer from parent
    """
)


def large_tuples(rng: random.Random) -> list[Triple]:
    users, notes, docs, groups, folders = 9_000, 9_000, 600, 40, 30
    tuples = [("user:7", "reader", f"note:{note}") for note in rng.sample(range(notes), 5_000)]
    tuples += [("group:0#member", "reader", f"note:{note}") for note in rng.sample(range(notes), 700)]
    tuples += [(f"user:{user}", "member", "group:0") for user in rng.sample(range(users), 5_000)]
    tuples += [(f"user:{user}", "member", "group:1") for user in rng.sample(range(users), 700)]
    tuples += [(f"user:{user}", "owner", "doc:0") for user in rng.sample(range(users), 5_000)]
    tuples += [(f"user:{user}", "barred", "doc:0") for user in rng.sample(range(users), 1_000)]
    tuples += [(f"folder:{rng.randrange(folders)}", "parent", f"doc:{doc}") for doc in range(docs)]
    tuples += [(f"user:{rng.randrange(20)}", "owner", f"doc:{rng.randrange(docs)}") for _ in range(docs)]
    tuples += [("group:0#member", "barred", f"doc:{doc}") for doc in rng.sample(range(docs), docs // 3)]
    tuples += [(f"folder:{rng.randrange(folders)}", "parent", f"folder:{folder}") for folder in range(folders)]
    tuples += [(f"group:{rng.randrange(one)}#member", "member", f"group:{one}") for one in range(1, groups)]
    tuples += [(f"group:{rng.randrange(groups)}#member", "viewer", f"folder:{rng.randrange(folders)}") for _ in range(20)]
    tuples += [("user:*", "member", "group:39"), ("group:39#member", "viewer", "folder:0"), ("group:39#member", "member", "group:0")]
    tuples = list(dict.fromkeys(tuples))
    rng.shuffle(tuples)
    return tuples


def test_sets_too_large_for_a_run_agree() -> None:
    """Thousands of subjects on one object and thousands of objects for one subject, so that every form in which a set is kept is met."""
    print(f"FGACORE_SEED={SEED}")
    rng = random.Random(f"{SEED}-large")
    tuples = large_tuples(rng)
    half = len(tuples) // 2
    lockstep = Lockstep()
    lockstep.write_model(language.load(LARGE))
    lockstep.write(tuples[:half])
    lockstep.merge()
    lockstep.write(tuples[half:], rng.sample(tuples[:half], 500))
    some_users = [f"user:{user}" for user in rng.sample(range(9_000), 30 if SOAK else 3)]
    for merged in (False, True):
        lockstep.history.clear()  # too long to tell
        if merged:
            lockstep.merge()
        for subject in ("user:7", "user:8", "user:nobody", "user:*", "group:0#member", "group:3#member", *some_users):
            for relation, type_name, count in (("owner", "doc", 600), ("reader", "doc", 600), ("both", "doc", 600), ("reader", "note", 9_000)):
                names = [f"{type_name}:{number}" for number in rng.sample(range(count), count // 10)]
                lockstep.ask([Question(subject, relation, name) for name in [*names, f"{type_name}:0", f"{type_name}:none"]])
            lockstep.ask([Question(subject, "member", f"group:{group}") for group in range(40)], paths=PATHS[::-1])
    lockstep.close()


@settings(max_examples=1_000 if SOAK else 60)
@given(tapes(200))
def test_the_id_none_equals_nothing(source: Tape) -> None:
    """NONE among the objects is denied, NONE as a userset is denied, NONE as a plain subject has what any name never seen has."""
    adapter = EngineAdapter()
    model = make_model(source)
    adapter.write_model(language.to_json(model))
    adapter.write(make_tuples(source, model, 10 + source.below(30)))
    engine = adapter.engine
    for object_type, definition in model.types.items():
        ids = numpy.append(engine.ids(object_type, [*IDS, UNSEEN, *IDS]), numpy.uint32(fgacore.NONE))
        known = ids != fgacore.NONE
        objects = [f"{object_type}:{text}" for text in (*IDS, UNSEEN, *IDS)]
        for relation in definition.relations:
            for subject_type, subject_definition in model.types.items():
                out = numpy.ones(len(ids), dtype=numpy.bool_)
                given = engine.check_ids(fgacore.NONE, relation, ids, subject_type=subject_type, object_type=object_type, out=out)
                assert given is out
                wildcard_only = engine.check_objects(f"{subject_type}:{UNSEEN}", relation, objects)
                assert given.tolist() == [bool(answer and known[index]) for index, answer in enumerate([*wildcard_only, False])]
                for userset in subject_definition.relations:
                    none = engine.check_ids(fgacore.NONE, relation, ids, subject_type=f"{subject_type}#{userset}", object_type=object_type)
                    assert not none.any()
    adapter.close()
