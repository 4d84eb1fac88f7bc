"""Store files and files of tuples: every form that OpenFGA's command line takes, and a fault with its place for everything else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fgacore import Tuple
from fgacore.cli.store_file import Store, read_store
from fgacore.store.faults import FileFault

MODEL = "model: |\n  model\n    schema 1.1\n  type user\n"  # four lines
ANNE = Tuple("user:anne", "viewer", "doc:1")


def store(folder: Path, text: str, *, allow_external_files: bool = False, **files: str) -> Store:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_text(content)
    (folder / "store.fga.yaml").write_text(text)
    return read_store(folder / "store.fga.yaml", allow_external_files=allow_external_files)


def test_every_part_of_a_store_is_read(tmp_path: Path) -> None:
    found = store(
        tmp_path,
        MODEL
        + """
name: all
tuples: [{user: "user:anne", relation: viewer, object: "doc:1"}]
tuple_file: a.yaml
tuple_files: [./b.json, c.csv]
tests:
  - name: first
    description: of them
    tuple_files: [d.jsonl]
    tuples: [{user: "user:anne", relation: viewer, object: "doc:6"}]
    check:
      - user: user:anne
        object: doc:1
        context: {at: 2023-01-01}
        assertions: {viewer: true, editor: no}
      - users: [user:a, user:b]
        objects: [doc:1, doc:2]
        assertions:
          viewer: false
    list_objects:
      - {user: "user:anne", type: doc, context: {x: 1}, assertions: {viewer: ["doc:1"], editor: []}}
    list_users:
      - {object: "doc:1", user_filter: [{type: user}, {type: group, relation: member}], assertions: {viewer: {users: ["user:anne"]}}}
  - check: [{user: "user:anne", object: "doc:1", assertions: {viewer: true}}]
