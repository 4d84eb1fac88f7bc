"""OpenFGA's JSON form of a model, both ways.

Reading trusts nothing: every value is asked for its kind, a key that the form does not have is refused (a misspelt `condition` would make a
grant unconditional), and so is a key given twice. Names of keys are taken as the API writes them and as protocol buffers also allow
(`type_definitions`, `typeDefinitions`). What is read is not judged: that is validate.py's.
"""

from __future__ import annotations

import json
from typing import Any

from fgacore import limits
from fgacore.errors import LimitError, RequestError, quote
from fgacore.language.issues import Issues
from fgacore.language.model import (
    ComputedUserset,
    Condition,
    Difference,
    Intersection,
    Model,
    Parameter,
    Relation,
    Restriction,
    Rewrite,
    This,
    TupleToUserset,
    TypeDefinition,
    Union,
)
from fgacore.language.parse import PARAMETER_CONTAINERS, PARAMETER_TYPES

__all__ = ["from_json", "read_json", "to_json"]

_TYPE_PREFIX = "TYPE_NAME_"
_PARAMETER_TYPES = PARAMETER_TYPES | {"any"}  # which the DSL cannot write
_ALIASES = {
    "schemaVersion": "schema_version",
    "typeDefinitions": "type_definitions",
    "directlyRelatedUserTypes": "directly_related_user_types",
    "sourceInfo": "source_info",
    "typeName": "type_name",
    "genericTypes": "generic_types",
    "computed_userset": "computedUserset",
    "tuple_to_userset": "tupleToUserset",
}
_REWRITES = ("this", "computedUserset", "tupleToUserset", "union", "intersection", "difference")


class _Fault(Exception):
    """A value is not of the form. Caught where the next value can be read."""


def from_json(source: str | bytes | dict[str, Any]) -> Model:
    """Read a model from OpenFGA's JSON, as text or as the value that a JSON parser makes of it.

    ModelError tells every fault of its form, with its place in the JSON; LimitError a bound passed.
    """
    return read_json(source, Issues())


def read_json(source: str | bytes | dict[str, Any], issues: Issues) -> Model:
    """As `from_json`, the faults gathered in `issues`, which know the file."""
    if not isinstance(source, (str, bytes, dict)):
        raise RequestError("the JSON of a model is text, bytes or a dict")
    try:
        model = _Reader(issues).model(source if isinstance(source, dict) else _loaded(source, issues))
    except _Fault as fault:
        issues.fail("syntax_error", str(fault))
    issues.raise_found()
    return model


