"""Names: each interned once, dense by type in the order they came, found by their bytes and by nothing less."""

from __future__ import annotations

import os
import random
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgacore.errors import StoreError
from fgacore.kernel.names import Names

SMALL = bool(os.environ.get("FGACORE_SMALL"))
MANY = 5_000 if SMALL else 200_000
SEED = random.Random("names").randbytes(32)


@pytest.fixture
def names() -> Names:
    return Names(SEED)


def test_ids_are_dense_within_each_type_in_the_order_of_adding(names: Names) -> None:
    rng, counts = random.Random(1), {}
    for i in range(2_000):
        type = rng.choice([0, 1, 7, 300, 65_535])
        assert names.add(b"t%d:%d" % (type, i), type) == counts.get(type, 0)
        counts[type] = counts.get(type, 0) + 1
    assert {type: names.count_of(type) for type in counts} == counts
    assert names.count_of(2) == 0
    assert len(names) == 2_000


def test_a_name_is_interned_once(names: Names) -> None:
    assert [names.add(text, 3) for text in (b"a:x", b"a:y", b"a:x", b"a:y", b"a:z")] == [0, 1, 0, 1, 2]
    assert (len(names), names.count_of(3)) == (3, 3)
    assert (names.find(b"a:x"), names.text(3, 0)) == ((3, 0), "a:x")


def test_what_was_never_added_is_not_found(names: Names) -> None:
    names.add(b"a:x", 3)
    assert [names.find(text) for text in (b"", b"a", b"a:", b"a:X", b"a:x\0", b"a:xx", b"x" * 70_000)] == [None] * 7
    assert [names.text(type, id) for type, id in ((3, 1), (3, 0xFFFFFFFF), (2, 0), (4, 0), (65_535, 0))] == [None] * 5


