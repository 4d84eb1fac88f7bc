"""What peers do: each function is a task of `faults.peer`, run in another process. The first argument tells the test something on the way."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fgacore
from adapters import given
from faults.peer import Tell
from faults.world import ADMITTED, CONTEXT, MODEL, Story, ask, stored_in
from oracle import Stored

_open: dict[str, fgacore.Engine] = {}  # the engine that stays open between tasks


def open(tell: Tell, path: str, **options: Any) -> int:
    """Open a store, to stay open; its revision."""
    _open["engine"] = fgacore.open(path, **options)
    return _open["engine"].revision


def now() -> datetime:
    return datetime.now(UTC)


def ready(tell: Tell) -> None:
    """Everything is imported."""


def close(tell: Tell) -> None:
    _open.pop("engine").close()


def call(tell: Tell, method: str, *arguments: Any, **options: Any) -> Any:
    """A method or property of the open engine."""
    found = getattr(_open["engine"], method)
    value = found(*arguments, **options) if callable(found) else found
    if isinstance(value, Iterator) or method in ("list_objects", "list_subjects", "batch_check"):
        return list(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return value


def everything(tell: Tell) -> tuple[int, dict[Any, Any], dict[str, Any], dict[str, list[int]]]:
    """Revision, tuples, answers, and the ids of every name that the tuples mention: two processes must say the same."""
    return seen(_open["engine"])


def seen(engine: fgacore.Engine) -> tuple[int, dict[Any, Any], dict[str, Any], dict[str, list[int]]]:
    tuples = stored_in(engine)
    names: dict[str, set[str]] = {}
    for subject, _, name in tuples:
        for text in (subject.partition("#")[0], name):
            kind, _, part = text.partition(":")
            if part != "*":
                names.setdefault(kind, set()).add(part)
    ids = {kind: engine.ids(kind, sorted(parts)).tolist() for kind, parts in sorted(names.items())}
    return engine.revision, tuples, ask(engine), ids


def write_story(
    tell: Tell,
    path: str,
    seed: Any,
    step: int,
    *,
    name: str = "only",
    mine: Sequence[Stored] = ADMITTED,
    steps: int = 1 << 30,
    snapshot_each: int = 0,
    compact_each: int = 0,
    reopen_each: int = 0,
    pause: float = 0.0,
    again: bool = False,
) -> int:
    """Go on with a story from a step, and acknowledge each step by its number and revision, after `write` has returned.

    With `again` a write that fails for the store's sake is tried again, with the same request id, until it is done: as a service would.
    """
    story = Story(seed, name=name, mine=mine).go(step)
    engine = fgacore.open(path)
    tell(("open", engine.revision))
    for _ in range(steps):
        writes, deletes = story.next()
        while True:
            try:
                request = {"request_id": f"{name}-{seed}-{story.step}"} if again else {}
                revision = engine.write([given(stored) for stored in writes], deletes=deletes, actor=name, reason=f"step {story.step}", **request)
                break
            except fgacore.StoreError as error:
                if not again or error.code not in ("store_unavailable", "commit_unknown", "stale"):
                    raise
                tell((error.code, story.step))
                time.sleep(0.05)
        tell((story.step, revision))
        if snapshot_each and story.step % snapshot_each == 0:
            engine.snapshot()
        if compact_each and story.step % compact_each == 0:
            engine.compact(reason="story")
        if reopen_each and story.step % reopen_each == 0:
            engine.close()
            engine = fgacore.open(path)
        if pause:
            time.sleep(pause)
    engine.close()
    return story.step


def keep_snapshots(tell: Tell, path: str, *, compact: bool = False) -> None:
    """Snapshots, or compactions, one after the other until killed."""
    engine = fgacore.open(path)
    tell("open")
    while True:
        tell(engine.compact() if compact else engine.snapshot())


def write_own(tell: Tell, path: str, name: str, count: int, size: int) -> list[int]:
    """Disjoint tuples, `size` in each write; the revisions."""
    with fgacore.open(path) as engine:
        tell("open")
        revisions = []
        for number in range(count):
            lot = [(f"user:{name}-{number}-{part}", "reader", f"doc:{name}-{number}") for part in range(size)]
            revisions.append(engine.write(lot, actor=name, reason=f"lot {number}"))
        engine.wait_for(revisions[-1], timeout=30)
        return revisions


def write_shared(tell: Tell, path: str, seed: int, count: int) -> list[tuple[int, str]]:
    """The same few tuples as everybody else, written, replaced and deleted at random; what each acknowledged write was."""
    chance = random.Random(seed)
    keys = [(f"user:{user}", relation, f"doc:{doc}") for user in "abc" for relation in ("reader", "barred") for doc in (1, 2)]
    done = []
    with fgacore.open(path) as engine:
        tell("open")
        for number in range(count):
            writes = chance.sample(keys, chance.randrange(4))
            deletes = [key for key in chance.sample(keys, chance.randrange(4)) if key not in writes]
            if writes or deletes:
                before = engine.revision
                revision = engine.write(
                    writes, deletes=deletes, on_duplicate="ignore", on_missing="ignore", actor=f"writer {seed}", reason=f"number {number}"
                )
                assert revision >= before
                done.append((revision, f"writer {seed} number {number}"))
    return done


def take_turns(tell: Tell, path: str, name: str, count: int) -> int:
    """Take one token away from whoever has it and give it to oneself, as often as that succeeds: writes that only one of many can win."""
    won = 0
    with fgacore.open(path) as engine:
        tell("open")
        for _ in range(count):
            holder = next(iter(engine.read(relation="mark", object="ledger:token"))).subject
            try:
                engine.write(
                    [(f"user:{name}-{won}", "mark", "ledger:token")], deletes=[(holder, "mark", "ledger:token")], actor=name, reason=f"from {holder}"
                )
                won += 1
            except fgacore.RequestError as error:
                if error.code != "tuple_missing":  # another was faster
                    raise
        return won


def same_request(tell: Tell, path: str, request_id: str, payload: Sequence[tuple[str, str, str]], at: float) -> int:
    """One write with this request id, at this instant of the monotonic clock."""
    with fgacore.open(path) as engine:
        tell("open")
        while time.monotonic() < at:
            time.sleep(0)
        return engine.write(payload, request_id=request_id)


def watch(tell: Tell, since: int, last: int, **options: Any) -> int:
    """Follow the changes, and tell each when it is seen."""
    count = 0
    for change in _open["engine"].changes(since=since, follow=True, **options):
        tell(change)
        count += 1
        if change.revision >= last:
            return count
    return count


def watch_until_closed(tell: Tell, since: int) -> int:
    """Follow the changes until another thread closes the engine."""
    engine = _open["engine"]
    threading.Timer(0.3, engine.close).start()
    return sum(1 for _ in engine.changes(since=since, follow=True))


def deny_times(tell: Tell, count: int) -> None:
    """For each token in turn, tell when the first check denies it, on the monotonic clock that all processes share."""
    check = _open["engine"].check
    for number in range(count):
        question = ("user:a", "reader", f"doc:token-{number}")
        assert check(*question), question
        tell("watching")
        while check(*question):
            pass
        tell(time.monotonic())


def write_in_threads(tell: Tell, path: str, threads: int, count: int, *, fork: bool = False) -> dict[str, Any]:
    """Threads that write at once through one engine; with `fork`, children are made among them, which check and write too."""
    engine = fgacore.open(path)
    faults: list[str] = []
    revisions: list[list[int]] = [[] for _ in range(threads)]

    def work(number: int) -> None:
        try:
            for lot in range(count):
                revisions[number].append(engine.write([(f"user:t{number}", "reader", f"doc:{number}-{lot}")], actor=f"thread {number}"))
                assert engine.check(f"user:t{number}", "reader", f"doc:{number}-{lot}", at_least=revisions[number][-1])
        except BaseException as error:  # noqa: BLE001 - told by the test
            faults.append(repr(error))

    crew = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for thread in crew:
        thread.start()
    children = 0
    while fork and any(thread.is_alive() for thread in crew):
        number = children
        faults += forked(lambda number=number: _child_writes(engine, number))
        children += 1
        time.sleep(0.01)
    for thread in crew:
        thread.join()
    if children:
        engine.wait_for(max(itertools.chain.from_iterable(revisions)), timeout=20)
    found = seen(engine)
    engine.close()
    return {"faults": faults, "revisions": revisions, "children": children, "seen": found}


def _child_writes(engine: fgacore.Engine, number: int) -> None:
    revision = engine.write([("user:child", "reader", f"doc:child-{number}")], actor=f"child {number}")
    assert engine.check("user:child", "reader", f"doc:child-{number}", at_least=revision)
    assert not engine.check("user:nobody", "reader", f"doc:child-{number}")


def forked(work: Any, seconds: float = 30.0) -> list[str]:
    """Run this in a forked child; what went wrong there. The child ends without any of the parent's own endings."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of a fork beside threads, which is what is tested
        pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reader)
            work()
            status = 0
        except BaseException as error:  # noqa: BLE001 - told to the parent
            with contextlib.suppress(OSError):
                os.write(writer, repr(error).encode()[:2_000])
        finally:
            os._exit(status)
    os.close(writer)
    end = time.monotonic() + seconds
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            break
        if time.monotonic() > end:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
            os.close(reader)
            return [f"the child does not end in {seconds} seconds"]
        time.sleep(0.002)
    text = os.read(reader, 4_000).decode()
    os.close(reader)
    return [] if status == 0 else [text or f"the child ended with status {status}"]


