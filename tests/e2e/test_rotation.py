"""Rotation through a real Prefect server, as its schedule and users start it."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.filesystems import LocalFileSystem
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from flows.rotate import rotate_robots
from tenantry.declared import load
from tenantry.onboarding import onboard
from tenantry.systems.systems import Systems
from tests.e2e.conftest import SandboxBench
from tests.support.approvals import answer
from tests.support.harness import connections
from tests.support.narrowing import present

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),
    pytest.mark.demand(
        "rotate", "the flow through a real Prefect server, and the search for secrets"
    ),
]

ROBOTS = """
robots:
  pull: {expiry_days: 30, rotation: {max_age_days: 20}}
  ci: {expiry_days: 30, rotation: {max_age_days: 20}}
"""


@pytest.fixture
def teams(bench: SandboxBench) -> SandboxBench:
    """Return two onboarded teams: the credentials of the first are 20 days old, the others new."""
    bench.declare("old", ROBOTS)
    bench.declare("new", ROBOTS)
    state = load(bench.declared)
    bench.sandbox.harbor.login_delay = 0.01
    with Systems(connections(bench.sandbox), state) as systems:
        for team in state.teams.values():
            onboard(systems, team)
    project = bench.sandbox.harbor.projects["team-old"]
    for robot in bench.sandbox.harbor.robots.values():
        if robot.project_id == project.id:
            robot.created -= timedelta(days=20)
            robot.expires_at -= 20 * 86400
    bench.sandbox.requests.reset()
    return bench


def live(bench: SandboxBench, team: str, purpose: str) -> str:
    held = present(bench.sandbox.kubernetes.get("Secret", f"harbor-{purpose}", f"team-{team}"))
    return str(held["metadata"]["annotations"]["tenantry.io/robot"])


def all_live(bench: SandboxBench) -> dict[str, str]:
    return {f"{t}/{p}": live(bench, t, p) for t in ("old", "new") for p in ("pull", "ci")}


def events(platform: Any, name: str, run: dict[str, Any]) -> list[dict[str, Any]]:
    body = {"filter": {"event": {"name": [name]}}, "limit": 50}
    found: list[dict[str, Any]] = []

    def arrived() -> bool:
        page = platform.call("POST", "events/filter", body)["events"]
        related = f"prefect.flow-run.{run['id']}"
        found[:] = [
            event
            for event in page
            if related in [each["prefect.resource.id"] for each in event["related"]]
        ]
        return bool(found)

    platform.wait_for(arrived)
    return found


def store(folder: Path) -> str:
    block = LocalFileSystem(basepath=str(folder))
    block.save(folder.name.replace("_", "-"), overwrite=True)
    return f"local-file-system/{folder.name.replace('_', '-')}"


@pytest.mark.demand(
    "reality", "faulty files, hostile values and faulty parameters through a real Prefect server"
)
def test_a_team_whose_file_is_faulty_is_rotated_as_it_is_and_the_run_says_so(
    teams: SandboxBench,
) -> None:
    teams.declare("old", f"{ROBOTS}colour: red\n")

    run = teams.run("rotate-robots")

    message = run["state"]["message"]
    assert run["state_type"] == "FAILED"
    assert message.startswith("4 credentials: 2 rotated, 2 in sync.")
    assert "teams/old.yaml:6: colour: unknown key" in message
    assert all_live(teams) == {
        "old/pull": "pull-b",
        "old/ci": "ci-b",
        "new/pull": "pull-a",
        "new/ci": "ci-a",
    }


@pytest.mark.parametrize("status", [500, pytest.param(503, marks=pytest.mark.long)])
def test_a_run_completes_though_nothing_of_it_can_be_published(
    teams: SandboxBench, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """Prefect's API rejects all artifacts, but the rotation is done by then."""
    real = httpx.HTTPTransport.handle_request

    def refuse(transport: Any, request: httpx.Request) -> httpx.Response:
        if request.method == "POST" and request.url.path.endswith("/artifacts/"):
            return httpx.Response(status, headers={"Retry-After": "0"}, request=request)
        return real(transport, request)

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", refuse)
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 1}):
        state: Any = rotate_robots(**teams.blocks, return_state=True)

    assert state.is_completed(), state.message
    assert state.message == "4 credentials: 2 rotated, 2 in sync."
    assert live(teams, "old", "pull") == "pull-b"


@pytest.mark.demand("rotate", "Prefect: table, page, event and audit trail")
@pytest.mark.long
def test_due_credentials_are_rotated_reported_and_retired(
    teams: SandboxBench, tmp_path: Path
) -> None:
    kept = store(tmp_path)

    run = teams.run("rotate-robots", report_storage=kept)

    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert run["state"]["message"] == "4 credentials: 2 rotated, 2 in sync."
    assert all_live(teams) == {
        "old/pull": "pull-b",
        "old/ci": "ci-b",
        "new/pull": "pull-a",
        "new/ci": "ci-a",
    }
    table = json.loads(teams.artifact("robots", run)["data"])
    assert [row["robot"] for row in table][:2] == ["old/ci-b", "old/pull-b"]
    assert set(table[0]) >= {"age", "expires", "last rotation", "next", "state", "last test"}
    page = teams.artifact("rotation-old--pull", run)["data"]
    assert "started and cancelled an upload" in teams.artifact("rotation-old--ci", run)["data"]
    assert "The old credential works until" in page
    rotated = events(teams.platform, "tenantry.robot.rotated", run)
    assert {event["resource"]["prefect.resource.name"] for event in rotated} == {
        "old/pull",
        "old/ci",
    }
    (trail,) = tmp_path.glob("rotation-audit/*.jsonl")
    first, *others = [json.loads(line) for line in trail.read_text().splitlines()]
    assert first["what"] == ["run began"]
    assert first["who"]
    assert {(line["team"], line["purpose"], line["why"]) for line in others} == {
        ("old", "pull", "age"),
        ("old", "ci", "age"),
    }


