"""Measures a run of onboard-teams on a real Prefect server during an outage of a given Harbor.

    export TENANTRY_TEST_HARBOR_URL=… TENANTRY_TEST_HARBOR_PASSWORD=…
    python -m tests.real.outage_run --down 'docker kill harbor-core' --up 'docker start harbor-core' \
        --seconds 0 5 60

Keycloak and Kubernetes are the given ones, or else simulated. Each duration is measured with new
teams. The outage begins after the run has created the first projects; 0 means no outage.
The run must complete, and every team must exist exactly once. Only a robot that was being created
when the outage began may have a renewed secret, because the response with the first one was lost.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

from prefect.settings import PREFECT_API_URL, temporary_settings

from demo.processes import LocalPlatform
from tenantry.sandbox import Sandbox
from tests.real.servers.given import ready
from tests.support.addresses import given
from tests.support.flow_harness import SharedBench

_BEGUN = 3
"""The number of projects that the run has created when the outage begins."""


def measure(
    bench: SharedBench, down: str, up: str, seconds: float, teams: int
) -> tuple[float, int, int]:
    """Run through an outage; return the seconds, the robots, and how many secrets were renewed."""
    for number in range(teams):
        bench.declare(bench.name(f"t{number:02}"))
    run = bench.start("onboard-teams", scope="all")
    while seconds and len(_projects(bench)) < _BEGUN:
        time.sleep(0.1)
        assert bench.platform.flow_run(run)["state_type"] in ("SCHEDULED", "PENDING", "RUNNING")
    if seconds:
        _shell(down)
        time.sleep(seconds)
        _shell(up)
    ended = bench.platform.wait_for_run(run, seconds=600)
    start, end = (datetime.fromisoformat(ended[each]) for each in ("start_time", "end_time"))
    assert ended["state_type"] == "COMPLETED", ended["state"]["message"]
    assert ended["run_count"] == 1
    projects = _projects(bench)
    assert len({project["name"] for project in projects}) == len(projects) == teams
    robots = [robot for project in projects for robot in _robots(bench, project["project_id"])]
    assert len({robot["name"] for robot in robots}) == len(robots)
    renewed = [robot["name"] for robot in robots if _was_changed(robot)]
    again = bench.run("onboard-teams", scope="all", dry_run=True)
    assert again["state"]["message"].endswith("in sync."), again["state"]["message"]
    return (end - start).total_seconds(), len(robots), len(renewed)


def _projects(bench: SharedBench) -> list[dict[str, str]]:
    found: list[dict[str, str]] = bench.harbor.json(f"/projects?name={bench.mark}&page_size=100")
    return found


def _robots(bench: SharedBench, project: str) -> list[dict[str, str]]:
    query = f"q=Level%3Dproject%2CProjectID%3D{project}"
    found: list[dict[str, str]] = bench.harbor.json(f"/robots?{query}")
    return found


def _was_changed(robot: dict[str, str]) -> bool:
    """Return whether Harbor has changed a robot, or its secret, since it was created."""
    created, changed = (
        datetime.fromisoformat(robot[each]) for each in ("creation_time", "update_time")
    )
    return (changed - created).total_seconds() > 1


def _shell(command: str) -> None:
    subprocess.run(command, shell=True, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    """Measure the run for each duration, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tests.real.outage_run")
    parser.add_argument("--down", default="", help="the command that begins the outage")
    parser.add_argument("--up", default="", help="the command that ends it")
    parser.add_argument("--seconds", type=float, nargs="+", default=[5.0], help="its durations")
    parser.add_argument("--teams", type=int, default=50, help="the number of teams")
    arguments = parser.parse_args()
    harbor = given().harbor
    if harbor is None:
        sys.exit("Give a Harbor by TENANTRY_TEST_HARBOR_URL (docs/testing.md).")
    print("| outage | seconds of the run | robots | secrets renewed |\n|---|---|---|---|")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(ready(harbor))
        sandbox = stack.enter_context(Sandbox())
        platform = stack.enter_context(LocalPlatform(folder / "platform"))
        platform.wait_for_server()
        stack.enter_context(temporary_settings({PREFECT_API_URL: f"{platform.url}/api"}))
        platform.serve_flows()
        addresses = given().addresses(sandbox.addresses())
        for number, seconds in enumerate(arguments.seconds):
            with SharedBench(platform, addresses, folder / str(number)) as bench:
                took, robots, renewed = measure(
                    bench, arguments.down, arguments.up, seconds, arguments.teams
                )
            print(f"| {seconds:.0f} s | {took:.1f} | {robots} | {renewed} |", flush=True)


if __name__ == "__main__":
    main()
