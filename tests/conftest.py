"""What every test run shares: the counts of suite cases, printed at the end, and how Hypothesis is set."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings

import counts
from postgres import postgres, postgres_server

__all__ = ["postgres", "postgres_server"]

# No deadline: machines differ. Examples are new in each run, and a failure prints what repeats it.
settings.register_profile("fgacore", deadline=None, derandomize=False, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("fgacore")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if counts.LINES:
        terminalreporter.section("counts")
        for line in counts.LINES:
            terminalreporter.write_line(line)
