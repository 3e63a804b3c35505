"""What an offboarding must not touch, whatever tenants and others write into the systems."""

from typing import Any

import pytest

from tenantry import offboarding
from tests.isolation.snapshot import everything
from tests.offboarding.land import (
    DATA,
    PLATFORM,
    SHOP,
    admin,
    bystanders,
    left,
    plan,
    process,
    remove,
    revoke,
)
from tests.offboarding.test_removal import FOREIGN
from tests.support.harness import REALM, Bench, Data, granted, ids
from tests.support.invariants import assert_credentials_work
from tests.support.rotation_harness import enabled, robots

pytestmark = pytest.mark.demand(
    "lifecycle", "offboarding: nothing without Tenantry's mark for the team is changed"
)


def put(bench: Bench, kind: str, name: str, namespace: str = "", **more: Any) -> None:
    """Create an object in the cluster, as its tenant or an administrator can."""
    versions = {
        "RoleBinding": "rbac.authorization.k8s.io/v1",
        "VirtualService": "networking.istio.io/v1",
    }
    metadata = {"name": name, **more.pop("metadata", {})}
    if namespace:
        metadata["namespace"] = namespace
    version = versions.get(kind, "v1")
    bench.sandbox.kubernetes.put(
        {"apiVersion": version, "kind": kind, "metadata": metadata, **more}
    )


def marks(bench: Bench, team: str = "shop") -> Data:
    """Return the labels and annotations that mark the objects of a team."""
    found = bench.sandbox.kubernetes.get("RoleBinding", "tenantry-team", f"team-{team}")
    assert found is not None
    return {key: found["metadata"][key] for key in ("labels", "annotations")}


def make_robot(bench: Bench, name: str, description: str = "", project: str = "team-shop") -> Any:
    """Create a robot, as the administrator of a project can."""
    access = [{"resource": "repository", "action": "pull"}]
    rights = [{"kind": "project", "namespace": project, "access": access}]
    body = {"name": name, "level": "project", "duration": -1, "permissions": rights}
    answer = admin(bench)("POST", "/robots", json={**body, "description": description})
    assert answer.status_code == 201, answer.text
    return answer.json()


def kept(outcome: Any) -> dict[str, str]:
    """Return what an outcome keeps, with the reasons."""
    return {str(each.id): each.reason for each in outcome.kept}


def test_what_others_have_made_in_the_project_and_the_namespaces_is_kept_and_named(
    land: Bench,
) -> None:
    robot = make_robot(land, "nightly")
    subject = {"kind": "User", "name": "eve", "apiGroup": "rbac.authorization.k8s.io"}
    role = {"kind": "ClusterRole", "name": "view", "apiGroup": "rbac.authorization.k8s.io"}
    put(land, "RoleBinding", "auditors", "team-shop", subjects=[subject], roleRef=role)
    before = land.sandbox.kubernetes.get("RoleBinding", "auditors", "team-shop")
    outcome = revoke(land)
    assert kept(outcome) == {
        "harbor/robot/team-shop/nightly": "Tenantry did not create it",
        "kubernetes/RoleBinding/team-shop/auditors": "Tenantry did not create it",
    }
    assert all(each.grants_access for each in outcome.kept)
    assert land.sandbox.kubernetes.get("RoleBinding", "auditors", "team-shop") == before
    assert land.systems.harbor_client.accepts(robot["name"], robot["secret"])
    notes = {str(each.id): each.note for each in plan(land).removed}
    assert "1 resource" in notes["harbor/project/team-shop"]
    assert "1 resource" in notes["kubernetes/Namespace/team-shop"]


def test_a_tenant_cannot_keep_its_robots_by_removing_their_marks(land: Bench) -> None:
    for robot in robots(land).values():
        robot.description = "mine"
    revoke(land)
    assert enabled(land) == set()
    remove(land)
    assert left(land) == FOREIGN


