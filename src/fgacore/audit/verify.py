"""Finding what was changed in the decision log after it was written. docs/audit.md says what is found by what.

By the chain alone: a block or record changed, removed from the middle, put elsewhere or added; decisions that were made and are not there. By a head
that was kept elsewhere: a chain cut short, written anew, or taken away whole. By a key: whatever somebody without it has written.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from fgacore.errors import FgaError, RequestError, StoreError, quote

from .files import Block, Chain, chains, counted, existing, public_key, read_chain, records

__all__ = ["ChainReport", "Verification", "heads", "verify"]

_HASH = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(slots=True)
class ChainReport:
    """What was found of one chain. head: `CHAIN:SEQUENCE:HASH` of its last good block, to be kept elsewhere; None where it has none.

    missing: (first, after the last) sequence numbers of decisions that were made and are not in it, between those that are. lost: how many were made
    after the last one that is there (a crash), None where that cannot be known. torn: bytes of a last write that was broken off. signed: blocks that
    carry a signature, good by the key where one was given.
    """

    chain: str
    blocks: int = 0
    records: int = 0
    decisions: int = 0
    missing: list[tuple[int, int]] = field(default_factory=list)
    lost: int | None = 0
    is_ended: bool = False
    torn: int = 0
    signed: int = 0
    head: str | None = None
    problems: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Verification:
    """What was found in a decision log. good: nothing was changed, and every head that was given is there.

    Decisions that a crash lost, or that were denied since they could not be kept, are told (`missing`, `lost`) and are no change.
    """

    chains: list[ChainReport]
    problems: list[str]

    @property
    def decisions(self) -> int:
        """How many there are."""
        return sum(chain.decisions for chain in self.chains)

    @property
    def good(self) -> bool:
        """Whether nothing was changed."""
        return not self.problems and not any(chain.problems for chain in self.chains)

    def __bool__(self) -> bool:
        return self.good


def verify(directory: str | os.PathLike[str], heads: Iterable[str] = (), key: bytes | None = None, *, store_id: bytes | None = None) -> Verification:
    """Read every byte of a decision log and say what was changed. heads: kept elsewhere, as `heads` gave them, or their hashes alone. key: the
    public one (Ed25519, raw or PEM), by which every block must be signed. store_id: of the store whose decisions these are to be.

    Raises StoreError where there is no such directory, `unknown_record` where a newer fgacore wrote it.
    """
    directory = existing(directory)
    wanted = [_head(text) for text in heads]
    checker = None if key is None else public_key(key)
    found: set[tuple[str, int, str]] = set()
    reports = [_verify_chain(chain, store_id, checker, set(wanted), found) for chain in chains(directory)]
    problems = [
        f"the head {f'{name}:{sequence}:' if name else ''}{hash[:12]}... is not there: that chain was cut short, written anew or taken away"
        for name, sequence, hash in wanted
        if (name, sequence, hash) not in found
    ]
    return Verification(reports, problems)


def heads(directory: str | os.PathLike[str]) -> list[str]:
    """The head of each chain that has one: keep them elsewhere, and `verify` finds whatever is cut or written anew up to there."""
    found = []
    for chain in chains(existing(directory)):
        last: Block | None = None
        for block in read_chain(chain):
            last = block
        if chain.problem is not None:
            raise StoreError(f"damaged: the decisions of {chain.name}: {chain.problem}", code="corrupt")
        if last is not None:
            found.append(_told(last))
    return found


def _told(block: Block) -> str:
    return f"{block.chain}:{block.next}:{block.hash.hex()}"


def _head(text: str) -> tuple[str, int, str]:
    """(chain, sequence, hash) of a head. A hash alone is of no chain: it is looked for in all."""
    match text.strip().split(":"):
        case [name, sequence, hash] if sequence.isdecimal() and _HASH.fullmatch(hash):
            return name, int(sequence), hash.lower()
        case [hash] if _HASH.fullmatch(hash):
            return "", 0, hash.lower()
    raise RequestError(f"no head of a decision log: {quote(text)}; it is CHAIN:SEQUENCE:HASH, as `fgacore audit head` prints it, or the hash alone")


def _verify_chain(
    chain: Chain, store_id: bytes | None, checker: Any, wanted: set[tuple[str, int, str]], found: set[tuple[str, int, str]]
) -> ChainReport:
    report = ChainReport(chain.name)
    sequence = 0
    numbers: dict[str, int] = {"session": 0, "context": 0}
    try:
        for block in read_chain(chain, store_id):
            report.blocks += 1
            hash = block.hash.hex()
            found.update(wanted & {(block.chain, block.next, hash), ("", 0, hash)})
            if report.is_ended:
                report.problems.append("it goes on after its end")
                break
            if checker is not None and not _is_signed(checker, block):
                report.problems.append(f"block {report.blocks} is not signed by the key")
                break
            report.signed += block.signature is not None
            sequence = _verify_block(block, report, sequence, numbers)
            if report.problems:
                break
            report.head = _told(block)
    except (FgaError, OSError) as error:
        report.problems.append(error.message if isinstance(error, FgaError) else f"it cannot be read: {error.strerror}")
    if chain.problem is not None:
        report.problems.append(chain.problem)
    report.torn = chain.torn
    if report.torn and report.is_ended:
        report.problems.append("there are bytes after its end")
    made = counted(chain)
    if report.is_ended:
        report.lost = 0
    else:  # a counter that is behind was not written when the machine stopped
        report.lost = None if made is None or made < sequence or report.problems else made - sequence
    if made is not None and report.is_ended and made > sequence:
        report.problems.append(f"its counter says {made} decisions, and it was ended with {sequence}")
    return report


def _is_signed(checker: Any, block: Block) -> bool:
    from cryptography.exceptions import InvalidSignature

    if block.signature is None:
        return False
    try:
        checker.verify(block.signature, block.hash)
    except InvalidSignature:
        return False
    return True


def _verify_block(block: Block, report: ChainReport, sequence: int, numbers: dict[str, int]) -> int:
    """Take in the records of a block; the sequence after the last."""
    count, first = 0, block.first
    try:
        for kind, number, value in records(block.payload):
            report.records += 1
            if report.is_ended:
                raise ValueError("it goes on after its end")
            if kind == "end":
                if number < sequence:
                    raise ValueError("its end comes before decisions that it has")
                if number > sequence:
                    report.missing.append((sequence, number))
                sequence, report.is_ended = number, True
            elif kind == "decisions":
                if count == 0:
                    first = number
                count += 1
                if number < sequence:
                    raise ValueError("a decision comes before those that it follows")
                if number > sequence:
                    report.missing.append((sequence, number))
                sequence = number + 1
                report.decisions += value.items
                if not 0 < value.session <= numbers["session"] or value.context > numbers["context"]:
                    raise ValueError("a decision of a session or context that is not there")
            else:
                if value[0] != numbers[kind] + 1:
                    raise ValueError(f"a {kind} out of order")
                numbers[kind] += 1
    except ValueError as error:
        report.problems.append(f"block {report.blocks}: {error}")
        return sequence
    if (count, first) != (block.decisions, block.first):
        report.problems.append(f"block {report.blocks} says other decisions than it has")
    return sequence
