"""What a session costs beside the checks that it takes, what its log costs, and how fast a log is replayed.

    python -m benchmarks.agents [--tuples 100000] [--rounds 51] [--json FILE]

The stores lie on the disk (TMPDIR says where), with the decision log buffered, as it is by default. All ratios are of one run, in one process and in
turn; `x` is the session's time over that of the engine asked for the person and for the agent. Answers are compared before anything is timed, and so
are those that were given meanwhile: a decision that the log could not keep would be a denial. `must` is the bound that the project has set itself.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count, cycle, islice
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any

import fgacore
from fgacore import audit

from .machine import facts, line
from .scale import Must, amount, make_row
from .scenarios import WrongAnswer, compare, lots
from .scenarios.lent import LENT, Lent
from .timing import Timed, in_turn, quiet

__all__ = ["main", "measure_made", "measure_replay", "measure_sessions", "measure_stops"]

TUPLE_COUNT = 100_000
ROUNDS = 51
BATCH_COUNT = 500
SESSIONS = 200  # made in one round
REPLAYED = 400  # batches in the log that is replayed
STOPS = 21  # of each kind
LASTS = 3_600  # seconds, of a session

MADE = Must(20)
CHECKED = Must(1.5)
BATCHED = Must(1.3)
LOGGED = Must(0.15)
REPLAY = Must(200_000, least=True)

Row = dict[str, Any]
Rows = dict[str, Row]


@contextmanager
def stored(lent: Lent) -> Iterator[Path]:
    """A store on the disk with the data, closed, with a snapshot."""
    with tempfile.TemporaryDirectory(prefix="fgacore-agents-") as directory:
        with fgacore.open(directory) as engine:
            engine.write_model(lent.model)
            for lot in lots(lent.tuples):
                engine.write(lot)
        yield Path(directory)


def session_of(engine: fgacore.Engine, lent: Lent, scope: Sequence[str] | None = None) -> fgacore.Session:
    """The agent on behalf of the person, by no record."""
    return engine.session(lent.agent, on_behalf_of=lent.root, scope=lent.scope if scope is None else scope, expires_in=LASTS, task="benchmark")


def verify(engine: fgacore.Engine, session: fgacore.Session, lent: Lent) -> None:
    """Hold the engine to what each of the two holds, and the session to what that leaves."""
    for place, subject in enumerate((lent.root, lent.agent)):
        asked = lent.questions(subject)
        compare(engine.batch_check(asked), asked, [both[place] for both in lent.held], f"{lent.name}: {subject}")
        found = engine.check_objects(subject, lent.relation, lent.objects)
        compare(found, [(subject, lent.relation, object) for object in lent.objects], [both[place] for both in lent.object_held], lent.name)
    triples = lent.questions(lent.agent)
    compare([session.check(*pair) for pair in lent.pairs], triples, lent.answers, f"{lent.name}: session.check")
    compare(session.batch_check(lent.pairs), triples, lent.answers, f"{lent.name}: session.batch_check")
    asked = [(lent.agent, lent.relation, object) for object in lent.objects]
    compare(session.check_objects(lent.relation, lent.objects), asked, lent.object_answers, f"{lent.name}: session.check_objects")


class Kept:
    """What runs answered while they were timed, to be compared afterwards: keeping it costs a reference."""

    def __init__(self, run: Callable[[Any], Sequence[bool]], right: list[bool], name: str) -> None:
        self.run, self.right, self.name = run, right, name
        self.answers: list[Sequence[bool]] = []

    def __call__(self, asked: Any) -> None:
        self.answers.append(self.run(asked))

    def compare(self) -> None:
        for found in self.answers:
            if list(found) != self.right:
                wrong = sum(answer is not right for answer, right in zip(found, self.right, strict=True))
                raise WrongAnswer(f"{self.name}: {wrong} of {len(self.right)} answers were wrong while they were timed")


def timed_in_turn(runs: Sequence[tuple[Kept, Any]], rounds: int, unit: int) -> list[float]:
    """Medians of each in nanoseconds, once what they answered has been compared."""
    timed: list[Timed] = [(kept, lambda asked=asked: asked) for kept, asked in runs]  # type: ignore[misc]
    with quiet():
        found = in_turn(timed, rounds, unit)
    for kept, _ in runs:
        kept.compare()
    return found


def beside(ours: float, theirs: float, must: Must | None = None) -> Row:
    """How many times what the engine's checks take, and both."""
    return make_row(ours / theirs, "x", f"{amount(ours)} ns beside {amount(theirs)} ns", must)


