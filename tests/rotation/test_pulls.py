"""No pull fails while credentials are rotated; rotated in place, as others do it, many do."""

import pytest

from tests.rotation.pullers import failed_pulls, rotate_in_place
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


@pytest.mark.long
def test_no_pull_fails_while_all_is_rotated_and_nothing_old_opens_afterwards(bench: Bench) -> None:
    bench.declare(SHOP).onboard()
    pass_time(bench, hours=1)
    old = logins(bench)
    failed, pulls = failed_pulls(bench, rotated, times=1, delay=KUBELET)
    assert pulls > 400
    assert failed == 0
    assert none_works(bench, old)
    assert enabled(bench) == {"pull-b", "ci-b"}


def test_rotated_in_place_pulls_fail(bench: Bench) -> None:
    bench.declare(SHOP).onboard()
    failed, pulls = failed_pulls(bench, rotate_in_place, times=1, delay=KUBELET)
    assert 0 < failed < pulls
