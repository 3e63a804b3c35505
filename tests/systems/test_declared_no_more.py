"""Objects with a team's mark that are no longer declared are deleted, and no others."""

from typing import Any

from tests.support.harness import ADOPTING, SHOP, Bench, Data, actions

MORE: Data = {
    **SHOP,
    "namespace": {"quota": {"pods": 50}, "limits": {"default": {"cpu": "500m"}}},
    "routes": {
        "web": {"host": "shop.example.com", "paths": [{"service": "front", "port": 80}]},
    },
}
LESS: Data = {**SHOP, "namespace": {"network": {"allow_gateway": False}}}
GATEWAY = "tenantry-allow-gateway"


def policy(name: str, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": "team-shop", **metadata},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
    }


def test_objects_that_are_no_longer_declared_are_deleted_as_planned(bench: Bench) -> None:
    bench.declare(MORE).onboard()
    bench.declare(LESS)

    planned = actions(bench.plan())
    bench.onboard()

    assert planned == {
        f"kubernetes/NetworkPolicy/team-shop/{GATEWAY}": "delete",
        "kubernetes/ResourceQuota/team-shop/tenantry": "delete",
        "kubernetes/LimitRange/team-shop/tenantry": "delete",
        "istio/VirtualService/team-shop/web": "delete",
        "kubernetes/Namespace/team-shop": "update",  # the annotation with its hosts
        "kubernetes/Namespace mark/team-shop": "update",
    }
    kubernetes = bench.sandbox.kubernetes
    assert kubernetes.get("NetworkPolicy", GATEWAY, "team-shop") is None
    assert kubernetes.get("VirtualService", "web", "team-shop") is None
    assert kubernetes.get("NetworkPolicy", "tenantry-default-deny", "team-shop") is not None
    assert bench.plan().is_empty


def test_a_teams_own_objects_are_never_touched(bench: Bench) -> None:
    bench.declare(SHOP).onboard()
    bench.sandbox.kubernetes.put(policy("their-own"))

    assert bench.plan().is_empty


def test_adopted_objects_that_are_no_longer_declared_stay(bench: Bench) -> None:
    bench.declare(LESS).onboard()
    bench.sandbox.kubernetes.put(policy(GATEWAY))
    bench.declare({**SHOP, "adopt": "yes"}, platform=ADOPTING).onboard()
    bench.declare({**LESS, "adopt": "yes"}, platform=ADOPTING).onboard()

    assert bench.plan().is_empty
    assert bench.sandbox.kubernetes.get("NetworkPolicy", GATEWAY, "team-shop") is not None


def test_another_teams_objects_are_not_this_ones_to_delete(bench: Bench) -> None:
    bench.declare(SHOP).onboard()
    marks = {"app.kubernetes.io/managed-by": "tenantry", "tenantry.io/team": "other"}
    bench.sandbox.kubernetes.put(policy("strange", labels=marks))

    assert bench.plan().is_empty


def test_deleting_an_object_that_is_already_gone_succeeds(bench: Bench) -> None:
    bench.declare(MORE).onboard()
    bench.declare(LESS)
    seen = bench.observe()
    plan = bench.systems.plan(bench.team(), seen)
    bench.sandbox.kubernetes.delete("NetworkPolicy", GATEWAY, "team-shop")

    bench.systems.apply(plan, seen)

    assert bench.plan().is_empty
