"""The log of decisions: how it is written, what proves that it was not changed, and how each decision is made again. docs/audit.md."""

from .replay import Difference, Replayed, replay
from .show import LoggedDecision, read
from .verify import ChainReport, Verification, heads, verify

__all__ = ["ChainReport", "Difference", "LoggedDecision", "Replayed", "Verification", "heads", "read", "replay", "verify"]
