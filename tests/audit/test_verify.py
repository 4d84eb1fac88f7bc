"""Whatever is done to a log after it was written is found by what the documentation says: by the chain, by a head kept elsewhere, or by a key."""

from __future__ import annotations

import contextlib
import random
import shutil
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import fgacore
from audit.desk import AGENT, ANNE, SCOPE, Block, blocks, chain_folders, made, records, rewrite
from faults.peer import code_of
from fgacore.audit import Verification, heads, read, replay, verify
from fgacore.audit.files import opened
from fgacore.audit.files import records as parsed

KEY = bytes(range(32))


def public(key: bytes = KEY) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(key).public_key().public_bytes_raw()


def signature(key: bytes, hash: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(key).sign(hash)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The decisions of an engine that was closed: eight blocks of one batch each, and the end."""
    path = tmp_path_factory.mktemp("verify") / "s"
    with made(path, decision_log="sync", log_key=KEY) as engine:
        session = engine.session(AGENT, on_behalf_of=ANNE, scope=SCOPE)
        for number in range(8):
            session.check_objects("can_read", [f"ticket:{number}", "ticket:hidden", "ticket:none"])
    return path


@pytest.fixture
def directory(original: Path, tmp_path: Path) -> Path:
    shutil.copytree(original, tmp_path / "s")
    return tmp_path / "s" / "decisions"


def folder_of(directory: Path) -> Path:
    (folder,) = chain_folders(directory)
    return folder


def found(directory: Path, **options: object) -> Verification:
    return verify(directory, **options)  # type: ignore[arg-type]


def test_a_log_as_it_was_written_is_good_by_every_proof(directory: Path) -> None:
    told = verify(directory, heads(directory), public())
    assert told.good
    assert bool(told)
    (chain,) = told.chains
    assert (chain.blocks, chain.decisions, chain.missing, chain.lost, chain.is_ended, chain.torn, chain.signed) == (9, 24, [], 0, True, 0, 9)
    assert chain.head == heads(directory)[0] == f"{chain.chain}:8:{blocks(folder_of(directory))[-1].hash.hex()}"


def test_every_byte_of_a_segment_is_proved(directory: Path) -> None:
    """One bit anywhere, and the log is not good: nothing of it passes for a write that was broken off."""
    path = folder_of(directory) / "000001.fgd"
    whole, chance = path.read_bytes(), random.Random(3)
    places = [*range(104), *range(104, len(whole), 7)]
    for place in places:
        changed = bytearray(whole)
        changed[place] ^= 1 << chance.randrange(8)
        path.write_bytes(bytes(changed))
        assert not verify(directory, key=public()).good, f"byte {place}"
        in_signature = any(start <= place < start + 64 for start in signatures(whole))
        assert in_signature or not verify(directory).good, f"byte {place} without a key"
    path.write_bytes(whole)
    assert verify(directory).good


def signatures(data: bytes) -> list[int]:
    """Where the signatures lie, which are no part of the chain."""
    at, places = 104, []
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        places.append(at + 64)
        at += 128 + size
    return places


EDITS: dict[str, Callable[[list[Block]], list[Block]]] = {
    "a block dropped": lambda each: each[:3] + each[4:],
    "the first dropped": lambda each: each[1:],
    "two swapped": lambda each: [*each[:3], each[4], each[3], *each[5:]],
    "one twice": lambda each: [*each[:3], each[2], *each[3:]],
    "one moved to the end": lambda each: [*each[:3], *each[4:], each[3]],
    "a record dropped": lambda each: [each[0].of(each[0].records[:1]), *each[1:]],
    "a record edited": lambda each: [*each[:2], edited(each[2]), *each[3:]],
    "a record moved": lambda each: [*each[:2], each[2].of([*each[2].records, *each[3].records]), each[3].of([]), *each[4:]],
    "two records swapped": lambda each: [each[0].of(reversed(each[0].records)), *each[1:]],
}


def edited(block: Block) -> Block:
    """A denial made an answer that allows."""
    (record,) = block.records
    body = bytearray(record.body)
    body[44] |= 2  # the bitmap, after three ids
    return block.of([replace(record, body=bytes(body))])


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_is_found_by_the_chain_alone(edit: str, directory: Path) -> None:
    folder = folder_of(directory)
    rewrite(folder, EDITS[edit](blocks(folder)), anew=False)
    told = found(directory)
    assert not told.good
    assert told.chains[0].problems


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_with_hashes_made_anew_is_found_by_a_head_or_a_key(edit: str, directory: Path) -> None:
    anchored = heads(directory)
    folder = folder_of(directory)
    rewrite(folder, EDITS[edit](blocks(folder)))
    assert not found(directory, heads=anchored).good
    assert not found(directory, key=public()).good


def test_what_is_not_found_without_a_head_and_a_key(directory: Path) -> None:
    """Whoever may write the files and knows the format can write a chain anew; the documentation says so, and this is why there are heads."""
    anchored, folder = heads(directory), folder_of(directory)
    rewrite(folder, [replace(block, signature=b"", flags=0) for block in EDITS["a record edited"](blocks(folder))])
    assert found(directory).good
    told = found(directory, heads=anchored)
    assert not told.good
    assert "is not there" in told.problems[0]


def test_signed_anew_with_another_key_is_found_by_the_key(directory: Path) -> None:
    folder = folder_of(directory)
    other, before, new = bytes(32), None, []
    first = (folder / "000001.fgd").read_bytes()[72:104]
    for block in EDITS["a record edited"](blocks(folder)):
        _, hash = block.bytes(before or first)
        new.append(replace(block, signature=signature(other, hash)))
        before = hash
    rewrite(folder, new)
    assert found(directory).good
    assert found(directory, key=public(other)).good
    assert not found(directory, key=public()).good


@pytest.mark.parametrize("left", range(9))
def test_a_chain_cut_short_is_found_by_a_head_alone(left: int, directory: Path) -> None:
    """At the end of a block it is what a crash leaves behind: told as such by the counter, and no more."""
    anchored, folder = heads(directory), folder_of(directory)
    rewrite(folder, blocks(folder)[:left], anew=False)
    told = found(directory, key=public())
    assert told.good
    assert not told.chains[0].is_ended
    assert told.chains[0].lost == 8 - left
    assert not found(directory, heads=anchored).good
    (folder / "sequence").unlink()
    assert found(directory).chains[0].lost is None


def test_an_older_head_proves_what_came_before_it(directory: Path) -> None:
    folder = folder_of(directory)
    third = blocks(folder)[2]
    heads_of_it = [f"{folder.name}:3:{third.hash.hex()}", third.hash.hex(), third.hash.hex().upper()]
    for head in heads_of_it:
        assert found(directory, heads=[head]).good
    rewrite(folder, blocks(folder)[:4], anew=False)
    for head in heads_of_it:
        assert found(directory, heads=[head]).good, "what was cut lies behind it"
    rewrite(folder, blocks(folder)[:2], anew=False)
    for head in heads_of_it:
        assert not found(directory, heads=[head]).good


def test_a_chain_taken_away_is_found_by_its_head(directory: Path) -> None:
    anchored = heads(directory)
    shutil.rmtree(folder_of(directory))
    assert found(directory).good
    assert not found(directory, heads=anchored).good


def test_one_head_of_many_that_is_not_there_is_enough(directory: Path) -> None:
    (head,) = heads(directory)
    name, sequence, hash = head.split(":")
    for wrong in (f"{name}:{sequence}:{'0' * 64}", f"{name}:7:{hash}", f"{'0' * 26}:{sequence}:{hash}"):
        told = found(directory, heads=[head, wrong])
        assert not told.good
        assert len(told.problems) == 1


@pytest.mark.parametrize("text", ["", "a:b:c", "x", f"{'0' * 26}:-1:{'0' * 64}", f"{'0' * 26}:1:{'0' * 63}", f"{'0' * 26}:1:{'0' * 64}:1"])
def test_a_head_that_is_none_is_refused(text: str, directory: Path) -> None:
    with pytest.raises(fgacore.RequestError):
        verify(directory, [text])


def test_a_torn_end_is_told_and_is_no_change(directory: Path) -> None:
    """What a kill leaves of the last write: any part of a block."""
    path = folder_of(directory) / "000001.fgd"
    whole = path.read_bytes()
    last = len(whole) - 128 - 16
    for size in range(last + 1, len(whole)):
        path.write_bytes(whole[:size])
        told = verify(directory, key=public())
        assert told.good, size
        assert told.chains[0].torn == size - last
        assert not told.chains[0].is_ended
    path.write_bytes(whole[:last] + bytes(5_000))  # a file system that made room, and stopped
    assert verify(directory).good
    path.write_bytes(whole + b"x")
    assert not verify(directory).good, "after an end there is nothing"


def test_a_size_that_was_changed_is_no_torn_end(directory: Path) -> None:
    """Even where it leads beyond the end of the file."""
    path = folder_of(directory) / "000001.fgd"
    data = bytearray(path.read_bytes())
    data[104:108] = struct.pack("<I", 1 << 30)
    path.write_bytes(bytes(data))
    assert not verify(directory).good


def test_segments_taken_away_or_swapped_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fgacore.audit.writer.LOG_SEGMENT_BYTES", 1_000)
    with made(tmp_path / "s", decision_log="sync") as engine:
        session = engine.session(AGENT, on_behalf_of=ANNE, scope=SCOPE)
        for _ in range(40):
            session.check("can_read", "ticket:1")
    directory = tmp_path / "s" / "decisions"
    paths = sorted(folder_of(directory).glob("*.fgd"))
    assert len(paths) > 3
    anchored = heads(directory)
    second, third = paths[1].read_bytes(), paths[2].read_bytes()
    paths[1].unlink()
    assert not verify(directory).good
    paths[1].write_bytes(third)
    paths[2].write_bytes(second)
    assert not verify(directory).good
    paths[1].write_bytes(second)
    paths[2].write_bytes(third[:-3])
    assert not verify(directory).good, "torn, but not at the end"
    paths[2].write_bytes(third)
    assert verify(directory, anchored).good
    paths[-1].unlink()
    assert not verify(directory, anchored).good
    paths[0].unlink()
    assert not verify(directory).good


def test_a_chain_of_another_store_or_under_another_name_is_found(directory: Path, tmp_path: Path) -> None:
    folder = folder_of(directory)
    with fgacore.open(tmp_path / "other") as engine:
        store_id = engine._state.newest.names.store
    assert not verify(directory, store_id=store_id).good
    with fgacore.open(directory.parent) as engine:
        assert verify(directory, store_id=engine._state.newest.names.store).good
    shutil.copytree(folder, folder.with_name("0" * 26))
    told = verify(directory)
    assert [chain.chain for chain in told.chains if chain.problems] == ["0" * 26]


def test_decisions_that_were_left_out_are_told_as_missing(directory: Path) -> None:
    """By whoever writes the chain anew, too: unless the numbers are made anew as well."""
    folder = folder_of(directory)
    each = blocks(folder)
    rewrite(folder, [*each[:3], *each[4:]])
    assert verify(directory).chains[0].missing == [(3, 4)]


def test_a_newer_version_stops_it(directory: Path) -> None:
    path = folder_of(directory) / "000001.fgd"
    data = bytearray(path.read_bytes())
    data[8] = 2
    path.write_bytes(bytes(data))
    told = verify(directory)
    assert not told.good
    assert "newer" in told.chains[0].problems[0]


def test_a_place_that_is_none_is_an_error(tmp_path: Path) -> None:
    for call in (verify, heads):
        with pytest.raises(fgacore.StoreError):
            call(tmp_path / "nothing")


@pytest.mark.parametrize("key", [b"", b"short", bytes(31), b"-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----\n"])
def test_a_key_that_is_none_is_refused(key: bytes, directory: Path) -> None:
    with pytest.raises(fgacore.RequestError):
        verify(directory, key=key)


def test_readers_stop_at_a_change(directory: Path) -> None:
    folder = folder_of(directory)
    each = blocks(folder)
    rewrite(folder, [*each[:3], *each[4:]], anew=False)
    store = directory.parent
    for call in (lambda: list(read(store)), lambda: replay(store), lambda: heads(directory)):
        with pytest.raises(fgacore.StoreError) as caught:
            call()
        assert caught.value.code == "corrupt"


def test_bytes_that_were_hashed_and_are_no_records_are_damage_and_no_crash(directory: Path) -> None:
    """Whoever writes a chain anew can put anything into it: readers trust none of it."""
    chance, folder = random.Random(5), folder_of(directory)
    original = blocks(folder)
    payload = b"".join(block.payload for block in original[:3])
    for _ in range(1_500):
        changed = bytearray(payload)
        for _ in range(chance.choice((1, 1, 2, 5))):
            changed[chance.randrange(len(changed))] = chance.choice((0, 1, 2, 255, chance.randrange(256)))
        changed = changed[: chance.choice((len(changed), len(changed), chance.randrange(len(changed))))]
        with contextlib.suppress(ValueError):
            for kind, _, value in parsed(bytes(changed)):
                if kind == "decisions":
                    opened(value)
    for number in range(60):
        changed = bytearray(payload)
        for _ in range(3):
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        block = replace(original[0], payload=bytes(changed), decisions=3, signature=b"", flags=0)
        rewrite(folder, [block])
        verify(directory)
        for call in (lambda: list(read(directory.parent)), lambda: replay(directory.parent)):
            assert code_of(call) in ("corrupt", "done"), number


def test_a_live_log_is_good_while_it_is_written(tmp_path: Path) -> None:
    with made(tmp_path / "s") as engine:
        session = engine.session(AGENT, on_behalf_of=ANNE, scope=SCOPE)
        for _ in range(50):
            for _ in range(200):
                session.check("can_read", "ticket:1")
            assert verify(tmp_path / "s" / "decisions").good
        assert engine._decisions.flush()  # type: ignore[union-attr]
        anchored = heads(tmp_path / "s" / "decisions")
        session.check("can_read", "ticket:2")
    assert verify(tmp_path / "s" / "decisions", anchored).good
    assert len(records(folder_of(tmp_path / "s" / "decisions"))) == 10_001 + 2


def test_the_check_of_a_head_is_the_documented_one(directory: Path) -> None:
    data = (folder_of(directory) / "000001.fgd").read_bytes()
    head = data[104:168]
    assert struct.unpack_from("<I", head, 20)[0] == zlib.crc32(head[:20] + bytes(4) + head[24:])
