"""Results of store files as JUnit XML, which build servers read: a suite for each file, a case for each assertion."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from .store_tests import FileResult

__all__ = ["junit_xml"]

_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0 has no form for these, escaped or not


def junit_xml(results: Sequence[FileResult], seconds: float) -> bytes:
    """The report, UTF-8. A fault of a file is an `error`, and a wrong answer a `failure`."""
    root = ElementTree.Element("testsuites", {"name": "fgacore test", **_totals(results, seconds)})
    for result in results:
        suite = ElementTree.SubElement(root, "testsuite", {"name": _clean(str(result.path)), **_totals([result], result.seconds)})
        for fault in result.faults:
            case = ElementTree.SubElement(suite, "testcase", classname=_clean(str(result.path)), name=_clean(fault.place), time="0")
            ElementTree.SubElement(case, "error", message=_clean(fault.message))
        for outcome in result.outcomes:
            name = f"{outcome.test}: {outcome.assertion}"
            case = ElementTree.SubElement(suite, "testcase", classname=_clean(str(result.path)), name=_clean(name), time=f"{outcome.seconds:.6f}")
            if outcome.status != "passed":
                detail = ElementTree.SubElement(case, "failure", message=_clean(outcome.message))
                detail.text = _clean(f"{result.path}:{outcome.assertion.line}")
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _totals(results: Sequence[FileResult], seconds: float) -> dict[str, str]:
    faults = sum(len(result.faults) for result in results)
    return {
        "tests": str(faults + sum(len(result.outcomes) for result in results)),
        "failures": str(sum(result.count("failed") for result in results)),
        "errors": str(faults),
        "time": f"{seconds:.6f}",
    }


def _clean(text: str) -> str:
    return _NOT_IN_XML.sub("\ufffd", text)
