"""What configuring and checking the platform must show, measured: `make show-platform`."""

import sys

from tenantry.checks import CHECKS
from tests.checks.faults import FAULTS, OWN_TESTS
from tests.show.report import Report, Shown
from tests.show.results import run_tests

REAL = ("-m", "real", "--target", "real")


def main() -> int:
    report = Report("The platform")
    for measure in (sandbox, drift, checks, flows, logins, mesh):
        report.show(measure)
    return report.close()


def sandbox() -> list[Shown]:
    """Configuring on the sandbox: twice, interrupted, and refused"""
    found = run_tests(
        "tests/systems/test_platform.py",
        "tests/systems/test_mesh.py",
        "tests/systems/test_client_secret.py",
        "tests/declared/test_platform.py",
    )
    demands = {
        "test_one_pass_configures_all_and_a_second_writes_nothing": (
            "realm, provider, client and Harbor: a second run has 0 writes"
        ),
        "test_harbors_routes_come_in_the_order_that_works_and_a_second_run_writes_nothing": (
            "Harbor in the mesh: the order that works; 0 writes again"
        ),
        "test_a_run_that_dies_anywhere_leaves_logins_working": (
            "killed after each request, a person still logs in, and the next run finishes"
        ),
        "test_a_new_claim_exists_before_harbor_uses_it_and_the_old_one_is_deleted_afterwards": (
            "a new claim is there before the old one goes"
        ),
        "test_a_client_secret_that_no_longer_works_is_found_by_trying_it_and_replaced": (
            "the secret that Harbor never shows: its drift is found by trying it"
        ),
        "test_with_the_realms_policy_the_old_secret_works_until_harbor_has_the_new_one": (
            "renewed, the old secret works until Harbor has the new one"
        ),
        "test_a_secret_that_is_too_old_is_renewed_and_harbor_handed_the_new_one": (
            "without the realm's policy for it, the plan says what a renewal costs"
        ),
        "test_an_auth_mode_that_cannot_change_is_explained_with_the_users": (
            "an auth_mode that can't change is explained, with who the users are"
        ),
        "test_a_read_only_configuration_is_reported_and_not_fought": (
            "a configuration set by CONFIG_OVERWRITE_JSON is reported: 0 writes to it"
        ),
        "test_the_portal_requires_a_token_and_the_paths_of_docker_do_not": (
            "the portal asks for a token, and docker's paths for none"
        ),
        "test_app_protocol_is_set_where_declared_and_removed_afterwards": (
            "appProtocol is set where declared, and the port keeps its name"
        ),
    }
    lines = [found.named(test).line(demand) for test, demand in demands.items()]
    return [*lines, found.line("all of it")]


def drift() -> list[Shown]:
    """Drift of what is the platform's own"""
    found = run_tests("tests/drift/test_detect.py", "-k", "platforms_own")
    return [found.line("what is done to the platform's own is told as drift, and mended")]


def checks() -> list[Shown]:
    """Planted faults, and what the checks find"""
    found = run_tests("tests/checks", "tests/docs/test_checks.py")
    planted = found.named("test_an_injected_fault_is_found_and_nothing_else")
    passed = {check for check, test in OWN_TESTS.items() if found.named(test).all_passed}
    tried = {fault.check for fault in FAULTS} | passed
    return [
        planted.line("each planted fault is found, and nothing else"),
        Shown(
            "every check has its planted fault",
            f"{len(tried)} of {len(CHECKS)} checks",
            tried == set(CHECKS),
        ),
        found.named("test_a_working_platform_has_no_findings_and_nothing_is_written").line(
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
    """Logins through an external provider, checks and secrets, on a real Keycloak"""
    found = run_tests("tests/real/test_platform.py", *REAL)
    demands = {
        "test_a_person_of_the_external_provider_is_a_developer_by_the_claim_alone": (
            "from empty to a login through a second realm: Developer by the groups claim alone"
        ),
        "test_a_fault_planted_on_the_real_keycloak_is_found_and_nothing_else": (
            "faults planted on the real Keycloak: exactly that finding; in order, none"
        ),
        "test_two_secrets_overlap_where_the_realm_has_the_policy": (
            "a real Keycloak with secret-rotation: the two secrets overlap, and the old one goes"
        ),
        "test_a_renewed_secret_is_handed_to_harbor_and_the_plan_says_what_it_costs": (
            "a real Keycloak without it: renewed, handed over, and the plan says what it costs"
        ),
    }
    second = found.named("test_a_second_run_writes_nothing")
    lines = [found.named(test).line(demand) for test, demand in demands.items()]
    return [
        second.line("a second run on the real Keycloak has 0 writes among its", "requests"),
        *lines,
        found.line("all of it"),
    ]


def mesh() -> list[Shown]:
    """Manifests, on a real API server with Istio's and the Gateway API's definitions"""
    found = run_tests("tests/real/test_mesh.py", "tests/real/test_rbac.py", *REAL)
    manifests = found.named("test_every_manifest_is_accepted_and_a_second_run_writes_nothing")
    planted = "test_of_planted_faults_the_checks_find_all_that_istioctl_finds_and_more"
    rights = "test_the_mesh_is_configured_and_checked_with_just_the_rights_that_ship"
    return [
        manifests.line(
            "every manifest is accepted, of both kinds; a second run has 0 writes among its",
            "requests",
        ),
        manifests.line("istioctl validate and analyze find nothing in them", "objects"),
        found.named(planted).line(
            "of planted faults the checks find all that istioctl finds, and more",
            "analyze",
            "validate",
            "checks",
        ),
        found.named(rights).line("all of it with just the rights of deployments/rbac.yaml"),
    ]


if __name__ == "__main__":
    sys.exit(main())
