"""What is wrong with a file that somebody wrote. Apart from those who read files, so that the compiled reader loads none of them."""

from __future__ import annotations

from pathlib import Path

__all__ = ["FileFault"]


class FileFault(Exception):
    """What is wrong with a file. `line` counts from 1 and is 0 where there is none."""

    def __init__(self, path: Path, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.path = path
        self.message = message
        self.line = line

    @property
    def place(self) -> str:
        """`file:line`, or the file alone."""
        return f"{self.path}:{self.line}" if self.line else str(self.path)

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"
