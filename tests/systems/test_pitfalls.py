"""Behavior of the systems that clients must know, if the tests of no other module show it."""

from typing import Any

import pytest

from tenantry.errors import NotEffective
from tenantry.plan import Plan
from tests.support.harness import SHOP, Bench


@pytest.fixture
def shop(bench: Bench) -> Bench:
    """Return a bench with the onboarded team."""
    bench.declare(SHOP).onboard()
    return bench


def pull_secret(bench: Bench) -> dict[str, Any]:
    found = bench.sandbox.kubernetes.get("Secret", "harbor-pull", "team-shop")
    assert found is not None
    return found


def is_well(bench: Bench) -> None:
    assert bench.can_log_in("harbor-pull")
    assert bench.can_log_in("harbor-ci")
    assert bench.plan() == Plan("shop")


@pytest.mark.demand("real", "each of the forty pitfalls has a test that passes")
def test_a_project_whose_name_is_our_projects_number_is_left_alone(bench: Bench) -> None:
    """Harbor takes a name of digits for an id, on every path with a project in it."""
    harbor = bench.declare({**SHOP, "harbor": {"storage_quota": "1Gi"}}).systems.harbor_client
    harbor.post("/projects", {"project_name": "numbered"})
    ours = harbor.get("/projects/numbered")["project_id"] + 2
    harbor.post("/projects", {"project_name": str(ours)})
    bench.onboard()
    projects = bench.sandbox.harbor.projects
    assert projects["team-shop"].id == ours
    foreign = projects[str(ours)]
    robots = [each.project_id for each in bench.sandbox.harbor.robots.values()]
    assert robots == [ours, ours]
    assert [each.entity_type for each in foreign.members.values()] == ["u"]
    # Drift of every part is found where it is, and mended there.
    before = repr(foreign)
    projects["team-shop"].members.clear()
    projects["team-shop"].metadata["public"] = "true"
    bench.onboard()
    assert repr(foreign) == before
    is_well(bench)


@pytest.mark.demand("real", "each of the forty pitfalls has a test that passes")
def test_a_member_whose_role_harbor_does_not_know_is_given_the_declared_one(shop: Bench) -> None:
    """Harbor stores any role in an update, and no longer lists the member."""
    members = shop.sandbox.harbor.projects["team-shop"].members
    (member,) = (each for each in members.values() if each.entity_type == "g")
    member.role_id = 9
    shop.onboard()
    assert [each.role_id for each in members.values() if each.entity_type == "g"] == [2]
    is_well(shop)


def test_a_secret_that_a_concurrent_write_replaced_is_not_kept(shop: Bench) -> None:
    """A robot's update writes back the secret that it read before: both answers are 200."""
    robots = shop.sandbox.harbor.robots
    before = next(each for each in robots.values() if each.name == "pull-a")
    shop.sandbox.kubernetes.delete("Secret", "harbor-pull", "team-shop")
    shop.sandbox.requests.reset()

    def undo(system: str, method: str, path: str) -> None:
        renewed = any(each.method == "PATCH" for each in shop.sandbox.requests.log)
        if renewed and path == "/service/token":
            robots[before.id] = before

    shop.sandbox.fault_for = undo
    with pytest.raises(NotEffective, match="Harbor rejects the new secret"):
        shop.onboard()
    assert shop.sandbox.kubernetes.get("Secret", "harbor-pull", "team-shop") is None
    shop.sandbox.fault_for = lambda system, method, path: None
    shop.onboard()
    is_well(shop)


def test_a_new_prefix_of_robots_is_written_into_their_secrets(shop: Bench) -> None:
    """The prefix is put before the names when they are read: all old logins end at once."""
    harbor = shop.systems.harbor_client
    robots = list(shop.sandbox.harbor.robots)
    harbor.put("/configurations", {"robot_name_prefix": "bot-"})
    assert not shop.can_log_in("harbor-pull")
    shop.onboard()
    assert shop.login("harbor-pull")[0] == "bot-team-shop+pull-a"
    assert list(shop.sandbox.harbor.robots) == robots
    is_well(shop)


def test_a_renewed_credential_is_written_in_place(shop: Bench) -> None:
    """A kubelet knows by a Secret's uid whose pods may use an image that it holds."""
    before = pull_secret(shop)
    robots = sorted(shop.sandbox.harbor.robots)
    shop.systems.harbor_client.patch(f"/robots/{robots[0]}", {})
    shop.systems.harbor_client.patch(f"/robots/{robots[1]}", {})
    shop.onboard()
    after = pull_secret(shop)
    assert after["data"] != before["data"]
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert sorted(shop.sandbox.harbor.robots) == robots
    is_well(shop)
