"""Rows to put into a log in tests: chained, numbered and dated as the runtime does it."""

from __future__ import annotations

from fgacore.store.log import Head, Log, Row
from fgacore.store.records import Record, chain, encode


def rows_after(head: Head, count: int = 1, payload: object = "x", more: bool = False) -> list[Row]:
    """Records that may follow this head, one microsecond apart."""
    rows, previous = [], head.hash
    for revision in range(head.revision + 1, head.revision + 1 + count):
        time = 1_000_000 + revision
        data = encode(Record(revision, head.generation, time, "tuples", more, "user:lead", None, payload))
        previous = chain(previous, data)
        rows.append(Row(revision, data, previous, time))
    return rows


def put(log: Log, count: int = 1, payload: object = "x") -> int:
    """Append so many rows in one commit, and ring."""
    with log.locked() as head:
        log.append(rows_after(head, count, payload))
    log.ring(head.revision + count)
    return head.revision + count


def whole(log: Log) -> list[Row]:
    """Every row, read in pages."""
    rows: list[Row] = []
    after = log.base()[0]
    while page := log.read(after):
        rows += page
        after = page[-1].revision
    return rows


def assert_chained(log: Log) -> int:
    """The log is whole from its base to its head of this moment; how many rows it has. Others may write meanwhile."""
    head = log.head()
    _, previous = log.base()
    rows = [row for row in whole(log) if row.revision <= head.revision]
    for row in rows:
        previous = chain(previous, row.data)
        assert row.hash == previous
    assert head.hash == previous
    return len(rows)
