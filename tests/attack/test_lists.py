"""Lists of objects from the rules' text alone: whatever `check` says of every object, one by one, a list says of all of them at once.

`agree` holds list_objects in both modes, filter_objects, list_relations and every kind of check to each other over all objects of a type, then asks
the checks again: a list seeds what is remembered of a subject, and must never make a later answer wrong. What other engines got wrong has a test
each, by the number of the advisory.
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy
import pytest
from pyroaring import BitMap

import fgacore
from attack.worlds import START, Clock, at, attempt, key_of, refusal
from fgacore import FgaError, RequestError, StoreError, Tuple

SOAK = bool(os.environ.get("FGACORE_SOAK"))
SEED = os.environ.get("FGACORE_SEED") or str(random.SystemRandom().randrange(1 << 32))
WORLDS = 300 if SOAK else 12
Answer = bool | str
Fact = Tuple | tuple[str, str, str]

MODEL = """
model
  schema 1.1
type user
type bot
type group
  relations
    define member: [user, user:*, bot, user with low, group#member, group#member with low]
    define guest: [user, group#member]
    define active: member but not guest
type folder
  relations
    define parent: [folder, folder with low]
    define owner: [user, group#member]
    define viewer: [user, user:*, group#member, group#active] or owner or viewer from parent
    define barred: [user, group#member] or barred from parent
    define open: viewer but not barred
type doc
  relations
    define parent: [folder, doc, folder with low]
    define reader: [user, user:*, bot, user with low, user:* with low, group#member, group#active, doc#viewer]
    define barred: [user, user:*, group#member, user with low]
    define viewer: reader or viewer from parent
    define can: viewer but not barred
    define both: reader and viewer from parent
    define opened: open from parent
    define safe: can and opened
    define knot: [user, user:*, doc#knot] but not held
    define held: [user, doc#knot]
condition low(x: int) {
  x < 10
}
"""
RELATIONS = {
    "group": ["member", "guest", "active"],
    "folder": ["parent", "owner", "viewer", "barred", "open"],
    "doc": ["parent", "reader", "barred", "viewer", "can", "both", "opened", "safe", "knot", "held"],
}
SUBJECTS = (
    *("user:a", "user:b", "user:c", "user:new", "user:*", "bot:x", "bot:new", "folder:1", "doc:1", "group:1"),
    *("group:1#member", "group:2#active", "group:3#guest", "folder:1#viewer", "folder:2#open", "doc:1#viewer", "doc:2#knot", "doc:3#held"),
)
ADMITTED: list[tuple[str, str, str]] = [  # object type, relation, what of: a type, `type:*` or `type#relation`, perhaps `with low`
    *[
        ("group", "member", each)
        for each in ("user", "user", "user:*", "bot", "user with low", "group#member", "group#member", "group#member with low")
    ],
    *[("group", "guest", each) for each in ("user", "group#member")],
    *[("folder", "parent", each) for each in ("folder", "folder", "folder with low")],
    *[("folder", "owner", each) for each in ("user", "group#member")],
    *[("folder", "viewer", each) for each in ("user", "user:*", "group#member", "group#active")],
    *[("folder", "barred", each) for each in ("user", "group#member")],
    *[("doc", "parent", each) for each in ("folder", "folder", "doc", "folder with low")],
    *[
        ("doc", "reader", each)
        for each in ("user", "user:*", "bot", "user with low", "user:* with low", "group#member", "group#active", "doc#viewer")
    ],
    *[("doc", "barred", each) for each in ("user", "user:*", "group#member", "user with low")],
    *[("doc", "knot", each) for each in ("user", "user:*", "doc#knot", "doc#knot")],
    *[("doc", "held", each) for each in ("user", "doc#knot", "doc#knot")],
]
CONTEXTS: tuple[dict[str, Any] | None, ...] = (None, {"x": 1}, {"x": 11}, {"x": "bad"})


def made(facts: Iterable[Fact] = (), model: str = MODEL, clock: Clock | None = None) -> fgacore.Engine:
    engine = fgacore.open(":memory:", clock=clock)
    engine.write_model(model)
    facts = list(facts)
    if facts:
        engine.write(facts)
    return engine


def outcome(call: Callable[[], Any]) -> Answer:
    try:
        answer = call()
    except FgaError as error:
        return error.code
    assert isinstance(answer, bool)
    return answer


def random_fact(rng: random.Random, instants: Sequence[int] = ()) -> Fact:
    """A tuple that the model admits, between few names: they meet each other often."""
    kind, relation, of = rng.choice(ADMITTED)
    of, _, condition = of.partition(" with ")
    name = f"{kind}:{rng.randint(1, 5)}"
    subject_type, _, userset = of.partition("#")
    ids = "abc" if subject_type == "user" else "xy" if subject_type == "bot" else "12345"
    subject = of if of.endswith(":*") else f"{subject_type}:{rng.choice(ids)}" + (f"#{userset}" if userset else "")
    context = {"x": rng.choice((1, 11))} if condition and rng.random() < 0.5 else None
    expires = at(rng.choice(instants)) if instants and rng.random() < 0.3 else None
    if condition or expires:
        return Tuple(subject, relation, name, condition or None, context, expires)
    return subject, relation, name


def random_facts(rng: random.Random, count: int, instants: Sequence[int] = ()) -> list[Fact]:
    """Each key once, and no userset in its own relation."""
    found: dict[tuple[str, str, str], Fact] = {}
    for _ in range(count):
        fact = random_fact(rng, instants)
        subject, relation, name = key_of(fact)
        if subject != f"{name}#{relation}":
            found[key_of(fact)] = fact
    return list(found.values())


def objects_of(engine: fgacore.Engine, kind: str, *more: Iterable[Fact]) -> list[str]:
    """All objects of a type that the store or a call's tuples mention in any role, and one that nothing mentions."""
    found = {f"{kind}:unheard-of"}
    for fact in [*engine.read(), *(fact for facts in more for fact in facts)]:
        subject, _, name = key_of(fact)
        found.update(text for text in (subject.partition("#")[0], name) if text.startswith(f"{kind}:") and not text.endswith(":*"))
    return sorted(found)


def same_set(found: fgacore.ObjectSet, names: Iterable[str], told: object) -> None:
    """Every face of an ObjectSet shows these names."""
    names = set(names)
    listed = found.to_list()
    assert len(listed) == len(set(listed)), f"{told}: listed twice"
    assert set(listed) == names, f"{told}: missing {sorted(names - set(listed))}, too many {sorted(set(listed) - names)}"
    assert list(found) == listed, told
    assert len(found) == len(names), told
    assert bool(found) is bool(names), told
    assert found.ids.dtype == numpy.uint32, told
    assert found.ids.tolist() == sorted(found.bitmap), told
    assert len(found.bitmap) == len(names), told
    assert all(name in found for name in names), told


def agree(
    engine: fgacore.Engine,
    subject: str,
    relation: str,
    kind: str,
    context: Mapping[str, Any] | None = None,
    contextual: Sequence[Fact] = (),
    objects: Sequence[str] = (),
    **more: Any,
) -> tuple[set[str], set[str]]:
    """What `check` says of every object, one by one, which every list must say too: those that hold, and those where it raises."""
    told = (f"FGACORE_SEED={SEED}", subject, relation, kind, context, contextual, more)
    given: dict[str, Any] = {"context": context, "contextual_tuples": contextual, **more}
    objects = list(objects or objects_of(engine, kind, contextual))
    own = subject.partition("#")[0]
    if "#" in subject and own.startswith(f"{kind}:") and own not in objects:
        objects.append(own)  # in its own relation, whether anything mentions it or not

    def each() -> dict[str, Answer]:
        return {name: outcome(lambda name=name: engine.check(subject, relation, name, **given)) for name in objects}

    # The list comes first: what it leaves behind answers the checks.
    found = engine.list_objects(subject, relation, kind, on_missing_context="report", **given)
    answers = each()
    definite = {name for name, answer in answers.items() if answer is True}
    failing = {name for name, answer in answers.items() if isinstance(answer, str)}
    same_set(found, definite, told)
    same_set(found.undetermined, failing, (*told, "undetermined"))
    assert not any(name in found for name in answers if name not in definite), told

    plain, error = attempt(lambda: engine.list_objects(subject, relation, kind, **given))
    if error is not None:
        assert error.code in ("context_missing", "invalid_context", "condition_failed"), told
    else:
        same_set(plain, definite, (*told, "by default"))
        same_set(plain.undetermined, (), told)
        assert not failing, f"{told}: not raised for {failing}"

    kept, error = attempt(lambda: engine.filter_objects(subject, relation, objects, **given))
    if error is not None:
        assert error.index is not None, told
        assert objects[error.index] in failing, told
    else:
        assert kept == [name for name in objects if name in definite], told
        assert not failing, told
    sure = [name for name in objects if name not in failing]
    assert engine.filter_objects(subject, relation, sure, **given) == [name for name in sure if name in definite], told

    batch = engine.batch_check([(subject, relation, name) for name in objects], **given)
    again = {name: batch.errors[i].code if i in batch.errors else batch[i] for i, name in enumerate(objects)}
    assert again == answers, f"{told}: a batch after the list"
    assert each() == answers, f"{told}: checks after the list"
    return definite, failing


def agree_everywhere(engine: fgacore.Engine, subjects: Iterable[str], contexts: Iterable[Any] = (None,), contextual: Sequence[Fact] = ()) -> int:
    """`agree` over all types and relations, and list_relations over all objects; returns how many objects were in lists."""
    count = 0
    for context in contexts:
        for subject in subjects:
            holds: dict[str, list[str]] = {}
            fails: set[str] = set()
            given: dict[str, Any] = {"context": context, "contextual_tuples": contextual}
            for kind, relations in RELATIONS.items():
                objects = objects_of(engine, kind, contextual)
                for relation in relations:
                    definite, failing = agree(engine, subject, relation, kind, context, contextual, objects)
                    count += len(definite) + len(failing)
                    fails |= failing
                    for name in definite:
                        holds.setdefault(name, []).append(relation)
                for name in objects:
                    found, error = attempt(lambda name=name, subject=subject, given=given: engine.list_relations(subject, name, **given))
                    assert (error is not None) is (name in fails), (subject, name, context)
                    assert error is not None or found == holds.get(name, []), (subject, name, context)
    return count


# ---- exactness: a list is check, over every object ----

HAND: dict[
    str, tuple[list[Fact], tuple[str, str, str], set[str], set[str]]
] = {  # facts; subject, relation, type; those that hold; those undetermined
    "direct": ([("user:a", "reader", "doc:1"), ("user:b", "reader", "doc:2")], ("user:a", "viewer", "doc"), {"doc:1"}, set()),
    "wildcard": ([("user:*", "reader", "doc:1"), ("user:b", "reader", "doc:2")], ("user:new", "viewer", "doc"), {"doc:1"}, set()),
    "wildcard with an exception": (
        [("user:*", "reader", "doc:1"), ("user:*", "reader", "doc:2"), ("user:a", "barred", "doc:1")],
        ("user:a", "can", "doc"),
        {"doc:2"},
        set(),
    ),
    "the wildcard asks": ([("user:*", "reader", "doc:1"), ("user:a", "reader", "doc:2")], ("user:*", "viewer", "doc"), {"doc:1"}, set()),
    "a wildcard grants no userset": (
        [("user:*", "member", "group:1"), ("user:*", "reader", "doc:1"), ("group:1#member", "reader", "doc:2")],
        ("group:1#member", "viewer", "doc"),
        {"doc:2"},
        set(),
    ),
    "a userset in its own relation": ([], ("doc:unheard-of#viewer", "viewer", "doc"), {"doc:unheard-of"}, set()),
    "a userset through a computed relation": ([], ("doc:7#reader", "viewer", "doc"), {"doc:7"}, set()),
    "a userset through a parent": ([("folder:1", "parent", "doc:1")], ("folder:1#viewer", "viewer", "doc"), {"doc:1"}, set()),
    "nested groups": (
        [("user:a", "member", "group:1"), ("group:1#member", "member", "group:2"), ("group:2#member", "reader", "doc:1")],
        ("user:a", "can", "doc"),
        {"doc:1"},
        set(),
    ),
    "groups in a ring": (
        [("group:1#member", "member", "group:2"), ("group:2#member", "member", "group:1"), ("user:a", "member", "group:2")],
        ("user:a", "member", "group"),
        {"group:1", "group:2"},
        set(),
    ),
    "parents in a ring": (
        [("folder:1", "parent", "folder:2"), ("folder:2", "parent", "folder:1"), ("user:a", "viewer", "folder:2"), ("folder:1", "parent", "doc:1")],
        ("user:a", "viewer", "doc"),
        {"doc:1"},
        set(),
    ),
    "a tuple is a relation's subject too": ([("folder:1", "parent", "doc:1")], ("folder:1", "parent", "doc"), {"doc:1"}, set()),
    "a loop through a subtraction": (
        [("user:a", "knot", "doc:1"), ("doc:1#knot", "held", "doc:1"), ("user:a", "knot", "doc:2")],
        ("user:a", "knot", "doc"),
        {"doc:2"},
        set(),
    ),
    "a group without its guests": (
        [
            ("user:a", "member", "group:1"),
            ("user:a", "guest", "group:1"),
            ("user:a", "member", "group:2"),
            ("group:1#active", "reader", "doc:1"),
            ("group:2#active", "reader", "doc:2"),
        ],
        ("user:a", "viewer", "doc"),
        {"doc:2"},
        set(),
    ),
    "barred above, open below": (
        [
            ("user:a", "viewer", "folder:1"),
            ("user:a", "viewer", "folder:2"),
            ("user:a", "barred", "folder:1"),
            ("folder:1", "parent", "doc:1"),
            ("folder:2", "parent", "doc:1"),
            ("folder:1", "parent", "doc:2"),
        ],
        ("user:a", "opened", "doc"),
        {"doc:1"},
        set(),
    ),
    "a failing condition": (
        [Tuple("user:a", "reader", "doc:1", "low"), ("user:a", "reader", "doc:2"), Tuple("user:a", "reader", "doc:3", "low", {"x": 1})],
        ("user:a", "viewer", "doc"),
        {"doc:2", "doc:3"},
        {"doc:1"},
    ),
    "a failing condition beside a grant": (
        [Tuple("user:a", "reader", "doc:1", "low"), ("user:*", "reader", "doc:1"), Tuple("user:a", "barred", "doc:1", "low", {"x": 11})],
        ("user:a", "can", "doc"),
        {"doc:1"},
        set(),
    ),
    "a failing bar": (
        [
            ("user:a", "reader", "doc:1"),
            Tuple("user:a", "barred", "doc:1", "low"),
            ("user:a", "reader", "doc:2"),
            ("user:*", "barred", "doc:2"),
            Tuple("user:a", "barred", "doc:3", "low"),
        ],
        ("user:a", "can", "doc"),
        set(),
        {"doc:1"},
    ),
    "a failing parent": (
        [Tuple("folder:1", "parent", "doc:1", "low"), ("user:a", "viewer", "folder:1"), Tuple("folder:2", "parent", "doc:2", "low")],
        ("user:a", "viewer", "doc"),
        set(),
        {"doc:1"},
    ),
    "a failing membership": (
        [Tuple("group:1#member", "member", "group:2", "low"), ("user:a", "member", "group:1"), ("group:2#member", "reader", "doc:1")],
        ("user:a", "viewer", "doc"),
        set(),
        {"doc:1"},
    ),
    "a wildcard under a condition": (
        [
            Tuple("user:*", "reader", "doc:1", "low", {"x": 1}),
            Tuple("user:*", "reader", "doc:2", "low", {"x": 11}),
            Tuple("user:*", "reader", "doc:3", "low"),
        ],
        ("user:new", "viewer", "doc"),
        {"doc:1"},
        {"doc:3"},
    ),
}


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("name", HAND)
def test_a_list_by_hand(name: str, merged: bool) -> None:
    facts, (subject, relation, kind), definite, failing = HAND[name]
    engine = made(facts)
    if merged:
        engine.merge()
    assert agree(engine, subject, relation, kind) == (definite, failing)
    agree_everywhere(engine, [subject, "user:a", "user:new"], [None, {"x": 1}])


def spread_out(rng: random.Random, engine: fgacore.Engine) -> None:
    """Give the names of the random worlds numbers far apart, on both sides of borders of words, pages and chunks."""
    borders = rng.sample((0, 1, 63, 64, 511, 512, 4_095, 4_096, 65_535, 65_536, 65_537, 131_071, 131_072), 5)
    for kind, relation in (("group", "guest"), ("folder", "viewer"), ("doc", "reader")):
        names = [f"{kind}:filler-{i}" for i in range(max(borders) + 1)]
        for number, place in enumerate(rng.sample(borders, 5), 1):
            names[place] = f"{kind}:{number}"
        filler = [("user:filler", relation, name) for name in names]
        engine.write(filler)
        engine.write(deletes=filler)


@pytest.mark.parametrize("world", range(WORLDS))
def test_lists_are_check_over_every_object(world: int) -> None:
    rng = random.Random(f"{SEED}-{world}")
    facts = random_facts(rng, rng.choice((5, 15, 40, 80)))
    half = len(facts) // 2 if rng.random() < 0.5 else 0
    engine = made()
    if world % 3 == 0:
        spread_out(rng, engine)
    if half:
        engine.write(facts[:half])
    engine.merge()
    engine.write(facts[half:])  # some in the base, some in the delta
    gone = rng.sample(facts, len(facts) // 8)
    if gone:
        engine.write(deletes=[key_of(fact) for fact in gone])
    count = agree_everywhere(engine, rng.sample(SUBJECTS, 9), rng.sample(CONTEXTS, 2))
    assert count > 0, f"FGACORE_SEED={SEED}: nothing in any list"


@pytest.mark.parametrize("world", range(WORLDS))
def test_lists_with_contextual_tuples_are_check_over_every_object(world: int) -> None:
    rng = random.Random(f"{SEED}-contextual-{world}")
    engine = made(random_facts(rng, rng.choice((0, 10, 40))))
    contextual = random_facts(rng, rng.choice((1, 5, 20)))
    renamed = {"doc:5": "doc:never-seen", "folder:5": "folder:never-seen", "group:5": "group:never-seen", "user:c": "user:never-seen"}
    brought: dict[tuple[str, str, str], Fact] = {}
    for fact in contextual:
        subject, relation, name = key_of(fact)
        head, mark, userset = subject.partition("#")
        subject, name = renamed.get(head, head) + mark + userset, renamed.get(name, name)
        brought[subject, relation, name] = (
            Tuple(subject, relation, name, fact.condition, fact.context) if isinstance(fact, Tuple) else (subject, relation, name)
        )
    before = engine.stats()
    subjects = [*rng.sample(SUBJECTS, 5), "user:never-seen", "group:never-seen#member", "doc:never-seen#viewer"]
    agree_everywhere(engine, subjects, rng.sample(CONTEXTS, 2), list(brought.values()))
    agree_everywhere(engine, subjects[:4])  # and gone without a trace
    after = engine.stats()
    assert (after.revision, after.tuples, after.names) == (before.revision, before.tuples, before.names)


@pytest.mark.parametrize("world", range(WORLDS))
def test_lists_over_expiry_are_check_over_every_object(world: int) -> None:
    rng = random.Random(f"{SEED}-expiry-{world}")
    clock = Clock()
    engine = made(random_facts(rng, 60, [START + step for step in (1, 2, 3)]), clock=clock)
    subjects = rng.sample(SUBJECTS, 5)
    for seconds in range(START, START + 5):
        clock.seconds = seconds
        agree_everywhere(engine, subjects)
    assert all(getattr(fact, "expires_at", None) is None for fact in engine.read())


@pytest.mark.parametrize("world", range(WORLDS))
def test_lists_over_stale_tuples_and_old_models_are_check_over_every_object(world: int) -> None:
    """Tuples that only another model admits are there, and count for nothing."""
    rng = random.Random(f"{SEED}-stale-{world}")
    engine = made(random_facts(rng, 60))
    first = engine.stats().model_id
    engine.write_model(
        MODEL.replace("define member: [user, user:*, bot, user with low, ", "define member: [user, bot, ")
        .replace("define parent: [folder, doc, folder with low]", "define parent: [folder]")
        .replace("define barred: [user, user:*, group#member, user with low]", "define barred: [user, group#member, user with low]")
        .replace("x < 10", "x >= 10")
    )
    subjects = rng.sample(SUBJECTS, 6)
    for subject in subjects:
        for kind, relations in RELATIONS.items():
            for relation in relations:
                for context in (None, {"x": 1}):
                    agree(engine, subject, relation, kind, context)
                    agree(engine, subject, relation, kind, context, model_id=first)
                    agree(engine, subject, relation, kind, context)


@pytest.mark.parametrize("depth", [1, 63, 64, 65, 1_000, 20_000])
def test_a_chain_of_parents_and_one_of_groups_to_any_depth(depth: int) -> None:
    chain: list[Fact] = [(f"folder:{i}", "parent", f"folder:{i + 1}") for i in range(depth)]
    nested: list[Fact] = [(f"group:{i}#member", "member", f"group:{i + 1}") for i in range(depth)]
    ends: list[Fact] = [("user:a", "viewer", "folder:0"), (f"folder:{depth}", "parent", "doc:1"), ("folder:0", "parent", "doc:0")]
    ends += [("user:a", "member", "group:0"), (f"group:{depth}#member", "reader", "doc:2"), ("user:b", "barred", f"folder:{depth}")]
    engine = made([*chain, *nested, *ends])
    for _ in range(2):
        same_set(engine.list_objects("user:a", "viewer", "folder"), [f"folder:{i}" for i in range(depth + 1)], depth)
        same_set(engine.list_objects("user:a", "member", "group"), [f"group:{i}" for i in range(depth + 1)], depth)
        same_set(engine.list_objects("user:a", "can", "doc"), ["doc:0", "doc:1", "doc:2"], depth)
        same_set(engine.list_objects("user:b", "open", "folder"), [], depth)
        same_set(engine.list_objects(f"group:{depth // 2}#member", "member", "group"), [f"group:{i}" for i in range(depth // 2, depth + 1)], depth)
    assert engine.check("user:a", "can", "doc:1")
    assert engine.list_relations("user:a", f"folder:{depth}") == ["viewer", "open"]


def test_a_ring_in_a_ring_of_every_kind_of_edge() -> None:
    """Six parents in a ring, groups in a ring, documents that read each other: one grant reaches all of them."""
    facts: list[Fact] = [(f"folder:{i}", "parent", f"folder:{(i + 1) % 6}") for i in range(6)]
    facts += [(f"group:{i}#member", "member", f"group:{(i + 1) % 6}") for i in range(6)]
    facts += [(f"doc:{i}#viewer", "reader", f"doc:{(i + 1) % 6}") for i in range(6)]
    facts += [("user:a", "member", "group:3"), ("group:0#member", "viewer", "folder:2"), ("folder:5", "parent", "doc:4")]
    engine = made(facts)
    for kind, relation in (("group", "member"), ("folder", "viewer"), ("doc", "viewer")):
        same_set(engine.list_objects("user:a", relation, kind), [f"{kind}:{i}" for i in range(6)], kind)
        assert agree(engine, "user:b", relation, kind) == (set(), set())
    assert agree(engine, "user:a", "both", "doc")[0] == {"doc:4"}


# ---- the set itself ----


@pytest.fixture(scope="module")
def shelf() -> fgacore.Engine:
    """Of a hundred documents user:a reads the even ones, user:b those that three divides, user:c none."""
    facts: list[Fact] = [("user:a", "reader", f"doc:{i}") for i in range(0, 100, 2)]
    facts += [("user:b", "reader", f"doc:{i}") for i in range(0, 100, 3)]
    return made([*facts, ("user:a", "member", "group:1")])


def docs(numbers: Iterable[int]) -> set[str]:
    return {f"doc:{i}" for i in numbers}


def test_set_algebra(shelf: fgacore.Engine) -> None:
    a, b = (shelf.list_objects(subject, "viewer", "doc") for subject in ("user:a", "user:b"))
    same_set(a | b, docs(i for i in range(100) if i % 2 == 0 or i % 3 == 0), "|")
    same_set(a & b, docs(range(0, 100, 6)), "&")
    same_set(a - b, docs(i for i in range(0, 100, 2) if i % 3), "-")
    same_set(b - a, docs(i for i in range(0, 100, 3) if i % 2), "-")
    same_set(a ^ b, docs(i for i in range(100) if (i % 2 == 0) is not (i % 3 == 0)), "^")
    same_set(a - a, (), "none")
    same_set(a, docs(range(0, 100, 2)), "unchanged")
    same_set(b, docs(range(0, 100, 3)), "unchanged")
    assert (a & b) == (b & a)
    assert (a | b) - (a & b) == a ^ b
    assert a != b
    assert a == shelf.list_objects("user:a", "viewer", "doc")
    assert (a | b).type == "doc"
    assert (a | b).revision == shelf.revision


def test_algebra_with_what_is_no_set_is_refused(shelf: fgacore.Engine) -> None:
    found = shelf.list_objects("user:a", "viewer", "doc")
    for other in (None, 1, "doc:1", {"doc:1"}, ["doc:1"], found.bitmap, found.ids):
        for operation in (lambda a, b: a | b, lambda a, b: a & b, lambda a, b: a - b, lambda a, b: a ^ b):
            with pytest.raises((TypeError, RequestError)):
                operation(found, other)
        assert (found == other) is False or isinstance(other, numpy.ndarray)


OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "|": lambda a, b: a | b,
    "&": lambda a, b: a & b,
    "-": lambda a, b: a - b,
    "^": lambda a, b: a ^ b,
}


@pytest.mark.parametrize("sign", OPERATIONS)
def test_sets_of_another_type_store_or_revision_are_not_combined(sign: str) -> None:
    engine, other = made([("user:a", "reader", "doc:1")]), made([("user:a", "reader", "doc:1")])
    found = engine.list_objects("user:a", "viewer", "doc")
    assert refusal(lambda: OPERATIONS[sign](found, engine.list_objects("user:a", "viewer", "folder"))).code == "sets_differ"
    assert refusal(lambda: OPERATIONS[sign](found, other.list_objects("user:a", "viewer", "doc"))).code == "sets_differ"
    engine.write([("user:a", "reader", "doc:2")])
    later = engine.list_objects("user:a", "viewer", "doc")
    assert refusal(lambda: OPERATIONS[sign](found, later)).code == "sets_differ"
    assert refusal(lambda: OPERATIONS[sign](later, found)).code == "sets_differ"
    same_set(OPERATIONS[sign](later, engine.list_objects("user:b", "viewer", "doc")), () if sign == "&" else {"doc:1", "doc:2"}, sign)


def test_sets_of_tuples_that_only_their_calls_knew_are_not_mixed_up() -> None:
    """Each call numbers its own names from 2**31 on: one number is two objects in two calls."""
    engine = made()
    one = engine.list_objects("user:a", "viewer", "doc", contextual_tuples=[("user:a", "reader", "doc:one")])
    two = engine.list_objects("user:a", "viewer", "doc", contextual_tuples=[("user:a", "reader", "doc:two")])
    assert one.to_list() == ["doc:one"]
    assert two.to_list() == ["doc:two"]
    assert "doc:two" not in one
    assert one != two
    for operation in OPERATIONS.values():
        found, error = attempt(lambda operation=operation: operation(one, two))
        if error is not None:
            assert error.code == "sets_differ"
        else:
            assert set(found.to_list()) <= {"doc:one", "doc:two"}
            assert operation is not OPERATIONS["&"] or not found


def test_names_that_only_the_calls_tuples_know_have_numbers_of_their_own() -> None:
    engine = made([("user:a", "reader", "doc:stored")])
    names = engine.stats().names
    tuples = [("user:a", "reader", f"doc:new-{i}") for i in range(300)]
    found = engine.list_objects("user:a", "viewer", "doc", contextual_tuples=tuples)
    same_set(found, ["doc:stored", *(f"doc:new-{i}" for i in range(300))], "new")
    assert (found.ids >= 1 << 31).sum() == 300
    assert engine.names("doc", found.ids[found.ids < 1 << 31]) == ["doc:stored"] or engine.names("doc", found.ids[:1]) == ["stored"]
    assert engine.stats().names == names
    assert found.to_list() == found.to_list()
    same_set(engine.list_objects("user:a", "viewer", "doc"), ["doc:stored"], "without them")
    engine.write([("user:b", "reader", f"doc:later-{i}") for i in range(300)])
    same_set(found, ["doc:stored", *(f"doc:new-{i}" for i in range(300))], "after a write")


def test_a_list_is_stamped_and_does_not_change() -> None:
    clock = Clock()
    engine = made([Tuple("user:a", "reader", "doc:1", expires_at=at(START + 5)), ("user:a", "reader", "doc:2")], clock=clock)
    found = engine.list_objects("user:a", "viewer", "doc")
    assert (found.subject, found.relation, found.type, found.revision) == ("user:a", "viewer", "doc", engine.revision)
    assert found.instant == at(START)
    assert isinstance(found.generation, int)
    clock.seconds += 10
    revision = engine.write([("user:a", "reader", "doc:3")], deletes=[("user:a", "reader", "doc:2")])
    same_set(found, ["doc:1", "doc:2"], "as it was")
    after = engine.list_objects("user:a", "viewer", "doc")
    same_set(after, ["doc:3"], "as it is")
    assert (after.revision, after.instant) == (revision, at(START + 10))
    assert after != found
    engine.merge()
    same_set(found, ["doc:1", "doc:2"], "after a merge")
    assert refusal(lambda: engine.list_objects("user:a", "viewer", "doc", at_least=revision + 1)).code == "stale"


def test_the_set_outlives_its_engine() -> None:
    engine = made([("user:a", "reader", f"doc:{i}") for i in range(1_000)])
    found = engine.list_objects("user:a", "viewer", "doc")
    engine.close()
    del engine
    assert len(found) == 1_000
    assert len(found.ids) == 1_000
    names = []
    with contextlib.suppress(StoreError):  # names may need the store, and then say so
        names = found.to_list()
    assert not names or set(names) == {f"doc:{i}" for i in range(1_000)}


def test_what_a_caller_does_to_bitmap_or_ids_reaches_no_answer() -> None:
    engine = made([("user:a", "reader", f"doc:{i}") for i in range(100)] + [("user:b", "reader", f"doc:{i}") for i in range(100, 200)])
    for _ in range(3):  # the third finds what the first two have left
        found = engine.list_objects("user:a", "viewer", "doc")
        bitmap, ids = found.bitmap, found.ids
        with contextlib.suppress(TypeError, AttributeError, ValueError):
            bitmap |= BitMap(range(200))
            found.bitmap.update(range(200))
        with contextlib.suppress(ValueError):
            ids[:] = 150
        same_set(engine.list_objects("user:a", "viewer", "doc"), [f"doc:{i}" for i in range(100)], "after a caller's edits")
        assert engine.check_objects("user:a", "viewer", [f"doc:{i}" for i in range(200)]) == [True] * 100 + [False] * 100


def test_the_faces_of_an_empty_set() -> None:
    engine = made()
    for subject in ("user:a", "user:*", "group:1#member", "bot:x"):
        found = engine.list_objects(subject, "opened", "doc")
        same_set(found, (), subject)
        assert found.ids.shape == (0,)
        assert "doc:1" not in found
        assert 1 not in found  # type: ignore[operator]
        assert "" not in found
        assert "doc" not in found
        assert "folder:1" not in found


def test_a_name_of_another_type_with_the_same_number_is_not_in_the_set() -> None:
    engine = made([("user:a", "reader", "doc:1"), ("user:b", "viewer", "folder:1")])
    found = engine.list_objects("user:a", "viewer", "doc")
    assert "doc:1" in found
    assert "folder:1" not in found
    assert "user:a" not in found
    assert "doc:1#viewer" not in found


def test_the_order_is_that_of_ids_and_names_are_those_of_ids() -> None:
    numbers = list(range(3_000))
    random.Random(SEED).shuffle(numbers)
    engine = made([("user:a", "reader", f"doc:{i}") for i in numbers])
    found = engine.list_objects("user:a", "viewer", "doc")
    assert found.to_list() == [f"doc:{i}" for i in numbers]
    assert engine.ids("doc", [name.partition(":")[2] for name in found]).tolist() == found.ids.tolist()
    assert (numpy.diff(found.ids.astype(numpy.int64)) > 0).all()


# ---- large ----

LARGE = 200_000 if os.environ.get("FGACORE_SMALL") else 1_000_000


@pytest.fixture(scope="module")
def large() -> fgacore.Engine:
    """Every one of a million documents: granted to user:a, to a group that user:g is in, public, and under a folder at the end of ten; every
    seventh is barred to all of them. Numbers are ids: the names are given out first."""
    engine = made()
    names = [f"doc:{i}" for i in range(LARGE)]
    engine.write([("user:a", "reader", name) for name in names])
    engine.write([("group:1#member", "reader", name) for name in names])
    engine.write([("folder:9", "parent", name) for name in names])
    engine.write([("user:*", "knot", name) for name in names])
    barred = names[::7]
    engine.write([("user:a", "barred", name) for name in barred] + [("group:1#member", "barred", name) for name in barred])
    engine.write([("user:g", "member", "group:0"), ("group:0#member", "member", "group:1"), ("user:f", "viewer", "folder:0")])
    engine.write([(f"folder:{i}", "parent", f"folder:{i + 1}") for i in range(9)])
    engine.merge()
    return engine


LARGE_LISTS = {
    "direct": ("user:a", "reader", False),
    "through a union": ("user:a", "viewer", False),
    "with exceptions": ("user:a", "can", True),
    "through groups": ("user:g", "viewer", False),
    "through groups, with exceptions": ("user:g", "can", True),
    "through folders": ("user:f", "viewer", False),
    "by a wildcard": ("user:anybody", "knot", False),
    "the group's own": ("group:1#member", "can", True),
}


@pytest.mark.parametrize("name", LARGE_LISTS)
def test_a_million_objects(large: fgacore.Engine, name: str) -> None:
    subject, relation, excepted = LARGE_LISTS[name]
    wanted = numpy.arange(LARGE, dtype=numpy.uint32)
    if excepted:
        wanted = wanted[wanted % 7 != 0]
    for _ in range(2):
        found = large.list_objects(subject, relation, "doc")
        assert len(found) == len(wanted)
        assert numpy.array_equal(found.ids, wanted)
        assert found.bitmap == BitMap(wanted)
    texts = found.to_list()
    assert texts == [f"doc:{i}" for i in wanted.tolist()]
    kind, _, id = subject.partition("#")[0].partition(":")
    number = int(large.ids(kind, [id])[0])
    given = large.check_ids(
        number,
        relation,
        numpy.arange(LARGE, dtype=numpy.uint32),
        subject_type=kind + subject[subject.index("#") :] if "#" in subject else kind,
        object_type="doc",
    )
    assert numpy.array_equal(numpy.flatnonzero(given), wanted)
    some = [f"doc:{i}" for i in (0, 1, 7, 65_535, 65_536, 65_537, LARGE - 1, LARGE)]
    assert large.filter_objects(subject, relation, some) == [name for name in some if large.check(subject, relation, name)]


@pytest.mark.parametrize("count", [1, 63, 64, 65, 4_095, 4_096, 4_097, 65_535, 65_536, 65_537, 131_072, 131_073])
def test_every_border_of_a_page(count: int) -> None:
    """A whole page holds 65,536; one more begins another."""
    engine = made([("user:a", "reader", f"doc:{i}") for i in range(count)])
    engine.write([("user:b", "reader", f"doc:{i}") for i in {0, count // 2, count - 1, count}])
    for merged in (False, True):
        if merged:
            engine.merge()
        found, few = (engine.list_objects(subject, "viewer", "doc") for subject in ("user:a", "user:b"))
        assert numpy.array_equal(found.ids, numpy.arange(count, dtype=numpy.uint32))
        assert set(few.to_list()) == docs({0, count // 2, count - 1, count})
        assert len(found & few) == len({0, count // 2, count - 1})
        assert (few - found).to_list() == [f"doc:{count}"]
        assert f"doc:{count}" not in found
    engine.write(deletes=[("user:a", "reader", f"doc:{count - 1}")])
    assert len(engine.list_objects("user:a", "viewer", "doc")) == count - 1
    engine.write([("user:a", "reader", f"doc:{count}")])
    after = engine.list_objects("user:a", "viewer", "doc")
    assert len(after) == count
    assert f"doc:{count}" in after
    assert f"doc:{count - 1}" not in after


def test_few_results_far_apart_among_many_objects(large: fgacore.Engine) -> None:
    numbers = [0, 65_535, 65_536, LARGE // 2, LARGE - 1]
    engine = made([("user:*", "reader", f"doc:{i}") for i in range(LARGE)])
    engine.write([("user:a", "barred", f"doc:{i}") for i in range(LARGE) if i not in numbers])
    assert engine.list_objects("user:a", "can", "doc").to_list() == [f"doc:{i}" for i in numbers]
    assert engine.list_objects("user:a", "both", "doc").to_list() == []
    assert len(engine.list_objects("user:z", "can", "doc")) == LARGE
    assert large.list_objects("user:z", "viewer", "doc").to_list() == []


def test_a_million_candidates_keep_order_and_duplicates(large: fgacore.Engine) -> None:
    candidates = [f"doc:{i % LARGE}" for i in range(LARGE + 1_000)]
    kept = large.filter_objects("user:a", "can", candidates)
    assert kept == [name for i, name in enumerate(candidates) if i % LARGE % 7]
    assert large.filter_objects("user:a", "can", reversed(candidates)) == kept[::-1]


# ---- what a list leaves behind ----


@pytest.mark.parametrize("world", range(WORLDS))
def test_an_engine_that_lists_answers_like_one_that_never_does(world: int) -> None:
    """Two engines, the same writes, instants and questions; only one is asked for lists, before, between and after."""
    rng = random.Random(f"{SEED}-lockstep-{world}")
    clock = Clock()
    instants = [START + step for step in range(0, 60, 7)]
    facts = random_facts(rng, 50, instants)
    engine, control = made(facts, clock=clock), made(facts, clock=clock)
    models = [engine.stats().model_id], [control.stats().model_id]
    asked = rng.sample(SUBJECTS, 4)
    for step in range(120 if SOAK else 50):
        for _ in range(rng.randint(0, 3)):
            kind = rng.choice(list(RELATIONS))
            context = rng.choice(CONTEXTS)
            contextual = random_facts(rng, rng.choice((0, 0, 3)))
            with contextlib.suppress(RequestError):
                ask = rng.choice(("list_objects", "filter_objects", "list_relations"))
                given: dict[str, Any] = {"context": context, "contextual_tuples": contextual}
                subject = rng.choice(asked)
                if ask == "list_objects":
                    mode = rng.choice(("raise", "report"))
                    engine.list_objects(subject, rng.choice(RELATIONS[kind]), kind, on_missing_context=mode, **given)
                elif ask == "filter_objects":
                    engine.filter_objects(subject, rng.choice(RELATIONS[kind]), [f"{kind}:{i}" for i in range(7)] * 10, **given)
                else:
                    engine.list_relations(subject, f"{kind}:{rng.randint(1, 5)}", **given)
        change = rng.random()
        if change < 0.55:
            new = random_facts(rng, rng.choice((1, 1, 3, 10)), [clock.seconds + 1, clock.seconds + 5])
            stored = {key_of(fact) for fact in control.read()}
            gone = [key for key in stored if rng.random() < 0.1]
            for each in (engine, control):
                each.write(new, deletes=[key for key in gone if key not in {key_of(fact) for fact in new}], on_duplicate="replace")
        elif change < 0.75:
            clock.seconds += rng.choice((1, 5))
        elif change < 0.8:
            for each, ids in ((engine, models[0]), (control, models[1])):
                ids.append(each.write_model(MODEL if len(ids) % 2 else MODEL.replace("define can: viewer but not barred", "define can: viewer")))
        elif change < 0.9:
            engine.merge()
        context, number = rng.choice(CONTEXTS[:3]), rng.randrange(len(models[0]))
        for subject in asked:
            questions = [(subject, relation, f"{kind}:{rng.randint(1, 5)}") for kind in RELATIONS for relation in RELATIONS[kind]]
            found, right = (each.batch_check(questions, context=context) for each in (engine, control))
            told = f"FGACORE_SEED={SEED}, world {world}, step {step}, {subject}, {context}"
            assert list(found) == list(right), told
            assert {i: error.code for i, error in found.errors.items()} == {i: error.code for i, error in right.errors.items()}, told
            question = rng.choice(questions)
            single = [outcome(lambda each=each: each.check(*question, context=context)) for each in (engine, control)]  # noqa: B023
            assert single[0] == single[1], (told, question)
            old = [
                outcome(lambda each=each, ids=ids: each.check(*question, context=context, model_id=ids[number]))  # noqa: B023
                for each, ids in ((engine, models[0]), (control, models[1]))
            ]
            assert old[0] == old[1], (told, question, number)


LISTED_FIRST: dict[str, tuple[list[Fact], list[Fact], list[tuple[str, str, str]], tuple[str, str, str], bool]] = {
    # stored; then written and deleted; a question, and its answer after that
    "a grant": ([], [("user:a", "reader", "doc:1")], [], ("user:a", "can", "doc:1"), True),
    "a grant taken": ([("user:a", "reader", "doc:1")], [], [("user:a", "reader", "doc:1")], ("user:a", "can", "doc:1"), False),
    "a bar": ([("user:a", "reader", "doc:1")], [("user:a", "barred", "doc:1")], [], ("user:a", "can", "doc:1"), False),
    "a bar for all": ([("user:a", "reader", "doc:1")], [("user:*", "barred", "doc:1")], [], ("user:a", "can", "doc:1"), False),
    "a bar for a group": (
        [("user:a", "reader", "doc:1"), ("user:a", "member", "group:1")],
        [("group:1#member", "barred", "doc:1")],
        [],
        ("user:a", "can", "doc:1"),
        False,
    ),
    "a wildcard": ([], [("user:*", "reader", "doc:1")], [], ("user:a", "viewer", "doc:1"), True),
    "a wildcard taken": ([("user:*", "reader", "doc:1")], [], [("user:*", "reader", "doc:1")], ("user:a", "viewer", "doc:1"), False),
    "a membership": ([("group:1#member", "reader", "doc:1")], [("user:a", "member", "group:1")], [], ("user:a", "viewer", "doc:1"), True),
    "a membership taken": (
        [("group:1#member", "reader", "doc:1"), ("user:a", "member", "group:1")],
        [],
        [("user:a", "member", "group:1")],
        ("user:a", "viewer", "doc:1"),
        False,
    ),
    "a group in a group taken": (
        [("group:2#member", "reader", "doc:1"), ("group:1#member", "member", "group:2"), ("user:a", "member", "group:1")],
        [],
        [("group:1#member", "member", "group:2")],
        ("user:a", "viewer", "doc:1"),
        False,
    ),
    "a parent": ([("user:a", "viewer", "folder:1")], [("folder:1", "parent", "doc:1")], [], ("user:a", "viewer", "doc:1"), True),
    "a parent moved away": (
        [("user:a", "viewer", "folder:1"), ("folder:1", "parent", "doc:1")],
        [("folder:2", "parent", "doc:1")],
        [("folder:1", "parent", "doc:1")],
        ("user:a", "viewer", "doc:1"),
        False,
    ),
    "a grant above taken": (
        [("user:a", "viewer", "folder:1"), ("folder:1", "parent", "folder:2"), ("folder:2", "parent", "doc:1")],
        [],
        [("user:a", "viewer", "folder:1")],
        ("user:a", "viewer", "doc:1"),
        False,
    ),
    "a bar above": (
        [("user:a", "viewer", "folder:1"), ("folder:1", "parent", "folder:2"), ("folder:2", "parent", "doc:1")],
        [("user:a", "barred", "folder:1")],
        [],
        ("user:a", "opened", "doc:1"),
        False,
    ),
    "another's grant": ([("user:a", "reader", "doc:1")], [("user:b", "reader", "doc:2")], [], ("user:a", "viewer", "doc:2"), False),
    "a userset's grant": ([], [("group:1#member", "reader", "doc:1")], [], ("group:1#member", "viewer", "doc:1"), True),
    "a condition put over a grant": (
        [("user:a", "reader", "doc:1")],
        [Tuple("user:a", "reader", "doc:1", "low", {"x": 11})],
        [("user:a", "reader", "doc:1")],
        ("user:a", "can", "doc:1"),
        False,
    ),
    "a new document's": ([], [("user:a", "reader", "doc:brand-new")], [], ("user:a", "can", "doc:brand-new"), True),
}


@pytest.mark.parametrize("times", [1, 2, 5])
@pytest.mark.parametrize("name", LISTED_FIRST)
def test_a_write_after_a_list_is_seen_at_once(name: str, times: int) -> None:
    facts, writes, deletes, (subject, relation, object), answer = LISTED_FIRST[name]
    engine = made([*facts, *[("user:filler", "reader", f"doc:{i}") for i in range(2, 200)]])
    kinds = [(kind, each) for kind, relations in RELATIONS.items() for each in relations]
    for _ in range(times):
        for kind, each in kinds:
            engine.list_objects(subject, each, kind)
            engine.check(subject, each, f"{kind}:1")
    before = engine.check(subject, relation, object)
    engine.write(writes, deletes=deletes)
    assert engine.check(subject, relation, object) is answer
    assert before is not answer or name == "another's grant"
    assert engine.check_objects(subject, relation, [object] * 70) == [answer] * 70
    assert (object in engine.list_objects(subject, relation, object.partition(":")[0])) is answer
    agree_everywhere(engine, [subject])


def test_a_list_in_one_context_says_nothing_of_another() -> None:
    engine = made([Tuple("user:a", "reader", f"doc:{i}", "low") for i in range(100)] + [Tuple("user:a", "reader", "doc:own", "low", {"x": 1})])
    names = [f"doc:{i}" for i in range(100)]
    for _ in range(3):
        assert len(engine.list_objects("user:a", "viewer", "doc", context={"x": 1})) == 101
        assert engine.check_objects("user:a", "viewer", names, context={"x": 11}) == [False] * 100
        assert refusal(lambda: engine.check("user:a", "viewer", "doc:0")).code == "context_missing"
        assert engine.list_objects("user:a", "viewer", "doc", context={"x": 11}).to_list() == ["doc:own"]
        assert refusal(lambda: engine.list_objects("user:a", "viewer", "doc")).code == "context_missing"
        reported = engine.list_objects("user:a", "viewer", "doc", on_missing_context="report")
        assert (reported.to_list(), len(reported.undetermined)) == (["doc:own"], 100)
        assert engine.check_objects("user:a", "viewer", names, context={"x": 1}) == [True] * 100


def test_a_list_with_contextual_tuples_says_nothing_without_them() -> None:
    engine = made([("group:1#member", "reader", f"doc:{i}") for i in range(100)] + [("user:a", "reader", f"doc:{i}") for i in range(0, 100, 2)])
    names = [f"doc:{i}" for i in range(100)]
    joined, barred = [("user:a", "member", "group:1")], [("user:*", "barred", f"doc:{i}") for i in range(100)]
    for _ in range(3):
        assert len(engine.list_objects("user:a", "can", "doc", contextual_tuples=joined)) == 100
        assert engine.check_objects("user:a", "can", names) == [i % 2 == 0 for i in range(100)]
        assert len(engine.list_objects("user:a", "can", "doc", contextual_tuples=barred)) == 0
        assert engine.list_objects("user:a", "can", "doc").to_list() == names[::2]
        assert engine.check_objects("user:a", "can", names, contextual_tuples=joined) == [True] * 100


def test_a_list_before_an_instant_says_nothing_after_it() -> None:
    clock = Clock()
    engine = made(
        [
            *[Tuple("user:a", "reader", f"doc:{i}", expires_at=at(START + 10)) for i in range(100)],
            *[("group:1#member", "reader", f"doc:{i}") for i in range(100, 200)],
            Tuple("user:a", "member", "group:1", expires_at=at(START + 20)),
            *[("user:a", "viewer", "folder:1"), ("folder:1", "parent", "doc:500")],
            Tuple("user:a", "barred", "folder:1", expires_at=at(START + 30)),
        ],
        clock=clock,
    )
    names = [f"doc:{i}" for i in range(200)]
    for seconds, count, opened in ((0, 201, []), (9, 201, []), (10, 101, []), (20, 1, []), (30, 1, ["doc:500"])):
        clock.seconds = START + seconds
        for _ in range(3):
            assert len(engine.list_objects("user:a", "viewer", "doc")) == count
            assert sum(engine.check_objects("user:a", "viewer", names)) == count - 1
            assert engine.list_objects("user:a", "opened", "doc").to_list() == opened
            assert engine.check("user:a", "opened", "doc:500") is bool(opened)


def test_a_list_by_one_subject_says_nothing_of_another() -> None:
    engine = made([("user:a", "reader", f"doc:{i}") for i in range(500)] + [("group:1#member", "reader", "doc:0"), ("bot:a", "reader", "doc:1")])
    names = [f"doc:{i}" for i in range(500)]
    for _ in range(3):
        assert len(engine.list_objects("user:a", "viewer", "doc")) == 500
        assert engine.check_objects("user:A", "viewer", names) == [False] * 500
        assert engine.check_objects("user:b", "viewer", names) == [False] * 500
        assert sum(engine.check_objects("bot:a", "viewer", names)) == 1
        assert sum(engine.check_objects("user:*", "viewer", names)) == 0
        assert engine.list_objects("group:1#member", "viewer", "doc").to_list() == ["doc:0"]
        assert engine.list_objects("bot:a", "viewer", "doc").to_list() == ["doc:1"]


def test_thousands_of_subjects_listed_in_turn_stay_apart() -> None:
    """More than any cache holds: what is given up and begun anew is nobody else's."""
    engine = made([(f"user:{i}", "reader", f"doc:{i % 997}") for i in range(5_000)] + [("user:*", "reader", "doc:all")])
    for round in range(2):
        for i in range(0, 5_000, 3):
            assert set(engine.list_objects(f"user:{i}", "viewer", "doc").to_list()) == {f"doc:{i % 997}", "doc:all"}, (round, i)
            assert not engine.check(f"user:{i}", "viewer", f"doc:{(i + 1) % 997}")
            assert engine.check(f"user:{i}", "viewer", f"doc:{i % 997}")


def test_a_list_that_is_interrupted_leaves_nothing_half_known() -> None:
    """openfga#3125: a search that was called off left its `no` in a cache."""
    model = MODEL.replace("x < 10", 'string(x).matches("^[0-9]$")')  # not of our own operators: Python is asked
    engine = made([Tuple("user:a", "reader", f"doc:{i}", "low") for i in range(50)], model=model)
    from fgacore.language.conditions import LibraryExpression

    real, calls = LibraryExpression.evaluate, 0

    def evaluate(self: LibraryExpression, values: list[object]) -> bool:
        nonlocal calls
        calls += 1
        if calls % 2:
            raise KeyboardInterrupt
        return real(self, values)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LibraryExpression, "evaluate", evaluate)
        for mode in ("raise", "report"):
            calls = 0
            with pytest.raises(KeyboardInterrupt):
                engine.list_objects("user:a", "viewer", "doc", context={"x": 1}, on_missing_context=mode)
    assert len(engine.list_objects("user:a", "viewer", "doc", context={"x": 1})) == 50
    assert agree(engine, "user:a", "can", "doc", {"x": 1})[0] == {f"doc:{i}" for i in range(50)}


# ---- beside writes and threads ----


def in_threads(count: int, work: Callable[[int], None]) -> None:
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=300)
        assert not thread.is_alive(), "a thread waits for ever"
    if failures:
        raise failures[0]


@pytest.mark.usefixtures("_restless")
def test_a_list_beside_writes_is_of_one_revision() -> None:
    """authzed/spicedb#3239 and openfga#3155. A writer moves 300 documents at once from one half to the other, by three ways; no list sees a mixture,
    and each is what its revision says."""
    halves = [[f"doc:{i}" for i in range(300)], [f"doc:{i}" for i in range(300, 600)]]
    engine = made([("user:a", "member", "group:0"), ("user:a", "viewer", "folder:0")])
    ways = [lambda name: ("user:a", "reader", name), lambda name: ("group:0#member", "reader", name), lambda name: ("folder:0", "parent", name)]
    tuples = [[way(name) for way in ways for name in half] for half in halves]
    engine.write(tuples[0])
    told: dict[int, int] = {engine.revision: 0}
    done = threading.Event()
    lists = 0

    def write() -> None:
        try:
            for step in range(20_000):
                if done.is_set() or (step >= (400 if SOAK else 60) and lists >= 20):
                    break
                here, there = step % 2, (step + 1) % 2
                told[engine.revision + 1] = there
                assert engine.write(tuples[there], deletes=tuples[here]) in told
                if step % 7 == 0:
                    engine.merge()
        finally:
            done.set()

    def read(number: int) -> None:
        if number == 0:
            write()
            return
        try:
            look()
        finally:
            done.set()  # a reader that failed ends the writer too

    def look() -> None:
        nonlocal lists
        while not done.is_set():
            for relation in ("viewer", "can", "reader"):
                found = engine.list_objects("user:a", relation, "doc")
                assert set(found.to_list()) == set(halves[told[found.revision]]), (relation, len(found))
                lists += 1
            kept = engine.filter_objects("user:a", "viewer", [*halves[0], *halves[1]])
            assert kept in (halves[0], halves[1])
            relations = engine.list_relations("user:a", "doc:0")
            assert relations in (["reader", "viewer", "can", "both", "opened", "safe"], [])
            assert sum(engine.check_objects("user:a", "can", [*halves[0], *halves[1]])) == 300

    in_threads(4, read)
    assert lists > 0


@pytest.mark.usefixtures("_restless")
def test_threads_that_list_one_subject_at_once_agree() -> None:
    rng = random.Random(SEED)
    engine = made(random_facts(rng, 60))
    wanted: dict[tuple[str, str, str], list[str]] = {}
    control = made(list(engine.read()))
    for subject in SUBJECTS[:6]:
        for kind, relations in RELATIONS.items():
            for relation in relations:
                names = objects_of(control, kind)
                answers = control.batch_check([(subject, relation, name) for name in names], context={"x": 1})
                wanted[subject, relation, kind] = [name for name, answer in zip(names, answers, strict=True) if answer]

    def read(number: int) -> None:
        asked = list(wanted)
        random.Random(number).shuffle(asked)
        for _ in range(20 if SOAK else 3):
            for subject, relation, kind in asked:
                found = engine.list_objects(subject, relation, kind, context={"x": 1})
                assert sorted(found.to_list()) == wanted[subject, relation, kind], (subject, relation, kind)
                for name in wanted[subject, relation, kind]:
                    assert engine.check(subject, relation, name, context={"x": 1})

    in_threads(4, read)


@pytest.mark.usefixtures("_restless")
def test_closing_under_lists_ends_them_cleanly() -> None:
    for _ in range(20):
        engine = made([("user:a", "reader", f"doc:{i}") for i in range(2_000)])

        def read(number: int, engine: fgacore.Engine = engine) -> None:
            if number == 0:
                engine.close()
                return
            for _ in range(50):
                ids, error = attempt(lambda: engine.list_objects("user:a", "viewer", "doc").ids)
                assert error is None or (isinstance(error, StoreError) and error.code == "closed")
                assert error is not None or len(ids) == 2_000

        in_threads(3, read)
        assert refusal(lambda engine=engine: engine.list_objects("user:a", "viewer", "doc")).code == "closed"


# ---- bad input ----

BAD_NAMES: tuple[Any, ...] = (
    "",
    ":",
    "doc",
    "doc:",
    ":1",
    "doc:1 2",
    "doc:\ud800",
    "doc:" + "x" * 300,
    "doc:*",
    "doc:1#viewer",
    None,
    1,
    b"doc:1",
)
BAD_SUBJECTS: tuple[Any, ...] = (
    "",
    ":",
    "user",
    "user:",
    ":a",
    "user:a b",
    "user:\ud800",
    "group:1#",
    "group:1#a#b",
    "group:*#member",
    None,
    7,
    b"user:a",
)


def test_unknown_types_and_relations() -> None:
    engine = made([("user:a", "reader", "doc:1")])
    for call, code in (
        (lambda: engine.list_objects("user:a", "viewer", "planet"), "type_not_found"),
        (lambda: engine.list_objects("user:a", "orbits", "doc"), "relation_not_found"),
        (lambda: engine.list_objects("user:a", "member", "doc"), "relation_not_found"),
        (lambda: engine.list_objects("user:a", "viewer", "user"), "relation_not_found"),
        (lambda: engine.list_objects("planet:a", "viewer", "doc"), "type_not_found"),
        (lambda: engine.list_objects("group:1#orbits", "viewer", "doc"), "relation_not_found"),
        (lambda: engine.filter_objects("user:a", "viewer", ["planet:1"]), "type_not_found"),
        (lambda: engine.filter_objects("user:a", "orbits", ["doc:1"]), "relation_not_found"),
        (lambda: engine.list_relations("user:a", "planet:1"), "type_not_found"),
        (lambda: engine.list_relations("planet:a", "doc:1"), "type_not_found"),
        (lambda: engine.list_relations("group:1#orbits", "doc:1"), "relation_not_found"),
        (lambda: engine.expand("planet:1", "viewer"), "type_not_found"),
        (lambda: engine.expand("doc:1", "orbits"), "relation_not_found"),
        (lambda: engine.list_objects("user:a", "viewer", "doc", model_id="01ARZ3NDEKTSV4RRFFQ69G5FAV"), "model_not_found"),
    ):
        error = refusal(call)
        assert isinstance(error, RequestError)
        assert error.code == code
    assert fgacore.open(":memory:").revision == 0
    assert refusal(lambda: fgacore.open(":memory:").list_objects("user:a", "viewer", "doc")).code == "no_model"


def test_what_a_subject_can_never_reach_is_empty_and_no_error() -> None:
    engine = made([("user:a", "reader", "doc:1"), ("user:*", "reader", "doc:2"), ("folder:1", "parent", "doc:1")])
    for subject, relation, kind in (
        ("bot:x", "owner", "folder"),
        ("bot:x", "opened", "doc"),
        ("bot:*", "viewer", "doc"),
        ("folder:1", "viewer", "doc"),
        ("doc:1", "viewer", "folder"),
        ("user:a", "parent", "doc"),
        ("doc:1#parent", "viewer", "doc"),
    ):
        same_set(engine.list_objects(subject, relation, kind), (), (subject, relation, kind))
    assert engine.list_relations("bot:x", "folder:1") == []
    assert engine.filter_objects("bot:x", "owner", ["folder:1", "folder:2"]) == []


@pytest.mark.parametrize("bad", BAD_NAMES, ids=repr)
def test_a_malformed_candidate_is_named_by_its_index(bad: Any) -> None:
    engine = made([("user:a", "reader", "doc:1")])
    for place in (0, 1, 80):
        candidates: list[Any] = ["doc:1"] * 81
        candidates[place] = bad
        error = refusal(lambda candidates=candidates: engine.filter_objects("user:a", "viewer", candidates))
        assert isinstance(error, RequestError)
        assert error.index == place
    refusal(lambda: engine.list_relations("user:a", bad))
    refusal(lambda: engine.expand(bad, "viewer"))
    assert engine.filter_objects("user:a", "viewer", ["doc:1"]) == ["doc:1"]


@pytest.mark.parametrize("bad", BAD_SUBJECTS, ids=repr)
def test_a_malformed_subject_is_refused(bad: Any) -> None:
    engine = made([("user:a", "reader", "doc:1")])
    for call in (
        lambda: engine.list_objects(bad, "viewer", "doc"),
        lambda: engine.filter_objects(bad, "viewer", ["doc:1"]),
        lambda: engine.list_relations(bad, "doc:1"),
    ):
        assert isinstance(refusal(call), RequestError)


@pytest.mark.parametrize("bad", ["", "doc:1", "doc#viewer", "doc:*", " doc", "DOC", "d\x00c", "\ud800", None, 3, b"doc", ["doc"]], ids=repr)
def test_a_malformed_type_is_refused(bad: Any) -> None:
    engine = made([("user:a", "reader", "doc:1")])
    assert isinstance(refusal(lambda: engine.list_objects("user:a", "viewer", bad)), RequestError)


@pytest.mark.parametrize("bad", ["", "viewer ", "VIEWER", "v\x00", "\ud800", None, 3, b"viewer", "doc#viewer"], ids=repr)
def test_a_malformed_relation_is_refused(bad: Any) -> None:
    engine = made([("user:a", "reader", "doc:1")])
    for call in (
        lambda: engine.list_objects("user:a", bad, "doc"),
        lambda: engine.filter_objects("user:a", bad, ["doc:1"]),
        lambda: engine.expand("doc:1", bad),
    ):
        assert isinstance(refusal(call), RequestError)


def test_bad_options_are_refused_and_leave_nothing_behind() -> None:
    engine = made([Tuple("user:a", "reader", "doc:1", "low")])
    before = engine.stats().names
    for more, code in (
        ({"on_missing_context": "ignore"}, None),
        ({"on_missing_context": None}, None),
        ({"on_missing_context": True}, None),
        ({"context": 7}, "invalid_context"),
        ({"context": [1]}, "invalid_context"),
        ({"context": {1: 2}}, "invalid_context"),
        ({"contextual_tuples": "user:a"}, None),
        ({"contextual_tuples": [("user:a", "orbits", "doc:1")]}, "invalid_contextual_tuple"),
        ({"contextual_tuples": [("user:a", "viewer", "doc:new")]}, "invalid_contextual_tuple"),
        ({"contextual_tuples": [("user:a", "reader")]}, "invalid_contextual_tuple"),
        ({"contextual_tuples": [("user:a", "reader", "doc:1"), Tuple("user:a", "reader", "doc:1", "low")]}, "invalid_contextual_tuple"),
        ({"contextual_tuples": [Tuple("user:a", "reader", "doc:1", "low", {"x": "bad"})]}, "invalid_contextual_tuple"),
        ({"at_least": 10_000}, "stale"),
        ({"at_least": "now"}, None),
        ({"model_id": 5}, None),
        ({"model_id": "none"}, "model_not_found"),
    ):
        error = refusal(lambda more=more: engine.list_objects("user:a", "viewer", "doc", **more))
        assert isinstance(error, (RequestError, StoreError)), more
        assert code in (None, error.code), (more, error.code)
        if "on_missing_context" not in more:
            other = refusal(lambda more=more: engine.filter_objects("user:a", "viewer", ["doc:1"], **more))
            assert other.code == error.code, more
            refusal(lambda more=more: engine.list_relations("user:a", "doc:1", **more))
    assert refusal(lambda: engine.list_objects("user:a", "viewer", "doc", contextual_tuples=[("user:a", "reader", "doc:n")] * 10_001)).code in (
        "limit_exceeded",
        "invalid_contextual_tuple",
    )
    for bad in ("doc:1", None, 5, b"doc:1"):
        refusal(lambda bad=bad: engine.filter_objects("user:a", "viewer", bad))
    assert engine.stats().names == before
    assert engine.list_objects("user:a", "viewer", "doc", context={"x": 1}).to_list() == ["doc:1"]


def test_candidates_of_several_types_once_each_iterable_read_once() -> None:
    engine = made([("user:a", "reader", "doc:1"), ("user:a", "viewer", "folder:1"), ("user:a", "reader", "doc:2")])
    mixed = ["doc:2", "folder:1", "doc:1", "doc:9", "doc:2", "folder:9"]
    assert engine.filter_objects("user:a", "viewer", iter(mixed)) == ["doc:2", "folder:1", "doc:1", "doc:2"]
    assert engine.filter_objects("user:a", "viewer", (name for name in mixed)) == ["doc:2", "folder:1", "doc:1", "doc:2"]
    assert engine.filter_objects("user:a", "viewer", []) == []
    assert engine.filter_objects("user:a", "viewer", {"doc:1": 1}) == ["doc:1"]
    error = refusal(lambda: engine.filter_objects("user:a", "can", mixed))  # a folder has no `can`
    assert (error.code, error.index) == ("relation_not_found", 1)

    def failing() -> Iterator[str]:
        yield "doc:1"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        engine.filter_objects("user:a", "viewer", failing())


def test_filter_returns_the_callers_own_texts() -> None:
    engine = made([("user:a", "reader", "doc:1")])
    mine = "".join(["doc", ":1"])
    assert engine.filter_objects("user:a", "viewer", [mine])[0] is mine


# ---- what other engines got wrong ----


def test_cve_2022_21646_a_wildcard_on_the_right_of_a_subtraction_or_intersection_counts() -> None:
    """A lookup that ignored it listed what everybody is barred from."""
    engine = made([("user:a", "reader", "doc:1"), ("user:a", "reader", "doc:2"), ("user:*", "barred", "doc:1"), ("user:*", "reader", "doc:3")])
    assert agree(engine, "user:a", "can", "doc")[0] == {"doc:2", "doc:3"}
    assert agree(engine, "user:new", "can", "doc")[0] == {"doc:3"}
    assert agree(engine, "user:*", "can", "doc")[0] == {"doc:3"}
    both = made(
        [("user:a", "a", "doc:1"), ("user:*", "b", "doc:1"), ("user:*", "a", "doc:2"), ("user:a", "b", "doc:2"), ("user:*", "a", "doc:3")],
        model="model\n  schema 1.1\ntype user\ntype doc\n  relations\n    define a: [user, user:*]\n"
        "    define b: [user, user:*]\n    define c: a and b\n",
    )
    assert agree(both, "user:a", "c", "doc")[0] == {"doc:1", "doc:2"}
    assert agree(both, "user:new", "c", "doc")[0] == set()


def test_cve_2023_35930_a_list_is_complete_however_many_ways_lead_to_its_results() -> None:
    """Five ways of a thousand results each, some by several at once: all are there, once."""
    ways: list[list[Fact]] = [
        [("user:a", "reader", f"doc:{i}") for i in range(1_000)],
        [("group:2#member", "reader", f"doc:{i}") for i in range(500, 1_500)],
        [("folder:9", "parent", f"doc:{i}") for i in range(1_200, 2_200)],
        [("user:*", "reader", f"doc:{i}") for i in range(2_000, 3_000)],
        [Tuple("user:a", "reader", f"doc:{i}", "low", {"x": 1}) for i in range(2_900, 3_900)],
    ]
    links: list[Fact] = [("user:a", "member", "group:1"), ("group:1#member", "member", "group:2"), ("group:2#member", "viewer", "folder:1")]
    engine = made([*links, ("folder:1", "parent", "folder:9"), *(fact for way in ways for fact in way)])
    same_set(engine.list_objects("user:a", "viewer", "doc"), [f"doc:{i}" for i in range(3_900)], "all ways")
    assert agree(engine, "user:a", "can", "doc")[0] == {f"doc:{i}" for i in range(3_900)}


def test_cve_2024_27101_more_than_65535_of_anything() -> None:
    """What is read in chunks must not be counted in sixteen bits: memberships, parents of one object, children of one folder, candidates."""
    count = 70_000
    engine = made()
    engine.write([("user:a", "member", f"group:{i}") for i in range(count)])
    engine.write([(f"group:{i}#member", "reader", f"doc:{i}") for i in range(count)])
    engine.write([(f"folder:{i}", "parent", "doc:hub") for i in range(count)])
    engine.write([("user:last", "viewer", f"folder:{count - 1}"), ("user:first", "viewer", "folder:0")])
    engine.write([("folder:hub", "parent", f"folder:{i}") for i in range(count)])
    engine.write([("user:top", "viewer", "folder:hub")])
    assert len(engine.list_objects("user:a", "member", "group")) == count
    assert len(engine.list_objects("user:a", "can", "doc")) == count
    assert engine.list_objects("user:last", "viewer", "doc").to_list() == ["doc:hub"]
    assert engine.list_objects("user:first", "viewer", "doc").to_list() == ["doc:hub"]
    assert len(engine.list_objects("user:top", "viewer", "folder")) == count + 1
    assert engine.list_objects("user:top", "opened", "doc").to_list() == ["doc:hub"]
    candidates = [f"doc:{i}" for i in range(count)]
    assert engine.filter_objects("user:a", "viewer", candidates) == candidates
    assert engine.filter_objects("user:b", "viewer", candidates) == []


def test_ghsa_grjv_gjgr_66g2_one_parent_that_bars_does_not_hide_another_that_does_not() -> None:
    parents: list[Fact] = [("folder:1", "parent", "doc:1"), ("folder:2", "parent", "doc:1"), ("folder:1", "parent", "doc:2")]
    for barred in ("folder:1", "folder:2"):
        engine = made([*parents, ("user:a", "viewer", "folder:1"), ("user:a", "viewer", "folder:2"), ("user:a", "barred", barred)])
        assert agree(engine, "user:a", "opened", "doc")[0] == ({"doc:1"} if barred == "folder:1" else {"doc:1", "doc:2"})


CAVEATS = """
model
  schema 1.1
type user
type group
  relations
    define member: [user]
type doc
  relations
    define reader: [group#member with low, group#member with high, group#member]
    define parent: [doc, doc with low, doc with high]
    define viewer: reader or viewer from parent
condition low(x: int) {
  x < 10
}
condition high(x: int) {
  x >= 10
}
"""


def test_cve_2024_46989_several_conditions_on_one_kind_of_userset() -> None:
    engine = made(
        [
            ("user:a", "member", "group:1"),
            ("user:a", "member", "group:2"),
            Tuple("group:1#member", "reader", "doc:1", "low"),
            Tuple("group:2#member", "reader", "doc:1", "high"),
            Tuple("group:1#member", "reader", "doc:2", "high"),
            Tuple("group:2#member", "reader", "doc:3", "low"),
        ],
        model=CAVEATS,
    )
    assert agree(engine, "user:a", "viewer", "doc", {"x": 1})[0] == {"doc:1", "doc:3"}
    assert agree(engine, "user:a", "viewer", "doc", {"x": 11})[0] == {"doc:1", "doc:2"}
    assert agree(engine, "user:a", "viewer", "doc") == (set(), {"doc:1", "doc:2", "doc:3"})


def test_cve_2024_48909_nothing_is_undetermined_once_the_context_is_given() -> None:
    engine = made([Tuple("user:a", "reader", f"doc:{i}", "low") for i in range(300)] + [Tuple("user:a", "barred", "doc:7", "low")])
    for context, count in (({"x": 1}, 299), ({"x": 11}, 0)):
        found = engine.list_objects("user:a", "can", "doc", context=context, on_missing_context="report")
        assert (len(found), len(found.undetermined)) == (count, 0)
    bare = engine.list_objects("user:a", "can", "doc", on_missing_context="report")
    assert (len(bare), len(bare.undetermined)) == (0, 300)


def test_cve_2025_49011_a_parent_under_a_condition_does_not_hide_another() -> None:
    facts: list[Fact] = [("user:a", "member", "group:1"), ("group:1#member", "reader", "doc:top")]
    facts += [Tuple("doc:top", "parent", "doc:1", "low"), Tuple("doc:other", "parent", "doc:1", "high"), Tuple("doc:1", "parent", "doc:2", "high")]
    facts += [("doc:1", "parent", "doc:3"), Tuple("doc:other", "parent", "doc:3", "low")]
    engine = made(facts, model=CAVEATS)
    assert agree(engine, "user:a", "viewer", "doc", {"x": 1})[0] == {"doc:top", "doc:1", "doc:3"}
    assert agree(engine, "user:a", "viewer", "doc", {"x": 11})[0] == {"doc:top"}
    assert agree(engine, "user:a", "viewer", "doc") == ({"doc:top"}, {"doc:1", "doc:2", "doc:3"})


def test_ghsa_9m7r_g8hg_x3vr_a_relation_used_directly_and_through_a_parent_in_one_union() -> None:
    model = """
model
  schema 1.1
type user
type folder
  relations
    define owner: [user]
    define parent: [folder]
    define viewer: owner or owner from parent
    define all: owner or all from parent
type doc
  relations
    define owner: [user]
    define parent: [folder, doc]
    define viewer: owner or owner from parent
"""
    engine = made(
        [
            ("user:a", "owner", "doc:1"),
            ("user:a", "owner", "folder:1"),
            ("folder:1", "parent", "doc:2"),
            ("doc:1", "parent", "doc:3"),
            ("folder:1", "parent", "folder:2"),
            ("folder:2", "parent", "folder:3"),
            ("folder:2", "parent", "doc:4"),
        ],
        model=model,
    )
    assert agree(engine, "user:a", "viewer", "doc")[0] == {"doc:1", "doc:2", "doc:3"}
    assert agree(engine, "user:a", "viewer", "folder")[0] == {"folder:1", "folder:2"}
    assert agree(engine, "user:a", "all", "folder")[0] == {"folder:1", "folder:2", "folder:3"}


@pytest.mark.usefixtures("_restless")
def test_ghsa_4vrg_r928_h5vv_a_definite_answer_in_one_context_is_not_another_threads_answer() -> None:
    engine = made(
        [Tuple("user:a", "reader", f"doc:{i}", "low") for i in range(100)]
        + [("user:a", "member", "group:1"), Tuple("group:1#member", "member", "group:2", "low"), ("group:2#member", "reader", "doc:far")]
    )
    names = {*(f"doc:{i}" for i in range(100)), "doc:far"}

    def read(number: int) -> None:
        context, definite, failing = ((None, set(), names), ({"x": 1}, names, set()), ({"x": 11}, set(), set()))[number % 3]
        for _ in range(400 if SOAK else 60):
            found = engine.list_objects("user:a", "can", "doc", context=context, on_missing_context="report")
            assert set(found.to_list()) == definite
            assert set(found.undetermined.to_list()) == failing
            assert outcome(lambda: engine.check("user:a", "can", "doc:far", context=context)) == ("context_missing" if failing else bool(definite))

    in_threads(6, read)


def test_cve_2026_46668_and_cve_2026_33729_contexts_that_look_alike_are_told_apart() -> None:
    """Keys of a cache in which nested lists ran into each other, or whose parts were joined by what values may hold."""
    admitted = [{"type": "user", "condition": "nested"}, {"type": "user", "condition": "texts"}]
    text = {"type_name": "TYPE_NAME_STRING"}
    model = {
        "schema_version": "1.1",
        "type_definitions": [
            {"type": "user"},
            {"type": "doc", "relations": {"viewer": {"this": {}}}, "metadata": {"relations": {"viewer": {"directly_related_user_types": admitted}}}},
        ],
        "conditions": {
            "nested": {"name": "nested", "expression": "lists == [['a', 'b']]", "parameters": {"lists": {"type_name": "TYPE_NAME_ANY"}}},
            "texts": {"name": "texts", "expression": "a == 'x,b:y' && b == 'z'", "parameters": {"a": text, "b": text}},
        },
    }
    engine = fgacore.open(":memory:")
    engine.write_model(model)
    engine.write([Tuple("user:a", "viewer", "doc:1", "nested"), Tuple("user:b", "viewer", "doc:1", "texts")])
    contexts: list[tuple[dict[str, Any], bool]] = [
        ({"lists": [["a", "b"]]}, True),
        ({"lists": [["a"], ["b"]]}, False),
        ({"lists": [["a,b"]]}, False),
        ({"lists": []}, False),
        ({"lists": ["a", "b"]}, False),
        ({"lists": [[["a", "b"]]]}, False),
    ]
    for _ in range(3):
        for context, answer in contexts:
            found = engine.list_objects("user:a", "viewer", "doc", context=context)
            assert found.to_list() == (["doc:1"] if answer else []), context
        for a, b, answer in (("x,b:y", "z", True), ("x", "y,b:z", False), ("x,b:y,b:z", "", False)):
            assert bool(engine.list_objects("user:b", "viewer", "doc", context={"a": a, "b": b})) is answer


def test_ghsa_vhvq_there_is_no_cursor_to_malform_and_a_list_is_whole() -> None:
    engine = made([("user:a", "reader", f"doc:{i}") for i in range(5_000)])
    for more in ({"cursor": "x"}, {"limit": 10}, {"page_size": 10}, {"continuation_token": ""}):
        with pytest.raises(TypeError):
            engine.list_objects("user:a", "viewer", "doc", **more)
    assert len(engine.list_objects("user:a", "viewer", "doc").to_list()) == 5_000


def test_cve_2024_56323_conditions_of_contextual_tuples_are_decided() -> None:
    engine = made()
    brought = [
        Tuple("user:a", "reader", "doc:1", "low"),
        Tuple("user:a", "reader", "doc:2", "low", {"x": 1}),
        Tuple("user:*", "reader", "doc:3", "low"),
    ]
    assert agree(engine, "user:a", "viewer", "doc", {"x": 11}, brought)[0] == {"doc:2"}
    assert agree(engine, "user:a", "viewer", "doc", {"x": 1}, brought)[0] == {"doc:1", "doc:2", "doc:3"}
    assert agree(engine, "user:a", "viewer", "doc", None, brought) == ({"doc:2"}, {"doc:1", "doc:3"})


def test_cve_2025_46331_what_a_cycle_cut_short_is_not_remembered() -> None:
    ring: list[Fact] = [(f"group:{i}#member", "member", f"group:{(i + 1) % 5}") for i in range(5)]
    docs_of: list[Fact] = [(f"group:{i}#member", "reader", f"doc:{i}") for i in range(5)]
    for start in range(5):
        engine = made([*ring, *docs_of, ("user:a", "member", f"group:{start}")])
        for first in range(5):
            assert engine.check("user:a", "member", f"group:{first}")
            assert agree(engine, "user:a", "viewer", "doc")[0] == {f"doc:{i}" for i in range(5)}
        engine.write(deletes=[("user:a", "member", f"group:{start}")])
        assert agree(engine, "user:a", "viewer", "doc")[0] == set()


def test_cve_2025_48371_and_cve_2025_64751_only_what_the_restriction_admits_counts() -> None:
    """A userset or a wildcard, bare where the model wants it under a condition, or of another kind, is no grant."""
    head = "model\n  schema 1.1\ntype user\ntype group\n  relations\n    define member: [user]\ntype doc\n  relations\n"
    tail = "condition low(x: int) {\n  x < 10\n}\n"
    engine = made(
        [("user:*", "viewer", "doc:1"), ("group:1#member", "viewer", "doc:2"), ("user:a", "member", "group:1"), ("user:a", "viewer", "doc:3")],
        model=f"{head}    define viewer: [user, user:*, group#member]\n",
    )
    for restrictions, wanted in (
        ("user, user:* with low", {"doc:3"}),
        ("user with low, user:*, group#member", {"doc:1", "doc:2"}),
        ("user:*, group#member with low", {"doc:1"}),
        ("group#member, user with low", {"doc:2"}),
    ):
        engine.write_model(f"{head}    define viewer: [{restrictions}]\n{tail if 'low' in restrictions else ''}")
        assert agree(engine, "user:a", "viewer", "doc", {"x": 1})[0] == wanted, restrictions
    for contextual in ([("user:*", "viewer", "doc:9")], [("bot:x", "viewer", "doc:9")]):
        assert (
            refusal(lambda contextual=contextual: engine.list_objects("user:a", "viewer", "doc", contextual_tuples=contextual)).code
            == "invalid_contextual_tuple"
        )


def test_cve_2026_34972_the_same_candidate_many_times_under_other_contexts() -> None:
    engine = made([Tuple("user:a", "reader", "doc:1", "low"), ("user:a", "reader", "doc:2")])
    names = ["doc:1", "doc:2", "doc:1", "doc:1"] * 40
    for _ in range(3):
        assert engine.filter_objects("user:a", "viewer", names, context={"x": 1}) == names
        assert engine.filter_objects("user:a", "viewer", names, context={"x": 11}) == ["doc:2"] * 40
        assert refusal(lambda: engine.filter_objects("user:a", "viewer", names)).index == 0


def test_cve_2026_55170_ids_that_differ_in_case_are_different() -> None:
    engine = made(
        [
            ("user:Anne", "reader", "doc:A"),
            ("user:anne", "reader", "doc:a"),
            ("user:ANNE", "member", "group:1"),
            ("group:1#member", "reader", "doc:á"),
        ]
    )
    assert agree(engine, "user:Anne", "viewer", "doc")[0] == {"doc:A"}
    assert agree(engine, "user:anne", "viewer", "doc")[0] == {"doc:a"}
    assert agree(engine, "user:ANNE", "viewer", "doc")[0] == {"doc:á"}
    assert agree(engine, "user:aNNE", "viewer", "doc")[0] == set()
    found = engine.list_objects("user:anne", "viewer", "doc")
    assert "doc:A" not in found


def test_openfga_3145_contextual_tuples_never_take_away_what_they_do_not_touch() -> None:
    engine = made(
        [("user:a", "reader", "doc:1"), ("user:a", "member", "group:1"), ("group:1#member", "reader", "doc:2"), ("user:a", "viewer", "folder:1")]
    )
    engine.write([("folder:1", "parent", "doc:3")])
    stored = {"doc:1", "doc:2", "doc:3"}
    for brought, more in (
        ([("user:b", "reader", "doc:1")], set()),
        ([("user:a", "member", "group:9")], set()),
        ([("group:9#member", "reader", "doc:2")], set()),
        ([("folder:9", "parent", "doc:3")], set()),
        ([("user:a", "reader", "doc:9"), ("user:new", "member", "group:1")], {"doc:9"}),
    ):
        assert agree(engine, "user:a", "viewer", "doc", None, brought)[0] == stored | more


def test_openfga_3097_and_3117_unions_that_differ_in_one_operand_stay_apart() -> None:
    relations = [f"r{i}" for i in range(12)]
    defined = "".join(f"    define {name}: [user]\n" for name in relations)
    unions = "".join(f"    define all_but_{name}: {' or '.join(each for each in relations if each != name)}\n" for name in relations)
    engine = made(
        [("user:a", name, f"doc:{name}") for name in relations],
        model=f"model\n  schema 1.1\ntype user\ntype doc\n  relations\n{defined}{unions}",
    )
    for _ in range(2):
        for name in relations:
            assert agree(engine, "user:a", f"all_but_{name}", "doc")[0] == {f"doc:{each}" for each in relations if each != name}
