"""The work of one question is linear in the tuples it can touch, for each alternation, however many paths lead through them, and at any depth.

Paths are never enumerated: in mutually nested groups, in diamonds and in rings the number of paths is exponential, the number of tuples is not.
The kernel's own counter of tuples visited is held to twice the tuples stored, and long chains prove that nothing recurses on the C stack.
"""

from __future__ import annotations

import os
from itertools import pairwise

import pytest

import fgacore

SOAK = bool(os.environ.get("FGACORE_SOAK"))
CHAIN = 1_000_000
NESTED = 500

HEAD = """
model
  schema 1.1
type user
type group
  relations
    define barred: [user]
    define member: [user, group#member]
type folder
  relations
    define parent: [folder]
    define barred: [user]
    define viewer: """

PLAIN = "[user, group#member] or viewer from parent"
OUTSIDE = "[user, group#member] or viewer from parent\n    define seen: viewer but not barred"
INSIDE = "[user, group#member] or open\n    define open: viewer from parent but not barred"
KNOT = "[user, group#member] or open\n    define open: viewer from parent but not shut\n    define shut: [user, folder#viewer]"


def visited(engine: fgacore.Engine, subject: str, relation: str, name: str) -> tuple[bool, float]:
    """The answer, and the tuples visited for each alternation."""
    before = engine.stats()
    answer = engine.check(subject, relation, name)
    after = engine.stats()
    return answer, (after.tuples_visited - before.tuples_visited) / max(1, after.alternations - before.alternations)


def nested(count: int, rule: str, *more: tuple[str, str, str]) -> fgacore.Engine:
    """Every group's members include every other group's, and every folder has every other as a parent."""
    engine = fgacore.open(":memory:")
    engine.write_model(HEAD + rule)
    pairs = [(one, other) for one in range(count) for other in range(count) if one != other]
    engine.write([(f"group:{one}#member", "member", f"group:{other}") for one, other in pairs])
    engine.write([(f"folder:{one}", "parent", f"folder:{other}") for one, other in pairs])
    engine.write([("user:anne", "member", "group:0"), (f"group:{count - 1}#member", "viewer", "folder:0"), *more])
    return engine


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize(
    ("rule", "relation", "more"),
    [
        (PLAIN, "viewer", ()),
        (OUTSIDE, "seen", (("user:cain", "barred", "folder:1"),)),
        (INSIDE, "viewer", (("user:cain", "barred", "folder:1"),)),
    ],
    ids=["without", "outside", "inside"],
)
def test_mutually_nested_groups_and_folders_cost_each_tuple_twice_at_most(
    rule: str, relation: str, more: tuple[tuple[str, str, str], ...], merged: bool
) -> None:
    engine = nested(NESTED, rule, *more)
    if merged:
        engine.merge()
    stored = engine.stats().tuples
    assert stored > NESTED * (NESTED - 1) * 2
    for name in ("folder:0", "folder:1", f"folder:{NESTED - 1}"):
        for subject, expected in (("user:anne", True), ("user:bob", False), ("user:cain", False), ("user:anne", True)):
            answer, work = visited(engine, subject, relation, name)
            assert answer is expected, (subject, name)
            assert work <= 2 * stored, (subject, name, work, stored)
        answer, work = visited(engine, "group:0#member", relation, name)
        assert answer
        assert work <= 2 * stored, (name, work, stored)
    engine.close()


@pytest.mark.parametrize("merged", [False, True])
def test_a_knot_through_negation_in_nested_folders_is_linear_for_each_alternation(merged: bool) -> None:
    """folder:1 is shut to those who see folder:2. anne sees folder 0 by right; with all folders nested, 2 is seen through 0, so 1 is not open."""
    engine = nested(NESTED, KNOT, ("folder:2#viewer", "shut", "folder:1"), ("folder:3#viewer", "shut", "folder:3"))
    if merged:
        engine.merge()
    stored = engine.stats().tuples
    # Values: viewer of 0 true; of 2 true (through 0); shut of 1 true, so open of 1 false; 3 is seen if it is not seen: undefined, denied.
    for name, expected in (("folder:0", True), ("folder:2", True), ("folder:1", False), ("folder:3", False), (f"folder:{NESTED - 1}", True)):
        answer, work = visited(engine, "user:anne", "viewer", name)
        assert answer is expected, name
        assert work <= 2 * stored, (name, work, stored)
        assert engine.check("user:bob", "viewer", name) is False
    engine.close()


def test_twenty_four_nested_nodes_do_not_cost_their_paths() -> None:
    for rule, relation in ((PLAIN, "viewer"), (OUTSIDE, "seen"), (INSIDE, "viewer"), (KNOT, "viewer")):
        engine = nested(24, rule)
        stored = engine.stats().tuples
        for subject, expected in (("user:anne", True), ("user:bob", False)):
            for number in range(24):
                answer, work = visited(engine, subject, relation, f"folder:{number}")
                assert answer is expected
                assert work <= 2 * stored * 4
        engine.close()