def test_marks_in_the_namespaces_of_another_team_delete_nothing(land: Bench) -> None:
    objects: dict[str, Data] = {
        "Secret": {"type": "Opaque", "data": {"username": "eA==", "password": "eA=="}},
        "VirtualService": {"spec": {"hosts": ["shop.example.com"]}},
        "RoleBinding": {
            "roleRef": {
                "kind": "ClusterRole",
                "name": "view",
                "apiGroup": "rbac.authorization.k8s.io",
            }
        },
    }
    for kind, more in objects.items():
        put(land, kind, "forged", "team-data", metadata=marks(land), **more)
    make_robot(land, "forged-a", robots(land)["ci-a"].description, "team-data")
    others = bystanders(land)
    revoke(land)
    remove(land)
    assert bystanders(land) == others
    assert left(land) == FOREIGN


@pytest.mark.parametrize(
    "annotations",
    [{}, {"tenantry.io/mark": "v1:another-platform:shop"}, {"tenantry.io/mark": "v1:x"}],
    ids=["label only", "another platform", "no mark"],
)
def test_a_namespace_without_this_platforms_mark_is_not_deleted(
    annotations: dict[str, str], land: Bench
) -> None:
    labels = marks(land)["labels"]
    put(land, "Namespace", "shop-tools", metadata={"labels": labels, "annotations": annotations})
    put(land, "Secret", "x", "shop-tools", metadata={"labels": labels, "annotations": annotations})
    others = bystanders(land)
    revoke(land)
    remove(land)
    assert bystanders(land) == others


def test_a_mapper_of_another_team_is_not_deleted_wherever_it_leads(land: Bench) -> None:
    mappers = land.sandbox.keycloak.realms[REALM].provider_mappers.values()
    mapper = next(each for each in mappers if each["name"] == "tenantry team-data")
    mapper["config"]["group"] = "/team-shop"
    others = bystanders(land)
    revoke(land)
    remove(land)
    assert bystanders(land) == others


def test_a_project_that_no_namespace_claims_is_kept_whatever_its_robots_say(land: Bench) -> None:
    """A description of a robot can be written by an administrator of the project."""
    cluster = land.systems.home_cluster
    for name in ("harbor-project", "harbor-project-adopted"):
        body = {"metadata": {"annotations": {f"tenantry.io/{name}": None}}}
        cluster.merge("Namespace", "team-shop", None, body)
    make_robot(land, "hand-made")
    outcome = remove(land)
    assert kept(outcome)["harbor/project/team-shop"] == (
        "no namespace of the team records that Tenantry created the project"
    )
    assert list(robots(land)) == ["hand-made"]


def test_a_secret_that_replaced_a_sink_is_not_touched(land: Bench) -> None:
    secret = {"type": "Opaque", "data": {"config.json": "e30="}}
    for name in ("kaniko-shop", "docker-shop"):
        land.sandbox.kubernetes.delete("Secret", name, "pipelines")
        put(land, "Secret", name, "pipelines", **secret)
    before = everything(land.sandbox)
    revoke(land)
    remove(land)
    after = everything(land.sandbox)
    for name in ("kaniko-shop", "docker-shop"):
        part = ("kubernetes", "Secret", "pipelines", name)
        assert after[part] == before[part]


def test_a_group_that_contains_others_is_kept(land: Bench) -> None:
    realm = land.sandbox.keycloak.realms[REALM]
    group = realm.child_named(None, "team-shop")
    assert group is not None
    land.systems.keycloak_client.post(f"groups/{group.id}/children", {"name": "by-hand"})
    outcome = remove(land)
    assert kept(outcome)["keycloak/group/team-shop"] == (
        "it contains groups that Tenantry did not create"
    )
    assert realm.child_named(None, "team-shop") is not None


@pytest.mark.parametrize("listing", [200, 403])
def test_what_a_team_no_longer_declares_ends_with_it(listing: int, land: Bench) -> None:
    """A namespace, a client, sinks and a robot of an earlier declaration carry its mark.

    The account of Tenantry may lack the right to list Secrets.
    """
    cluster = land.systems.home_cluster
    cluster.merge("Secret", "basic-shop", "pipelines", {"data": {"note": None}})
    others = bystanders(land)
    if listing == 403:
        land.sandbox.fault_for = lambda system, method, path: (
            403 if path.startswith("/api/v1/secrets") else None
        )
    land.declare(
        {"name": "shop", "robots": {"pull": None}},
        DATA,
        platform=PLATFORM,
    )
    revoke(land)
    assert enabled(land) == set()
    remove(land)
    assert left(land) == FOREIGN[1:], "what others have added to a sink is kept"
    assert bystanders(land) == others


