"""The parser: what the language says, and what is told of a text that is not it."""

from __future__ import annotations

import doctest
import sys

import pytest

from fgacore import language, limits
from fgacore.errors import LimitError, ModelError
from fgacore.language.model import (
    ComputedUserset,
    Condition,
    Difference,
    Intersection,
    Parameter,
    Restriction,
    Rewrite,
    This,
    TupleToUserset,
    Union,
)
from language.faults import HEADER, document, issues, parse_faults

A, B, C, D = (ComputedUserset(name) for name in "abcd")


def rewrite(text: str) -> Rewrite:
    return language.parse(document(f"r: {text}")).types["doc"].relations["r"].rewrite


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("a", A),
        ("[user]", This()),
        ("a from b", TupleToUserset("a", "b")),
        ("a or b or c", Union((A, B, C))),
        ("a and b and c", Intersection((A, B, C))),
        ("a but not b", Difference(A, B)),
        ("a but   not b", Difference(A, B)),
        ("[user] or a from b", Union((This(), TupleToUserset("a", "b")))),
        ("(a)", A),
        ("((a or b))", Union((A, B))),
        ("( a or b ) and c", Intersection((Union((A, B)), C))),
        ("a or (b or c)", Union((A, Union((B, C))))),
        ("(a but not b) but not c", Difference(Difference(A, B), C)),
        ("a but not (b but not c)", Difference(A, Difference(B, C))),
        ("([user] and a) but not b", Difference(Intersection((This(), A)), B)),
        ("((([user] or a) and b) but not c) or d", Union((Difference(Intersection((Union((This(), A)), B)), C), D))),
        ("but or nothing", Union((ComputedUserset("but"), ComputedUserset("nothing")))),
    ],
)
def test_rewrite_means_what_is_written(text: str, meaning: Rewrite) -> None:
    assert rewrite(text) == meaning


@pytest.mark.parametrize(
    ("text", "restriction"),
    [
        ("user", Restriction("user")),
        ("user:*", Restriction("user", wildcard=True)),
        ("team#member", Restriction("team", "member")),
        ("user with late", Restriction("user", condition="late")),
        ("user:* with late", Restriction("user", wildcard=True, condition="late")),
        ("team#member with late", Restriction("team", "member", condition="late")),
        ("a.b/c-d#e/f", Restriction("a.b/c-d", "e/f")),
        ("type#model", Restriction("type", "model")),
    ],
)
def test_restriction_means_what_is_written(text: str, restriction: Restriction) -> None:
    relation = language.parse(document(f"r: [{text}]")).types["doc"].relations["r"]
    assert (relation.rewrite, relation.restrictions) == (This(), (restriction,))


@pytest.mark.parametrize("text", ["[user,bot]", "[ user , bot ]", "[user,\n  bot]", "[\n\n  user\n  ,\n  bot\n  ]", "[user, # people\n    bot]"])
def test_restrictions_may_stand_anyhow(text: str) -> None:
    assert language.parse(document(f"r: {text}")).types["doc"].relations["r"].restrictions == (Restriction("user"), Restriction("bot"))


@pytest.mark.parametrize(
    "name", ["model", "schema", "type", "relation", "module", "extend", "list", "map", "any", "but", "not", "_", "a-", "a--b", "a.b/c-d"]
)
def test_words_of_the_grammar_are_names_where_they_cannot_be_mistaken(name: str) -> None:
    model = language.parse(
        f"model\n  schema 1.1\ntype {name}\n  relations\n    define {name}: [{name}, {name}#{name}]\n    define other: {name} or {name} from {name}\n"
    )
    assert model.types[name].relations["other"].rewrite == Union((ComputedUserset(name), TupleToUserset(name, name)))


