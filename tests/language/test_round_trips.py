"""What is written reads back: random models through text and through JSON, and judged alike however they came."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from fgacore import language
from fgacore.language.model import Model
from language.faults import issues
from language.random_models import JSON_MODELS, TEXT_MODELS


@given(TEXT_MODELS)
def test_text_of_a_model_reads_back_as_the_model(model: Model) -> None:
    text = language.render(model)
    assert language.parse(text) == model
    assert language.render(language.parse(text)) == text


@given(TEXT_MODELS, st.sampled_from(["\n", "\r\n", "\r", " # a note\n", "\t\n\n", "\n# a note\n"]))
def test_layout_does_not_change_the_meaning(model: Model, end: str) -> None:
    model = Model(model.schema, model.types)  # what stands between the braces of a condition is kept as it is laid out
    assert language.parse(end.join(language.render(model).replace("  ", "\t").split("\n"))) == model


@given(JSON_MODELS | TEXT_MODELS)
def test_json_of_a_model_reads_back_as_the_model(model: Model) -> None:
    form = language.to_json(model)
    assert language.from_json(form) == model
    assert language.from_json(json.dumps(form)) == model
    assert language.to_json(language.from_json(form)) == form


@given(TEXT_MODELS)
def test_model_is_judged_alike_from_text_and_from_json(model: Model) -> None:
    def judged(copy: Model) -> list[tuple[str, str]]:
        return sorted((issue.code, issue.symbol) for issue in issues(language.validate, copy, strict=True))

    assert judged(language.parse(language.render(model))) == judged(language.from_json(language.to_json(model))) == judged(model)


@given(JSON_MODELS)
def test_what_is_written_as_text_means_what_the_json_says(model: Model) -> None:
    """Most of these cannot be written; what can is the same model but for the order of operands and blanks around expressions."""
    if issues(language.render, model) == []:
        again = language.parse(language.render(model))
        assert language.parse(language.render(again)) == again
        assert again.types.keys() == model.types.keys()
        for name, definition in model.types.items():
            assert again.types[name].relations.keys() == definition.relations.keys()
            for relation in definition.relations.values():
                assert again.types[name].relations[relation.name].restrictions == relation.restrictions
