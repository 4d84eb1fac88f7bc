"""What a condition costs, what tuples cost that a question brings along, and what expiry costs: each beside the same without.

    python -m benchmarks.conditions [--tuples 100000] [--rounds 51] [--named] [--json FILE]

All in one process and in turn, and every answer is compared before it is timed. Times are nanoseconds a check, and where a row says so, a call.
`x` is our time over that without; beside a named engine it is that engine's time over ours. `must` is the bound that the project has set itself.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import fgacore
from fgacore import Question, Tuple

from .machine import facts, line
from .peers import Peer, named_until
from .scenarios import AGENT, VIEWER, ObjectList, Scenario, Triple, WrongAnswer, compare, fresh, grants, load, one_by_one, verify
from .scenarios.grants import LATER, NOW
from .threads import load_cost
from .timing import in_turn, quiet

__all__ = ["GROUPS", "Must", "main", "measure_conditions", "measure_contextual", "measure_expiry", "measure_named", "measure_writes"]

TUPLE_COUNT = 100_000
ROUNDS = 51
BATCH_COUNT = 500
CONTEXTUAL = (20, 1_000)  # tuples that a question brings along
WRITES = 1_000  # single writes of each kind
LOADS = 3  # of each kind
NAMED_SECONDS = 3.0  # for one engine, at most, beside its loading

GROUPS = {  # of rows, and what their second time is of
    "conditions": "without",
    "contextual tuples": "without",
    "expiry": "without",
    "conditioned writes": "without",
    "named engines, current_time < grant_time + grant_duration": "theirs",
}

Rows = dict[str, dict[str, Any]]
Run = Callable[[Any], object]


class Must(NamedTuple):
    """A bound on a figure of a row: `x`, `ns` and `more_us` at most, `peer` (how many times as long a peer takes) at least."""

    figure: str
    bound: float

    def holds(self, row: Mapping[str, Any]) -> bool:
        return bool(row["x"] >= self.bound) if self.figure == "peer" else bool(row[self.figure] <= self.bound)

    def __str__(self) -> str:
        texts = {"x": "<= {:g} x", "ns": "<= {:g} ns", "more_us": "<= {:g} us more", "peer": ">= {:g} x"}
        return texts[self.figure].format(self.bound)


HANGS = Must("x", 5)
UNTIL = Must("ns", 400)
NETWORK = Must("ns", 600)
BROUGHT = Must("more_us", 15)
PEER = Must("peer", 50)


def make_row(ns: float, beside: float, must: Must | None = None, peer: bool = False) -> dict[str, Any]:
    """Our time, the other's, the ratio, how much more ours is, and whether that keeps within the bound."""
    row: dict[str, Any] = {"ns": ns, "beside": beside, "x": beside / ns if peer else ns / beside, "more_us": (ns - beside) / 1e3}
    return row if must is None else row | {"must": str(must), "holds": must.holds(row)}


def measure(ours: Run, without: Run, asked: Any, rounds: int, must: Must | None = None, *, bare: Any = None, unit: int = 0) -> dict[str, Any]:
    """Both in turn, asked the same (or `bare`, without what makes the difference), by so many items as were asked, or by `unit`."""
    timed = [(ours, lambda: asked), (without, lambda: asked if bare is None else bare)]
    with quiet():
        ns, beside = in_turn(timed, rounds, unit or len(asked))
    return make_row(ns, beside, must)


