"""Marks identify the owner: no platform or team changes an object with the mark of another."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry import drift
from tenantry.declared.adopt import adopt_all
from tenantry.locks import NoLock
from tenantry.marks import MARK, Mark, parse, read
from tenantry.rotation import rotate
from tenantry.sandbox import Sandbox
from tenantry.systems.holders import Holders
from tenantry.systems.kubernetes.namespaces import HOSTS
from tenantry.systems.systems import Systems
from tenantry.walk import observe_owners
from tests.support.harness import ADOPTING, Bench, actions, connections, ids
from tests.support.narrowing import present
from tests.support.rotation_harness import order

pytestmark = pytest.mark.demand("isolation", "all of tests/isolation/test_marks.py")

SHOP = {
    "name": "shop",
    "oidc_clients": {"web": {"redirect_uris": ["https://shop.example/"]}},
    "routes": {"web": {"host": "shop.example", "paths": [{"service": "a", "port": 80}]}},
    "further_namespaces": {"jobs": {}},
}


def fields_of(bench: Bench) -> dict[str, Any]:
    """Return the robots and projects with all their fields."""
    sandbox = bench.sandbox
    return copy.deepcopy(
        {
            "robots": {id: vars(robot) for id, robot in sandbox.harbor.robots.items()},
            "projects": {name: vars(p) for name, p in sandbox.harbor.projects.items()},
        }
    )


# The format


@pytest.mark.demand("isolation", "one versioned format of marks, on every object")
@given(
    st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?", fullmatch=True),
    st.from_regex(r"([a-z][a-z0-9-]{0,40})?", fullmatch=True),
    st.from_regex(r"([a-z][a-z0-9.-]{0,40})?", fullmatch=True),
)
def test_a_mark_is_read_back_as_it_was_written(platform: str, team: str, cluster: str) -> None:
    mark = Mark(platform, team, cluster)

    assert parse(str(mark)) == mark


@pytest.mark.demand("isolation", "one versioned format of marks, on every object")
@given(st.text())
def test_any_other_text_is_a_mark_of_no_platform(text: str) -> None:
    found = read({"app.kubernetes.io/managed-by": "tenantry", "tenantry.io/team": "shop"}, text)

    assert found == Mark(None, "shop") or str(found) == text


@pytest.mark.demand("isolation", "one versioned format of marks, on every object")
def test_every_object_carries_the_mark_of_its_platform_and_team(bench: Bench) -> None:
    bench.declare(SHOP, platform={"name": "Test", "id": "prod"}).onboard()
    kubernetes, harbor = bench.sandbox.kubernetes, bench.sandbox.harbor

    for kind, name in (("Namespace", "team-shop"), ("Namespace", "team-shop-jobs")):
        assert (
            present(kubernetes.get(kind, name))["metadata"]["annotations"][MARK] == "v1:prod:shop"
        )
    for kind, name in (
        ("Secret", "harbor-pull"),
        ("Secret", "oidc-web"),
        ("ResourceQuota", "tenantry"),
    ):
        found = kubernetes.get(kind, name, "team-shop")
        if found:
            assert found["metadata"]["annotations"][MARK] == "v1:prod:shop"
    assert {robot.description for robot in harbor.robots.values()} == {
        "Managed by Tenantry [v1:prod:shop]"
    }
    realm = bench.sandbox.keycloak.realms["platform"]
    assert "v1:prod:shop" in json.dumps([group.attributes for group in realm.groups.values()])


def test_without_an_id_the_mark_names_the_home_cluster(bench: Bench) -> None:
    bench.declare(SHOP).onboard()
    uid = present(bench.sandbox.kubernetes.get("Namespace", "kube-system"))["metadata"]["uid"]

    (text,) = {robot.description for robot in bench.sandbox.harbor.robots.values()}
    assert text == f"Managed by Tenantry [v1:{uid}:shop]"


# Two platforms on one Harbor


@pytest.fixture
def second(bench: Bench, tmp_path: Path) -> Iterator[tuple[Bench, Systems]]:
    """Yield the first platform's team, and the systems of a second platform with its own cluster."""
    bench.declare(SHOP, platform={"name": "First", "id": "first"}).onboard()
    with Sandbox() as other, Bench(bench.sandbox, tmp_path / "second") as theirs:
        theirs.declare(SHOP, platform={"name": "Second", "id": "second"})
        own = connections(bench.sandbox).model_copy(
            update={"kubernetes": connections(other).kubernetes}
        )
        with Systems(own, theirs.state, clock=bench.sandbox.clock.now, extras=True) as systems:
            theirs.systems = systems
            yield bench, systems


