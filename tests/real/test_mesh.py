"""What is written into the mesh is what a real API server's schemas want, and stays as written."""

from pathlib import Path
from typing import Any

import kubernetes
import pytest

from tenantry import onboarding
from tenantry.connections import Cluster as ClusterAddress
from tenantry.connections import Connections, HarborAccount, KeycloakAccount
from tenantry.declared import load
from tenantry.sandbox import Sandbox
from tenantry.systems import Systems
from tests.bench import prepare, write
from tests.real.conftest import Cluster
from tests.real.servers.apiserver import connect
from tests.real.test_servers import unique

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


@pytest.mark.parametrize("kind", ["VirtualService", "HTTPRoute"])
def test_every_manifest_is_accepted_and_a_second_run_writes_nothing(
    kind: str, real_kubernetes: Cluster, tmp_path: Path
) -> None:
    namespace, team = unique("harbor"), unique("t")
    api = "istio" if kind == "VirtualService" else "gateway-api"
    gateway = {"hosts": ["*.example.com"], "certificate": "wildcard", "api": api}
    mesh: dict[str, Any] = {
        "route_kind": kind,
        "gateway": f"{namespace}/public",
        "gateways": {f"{namespace}/public": gateway},
        "harbor": {
            "host": "registry.example.com",
            "namespace": namespace,
            "portal_tokens": {"required": True, "audiences": ["gate"]},
            "app_protocols": {"harbor-redis": {6379: "tcp"}},
        },
    }
    path = {"service": "web", "port": 80}
    shop = {
        "name": team,
        "routes": {"web": {"host": "shop.example.com", "paths": [path]}},
    }
    state = load(write(tmp_path, shop, platform={"name": "Mesh", "mesh": mesh}))
    with Sandbox() as sandbox, connect(real_kubernetes.kubeconfig) as client:
        prepare(sandbox)
        core: Any = kubernetes.client.CoreV1Api(client)
        core.create_namespace({"metadata": {"name": namespace}})
        for name, port in (("harbor-core", 80), ("harbor-portal", 80), ("harbor-redis", 6379)):
            selector = {"app": "harbor", "component": name.removeprefix("harbor-")}
            spec = {"selector": selector, "ports": [{"name": "x", "port": port}]}
            core.create_namespaced_service(namespace, {"metadata": {"name": name}, "spec": spec})
        addresses = sandbox.addresses()
        connections = Connections(
            harbor=HarborAccount.model_validate(addresses["harbor"]),
            keycloak=KeycloakAccount.model_validate(addresses["keycloak"]),
            kubernetes=ClusterAddress(kubeconfig=str(real_kubernetes.kubeconfig)),
        )
        try:
            with Systems(connections, state) as systems:
                first = onboarding.configure(systems)
                onboarding.onboard(systems, state.teams[team])
                assert [change.id.kind for change in first.done][1:] == [
                    "injection",
                    kind,
                    "PeerAuthentication",
                    "RequestAuthentication",
                    "AuthorizationPolicy",
                    "appProtocol",
                ]
                (port,) = core.read_namespaced_service("harbor-redis", namespace).spec.ports
                assert (port.name, port.app_protocol) == ("x", "tcp")
                assert onboarding.configure(systems).done == ()
                assert onboarding.onboard(systems, state.teams[team]).done == ()
        finally:
            core.delete_namespace(namespace)
            core.delete_namespace(f"team-{team}")
