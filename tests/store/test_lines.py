"""CSV read where it lies: the rows that any reader of CSV finds, whatever chunks they come in, and a fault with its line for each bad one."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgacore.limits import IMPORT_LINE_BYTES_MAX, IMPORT_LOT_BYTES
from fgacore.store.faults import FileFault
from fgacore.store.lines import CsvLines, TextLot

HEADER = ("subject", "relation", "object")
PATH = Path("t.csv")


class Dribble(io.BytesIO):
    """A file that gives at most `step` bytes at a time."""

    def __init__(self, data: bytes, step: int) -> None:
        super().__init__(data)
        self.step = step

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(self.step)


def lots(
    data: bytes, *, step: int = 1 << 30, lot_max: int = 200_000, names: Sequence[str] = HEADER
) -> tuple[list[TextLot | list[tuple[int, list[str]]]], list[str]]:
    """What a file is cut into, and its faults."""
    faults: list[str] = []
    lines = CsvLines(Dribble(data, step), PATH, lambda fault: faults.append(str(fault)), lot_max)
    if set(names) <= set(lines.header):
        lines.place(*map(lines.header.index, names))
    return list(lines), faults


def rows(data: bytes, **options: int) -> list[tuple[int, list[str]]]:
    """Every row with its line, in order; a TextLot's as lists too."""
    found = []
    for lot in lots(data, **options)[0]:
        found += [(lot.line(i), list(row)) for i, row in enumerate(lot.triples())] if isinstance(lot, TextLot) else lot
    return found


def of(*lines: str, end: str = "\n", columns: str = "subject,relation,object") -> bytes:
    return end.join([columns, *lines, ""]).encode()


PLAIN = [["user:anne", "viewer", "doc:1"], ["team:x#member", "viewer", "doc:2"], ["user:*", "editor", "doc:3"]]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("quoted", [False, True])
@pytest.mark.parametrize("last", [True, False])
def test_plain_rows_come_as_lots_of_texts_in_every_dialect(end: str, mark: bytes, quoted: bool, last: bool) -> None:
    text = mark + of(*(",".join(f'"{cell}"' if quoted else cell for cell in row) for row in PLAIN), end=end)
    text = text if last else text.rstrip(b"\r\n")
    found, faults = lots(text)
    assert [type(lot) for lot in found] == [TextLot] * (1 if last else 2)  # that nothing follows the last row is known only at the end
    assert rows(text) == list(enumerate(PLAIN, start=2))
    assert faults == []


def test_columns_are_found_by_their_header_and_empty_others_do_not_slow_it() -> None:
    (lot,), _ = lots(of('doc:1,,user:anne,"",viewer', columns="object,condition,subject,context,relation"))
    assert isinstance(lot, TextLot)
    assert lot.triples() == [("user:anne", "viewer", "doc:1")]


@pytest.mark.parametrize("step", [1, 2, 7, 1 << 20])
def test_rows_keep_their_order_and_lines_across_lots_of_both_kinds(step: int) -> None:
    columns = "subject,relation,object,condition"
    many = [f"user:{i},viewer,doc:{i},{'office' if i in (3, 4, 9000) else ''}" for i in range(20_000)]
    found, faults = lots(of(*many, columns=columns), step=step)
    assert faults == []
    kinds = [type(lot) for lot in found]
    assert kinds[:3] == ([TextLot, list, TextLot] if step >= 1 << 20 else kinds[:3])
    assert list in kinds
    at = 0
    for lot in found:
        for i in range(len(lot)):
            line, row = (lot.line(i), lot.triple(i)) if isinstance(lot, TextLot) else lot[i]
            assert (line, list(row[:3])) == (at + 2, [f"user:{at}", "viewer", f"doc:{at}"])
            assert isinstance(lot, TextLot) or row[3] == ("office" if at in (3, 4, 9000) else "")
            at += 1
    assert at == 20_000


def test_a_lot_has_at_most_as_many_rows_as_were_asked_for() -> None:
    text = of(*(f"user:{i},viewer,doc:{i}" for i in range(10)))
    assert [len(lot) for lot in lots(text, lot_max=4)[0]] == [4, 4, 2]
    assert [len(lot) for lot in lots(text, lot_max=4, names=["nothing"])[0]] == [4, 4, 2]


