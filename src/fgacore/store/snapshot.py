"""Snapshots: the image of a version in a file, which every process of the machine maps as it lies. A cache of the log, and nothing more.

The sections are streamed, each aligned to 64 bytes. The table of sections and the header come last: a file that was not written to its end is none.
A file gets its name only when it is on the disk, and is never changed or cut afterwards, only unlinked: who has it mapped keeps it.
docs/format.md says what each byte means.
"""

from __future__ import annotations

import errno
import logging
import mmap
import os
import re
import struct
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Any, NoReturn

import msgpack

from fgacore.errors import StoreError, quote
from fgacore.formats import (
    SNAPSHOT_ALIGNMENT,
    SNAPSHOT_HEADER_BYTES,
    SNAPSHOT_MAGIC,
    SNAPSHOT_META,
    SNAPSHOT_NAME,
    SNAPSHOT_SECTIONS,
    SNAPSHOT_VERSION,
)

__all__ = ["Snapshot", "find_snapshots", "open_snapshot", "prune", "set_aside", "write_snapshot"]

_LOG = logging.getLogger("fgacore")

_HEADER = struct.Struct("<8sIIQQQ56x")  # magic, version, 0, size of the file, offset and size of the table
_HASH_BYTES = 32
_SLICE = 1 << 20  # bytes hashed and written, or verified, in one step
_SYNC = 1 << 25  # bytes after which what is written goes to the disk: a sync of the log, which waits for it too, finds little left to do
_LEFT_SECONDS = 3600.0  # after which an unfinished file is nobody's, whatever its process
_NAME = re.compile(re.escape(SNAPSHOT_NAME).replace(r"\{revision\}", "(0|[1-9][0-9]{0,19})"))
_UNFINISHED = re.compile(_NAME.pattern + r"\.([1-9][0-9]{0,9})-[0-9a-f]+\.tmp")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NOT_OURS = {errno.EROFS, errno.EACCES, errno.EPERM}

assert _HEADER.size + _HASH_BYTES == SNAPSHOT_HEADER_BYTES


class Snapshot:
    """A snapshot that is mapped: what its header and table say is checked, and `meta` is verified; the sections are where `verify` says so.

    The mapping goes when nothing refers to the sections any more; there is nothing to close.
    """

    __slots__ = ("_hashes", "meta", "path", "sections", "size")

    def __init__(self, path: Path, size: int, meta: dict[str, Any], sections: dict[str, memoryview], hashes: dict[str, bytes]) -> None:
        self.path = path
        self.size = size
        self.meta = meta
        self.sections = sections
        self._hashes = hashes

    def __repr__(self) -> str:
        return f"<Snapshot {self.path.name}, {self.size} bytes>"

    def verify(self, stop: Callable[[], bool] | None = None) -> bool:
        """Read every section and compare its SHA-256, mostly without the GIL. StoreError `corrupt` names one that differs; False: it was stopped."""
        for name, section in self.sections.items():
            digest = sha256()
            for at in range(0, len(section), _SLICE):
                if stop is not None and stop():
                    return False
                digest.update(section[at : at + _SLICE])
            if digest.digest() != self._hashes[name]:
                _corrupt(self.path, f"its section {name} is not as it was written")
        return True


def _corrupt(path: Path, why: str) -> NoReturn:
    raise StoreError(f"the snapshot {quote(str(path))} is damaged: {why}", code="corrupt")


# ---- writing ----


def write_snapshot(directory: Path, *, meta: Mapping[str, Any], sections: Iterable[tuple[str, bytes | memoryview]]) -> Path:
    """Write the snapshot of the revision in `meta`: its sections in the order in which they come, each in one or more pieces without another between.

    It is complete and on the disk when this returns, and absent where this raises: StoreError `store_full`, `read_only` or `store_unavailable`. What
    killed writers have left in the directory is removed first.
    """
    target = directory / SNAPSHOT_NAME.format(revision=int(meta["revision"]))
    unfinished = target.with_name(f"{target.name}.{os.getpid()}-{token_hex(8)}.tmp")
    try:
        _remove_unfinished(directory)
        descriptor = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            try:
                _write(descriptor, msgpack.packb(dict(meta), use_bin_type=True), sections)
            finally:
                os.close(descriptor)
            os.rename(unfinished, target)
        except BaseException:
            with suppress(OSError):
                os.unlink(unfinished)
            raise
        _sync_directory(directory)
    except OSError as error:
        code = "store_full" if error.errno in _FULL else "read_only" if error.errno in _NOT_OURS else "store_unavailable"
        raise StoreError(f"no snapshot could be written in {quote(str(directory))}: {error.strerror or error}", code=code) from error
    return target