@pytest.mark.parametrize(
    "name", ["and", "or", "from", "with", "define", "relations", "condition", "in", "true", "1a", "a..b", "a/", "/a", "-a", "a b", "é", "a$"]
)
def test_other_words_are_not_names(name: str) -> None:
    assert parse_faults(f"model\n  schema 1.1\ntype {name}\n") != []
    assert parse_faults(document(f"{name}: [user]")) != []
    assert parse_faults(document(f"r: {name}")) != []


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("r [user]", 14),
        ("r: ", 14),
        ("r: []", 16),
        ("r: [user,]", 21),
        ("r: [user:*:*]", 22),
        ("r: [user: *]", 22),
        ("r: [user#]", 21),
        ("r: [user with]", 25),
        ("r: [user bot]", 21),
        ("r: a or", 19),
        ("r: or a", 15),
        ("r: but not a", 15),
        ("r: a or b and c", 22),
        ("r: a and b but not c", 23),
        ("r: a but not b but not c", 27),
        ("r: (a or b and c)", 23),
        ("r: a or [user]", 20),
        ("r: a but not [user]", 25),
        ("r: [user] or [bot]", 25),
        ("r: (a", 17),
        ("r: a)", 16),
        ("r: a from", 21),
        ("r: a from b from c", 24),
        ("r: a or(b)", 19),
        ("r: (a)or b", 18),
        ("r: a b", 17),
        ("r: a; b", 16),
    ],
)
def test_faulty_relation_is_told_at_its_column(text: str, column: int) -> None:
    assert [fault[:3] for fault in parse_faults(document(text, "ok: [user]"))] == [("syntax_error", 6, column)]


def test_list_that_is_not_closed_is_missed_on_the_next_line_which_is_read_all_the_same() -> None:
    assert [fault[:3] for fault in parse_faults(document("a: [user", "b: b b"))] == [("syntax_error", 7, 5), ("syntax_error", 7, 17)]


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("", 1, 1),
        ("\n\n# nothing\n", 4, 1),
        ("type user\n", 1, 1),
        ("model\ntype user\n", 2, 1),
        ("model schema 1.1\n", 1, 7),
        ("model\n  schema\n", 2, 9),
        ("model\n  schema1.1\n", 2, 3),
        ("model\n  schema 11\ntype user\n", 2, 10),
        ("model\n  schema 1.1 1.2\n", 2, 14),
        ("model\n  schema 1.1\nmodule m\n", 3, 1),
        ("model\n  schema 1.1\ntype\n", 3, 5),
        ("model\n  schema 1.1\ntype a b\n", 3, 8),
        ("model\n  schema 1.1\ntype a\n  relations\n", 5, 1),
        ("model\n  schema 1.1\ntype a\n  relations\ntype b\n", 5, 1),
        ("model\n  schema 1.1\ntype a\n    define r: [a]\n", 4, 5),
        ("model\n  schema 1.1\n    define r: [a]\n", 3, 5),
        ("model\n  schema 1.1\nextend a\n", 3, 8),
        ("model\n  schema 1.1\nextend type a\n", 3, 13),
        ("module\n", 1, 7),
        ("module a b\n", 1, 10),
    ],
)
def test_faulty_frame_is_told_at_its_place(text: str, line: int, column: int) -> None:
    assert [fault[:3] for fault in parse_faults(text)] == [("syntax_error", line, column)]


def test_every_faulty_line_is_told_and_the_others_are_read() -> None:
    text = (
        document("a: [user", "b: a or", "c: [user]", "d c", "e: a and b or c")
        + "nonsense\ntype 9\n  relations\n    define f: [user]\n    define g [user]\ntype fine\n"
    )
    assert [(line, symbol) for _, line, _, symbol in parse_faults(text)] == [
        (7, "define"),
        (7, ""),
        (9, "c"),
        (10, "or"),
        (11, "nonsense"),
        (12, "9"),
        (15, "["),
    ]


def test_faults_come_in_the_order_of_the_text_and_are_bounded() -> None:
    found = issues(language.parse, document(*["x"] * 500))
    assert len(found) == limits.MODEL_ISSUES_MAX
    assert [issue.line for issue in found] == sorted(issue.line for issue in found)


