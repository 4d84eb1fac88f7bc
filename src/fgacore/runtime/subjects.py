"""Who has a relation on an object. A walk down from the object finds whom its tuples mention; a check decides about each, at one revision.

Who is no candidate of the walk has the answer that everyone of the kind has: the wildcard's. What a list has beside the wildcard is the rule of
`_Explicit`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from pyroaring import BitMap

from fgacore.errors import FgaError, RequestError, quote
from fgacore.kernel.plan import ModelPlan
from fgacore.language.compile import Compiler, Kind, SymbolTable
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
from fgacore.runtime.checks import Checks
from fgacore.runtime.expand import Facts, Met, known_node, now, pin
from fgacore.runtime.state import State
from fgacore.tuples import Triple, Tuple

__all__ = ["SubjectSet", "list_subjects"]

Atom = tuple[int, str]  # a node of the model and an object

_TRIES = 3  # beside writes, before they are kept out


@dataclass(frozen=True, slots=True, repr=False)
class SubjectSet:
    """The subjects of one kind that hold `relation` on `object`, at one revision and instant; names are sorted.

    `wildcard`: every subject of the type holds it (`user:*`), but for the `excluded`: those whom tuples mention and who do not. `subjects` are
    then only those of whom the tuples themselves say that they hold it; without the wildcard, all who do. `undetermined` are those whose
    check is an error, perhaps `user:*` among them: empty unless the list was asked to report them.
    A sequence of names as in `to_list`: `in` asks whether a name is listed, which a subject that only the wildcard reaches is not.
    """

    object: str
    relation: str
    subject_type: str
    subjects: list[str]
    wildcard: bool
    excluded: list[str]
    undetermined: list[str]
    revision: int
    instant: datetime = field(compare=False)

    def to_list(self) -> list[str]:
        """The subjects, then `user:*` where the wildcard holds."""
        return [*self.subjects, f"{self.subject_type}:*"] if self.wildcard else list(self.subjects)

    def __len__(self) -> int:
        return len(self.subjects) + self.wildcard

    def __iter__(self) -> Iterator[str]:
        return iter(self.to_list())

    def __contains__(self, name: str) -> bool:
        at = bisect_left(self.subjects, name)
        return (at < len(self.subjects) and self.subjects[at] == name) or (self.wildcard and name == f"{self.subject_type}:*")

    def __repr__(self) -> str:
        everyone = f"{quote(f'{self.subject_type}:*')} but {len(self.excluded)}, " if self.wildcard else ""
        doubt = f", {len(self.undetermined)} undetermined" if self.undetermined else ""
        return f"SubjectSet({quote(self.relation)} on {quote(self.object)}: {everyone}{len(self.subjects)} named{doubt}, revision {self.revision})"


def list_subjects(
    engine: Checks,
    object: str,
    relation: str,
    subject_type: str,
    *,
    context: Mapping[str, Any] | None = None,
    contextual_tuples: Iterable[Tuple | Triple] = (),
    on_missing_context: Literal["raise", "report"] = "raise",
    model_id: str | None = None,
    at_least: int | None = None,
) -> SubjectSet:
    """Every subject of a kind, `user` or `team#member`, that holds `relation` on `object`: complete, at one revision.

    on_missing_context: `raise` raises if any condition fails on the way down from the object, `report` decides without those that fail, and
    has in `undetermined` whose answer hangs on them. A kind that can never hold the relation gets an empty set. Raises RequestError as `check`.
    """
    if on_missing_context not in ("raise", "report"):
        raise RequestError("on_missing_context is `raise` or `report`")
    plan, brought = pin(engine, contextual_tuples, model_id, at_least)
    compiler: Compiler = plan.source
    node = known_node(engine, compiler, object, relation)
    kind = _kind(compiler, subject_type)
    reaches = compiler.names[node] in compiler.reachable(kind)
    report = on_missing_context == "report"

    def attempt() -> SubjectSet | None:
        """The list, or None where the store has moved on meanwhile."""
        engine._writer.look()
        version, instant = engine._state.newest, now(engine)
        walk = _Walk(plan, kind, Facts(engine, compiler, version, brought, instant), context)
        if reaches:
            walk.run((node, object))
        if walk.failed is not None and not report:
            raise walk.failed
        everyone = [] if kind[1] is not None else [f"{subject_type}:*"]
        asked = everyone + sorted(walk.candidates)
        answers = engine.batch_check(
            [(subject, relation, object) for subject in asked],
            context=context,
            contextual_tuples=brought,
            model_id=plan.model_id,
            at_least=at_least,
        )
        if engine._state.newest is not version:
            return None
        _refuse_errors(answers.errors, report)
        wildcard = bool(everyone) and answers[0]
        undetermined = [asked[index] for index in sorted(answers.errors)]
        allowed = [subject for subject, holds in zip(asked, answers, strict=True) if holds][wildcard:]
        excluded: list[str] = []
        if wildcard:
            denied = zip(asked, answers, strict=True)
            excluded = [subject for index, (subject, holds) in enumerate(denied) if not holds and index not in answers.errors]
            explicit = _Explicit(compiler, walk).of((node, object))
            allowed = [subject for subject in allowed if walk.candidates[subject] in explicit]
        return SubjectSet(object, relation, subject_type, allowed, wildcard, excluded, undetermined, version.revision, instant)

    return _steady(engine, attempt)


def _steady(engine: Checks, attempt: Callable[[], SubjectSet | None]) -> SubjectSet:
    """What an attempt gives when nothing was written meanwhile; where writes come too fast, they wait for the last one."""
    for _ in range(_TRIES):
        found = attempt()
        if found is not None:
            return found
    with engine._state.lock:
        while (found := attempt()) is None:  # only tuples that expire can come between
            pass
        return found


def _refuse_errors(errors: Mapping[int, FgaError], report: bool) -> None:
    """Raise the first error; of those that are reported, only what is no condition's."""
    for index in sorted(errors):
        if not report or not isinstance(errors[index], RequestError):
            errors[index].index = None  # the caller gave no list of subjects
            raise errors[index]