def _write(descriptor: int, meta: bytes, sections: Iterable[tuple[str, bytes | memoryview]]) -> None:
    writer = _Writer(descriptor)
    writer.put(bytes(SNAPSHOT_HEADER_BYTES))
    writer.begin(SNAPSHOT_META)
    writer.add(meta)
    for name, piece in sections:
        if name != writer.name:
            writer.begin(name)
        writer.add(piece)
    writer.end()
    if [name for name, *_ in writer.table] != [SNAPSHOT_META, *SNAPSHOT_SECTIONS]:
        raise ValueError("the sections of a snapshot are those of an image, in their order")
    table = msgpack.packb(writer.table, use_bin_type=True)
    header = _HEADER.pack(SNAPSHOT_MAGIC, SNAPSHOT_VERSION, 0, writer.at + len(table), writer.at, len(table))
    writer.put(table)
    os.fsync(descriptor)
    os.lseek(descriptor, 0, os.SEEK_SET)  # the header last: without it the rest is no snapshot
    writer.put(header + sha256(header + table).digest())
    os.fsync(descriptor)


class _Writer:
    """A file that is written from front to back, in sections."""

    def __init__(self, descriptor: int) -> None:
        self.at = 0
        self.name: str | None = None  # the section under way
        self.table: list[tuple[str, int, int, bytes]] = []
        self._descriptor = descriptor
        self._begin = 0
        self._digest = sha256()
        self._unsynced = 0

    def put(self, data: bytes | memoryview) -> None:
        """Write all of it, and now and then see to it that it is on the disk."""
        left = memoryview(data)
        while left:
            left = left[os.write(self._descriptor, left) :]
        self.at += len(data)
        self._unsynced += len(data)
        if self._unsynced >= _SYNC:
            os.fsync(self._descriptor)
            self._unsynced = 0

    def begin(self, name: str) -> None:
        self.end()
        self.name, self._begin, self._digest = name, self.at, sha256()

    def add(self, piece: bytes | memoryview) -> None:
        for at in range(0, len(piece), _SLICE):
            part = piece[at : at + _SLICE]
            self._digest.update(part)
            self.put(part)

    def end(self) -> None:
        """End the section under way, and fill up to the next border."""
        if self.name is not None:
            self.table.append((self.name, self._begin, self.at - self._begin, self._digest.digest()))
            self.name = None
        self.put(bytes(-self.at % SNAPSHOT_ALIGNMENT))


def _remove_unfinished(directory: Path) -> None:
    """Remove the files of writers that were killed: their process is gone, or they are so old that it must be."""
    for entry in os.listdir(directory):
        found = _UNFINISHED.fullmatch(entry)
        if found is None:
            continue
        with suppress(FileNotFoundError):
            path = directory / entry
            if not _is_alive(int(found[2])) or time.time() - path.stat().st_mtime > _LEFT_SECONDS:
                path.unlink()


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _sync_directory(directory: Path) -> None:
    """See to it that names given and taken in a directory stay so."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# ---- opening ----


def open_snapshot(path: Path) -> Snapshot:
    """Map a snapshot. Its header, its table, the bounds of its sections and its `meta` are checked; a section's content is not: Snapshot.verify.

    StoreError `corrupt`, `unknown_record` for one of a newer fgacore, `store_unavailable` where it cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            size = os.fstat(descriptor).st_size
            if size < SNAPSHOT_HEADER_BYTES:
                _corrupt(path, "it is shorter than its header")
            mapped = memoryview(mmap.mmap(descriptor, size, access=mmap.ACCESS_READ))
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StoreError(f"the snapshot {quote(str(path))} cannot be read: {error.strerror or error}", code="store_unavailable") from error
    header = bytes(mapped[: _HEADER.size])
    magic, version, _, said, table_at, table_size = _HEADER.unpack(header)
    if magic != SNAPSHOT_MAGIC:
        _corrupt(path, "it does not begin as a snapshot does")
    if version > SNAPSHOT_VERSION:
        raise StoreError(f"the snapshot {quote(str(path))} has version {version}: written by a newer fgacore than this one", code="unknown_record")
    if said != size:
        _corrupt(path, f"it has {size} bytes, and should have {said}")
    if not SNAPSHOT_HEADER_BYTES <= table_at <= size or table_size != size - table_at:
        _corrupt(path, "its table does not lie at its end")
    table = bytes(mapped[table_at:])
    if sha256(header + table).digest() != mapped[_HEADER.size : SNAPSHOT_HEADER_BYTES]:
        _corrupt(path, "its header or its table is not as it was written")
    if version != SNAPSHOT_VERSION:
        _corrupt(path, f"it has version {version}, which there never was")
    sections, hashes = _sections(path, mapped, table, table_at)
    meta = sections.pop(SNAPSHOT_META)
    if sha256(meta).digest() != hashes[SNAPSHOT_META]:
        _corrupt(path, f"its section {SNAPSHOT_META} is not as it was written")
    content = _unpack(path, SNAPSHOT_META, bytes(meta))
    if type(content) is not dict:
        _corrupt(path, f"its section {SNAPSHOT_META} is no map")
    return Snapshot(path, size, content, sections, hashes)