def _loaded(source: str | bytes, issues: Issues) -> object:
    if len(source) > limits.MODEL_BYTES_MAX:
        raise _too_long()
    try:
        text = source.decode("utf-8") if isinstance(source, bytes) else source
        if len(text.encode("utf-8", "surrogatepass")) > limits.MODEL_BYTES_MAX:
            raise _too_long()
        return json.loads(text.removeprefix("\ufeff"), object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        issues.fail("syntax_error", f"not JSON: {error.msg[:1].lower()}{error.msg[1:]}", (error.lineno, error.colno))
    except ValueError as error:  # not UTF-8, or a number of thousands of digits
        raise _Fault("not JSON: " + ("not UTF-8" if isinstance(error, UnicodeError) else "a number is too long")) from None
    except RecursionError:
        raise LimitError(f"the JSON nests deeper than {limits.MODEL_REWRITE_DEPTH_MAX} rewrites (MODEL_REWRITE_DEPTH_MAX)") from None


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _Fault(f"key {quote(key)} is given twice in one object")
            seen.add(key)
    return found


def _too_long() -> LimitError:
    return LimitError(f"the model is longer than {limits.MODEL_BYTES_MAX} bytes (MODEL_BYTES_MAX)")


class _Reader:
    """One reading. `path` arguments name a place in the JSON, for messages."""

    def __init__(self, issues: Issues) -> None:
        self.issues = issues
        self.size = 0  # bytes of the shortest text that says what was read so far: bounds a dict whose parts are shared
        self.relation_count = 0

    def note(self, fault: _Fault) -> None:
        self.issues.add("syntax_error", str(fault))

    # Kinds

    def charge(self, size: int) -> None:
        self.size += size
        if self.size > limits.MODEL_BYTES_MAX:
            raise _too_long()

    def fields(self, value: object, path: str, *keys: str) -> dict[str, object]:
        """The fields of an object, by the names in `keys`; an absent field and one that is null are both absent."""
        if not isinstance(value, dict):
            raise _Fault(f"{path}: expected an object")
        self.charge(2)
        found: dict[str, object] = {}
        for key, item in value.items():
            name = _ALIASES.get(key, key) if isinstance(key, str) else key
            if name not in keys:
                raise _Fault(f"{path}: unknown key {quote(str(key))}")
            self.charge(len(name) + 4)
            if item is None:
                continue
            if name in found:
                raise _Fault(f"{path}: key {quote(name)} is given twice")
            found[name] = item
        return found

    def mapping(self, value: object, path: str) -> dict[str, object]:
        """An object whose keys are names."""
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise _Fault(f"{path}: expected an object")
        for key in value:
            self.text(key, f"{path}: a key")
        return value

    def items(self, value: object, path: str) -> list[object]:
        if value is None:
            return []
        if not isinstance(value, list):
            raise _Fault(f"{path}: expected a list")
        return value

    def text(self, value: object, path: str) -> str:
        if value is None:
            return ""
        if not isinstance(value, str):
            raise _Fault(f"{path}: expected text")
        self.charge(len(value) + 2)
        if "\0" in value or (not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value)):
            raise _Fault(f"{path}: {quote(value)} has a character that is not allowed in a model")
        return str(value)

    # The form

    def model(self, value: object) -> Model:
        fields = self.fields(value, "the model", "id", "schema_version", "type_definitions", "conditions")
        self.text(fields.get("id"), "id")
        schema = self.text(fields.get("schema_version"), "schema_version")
        types: dict[str, TypeDefinition] = {}
        definitions = self.items(fields.get("type_definitions"), "type_definitions")
        if len(definitions) > limits.MODEL_TYPES_MAX:
            raise LimitError(f"the model has more than {limits.MODEL_TYPES_MAX} types (MODEL_TYPES_MAX)")
        for index, item in enumerate(definitions):
            try:
                definition = self.type_definition(item, f"type_definitions[{index}]")
            except _Fault as fault:
                self.note(fault)
                continue
            if definition.name in types:
                self.issues.add("duplicated_error", f"type {quote(definition.name)} is defined again", symbol=definition.name)
            else:
                types[definition.name] = definition
        conditions: dict[str, Condition] = {}
        named = self.mapping(fields.get("conditions"), "conditions")
        if len(named) > limits.MODEL_CONDITIONS_MAX:
            raise LimitError(f"the model has more than {limits.MODEL_CONDITIONS_MAX} conditions (MODEL_CONDITIONS_MAX)")
        for name, item in named.items():
            try:
                conditions[name] = self.condition(item, f"conditions.{_short(name)}")
            except _Fault as fault:
                self.note(fault)
        return Model(schema, types, conditions)

    def origin(self, fields: dict[str, object], path: str) -> tuple[str, str]:
        """The module and the file of a metadata object."""
        info = fields.get("source_info")
        file = self.text(self.fields(info, f"{path}.source_info", "file").get("file"), f"{path}.source_info.file") if info is not None else ""
        return self.text(fields.get("module"), f"{path}.module"), file

    def type_definition(self, value: object, path: str) -> TypeDefinition:
        fields = self.fields(value, path, "type", "relations", "metadata")
        name = self.text(fields.get("type"), f"{path}.type")
        metadata = self.fields(fields.get("metadata", {}), f"{path}.metadata", "relations", "module", "source_info")
        module, file = self.origin(metadata, f"{path}.metadata")
        about = self.mapping(metadata.get("relations"), f"{path}.metadata.relations")
        relations: dict[str, Relation] = {}
        for relation, rewrite in self.mapping(fields.get("relations"), f"{path}.relations").items():
            self.relation_count += 1
            if self.relation_count > limits.MODEL_RELATIONS_MAX:
                raise LimitError(f"the model has more than {limits.MODEL_RELATIONS_MAX} relations (MODEL_RELATIONS_MAX)")
            place = f"{path}.relations.{_short(relation)}"
            try:
                relations[relation] = self.relation(relation, rewrite, about.get(relation), place)
            except _Fault as fault:
                self.note(fault)
        return TypeDefinition(name, relations, module, file)

    def relation(self, name: str, rewrite: object, about: object, path: str) -> Relation:
        metadata = self.fields({} if about is None else about, f"{path}: metadata", "directly_related_user_types", "module", "source_info")
        module, file = self.origin(metadata, f"{path}: metadata")
        related = self.items(metadata.get("directly_related_user_types"), f"{path}: directly_related_user_types")
        if len(related) > limits.MODEL_RESTRICTIONS_MAX:
            raise LimitError(f"a relation has more than {limits.MODEL_RESTRICTIONS_MAX} type restrictions (MODEL_RESTRICTIONS_MAX)")
        restrictions = tuple(self.restriction(item, f"{path}: directly_related_user_types[{index}]") for index, item in enumerate(related))
        return Relation(name, self.rewrite(rewrite, path, 1), restrictions, module, file)

    def restriction(self, value: object, path: str) -> Restriction:
        fields = self.fields(value, path, "type", "relation", "wildcard", "condition")
        wildcard = "wildcard" in fields
        if wildcard:
            self.fields(fields["wildcard"], f"{path}.wildcard")
        relation = self.text(fields.get("relation"), f"{path}.relation")
        if relation and wildcard:
            raise _Fault(f"{path}: both a relation and a wildcard")
        condition = self.text(fields.get("condition"), f"{path}.condition")
        return Restriction(self.text(fields.get("type"), f"{path}.type"), relation or None, wildcard, condition or None)

    def rewrite(self, value: object, path: str, depth: int) -> Rewrite:
        if depth > limits.MODEL_REWRITE_DEPTH_MAX:
            raise LimitError(f"rewrites nest deeper than {limits.MODEL_REWRITE_DEPTH_MAX} (MODEL_REWRITE_DEPTH_MAX)")
        fields = self.fields(value, path, *_REWRITES)
        if len(fields) != 1:
            raise _Fault(f"{path}: expected one rewrite such as `this` or `union`, found {len(fields)}")
        kind, inner = next(iter(fields.items()))
        if kind == "this":
            self.fields(inner, f"{path}.this")
            return This()
        if kind == "computedUserset":
            return ComputedUserset(self.object_relation(inner, f"{path}.computedUserset"))
        if kind == "tupleToUserset":
            path = f"{path}.tupleToUserset"
            parts = self.fields(inner, path, "tupleset", "computedUserset")
            computed = self.object_relation(parts.get("computedUserset"), f"{path}.computedUserset")
            return TupleToUserset(computed, self.object_relation(parts.get("tupleset"), f"{path}.tupleset"))
        if kind == "difference":
            path = f"{path}.difference"
            parts = self.fields(inner, path, "base", "subtract")
            base = self.rewrite(parts.get("base"), f"{path}.base", depth + 1)
            return Difference(base, self.rewrite(parts.get("subtract"), f"{path}.subtract", depth + 1))
        path = f"{path}.{kind}"
        listed = self.items(self.fields(inner, path, "child").get("child"), f"{path}.child")
        children = tuple(self.rewrite(child, f"{path}[{index}]", depth + 1) for index, child in enumerate(listed))
        return Union(children) if kind == "union" else Intersection(children)

    def object_relation(self, value: object, path: str) -> str:
        fields = self.fields(value, path, "object", "relation")
        if self.text(fields.get("object"), f"{path}.object"):
            raise _Fault(f"{path}: an object is not allowed in a rewrite")
        return self.text(fields.get("relation"), f"{path}.relation")

    def condition(self, value: object, path: str) -> Condition:
        fields = self.fields(value, path, "name", "expression", "parameters", "metadata")
        metadata = self.fields(fields.get("metadata", {}), f"{path}.metadata", "module", "source_info")
        module, file = self.origin(metadata, f"{path}.metadata")
        expression = self.text(fields.get("expression"), f"{path}.expression")
        if len(expression.encode()) > limits.CONDITION_EXPRESSION_BYTES_MAX:
            raise LimitError(f"{path}: an expression is longer than {limits.CONDITION_EXPRESSION_BYTES_MAX} bytes (CONDITION_EXPRESSION_BYTES_MAX)")
        named = self.mapping(fields.get("parameters"), f"{path}.parameters")
        if len(named) > limits.MODEL_PARAMETERS_MAX:
            raise LimitError(f"{path}: more than {limits.MODEL_PARAMETERS_MAX} parameters (MODEL_PARAMETERS_MAX)")
        parameters = {name: self.parameter(item, f"{path}.parameters.{_short(name)}") for name, item in named.items()}
        return Condition(self.text(fields.get("name"), f"{path}.name"), parameters, expression, module, file)

    def parameter(self, value: object, path: str) -> Parameter:
        fields = self.fields(value, path, "type_name", "generic_types")
        kind = self.parameter_type(fields, path, _PARAMETER_TYPES | PARAMETER_CONTAINERS)
        members = self.items(fields.get("generic_types"), f"{path}.generic_types")
        if kind not in PARAMETER_CONTAINERS:
            if members:
                raise _Fault(f"{path}: {quote(kind)} has no members")
            return Parameter(kind)
        if len(members) != 1:
            raise _Fault(f"{path}: expected one type of the members of the {kind}")
        member = self.fields(members[0], f"{path}.generic_types[0]", "type_name", "generic_types")
        if self.items(member.get("generic_types"), f"{path}.generic_types[0].generic_types"):
            raise _Fault(f"{path}: members of members are not supported")
        return Parameter(kind, self.parameter_type(member, f"{path}.generic_types[0]", _PARAMETER_TYPES))

    def parameter_type(self, fields: dict[str, object], path: str, known: frozenset[str]) -> str:
        written = self.text(fields.get("type_name"), f"{path}.type_name")
        kind = written.removeprefix(_TYPE_PREFIX).lower()
        if kind not in known or written != _TYPE_PREFIX + kind.upper():
            raise _Fault(f"{path}: unknown type {quote(written)}")
        return kind


