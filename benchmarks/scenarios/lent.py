"""Authority that is lent: a person, an agent that asks for them, a scope of three entries, and the answers that this leaves.

Data are the three shapes, in which the agent holds what the person holds, and the helpdesk, in which the person leads every queue and the agent has a
part of the tickets. The answers are worked out over sets, without an engine.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from fgacore.cli.helpdesk import AGENT as DESK_AGENT
from fgacore.cli.helpdesk import QUEUE_COUNT, generated_tuples, model_text

from .helpdesk import Desk
from .scenario import Triple, fresh
from .shapes import AGENT, SHAPES, VIEWER

__all__ = ["LENT", "Lent", "lent_desk", "lent_shape"]

Pair = tuple[str, str]  # relation, object


@dataclass(frozen=True, slots=True)
class Lent:
    """Data, who asks for whom within which scope, and what. No name in a question is the same object as in a tuple, or in another question.

    `held` says for each pair whether the person and whether the agent holds it; `answers` is what a session of the two is to say.
    """

    name: str
    model: str
    tuples: list[Triple]
    root: str
    agent: str
    scope: list[str]
    pairs: list[Pair]  # mixed relations, where the model has them
    held: list[tuple[bool, bool]]
    answers: list[bool]
    relation: str  # asked of many objects
    objects: list[str]
    object_held: list[tuple[bool, bool]]
    object_answers: list[bool]

    def questions(self, subject: str) -> list[Triple]:
        """The pairs as questions of one of the two."""
        return [(subject, relation, fresh(object)) for relation, object in self.pairs]


def lent_shape(shape: str, tuple_count: int = 100_000, batch_count: int = 500) -> Lent:
    """A shape in which a second subject holds the very tuples of its agent: both have to be asked to the end, and answer alike."""
    scenario = SHAPES[shape](tuple_count, batch_count=batch_count)
    assert scenario.listed is not None
    twin = "user:twin"
    tuples = scenario.tuples + [(twin, relation, object) for subject, relation, object in scenario.tuples if subject == AGENT]
    objects, answers = scenario.listed.objects, scenario.listed.answers
    excepted = objects[answers.index(True)]  # held by both, and taken away by the scope
    scope = [f"{VIEWER} doc:*", f"{VIEWER} doc:0", f"not {VIEWER} {excepted}"]
    held = [(answer, answer) for answer in answers]
    right = [answer and object != excepted for object, answer in zip(objects, answers, strict=True)]
    pairs = [(VIEWER, fresh(object)) for object in objects]
    return Lent(shape, scenario.model, tuples, AGENT, twin, scope, pairs, held, right, VIEWER, list(map(fresh, objects)), held, right)


def lent_desk(tuple_count: int = 100_000, batch_count: int = 500, seed: int = 21) -> Lent:
    """The helpdesk of the demo: a person who leads all queues, and the agent with its own tickets and those of its teams."""
    chance = random.Random(seed)
    root = "user:head"
    tuples = [(root, "lead", f"queue:{queue}") for queue in range(QUEUE_COUNT)] + generated_tuples(tuple_count)
    desk = Desk(tuples)
    who = {subject: desk.everyone(subject) for subject in (root, DESK_AGENT)}

    def holds(relation: str, object: str) -> tuple[bool, bool]:
        return desk.decide(who[root], (root, relation, object)), desk.decide(who[DESK_AGENT], (DESK_AGENT, relation, object))

    tickets = list(dict.fromkeys(object for _, _, object in tuples if object.startswith("ticket:")))
    own = [ticket for ticket in tickets if holds("can_read", ticket)[1]]
    others = [ticket for ticket in tickets if not holds("can_read", ticket)[1]]
    notes = list(dict.fromkeys(object for _, _, object in tuples if object.startswith("note:")))
    excepted = own[0]
    scope = ["can_read ticket:*", "can_update_status ticket:*", f"not can_read {excepted}"]

    def admits(relation: str, object: str) -> bool:
        return relation in ("can_read", "can_update_status") and object.startswith("ticket:") and (relation, object) != ("can_read", excepted)

    kinds = (("can_read", own, 35), ("can_update_status", own, 15), ("can_read", others, 30), ("can_read", notes, 10), ("can_close", own, 10))
    drawn = chance.choices(kinds, weights=[weight for _, _, weight in kinds], k=batch_count - 1)
    pairs = [("can_read", fresh(excepted)), *((relation, fresh(chance.choice(objects))) for relation, objects, _ in drawn)]
    objects = [excepted, *chance.choices(own, k=batch_count // 2 - 1), *chance.choices(others, k=batch_count - batch_count // 2)]
    chance.shuffle(objects)
    held, object_held = [holds(*pair) for pair in pairs], [holds("can_read", object) for object in objects]
    answers = [all(both) and admits(*pair) for both, pair in zip(held, pairs, strict=True)]
    right = [all(both) and admits("can_read", object) for both, object in zip(object_held, objects, strict=True)]
    asked = list(map(fresh, objects))
    return Lent("helpdesk", model_text(), tuples, root, DESK_AGENT, scope, pairs, held, answers, "can_read", asked, object_held, right)


def _shape(shape: str) -> Callable[[int, int], Lent]:
    return lambda tuple_count, batch_count: lent_shape(shape, tuple_count, batch_count)


LENT: dict[str, Callable[[int, int], Lent]] = {"helpdesk": lent_desk, **{shape: _shape(shape) for shape in SHAPES}}
