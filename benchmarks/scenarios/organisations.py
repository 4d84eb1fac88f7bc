"""Two organisations after the generators of the Cedar paper (Cutler et al., OOPSLA 2024): a Drive-like and a GitHub-like one.

The paper draws every edge with probability 0.05 among at most 50 of each type. Here N may be larger, and the probability is 2.5 / N, so that
the mean degree stays that of N = 50. Models and draws follow the paper's description; the code is our own.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterator

from .scenario import ObjectList, Scenario, Triple

__all__ = ["gdrive", "github"]

DEGREE = 2.5  # edges that one entity has to those of one other type, on average: 0.05 of 50
QUESTION_COUNT = 500

GDRIVE = """model
  schema 1.1
type user
type group
  relations
    define member: [user]
type folder
  relations
    define can_create_file: owner
    define can_write_files: owner or can_write_files from parent
    define can_share_files: owner or can_share_files from parent
    define owner: [user]
    define parent: [folder]
    define viewer: [user, user:*, group#member] or owner or viewer from parent
type doc
  relations
    define owner: [user]
    define parent: [folder]
    define viewer: [user, user:*, group#member]
    define can_change_owner: owner
    define can_read: viewer or owner or viewer from parent
    define can_write: owner or can_write_files from parent
    define can_share: owner or can_share_files from parent
"""

GITHUB = """model
  schema 1.1
type user
type team
  relations
    define member: [user, team#member]
type organization
  relations
    define member: [user] or owner
    define owner: [user]
    define repo_admin: [user, organization#member]
    define repo_reader: [user, organization#member]
    define repo_writer: [user, organization#member]
type repo
  relations
    define admin: [user, team#member] or repo_admin from owner
    define maintainer: [user, team#member] or admin
    define owner: [organization]
    define reader: [user, team#member] or triager or repo_reader from owner
    define triager: [user, team#member] or writer
    define writer: [user, team#member] or maintainer or repo_writer from owner
"""

REPO_ROLES = ("reader", "triager", "writer", "maintainer", "admin")  # each includes those before it
ORGANIZATION_ROLES = {"repo_reader": "reader", "repo_writer": "writer", "repo_admin": "admin"}  # and what it gives on the repos


def edges(chance: random.Random, rows: int, columns: int, probability: float) -> Iterator[tuple[int, int]]:
    """Every (row, column) with this probability, independently: the gaps between them are drawn, so the work is that of the edges."""
    if probability >= 1:
        yield from ((row, column) for row in range(rows) for column in range(columns))
        return
    at = -1
    while True:
        at += 1 + int(math.log(1.0 - chance.random()) / math.log1p(-probability))
        if at >= rows * columns:
            return
        yield divmod(at, columns)


def gdrive(count: int, names_fixed: bool = True, seed: int = 21) -> Scenario:
    """`count` each of users, groups, documents and folders.

    In the published generator the names of view grants never match those of the users and groups that hold them, so that no grant counts and
    reading comes from ownership and public documents alone. `names_fixed` repairs that; without it the data is as published.
    """
    chance = random.Random(seed)
    probability = min(1.0, DEGREE / count)
    holder = "" if names_fixed else "unmatched-"
    groups_of: dict[str, set[str]] = defaultdict(set)
    owners: dict[str, set[str]] = defaultdict(set)
    parents: dict[str, list[str]] = defaultdict(list)
    viewers: dict[str, set[str]] = defaultdict(set)

    def draw(rows: int = count, columns: int = count) -> Iterator[tuple[int, int]]:
        return edges(chance, rows, columns, probability)

    for user, group in draw():
        groups_of[f"user:{user}"].add(f"group:{group}")
    for kind in ("doc", "folder"):
        for user, number in draw():
            owners[f"{kind}:{number}"].add(f"user:{user}")
    for number, folder in draw():
        parents[f"doc:{number}"].append(f"folder:{folder}")
    for lower, upper in draw():
        if upper < lower:  # no cycles
            parents[f"folder:{lower}"].append(f"folder:{upper}")
    for kind in ("doc", "folder"):
        for user, number in draw():
            viewers[f"{kind}:{number}"].add(f"user:{holder}{user}")
        for group, number in draw():
            viewers[f"{kind}:{number}"].add(f"group:{holder}{group}")
    for number in range(count):
        if chance.random() < 0.5:
            viewers[f"doc:{number}"].add("user:*")

    tuples = [(user, "member", group) for user, held in groups_of.items() for group in sorted(held)]
    tuples += [(user, "owner", object) for object, held in owners.items() for user in sorted(held)]
    tuples += [(folder, "parent", object) for object, above in parents.items() for folder in above]
    tuples += [
        (f"{name}#member" if name.startswith("group:") else name, "viewer", object) for object, held in viewers.items() for name in sorted(held)
    ]

    def above(object: str) -> set[str]:
        """The folders that the object is in, directly or not."""
        found: set[str] = set()
        open_ = list(parents.get(object, ()))
        while open_:
            folder = open_.pop()
            if folder not in found:
                found.add(folder)
                open_ += parents.get(folder, ())
        return found

    def allowed(question: Triple) -> bool:
        user, relation, object = question
        own = user in owners.get(object, ())
        if relation in ("can_change_owner", "can_create_file"):
            return own
        if own or any(user in owners.get(folder, ()) for folder in above(object)):
            return True
        return relation == "can_read" and any(
            not viewers.get(place, set()).isdisjoint({user, "user:*", *groups_of.get(user, ())}) for place in {object, *above(object)}
        )

    actions = ("can_read", "can_write", "can_share", "can_change_owner", "can_create_file")
    questions = []
    for relation in chance.choices(actions, k=QUESTION_COUNT):
        kind = "folder" if relation == "can_create_file" else "doc"
        questions.append((f"user:{chance.randrange(count)}", relation, f"{kind}:{chance.randrange(count)}"))
    listed = _listed(chance, "can_read", "doc", count, allowed)
    chance.shuffle(tuples)
    name = f"gdrive_{'fixed' if names_fixed else 'as_is'}_{count}"
    return Scenario(name, GDRIVE, tuples, questions, [allowed(question) for question in questions], listed)


def github(count: int, seed: int = 22) -> Scenario:
    """`count` each of repos, users, teams and organizations. Every repo has one owner; roles are drawn evenly."""
    chance = random.Random(seed)
    probability = min(1.0, DEGREE / count)
    teams_above: dict[str, set[str]] = defaultdict(set)  # of a user or a team
    organizations_of: dict[str, set[str]] = defaultdict(set)  # of a user
    roles: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))  # object, role, holders

    def draw() -> Iterator[tuple[int, int]]:
        return edges(chance, count, count, probability)

    owner = {f"repo:{number}": f"organization:{chance.randrange(count)}" for number in range(count)}
    for holder, organization in draw():
        roles[f"organization:{organization}"][chance.choice(list(ORGANIZATION_ROLES))].add(f"organization:{holder}")
    for lower, upper in draw():
        if upper < lower:  # no cycles
            teams_above[f"team:{lower}"].add(f"team:{upper}")
    for kind in ("team", "user"):
        for holder, repo in draw():
            roles[f"repo:{repo}"][chance.choice(REPO_ROLES)].add(f"{kind}:{holder}")
    for user, team in draw():
        teams_above[f"user:{user}"].add(f"team:{team}")
    for user, organization in draw():
        organizations_of[f"user:{user}"].add(f"organization:{organization}")
    for user, organization in draw():
        roles[f"organization:{organization}"][chance.choice(list(ORGANIZATION_ROLES))].add(f"user:{user}")

    def subject(name: str) -> str:
        return name if name.startswith("user:") else f"{name}#member"

    tuples = [(organization, "owner", repo) for repo, organization in owner.items()]
    tuples += [(subject(member), "member", team) for member, above in teams_above.items() for team in sorted(above)]
    tuples += [(user, "member", organization) for user, held in organizations_of.items() for organization in sorted(held)]
    tuples += [(subject(name), role, object) for object, by_role in roles.items() for role, held in by_role.items() for name in sorted(held)]

    def everyone(user: str) -> set[str]:
        """The user, its organizations, and every team it belongs to."""
        found, open_ = {user, *organizations_of.get(user, ())}, [user]
        while open_:
            for team in teams_above.get(open_.pop(), ()):
                if team not in found:
                    found.add(team)
                    open_.append(team)
        return found

    def allowed(question: Triple) -> bool:
        user, relation, repo = question
        who = everyone(user)
        enough = REPO_ROLES[REPO_ROLES.index(relation) :]
        if any(not who.isdisjoint(roles[repo][role]) for role in enough):
            return True
        from_above = roles[owner[repo]]
        return any(gives in enough and not who.isdisjoint(from_above[role]) for role, gives in ORGANIZATION_ROLES.items())

    questions = [
        (f"user:{chance.randrange(count)}", role, f"repo:{chance.randrange(count)}") for role in chance.choices(REPO_ROLES, k=QUESTION_COUNT)
    ]
    listed = _listed(chance, "reader", "repo", count, allowed)
    answers = [allowed(question) for question in questions]
    chance.shuffle(tuples)
    return Scenario(f"github_{count}", GITHUB, tuples, questions, answers, listed)


def _listed(chance: random.Random, relation: str, kind: str, count: int, allowed: Callable[[Triple], bool]) -> ObjectList:
    """Objects of one type, half of them allowed, for the first user drawn that may anything.

    Uniform ones, as the mixed questions are in the paper and here, would nearly all be denied where N is large.
    """
    objects = [f"{kind}:{number}" for number in range(count)]
    for number in chance.sample(range(count), count):
        user = f"user:{number}"
        answers = {object: allowed((user, relation, object)) for object in objects}
        if len(set(answers.values())) == 2:
            break
    drawn = []
    for answer in sorted(set(answers.values())):  # both, but in the tiniest organisations
        drawn += chance.choices([object for object in objects if answers[object] is answer], k=QUESTION_COUNT // 2)
    chance.shuffle(drawn)
    return ObjectList(user, relation, drawn, [answers[object] for object in drawn])
