"""The graph of a model's relations: which can be held by somebody, and which are computed from themselves.

Both are asked of the whole model at once, by spreading facts along edges: linear in the edges, without recursion, whatever the model.
validate.py calls this on models whose references hold.
"""

from __future__ import annotations

from fgacore.language.model import ComputedUserset, Difference, Intersection, Model, Rewrite, This, TupleToUserset, TypeDefinition, Union

__all__ = ["Place", "Tuplesets", "entry_points", "on_cycles"]

Place = tuple[str, str]  # a type and one of its relations
Index = dict[str, list[str]]  # each relation that is found on some types, with those types


class Tuplesets:
    """What the relations that stand after `from` lead to. Each is read once, however many relations are asked through it."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._read: dict[Place, tuple[bool, Index]] = {}
        self._indexes: dict[tuple[str, ...], Index] = {}

    def plain(self, place: Place) -> bool:
        """True if the relation names plain types and nothing else, as one after `from` must."""
        return self._at(place)[0]

    def index(self, place: Place) -> Index:
        """The relations of the types that the relation names."""
        return self._at(place)[1]

    def _at(self, place: Place) -> tuple[bool, Index]:
        found = self._read.get(place)
        if found is None:
            relation = self._model.types[place[0]].relations[place[1]]
            plain = isinstance(relation.rewrite, This) and all(item.relation is None and not item.wildcard for item in relation.restrictions)
            found = self._read[place] = (plain, self._index(tuple(dict.fromkeys(item.type for item in relation.restrictions))))
        return found

    def _index(self, types: tuple[str, ...]) -> Index:
        index = self._indexes.get(types)
        if index is None:
            index = self._indexes[types] = {}
            for name in types:
                definition = self._model.types.get(name)
                for relation in definition.relations if definition is not None else ():
                    index.setdefault(relation, []).append(name)
        return index


class _Gates:
    """A net of gates: each opens once so many of its inputs are open; an open gate stays open."""

    def __init__(self) -> None:
        self.needs: list[int] = []
        self.outputs: list[list[int]] = []

    def gate(self, needs: int) -> int:
        self.needs.append(needs)
        self.outputs.append([])
        return len(self.needs) - 1

    def open(self, gates: list[int]) -> list[bool]:
        """Which gates open, once `gates` are open."""
        is_open = [False] * len(self.needs)
        waiting = list(self.needs)
        stack = gates
        while stack:
            gate = stack.pop()
            if is_open[gate]:
                continue
            is_open[gate] = True
            for output in self.outputs[gate]:
                waiting[output] -= 1
                if waiting[output] == 0:
                    stack.append(output)
        return is_open


def entry_points(model: Model, tuplesets: Tuplesets | None = None, *, strict: bool = False) -> set[Place]:
    """The relations that somebody can hold: a stored tuple can lead to them.

    A union needs one operand, an intersection all, an exclusion its base; and what is taken away must be possible too, or the relation
    does not count. It may be possible through the relation itself: `win: [player] but not win from rival` has an entry point, though a
    search that follows the subtraction first finds a loop. `strict` counts as the language's own tools do: an exclusion needs both sides at once.
    """
    net = _Gates()
    relations = {(name, relation): net.gate(1) for name, definition in model.types.items() for relation in definition.relations}
    through: dict[tuple[str, str, str], int] = {}
    tuplesets = tuplesets or Tuplesets(model)
    opened: list[int] = []
    taken: list[tuple[Place, int]] = []

    def operand(rewrite: Rewrite, definition: TypeDefinition, place: Place) -> int:
        """The gate of an operand that has no operands of its own."""
        if isinstance(rewrite, ComputedUserset):
            return relations[definition.name, rewrite.relation]
        if isinstance(rewrite, TupleToUserset):
            key = (definition.name, rewrite.tupleset, rewrite.relation)
            if key not in through:
                through[key] = net.gate(1)
                for name in tuplesets.index((definition.name, rewrite.tupleset)).get(rewrite.relation, ()):
                    net.outputs[relations[name, rewrite.relation]].append(through[key])
            return through[key]
        gate = net.gate(1)
        for item in definition.relations[place[1]].restrictions:
            if item.relation is None:
                opened.append(gate)
            else:
                net.outputs[relations[item.type, item.relation]].append(gate)
        return gate

    for name, definition in model.types.items():
        for relation in definition.relations.values():
            place = (name, relation.name)
            stack: list[tuple[Rewrite, int]] = [(relation.rewrite, relations[place])]
            while stack:
                node, output = stack.pop()
                if isinstance(node, (This, ComputedUserset, TupleToUserset)):
                    net.outputs[operand(node, definition, place)].append(output)
                    continue
                if isinstance(node, Difference) and not strict:
                    taken.append((place, net.gate(1)))
                    stack += [(node.base, output), (node.subtract, taken[-1][1])]
                    continue
                children = (node.base, node.subtract) if isinstance(node, Difference) else node.children
                gate = net.gate(1 if isinstance(node, Union) else len(children))
                net.outputs[gate].append(output)
                stack += ((child, gate) for child in children)

    is_open = net.open(opened)
    return {place for place, gate in relations.items() if is_open[gate]} - {place for place, gate in taken if not is_open[gate]}


def _computed(rewrite: Rewrite) -> list[str]:
    """The relations of the same object that a rewrite mentions."""
    found: list[str] = []
    stack = [rewrite]
    while stack:
        node = stack.pop()
        if isinstance(node, ComputedUserset):
            found.append(node.relation)
        elif isinstance(node, (Union, Intersection)):
            stack += node.children
        elif isinstance(node, Difference):
            stack += (node.base, node.subtract)
    return found


def on_cycles(model: Model) -> set[Place]:
    """The relations that are computed from themselves through relations of the same object, which the server refuses."""
    found: set[Place] = set()
    for name, definition in model.types.items():
        edges = {relation.name: _computed(relation.rewrite) for relation in definition.relations.values()}
        found.update((name, relation) for relation in _cyclic(edges))
    return found


def _cyclic(edges: dict[str, list[str]]) -> set[str]:
    """The nodes that lie on a cycle: Tarjan's components, with a stack of our own."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    component: list[str] = []
    inside: set[str] = set()
    found: set[str] = set()
    for root in edges:
        if root in order:
            continue
        work = [(root, iter(edges[root]))]
        order[root] = low[root] = len(order)
        component.append(root)
        inside.add(root)
        while work:
            node, rest = work[-1]
            for target in rest:
                if target not in order:
                    order[target] = low[target] = len(order)
                    component.append(target)
                    inside.add(target)
                    work.append((target, iter(edges[target])))
                    break
                if target in inside:
                    low[node] = min(low[node], order[target])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == order[node]:
                    members: list[str] = []
                    while True:
                        member = component.pop()
                        inside.discard(member)
                        members.append(member)
                        if member == node:
                            break
                    if len(members) > 1 or node in edges[node]:
                        found.update(members)
    return found
