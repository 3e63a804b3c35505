"""A team that violates the policy: the flows change nothing of it, and complete all other teams."""

import json
from pathlib import Path

import pytest

from tenantry import declared, onboarding
from tenantry.connections import Cluster, Connections, HarborAccount, KeycloakAccount
from tenantry.declared.adopt import AdoptBySystem
from tenantry.errors import NotOurs
from tenantry.outcomes import left_out
from tenantry.systems.settle import connect
from tests.support.harness import ADOPTING, PLATFORM, Bench, Data, connections, granted, write

pytestmark = pytest.mark.demand(
    "isolation", "the policy where it is applied: left-out teams, adoption, old commits"
)

MALLORY: Data = {"name": "mallory"}
SHOP: Data = {"name": "shop"}
SINK: Data = {"namespace": "cert-manager", "name": "ca-key"}
GREEDY: Data = {
    "name": "mallory",
    "adopt": "yes",
    "robots": {"ci": {"sinks": [SINK]}},
    "namespace": {"labels": {"tier": "gold"}},
}


def put_key(bench: Bench) -> str:
    """Create the key of the cluster's authority, which Mallory wants to overwrite, and return it."""
    for body in (
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "cert-manager"}},
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "ca-key", "namespace": "cert-manager"},
            "type": "Opaque",
            "data": {"tls.key": "c2VjcmV0"},
        },
    ):
        bench.sandbox.kubernetes.put(body)
    return key(bench)


def key(bench: Bench) -> str:
    return json.dumps(bench.sandbox.kubernetes.get("Secret", "ca-key", "cert-manager"))


def test_a_team_beyond_the_policy_is_left_as_it_is(bench: Bench) -> None:
    bench.declare(MALLORY, SHOP)
    for team in bench.teams:
        bench.onboard(team.name)
    before, untouched = put_key(bench), bench.sandbox.kubernetes.get("Namespace", "team-mallory")
    write(bench.folder, GREEDY, {**SHOP, "namespace": {"labels": {"tier": "one"}}})
    state = declared.read(bench.folder)

    with connect(connections(bench.sandbox), state, clock=bench.sandbox.clock.now) as systems:
        teams = systems.state.pick(None)
        for outcome in onboarding.plan_all(systems, teams):
            assert outcome.plan is not None
            onboarding.onboard(systems, systems.state.teams[outcome.team])
        outcomes = left_out(systems.state, None)

    assert [team.name for team in teams] == ["shop"]
    (failed,) = outcomes
    assert "'cert-manager/ca-key' is outside of the team's namespaces" in str(failed.error)
    assert key(bench) == before
    assert bench.sandbox.kubernetes.get("Namespace", "team-mallory") == untouched
    changed = bench.sandbox.kubernetes.get("Namespace", "team-shop")
    assert changed is not None
    assert changed["metadata"]["labels"]["tier"] == "one"


def test_a_secret_of_others_is_not_overwritten_where_the_sink_alone_is_granted(
    bench: Bench,
) -> None:
    """A grant for the sink does not include adoption."""
    before = put_key(bench)
    platform = granted("mallory", sinks=["cert-manager/ca-key"])
    bench.declare(GREEDY, platform=platform)

    with pytest.raises(NotOurs, match="cert-manager/ca-key: it exists and Tenantry did not create"):
        bench.onboard()

    assert key(bench) == before


def test_adoption_without_a_grant_is_refused_with_the_grant(bench: Bench) -> None:
    bench.declare({**SHOP, "adopt": "yes"})
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team-shop"}}
    bench.sandbox.kubernetes.put(body)

    with pytest.raises(NotOurs) as refused:
        bench.onboard()

    assert 'policy.grants of platform.yaml: - {teams: [shop], reason: why, adopt: "yes"}' in str(
        refused.value
    )
    bench.declare({**SHOP, "adopt": "yes"}, platform=ADOPTING).onboard()
    assert bench.plan().is_empty


def test_adoption_without_a_grant_is_a_warning_once_nothing_is_left_to_adopt(bench: Bench) -> None:
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team-shop"}}
    bench.sandbox.kubernetes.put(body)
    bench.declare({**SHOP, "adopt": "yes"}, platform=ADOPTING).onboard()

    bench.declare({**SHOP, "adopt": "yes"})  # without the grant

    (warning,) = bench.state.warnings
    assert warning.startswith("teams/shop.yaml:1: adopt: 'yes' has no effect: ")
    bench.onboard()
    assert bench.plan().is_empty


