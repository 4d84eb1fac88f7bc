"""A write is all or nothing, and what is stored is what a Python set would hold: duplicates, missing ones, deletes and reads by parts.

After a refused write nothing is different: no tuple, no name, no table, no revision, no count.
"""

from __future__ import annotations

import datetime
import itertools
import os
import random
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

import fgacore
from fgacore import RequestError, Tuple, language
from oracle import Oracle

SOAK = bool(os.environ.get("FGACORE_SOAK"))
SEED = os.environ.get("FGACORE_SEED") or str(random.SystemRandom().randrange(1 << 32))
Triple = tuple[str, str, str]

MODEL = """
model
  schema 1.1
type user
type bot
type group
  relations
    define member: [user, user:*, group#member]
    define owner: [user, bot]
type doc
  relations
    define parent: [doc, group]
    define reader: [user, user:*, bot:*, group#member, group#owner]
    define owner: [user]
    define can_read: reader or owner
"""

STORED: list[Triple] = [
    ("user:anne", "reader", "doc:1"),
    ("user:anne", "owner", "doc:1"),
    ("user:bob", "reader", "doc:2"),
    ("user:*", "reader", "doc:2"),
    ("bot:*", "reader", "doc:2"),
    ("group:g#member", "reader", "doc:1"),
    ("group:g#owner", "reader", "doc:1"),
    ("group:g", "parent", "doc:1"),
    ("doc:2", "parent", "doc:1"),
    ("user:anne", "member", "group:g"),
    ("user:*", "member", "group:h"),
    ("group:h#member", "member", "group:g"),
    ("bot:b", "owner", "group:g"),
]


def made(tuples: Iterable[Triple] = STORED) -> fgacore.Engine:
    engine = fgacore.open(":memory:")
    engine.write_model(MODEL)
    engine.write(list(tuples))
    return engine


def triples(engine: fgacore.Engine, **parts: str) -> list[Triple]:
    return [(found.subject, found.relation, found.object) for found in engine.read(**parts)]


def state(engine: fgacore.Engine) -> tuple[Any, ...]:
    stats = engine.stats()
    return (
        sorted(triples(engine)),
        engine.revision,
        (stats.revision, stats.model_id, stats.models, stats.tuples, stats.unmerged, stats.names, stats.tables),
        list(engine.changes()),
    )


# Duplicates, missing ones and the same key twice

NEW: Triple = ("user:new", "reader", "doc:new")
OLD: Triple = STORED[0]
OTHER: Triple = ("user:other", "owner", "doc:other")


@pytest.mark.parametrize("as_class", [False, True])
@pytest.mark.parametrize(("on_duplicate", "on_missing"), list(itertools.product(("error", "ignore"), repeat=2)))
@pytest.mark.parametrize("size", [0, 1, 2, 3])
def test_every_small_write_is_what_the_rules_say(size: int, on_duplicate: str, on_missing: str, as_class: bool) -> None:
    """Every choice of up to three writes and deletes from a stored key and two that are not, in every order."""
    for kinds in itertools.product("wd", repeat=size):
        for keys in itertools.product((NEW, OLD, OTHER), repeat=size):
            engine = made()
            before = state(engine)
            writes = [key for kind, key in zip(kinds, keys, strict=True) if kind == "w"]
            deletes = [key for kind, key in zip(kinds, keys, strict=True) if kind == "d"]
            twice = len(set(writes)) < len(writes) or len(set(deletes)) < len(deletes)
            missing = on_missing == "error" and any(key not in STORED for key in deletes)
            duplicate = on_duplicate == "error" and any(key in STORED and key not in deletes for key in writes)
            given = [Tuple(*key) for key in writes] if as_class else writes
            options: Any = {"deletes": deletes, "on_duplicate": on_duplicate, "on_missing": on_missing}
            if twice or missing or duplicate:
                with pytest.raises(RequestError) as caught:
                    engine.write(given, **options)
                assert caught.value.index in range(max(len(writes), len(deletes))), (writes, deletes)
                assert state(engine) == before, (writes, deletes)
                assert engine.ids("user", ["new", "other"]).tolist() == [fgacore.NONE] * 2
                assert engine.ids("doc", ["new", "other"]).tolist() == [fgacore.NONE] * 2
            else:
                revision = engine.write(given, **options)
                expected = set(STORED).difference(deletes).union(writes)
                assert set(triples(engine)) == expected, (writes, deletes)
                assert revision == engine.revision == engine.stats().revision
                assert revision > before[1] if expected != set(STORED) else revision >= before[1]  # one deleted and written again is written
                assert engine.stats().tuples == len(expected)
                oracle = Oracle(language.load(MODEL), expected)
                for key in (NEW, OLD, OTHER):
                    assert engine.check(*key) is oracle.check(*key)
            engine.close()


