"""The one door: text, JSON and paths are told apart by what they are, and all are judged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fgacore import language
from fgacore.errors import ModelError, RequestError
from language.faults import document, faults, issues

TEXT = document("r: [user]")
MODEL = language.parse(TEXT)
FORM = language.to_json(MODEL)


@pytest.mark.parametrize("source", [TEXT, "\ufeff" + TEXT, FORM, json.dumps(FORM), " \n\t" + json.dumps(FORM, indent=2), "\ufeff" + json.dumps(FORM)])
def test_source_is_known_by_what_it_is(source: Any) -> None:
    assert language.load(source) == MODEL


def test_text_is_never_a_path(tmp_path: Path) -> None:
    path = tmp_path / "m.fga"
    path.write_text(TEXT)
    assert [code for code, _, _ in faults(str(path))] == ["syntax_error"]
    assert language.load(path) == MODEL


@pytest.mark.parametrize("source", [None, 1, b"model", [FORM], object()])
def test_other_things_are_refused(source: Any) -> None:
    with pytest.raises(RequestError) as caught:
        language.load(source)
    assert caught.value.code == "invalid_request"


@pytest.mark.parametrize(
    "source", [document("r: missing"), {"schema_version": "1.1", "type_definitions": [{"type": "self"}]}, '{"schema_version": "2"}']
)
def test_what_is_loaded_is_valid(source: Any) -> None:
    with pytest.raises(ModelError):
        language.load(source)


def test_json_without_a_schema_version_is_of_the_first_as_for_the_server() -> None:
    form = {key: value for key, value in FORM.items() if key != "schema_version"}
    assert language.load(form) == MODEL
    assert [issue.code for issue in issues(language.load, form, strict=True)] == ["schema_version_required"]


def test_module_file_alone_is_no_model() -> None:
    assert faults("module m\ntype user\n") == [("schema_version_required", 1, "")]
