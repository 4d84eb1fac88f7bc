"""cedarpy: the policies and all entities parsed once into its reusable handles, as its documentation advises; batches by `is_authorized_batch`.

Names are handed over as a type and an id, which spares its parser; a context as the JSON text that it would else make of a dict in each call.
"""

from __future__ import annotations

import json
from typing import Any

from cedarpy import Entities, PolicySet, is_authorized, is_authorized_batch

from benchmarks.scenarios import Scenario

__all__ = ["CedarGrantsPeer", "CedarPeer"]

# Users and groups are entities whose parents are the groups above them; folders and documents have their parents too. A document has its
# viewers as an attribute; where there are folders, a user has what it was granted as one, since `in` takes a set on its right side.
POLICIES = {
    "viewers": "permit(principal, action, resource) when { principal in resource.viewers };",
    "granted": "permit(principal, action, resource) when { resource in principal.granted };",
}

# A document has a tag for each user that it is granted to, with when and for how long, in Cedar's own types of time.
GRANTED_UNTIL = """permit(principal, action, resource) when {
  resource.hasTag(principal.name) &&
  context.current_time < resource.getTag(principal.name).grant_time.offset(resource.getTag(principal.name).grant_duration)
};"""


class CedarPeer:
    def __init__(self, scenario: Scenario) -> None:
        climbs = any(relation == "parent" for _, relation, _ in scenario.tuples)
        parents: dict[str, list[str]] = {}
        attribute: dict[str, list[str]] = {}
        for subject, relation, object in scenario.tuples:
            who = subject.removesuffix("#member")
            parents.setdefault(who, [])
            parents.setdefault(object, [])
            if relation == "parent":
                parents[object].append(who)
            elif relation == "member":
                parents[who].append(object)
            elif climbs:
                attribute.setdefault(who, []).append(object)
            else:
                attribute.setdefault(object, []).append(who)
        name, kind = ("granted", "user") if climbs else ("viewers", "doc")
        entities = [
            {
                "uid": _entity(key),
                "parents": [_entity(parent) for parent in above],
                "attrs": {name: [{"__entity": _entity(other)} for other in attribute.get(key, ())]} if key.startswith(f"{kind}:") else {},
            }
            for key, above in parents.items()
        ]
        self.entities = Entities.from_json_str(json.dumps(entities))
        self.policies = PolicySet.from_str(POLICIES[name])

    def check(self, subject: str, relation: str, object: str) -> bool:
        request = {"principal": _entity(subject), "action": {"type": "Action", "id": relation}, "resource": _entity(object)}
        return bool(is_authorized(request, self.policies, self.entities).allowed)

    def check_objects(self, subject: str, relation: str, objects: list[str]) -> list[bool]:
        principal, action = _entity(subject), {"type": "Action", "id": relation}
        requests = [{"principal": principal, "action": action, "resource": _entity(object)} for object in objects]
        return [bool(result.allowed) for result in is_authorized_batch(requests, self.policies, self.entities)]


class CedarGrantsPeer:
    """The grants of `grants("until")`: the same condition over the same instants and durations. Whoever asks has the context as text already."""

    def __init__(self, scenario: Scenario) -> None:
        tags: dict[str, dict[str, Any]] = {}
        for grant in scenario.grants:
            assert grant.context is not None
            tags.setdefault(grant.subject, {})
            tags.setdefault(grant.object, {})[grant.subject] = {
                "grant_time": _extension("datetime", grant.context["grant_time"]),
                "grant_duration": _extension("duration", grant.context["grant_duration"]),
            }
        entities = [
            {"uid": _entity(key), "parents": [], "attrs": {"name": key} if key.startswith("user:") else {}, "tags": by_user}
            for key, by_user in tags.items()
        ]
        self.entities = Entities.from_json_str(json.dumps(entities))
        self.policies = PolicySet.from_str(GRANTED_UNTIL)
        assert scenario.context is not None
        self.context = json.dumps({"current_time": _extension("datetime", scenario.context["current_time"])})

    def check(self, subject: str, relation: str, object: str) -> bool:
        action = {"type": "Action", "id": relation}
        request = {"principal": _entity(subject), "action": action, "resource": _entity(object), "context": self.context}
        return bool(is_authorized(request, self.policies, self.entities).allowed)

    def check_objects(self, subject: str, relation: str, objects: list[str]) -> list[bool]:
        principal, action, context = _entity(subject), {"type": "Action", "id": relation}, self.context
        requests = [{"principal": principal, "action": action, "resource": _entity(object), "context": context} for object in objects]
        return [bool(result.allowed) for result in is_authorized_batch(requests, self.policies, self.entities)]


def _extension(type: str, text: str) -> dict[str, Any]:
    return {"__extn": {"fn": type, "arg": text}}


def _entity(name: str) -> dict[str, Any]:
    kind, _, id = name.partition(":")
    return {"type": kind.capitalize(), "id": id}
