"""The oracle itself: cases worked out by hand, and the same well-founded model by another of its definitions.

The oracle alternates fixpoints. Here the model is built from below by greatest unfounded sets: what is true by what is known becomes true,
what could only support itself becomes false. Where the two agree on random worlds, each vouches for the other.
"""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings

from fgacore import language
from fgacore.errors import RequestError
from fgacore.language.model import ComputedUserset, Difference, Intersection, Model, Rewrite, This, TupleToUserset, Union
from oracle import Atom, Oracle, Value
from properties.lockstep import SOAK
from properties.scenarios import lines, model_text
from strategies import RandomChoices, Tape, all_questions, make_model, make_subject, make_tuples, tapes

TRUE, FALSE, UNDEFINED = Value.TRUE, Value.FALSE, Value.UNDEFINED


def oracle(model: str, tuples: str) -> Oracle:
    return Oracle(language.load(model_text(model)), lines(tuples))


def test_an_undefined_answer_is_told_from_a_false_one_and_denies_like_it() -> None:
    store = oracle(
        """
        type user
        type doc
        viewer: [user] but not restricted
        restricted: [user, doc#viewer]
        reader: [user]
        can_read: reader but not restricted
        either: can_read or reader
        both: can_read and reader
        none: can_read and other
        other: [user]
        """,
        """
        user:jon viewer doc:1
        doc:1#viewer restricted doc:1
        user:jon reader doc:1
        user:ann reader doc:1
        """,
    )
    values = {relation: store.value("user:jon", relation, "doc:1") for relation in ("viewer", "restricted", "can_read", "either", "both", "none")}
    assert values == {"viewer": UNDEFINED, "restricted": UNDEFINED, "can_read": UNDEFINED, "either": TRUE, "both": UNDEFINED, "none": FALSE}
    assert not store.check("user:jon", "can_read", "doc:1")
    assert store.value("user:ann", "viewer", "doc:1") is FALSE
    assert store.value("user:ann", "can_read", "doc:1") is TRUE


def test_a_double_negation_of_itself_is_undefined_with_or_without_a_name() -> None:
    store = oracle(
        """
        type user
        type doc
        base: [user]
        viewer: base but not (base but not again)
        again: [user, doc#viewer]
        named_viewer: base but not named
        named: base but not named_again
        named_again: [user, doc#named_viewer]
        """,
        """
        user:ann base doc:1
        doc:1#viewer again doc:1
        doc:1#named_viewer named_again doc:1
        """,
    )
    assert store.value("user:ann", "viewer", "doc:1") is UNDEFINED
    assert store.value("user:ann", "named_viewer", "doc:1") is UNDEFINED
    assert store.value("user:ann", "named", "doc:1") is UNDEFINED


def test_a_loop_without_negation_is_false_and_not_undefined() -> None:
    store = oracle("type user\ntype doc\nfirst: [user, doc#second]\nsecond: [user, doc#first]", "doc:1#second first doc:1\ndoc:1#first second doc:1")
    assert store.value("user:ann", "first", "doc:1") is FALSE


def test_a_game_of_moves_is_won_lost_or_drawn() -> None:
    """win: a move to a position that is lost. A ring of two is a draw; a move out of it to a lost position wins."""
    store = oracle(
        "type user\ntype place\nplayer: [user:*]\nmove: [place]\nlosing: player but not winning\nwinning: [user] or losing from move",
        """
        user:* player place:a
        user:* player place:b
        user:* player place:c
        user:* player place:d
        user:* player place:e
        user:* player place:f
        place:b move place:a
        place:c move place:b
        place:e move place:d
        place:d move place:e
        place:d move place:f
        place:c move place:f
        """,
    )
    values = {name: store.value("user:ann", "winning", f"place:{name}") for name in "abcdef"}
    assert values == {"c": FALSE, "b": TRUE, "a": FALSE, "d": UNDEFINED, "e": UNDEFINED, "f": TRUE}


