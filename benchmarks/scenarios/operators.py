"""One operator of the language at a time: unions of k relations, intersection, exclusion, wildcards. About 100,000 tuples each."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable

from .scenario import ObjectList, Scenario, Triple, balanced

__all__ = ["exclusion", "intersection", "wide_union", "wildcards"]

AGENT = "user:agent"
QUESTION_COUNT = 500

HEAD = """model
  schema 1.1
type user
type group
  relations
    define member: [user]
type doc
  relations
"""


class Grants:
    """Drawn tuples of a document's relations, and of groups, with sets to answer from."""

    def __init__(self, seed: int, doc_count: int) -> None:
        self.chance = random.Random(seed)
        self.docs = [f"doc:{number}" for number in range(doc_count)]
        self.users = [f"user:{number}" for number in range(max(20, doc_count // 2))]
        self.groups_of: dict[str, set[str]] = defaultdict(set)
        self.held: dict[tuple[str, str], set[str]] = defaultdict(set)  # (relation, doc)

    def give(self, subject: str, relation: str, doc: str) -> None:
        self.held[relation, doc].add(subject)

    def join_groups(self, group_count: int) -> list[str]:
        """Every user, and the agent, joins two of so many groups."""
        groups = [f"group:{number}" for number in range(group_count)]
        for user in [*self.users, AGENT]:
            self.groups_of[user] = set(self.chance.sample(groups, 2))
        return groups

    def has(self, user: str, relation: str, doc: str) -> bool:
        return not self.held.get((relation, doc), set()).isdisjoint({user, *self.groups_of.get(user, ())})

    def scenario(self, name: str, model: str, relation: str, draw: Callable[[], Triple], allowed: Callable[[Triple], bool]) -> Scenario:
        """The agent's list and the mixed questions are half allowed."""
        chance = self.chance
        tuples = [(user, "member", group) for user, held in self.groups_of.items() for group in sorted(held)]
        tuples += [
            (f"{subject}#member" if subject.startswith("group:") else subject, held_as, doc)
            for (held_as, doc), subjects in self.held.items()
            for subject in sorted(subjects)
        ]
        chance.shuffle(tuples)
        mine = [doc for doc in self.docs if allowed((AGENT, relation, doc))]
        others = [doc for doc in self.docs if not allowed((AGENT, relation, doc))]
        objects = chance.choices(mine, k=QUESTION_COUNT // 2) + chance.choices(others, k=QUESTION_COUNT // 2)
        chance.shuffle(objects)
        listed = ObjectList(AGENT, relation, objects, [allowed((AGENT, relation, doc)) for doc in objects])
        questions, answers = balanced(chance, QUESTION_COUNT, draw, allowed)
        return Scenario(name, model, tuples, questions, answers, listed)


def wide_union(width: int, tuple_count: int = 100_000, seed: int = 31) -> Scenario:
    """`viewer` is the union of so many relations; each document has five grants, each in a relation drawn evenly."""
    grants = Grants(seed, max(20, tuple_count // 5))
    chance = grants.chance
    relations = [f"role_{number}" for number in range(width)]
    model = HEAD + "".join(f"    define {relation}: [user]\n" for relation in relations) + f"    define viewer: {' or '.join(relations)}\n"
    who: dict[str, list[str]] = {}
    for doc in grants.docs:
        who[doc] = chance.sample(grants.users, 5)
        for user in who[doc]:
            grants.give(user, chance.choice(relations), doc)
    for doc in chance.sample(grants.docs, min(len(grants.docs) // 2, 250)):
        grants.give(AGENT, chance.choice(relations), doc)

    def draw() -> Triple:
        doc = chance.choice(grants.docs)
        return chance.choice(who[doc] if chance.random() < 0.5 else grants.users), "viewer", doc

    def allowed(question: Triple) -> bool:
        return any(grants.has(question[0], relation, question[2]) for relation in relations)

    return grants.scenario(f"wide_union_{width}", model, "viewer", draw, allowed)


def intersection(tuple_count: int = 100_000, seed: int = 32) -> Scenario:
    """`viewer and cleared`: a document is shown to two users and a group, and clears six, some of them the same."""
    model = HEAD + "    define viewer: [user, group#member]\n    define cleared: [user, group#member]\n    define can_read: viewer and cleared\n"
    grants, draw = _shown(seed, tuple_count, "cleared")

    def allowed(question: Triple) -> bool:
        user, _, doc = question
        return grants.has(user, "viewer", doc) and grants.has(user, "cleared", doc)

    return grants.scenario("intersection", model, "can_read", draw, allowed)


def exclusion(tuple_count: int = 100_000, seed: int = 33) -> Scenario:
    """`viewer but not blocked`: a document is shown to two users and a group, and blocks six, some of them the same."""
    model = HEAD + "    define viewer: [user, group#member]\n    define blocked: [user, group#member]\n    define can_read: viewer but not blocked\n"
    grants, draw = _shown(seed, tuple_count, "blocked")

    def allowed(question: Triple) -> bool:
        user, _, doc = question
        return grants.has(user, "viewer", doc) and not grants.has(user, "blocked", doc)

    return grants.scenario("exclusion", model, "can_read", draw, allowed)


def _shown(seed: int, tuple_count: int, second: str) -> tuple[Grants, Callable[[], Triple]]:
    """Documents with viewers and a second relation, which holds half of the viewers and some that are none."""
    grants = Grants(seed, max(40, tuple_count // 10))
    chance = grants.chance
    groups = grants.join_groups(max(20, len(grants.users) // 20))
    shown: dict[str, list[str]] = {}
    for doc in grants.docs:
        viewers = chance.sample(grants.users, 2)
        grants.give(chance.choice(groups), "viewer", doc)
        if chance.random() < 0.2:
            viewers.append(AGENT)
        for user in viewers:
            grants.give(user, "viewer", doc)
            if chance.random() < 0.5:
                grants.give(user, second, doc)
        for user in chance.sample(grants.users, 4):
            grants.give(user, second, doc)
        grants.give(chance.choice(groups), second, doc)
        shown[doc] = viewers

    def draw() -> Triple:
        doc = chance.choice(grants.docs)
        return chance.choice(shown[doc] if chance.random() < 0.7 else grants.users), "can_read", doc

    return grants, draw


def wildcards(tuple_count: int = 100_000, seed: int = 34) -> Scenario:
    """Half of the documents are shown to `user:*`, all have three viewers and block one user. A fifth of the questions is of users never heard of."""
    model = HEAD + "    define viewer: [user, user:*]\n    define blocked: [user]\n    define can_read: viewer but not blocked\n"
    grants = Grants(seed, max(40, tuple_count * 2 // 9))
    chance = grants.chance
    for doc in grants.docs:
        for user in chance.sample(grants.users, 3):
            grants.give(user, "viewer", doc)
        if chance.random() < 0.5:
            grants.give("user:*", "viewer", doc)
        grants.give(AGENT if chance.random() < 0.05 else chance.choice(grants.users), "blocked", doc)

    def draw() -> Triple:
        user = f"user:stranger-{chance.randrange(1000)}" if chance.random() < 0.2 else chance.choice(grants.users)
        doc = chance.choice(grants.docs)
        if chance.random() < 0.1:
            user = chance.choice(sorted(grants.held["blocked", doc]))
        return user, "can_read", doc

    def allowed(question: Triple) -> bool:
        user, _, doc = question
        return (grants.has(user, "viewer", doc) or grants.has("user:*", "viewer", doc)) and not grants.has(user, "blocked", doc)

    return grants.scenario("wildcards", model, "can_read", draw, allowed)
