"""fgacore: fine-grained authorization for AI agents, inside the process that asks. Start with `fgacore.open`."""

from typing import Final

from fgacore.agents.claims import ClaimsMapping
from fgacore.agents.sessions import Session
from fgacore.engine import Engine, open
from fgacore.errors import FgaError, InternalError, LimitError, ModelError, ModelIssue, RequestError, StoreError
from fgacore.results import BatchResult, Change, Decision, Delegation, Ids, ImportResult, Stats, Suspension
from fgacore.runtime.objects import ObjectSet
from fgacore.runtime.reach import Lent, Reach, ReachChange, ReachDiff
from fgacore.runtime.subjects import SubjectSet
from fgacore.tuples import Question, Tuple

NONE: Final = 0xFFFFFFFF  # the id of a name that nothing mentions; it equals nothing, itself included

__all__ = [
    "NONE",
    "BatchResult",
    "Change",
    "ClaimsMapping",
    "Decision",
    "Delegation",
    "Engine",
    "FgaError",
    "Ids",
    "ImportResult",
    "InternalError",
    "Lent",
    "LimitError",
    "ModelError",
    "ModelIssue",
    "ObjectSet",
    "Question",
    "Reach",
    "ReachChange",
    "ReachDiff",
    "RequestError",
    "Session",
    "Stats",
    "StoreError",
    "SubjectSet",
    "Suspension",
    "Tuple",
    "open",
]
