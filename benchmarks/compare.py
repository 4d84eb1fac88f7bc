"""fgacore beside the floor and its peers, in one process and in turn: what the ratios in docs/performance.md are.

    python -m benchmarks.compare [--shape direct] [--named] [--openfga URL] [--json FILE]

Read the ratios. `x floor` is fgacore's time over that of the least work (floor.pyx), `x hand` the best hand-written Python's time over
fgacore's, `x fgacore` a peer's time over fgacore's. Every answer of every peer is compared with the scenario's before it is timed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy

from .floor import make_floor
from .machine import facts, line
from .peers import HAND, HELPDESK_HAND, Peer, named
from .scenarios import SHAPES, VIEWER, ObjectList, Scenario, WrongAnswer, fresh, load, one_by_one, verify
from .scenarios.helpdesk import helpdesk_loop
from .timing import Timed, in_turn, quiet

__all__ = ["main", "measure_helpdesk", "measure_named", "measure_shape"]

TUPLE_COUNT = 100_000
ROUNDS = 51
COLD_ROUNDS = 9
NAMED_SECONDS = 3.0  # for one engine on one shape, at most, beside its loading


def measure_shape(scenario: Scenario, rounds: int = ROUNDS, cold_rounds: int = COLD_ROUNDS) -> dict[str, dict[str, float]]:
    """Rows of one shape, in nanoseconds a check: floor, fgacore, and the hand-written peers where they have a way to be asked so."""
    floor = make_floor(scenario.name, scenario.tuples)
    engine = load(scenario)
    hand = {name: make(scenario) for name, make in HAND.items()}
    listed = _list(scenario)
    verify(scenario, engine)
    for name, peer in {"floor": floor, **hand}.items():
        _verify_peer(name, peer, scenario)
    questions, triples, objects = scenario.questions, listed.triples(), listed.objects
    subject = listed.subject
    rows: dict[str, dict[str, float]] = {}

    def add(row: str, who: dict[str, Callable[[Any], object]], make: Callable[[], Any], unit: int, times: int = rounds, warm: bool = True) -> None:
        timed = [(run, make) for run in who.values()]
        rows[row] = dict(zip(who, in_turn(timed, times, unit, warm), strict=True))

    with quiet():
        both: dict[str, Peer] = {"floor": floor, "fgacore": engine}
        add("single, strings", {name: one_by_one(peer) for name, peer in {**both, **hand}.items()}, lambda: questions, len(questions))
        add(
            "single, fresh strings",
            {name: one_by_one(peer) for name, peer in both.items()},
            lambda: [(fresh(s), r, fresh(o)) for s, r, o in questions],
            len(questions),
        )
        everyone = {name: _listing(peer, subject) for name, peer in {**both, **hand}.items()}
        add(f"batch of {len(objects)}, one subject, strings", everyone, lambda: objects, len(objects))
        alone = {name: run for name, run in everyone.items() if name in both}
        add(f"batch of {len(objects)}, one subject, fresh strings", alone, lambda: list(map(fresh, objects)), len(objects))
        batches: dict[str, Callable[[Any], object]] = {"floor": floor.batch_check, "fgacore": engine.batch_check}
        add(f"batch of {len(triples)} triples, one subject", batches, lambda: triples, len(triples))
        add(f"batch of {len(questions)} triples, many subjects", batches, lambda: questions, len(questions))
        if scenario.cold:
            size = len(scenario.cold[0].questions)
            lots = {name: iter(scenario.cold[: 2 * cold_rounds]) for name in batches}  # each is warmed by the questions of other subjects
            timed = [(run, lambda name=name: next(lots[name]).questions) for name, run in batches.items()]
            rows[f"batch of {size} triples, subjects never asked before"] = dict(zip(batches, in_turn(timed, cold_rounds, size), strict=True))
        rows[f"batch of {len(objects)} ids"] = _ids(floor, engine, listed, rounds)
        rows[f"batch of {len(objects)}, after a write of another tuple"] = _after_write(floor, engine, listed, rounds)
    return rows


def measure_helpdesk(scenario: Scenario, rounds: int = 21) -> dict[str, dict[str, float]]:
    """The headline beside its hand-written peer. The peer stands still: it is asked the steps without their writes, as is fgacore for it."""
    engine = load(scenario)
    peer = HELPDESK_HAND(scenario)
    verify(scenario, engine)
    questions = scenario.questions
    for name, answers in {"by hand": peer.batch_check(questions), "fgacore": list(engine.batch_check(questions))}.items():
        if answers != scenario.answers:
            raise WrongAnswer(f"{name}: a batch of the helpdesk is answered wrongly")
    rows: dict[str, dict[str, float]] = {}
    with quiet():
        who: dict[str, Any] = {"fgacore": engine, "by hand, closure": peer}
        singles = [(one_by_one(asked), lambda: questions) for asked in who.values()]
        rows["single, strings"] = dict(zip(who, in_turn(singles, rounds, len(questions)), strict=True))
        batches = [(asked.batch_check, lambda: questions) for asked in who.values()]
        rows[f"batch of {len(questions)} triples, one agent"] = dict(zip(who, in_turn(batches, rounds, len(questions)), strict=True))
    return rows


def measure_named(scenario: Scenario, engines: dict[str, Callable[[Scenario], Peer]], seconds: float = NAMED_SECONDS) -> dict[str, dict[str, float]]:
    """Named engines on one shape, in turn with fgacore: nanoseconds a check, one by one and as a batch, and seconds to load."""
    engine = load(scenario)
    verify(scenario, engine)
    listed = _list(scenario)
    rows: dict[str, dict[str, float]] = {}
    for name, make in engines.items():
        started = perf_counter()
        peer = make(scenario)
        load_seconds = perf_counter() - started
        started = perf_counter()
        _verify_peer(name, peer, scenario)
        rounds = max(3, min(21, int(seconds / (2 * (perf_counter() - started)))))
        with quiet():
            single = _times([one_by_one(engine), one_by_one(peer)], scenario.questions, rounds)
            batch = _times([_listing(engine, listed.subject), _listing(peer, listed.subject)], listed.objects, rounds)
        rows[name] = {"single": single[1], "single, fgacore": single[0], "batch": batch[1], "batch, fgacore": batch[0], "load_s": load_seconds}
        close = getattr(peer, "close", None)
        if close is not None:
            close()
        del peer
    return rows


def _times(runs: list[Callable[[Any], object]], argument: Sequence[Any], rounds: int) -> list[float]:
    timed: list[Timed] = [(run, lambda: argument) for run in runs]
    return in_turn(timed, rounds, len(argument))


def _list(scenario: Scenario) -> ObjectList:
    assert scenario.listed is not None
    return scenario.listed


def _listing(peer: Any, subject: str) -> Callable[[list[str]], object]:
    check_objects = peer.check_objects
    return lambda objects: check_objects(subject, VIEWER, objects)


def _verify_peer(name: str, peer: Any, scenario: Scenario) -> None:
    listed = _list(scenario)
    if list(peer.check_objects(listed.subject, listed.relation, listed.objects)) != listed.answers:
        raise WrongAnswer(f"{name} answers a batch of {scenario.name} wrongly")
    for question, right in zip(scenario.questions, scenario.answers, strict=True):
        if peer.check(*question) is not right:
            raise WrongAnswer(f"{name} answers {' '.join(question)} wrongly, should be {right}")


def _ids(floor: Any, engine: Any, listed: ObjectList, rounds: int) -> dict[str, float]:
    """Numbers instead of names. fgacore returns an array of its own, as it does for everybody; the floor fills one that it is given."""
    subject = int(engine.ids("user", [listed.subject.partition(":")[2]])[0])
    objects = engine.ids("doc", [object.partition(":")[2] for object in listed.objects])
    theirs = numpy.array([floor.number(object) for object in listed.objects], dtype=numpy.uint32)
    answers = numpy.empty(len(theirs), dtype=numpy.uint8)
    floor_subject = floor.number(listed.subject)
    floor.check_ids(floor_subject, theirs, answers)
    if answers.astype(bool).tolist() != listed.answers:
        raise WrongAnswer("the floor answers ids wrongly")
    runs: list[Callable[[Any], object]] = [
        lambda _: floor.check_ids(floor_subject, theirs, answers),
        lambda _: engine.check_ids(subject, VIEWER, objects, subject_type="user", object_type="doc"),
    ]
    return dict(zip(("floor", "fgacore"), in_turn([(run, lambda: None) for run in runs], 4 * rounds, len(theirs)), strict=True))


def _after_write(floor: Any, engine: Any, listed: ObjectList, rounds: int) -> dict[str, float]:
    """A batch right after a write about others: what a new revision costs those who only ask. Nothing is warmed, the batch before did that."""
    numbers = count()

    def written() -> list[str]:
        engine.write([(f"user:written-{next(numbers)}", VIEWER, "doc:written")])
        return listed.objects

    timed: list[Timed] = [(_listing(floor, listed.subject), lambda: listed.objects), (_listing(engine, listed.subject), written)]
    floor_time, engine_time = (in_turn([one], rounds, len(listed.objects), warm=False)[0] for one in timed)
    return {"floor": floor_time, "fgacore": engine_time}


def print_rows(title: str, rows: dict[str, dict[str, float]]) -> None:
    print(f"\n{title:<56}{'floor ns':>10}{'fgacore ns':>12}{'x floor':>9}{'x hand':>9}  best by hand")
    for row, times in rows.items():
        ours, floor = times["fgacore"], times.get("floor")
        hand = {name: time for name, time in times.items() if name.startswith("by hand")}
        best = min(hand, key=lambda name: hand[name], default=None)
        text = f"  {row:<54}" + (f"{floor:>10.1f}" if floor else f"{'':>10}") + f"{ours:>12.1f}" + (f"{ours / floor:>9.2f}" if floor else f"{'':>9}")
        print(text + (f"{hand[best] / ours:>9.2f}  {best.partition(', ')[2]} {hand[best]:.0f} ns" if best else ""), flush=True)


def print_named(title: str, rows: dict[str, dict[str, float]]) -> None:
    if rows:
        print(f"\n{title:<28}{'single us':>10}{'x fgacore':>11}{'batch, us a check':>19}{'x fgacore':>11}{'load s':>9}")
    for name, times in rows.items():
        print(
            f"  {name:<26}{times['single'] / 1e3:>10.2f}{times['single'] / times['single, fgacore']:>11.0f}"
            f"{times['batch'] / 1e3:>19.2f}{times['batch'] / times['batch, fgacore']:>11.0f}{times['load_s']:>9.2f}",
            flush=True,
        )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", action="append", choices=sorted(SHAPES), help="one of the shapes (default: all three, and the helpdesk)")
    parser.add_argument("--tuples", type=int, default=TUPLE_COUNT, help="of each, roughly (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of each row (default: %(default)s)")
    parser.add_argument("--named", action="store_true", help="also the named engines that are installed (the extra `bench`)")
    parser.add_argument("--openfga", metavar="URL", help="also an OpenFGA server")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args(arguments)
    record: dict[str, Any] = {**facts(), "unit": "nanoseconds a check", "tuples": options.tuples, "compare": {}, "named": {}}
    print(line(record))
    engines = named(options.openfga) if options.named else {}
    if not options.shape:
        record["compare"]["helpdesk"] = rows = measure_helpdesk(helpdesk_loop(options.tuples, step_count=2), options.rounds)
        print_rows("helpdesk", rows)
    for shape in options.shape or SHAPES:
        scenario = SHAPES[shape](options.tuples, cold_batches=2 * COLD_ROUNDS if options.tuples >= TUPLE_COUNT else 0)
        record["compare"][shape] = rows = measure_shape(scenario, options.rounds)
        print_rows(shape, rows)
        record["named"][shape] = rows = measure_named(scenario, engines)
        print_named(shape, rows)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
