"""What keeps tenants apart must show: `make show-isolation`.

The attacks by topic, each tried on the sandbox and refused or harmless; arbitrary team files and
arbitrary content of everything that a tenant can write; grants; installations of the previous release;
and the rights of Tenantry, of members and of its Keycloak account on real servers.
"""

import argparse
import sys

from tests.real.servers import prerequisites
from tests.show.report import Report, Shown
from tests.show.results import Results, run_tests

REAL = ("-m", "real", "--target", "real", "--timeout=3600")
FOLDER = "tests/isolation"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--no-real", action="store_true", help="leave out the real servers")
    with_real = not parser.parse_args().no_real
    report = Report("Isolation of tenants")
    if with_real:
        prerequisites.check()
    else:
        report.note("the real servers are left out")
    for measure in MEASURES:
        if with_real or measure not in ON_REAL_SERVERS:
            report.show(measure)
    return report.close()


def _topic(name: str, *more: str) -> Results:
    return run_tests("--timeout=1800", f"{FOLDER}/test_{name}.py", *more)


def _lines(found: Results, demands: dict[str, str], rest: str) -> list[Shown]:
    """Return a line for each beginning of test names, and one for all tests."""
    return [
        *(found.starting(*names.split()).line(demand) for names, demand in demands.items()),
        found.line(rest),
    ]


# Attacks


def policy() -> list[Shown]:
    """What a team file, or a call of onboard-team, may declare"""
    found = _topic(
        "policy", f"{FOLDER}/test_policy_applied.py", f"{FOLDER}/test_policy_proposal.py"
    )
    lines = _lines(
        found.of(f"{FOLDER}/test_policy.py"),
        {
            "test_an_attack_by_a_team_file": "attacks by a team file: refused at their line, with the "
            "grant that would allow them; the others are served",
            "test_an_attack_by_the_api": "the same attacks by onboard-team: refused",
            "test_a_profile": "profiles that loosen the policy name their teams",
            "test_what_the_platform_gives": "what the platform gives by default needs no grant",
            "test_a_listed_group": "a group in harbor.groups reserves nothing",
            "test_a_refused_claim": "a refused claim keeps no other team out",
            "test_harmless_values": "harmless values stay accepted",
        },
        "all of tests/isolation/test_policy.py",
    )
    return [
        *lines,
        found.of(f"{FOLDER}/test_policy_applied").line(
            "where it is applied: left-out teams, adoption, old commits"
        ),
        found.of(f"{FOLDER}/test_policy_proposal").line("`tenantry policy` proposes a policy"),
    ]


def grants() -> list[Shown]:
    """A grant for one team has effect for that team only"""
    found = run_tests(
        *("--timeout=1800", f"{FOLDER}/test_policy.py", f"{FOLDER}/test_grants.py"),
        *("-k", "grant"),
    )
    return [
        found.of(f"{FOLDER}/test_policy").line(
            "validation: each proposed grant, and no other team"
        ),
        found.of(f"{FOLDER}/test_grants").line(
            "end to end: what the grant gives, and nothing else that is not the team's"
        ),
    ]


def hints() -> list[Shown]:
    """What a tenant can write is a hint, never a fact"""
    found = run_tests(
        "--timeout=1800", f"{FOLDER}/test_hints.py", f"{FOLDER}/test_removed_purposes.py"
    )
    lines = _lines(
        found.of(f"{FOLDER}/test_hints"),
        {
            "test_no_date test_a_credential": "dates in a Secret keep no credential alive",
            "test_a_secret test_a_robot": "Secrets made unwritable, replaced or refilled stop no "
            "rotation",
            "test_no_clock test_nothing_in test_a_compromised test_an_attack_on": "compromised: "
            "nothing that a tenant writes, and no clock skew, spares the credential",
            "test_a_forged": "a forged mark touches nothing of others, and hides no finding",
        },
        "all of tests/isolation/test_hints.py",
    )
    removed = found.of(f"{FOLDER}/test_removed")
    return [*lines, removed.line("a removed purpose is retired with overlap")]


def advisories() -> list[Shown]:
    """Kinds of faults that Capsule's advisories describe"""
    found = run_tests(
        *("--timeout=1800", f"{FOLDER}/test_advisories.py", f"{FOLDER}/test_hints.py"),
        *("-k", "test_advisories or forged"),
    )
    return [
        found.starting("test_a_forged").line("a forged mark, such as a managed-by label"),
        found.starting("test_a_pattern").line("a pattern of the policy keeps no team out"),
        found.starting("test_a_reserved").line("a reserved label, in any order of labels"),
        found.starting("test_a_host").line("a host in an update, like in a new team"),
    ]


def marks() -> list[Shown]:
    """Marks say whose"""
    return _lines(
        _topic("marks"),
        {
            "test_every_object test_a_mark test_any_other": "one versioned format, on every object",
            "test_the_second_platform": "a second platform on one Harbor is refused, and resets and "
            "reports nothing of the first",
            "test_a_further_namespace test_a_client_of": "nothing of a removed team is taken over",
            "test_a_forged": "forged marks stop nothing",
        },
        "all of tests/isolation/test_marks.py",
    )


def text() -> list[Shown]:
    """Text of tenants never acts"""
    return _lines(
        _topic("text"),
        {
            "test_a_command test_an_error test_a_line_break test_a_faulty": "terminal and logs",
            "test_text_in_markdown test_text_breaks test_an_address": "Markdown",
            "test_the_welcome test_each_team test_a_registry": "welcome pages, one for each team",
            "test_the_drift_summary test_the_html test_a_page": "drift summary and reports",
            "test_a_spreadsheet test_a_formula": "spreadsheets find no formula",
            "test_sarif": "SARIF",
        },
        "all of tests/isolation/test_text.py",
    )


