"""Import and export: every form of a tuple in every format, there and back; bad lines told by their place; files whole or not at all."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fgacore import FgaError, RequestError, StoreError, Tuple
from fgacore.errors import InternalError
from fgacore.limits import IMPORT_ERRORS_MAX, IMPORT_LINE_BYTES_MAX, IMPORT_LOT_BYTES
from fgacore.store import documents, transfer
from fgacore.store.faults import FileFault
from fgacore.store.lines import TextLot
from fgacore.store.transfer import FORMATS, read_file, read_tuples, write_tuples
from fgacore.tuples import Triple

ANNE = Tuple("user:anne", "viewer", "doc:1")
TUPLES = [
    ANNE,
    Tuple("group:eng#member", "viewer", "doc:2"),
    Tuple("user:bob", "viewer", "doc:1", "office", {"hours": [9, 17], "since": "2023-01-01T00:00:00Z"}),
    Tuple("user:eve", "viewer", "doc:1", "office", None),
]
AS_FILES = {
    "t.yaml": """
- user: user:anne
  relation: viewer
  object: doc:1
- {user: "group:eng#member", relation: viewer, object: "doc:2"}
- user: user:bob
  relation: viewer
  object: doc:1
  condition: {name: office, context: {hours: [9, 17], since: 2023-01-01T00:00:00Z}}
- {user: "user:eve", relation: viewer, object: "doc:1", condition: {name: office}}
""",
    "t.json": """[
{"user": "user:anne", "relation": "viewer", "object": "doc:1", "condition": null},
{"user": "group:eng#member", "relation": "viewer", "object": "doc:2"},
{"user": "user:bob", "relation": "viewer", "object": "doc:1",
 "condition": {"name": "office", "context": {"hours": [9, 17], "since": "2023-01-01T00:00:00Z"}}},
{"user": "user:eve", "relation": "viewer", "object": "doc:1", "condition": {"name": "office", "context": null}}]""",
    "t.jsonl": """{"user": "user:anne", "relation": "viewer", "object": "doc:1"}

{"user": "group:eng#member", "relation": "viewer", "object": "doc:2"}
{"user":"user:bob","relation":"viewer","object":"doc:1","condition":{"name":"office","context":{"hours":[9,17],"since":"2023-01-01T00:00:00Z"}}}
{"user": "user:eve", "relation": "viewer", "object": "doc:1", "condition": {"name": "office"}}
""",
    "t.csv": """user_type,user_id,user_relation,relation,object_type,object_id,condition_name,condition_context
user,anne,,viewer,doc,1,,
group,eng,member,viewer,doc,2,,
user,bob,,viewer,doc,1,office,"{""hours"": [9, 17], ""since"": ""2023-01-01T00:00:00Z""}"

user,eve,,viewer,doc,1,office,
""",
    "reordered.csv": """object_id, object_type, relation, user_id, user_type, condition_context, condition_name, user_relation
