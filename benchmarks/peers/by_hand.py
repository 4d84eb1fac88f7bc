"""What a good Python programmer writes instead of taking an engine: three peers that know the three shapes, and one that knows the helpdesk.

They are the hard peers: some thirty lines, nothing generic, nothing checked, no writes.
"""

from __future__ import annotations

from collections import defaultdict

from pyroaring import BitMap

from ..scenarios import Scenario, Triple
from ..scenarios.helpdesk import Desk

__all__ = ["BitmapPeer", "ClosurePeer", "DeskPeer", "RecursivePeer"]


class RecursivePeer:
    """Dicts, and a function that calls itself: from the object up, group by group and folder by folder."""

    def __init__(self, scenario: Scenario) -> None:
        self.users: dict[str, set[str]] = defaultdict(set)  # an object or a group to its plain users
        self.groups: dict[str, list[str]] = defaultdict(list)  # and to the groups in it
        self.parent: dict[str, str] = {}
        for subject, relation, object in scenario.tuples:
            if relation == "parent":
                self.parent[object] = subject
            elif subject.endswith("#member"):
                self.groups[object].append(subject.removesuffix("#member"))
            else:
                self.users[object].add(subject)
        self.users.default_factory = None  # from now on, a dict

    def check(self, subject: str, relation: str, object: str) -> bool:
        users = self.users.get(object)
        if users is not None and subject in users:
            return True
        for group in self.groups.get(object, ()):
            if self.check(subject, relation, group):
                return True
        parent = self.parent.get(object)
        return parent is not None and self.check(subject, relation, parent)

    def check_objects(self, subject: str, relation: str, objects: list[str]) -> list[bool]:
        check = self.check
        return [check(subject, relation, object) for object in objects]


class ClosurePeer:
    """First all that the subject belongs to, once for a batch; then one set operation for each object on the way up."""

    def __init__(self, scenario: Scenario) -> None:
        self.above: dict[str, list[str]] = defaultdict(list)
        self.shown: dict[str, set[str]] = defaultdict(set)
        self.parent: dict[str, str] = {}
        for subject, relation, object in scenario.tuples:
            who = subject.removesuffix("#member")
            if relation == "parent":
                self.parent[object] = who
            elif relation == "member":
                self.above[who].append(object)
            else:
                self.shown[object].add(who)

    def belongs(self, subject: str) -> set[str]:
        found, open_ = {subject}, [subject]
        while open_:
            for group in self.above.get(open_.pop(), ()):
                if group not in found:
                    found.add(group)
                    open_.append(group)
        return found

    def holds(self, who: set[str], object: str | None) -> bool:
        while object is not None:
            shown = self.shown.get(object)
            if shown is not None and not who.isdisjoint(shown):
                return True
            object = self.parent.get(object)
        return False

    def check(self, subject: str, relation: str, object: str) -> bool:
        return self.holds(self.belongs(subject), object)

    def check_objects(self, subject: str, relation: str, objects: list[str]) -> list[bool]:
        who, holds = self.belongs(subject), self.holds
        if self.parent:
            return [holds(who, object) for object in objects]
        shown, nobody, apart = self.shown, set[str](), who.isdisjoint  # nothing to climb: one expression for each object
        return [not apart(shown.get(object, nobody)) for object in objects]


class BitmapPeer(ClosurePeer):
    """Names as numbers, and what every subject belongs to as a pyroaring bitmap, made beforehand."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario)
        numbers: dict[str, int] = {}

        def bitmap(names: set[str]) -> BitMap:
            return BitMap(sorted(numbers.setdefault(name, len(numbers)) for name in names))

        subjects = {subject.removesuffix("#member") for subject, relation, _ in scenario.tuples if relation != "parent"}
        self.bitmaps = {subject: bitmap(self.belongs(subject)) for subject in subjects}
        self.shown_bitmaps = {object: bitmap(who) for object, who in self.shown.items()}
        self.nothing = BitMap()

    def meets(self, who: BitMap, object: str | None) -> bool:
        while object is not None:
            shown = self.shown_bitmaps.get(object)
            if shown is not None and shown.intersect(who):
                return True
            object = self.parent.get(object)
        return False

    def check(self, subject: str, relation: str, object: str) -> bool:
        return self.meets(self.bitmaps.get(subject, self.nothing), object)

    def check_objects(self, subject: str, relation: str, objects: list[str]) -> list[bool]:
        who, meets = self.bitmaps.get(subject, self.nothing), self.meets
        return [meets(who, object) for object in objects]


class DeskPeer:
    """The helpdesk's rules by hand, the teams of a subject closed over once for a batch."""

    def __init__(self, scenario: Scenario) -> None:
        self.desk = Desk(scenario.tuples)

    def check(self, subject: str, relation: str, object: str) -> bool:
        return self.desk.allowed((subject, relation, object))

    def check_objects(self, subject: str, relation: str, objects: list[str]) -> list[bool]:
        who, decide = self.desk.everyone(subject), self.desk.decide
        return [decide(who, (subject, relation, object)) for object in objects]

    def batch_check(self, questions: list[Triple]) -> list[bool]:
        everyone, decide = self.desk.everyone, self.desk.decide
        known: dict[str, set[str]] = {}
        answers = []
        for question in questions:
            who = known.get(question[0])
            if who is None:
                who = known[question[0]] = everyone(question[0])
            answers.append(decide(who, question))
        return answers
