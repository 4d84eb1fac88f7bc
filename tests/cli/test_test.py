"""`fgacore test`: outcomes, exit statuses, the report for people and the one for build servers, and every sample store of OpenFGA."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

import fgacore
from fgacore.cli import main, store_tests
from fgacore.errors import InternalError
from suites.folder import SUITES, needs_suites
from suites.sample_stores import find_stores, load_store
from suites.tally import Tally

MODEL = """\
model: |
  model
    schema 1.1
  type user
  type doc
    relations
      define viewer: [user]
"""
STORE = (
    MODEL
    + """\
tuples:
  - {user: "user:anne", relation: viewer, object: "doc:1"}
tests:
"""
)
PASSING = "  - {name: anne views, check: [{user: 'user:anne', object: 'doc:1', assertions: {viewer: true}}]}\n"
FAILING = "  - {name: bob views, check: [{user: 'user:bob', object: 'doc:1', assertions: {viewer: true}}]}\n"
ERRING = "  - {name: nobody flies, check: [{user: 'user:bob', object: 'doc:1', assertions: {fly: false}}]}\n"
LISTING = "  - {name: anne lists, list_objects: [{user: 'user:anne', type: doc, assertions: {viewer: ['doc:1']}}]}\n"
MISLISTING = "  - {name: bob lists, list_objects: [{user: 'user:bob', type: doc, assertions: {viewer: ['doc:1']}}]}\n"
USERS = "  - {name: who views, list_users: [{object: 'doc:1', user_filter: [{type: user}], assertions: {viewer: {users: ['user:anne']}}}]}\n"
OWN = """\
  - name: bob for once
    tuples: [{user: "user:bob", relation: viewer, object: "doc:1"}, {user: "user:anne", relation: viewer, object: "doc:1"}]
    check: [{users: ["user:bob", "user:anne"], object: "doc:1", assertions: {viewer: true}}]
  - name: and no more
    check: [{user: "user:bob", object: "doc:1", assertions: {viewer: false}}]
