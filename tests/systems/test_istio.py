"""Istio: a team's routes."""

from collections.abc import Callable
from typing import Any

import pytest

from tenantry.errors import SystemRefused
from tenantry.marks import Mark
from tenantry.plan import Plan
from tests.support.harness import ADOPTING, Bench, Data, Prepare, found, ids

TEAM: Data = {
    "name": "shop",
    "routes": {
        "web": {
            "host": "shop.example.com",
            "paths": [
                {"prefix": "/api/", "service": "backend", "port": 8080},
                {"service": "frontend", "port": 80},
            ],
        },
    },
}
ROUTE = "istio/VirtualService/team-shop/web"


def onboard(bench: Bench) -> None:
    bench.declare(TEAM, platform={"mesh": {"gateway": "gate/way"}}).onboard()


@pytest.fixture
def shop(begin: Callable[[Prepare], Bench]) -> Bench:
    """Return a bench with the onboarded team."""
    return begin(onboard)


def route(bench: Bench) -> dict[str, Any]:
    found = bench.sandbox.kubernetes.get("VirtualService", "web", "team-shop")
    assert found is not None
    return found


def leads_to(prefix: str, host: str, port: int) -> dict[str, Any]:
    destination = {"host": f"{host}.team-shop.svc.cluster.local", "port": {"number": port}}
    return {
        "match": [{"uri": {"prefix": prefix}}],
        "route": [{"destination": destination}],
    }


@pytest.mark.demand("real", "each of the forty pitfalls has a test that passes")
def test_a_route_is_made_as_declared_in_the_declared_order(shop: Bench) -> None:
    assert route(shop)["spec"] == {
        "hosts": ["shop.example.com"],
        "gateways": ["gate/way"],
        "http": [leads_to("/api/", "backend", 8080), leads_to("/", "frontend", 80)],
    }
    assert route(shop)["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "tenantry",
        "tenantry.io/team": "shop",
    }


def test_a_route_may_have_a_gateway_of_its_own(bench: Bench) -> None:
    own = {**TEAM["routes"]["web"], "gateway": "team-shop/own"}
    bench.declare({"name": "shop", "routes": {"web": own}}).onboard()
    assert route(bench)["spec"]["gateways"] == ["team-shop/own"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hosts", ["other.example.com"]),
        ("gateways", ["mesh"]),
        ("http", [leads_to("/", "frontend", 80)]),
    ],
)
def test_drifted_fields_are_planned_exactly_and_repaired(
    field: str, value: Any, shop: Bench
) -> None:
    before = route(shop)
    declared = before["spec"][field]
    shop.sandbox.kubernetes.put({**before, "spec": {**before["spec"], field: value}})
    assert found(shop.plan()) == {ROUTE: {f"spec.{field}": (value, declared)}}
    shop.onboard()
    assert route(shop)["spec"] == before["spec"]
    assert shop.plan() == Plan("shop")


def test_a_lost_route_is_created_again(shop: Bench) -> None:
    before = route(shop)["spec"]
    shop.sandbox.kubernetes.delete("VirtualService", "web", "team-shop")
    assert ids(shop.plan().changes) == [ROUTE]
    shop.onboard()
    assert route(shop)["spec"] == before


def test_a_foreign_route_is_refused_until_its_adoption_is_declared(bench: Bench) -> None:
    bench.declare({"name": "shop"}).onboard()
    theirs = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "web", "namespace": "team-shop"},
        "spec": {"hosts": ["theirs.example.com"], "http": [leads_to("/", "theirs", 80)]},
    }
    bench.sandbox.kubernetes.put(theirs)
    bench.declare(TEAM)
    with pytest.raises(SystemRefused, match="istio/VirtualService/team-shop/web"):
        bench.onboard()
    assert route(bench)["spec"] == theirs["spec"]
    bench.declare({**TEAM, "adopt": "yes"}, platform=ADOPTING).onboard()
    assert route(bench)["spec"]["hosts"] == ["shop.example.com"]
    assert route(bench)["metadata"]["annotations"] == {
        "tenantry.io/adopted": "true",
        "tenantry.io/mark": str(Mark(bench.systems.marks.platform, "shop")),
    }
    assert bench.plan() == Plan("shop")
