"""Who fgacore is compared with: Python written by hand, and, where they are installed, named engines. Each peer is made from a scenario.

A peer takes and gives what an engine does: check(subject, relation, object) and check_objects(subject, relation, objects).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from benchmarks.scenarios import Scenario

from .by_hand import BitmapPeer, ClosurePeer, DeskPeer, RecursivePeer

__all__ = ["HAND", "HELPDESK_HAND", "Peer", "named", "named_until"]


class Peer(Protocol):
    def check(self, subject: str, relation: str, object: str) -> bool: ...
    def check_objects(self, subject: str, relation: str, objects: list[str]) -> list[bool]: ...


HAND: dict[str, Callable[[Scenario], Peer]] = {"by hand, recursion": RecursivePeer, "by hand, closure": ClosurePeer, "by hand, pyroaring": BitmapPeer}
HELPDESK_HAND = DeskPeer


def named(openfga_url: str | None = None) -> dict[str, Callable[[Scenario], Peer]]:
    """The named engines that can be had here; those not installed are left out."""
    found: dict[str, Callable[[Scenario], Peer]] = {}
    try:
        from .cedar import CedarPeer

        found["cedarpy"] = CedarPeer
    except ImportError:
        pass
    try:
        from .casbin_fast import CasbinPeer

        found["casbin FastEnforcer"] = CasbinPeer
    except ImportError:
        pass
    try:
        from .rego import RegoPeer

        found["regorus"] = RegoPeer
    except ImportError:
        pass
    if openfga_url:
        from .openfga import OpenFgaPeer

        found["OpenFGA server"] = lambda scenario: OpenFgaPeer(scenario, openfga_url)
    return found


def named_until() -> dict[str, Callable[[Scenario], Peer]]:
    """Those of them that know dates and durations, for `grants("until")`."""
    try:
        from .cedar import CedarGrantsPeer
    except ImportError:
        return {}
    return {"cedarpy": CedarGrantsPeer}
