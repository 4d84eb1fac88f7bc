"""What a large store costs: memory, import, opening, durable writes, cold questions, batches beside another process's writes, replay and the past.

    python -m benchmarks.scale [--size 10000000] [--keep DIR] [--json FILE]

The data is `scenarios/large.py`: so many tuples over 30 % as many names. Each part runs in a process of its own, opened and measured there, and its
answers are compared with the data's rule before a figure counts. `must` is the bound that the project has set itself, `aim` what it would like.
Needs Linux (/proc) and, for ten million tuples, 8 GB of memory and 4 GB of disk. TMPDIR says where: on a file system in memory a durable write
costs no more than any other.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import multiprocessing
import random
import shutil
import sqlite3
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from itertools import chain, count, islice, repeat
from mmap import PAGESIZE
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter, perf_counter_ns, sleep
from typing import Any, NamedTuple, TypeVar

import numpy as np

import fgacore
import fgacore.store.sqlite  # a store on disk takes it: no import is timed

from .machine import facts, line
from .scenarios import VIEWER, Triple, WrongAnswer
from .scenarios.large import MODEL, Batch, Large, Questions, texts, to_csv, to_triples
from .timing import in_turn, quiet

__all__ = ["Amounts", "Must", "amount", "apart", "main", "make_row", "measure"]

BATCH = 500
IMPORTS = 3  # of each kind: whether the system has the memory at hand makes twice the time
WRITERS = 8  # threads that make the log of single writes: they share commits

Row = dict[str, Any]
Result = TypeVar("Result")


class Must(NamedTuple):
    """A bound on a figure, and what would be liked better."""

    bound: float
    aim: float | None = None
    least: bool = False  # at least, instead of at most

    def holds(self, value: float, bound: float) -> bool:
        return value >= bound if self.least else value <= bound

    def tell(self, bound: float) -> str:
        return f"{'>=' if self.least else '<='} {bound:,g}" if bound < 1e6 else f"{'>=' if self.least else '<='} {bound:,.0f}"


def make_row(value: float, unit: str, told: str = "", must: Must | None = None) -> Row:
    """A figure with its unit, what else there is to say, and whether it keeps within its bounds."""
    row: Row = {"value": value, "unit": unit, "told": told}
    if must is not None:
        row |= {"must": must.tell(must.bound), "holds": must.holds(value, must.bound)}
        if must.aim is not None:
            row |= {"aim": must.tell(must.aim), "reached": must.holds(value, must.aim)}
    return row


def amount(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def apart(run: Callable[..., Result], *arguments: Any) -> Result:
    """Run in a fresh process, in which nothing but the imports of this module has happened."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(run, *arguments).result()


# ---- what a process has in memory ----


class Memory(NamedTuple):
    """Bytes resident: of the process alone, and all, mapped files included."""

    own: int
    all: int


def memory() -> Memory:
    found = dict(text.split(":", 1) for text in Path("/proc/self/status").read_text(encoding="utf-8").splitlines())
    own, file, shared = (int(found[name].split()[0]) << 10 for name in ("RssAnon", "RssFile", "RssShmem"))
    return Memory(own, own + file + shared)


def touch_snapshots() -> int:
    """Read from every page of the snapshots that this process has mapped, so that all of them count as its own; their size."""
    size = 0
    for text in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        if text.endswith(".fga"):
            begin, end = (int(each, 16) for each in text.split(maxsplit=1)[0].split("-"))
            np.ctypeslib.as_array((ctypes.c_uint8 * (end - begin)).from_address(begin))[::PAGESIZE].sum()
            size += end - begin
    if not size:
        raise RuntimeError("no snapshot is mapped: the store was opened from its log")
    return size


# ---- answers ----


