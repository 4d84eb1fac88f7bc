"""What lists cost: all that a subject may see, as ids and as names, among few and many objects; filters; a reach; beside lists written by hand.

    python -m benchmarks.lists [--objects 1000000] [--many 10000000] [--rounds 31] [--named] [--json FILE]

All in one process and in turn, and every list is compared, whole, with the right one before it is timed. Times are microseconds a call. `x` is
our time over that beside it; beside an engine it is that engine's time over ours. `must` is the bound that the project has set itself.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from time import perf_counter_ns
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

import fgacore

from .machine import facts, line
from .peers import Peer, named
from .scenarios import AGENT, SHAPES, VIEWER, Scenario, Triple, WrongAnswer, load
from .timing import in_turn, quiet

__all__ = [
    "GROUPS",
    "HandLists",
    "Must",
    "main",
    "measure_all",
    "measure_few",
    "measure_filters",
    "measure_hand",
    "measure_named",
    "measure_reach",
]

OBJECTS = 1_000_000
MANY = 10_000_000
FEW = 100  # results among many objects
ROUNDS = 31
CANDIDATES = 10_000
TUPLE_COUNT = 100_000  # of the three shapes
TYPES, RELATIONS = 20, 10
OPENFGA_MS = (
    82.0  # OpenFGA 1.22.1 embedded in Go, an index under it, pipeline on: the 40,000 documents of the folders, measured once on two EPYC CPUs
)

GROUPS = {  # of rows, and what the second time is of
    "everything, as ids": "flatnonzero",
    "everything, as names": "[names[i]]",
    "few among many": "among few",
    "filters": "checks",
    "reach": "its lists",
    "by hand, pyroaring": "by hand",
    "engines": "theirs",
}

Rows = dict[str, dict[str, Any]]
Groups = dict[str, Rows]
Ids = NDArray[np.uint32]


class Must(NamedTuple):
    """A bound on a figure of a row: `x`, `ms` and `ns` (an item) at most, `peer` (how many times as long a peer takes) at least."""

    figure: str
    bound: float

    def holds(self, row: Mapping[str, Any]) -> bool:
        value = {"x": row["x"], "peer": row["x"], "ms": row["us"] / 1e3, "ns": row.get("item_ns")}[self.figure]
        return bool(value >= self.bound) if self.figure == "peer" else bool(value <= self.bound)

    def __str__(self) -> str:
        texts = {"x": "<= {:g} x", "ms": "<= {:g} ms", "ns": "<= {:g} ns an item", "peer": ">= {:g} x"}
        return texts[self.figure].format(self.bound)


def make_row(ns: float, beside: float, *musts: Must, items: int = 0, peer: bool = False) -> dict[str, Any]:
    """Our time and the other's, both of a call, the ratio, what an item takes, and whether that keeps within the bounds."""
    row: dict[str, Any] = {"us": ns / 1e3, "beside": beside / 1e3, "x": beside / ns if peer else ns / beside}
    if items:
        row["item_ns"] = ns / items
    return row | {"must": " and ".join(map(str, musts)), "holds": all(must.holds(row) for must in musts)} if musts else row


def measure(
    ours: Callable[[], object], theirs: Callable[[], object], rounds: int, *musts: Must, items: int = 0, peer: bool = False
) -> dict[str, Any]:
    """Both in turn, each run once untimed right before."""
    with quiet():
        ns, beside = in_turn([(lambda _: ours(), _nothing), (lambda _: theirs(), _nothing)], rounds, 1)
    return make_row(ns, beside, *musts, items=items, peer=peer)


def _nothing() -> None:
    pass


def same(found: Iterable[Any], right: Iterable[Any], told: str) -> None:
    """Raise WrongAnswer if a list has not what it should have, in the order it should have."""
    given, wanted = list(found), list(right)
    if given != wanted:
        missing, beyond = set(wanted) - set(given), set(given) - set(wanted)
        raise WrongAnswer(f"{told}: {len(given)} listed, should be {len(wanted)}; {len(missing)} missing, {len(beyond)} too many, or out of order")