@pytest.mark.parametrize("seed", [SEED, bytes(32), b"\xff" * 32], ids=["random", "zeros", "ones"])
def test_many_names_of_many_shapes_are_kept_apart(seed: bytes) -> None:
    """Growth of slots, chunks and places many times over; the seed is the store's, and any will do."""
    names = Names(seed)
    count = MANY if seed == SEED else MANY // 10
    texts = [b"t:%d" % i if i % 3 else b"t:" + b"-" * (i % 50) + b"%d" % i for i in range(count)]
    assert [names.add(text, i % 2) for i, text in enumerate(texts)] == [i // 2 for i in range(count)]
    assert all(names.find(text) == (i % 2, i // 2) for i, text in enumerate(texts))
    assert all(names.text(i % 2, i // 2) == text.decode() for i, text in enumerate(texts))
    assert not any(names.find(text + b"!") for text in texts[:1_000])


@pytest.mark.parametrize("length", [1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 256, 4_096, 65_535])
def test_names_that_differ_in_one_byte_anywhere_are_different(names: Names, length: int) -> None:
    text = bytes(b"abcdefg"[i % 7] for i in range(length))
    places = range(length) if length <= 300 else [0, 1, length // 2, length - 2, length - 1]
    others = [text[:place] + b"\0" + text[place + 1 :] for place in places]
    assert [names.add(one, 0) for one in (text, *others)] == list(range(1 + len(others)))
    assert [names.find(one) for one in (text, *others)] == [(0, i) for i in range(1 + len(others))]
    assert names.text(0, 0) == text.decode()


def test_names_that_begin_or_end_alike_are_different(names: Names) -> None:
    texts = [b"x" * i for i in range(1, 200)] + [b"\0" * i for i in range(1, 200)]
    assert [names.add(text, 0) for text in texts] == list(range(len(texts)))
    assert [names.find(text) for text in texts] == [(0, i) for i in range(len(texts))]


def test_any_unicode_is_kept_byte_by_byte(names: Names) -> None:
    texts = ["t:é", "t:e\u0301", "t:日本", "t:\U0001f600", "t:\x00", "t:\x00\x00", "t:ß", "t:ss", "t:\ufeff", "t:"]  # no normalisation
    assert [names.add(text.encode(), 5) for text in texts] == list(range(len(texts)))
    assert [names.text(5, i) for i in range(len(texts))] == texts


def test_long_names_fill_chunks_to_their_ends(names: Names) -> None:
    """A chunk is 256 KiB: entries that do not fit begin the next, and more chunks than the first directory holds are no matter."""
    rng = random.Random(2)
    texts = [b"%d" % i + b"." * rng.choice([60_000, 65_000, 32_000, 1, 8]) for i in range(60 if SMALL else 400)]
    assert [names.add(text, 0) for text in texts] == list(range(len(texts)))
    assert [names.find(text) for text in texts] == [(0, i) for i in range(len(texts))]
    assert [names.text(0, i) for i in range(len(texts))] == [text.decode() for text in texts]


def test_names_and_seeds_of_an_impossible_length_are_refused(names: Names) -> None:
    for text in (b"", b"x" * 65_536):
        with pytest.raises(ValueError):
            names.add(text, 0)
    for seed in (b"", bytes(31), bytes(33)):
        with pytest.raises(ValueError):
            Names(seed)
    assert len(names) == 0


@given(
    st.lists(st.tuples(st.text(min_size=1, max_size=20) | st.text("ab\0", min_size=1, max_size=6), st.integers(0, 3)), max_size=200),
    st.binary(min_size=32, max_size=32),
)
@settings(max_examples=20 if SMALL else 100)
def test_names_are_what_a_dict_would_be(added: list[tuple[str, int]], seed: bytes) -> None:
    names, model, by_type = Names(seed), {}, [[], [], [], []]
    for text, type in added:
        if text not in model:
            model[text] = (type, len(by_type[type]))
            by_type[type].append(text)
        assert names.add(text.encode(), type) == model[text][1]
    assert {text: names.find(text.encode()) for text in model} == model
    assert [[names.text(type, id) for id in range(names.count_of(type))] for type in range(4)] == by_type


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 1_000])
def test_many_names_are_found_together_as_one_by_one(names: Names, count: int) -> None:
    for i in range(count):
        names.add(b"t:%d" % i, i % 3)
    asked = [b"t:%d" % (i * 7 % (count + 5)) for i in range(count + 70)] + [b"", b"t", b"x" * 65_536]
    assert names.find_many(asked) == [names.find(name) for name in asked]
    assert sum(found is None for found in names.find_many([b"t:%d" % i for i in range(count + 5)])) == 5


def test_names_know_their_store_and_generation(names: Names) -> None:
    store = bytes(range(16))
    assert (names.generation, len(names.store)) == (1, 16)
    assert (Names(SEED, 7, store).generation, Names(SEED, 7, store).store) == (7, store)
    for wrong in (b"", bytes(15), bytes(17)):
        with pytest.raises(ValueError, match="identity"):
            Names(SEED, 1, wrong)


def test_an_id_without_a_name_is_no_text_but_an_error(names: Names) -> None:
    """Sets have only ids that were given; another one is of a damaged snapshot."""
    names.add(b"a:x", 3)
    for type, ids in ((3, [0, 1]), (3, [0xFFFFFFFF]), (2, [0]), (4, [0])):
        with pytest.raises(StoreError) as caught:
            names.texts(type, np.array(ids, np.uint32))
        assert caught.value.code == "corrupt"
    assert names.texts(3, np.array([0, 0], np.uint32)) == ["a:x", "a:x"]
    assert names.texts(9, np.array([], np.uint32)) == []


def test_readers_find_every_name_that_was_there_while_one_adds(names: Names) -> None:
    stop, wrong, rounds = threading.Event(), [], [0] * 3

    def read(number: int) -> None:
        rng = random.Random(number)
        while not stop.is_set():
            known = len(names)
            ids = [rng.randrange(known) for _ in range(min(known, 200))]
            wrong.extend(id for id in ids if names.find(b"t:%d" % id) != (0, id) or names.text(0, id) != f"t:{id}")
            rounds[number] += names.find(b"t:none") is None

    readers = [threading.Thread(target=read, args=(number,)) for number in range(3)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for reader in readers:
            reader.start()
        for i in range(MANY // 4):
            names.add(b"t:%d" % i, 0)
    finally:
        stop.set()
        for reader in readers:
            reader.join()
        sys.setswitchinterval(interval)
    assert wrong == []
    assert min(rounds) > 0
    assert len(names) == MANY // 4


@settings(max_examples=60)
@given(st.lists(st.integers(0, 400), max_size=120), st.lists(st.integers(0, 2_000), max_size=900), st.lists(st.integers(0, 900), max_size=200))
def test_names_that_are_forgotten_were_never_there(before: list[int], staged: list[int], after: list[int]) -> None:
    """What was interned since a mark is taken back, through any growth of the table, and its ids are given anew."""
    names, plain = Names(SEED), Names(SEED)

    def add(to: Names, number: int) -> int:
        return to.add(f"{'user' if number % 3 else 'doc'}:{number}".encode(), 1 if number % 3 else 0)

    for number in before:
        assert add(names, number) == add(plain, number)
    mark = names.mark()
    for number in staged:
        add(names, number)
    names.forget(mark)
    assert len(names) == len(plain)
    for number in range(2_001):
        name = f"{'user' if number % 3 else 'doc'}:{number}".encode()
        assert names.find(name) == plain.find(name)
    for number in after:
        assert add(names, number) == add(plain, number)
    assert names.mark()[: len(plain.mark())] == plain.mark()
    names.forget(names.mark())
    assert len(names) == len(plain)
