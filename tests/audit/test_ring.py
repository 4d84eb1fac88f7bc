"""The ring between decisions and the one who writes them: what is taken stays until it is on the disk, and is given whole."""

from __future__ import annotations

import hashlib
import mmap
import os
from pathlib import Path

import msgpack

from audit.desk import Block, Record
from fgacore.runtime.decisions import DecisionRing

SESSION = {"principals": ["user:a"], "context": None}


def taken(ring: DecisionRing) -> list[Record]:
    return Block(0, 0, 0, 0, b"", b"", ring.take()[0]).records


def test_a_ring_without_room_is_closed() -> None:
    ring = DecisionRing()
    assert not ring.is_open
    assert ring.describe(SESSION) == 0
    assert ring.take() == (b"", 0, 0, 0)


def test_what_was_taken_stays_until_it_is_kept() -> None:
    ring = DecisionRing(1 << 16)
    assert ring.describe(SESSION) == 1
    first = ring.take()
    assert first[1:] == (0, 0, 0)
    assert ring.describe(SESSION) == 2
    assert ring.take() == first, "what came since is for later"
    ring.done(False)
    assert ring.describe(SESSION) == 0, "what could not be written is not passed over"
    assert ring.take() == first
    ring.done(True)
    assert [record.note[0] for record in taken(ring)] == [2]
    ring.done(True)
    assert ring.take()[0] == b""
    assert ring.describe(SESSION) == 3


def test_a_ring_that_refuses_does_so_for_good_and_gives_what_it_has() -> None:
    ring = DecisionRing(1 << 16)
    ring.describe(SESSION)
    ring.refuse()
    assert ring.describe(SESSION) == 0
    assert len(taken(ring)) == 1
    ring.done(True)
    assert ring.describe(SESSION) == 0


def test_a_full_ring_takes_nothing_more_and_tears_nothing() -> None:
    ring = DecisionRing(1 << 12)
    numbers = []
    while number := ring.describe({"principals": ["user:" + "x" * 100], "context": None}):
        numbers.append(number)
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) > 5
    assert [record.note[0] for record in taken(ring)] == numbers


def test_it_sleeps_only_where_nothing_waits() -> None:
    ring = DecisionRing(1 << 16)
    assert ring.sleep()
    ring.describe(SESSION)
    assert not ring.sleep()
    ring.take()
    assert not ring.sleep(), "it is not on the disk yet"
    ring.done(True)
    assert ring.sleep()


def test_the_form_of_a_context_is_one_whatever_its_order() -> None:
    ring = DecisionRing(1 << 16)
    assert ring.context({"b": {"z": 1, "a": 2}, "a": [True]}) == 1
    assert ring.context({"a": [True], "b": {"a": 2, "z": 1}}) == 1
    assert ring.context({"a": [1], "b": {"a": 2, "z": 1}}) == 2, "a boolean is no number"
    assert ring.context({}) == 3
    told = [record.note for record in taken(ring)]
    assert [number for number, _ in told] == [1, 2, 3]
    data = msgpack.packb({"a": [True], "b": {"a": 2, "z": 1}})
    assert told[0][1] == {"context": {"a": [True], "b": {"a": 2, "z": 1}}, "digest": hashlib.sha256(data).digest()}


def test_what_is_no_value_is_kept_as_a_digest_only() -> None:
    ring = DecisionRing(1 << 16)
    assert ring.context({"x": object()}) == 1
    assert ring.context({"x": 1 << 80}) == 1, "of these only the keys are known"
    deep: list[object] = []
    for _ in range(200):
        deep = [deep]
    assert ring.context({"y": deep}) == 2
    assert all(set(record.note[1]) == {"digest"} for record in taken(ring))


def test_a_child_begins_anew() -> None:
    ring = DecisionRing(1 << 16)
    epoch = ring.epoch
    ring.describe(SESSION)
    ring.context({"x": 1})
    ring.take()
    ring.begin_process()
    assert ring.epoch == epoch + 1
    assert ring.take() == (b"", 0, 0, 0)
    assert (ring.describe(SESSION), ring.context({"x": 1})) == (1, 1)


def test_the_count_is_kept_in_a_file_as_well(tmp_path: Path) -> None:
    path = tmp_path / "sequence"
    path.write_bytes(b"\xff" * 8)
    ring = DecisionRing(1 << 16)
    descriptor = os.open(path, os.O_RDWR)
    mapped = mmap.mmap(descriptor, 8)
    os.close(descriptor)
    ring.count_into(mapped)
    assert path.read_bytes() == bytes(8)
    ring.forget_counter()
    mapped.close()
