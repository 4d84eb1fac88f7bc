"""The graph of a model's relations: which can be held by somebody, and which are computed from themselves.

Both are asked of the whole model at once, by spreading facts along edges: linear in the edges, without recursion, whatever the model.
validate.py calls this on models whose references hold.
"""

from __future__ import annotations

from fgacore.language.model import ComputedUserset, Difference, Intersection, Model, Rewrite, This, TupleToUserset, TypeDefinition, Union

__all__ = ["Place", "TuplesetIndexes", "entry_points", "on_cycles", "tupleset_index"]

Place = tuple[str, str]  # a type and one of its relations
TuplesetIndexes = dict[tuple[str, ...], dict[str, list[str]]]


def tupleset_index(model: Model, definition: TypeDefinition, tupleset: str, known: TuplesetIndexes) -> dict[str, list[str]]:
    """For a relation after `from`: each relation that can be reached through it, with the types it is found on.

    Kept in `known` by the types the tupleset leads to: a wide tupleset costs its width once, not for each relation asked through it.
    """
    leads_to = tuple(dict.fromkeys(item.type for item in definition.relations[tupleset].restrictions))
    index = known.get(leads_to)
    if index is None:
        index = known[leads_to] = {}
        for name in leads_to:
            target = model.types.get(name)
            for relation in target.relations if target is not None else ():
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


def entry_points(model: Model) -> set[Place]:
    """The relations that somebody can hold: a stored tuple can lead to them.

    A union needs one operand, an intersection all, and so does an exclusion: what is taken away must itself be possible.
    """
    net = _Gates()
    relations = {(name, relation): net.gate(1) for name, definition in model.types.items() for relation in definition.relations}
    through: dict[tuple[str, str, str], int] = {}
    indexes: TuplesetIndexes = {}
    opened: list[int] = []

    def operand(rewrite: Rewrite, definition: TypeDefinition, place: Place) -> int:
        """The gate of an operand that has no operands of its own."""
        if isinstance(rewrite, ComputedUserset):
            return relations[definition.name, rewrite.relation]
        if isinstance(rewrite, TupleToUserset):
            key = (definition.name, rewrite.tupleset, rewrite.relation)
            if key not in through:
                through[key] = net.gate(1)
                for name in tupleset_index(model, definition, rewrite.tupleset, indexes).get(rewrite.relation, ()):
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
                children = (node.base, node.subtract) if isinstance(node, Difference) else node.children
                gate = net.gate(1 if isinstance(node, Union) else len(children))
                net.outputs[gate].append(output)
                stack += ((child, gate) for child in children)

    is_open = net.open(opened)
    return {place for place, gate in relations.items() if is_open[gate]}


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
