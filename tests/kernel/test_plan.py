"""Plans: what the compiler makes of a model, and what the kernel refuses to take for one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

import fgacore
from fgacore import language
from fgacore.kernel.plan import Plan
from fgacore.language.compile import OP_CALL, OP_CLOSURE, OP_DIRECT, OP_DIRECT_IF, OP_EXISTS, OP_WILDCARD_IF, TRUE, Compiler, Kind, Parts, SymbolTable
from strategies import Tape, make_model, tapes

SMALL = bool(os.environ.get("FGACORE_SMALL"))
CODE, UNDER, _TABLE, NODE, CLOSURE, IF_TRUE, IF_FALSE = range(7)
ENTRY, FIRST, COMPONENT, UNCERTAIN = range(4)


def compiled(relations: str, kind: str = "user") -> tuple[Compiler, Parts]:
    """The compiler of a `doc` with these relations, one a line, and its parts for a kind of subject."""
    lines = "".join(f"    define {line.strip()}\n" for line in relations.strip().splitlines())
    head = "model\n  schema 1.1\ntype user\ntype bot\ntype group\n  relations\n    define member: [user, group#member]\n"
    compiler = Compiler(language.load(f"{head}type doc\n  relations\n{lines}"), SymbolTable())
    return compiler, compiler.parts(kind_of(compiler, kind))


def kind_of(compiler: Compiler, kind: str) -> Kind:
    name, hash_sign, relation = kind.removesuffix(":*").partition("#")
    return (compiler.types[name], compiler.relations[relation] if hash_sign else None, kind.endswith(":*"))


def ops_of(compiler: Compiler, parts: Parts, relation: str) -> list[tuple[int, ...]]:
    """The operations of one relation of `doc`, in the order asked if each says no."""
    node = compiler.node_of["doc", relation]
    entry, first = parts.nodes[node][ENTRY], parts.nodes[node][FIRST]
    return parts.ops[first : entry + 1][::-1] if entry >= 0 else []


# ---- wiring ----


@pytest.mark.parametrize(
    ("rewrite", "codes"),
    [
        ("[user]", [OP_DIRECT]),
        ("a or b", [OP_DIRECT] * 2),
        ("a and b", [OP_DIRECT] * 2),
        ("a but not b", [OP_DIRECT] * 2),
        ("a", [OP_DIRECT]),
        ("(a or b) and (b or c)", [OP_DIRECT] * 4),
        ("(a but not b) but not (c or a)", [OP_DIRECT] * 4),
        ("[user] or a or c", [OP_DIRECT] * 3),
        ("[user, group#member]", [OP_DIRECT, OP_CLOSURE]),
        ("a from parent", [OP_EXISTS]),
        ("[user, doc#x] or b", [OP_DIRECT, OP_DIRECT, OP_CLOSURE]),
    ],
)
def test_set_operators_and_computed_relations_are_only_wiring(rewrite: str, codes: list[int]) -> None:
    compiler, parts = compiled(f"a: [user]\nb: [user]\nc: [user]\nparent: [doc]\nx: {rewrite}")
    assert sorted(op[CODE] for op in ops_of(compiler, parts, "x")) == codes
    assert Plan(kind_of(compiler, "user"), parts).op_count == len(parts.ops)


@pytest.mark.parametrize(
    ("rewrite", "kind", "count"),
    [
        ("[user] or robots", "user", 1),
        ("[user] or robots", "bot", 1),
        ("[user] and robots", "user", 0),
        ("[user] but not robots", "user", 1),
        ("robots but not free", "user", 0),
        ("[user, group#member, doc#robots]", "user", 2),
        ("[user, group#member, doc#robots]", "bot", 1),
        ("[user] or robots from parent", "user", 1),
        ("[user] or robots from parent", "bot", 1),
        ("[user, user:*, bot]", "user", 2),
        ("[user, user:*, bot]", "user:*", 1),
        ("[user, user:*, bot]", "group#member", 0),
        ("[user, group#member]", "group#member", 2),
        ("[user, bot]", "doc#x", 1),
    ],
)
def test_branches_that_a_kind_can_never_reach_are_not_there(rewrite: str, kind: str, count: int) -> None:
    compiler, parts = compiled(f"robots: [bot]\nfree: [user]\nparent: [doc]\nx: {rewrite}", kind)
    assert len(ops_of(compiler, parts, "x")) == count


def test_a_loop_that_nobody_can_enter_is_no() -> None:
    compiler, parts = compiled("robots: [bot, doc#robots]\nparent: [doc]\nx: [doc#x, doc#y] or robots\ny: [doc#y, doc#robots] or x from parent")
    assert all(parts.nodes[compiler.node_of["doc", name]][ENTRY] == -1 for name in ("robots", "x", "y"))


# ---- invariants, over any model ----


def kinds(compiler: Compiler) -> Iterator[Kind]:
    for type in compiler.types.values():
        yield from ((type, None, False), (type, None, True))
    yield from ((type, relation, False) for type, relation in compiler.nodes)


def assert_sound(parts: Parts) -> None:
    for i, op in enumerate(parts.ops):
        assert TRUE <= op[IF_TRUE] < i
        assert TRUE <= op[IF_FALSE] < i
    firsts = [node[FIRST] for node in parts.nodes] + [len(parts.ops)]
    assert firsts == sorted(firsts)
    edges: dict[int, set[int]] = {}
    for node, (entry, first, component, uncertain, conditioned) in enumerate(parts.nodes):
        assert entry < 0 or first <= entry == firsts[node + 1] - 1
        for op in parts.ops[first : firsts[node + 1]]:
            assert all(successor < 0 or successor >= first for successor in op[IF_TRUE : IF_FALSE + 1])
            assert conditioned or op[CODE] < OP_DIRECT_IF
            if op[CODE] >= OP_CLOSURE and op[CODE] not in (OP_DIRECT_IF, OP_WILDCARD_IF):
                callee = parts.nodes[op[NODE]]
                assert callee[COMPONENT] <= component
                assert conditioned or not callee[4]
                assert callee[ENTRY] != -1  # what cannot be reached is not called
                assert uncertain or not callee[UNCERTAIN]
                assert op[UNDER] == 0 or callee[COMPONENT] < component or parts.unstratified[component]
                edges.setdefault(node, set()).add(op[NODE])
    for node, (_, _, component, _, _) in enumerate(parts.nodes):
        seen, todo = set(), list(edges.get(node, ()))
        while todo:
            callee = todo.pop()
            if callee not in seen:
                seen.add(callee)
                todo += edges.get(callee, ())
        assert all((other in seen and node in reachable(edges, other)) == (parts.nodes[other][COMPONENT] == component) for other in seen)


def reachable(edges: dict[int, set[int]], node: int) -> set[int]:
    seen, todo = set(), [node]
    while todo:
        for callee in edges.get(todo.pop(), ()):
            if callee not in seen:
                seen.add(callee)
                todo.append(callee)
    return seen


@given(tapes(120))
@settings(max_examples=15 if SMALL else 100)
def test_successors_and_components_are_below_for_any_model_and_kind(tape: Tape) -> None:
    compiler = Compiler(make_model(tape), SymbolTable())
    for kind in kinds(compiler):
        parts = compiler.parts(kind)
        assert_sound(parts)
        assert Plan(kind, parts, 0, len(compiler.condition_numbers)).op_count == len(parts.ops)


def test_recursion_through_a_subtraction_is_unstratified_and_what_reads_it_is_uncertain() -> None:
    compiler, parts = compiled("viewer: [user] but not barred\nbarred: [user, doc#viewer]\nother: [user]\nreads: viewer and other", "user")
    nodes = {name: parts.nodes[compiler.node_of["doc", name]] for name in ("viewer", "barred", "other", "reads")}
    assert {name: node[UNCERTAIN] for name, node in nodes.items()} == {"viewer": True, "barred": True, "other": False, "reads": True}
    assert [parts.unstratified[node[COMPONENT]] for node in nodes.values()] == [True, False, False, False]  # viewer has barred in place


# ---- depth ----


@pytest.mark.parametrize("link", ["{0}", "[user] or {0}", "{0} and base", "{0} but not never", "{0} from parent"])
def test_long_chains_are_compiled_and_asked_without_recursion(link: str) -> None:
    count = 200 if SMALL else 1_000
    chain = "".join(f"    define r{i}: {link.format(f'r{i - 1}')}\n" for i in range(1, count))
    text = f"""model\n  schema 1.1\ntype user\ntype doc\n  relations\n    define parent: [doc]\n    define base: [user]
    define never: [user]\n    define r0: [user]\n{chain}"""
    compiler = Compiler(language.load(text), SymbolTable())
    parts = compiler.parts(kind_of(compiler, "user"))
    assert len(parts.ops) <= 65 * count  # each node's own, up to the cap of what is compiled in place
    assert all(parts.nodes[op[NODE]][COMPONENT] <= parts.nodes[-1][COMPONENT] for op in parts.ops if op[CODE] in (OP_EXISTS, OP_CALL))
    engine = fgacore.open(":memory:")
    engine.write_model(text)
    engine.write([("user:anne", "r0", "doc:1"), ("user:anne", "base", "doc:1"), ("doc:1", "parent", "doc:1")])
    assert engine.check("user:anne", f"r{count - 1}", "doc:1")
    assert not engine.check("user:bob", f"r{count - 1}", "doc:1")


# ---- what is no plan ----


GOOD = "a: [user]\nb: [user, group#member, doc#c]\nparent: [doc]\nc: b but not a from parent"
WRONG: dict[str, Any] = {
    "a successor of itself": ("ops", 0, IF_TRUE, 0),
    "a successor above": ("ops", 0, IF_FALSE, 7),
    "no such verdict": ("ops", 0, IF_FALSE, -3),
    "no such operation": ("ops", 0, CODE, 6),
    "a call of no node": ("ops", OP_EXISTS, NODE, 99),
    "a closure of no node": ("ops", OP_CLOSURE, NODE, 99),
    "a test in no closure": ("ops", OP_CLOSURE, CLOSURE, 99),
    "an entry outside": ("nodes", 0, ENTRY, 99),
    "an entry that is no verdict": ("nodes", 0, ENTRY, -3),
    "a first outside": ("nodes", 0, FIRST, 99),
    "a first below": ("nodes", 0, FIRST, -1),
    "no such component": ("nodes", 0, COMPONENT, 99),
    "no such group": ("groups", 0, None, 99),
    "no such closure": ("own_closures", 0, None, 99),
    "a seed of no closure": ("seeds", 0, 1, 99),
    "an edge to no closure": ("edges", 0, 1, 99),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_parts_out_of_range_are_refused(wrong: str) -> None:
    compiler, parts = compiled(GOOD, "group#member")
    kind = kind_of(compiler, "group#member")
    assert Plan(kind, parts, 0, len(compiler.condition_numbers)).op_count == len(parts.ops)
    field, at, column, value = WRONG[wrong]
    items: list[Any] = list(getattr(parts, field))
    if field == "ops" and at:  # the first of that code
        at = next(i for i, op in enumerate(items) if op[CODE] == at)
    if field in ("seeds", "edges"):
        at = next(i for i, found in enumerate(items) if found)
        items[at] = [(*items[at][0][:column], value, *items[at][0][column + 1 :])]
    else:
        items[at] = value if column is None else (*items[at][:column], value, *items[at][column + 1 :])
    with pytest.raises(ValueError):
        Plan(kind, replace(parts, **{field: items}))