# Chains


def chain(rule: str, length: int, *more: tuple[str, str, str]) -> fgacore.Engine:
    """folder:0 is in folder:1, and so on; group:0 is a member of group:1, and so on. Written in lots."""
    engine = fgacore.open(":memory:")
    engine.write_model(HEAD + rule)
    for lot in range(0, length, 200_000):
        engine.write([(f"folder:{number + 1}", "parent", f"folder:{number}") for number in range(lot, min(lot + 200_000, length))])
    engine.write(list(more))
    return engine


@pytest.mark.parametrize("rule", [PLAIN, INSIDE], ids=["plain", "negated"])
def test_a_million_nested_folders_are_answered(rule: str) -> None:
    length = CHAIN
    relation = "viewer"
    engine = chain(rule, length, ("user:anne", "viewer", f"folder:{length}"), ("user:cain", "viewer", f"folder:{length}"))
    engine.write([("user:cain", "barred", f"folder:{length // 2}")])
    stored = engine.stats().tuples
    for merged in (False, True):
        if merged:
            engine.merge()
        for subject, expected in (("user:anne", True), ("user:bob", False), ("user:anne", True)):
            answer, work = visited(engine, subject, relation, "folder:0")
            assert answer is expected
            assert work <= 2 * stored * (2 if rule is INSIDE else 1)
        assert engine.check("user:cain", relation, f"folder:{length // 2 + 1}")
        assert engine.check("user:cain", relation, "folder:0") is (rule is PLAIN)
        assert engine.check("user:cain", relation, f"folder:{length // 2}") is (rule is PLAIN)
        names = ["folder:0", "folder:7", f"folder:{length}", "folder:none", f"folder:{length - 1}"]
        assert engine.check_objects("user:anne", relation, names) == [True, True, True, False, True]
        assert list(engine.batch_check([("user:bob", relation, name) for name in names])) == [False] * 5
        assert engine.check(f"folder:{length}#viewer", relation, "folder:0") is True
    engine.close()


def test_a_million_nested_groups_are_answered() -> None:
    engine = fgacore.open(":memory:")
    engine.write_model(HEAD + PLAIN)
    for lot in range(0, CHAIN, 200_000):
        engine.write([(f"group:{number}#member", "member", f"group:{number + 1}") for number in range(lot, lot + 200_000)])
    engine.write([("user:anne", "member", "group:0"), (f"group:{CHAIN}#member", "viewer", "folder:top")])
    stored = engine.stats().tuples
    for merged in (False, True):
        if merged:
            engine.merge()
        for subject, expected in (("user:anne", True), ("user:bob", False), ("group:5#member", True), ("user:anne", True)):
            for relation, name in (("member", f"group:{CHAIN}"), ("viewer", "folder:top")):
                answer, work = visited(engine, subject, relation, name)
                assert answer is expected
                assert work <= 2 * stored
        assert not engine.check(f"group:{CHAIN}#member", "member", "group:0")
    engine.close()


UNEVEN = """
model
  schema 1.1
type user
type folder
  relations
    define parent: [folder]
    define org: [folder]
    define owner: [user]
    define viewer: [user] or viewer from parent or owner from org
    define inner: [user] or (inner from parent and owner from org) or owner
    define outer: [user] or (outer from parent but not owner from org)
"""


@pytest.mark.parametrize("length", [CHAIN])
def test_a_chain_whose_step_is_not_the_last_thing_to_do(length: int) -> None:
    engine = fgacore.open(":memory:")
    engine.write_model(UNEVEN)
    for lot in range(0, length, 100_000):
        numbers = range(lot, min(length, lot + 100_000))
        engine.write([(f"folder:{number + 1}", "parent", f"folder:{number}") for number in numbers])
        engine.write([("folder:org", "org", f"folder:{number}") for number in numbers if number % 2])
        engine.write([("folder:club", "org", f"folder:{number}") for number in numbers])
    last = f"folder:{length}"
    engine.write([("user:org", "owner", "folder:org"), ("user:club", "owner", "folder:club"), ("user:club", "inner", last)])
    engine.write([(subject, "outer", last) for subject in ("user:anne", "user:club", "user:org")])
    stored = engine.stats().tuples
    for merged in (False, True):
        if merged:
            engine.merge()
        for subject, viewer, inner, outer in (
            ("user:org", True, False, False),
            ("user:club", True, True, False),
            ("user:anne", False, False, True),
            ("user:bob", False, False, False),
        ):
            for relation, expected in (("viewer", viewer), ("inner", inner), ("outer", outer)):
                answer, work = visited(engine, subject, relation, "folder:0")
                assert answer is expected, (subject, relation)
                assert work <= 2 * stored * 2, (subject, relation, work, stored)
    engine.close()


