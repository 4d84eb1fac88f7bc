"""What a subject can reach, from the rules' text alone: it is the lists, all of them, at one revision; and a difference names what caused it.

`whole` holds a reach to `check` over every object of every type under every relation. A pair that is not in it must have no object at all.
"""

from __future__ import annotations

import json
import os
import random
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pytest

import fgacore
from attack.worlds import START, Clock, at, key_of, refusal
from fgacore import RequestError, StoreError, Tuple

SOAK = bool(os.environ.get("FGACORE_SOAK"))
SEED = os.environ.get("FGACORE_SEED") or str(random.SystemRandom().randrange(1 << 32))
WORLDS = 200 if SOAK else 10
Answer = bool | str
Fact = Tuple | tuple[str, str, str]
Pair = tuple[str, str]

MODEL = """
model
  schema 1.1
type user
type bot
type group
  relations
    define member: [user, user:*, bot, user with low, group#member, group#member with low]
type folder
  relations
    define parent: [folder, folder with odd]
    define viewer: [user, user:*, group#member] or viewer from parent
    define barred: [user, group#member] or barred from parent
    define open: viewer but not barred
type doc
  relations
    define parent: [folder, folder with low]
    define reader: [user, user:*, bot, user with low, user:* with odd, group#member, doc#viewer]
    define barred: [user, user:*, group#member, user with odd]
    define viewer: reader or viewer from parent
    define can: viewer but not barred
    define opened: open from parent
    define knot: [user, doc#knot] but not held
    define held: [user, doc#knot]
condition low(x: int) {
  x < 10
}
condition odd(y: int) {
  y % 2 == 1
}
"""
RELATIONS = {
    "group": ["member"],
    "folder": ["parent", "viewer", "barred", "open"],
    "doc": ["parent", "reader", "barred", "viewer", "can", "opened", "knot", "held"],
}
SUBJECTS = (
    "user:a",
    "user:b",
    "user:new",
    "user:*",
    "bot:x",
    "group:1#member",
    "group:2#member",
    "doc:1#viewer",
    "doc:2#knot",
    "folder:1",
    "folder:1#viewer",
)
ADMITTED: list[tuple[str, str, str]] = [
    *[("group", "member", each) for each in ("user", "user:*", "bot", "user with low", "group#member", "group#member", "group#member with low")],
    *[("folder", "parent", each) for each in ("folder", "folder with odd")],
    *[("folder", "viewer", each) for each in ("user", "user:*", "group#member")],
    *[("folder", "barred", each) for each in ("user", "group#member")],
    *[("doc", "parent", each) for each in ("folder", "folder", "folder with low")],
    *[("doc", "reader", each) for each in ("user", "user:*", "bot", "user with low", "user:* with odd", "group#member", "doc#viewer")],
    *[("doc", "barred", each) for each in ("user", "user:*", "group#member", "user with odd")],
    *[("doc", "knot", each) for each in ("user", "doc#knot", "doc#knot")],
    *[("doc", "held", each) for each in ("user", "doc#knot", "doc#knot")],
]
CONTEXTS: tuple[dict[str, Any] | None, ...] = (None, {"x": 1}, {"x": 11, "y": 1}, {"y": 2})


def made(facts: Iterable[Fact] = (), model: str = MODEL, clock: Clock | None = None) -> fgacore.Engine:
    engine = fgacore.open(":memory:", clock=clock)
    engine.write_model(model)
    facts = list(facts)
    if facts:
        engine.write(facts)
    return engine


def random_facts(rng: random.Random, count: int, instants: Sequence[int] = ()) -> list[Fact]:
    """Tuples that the model admits, between few names, each key once and no userset in its own relation."""
    found: dict[tuple[str, str, str], Fact] = {}
    for _ in range(count):
        kind, relation, of = rng.choice(ADMITTED)
        of, _, condition = of.partition(" with ")
        name = f"{kind}:{rng.randint(1, 4)}"
        subject_type, _, userset = of.partition("#")
        ids = "abc" if subject_type == "user" else "xy" if subject_type == "bot" else "1234"
        subject = of if of.endswith(":*") else f"{subject_type}:{rng.choice(ids)}" + (f"#{userset}" if userset else "")
        parameter = "x" if condition == "low" else "y"
        context = {parameter: rng.choice((1, 2, 11))} if condition and rng.random() < 0.5 else None
        expires = at(rng.choice(instants)) if instants and rng.random() < 0.3 else None
        key = (subject, relation, name)
        if subject != f"{name}#{relation}":
            found[key] = Tuple(*key, condition or None, context, expires) if condition or expires else key
    return list(found.values())


