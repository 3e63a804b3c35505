"""The access of a team is revoked, and onboarding the team again restores it."""

import json
from collections.abc import Callable
from typing import TypeVar

import pytest

from tenantry import offboarding
from tests.offboarding.land import (
    FOREIGN_AUTH,
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
