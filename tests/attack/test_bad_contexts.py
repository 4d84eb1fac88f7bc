"""Contexts, conditions and models made to harm: a clear error or the right answer, in bounded time and memory, and never a crash or an allow.

What could kill the interpreter or eat the machine runs in a process of its own, with a limit on its memory and its time.
"""

from __future__ import annotations

import collections
import contextlib
import json
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import pytest

import fgacore
from fgacore import FgaError, LimitError, ModelError, Question, RequestError, Tuple
from fgacore.errors import CODES

MODEL = """
model
  schema 1.1
type user
type group
  relations
    define member: [user, user with low]
type doc
  relations
    define viewer: [user, user with low, user with text, user with tags, user with sizes, group#member]
    define can: viewer but not barred
    define barred: [user with low]
condition low(x: int) {
  x < 10
}
condition text(s: string) {
  s == "good"
}
condition tags(l: list<string>) {
  "good" in l
}
condition sizes(m: map<int>) {
  m["good"] == 1
}
"""
KEY = ("user:low", "viewer", "doc:1")
STORED: list[Any] = [
    Tuple("user:low", "viewer", "doc:1", "low"),
    Tuple("user:text", "viewer", "doc:1", "text"),
    Tuple("user:tags", "viewer", "doc:1", "tags"),
    Tuple("user:sizes", "viewer", "doc:1", "sizes"),
    ("user:plain", "viewer", "doc:1"),
]


@pytest.fixture
def engine() -> Iterator[fgacore.Engine]:
    engine = fgacore.open(":memory:")
    engine.write_model(MODEL)
    engine.write(STORED)
    before = state(engine)
    yield engine
    assert state(engine) == before, "bad input left a trace"
    assert engine.check(*KEY, context={"x": 1}) is True
    assert engine.check(*KEY, context={"x": 11}) is False
    assert engine.check("user:plain", "can", "doc:1") is True
    engine.close()


def state(engine: fgacore.Engine) -> tuple[Any, ...]:
    stats = engine.stats()
    return len(list(engine.read())), stats.revision, stats.models, stats.tuples, stats.names, stats.tables


def refused(call: Callable[[], object], *codes: str, index: int | None = None) -> FgaError:
    """The error that the call raises: of the tree, with a code of its class and a short message that can be printed."""
    with pytest.raises(FgaError) as caught:
        call()
    error = caught.value
    assert error.code in codes, (error.code, str(error))
    assert isinstance(error, CODES[error.code])
    if index is not None:
        assert error.index == index
    assert 0 < len(str(error)) < 2_000
    str(error).encode()
    assert "\n" not in str(error)
    assert "\0" not in str(error)
    return error


def doors(engine: fgacore.Engine, subject: str, context: Any) -> dict[str, Callable[[], object]]:
    """Every way to hand in a context that is read for `subject`."""
    ids = engine.ids("doc", ["1"])

    def batched(questions: list[Any], **options: Any) -> list[bool]:
        result = engine.batch_check(questions, **options)
        if not result.errors:
            return list(result)
        assert list(result.errors) == list(range(len(questions)))
        assert not any(result)
        raise result.errors[0]

    return {
        "check": lambda: engine.check(subject, "can", "doc:1", context=context),
        "check_objects": lambda: engine.check_objects(subject, "can", ["doc:1"] * 3, context=context),
        "check_ids": lambda: engine.check_ids(
            int(engine.ids("user", [subject[5:]])[0]), "can", ids, subject_type="user", object_type="doc", context=context
        ),
        "batch_check": lambda: batched([(subject, "can", "doc:1")] * 2, context=context),
        "Question": lambda: batched([Question(subject, "can", "doc:1", context=context)]),
    }


def granted(answer: Any) -> bool:
    """Whether the answers of a call, one or many, are a yes; those of many must agree."""
    answers = {bool(one) for one in answer} if hasattr(answer, "__iter__") else {answer}
    assert len(answers) == 1
    return bool(answers.pop())


def closed(engine: fgacore.Engine, subject: str, context: Any, *codes: str) -> None:
    """Refused with one of these codes at every door that asks, and at every door that writes."""
    for door, call in doors(engine, subject, context).items():
        error = refused(call, *codes)
        assert error.code in codes, door
    condition = subject[5:]
    refused(lambda: engine.write([Tuple("user:new", "viewer", "doc:new", condition, context)]), *codes, index=0)
    given = [Tuple("user:new", "viewer", "doc:new", condition, context)]
    refused(lambda: engine.check("user:plain", "can", "doc:1", contextual_tuples=given), "invalid_contextual_tuple", "limit_exceeded")


# What is no context


NO_MAPPINGS = [7, 1.5, True, "x", b"x", [("x", 1)], (("x", 1),), {"x"}, object(), [], "", (), False, 0, iter([("x", 1)]), dict]


@pytest.mark.parametrize("bad", NO_MAPPINGS, ids=repr)
def test_a_context_that_is_no_mapping_is_refused(engine: fgacore.Engine, bad: Any) -> None:
    closed(engine, "user:low", bad, "invalid_context", "invalid_request")


