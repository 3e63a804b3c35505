"""The deployments of prefect.yaml, served and run by a worker, on SQLite and PostgreSQL.

Schedules create runs that start, and the log of a run has a traceback only for a bug.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from ruamel.yaml import YAML

from demo.blocks import save_blocks
from demo.processes import ROOT, LocalPlatform
from tenantry.sandbox import Sandbox
from tests.production.postgres import Postgres
from tests.sandbox.calls import Caller
from tests.support.flow_harness import Worker, kill_when_running, scheduled_runs

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.long,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("prefect"),
    pytest.mark.demand(
        "reality",
        "all of tests/production/test_schedules.py: no process's log has a traceback "
        "or an ERROR that demo/logs.py does not list with a reason",
    ),
]

EVERY_MINUTE = "onboard-teams"
"""A deployment that has nothing to do if no team is declared."""
BUG, LONG = "have-a-bug", "take-long"

PLATFORM = """
name: Test
adopt: if-identical
harbor:
  single_sign_on: {}
keycloak:
  realm_settings: {}
"""

Data = dict[str, Any]


def deployments_for_tests(folder: Path) -> Path:
    """Write a copy of prefect.yaml with a schedule for each minute and the flows of the tests."""
    content: Data = YAML(typ="safe", pure=True).load(ROOT / "prefect.yaml")
    pool = content["deployments"][0]["work_pool"]
    for deployment in content["deployments"]:
        if deployment["name"] == EVERY_MINUTE:
            deployment["schedules"] = [{"cron": "* * * * *", "timezone": "UTC"}]
    for name in (BUG, LONG):
        entrypoint = f"tests.production.faulty_flows.{name.replace('-', '_')}"
        content["deployments"].append(
            {
                "name": name,
                "entrypoint": entrypoint,
                "description": name,
                "tags": ["tenantry"],
                "work_pool": pool,
            }
        )
    copy = folder / "prefect.yaml"
    YAML(typ="safe", pure=True).dump(content, copy)
    return copy


@dataclass(frozen=True)
class Running:
    """A platform with a sandbox, whose flows are served or run by a worker."""

    platform: LocalPlatform
    sandbox: Sandbox
    declared: Path
    deployments: list[Data]
    since: datetime

    def scheduled_runs(self, deployment: str, *states: str) -> list[Data]:
        """Return the runs of a schedule that were created since the flows are served or a worker runs."""
        found = scheduled_runs(self.platform, deployment, *states)
        return [run for run in found if datetime.fromisoformat(run["created"]) > self.since]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalPlatform]:
    with ExitStack() as stack:
        settings = {"PYTHONPATH": str(ROOT)}  # for the tests' own flows
        if request.param == "postgresql":
            url = stack.enter_context(Postgres()).create("prefect")
            driver = url.replace("postgresql:", "postgresql+asyncpg:")
            settings["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = driver
        folder = tmp_path_factory.mktemp(request.param)
        platform = stack.enter_context(LocalPlatform(folder, settings))
        platform.wait_for_server()
        stack.enter_context(temporary_settings({PREFECT_API_URL: f"{platform.url}/api"}))
        yield platform
    assert [error for error in platform.new_errors() if "a bug of ours" not in error] == []


@pytest.fixture(scope="module", params=["serve", "worker"])
def running(
    request: pytest.FixtureRequest,
    server: LocalPlatform,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp(request.param)
    declared = folder / "declared"
    (declared / "teams").mkdir(parents=True)
    (declared / "platform.yaml").write_text(PLATFORM)
    file = deployments_for_tests(folder)
    content: Data = YAML(typ="safe", pure=True).load(file)
    since = datetime.now(UTC)
    with ExitStack() as stack:
        sandbox = stack.enter_context(Sandbox())
        save_blocks(sandbox.addresses(), declared)
        if request.param == "serve":
            server.serve_flows(file)
            stack.callback(server.stop_flows)
        else:
            stack.enter_context(Worker(server, file))
        yield Running(server, sandbox, declared, content["deployments"], since)


@pytest.mark.demand(
    "reality", "each deployment of prefect.yaml with a schedule gets scheduled runs: {id}"
)
@pytest.mark.demand(
    "reality",
    "served on SQLite: each schedule gets scheduled runs, and one of them starts on time",
    cases="serve-sqlite",
    sample="only",
)
def test_each_deployment_with_a_schedule_gets_scheduled_runs(running: Running) -> None:
    scheduled = {item["name"] for item in running.deployments if item.get("schedules")}

    def planned() -> set[str]:
        return {name for name in scheduled if running.scheduled_runs(name, "SCHEDULED")}

    running.platform.wait_for(lambda: planned() == scheduled, seconds=60)

    assert EVERY_MINUTE in scheduled
    assert len(scheduled) > 4


@pytest.mark.demand("reality", "a scheduled run starts on time and completes")
@pytest.mark.demand(
    "reality",
    "served on SQLite: each schedule gets scheduled runs, and one of them starts on time",
    cases="serve-sqlite",
    sample="only",
)
def test_a_scheduled_run_starts_on_time_and_completes(running: Running) -> None:
    """The tolerance is a minute: a runner prepares runs seconds in advance, and may start one early."""
    ended = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")

    running.platform.wait_for(lambda: running.scheduled_runs(EVERY_MINUTE, *ended))
    run = running.scheduled_runs(EVERY_MINUTE, *ended)[0]

    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    due = datetime.fromisoformat(run["expected_start_time"])
    started = datetime.fromisoformat(run["start_time"])
    assert abs(started - due) < timedelta(minutes=1)


@pytest.mark.demand("reality", "each deployment completes as its schedule starts it")
def test_each_deployment_with_a_schedule_completes_on_a_platform_that_is_in_sync(
    running: Running,
) -> None:
    """They use the parameters of their schedules, and the blocks of the page about production.

    The deployment that runs each minute is excluded, because it cancels a second run.
    """
    platform = running.platform
    scheduled = [item["name"] for item in running.deployments if item.get("schedules")]
    scheduled.remove(EVERY_MINUTE)
    first = platform.create_run("configure-platform/configure-platform", {})
    assert platform.wait_for_run(first)["state_type"] == "COMPLETED"

    runs = {name: platform.create_run(f"{name}/{name}", {}) for name in scheduled}
    ended = {name: platform.wait_for_run(run, seconds=300) for name, run in runs.items()}
    messages = {name: run["state"]["message"] for name, run in ended.items()}

    assert {name: run["state_type"] for name, run in ended.items()} == dict.fromkeys(
        scheduled, "COMPLETED"
    ), messages


def refused_team(running: Running, folder: Path) -> str:
    """Start a run for a team whose project exists and was not created by Tenantry."""
    harbor = running.sandbox.addresses()["harbor"]
    Caller(harbor["url"], harbor["username"], harbor["password"]).made(
        "/projects", {"project_name": "team-taken"}
    )
    return running.platform.create_run("onboard-team/onboard-team", {"team": {"name": "taken"}})


def faulty_declaration(running: Running, folder: Path) -> str:
    """Start a run that reads a faulty declared state."""
    (folder / "platform.yaml").write_text("name: [1]\n")
    save_blocks(running.sandbox.addresses(), folder, "faulty")
    return running.platform.create_run("detect-drift/detect-drift", {"platform": "faulty"})


def system_down(running: Running, folder: Path) -> str:
    """Start a run whose systems never answer."""
    with Sandbox() as sandbox:
        save_blocks(sandbox.addresses(), running.declared, "down")
    return running.platform.create_run("check-platform/check-platform", {"platform": "down"})


@pytest.mark.demand("reality", "an expected failure leaves no traceback in the log of its run")
@pytest.mark.parametrize("start", [refused_team, faulty_declaration, system_down])
def test_an_expected_failure_leaves_no_traceback_in_the_log_of_its_run(
    running: Running, start: Callable[[Running, Path], str], tmp_path: Path
) -> None:
    run = running.platform.wait_for_run(start(running, tmp_path), seconds=300)

    assert run["state_type"] == "FAILED", run["state"]
    log = running.platform.whole_log(run["id"])
    assert "Traceback" not in log
    assert "Engine execution exited" not in log
    assert run["state"]["message"].splitlines()[0] in log


@pytest.mark.demand("reality", "a bug keeps its traceback, and a killed run is Crashed")
def test_a_bug_leaves_its_traceback_in_the_log_of_its_run(running: Running) -> None:
    run = running.platform.create_run(f"{BUG}/{BUG}", {})
    ended = running.platform.wait_for_run(run)

    assert ended["state_type"] == "FAILED"
    log = running.platform.whole_log(run)
    assert "Traceback (most recent call last)" in log
    assert "RuntimeError: a bug of ours" in log
    assert "in have_a_bug" in log


@pytest.mark.demand("reality", "a bug keeps its traceback, and a killed run is Crashed")
def test_a_killed_run_is_crashed(running: Running) -> None:
    run = running.platform.create_run(f"{LONG}/{LONG}", {})
    kill_when_running(running.platform, run)

    assert running.platform.wait_for_run(run)["state_type"] == "CRASHED"