def test_adoption_is_granted_by_system(bench: Bench) -> None:
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team-shop"}}
    bench.sandbox.kubernetes.put(body)
    bench.declare({**SHOP, "adopt": "yes"}, platform=granted("shop", adopt={"harbor": "yes"}))

    assert bench.team().adopt == AdoptBySystem(harbor="yes")
    (warning,) = bench.state.warnings
    assert warning.startswith(
        "teams/shop.yaml:1: adopt: 'keycloak: yes, kubernetes: yes, istio: yes' has no effect: "
    )
    assert (
        '- {teams: [shop], reason: why, adopt: {keycloak: "yes", kubernetes: "yes", istio: "yes"}}'
        in warning
    )
    (refusal,) = bench.plan().refusals
    assert (
        "policy.grants of platform.yaml: - {teams: [shop], reason: why, adopt: {kubernetes: "
        in (refusal.reason)
    )

    by_system = {"harbor": "yes", "kubernetes": "if-identical"}
    bench.declare({**SHOP, "adopt": "yes"}, platform=granted("shop", adopt=by_system))
    assert bench.team().adopt.of("kubernetes") == "if-identical"
    assert bench.plan().refusals
    by_system["kubernetes"] = "yes"
    bench.declare({**SHOP, "adopt": by_system}, platform=granted("shop", adopt=by_system))
    assert not bench.state.warnings
    bench.onboard()
    assert bench.plan().is_empty


def test_what_the_platform_adopts_for_all_needs_no_grant(bench: Bench) -> None:
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team-shop"}}
    bench.sandbox.kubernetes.put(body)
    bench.declare(SHOP, platform={**PLATFORM, "defaults": {"adopt": "yes"}}).onboard()
    assert bench.state.warnings == ()


@pytest.mark.parametrize("host", ["harbor.corp.example", "sso.corp.example"])
@pytest.mark.parametrize("by", ["route", "login"])
def test_the_hosts_of_the_connections_are_reserved(host: str, by: str, tmp_path: Path) -> None:
    """If platform.yaml does not name them, those of the blocks are reserved."""
    paths = [{"service": "a", "port": 80}]
    content: dict[str, Data] = {
        "route": {"routes": {"web": {"host": host, "paths": paths}}},
        "login": {"oidc_clients": {"web": {"redirect_uris": [f"https://{host}/cb"]}}},
    }
    write(tmp_path, {**MALLORY, **content[by]}, SHOP)
    there = Connections(
        harbor=HarborAccount(url="https://harbor.corp.example", password="x"),
        keycloak=KeycloakAccount(url="https://sso.corp.example/auth", password="x"),
        kubernetes=Cluster(kubeconfig_content=KUBECONFIG),
    )
    state = declared.read(tmp_path)
    assert list(state.teams) == ["mallory", "shop"]

    with connect(there, state, settled_by=lambda systems, _: systems.state) as systems:
        assert list(systems.state.teams) == ["shop"]
        (fault,) = systems.state.faults

    assert f"'{host}' is the host of " in fault
    assert "policy.grants in platform.yaml: - {teams: [mallory]" in fault


KUBECONFIG: Data = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
    "users": [{"name": "u", "user": {"token": "x"}}],
    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    "current-context": "x",
}


def test_a_new_route_for_a_host_that_logins_return_to_is_refused(bench: Bench) -> None:
    """It would receive the authorization codes of the other team's logins."""
    shop = {**SHOP, "oidc_clients": {"web": {"redirect_uris": ["https://pay.example.com/cb"]}}}
    bench.declare(shop).onboard()
    route = {"host": "pay.example.com", "paths": [{"service": "a", "port": 80}]}
    write(bench.folder, {**MALLORY, "routes": {"web": route}})

    with connect(connections(bench.sandbox), declared.read(bench.folder)) as systems:
        assert list(systems.state.teams) == ["shop"]
        assert "logins of team 'shop' return to 'pay.example.com'" in systems.state.faults[0]


def test_logins_to_the_host_of_another_teams_route_are_refused(bench: Bench) -> None:
    route = {"host": "pay.example.com", "paths": [{"service": "a", "port": 80}]}
    bench.declare({**SHOP, "routes": {"web": route}}).onboard()
    web = {"redirect_uris": ["https://pay.example.com/cb"]}
    write(bench.folder, {**MALLORY, "oidc_clients": {"web": web}})

    with connect(connections(bench.sandbox), declared.read(bench.folder)) as systems:
        assert list(systems.state.teams) == ["shop"]
        (fault,) = systems.state.faults

    assert "logins return to 'pay.example.com', for which team 'shop' has a route" in fault
