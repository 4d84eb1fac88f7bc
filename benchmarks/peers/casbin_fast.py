"""casbin's FastEnforcer, which its documentation has for many rules: policies are found by the parts of the question that leave the fewest.

Those are subject and object, or the object where there are groups, or the subject where there are folders. Groups and folders are its role
hierarchies; where a shape has none, the matcher does not ask for any.
"""

from __future__ import annotations

from casbin import FastEnforcer
from casbin.model import FastModel
from casbin.rbac.default_role_manager import RoleManager

from benchmarks.scenarios import Scenario

__all__ = ["CasbinPeer"]

DEPTH_MAX = 64  # of a hierarchy; its default of 10 is too little for folders ten deep with documents in them

CONFIGURATION = """
[request_definition]
r = sub, obj, act

[policy_definition]
p = sub, obj, act

[role_definition]
g = _, _

[policy_effect]
e = some(where (p.eft == allow))

[matchers]
m = {matcher}
"""

PLAIN = ([0, 1], "r.sub == p.sub && r.obj == p.obj && r.act == p.act")
WITH_GROUPS = ([1], "r.obj == p.obj && r.act == p.act && g(r.sub, p.sub)")
WITH_FOLDERS = ([0], "r.sub == p.sub && r.act == p.act && g(r.obj, p.obj)")


class CasbinPeer:
    def __init__(self, scenario: Scenario) -> None:
        relations = {relation for _, relation, _ in scenario.tuples}
        keys, matcher = WITH_FOLDERS if "parent" in relations else WITH_GROUPS if "member" in relations else PLAIN
        model = FastModel(keys)
        model.load_model_from_text(CONFIGURATION.format(matcher=matcher))
        self.enforcer = FastEnforcer(model, cache_key_order=keys)
        rules, links = [], []  # a FastModel has but one role hierarchy (it reads no `g2`), which serves groups or folders
        for subject, relation, object in scenario.tuples:
            who = subject.removesuffix("#member")
            if relation == "parent":
                links.append([object, who])
            elif relation == "member":
                links.append([who, object])
            else:
                rules.append([who, object, relation])
        self.enforcer.set_named_role_manager("g", RoleManager(DEPTH_MAX))
        self.enforcer.add_policies(rules)
        if links:
            self.enforcer.add_named_grouping_policies("g", links)
        self.enforcer.build_role_links()

    def check(self, subject: str, relation: str, object: str) -> bool:
        return bool(self.enforcer.enforce(subject, object, relation))

    def check_objects(self, subject: str, relation: str, objects: list[str]) -> list[bool]:
        return list(map(bool, self.enforcer.batch_enforce([(subject, object, relation) for object in objects])))
