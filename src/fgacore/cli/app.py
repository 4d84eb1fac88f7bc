"""The group of verbs, and how an error of fgacore leaves the process: one line on stderr and exit status 2, never a traceback."""

from __future__ import annotations

from typing import Any

import click

from fgacore.errors import FgaError, InternalError

from .audit import audit
from .demo import demo
from .maintain import compact, repair, snapshot, verify
from .options import Failure
from .reach import reach
from .records import changes, read, write
from .terminal import plain
from .test import test
from .transfer import export_tuples, import_tuples

__all__ = ["main"]


class _Verbs(click.Group):
    """A group that reports fgacore's errors as click reports its own. A broken invariant of ours keeps its traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except InternalError:
            raise
        except FgaError as error:
            raise Failure(f"{plain(error.message)} ({error.code})") from error


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fgacore", message="fgacore %(version)s")
def main() -> None:
    """Fine-grained authorization inside the process that asks.

    OpenFGA's modeling language, answered by a compiled kernel. Start with `fgacore demo`.
    """


for verb in (demo, test, reach, import_tuples, export_tuples, write, read, changes, snapshot, compact, verify, repair, audit):
    main.add_command(verb)
