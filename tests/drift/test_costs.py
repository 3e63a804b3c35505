"""What drift detection of many teams costs, compared with the floor: `benchmarks.drift`."""

from typing import NamedTuple

import pytest

from benchmarks import drift as benchmark
from tests.support.demands import Figure

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


class Costs(NamedTuple):
    """The costs for some teams, and for ten times as many."""

    small: benchmark.Measured
    large: benchmark.Measured


@pytest.fixture(scope="module")
def costs(whole: bool) -> Costs:
    """Measure 100 and 1,000 teams with `--whole`, or 10 and 100, with 5 ms of latency."""
    most = 1000 if whole else 100
    return Costs(*(benchmark.measure(teams, 0.005) for teams in (most // 10, most)))


@pytest.mark.demand("drift", "1,000 teams: seconds, compared with the floor (aim: 1.25 times)")
def test_detection_writes_nothing_and_finds_all_in_sync(costs: Costs, figure: Figure) -> None:
    large = costs.large
    figure(
        f"{large.seconds:.1f} s, floor {large.floor:.1f} s, "
        f"{large.seconds / large.floor:.2f} times; {large.resources} resources, "
        f"{large.requests} requests, {large.writes} writes, {large.memory:.0f} MiB"
    )
    assert (large.findings, large.writes) == (0, 0)


@pytest.mark.demand("drift", "growth from 100 to 1,000 teams (1 is linear)")
def test_requests_grow_with_the_teams_at_most(costs: Costs, figure: Figure) -> None:
    small, large = costs
    growth = (large.seconds / small.seconds) / (large.teams / small.teams)
    figure(
        f"{growth:.2f} ({small.seconds:.1f} s to {large.seconds:.1f} s); "
        f"{small.requests} to {large.requests} requests"
    )
    assert large.requests <= 10 * small.requests


@pytest.mark.demand("drift", "diff and report of 10,000 resources (aim: under a second of CPU)")
def test_diff_and_report_take_processor_time(costs: Costs, figure: Figure) -> None:
    large = costs.large
    seconds = (large.judging + large.writing) * 10_000 / large.resources
    figure(f"{seconds:.2f} s of CPU")
    assert seconds > 0
