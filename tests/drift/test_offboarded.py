"""Drift of teams that are being offboarded, and of teams whose files have vanished."""

import pytest

from tenantry import drift
from tenantry.locks import NoLock
from tenantry.offboarding import revoke
from tests.drift.watch import DATA, PLATFORM, SHOP, Watched, remediate
from tests.support.harness import Data
from tests.support.narrowing import present

pytestmark = pytest.mark.demand(
    "lifecycle", "drift: what should be revoked and is not, and teams that vanished"
)

RECORD: Data = {"since": "2026-11-30T16:00:00Z", "by": "ann", "remove_after": "2099-01-01"}


def offboard(watched: Watched) -> None:
    watched.declare({**SHOP, "offboarding": RECORD}, DATA, platform=PLATFORM)
    watched.watch()


def found(watched: Watched, *names: str) -> dict[str, str]:
    """Return the severities of the findings."""
    report = drift.find_drift(watched.systems, names or None).report
    return {each.id: each.severity for each in report.findings}


def test_what_is_not_revoked_is_critical_and_names_the_flow(watched: Watched) -> None:
    offboard(watched)
    detected = drift.find_drift(watched.systems)
    report = detected.report
    robot = next(each for each in report.findings if each.resource.key == "team-shop/pull-a")
    assert (robot.severity, robot.team, robot.remedy) == ("critical", "shop", None)
    assert robot.location.file == "teams/shop.yaml"
    assert "its team is being offboarded" in robot.detail
    assert "offboard-team for 'shop'" in robot.advice
    assert {each.team for each in report.findings} == {"shop"}
    before = watched.sandbox.requests.writes()
    assert drift.choose(detected, "all").plans == ()
    assert watched.sandbox.requests.writes() == before


def test_a_revoked_team_is_no_drift_and_none_of_its_resources_is_an_extra(
    watched: Watched,
) -> None:
    offboard(watched)
    revoke(watched.systems, watched.state.offboarding["shop"], lock=NoLock())
    watched.watch()
    assert found(watched) == found(watched, "shop") == {}
    robots = watched.sandbox.harbor.robots.values()
    robot = next(each for each in robots if each.name == "ci-a" and each.disabled)
    robot.disabled = False
    assert found(watched) == {"changed: harbor/robot/team-shop/ci-a": "critical"}
    assert found(watched, "data") == {}


def test_a_vanished_team_is_critical_while_a_credential_works(watched: Watched) -> None:
    watched.declare(DATA, platform=PLATFORM)
    watched.watch()
    first = watched.report().findings[0]
    assert str(first.resource) == "declared state/team/shop"
    assert first.severity == "critical"
    assert first.detail.startswith("no longer declared: ")
    assert "working credentials" in first.detail
    assert "offboard-team for 'shop'" in first.advice

    for robot in watched.sandbox.harbor.robots.values():
        robot.disabled = True
    for client in ("team-shop-web", "team-shop-spa"):
        (row,) = present(watched.systems.keycloak_client.rows("clients", clientId=client))
        watched.systems.keycloak_client.put(f"clients/{row['id']}", {**row, "enabled": False})
    (first,) = [each for each in watched.report().findings if "declared state" in each.id]
    assert first.severity == "warning"


@pytest.mark.demand(
    "lifecycle", "guard: {id} gone from the declared state, and nothing is written", sample=True
)
@pytest.mark.parametrize("teams", [(), (DATA,)], ids=["all teams", "half of the teams"])
def test_nothing_is_done_to_vanished_teams(watched: Watched, teams: tuple[Data, ...]) -> None:
    watched.declare(*teams, platform=PLATFORM)
    watched.watch()
    before = watched.sandbox.requests.writes()
    detected = watched.detect()
    gone = {"shop", "data"} - {team["name"] for team in teams}
    assert {str(team) for team in gone} == {
        each.team for each in detected.report.findings if "declared state" in each.id
    }
    remediate(watched.systems, detected, "all")
    assert watched.sandbox.requests.writes() == before


def test_a_system_that_cannot_be_read_is_one_unreadable_finding(watched: Watched) -> None:
    offboard(watched)
    revoke(watched.systems, watched.state.offboarding["shop"], lock=NoLock())
    watched.watch()
    fault = lambda system, method, path: 503 if "team-shop" in path else None
    watched.sandbox.fault_for = fault
    ids = [each for each in found(watched) if "team/shop" in each]
    assert ids == ["unreadable: declared state/team/shop"]
