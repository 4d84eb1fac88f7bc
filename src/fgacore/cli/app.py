"""The group of verbs, and how an error of fgacore leaves the process: one line on stderr and exit status 1, never a traceback."""

from __future__ import annotations

from typing import Any

import click

from fgacore.errors import FgaError, InternalError

from .demo import demo
from .reach import reach
from .test import test

__all__ = ["main"]


class _Verbs(click.Group):
    """A group that reports fgacore's errors as click reports its own. A broken invariant of ours keeps its traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except InternalError:
            raise
        except FgaError as error:
            raise click.ClickException(f"{error.message} ({error.code})") from error


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fgacore", message="fgacore %(version)s")
def main() -> None:
    """Fine-grained authorization inside the process that asks.

    OpenFGA's modeling language, answered by a compiled kernel. Start with `fgacore demo`.
    """


main.add_command(demo)
main.add_command(reach)
main.add_command(test)