def fork_after_open(tell: Tell, path: str) -> dict[str, Any]:
    """A preloading server: the parent opens, asks and writes, and children answer and write; they see each other's writes, the parent too."""
    faults: list[str] = []
    with fgacore.open(path) as engine:
        revision = engine.write([("user:parent", "reader", "doc:0")])

        def child(number: int) -> None:
            assert engine.check("user:parent", "reader", "doc:0")
            assert not engine.check("user:parent", "barred", "doc:0")
            for before in range(number):
                assert engine.check("user:child", "reader", f"doc:{before}"), f"child {number} does not see {before}"
            mine = engine.write([("user:child", "reader", f"doc:{number}")], actor=f"child {number}")
            assert mine > revision
            assert engine.check("user:child", "reader", f"doc:{number}")
            if number % 2:
                engine.close()

        for number in range(4):
            faults += forked(lambda number=number: child(number))
            engine.wait_for(revision + number + 1, timeout=10)
            if not engine.check("user:child", "reader", f"doc:{number}"):
                faults.append(f"the parent does not see what child {number} wrote")
        last = engine.write([("user:parent", "barred", "doc:0")])
        found = [(change.revision, change.actor) for change in engine.changes(since=revision)]
        return {"faults": faults, "last": last, "first": revision, "changes": found}