def test_rows_as_texts_come_in_lots_of_bounded_size() -> None:
    context = "x" * 900_000
    found, _ = lots(of(*[f"user:a,viewer,doc:1,{context}"] * 40, columns="subject,relation,object,condition"))
    assert max(sum(len(cell) for _, row in lot for cell in row) for lot in found if isinstance(lot, list)) < IMPORT_LOT_BYTES + IMPORT_LINE_BYTES_MAX
    assert sum(map(len, found)) == 40


def test_texts_outlive_the_reader() -> None:
    lines = CsvLines(Dribble(of(*(f"user:{i},viewer,doc:{i}" for i in range(1000))), 100), PATH, print)
    lines.place(0, 1, 2)
    kept = list(lines)
    del lines
    assert [row for lot in kept for row in lot.triples()] == [(f"user:{i}", "viewer", f"doc:{i}") for i in range(1000)]


def test_empty_lines_are_passed_over_and_counted() -> None:
    assert rows(b"\n\r\nsubject,relation,object\n\nuser:a,viewer,doc:1\n\r\n\nuser:b,viewer,doc:1\n\n") == [
        (5, ["user:a", "viewer", "doc:1"]),
        (8, ["user:b", "viewer", "doc:1"]),
    ]


def test_a_field_may_have_lines_commas_and_quotes_within_quotes() -> None:
    text = b'subject,relation,object,context\n"a ""b""\r\nc,d",r,o,\nu,r,"o","x\n\ny"\nu,r,o,z'
    assert rows(text) == [(2, ['a "b"\r\nc,d', "r", "o", ""]), (4, ["u", "r", "o", "x\n\ny"]), (7, ["u", "r", "o", "z"])]


def test_a_quote_within_a_bare_field_is_text() -> None:
    assert rows(of('user:a"b,viewer,doc:1"')) == [(2, ['user:a"b', "viewer", 'doc:1"'])]


GOOD = "user:good,viewer,doc:1"
FAULTS = [
    (b"user:a,viewer", "2 values in a row under 3 columns"),
    (b"user:a,viewer,doc:1,more", "4 values in a row under 3 columns"),
    (b",".join([b"x"] * 100), "100 values in a row under 3 columns"),
    (b"user:a\0,viewer,doc:1", "NUL"),
    (b'"user:a\0",viewer,doc:1', "NUL"),
    (b"user:a,viewer\rdoc:1", "carriage return"),
    (b'"user:a"x,viewer,doc:1', "behind a closing quote"),
    (b'"user:a" ,viewer,doc:1', "behind a closing quote"),
    (b"user:\xff,viewer,doc:1", "not UTF-8"),
    (b"user:\xc3,viewer,doc:1", "not UTF-8"),
    (b"user:\xed\xa0\x80,viewer,doc:1", "not UTF-8"),  # a surrogate
    (b"user:\xc0\xaf,viewer,doc:1", "not UTF-8"),  # longer than it must be
    (b"user:\xf4\x90\x80\x80,viewer,doc:1", "not UTF-8"),  # beyond the last character
    (b'user:a,viewer,"doc:1', "quote that is not closed"),
    (b"user:a,viewer,doc:" + b"1" * IMPORT_LINE_BYTES_MAX, "longer than"),
]


@pytest.mark.parametrize(("bad", "why"), FAULTS)
@pytest.mark.parametrize("step", [1000, 1 << 30])
@pytest.mark.parametrize("names", [HEADER, ("nothing",)])
def test_a_bad_row_is_a_fault_with_its_line_and_the_others_are_read(bad: bytes, why: str, step: int, names: Sequence[str]) -> None:
    text = of(GOOD, GOOD) + bad + b"\n" + GOOD.encode() + b"\n"
    found, faults = lots(text, step=step, names=names)
    (fault,) = faults
    assert fault.startswith("t.csv:4: ")
    assert why in fault
    assert sum(map(len, found)) == 3


