"""Each request of an onboarding fails in each way: it goes on where it may, and says why if not."""

import traceback
from collections.abc import Callable

import pytest

from tenantry.errors import SystemUnavailable
from tenantry.onboarding import onboard
from tenantry.systems.systems import Systems
from tests.support.faults import FAULTS, READS, TRIES, Faults
from tests.support.harness import SHOP, Bench
from tests.support.invariants import assert_in_sync
from tests.support.wire import no_delays

pytestmark = pytest.mark.demand("robust", "all of tests/core/test_faults.py")

SOME = 22
"""Every so many-th request is struck by a fault, each fault beginning at another."""


@pytest.fixture
def faults(bench: Bench) -> Faults:
    bench.declare(SHOP)
    return Faults(bench, onboarding, lambda: assert_in_sync(bench))


def onboarding(systems: Systems) -> None:
    systems.check()
    onboard(systems, next(iter(systems.state.teams.values())))


@pytest.mark.demand("robust", "each request fails once: {name}")
@pytest.mark.parametrize("name", FAULTS)
def test_any_request_may_fail_once(
    name: str, faults: Faults, whole: bool, record_property: Callable[[str, object], None]
) -> None:
    requests = faults.requests()
    first = 2 * list(FAULTS).index(name) % SOME
    struck = requests if whole else requests[first::SOME]
    runs = [faults.inject(name, request) for request in struck]
    failed = sum(run.error is not None for run in runs)
    record_property("struck", len(runs))
    record_property("failed", failed)
    record_property("tries", max(run.tries for run in runs))
    assert len(requests) > 30
    if whole:
        may_not = sum(FAULTS[name].fails(faults.system(request), request) for request in requests)
        assert failed == may_not


@pytest.mark.demand("robust", "calls to a system that is down: 8 tries of 4", "calls")
@pytest.mark.parametrize("system", ["harbor", "keycloak", "kubernetes"])
@pytest.mark.parametrize("fault", [503, "reset"])
def test_a_dead_system_is_called_so_often_and_no_more(
    system: str, fault: object, faults: Faults, record_property: Callable[[str, object], None]
) -> None:
    run = faults.take_down(fault, system)
    calls = sum(faults.system(request) == system for request in run.made)
    record_property("calls", calls)
    assert isinstance(run.error, SystemUnavailable)
    assert run.error.system == system
    assert run.tries == TRIES
    # The first call to each is one that only reads, or a login before it.
    assert calls == TRIES * READS


@pytest.mark.demand(
    "robust", "calls to a system that goes down at any request: 32 at most", "calls"
)
def test_a_system_that_dies_at_any_request_is_called_a_bounded_number_of_times_more(
    faults: Faults, whole: bool, record_property: Callable[[str, object], None]
) -> None:
    requests = faults.requests()
    most = 0
    for request in requests if whole else requests[::SOME]:
        system = faults.system(request)
        at = sum(faults.system(each) == system for each in requests[: request.number])
        run = faults.take_down(503, system, at)
        assert isinstance(run.error, SystemUnavailable)
        assert run.tries == TRIES
        calls = sum(faults.system(each) == system for each in run.made) - at + 1
        most = max(most, calls)
    record_property("calls", most)
    assert most <= TRIES * READS


def test_a_token_whose_answer_is_spoilt_is_in_no_error(bench: Bench) -> None:
    """python-keycloak would put the whole answer into its exception."""
    bench.declare(SHOP)
    bench.sandbox.controls.fail("truncated", path="*/token", times=None)
    with no_delays(), bench.process() as systems, pytest.raises(SystemUnavailable) as failure:
        systems.check()
    said = "".join(traceback.format_exception(failure.value))
    assert "the answer is not what it must be" in said
    assert "access_token" not in said
    assert "eyJ" not in said
