"""Rotation is killed at each of its requests, and run again; each of them fails in each way.

At some requests, with one Secret; at all of them, with four, with `--whole` as in `make show-rotate`.
"""

from collections.abc import Callable

import pytest

from tenantry.systems.systems import Systems
from tests.support.faults import FAULTS, Faults
from tests.support.harness import Bench, Data
from tests.support.locks import RecordingLock
from tests.support.rotation_crash import WAYS, due, rotate
from tests.support.rotation_harness import ROTATED, SPREAD_OUT, order, pairs_are_in_order, run
from tests.support.wire import Request

pytestmark = pytest.mark.demand("rotate", "all of tests/rotation/test_crash.py")

PLAIN: Data = {
    "name": "shop",
    "robots": {"pull": {"expiry_days": 30, "rotation": ROTATED}, "ci": None},
}
CI: Data = {"name": "shop", "robots": {"ci": PLAIN["robots"]["pull"], "pull": None}}
SOME = 9
"""Every so many-th request is struck by a fault, each fault beginning at another."""

Record = Callable[[str, object], None]


@pytest.mark.demand(
    "rotate",
    "{way}: killed before and after each request, a credential in four Secrets; "
    "one is live and published, no orphan is left, nothing that was in use is "
    "retired",
)
@pytest.mark.parametrize("way", WAYS)
def test_killed_at_any_request_it_is_finished_by_the_next_run(
    way: str, bench: Bench, whole: bool, record_property: Record
) -> None:
    due(bench, SPREAD_OUT if whole else PLAIN)
    crashes = WAYS[way](bench).everywhere(every=1 if whole else 4)
    record_property("crashes", crashes)
    assert crashes > (30 if whole else 5)


@pytest.mark.demand("rotate", "the runs that continue are killed too, seeded", "crashes")
@pytest.mark.parametrize("seed", range(2))
def test_the_run_that_goes_on_may_be_killed_too(
    seed: int, bench: Bench, whole: bool, record_property: Record
) -> None:
    due(bench, SPREAD_OUT)
    runs = 20 if whole else 3
    crashes = rotate(bench).seeded(seed, runs, crashes=3)
    record_property("crashes", crashes)
    assert crashes >= runs


@pytest.mark.demand("reality", "401 once at each request of a rotation", "struck", cases="401")
@pytest.mark.demand("rotate", "each request fails in each way, its answer lost too", "struck")
@pytest.mark.parametrize("name", FAULTS)
def test_any_request_of_a_rotation_may_fail_once(
    name: str, bench: Bench, whole: bool, record_property: Record
) -> None:
    """The push of a test is tried too; all is as it must be after the same run, or the next."""
    due(bench, CI)
    given = order(bench, force=True)
    lock = RecordingLock(bench.sandbox.requests.total)

    def procedure(systems: Systems) -> None:
        for outcome in run(bench, given, systems=systems, lock=lock).values():
            if outcome.error is not None:
                raise outcome.error

    def check() -> None:
        pairs_are_in_order(bench)
        held = bench.sandbox.kubernetes.get("Secret", "harbor-ci", "team-shop")
        assert held is not None
        assert held["metadata"]["annotations"]["tenantry.io/robot"] == "ci-b"

    # What could not be read before the lock was taken is read once more under it, but for the id of
    # the platform, which a run asks for once.
    def is_read_again(request: Request) -> bool:
        return request.number <= before_lock and not request.url.endswith("/kube-system")

    faults = Faults(bench, procedure, check, is_read_again)
    requests = faults.requests()
    before_lock = lock.taken_after
    first = list(FAULTS).index(name) % SOME
    struck = requests if whole or name == "401 once" else requests[first::SOME]
    runs = [faults.inject(name, request) for request in struck]
    record_property("struck", len(runs))
    assert len(requests) > 15