@pytest.mark.demand("rotate", "Prefect: a dry run, and a second run")
@pytest.mark.long
def test_a_dry_run_reports_due_credentials_and_a_second_run_rotates_none(
    teams: SandboxBench,
) -> None:
    run = teams.run("rotate-robots", dry_run=True)

    assert run["state"]["message"] == "Dry run: 4 credentials: 2 due, 2 in sync."
    table = json.loads(teams.artifact("robots", run)["data"])
    assert all(row["next"] for row in table)
    assert teams.sandbox.requests.writes() == 0

    teams.run("rotate-robots")
    teams.sandbox.requests.reset()
    run = teams.run("rotate-robots")

    assert run["state"]["message"] == "4 credentials: 2 overlapping, 2 in sync."
    assert teams.sandbox.requests.writes() == 0


@pytest.mark.demand("rotate", "Prefect: approval in the UI")
@pytest.mark.long
def test_a_compromised_credential_waits_for_an_approval(teams: SandboxBench) -> None:
    before = all_live(teams)
    asked: dict[str, Any] = {
        "teams": ["new"],
        "purposes": ["pull"],
        "compromised": True,
        "reason": "leaked",
    }
    id = teams.start("rotate-robots", **asked)
    teams.platform.wait_for(lambda: teams.platform.flow_run(id)["state_type"] == "PAUSED")
    assert all_live(teams) == before
    assert teams.sandbox.requests.writes() == 0

    answer(teams, id, approve=True, your_name="Ann")
    run = teams.platform.wait_for_run(id)

    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert all_live(teams) == before | {"new/pull": "pull-b"}
    page = teams.artifact("rotation-new--pull", run)["data"]
    assert "tokens that Harbor issued to the old robots are valid until" in page
    names = [robot.name for robot in teams.sandbox.harbor.robots.values()]
    assert names.count("pull-a") == 1, "the other team's"


def start_again(bench: SandboxBench, id: str) -> dict[str, Any]:
    """Schedule an ended run again, as the automation does after a crash, and return the ended run."""
    state = {"type": "SCHEDULED", "name": "AwaitingRetry"}
    bench.platform.call("POST", f"flow_runs/{id}/set_state", {"state": state, "force": True})
    bench.platform.wait_for(
        lambda: bench.platform.flow_run(id)["state_type"] not in ("SCHEDULED", "PENDING", "RUNNING")
    )
    return bench.platform.flow_run(id)


@pytest.mark.long
def test_a_run_that_is_started_again_continues_what_was_approved_and_asks_no_more(
    teams: SandboxBench,
) -> None:
    once = iter([403])
    teams.sandbox.controls.choose = lambda system, method, path: (
        next(once, None) if method == "PATCH" and path.endswith("/harbor-ci") else None
    )
    before = all_live(teams)
    id = teams.start("rotate-robots", teams=["new"], compromised=True)
    answer(teams, id, approve=True, your_name="Ann")
    run = teams.platform.wait_for_run(id)
    assert run["state_type"] == "FAILED", run["state"]["message"]
    assert all_live(teams) == before | {"new/pull": "pull-b"}

    run = start_again(teams, id)

    assert run["state_type"] == "COMPLETED", (run["state_name"], run["state"]["message"])
    assert all_live(teams) == before | {"new/pull": "pull-b", "new/ci": "ci-b"}

    teams.sandbox.requests.reset()
    run = start_again(teams, id)
    assert run["state_type"] == "COMPLETED", "nothing is left to approve"
    assert teams.sandbox.requests.writes() == 0


@pytest.mark.long
def test_a_rejected_plan_changes_nothing(teams: SandboxBench) -> None:
    before = all_live(teams)
    id = teams.start("rotate-robots", teams=["new"], compromised=True)
    teams.platform.wait_for(lambda: teams.platform.flow_run(id)["state_type"] == "PAUSED")

    plan = answer(teams, id, approve=False, your_name="Bob")
    run = teams.platform.wait_for_run(id)

    assert run["state_type"] == "FAILED"
    assert run["state"]["message"] == f"Bob rejected plan {plan}: it was not applied."
    assert all_live(teams) == before
    assert teams.sandbox.requests.writes() == 0


@pytest.mark.long
def test_a_stopped_rotation_is_reported_and_the_others_continue(teams: SandboxBench) -> None:
    teams.sandbox.kubernetes.delete("Secret", "harbor-ci", "team-old")
    secret = {"name": "harbor-ci", "namespace": "team-old"}
    teams.sandbox.kubernetes.put({"apiVersion": "v1", "kind": "Secret", "metadata": secret})

    run = teams.run("rotate-robots")

    assert run["state_type"] == "FAILED"
    assert (
        "old/ci: Kubernetes: Secret team-old/harbor-ci: it exists and Tenantry did not create it"
        in (run["state"]["message"])
    )
    assert live(teams, "old", "pull") == "pull-b"
    (event,) = events(teams.platform, "tenantry.robot.rotation_failed", run)
    assert event["payload"]["team"] == "old"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"purposes": ["push"]}, "No team has a robot 'push'; declared: pull, ci."),
        ({"report_storage": "local-file-system/none"}, "There is no block"),
    ],
)
@pytest.mark.long
def test_what_is_asked_wrongly_is_refused_before_anything_is_changed(
    teams: SandboxBench, asked: dict[str, Any], said: str
) -> None:
    run = teams.run("rotate-robots", **asked)

    assert run["state_type"] == "FAILED"
    assert said in run["state"]["message"]
    assert teams.sandbox.requests.writes() == 0