def fork_many(tell: Tell, path: str, children: int, count: int) -> dict[str, Any]:
    """Children that live at once, made after the open, as a server with workers makes them: all write and follow."""
    engine = fgacore.open(path)
    first = engine.write([("user:parent", "reader", "doc:0")])
    pids = []
    for number in range(children):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                for lot in range(count):
                    revision = engine.write([(f"user:w{number}", "reader", f"doc:{lot}")], actor=f"worker {number}")
                    assert engine.check(f"user:w{number}", "reader", f"doc:{lot}", at_least=revision)
                engine.wait_for(first + children * count, timeout=20)
                for other in range(children):
                    assert all(engine.check_objects(f"user:w{other}", "reader", [f"doc:{lot}" for lot in range(count)]))
                status = 0
            finally:
                os._exit(status)
        pids.append(pid)
    statuses = [os.waitpid(pid, 0)[1] for pid in pids]
    revision = engine.wait_for(first + children * count, timeout=20)
    every = all(all(engine.check_objects(f"user:w{number}", "reader", [f"doc:{lot}" for lot in range(count)])) for number in range(children))
    engine.close()
    return {"statuses": statuses, "revision": revision, "first": first, "every": every}


def fork_by_multiprocessing(tell: Tell, path: str) -> list[Any]:
    """A pool of the `fork` kind over an engine that is open already."""
    import multiprocessing

    _open["engine"] = fgacore.open(path)
    _open["engine"].write([("user:parent", "reader", "doc:0")])
    with multiprocessing.get_context("fork").Pool(3) as pool:
        found = pool.map(_pool_work, range(9))
        pool.close()
        pool.join()
    engine = _open.pop("engine")
    engine.wait_for(max(revision for revision, _ in found), timeout=10)
    seen_by_parent = [engine.check("user:pool", "reader", f"doc:{number}") for number in range(9)]
    engine.close()
    return [found, seen_by_parent]