def measure_sessions(lent: Lent, rounds: int = ROUNDS) -> Rows:
    """A hot check and batches of one session beside the same asked of the engine for each of its principals; and what the log has of it.

    Each also of what is allowed alone: there everybody is asked to the end.
    """
    rows: Rows = {}
    name, relation, root, agent = lent.name, lent.relation, lent.root, lent.agent
    with (
        stored(lent) as directory,
        fgacore.open(directory, read_only=True) as engine,
        fgacore.open(directory, read_only=True, decision_log="off") as mute,
    ):
        session, silent, alone = session_of(engine, lent), session_of(mute, lent), engine.session(agent)
        where = session_of(engine, lent, [f"{lent.scope[0]} where {relation} {root}", *lent.scope[1:]])  # what the person must hold anyway
        for each in (session, silent, where):
            verify(engine, each, lent)
        check = engine.check

        def both_checked(pairs: list[tuple[str, str]]) -> list[bool]:
            return [check(root, relation, object) is None or check(agent, relation, object) for relation, object in pairs]  # neither is ever None

        def agent_checked(pairs: list[tuple[str, str]]) -> list[bool]:
            return [check(agent, relation, object) for relation, object in pairs]

        def one_by_one(asked: Callable[[str, str], bool]) -> Callable[[Any], list[bool]]:
            return lambda pairs: [asked(relation, object) for relation, object in pairs]

        mixed = list(zip(lent.pairs, lent.answers, [both[1] for both in lent.held], strict=True))
        for told, asked in (("", mixed), (", all allowed", [each for each in mixed if each[1]])):
            pairs, right, agents = [each[0] for each in asked], [each[1] for each in asked], [each[2] for each in asked]
            runs = [
                Kept(one_by_one(session.check), right, f"{name}: session.check"),
                Kept(both_checked, agents, f"{name}: two checks"),
                Kept(one_by_one(where.check), right, f"{name}: session.check with a where"),
                Kept(one_by_one(alone.check), agents, f"{name}: an autonomous session"),
                Kept(agent_checked, agents, f"{name}: a check"),
            ]
            ours, two, with_where, autonomous, one = timed_in_turn([(run, pairs) for run in runs], rounds, len(pairs))
            rows[f"{name}: a check{told}"] = beside(ours, two, CHECKED)
            rows[f"{name}: a check{told}, one entry with a `where`"] = beside(with_where, two)
            rows[f"{name}: a check{told}, the agent in its own name"] = beside(autonomous, one)

        size = len(lent.objects)
        objects = list(zip(lent.objects, lent.object_answers, lent.object_held, strict=True))
        allowed = list(islice(cycle(each for each in objects if each[1]), size))
        for told, chosen in (("", objects), (", all allowed", allowed)):
            names, right, held = [each[0] for each in chosen], [each[1] for each in chosen], [each[2] for each in chosen]
            ours = [(Kept(partial(each.check_objects, relation), right, name), names) for each in (session, silent)]
            theirs = [
                (Kept(partial(engine.check_objects, subject, relation), [both[at] for both in held], name), names)
                for at, subject in enumerate((root, agent))
            ]
            rows |= _batches(f"{name}: batch of {size} objects{told}", ours, theirs, rounds)
        ours = [(Kept(each.batch_check, lent.answers, name), lent.pairs) for each in (session, silent)]
        theirs = [
            (Kept(engine.batch_check, [both[at] for both in lent.held], name), lent.questions(subject)) for at, subject in enumerate((root, agent))
        ]
        rows |= _batches(f"{name}: batch of {len(lent.pairs)} pairs", ours, theirs, rounds)
    return rows


