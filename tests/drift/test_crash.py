"""Remediation is killed at each of its requests; the next run finds and remediates the rest."""

from functools import partial

import pytest

from tenantry import drift
from tenantry.systems.systems import Systems
from tests.drift.catalogue import findings_of
from tests.drift.checks import catalogue, drawn
from tests.drift.extras import extras
from tests.drift.watch import Watched, remediate_under_lock
from tests.support.crash import Driver
from tests.support.demands import Figure
from tests.support.harness import connections


def driver(watched: Watched, numbers: list[int]) -> Driver:
    """Return a driver that crashes a run which remediates these mutations and extras."""
    seen = watched.detect()
    done = [each for each in drawn(watched, numbers, seen) if each.is_remediated]
    assert catalogue(watched, seen)
    assert extras(watched.team("shop"))
    for each in done:
        each.act(watched.systems)
    assert len(findings_of(watched.report())) >= len(done) > 3

    def run() -> None:
        with Systems(connections(watched.sandbox), watched.state, extras=True) as systems:
            found = drift.find_drift(systems)
            for unread in found.observed.unreadable.values():
                raise unread.error
            result = drift.remediate(
                found,
                drift.Order("all"),
                detect_again=lambda: drift.find_drift(systems, again=True),
                remediate_teams=partial(remediate_under_lock, systems),
            )
            for each in result.teams:
                if each.error:
                    raise each.error

    def check() -> None:
        watched.watch()
        assert findings_of(watched.report()) == set()

    return Driver(watched.sandbox, run, check)


@pytest.mark.demand(
    "drift", "a run that is killed during remediation leaves the rest to the next run"
)
@pytest.mark.long
@pytest.mark.parametrize("numbers", [[3, 44, 77, 120, 180, 239, 244, 251]])
def test_the_next_run_remediates_the_rest_after_a_run_was_killed(
    numbers: list[int], watched: Watched, whole: bool, figure: Figure
) -> None:
    made = driver(watched, numbers)
    requests = made.requests()
    assert len([each for each in requests if each.method != "GET"]) > 5

    every = 4 if whole else 60
    killed = made.everywhere(every=every)
    figure(f"{killed} kills at every {every}th of {len(requests)} requests")
    assert killed > 1
