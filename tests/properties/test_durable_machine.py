"""Any sequence of opens, writes, snapshots, compactions, forks and the like leaves what the oracle says, in every process, and of every moment."""

from __future__ import annotations

import os
import random
from contextlib import closing

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from properties.durable import FORMATS, Durable
from properties.lockstep import SOAK
from strategies import RandomChoices, Tape, pick, tapes

SEED = int(os.environ.get("FGACORE_SEED") or random.SystemRandom().randrange(1 << 32))


class Stores(RuleBasedStateMachine):
    """The rules of `Durable`, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.durable = Durable()

    @initialize(source=tapes(200))
    def first(self, source: Tape) -> None:
        self.durable.any_model(source)
        self.durable.any_write(source)

    @precondition(lambda self: len(self.durable.models) < 4)
    @rule(source=tapes(200))
    def write_model(self, source: Tape) -> None:
        self.durable.any_model(source)

    @rule(source=tapes(80))
    def write(self, source: Tape) -> None:
        self.durable.any_write(source)

    @rule(source=tapes(20))
    def write_what_is_refused(self, source: Tape) -> None:
        self.durable.any_refused_write(source)

    @rule(source=tapes(6))
    def delete(self, source: Tape) -> None:
        self.durable.any_delete(source)

    @rule(source=tapes(40))
    def exchange(self, source: Tape) -> None:
        self.durable.any_exchange(source)

    @rule(source=tapes(1))
    def move_the_clock(self, source: Tape) -> None:
        self.durable.any_move(source)

    @rule()
    def sweep(self) -> None:
        self.durable.sweep()

    @rule()
    def merge(self) -> None:
        self.durable.merge()

    @rule()
    def snapshot(self) -> None:
        self.durable.snapshot()

    @rule()
    def compact(self) -> None:
        self.durable.compact()

    @rule(verify=st.booleans())
    def reopen(self, verify: bool) -> None:
        self.durable.reopen(verify=verify)

    @rule(read_only=st.booleans())
    def follow(self, read_only: bool) -> None:
        self.durable.follow(read_only=read_only)

    @rule()
    def swap(self) -> None:
        self.durable.swap()

    @rule(source=tapes(60))
    def fork(self, source: Tape) -> None:
        self.durable.any_fork(source)

    @rule(kind=st.sampled_from(FORMATS))
    def export_and_import(self, kind: str) -> None:
        self.durable.move_out_and_in(kind)

    @rule(source=tapes(40))
    def ask_of_the_past(self, source: Tape) -> None:
        self.durable.any_past(source)

    @rule(source=tapes(60))
    def ask(self, source: Tape) -> None:
        self.durable.any_question(source)

    @rule(source=tapes(60))
    def ask_the_follower(self, source: Tape) -> None:
        self.durable.any_question_of_the_follower(source)

    def teardown(self) -> None:
        self.durable.close()


TestStores = Stores.TestCase
TestStores.settings = settings(max_examples=600 if SOAK else 20, stateful_step_count=60 if SOAK else 25)


def any_step(durable: Durable, source: RandomChoices) -> None:
    """One step of a long history; questions and writes for the most part."""
    kind = source.below(24)
    if kind < 12:
        durable.any_step(source)
    elif kind == 12:
        durable.any_fork(source)
    elif kind == 13:
        durable.any_file(source)
    elif kind == 14:
        durable.compact()
    elif kind in (15, 16):
        durable.snapshot()
    elif kind == 17:
        durable.reopen(verify=bool(source.below(2)))
    elif kind == 18:
        durable.follow(read_only=pick(source, (False, False, True)))
    elif kind == 19:
        durable.swap()
    elif kind in (20, 21):
        durable.any_question_of_the_follower(source)
    else:
        durable.any_past(source)


@pytest.mark.parametrize("number", range(32 if SOAK else 3))
def test_long_histories_of_a_store_agree(number: int) -> None:
    print(f"FGACORE_SEED={SEED}, number {number}")
    source = RandomChoices(f"{SEED}-durable-{number}")
    for _ in range(20 if SOAK else 3):
        with closing(Durable()) as durable:
            durable.any_model(source)
            for _ in range(40):
                any_step(durable, source)
