"""Deep random worlds: nested `and`, `or` and `but not`, relations that recurse through each other and through negation, dense cyclic data.

Where tests/strategies.py keeps worlds plain enough to shrink, these are made to be nasty: win-and-move games (an alternation for each step),
double negation, several mutually recursive relations over several types, tuples of an older model, and everything asked of every subject.
FGACORE_SEED repeats a run; a failure names the world's own seed and prints the shortest of what it can.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator

import pytest

import fgacore
from adapters import EngineAdapter, Question, differences
from fgacore import language
from fgacore.errors import ModelError
from fgacore.language.model import (
    ComputedUserset,
    Difference,
    Intersection,
    Model,
    Relation,
    Restriction,
    Rewrite,
    This,
    TupleToUserset,
    TypeDefinition,
    Union,
)
from oracle import Oracle
from strategies import describe

SOAK = bool(os.environ.get("FGACORE_SOAK"))
SEED = os.environ.get("FGACORE_SEED") or str(random.SystemRandom().randrange(1 << 32))
SECONDS = float(os.environ.get("FGACORE_SECONDS") or (120 if SOAK else 3.5))  # for each of the four shapes

Triple = tuple[str, str, str]
SUBJECT_TYPES = ("user", "bot")
TUPLESETS = ("p", "q")


class World:
    """Random models of one shape, tuples for them, and the subjects that can ask."""

    def __init__(self, seed: str, shape: str) -> None:
        self.rng = random.Random(seed)
        self.shape = shape
        self.types = ("doc", "folder", "group")[: self.rng.choice((1, 1, 2, 3))]
        self.parents: dict[tuple[str, str], list[str]] = {}
        self.relations = {name: tuple("abcde")[: self.rng.randint(1, 5 if len(self.types) == 1 else 3)] for name in self.types}
        self.ids = [str(number) for number in range(self.rng.randint(2, 7 if len(self.types) == 1 else 4))]

    def coin(self, chance: float) -> bool:
        return self.rng.random() < chance

    # Models

    def model(self) -> Model:
        """A model that the rules of the language admit: attempts that they refuse are thrown away, the last is opened up."""
        for attempt in range(6):
            types = {name: TypeDefinition(name) for name in SUBJECT_TYPES}
            every = [(name, tupleset) for name in self.types for tupleset in TUPLESETS]
            self.parents = {found: self.rng.sample(self.types, self.rng.randint(1, len(self.types))) for found in every}
            model = Model("1.1", types | {name: self._type(name, opened=attempt == 5) for name in self.types})
            try:
                language.validate(model)
            except ModelError:
                continue
            return model
        raise AssertionError(f"no valid model:\n{describe(model)}")

    def _type(self, name: str, opened: bool) -> TypeDefinition:
        built = {}
        for tupleset in TUPLESETS:
            parents = self.parents[name, tupleset] + (["user"] if self.coin(0.1) else [])
            built[tupleset] = Relation(tupleset, This(), tuple(Restriction(parent) for parent in parents))
        for position, relation in enumerate(self.relations[name]):
            rewrite = self._template(name, relation) if self.coin(0.35) else self._rewrite(name, position, self.rng.randint(0, 4), opened)
            if opened:
                rewrite = Union((This(), rewrite))
            restrictions = self._restrictions(opened) if has_this(rewrite) else ()
            built[relation] = Relation(relation, rewrite, restrictions)
        return TypeDefinition(name, built)

    def _template(self, name: str, relation: str) -> Rewrite:
        """Shapes that chance alone seldom makes."""
        other = self.rng.choice(self.relations[name])
        tupleset = self.rng.choice(TUPLESETS)
        other_tupleset = "q" if tupleset == "p" else "p"

        def inherit(wanted: str, through: str) -> TupleToUserset:
            admitted = self._inherited(name, through)
            return TupleToUserset(wanted if wanted in admitted else self.rng.choice(admitted), through)

        inherited, also = inherit(relation, tupleset), inherit(relation, other_tupleset)
        templates: list[Rewrite] = [
            Difference(This(), inherited),  # win and move
            Difference(This(), Difference(This(), inherited)),
            Difference(This(), Intersection((This(), inherited))),
            Union((This(), Intersection((inherited, also)))),
            Union((inherited, Difference(This(), also))),
            Difference(Union((This(), inherited)), inherit(other, tupleset)),
            Intersection((This(), Union((This(), inherited)))),
            Union((Difference(inherited, This()), This(), also)),
        ]
        monotone = [found for found in templates if not negates(found)]
        return self.rng.choice(monotone if self.shape == "monotone" else templates)

    def _inherited(self, name: str, tupleset: str) -> list[str]:
        return sorted({relation for found in self.parents[name, tupleset] for relation in self.relations[found]})

    def _rewrite(self, name: str, position: int, depth: int, opened: bool) -> Rewrite:
        if depth and self.coin(0.75):
            kinds = {"monotone": "uuii", "negation": "uidd", "knots": "uidddd", "stale": "uuid"}[self.shape]
            kind = self.rng.choice(kinds)
            children = [self._rewrite(name, position, depth - 1, opened) for _ in range(2 if kind == "d" else self.rng.choice((2, 2, 2, 3)))]
            return Difference(*children) if kind == "d" else (Union if kind == "u" else Intersection)(tuple(children))
        roll = self.rng.random()
        own = self.relations[name]
        if roll < 0.3:
            later = own[position + 1 :] if opened or self.coin(0.8) else own
            if later:
                return ComputedUserset(self.rng.choice(later))
        if roll < 0.6:
            tupleset = self.rng.choice(TUPLESETS)
            return TupleToUserset(self.rng.choice(self._inherited(name, tupleset)), tupleset)
        return This()

    def _restrictions(self, opened: bool) -> tuple[Restriction, ...]:
        usersets = [Restriction(found, relation) for found in self.types for relation in (*self.relations[found], *TUPLESETS[:1])]
        found = [Restriction("user")] if opened or self.coin(0.8) else []
        found += self.rng.sample(usersets, min(len(usersets), self.rng.choice((0, 1, 1, 2, 3))))
        found += [Restriction("user", wildcard=True)] if self.coin(0.3) else []
        found += [Restriction(self.rng.choice(self.types))] if self.coin(0.2) else []
        found += [Restriction(self.rng.choice((*self.types, "bot")), wildcard=True)] if self.coin(0.15) else []
        return tuple(dict.fromkeys(found)) or (Restriction("user"),)

    # Tuples

    def tuples(self, model: Model) -> list[Triple]:
        """Different tuples that the model admits: at random, and rings and stars through the tuplesets and usersets."""
        relations = [(name, relation) for name in self.types for relation in model.types[name].relations.values() if relation.restrictions]
        users = self.ids[:3]
        found: dict[Triple, None] = {}

        def add(subject_id: str, restriction: Restriction, relation: str, name: str) -> None:
            subject = f"{restriction.type}:{'*' if restriction.wildcard else subject_id}"
            subject += f"#{restriction.relation}" if restriction.relation else ""
            if subject != f"{name}#{relation}":
                found[subject, relation, name] = None

        for _ in range(self.rng.randint(1, 12 * len(self.types) * len(self.ids))):
            name, relation = self.rng.choice(relations)
            restriction = self.rng.choice(relation.restrictions)
            plain = restriction.type in SUBJECT_TYPES
            add(self.rng.choice(users if plain else self.ids), restriction, relation.name, f"{name}:{self.rng.choice(self.ids)}")
        for name, relation in relations:
            for restriction in relation.restrictions:
                if restriction.type in SUBJECT_TYPES or restriction.wildcard or self.coin(0.5):
                    continue
                ring = self.rng.sample(self.ids, self.rng.randint(1, len(self.ids)))
                closed = self.coin(0.6)
                for above, below in zip(ring, ring[1:] + ring[:1] if closed else ring[1:], strict=False):
                    add(above, restriction, relation.name, f"{name}:{below}")
        shuffled = list(found)
        self.rng.shuffle(shuffled)
        return shuffled

    # Questions

    def subjects(self, model: Model) -> list[str]:
        names = [f"{found}:{id_}" for found in model.types for id_ in (*self.ids, "never", "stranger")]
        usersets = [f"{name}#{relation}" for name in names for relation in model.types[name.partition(":")[0]].relations]
        subjects = [*names, *usersets, *(f"{found}:*" for found in model.types)]
        self.rng.shuffle(subjects)
        return subjects

    def questions(self, subject: str, model: Model) -> list[Question]:
        found = [
            Question(subject, relation, f"{name}:{id_}")
            for name in self.types
            for relation in model.types[name].relations
            for id_ in (*self.ids, "never")
        ]
        own = subject.partition("#")[0]
        if not own.endswith("*") and own.endswith("stranger"):
            found += [Question(subject, relation, own) for relation in model.types[own.partition(":")[0]].relations]
        self.rng.shuffle(found)
        return found


def parts(rewrite: Rewrite) -> Iterator[Rewrite]:
    yield rewrite
    match rewrite:
        case Union(children) | Intersection(children):
            for child in children:
                yield from parts(child)
        case Difference(base, subtract):
            yield from parts(base)
            yield from parts(subtract)


def has_this(rewrite: Rewrite) -> bool:
    return any(isinstance(part, This) for part in parts(rewrite))


def negates(rewrite: Rewrite) -> bool:
    return any(isinstance(part, Difference) for part in parts(rewrite))


def explain(world_seed: str, model: Model, tuples: set[Triple], faults: list[str]) -> str:
    stored = "\n".join(" ".join(triple) for triple in sorted(tuples))
    return f"FGACORE_SEED={SEED} world {world_seed}\n{describe(model)}\n{stored}\n" + "\n".join(faults[:20])


def compare(world: World, seed: str, adapter: EngineAdapter, model_id: str, model: Model, tuples: set[Triple], share: float) -> int:
    oracle = Oracle(model, tuples)
    asked = 0
    for subject in world.subjects(model):
        if not world.coin(share):
            continue
        questions = world.questions(subject, model)
        expected = [oracle.check(*question) for question in questions]
        every = ["check", "check_objects", "batch_check", "check_ids"]
        paths = world.rng.sample(every, world.rng.choice((1, 2, 4)))
        faults = differences(adapter.ask(questions, model_id, paths), questions, expected)
        assert not faults, explain(seed, model, tuples, [f"asked by {paths}", *faults])
        asked += len(questions)
    return asked


def play(seed: str, shape: str) -> int:
    """One world from beginning to end; the number of questions asked."""
    world = World(seed, shape)
    adapter = EngineAdapter()
    first = world.model()
    models = [(adapter.write_model(language.to_json(first)), first)]
    stored: set[Triple] = set()
    asked = 0
    for _ in range(world.rng.choice((1, 2, 3))):
        if shape == "stale" and world.coin(0.7):
            newer = world.model()
            models.append((adapter.write_model(language.to_json(newer)), newer))
        new = [triple for triple in world.tuples(models[-1][1]) if triple not in stored]
        for lot in range(0, len(new), step := max(1, len(new) // world.rng.randint(1, 4))):
            gone = [triple for triple in sorted(stored) if world.coin(0.15)]
            lot_of_new = new[lot : lot + step]
            adapter.engine.write(lot_of_new, deletes=gone)
            stored.difference_update(gone)
            stored.update(lot_of_new)
            if world.coin(0.3):
                adapter.engine.merge()
            if world.coin(0.2):  # teach the engine something that the next lot makes untrue
                asked += compare(world, seed, adapter, *models[-1], stored, 0.05)
        assert {(found.subject, found.relation, found.object) for found in adapter.engine.read()} == stored, seed
        for model_id, model in models if world.coin(0.5) else models[-1:]:
            asked += compare(world, seed, adapter, model_id, model, stored, 1.0 if world.coin(0.2) else 0.3)
    adapter.close()
    return asked


@pytest.mark.parametrize("shape", ["monotone", "negation", "knots", "stale"])
def test_deep_worlds_agree_with_the_oracle(shape: str) -> None:
    end = time.monotonic() + SECONDS
    worlds = asked = 0
    while time.monotonic() < end:
        asked += play(f"{SEED}-{shape}-{worlds}", shape)
        worlds += 1
    print(f"FGACORE_SEED={SEED}: {worlds} worlds, {asked} questions")
    assert asked > worlds > 0


WIN_AND_MOVE = """
model
  schema 1.1