def _kind(compiler: Compiler, subject_type: Any) -> Kind:
    """The kind of subject of `user` or `team#member`."""
    if not isinstance(subject_type, str) or "*" in subject_type:
        raise RequestError("the subject_type is a type or `type#relation`", code="invalid_subject")
    type, hash_sign, member = subject_type.partition("#")
    if type not in compiler.types:
        raise RequestError(f"the model has no type {quote(type)}", code="type_not_found")
    if hash_sign and (type, member) not in compiler.node_of:
        raise RequestError(f"the type {quote(type)} has no relation {quote(member)}", code="relation_not_found")
    return compiler.types[type], compiler.relations[member] if hash_sign else None, False


# ---- the walk ----


@dataclass(slots=True)
class _There:
    """What the tuples say at one atom. Subjects are the numbers of candidates; a tuple whose condition failed is not sure."""

    named: BitMap = field(default_factory=BitMap)
    doubtful: BitMap = field(default_factory=BitMap)
    wildcard: bool = False
    wildcard_doubtful: bool = False
    usersets: list[tuple[Atom, bool]] = field(default_factory=list)
    parents: dict[TupleToUserset, list[tuple[Atom, bool]]] = field(default_factory=dict)
    below: list[Atom] = field(default_factory=list)  # every atom that this one's expression reads


