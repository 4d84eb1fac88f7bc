"""The scanner: places, blanks, comments and the bodies of conditions."""

from __future__ import annotations

import pytest

from fgacore.errors import LimitError
from fgacore.language.scan import END, LINE, OTHER, WORD, Scanner, SyntaxFault


def tokens(text: str) -> list[tuple[str, str, tuple[int, int]]]:
    scanner = Scanner(text)
    found = []
    while scanner.kind is not END:
        found.append((scanner.kind, scanner.value, scanner.position))
        scanner.advance()
    return found


def body(text: str) -> str:
    scanner = Scanner(text)
    assert scanner.kind == "{"
    found = scanner.body()
    assert scanner.kind == "}"
    return found


def test_places_count_lines_and_columns_from_one() -> None:
    assert tokens("type a\n\n  b:*") == [
        (WORD, "type", (1, 1)),
        (WORD, "a", (1, 6)),
        (LINE, "", (1, 7)),
        (WORD, "b", (3, 3)),
        (":", ":", (3, 4)),
        ("*", "*", (3, 5)),
    ]


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "a\rb", "\ufeffa\nb", "  \n\n a \t\n \n b", "# x\na # y\n# z\n\n  # w\nb"])
def test_line_ends_blank_lines_and_comments_are_one_line_end(text: str) -> None:
    assert [(kind, value) for kind, value, _ in tokens(text)] == [(WORD, "a"), (LINE, ""), (WORD, "b")]


def test_hash_after_a_word_is_no_comment() -> None:
    assert [value for _, value, _ in tokens("team#member #not this\n#nor this")] == ["team", "#", "member", ""]


@pytest.mark.parametrize("char", ["\u00a0", "\u2003", "\u2028", "\x0b", "é", "$", "\U0001f511"])
def test_characters_outside_the_language_are_tokens_of_their_own(char: str) -> None:
    assert [(kind, value) for kind, value, _ in tokens(f"a{char}b")] == [(WORD, "a"), (OTHER, char), (WORD, "b")]


@pytest.mark.parametrize(("text", "place"), [("\0", (1, 1)), ("ab\ncd\0", (2, 3)), ("a\r\n\ud800", (2, 1)), ("# \udfff", (1, 3))])
def test_what_is_no_text_is_refused_where_it_stands(text: str, place: tuple[int, int]) -> None:
    with pytest.raises(SyntaxFault) as caught:
        Scanner(text)
    assert caught.value.position == place


@pytest.mark.parametrize(
    "expression",
    [
        "a < 10",
        "a in [1, 2] && {'k': {'l': 1}}.k.l == 1",
        '"}" != a',
        "'}' != a && '\\'}' != a",
        "r\"\\\" == a && br'}' != b",
        '"""a } "quoted" } b""" == a',
        "'''it's }''' == a",
        'R"""\\""" == a',
        'a == "a # b" && b',
        "a // } not the end\n  && b",
        "a &&\n  b ||\n    c",
        "a == '{'",
    ],
)
def test_body_is_the_expression_as_written(expression: str) -> None:
    assert body(f"{{\n  {expression}\n}}") == expression


def test_comments_and_blanks_at_line_ends_are_left_out_of_a_body() -> None:
    assert body("{ # the rule\n  a &&   # first\n  # and\n  b\t \n}") == "a &&\n\n  b"


def test_position_after_a_body_counts_its_lines() -> None:
    scanner = Scanner("{\n  'a' == '''x\ny''' }\nnext")
    scanner.body()
    assert scanner.position == (3, 6)
    scanner.advance()
    scanner.advance()
    assert (scanner.value, scanner.position) == ("next", (4, 1))


@pytest.mark.parametrize(
    ("text", "place"), [("{ a", (1, 1)), ("{ {a }", (1, 1)), ("{\n a == 'b\n}", (2, 7)), ('{ """a" }', (1, 3)), ("{ r'\\ }", (1, 3))]
)
def test_what_is_not_closed_is_told_where_it_opens(text: str, place: tuple[int, int]) -> None:
    with pytest.raises(SyntaxFault, match="not closed") as caught:
        Scanner(text).body()
    assert caught.value.position == place


def test_body_without_end_is_given_up_at_the_bound() -> None:
    with pytest.raises(LimitError, match="CONDITION_EXPRESSION_BYTES_MAX"):
        Scanner("{" + "a " * 100_000).body()
