"""Robots of a purpose that a team no longer declares: they are retired, with an overlap."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.support.harness import Bench, Data, Prepare
from tests.support.rotation_harness import enabled, only, pass_time, robots, run

BOTH: Data = {
    "name": "shop",
    "robots": {"pull": None, "ci": {"expiry_days": "never"}},
}
NONE: Data = {"name": "shop", "robots": {"pull": None, "ci": None}}


@pytest.fixture
def shop(begin: Callable[[Prepare], Bench]) -> Bench:
    """A team that was onboarded with a robot that never expires, and no longer declares it."""
    return begin(_onboard).declare(NONE)


def _onboard(bench: Bench) -> None:
    bench.declare(BOTH).onboard()


def test_a_robot_that_never_expires_works_during_the_overlap_only(shop: Bench) -> None:
    login = shop.login("harbor-ci")
    accepts = shop.systems.harbor_client.accepts

    outcome = only(run(shop))
    assert (outcome.name, outcome.state, outcome.error) == ("shop/ci", "overlapping", None)
    assert len(outcome.done) == 1
    assert outcome.done[0].startswith("set ci-a to expire soon after ")
    end = shop.sandbox.clock.now() + timedelta(days=2)
    assert 0 < robots(shop)["ci-a"].expires_at <= end.timestamp()
    pass_time(shop, hours=23)
    assert only(run(shop)).done == (), "the expiry of the first run stays"
    assert accepts(*login)

    pass_time(shop, hours=25)
    outcome = only(run(shop))
    assert not accepts(*login)
    assert "disabled ci-a" in outcome.done
    assert "deleted Secret team-shop/harbor-ci" in outcome.done
    assert robots(shop)["ci-a"].disabled
    assert enabled(shop) == set()

    pass_time(shop, days=8)
    assert only(run(shop)).done == ("deleted ci-a: it was disabled for long enough",)
    assert run(shop) == {}
