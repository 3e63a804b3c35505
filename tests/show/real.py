"""How far the sandbox is held to the real servers: `make show-real`.

It runs tests/real and tests/conformance on the real servers (what `make test-real` runs), and
tests/conformance, tests/sandbox and the tests of docs/pitfalls.md on the sandbox. All figures are
those of these two runs.
"""

import os
import re
import sys

from demo.processes import ROOT
from tests.show.report import Report, Shown
from tests.show.results import Results, run_tests

SYSTEMS = {"harbor": "Harbor", "keycloak": "Keycloak", "kubernetes": "Kubernetes"}
CASES, SANDBOX = "tests/conformance/test_", "tests/sandbox/test_"
HARBOR, KEYCLOAK = f"{CASES}harbor_", f"{CASES}keycloak_"
OBJECTS, APPLY = f"{CASES}kubernetes_objects.py", f"{CASES}kubernetes_apply.py"
REFUSALS = f"{CASES}kubernetes_refusals.py"
ANSWERS, SESSIONS = f"{HARBOR}answers.py", f"{HARBOR}sessions.py"
LOGIN, CONTROLS = f"{SANDBOX}harbor_oidc.py", f"{SANDBOX}controls.py"
LOGINS = f"{SANDBOX}logins.py"

# What a part of a simulator is shown by: tests, or what their names begin with.
Parts = dict[str, tuple[str, ...]]

HARBOR_PARTS: Parts = {
    "projects": (f"{HARBOR}projects.py",),
    "metadata": (
        f"{HARBOR}projects.py::test_metadata",
        f"{HARBOR}projects.py::test_unknown_metadata",
        f"{HARBOR}projects.py::test_an_update_merges_metadata",
    ),
    "members and groups with their oddities": (f"{HARBOR}members.py",),
    "robots": (f"{HARBOR}robots.py",),
    "robots as callers": (f"{HARBOR}grants.py",),
    "quotas": (f"{HARBOR}quotas.py",),
    "summaries": (
        f"{HARBOR}projects.py::test_the_summary",
        f"{HARBOR}grants.py::test_the_summary",
    ),
    "retention": (f"{HARBOR}retention.py",),
    "immutable rules": (f"{HARBOR}retention.py::test_rules_of_immutable_tags",),
    "users": (
        f"{HARBOR}users.py",
        f"{SANDBOX}harbor.py::test_users",
        f"{SANDBOX}harbor.py::test_a_us",
    ),
    "configuration": (f"{HARBOR}settings.py",),
    "read-only mode": (f"{HARBOR}settings.py::test_read_only",),
    "sessions, dead ones too": (SESSIONS, f"{SANDBOX}harbor_sessions.py"),
    "docker's login and pushes": (f"{HARBOR}registry.py", f"{HARBOR}images.py"),
    "double decoding": (
        f"{HARBOR}robots.py::test_a_projects_robots_are_listed_by_level_and_id",
        f"{ANSWERS}::test_q_is",
    ),
    "prefix at read time": (f"{HARBOR}robots.py::test_the_prefix",),
    "error bodies and codes word for word": (
        f"{ANSWERS}::test_unknown_paths",
        f"{ANSWERS}::test_a_fault",
        f"{ANSWERS}::test_refused",
        f"{HARBOR}projects.py::test_what_cannot",
        f"{HARBOR}robots.py::test_what_cannot",
    ),
    "422 against 400": (f"{ANSWERS}::test_faults_of_the_schema", f"{ANSWERS}::test_a_path_id"),
    "paging and Link headers": (
        f"{ANSWERS}::test_pages",
        f"{ANSWERS}::test_links",
        f"{ANSWERS}::test_the_sizes",
    ),
    "races: 409, 500, lost updates": (
        f"{HARBOR}projects.py::test_of_parallel",
        f"{HARBOR}members.py::test_of_parallel",
        f"{HARBOR}robots.py::test_of_",
        f"{SANDBOX}harbor.py::test_parallel",
        f"{SANDBOX}harbor.py::test_an_update_beside",
    ),
    "OIDC login and callback": (f"{LOGIN}::test_a_login", f"{LOGIN}::test_the_state"),
    "the onboard page": (f"{LOGIN}::test_a_person_chooses_a_name",),
    "409 when sub or iss changed": (
        f"{LOGIN}::test_a_name_or_address_that_is_taken",
        f"{LOGIN}::test_the_same_subject_of_another_issuer",
        f"{LOGINS}::test_a_changed_subject",
    ),
    "soft deletion": (f"{LOGIN}::test_a_deleted_user_comes_anew",),
    "CLI secrets": (f"{LOGIN}::test_cli_secrets",),
}

