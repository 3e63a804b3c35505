"""What is taken out of a team's declaration is removed as defined."""

import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from tenantry import explain, onboarding
from tenantry.outcomes import Outcome
from tenantry.walk import observe_owners
from tests.lifecycle.taking_out import (
    CASES,
    MORE,
    PLATFORM,
    ROTATED,
    Case,
    changes_of,
    findings,
    follow_advice,
    left_of,
    rotate_until_retired,
    without,
)
from tests.support.crash import Driver
from tests.support.harness import Bench

SAMPLE = {"members", "harbor.groups", "robots.*.sinks", "further_namespaces", "oidc_clients"}


def _marked(sample: Collection[str]) -> list[Any]:
    """Return the cases, of which those outside of the sample are long."""
    return [
        pytest.param(case, marks=() if name in sample else pytest.mark.long)
        for name, case in CASES.items()
    ]


@pytest.mark.parametrize("case", _marked(SAMPLE), ids=CASES)
def test_an_entry_that_is_taken_out_is_removed_as_defined(
    case: Case, shop: Bench, tmp_path: Path
) -> None:
    shop.declare(without(case.entry), platform=PLATFORM)

    assert changes_of(shop, case.changes) == set(case.changes)
    assert left_of(shop) == set(case.left)
    shown = str(explain.plan_rows(shop.plan()))
    document = explain.document([Outcome("shop", shop.plan())])[0]
    for left in case.left:
        removal, _, resource = left.partition(" ")
        assert f"'action': '{removal}'" in shown
        found = {each["resource"]: each["removal"] for each in document["no_longer_declared"]}
        assert found[resource] == removal

    shop.onboard()
    assert shop.plan().is_empty
    assert left_of(shop) == set(case.left)

    rotate_until_retired(shop)
    assert shop.plan().is_empty
    assert left_of(shop) == set(case.stays)
    stays = {each.partition(" ")[2] for each in case.stays}
    assert findings(shop).keys() == stays

    follow_advice(shop, tmp_path / "home")
    deadline = time.monotonic() + 10
    while left_of(shop) and time.monotonic() < deadline:
        time.sleep(0.05)  # a namespace is terminating
    assert left_of(shop) == set()
    assert findings(shop) == {}
    assert shop.plan().is_empty
    for purpose in shop.team().active_robots:
        assert shop.can_log_in(f"harbor-{purpose}")


@pytest.mark.parametrize("case", _marked({"oidc_clients"}), ids=CASES)
def test_an_entry_that_is_declared_again_is_restored(case: Case, shop: Bench) -> None:
    before = shop.sandbox.keycloak.realms["platform"].clients
    secret = shop.secret("oidc-web")["client_secret"]
    shop.declare(without(case.entry), platform=PLATFORM).onboard()
    shop.declare(MORE, platform=PLATFORM).onboard()

    assert shop.plan().is_empty
    assert left_of(shop) == set()
    assert findings(shop) == {}
    assert shop.secret("oidc-web")["client_secret"] == secret
    assert shop.sandbox.keycloak.realms["platform"].clients.keys() == before.keys()


def test_everything_at_once_survives_a_kill_at_any_request(shop: Bench, whole: bool) -> None:
    less = {"name": "shop", "members": ["ann"], "robots": {"pull": ROTATED, "ci": None}}
    shop.declare(less, platform=PLATFORM)

    def check() -> None:
        assert shop.plan().is_empty
        assert findings(shop).keys() == {each.partition(" ")[2] for each in left_of(shop)}

    def onboard() -> None:
        with shop.process() as systems:
            onboarding.onboard(systems, shop.team())

    driver = Driver(shop.sandbox, onboard, check)
    assert driver.everywhere(every=1 if whole else 9) > 4


def test_a_robot_that_is_no_longer_attached_is_detached_at_once(bench: Bench) -> None:
    team = {"name": "shop", "robots": {"ci": {"attach": True}}, "further_namespaces": {"jobs": {}}}
    bench.declare(team).onboard()
    account = bench.sandbox.kubernetes.get("ServiceAccount", "default", "team-shop")
    assert account is not None
    theirs = {"name": "their-own"}
    listed = [*account["imagePullSecrets"], theirs]
    bench.sandbox.kubernetes.put({**account, "imagePullSecrets": listed})
    bench.declare({**team, "robots": {"ci": {"attach": False}}})

    changes = changes_of(bench, ())
    bench.onboard()

    assert changes == {"delete kubernetes/image pull secret/team-shop/default/harbor-ci"}
    for namespace in ("team-shop", "team-shop-jobs"):
        account = bench.sandbox.kubernetes.get("ServiceAccount", "default", namespace)
        assert account is not None
        left = [each for each in account["imagePullSecrets"] if each != theirs]
        assert left == [{"name": "harbor-pull"}]
    assert bench.plan().is_empty
    assert left_of(bench) == {"retired kubernetes/Secret/team-shop-jobs/harbor-ci"}
    assert bench.can_log_in("harbor-ci")


def test_a_client_that_is_disabled_needs_an_approval_as_a_deletion_does(shop: Bench) -> None:
    shop.declare(without(("oidc_clients", "web")), platform=PLATFORM)
    assert [str(each.id) for each in shop.plan().removals] == ["keycloak/client/team-shop-web"]


def test_the_content_of_a_secret_that_is_no_longer_declared_is_not_observed(shop: Bench) -> None:
    shop.declare(without(("oidc_clients",)), platform=PLATFORM)
    observed = observe_owners(shop.systems.team_adapters, [shop.team()])
    (left,) = (live for id, live in observed.live.items() if id.key == "team-shop/oidc-web")
    assert set(left.fields) == {"metadata", "type"}
