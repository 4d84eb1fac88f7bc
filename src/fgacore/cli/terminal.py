"""Text for a terminal that comes from somebody else's file."""

from __future__ import annotations

__all__ = ["plain"]


def plain(text: str) -> str:
    """Control characters are spelled out, so that no file can steer the terminal."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)
