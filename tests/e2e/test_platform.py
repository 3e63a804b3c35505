"""Configuration of the platform through a real Prefect server, as its schedule and users start it."""

import pytest

from tenantry.checks import CHECKS
from tests.e2e.conftest import SandboxBench

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),
    pytest.mark.demand("platform", "configure-platform and check-platform through Prefect's API"),
]

DECLARED = """
name: Test
harbor:
  single_sign_on: {}
keycloak:
  realm: signed-on
  realm_settings: {}
"""


@pytest.mark.long
def test_a_dry_run_reports_the_planned_changes_and_writes_nothing(bench: SandboxBench) -> None:
    bench.declare_platform(DECLARED)

    run = bench.run("configure-platform", dry_run=True)
    assert run["state"]["message"] == "Dry run: The platform: 4 to create, 2 to update."
    assert bench.sandbox.requests.writes() == 0


@pytest.mark.long
def test_the_platform_is_configured_and_a_second_run_writes_nothing(bench: SandboxBench) -> None:
    bench.declare_platform(DECLARED)

    first = bench.run("configure-platform")
    assert first["state"]["message"] == "The platform: 4 created, 2 updated."
    assert "keycloak" in bench.artifact("platform-plan", first)["data"]
    tasks = {
        *("observe Keycloak", "observe Harbor"),
        *("apply Keycloak changes", "apply Harbor changes"),
    }
    assert tasks <= set(bench.task_states(first))
    secret = bench.sandbox.harbor.configuration["oidc_client_secret"]
    assert secret
    assert secret not in bench.artifact("platform-plan", first)["data"]

    bench.sandbox.requests.reset()
    second = bench.run("configure-platform")
    assert second["state"]["message"] == "The platform: in sync."
    assert bench.sandbox.requests.writes() == 0


@pytest.mark.long
def test_where_nothing_is_declared_no_system_is_called(bench: SandboxBench) -> None:
    run = bench.run("configure-platform")

    assert run["state"]["message"] == "No resources of the platform itself are declared."
    assert bench.sandbox.requests.total() == 0


@pytest.mark.long
def test_the_check_passes_on_a_configured_platform_and_reports_new_faults(
    bench: SandboxBench,
) -> None:
    bench.declare_platform(DECLARED)
    bench.run("configure-platform")

    first = bench.run("check-platform")
    assert first["state"]["message"] == f"0 teams, {len(CHECKS)} checks: passed."

    bench.sandbox.harbor.configuration["oidc_client_secret"] = "another"
    bench.sandbox.harbor.provider = None
    second = bench.run("check-platform")
    assert second["state_type"] == "FAILED"
    assert second["state"]["message"].startswith(
        f"0 teams, {len(CHECKS)} checks: 1 finding (1 critical).\nclient secret: "
    )
    for key in ("platform-checks", "platform-summary"):
        assert "(configure-platform" in bench.artifact(key, second)["data"].replace("\\n", " ")
