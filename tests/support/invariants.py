"""Assertions that hold after any procedure, with or without faults."""

import json
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from tenantry import onboarding
from tenantry.declared import Team
from tenantry.plan import Plan
from tenantry.sandbox import Sandbox
from tenantry.systems.credentials.pairs import ROBOT
from tests.support.harness import Bench

_MANAGED_BY = "app.kubernetes.io/managed-by"
_MADE_BY_KUBERNETES = {("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt")}


def assert_in_sync(bench: Bench) -> None:
    """Assert that each declared resource exists once, works, and needs no change."""
    assert_nothing_twice(bench.sandbox, bench.teams)
    assert_credentials_work(bench)
    assert_nothing_to_do(bench)


def assert_nothing_to_do(bench: Bench) -> None:
    """Assert that a new process plans nothing and writes nothing."""
    before = bench.sandbox.requests.writes()
    with bench.process() as systems:
        outcomes = onboarding.plan_all(systems, bench.teams)
        assert [(each.plan, each.error) for each in outcomes] == [
            (Plan(team.name), None) for team in bench.teams
        ]
        assert systems.not_applied(bench.teams) == []
    assert bench.sandbox.requests.writes() == before


def assert_nothing_twice(sandbox: Sandbox, teams: Collection[Team]) -> None:
    """Assert that no robot, group or membership of these teams is missing, extra or doubled."""
    projects = sandbox.harbor.projects
    expected = Counter((team.project, purpose) for team in teams for purpose in team.active_robots)
    assert our_robots(sandbox, {team.project for team in teams}) == expected
    known = {project.id for project in projects.values()}
    assert [r.name for r in sandbox.harbor.robots.values() if r.project_id not in known] == []
    for team in teams:
        members = projects[team.project].members.values()
        wanted = {team.oidc_group, *team.harbor.groups}
        names = Counter(
            sandbox.harbor.groups[m.entity_id].name for m in members if m.entity_type == "g"
        )
        assert {name: names[name] for name in wanted} == dict.fromkeys(wanted, 1)
    groups = Counter(group.name for group in sandbox.harbor.groups.values())
    assert max(groups.values(), default=1) == 1


def our_robots(sandbox: Sandbox, projects: Collection[str]) -> Counter[tuple[str, str]]:
    """Return the number of our robots by project and purpose."""
    names = {project.id: project.name for project in sandbox.harbor.projects.values()}
    return Counter(
        (names[robot.project_id], robot.name.rpartition("-")[0])
        for robot in sandbox.harbor.robots.values()
        if names.get(robot.project_id) in projects and robot.description.startswith("Managed by")
    )


def assert_credentials_work(bench: Bench) -> None:
    """Assert that each robot's Secret names its robot, and that the token service accepts it."""
    for team in bench.teams:
        for purpose, robot in team.active_robots.items():
            for namespace in team.namespaces if robot.attach else [team.home_namespace]:
                name = team.secret_name(purpose)
                username, password = bench.login(name, namespace)
                held = bench.sandbox.kubernetes.get("Secret", name, namespace)
                assert held is not None
                assert username.endswith(f"+{held['metadata']['annotations'][ROBOT]}")
                assert bench.systems.harbor_client.accepts(username, password), (namespace, name)


def others(sandbox: Sandbox, teams: Collection[Team]) -> dict[str, Any]:
    """Return all resources that do not belong to these teams, to compare before and after a run."""
    parts = {
        **_harbor_of_others(sandbox.harbor.dump(), teams),
        **_keycloak_of_others(sandbox.keycloak.dump(), teams),
        **_kubernetes_of_others(sandbox.kubernetes.objects, teams),
    }
    copy: dict[str, Any] = json.loads(json.dumps(parts))
    return copy


def _harbor_of_others(held: Mapping[str, Any], teams: Collection[Team]) -> dict[str, Any]:
    own_projects = {team.project for team in teams}
    groups = {group for team in teams for group in (team.oidc_group, *team.harbor.groups)}
    own = {project["id"] for name, project in held["projects"].items() if name in own_projects}
    return {
        "projects": {name: p for name, p in held["projects"].items() if name not in own_projects},
        "groups": [group for group in held["groups"].values() if group["name"] not in groups],
        "harbor users": held["users"],
        "configuration": held["configuration"],
        "robots": [
            robot
            for robot in held["robots"].values()
            if robot["project_id"] not in own or not robot["description"].startswith("Managed by")
        ],
    }


def _keycloak_of_others(held: Mapping[str, Any], teams: Collection[Team]) -> dict[str, Any]:
    names = {team.oidc_group for team in teams}
    clients = tuple(
        id for team in teams for id in (team.client_id(""), *team.names.clients.values())
    )
    mappers = {f"tenantry team-{team.name}" for team in teams}
    found: dict[str, Any] = {}
    for name, realm in held["realms"].items():
        own = {id for id, group in realm["groups"].items() if group["name"] in names}
        own |= {id for id, c in realm["clients"].items() if c["clientId"].startswith(clients)}
        own |= {id for id, m in realm["provider_mappers"].items() if m["name"] in mappers}
        for part in ("groups", "clients", "provider_mappers", "client_scopes", "providers"):
            kept = {id: value for id, value in realm[part].items() if id not in own}
            found[f"{name} {part}"] = kept
        found[f"{name} users"] = {
            id: {**user, "groups": [group for group in user["groups"] if group not in own]}
            for id, user in realm["users"].items()
        }
        found[f"{name} settings"] = realm["settings"]
    return found


def _kubernetes_of_others(
    objects: Collection[Mapping[str, Any]], teams: Collection[Team]
) -> dict[str, Any]:
    namespaces = {namespace for team in teams for namespace in team.namespaces}
    found: dict[str, Any] = {}
    for live in objects:
        metadata = live["metadata"]
        kind, name, namespace = live["kind"], metadata["name"], metadata.get("namespace")
        inside = namespace in namespaces
        team = (metadata.get("labels") or {}).get("tenantry.io/team")
        ours = (metadata.get("labels") or {}).get(_MANAGED_BY) == "tenantry"
        key = f"{kind} {namespace}/{name}"
        if inside and (kind, name) in _MADE_BY_KUBERNETES:
            listed = live.get("imagePullSecrets") or []
            foreign = [e for e in listed if not e["name"].startswith("harbor-")]
            if foreign:
                found[key] = foreign
        elif kind == "Namespace" and name in namespaces:
            continue
        elif not ours or (namespace and not inside) or (team and not inside):
            found[key] = live
    return found
