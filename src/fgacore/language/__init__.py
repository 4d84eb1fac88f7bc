"""From the text of a model to its meaning: scan and parse, validate, render, modules, and compile to the kernel's plan."""

from fgacore.language.json import from_json, to_json
from fgacore.language.loading import load, read_model
from fgacore.language.modules import load_modules
from fgacore.language.parse import parse
from fgacore.language.render import render
from fgacore.language.validate import valid_object_id, validate

__all__ = ["from_json", "load", "load_modules", "parse", "read_model", "render", "to_json", "valid_object_id", "validate"]
