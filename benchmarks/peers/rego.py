"""lakera-regorus, a Rego engine in Rust: all data loaded beforehand, groups of every user closed over in the data, one query for a whole batch."""

from __future__ import annotations

import json
from typing import Any

from lakera_regorus import Engine

from ..scenarios import Scenario
from .by_hand import ClosurePeer

__all__ = ["RegoPeer"]

# `shown` has the holders of a document or folder as keys; `groups` what a user belongs to, itself included; `above` a document or folder and
# all folders over it. Looking up keys is what this engine does fastest.
POLICY = """
package authz

import rego.v1

allowed(object) if {
    some place in places(object)
    some who in data.groups[input.subject]
    data.shown[place][who]
}

places(object) := data.above[object]

places(object) := [object] if not data.above[object]

default allow := false

allow if allowed(input.object)

allows := [object | some object in input.objects; allowed(object)]
"""


class RegoPeer:
    def __init__(self, scenario: Scenario) -> None:
        closure = ClosurePeer(scenario)
        subjects = {subject for subject, relation, _ in scenario.tuples if relation != "parent" and not subject.endswith("#member")}
        above = {}
        for place in closure.parent:
            chain, at = [], place
            while at is not None:
                chain.append(at)
                at = closure.parent.get(at)
            above[place] = chain
        data = {
            "groups": {subject: sorted(closure.belongs(subject)) for subject in subjects},
            "shown": {object: dict.fromkeys(who, True) for object, who in closure.shown.items()},
            "above": above,
        }
        self.engine = Engine()
        self.engine.add_policy("authz.rego", POLICY)
        self.engine.add_data_json(json.dumps(data))

    def check(self, subject: str, relation: str, object: str) -> bool:
        self.engine.set_input({"subject": subject, "object": object})
        return bool(_value(self.engine.eval_query("data.authz.allow")))

    def check_objects(self, subject: str, relation: str, objects: list[str]) -> list[bool]:
        self.engine.set_input({"subject": subject, "objects": objects})
        allowed = set(_value(self.engine.eval_query("data.authz.allows")))
        return [object in allowed for object in objects]


def _value(found: dict[str, Any]) -> Any:
    return found["result"][0]["expressions"][0]["value"]