def write_all(engine: fgacore.Engine, tuples: Iterator[Triple], size: int = 10_000) -> None:
    """In lots, made as they are written: ten million triples at once would take more room than the store."""
    lot: list[Triple] = []
    for each in tuples:
        lot.append(each)
        if len(lot) == size:
            engine.write(lot)
            lot.clear()
    if lot:
        engine.write(lot)


# ---- everything ----

EVERYTHING = """model
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
    define viewer: [user, group#member] or viewer from parent
"""
WAYS = {"direct": 4, "groups, 5 levels": 12, "folders, 10 levels": 12}  # and the bound on the ids, by flatnonzero


def open_everything(way: str, object_count: int, seed: int = 61) -> tuple[fgacore.Engine, list[str]]:
    """A store in which the agent may see every document, by one way alone, and their names by rising id."""
    chance = random.Random(seed)
    engine = fgacore.open(":memory:")
    engine.write_model(EVERYTHING)
    names = [f"doc:{number}" for number in range(object_count)]
    if way == "direct":
        write_all(engine, ((AGENT, VIEWER, name) for name in names))
    elif way.startswith("groups"):
        engine.write([(AGENT, "member", "group:0"), *((f"group:{level}#member", "member", f"group:{level + 1}") for level in range(4))])
        write_all(engine, (("group:4#member", VIEWER, name) for name in names))
    else:
        folders = [[f"folder:{level}-{number}" for number in range(2**level)] for level in range(10)]
        tree = [(folders[level - 1][number // 2], "parent", folder) for level in range(1, 10) for number, folder in enumerate(folders[level])]
        engine.write([(AGENT, VIEWER, folders[0][0]), *tree])
        write_all(engine, ((chance.choice(folders[-1]), "parent", name) for name in names))
    engine.merge()
    return engine, names


def measure_all(object_count: int = OBJECTS, rounds: int = ROUNDS) -> Groups:
    """Every one of so many documents, by each way: as ids beside flatnonzero over a mask, as names beside picking texts that are there already."""
    mask = np.ones(object_count, np.bool_)
    ids: Rows = {}
    texts: Rows = {}
    for way, bound in WAYS.items():
        engine, names = open_everything(way, object_count)
        listed = partial(engine.list_objects, AGENT, VIEWER, "doc")
        same(listed().ids.tolist(), range(object_count), f"{way}, ids")
        same(listed().to_list(), names, f"{way}, names")
        ids[f"{object_count:,}, {way}"] = measure(lambda: listed().ids, lambda: np.flatnonzero(mask), rounds, Must("x", bound))  # noqa: B023
        numbers = list(range(object_count))
        picked = lambda: [names[i] for i in numbers]  # noqa: B023, E731
        texts[f"{object_count:,}, {way}"] = measure(lambda: listed().to_list(), picked, max(1, rounds // 3), Must("x", 3))  # noqa: B023
        ids[f"{object_count:,}, {way}, right after a write about the subject"] = _after_writes(engine, object_count, mask, rounds)
        engine.close()
    return {"everything, as ids": ids, "everything, as names": texts}


def _after_writes(engine: fgacore.Engine, object_count: int, mask: NDArray[np.bool_], rounds: int) -> dict[str, Any]:
    """What is known of the subject is dropped before each list: one of its own tuples comes, or goes."""
    own = (AGENT, VIEWER, "doc:own")
    steps = count()

    def write() -> int:
        step = next(steps)
        engine.write(() if step % 2 else [own], deletes=[own] if step % 2 else ())
        return object_count + 1 - step % 2

    def ask(wanted: int) -> None:
        if len(engine.list_objects(AGENT, VIEWER, "doc").ids) != wanted:
            raise WrongAnswer("a list after a write has not what was written")

    with quiet():
        ns, beside = in_turn([(ask, write), (lambda _: np.flatnonzero(mask), _nothing)], rounds, 1, warm=False)
    return make_row(ns, beside)


# ---- few among many ----

FEW_MODEL = EVERYTHING + "    define barred: [user]\n    define can: viewer but not barred\n"
FEW_WAYS = {
    "direct": (AGENT, VIEWER),
    "groups": ("user:agent-2", VIEWER),
    "folders": ("user:agent-3", VIEWER),
    "direct, but not barred": ("user:agent-4", "can"),
}


def open_many(object_count: int, few: int = FEW) -> tuple[fgacore.Engine, dict[str, list[str]]]:
    """So many documents, each shown to others in one of three ways, and to each agent `few` of them, spread evenly; what each may see, by id."""
    step = object_count // few
    mine = {way: [f"doc:{number}" for number in range(place, object_count, step)][:few] for place, way in enumerate(FEW_WAYS)}
    engine = fgacore.open(":memory:")
    engine.write_model(FEW_MODEL)

    def others() -> Iterator[Triple]:
        for number in range(object_count):
            if number % 3 == 0:
                yield f"user:{number % 5_000}", VIEWER, f"doc:{number}"
            elif number % 3 == 1:
                yield f"group:{number % 500}#member", VIEWER, f"doc:{number}"
            else:
                yield f"folder:{number % 1_000}", "parent", f"doc:{number}"

    write_all(engine, others())
    engine.write([(AGENT, VIEWER, name) for name in mine["direct"]])
    engine.write([("user:agent-2", "member", "group:low"), ("group:low#member", "member", "group:high")])
    engine.write([("group:high#member", VIEWER, name) for name in mine["groups"]])
    engine.write([("user:agent-3", VIEWER, "folder:top"), ("folder:top", "parent", "folder:in")])
    engine.write([("folder:in", "parent", name) for name in mine["folders"]])
    engine.write([("user:agent-4", VIEWER, name) for name in mine["direct, but not barred"]])
    engine.write([("user:agent-4", "barred", name) for name in mine["direct, but not barred"][::2]])
    mine["direct, but not barred"] = mine["direct, but not barred"][1::2]
    engine.merge()
    return engine, mine


def measure_few(many: int = MANY, fewer: int = OBJECTS // 10, few: int = FEW, rounds: int = ROUNDS) -> Rows:
    """As many results among many objects and among fewer."""
    (engine, mine), (small, small_mine) = open_many(many, few), open_many(fewer, few)
    rows: Rows = {}
    for way, (subject, relation) in FEW_WAYS.items():
        lists = [partial(each.list_objects, subject, relation, "doc") for each in (engine, small)]
        for listed, right in zip(lists, (mine[way], small_mine[way]), strict=True):
            same(listed().to_list(), right, f"few among many, {way}")
        name = f"{len(mine[way])} among {many:,} and {fewer:,}, {way}"
        rows[name] = measure(lambda: lists[0]().ids, lambda: lists[1]().ids, 3 * rounds, Must("x", 3))  # noqa: B023
    engine.close()
    small.close()
    return rows


# ---- filters ----


def measure_filters(tuple_count: int = TUPLE_COUNT, candidate_count: int = CANDIDATES, rounds: int = ROUNDS) -> Rows:
    """The allowed ones of many candidates, beside check_objects of the same; and what a list leaves behind for those who ask after it."""
    rows: Rows = {}
    for shape in SHAPES:
        scenario = SHAPES[shape](tuple_count, batch_count=candidate_count)
        assert scenario.listed is not None
        objects, answers = scenario.listed.objects, scenario.listed.answers
        right = [name for name, answer in zip(objects, answers, strict=True) if answer]
        engine = load(scenario)
        same(engine.check_objects(AGENT, VIEWER, objects), answers, f"check_objects, {shape}")
        same(engine.filter_objects(AGENT, VIEWER, objects), right, f"filter_objects, {shape}")
        ours, theirs = partial(engine.filter_objects, AGENT, VIEWER, objects), partial(engine.check_objects, AGENT, VIEWER, objects)
        rows[f"filter {candidate_count:,}, {shape}"] = measure(ours, theirs, rounds, Must("x", 1.2), items=candidate_count)

        engine.close()
        engine = load(scenario)  # nothing is known
        ids = engine.ids("doc", [name.partition(":")[2] for name in objects])
        agent = int(engine.ids("user", ["agent"])[0])
        engine.list_objects(AGENT, VIEWER, "doc")
        by_id = partial(engine.check_ids, agent, VIEWER, ids, subject_type="user", object_type="doc")
        same(by_id().tolist(), answers, f"check_ids after a list, {shape}")
        theirs = partial(engine.check_objects, AGENT, VIEWER, objects)
        rows[f"check_ids of {candidate_count:,} after a list, {shape}"] = measure(by_id, theirs, rounds, Must("ns", 3), items=len(ids))
        engine.close()
    rows |= _after_lists(tuple_count, candidate_count, rounds)
    return rows


def _after_lists(tuple_count: int, candidate_count: int, rounds: int) -> Rows:
    """Folders, each subject asked for the first time: one by check_objects, and again, warm; the next by filter_objects after a list."""
    scenario = SHAPES["folders"](tuple_count, batch_count=candidate_count)
    assert scenario.listed is not None
    objects, answers = scenario.listed.objects, scenario.listed.answers
    right = [name for name, answer in zip(objects, answers, strict=True) if answer]
    engine = load(scenario)
    mine = [object for subject, _, object in scenario.tuples if subject == AGENT]
    stranger = map("user:stranger-{}".format, count())
    subjects = [next(stranger) for _ in range(2 * rounds + 2)]
    engine.write([(subject, VIEWER, folder) for subject in subjects for folder in mine])
    engine.merge()
    same(engine.check_objects(subjects[0], VIEWER, objects), answers, "check_objects of a subject never asked")
    engine.list_objects(subjects[1], VIEWER, "doc")
    same(engine.filter_objects(subjects[1], VIEWER, objects), right, "filter_objects after a list")
    asked = iter(subjects[2:])
    times: dict[str, list[int]] = {"first": [], "warm": [], "after a list": []}

    def take(name: str, run: Callable[[], object]) -> None:
        started = perf_counter_ns()
        run()
        times[name].append(perf_counter_ns() - started)

    with quiet():
        for _ in range(rounds):
            fresh, listed = next(asked), next(asked)
            take("first", partial(engine.check_objects, fresh, VIEWER, objects))
            engine.check_objects(fresh, VIEWER, objects)
            take("warm", partial(engine.check_objects, fresh, VIEWER, objects))
            engine.list_objects(listed, VIEWER, "doc")
            take("after a list", partial(engine.filter_objects, listed, VIEWER, objects))
    engine.close()
    first, warm, after = (float(np.median(taken)) for taken in times.values())
    name = f"filter {candidate_count:,} after a list, folders"
    return {
        f"{name}, beside the first check_objects": make_row(after, first, Must("x", 0.65), items=candidate_count),
        f"{name}, beside a warm check_objects": make_row(after, warm, Must("x", 1), items=candidate_count),
    }


# ---- reach ----

REACH_RELATIONS = (
    *("[user, group#member]", "[user, group#member]", "[user, user:*]", "[user, group#member]", "[group#member]"),
    *("r0 or r1", "r1 or r2", "r2 but not r3", "(r0 or r4) but not r3", "r0 and r5"),
)
assert len(REACH_RELATIONS) == RELATIONS


def open_reach(object_count: int, pair_count: int, seed: int = 63) -> tuple[fgacore.Engine, dict[tuple[str, str], list[str]]]:
    """Twenty types of ten relations, and what the agent reaches by each, by name."""
    chance = random.Random(seed)
    each, held = object_count // TYPES, max(1, pair_count // (13 * TYPES))
    defined = "".join(f"    define r{number}: {rewrite}\n" for number, rewrite in enumerate(REACH_RELATIONS))
    types = "".join(f"type t{number}\n  relations\n{defined}" for number in range(TYPES))
    engine = fgacore.open(":memory:")
    engine.write_model(f"model\n  schema 1.1\ntype user\ntype group\n  relations\n    define member: [user, group#member]\n{types}")
    engine.write([(AGENT, "member", "group:low"), ("group:low#member", "member", "group:high")])
    right: dict[tuple[str, str], list[str]] = {}
    for kind in range(TYPES):
        names = [f"t{kind}:{number}" for number in range(each)]
        others = [f"user:{number % 7_919}" for number in range(each)]
        write_all(engine, ((others[number], f"r{number % 4}", names[number]) for number in range(each)))
        has: list[set[int]] = []
        for relation in range(5):
            mine = chance.sample(range(each), held)
            half = held if relation == 2 else 0 if relation == 4 else held // 2  # one by one, the rest by a group
            engine.write([(AGENT, f"r{relation}", names[number]) for number in mine[:half]])
            engine.write([("group:high#member", f"r{relation}", names[number]) for number in mine[half:]])
            has.append(set(mine))
        has += [has[0] | has[1], has[1] | has[2], has[2] - has[3], (has[0] | has[4]) - has[3], has[0] & (has[0] | has[1])]
        for relation, found in enumerate(has):
            right[f"t{kind}", f"r{relation}"] = [names[number] for number in sorted(found)]
    engine.merge()
    return engine, right


def measure_reach(object_count: int = OBJECTS, pair_count: int = 200_000, rounds: int = ROUNDS) -> Rows:
    """All that the agent reaches, in one call and as so many lists."""
    engine, right = open_reach(object_count, pair_count)
    found = engine.reach(AGENT)
    for pair, names in right.items():
        same(found.definite[pair].to_list(), names, f"reach, {pair}")
        same(engine.list_objects(AGENT, pair[1], pair[0]).to_list(), names, f"list, {pair}")
    if not found.complete or found.definite.keys() - right.keys() - {("group", "member")}:
        raise WrongAnswer("a reach has more than it should have")
    asked = list(found.definite)
    total = sum(map(len, found.definite.values()))

    def lists() -> None:
        for kind, relation in asked:
            engine.list_objects(AGENT, relation, kind)

    row = measure(partial(engine.reach, AGENT), lists, rounds, Must("x", 1), Must("ms", 50))
    engine.close()
    return {f"{TYPES} types, {RELATIONS} relations, {object_count:,} objects, {total:,} pairs": row}


# ---- by hand ----


class HandLists:
    """What a good Python programmer writes who knows the three shapes: bitmaps of documents by who is shown them, and by folder.

    Of the tuples as they are stored; nothing is joined beforehand. It takes no writes and checks no name.
    """

    def __init__(self, scenario: Scenario) -> None:
        numbers: dict[str, int] = {}
        shown: dict[str, list[int]] = defaultdict(list)
        filed: dict[str, list[int]] = defaultdict(list)
        self.above: dict[str, list[str]] = defaultdict(list)
        self.below: dict[str, list[str]] = defaultdict(list)
        self.held: dict[str, list[str]] = defaultdict(list)
        for subject, relation, object in scenario.tuples:
            who, is_doc = subject.removesuffix("#member"), object.startswith("doc:")
            if relation == "member":
                self.above[who].append(object)
            elif relation == VIEWER and is_doc:
                shown[who].append(numbers.setdefault(object, len(numbers)))
            elif relation == VIEWER:
                self.held[who].append(object)
            elif is_doc:
                filed[who].append(numbers.setdefault(object, len(numbers)))
            else:
                self.below[who].append(object)
        self.names = list(numbers)
        self.shown = {who: BitMap(found) for who, found in shown.items()}
        self.filed = {folder: BitMap(found) for folder, found in filed.items()}
        for grown in (self.above, self.below, self.held):
            grown.default_factory = None

    def list_objects(self, subject: str) -> Ids:
        """The documents' numbers, rising, as uint32."""
        who = closure([subject], self.above) if self.above else [subject]
        found = [self.shown[each] for each in who if each in self.shown]
        if self.held:
            found += [self.filed[each] for each in closure(self.held.get(subject, ()), self.below) if each in self.filed]
        joined = found[0] if len(found) == 1 else BitMap.union(*found) if found else BitMap()
        return np.frombuffer(joined.to_array(), np.uint32) if joined else np.zeros(0, np.uint32)


def closure(start: Sequence[str], links: Mapping[str, Sequence[str]]) -> list[str]:
    found, seen = list(start), set(start)
    for each in found:  # which grows
        for more in links.get(each, ()):
            if more not in seen:
                seen.add(more)
                found.append(more)
    return found


HAND_BOUNDS = {"direct": 2.0, "groups": 1.0, "folders": 1.0}


def measure_hand(scenario: Scenario, rounds: int = ROUNDS) -> Groups:
    """The agent's list beside that written by hand, both as uint32 arrays; of the folders also beside what OpenFGA took for them."""
    engine, hand = load(scenario), HandLists(scenario)
    listed = partial(engine.list_objects, AGENT, VIEWER, "doc")
    same(sorted(listed().to_list()), sorted(hand.names[number] for number in hand.list_objects(AGENT)), f"by hand, {scenario.name}")
    shape = scenario.name.rstrip("0123456789")
    name = f"{scenario.name}, {len(listed()):,} documents"
    rows = {name: measure(lambda: listed().ids, partial(hand.list_objects, AGENT), 3 * rounds, Must("x", HAND_BOUNDS[shape]))}
    groups: Groups = {"by hand, pyroaring": rows, "engines": {}}
    if shape == "folders":
        theirs = OPENFGA_MS * 1e6
        for way, bound, run in (("ids", 250, lambda: listed().ids), ("names", 40, lambda: listed().to_list())):
            ours = measure(run, _nothing, 3 * rounds)["us"] * 1e3
            groups["engines"][f"{name}: OpenFGA's pipeline (82 ms, measured elsewhere), as {way}"] = make_row(
                ours, theirs, Must("peer", bound), peer=True
            )
    engine.close()
    return groups


def measure_named(scenario: Scenario, engines: Mapping[str, Callable[[Scenario], Peer]], rounds: int = 3) -> Rows:
    """Named engines have no lists in Python: they are asked about every document."""
    engine = load(scenario)
    docs = sorted({object for _, _, object in scenario.tuples if object.startswith("doc:")})
    listed = partial(engine.list_objects, AGENT, VIEWER, "doc")
    rows: Rows = {}
    for name, make in engines.items():
        peer = make(scenario)
        ask = partial(peer.check_objects, AGENT, VIEWER, docs)
        same([doc for doc, answer in zip(docs, ask(), strict=True) if answer], sorted(listed().to_list()), name)
        row = measure(lambda: listed().to_list(), ask, rounds, peer=True)
        rows[f"{scenario.name}, {len(listed()):,} documents: {name}, asked about all {len(docs):,}"] = row
    engine.close()
    return rows


# ---- all of it ----


def print_rows(group: str, rows: Rows) -> None:
    width = max(map(len, [group, *rows])) + 4
    if rows:
        print(f"\n{group:<{width}}{'fgacore us':>14}{GROUPS[group] + ' us':>16}{'x':>9}{'ns an item':>12}  must")
    for name, row in rows.items():
        held = f"  {row['must']}, {'held' if row['holds'] else 'NOT HELD'}" if "must" in row else ""
        item = f"{row['item_ns']:>12.2f}" if "item_ns" in row else f"{'':>12}"
        print(f"  {name:<{width - 2}}{row['us']:>14,.1f}{row['beside']:>16,.1f}{row['x']:>9.2f}{item}{held}", flush=True)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lists", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=OBJECTS, help="of lists of everything, and of the reach (default: %(default)s)")
    parser.add_argument("--many", type=int, default=MANY, help="objects among which there are few results (default: %(default)s)")
    parser.add_argument("--tuples", type=int, default=TUPLE_COUNT, help="of each of the three shapes, roughly (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of each row (default: %(default)s)")
    parser.add_argument("--named", action="store_true", help="also the named engines that are installed (the extra `bench`)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args(arguments)
    record: dict[str, Any] = {**facts(), "unit": "microseconds a call", "lists": {group: {} for group in GROUPS}}
    print(line(record))
    candidates = min(CANDIDATES, options.tuples // 10)

    def add(groups: Groups) -> None:
        for group, rows in groups.items():
            record["lists"][group] |= rows

    add(measure_all(options.objects, options.rounds))
    add({"few among many": measure_few(options.many, options.objects // 10, min(FEW, options.objects // 100), options.rounds)})
    add({"filters": measure_filters(options.tuples, candidates, options.rounds)})
    add({"reach": measure_reach(options.objects, options.objects // 5, options.rounds)})
    engines = named() if options.named else {}
    for make in SHAPES.values():
        scenario = make(options.tuples)
        add(measure_hand(scenario, options.rounds))
        add({"engines": measure_named(scenario, engines)})
    for group, rows in record["lists"].items():
        print_rows(group, rows)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
