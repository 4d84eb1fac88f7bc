"""From a validated model to the kernel's plans: nodes, decision graphs, components, closures.

A node is a (type, relation) of the model. For each kind of subject that asks, `Compiler.parts` makes the decision graph of every node:
operations are emitted last first by passing each expression what follows on yes and on no; computed relations are compiled in place,
up to a cap, or else called. A branch that the kind can never reach is its "no". Called by the runtime; knows nothing of tuples.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from fgacore.language.model import ComputedUserset, Difference, Intersection, Model, Restriction, Rewrite, This, TupleToUserset, Union

__all__ = ["Compiler", "Kind", "Parts", "SymbolTable"]

Kind = tuple[int, int | None, bool]  # type symbol, relation symbol of a userset or None, whether it is the type's wildcard

# As in kernel/plan.pxd.
OP_DIRECT, OP_WILDCARD, OP_SELF, OP_CLOSURE, OP_EXISTS, OP_CALL, OP_DIRECT_IF, OP_WILDCARD_IF, OP_EXISTS_IF = range(9)
FALSE, TRUE = -1, -2
UNDER_NONE, UNDER_ODD, UNDER_EVEN = range(3)
ORDINAL_MAX = 63

FLAT_NODES_MAX = 256  # nodes that one closure unites; a larger one is walked
INLINE_DEPTH_MAX = 16  # computed relations in place within each other
INLINE_NESTING_MAX = 128  # expressions within expressions, over all of them: the compiler recurses that deep and one relation deeper
INLINE_OPS_MAX = 64  # operations of one node; a computed relation beyond it is called (kernel notes: 3 ns a branch in place, 13 to 22 called)


@dataclass(slots=True)
class SymbolTable:
    """The numbers of a store's type names, relation names and tables. They only grow: a number keeps its meaning over all models of the store."""

    types: dict[str, int] = field(default_factory=dict)
    relations: dict[str, int] = field(default_factory=dict)
    tables: dict[tuple[int, int, Kind, str], int] = field(default_factory=dict)
    siblings: dict[tuple[int, int, Kind], list[int]] = field(default_factory=dict)  # alike but for the condition: a key is in one
    signatures: dict[tuple[tuple[str, str, str | None], ...], int] = field(default_factory=dict)  # numbers of conditions' lists of parameters
    plans: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def type(self, name: str) -> int:
        return self.types.setdefault(name, len(self.types))

    def relation(self, name: str) -> int:
        return self.relations.setdefault(name, len(self.relations))

    def table(self, type: int, relation: int, kind: Kind, condition: str = "") -> int:
        """The table of the tuples of one object type, relation, kind of subject and condition."""
        key = (type, relation, kind, condition)
        if key not in self.tables:
            self.tables[key] = len(self.tables)
            self.siblings.setdefault(key[:3], []).append(self.tables[key])
        return self.tables[key]

    def copy(self) -> SymbolTable:
        """The same numbers, to be added to. What is only counted, of conditions and plans, is shared."""
        siblings = {key: list(tables) for key, tables in self.siblings.items()}
        return SymbolTable(dict(self.types), dict(self.relations), dict(self.tables), siblings, self.signatures, self.plans)

    def mark(self) -> tuple[int, int, int]:
        """How many types, relations and tables there are: for `since`."""
        return len(self.types), len(self.relations), len(self.tables)

    def since(self, mark: tuple[int, int, int]) -> tuple[list[str], list[str], list[tuple[int, int, Kind, str]]]:
        """The types, relations and tables that were numbered after a mark, in the order of their numbers."""
        skip = itertools.islice
        return list(skip(self.types, mark[0], None)), list(skip(self.relations, mark[1], None)), list(skip(self.tables, mark[2], None))


@dataclass(slots=True)
class Parts:
    """One decision graph as lists, in the form that kernel.plan.Plan takes."""

    ops: list[tuple[int, int, int, int, int, int, int, int]]  # code, under, table, node, closure, if_true, if_false, ordinal
    nodes: list[tuple[int, int, int, bool, bool]]  # entry, first operation, component, uncertain, conditioned
    unstratified: list[bool]
    groups: list[int]  # closure to group
    seeds: list[list[tuple[int, int, bool]]]  # group to (table, closure, wildcard)
    edges: list[list[tuple[int, int]]]  # closure to (table, closure)
    own_closures: list[int]


Admission = tuple[Kind, int, str]  # a kind of subject that a relation admits, the table of its tuples, and their condition or ""


