"""Teams onboarded on a real Keycloak and a real Kubernetes API server.

Harbor is the given one, or else simulated, because the tests cannot start a real one.
"""

import base64
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import kubernetes
import pytest

from demo.processes import ROOT, LocalPlatform
from tenantry import onboarding
from tenantry.connections import Cluster as ClusterAccount
from tenantry.connections import Connections, HarborAccount, KeycloakAccount
from tenantry.declared import load
from tenantry.sandbox import Sandbox
from tenantry.systems.systems import Systems
from tenantry.walk import observe_owners
from tests.real.conftest import Cluster, Keycloak
from tests.real.servers import browser
from tests.real.test_servers import connected
from tests.support.addresses import GivenHarbor, given
from tests.support.flow_harness import SharedBench, platform
from tests.support.narrowing import as_body, present

__all__ = ["platform"]

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(300),
    pytest.mark.demand("onboard", "all of tests/real/test_onboarding.py"),
]

REDIRECT = "https://shop.example.com/oauth2/callback"


class RealBench(SharedBench):
    """The teams of the example, with names that are unique on the given systems."""

    def declare_example(self) -> None:
        """Declare the teams, and give the objects that they share a unique name as well."""
        example = ROOT / "deployments" / "example"
        text = (example / "platform.yaml").read_text()
        text = text.replace("keycloak:\n  realm: platform\n", "")
        text = text.replace("teams: [data]", f"teams: [{self.name('data')}]")
        self.declare_platform(text.replace("all-teams-admin", f"all-teams-admin-{self.mark}"))
        for path in (example / "teams").glob("*.yaml"):
            text = path.read_text().replace(
                f"name: {path.stem}\n", f"name: {self.name(path.stem)}\n"
            )
            text = text.replace("shop.example.com", f"{self.name('shop')}.example.com")
            self.file(path.stem).write_text(text)

    def file(self, team: str) -> Path:
        """Return the path of a team's file."""
        return self.declared / "teams" / f"{self.name(team)}.yaml"

    def systems(self) -> Systems:
        connections = Connections(
            harbor=HarborAccount.model_validate(self.addresses["harbor"]),
            keycloak=KeycloakAccount.model_validate(self.addresses["keycloak"]),
            kubernetes=ClusterAccount.model_validate(self.addresses["kubernetes"]),
        )
        return Systems(connections, load(self.declared))

    def plans(self) -> dict[str, Any]:
        """Return the pending changes by team; a team in sync has none."""
        with self.systems() as systems:
            outcomes = onboarding.plan_all(systems, list(systems.state.teams.values()))
        assert not [outcome.error for outcome in outcomes if outcome.error]
        return {outcome.team: outcome.plan.changes for outcome in outcomes if outcome.plan}


@pytest.fixture(scope="module")
def bench(
    platform: LocalPlatform,
    given_harbor: GivenHarbor | None,
    real_keycloak: Keycloak,
    real_kubernetes: Cluster,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RealBench]:
    folder = tmp_path_factory.mktemp("real") / "declared"
    with Sandbox() as sandbox:
        started = {
            "harbor": sandbox.addresses()["harbor"],
            "keycloak": asdict(real_keycloak),
            "kubernetes": {"kubeconfig": str(real_kubernetes.kubeconfig)},
        }
        with RealBench(platform, given().addresses(started), folder) as bench:
            bench.declare_example()
            yield bench


@pytest.fixture(scope="module")
def onboarded(bench: RealBench) -> RealBench:
    run = bench.run("onboard-teams")
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert run["state"]["message"] == "3 of 3 teams changed, 0 failed."
    return bench


@pytest.mark.demand("onboard", "real servers: the Prefect flow onboards three teams in one pass")
def test_one_pass_leaves_nothing_to_do(onboarded: RealBench) -> None:
    assert onboarded.plans() == {onboarded.name(team): () for team in ("data", "demo", "shop")}


@pytest.mark.demand("onboard", "real servers: a second pass changes no resourceVersion")
def test_a_second_pass_writes_nothing(onboarded: RealBench) -> None:
    """A write would increase a resource version, or the update time of a robot or quota."""
    before, projects = _versions(onboarded), _projects(onboarded)

    run = onboarded.run("onboard-teams", scope="all")

    assert run["state"]["message"] == "0 of 3 teams changed, 0 failed."
    assert _versions(onboarded) == before
    assert _projects(onboarded) == projects


