"""Files as data: bounded, and as what their text says; whole, or item by item. Every fault has its file and, where there is one, its line.

YAML has the meaning that OpenFGA's tools give it: `yes`, `12:30` and an unquoted timestamp are text, `1e3` is a number. A key that stands twice is a
fault, and so are tags, an alias to what contains it, and aliases that would multiply a small file into a large one.
"""

from __future__ import annotations

import codecs
import io
import json
import math
import re
from collections.abc import Collection, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from fgacore.errors import quote
from fgacore.limits import IMPORT_LINE_BYTES_MAX
from fgacore.store.faults import FileFault

__all__ = ["TEXT_BYTES_MAX", "Document", "Fields", "open_plain", "read_json", "read_text", "read_yaml", "read_yaml_items", "rest_of"]

YAML_BYTES_MAX = 4 << 20  # a reader in Python takes some ten seconds for it; larger sets of tuples are better kept as CSV or JSON
TEXT_BYTES_MAX = 64 << 20  # any other file
DEPTH_MAX = 100  # nesting of YAML, which is read recursively: twice what a question's context may have
NODES_MAX = 2_000_000  # of YAML, each alias counted with all that it stands for

_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True)
class Document:
    """What a file says. `lines` has the line of each mapping and of each block of text by its identity, which holds as long as the document."""

    path: Path
    root: Any
    lines: dict[int, int] = field(default_factory=dict)
    line: int = 0  # of the whole, where it is one line of a file

    def line_of(self, value: object) -> int:
        """The line where a mapping begins, or the first line within a block of text; that of the whole for anything else."""
        return self.lines.get(id(value), self.line)


class Fields:
    """One mapping of a document, taken field by field. A field that is null counts as absent.

    Raises FileFault for what is no mapping, has a key that is not `known`, or lacks a field or has it of another kind.
    """

    def __init__(self, document: Document, value: object, what: str, known: Collection[str], line: int = 0) -> None:
        self._document = document
        self._what = what
        self.line = document.line_of(value) or line
        if not isinstance(value, dict):
            raise self.fault("is not a mapping")
        for key in value:
            if key not in known:
                raise self.fault(f"has an unknown key {quote(key)} (known are {', '.join(known)})")
        self._values = value

    def fault(self, message: str) -> FileFault:
        return FileFault(self._document.path, f"{self._what} {message}", self.line)

    def has(self, key: str) -> bool:
        return self._values.get(key) is not None

    def value(self, key: str) -> Any:
        """Whatever it is; None where it is absent."""
        return self._values.get(key)

    def text(self, key: str) -> str:
        value = self._values.get(key)
        if value is None:
            raise self.fault(f"has no {quote(key)}")
        if not isinstance(value, str):
            raise self.fault(f"has a {quote(key)} that is not a text")
        return value

    def items(self, key: str) -> list[Any]:
        """The items of a list; none where it is absent."""
        value = self._values.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.fault(f"has {quote(key)} that is not a list")
        return value

    def texts(self, key: str) -> list[str]:
        """The items of a list of texts that is not empty."""
        values = self.items(key)
        if not values or not all(isinstance(value, str) for value in values):
            raise self.fault(f"has {quote(key)} that is not a list of texts")
        return values

    def mapping(self, key: str) -> dict[Any, Any] | None:
        value = self._values.get(key)
        if value is not None and not isinstance(value, dict):
            raise self.fault(f"has a {quote(key)} that is not a mapping")
        return value


def read_text(path: Path, bytes_max: int = TEXT_BYTES_MAX) -> str:
    """The text of a plain file, UTF-8 with or without a mark."""
    with open_plain(path) as file:
        return rest_of(path, file, bytes_max)


def open_plain(path: Path) -> BinaryIO:
    """A plain file, open for reading. A pipe or a device is refused: it may never end."""
    try:
        if not path.is_file():
            raise FileFault(path, "is not a plain file" if path.exists() else "does not exist")
        return path.open("rb")
    except OSError as error:
        raise FileFault(path, f"cannot be read: {error.strerror}") from error


def rest_of(path: Path, file: BinaryIO, bytes_max: int = TEXT_BYTES_MAX) -> str:
    """The text of what is left of a file."""
    try:
        data = file.read(bytes_max + 1)
        if len(data) > bytes_max:
            raise FileFault(path, f"is longer than {bytes_max:,} bytes")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise FileFault(path, f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise FileFault(path, "is not UTF-8", data.count(b"\n", 0, error.start) + 1) from error


def read_yaml(path: Path) -> Document:
    """The one document of a YAML file."""
    text = read_text(path, YAML_BYTES_MAX)
    with _yaml_faults(path):
        loader = _Loader(path, text)
        return Document(path, loader.get_single_data(), loader.lines)


def read_yaml_items(path: Path, file: BinaryIO) -> Iterator[Document]:
    """The items of a YAML file that is one list, each as a document. Of any length: one item, and all that anchors name, are held at a time."""
    with _yaml_faults(path):
        yield from _Loader(path, _Text(path, file)).items()


@contextmanager
def _yaml_faults(path: Path) -> Iterator[None]:
    try:
        yield
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise FileFault(path, f"is not YAML as it must be: {error.problem or error.context}", mark.line + 1 if mark else 0) from error
    except yaml.YAMLError as error:  # a character that YAML does not know
        raise FileFault(path, f"is not YAML: {str(error).splitlines()[0]}") from error
    except UnicodeDecodeError as error:
        raise FileFault(path, "is not UTF-8") from error
    except (RecursionError, ValueError) as error:  # merges of merges, and integers of thousands of digits
        raise FileFault(path, "is not YAML as it must be: a value in it is too large") from error


def read_json(path: Path, text: str, line: int = 0) -> Document:
    """The document of a JSON text, which is the whole file or one line of it."""
    try:
        return Document(path, json.loads(text, object_pairs_hook=_unique), line=line)
    except json.JSONDecodeError as error:
        raise FileFault(path, f"is not JSON: {error.msg[:1].lower()}{error.msg[1:]}", line or error.lineno) from error
    except (ValueError, RecursionError) as error:
        reason = "a value in it is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise FileFault(path, f"is not JSON as it must be: {reason}", line) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {quote(next(name for name in found if names.count(name) > 1))} stands twice")
    return found


