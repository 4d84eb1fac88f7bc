"""The life of an engine, its models and what it says of itself. Writes and reads: test_engine_tuples.py; questions: test_engine_questions.py."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fgacore
from fgacore.errors import CODES, FgaError, InternalError, ModelError, RequestError, StoreError

MODEL = """
model
  schema 1.1
type user
type document
  relations
    define owner: [user]
    define viewer: [user] or owner
"""
NARROWER = """
model
  schema 1.1
type user
type document
  relations
    define owner: [user]
    define viewer: owner
"""
AS_JSON = """{"schema_version": "1.1", "type_definitions": [{"type": "user"}, {"type": "document",
    "relations": {"viewer": {"this": {}}}, "metadata": {"relations": {"viewer": {"directly_related_user_types": [{"type": "user"}]}}}}]}"""
AS_DICT: dict[str, Any] = {
    "schema_version": "1.1",
    "type_definitions": [
        {"type": "user"},
        {
            "type": "document",
            "relations": {"viewer": {"this": {}}},
            "metadata": {"relations": {"viewer": {"directly_related_user_types": [{"type": "user"}]}}},
        },
    ],
}
ANNE = ("user:anne", "viewer", "document:plan")


@pytest.fixture
def engine() -> fgacore.Engine:
    return fgacore.open(":memory:")


def refused(call: Callable[..., object], *args: Any, **options: Any) -> FgaError:
    with pytest.raises(FgaError) as caught:
        call(*args, **options)
    assert type(caught.value) is CODES[caught.value.code]
    return caught.value


# ---- models ----


@pytest.mark.parametrize("source", [MODEL, AS_JSON, "\n  " + AS_JSON, AS_DICT], ids=["dsl", "json", "json after space", "dict"])
def test_a_model_is_text_json_or_a_dict(engine: fgacore.Engine, source: Any) -> None:
    model_id = engine.write_model(source)
    assert re.fullmatch(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", model_id)
    engine.write([ANNE])
    assert engine.check(*ANNE)


def test_only_a_path_object_is_a_path(engine: fgacore.Engine, tmp_path: Path) -> None:
    (tmp_path / "model.fga").write_text(MODEL)
    (tmp_path / "model.json").write_text(AS_JSON)
    (tmp_path / "core.fga").write_text("module core\ntype user\ntype document\n  relations\n    define viewer: [user]\n")
    (tmp_path / "fga.mod").write_text("schema: '1.2'\ncontents:\n  - core.fga\n")
    for name in ("model.fga", "model.json", "fga.mod"):
        engine.write_model(tmp_path / name)
        engine.write([ANNE], on_duplicate="ignore")
        assert engine.check(*ANNE)
        error = refused(engine.write_model, str(tmp_path / name))
        assert isinstance(error, ModelError)
        assert error.code == "syntax_error"


@pytest.mark.parametrize("source", [None, 7, b"model", [MODEL]])
def test_what_is_no_model_at_all_is_the_callers_error(engine: fgacore.Engine, source: Any) -> None:
    assert refused(engine.write_model, source).code == "invalid_request"


def test_a_condition_that_does_not_compile_is_refused_with_its_place(engine: fgacore.Engine) -> None:
    text = MODEL.replace("owner: [user]", "owner: [user with night]") + "condition night(hour: int) {\n  hour > minute\n}\n"
    error = refused(engine.write_model, text)
    assert isinstance(error, ModelError)
    assert (error.code, error.issues[0].symbol, error.line, error.column) == ("invalid_condition", "night", 10, 10)
    assert (engine.revision, engine.stats().models) == (0, 0)


def test_a_faulty_model_names_every_fault_and_changes_nothing(engine: fgacore.Engine) -> None:
    first = engine.write_model(MODEL)
    error = refused(engine.write_model, MODEL.replace("or owner", "or ownr").replace("owner: [user]", "owner: [usr]"))
    assert isinstance(error, ModelError)
    assert {issue.code for issue in error.issues} == {"missing_definition", "invalid_type"}
    assert (engine.revision, engine.stats().models, engine.stats().model_id) == (1, 1, first)


def test_newest_model_answers_and_an_older_one_is_asked_by_its_id(engine: fgacore.Engine) -> None:
    wide = engine.write_model(MODEL)
    engine.write([ANNE])
    narrow = engine.write_model(NARROWER)
    assert wide < narrow  # ULIDs rise
    assert not engine.check(*ANNE)  # stored, but no longer admitted
    assert engine.check(*ANNE, model_id=wide)
    assert engine.check_objects("user:anne", "viewer", ["document:plan"], model_id=wide) == [True]
    assert list(engine.batch_check([ANNE], model_id=narrow)) == [False]
    assert [found.object for found in engine.read()] == ["document:plan"]
    assert refused(engine.write, [("user:bob", "viewer", "document:plan")]).code == "invalid_tuple"
    engine.write([("user:bob", "viewer", "document:plan")], model_id=wide)
    assert engine.check("user:bob", "viewer", "document:plan", model_id=wide)


def test_a_store_without_a_model_answers_nothing_and_takes_nothing(engine: fgacore.Engine) -> None:
    for call, args in (
        (engine.check, ANNE),
        (engine.check_objects, ("user:anne", "viewer", [])),
        (engine.batch_check, ([],)),
        (engine.write, ([ANNE],)),
    ):
        assert refused(call, *args).code == "no_model"
    assert list(engine.read()) == []
    assert engine.write() == 0


def test_a_model_id_that_is_none_of_the_stores_is_refused(engine: fgacore.Engine) -> None:
    engine.write_model(MODEL)
    other = fgacore.open(":memory:").write_model(MODEL)
    for model_id in (other, "", "nonsense", 7, []):
        assert refused(engine.check, *ANNE, model_id=model_id).code == "model_not_found"
        assert refused(engine.write, [ANNE], model_id=model_id).code == "model_not_found"


# ---- what it says of itself ----


def test_every_write_is_a_revision_and_nothing_else_is(engine: fgacore.Engine) -> None:
    engine.write_model(MODEL)
    assert engine.revision == 1
    assert engine.write([ANNE]) == engine.revision == 2
    assert engine.write(deletes=[ANNE]) == 3
    assert engine.write([]) == engine.write(deletes=[ANNE], on_missing="ignore") == 3
    engine.write([ANNE])
    assert engine.write([ANNE], on_duplicate="ignore") == 4
    assert refused(engine.write, [ANNE]).code == "tuple_exists"
    engine.merge()
    engine.check(*ANNE)
    assert engine.revision == 4


def test_changes_tell_models_and_writes_in_order(engine: fgacore.Engine) -> None:
    first = engine.write_model(MODEL, actor="user:lead", reason="start")
    engine.write([ANNE])  # names nobody
    engine.write([("user:bob", "viewer", "document:plan")], deletes=[ANNE], actor="user:lead", reason="INC-7")
    engine.write([ANNE], deletes=[(*ANNE[:2], "document:none")], on_missing="ignore", reason="back")
    engine.write(deletes=[(*ANNE[:2], "document:none")], on_missing="ignore", actor="user:lead")  # changes nothing: not recorded
    told = [(c.revision, c.kind, c.actor, c.reason, c.written, c.deleted, c.model_id) for c in engine.changes()]
    assert told == [
        (1, "model", "user:lead", "start", 0, 0, first),
        (2, "tuples", None, None, 1, 0, None),
        (3, "tuples", "user:lead", "INC-7", 1, 1, None),
        (4, "tuples", None, "back", 1, 0, None),
    ]
    assert [change.revision for change in engine.changes(since=1)] == [2, 3, 4]
    assert list(engine.changes(since=4)) == []


def test_stats_count_what_is_stored_and_asked(engine: fgacore.Engine) -> None:
    assert (engine.stats().tuples, engine.stats().names, engine.stats().models, engine.stats().model_id) == (0, 0, 0, None)
    model_id = engine.write_model(MODEL)
    engine.write([(f"user:{i}", "owner", f"document:{i % 3}") for i in range(10)])
    engine.check("user:1", "viewer", "document:1")
    engine.check_objects("user:1", "viewer", ["document:0", "document:1"])
    stats = engine.stats()
    assert (stats.revision, stats.model_id, stats.models, stats.tuples, stats.names) == (2, model_id, 1, 10, 13)
    assert stats.checks == 3
    assert stats.unmerged == 10
    engine.merge()
    assert (engine.stats().unmerged, engine.stats().tuples, engine.revision) == (0, 10, 2)


# ---- the end ----


def test_a_closed_engine_refuses_everything(engine: fgacore.Engine) -> None:
    engine.write_model(MODEL)
    engine.write([ANNE])
    reading = engine.read()
    engine.close()
    engine.close()
    calls: list[Callable[[], object]] = [
        lambda: engine.check(*ANNE),
        lambda: engine.check_objects("user:anne", "viewer", []),
        lambda: engine.batch_check([ANNE]),
        lambda: engine.ids("user", ["anne"]),
        lambda: engine.names("user", [0]),
        lambda: engine.write([ANNE]),
        lambda: engine.delete(subject="user:anne"),
        lambda: engine.read(),
        lambda: engine.write_model(MODEL),
        lambda: engine.merge(),
        lambda: engine.stats(),
    ]
    for call in calls:
        assert refused(call).code == "closed"
    assert [found.subject for found in reading] == ["user:anne"]  # a call under way ends as it began


def test_with_closes_and_repr_tells(engine: fgacore.Engine) -> None:
    with engine as entered:
        assert entered is engine
        engine.write_model(MODEL)
        assert repr(engine) == "<fgacore.Engine :memory:, revision 1>"
    assert repr(engine) == "<fgacore.Engine, closed>"
    with pytest.raises(ZeroDivisionError), fgacore.open() as other:
        1 / 0
    assert refused(other.stats).code == "closed"


@pytest.mark.parametrize(
    ("cls", "code"),
    [(ModelError, "invalid_model"), (RequestError, "invalid_request"), (StoreError, "store_unavailable"), (InternalError, "internal")],
)
def test_an_error_that_names_no_code_has_that_of_its_class(cls: type[FgaError], code: str) -> None:
    error = cls("what went wrong")
    assert (error.code, error.index, str(error), error.message) == (code, None, "what went wrong", "what went wrong")
    assert CODES[code] is cls
