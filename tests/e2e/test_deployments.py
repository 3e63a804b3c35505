"""What ships for production: a worker's deployments, and the automations."""

import time

import pytest
from ruamel.yaml import YAML

from demo.processes import ROOT
from tests.flow_bench import Worker, kill_when_running, scheduled_runs

DEPLOYMENTS = YAML(typ="safe").load(ROOT / "prefect.yaml")["deployments"]
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]


def test_each_deployment_with_a_schedule_gets_scheduled_runs(platform):
    """While the flows are served; tests/production does it by a worker and on PostgreSQL too."""
    scheduled = {each["name"] for each in DEPLOYMENTS if each.get("schedules")}

    def planned() -> set[str]:
        return {name for name in scheduled if scheduled_runs(platform, name, "SCHEDULED")}

    platform.wait_for(lambda: planned() == scheduled, seconds=60)
    assert len(scheduled) == 6


def test_an_expected_failure_leaves_no_traceback_in_the_log_of_its_run(bench):
    run = bench.run("onboard-teams", teams=["unknown"])

    assert run["state_type"] == "FAILED"
    log = bench.platform.whole_log(run["id"])
    assert run["state"]["message"] in log
    assert "Traceback" not in log
    assert "Engine execution exited" not in log


@pytest.mark.long
def test_a_worker_runs_what_prefect_yaml_declares(shared):
    platform = shared.platform
    served = platform.call("GET", "deployments/name/onboard-team/onboard-team")
    with Worker(platform):
        deployed = platform.call("GET", "deployments/name/onboard-team/onboard-team")
        run = shared.run("onboard-team", team={"name": shared.name("demo")})

    assert served["id"] == deployed["id"]
    assert deployed["work_pool_name"] == "tenantry"
    assert not deployed["pull_steps"], "a worker elsewhere has no folder of ours"
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert shared.has_project("demo")


@pytest.mark.long
def test_a_run_whose_process_died_is_scheduled_again_once(bench):
    """The second run finishes what the first left; a run that dies twice is left alone.

    On a sandbox, whose latency gives the time to catch a run.
    """
    bench.sandbox.controls.delay(0.05)  # a run that takes long enough to be caught alive
    runs = []
    for deaths in (1, 2):
        id = bench.start("onboard-team", team={"name": f"demo{deaths}"})
        for death in range(deaths):
            kill_when_running(bench.platform, id, after_runs=death)
        runs.append(_settled(bench.platform, id, deaths))

    died_once, died_twice = runs
    assert died_once["state_type"] == "COMPLETED"
    assert died_once["run_count"] == 2
    assert "team-demo1" in bench.sandbox.harbor.projects
    assert died_twice["state_type"] == "CRASHED"
    assert died_twice["run_count"] == 2


@pytest.mark.long
def test_a_second_run_of_a_deployment_that_runs_one_at_a_time_is_cancelled(bench):
    bench.sandbox.controls.delay(0.05)
    runs = [bench.start("check-platform") for _ in range(2)]
    states = [bench.platform.wait_for_run(id)["state_type"] for id in runs]

    assert states.count("CANCELLED") == 1


@pytest.mark.long
def test_a_run_whose_machine_died_is_found_by_its_silence_and_runs_again(bench):
    """No process is left to report it: its heartbeat stops, and the automations do the rest."""
    bench.sandbox.controls.delay(0.05)
    id = bench.start("onboard-team", team={"name": "demo"})
    bench.platform.wait_for(lambda: bench.platform.flow_run(id)["state_type"] == "RUNNING")
    bench.platform.kill_flows()
    assert bench.platform.flow_run(id)["state_type"] == "RUNNING"

    bench.platform.serve_flows()
    ended = ("COMPLETED", "FAILED", "CANCELLED")
    bench.platform.wait_for(lambda: bench.platform.flow_run(id)["state_type"] in ended, seconds=240)

    run = bench.platform.flow_run(id)
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert run["run_count"] == 2
    assert "team-demo" in bench.sandbox.harbor.projects


def _settled(platform, id: str, deaths: int) -> dict:
    """The run once nothing more happens to it."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        run = platform.flow_run(id)
        if run["state_type"] == "COMPLETED":
            return run
        if run["state_type"] == "CRASHED" and run["run_count"] >= 2:
            time.sleep(5)  # an automation that would schedule it a third time acts within one
            return platform.flow_run(id)
        time.sleep(0.3)
    return platform.flow_run(id)
