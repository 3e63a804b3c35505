"""A task that observes is retried while parts cannot be read, and reports those that remain unreadable.

An outage that begins in the middle of an observation affects only some of its parts.
"""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import pytest
from prefect.logging import disable_run_logger

from tasks import rotation, step
from tenantry.drift import SYSTEMS, Detected, find_drift
from tenantry.drift.observations import begin, observe_one, record_failure
from tenantry.errors import InvalidResponse, SystemUnavailable
from tenantry.rotation import RotationRequest, RotationRun
from tenantry.walk import Walk
from tests.support.harness import Bench
from tests.support.wire import no_delays

pytestmark = pytest.mark.demand(
    "reality", "the flows: no traceback, no ERROR in the logs of server and serving process"
)

T = TypeVar("T")
HARBOR = "/api/v2.0/projects/{}/"


@pytest.fixture(autouse=True)
def _without_prefect() -> Iterator[None]:
    with disable_run_logger(), no_delays():
        yield


@pytest.fixture
def last_try(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return a function that makes the running task be on its last try."""
    return lambda: monkeypatch.setattr(step, "is_last_try", lambda: True)


@pytest.fixture
def teams(bench: Bench) -> Bench:
    """Two onboarded teams; the project of the second one cannot be read from Harbor."""
    bench.declare({"name": "shop"}, {"name": "data"})
    for name in ("shop", "data"):
        bench.onboard(name)
    fail(bench, 500)
    return bench


def fail(bench: Bench, how: int | None) -> None:
    part = HARBOR.format(bench.sandbox.harbor.projects["team-data"].id)
    bench.sandbox.fault_for = lambda system, method, path: how if path.startswith(part) else None


class Started(Generic[T]):
    """A step that is run when its result is asked for."""

    def __init__(self, run: Callable[[], T]) -> None:
        self.result = run


def find(bench: Bench, before_retry: Callable[[], object]) -> tuple[Detected, list[str]]:
    """Return the drift, found in steps that are tried twice, and the steps that were retried."""
    retried: list[str] = []

    def submit(name: str, work: Callable[[bool], T], /) -> Started[T]:
        def run() -> T:
            try:
                return work(False)
            except SystemUnavailable:
                retried.append(name)
                before_retry()
                return work(True)

        return Started(run)

    found = find_drift(bench.systems, submit=submit, check_unread=step.retry_unread)
    return found, retried


def test_drift_is_observed_again_and_reports_what_remains_unreadable(
    teams: Bench, last_try: Callable[[], None]
) -> None:
    found, retried = find(teams, last_try)
    assert retried == ["observe Harbor"]
    assert {each.class_ for each in found.report.findings} == {"unreadable"}
    assert found.observed.failure("data") is not None
    assert found.observed.failure("shop") is None


def test_drift_that_is_observed_again_after_an_outage_is_empty(teams: Bench) -> None:
    found, retried = find(teams, lambda: fail(teams, None))
    assert retried == ["observe Harbor"]
    assert found.report.findings == ()


def test_harbor_is_not_observed_again_for_what_kubernetes_does_not_return(
    teams: Bench,
) -> None:
    """A project's mark is on the namespace: observing Harbor again would not find it either."""
    fail(teams, None)
    observed = begin(SYSTEMS, teams.systems, teams.teams)
    error = SystemUnavailable("kubernetes", "GET /api/v1/namespaces", "no answer")
    record_failure(teams.systems.kubernetes, error, observed)
    observe_one(teams.systems.harbor, teams.systems, teams.teams, observed, step.retry_unread)
    assert observed.failure("data") is not None


def test_an_odd_answer_is_recorded_at_once() -> None:
    odd = InvalidResponse("harbor", "GET /api/v2.0/projects/7/members", "'id' is missing")
    step.retry_unread([odd])
    with pytest.raises(SystemUnavailable, match="no answer"):
        step.retry_unread([odd, SystemUnavailable("harbor", "GET /x", "no answer")])


def test_rotation_looks_again_before_it_gives_a_pair_up(
    teams: Bench, monkeypatch: pytest.MonkeyPatch, last_try: Callable[[], None]
) -> None:
    order = RotationRequest(teams.sandbox.clock.now(), force=True)
    run = RotationRun(teams.systems, teams.teams, order)
    teams.sandbox.fault_for = lambda system, method, path: 500 if "/robots" in path else None
    with pytest.raises(SystemUnavailable, match="robots"):
        rotation.observe_robots.plain(run)
    last_try()
    states = {outcome.state for outcome in rotation.observe_robots.plain(run)}
    assert states == {"failed"}
    teams.sandbox.fault_for = lambda system, method, path: None
    assert all(outcome.steps for outcome in rotation.observe_robots.plain(run))


def test_onboarding_looks_again(teams: Bench) -> None:
    walk = Walk(teams.systems, teams.team("data"), check_unread=step.retry_unread)
    with pytest.raises(SystemUnavailable, match="projects"):
        walk.plan()
    assert not walk.observed.unreadable