def test_message_names_place_what_was_expected_and_what_was_found() -> None:
    with pytest.raises(ModelError) as caught:
        language.parse("model\n  schema 1.1\ntype user, bot\n", "people.fga")
    error = caught.value
    assert str(error) == "people.fga:3:10: expected the end of the line, found `,`"
    assert (error.code, error.line, error.column, error.issues[0].file) == ("syntax_error", 3, 10, "people.fga")


def test_text_of_the_user_is_quoted_short_and_on_one_line() -> None:
    with pytest.raises(ModelError) as caught:
        language.parse(HEADER + "type " + "\x1b" * 3 + "\n" + "type " + "x." * 50_000 + "\n")
    assert all(issue.message.isprintable() and len(issue.message) < 200 for issue in caught.value.issues)
    assert len(caught.value.issues) == 2


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (document("a: [user]", "b: a", "a: b"), ("duplicated_error", 8, 12, "a")),
        (HEADER + "type doc\ntype user\n", ("duplicated_error", 3, 6, "user")),
        (HEADER + "condition c(a: int) { a > 1 }\ncondition c(b: int) { b > 1 }\n", ("duplicated_error", 5, 11, "c")),
        (HEADER + "condition c(a: int, a: bool) { a }\n", ("duplicated_error", 4, 21, "a")),
        ("module m\nextend type a\n\nextend type a\n", ("duplicated_error", 4, 13, "a")),
        ("module m\ntype a\n  relations\n    define r: [a]\nextend type a\n  relations\n    define r: [a]\n", ("duplicated_error", 7, 12, "r")),
    ],
)
def test_what_is_defined_twice_is_told(text: str, fault: tuple[str, int, int, str]) -> None:
    assert parse_faults(text) == [fault]


def test_condition_is_kept_as_written() -> None:
    text = HEADER + "condition in_time(now: timestamp,\n  days: list<string>, levels: map<int>\n) { # a note\n  now < x['}']   &&\n    true\n}\n"
    condition = language.parse(text).conditions["in_time"]
    parameters = {"now": Parameter("timestamp"), "days": Parameter("list", "string"), "levels": Parameter("map", "int")}
    assert condition == Condition("in_time", parameters, "now < x['}']   &&\n    true")
    assert condition.position == (4, 11)


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("condition (a: int) { a }", 11),
        ("condition c { a }", 13),
        ("condition c() { true }", 13),
        ("condition c(int) { true }", 13),
        ("condition c(a) { a }", 14),
        ("condition c(a: any) { a }", 16),
        ("condition c(a: list) { a }", 20),
        ("condition c(a: list<map>) { a }", 21),
        ("condition c(a: list<list<int>>) { a }", 21),
        ("condition c(a: list <int>) { a }", 21),
        ("condition c(a: int b: int) { a }", 20),
        ("condition c(a: int) a", 21),
        ("condition c(a: int) { }", 23),
        ("condition c(a: int) { a", 21),
        ("condition c(a: int) { a == 'b }", 28),
        ("condition c(a: int) { a } x", 27),
        ("condition c(a: int) { a }}", 26),
        ("condition string(a: int) { a }", 11),
    ],
)
def test_faulty_condition_is_told_and_the_next_is_read(text: str, column: int) -> None:
    found = parse_faults(HEADER + text + "\n\n\ncondition d(b: wrong) { b }\n")
    assert [fault[:3] for fault in found] == [("syntax_error", 4, column), ("syntax_error", 7, 16)]


def test_types_stand_before_conditions() -> None:
    assert parse_faults(HEADER + "condition c(a: int) { a > 1 }\ntype doc\n") == [("syntax_error", 5, 1, "type")]