def objects_of(engine: fgacore.Engine, kind: str, subject: str, *more: Iterable[Fact]) -> list[str]:
    """All objects of a type that store, call or subject mention in any role, and one that nothing mentions."""
    found = {f"{kind}:unheard-of"}
    texts = [text for fact in [*engine.read(), *(fact for facts in more for fact in facts)] for text in (key_of(fact)[0], key_of(fact)[2])]
    own = [subject] if "#" in subject else []
    found.update(text.partition("#")[0] for text in [*texts, *own] if text.startswith(f"{kind}:") and not text.endswith(":*"))
    return sorted(found)


def sets(engine: fgacore.Engine, subject: str, contextual: Sequence[Fact] = (), **given: Any) -> tuple[dict[Pair, set[str]], dict[Pair, set[str]]]:
    """By pair: the objects where check is True, and those where it raises; only pairs that have any."""
    definite: dict[Pair, set[str]] = {}
    failing: dict[Pair, set[str]] = {}
    for kind, relations in RELATIONS.items():
        objects = objects_of(engine, kind, subject, contextual)
        for relation in relations:
            batch = engine.batch_check([(subject, relation, name) for name in objects], contextual_tuples=contextual, **given)
            for number, name in enumerate(objects):
                if batch[number]:
                    definite.setdefault((kind, relation), set()).add(name)
                elif number in batch.errors:
                    failing.setdefault((kind, relation), set()).add(name)
    return definite, failing


def by_pair(found: Mapping[Pair, fgacore.ObjectSet]) -> dict[Pair, set[str]]:
    return {pair: set(names.to_list()) for pair, names in found.items() if len(names)}


def whole(engine: fgacore.Engine, subject: str, context: Mapping[str, Any] | None = None, contextual: Sequence[Fact] = ()) -> fgacore.Reach:
    """A reach, held to check over everything; and checks again after it."""
    told = (f"FGACORE_SEED={SEED}", subject, context, contextual)
    given: dict[str, Any] = {"context": context}
    found = engine.reach(subject, contextual_tuples=contextual, **given)
    definite, failing = sets(engine, subject, contextual, **given)
    assert by_pair(found.definite) == definite, told
    assert by_pair(found.conditional) == failing, told
    assert found.complete is (not failing), told
    assert set(found.definite) | set(found.conditional) <= {(kind, relation) for kind, relations in RELATIONS.items() for relation in relations}, told
    for pair in {*found.definite, *found.conditional, *found.counts}:
        assert tuple(found.counts.get(pair, (0, 0))) == (len(definite.get(pair, ())), len(failing.get(pair, ()))), (told, pair)
        for part in (found.definite, found.conditional):
            if pair in part:
                assert (part[pair].type, part[pair].relation, part[pair].revision) == (*pair, found.revision), told
                assert part[pair].instant == found.instant, told
    for pair, names in found.conditions.items():
        assert set(names) <= {"low", "odd"}, told
        assert list(names) == sorted(names), told
        assert pair in failing or not names, told
    for pair in failing:
        assert found.conditions[pair], (told, pair)
    assert (found.subject, found.revision) == (subject, engine.revision), told
    assert found.instant.tzinfo is not None
    assert sets(engine, subject, contextual, **given) == (definite, failing), f"{told}: checks after the reach"
    return found


# ---- exactness ----


@pytest.mark.parametrize("world", range(WORLDS))
def test_a_reach_is_check_over_everything(world: int) -> None:
    rng = random.Random(f"{SEED}-{world}")
    engine = made(random_facts(rng, rng.choice((5, 20, 60))))
    total = 0
    for subject in SUBJECTS:
        for context in rng.sample(CONTEXTS, 2):
            found = whole(engine, subject, context)
            total += sum(definite + conditional for definite, conditional in found.counts.values())
    assert total > 0
    engine.merge()
    for subject in SUBJECTS[:4]:
        whole(engine, subject)


@pytest.mark.parametrize("world", range(WORLDS))
def test_a_reach_with_contextual_tuples(world: int) -> None:
    rng = random.Random(f"{SEED}-contextual-{world}")
    engine = made(random_facts(rng, 20))
    contextual = [
        *random_facts(rng, 6),
        ("user:a", "member", "group:new"),
        ("group:new#member", "reader", "doc:new"),
        ("user:new", "viewer", "folder:new"),
    ]
    before = engine.stats()
    for subject in (*SUBJECTS[:6], "group:new#member"):
        whole(engine, subject, {"x": 1}, contextual)
        whole(engine, subject, {"x": 1})
    after = engine.stats()
    assert (after.revision, after.tuples, after.names) == (before.revision, before.tuples, before.names)


