"""Values that the systems store in another form: they are in sync after one run."""

from typing import Any

import pytest

from tests.support.harness import Bench, granted

CLIENT = {"redirect_uris": ["https://a.example/cb"]}

TEAMS: dict[str, dict[str, Any]] = {
    "redirect URIs twice": {
        "oidc_clients": {"web": {"redirect_uris": ["https://a.example/cb"] * 2 + ["https://b/cb"]}}
    },
    "web origins twice": {"oidc_clients": {"web": {**CLIENT, "web_origins": ["+", "+"]}}},
    "logout URIs twice": {
        "oidc_clients": {"web": {**CLIENT, "post_logout_redirect_uris": ["https://a.example/"] * 2}}
    },
    "members that differ in case": {"members": ["Ann", "ann", "ANN", "bob"]},
    "a quota of a fraction of a byte": {"harbor": {"storage_quota": "10.3Gi"}},
    "a quota of half a byte more": {"harbor": {"storage_quota": "1024.5"}},
    "a quota in thousandths": {"harbor": {"storage_quota": "1500m"}},
    "a quota finer than Kubernetes keeps": {
        "namespace": {"quota": {"requests.cpu": "0.10000000001", "limits.memory": "0.1Gi"}}
    },
    "a rule with null": {"namespace": {"network": {"policies": {"p": {"ingress": None}}}}},
    "a rule with null for ports": {
        "namespace": {"network": {"policies": {"p": {"ingress": [{"ports": None, "from": None}]}}}}
    },
    "access twice": {"robots": {"ci": {"access": ["repository:pull", "repository:pull"]}}},
    "labels that agree with other fields": {
        "namespace": {
            "mesh": False,
            "labels": {
                "istio-injection": "disabled",
                "kubernetes.io/metadata.name": "team-shop",
                "pod-security.kubernetes.io/enforce": "baseline",
                "pod-security.kubernetes.io/warn": "restricted",
            },
        }
    },
}


@pytest.mark.demand("reality", "declared state, never in sync: in sync after one pass")
@pytest.mark.parametrize("team", TEAMS.values(), ids=TEAMS)
def test_never_in_sync_value_is_in_sync_after_one_pass(team: dict[str, Any], bench: Bench) -> None:
    users = bench.sandbox.keycloak.realms["platform"]
    for name in ("ann", "bob"):
        if users.user_named(name) is None:
            bench.sandbox.keycloak.add_user("platform", name)
    # Reserved labels of Kubernetes need a grant.
    keys = ["istio-injection", "kubernetes.io/*", "pod-security.kubernetes.io/*"]
    bench.declare({"name": "shop", **team}, platform=granted("shop", labels=keys))
    bench.onboard()
    plan = bench.plan()
    assert not plan.changes
    assert not plan.waiting
    assert not plan.refusals


@pytest.mark.demand("reality", "declared state, never in sync: in sync after one pass")
def test_never_in_sync_storage_quota_changes_where_it_differs(bench: Bench) -> None:
    """A value that the system rounds is still compared."""
    bench.declare({"name": "shop", "harbor": {"storage_quota": "10.3Gi"}})
    bench.onboard()
    bench.declare({"name": "shop", "harbor": {"storage_quota": "10.4Gi"}})
    assert len(bench.plan().changes) == 2  # the quota, and the mark of the applied state
