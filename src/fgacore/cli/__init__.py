"""The command `fgacore`: an edge that parses, calls the engine and prints, with no logic of its own.

Each verb has a file. Rich is imported inside the verbs that print tables, so that `--help` and the other verbs start fast.
"""

from .app import main

__all__ = ["main"]
