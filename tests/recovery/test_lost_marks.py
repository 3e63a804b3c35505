"""All marks are lost, and the declared state is kept: adoption restores them."""

import pytest

from tenantry import drift, onboarding
from tenantry.drift import Remediate
from tests.drift.watch import DATA, PLATFORM, SHOP, Watched, remediate
from tests.support.harness import Bench, granted
from tests.support.lost_marks import count_marks, lose_marks

pytestmark = pytest.mark.demand(
    "lifecycle",
    "all marks lost: the plan is adoption only, no credential is re-issued, drift is clean",
    sample=True,
)

ADOPTING = {
    **granted("shop", "data", platform=PLATFORM, adopt="yes"),
    "defaults": {"adopt": "yes"},
    "adopt": "yes",
}


def credentials(bench: Bench) -> dict[str, object]:
    """Return what programs log in with: the content of all Secrets, and the robots' secrets."""
    sandbox = bench.sandbox
    robots = sandbox.harbor.dump()["robots"]
    found = {f"robot {robot['id']}": robot["secret_hash"] for robot in robots.values()}
    for secret in (each for each in sandbox.kubernetes.objects if each["kind"] == "Secret"):
        metadata = secret["metadata"]
        found[f"{metadata['namespace']}/{metadata['name']}"] = secret.get("data")
    return found


@pytest.fixture
def bench(watched: Watched) -> Watched:
    """Two onboarded teams whose resources have lost all marks."""
    assert lose_marks(watched.sandbox) > 50
    assert count_marks(watched.sandbox) == 0
    watched.declare(SHOP, DATA, platform=ADOPTING)
    watched.watch()
    return watched


def test_the_plan_is_adoption_only_and_nothing_else_is_changed(bench: Watched) -> None:
    before = credentials(bench)
    for team in bench.teams:
        plan = bench.plan(team.name)
        assert not plan.refusals
        assert plan.only_adopts
        assert all(change.writes_only_marks for change in plan.changes), plan.changes
        onboarding.onboard(bench.systems, team)
    assert credentials(bench) == before
    bench.watch()
    assert bench.report().summary.endswith("in sync.")


@pytest.mark.parametrize("how", ["safe", "all"])
def test_drift_adopts_only_if_all_is_remediated(bench: Watched, how: Remediate) -> None:
    """Resources that depend on adopted ones are not created without them either."""
    detected = bench.detect()
    remedies = {finding.what_to_do for finding in detected.report.findings if finding.remedy}
    assert remedies == {"adopt (remediate: all)"}
    writes = bench.sandbox.requests.writes()
    remediate(bench.systems, detected, how)
    if how == "safe":
        assert bench.sandbox.requests.writes() == writes
        assert count_marks(bench.sandbox) == 0
        return
    bench.watch()
    assert bench.report().summary.endswith("in sync.")
    assert not drift.choose(bench.detect(), "all").changes
