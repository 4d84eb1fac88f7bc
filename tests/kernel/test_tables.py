"""Tables against a Python dict of sets: what a version holds, on both sides, after any writes, deletes and merges, and as long as it is held."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterable

import pytest

import fgacore
from fgacore.kernel.tables import Edit, Version

SMALL = bool(os.environ.get("FGACORE_SMALL"))
MODEL = "model\n  schema 1.1\ntype user\ntype doc\n  relations\n    define viewer: [user]\n"
Pair = tuple[int, int]  # (object id, subject id)


class World:
    """An engine whose user:i and doc:i have the id i, and the set of pairs that its one table should hold."""

    def __init__(self, names: int) -> None:
        self.engine = fgacore.open(":memory:")
        self.engine.write_model(MODEL)
        self.engine.write([(f"user:{i}", "viewer", f"doc:{i}") for i in range(names)])
        self.engine.write(deletes=[(f"user:{i}", "viewer", f"doc:{i}") for i in range(names)])
        symbols = self.engine._state.symbols
        self.table = symbols.tables[symbols.types["doc"], symbols.relations["viewer"], (symbols.types["user"], None, False), ""]
        self.pairs: set[Pair] = set()

    @property
    def version(self) -> Version:
        return self.engine._state.newest

    def change(self, add: Iterable[Pair] = (), remove: Iterable[Pair] = ()) -> None:
        add, remove = set(add) - self.pairs, set(remove) & self.pairs
        self.engine.write([(f"user:{s}", "viewer", f"doc:{o}") for o, s in add], deletes=[(f"user:{s}", "viewer", f"doc:{o}") for o, s in remove])
        self.pairs = self.pairs - remove | add

    def change_at_random(self, rng: random.Random, objects: range, subjects: range, most: int) -> None:
        """Some pairs in, some out, in one write; rarely a merge."""
        gone = rng.sample(sorted(self.pairs), min(len(self.pairs), rng.randint(0, most)))
        self.change({(rng.choice(objects), rng.choice(subjects)) for _ in range(rng.randint(0, most))} - set(gone), gone)
        if rng.random() < 0.05:
            self.engine.merge()

    def assert_holds(self) -> None:
        assert_version(self.version, self.table, self.pairs)


def sides(pairs: Iterable[Pair]) -> tuple[dict[int, set[int]], dict[int, set[int]]]:
    forward: dict[int, set[int]] = {}
    reverse: dict[int, set[int]] = {}
    for o, s in pairs:
        forward.setdefault(o, set()).add(s)
        reverse.setdefault(s, set()).add(o)
    return forward, reverse


def assert_version(version: Version, table: int, pairs: set[Pair]) -> None:
    assert version.tuple_count() == len(pairs)
    for reverse, side in enumerate(sides(pairs)):
        assert version.keys(table, bool(reverse)) == sorted(side)
        for id, members in side.items():
            assert version.members(table, id, bool(reverse)) == sorted(members)
        absent = [id for id in (0, 1, 63, 64, 65_535, 65_536, 0x7FFFFFFF, 0xFFFFFFFF) if id not in side]
        assert [version.members(table, id, bool(reverse)) for id in absent] == [[]] * len(absent)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("most", [1, 8, 100])
def test_random_writes_deletes_and_merges_are_those_of_a_set(seed: int, most: int) -> None:
    world, rng = World(400), random.Random(f"{seed}-{most}")
    objects, subjects = (range(3), range(400)) if seed == 0 else (range(400), range(3)) if seed == 1 else (range(100), range(100))
    for step in range(40 if SMALL else 400):
        world.change_at_random(rng, objects, subjects, most)
        if step % 20 == 0:
            world.assert_holds()
    world.assert_holds()
    world.engine.merge()
    assert world.version.delta_count() == 0
    world.assert_holds()


SIZES = [0, 1, 2, 7, 8, 9, 64, 255, 256, 257, 258, 1_000, 4_095, 4_096, 4_097, 4_098, 5_000]


@pytest.mark.parametrize("hub", ["object", "subject"])
@pytest.mark.parametrize("merging", ["never", "always", "sometimes"])
@pytest.mark.parametrize("first", [0, 63_000], ids=["in one block", "over the border of 65,536"])
def test_a_set_of_any_size_is_what_it_should_be(hub: str, merging: str, first: int) -> None:
    """Run, roaring array and bitmap container, up and down over each border, one or many at a time."""
    world, rng = World(first + 6_000), random.Random(f"{hub}{merging}{first}")
    ids = rng.sample(range(first, first + 6_000), max(SIZES))
    sizes = [*SIZES, *SIZES[::-1], 300, 0, 4_500, 3, 257, 256]
    for size in sizes[:24] if SMALL else sizes:
        wanted = {(7, id) if hub == "object" else (id, 7) for id in ids[:size]}
        world.change(wanted, world.pairs - wanted)
        swapped = (7, ids[-1]) if hub == "object" else (ids[-1], 7)
        if size < max(SIZES):
            world.change([swapped])
            world.change(remove=[swapped])
        if merging == "always" or (merging == "sometimes" and rng.random() < 0.3):
            world.engine.merge()
        assert world.version.members(world.table, 7, hub == "subject") == sorted(ids[:size])
        if size % 2:
            world.assert_holds()


def test_dense_and_sparse_containers_are_edited_over_a_merged_base() -> None:
    """Every container of a large base in turn: one member out of a full one, one into an empty one, and back."""
    count = 10_000 if SMALL else 140_000
    world = World(count)
    world.change((0, id) for id in range(count) if id % 65_536 < 30_000 or id % 100 == 0)
    world.engine.merge()
    world.assert_holds()
    held, before = world.version, set(world.pairs)
    for id in (0, 29_999, 30_000, 30_001, 65_535, 65_536, 95_535, 95_537, 131_071, 131_072, count - 1):
        pair = (0, min(id, count - 1))
        world.change(*(([], [pair]) if pair in world.pairs else ([pair], [])))
    world.assert_holds()
    assert_version(held, world.table, before)


def test_tables_that_do_not_exist_are_empty() -> None:
    version = World(10).version
    for table in (version.table_total, 0xFFFFFFFF):
        assert (version.members(table, 0), version.members(table, 0, True), version.keys(table), version.table_bytes(table)) == ([], [], [], 0)


# ---- edits ----


def test_an_edit_sees_what_it_has_changed_and_the_version_before_does_not() -> None:
    world = World(20)
    world.change([(1, 1), (2, 2)])
    before = world.version
    for private in (False, True):
        edit = Edit(before, before.serial + 1, before.table_total, private)
        assert not edit.changed
        assert (edit.holds(world.table, 1, 1), edit.holds(world.table, 3, 3)) == ((True, None), (False, None))
        edit.change(world.table, [(3, 3), (2, 2)], [(1, 1)], expires=9)
        assert edit.changed
        assert [edit.holds(world.table, id, id) for id in (1, 2, 3)] == [(False, None), (True, 9), (True, 9)]
        assert [edit.holds(table, 1, 1) for table in (before.table_total, 0xFFFFFFFF)] == [(False, None)] * 2
        assert_version(before, world.table, {(1, 1), (2, 2)})
        if private:
            assert_version(edit.finish(before.revision), world.table, {(2, 2), (3, 3)})
            with pytest.raises(ValueError, match="once"):
                edit.finish(before.revision)


def test_an_edit_that_changes_nothing_says_so() -> None:
    world = World(20)
    world.change([(1, 1)])
    edit = Edit(world.version, world.version.serial + 1, world.version.table_total, True)
    edit.change(world.table, [(1, 1)], [(5, 5)])
    assert not edit.changed
    edit.change(world.table, [(1, 1)], expires=9)
    assert edit.changed


def test_a_version_has_the_names_of_its_ids() -> None:
    world = World(20)
    first = world.version
    world.change([(1, 1)])
    assert world.version.names is first.names
    assert (first.names.text(0, 7), first.names.count_of(0)) == ("user:7", 20)


# ---- versions ----


def test_held_versions_stay_as_they_were() -> None:
    """Hundreds of writes, deletes and merges later, and whatever is let go before."""
    world, rng = World(600), random.Random("pins")
    held: list[tuple[Version, set[Pair]]] = []
    for step in range(60 if SMALL else 600):
        world.change_at_random(rng, range(3) if step % 3 else range(600), range(600), 60)
        if step % 10 == 0:
            held.append((world.version, set(world.pairs)))
        if len(held) > 20:
            version, pairs = held.pop(rng.randrange(len(held)))
            assert_version(version, world.table, pairs)
            del version
    rng.shuffle(held)
    while held:
        for version, pairs in held[:: 1 if SMALL else 4]:
            assert_version(version, world.table, pairs)
        held.pop()
    world.assert_holds()


@pytest.mark.parametrize("size", [6, 200, 255, 300, 3_000, 4_096, 5_000])
@pytest.mark.parametrize("hub", ["object", "subject"])
def test_held_versions_of_a_set_of_any_form_stay_as_they_were(size: int, hub: str) -> None:
    """Its run or containers are in the delta when it is held, so each write after that must make its own."""
    world, rng = World(size + 200), random.Random(f"{size}{hub}")
    held: list[tuple[Version, list[int]]] = []
    members = set(range(0, size, 2)) | set(range(size // 2))
    for step in range(40):
        new, gone = set(rng.sample(range(size + 200), 3)) - members, set(rng.sample(sorted(members), 2)) if step else set()
        new |= set() if step else members
        pairs = [{(7, id) if hub == "object" else (id, 7) for id in ids} for ids in (new, gone)]
        world.change(*pairs)
        members = members - gone | new
        held.append((world.version, sorted(members)))
        for version, right in held[-12:]:
            assert version.members(world.table, 7, hub == "subject") == right
        if step % 15 == 14:
            world.engine.merge()
    for version, right in held[:: 1 if SMALL else 3]:
        assert version.members(world.table, 7, hub == "subject") == right
    world.assert_holds()


def test_a_held_version_outlives_its_engine() -> None:
    world = World(300)
    world.change((1, id) for id in range(300))
    version, table, pairs = world.version, world.table, set(world.pairs)
    world.engine.close()
    del world
    assert_version(version, table, pairs)


def test_a_long_chain_of_versions_is_released_without_recursion() -> None:
    world, triple = World(10), ("user:1", "viewer", "doc:2")
    first = world.version
    for _ in range(2_500 if SMALL else 50_000):
        world.engine.write([triple])
        world.engine.write(deletes=[triple])
    assert_version(first, world.table, set())
    del first
    world.assert_holds()


def test_a_long_chain_goes_with_its_engine() -> None:
    world = World(10)
    first = world.version
    for i in range(1_000 if SMALL else 20_000):
        world.engine.write([(f"user:{i}", "viewer", "doc:1")])
    count = world.version.tuple_count()
    world.engine.close()
    del world
    assert (first.tuple_count(), count) == (0, 1_000 if SMALL else 20_000)


LEAKS = """
import random, sys
import fgacore
rounds, model = int(sys.argv[1]), sys.argv[2]

