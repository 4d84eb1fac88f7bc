"""Every Python block of the README and of docs/ runs, and says what it claims to say.

The blocks of one file share a namespace, as a reader pastes them in turn. Where an expression stands alone with a literal as its trailing
comment (`engine.check(...)  # True`), the value must equal the literal.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(text: str) -> list[str]:
    """The Python blocks, each padded so that a traceback shows the line of the file."""
    return ["\n" * text.count("\n", 0, found.start(1)) + found[1] for found in BLOCK.finditer(text)]


def claims(code: str) -> dict[int, object]:
    """Line to literal, for every comment that is nothing but a literal."""
    found = {}
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type == tokenize.COMMENT:
            try:
                found[token.start[0]] = ast.literal_eval(token.string.lstrip("# "))
            except (ValueError, SyntaxError):
                continue
    return found


def run(text: str, name: str) -> Iterator[tuple[int, object, object]]:
    """Run the blocks of a file in turn; yield line, value and claim wherever one is claimed."""
    namespace: dict[str, object] = {"__name__": "readme"}
    for code in blocks(text):
        claimed = claims(code)
        for statement in ast.parse(code, name).body:
            claim = claimed.get(statement.end_lineno or 0, ...)
            if isinstance(statement, ast.Expr) and claim is not ...:
                value = eval(compile(ast.Expression(statement.value), name, "eval"), namespace)
                yield statement.lineno, value, claim
            else:
                exec(compile(ast.Module([statement], []), name, "exec"), namespace)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_blocks_run_and_their_claims_hold(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for line, value, claim in run(path.read_text(encoding="utf-8"), str(path)):
        assert value == claim, f"{path.name}:{line} says {claim!r} and is {value!r}"


def test_readme_shows_code_that_claims_answers() -> None:
    found = [claim for code in blocks((ROOT / "README.md").read_text(encoding="utf-8")) for claim in claims(code).values()]
    assert True in found
    assert False in found


def test_a_false_claim_is_seen() -> None:
    text = "Prose.\n\n```python\nx = 1\nx + 1  # 3\n```\n"
    assert list(run(text, "false.md")) == [(5, 2, 3)]


def test_a_block_that_fails_is_seen() -> None:
    with pytest.raises(ZeroDivisionError):
        list(run("```python\n1 / 0\n```\n", "broken.md"))


def test_links_between_the_pages_lead_somewhere() -> None:
    link = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")
    targets = [(path, target) for path in FILES for target in link.findall(path.read_text(encoding="utf-8"))]
    assert targets
    assert [f"{path.name}: {target}" for path, target in targets if not (path.parent / target).exists()] == []
