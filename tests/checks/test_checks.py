"""Each check sees the fault that is planted for it, and nothing else; in order it finds nothing."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from tenantry import checks
from tenantry.onboarding import configure
from tenantry.sandbox.keycloak.builtin import new_realm
from tests.bench import Bench

REALM = "main"
PLATFORM: dict[str, Any] = {
    "name": "Test",
    "harbor": {"single_sign_on": {"admin_group": "platform-admins"}},
    "keycloak": {"realm": REALM, "realm_settings": {}, "groups": {"platform-admins": {}}},
    "mesh": {"harbor": {"host": "registry.example.com"}},
}
SHOP: dict[str, Any] = {
    "name": "shop",
    "routes": {"web": {"host": "shop.example.com", "paths": [{"service": "web", "port": 80}]}},
}


def put(
    bench: Bench,
    kind: str,
    name: str,
    namespace: str | None = None,
    version: str = "v1",
    **more: Any,
) -> None:
    where = {"namespace": namespace} if namespace else {}
    bench.sandbox.kubernetes.put(
        {"apiVersion": version, "kind": kind, "metadata": {"name": name, **where}, **more}
    )


def service(
    bench: Bench, name: str, namespace: str, port_name: str | None = "http", **port: Any
) -> None:
    named = {"name": port_name} if port_name else {}
    spec = {
        "selector": {"app": "harbor", "component": name},
        "ports": [{"port": 80, **named, **port}],
    }
    put(bench, "Service", name, namespace, spec=spec)


def authentication(bench: Bench, namespace: str, spec: dict[str, Any]) -> None:
    version = "security.istio.io/v1"
    put(bench, "RequestAuthentication", "tokens", namespace, version, spec=spec)


def virtual_service(bench: Bench, name: str, host: str, *prefixes: str) -> None:
    to = [{"destination": {"host": "web.team-shop.svc.cluster.local", "port": {"number": 80}}}]
    http = [{"match": [{"uri": {"prefix": each}}], "route": to} for each in prefixes]
    spec = {"hosts": [host], "gateways": ["istio-ingress/public"], "http": http}
    put(bench, "VirtualService", name, "team-shop", "networking.istio.io/v1", spec=spec)


@pytest.fixture
def whole(bench: Bench) -> Bench:
    """A platform in order, with a team, somebody in it, and Harbor in the mesh."""
    put(bench, "Namespace", "harbor")
    put(bench, "Namespace", "istio-ingress")
    service(bench, "harbor-core", "harbor", "http-web")
    service(bench, "harbor-portal", "harbor", "http-portal")
    bench.declare(SHOP, platform=PLATFORM)
    configure(bench.systems)
    bench.onboard()
    service(bench, "web", "team-shop")
    realm = bench.sandbox.keycloak.realms[REALM]
    for name, group in (("ann", "team-shop"), ("root", "platform-admins")):
        user = bench.sandbox.keycloak.add_user(REALM, name, email=f"{name}@example.test")
        found = realm.child_named(None, group)
        assert found is not None
        realm.join(user, found)
    return bench


def seen(bench: Bench) -> list[tuple[str, str]]:
    with bench.process() as systems:
        return [(found.check, str(found.resource)) for found in checks.check_all(systems)]


def harbor(bench: Bench, **settings: Any) -> None:
    bench.sandbox.harbor.configuration |= settings
    bench.sandbox.harbor.provider = None


def client(bench: Bench) -> Any:
    found = bench.sandbox.keycloak.realms[REALM].client_named("harbor")
    assert found is not None
    return found


def mapper(bench: Bench) -> Any:
    (found,) = client(bench)["protocolMappers"]
    return found["config"]


CLIENT = "keycloak/client/harbor"
SETTINGS = "harbor/configuration/single sign-on"
Plant = Callable[[Bench], object]


def wrong_issuer(bench: Bench) -> None:
    harbor(bench, oidc_endpoint=bench.sandbox.harbor.configuration["oidc_endpoint"] + "/")


def group_of_another_type(bench: Bench) -> None:
    group = next(g for g in bench.sandbox.harbor.groups.values() if g.name == "team-shop")
    group.type = 2


def pod_without_a_sidecar(bench: Bench) -> None:
    put(bench, "Pod", "core-1", "harbor", spec={"containers": [{"name": "core"}]})


def robot_with_more(bench: Bench) -> None:
    (robot,) = (r for r in bench.sandbox.harbor.robots.values() if r.name == "pull-a")
    client = bench.systems.harbor_client
    row = client.get(f"/robots/{robot.id}")
    row["permissions"][0]["access"].append({"resource": "repository", "action": "push"})
    client.put(f"/robots/{robot.id}", row)


def no_certificate(bench: Bench) -> None:
    bench.sandbox.keycloak.realms.pop("corp", None)
    platform = {
        **PLATFORM,
        "keycloak": {
            **PLATFORM["keycloak"],
            "external_providers": {
                "corp": {
                    "connection": {
                        "issuer": f"{bench.sandbox.keycloak.url}/realms/corp",
                        "client_id": "x",
                        "client_secret": {"namespace": "sso", "name": "corp"},
                    }
                }
            },
        },
    }
    bench.declare(SHOP, platform=platform)


def test_a_platform_in_order_has_no_findings_and_nothing_is_written(whole: Bench) -> None:
    whole.sandbox.requests.reset()
    assert seen(whole) == []
    assert whole.sandbox.requests.writes() == 0


@pytest.mark.parametrize(
    ("plant", "finding"),
    [
        (
            lambda b: harbor(b, oidc_client_secret="another"),
            ("client secret", SETTINGS),
        ),
        (
            lambda b: client(b).update(redirectUris=["https://old.example.com/c/oidc/callback"]),
            ("redirect URI", CLIENT),
        ),
        (
            lambda b: harbor(b, oidc_scope="openid,email,profile"),
            ("scopes", SETTINGS),
        ),
        (
            lambda b: harbor(b, oidc_scope="openid,email,profile,offline_access,phones"),
            ("scopes", CLIENT),
        ),
        (lambda b: mapper(b).update({"full.path": "true"}), ("claims", CLIENT)),
        (lambda b: mapper(b).update({"claim.name": "teams"}), ("claims", CLIENT)),
        (
            lambda b: b.sandbox.keycloak.realms[REALM].user_named("ann").__setattr__("email", None),
            ("claims", CLIENT),
        ),
        (group_of_another_type, ("group type", "harbor/user group/team-shop")),
        (lambda b: harbor(b, oidc_group_filter="^k8s-"), ("group filter", SETTINGS)),
        (lambda b: harbor(b, oidc_group_filter="("), ("group filter", SETTINGS)),
        (
            lambda b: harbor(b, oidc_admin_group="nobodies"),
            ("admin group", "keycloak/group/nobodies"),
        ),
        (robot_with_more, ("robot access", "harbor/robot/team-shop/pull-a")),
        (no_certificate, ("keys", "keycloak/identity provider/corp")),
        (
            lambda b: service(b, "harbor-registry", "harbor", "registry"),
            ("port names", "kubernetes/Service/harbor/harbor-registry"),
        ),
        (
            lambda b: service(b, "harbor-redis", "harbor", None, port=6379),
            ("port names", "kubernetes/Service/harbor/harbor-redis"),
        ),
        (
            lambda b: service(b, "old", "team-shop", "tcp-old"),
            ("port protocols", "kubernetes/Service/team-shop/old"),
        ),
        (pod_without_a_sidecar, ("sidecars", "kubernetes/Pod/harbor/core-1")),
        (
            lambda b: virtual_service(b, "own", "own.example.com", "/", "/api/"),
            ("route order", "istio/VirtualService/team-shop/own"),
        ),
        (
            lambda b: virtual_service(b, "own", "own.example.com", "/api", "/api/v2/"),
            ("route order", "istio/VirtualService/team-shop/own"),
        ),
        (
            lambda b: virtual_service(b, "zwei", "shop.example.com", "/"),
            ("hosts", "istio/VirtualService/team-shop/zwei"),
        ),
        (
            lambda b: b.sandbox.kubernetes.delete("Service", "web", "team-shop"),
            ("destinations", "istio/VirtualService/team-shop/web"),
        ),
        (
            lambda b: authentication(b, "harbor", {"jwtRules": [{"issuer": "https://x.test"}]}),
            ("docker tokens", "istio/RequestAuthentication/harbor/tokens"),
        ),
        (
            lambda b: authentication(
                b,
                "istio-ingress",
                {
                    "selector": {"matchLabels": {"istio": "ingress"}},
                    "jwtRules": [{"issuer": "https://x.test"}],
                },
            ),
            ("docker tokens", "istio/RequestAuthentication/istio-ingress/tokens"),
        ),
        (
            lambda b: authentication(
                b,
                "team-shop",
                {"jwtRules": [{"issuer": f"{b.sandbox.keycloak.url}/realms/{REALM}/"}]},
            ),
            ("issuer", "istio/RequestAuthentication/team-shop/tokens"),
        ),
    ],
)
def test_a_planted_fault_is_found_and_nothing_else(
    plant: Plant, finding: tuple[str, str], whole: Bench
) -> None:
    plant(whole)
    assert seen(whole) == [finding]


@pytest.mark.parametrize(
    "spec",
    [
        {
            "selector": {"matchLabels": {"component": "harbor-portal"}},
            "jwtRules": [{"issuer": "https://x.test"}],
        },
        {"jwtRules": [{"issuer": "https://x.test", "fromHeaders": [{"name": "x-token"}]}]},
    ],
    ids=["the portal only", "a header of its own"],
)
def test_a_rule_that_docker_never_meets_is_no_finding(spec: dict[str, Any], whole: Bench) -> None:
    authentication(whole, "harbor", spec)
    assert seen(whole) == []


def test_an_issuer_but_for_a_slash_breaks_the_login_and_both_are_told(whole: Bench) -> None:
    wrong_issuer(whole)
    found = seen(whole)
    assert ("issuer", SETTINGS) in found
    with whole.process() as systems:
        (issuer,) = (f for f in checks.check_all(systems) if f.check == "issuer")
    assert issuer.detail.endswith(": a slash at the end")


def test_robots_close_to_their_expiry_are_told(whole: Bench) -> None:
    (robot,) = (r for r in whole.sandbox.harbor.robots.values() if r.name == "ci-a")
    robot.expires_at = int(time.time()) + 3 * 86400

    with whole.process() as systems:
        (finding,) = checks.check_all(systems)
    assert (finding.check, finding.team, finding.severity) == ("robot expiry", "shop", "warning")
    assert finding.detail == "its credential expires or expired in 3 days"


def test_a_robot_that_rotation_will_exchange_in_time_is_not_told(whole: Bench) -> None:
    rotation = {"max_age_days": 60, "before_expiry_days": 7}
    whole.declare({**SHOP, "robots": {"ci": {"rotation": rotation}}}, platform=PLATFORM)
    (robot,) = (r for r in whole.sandbox.harbor.robots.values() if r.name == "ci-a")
    robot.expires_at = int(time.time()) + 10 * 86400
    assert seen(whole) == []

    robot.expires_at = int(time.time()) + 5 * 86400
    with whole.process() as systems:
        (finding,) = checks.check_all(systems)
    assert finding.check == "robot expiry"
    assert finding.advice.startswith("Run rotate-robots")


def test_the_old_robot_of_a_pair_may_expire(whole: Bench) -> None:
    live = next(r for r in whole.sandbox.harbor.robots.values() if r.name == "ci-a")
    row = whole.systems.harbor_client.get(f"/robots/{live.id}")
    body = {key: row[key] for key in ("level", "duration", "permissions", "disable")}
    whole.systems.harbor_client.post("/robots", {**body, "name": "ci-b"})
    (old,) = (r for r in whole.sandbox.harbor.robots.values() if r.name == "ci-b")
    old.expires_at = int(time.time()) + 86400
    assert seen(whole) == []


def test_a_changed_prefix_is_told_for_each_secret_that_it_breaks(whole: Bench) -> None:
    harbor(whole, robot_name_prefix="bot$")
    assert seen(whole) == [
        ("robot prefix", "kubernetes/Secret/team-shop/harbor-ci"),
        ("robot prefix", "kubernetes/Secret/team-shop/harbor-pull"),
    ]


def test_what_cannot_be_read_is_a_finding_and_the_rest_is_checked(whole: Bench) -> None:
    whole.sandbox.mishap = lambda system, method, path: 403 if "virtualservices" in path else None  # type: ignore[method-assign]
    with whole.process() as systems:
        found = checks.check_all(systems)
    assert {finding.class_ for finding in found} == {"unreadable"}
    assert {finding.check for finding in found} == {"route order", "hosts", "destinations"}


def test_a_harbor_without_a_provider_is_checked_for_what_it_has(bench: Bench) -> None:
    bench.sandbox.keycloak.realms[REALM] = new_realm(REALM, {"enabled": True})
    bench.declare({"name": "shop"})
    bench.sandbox.harbor.configuration["oidc_endpoint"] = ""
    assert seen(bench) == []