@pytest.mark.demand(
    "isolation",
    "a second platform on one Harbor is refused, and resets and reports nothing of the first",
)
def test_the_second_platform_on_a_harbor_is_refused_with_both_names(
    second: tuple[Bench, Systems],
) -> None:
    bench, systems = second
    team = systems.state.teams["shop"]
    before = fields_of(bench)

    plan = systems.plan(team, observed := observe_owners(systems.team_adapters, [team]))
    systems.apply(plan, observed)

    reasons = {str(refusal.id): refusal.reason for refusal in plan.refusals}
    assert set(reasons) >= {"harbor/project/team-shop", "keycloak/group/team-shop"}
    for reason in reasons.values():
        assert "belongs to platform 'first' (team 'shop')" in reason
        assert "this is platform 'second' ('Second')" in reason
    assert fields_of(bench) == before
    again = systems.plan(team, observe_owners(systems.team_adapters, [team]))
    assert ids(again.refusals) == ids(plan.refusals)
    assert bench.plan().is_empty


@pytest.mark.demand(
    "isolation",
    "a second platform on one Harbor is refused, and resets and reports nothing of the first",
)
@pytest.mark.parametrize("asked", [{}, {"force": True}, {"compromised": True}])
def test_the_second_platform_rotates_nothing(
    second: tuple[Bench, Systems], asked: dict[str, bool]
) -> None:
    bench, systems = second
    before = fields_of(bench)

    outcomes = rotate(
        systems,
        systems.state.pick(None),
        order(bench, **asked),
        bench.sandbox.clock.now(),
        NoLock(),
    )

    assert outcomes
    assert all("belongs to platform 'first'" in str(outcome.error) for outcome in outcomes)
    assert fields_of(bench) == before


@pytest.mark.demand(
    "isolation",
    "a second platform on one Harbor is refused, and resets and reports nothing of the first",
)
def test_the_second_platform_reports_nothing_of_the_first_as_its_extra(
    second: tuple[Bench, Systems],
) -> None:
    _, systems = second
    teams = systems.state.pick(None)
    detected = drift.detect(systems, teams, drift.observe(systems, teams, drift.SYSTEMS))

    assert not [f.id for f in detected.report.findings if f.class_ == "extra"]
    refused = [f for f in detected.report.findings if "belongs to platform 'first'" in f.detail]
    assert {f.severity for f in refused}


def test_adoption_does_not_take_objects_of_another_platform(second: tuple[Bench, Systems]) -> None:
    _, systems = second
    team = systems.state.teams["shop"].model_copy(update={"adopt": adopt_all("yes")})

    plan = systems.plan(team, observe_owners(systems.team_adapters, [team]))

    assert "harbor/project/team-shop" in ids(plan.refusals)
    assert "adopt" not in actions(plan).values()


@pytest.mark.demand("isolation", "forged marks stop nothing")
def test_a_forged_mark_in_a_project_stops_nothing(bench: Bench) -> None:
    """A team that may change its robots writes the mark of another platform on them."""
    bench.declare(SHOP, platform={"name": "First", "id": "first"}).onboard()
    for robot in bench.sandbox.harbor.robots.values():
        robot.description = "Managed by Tenantry [v1:other:shop]"

    plan = bench.plan()
    assert not plan.refusals
    assert set(actions(plan).values()) == {"update"}
    with bench.process() as systems:
        now = bench.sandbox.clock.now()
        outcomes = rotate(systems, bench.teams, order(bench, force=True), now, NoLock())
    assert all(outcome.rotated for outcome in outcomes)


