"""Each name that a team's file gives is set, then changed, then taken out, and then given again.

An onboarded team keeps its objects: another name is refused, with the way to do it. Nothing is
created under the other name, and nobody loses access because of it.
"""

from collections.abc import Callable
from typing import Any

import pytest

from tenantry import drift
from tenantry.errors import NotOurs
from tenantry.walk import observe_owners
from tests.drift.watch import remediate
from tests.isolation.snapshot import everything
from tests.support.existing_names import ALLOWS, NAMES, SHOP
from tests.support.harness import REALM, Bench, Data, Prepare, granted
from tests.support.invariants import assert_in_sync, assert_nothing_to_do
from tests.support.rotation_harness import ROTATED, all_work, logins, pass_time, run
from tests.support.unmark import remove_marks

PLATFORM = granted(
    "shop",
    **{
        **ALLOWS,
        "namespaces": [*ALLOWS["namespaces"], "other", "team-shop"],
        "projects": ["shop.images", "other"],
        "clients": ["Shop_Web", "other"],
        "groups": ["shop-people", "other"],
    },
)
TEAM: Data = {
    **SHOP,
    "members": ["ann"],
    "robots": {"pull": {"rotation": ROTATED, "expiry_days": 30}, "ci": None},
}
OTHER: dict[str, Data] = {
    "namespace": {"names": {**NAMES, "namespace": "other"}},
    "further_namespaces": {"names": {**NAMES, "further_namespaces": {"jobs": "other"}}},
    "project": {"names": {**NAMES, "project": "other"}},
    "clients": {"names": {**NAMES, "clients": {"web": "other"}}},
    "secrets": {"names": {**NAMES, "secrets": {"pull": "other"}}},
    "group": {"group": "other"},
}
"""What a team's file gives after a name was changed, by the field."""


def without(field: str) -> Data:
    """Return what the file gives after a name was taken out of it."""
    if field == "group":
        return {"group": None}
    return {"names": {key: value for key, value in NAMES.items() if key != field}}


def named(bench: Bench) -> None:
    """Onboard a team with an explicit name for each object."""
    bench.sandbox.keycloak.add_user(REALM, "ann")
    bench.declare(TEAM, {"name": "data"}, platform=PLATFORM)
    for team in bench.teams:
        bench.onboard(team.name)


@pytest.fixture
def bench(begin: Callable[[Prepare], Bench]) -> Bench:
    """Return a bench with a team that has an explicit name for each object."""
    return begin(named)


def content(bench: Bench) -> Data:
    """Return what the systems hold, without the log of requests."""
    return {
        "/".join(part): text
        for part, text in everything(bench.sandbox).items()
        if part[:2] not in (("harbor", "audit"), ("harbor", "audit_logs"))
    }


def changes(before: Data, after: Data) -> list[tuple[Any, Any]]:
    """Return the objects that differ, each with both contents."""
    names = sorted(before.keys() | after.keys())
    return [(before.get(n), after.get(n)) for n in names if before.get(n) != after.get(n)]


@pytest.mark.parametrize("how", ["changed", "removed"])
@pytest.mark.parametrize("field", OTHER)
def test_another_name_is_refused_and_the_old_one_works_on(
    bench: Bench, field: str, how: str
) -> None:
    before, credentials = content(bench), logins(bench)
    change = OTHER[field] if how == "changed" else without(field)
    bench.declare({**TEAM, **change}, {"name": "data"}, platform=PLATFORM)

    with pytest.raises(
        NotOurs, match=r"names of an onboarded team cannot change.*[Kk]eep the name"
    ):
        bench.onboard("shop")

    assert changes(before, content(bench)) == [], "nothing is created, changed or taken out"
    with bench.process(extras=True) as systems:
        detected = drift.find_drift(systems)
        remediate(systems, detected)
    assert changes(before, content(bench)) == [], "also not by a remediation"
    assert any("cannot change" in finding.detail for finding in detected.report.findings)
    pass_time(bench, days=21)
    run(bench)
    assert all_work(bench, credentials), "an outdated pull Secret serves the whole overlap"

    bench.declare(TEAM, {"name": "data"}, platform=PLATFORM)
    run(bench)
    bench.onboard("shop")
    assert_nothing_to_do(bench)


@pytest.mark.parametrize("how", ["changed", "removed"])
def test_a_secret_of_a_client_gets_a_copy_under_another_name(bench: Bench, how: str) -> None:
    """The credential stays the same, so that both Secrets work, until the old one is deleted."""
    names = {**NAMES, "client_secrets": {"web": "other"} if how == "changed" else {}}
    old = bench.secret("web-login", "legacy-shop")
    bench.declare({**TEAM, "names": names}, {"name": "data"}, platform=PLATFORM)
    bench.onboard("shop")
    new = "other" if how == "changed" else "oidc-web"
    assert bench.secret(new, "legacy-shop") == old
    assert bench.secret("web-login", "legacy-shop") == old
    with bench.process(extras=True) as systems:
        observed = observe_owners(systems.team_adapters, bench.teams)
        report = drift.detect(systems, bench.teams, observed).report
    assert [each.resource.key for each in report.findings] == ["legacy-shop/web-login"]


@pytest.mark.parametrize("field", ["group", "clients"])
def test_an_object_that_was_renamed_in_keycloak_keeps_its_content(bench: Bench, field: str) -> None:
    keycloak = bench.systems.keycloak_client
    if field == "group":
        found = next(each for each in keycloak.pages("groups") if each["name"] == "shop-people")
        keycloak.put(f"groups/{found['id']}", {**found, "name": "other"})
    else:
        found = next(each for each in keycloak.pages("clients") if each["clientId"] == "Shop_Web")
        keycloak.put(f"clients/{found['id']}", {**found, "clientId": "other"})
    secret = bench.secret("web-login", "legacy-shop")

    bench.declare({**TEAM, **OTHER[field]}, {"name": "data"}, platform=PLATFORM)
    bench.onboard("shop")

    assert_in_sync(bench)
    if field == "clients":
        after = bench.secret("web-login", "legacy-shop")
        assert after == {**secret, "client_id": "other"}


def test_an_adopted_group_client_and_namespace_keep_their_names(
    begin: Callable[[Prepare], Bench],
) -> None:
    """The record has only what Tenantry created: the marks show what it adopted."""
    bench = begin(named)
    remove_marks(bench.systems)
    policy: Any = PLATFORM["policy"]
    grants = [{**policy["grants"][0], "adopt": "yes"}]
    platform = {**PLATFORM, "policy": {**policy, "grants": grants}}
    team = {**TEAM, "adopt": "yes"}
    bench.declare(team, platform=platform)
    bench.onboard("shop")
    for field in ("group", "clients", "further_namespaces"):
        before = content(bench)
        bench.declare({**team, **OTHER[field]}, platform=platform)
        with pytest.raises(NotOurs, match="cannot change"):
            bench.onboard("shop")
        assert changes(before, content(bench)) == [], field
