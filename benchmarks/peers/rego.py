"""lakera-regorus, a Rego engine in Rust: a policy for each shape, all data loaded beforehand and laid out for it, one query for a whole batch.

Groups of every user and folders above every document are closed over in the data: walking them in Rego is many times slower.
"""

from __future__ import annotations

import json
from typing import Any

from lakera_regorus import Engine

from benchmarks.scenarios import Scenario

from .by_hand import ClosurePeer

__all__ = ["RegoPeer"]

POLICY = """
package authz

import rego.v1

allowed(object) if {{
    {rule}
}}

default allow := false

allow if allowed(input.object)

allows := [object | some object in input.objects; allowed(object)]
"""

PLAIN = "data.shown[object][input.subject]"
WITH_GROUPS = "some who in data.groups[input.subject]; data.shown[object][who]"
WITH_FOLDERS = "some place in data.above[object]; data.held[input.subject][place]"


class RegoPeer:
    def __init__(self, scenario: Scenario) -> None:
        closure = ClosurePeer(scenario)
        data: dict[str, Any] = {}
        if closure.parent:
            rule = WITH_FOLDERS
            data["above"] = {place: _chain(closure.parent, place) for place in closure.parent}
            held: dict[str, dict[str, bool]] = {}
            data["held"] = held
            for object, subjects in closure.shown.items():
                for subject in subjects:
                    held.setdefault(subject, {})[object] = True
        else:
            rule = WITH_GROUPS if closure.above else PLAIN
            users = {subject for subject, _, _ in scenario.tuples if not subject.endswith("#member")}
            data["groups"] = {user: sorted(closure.belongs(user)) for user in users} if closure.above else {}
            data["shown"] = {object: dict.fromkeys(subjects, True) for object, subjects in closure.shown.items()}
        self.engine = Engine()
        self.engine.add_policy("authz.rego", POLICY.format(rule=rule))
        self.engine.add_data_json(json.dumps(data))

    def check(self, subject: str, relation: str, object: str) -> bool:
        self.engine.set_input({"subject": subject, "object": object})
        return bool(_value(self.engine.eval_query("data.authz.allow")))

    def check_objects(self, subject: str, relation: str, objects: list[str]) -> list[bool]:
        self.engine.set_input({"subject": subject, "objects": objects})
        allowed = set(_value(self.engine.eval_query("data.authz.allows")))
        return [object in allowed for object in objects]


def _chain(parent: dict[str, str], place: str) -> list[str]:
    """A place and all above it."""
    chain, at = [place], parent.get(place)
    while at is not None:
        chain.append(at)
        at = parent.get(at)
    return chain


def _value(found: dict[str, Any]) -> Any:
    return found["result"][0]["expressions"][0]["value"]