def test_atoms_are_everything_that_is_true_for_a_subject() -> None:
    store = oracle(
        """
        type user
        type group
        member: [user, group#member]
        type doc
        parent: [doc]
        owner: [user, user:*, group#member]
        viewer: owner or viewer from parent
        """,
        """
        user:ann member group:1
        group:1#member member group:2
        group:2#member owner doc:1
        doc:1 parent doc:2
        user:* owner doc:3
        doc:3 unknown doc:4
        bot:1 owner doc:5
        """,
    )
    documents = {("owner", "doc:1"), ("viewer", "doc:1"), ("viewer", "doc:2"), ("owner", "doc:3"), ("viewer", "doc:3")}
    assert store.atoms("user:ann") == {("member", "group:1"), ("member", "group:2")} | documents
    assert store.atoms("user:new") == store.atoms("user:*") == {("owner", "doc:3"), ("viewer", "doc:3")}
    assert store.atoms("group:2#member") == {("member", "group:2"), ("owner", "doc:1"), ("viewer", "doc:1"), ("viewer", "doc:2")}
    assert store.atoms("doc:new#owner") == {("owner", "doc:new"), ("viewer", "doc:new")}
    assert store.atoms("doc:1") == {("parent", "doc:2")}


def test_a_tuple_without_a_condition_does_not_count_where_one_is_demanded() -> None:
    model = "type user\ntype doc\nviewer: [user with small, user:*{}]\ncondition small(x: int) {{ x < 10 }}"
    tuples = "user:ann viewer doc:1\nuser:* viewer doc:2"
    demanded_of_all = oracle(model.format(" with small"), tuples)
    assert demanded_of_all.atoms("user:ann") == set()
    demanded_of_the_named = oracle(model.format(""), tuples)
    assert demanded_of_the_named.atoms("user:ann") == demanded_of_the_named.atoms("user:bob") == {("viewer", "doc:2")}


WRONG_SUBJECTS = ("bot:1", "bot:*", "bot:1#member", "doc:1#member", "user", "user:", "a:b:c", "user:*#member", "user:*a", "user:a b")


@pytest.mark.parametrize("subject", WRONG_SUBJECTS)
def test_an_unknown_or_malformed_subject_is_refused(subject: str) -> None:
    store = oracle("type user\ntype doc\nowner: [user]", "user:ann owner doc:1")
    with pytest.raises(RequestError):
        store.check(subject, "owner", "doc:1")
    with pytest.raises(RequestError):
        store.atoms(subject)


# The well-founded model by unfounded sets. A node is an atom: a relation of an object, or one `but not` operand at one object.

Node = tuple[str, str, tuple[int, ...]]  # relation, object, the way to the operand inside the rewrite


