"""The rights that ship for Tenantry's own service account, before a real API server.

Harbor is the one that is given, or the sandbox's; Keycloak is the sandbox's.
"""

import contextlib
import os
import shlex
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kubernetes
import pytest
from ruamel.yaml import YAML

from demo.processes import ROOT
from tenantry import checks, onboarding
from tenantry.connections import Cluster as ClusterAccount
from tenantry.connections import Connections, HarborAccount, KeycloakAccount
from tenantry.declared import load
from tenantry.errors import SystemRefused
from tenantry.plan import Plan
from tenantry.sandbox import Sandbox
from tenantry.systems import Systems
from tests.addresses import GivenHarbor
from tests.bench import PLATFORM, prepare, write
from tests.docs.test_docs import fences, read
from tests.real.conftest import Cluster
from tests.real.servers.apiserver import connect
from tests.real.servers.given import remove_from_cluster, remove_from_harbor

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

Data = dict[str, Any]


class ClusterOfOurs:
    """Service accounts with the rights that ship, or fewer, and teams to onboard with them."""

    def __init__(
        self, cluster: Cluster, harbor: HarborAccount | None, sandbox: Sandbox, folder: Path
    ) -> None:
        self.mark = uuid.uuid4().hex[:8]
        self.team = f"shop-{self.mark}"
        self._env = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}
        self._kubeconfig: Data = YAML(typ="safe", pure=True).load(cluster.kubeconfig)
        addresses = sandbox.addresses()
        self._harbor = harbor or HarborAccount.model_validate(addresses["harbor"])
        self._keycloak = KeycloakAccount.model_validate(addresses["keycloak"])
        self._folder = folder
        self._api = connect(cluster.kubeconfig)
        self.core = kubernetes.client.CoreV1Api(self._api)
        self.rbac = kubernetes.client.RbacAuthorizationV1Api(self._api)

    def account(self, change: Callable[[list[Data]], None] = lambda rules: None) -> ClusterAccount:
        """Apply deployments/rbac.yaml under a name of its own, and log in as its account.

        The command is that of docs/production.md.
        """
        name = f"tenantry-{self.mark}"
        yaml = YAML(typ="safe", pure=True)
        manifests: list[Data] = list(yaml.load_all(ROOT / "deployments" / "rbac.yaml"))
        for manifest in manifests:
            _rename(manifest, name)
            if manifest["kind"] == "ClusterRole":
                change(manifest["rules"])
        file = self._folder.parent / "deployments" / "rbac.yaml"
        file.parent.mkdir()
        yaml.dump_all(manifests, file)
        page = fences(read("docs/production.md"), "shell")
        (command,) = (block for block in page if block.startswith("kubectl apply "))
        subprocess.run(shlex.split(command), cwd=file.parent.parent, env=self._env, check=True)
        request = {"spec": {"audiences": None, "expirationSeconds": 3600}}
        made = self.core.create_namespaced_service_account_token("tenantry", name, request)
        user = {"name": "tenantry", "user": {"token": made.status.token}}
        context = {"name": "own", "context": {"user": "tenantry", "cluster": self._cluster}}
        content = {
            **self._kubeconfig,
            "users": [user],
            "contexts": [context],
            "current-context": "own",
        }
        account = ClusterAccount(kubeconfig_content=content)
        self._wait_for_rights(account)
        return account

    @property
    def _cluster(self) -> str:
        return str(self._kubeconfig["clusters"][0]["name"])

    def _wait_for_rights(self, account: ClusterAccount) -> None:
        """The authorizer hears of a new role a moment later."""
        deadline = time.monotonic() + 20
        while True:
            try:
                with self.systems(account) as systems:
                    systems.kubernetes_client.get("Namespace", "default")
                return
            except SystemRefused:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def systems(
        self, account: ClusterAccount, platform: Data | None = None, **team: Any
    ) -> Systems:
        """Harbor and Keycloak, and this cluster as that account."""
        connections = Connections(
            harbor=self._harbor,
            keycloak=self._keycloak,
            kubernetes=account,
        )
        one = {"name": self.team, **team}
        state = load(write(self._folder, one, platform=platform or PLATFORM))
        return Systems(connections, state)

    def onboard(self, account: ClusterAccount, **team: Any) -> onboarding.Outcome:
        with self.systems(account, **team) as systems:
            systems.check()
            return onboarding.onboard(systems, systems.state.teams[self.team])

    def plan(self, account: ClusterAccount, **team: Any) -> Plan:
        with self.systems(account, **team) as systems:
            only = systems.state.teams[self.team]
            return systems.plan(only, systems.observe([only]))

    def close(self) -> None:
        name = f"tenantry-{self.mark}"
        gone = kubernetes.client.exceptions.NotFoundException
        for delete in (self.rbac.delete_cluster_role_binding, self.rbac.delete_cluster_role):
            with contextlib.suppress(gone):
                delete(name)
        with contextlib.ExitStack() as stack:  # each of them, whatever becomes of the others
            stack.callback(self._api.close)
            stack.callback(remove_from_harbor, self._harbor, self.mark)
            remove_from_cluster(self.core, self.mark)