def test_the_objects_are_there_as_declared(onboarded: RealBench) -> None:
    slug = onboarded.slug("shop")
    namespace = onboarded.core.read_namespace(slug)
    assert namespace.metadata.labels["app.kubernetes.io/managed-by"] == "tenantry"
    assert namespace.metadata.labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert namespace.metadata.labels["istio-injection"] == "enabled"
    quota = onboarded.core.read_namespaced_resource_quota("tenantry", slug)
    assert quota.spec.hard["requests.cpu"] == "32"
    policies = kubernetes.client.NetworkingV1Api(onboarded.api).list_namespaced_network_policy(slug)
    assert {present(policy.metadata).name for policy in policies.items} == {
        "tenantry-default-deny",
        "tenantry-allow-dns",
        "tenantry-allow-same-namespace",
        "tenantry-allow-mesh",
        "tenantry-allow-gateway",
    }
    custom: Any = kubernetes.client.CustomObjectsApi(onboarded.api)
    route = custom.get_namespaced_custom_object(
        "networking.istio.io", "v1", slug, "virtualservices", "web"
    )
    assert [http["match"][0]["uri"]["prefix"] for http in route["spec"]["http"]] == ["/api/", "/"]


def test_the_pull_secret_opens_harbor_and_pods_get_it(onboarded: RealBench) -> None:
    slug = onboarded.slug("demo")
    secret = onboarded.core.read_namespaced_secret("harbor-pull", slug)
    account = onboarded.core.read_namespaced_service_account("default", slug)
    content = json.loads(base64.b64decode(secret.data[".dockerconfigjson"]))
    info = onboarded.harbor.json("/systeminfo")
    prefix = onboarded.harbor.json("/configurations")["robot_name_prefix"]["value"]

    assert secret.type == "kubernetes.io/dockerconfigjson"
    assert list(content["auths"]) == [info["registry_url"].rpartition("://")[2]]
    assert onboarded.login("harbor-pull", "demo")[0] == f"{prefix}{slug}+pull-a"
    assert onboarded.can_log_in("harbor-pull", "demo")
    assert "harbor-pull" in [reference.name for reference in account.image_pull_secrets]


@pytest.mark.demand(
    "onboard",
    "real API server: members can work, but cannot write a NetworkPolicy, quota, "
    "limit range or role binding",
)
def test_members_can_work_in_the_namespace_but_not_change_its_isolation(
    onboarded: RealBench,
) -> None:
    """The ClusterRole `edit` of Kubernetes would let members write NetworkPolicies."""
    slug = onboarded.slug("demo")

    def may(verb: str, group: str, resource: str, namespace: str = slug) -> bool:
        review = {
            "spec": {
                "user": "somebody",
                "groups": [slug],
                "resourceAttributes": {
                    "verb": verb,
                    "group": group,
                    "resource": resource,
                    "namespace": namespace,
                },
            }
        }
        answer = kubernetes.client.AuthorizationV1Api(onboarded.api).create_subject_access_review(
            as_body(review)
        )
        return bool(present(answer.status).allowed)

    assert may("create", "apps", "deployments")
    assert may("get", "", "secrets")
    assert may("list", "networking.k8s.io", "networkpolicies")
    fences = [
        ("networking.k8s.io", "networkpolicies"),
        ("", "resourcequotas"),
        ("", "limitranges"),
        ("rbac.authorization.k8s.io", "rolebindings"),
        ("rbac.authorization.k8s.io", "roles"),
    ]
    for verb in ("create", "update", "patch", "delete"):
        assert not [fence for fence in fences if may(verb, *fence)]
    assert not may("get", "", "pods", onboarded.slug("data")), "another team's namespace"


@pytest.mark.demand("onboard", "real Keycloak: a login yields an ID token with the team's group")
def test_a_login_yields_an_id_token_with_the_teams_group(onboarded: RealBench) -> None:
    admin, slug = onboarded.admin, onboarded.slug("shop")
    user: Any = admin.create_user(
        {
            "username": "alice",
            "email": "alice@example.com",
            "emailVerified": True,
            "firstName": "Alice",
            "lastName": "Example",
            "enabled": True,
            "credentials": [{"type": "password", "value": "wonderland", "temporary": False}],
        }
    )
    admin.group_user_add(user, admin.get_group_by_path(f"/{slug}")["id"])
    data = onboarded.core.read_namespaced_secret("oidc-web", slug).data
    secret = {key: base64.b64decode(value).decode() for key, value in data.items()}

    claims = browser.log_in(
        onboarded.addresses["keycloak"]["url"],
        onboarded.realm,
        secret["client_id"],
        secret["client_secret"],
        REDIRECT.replace("shop", onboarded.name("shop")),
        "alice",
        "wonderland",
    )

    assert claims["groups"] == [slug]
    assert claims["iss"] == secret["issuer"]