class _Walk:
    """All atoms that an answer can depend on, each read once, with the candidates that their tuples mention.

    A tuple whose condition is false is not there.
    `candidates` are subjects as text, with a number from 1 on; of a userset kind they are the atoms of that node. `failed` is the error of the
    first condition that failed.
    """

    def __init__(self, plan: ModelPlan, kind: Kind, facts: Facts, context: Mapping[str, Any] | None) -> None:
        self.compiler: Compiler = plan.source
        self.kind = kind
        self.wildcard: Kind | None = (kind[0], None, True) if kind[1] is None else None
        self.facts = facts
        self.outcomes = _Outcomes(plan, facts, context)
        self.there: dict[Atom, _There] = {}
        self.candidates: dict[str, int] = {}
        self.failed: RequestError | None = None
        self._asking = self.compiler.nodes[kind[0], kind[1]] if kind[1] is not None else None
        self._leaves: dict[int, list[Rewrite]] = {}

    def run(self, root: Atom) -> None:
        """Walk down from an atom, level by level, so that the conditions of a level are decided together."""
        self.level: list[Atom] = []
        self._reach(root)
        while self.level:
            level, self.level = self.level, []
            read = [(atom, leaf, met) for atom in level for leaf in self._leaves_of(atom[0]) for met in self._read(atom, leaf)]
            outcomes = self.outcomes.decide([met for _, _, met in read])
            for (atom, leaf, met), outcome in zip(read, outcomes, strict=True):
                if isinstance(outcome, RequestError):
                    self.failed = self.failed or outcome
                if outcome is not False:
                    self._take(atom, leaf, met, outcome is True)
            for atom in level:
                for leaf in self._leaves_of(atom[0]):
                    if isinstance(leaf, ComputedUserset):
                        callee = self.compiler.node_of[self.compiler.names[atom[0]][0], leaf.relation], atom[1]
                        self.there[atom].below.append(callee)
                        self._reach(callee)

    def _reach(self, atom: Atom) -> None:
        if atom not in self.there:
            self.there[atom] = _There()
            self.level.append(atom)
            if atom[0] == self._asking:
                self._number(f"{atom[1]}#{self.compiler.names[atom[0]][1]}")

    def _number(self, subject: str) -> int:
        return self.candidates.setdefault(subject, len(self.candidates) + 1)

    def _leaves_of(self, node: int) -> list[Rewrite]:
        """What the expression of a node is made of, operations taken away."""
        if node not in self._leaves:
            todo, found = [self.compiler.rewrites[node]], dict[Rewrite, None]()
            while todo:
                rewrite = todo.pop()
                if isinstance(rewrite, Difference):
                    todo += [rewrite.base, rewrite.subtract]
                elif isinstance(rewrite, (Union, Intersection)):
                    todo.extend(rewrite.children)
                else:
                    found[rewrite] = None
            self._leaves[node] = list(found)
        return self._leaves[node]

    def _read(self, atom: Atom, leaf: Rewrite) -> Iterator[Met]:
        """The tuples that a leaf reads at an atom: those that say anything of the kind, and every conditioned one, since its condition is met."""
        if isinstance(leaf, This):
            return self.facts.subjects(*atom, lambda kind, condition: bool(condition) or kind[1] is not None or kind in (self.kind, self.wildcard))
        if isinstance(leaf, TupleToUserset):
            return self.facts.subjects(self.compiler.node_of[self.compiler.names[atom[0]][0], leaf.tupleset], atom[1])
        return iter(())

    def _take(self, atom: Atom, leaf: Rewrite, met: Met, sure: bool) -> None:
        kind, name, _, _ = met
        there = self.there[atom]
        if isinstance(leaf, TupleToUserset):
            callee = self.compiler.nodes.get((kind[0], self.compiler.relations.get(leaf.relation, -1)))
            if kind[1] is None and not kind[2] and callee is not None:
                self._lead(there, there.parents.setdefault(leaf, []), (callee, name), sure)
        elif kind[1] is not None:
            self._lead(there, there.usersets, (self.compiler.nodes[kind[0], kind[1]], name), sure)
        elif kind == self.kind:
            (there.named if sure else there.doubtful).add(self._number(name))
        elif kind == self.wildcard and sure:
            there.wildcard = True
        elif kind == self.wildcard:
            there.wildcard_doubtful = True

    def _lead(self, there: _There, into: list[tuple[Atom, bool]], atom: Atom, sure: bool) -> None:
        into.append((atom, sure))
        there.below.append(atom)
        self._reach(atom)


class _Outcomes:
    """What the conditions of tuples come to in one call: True, False, or the error of one that fails.

    They are decided as everywhere: a store of this call's own has one relation for tuples under all of the model's conditions, and is asked.
    """

    def __init__(self, plan: ModelPlan, facts: Facts, context: Mapping[str, Any] | None) -> None:
        self.plan = plan
        self.facts = facts
        self.context = context
        self._known: dict[tuple[str, bytes | int], bool | RequestError] = {}
        self._checks: Checks | None = None
        self._asked = 0

    def decide(self, tuples: Sequence[Met]) -> list[bool | RequestError]:
        """The outcomes, in their order; without a condition it is True."""
        keys = [(condition, self.facts.carried(where)) if condition else None for _, _, condition, where in tuples]
        fresh: dict[tuple[str, bytes | int], Met] = {}
        for key, met in zip(keys, tuples, strict=True):
            if key is not None and key not in self._known:
                fresh.setdefault(key, met)
        if fresh:
            self._ask(fresh)
        return [True if key is None else self._known[key] for key in keys]

    def _ask(self, fresh: Mapping[tuple[str, bytes | int], Met]) -> None:
        if self._checks is None:
            self._checks = _condition_store(self.plan)
        writer = self._checks._writer
        questions: dict[str, tuple[str, bytes | int]] = {}
        for key, (_, _, condition, where) in fresh.items():
            declared = self.plan.source.model.conditions[condition].parameters
            context = {name: value for name, value in self.facts.context(where).items() if name in declared}
            self._asked += 1
            try:  # what was stored under other parameters may not be of these
                writer.write([Tuple("subject:0", "holds", f"tuple:{self._asked}", condition, context)], [], "error", False)
            except RequestError as error:
                error.index = None
                self._known[key] = error
            else:
                questions[f"tuple:{self._asked}"] = key
        answers = self._checks.batch_check([("subject:0", "holds", name) for name in questions], context=self.context)
        for index, key in enumerate(questions.values()):
            failed = answers.errors.get(index)
            if failed is None:
                self._known[key] = answers[index]
                continue
            failed.index = None
            if not isinstance(failed, RequestError):
                raise failed
            self._known[key] = failed


