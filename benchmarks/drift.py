"""The cost of drift detection: seconds, requests and memory, compared with the floor of the same run.

    python -m benchmarks.drift [--teams 100 1000] [--latency 0.005]

The teams are onboarded on a sandbox, which is a process of its own. Then, with latency added to each
call, another process detects drift, and repeats the same reads with a bare thread pool of the same
width: the floor. Both are measured twice, in turn, and the faster run counts.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from benchmarks.floor import Floor, Recording, recorded
from benchmarks.measuring import connections, count, origins, sandbox
from benchmarks.onboard import core
from tenantry import drift
from tenantry.declared import Declaration, load
from tenantry.drift.history import History
from tenantry.drift.reports import FILES, write
from tenantry.systems.systems import Systems

TIMES = 2


@dataclass(frozen=True)
class Measured:
    """The measurements for one number of teams.

    Attributes:
        seconds: of the detection, from the first call to the report.
        floor: seconds of the same reads by a bare thread pool.
        requests: of one detection.
        memory: the peak memory of the process in MiB, including the declared state.
        judging: CPU seconds from the observed state to the findings.
        writing: CPU seconds for the report in all four forms.
    """

    teams: int
    resources: int
    findings: int
    seconds: float
    floor: float
    requests: int
    writes: int
    memory: float
    judging: float
    writing: float


def declare(folder: Path, teams: int) -> None:
    """Write a declared state of teams with a resource of each kind."""
    (folder / "teams").mkdir(parents=True)
    (folder / "platform.yaml").write_text("name: Benchmark\n")
    for number in range(teams):
        name = f"t{number:04}"
        text = f"name: {name}\nharbor: {{storage_quota: 5Gi}}\nnamespace: {{quota: {{pods: 50}}}}\n"
        (folder / "teams" / f"{name}.yaml").write_text(text)


def measure(teams: int, latency: float) -> Measured:
    """Onboard the teams, detect drift in another process, and return the measurements."""
    with tempfile.TemporaryDirectory() as name, sandbox(0) as addresses:
        folder = Path(name) / "state"
        declare(folder, teams)
        core(addresses, load(folder))
        url = f"{addresses['controls']['url']}/latency"
        httpx.put(url, json={"seconds": latency}).raise_for_status()
        given = json.dumps(addresses)
        command = [sys.executable, "-m", "benchmarks.drift", "--look", str(folder)]
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr)
        return Measured(**json.loads(done.stdout))


def look(folder: Path, addresses: dict[str, Any]) -> Measured:
    """Detect drift in this process, measure the floor, and return the measurements."""
    state = load(folder)
    looks, floors, costs = [], [], []
    recording = Recording()
    memory = requests = writes = 0.0
    for number in range(TIMES):
        count(addresses)
        began = time.monotonic()
        report, cost = _detect(addresses, state)
        looks.append(time.monotonic() - began)
        costs.append(cost)
        if number == 0:
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            requests, writes = _counted(addresses)
            with recorded(recording):
                _detect(addresses, state)
        floors.append(_floor(recording, addresses))
    return Measured(
        teams=len(state.teams),
        resources=report.resources,
        findings=len(report.findings),
        seconds=min(looks),
        floor=min(floors),
        requests=int(requests),
        writes=int(writes),
        memory=memory,
        judging=min(judging for judging, _ in costs),
        writing=min(writing for _, writing in costs),
    )


def _detect(
    addresses: dict[str, Any], state: Declaration
) -> tuple[drift.Report, tuple[float, float]]:
    teams = list(state.teams.values())
    with Systems(connections(addresses), state, extras=True) as systems:
        seen = drift.observe(systems, teams, drift.SYSTEMS)
        began = time.process_time()
        report = drift.detect(systems, teams, seen).report
        judged = time.process_time()
    history = History.empty().after(report)
    for form in FILES:
        write(form, report, history)
    return report, (judged - began, time.process_time() - judged)


def _counted(addresses: dict[str, Any]) -> tuple[int, int]:
    url = f"{addresses['controls']['url']}/requests"
    found = httpx.get(url).raise_for_status().json()
    return found["total"], found["writes"]


def _floor(recording: Recording, addresses: dict[str, Any]) -> float:
    cluster = json.loads(Path(addresses["kubernetes"]["kubeconfig"]).read_text())
    token = cluster["users"][0]["user"]["token"]
    with Floor(origins(addresses), addresses, token) as floor:
        return floor.seconds(recording)


def table(results: Sequence[Measured]) -> Table:
    """Return a table of the results."""
    shown = Table(title="Drift detection", title_justify="left", title_style="bold")
    columns = ("teams", "resources", "findings", "seconds", "floor", "of the floor", "requests")
    for column in (*columns, "writes", "MiB", "CPU s to judge", "CPU s to write"):
        shown.add_column(column, justify="right")
    for one in results:
        shown.add_row(
            *(str(one.teams), str(one.resources), str(one.findings), f"{one.seconds:.1f}"),
            *(f"{one.floor:.1f}", f"{one.seconds / one.floor:.2f}", str(one.requests)),
            *(str(one.writes), f"{one.memory:.0f}", f"{one.judging:.2f}", f"{one.writing:.2f}"),
        )
    return shown


def main() -> None:
    """Measure, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--teams", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--latency", type=float, default=0.005, help="seconds added to each call")
    parser.add_argument("--look", type=Path, metavar="DIR", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.look:
        print(json.dumps(asdict(look(given.look, json.load(sys.stdin)))))
        return
    results = [measure(teams, given.latency) for teams in given.teams]
    Console(width=160).print(table(results))


if __name__ == "__main__":
    main()