@pytest.mark.demand("onboard", "real servers: manual changes are found and remediated")
def test_manual_changes_on_the_real_servers_are_found_and_repaired(onboarded: RealBench) -> None:
    slug, admin = onboarded.slug("demo"), onboarded.admin
    networking = kubernetes.client.NetworkingV1Api(onboarded.api)
    rbac = kubernetes.client.RbacAuthorizationV1Api(onboarded.api)
    networking.patch_namespaced_network_policy(
        "tenantry-default-deny", slug, {"spec": {"ingress": [{}]}}
    )
    networking.patch_namespaced_network_policy(
        "tenantry-allow-same-namespace",
        slug,
        {"spec": {"podSelector": {"matchLabels": {"a": "b"}}}},
    )
    onboarded.core.patch_namespaced_resource_quota(
        "tenantry", slug, {"spec": {"hard": {"pods": "9"}}}
    )
    onboarded.core.patch_namespaced_limit_range(
        "tenantry", slug, [{"op": "replace", "path": "/spec/limits/0/default/cpu", "value": "150m"}]
    )
    onboarded.core.patch_namespace(slug, {"metadata": {"labels": {"istio-injection": None}}})
    rbac.patch_namespaced_role_binding("tenantry-team", slug, {"subjects": None})
    onboarded.core.delete_namespaced_secret("harbor-pull", slug)
    group = admin.get_group_by_path(f"/{slug}")
    admin.update_group(
        group["id"], {"name": slug, "attributes": {**group["attributes"], "x": ["y"]}}
    )
    client = present(admin.get_client_id(f"{onboarded.slug('shop')}-web"))
    admin.update_client(client, {"directAccessGrantsEnabled": True, "redirectUris": ["*"]})

    left = onboarded.plans()
    run = onboarded.run("onboard-teams", scope="all")

    changes = {
        str(change.id).replace(onboarded.mark, "X") for change in left[onboarded.name("demo")]
    }
    inside = "kubernetes/{}/team-demo-X/{}"
    assert changes == {
        "kubernetes/Namespace/team-demo-X",
        inside.format("NetworkPolicy", "tenantry-default-deny"),
        inside.format("NetworkPolicy", "tenantry-allow-same-namespace"),
        inside.format("ResourceQuota", "tenantry"),
        inside.format("LimitRange", "tenantry"),
        inside.format("RoleBinding", "tenantry-team"),
        inside.format("Secret", "harbor-pull"),
    }
    shop = left[onboarded.name("shop")]
    assert [difference.field for change in shop for difference in change.differences] == [
        "directAccessGrantsEnabled",
        "redirectUris",
    ]
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert not [changes for changes in onboarded.plans().values() if changes]


def test_fields_that_are_no_longer_declared_are_removed(onboarded: RealBench) -> None:
    """A label, a quota's limit and a client's origin that we set and that the file lost since."""
    file = onboarded.file("demo")
    before = file.read_text()
    extra = "namespace: {labels: {cost: '7'}, quota: {count/secrets: 90}}\n"
    file.write_text(before + extra)
    onboarded.run("onboard-teams")
    namespace = onboarded.core.read_namespace(onboarded.slug("demo"))
    assert namespace.metadata.labels["cost"] == "7"

    file.write_text(before)
    run = onboarded.run("onboard-teams")

    assert run["state"]["message"] == "1 of 1 teams changed, 0 failed."
    namespace = onboarded.core.read_namespace(onboarded.slug("demo"))
    quota = onboarded.core.read_namespaced_resource_quota("tenantry", onboarded.slug("demo"))
    assert "cost" not in namespace.metadata.labels
    assert "count/secrets" not in quota.spec.hard


def test_a_namespace_that_is_going_is_waited_for(onboarded: RealBench) -> None:
    onboarded.core.delete_namespace(onboarded.slug("demo"))

    run = onboarded.run("onboard-teams")

    assert run["state"]["message"] == "1 of 1 teams changed, 0 failed."
    assert onboarded.core.read_namespace(onboarded.slug("demo")).status.phase == "Active"
    assert not onboarded.plans()[onboarded.name("demo")]


