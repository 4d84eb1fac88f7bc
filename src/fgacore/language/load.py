"""Whatever an author has of a model, to a valid model: the one door for the engine, the server and the command line.

It takes text, JSON as text or as a dict, or a path, and never takes text for a path.
"""

from __future__ import annotations

import os
from typing import Any

from fgacore.errors import RequestError
from fgacore.language.model import Model
from fgacore.language.modules import load_json, load_text, read_model

__all__ = ["load"]


def load(source: str | dict[str, Any] | os.PathLike[str], *, strict: bool = False) -> Model:
    """Read and validate a model: OpenFGA's language or its JSON as str, its JSON as dict, or a path (`.fga`, `.json`, `fga.mod`).

    ModelError with every fault found. As the server without `strict`: a condition that nothing uses is taken, and JSON without a schema
    version is of schema 1.1.
    """
    if isinstance(source, os.PathLike):
        return read_model(source, strict=strict)
    if isinstance(source, dict):
        return load_json(source, strict=strict)
    if isinstance(source, str):
        begins_as_json = source.lstrip("\ufeff \t\r\n").startswith("{")
        return load_json(source, strict=strict) if begins_as_json else load_text(source, strict=strict)
    raise RequestError("a model is text, a dict or a path")
