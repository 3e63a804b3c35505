"""A team is removed: what is deleted, in which order, and what is kept."""

import json

import pytest

from tenantry import offboarding
from tenantry.declared import Team
from tenantry.outcomes import NotApproved
from tenantry.systems.harbor.kinds import PROJECT
from tests.offboarding.land import (
    DATA,
    FOREIGN_AUTH,
    PLATFORM,
    admin,
    bystanders,
    left,
    plan,
    process,
    push_images,
    remove,
    revoke,
)
from tests.sandbox.calls import Caller
from tests.support.demands import Figure
from tests.support.harness import Bench, ids
from tests.support.images import MANIFEST
from tests.support.invariants import assert_in_sync
from tests.support.wire import Request, Send, Wire

FOREIGN = ["kubernetes/Secret/pipelines/basic-shop", "kubernetes/Secret/pipelines/kaniko-shop"]
"""The sinks that others have written to, too."""


def test_a_removed_team_leaves_nothing_but_what_others_have_added(land: Bench) -> None:
    others = bystanders(land)
    revoke(land)
    outcome = remove(land)
    assert outcome.is_complete
    assert left(land) == FOREIGN
    assert bystanders(land) == others
    kept = {str(each.id): each.reason for each in outcome.kept}
    assert kept == {
        f"kubernetes/Secret/pipelines/{name}": "it holds keys or credentials that others have added"
        for name in ("basic-shop", "kaniko-shop")
    }
    assert plan(land).is_empty


def test_the_plan_lists_what_is_removed_in_its_order(land: Bench) -> None:
    revoke(land)
    push_images(land, "web", "api")
    found = plan(land, delete_images=True)
    assert ids(found.removed) == [
        "harbor/repository/team-shop/api",
        "harbor/repository/team-shop/web",
        "harbor/project/team-shop",
        "keycloak/client/team-shop-web",
        "keycloak/identity provider mapper/corp/tenantry team-shop",
        "kubernetes/Secret/pipelines/docker-shop",
        "kubernetes/Namespace/team-shop",
        "kubernetes/Namespace/team-shop-jobs",
        "keycloak/group/team-shop",
    ]


def test_without_a_revocation_credentials_in_shared_secrets_are_removed_too(land: Bench) -> None:
    logins = land.login("harbor-ci")
    remove(land)
    assert left(land) == FOREIGN
    assert json.loads(land.secret("kaniko-shop", "pipelines")["config.json"]) == {
        "auths": FOREIGN_AUTH
    }
    assert not land.systems.harbor_client.accepts(*logins)


@pytest.mark.demand(
    "lifecycle", "costs: a removal writes at most once to each resource", sample=True
)
def test_a_removal_writes_once_to_each_resource(land: Bench, figure: Figure) -> None:
    revoke(land)
    push_images(land, "web")
    approved = plan(land, delete_images=True)
    with Wire() as wire:
        remove(land, approved)
    written = [str(request).partition(", ")[2] for request in wire.requests if request.is_write]
    figure(f"{len(written)} writes to {len(approved.removed)} resources")
    assert len(written) == len(set(written)) == len(approved.removed)
    with Wire() as wire:
        remove(land)
    assert [str(request) for request in wire.requests if request.is_write] == []


# Images


@pytest.mark.demand("lifecycle", "guard: a project with images is kept", sample=True)
def test_a_project_with_images_is_kept_and_its_robots_are_deleted(land: Bench) -> None:
    revoke(land)
    push_images(land, "web", "api")
    outcome = remove(land)
    kept = {str(each.id): each.reason for each in outcome.kept}
    reason = kept["harbor/project/team-shop"]
    assert reason == "it contains 2 repositories, and the images are to be kept"
    project = land.sandbox.harbor.projects["team-shop"]
    assert len(project.repositories) == 2
    assert [r for r in land.sandbox.harbor.robots.values() if r.project_id == project.id] == []
    assert left(land) == ["harbor/projects/team-shop", *FOREIGN]
    again = plan(land)
    assert again.is_empty
    assert {str(each.id): each.reason for each in again.kept} == kept


