"""One run survives an outage of a minute: no second run is needed to finish it."""

import threading
import time
from typing import Any

import pytest

from tests.e2e.conftest import SandboxBench

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(600)]

MINUTE = 60.0
TEAMS = ("one", "two", "three")
PLATFORM = """name: test
harbor:
  configuration: {token_expiration: 31}
defaults:
  robots:
    pull: {expiry_days: 90, rotation: {max_age_days: 30}}
"""


def states(bench: SandboxBench, runs: dict[str, str]) -> set[str]:
    """Return the states of some runs."""
    return {bench.platform.flow_run(run)["state_type"] for run in runs.values()}


def renewed(bench: SandboxBench) -> int:
    """Return how often the secret of a robot was renewed."""
    counts = bench.sandbox.requests.counts().items()
    return sum(n for kind, n in counts if kind.method == "PATCH" and "/robots/" in kind.template)


@pytest.mark.demand(
    "reality", "core or database down for 60 s: one run of each flow completes", "seconds"
)
@pytest.mark.parametrize("part", ["core", "database"])
def test_one_run_of_each_flow_survives_an_outage_of_a_minute(
    part: Any, bench: SandboxBench, record_property: Any
) -> None:
    bench.declare_platform(PLATFORM)
    for team in TEAMS:
        bench.declare(team)
    assert bench.run("onboard-teams")["state_type"] == "COMPLETED"
    for team in TEAMS:
        bench.sandbox.harbor.projects[f"team-{team}"].metadata["public"] = "true"
    bench.declare("four")
    bench.sandbox.requests.reset()

    onboarded = list(TEAMS)
    bench.sandbox.controls.take_down(part)
    runs = {
        "onboard-teams": bench.start("onboard-teams", scope="changed"),
        "rotate-robots": bench.start("rotate-robots", teams=onboarded, force=True, reason="a test"),
        "detect-drift": bench.start("detect-drift", teams=onboarded, remediate="safe"),
        "configure-platform": bench.start("configure-platform"),
    }
    bench.platform.wait_for(lambda: "RUNNING" in states(bench, runs))
    began = time.monotonic()
    ends = threading.Timer(MINUTE, bench.sandbox.controls.take_down)
    ends.start()
    ended = {flow: bench.platform.wait_for_run(run, seconds=300) for flow, run in runs.items()}
    ends.join()

    record_property("seconds", round(time.monotonic() - began, 1))
    messages = {flow: run["state"]["message"] for flow, run in ended.items()}
    assert {run["state_type"] for run in ended.values()} == {"COMPLETED"}, messages
    assert {run["run_count"] for run in ended.values()} == {1}
    assert renewed(bench) == 0
    projects = [project.name for project in bench.sandbox.harbor.projects.values()]
    assert sorted(name for name in projects if name.startswith("team-")) == sorted(
        f"team-{team}" for team in (*TEAMS, "four")
    )
    assert bench.run("detect-drift", fail_on="drift")["state_type"] == "COMPLETED"