"""


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["test", *map(str, arguments)])


def run(folder: Path, tests: str, *arguments: str) -> Result:
    (folder / "store.fga.yaml").write_text(tests if tests.startswith(("model", "- ")) else STORE + tests)
    return invoke(folder / "store.fga.yaml", *arguments)


@pytest.mark.parametrize(
    ("tests", "status", "counts"),
    [
        (PASSING, 0, "1 passed"),
        (PASSING + FAILING, 1, "1 passed, 1 failed"),
        (ERRING, 1, "1 failed"),
        (PASSING + LISTING + USERS, 0, "3 passed"),
        (LISTING + FAILING, 1, "1 passed, 1 failed"),
        (MISLISTING + USERS, 1, "1 passed, 1 failed"),
        (OWN, 0, "3 passed"),
        ("  []\n", 0, "nothing to run"),
        ("- no store\n", 1, "1 error"),
    ],
)
def test_status_and_counts_are_those_of_the_assertions(tests: str, status: int, counts: str, tmp_path: Path) -> None:
    result = run(tmp_path, tests)
    assert result.exit_code == status, result.output
    assert re.search(rf"^1 file: {counts}, in \d+\.\d\d s$", result.output, re.MULTILINE), result.output
    assert re.search(rf"^{'FAIL' if status == 1 else 'ok'} +\S+store\.fga\.yaml  {counts}$", result.output, re.MULTILINE), result.output


def test_a_failure_says_where_what_was_asked_expected_and_answered(tmp_path: Path) -> None:
    output = run(tmp_path, PASSING + FAILING).output
    assert f"{tmp_path}/store.fga.yaml:12  bob views\n    check user:bob viewer doc:1\n    expected true, got false\n" in output
    assert "anne views" not in output


def test_a_question_in_error_is_a_failure_with_its_message(tmp_path: Path) -> None:
    output = run(tmp_path, ERRING).output
    assert "check user:bob fly doc:1\n    expected false, got an error: " in output
    assert "(relation_not_found)\n" in output


def test_verbose_lists_every_assertion(tmp_path: Path) -> None:
    output = run(tmp_path, PASSING + FAILING + LISTING + USERS, "--verbose").output
    for status, text in (
        ("passed", "anne views: check user:anne viewer doc:1"),
        ("failed", "bob views: check user:bob viewer doc:1"),
        ("passed", "anne lists: list_objects user:anne viewer doc"),
        ("passed", "who views: list_users user viewer doc:1"),
    ):
        assert re.search(rf"^ +{status} +{text}$", output, re.MULTILINE), output


def test_filter_runs_tests_by_their_name(tmp_path: Path) -> None:
    result = run(tmp_path, PASSING + FAILING, "--filter", "ANNE")
    assert result.exit_code == 0
    assert "1 file: 1 passed," in result.output


def test_filter_leaves_out_files_without_such_a_test(tmp_path: Path) -> None:
    (tmp_path / "other.fga.yaml").write_text(STORE + FAILING)
    (tmp_path / "store.fga.yaml").write_text(STORE + PASSING)
    output = invoke(tmp_path, "--filter", "anne").output
    assert "other.fga.yaml" not in output
    assert "1 file: 1 passed," in output


def test_filter_that_fits_no_test_is_no_success(tmp_path: Path) -> None:
    result = run(tmp_path, PASSING, "--filter", "nobody")
    assert result.exit_code == 2
    assert "no test with an assertion has 'nobody' in its name" in result.output


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        (MODEL + "      define editor: [nobody]\n", "store.fga.yaml:8", "invalid_type"),
        (STORE.replace("viewer, object", "editor, object"), "store.fga.yaml:9", "relation_not_found"),
        (STORE.replace("user:anne", "anne"), "store.fga.yaml:9", "invalid_subject"),
        (STORE + OWN.replace("user:bob", "group:bob", 1), "store.fga.yaml:12", "type_not_found"),
        ("model_file: m.fga\n", "m.fga:3", "syntax_error"),
        ("model_file: fga.mod\n", "a.fga:2", "invalid_name"),
    ],
)
def test_a_fault_of_model_or_tuples_has_its_file_and_line(text: str, place: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "m.fga").write_text("model\n  schema 1.1\nnonsense\n")
    (tmp_path / "fga.mod").write_text("schema: '1.2'\ncontents: [a.fga]\n")
    (tmp_path / "a.fga").write_text("module a\ntype a!\n")
    result = run(tmp_path, text)
    assert result.exit_code == 1
    found = re.search(rf"^{re.escape(str(tmp_path))}/{place}\n    .*\({message}\)$", result.output, re.MULTILINE)
    assert found or message == "invalid_name", result.output
    assert re.search(rf"^{re.escape(str(tmp_path))}/{place}\n", result.output, re.MULTILINE), result.output


def test_a_fault_in_the_tuples_of_one_test_leaves_the_others_to_run(tmp_path: Path) -> None:
    result = run(tmp_path, OWN.replace("user:bob", "group:bob", 1) + PASSING)
    assert "1 file: 2 passed, 1 error," in result.output


def test_folders_and_patterns_are_searched_and_each_file_is_run_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.fga.yaml", "below/b.fga.yaml", "below/no-store.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(STORE + PASSING)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.fga.yaml").symlink_to("a.fga.yaml")
    for names, count in ((["."], 2), (["**/*.fga.yaml"], 2), (["below"], 1), (["below/no-store.yaml"], 1), ([".", "below", "a.fga.yaml"], 2)):
        assert f"\n{count} file{'s' * (count > 1)}: {count} passed," in invoke(*names).output


@pytest.mark.parametrize("arguments", [(), ("nothing.fga.yaml",), ("empty",), ("*.nothing",), ("--unknown",)])
def test_what_names_no_store_file_is_a_wrong_use(arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert "Usage:" in result.output


def test_external_files_are_read_only_where_the_caller_says_so(tmp_path: Path) -> None:
    (tmp_path / "m.fga").write_text("model\n  schema 1.1\ntype user\ntype doc\n  relations\n    define viewer: [user]\n")
    (tmp_path / "tests").mkdir()
    text = STORE.replace(MODEL, "model_file: ../m.fga\n") + PASSING
    assert "names a file outside its folder: `../m.fga` (--allow-external-files takes it)" in run(tmp_path / "tests", text).output
    assert run(tmp_path / "tests", text, "--allow-external-files").exit_code == 0


def test_a_file_cannot_steer_the_terminal(tmp_path: Path) -> None:
    output = run(tmp_path, FAILING.replace("bob views", '"[red]\\e[31mbob\\r\\n:smile:"'), "-v").output
    assert "\x1b" not in output
    assert "[red]\\x1b[31mbob\\r\\n:smile:" in output


def test_junit_has_a_case_for_each_assertion(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    assert run(tmp_path, PASSING + FAILING + ERRING + MISLISTING, "--junit", str(report)).exit_code == 1
    root = ElementTree.parse(report).getroot()
    (suite,) = root
    for element in (root, suite):
        assert [element.get(name) for name in ("tests", "failures", "errors")] == ["4", "3", "0"]
        assert float(element.get("time", "")) > 0
    assert suite.get("name") == str(tmp_path / "store.fga.yaml")
    told = [(case.get("name"), [(detail.tag, detail.get("message")) for detail in case]) for case in suite]
    assert told[0] == ("anne views: check user:anne viewer doc:1", [])
    assert told[1] == ("bob views: check user:bob viewer doc:1", [("failure", "expected true, got false")])
    assert told[2][1][0][0] == "failure"
    assert "relation_not_found" in str(told[2][1][0][1])
    assert told[3][1] == [("failure", "expected 1 names, got 0: missing doc:1")]
    assert suite[1][0].text == f"{tmp_path}/store.fga.yaml:12"


def test_junit_has_faults_as_errors(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    run(tmp_path, "- no store\n", "--junit", str(report))
    (case,) = ElementTree.parse(report).getroot()[0]
    assert [(detail.tag, detail.get("message")) for detail in case] == [("error", "the store is not a mapping")]


def test_junit_stays_xml_whatever_a_name_holds(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    run(tmp_path, PASSING.replace("anne views", '"<&\'\\"]]>\\0\\x1b\\uFFFE\\ud800é😀"'), "--junit", str(report))
    (case,) = ElementTree.parse(report).getroot()[0]
    assert case.get("name") == "<&'\"]]>\ufffd\ufffd\ufffd\ufffdé😀: check user:anne viewer doc:1"


def test_junit_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    result = run(tmp_path, PASSING, "--junit", str(tmp_path / "nowhere" / "report.xml"))
    assert result.exit_code == 1
    assert "report.xml" in result.output


def test_a_broken_invariant_is_no_mere_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(fgacore.Engine):
        def check(self, *_: object, **__: object) -> bool:
            raise InternalError("a set is out of order")

    monkeypatch.setattr(store_tests.fgacore, "open", lambda _: Broken(fgacore.engine.MemoryStore(None)))
    assert isinstance(run(tmp_path, PASSING).exception, InternalError)


@pytest.mark.parametrize(("tests", "status"), [(PASSING, 0), (FAILING, 1), (LISTING, 0)])
def test_a_process_ends_with_the_status_and_plain_text(tests: str, status: int, tmp_path: Path) -> None:
    (tmp_path / "store.fga.yaml").write_text(STORE + tests.replace("anne lists", "é lists"))
    command = [sys.executable, "-m", "fgacore", "test", "-v", str(tmp_path)]
    environment = {"PYTHONIOENCODING": "ascii", "PYTHONPATH": str(Path(fgacore.__file__).parents[1])}
    done = subprocess.run(command, capture_output=True, check=False, env=environment)
    assert done.returncode == status, done.stderr
    assert done.stdout.isascii()
    assert b"\x1b" not in done.stdout
    assert done.stderr == b""


CONDITIONED = """\
model: |
  model
    schema 1.1
  type user
  type doc
    relations
      define viewer: [user with recent]
  condition recent(now: timestamp, since: timestamp, length: duration) {
    now < since + length
  }