def test_a_platform_that_gets_an_id_later_knows_its_own_marks(bench: Bench) -> None:
    bench.declare(SHOP).onboard()
    before = {name: bench.login(name) for name in ("harbor-pull", "harbor-ci")}

    bench.declare(SHOP, platform={"name": "Test", "id": "prod"}).onboard()

    assert {name: bench.login(name) for name in before} == before
    assert bench.plan().is_empty


# Another team's objects


@pytest.mark.demand("isolation", "nothing of a removed team is taken over")
def test_a_further_namespace_does_not_take_the_namespace_of_a_removed_team(bench: Bench) -> None:
    """The namespace of team `shop-data` is not a further namespace of team `shop`."""
    bench.declare({"name": "shop-data"}).onboard()
    secret = bench.sandbox.kubernetes.get("Secret", "harbor-pull", "team-shop-data")
    namespace = bench.sandbox.kubernetes.get("Namespace", "team-shop-data")

    team = {"name": "shop", "further_namespaces": {"data": {}}, "adopt": "yes"}
    bench.declare(team, platform=ADOPTING)
    with pytest.raises(Exception, match="belongs to team 'shop-data'"):
        bench.onboard()

    assert bench.sandbox.kubernetes.get("Secret", "harbor-pull", "team-shop-data") == secret
    assert bench.sandbox.kubernetes.get("Namespace", "team-shop-data") == namespace
    with bench.process() as systems:
        now = bench.sandbox.clock.now()
        rotate(systems, bench.teams, order(bench, force=True), now, NoLock())
    assert bench.sandbox.kubernetes.get("Secret", "harbor-pull", "team-shop-data") == secret


@pytest.mark.demand("isolation", "forged marks stop nothing")
@pytest.mark.parametrize("label", ["tenantry.io/team", MARK])
def test_a_forged_mark_in_an_own_namespace_stops_nothing(bench: Bench, label: str) -> None:
    """Otherwise a team could prevent a rotation by another team's mark on its Secret."""
    bench.declare({"name": "shop"}).onboard()
    secret = present(bench.sandbox.kubernetes.get("Secret", "harbor-pull", "team-shop"))
    secret["metadata"]["labels"]["tenantry.io/team"] = "data"
    secret["metadata"]["annotations"][MARK] = "v1:other:data" if label == MARK else "x"
    bench.sandbox.kubernetes.put(secret)

    plan = bench.plan()
    assert not plan.refusals
    with bench.process() as systems:
        now = bench.sandbox.clock.now()
        outcomes = rotate(systems, bench.teams, order(bench, force=True), now, NoLock())
    assert all(outcome.rotated for outcome in outcomes)
    bench.onboard()
    found = present(bench.sandbox.kubernetes.get("Secret", "harbor-pull", "team-shop"))
    assert found["metadata"]["labels"]["tenantry.io/team"] == "shop"


@pytest.mark.demand("isolation", "nothing of a removed team is taken over")
def test_a_client_of_a_removed_team_is_not_taken(bench: Bench) -> None:
    """Client `web` of team `shop-data` and client `data-web` of team `shop` have the same id."""
    web = {"redirect_uris": ["https://a.example/"]}
    bench.declare({"name": "shop-data", "oidc_clients": {"web": web}}).onboard()

    bench.declare({"name": "shop", "oidc_clients": {"data-web": web}})

    (refusal,) = bench.plan().refusals
    assert str(refusal.id) == "keycloak/client/team-shop-data-web"
    assert "belongs to team 'shop-data'" in refusal.reason


# Upgrade