type user
type bot
type node
  relations
    define move: [node]
    define lost: [bot] or won from move
    define won: [user] but not lost
"""


@pytest.mark.parametrize("length", [1, 2, 3, 10, 61, 400])
@pytest.mark.parametrize("closed", [False, True])
def test_win_and_move_needs_an_alternation_for_each_step(length: int, closed: bool) -> None:
    """Node 0 has no move. Along the chain every other node is won; closed to a ring an even one is undefined everywhere, an odd one too."""
    engine = fgacore.open(":memory:")
    engine.write_model(WIN_AND_MOVE)
    writes = [("user:a", "won", f"node:{number}") for number in range(length)]
    writes += [(f"node:{number - 1}", "move", f"node:{number}") for number in range(1, length)]
    if closed and length > 1:
        writes.append((f"node:{length - 1}", "move", "node:0"))
    engine.write(writes)
    expected = [not closed and number % 2 == 0 for number in range(length)] if length > 1 else [True]
    names = [f"node:{number}" for number in range(length)]
    assert [engine.check("user:a", "won", name) for name in names] == expected
    assert engine.check_objects("user:a", "won", names) == expected
    assert engine.check_objects("user:a", "won", names[::-1]) == expected[::-1]
    engine.merge()
    assert engine.check_objects("user:a", "won", names) == expected
    assert not any(engine.check_objects("user:b", "won", names))
    engine.close()
