"""The flows that offboard teams, through a real Prefect server."""

from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.e2e.conftest import SandboxBench
from tests.sandbox.calls import Caller
from tests.support.approvals import answer, wait_for_approval
from tests.support.images import image, push
from tests.support.narrowing import present

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(900),
    pytest.mark.demand("lifecycle", "offboarding by the flows: revoke, restore, remove, guards"),
]


def record_of(bench: SandboxBench, name: str = "shop") -> Any:
    return (
        YAML(typ="safe", pure=True)
        .load(bench.declared / "teams" / f"{name}.yaml")
        .get("offboarding")
    )


def robots(bench: SandboxBench, name: str = "shop") -> dict[str, bool]:
    """Return whether the team's robots are disabled, by name."""
    harbor = bench.sandbox.harbor
    (project,) = (each.id for each in harbor.projects.values() if each.name == f"team-{name}")
    found = (each for each in harbor.robots.values() if each.project_id == project)
    return {each.name: each.disabled for each in found}


@pytest.fixture
def onboarded(bench: SandboxBench) -> SandboxBench:
    """Return a bench with the onboarded teams `shop` and `data`."""
    for name in ("shop", "data"):
        bench.declare(name)
    run = bench.run("onboard-teams", scope="all")
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    return bench


def offboard(bench: SandboxBench, **parameters: Any) -> dict[str, Any]:
    return bench.run("offboard-team", **{"team": "shop", "confirm": "shop", **parameters})


@pytest.mark.demand("lifecycle", "guard: a wrong confirmation fails before any call", sample=True)
def test_a_wrong_confirmation_fails_before_any_call(bench: SandboxBench) -> None:
    run = offboard(bench, confirm="shpo")
    assert run["state_type"] == "FAILED"
    assert (
        "'confirm' is 'shpo', and must be the name of the team, 'shop'" in run["state"]["message"]
    )
    assert bench.sandbox.requests.total() == 0


def test_a_team_is_revoked_skipped_and_restored(onboarded: SandboxBench) -> None:
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


def push_image(bench: SandboxBench, name: str) -> None:
    harbor = bench.sandbox.addresses()["harbor"]
    admin = Caller(harbor["url"], harbor["username"], harbor["password"])
    answer = push(admin, f"team-{name}/web", image(name), "1")
    assert answer.status_code == 201, answer.text


def has_project(bench: SandboxBench, name: str) -> bool:
    return f"team-{name}" in {each.name for each in bench.sandbox.harbor.projects.values()}


def archived(bench: SandboxBench, name: str) -> Any:
    (file,) = (bench.declared / "archive").glob(f"{name}.*.yaml")
    return YAML(typ="safe", pure=True).load(file)["offboarding"]


def test_a_removal_is_approved_once_and_keeps_a_project_with_images(
    onboarded: SandboxBench,
) -> None:
    bench = onboarded
    push_image(bench, "data")
    for name in ("shop", "data"):
        run = offboard(bench, team=name, confirm=name, grace_days=0)
        assert run["state_type"] == "COMPLETED", run["state"]["message"]

    first = bench.start("remove-offboarded-teams")
    form = wait_for_approval(bench, first)
    for part in ("cannot be undone", "data", "shop", "2 of 2 teams", "kept with their project"):
        assert part in form.description
    second = bench.run("remove-offboarded-teams")
    assert second["state_type"] == "COMPLETED"
    assert f"run '{bench.platform.flow_run(first)['name']}' waits" in second["state"]["message"]
    assert has_project(bench, "shop")

    answer(bench, first, approve=True, your_name="Ann")
    run = bench.platform.wait_for_run(first)
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert "project kept: team-data" in run["state"]["message"]
    assert [has_project(bench, name) for name in ("shop", "data")] == [False, True]
    assert not list((bench.declared / "teams").iterdir())
    assert archived(bench, "shop").get("kept") is None
    assert archived(bench, "data")["kept"].keys() >= {"harbor/project/team-data"}
    assert "web" in bench.artifact("removal-data", run)["data"]

    run = bench.run("onboard-team", team={"name": "data"})
    assert run["state_type"] == "FAILED"
    assert "still holds the images of the removed team 'data'" in run["state"]["message"]
    assert "archive/data." in run["state"]["message"]
    run = bench.run("onboard-team", team={"name": "shop"})
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert set(robots(bench).values()) == {False}


