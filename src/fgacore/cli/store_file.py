"""A `store.fga.yaml`: a model, tuples, and tests with assertions; the file that OpenFGA's own command line reads.

It only reads. What the file names lies in its folder or below, unless the caller allows otherwise, and is a plain file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fgacore.errors import quote
from fgacore.store.documents import Document, Fields, read_yaml
from fgacore.store.faults import FileFault
from fgacore.store.transfer import read_file
from fgacore.store.tuple_files import PlacedTuple, placed_tuple
from fgacore.tuples import Tuple

__all__ = ["Assertion", "Store", "StoreTest", "read_store"]

ASSERTIONS_MAX = 1_000_000  # of one file: lists of users and objects multiply

_TUPLES = ("tuples", "tuple_file", "tuple_files")
_STORE = ("name", "model", "model_file", *_TUPLES, "tests")
_TEST = ("name", "description", *_TUPLES, "check", "list_objects", "list_users")
_TRUE, _FALSE = ("true", "yes", "on", "y"), ("false", "no", "off", "n")  # words of YAML 1.1, which OpenFGA's tools take where a bool must stand


@dataclass(frozen=True, slots=True)
class Assertion:
    """A question about one relation and the answer it must have.

    kind: `check`, `list_objects` or `list_users`. The lists have the names that are `expected`, and a type in place of an object, or the kinds of
    subject asked for, with commas between them, in place of a subject.
    """

    kind: str
    subject: str
    relation: str
    object: str
    expected: bool | tuple[str, ...]
    context: Mapping[str, Any] | None
    line: int

    def __str__(self) -> str:
        return f"{self.kind} {self.subject} {self.relation} {self.object}"


@dataclass(frozen=True, slots=True)
class StoreTest:
    """One test: assertions over the tuples of the store and those of its own."""

    name: str
    tuples: list[PlacedTuple]
    assertions: list[Assertion]
    line: int


@dataclass(frozen=True, slots=True)
class Store:
    """A store file with everything it names. `model` is text whose first line is `model_line` of the file (0: not known), or a path."""

    path: Path
    model: str | Path
    model_line: int
    tuples: list[PlacedTuple]
    tests: list[StoreTest]


def read_store(path: Path, *, allow_external_files: bool = False) -> Store:
    """The store in a file. FileFault, with the line, for whatever keeps it from being one."""
    return _Reader(read_yaml(path), allow_external_files).store()


class _Reader:
    def __init__(self, document: Document, allow_external_files: bool) -> None:
        self._document = document
        self._folder = document.path.parent
        self._allow_external_files = allow_external_files
        self._count = 0

    def store(self) -> Store:
        fields = Fields(self._document, self._document.root, "the store", _STORE, 1)
        if fields.has("model") == fields.has("model_file"):
            raise fields.fault("has both a `model` and a `model_file`" if fields.has("model") else "has no `model` and no `model_file`")
        model = fields.text("model") if fields.has("model") else self._file(fields, fields.text("model_file"))
        tests = [self._test(item, number, fields.line) for number, item in enumerate(fields.items("tests"), start=1)]
        return Store(self._document.path, model, self._document.line_of(model), self._tuples(fields), tests)

    def _test(self, item: object, number: int, line: int) -> StoreTest:
        fields = Fields(self._document, item, f"test {number}", _TEST, line)
        name = fields.text("name") if fields.has("name") else f"test {number}"
        checks = [assertion for group in fields.items("check") for assertion in self._checks(group, fields.line)]
        objects = [assertion for group in fields.items("list_objects") for assertion in self._list_objects(group, fields.line)]
        users = [assertion for group in fields.items("list_users") for assertion in self._list_users(group, fields.line)]
        return StoreTest(name, self._tuples(fields), checks + objects + users, fields.line)

    def _checks(self, item: object, line: int) -> Iterator[Assertion]:
        fields = Fields(self._document, item, "a check", ("user", "users", "object", "objects", "context", "assertions"), line)
        subjects, objects = self._one_or_many(fields, "user", "users"), self._one_or_many(fields, "object", "objects")
        context, assertions = fields.mapping("context"), self._assertions(fields, len(subjects) * len(objects))
        for subject in subjects:
            for object in objects:
                for relation, expected in assertions.items():
                    said = str(expected).lower() if isinstance(expected, (bool, str)) else ""
                    if said not in _TRUE + _FALSE:
                        raise fields.fault(f"asserts of {quote(relation)} neither true nor false")
                    yield Assertion("check", subject, relation, object, said in _TRUE, context, fields.line)

    def _list_objects(self, item: object, line: int) -> Iterator[Assertion]:
        fields = Fields(self._document, item, "a list of objects", ("user", "type", "context", "assertions"), line)
        subject, type, context = fields.text("user"), fields.text("type"), fields.mapping("context")
        for relation, expected in self._assertions(fields).items():
            if expected is not None and not _are_texts(expected):
                raise fields.fault(f"asserts of {quote(relation)} what is not a list of objects")
            yield Assertion("list_objects", subject, relation, type, tuple(expected or ()), context, fields.line)

    def _list_users(self, item: object, line: int) -> Iterator[Assertion]:
        fields = Fields(self._document, item, "a list of users", ("object", "user_filter", "context", "assertions"), line)
        object, context, kinds = fields.text("object"), fields.mapping("context"), []
        for kind in fields.items("user_filter"):
            parts = Fields(self._document, kind, "a user filter", ("type", "relation"), fields.line)
            kinds.append(parts.text("type") + (f"#{parts.text('relation')}" if parts.has("relation") else ""))
        if not kinds:
            raise fields.fault("has no `user_filter`")
        for relation, expected in self._assertions(fields).items():
            users = [] if expected is None else Fields(self._document, expected, "an assertion", ("users",), fields.line).items("users")
            if not _are_texts(users):
                raise fields.fault(f"asserts of {quote(relation)} what is not a list of users")
            yield Assertion("list_users", ",".join(kinds), relation, object, tuple(users), context, fields.line)

    def _assertions(self, fields: Fields, times: int = 1) -> dict[str, Any]:
        assertions = fields.mapping("assertions")
        if not assertions or not all(isinstance(relation, str) for relation in assertions):
            raise fields.fault("has no `assertions` of relations")
        self._count += times * len(assertions)
        if self._count > ASSERTIONS_MAX:
            raise fields.fault(f"makes more than {ASSERTIONS_MAX:,} assertions of this file")
        return assertions

    def _one_or_many(self, fields: Fields, one: str, many: str) -> list[str]:
        if fields.has(one) == fields.has(many):
            raise fields.fault(f"has both `{one}` and `{many}`" if fields.has(one) else f"has no `{one}` and no `{many}`")
        return [fields.text(one)] if fields.has(one) else fields.texts(many)

    def _tuples(self, fields: Fields) -> list[PlacedTuple]:
        """The tuples that stand in the file, then those of the files that it names."""
        found = [placed_tuple(self._document, item, fields.line) for item in fields.items("tuples")]
        names = [fields.text("tuple_file")] if fields.has("tuple_file") else []
        for name in names + (fields.texts("tuple_files") if fields.has("tuple_files") else []):
            found += self._tuple_file(self._file(fields, name))
        return found

    @staticmethod
    def _tuple_file(path: Path) -> list[PlacedTuple]:
        """The tuples of a file; only of CSV can there be none, under its headers."""
        found = [PlacedTuple(item if isinstance(item, Tuple) else Tuple(*item), path, line) for item, line in read_file(path)]
        if not found and path.suffix != ".csv":
            raise FileFault(path, "holds no tuple")
        return found

    def _file(self, fields: Fields, name: str) -> Path:
        """The path of a file that the store names, followed to its end, so that what is judged is what is read."""
        try:
            folder = self._folder.resolve()
            path = (folder / name).resolve()
        except (OSError, RuntimeError, ValueError) as error:  # a loop of links, or a name that no file can have
            raise fields.fault(f"names a file that cannot be: {quote(name)}") from error
        if not self._allow_external_files and not path.is_relative_to(folder):
            raise fields.fault(f"names a file outside its folder: {quote(name)} (--allow-external-files takes it)")
        if not path.is_file():
            raise fields.fault(f"names a file that is not there, or no plain file: {quote(name)}")
        return self._folder / path.relative_to(folder) if path.is_relative_to(folder) else path


def _are_texts(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)
