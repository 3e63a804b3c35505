"""The access of a team is revoked, and onboarding the team again restores it."""

import json
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from tenantry import drift, offboarding
from tenantry.systems.kubernetes.kinds import SECRET
from tests.offboarding.land import (
    DATA,
    FOREIGN_AUTH,
    PLATFORM,
    SHOP,
    admin,
    bystanders,
    process,
    revoke,
    shop,
)
from tests.support.demands import Figure
from tests.support.harness import REALM, Bench
from tests.support.invariants import assert_in_sync
from tests.support.wire import Wire

T = TypeVar("T")


def test_a_revoked_team_has_no_access(land: Bench) -> None:
    secrets = {name: land.login(name) for name in ("harbor-pull", "harbor-ci")}
    others = bystanders(land)
    outcome = revoke(land)
    assert outcome.kept == ()
    for login in secrets.values():
        assert not land.systems.harbor_client.accepts(*login)
    project = land.sandbox.harbor.projects["team-shop"]
    assert [m for m in project.members.values() if m.entity_type == "g"] == []
    kubernetes = land.sandbox.kubernetes
    for namespace in ("team-shop", "team-shop-jobs"):
        assert kubernetes.get("RoleBinding", "tenantry-team", namespace) is None
    assert kubernetes.get("VirtualService", "web", "team-shop") is None
    assert not client(land)["enabled"]
    assert bystanders(land) == others
    assert land.systems.not_applied([shop(land)]) == [shop(land)]


def client(bench: Bench, name: str = "team-shop-web") -> dict:
    """Return a client in Keycloak."""
    clients = bench.sandbox.keycloak.realms[REALM].clients.values()
    return next(each for each in clients if each["clientId"] == name)


def test_sinks_lose_the_credential_and_keep_what_others_have_added(land: Bench) -> None:
    revoke(land)
    kaniko = json.loads(land.secret("kaniko-shop", "pipelines")["config.json"])
    assert kaniko == {"auths": FOREIGN_AUTH}
    basic = land.secret("basic-shop", "pipelines")
    assert basic == {"username": "", "password": "", "note": "of the pipelines"}
    docker = json.loads(land.secret("docker-shop", "pipelines")[".dockerconfigjson"])
    assert docker == {"auths": {}}


@pytest.mark.demand("lifecycle", "costs: a revocation writes at most once to each resource")
def test_a_revocation_writes_once_to_each_resource_and_the_next_one_writes_nothing(
    land: Bench, figure: Figure
) -> None:
    with Wire() as wire:
        revoke(land)
    written = [str(request).partition(", ")[2] for request in wire.requests if request.is_write]
    figure(f"{len(written)} writes to {len(set(written))} resources")
    assert len(written) == len(set(written))
    with Wire() as wire:
        assert revoke(land).done == ()
    assert [str(request) for request in wire.requests if request.is_write] == []


@pytest.mark.demand("lifecycle", "revoked and onboarded again: the old pull works", sample=True)
def test_onboarding_again_restores_everything_with_the_same_ids_and_secrets(
    land: Bench, figure: Figure
) -> None:
    logins = {name: land.login(name) for name in ("harbor-pull", "harbor-ci")}
    client_secret = land.secret("oidc-web")["client_secret"]
    robots = {r.id for r in land.sandbox.harbor.robots.values()}
    project, web = land.sandbox.harbor.projects["team-shop"].id, client(land)["id"]
    sinks = {
        name: land.secret(name, "pipelines")
        for name in ("kaniko-shop", "basic-shop", "docker-shop")
    }
    others = bystanders(land)
    revoke(land)
    land.load().onboard("shop")
    assert_in_sync(land)
    assert {name: land.login(name) for name in logins} == logins
    assert all(land.can_log_in(name) for name in logins)
    assert {r.id for r in land.sandbox.harbor.robots.values()} == robots
    assert (land.sandbox.harbor.projects["team-shop"].id, client(land)["id"]) == (project, web)
    assert land.secret("oidc-web")["client_secret"] == client_secret
    for name, before in sinks.items():
        after = land.secret(name, "pipelines")
        assert {k: _parsed(v) for k, v in after.items()} == {
            k: _parsed(v) for k, v in before.items()
        }
    assert bystanders(land) == others
    figure(f"{len(logins)} credentials work again, {len(robots)} robots with the same ids")


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def test_the_steps_and_the_changes_are_reported(land: Bench) -> None:
    steps: list[str] = []
    changes: list[str] = []

    def step(name: str, work: Callable[[bool], T], /) -> T:
        steps.append(name)
        return work(False)

    with process(land) as (systems, team):
        outcome = offboarding.revoke(
            systems, team, step, report=lambda change: changes.append(str(change.id))
        )
    assert steps[:3] == ["observe Kubernetes", "observe Istio", "observe Keycloak"]
    assert "observe what is no longer declared" in steps
    assert changes == [str(change.id) for change in outcome.done]
    assert len(changes) > 8