# Diamonds


DIAMONDS = """
model
  schema 1.1
type user
type folder
  relations
    define parent: [folder]
    define barred: [user, folder#barred]
    define both: [user] or (both from parent and open)
    define open: [user:*]
    define viewer: [user] or viewer from parent
    define free: [user] or (free from parent but not barred)
    define member: [user, folder#member]
    define strict: [user, folder#strict] and open
"""


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("depth", [60, 1_000])
def test_diamonds_do_not_cost_their_paths(depth: int, merged: bool) -> None:
    """Two folders on each level, each within both of the next: 2^depth paths."""
    engine = fgacore.open(":memory:")
    engine.write_model(DIAMONDS)
    writes = []
    for level, above in pairwise(range(depth + 1)):
        for one in "lr":
            writes += [("user:*", "open", f"folder:{level}{one}")]
            for other in "lr":
                below, name = f"folder:{level}{one}", f"folder:{above}{other}"
                writes += [(name, "parent", below), (f"{name}#member", "member", below), (f"{name}#strict", "strict", below)]
    top = f"folder:{depth}l"
    writes += [("user:*", "open", top), *(("user:anne", relation, top) for relation in ("both", "viewer", "free", "member", "strict"))]
    writes += [("user:cain", "free", top), ("user:cain", "barred", f"folder:{depth // 2}l"), ("user:cain", "barred", f"folder:{depth // 2}r")]
    engine.write(writes)
    if merged:
        engine.merge()
    stored = engine.stats().tuples
    for relation in ("both", "viewer", "free", "member", "strict"):
        for subject, expected in (("user:anne", True), ("user:bob", False)):
            answer, work = visited(engine, subject, relation, "folder:0l")
            assert answer is expected, (relation, subject)
            assert work <= 2 * stored * 2, (relation, subject, work, stored)
    answer, work = visited(engine, "user:cain", "free", "folder:0l")
    assert not answer
    assert work <= 2 * stored * 2
    assert engine.check("user:cain", "free", f"folder:{depth // 2 + 1}r")
    engine.close()


# Rings


RING = """
model
  schema 1.1
type user
type node
  relations
    define next: [node]
    define shut: [user, node#reach]
    define reach: [user] or (reach from next but not shut)
"""


@pytest.mark.parametrize("length", [100_000])
def test_a_ring_with_one_place_that_is_shut(length: int) -> None:
    """reach runs down the ring from where it is granted; at one place it is shut to those who reach the place before, hence to nobody or to all."""
    engine = fgacore.open(":memory:")
    engine.write_model(RING)
    engine.write([(f"node:{(number + 1) % length}", "next", f"node:{number}") for number in range(length)])
    grant, shut = length - 1, length // 2
    engine.write([("user:anne", "reach", f"node:{grant}"), (f"node:{shut + 1}#reach", "shut", f"node:{shut}")])
    engine.write([("user:cain", "reach", f"node:{grant}"), ("user:cain", "shut", f"node:{length // 4}")])
    stored = engine.stats().tuples
    for merged in (False, True):
        if merged:
            engine.merge()
        # anne: from the grant down to shut + 1, and not below, since who reaches shut + 1 is shut out of shut.
        for number, expected in ((grant, True), (shut + 1, True), (shut, False), (shut - 1, False), (0, False), (length // 4, False)):
            for subject in ("user:anne", "user:cain"):
                answer, work = visited(engine, subject, "reach", f"node:{number}")
                assert answer is expected, (subject, number)
                assert work <= 2 * stored * 4, (subject, number, work, stored)
            assert not engine.check("user:bob", "reach", f"node:{number}")
        engine.write(deletes=[(f"node:{shut + 1}#reach", "shut", f"node:{shut}")])
        for number, expected in ((grant, True), (shut, True), (0, True), (length // 4, True)):
            assert engine.check("user:anne", "reach", f"node:{number}") is expected, number
        assert not engine.check("user:cain", "reach", f"node:{length // 4}")
        assert not engine.check("user:cain", "reach", "node:0")
        assert engine.check("user:cain", "reach", f"node:{length // 4 + 1}")
        # Now the one who is shut out is the one who reaches this very place: undefined there and below.
        engine.write([(f"node:{shut}#reach", "shut", f"node:{shut}")])
        for number, expected in ((grant, True), (shut + 1, True), (shut, False), (0, False)):
            assert engine.check("user:anne", "reach", f"node:{number}") is expected, number
        engine.write([(f"node:{shut + 1}#reach", "shut", f"node:{shut}")], deletes=[(f"node:{shut}#reach", "shut", f"node:{shut}")])
    engine.close()
