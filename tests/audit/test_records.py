"""What is in the log is what was answered: every decision, in order, with all that it takes to make it again; in the bytes of docs/format.md."""

from __future__ import annotations

import hashlib
import random
import struct
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgpack
import pytest

import fgacore
from audit.desk import AGENT, ANNE, SCOPE, Clock, blocks, chain_folders, made, records
from fgacore.audit import heads, read, verify

NAMES = [f"ticket:{number}" for number in range(24)] + [
    "ticket:hidden",
    "ticket:never",
    "ticket:né-zürich",
    "ticket:" + "x" * 249,
    "note:1",
    "note:none",
]
RELATIONS = {"ticket": ("can_read", "can_update", "reader"), "note": ("can_read",)}


def told(engine: Any, **filters: Any) -> list[tuple[str, str, bool, str, str | None]]:
    return [(each.relation, each.object, each.allowed, each.code, each.principal) for each in read(engine, **filters)]


def test_every_decision_is_read_back_as_it_was_given(tmp_path: Path) -> None:
    """By every door, in batches of one relation and of many, of any size, about known and unknown names."""
    chance = random.Random(8)
    with made(tmp_path / "s") as engine:
        session = engine.session(AGENT, on_behalf_of=ANNE, scope=SCOPE, task="t")
        given: list[tuple[str, str, bool]] = []
        for _ in range(400):
            names = chance.choices(NAMES, k=chance.choice((1, 2, 7, 8, 9, 16, 63, 64, 65, 200)))
            match chance.randrange(5):
                case 0:
                    relation = chance.choice(RELATIONS[names[0].partition(":")[0]])
                    given.append((relation, names[0], session.check(relation, names[0])))
                case 1:
                    relation = chance.choice(RELATIONS[names[0].partition(":")[0]])
                    given.append((relation, names[0], session.decide(relation, names[0]).allowed))
                case 2:
                    names = [name for name in names if name.startswith("ticket")]
                    given += [("can_update", name, answer) for name, answer in zip(names, session.check_objects("can_update", names), strict=True)]
                case 3:
                    allowed = set(session.filter_objects("can_read", names))
                    given += [("can_read", name, name in allowed) for name in names]
                case _:
                    pairs = [(chance.choice(RELATIONS[name.partition(":")[0]]), name) for name in names]
                    given += [(*pair, answer) for pair, answer in zip(pairs, session.batch_check(pairs), strict=True)]
        assert [found[:3] for found in told(engine)] == given
        assert {allowed for _, _, allowed in given} == {True, False}
    assert verify(tmp_path / "s" / "decisions").decisions == len(given)


def test_each_code_and_the_link_that_denied_are_kept(tmp_path: Path) -> None:
    clock = Clock()
    with made(tmp_path / "s", clock=clock) as engine:
        engine.write([fgacore.Tuple(who, "reader", "ticket:small", condition="small") for who in (ANNE, AGENT)])
        engine.write([(ANNE, "reader", "ticket:hers"), (AGENT, "reader", "ticket:its")])
        delegation = engine.delegate(by=ANNE, to=AGENT, scope=SCOPE, expires_in=100, task="refund")
        session = engine.session(delegation)
        for name in ("ticket:1", "ticket:hers", "ticket:its", "ticket:hidden", "ticket:small"):
            session.decide("can_read", name)
        engine.boundary("agent", "not can_read ticket:2")
        session.decide("can_read", "ticket:2")
        engine.suspend(ANNE)
        session.decide("can_read", "ticket:1")
        engine.resume(ANNE)
        clock.seconds += 200
        session.decide("can_read", "ticket:1")
        engine.revoke(delegation)
        session.decide("can_read", "ticket:1")
        assert [found[3:] for found in told(engine)] == [
            ("allowed", None),
            ("not_held", AGENT),
            ("not_held", ANNE),
            ("out_of_scope", AGENT),
            ("undetermined", ANNE),
            ("outside_boundary", AGENT),
            ("suspended", ANNE),
            ("expired", AGENT),
            ("delegation_revoked", AGENT),
        ]
        every = list(read(engine))
        assert {each.task for each in every} == {"refund"}
        assert [each.delegation for each in every[:4]] == [None, delegation, None, delegation]
        assert [each.revision for each in every] == sorted(each.revision for each in every)
        assert every[0].time == datetime.fromtimestamp(1_750_000_000, UTC)
        assert every[-1].session["model"] == engine.stats().model_id


