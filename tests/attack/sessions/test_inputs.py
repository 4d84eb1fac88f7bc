"""What is handed in stays the caller's: changed later, of a class of one's own, or huge, it changes nothing and breaks nothing."""

from __future__ import annotations

import copy
import pickle
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import fgacore
from attack.sessions.desk import ANNE, ASSIGNED, EVERYTHING, HELPER, SUPPORT, allowed, code_of, conditioned, delegated, denied, nothing
from attack.worlds import Clock, refusal
from faults import tasks
from faults.peer import Peer
from fgacore import RequestError, audit

# Changed later


def test_a_scope_that_is_changed_later_was_read_when_the_session_was_made(engine: Any) -> None:
    scope = ["can_read ticket:1"]
    id = engine.delegate(by=ANNE, to=SUPPORT, scope=scope, redelegations=1)
    sessions = [engine.session(id), engine.session(id, scope=scope), engine.session(SUPPORT, scope=scope)]
    sessions += [engine.session(SUPPORT, on_behalf_of=ANNE, scope=scope), engine.session(sessions[0].delegate(to=HELPER, scope=scope))]
    entries = scope
    engine.boundary("agent:bound", *entries)
    scope[:] = EVERYTHING
    for session in sessions:
        assert allowed(session, "can_read", "ticket:1")
        denied(session, "out_of_scope", object="ticket:2")
        denied(session, "out_of_scope", object="payment:1")
    assert engine.boundaries() == {"agent:bound": ("can_read ticket:1",)}


def test_what_a_session_shows_cannot_be_used_to_change_it(engine: Any) -> None:
    session = engine.session(engine.delegate(by=ANNE, to=SUPPORT, scope=["can_read ticket:1"]), scope=["can_read ticket:1"])
    for name in ("principals", "scope", "subject", "delegation", "task", "expires_at"):
        shown = getattr(session, name)
        if hasattr(shown, "append"):
            shown.append("can_read ticket:*")
        with pytest.raises((AttributeError, TypeError)):
            setattr(session, name, ("can_read ticket:*",))
    denied(session, "out_of_scope", object="ticket:2")
    for item in engine.delegations():
        with pytest.raises((AttributeError, TypeError)):
            item.scope = tuple(EVERYTHING)
        if isinstance(item.scope, list):
            item.scope.append("can_read ticket:*")
    denied(session, "out_of_scope", object="ticket:2")
    engine.boundary("agent", "not can_read payment:*")
    engine.suspend(SUPPORT)
    engine.boundaries().clear()
    engine.suspensions().clear()
    shown = engine.settings
    if isinstance(shown, dict):
        shown.clear()
    assert engine.boundaries() == {"agent": ("not can_read payment:*",)}
    denied(session, "suspended", SUPPORT)


def test_a_decision_cannot_be_changed(engine: Any) -> None:
    decision = engine.session("agent:nobody").decide("can_read", "ticket:1")
    for name, value in (("allowed", True), ("code", "allowed"), ("principal", None)):
        with pytest.raises((AttributeError, TypeError)):
            setattr(decision, name, value)
    assert not decision


def test_a_context_that_is_changed_later_was_read_when_the_session_was_made(engine: Any) -> None:
    """Also what lies within it."""
    conditioned(engine)
    context: dict[str, Any] = {"x": 50, "deep": {"list": [1]}}
    keys = ["y"]
    session = engine.session(SUPPORT, context=context, context_keys=keys)
    assert not allowed(session, "can_read", "ticket:21")
    context["x"] = 1
    context["deep"]["list"].append(2)
    keys.append("x")
    assert not allowed(session, "can_read", "ticket:21")
    assert refusal(lambda: session.check("can_read", "ticket:21", context={"x": 1})).code == "context_refused"
    context.clear()
    assert not allowed(session, "can_read", "ticket:21")


