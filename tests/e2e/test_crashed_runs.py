"""Runs whose process dies in any state are detected and finished, with a limited number of attempts."""

import runpy
import time
from datetime import timedelta
from typing import Any

import pytest

from demo.processes import ROOT
from tests.e2e.conftest import SandboxBench
from tests.e2e.test_declared_teams import has_route, shop
from tests.support.approvals import answer, wait_for_approval
from tests.support.flow_harness import kill_when_running

__all__ = ["shop"]

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(2400)]

ENDED = ("COMPLETED", "FAILED", "CANCELLED")
CANCELLING_TIMEOUT = 300
"""The seconds after which the server ends the state Cancelling."""


def ended(bench: SandboxBench, id: str, seconds: float = 600) -> dict[str, Any]:
    """Wait until a run has ended, and return it. A crashed run may be scheduled again."""
    bench.platform.wait_for(
        lambda: bench.platform.flow_run(id)["state_type"] in ENDED, seconds=seconds
    )
    run: dict[str, Any] = bench.platform.flow_run(id)
    return run


def wait_for_state(bench: SandboxBench, id: str, *names: str, seconds: float = 180) -> None:
    bench.platform.wait_for(
        lambda: bench.platform.flow_run(id)["state_name"] in names, seconds=seconds
    )


def put_stuck(**times: timedelta) -> None:
    """Update only the automation for runs that do not start, so that the others keep their state."""
    offered = runpy.run_path(str(ROOT / "deployments" / "automations.py"))
    (automation,) = [
        item for item in offered["automations"](**times) if "does not start" in item.name
    ]
    offered["put"](automation)


@pytest.mark.demand(
    "reality", "a run that dies each time is scheduled again a bounded number of times"
)
def test_a_run_that_dies_is_scheduled_again_three_times_at_most(bench: SandboxBench) -> None:
    """The next attempt finishes the work. A run that dies each time is not scheduled again."""
    bench.sandbox.controls.delay(0.05)  # so that the run can be killed while it runs
    once = bench.start("onboard-team", team={"name": "once"})
    kill_when_running(bench.platform, once)
    run = ended(bench, once)
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert run["run_count"] == 2
    assert "team-once" in bench.sandbox.harbor.projects

    always = bench.start("onboard-team", team={"name": "always"})
    for death in range(3):
        kill_when_running(bench.platform, always, after_runs=death)
    wait_for_state(bench, always, "Crashed")
    time.sleep(10)  # an automation that would schedule it again acts within one second
    run = bench.platform.flow_run(always)
    assert run["state_type"] == "CRASHED"
    assert run["run_count"] == 3


@pytest.mark.demand(
    "reality", "a run that dies each time is scheduled again a bounded number of times"
)
def test_a_run_that_always_dies_before_it_starts_is_scheduled_again_once(
    bench: SandboxBench,
) -> None:
    """Its run count remains 0, so the count alone would not limit the attempts."""
    served = bench.platform.stop_flows()
    try:
        id = bench.start("onboard-team", team={"name": "stuck"})
        for expected in ("AwaitingRetry", "Crashed"):
            for state in ("PENDING", "CRASHED"):
                result = bench.platform.call(
                    "POST", f"flow_runs/{id}/set_state", {"state": {"type": state}}
                )
                assert result["status"] == "ACCEPT", result
            if expected == "Crashed":
                time.sleep(10)
            wait_for_state(bench, id, expected)
        assert bench.platform.flow_run(id)["run_count"] == 0
    finally:
        if served:
            bench.platform.serve_flows()


@pytest.mark.demand(
    "reality", "killed before and after an approval: the run finishes, and asks once"
)
def test_a_run_that_dies_before_and_after_an_approval_finishes_and_asks_once(
    shop: SandboxBench,
) -> None:
    shop.sandbox.controls.delay(0.05)
    id = shop.start("onboard-team", team={"name": "shop"}, if_declared="replace")
    kill_when_running(shop.platform, id)
    wait_for_approval(shop, id)
    answer(shop, id, approve=True, your_name="Ann")
    kill_when_running(shop.platform, id, after_runs=1)

    run = ended(shop, id)

    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert run["run_count"] == 3, "a resumed run keeps its count"
    assert not has_route(shop)


@pytest.mark.demand(
    "reality", "machine killed: Running and Pending runs finish, a cancelled one stays cancelled"
)
def test_runs_in_each_state_end_as_they_should_after_their_machine_died(shop: SandboxBench) -> None:
    """This is the table in docs/production.md: the process that serves the flows is killed and restarted."""
    platform, held = shop.platform, [True]
    suspended = shop.start("onboard-team", team={"name": "shop"}, if_declared="replace")
    wait_for_approval(shop, suspended)
    shop.sandbox.controls.choose = lambda *_: "timeout" if held[0] else None
    running, cancelled, crashed = (
        shop.start("onboard-team", team={"name": name}) for name in ("one", "two", "three")
    )
    for id in (running, cancelled, crashed):
        wait_for_state(shop, id, "Running")
    put_stuck(start=timedelta(seconds=30))
    pending = shop.start("onboard-team", team={"name": "four"})
    platform.wait_for(lambda: platform.flow_run(pending)["state_type"] != "SCHEDULED")
    platform.kill_flows()
    held[0] = False
    died = time.monotonic()
    before = {id: platform.flow_run(id) for id in (running, cancelled, pending)}
    assert [run["state_type"] for run in before.values()] == ["RUNNING", "RUNNING", "PENDING"]

    cancelling = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
    assert platform.call("POST", f"flow_runs/{cancelled}/set_state", cancelling)
    assert platform.call(
        "POST", f"flow_runs/{crashed}/set_state", {"state": {"type": "CRASHED", "name": "Crashed"}}
    )
    answer(shop, suspended, approve=True)
    wait_for_state(shop, crashed, "AwaitingRetry", "Late")
    wait_for_state(shop, pending, "AwaitingRetry", "Late")
    put_stuck()
    wait_for_state(shop, running, "AwaitingRetry", "Late")
    assert platform.flow_run(suspended)["state_type"] == "SCHEDULED"
    platform.wait_for(
        lambda: platform.flow_run(cancelled)["state_type"] != "CANCELLING",
        seconds=CANCELLING_TIMEOUT + 60,
    )
    assert platform.flow_run(cancelled)["state_type"] == "CANCELLED"
    assert time.monotonic() - died > 3 * 30, "the automation for silent runs had enough time"

    platform.serve_flows()

    runs = {id: ended(shop, id) for id in (running, crashed, pending, suspended)}
    for run in runs.values():
        assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert [run["run_count"] for run in runs.values()] == [2, 2, 1, 1]
    assert platform.flow_run(cancelled)["state_type"] == "CANCELLED"
    assert platform.flow_run(cancelled)["run_count"] == 1
    projects = shop.sandbox.harbor.projects
    assert {"team-one", "team-three", "team-four"} <= set(projects)
    assert "team-two" not in projects
