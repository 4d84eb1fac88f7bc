"""An engine and the oracle of sessions, led through the same history: tuples, models and time as elsewhere, and all that is recorded about agents.

Every door of a session must say what the oracle says: here, in a second engine over the same directory, of any revision of the past, and after
everything was closed and opened again. And what a session may is never more than what the session may that it hangs on.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fgacore
from adapters import Question, Triple, given
from fgacore import audit, language
from fgacore.errors import FgaError, RequestError
from fgacore.language.model import Model
from oracle import Oracle, Stored
from session_oracle import Asking, Control, Recorded, SessionOracle, Verdict, known_to
from strategies import (
    EXAMPLES,
    IDS,
    UNSEEN,
    Choices,
    conditioned,
    describe,
    make_context,
    make_model,
    make_stored,
    make_subject,
    over,
    pick,
    some,
)

__all__ = ["Sessions"]

SECOND = 1_000_000
START = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()) * SECOND  # the moments of the conditions' examples are around it
STEPS = (1, 2, 3, 5, 8, 13, 40 * 60, 90 * 60)  # seconds
INSTANTS = (None, None, None, *(START + step * SECOND for step in STEPS))
FOLLOWED = 20.0  # seconds
CLOCKED = "now"  # the parameter of the conditions that can be bound to the clock
PRINCIPALS_MAX = 5  # in the chains that are made here
PLAIN = language.load(  # a model of which a session is often allowed something: random ones subtract so much that it seldom is
    """
model
  schema 1.1