def test_what_is_longer_than_a_row_may_be_is_a_fault_wherever_chunks_end() -> None:
    row = b'"user:a","viewer","doc:' + b"1" * IMPORT_LINE_BYTES_MAX + b'"\n'
    for step in (4096, 1 << 30):
        found, faults = lots(of() + row + GOOD.encode(), step=step)
        assert ([fault.partition(": ")[0] for fault in faults], sum(map(len, found))) == (["t.csv:2"], 1)


def test_a_fault_that_is_raised_ends_the_reading() -> None:
    def report(fault: FileFault) -> None:
        raise fault

    lines = CsvLines(io.BytesIO(of(GOOD, "x")), PATH, report)
    lines.place(0, 1, 2)
    with pytest.raises(FileFault) as error:
        next(lines)
    assert error.value.line == 3


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b'"subject', "t.csv:1: has a quote"),
        (b"subject\0", "t.csv:1: has a NUL"),
        (b"\nsub\xffject\n", "t.csv:2: has a row that is not UTF-8"),
        (b",".join([b"x"] * 9), "t.csv:1: has more than 8 columns"),
    ],
)
def test_a_bad_header_is_raised(text: bytes, why: str) -> None:
    with pytest.raises(FileFault, match=why):
        CsvLines(io.BytesIO(text), PATH, print)


@pytest.mark.parametrize("text", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_a_file_with_nothing_in_it_has_no_header(text: bytes) -> None:
    lines = CsvLines(io.BytesIO(text), PATH, print)
    assert lines.header == []
    assert list(lines) == []


def test_columns_are_placed_within_the_header() -> None:
    lines = CsvLines(io.BytesIO(of()), PATH, print)
    for names in ((0, 1, 3), (-1, 1, 2)):
        with pytest.raises(IndexError):
            lines.place(*names)


def test_a_row_beyond_the_lot_is_refused() -> None:
    (lot,), _ = lots(of(GOOD))
    assert isinstance(lot, TextLot)
    for index in (-1, 1):
        with pytest.raises(IndexError):
            lot.triple(index)
        with pytest.raises(IndexError):
            lot.line(index)


def test_a_file_that_gives_texts_is_refused() -> None:
    with pytest.raises(FileFault, match="not opened as bytes"):
        CsvLines(io.StringIO("subject"), PATH, print)  # type: ignore[arg-type]


cells = st.text(st.sampled_from('ab:#*é€😀",; \n\r\t'), max_size=6)


@given(
    st.lists(st.lists(cells, min_size=4, max_size=4), max_size=30),
    st.sampled_from([(csv.QUOTE_MINIMAL, "\r\n"), (csv.QUOTE_ALL, "\n"), (csv.QUOTE_ALL, "\r\n")]),
    st.integers(1, 60),
    st.booleans(),
)
def test_what_is_written_by_another_is_read(table: list[list[str]], dialect: tuple[int, str], step: int, is_fast: bool) -> None:
    """Python's own writer; what it quotes, and how, is read back, fast or slow, whatever the chunks."""
    written = io.StringIO()
    writer = csv.writer(written, quoting=dialect[0], lineterminator=dialect[1])  # type: ignore[arg-type]
    writer.writerow(["object", "subject", "relation", "context"])
    writer.writerows(table)
    found, faults = lots(written.getvalue().encode(), step=step, names=HEADER if is_fast else ("nothing",))
    assert faults == []
    read: list[list[str]] = []
    for lot in found:
        if isinstance(lot, TextLot):
            read += [[object, subject, relation, ""] for subject, relation, object in lot.triples()]
        else:
            read += [row for _, row in lot]
    assert read == table


@given(
    st.binary(max_size=120)
    | st.lists(st.sampled_from([b"a,b,c", b"a", b",", b'"', b'""', b"\n", b"\r\n", b"\r", b"\0", b"\xc3", b"\xa9"])).map(b"".join)
)
def test_any_bytes_come_to_the_same_whatever_the_chunks(data: bytes) -> None:
    text = b"subject,relation,object\n" + data
    expected = rows(text), lots(text)[1]
    for step in (1, 2, 3, 5, 8):
        assert (rows(text, step=step), lots(text, step=step)[1]) == expected