@pytest.mark.parametrize("key", [1, None, b"x", ("x",), 1.5, True, "x\0", "\0", "\ud800", "x\udfff"], ids=repr)
def test_a_key_that_is_no_name_is_refused_or_ignored(engine: fgacore.Engine, key: Any) -> None:
    """As a request's unknown key it may be ignored; it is never taken for another key, and never stored."""
    for context in ({key: 1}, {"x": 11, key: 1}, {key: 1, "x": 11}):
        for call in doors(engine, "user:low", context).values():
            with contextlib.suppress(FgaError):
                assert not granted(call())
        refused(lambda context=context: engine.write([Tuple("user:n", "viewer", "doc:n", "low", context)]), "invalid_context", index=0)  # type: ignore[misc]


# Values

NESTED_LIST: list[Any] = []
for _ in range(10_000):
    NESTED_LIST = [NESTED_LIST]
NESTED_DICT: dict[str, Any] = {}
for _ in range(10_000):
    NESTED_DICT = {"good": NESTED_DICT}
OWN_LIST: list[Any] = ["good"]
OWN_LIST.append(OWN_LIST)
OWN_DICT: dict[str, Any] = {"good": 1}
OWN_DICT["self"] = OWN_DICT
MUTUAL: list[Any] = [{"k": None}]
MUTUAL[0]["k"] = MUTUAL

NAN = float("nan")
BAD_VALUES: list[tuple[str, str, Any]] = [  # the subject whose condition reads it, its key, the value
    *(("user:low", "x", bad) for bad in (NAN, float("inf"), float("-inf"), 2**63, -(2**63) - 1, 10**5_000, 1e300, "1e999999999", "9" * 5_000)),
    *(("user:low", "x", bad) for bad in (b"1", bytearray(b"1"), 1j, object(), type, None, [], {}, NESTED_LIST, OWN_LIST, OWN_DICT, lambda: 1)),
    *(("user:text", "s", bad) for bad in ("good\0", "\0", "good\0bad", "\0good", "\ud800", "good\udfff", b"good", ["good"], NESTED_LIST)),
    *(("user:tags", "l", bad) for bad in (["good\0"], ["good", "\0"], ["good", "\ud800"], ["good", None], ["good", 1], ["good", ["good"]], "good")),
    *(("user:tags", "l", bad) for bad in (["good", NESTED_LIST], OWN_LIST, MUTUAL, {"good"}, {"good": 1}, ["good", NAN], range(3))),
    *(("user:sizes", "m", {"good": 1, key: 1}) for key in ("bad\0", "\ud800", 2, None, b"bad")),
    *(("user:sizes", "m", {"good": 1, "bad": bad}) for bad in (2**64, NAN, "x", True, None, [], NESTED_DICT)),
    *(("user:sizes", "m", bad) for bad in ({"good": True}, NESTED_DICT, OWN_DICT)),
]


@pytest.mark.parametrize("number", range(len(BAD_VALUES)))
def test_a_value_that_is_no_value_is_refused_at_every_door(engine: fgacore.Engine, number: int) -> None:
    subject, key, value = BAD_VALUES[number]
    closed(engine, subject, {key: value}, "invalid_context", "limit_exceeded")
    for other in ("user:plain", "user:nobody"):  # for them no condition is read
        for call in (
            lambda other=other: engine.check(other, "can", "doc:1", context={key: value}),
            lambda other=other: engine.check_objects(other, "can", ["doc:1"], context={key: value})[0],
        ):
            try:
                answer = call()
            except FgaError as error:
                code = error.code
            else:
                code = ""
                assert answer is (other == "user:plain")
            assert code in ("", "invalid_context", "limit_exceeded")


ANY_MODEL = {
    "schema_version": "1.1",
    "type_definitions": [
        {"type": "user"},
        {
            "type": "doc",
            "relations": {"viewer": {"this": {}}},
            "metadata": {"relations": {"viewer": {"directly_related_user_types": [{"type": "user", "condition": "loose"}]}}},
        },
    ],
    "conditions": {"loose": {"name": "loose", "expression": "v != v || v == v", "parameters": {"v": {"type_name": "TYPE_NAME_ANY"}}}},
}


def test_a_value_of_any_type_is_a_value_of_some_type() -> None:
    engine = fgacore.open(":memory:")
    engine.write_model(ANY_MODEL)
    engine.write([Tuple("user:a", "viewer", "doc:1", "loose")])
    for good in (None, True, 0, -(2**63), 2**63 - 1, 1.5, "é", [], {}, [1, "a", [None], {"k": {"l": []}}], (1, 2), {"k": None}):
        assert engine.check("user:a", "viewer", "doc:1", context={"v": good}) is True, good
    for bad in (NAN, [NAN], {"k": [1, NAN]}, float("inf"), 2**64, [2**64], -(2**63) - 1, "\0", ["a\0"], {"\0": 1}, {"k": "\ud800"}, {1: 1}):
        refused(lambda bad=bad: engine.check("user:a", "viewer", "doc:1", context={"v": bad}), "invalid_context")
    for bad in ([NESTED_LIST], NESTED_DICT, OWN_LIST, OWN_DICT, MUTUAL, {"k": OWN_DICT}, b"", object(), {1, 2}, 1j, iter(())):
        refused(lambda bad=bad: engine.check("user:a", "viewer", "doc:1", context={"v": bad}), "invalid_context", "limit_exceeded")
        refused(lambda bad=bad: engine.write([Tuple("user:b", "viewer", "doc:1", "loose", {"v": bad})]), "invalid_context", "limit_exceeded")
    assert engine.stats().tuples == 1