def one(seed):
    rng = random.Random(seed)
    engine = fgacore.open()
    engine.write_model(model)
    tuples = [(f"user:{i % 700}", "viewer", f"doc:{i // 7}") for i in range(3_000)] + [(f"user:{i}", "viewer", "doc:hub") for i in range(5_000)]
    engine.write(tuples)
    held = engine._state.newest
    for i in range(100):
        some = rng.sample(tuples, 20)
        engine.write(deletes=some)
        engine.write(some)
        engine.check_objects(f"user:{i}", "viewer", ["doc:1", "doc:hub"] * 5)
        if i % 20 == 0:
            engine.merge()
        try:
            engine.write([(f"user:new{i}", "viewer", "doc:1"), ("user", "viewer", "doc:1")])
        except fgacore.RequestError:
            pass
    if seed % 2:
        engine.close()
    return held

def resident():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * 4_096

for i in range(rounds):
    one(i)
before = resident()
for i in range(4 * rounds):
    one(i)
print(resident() - before)
"""


@pytest.mark.skipif(os.environ.get("FGACORE_SANITIZE") == "address", reason="AddressSanitizer keeps freed memory for a while, on purpose")
def test_engines_opened_and_let_go_leave_no_memory_behind() -> None:
    """An engine of these holds some MiB at its height; what forty of them leave behind is less than one."""
    run = [sys.executable, "-c", LEAKS, "2" if SMALL else "10", MODEL]
    grown = int(subprocess.run(run, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, check=True, capture_output=True, text=True).stdout)
    assert grown < 4 << 20
