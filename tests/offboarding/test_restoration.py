"""Onboarding a revoked team again: what was in use works again, and what has expired is renewed."""

import random
from collections.abc import Callable
from contextlib import suppress

import pytest

from tenantry import offboarding
from tenantry.errors import TenantryError
from tenantry.locks import NoLock
from tenantry.onboarding import onboard
from tenantry.rotation import rotate
from tests.offboarding.land import bystanders, process, revoke, shop
from tests.support.crash import MOMENTS, Driver
from tests.support.harness import Bench
from tests.support.interleaving import FairLock, Interleaving
from tests.support.invariants import (
    assert_credentials_work,
    assert_in_sync,
    assert_nothing_to_do,
)
from tests.support.rotation_harness import enabled, order, pass_time, robots, run
from tests.support.wire import Kill, Killed, Moment, Wire, no_delays, one_worker

pytestmark = pytest.mark.demand(
    "lifecycle", "offboarding: a revoked team that is onboarded again has what it had"
)


def restore(bench: Bench) -> None:
    """Onboard shop again in a new process, and assert that everything is in sync."""
    bench.load().onboard("shop")
    with no_delays():
        assert_credentials_work(bench)
        assert_nothing_to_do(bench)


def accepts(bench: Bench, login: tuple[str, str]) -> bool:
    """Return whether Harbor accepts a credential."""
    return bench.systems.harbor_client.accepts(*login)


def test_credentials_that_have_expired_meanwhile_get_new_secrets(land: Bench) -> None:
    pull, ci = land.login("harbor-pull"), land.login("harbor-ci")
    numbers = {name: robot.id for name, robot in robots(land).items()}
    revoke(land)
    pass_time(land, days=40)  # pull expires after 30 days, ci after 90
    restore(land)
    assert land.login("harbor-ci") == ci
    assert accepts(land, ci)
    assert land.login("harbor-pull") != pull
    assert not accepts(land, pull), "the old secret is not made valid again"
    assert land.can_log_in("harbor-pull")
    assert {name: robot.id for name, robot in robots(land).items()} == numbers


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_restoration_killed_at_any_request_is_completed_by_the_next_run(
    moment: Moment, land: Bench, whole: bool, record_property: Callable[[str, object], None]
) -> None:
    ci, others = land.login("harbor-ci"), bystanders(land)
    revoke(land)
    pass_time(land, days=40)

    def procedure() -> None:
        with process(land) as (systems, team):
            onboard(systems, team)

    def check() -> None:
        assert_in_sync(land)
        assert land.login("harbor-ci") == ci
        assert accepts(land, ci)
        assert bystanders(land) == others

    driver = Driver(land.sandbox, procedure, check)
    crashes = driver.everywhere([moment], every=1 if whole else 25)
    record_property("crashes", crashes)
    assert crashes > (60 if whole else 2)


def test_a_robot_in_its_overlap_works_again_and_is_retired_later(land: Bench) -> None:
    old = land.login("harbor-pull")
    pass_time(land, days=18)
    assert run(land, purposes=["pull"])["shop/pull"].rotated
    new = land.login("harbor-pull")
    assert accepts(land, old)
    assert accepts(land, new)
    revoke(land)
    assert not accepts(land, old)
    assert not accepts(land, new)
    restore(land)
    assert land.login("harbor-pull") == new
    assert accepts(land, old), "clients that have not loaded the new credential yet still pull"
    assert accepts(land, new)
    pass_time(land, days=2)
    run(land)
    assert not accepts(land, old)
    assert accepts(land, new)


def test_a_robot_that_rotation_has_retired_stays_disabled(land: Bench) -> None:
    old = land.login("harbor-pull")
    pass_time(land, days=18)
    run(land, purposes=["pull"])
    pass_time(land, days=2)
    run(land)
    assert not accepts(land, old)
    before = enabled(land)
    revoke(land)
    assert enabled(land) == set()
    restore(land)
    assert enabled(land) == before


@pytest.mark.parametrize("request_number", [17, 18, 20, 21])
def test_a_rotation_that_was_killed_before_the_revocation_breaks_nothing(
    request_number: int, land: Bench
) -> None:
    """It was killed after it created, proved or published another robot, in one Secret or in both."""
    pass_time(land, days=18)
    kill = Kill(request_number, "after")
    with suppress(Killed), no_delays(), one_worker(), Wire(kill), process(land) as (systems, team):
        now = land.sandbox.clock.now()
        rotate(systems, [team], order(land), now, NoLock(), purposes=["pull"])
    old = land.login("harbor-pull")
    assert accepts(land, old)
    revoke(land)
    assert not accepts(land, old)
    restore(land)
    assert land.login("harbor-pull") == old
    assert accepts(land, old)


@pytest.mark.long
@pytest.mark.parametrize("other", ["onboard", "rotate"])
@pytest.mark.parametrize("seed", range(4))
def test_a_revocation_at_the_same_time_as_another_run_is_completed_by_the_next_one(
    other: str, seed: int, land: Bench
) -> None:
    """A run that began before the record of the offboarding was written may still be at work."""
    pass_time(land, days=18)
    choose = random.Random(seed)
    interleaving = Interleaving(choose.randrange)

    def revoked() -> None:
        with process(land) as (systems, team):
            offboarding.revoke(systems, team, lock=FairLock(interleaving, ["shop"]))

    def onboarded() -> None:
        with process(land) as (systems, team):
            onboard(systems, team, FairLock(interleaving, ["shop"]))

    def rotated() -> None:
        with process(land) as (systems, _):
            now = land.sandbox.clock.now()
            rotate(systems, [shop(land)], order(land), now, FairLock(interleaving, ["shop"]))

    work = {"revoke": revoked, other: {"onboard": onboarded, "rotate": rotated}[other]}
    errors = interleaving.run(work)
    assert all(isinstance(error, TenantryError) for error in errors.values()), errors
    revoke(land)
    assert enabled(land) == set()
    assert revoke(land).done == ()
    restore(land)
