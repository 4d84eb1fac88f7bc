"""Where the public suites are: the folder named by FGACORE_SUITES, or `shared/suites` beside the repository.

The data is not ours and is never copied into the repository. Where the folder is absent, the tests that need it are skipped and say so.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

__all__ = ["SUITES", "needs_suites"]

REPOSITORY = Path(__file__).resolve().parents[2]
SUITES = Path(os.environ.get("FGACORE_SUITES") or REPOSITORY.parent / "shared" / "suites")

needs_suites = pytest.mark.skipif(not SUITES.is_dir(), reason=f"the public suites are not at {SUITES}: set FGACORE_SUITES to their folder")
