"""The files of the decision log as bytes: segments, blocks, records. What is here reaches the disk: do not change it, see formats.py.

Each chain of blocks is one process's use of one engine, in a folder of its own. A block's hash is over the hash of the block before it, its own head
and its payload, so one hash fixes all that came before. Reading trusts no byte.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, NamedTuple
from zlib import crc32

import msgpack
import numpy as np

from fgacore.errors import RequestError, StoreError
from fgacore.formats import (
    DECISION_FLAG_UNIFORM,
    DECISION_KINDS,
    DECISIONS_FLAG_SIGNED,
    DECISIONS_GENESIS_PREFIX,
    DECISIONS_MAGIC,
    DECISIONS_SEGMENT_NAME,
    DECISIONS_SEQUENCE_NAME,
    DECISIONS_VERSION,
    HASH_BYTES,
    SIGNATURE_BYTES,
    STORE_ID_BYTES,
)

__all__ = [
    "BLOCK_HEAD",
    "SEGMENT_HEAD",
    "Block",
    "Chain",
    "Decided",
    "Opened",
    "block_bytes",
    "chains",
    "end_record",
    "existing",
    "genesis",
    "opened",
    "private_key",
    "public_key",
    "read_chain",
    "records",
    "segment_head",
]

SEGMENT_HEAD = struct.Struct("<8sII16s32sII32s")  # magic, version, zero, store, chain, number, zero, hash of the block before
BLOCK_HEAD = struct.Struct("<IIQIIq32s")  # payload bytes, flags, first sequence, decisions, check of the head, time, hash
RECORD_HEAD = struct.Struct("<IBBHQ")  # size, kind, flags, zero, sequence
DECIDED_HEAD = struct.Struct("<IBBHQQqIIIHH")  # RECORD_HEAD; revision, instant, session, context, count, type, relation
NOTE_HEAD = struct.Struct("<II")  # number, length
_CHAIN = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
_SEGMENT = re.compile(r"([0-9]{6,9})\.fgd")
_CHECK_AT = 20  # of the head of a block: four bytes
_NONE = 0xFFFFFFFF
_KINDS = {number: kind for kind, number in DECISION_KINDS.items()}


# ---- writing ----


def genesis(store_id: bytes, chain: str) -> bytes:
    """What the first block of a chain is chained to."""
    return sha256(DECISIONS_GENESIS_PREFIX + store_id + chain.encode()).digest()


def segment_head(store_id: bytes, chain: str, number: int, before: bytes) -> bytes:
    """The first bytes of a segment."""
    return SEGMENT_HEAD.pack(DECISIONS_MAGIC, DECISIONS_VERSION, 0, store_id, chain.encode(), number, 0, before)


def block_bytes(before: bytes, payload: bytes, first: int, count: int, time: int, sign: Callable[[bytes], bytes] | None) -> tuple[bytes, bytes]:
    """A block that follows the one whose hash is `before`: its bytes, and its hash."""
    head = BLOCK_HEAD.pack(len(payload), 0 if sign is None else DECISIONS_FLAG_SIGNED, first, count, 0, time, b"")
    hash = _hash(before, head, payload)
    head = head[:-HASH_BYTES] + hash
    head = head[:_CHECK_AT] + crc32(head).to_bytes(4, "little") + head[_CHECK_AT + 4 :]
    return head + (b"" if sign is None else sign(hash)) + payload, hash


def _hash(before: bytes, head: bytes, payload: bytes | memoryview) -> bytes:
    """The hash of a block. Its head counts without the hash and the check, which is of both."""
    digest = sha256(before)
    digest.update(head[:_CHECK_AT] + bytes(4) + head[_CHECK_AT + 4 : -HASH_BYTES])
    digest.update(payload)
    return digest.digest()


def end_record(sequence: int) -> bytes:
    """The record with which a chain ends in order."""
    return RECORD_HEAD.pack(RECORD_HEAD.size, DECISION_KINDS["end"], 0, 0, sequence)


# ---- keys ----


def private_key(given: bytes) -> Any:
    """An Ed25519 private key from 32 raw bytes or a PEM. RequestError where it is none, or the library is not there."""
    return _key(given, "the key of the decision log", "private", "32 bytes, or a PEM without a password")


def public_key(given: bytes) -> Any:
    """An Ed25519 public key from 32 raw bytes or a PEM. RequestError where it is none, or the library is not there."""
    return _key(given, "the key", "public", "32 bytes, or a PEM")


def _key(given: bytes, what: str, half: Literal["private", "public"], forms: str) -> Any:
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
    except ImportError as error:
        raise RequestError("signed decisions need cryptography: install `fgacore[audit]`", code="extra_missing") from error
    key: Any
    kind: Any = Ed25519PrivateKey if half == "private" else Ed25519PublicKey
    try:
        if half == "private":
            key = Ed25519PrivateKey.from_private_bytes(given) if len(given) == 32 else load_pem_private_key(given, None)
        else:
            key = Ed25519PublicKey.from_public_bytes(given) if len(given) == 32 else load_pem_public_key(given)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise RequestError(f"{what} is no {half} key of Ed25519: {forms}") from error
    if not isinstance(key, kind):
        raise RequestError(f"{what} is of another kind than Ed25519")
    return key


# ---- reading ----


class Block(NamedTuple):
    """One block, whose hash was found to be right."""

    chain: str
    segment: int
    hash: bytes
    first: int  # sequence of its first decision
    decisions: int  # records of them in it
    time: int
    payload: bytes
    signature: bytes | None

    @property
    def next(self) -> int:
        """The sequence after its last decision, as far as its head says."""
        return self.first + self.decisions


@dataclass(slots=True)
class Chain:
    """What lies in the folder of one chain. `read_chain` fills in what it finds out on the way."""

    folder: Path
    name: str
    torn: int = 0  # bytes at its end that are no whole block: a write that was broken off
    problem: str | None = None  # where it was changed; nothing after it is read


def existing(directory: str | os.PathLike[str]) -> Path:
    """A directory of decisions that is there: a misspelt path is no log without a decision. StoreError where it is not."""
    path = Path(directory)
    if not path.is_dir():
        raise StoreError(f"there are no decisions in {path}: no such directory", code="store_unavailable")
    return path


def chains(directory: Path) -> list[Chain]:
    """The chains in a directory, the oldest first; none where it is not there. StoreError where it cannot be read."""
    try:
        found = [each for each in sorted(directory.iterdir()) if _CHAIN.fullmatch(each.name) and each.is_dir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(f"the decisions in {directory} cannot be read: {error.strerror}", code="store_unavailable") from error
    return [Chain(each, each.name) for each in found]


def counted(chain: Chain) -> int | None:
    """How many decisions its process made, as far as it said so; None: it did not."""
    try:
        data = (chain.folder / DECISIONS_SEQUENCE_NAME).read_bytes()
    except OSError:
        return None
    return int.from_bytes(data[:8], "little") if len(data) == 8 else None


def read_chain(chain: Chain, store_id: bytes | None = None) -> Iterator[Block]:
    """The blocks of a chain, each checked against the one before it, up to the first that was changed: then `chain.problem` says where."""
    before: bytes | None = None
    names = sorted((each.name for each in chain.folder.iterdir() if _SEGMENT.fullmatch(each.name)), key=lambda name: int(name[:-4]))
    for number, name in enumerate(names, start=1):
        if name != DECISIONS_SEGMENT_NAME.format(number=number):
            chain.problem = f"segment {number} is missing"
            return
        place = f"segment {number}"
        with (chain.folder / name).open("rb") as file:
            head = file.read(SEGMENT_HEAD.size)
            if len(head) < SEGMENT_HEAD.size:
                if number == len(names):
                    chain.torn += len(head)
                else:
                    chain.problem = f"{place} is cut off"
                return
            magic, version, zero, store, said, stands, zeros, follows = SEGMENT_HEAD.unpack(head)
            if magic == DECISIONS_MAGIC and version > DECISIONS_VERSION:
                raise StoreError(f"{chain.name}, {place}: written by a newer fgacore than this one", code="unknown_record")
            if before is None:
                before = genesis(store, chain.name)
            if (magic, version, zero, zeros, stands) != (DECISIONS_MAGIC, DECISIONS_VERSION, 0, 0, number) or said.rstrip(
                b"\0"
            ) != chain.name.encode():
                chain.problem = f"the head of {place} is none"
                return
            if follows != before or (store_id is not None and store != store_id):
                chain.problem = f"{place} does not follow the one before it" if number > 1 else f"{place} is of another store"
                return
            for block in _blocks(chain, file, number, before, is_last=number == len(names)):
                before = block.hash
                yield block
        if chain.problem is not None:
            return


def _blocks(chain: Chain, file: Any, segment: int, before: bytes, *, is_last: bool) -> Iterator[Block]:
    while True:
        at = file.tell()
        head = file.read(BLOCK_HEAD.size)
        if not head:
            return
        if len(head) < BLOCK_HEAD.size or not any(head):  # cut off, or zeros that a file system has put where nothing came any more
            rest = head + file.read()
            _end(chain, segment, at, len(rest), is_torn=is_last and (len(rest) < BLOCK_HEAD.size or not any(rest)))
            return
        size, flags, first, count, check, time, hash = BLOCK_HEAD.unpack(head)
        if flags & ~DECISIONS_FLAG_SIGNED or check != crc32(head[:_CHECK_AT] + bytes(4) + head[_CHECK_AT + 4 :]):
            chain.problem = f"the head of the block at byte {at} of segment {segment} is not what was written"
            return
        signature = file.read(SIGNATURE_BYTES) if flags & DECISIONS_FLAG_SIGNED else None
        payload = file.read(size)
        if len(payload) < size or (signature is not None and len(signature) < SIGNATURE_BYTES):
            _end(chain, segment, at, len(head) + len(signature or b"") + len(payload), is_torn=is_last)
            return
        if _hash(before, head, payload) != hash:
            chain.problem = f"the block at byte {at} of segment {segment} is not what was written, or does not follow the one before it"
            return
        before = hash
        yield Block(chain.name, segment, hash, first, count, time, payload, signature)


def _end(chain: Chain, segment: int, at: int, size: int, *, is_torn: bool) -> None:
    """What follows is no whole block: a write that was broken off, or something that was cut."""
    if is_torn:
        chain.torn += size
    else:
        chain.problem = f"segment {segment} is cut off at byte {at}"


class Decided(NamedTuple):
    """A record of decisions: its head, and where the rest lies."""

    sequence: int
    revision: int
    instant: int
    session: int
    context: int
    items: int  # decisions in it
    type: int  # of all, where it is uniform; with the relation
    relation: int
    is_uniform: int  # as a truth
    payload: bytes
    start: int
    end: int


_new = tuple.__new__  # as Decided(...), without a frame of Python for each
_DECISIONS = DECISION_KINDS["decisions"]


class Opened(NamedTuple):
    """What lies in a record of decisions. codes: a byte for each, with the link (formats.py DECISION_CODES)."""

    types: np.ndarray[Any, np.dtype[np.uint16]]
    relations: np.ndarray[Any, np.dtype[np.uint16]]
    ids: np.ndarray[Any, np.dtype[np.uint32]]
    codes: np.ndarray[Any, np.dtype[np.uint8]]
    texts: list[str]


def records(payload: bytes) -> Iterator[tuple[str, int, Any]]:
    """(kind, sequence, value) of each record of a block: a Decided, (number, what msgpack says) of a session or context, None of an end.

    ValueError where the bytes are none: they were hashed, so whoever wrote them wrote that.
    """
    at, end, least = 0, len(payload), DECIDED_HEAD.size
    while at < end:
        if end - at >= least and payload[at + 4] == _DECISIONS:  # most of them
            size, _, flags, zero, sequence, revision, instant, session, context, count, type, relation = DECIDED_HEAD.unpack_from(payload, at)
            uniform = flags & DECISION_FLAG_UNIFORM
            start = at + least
            if zero or size % 8 or size > end - at or count == 0 or size - least < (4 if uniform else 8) * count + (count + 7) // 8:
                raise ValueError("the head of a record is none")
            at += size
            yield (
                "decisions",
                sequence,
                _new(Decided, (sequence, revision, instant, session, context, count, type, relation, uniform, payload, start, at)),
            )
            continue
        if end - at < RECORD_HEAD.size:
            raise ValueError("a record is cut off")
        size, number, flags, zero, sequence = RECORD_HEAD.unpack_from(payload, at)
        kind = _KINDS.get(number)
        if kind is None or zero or size % 8 or not RECORD_HEAD.size <= size <= end - at:
            raise ValueError("the head of a record is none")
        start = at + RECORD_HEAD.size
        if kind == "decisions":
            raise ValueError("a record is cut off")
        if kind == "end":
            yield kind, sequence, None
        else:
            if size < RECORD_HEAD.size + NOTE_HEAD.size:
                raise ValueError("a record is cut off")
            what, length = NOTE_HEAD.unpack_from(payload, start)
            start += NOTE_HEAD.size
            if length > at + size - start:
                raise ValueError("a record is cut off")
            yield kind, sequence, (what, msgpack.unpackb(payload[start : start + length], raw=False))
        at += size


def opened(decided: Decided) -> Opened:
    """What lies in a record. ValueError where its bytes are none."""
    payload, at, end, count = decided.payload, decided.start, decided.end, decided.items
    if decided.is_uniform:
        types, relations = np.full(count, decided.type, np.uint16), np.full(count, decided.relation, np.uint16)
    else:
        pairs = np.frombuffer(payload, "<u2", 2 * count, at).reshape(count, 2)
        types, relations = np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])
        at += 4 * count
    ids = np.frombuffer(payload, "<u4", count, at)
    at += 4 * count
    bits = np.unpackbits(np.frombuffer(payload, np.uint8, (count + 7) // 8, at), count=count, bitorder="little")
    at += (count + 7) // 8
    denied = count - int(bits.sum())
    if end - at < denied:
        raise ValueError("a record is cut off")
    codes = np.zeros(count, np.uint8)
    codes[bits == 0] = np.frombuffer(payload, np.uint8, denied, at)
    at += denied
    texts = []
    for _ in range(int((ids == _NONE).sum())):
        length = int.from_bytes(payload[at : at + 2], "little")
        at += 2
        if at + length > end:
            raise ValueError("a record is cut off")
        texts.append(payload[at : at + length].decode())
        at += length
    return Opened(types, relations, ids, codes, texts)


assert SEGMENT_HEAD.size == 8 + 4 + 4 + STORE_ID_BYTES + 32 + 4 + 4 + HASH_BYTES
assert BLOCK_HEAD.size == 64
