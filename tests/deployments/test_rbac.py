"""The ClusterRole that ships grants just what the flows ask of the API server.

That a real API server is content with it: tests/real/test_rbac.py.
"""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tenantry import drift, offboarding
from tenantry.onboarding import configure
from tenantry.systems.kubernetes.client import KINDS
from tenantry.systems.kubernetes.namespaces import MEMBER_ROLE
from tenantry.systems.systems import Systems
from tenantry.walk import observe_owners
from tests.support.harness import Bench, connections

ROOT = Path(__file__).parents[2]
RBAC = "rbac.authorization.k8s.io"

RICH: dict[str, Any] = {
    "namespace": {"quota": {"pods": 50}, "limits": {"default": {"cpu": "500m"}}},
    "oidc_clients": {"web": {"redirect_uris": ["https://shop.example.com/cb"]}},
}


def manifests() -> dict[str, dict[str, Any]]:
    """The ClusterRoles by their names, and the rest by kind."""
    text = (ROOT / "deployments" / "rbac.yaml").read_text()
    return {
        manifest["metadata"]["name"] if manifest["kind"] == "ClusterRole" else manifest["kind"]: (
            manifest
        )
        for manifest in YAML(typ="safe", pure=True).load_all(text)
    }


OURS = ("tenantry", "tenantry-mesh", "tenantry-gateways", "tenantry-app-protocols")
"""The ClusterRoles for Tenantry's own calls; an admission policy asks for the others."""


def granted() -> set[tuple[str, str, str]]:
    return {
        (group, resource, verb)
        for name in OURS
        for rule in manifests()[name]["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def rich(name: str) -> dict[str, Any]:
    paths = [{"service": "front", "port": 80}]
    return {
        "name": name,
        **RICH,
        "routes": {"web": {"host": f"{name}.example.com", "paths": paths}},
    }


def asked(bench: Bench) -> set[tuple[str, str, str]]:
    """Group, resource and verb of each request that the API server authorizes."""
    verbs = {"GET": {"list"}, "PATCH": {"patch"}, "DELETE": {"delete"}}
    found: set[tuple[str, str, str]] = set()
    for request in bench.sandbox.requests.log:
        if request.system != "kubernetes" or request.target == "/version":
            continue
        path = request.target.partition("?")[0]
        kind = next(
            kind
            for kind in KINDS.values()
            if f"/{kind.plural}" in _resource(path) and kind.api_version in path
        )
        named = not path.endswith(f"/{kind.plural}")
        group = kind.api_version.rpartition("/")[0]
        for verb in {"get"} if named and request.method == "GET" else verbs[request.method]:
            found.add((group, kind.plural, verb))
        if request.method == "PATCH" and request.status == 201:
            found.add((group, kind.plural, "create"))
    return found


def _resource(path: str) -> str:
    """A path without the namespace that it leads through."""
    parts = path.split("/")
    if "namespaces" in parts and len(parts) > (index := parts.index("namespaces")) + 2:
        del parts[index : index + 2]
    return "/".join(parts)


@pytest.fixture
def walked(bench: Bench) -> Bench:
    """All that onboarding and drift detection ask: of one team, of many, of what can't be changed
    in place, and of what is declared no more."""
    kubernetes = bench.sandbox.kubernetes
    bench.declare(rich("shop"))
    bench.systems.check()
    bench.onboard()
    binding = kubernetes.get("RoleBinding", "tenantry-team", "team-shop")
    secret = kubernetes.get("Secret", "harbor-ci", "team-shop")
    assert binding is not None
    assert secret is not None
    for old, wrong in (
        (binding, {"roleRef": {**binding["roleRef"], "name": "view"}}),
        (secret, {"type": "Opaque"}),
    ):
        kubernetes.delete(old["kind"], old["metadata"]["name"], "team-shop")
        kubernetes.put({**old, **wrong})
    bench.onboard()
    bench.declare({"name": "shop", "namespace": {"network": {"allow_gateway": False}}})
    bench.onboard()
    end(bench, "gone")
    bench.declare(*(rich(f"t{number}") for number in range(6)))
    bench.systems.not_applied(bench.teams)
    observe_owners(bench.systems.team_adapters, bench.teams)
    with Systems(connections(bench.sandbox), bench.state, extras=True) as systems:
        drift.observe(systems, bench.teams, drift.SYSTEMS)
    walk_the_platform(bench)
    return bench


def end(bench: Bench, name: str) -> None:
    """All that offboarding asks: of a team that is revoked and then removed."""
    bench.declare(rich(name))
    bench.onboard()
    offboarding.revoke(bench.systems, bench.team())
    offboarding.remove(bench.systems, offboarding.plan_removal(bench.systems, bench.team()))


def walk_the_platform(bench: Bench) -> None:
    """All that configuring it asks: made, changed, and declared no more."""
    for name in ("harbor", "ingress"):
        metadata = {"name": name}
        bench.sandbox.kubernetes.put(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
        )
    for name in ("harbor-core", "harbor-portal"):
        labels = {"app": "harbor", "component": name.removeprefix("harbor-")}
        bench.sandbox.kubernetes.put(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": name, "namespace": "harbor"},
                "spec": {"ports": [{"name": "x", "port": 80}], "selector": labels},
            }
        )
    guards = {
        "portal_tokens": {"required": True},
        "app_protocols": {"harbor-core": {80: "http"}},
    }
    hosts: dict[str, Any] = {"hosts": ["*.example.com"], "certificate": "wildcard"}
    for kind in ("VirtualService", "HTTPRoute", "VirtualService"):
        mesh = {
            "route_kind": kind,
            "gateways": {
                "ingress/one": hosts,
                "ingress/two": {**hosts, "api": "gateway-api"},
            },
            "harbor": {
                "host": "registry.example.com",
                "strict_mtls": kind == "VirtualService",
                **(guards if kind == "VirtualService" else {}),
            },
        }
        bench.declare(rich("shop"), platform={"mesh": mesh})
        configure(bench.systems)


def test_it_grants_what_is_asked_and_nothing_else(walked: Bench) -> None:
    # The sandbox lets Tenantry write the members' role; with the shipped rights it never tries.
    of_role = {(RBAC, "clusterroles", verb) for verb in ("create", "patch")}

    assert granted() == (asked(walked) - of_role) | {(RBAC, "clusterroles", "bind")}


def test_of_cluster_roles_it_concerns_the_teams_only() -> None:
    (rule,) = (
        rule for rule in manifests()["tenantry"]["rules"] if "clusterroles" in rule["resources"]
    )

    assert rule["resourceNames"] == [MEMBER_ROLE]


def test_the_binding_leads_from_the_account_to_the_role() -> None:
    shipped = manifests()
    binding, account = shipped["ClusterRoleBinding"], shipped["ServiceAccount"]

    assert binding["roleRef"]["name"] == "tenantry"
    assert binding["subjects"] == [{"kind": "ServiceAccount", **account["metadata"]}]
    assert account["metadata"]["namespace"] == shipped["Namespace"]["metadata"]["name"]
