"""A task that looks is tried again while parts of what it reads fail, and reports what remains.

An outage that begins in the middle of a look fails some of its parts only.
"""

import logging
from collections.abc import Callable, Iterator

import pytest
from prefect.logging import disable_run_logger

from tasks import drift, rotation, step
from tenantry.drift import SYSTEMS, Report
from tenantry.drift import detect as judge
from tenantry.errors import InvalidResponse, SystemUnavailable
from tenantry.rotation import RotationRequest
from tenantry.walk import Walk
from tests.support.harness import Bench
from tests.support.wire import no_delays

HARBOR = "/api/v2.0/projects/{}/"


@pytest.fixture(autouse=True)
def _without_prefect(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(drift, "get_run_logger", lambda: logging.getLogger("run"))
    with disable_run_logger(), no_delays():
        yield


@pytest.fixture
def last_try(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let the tasks that follow be on their last try."""
    return lambda: monkeypatch.setattr(step, "is_last_try", lambda: True)


@pytest.fixture
def teams(bench: Bench) -> Bench:
    """Two teams; what Harbor holds of the second one's project can't be read."""
    bench.declare({"name": "shop"}, {"name": "data"})
    for name in ("shop", "data"):
        bench.onboard(name)
    fail(bench, 500)
    return bench


def fail(bench: Bench, how: int | None) -> None:
    part = HARBOR.format(bench.sandbox.harbor.projects["team-data"].id)
    bench.sandbox.fault_for = lambda system, method, path: how if path.startswith(part) else None


def watch(bench: Bench) -> drift.Watch:
    return drift.Watch(bench.systems, bench.teams, SYSTEMS)


def look(found: drift.Watch) -> None:
    for adapter in found.systems.team_adapters:
        drift.observe_system.plain(adapter, found)


def report(found: drift.Watch) -> Report:
    return judge(found.systems, found.teams, found.observed, SYSTEMS).report


def test_drift_looks_again_and_reports_what_remains_unreadable(
    teams: Bench, last_try: Callable[[], None]
) -> None:
    found = watch(teams)
    with pytest.raises(SystemUnavailable, match="projects"):
        look(found)
    assert not found.observed.unreadable, "the next try begins anew"
    last_try()
    look(found)
    assert {each.class_ for each in report(found).findings} == {"unreadable"}
    assert found.observed.failure("data") is not None
    assert found.observed.failure("shop") is None


def test_drift_that_looks_again_after_an_outage_finds_nothing(teams: Bench) -> None:
    found = watch(teams)
    with pytest.raises(SystemUnavailable):
        look(found)
    fail(teams, None)
    look(found)
    assert report(found).findings == ()


def test_drift_does_not_look_at_harbor_again_for_what_kubernetes_does_not_tell(
    teams: Bench,
) -> None:
    """A project's mark is on the namespace: another look at Harbor would not find it either."""
    fail(teams, None)
    found = watch(teams)
    error = SystemUnavailable("kubernetes", "GET /api/v1/namespaces", "no answer")
    drift.record_failure(found.systems.kubernetes, error, found.observed)
    drift.observe_system.plain(found.systems.harbor, found)
    assert found.observed.failure("data") is not None


def test_an_odd_answer_is_recorded_at_once() -> None:
    odd = InvalidResponse("harbor", "GET /api/v2.0/projects/7/members", "'id' is missing")
    step.look_again_after([odd])
    with pytest.raises(SystemUnavailable, match="no answer"):
        step.look_again_after([odd, SystemUnavailable("harbor", "GET /x", "no answer")])


def test_rotation_looks_again_before_it_gives_a_pair_up(
    teams: Bench, monkeypatch: pytest.MonkeyPatch, last_try: Callable[[], None]
) -> None:
    order = RotationRequest(teams.sandbox.clock.now(), force=True)
    run = rotation.Rotation(teams.systems, teams.teams, order, None)
    teams.sandbox.fault_for = lambda system, method, path: 500 if "/robots" in path else None
    with pytest.raises(SystemUnavailable, match="robots"):
        rotation.look.plain(run, None)
    last_try()
    states = {outcome.state for outcome in rotation.look.plain(run, None)}
    assert states == {"failed"}
    teams.sandbox.fault_for = lambda system, method, path: None
    assert all(outcome.steps for outcome in rotation.look.plain(run, None))


def test_onboarding_looks_again(teams: Bench) -> None:
    walk = Walk(teams.systems, teams.team("data"), check_unread=step.look_again_after)
    with pytest.raises(SystemUnavailable, match="projects"):
        walk.plan()
    assert not walk.observed.unreadable