def test_filters_choose(tmp_path: Path) -> None:
    clock = Clock()
    with made(tmp_path / "s", clock=clock) as engine:
        for task, who in (("one", AGENT), ("two", "agent:other")):
            session = engine.session(who, on_behalf_of=ANNE, scope=SCOPE, task=task)
            session.check_objects("can_read", ["ticket:1", "ticket:hidden"])
            session.check("can_update", "ticket:2")
            clock.seconds += 10
        late = datetime.fromtimestamp(1_750_000_010, UTC)
        assert len(told(engine)) == 6
        assert len(told(engine, subject=ANNE)) == 6
        assert len(told(engine, subject="agent:other")) == 3
        assert len(told(engine, task="one", relation="can_read")) == 2
        assert [found[1] for found in told(engine, code="denied", subject=AGENT)] == ["ticket:hidden"]
        assert {found[3] for found in told(engine, code="not_held")} == {"not_held"}
        assert len(told(engine, object="ticket:2")) == 2
        assert len(told(engine, since=late)) == len(told(engine, until=late)) == 3


def test_lists_and_reach_are_no_decisions(tmp_path: Path) -> None:
    with made(tmp_path / "s") as engine:
        session = engine.session(AGENT, on_behalf_of=ANNE, scope=SCOPE)
        session.list_objects("can_read", "ticket")
        session.list_relations("ticket:1")
        session.reach()
    assert not (tmp_path / "s" / "decisions").exists()


def test_an_engine_without_decisions_leaves_no_file(tmp_path: Path) -> None:
    with made(tmp_path / "s") as engine:
        assert engine.check(ANNE, "can_read", "ticket:1")
        engine.session(AGENT, on_behalf_of=ANNE, scope=SCOPE)
    assert not (tmp_path / "s" / "decisions").exists()


# ---- the bytes ----


def test_the_bytes_are_those_of_the_documented_format(tmp_path: Path) -> None:
    with made(tmp_path / "s") as engine:
        session = engine.session(AGENT, on_behalf_of=ANNE, scope=SCOPE, task="t", context_keys=["x"])
        session.check("can_read", "ticket:1")
        session.check_objects("can_read", ["ticket:1", "ticket:hidden", "ticket:2", "ticket:new"], context={"x": 3})
        session.batch_check([("can_update", "ticket:2"), ("can_read", "note:1")])
        revision, (id_1, id_2) = engine.revision, engine.ids("ticket", ["1", "2"]).tolist()
        model = engine.stats().model_id
    (folder,) = chain_folders(tmp_path / "s" / "decisions")
    kept = records(folder)
    assert [record.kind for record in kept] == [2, 1, 3, 1, 1, 4]
    number, session_map = kept[0].note
    assert number == 1
    assert session_map == {
        "principals": [ANNE, AGENT],
        "holds": [True, True],
        "delegations": [None, None],
        "scopes": [None, SCOPE],
        "expires": None,
        "task": "t",
        "context": None,
        "context_keys": ["x"],
        "model": model,
        "policy": 0,
        "generation": 1,
        "semantics": 1,
        "unrecorded": True,
        "controlled": True,
        "apart": False,
    }
    assert list(session_map) == sorted(session_map)
    data = msgpack.packb({"x": 3})
    assert kept[2].note == (1, {"digest": hashlib.sha256(data).digest(), "context": {"x": 3}})

    said, instant, session_number, context, count, type, relation = struct.unpack_from("<QqIIIHH", kept[1].body)
    assert (kept[1].flags, kept[1].sequence, said, session_number, context, count) == (1, 0, revision, 1, 0, 1)
    assert abs(instant - datetime.now(UTC).timestamp() * 1e6) < 60e6
    assert kept[1].body[32:] == struct.pack("<IB", id_1, 1) + bytes(3)

    body = kept[3].body
    assert struct.unpack_from("<QqIIIHH", body)[2:] == (1, 1, 4, type, relation)
    assert (kept[3].flags, kept[3].sequence) == (1, 1)
    ids = struct.unpack_from("<4I", body, 32)
    assert (ids[0], ids[2], ids[1], ids[3]) == (id_1, id_2, 0xFFFFFFFF, 0xFFFFFFFF)
    assert body[48] == 0b0101
    assert body[49:51] == bytes([2 | 1 << 4, 1])  # out of the agent's scope; not held by anne
    assert body[51:].rstrip(b"\0") == struct.pack("<H", 13) + b"ticket:hidden" + struct.pack("<H", 10) + b"ticket:new"

    body = kept[4].body
    assert kept[4].flags == 0
    assert struct.unpack_from("<QqIIIHH", body)[4:] == (2, 0, 0)
    pairs = struct.unpack_from("<4H", body, 32)
    assert pairs[0] == type != pairs[2]
    assert kept[5].body == b""
    assert kept[5].sequence == 3


