"""The reader of serialized roaring bitmaps against pyroaring, which writes them, and against bytes that nobody should have written."""

from __future__ import annotations

import os
import random
import struct
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from fgacore.kernel.sets import RoaringReader

SMALL = bool(os.environ.get("FGACORE_SMALL"))
EXAMPLES = 40 if SMALL else 250
BLOCK = 1 << 16

# One container's members, given a source of chance.
CONTAINERS = {
    "array of one": lambda rng: [rng.randrange(BLOCK)],
    "array": lambda rng: rng.sample(range(BLOCK), rng.randint(2, 60)),
    "full array": lambda rng: rng.sample(range(BLOCK), 4096),
    "smallest bitmap": lambda rng: rng.sample(range(BLOCK), 4097),
    "bitmap": lambda rng: rng.sample(range(BLOCK), rng.randint(5_000, 40_000)),
    "one run": lambda rng: range((start := rng.randrange(BLOCK - 10)), rng.randint(start + 5, BLOCK)),
    "runs": lambda rng: [i for start in rng.sample(range(0, BLOCK, 512), 20) for i in range(start, start + rng.randint(1, 511))],
    "everything": lambda rng: range(BLOCK),
    "both ends": lambda rng: [0, BLOCK - 1],
}


def made(rng: random.Random, kinds: list[str], runs: bool) -> BitMap:
    """A bitmap with a container of each kind, at keys anywhere, the highest among them."""
    keys = [*sorted(rng.sample(range(BLOCK - 1), len(kinds) - 1)), BLOCK - 1] if len(kinds) > 1 else [rng.randrange(BLOCK)]
    out = BitMap(optimize=False)
    for key, kind in zip(keys, kinds, strict=True):
        out.update([key * BLOCK + low for low in CONTAINERS[kind](rng)])
    if runs:
        out.run_optimize()
    return out


def assert_reads(bitmap: BitMap, data: bytes, rng: random.Random) -> None:
    reader, members = RoaringReader(data), bitmap.to_array().tolist()
    assert reader.valid
    assert len(reader) == len(members)
    assert list(reader) == members
    asked = {0, (1 << 32) - 1, (1 << 32) - 2, *(rng.randrange(1 << 32) for _ in range(50))}
    for member in rng.sample(members, min(len(members), 100)):
        asked |= {member, (member + 1) % (1 << 32), (member - 1) % (1 << 32), (member + BLOCK) % (1 << 32)}
    assert [value for value in asked if value in reader] == [value for value in asked if value in bitmap]


@pytest.mark.parametrize("runs", [False, True])
@pytest.mark.parametrize("kind", CONTAINERS)
def test_every_kind_of_container_is_read(kind: str, runs: bool) -> None:
    for seed in range(3):
        rng = random.Random(f"{kind}{runs}{seed}")
        bitmap = made(rng, [kind], runs)
        assert_reads(bitmap, bitmap.serialize(), rng)


@pytest.mark.parametrize("runs", [False, True])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 9, 40])
def test_any_number_of_containers_is_read_with_and_without_an_offset_header(count: int, runs: bool) -> None:
    """With run containers there are offsets from four containers on, and the bits that mark them fill several bytes."""
    rng = random.Random(f"{count}{runs}")
    kinds = ["runs", *(rng.choice(["array of one", "array", "one run", "runs", "both ends", "smallest bitmap"]) for _ in range(count - 1))]
    bitmap = made(rng, kinds, runs)
    data = bitmap.serialize()
    assert (struct.unpack_from("<I", data)[0] & 0xFFFF == 12347) is runs
    assert_reads(bitmap, data, rng)


@given(st.sets(st.integers(0, (1 << 32) - 1) | st.integers(0, 300_000), max_size=300), st.booleans())
@settings(max_examples=EXAMPLES)
def test_any_set_is_read(members: set[int], runs: bool) -> None:
    bitmap = BitMap(sorted(members), optimize=False)
    if runs:
        bitmap.run_optimize()
    assert_reads(bitmap, bitmap.serialize(), random.Random(len(members)))


