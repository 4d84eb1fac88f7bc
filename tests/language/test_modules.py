"""Models from files: modules joined, faults with their file, and no file from elsewhere."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from fgacore import language, limits
from fgacore.errors import LimitError, RequestError
from fgacore.language.modules import read_module_list
from language.faults import HEADER, issues

CORE = "module core\ntype user\ntype group\n  relations\n    define member: [user]\n"
WIKI = "module wiki\ntype page\n  relations\n    define reader: [user, group#member]\nextend type group\n  relations\n    define admin: [user]\n"


def folder(at: Path, **files: str) -> Path:
    """A folder with an `fga.mod` that lists these files, in their order; `_` in a name is a `/`."""
    names = [name.replace("_", "/") + ".fga" for name in files]
    for name, text in zip(names, files.values(), strict=True):
        (at / name).parent.mkdir(exist_ok=True)
        (at / name).write_text(text)
    return listing(at, *names)


def listing(at: Path, *names: str) -> Path:
    (at / "fga.mod").write_text("schema: '1.2'\ncontents:\n" + "".join(f"  - {json.dumps(name)}\n" for name in names))
    return at / "fga.mod"


def test_modules_are_one_model(tmp_path: Path) -> None:
    path = folder(tmp_path, core=CORE, wiki_pages=WIKI)
    model = language.load_modules(path)
    assert (model.schema, list(model.types)) == ("1.2", ["user", "group", "page"])
    member, admin = model.types["group"].relations.values()
    assert (member.module, member.file, admin.module, admin.file) == ("", "", "wiki", "wiki/pages.fga")
    assert (model.types["group"].module, model.types["page"].file) == ("core", "wiki/pages.fga")
    assert language.from_json(language.to_json(model)) == model
    assert language.load_modules(tmp_path) == language.read_model(path) == language.load(path) == language.read_model(tmp_path) == model


def test_order_of_the_files_does_not_matter_to_the_meaning(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    assert language.load_modules(folder(one, a=CORE, b=WIKI)).types["page"] == language.load_modules(folder(two, b=WIKI, a=CORE)).types["page"]


@pytest.mark.parametrize(
    ("other", "fault"),
    [
        ("module b\ntype user\n", ("duplicated_error", "b.fga", 2, 6)),
        ("module b\nextend type group\n  relations\n    define member: [user]\n", ("duplicated_error", "b.fga", 4, 12)),
        ("module b\nextend type nobody\n", ("missing_definition", "b.fga", 2, 13)),
        ("module b\ntype doc\n  relations\n    define r [user]\n", ("syntax_error", "b.fga", 4, 14)),
        ("module b\ntype doc\n  relations\n    define r: [bot]\n", ("invalid_type", "b.fga", 4, 16)),
        ("module b\nextend type group\n  relations\n    define r: missing\n", ("missing_definition", "b.fga", 4, 15)),
        ("module b\ntype this\n", ("reserved_type_keywords", "b.fga", 2, 6)),
        (HEADER, ("not_a_module", "b.fga", 1, 1)),
        ("", ("syntax_error", "b.fga", 1, 1)),
    ],
)
def test_fault_of_a_module_is_told_with_its_file(tmp_path: Path, other: str, fault: tuple[str, str, int, int]) -> None:
    found = issues(language.load_modules, folder(tmp_path, a=CORE, b=other))
    assert [(issue.code, issue.file, issue.line, issue.column) for issue in found] == [fault]


def test_faults_of_all_modules_are_told_in_one_run(tmp_path: Path) -> None:
    condition = "condition c(a: int) { a > 1 }\n"
    path = folder(tmp_path, a=CORE + condition, b="module b\ntype user\n" + condition, c="module c\nextend type no\n")
    found = issues(language.load_modules, path, strict=True)
    assert [(issue.code, issue.file) for issue in found] == [
        ("duplicated_error", "b.fga"),
        ("duplicated_error", "b.fga"),
        ("missing_definition", "c.fga"),
        ("condition_not_used", "a.fga"),
    ]


def test_modules_are_together_no_longer_than_one_model(tmp_path: Path) -> None:
    half = "#" * (limits.MODEL_BYTES_MAX // 2)
    with pytest.raises(LimitError, match="together"):
        language.load_modules(folder(tmp_path, a=CORE + half, b="module b\n" + half))


def test_bounds_hold_over_all_modules(tmp_path: Path) -> None:
    half = limits.MODEL_TYPES_MAX // 2 + 1
    texts = {module: f"module {module}\n" + "".join(f"type {module}{n}\n" for n in range(half)) for module in "ab"}
    with pytest.raises(LimitError, match="MODEL_TYPES_MAX"):
        language.load_modules(folder(tmp_path, **texts))


@pytest.mark.parametrize(
    "name",
    [
        "../secret.fga",
        "sub/../../secret.fga",
        "sub/../core.fga",
        "/etc/secret.fga",
        "..\\secret.fga",
        "sub\\..\\..\\secret.fga",
        "C:\\secret.fga",
        "C:secret.fga",
        "\\\\host\\share\\secret.fga",
        "%2e%2e/secret.fga",
        "%2e%2e%2fsecret.fga",
        "%252e%252e%252fsecret.fga",
        "..%5csecret.fga",
        "core.txt",
        "core.fga/",
        "core.fga\n",
        "a\0.fga",
        "",
    ],
)
def test_name_of_a_file_elsewhere_is_refused_where_it_is_listed(tmp_path: Path, name: str) -> None:
    inner = tmp_path / "inner"
    (inner / "sub").mkdir(parents=True)
    (tmp_path / "secret.fga").write_text(CORE)
    (inner / "core.fga").write_text(CORE)
    found = issues(language.load_modules, listing(inner, name))
    assert [(issue.code, issue.file, issue.line) for issue in found] == [("invalid_contents_item", "fga.mod", 3)]


def test_backslash_is_a_separator(tmp_path: Path) -> None:
    path = folder(tmp_path, sub_core=CORE)
    listing(tmp_path, "sub\\core.fga")
    assert language.load_modules(path).types["user"].file == "sub/core.fga"


def test_link_out_of_the_folder_is_refused_and_one_inside_is_followed(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "secret.fga").write_text(CORE)
    (inner / "real.fga").write_text(CORE)
    (inner / "good.fga").symlink_to("real.fga")
    (inner / "bad.fga").symlink_to(tmp_path / "secret.fga")
    (inner / "up").symlink_to(tmp_path)
    assert "user" in language.load_modules(listing(inner, "good.fga")).types
    found = issues(language.load_modules, listing(inner, "bad.fga", "up/secret.fga"))
    assert [(issue.code, issue.line) for issue in found] == [("module_not_readable", 3), ("module_not_readable", 4)]
    assert all("outside" in issue.message for issue in found)


def test_what_is_no_file_is_told_where_it_is_listed(tmp_path: Path) -> None:
    (tmp_path / "folder.fga").mkdir()
    (tmp_path / "loop.fga").symlink_to("loop.fga")
    os.mkfifo(tmp_path / "pipe.fga")
    path = listing(tmp_path, "none.fga", "folder.fga", "loop.fga", "pipe.fga", "a/b.fga")
    found = issues(language.load_modules, path)
    assert [(issue.code, issue.line, issue.symbol) for issue in found] == [
        ("module_not_readable", line, name) for line, name in enumerate(["none.fga", "folder.fga", "loop.fga", "pipe.fga", "a/b.fga"], start=3)
    ]


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("", [("schema_version_required", 1, 1), ("syntax_error", 1, 1)]),
        ("schema: '1.2'\n", [("syntax_error", 1, 1)]),
        ("contents: []\n", [("schema_version_required", 1, 1)]),
        ("schema: 1.2\ncontents: []\n", [("syntax_error", 1, 9)]),
        ("schema: '1.1'\ncontents: []\n", [("invalid_schema", 1, 9)]),
        ("schema: '1.2'\ncontents: a.fga\n", [("syntax_error", 2, 11)]),
        ("schema: '1.2'\ncontents: {a: b}\n", [("syntax_error", 2, 11)]),
        ("schema: ['1.2']\ncontents: []\n", [("syntax_error", 1, 9)]),
        ("schema: '1.2'\ncontents: [1, true, null, [a.fga], {b.fga: c}]\n", [("syntax_error", 2, column) for column in (12, 15, 21, 27, 36)]),
        ("schema: '1.2'\ncontents: [a.fga, b.fga, a.fga]\n", [("invalid_contents_item", 2, 26)]),
        ("schema: '1.2'\nschema: '1.2'\n", [("syntax_error", 2, 1)]),
        ("? [a]\n: b\n", [("syntax_error", 1, 3)]),
        ("- schema\n", [("syntax_error", 1, 1)]),
        ("schema\n", [("syntax_error", 1, 1)]),
        ("schema: '1.2'\ncontents: &a [*a]\n", [("syntax_error", 2, 15)]),
        ("a: &a [x, x]\nb: [*a, *a]\n", [("syntax_error", 2, 5)]),
        ("schema: '1.2'\n---\ncontents: []\n", [("syntax_error", 2, 1)]),
        ("schema: '1.2\n", [("syntax_error", 2, 1)]),
        ("schema: !!python/object/apply:os.system ['true']\ncontents: []\n", [("syntax_error", 1, 9)]),
    ],
)
def test_fault_of_a_module_list_is_told_at_its_place(text: str, places: list[tuple[str, int, int]]) -> None:
    assert [(issue.code, issue.line, issue.column) for issue in issues(read_module_list, text)] == places


def test_module_list_is_read_with_places_and_passes_over_what_it_does_not_know() -> None:
    listed = read_module_list("# ours\nowner: {name: [x, {y: z}]}\nschema: \"1.2\"\ncontents:\n- a.fga\n- 'b/c.fga'\n")
    assert (listed.schema, listed.schema_position) == ("1.2", (3, 9))
    assert listed.contents == (("a.fga", (5, 3)), ("b/c.fga", (6, 3)))


@pytest.mark.parametrize("text", ["schema: '\0'", "schema: '\ud800'", "[" * 500_000, "- " * 250_000, "{a: " * 100_000, "a: &a" + " &a" * 100_000])
def test_hostile_yaml_is_a_fault_like_any_other(text: str) -> None:
    assert {issue.code for issue in issues(read_module_list, text)} <= {"syntax_error", "schema_version_required"}
    assert issues(read_module_list, text) != []


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("#" * (limits.MODEL_BYTES_MAX + 1), "MODEL_BYTES_MAX"),
        ("schema: '1.2'\ncontents:\n" + "".join(f"- f{n}.fga\n" for n in range(limits.MODULE_FILES_MAX + 1)), "MODULE_FILES_MAX"),
    ],
    ids=["bytes", "files"],
)
def test_module_list_over_a_bound_is_refused_by_its_name(text: str, bound: str) -> None:
    with pytest.raises(LimitError, match=bound):
        read_module_list(text)


def test_file_is_read_by_what_it_is_called(tmp_path: Path) -> None:
    text = HEADER + "type doc\n  relations\n    define r: [user]\n"
    model = language.parse(text)
    (tmp_path / "m.fga").write_text(text)
    (tmp_path / "m.json").write_text(json.dumps(language.to_json(model)))
    (tmp_path / "bom.fga").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert [language.read_model(tmp_path / name) for name in ("m.fga", "m.json", "bom.fga")] == [model] * 3


@pytest.mark.parametrize(
    ("name", "data", "fault"),
    [
        ("m.fga", b"model\n  schema 1.1\ntype 1\n", ("syntax_error", 3, 6)),
        ("m.fga", HEADER.encode() + b"type self\n", ("reserved_type_keywords", 4, 6)),
        ("m.json", b'{\n"id": }', ("syntax_error", 2, 7)),
        ("m.json", b'{"schema_version": "1.1", "type_definitions": [{"type": "self"}]}', ("reserved_type_keywords", 0, 0)),
        ("m.fga", b"model\n  schema \xff", ("syntax_error", 2, 10)),
    ],
)
def test_fault_in_a_file_is_told_with_its_name(tmp_path: Path, name: str, data: bytes, fault: tuple[str, int, int]) -> None:
    (tmp_path / name).write_bytes(data)
    found = issues(language.read_model, tmp_path / name)
    assert [(issue.code, issue.line, issue.column) for issue in found] == [fault]
    assert found[0].file == name


def test_file_that_cannot_be_read_is_the_fault_of_the_caller(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.fga")
    for path in (tmp_path / "none.fga", tmp_path, tmp_path / "pipe.fga", Path("a\0b")):
        with pytest.raises(RequestError, match="cannot read"):
            language.read_model(path)


def test_file_over_the_bound_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.fga").write_bytes(b"\n" * (limits.MODEL_BYTES_MAX + 1))
    with pytest.raises(LimitError, match="MODEL_BYTES_MAX"):
        language.read_model(tmp_path / "m.fga")