def test_a_namespace_that_records_another_project_is_kept_with_it(land: Bench) -> None:
    """The file of a vanished team may lack the explicit name of its project."""
    land.declare({"name": "late", "names": {"project": "images"}}, DATA, SHOP, platform=NAMED)
    land.onboard("late")
    land.declare({"name": "late"}, DATA, SHOP, platform=PLATFORM)
    outcome = remove(land, name="late")
    assert kept(outcome)["kubernetes/Namespace/team-late"] == (
        "it records that Harbor project 'images' is the team's. Declare 'names: {project: "
        "images}' in the team's file to remove both"
    )
    assert "images" in land.sandbox.harbor.projects


def test_what_blocks_a_namespace_is_cut_and_escaped(land: Bench) -> None:
    hostile = [f"example.com/{'x' * 50}{number}" for number in range(40)]
    put(land, "ConfigMap", "x", "team-shop", metadata={"finalizers": hostile})
    outcome = remove(land, wait=1)
    (blocked,) = outcome.blocked
    assert len(str(blocked)) < 4000


# Adopted


NAMED: Data = {
    **PLATFORM,
    "policy": {
        "grants": [
            *PLATFORM["policy"]["grants"],
            *granted("late", projects=["images"])["policy"]["grants"],
        ]
    },
}
ADOPTED: Data = {
    "name": "old",
    "adopt": "yes",
    "oidc_clients": {"web": {"redirect_uris": ["https://old.example.com/cb"]}},
}


@pytest.fixture
def adopted(land: Bench) -> Bench:
    """Return the bench with a team whose objects were made by hand, and then adopted."""
    put(land, "Namespace", "team-old")
    client = land.systems.keycloak_client
    client.post("groups", {"name": "team-old"})
    client.post("clients", {"clientId": "team-old-web", "redirectUris": ["https://x.test/"]})
    admin(land)("POST", "/projects", json={"project_name": "team-old", "metadata": {}})
    grants = [*PLATFORM["policy"]["grants"], *granted("old", adopt="yes")["policy"]["grants"]]
    platform = {**PLATFORM, "policy": {"grants": grants}}
    land.declare(SHOP, DATA, ADOPTED, platform=platform).onboard("old")
    return land


def test_what_was_adopted_is_kept_unless_it_is_requested(adopted: Bench) -> None:
    revoked = revoke(adopted, name="old")
    assert set(kept(revoked).values()) == {"it existed before, and Tenantry adopted it"}
    assert set(kept(revoked)) == {
        "keycloak/client/team-old-web",
        "harbor/member/team-old/team-old",
    }
    outcome = remove(adopted, name="old")
    assert {
        "harbor/project/team-old",
        "kubernetes/Namespace/team-old",
        "keycloak/group/team-old",
        "keycloak/client/team-old-web",
    } <= set(kept(outcome))
    assert robots(adopted, "team-old") == {}
    kubernetes = adopted.sandbox.kubernetes
    for name in ("harbor-pull", "harbor-ci", "oidc-web"):
        assert kubernetes.get("Secret", name, "team-old") is None
    account = kubernetes.get("ServiceAccount", "default", "team-old")
    assert account is not None
    assert "harbor-pull" not in str(account.get("imagePullSecrets"))
    assert kubernetes.get("NetworkPolicy", "tenantry-default-deny", "team-old") is not None


def test_what_was_adopted_is_revoked_and_removed_if_it_is_requested(adopted: Bench) -> None:
    outcome = revoke(adopted, name="old", adopted=True)
    assert outcome.kept == ()
    with process(adopted, "old") as (systems, team):
        found = offboarding.plan_removal(systems, team, adopted=True)
        assert ids(found.removed) == [
            "harbor/project/team-old",
            "keycloak/client/team-old-web",
            "keycloak/identity provider mapper/corp/tenantry team-old",
            "kubernetes/Namespace/team-old",
            "keycloak/group/team-old",
        ]
        assert offboarding.remove(systems, found).is_complete
    assert "team-old" not in adopted.sandbox.harbor.projects
    assert_credentials_work(adopted.declare(DATA, platform=PLATFORM))
