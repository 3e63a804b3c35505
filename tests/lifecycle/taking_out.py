"""A team with an entry in each list of its declaration, and what follows if one is taken out."""

import copy
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tenantry import drift
from tenantry.drift import Finding
from tenantry.drift.findings import RULE
from tenantry.locks import NoLock
from tests.drift.extras import provider
from tests.support.harness import Bench, Data, granted
from tests.support.kubectl import Kubectl
from tests.support.rotation_harness import add_namespace, order, pass_time, run

ROTATED = {"expiry_days": 30, "rotation": {"max_age_days": 20}}
_POLICY = {"podSelector": {}, "policyTypes": ["Ingress"]}
SINK = "pipelines/harbor-shop"
MORE: dict[str, Any] = {
    "name": "shop",
    "members": ["ann", "bob"],
    "external_groups": {"corp": ["Shop-People", "Shop-Guests"]},
    "harbor": {
        "groups": {"auditors": "guest"},
        "retention": {"rules": [{"latest_pushed": 3}, {"latest_pulled": 5}]},
        "immutable_tags": [{"tags": "v*"}],
    },
    "robots": {
        "pull": ROTATED,
        "ci": {
            **ROTATED,
            "access": ["repository:pull", "repository:push"],
            "replaces": ["old-ci"],
            "sinks": [{"namespace": "pipelines", "name": "harbor-shop"}],
        },
        "scanner": {**ROTATED, "access": ["repository:pull"]},
    },
    "namespace": {
        "labels": {"example.com/tier": "gold"},
        "annotations": {"example.com/owner": "shop"},
        "quota": {"pods": 50},
        "limits": {
            "default": {"cpu": "500m"},
            "default_request": {"cpu": "100m"},
            "max": {"memory": "2Gi"},
            "min": {"memory": "8Mi"},
        },
        "network": {"policies": {"from-all": _POLICY}},
    },
    "further_namespaces": {"jobs": {}},
    "oidc_clients": {
        "web": {
            "redirect_uris": ["https://shop.example.com/a", "https://shop.example.com/b"],
            "post_logout_redirect_uris": ["https://shop.example.com/"],
            "web_origins": ["https://shop.example.com"],
        }
    },
    "routes": {
        "web": {
            "host": "shop.example.com",
            "paths": [
                {"prefix": "/api/", "service": "back", "port": 80},
                {"service": "front", "port": 80},
            ],
        }
    },
    "drift": {"ignore": [{"system": "harbor", "kind": "project", "reason": "a test"}]},
}
PLATFORM = granted(
    "shop",
    platform={"name": "Test platform", "keycloak": {"external_providers": {"corp": {}}}},
    sinks=[SINK],
    replaces=["old-ci"],
)


@dataclass(frozen=True)
class Case:
    """An entry that is taken out, and what follows."""

    entry: tuple[str | int, ...]
    """The path of the entry in the team file."""
    changes: tuple[str, ...] = ()
    """The changes of the plan, except for records on the first namespace."""
    left: tuple[str, ...] = ()
    """What the plan shows as no longer declared."""
    stays: tuple[str, ...] = field(default=())
    """What of it is there after rotation."""


