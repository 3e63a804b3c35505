"""The platform of these tests: the team shop is offboarded, and nothing else may change."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tenantry import offboarding
from tenantry.declared import Team
from tenantry.offboarding.plan import RemovalPlan, Removed, Revoked
from tenantry.systems.systems import Systems
from tests.drift.extras import provider
from tests.isolation.snapshot import Names, everything
from tests.sandbox.calls import Caller
from tests.support.harness import REALM, Bench, Data, granted
from tests.support.images import image, push
from tests.support.rotation_harness import ROTATED, add_namespace

SINKS = [
    {"namespace": "pipelines", "name": "kaniko-{team}", "format": "config.json"},
    {"namespace": "pipelines", "name": "basic-{team}", "format": "basic"},
    {"namespace": "pipelines", "name": "docker-{team}"},
]
SHOP: Data = {
    "name": "shop",
    "members": ["ann"],
    "external_groups": {"corp": ["shop-people"]},
    "harbor": {"groups": {"auditors": "guest"}},
    "further_namespaces": {"jobs": {}},
    "robots": {
        "pull": {"expiry_days": 30, "rotation": ROTATED},
        "ci": {"expiry_days": 90, "sinks": SINKS},
    },
    "oidc_clients": {"web": {"redirect_uris": ["https://shop.example.com/cb"]}},
    "routes": {"web": {"host": "shop.example.com", "paths": [{"service": "front", "port": 80}]}},
}
DATA: Data = {
    "name": "data",
    "external_groups": {"corp": ["data-people"]},
    "harbor": {"groups": {"auditors": "guest"}},
    "robots": {"ci": {"sinks": [{"namespace": "pipelines", "name": "kaniko-{team}"}]}},
    "oidc_clients": {"web": {"redirect_uris": ["https://data.example.com/cb"]}},
    "routes": {"web": {"host": "data.example.com", "paths": [{"service": "front", "port": 80}]}},
}
PLATFORM: Data = granted(
    "shop",
    "data",
    sinks=[f"pipelines/{kind}-{{team}}" for kind in ("kaniko", "basic", "docker")],
    groups=["auditors"],
    platform={
        "name": "Test platform",
        "keycloak": {"groups": {"auditors": {}}, "external_providers": {"corp": {}}},
        "mesh": {"gateway": "istio-ingress/public"},
    },
)
FOREIGN_KEY = {"note": base64.b64encode(b"of the pipelines").decode()}
"""A key that others have added to a sink."""
FOREIGN_AUTH = {"ghcr.io": {"auth": base64.b64encode(b"bot:token").decode()}}
"""A credential that others have added to a sink."""


def prepare(bench: Bench) -> None:
    """Onboard shop and data, and make objects by hand."""
    sandbox = bench.sandbox
    add_namespace(bench)
    sandbox.keycloak.add_user(REALM, "ann")
    bench.declare(SHOP, DATA, platform=PLATFORM)
    bench.systems.keycloak_client.post("identity-provider/instances", provider("corp"))
    bench.systems.keycloak_client.post("groups", {"name": "auditors"})
    bench.onboard("data")
    bench.onboard("shop")
    cluster = bench.systems.home_cluster
    cluster.merge("Secret", "basic-shop", "pipelines", {"data": FOREIGN_KEY})
    config = json.loads(bench.secret("kaniko-shop", "pipelines")["config.json"])
    config["auths"] |= FOREIGN_AUTH
    packed = base64.b64encode(json.dumps(config).encode()).decode()
    cluster.merge("Secret", "kaniko-shop", "pipelines", {"data": {"config.json": packed}})
    harbor = bench.systems.harbor_client
    harbor.post("/projects", {"project_name": "legacy"})
    sandbox.kubernetes.put(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x", "namespace": "pipelines"}}
    )


@contextmanager
def process(bench: Bench, name: str = "shop") -> Iterator[tuple[Systems, Team]]:
    """Return the systems of a new process, and a team."""
    with bench.process() as systems:
        yield systems, bench.team(name)


def shop(bench: Bench) -> Team:
    """Return the team that is offboarded."""
    return bench.team("shop")


def revoke(bench: Bench, name: str = "shop", **options: Any) -> Revoked:
    """Revoke the access of a team in a new process."""
    with process(bench, name) as (systems, team):
        return offboarding.revoke(systems, team, **options)


def plan(bench: Bench, **options: Any) -> RemovalPlan:
    """Plan the removal of shop in a new process."""
    with process(bench) as (systems, team):
        return offboarding.plan_removal(systems, team, **options)


def remove(
    bench: Bench, approved: RemovalPlan | None = None, name: str = "shop", **options: Any
) -> Removed:
    """Remove a team in a new process, by an approved plan or by a new one."""
    with process(bench, name) as (systems, team):
        approved = approved or offboarding.plan_removal(systems, team)
        return offboarding.remove(systems, approved, **options)


def left(bench: Bench) -> list[str]:
    """Return the objects of shop that are left in the systems."""
    names = Names.of([SHOP], [])
    return sorted(
        "/".join(part)
        for part in everything(bench.sandbox)
        if (names.own(part) and part[:2] not in (("harbor", "audit"), ("harbor", "groups")))
        or part[-1] in ("kaniko-shop", "basic-shop", "docker-shop")
    )


def admin(bench: Bench) -> Caller:
    """Return Harbor's administrator."""
    address = bench.sandbox.addresses()["harbor"]
    return Caller(address["url"], address["username"], address["password"])


def push_images(bench: Bench, *names: str, tag: str = "1") -> None:
    """Push an image to each of these repositories of shop's project."""
    for name in names:
        answer = push(admin(bench), f"team-shop/{name}", image(f"{name}{tag}"), tag)
        assert answer.status_code == 201, answer.text


def bystanders(bench: Bench) -> dict[tuple[str, ...], str]:
    """Return everything in the systems that does not belong to shop, byte for byte."""
    names = Names.of([SHOP], [])
    sinks = {("kubernetes", "Secret", "pipelines", f"{s['name']}") for s in SINKS}
    sinks = {(*part[:3], part[3].format(team="shop")) for part in sinks}
    return {
        part: value
        for part, value in everything(bench.sandbox).items()
        if part not in sinks and (not names.own(part) or part[:2] == ("harbor", "groups"))
    }