# Mappings, texts and numbers that lie


class Lying(dict[str, Any]):
    """A dict that shows one content and holds another."""

    def __getitem__(self, key: str) -> Any:
        return 1

    def get(self, key: str, default: Any = None) -> Any:
        return 1

    def items(self) -> Any:
        return [("x", 1)]

    def keys(self) -> Any:
        return ["x"]

    def __iter__(self) -> Any:
        return iter(["x"])

    def __contains__(self, key: object) -> bool:
        return True

    def __len__(self) -> int:
        return 7


class Sly(Mapping[str, Any]):
    """A mapping whose value is another at each look."""

    def __init__(self, values: list[Any]) -> None:
        self.left = list(values)

    def __getitem__(self, key: str) -> Any:
        if key != "x":
            raise KeyError(key)
        return self.left.pop(0) if len(self.left) > 1 else self.left[0]

    def __iter__(self) -> Iterator[str]:
        return iter(["x"])

    def __len__(self) -> int:
        return 1


class Text(str):
    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return hash("good")

    def __str__(self) -> str:
        return "good"

    def encode(self, *_: Any) -> bytes:
        return b"good"


class Number(int):
    def __lt__(self, other: int) -> bool:
        return True

    def __int__(self) -> int:
        return 1

    def __index__(self) -> int:
        return 1

    def __float__(self) -> float:
        return 1.0

    def __repr__(self) -> str:
        return "1"

    __str__ = __repr__


class Float(float):
    def __int__(self) -> int:
        return 1

    def __float__(self) -> float:
        return 1.0

    def is_integer(self) -> bool:
        return True


def test_a_value_that_lies_counts_for_what_it_is_or_is_refused(engine: fgacore.Engine) -> None:
    for subject, context in (
        ("user:text", {"s": Text("bad")}),
        ("user:tags", {"l": [Text("bad")]}),
        ("user:sizes", {"m": {Text("bad"): 1}}),
        ("user:low", {"x": Number(11)}),
        ("user:low", {"x": Float(11.5)}),
        ("user:low", {Text("y"): 1}),
        ("user:low", Lying(x=11)),
    ):
        for door, call in doors(engine, subject, context).items():
            with contextlib.suppress(FgaError, OverflowError):
                # A mapping has only what its methods give: Lying's x is 1, or 11 where it is read as the dict that it is.
                assert not granted(call()) or isinstance(context, Lying), (door, context)


def test_a_mapping_is_as_good_as_a_dict(engine: fgacore.Engine) -> None:
    for x, answer in ((1, True), (11, False)):
        for context in (
            MappingProxyType({"x": x}),
            collections.OrderedDict(x=x),
            collections.defaultdict(int, x=x),
            collections.UserDict({"x": x}),
            collections.ChainMap({"x": x}, {"x": 99 - x}),
            Sly([x]),
        ):
            assert engine.check(*KEY, context=context) is answer
            assert engine.check_objects("user:low", "can", ["doc:1"] * 3, context=context) == [answer] * 3
            assert list(engine.batch_check([Question(*KEY, context=context)] * 3)) == [answer] * 3
    unset = collections.defaultdict(int)
    refused(lambda: engine.check(*KEY, context=unset), "context_missing")
    assert not unset, "asking is not allowed to fill a context"


def test_a_mapping_that_changes_at_each_look_is_one_context_in_a_call(engine: fgacore.Engine) -> None:
    for values in ([1, 11], [11, 1], [1, "bad"], ["bad", 1], [1, 2**70]):
        result = engine.batch_check([KEY] * 200, context=Sly(values))
        answers = {result.errors[i].code if i in result.errors else result[i] for i in range(200)}
        assert len(answers) == 1, (values, answers)


class Raises:
    """A mapping of one key that raises in one of its methods."""

    def __init__(self, method: str, error: BaseException) -> None:
        self.method, self.error = method, error

    def _maybe(self, method: str) -> None:
        if method == self.method:
            raise self.error

    def __getitem__(self, key: str) -> Any:
        self._maybe("getitem")
        return {"x": 1}[key]

    def __iter__(self) -> Iterator[str]:
        self._maybe("iter")
        return iter(["x"])

    def __len__(self) -> int:
        self._maybe("len")
        return 1

    def keys(self) -> Any:
        self._maybe("keys")
        return ["x"]

    def items(self) -> Any:
        self._maybe("items")
        return [("x", 1)]

    def get(self, key: str, default: Any = None) -> Any:
        self._maybe("get")
        return {"x": 1}.get(key, default)

    def __contains__(self, key: object) -> bool:
        self._maybe("contains")
        return key == "x"


Mapping.register(Raises)


@pytest.mark.parametrize("method", ["getitem", "iter", "len", "keys", "items", "get", "contains"])
@pytest.mark.parametrize("error", [ValueError("no"), KeyError("x"), RecursionError(), MemoryError(), KeyboardInterrupt(), StopIteration()], ids=repr)
def test_a_mapping_that_raises_is_no_allow_for_anybody_else(engine: fgacore.Engine, method: str, error: BaseException) -> None:
    """What it raises comes through or becomes an error of ours; only a method that is not used lets the answer be."""
    context: Any = Raises(method, error)
    answers = []
    for call in doors(engine, "user:low", context).values():
        try:
            answer = call()
        except (FgaError, type(error)):
            answers.append(False)
        else:
            answers.append(True)
            assert granted(answer)
    assert len(answers) == 5
    if method == "getitem" and not any(answers):
        assert engine.check(*KEY, context=Raises("none", error)) is True  # type: ignore[arg-type]
    assert engine.check("user:nobody", "can", "doc:1") is False


