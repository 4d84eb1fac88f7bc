"""Images: what a version is written as reads the same where it is mapped, also with writes above it; and no byte of it can lead a reader astray."""

from __future__ import annotations

import gc
import mmap
import os
import random
import struct
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fgacore
from fgacore.errors import StoreError
from fgacore.formats import SNAPSHOT_ALIGNMENT, SNAPSHOT_SECTIONS
from fgacore.kernel.image import image_grants, image_open, image_write
from fgacore.kernel.names import Names
from fgacore.kernel.tables import Edit, Version

SMALL = bool(os.environ.get("FGACORE_SMALL"))
EXAMPLES = 10 if SMALL else 30
SEED = random.Random("image").randbytes(32)
STORE = random.Random("store").randbytes(16)
TABLES = 3
Pair = tuple[int, int]  # (object id, subject id)
Model = list[dict[Pair, int | None]]  # by table: what is stored, and when it expires

EMPTY = {
    "names.arena": bytes(8),
    "names.slots": bytes(8),
    "names.places": bytes(8),
    "sets": b"",
    "sides": b"",
    "grants": b"",
}


def opened(sections: Mapping[str, bytes], serial: int = 1, revision: int = 0, owner: object = None) -> tuple[Names, Version]:
    return image_open({name: memoryview(data) for name, data in sections.items()}, SEED, 4, STORE, owner, serial, revision)


def written(version: Version, counts: list[int] | None = None) -> dict[str, bytes]:
    """The image in one piece for each section; they come one after the other, each once."""
    sections: dict[str, bytearray] = {}
    last = None
    for name, piece in image_write(version, counts):
        assert name == last or name not in sections
        sections.setdefault(name, bytearray()).extend(piece)
        last = name
    assert tuple(sections) == SNAPSHOT_SECTIONS
    return {name: bytes(data) for name, data in sections.items()}


def reopened(version: Version, serial: int) -> Version:
    """The version over its own image, with its grants put back."""
    sections = written(version)
    _, again = opened(sections, serial, version.revision)
    grants = list(image_grants(memoryview(sections["grants"])))
    if not grants:
        return again
    edit = Edit(again, serial + 1, TABLES)
    for table, object, subject, expires, context in grants:
        assert (edit.holds(table, object, subject), context) == ((True, None), None)
        edit.change(table, [(object, subject)], expires=expires)
    return edit.finish(version.revision)


def sides(pairs: Iterable[Pair]) -> tuple[dict[int, set[int]], dict[int, set[int]]]:
    forward: dict[int, set[int]] = {}
    reverse: dict[int, set[int]] = {}
    for o, s in pairs:
        forward.setdefault(o, set()).add(s)
        reverse.setdefault(s, set()).add(o)
    return forward, reverse


def assert_holds(version: Version, model: Model) -> None:
    assert version.tuple_count() == sum(map(len, model))
    for table, stored in enumerate(model):
        for reverse, side in enumerate(sides(stored)):
            assert version.keys(table, bool(reverse)) == sorted(side)
            for id, members in side.items():
                assert version.members(table, id, bool(reverse)) == sorted(members)
            for id in {0, 1, 63, 64, 4_095, 65_536, 0x7FFFFFFF, 0xFFFFFFFF} - set(side):
                assert version.members(table, id, bool(reverse)) == []
        assert [version.stored_with(table, o, s) for o, s in stored] == [(expires, None) for expires in stored.values()]


# ---- what is written is what is read ----

ids = st.integers(0, 5) | st.integers(0, 200) | st.sampled_from([63, 64, 4_095, 65_535, 65_536, 200_000])
pairs = st.sets(st.tuples(ids, ids), max_size=30)
hubs = st.builds(
    lambda hub, first, count, step, turned: {(first + step * i, hub) if turned else (hub, first + step * i) for i in range(count)},
    st.integers(0, 2),
    st.integers(0, 70_000),
    st.sampled_from([200, 256, 257, 300, 5_000]),
    st.integers(1, 40),
    st.booleans(),
)
changes = st.tuples(
    st.integers(0, TABLES - 1),
    pairs | hubs,
    st.integers(0, 40),
    st.none() | st.integers(1, 1 << 57),
    st.booleans(),
    st.sampled_from(["", "", "merge", "image"]),
)


