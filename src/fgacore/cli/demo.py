"""`fgacore demo`: the helpdesk, in four parts. Named decisions, a grant for an hour, what an agent loop costs, and the agent's blast radius.

It fails if a named decision is not the one that the story demands, so a run of it proves an install.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

import click

import fgacore
from fgacore.tuples import Triple

from . import helpdesk

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["demo"]

TUPLE_COUNT = 100_000
BATCH_COUNT = 500  # questions in one turn of the loop
RUN_COUNT = 21  # odd, so that the median is a run that took place

NEXT = """\
What to try next:
  fgacore demo --show-model        the model behind these decisions, in OpenFGA's language
  fgacore test FOLDER              the tests of your own models, as OpenFGA's command line has them
  fgacore reach SUBJECT FILE       what a subject of your own store can touch
  python -c 'import fgacore; help(fgacore.Engine)'
                                   what an engine can do; the README has twenty lines to start from"""


@click.command()
@click.option("--show-model", is_flag=True, help="Print the model and the tuples of the small helpdesk, and stop.")
def demo(show_model: bool) -> None:
    """Show what an agent in a helpdesk may do, and what asking costs."""
    if show_model:
        click.echo(helpdesk.model_text())
        for subject, relation, object in helpdesk.named_tuples():
            click.echo(f"# {subject}  {relation}  {object}")
        return
    from rich.console import Console

    piped = not sys.stdout.isatty()  # then lines stay whole, whatever their width
    console = Console(highlight=False, width=160 if piped else None)
    console.print("[bold]A helpdesk.[/bold] agent:support works on the tickets assigned to it, nothing else.\n")
    wrong = _named_decisions(console) + _passing_grant(console)
    if wrong:
        raise click.ClickException(f"{wrong} of these answers are wrong: this build of fgacore must not be used")
    _agent_loop(console)
    if wrong := _blast_radius(console):
        raise click.ClickException(f"{wrong} of these numbers are wrong: this build of fgacore must not be used")
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


def _agent_loop(console: Console) -> None:
    """Print what one batch of questions over the large helpdesk costs, measured here and now."""
    started = time.perf_counter()
    tuples = helpdesk.generated_tuples(TUPLE_COUNT)
    engine = fgacore.open(":memory:")
    engine.write_model(helpdesk.model_text())
    engine.write(tuples)
    loaded = time.perf_counter() - started
    questions = helpdesk.generated_questions(tuples, BATCH_COUNT)
    allowed_count = sum(engine.batch_check(questions))  # the first run also learns what later ones know
    batch_seconds = median(_seconds(engine, questions) for _ in range(RUN_COUNT))
    console.print(
        f"\n[bold]An agent loop.[/bold] {BATCH_COUNT:,} questions of agent:support in one batch, over {TUPLE_COUNT:,} tuples"
        f" (made and loaded in {loaded:.2f} s):",
        soft_wrap=True,
    )
    console.print(f"  allowed    {allowed_count} of {BATCH_COUNT}")
    console.print(f"  a batch    {batch_seconds * 1e6:,.1f} microseconds (median of {RUN_COUNT} runs)")
    console.print(f"  a check    {batch_seconds / BATCH_COUNT * 1e9:,.0f} nanoseconds")


def _seconds(engine: fgacore.Engine, questions: Sequence[Triple]) -> float:
    started = time.perf_counter()
    engine.batch_check(questions)
    return time.perf_counter() - started