type user
type bot
type group
  relations
    define a: [user, bot, group#a]
type doc
  relations
    define parent: [group, doc]
    define a: [user, bot, group#a, user:*, bot:*]
    define b: a or a from parent
    define c: b but not d
    define d: [user, bot, doc#a]
"""
)


@dataclass(frozen=True)
class Opened:
    """A session that is open, and what it should be."""

    asking: Asking
    session: Any


@dataclass(frozen=True)
class Moment:
    """What was there at a revision."""

    tuples: dict[Triple, Stored]
    models: int
    now: int
    control: Control


class Sessions:
    """The engine, its follower if there is one, what both should hold, and the sessions that are open."""

    def __init__(self, *, on_disk: bool = False) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fgacore-sessions-")) if on_disk else None
        self.now = self.clock = START
        self.engine: Any = self._open()
        self.follower: Any = None
        self.models: list[Model] = []
        self.tuples: dict[Triple, Stored] = {}
        self.control = Control()
        self.open: list[Opened] = []
        self.followed: list[Opened] = []  # the same sessions, made by the follower
        self.moments: dict[int, Moment] = {}
        self.history: list[str] = []
        self.met: Counter[str] = Counter()  # codes of the decisions that were compared
        self.decided = 0  # decisions that were replayed
        self._oracle: Oracle | None = None

    def _open(self, **options: Any) -> Any:
        place = ":memory:" if self.folder is None else self.folder / "authz"
        return fgacore.open(place, clock=lambda: _moment(self.clock), **options)

    def close(self) -> None:
        self.engine.close()
        if self.follower is not None:
            self.follower.close()
        if self.folder is not None:
            shutil.rmtree(self.folder)

    @property
    def model(self) -> Model:
        return self.models[-1]

    def live(self) -> dict[Triple, Stored]:
        return {key: stored for key, stored in self.tuples.items() if stored.expires_at is None or self.now < stored.expires_at}

    def require(self, holds: bool, why: str) -> None:
        if not holds:
            raise AssertionError("\n".join([*self.history, why]))

    def oracle(self) -> Oracle:
        if self._oracle is None:
            self._oracle = Oracle(self.model, self.tuples.values())
        return self._oracle

    def _noted(self) -> None:
        """Something was recorded, or refused."""
        self._oracle = None
        revision = self.engine.revision
        self.moments.setdefault(revision, Moment(self.live(), len(self.models), self.now, self.control.copy()))
        if self.follower is not None:
            self.follower.wait_for(revision, timeout=FOLLOWED)

    def _recorded(self, told: str, call: Callable[[], Any], change: Callable[[], None] | None) -> Any:
        """One record, of the next revision; where nothing changes (None), none."""
        before = self.engine.revision
        self.history.append(told)
        revision = call()
        if change is not None:
            change()
        self.require(self.engine.revision == before + (change is not None), f"revision {before} to {self.engine.revision}")
        if isinstance(revision, int):
            self.require(revision == self.engine.revision or change is None, f"told revision {revision}, it is {self.engine.revision}")
        self._noted()
        return revision

    # What is done, with everything chosen by the caller

    def write_model(self, model: Model) -> None:
        self.history.append(f"model {len(self.models)}:\n{describe(model)}")
        self.engine.write_model(language.to_json(model))
        self.models.append(model)
        self._noted()

    def put(self, writes: Sequence[Stored], deletes: Sequence[Triple] = ()) -> None:
        self.history.append(f"write {list(writes)}, delete {list(deletes)}")
        self.engine.write([given(stored) for stored in writes], deletes=list(deletes), on_duplicate="replace", on_missing="ignore")
        for key in deletes:
            self.tuples.pop(key, None)
        self.tuples.update({stored.key: stored for stored in writes})
        self._noted()

    def move(self, clock: int) -> None:
        """Set the clock. Time goes on with it, and stands still while the clock is behind."""
        self.history.append(f"clock {(clock - START) / SECOND}, time {(max(self.now, clock) - START) / SECOND}")
        self.clock, self.now = clock, max(self.now, clock)
        for engine in (self.engine, self.follower):
            if engine is not None:
                found = {(item.subject, item.relation, item.object) for item in engine.read()}  # and so the engine has seen the clock
                self.require(found == self.live().keys(), f"read {found ^ self.live().keys()}")

    def suspend(self, subject: str) -> None:
        new = subject not in self.control.suspended
        self._recorded(f"suspend {subject}", lambda: self.engine.suspend(subject), (lambda: self.control.suspended.add(subject)) if new else None)
        self._suspensions()

    def resume(self, subject: str) -> None:
        there = subject in self.control.suspended
        change = (lambda: self.control.suspended.discard(subject)) if there else None
        self._recorded(f"resume {subject}", lambda: self.engine.resume(subject), change)
        self._suspensions()

    def _suspensions(self) -> None:
        found = {item.subject for item in self.engine.suspensions()}
        self.require(found == self.control.suspended, f"suspensions {found}")

    def boundary(self, target: str, entries: tuple[str, ...]) -> None:
        """Replaces the target's; of the same again there may or may not be a record."""
        self.history.append(f"boundary of {target}: {entries}")
        self.engine.boundary(target, *entries)
        self.control.boundaries[target] = entries
        self._noted()
        found = self.engine.boundaries()
        self.require({key: tuple(value) for key, value in found.items()} == self.control.boundaries, f"boundaries {found}")

    def lift(self, target: str) -> None:
        self._recorded(
            f"lift the boundary of {target}", lambda: self.engine.lift_boundary(target), lambda: self.control.boundaries.pop(target, None) and None
        )

    def configure(self, *, required: frozenset[str] | None = None, clocks: frozenset[str] | None = None) -> None:
        options: dict[str, Any] = {} if required is None else {"require_delegation": sorted(required)}
        options |= {} if clocks is None else {"bind": dict.fromkeys(sorted(clocks), "clock")}
        self.history.append(f"configure {options}")
        self.engine.configure(**options)
        self.control.required = self.control.required if required is None else required
        self.control.clocks = self.control.clocks if clocks is None else clocks
        self._noted()

    def delegate(self, record: Recorded, seconds: int | None) -> None:
        """By a person or by an agent for itself: `record` says what it should come to, its id aside."""
        options = {"authority": record.authority, "redelegations": record.redelegations, "expires_in": seconds}
        told = f"delegate by {record.by} to {record.to}: {record.scope}, {options}"
        id = self._recorded(told, lambda: self.engine.delegate(by=record.by, to=record.to, scope=list(record.scope), **options), lambda: None)
        self._add(replace(record, id=id))

    def hand_on(self, opened: Opened, record: Recorded, seconds: int | None) -> None:
        """By a session."""
        options = {"authority": record.authority, "redelegations": record.redelegations, "expires_in": seconds}
        told = f"by the session {opened.asking}: delegate to {record.to}: {record.scope}, {options}"
        id = self._recorded(told, lambda: opened.session.delegate(to=record.to, scope=list(record.scope), **options), lambda: None)
        self._add(replace(record, id=id))

    def _add(self, record: Recorded) -> None:
        self.history.append(f"  it is {record.id}")
        self.control.delegations[record.id] = record
        self.moments[self.engine.revision] = replace(self.moments[self.engine.revision], control=self.control.copy())
        self._delegations()

    def revoke(self, id: str) -> None:
        known = self.control.delegations[id]
        change = None if known.revoked else lambda: self.control.delegations.update({id: replace(known, revoked=True)})
        self._recorded(f"revoke {id}", lambda: self.engine.revoke(id), change)
        self._delegations()

    def _delegations(self) -> None:
        """The list of delegations, whole and by its filters."""
        found = {item.id: item for item in self.engine.delegations()}
        for id, record in self.control.delegations.items():
            self.require(id in found, f"delegation {id} is not listed")
            item = found[id]
            told = (item.by, item.to, tuple(item.scope), item.authority, item.redelegations, item.parent, item.active)
            due = (record.by, record.to, record.scope, record.authority, record.redelegations, record.parent, self.control.is_active(id, self.now))
            self.require(told == due, f"delegation {id} is {told}, should be {due}")
        self.require(found.keys() == self.control.delegations.keys(), f"delegations {found.keys()}")
        active = {item.id for item in self.engine.delegations(active=True)}
        self.require(active == {id for id in found if self.control.is_active(id, self.now)}, f"active delegations {active}")
        self.require({item.id for item in self.engine.delegations(active=False)} == found.keys() - active, "inactive delegations")
        if found:
            last = list(found.values())[-1]
            for name in ("by", "to"):
                text = getattr(last, name)
                ids = {item.id for item in self.engine.delegations(**{name: text})}
                self.require(ids == {id for id, item in found.items() if getattr(item, name) == text}, f"delegations {name} {text}")

    def begin(self, asking: Asking, seconds: int | None) -> None:
        """Open a session, which stays open."""
        self.history.append(f"session {asking}")
        made = self._made(self.engine, asking, seconds)
        if made is not None:
            self.open.append(Opened(asking, made))
            if self.follower is not None and (other := self._made(self.follower, asking, seconds)) is not None:
                self.followed.append(Opened(asking, other))

    def _made(self, engine: Any, asking: Asking, seconds: int | None, moment: Moment | None = None) -> Any:
        """The session; None where it must not be, or need not."""
        moment = moment or Moment(self.tuples, len(self.models), self.now, self.control)
        control, model = moment.control, self.models[moment.models - 1]
        options: dict[str, Any] = {"expires_in": seconds, "context": asking.context, "context_keys": asking.context_keys}
        if asking.scope is not None:
            options["scope"] = list(asking.scope)
        if asking.delegation is None:
            options |= {"on_behalf_of": asking.on_behalf_of, "authority": asking.authority}
        may_be_refused = {
            "invalid_scope": asking.scope is not None and not known_to(model, asking.scope),
            "delegation_required": asking.on_behalf_of is not None and str(asking.subject).partition(":")[0] in control.required,
            "context_refused": not control.clocks.isdisjoint({*(asking.context or {}), *asking.context_keys}),
        }
        if asking.delegation is None:
            lost = any(name.partition(":")[0] not in model.types for name in (asking.subject, asking.on_behalf_of) if name)
            may_be_refused |= {"type_not_found": lost, "invalid_principal": lost}
        else:
            may_be_refused |= {"delegation_not_found": asking.delegation in control.gone}
        try:
            return engine.session(asking.delegation or asking.subject, **options)
        except RequestError as error:
            self.require(may_be_refused.get(error.code, False), f"{asking} is refused: {error.code}, {error}")
            return None

    def _again(self, engine: Any, asking: Asking, moment: Moment | None = None) -> Any:
        """The same session once more, from what is known of it; None where it is over."""
        if asking.expires_at is None:
            return self._made(engine, asking, None, moment)
        left = asking.expires_at - self.now
        return self._made(engine, asking, left // SECOND, moment) if left > 0 else None

    # The life of the store

    def merge(self) -> None:
        self.history.append("merge")
        self.engine.merge()

    def sweep(self) -> None:
        self.history.append("sweep")
        self.engine.sweep()
        self.tuples = self.live()
        self._noted()

    def compact(self) -> None:
        """Whatever is revoked or over may be dropped, and nothing else."""
        self.history.append("compact")
        self.engine.compact()
        self.tuples = self.live()
        kept = {item.id for item in self.engine.delegations()}
        gone = [record for id, record in self.control.delegations.items() if id not in kept]
        self.require(all(self.control.is_over(record.id, self.now) for record in gone), f"dropped: {gone}")
        self.control.gone |= {record.id: self.control.delegations.pop(record.id) for record in gone}
        self.moments = {}
        self._noted()

    def reopen(self) -> None:
        """Everything is closed, and opened as a new process would."""
        if self.folder is None:
            return
        self.history.append("reopen")
        self.engine.close()
        if self.follower is not None:
            self.follower.close()
            self.follower, self.followed = None, []
        self.replay()
        self.clock = self.now
        self.engine = self._open()
        self.open = [Opened(item.asking, made) for item in self.open if (made := self._again(self.engine, item.asking)) is not None]
        self._delegations()
        self._suspensions()

    def replay(self) -> None:
        """Whatever was decided, by both engines and at any revision since the last compaction, comes out the same once more."""
        if self.folder is None or not (self.folder / "authz" / "decisions").exists():
            return
        self.history.append("replay")
        replayed = audit.replay(self.folder / "authz")
        self.require(replayed.differences == 0, f"{replayed}")
        self.decided += replayed.same

    def follow(self) -> None:
        if self.folder is None:
            return
        self.history.append("follow")
        if self.follower is not None:
            self.follower.close()
        self.clock = self.now
        self.follower = self._open(read_only=True)
        self.followed = [Opened(item.asking, made) for item in self.open if (made := self._again(self.follower, item.asking)) is not None]

    # Questions

    def ask(self, context: Mapping[str, Any] | None, questions: Sequence[Question], *, by_follower: bool = False) -> None:
        """Every session that is open, at every door."""
        opened = self.followed if by_follower else self.open
        if by_follower:
            self.follower.wait_for(self.engine.revision, timeout=FOLLOWED)
        oracle = SessionOracle(self.oracle(), self.control, self.now)
        engine = self.follower if by_follower else self.engine
        self._ask(engine, oracle, opened, context, questions, f"ask {'the follower ' if by_follower else ''}in {context}")

    def ask_past(self, revision: int, askings: Sequence[Asking], context: Mapping[str, Any] | None, questions: Sequence[Question]) -> None:
        """As it was at that revision, by sessions that are made now over the store of then."""
        moment = self.moments[revision]
        model = self.models[moment.models - 1]
        engine = self.engine.at(revision)
        try:
            made = []
            for asking in askings:
                known = moment.control.delegations.keys() | moment.control.gone.keys()
                if asking.delegation is not None and asking.delegation not in known:
                    try:
                        engine.session(asking.delegation)
                        self.require(False, f"at {revision} there is a session of {asking.delegation}, which was made later")
                    except RequestError as error:
                        self.require(error.code == "delegation_not_found", f"at {revision}: {error.code}, {error}")
                    continue
                then = replace(asking, expires_at=None)
                session = self._made(engine, then, None, moment)
                if session is not None:
                    made.append(Opened(then, session))
            oracle = SessionOracle(Oracle(model, moment.tuples.values()), moment.control, moment.now)
            self._ask(engine, oracle, made, context, questions, f"ask of revision {revision} in {context}")
        finally:
            engine.close()

    def _ask(
        self,
        engine: Any,
        oracle: SessionOracle,
        opened: Sequence[Opened],
        context: Mapping[str, Any] | None,
        questions: Sequence[Question],
        told: str,
    ) -> None:
        if not questions or not opened:
            return
        allowed: dict[Asking, tuple[set[Question], Any]] = {}
        for item in opened:
            own = set(item.asking.context_keys) - oracle.control.clocks - set(item.asking.context or {})
            brought = None if context is None else {key: value for key, value in context.items() if key in own}
            due = {question: oracle.decide(item.asking, question.relation, question.object, brought) for question in questions}
            self.met.update(verdict.code for verdict in due.values())
            door = Doors(item.session, oracle, item.asking, brought)
            faults = list(door.faults(due, engine.revision))
            if faults:
                self.require(False, "\n".join([told, f"in {brought}, by {item.asking}:", *faults[:20]]))
            if item.asking.context is None:
                allowed[replace(item.asking, context_keys=())] = door.allowed, brought
        for asking, (found, brought) in allowed.items():
            above = self._above(asking, oracle.control)
            if above in allowed and allowed[above][1] == brought:
                self.require(found <= allowed[above][0], f"{told}\n{asking} exceeds {above}: {found - allowed[above][0]}")

    @staticmethod
    def _above(asking: Asking, control: Control) -> Asking | None:
        """The session that this one must not exceed: of the delegation without narrowing, or of the one above it."""
        if asking.delegation is None:
            return None
        if asking.scope is not None or asking.expires_at is not None:
            return Asking(asking.delegation)
        parent = control.known(asking.delegation).parent
        return None if parent is None else Asking(parent)

    # The same, chosen at random

    def any_model(self, source: Choices) -> None:
        """A new one; or the newest without one of its types or relations, where what is left is a model."""
        if self.models and source.below(2):
            lesser = list(_lesser(self.model))
            if lesser:
                self.write_model(pick(source, lesser))
                return
        self.write_model(conditioned(source, make_model(source) if source.below(2) else PLAIN))

    def any_write(self, source: Choices) -> None:
        """New tuples for the most part, many of them about the same few names; some in the place of stored ones."""
        found = {stored.key: stored for stored in make_stored(source, self.model, 1 + source.below(14), INSTANTS)}
        live = self.live()
        if live and source.below(3) == 2:
            other = over(source, self.model, pick(source, list(live.values())), INSTANTS)
            found |= {other.key: other} if other else {}
        if found:
            self.put(list(found.values()))

    def any_grant(self, source: Choices) -> None:
        """One relation of one object, to everyone in a chain whose kind may have it directly: chance alone seldom gives all of them the same."""
        if not self.open:
            return
        type_name, relation = pick(source, _relations(self.model))
        name, writes = f"{type_name}:{pick(source, IDS)}", []
        restrictions = self.model.types[type_name].relations[relation].restrictions
        for principal in pick(source, self.open).session.principals:
            fitting = [found for found in restrictions if (found.type, found.relation, found.wildcard) == (principal.partition(":")[0], None, False)]
            if fitting:
                plain = [found for found in fitting if found.condition is None]
                condition = pick(source, plain or fitting).condition
                kinds = self.model.conditions[condition].parameters if condition else {}
                own = {key: pick(source, EXAMPLES[kind.type, kind.member]) for key, kind in kinds.items() if source.below(2)}
                writes.append(Stored(principal, relation, name, condition, own or None, pick(source, INSTANTS)))
        if writes:
            self.put(list({stored.key: stored for stored in writes}.values()))

    def any_delete(self, source: Choices) -> None:
        deletes = some(source, list(self.live()), 1 + source.below(3))
        if deletes:
            self.put([], deletes)

    def any_principal(self, source: Choices) -> str:
        """Mostly users, of whom the tuples speak most."""
        type_name = "user" if source.below(3) < 2 else pick(source, list(self.model.types))
        return f"{type_name}:{pick(source, IDS)}"

    def any_scope(self, source: Choices) -> tuple[str, ...]:
        """Nothing, everything, or some entries of any kind, mostly broad."""
        kind = source.below(10)
        if kind == 9 and source.below(2):
            return ()
        relations = _relations(self.model)
        every = [f"{relation} {name}:*" for name, relation in relations]
        if kind < 3:
            return tuple(every)
        entries = [self._entry(source, exception=False) for _ in range(1 + source.below(3))] if kind < 7 else every
        entries += [self._entry(source, exception=True) for _ in range(source.below(3))]
        return tuple(some(source, list(dict.fromkeys(entries)), len(entries)))

    def any_boundary(self, source: Choices) -> None:
        target = pick(source, list(self.model.types)) if source.below(2) else self.any_principal(source)
        if source.below(2):
            entries = tuple(dict.fromkeys(self._entry(source, exception=True) for _ in range(1 + source.below(3))))
        else:
            entries = self.any_scope(source)
        if entries:
            self.boundary(target, entries)

    def any_lift(self, source: Choices) -> None:
        if self.control.boundaries:
            self.lift(pick(source, list(self.control.boundaries)))

    def _entry(self, source: Choices, *, exception: bool) -> str:
        type_name, relation = pick(source, _relations(self.model))
        text = f"{relation} {type_name}:{'*' if source.below(3) < 2 else pick(source, (*IDS, UNSEEN))}"
        if source.below(3) == 2:
            others = [other for name, other in _relations(self.model) if name == type_name]
            text += f" where {pick(source, others)} {make_subject(source, self.model)}"
        return f"not {text}" if exception else text

    def any_suspension(self, source: Choices) -> None:
        if self.control.suspended and (len(self.control.suspended) > 1 or source.below(3) < 2):
            self.resume(pick(source, sorted(self.control.suspended)))
        else:
            self.suspend(self.any_principal(source))

    def any_delegation(self, source: Choices) -> None:
        by, to = (self.any_principal(source) for _ in range(2))
        if by != to and not {by, to} & self.control.suspended:
            seconds, expires_at = self._lasting(source)
            record = Recorded("", by, to, self.any_scope(source), pick(source, ("both", "lent", "lent")), source.below(4), None, None, expires_at)
            self.delegate(record, seconds)
            self._session_of(source)

    def any_redelegation(self, source: Choices) -> None:
        """By one of the sessions that may; one that may not must be refused, and leave nothing."""
        candidates = [item for item in self.open if item.asking.on_behalf_of is None]
        if not candidates:
            return
        item, to = pick(source, candidates[-6:]), self.any_principal(source)
        asking, control = item.asking, self.control
        seconds, expires_at = self._lasting(source)
        ends = [end for end in (expires_at, asking.expires_at) if end is not None]
        redelegations, id = source.below(3), asking.delegation
        if id is None:
            by, principals, may, within = str(asking.subject), {asking.subject}, True, asking.scope
            live = (asking.expires_at is None or self.now < asking.expires_at) and by not in control.suspended
        else:
            above = control.known(id)
            by, principals, within = above.to, {control.chain(id)[0].by, *(link.to for link in control.chain(id))}, asking.scope
            ends += [above.expires_at] if above.expires_at is not None else []
            may = redelegations < above.redelegations
            live = control.is_active(id, self.now) and (asking.expires_at is None or self.now < asking.expires_at)
        record = Recorded(
            "", by, to, self.any_scope(source), pick(source, ("both", "lent", "lent")), redelegations, id, within, min(ends, default=None)
        )
        if to in control.suspended or any(str(name).partition(":")[0] not in self.model.types for name in principals):
            return
        if may and live and to not in principals and len(principals) < PRINCIPALS_MAX:
            self.hand_on(item, record, seconds)
            self._session_of(source)
        elif not (may and live and to not in principals):
            revision = self.engine.revision
            try:
                item.session.delegate(to=to, scope=list(record.scope), redelegations=redelegations, expires_in=seconds)
                self.require(False, f"{asking} has delegated to {to}, with {redelegations} redelegations")
            except FgaError as error:
                codes = {"invalid_delegation", *(["delegation_not_found"] if id in control.gone else [])}
                self.require(error.code in codes, f"{asking} to {to}: refused as {error.code}, {error}")
            self.require(self.engine.revision == revision, "a refused delegation was recorded")

    def _session_of(self, source: Choices) -> None:
        """A plain session of the newest delegation, and perhaps one that is narrowed."""
        id = list(self.control.delegations)[-1]
        self.begin(Asking(id, context_keys=self._keys(None)), None)
        if source.below(2):
            self.any_narrowed(source, id)

    def any_narrowed(self, source: Choices, id: str | None = None) -> None:
        if not self.control.delegations:
            return
        id = id or pick(source, list(self.control.delegations))
        seconds, expires_at = self._lasting(source)
        scope = self.any_scope(source) if source.below(3) else None
        context = self._own(source)
        self.begin(Asking(id, scope=scope, expires_at=expires_at, context=context, context_keys=self._keys(context)), seconds)

    def any_unrecorded(self, source: Choices) -> None:
        """For somebody; or an agent that is alone."""
        subject, other = self.any_principal(source), self.any_principal(source)
        seconds, expires_at = self._lasting(source)
        context = self._own(source)
        keys = self._keys(context)
        if source.below(2) and subject != other:
            authority = pick(source, ("both", "lent"))
            self.begin(Asking(None, subject, other, self.any_scope(source), expires_at, authority, context, keys), seconds)
        else:
            scope = self.any_scope(source) if source.below(2) else None
            self.begin(Asking(None, subject, None, scope, expires_at, "both", context, keys), seconds)

    def any_revocation(self, source: Choices) -> None:
        if self.control.delegations:
            self.revoke(pick(source, list(self.control.delegations)))

    def any_setting(self, source: Choices) -> None:
        if source.below(2):
            types = sorted({str(item.asking.subject).partition(":")[0] for item in self.open if item.asking.on_behalf_of} & self.model.types.keys())
            self.configure(required=frozenset(some(source, types or list(self.model.types), source.below(3))))
        else:
            has = any(CLOCKED in condition.parameters for condition in self.model.conditions.values())
            self.configure(clocks=frozenset({CLOCKED}) if has and source.below(3) else frozenset())

    def any_move(self, source: Choices) -> None:
        """By seconds for the most part, now and then by so much that most of what ends is over."""
        self.move(self.clock + pick(source, (*STEPS[:6], -3, *STEPS)) * SECOND)

    def any_question(self, source: Choices) -> None:
        """Of all that are open, by one engine or the other."""
        by_follower = self.follower is not None and bool(source.below(2))
        self.ask(make_context(source, self.model), _questions(self.model), by_follower=by_follower)

    def any_past(self, source: Choices) -> None:
        moments = {revision: moment for revision, moment in self.moments.items() if moment.models}
        if moments:
            revision = pick(source, sorted(moments, reverse=True))
            model = self.models[moments[revision].models - 1]
            askings = [item.asking for item in some(source, self.open, 5)]
            self.ask_past(revision, askings, make_context(source, model), _questions(model))

    def forget(self, source: Choices) -> None:
        """Keep so many sessions open that a question of all is quick: the newest, and those they hang on."""
        while len(self.open) > 12:
            gone = self.open.pop(source.below(6))
            self.followed = [item for item in self.followed if item.asking != gone.asking]

    def any_step(self, source: Choices) -> None:
        kind = source.below(56)
        steps: tuple[tuple[int, Callable[[Choices], None]], ...] = (
            (10, self.any_question),
            (14, self.any_write),
            (16, self.any_delete),
            (20, self.any_delegation),
            (24, self.any_redelegation),
            (26, self.any_unrecorded),
            (27, self.any_narrowed),
            (29, self.any_suspension),
            (31, self.any_boundary),
            (32, self.any_lift),
            (33, self.any_revocation),
            (35, self.any_setting),
            (37, self.any_move),
            (38, self.any_model),
            (41, self.any_past),
            (42, lambda _: self.merge()),
            (43, lambda _: self.sweep()),
            (44, lambda _: self.compact()),
            (45, lambda _: self.reopen()),
            (46, lambda _: self.follow()),
            (56, self.any_grant),
        )
        next(work for bound, work in steps if kind < bound)(source)
        self.forget(source)

    def _lasting(self, source: Choices) -> tuple[int | None, int | None]:
        """Seconds, and the instant at which it is over."""
        seconds = pick(source, (None, None, None, 5, 20, 2 * 60 * 60))
        return seconds, None if seconds is None else self.now + seconds * SECOND

    def _keys(self, own: Mapping[str, Any] | None) -> tuple[str, ...]:
        """All that a question may bring, in any model, where the session itself brings this."""
        every = {name for model in self.models for condition in model.conditions.values() for name in condition.parameters}
        return tuple(sorted({"unknown", *every} - {*(own or ())} - self.control.clocks))

    def _own(self, source: Choices) -> dict[str, Any] | None:
        """What a session brings itself, of the right kinds."""
        kinds = {
            name: kind
            for condition in self.model.conditions.values()
            for name, kind in condition.parameters.items()
            if name not in self.control.clocks
        }
        if not kinds or source.below(2):
            return None
        return {name: pick(source, EXAMPLES[kinds[name].type, kinds[name].member]) for name in some(source, sorted(kinds), 1 + source.below(2))}


class Doors:
    """One session, asked the same at every door."""

    def __init__(self, session: Any, oracle: SessionOracle, asking: Asking, context: Mapping[str, Any] | None) -> None:
        self.session = session
        self.allowed: set[Question] = set()
        self._oracle = oracle
        self._asking = asking
        self._options: dict[str, Any] = {} if context is None else {"context": context}
        self._codes = oracle.oracle.facts(oracle.surroundings(asking, context), (), oracle.at).codes  # of the conditions that failed anywhere

    def faults(self, due: Mapping[Question, Verdict], revision: int) -> Iterator[str]:
        links = [link.principal for link in self._oracle.links(self._asking)]
        if list(self.session.principals) != links:
            yield f"principals are {self.session.principals}, should be {links}"
        for question, verdict in due.items():
            yield from self._checked(question, verdict)
            yield from self._decided(question, verdict, revision)
        if any(name.partition(":")[0] not in self._oracle.oracle.model.types for name in links):  # then a list may be an error
            yield from self._denied(due)
            return
        yield from self._batched(due)
        by_pair: dict[tuple[str, str], dict[str, Verdict]] = {}
        by_object: dict[str, dict[str, Verdict]] = {}
        for question, verdict in due.items():
            type_name = question.object.partition(":")[0]
            by_pair.setdefault((type_name, question.relation), {})[question.object] = verdict
            by_object.setdefault(question.object, {})[question.relation] = verdict
        for (type_name, relation), verdicts in by_pair.items():
            yield from self._objects(type_name, relation, verdicts)
        for name, verdicts in by_object.items():
            yield from self._relations(name, verdicts)
        yield from self._reached(by_pair, revision)

    def _checked(self, question: Question, verdict: Verdict) -> Iterator[str]:
        try:
            answer: Any = self.session.check(question.relation, question.object, **self._options)
        except RequestError as error:
            if not (verdict.loose or (verdict.undetermined and error.code in verdict.errors)):
                yield f"check {_told(question)} raises {error.code}, should be {verdict}"
            return
        if answer is True:
            self.allowed.add(question)
        if answer is not verdict.allowed or (verdict.undetermined and not verdict.loose):
            yield f"check {_told(question)} is {answer}, should be {verdict}"

    def _decided(self, question: Question, verdict: Verdict, revision: int) -> Iterator[str]:
        try:
            decision = self.session.decide(question.relation, question.object, **self._options)
        except RequestError as error:
            if not verdict.loose:
                yield f"decide {_told(question)} raises {error.code}, should be {verdict}"
            return
        if verdict.loose:
            if decision.allowed:
                yield f"decide {_told(question)} allows, should be {verdict}"
            return
        told = f"decide {_told(question)} is {decision}, should be {verdict}"
        if (decision.allowed, decision.code, bool(decision)) != (verdict.allowed, verdict.code, verdict.allowed):
            yield told
        elif verdict.principals and decision.principal not in verdict.principals:
            yield f"{told}: another principal"
        elif (decision.error is not None) is not verdict.undetermined or (verdict.undetermined and decision.error.code not in verdict.errors):
            yield f"{told}: another error"
        elif (decision.revision, decision.relation, decision.object) != (revision, question.relation, question.object):
            yield f"{told}: of something else"
        elif decision.instant != _moment(self._oracle.at):
            yield f"{told}: of another instant, not {_moment(self._oracle.at)}"

    def _denied(self, due: Mapping[Question, Verdict]) -> Iterator[str]:
        """No door allows it, however it says so."""
        for question in due:
            name = question.object
            for told, call in (
                ("check_objects", lambda: self.session.check_objects(question.relation, [name], **self._options) == [True]),  # noqa: B023
                ("filter_objects", lambda: self.session.filter_objects(question.relation, [name], **self._options)),  # noqa: B023
                ("batch_check", lambda: self.session.batch_check([(question.relation, name)], **self._options)[0]),  # noqa: B023
                ("list_relations", lambda: question.relation in self.session.list_relations(name, **self._options)),  # noqa: B023
            ):
                try:
                    if call() and not due[question].allowed:
                        yield f"{told} allows {_told(question)}"
                except RequestError:
                    pass

    def _batched(self, due: Mapping[Question, Verdict]) -> Iterator[str]:
        found = self.session.batch_check([(question.relation, question.object) for question in due], **self._options)
        if len(found) != len(due):
            yield f"batch_check has {len(found)} answers for {len(due)} questions"
        for index, (question, verdict) in enumerate(due.items()):
            error = found.errors.get(index)
            right = (error is not None) is verdict.undetermined and (error is None or error.code in verdict.errors)
            if found[index] is not verdict.allowed or not right:
                yield f"batch_check {_told(question)} is {found[index]}, {error!r}, should be {verdict}"

    def _objects(self, type_name: str, relation: str, verdicts: Mapping[str, Verdict]) -> Iterator[str]:
        """One relation over all objects of a type: as bools, as those allowed, and as the list of them."""
        rest = [*verdicts, *verdicts]
        for told, door in (("check_objects", self.session.check_objects), ("filter_objects", self.session.filter_objects)):
            asked = list(rest)
            while True:
                try:
                    found = door(relation, asked, **self._options)
                except RequestError as error:
                    index = error.index
                    if index is None or not verdicts[asked[index]].undetermined or error.code not in verdicts[asked[index]].errors:
                        yield f"{told} {relation} {type_name} raises {error.code} at {index}, should be {verdicts}"
                        break
                    asked.pop(index)
                    continue
                bools = [verdicts[name].allowed for name in asked]
                right = bools if told == "check_objects" else [name for name in asked if verdicts[name].allowed]
                if found != right or any(verdicts[name].undetermined for name in asked):
                    yield f"{told} {relation} {asked} is {found}, should be {verdicts}"
                break
        allowed = {name for name, verdict in verdicts.items() if verdict.allowed}
        open_ = {name for name, verdict in verdicts.items() if verdict.undetermined}
        listed = self.session.list_objects(relation, type_name, on_missing_context="report", **self._options)
        if (set(listed), set(listed.undetermined), len(listed)) != (allowed, open_, len(allowed)):
            yield f"list_objects {relation} {type_name} is {set(listed)}, {set(listed.undetermined)}, should be {allowed}, {open_}"
        try:
            listed = self.session.list_objects(relation, type_name, **self._options)
        except RequestError as error:
            if error.code not in self._codes:
                yield f"list_objects {relation} {type_name} raises {error.code}, should be {allowed}, {open_}"
        else:
            if open_ or set(listed) != allowed:
                yield f"list_objects {relation} {type_name} is {set(listed)}, should be {allowed}, {open_}"

    def _relations(self, name: str, verdicts: Mapping[str, Verdict]) -> Iterator[str]:
        codes = {code for verdict in verdicts.values() for code in verdict.errors}
        try:
            found = self.session.list_relations(name, **self._options)
        except RequestError as error:
            if error.code not in codes:
                yield f"list_relations {name} raises {error.code}, should be {verdicts}"
        else:
            if codes or found != [relation for relation, verdict in verdicts.items() if verdict.allowed]:
                yield f"list_relations {name} is {found}, should be {verdicts}"

    def _reached(self, by_pair: Mapping[tuple[str, str], Mapping[str, Verdict]], revision: int) -> Iterator[str]:
        reach = self.session.reach(**self._options)
        if (reach.revision, reach.instant) != (revision, _moment(self._oracle.at)):
            yield f"reach is of {reach.revision} and {reach.instant}"
        for pair, verdicts in by_pair.items():
            told = tuple(set(part[pair]) if pair in part else set() for part in (reach.definite, reach.conditional))
            right = tuple({name for name, verdict in verdicts.items() if verdict.code == code} for code in ("allowed", "undetermined"))
            if told != right:
                yield f"reach of {pair} is {told}, should be {right}"


def _moment(micros: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)


def _told(question: Question) -> str:
    return f"{question.relation} {question.object}"


def _relations(model: Model) -> list[tuple[str, str]]:
    return [(name, relation) for name, definition in model.types.items() for relation in definition.relations]


def _questions(model: Model) -> list[Question]:
    """Each relation of each object, in the model's order; the subject is the session."""
    return [Question("", relation, f"{name}:{id_}") for name, relation in _relations(model) for id_ in (*IDS, UNSEEN)]


def _lesser(model: Model) -> Iterator[Model]:
    """The models that lack one type or one relation of this one."""
    every = [(name, None) for name in model.types if name != "user"] + [(name, relation) for name, relation in _relations(model)]
    for type_name, relation in every:
        types = {
            name: replace(definition, relations={key: found for key, found in definition.relations.items() if (name, key) != (type_name, relation)})
            for name, definition in model.types.items()
            if relation is not None or name != type_name
        }
        used = {item.condition for definition in types.values() for found in definition.relations.values() for item in found.restrictions}
        lesser = replace(model, types=types, conditions={name: found for name, found in model.conditions.items() if name in used})
        try:
            language.validate(lesser)
        except FgaError:
            continue
        if _relations(lesser):
            yield lesser