def _pool_work(number: int) -> tuple[int, bool]:
    engine = _open["engine"]
    revision = engine.write([("user:pool", "reader", f"doc:{number}")], actor=f"task {number}")
    return revision, engine.check("user:parent", "reader", "doc:0") and engine.check("user:pool", "reader", f"doc:{number}", at_least=revision)


def fork_and_end_badly(tell: Tell, path: str) -> tuple[bool, int]:
    """A child that is killed in the middle of its writes, and one that ends without closing: the parent goes on."""
    with fgacore.open(path) as engine:
        for number in range(3):
            pid = os.fork()
            if pid == 0:
                for lot in itertools.count():
                    engine.write([("user:child", "reader", f"doc:{number}-{lot}")])
            time.sleep(0.05)
            os.kill(pid, 9)
            os.waitpid(pid, 0)
            engine.write([("user:parent", "reader", f"doc:{number}")])
        return all(engine.check_objects("user:parent", "reader", ["doc:0", "doc:1", "doc:2"])), engine.revision


def fill_disk(tell: Tell, path: str, limit: int) -> tuple[int, str, str, bool]:
    """Write until the files may not grow: what was acknowledged, the code of the refusal, the code of the next write, and whether reads go on."""
    import resource
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    engine = fgacore.open(path)
    number = engine.revision
    engine.write([("user:a", "reader", "doc:kept")])
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    code = after = "done"
    try:
        for number in range(100_000):
            engine.write([(f"user:{'x' * 200}{number}", "reader", f"doc:{number}")])
            tell(number)
    except fgacore.StoreError as error:
        code = error.code
    try:
        engine.write([(f"user:{'y' * 200}", "reader", "doc:after")])
    except fgacore.StoreError as error:
        after = error.code
    reads = engine.check("user:a", "reader", "doc:kept") and not engine.check("user:a", "reader", f"doc:{number}")
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    engine.write([("user:b", "reader", "doc:room")])  # there is room again
    with contextlib.suppress(fgacore.StoreError):
        engine.close()
    return number, code, after, reads


def snapshot_on_full_disk(tell: Tell, path: str, limit: int) -> tuple[str, bool]:
    """A snapshot that does not fit: the code of the refusal, and whether the engine still answers and writes."""
    import resource
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    engine = fgacore.open(path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    code = "done"
    try:
        engine.snapshot()
    except fgacore.StoreError as error:
        code = error.code
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    engine.write([("user:b", "reader", "doc:room")])
    answers = engine.check("user:b", "reader", "doc:room")
    engine.close()
    return code, answers


def become(tell: Tell, user: int) -> None:
    """Another user, for whom permissions hold. What is imported late is imported before: that user may not read this Python's own files."""
    with tempfile.TemporaryDirectory() as folder, fgacore.open(folder + "/authz") as engine:
        engine.write_model(MODEL)
        engine.write([("user:a", "reader", "doc:1")])
        seen(engine)
        engine.snapshot()
        engine.compact()
        engine.import_tuples([("user:b", "reader", "doc:1")])
        engine.export_tuples(folder + "/tuples.jsonl")
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)


def hold_lock(tell: Tell, path: str, seconds: float) -> None:
    """Hold the write lock of the log, as a writer that was stopped in its middle would."""
    import sqlite3

    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    tell("held")
    time.sleep(seconds)
    connection.execute("ROLLBACK")
    connection.close()


