"""The public suite of the modelling language: each case of it, counted. Messages are ours; what is wrong, and where, is the suite's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from counts import report
from fgacore import language
from fgacore.errors import ModelError, ModelIssue
from fgacore.language.loading import judged
from fgacore.language.model import Model
from fgacore.language.modules import join, read_module_list
from fgacore.language.parse import read
from suites.folder import SUITES, needs_suites

pytestmark = needs_suites

FOLDER = SUITES / "language"
OPENFGA = SUITES / "openfga"
STORES = SUITES / "sample-stores"


def cases(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
    assert found, f"no cases in {name}"
    return found


def issues_of(action: Callable[..., object], *arguments: object) -> tuple[ModelIssue, ...]:
    try:
        action(*arguments)
    except ModelError as error:
        return error.issues
    return ()


def judged_json(form: str) -> None:
    language.validate(language.from_json(form), strict=True)


def rendered(form: str) -> str:
    return language.render(language.from_json(form))


def joined(folder: Path) -> Model:
    return join({path.name: path.read_text() for path in sorted((folder / "module").iterdir())}, strict=True)


def counted(name: str, results: dict[str, bool], note: str = "") -> None:
    report(name, sum(results.values()), len(results), note)
    assert [case for case, held in results.items() if not held] == []


def expected(case: dict[str, Any]) -> list[dict[str, Any]]:
    return case.get("expected_errors") or []


def place(error: dict[str, Any]) -> tuple[int, int]:
    return error["line"]["start"] + 1, error["column"]["start"] + 1


def code(error: dict[str, Any]) -> str | None:
    kind = error.get("metadata", {}).get("errorType")
    return kind.replace("-", "_") if kind else None


def pairs() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for folder in sorted((FOLDER / "transformer").iterdir()):
        yield folder.name, (folder / "authorization-model.fga").read_text(), json.loads((folder / "authorization-model.json").read_text())


def test_text_becomes_the_json_of_its_pair() -> None:
    counted("transformer, DSL to JSON", {name: language.to_json(language.parse(text)) == form for name, text, form in pairs()})


def test_json_becomes_the_text_of_its_pair() -> None:
    counted("transformer, JSON to DSL", {name: language.render(language.from_json(form)) == text for name, text, form in pairs()})


def test_text_and_json_of_a_pair_are_one_model() -> None:
    counted("transformer, one model", {name: language.parse(text) == language.from_json(json.dumps(form)) for name, text, form in pairs()})


def test_syntax_cases_are_judged_as_expected_and_on_the_expected_line() -> None:
    """The first fault is compared: after it, upstream's recovery and ours go on at different places."""
    results: dict[str, bool] = {}
    columns = faulty = 0
    for index, case in enumerate(cases("dsl-syntax-validation-cases.yaml")):
        found, wanted = issues_of(language.parse, case["dsl"]), expected(case)
        held = bool(found) == bool(wanted)
        if found and wanted:
            faulty += 1
            held = found[0].line == place(wanted[0])[0]
            columns += (found[0].line, found[0].column) == place(wanted[0])
        results[f"{index} {case['name']}"] = held
    counted("syntax", results, f"{faulty} of them faulty, the first fault on the same column in {columns}")


def test_semantic_cases_are_judged_by_code_line_and_symbol() -> None:
    results: dict[str, bool] = {}
    skipped = columns = faulty = 0
    for index, case in enumerate(cases("dsl-semantic-validation-cases.yaml")):
        if case.get("skip"):
            skipped += 1
            continue
        source = read(case["dsl"])
        judged(source, strict=True)
        found, wanted = source.issues.found, expected(case)
        held = sorted((issue.code, issue.line) for issue in found) == sorted((code(error) or "", place(error)[0]) for error in wanted)
        symbols = sorted(error["metadata"]["symbol"] for error in wanted if "symbol" in error["metadata"])
        if held and symbols:
            held = symbols == sorted(issue.symbol for issue in found)
        faulty += bool(wanted)
        columns += bool(wanted) and sorted((issue.line, issue.column) for issue in found) == sorted(map(place, wanted))
        results[f"{index} {case['name']}"] = held
    counted("semantic", results, f"{skipped} more marked skip; of {faulty} faulty ones {columns} on the same columns")


def test_json_cases_are_judged_by_code_and_symbol() -> None:
    results = {}
    for case in cases("json-validation-cases.yaml"):
        found = issues_of(judged_json, case["json"])
        wanted = sorted((code(error), error["metadata"]["symbol"]) for error in expected(case))
        results[case["name"]] = sorted((issue.code, issue.symbol) for issue in found) == wanted
    counted("json validation", results)


