"""Lists of subjects from the rules' text alone: whatever `check` says of every subject, one by one, `list_subjects` says of all of them at once.

A wildcard stands for everybody whom nothing mentions: who is listed beside it, and who is excluded from it, is held to `check` too. What other
engines got wrong has a test each, by the number of the advisory.
"""

from __future__ import annotations

import os
import random
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pytest

import fgacore
from attack.worlds import attempt, key_of, refusal
from fgacore import FgaError, RequestError, StoreError, Tuple

SOAK = bool(os.environ.get("FGACORE_SOAK"))
SEED = os.environ.get("FGACORE_SEED") or str(random.SystemRandom().randrange(1 << 32))
WORLDS = 200 if SOAK else 12
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
    define viewer: [user, user:*, group#member, group#active, folder#viewer] or viewer from parent
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
PLAIN = re.sub(r"condition low.*", "", re.sub(r", [a-z:*#]+ with low", "", MODEL), flags=re.DOTALL)
RELATIONS = {
    "group": ["member", "guest", "active"],
    "folder": ["parent", "viewer", "barred", "open"],
    "doc": ["parent", "reader", "barred", "viewer", "can", "both", "opened", "safe", "knot", "held"],
}
KINDS = ("user", "bot", "group#member", "group#active", "folder#viewer", "folder#open", "doc#viewer", "doc#knot", "folder", "doc")
ADMITTED: list[tuple[str, str, str]] = [
    *[("group", "member", each) for each in ("user", "user", "user:*", "bot", "user with low", "group#member with low")],
    *[("group", "member", "group#member")] * 3,
    *[("group", "guest", each) for each in ("user", "group#member")],
    *[("folder", "parent", each) for each in ("folder", "folder", "folder with low")],
    *[("folder", "viewer", each) for each in ("user", "user:*", "group#member", "group#active", "folder#viewer")],
    *[("folder", "barred", each) for each in ("user", "group#member")],
    *[("doc", "parent", each) for each in ("folder", "folder", "doc", "folder with low")],
    *[("doc", "reader", each) for each in ("user", "user:*", "bot", "user with low", "user:* with low")],
    *[("doc", "reader", each) for each in ("group#member", "group#active", "doc#viewer")],
    *[("doc", "barred", each) for each in ("user", "user:*", "group#member", "user with low")],
    *[("doc", "knot", each) for each in ("user", "user:*", "doc#knot", "doc#knot")],
    *[("doc", "held", each) for each in ("user", "doc#knot", "doc#knot")],
]
CONTEXTS: tuple[dict[str, Any] | None, ...] = (None, {"x": 1}, {"x": 11})


def made(facts: Iterable[Fact] = (), model: str = MODEL) -> fgacore.Engine:
    engine = fgacore.open(":memory:")
    engine.write_model(model)
    facts = list(facts)
    if facts:
        engine.write(facts)
    return engine


def outcome(call: Callable[[], bool]) -> Answer:
    try:
        return call()
    except FgaError as error:
        return error.code


def random_facts(rng: random.Random, count: int) -> list[Fact]:
    """Tuples that the model admits, between few names, each key once and no userset in its own relation."""
    found: dict[tuple[str, str, str], Fact] = {}
    for _ in range(count):
        kind, relation, of = rng.choice(ADMITTED)
        of, _, condition = of.partition(" with ")
        name = f"{kind}:{rng.randint(1, 4)}"
        subject_type, _, userset = of.partition("#")
        ids = "abc" if subject_type == "user" else "xy" if subject_type == "bot" else "1234"
        subject = of if of.endswith(":*") else f"{subject_type}:{rng.choice(ids)}" + (f"#{userset}" if userset else "")
        context = {"x": rng.choice((1, 11))} if condition and rng.random() < 0.5 else None
        key = (subject, relation, name)
        if subject != f"{name}#{relation}":
            found[key] = Tuple(*key, condition, context) if condition else key
    return list(found.values())


def subjects_of(engine: fgacore.Engine, kind: str, *more: Iterable[Fact]) -> list[str]:
    """All subjects of a kind that could be made of the names in store and call, and for plain ones somebody whom nothing mentions."""
    type_name, _, relation = kind.partition("#")
    names = set() if relation else {f"{type_name}:nobody"}
    for fact in [*engine.read(), *(fact for facts in more for fact in facts)]:
        subject, _, name = key_of(fact)
        names.update(text for text in (subject.partition("#")[0], name) if text.startswith(f"{type_name}:") and not text.endswith(":*"))
    return [f"{name}#{relation}" if relation else name for name in sorted(names)]


def agree(
    engine: fgacore.Engine,
    name: str,
    relation: str,
    kind: str,
    context: Mapping[str, Any] | None = None,
    contextual: Sequence[Fact] = (),
    **more: Any,
) -> tuple[set[str], set[str]]:
    """The subjects where `check` is True, and those where it raises, of all that are known; list_subjects must say the same of each."""
    told = (f"FGACORE_SEED={SEED}", name, relation, kind, context, contextual)
    given: dict[str, Any] = {"context": context, "contextual_tuples": contextual, **more}
    found = engine.list_subjects(name, relation, kind, on_missing_context="report", **given)
    asked = subjects_of(engine, kind, contextual)
    own = f"{name}#{kind.partition('#')[2]}"
    if "#" in kind and name.startswith(f"{kind.partition('#')[0]}:") and own not in asked:
        asked.append(own)
    answers = {subject: outcome(lambda subject=subject: engine.check(subject, relation, name, **given)) for subject in asked}
    holds = {subject for subject, answer in answers.items() if answer is True}
    failing = {subject for subject, answer in answers.items() if isinstance(answer, str)}
    everybody: Answer = False
    if "#" not in kind:
        everybody = outcome(lambda: engine.check(f"{kind}:*", relation, name, **given))

    listed = found.to_list()
    assert len(listed) == len(set(listed)), f"{told}: listed twice"
    assert listed.count(f"{kind}:*") == int(found.wildcard), told
    assert set(found.subjects) == {text for text in listed if not text.endswith(":*")}, told
    assert found.wildcard is (everybody is True), told
    assert not set(found.subjects) - holds, f"{told}: listed, and check does not say yes: {set(found.subjects) - holds}"
    assert len(found) == len(listed), told
    assert list(found) == listed, told
    assert all(text in found for text in listed), told
    unlisted = holds - set(found.subjects)
    if found.wildcard:  # who is not listed holds by the wildcard alone, and who does not hold is excluded from it
        assert not set(found.excluded) & holds, told
        assert set(found.excluded) <= set(asked), told
        reached = {subject for subject, answer in answers.items() if answer is False}
        assert set(found.excluded) == reached, f"{told}: excluded {found.excluded}, should be {reached}"
    else:
        assert not unlisted, f"{told}: not listed: {unlisted}"
        assert list(found.excluded) == [], told
    undetermined = {text for text in found.undetermined if not text.endswith(":*")}
    assert undetermined <= failing, told
    if isinstance(everybody, str):  # who is not mentioned raises as everybody does, and is not listed
        assert f"{kind}:*" in found.undetermined, told
        assert f"{kind}:nobody" not in undetermined, told
    else:
        assert undetermined == failing, (told, undetermined, failing)

    plain, error = attempt(lambda: engine.list_subjects(name, relation, kind, **given))
    if error is not None:
        assert error.code in ("context_missing", "invalid_context", "condition_failed"), told
    else:
        assert not failing, f"{told}: not raised for {failing}"
        assert sorted(plain.to_list()) == sorted(listed), told
        assert (plain.wildcard, sorted(plain.excluded), list(plain.undetermined)) == (found.wildcard, sorted(found.excluded), []), told
    again = {subject: outcome(lambda subject=subject: engine.check(subject, relation, name, **given)) for subject in asked}
    assert again == answers, f"{told}: checks after the list"
    return holds, failing


# ---- exactness ----


@pytest.mark.parametrize("world", range(WORLDS))
def test_lists_of_subjects_are_check_over_every_subject(world: int) -> None:
    rng = random.Random(f"{SEED}-{world}")
    engine = made(random_facts(rng, rng.choice((4, 12, 40))))
    count = 0
    for context in rng.sample(CONTEXTS, 2):
        for object_type, relations in RELATIONS.items():
            for relation in relations:
                for number in range(1, 4):
                    for kind in KINDS:
                        holds, failing = agree(engine, f"{object_type}:{number}", relation, kind, context)
                        count += len(holds) + len(failing)
    assert count > 0


@pytest.mark.parametrize("world", range(WORLDS))
def test_lists_of_subjects_with_contextual_tuples(world: int) -> None:
    rng = random.Random(f"{SEED}-contextual-{world}")
    engine = made(random_facts(rng, 15))
    contextual = random_facts(rng, 8)
    contextual += [("user:new", "member", "group:new"), ("group:new#member", "reader", "doc:new"), ("folder:new", "parent", "doc:1")]
    before = engine.stats()
    for context in CONTEXTS[:2]:
        for object_type, relations in RELATIONS.items():
            for relation in relations:
                for name in (f"{object_type}:1", f"{object_type}:new"):
                    for kind in KINDS:
                        agree(engine, name, relation, kind, context, contextual)
    after = engine.stats()
    assert (after.revision, after.tuples, after.names) == (before.revision, before.tuples, before.names)
    assert engine.list_subjects("doc:new", "viewer", "user").to_list() == []


def test_names_that_nothing_mentions() -> None:
    engine = made([("user:a", "reader", "doc:1")])
    assert engine.list_subjects("doc:unheard-of", "viewer", "user").to_list() == []
    assert engine.list_subjects("doc:unheard-of", "viewer", "doc#viewer").to_list() == ["doc:unheard-of#viewer"]
    assert engine.list_subjects("doc:unheard-of", "viewer", "doc").to_list() == []
    assert engine.list_subjects("doc:1", "viewer", "group#member").to_list() == []


def test_a_set_of_subjects_is_stamped_and_does_not_change() -> None:
    engine = made([("user:a", "reader", "doc:1"), ("user:*", "reader", "doc:1"), ("user:b", "barred", "doc:1")])
    found = engine.list_subjects("doc:1", "can", "user")
    revision = engine.revision
    engine.write([("user:c", "reader", "doc:1")], deletes=[("user:*", "reader", "doc:1")])
    assert found.revision == revision
    assert found.instant.tzinfo is not None
    assert found.wildcard
    assert sorted(found.to_list()) == ["user:*", "user:a"]
    assert list(found.excluded) == ["user:b"]
    assert sorted(engine.list_subjects("doc:1", "can", "user").to_list()) == ["user:a", "user:c"]
    with pytest.raises((AttributeError, TypeError)):
        found.wildcard = False  # type: ignore[misc]
    found.to_list().append("user:mallory")
    assert "user:mallory" not in found
    assert refusal(lambda: engine.list_subjects("doc:1", "can", "user", at_least=engine.revision + 1)).code == "stale"


def test_a_list_under_an_old_model() -> None:
    engine = made([("user:*", "reader", "doc:1"), ("user:a", "reader", "doc:1"), ("user:b", "barred", "doc:1")])
    first = engine.stats().model_id
    engine.write_model(MODEL.replace("define reader: [user, user:*, bot,", "define reader: [user, bot,").replace("viewer but not barred", "viewer"))
    assert engine.list_subjects("doc:1", "can", "user").to_list() == ["user:a"]
    old = engine.list_subjects("doc:1", "can", "user", model_id=first)
    assert (sorted(old.to_list()), list(old.excluded)) == (["user:*", "user:a"], ["user:b"])
    agree(engine, "doc:1", "can", "user", model_id=first)


# ---- wildcards: who is listed beside one, and who is excluded from it ----

NEGATIONS = """
model
  schema 1.1
type user
type doc
  relations
    define viewer: [user, user:*] but not blocked
    define blocked: [user, user:*] but not unblocked
    define unblocked: [user, user:*]
"""
CHAINED: tuple[tuple[str, str, str, list[str]], ...] = (  # viewers, blocked, unblocked; the list
    ("*", "*", "jon", ["user:jon"]),
    ("*", "jon maria", "jon poovam", ["user:*", "user:jon"]),
    ("*", "* jon maria", "* maria", ["user:*", "user:jon", "user:maria"]),
    ("*", "maria", "*", ["user:*", "user:maria"]),
    ("*", "", "", ["user:*"]),
    ("*", "jon", "", ["user:*"]),
    ("jon", "*", "", []),
    ("jon maria", "jon", "", ["user:maria"]),
    ("* jon", "", "", ["user:*", "user:jon"]),
)


@pytest.mark.parametrize(("viewers", "blocked", "unblocked", "wanted"), CHAINED)
def test_chained_negation_under_wildcards(viewers: str, blocked: str, unblocked: str, wanted: list[str]) -> None:
    given = {"viewer": viewers, "blocked": blocked, "unblocked": unblocked}
    engine = made([(f"user:{name}", relation, "doc:1") for relation, names in given.items() for name in names.split()], model=NEGATIONS)
    assert sorted(engine.list_subjects("doc:1", "viewer", "user").to_list()) == wanted
    agree(engine, "doc:1", "viewer", "user")


def test_openfga_1692_who_is_excluded_from_a_wildcard_is_said() -> None:
    engine = made(
        [("user:*", "reader", "doc:1"), ("user:bob", "barred", "doc:1"), ("group:1#member", "barred", "doc:1"), ("user:eve", "member", "group:1")]
    )
    found = engine.list_subjects("doc:1", "can", "user")
    assert found.to_list() == ["user:*"]
    assert found.wildcard
    assert sorted(found.excluded) == ["user:bob", "user:eve"]
    assert "user:bob" not in found
    assert not engine.check("user:eve", "can", "doc:1")
    assert engine.check("user:anybody", "can", "doc:1")


def test_cve_2026_61709_who_is_excluded_under_a_wildcard_stays_out_of_an_intersection() -> None:
    model = """
model
  schema 1.1
type user
type doc
  relations
    define org_member: [user, user:*]
    define banned: [user]
    define active: [user, user:*]
    define viewer: (org_member but not banned) and active
"""
    facts: list[Fact] = [("user:*", "org_member", "doc:1"), ("user:eve", "banned", "doc:1")]
    engine = made([*facts, ("user:alice", "active", "doc:1"), ("user:eve", "active", "doc:1")], model=model)
    assert engine.list_subjects("doc:1", "viewer", "user").to_list() == ["user:alice"]
    agree(engine, "doc:1", "viewer", "user")
    engine = made([*facts, ("user:*", "active", "doc:1")], model=model)
    found = engine.list_subjects("doc:1", "viewer", "user")
    assert (found.to_list(), list(found.excluded)) == (["user:*"], ["user:eve"])
    agree(engine, "doc:1", "viewer", "user")


def test_a_wildcard_says_nothing_of_usersets_and_other_types() -> None:
    engine = made([("user:*", "reader", "doc:1"), ("bot:x", "reader", "doc:1"), ("group:1#member", "barred", "doc:1")])
    assert engine.list_subjects("doc:1", "viewer", "user").to_list() == ["user:*"]
    bots = engine.list_subjects("doc:1", "viewer", "bot")
    assert (bots.to_list(), bots.wildcard) == (["bot:x"], False)
    groups = engine.list_subjects("doc:1", "viewer", "group#member")
    assert (groups.to_list(), groups.wildcard, list(groups.excluded)) == ([], False, [])


def test_a_wildcard_under_a_condition() -> None:
    engine = made([Tuple("user:*", "reader", "doc:1", "low"), ("user:a", "reader", "doc:1"), ("user:b", "barred", "doc:1")])
    held = engine.list_subjects("doc:1", "can", "user", context={"x": 1})
    assert (sorted(held.to_list()), list(held.excluded)) == (["user:*", "user:a"], ["user:b"])
    assert engine.list_subjects("doc:1", "can", "user", context={"x": 11}).to_list() == ["user:a"]
    assert refusal(lambda: engine.list_subjects("doc:1", "can", "user")).code == "context_missing"
    reported = engine.list_subjects("doc:1", "can", "user", on_missing_context="report")
    assert reported.to_list() == ["user:a"]
    assert not reported.wildcard
    assert "user:*" in reported.undetermined


# ---- large, beside writes, bad input ----


@pytest.mark.parametrize(("count", "model"), [(70_000, PLAIN), (3_000, MODEL)], ids=["without conditions", "where members may have conditions"])
def test_cve_2024_27101_more_than_65535_subjects_groups_and_parents(count: int, model: str) -> None:
    """Where memberships may hang on conditions, one question of a many-grouped document costs each of its groups: fewer of them there."""
    engine = made(model=model)
    engine.write([(f"user:{i}", "reader", "doc:1") for i in range(count)])
    engine.write([(f"group:{i}#member", "reader", "doc:2") for i in range(count)])
    engine.write([(f"user:{i}", "member", f"group:{i}") for i in range(count)])
    engine.write([(f"folder:{i}", "parent", "doc:3") for i in range(count)])
    engine.write([("user:last", "viewer", f"folder:{count - 1}"), ("user:first", "viewer", "folder:0")])
    everybody = {f"user:{i}" for i in range(count)}
    for name in ("doc:1", "doc:2"):
        found = engine.list_subjects(name, "can", "user")
        assert len(found) == count
        assert set(found.subjects) == everybody
    assert len(engine.list_subjects("doc:2", "viewer", "group#member")) == count
    assert sorted(engine.list_subjects("doc:3", "viewer", "user").to_list()) == ["user:first", "user:last"]


def test_a_chain_of_groups_and_folders_of_any_depth() -> None:
    depth = 5_000
    engine = made()
    engine.write([(f"group:{i}#member", "member", f"group:{i + 1}") for i in range(depth)])
    engine.write([(f"folder:{i}", "parent", f"folder:{i + 1}") for i in range(depth)])
    engine.write([("user:a", "member", "group:0"), ("user:b", "viewer", "folder:0"), (f"folder:{depth}", "parent", "doc:1")])
    engine.write([(f"group:{depth}#member", "reader", "doc:1"), ("user:b", "barred", f"folder:{depth // 2}")])
    assert sorted(engine.list_subjects("doc:1", "viewer", "user").to_list()) == ["user:a", "user:b"]
    assert len(engine.list_subjects("doc:1", "viewer", "group#member")) == depth + 1
    assert engine.list_subjects("doc:1", "opened", "user").to_list() == []
    assert engine.list_subjects(f"folder:{depth // 2 - 1}", "open", "user").to_list() == ["user:b"]


@pytest.mark.usefixtures("_restless")
def test_a_list_of_subjects_beside_writes_is_of_one_revision() -> None:
    """A writer moves fifty users at once from one half to the other: no list sees a mixture, and each is what its revision says."""
    halves = [[f"user:{i}" for i in range(50)], [f"user:{i}" for i in range(50, 100)]]
    engine = made([("group:1#member", "reader", "doc:1")])
    tuples = [[(name, relation, where) for name in half for relation, where in (("reader", "doc:1"), ("member", "group:1"))] for half in halves]
    engine.write(tuples[0])
    told: dict[int, int] = {engine.revision: 0}
    done = threading.Event()
    failures: list[BaseException] = []
    lists = 0

    def write() -> None:
        try:
            for step in range(20_000):
                if step >= (300 if SOAK else 60) and (lists >= 20 or failures):
                    break
                here, there = step % 2, (step + 1) % 2
                told[engine.revision + 1] = there
                engine.write(tuples[there], deletes=tuples[here])
        finally:
            done.set()

    def read() -> None:
        nonlocal lists
        while not done.is_set():
            found = engine.list_subjects("doc:1", "can", "user")
            assert set(found.to_list()) == set(halves[told[found.revision]]), len(found)
            lists += 1

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
    assert lists > 0


def test_bad_input() -> None:
    engine = made([Tuple("user:a", "reader", "doc:1", "low")])
    calls: tuple[tuple[tuple[Any, Any, Any], str | None], ...] = (
        (("planet:1", "viewer", "user"), "type_not_found"),
        (("doc:1", "orbits", "user"), "relation_not_found"),
        (("doc:1", "member", "user"), "relation_not_found"),
        (("user:a", "viewer", "user"), "relation_not_found"),
        (("doc:1", "viewer", "planet"), "type_not_found"),
        (("doc:1", "viewer", "planet#member"), "type_not_found"),
        (("doc:1", "viewer", "group#orbits"), "relation_not_found"),
        (("doc:1", "viewer", "user#member"), "relation_not_found"),
        *[
            ((name, "viewer", "user"), None)
            for name in ("", "doc", "doc:", ":1", "doc:*", "doc:1#viewer", "doc:a b", "doc:\ud800", None, 1, b"doc:1")
        ],
        *[
            (("doc:1", "viewer", kind), None)
            for kind in ("", "user:*", "user:a", "#", "#member", "group#", "group#a#b", "user ", "\ud800", None, 1, b"user")
        ],
        *[(("doc:1", relation, "user"), None) for relation in ("", "viewer ", "doc#viewer", "\ud800", None, 1, b"viewer")],
    )
    for asked, code in calls:
        error = refusal(lambda asked=asked: engine.list_subjects(*asked))
        assert isinstance(error, RequestError), asked
        assert code in (None, error.code), (asked, error.code)
    for more in (
        {"on_missing_context": "ignore"},
        {"context": 7},
        {"contextual_tuples": [("user:a", "viewer", "doc:1")]},
        {"contextual_tuples": [("user:a", "reader")]},
        {"model_id": "none"},
        {"at_least": 10_000},
    ):
        error = refusal(lambda more=more: engine.list_subjects("doc:1", "viewer", "user", **more))  # type: ignore[arg-type]
        assert isinstance(error, (RequestError, StoreError)), more
    assert engine.list_subjects("doc:1", "viewer", "user", context={"x": 1}).to_list() == ["user:a"]
    engine.close()
    assert refusal(lambda: engine.list_subjects("doc:1", "viewer", "user")).code == "closed"


def test_a_kind_that_can_never_reach_it_is_empty_and_no_error() -> None:
    engine = made([("user:a", "reader", "doc:1"), ("bot:x", "reader", "doc:1"), ("folder:1", "parent", "doc:1")])
    for relation, kind in (("opened", "bot"), ("viewer", "folder"), ("can", "doc"), ("barred", "bot"), ("viewer", "doc#parent")):
        found = engine.list_subjects("doc:1", relation, kind)
        assert (found.to_list(), found.wildcard, list(found.excluded)) == ([], False, [])


# ---- what other engines got wrong ----


def test_cve_2024_32001_a_userset_and_a_parent_of_the_same_type() -> None:
    """`folder: folder | folder#parent` with an arrow over it: subjects came out wrong. Here a folder is above a document as its parent, and shown
    to it as a userset, each with members of its own."""
    engine = made(
        [
            ("folder:1", "parent", "doc:1"),
            ("folder:2", "parent", "folder:1"),
            ("folder:3#viewer", "viewer", "folder:1"),
            ("user:1", "viewer", "folder:1"),
            ("user:2", "viewer", "folder:2"),
            ("user:3", "viewer", "folder:3"),
            ("user:4", "viewer", "folder:4"),
            ("folder:4", "parent", "folder:3"),
            ("user:5", "barred", "folder:2"),
            ("user:5", "viewer", "folder:4"),
        ],
    )
    assert sorted(engine.list_subjects("doc:1", "viewer", "user").to_list()) == [f"user:{i}" for i in range(1, 6)]
    assert sorted(engine.list_subjects("doc:1", "opened", "user").to_list()) == [f"user:{i}" for i in range(1, 5)]
    assert sorted(engine.list_subjects("doc:1", "viewer", "folder#viewer").to_list()) == [f"folder:{i}#viewer" for i in range(1, 5)]
    for kind in KINDS:
        agree(engine, "doc:1", "viewer", kind)


def test_spicedb_3135_a_banned_subject_is_not_admitted_again() -> None:
    """By another way to the same relation, through a group, a parent or a wildcard, it is still subtracted."""
    grants: list[Fact] = [("user:bad", "reader", "doc:1"), ("group:1#member", "reader", "doc:1"), ("user:bad", "member", "group:1")]
    grants += [("folder:1", "parent", "doc:1"), ("user:bad", "viewer", "folder:1"), ("user:*", "reader", "doc:1"), ("user:good", "reader", "doc:1")]
    for ban in (("user:bad", "barred", "doc:1"), ("group:1#member", "barred", "doc:1")):
        engine = made([*grants, ban])
        found = engine.list_subjects("doc:1", "can", "user")
        assert "user:bad" not in found
        assert "user:bad" in found.excluded
        assert "user:good" in found
        agree(engine, "doc:1", "can", "user")


def test_ghsa_grjv_gjgr_66g2_a_ban_under_one_parent_leaves_the_other() -> None:
    parents: list[Fact] = [("folder:1", "parent", "doc:1"), ("folder:2", "parent", "doc:1")]
    engine = made([*parents, ("user:a", "viewer", "folder:1"), ("user:a", "viewer", "folder:2"), ("user:a", "barred", "folder:1")])
    assert engine.list_subjects("doc:1", "opened", "user").to_list() == ["user:a"]
    engine.write([("user:a", "barred", "folder:2")])
    assert engine.list_subjects("doc:1", "opened", "user").to_list() == []


def test_cve_2024_46989_and_cve_2025_49011_conditions_on_several_ways_to_one_subject() -> None:
    engine = made(
        [
            ("user:a", "member", "group:1"),
            Tuple("group:1#member", "member", "group:2", "low"),
            ("group:2#member", "reader", "doc:1"),
            Tuple("folder:1", "parent", "doc:1", "low"),
            ("folder:2", "parent", "doc:1"),
            ("user:a", "viewer", "folder:1"),
        ]
    )
    assert engine.list_subjects("doc:1", "viewer", "user", context={"x": 1}).to_list() == ["user:a"]
    assert engine.list_subjects("doc:1", "viewer", "user", context={"x": 11}).to_list() == []
    reported = engine.list_subjects("doc:1", "viewer", "user", on_missing_context="report")
    assert (reported.to_list(), list(reported.undetermined)) == ([], ["user:a"])
    engine.write([("user:a", "viewer", "folder:2")])
    for context in CONTEXTS:
        found = engine.list_subjects("doc:1", "viewer", "user", context=context, on_missing_context="report")
        assert (found.to_list(), list(found.undetermined)) == (["user:a"], [])


def test_cve_2022_21646_a_wildcard_that_bars_counts() -> None:
    engine = made([("user:a", "reader", "doc:1"), ("user:*", "reader", "doc:1"), ("user:*", "barred", "doc:1")])
    found = engine.list_subjects("doc:1", "can", "user")
    assert (found.to_list(), found.wildcard) == ([], False)
    agree(engine, "doc:1", "can", "user")


def test_cve_2026_55170_ids_that_differ_in_case_are_different() -> None:
    engine = made([("user:Anne", "reader", "doc:1"), ("user:anne", "barred", "doc:1"), ("user:ANNE", "reader", "doc:1")])
    assert sorted(engine.list_subjects("doc:1", "can", "user").to_list()) == ["user:ANNE", "user:Anne"]
    assert "user:anne" not in engine.list_subjects("doc:1", "can", "user")