class Unfounded:
    """The same question, by another definition, from the same words of the design and nothing of the oracle's code."""

    def __init__(self, model: Model, tuples: list[tuple[str, str, str]], subject: str) -> None:
        self.model, self.subject = model, subject
        self.tuples = [triple for triple in tuples if self.admitted(*triple)]
        names = {name for triple in self.tuples for name in (triple[0].partition("#")[0], triple[2])} | {subject.partition("#")[0]}
        self.bodies: dict[Node, Rewrite] = {}
        for name in names:
            if not name.endswith(":*"):
                for relation in model.types[name.partition(":")[0]].relations.values():
                    self.add((relation.name, name, ()), relation.rewrite)

    def admitted(self, subject: str, relation: str, name: str) -> bool:
        types = self.model.types
        type_name = name.partition(":")[0]
        if type_name not in types or relation not in types[type_name].relations:
            return False
        shapes = {
            r.type + ":*" if r.wildcard else r.type + ("#" + r.relation if r.relation else "")
            for r in types[type_name].relations[relation].restrictions
        }
        if subject.endswith(":*"):
            return subject in shapes
        own, hash_sign, userset = subject.partition("#")
        return own.partition(":")[0] + hash_sign + userset in shapes

    def add(self, node: Node, rewrite: Rewrite) -> None:
        self.bodies[node] = rewrite
        self.operands(node, rewrite, node[2])

    def operands(self, node: Node, rewrite: Rewrite, way: tuple[int, ...]) -> None:
        if isinstance(rewrite, Union | Intersection):
            for position, child in enumerate(rewrite.children):
                self.operands(node, child, (*way, position))
        elif isinstance(rewrite, Difference):
            self.operands(node, rewrite.base, (*way, 0))
            self.add((node[0], node[1], (*way, 1)), rewrite.subtract)

    def true(self, node: Node, positive: set[Node], negative: set[Node]) -> bool:
        """Whether the body holds where exactly `positive` are true and exactly `negative` are false, for what is subtracted."""
        relation, name, way = node
        if not way and self.subject == f"{name}#{relation}":
            return True

        def holds(rewrite: Rewrite, way: tuple[int, ...]) -> bool:
            if isinstance(rewrite, This):
                return any(self.granted(given, positive) for given, of, on in self.tuples if (of, on) == (relation, name))
            if isinstance(rewrite, ComputedUserset):
                return (rewrite.relation, name, ()) in positive
            if isinstance(rewrite, TupleToUserset):
                return any((rewrite.relation, given, ()) in positive for given, of, on in self.tuples if (of, on) == (rewrite.tupleset, name))
            if isinstance(rewrite, Difference):
                return holds(rewrite.base, (*way, 0)) and (relation, name, (*way, 1)) in negative
            results = [holds(child, (*way, position)) for position, child in enumerate(rewrite.children)]
            return any(results) if isinstance(rewrite, Union) else all(results)

        return holds(self.bodies[node], way)

    def granted(self, given: str, positive: set[Node]) -> bool:
        plain = "#" not in self.subject and not self.subject.endswith(":*")
        if given == self.subject or (plain and given == self.subject.partition(":")[0] + ":*"):
            return True
        name, hash_sign, relation = given.partition("#")
        return bool(hash_sign) and (relation, name, ()) in positive

    def model_of(self) -> dict[Node, Value]:
        known_true: set[Node] = set()
        known_false: set[Node] = set()
        while True:
            follows = {node for node in self.bodies if self.true(node, known_true, known_false)}
            founded: set[Node] = set()  # all that has some support that is not known to be false and does not rest on itself
            while True:
                more = {node for node in set(self.bodies) - known_false if self.true(node, founded, set(self.bodies) - known_true)}
                if more == founded:
                    break
                founded = more
            unfounded = set(self.bodies) - founded
            if follows <= known_true and unfounded <= known_false:
                return {node: TRUE if node in known_true else FALSE if node in known_false else UNDEFINED for node in self.bodies}
            known_true |= follows
            known_false |= unfounded


@settings(max_examples=5_000 if SOAK else 300)
@given(tapes(260))
def test_unfounded_sets_give_the_same_model(source: Tape) -> None:
    older = make_model(source)
    tuples = make_tuples(source, older, source.below(8))
    model = make_model(source)
    tuples += [triple for triple in make_tuples(source, model, 4 + source.below(24)) if triple not in tuples]
    store = Oracle(model, tuples)
    for _ in range(2):
        subject = make_subject(source, model)
        expected = Unfounded(model, tuples, subject).model_of()
        by_oracle: dict[Atom, Value] = {(relation, name): store.value(subject, relation, name) for relation, name, way in expected if not way}
        assert by_oracle == {(relation, name): value for (relation, name, way), value in expected.items() if not way}


def test_random_worlds_have_answers_of_every_kind() -> None:
    """What is compared on random worlds is only worth as much as the worlds: enough is granted, and some of it is undefined."""
    values: Counter[Value] = Counter()
    for seed in range(150):
        source = RandomChoices(seed)
        model = make_model(source)
        store = Oracle(model, make_tuples(source, model, 10 + source.below(30)))
        subject = make_subject(source, model)
        values.update(store.value(*question) for question in all_questions(subject, model))
    assert values[TRUE] > 0.05 * values.total()
    assert values[UNDEFINED] > 10
