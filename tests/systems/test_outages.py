"""While a part of Harbor is down, nothing that works is renewed or called broken, and no run hangs."""

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tenantry import calls, checks, drift, onboarding
from tenantry.errors import SystemUnavailable
from tenantry.marks import MANAGED_BY
from tenantry.systems.harbor import transport as harbor_transport
from tenantry.walk import observe_owners
from tests.drift.test_crash import driver as remediated
from tests.drift.watch import Watched
from tests.support.crash import Driver
from tests.support.harness import Bench, Prepare
from tests.support.invariants import assert_in_sync
from tests.support.migration_crash import WAYS
from tests.support.rotation_crash import due, rotate
from tests.support.rotation_harness import PULL, all_work, logins, only, robots, run
from tests.support.wire import no_delays
from tests.systems.outages import OUTAGES, Outage, Outages
from tests.systems.test_platform import whole as declare_platform

TEAMS = ({"name": "shop"}, {"name": "data"})
SAMPLE = 25
"""How many outages of each kind each procedure gets through in `make test-long`."""
LENGTHS = (3, 12, 40)
"""How many requests outages last: one read's tries, some reads, all tries of a task."""


def onboarded(bench: Bench) -> None:
    bench.declare(*TEAMS)
    for team in bench.teams:
        bench.onboard(team.name)


@pytest.fixture(params=["in a session", "with basic auth"])
def teams(begin: Callable[[Prepare], Bench], request: pytest.FixtureRequest) -> Bench:
    bench = begin(onboarded)
    if request.param == "with basic auth":
        bench.sandbox.fault_for = lambda system, method, path: 404 if path == "/c/login" else None
    return bench


def report(bench: Bench) -> drift.Report:
    with bench.process(extras=True) as systems:
        seen = drift.observe(systems, bench.teams, drift.SYSTEMS)
        return drift.detect(systems, bench.teams, seen, drift.SYSTEMS).report


def reissued(bench: Bench) -> int:
    """Return how often a robot's secret was renewed."""
    counts = bench.sandbox.requests.counts().items()
    return sum(n for kind, n in counts if kind.method == "PATCH" and "/robots/" in kind.template)


def republished(bench: Bench) -> int:
    """Return how often a Secret was written again, after it had got a credential."""
    counts = bench.sandbox.requests.counts().items()
    written = sum(n for kind, n in counts if kind.is_write and "/secrets/" in kind.template)
    ours = f"{MANAGED_BY}=tenantry"
    return written - len(list(bench.systems.home_cluster.list("Secret", labelSelector=ours)))


# Harbor's database is down


@pytest.mark.demand("reality", "database down: nothing is called broken, nothing is renewed")
def test_drift_calls_no_working_credential_broken(teams: Bench) -> None:
    teams.sandbox.controls.take_down("database")
    with no_delays():
        found = report(teams)
    assert {each.class_ for each in found.findings} == {"unreadable"}
    teams.sandbox.controls.take_down()
    assert report(teams).findings == ()


@pytest.mark.demand("reality", "database down: nothing is called broken, nothing is renewed")
def test_an_outage_that_begins_while_credentials_are_tried_makes_none_broken(teams: Bench) -> None:
    before = teams.sandbox.fault_for

    def down(system: str, method: str, path: str) -> object:
        if path == "/service/token":
            teams.sandbox.controls.take_down("database")
        return before(system, method, path)

    teams.sandbox.fault_for = down  # type: ignore[assignment]
    with no_delays():
        found = report(teams)
    assert {each.class_ for each in found.findings} == {"unreadable"}
    assert any(
        "valid credentials cannot be distinguished from invalid ones" in each.detail
        for each in found.findings
    )


@pytest.mark.demand("reality", "database down: nothing is called broken, nothing is renewed")
def test_onboarding_renews_nothing(teams: Bench) -> None:
    teams.sandbox.requests.reset()
    teams.sandbox.controls.take_down("database")
    with no_delays(), teams.process() as systems:
        with pytest.raises(SystemUnavailable):
            systems.check()
        with pytest.raises(SystemUnavailable):
            onboarding.plan_all(systems, teams.teams)
    teams.sandbox.controls.take_down()
    assert reissued(teams) == 0
    assert_in_sync(teams)


@pytest.mark.demand("reality", "database down: nothing is called broken, nothing is renewed")
def test_a_run_that_begins_before_the_outage_renews_nothing(teams: Bench) -> None:
    """The published credential is invalid. It is renewed, but not while Harbor rejects all logins."""
    shop = next(r for r in robots(teams).values() if r.name == "pull-a")
    shop.secret_hash = "0" * 64
    with teams.process() as systems:
        seen = observe_owners(systems.team_adapters, teams.teams)
        plan = systems.plan(teams.team("shop"), seen)
        assert plan.changes
        teams.sandbox.requests.reset()
        teams.sandbox.controls.take_down("database")
        with no_delays(), pytest.raises(SystemUnavailable):
            systems.apply(plan, seen)
    assert reissued(teams) == 0


