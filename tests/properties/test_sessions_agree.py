"""Every door of a session says what the oracle of sessions says, and no session exceeds the one it hangs on: over random worlds and histories.

Tuples with conditions and expiries, chains that are handed on and narrowed, boundaries, suspensions, revocations, settings, a clock that moves and
goes back, models that lose what a scope names; at the newest revision and at earlier ones, in a second engine, and after a snapshot, a compaction and
a reopening. FGACORE_SEED repeats a long run, FGACORE_SOAK=1 runs many.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from properties.lockstep import SOAK
from properties.sessions import Sessions
from strategies import RandomChoices, Tape, tapes

SEED = int(os.environ.get("FGACORE_SEED") or random.SystemRandom().randrange(1 << 32))
CODES = {
    "allowed",
    "not_held",
    "out_of_scope",
    "outside_boundary",
    "suspended",
    "delegation_revoked",
    "expired",
    "delegation_required",
    "undetermined",
}


def begun(sessions: Sessions, source: Tape | RandomChoices) -> None:
    """A world with something to ask about."""
    sessions.any_model(source)
    sessions.any_write(source)
    sessions.any_write(source)
    for _ in range(2):
        sessions.any_delegation(source)
        sessions.any_grant(source)


@settings(max_examples=2_000 if SOAK else 40)
@given(tapes(500))
def test_chains_agree_while_they_are_made_and_stopped(source: Tape) -> None:
    """Chains grow, and then each link is stopped in some way, and asked before and after."""
    with closing(Sessions()) as sessions:
        begun(sessions, source)
        for _ in range(3):
            sessions.any_redelegation(source)
        sessions.any_unrecorded(source)
        for _ in range(4):
            sessions.any_grant(source)
        sessions.any_question(source)
        for stop in (sessions.any_boundary, sessions.any_delete, sessions.any_suspension, sessions.any_setting, sessions.any_revocation):
            stop(source)
            sessions.forget(source)
            sessions.any_question(source)


class Histories(RuleBasedStateMachine):
    """Any sequence of all that can be done about sessions, on disk."""

    def __init__(self) -> None:
        super().__init__()
        self.sessions = Sessions(on_disk=True)

    @initialize(source=tapes(300))
    def first(self, source: Tape) -> None:
        begun(self.sessions, source)

    @precondition(lambda self: len(self.sessions.models) < 4)
    @rule(source=tapes(200))
    def write_model(self, source: Tape) -> None:
        self.sessions.any_model(source)

    @rule(source=tapes(80))
    def write(self, source: Tape) -> None:
        self.sessions.any_write(source)

    @rule(source=tapes(20))
    def grant(self, source: Tape) -> None:
        self.sessions.any_grant(source)

    @rule(source=tapes(6))
    def delete(self, source: Tape) -> None:
        self.sessions.any_delete(source)

    @rule(source=tapes(40))
    def delegate(self, source: Tape) -> None:
        self.sessions.any_delegation(source)
        self.sessions.forget(source)

    @rule(source=tapes(40))
    def delegate_on(self, source: Tape) -> None:
        self.sessions.any_redelegation(source)
        self.sessions.forget(source)

    @rule(source=tapes(30))
    def begin(self, source: Tape) -> None:
        self.sessions.any_unrecorded(source)
        self.sessions.forget(source)

    @rule(source=tapes(30))
    def narrow(self, source: Tape) -> None:
        self.sessions.any_narrowed(source)
        self.sessions.forget(source)

    @rule(source=tapes(4))
    def suspend_or_resume(self, source: Tape) -> None:
        self.sessions.any_suspension(source)

    @rule(source=tapes(20))
    def bound(self, source: Tape) -> None:
        self.sessions.any_boundary(source)

    @rule(source=tapes(2))
    def lift(self, source: Tape) -> None:
        self.sessions.any_lift(source)

    @rule(source=tapes(2))
    def revoke(self, source: Tape) -> None:
        self.sessions.any_revocation(source)

    @rule(source=tapes(4))
    def configure(self, source: Tape) -> None:
        self.sessions.any_setting(source)

    @rule(source=tapes(1))
    def move_the_clock(self, source: Tape) -> None:
        self.sessions.any_move(source)

    @rule()
    def sweep(self) -> None:
        self.sessions.sweep()

    @rule()
    def snapshot(self) -> None:
        self.sessions.merge()

    @rule()
    def compact(self) -> None:
        self.sessions.compact()

    @rule()
    def reopen(self) -> None:
        self.sessions.reopen()

    @rule()
    def follow(self) -> None:
        self.sessions.follow()

    @rule(source=tapes(30))
    def ask_of_the_past(self, source: Tape) -> None:
        self.sessions.any_past(source)

    @rule(source=tapes(30))
    def ask(self, source: Tape) -> None:
        self.sessions.any_question(source)

    def teardown(self) -> None:
        self.sessions.any_question(RandomChoices(0))
        self.sessions.close()


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=400 if SOAK else 8, stateful_step_count=50 if SOAK else 25)


@pytest.mark.parametrize("number", range(32 if SOAK else 12))
def test_long_histories_agree(number: int) -> None:
    print(f"FGACORE_SEED={SEED}, number {number}")
    source = RandomChoices(f"{SEED}-sessions-{number}")
    for turn in range(20 if SOAK else 4):
        with closing(Sessions(on_disk=bool(turn % 2))) as sessions:
            begun(sessions, source)
            for _ in range(60):
                sessions.any_step(source)
            sessions.reopen()  # what was decided is decided again


@pytest.mark.parametrize("number", range(8 if SOAK else 1))
def test_whatever_was_answered_at_a_revision_is_answered_of_it_later(number: int) -> None:
    print(f"FGACORE_SEED={SEED}, number {number}")
    source = RandomChoices(f"{SEED}-sessions-past-{number}")
    with closing(Sessions(on_disk=True)) as sessions:
        begun(sessions, source)
        for _ in range(40):
            work = source.below(9)
            (
                sessions.any_write,
                sessions.any_grant,
                sessions.any_redelegation,
                sessions.any_delegation,
                sessions.any_suspension,
                sessions.any_boundary,
                sessions.any_revocation,
                sessions.any_move,
                sessions.any_unrecorded,
            )[work](source)
        for _ in range(2):
            for _ in range(25):
                sessions.any_past(source)
            sessions.any_question(source)
            sessions.merge()
            sessions.reopen()
        assert sessions.decided > 0


def test_these_worlds_reach_every_code_and_allow_something() -> None:
    """What is compared above is not empty: by the oracle alone, from seeds that stay."""
    met: Counter[str] = Counter()
    for number in range(12):
        source = RandomChoices(f"codes-{number}")
        with closing(Sessions()) as sessions:
            begun(sessions, source)
            for _ in range(60):
                sessions.any_step(source)
            met += sessions.met
    assert met.keys() >= CODES, met
    assert met["allowed"] > 200, met
