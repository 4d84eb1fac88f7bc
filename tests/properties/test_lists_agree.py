"""Every list is what the checks say: over random models, tuples, contexts and cycles, in any mixture of base and delta.

The objects for which the check is true are those of `list_objects`, of `filter_objects` over all objects, of the reach, and of the oracle; those
for which it is an error are the undetermined ones. The subjects for which it is true are those of `list_subjects`. A list that is not asked to
report is the same wherever it is not an error, and is an error wherever anything is in doubt. And no list makes a later check wrong.

FGACORE_SEED repeats a long run, FGACORE_SOAK=1 runs many.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings

from adapters import (
    OBJECT_PATHS,
    PATHS,
    SUBJECT_PATHS,
    EngineAdapter,
    Listed,
    Listing,
    ObjectsQuestion,
    OracleAdapter,
    Question,
    Refused,
    SubjectsQuestion,
    oracle_answer,
)
from fgacore import language
from fgacore.errors import RequestError
from fgacore.language.model import Model
from oracle import ObjectList, Oracle, Stored, SubjectList, Value
from properties.conditioned import INSTANTS, START, Conditioned
from properties.lockstep import SOAK
from properties.scenarios import model_text
from properties.test_check_agrees import LARGE, large_tuples
from strategies import (
    IDS,
    UNSEEN,
    Choices,
    RandomChoices,
    Tape,
    all_questions,
    conditioned,
    make_context,
    make_contextual,
    make_model,
    make_stored,
    make_subject,
    over,
    pick,
    some,
    tapes,
)

SEED = int(os.environ.get("FGACORE_SEED") or random.SystemRandom().randrange(1 << 32))


def names_of(type_name: str) -> list[str]:
    """Every name of the type that a small world can have."""
    return [f"{type_name}:{id_}" for id_ in (*IDS, UNSEEN)]


def relations_of(model: Model) -> list[tuple[str, str]]:
    return [(type_name, relation) for type_name, definition in model.types.items() for relation in definition.relations]


def kinds_of(model: Model) -> list[str]:
    """Every kind of subject that can be listed."""
    return [*model.types, *(f"{type_name}#{relation}" for type_name, relation in relations_of(model))]


def object_faults(answers: Mapping[str, Listing], expected: ObjectList | Refused) -> Iterator[str]:
    """What is wrong with the lists of objects."""
    for path, answer in answers.items():
        if isinstance(expected, Refused):
            right = isinstance(answer, Refused) and answer.codes <= expected.codes
        else:
            exact = answer == Listed(tuple(sorted(expected.definite)), tuple(sorted(expected.undetermined)))
            failed = isinstance(answer, Refused) and bool(expected.codes) and answer.codes <= expected.codes
            right = exact if path != "list_objects" else failed or (exact and not expected.undetermined)
        if not right:
            yield f"{path}: is {answer}, should be {expected}"


def subject_faults(answers: Mapping[str, Listing], kind: str, expected: SubjectList | Refused) -> Iterator[str]:
    """What is wrong with the lists of subjects. Where the wildcard itself is in doubt, so is everyone, and it is enough to say that."""
    for path, answer in answers.items():
        if isinstance(expected, Refused):
            right = isinstance(answer, Refused) and answer.codes <= expected.codes
        else:
            everyone = f"{kind}:*"
            exact = isinstance(answer, Listed)
            if isinstance(answer, Listed):
                exact = set(answer.items) == expected.subjects | ({everyone} if expected.wildcard else set())
                exact = exact and len(answer.items) == len(set(answer.items)) and answer.excluded == tuple(sorted(expected.excluded))
                doubts = set(answer.undetermined or ())
                exact = exact and (doubts == expected.undetermined or (everyone in doubts and doubts <= expected.undetermined))
            failed = isinstance(answer, Refused) and bool(expected.met) and answer.codes <= expected.met
            spared = not expected.met or (isinstance(answer, Listed) and not answer.items)  # a kind that can never be there meets nothing
            right = exact if path != "list_subjects" else failed or (exact and spared and not expected.undetermined)
        if not right:
            yield f"{path}: is {answer}, should be {expected}"


class Lists(Conditioned):
    """As its base, with lists among the questions."""

    def list_objects(
        self, questions: Sequence[ObjectsQuestion], model_index: int | None = None, paths: Sequence[str] = OBJECT_PATHS, repeat: int = 1
    ) -> None:
        """Every path lists what the oracle does. What is filtered has every name of the type, `repeat` times over."""
        model_id, oracle = self._asked(model_index)
        for question in questions:
            expected: ObjectList | Refused
            try:
                expected = oracle.list_objects(*question, self.now)
            except RequestError as error:
                expected = Refused(frozenset({error.code}))
            answers = self.engine.list_objects(question, model_id, paths, names_of(question.type) * repeat)
            self._refute(f"objects: {question}, model {model_index}, by {', '.join(paths)}", object_faults(answers, expected))

    def list_subjects(self, questions: Sequence[SubjectsQuestion], model_index: int | None = None, paths: Sequence[str] = SUBJECT_PATHS) -> None:
        """Every path lists whom the oracle does."""
        model_id, oracle = self._asked(model_index)
        for question in questions:
            expected: SubjectList | Refused
            try:
                expected = oracle.list_subjects(*question, self.now)
            except RequestError as error:
                expected = Refused(frozenset({error.code}))
            answers = self.engine.list_subjects(question, model_id, paths)
            self._refute(f"subjects: {question}, model {model_index}, by {', '.join(paths)}", subject_faults(answers, question.kind, expected))

    def list_relations(self, question: Question, model_index: int | None = None) -> None:
        """The relations for which the oracle's check is true, in the model's order; an error where one of the checks is."""
        model_id, oracle = self._asked(model_index)
        model = self.models[-1 if model_index is None else model_index][1]
        relations = list(model.types[question.object.partition(":")[0]].relations)
        checks = {relation: oracle_answer(oracle, question._replace(relation=relation), self.now) for relation in relations}
        codes = {code for answer in checks.values() if isinstance(answer, Refused) for code in answer.codes}
        answer = self.engine.list_relations(question, model_id)
        right = answer.codes <= codes if isinstance(answer, Refused) else not codes and answer == [name for name in relations if checks[name] is True]
        self._refute(f"relations: {question}, model {model_index}", [] if right else [f"is {answer}, should be {checks}"])

    def _asked(self, model_index: int | None) -> tuple[str | None, Oracle]:
        index = len(self.models) - 1 if model_index is None else model_index
        return None if model_index is None else self.models[model_index][0], self.oracle(index)

    def _refute(self, asked: str, faults: Iterator[str] | list[str]) -> None:
        found = list(faults)
        if found:
            raise AssertionError("\n".join([*self.history, asked, *found]))

    # The same, chosen at random

    def all_lists(self, subject: str, context: Mapping[str, Any] | None = None, contextual: Sequence[Stored] = (), index: int | None = None) -> None:
        """All that the subject has, by every path; then the checks, which the lists have taught something."""
        model = self.models[-1 if index is None else index][1]
        self.list_objects([ObjectsQuestion(subject, relation, name, context, contextual) for name, relation in relations_of(model)], index)
        for type_name, definition in model.types.items():
            if definition.relations:
                for name in names_of(type_name):
                    self.list_relations(Question(subject, "", name, context, contextual), index)
        self.ask([Question(*question[:3], context, contextual) for question in all_questions(subject, model)], index)

    def any_list(self, source: Choices) -> None:
        """Some lists of one subject, or of a few objects, with surroundings of their own; then perhaps some of the same as checks."""
        index = pick(source, [None, *range(len(self.models))])
        model = self.models[-1 if index is None else index][1]
        context = make_context(source, model)
        contextual = make_contextual(source, model, list(self.tuples.values()), INSTANTS) if source.below(3) == 2 else []
        pairs = some(source, relations_of(model), 1 + source.below(6))
        if source.below(3):
            subject = make_subject(source, model)
            paths = some(source, OBJECT_PATHS, len(OBJECT_PATHS))
            self.list_objects([ObjectsQuestion(subject, relation, name, context, contextual) for name, relation in pairs], index, paths, repeat=2)
            if source.below(2):
                questions = [Question(subject, relation, name, context, contextual) for type_name, relation in pairs for name in names_of(type_name)]
                self.ask(questions, index, some(source, PATHS, 2))
        else:
            paths = some(source, SUBJECT_PATHS, len(SUBJECT_PATHS))
            for type_name, relation in pairs[:3]:
                name, kind = pick(source, names_of(type_name)), pick(source, ["user", *kinds_of(model)])
                self.list_subjects([SubjectsQuestion(name, relation, kind, context, contextual)], index, paths)

    def any_step(self, source: Choices) -> None:
        if source.below(5) < 3:
            self.any_list(source)
        else:
            super().any_step(source)


@settings(max_examples=4_000 if SOAK else 150)
@given(tapes(260))
def test_all_lists_of_a_subject_agree_before_and_after_a_merge(source: Tape) -> None:
    lists = Lists()
    lists.write_model(make_model(source))
    model = lists.models[0][1]
    lists.put(make_stored(source, model, 10 + source.below(30)))
    for merged in (False, True):
        if merged:
            lists.merge()
        for _ in range(2):
            lists.all_lists(make_subject(source, model))
    lists.close()


@settings(max_examples=4_000 if SOAK else 100)
@given(tapes(500))
def test_all_lists_of_a_subject_agree_on_conditions_and_contextual_tuples(source: Tape) -> None:
    lists = Lists()
    lists.any_model(source)
    model = lists.models[0][1]
    stored = make_stored(source, model, 10 + source.below(30))
    lists.put(stored)
    if source.below(2):
        lists.merge()
    for _ in range(2):
        lists.all_lists(make_subject(source, model), make_context(source, model))
        lists.all_lists(make_subject(source, model), make_context(source, model), make_contextual(source, model, stored))
    lists.close()


@settings(max_examples=3_000 if SOAK else 60)
@given(tapes(260))
def test_all_subjects_of_an_object_agree(source: Tape) -> None:
    lists = Lists()
    lists.write_model(make_model(source))
    model = lists.models[0][1]
    lists.put(make_stored(source, model, 10 + source.below(30)))
    every = [
        SubjectsQuestion(name, relation, kind)
        for type_name, relation in relations_of(model)
        for name in names_of(type_name)
        for kind in kinds_of(model)
    ]
    lists.list_subjects(some(source, every, 60))
    lists.close()


@settings(max_examples=3_000 if SOAK else 40)
@given(tapes(500))
def test_all_subjects_of_an_object_agree_on_conditions_and_contextual_tuples(source: Tape) -> None:
    lists = Lists()
    lists.any_model(source)
    model = lists.models[0][1]
    stored = make_stored(source, model, 10 + source.below(30))
    lists.put(stored)
    for brought in ([], make_contextual(source, model, stored), [other for known in stored if (other := over(source, model, known)) is not None]):
        context = make_context(source, model)
        every = [
            SubjectsQuestion(name, relation, kind, context, brought)
            for type_name, relation in relations_of(model)
            for name in names_of(type_name)
            for kind in kinds_of(model)
        ]
        lists.list_subjects(some(source, every, 12))
    lists.close()


WILD = language.load(
    model_text(
        """
    type user
    type group
    barred: [user, user:*, group#member]
    member: [user, user:*, group#member] but not barred
    type doc
    parent: [doc]
    unblocked: [user, user:*]
    blocked: [user, user:*, group#member, doc#viewer] but not unblocked
    viewer: [user, user:*, doc#blocked] but not blocked
    public: [user, user:*]
    both: viewer and public
    either: viewer or (public but not unblocked)
    neither: [user, user:*] but not either
    triple: (public but not (viewer and blocked)) and neither
    inherited: [user:*] but not both from parent
    hidden: public but not inherited
    """
    )
)


CHAIN = """
    type user
    type document
    unblocked: [user, user:*]
    blocked: [user, user:*] but not unblocked
    viewer: [user, user:*] but not blocked
    """
MEMBERS = """
    type user
    type org
    org_member: [user, user:*]
    banned: [user]
    active: [user, user:*]
    allowed: (org_member but not banned) and active
    """
RINGS = """
    type user
    type document
    unblocked: [user]
    blocked: [user, document#viewer] but not unblocked
    viewer: [user, document#blocked] but not blocked
    """
NESTED = """
    type user
    type group
    member: [user, group#member]
    restricted: [user]
    reader: [group#member] but not restricted
    """
# Worked out by hand: model, tuples on one object where only subject and relation are named, what is asked, who is listed, who is excluded.
WORKED = [
    (CHAIN, "* viewer, * blocked, jon unblocked", "viewer document:1 user", "jon", ""),
    (CHAIN, "* viewer, jon blocked, maria blocked, jon unblocked, poovam unblocked", "viewer document:1 user", "* jon", "maria"),
    (CHAIN, "* viewer, * blocked, jon blocked, maria blocked, * unblocked, maria unblocked", "viewer document:1 user", "* jon maria", ""),
    (CHAIN, "* viewer, maria blocked, * unblocked", "viewer document:1 user", "* maria", ""),
    (CHAIN, "* viewer, jon blocked", "viewer document:1 user", "*", "jon"),
    (CHAIN, "* viewer, jon viewer", "viewer document:1 user", "* jon", ""),
    (CHAIN, "* viewer, jon unblocked", "viewer document:1 user", "*", ""),
    (MEMBERS, "* org_member, eve banned, alice active, eve active", "allowed org:1 user", "alice", ""),
    (MEMBERS, "* org_member, eve banned, * active", "allowed org:1 user", "*", "eve"),
    (MEMBERS, "* org_member, maria active, * active, jon org_member", "allowed org:1 user", "* jon maria", ""),
    (
        RINGS,
        "document:2#blocked viewer document:1, document:1#viewer blocked document:2, jon viewer document:2, jon unblocked document:2",
        "viewer document:2 user",
        "jon",
        "",
    ),
    (
        NESTED,
        "group:eng#member member group:fga, group:fga#member member group:1",
        "member group:1 group#member",
        "group:1#member group:eng#member group:fga#member",
        "",
    ),
    (NESTED, "group:fga#member reader, will restricted", "reader group:1 group#member", "group:fga#member", ""),
    (NESTED, "will member", "member group:9 group#member", "group:9#member", ""),
    (NESTED, "will member", "member group:1 group", "", ""),
]


def worked(text: str) -> list[str]:
    """The names of a line, where `jon` is `user:jon`."""
    return sorted(name if ":" in name else f"user:{name}" for name in text.split())


@pytest.mark.parametrize(("model", "tuples", "question", "listed", "excluded"), WORKED)
@pytest.mark.parametrize("name", ["oracle", "engine"])
def test_lists_of_subjects_worked_out_by_hand(name: str, model: str, tuples: str, question: str, listed: str, excluded: str) -> None:
    adapter = OracleAdapter() if name == "oracle" else EngineAdapter()
    adapter.write_model(model_text(model))
    relation, object_name, kind = question.split()
    object_type = object_name.partition(":")[0]
    for line in tuples.split(", "):
        subject, held, *on = line.split()
        adapter.write([(worked(subject)[0], held, on[0] if on else f"{object_type}:1")])
    answers = adapter.list_subjects(SubjectsQuestion(object_name, relation, kind))
    adapter.close()
    assert len(answers) > 0
    for path, answer in answers.items():
        assert isinstance(answer, Listed), path
        assert list(answer.items) == worked(listed), path
        assert list(answer.excluded or ()) == worked(excluded), path


@settings(max_examples=3_000 if SOAK else 80)
@given(tapes(160))
def test_subjects_beside_wildcards_agree(source: Tape) -> None:
    """Wildcards under intersection and exclusion, and negations in chains: who is listed beside the wildcard, and who is left out of it."""
    lists = Lists()
    lists.write_model(WILD)
    lists.put(make_stored(source, WILD, 6 + source.below(30)))
    every = [SubjectsQuestion(name, relation, "user") for type_name, relation in relations_of(WILD) for name in names_of(type_name)[:3]]
    lists.list_subjects(every)
    lists.all_lists(make_subject(source, WILD))
    lists.close()


@settings(max_examples=3_000 if SOAK else 60)
@given(tapes(600))
def test_tuples_of_an_older_model_are_in_no_list_of_the_model_in_use(source: Tape) -> None:
    lists = Lists()
    for _ in range(2):
        lists.any_model(source)
        lists.any_write(source)
        lists.any_write(source)
        if source.below(2):
            lists.merge()
    for index, (_, model) in enumerate(lists.models):
        context = make_context(source, model)
        lists.all_lists(make_subject(source, model), context, index=index)
        for type_name, relation in some(source, relations_of(model), 3):
            lists.list_subjects([SubjectsQuestion(pick(source, names_of(type_name)), relation, "user", context)], index)
    lists.close()


@settings(max_examples=3_000 if SOAK else 50)
@given(tapes(450))
def test_lists_agree_while_time_passes(source: Tape) -> None:
    """What a list has taught must be forgotten when something expires, and when something is written."""
    lists = Lists()
    lists.any_model(source)
    model = lists.models[0][1]
    lists.put(make_stored(source, model, 10 + source.below(30), INSTANTS))
    subject, context = make_subject(source, model), make_context(source, model)
    for step in (0, 1, 2, 3, 7, 8, 21):
        lists.move(START + step)
        lists.all_lists(subject, context)
        if source.below(4) == 3:
            lists.any_write(source)
        if source.below(4) == 3:
            lists.any_delete(source)
    lists.close()


@pytest.mark.parametrize("number", range(64 if SOAK else 4))
def test_long_histories_of_lists_agree(number: int) -> None:
    print(f"FGACORE_SEED={SEED}, number {number}")
    source = RandomChoices(f"{SEED}-lists-{number}")
    for _ in range(60 if SOAK else 12):
        lists = Lists()
        lists.any_model(source) if source.below(2) else lists.write_model(make_model(source))
        for _ in range(50):
            lists.any_step(source)
        lists.close()


def test_lists_that_fill_pages_agree() -> None:
    """Thousands of objects of one subject, through groups, parents and exclusions, in base, delta and a mixture."""
    print(f"FGACORE_SEED={SEED}")
    rng = random.Random(f"{SEED}-large-lists")
    tuples = large_tuples(rng)
    half = len(tuples) // 2
    lists = Lists()
    lists.write_model(language.load(LARGE))
    lists.put([Stored(*triple) for triple in tuples[:half]])
    lists.merge()
    lists.put([Stored(*triple) for triple in tuples[half:]], rng.sample(tuples[:half], 500))
    for merged in (False, True):
        lists.history.clear()  # too long to tell
        if merged:
            lists.merge()
        for subject in ("user:7", "group:0#member", f"user:{rng.randrange(9_000)}"):
            for type_name, relation in (("doc", "owner"), ("doc", "reader"), ("doc", "both"), ("note", "reader"), ("group", "member")):
                lists.list_objects([ObjectsQuestion(subject, relation, type_name)], paths=("list_objects", "list_objects, report", "reach"))
    lists.close()


# The oracle's lists are its checks: what is said of them above is then said of every path.


@settings(max_examples=2_000 if SOAK else 60)
@given(tapes(400))
def test_the_oracle_lists_what_its_checks_say(source: Tape) -> None:
    """Nobody who has an answer of his own is left out beside a wildcard, and whoever is not mentioned is as everyone is."""
    model = pick(source, [make_model(source), conditioned(source, make_model(source)), WILD])
    tuples, context = make_stored(source, model, 10 + source.below(30)), make_context(source, model)
    oracle = Oracle(model, tuples)
    type_name, relation = pick(source, relations_of(model))
    subject = make_subject(source, model)
    objects = oracle.list_objects(subject, relation, type_name, context)
    for name in names_of(type_name):
        answer = oracle_answer(oracle, Question(subject, relation, name, context))
        assert (answer is True) is (name in objects.definite)
        assert isinstance(answer, Refused) is (name in objects.undetermined)
    name = pick(source, names_of(type_name))
    for kind in kinds_of(model):
        found = oracle.list_subjects(name, relation, kind, context)
        plain, hash_sign, member = kind.partition("#")
        everyone = oracle_answer(oracle, Question(f"{plain}:*", relation, name, context))
        assert found.wildcard is (everyone is True and not hash_sign)
        assert bool(found.undetermined) <= bool(found.met)
        for other in names_of(plain):
            subject = f"{other}{hash_sign}{member}"
            answer = oracle_answer(oracle, Question(subject, relation, name, context))
            if found.wildcard:
                assert answer is True or subject in found.excluded | found.undetermined
                assert answer is True or subject not in found.subjects
            elif not isinstance(answer, Refused):
                assert (answer is True) is (subject in found.subjects)


def test_random_worlds_have_lists_of_every_kind() -> None:
    met: Counter[str] = Counter()
    for seed in range(160):
        source = RandomChoices(f"lists {seed}")
        model = pick(source, [WILD, make_model(source), conditioned(source, make_model(source))])
        oracle = Oracle(model, make_stored(source, model, 10 + source.below(30)))
        context, subject = make_context(source, model), make_subject(source, model)
        for type_name, relation in relations_of(model):
            objects = oracle.list_objects(subject, relation, type_name, context)
            met.update({"lists": 1, "objects": len(objects.definite), "undetermined": len(objects.undetermined)})
            met["spared"] += bool(objects.codes) and not objects.undetermined
            subjects = oracle.list_subjects(f"{type_name}:1", relation, "user", context)
            met.update({"wildcards": subjects.wildcard, "excluded": len(subjects.excluded), "in doubt": bool(subjects.undetermined)})
            if subjects.wildcard:
                facts = oracle.facts(context)
                true = {name for name in names_of("user") if oracle.value(name, relation, f"{type_name}:1", context) is Value.TRUE}
                met.update({"beside": len(subjects.subjects), "implied": len((true & facts.objects) - subjects.subjects)})
    assert min(met[name] for name in ("objects", "undetermined", "spared", "wildcards", "excluded", "in doubt", "beside", "implied")) > 20, met