def race_open(tell: Tell, path: str, at: float) -> tuple[int, str]:
    """Open a store that may not be there yet, at the same instant as others, and write."""
    while time.monotonic() < at:
        time.sleep(0)
    with fgacore.open(path) as engine:
        model_id = engine.write_model(MODEL)
        revision = engine.write([(f"user:{os.getpid()}", "reader", "doc:1")])
        assert engine.check(f"user:{os.getpid()}", "can", "doc:1", context=CONTEXT)
        return revision, model_id


def own(name: str) -> list[Stored]:
    """What one of several writers may write: what no other may, all of it of the same small world."""
    every = [stored for stored in ADMITTED if stored.relation != "mark"]
    keys = sorted({stored.key for stored in every})
    place = ("first", "second", "third").index(name)
    mine = set(keys[place::3])
    return [stored for stored in every if stored.key in mine]


def write_own_story(tell: Tell, path: str, seed: str, step: int, name: str, *, again: bool = False) -> None:
    """As `write_story`, of what is the writer's own."""
    write_story(tell, path, seed, step, name=name, mine=own(name), again=again)


def move_together(tell: Tell, lot: list[tuple[str, str]], count: int) -> int:
    """Move all these (subject, relation) from one object to the other and back, each time in one write; the last revision."""
    engine = _open["engine"]
    revision = 0
    for number in range(count):
        here, there = ("doc:1", "doc:2") if number % 2 == 0 else ("doc:2", "doc:1")
        revision = engine.write([(*pair, there) for pair in lot], deletes=[(*pair, here) for pair in lot])
    return revision


def fork_and_close(tell: Tell, path: str) -> dict[str, Any]:
    """Children that close the engine, in every order of using and closing it; what the parent can do after each."""
    faults: list[str] = []
    parent = []
    with fgacore.open(path) as engine:
        engine.write([("user:parent", "reader", "doc:0")])

        def closed_at_once() -> None:
            engine.close()
            try:
                engine.check("user:parent", "reader", "doc:0")
            except fgacore.StoreError as error:
                if error.code == "closed":
                    return
            raise AssertionError("a closed engine answers")

        def closed_after_use() -> None:
            assert engine.check("user:parent", "reader", "doc:0")
            engine.write([("user:child", "reader", "doc:0")])
            engine.close()

        def left() -> None:
            with engine:
                assert engine.check("user:parent", "reader", "doc:0")

        for number, work in enumerate((closed_at_once, closed_after_use, left)):
            faults += forked(work)
            revision = engine.write([("user:parent", "reader", f"doc:after-{number}")])
            parent.append(engine.check("user:parent", "reader", f"doc:after-{number}", at_least=revision))
    return {"faults": faults, "parent": parent}


def fork_twice(tell: Tell, path: str) -> tuple[list[str], int]:
    """Each child writes and forks again, three deep; the parent sees all of it."""
    with fgacore.open(path) as engine:
        first = engine.write([("user:deep", "reader", "doc:0")])

        def deeper(depth: int) -> None:
            assert engine.check("user:deep", "reader", f"doc:{depth - 1}")
            engine.write([("user:deep", "reader", f"doc:{depth}")])
            if depth < 3:
                found = forked(lambda: deeper(depth + 1))
                assert not found, found

        faults = forked(lambda: deeper(1), 60.0)
        return faults, engine.wait_for(first + 3, timeout=20)


def fork_in_memory(tell: Tell) -> tuple[list[str], bool, bool]:
    engine = fgacore.open(":memory:")
    engine.write_model(MODEL)
    engine.write([("user:a", "member", "group:g")])

    def child() -> None:
        assert engine.check("user:a", "member", "group:g")
        engine.write([("user:b", "member", "group:g")])
        assert engine.check("user:b", "member", "group:g")

    faults = forked(child)
    return faults, engine.check("user:a", "member", "group:g"), engine.check("user:b", "member", "group:g")


