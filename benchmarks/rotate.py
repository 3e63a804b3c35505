"""The cost of rotation: seconds and requests of a run, compared with the floor of the same run.

    python -m benchmarks.rotate [--robots 1000] [--latency 0.005]

All robots are due, and one run rotates them all, on a sandbox that takes its time as a real Harbor
does. The floor makes the same requests again by a bare thread pool, each team's one after the other.
"""

import argparse
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx
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
from benchmarks.onboard import onboard_all
from tasks.batches import SHARD, SHARDS_AT_ONCE
from tenantry.calls import utc_now
from tenantry.declared import Declaration, load
from tenantry.locks import NoLock
from tenantry.rotation import Outcome, RotationRequest, RotationRun
from tenantry.systems.systems import Systems

POLICY = "{expiry_days: 90, rotation: {max_age_days: 60}}"
PLATFORM = """name: Benchmark
rotation: {{most_per_run: {robots}}}
defaults: {{robots: {{pull: {policy}, ci: {policy}}}}}
"""


class Result(NamedTuple):
    """The measurements of a run by the core, and of its floor."""

    core: Measured
    floor: Measured


def declare(folder: Path, robots: int) -> Declaration:
    """Return a declared state with half as many teams as robots; each team has two robots with a policy."""
    (folder / "teams").mkdir(parents=True)
    text = PLATFORM.format(robots=robots, policy=POLICY)
    (folder / "platform.yaml").write_text(text)
    for number in range(robots // 2):
        name = f"t{number:04}"
        (folder / "teams" / f"{name}.yaml").write_text(f"name: {name}\n")
    return load(folder)


def connect(addresses: dict[str, Any], state: Declaration, **more: Any) -> Systems:
    """Return the connected systems of a sandbox."""
    return Systems(connections(addresses), state, **more)


def set_latency(addresses: dict[str, Any], seconds: float) -> None:
    """Let the sandbox add this latency to each call."""
    url = f"{addresses['controls']['url']}/latency"
    httpx.put(url, json={"seconds": seconds}).raise_for_status()


def rotate_all(systems: Systems) -> list[Outcome]:
    """Rotate as `rotate-robots` does, without Prefect: observe all teams, then rotate them in shards."""
    now = systems.clock()
    order = RotationRequest(now)
    teams = list(systems.state.teams.values())
    run = RotationRun(systems, teams, order)
    chosen = run.plan(now)
    size = 2 * SHARD  # of two robots each

    def shard(first: int) -> list[Outcome]:
        some = chosen[first : first + size]
        return run.rotate(some, now, NoLock())

    with ThreadPoolExecutor(SHARDS_AT_ONCE) as pool:
        found = pool.map(shard, range(0, len(chosen), size))
        return [outcome for outcomes in found for outcome in outcomes]


def measure(robots: int, latency: float) -> Result:
    """Onboard the teams, rotate all robots two months later, and return the measurements."""
    with tempfile.TemporaryDirectory() as folder:
        state = declare(Path(folder), robots)
        onboarding = Recording()
        recording = Recording(projects=onboarding.projects)
        with sandbox(0) as addresses:
            with recorded(onboarding), connect(addresses, state) as systems:
                onboard_all(systems, list(state.teams.values()))
            set_latency(addresses, latency)
            count(addresses)
            with (
                recorded(recording),
                Timer() as timer,
                connect(addresses, state, clock=_later) as systems,
            ):
                outcomes = rotate_all(systems)
            left = [outcome for outcome in outcomes if not outcome.rotated]
            note = f"{len(left)} not rotated: {left[0].note}" if left else ""
            core = Measured(timer.seconds, count(addresses), timer.cpu, note=note)
            made = [Recorded(each, origins(addresses)) for each in (onboarding, recording)]
        _, floor = floors(made, latency)
    return Result(core, floor)


def _later() -> Any:
    return utc_now() + timedelta(days=61)


def table(result: Result, robots: int) -> Table:
    """Return a table of both measurements."""
    title = f"Rotating {robots} robots"
    shown = Table(title=title, title_justify="left", title_style="bold")
    for column in ("way", "seconds", "of the floor", "CPU", "requests", ""):
        shown.add_column(column, justify="left" if column in ("way", "") else "right")
    for way, one in (("floor", result.floor), ("core alone", result.core)):
        ratio = one.seconds / result.floor.seconds
        figures = (f"{one.seconds:.1f}", f"{ratio:.2f}", f"{one.cpu:.1f}", str(one.requests))
        shown.add_row(way, *figures, one.note)
    return shown


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--robots", type=int, default=1000)
    parser.add_argument("--latency", type=float, default=0.005, help="seconds added to each call")
    given = parser.parse_args(arguments)
    Console(width=160).print(table(measure(given.robots, given.latency), given.robots))


if __name__ == "__main__":
    main()