def test_a_context_is_kept_once_whatever_the_order_of_its_keys(tmp_path: Path) -> None:
    with made(tmp_path / "s") as engine:
        session = engine.session(AGENT, on_behalf_of=ANNE, scope=SCOPE, context_keys=["x", "y"])
        for context in ({"x": 1, "y": {"b": 1, "a": [2]}}, {"y": {"a": [2], "b": 1}, "x": 1}, {"x": 2}):
            session.check("can_read", "ticket:1", context=context)
        assert [each.context for each in read(engine)] == [{"x": 1, "y": {"a": [2], "b": 1}}] * 2 + [{"x": 2}]
    (folder,) = chain_folders(tmp_path / "s" / "decisions")
    assert [record.kind for record in records(folder)].count(3) == 2


def test_with_digest_no_value_of_a_context_is_on_the_disk(tmp_path: Path) -> None:
    with made(tmp_path / "s", log_context="digest") as engine:
        session = engine.session(AGENT, on_behalf_of=ANNE, scope=SCOPE, context={"own": "secret-of-the-session"}, context_keys=["x"])
        session.check("can_read", "ticket:1", context={"x": "secret-of-the-call"})
        assert [each.context for each in read(engine)] == [None]
    (folder,) = chain_folders(tmp_path / "s" / "decisions")
    assert all(b"secret" not in path.read_bytes() for path in folder.iterdir())
    notes = [record.note[1] for record in records(folder) if record.kind == 3]
    assert [set(note) for note in notes] == [{"digest"}] * 2
    assert hashlib.sha256(msgpack.packb({"x": "secret-of-the-call"})).digest() in [note["digest"] for note in notes]


def test_a_batch_larger_than_what_memory_takes_is_kept_in_several_records(tmp_path: Path) -> None:
    """Unknown names are kept as text: these come to more than half of the ring."""
    names = [f"ticket:{'x' * 200}{number}" for number in range(100_000)]
    with made(tmp_path / "s") as engine:
        session = engine.session(AGENT, on_behalf_of=ANNE, scope=SCOPE)
        answers = session.check_objects("can_read", [*names, "ticket:1"])
        assert answers == [False] * len(names) + [True]
    (folder,) = chain_folders(tmp_path / "s" / "decisions")
    decisions = [record for record in records(folder) if record.kind == 1]
    assert len(decisions) > 1
    assert sum(struct.unpack_from("<I", record.body, 24)[0] for record in decisions) == len(names) + 1
    assert [record.sequence for record in decisions] == list(range(len(decisions)))


