"""The headline: an agent at work in a large helpdesk, and the same with a write after each hundred decisions.

Data and model are those of `fgacore demo`. The answers come from `Desk`: the rules of that one model in plain Python over sets.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable

from fgacore.cli.helpdesk import AGENT, generated_tuples, model_text

from .scenario import ObjectList, Scenario, Step, Triple

__all__ = ["Desk", "helpdesk_loop", "writes_between"]

# relation, which objects, parts in a hundred. Own tickets are those assigned to the agent or to a team it belongs to.
MIX = (
    ("can_read", "own", 30),
    ("can_update_status", "own", 15),
    ("can_close", "own", 5),
    ("can_read", "ticket", 20),
    ("can_read", "note", 10),
    ("can_read_payments", "customer", 10),
    ("can_read_profile", "customer", 5),
    ("can_read", "direct_message", 5),
)


class Desk:
    """Who may what in the helpdesk: its model by hand, and the tuples as they stand now."""

    def __init__(self, tuples: Iterable[Triple]) -> None:
        self.held: dict[tuple[str, str], set[str]] = defaultdict(set)  # (relation, object) to subjects
        self.teams: dict[str, set[str]] = defaultdict(set)  # a member, as text, to teams
        for triple in tuples:
            self.add(triple)

    def add(self, triple: Triple) -> None:
        subject, relation, object = triple
        self.held[relation, object].add(subject)
        if relation == "member":
            self.teams[subject].add(object)

    def remove(self, triple: Triple) -> None:
        subject, relation, object = triple
        self.held[relation, object].remove(subject)
        if relation == "member":
            self.teams[subject].remove(object)

    def everyone(self, subject: str) -> set[str]:
        """The subject, and every team it belongs to as `team:x#member`."""
        found, open_ = {subject}, [subject]
        while open_:
            for team in self.teams.get(open_.pop(), ()):
                if f"{team}#member" not in found:
                    found.add(f"{team}#member")
                    open_.append(f"{team}#member")
        return found

    def allowed(self, question: Triple) -> bool:
        return self.decide(self.everyone(question[0]), question)

    def decide(self, who: set[str], question: Triple) -> bool:
        """Whether `who`, which is `everyone(subject)`, may."""
        subject, relation, object = question
        match object.partition(":")[0], relation:
            case "ticket", "can_close":
                return self._leads(who, object)
            case "ticket", "can_read" | "can_update_status":
                return self._leads(who, object) or (self._has(who, "assignee", object) and subject not in self._of("conflicted", object))
            case "note", "can_read":
                return subject in self._of("author", object) or any(self._leads(who, ticket) for ticket in self._of("ticket", object))
            case "customer", "can_read_payments":
                return self._has(who, "billing", object)
            case "customer", "can_read_profile":
                return subject in self._of("account_manager", object) or self._has(who, "billing", object)
            case "direct_message", "can_read":
                return subject in self._of("participant", object)
        raise AssertionError(question)

    def _of(self, relation: str, object: str) -> set[str]:
        return self.held.get((relation, object), set())

    def _has(self, who: set[str], relation: str, object: str) -> bool:
        return not who.isdisjoint(self._of(relation, object))

    def _leads(self, who: set[str], ticket: str) -> bool:
        return any(self._has(who, "lead", queue) for queue in self._of("queue", ticket))


class Questions:
    """What the agent asks, drawn from the mix."""

    def __init__(self, chance: random.Random, desk: Desk, tuples: list[Triple]) -> None:
        self.chance = chance
        who = desk.everyone(AGENT)
        objects: dict[str, dict[str, None]] = {"own": {}, "ticket": {}, "note": {}, "customer": {}, "direct_message": {}}
        for subject, relation, object in tuples:
            objects.get(object.partition(":")[0], {})[object] = None
            if relation == "assignee" and subject in who:
                objects["own"][object] = None
        self.objects = {kind: list(names) for kind, names in objects.items()}

    def draw(self, count: int) -> list[Triple]:
        drawn = self.chance.choices(MIX, weights=[weight for _, _, weight in MIX], k=count)
        return [(AGENT, relation, self.chance.choice(self.objects[kind])) for relation, kind, _ in drawn]


def helpdesk_loop(tuple_count: int = 100_000, step_count: int = 200, batch_count: int = 500, seed: int = 3) -> Scenario:
    """Each step is 500 mixed decisions of one agent. One step in a hundred is followed by a write about the agent itself.

    The first write hands it somebody else's ticket, about which every step asks; the second takes that back, and so on: the costliest kind of
    write for it, since what is known of a subject is dropped when its own tuples change.
    """
    chance = random.Random(seed)
    tuples = generated_tuples(tuple_count)
    desk = Desk(tuples)
    questions = Questions(chance, desk, tuples)
    every = min(100, step_count // 2)  # of a short loop for a test, every half
    ticket, owner = _handed_over(chance, desk, questions)
    taken, given = (owner, "assignee", ticket), (AGENT, "assignee", ticket)
    steps = []
    for number in range(1, step_count + 1):
        asked = [(AGENT, "can_read", ticket), *questions.draw(batch_count - 1)]
        writes: tuple[Triple, ...] = ()
        deletes: tuple[Triple, ...] = ()
        if number % every == 0:
            writes, deletes = ((given,), (taken,)) if number // every % 2 else ((taken,), (given,))
        steps.append(_step(desk, asked, writes, deletes))
    assert set(tuples) == {(subject, relation, object) for (relation, object), subjects in desk.held.items() for subject in subjects}  # round trip
    return Scenario(
        "helpdesk_loop", model_text(), tuples, steps[0].questions, steps[0].answers, _tickets(chance, desk, questions, batch_count), tuple(steps)
    )


def writes_between(tuple_count: int = 100_000, step_count: int = 20, batch_count: int = 100, seed: int = 4) -> Scenario:
    """Batches of 100 decisions with one write after each: one write for every hundred decisions.

    Nine in ten are about others (a user takes a ticket, or gives it back), one is about the agent itself.
    """
    chance = random.Random(seed)
    tuples = generated_tuples(tuple_count)
    desk = Desk(tuples)
    questions = Questions(chance, desk, tuples)
    tickets = [ticket for ticket in questions.objects["ticket"] if AGENT not in desk.held["assignee", ticket]]
    added = [(AGENT if number % 10 == 9 else f"user:new-{number}", "assignee", chance.choice(tickets)) for number in range(step_count // 2)]
    steps = []
    for number in range(2 * len(added)):
        asked = questions.draw(batch_count)
        if number < len(added):
            steps.append(_step(desk, asked, (added[number],), ()))
        else:
            steps.append(_step(desk, asked, (), (added[number - len(added)],)))
    return Scenario("writes_between", model_text(), tuples, steps[0].questions, steps[0].answers, None, tuple(steps))


def _step(desk: Desk, asked: list[Triple], writes: tuple[Triple, ...], deletes: tuple[Triple, ...]) -> Step:
    """A step with the answers of this moment; its writes are done to the desk afterwards."""
    who = desk.everyone(AGENT)
    step = Step(asked, [desk.decide(who, question) for question in asked], writes, deletes)
    for triple in deletes:
        desk.remove(triple)
    for triple in writes:
        desk.add(triple)
    return step


def _handed_over(chance: random.Random, desk: Desk, questions: Questions) -> tuple[str, str]:
    """A ticket that the agent may not read, and would once it is assigned to it; and whose it is."""
    while True:
        ticket = chance.choice(questions.objects["ticket"])
        owners = desk.held["assignee", ticket]
        if len(owners) == 1 and AGENT not in desk.held.get(("conflicted", ticket), ()) and not desk.allowed((AGENT, "can_read", ticket)):
            return ticket, next(iter(owners))


def _tickets(chance: random.Random, desk: Desk, questions: Questions, count: int) -> ObjectList:
    """Half of them own tickets, half any."""
    objects = chance.choices(questions.objects["own"], k=count // 2) + chance.choices(questions.objects["ticket"], k=count - count // 2)
    chance.shuffle(objects)
    return ObjectList(AGENT, "can_read", objects, [desk.allowed((AGENT, "can_read", object)) for object in objects])