def test_the_plan_shows_the_images_before_they_are_deleted(land: Bench) -> None:
    push_images(land, "web", tag="1")
    push_images(land, "web", tag="2")
    revoke(land)
    (repository,) = plan(land).repositories
    assert (repository.name, repository.tags) == ("team-shop/web", ("1", "2"))
    assert repository.artifacts == 2
    assert repository.size > 1000
    assert repository.last_push
    assert repository.last_pull == ""


def test_immutable_tags_are_deleted_only_on_request(land: Bench) -> None:
    push_images(land, "web", tag="v1")
    with process(land) as (systems, _):
        number = land.sandbox.harbor.projects["team-shop"].id
        systems.harbor_client.create(f"/projects/{number}/immutabletagrules", immutable("v*"))
        systems.harbor_client.create(
            f"/projects/{number}/immutabletagrules", {**immutable("x*"), "disabled": True}
        )
    revoke(land)
    assert "rule" not in str(ids(plan(land).removed)), "the rules stay with the images"
    found = plan(land, delete_images=True)
    assert ids(found.removed)[:2] == [
        "harbor/immutable-tag rule/team-shop/**:v*",
        "harbor/repository/team-shop/web",
    ]
    remove(land, found)
    assert left(land) == FOREIGN


def immutable(tags: str) -> dict:
    """Return a rule for all repositories."""
    return {
        "action": "immutable",
        "template": "immutable_template",
        "tag_selectors": [{"kind": "doublestar", "decoration": "matches", "pattern": tags}],
        "scope_selectors": {
            "repository": [{"kind": "doublestar", "decoration": "repoMatches", "pattern": "**"}]
        },
    }


def test_images_that_are_pushed_after_the_approval_are_not_deleted(land: Bench) -> None:
    push_images(land, "web")
    revoke(land)
    approved = plan(land, delete_images=True)
    push_images(land, "late")
    others = land.sandbox.harbor.dump()
    with pytest.raises(NotApproved, match="deletes more"):
        remove(land, approved)
    assert land.sandbox.harbor.dump()["projects"] == others["projects"]


def test_pulls_with_a_token_from_before_the_revocation_do_not_disturb_the_removal(
    land: Bench,
) -> None:
    """A token of the registry is valid for up to 30 minutes after its robot is disabled."""
    push_images(land, "web")
    username, password = land.login("harbor-pull")
    harbor = admin(land)
    holder = Caller(harbor.url, username, password)
    scope = "scope=repository:team-shop/web:pull"
    token = holder.json(f"/service/token?service=harbor-registry&{scope}")["token"]
    headers = {"authorization": f"Bearer {token}", "accept": MANIFEST}
    answers: list[int] = []

    def pull(request: Request, send: Send) -> object:
        if "/v2/" not in request.url and request.is_write:
            path = "/v2/team-shop/web/manifests/1"
            answers.append(Caller(harbor.url)("GET", path, headers).status_code)
        return send()

    with Wire(pull):
        revoke(land)
        remove(land, plan(land, delete_images=True))
    assert left(land) == FOREIGN
    assert answers[0] == 200
    assert answers[-1] == 401
    assert answers == sorted(answers, key=(200, 404, 401).index)


def test_a_new_team_of_the_same_name_gets_nothing_of_the_removed_one(land: Bench) -> None:
    push_images(land, "web")
    logins = [land.login(name) for name in ("harbor-pull", "harbor-ci")]
    client_secret = land.secret("oidc-web")["client_secret"]
    number = land.sandbox.harbor.projects["team-shop"].id
    revoke(land)
    remove(land, plan(land, delete_images=True))
    land.load().onboard("shop")
    assert_in_sync(land)
    project = land.sandbox.harbor.projects["team-shop"]
    assert project.id > number
    assert project.repositories == {}
    assert not any(land.systems.harbor_client.accepts(*login) for login in logins)
    assert land.secret("oidc-web")["client_secret"] != client_secret


# A project that was kept


def finish(bench: Bench, number: int) -> Team:
    """Declare what `offboard-team` declares to have a kept project deleted, and return the team."""
    record = {
        "since": "2026-11-30T16:00:00Z",
        "by": "ann",
        "remove_after": "2026-12-14",
        "delete_images": True,
        "kept_projects": {"team-shop": number},
    }
    bench.declare({"name": "shop", "offboarding": record}, DATA, platform=PLATFORM)
    return bench.state.offboarding["shop"]