def test_segments_are_rotated_and_follow_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fgacore.audit.writer.LOG_SEGMENT_BYTES", 2_000)
    with made(tmp_path / "s", decision_log="sync") as engine:
        session = engine.session(AGENT, on_behalf_of=ANNE, scope=SCOPE)
        for number in range(60):
            assert session.check("can_read", f"ticket:{number % 20}")
        assert len(told(engine)) == 60
    (folder,) = chain_folders(tmp_path / "s" / "decisions")
    assert len(list(folder.glob("*.fgd"))) > 3
    assert sum(block.decisions for block in blocks(folder)) == 60
    found = verify(tmp_path / "s" / "decisions")
    assert found.good
    assert found.chains[0].is_ended
    assert heads(tmp_path / "s" / "decisions") == [found.chains[0].head]


def test_each_engine_that_decides_has_a_chain_and_a_reader_too(tmp_path: Path) -> None:
    made(tmp_path / "s").close()
    for options in ({}, {"read_only": True}):
        with fgacore.open(tmp_path / "s", **options) as engine:
            assert engine.session(AGENT, on_behalf_of=ANNE, scope=SCOPE).check("can_read", "ticket:1")
    assert len(chain_folders(tmp_path / "s" / "decisions")) == 2
    with fgacore.open(tmp_path / "s") as engine:
        assert len(told(engine)) == 2


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    with made(tmp_path / "s") as engine:
        engine.session(AGENT, on_behalf_of=ANNE, scope=SCOPE).check("can_read", "ticket:1")
    directory = tmp_path / "s" / "decisions"
    for found in (directory, *directory.rglob("*")):
        assert found.stat().st_mode & 0o077 == 0, found


# ---- options ----


def test_the_log_of_a_store_in_memory_is_off_unless_it_has_a_place(tmp_path: Path) -> None:
    with made(":memory:") as engine:  # type: ignore[arg-type]
        assert engine.session(AGENT, on_behalf_of=ANNE, scope=SCOPE).check("can_read", "ticket:1")
        with pytest.raises(fgacore.RequestError):
            list(read(engine))
    with made(":memory:", log_directory=tmp_path / "log") as engine:  # type: ignore[arg-type]
        assert engine.session(AGENT, on_behalf_of=ANNE, scope=SCOPE).check("can_read", "ticket:1")
        assert len(told(engine)) == 1


def test_off_keeps_nothing(tmp_path: Path) -> None:
    with made(tmp_path / "s", decision_log="off") as engine:
        assert engine.session(AGENT, on_behalf_of=ANNE, scope=SCOPE).check("can_read", "ticket:1")
    assert not (tmp_path / "s" / "decisions").exists()


@pytest.mark.parametrize(
    "options",
    [
        {"decision_log": "always"},
        {"decision_log": True},
        {"log_context": "none"},
        {"on_log_failure": "raise"},
        {"log_key": "text"},
        {"log_key": b"short"},
        {"log_checks": True, "decision_log": "off"},
    ],
)
def test_an_option_that_is_none_is_refused(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(fgacore.RequestError):
        fgacore.open(tmp_path / "s", **options)
    fgacore.open(tmp_path / "s").close()  # and left no lock behind


def test_the_engines_own_checks_are_kept_where_that_is_asked_for(tmp_path: Path) -> None:
    with made(tmp_path / "s", log_checks=True) as engine:
        assert engine.check(ANNE, "can_read", "ticket:1")
        assert engine.check_objects(AGENT, "can_read", ["ticket:1", "ticket:none"]) == [True, False]
        assert engine.filter_objects(ANNE, "can_read", ["ticket:none", "ticket:3"]) == ["ticket:3"]
        assert list(engine.batch_check([(ANNE, "can_update", "ticket:2"), (ANNE, "can_update", "ticket:1")])) == [True, False]
        assert [(each.principals, each.object, each.allowed) for each in read(engine)] == [
            ((ANNE,), "ticket:1", True),
            ((AGENT,), "ticket:1", True),
            ((AGENT,), "ticket:none", False),
            ((ANNE,), "ticket:none", False),
            ((ANNE,), "ticket:3", True),
            ((ANNE,), "ticket:2", True),
            ((ANNE,), "ticket:1", False),
        ]