def test_settings_that_are_changed_later_were_read(engine: Any) -> None:
    required, bind = ["agent"], {"current_time": "clock"}
    engine.configure(require_delegation=required, bind=bind)
    required.clear()
    bind.clear()
    assert code_of(lambda: engine.session(SUPPORT, on_behalf_of=ANNE, scope=[])) == "delegation_required"
    assert code_of(lambda: engine.session(SUPPORT, context_keys=["current_time"])) == "context_refused"


def test_a_list_of_questions_that_changes_while_it_is_read_is_an_error_or_an_answer(engine: Any) -> None:
    """By an iterator that revokes: what is answered is of one version, and nothing is allowed after."""
    session = delegated(engine)

    def names() -> Iterator[str]:
        yield "ticket:1"
        engine.revoke(session.delegation)
        yield "ticket:2"

    found = session.check_objects("can_read", names())
    assert found in ([True, True], [False, False])
    nothing(session)


# Classes of one's own


class Sly(str):
    """A text that says something else whenever it is asked twice."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    def __hash__(self) -> int:
        return hash("user:anne")

    def __str__(self) -> str:
        return "user:anne"

    def __repr__(self) -> str:
        return "'user:anne'"

    def encode(self, *_: Any, **__: Any) -> bytes:
        return b"user:anne"

    def split(self, *_: Any, **__: Any) -> list[str]:  # type: ignore[override]
        return ["can_read", "ticket:*"]

    def partition(self, *_: Any) -> tuple[str, str, str]:
        return "ticket", ":", "1"

    def startswith(self, *_: Any) -> bool:
        return True

    def endswith(self, *_: Any) -> bool:
        return True

    def __len__(self) -> int:
        return 9

    def __getitem__(self, key: Any) -> str:
        return "user:anne"[key]

    def __iter__(self) -> Iterator[str]:
        return iter("user:anne")

    def __contains__(self, part: object) -> bool:
        return True

    def __format__(self, spec: str) -> str:
        return "user:anne"


def quiet(call: Any) -> Any:
    """What it gives; None where it is refused."""
    try:
        return call()
    except fgacore.FgaError:
        return None


def test_a_text_of_a_class_of_ones_own_is_the_text_that_it_has(engine: Any) -> None:
    nobody = Sly("user:nobody")
    for make in (
        lambda: engine.session(SUPPORT, on_behalf_of=nobody, scope=list(EVERYTHING), authority="lent"),
        lambda: engine.session(engine.delegate(by=nobody, to=SUPPORT, scope=list(EVERYTHING), authority="lent")),
        lambda: engine.session(nobody),
        lambda: engine.session(engine.session(nobody).delegate(to=HELPER, scope=list(EVERYTHING), authority="lent")),
    ):
        session = quiet(make)
        if session is not None:
            nothing(session)
            assert "user:nobody" in [str.__str__(name) for name in session.principals]
    session = engine.session(SUPPORT)
    for relation, name in ((Sly("can_delete"), "ticket:1"), ("can_read", Sly("ticket:4")), (Sly("barred"), Sly("ticket:4"))):
        assert not quiet(lambda: session.check(relation, name))  # noqa: B023
        assert not quiet(lambda: session.decide(relation, name))  # noqa: B023
        assert not quiet(lambda: session.filter_objects(relation, [name]))  # noqa: B023
        assert not any(quiet(lambda: list(session.batch_check([(relation, name)]))) or [])  # noqa: B023


def test_an_entry_of_a_class_of_ones_own_is_the_text_that_it_has(engine: Any) -> None:
    for text in ("can_read ticket:1", "not can_read ticket:1", "nonsense"):
        entry = Sly(text)
        session = quiet(lambda: engine.session(SUPPORT, scope=[entry]))  # noqa: B023
        if session is not None:
            assert not allowed(session, "can_read", "ticket:2")
            assert allowed(session, "can_read", "ticket:1") is (text == "can_read ticket:1")
    engine.suspend(Sly("agent:sly"))
    assert [str.__str__(item.subject) for item in engine.suspensions()] == ["agent:sly"]
    assert allowed(engine.session(SUPPORT), "can_read", "ticket:1")
    engine.suspend(SUPPORT)
    nothing(engine.session(Sly(SUPPORT)))
    engine.boundary(Sly("agent:sly"), Sly("can_read note:*"))
    assert [str.__str__(entry) for entries in engine.boundaries().values() for entry in entries] == ["can_read note:*"]


def test_a_key_of_a_class_of_ones_own_is_the_text_that_it_has(engine: Any) -> None:
    conditioned(engine)
    session = engine.session(SUPPORT, context_keys=["y"])
    for context in ({Sly("x"): 1}, {Sly("y"): 1}, {"y": 1, Sly("x"): 1}):
        assert not quiet(lambda: session.check("can_read", "ticket:21", context=context))  # noqa: B023
    engine.configure(bind={"current_time": "clock"})
    other = quiet(lambda: engine.session(SUPPORT, context_keys=[Sly("current_time"), Sly("y")]))
    if other is not None:
        early = {Sly("current_time"): "1970-01-01T00:00:00Z"}
        assert not quiet(lambda: other.check("can_read", "ticket:20", context={"current_time": "2990-01-01T00:00:00Z"}))
        assert quiet(lambda: other.check("can_read", "ticket:20", context=early)) in (None, True)  # by the engine's clock it is early


class Changing(Mapping[str, Any]):
    """A mapping that has other content each time it is read."""

    def __init__(self, *contents: dict[str, Any]) -> None:
        self._contents = list(contents)

    def _now(self) -> dict[str, Any]:
        return self._contents[0]

    def __getitem__(self, key: str) -> Any:
        return self._now()[key]

    def __len__(self) -> int:
        return len(self._now())

    def __iter__(self) -> Iterator[str]:
        found = list(self._now())
        if len(self._contents) > 1:
            self._contents.pop(0)
        return iter(found)

    def keys(self) -> Any:
        return list(iter(self))


def test_a_context_that_changes_while_it_is_read_brings_no_key_that_was_not_named(engine: Any) -> None:
    conditioned(engine)
    session = engine.session(SUPPORT, context_keys=["y"])
    for contents in (({}, {"x": 1}), ({"y": 1}, {"x": 1}), ({"y": 1}, {"y": 1, "x": 1}), ({"x": 1}, {})):
        for door in (session.check, session.decide):
            assert not quiet(lambda: door("can_read", "ticket:21", context=Changing(*contents)))  # noqa: B023


class Turning(Changing):
    """As that, but its first content is read whole once."""

    def keys(self) -> Any:
        found = list(self._now())
        self._read = getattr(self, "_read", 0) + 1
        if self._read > 1 and len(self._contents) > 1:
            self._contents.pop(0)
            found = list(self._now())
        return found


def test_the_log_has_the_context_that_was_answered_by(path: Path, clock: Clock) -> None:
    """Not what a mapping says when it is read once more: the log is evidence, and the caller is not its author."""
    with fgacore.open(path, clock=clock, decision_log="buffered") as opened:
        engine: Any = opened
        conditioned(engine)
        session = engine.session(SUPPORT, context_keys=["x"])
        assert session.check("can_read", "ticket:21", context=Turning({"x": 1}, {"x": 50})) is True
        assert session.check_objects("can_read", ["ticket:21"], context=Turning({"x": 50}, {"x": 1, "forged": "yes"})) == [False]
        assert session.decide("can_read", "ticket:21", context=Turning({"x": 1}, {})).allowed
    replayed = audit.replay(path)
    assert (replayed.same, replayed.differences) == (3, 0), replayed


class Lying(dict[str, Any]):
    """A dict whose methods hide a key."""

    def keys(self) -> Any:
        return {}.keys()

    def items(self) -> Any:
        return {}.items()

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __bool__(self) -> bool:
        return False

    def __contains__(self, key: object) -> bool:
        return False


def test_a_context_that_hides_a_key_does_not_bring_it(engine: Any) -> None:
    conditioned(engine)
    session = engine.session(SUPPORT)
    for door in (session.check, session.decide):
        assert not quiet(lambda: door("can_read", "ticket:21", context=Lying(x=1)))  # noqa: B023
    own = quiet(lambda: engine.session(SUPPORT, context=Lying(x=50), context_keys=["x"]))
    assert own is None or not quiet(lambda: own.check("can_read", "ticket:21"))
    engine.configure(bind={"current_time": "clock"})
    early = Lying(current_time="1970-01-01T00:00:00Z")
    assert not quiet(lambda: engine.session("agent:nobody", context=early).check("can_read", "ticket:20"))


def test_numbers_of_a_class_of_ones_own_are_numbers(engine: Any) -> None:
    class Forever(float):
        def __gt__(self, other: object) -> bool:
            return True

        def __add__(self, other: object) -> Any:
            return Forever(1e18)

        __radd__ = __mul__ = __rmul__ = __add__

    for seconds in (Forever(-5.0), Forever(0.0)):
        assert isinstance(refusal(lambda: engine.session(SUPPORT, expires_in=seconds)), RequestError)  # noqa: B023
        assert isinstance(refusal(lambda: engine.delegate(by=ANNE, to=SUPPORT, scope=[], expires_in=seconds)), RequestError)  # noqa: B023


def test_errors_of_the_callers_own_code_come_through_and_allow_nothing(engine: Any) -> None:
    class Breaking:
        def __iter__(self) -> Iterator[str]:
            yield "ticket:1"
            raise OSError("broken")

    session, revision = delegated(engine), engine.revision
    for call in (
        lambda: session.check_objects("can_read", Breaking()),
        lambda: session.filter_objects("can_read", Breaking()),
        lambda: session.batch_check(Breaking()),
        lambda: engine.delegate(by=ANNE, to=SUPPORT, scope=Breaking()),
        lambda: engine.session(SUPPORT, scope=Breaking()),
        lambda: engine.boundary("agent", *["not can_read payment:*"], by=Breaking()),
    ):
        with pytest.raises((OSError, RequestError)):
            call()
    assert engine.revision == revision
    assert allowed(session, "can_read", "ticket:1")


# Huge


def test_a_large_scope_is_exact_and_a_huge_one_refused(engine: Any) -> None:
    """Each entry counts, the last exception as the first."""
    names = [f"ticket:many-{number}" for number in range(600)]
    engine.write([(SUPPORT, "assignee", name) for name in names])
    scope = [f"can_read {name}" for name in names] + [f"not can_read {name}" for name in names[::2]]
    session = engine.session(SUPPORT, scope=scope)
    assert session.check_objects("can_read", names) == [False, True] * 300
    assert set(session.list_objects("can_read", "ticket")) == set(names[1::2])
    for name in (names[-1], names[1]):
        assert allowed(session, "can_read", name)
    for name in (names[0], names[-2], "ticket:1"):
        assert not allowed(session, "can_read", name)
    revision = engine.revision
    error = refusal(lambda: engine.delegate(by=ANNE, to=SUPPORT, scope=scope * 20))
    assert "MAX" in str(error)
    assert engine.revision == revision


@pytest.mark.parametrize("count", [100_000, 2_000_000])
def test_a_scope_beyond_all_bounds_does_no_harm(count: int, engine: Any) -> None:
    begun, revision = time.monotonic(), engine.revision
    for call in (
        lambda: engine.session(SUPPORT, scope=["can_read ticket:1"] * count),
        lambda: engine.delegate(by=ANNE, to=SUPPORT, scope=(f"can_read ticket:{number}" for number in range(count))),
        lambda: engine.session(SUPPORT, context_keys=[f"key-{number}" for number in range(count)]),
    ):
        quiet(call)
    assert time.monotonic() - begun < 30
    assert engine.revision <= revision + 1
    assert engine.check(SUPPORT, "can_read", "ticket:1")


def test_a_long_text_is_refused_and_not_repeated(engine: Any) -> None:
    long, revision = "x" * 5_000_000, engine.revision
    for call in (
        lambda: engine.session(f"agent:{long}"),
        lambda: engine.session(long),
        lambda: engine.revoke(long),
        lambda: engine.session(SUPPORT, scope=[f"can_read ticket:{long}"]),
        lambda: engine.session(SUPPORT, scope=["can_read ticket:1" + " " * 5_000_000 + "x"]),
        lambda: engine.delegate(by=ANNE, to=SUPPORT, scope=[], task=long),
        lambda: engine.delegate(by=ANNE, to=SUPPORT, scope=[], reason=long),
        lambda: engine.suspend(SUPPORT, reason=long),
        lambda: engine.boundary("agent", "can_read ticket:1", by=long),
        lambda: engine.configure(require_delegation=[long]),
    ):
        error = refusal(call)
        assert len(str(error)) < 2_000
    assert engine.revision == revision


@pytest.mark.parametrize("bad", [5, b"x", ["x"], True, "\ud800", object()])
def test_what_is_kept_with_a_record_is_text(bad: Any, engine: Any) -> None:
    revision = engine.revision
    for call in (
        lambda: engine.delegate(by=ANNE, to=SUPPORT, scope=[], task=bad),
        lambda: engine.delegate(by=ANNE, to=SUPPORT, scope=[], reason=bad),
        lambda: engine.suspend(SUPPORT, by=bad),
        lambda: engine.suspend(SUPPORT, reason=bad),
        lambda: engine.boundary("agent", "can_read ticket:1", by=bad),
        lambda: engine.configure(require_delegation=[], reason=bad),
        lambda: engine.session(SUPPORT, task=bad),
    ):
        assert isinstance(refusal(call), RequestError)
    assert engine.revision == revision


def test_a_context_that_holds_itself_is_refused(engine: Any) -> None:
    conditioned(engine)
    endless: dict[str, Any] = {}
    endless["x"] = endless
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    for context in (endless, {"x": deep}):
        assert not quiet(lambda: engine.session(SUPPORT, context=context).check("can_read", "ticket:21"))  # noqa: B023
        session = engine.session(SUPPORT, context_keys=["x"])
        assert not quiet(lambda: session.check("can_read", "ticket:21", context=context))  # noqa: B023
        assert not quiet(lambda: session.decide("can_read", "ticket:21", context=context))  # noqa: B023
    while isinstance(deep, list):
        deep = deep.pop()


# Copies


def test_a_session_is_not_carried_elsewhere(engine: Any) -> None:
    """Neither pickled nor copied nor made by hand: it is of one engine, and of what was checked when it was made."""
    session = delegated(engine)
    for carry in (pickle.dumps, copy.deepcopy, copy.copy):
        try:
            other = carry(session)
        except (TypeError, fgacore.FgaError, pickle.PicklingError):
            continue
        assert not isinstance(other, bytes), "a session was pickled"
        engine.suspend(SUPPORT)
        nothing(other)
        engine.resume(SUPPORT)


@pytest.mark.parametrize("how", ["call", "new", "subclass", "base"])
def test_a_session_made_by_hand_asks_nothing(how: str, peer: Callable[[], Peer]) -> None:
    """In a process of its own, which must not end of it."""
    found = peer().run(tasks.session_by_hand, how)
    assert not found, f"a session that nobody made says {found}"


def test_a_session_outlives_the_name_of_its_engine() -> None:
    """It holds on to what it asks."""
    import gc

    from attack.sessions.desk import MODEL, grants

    def made() -> Any:
        engine: Any = fgacore.open(":memory:")
        engine.write_model(MODEL)
        engine.write(grants(ANNE, SUPPORT))
        return engine.session(engine.delegate(by=ANNE, to=SUPPORT, scope=list(EVERYTHING)))

    session = made()
    gc.collect()
    assert session.check_objects("can_read", ASSIGNED) == [True] * 3
