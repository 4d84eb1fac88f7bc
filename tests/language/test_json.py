"""OpenFGA's JSON: what it says, and that nothing which is not of its form is taken."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fgacore import language, limits
from fgacore.errors import LimitError, ModelError, RequestError
from fgacore.language.model import ComputedUserset, Condition, Difference, Intersection, Parameter, Restriction, Rewrite, This, TupleToUserset, Union
from language.faults import document, issues

A, B = ComputedUserset("a"), ComputedUserset("b")
A_FORM, B_FORM = ({"computedUserset": {"relation": name}} for name in "ab")


def form(rewrite: object, *restrictions: object) -> dict[str, Any]:
    return {
        "schema_version": "1.1",
        "type_definitions": [
            {"type": "doc", "relations": {"r": rewrite}, "metadata": {"relations": {"r": {"directly_related_user_types": list(restrictions)}}}}
        ],
    }


def conditional(condition: object) -> dict[str, Any]:
    return {"schema_version": "1.1", "type_definitions": [], "conditions": {"c": condition}}


@pytest.mark.parametrize(
    ("written", "meaning"),
    [
        ({"this": {}}, This()),
        (A_FORM, A),
        ({"computedUserset": {"object": "", "relation": "a"}}, A),
        ({"computed_userset": {"relation": "a"}}, A),
        ({"tupleToUserset": {"tupleset": {"relation": "b"}, "computedUserset": {"relation": "a"}}}, TupleToUserset("a", "b")),
        ({"union": {"child": [A_FORM, {"this": {}}]}}, Union((A, This()))),
        ({"intersection": {"child": [A_FORM, B_FORM]}}, Intersection((A, B))),
        ({"difference": {"base": A_FORM, "subtract": {"union": {"child": [A_FORM, B_FORM]}}}}, Difference(A, Union((A, B)))),
        ({"this": {}, "union": None}, This()),
    ],
)
def test_rewrite_means_what_is_written(written: object, meaning: Rewrite) -> None:
    assert language.from_json(form(written)).types["doc"].relations["r"].rewrite == meaning


@pytest.mark.parametrize(
    ("written", "meaning"),
    [
        ({"type": "user"}, Restriction("user")),
        ({"type": "user", "relation": "", "condition": ""}, Restriction("user")),
        ({"type": "user", "wildcard": {}}, Restriction("user", wildcard=True)),
        ({"type": "team", "relation": "member", "condition": "late"}, Restriction("team", "member", condition="late")),
    ],
)
def test_restriction_means_what_is_written(written: object, meaning: Restriction) -> None:
    assert language.from_json(form({"this": {}}, written)).types["doc"].relations["r"].restrictions == (meaning,)


def test_condition_and_its_origin_are_read() -> None:
    written = {
        "name": "c",
        "expression": "a > 1",
        "parameters": {
            "a": {"type_name": "TYPE_NAME_INT"},
            "b": {"type_name": "TYPE_NAME_MAP", "generic_types": [{"type_name": "TYPE_NAME_ANY"}]},
        },
        "metadata": {"module": "m", "source_info": {"file": "m.fga"}},
    }
    meaning = Condition("c", {"a": Parameter("int"), "b": Parameter("map", "any")}, "a > 1", "m", "m.fga")
    model = language.from_json(conditional(written))
    assert model.conditions == {"c": meaning}
    assert language.to_json(model)["conditions"] == {"c": written}


def test_text_bytes_and_dict_are_read_alike() -> None:
    value = form({"this": {}}, {"type": "döc"})
    text = json.dumps(value, ensure_ascii=False)
    model = language.from_json(value)
    assert language.from_json(text) == language.from_json(text.encode()) == language.from_json("\ufeff" + text) == model


def test_keys_may_be_written_as_protocol_buffers_allow() -> None:
    snake = json.dumps(language.to_json(language.parse(document("a: [user]", "p: [doc]", "r: a from p"))))
    camel = snake.replace("schema_version", "schemaVersion").replace("type_definitions", "typeDefinitions")
    camel = camel.replace("directly_related_user_types", "directlyRelatedUserTypes")
    assert camel != snake
    assert language.from_json(camel) == language.from_json(snake)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "text, bytes or a dict"),
        ({"schema_version": 1.1}, "schema_version: expected text"),
        ({"schema": "1.1"}, "unknown key `schema`"),
        ({"type_definitions": {}}, "type_definitions: expected a list"),
        ({"type_definitions": [[]]}, r"type_definitions\[0\]: expected an object"),
        ({"type_definitions": [{"type": ["user"]}]}, r"type_definitions\[0\].type: expected text"),
        ({"type_definitions": [{"type": "a", "relations": []}]}, "relations: expected an object"),
        ({"type_definitions": [{"type": "a", "metadata": {"relations": 1}}]}, "metadata.relations: expected an object"),
        ({"type_definitions": [{"type": "a", "metadata": {"source_info": "x"}}]}, "source_info: expected an object"),
        ({"type_definitions": [{"type": "a", "relations": {1: {"this": {}}}}]}, "a key: expected text"),
        ({"type_definitions": [{"type": "a\ud800"}]}, "not allowed"),
        ({"type_definitions": [{"type": "a\0"}]}, "not allowed"),
        ({"type_definitions": [], "typeDefinitions": []}, "given twice"),
        (form({}), "expected one rewrite"),
        (form(None), "expected an object"),
        (form({"this": None}), "expected one rewrite"),
        (form({"this": {}, "union": {}}), "expected one rewrite"),
        (form({"this": {"x": 1}}), "unknown key `x`"),
        (form({"that": {}}), "unknown key `that`"),
        (form({"computedUserset": "a"}), "expected an object"),
        (form({"computedUserset": {"object": "doc:1", "relation": "a"}}), "an object is not allowed"),
        (form({"tupleToUserset": {"tupleset": {"relation": "a"}}}), "computedUserset: expected an object"),
        (form({"union": [A_FORM, B_FORM]}), "expected an object"),
        (form({"union": {"child": A_FORM}}), "expected a list"),
        (form({"union": {"child": [None]}}), r"union\[0\]: expected an object"),
        (form({"difference": {"base": A_FORM}}), "subtract: expected an object"),
        (form({"this": {}}, "user"), "expected an object"),
        (form({"this": {}}, {"type": "user", "condtion": "late"}), "unknown key `condtion`"),
        (form({"this": {}}, {"type": "user", "relation": "x", "wildcard": {}}), "both a relation and a wildcard"),
        (form({"this": {}}, {"type": "user", "wildcard": True}), "wildcard: expected an object"),
        (conditional([]), "conditions.c: expected an object"),
        (conditional({"parameters": {"a": {"type_name": "INT"}}}), "unknown type `INT`"),
        (conditional({"parameters": {"a": {"type_name": "TYPE_NAME_int"}}}), "unknown type"),
        (conditional({"parameters": {"a": {"type_name": "TYPE_NAME_LIST"}}}), "expected one type of the members"),
        (conditional({"parameters": {"a": {"type_name": "TYPE_NAME_INT", "generic_types": [{}]}}}), "has no members"),
        (
            conditional({"parameters": {"a": {"type_name": "TYPE_NAME_LIST", "generic_types": [{"type_name": "TYPE_NAME_LIST"}]}}}),
            "unknown type",
        ),
    ],
)
def test_what_is_not_of_the_form_is_refused_by_its_place(value: Any, message: str) -> None:
    error = ModelError if isinstance(value, dict) else RequestError
    with pytest.raises(error, match=message) as caught:
        language.from_json(value)
    assert caught.value.code == ("syntax_error" if error is ModelError else "invalid_request")


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [("{", 1, 2), ('{\n  "id": x}', 2, 9), ('{"id": "a" "b"}', 1, 12), ("", 1, 1), ('{"id": "\n"}', 1, 9)],
)
def test_what_is_not_json_is_told_at_its_place(text: str, line: int, column: int) -> None:
    assert [(issue.code, issue.line, issue.column) for issue in issues(language.from_json, text)] == [("syntax_error", line, column)]


@pytest.mark.parametrize("source", ['{"id": "a", "id": "b"}', b'{"id": "\xff"}', '{"id": ' + "1" * 10_000 + "}", "[]", "null", "NaN", '"x"'])
def test_other_json_is_refused(source: str | bytes) -> None:
    assert [issue.code for issue in issues(language.from_json, source)] == ["syntax_error"]


def test_every_fault_of_the_form_is_told() -> None:
    value = form({"this": {}})
    value["type_definitions"] += [7, {"type": "a", "relations": {"x": {}, "y": 1}}, {"type": "doc"}]
    value["conditions"] = {"c": 1}
    assert [issue.code for issue in issues(language.from_json, value)] == ["syntax_error"] * 3 + ["duplicated_error", "syntax_error"]


def shared(depth: int) -> dict[str, Any]:
    rewrite: dict[str, Any] = A_FORM
    for _ in range(depth):
        rewrite = {"union": {"child": [rewrite, rewrite]}}
    return rewrite


def test_dict_whose_parts_are_shared_costs_what_its_text_would() -> None:
    with pytest.raises(LimitError, match="MODEL_BYTES_MAX"):
        language.from_json(form(shared(limits.MODEL_REWRITE_DEPTH_MAX - 1)))


def test_dict_that_contains_itself_is_refused() -> None:
    rewrite: dict[str, Any] = {"union": {"child": []}}
    rewrite["union"]["child"] += [rewrite, rewrite]
    with pytest.raises(LimitError, match="MODEL_REWRITE_DEPTH_MAX"):
        language.from_json(form(rewrite))


@pytest.mark.parametrize("text", ["[" * 400_000, '{"id":' * 100_000, '{"type_definitions":' + "[" * 400_000])
def test_deep_json_is_refused(text: str) -> None:
    with pytest.raises(LimitError, match="MODEL_REWRITE_DEPTH_MAX"):
        language.from_json(text)


@pytest.mark.parametrize(
    ("value", "bound"),
    [
        ({"id": "x" * limits.MODEL_BYTES_MAX}, "MODEL_BYTES_MAX"),
        ({"type_definitions": [{"type": f"t{n}"} for n in range(limits.MODEL_TYPES_MAX + 1)]}, "MODEL_TYPES_MAX"),
        (
            {"type_definitions": [{"type": "t", "relations": {f"r{n}": {"this": {}} for n in range(limits.MODEL_RELATIONS_MAX + 1)}}]},
            "MODEL_RELATIONS_MAX",
        ),
        (form({"this": {}}, *[{"type": "t"}] * (limits.MODEL_RESTRICTIONS_MAX + 1)), "MODEL_RESTRICTIONS_MAX"),
        ({"conditions": {f"c{n}": {} for n in range(limits.MODEL_CONDITIONS_MAX + 1)}}, "MODEL_CONDITIONS_MAX"),
        (conditional({"parameters": {f"a{n}": {} for n in range(limits.MODEL_PARAMETERS_MAX + 1)}}), "MODEL_PARAMETERS_MAX"),
        (conditional({"expression": "x" * (limits.CONDITION_EXPRESSION_BYTES_MAX + 1)}), "CONDITION_EXPRESSION_BYTES_MAX"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_over_a_bound_is_refused_by_its_name(value: dict[str, Any], bound: str) -> None:
    with pytest.raises(LimitError, match=bound):
        language.from_json(value)
    with pytest.raises(LimitError, match=bound):
        language.from_json(json.dumps(value))


def test_what_is_written_is_the_form_of_the_api() -> None:
    model = language.parse(document("a: [user, user:* with late, doc#a]", "r: a or a from a") + "condition late(hour: int) {\n  hour > 20\n}\n")
    related = [{"type": "user"}, {"type": "user", "wildcard": {}, "condition": "late"}, {"type": "doc", "relation": "a"}]
    through = {"tupleToUserset": {"tupleset": {"relation": "a"}, "computedUserset": {"relation": "a"}}}
    assert language.to_json(model) == {
        "schema_version": "1.1",
        "type_definitions": [
            {"type": "user", "relations": {}, "metadata": None},
            {
                "type": "doc",
                "relations": {"a": {"this": {}}, "r": {"union": {"child": [A_FORM, through]}}},
                "metadata": {"relations": {"a": {"directly_related_user_types": related}, "r": {"directly_related_user_types": []}}},
            },
        ],
        "conditions": {"late": {"name": "late", "expression": "hour > 20", "parameters": {"hour": {"type_name": "TYPE_NAME_INT"}}}},
    }