def _condition_store(plan: ModelPlan) -> Checks:
    """An empty store whose one relation admits tuples under each condition of a model."""
    conditions = plan.source.model.conditions
    holds = Relation("holds", This(), tuple(Restriction("subject", condition=name) for name in conditions))
    types = {"subject": TypeDefinition("subject"), "tuple": TypeDefinition("tuple", {"holds": holds})}
    compiler = Compiler(Model("1.1", types, conditions), SymbolTable())
    checks = Checks(State(compiler.symbols))
    tables = compiler.admitted_tables()
    made = ModelPlan("", compiler, compiler.types, compiler.relations, compiler.nodes, tables, plan.conditions)
    checks._writer.add_model(made, compiler.structural_tables())
    return checks


# ---- beside the wildcard ----


class _Explicit:
    """Of whom the tuples say something at an atom that is about the subject itself, not merely about everyone. The rule, which is OpenFGA's:

    - Direct: whom a stored tuple names, or who is explicit in a userset, as in a union. Computed: as there. From parents: as a union.
    - Union: who is explicit in an operand and holds it; or does not hold the union, and is explicit in an operand.
    - Intersection: who holds it, and is explicit in an operand; or does not, and is explicit in an operand that they do not hold.
    - But not: who is explicit in the base; or in what is subtracted, where everyone may hold the base.
    Through a cycle nobody becomes explicit who is not so otherwise. Whoever has another answer than everyone is explicit.

    Sets are bitmaps of candidates' numbers, everyone being 0. `low` has who holds an atom, `high` who may, were failed conditions to say so or
    for what a cycle through `but not` leaves undefined. Atoms are settled below first, those of a cycle together.
    """

    def __init__(self, compiler: Compiler, walk: _Walk) -> None:
        self.compiler = compiler
        self.there = walk.there
        self.all = BitMap(range(len(walk.candidates) + 1))
        self.low: dict[Atom, BitMap] = {}
        self.high: dict[Atom, BitMap] = {}
        self.before: dict[Atom, tuple[BitMap, BitMap]] = {}  # low and high that what is subtracted in a cycle has, for one pass
        self.found: dict[Atom, BitMap] = {}

    def of(self, root: Atom) -> BitMap:
        """The explicit subjects of an atom."""
        for members in _components(root, self.there):
            inside = set(members)
            above: dict[Atom, list[Atom]] = {atom: [] for atom in members}
            for atom in members:
                for callee in self.there[atom].below:
                    if callee in inside:
                        above[callee].append(atom)
            self._hold(above)
            self._settle(self.found, above, lambda atom: self._explicit(self.compiler.rewrites[atom[0]], atom))
        return self.found[root]

    def _hold(self, above: Mapping[Atom, Sequence[Atom]]) -> None:
        """Settle who holds the atoms of a cycle: least fixpoints, each reading what is subtracted from the pass before, until nothing changes."""
        self.before = {atom: (BitMap(), self.all) for atom in above}
        while True:
            self._settle(self.high, above, lambda atom: self._yes(self.compiler.rewrites[atom[0]], atom, True, False))
            self._settle(self.low, above, lambda atom: self._yes(self.compiler.rewrites[atom[0]], atom, False, False))
            after = {atom: (self.low[atom], self.high[atom]) for atom in above}
            if after == self.before or not any(above.values()):
                self.before = {}
                return
            self.before = after

    def _settle(self, into: dict[Atom, BitMap], above: Mapping[Atom, Sequence[Atom]], compute: Callable[[Atom], BitMap]) -> None:
        """The least sets under which `compute` gives each atom its own."""
        into.update((atom, BitMap()) for atom in above)
        todo, waiting = deque(above), set(above)
        while todo:
            atom = todo.popleft()
            waiting.discard(atom)
            found = compute(atom)
            if found != into[atom]:
                into[atom] = found
                more = [caller for caller in above[atom] if caller not in waiting]
                todo.extend(more)
                waiting.update(more)

    def _read(self, atom: Atom, high: bool, frozen: bool) -> BitMap:
        if frozen and atom in self.before:
            return self.before[atom][high]
        return (self.high if high else self.low)[atom]

    def _yes(self, rewrite: Rewrite, atom: Atom, high: bool, frozen: bool = False) -> BitMap:
        """Who holds an expression at an atom, or may hold it. frozen: it is read for a subtraction."""
        there = self.there[atom]
        if isinstance(rewrite, This):
            if there.wildcard or (high and there.wildcard_doubtful):
                return self.all
            stored = there.named | there.doubtful if high else there.named
            return stored.union(*(self._read(userset, high, frozen) for userset, sure in there.usersets if sure or high))
        if isinstance(rewrite, ComputedUserset):
            return self._read(self._computed(rewrite, atom), high, frozen)
        if isinstance(rewrite, TupleToUserset):
            return BitMap().union(*(self._read(parent, high, frozen) for parent, sure in there.parents.get(rewrite, ()) if sure or high))
        if isinstance(rewrite, Difference):
            return self._yes(rewrite.base, atom, high, frozen) - self._yes(rewrite.subtract, atom, not high, True)
        operands = [self._yes(child, atom, high, frozen) for child in rewrite.children]
        return operands[0].union(*operands[1:]) if isinstance(rewrite, Union) else operands[0].intersection(*operands[1:])

    def _explicit(self, rewrite: Rewrite, atom: Atom) -> BitMap:
        there, here = self.there[atom], self._yes(rewrite, atom, False)
        if isinstance(rewrite, This):
            return there.named | there.doubtful | self._united([userset for userset, _ in there.usersets], here)
        if isinstance(rewrite, ComputedUserset):
            return self.found[self._computed(rewrite, atom)]
        if isinstance(rewrite, TupleToUserset):
            return self._united([parent for parent, _ in there.parents.get(rewrite, ())], here)
        if isinstance(rewrite, Difference):
            found = self._explicit(rewrite.base, atom)
            return found | self._explicit(rewrite.subtract, atom) if 0 in self._yes(rewrite.base, atom, True) else found
        found = BitMap()
        for child in rewrite.children:
            explicit, holds = self._explicit(child, atom), self._yes(child, atom, False)
            if isinstance(rewrite, Union):
                found |= (explicit & holds) | (explicit - here)
            else:
                found |= (explicit & here) | (explicit - holds)
        return found

    def _united(self, atoms: Sequence[Atom], here: BitMap) -> BitMap:
        """Who is explicit in a union of atoms, which `here` holds."""
        found = BitMap()
        for atom in atoms:
            found |= (self.found[atom] & self.low[atom]) | (self.found[atom] - here)
        return found

    def _computed(self, rewrite: ComputedUserset, atom: Atom) -> Atom:
        return self.compiler.node_of[self.compiler.names[atom[0]][0], rewrite.relation], atom[1]


def _components(root: Atom, there: Mapping[Atom, _There]) -> Iterator[list[Atom]]:
    """The strongly connected components below an atom, each after those it reads: Tarjan's algorithm with a stack of its own."""
    index: dict[Atom, int] = {}
    low: dict[Atom, int] = {}
    done: set[Atom] = set()
    stack: list[Atom] = []
    work = [(root, 0)]
    while work:
        atom, at = work.pop()
        if at == 0:
            index[atom] = low[atom] = len(index)
            stack.append(atom)
        below = there[atom].below
        for i in range(at, len(below)):
            callee = below[i]
            if callee not in index:
                work += [(atom, i + 1), (callee, 0)]
                break
            if callee not in done:
                low[atom] = min(low[atom], index[callee])
        else:
            if low[atom] == index[atom]:
                members: list[Atom] = []
                while not members or members[-1] != atom:
                    members.append(stack.pop())
                done.update(members)
                yield members
            if work:
                low[work[-1][0]] = min(low[work[-1][0]], low[atom])