def test_a_context_that_writes_while_it_is_read_does_no_harm() -> None:
    engine = fgacore.open(":memory:")
    engine.write_model(MODEL)
    engine.write(STORED)

    class Writing(dict[str, Any]):
        def _write(self) -> None:
            engine.write([("user:w", "member", "group:g")], on_duplicate="ignore")
            engine.write(deletes=[("user:w", "member", "group:g")], on_missing="ignore")
            engine.check("user:plain", "can", "doc:1")

        def __getitem__(self, key: str) -> Any:
            self._write()
            return super().__getitem__(key)

        def items(self) -> Any:
            self._write()
            return super().items()

        def keys(self) -> Any:
            self._write()
            return super().keys()

    for x, answer in ((1, True), (11, False)):
        done: list[Any] = []
        thread = threading.Thread(target=lambda x=x, done=done: done.append(engine.check(*KEY, context=Writing(x=x))), daemon=True)
        thread.start()
        thread.join(20)
        assert not thread.is_alive(), "a context that writes hangs the engine"
        assert done == [answer]


def test_a_context_that_changes_while_it_is_read_does_no_harm(engine: fgacore.Engine) -> None:
    context: dict[str, Any] = {"l": ["bad"] * 100, "x": 11}
    done = threading.Event()

    def change() -> None:
        number = 0
        while not done.is_set():
            number += 1
            context["l"] = ["bad"] * (number % 200)
            context[f"k{number % 50}"] = number
            context.pop(f"k{(number * 7) % 50}", None)
            context["l"].clear()

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(400):
            for subject in ("user:low", "user:tags"):
                with contextlib.suppress(FgaError, RuntimeError):
                    assert engine.check(subject, "can", "doc:1", context=context) is False
                with contextlib.suppress(FgaError, RuntimeError):
                    assert not any(engine.batch_check([(subject, "can", "doc:1")] * 20, context=context))
    finally:
        done.set()
        thread.join()


# Size


def test_a_stored_context_is_bounded(engine: fgacore.Engine) -> None:
    for condition, context in (
        ("text", {"s": "x" * 1_000_000}),
        ("text", {"s": "\U0001f600" * 300_000}),
        ("tags", {"l": ["x"] * 1_000_000}),
        ("tags", {"l": ["x" * 1_000] * 1_000}),
        ("sizes", {"m": {str(i): i for i in range(200_000)}}),
    ):
        refused(lambda: engine.write([Tuple("user:n", "viewer", "doc:n", condition, context)]), "limit_exceeded")  # noqa: B023
        given = [Tuple("user:n", "viewer", "doc:n", condition, context)]
        refused(lambda: engine.check("user:n", "can", "doc:n", contextual_tuples=given), "limit_exceeded", "invalid_contextual_tuple")  # noqa: B023


def test_a_large_request_context_is_read_or_refused(engine: fgacore.Engine) -> None:
    for subject, context in (
        ("user:text", {"s": "x" * 1_000_000}),
        ("user:tags", {"l": ["x"] * 1_000_000}),
        ("user:sizes", {"m": {str(i): i for i in range(100_000)} | {"good": 0}}),
        ("user:low", {"x": 11, **{str(i): i for i in range(100_000)}}),
        ("user:low", {"x": 11, "y": "x" * 10_000_000}),
    ):
        for call in doors(engine, subject, context).values():
            with contextlib.suppress(LimitError):
                assert not granted(call())


def test_numbers_and_texts_of_great_length_are_read_in_no_time(engine: fgacore.Engine) -> None:
    zeros = "0" * 100_000
    small = (zeros + "1", "0." + zeros)
    for value in (*small, "9" * 100_000, "1" + zeros, "1e" + "9" * 1_000, "-" * 100_000, " " * 100_000 + "1"):
        for call in doors(engine, "user:low", {"x": value}).values():
            with contextlib.suppress(FgaError):
                assert granted(call())
                assert value in small, "a number that is none, or is too large, was taken"


# What runs alone

PREAMBLE = """
import faulthandler, resource, sys, time
faulthandler.enable()
limit = {megabytes} << 20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
import fgacore
from fgacore import FgaError, LimitError, ModelError, Question, RequestError, Tuple

def typed(parameters, expression):
    engine = fgacore.open(":memory:")
    engine.write_model("model\\n  schema 1.1\\ntype user\\n"
        "type group\\n  relations\\n    define member: [user with c, group#member with c]\\n"
        "type doc\\n  relations\\n    define viewer: [user with c, group#member with c]\\n"
        "condition c(%s) {{\\n  %s\\n}}\\n" % (parameters, expression))
    return engine

def asked(engine, context=None, question=("user:a", "viewer", "doc:1"), **options):
    try:
        return engine.check(*question, context=context, **options)
    except FgaError as error:
        assert 0 < len(str(error)) < 2_000
        return error.code
"""


def alone(script: str, megabytes: int = 3_000, seconds: float = 30) -> str:
    """What the script prints, run in a process of its own, which must end by itself and well."""
    code = PREAMBLE.format(megabytes=megabytes) + textwrap.dedent(script)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=seconds)
    assert run.returncode == 0, (run.returncode, run.stdout[-500:], run.stderr[-2_000:])
    return run.stdout.strip()


