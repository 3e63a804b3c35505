"""A system is restored from an older backup, or the home cluster is created again.

The same walk repairs the result: what still works is kept, and what is lost is created again.
"""

import copy
from typing import Any

import pytest

from tenantry.errors import NotOurs
from tenantry.outcomes import Outcome
from tenantry.sandbox import Sandbox
from tests.support.harness import PLATFORM, Bench, Data, actions
from tests.support.invariants import (
    assert_credentials_work,
    assert_in_sync,
    assert_nothing_to_do,
)
from tests.support.rotation_harness import (
    ROTATED,
    enabled,
    pairs_are_in_order,
    pass_time,
    published,
    robots,
    run,
)

pytestmark = pytest.mark.demand(
    "lifecycle",
    "older backups of the cluster, Harbor and Keycloak, and a new cluster: the same walk repairs them",
    sample=True,
)

SHOP: Data = {
    "name": "shop",
    "robots": {"pull": {"expiry_days": 30, "rotation": ROTATED}, "ci": None},
    "oidc_clients": {"web": {"redirect_uris": ["https://shop.example.com/cb"]}},
}
DATA: Data = {"name": "data", "robots": {"ci": None}}
WITH_ID: Data = {**PLATFORM, "id": "prod"}


def onboard_all(bench: Bench) -> dict[str, Outcome]:
    """Onboard all teams in a new process, as after a restore."""
    bench.load()
    return {team.name: bench.onboard(team.name) for team in bench.teams}


def done(outcome: Outcome) -> dict[str, str]:
    """Return the actions of an outcome by resource."""
    return {str(change.id): change.action for change in outcome.done}


def backup(sandbox: Sandbox, *systems: str) -> dict[str, Any]:
    """Return the state of systems, such as `kubernetes`, as a backup has it."""
    return {name: copy.deepcopy(getattr(sandbox, name).dump()) for name in systems}


def restore(sandbox: Sandbox, held: dict[str, Any]) -> None:
    """Restore systems from a backup."""
    for name, state in held.items():
        getattr(sandbox, name).load(copy.deepcopy(state))


def test_an_old_credential_that_still_works_is_kept(bench: Bench) -> None:
    """The backup is older than the last rotation, and its robot still overlaps."""
    bench.declare(SHOP).onboard()
    held = backup(bench.sandbox, "kubernetes")
    pass_time(bench, days=20)
    assert run(bench)["shop/pull"].rotated
    restore(bench.sandbox, held)
    login = bench.login("harbor-pull")

    outcome = onboard_all(bench)["shop"]

    assert not [id for id, action in done(outcome).items() if "robot" in id or "Secret" in id]
    assert bench.login("harbor-pull") == login
    assert bench.can_log_in("harbor-pull")
    run(bench)
    assert bench.can_log_in("harbor-pull")
    pairs_are_in_order(bench)


def test_an_old_credential_of_a_deleted_robot_is_replaced(bench: Bench) -> None:
    """The newer robot in Harbor, whose secret is lost, is retired with the next rotations."""
    bench.declare(SHOP).onboard()
    held = backup(bench.sandbox, "kubernetes")
    pass_time(bench, days=20)
    for days in (0, 2, 8):
        pass_time(bench, days=days)
        run(bench)
    assert set(robots(bench)) == {"pull-b"}
    restore(bench.sandbox, held)
    assert not bench.can_log_in("harbor-pull")

    onboard_all(bench)

    assert bench.can_log_in("harbor-pull")
    assert bench.plan().is_empty
    live = published(bench)
    for days in (0, 2, 9):
        pass_time(bench, days=days)
        run(bench)
        assert bench.can_log_in("harbor-pull")
    assert enabled(bench) == {published(bench)}
    assert live in ("pull-a", "pull-b")


