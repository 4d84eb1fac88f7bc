"""The three shapes that the floor and the hand-written peers know: direct grants, nested groups, folders.

Each takes the number of tuples it shall have, roughly, and grows every part with it. `user:agent` asks for `batch_count` documents, half of
them allowed, and an allowed one only by the whole depth; the mixed questions are of many subjects, again half allowed.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise

from .scenario import ObjectList, Scenario, Step, Triple, balanced

__all__ = ["AGENT", "SHAPES", "VIEWER", "direct", "folders", "groups"]

AGENT = "user:agent"
VIEWER = "viewer"
QUESTION_COUNT = 400  # mixed questions
COLD_COUNT = 400  # in one cold batch

DIRECT = """model
  schema 1.1
type user
type doc
  relations
    define viewer: [user]
"""

GROUPS = """model
  schema 1.1
type user
type group
  relations
    define member: [user, group#member]
type doc
  relations
    define viewer: [user, group#member]
"""

FOLDERS = """model
  schema 1.1
type user
type folder
  relations
    define parent: [folder]
    define viewer: [user] or viewer from parent
type doc
  relations
    define parent: [folder]
    define viewer: [user] or viewer from parent
"""


def direct(tuple_count: int = 100_000, batch_count: int = 500, cold_batches: int = 0, seed: int = 11) -> Scenario:
    """Every document has five viewers, each granted by itself; there is half a user for each document."""
    chance = random.Random(seed)
    docs = [f"doc:{number}" for number in range(max(4, tuple_count // 5))]
    users = [f"user:{number}" for number in range(max(8, len(docs) // 2))]
    viewers = {doc: set(chance.sample(users, 5)) for doc in docs}
    mine = chance.sample(docs, min(len(docs) // 2, max(250, batch_count // 2)))
    for doc in mine:
        viewers[doc].add(AGENT)
    others = [doc for doc in docs if AGENT not in viewers[doc]]

    def draw() -> Triple:
        doc = chance.choice(docs)
        user = chance.choice(users) if chance.random() < 0.5 else chance.choice(sorted(viewers[doc] - {AGENT}))
        return user, VIEWER, doc

    def allowed(question: Triple) -> bool:
        return question[0] in viewers[question[2]]

    tuples = [(user, VIEWER, doc) for doc in docs for user in sorted(viewers[doc])]
    return _scenario("direct", DIRECT, chance, tuples, users, docs, draw, allowed, mine, others, batch_count, cold_batches)


def groups(tuple_count: int = 100_000, depth: int = 5, batch_count: int = 500, cold_batches: int = 0, seed: int = 12) -> Scenario:
    """Groups nested `depth` levels deep.

    A user is in three groups of the lowest level; a document is shown to one of the highest and two of the lowest.
    """
    chance = random.Random(seed)
    docs = [f"doc:{number}" for number in range(max(20, tuple_count // 5))]
    users = [f"user:{number}" for number in range(max(10, len(docs) // 2))]
    sizes = [max(20, len(users) // (10 * 5**level)) for level in range(depth)]
    levels = [[f"group:{level}-{number}" for number in range(size)] for level, size in enumerate(sizes)]
    above = {group: chance.choice(higher) for lower, higher in pairwise(levels) for group in lower}
    lowest = {user: chance.sample(levels[0], 3) for user in [*users, AGENT]}
    shown = {doc: [chance.choice(levels[-1]), *chance.sample(levels[0], 2)] for doc in docs}

    def belongs(user: str) -> set[str]:
        found = set(lowest[user])
        for group in lowest[user]:
            at = above.get(group)
            while at is not None:
                found.add(at)
                at = above.get(at)
        return found

    known: dict[str, set[str]] = {}

    def allowed(question: Triple) -> bool:
        user, _, doc = question
        if user not in known:
            known[user] = belongs(user)
        return not known[user].isdisjoint(shown[doc])

    def draw() -> Triple:
        user, doc = chance.choice(users), chance.choice(docs)
        if chance.random() < 0.5:  # half of them by the document's highest group alone, if it can be had cheaply
            for _ in range(50):
                if allowed((user, VIEWER, doc)):
                    break
                doc = chance.choice(docs)
        return user, VIEWER, doc

    tuples = [(f"{lower}#member", "member", higher) for lower, higher in above.items()]
    tuples += [(user, "member", group) for user, held in lowest.items() for group in held]
    tuples += [(f"{group}#member", VIEWER, doc) for doc, held in shown.items() for group in dict.fromkeys(held)]
    agents = belongs(AGENT)
    mine = [doc for doc in docs if shown[doc][0] in agents and agents.isdisjoint(shown[doc][1:])]  # only by all the levels
    if depth == 1:
        mine = [doc for doc in docs if not agents.isdisjoint(shown[doc])]
    others = [doc for doc in docs if agents.isdisjoint(shown[doc])]
    return _scenario("groups", GROUPS, chance, tuples, users, docs, draw, allowed, mine, others, batch_count, cold_batches)


def folders(tuple_count: int = 100_000, depth: int = 10, batch_count: int = 500, cold_batches: int = 0, seed: int = 13) -> Scenario:
    """A forest of folders `depth` levels deep, each level twice as wide as the one above (up to 512 times the roots), documents in the lowest.

    Every sixth tuple grants a folder somewhere to a user; the agent and forty users hold roots, so that an allowed question climbs all the way.
    """
    chance = random.Random(seed)
    root_count = max(2, tuple_count // 25_000)
    levels = [[f"folder:0-{number}" for number in range(root_count)]]
    parent: dict[str, str] = {}
    for level in range(1, depth):
        size = root_count * min(2**level, 512)
        levels.append([f"folder:{level}-{number}" for number in range(size)])
        for number, folder in enumerate(levels[-1]):
            parent[folder] = levels[-2][number * len(levels[-2]) // size]
    every = [folder for level in levels for folder in level]
    users = [f"user:{number}" for number in range(max(20, tuple_count // 10))]
    heads = [f"user:head-{number}" for number in range(40)]
    held: dict[str, set[str]] = {user: set() for user in [*users, *heads, AGENT]}
    for _ in range(tuple_count * 16 // 100):
        held[chance.choice(users)].add(chance.choice(every))
    for number, head in enumerate(heads):
        held[head].add(levels[0][number % root_count])
    held[AGENT] = set(levels[0][: max(1, root_count // 2)])
    grant_count = sum(map(len, held.values()))
    docs = [f"doc:{number}" for number in range(max(100, tuple_count - grant_count - len(parent)))]
    for doc in docs:
        parent[doc] = chance.choice(levels[-1])

    def allowed(question: Triple) -> bool:
        user, _, at = question
        while at not in held[user]:
            if at not in parent:
                return False
            at = parent[at]
        return True

    def draw() -> Triple:
        return chance.choice(heads), VIEWER, chance.choice(docs)

    tuples = [(folder, "parent", child) for child, folder in parent.items()]
    tuples += [(user, VIEWER, folder) for user, held_by in held.items() for folder in sorted(held_by)]
    mine = [doc for doc in docs if allowed((AGENT, VIEWER, doc))]
    others = sorted(set(docs) - set(mine))
    return _scenario("folders", FOLDERS, chance, tuples, users, docs, draw, allowed, mine, others, batch_count, cold_batches)


SHAPES: dict[str, Callable[..., Scenario]] = {"direct": direct, "groups": groups, "folders": folders}


def _scenario(
    name: str,
    model: str,
    chance: random.Random,
    tuples: list[Triple],
    users: list[str],
    docs: list[str],
    draw: Callable[[], Triple],
    allowed: Callable[[Triple], bool],
    mine: list[str],
    others: list[str],
    batch_count: int,
    cold_batches: int,
) -> Scenario:
    """The questions over the data. `mine` are documents that the agent may see, `others` such that it may not."""
    assert mine
    assert others
    objects = _some(chance, mine, batch_count // 2) + _some(chance, others, batch_count - batch_count // 2)
    chance.shuffle(objects)
    listed = ObjectList(AGENT, VIEWER, objects, [allowed((AGENT, VIEWER, doc)) for doc in objects])
    questions, answers = balanced(chance, QUESTION_COUNT, draw, allowed)
    cold = []
    unasked = sorted(set(users) - {subject for subject, _, _ in questions})
    chance.shuffle(unasked)
    for start in range(0, cold_batches * COLD_COUNT, COLD_COUNT):
        lot = [(user, VIEWER, chance.choice(docs)) for user in unasked[start : start + COLD_COUNT]]
        assert lot, "there are too few users for so many cold batches"
        cold.append(Step(lot, [allowed(question) for question in lot]))
    chance.shuffle(tuples)
    return Scenario(name, model, tuples, questions, answers, listed, (), tuple(cold))


def _some(chance: random.Random, pool: list[str], count: int) -> list[str]:
    """`count` of the pool, none twice if it is large enough."""
    return chance.sample(pool, count) if count <= len(pool) else chance.choices(pool, k=count)
