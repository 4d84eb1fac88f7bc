"""ULIDs: 48 bits of milliseconds and 80 random bits in Crockford's base 32; each later than the one before."""

from __future__ import annotations

import os
import threading
import time

__all__ = ["UlidSource"]

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class UlidSource:
    """Makes ULIDs that sort in the order they were made. Thread-safe; one for each store."""

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()

    def make(self) -> str:
        with self._lock:
            fresh = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10))
            self._last = max(fresh, self._last + 1)
            value = self._last
        return "".join(ALPHABET[(value >> shift) & 31] for shift in range(125, -5, -5))
