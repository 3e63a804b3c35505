"""The cost of onboarding: seconds, requests and memory, compared with the floor of the same run.

    python -m benchmarks.onboard [--teams 300] [--latency 0.005]

Three runs follow each other: all teams are new, no team has changed, one team has changed. Each run is
measured for the core alone, for the floor (the same requests by a bare thread pool) and for Prefect (a
real server and the served flow), on a sandbox that is as slow as a real Harbor.
"""

import argparse
import resource
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from prefect.settings import PREFECT_API_URL, temporary_settings
from rich.console import Console
from rich.table import Table

from benchmarks.floor import Recording, recorded
from benchmarks.measuring import (
    Measured,
    Recorded,
    Timer,
    connections,
    count,
    floors,
    origins,
    sandbox,
)
from benchmarks.processes import PrefectProcesses
from demo.blocks import save_blocks
from demo.processes import LocalPlatform
from tasks.batches import SHARD, SHARDS_AT_ONCE
from tenantry.declared import Declaration, Team, load
from tenantry.locks import NoLock
from tenantry.onboarding import onboard_many, plan_all
from tenantry.outcomes import Outcome
from tenantry.systems.systems import Systems

RUNS = ("all teams are new", "no team has changed", "one team has changed")


class Result(NamedTuple):
    """The measurements of one run, in three ways."""

    run: str
    core: Measured
    floor: Measured
    prefect: Measured


def declare(folder: Path, teams: int) -> list[Callable[[], None]]:
    """Write a declared state, and return the functions that change it before each run."""

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
    """Onboard the changed teams as `onboard-teams` does, without Prefect."""
    with Systems(connections(addresses), state) as systems:
        systems.check()
        new = systems.not_applied(list(state.teams.values()))
        if new:
            onboard_all(systems, new)


def onboard_all(systems: Systems, teams: Sequence[Team]) -> None:
    """Onboard teams in the same shards as the flow does."""
    planned = plan_all(systems, teams)
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


def through_prefect(platform: LocalPlatform, addresses: dict[str, Any]) -> Measured:
    """Run `onboard-teams`, and return the measurements from the call to the end of the run."""
    count(addresses)
    began = datetime.now(UTC)
    with PrefectProcesses() as processes:
        made = platform.create_run("onboard-teams/onboard-teams", {})
        # Polled rarely: frequent polling would cost the server a tenth of what the run costs it.
        run = platform.wait_for_run(made, 900, every=2)
    seconds = (datetime.fromisoformat(run["end_time"]) - began).total_seconds()
    if run["state_type"] != "COMPLETED":
        raise SystemExit(run["state"]["message"])
    return Measured(
        seconds,
        count(addresses),
        processes.cpu,
        run["total_run_time"],
        processes.memory,
        run["state"]["message"],
    )


def measure(teams: int, latency: float) -> list[Result]:
    """Return the measurements of all runs in all ways, one way after the other."""
    with tempfile.TemporaryDirectory() as folder:
        alone, recordings = _core_and_recordings(Path(folder) / "core", teams, latency)
        floor = floors(recordings, latency)
        prefect = _prefect(Path(folder), teams, latency)
    return [Result(*each) for each in zip(RUNS, alone, floor, prefect, strict=True)]


def _core_and_recordings(
    folder: Path, teams: int, latency: float
) -> tuple[list[Measured], list[Recorded]]:
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
    """Return a table of the results."""
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
    """Measure, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--teams", type=int, default=300)
    parser.add_argument("--latency", type=float, default=0.005, help="seconds added to each call")
    given = parser.parse_args()
    results = measure(given.teams, given.latency)
    Console(width=160).print(table(results, given.teams))


if __name__ == "__main__":
    main()