KEYCLOAK_PARTS: Parts = {
    "defaults the server adds": (
        f"{KEYCLOAK}clients.py::test_a_client_gets",
        f"{KEYCLOAK}clients.py::test_a_client_that",
        f"{KEYCLOAK}clients.py::test_a_realm_comes",
        f"{KEYCLOAK}clients.py::test_a_mapper_gets",
    ),
    "masks": (f"{KEYCLOAK}clients.py::test_a_put_replaces_a_provider",),
    "paging limits": (
        f"{KEYCLOAK}clients.py::test_providers_stop",
        f"{KEYCLOAK}groups.py::test_children_stop",
        f"{KEYCLOAK}groups.py::test_members_are_direct",
        f"{KEYCLOAK}groups.py::test_pages",
    ),
    "ignored fields": (
        f"{KEYCLOAK}clients.py::test_a_put_leaves_scopes",
        f"{KEYCLOAK}clients.py::test_a_put_of_a_scope",
        f"{KEYCLOAK}groups.py::test_a_username",
        f"{KEYCLOAK}groups.py::test_unmanaged",
    ),
    "tokens": (f"{KEYCLOAK}tokens.py",),
    "discovery and JWKS": (f"{KEYCLOAK}tokens.py::test_discovery",),
    "a user logs in with these claims": (LOGINS,),
}

KUBERNETES_PARTS: Parts = {
    "the kinds used": (f"{OBJECTS}::test_the_meshs_kinds", f"{OBJECTS}::test_discovery"),
    "label selectors": (
        f"{OBJECTS}::test_lists_come_by",
        f"{REFUSALS}::test_a_selector",
        f"{REFUSALS}::test_labels",
        f"{REFUSALS}::test_which_fields",
    ),
    "chunked lists": (f"{OBJECTS}::test_a_list_comes_in_chunks", f"{REFUSALS}::test_a_list_goes"),
    "resourceVersion conflicts": (
        f"{OBJECTS}::test_a_stale_version",
        f"{APPLY}::test_an_apply_of_another_version",
    ),
    "server-side apply": (APPLY,),
    "ownership of fields and 409": (
        f"{APPLY}::test_what_others_own",
        f"{APPLY}::test_force",
        f"{APPLY}::test_ports",
        f"{REFUSALS}::test_a_plain_write_owns",
    ),
    "dry run": (
        f"{APPLY}::test_a_dry_run",
        f"{OBJECTS}::test_a_dry_run",
        f"{REFUSALS}::test_a_dry",
    ),
    "namespace termination": (
        f"{OBJECTS}::test_a_namespace_takes",
        f"{OBJECTS}::test_a_finalizer",
    ),
    "refusals": (REFUSALS,),
}

CONTROL_PARTS: Parts = {
    "added latency": (f"{CONTROLS}::test_latency_is", f"{CONTROLS}::test_a_system_answers_with"),
    "fault: a status": (f"{CONTROLS}::test_a_status",),
    "fault: reset": (f"{CONTROLS}::test_a_reset",),
    "fault: time-out": (f"{CONTROLS}::test_a_time_out",),
    "fault: answer lost after the work": (f"{CONTROLS}::test_a_lost",),
    "fault: malformed body": (f"{CONTROLS}::test_a_page_of_html",),
    "fault: truncated body": (f"{CONTROLS}::test_a_truncated", f"{CONTROLS}::test_a_cut"),
    "at the n-th request or by pattern": (
        f"{CONTROLS}::test_the_nth",
        f"{CONTROLS}::test_system_method_and_path",
    ),
    "a clock that can be moved": (
        f"{SANDBOX}server.py::test_the_clock",
        f"{CONTROLS}::test_the_clock",
    ),
    "realistic costs": (
        f"{CONTROLS}::test_a_call_in_a_session",
        f"{CONTROLS}::test_a_robot_costs",
        f"{CONTROLS}::test_lists_cost",
        f"{CONTROLS}::test_every_cost",
        f"{CONTROLS}::test_so_many",
    ),
    "over HTTP, off the servers' own paths": (
        f"{CONTROLS}::test_requests_can_be_read",
        f"{CONTROLS}::test_faults_can_be_set",
        f"{CONTROLS}::test_latency_can_be_set",
        f"{CONTROLS}::test_the_clock_can_be_moved_over_http",
        f"{CONTROLS}::test_the_controls_are_not",
        f"{LOGINS}::test_a_changed_subject",
    ),
}