""",
        a_yaml="- {user: 'user:anne', relation: viewer, object: 'doc:2'}",
        b_json='[{"user": "user:anne", "relation": "viewer", "object": "doc:3"}]',
        c_csv="user_type,user_id,relation,object_type,object_id\nuser,anne,viewer,doc,4\n",
        d_jsonl='{"user": "user:anne", "relation": "viewer", "object": "doc:5"}',
    )
    assert (found.model, found.model_line) == ("model\n  schema 1.1\ntype user\n", 2)
    assert [placed.tuple.object for placed in found.tuples] == ["doc:1", "doc:2", "doc:3", "doc:4"]
    first, second = found.tests
    assert (first.name, second.name) == ("first", "test 2")
    assert [placed.tuple.object for placed in first.tuples] == ["doc:6", "doc:5"]
    assert [(str(assertion), assertion.expected, assertion.context, assertion.line) for assertion in first.assertions] == [
        ("check user:anne viewer doc:1", True, {"at": "2023-01-01"}, 16),
        ("check user:anne editor doc:1", False, {"at": "2023-01-01"}, 16),
        ("check user:a viewer doc:1", False, None, 20),
        ("check user:a viewer doc:2", False, None, 20),
        ("check user:b viewer doc:1", False, None, 20),
        ("check user:b viewer doc:2", False, None, 20),
        ("list_objects user:anne viewer doc", ("doc:1",), {"x": 1}, 25),
        ("list_objects user:anne editor doc", (), {"x": 1}, 25),
        ("list_users user,group#member viewer doc:1", ("user:anne",), None, 27),
    ]


LIST_USERS = "tests:\n- list_users:\n  - {object: 'doc:1', "
CHECK = MODEL + "tests:\n- name: t\n  check:\n  - "
FAULTY = [
    ("", 1, "the store is not a mapping"),
    ("- a\n", 1, "the store is not a mapping"),
    ("name: x\n", 1, "no `model`"),
    (MODEL + "model_file: m.fga\n", 1, "both a `model` and a `model_file`"),
    (MODEL + "test: []\n", 1, "unknown key `test`"),
    (MODEL + "1: x\n", 1, "unknown key"),
    (MODEL + "tests: {}\n", 1, "`tests` that is not a list"),
    (MODEL + "tests: [x]\n", 1, "test 1 is not a mapping"),
    (MODEL + "tests:\n- name: t\n  checks: []\n", 6, "unknown key `checks`"),
    (MODEL + "tests:\n- name: 7\n", 6, "`name` that is not a text"),
    (MODEL + "tuples: {}\n", 1, "`tuples` that is not a list"),
    (MODEL + "tuples:\n- {user: 'user:anne', relation: viewer}\n", 6, "no `object`"),
    (MODEL + "tuple_files: a.yaml\n", 1, "`tuple_files` that is not a list"),
    (MODEL + "tuple_files: []\n", 1, "`tuple_files` that is not a list of texts"),
    (MODEL + "tuple_file: nothing.yaml\n", 1, "not there"),
    ("model: 7\n", 1, "`model` that is not a text"),
    (CHECK + "{object: 'doc:1', assertions: {viewer: true}}\n", 8, "no `user` and no `users`"),
    (CHECK + "{user: 'user:a', users: ['user:a'], object: 'doc:1', assertions: {viewer: true}}\n", 8, "both `user` and `users`"),
    (CHECK + "{users: [], object: 'doc:1', assertions: {viewer: true}}\n", 8, "`users` that is not a list of texts"),
    (CHECK + "{user: 'user:a', objects: ['doc:1', 2], assertions: {viewer: true}}\n", 8, "`objects` that is not a list of texts"),
    (CHECK + "{user: 'user:a', object: 'doc:1'}\n", 8, "no `assertions`"),
    (CHECK + "{user: 'user:a', object: 'doc:1', assertions: {}}\n", 8, "no `assertions`"),
    (CHECK + "{user: 'user:a', object: 'doc:1', assertions: [viewer]}\n", 8, "`assertions` that is not a mapping"),
    (CHECK + "{user: 'user:a', object: 'doc:1', assertions: {viewer: 1}}\n", 8, "neither true nor false"),
    (CHECK + "{user: 'user:a', object: 'doc:1', assertions: {viewer: maybe}}\n", 8, "neither true nor false"),
    (CHECK + "{user: 'user:a', object: 'doc:1', assertions: {viewer: null}}\n", 8, "neither true nor false"),
    (CHECK + "{user: 'user:a', object: 'doc:1', assertions: {~: true}}\n", 8, "no `assertions` of relations"),
    (CHECK + "{user: 'user:a', object: 'doc:1', context: [], assertions: {viewer: true}}\n", 8, "`context` that is not a mapping"),
    (MODEL + "tests:\n- list_objects:\n  - {user: 'user:a', type: doc, assertions: {viewer: yes}}\n", 7, "not a list of objects"),
    (MODEL + LIST_USERS + "user_filter: [{type: user}], assertions: {viewer: {users: [1]}}}\n", 7, "not a list of users"),
    (MODEL + LIST_USERS + "user_filter: [{type: user}], assertions: {viewer: ['user:a']}}\n", 7, "an assertion is not a mapping"),
    (MODEL + LIST_USERS + "assertions: {viewer: {users: []}}}\n", 7, "a list of users has no `user_filter`"),
    (MODEL + LIST_USERS + "user_filter: [], assertions: {viewer: {users: []}}}\n", 7, "a list of users has no `user_filter`"),
]


@pytest.mark.parametrize(("text", "line", "message"), FAULTY)
def test_what_is_no_store_is_a_fault_with_its_line(text: str, line: int, message: str, tmp_path: Path) -> None:
    with pytest.raises(FileFault, match=message) as fault:
        store(tmp_path, text)
    assert (fault.value.path, fault.value.line) == (tmp_path / "store.fga.yaml", line)


def test_lists_that_multiply_are_bounded(tmp_path: Path) -> None:
    many = ", ".join(f"'x:{number}'" for number in range(1001))
    with pytest.raises(FileFault, match="more than 1,000,000 assertions"):
        store(tmp_path, CHECK + f"{{users: [{many}], objects: [{many}], assertions: {{viewer: true}}}}\n")


def test_files_are_found_beside_the_store_wherever_it_is_asked_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "m.fga").write_text("model\n  schema 1.1\ntype user\n")
    monkeypatch.chdir("/")
    assert store(tmp_path, "model_file: ./below/../below/m.fga\n").model == tmp_path / "below" / "m.fga"


@pytest.mark.parametrize("key", ["tuple_file", "model_file"])
@pytest.mark.parametrize(
    "name", ["../secret.yaml", "{outside}", "link.yaml", "linked/secret.yaml", "below/../../secret.yaml", "linked/../secret.yaml"]
)
def test_files_outside_the_folder_are_refused_unless_allowed(name: str, key: str, tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "folder", tmp_path / "elsewhere"
    (folder / "below").mkdir(parents=True)
    elsewhere.mkdir()
    for outside in (elsewhere / "secret.yaml", tmp_path / "secret.yaml"):
        outside.write_text("- {user: 'user:anne', relation: viewer, object: 'doc:1'}")
    (folder / "link.yaml").symlink_to(outside)
    (folder / "linked").symlink_to(elsewhere)
    text = f"{'' if key == 'model_file' else MODEL}{key}: {name.format(outside=outside)}\n"
    with pytest.raises(FileFault, match="outside its folder"):
        store(folder, text)
    found = store(folder, text, allow_external_files=True)
    if key == "model_file":
        assert found.model == (elsewhere if name == "linked/secret.yaml" else tmp_path) / "secret.yaml"
    else:
        assert [placed.tuple for placed in found.tuples] == [ANNE]


@pytest.mark.parametrize("name", ["pipe.yaml", "folder", "loop.yaml", "'no\\0name'", "/dev/zero"])
def test_only_plain_files_can_be_named(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    with pytest.raises(FileFault, match="names a file that"):
        store(tmp_path, MODEL + f"tuple_file: {name}\n", allow_external_files=True)
