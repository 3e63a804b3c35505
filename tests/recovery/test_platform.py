"""The platform's own resources lose their marks: configure-platform adopts them again."""

import pytest

from tenantry.onboarding import configure
from tenantry.walk import observe_owners
from tests.checks.faults import PLATFORM, SHOP, prepare
from tests.support.harness import Bench
from tests.support.lost_marks import lose_marks

pytestmark = pytest.mark.demand(
    "lifecycle",
    "all marks lost: the plan is adoption only, no credential is re-issued, drift is clean",
    sample=True,
)


def test_the_platforms_own_resources_are_adopted_again(bench: Bench) -> None:
    prepare(bench)
    assert bench.systems.plan_platform(
        observe_owners(bench.systems.platform_adapters, [bench.systems.state.platform])
    ).is_empty
    before = bench.sandbox.keycloak.dump()["realms"]["main"]["clients"]
    secrets = {key: client.get("secret") for key, client in before.items()}
    lose_marks(bench.sandbox)

    refused = bench.systems.plan_platform(
        observe_owners(bench.systems.platform_adapters, [bench.systems.state.platform])
    ).refusals
    assert refused
    assert all("did not create it" in refusal.reason for refusal in refused)
    bench.declare(SHOP, platform={**PLATFORM, "adopt": {"keycloak": "yes"}})
    refused = bench.systems.plan_platform(
        observe_owners(bench.systems.platform_adapters, [bench.systems.state.platform])
    ).refusals
    assert {refusal.id.system for refusal in refused} == {"istio"}

    bench.declare(SHOP, platform={**PLATFORM, "adopt": "if-identical"})
    plan = bench.systems.plan_platform(
        observe_owners(bench.systems.platform_adapters, [bench.systems.state.platform])
    )
    assert plan.only_adopts
    assert {change.action for change in plan.changes} == {"adopt"}
    assert all(change.writes_only_marks for change in plan.changes), plan.changes
    configure(bench.systems)
    assert bench.systems.plan_platform(
        observe_owners(bench.systems.platform_adapters, [bench.systems.state.platform])
    ).is_empty
    after = bench.sandbox.keycloak.dump()["realms"]["main"]["clients"]
    assert {key: client.get("secret") for key, client in after.items()} == secrets