_NAMESPACE = "kubernetes/Namespace/team-shop"
_LIMITS = "update kubernetes/LimitRange/team-shop/tenantry"
_CLIENT = "update keycloak/client/team-shop-web"
CASES = {
    "members": Case(("members", 1), ("delete keycloak/group member/team-shop/bob",)),
    "external_groups": Case(
        ("external_groups", "corp"),
        ("update keycloak/identity provider mapper/corp/tenantry team-shop",),
    ),
    "external_groups.*": Case(
        ("external_groups", "corp", 1),
        ("update keycloak/identity provider mapper/corp/tenantry team-shop",),
    ),
    "harbor.groups": Case(
        ("harbor", "groups", "auditors"), ("delete harbor/member/team-shop/auditors",)
    ),
    "harbor.retention": Case(
        ("harbor", "retention"), ("delete harbor/retention policy/team-shop",)
    ),
    "harbor.retention.rules": Case(
        ("harbor", "retention", "rules", 0), ("update harbor/retention policy/team-shop",)
    ),
    "harbor.immutable_tags": Case(
        ("harbor", "immutable_tags", 0),
        ("delete harbor/immutable-tag rule/team-shop/**:v*",),
    ),
    "robots": Case(
        ("robots", "scanner"),
        (),
        (
            "retired harbor/robot/team-shop/scanner-a",
            "retired kubernetes/Secret/team-shop/harbor-scanner",
        ),
    ),
    "robots.*.access": Case(("robots", "ci", "access", 1), ("update harbor/robot/team-shop/ci-a",)),
    "robots.*.replaces": Case(("robots", "ci", "replaces", 0), (f"update {_NAMESPACE}",)),
    "robots.*.sinks": Case(
        ("robots", "ci", "sinks", 0), (), (f"retired kubernetes/Secret/{SINK}",)
    ),
    "namespace.labels": Case(
        ("namespace", "labels", "example.com/tier"), (f"update {_NAMESPACE}",)
    ),
    "namespace.annotations": Case(
        ("namespace", "annotations", "example.com/owner"), (f"update {_NAMESPACE}",)
    ),
    "namespace.quota": Case(
        ("namespace", "quota", "pods"), ("delete kubernetes/ResourceQuota/team-shop/tenantry",)
    ),
    **{
        f"namespace.limits.{key}": Case(("namespace", "limits", key), (_LIMITS,))
        for key in ("default", "default_request", "max", "min")
    },
    "namespace.network.policies": Case(
        ("namespace", "network", "policies", "from-all"),
        ("delete kubernetes/NetworkPolicy/team-shop/from-all",),
    ),
    "further_namespaces": Case(
        ("further_namespaces", "jobs"),
        ("delete kubernetes/RoleBinding/team-shop-jobs/tenantry-team",),
        (
            "kept kubernetes/Namespace/team-shop-jobs",
            "retired kubernetes/Secret/team-shop-jobs/harbor-pull",
        ),
        ("kept kubernetes/Namespace/team-shop-jobs",),
    ),
    "oidc_clients": Case(
        ("oidc_clients", "web"),
        (_CLIENT,),
        ("retired keycloak/client/team-shop-web", "retired kubernetes/Secret/team-shop/oidc-web"),
        ("retired keycloak/client/team-shop-web", "retired kubernetes/Secret/team-shop/oidc-web"),
    ),
    "oidc_clients.*.redirect_uris": Case(("oidc_clients", "web", "redirect_uris", 1), (_CLIENT,)),
    "oidc_clients.*.post_logout_redirect_uris": Case(
        ("oidc_clients", "web", "post_logout_redirect_uris", 0), (_CLIENT,)
    ),
    "oidc_clients.*.web_origins": Case(("oidc_clients", "web", "web_origins", 0), (_CLIENT,)),
    "routes": Case(("routes", "web"), ("delete istio/VirtualService/team-shop/web",)),
    "routes.*.paths": Case(
        ("routes", "web", "paths", 0), ("update istio/VirtualService/team-shop/web",)
    ),
    "drift.ignore": Case(("drift", "ignore", 0)),
}
"""The meaning of each list and mapping of a team file."""


def without(entry: tuple[str | int, ...]) -> Data:
    """Return the declaration without one entry."""
    team = copy.deepcopy(MORE)
    *path, last = entry
    inside: Any = team
    for step in path:
        inside = inside[step]
    del inside[last]
    return team


def declare_all(bench: Bench) -> None:
    for name in ("ann", "bob", "carl"):
        bench.sandbox.keycloak.add_user("platform", name)
    add_namespace(bench)
    bench.declare(MORE, platform=PLATFORM)
    bench.systems.keycloak_client.post("identity-provider/instances", provider("corp"))
    bench.onboard()
    assert bench.plan().is_empty


def changes_of(bench: Bench, expected: tuple[str, ...]) -> set[str]:
    """Return the changes of the plan, without those of records on the first namespace."""
    found = {f"{change.action} {change.id}" for change in bench.plan().changes}
    return {
        each
        for each in found
        # A further namespace takes the fields of the first one that it does not declare.
        if each in expected
        or (each not in (f"update {_NAMESPACE}", f"update {MARK}") and "team-shop-jobs" not in each)
    }


MARK = "kubernetes/Namespace mark/team-shop"


def left_of(bench: Bench) -> set[str]:
    return {f"{each.removal} {each.id}" for each in bench.plan().left}


def findings(bench: Bench) -> dict[str, Finding]:
    """Return the findings of drift detection by resource."""
    with bench.process(extras=True) as systems:
        seen = drift.observe(systems, bench.teams, drift.SYSTEMS)
        report = drift.detect(systems, bench.teams, seen).report
    # The rule that the declaration has for its list `ignore` matches nothing.
    return {str(each.resource): each for each in report.findings if each.resource.kind != RULE}


def rotate_until_retired(bench: Bench) -> None:
    """Run rotation as its schedule does, until everything is retired that can be."""
    for days, force in ((0, True), (2, False), (2, False), (8, False), (8, False)):
        pass_time(bench, days=days)
        for outcome in run(bench, order(bench, force=force)).values():
            assert outcome.error is None, outcome.error


def follow_advice(bench: Bench, folder: Path) -> None:
    """Do what the findings say, as an operator does."""
    folder.mkdir(exist_ok=True)
    for found in findings(bench).values():
        command = re.search(r"To delete it: (.+)", found.what_to_do)
        if command is None:
            assert found.what_to_do == "delete (remediate: all)", found
            continue
        words = shlex.split(command[1])
        if words[0] == "kubectl":
            Kubectl(bench.sandbox, folder)(*words[1:])
        else:  # Keycloak's own program deletes a path of a realm
            assert words[:2] == ["kcadm.sh", "delete"]
            assert words[3:] == ["-r", "platform"]
            bench.systems.keycloak_client.delete(words[2])
    with bench.process(extras=True) as systems:
        seen = drift.observe(systems, bench.teams, drift.SYSTEMS)
        remedy = drift.choose(drift.detect(systems, bench.teams, seen), "all")
        drift.remediate_teams(systems, remedy, drift.Order("all"), NoLock(), approved=True)
