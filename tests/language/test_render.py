"""Text from a model: in one order, readable, and refused where the language has no words for it."""

from __future__ import annotations

import pytest

from fgacore import language
from fgacore.language.model import (
    ComputedUserset,
    Condition,
    Difference,
    Intersection,
    Model,
    Parameter,
    Relation,
    Restriction,
    Rewrite,
    This,
    TupleToUserset,
    TypeDefinition,
    Union,
)
from language.faults import HEADER, issues

A, B, USER = ComputedUserset("a"), ComputedUserset("b"), Restriction("user")


def model(rewrite: Rewrite, *restrictions: Restriction, name: str = "r") -> Model:
    return Model("1.1", {"doc": TypeDefinition("doc", {name: Relation(name, rewrite, restrictions)})})


def condition(expression: str, **parameters: Parameter) -> Model:
    return Model("1.1", {}, {"c": Condition("c", parameters or {"a": Parameter("int")}, expression)})


def test_text_is_sorted_and_laid_out_one_way() -> None:
    text = (
        "model\n  schema 1.1\ntype user\ntype doc\n  relations\n    define b:[user,  user with late]\n    define a: (b) or (a from b)\n"
        "condition soon(z: int,a: list<string>) { z<1 }\ncondition late(hour: int) {\n\n  hour > 20\n\n}\n"
    )
    assert language.render(language.parse(text)) == (
        "model\n  schema 1.1\n\ntype user\n\ntype doc\n  relations\n    define a: b or a from b\n    define b: [user, user with late]\n\n"
        "condition late(hour: int) {\n  hour > 20\n}\n\ncondition soon(a: list<string>, z: int) {\n  z<1\n}\n"
    )


@pytest.mark.parametrize(
    ("rewrite", "text"),
    [
        (Union((A, This(), B)), "[user] or a or b"),
        (Intersection((A, This())), "[user] and a"),
        (Difference(Union((A, This())), B), "([user] or a) but not b"),
        (Union((Intersection((This(), A)), B)), "([user] and a) or b"),
        (Difference(A, Difference(A, TupleToUserset("a", "b"))), "a but not (a but not a from b)"),
        (Union((Union((A, B)), A)), "(a or b) or a"),
    ],
)
def test_operands_are_written_with_the_restrictions_first(rewrite: Rewrite, text: str) -> None:
    restrictions = (USER,) if "[user]" in text else ()
    assert f"define r: {text}\n" in language.render(model(rewrite, *restrictions))


@pytest.mark.parametrize(
    "value",
    [
        model(Difference(A, This()), USER),
        model(Union((Intersection((This(), A)), Difference(This(), B))), USER),
        model(Union((A, Difference(This(), B))), USER),
        model(Union((This(), This())), USER),
        model(Union((A,))),
        model(Union(())),
        model(This()),
        model(A, USER),
        model(ComputedUserset("a b")),
        model(ComputedUserset("and")),
        model(TupleToUserset("a", "é")),
        model(This(), Restriction("a:b")),
        model(This(), Restriction("user", "with")),
        model(This(), Restriction("user", "r", wildcard=True)),
        model(This(), Restriction("user", condition="a/")),
        model(A, name="1a"),
        Model("1.1", {"a\nb": TypeDefinition("a\nb")}),
        Model("", {}),
        Model("1", {}),
        condition("true", a=Parameter("any")),
        condition("true", a=Parameter("list", "any")),
        condition("true", a=Parameter("list")),
        condition("true", string=Parameter("int")),
        Model("1.1", {}, {"c": Condition("c", {}, "true")}),
        Model("1.1", {}, {"c": Condition("a.b", {"a": Parameter("int")}, "true")}),
        condition(""),
        condition("a } b"),
        condition("{ a"),
        condition("'a"),
        condition("a # b"),
        condition("a\r\nb"),
        condition("true }\ntype evil\ncondition d(a: int) { true"),
    ],
)
def test_what_the_language_cannot_say_is_refused(value: Model) -> None:
    assert [issue.code for issue in issues(language.render, value)] == ["not_expressible"]


@pytest.mark.parametrize("expression", ["'}' == a", "{'a': 1} == a", "a // b", "r'\\' == a", "'# a' == a", "a\n  && b"])
def test_expression_reads_back_as_it_was(expression: str) -> None:
    value = condition(expression)
    assert language.parse(language.render(value)) == value


def test_blanks_around_an_expression_do_not_hinder() -> None:
    assert language.parse(language.render(condition("\n  a > 1  \n"))) == condition("a > 1")


def test_refusal_names_the_relation_and_its_place() -> None:
    text = HEADER + "type doc\n  relations\n    define r: [user]\n"
    relation = language.parse(text).types["doc"].relations["r"]
    broken = Model(
        "1.1",
        {"doc": TypeDefinition("doc", {"r": Relation("r", Difference(A, relation.rewrite), relation.restrictions, position=relation.position)})},
    )
    (issue,) = issues(language.render, broken)
    assert (issue.line, issue.column, issue.symbol) == (6, 12, "r")
    assert "relation `r` of type `doc`" in issue.message


def test_modules_are_written_in_their_order_and_named_on_request() -> None:
    core = TypeDefinition("b", {"z": Relation("z", This(), (USER,)), "a": Relation("a", This(), (USER,), "wiki", "wiki.fga")}, "core", "core.fga")
    value = Model("1.2", {"c": TypeDefinition("c", {}, "wiki", "wiki.fga"), "b": core, "user": TypeDefinition("user")})
    plain = "model\n  schema 1.2\n\ntype user\n\ntype b{}\n  relations\n    define z: [user]\n    define a: [user]{}\n\ntype c{}\n"
    assert language.render(value) == plain.format("", "", "")
    sources = (" # module: core, file: core.fga", " # extended by: module: wiki, file: wiki.fga", " # module: wiki, file: wiki.fga")
    assert language.render(value, sources=True) == plain.format(*sources)
    assert language.parse(language.render(value, sources=True)) == language.parse(language.render(value))