def rights() -> list[Shown]:
    """Operators, members and paths"""
    return _lines(
        _topic("rights"),
        {
            "test_a_block test_a_store": "block names and stores reach nothing else",
            "test_no_path test_a_link": "no path leads out of the store",
            "test_only_what": "only reported extras can be removed",
            "test_a_commit": "a commit that is not on the branch is refused",
            "test_members": "members may not write what isolates them",
        },
        "all of tests/isolation/test_rights.py",
    )


def files() -> list[Shown]:
    """Files and logs"""
    return _lines(
        _topic("files"),
        {
            "test_no_key": "SIGKILL leaves no key in a temporary directory",
            "test_a_file_is": "reports, audit and snapshots: mode 0600",
            "test_a_full_disk": "a full disk loses nothing",
            "test_debug_logs": "debug logs of HTTP libraries reach no handler",
        },
        "all of tests/isolation/test_files.py",
    )


def answers() -> list[Shown]:
    """Systems that answer oddly"""
    return _lines(
        _topic("answers"),
        {
            "test_a_write test_a_deletion": "a write is done when its answer is the documented one",
            "test_a_list test_410": "410 on a continue token restarts the list, within bounds",
            "test_a_read_waits test_a_system": "Retry-After is bounded",
            "test_no_credential test_a_password": "no credential follows a redirect to another host",
        },
        "all of tests/isolation/test_answers.py",
    )


# Invariants


def bystanders() -> list[Shown]:
    """Invariant 1: arbitrary team files of Mallory; what is not hers stays byte for byte as it was"""
    found = _topic("bystanders", "--whole", "--timeout=7200")
    end_to_end = found.named("test_no_file_harms_a_bystander")
    planned = found.named("test_every_file_leads_to_own_resources")
    return [
        _counted(end_to_end, 1500, "end to end: onboarding, drift, rotation, platform run"),
        _counted(planned, 10_000, "validation and planner: every resource has a name of hers"),
        found.named("test_the_snapshot_notices").line("the snapshot notices each planted write"),
        found.line("all of tests/isolation/test_bystanders.py"),
    ]


def _counted(found: Results, least: int, demand: str) -> Shown:
    """Return the line of cases that try files, and whether they tried enough of them."""
    tried = sum(int(case.told.get("files", 0)) for case in found)
    accepted = sum(int(case.told.get("accepted", 0)) for case in found)
    line = found.line(demand)
    figure = f"{tried} files, {accepted} of them accepted; {line.figure}"
    return Shown(demand, figure, line.held and tried >= least)


def tenant_content() -> list[Shown]:
    """Invariant 2: arbitrary content of everything that a tenant can write in her namespaces and project"""
    found = _topic("tenant_content", "--whole")
    hostile = run_tests("--timeout=1800", "tests/core/test_hostile.py")
    return [
        found.line("all flows end with every other team served, within bounds of time and memory"),
        hostile.line("values that no rule foresaw cost their own team only"),
    ]


def upgrade() -> list[Shown]:
    """Installations of the previous release, run by this one"""
    return _lines(
        _topic("upgrade"),
        {
            "test_no_credential": "no credential re-issued, nothing deleted",
            "test_marks": "marks upgraded; a second run writes nothing",
            "test_a_team_beyond": "a team beyond the policy keeps its access and is rotated",
            "test_the_proposed": "`tenantry policy` admits the previous release's state",
        },
        "all of tests/isolation/test_upgrade.py",
    )


# Real servers


def real_rights() -> list[Shown]:
    """The shipped rights on a real API server"""
    found = run_tests(*REAL, "tests/real/test_rights.py", "tests/real/test_rbac.py")
    return [
        found.named("test_every_flow_runs_with_the_shipped_rights_and_uses_each_of_them").line(
            "every flow runs under exactly the shipped rights"
        ),
        found.starting("test_without_one_right", "test_without_any_one_right").line(
            "without any one of them, a flow fails"
        ),
        found.of("tests/real/test_rbac").line("the members' role: missing, outdated, not bindable"),
    ]


def real_admission() -> list[Shown]:
    """The shipped admission policies on a real API server"""
    found = run_tests(*REAL, "tests/real/test_admission.py")
    return _lines(
        found,
        {
            "test_no_member": "members claim no host, address or endpoint of others",
            "test_an_update": "an update keeps what was there and adds nothing",
            "test_members_can_not": "members cannot change which hosts they have",
            "test_members_may": "members may do all else",
        },
        "all of tests/real/test_admission.py",
    )


def real_keycloak() -> list[Shown]:
    """The least roles on a real Keycloak, and odd answers on real servers"""
    found = run_tests(*REAL, "tests/real/test_keycloak_rights.py", "tests/real/test_answers.py")
    return [
        found.named("test_every_flow_runs_with_exactly_these_roles").line(
            "every flow runs with exactly the documented realm roles"
        ),
        found.named("test_without_one_of_them_a_flow_fails").line(
            "without any one of them, a flow fails"
        ),
        found.of("tests/real/test_answers").line(
            "a proxy's page is not an answer; passwords follow no redirect; lists restart"
        ),
    ]


MEASURES = (
    policy,
    grants,
    hints,
    advisories,
    marks,
    text,
    rights,
    files,
    answers,
    bystanders,
    tenant_content,
    upgrade,
    real_rights,
    real_admission,
    real_keycloak,
)
ON_REAL_SERVERS = (real_rights, real_admission, real_keycloak)


if __name__ == "__main__":
    sys.exit(main())
