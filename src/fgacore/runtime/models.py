"""Models of a store: from a validated model to plans under the store's symbols, and to the payload that the log keeps of it, and back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from fgacore.errors import FgaError, LimitError, StoreError
from fgacore.kernel.plan import ModelPlan
from fgacore.language import load, to_json
from fgacore.language.compile import Compiler, Kind, SymbolTable
from fgacore.language.conditions import CompiledCondition, compile_conditions
from fgacore.language.model import Model
from fgacore.limits import STORE_RELATIONS_MAX, STORE_TYPES_MAX
from fgacore.runtime.conditions import Conditions

__all__ = ["Compiled", "add_symbols", "compile_model", "model_payload", "model_source", "read_model_payload", "stored_model", "table_row"]


@dataclass(frozen=True, slots=True)
class Compiled:
    """A model as a state takes it: its plans, and its tables that shape closures and parents."""

    plan: ModelPlan
    structural: set[int]


def conditions_of(model: Model) -> list[CompiledCondition]:
    """The model's conditions, compiled by CEL's library. ModelError where one is faulty."""
    return list(compile_conditions(model).values()) if model.conditions else []


def compile_model(symbols: SymbolTable, model_id: str, model: Model, compiled: list[CompiledCondition]) -> Compiled:
    """The plans of a model; its types, relations and tables are numbered after those that the store has."""
    _refuse_symbols(symbols, model)
    conditions = Conditions(compiled, symbols.signatures) if compiled else None
    compiler = Compiler(model, symbols)
    tables = compiler.admitted_tables()
    plan = ModelPlan(model_id, compiler, compiler.types, compiler.relations, compiler.nodes, tables, conditions)
    return Compiled(plan, compiler.structural_tables())


def _refuse_symbols(symbols: SymbolTable, model: Model) -> None:
    """Types and relations are numbered in 16 bits over the life of a store."""
    relations = {relation for definition in model.types.values() for relation in definition.relations}
    for known, more, most, name in (
        (symbols.types, set(model.types), STORE_TYPES_MAX, "STORE_TYPES_MAX"),
        (symbols.relations, relations, STORE_RELATIONS_MAX, "STORE_RELATIONS_MAX"),
    ):
        if len(known) + sum(text not in known for text in more) > most:
            raise LimitError(f"the models of the store have more than {most} names in all ({name})")


# ---- as the log and snapshots keep it ----


def model_source(model: Model) -> str:
    """A model as JSON text: what the log keeps."""
    return json.dumps(to_json(model), ensure_ascii=False, separators=(",", ":"))


def stored_model(symbols: SymbolTable, model_id: str, source: str) -> Compiled:
    """Compile a model that the log keeps. It was valid when it was written; StoreError where it is not, or where it needs more than its symbols."""
    mark = symbols.mark()
    try:
        model = load(source)
        compiled = compile_model(symbols, model_id, model, conditions_of(model))
    except FgaError as error:
        raise StoreError(f"the stored model {model_id} cannot be read here: {error.message}", code="unknown_record") from error
    if symbols.mark() != mark:
        raise StoreError(f"the stored model {model_id} has other tables than were stored with it", code="corrupt")
    return compiled


def table_row(key: tuple[int, int, Kind, str]) -> list[Any]:
    """A table as payloads and snapshots have it: type, relation; the kind of subject as type, relation of a userset or None, wildcard; condition."""
    type, relation, kind, condition = key
    return [type, relation, *kind, condition]


def model_payload(model_id: str, source: str, symbols: SymbolTable, mark: tuple[int, int, int]) -> list[Any]:
    """The payload of a model: its id and JSON, and the types, relations and tables that it brought, in the order of their numbers."""
    types, relations, tables = symbols.since(mark)
    return [model_id, source, types, relations, [table_row(key) for key in tables]]


def read_model_payload(payload: object) -> tuple[str, str, list[str], list[str], list[list[Any]]]:
    """The parts of such a payload. StoreError `corrupt` where it is none."""
    match payload:
        case [str(model_id), str(source), list(types), list(relations), list(tables)]:
            return model_id, source, types, relations, tables
    raise StoreError("damaged: the shape of a record of a model", code="corrupt")


def add_symbols(symbols: SymbolTable, types: list[Any], relations: list[Any], tables: list[Any]) -> None:
    """Number types, relations and tables as the store did, after those that are known. StoreError `corrupt` where one is known, or is none."""
    for name in types:
        if not isinstance(name, str) or symbols.type(name) != len(symbols.types) - 1:
            raise StoreError("damaged: a type", code="corrupt")
    for name in relations:
        if not isinstance(name, str) or symbols.relation(name) != len(symbols.relations) - 1:
            raise StoreError("damaged: a relation", code="corrupt")
    known_types, known_relations = len(symbols.types), len(symbols.relations)
    for row in tables:
        match row:
            case [int(type), int(relation), int(subject), int() | None as member, bool(wildcard), str(condition)]:
                if not (0 <= type < known_types and 0 <= relation < known_relations and 0 <= subject < known_types):
                    raise StoreError("damaged: a table", code="corrupt")
                if member is not None and not 0 <= member < known_relations:
                    raise StoreError("damaged: a table", code="corrupt")
                if symbols.table(type, relation, (subject, member, wildcard), condition) != len(symbols.tables) - 1:
                    raise StoreError("damaged: a table twice", code="corrupt")
            case _:
                raise StoreError("damaged: a table", code="corrupt")
