"""What onboarding costs: seconds, requests and memory, beside the floor of the same run.

    python -m benchmarks.onboard [--teams 300] [--latency 0.005]

Three runs after each other: all teams are new, nothing is to do, one team has changed. Each is
done by the core alone, by the floor (the same requests by a bare thread pool) and by Prefect (a
real server and the served flow), on a sandbox that takes its time as a real Harbor does.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Self

import httpx
from prefect.settings import PREFECT_API_URL, temporary_settings
from rich.console import Console
from rich.table import Table

from benchmarks.floor import Floor, Recording, recorded
from demo.blocks import save_blocks
from demo.processes import LocalPlatform
from tasks.batches import SHARD, SHARDS_AT_ONCE
from tenantry.connections import Cluster, Connections, HarborAccount, KeycloakAccount
from tenantry.declared import Declaration, Team, load
from tenantry.onboarding import onboard_many, plan_all
from tenantry.outcomes import Outcome
from tenantry.systems.systems import Systems

RUNS = ("all teams are new", "nothing is to do", "one team has changed")


class Timer:
    """Seconds, and seconds of CPU of this process, while the context lasts."""

    def __enter__(self) -> Self:
        self._began = time.monotonic(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self._began[0]
        self.cpu = time.process_time() - self._began[1]


@dataclass
class Measured:
    """What one run cost.

    Attributes:
        seconds: from the call that starts it to its end.
        running: of these, seconds in which the flow ran; the rest is Prefect starting it.
        requests: to the four systems.
        cpu: seconds of CPU, of everything but the sandbox: they tell more than seconds where
            all share two cores.
        memory: the most that the process held, in MiB.
    """

    seconds: float
    requests: int
    cpu: float
    running: float | None = None
    memory: float | None = None
    note: str = ""


class Result(NamedTuple):
    """One run, done in three ways."""

    run: str
    core: Measured
    floor: Measured
    prefect: Measured


class NoLock:
    """The core alone has nobody beside it, and yet looks again as if it had."""

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...

    def hold(self) -> None:
        """It is never lost."""

    def check(self) -> None:
        """It is never lost."""


@contextmanager
def sandbox(latency: float) -> Iterator[dict[str, Any]]:
    """A realistic sandbox in a process of its own, and its addresses."""
    command = [sys.executable, "-m", "tenantry.cli", "sandbox", "--realistic"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        addresses: dict[str, Any] = json.loads(process.stdout.readline())
        controls = addresses["controls"]["url"]
        httpx.put(f"{controls}/latency", json={"seconds": latency}).raise_for_status()
        try:
            yield addresses
        finally:
            process.terminate()


def count(addresses: dict[str, Any]) -> int:
    """The requests since the last time."""
    url = f"{addresses['controls']['url']}/requests"
    total = httpx.get(url).raise_for_status().json()["total"]
    httpx.delete(url).raise_for_status()
    return int(total)


def declare(folder: Path, teams: int) -> list[Callable[[], None]]:
    """A declared state, and what changes it before each run."""

    def write(number: int, more: str = "") -> None:
        name = f"t{number:03}"
        (folder / "teams" / f"{name}.yaml").write_text(f"name: {name}\n{more}")

    def write_all() -> None:
        for number in range(teams):
            write(number)

    (folder / "teams").mkdir(parents=True)
    (folder / "platform.yaml").write_text("name: Benchmark\n")
    return [
        write_all,
        lambda: None,
        lambda: write(teams // 2, "harbor: {storage_quota: 5Gi}\n"),
    ]


# The core alone


def core(addresses: dict[str, Any], state: Declaration) -> None:
    """What `onboard-teams` does with `scope: changed`, without Prefect."""
    connections = Connections(
        harbor=HarborAccount.model_validate(addresses["harbor"]),
        keycloak=KeycloakAccount.model_validate(addresses["keycloak"]),
        kubernetes=Cluster.model_validate(addresses["kubernetes"]),
    )
    with Systems(connections, state) as systems:
        systems.check()
        new = systems.not_applied(list(state.teams.values()))
        if new:
            onboard_all(systems, new)


def onboard_all(systems: Systems, teams: Sequence[Team]) -> None:
    """The teams in shards, as the flow has them."""
    planned = plan_all(systems, teams, systems.observe(teams))
    failed: list[Outcome] = []

    def finished(outcome: Outcome) -> None:
        if outcome.error is not None:
            failed.append(outcome)

    def shard(first: int) -> None:
        some = slice(first, first + SHARD)
        onboard_many(systems, teams[some], planned[some], NoLock(), finished)

    with ThreadPoolExecutor(SHARDS_AT_ONCE) as pool:
        list(pool.map(shard, range(0, len(teams), SHARD)))
    if failed:
        raise SystemExit(f"{failed[0].team}: {failed[0].error}")


# Prefect


class Watch:
    """Watches what Prefect's processes use: the server, what serves the flows, and the run.

    Attributes:
        memory: the most that the process held that runs the flow, in MiB.
    """

    def __init__(self) -> None:
        self.memory = 0.0
        self._before = {process: _cpu(process) for process in _below(os.getpid())}
        self._now = dict(self._before)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def cpu(self) -> float:
        """Seconds of CPU that they took."""
        return sum(self._now.values()) - sum(self._before.values())

    def _watch(self) -> None:
        while not self._stop.wait(0.5):
            for process in _below(os.getpid()):
                self._now[process] = max(_cpu(process), self._now.get(process, 0.0))
                if b"prefect.engine" in _read(process, "cmdline"):
                    self.memory = max(self.memory, _most_held(process))


def _below(process: int) -> Iterator[int]:
    for task in Path(f"/proc/{process}/task").glob("*"):
        for child in map(int, _read(process, f"task/{task.name}/children").split()):
            yield child
            yield from _below(child)


def _read(process: int, file: str) -> bytes:
    try:
        return Path(f"/proc/{process}/{file}").read_bytes()
    except OSError:  # it has ended
        return b""


def _cpu(process: int) -> float:
    """Seconds of CPU that a process has taken; 0 for the sandbox, and if it has ended."""
    if b"sandbox" in _read(process, "cmdline"):
        return 0.0
    fields = _read(process, "stat").rpartition(b")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def _most_held(process: int) -> float:
    for line in _read(process, "status").splitlines():
        if line.startswith(b"VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


def through_prefect(platform: LocalPlatform, addresses: dict[str, Any]) -> Measured:
    """One run of `onboard-teams`, from the call to its end."""
    count(addresses)
    began = datetime.now(UTC)
    with Watch() as watch:
        made = platform.create_run("onboard-teams/onboard-teams", {})
        # Seldom looked at: the looking would cost the server a tenth of what the run costs it.
        run = platform.wait_for_run(made, 900, every=2)
    seconds = (datetime.fromisoformat(run["end_time"]) - began).total_seconds()
    if run["state_type"] != "COMPLETED":
        raise SystemExit(run["state"]["message"])
    return Measured(
        seconds,
        count(addresses),
        watch.cpu,
        run["total_run_time"],
        watch.memory,
        run["state"]["message"],
    )


def measure(teams: int, latency: float) -> list[Result]:
    """All runs in all ways, one way after the other."""
    with tempfile.TemporaryDirectory() as folder:
        alone, recordings = _core_and_recordings(Path(folder) / "core", teams, latency)
        floor = floors(recordings, latency)
        prefect = _prefect(Path(folder), teams, latency)
    return [Result(*each) for each in zip(RUNS, alone, floor, prefect, strict=True)]


def _core_and_recordings(
    folder: Path, teams: int, latency: float
) -> tuple[list[Measured], list["Recorded"]]:
    measured, recordings = [], []
    with sandbox(latency) as addresses:
        for change in declare(folder, teams):
            change()
            state = load(folder)
            count(addresses)
            recording = Recording()
            with recorded(recording), Timer() as timer:
                core(addresses, state)
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            measured.append(Measured(timer.seconds, count(addresses), timer.cpu, memory=memory))
            recordings.append(Recorded(recording, origins(addresses)))
    return measured, recordings


class Recorded(NamedTuple):
    """A recording, and which system was at which address."""

    recording: Recording
    origins: dict[str, str]


def origins(addresses: dict[str, Any]) -> dict[str, str]:
    """Which system is at which address."""
    systems = ("harbor", "keycloak", "kubernetes")
    return {addresses[system]["url"].rstrip("/"): system for system in systems}


def floors(recordings: list[Recorded], latency: float) -> list[Measured]:
    """The runs' requests made again, one run after the other, on a sandbox as new."""
    measured = []
    with sandbox(latency) as addresses:
        cluster = json.loads(Path(addresses["kubernetes"]["kubeconfig"]).read_text())
        token = cluster["users"][0]["user"]["token"]
        with Floor(recordings[0].origins, addresses, token) as floor:
            for recording, _ in recordings:
                count(addresses)
                floor.differing.clear()
                with Timer() as timer:
                    seconds = floor.seconds(recording)
                others = ", ".join(f"{n} of {what}" for what, n in floor.differing.items())
                measured.append(Measured(seconds, count(addresses), timer.cpu, note=others))
    return measured


