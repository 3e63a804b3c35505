"""Harbor's place in the mesh: routes of both kinds, Gateways, mutual TLS, and what they wait for."""

from typing import Any

import pytest

from tenantry.onboarding import configure, plan_platform
from tenantry.plan import Plan
from tests.bench import SHOP, Bench, found, ids

CORE = ["/api/", "/c/", "/service/", "/v2/"]
MESH: dict[str, Any] = {"harbor": {"host": "registry.example.com"}}
ROUTE = {"routes": {"web": {"host": "shop.example.com", "paths": [{"service": "web", "port": 80}]}}}


def declare(bench: Bench, mesh: dict[str, Any], *teams: Any) -> Bench:
    return bench.declare(*teams, platform={"name": "Test", "mesh": mesh})


def plan(bench: Bench) -> Plan:
    outcome = plan_platform(bench.systems)
    if outcome.error:
        raise outcome.error
    assert outcome.plan is not None
    return outcome.plan


@pytest.fixture
def harbors(bench: Bench) -> Bench:
    """A cluster with Harbor's namespace."""
    put(bench, "v1", "Namespace", "harbor", None)
    return bench


def put(
    bench: Bench, version: str, kind: str, name: str, namespace: str | None, **more: Any
) -> None:
    where = {"namespace": namespace} if namespace else {}
    bench.sandbox.kubernetes.put(
        {"apiVersion": version, "kind": kind, "metadata": {"name": name, **where}, **more}
    )


def spec(bench: Bench, kind: str, name: str = "harbor") -> dict[str, Any]:
    got = bench.sandbox.kubernetes.get(kind, name, "harbor")
    assert got is not None, f"there is no {kind} {name}"
    held: dict[str, Any] = got["spec"]
    return held


def test_harbors_routes_come_in_the_order_that_works_and_a_second_run_writes_nothing(
    harbors: Bench,
) -> None:
    declare(harbors, MESH)
    done = configure(harbors.systems).done
    assert ids(done) == [
        "istio/injection/harbor",
        "istio/VirtualService/harbor/harbor",
        "istio/PeerAuthentication/harbor/default",
    ]
    closed, core, portal = spec(harbors, "VirtualService")["http"]
    assert closed == {
        "match": [{"uri": {"prefix": "/service/notifications"}}],
        "directResponse": {"status": 404},
    }
    assert [match["uri"]["prefix"] for match in core["match"]] == CORE
    assert core["route"][0]["destination"]["host"] == "harbor-core.harbor.svc.cluster.local"
    assert portal["match"] == [{"uri": {"prefix": "/"}}]
    assert spec(harbors, "VirtualService")["gateways"] == ["istio-ingress/public"]
    assert spec(harbors, "PeerAuthentication", "default") == {"mtls": {"mode": "STRICT"}}
    namespace = harbors.sandbox.kubernetes.get("Namespace", "harbor")
    assert namespace is not None
    assert namespace["metadata"]["labels"]["istio-injection"] == "enabled"

    harbors.sandbox.requests.reset()
    assert configure(harbors.systems).plan == Plan("")
    assert harbors.sandbox.requests.writes() == 0


def test_an_http_route_says_the_same(harbors: Bench) -> None:
    declare(harbors, {"route_kind": "HTTPRoute", **MESH}, {**SHOP, **ROUTE})
    configure(harbors.systems)
    harbors.onboard()

    closed, core, portal = spec(harbors, "HTTPRoute")["rules"]
    assert "backendRefs" not in closed
    assert [match["path"]["value"] for match in core["matches"]] == CORE
    assert [ref["name"] for ref in portal["backendRefs"]] == ["harbor-portal"]
    assert harbors.sandbox.kubernetes.get("HTTPRoute", "web", "team-shop") is not None
    assert plan(harbors).is_empty
    assert harbors.plan().is_empty


def test_a_route_of_the_other_kind_takes_the_place_of_the_first(harbors: Bench) -> None:
    declare(harbors, MESH)
    configure(harbors.systems)
    declare(harbors, {"harbor": {**MESH["harbor"], "kind": "HTTPRoute"}})

    assert [(c.action, str(c.id)) for c in configure(harbors.systems).done] == [
        ("create", "istio/HTTPRoute/harbor/harbor"),
        ("delete", "istio/VirtualService/harbor/harbor"),
    ]
    assert plan(harbors).is_empty


def test_mutual_tls_waits_until_every_pod_has_a_sidecar(harbors: Bench) -> None:
    declare(harbors, MESH)
    put(harbors, "v1", "Pod", "core-1", "harbor", spec={"containers": [{"name": "core"}]})
    put(
        harbors,
        "v1",
        "Pod",
        "portal-1",
        "harbor",
        spec={"containers": [{"name": "portal"}], "initContainers": [{"name": "istio-proxy"}]},
    )

    configure(harbors.systems)
    (wait,) = plan(harbors).waiting
    assert str(wait.id) == "istio/PeerAuthentication/harbor/default"
    assert "pods without a sidecar would be shut out: core-1. Restart" in wait.reason
    assert harbors.sandbox.kubernetes.get("PeerAuthentication", "default", "harbor") is None

    harbors.sandbox.kubernetes.delete("Pod", "core-1", "harbor")
    assert ids(configure(harbors.systems).done) == ["istio/PeerAuthentication/harbor/default"]


def test_without_harbors_namespace_all_of_it_waits(bench: Bench) -> None:
    declare(bench, MESH)
    assert {wait.reason for wait in plan(bench).waiting} == {"there is no namespace 'harbor'"}
    assert plan(bench).is_empty


def test_a_namespace_that_somebody_keeps_out_of_the_mesh_is_left_out(harbors: Bench) -> None:
    declare(harbors, MESH)
    namespace = harbors.sandbox.kubernetes.get("Namespace", "harbor")
    assert namespace is not None
    namespace["metadata"].setdefault("labels", {})["istio-injection"] = "disabled"
    harbors.sandbox.kubernetes.put(namespace)

    (refusal,) = plan(harbors).refusals
    assert str(refusal.id) == "istio/injection/harbor"
    assert "it differs in istio-injection" in refusal.reason


@pytest.mark.parametrize("api", ["istio", "gateway-api"])
def test_a_gateway_is_made_and_stays_as_declared(bench: Bench, api: str) -> None:
    put(bench, "v1", "Namespace", "istio-ingress", None)
    gateway = {"hosts": ["*.example.com"], "certificate": "wildcard", "api": api}
    declare(bench, {"gateways": {"istio-ingress/public": gateway}})
    assert len(configure(bench.systems).done) == 1
    assert plan(bench).is_empty

    gateway["hosts"] = ["*.example.com", "*.example.org"]
    declare(bench, {"gateways": {"istio-ingress/public": gateway}})
    assert len(found(plan(bench))) == 1