def _short(name: str) -> str:
    return quote(name)[1:-1]


def to_json(model: Model) -> dict[str, Any]:
    """The model in OpenFGA's JSON, as the value to hand to a JSON writer. What `from_json` reads back is equal to the model."""
    written: dict[str, Any] = {"schema_version": model.schema}
    if model.types:
        written["type_definitions"] = [_type_definition(definition) for definition in model.types.values()]
    if model.conditions:
        written["conditions"] = {name: _condition(condition) for name, condition in model.conditions.items()}
    return written


def _origin(module: str, file: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if module:
        found["module"] = module
    if file:
        found["source_info"] = {"file": file}
    return found


def _type_definition(definition: TypeDefinition) -> dict[str, Any]:
    metadata = _origin(definition.module, definition.file)
    if definition.relations:
        metadata["relations"] = {
            name: {"directly_related_user_types": [_restriction(item) for item in relation.restrictions], **_origin(relation.module, relation.file)}
            for name, relation in definition.relations.items()
        }
    return {
        "type": definition.name,
        "relations": {name: _rewrite(relation.rewrite) for name, relation in definition.relations.items()},
        "metadata": metadata or None,
    }


def _restriction(restriction: Restriction) -> dict[str, Any]:
    written: dict[str, Any] = {"type": restriction.type}
    if restriction.relation is not None:
        written["relation"] = restriction.relation
    if restriction.wildcard:
        written["wildcard"] = {}
    if restriction.condition is not None:
        written["condition"] = restriction.condition
    return written


def _rewrite(rewrite: Rewrite) -> dict[str, Any]:
    match rewrite:
        case This():
            return {"this": {}}
        case ComputedUserset(relation):
            return {"computedUserset": {"relation": relation}}
        case TupleToUserset(relation, tupleset):
            return {"tupleToUserset": {"tupleset": {"relation": tupleset}, "computedUserset": {"relation": relation}}}
        case Union(children):
            return {"union": {"child": [_rewrite(child) for child in children]}}
        case Intersection(children):
            return {"intersection": {"child": [_rewrite(child) for child in children]}}
        case Difference(base, subtract):
            return {"difference": {"base": _rewrite(base), "subtract": _rewrite(subtract)}}


def _condition(condition: Condition) -> dict[str, Any]:
    written: dict[str, Any] = {
        "name": condition.name,
        "expression": condition.expression,
        "parameters": {name: _parameter(parameter) for name, parameter in condition.parameters.items()},
    }
    metadata = _origin(condition.module, condition.file)
    if metadata:
        written["metadata"] = metadata
    return written


def _parameter(parameter: Parameter) -> dict[str, Any]:
    written: dict[str, Any] = {"type_name": _TYPE_PREFIX + parameter.type.upper()}
    if parameter.member is not None:
        written["generic_types"] = [{"type_name": _TYPE_PREFIX + parameter.member.upper()}]
    return written
