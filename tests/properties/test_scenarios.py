"""Every hand-made scenario, by the oracle and by every path of the engine, with its tuples unmerged, merged, and half of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from adapters import REFUSED, Adapter, Answer, EngineAdapter, OracleAdapter, Question, Refused, Triple, differences
from oracle import Stored
from properties.scenarios import SCENARIOS, Scenario, Stage, lines, model_text, tuple_lines


class MergedEngine(EngineAdapter):
    """All tuples in the base."""

    def write(self, tuples: Iterable[Stored | Triple]) -> None:
        super().write(tuples)
        self.engine.merge()


class HalfMergedEngine(EngineAdapter):
    """Every second tuple in the base, the others in the delta, and all of them deleted and written again."""

    def write(self, tuples: Iterable[Stored | Triple]) -> None:
        batch = list(tuples)
        super().write(batch[::2])
        self.engine.merge()
        super().write(batch[1::2])
        super().delete(item.key if isinstance(item, Stored) else item for item in batch)
        super().write(batch)


ADAPTERS: dict[str, Callable[[], Adapter]] = {
    "oracle": OracleAdapter,
    "engine": EngineAdapter,
    "engine, merged": MergedEngine,
    "engine, half merged": HalfMergedEngine,
}


def expectations(stage: Stage) -> tuple[list[Question], list[Answer]]:
    pairs: list[tuple[Question, Answer]] = []
    refused = REFUSED if stage.code is None else Refused(frozenset({stage.code}))
    contextual = tuple_lines(stage.contextual)
    for text, answer in ((stage.allowed, True), (stage.denied, False), (stage.refused, refused)):
        pairs += [(Question(*triple, stage.context, contextual), answer) for triple in lines(text)]
    return [question for question, _ in pairs], [answer for _, answer in pairs]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
@pytest.mark.parametrize("name", ADAPTERS)
def test_scenario(name: str, scenario: Scenario) -> None:
    adapter = ADAPTERS[name]()
    faults = []
    for number, stage in enumerate(scenario.stages, start=1):
        adapter.now = stage.at
        if stage.model:
            adapter.write_model(model_text(stage.model))
        adapter.write(tuple_lines(stage.tuples))
        questions, expected = expectations(stage)
        faults += [f"stage {number}, {line}" for line in differences(adapter.ask(questions), questions, expected)]
        # In the other order too: what one question teaches must not bend another.
        faults += [f"stage {number}, backwards, {line}" for line in differences(adapter.ask(questions[::-1]), questions[::-1], expected[::-1])]
    adapter.close()
    assert not faults, "\n".join(faults)


MALFORMED_SUBJECTS = (
    *("", "*", "user", "user:", ":ann", "user:ann:x", "user:an n", "us er:ann", "user:ann\t", "user:ann\n", "user:*x"),
    *("user:*#member", "group:1#", "group:#member", "group:1#member#member", "user:" + "a" * 252, "group:" + "a" * 250 + "#" + "r" * 300),
)
MALFORMED_OBJECTS = (
    *("", "doc", "doc:", ":1", "doc:1:2", "doc:1#viewer", "doc:*", "doc:*1", "doc:1 ", " doc:1"),
    *("doc:" + "a" * 253, "doc:" + "é" * 127),
)
MALFORMED_RELATIONS = ("", "view er", "viewer:", "viewer#", "viewer@", "r" * 51)
MODEL = model_text("type user\ntype group\nmember: [user]\ntype doc\nviewer: [user, user:*, group#member]")


@pytest.mark.parametrize("name", ["oracle", "engine"])
def test_malformed_names_are_refused(name: str) -> None:
    adapter = ADAPTERS[name]()
    adapter.write_model(MODEL)
    adapter.write([("user:*", "viewer", "doc:1")])
    questions = [Question(subject, "viewer", "doc:1") for subject in MALFORMED_SUBJECTS]
    questions += [Question("user:ann", "viewer", name) for name in MALFORMED_OBJECTS]
    questions += [Question("user:ann", relation, "doc:1") for relation in MALFORMED_RELATIONS]
    faults = differences(adapter.ask(questions), questions, [REFUSED] * len(questions))
    adapter.close()
    assert not faults, "\n".join(faults)


UNUSUAL_IDS = ("a@b", "a*", "a/b|c.d+e,f", "é", "e\N{COMBINING ACUTE ACCENT}", "\N{NO-BREAK SPACE}", "名", "😀", "'\"\\", "%", "a" * 252, "é" * 126)


@pytest.mark.parametrize("name", ["oracle", "engine"])
def test_unusual_names_are_compared_as_they_are_written(name: str) -> None:
    adapter = ADAPTERS[name]()
    adapter.write_model(MODEL)
    adapter.write([triple for id_ in UNUSUAL_IDS if len(f"user:{id_}".encode()) <= 256 for triple in [(f"user:{id_}", "viewer", f"doc:{id_}")]])
    pairs = [(f"user:{one}", f"doc:{other}", one == other) for one in UNUSUAL_IDS for other in UNUSUAL_IDS]
    pairs = [(subject, object_name, same) for subject, object_name, same in pairs if max(len(subject.encode()), len(object_name.encode())) <= 256]
    questions = [Question(subject, "viewer", object_name) for subject, object_name, _ in pairs]
    faults = differences(adapter.ask(questions), questions, [same for *_, same in pairs])
    adapter.close()
    assert not faults, "\n".join(faults)
