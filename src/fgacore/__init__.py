"""fgacore: fine-grained authorization for AI agents, inside the process that asks. Start with `fgacore.open`."""

from typing import Final

from fgacore.engine import Engine, open
from fgacore.errors import FgaError, InternalError, LimitError, ModelError, ModelIssue, RequestError, StoreError
from fgacore.results import BatchResult, Change, Ids, ImportResult, Stats
from fgacore.runtime.objects import ObjectSet
from fgacore.runtime.reach import Reach, ReachChange, ReachDiff
from fgacore.runtime.subjects import SubjectSet
from fgacore.tuples import Question, Tuple

NONE: Final = 0xFFFFFFFF  # the id of a name that nothing mentions; it equals nothing, itself included

__all__ = [
    "NONE",
    "BatchResult",
    "Change",
    "Engine",
    "FgaError",
    "Ids",
    "ImportResult",
    "InternalError",
    "LimitError",
    "ModelError",
    "ModelIssue",
    "ObjectSet",
    "Question",
    "Reach",
    "ReachChange",
    "ReachDiff",
    "RequestError",
    "Stats",
    "StoreError",
    "SubjectSet",
    "Tuple",
    "open",
]
