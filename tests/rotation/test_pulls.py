"""No pull fails while credentials are rotated; rotated in place, as others do it, many do."""

import pytest

from tests.rotation.pullers import failed_pulls, rotate_in_place
from tests.support.demands import Figure
from tests.support.harness import Bench
from tests.support.rotation_harness import SHOP, enabled, logins, none_works, order, pass_time, run

KUBELET = 90.0
"""Seconds after which a kubelet has read a Secret again, at the latest."""


def rotated(bench: Bench) -> None:
    """Ours; then the overlap is over, and the old ones are retired."""
    run(bench, order(bench, force=True))
    assert all(o.state == "overlapping" for o in run(bench).values())
    pass_time(bench, hours=25)
    run(bench)


@pytest.mark.demand(
    "rotate",
    "simulated kubelets (Secrets up to 90 s old) pull before and after each "
    "request: no failed pull, but many when rotated in place",
    "figure",
)
@pytest.mark.long
def test_no_pull_fails_while_all_is_rotated_and_nothing_old_opens_afterwards(
    bench: Bench, figure: Figure
) -> None:
    bench.declare(SHOP).onboard()
    pass_time(bench, hours=1)
    old = logins(bench)
    failed, pulls = failed_pulls(bench, rotated, times=1, delay=KUBELET)
    figure(f"{failed} of {pulls} pulls failed")
    assert pulls > 400
    assert failed == 0
    assert none_works(bench, old)
    assert enabled(bench) == {"pull-b", "ci-b"}


@pytest.mark.demand(
    "rotate",
    "simulated kubelets (Secrets up to 90 s old) pull before and after each "
    "request: no failed pull, but many when rotated in place",
    "figure",
)
@pytest.mark.long
def test_no_pull_of_two_teams_fails_while_both_are_rotated_twice(
    bench: Bench, figure: Figure
) -> None:
    bench.declare(SHOP, {**SHOP, "name": "data"})
    for team in bench.teams:
        bench.onboard(team.name)
    pass_time(bench, hours=1)
    failed, pulls = failed_pulls(bench, rotated, times=2, delay=KUBELET)
    figure(f"{failed} of {pulls} pulls of two teams failed, rotated twice")
    assert failed == 0


@pytest.mark.demand(
    "rotate",
    "simulated kubelets (Secrets up to 90 s old) pull before and after each "
    "request: no failed pull, but many when rotated in place",
    "figure",
)
def test_rotated_in_place_pulls_fail(bench: Bench, figure: Figure) -> None:
    bench.declare(SHOP).onboard()
    failed, pulls = failed_pulls(bench, rotate_in_place, times=1, delay=KUBELET)
    figure(f"rotated in place {failed} of {pulls}")
    assert 0 < failed < pulls
