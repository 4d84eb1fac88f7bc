"""What the tests of the decision log share: a store with sessions, and the files of a log as docs/format.md has them, read and written again by
code that has nothing in common with `fgacore.audit`.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgpack

import fgacore

__all__ = [
    "AGENT",
    "ANNE",
    "MODEL",
    "SCOPE",
    "Block",
    "Clock",
    "Record",
    "Segment",
    "blocks",
    "chain_folders",
    "made",
    "read_segment",
    "records",
    "rewrite",
]

ANNE, AGENT = "user:anne", "agent:support"
SCOPE = ["can_read ticket:*", "can_update ticket:*", "can_read note:*", "not can_read ticket:hidden"]
MODEL = """
model
  schema 1.1
type user
type agent
type ticket
  relations
    define reader: [user, agent, user:*, agent:*, user with small, agent with small]
    define barred: [user, agent]
    define can_read: reader but not barred
    define can_update: [user, agent]
type note
  relations
    define can_read: [user, agent]
condition small(x: int) {
  x < 10
}
"""


class Clock:
    """A clock that a test sets."""

    def __init__(self, seconds: float = 1_750_000_000) -> None:
        self.seconds = seconds

    def __call__(self) -> datetime:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)


def made(path: Path, count: int = 20, **options: Any) -> fgacore.Engine:
    """A store in which anne and the agent read tickets 0 to count, and update some."""
    engine = fgacore.open(path, **options)
    engine.write_model(MODEL)
    for who in (ANNE, AGENT):
        engine.write([(who, "reader", f"ticket:{number}") for number in range(count)])
        engine.write([(who, "can_update", f"ticket:{number}") for number in range(0, count, 2)])
    return engine


# ---- the bytes ----


@dataclass(frozen=True)
class Record:
    """A record of a block, by its head; `body` is all that follows."""

    kind: int
    flags: int
    sequence: int
    body: bytes

    def bytes(self) -> bytes:
        return struct.pack("<IBBHQ", 16 + len(self.body), self.kind, self.flags, 0, self.sequence) + self.body

    @property
    def note(self) -> tuple[int, Any]:
        """Of a session or context: its number, and what is said of it."""
        number, length = struct.unpack_from("<II", self.body)
        return number, msgpack.unpackb(self.body[8 : 8 + length])


@dataclass(frozen=True)
class Block:
    flags: int
    first: int
    decisions: int
    time: int
    hash: bytes
    signature: bytes
    payload: bytes

    def bytes(self, before: bytes, *, hash: bytes | None = None) -> tuple[bytes, bytes]:
        """The block as it follows another: its bytes and its hash, made anew unless one is given."""
        bare = struct.pack("<IIQIIq", len(self.payload), self.flags, self.first, self.decisions, 0, self.time)
        hash = hash or hashlib.sha256(before + bare + self.payload).digest()
        check = zlib.crc32(bare + hash)
        head = struct.pack("<IIQIIq", len(self.payload), self.flags, self.first, self.decisions, check, self.time) + hash
        return head + self.signature + self.payload, hash

    @property
    def records(self) -> list[Record]:
        found, at = [], 0
        while at < len(self.payload):
            size, kind, flags, zero, sequence = struct.unpack_from("<IBBHQ", self.payload, at)
            assert zero == 0
            assert size % 8 == 0
            found.append(Record(kind, flags, sequence, self.payload[at + 16 : at + size]))
            at += size
        assert at == len(self.payload)
        return found

    def of(self, records: Iterable[Record]) -> Block:
        """The same with other records."""
        records = list(records)
        decisions = [record for record in records if record.kind == 1]
        first = decisions[0].sequence if decisions else self.first
        return replace(self, payload=b"".join(record.bytes() for record in records), decisions=len(decisions), first=first)


@dataclass(frozen=True)
class Segment:
    head: bytes
    blocks: tuple[Block, ...]

    @property
    def before(self) -> bytes:
        """The hash that its first block is chained to."""
        return self.head[72:]


def read_segment(path: Path) -> Segment:
    """A segment, every hash of which is right; nothing else follows in it."""
    data = path.read_bytes()
    magic, version, zero, _, name, number, zeros, before = struct.unpack_from("<8sII16s32sII32s", data)
    assert (magic, version, zero, zeros) == (b"fgadec1\0", 1, 0, 0)
    assert name.rstrip(b"\0").decode() == path.parent.name
    assert path.name == f"{number:06d}.fgd"
    at, found = 104, []
    while at < len(data):
        size, flags, first, decisions, check, time, hash = struct.unpack_from("<IIQIIq32s", data, at)
        bare = data[at : at + 20] + bytes(4) + data[at + 24 : at + 32]
        assert check == zlib.crc32(bare + hash)
        signature = data[at + 64 : at + 128] if flags & 1 else b""
        at += 64 + len(signature)
        payload = data[at : at + size]
        assert hash == hashlib.sha256(before + bare + payload).digest()
        found.append(Block(flags, first, decisions, time, hash, signature, payload))
        before = hash
        at += size
    assert at == len(data)
    return Segment(data[:104], tuple(found))


def chain_folders(directory: Path) -> list[Path]:
    """The folders of the chains, the oldest first."""
    return sorted(found for found in directory.iterdir() if found.is_dir())


def blocks(folder: Path) -> list[Block]:
    """The blocks of a chain, each segment following the one before it, from its genesis on."""
    found: list[Block] = []
    for path in sorted(folder.glob("*.fgd")):
        segment = read_segment(path)
        store = segment.head[16:32]
        genesis = hashlib.sha256(b"fgacore decisions 1\0" + store + folder.name.encode()).digest()
        assert segment.before == (found[-1].hash if found else genesis)
        found += segment.blocks
    return found


def records(folder: Path) -> list[Record]:
    return [record for block in blocks(folder) for record in block.records]


def rewrite(folder: Path, new: Iterable[Block], *, anew: bool = True) -> None:
    """Put other blocks in the place of a chain's, in one segment; anew: with hashes that are right, as one who knows the format would."""
    paths = sorted(folder.glob("*.fgd"))
    head = read_segment(paths[0]).head
    before, data = head[72:], head
    for block in new:
        more, before = block.bytes(before, hash=None if anew else block.hash)
        data += more
    for path in paths[1:]:
        path.unlink()
    paths[0].write_bytes(data)