def test_deep_and_circular_values_in_every_place() -> None:
    out = alone("""
        engine = typed("l: list<string>, m: map<string>, s: string", "s in l && m.k == s")
        engine.write([Tuple("user:a", "viewer", "doc:1", "c")])
        for depth in (65, 1_000, 10_000, 200_000):
            deep_list, deep_dict, deep_tuple = [], {}, ()
            for _ in range(depth):
                deep_list, deep_dict, deep_tuple = [deep_list], {"k": deep_dict}, (deep_tuple,)
            for value in (deep_list, deep_dict, deep_tuple, [deep_dict], {"k": deep_list}):
                for context in ({"l": value, "m": {}, "s": ""}, {"l": [], "m": value, "s": ""}, {"l": [], "m": {}, "s": value}):
                    assert asked(engine, context) in ("invalid_context", "limit_exceeded"), asked(engine, context)
                    try:
                        engine.write([Tuple("user:b", "viewer", "doc:1", "c", context)])
                    except FgaError as error:
                        assert error.code in ("invalid_context", "limit_exceeded")
                    else:
                        raise AssertionError("stored")
                assert asked(engine, {"l": [], "m": {}, "s": "", "unknown": value}) in (False, "invalid_context", "limit_exceeded")
        wide = [["x"] * 10] * 10
        for _ in range(40):
            wide = [wide, wide]  # two to the fortieth leaves, in eighty objects
        for context in ({"l": wide, "m": {}, "s": ""}, {"l": [], "m": {"k": wide}, "s": ""}, {"l": [], "m": {}, "s": "", "unknown": wide}):
            assert asked(engine, context) in (False, "invalid_context", "limit_exceeded")
        print("well")
    """)
    assert out == "well"


def test_a_value_of_any_type_that_shares_its_parts_is_no_bomb() -> None:
    out = alone(f"""
        import json
        engine = fgacore.open(":memory:")
        engine.write_model(json.loads({json.dumps(json.dumps(ANY_MODEL))}))
        engine.write([Tuple("user:a", "viewer", "doc:1", "loose")])
        wide = ["x"]
        for _ in range(50):
            wide = [wide, wide]
        shared = {{"k": 1}}
        for _ in range(50):
            shared = {{"a": shared, "b": shared}}
        for value in (wide, shared, [wide, shared], "x" * 100_000_000, ["x" * 1_000_000] * 1_000):
            assert asked(engine, {{"v": value}}) in ("invalid_context", "limit_exceeded", True), asked(engine, {{"v": value}})
            try:
                engine.write([Tuple("user:b", "viewer", "doc:1", "loose", {{"v": value}})])
            except FgaError as error:
                assert error.code in ("invalid_context", "limit_exceeded")
            else:
                raise AssertionError("stored")
        print("well")
    """)
    assert out == "well"


def test_an_endless_context_ends() -> None:
    out = alone(
        """
        class Endless(dict):
            def keys(self):
                number = 0
                while True:
                    number += 1
                    yield "k%d" % number
            __iter__ = keys
            def items(self):
                return ((key, 1) for key in self.keys())
            def __len__(self):
                return 2**40
            def __getitem__(self, key):
                return 1
        engine = typed("x: int", "x < 10")
        engine.write([Tuple("user:a", "viewer", "doc:1", "c")])
        answer = asked(engine, Endless(x=1))
        assert answer in (True, "limit_exceeded", "invalid_context", "context_missing"), answer
        try:
            engine.write([Tuple("user:b", "viewer", "doc:1", "c", Endless(x=1))])
        except FgaError as error:
            assert error.code in ("limit_exceeded", "invalid_context"), error.code
        print("well")
    """,
        seconds=10,
    )
    assert out == "well"


def test_catastrophic_regexes() -> None:
    out = alone(r"""
        patterns = [
            "(a+)+$", "(a|aa)+$", "(a|a?)+$", "^(([a-z])+.)+[A-Z]([a-z])+$", "(.*)*x", "(a*)*b", "((a{1,30}){1,30}){1,30}b", "a{1000}{1000}",
            "(", "[", "a**", "(?=a)", r"\1", "(?P<n>a)(?P<n>b)", "x" * 100_000, "(" * 5_000 + ")" * 5_000, "(?i)" * 1_000 + "a",
            r"\p{L}" * 1_000, "a?" * 2_000 + "a" * 2_000,
        ]
        engine = typed("s: string, p: string", "s.matches(p)")
        engine.write([Tuple("user:a", "viewer", "doc:1", "c")])
        for pattern in patterns:
            for text in ("a" * 30 + "!", "a" * 100_000 + "!", ""):
                answer = asked(engine, {"s": text, "p": pattern})
                assert answer in (True, False, "condition_failed", "limit_exceeded"), (pattern[:20], answer)
                if pattern in ("(", "[", "(?=a)", r"\1"):
                    assert answer == "condition_failed", (pattern, answer)
                if pattern in ("(a+)+$", "(a|aa)+$", "(.*)*x") and text:
                    assert answer in (False, "limit_exceeded"), (pattern, answer)
        for pattern in ("(a+)+$", "(a|aa)+$"):
            fixed = typed("s: string", 's.matches("%s")' % pattern)
            fixed.write([Tuple("user:a", "viewer", "doc:1", "c")])
            assert asked(fixed, {"s": "a" * 50_000 + "!"}) in (False, "limit_exceeded")
            assert asked(fixed, {"s": "a" * 1_000}) is True
        print("well")
    """)
    assert out == "well"