def _batches(name: str, ours: list[tuple[Kept, Any]], theirs: list[tuple[Kept, Any]], rounds: int) -> Rows:
    """A batch of a session, with its log, beside the two batches; and how much longer it takes than the same without a log."""
    logged, unlogged, *two = timed_in_turn([*ours, *theirs], rounds, 1)
    told = f"{amount(logged / 1e3)} us beside {amount(unlogged / 1e3)} us without a log"
    return {
        name: make_row(logged / sum(two), "x", f"{amount(logged / 1e3)} us beside {' + '.join(amount(each / 1e3) for each in two)} us", BATCHED),
        f"{name}, the log alone": make_row(logged / unlogged - 1, "of the batch", told, LOGGED),
    }


def measure_made(lent: Lent, rounds: int = ROUNDS, session_count: int = SESSIONS) -> Rows:
    """Sessions made: by no record, by a delegation, by claims, and with a first decision, which is when the log has the session."""
    with stored(lent) as directory, fgacore.open(directory) as engine:
        id = engine.delegate(by=lent.root, to=lent.agent, scope=lent.scope, expires_in=LASTS, task="benchmark")
        types = [name.partition(":")[0] for name in (lent.root, lent.agent)]
        mapping = fgacore.ClaimsMapping(subject=f"{types[0]}:{{sub}}", actor=f"{types[1]}:{{sub}}", scopes={"all": lent.scope})
        claims = {"sub": lent.root.partition(":")[2], "act": {"sub": lent.agent.partition(":")[2]}, "scope": "openid all"}
        made: dict[str, Callable[[], fgacore.Session]] = {
            "by no record": lambda: session_of(engine, lent),
            "by a delegation": lambda: engine.session(id),
            "by claims": lambda: engine.session_from_claims(claims, mapping=mapping),
        }
        for make in made.values():
            verify(engine, make(), lent)
        asked, right = lent.pairs[0], lent.answers[0]

        def make_all(make: Callable[[], object]) -> Callable[[Any], object]:
            return lambda numbers: [make() for _ in numbers]

        runs: list[Timed] = [(make_all(make), lambda: range(session_count)) for make in made.values()]
        runs.append((make_all(lambda: session_of(engine, lent).check(*asked)), lambda: range(session_count)))
        if session_of(engine, lent).check(*asked) is not right:
            raise WrongAnswer("the first decision of a session is wrong")
        with quiet():
            times = in_turn(runs, rounds, session_count)
    rows = {f"a session made, {name}": make_row(time / 1e3, "us", must=MADE) for name, time in zip(made, times, strict=False)}
    rows["a session made, by no record, and its first decision"] = make_row(times[-1] / 1e3, "us")
    return rows


