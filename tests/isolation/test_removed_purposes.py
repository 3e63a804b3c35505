"""A purpose that a team no longer declares is retired. Other leftovers are only reported."""

from collections.abc import Callable
from typing import Any

import pytest

from tenantry import drift
from tenantry.locks import NoLock
from tenantry.rotation import Outcome, RotationRequest, rotate
from tests.support.crash import Driver
from tests.support.harness import Bench, Data
from tests.support.rotation_harness import enabled, pass_time, robots

pytestmark = pytest.mark.demand("isolation", "a removed purpose is retired with overlap")

BOTH: Data = {
    "name": "shop",
    "robots": {"pull": {}, "ci": {"expiry_days": "never", "attach": True}},
}
ONE: Data = {"name": "shop", "robots": {"pull": {}, "ci": None}}


def _declare_both(bench: Bench) -> None:
    bench.declare(BOTH).onboard()


@pytest.fixture
def shop(begin: Callable[..., Bench]) -> Bench:
    """Return a team with two robots that now declares only one of them."""
    bench = begin(_declare_both)
    return bench.declare(ONE)


def run(bench: Bench, **asked: Any) -> dict[str, Outcome]:
    """Run rotation, and return the outcomes by name."""
    now = bench.sandbox.clock.now()
    with bench.process() as systems:
        found = rotate(systems, bench.teams, RotationRequest(now, **asked), now, NoLock())
    for outcome in found:
        assert outcome.error is None, outcome.error
    return {outcome.name: outcome for outcome in found}


def attached(bench: Bench) -> list[str]:
    """Return the names of the pull Secrets that are attached to the ServiceAccount."""
    account: Any = bench.sandbox.kubernetes.get("ServiceAccount", "default", "team-shop")
    return [secret["name"] for secret in account.get("imagePullSecrets") or []]


def findings(bench: Bench) -> dict[str, Any]:
    """Return the current findings of drift detection by resource."""
    with bench.process(extras=True) as systems:
        seen = drift.observe(systems, bench.teams, drift.SYSTEMS)
        report = drift.detect(systems, bench.teams, seen).report
    return {str(found.resource): found for found in report.findings}


def test_it_is_retired_with_overlap_and_its_secret_goes_when_no_client_can_use_it(
    shop: Bench,
) -> None:
    login = shop.login("harbor-ci")
    opens = shop.systems.harbor_client.accepts

    assert run(shop)["shop/ci"].state == "overlapping"
    pass_time(shop, hours=23)
    run(shop)
    assert opens(*login), "it is still valid during the overlap"
    assert shop.secret("harbor-ci")

    pass_time(shop, days=2)
    outcome = run(shop)["shop/ci"]
    assert not opens(*login)
    assert "deleted Secret team-shop/harbor-ci" in outcome.done
    assert attached(shop) == ["harbor-pull"]
    assert enabled(shop) == {"pull-a"}

    pass_time(shop, days=8)
    run(shop)
    assert set(robots(shop)) == {"pull-a"}
    assert set(run(shop)) == {"shop/pull"}
    assert shop.can_log_in("harbor-pull")
    assert findings(shop).keys() <= {"kubernetes/Namespace mark/team-shop"}


def test_it_is_a_critical_finding_that_remediation_leaves_to_rotation(shop: Bench) -> None:
    found = findings(shop)
    robot, secret = (
        found["harbor/robot/team-shop/ci-a"],
        found["kubernetes/Secret/team-shop/harbor-ci"],
    )

    assert (robot.class_, robot.severity, robot.remedy) == ("extra", "critical", None)
    assert "rotate-robots retires it" in robot.advice
    assert secret.remedy is None
    login = shop.login("harbor-ci")
    with shop.process(extras=True) as systems:
        seen = drift.observe(systems, shop.teams, drift.SYSTEMS)
        remedy = drift.choose(drift.detect(systems, shop.teams, seen), "all")
        drift.remediate_teams(systems, remedy, drift.Order("all"), NoLock(), approved=False)
    assert shop.systems.harbor_client.accepts(*login)
    assert shop.secret("harbor-ci")


def test_a_purpose_that_is_declared_again_works_again(shop: Bench) -> None:
    run(shop)
    shop.declare(BOTH).onboard()
    pass_time(shop, days=4)
    run(shop)
    assert shop.can_log_in("harbor-ci")


def test_a_compromised_one_is_deleted_at_once(shop: Bench) -> None:
    login = shop.login("harbor-ci")
    run(shop, compromised=True)
    assert not shop.systems.harbor_client.accepts(*login)


def test_a_robot_without_the_mark_is_not_retired(shop: Bench) -> None:
    for robot in robots(shop).values():
        robot.description = "by hand" if robot.name == "ci-a" else robot.description
    assert set(run(shop)) == {"shop/pull"}
    found = findings(shop)["harbor/robot/team-shop/ci-a"]
    assert (found.class_, found.severity, found.remedy) == ("extra", "critical", None)
    assert "'remove'" in found.advice


def test_robots_of_a_team_that_no_file_declares_are_findings_only(bench: Bench) -> None:
    bench.declare(BOTH, {"name": "data"})
    for team in bench.teams:
        bench.onboard(team.name)
    bench.declare({"name": "data"})

    assert {name.partition("/")[0] for name in run(bench, force=True)} == {"data"}
    found = findings(bench)["harbor/robot/team-shop/ci-a"]
    assert (found.class_, found.severity, found.remedy) == ("extra", "critical", None)
    pass_time(bench, days=30)
    run(bench)
    assert set(robots(bench)) == {"pull-a", "ci-a"}


def test_what_else_a_secret_holds_is_kept(shop: Bench) -> None:
    held = shop.sandbox.kubernetes.get("Secret", "harbor-ci", "team-shop")
    assert held is not None
    shop.sandbox.kubernetes.put({**held, "data": {**held["data"], "token": "bWluZQ=="}})
    run(shop)
    pass_time(shop, days=4)
    run(shop)
    assert shop.secret("harbor-ci")["token"] == "mine"


@pytest.mark.parametrize("days", [[], [4], [4, 8]], ids=["shorten", "clear and disable", "delete"])
def test_killed_at_any_request_of_a_step_it_is_finished_by_the_next_run(
    shop: Bench, days: list[int], whole: bool
) -> None:
    login = shop.login("harbor-ci")
    for passed in days:
        run(shop)
        pass_time(shop, days=passed)

    def check() -> None:
        works = shop.systems.harbor_client.accepts(*login)
        assert works is not bool(days)
        assert bool(shop.sandbox.kubernetes.get("Secret", "harbor-ci", "team-shop")) is works
        assert ("harbor-ci" in attached(shop)) is works
        assert ("ci-a" in robots(shop)) is (len(days) < 2)
        assert shop.can_log_in("harbor-pull")

    driver = Driver(shop.sandbox, lambda: run(shop), check)
    assert driver.everywhere(every=1 if whole else 5) > 4