def test_condition_bombs_end_in_a_limit_or_an_answer() -> None:
    out = alone("""
        n = 200
        bombs = {
            "l.all(a, l.all(b, l.all(d, a + b + d >= 0)))": True,
            "l.all(a, l.all(b, l.all(d, l.all(e, l.all(f, true)))))": True,
            "l.exists(a, l.exists(b, l.exists(d, l.exists(e, a + b + d + e < 0))))": False,
            "l.map(a, l.map(b, l.map(d, l))).size() >= 0": True,
            "l.filter(a, l.exists_one(b, l.all(d, d == b || d != a))).size() >= 0": True,
            "l.map(a, l + l + l + l).map(a, a + a + a + a).map(a, a + a + a + a).size() > 0": True,
            "(l + l + l + l).map(a, l + l).all(a, a.all(b, a.all(d, true)))": True,
            "l == l && l.all(a, l == l && l.all(b, l == l))": True,
            "l.map(a, string(a) + string(a)).all(a, l.map(b, a + a + a + a + a + a).all(b, b.size() > 0))": True,
        }
        for expression, answer in bombs.items():
            engine = typed("l: list<int>", expression)
            engine.write([Tuple("user:a", "viewer", "doc:1", "c")])
            began = time.monotonic()
            got = asked(engine, {"l": list(range(n))})
            assert got in (answer, "limit_exceeded", "condition_failed"), (expression, got)
            assert time.monotonic() - began < 10, (expression, got)
            assert asked(engine, {"l": [1, 2]}) in (answer, "condition_failed"), (expression, asked(engine, {"l": [1, 2]}))
        text = typed("s: string", "(s + s + s + s + s + s + s + s).size() > 0 && (s + s).contains(s + 'x')")
        text.write([Tuple("user:a", "viewer", "doc:1", "c")])
        assert asked(text, {"s": "a" * 500_000}) in (False, "limit_exceeded")
        print("well")
    """)
    assert out == "well"


def test_the_work_of_a_call_is_bounded_and_not_only_that_of_an_expression() -> None:
    """Eighty thousand evaluations, each within its bound, of two thousand steps: an answer or the limit, in time."""
    out = alone(
        """
        engine = typed("l: list<int>, y: int", "l.all(a, l.all(b, a + b != y))")
        count = 40_000
        engine.write([Tuple("user:a", "member", "group:%d" % i, "c", {"y": 1000 + i}) for i in range(count)])
        engine.write([Tuple("group:%d#member" % i, "viewer", "doc:1", "c", {"y": -1 - i}) for i in range(count)])
        numbers = {"l": list(range(45))}
        began = time.monotonic()
        assert asked(engine, numbers) in (True, "limit_exceeded")
        assert asked(engine, {"l": [500, 500, 0, -1]}) in (True, False, "limit_exceeded")
        objects = ["group:%d" % i for i in range(count)]
        try:
            answers = engine.check_objects("user:a", "member", objects, context=numbers)
        except LimitError:
            answers = [True]
        assert all(answers)
        result = engine.batch_check([("user:a", "member", name) for name in objects], context=numbers)
        assert all(result[i] or result.errors[i].code == "limit_exceeded" for i in range(count))
        assert time.monotonic() - began < 45, time.monotonic() - began
        few = engine.check_objects("user:a", "member", objects[:100], context={"l": [1]})
        assert few == [True] * 100
        print("well")
    """,
        seconds=90,
    )
    assert out == "well"


def test_a_question_that_hangs_on_no_condition_evaluates_none() -> None:
    """Whatever a hundred thousand conditions say, who is in none of the groups is no viewer, and who is one anyway is one."""
    out = alone("""
        engine = typed("l: list<int>, y: int", "l.all(a, l.all(b, a + b != y))")
        engine.write([Tuple("group:%d#member" % i, "viewer", "doc:1", "c", {"y": -1 - i}) for i in range(100_000)])
        engine.write([Tuple("user:a", "viewer", "doc:1", "c", {"l": [1], "y": 3})])
        for context in (None, {"l": [1]}, {"l": list(range(90))}):
            assert asked(engine, context, ("user:b", "viewer", "doc:1")) is False
            assert asked(engine, context, ("user:a", "viewer", "doc:1")) is True
        print("well")
    """)
    assert out == "well"


def test_many_evaluations_give_their_memory_back() -> None:
    out = alone("""
        import gc
        engine = typed("s: string, t: timestamp, d: duration, ip: ipaddress, l: list<string>",
            "s.matches('^a+$') && t + d > t && ip.in_cidr('10.0.0.0/8') && l.map(e, e + s).exists(e, e == 'ba')")
        engine.write([Tuple("user:a", "viewer", "doc:%d" % i, "c", {"s": "a", "ip": "10.0.0.%d" % (i % 256)}) for i in range(500)])
        def rss():
            gc.collect()
            return int(open("/proc/self/statm").read().split()[1]) * 4096
        def turn(times):
            for i in range(times):
                context = {"t": "2024-01-01T00:00:%02dZ" % (i % 60), "d": "%ds" % (i + 1), "l": ["b", str(i)]}
                assert engine.check_objects("user:a", "viewer", ["doc:%d" % j for j in range(500)], context=context) == [True] * 500
        turn(20)
        before = rss()
        turn(60)
        grown = rss() - before
        assert grown < 4 << 20, grown
        print("well")
    """)
    assert out == "well"