@pytest.mark.parametrize("where", ["writes", "deletes"])
@pytest.mark.parametrize("stored", [False, True])
def test_the_same_key_twice_is_refused_even_where_it_is_ignored_otherwise(where: str, stored: bool) -> None:
    for key in (*STORED, NEW) if stored else (NEW,):
        engine = made()
        before = state(engine)
        filler = [(f"user:{i}", "owner", f"doc:f{i}") for i in range(50)]
        writes = filler + ([key, key] if where == "writes" else [])
        deletes = [("user:none", "owner", "doc:none")] + ([key, key] if where == "deletes" else [])
        with pytest.raises(RequestError) as caught:
            engine.write(writes, deletes=deletes, on_duplicate="ignore", on_missing="ignore")
        assert caught.value.index is not None
        assert state(engine) == before
        engine.close()


def test_one_key_written_as_triple_and_as_tuple_is_one_key() -> None:
    engine = made()
    with pytest.raises(RequestError):
        engine.write([NEW, Tuple(*NEW)])
    assert NEW not in triples(engine)
    engine.write([Tuple(*NEW)], deletes=[NEW], on_missing="ignore")  # deletes come first
    assert triples(engine).count(NEW) == 1
    engine.close()


def test_the_options_are_words() -> None:
    engine = made()
    before = state(engine)
    for bad in ("", "Error", "ERROR", "skip", None, 0, True, b"error", ["error"], ("ignore",), {"error"}, object()):
        with pytest.raises(RequestError):
            engine.write([NEW], on_duplicate=bad)  # type: ignore[arg-type]
        with pytest.raises(RequestError):
            engine.write([NEW], on_missing=bad)  # type: ignore[arg-type]
    assert state(engine) == before
    engine.close()


# Failure at the last of many


class Broken(Exception):
    pass


def breaking(items: list[Any]) -> Iterator[Any]:
    yield from items
    raise Broken


class RaisesOnIteration:
    def __iter__(self) -> Iterator[str]:
        raise Broken

    def __len__(self) -> int:
        raise Broken