def verify(engine: fgacore.Engine, large: Large, seed: int) -> None:
    """Hold the store to the rule: its tuples by number, and questions of its users."""
    if (found := engine.stats().tuples) != large.tuple_count:
        raise WrongAnswer(f"{found:,} tuples are stored, should be {large.tuple_count:,}")
    questions, answers = Questions(large, seed).singles(min(200, large.users // 8))
    same(list(engine.batch_check(questions)), answers, "a batch of questions")


def same(found: Sequence[bool], right: Sequence[bool], told: str) -> None:
    if list(found) != list(right):
        wrong = sum(given != wanted for given, wanted in zip(found, right, strict=True))
        raise WrongAnswer(f"{told}: {wrong} of {len(right)} answers are wrong")


# ---- import ----


class Imported(NamedTuple):
    seconds: float
    snapshot_seconds: float
    grown: int  # bytes that the importing process has more than before


class Ready:
    """The triples in the order of writing, each lot made before it is asked for: `seconds` is what making them took."""

    def __init__(self, large: Large) -> None:
        self.large = large
        self.seconds = 0.0

    def __iter__(self) -> Iterator[Triple]:
        return chain.from_iterable(self._lots())

    def _lots(self) -> Iterator[list[Triple]]:
        started = perf_counter()
        for columns in self.large.columns():
            made = to_triples(columns)
            self.seconds += perf_counter() - started
            yield made
            started = perf_counter()
        self.seconds += perf_counter() - started


def import_store(path: Path, tuple_count: int, source: Path | None, lots: int | None = None) -> Imported:
    """Make a store of a CSV, or of ready triples: in one piece or in lots. From the call to the commit, all that is written and synced included."""
    large = Large(tuple_count)
    ready = Ready(large)
    before = memory()
    with fgacore.open(path) as engine:
        engine.write_model(MODEL)
        with quiet():
            started = perf_counter()
            result = engine.import_tuples(source if source is not None else ready, lots=lots)
            seconds = perf_counter() - started - ready.seconds
        if (result.read, result.written, result.skipped) != (tuple_count, tuple_count, 0):
            raise WrongAnswer(f"{tuple_count:,} tuples were imported: {result}")
        started = perf_counter()
        engine.merge()
        snapshot_seconds = perf_counter() - started
        grown = memory().all - before.all
        verify(engine, large, seed=1)
    return Imported(seconds, snapshot_seconds, grown)


def write_csv(path: Path, large: Large) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write("subject,relation,object\n")
        file.writelines(map(to_csv, large.columns()))


# ---- opening ----


class Opened(NamedTuple):
    seconds: float  # of open and the first check
    grown: Memory  # by open and the first check
    whole: Memory  # with every page of the snapshot in memory
    mapped: int


def open_store(path: Path, tuple_count: int, seed: int) -> Opened:
    """Open the store for reading and ask one question."""
    (question, *_), (answer, *_) = Questions(Large(tuple_count), seed).singles(2)
    gc.collect()
    before = memory()
    started = perf_counter()
    with fgacore.open(path, read_only=True) as engine:
        found = engine.check(*question)
        seconds = perf_counter() - started
        first = memory()
        mapped = touch_snapshots()
        last = memory()
        same([found], [answer], "the first check")
    return Opened(seconds, _grown(before, first), _grown(before, last), mapped)


def _grown(before: Memory, after: Memory) -> Memory:
    return Memory(after.own - before.own, after.all - before.all)


# ---- cold questions ----


class Cold(NamedTuple):
    """Nanoseconds a question, medians."""

    single: float
    list: float
    triples: float


def ask_cold(path: Path, tuple_count: int, singles: int, lists: int) -> Cold:
    """Ask for names that were never asked for in this process, over a snapshot that is in memory: one by one by the hundred, one user's batches,
    and batches of as many users.
    """
    large = Large(tuple_count)
    questions = Questions(large, seed=3)
    size = min(BATCH, large.documents // (2 * lists))
    hundreds = [questions.singles(100) for _ in range(singles // 100)]
    batches = [questions.batch(size) for _ in range(lists)]
    many = [questions.singles(size) for _ in range(lists // 4)]
    times: dict[str, list[float]] = {"single": [], "list": [], "triples": []}
    with fgacore.open(path, read_only=True, verify=True) as engine, quiet():
        touch_snapshots()
        check = engine.check
        for asked, answers in hundreds:
            started = perf_counter_ns()
            found = [check(subject, relation, object) for subject, relation, object in asked]
            times["single"].append((perf_counter_ns() - started) / len(asked))
            same(found, answers, "cold checks")
        for one in batches:
            started = perf_counter_ns()
            found = engine.check_objects(one.subject, VIEWER, one.objects)
            times["list"].append((perf_counter_ns() - started) / size)
            same(found, one.answers, "a cold batch of one user")
        for asked, answers in many:
            started = perf_counter_ns()
            results = engine.batch_check(asked)
            times["triples"].append((perf_counter_ns() - started) / size)
            same(list(results), answers, "a cold batch of many users")
    return Cold(*(statistics.median(taken) for taken in times.values()))


# ---- durable writes ----


class Written(NamedTuple):
    """Microseconds a write, and a bare commit of as many bytes; medians in turn."""

    one: float
    one_bare: float
    thousand: float
    thousand_bare: float


class Bare:
    """The least there is: a commit of so many bytes to a SQLite file, with the log's own settings."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None)
        for name, value in (("journal_mode", "WAL"), ("synchronous", "FULL")):
            self.connection.execute(f"PRAGMA {name}={value}")
        self.connection.execute("CREATE TABLE log (revision INTEGER PRIMARY KEY, record BLOB NOT NULL)")

    def commit(self, record: bytes) -> None:
        execute = self.connection.execute
        execute("BEGIN IMMEDIATE")
        execute("INSERT INTO log (record) VALUES (?)", (record,))
        execute("COMMIT")

    def close(self) -> None:
        self.connection.close()


def newest_record(path: Path) -> int:
    """Bytes of the newest record and its hash."""
    connection = sqlite3.connect(path / "log.sqlite")
    ((size,),) = connection.execute("SELECT length(record) + length(hash) FROM log ORDER BY revision DESC LIMIT 1")
    connection.close()
    return int(size)


def write_durably(path: Path, tuple_count: int, rounds: int) -> Written:
    """One tuple of new names, and a thousand: ten known users on each of a hundred new documents; beside bare commits of the same bytes."""
    large, numbers, chance = Large(tuple_count), count(), random.Random(5)
    asked: list[Triple] = []

    def one() -> list[Triple]:
        number = next(numbers)
        return [(f"user:new-{number}", VIEWER, f"document:new-{number}")]

    def thousand() -> list[Triple]:
        return [
            (texts("user", user), VIEWER, f"document:new-{number}")
            for number in islice(numbers, 100)
            for user in chance.sample(range(large.users), 10)
        ]

    medians: list[float] = []
    bare = Bare(path.parent / "bare.sqlite")
    with fgacore.open(path) as engine:
        stored, written = engine.stats().tuples, 0
        for make, turns in ((one, rounds), (thousand, max(1, rounds // 4))):
            tuples = make()
            engine.write(tuples)
            record = random.Random(6).randbytes(newest_record(path))
            with quiet():
                medians += in_turn([(engine.write, make), (bare.commit, repeat(record).__next__)], turns, 1, warm=False)
            asked += tuples
            written += len(tuples) * (turns + 1)
        if engine.stats().tuples != stored + written:
            raise WrongAnswer(f"{written} tuples were written, {engine.stats().tuples - stored} are there")
        same(list(engine.batch_check(asked)), [True] * len(asked), "what was written")
    bare.close()
    one_ns, one_bare, thousand_ns, thousand_bare = medians
    return Written(one_ns / 1e3, one_bare / 1e3, thousand_ns / 1e3, thousand_bare / 1e3)


# ---- beside another process's writes ----


BESIDE = {  # what the other process writes, each ten tuples
    "documents": "a new document's folder, group and eight users",
    "grants": "ten documents granted to a new user",
}


class Beside(NamedTuple):
    """Microseconds a batch: the median without writes, and with them median and p99; writes a second that there were."""

    without: float
    median: float
    p99: float
    writes: float


def write_steadily(path: Path, tuple_count: int, sort: str, seconds: float, pipe: Connection) -> None:
    """In a process of its own: a hundred writes a second of ten tuples each, of a sort of BESIDE."""
    large, chance = Large(tuple_count), random.Random(7)
    with fgacore.open(path) as engine:
        begun = engine.revision
        pipe.send(None)
        pipe.recv()
        started, number, revision, written = perf_counter(), 0, 0, []
        while (now := perf_counter() - started) < seconds:
            if now < number / 100:
                sleep(number / 100 - now)
            new = f"new-{begun}-{number}"
            if sort == "documents":
                folder, group = texts("folder", chance.randrange(large.folders)), texts("group", chance.randrange(large.groups))
                users = [texts("user", user) for user in chance.sample(range(large.users), 8)]
                document = f"document:{new}"
                written = [(user, VIEWER, document) for user in users] + [(folder, "parent", document), (f"{group}#member", VIEWER, document)]
            else:
                written = [(f"user:{new}", VIEWER, texts("document", document)) for document in chance.sample(range(large.documents), 10)]
            revision = engine.write(written)
            number += 1
        pipe.send((number / (perf_counter() - started), revision, written[0]))


def ask_beside(path: Path, tuple_count: int, sort: str, seconds: float, every: float) -> Beside:
    """Batches of known users and documents, back to back or one `every` so many seconds, first alone and then while another process writes."""
    large = Large(tuple_count)
    questions = Questions(large, seed=8)
    lists = [questions.batch(min(BATCH, large.documents // 40)) for _ in range(20)]
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    with fgacore.open(path, read_only=True) as engine:
        writer = context.Process(target=write_steadily, args=(path, tuple_count, sort, seconds, there))
        writer.start()
        there.close()
        try:
            here.recv()
            with quiet():
                ask_lists(engine, lists, min(1.0, seconds), every)
                alone = ask_lists(engine, lists, seconds / 2, every)
                here.send(None)
                taken = ask_lists(engine, lists, seconds, every)
            writes, revision, question = here.recv()
            engine.wait_for(revision, 10)
            same([engine.check(*question)], [True], "what the other process wrote")
        finally:
            here.close()
            writer.join()
    return Beside(statistics.median(alone), statistics.median(taken), float(np.percentile(taken, 99)), writes)


def ask_lists(engine: fgacore.Engine, lists: list[Batch], seconds: float, every: float) -> list[float]:
    """Microseconds of each batch."""
    taken: list[float] = []
    begun = perf_counter()
    while (now := perf_counter() - begun) < seconds or not taken:
        if now < len(taken) * every:
            sleep(len(taken) * every - now)
        one = lists[len(taken) % len(lists)]
        started = perf_counter_ns()
        found = engine.check_objects(one.subject, VIEWER, one.objects)
        taken.append((perf_counter_ns() - started) / 1e3)
        if found != one.answers:
            raise WrongAnswer("a batch beside writes is answered wrongly")
    return taken


# ---- replay and the past ----


class Replayed(NamedTuple):
    """Tuples a second."""

    opened: float
    past: float | None


def copy_log(path: Path, target: Path) -> None:
    """The log alone, by SQLite's own backup."""
    target.mkdir(mode=0o700)
    source, copy = sqlite3.connect(path / "log.sqlite"), sqlite3.connect(target / "log.sqlite")
    source.backup(copy)
    source.close()
    copy.close()


def replay(path: Path, large: Large, *, each: int | None) -> Replayed:
    """Open a copy of the log, where there is no snapshot; and where each record has so many tuples, go to the middle of them."""
    started = perf_counter()
    with fgacore.open(path, read_only=True) as engine:
        seconds = perf_counter() - started
        stored = engine.stats().tuples
        if each is None:
            verify(engine, large, seed=9)
            return Replayed(stored / seconds, None)
        middle = engine.revision // 2
        started = perf_counter()
        with engine.at(middle) as past:
            past_seconds = perf_counter() - started
            hold_prefix(past, large, (middle - 1) * each)
            then = past.stats().tuples
    return Replayed(stored / seconds, then / past_seconds)


def hold_prefix(engine: fgacore.Engine, large: Large, tuple_count: int) -> None:
    """Hold a store to the rule that has the first tuples and not those after them."""
    if (found := engine.stats().tuples) != tuple_count:
        raise WrongAnswer(f"{found:,} tuples were stored then, should be {tuple_count:,}")
    whole = large.whole_documents(tuple_count)
    some = random.Random(10).sample(range(large.documents), min(200, large.documents))
    asked = [document for document in some if document < whole or document > whole]  # that one may be there in part
    questions = [(texts("user", int(large.first_user[document])), VIEWER, texts("document", document)) for document in asked]
    same(list(engine.batch_check(questions)), [document < whole for document in asked], "the state of then")


def replay_lots(path: Path, tuple_count: int, each: int | None) -> Replayed:
    return replay(path, Large(tuple_count), each=each)


def write_singles(path: Path, tuple_count: int, single_count: int) -> None:
    """A log of so many writes of one tuple each, in order."""
    tuples = list(islice(Ready(Large(tuple_count)), single_count))
    with fgacore.open(path) as engine:
        engine.write_model(MODEL)
        with ThreadPoolExecutor(WRITERS) as pool:
            revisions = list(pool.map(lambda each: engine.write([each]), tuples, chunksize=1))
        if sorted(revisions) != list(range(2, single_count + 2)):
            raise WrongAnswer("writes of one tuple have revisions of their own, one after the other")


def replay_singles(path: Path, single_count: int) -> Replayed:
    started = perf_counter()
    with fgacore.open(path, read_only=True) as engine:
        seconds = perf_counter() - started
        stored, middle = engine.stats().tuples, engine.revision // 2
        started = perf_counter()
        with engine.at(middle) as past:
            past_seconds = perf_counter() - started
            then = past.stats().tuples
    if (stored, then) != (single_count, middle - 1):
        raise WrongAnswer(f"{stored} single tuples are stored and {then} were then, should be {single_count} and {middle - 1}")
    return Replayed(stored / seconds, then / past_seconds)


# ---- all of it ----


class Amounts(NamedTuple):
    """How much of everything."""

    tuples: int = 10_000_000
    singles: int = 50_000
    opened: int = 7
    cold: int = 2_000
    lists: int = 40
    rounds: int = 200
    seconds: float = 5.0


AMOUNTS = {
    "singles": "tuples in the log of single writes",
    "opened": "times that the store is opened",
    "cold": "cold questions, by the hundred",
    "lists": "cold batches of one user",
    "rounds": "durable writes of one tuple",
    "seconds": "beside another process's writes",
}


def measure(directory: Path, amounts: Amounts) -> Iterator[tuple[str, Row]]:
    """Every row, as it is measured. What is made in the directory stays there."""
    tuple_count = amounts.tuples
    large = Large(tuple_count)
    store, source = directory / "store", directory / "tuples.csv"

    write_csv(source, large)
    speed, runs = "tuples a second", []
    for _ in range(IMPORTS):
        shutil.rmtree(store, ignore_errors=True)
        runs.append(imported := apart(import_store, store, tuple_count, None))
    told = f"in one piece, median of {IMPORTS}"
    yield "import, an iterable of triples", make_row(tuple_count / statistics.median(run.seconds for run in runs), speed, told, Must(1e6, least=True))
    runs.clear()
    for _ in range(IMPORTS):
        runs.append(apart(import_store, directory / "csv", tuple_count, source))
        shutil.rmtree(directory / "csv")
    told += f", {source.stat().st_size / tuple_count:.0f} bytes a line"
    yield "import, CSV", make_row(tuple_count / statistics.median(run.seconds for run in runs), speed, told, Must(1.5e6, least=True))
    each = min(100_000, tuple_count // 10)
    by_lots = apart(import_store, directory / "lots", tuple_count, None, each)
    yield f"import, triples in lots of {each:,}", make_row(tuple_count / by_lots.seconds, speed, "each lot a record and a commit")

    yield from _memory_rows(store, tuple_count, amounts.opened, imported)
    found = apart(ask_cold, store, tuple_count, amounts.cold, amounts.lists)
    yield "cold check", make_row(found.single / 1e3, "us", "a user and a document never asked for", Must(3.0))
    yield f"cold batch of {BATCH}, one user", make_row(found.list, "ns an item", "a user and documents never asked for", Must(250.0))
    yield f"cold batch of {BATCH}, many users", make_row(found.triples, "ns an item", "users and documents never asked for")

    yield from _replay_rows(directory, tuple_count, each, min(amounts.singles, tuple_count))
    yield from _write_rows(store, tuple_count, amounts)


def _memory_rows(store: Path, tuple_count: int, opened: int, imported: Imported) -> Iterator[tuple[str, Row]]:
    with fgacore.open(store, read_only=True) as engine:  # by a first process; those that are measured come after it
        names = engine.stats().names
        runs = [apart(open_store, store, tuple_count, seed) for seed in range(opened)]
    mapped = runs[0].mapped
    grown = max(run.whole.all for run in runs) / tuple_count
    told = f"{names:,} names and both directions, every page of the snapshot ({mapped / tuple_count:.1f} bytes) in memory"
    yield "memory", make_row(grown, "bytes a tuple", told, Must(40.0, 25.0))
    told = "after the merge, of the snapshot what was read"
    yield "memory, the process that imported", make_row(imported.grown / tuple_count, "bytes a tuple", told)
    yield "snapshot written", make_row(tuple_count / imported.snapshot_seconds, "tuples a second", f"{imported.snapshot_seconds:.2f} s, and mapped")
    told = f"to the first answer, median of {opened}"
    yield "open", make_row(statistics.median(run.seconds for run in runs) * 1e3, "ms", told, Must(20.0))
    own = max(run.grown.own for run in runs)
    told = f"{own / 2**20:.1f} MiB of its own, opened and asked, beside a snapshot of {mapped / 2**20:,.0f} MiB"
    yield "a second process", make_row(100 * own / mapped, "% of the snapshot", told, Must(10.0))


def _replay_rows(directory: Path, tuple_count: int, each: int, single_count: int) -> Iterator[tuple[str, Row]]:
    must, speed = Must(5e5, least=True), "tuples a second"
    copy_log(directory / "store", directory / "log")
    found = apart(replay_lots, directory / "log", tuple_count, None)
    told = f"opened without a snapshot; {(directory / 'log' / 'log.sqlite').stat().st_size / tuple_count:.1f} bytes of log a tuple"
    yield "replay, an import in one piece", make_row(found.opened, speed, told, must)
    shutil.rmtree(directory / "log")
    copy_log(directory / "lots", directory / "log")
    found = apart(replay_lots, directory / "log", tuple_count, each)
    assert found.past is not None
    yield f"replay, records of {each:,}", make_row(found.opened, speed, "opened without a snapshot", must)
    yield f"at(revision), records of {each:,}", make_row(found.past, speed, "the middle", must)
    shutil.rmtree(directory / "log")
    shutil.rmtree(directory / "lots")
    apart(write_singles, directory / "singles", tuple_count, single_count)
    copy_log(directory / "singles", directory / "log")
    found = apart(replay_singles, directory / "log", single_count)
    assert found.past is not None
    yield "replay, single writes", make_row(found.opened, speed, f"{single_count:,} records of one tuple")
    yield "at(revision), single writes", make_row(found.past, speed, "the middle")


def _write_rows(store: Path, tuple_count: int, amounts: Amounts) -> Iterator[tuple[str, Row]]:
    found = apart(write_durably, store, tuple_count, amounts.rounds)
    told = f"{found.one:,.0f} us, and {found.one_bare:,.0f} us the bare commit of as many bytes"
    yield "one durable write", make_row(found.one / found.one_bare, "x a bare commit", told, Must(1.3))
    told = f"{found.thousand / found.thousand_bare:.2f} x the bare commit of as many bytes"
    yield "1,000 tuples in one durable write", make_row(found.thousand / 1e3, "ms", told, Must(2.0))
    for sort, told in BESIDE.items():
        for name, every in ("one every ms", 1e-3), ("back to back", 0.0):
            beside = apart(ask_beside, store, tuple_count, sort, amounts.seconds, every)
            times = f"{beside.p99:,.1f} us; without {beside.without:,.1f}, median {beside.median:,.1f}; {beside.writes:.0f} writes a second, {told}"
            yield f"batches of {BATCH} beside {sort}, {name}: p99", make_row(beside.p99 / beside.without, "x the median without", times, Must(3.0))


def print_row(name: str, row: Row) -> None:
    held = f"{row['must']}, {'held' if row['holds'] else 'NOT HELD'}" if "must" in row else ""
    if "aim" in row:
        held += f"; aim {row['aim']}{'' if row['reached'] else ', not reached'}"
    print(f"  {name:<48}{amount(row['value']):>12} {row['unit']:<22}{held:<40}{row['told']}", flush=True)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=Amounts().tuples, help="tuples (default: %(default)s)")
    for name, told in AMOUNTS.items():
        default = getattr(Amounts(), name)
        parser.add_argument(f"--{name}", type=type(default), default=default, help=f"{told} (default: %(default)s)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="make the store in this directory, which must be empty, and leave it there")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args(arguments)
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
        if any(options.keep.iterdir()):
            parser.error(f"--keep: {options.keep} is not empty")
    amounts = Amounts(options.size, **{name: getattr(options, name) for name in AMOUNTS})
    rows: dict[str, Row] = {}
    found = facts()
    names = Large(options.size).name_count
    record = {**found, "scale": {"tuples": options.size, "names": names, "on": line(found), "rows": rows}}
    print(f"{line(found)}\n\n{options.size:,} tuples over {names:,} names", flush=True)
    with tempfile.TemporaryDirectory(prefix="fgacore-scale-") as made:
        for name, row in measure(options.keep or Path(made), amounts):
            rows[name] = row
            print_row(name, row)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
