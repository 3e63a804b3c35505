"""How long commands and flows take to start. Times are printed, and never asserted."""

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from demo.processes import ROOT, LocalPlatform
from tenantry.sandbox import Sandbox
from tests.speed.imports import load_command, load_modules
from tests.speed.test_imports import EXAMPLE, FLOWS
from tests.support.demands import Figure
from tests.support.flow_harness import FlowBench, Worker

pytestmark = pytest.mark.long

TIMES = 3
Begin = Callable[[FlowBench, dict[str, Any]], tuple[str, datetime]]
"""Starts a run of `onboard-team`; returns its id, and the time before the call."""


@pytest.mark.demand("speed", "start: CPU seconds of the commands")
def test_cpu_of_the_commands(figure: Figure) -> None:
    commands = (("--help",), ("version",), ("validate", EXAMPLE))
    least = {each[0]: min(load_command(*each).seconds for _ in range(TIMES)) for each in commands}
    figure(", ".join(f"{name} {seconds:.2f}" for name, seconds in least.items()))


@pytest.mark.demand("speed", "start: CPU seconds to import Prefect, and each flow after it")
def test_cpu_of_the_imports(figure: Figure) -> None:
    tries = [load_modules(FLOWS, after_prefect=True) for _ in range(TIMES)]
    least = {name: min(each[name].seconds for each in tries) for name in tries[0]}
    prefect = least.pop("")
    more = ", ".join(f"{name.partition('.')[2]} +{each:.2f}" for name, each in least.items())
    figure(f"Prefect {prefect:.2f}, {more}")


@contextmanager
def _served(platform: LocalPlatform) -> Iterator[Begin]:
    yield _by_deployment


@contextmanager
def _worker(platform: LocalPlatform) -> Iterator[Begin]:
    with Worker(platform):
        yield _by_deployment


@contextmanager
def _task_worker(platform: LocalPlatform) -> Iterator[Begin]:
    module = [sys.executable, "-m", "tests.speed.warm"]
    process = platform.start("the task worker", [*module, "serve"])
    platform.wait_for(lambda: "Starting task worker" in process.log.read_text(), process)

    def begin(bench: FlowBench, parameters: dict[str, Any]) -> tuple[str, datetime]:
        called = subprocess.run(
            [*module, "call", json.dumps(parameters | bench.blocks)],
            env=platform.env,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        found: list[dict[str, Any]] = []

        def is_created() -> bool:
            body = {"sort": "START_TIME_DESC", "flows": {"name": {"any_": ["onboard-team"]}}}
            runs = platform.call("POST", "flow_runs/filter", body)
            name = parameters["team"]["name"]
            found[:] = [run for run in runs if run["parameters"]["team"].get("name") == name]
            return bool(found)

        platform.wait_for(is_created)
        return found[0]["id"], datetime.fromisoformat(called.stdout.split()[-1])

    try:
        yield begin
    finally:
        platform.stop(process)


def _by_deployment(bench: FlowBench, parameters: dict[str, Any]) -> tuple[str, datetime]:
    began = datetime.now(UTC)
    return bench.start("onboard-team", **parameters), began


WAYS = {
    "deployments/serve.py": _served,
    "a process worker": _worker,
    "a task worker, which stays warm": _task_worker,
}


@pytest.mark.e2e
@pytest.mark.timeout(900)
@pytest.mark.demand("speed", "start: seconds from the call until the run of a new team, with {way}")
@pytest.mark.parametrize("way", WAYS)
def test_seconds_from_the_call_to_the_end(
    way: str, platform: LocalPlatform, tmp_path: Path, figure: Figure
) -> None:
    measured: dict[str, list[float]] = {}
    with Sandbox() as sandbox, WAYS[way](platform) as begin:
        bench = FlowBench(platform, sandbox.addresses(), tmp_path / "declared")
        for number in range(TIMES + 1):
            id, began = begin(bench, {"team": {"name": f"shop-{number}"}})
            run = platform.wait_for_run(id)
            assert run["state_type"] == "COMPLETED", run["state"]["message"]
            for state in platform.call("GET", f"flow_run_states/?flow_run_id={id}"):
                since = datetime.fromisoformat(state["timestamp"]) - began
                if number:  # the first run fills caches
                    measured.setdefault(state["name"], []).append(since.total_seconds())
    figure(
        ", ".join(
            f"{name} {statistics.median(measured[name]):.1f}"
            for name in ("Pending", "Running", "Completed")
            if name in measured
        )
    )
