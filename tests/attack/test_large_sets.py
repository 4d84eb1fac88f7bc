"""Sets that grow and shrink across every border of their representation, in both directions, with merges between: always what a Python set has.

Each link is one shape of fact about number `i`: a hub with many subjects, many objects, many usersets in it, many parents over it, and so on.
Names are given out first, so that members lie on both sides of every multiple of 65,536.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy
import pytest

import fgacore

SOAK = bool(os.environ.get("FGACORE_SOAK"))
SEED = os.environ.get("FGACORE_SEED") or str(random.SystemRandom().randrange(1 << 32))
UNIVERSE = 400_000 if SOAK else 140_000
Triple = tuple[str, str, str]

MODEL = """
model
  schema 1.1
type user
type group
  relations
    define member: [user, group#member]
type folder
  relations
    define parent: [folder]
    define viewer: [user] or viewer from parent
type doc
  relations
    define parent: [folder]
    define barred: [user]
    define reader: [user, user:*, group#member]
    define viewer: reader or viewer from parent
    define can: viewer but not barred
    define both: reader and viewer from parent
"""


@dataclass(frozen=True)
class Link:
    """The tuple of number i, and the question whose answer says whether it is stored (or, negated, that it is not)."""

    tuple_of: Callable[[int], Triple]
    question_of: Callable[[int], Triple]
    base: tuple[Triple, ...] = ()
    base_of: Callable[[int], Triple] | None = None
    negated: bool = False
    asked: int = 150  # numbers at random and as many members, in each phase


LINKS = {
    "many subjects": Link(lambda i: (f"user:{i}", "reader", "doc:hub"), lambda i: (f"user:{i}", "reader", "doc:hub")),
    "many objects": Link(lambda i: ("user:hub", "reader", f"doc:{i}"), lambda i: ("user:hub", "viewer", f"doc:{i}")),
    "many usersets in one": Link(
        lambda i: (f"group:{i}#member", "member", "group:hub"),
        lambda i: (f"user:{i}", "member", "group:hub"),
        base_of=lambda i: (f"user:{i}", "member", f"group:{i}"),
    ),
    "one userset on many": Link(
        lambda i: ("group:hub#member", "reader", f"doc:{i}"), lambda i: ("user:hub", "can", f"doc:{i}"), base=(("user:hub", "member", "group:hub"),)
    ),
    "many parents of one": Link(
        lambda i: (f"folder:{i}", "parent", "doc:hub"),
        lambda i: (f"user:{i}", "viewer", "doc:hub"),
        base_of=lambda i: (f"user:{i}", "viewer", f"folder:{i}"),
        asked=20,  # a question may cost each of the parents
    ),
    "one parent of many": Link(
        lambda i: ("folder:hub", "parent", f"doc:{i}"), lambda i: ("user:hub", "viewer", f"doc:{i}"), base=(("user:hub", "viewer", "folder:hub"),)
    ),
    "many barred": Link(
        lambda i: (f"user:{i}", "barred", "doc:hub"), lambda i: (f"user:{i}", "can", "doc:hub"), base=(("user:*", "reader", "doc:hub"),), negated=True
    ),
    "many barred from": Link(
        lambda i: ("user:hub", "barred", f"doc:{i}"),
        lambda i: ("user:hub", "can", f"doc:{i}"),
        base_of=lambda i: ("user:*", "reader", f"doc:{i}"),
        negated=True,
    ),
    "a userset in many": Link(
        lambda i: ("group:hub#member", "member", f"group:{i}"),
        lambda i: ("user:hub", "member", f"group:{i}"),
        base=(("user:hub", "member", "group:hub"),),
    ),
    "a folder over many": Link(
        lambda i: ("folder:hub", "parent", f"folder:{i}"),
        lambda i: ("user:hub", "viewer", f"folder:{i}"),
        base=(("user:hub", "viewer", "folder:hub"),),
    ),
}

BORDERS = (1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 254, 255, 256, 257, 511, 512, 513, 1_024, 1_025, 4_095, 4_096, 4_097)
LARGE = (8_192, 65_535, 65_536, 65_537, 100_001, UNIVERSE)
PHASES = (*BORDERS, *LARGE, *LARGE[::-1][1:], *BORDERS[::-1], 0, 5_000, 8, 5_000, 0)

PATTERNS = {
    "spread": lambda rng: rng.sample(range(UNIVERSE), UNIVERSE),
    "in order": lambda rng: list(range(UNIVERSE)),
    "from the border": lambda rng: [(65_500 + i) % UNIVERSE for i in range(UNIVERSE)],
    "every seventh": lambda rng: [i for start in rng.sample(range(7), 7) for i in range(start, UNIVERSE, 7)],
    "by blocks": lambda rng: [
        i for block in rng.sample(range(0, UNIVERSE, 4_096), len(range(0, UNIVERSE, 4_096))) for i in range(block, min(block + 4_096, UNIVERSE))
    ],
}


class Growing:
    def __init__(self, name: str, pattern: str, rng: random.Random) -> None:
        self.rng, self.link = rng, LINKS[name]
        self.engine = fgacore.open(":memory:")
        self.engine.write_model(MODEL)
        # Give the names out in order, so that number i is near id i; then take the tuples away.
        seen = [self.link.tuple_of(i) for i in range(UNIVERSE)]
        self.engine.write(seen)
        self.engine.write(list(self.link.base) + ([self.link.base_of(i) for i in range(UNIVERSE)] if self.link.base_of else []))
        self.engine.write(deletes=seen)
        self.held: set[int] = set()
        self.order = PATTERNS[pattern](rng)

    def resize(self, size: int) -> None:
        """To this size, in one write or in a few, some with an exchange in them."""
        members = set(self.held)
        add = [i for i in self.order if i not in members][: max(0, size - len(members))]
        gone = self.rng.sample(sorted(members), max(0, len(members) - size))
        if self.rng.random() < 0.5 and 20 < size < 5_000:  # as many out as in, beside the change of size
            rest = sorted(members.difference(gone))
            swapped = self.rng.sample(rest, min(len(rest), 10))
            gone += swapped
            absent = [i for i in self.rng.sample(range(UNIVERSE), 40) if i not in members and i not in add]
            add += absent[: len(swapped)]
        lots = 1 if self.rng.random() < 0.5 else self.rng.randint(2, 5)
        for lot in range(lots):
            writes, deletes = add[lot::lots], gone[lot::lots]
            if writes or deletes:
                self.engine.write([self.link.tuple_of(i) for i in writes], deletes=[self.link.tuple_of(i) for i in deletes])
                self.held.update(writes)
                self.held.difference_update(deletes)
            if self.rng.random() < 0.2:
                self.engine.merge()

    def verify(self, told: str) -> None:
        engine, link, held = self.engine, self.link, self.held
        numbers = {0, 1, 65_535, 65_536, 65_537, 131_071, 131_072, UNIVERSE - 1, *self.rng.sample(range(UNIVERSE), link.asked)}
        members = sorted(held)
        numbers.update(members[:3], members[-3:], self.rng.sample(members, min(len(members), link.asked)))
        asked = sorted(numbers)
        if self.rng.random() < 0.5:
            self.rng.shuffle(asked)
        right = [(i in held) is not link.negated for i in asked]
        got = list(engine.batch_check([link.question_of(i) for i in asked]))
        assert got == right, f"{told}: batch, numbers {[i for i, a, b in zip(asked, got, right, strict=True) if a is not b][:10]}"
        few = asked[:25]
        assert [engine.check(*link.question_of(i)) for i in few] == right[:25], f"{told}: check"
        subject, relation, name = link.question_of(0)
        if subject == "user:hub":  # everything at once, by ids
            type_name = name.partition(":")[0]
            ids = self.ids_of(type_name)
            known = ids != fgacore.NONE
            hub = int(engine.ids("user", ["hub"])[0])
            given = engine.check_ids(hub, relation, ids, subject_type="user", object_type=type_name)
            expected = numpy.zeros(UNIVERSE, dtype=bool)
            expected[members] = True
            wrong = numpy.flatnonzero(known & (given != (expected != link.negated)))
            assert wrong.size == 0, f"{told}: by ids, {wrong.size} wrong, first {wrong[:10]}"

    def ids_of(self, type_name: str) -> numpy.ndarray:
        if not hasattr(self, "_ids"):
            self._ids = self.engine.ids(type_name, [str(i) for i in range(UNIVERSE)])
            assert (self._ids != fgacore.NONE).all()
        return self._ids

    def verify_read(self, told: str) -> None:
        subject, relation, name = self.link.tuple_of(1)
        parts = {"relation": relation} | ({"object": name} if name.endswith(":hub") else {"subject": subject})
        read = [(found.subject, found.relation, found.object) for found in self.engine.read(**parts)]
        wanted = {self.link.tuple_of(i) for i in self.held}
        extra = {triple for triple in self.link.base if triple[1] == relation and ("object" not in parts or triple[2] == name)}
        extra = {triple for triple in extra if "subject" not in parts or triple[0] == subject}
        assert len(read) == len(set(read)), f"{told}: read twice"
        assert set(read) == wanted | extra, f"{told}: read"


@pytest.mark.parametrize("name", LINKS)
def test_a_set_of_any_size_is_what_a_python_set_is(name: str) -> None:
    for number, pattern in enumerate(PATTERNS if SOAK else [random.Random(f"{SEED}{name}").choice(list(PATTERNS))]):
        rng = random.Random(f"{SEED}-{name}-{number}")
        growing = Growing(name, pattern, rng)
        phases = (
            PHASES if SOAK else [phase for phase in PHASES if phase in (8, 9, 256, 257, 4_096, 4_097, 65_537, UNIVERSE, 0) or rng.random() < 0.25]
        )
        last = None
        for size in phases:
            growing.resize(size)
            told = f"FGACORE_SEED={SEED}, {name}, {pattern}, from {last} to {size}"
            assert len(growing.held) == size
            growing.verify(told)
            if rng.random() < 0.3:
                growing.engine.merge()
                growing.verify(f"{told}, merged")
            if size < 10_000 or rng.random() < 0.2:
                growing.verify_read(told)
            last = size
        growing.engine.close()


def test_one_at_a_time_over_the_small_borders() -> None:
    """Every size from 0 to 300 and back, one tuple at a time, both directions at once, merged at some."""
    rng = random.Random(f"{SEED}-one")
    engine = fgacore.open(":memory:")
    engine.write_model(MODEL)
    users, docs = [f"user:{i}" for i in range(600)], [f"doc:{i}" for i in range(600)]
    held: set[tuple[int, str]] = set()
    order = rng.sample(range(600), 300)
    for step, i in enumerate([*order, *rng.sample(order, 300)]):
        pair = [(users[i], "reader", "doc:hub"), ("user:hub", "reader", docs[i])]
        if step < 300:
            engine.write(pair)
            held.add((i, ""))
        else:
            engine.write(deletes=pair)
            held.remove((i, ""))
        if rng.random() < 0.04:
            engine.merge()
        right = [(number, "") in held for number in range(600)]
        told = f"FGACORE_SEED={SEED}, step {step}"
        assert engine.check_objects("user:hub", "reader", docs) == right, told
        assert list(engine.batch_check([(user, "reader", "doc:hub") for user in users])) == right, told
    assert engine.stats().tuples == 0
    engine.close()


def test_two_large_sets_that_differ_in_one_member_stay_apart() -> None:
    engine = fgacore.open(":memory:")
    engine.write_model(MODEL)
    engine.write([(f"user:{i}", "reader", "doc:left") for i in range(70_000)])
    engine.write([(f"user:{i}", "reader", "doc:right") for i in range(70_000) if i != 65_536])
    for merged in (False, True):
        if merged:
            engine.merge()
        assert list(engine.batch_check([(f"user:{i}", "reader", "doc:left") for i in (65_535, 65_536, 65_537, 69_999, 70_000)])) == [True] * 4 + [
            False
        ]
        assert list(engine.batch_check([(f"user:{i}", "reader", "doc:right") for i in (65_535, 65_536, 65_537, 69_999)])) == [True, False, True, True]
        assert engine.check_objects("user:65536", "reader", ["doc:left", "doc:right", "doc:left"]) == [True, False, True]
    engine.delete(object="doc:left")
    assert not any(engine.batch_check([(f"user:{i}", "reader", "doc:left") for i in range(70_000)]))
    assert sum(engine.batch_check([(f"user:{i}", "reader", "doc:right") for i in range(70_000)])) == 69_999
    engine.close()