def test_only_pairs_that_the_kind_can_have_at_all() -> None:
    engine = made([("user:a", "reader", "doc:1"), ("bot:x", "reader", "doc:1")])
    bot = whole(engine, "bot:x")
    assert set(bot.definite) <= {
        ("group", "member"),
        ("doc", "reader"),
        ("doc", "viewer"),
        ("doc", "can"),
        *folder_pairs(),
        ("doc", "barred"),
        ("doc", "opened"),
    }
    assert ("folder", "parent") not in bot.definite
    assert ("doc", "held") not in bot.definite
    assert ("doc", "parent") not in engine.reach("user:a").definite
    assert ("doc", "parent") in engine.reach("folder:1").definite
    assert engine.reach("user:unheard-of").counts.get(("doc", "can")) == (0, 0)


def folder_pairs() -> set[Pair]:
    """A bot is a member of groups, and so reaches what groups are given."""
    return {("folder", relation) for relation in ("viewer", "barred", "open")}


def test_definite_and_conditional_are_never_mixed_and_name_what_decides() -> None:
    engine = made(
        [
            Tuple("user:a", "reader", "doc:1", "low"),
            ("user:a", "reader", "doc:2"),
            Tuple("user:*", "reader", "doc:3", "odd"),
            Tuple("user:a", "barred", "doc:2", "odd"),
            ("user:*", "reader", "doc:1"),
        ]
    )
    found = whole(engine, "user:a")
    assert by_pair(found.definite)["doc", "viewer"] == {"doc:1", "doc:2"}
    assert by_pair(found.conditional)["doc", "viewer"] == {"doc:3"}
    assert by_pair(found.conditional)["doc", "can"] == {"doc:2", "doc:3"}
    assert "odd" in found.conditions["doc", "can"]
    assert found.counts["doc", "can"] == (1, 2)
    assert not found.complete
    both = whole(engine, "user:a", {"x": 1, "y": 1})
    assert both.complete
    assert by_pair(both.definite)["doc", "can"] == {"doc:1", "doc:3"}
    # Together the two are an upper bound of every context's reach.
    upper = {pair: found.definite[pair] | found.conditional[pair] for pair in found.definite if pair in found.conditional}
    for pair, names in by_pair(both.definite).items():
        assert names <= set((upper[pair] if pair in upper else found.definite[pair]).to_list())


def test_a_reach_is_the_lists() -> None:
    rng = random.Random(SEED)
    engine = made(random_facts(rng, 50))
    for subject in SUBJECTS:
        found = engine.reach(subject)
        for (kind, relation), names in found.definite.items():
            listed = engine.list_objects(subject, relation, kind, on_missing_context="report")
            assert names == listed
            assert sorted(found.conditional[kind, relation].to_list() if (kind, relation) in found.conditional else ()) == sorted(
                listed.undetermined.to_list()
            )


# ---- what it leaves behind, and beside writes ----


def test_a_reach_is_stamped_and_does_not_change() -> None:
    clock = Clock()
    engine = made([("user:a", "reader", "doc:1"), Tuple("user:a", "reader", "doc:2", expires_at=at(START + 5))], clock=clock)
    model = engine.stats().model_id
    found = engine.reach("user:a")
    assert (found.revision, found.instant, found.model_id) == (engine.revision, at(START), model)
    clock.seconds += 10
    engine.write([("user:a", "reader", "doc:3")])
    engine.write_model(MODEL)
    assert sorted(found.definite["doc", "viewer"].to_list()) == ["doc:1", "doc:2"]
    assert found.counts["doc", "viewer"] == (2, 0)
    later = engine.reach("user:a")
    assert sorted(later.definite["doc", "viewer"].to_list()) == ["doc:1", "doc:3"]
    assert (later.revision, later.instant) == (engine.revision, at(START + 10))
    assert later.model_id != model
    assert engine.reach("user:a", model_id=model).model_id == model
    assert refusal(lambda: engine.reach("user:a", at_least=engine.revision + 1)).code == "stale"