@pytest.mark.long
@pytest.mark.demand("lifecycle", "a project that was kept is deleted later, after an approval")
def test_a_project_that_was_kept_is_deleted_by_offboarding_the_removed_team_again(
    onboarded: SandboxBench,
) -> None:
    bench = onboarded
    push_image(bench, "data")
    data = {"team": "data", "confirm": "data", "grace_days": 0}
    offboard(bench, **data)
    removal = bench.start("remove-offboarded-teams")
    answer(bench, removal, approve=True)
    assert "project kept: team-data" in bench.platform.wait_for_run(removal)["state"]["message"]
    before = bench.sandbox.requests.writes()

    run = offboard(bench, **data)
    assert run["state_type"] == "FAILED"
    assert "The removal kept Harbor project team-data." in run["state"]["message"]
    assert "run offboard-team again with 'delete_images'" in run["state"]["message"]
    run = offboard(bench, **data, delete_images=True, dry_run=True)
    assert run["state"]["message"] == "Dry run: 0 resources would be revoked."
    assert not list((bench.declared / "teams").glob("data.yaml"))

    run = offboard(bench, **data, delete_images=True)
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert bench.sandbox.requests.writes() == before
    assert record_of(bench, "data")["kept_projects"].keys() == {"team-data"}
    assert has_project(bench, "data")
    removal = bench.start("remove-offboarded-teams")
    assert "team-data/web" in wait_for_approval(bench, removal).description
    answer(bench, removal, approve=True)
    run = bench.platform.wait_for_run(removal)
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert not has_project(bench, "data")
    assert archived(bench, "data").keys().isdisjoint({"kept", "kept_projects"})

    run = bench.run("onboard-team", team={"name": "data"})
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert set(robots(bench, "data").values()) == {False}


def test_nothing_is_revoked_or_removed_if_the_source_is_empty(onboarded: SandboxBench) -> None:
    bench = onboarded
    for name in ("shop", "data"):
        (bench.declared / "teams" / f"{name}.yaml").unlink()
    before = bench.sandbox.requests.writes()

    run = bench.run("remove-offboarded-teams")
    assert run["state"]["message"] == "No offboarded team is due for removal."
    run = bench.run("detect-drift", remediate="all")
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    summary = bench.artifact("drift-summary", run)["data"]
    assert "offboard-team" in summary
    id = bench.start("offboard-team", team="shop", confirm="shop")
    assert "2 of 2 teams are not declared" in wait_for_approval(bench, id).description
    answer(bench, id, approve=False)
    assert bench.platform.wait_for_run(id)["state_type"] == "FAILED"
    assert bench.sandbox.requests.writes() == before
    assert not list((bench.declared / "teams").iterdir())

    id = bench.start("offboard-team", team="shop", confirm="shop")
    answer(bench, id, approve=True)
    run = bench.platform.wait_for_run(id)
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert record_of(bench)["by"]
    assert set(robots(bench).values()) == {True}
    assert set(robots(bench, "data").values()) == {False}


@pytest.mark.long
def test_an_approved_removal_that_is_blocked_continues_without_another_approval(
    onboarded: SandboxBench,
) -> None:
    bench = onboarded
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "x", "namespace": "team-shop", "finalizers": ["example.com/backup"]},
    }
    bench.sandbox.kubernetes.put(config)
    offboard(bench, grace_days=0)
    id = bench.start("remove-offboarded-teams")
    answer(bench, id, approve=True)
    run = bench.platform.wait_for_run(id, seconds=400)
    assert run["state_type"] == "FAILED"
    assert "Still blocked: namespace 'team-shop'" in run["state"]["message"]
    assert "example.com/backup" in run["state"]["message"]
    assert record_of(bench)["approved"]

    found = present(bench.sandbox.kubernetes.get("ConfigMap", "x", "team-shop"))
    bench.sandbox.kubernetes.put({**found, "metadata": {**found["metadata"], "finalizers": []}})
    run = bench.run("remove-offboarded-teams")
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert archived(bench, "shop")["removed"]
