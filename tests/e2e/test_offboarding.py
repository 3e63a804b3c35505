"""The flows that offboard teams, through a real Prefect server."""

import pytest
from ruamel.yaml import YAML

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(600),
    pytest.mark.demand("lifecycle", "offboarding by the flows: revoke, restore, remove, guards"),
]


def record_of(bench, name="shop"):
    return YAML(typ="safe").load(bench.declared / "teams" / f"{name}.yaml").get("offboarding")


def robots(bench, name="shop"):
    """Return whether the team's robots are disabled, by name."""
    harbor = bench.sandbox.harbor
    (project,) = (each.id for each in harbor.projects.values() if each.name == f"team-{name}")
    found = (each for each in harbor.robots.values() if each.project_id == project)
    return {each.name: each.disabled for each in found}


@pytest.fixture
def onboarded(bench):
    """Return a bench with the onboarded teams `shop` and `data`."""
    for name in ("shop", "data"):
        bench.declare(name)
    run = bench.run("onboard-teams", scope="all")
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    return bench


def offboard(bench, **parameters):
    return bench.run("offboard-team", **{"team": "shop", "confirm": "shop", **parameters})


@pytest.mark.demand("lifecycle", "guard: a wrong confirmation fails before any call", sample=True)
def test_a_wrong_confirmation_fails_before_any_call(bench):
    run = offboard(bench, confirm="shpo")
    assert run["state_type"] == "FAILED"
    assert (
        "'confirm' is 'shpo', and must be the name of the team, 'shop'" in run["state"]["message"]
    )
    assert bench.sandbox.requests.total() == 0


def test_a_team_is_revoked_skipped_and_restored(onboarded):
    bench = onboarded
    before = robots(bench)
    assert set(before.values()) == {False}

    run = offboard(bench)

    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert run["name"] == f"offboard shop (platform {bench.block})"
    assert record_of(bench)["remove_after"] > record_of(bench)["since"][:10]
    assert robots(bench) == dict.fromkeys(before, True)
    assert set(robots(bench, "data").values()) == {False}
    page = bench.artifact("offboarding-shop", run)["data"]
    assert "## Revoked" in page
    assert "onboard-team" in page

    again = bench.sandbox.requests.writes()
    run = offboard(bench)
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert bench.sandbox.requests.writes() == again, "a second run writes nothing"

    for flow, more in (("onboard-teams", {"scope": "all"}), ("rotate-robots", {"force": True})):
        run = bench.run(flow, **more)
        assert run["state_type"] == "COMPLETED", run["state"]["message"]
        assert set(robots(bench).values()) == {True}, f"{flow} restored what was revoked"

    run = bench.run("onboard-team", team={"name": "shop"})
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert record_of(bench) is None
    assert robots(bench) == before