FAULTS: dict[str, Any] = {
    "a stored tuple": OLD,
    "the first again": ("user:w0", "reader", "doc:w0"),
    "no type": ("martian:x", "reader", "doc:1"),
    "no relation": ("user:x", "nothing", "doc:1"),
    "no type of object": ("user:x", "reader", "planet:1"),
    "not admitted": ("bot:x", "reader", "doc:1"),
    "not admitted as a wildcard": ("user:*", "owner", "doc:1"),
    "not admitted as a userset": ("group:g#member", "owner", "doc:1"),
    "a userset in itself": ("group:g#member", "member", "group:g"),
    "computed only": ("user:x", "can_read", "doc:1"),
    "no colon": ("user", "reader", "doc:1"),
    "a space": ("user:a b", "reader", "doc:1"),
    "a wildcard object": ("user:x", "reader", "doc:*"),
    "a surrogate": ("user:\ud800", "reader", "doc:1"),
    "too long": ("user:" + "x" * 600, "reader", "doc:1"),
    "two parts": ("user:x", "reader"),
    "four parts": ("user:x", "reader", "doc:1", "extra"),
    "no parts": (),
    "a text": "user:x reader doc:1",
    "three letters": "abc",
    "None": None,
    "a number": 7,
    "None for a part": ("user:x", None, "doc:1"),
    "bytes for a part": (b"user:x", "reader", "doc:1"),
    "a question": fgacore.Question("user:x", "reader", "doc:1"),
    "a condition": Tuple("user:x", "reader", "doc:1", condition="night"),
    "a context": Tuple("user:x", "reader", "doc:1", context={"a": 1}),
    "an expiry": Tuple("user:x", "reader", "doc:1", expires_at=datetime.datetime(2099, 1, 1)),  # noqa: DTZ001
    "a Tuple of no texts": Tuple(1, 2, 3),  # type: ignore[arg-type]
    "something that raises": RaisesOnIteration(),
}


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_the_last_of_ten_thousand_leaves_nothing_behind(fault: str, merged: bool) -> None:
    engine = made()
    if merged:
        engine.merge()
    before = state(engine)
    good = [(f"user:w{i}", "reader", f"doc:w{i % 100}") for i in range(9_999)]
    expected = (RequestError, Broken) if fault == "something that raises" else RequestError
    with pytest.raises(expected) as caught:
        engine.write([*good, FAULTS[fault]], deletes=STORED[3:6], actor="user:lead", reason="test")
    if isinstance(caught.value, RequestError):
        assert caught.value.index == 9_999
        assert isinstance(caught.value.code, str)
        assert caught.value.code
    assert state(engine) == before
    assert engine.ids("user", [f"w{i}" for i in range(9_999)]).tolist() == [fgacore.NONE] * 9_999
    assert engine.ids("doc", ["w0", "w99"]).tolist() == [fgacore.NONE] * 2
    assert engine.check(*STORED[3])
    assert not engine.check(*good[0][:2], "doc:w0")
    engine.write(good)  # and the same without the fault is no duplicate of anything
    assert set(triples(engine)) == {*STORED, *good}
    assert engine.ids("user", ["w0", "w9998"]).max() < fgacore.NONE
    engine.close()


@pytest.mark.parametrize("fault", ["missing", "the first again", "no colon", "None", "written too"])
def test_a_fault_in_the_last_delete_of_ten_thousand_leaves_everything(fault: str) -> None:
    good = [(f"user:w{i}", "reader", f"doc:w{i % 100}") for i in range(9_999)]
    engine = made([*STORED, *good])
    before = state(engine)
    bad: Any = {"missing": NEW, "the first again": good[0], "no colon": ("user", "reader", "doc:1"), "None": None, "written too": OTHER}[fault]
    with pytest.raises(RequestError) as caught:
        engine.write([OTHER], deletes=[*good, bad])
    assert caught.value.index is not None
    assert state(engine) == before
    assert engine.ids("user", ["other"])[0] == fgacore.NONE
    engine.write(deletes=good)
    assert set(triples(engine)) == set(STORED)
    engine.close()


def test_an_iterator_that_breaks_writes_nothing() -> None:
    engine = made()
    before = state(engine)
    with pytest.raises(Broken):
        engine.write(breaking([NEW, OTHER]))
    with pytest.raises(Broken):
        engine.write([NEW], deletes=breaking([OLD]))
    with pytest.raises((Broken, RequestError)):
        engine.write(RaisesOnIteration())  # type: ignore[arg-type]
    assert state(engine) == before
    engine.write(iter([NEW, OTHER]), deletes=(key for key in STORED[:2]))
    assert set(triples(engine)) == {NEW, OTHER, *STORED[2:]}
    engine.close()


def test_a_refused_write_gives_its_revision_to_nobody() -> None:
    engine = made()
    revision = engine.revision
    for _ in range(5):
        with pytest.raises(RequestError):
            engine.write([NEW, OLD])
    assert engine.revision == revision
    assert engine.write([NEW]) == revision + 1
    engine.close()


def test_an_empty_write_changes_nothing() -> None:
    engine = made()
    before = state(engine)
    for writes, deletes in (([], []), ((), ()), (iter(()), iter(())), ({}, set())):
        assert engine.write(writes, deletes=deletes) == before[1]
    assert engine.write() == before[1]
    assert engine.write([OLD], on_duplicate="ignore", deletes=[NEW], on_missing="ignore") == before[1]
    assert state(engine)[:2] == before[:2]
    assert engine.stats().names == before[2][5], "a tuple that was not missing, and so not written, gave out names"
    engine.close()