def measure_replay(lent: Lent, batch_count: int = REPLAYED) -> Rows:
    """A log of batches with a write after every twentieth, and one of single decisions: verified, then replayed without a difference."""
    rows: Rows = {}
    numbers = count()
    single_count = max(1, batch_count // 10) * len(lent.pairs)
    for kind, decision_count in (("batches", batch_count * len(lent.objects)), ("single decisions", single_count)):
        with stored(lent) as directory:
            with fgacore.open(directory) as engine:
                session = session_of(engine, lent)
                verify(engine, session, lent)
                if kind == "batches":
                    for number in range(batch_count):
                        if session.check_objects(lent.relation, lent.objects) != lent.object_answers:
                            raise WrongAnswer("a batch is wrong, or was not logged")
                        if number % 20 == 19:
                            engine.write([(f"user:new-{next(numbers)}", *lent.tuples[0][1:])])
                else:
                    for _ in range(single_count // len(lent.pairs)):
                        if [session.check(*pair) for pair in lent.pairs] != lent.answers:
                            raise WrongAnswer("a decision is wrong, or was not logged")
            decision_count += 2 * len(lent.pairs) + len(lent.objects)  # of `verify`
            started = perf_counter()
            verified = audit.verify(directory / "decisions")
            seconds = perf_counter() - started
            if not verified.good or verified.decisions != decision_count:
                raise WrongAnswer(f"the log is not good: {verified}")
            rows[f"verify, {kind}"] = make_row(decision_count / seconds, "decisions a second", f"{decision_count:,} decisions")
            started = perf_counter()
            replayed = audit.replay(directory)
            seconds = perf_counter() - started
            if replayed.differences or replayed.decisions != decision_count:
                raise WrongAnswer(f"the replay differs: {replayed}")
            must = REPLAY if kind == "batches" else None
            rows[f"replay, {kind}"] = make_row(decision_count / seconds, "decisions a second", f"{decision_count:,} decisions", must)
    return rows


# The second process: it asks without end, and says when it is denied. Its own log would be full of it.
FOLLOWER = """
import sys, time, fgacore
path, times, agent, root, relation, object = sys.argv[1:]
with fgacore.open(path, read_only=True, decision_log="off") as engine:
    session = engine.session(agent, on_behalf_of=root, scope=[f"{relation} {object}"])
    for _ in range(int(times)):
        while not session.check(relation, object):
            pass
        print("allowed", flush=True)
        while session.check(relation, object):
            pass
        print(time.monotonic(), flush=True)
"""


def measure_stops(lent: Lent, times: int = STOPS) -> Rows:
    """The kill switch: from the return of a suspension to the first denial in another process, and the same of a tuple that is deleted, by turns.

    `lent` is the helpdesk, in which the person leads every queue.
    """
    ticket = "ticket:stop"
    grant = (lent.agent, "assignee", ticket)
    waits: dict[str, list[float]] = {"a suspension": [], "a tuple deleted": []}
    with stored(lent) as directory, fgacore.open(directory) as engine:
        engine.write([("queue:0", "queue", ticket), grant])
        command = [sys.executable, "-c", FOLLOWER, str(directory), str(2 * times), lent.agent, lent.root, "can_read", ticket]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as follower:
            assert follower.stdout is not None
            for number in range(2 * times):
                if follower.stdout.readline() != "allowed\n":
                    raise WrongAnswer("the second process is not allowed what it is granted")
                if number % 2:
                    engine.write(deletes=[grant])
                else:
                    engine.suspend(lent.agent, by=lent.root, reason="benchmark")
                stopped = monotonic()
                waits["a tuple deleted" if number % 2 else "a suspension"].append(max(0.0, float(follower.stdout.readline()) - stopped) * 1e3)
                if number % 2:
                    engine.write([grant])
                else:
                    engine.resume(lent.agent, by=lent.root, reason="benchmark")
    return {
        f"{kind}: until another process denies": make_row(statistics.median(found), "ms", f"longest of {len(found)}: {max(found):.2f} ms")
        for kind, found in waits.items()
    }


def print_rows(rows: Rows) -> None:
    width = max(map(len, rows), default=0) + 2
    for name, row in rows.items():
        held = f"  must {row['must']}: {'held' if row['holds'] else 'NOT HELD'}" if "must" in row else ""
        print(f"  {name:<{width}}{amount(row['value']):>12} {row['unit']}{held}{'  ' + row['told'] if row['told'] else ''}", flush=True)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agents", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tuples", type=int, default=TUPLE_COUNT, help="of each store, roughly (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=BATCH_COUNT, help="questions in a batch (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of each row (default: %(default)s)")
    parser.add_argument("--replayed", type=int, default=REPLAYED, help="batches in the log that is replayed (default: %(default)s)")
    parser.add_argument("--stops", type=int, default=STOPS, help="suspensions, and deletes, that another process waits for (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args(arguments)
    record: dict[str, Any] = {**facts(), "tuples": options.tuples, "agents": {}}
    print(line(record))
    for name, build in LENT.items():
        lent = build(options.tuples, options.batch)
        parts = [measure_sessions(lent, options.rounds)]
        if name == "helpdesk":
            parts += [measure_made(lent, options.rounds), measure_replay(lent, options.replayed), measure_stops(lent, options.stops)]
        for rows in parts:
            record["agents"] |= rows
            print_rows(rows)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