def test_expressions_built_to_break_a_parser() -> None:
    out = alone(r"""
        broken = [
            "(" * 4_000, "(" * 2_000 + "true" + ")" * 2_000, "[" * 2_000 + "]" * 2_000 + " == []", "!" * 4_001 + "true", "-" * 4_001 + "1 < 0",
            "true" + "&&true" * 600, "true" + "||true" * 600, "x" + "+x" * 1_900 + "<1", "x<1" + "?x<1" * 500 + ":true" * 500,
            "'" + "a" * 4_000, "'\\", "\"\"\"", "r'\\'", "/*", "// x", "x." + "a." * 1_900 + "b", "x" + "[0]" * 1_000,
            "{1:" * 600 + "1" + "}" * 600 + " == {}", "[[1]]" + ".map(a,a)" * 400 + " == []", "0x" + "f" * 4_000 + " > 0",
            "9" * 4_000 + " > 0", "1e" + "9" * 4_000 + " > 0.0", "'\\U0010FFFF' == '\\ud800'", "b'\\xff' == b''",
            "\x01", "\x7f", "x < 10\r", "true\f", "\ufeff true", "x\u00a0< 10",
        ]
        for expression in broken:
            for limit in (None, 4_096):
                text = expression if limit is None else expression[:limit]
                try:
                    engine = typed("x: int", text)
                except ModelError as error:
                    assert error.issues
                    assert 0 < len(str(error)) < 10_000
                except LimitError:
                    pass
                else:
                    engine.write([Tuple("user:a", "viewer", "doc:1", "c")])
                    answer = asked(engine, {"x": 1})
                    assert answer in (True, False, "condition_failed", "limit_exceeded"), (text[:30], answer)
        print("well")
    """)
    assert out == "well"


def test_a_model_full_of_conditions_and_one_too_many() -> None:
    out = alone("""
        def text(count, parameters=1):
            names = ", ".join("p%d: int" % i for i in range(parameters))
            restrictions = ", ".join("user with c%d" % i for i in range(count))
            conditions = "".join("condition c%d(%s) {\\n  p0 < %d\\n}\\n" % (i, names, i) for i in range(count))
            return "model\\n  schema 1.1\\ntype user\\ntype doc\\n  relations\\n    define viewer: [%s]\\n%s" % (restrictions, conditions)
        engine = fgacore.open(":memory:")
        engine.write_model(text(100))
        engine.write([Tuple("user:%d" % i, "viewer", "doc:1", "c%d" % i) for i in range(100)])
        for x in (0, 50, 99):
            answers = engine.batch_check([("user:%d" % i, "viewer", "doc:1") for i in range(100)], context={"p0": x})
            assert list(answers) == [x < i for i in range(100)]
        for count, parameters in ((101, 1), (1_000, 1), (10_000, 1), (1, 101), (1, 10_000)):
            try:
                fgacore.open(":memory:").write_model(text(count, parameters))
            except (LimitError, ModelError) as error:
                assert 0 < len(str(error)) < 10_000
            else:
                raise AssertionError((count, parameters))
        many = fgacore.open(":memory:")
        many.write_model(text(1, 100))
        many.write([Tuple("user:0", "viewer", "doc:1", "c0", {"p%d" % i: i for i in range(1, 100)})])
        assert asked(many, {"p0": -1}, ("user:0", "viewer", "doc:1")) is True
        assert asked(many, {}, ("user:0", "viewer", "doc:1")) == "context_missing"
        for _ in range(5):
            engine.write_model(text(100))
        assert engine.check("user:99", "viewer", "doc:1", context={"p0": 98}) is True
        print("well")
    """)
    assert out == "well"


# Models at fault

HEAD = """model
  schema 1.1
type user
type doc
  relations
    define viewer: [user with c]
"""


def faulty(*conditions: str) -> ModelError:
    engine = fgacore.open(":memory:")
    with pytest.raises(ModelError) as caught:
        engine.write_model(HEAD + "\n".join(conditions) + "\n")
    assert engine.stats().models == 0
    for issue in caught.value.issues:
        assert "\n" not in issue.message, issue
        assert "<input>" not in issue.message, issue
    return caught.value