@pytest.mark.parametrize("world", range(WORLDS))
def test_an_engine_that_is_asked_for_reaches_answers_like_one_that_never_is(world: int) -> None:
    rng = random.Random(f"{SEED}-lockstep-{world}")
    clock = Clock()
    facts = random_facts(rng, 40, [START + 3, START + 9])
    engine, control = made(facts, clock=clock), made(facts, clock=clock)
    asked = rng.sample(SUBJECTS, 4)
    for step in range(30):
        for subject in rng.sample(asked, 2):
            engine.reach(subject, context=rng.choice(CONTEXTS), contextual_tuples=random_facts(rng, rng.choice((0, 2))))
        if rng.random() < 0.3:
            clock.seconds += 1
        new = random_facts(rng, rng.choice((1, 4)), [clock.seconds + 2])
        gone = [key_of(fact) for fact in control.read() if rng.random() < 0.1]
        for each in (engine, control):
            each.write(new, deletes=[key for key in gone if key not in set(map(key_of, new))], on_duplicate="replace")
        context = rng.choice(CONTEXTS)
        for subject in asked:
            assert sets(engine, subject, context=context) == sets(control, subject, context=context), (SEED, world, step, subject, context)


@pytest.mark.usefixtures("_restless")
def test_a_reach_beside_writes_is_of_one_revision_in_all_its_pairs() -> None:
    """The writer moves the user from one folder, group and set of documents to the others at once; every pair of a reach is of the same state."""
    states = [
        [("user:a", "viewer", f"folder:{i}"), ("user:a", "member", f"group:{i}"), *[("user:a", "reader", f"doc:{i}-{n}") for n in range(50)]]
        for i in (0, 1)
    ]
    engine = made([("folder:0", "parent", "doc:below-0"), ("folder:1", "parent", "doc:below-1"), *states[0]])
    told: dict[int, int] = {engine.revision: 0}
    done = threading.Event()
    failures: list[BaseException] = []
    reaches = 0

    def write() -> None:
        try:
            for step in range(20_000):
                if step >= (300 if SOAK else 60) and (reaches >= 20 or failures):
                    break
                here, there = step % 2, (step + 1) % 2
                told[engine.revision + 1] = there
                engine.write(states[there], deletes=states[here])
        finally:
            done.set()

    def read() -> None:
        nonlocal reaches
        while not done.is_set():
            found = engine.reach("user:a")
            state = told[found.revision]
            assert found.definite["folder", "open"].to_list() == [f"folder:{state}"]
            assert found.definite["group", "member"].to_list() == [f"group:{state}"]
            assert set(found.definite["doc", "can"].to_list()) == {f"doc:below-{state}", *(f"doc:{state}-{n}" for n in range(50))}
            assert found.definite["doc", "opened"].to_list() == [f"doc:below-{state}"]
            assert {names.revision for names in found.definite.values()} == {found.revision}
            assert {names.instant for names in found.definite.values()} == {found.instant}
            reaches += 1

    def run(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in (write, read, read)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=300)
        assert not thread.is_alive(), "a thread waits for ever"
    if failures:
        raise failures[0]
    assert reaches > 0


# ---- differences ----


def changes(found: Iterable[Any]) -> set[tuple[str, str, str, str]]:
    listed = [(each.type, each.relation, each.object, each.cause) for each in found]
    assert len(listed) == len(set(listed)), "named twice"
    return set(listed)


def test_a_difference_by_a_tuple() -> None:
    engine = made([("user:a", "reader", "doc:1"), ("user:a", "viewer", "folder:1")])
    before = engine.reach("user:a")
    assert (list(before.diff(before).gained), list(before.diff(before).lost)) == ([], [])
    engine.write([("user:a", "reader", "doc:2"), ("user:b", "reader", "doc:9")], deletes=[("user:a", "reader", "doc:1")])
    after = engine.reach("user:a")
    found = before.diff(after)
    assert changes(found.gained) == {("doc", relation, "doc:2", "tuple") for relation in ("reader", "viewer", "can")}
    assert changes(found.lost) == {("doc", relation, "doc:1", "tuple") for relation in ("reader", "viewer", "can")}
    back = after.diff(before)
    assert changes(back.gained) == changes(found.lost)
    assert changes(back.lost) == changes(found.gained)


def test_a_difference_by_expiry() -> None:
    clock = Clock()
    engine = made(
        [
            Tuple("user:a", "reader", "doc:1", expires_at=at(START + 5)),
            ("user:a", "reader", "doc:2"),
            Tuple("user:a", "barred", "doc:2", expires_at=at(START + 5)),
        ],
        clock=clock,
    )
    before = engine.reach("user:a")
    clock.seconds += 5
    after = engine.reach("user:a")
    assert before.revision == after.revision
    found = before.diff(after)
    assert changes(found.gained) == {("doc", "can", "doc:2", "expiry")}
    assert changes(found.lost) == {
        *(("doc", relation, "doc:1", "expiry") for relation in ("reader", "viewer", "can")),
        ("doc", "barred", "doc:2", "expiry"),
    }


