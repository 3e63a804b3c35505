"""Adoption, and the rotation of an adopted credential, are killed at each of their requests."""

from collections.abc import Callable
from typing import Any

import pytest

from tenantry.onboarding import onboard
from tests.recovery.test_lost_marks import ADOPTING, credentials
from tests.rotation.test_adopted import OF_OTOMI, OF_PROJECT, Foreign, build, declare
from tests.support.crash import MOMENTS, Driver, Procedure
from tests.support.harness import Bench, Data
from tests.support.invariants import assert_nothing_to_do
from tests.support.lost_marks import lose_marks
from tests.support.rotation_crash import rotation
from tests.support.rotation_harness import all_work, robots, secret
from tests.support.wire import Moment

pytestmark = pytest.mark.demand(
    "lifecycle",
    "adoption and the first rotation killed at each request: no credential is re-issued, no pull fails",
)

TEAM: Data = {
    "name": "shop",
    "harbor": {"storage_quota": "10Gi", "retention": {"rules": [{"latest_pushed": 5}]}},
    "oidc_clients": {"web": {"redirect_uris": ["https://shop.example.com/cb"]}},
    "further_namespaces": {"jobs": {}},
}


def onboarding(bench: Bench) -> Procedure:
    """Return a procedure that onboards team shop in a new process."""

    def procedure() -> None:
        with bench.process() as systems:
            onboard(systems, bench.team("shop"))

    return procedure


@pytest.mark.parametrize("moment", MOMENTS)
def test_adoption_killed_at_any_request_re_issues_no_credential(
    moment: Moment, bench: Bench, whole: bool, record_property: Callable[[str, object], None]
) -> None:
    bench.declare(TEAM).onboard()
    lose_marks(bench.sandbox)
    before = credentials(bench)
    bench.declare(TEAM, platform={**ADOPTING, "keycloak": {}})

    def check() -> None:
        assert credentials(bench) == before
        assert_nothing_to_do(bench)

    driver = Driver(bench.sandbox, onboarding(bench), check)
    crashes = driver.everywhere([moment], every=1 if whole else 7)
    record_property("crashes", crashes)
    assert crashes > (30 if whole else 4)


@pytest.mark.parametrize("foreign", [OF_PROJECT, OF_OTOMI], ids=lambda each: each.full)
@pytest.mark.parametrize("moment", MOMENTS)
def test_adoption_of_a_foreign_credential_killed_at_any_request_keeps_it(
    moment: Moment, foreign: Foreign, bench: Bench, whole: bool
) -> None:
    login = build(declare(bench, foreign.full), foreign)
    before = secret(bench)["data"]

    def check() -> None:
        assert secret(bench)["data"] == before
        assert all_work(bench, {"theirs": login})
        assert not {"pull-a", "pull-b"} & set(robots(bench))
        assert_nothing_to_do(bench)

    driver = Driver(bench.sandbox, onboarding(bench), check)
    assert driver.everywhere([moment], every=1 if whole else 8) > (20 if whole else 2)


@pytest.mark.parametrize("foreign", [OF_PROJECT, OF_OTOMI], ids=lambda each: each.full)
@pytest.mark.parametrize("moment", MOMENTS)
def test_the_first_rotation_killed_at_any_request_fails_no_pull(
    moment: Moment, foreign: Foreign, bench: Bench, whole: bool
) -> None:
    login = build(declare(bench, foreign.full), foreign)
    bench.onboard()
    published: list[Any] = []

    def check() -> None:
        found = bench.login("harbor-pull")
        published.append(found)
        assert found != login
        assert bench.systems.harbor_client.accepts(*found)
        assert all_work(bench, {"theirs": login}), "the other owner's robot overlaps"
        assert_nothing_to_do(bench)

    driver = Driver(bench.sandbox, rotation(bench), check)
    assert driver.everywhere([moment], every=1 if whole else 6) > (10 if whole else 2)
    assert published