@pytest.mark.demand(
    "lifecycle", "a project that a removal kept is deleted later, if it is the same"
)
def test_a_project_that_was_kept_is_removed_later_with_its_images(land: Bench) -> None:
    push_images(land, "web")
    revoke(land)
    (kept,) = (each for each in remove(land).kept if each.id.kind == PROJECT)
    assert kept.number == land.sandbox.harbor.projects["team-shop"].id
    others = bystanders(land)
    team = finish(land, kept.number)
    with land.process() as systems:
        assert offboarding.revoke(systems, team).done == ()
        found = offboarding.plan_removal(systems, team)
        assert ids(found.removed) == ["harbor/repository/team-shop/web", "harbor/project/team-shop"]
        assert found.is_approved(found.approval)
        assert found.is_approved(found.digest)
        assert not found.is_approved("of-something-else")
        assert offboarding.remove(systems, found).is_complete
    assert left(land) == FOREIGN
    assert bystanders(land) == others


def test_another_project_with_the_name_of_a_kept_one_is_not_removed(land: Bench) -> None:
    push_images(land, "web")
    revoke(land)
    (kept,) = (each for each in remove(land).kept if each.id.kind == PROJECT)
    assert kept.number is not None
    with land.process() as systems:
        harbor = systems.harbor_client
        harbor.delete("/projects/team-shop/repositories/web", by_name=True)
        harbor.delete(f"/projects/{kept.number}")
        harbor.post("/projects", {"project_name": "team-shop"})
    push_images(land, "web")
    others = everything_of(land)
    team = finish(land, kept.number)
    with land.process() as systems:
        found = offboarding.plan_removal(systems, team)
        assert found.is_empty
        (reason,) = (each.reason for each in found.kept if each.id.kind == PROJECT)
        offboarding.remove(systems, found)
    assert "no namespace of the team records that Tenantry created the project" in reason
    assert everything_of(land) == others


# Guards


def test_what_appeared_since_the_approval_is_not_deleted(land: Bench) -> None:
    revoke(land)
    approved = plan(land)
    with process(land) as (systems, _):
        found = systems.home_cluster.get("Namespace", "team-shop")
        assert found is not None
        marks = {key: found["metadata"][key] for key in ("labels", "annotations")}
    land.sandbox.kubernetes.put(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "late", **marks}}
    )
    with pytest.raises(NotApproved):
        remove(land, approved)
    assert "kubernetes/Namespace//late" in "\n".join(map(str, everything_of(land)))


def everything_of(bench: Bench) -> list[str]:
    """Return the places of all objects."""
    from tests.isolation.snapshot import everything

    return ["/".join(part) for part in everything(bench.sandbox)]


@pytest.mark.demand(
    "lifecycle", "guard: a namespace stuck on a finalizer is named with what blocks it", sample=True
)
def test_a_namespace_that_is_stuck_on_a_finalizer_is_named_with_what_blocks_it(
    land: Bench,
) -> None:
    revoke(land)
    land.sandbox.kubernetes.put(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "x", "namespace": "team-shop", "finalizers": ["example.com/hold"]},
        }
    )
    approved = plan(land)
    outcome = remove(land, approved, wait=1)
    assert not outcome.is_complete
    (blocked,) = outcome.blocked
    assert blocked.namespace == "team-shop"
    assert "NamespaceFinalizersRemaining" in str(blocked)
    assert "example.com/hold" in str(blocked)
    assert "keycloak/group/team-shop" in ids(outcome.removed), "a stuck namespace blocks no other"
    again = plan(land)
    assert ids(again.removed) == ["kubernetes/Namespace/team-shop"]
    assert again.is_approved(approved.approval)
    held = land.sandbox.kubernetes.get("ConfigMap", "x", "team-shop")
    assert held is not None
    del held["metadata"]["finalizers"]
    land.sandbox.kubernetes.put(held)
    assert remove(land, again).is_complete
    assert left(land) == FOREIGN
