"""Whatever an author has of a model, to a valid model: the one door for the engine, the server and the command line.

It takes text, JSON as text or as a dict, or a path, and never takes text for a path. The faults of form and of meaning come out together.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fgacore.errors import RequestError
from fgacore.language.issues import Issues
from fgacore.language.json import read_json
from fgacore.language.model import Model
from fgacore.language.modules import load_modules, read_text
from fgacore.language.parse import Source, read
from fgacore.language.validate import SCHEMAS, find_issues

__all__ = ["judged", "load", "read_model"]


def load(source: str | Mapping[str, Any] | os.PathLike[str], *, strict: bool = False) -> Model:
    """Read and validate a model: OpenFGA's language or its JSON as str, its JSON as a dict, or a path (`.fga`, `.json`, `fga.mod`).

    ModelError with every fault found. As the server without `strict`: a condition that nothing uses is taken, and JSON without a schema
    version is of schema 1.1.
    """
    if isinstance(source, os.PathLike):
        return read_model(source, strict=strict)
    if isinstance(source, Mapping):
        return load_json(dict(source), strict=strict)
    if isinstance(source, str):
        begins_as_json = source.lstrip("\ufeff \t\r\n").startswith("{")
        return load_json(source, strict=strict) if begins_as_json else load_text(source, strict=strict)
    raise RequestError("a model is text, a dict or a path")


def read_model(path: os.PathLike[str], *, strict: bool = False) -> Model:
    """Read and validate the model in a file: `fga.mod`, `.json`, or the modelling language whatever the file is called otherwise."""
    where = Path(os.fsdecode(path))
    if where.is_dir() or where.name == "fga.mod":
        return load_modules(where, strict=strict)
    text = read_text(where, where)
    return load_json(text, strict=strict, file=where.name) if where.suffix == ".json" else load_text(text, strict=strict, file=where.name)


def load_text(text: str, *, strict: bool, file: str = "") -> Model:
    """The valid model that a text in the modelling language says."""
    source = read(text, file)
    model = judged(source, strict=strict)
    source.issues.raise_found()
    return model


def load_json(source: str | dict[str, Any], *, strict: bool, file: str = "") -> Model:
    """The valid model that JSON says. Without a schema version it is of 1.1, as for the server, except where `strict`."""
    issues = Issues(file)
    model = read_json(source, issues)
    if not model.schema and not strict:
        model = replace(model, schema=SCHEMAS[0])
    find_issues(model, issues, strict=strict)
    issues.raise_found()
    return model


def judged(source: Source, *, strict: bool) -> Model:
    """The model of one text, with the faults of its meaning added to those of its syntax."""
    model = source.model()
    # With a line missing, whatever it defined seems missing too.
    if not source.issues.has("syntax_error"):
        find_issues(model, source.issues, strict=strict)
    return model