@given(st.lists(changes, max_size=12), st.integers(0, 1 << 32))
@settings(max_examples=EXAMPLES, deadline=None)
def test_an_image_reads_the_same_under_any_writes_merges_and_further_images(steps: list[tuple], seed: int) -> None:
    """Versions that are held stay as they were, over whatever image they lie; a private edit changes nothing but its own version."""
    rng = random.Random(seed)
    _, version = opened(EMPTY)
    model: Model = [{} for _ in range(TABLES)]
    held: list[tuple[Version, Model]] = []
    for number, (table, add, drops, expires, together, then) in enumerate(steps, 1):
        drop = rng.sample(sorted(model[table]), min(drops, len(model[table])))
        private = Edit(version, 0, TABLES, True)
        private.change(table, add, drop, expires, together)
        edit = Edit(version, version.serial + 1, TABLES)
        edit.change(table, add, drop, expires, together)
        for pair in drop:
            del model[table][pair]
        assert edit.changed == private.changed == bool(drop or add - set(model[table]) or (add and expires is not None))
        for pair in add:
            model[table][pair] = expires if expires is not None else model[table].get(pair)
        for pair in [*list(add)[:5], *drop[:5], (7, 7)]:
            there = pair in model[table]
            assert edit.holds(table, *pair) == private.holds(table, *pair) == (there, model[table].get(pair))
        aside = private.finish(0)
        version = edit.finish(number, [table] if then == "merge" else [])
        assert_holds(aside, model)
        if then == "image":
            version = reopened(version, version.serial + 1)
        assert version.revision == number
        held.append((version, [dict(stored) for stored in model]))
        for before, right in held[-3:]:
            assert_holds(before, right)
    assert_holds(reopened(version, version.serial + 1), model)
    rng.shuffle(held)
    for before, right in held:
        assert_holds(before, right)


texts = st.text(min_size=1, max_size=20) | st.text("ab\0", min_size=1, max_size=6) | st.sampled_from(["x" * 255, "é" * 300])


@given(st.lists(st.lists(st.tuples(texts, st.integers(0, 3)), max_size=60), max_size=4))
@settings(max_examples=EXAMPLES, deadline=None)
def test_names_over_any_bases_are_what_a_dict_would_be(rounds: list[list[tuple[str, int]]]) -> None:
    """Each round interns above the image of what was there before it."""
    names, version = opened(EMPTY)
    model: dict[str, tuple[int, int]] = {}
    by_type: list[list[str]] = [[], [], [], []]
    for added in rounds:
        for text, type in added:
            if text not in model:
                assert (names.find(text.encode()), names.find_many([text.encode()])) == (None, [None])
                model[text] = (type, len(by_type[type]))
                by_type[type].append(text)
            assert names.add(text.encode(), type) == model[text][1]
        for _ in range(2):  # above the base, and then in the base
            assert len(names) == len(model)
            assert [names.count_of(type) for type in range(5)] == [*map(len, by_type), 0]
            known = [*model, "not there", "", *(text + "!" for text in model)]
            right = [model.get(text) for text in known]
            assert [names.find(text.encode()) for text in known] == right
            assert names.find_many([text.encode() for text in known]) == right
            for type, there in enumerate(by_type):
                assert [names.text(type, id) for id in range(len(there) + 1)] == [*there, None]
                assert names.texts(type, np.arange(len(there), dtype=np.uint32)) == there
            names, version = opened(written(version))
    assert (names.generation, names.store, version.names is names) == (4, STORE, True)


def test_an_image_has_the_names_that_were_there_at_the_call_or_those_counted() -> None:
    names, version = opened(EMPTY)
    for i in range(3_000):
        names.add(b"%d" % i, i % 3)
    pieces = image_write(version)
    names.add(b"later", 0)
    sections: dict[str, bytes] = {}
    for name, piece in pieces:
        sections[name] = sections.get(name, b"") + bytes(piece)
        for _ in range(50):  # while it is written
            names.add(b"meanwhile %d" % len(names), 1)
    later, above = opened(sections)
    assert [later.count_of(type) for type in range(4)] == [1_000, 1_000, 1_000, 0]
    assert (later.find(b"2999"), later.find(b"later")) == ((2, 999), None)
    later.add(b"above", 0)
    for counts in ([10, 0, 1_000], [10], [1_001, 1_000, 0], []):  # from the base, from above it, from both
        few, _ = opened(written(above, counts))
        right = [b"%d" % i if i < 3_000 else b"above" for type, count in enumerate(counts) for i in range(type, 3 * count + type, 3)][:]
        assert len(few) == sum(counts)
        assert [few.find(name) for name in right if name != b"above"] == [later.find(name) for name in right if name != b"above"]
        assert few.find(b"above") == (later.find(b"above") if counts[:1] == [1_001] else None)
    with pytest.raises(ValueError, match="more names"):
        image_write(above, [2_000])


