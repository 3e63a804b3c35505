"""The mesh resources are valid for the schemas of a real API server, which stores them unchanged.

`istioctl` reports no problems in them, and of planted faults it finds no more than the checks do.
"""

import base64
import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import kubernetes
import pytest

from tenantry import checks, onboarding
from tenantry.connections import Cluster as ClusterAddress
from tenantry.connections import Connections, HarborAccount, KeycloakAccount
from tenantry.declared import load
from tenantry.sandbox import Sandbox
from tenantry.sandbox.certificates import Authority
from tenantry.systems.kubernetes.client import KINDS
from tenantry.systems.kubernetes.kinds import GATEWAY_API
from tenantry.systems.systems import Systems
from tests.real.conftest import Cluster, Istioctl
from tests.real.servers.apiserver import connect
from tests.real.test_servers import unique
from tests.support.harness import prepare, write
from tests.support.narrowing import as_body
from tests.support.wire import Wire

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


class Lab:
    """The namespaces of Harbor and a team on a real API server; Harbor and Keycloak are simulated."""

    def __init__(self, kind: str, cluster: Cluster, sandbox: Sandbox, folder: Path) -> None:
        self.kubeconfig, self.folder = cluster.kubeconfig, folder
        self.harbor, self.name = unique("harbor"), unique("t")
        self.team, self.domain = f"team-{self.name}", f"{self.name}.example.com"
        self.namespaces = (self.harbor, self.team)
        api = "istio" if kind == "VirtualService" else "gateway-api"
        gateway = {
            "hosts": [f"*.{self.domain}"],
            "certificate": self.name,
            "api": api,
            "selector": {"istio": self.harbor},
        }
        mesh: dict[str, Any] = {
            "route_kind": kind,
            "gateway": f"{self.harbor}/public",
            "gateways": {f"{self.harbor}/public": gateway},
            "harbor": {
                "host": f"registry.{self.domain}",
                "namespace": self.harbor,
                "portal_tokens": {"required": True, "audiences": ["gate"]},
                "app_protocols": {"harbor-redis": {6379: "tcp"}},
            },
        }
        path = {"service": "web", "port": 80}
        shop = {
            "name": self.name,
            "routes": {"web": {"host": f"shop.{self.domain}", "paths": [path]}},
        }
        self.state = load(write(folder, shop, platform={"name": "Mesh", "mesh": mesh}))
        addresses = sandbox.addresses()
        self.connections = Connections(
            harbor=HarborAccount.model_validate(addresses["harbor"]),
            keycloak=KeycloakAccount.model_validate(addresses["keycloak"]),
            kubernetes=ClusterAddress(kubeconfig=str(self.kubeconfig)),
        )

    def __enter__(self) -> Self:
        self._client = connect(self.kubeconfig)
        self.core: Any = kubernetes.client.CoreV1Api(self._client)
        self.custom: Any = kubernetes.client.CustomObjectsApi(self._client)
        self.core.create_namespace(as_body({"metadata": {"name": self.harbor}}))
        self.service("harbor-core", self.harbor, "http-web", 80)
        self.service("harbor-portal", self.harbor, "http-portal", 80)
        self.service("harbor-redis", self.harbor, "x", 6379)
        self._gateway()
        self.pod("portal", {"labels": {"app": "harbor", "component": "portal"}})
        return self

    def __exit__(self, *_: object) -> None:
        for namespace in self.namespaces:
            with contextlib.suppress(kubernetes.client.ApiException):
                self.core.delete_namespace(namespace)
        self._client.close()

    def _gateway(self) -> None:
        """Create the objects that the analysis expects of a gateway: pods, Service, certificate."""
        self.pod("gateway", {"labels": {"istio": self.harbor}})
        ports = [{"name": "https", "port": 443}]
        spec = {"selector": {"istio": self.harbor}, "ports": ports}
        self.core.create_namespaced_service(self.harbor, {"metadata": {"name": "gw"}, "spec": spec})
        pair = Authority(self.folder).server("gw", hosts=[f"*.{self.domain}"], addresses=[])
        files = {"tls.crt": pair.certificate, "tls.key": pair.key}
        data = {name: base64.b64encode(file.read_bytes()).decode() for name, file in files.items()}
        body = {"metadata": {"name": self.name}, "type": "kubernetes.io/tls", "data": data}
        self.core.create_namespaced_secret(self.harbor, body)

    def service(self, name: str, namespace: str, port_name: str, port: int) -> None:
        selector = {"app": "harbor", "component": name.removeprefix("harbor-")}
        spec = {"selector": selector, "ports": [{"name": port_name, "port": port}]}
        self.core.create_namespaced_service(namespace, {"metadata": {"name": name}, "spec": spec})

    def pod(self, name: str, metadata: dict[str, Any], container: str = "istio-proxy") -> None:
        """Create a pod after its service account exists in the namespace."""
        for _ in range(100):
            with contextlib.suppress(kubernetes.client.ApiException):
                self.core.read_namespaced_service_account("default", self.harbor)
                break
            time.sleep(0.1)
        spec = {"containers": [{"name": container, "image": container}]}
        body = {"metadata": {"name": name, **metadata}, "spec": spec}
        self.core.create_namespaced_pod(self.harbor, body)

    def route(self, name: str, host: str, *rules: dict[str, Any], to: str = "web") -> None:
        """Create a VirtualService of the team at the platform's gateway."""
        destination = {"host": f"{to}.{self.team}.svc.cluster.local", "port": {"number": 80}}
        http = [{**rule, "route": [{"destination": destination}]} for rule in rules]
        spec = {"hosts": [host], "gateways": [f"{self.harbor}/public"], "http": http}
        body = {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": {"name": name},
            "spec": spec,
        }
        place = ("networking.istio.io", "v1", self.team, "virtualservices")
        self.custom.create_namespaced_custom_object(*place, body)

    def written(self, systems: Systems) -> list[dict[str, Any]]:
        """Return all mesh resources in the two namespaces."""
        kinds = ["VirtualService", "HTTPRoute", "Gateway", GATEWAY_API]
        kinds += ("PeerAuthentication", "RequestAuthentication", "AuthorizationPolicy")
        return [
            {"apiVersion": KINDS[kind].api_version, "kind": KINDS[kind].kind, **found}
            for kind in kinds
            for namespace in self.namespaces
            for found in systems.home_cluster.list(kind, namespace)
        ]

    def services(self) -> list[dict[str, Any]]:
        """Return all Services in the two namespaces."""
        clean = self._client.sanitize_for_serialization
        return [
            {"apiVersion": "v1", "kind": "Service", **clean(found)}
            for namespace in self.namespaces
            for found in self.core.list_namespaced_service(namespace).items
        ]

    def analyze(self, istioctl: Istioctl) -> set[tuple[str, str]]:
        """Return the code and object of each finding of `istioctl analyze` in the namespaces."""
        found = istioctl.analyze(self.kubeconfig, *self.namespaces)
        return {(each.code, each.origin) for each in found}