class Compiler:
    """Compiles one model. Symbols and tables are the store's; node numbers are this model's."""

    def __init__(self, model: Model, symbols: SymbolTable) -> None:
        self.model = model
        self.symbols = symbols
        self.names: list[tuple[str, str]] = [(t.name, r) for t in model.types.values() for r in t.relations]
        self.node_of: dict[tuple[str, str], int] = {name: i for i, name in enumerate(self.names)}
        self.types = {name: symbols.type(name) for name in model.types}
        self.relations = {r: symbols.relation(r) for _, r in self.names}
        self.nodes = {(self.types[t], self.relations[r]): i for (t, r), i in self.node_of.items()}
        self.rewrites: list[Rewrite] = [model.types[t].relations[r].rewrite for t, r in self.names]
        self.admissions: list[list[Admission]] = [self._admissions(t, r) for t, r in self.names]
        self.condition_numbers = {name: i for i, name in enumerate(model.conditions)}
        self.members = {self.nodes[kind[0], kind[1]] for found in self.admissions for kind, _, _ in found if kind[1] is not None}
        self.flat = self._flat()
        self._reachable: dict[Kind, list[tuple[str, str]]] = {}

    def _admissions(self, type: str, relation: str) -> list[Admission]:
        seen: dict[tuple[Kind, str], int] = {}
        for restriction in self.model.types[type].relations[relation].restrictions:
            kind = self.kind(restriction)
            if kind is not None:
                condition = restriction.condition or ""
                seen[kind, condition] = self.symbols.table(self.types[type], self.relations[relation], kind, condition)
        return [(kind, table, condition) for (kind, condition), table in seen.items()]

    def kind(self, restriction: Restriction) -> Kind | None:
        """The kind of subject that a restriction admits; None for a userset that the model does not have."""
        type = self.types[restriction.type]
        if restriction.relation is None:
            return (type, None, restriction.wildcard)
        if (restriction.type, restriction.relation) not in self.node_of:
            return None
        return (type, self.relations[restriction.relation], False)

    def _flat(self) -> list[list[int] | None]:
        """For each membership node that is only a union of stored tuples and of such nodes: the nodes whose tuples it unites. None for others.

        A membership node is one whose usersets are admitted somewhere. Such nodes are what a closure can be made of: who is in them follows
        from membership tables alone.
        """
        united: list[set[int] | None] = []
        for node, (type, _) in enumerate(self.names):
            united.append(self._united(self.rewrites[node], type, node))
        used_by: list[list[int]] = [[] for _ in united]
        for node, found in enumerate(united):
            for m in (found or set()) | {self.nodes[kind[0], kind[1]] for kind, _, _ in self.admissions[node] if kind[1] is not None}:
                used_by[m].append(node)
        out: list[list[int] | None] = [None] * len(united)
        for node in self.members:
            closed, todo = {node: None}, [node]
            while todo and len(closed) <= FLAT_NODES_MAX:
                for m in sorted(united[todo.pop()] or ()):
                    if m not in closed:
                        closed[m] = None
                        todo.append(m)
            if todo:
                united[node] = None
            out[node] = [m for m in closed if self._stores(m)]
        spoilt = [node for node, found in enumerate(united) if found is None]
        while spoilt:  # what unites, or admits the members of, a node that is not flat is not flat either
            for node in used_by[spoilt.pop()]:
                if united[node] is not None:
                    united[node] = None
                    spoilt.append(node)
        return [None if united[node] is None else found for node, found in enumerate(out)]

    def _stores(self, node: int) -> bool:
        todo = [self.rewrites[node]]
        while todo:
            rewrite = todo.pop()
            if isinstance(rewrite, This):
                return True
            if isinstance(rewrite, Union):
                todo.extend(rewrite.children)
        return False

    def _united(self, rewrite: Rewrite, type: str, node: int) -> set[int] | None:
        if isinstance(rewrite, This):  # who is in by a conditioned tuple is of one context: no closure holds it
            return None if any(condition for _, _, condition in self.admissions[node]) else {node}
        if isinstance(rewrite, ComputedUserset):
            return {self.node_of[type, rewrite.relation]}
        if isinstance(rewrite, Union):
            out: set[int] = set()
            for child in rewrite.children:
                found = self._united(child, type, node)
                if found is None:
                    return None
                out |= found
            return out
        return None

    def admitted_tables(self) -> dict[tuple[int, int, Kind, str], int]:
        """The table of each (object type, relation, kind of subject, condition) that the model admits."""
        return {(*name, kind, condition): table for name, node in self.nodes.items() for kind, table, condition in self.admissions[node]}

    def structural_tables(self) -> set[int]:
        """The tables that shape closures and parents: of usersets, of wildcards, and those that any `from` reads. No view reads a conditioned one."""
        out = {table for found in self.admissions for kind, table, condition in found if (kind[1] is not None or kind[2]) and not condition}
        todo = list(zip(self.rewrites, (type for type, _ in self.names), strict=True))
        while todo:
            rewrite, type = todo.pop()
            if isinstance(rewrite, TupleToUserset):
                tupleset = self.node_of.get((type, rewrite.tupleset))
                out |= {table for _, table, condition in self.admissions[tupleset] if not condition} if tupleset is not None else set()
            elif isinstance(rewrite, Difference):
                todo += [(rewrite.base, type), (rewrite.subtract, type)]
            elif isinstance(rewrite, (Union, Intersection)):
                todo += [(child, type) for child in rewrite.children]
        return out

    def next_serial(self) -> int:
        """A number for a plan, unique in the store; it never comes again."""
        return next(self.symbols.plans)

    def reachable(self, kind: Kind) -> list[tuple[str, str]]:
        """The (type, relation) pairs that a subject of a kind may hold at all, in the model's order."""
        if kind not in self._reachable:
            self._reachable[kind] = [name for name, reached in zip(self.names, _Graph(self, kind).reached, strict=True) if reached]
        return self._reachable[kind]

    def parts(self, kind: Kind) -> Parts:
        """The decision graph for one kind of subject."""
        return _Graph(self, kind).parts()