def test_json_that_the_language_cannot_write_is_refused() -> None:
    results = {}
    for case in cases("json-syntax-transformer-validation-cases.yaml"):
        found = issues_of(rendered, case["json"])
        results[case["name"]] = not found if case.get("valid", True) else [issue.code for issue in found] == ["not_expressible"]
    counted("json to DSL", results)


def test_object_ids_are_judged_as_expected() -> None:
    counted(
        "object ids",
        {case["name"]: language.valid_object_id(case["object_id"]) == case["valid"] for case in cases("object-id-validation-cases.yaml")},
    )


def test_module_lists_are_read_with_their_places() -> None:
    results = {}
    for case in cases("fga-mod-transformer-cases.yaml"):
        found = issues_of(read_module_list, case["modFile"])
        held = sorted((issue.line, issue.column) for issue in found) == sorted(map(place, expected(case)))
        if "json" in case:
            wanted = json.loads(case["json"])
            listed = read_module_list(case["modFile"])
            held = held and (listed.schema, listed.schema_position) == (wanted["schema"]["value"], place(wanted["schema"]))
            held = held and list(listed.contents) == [(item["value"], place(item)) for item in wanted["contents"]["value"]]
        results[case["name"]] = held
    counted("fga.mod", results)


def module_cases() -> Iterator[Path]:
    yield from sorted((FOLDER / "transformer-module").iterdir())


def test_modules_become_the_model_of_their_case() -> None:
    results = {}
    for folder in module_cases():
        if not (folder / "authorization-model.json").exists():
            continue
        form = json.loads((folder / "authorization-model.json").read_text())
        model = language.from_json(form)
        held = language.from_json(language.to_json(model)) == model
        names = {item.module for item in (*model.types.values(), *model.conditions.values())}
        names |= {relation.module for definition in model.types.values() for relation in definition.relations.values()}
        held = held and sorted(names - {""}) == json.loads((folder / "expected_modules.json").read_text())
        if (folder / "module").is_dir():
            made = joined(folder)
            held = held and made == model and language.render(made) == (folder / "combined.fga").read_text()
            held = held and language.render(made, sources=True) == (folder / "combined-sourceinfo.fga").read_text()
        results[folder.name] = held
    counted("modules", results)


def test_faults_of_modules_are_told_with_their_file_and_place() -> None:
    results = {}
    for folder in module_cases():
        if not (folder / "expected_errors.json").exists():
            continue
        found = issues_of(joined, folder)
        wanted = sorted(json.loads((folder / "expected_errors.json").read_text()), key=lambda error: (error["file"], place(error)))
        ours = sorted(found, key=lambda issue: (issue.file, issue.line, issue.column))
        held = [(issue.file, issue.line, issue.column) for issue in ours] == [(error["file"], *place(error)) for error in wanted]
        held = held and all(code(error) in (None, issue.code) for error, issue in zip(wanted, ours, strict=True))
        results[folder.name] = held
    counted("modules with faults", results)


def test_models_of_store_files_are_valid_where_there_is_one() -> None:
    results = {}
    for folder in sorted((FOLDER / "stores").iterdir()):
        store = yaml.safe_load((folder / "store.fga.yaml").read_text())
        if "model" in store:
            results[folder.name] = bool(language.load(store["model"]).types)
        elif "model_file" in store:
            results[folder.name] = bool(language.load(folder / store["model_file"]).types)
    counted("models of store files", results, "02-missing-model has none")


def test_models_that_the_server_takes_are_taken() -> None:
    results = {}
    for path in sorted(OPENFGA.glob("*.yaml")):
        for case in yaml.safe_load(path.read_text())["tests"]:
            for index, stage in enumerate(case["stages"]):
                results[f"{path.stem} {case['name']} {index} {len(results)}"] = bool(language.load(stage["model"]).types)
    for path in sorted(STORES.rglob("*.fga.yaml")):
        store = yaml.safe_load(path.read_text())
        source = store.get("model") or path.parent / store["model_file"]
        results[f"store {path.relative_to(STORES)}"] = bool(language.load(source).types)
    for path in sorted(STORES.rglob("model.fga")):
        results[f"model {path.relative_to(STORES)}"] = bool(language.load(path).types)
    counted("models that the server takes", results)


def test_models_that_the_server_takes_read_back_from_text_and_from_json() -> None:
    results = {}
    for path in sorted(OPENFGA.glob("*.yaml")):
        for case in yaml.safe_load(path.read_text())["tests"]:
            for stage in case["stages"]:
                model = language.parse(stage["model"])
                held = language.parse(language.render(model)) == model and language.from_json(json.dumps(language.to_json(model))) == model
                results[f"{path.stem} {case['name']} {len(results)}"] = held
    counted("models that read back", results)
