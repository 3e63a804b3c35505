"""Harbor's place in the mesh: routes of both kinds, Gateways, mutual TLS, and what they wait for."""

from typing import Any

import pytest

from tenantry.errors import TenantryError
from tenantry.onboarding import configure, plan_platform
from tenantry.plan import Plan
from tenantry.walk import observe_owners
from tests.support.harness import SHOP, Bench, found, ids

pytestmark = pytest.mark.demand("platform", "all tests of configuring the platform on the sandbox")

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
    """Return a bench with Harbor's namespace in the cluster."""
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


@pytest.mark.demand(
    "platform", "Harbor in the mesh: the order of changes works, and a second run makes no write"
)
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


def test_an_old_harbor_has_its_old_paths_at_core_too(harbors: Bench) -> None:
    harbors.sandbox.harbor.version = "v2.7.4-0d8fe5a1"
    declare(harbors, MESH)
    configure(harbors.systems)
    _, core, _ = spec(harbors, "VirtualService")["http"]
    assert [match["uri"]["prefix"] for match in core["match"]] == [*CORE, "/v1/", "/chartrepo/"]


def test_an_http_route_has_the_same_rules(harbors: Bench) -> None:
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


@pytest.mark.parametrize("kind", ["VirtualService", "HTTPRoute"])
def test_a_teams_last_route_is_deleted_when_it_is_no_longer_declared(
    bench: Bench, kind: str
) -> None:
    other = "HTTPRoute" if kind == "VirtualService" else "VirtualService"
    declare(bench, {"route_kind": kind}, {**SHOP, **ROUTE})
    bench.onboard()
    assert bench.sandbox.kubernetes.get(kind, "web", "team-shop") is not None

    declare(bench, {"route_kind": other}, SHOP)
    bench.onboard()
    assert bench.sandbox.kubernetes.get(kind, "web", "team-shop") is None
    assert bench.plan().is_empty


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
    assert "pods without a sidecar would lose access: core-1. Restart" in wait.reason
    assert harbors.sandbox.kubernetes.get("PeerAuthentication", "default", "harbor") is None

    harbors.sandbox.kubernetes.delete("Pod", "core-1", "harbor")
    assert ids(configure(harbors.systems).done) == ["istio/PeerAuthentication/harbor/default"]


def test_without_harbors_namespace_all_of_it_waits(bench: Bench) -> None:
    declare(bench, MESH)
    assert {wait.reason for wait in plan(bench).waiting} == {"there is no namespace 'harbor'"}
    assert plan(bench).is_empty


def test_a_namespace_that_another_user_keeps_out_of_the_mesh_is_left_out(harbors: Bench) -> None:
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


# The portal's tokens


def service(bench: Bench, name: str, **ports: int) -> None:
    listed = [{"name": each, "port": number} for each, number in ports.items()]
    selector = {"app": "harbor", "component": name.removeprefix("harbor-")}
    put(bench, "v1", "Service", name, "harbor", spec={"selector": selector, "ports": listed})


