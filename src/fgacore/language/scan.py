"""Text to tokens, one at a time: what the parser pulls from.

Blanks and comments are skipped, blank lines are one end of line, and a condition's body is read whole. The scanner knows no grammar:
it says what stands where. It moves only forward and looks at each character a bounded number of times, so any text costs linear time.
"""

from __future__ import annotations

import re

from fgacore.errors import LimitError, quote
from fgacore.language.model import Position
from fgacore.limits import CONDITION_EXPRESSION_BYTES_MAX, MODEL_BYTES_MAX

__all__ = ["END", "LINE", "OTHER", "WORD", "Scanner", "SyntaxFault"]

# Kinds of tokens; a mark such as `[` is its own kind.
WORD = "word"
LINE = "line"
END = "end"
OTHER = "other"

# A comment begins at a `#` after a blank or at the start of a line; the `#` of `group#member` follows a word.
_TOKEN = re.compile(
    r"(?P<line>[ \t\f\n]*\n)|(?P<blank>[ \t\f]+)|(?P<word>[A-Za-z0-9_./\-]+)|(?P<mark>[:,*\[\](){}<>])"
    r"|(?P<comment>(?<![^ \t\f\n])#[^\n]*)|(?P<hash>#)|(?P<other>.)",
    re.DOTALL,
)
_BODY = re.compile(
    r"(?P<blank>[ \t\f]+)|(?P<line>\n)|(?P<string>[bB]?[rR]?(?:\"\"\"|'''|[\"']))|(?P<plain>[A-Za-z0-9_.]+)|(?P<brace>[{}])"
    r"|(?P<note>//[^\n]*)|(?P<comment>(?<![^ \t\f\n])#[^\n]*)|(?P<other>.)",
    re.DOTALL,
)
# What follows the opening quote of a CEL string, up to and with the closing one.
_STRING_ENDS = {
    '"': (re.compile(r'(?:[^"\\\n]|\\[^\n])*"'), re.compile(r'[^"\n]*"')),
    "'": (re.compile(r"(?:[^'\\\n]|\\[^\n])*'"), re.compile(r"[^'\n]*'")),
    '"""': (re.compile(r'(?:[^"\\]|\\.|"(?!""))*"""', re.DOTALL), re.compile(r'(?:[^"]|"(?!""))*"""')),
    "'''": (re.compile(r"(?:[^'\\]|\\.|'(?!''))*'''", re.DOTALL), re.compile(r"(?:[^']|'(?!''))*'''")),
}

# What stands between the braces of a condition: an expression, with room for comments and blanks.
_BODY_CHARACTERS_MAX = 4 * CONDITION_EXPRESSION_BYTES_MAX


class SyntaxFault(Exception):
    """What is written is not the language. Caught by the parser, which notes it and goes on at the next line."""

    def __init__(self, message: str, position: Position, symbol: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.position = position
        self.symbol = symbol


def _checked(text: str) -> str:
    """The text without a byte order mark, its line ends made `\\n`; refused if it is too long or is no text."""
    if len(text) > MODEL_BYTES_MAX or len(text.encode("utf-8", "surrogatepass")) > MODEL_BYTES_MAX:
        raise LimitError(f"the model is longer than {MODEL_BYTES_MAX} bytes (MODEL_BYTES_MAX)")
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    bad = re.search("[\0\ud800-\udfff]", text)  # a lone surrogate has no UTF-8; a NUL ends text elsewhere
    if bad:
        start = bad.start()
        line = text.count("\n", 0, start) + 1
        raise SyntaxFault(f"{quote(bad.group())} is not allowed in a model", (line, start - text.rfind("\n", 0, start)), bad.group())
    return text


class Scanner:
    """The token at hand: `kind`, `value`, `position` (line and column from 1), `end` (an offset).

    `gap` tells whether a blank, a comment or a line end stands before it; `first` whether it is the first of its line.
    """

    __slots__ = ("_line", "_line_start", "end", "first", "gap", "kind", "position", "text", "value")

    def __init__(self, text: str) -> None:
        self.text = _checked(text)
        self.kind = LINE  # so that blank lines at the start are skipped like all others
        self.value = ""
        self.end = 0
        self.first = self.gap = True
        self.position: Position = (1, 1)
        self._line = 1
        self._line_start = 0
        self.advance()

    def advance(self) -> None:
        """Go to the next token. Beyond the last there is END, for ever."""
        self.first = self.gap = self.kind is LINE
        text, end = self.text, self.end
        while True:
            match = _TOKEN.match(text, end)
            if match is None:
                self.kind, self.value, self.position = END, "", (self._line, end - self._line_start + 1)
                break
            start, end = match.span()
            group = match.lastgroup
            if group == "blank" or group == "comment":
                self.gap = True
            elif group == "line":
                place = (self._line, start - self._line_start + 1)
                self._line += text.count("\n", start, end)
                self._line_start = end
                if self.kind is not LINE:
                    self.kind, self.value, self.position = LINE, "", place
                    break
            else:
                self.value = match.group()
                self.kind = WORD if group == "word" else OTHER if group == "other" else self.value
                self.position = (self._line, start - self._line_start + 1)
                break
        self.end = end

    def skip_line(self) -> None:
        """Go to the end of the line on which the token at hand stands, or stay if it is one."""
        if self.kind is LINE or self.kind is END:
            return
        end = self.text.find("\n", self.end)
        self.end = len(self.text) if end < 0 else end
        self.kind = WORD  # whatever it was, it ends here
        self.advance()

    def body(self) -> str:
        """The text of a condition from behind the `{` at hand to its `}`, which is at hand afterwards.

        Comments of the model and blanks at line ends are left out; all else is as written. Braces and comments inside CEL strings are text.
        """
        text, end, opened, depth = self.text, self.end, self.position, 0
        line, line_start = self._line, self._line_start
        stop = end + _BODY_CHARACTERS_MAX
        pieces: list[str] = []
        while end <= stop:
            match = _BODY.match(text, end)
            if match is None:
                raise SyntaxFault("`{` is not closed", opened, "{")
            start, end = match.span()
            group = match.lastgroup
            piece = match.group()
            if group == "line":
                if pieces and pieces[-1] != "\n" and pieces[-1].isspace():
                    pieces.pop()
                line, line_start = line + 1, end
            elif group == "brace":
                depth += 1 if piece == "{" else -1
                if depth < 0:
                    self._line, self._line_start = line, line_start
                    self.kind, self.value, self.end = "}", "}", end
                    self.position = (line, start - line_start + 1)
                    self.first, self.gap = False, True
                    return "".join(pieces).strip()
            elif group == "string":
                closing = _string_end(piece).match(text, end, stop)
                if closing is None:
                    raise SyntaxFault("a string is not closed", (line, start - line_start + 1), piece)
                end = closing.end()
                piece = text[start:end]
                if "\n" in piece:
                    line, line_start = line + piece.count("\n"), start + piece.rfind("\n") + 1
            elif group == "comment":
                continue
            pieces.append(piece)
        bound = f"{CONDITION_EXPRESSION_BYTES_MAX} bytes (CONDITION_EXPRESSION_BYTES_MAX)"
        raise LimitError(f"{opened[0]}:{opened[1]}: the expression of a condition is longer than {bound}")


def _string_end(opening: str) -> re.Pattern[str]:
    """What matches a CEL string from behind its opening, `"` or `r"` and the like, up to and with its closing quotes."""
    quotes = opening.lstrip("bBrR")
    return _STRING_ENDS[quotes]["r" in opening.lower()]
