"""Runs finish although the server or worker of the flows is killed between any two tasks."""

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import pytest

from demo.processes import LocalPlatform
from tenantry import declared, onboarding
from tenantry.sandbox import Sandbox
from tenantry.systems.systems import Systems
from tests.support.flow_harness import FlowBench, Worker, wide
from tests.support.harness import connections
from tests.support.invariants import assert_nothing_twice

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(2400)]

FLOWS = ("onboard-team", "onboard-teams")
CLIENTS = {"web": {"redirect_uris": ["https://a.example/*"]}}
Place = tuple[str, int]
"""A flow, and the number of requests after which it is held."""
_numbers = itertools.count()
ENDED = ("COMPLETED", "FAILED", "CANCELLED")


class Walk:
    """A flow with its own sandbox, which can hold it before one of its requests.

    Args:
        requests: the number of requests that are answered before it is held; None means all.
    """

    def __init__(
        self, platform: LocalPlatform, folder: Path, flow: str, requests: int | None = None
    ) -> None:
        self.flow = flow
        self.sandbox = Sandbox()
        number = next(_numbers)  # all walks share the server's locks, so each has its own teams
        self._names = [f"killed{number}", f"beside{number}"]
        self.times: list[float] = []
        self.is_held = threading.Event()
        self._let_through = requests
        self._platform = platform
        self._folder = folder

    def __enter__(self) -> Self:
        self.sandbox.__enter__()
        self.sandbox.controls.choose = self._choose
        self._bench = FlowBench(self._platform, self.sandbox.addresses(), self._folder)
        if self.flow == "onboard-teams":
            for name in self._names:
                self._bench.declare(name)
        return self

    def __exit__(self, *raised: object) -> None:
        self.sandbox.__exit__(None, None, None)

    def _choose(self, system: str, method: str, path: str) -> Any:
        if self._let_through is not None and len(self.times) >= self._let_through:
            self.is_held.set()
            return "timeout"
        self.times.append(time.time())
        return None

    def start(self) -> None:
        more: dict[str, Any] = {}
        if self.flow == "onboard-team":
            more["team"] = {"name": self._names[0], "oidc_clients": CLIENTS}
        self.run = self._bench.start(self.flow, **more)

    def release(self) -> None:
        """Hold no further requests."""
        self._let_through = None

    def boundaries(self) -> list[int]:
        """Run to the end, and return the number of requests until the end of each task."""
        self.start()
        run = self._platform.wait_for_run(self.run)
        assert run["state_type"] == "COMPLETED", run["state"]["message"]
        tasks = self._bench.task_runs(run)
        ends = [datetime.fromisoformat(task["end_time"]).timestamp() for task in tasks]
        counts = [sum(moment <= end for moment in self.times) for end in ends]
        # A run cannot be held after the last task, nor between tasks without requests.
        return sorted({count for count in counts if count < len(self.times)})

    def faults(self) -> list[str]:
        """Return the resources on the sandbox that are not in sync or exist twice."""
        declaration = declared.load(self._folder)
        teams = list(declaration.teams.values())
        found = []
        with Systems(connections(self.sandbox), declaration) as systems:
            for outcome in onboarding.plan_all(systems, teams):
                if outcome.plan is None or not outcome.plan.is_empty:
                    found.append(f"{outcome.team} is not in sync")
        try:
            assert_nothing_twice(self.sandbox, teams)
        except AssertionError as error:
            found.append(f"a resource exists twice, or is missing: {error}")
        return found


def find_boundaries(platform: LocalPlatform, folder: Path) -> list[Place]:
    """Return the places at which each flow can be held between two tasks."""
    found = []
    for flow in FLOWS:
        with Walk(platform, folder / flow, flow) as walk:
            found += [(flow, count) for count in walk.boundaries()]
    return found


def kill_at(
    platform: LocalPlatform,
    folder: Path,
    boundaries: Sequence[Place],
    *,
    silent: bool = False,
    worker: Worker | None = None,
) -> dict[Place, list[str]]:
    """Kill and restart the process that runs the flows, with a run at each of the boundaries.

    Args:
        platform: the platform, with the automations.
        folder: the folder for the declared states.
        boundaries: flows, and the number of requests after which each run is held.
        silent: wait until the automation detects the silent runs as crashed. Otherwise the runs are
            set to Crashed as soon as their processes are killed.
        worker: the worker that runs the flows, if they are not served.

    Returns:
        The faults at the end, by boundary.
    """
    with ExitStack() as stack:
        stack.enter_context(wide(platform, *FLOWS))
        walks = {
            (flow, count): stack.enter_context(
                Walk(platform, folder / f"{flow}-{count}", flow, count)
            )
            for flow, count in boundaries
        }
        for walk in walks.values():
            walk.start()
        for walk in walks.values():
            platform.wait_for(walk.is_held.is_set)
        if worker:
            worker.kill()
        else:
            platform.kill_flows()
        if not silent:
            report_crashes(platform, walks.values())
        for walk in walks.values():
            walk.release()
        if worker:
            worker.start()
        else:
            platform.serve_flows()
            stack.enter_context(wide(platform, *FLOWS))  # serving has reset the limits
        wrong = {place: _settled(platform, walk) for place, walk in walks.items()}
        assert not lost(platform, "prefect.flow-run.Crashed"), "no automation received these events"
        return wrong