def fork_and_snapshot(tell: Tell, path: str) -> list[str]:
    """Parent and child in turn write snapshots, each mapping what the other has written."""
    with fgacore.open(path) as engine:
        before = ask(engine)

        def child() -> None:
            assert ask(engine) == before
            engine.write([("user:a", "member", "group:forked")])
            engine.snapshot()
            assert ask(engine) == before

        faults = forked(child)
        engine.write([("user:b", "member", "group:forked")])
        engine.snapshot()
        engine.merge()
        faults += forked(lambda: engine.check("user:a", "member", "group:forked") or os._exit(3))
        if ask(engine) != before:
            faults.append("the parent answers otherwise than before")
        return faults


# Sessions of agents


def session_decides(tell: Tell, delegation: str, relation: str, name: str) -> str:
    """The code of a decision by a session of the open engine that is made for it."""
    engine: Any = _open["engine"]
    return str(engine.session(delegation).decide(relation, name).code)


def fork_with_session(tell: Tell, path: str, by: str, to: str, scope: Sequence[str]) -> list[str]:
    """What a session says that was made before a fork: by the parent, by the child, then by both after the parent suspended the agent."""
    engine: Any = fgacore.open(path)
    session = engine.session(engine.delegate(by=by, to=to, scope=list(scope)))
    codes = [session.decide("can_read", "ticket:1").code]
    to_child, to_parent = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        code = "failed"
        try:
            os.write(to_parent[1], str(session.decide("can_read", "ticket:1").code).ljust(32).encode())
            engine.wait_for(int(os.read(to_child[0], 32)), timeout=20)
            code = str(session.decide("can_read", "ticket:1").code)
        finally:
            os.write(to_parent[1], code.ljust(32).encode())
            os._exit(0)
    codes.append(os.read(to_parent[0], 32).decode().strip())
    os.write(to_child[1], str(engine.suspend(to)).ljust(32).encode())
    codes.append(session.decide("can_read", "ticket:1").code)
    codes.append(os.read(to_parent[0], 32).decode().strip())
    os.waitpid(child, 0)
    engine.close()
    return codes


def session_by_hand(tell: Tell, how: str) -> list[str]:
    """What the doors of a session say that was not made by an engine; an error is nothing."""
    kind: Any = fgacore.Session
    makers: dict[str, Any] = {
        "call": kind,
        "new": lambda: kind.__new__(kind),
        "subclass": type("Own", (kind,), {"__init__": lambda self: None}),
        "base": lambda: kind.__mro__[1].__new__(kind.__mro__[1]),
    }
    doors: dict[str, tuple[Any, ...]] = {"check": ("r", "doc:1"), "decide": ("r", "doc:1"), "check_objects": ("r", ["doc:1"])}
    doors |= {"filter_objects": ("r", ["doc:1"]), "batch_check": ([("r", "doc:1")],), "list_objects": ("r", "doc")}
    doors |= {"list_relations": ("doc:1",), "reach": (), "delegate": ()}
    said: list[str] = []
    for name, arguments in doors.items():
        try:
            said.append(f"{name}: {getattr(makers[how](), name)(*arguments)}")
        except (TypeError, AttributeError, fgacore.FgaError):
            continue
    return said


# The decision log


def _desk(engine: Any, count: int = 1) -> Any:
    """A session that may read the documents of `faults.world`, on somebody's behalf."""
    for who in ("user:a", "user:b"):
        engine.write([(who, "reader", f"doc:{number}") for number in range(1, count + 1)], on_duplicate="ignore")
    return engine.session("user:b", on_behalf_of="user:a", scope=["can doc:*"])


def decide(tell: Tell, path: str, count: int, *, each: int = 1, then: float = 0.0, **options: Any) -> None:
    """Make decisions, and tell after every `each` how many there are; then stay until killed."""
    session = _desk(fgacore.open(path, **options))
    tell("open")
    for number in range(1, count + 1):
        assert session.check("can", "doc:1"), number
        if number % each == 0:
            tell(number)
    time.sleep(then)
    tell("done")
    time.sleep(60)


def decide_and_end(tell: Tell, path: str, how: str) -> None:
    """Make 100 decisions, and end without closing the engine."""
    engine: Any = fgacore.open(path)
    session = _desk(engine)
    assert all(session.check("can", "doc:1") for _ in range(100))
    if how == "dropped":
        del session, engine
        import gc

        gc.collect()
    else:
        _open["engine"] = engine