def _prefect(folder: Path, teams: int, latency: float) -> list[Measured]:
    measured = []
    with sandbox(latency) as addresses, LocalPlatform(folder / "platform") as platform:
        platform.wait_for_server()
        with temporary_settings({PREFECT_API_URL: f"{platform.url}/api"}):
            save_blocks(addresses, folder / "prefect")
        platform.serve_flows()
        for change in declare(folder / "prefect", teams):
            change()
            measured.append(through_prefect(platform, addresses))
    return measured


def table(results: Sequence[Result], teams: int) -> Table:
    """The results side by side."""
    shown = Table(title=f"Onboarding {teams} teams", title_justify="left", title_style="bold")
    for column in (
        "run",
        "way",
        "seconds",
        "of the floor",
        "running",
        "CPU",
        "requests",
        "MiB",
        "",
    ):
        shown.add_column(column, justify="left" if column in ("run", "way", "") else "right")
    for run, core, floor, prefect in results:
        for way, one in (("floor", floor), ("core alone", core), ("Prefect", prefect)):
            shown.add_row(
                run if one is floor else "",
                way,
                f"{one.seconds:.1f}",
                f"{one.seconds / floor.seconds:.2f}",
                f"{one.running:.1f}" if one.running else "",
                f"{one.cpu:.1f}",
                str(one.requests),
                f"{one.memory:.0f}" if one.memory else "",
                one.note,
            )
    return shown


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--teams", type=int, default=300)
    parser.add_argument("--latency", type=float, default=0.005, help="seconds added to each call")
    given = parser.parse_args()
    results = measure(given.teams, given.latency)
    Console(width=160).print(table(results, given.teams))


if __name__ == "__main__":
    main()