@pytest.mark.demand(
    "platform",
    "every manifest is accepted, of both kinds, and a second run makes no write",
    "requests",
)
@pytest.mark.demand(
    "platform", "istioctl validate and analyze find nothing in the manifests", "objects"
)
@pytest.mark.parametrize("kind", ["VirtualService", "HTTPRoute"])
def test_every_manifest_is_accepted_and_a_second_run_writes_nothing(
    kind: str,
    real_kubernetes: Cluster,
    real_istioctl: Istioctl,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """`istioctl validate` and `analyze` also report nothing."""
    with (
        Sandbox() as sandbox,
        Lab(kind, real_kubernetes, prepare(sandbox), tmp_path) as lab,
        Systems(lab.connections, lab.state) as systems,
    ):
        first = onboarding.configure(systems)
        onboarding.onboard(systems, lab.state.teams[lab.name])
        assert [change.id.kind.name for change in first.done][1:] == [
            "injection",
            kind,
            "PeerAuthentication",
            "RequestAuthentication",
            "AuthorizationPolicy",
            "appProtocol",
        ]
        (port,) = lab.core.read_namespaced_service("harbor-redis", lab.harbor).spec.ports
        assert (port.name, port.app_protocol) == ("x", "tcp")
        with Wire() as wire:
            assert onboarding.configure(systems).done == ()
            assert onboarding.onboard(systems, lab.state.teams[lab.name]).done == ()
        assert [str(each) for each in wire.requests if each.is_write] == []
        record_property("requests", len(wire.requests))

        lab.service("web", lab.team, "http", 80)
        manifests = lab.written(systems)
        assert len(manifests) == 6
        record_property("objects", len(manifests))
        assert real_istioctl.validate(tmp_path, manifests) == []
        assert lab.analyze(real_istioctl) == set()
        assert [f for f in checks.check_all(systems) if f.team == lab.name] == []


@pytest.mark.demand(
    "platform", "of planted faults the checks find all that istioctl finds, and more"
)
def test_of_planted_faults_the_checks_find_all_that_istioctl_finds_and_more(
    real_kubernetes: Cluster,
    real_istioctl: Istioctl,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    with (
        Sandbox() as sandbox,
        Lab("VirtualService", real_kubernetes, prepare(sandbox), tmp_path) as lab,
        Systems(lab.connections, lab.state) as systems,
    ):
        onboarding.configure(systems)
        onboarding.onboard(systems, lab.state.teams[lab.name])
        lab.service("web", lab.team, "http", 80)
        assert lab.analyze(real_istioctl) == set()

        lab.service("harbor-registry", lab.harbor, "registry", 5000)
        lab.service("old", lab.team, "tcp-old", 80)
        lab.pod("core-1", {}, container="core")
        everything, api = (
            {"match": [{"uri": {"prefix": "/"}}]},
            {"match": [{"uri": {"prefix": "/api/"}}]},
        )
        lab.route("swallowed", f"a.{lab.domain}", everything, api)
        lab.route("all-first", f"b.{lab.domain}", {}, api)
        lab.route("web-again", f"shop.{lab.domain}", everything)
        lab.route("nowhere", f"c.{lab.domain}", everything, to="gone")

        theirs = {origin for _, origin in lab.analyze(real_istioctl)}
        messages = real_istioctl.validate(tmp_path, [*lab.written(systems), *lab.services()])
        found = checks.check_all(systems)
        ours = {f"{each.resource.kind} {each.resource.key}" for each in found}
        record_property("analyze", len(theirs))
        record_property("validate", len(messages))
        record_property("checks", len(ours))
        assert theirs
        assert theirs <= ours
        for line in messages:
            assert any(name.rpartition("/")[2] in line for name in ours), line
        assert f"VirtualService {lab.team}/web-again" in ours - theirs