1,doc,viewer,anne,user,,,
2,doc,viewer,eng,group,,,member
1,doc,viewer,bob,user,"{""hours"": [9, 17], ""since"": ""2023-01-01T00:00:00Z""}",office,
1,doc,viewer,eve,user,,office,
""",
}


def as_tuple(item: Triple | Tuple) -> Tuple:
    return item if isinstance(item, Tuple) else Tuple(*item)


# ---- what OpenFGA's tools write ----


@pytest.mark.parametrize("name", AS_FILES)
def test_tuples_are_the_same_in_every_format(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(AS_FILES[name])
    assert [as_tuple(item) for item, _ in read_file(tmp_path / name)] == TUPLES


@pytest.mark.parametrize(("name", "lines"), [("t.yaml", [2, 5, 6, 10]), ("t.json", [0, 0, 0, 0]), ("t.jsonl", [1, 3, 4, 5]), ("t.csv", [2, 3, 4, 6])])
def test_tuples_know_their_lines(name: str, lines: list[int], tmp_path: Path) -> None:
    (tmp_path / name).write_text(AS_FILES[name])
    assert [line for _, line in read_file(tmp_path / name)] == lines


@pytest.mark.parametrize(
    ("name", "text", "line", "message"),
    [
        ("t.txt", "x", 0, "no file of tuples"),
        ("t.yaml", "", 0, "not a list of tuples"),
        ("t.yaml", "- user: user:anne\n  relation: viewer\n", 1, "no `object`"),
        ("t.yaml", "- {user: 'user:anne', relation: viewer, object: 7}\n", 1, "`object` that is not a text"),
        ("t.yaml", "\n- {user: 'user:anne', relation: viewer, object: 'doc:1', conditon: {name: x}}\n", 2, "unknown key `conditon`"),
        ("t.yaml", "- {user: 'user:anne', relation: viewer, object: 'doc:1', condition: {context: {}}}\n", 1, "no `name`"),
        ("t.yaml", "- {user: 'user:anne', relation: viewer, object: 'doc:1', condition: [office]}\n", 1, "neither a text nor a mapping"),
        ("t.yaml", "- user:anne\n", 1, "a tuple is not a mapping"),
        ("t.yaml", "- a\n---\n- b\n", 1, "a tuple is not a mapping"),
        ("t.yaml", "[]\n---\n- b\n", 2, "another document"),
        ("t.yaml", "&all [{user: *all}]", 1, "undefined alias"),
        ("t.yaml", "- {user: 'user:anne', relation: viewer, object: 'doc:1', context: {x: 1}}\n", 1, "a `context` and no `condition`"),
        ("t.yaml", "- {user: 'user:anne', subject: 'user:anne', relation: viewer, object: 'doc:1'}\n", 1, "both a `subject` and a `user`"),
        ("t.yaml", "- {user: 'u:a', relation: r, object: 'd:1', condition: {name: c, context: {}}, context: {}}\n", 1, "two contexts"),
        ("t.yaml", "- {user: 'u:a', relation: r, object: 'd:1', expires_at: 2026-01-05}\n", 1, "`expires_at` that is not a time"),
        ("t.yaml", "- {user: 'u:a', relation: r, object: 'd:1', expires_at: 7}\n", 1, "`expires_at` that is not a text"),
        ("t.json", "{}", 0, "not a list of tuples"),
        ("t.jsonl", '\n{"user": "user:anne"\n', 2, "is not JSON"),
        ("t.jsonl", "\n[]\n", 2, "a tuple is not a mapping"),
        ("t.csv", "", 1, "no column `subject`"),
        ("t.csv", "user_type,user_id,relation,object_type\n", 1, "no column `object_id`"),
        ("t.csv", "user_type,user_id,relation,object_type,object_id,color\n", 1, "column `color`"),
        ("t.csv", "user_type,user_id,relation,object_type,object_id,user_id\n", 1, "column `user_id`"),
        ("t.csv", "user_type,user_id,relation,object_type,object_id\nuser,anne,viewer,doc\n", 2, "4 values in a row under 5"),
        ("t.csv", 'user_type,user_id,relation,object_type,object_id\nuser,"anne,viewer,doc,1\n', 2, "quote that is not closed"),
        ("t.csv", "user_type,user_id,relation,object_type,object_id,subject\n", 1, "column `subject`"),
        ("t.csv", "subject,relation\n", 1, "no column `object`"),
        ("t.csv", "subject,relation,object,context\nu:a,r,d:1,{}\n", 2, "a `context` without a `condition`"),
        ("t.csv", "subject,relation,object,expires_at\nu:a,r,d:1,soon\n", 2, "`expires_at` that is not a time"),
        ("t.csv", "user_type,user_id,relation,object_type,object_id,condition_context\nuser,a,viewer,doc,1,{}\n", 2, "without a `condition_name`"),
        (
            "t.csv",
            "user_type,user_id,relation,object_type,object_id,condition_name,condition_context\nuser,a,viewer,doc,1,office,x\n",
            2,
            "is not JSON",
        ),
        (
            "t.csv",
            "user_type,user_id,relation,object_type,object_id,condition_name,condition_context\nuser,a,viewer,doc,1,office,[]\n",
            2,
            "not an object",
        ),
    ],
)
def test_what_is_no_file_of_tuples_is_a_fault_with_its_line(name: str, text: str, line: int, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(FileFault, match=message) as fault:
        list(read_file(tmp_path / name))
    assert (fault.value.path, fault.value.line) == (tmp_path / name, line)


def test_csv_with_headers_alone_is_a_file_without_tuples(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("user_type,user_id,relation,object_type,object_id\n")
    assert list(read_file(tmp_path / "t.csv")) == []


# ---- there and back ----

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8) | st.sampled_from(
    [
        "yes",
        "1e3",
        "null",
        "~",
        "<<",
        "=",
        "2026-01-05",
        "a: b",
        "# no comment",
        "\u2028",
        "\x85",
        "\ufeff",
        "\ufffe",
        "\x7f",
        '"',
        "'",
        "\\",
        "k" * 2000,
        "\r\n",
    ]
)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | texts
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8)
moments = st.datetimes(datetime(1000, 1, 2), datetime(9999, 12, 30), timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]))  # noqa: DTZ001
names = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs"]), min_size=1, max_size=10)


@st.composite
def stored(draw: st.DrawFn) -> Tuple:
    condition = draw(st.none() | st.sampled_from(["office", "Übung"]))
    context = None if condition is None else draw(st.none() | st.dictionaries(texts, values, min_size=1, max_size=3))
    return Tuple(draw(names), draw(names), draw(names), condition, context, draw(st.none() | moments))


def same(value: Any) -> Any:
    """A value with its kinds: 1 is not 1.0, and 0.0 is not -0.0."""
    if isinstance(value, dict):
        return {key: same(item) for key, item in value.items()}
    return [same(item) for item in value] if isinstance(value, list) else (type(value), repr(value))


@pytest.mark.parametrize("format", FORMATS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(stored(), max_size=5))
def test_what_is_exported_is_imported_as_it_was(format: str, tmp_path: Path, tuples: list[Tuple]) -> None:
    path = tmp_path / f"t.{format}"
    assert write_tuples(path, None, tuples) == len(tuples)
    with read_tuples(path) as reader:
        found = [as_tuple(item) for lot in reader for item in (lot.items.triples() if isinstance(lot.items, TextLot) else lot.items)]
    assert found == tuples
    assert [same(item.context) for item in found] == [same(item.context) for item in tuples]
    assert all(item.expires_at is None or item.expires_at.tzinfo is UTC for item in found)


def test_an_export_has_no_more_than_it_needs_line_by_line(tmp_path: Path) -> None:
    expires = datetime(2026, 1, 5, 10, tzinfo=UTC)
    write_tuples(tmp_path / "t.jsonl", None, [ANNE, Tuple("user:b", "viewer", "doc:é", "office", {}, expires)])
    assert (tmp_path / "t.jsonl").read_text().splitlines() == [
        '{"subject": "user:anne", "relation": "viewer", "object": "doc:1"}',
        '{"subject": "user:b", "relation": "viewer", "object": "doc:é", "condition": "office", "expires_at": "2026-01-05T10:00:00Z"}',
    ]
    write_tuples(tmp_path / "t.csv", None, [ANNE])
    assert (tmp_path / "t.csv").read_text() == "subject,relation,object,condition,context,expires_at\nuser:anne,viewer,doc:1,,,\n"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-05T10:00:00Z", datetime(2026, 1, 5, 10, tzinfo=UTC)),
        ("2026-01-05t10:00:00z", datetime(2026, 1, 5, 10, tzinfo=UTC)),
        ("2026-01-05T10:00:00+05:30", datetime(2026, 1, 5, 4, 30, tzinfo=UTC)),
        ("2026-01-05 10:00:00.5Z", datetime(2026, 1, 5, 10, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-01-05T10:00:00.000001000Z", datetime(2026, 1, 5, 10, 0, 0, 1, tzinfo=UTC)),
        ("2026-01-05T10:00:00.0000001Z", None),
        ("2026-01-05T10:00:00", None),
        ("2026-13-05T10:00:00Z", None),
        ("2026-01-05T10:00:60Z", None),
        ("0001-01-01T00:00:00+10:00", None),
        ("20260105T100000Z", None),
        ("٢٠٢٦-01-05T10:00:00Z", None),
    ],
)
def test_an_expiry_is_a_time_with_an_offset(text: str, moment: datetime | None) -> None:
    source = io.BytesIO(f'{{"subject": "user:a", "relation": "r", "object": "doc:1", "expires_at": "{text}"}}\n'.encode())
    if moment is None:
        with pytest.raises(RequestError, match=r"\(file\):1: .*expires_at"):
            next(read_tuples(source, "jsonl"))
    else:
        assert next(read_tuples(source, "jsonl")).items == [Tuple("user:a", "r", "doc:1", expires_at=moment)]


# ---- lots and places ----


def test_an_iterable_is_taken_in_lots_as_it_comes() -> None:
    taken = []

    def source() -> Iterator[Triple | Tuple]:
        for number in range(5):
            taken.append(number)
            yield ANNE if number == 3 else (f"user:{number}", "viewer", "doc:1")

    reader = read_tuples(source(), lot_tuples=2)
    assert next(reader).items == [("user:0", "viewer", "doc:1"), ("user:1", "viewer", "doc:1")]
    assert taken == [0, 1]
    lots = list(reader)
    assert [len(lot) for lot in lots] == [2, 1]
    assert [lots[0].items[1], lots[0].place(1), lots[1].place(0)] == [ANNE, "item 3", "item 4"]
    assert (reader.read, reader.share) == (5, None)


@pytest.mark.parametrize("format", [*FORMATS, "json"])
def test_every_item_has_its_place(format: str, tmp_path: Path) -> None:
    path = tmp_path / f"t.{format}"
    tuples = [Tuple("user:a", "viewer", f"doc:{number}", "office" if number == 2 else None) for number in range(4)]
    if format == "json":
        path.write_text('[{"user": "user:a", "relation": "viewer", "object": "doc:1"}]')
    else:
        write_tuples(path, None, tuples)
    places = [lot.place(index) for lot in read_tuples(path, lot_tuples=3) for index in range(len(lot))]
    first = {"csv": 2, "json": 0}.get(format, 1)
    assert places == ([f"{path}:{first + number}" for number in range(4)] if first else [str(path)])


def test_names_alone_are_not_made_objects(tmp_path: Path) -> None:
    write_tuples(tmp_path / "t.csv", None, [ANNE] * 3)
    (lot,) = read_tuples(tmp_path / "t.csv")
    assert isinstance(lot.items, TextLot)
    assert lot.place(2) == f"{tmp_path / 't.csv'}:4"


def test_lots_of_large_contexts_are_smaller() -> None:
    line = json_line(condition="office", context={"note": "x" * 30_000})
    lots = list(read_tuples(io.BytesIO(line * 1200), "jsonl"))
    assert sum(map(len, lots)) == 1200
    assert all(len(lot) * len(line) < IMPORT_LOT_BYTES + IMPORT_LINE_BYTES_MAX for lot in lots)
    assert len(lots) == 3


def json_line(**more: object) -> bytes:
    return (transfer.json_text({"subject": "user:a", "relation": "viewer", "object": "doc:1", **more}) + "\n").encode()


def test_how_much_has_been_read_is_known_of_a_file(tmp_path: Path) -> None:
    write_tuples(tmp_path / "t.jsonl", None, [ANNE] * 10_000)
    with read_tuples(tmp_path / "t.jsonl", lot_tuples=2500) as reader:
        shares = [reader.share for _ in reader]
        assert [share is not None and round(share, 1) for share in shares] == [0.3, 0.5, 0.8, 1.0] or shares == sorted(shares)  # type: ignore[type-var]
        assert shares[-1] == 1.0
    assert reader.share is None


# ---- what is wrong ----

BAD = {
    "jsonl": (json_line() + b"{}\n" + json_line() + b"\xff\n" + json_line() + b"x" * (IMPORT_LINE_BYTES_MAX + 9) + b"\n" + json_line(), [2, 4, 6], 4),
    "csv": (b"subject,relation,object\nuser:a,viewer\nuser:a,viewer,doc:1\n\0\n", [2, 4], 1),
    "yaml": (b"- " + json_line() + b"- {}\n- x\n- " + json_line(), [2, 3], 2),
    "json": (b'[{}, {"user": "user:a", "relation": "viewer", "object": "doc:1"}]', [0], 1),
}


@pytest.mark.parametrize("format", BAD)
def test_a_bad_line_stops_or_is_skipped_and_told(format: str, tmp_path: Path) -> None:
    data, bad, good = BAD[format]
    path = tmp_path / f"t.{format}"
    path.write_bytes(data)
    place = f"{path}:{bad[0]}: " if bad[0] else f"{path}: "
    with read_tuples(path) as reader, pytest.raises(RequestError) as error:
        list(reader)
    assert error.value.code == "invalid_file"
    assert error.value.message.startswith(place)
    with read_tuples(path, on_error="skip") as reader:
        assert sum(map(len, reader)) == good
    assert (reader.skipped, reader.read) == (len(bad), len(bad) + good)
    assert [message.startswith(f"{path}:{line}: " if line else f"{path}: ") for message, line in zip(reader.errors, bad, strict=True)] == [
        True
    ] * len(bad)


def test_of_very_many_faults_the_first_are_told_and_all_are_counted() -> None:
    reader = read_tuples(io.BytesIO(b"{}\n" * (IMPORT_ERRORS_MAX + 7)), "jsonl", on_error="skip")
    assert list(reader) == []
    assert (reader.skipped, len(reader.errors)) == (IMPORT_ERRORS_MAX + 7, IMPORT_ERRORS_MAX)


@pytest.mark.parametrize("on_error", ["stop", "skip"])
@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("t.csv", b"a,b\n", "column `a`"),
        ("t.yaml", b"a: 1\n", "not a list"),
        ("t.yaml", b"- [\n", "not YAML"),
        ("t.yaml", b"- \xff\n", "not UTF-8"),
        ("t.yaml", b'- "' + b"x" * (IMPORT_LINE_BYTES_MAX + 9) + b'"', "item longer than"),
        ("t.json", b"{}", "not a list"),
        ("t.json", b"[", "not JSON"),
        ("t.parquet", b"PAR1 is not all of it", "not Parquet"),
    ],
)
def test_what_is_no_file_of_its_format_is_an_error_either_way(name: str, data: bytes, why: str, on_error: Any, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with read_tuples(tmp_path / name, on_error=on_error) as reader, pytest.raises(RequestError, match=why) as error:
        list(reader)
    assert error.value.code == "invalid_file"


def test_what_the_engine_refuses_has_its_place_and_keeps_its_code() -> None:
    reader = read_tuples([("a", "b", "c")])
    with pytest.raises(RequestError, match=r"^item 0: no such type$") as error:
        reader.refuse("item 0", RequestError("no such type", code="type_not_found", index=0))
    assert error.value.code == "type_not_found"
    skipping = read_tuples([], on_error="skip")
    skipping.refuse("item 0", RequestError("no such type", code="type_not_found"))
    assert (skipping.skipped, skipping.errors) == (1, ["item 0: no such type"])
    with pytest.raises(InternalError):
        skipping.refuse("item 0", InternalError("ours"))


@pytest.mark.parametrize(
    ("source", "options", "code"),
    [
        ("nothing.csv", {}, "invalid_file"),
        ("", {}, "invalid_file"),
        ("a\0b.csv", {}, "invalid_file"),
        ("t.txt", {}, "invalid_file"),
        ("t", {"format": "xml"}, "invalid_file"),
        (b"t.csv", {}, "invalid_request"),
        (7, {}, "invalid_request"),
        (ANNE, {}, "invalid_request"),
        ([], {"format": "csv"}, "invalid_request"),
        ([], {"on_error": "ignore"}, "invalid_request"),
        (io.StringIO(), {"format": "csv"}, "invalid_request"),
        (io.BytesIO(), {}, "invalid_file"),
    ],
)
def test_what_is_no_source_is_refused(source: Any, options: dict[str, Any], code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RequestError) as error:
        list(read_tuples(source, **options))
    assert error.value.code == code


def test_only_plain_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    for path in (tmp_path / "pipe.csv", tmp_path):
        with pytest.raises(RequestError, match="not a plain file"):
            read_tuples(path, "csv")


def test_a_file_that_fails_while_it_is_read_is_told() -> None:
    class Failing(io.BytesIO):
        name = "disk.x"

        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

        readline = read  # type: ignore[assignment]

    for format in ("csv", "jsonl", "yaml", "json"):
        with pytest.raises(RequestError, match=r"disk\.x: cannot be read: Input/output error"):
            list(read_tuples(Failing(), format))


# ---- YAML of any length ----


def test_yaml_is_read_item_by_item(monkeypatch: pytest.MonkeyPatch) -> None:
    item = b"- {subject: 'user:a', relation: viewer, object: 'doc:1'} # " + b"x" * 400 + b"\n"
    monkeypatch.setattr(documents, "IMPORT_LINE_BYTES_MAX", 20_000)  # of one item and what is read ahead
    monkeypatch.setattr(documents, "NODES_MAX", 20)
    assert sum(map(len, read_tuples(io.BytesIO(item * 1000), "yaml"))) == 1000


def test_anchors_hold_over_the_items_of_a_list_and_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    first = b"- {subject: &s 'user:a', relation: &r viewer, object: &o 'doc:1'}\n"
    (lot,) = read_tuples(io.BytesIO(first + b"- {subject: *s, relation: *r, object: *o}\n"), "yaml")
    assert lot.items == [("user:a", "viewer", "doc:1")] * 2
    monkeypatch.setattr(documents, "NODES_MAX", 20)
    many = b"".join(b"- {subject: &s%d 'user:a', relation: viewer, object: 'doc:1'}\n" % number for number in range(30))
    with pytest.raises(RequestError, match="anchors for more than 20 values"):
        list(read_tuples(io.BytesIO(many), "yaml"))


def test_a_character_may_be_cut_by_what_is_read_at_once() -> None:
    name = "é" * 30_000
    (lot,) = read_tuples(io.BytesIO(f"- {{subject: 'user:a{name}', relation: viewer, object: 'doc:1'}}\n".encode()), "yaml")
    assert lot.items == [(f"user:a{name}", "viewer", "doc:1")]


# ---- Parquet ----


def test_parquet_of_others_is_read(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    moment = datetime(2026, 1, 5, 10, 0, 0, 250_000, tzinfo=UTC)
    columns = {
        "object": pa.array(["doc:1", "doc:2"], pa.large_string()),
        "relation": pa.array(["viewer", "viewer"]).dictionary_encode(),
        "subject": pa.array(["user:a", "user:b"]),
        "condition": pa.nulls(2),
        "expires_at": pa.array([None, moment], pa.timestamp("ns", "Europe/Berlin")),
    }
    pq.write_table(pa.table(columns), tmp_path / "ours.parquet")
    (lot,) = read_tuples(tmp_path / "ours.parquet")
    assert lot.items == [("user:a", "viewer", "doc:1"), Tuple("user:b", "viewer", "doc:2", expires_at=moment)]
    theirs = {"user_type": ["user"], "user_id": ["a"], "relation": ["viewer"], "object_type": ["doc"], "object_id": ["1"]}
    pq.write_table(pa.table(theirs), tmp_path / "theirs.parquet")
    (lot,) = read_tuples(tmp_path / "theirs.parquet")
    assert lot.items == [("user:a", "viewer", "doc:1")]


def test_parquet_with_other_columns_is_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for column, why in (
        ({"object": [1]}, "`object` that is not of texts"),
        ({"object": ["doc:1"], "color": ["red"]}, "`color`"),
        ({"object": ["doc:1"], "expires_at": pa.array([1], pa.timestamp("us"))}, "`expires_at` that is not of texts"),
        ({"object": ["doc:1"], "expires_at": pa.array([1], pa.timestamp("ns", "UTC"))}, "lose data"),
    ):
        pq.write_table(pa.table({"subject": ["user:a"], "relation": ["viewer"], **column}), tmp_path / "t.parquet")
        with pytest.raises(RequestError, match=why):
            list(read_tuples(tmp_path / "t.parquet"))


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t.parquet").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for call in (lambda: list(read_tuples(tmp_path / "t.parquet")), lambda: write_tuples(tmp_path / "t.parquet", None, [])):
        with pytest.raises(RequestError, match=r"fgacore\[arrow\]") as error:
            call()
        assert error.value.code == "extra_missing"


# ---- writing ----


def test_a_file_is_written_whole_or_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"

    def broken() -> Iterator[Tuple]:
        yield ANNE
        raise StoreError("gone", code="closed")

    for before in (None, "as it was"):
        if before is not None:
            path.write_text(before)
        with pytest.raises(StoreError):
            write_tuples(path, None, broken())
        assert [entry.name for entry in tmp_path.iterdir()] == ([] if before is None else ["t.jsonl"])
    assert path.read_text() == "as it was"
    assert write_tuples(path, None, [ANNE]) == 1
    assert list(tmp_path.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_a_link_points_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to("real.csv")
    write_tuples(tmp_path / "link.csv", None, [ANNE])
    assert (tmp_path / "link.csv").is_symlink()
    assert len((tmp_path / "real.csv").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("name", "format", "why"),
    [
        ("no/such/t.csv", None, "cannot be written"),
        ("t.txt", None, "ends in none of"),
        ("t.json", None, "ends in none of"),
        ("t.csv", "json", "one of"),
    ],
)
def test_what_cannot_be_written_is_told(name: str, format: str | None, why: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=why) as error:
        write_tuples(tmp_path / name, format, [ANNE])
    assert error.value.code == "invalid_file"
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(RequestError, match="not a plain file"):
        write_tuples(tmp_path / "folder.csv", None, [ANNE])


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(transfer.os, "fsync", full)
    with pytest.raises(StoreError, match="no room left") as error:
        write_tuples(tmp_path / "t.csv", None, [ANNE])
    assert error.value.code == "store_full"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_that_is_open_is_written_and_stays_open(format: str) -> None:
    file = io.BytesIO()
    assert write_tuples(file, format, [ANNE, ANNE]) == 2
    again: BinaryIO = io.BytesIO(file.getvalue())
    assert sum(map(len, read_tuples(again, format))) == 2


@given(st.binary(max_size=200), st.sampled_from([*FORMATS, "json"]))
def test_any_bytes_are_tuples_or_an_error(data: bytes, format: str) -> None:
    def read() -> str | int:
        try:
            return sum(map(len, reader))
        except FgaError as error:
            return error.code

    reader = read_tuples(io.BytesIO(data), format, on_error="skip")
    assert read() in (reader.read - reader.skipped, "invalid_file")