tuples:
  - user: user:anne
    relation: viewer
    object: doc:1
    condition: {name: recent, context: {since: 2023-01-01T00:00:00Z, length: 1h}}
tests:
  - name: times that are not in quotes are what the text says
    check:
      - {user: "user:anne", object: "doc:1", context: {now: 2023-01-01T00:59:59.999Z}, assertions: {viewer: true}}
      - {user: "user:anne", object: "doc:1", context: {now: 2023-01-01T02:00:00+01:00}, assertions: {viewer: false}}
"""


def test_times_without_quotes_reach_the_engine_as_they_stand(tmp_path: Path) -> None:
    result = run(tmp_path, CONDITIONED)
    assert result.exit_code == 0, result.output


def test_a_missing_parameter_is_a_failure_that_shows_the_context(tmp_path: Path) -> None:
    result = run(tmp_path, CONDITIONED.replace("{now: 2023-01-01T00:59:59.999Z}", "{then: 1}"))
    assert result.exit_code == 1
    assert 'check user:anne viewer doc:1  context {"then": 1}\n    expected true, got an error: ' in result.output
    assert "(context_missing)" in result.output


def test_without_the_extra_a_model_with_conditions_is_an_error_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cel_expr_python", None)
    monkeypatch.setitem(sys.modules, "cel_expr_python.cel", None)
    result = run(tmp_path, CONDITIONED)
    assert result.exit_code == 1
    assert re.search(r"store\.fga\.yaml:8\n    .*`fgacore\[conditions\]`.*\(conditions_unavailable\)$", result.output, re.MULTILINE), result.output


def test_a_tuple_of_a_test_that_differs_from_the_stores_is_a_fault(tmp_path: Path) -> None:
    tuples = "    tuples: [{user: 'user:anne', relation: viewer, object: 'doc:1', condition: {name: recent, context: {length: 2h}}}]\n"
    result = run(tmp_path, CONDITIONED.replace("    check:\n", tuples + "    check:\n"))
    assert result.exit_code == 1
    assert re.search(r"store\.fga\.yaml:18\n    tuple `user:anne viewer doc:1`: .*\(tuple_differs\)", result.output), result.output


LISTS = """\
  - name: lists
    tuples:
      - {user: "user:anne", relation: viewer, object: "doc:2"}
      - {user: "user:bob", relation: viewer, object: "doc:1"}
    list_objects: [{user: "user:anne", type: doc, assertions: {viewer: %s}}]
    list_users: [{object: "doc:1", user_filter: [{type: user}], assertions: {viewer: %s}}]
