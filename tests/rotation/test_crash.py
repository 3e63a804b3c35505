"""Rotation is killed at each of its requests, and run again."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.bench import Bench
from tests.crash import Driver, Procedure
from tests.rotation_bench import (
    SPREAD_OUT,
    add_namespace,
    all_open,
    enabled,
    logins,
    none_opens,
    order,
    pairs_are_in_order,
    pass_time,
    robots,
    run,
)


@pytest.fixture
def shop(bench: Bench) -> Bench:
    """A team with its credential in four Secrets, due for rotation."""
    add_namespace(bench)
    bench.declare(SPREAD_OUT).onboard()
    pass_time(bench, days=20)
    return bench


def rotation(bench: Bench, **asked: Any) -> Procedure:
    """One run, as a process does it; run again, it has the order that it was first given."""
    given = order(bench, **asked)

    def procedure() -> None:
        with bench.process() as systems:
            for outcome in run(bench, given, systems=systems).values():
                if outcome.error is not None:
                    raise outcome.error

    return procedure


def rotated(bench: Bench, old: dict[str, tuple[str, str]]) -> Callable[[], None]:
    """What must hold: the new one is everywhere, and the old one works on."""

    def check() -> None:
        pairs_are_in_order(bench)
        assert logins(bench).items().isdisjoint(old.items())
        assert all_open(bench, old)

    return check


def test_a_rotation_killed_at_any_request_is_finished_by_the_next_run(shop: Bench) -> None:
    driver = Driver(shop.sandbox, rotation(shop), rotated(shop, logins(shop)))
    assert driver.everywhere() > 40


@pytest.mark.parametrize("seed", range(2))
def test_the_run_that_goes_on_may_be_killed_too(seed: int, shop: Bench) -> None:
    driver = Driver(shop.sandbox, rotation(shop), rotated(shop, logins(shop)))
    assert driver.seeded(seed, runs=6, crashes=3) > 6


def test_retiring_killed_at_any_request_is_finished_by_the_next_run(shop: Bench) -> None:
    old = logins(shop)
    run(shop)
    pass_time(shop, hours=25)

    def check() -> None:
        pairs_are_in_order(shop)
        assert enabled(shop) == {"pull-b"}
        assert none_opens(shop, old)

    assert Driver(shop.sandbox, rotation(shop), check).everywhere() > 15


def test_deleting_killed_at_any_request_is_finished_by_the_next_run(shop: Bench) -> None:
    run(shop)
    pass_time(shop, hours=25)
    run(shop)
    pass_time(shop, days=8)

    def check() -> None:
        pairs_are_in_order(shop)
        assert set(robots(shop)) == {"pull-b"}

    assert Driver(shop.sandbox, rotation(shop), check).everywhere() > 15


def test_a_compromised_credential_is_gone_and_replaced_wherever_the_run_was_killed(
    shop: Bench,
) -> None:
    run(shop)  # so there are two old ones: the live one, and one that overlaps
    old = logins(shop)
    pass_time(shop, hours=1)

    def check() -> None:
        pairs_are_in_order(shop)
        assert none_opens(shop, old)
        assert len(robots(shop)) == 1

    driver = Driver(shop.sandbox, rotation(shop, compromised=True), check)
    assert driver.everywhere() > 40


def test_mending_a_dead_one_beside_one_that_overlaps_may_be_killed_at_any_request(
    shop: Bench,
) -> None:
    """The old one may be all that works: it is not made room of."""
    old = logins(shop)
    run(shop)
    pass_time(shop, hours=1)
    shop.systems.harbor_client.patch(f"/robots/{robots(shop)['pull-b'].id}", {})
    driver = Driver(shop.sandbox, rotation(shop), rotated(shop, old))
    assert driver.everywhere() > 40
