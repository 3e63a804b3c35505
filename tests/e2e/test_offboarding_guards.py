"""A source that lost teams or parts of files revokes and removes nothing, through a real Prefect server."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import SandboxBench
from tests.e2e.test_offboarding import offboard, robots
from tests.support.approvals import answer, wait_for_approval

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
NAMES = ("shop", "data", "ops", "web")


@pytest.fixture
def due(bench: SandboxBench) -> SandboxBench:
    """Return a bench with four onboarded teams, of which `shop` is due for its removal."""
    for name in NAMES:
        bench.declare(name)
    run = bench.run("onboard-teams", scope="all")
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    run = offboard(bench, grace_days=0)
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    return bench


def file(bench: SandboxBench, name: str) -> Path:
    return bench.declared / "teams" / f"{name}.yaml"


def half_of_the_teams(bench: SandboxBench) -> None:
    for name in ("data", "ops"):
        file(bench, name).unlink()


def all_other_teams(bench: SandboxBench) -> None:
    for name in ("data", "ops", "web"):
        file(bench, name).unlink()


@pytest.mark.demand(
    "lifecycle", "guard: half of the teams or all gone: the removal stops and asks", sample=True
)
@pytest.mark.parametrize(
    ("lose", "gone"),
    [
        (half_of_the_teams, "2 of 4"),
        pytest.param(all_other_teams, "3 of 4", marks=pytest.mark.long),
    ],
)
def test_a_removal_stops_and_asks_if_many_teams_are_gone(
    lose: Callable[[SandboxBench], None], gone: str, due: SandboxBench
) -> None:
    lose(due)
    before = due.sandbox.requests.writes()

    id = due.start("remove-offboarded-teams")
    asked = wait_for_approval(due, id).description

    assert f"{gone} teams are no longer declared" in asked
    assert "more than `offboarding.max_teams_percent: 10` of platform.yaml allows" in asked
    assert "If files are missing, reject this, restore the files, and start the run again" in asked
    answer(due, id, approve=False)
    assert due.platform.wait_for_run(id)["state_type"] == "FAILED"
    id = due.start("offboard-team", team="data", confirm="data")
    asked = wait_for_approval(due, id).description
    assert f"{gone} teams are not declared" in asked
    assert "reject this, and restore the files" in asked
    answer(due, id, approve=False)
    assert due.platform.wait_for_run(id)["state_type"] == "FAILED"
    for name in ("data", "ops", "web"):
        assert set(robots(due, name).values()) == {False}
    assert due.sandbox.requests.writes() == before


def cut_off(bench: SandboxBench) -> None:
    """Leave half of each file, as an interrupted copy does."""
    for name in ("data", "ops"):
        text = file(bench, name).read_bytes() + b"contact: someone\nrobots:\n  pull: {expiry_da"
        file(bench, name).write_bytes(text)


def cut_off_in_the_name(bench: SandboxBench) -> None:
    for name in ("data", "ops"):
        file(bench, name).write_text(f"name: {name[:2]}")


def empty_files(bench: SandboxBench) -> None:
    for name in ("data", "ops"):
        file(bench, name).write_bytes(b"")


def unreadable(bench: SandboxBench) -> None:
    for name in ("data", "ops"):
        file(bench, name).write_bytes(b"\xff\xfe\x00name: x")


@pytest.mark.long
@pytest.mark.demand("lifecycle", "guard: unreadable files and half a file: nothing is revoked")
@pytest.mark.parametrize("damage", [cut_off, cut_off_in_the_name, empty_files, unreadable])
def test_a_file_that_cannot_be_read_never_means_that_its_team_is_gone(
    damage: Callable[[SandboxBench], None], due: SandboxBench
) -> None:
    damage(due)
    before = due.sandbox.requests.writes()

    id = due.start("remove-offboarded-teams")
    asked = wait_for_approval(due, id).description
    assert "data" not in asked, "only shop is removed"
    assert "no longer declared" not in asked
    answer(due, id, approve=False)
    assert due.platform.wait_for_run(id)["state_type"] == "FAILED"
    for flow in ("detect-drift", "rotate-robots"):
        due.run(flow, **({"remediate": "all"} if flow == "detect-drift" else {}))
        assert due.sandbox.requests.writes() == before, flow
    for name in ("data", "ops", "web"):
        assert set(robots(due, name).values()) == {False}
    assert due.sandbox.requests.writes() == before