def report_crashes(platform: LocalPlatform, walks: Iterable[Walk]) -> None:
    """Set the killed runs to Crashed, unless the automation has already done so.

    On a busy machine, minutes can pass between the last heartbeat of a run and this call. A run that the
    automation has scheduled again must not be set to Crashed: it has not started since, and a crash
    is followed by one attempt only for each start.
    """
    crashed = {"state": {"type": "CRASHED", "name": "Crashed"}}
    for walk in walks:
        if platform.flow_run(walk.run)["state_type"] == "RUNNING":
            platform.call("POST", f"flow_runs/{walk.run}/set_state", crashed)


def _settled(platform: LocalPlatform, walk: Walk) -> list[str]:
    deadline = time.monotonic() + 300
    run = platform.flow_run(walk.run)
    while run["state_type"] not in ENDED and time.monotonic() < deadline:
        time.sleep(0.5)
        run = platform.flow_run(walk.run)
    found = walk.faults()
    if run["state_type"] != "COMPLETED":
        found.append(f"the run is {run['state_name']}: {run['state']['message']}")
    if run["run_count"] != 2:
        found.append(f"the run was run {run['run_count']} times")
    return found


def lost(platform: LocalPlatform, event: str) -> list[Path]:
    """Return the server's files about events of a kind that it failed to process."""
    letters = Path(platform.env["PREFECT_HOME"]) / "dlq"
    return [path for path in letters.glob("*") if event in path.read_text()]


def wrong_of(wrong: dict[Place, list[str]]) -> dict[Place, list[str]]:
    return {place: found for place, found in wrong.items() if found}


@pytest.fixture(scope="module")
def places(platform: LocalPlatform, tmp_path_factory: pytest.TempPathFactory) -> list[Place]:
    """Return all boundaries between tasks."""
    found = find_boundaries(platform, tmp_path_factory.mktemp("unharmed"))
    assert sum(flow == "onboard-team" for flow, _ in found) >= 8, "tasks with requests"
    assert sum(flow == "onboard-teams" for flow, _ in found) >= 6
    return found


@pytest.mark.demand(
    "robust",
    "the process that serves the flows is killed at each boundary between two "
    "tasks; the automation notices the silence (of the first five), and the runs "
    "finish",
    "kills",
)
def test_runs_whose_server_is_killed_between_two_tasks_finish_when_they_are_run_again(
    platform: LocalPlatform,
    places: list[Place],
    tmp_path: Path,
    whole: bool,
    record_property: Callable[[str, object], None],
) -> None:
    """This kills at three boundaries; `make show-robust` kills at all, some of them silently."""
    chosen = places if whole else [places[3], places[-2], places[-1]]
    record_property("kills", len(chosen))

    wrong: dict[Place, list[str]] = {}
    for number, some in enumerate(batched(chosen)):
        wrong |= kill_at(platform, tmp_path, some, silent=whole and number == 0)

    assert wrong_of(wrong) == {}


@pytest.mark.demand("robust", "the same with a worker", "kills")
def test_runs_whose_worker_is_killed_between_two_tasks_finish_when_they_are_run_again(
    platform: LocalPlatform,
    places: list[Place],
    tmp_path: Path,
    whole: bool,
    record_property: Callable[[str, object], None],
) -> None:
    chosen = places if whole else places[-2:-1]
    record_property("kills", len(chosen))
    wrong: dict[Place, list[str]] = {}
    with Worker(platform) as worker:
        for some in batched(chosen):
            wrong |= kill_at(platform, tmp_path, some, worker=worker)

    assert wrong_of(wrong) == {}


def batched(places: Sequence[Place], size: int = 5) -> Iterator[Sequence[Place]]:
    """Yield batches of places. With more than 5 runs on two cores, a run takes minutes to start."""
    for start in range(0, len(places), size):
        yield places[start : start + size]