@pytest.mark.demand("lifecycle", "a revocation empties sinks that are no longer declared")
def test_sinks_that_are_no_longer_declared_are_emptied_too(land: Bench) -> None:
    robots = {**SHOP["robots"], "ci": {"expiry_days": 90}}
    land.declare({**SHOP, "robots": robots}, DATA, platform=PLATFORM)
    others = bystanders(land)
    outcome = revoke(land)
    assert {each.id.key for each in outcome.done if each.id.kind == SECRET} == {
        f"pipelines/{kind}-shop" for kind in ("kaniko", "basic", "docker")
    }
    assert json.loads(land.secret("kaniko-shop", "pipelines")["config.json"]) == {
        "auths": FOREIGN_AUTH
    }
    assert land.secret("basic-shop", "pipelines")["password"] == ""
    assert json.loads(land.secret("docker-shop", "pipelines")[".dockerconfigjson"]) == {"auths": {}}
    assert revoke(land).done == ()
    assert bystanders(land) == others


def test_a_sink_whose_mark_was_removed_is_listed_as_kept(land: Bench) -> None:
    robots = {**SHOP["robots"], "ci": {"expiry_days": 90}}
    land.declare({**SHOP, "robots": robots}, DATA, platform=PLATFORM)
    gone = {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}}
    land.systems.home_cluster.merge("Secret", "docker-shop", "pipelines", gone)
    before = land.secret("docker-shop", "pipelines")
    kept = {str(each.id): each for each in revoke(land).kept}
    found = kept["kubernetes/Secret/pipelines/docker-shop"]
    assert "Tenantry did not create it" in found.reason
    assert land.secret("docker-shop", "pipelines") == before


@pytest.mark.demand("lifecycle", "a revocation lists the robots of others that still give access")
def test_robots_of_others_for_the_team_are_listed_and_critical_in_drift(land: Bench) -> None:
    names = [
        make_system_robot(land, name, *projects)["name"]
        for name, projects in (
            ("shops", ("team-shop",)),
            ("both", ("team-shop", "team-data")),
            ("all", ("*",)),
            ("datas", ("team-data",)),
        )
    ]
    record = {"since": "2026-11-30T16:00:00Z", "by": "ann", "remove_after": "2099-01-01"}
    land.declare({**SHOP, "offboarding": record}, DATA, platform=PLATFORM)
    team = land.state.offboarding["shop"]
    with land.process() as systems:
        kept = {str(each.id): each for each in offboarding.revoke(systems, team).kept}
    assert kept.keys() == {f"harbor/system robot/{names[0]}"}
    (found,) = kept.values()
    assert found.grants_access
    assert "Tenantry did not create it" in found.reason
    with land.process(extras=True) as systems:
        findings = [
            each
            for each in drift.find_drift(systems).report.findings
            if each.team == "shop" or "system robot" in each.id
        ]
    assert [(each.id, each.severity) for each in findings] == [
        (f"extra: harbor/system robot/{names[3]}", "critical"),
        (f"extra: harbor/system robot/{names[0]}", "critical"),
    ]
    assert "this still gives access" in findings[1].detail


def make_system_robot(bench: Bench, name: str, *projects: str) -> Any:
    """Create a robot of Harbor's system level, as an administrator does."""
    access = [{"resource": "repository", "action": "pull"}]
    rights = [{"kind": "project", "namespace": each, "access": access} for each in projects]
    body = {"name": name, "level": "system", "duration": -1, "permissions": rights}
    answer = admin(bench)("POST", "/robots", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()