def decide_until(session: Any, code: str, seconds: float = 10.0) -> list[str]:
    """Decide until a decision has this code; the codes."""
    codes: list[str] = []
    end = time.monotonic() + seconds
    while not codes or codes[-1] != code:
        assert time.monotonic() < end, f"no decision is `{code}`: {codes[-1]}"
        codes.append(str(session.decide("can", "doc:1").code))
        time.sleep(0.001)
    return codes


def decide_on_full_disk(tell: Tell, path: str, *, begun: bool, **options: Any) -> dict[str, Any]:
    """Decide while no file may grow, with a chain that is begun already or not; and after there is room again. The codes."""
    import resource
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    engine: Any = fgacore.open(path, **options)
    session = _desk(engine)
    found: dict[str, Any] = {"before": [], "full": [], "after": []}
    if begun:
        found["before"] = [str(session.decide("can", "doc:1").code) for _ in range(5)]
        assert engine._decisions.flush()
    limit = max([file.stat().st_size for file in Path(path, "decisions").glob("*/*.fgd")], default=0) + (100 if begun else 0)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        if options.get("on_log_failure") == "allow":
            for _ in range(20):
                found["full"].append(str(session.decide("can", "doc:1").code))
                time.sleep(0.01)
        else:
            found["full"] = decide_until(session, "log_failed")
            found["full"] += [str(session.decide("can", "doc:1").code) for _ in range(5)]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    found["folders"] = len(list(Path(path, "decisions").glob("*")))
    if options.get("on_log_failure") == "allow":
        time.sleep(0.3)
    found["after"] = decide_until(session, "allowed")
    found["after"] += [str(session.decide("can", "doc:1").code) for _ in range(5)]
    engine.close()
    return found


def decide_once(tell: Tell, path: str, **options: Any) -> list[str]:
    """The codes of a single and of a batch, of a store that has what they are about."""
    with fgacore.open(path, **options) as engine:
        session = engine.session("user:b", on_behalf_of="user:a", scope=["can doc:*"])
        return [str(session.decide("can", "doc:1").code), *map(str, session.check_objects("can", ["doc:1", "doc:1"]))]


def fork_and_decide(tell: Tell, path: str, *, threads: int = 0) -> list[str]:
    """A session that decides in its parent, in children of it made meanwhile, and in their child; what went wrong."""
    engine: Any = fgacore.open(path)
    session = _desk(engine)
    faults: list[str] = []
    stop = threading.Event()

    def go_on() -> None:
        while not stop.is_set():
            if not session.check("can", "doc:1"):
                faults.append("the parent is denied")
                return
            time.sleep(0.0001)

    crew = [threading.Thread(target=go_on) for _ in range(threads)]
    for thread in crew:
        thread.start()
    assert all(session.check("can", "doc:1") for _ in range(10))

    def child() -> None:
        assert all(session.check("can", "doc:1") for _ in range(20))
        inner = forked(lambda: all(session.check("can", "doc:1") for _ in range(30)) and engine.close())
        assert inner == [], inner
        engine.close()

    for _ in range(4):
        faults += forked(child)
    assert all(session.check("can", "doc:1") for _ in range(10))
    stop.set()
    for thread in crew:
        thread.join()
    engine.close()
    return faults


def decide_in_pool(tell: Tell, path: str) -> int:
    """Decisions by workers of multiprocessing, which end in their own way; how many."""
    import multiprocessing

    _open["engine"] = fgacore.open(path)
    _desk(_open["engine"])
    workers = multiprocessing.get_context("fork").Pool(3)
    found = workers.map(_pool_decides, range(12))
    workers.close()
    workers.join()
    _open.pop("engine").close()
    return sum(found)


def _pool_decides(number: int) -> int:
    session: Any = _open["engine"].session("user:b", on_behalf_of="user:a", scope=["can doc:*"])
    return sum(session.check("can", "doc:1") for _ in range(10))
