"""`Systems`: connections to clusters by name, and adapters without hidden state."""

import ast
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tenantry.connections import HOME, Cluster, Connections
from tenantry.errors import SystemRefused
from tenantry.plan import Change
from tenantry.resources import Id, Observed
from tenantry.systems.harbor.client import HarborClient
from tenantry.systems.keycloak.client import KeycloakClient
from tenantry.systems.kubernetes.client import KubernetesClient
from tenantry.systems.kubernetes.clusters import Clusters
from tenantry.systems.kubernetes.kinds import NAMESPACE
from tenantry.systems.systems import Systems
from tenantry.walk import observe_owners
from tests.support.harness import SHOP, Bench, FaultySandbox, connections
from tests.systems.test_platform import whole as declare_platform

ROOT = Path(__file__).parents[2]
EDGE = "edge"


# Several clusters


@pytest.fixture
def edge(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultySandbox]:
    """Return the sandbox of a second cluster, which all connections of the test include."""
    with FaultySandbox() as sandbox:
        cluster = Cluster.model_validate(sandbox.addresses()["kubernetes"])
        both = property(lambda self: {HOME: self.kubernetes, EDGE: cluster})
        monkeypatch.setattr(Connections, "clusters", both)
        yield sandbox


def names(sandbox: FaultySandbox) -> set[str]:
    found = (each for each in sandbox.kubernetes.objects if each["kind"] == "Namespace")
    return {each["metadata"]["name"] for each in found}


def test_one_cluster_is_connected_by_the_name_home(systems: Systems) -> None:
    assert list(systems.clusters) == [HOME]
    assert systems.home_cluster is systems.clusters.home is systems.clusters[HOME]
    assert systems.clusters.of(Id(NAMESPACE, "team-shop")) is systems.home_cluster


def test_a_change_is_made_in_the_cluster_that_its_id_names(
    edge: FaultySandbox, bench: Bench
) -> None:
    systems = bench.declare(SHOP).systems
    assert list(systems.clusters) == [HOME, EDGE]
    assert systems.marks.platform == systems.home_cluster.uid() != systems.clusters[EDGE].uid()
    checked = [line for line in systems.check() if line.startswith("Kubernetes")]
    assert [url in line for url, line in zip(_urls(bench, edge), checked, strict=True)] == [
        True
    ] * 2

    (created,) = (
        each for each in systems.plan(bench.team(), Observed()).changes if each.id.kind == NAMESPACE
    )
    id = created.id._replace(cluster=EDGE)
    change = Change("create", replace(created.resource, id=id), created.differences, None)
    systems.kubernetes.apply(change, Observed())

    assert "team-shop" in names(edge)
    assert "team-shop" not in names(bench.sandbox)


def _urls(bench: Bench, edge: FaultySandbox) -> tuple[str, str]:
    return bench.sandbox.kubernetes.url, edge.kubernetes.url


def test_teams_are_onboarded_in_the_home_cluster_only(edge: FaultySandbox, bench: Bench) -> None:
    before = names(edge)
    outcome = bench.declare(SHOP).onboard()
    assert outcome.error is None
    assert "team-shop" in names(bench.sandbox)
    assert names(edge) == before


def test_a_cluster_without_a_connection_is_named(systems: Systems) -> None:
    with pytest.raises(SystemRefused, match=r"connect to cluster 'gone'.*clusters are: home"):
        systems.clusters.of(Id(NAMESPACE, "team-shop", "gone"))
    with pytest.raises(SystemRefused, match="connect to cluster 'home'"):
        Clusters({"other": Cluster()})


def test_what_is_connected_is_closed_if_a_later_connection_fails(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = bench.declare(SHOP).state
    closed: list[str] = []
    for kind in (HarborClient, KeycloakClient, KubernetesClient):
        monkeypatch.setattr(kind, "close", lambda self: closed.append(type(self).__name__))
    good, faulty = connections(bench.sandbox).kubernetes, Cluster(kubeconfig="/missing")
    both = property(lambda self: {HOME: good, EDGE: faulty})
    monkeypatch.setattr(Connections, "clusters", both)
    with pytest.raises(SystemRefused, match="/missing"):
        Systems(connections(bench.sandbox), state)
    assert sorted(closed) == ["HarborClient", "KeycloakClient", "KubernetesClient"]


# No hidden state

_CONNECTIONS = HarborClient | KeycloakClient | KubernetesClient | Clusters


def _state(value: Any, depth: int = 4) -> Any:
    """Return the attributes of an object and of those below, but not those of the connections."""
    if isinstance(value, dict):
        return {str(key): _state(below, depth) for key, below in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_state(below, depth) for below in value]
    ours = type(value).__module__.startswith("tenantry.systems")
    if not ours or depth == 0 or isinstance(value, _CONNECTIONS):
        return repr(value)
    return {name: _state(below, depth - 1) for name, below in vars(value).items()}


def test_computing_what_is_desired_changes_no_adapter(bench: Bench) -> None:
    bench.declare(SHOP, platform=declare_platform(bench))
    systems, team = bench.systems, bench.team()
    seen, platform = (
        observe_owners(systems.team_adapters, [team]),
        observe_owners(systems.platform_adapters, [systems.state.platform]),
    )
    cases: list[tuple[Any, Any, Observed]] = [
        *((each, team, seen) for each in systems.team_adapters),
        *((each, systems.state.platform, platform) for each in systems.platform_adapters),
    ]
    for adapter, owner, observed in cases:
        before, known = _state(adapter), dict(observed.live)
        first = adapter.desired(owner, observed)
        assert _state(adapter) == before, f"'desired' of {adapter.name} changes the adapter"
        assert observed.live == known, f"'desired' of {adapter.name} changes what was observed"
        again = adapter.desired(owner, observed)
        assert [(each.id, each.fields) for each in again] == [
            (each.id, each.fields) for each in first
        ]


def test_another_process_applies_what_one_has_planned(bench: Bench) -> None:
    """A plan contains all that `apply` needs: the adapters keep nothing for it."""
    bench.declare(SHOP)
    plan, observed = bench.plan(), bench.observe()
    with bench.process() as other:
        other.apply(plan, observed)
    assert bench.plan().is_empty
    assert bench.can_log_in("harbor-pull")


def test_no_task_or_flow_sets_an_attribute_inside_the_systems() -> None:
    """A switch that is set from outside would be lost, or would stay set, where tasks are retried."""
    found = []
    folders = ("tasks", "flows", "tenantry/drift", "tenantry/rotation", "tenantry/migration")
    for path in sorted(each for folder in folders for each in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            targets = node.targets if isinstance(node, ast.Assign) else []
            targets = [node.target] if isinstance(node, ast.AugAssign | ast.AnnAssign) else targets
            for target in targets:
                if isinstance(target, ast.Attribute) and "systems" in ast.unparse(target.value):
                    found.append(f"{path.relative_to(ROOT)}:{target.lineno}: {ast.unparse(target)}")
    assert not found
