"""A large organisation that no machine need hold twice: users, nested groups, folders and documents by rule, so that tuples are streamed and right
answers computed, not looked up.

Of so many tuples 30 % is the number of names: 12 % users, 15 % documents, 2.5 % folders, the rest groups. Each user is in two groups, some groups
are in another, and folders in folders, eight in one. Each folder is shown to a group; each document lies in a folder, and is shown to a group and to
two or three users. Few groups are large, and most are small.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .scenario import Triple, WrongAnswer

__all__ = ["MODEL", "Batch", "Large", "Questions", "texts", "to_csv", "to_triples"]

MODEL = """model
  schema 1.1
type user
type group
  relations
    define member: [user, group#member]
type folder
  relations
    define parent: [folder]
    define viewer: [group#member] or viewer from parent
type document
  relations
    define parent: [folder]
    define viewer: [user, group#member] or viewer from parent
"""
KINDS = (  # of tuples: what stands before and after the subject's number, the relation, what stands before the object's
    ("user:", "", "member", "group:"),
    ("group:", "#member", "member", "group:"),
    ("folder:", "", "parent", "folder:"),
    ("group:", "#member", "viewer", "folder:"),
    ("folder:", "", "parent", "document:"),
    ("group:", "#member", "viewer", "document:"),
    ("user:", "", "viewer", "document:"),
)
IN_GROUP, NESTED, FOLDED, FOLDER_SHOWN, FILED, SHOWN, GRANTED = range(len(KINDS))
ABOVE = 8  # groups in a group, folders in a folder; those of a lower number are in none
VIEWER = "viewer"

Numbers = NDArray[Any]


class Columns(NamedTuple):
    """Tuples as numbers: kind, subject, object."""

    kinds: Numbers
    subjects: Numbers
    objects: Numbers


class Batch(NamedTuple):
    """One user's question about many documents, with the right answers."""

    subject: str
    objects: list[str]
    answers: list[bool]


class Large:
    """The organisation of so many tuples."""

    def __init__(self, tuple_count: int) -> None:
        self.tuple_count = tuple_count
        self.name_count = tuple_count * 30 // 100
        self.documents, self.users, self.folders = tuple_count * 15 // 100, tuple_count * 12 // 100, tuple_count * 25 // 1000
        self.groups = self.name_count - self.documents - self.users - self.folders
        if self.groups < 2 or self.users < 8:
            raise ValueError("an organisation has at least a thousand tuples")
        users, documents, folders = (np.arange(count, dtype=np.uint64) for count in (self.users, self.documents, self.folders))
        first = _skewed(_mix(users, 1), self.groups)
        second = (first + 1 + _mix(users, 2) % np.uint64(self.groups - 1)) % np.uint64(self.groups)
        self.user_groups = np.stack([first, second], 1).astype(np.uint32)
        self.folder_group = _skewed(_mix(folders, 3), self.groups).astype(np.uint32)
        self.document_folder = (_mix(documents, 4) % np.uint64(self.folders)).astype(np.uint32)
        self.document_group = _skewed(_mix(documents, 5), self.groups).astype(np.uint32)
        self.head = 2 * self.users + max(self.groups - ABOVE, 0) + max(self.folders - ABOVE, 0) + self.folders  # tuples before the first document's
        granted, more = divmod(tuple_count - self.head - 2 * self.documents, self.documents)
        self.granted = np.full(self.documents, granted, np.uint32)  # users that each document is shown to one by one
        self.granted[:more] += 1
        self.first_user = (_mix(documents, 6) % np.uint64(self.users)).astype(np.uint32)
        self.step = (1 + _mix(documents, 7) % np.uint64(self.users // (granted + 1))).astype(np.uint32)  # no user twice

    def columns(self, size: int = 100_000) -> Iterator[Columns]:
        """Every tuple in the order of writing, some `size` of them at a time: groups, folders, then document by document."""
        for begin in range(0, self.users, size // 2):
            users = np.arange(begin, min(begin + size // 2, self.users))
            yield _columns((IN_GROUP, users.repeat(2), self.user_groups[users].ravel()))
        for kind, count in ((NESTED, self.groups), (FOLDED, self.folders)):
            for begin in range(ABOVE, count, size):
                below = np.arange(begin, min(begin + size, count))
                yield _columns((kind, below, below // ABOVE) if kind == NESTED else (kind, below // ABOVE, below))
        for begin in range(0, self.folders, size):
            folders = np.arange(begin, min(begin + size, self.folders))
            yield _columns((FOLDER_SHOWN, self.folder_group[folders], folders))
        for begin in range(0, self.documents, size // 5):
            documents = np.arange(begin, min(begin + size // 5, self.documents))
            counts = self.granted[documents]
            owned = documents.repeat(counts)
            nth = np.arange(len(owned)) - (counts.cumsum() - counts).repeat(counts)
            users = (self.first_user[owned] + nth * self.step[owned].astype(np.int64)) % self.users
            rows = _columns(
                (FILED, self.document_folder[documents], documents), (SHOWN, self.document_group[documents], documents), (GRANTED, users, owned)
            )
            order = np.argsort(rows.objects, kind="stable")
            yield Columns(*(column[order] for column in rows))

    def whole_documents(self, tuple_count: int) -> int:
        """How many documents have all their tuples among the first `tuple_count`; the one after may have some, the next has none."""
        ends = self.head + (self.granted.astype(np.int64) + 2).cumsum()
        return int(np.searchsorted(ends, tuple_count, "right"))

    def holds(self, user: int, document: int) -> bool:
        """Whether a user may see a document: the right answer, by rule."""
        away = int(self.first_user[document])
        for _ in range(int(self.granted[document])):
            if away == user:
                return True
            away = (away + int(self.step[document])) % self.users
        mine = {above for group in self.user_groups[user].tolist() for above in _upwards(group)}
        if int(self.document_group[document]) in mine:
            return True
        return any(int(self.folder_group[folder]) in mine for folder in _upwards(int(self.document_folder[document])))


class Questions:
    """Questions of which no name is asked for twice, about half of them to be answered yes, with the right answers."""

    def __init__(self, large: Large, seed: int) -> None:
        self.large = large
        self._chance = np.random.default_rng(seed)
        self._users = iter(self._chance.permutation(large.users).tolist())
        self._documents = iter(self._chance.permutation(large.documents).tolist())
        self._asked = np.zeros(large.documents, np.bool_)
        self._by_group = np.argsort(large.document_group, kind="stable")
        self._groups = large.document_group[self._by_group]

    def singles(self, count: int) -> tuple[list[Triple], list[bool]]:
        """Questions of one user about one document each."""
        pairs = []
        for number in range(count):
            user = next(self._users)
            seen = self._seen(user, 1) if number % 2 else []
            pairs.append((user, *(seen or [self._other()])))
        answers = [self.large.holds(*pair) for pair in pairs]
        return [(texts("user", user), VIEWER, texts("document", document)) for user, document in pairs], _mixed(answers)

    def batch(self, count: int) -> Batch:
        """One user's question about so many documents."""
        user = next(self._users)
        documents = self._seen(user, count // 2)
        documents += [self._other() for _ in range(count - len(documents))]
        self._chance.shuffle(documents)
        answers = [self.large.holds(user, document) for document in documents]
        return Batch(texts("user", user), [texts("document", document) for document in documents], _mixed(answers))

    def _seen(self, user: int, count: int) -> list[int]:
        """At most so many documents that are shown to the user's groups and those above."""
        mine = {above for group in self.large.user_groups[user].tolist() for above in _upwards(group)}
        ends = [np.searchsorted(self._groups, np.array([group, group + 1], self._groups.dtype)) for group in sorted(mine)]
        found = np.concatenate([self._by_group[begin:end] for begin, end in ends])
        found = found[~self._asked[found]]
        chosen = self._chance.choice(found, min(count, len(found)), replace=False)
        self._asked[chosen] = True
        return [int(document) for document in chosen]

    def _other(self) -> int:
        document = int(next(document for document in self._documents if not self._asked[document]))
        self._asked[document] = True
        return document


def texts(kind: str, number: int) -> str:
    return f"{kind}:{number:08d}"


def to_triples(columns: Columns) -> list[Triple]:
    """Ready triples, every name a text of its own."""
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [(f"{KINDS[kind][0]}{subject:08d}{KINDS[kind][1]}", KINDS[kind][2], f"{KINDS[kind][3]}{object:08d}") for kind, subject, object in rows]


def to_csv(columns: Columns) -> str:
    """Lines of subject, relation, object."""
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return "".join(
        [f"{KINDS[kind][0]}{subject:08d}{KINDS[kind][1]},{KINDS[kind][2]},{KINDS[kind][3]}{object:08d}\n" for kind, subject, object in rows]
    )


def _upwards(number: int) -> list[int]:
    """A group or folder and those above it."""
    found = [number]
    while found[-1] >= ABOVE:
        found.append(found[-1] // ABOVE)
    return found


def _columns(*parts: tuple[int, Numbers, Numbers]) -> Columns:
    kinds = np.concatenate([np.full(len(objects), kind, np.uint8) for kind, _, objects in parts])
    subjects, objects = (np.concatenate([part[at] for part in parts], dtype=np.int64, casting="unsafe") for at in (1, 2))
    return Columns(kinds, subjects, objects)


def _mixed(answers: list[bool]) -> list[bool]:
    if len(answers) >= 16 and not 0.05 < sum(answers) / len(answers) < 0.95:
        raise WrongAnswer(f"{sum(answers)} of {len(answers)} questions are answered yes: they say little")
    return answers


def _mix(numbers: Numbers, salt: int) -> Numbers:
    """Numbers that look random, by the finish of splitmix64."""
    mixed = numbers + np.uint64(salt * 0x9E3779B97F4A7C15 % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))


def _skewed(mixed: Numbers, count: int) -> Numbers:
    """Below `count`, the low ones often: as the square of an even chance."""
    even = mixed >> np.uint64(40)
    return (even * even >> np.uint64(24)) * np.uint64(count) >> np.uint64(24)