def test_positions_are_those_of_the_names() -> None:
    model = language.parse(document("parent: [doc]", "r: ([user with late, doc#r] or parent) but not (r   from   parent)"))
    relation = model.types["doc"].relations["r"]
    assert (model.schema_position, model.types["doc"].position, relation.position) == ((2, 10), (4, 6), (7, 12))
    assert [(item.position, item.condition_position) for item in relation.restrictions] == [((7, 17), (7, 27)), ((7, 33), (0, 0))]
    assert isinstance(relation.rewrite, Difference)
    subtract = relation.rewrite.subtract
    assert isinstance(subtract, TupleToUserset)
    assert (subtract.position, subtract.tupleset_position) == ((7, 60), (7, 71))


def test_order_of_the_source_is_kept() -> None:
    model = language.parse("model\n  schema 1.1\ntype z\n  relations\n    define y: [z]\n    define x: [z]\ntype a\n")
    assert list(model.types) == ["z", "a"]
    assert list(model.types["z"].relations) == ["y", "x"]


def test_module_file_knows_its_module_and_its_file() -> None:
    text = "module wiki\ntype page\n  relations\n    define r: [user]\nextend type user\n  relations\n    define s: [user]\n"
    text += "condition c(a: int) { a > 1 }\n"
    model = language.parse(text, "wiki.fga")
    assert model.schema == ""
    page, user = model.types["page"], model.types["user"]
    assert (page.module, page.file, page.relations["r"].module) == ("wiki", "wiki.fga", "")
    assert (user.relations["s"].module, user.relations["s"].file) == ("wiki", "wiki.fga")
    assert (model.conditions["c"].module, model.conditions["c"].file) == ("wiki", "wiki.fga")


def nested(depth: int) -> str:
    return document("r: " + "a or (" * (depth - 2) + "a or b" + ")" * (depth - 2))


def test_rewrites_nest_to_the_bound_and_no_deeper() -> None:
    model = language.parse(nested(limits.MODEL_REWRITE_DEPTH_MAX))
    assert language.from_json(language.to_json(model)) == model
    assert language.parse(language.render(model)) == model
    with pytest.raises(LimitError, match="MODEL_REWRITE_DEPTH_MAX"):
        language.parse(nested(limits.MODEL_REWRITE_DEPTH_MAX + 1))


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        (HEADER + "#" + "x" * limits.MODEL_BYTES_MAX, "MODEL_BYTES_MAX"),
        (HEADER + "#" + "é" * (limits.MODEL_BYTES_MAX // 2), "MODEL_BYTES_MAX"),
        ("model\n  schema 1.1\n" + "".join(f"type t{n}\n" for n in range(limits.MODEL_TYPES_MAX + 1)), "MODEL_TYPES_MAX"),
        (document(*(f"r{n}: [user]" for n in range(limits.MODEL_RELATIONS_MAX + 1))), "MODEL_RELATIONS_MAX"),
        (document(f"r: [{', '.join(['user'] * (limits.MODEL_RESTRICTIONS_MAX + 1))}]"), "MODEL_RESTRICTIONS_MAX"),
        (HEADER + "".join(f"condition c{n}(a: int) {{ a > 1 }}\n" for n in range(limits.MODEL_CONDITIONS_MAX + 1)), "MODEL_CONDITIONS_MAX"),
        (HEADER + f"condition c({', '.join(f'a{n}: int' for n in range(limits.MODEL_PARAMETERS_MAX + 1))}) {{ a }}\n", "MODEL_PARAMETERS_MAX"),
        (HEADER + f"condition c(a: int) {{ {'a' * (limits.CONDITION_EXPRESSION_BYTES_MAX + 1)} }}\n", "CONDITION_EXPRESSION_BYTES_MAX"),
    ],
    ids=lambda value: value if value.isupper() else "",
)
def test_what_is_over_a_bound_is_refused_by_its_name(text: str, bound: str) -> None:
    with pytest.raises(LimitError, match=bound) as caught:
        language.parse(text)
    assert caught.value.code == "limit_exceeded"


def test_example_in_the_docstring_runs() -> None:
    found = doctest.testmod(sys.modules["fgacore.language.parse"])
    assert (found.failed, found.attempted > 0) == (0, True)