def _rename(manifest: Data, name: str) -> None:
    """Names of its own for all but the service account: nobody else's rights are touched."""
    if manifest["kind"] == "ServiceAccount":
        manifest["metadata"]["namespace"] = name
        return
    manifest["metadata"]["name"] = name
    if manifest["kind"] == "ClusterRoleBinding":
        manifest["roleRef"]["name"] = name
        manifest["subjects"][0]["namespace"] = name


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


def test_the_mesh_is_configured_and_checked_with_just_the_rights_that_ship(
    ours: ClusterOfOurs,
) -> None:
    account, namespace = ours.account(), f"harbor-{ours.mark}"
    ours.core.create_namespace({"metadata": {"name": namespace}})
    for name in ("harbor-portal", "harbor-redis"):
        spec = {"selector": {"component": name}, "ports": [{"name": "x", "port": 80}]}
        ours.core.create_namespaced_service(namespace, {"metadata": {"name": name}, "spec": spec})
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


def test_the_role_of_the_teams_people_may_be_made_and_mended(ours: ClusterOfOurs) -> None:
    """Whoever deletes or weakens it: the next run restores it."""
    account = ours.account()
    with contextlib.suppress(kubernetes.client.exceptions.NotFoundException):
        ours.rbac.delete_cluster_role("tenantry-team-member")
    ours.onboard(account)
    made = ours.rbac.read_cluster_role("tenantry-team-member")
    weakened = [{"op": "remove", "path": "/rules/0"}]
    ours.rbac.patch_cluster_role("tenantry-team-member", weakened)

    ours.onboard(account)

    mended = ours.rbac.read_cluster_role("tenantry-team-member")
    assert mended.metadata.uid == made.metadata.uid
    assert len(mended.rules) == len(made.rules)


def test_what_can_not_be_changed_in_place_may_be_replaced(ours: ClusterOfOurs) -> None:
    account = ours.account()
    ours.onboard(account)
    namespace, roles = f"team-{ours.team}", ours.rbac
    binding = roles.read_namespaced_role_binding("tenantry-team", namespace)
    roles.delete_namespaced_role_binding("tenantry-team", namespace)
    binding.role_ref.name = "view"
    binding.metadata.resource_version = binding.metadata.uid = None
    roles.create_namespaced_role_binding(namespace, binding)

    ours.onboard(account)

    mended = roles.read_namespaced_role_binding("tenantry-team", namespace)
    assert mended.role_ref.name == "tenantry-team-member"


def test_without_bind_it_fails_with_the_api_servers_message(ours: ClusterOfOurs) -> None:
    account = ours.account(without("bind"))

    with pytest.raises(SystemRefused) as refused:
        ours.onboard(account)

    assert refused.value.status == 403
    assert refused.value.call.endswith("/rolebindings/tenantry-team")
    assert "is attempting to grant RBAC permissions not currently held" in str(refused.value)


def test_without_escalate_the_role_can_not_be_written(ours: ClusterOfOurs) -> None:
    account = ours.account(without("escalate"))
    with contextlib.suppress(kubernetes.client.exceptions.NotFoundException):
        ours.rbac.delete_cluster_role("tenantry-team-member")

    with pytest.raises(SystemRefused) as refused:
        ours.onboard(account)

    assert refused.value.call.endswith("/clusterroles/tenantry-team-member")
    assert "is attempting to grant RBAC permissions not currently held" in str(refused.value)


def test_no_other_cluster_role_may_be_bound(ours: ClusterOfOurs) -> None:
    account = ours.account()

    with pytest.raises(SystemRefused) as refused:
        ours.onboard(account, namespace={"cluster_role": "cluster-admin"})

    assert refused.value.status == 403
    assert refused.value.call.endswith("/rolebindings/tenantry-team")