def main() -> int:
    report = Report("One suite for sandbox and real servers")
    page = (ROOT / "docs" / "pitfalls.md").read_text(encoding="utf-8")
    here, there = Results(), Results()

    def simulated() -> list[Shown]:
        """tests/conformance, tests/sandbox and the pitfalls, on the sandbox"""
        nonlocal here
        tests = sorted(set(re.findall(r"`(tests/[\w/]+\.py::\w+)`", page)))
        apart = [test for test in tests if not test.startswith(("tests/conformance", "tests/real"))]
        workers = ("-n", "2", "--dist", "loadgroup")
        here = run_tests("tests/conformance", "tests/sandbox", *apart, *workers)
        return [here.line("all of these cases")]

    def real() -> list[Shown]:
        """tests/real and tests/conformance, on the real servers"""
        nonlocal there
        there = run_tests("tests/real", "tests/conformance", "-m", "real", "--target", "real")
        return [there.line("all of these cases")]

    report.show(simulated)
    report.show(real)
    report.show(compared, here, there)
    report.show(confirmed, there)
    report.show(given, there)
    report.show(parts, "Harbor", HARBOR_PARTS, here)
    report.show(parts, "Keycloak", KEYCLOAK_PARTS, here, there)
    report.show(parts, "Kubernetes", KUBERNETES_PARTS, here, there)
    report.show(parts, "Controls", CONTROL_PARTS, here)
    report.show(pitfalls, page, here, there)
    return report.close()


def compared(here: Results, there: Results) -> list[Shown]:
    """On how many cases both agree"""
    shown = []
    for name, system in SYSTEMS.items():
        simulated = {case.id: case.passed for case in here.of(f"{CASES}{name}_")}
        real = {case.id: case.passed for case in there.of(f"{CASES}{name}_")}
        ids = simulated.keys() | real.keys()
        differ = [each for each in ids if simulated.get(each) != real.get(each)]
        where = "the real server"
        if name == "harbor" and not os.environ.get("TENANTRY_TEST_HARBOR_URL"):
            where = "a second run of the sandbox (no address of a real one is given)"
        figure = f"{sum(simulated.values())} on the sandbox, {sum(real.values())} on {where}"
        passed = bool(ids) and all(simulated.values()) and all(real.values())
        shown.append(
            Shown(
                f"{system}: every case passes on both",
                f"{figure}, {len(differ) or 'no'} differences",
                passed and not differ,
            )
        )
    rest = there.of("tests/real")
    figure = f"{rest.figure()}; all in {there.seconds:.0f} s"
    return [*shown, Shown("the product on the real servers: tests/real", figure, rest.all_passed)]


def confirmed(there: Results) -> list[Shown]:
    """How far the cases are confirmed"""
    found = there.of(CASES).confirmed
    figure = ", ".join(f"{number} {_proof(name)}" for name, number in sorted(found.items()))
    told = bool(found) and "" not in found
    return [Shown("each case says how far it is confirmed", figure, told)]


def _proof(name: str) -> str:
    return "by facts only" if name == "facts" else f"on {name}"


def given(there: Results) -> list[Shown]:
    """Addresses that are given"""
    found = there.of("tests/real/test_given.py")
    demand = "suites and e2e pass on systems that are given and in use, and leave them as they were"
    return [found.line(demand)]


def parts(system: str, demanded: Parts, *runs: Results) -> list[Shown]:
    """The parts of a simulator, or of its controls"""
    shown = []
    for part, tests in demanded.items():
        # A test that is gone would be missed by nobody.
        lost = [test for test in tests if not runs[0].of(test).cases]
        found = [run.of(*tests) for run in runs]
        # Some cases can be asked of the sandbox only.
        held = found[0].all_passed and all(each.passed == len(each.cases) for each in found)
        figure = f"{found[0].figure()} on the sandbox"
        for each in found[1:]:
            figure += f", {each.figure()} on the real server" if each.cases else ""
        figure += f"; NO TEST: {', '.join(lost)}" if lost else ""
        shown.append(Shown(f"{system}: {part}", figure, held and not lost))
    return shown


def pitfalls(page: str, here: Results, there: Results) -> list[Shown]:
    """The forty pitfalls"""
    rows = re.findall(r"^\| (\d+) \|.*`(tests/[\w/]+\.py::\w+)` \|$", page, re.MULTILINE)
    passed = [
        number
        for number, test in rows
        if (here.of(test).all_passed or (not here.of(test).cases and there.of(test).all_passed))
    ]
    missed = sorted({number for number, _ in rows} - set(passed), key=int)
    figure = f"{len(passed)} of {len(rows)} tests pass"
    figure += f"; FAILED: {', '.join(missed)}" if missed else ""
    held = not missed and len(passed) == 40
    return [Shown("each of the forty pitfalls has a test that passes", figure, held)]


if __name__ == "__main__":
    sys.exit(main())