# Reads and deletes by parts

SUBJECTS = [None, *dict.fromkeys(key[0] for key in STORED), "user:none", "group:none#member", "bot:b", "group:h#owner", "doc:1", "doc:1#reader"]
RELATIONS = [None, "reader", "owner", "member", "parent", "can_read", "nothing"]
OBJECTS = [None, *dict.fromkeys(key[2] for key in STORED), "doc:none", "group:h", "user:anne"]


def matching(tuples: Iterable[Triple], subject: str | None, relation: str | None, name: str | None) -> set[Triple]:
    wanted = (subject, relation, name)
    return {key for key in tuples if all(part is None or part == given for part, given in zip(wanted, key, strict=True))}


def by(subject: str | None, relation: str | None, name: str | None) -> dict[str, str]:
    return {part: value for part, value in (("subject", subject), ("relation", relation), ("object", name)) if value is not None}


@pytest.mark.parametrize("merged", [False, True])
def test_read_by_each_combination_of_parts(merged: bool) -> None:
    engine = made()
    if merged:
        engine.merge()
    for parts in itertools.product(SUBJECTS, RELATIONS, OBJECTS):
        read = triples(engine, **by(*parts))
        assert len(read) == len(set(read)), parts
        assert set(read) == matching(STORED, *parts), parts
    engine.close()


@pytest.mark.parametrize("merged", [False, True])
def test_delete_by_each_combination_of_parts(merged: bool) -> None:
    combinations = list(itertools.product(SUBJECTS, RELATIONS, OBJECTS))
    for parts in random.Random(SEED).sample(combinations, 250) if not SOAK else combinations:
        if parts == (None, None, None):
            continue
        engine = made()
        if merged:
            engine.merge()
        before = engine.revision
        gone = matching(STORED, *parts)
        revision = engine.delete(**by(*parts))
        assert set(triples(engine)) == set(STORED) - gone, parts
        assert revision == engine.revision
        assert (revision > before) is bool(gone), parts
        oracle = Oracle(language.load(MODEL), set(STORED) - gone)
        for key in STORED:
            assert engine.check(*key) is oracle.check(*key), (parts, key)
        engine.close()


def test_a_delete_of_everything_by_no_part_is_refused() -> None:
    engine = made()
    before = state(engine)
    with pytest.raises(RequestError):
        engine.delete()
    for parts in ({"subject": ""}, {"object": ""}, {"subject": "user"}, {"object": "doc"}, {"object": "doc:*"}, {"object": "doc:1#reader"}):
        with pytest.raises(RequestError):
            engine.delete(**parts)
    for value in (0, b"user:anne", ["user:anne"], 1.5, object()):
        for part in ("subject", "relation", "object"):
            with pytest.raises(RequestError):
                engine.delete(**{part: value})
            with pytest.raises(RequestError):
                list(engine.read(**{part: value}))
    assert state(engine) == before
    engine.close()


def test_a_read_is_of_the_revision_of_its_call() -> None:
    engine = made()
    whole, half = engine.read(), engine.read()
    seen = list(itertools.islice(half, 5))
    engine.write([NEW], deletes=STORED[:6])
    engine.merge()
    rest = [(found.subject, found.relation, found.object) for found in (*seen, *half)]
    assert set(rest) == set(STORED)
    assert len(rest) == len(STORED)
    assert {(found.subject, found.relation, found.object) for found in whole} == set(STORED)
    assert set(triples(engine)) == {NEW, *STORED[6:]}
    engine.close()