def downgrade_marks(bench: Bench) -> None:
    """Replace all marks by those of the previous release."""
    sandbox = bench.sandbox
    for robot in sandbox.harbor.robots.values():
        robot.description = robot.description.partition(" [")[0]
    for realm in sandbox.keycloak.realms.values():
        for group in realm.groups.values():
            group.attributes.pop(MARK, None)
        for client in realm.clients.values():
            (client.get("attributes") or {}).pop(MARK, None)
    for kind in (
        "Namespace",
        "Secret",
        "ResourceQuota",
        "LimitRange",
        "NetworkPolicy",
        "RoleBinding",
    ):
        for found in list(_all(sandbox, kind)):
            if (found["metadata"].get("annotations") or {}).pop(MARK, None):
                for entry in found["metadata"].get("managedFields") or []:
                    owned = entry.get("fieldsV1", {}).get("f:metadata", {}).get("f:annotations", {})
                    owned.pop(f"f:{MARK}", None)
                sandbox.kubernetes.put(found)


def _all(sandbox: Any, kind: str) -> Iterator[Any]:
    for namespace in ("team-shop", "team-shop-jobs"):
        if kind == "Namespace":
            found = sandbox.kubernetes.get(kind, namespace)
            if found:
                yield found
            continue
        for name in (
            *("tenantry", "tenantry-team", "harbor-pull", "harbor-ci", "oidc-web"),
            *("tenantry-default-deny", "tenantry-allow-dns", "tenantry-allow-mesh"),
            *("tenantry-allow-gateway", "tenantry-allow-same-namespace"),
        ):
            found = sandbox.kubernetes.get(kind, name, namespace)
            if found:
                yield found


def test_marks_of_the_previous_release_are_upgraded_without_a_new_credential(bench: Bench) -> None:
    bench.declare(SHOP).onboard()
    downgrade_marks(bench)
    logins = {name: bench.login(name) for name in ("harbor-pull", "harbor-ci")}
    robots = sorted(bench.sandbox.harbor.robots)
    bench.load()

    plan = bench.plan()
    assert not plan.refusals
    assert set(actions(plan).values()) == {"update"}
    bench.onboard()

    assert {name: bench.login(name) for name in logins} == logins
    assert all(bench.can_log_in(name) for name in logins)
    assert sorted(bench.sandbox.harbor.robots) == robots
    for robot in bench.sandbox.harbor.robots.values():
        assert robot.description.endswith(":shop]")
    count = bench.sandbox.requests.writes()
    bench.onboard()
    assert bench.sandbox.requests.writes() == count, "a second run writes nothing"


def test_the_mark_of_a_disabled_robot_is_left_alone(bench: Bench) -> None:
    """A write may change the time from which its deletion is calculated."""
    bench.declare(SHOP).onboard()
    with bench.process() as systems:
        now = bench.sandbox.clock.now()
        rotate(systems, bench.teams, order(bench, force=True), now, NoLock())
    old = [r for r in bench.sandbox.harbor.robots.values() if r.name.endswith("-a")]
    for robot in old:
        robot.disabled = True
        robot.description = "Managed by Tenantry"
    before = [vars(copy.copy(robot)) for robot in old]

    bench.load().onboard()

    assert [vars(robot) for robot in old] == before


@pytest.mark.parametrize("first", ["data", "shop"])
def test_a_host_that_two_namespaces_list_has_one_holder(bench: Bench, first: str) -> None:
    """A grant writes a host to the namespaces of its teams, even if they have no route."""
    kubernetes = bench.sandbox.kubernetes
    other = "shop" if first == "data" else "data"
    for team in (first, other):
        bench.sandbox.clock.move(60)
        metadata = {
            "name": f"team-{team}",
            "labels": {"app.kubernetes.io/managed-by": "tenantry", "tenantry.io/team": team},
            "annotations": {HOSTS: "x.example.com"},
        }
        kubernetes.put({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    bench.declare({"name": "web"})
    assert Holders(bench.systems).holder("the host", "x.example.com") == first

    metadata = {
        "name": "x",
        "namespace": f"team-{other}",
        "labels": {"app.kubernetes.io/managed-by": "tenantry", "tenantry.io/team": other},
    }
    version = "networking.istio.io/v1"
    route = {"apiVersion": version, "kind": "VirtualService", "metadata": metadata}
    kubernetes.put({**route, "spec": {"hosts": ["x.example.com"]}})
    holders = Holders(bench.systems)
    assert holders.holder("the host", "x.example.com") == other, "it has the route"