def _unpack(path: Path, what: str, data: bytes) -> Any:
    try:
        return msgpack.unpackb(data, raw=False, strict_map_key=True)
    except (ValueError, TypeError, RecursionError) as error:  # msgpack's errors are ValueErrors
        raise StoreError(f"the snapshot {quote(str(path))} is damaged: its {what} is no msgpack", code="corrupt") from error


def _sections(path: Path, mapped: memoryview, table: bytes, end: int) -> tuple[dict[str, memoryview], dict[str, bytes]]:
    """The sections and their hashes, from the table: in their order, one after the other, all of them between the header and the table."""
    sections: dict[str, memoryview] = {}
    hashes: dict[str, bytes] = {}
    rows = _unpack(path, "table", table)
    if type(rows) is not list or len(rows) != 1 + len(SNAPSHOT_SECTIONS):
        _corrupt(path, "its table does not have the sections of a snapshot")
    free = SNAPSHOT_HEADER_BYTES
    for expected, row in zip((SNAPSHOT_META, *SNAPSHOT_SECTIONS), rows, strict=True):
        if type(row) is not list or [type(part) for part in row] != [str, int, int, bytes] or row[0] != expected or len(row[3]) != _HASH_BYTES:
            _corrupt(path, f"its table does not have the section {expected}")
        _, at, size, digest = row
        if at < free or at % SNAPSHOT_ALIGNMENT or not 0 <= size <= end - at:
            _corrupt(path, f"its section {expected} does not lie within the file")
        sections[expected], hashes[expected], free = mapped[at : at + size], digest, at + size
    return sections, hashes


# ---- the files of a directory ----


def find_snapshots(directory: Path) -> list[tuple[int, Path]]:
    """The snapshots in a directory by their names, (revision, path), the newest first; none where the directory is not there."""
    try:
        entries = os.listdir(directory)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(f"{quote(str(directory))} cannot be read: {error.strerror or error}", code="store_unavailable") from error
    found = [(int(match[1]), directory / match[0]) for match in map(_NAME.fullmatch, entries) if match is not None]
    return sorted(found, reverse=True)


def set_aside(path: Path, why: str) -> None:
    """Rename a snapshot that is of no use to `….damaged`, so that nobody opens it again, and warn."""
    try:
        os.replace(path, path.with_name(f"{path.name}.damaged"))
    except FileNotFoundError:  # another process was there first
        return
    except OSError as error:
        _LOG.warning("the snapshot %s is of no use, and could not be set aside (%s): %s", path, error.strerror or error, why)
        return
    _LOG.warning("the snapshot %s is set aside as %s.damaged: %s", path, path.name, why)


def prune(directory: Path, keep: int = 2) -> None:
    """Unlink all snapshots but the newest. Who has one mapped keeps it; what cannot be unlinked stays, with a warning."""
    for _, path in find_snapshots(directory)[keep:]:
        try:
            path.unlink()
        except FileNotFoundError:  # another process was there first
            pass
        except OSError as error:
            _LOG.warning("the old snapshot %s could not be removed: %s", path, error.strerror or error)