class _Graph:
    """The compilation for one kind of subject."""

    def __init__(self, compiler: Compiler, kind: Kind) -> None:
        self.compiler = compiler
        self.kind = kind
        self.asking = compiler.nodes.get((kind[0], kind[1])) if kind[1] is not None else None
        self.wildcard: Kind | None = (kind[0], None, True) if kind[1] is None else None
        self.reached = self._reached()
        self.conditioned = self._conditioned() if compiler.condition_numbers else [False] * len(compiler.names)
        self.closures: dict[int, int] = {
            node: i for i, node in enumerate(sorted(m for m in compiler.members if compiler.flat[m] is not None and self.reached[m]))
        }
        self.ops: list[tuple[int, int, int, int, int, int, int, int]] = []
        self.nesting = 0
        self.calls: list[list[tuple[int, bool]]] = []  # node to (callee, whether under a subtraction)

    # ---- what the kind can reach ----

    def _least(self, holds: Callable[[int, list[bool]], bool]) -> list[bool]:
        """For each node whether it holds: the least fixpoint of a rule over the node's own tuples and the nodes that it mentions."""
        compiler = self.compiler
        found = [False] * len(compiler.names)
        dependents: list[list[int]] = [[] for _ in compiler.names]
        for node in range(len(compiler.names)):
            for callee in self._mentions(node):
                dependents[callee].append(node)
        todo = list(range(len(compiler.names)))
        while todo:
            node = todo.pop()
            if not found[node] and holds(node, found):
                found[node] = True
                todo.extend(dependents[node])
        return found

    def _reached(self) -> list[bool]:
        """The nodes that a subject of this kind may hold at all: an exclusion counts by its base."""
        rewrites = self.compiler.rewrites
        return self._least(lambda node, reached: node == self.asking or self._holds(rewrites[node], node, reached))

    def _conditioned(self) -> list[bool]:
        """The nodes that read conditioned tuples, or call one that does."""
        rewrites = self.compiler.rewrites
        return self._least(lambda node, conditioned: self._unsure(rewrites[node], node, conditioned))

    def _mentions(self, node: int) -> set[int]:
        compiler, (type, _) = self.compiler, self.compiler.names[node]
        out: set[int] = set()
        todo = [compiler.rewrites[node]]
        while todo:
            rewrite = todo.pop()
            if isinstance(rewrite, This):
                out |= {compiler.nodes[kind[0], kind[1]] for kind, _, _ in compiler.admissions[node] if kind[1] is not None}
            elif isinstance(rewrite, ComputedUserset):
                out.add(compiler.node_of[type, rewrite.relation])
            elif isinstance(rewrite, TupleToUserset):
                out |= {callee for callee, _, _ in self._parents(type, rewrite)}
            elif isinstance(rewrite, Difference):
                todo += [rewrite.base, rewrite.subtract]
            else:
                todo.extend(rewrite.children)
        return out

    def _holds(self, rewrite: Rewrite, node: int, reached: list[bool]) -> bool:
        compiler, (type, _) = self.compiler, self.compiler.names[node]
        if isinstance(rewrite, This):
            for kind, _, _ in compiler.admissions[node]:
                if kind in (self.kind, self.wildcard) or (kind[1] is not None and reached[compiler.nodes[kind[0], kind[1]]]):
                    return True
            return False
        if isinstance(rewrite, ComputedUserset):
            return reached[compiler.node_of[type, rewrite.relation]]
        if isinstance(rewrite, TupleToUserset):
            return any(reached[callee] for callee, _, _ in self._parents(type, rewrite))
        if isinstance(rewrite, Difference):
            return self._holds(rewrite.base, node, reached)
        every: Callable[..., bool] = any if isinstance(rewrite, Union) else all
        return every(self._holds(child, node, reached) for child in rewrite.children)

    def _parents(self, type: str, rewrite: TupleToUserset) -> list[tuple[int, int, str]]:
        """(callee, table, condition) of `relation from tupleset`: for each plain type of the tupleset that has the relation."""
        compiler = self.compiler
        tupleset = compiler.node_of.get((type, rewrite.tupleset))
        relation = compiler.relations.get(rewrite.relation)
        if tupleset is None or relation is None:
            return []
        out = []
        for kind, table, condition in compiler.admissions[tupleset]:
            callee = compiler.nodes.get((kind[0], relation))
            if kind[1] is None and not kind[2] and callee is not None:
                out.append((callee, table, condition))
        return out

    def _unsure(self, rewrite: Rewrite, node: int, conditioned: list[bool]) -> bool:
        """Whether a part of a node's rewrite may hang on a condition: then it is asked after what does not."""
        compiler, (type, _) = self.compiler, self.compiler.names[node]
        if isinstance(rewrite, This):
            found = compiler.admissions[node]
            return any(condition for _, _, condition in found) or any(
                conditioned[compiler.nodes[kind[0], kind[1]]] for kind, _, _ in found if kind[1] is not None
            )
        if isinstance(rewrite, ComputedUserset):
            return conditioned[compiler.node_of[type, rewrite.relation]]
        if isinstance(rewrite, TupleToUserset):
            return any(condition or conditioned[callee] for callee, _, condition in self._parents(type, rewrite))
        if isinstance(rewrite, Difference):
            return self._unsure(rewrite.base, node, conditioned) or self._unsure(rewrite.subtract, node, conditioned)
        return any(self._unsure(child, node, conditioned) for child in rewrite.children)

    # ---- operations ----

    def _emit(self, code: int, under: int, table: int, node: int, closure: int, if_true: int, if_false: int) -> int:
        ordinal = ORDINAL_MAX
        if OP_CLOSURE <= code <= OP_CALL or code == OP_EXISTS_IF:
            ordinal = min(len(self.calls[self.current]), ORDINAL_MAX)
            self.calls[self.current].append((node, under != UNDER_NONE))
        self.ops.append((code, under, table, node, closure, if_true, if_false, ordinal))
        return len(self.ops) - 1

    def _call(self, table: int, callee: int, condition: str, under: int, if_true: int, if_false: int) -> int:
        """Does any member of the object's set in `table` hold `callee`?"""
        if not self.reached[callee]:
            return if_false
        if condition:
            return self._emit(OP_EXISTS_IF, under, table, callee, self.compiler.condition_numbers[condition], if_true, if_false)
        if callee in self.closures:
            return self._emit(OP_CLOSURE, under, table, callee, self.closures[callee], if_true, if_false)
        return self._emit(OP_EXISTS, under, table, callee, 0, if_true, if_false)

    def _node(self, node: int, under: int, if_true: int, if_false: int) -> int:
        """A node's expression in place, its own userset first."""
        entry = self._rewrite(self.compiler.rewrites[node], node, under, if_true, if_false)
        if node == self.asking:
            return self._emit(OP_SELF, under, 0, 0, 0, if_true, entry)
        return entry

    def _rewrite(self, rewrite: Rewrite, node: int, under: int, if_true: int, if_false: int) -> int:
        self.nesting += 1
        entry = self._wire(rewrite, node, under, if_true, if_false)
        self.nesting -= 1
        return entry

    def _wire(self, rewrite: Rewrite, node: int, under: int, if_true: int, if_false: int) -> int:
        compiler, (type, _) = self.compiler, self.compiler.names[node]
        if isinstance(rewrite, This):
            return self._this(node, False, under, if_true, self._this(node, True, under, if_true, if_false))
        if isinstance(rewrite, ComputedUserset):
            callee = compiler.node_of[type, rewrite.relation]
            if not self.reached[callee]:
                return if_false
            deep = len(self.inlined) > INLINE_DEPTH_MAX or self.nesting > INLINE_NESTING_MAX
            if deep or callee in self.inlined or len(self.ops) - self.first >= INLINE_OPS_MAX:
                return self._emit(OP_CALL, under, 0, callee, 0, if_true, if_false)
            self.inlined.append(callee)
            entry = self._node(callee, under, if_true, if_false)
            self.inlined.pop()
            return entry
        if isinstance(rewrite, TupleToUserset):
            parents = sorted(self._parents(type, rewrite), key=lambda parent: bool(parent[2] or self.conditioned[parent[0]]))
            for callee, table, condition in reversed(parents):  # those that may hang on a condition are asked last
                if_false = self._call(table, callee, condition, under, if_true, if_false)
            return if_false
        if isinstance(rewrite, Union):
            children: list[Rewrite] = [child for child in rewrite.children if not isinstance(child, This)]
            if len(children) < len(rewrite.children):  # its conditioned tuples after all the rest
                if_false = self._this(node, True, under, if_true, if_false)
            for child in sorted(children, key=lambda child: self._cost(child, node), reverse=True):
                if_false = self._rewrite(child, node, under, if_true, if_false)
            return self._this(node, False, under, if_true, if_false) if len(children) < len(rewrite.children) else if_false
        if isinstance(rewrite, Intersection):
            if not self._holds(rewrite, node, self.reached):
                return if_false
            for child in sorted(rewrite.children, key=lambda child: self._cost(child, node), reverse=True):
                if_true = self._rewrite(child, node, under, if_true, if_false)
            return if_true
        if not self._holds(rewrite.base, node, self.reached):
            return if_false
        deeper = UNDER_EVEN if under == UNDER_ODD else UNDER_ODD
        if self._unsure(rewrite.base, node, self.conditioned) and not self._unsure(rewrite.subtract, node, self.conditioned):
            return self._rewrite(rewrite.subtract, node, deeper, if_false, self._rewrite(rewrite.base, node, under, if_true, if_false))
        return self._rewrite(rewrite.base, node, under, self._rewrite(rewrite.subtract, node, deeper, if_false, if_true), if_false)

    def _this(self, node: int, unsure: bool, under: int, if_true: int, if_false: int) -> int:
        """The tuples stored on a node: those that may hang on a condition, or those that do not."""
        compiler, later = self.compiler, []
        admissions = []
        for kind, table, condition in compiler.admissions[node]:
            callee = None if kind[1] is None else compiler.nodes[kind[0], kind[1]]
            if callee is not None and unsure == bool(condition or self.conditioned[callee]):
                later.append((callee not in self.closures, callee, table, condition))
            if unsure == bool(condition):
                admissions.append((kind, table, compiler.condition_numbers[condition] if condition else 0))
        for _, callee, table, condition in sorted(later, reverse=True):  # closures before walks
            if_false = self._call(table, callee, condition, under, if_true, if_false)
        for kind, table, number in reversed(admissions):
            if kind == self.wildcard:
                if_false = self._emit(OP_WILDCARD_IF if unsure else OP_WILDCARD, under, table, 0, number, if_true, if_false)
            elif kind == self.kind:  # the asking userset itself may be stored
                if_false = self._emit(OP_DIRECT_IF if unsure else OP_DIRECT, under, table, 0, number, if_true, if_false)
        return if_false

    def _cost(self, rewrite: Rewrite, node: int) -> tuple[bool, int]:
        """Cheap operands are asked first: stored tuples, relations of the object, of its parents; last the node's own, which needs no frame there.

        What may hang on a condition comes after what does not.
        """
        unsure = self._unsure(rewrite, node, self.conditioned)
        if isinstance(rewrite, TupleToUserset):
            return unsure, 4 if rewrite.relation == self.compiler.names[node][1] else 3
        return unsure, {This: 0, ComputedUserset: 1}.get(type(rewrite), 2)

    def parts(self) -> Parts:
        entries, firsts = [], []
        for node in range(len(self.compiler.names)):
            self.current = node
            self.first = len(self.ops)
            self.inlined = [node]
            self.calls.append([])
            firsts.append(self.first)
            entries.append(self._node(node, UNDER_NONE, TRUE, FALSE) if self.reached[node] else FALSE)
        component, unstratified = self._components()
        uncertain = list(unstratified)
        for c, node in sorted((c, node) for node, c in enumerate(component)):
            if any(uncertain[component[callee]] for callee, _ in self.calls[node]):
                uncertain[c] = True
        conditioned = [False] * len(unstratified)
        for c, node in sorted((c, node) for node, c in enumerate(component)):
            reads = any(op[0] >= OP_DIRECT_IF for op in self.ops[firsts[node] : entries[node] + 1])
            if reads or any(conditioned[component[callee]] for callee, _ in self.calls[node]):
                conditioned[c] = True
        nodes = [(entries[n], firsts[n], c, uncertain[c], conditioned[c]) for n, c in enumerate(component)]
        groups, seeds, edges = self._closures()
        # The asking userset is in its own relation and in every relation that unites it, on its own object.
        own = [] if self.asking is None else [closure for node, closure in self.closures.items() if self.asking in self._all_united(node)]
        return Parts(self.ops, nodes, unstratified, groups, seeds, edges, own)

    def _components(self) -> tuple[list[int], list[bool]]:
        """Tarjan's algorithm over the calls, with a stack of its own: a component's number is above those it calls."""
        count = len(self.calls)
        index, low, component = [-1] * count, [0] * count, [-1] * count
        stack: list[int] = []
        unstratified: list[bool] = []
        clock = 0
        for root in range(count):
            if index[root] >= 0:
                continue
            work = [(root, 0)]
            while work:
                node, at = work.pop()
                if at == 0:
                    index[node] = low[node] = clock
                    clock += 1
                    stack.append(node)
                for i in range(at, len(self.calls[node])):
                    callee = self.calls[node][i][0]
                    if index[callee] < 0:
                        work += [(node, i + 1), (callee, 0)]
                        break
                    if component[callee] < 0:
                        low[node] = min(low[node], index[callee])
                else:
                    if low[node] == index[node]:
                        while True:
                            member = stack.pop()
                            component[member] = len(unstratified)
                            if member == node:
                                break
                        unstratified.append(False)
                    if work:
                        low[work[-1][0]] = min(low[work[-1][0]], low[node])
        for node, calls in enumerate(self.calls):
            for callee, under in calls:
                if component[callee] == component[node]:
                    unstratified[component[node]] |= under
        return component, unstratified

    def _closures(self) -> tuple[list[int], list[list[tuple[int, int, bool]]], list[list[tuple[int, int]]]]:
        """How the closure of each membership node begins and grows, and which of them are built together."""
        compiler = self.compiler
        seeds: list[tuple[int, int, bool]] = []
        edges: list[list[tuple[int, int]]] = [[] for _ in self.closures]
        group = list(range(len(self.closures)))

        def find(i: int) -> int:
            while group[i] != i:
                group[i] = group[group[i]]
                i = group[i]
            return i

        for node, closure in self.closures.items():
            for stored in compiler.flat[node] or ():
                if stored != node and stored in self.closures:
                    group[find(closure)] = find(self.closures[stored])
                for kind, table, _ in compiler.admissions[stored]:
                    if kind == self.wildcard:
                        seeds.append((table, closure, True))
                    elif kind == self.kind:
                        seeds.append((table, closure, False))
                    if kind[1] is not None:
                        source = self.closures.get(compiler.nodes[kind[0], kind[1]])
                        if source is not None:
                            edges[source].append((table, closure))
                            group[find(closure)] = find(source)
        numbers: dict[int, int] = {}
        groups = [numbers.setdefault(find(i), len(numbers)) for i in range(len(self.closures))]
        by_group: list[list[tuple[int, int, bool]]] = [[] for _ in numbers]
        for table, closure, wildcard in seeds:
            by_group[groups[closure]].append((table, closure, wildcard))
        return groups, by_group, edges

    def _all_united(self, node: int) -> set[int]:
        type, _ = self.compiler.names[node]
        seen, todo = {node}, [node]
        while todo:
            for m in self.compiler._united(self.compiler.rewrites[todo.pop()], type, node) or ():
                if m not in seen:
                    seen.add(m)
                    todo.append(m)
        return seen