@pytest.mark.demand("platform", "the portal needs a token, and docker's paths need none")
@pytest.mark.demand("real", "each of the forty pitfalls has a test that passes")
def test_the_portal_requires_a_token_and_the_paths_of_docker_do_not(harbors: Bench) -> None:
    tokens = {"required": True, "audiences": ["gate"]}
    declare(harbors, {"harbor": {**MESH["harbor"], "portal_tokens": tokens}})
    (first, second) = (w for w in plan(harbors).waiting if "portal" in w.id.key)
    assert first.reason == second.reason
    assert "Service 'harbor-portal', which tells the portal's pods, is not there" in first.reason

    service(harbors, "harbor-core", http=80)
    service(harbors, "harbor-portal", http=80)
    done = ids(configure(harbors.systems).done)
    assert done[-2:] == [
        "istio/RequestAuthentication/harbor/harbor-portal",
        "istio/AuthorizationPolicy/harbor/harbor-portal",
    ]
    issuer = harbors.systems.keycloak_client.issuer
    pods = {"matchLabels": {"app": "harbor", "component": "portal"}}
    assert spec(harbors, "RequestAuthentication", "harbor-portal") == {
        "selector": pods,
        "jwtRules": [
            {
                "issuer": issuer,
                "jwksUri": f"{issuer}/protocol/openid-connect/certs",
                "audiences": ["gate"],
                "forwardOriginalToken": True,
            }
        ],
    }
    policy = spec(harbors, "AuthorizationPolicy", "harbor-portal")
    assert policy["selector"] == pods
    assert plan(harbors).is_empty

    former = "https://login.example.com/realms/old"  # while people move to another issuer
    tokens["other_issuers"] = [former]
    declare(harbors, {"harbor": {**MESH["harbor"], "portal_tokens": tokens}})
    configure(harbors.systems)
    rules = spec(harbors, "RequestAuthentication", "harbor-portal")["jwtRules"]
    assert [(rule["issuer"], "jwksUri" in rule) for rule in rules] == [
        (issuer, True),
        (former, False),
    ]
    [rule] = spec(harbors, "AuthorizationPolicy", "harbor-portal")["rules"]
    principals = [f"{issuer}/*", f"{former}/*"]
    assert rule["from"] == [{"source": {"requestPrincipals": principals}}]
    assert plan(harbors).is_empty

    declare(harbors, MESH)
    assert [(c.action, c.id.kind.name) for c in configure(harbors.systems).done] == [
        ("delete", "AuthorizationPolicy"),
        ("delete", "RequestAuthentication"),
    ]
    assert plan(harbors).is_empty


# The protocols of ports that the chart does not name


@pytest.mark.demand("platform", "appProtocol is set where declared, and the port keeps its name")
def test_app_protocol_is_set_where_declared_and_removed_afterwards(harbors: Bench) -> None:
    service(harbors, "harbor-redis", x=6379, other=80)
    protocols = {"harbor-redis": {6379: "tcp"}}
    declare(harbors, {"harbor": {**MESH["harbor"], "app_protocols": protocols}})
    configure(harbors.systems)

    redis, other = spec(harbors, "Service", "harbor-redis")["ports"]
    assert (redis["name"], redis["appProtocol"]) == ("x", "tcp")
    assert "appProtocol" not in other
    assert plan(harbors).is_empty

    declare(harbors, MESH)
    (change,) = configure(harbors.systems).done
    assert (change.action, str(change.id)) == ("delete", "istio/appProtocol/harbor/harbor-redis")
    redis, other = spec(harbors, "Service", "harbor-redis")["ports"]
    assert "appProtocol" not in redis
    assert (redis["name"], redis["port"], other["name"]) == ("x", 6379, "other")
    assert plan(harbors).is_empty


def test_an_app_protocol_that_the_chart_sets_and_a_port_that_is_not_there_are_refused(
    harbors: Bench,
) -> None:
    ports = [{"name": "x", "port": 6379, "appProtocol": "redis"}]
    put(harbors, "v1", "Service", "harbor-redis", "harbor", spec={"ports": ports})
    service(harbors, "harbor-core", http=80)
    protocols = {
        "harbor-redis": {6379: "tcp"},
        "harbor-core": {81: "http"},
        "harbor-db": {5432: "tcp"},
    }
    declare(harbors, {"harbor": {**MESH["harbor"], "app_protocols": protocols}})

    reasons = {refusal.id.key: refusal.reason for refusal in plan(harbors).refusals}
    assert "the owner of the Service has set it" in reasons["harbor/harbor-redis"]
    assert "the Service has no such port" in reasons["harbor/harbor-core"]
    (wait,) = plan(harbors).waiting
    assert wait.reason == "there is no Service 'harbor-db'"


def test_a_service_that_is_deleted_before_the_write_is_not_created_again(harbors: Bench) -> None:
    service(harbors, "harbor-redis", x=6379)
    protocols = {"harbor-redis": {6379: "tcp"}}
    declare(harbors, {"harbor": {**MESH["harbor"], "app_protocols": protocols}})
    observed = observe_owners(harbors.systems.platform_adapters, [harbors.systems.state.platform])
    planned = harbors.systems.plan_platform(observed)
    harbors.sandbox.kubernetes.delete("Service", "harbor-redis", "harbor")

    with pytest.raises(TenantryError):
        harbors.systems.apply(planned, observed)
    assert harbors.sandbox.kubernetes.get("Service", "harbor-redis", "harbor") is None