def measure_conditions(tuple_count: int = TUPLE_COUNT, rounds: int = ROUNDS, batch_count: int = BATCH_COUNT) -> Rows:
    """Each kind of condition beside the same questions about the same grants without one: all are granted, and hang on the condition."""
    plain = load(grants("plain", tuple_count, batch_count))
    rows: Rows = {}
    for kind, title, single_must, batch_must in (
        ("below", "x < 100", HANGS, None),
        ("below_own", "x < 100, x in the tuple", HANGS, None),
        ("until", "until grant_time + grant_duration", None, UNTIL),
        ("network", "address.in_cidr(network)", None, NETWORK),
        ("pattern", "name.matches(...), by the library", None, None),
    ):
        scenario = grants(kind, tuple_count, batch_count)
        engine = load(scenario)
        verify(scenario, engine)
        listed, questions, context, given = _list(scenario), scenario.questions, scenario.context, scenario.given
        objects, triples = listed.objects, listed.triples()
        for asked in (questions, triples):
            compare(plain.batch_check(asked), asked, [True] * len(asked), "without a condition")
        times = rounds if kind != "pattern" else max(1, rounds // 5)

        singles = one_by_one(engine, context), one_by_one(plain)
        rows[f"{title}: single"] = measure(*singles, questions, times, single_must)
        texts = partial(engine.check_objects, AGENT, VIEWER, **given), partial(plain.check_objects, AGENT, VIEWER)
        rows[f"{title}: batch of {len(objects)} texts"] = measure(*texts, objects, times, batch_must)
        batches = partial(engine.batch_check, **given), plain.batch_check
        rows[f"{title}: batch of {len(triples)} triples"] = measure(*batches, triples, times, batch_must)
        rows[f"{title}: batch of {len(questions)} triples, many subjects"] = measure(*batches, questions, times, batch_must)
        (by_id, ids), (plain_by_id, plain_ids) = _by_id(engine, listed, given), _by_id(plain, listed, {})
        rows[f"{title}: batch of {len(ids)} ids"] = measure(by_id, plain_by_id, ids, times, batch_must, bare=plain_ids)
        if kind == "until":
            moment = {"current_time": NOW}
            for question, right in zip(questions, scenario.answers, strict=True):
                compare([engine.check(*question, context=moment)], [question], [right], "with a datetime")
            rows[f"{title}: single, a datetime for the text"] = measure(one_by_one(engine, moment), one_by_one(plain), questions, times)
        if kind in ("below", "until"):
            own, answers = _with_own_contexts(kind, scenario)
            compare(engine.batch_check(own), triples, answers, "contexts of their own")
            bare = [Question(*triple) for triple in triples]
            rows[f"{title}: batch of {len(own)} Questions, a context each"] = measure(engine.batch_check, plain.batch_check, own, times, bare=bare)
        engine.close()
    return rows


def _by_id(engine: fgacore.Engine, listed: ObjectList, given: Mapping[str, Any]) -> tuple[Run, NDArray[np.uint32]]:
    """What asks for the list by the engine's numbers, and the numbers, found beforehand."""
    subject = int(engine.ids("user", [listed.subject.partition(":")[2]])[0])
    ids = engine.ids("doc", [object.partition(":")[2] for object in listed.objects])
    return partial(engine.check_ids, subject, VIEWER, subject_type="user", object_type="doc", **given), ids


def _with_own_contexts(kind: str, scenario: Scenario) -> tuple[list[Question], list[bool]]:
    """The agent's list with a context for each question, no two the same, and the answers: again half of them hold."""
    triples = _list(scenario).triples()
    if kind == "below":
        numbers = [100 + number if number % 2 else 99 - number for number in range(len(triples))]
        return [Question(*triple, context={"x": x}) for triple, x in zip(triples, numbers, strict=True)], [x < 100 for x in numbers]
    granted = {(grant.subject, grant.object): grant.context or {} for grant in scenario.grants if grant.subject == AGENT}
    own, answers = [], []
    for number, (subject, relation, object) in enumerate(triples):
        at = NOW - timedelta(seconds=number)
        context = granted[subject, object]
        begun, minutes = datetime.fromisoformat(context["grant_time"]), int(context["grant_duration"].removesuffix("m"))
        own.append(Question(subject, relation, object, context={"current_time": at.isoformat().replace("+00:00", "Z")}))
        answers.append(at < begun + timedelta(minutes=minutes))
    return own, answers


@dataclass(frozen=True, slots=True)
class Brought:
    """What a question brings along, questions of which it decides some, and their answers with it and without."""

    tuples: list[Tuple]
    questions: list[Triple]
    answers: list[bool]
    without: list[bool]


def bring(scenario: Scenario, sort: str, tuple_count: int, seed: int = 51) -> Brought:
    """So many contextual tuples of a sort: names that the store knows (`known`), names nobody has seen (`new`), and known ones each under
    `x < 100` with a context of its own, which holds for every second (`conditioned`).

    Of twenty questions eight are about a contextual tuple, six about a stored one, and six about a pair that nothing grants.
    """
    chance = random.Random(seed)
    stored = {(subject, object) for subject, _, object in scenario.tuples}
    users, docs = (sorted({pair[at] for pair in stored}) for at in (0, 1))
    brought: dict[tuple[str, str], int | None] = {}
    while len(brought) < tuple_count:
        number = len(brought)
        pair = (f"user:guest-{number}", f"doc:draft-{number}") if sort == "new" else (chance.choice(users), chance.choice(docs))
        if pair not in stored and pair not in brought:
            brought[pair] = None if sort != "conditioned" else 100 + number if number % 2 else 99 - number
    some = list(brought)[:8]
    crossed = [(some[at][0], some[at - 1][1]) for at in range(6)]
    asked = [*some, *((subject, object) for subject, _, object in scenario.questions[:6]), *crossed]
    chance.shuffle(asked)

    def right(pair: tuple[str, str]) -> bool:
        x = brought.get(pair)
        return pair in stored or (pair in brought and (x is None or x < 100))

    tuples = [Tuple(user, VIEWER, doc) if x is None else Tuple(user, VIEWER, doc, "below", {"x": x}) for (user, doc), x in brought.items()]
    questions = [(fresh(user), VIEWER, fresh(doc)) for user, doc in asked]
    return Brought(tuples, questions, list(map(right, asked)), [pair in stored for pair in asked])


def measure_contextual(
    tuple_count: int = TUPLE_COUNT, rounds: int = ROUNDS, counts: Sequence[int] = CONTEXTUAL, batch_count: int = BATCH_COUNT
) -> Rows:
    """The same questions with contextual tuples and without, a call: one check, and a batch that brings them once for all."""
    scenario = grants("open", tuple_count, batch_count)
    engine = load(scenario)
    verify(scenario, engine)
    listed = _list(scenario)
    rows: Rows = {}
    for number in counts:
        must = BROUGHT if number <= 20 else None
        for sort, title in (("known", "known names"), ("new", "names nobody has seen"), ("conditioned", "known names, under `x < 100`")):
            brought = bring(scenario, sort, number)
            for question, answer in zip(brought.questions, brought.answers, strict=True):
                compare([engine.check(*question, contextual_tuples=brought.tuples)], [question], [answer], f"check with {number} {title}")
            compare(engine.batch_check(brought.questions), brought.questions, brought.without, f"without the {number} {title}")
            texts = partial(engine.check_objects, AGENT, VIEWER)
            compare(texts(listed.objects, contextual_tuples=brought.tuples), listed.triples(), listed.answers, f"batch with {number} {title}")
            singles = _one_by_one_with(engine, brought.tuples), one_by_one(engine)
            rows[f"{number:,} of {title}: a check"] = measure(*singles, brought.questions, rounds, must)
            both = partial(texts, contextual_tuples=brought.tuples), texts
            rows[f"{number:,} of {title}: a batch of {len(listed.objects)} texts"] = measure(*both, listed.objects, rounds, must, unit=1)
    engine.close()
    return rows


def _one_by_one_with(engine: fgacore.Engine, contextual: list[Tuple]) -> Callable[[list[Triple]], None]:
    check = engine.check

    def run(questions: list[Triple]) -> None:
        for subject, relation, object in questions:
            check(subject, relation, object, contextual_tuples=contextual)

    return run


class Clock:
    """Stands still until it is moved."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now.timestamp()


def measure_expiry(tuple_count: int = TUPLE_COUNT, rounds: int = ROUNDS, batch_count: int = BATCH_COUNT) -> Rows:
    """A store in which every tuple expires some day beside one in which none does: the look at the clock, and the passing of an instant."""
    plain = load(grants("plain", tuple_count, batch_count))
    scenario = grants("expires", tuple_count, batch_count)
    engine, clock = load(scenario), Clock(NOW)
    clocked = load(scenario, clock)
    for each in (plain, engine, clocked):
        verify(scenario, each)
    questions, listed = scenario.questions, _list(scenario)
    rows: Rows = {}
    rows["single"] = measure(one_by_one(engine), one_by_one(plain), questions, rounds)
    rows["single, by a clock in Python"] = measure(one_by_one(clocked), one_by_one(plain), questions, rounds)
    texts = partial(engine.check_objects, AGENT, VIEWER), partial(plain.check_objects, AGENT, VIEWER)
    rows[f"batch of {len(listed.objects)} texts"] = measure(*texts, listed.objects, rounds)
    rows[f"batch of {len(listed.triples())} triples"] = measure(engine.batch_check, plain.batch_check, listed.triples(), rounds)
    rows["the first check after a tuple expired"] = _passing(clocked, clock, plain, scenario, rounds)
    return rows


def _passing(engine: fgacore.Engine, clock: Clock, plain: fgacore.Engine, scenario: Scenario, rounds: int) -> dict[str, Any]:
    """The clock moves from one tuple's instant to the next one's, and each that passed is gone: one is asked for right then. A call."""
    gone = iter(scenario.grants[: min(rounds, len(scenario.grants) - 1)])
    rest = scenario.grants[min(rounds, len(scenario.grants) - 1)]
    answers: list[bool] = []

    def passed() -> Tuple:
        grant = next(gone)
        assert grant.expires_at is not None
        clock.now = grant.expires_at
        return grant

    def ask(grant: Tuple) -> None:
        answers.append(engine.check(grant.subject, grant.relation, grant.object))

    def ask_plain(grant: Tuple) -> None:
        plain.check(grant.subject, grant.relation, grant.object)

    with quiet():
        ns, beside = in_turn([(ask, passed), (ask_plain, lambda: rest)], min(rounds, len(scenario.grants) - 1), 1, warm=False)
    if any(answers) or not engine.check(rest.subject, rest.relation, rest.object):
        raise WrongAnswer("a tuple is gone at its instant, and no sooner")
    clock.now = LATER + timedelta(seconds=len(scenario.grants))
    if any(engine.batch_check(scenario.questions)):
        raise WrongAnswer("tuples count whose instant has passed")
    return make_row(ns, beside)


def measure_writes(tuple_count: int = TUPLE_COUNT, write_count: int = WRITES, loads: int = LOADS) -> Rows:
    """One write of one tuple with a condition and its context, or until an instant, and loading such tuples, a tuple, beside the same without."""
    plain = grants("plain", tuple_count)
    plain = replace(plain, tuples=[], grants=[Tuple(*triple) for triple in plain.tuples])  # as the others are handed over
    plain_engine, numbers = load(plain), count()
    plain_loads = [load_cost(plain) for _ in range(loads)]
    rows: Rows = {}
    for kind, title in (
        ("below", "a condition"),
        ("until", "a condition and two times"),
        ("network", "a condition and a text"),
        ("expires", "an expiry"),
    ):
        scenario = grants(kind, tuple_count)
        engine, like = load(scenario), scenario.grants[0]

        def new(like: Tuple = like) -> list[Tuple]:
            number = next(numbers)
            return [Tuple(f"user:new-{number}", VIEWER, f"doc:new-{number // 5}", like.condition, like.context, like.expires_at)]

        def bare() -> list[Tuple]:
            number = next(numbers)
            return [Tuple(f"user:new-{number}", VIEWER, f"doc:new-{number // 5}")]

        stored = engine.stats().tuples
        with quiet():
            ns, beside = in_turn([(engine.write, new), (plain_engine.write, bare)], write_count, 1, warm=False)
        if engine.stats().tuples != stored + write_count:
            raise WrongAnswer(f"{write_count} tuples with {title} were written, {engine.stats().tuples - stored} are there")
        rows[f"one write, {title}"] = make_row(ns, beside)
        rows[f"load, {title}, a tuple"] = make_row(
            statistics.median(load_cost(scenario) for _ in range(loads)), statistics.median([*plain_loads, load_cost(plain)])
        )
        engine.close()
    return rows


def measure_named(scenario: Scenario, engines: Mapping[str, Callable[[Scenario], Peer]], seconds: float = NAMED_SECONDS) -> Rows:
    """Named engines under the same condition, in turn with fgacore. fgacore reads the time from the text in each call; they are given it ready."""
    engine = load(scenario)
    verify(scenario, engine)
    listed, questions = _list(scenario), scenario.questions
    rows: Rows = {}
    for name, make in engines.items():
        peer = make(scenario)
        started = perf_counter()
        compare(peer.check_objects(AGENT, VIEWER, listed.objects), listed.triples(), listed.answers, name)
        compare([peer.check(*question) for question in questions], questions, scenario.answers, name)
        rounds = max(3, min(21, int(seconds / (2 * (perf_counter() - started)))))
        single = measure(one_by_one(engine, scenario.context), one_by_one(peer), questions, rounds)
        texts = partial(engine.check_objects, AGENT, VIEWER, **scenario.given), partial(peer.check_objects, AGENT, VIEWER)
        batch = measure(*texts, listed.objects, rounds)
        rows[f"{name}: single"] = make_row(single["ns"], single["beside"], PEER, peer=True)
        rows[f"{name}: batch of {len(listed.objects)} texts"] = make_row(batch["ns"], batch["beside"], PEER, peer=True)
    return rows


def _list(scenario: Scenario) -> ObjectList:
    assert scenario.listed is not None
    return scenario.listed


def print_rows(group: str, rows: Rows) -> None:
    width = max(map(len, [group, *rows])) + 4
    if rows:
        print(f"\n{group:<{width}}{'fgacore ns':>12}{GROUPS[group] + ' ns':>12}{'x':>9}{'us more':>10}  must")
    for name, row in rows.items():
        held = f"  {row['must']}, {'held' if row['holds'] else 'NOT HELD'}" if "must" in row else ""
        more = f"{row['more_us']:>10.2f}" if GROUPS[group] == "without" else f"{'':>10}"
        print(f"  {name:<{width - 2}}{row['ns']:>12,.1f}{row['beside']:>12,.1f}{row['x']:>9.2f}{more}{held}", flush=True)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.conditions", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tuples", type=int, default=TUPLE_COUNT, help="of each store, roughly (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of each row (default: %(default)s)")
    parser.add_argument("--named", action="store_true", help="also the named engines that are installed (the extra `bench`)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args(arguments)
    record: dict[str, Any] = {**facts(), "unit": "nanoseconds a check", "tuples": options.tuples, "conditions": {}}
    print(line(record))
    engines = named_until() if options.named else {}
    parts: tuple[Callable[[], Rows], ...] = (
        partial(measure_conditions, options.tuples, options.rounds),
        partial(measure_contextual, options.tuples, options.rounds),
        partial(measure_expiry, options.tuples, options.rounds),
        partial(measure_writes, options.tuples, min(WRITES, 20 * options.rounds)),
        partial(measure_named, grants("until", options.tuples), engines),
    )
    for group, part in zip(GROUPS, parts, strict=True):
        record["conditions"][group] = rows = part()
        print_rows(group, rows)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