def test_empty_set_is_valid_and_empty() -> None:
    reader = RoaringReader(BitMap().serialize())
    assert (reader.valid, len(reader), list(reader), 0 in reader) == (True, 0, [], False)


# ---- damage ----


def assert_consistent(data: bytes) -> None:
    """Whatever the bytes: no crash, no member without end; and if they are called valid, what pyroaring reads too."""
    reader = RoaringReader(data)
    members = list(reader)
    assert len(members) <= BLOCK * BLOCK
    probes = {0, 5, 70_000, (1 << 32) - 1, *members[:50]}
    answers = [value in reader for value in probes]
    if not reader.valid:
        return
    assert len(reader) == len(members)
    assert all(a < b for a, b in pairwise(members))
    assert answers == [value in set(members) for value in probes]
    assert BitMap.deserialize(data).to_array().tolist() == members


@st.composite
def bitmaps(draw: st.DrawFn) -> bytes:
    rng = random.Random(draw(st.integers(0, 1 << 32)))
    kinds = draw(st.lists(st.sampled_from(["array of one", "array", "one run", "runs", "both ends", "smallest bitmap"]), min_size=1, max_size=6))
    return made(rng, kinds, draw(st.booleans())).serialize()


@given(bitmaps(), st.lists(st.tuples(st.integers(0, 200) | st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=4))
@settings(max_examples=EXAMPLES)
def test_mutated_bytes_are_read_safely(data: bytes, changes: list[tuple[int, int]]) -> None:
    mutated = bytearray(data)
    for place, value in changes:
        mutated[place % len(data)] = value
    assert_consistent(bytes(mutated))


@given(bitmaps(), st.data())
@settings(max_examples=EXAMPLES)
def test_truncated_bytes_are_not_valid(data: bytes, more: st.DataObject) -> None:
    short = data[: more.draw(st.integers(0, len(data) - 1))]
    assert not RoaringReader(short).valid
    assert_consistent(short)


@given(st.builds(bytes.__add__, st.sampled_from([b"", b"\x3a\x30\0\0", b"\x3a\x30\0\0\x02\0\0\0", b"\x3b\x30"]), st.binary(max_size=100)))
@settings(max_examples=EXAMPLES)
def test_arbitrary_bytes_are_read_safely(data: bytes) -> None:
    assert_consistent(data)


PLAIN = BitMap([1, 2, 9, 70_000, 70_001], optimize=False).serialize()  # 8 bytes of header, two keys, two offsets, five members
RUNS = bytes.fromhex("3b30000001000009000100" + "0a000900")  # members 10 to 19
DAMAGE = {
    "cookie": (PLAIN, 0, b"\x3c"),
    "fewer containers": (PLAIN, 4, b"\x01"),
    "too many containers": (PLAIN, 4, b"\x01\x00\x01\x00"),
    "keys equal": (PLAIN, 12, b"\x00"),
    "cardinality into the next container": (PLAIN, 10, b"\x03"),
    "offset outside": (PLAIN, 16, b"\xff\xff\xff\xff"),
    "offset into the header": (PLAIN, 16, b"\x16"),
    "members equal": (PLAIN, 26, b"\x01"),
    "members fall": (PLAIN, 28, b"\x00"),
    "not a run": (RUNS, 4, b"\x00"),
    "one run more": (RUNS, 9, b"\x02"),
    "cardinality of runs": (RUNS, 7, b"\x08"),
    "past the end": (RUNS, 11, b"\xff\xff"),
}


def damaged(data: bytes, place: int, value: bytes) -> bytes:
    assert RoaringReader(data).valid
    return data[:place] + value + data[place + len(value) :]


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_not_valid(damage: str) -> None:
    data = damaged(*DAMAGE[damage])
    assert not RoaringReader(data).valid
    assert_consistent(data)
