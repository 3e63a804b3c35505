"""The requests of an import, compared with those of drift detection."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from benchmarks.drift import declare
from tests.lifecycle.round_trip import import_site
from tests.lifecycle.site import Site
from tests.support.demands import Figure
from tests.support.harness import FaultySandbox, connections, prepare

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

TEAMS = (6, 12)


class Cost(NamedTuple):
    """The requests of a run, without logins."""

    reads: int
    writes: int


class Costs(NamedTuple):
    """The costs of drift detection and of an import, for one number of teams."""

    drift: Cost
    imported: Cost


@pytest.fixture(scope="module")
def costs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Costs]:
    """Return the costs for each number of teams."""
    return {teams: _measure(teams, tmp_path_factory.mktemp(f"t{teams}")) for teams in TEAMS}


def _measure(teams: int, folder: Path) -> Costs:
    with FaultySandbox() as sandbox:
        prepare(sandbox)
        site = Site(connections(sandbox), folder / "state", clock=sandbox.clock.now)
        declare(site.folder, teams)
        site.onboard()

        def cost(work: Callable[[], object]) -> Cost:
            sandbox.requests.reset()
            work()
            counts = sandbox.requests.counts()
            writes = sum(number for key, number in counts.items() if key.is_write)
            reads = sum(number for key, number in counts.items() if key.method in ("GET", "HEAD"))
            return Cost(reads, writes)

        found = cost(site.drift)
        site.folder = folder / "imported"
        return Costs(found, cost(lambda: import_site(site)))


@pytest.mark.demand(
    "lifecycle", "an import costs reads as drift detection does, and no writes", sample=True
)
def test_an_import_costs_reads_as_drift_detection_does(
    costs: dict[int, Costs], figure: Figure
) -> None:
    small, large = (costs[teams] for teams in TEAMS)
    more = TEAMS[1] - TEAMS[0]
    of_drift = (large.drift.reads - small.drift.reads) / more
    of_import = (large.imported.reads - small.imported.reads) / more
    figure(
        f"{of_import:.1f} reads a team, drift {of_drift:.1f}; {large.imported.reads} reads for "
        f"{TEAMS[1]} teams, drift {large.drift.reads}; {large.imported.writes} writes"
    )
    assert [each.imported.writes for each in costs.values()] == [0, 0]
    assert of_import <= of_drift
    assert large.imported.reads <= 1.2 * large.drift.reads
