"""What a good Python programmer writes instead of taking an engine: three peers that know the three shapes, and one that knows the helpdesk.

They are the hard peers: some thirty lines, nothing generic, nothing checked, no writes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from pyroaring import BitMap

from benchmarks.scenarios import Scenario, Triple

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
    """The helpdesk's rules by hand, for data that stands still: a function for each kind and relation, and what a subject belongs to and leads
    found once for a batch.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.teams: dict[str, list[str]] = defaultdict(list)  # of a subject or of `team:x#member`, as `team:x#member`
        self.leads: dict[str, list[str]] = defaultdict(list)  # queues
        self.queue: dict[str, str] = {}  # of a ticket
        self.ticket: dict[str, str] = {}  # of a note
        self.held: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))  # relation, object, subjects
        for subject, relation, object in scenario.tuples:
            if relation == "member":
                self.teams[subject].append(f"{object}#member")
            elif relation == "lead":
                self.leads[subject].append(object)
            elif relation == "queue":
                self.queue[object] = subject
            elif relation == "ticket":
                self.ticket[object] = subject
            else:
                self.held[relation][object].add(subject)
        self.rules: dict[tuple[str, str], Callable[[str, set[str], set[str], str], bool]] = {
            ("t", "can_read"): self._read_ticket,
            ("t", "can_update_status"): self._read_ticket,
            ("t", "can_close"): lambda subject, who, led, ticket: self.queue.get(ticket) in led,
            ("n", "can_read"): self._read_note,
            ("c", "can_read_payments"): lambda subject, who, led, customer: not who.isdisjoint(self.held["billing"].get(customer, ())),
            ("c", "can_read_profile"): self._read_profile,
            ("d", "can_read"): lambda subject, who, led, message: subject in self.held["participant"].get(message, ()),
        }

    def _read_ticket(self, subject: str, who: set[str], led: set[str], ticket: str) -> bool:
        if self.queue.get(ticket) in led:
            return True
        return not who.isdisjoint(self.held["assignee"].get(ticket, ())) and subject not in self.held["conflicted"].get(ticket, ())

    def _read_note(self, subject: str, who: set[str], led: set[str], note: str) -> bool:
        return subject in self.held["author"].get(note, ()) or self.queue.get(self.ticket.get(note, "")) in led

    def _read_profile(self, subject: str, who: set[str], led: set[str], customer: str) -> bool:
        return subject in self.held["account_manager"].get(customer, ()) or not who.isdisjoint(self.held["billing"].get(customer, ()))

    def belongs(self, subject: str) -> tuple[set[str], set[str]]:
        """All that the subject is, and the queues it leads."""
        who, open_ = {subject}, [subject]
        while open_:
            for team in self.teams.get(open_.pop(), ()):
                if team not in who:
                    who.add(team)
                    open_.append(team)
        return who, {queue for each in who for queue in self.leads.get(each, ())}

    def check(self, subject: str, relation: str, object: str) -> bool:
        who, led = self.belongs(subject)
        return self.rules[object[0], relation](subject, who, led, object)

    def check_objects(self, subject: str, relation: str, objects: list[str]) -> list[bool]:
        (who, led), rules = self.belongs(subject), self.rules
        return [rules[object[0], relation](subject, who, led, object) for object in objects]

    def batch_check(self, questions: list[Triple]) -> list[bool]:
        known: dict[str, tuple[set[str], set[str]]] = {}
        rules, answers = self.rules, []
        for subject, relation, object in questions:
            if subject not in known:
                known[subject] = self.belongs(subject)
            who, led = known[subject]
            answers.append(rules[object[0], relation](subject, who, led, object))
        return answers
