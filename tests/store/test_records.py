"""Records as bytes: what is written comes back, and nothing else is taken for a record."""

from __future__ import annotations

from hashlib import sha256

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgacore.errors import LimitError, StoreError
from fgacore.formats import KINDS
from fgacore.store import records
from fgacore.store.records import Record, chain, decode, encode, genesis

RECORD = Record(7, 1, 1_700_000_000_000_000, "tuples", False, "user:lead", "INC-7", [["a", b"\0\xff", 1, None, True, {"k": [2]}]])

texts = st.text(st.characters(exclude_categories=("Cs",)))
payloads = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | texts | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts | st.integers(0, 99), inner, max_size=4),
    max_leaves=20,
)
record_values = st.builds(
    Record,
    st.integers(1, (1 << 63) - 1),
    st.integers(1, 1 << 32),
    st.integers(0, (1 << 63) - 1),
    st.sampled_from(sorted(KINDS)),
    st.booleans(),
    st.none() | texts,
    st.none() | texts,
    payloads,
)


def code_of(data: bytes) -> str:
    with pytest.raises(StoreError) as caught:
        decode(data)
    return caught.value.code


def fields(**changed: object) -> list[object]:
    """A record as its array, with some fields changed."""
    names = ("version", "generation", "revision", "time", "kind", "more", "actor", "reason", "payload")
    return [changed.get(name, value) for name, value in zip(names, [1, 1, 7, 1000, 1, False, None, None, "x"], strict=True)]


@given(record_values)
def test_what_is_encoded_comes_back(record: Record) -> None:
    assert decode(encode(record)) == record


def test_bytes_of_a_record_do_not_change() -> None:
    """What is on a disk today is read tomorrow: these bytes are the format."""
    assert encode(RECORD).hex() == "99010107cf00060a24181e400001c2a9757365723a6c656164a5494e432d379196a161c40200ff01c0c381a16b9102"
    assert list(KINDS.values()) == list(range(1, 13))


def test_tuples_come_back_as_lists() -> None:
    assert decode(encode(RECORD._replace(payload=(("a", "b"), ())))).payload == [["a", "b"], []]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_reserved_kind_is_known(kind: str) -> None:
    assert decode(encode(RECORD._replace(kind=kind))).kind == kind


@pytest.mark.parametrize(
    "data",
    [
        msgpack.packb(fields(kind=13)),
        msgpack.packb(fields(kind=1 << 40)),
        msgpack.packb(fields(version=2)),
        msgpack.packb([2]),
        msgpack.packb([2, {"another": "shape"}, msgpack.ExtType(5, b"x")]),
    ],
)
def test_a_newer_kind_or_version_is_unknown_record(data: bytes) -> None:
    assert code_of(data) == "unknown_record"


@pytest.mark.parametrize(
    "changed",
    [
        {"version": 0},
        {"version": True},
        {"version": "1"},
        {"generation": 0},
        {"revision": 0},
        {"revision": -1},
        {"revision": True},
        {"revision": 1 << 63},
        {"revision": 7.0},
        {"time": -1},
        {"time": 1.5},
        {"time": None},
        {"kind": 0},
        {"kind": -1},
        {"kind": "tuples"},
        {"more": 1},
        {"more": None},
        {"actor": b"user:lead"},
        {"actor": 1},
        {"reason": []},
        {"payload": msgpack.ExtType(5, b"x")},
        {"payload": msgpack.Timestamp(1, 2)},
        {"payload": [[{"deep": msgpack.Timestamp(1, 2)}]]},
    ],
)
def test_a_wrong_field_is_corrupt(changed: dict[str, object]) -> None:
    assert code_of(msgpack.packb(fields(**changed))) == "corrupt"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x90",
        b"\xc0",
        b"\x80",
        msgpack.packb(fields()[:-1]),
        msgpack.packb([*fields(), None]),
        msgpack.packb(fields()) + b"\0",
        msgpack.packb(fields()) * 2,
        msgpack.packb(fields())[:-2] + b"\xd9\x01x",  # a text in a longer form than it needs
        msgpack.packb(fields())[:-2] + b"\x82\xa1a\x01\xa1a\x02",  # one key twice
        msgpack.packb(fields())[:-2] + b"\xa2\xff\xfe",  # a text that is no UTF-8
        msgpack.packb(fields())[:-2] + b"\x81\x90\x01",  # a list as a key
        msgpack.packb(fields())[:-2] + b"\xdd\xff\xff\xff\xff",  # four thousand million items, says it
        msgpack.packb(fields())[:-2] + b"\x91" * 5000 + b"\x01",  # deeper than anybody reads
    ],
)
def test_bytes_that_are_no_record_are_corrupt(data: bytes) -> None:
    assert code_of(data) == "corrupt"


@given(record_values, st.data())
def test_no_byte_is_trusted(record: Record, data: st.DataObject) -> None:
    """Whatever happens to the bytes: they are refused, or they are the one form of another record."""
    good = bytearray(encode(record))
    place = data.draw(st.integers(0, len(good) - 1))
    good[place] ^= data.draw(st.integers(1, 255))
    cut = bytes(good[: data.draw(st.integers(0, len(good)))])
    for damaged in (bytes(good), cut):
        try:
            other = decode(damaged)
        except StoreError:
            assert code_of(damaged) in ("corrupt", "unknown_record")
        else:
            assert encode(other) == damaged


def test_a_record_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "RECORD_BYTES_MAX", 1000)
    small = encode(RECORD._replace(payload=b"x" * 900))
    assert decode(small)
    with pytest.raises(LimitError, match="RECORD_BYTES_MAX"):
        encode(RECORD._replace(payload=b"x" * 1000))
    assert code_of(small + b"x" * 1000) == "corrupt"


def test_the_chain_starts_at_the_store_and_covers_every_byte() -> None:
    first = genesis(b"i" * 16)
    assert first == sha256(b"fgacore log 1\0" + b"i" * 16).digest()
    assert chain(first, b"data") == sha256(first + b"data").digest()
    assert genesis(b"j" * 16) != first
