"""Records as bytes, and the chain of hashes over them. What is here reaches the disk: do not change it, see formats.py.

A record is one msgpack array in the one form in which `encode` writes it. `decode` trusts no byte: what it returns encodes to the same bytes
again, so there is no extension type, no duplicate key and no second spelling. What a payload means, and whether it is one, is for its reader.
"""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple, NoReturn

import msgpack

from fgacore.errors import LimitError, StoreError
from fgacore.formats import GENESIS_PREFIX, KINDS, RECORD_VERSION
from fgacore.limits import RECORD_BYTES_MAX

__all__ = ["Record", "chain", "decode", "encode", "genesis"]

_NAMES = {number: name for name, number in KINDS.items()}
_INTEGER_END = 1 << 63  # the databases' integers
_FIELD_COUNT = 9


class Record(NamedTuple):
    """One record of the log.

    time: microseconds since the epoch, never less than the record's before it.
    more: the state is whole only with a later record (an import in one piece, a checkpoint): readers do not stop at it.
    payload: lists, texts, bytes, integers, booleans, None and dicts; lists come back as lists, whatever they were.
    """

    revision: int
    generation: int
    time: int
    kind: str
    more: bool
    actor: str | None
    reason: str | None
    payload: object


def encode(record: Record) -> bytes:
    """The bytes of a record. LimitError for one that is too large: the caller splits it before."""
    kind = KINDS[record.kind]
    try:
        data: bytes = msgpack.packb(
            [RECORD_VERSION, record.generation, record.revision, record.time, kind, record.more, record.actor, record.reason, record.payload],
            use_bin_type=True,
        )
    except MemoryError as error:  # msgpack's own bound
        raise _too_large(record) from error
    if len(data) > RECORD_BYTES_MAX:
        raise _too_large(record)
    return data


def _too_large(record: Record) -> LimitError:
    return LimitError(f"revision {record.revision} comes to a record of more than RECORD_BYTES_MAX = {RECORD_BYTES_MAX} bytes: write it in parts")


def decode(data: bytes) -> Record:
    """The record of these bytes, exactly as `encode` wrote them.

    StoreError `unknown_record` for a version or kind of a newer fgacore, `corrupt` for everything else that is no record.
    """
    if len(data) > RECORD_BYTES_MAX:
        _corrupt(f"it has more than RECORD_BYTES_MAX = {RECORD_BYTES_MAX} bytes")
    try:
        fields = msgpack.unpackb(data, raw=False, use_list=True, strict_map_key=False, timestamp=2, ext_hook=_Unknown)
    except (ValueError, TypeError, RecursionError) as error:  # msgpack's errors are ValueErrors; a dict may have a key that is no key
        raise StoreError(f"a record is damaged: its bytes are no msgpack ({type(error).__name__})", code="corrupt") from error
    if type(fields) is not list or not fields or type(fields[0]) is not int or fields[0] < 1:
        _corrupt("it begins with no version")
    if fields[0] > RECORD_VERSION:
        raise StoreError(f"a record has version {fields[0]}: written by a newer fgacore than this one, which must not skip it", code="unknown_record")
    if len(fields) != _FIELD_COUNT:
        _corrupt(f"it has {len(fields)} fields")
    _, generation, revision, time, kind, more, actor, reason, payload = fields
    for name, value, least in (("generation", generation, 1), ("revision", revision, 1), ("time", time, 0), ("kind", kind, 1)):
        if type(value) is not int or not least <= value < _INTEGER_END:
            _corrupt(f"its {name} is none")
    if type(more) is not bool:
        _corrupt("its mark of more to come is none")
    for name, value in (("actor", actor), ("reason", reason)):
        if value is not None and type(value) is not str:
            _corrupt(f"its {name} is no text")
    if kind not in _NAMES:
        raise StoreError(
            f"revision {revision} is a record of kind {kind}: of a newer fgacore than this one, which must not skip it", code="unknown_record"
        )
    try:
        same = msgpack.packb(fields, use_bin_type=True) == data
    except (ValueError, TypeError, OverflowError):
        same = False
    if not same:
        _corrupt("it is not in the form in which records are written")
    return Record(revision, generation, time, _NAMES[kind], more, actor, reason, payload)


class _Unknown:
    """An extension type: nothing that could be packed again, so no record of this version has one."""

    def __init__(self, code: int, data: bytes) -> None:
        pass


def _corrupt(why: str) -> NoReturn:
    raise StoreError(f"a record is damaged: {why}", code="corrupt")


def chain(previous: bytes, data: bytes) -> bytes:
    """The hash of a record that follows the one whose hash is `previous`."""
    digest = sha256(previous)
    digest.update(data)
    return digest.digest()


def genesis(store_id: bytes) -> bytes:
    """What the first record of a store is chained to."""
    return sha256(GENESIS_PREFIX + store_id).digest()