MODEL = """
model
  schema 1.1
type user
type team
  relations
    define member: [user, user:*, team#member]
type doc
  relations
    define viewer: [user, team#member, user with allowed, user:* with allowed]
condition allowed(level: int, tags: list<string>) { level > 3 && "x" in tags }
"""


def test_the_image_of_an_engine_has_its_tuples_contexts_and_expiries() -> None:
    rng = random.Random("engine")
    with fgacore.open(":memory:", clock=lambda: 1_000.0) as engine:
        engine.write_model(MODEL)
        plain = {(f"user:{rng.randrange(300)}", "member", f"team:{rng.randrange(40)}") for _ in range(3_000)}
        plain |= {(f"team:{i}#member", "viewer", f"doc:{rng.randrange(100)}") for i in range(40)} | {("user:*", "member", "team:all")}
        conditioned = [
            fgacore.Tuple(f"user:{i}", "viewer", "doc:hub", condition="allowed", context={"level": i, "tags": ["x"] * (i % 40)}) for i in range(1_500)
        ]
        expiring = [fgacore.Tuple(f"user:{i}", "viewer", "doc:soon", expires_at=datetime.fromtimestamp(2_000 + i, UTC)) for i in range(50)]
        engine.write(sorted(plain))
        engine.write([*conditioned, *expiring])
        engine.write(deletes=sorted(plain)[::3])
        version = engine._state.newest
        sections = written(version)
    _, again = opened(sections, revision=version.revision)
    given = {
        where: stored
        for *where, expires, context in image_grants(memoryview(sections["grants"]))
        for where, stored in [(tuple(where), (expires, context))]
    }
    assert len(given) == len(conditioned) + len(expiring)
    assert again.tuple_count() == version.tuple_count()
    for table in range(version.table_total):
        for reverse in (False, True):
            keys = version.keys(table, reverse)
            assert again.keys(table, reverse) == keys
            assert [again.members(table, id, reverse) for id in keys] == [version.members(table, id, reverse) for id in keys]
        for object in version.keys(table):
            for subject in version.members(table, object):
                assert given.get((table, object, subject), (None, None)) == version.stored_with(table, object, subject)


