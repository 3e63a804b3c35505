"""An offboarding is killed at each of its requests, or one of them fails; the next run completes it."""

from collections.abc import Callable
from contextlib import suppress

import pytest

from tenantry import offboarding
from tenantry.errors import TenantryError
from tenantry.offboarding.plan import RemovalPlan
from tests.offboarding.land import bystanders, left, plan, process, push_images, revoke
from tests.offboarding.test_removal import FOREIGN
from tests.support.crash import MOMENTS, Check, Driver, Procedure
from tests.support.harness import Bench
from tests.support.wire import Moment, Request, Send, Wire, no_delays, one_worker

pytestmark = pytest.mark.demand(
    "lifecycle",
    "offboarding killed at every request, or with a fault in each, ends removed by the next run; "
    "bystander teams and hand-made objects are byte for byte unchanged",
    "crashes",
)


def revocation(bench: Bench) -> Procedure:
    """Return the procedure that revokes shop's access."""

    def procedure() -> None:
        with process(bench) as (systems, team):
            offboarding.revoke(systems, team)

    return procedure


def removal(bench: Bench, approval: str) -> Procedure:
    """Return the procedure of a daily run: it plans, checks the stored approval, and removes."""

    def procedure() -> None:
        with process(bench) as (systems, team):
            found = offboarding.plan_removal(systems, team, delete_images=True)
            assert found.is_approved(approval), "a person would have to approve it again"
            outcome = offboarding.remove(systems, found)
            assert outcome.is_complete

    return procedure


def ready(bench: Bench) -> RemovalPlan:
    """Bring the platform to the state before the removal, and return the approved plan."""
    bench.sandbox.kubernetes.namespace_termination_seconds = 0  # the number of polls is constant
    push_images(bench, "web", "api/v2")
    with process(bench) as (systems, _):
        project = bench.sandbox.harbor.projects["team-shop"].id
        rule = {
            "action": "immutable",
            "template": "immutable_template",
            "tag_selectors": [{"kind": "doublestar", "decoration": "matches", "pattern": "**"}],
            "scope_selectors": {
                "repository": [{"kind": "doublestar", "decoration": "repoMatches", "pattern": "**"}]
            },
        }
        systems.harbor_client.create(f"/projects/{project}/immutabletagrules", rule)
    revoke(bench)
    return plan(bench, delete_images=True)


def is_removed(bench: Bench) -> Check:
    """Return a check that nothing of shop is left, and that nothing else has changed."""
    others = bystanders(bench)

    def check() -> None:
        assert left(bench) == FOREIGN
        assert bystanders(bench) == others

    return check


def is_revoked(bench: Bench) -> Check:
    """Return a check that shop has no access, that a second run does nothing, and that nothing else
    has changed."""
    others = bystanders(bench)
    logins = [bench.login(name) for name in ("harbor-pull", "harbor-ci")]

    def check() -> None:
        assert not any(bench.systems.harbor_client.accepts(*login) for login in logins)
        with Wire() as wire:
            revocation(bench)()
        assert [str(each) for each in wire.requests if each.is_write] == []
        assert bystanders(bench) == others

    return check


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_revocation_killed_at_any_request_is_completed_by_the_next_run(
    moment: Moment, land: Bench, whole: bool, record_property: Callable[[str, object], None]
) -> None:
    driver = Driver(land.sandbox, revocation(land), is_revoked(land))
    crashes = driver.everywhere([moment], every=1 if whole else 12)
    record_property("crashes", crashes)
    assert crashes > (30 if whole else 3)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_removal_killed_at_any_request_is_completed_by_the_next_run_without_another_approval(
    moment: Moment, land: Bench, whole: bool, record_property: Callable[[str, object], None]
) -> None:
    approved = ready(land)
    driver = Driver(land.sandbox, removal(land, approved.approval), is_removed(land))
    crashes = driver.everywhere([moment], every=1 if whole else 15)
    record_property("crashes", crashes)
    assert crashes > (60 if whole else 4)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
def test_the_run_that_continues_a_removal_may_be_killed_too(
    seed: int, land: Bench, whole: bool, record_property: Callable[[str, object], None]
) -> None:
    approved = ready(land)
    driver = Driver(land.sandbox, removal(land, approved.approval), is_removed(land))
    runs = 10 if whole else 2
    crashes = driver.seeded(seed, runs, crashes=3)
    record_property("crashes", crashes)
    assert crashes >= runs


class FailOnce:
    """Refuses one request, as a proxy in front of a system does."""

    def __init__(self, number: int) -> None:
        self._number = number
        self.failed = False

    def __call__(self, request: Request, send: Send) -> object:
        if request.number == self._number:
            self.failed = True
            raise request.timed_out()
        return send()


@pytest.mark.long
@pytest.mark.parametrize("part", ["revocation", "removal"])
def test_a_fault_in_any_request_fails_the_run_or_is_retried_and_the_next_run_completes_it(
    part: str, land: Bench, whole: bool
) -> None:
    if part == "removal":
        procedure, check = removal(land, ready(land).approval), is_removed(land)
    else:
        procedure, check = revocation(land), is_revoked(land)
    driver = Driver(land.sandbox, procedure, check)
    last = len(driver.requests())
    for number in range(1, last + 1, 1 if whole else 7):
        with driver.from_start(), no_delays(), one_worker():
            fault = FailOnce(number)
            with suppress(TenantryError), Wire(fault):
                procedure()
            assert fault.failed
            procedure()
            check()