"""


@pytest.mark.parametrize(
    ("objects", "users", "message"),
    [
        ("['doc:2', 'doc:1']", "{users: ['user:bob', 'user:anne']}", ""),
        ("['doc:2']", "{users: ['user:bob', 'user:anne']}", "expected 1 names, got 2: unexpected doc:1"),
        ("['doc:2', 'doc:1', 'doc:1']", "{users: ['user:bob', 'user:anne']}", "expected 3 names, got 2: missing doc:1"),
        ("['doc:2', 'doc:1']", "{users: ['user:eve', 'user:anne']}", "expected 2 names, got 2: missing user:eve; unexpected user:bob"),
        ("", "{users: ['user:bob', 'user:anne']}", "expected 0 names, got 2: unexpected doc:1, doc:2"),
        ("['doc:2', 'doc:1']", "{users: }", "expected 0 names, got 2: unexpected user:anne, user:bob"),
        ("['doc:2', 'doc:1']", "", "expected 0 names, got 2: unexpected user:anne, user:bob"),
    ],
)
def test_lists_are_compared_without_order_and_name_by_name(objects: str, users: str, message: str, tmp_path: Path) -> None:
    result = run(tmp_path, LISTS % (objects, users))
    assert result.exit_code == (1 if message else 0), result.output
    assert ("1 file: 1 passed, 1 failed" if message else "1 file: 2 passed") in result.output
    assert not message or f"\n    {message}\n" in result.output


def test_a_long_list_of_names_is_cut_and_says_so(tmp_path: Path) -> None:
    names = str([f"doc:none{i}" for i in range(1, 1500)])
    output = run(tmp_path, LISTS % (names, "{users: ['user:bob', 'user:anne']}")).output
    assert "missing doc:none1, doc:none2," in output
    assert "doc:none10 and 1,489 more; unexpected doc:1, doc:2" in output
    assert "doc:none11" not in output


def test_a_list_in_error_is_a_failure_with_its_message(tmp_path: Path) -> None:
    output = run(tmp_path, LISTING.replace("viewer", "fly") + USERS.replace("user}", "crowd}")).output
    assert "expected 1 names, got an error: " in output
    assert "(relation_not_found)" in output
    assert "(type_not_found)" in output


def test_a_list_raises_where_a_condition_that_it_meets_fails(tmp_path: Path) -> None:
    lists = "    list_objects: [{user: 'user:anne', type: doc, %sassertions: {viewer: ['doc:1']}}]\n"
    head, _, _ = CONDITIONED.partition("    check:\n")
    for context, status in (("", 1), ("context: {now: 2023-01-01T00:10:00Z}, ", 0)):
        result = run(tmp_path, head + lists % context)
        assert result.exit_code == status
        assert ("(context_missing)" in result.output) is bool(status)


def test_users_of_several_kinds_are_one_list(tmp_path: Path) -> None:
    text = STORE.replace("type user\n", "type user\n  type team\n    relations\n      define member: [user]\n").replace(
        "[user]", "[user, team#member]"
    )
    text = text.replace("tuples:\n", 'tuples:\n  - {user: "team:x#member", relation: viewer, object: "doc:1"}\n')
    kinds, users = "[{type: user}, {type: team, relation: member}]", "{users: ['team:x#member', 'user:anne']}"
    test = f"  - list_users: [{{object: 'doc:1', user_filter: {kinds}, assertions: {{viewer: {users}}}}}]\n"
    result = run(tmp_path, text + test)
    assert result.exit_code == 0, result.output


@pytest.fixture(scope="module")
def tally() -> Iterator[Tally]:
    with Tally.reporting() as tally:
        yield tally


@needs_suites
@pytest.mark.parametrize("path", find_stores(SUITES / "sample-stores"), ids=lambda path: str(path.relative_to(SUITES / "sample-stores")))
def test_sample_store_passes_with_as_many_assertions_as_it_has(path: Path, tally: Tally) -> None:
    tests = load_store(path).tests
    checks = sum(len(test.checks) for test in tests)
    lists = sum(len(group["assertions"]) for test in tests for group in (*test.list_objects, *test.list_users))
    result = invoke(path)
    passed = f"1 file: {checks + lists} passed, in " in result.output
    for kind, count in (("checks", checks), ("lists", lists)):
        tally.add(f"sample store {kind}, fgacore test", count if passed else 0, count)
    assert passed, result.output
    assert result.exit_code == 0