def test_stale_tuples_are_read_and_deleted_though_checks_ignore_them() -> None:
    engine = made()
    first = engine.stats().model_id
    engine.write_model("model\n  schema 1.1\ntype user\ntype planet\n  relations\n    define moon: [planet]\n")
    assert set(triples(engine)) == set(STORED)
    with pytest.raises(RequestError):
        engine.check(*STORED[0])
    assert engine.check(*STORED[0], model_id=first)
    with pytest.raises(RequestError):
        engine.write([NEW])
    engine.write(deletes=[STORED[0]])
    engine.delete(object="doc:2")
    engine.delete(subject="group:g#member")
    assert set(triples(engine)) == {key for key in STORED[1:] if key[2] != "doc:2" and key[0] != "group:g#member"}
    engine.write([NEW], model_id=first)
    assert NEW in triples(engine)
    engine.close()


# Long random sequences

TYPES = {
    "reader": ("doc", ("user:{}", "user:*", "bot:*", "group:{}#member", "group:{}#owner")),
    "owner": ("doc", ("user:{}",)),
    "parent": ("doc", ("doc:{}", "group:{}")),
    "member": ("group", ("user:{}", "user:*", "group:{}#member")),
}


@pytest.mark.parametrize("number", range(40 if SOAK else 4))
@pytest.mark.parametrize("spread", [4, 40, 3_000])
def test_a_long_random_history_is_a_python_set(number: int, spread: int) -> None:
    rng = random.Random(f"{SEED}-{number}-{spread}")
    engine = made(())
    stored: set[Triple] = set()
    revision = engine.revision

    def any_key() -> Triple:
        relation = rng.choice(list(TYPES))
        type_name, subjects = TYPES[relation]
        subject, name = rng.choice(subjects).format(rng.randrange(spread)), f"{type_name}:{rng.randrange(spread)}"
        return any_key() if subject == f"{name}#{relation}" else (subject, relation, name)  # such a tuple holds anyway and is refused

    for step in range(60):
        told = f"FGACORE_SEED={SEED}, {number}, {spread}, step {step}"
        size = rng.choice((0, 1, 2, 5, 50, 400))
        writes = [any_key() for _ in range(size)]
        deletes = [rng.choice((any_key(), *itertools.islice(stored, 1))) for _ in range(rng.choice((0, 0, 1, 5)))]
        deletes += rng.sample(sorted(stored), min(len(stored), rng.choice((0, 1, 100))))
        if rng.random() < 0.7:  # else most are refused for a key given twice
            writes = list(dict.fromkeys(writes))
            deletes = list(dict.fromkeys(deletes))
        skip_duplicates, skip_missing = rng.random() < 0.6, rng.random() < 0.6
        if not skip_duplicates and rng.random() < 0.7:
            writes = [key for key in writes if key not in stored]
        if not skip_missing and rng.random() < 0.7:
            deletes = [key for key in deletes if key in stored]
        refused = len(set(writes)) < len(writes) or len(set(deletes)) < len(deletes)
        refused |= not skip_duplicates and not (stored - set(deletes)).isdisjoint(writes)
        refused |= not skip_missing and not stored.issuperset(deletes)
        options: Any = {"on_duplicate": "ignore" if skip_duplicates else "error", "on_missing": "ignore" if skip_missing else "error"}
        names = engine.stats().names
        if refused:
            with pytest.raises(RequestError):
                engine.write(writes, deletes=deletes, **options)
            assert (engine.revision, engine.stats().names) == (revision, names), told
        else:
            after = engine.write(writes, deletes=deletes, **options)
            changed = (stored - set(deletes)) | set(writes)
            done = not stored.isdisjoint(deletes) or changed != stored
            assert after > revision if done else after == revision, told
            revision, stored = after, changed
        if rng.random() < 0.15:
            parts = list(any_key())
            for position in rng.sample(range(3), rng.randint(0, 2)):
                parts[position] = None  # type: ignore[call-overload]
            stored -= matching(stored, *parts)
            revision = engine.delete(**by(*parts))
        if rng.random() < 0.2:
            engine.merge()
        assert engine.stats().tuples == len(stored), told
        read = triples(engine)
        assert len(read) == len(stored), told
        assert set(read) == stored, told
        for _ in range(10):
            key = rng.choice((any_key(), *itertools.islice(stored, 1)))
            parts = [part if rng.random() < 0.6 else None for part in key]
            assert set(triples(engine, **by(*parts))) == matching(stored, *parts), (told, parts)
    engine.close()
