"""The demo: its named decisions are right, its batch is right by an independent recomputation, and what it prints is what it asked."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import fgacore
from fgacore.cli import helpdesk, main

# Written here once more, so that an edit of the demo alone cannot change what the story demands.
STORY = {
    ("agent:support", "can_read", "ticket:47291"): True,
    ("agent:support", "can_update_status", "ticket:47291"): True,
    ("agent:support", "can_read", "ticket:50110"): False,
    ("agent:support", "can_update_status", "ticket:50110"): False,
    ("agent:support", "can_read", "note:suspicion"): False,
    ("agent:support", "can_read_payments", "customer:acme"): False,
    ("agent:support", "can_read", "direct_message:17"): False,
}


@pytest.fixture(scope="module")
def run() -> Result:
    return CliRunner().invoke(main, ["demo"], catch_exceptions=False)


@pytest.fixture(scope="module")
def tuples() -> list[helpdesk.Triple]:
    return helpdesk.generated_tuples(100_000)


@pytest.fixture(scope="module")
def questions(tuples: list[helpdesk.Triple]) -> list[helpdesk.Triple]:
    return helpdesk.generated_questions(tuples, 500)


def engine_with(tuples: list[helpdesk.Triple]) -> fgacore.Engine:
    engine = fgacore.open(":memory:")
    engine.write_model(helpdesk.model_text())
    engine.write(tuples)
    return engine


def recomputed(tuples: list[helpdesk.Triple], questions: list[helpdesk.Triple]) -> list[bool]:
    """The answers by what the model means in words, over plain dicts."""
    held: dict[tuple[str, str], set[str]] = defaultdict(set)
    for subject, relation, object in tuples:
        held[object, relation].add(subject)

    def identities(subject: str) -> set[str]:
        """The subject and every `team#member` that it is, by membership of any depth."""
        known = {subject}
        while grown := {f"{team}#member" for (team, relation), members in held.items() if relation == "member" and members & known} - known:
            known |= grown
        return known

    is_also = {subject: identities(subject) for subject in {subject for subject, _, _ in questions}}

    def in_any(subject: str, object: str, relation: str) -> bool:
        return not is_also[subject].isdisjoint(held[object, relation])

    def leads(subject: str, ticket: str) -> bool:
        return any(in_any(subject, queue, "lead") for queue in held[ticket, "queue"])

    def answer(subject: str, relation: str, object: str) -> bool:
        match object.partition(":")[0], relation:
            case "ticket", "can_read" | "can_update_status":
                return leads(subject, object) or (in_any(subject, object, "assignee") and subject not in held[object, "conflicted"])
            case "ticket", "can_close":
                return leads(subject, object)
            case "note", "can_read":
                return subject in held[object, "author"] or any(leads(subject, ticket) for ticket in held[object, "ticket"])
            case "direct_message", "can_read":
                return subject in held[object, "participant"]
            case "customer", "can_read_payments":
                return in_any(subject, object, "billing")
        raise AssertionError(f"no words for {relation} of {object}")

    return [answer(*question) for question in questions]


def test_story_is_told_and_its_answers_are_right() -> None:
    engine = engine_with(helpdesk.named_tuples())
    told = {(decision.subject, decision.relation, decision.object): decision.allowed for decision in helpdesk.DECISIONS}
    assert STORY.items() <= told.items()
    assert {question: engine.check(*question) for question in told} == told


def test_named_decisions_agree_with_the_words_of_the_model() -> None:
    questions = [(decision.subject, decision.relation, decision.object) for decision in helpdesk.DECISIONS]
    assert recomputed(helpdesk.named_tuples(), questions) == [decision.allowed for decision in helpdesk.DECISIONS]


def test_every_named_decision_is_printed_with_its_answer(run: Result) -> None:
    assert run.exit_code == 0, run.output
    for decision in helpdesk.DECISIONS:
        answer = "allow" if decision.allowed else "deny"
        line = rf"^{re.escape(decision.subject)} +{decision.relation} +{re.escape(decision.object)} +{answer} +{re.escape(decision.why)} *$"
        assert re.search(line, run.output, re.MULTILINE), f"{decision} in\n{run.output}"


def test_grant_for_an_hour_is_allowed_now_and_denied_an_hour_later() -> None:
    now = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
    engine = fgacore.open(":memory:", clock=lambda: now)
    engine.write_model(helpdesk.model_text())
    revision = engine.write([*helpdesk.named_tuples(), helpdesk.GRANT])
    assert engine.check("agent:support", "can_read", "ticket:50110") is True
    now += timedelta(hours=1)
    assert engine.check("agent:support", "can_read", "ticket:50110") is False
    assert engine.revision == revision


def test_grant_for_an_hour_is_printed_with_its_times(run: Result) -> None:
    for time, answer in (("09:00", "allow"), ("10:00", "deny")):
        assert re.search(rf"^{time} +agent:support +can_read +ticket:50110 +{answer} ", run.output, re.MULTILINE), run.output


def test_demo_needs_no_extra() -> None:
    program = "import sys; sys.modules['cel_expr_python'] = None; from fgacore.cli import main; main(['demo'])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "A grant for an hour" in done.stdout


def test_a_grant_that_never_ends_fails_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helpdesk, "GRANT", replace(helpdesk.GRANT, expires_at=None))
    result = CliRunner().invoke(main, ["demo"])
    assert result.exit_code == 1
    assert "1 of these answers are wrong" in result.output


def test_output_is_plain_when_it_is_no_terminal(run: Result) -> None:
    assert "\x1b" not in run.output


def test_table_fits_a_terminal_of_80_columns(run: Result) -> None:
    tables = (("subject ", "An agent loop"), ("type ", "What to try next"))
    for begin, end in tables:
        table = run.output[run.output.index(begin) : run.output.index(end)]
        assert max(len(line.rstrip()) for line in table.splitlines() if "difference" not in line) <= 80


def test_printed_count_is_the_recomputed_one(run: Result, tuples: list[helpdesk.Triple], questions: list[helpdesk.Triple]) -> None:
    allowed = sum(recomputed(tuples, questions))
    assert re.search(rf"allowed +{allowed} of 500\b", run.output), run.output


def test_times_are_printed_and_consistent(run: Result) -> None:
    batch = re.search(r"a batch +([\d,.]+) microseconds", run.output)
    check = re.search(r"a check +([\d,.]+) nanoseconds", run.output)
    assert batch is not None
    assert check is not None
    microseconds, nanoseconds = (float(found[1].replace(",", "")) for found in (batch, check))
    assert microseconds > 0
    assert nanoseconds == pytest.approx(microseconds * 1e3 / 500, abs=1.0)


def test_last_lines_say_what_to_try_next(run: Result) -> None:
    assert "What to try next:" in run.output.splitlines()[-9:]


def test_the_large_helpdesk_is_kept_and_opened_from_the_disk_the_second_time(tmp_path: Path) -> None:
    command = ["demo", "--store", str(tmp_path / "helpdesk")]
    first, second = (CliRunner().invoke(main, command, catch_exceptions=False).output for _ in range(2))
    assert re.search(r"made +in [\d.]+ s, on the disk", first)
    assert "made " not in second
    for output in (first, second):
        assert re.search(r"opened +from the disk, and asked once, in [\d.]+ milliseconds", output)
    assert re.search(r"allowed +\d+ of 500", first)[0] == re.search(r"allowed +\d+ of 500", second)[0]  # type: ignore[index]


def test_another_store_is_not_taken_for_the_helpdesk(tmp_path: Path) -> None:
    with fgacore.open(tmp_path) as engine:
        engine.write_model(helpdesk.model_text())
    result = CliRunner().invoke(main, ["demo", "--store", str(tmp_path)])
    assert result.exit_code == 1
    assert "is not the large helpdesk" in result.output


def test_two_processes_share_a_postgres_of_the_demo() -> None:
    output = CliRunner().invoke(main, ["demo", "--postgres"], catch_exceptions=False).output
    assert re.search(r"median [\d.]+, longest [\d.]+ milliseconds", output)


def test_a_wrong_answer_fails_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    first, *others = helpdesk.DECISIONS
    monkeypatch.setattr(helpdesk, "DECISIONS", (replace(first, allowed=not first.allowed), *others))
    result = CliRunner().invoke(main, ["demo"])
    assert result.exit_code == 1
    assert "1 of these answers are wrong" in result.output
    assert "An agent loop" not in result.output


# The same words over the small helpdesk as `recomputed`, for all that an agent can hold.
HELD = {
    ("team", "member"): ["team:first-line"],
    ("ticket", "assignee"): ["ticket:47291", "ticket:47292", "ticket:47293"],
    ("ticket", "conflicted"): ["ticket:47293"],
    ("ticket", "can_read"): ["ticket:47291", "ticket:47292"],
    ("ticket", "can_update_status"): ["ticket:47291", "ticket:47292"],
}
NEW_TICKET = "ticket:47294"
GAINED = [("ticket", "assignee"), ("ticket", "can_read"), ("ticket", "can_update_status")]


def test_blast_radius_is_what_the_story_demands() -> None:
    engine = engine_with(helpdesk.named_tuples())
    before = engine.reach("agent:support")
    assert {pair: found.to_list() for pair, found in before.definite.items() if len(found)} == HELD
    engine.write(helpdesk.TICKET)
    changes = before.diff(engine.reach("agent:support"))
    assert [(change.type, change.relation, change.object, change.cause) for change in changes.gained] == [
        (*pair, NEW_TICKET, "tuple") for pair in GAINED
    ]
    assert changes.lost == []


def test_blast_radius_is_printed_before_and_after_with_the_difference_and_its_cause(run: Result) -> None:
    printed = run.output[run.output.index("A blast radius.") :]
    for (type, relation), objects in HELD.items():
        after = len(objects) + ((type, relation) in GAINED)
        assert re.search(rf"^{type} +{relation} +{len(objects)} +{after} *$", printed, re.MULTILINE), printed
    for type, relation in GAINED:
        assert re.search(rf"^\+ {type} +{relation} +{NEW_TICKET} +tuple *$", printed, re.MULTILINE), printed
    assert len(re.findall(r"^[+-] ", printed, re.MULTILINE)) == len(GAINED)


def test_a_wrong_blast_radius_fails_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(helpdesk.REACH, ("ticket", "can_close"), (0, 1))
    result = CliRunner().invoke(main, ["demo"])
    assert result.exit_code == 1
    assert "1 of these numbers are wrong" in result.output


# ---- for a person ----

AT_WORK = {  # once more, as the story demands them: the code, and the link that denies
    ("can_read", "ticket:47291"): ("allowed", None),
    ("can_update_status", "ticket:47291"): ("allowed", None),
    ("can_read", "ticket:47292"): ("allowed", None),
    ("can_update_status", "ticket:47292"): ("out_of_scope", "agent:support"),
    ("can_read", "ticket:50110"): ("not_held", "agent:support"),
    ("can_read", "ticket:61000"): ("not_held", "user:lena"),
    ("can_read", "note:suspicion"): ("not_held", "agent:support"),
    ("can_read_payments", "customer:acme"): ("outside_boundary", "agent:support"),
}
STOPS = [("revoke", "delegation_revoked"), ("suspend", "suspended")]


def desk_of_the_story() -> fgacore.Engine:
    engine = engine_with([*helpdesk.named_tuples(), *helpdesk.MISTAKES])
    engine.boundary(*helpdesk.BOUNDARY)
    return engine


def test_what_the_agent_may_for_a_person_is_what_the_story_demands() -> None:
    engine = desk_of_the_story()
    session = engine.session(engine.delegate(by="user:lena", to="agent:support", scope=helpdesk.LENT, expires_in=900))
    assert {(each.relation, each.object): (each.code, each.principal) for each in helpdesk.SESSION_DECISIONS} == AT_WORK
    for (relation, object), (code, principal) in AT_WORK.items():
        found = session.decide(relation, object)
        assert (found.code, None if found else found.principal) == (code, principal), object
        assert session.check(relation, object) is (code == "allowed")


def test_denials_of_the_story_agree_with_the_words_of_the_model() -> None:
    """Whoever is said not to hold something does not; and payments would be read, if it were not for the boundary."""
    tuples = [*helpdesk.named_tuples(), *helpdesk.MISTAKES]
    for (relation, object), (code, principal) in AT_WORK.items():
        person, agent = recomputed(tuples, [("user:lena", relation, object), ("agent:support", relation, object)])
        assert (person, agent) == (principal != "user:lena", (code, principal) != ("not_held", "agent:support"))


def test_at_work_every_answer_is_printed_with_the_link_that_denies(run: Result) -> None:
    printed = run.output[run.output.index("For a person.") :]
    for (relation, object), (code, principal) in AT_WORK.items():
        assert re.search(rf"^{relation} +{re.escape(object)} +{code} +{principal or ''}", printed, re.MULTILINE), printed


def test_it_is_stopped_in_the_middle_of_its_loop_and_goes_on_afterwards(run: Result) -> None:
    assert [step for step in helpdesk.LOOP if step[1] != "allowed"] == STOPS
    printed = run.output[run.output.index("in the middle of that") :]
    for line in (
        r"user:lena lends it +allowed",
        r"user:lena takes it back +delegation_revoked",
        r"user:lena lends it anew +allowed",
        r"user:security suspends agent:support +suspended",
        r"user:security lets it go on +allowed",
    ):
        assert re.search(rf"^{line} *$", printed, re.MULTILINE), printed


def test_all_that_was_decided_is_in_the_log_and_replays(run: Result) -> None:
    assert "in the log of decisions, 23 of 23:" in run.output
    assert "no difference" in run.output


@pytest.mark.parametrize("name", ["SESSION_DECISIONS", "LOOP"])
def test_a_wrong_code_fails_the_demo(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first, *others = getattr(helpdesk, name)
    wrong = ("nothing", "suspended") if name == "LOOP" else replace(first, code="not_held")
    monkeypatch.setattr(helpdesk, name, (wrong, *others))
    result = CliRunner().invoke(main, ["demo"])
    assert result.exit_code == 1
    assert "1 of these decisions are wrong" in result.output
    assert "(wrong)" in result.output


def test_generated_helpdesk_has_the_size_asked_for_and_no_tuple_twice(tuples: list[helpdesk.Triple]) -> None:
    assert len(tuples) == 100_000
    assert len(set(tuples)) == 100_000


def test_generated_helpdesk_is_the_same_for_the_same_seed_only() -> None:
    assert helpdesk.generated_tuples(10_000) == helpdesk.generated_tuples(10_000)
    assert helpdesk.generated_tuples(10_000) != helpdesk.generated_tuples(10_000, seed=7)


def test_generated_questions_touch_every_kind_and_both_answers(tuples: list[helpdesk.Triple], questions: list[helpdesk.Triple]) -> None:
    kinds: dict[tuple[str, str], set[bool]] = defaultdict(set)
    for (_, relation, object), answer in zip(questions, recomputed(tuples, questions), strict=True):
        kinds[object.partition(":")[0], relation].add(answer)
    assert kinds == {
        ("ticket", "can_read"): {True, False},
        ("ticket", "can_update_status"): {True, False},
        ("note", "can_read"): {False},
        ("customer", "can_read_payments"): {True, False},
        ("direct_message", "can_read"): {False},
    }


def test_generated_batch_is_right_on_every_path(tuples: list[helpdesk.Triple], questions: list[helpdesk.Triple]) -> None:
    engine = engine_with(tuples)
    right = recomputed(tuples, questions)
    assert list(engine.batch_check(questions)) == right
    assert [engine.check(*question) for question in questions] == right
    for relation in {relation for _, relation, _ in questions}:
        positions = [index for index, question in enumerate(questions) if question[1] == relation and question[2].startswith("ticket:")]
        if positions:
            objects = [questions[index][2] for index in positions]
            assert list(engine.check_objects(helpdesk.AGENT, relation, objects)) == [right[index] for index in positions]
