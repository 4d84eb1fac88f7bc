"""A model from the module files that an `fga.mod` lists.

Files that `fga.mod` lists stay inside its folder: no absolute path, no `..`, no link out, no encoded separator. Its YAML is read event by event,
without aliases, so that no text grows beyond itself. Every fault carries the file it is in.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from fgacore import limits
from fgacore.errors import LimitError, RequestError, quote
from fgacore.language.issues import Issues
from fgacore.language.model import NOWHERE, Condition, Model, Position, TypeDefinition
from fgacore.language.parse import extended, read
from fgacore.language.validate import find_issues, find_name_issues

__all__ = ["ModuleList", "join", "load_modules", "read_module_list", "read_text"]

_SCHEMA = "1.2"  # the only schema that has modules
_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True, slots=True)
class ModuleList:
    """What an `fga.mod` says: its schema and the files, in its order, each with its place in the text."""

    schema: str
    contents: tuple[tuple[str, Position], ...]
    schema_position: Position


def load_modules(path: os.PathLike[str], *, strict: bool = False) -> Model:
    """Read, join and validate the module files that an `fga.mod` lists. `path` is that file or its folder."""
    where = Path(os.fsdecode(path))
    if where.is_dir():
        where /= "fga.mod"
    folder = where.parent.resolve()
    listed = read_module_list(read_text(where, where), where.name)
    issues = Issues(where.name)
    texts: dict[str, str] = {}
    size = 0
    for name, position in listed.contents:
        try:
            texts[name] = read_text(_inside(folder, name), where)
        except _NotReadable as fault:
            issues.add("module_not_readable", f"module file {quote(name)} {fault}", position, name)
        else:
            size += len(texts[name])
            if size > limits.MODEL_BYTES_MAX:  # together they are one model
                raise LimitError(f"the modules are longer than {limits.MODEL_BYTES_MAX} bytes together (MODEL_BYTES_MAX)")
    issues.raise_found()
    return join(texts, strict=strict)


def join(texts: dict[str, str], *, strict: bool = False) -> Model:
    """One validated model of schema 1.2 from the texts of module files, by their names.

    A type is defined once; `extend type` adds relations to it from any file.
    """
    issues = Issues()
    types: dict[str, TypeDefinition] = {}
    conditions: dict[str, Condition] = {}
    extensions: dict[str, list[TypeDefinition]] = {}
    relation_count = 0
    broken = False
    for file, text in texts.items():
        try:
            source = read(text, file)
        except LimitError as error:
            raise LimitError(f"{file}: {error.message}") from None
        for issue in source.issues.found:
            issues.add(issue.code, issue.message, (issue.line, issue.column), issue.symbol, file)
        broken = broken or source.issues.has("syntax_error")
        if not source.module:
            if not source.issues.found:
                issues.add("not_a_module", "a file of an `fga.mod` begins with `module` and a name", (1, 1), "", file)
            broken = True
            continue
        for definition in source.types.values():
            if definition.name in types:
                message = f"type {quote(definition.name)} is defined in {quote(types[definition.name].file)} already"
                issues.add("duplicated_error", message, definition.position, definition.name, file)
            types.setdefault(definition.name, definition)
            relation_count += len(definition.relations)
        for condition in source.conditions.values():
            if condition.name in conditions:
                message = f"condition {quote(condition.name)} is defined in {quote(conditions[condition.name].file)} already"
                issues.add("duplicated_error", message, condition.position, condition.name, file)
            conditions.setdefault(condition.name, condition)
        for extension in source.extensions.values():
            extensions.setdefault(extension.name, []).append(extension)
            relation_count += len(extension.relations)
        _bound(len(types), relation_count, len(conditions))
    for name, found in extensions.items():
        if name in types:
            types[name] = extended(types[name], found, issues)
            continue
        for extension in found:
            message = f"type {quote(name)} is extended but not defined in any module"
            issues.add("missing_definition", message, extension.position, name, extension.file)
    model = Model(_SCHEMA, types, conditions)
    if broken:
        find_name_issues(model, issues)
    else:
        find_issues(model, issues, strict=strict)
    issues.raise_found()
    return model


def _bound(types: int, relations: int, conditions: int) -> None:
    for count, limit, what, bound in (
        (types, limits.MODEL_TYPES_MAX, "types", "MODEL_TYPES_MAX"),
        (relations, limits.MODEL_RELATIONS_MAX, "relations", "MODEL_RELATIONS_MAX"),
        (conditions, limits.MODEL_CONDITIONS_MAX, "conditions", "MODEL_CONDITIONS_MAX"),
    ):
        if count > limit:
            raise LimitError(f"the modules have more than {limit} {what} ({bound})")


# Files


class _NotReadable(Exception):
    """A file that `fga.mod` lists cannot be read; the message ends a sentence."""


def _inside(folder: Path, name: str) -> Path:
    """The file of that name, links followed, if it is inside the folder."""
    try:
        found = (folder / name).resolve(strict=True)
    except (OSError, ValueError, RuntimeError):
        raise _NotReadable("does not exist") from None
    if not found.is_relative_to(folder):
        raise _NotReadable("is outside the folder of `fga.mod`")
    return found


def read_text(path: Path, given: Path) -> str:
    """The text of a regular file of bounded size. `given` is the path the caller gave: if it is this one, the caller is at fault."""
    try:
        if path.exists() and not path.is_file():
            raise OSError("not a regular file")  # asked first, since opening a pipe would wait for its writer
        with path.open("rb") as file:
            data = file.read(limits.MODEL_BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        if path is given:
            raise RequestError(f"cannot read {quote(str(path))}: {reason}") from None
        raise _NotReadable(f"cannot be read: {reason}") from None
    if len(data) > limits.MODEL_BYTES_MAX:
        raise LimitError(f"{quote(path.name)} is longer than {limits.MODEL_BYTES_MAX} bytes (MODEL_BYTES_MAX)")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        Issues(path.name).fail("syntax_error", "the file is not UTF-8", (line, error.start - data.rfind(b"\n", 0, error.start)))


# fga.mod


def read_module_list(text: str, file: str = "fga.mod") -> ModuleList:
    """Read the text of an `fga.mod`; ModelError with every fault in it."""
    issues = Issues(file)
    if len(text) > limits.MODEL_BYTES_MAX:
        raise LimitError(f"{quote(file)} is longer than {limits.MODEL_BYTES_MAX} bytes (MODEL_BYTES_MAX)")
    fields = _fields(text, issues)
    schema, schema_position = "", (1, 1)
    if "schema" not in fields:
        issues.add("schema_version_required", "`schema` is missing", (1, 1))
    else:
        value = fields["schema"]
        schema_position = value.position
        if value.kind != "str":
            issues.add("syntax_error", f"`schema` is text such as `'1.2'`, found {value}", value.position)
        elif value.text != _SCHEMA:
            issues.add("invalid_schema", f"schema version {value} has no modules, only `{_SCHEMA}` has", value.position, value.text)
        schema = value.text
    contents: list[tuple[str, Position]] = []
    if "contents" not in fields:
        issues.add("syntax_error", "`contents` is missing", (1, 1))
    elif fields["contents"].items is None:
        value = fields["contents"]
        issues.add("syntax_error", f"`contents` is a list of files, found {value}", value.position)
    else:
        contents = list(_contents(fields["contents"].items, issues))
    issues.raise_found()
    return ModuleList(schema, tuple(contents), schema_position)


def _contents(items: list[_Value], issues: Issues) -> Iterator[tuple[str, Position]]:
    if len(items) > limits.MODULE_FILES_MAX:
        raise LimitError(f"`contents` lists more than {limits.MODULE_FILES_MAX} files (MODULE_FILES_MAX)")
    seen: set[str] = set()
    for value in items:
        if value.kind != "str":
            issues.add("syntax_error", f"an item of `contents` is the name of a file, found {value}", value.position)
            continue
        name = value.text.replace("\\", "/")
        fault = _fault(name)
        if not fault and name in seen:
            fault = "is listed twice"
        seen.add(name)
        if fault:
            issues.add("invalid_contents_item", f"module file {value} {fault}", value.position, value.text)
        else:
            yield name, value.position


def _fault(name: str) -> str:
    """What is wrong with the name of a file that `fga.mod` lists, or nothing."""
    if not name.endswith(".fga"):
        return "does not end with `.fga`"
    if not name.isprintable() or unquote(name) != name:
        return "has encoded or unprintable characters"
    parts = name.split("/")
    if name.startswith("/") or _DRIVE.match(name) or ".." in parts:
        return "is not inside the folder of `fga.mod`"
    return ""


@dataclass(slots=True)
class _Value:
    """A value of the YAML: a scalar (`kind` is `str`, `bool`, `int`, …), a list (`items`), or something else."""

    kind: str
    text: str
    position: Position
    items: list[_Value] | None = None

    def __str__(self) -> str:
        return quote(self.text) if self.text else f"a {self.kind}"


def _fields(text: str, issues: Issues) -> dict[str, _Value]:
    """The keys of a YAML mapping and their values. Deeper values are passed over, not kept."""
    yaml: Any = import_module("yaml")  # here, so that who has no `fga.mod` does not wait for it
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    resolve = yaml.resolver.Resolver().resolve

    def kept(event: Any) -> _Value:
        position = (event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, yaml.ScalarEvent):
            tag = event.tag or resolve(yaml.ScalarNode, event.value, event.implicit)
            return _Value(tag.rpartition(":")[2], event.value, position)
        if isinstance(event, yaml.SequenceStartEvent):
            return _Value("list", "", position, [])
        return _Value("mapping", "", position)

    fields: dict[str, _Value] = {}
    last = _Value("mapping", "", NOWHERE)  # the value at hand, of the key before it
    depth = 0  # of collections around the event at hand
    key: _Value | None = None
    try:
        for event in yaml.parse(text, Loader=loader):
            place = (event.start_mark.line + 1, event.start_mark.column + 1)
            if isinstance(event, yaml.AliasEvent):
                issues.fail("syntax_error", "aliases are not allowed", place)
            if isinstance(event, yaml.DocumentStartEvent) and fields:
                issues.fail("syntax_error", "several documents are not allowed", place)
            if isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if not isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)):
                continue
            if depth == 0 and not isinstance(event, yaml.MappingStartEvent):
                issues.fail("syntax_error", f"expected `schema` and `contents`, found {kept(event)}", place)
            if depth == 1 and key is None:
                key = kept(event)
                if key.kind != "str":
                    issues.fail("syntax_error", f"key {key} is not text", place)
                if key.text in fields:
                    issues.fail("syntax_error", f"key {key} is given twice", place)
            elif depth == 1 and key is not None:
                fields[key.text] = last = kept(event)
                key = None
            elif depth == 2 and last.items is not None and len(last.items) <= limits.MODULE_FILES_MAX:
                last.items.append(kept(event))
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or "a character is not allowed"
        issues.fail("syntax_error", f"not YAML: {reason}", (mark.line + 1, mark.column + 1) if mark is not None else NOWHERE)
    except UnicodeError:  # a lone surrogate
        issues.fail("syntax_error", "not YAML: a character is not allowed")
    return fields
