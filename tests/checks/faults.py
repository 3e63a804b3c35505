"""Faults to inject into a working platform, and the finding that the checks report for each."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from tenantry.onboarding import configure
from tests.support.harness import Bench

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


def prepare(bench: Bench) -> Bench:
    """Return a working platform with a team, a member, and Harbor in the mesh."""
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
PKCE = "pkce.code.challenge.method"
SETTINGS = "harbor/configuration/single sign-on"


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


def old_harbor(bench: Bench) -> None:
    bench.sandbox.harbor.version = "v2.12.4-0d8fe5a1"


def dead_pull_secret(bench: Bench) -> None:
    """Attach a Secret of another tool, whose robot is deleted."""
    entry = {"username": "robot$theirs", "password": "Secret123"}
    config = json.dumps({"auths": {bench.systems.credentials.registry: entry}})
    data = {".dockerconfigjson": base64.b64encode(config.encode()).decode()}
    put(bench, "Secret", "theirs", "team-shop", type="kubernetes.io/dockerconfigjson", data=data)
    account = bench.sandbox.kubernetes.get("ServiceAccount", "default", "team-shop")
    assert account is not None
    account["imagePullSecrets"].append({"name": "theirs"})
    bench.sandbox.kubernetes.put(account)


def expiring_robot(bench: Bench) -> None:
    (robot,) = (r for r in bench.sandbox.harbor.robots.values() if r.name == "ci-a")
    robot.expires_at = int(time.time()) + 3 * 86400


def wrong_issuer_in_the_mesh(bench: Bench) -> None:
    issuer = f"{bench.sandbox.keycloak.url}/realms/{REALM}/"
    authentication(bench, "team-shop", {"jwtRules": [{"issuer": issuer}]})


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


def not_declared(bench: Bench) -> None:
    bench.declare(SHOP, platform={**PLATFORM, "harbor": {}})


def no_client(bench: Bench) -> None:
    not_declared(bench)
    realm = bench.sandbox.keycloak.realms[REALM]
    realm.clients = {id: c for id, c in realm.clients.items() if c["clientId"] != "harbor"}


def no_provider(bench: Bench) -> None:
    not_declared(bench)
    harbor(bench, oidc_endpoint="")


def another_provider(bench: Bench) -> None:
    not_declared(bench)
    harbor(bench, oidc_endpoint="https://login.example.com/v2.0")


class Fault(NamedTuple):
    """A fault to inject, and the resulting finding."""

    plant: Callable[[Bench], object]
    check: str
    resource: str


OWN_TESTS = {
    "robot prefix": "test_a_changed_prefix_is_reported_for_each_secret_that_it_breaks",
    "team files": "test_a_faulty_team_file_is_a_finding_and_the_others_are_checked",
}
"""Checks with their own test: their fault has several findings, or is not in a system."""

FAULTS = [
    Fault(no_client, "single sign-on", SETTINGS),
    Fault(no_provider, "single sign-on", SETTINGS),
    Fault(another_provider, "single sign-on", SETTINGS),
    Fault(lambda b: harbor(b, oidc_endpoint=""), "single sign-on", SETTINGS),
    Fault(wrong_issuer, "issuer", SETTINGS),
    Fault(old_harbor, "PKCE", CLIENT),
    Fault(lambda b: client(b)["attributes"].update({PKCE: "plain"}), "PKCE", CLIENT),
    Fault(expiring_robot, "robot expiry", "harbor/robot/team-shop/ci-a"),
    Fault(lambda b: b.sandbox.clock.move(45), "clocks", f"keycloak/realm/{REALM}"),
    Fault(
        lambda b: harbor(b, oidc_client_secret="another"),
        "client secret",
        SETTINGS,
    ),
    Fault(
        lambda b: client(b).update(redirectUris=["https://old.example.com/c/oidc/callback"]),
        "redirect URI",
        CLIENT,
    ),
    Fault(
        lambda b: harbor(b, oidc_scope="openid,email,profile"),
        "scopes",
        SETTINGS,
    ),
    Fault(
        lambda b: harbor(b, oidc_scope="openid,email,profile,offline_access,phones"),
        "scopes",
        CLIENT,
    ),
    Fault(lambda b: mapper(b).update({"full.path": "true"}), "claims", CLIENT),
    Fault(lambda b: mapper(b).update({"claim.name": "teams"}), "claims", CLIENT),
    Fault(
        lambda b: b.sandbox.keycloak.realms[REALM].user_named("ann").__setattr__("email", None),
        "claims",
        CLIENT,
    ),
    Fault(group_of_another_type, "group type", "harbor/user group/team-shop"),
    Fault(lambda b: harbor(b, oidc_group_filter="^k8s-"), "group filter", SETTINGS),
    Fault(lambda b: harbor(b, oidc_group_filter="("), "group filter", SETTINGS),
    Fault(
        lambda b: harbor(b, oidc_admin_group="nobodies"),
        "admin group",
        "keycloak/group/nobodies",
    ),
    Fault(robot_with_more, "robot access", "harbor/robot/team-shop/pull-a"),
    Fault(dead_pull_secret, "pull secrets", "kubernetes/Secret/team-shop/theirs"),
    Fault(no_certificate, "keys", "keycloak/identity provider/corp"),
    Fault(
        lambda b: service(b, "harbor-registry", "harbor", "registry"),
        "port names",
        "kubernetes/Service/harbor/harbor-registry",
    ),
    Fault(
        lambda b: service(b, "harbor-redis", "harbor", None, port=6379),
        "port names",
        "kubernetes/Service/harbor/harbor-redis",
    ),
    Fault(
        lambda b: service(b, "old", "team-shop", "tcp-old"),
        "port protocols",
        "kubernetes/Service/team-shop/old",
    ),
    Fault(pod_without_a_sidecar, "sidecars", "kubernetes/Pod/harbor/core-1"),
    Fault(
        lambda b: virtual_service(b, "own", "own.example.com", "/", "/api/"),
        "route order",
        "istio/VirtualService/team-shop/own",
    ),
    Fault(
        lambda b: virtual_service(b, "own", "own.example.com", "/api", "/api/v2/"),
        "route order",
        "istio/VirtualService/team-shop/own",
    ),
    Fault(
        lambda b: virtual_service(b, "zwei", "shop.example.com", "/"),
        "hosts",
        "istio/VirtualService/team-shop/zwei",
    ),
    Fault(
        lambda b: b.sandbox.kubernetes.delete("Service", "web", "team-shop"),
        "destinations",
        "istio/VirtualService/team-shop/web",
    ),
    Fault(
        lambda b: authentication(b, "harbor", {"jwtRules": [{"issuer": "https://x.test"}]}),
        "docker tokens",
        "istio/RequestAuthentication/harbor/tokens",
    ),
    Fault(
        lambda b: authentication(
            b,
            "istio-ingress",
            {
                "selector": {"matchLabels": {"istio": "ingress"}},
                "jwtRules": [{"issuer": "https://x.test"}],
            },
        ),
        "docker tokens",
        "istio/RequestAuthentication/istio-ingress/tokens",
    ),
    Fault(wrong_issuer_in_the_mesh, "issuer", "istio/RequestAuthentication/team-shop/tokens"),
]