def many(tuples: int, names: int) -> Version:
    """Tuples of one table over two types of names, at random."""
    rng = random.Random(tuples)
    known, version = opened(EMPTY)
    for type, kind in enumerate((b"user", b"document")):
        for i in range(names // 2):
            known.add(b"%s:%d" % (kind, i), type)
    edit = Edit(version, 2, TABLES)
    pairs: set[Pair] = set()
    while len(pairs) < tuples:
        pairs.add((rng.randrange(names // 2), rng.randrange(names // 2)))
    edit.change(0, pairs, together=True)
    return edit.finish(1)


def test_an_image_takes_less_than_25_bytes_a_tuple_with_its_names() -> None:
    """As many tuples a name as in ten million tuples over three million names."""
    version = many(20_000 if SMALL else 200_000, 6_000 if SMALL else 60_000)
    assert sum(map(len, written(version).values())) < 25 * version.tuple_count()


# ---- how it lies ----


@pytest.mark.parametrize(
    ("stored", "changed", "merged"),
    [(10_000, 6_000, False), (10_000, 60_000, False), (10_000, 65_536, True), (100_000, 66_000, False), (100_000, 100_000, True)],
)
def test_writes_over_an_image_stay_in_the_delta_until_they_are_many_and_half_of_the_table(stored: int, changed: int, merged: bool) -> None:
    """A merge makes private memory of what is shared: the next snapshot is to take the writes in."""
    _, version = opened(written(many(stored, 2 * stored)), serial=5)
    edit = Edit(version, 6, TABLES)
    edit.change(0, [(1_000_000 + i // 10, i) for i in range(changed)])
    after = edit.finish(1, settling=[0])
    assert (after.delta_count(), after.table_bytes(0) != version.table_bytes(0)) == (0 if merged else changed, merged)


@pytest.mark.parametrize(("added", "merged"), [(1_000, False), (4_900, False), (5_100, True)])
def test_a_lot_over_an_image_goes_into_a_new_base_where_it_is_half_of_the_table(added: int, merged: bool) -> None:
    _, version = opened(written(many(10_000, 20_000)), serial=5)
    edit = Edit(version, 6, TABLES)
    edit.change(0, [(1_000_000 + i // 10, i) for i in range(added)], together=True)
    after = edit.finish(1)
    assert (after.delta_count(), after.table_bytes(0) > version.table_bytes(0)) == (0 if merged else added, merged)


def test_the_mapping_goes_with_the_last_version_and_not_before() -> None:
    class Owner:
        pass

    with mmap.mmap(-1, 1 << 20) as area:
        at, sections = 0, {}
        for name, data in written(many(2_000, 300)).items():
            area[at : at + len(data)] = data
            sections[name] = memoryview(area)[at : at + len(data)]
            at += len(data) + -len(data) % SNAPSHOT_ALIGNMENT
        owner = Owner()
        alive = weakref.ref(owner)
        names, version = image_open(sections, SEED, 1, STORE, owner, 2, 1)
        for view in sections.values():
            view.release()  # of the caller's; the names have their own
        del owner, sections, view
        with pytest.raises(BufferError):
            area.close()
        edit = Edit(version, 3, TABLES)
        edit.change(0, [(9, 9_999)])
        newer = edit.finish(2, [0])
        first = version.members(0, 9)
        del names, version
        gc.collect()
        assert alive() is not None
        assert newer.names.text(0, 5) == "user:5"
        assert newer.members(0, 9) == [*first, 9_999]
        del newer, edit
        gc.collect()
        assert alive() is None


def test_sections_that_are_not_there_or_do_not_lie_as_they_must_are_refused() -> None:
    sections = written(many(200, 60))
    for name in SNAPSHOT_SECTIONS:
        with pytest.raises(StoreError, match=name) as caught:
            opened({other: data for other, data in sections.items() if other != name})
        assert caught.value.code == "corrupt"
    for name in SNAPSHOT_SECTIONS:
        crooked = memoryview(bytes(1) + sections[name])[1:]
        with pytest.raises(ValueError, match="aligned"):
            image_open({**{other: memoryview(data) for other, data in sections.items()}, name: crooked}, SEED, 1, STORE, None, 1, 1)


# ---- hostile bytes ----

BASE = many(3_000, 600)


def hostile_version() -> dict[str, bytes]:
    """Runs, large sets of arrays, bitmaps and runs, grants, in two tables."""
    edit = Edit(reopened(BASE, 7), 20, TABLES)
    edit.change(0, [(3, i) for i in range(0, 6_000, 2)] + [(4, i) for i in range(9_000)] + [(5, i * 7) for i in range(300)], together=True)
    edit.change(2, [(i, 1) for i in range(400)], expires=77)
    return written(edit.finish(3, range(TABLES)))


HOSTILE = hostile_version()
LIKELY = [0, 1, 2, 7, 255, 256, 257, 65_535, 65_536, 0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFFFFFE, 0xFFFFFFFF]
numbers = st.sampled_from(LIKELY) | st.integers(0, 0xFFFFFFFF)
mutations = st.lists(
    st.tuples(
        st.sampled_from(SNAPSHOT_SECTIONS),
        st.floats(0, 1, exclude_max=True),
        st.sampled_from(["bit", "word", "word", "word", "long", "zero", "swap", "cut", "grow"]),
        numbers,
    ),
    min_size=1,
    max_size=6,
)


def mutated(how: list[tuple[str, float, str, int]]) -> dict[str, bytes]:
    sections = {name: bytearray(data) for name, data in HOSTILE.items()}
    for name, where, what, number in how:
        data = sections[name]
        at = int(where * max(len(data) - 8, 1))
        if what == "cut":
            del data[at:]
        elif what == "grow":
            data += struct.pack("<I", number) * 16
        elif not data:
            continue
        elif what == "bit":
            data[at] ^= 1 << number % 8
        elif what == "word":
            struct.pack_into("<I", data, at & ~3, number) if len(data) >= (at & ~3) + 4 else None
        elif what == "long":
            struct.pack_into("<Q", data, at & ~7, number << (number % 33)) if len(data) >= (at & ~7) + 8 else None
        elif what == "zero":
            data[at : at + 64] = bytes(len(data[at : at + 64]))
        else:
            other = int(number / (1 << 32) * max(len(data) - 8, 1))
            data[at : at + 8], data[other : other + 8] = data[other : other + 8], data[at : at + 8]
    return {name: bytes(data) for name, data in sections.items()}


@contextmanager
def damage_may_be_met() -> Iterator[None]:
    """An error says so, where one comes; a set may claim more members than a set can have."""
    try:
        yield
    except StoreError as error:
        if error.code != "corrupt":
            raise
    except MemoryError:
        pass


def read_all(names: Names, version: Version) -> None:
    """Everything that reads: answers may be wrong, and memory must be left alone."""
    for type in (0, 1, 2, 65_535):
        known = min(names.count_of(type), 700)
        for id in [*range(0, known, 7), known, 0xFFFFFFFF]:
            with damage_may_be_met():
                names.text(type, id)
        with damage_may_be_met():
            names.texts(type, np.arange(known, dtype=np.uint32))
    asked = [b"%s:%d" % (kind, i) for kind in (b"user", b"document", b"nobody") for i in range(0, 300, 9)]
    assert names.find_many(asked) == [names.find(name) for name in asked]
    for table in range(TABLES):
        for reverse in (False, True):
            for id in [*version.keys(table, reverse)[:300], 0x7FFFFFFF]:
                version.members(table, id, reverse)
        version.table_bytes(table)


@given(mutations)
@settings(max_examples=100 if SMALL else 400, deadline=None)
def test_no_bytes_lead_a_reader_a_writer_or_a_merge_astray(how: list[tuple[str, float, str, int]]) -> None:
    sections = mutated(how)
    with damage_may_be_met():
        names, version = opened(sections, 5, 3)
        read_all(names, version)
        list(image_grants(memoryview(sections["grants"])))
        names.add(b"user:new", 0)
        for private in (True, False):
            edit = Edit(version, 6, TABLES, private)
            for table in range(TABLES):
                some = [*version.keys(table)[:40], 3, 4, 5]
                edit.change(table, [(id, 17) for id in some], [(id, member) for id in some for member in version.members(table, id)[:3]], 99)
            after = edit.finish(4)
            read_all(names, after)
        edit = Edit(after, 8, TABLES)
        edit.change(0, [(4, i) for i in range(10_000, 20_000)] + [(id, 3) for id in after.keys(0)], together=True)
        merged = edit.finish(5, range(TABLES))
        read_all(names, merged)
        read_all(names, version)
        read_all(*opened(written(merged), 9, 6))


@pytest.mark.parametrize(
    ("section", "at", "value"),
    [
        ("names.places", 0, 70_000),  # types
        ("names.places", 4, 1),  # names
        ("names.places", 8, 0x7FFFFFFF),  # ids of a type
        ("names.places", 12, 1),  # where its places begin
        ("sides", 0, 64),  # where the pages lie: the ranks differ
        ("sides", 4, 1),  # far beyond
        ("sides", 8, 1),  # offsets that are not aligned
        ("sides", 20, 0x80000000),  # words beyond all
        ("sides", 24, 0x7FFFFFFF),  # word count
        ("sides", 32, 1),  # tuples
        ("sides", 40, 0x7FFFFFFF),  # pages
        ("sides", 44, 0x7FFFFFFF),  # sets
        ("sets", 0, 0),  # presence of ids
        ("sets", 24, 0xFFFFFFFF),  # rank of the second page
        ("grants", 12, 0x7FFFFFFF),  # size of a context
        ("grants", 20, 0x7FFFFFFF),  # an instant beyond the year 9999
    ],
)
def test_a_wrong_number_in_a_directory_is_found_when_the_image_is_opened(section: str, at: int, value: int) -> None:
    data = bytearray(HOSTILE[section])
    struct.pack_into("<I", data, at, value)
    with pytest.raises(StoreError, match=r"sides|sets|grants|names\.places") as caught:
        opened({**HOSTILE, section: bytes(data)})
    assert caught.value.code == "corrupt"


def test_offsets_that_fall_or_leave_the_words_are_found_when_the_image_is_opened() -> None:
    _, offsets_at, _, word_count, _, page_count, set_count = struct.unpack_from("<QQQQQII", HOSTILE["sides"])
    assert page_count
    for number in (0, 1, set_count // 2, set_count):
        for value in (0, word_count + 1, 0x7FFFFFFF, 0xFFFFFFFF):
            data = bytearray(HOSTILE["sets"])
            if struct.unpack_from("<I", data, offsets_at + 4 * number)[0] == value:
                continue
            struct.pack_into("<I", data, offsets_at + 4 * number, value)
            with pytest.raises(StoreError, match="sets"):
                opened({**HOSTILE, "sets": bytes(data)})


def test_a_table_of_slots_without_an_end_is_searched_to_its_end() -> None:
    for slot in (0xFFFFFFFFFFFFFFFF, 1, 0x00000001_FFFFFFFF):
        names, _ = opened({**HOSTILE, "names.slots": struct.pack("<Q", slot) * 500})
        asked = [b"user:%d" % i for i in range(200)]
        assert [names.find(name) for name in asked] == [None] * len(asked)
        assert names.find_many(asked) == [None] * len(asked)
        assert names.text(0, 5) == "user:5"