class _Text(io.TextIOBase):
    """The text of a file, UTF-8 with or without a mark. `taken` counts what was read since it was last set to 0, and is bounded."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self.taken = 0

    def read(self, size: int | None = -1) -> str:
        data = self._file.read(-1 if size is None else size)
        self.taken += len(data)
        if self.taken > IMPORT_LINE_BYTES_MAX:
            raise FileFault(self._path, f"has an item longer than {IMPORT_LINE_BYTES_MAX:,} bytes")
        text = self._decoder.decode(data, final=not data)
        return text if text or not data else self.read(size)  # part of a character is no end


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, with OpenFGA's reading of plain words, and bounded. `lines` is that of a document."""

    def __init__(self, path: Path, text: str | _Text) -> None:
        super().__init__(text)
        self._text = text
        self._path = path
        self.lines: dict[int, int] = {}
        self._depth = 0
        self._count = 0  # of nodes so far, each alias counted with all that it stands for
        self._counts: dict[int, int] = {}  # the same of each node that is complete and has an anchor
        self._kept = 0  # of nodes that anchors keep

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line + 1 if event.start_mark else 0
        before = self._count
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise FileFault(self._path, f"is nested deeper than {DEPTH_MAX}", line)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if not isinstance(event, yaml.AliasEvent):
            self._count += 1
            if getattr(event, "anchor", None) is not None:
                self._counts[id(node)] = self._count - before
                self._kept += self._count - before
        elif id(node) in self._counts:
            self._count += self._counts[id(node)]
        else:
            raise FileFault(self._path, "has an alias for what contains it", line)
        if self._count > NODES_MAX:
            raise FileFault(self._path, f"has more than {NODES_MAX:,} values, an alias counted with all that it stands for", line)
        return node

    def items(self) -> Iterator[Document]:
        """The items of the one document, a list."""
        self.get_event()  # type: ignore[no-untyped-call] # the stream begins
        begin = self.get_event() if self.check_event(yaml.DocumentStartEvent) else None  # type: ignore[no-untyped-call]
        if begin is None or not self.check_event(yaml.SequenceStartEvent):
            raise FileFault(self._path, "is not a list of tuples")
        self.get_event()  # type: ignore[no-untyped-call]
        while not self.check_event(yaml.SequenceEndEvent):
            self._count = 0
            self.lines.clear()
            node = self.compose_node(None, None)
            assert node is not None
            if self._kept > NODES_MAX:
                raise FileFault(self._path, f"has anchors for more than {NODES_MAX:,} values", node.start_mark.line + 1)
            yield Document(self._path, self.construct_document(node), self.lines, node.start_mark.line + 1)
            if isinstance(self._text, _Text):
                self._text.taken = 0
        self.get_event()  # type: ignore[no-untyped-call] # the list ends,
        self.get_event()  # type: ignore[no-untyped-call] # and the document
        if not self.check_event(yaml.StreamEndEvent):
            raise FileFault(self._path, "has another document", self.peek_event().start_mark.line + 1)  # type: ignore[no-untyped-call]

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    raise FileFault(self._path, f"has the key {quote(key.value)} twice in one mapping", key.start_mark.line + 1)
                seen.add((key.tag, key.value))
        return node

    def construct_yaml_map(self, node: yaml.MappingNode) -> Generator[dict[Any, Any], None, None]:
        found: dict[Any, Any] = {}
        self.lines[id(found)] = node.start_mark.line + 1
        yield found
        found.update(self.construct_mapping(node))

    def construct_text(self, node: yaml.ScalarNode) -> str:
        if node.style == "|":
            self.lines[id(node.value)] = node.start_mark.line + 2
        return str(node.value)

    def construct_number(self, node: yaml.ScalarNode) -> float | str:
        """A number with a fraction or an exponent. One that no float can hold stays the text that it is, as for OpenFGA."""
        value = self.construct_yaml_float(node)
        return node.value if math.isinf(value) and re.search(r"\d", node.value) else float(value)


# Nothing is inherited but what turns a scalar or a list into one: any other tag is refused.
_Loader.yaml_constructors = {None: yaml.SafeLoader.yaml_constructors[None]}
_Loader.yaml_implicit_resolvers = {}
for kind in ("null", "bool", "int", "seq"):
    _Loader.add_constructor(_TAG + kind, yaml.SafeLoader.yaml_constructors[_TAG + kind])
_Loader.add_constructor(_TAG + "map", _Loader.construct_yaml_map)
_Loader.add_constructor(_TAG + "float", _Loader.construct_number)
_Loader.add_constructor(_TAG + "str", _Loader.construct_text)
_Loader.add_constructor(_TAG + "timestamp", _Loader.construct_text)
for kind, pattern, first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?(?:0[0-7_]*|[1-9][0-9_]*|0x[0-9a-fA-F_]+|0b[01_]+)", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", "-+.0123456789"),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(_TAG + kind, re.compile(rf"(?:{pattern})\Z"), list(first))