@pytest.mark.demand("reality", "database down: nothing is called broken, nothing is renewed")
def test_no_secret_is_renewed_after_harbor_was_down_during_the_observation(bench: Bench) -> None:
    """Its credentials were not read: one that seems to be missing may work."""
    bench.declare({"name": "shop", "further_namespaces": {"jobs": {}}}).onboard()
    held = logins(bench)
    secret = bench.sandbox.kubernetes.get("Secret", "harbor-pull", "team-shop-jobs")
    assert secret is not None
    secret["metadata"]["annotations"]["tenantry.io/robot"] = "another"
    bench.sandbox.kubernetes.put(secret)
    with bench.process() as systems, no_delays():
        systems.plan(bench.team("shop"), observe_owners(systems.team_adapters, bench.teams))
        bench.sandbox.controls.take_down("core")
        seen = drift.observe(systems, bench.teams, drift.SYSTEMS)
        bench.sandbox.controls.take_down()
        found = drift.detect(systems, bench.teams, seen, drift.SYSTEMS)
        [plan] = drift.choose(found, "safe", ()).plans
        bench.sandbox.requests.reset()
        with pytest.raises(SystemUnavailable):
            systems.apply(plan, seen)
    assert reissued(bench) == 0
    assert all_work(bench, held)
    bench.onboard()
    assert_in_sync(bench)


@pytest.mark.demand("reality", "database down: nothing is called broken, nothing is renewed")
def test_rotation_exchanges_nothing(begin: Callable[[Prepare], Bench]) -> None:
    bench = begin(lambda bench: due(bench, PULL))
    held, before = logins(bench), robots(bench)
    bench.sandbox.controls.take_down("database")
    with no_delays(), pytest.raises(SystemUnavailable):
        run(bench)
    bench.sandbox.controls.take_down()
    assert robots(bench) == before
    assert all_work(bench, held)
    assert only(run(bench)).state == "rotated"


@pytest.mark.demand("reality", "database down: nothing is called broken, nothing is renewed")
def test_checks_report_what_they_cannot_read(teams: Bench) -> None:
    teams.sandbox.controls.take_down("database")
    with no_delays(), teams.process() as systems:
        found = checks.check_all(systems)
    assert {each.class_ for each in found} == {"unreadable"}


# A core that is frozen


@pytest.mark.demand("reality", "database down: nothing is called broken, nothing is renewed")
def test_a_harbor_that_answers_nothing_is_not_waited_for_at_each_call(
    teams: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call times out after 30 seconds here, too, in a time of our own."""
    monkeypatch.setattr(harbor_transport, "TIMEOUT", 0.2)
    monkeypatch.setattr(calls, "MAX_SILENCE", 0.3)
    teams.sandbox.requests.reset()
    teams.sandbox.controls.fail("timeout", system="harbor", times=None)
    found = report(teams)
    asked = sum(n for kind, n in teams.sandbox.requests.counts().items() if kind.system == "harbor")
    assert {each.resource.system for each in found.findings} == {"harbor"}
    assert {each.class_ for each in found.findings} == {"unreadable"}
    assert any("has not answered for" in each.detail for each in found.findings)
    assert asked <= 3
    teams.sandbox.controls.clear()


# Outages that end


def onboard(bench: Bench) -> Driver:
    bench.declare(*TEAMS)

    def procedure() -> None:
        with bench.process() as systems:
            systems.check()
            for team in bench.teams:
                onboarding.onboard(systems, team)

    def check() -> None:
        assert_in_sync(bench)
        # A robot whose test by a login failed gets a new secret: nothing used the first one.
        assert republished(bench) == 0

    return Driver(bench.sandbox, procedure, check)


def configure(bench: Bench) -> Driver:
    bench.declare({"name": "shop"}, platform=declare_platform(bench))

    def procedure() -> None:
        with bench.process() as systems:
            onboarding.configure(systems)

    def check() -> None:
        with bench.process() as systems:
            outcome = onboarding.plan_platform(systems)
        assert (outcome.error, outcome.has_changes) == (None, False)

    return Driver(bench.sandbox, procedure, check)


def rotation(bench: Bench) -> Driver:
    due(bench, PULL)
    return rotate(bench)


def remediation(bench: Bench) -> Driver:
    return remediated(Watched(bench.sandbox, bench.folder).onboarded(), [3, 44, 77, 120, 180])


def migration(bench: Bench) -> Driver:
    return WAYS["change_issuer"](bench, 4)


PROCEDURES = {
    each.__name__: each for each in (onboard, configure, rotation, remediation, migration)
}


def endured(driver: Driver, bench: Bench, outage: Outage, runs: int) -> int:
    """Return how many requests the procedure makes; it must get through these outages."""
    last = len(driver.requests())
    outages, choose = Outages(bench.sandbox, driver), random.Random(17)
    for _ in range(runs):
        outages.inject(outage, choose.randint(1, last), choose.choice(LENGTHS))
    return last


def _cases() -> Iterator[Any]:
    """Yield each procedure with each outage; in `make test`, with one of them, once."""
    for index, name in enumerate(PROCEDURES):
        yield name, OUTAGES[index % len(OUTAGES)], 1
        for outage in OUTAGES:
            yield pytest.param(name, outage, SAMPLE, marks=pytest.mark.long)


@pytest.mark.demand(
    "reality",
    "an outage of Harbor, {name}: all in sync in the end, once; no working secret was renewed",
)
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("name", "outage", "runs"), list(_cases()))
def test_a_procedure_gets_through_an_outage(
    name: str,
    outage: Outage,
    runs: int,
    bench: Bench,
    record_property: Callable[[str, object], None],
) -> None:
    requests = endured(PROCEDURES[name](bench), bench, outage, runs)
    record_property("outages", runs)
    assert requests > 10