def test_a_condition_at_fault_is_shown_with_line_and_column() -> None:
    for lines, line, columns in [
        (["condition c(x: int) {", "  y < 10", "}"], 8, (3, 3)),
        (["condition c(x: int) {", "  x < 10 && yy < 10", "}"], 8, (13, 13)),
        (["condition c(x: int) {", "  x < 10 &&", "    x > z", "}"], 9, (9, 9)),
        (["condition c(x: int) {", "", "  x <", "}"], 9, (1, 7)),
        (["condition c(x: int) {", "  x < 'a'", "}"], 8, (3, 9)),
        (["condition c(x: int) {", "  x", "}"], 8, (1, 4)),
        (["condition c(x: int) {", "  x + 1", "}"], 8, (1, 8)),
        (["condition c(x: int) {", "  'true'", "}"], 8, (1, 9)),
        (["condition c(x: int) {", "  [true]", "}"], 8, (1, 9)),
        (["condition c(x: int) {", "  x == 1.0", "}"], 8, (3, 11)),
        (["condition c(x: int) {", "  x < 10u", "}"], 8, (3, 11)),
        (["condition c(x: int) {", "  x.y == 1", "}"], 8, (3, 11)),
        (["condition c(x: int) {", "  x.size() > 1", "}"], 8, (3, 15)),
        (["condition c(x: int) {", "  now() > timestamp('2024-01-01T00:00:00Z')", "}"], 8, (3, 44)),
        (["condition c(s: string) {", "  s == 'é\U0001f600' && t == 'x'", "}"], 8, (16, 16)),
        (["condition c(s: string) {", "  s.in_cidr('10.0.0.0/8')", "}"], 8, (3, 26)),
        (["condition c(ip: ipaddress) {", "  ip == '10.0.0.1'", "}"], 8, (3, 19)),
        (["condition c(ip: ipaddress) {", "  ip.in_cidr(10)", "}"], 8, (3, 17)),
        (["condition c(l: list<string>) {", "  l.exists(e, e == 1)", "}"], 8, (3, 22)),
        (["condition c(l: list<string>) {", "  l.exists(e, f == 'a')", "}"], 8, (15, 15)),
        (["condition c(t: timestamp) {", "  t + t > t", "}"], 8, (3, 12)),
        (["condition c(x: int) {  y < 10", "}"], 7, (24, 24)),
    ]:
        error = faulty(*lines)
        assert error.code == "invalid_condition", (lines, error)
        assert error.line == line, (lines, error.line, str(error))
        assert columns[0] <= error.column <= columns[1], (lines, error.column, str(error))


def test_every_condition_at_fault_is_reported() -> None:
    expressions = {"c": "x", "d": "y < 1", "e": "x < 1", "f": "x <<"}
    error = faulty(*(f"condition {name}(x: int) {{\n  {expression}\n}}" for name, expression in expressions.items()))
    assert {issue.line for issue in error.issues if issue.code == "invalid_condition"} == {8, 11, 17}


def test_a_condition_at_fault_in_json_is_refused_too() -> None:
    model = json.loads(json.dumps(ANY_MODEL))
    for expression in ("v +", "", "w == 1", "1", "'true'", "v", " ", "v == v; true", "true\0", "true // \0", "\ud800", "true \ud800"):
        model["conditions"]["loose"]["expression"] = expression
        engine = fgacore.open(":memory:")
        with pytest.raises(ModelError) as caught:
            engine.write_model(model)
        assert engine.stats().models == 0
        assert caught.value.issues
        str(caught.value).encode()


def test_a_model_with_a_broken_condition_changes_nothing() -> None:
    engine = fgacore.open(":memory:")
    engine.write_model(MODEL)
    engine.write(STORED)
    before = state(engine), engine.stats().model_id
    for expression in ("y < 10", "x", "x <"):
        with pytest.raises(ModelError):
            engine.write_model(MODEL.replace("x < 10", expression))
        assert (state(engine), engine.stats().model_id) == before
        assert engine.check(*KEY, context={"x": 1}) is True
    engine.write_model(MODEL.replace("x < 10", "x > 10"))
    assert engine.check(*KEY, context={"x": 1}) is False


def test_strings_are_not_cut_short_anywhere() -> None:
    """A NUL in a text would end it for the library that evaluates: `s == "good"` was true for `good` and then anything."""
    engine = fgacore.open(":memory:")
    model = MODEL.replace('s == "good"', 's == "good" || s.matches("^good$")')
    engine.write_model(model.replace('"good" in l', '"good" in l || l.map(e, e).exists(e, e == "good")'))
    engine.write(STORED)
    for text in ("good\0", "good\0bad", "\0", "\0good", "good\0" * 100):
        refused(lambda text=text: engine.check("user:text", "can", "doc:1", context={"s": text}), "invalid_context")
        refused(lambda text=text: engine.check("user:tags", "can", "doc:1", context={"l": ["bad", text]}), "invalid_context")
        refused(lambda text=text: engine.check("user:sizes", "can", "doc:1", context={"m": {text: 1}}), "invalid_context")
    for text in ("good ", "goo", "good\x01", "good\u200b", "\u0261ood", "GOOD", "good\n"):
        assert engine.check("user:text", "can", "doc:1", context={"s": text}) is False, text
        assert engine.check("user:tags", "can", "doc:1", context={"l": [text]}) is False, text
    assert engine.check("user:text", "can", "doc:1", context={"s": "good"}) is True


def test_an_engine_without_conditions_takes_any_context() -> None:
    """Where nothing reads it a context decides nothing, but a thing that is no context is still an error of the caller."""
    engine = fgacore.open(":memory:")
    engine.write_model("model\n  schema 1.1\ntype user\ntype doc\n  relations\n    define viewer: [user]\n")
    engine.write([("user:a", "viewer", "doc:1")])
    for context in ({}, {"x": 1}, {"x": "y" * 1_000}, {"a": [1, {"b": None}]}):
        assert engine.check("user:a", "viewer", "doc:1", context=context) is True
        assert engine.check("user:b", "viewer", "doc:1", context=context) is False
    with pytest.raises(RequestError) as caught:
        engine.write([Tuple("user:b", "viewer", "doc:1", "low")])
    assert caught.value.code == "condition_not_found"
