"""The shipped rights of Tenantry's service account, on a real API server.

Harbor is given or simulated; Keycloak is simulated.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tenantry import checks, onboarding
from tenantry.errors import NotOurs, SystemRefused
from tenantry.sandbox import Sandbox
from tests.real.conftest import Cluster
from tests.real.rights_lab import ClusterOfOurs, Data
from tests.support.addresses import GivenHarbor
from tests.support.harness import prepare
from tests.support.narrowing import as_body, present

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(300),
    pytest.mark.demand("isolation", "the members' role: missing, outdated, not bindable"),
]


@pytest.fixture
def ours(
    real_kubernetes: Cluster, given_harbor: GivenHarbor | None, tmp_path: Path
) -> Iterator[ClusterOfOurs]:
    with Sandbox() as sandbox:
        ours = ClusterOfOurs(real_kubernetes, given_harbor, prepare(sandbox), tmp_path / "state")
        yield ours
        ours.close()


def without(verb: str) -> Callable[[list[Data]], None]:
    def change(rules: list[Data]) -> None:
        for rule in rules:
            if verb in rule["verbs"]:
                rule["verbs"].remove(verb)

    return change


GATEWAY: Data = {"hosts": ["*.example.com"], "certificate": "wildcard"}
RICH: Data = {
    "namespace": {"quota": {"pods": 50}, "limits": {"default": {"cpu": "500m"}}},
    "further_namespaces": {"jobs": {"mesh": False}},
    "oidc_clients": {"web": {"redirect_uris": ["https://shop.example.com/cb"]}},
}


def rich(ours: ClusterOfOurs) -> Data:
    paths = [{"service": "front", "port": 80}]
    return {**RICH, "routes": {"web": {"host": f"{ours.mark}.example.com", "paths": paths}}}


def test_a_team_is_onboarded_with_just_the_rights_that_ship(ours: ClusterOfOurs) -> None:
    account = ours.account()

    assert ours.onboard(account, **rich(ours)).is_done

    assert ours.plan(account, **rich(ours)).changes == ()
    bound = ours.rbac.read_namespaced_role_binding("tenantry-team", f"team-{ours.team}")
    assert bound.role_ref.name == "tenantry-team-member"


@pytest.mark.demand(
    "platform", "the mesh is configured and checked with just the rights of deployments/rbac.yaml"
)
def test_the_mesh_is_configured_and_checked_with_just_the_rights_that_ship(
    ours: ClusterOfOurs,
) -> None:
    account, namespace = ours.account(), f"harbor-{ours.mark}"
    ours.core.create_namespace(as_body({"metadata": {"name": namespace}}))
    for role in ("tenantry-mesh", "tenantry-gateways", "tenantry-app-protocols"):
        ours.bind(role, namespace)
    for name in ("harbor-portal", "harbor-redis"):
        spec = {"selector": {"component": name}, "ports": [{"name": "x", "port": 80}]}
        body = as_body({"metadata": {"name": name}, "spec": spec})
        ours.core.create_namespaced_service(namespace, body)
    harbor = {
        "host": f"{ours.mark}.example.com",
        "namespace": namespace,
        "portal_tokens": {"required": True},
        "app_protocols": {"harbor-redis": {80: "tcp"}},
    }
    mesh = {"gateways": {f"{namespace}/public": GATEWAY}, "harbor": harbor}
    platform = {"name": "Mesh", "mesh": {**mesh, "gateway": f"{namespace}/public"}}
    with ours.systems(account, platform=platform) as systems:
        assert len(onboarding.configure(systems).done) == 7
        assert onboarding.configure(systems).done == ()
        assert not [f for f in checks.check_all(systems) if f.class_ == "unreadable"]
    less = {"host": harbor["host"], "namespace": namespace}
    platform["mesh"] = {**mesh, "gateway": f"{namespace}/public", "harbor": less}
    with ours.systems(account, platform=platform) as systems:
        assert {change.action for change in onboarding.configure(systems).done} == {"delete"}


def test_where_the_members_role_is_missing_onboarding_names_the_file_to_apply(
    ours: ClusterOfOurs,
) -> None:
    account = ours.account()
    ours.rbac.delete_cluster_role("tenantry-team-member")

    with pytest.raises(SystemRefused) as refused:
        ours.onboard(account)

    assert refused.value.call.endswith("/clusterroles/tenantry-team-member")
    assert "kubectl apply -f deployments/rbac.yaml" in str(refused.value)
    ours.account()
    assert ours.onboard(account).is_done


def test_where_the_members_role_is_outdated_all_else_is_done_and_the_file_is_named(
    ours: ClusterOfOurs,
) -> None:
    account = ours.account()
    weakened = [{"op": "remove", "path": "/rules/0"}]
    ours.rbac.patch_cluster_role("tenantry-team-member", weakened)

    with pytest.raises(NotOurs) as refused:
        ours.onboard(account)

    assert "it differs in rules; Tenantry's account may not change it" in str(refused.value)
    assert "kubectl apply -f deployments/rbac.yaml" in str(refused.value)
    assert ours.core.read_namespaced_secret("harbor-pull", f"team-{ours.team}")
    ours.account()
    assert ours.onboard(account).is_done


def test_an_account_of_before_that_may_write_the_members_role_still_does(
    ours: ClusterOfOurs,
) -> None:
    def add_previous_rights(rules: list[Data]) -> None:
        rules[-1]["verbs"] = ["get", "create", "patch", "escalate", "bind"]

    account = ours.account(add_previous_rights)
    weakened = [{"op": "remove", "path": "/rules/0"}]
    before = ours.rbac.read_cluster_role("tenantry-team-member")
    ours.rbac.patch_cluster_role("tenantry-team-member", weakened)

    assert ours.onboard(account).is_done

    restored = ours.rbac.read_cluster_role("tenantry-team-member")
    assert present(restored.metadata).uid == present(before.metadata).uid
    assert len(present(restored.rules)) == len(present(before.rules))


def test_what_can_not_be_changed_in_place_may_be_replaced(ours: ClusterOfOurs) -> None:
    account = ours.account()
    ours.onboard(account)
    namespace, roles = f"team-{ours.team}", ours.rbac
    binding = roles.read_namespaced_role_binding("tenantry-team", namespace)
    roles.delete_namespaced_role_binding("tenantry-team", namespace)
    binding.role_ref.name = "view"
    metadata = present(binding.metadata)
    metadata.resource_version = metadata.uid = None
    roles.create_namespaced_role_binding(namespace, binding)

    ours.onboard(account)

    replaced = roles.read_namespaced_role_binding("tenantry-team", namespace)
    assert replaced.role_ref.name == "tenantry-team-member"


def test_without_bind_it_fails_with_the_api_servers_message(ours: ClusterOfOurs) -> None:
    account = ours.account(without("bind"))

    with pytest.raises(SystemRefused) as refused:
        ours.onboard(account)

    assert refused.value.status == 403
    assert refused.value.call.endswith("/rolebindings/tenantry-team")
    assert "is attempting to grant RBAC permissions not currently held" in str(refused.value)


def test_no_other_cluster_role_may_be_bound(ours: ClusterOfOurs) -> None:
    account = ours.account()

    with pytest.raises(SystemRefused) as refused:
        ours.onboard(account, namespace={"cluster_role": "cluster-admin"})

    assert refused.value.status == 403
    assert refused.value.call.endswith("/rolebindings/tenantry-team")