def test_an_account_of_the_realm_with_three_roles_is_enough(
    onboarded: RealBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docs/production.md requires only these roles, and not an administrator of all realms."""
    admin = onboarded.admin
    password = [{"type": "password", "value": "enough", "temporary": False}]
    names = {"firstName": "A", "lastName": "B", "email": "robot@example.com"}
    user: Any = admin.create_user(
        {"username": "tenantry", "enabled": True, "credentials": password, **names}
    )
    client = present(admin.get_client_id("realm-management"))
    roles = ("manage-users", "manage-clients", "manage-identity-providers")
    admin.assign_client_role(user, client, [admin.get_client_role(client, name) for name in roles])
    account = {"username": "tenantry", "password": "enough", "realm": onboarded.realm}
    monkeypatch.setitem(onboarded.addresses, "keycloak", onboarded.addresses["keycloak"] | account)
    file = onboarded.file("demo")
    before = file.read_text()
    redirect = f"https://{onboarded.name('demo')}.example.com/cb"
    file.write_text(before + f"oidc_clients: {{app: {{redirect_uris: ['{redirect}']}}}}\n")
    with onboarded.systems() as systems:
        messages = systems.check()
        done = onboarding.onboard(systems, systems.state.teams[onboarded.name("demo")]).done
    file.write_text(before)

    assert f"has realm '{onboarded.realm}'" in messages[1]
    assert {change.id.kind.name for change in done} == {
        "client",
        "Secret",
        "Namespace",  # the record of what Tenantry created
        "Namespace mark",
    }


@pytest.mark.demand("onboard", "real Keycloak under /auth")
def test_a_keycloak_under_a_path_works(
    bench: RealBench, real_keycloak_under_auth: Keycloak, tmp_path: Path
) -> None:
    admin = connected(real_keycloak_under_auth)
    admin.create_realm({"realm": bench.realm, "enabled": True})
    declared = tmp_path / "declared"
    shutil.copytree(bench.declared, declared)
    connections = Connections(
        harbor=HarborAccount.model_validate(bench.addresses["harbor"]),
        keycloak=KeycloakAccount.model_validate(asdict(real_keycloak_under_auth)),
        kubernetes=ClusterAccount.model_validate(bench.addresses["kubernetes"]),
    )
    with Systems(connections, load(declared)) as systems:
        systems.check()
        teams = list(systems.state.teams.values())
        observed = observe_owners(systems.team_adapters, teams)
        for team in teams:
            systems.apply(systems.plan(team, observed), observed, ["Keycloak"])
        again = observe_owners(systems.team_adapters, teams)
        left = [systems.plan(team, again).in_stage("Keycloak") for team in teams]
        issuer = systems.keycloak_client.issuer

    assert left == [[], [], []]
    assert issuer == f"{real_keycloak_under_auth.url}/realms/{bench.realm}"


def _versions(bench: RealBench) -> dict[str, str]:
    """Return the resource versions of the objects in the teams' namespaces, by uid."""
    networking = kubernetes.client.NetworkingV1Api(bench.api)
    found: dict[str, str] = {}
    for team in ("data", "demo", "shop"):
        slug = bench.slug(team)
        lists = [
            networking.list_namespaced_network_policy(slug),
            bench.core.list_namespaced_secret(slug),
            bench.core.list_namespaced_service_account(slug),
            bench.core.list_namespaced_resource_quota(slug),
            bench.core.list_namespaced_limit_range(slug),
        ]
        items = [
            bench.core.read_namespace(slug),
            *(item for found in lists for item in found.items),
        ]
        found |= {item.metadata.uid: item.metadata.resource_version for item in items}
    return found


def _projects(bench: RealBench) -> dict[str, Any]:
    """Return the teams' projects in Harbor, with the objects in them."""
    found: dict[str, Any] = {}
    for team in ("data", "demo", "shop"):
        project = bench.harbor.json(f"/projects/{bench.slug(team)}")
        number, retention = project["project_id"], project["metadata"].get("retention_id")
        robots = bench.harbor.json(f"/robots?q=Level%3Dproject,ProjectID%3D{number}&page_size=0")
        for robot in robots:  # Harbor returns the permissions in a random order
            robot["permissions"] = sorted(map(str, _sorted_access(robot["permissions"])))
        found[team] = {
            "project": project,
            "robots": robots,
            "members": bench.harbor.json(f"/projects/{number}/members?page_size=0"),
            "quota": bench.harbor.json(f"/quotas?reference=project&reference_id={number}"),
            "rules": bench.harbor.json(f"/projects/{number}/immutabletagrules?page_size=0"),
            "retention": retention and bench.harbor.json(f"/retentions/{retention}"),
        }
    return found


def _sorted_access(permissions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {**each, "access": sorted(each["access"], key=lambda one: sorted(one.items()))}
        for each in permissions
    ]
