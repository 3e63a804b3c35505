"""The declared state is loaded in time and memory that grow with the number of teams only."""

import math
import sys
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from benchmarks import loading
from tenantry.declared.reading import gather
from tests.support.demands import Figure
from tests.support.harness import Data, write
from tests.support.varied_teams import VariedTeams

Make = Callable[[Path, int], object]
SHARED: Data = {
    "routes": {"web": {"host": "www.example.com", "paths": [{"service": "a", "port": 1}]}}
}
GATEWAY: Data = {"name": "Test", "mesh": {"gateway": "istio-ingress/public"}}


def names(count: int) -> list[str]:
    return [f"team{number:04}" for number in range(count)]


def platform_with(provider: Data, **more: Any) -> Data:
    return {"name": "Test", "keycloak": {"external_providers": {"corp": provider}}, **more}


def granted(count: int) -> Data:
    """Return a platform with a grant for each team."""
    limits = {"hosts": ["{team}.example.com"], "max_robots": 2}
    grants = [
        {"teams": [name], "reason": "a test", "hosts": [f"{name}-2.example.com"]}
        for name in names(count)
    ]
    return {**GATEWAY, "policy": {"limits": limits, "grants": grants}}


def routed(name: str) -> Data:
    paths = [{"service": "a", "port": 1}]
    hosts = {"one": f"{name}.example.com", "two": f"{name}-2.example.com"}
    return {
        "name": name,
        "routes": {key: {"host": host, "paths": paths} for key, host in hosts.items()},
    }


SHAPES: Mapping[str, Make] = {
    "usual teams": loading.declare,
    "teams with all fields": lambda folder, count: write(
        folder, *VariedTeams(seed=5).contents(count), platform=VariedTeams(seed=5).platform()
    ),
    "a pattern that ignores case": lambda folder, count: write(
        folder,
        *({"name": name} for name in names(count)),
        platform=platform_with({"pattern": "(k8s|old)-.*{group}", "ignore_case": True}),
    ),
    "a table of external names": lambda folder, count: write(
        folder,
        *({"name": name} for name in names(count)),
        platform=platform_with({"groups": {f"x-{name}": f"team-{name}" for name in names(count)}}),
    ),
    "a grant for each team": lambda folder, count: write(
        folder, *map(routed, names(count)), platform=granted(count)
    ),
    "one host that all teams claim": lambda folder, count: write(
        folder, *({"name": name, **SHARED} for name in names(count)), platform=GATEWAY
    ),
    "one name that all files give": lambda folder, count: write(
        folder, *(f"# {name}\nname: shop\n" for name in names(count))
    ),
    "files with faults": lambda folder, count: write(
        folder,
        *({"name": name, "harbor": {"role": "x"}, "nmae": name} for name in names(count)),
    ),
    "files that are not YAML": lambda folder, count: write(
        folder, *(f"name: {name}\n  a: [" for name in names(count))
    ),
}


def calls_of(folder: Path) -> int:
    """Return the number of calls of functions while a declared state is read."""
    count = 0

    def counted(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        reading = gather(folder)
    finally:
        sys.setprofile(before)
    assert reading.files
    return count


@pytest.mark.demand("speed", "loading: the operations grow like the number of teams: {shape}")
@pytest.mark.parametrize("shape", SHAPES)
def test_the_operations_grow_like_the_teams(
    shape: str, tmp_path: Path, figure: Figure, whole: bool
) -> None:
    """From one size to the next, the operations added at most double: a pairwise scan adds four times as many."""
    sizes = (100, 200, 400, 800) if whole else (30, 60, 120)
    counts = []
    for size in sizes:
        SHAPES[shape](tmp_path / str(size), size)
        counts.append(calls_of(tmp_path / str(size)))
    added = [large - small for small, large in pairwise(counts)]
    growth = added[-1] / added[-2]
    figure(f"{counts[-1] // sizes[-1]:,} calls for a team, {growth:.2f} times as many are added")
    assert growth < 2.3


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.demand(
    "speed", "loading: 10,000 teams in 400 MB; CPU seconds (aim: 30), and how they grow"
)
def test_ten_thousand_teams_are_loaded(figure: Figure, whole: bool) -> None:
    """A sample without `--whole`: 1,000 teams, with a share of the memory of the imports."""
    sizes = (2500, 10_000) if whole else (250, 1000)
    # A busy machine makes a process slower now and then: the least of three tries counts.
    small, large = (
        min((loading.measure(teams) for _ in range(3)), key=lambda found: found.cpu)
        for teams in sizes
    )
    exponent = math.log(large.cpu / small.cpu, large.teams / small.teams)
    figure(
        f"{large.teams:,} teams: {large.cpu:.1f} s of CPU, {large.memory:.0f} MiB; "
        f"growth exponent {exponent:.2f}"
    )
    assert exponent < 1.3
    assert large.memory < (381 if whole else 140)  # MiB: 400 MB