def test_a_difference_by_a_model() -> None:
    engine = made([("user:a", "reader", "doc:1"), ("user:a", "barred", "doc:1"), ("user:*", "reader", "doc:2")])
    before = engine.reach("user:a")
    engine.write_model(MODEL.replace("define can: viewer but not barred", "define can: viewer"))
    after = engine.reach("user:a")
    found = before.diff(after)
    assert changes(found.gained) == {("doc", "can", "doc:1", "model")}
    assert changes(found.lost) == set()


@pytest.mark.parametrize("world", range(WORLDS))
def test_a_difference_is_that_of_the_sets(world: int) -> None:
    rng = random.Random(f"{SEED}-diff-{world}")
    clock = Clock()
    engine = made(random_facts(rng, 40, [START + 5, START + 10]), clock=clock)
    reaches = [engine.reach("user:a", context={"x": 1, "y": 1})]
    for _ in range(6):
        change = rng.random()
        if change < 0.3:
            clock.seconds += 5
        elif change < 0.4:
            engine.write_model(MODEL)
        else:
            new = random_facts(rng, 5, [clock.seconds + 5])
            gone = {key_of(fact) for fact in engine.read() if rng.random() < 0.1}
            engine.write(new, deletes=gone.difference(map(key_of, new)), on_duplicate="replace")
        reaches.append(engine.reach("user:a", context={"x": 1, "y": 1}))
    for number, before in enumerate(reaches):
        for after in reaches[number:]:
            found = before.diff(after)
            old, new = ({(*pair, name) for pair, names in by_pair(reach.definite).items() for name in names} for reach in (before, after))
            assert {each[:3] for each in changes(found.gained)} == new - old
            assert {each[:3] for each in changes(found.lost)} == old - new
            assert {each[3] for each in changes([*found.gained, *found.lost])} <= {"tuple", "model", "expiry"}


def test_reaches_of_two_engines_or_subjects_are_not_compared() -> None:
    engine, other = made([("user:a", "reader", "doc:1")]), made([("user:a", "reader", "doc:1")])
    found = engine.reach("user:a")
    assert isinstance(refusal(lambda: found.diff(other.reach("user:a"))), RequestError)
    assert isinstance(refusal(lambda: found.diff(engine.reach("user:b"))), RequestError)
    for bad in (None, 1, "user:a", {}):
        with pytest.raises((TypeError, RequestError)):
            found.diff(bad)  # type: ignore[arg-type]


# ---- how it is handed on ----


def test_to_dict_is_json_and_says_all_of_it() -> None:
    engine = made([Tuple("user:a", "reader", "doc:1", "low"), ("user:a", "reader", "doc:é"), ("user:a", "viewer", "folder:1")])
    found = engine.reach("user:a")
    text = json.dumps(found.to_dict(), sort_keys=True)
    for word in ("doc:1", "folder:1", "user:a", "low", str(found.revision), found.model_id):
        assert word in text
    assert "doc:é" in json.dumps(found.to_dict(), ensure_ascii=False)
    assert json.dumps(engine.reach("user:a").to_dict(), sort_keys=True).count("doc:1") == text.count("doc:1")


def test_to_arrow_has_a_row_for_each_object_or_says_what_is_not_installed() -> None:
    engine = made([Tuple("user:a", "reader", "doc:1", "low"), ("user:a", "reader", "doc:2"), ("user:a", "viewer", "folder:1")])
    found = engine.reach("user:a")
    rows = sum(definite + conditional for definite, conditional in found.counts.values())
    assert rows == 8
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        assert refusal(found.to_arrow).code == "extra_missing"
    else:
        assert found.to_arrow().num_rows == rows


def test_bad_input() -> None:
    engine = made([("user:a", "reader", "doc:1")])
    for bad in ("", "user", "user:", ":a", "user:a b", "user:\ud800", "group:1#", "group:*#member", None, 7, b"user:a"):
        assert isinstance(refusal(lambda bad=bad: engine.reach(bad)), RequestError)
    assert refusal(lambda: engine.reach("planet:a")).code == "type_not_found"
    assert refusal(lambda: engine.reach("group:1#orbits")).code == "relation_not_found"
    assert refusal(lambda: fgacore.open(":memory:").reach("user:a")).code == "no_model"
    more: dict[str, Any]
    for more in ({"context": 7}, {"contextual_tuples": [("user:a", "viewer", "doc:1")]}, {"model_id": "none"}, {"at_least": 10_000}):
        assert isinstance(refusal(lambda more=more: engine.reach("user:a", **more)), (RequestError, StoreError))
    engine.close()
    assert refusal(lambda: engine.reach("user:a")).code == "closed"