def test_a_team_that_is_newer_than_the_backup_gets_its_namespace_again(bench: Bench) -> None:
    bench.declare(SHOP).onboard()
    held = backup(bench.sandbox, "kubernetes")
    bench.declare(SHOP, DATA).onboard("data")
    harbor = bench.sandbox.harbor
    before = {robot.id for robot in harbor.robots.values()}
    project = harbor.projects["team-data"].id
    restore(bench.sandbox, held)

    outcome = onboard_all(bench)["data"]

    assert "adopt" not in done(outcome).values()
    assert done(outcome)["kubernetes/Secret/team-data/harbor-pull"] == "create"
    assert "harbor/project/team-data" not in done(outcome)
    assert harbor.projects["team-data"].id == project
    assert {robot.id for robot in harbor.robots.values()} == before
    assert_in_sync(bench)


def test_a_harbor_that_is_restored_gets_the_missing_robots_again(bench: Bench) -> None:
    bench.declare(SHOP).onboard()
    held = backup(bench.sandbox, "harbor")
    login = bench.login("harbor-pull")
    bench.declare(SHOP, DATA).onboard("data")
    pass_time(bench, days=20)
    for days in (0, 2, 8):
        pass_time(bench, days=days)
        run(bench)
    restore(bench.sandbox, held)

    onboard_all(bench)

    assert bench.login("harbor-pull") != login
    assert_credentials_work(bench)
    assert_nothing_to_do(bench)
    for days in (0, 2, 9):
        pass_time(bench, days=days)
        run(bench)
        assert_credentials_work(bench)
    assert enabled(bench) == {published(bench)}


def test_a_keycloak_that_is_restored_gets_the_missing_clients_again(bench: Bench) -> None:
    bench.declare(DATA).onboard()
    held = backup(bench.sandbox, "keycloak")
    bench.declare(SHOP, DATA).onboard("shop")
    secret = bench.secret("oidc-web")["client_secret"]
    restore(bench.sandbox, held)

    outcome = onboard_all(bench)["shop"]

    assert done(outcome)["keycloak/client/team-shop-web"] == "create"
    assert bench.secret("oidc-web")["client_secret"] != secret
    assert_in_sync(bench)


# A new home cluster


def replace_cluster(bench: Bench) -> str:
    """Replace the home cluster by an empty one, and return the UID of the former one."""
    system = bench.sandbox.kubernetes.get("Namespace", "kube-system")
    assert system is not None
    with Sandbox() as other:
        bench.sandbox.kubernetes.load(copy.deepcopy(other.kubernetes.dump()))
    return str(system["metadata"]["uid"])


def test_a_new_cluster_of_a_platform_with_an_id_is_filled_again(bench: Bench) -> None:
    bench.declare(SHOP, DATA, platform=WITH_ID)
    onboard_all(bench)
    harbor = bench.sandbox.harbor
    before = {robot.id for robot in harbor.robots.values()}
    replace_cluster(bench)

    outcomes = onboard_all(bench)

    for outcome in outcomes.values():
        assert "adopt" not in done(outcome).values()
    assert {robot.id for robot in harbor.robots.values()} == before
    assert_in_sync(bench)


def test_a_new_cluster_of_a_platform_without_an_id_is_refused_with_the_id(bench: Bench) -> None:
    """Marks name the UID of the former cluster, so everything seems to be another platform's."""
    bench.declare(SHOP)
    onboard_all(bench)
    robots_before = copy.deepcopy(bench.sandbox.harbor.dump()["robots"])
    uid = replace_cluster(bench)
    bench.load()

    plan = bench.plan()
    refused = {str(refusal.id): refusal.reason for refusal in plan.refusals}
    assert f"set 'id: {uid}' in platform.yaml" in refused["harbor/project/team-shop"]
    assert f"set 'id: {uid}' in platform.yaml" in refused["keycloak/group/team-shop"]
    assert "adopt" not in actions(plan).values()
    with pytest.raises(NotOurs):
        bench.onboard()
    assert bench.sandbox.harbor.dump()["robots"] == robots_before

    bench.declare(SHOP, platform={**PLATFORM, "id": uid})
    onboard_all(bench)
    assert_in_sync(bench)
