"""What configuring and checking the platform must show, measured: `make show-platform`."""

import sys

from tenantry.checks import CHECKS
from tests.show.report import Report, Shown
from tests.show.results import run_tests


def main() -> int:
    report = Report("The platform")
    for measure in (sandbox, checks, flows, logins, mesh):
        report.show(measure)
    return report.close()


def sandbox() -> list[Shown]:
    """Configuring on the sandbox: twice, interrupted, and refused"""
    found = run_tests("tests/systems/test_platform.py", "tests/systems/test_mesh.py")
    second = "test_one_pass_configures_all_and_a_second_writes_nothing"
    routes = "test_harbors_routes_come_in_the_order_that_works_and_a_second_run_writes_nothing"
    return [
        found.named(second).line("realm, provider, client and Harbor: a second run has 0 writes"),
        found.named(routes).line("Harbor in the mesh: the order that works; 0 writes again"),
        found.named("test_a_run_that_dies_anywhere_leaves_logins_working").line(
            "killed after each request, a person still logs in, and the next run finishes"
        ),
        found.named(
            "test_another_claim_is_there_before_harbor_asks_for_it_and_the_old_one_goes_after"
        ).line("a new claim is there before the old one goes"),
        found.named("test_a_secret_that_no_longer_works_is_found_by_trying_it_and_mended").line(
            "the secret that Harbor never shows: its drift is found by trying it"
        ),
        found.named("test_an_auth_mode_that_cannot_change_is_explained_with_who_is_there").line(
            "an auth_mode that can't change is explained, with who the users are"
        ),
        found.line("all of it"),
    ]


def checks() -> list[Shown]:
    """Planted faults, and what the checks find"""
    found = run_tests("tests/checks", "tests/docs/test_checks.py")
    planted = found.named("test_a_planted_fault_is_found_and_nothing_else")
    return [
        planted.line("each planted fault is found, and nothing else"),
        found.named("test_a_platform_in_order_has_no_findings_and_nothing_is_written").line(
            "a platform in order has no findings; the check writes nothing"
        ),
        found.of("tests/docs").line(f"docs/checks.md explains each of {len(CHECKS)} checks"),
        found.line("all of it"),
    ]


def flows() -> list[Shown]:
    """The flows, on a Prefect server"""
    found = run_tests("tests/e2e/test_platform.py")
    return [found.line("configure-platform and check-platform through Prefect's API")]


def logins() -> list[Shown]:
    """Logins through an external provider, on a real Keycloak"""
    found = run_tests("tests/real/test_platform.py", "-m", "real", "--target", "real")
    return [
        found.named("test_a_second_run_finds_nothing_to_do").line(
            "a second run on the real Keycloak has 0 changes: its defaults are no drift"
        ),
        found.named(
            "test_a_person_of_the_external_provider_is_a_developer_by_the_claim_alone"
        ).line("from empty to a login through a second realm: Developer by the groups claim alone"),
        found.line("all of it"),
    ]


def mesh() -> list[Shown]:
    """Manifests, on a real API server with Istio's and the Gateway API's definitions"""
    found = run_tests("tests/real/test_mesh.py", "-m", "real", "--target", "real")
    return [found.line("every manifest is accepted, of both kinds; a second run has 0 writes")]


if __name__ == "__main__":
    sys.exit(main())
