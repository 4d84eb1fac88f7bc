"""Files as data: YAML means what its text says, a fault has its line, and no file takes more than its bounds."""

from __future__ import annotations

import math
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgacore.store import documents
from fgacore.store.documents import read_json, read_text, read_yaml
from fgacore.store.faults import FileFault


def written(folder: Path, text: str | bytes, name: str = "a.yaml") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2023-01-01", "2023-01-01"),
        ("2023-01-01T00:00:00Z", "2023-01-01T00:00:00Z"),
        ("2023-01-01 00:00:00", "2023-01-01 00:00:00"),
        ("!!timestamp 2023-01-01", "2023-01-01"),
        ("12:30:45", "12:30:45"),
        ("1h30m", "1h30m"),
        ("192.168.0.1", "192.168.0.1"),
        ("yes", "yes"),
        ("Off", "Off"),
        ("=", "="),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("'null'", "null"),
        ("0", 0),
        ("-17", -17),
        ("1_000", 1000),
        ("0x1F", 31),
        ("010", 8),
        ("08", 8.0),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-.inf", -math.inf),
        ("1.797693134862315708145274237317043567981e+309", "1.797693134862315708145274237317043567981e+309"),
        ("18446744073709551616", 2**64),
        ("[1, two]", [1, "two"]),
        ("{a: {b: c}}", {"a": {"b": "c"}}),
        ("{on: true}", {"on": True}),
        ("&x [1]", [1]),
        ("{a: &x {b: 1}, c: {<<: *x, d: 2}}", {"a": {"b": 1}, "c": {"b": 1, "d": 2}}),
        ("{a: &x {b: 1}, c: {<<: *x, b: 2}}", {"a": {"b": 1}, "c": {"b": 2}}),
    ],
)
def test_plain_words_mean_what_they_mean_to_openfga(text: str, value: Any, tmp_path: Path) -> None:
    found = read_yaml(written(tmp_path, text)).root
    assert found == value
    assert type(found) is type(value)


def test_not_a_number_stays_one_for_the_engine_to_refuse(tmp_path: Path) -> None:
    assert math.isnan(read_yaml(written(tmp_path, ".nan")).root)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "`a` twice"),
        ("x:\n  - {k: 1, k: 1}\n", 2, "`k` twice"),
        ("a: 1\n'a': 2\n", 2, "`a` twice"),
        ("a: &x\n  b: *x\n", 2, "alias for what contains it"),
        ("a: *nobody\n", 1, "undefined alias"),
        ("a:\n  b: [1, 2\nc: 3\n", 3, "is not YAML"),
        ("a: !!python/object/apply:os.system [ls]\n", 1, "could not determine a constructor"),
        ("a: !!set {x}\n", 1, "could not determine a constructor"),
        ("a: !!binary aGk=\n", 1, "could not determine a constructor"),
        ("? [a]\n: 1\n", 1, "unhashable key"),
        ("a: 1\n---\nb: 2\n", 2, "another document"),
        ("a: \x01\n", 0, "not YAML"),
        ("a: " + "9" * 5000, 0, "too large"),
        ("\n\n" + "[" * 5000, 3, "deeper than 100"),
        ("- " * 200 + "x", 1, "deeper than 100"),
        (b"a: 1\nb: \xff\n", 2, "not UTF-8"),
    ],
)
def test_what_is_no_document_is_a_fault_with_its_line(text: str | bytes, line: int, message: str, tmp_path: Path) -> None:
    with pytest.raises(FileFault, match=message) as fault:
        read_yaml(written(tmp_path, text))
    assert fault.value.line == line
    assert str(fault.value).startswith(f"{tmp_path / 'a.yaml'}:{line}: " if line else f"{tmp_path / 'a.yaml'}: ")


@pytest.mark.parametrize("item", ["[{}]", "{{<<: [{}]}}"])
def test_aliases_do_not_make_a_small_file_large(item: str, tmp_path: Path) -> None:
    levels = ["- &l0 {k: v}"]
    levels += [f"- &l{level} {item.format(', '.join([f'*l{level - 1}'] * 10))}" for level in range(1, 9)]
    with pytest.raises(FileFault, match="more than 2,000,000 values"):
        read_yaml(written(tmp_path, "\n".join(levels)))


def test_a_chain_of_merges_is_bounded(tmp_path: Path) -> None:
    chain = ["- &l0 {k: v}", *(f"- &l{level} {{<<: *l{level - 1}}}" for level in range(1, 1500))]
    with pytest.raises(FileFault):
        read_yaml(written(tmp_path, "\n".join(chain)))


def test_lines_are_those_of_mappings_and_of_blocks_of_text(tmp_path: Path) -> None:
    document = read_yaml(written(tmp_path, "# a comment\na:\n  - b: 1\n\n  - c: 2\nmodel: |\n\n  model\n"))
    first, second = document.root["a"]
    assert [document.line_of(value) for value in (document.root, first, second, document.root["model"])] == [2, 3, 5, 7]
    assert document.root["model"] == "\nmodel\n"


def test_a_file_longer_than_its_bound_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "YAML_BYTES_MAX", 10)
    assert read_yaml(written(tmp_path, "a: 4567890")).root == {"a": 4567890}
    with pytest.raises(FileFault, match="longer than 10 bytes"):
        read_yaml(written(tmp_path, "a: 45678901"))


def test_only_plain_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, message in (
        (tmp_path / "pipe", "not a plain file"),
        (tmp_path, "not a plain file"),
        (Path("/dev/zero"), "not a plain file"),
        (tmp_path / "nothing", "does not exist"),
        (tmp_path / "no\0name", "does not exist"),
    ):
        with pytest.raises(FileFault, match=message):
            read_text(path)


def test_a_mark_of_byte_order_is_no_part_of_the_text(tmp_path: Path) -> None:
    assert read_text(written(tmp_path, b"\xef\xbb\xbfa")) == "a"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ('{"a": 1,\n"a": 2}', 0, "`a` stands twice"),
        ('{"a":\n', 2, "is not JSON"),
        ("", 1, "is not JSON"),
        ("[" * 100_000, 0, "nested too deep"),
        ("9" * 5000, 0, "is not JSON as it must be"),
    ],
)
def test_what_is_no_json_is_a_fault(text: str, line: int, message: str, tmp_path: Path) -> None:
    with pytest.raises(FileFault, match=message) as fault:
        read_json(tmp_path / "a.json", text)
    assert fault.value.line == line


@given(st.binary(max_size=200) | st.text("{}[]&*<:-? \n!|>'\"#a1,%@`", max_size=60).map(str.encode))
def test_any_bytes_are_a_document_or_a_fault_of_their_file(data: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = written(Path(folder), data)
        assert path_of(path) == path


def path_of(path: Path) -> Path:
    try:
        return read_yaml(path).path
    except FileFault as fault:
        return fault.path
