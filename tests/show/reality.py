"""What Tenantry must show where people run it: `make show-reality`.

Schedules on a real Prefect server, the form in a browser, one team's fault, the cases of the declared
state by kind, and a Harbor that answers as a real one does. Where the address of a real Harbor is
given (docs/testing.md), the conformance cases run on that, too.
"""

import argparse
import os
import sys

from tests.declared.cases import ALL
from tests.show.onboard import demo
from tests.show.report import Report, Shown
from tests.show.results import Results, run_tests

CONFORMANCE = ("tests/conformance", "-k", "harbor_", "--timeout=300")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--sample", action="store_true", help="only what the other targets of .ci/run leave out"
    )
    sample = parser.parse_args().sample
    report = Report("Reality: a sample" if sample else "Reality")
    given = bool(os.environ.get("TENANTRY_TEST_HARBOR_URL"))
    for measure in SAMPLE if sample else MEASURES:
        if measure is not given_harbor or given:
            report.show(measure)
    if not sample and not given:
        report.note(
            "no Harbor is given: the cases on a given Harbor are left out; docs/testing.md has the "
            "figures of the last run"
        )
    return report.close()


# Everything that the documentation promises works


def schedules() -> list[Shown]:
    """Schedules on a real Prefect server, served and by a worker, on SQLite and PostgreSQL"""
    found = run_tests("--timeout=900", "tests/production/test_schedules.py")
    return [
        *found.each(
            "test_each_deployment_with_a_schedule_gets_scheduled_runs",
            "each deployment of prefect.yaml with a schedule gets scheduled runs: {}",
        ),
        found.named("test_a_scheduled_run_starts_on_time_and_completes").line(
            "a scheduled run starts on time and completes"
        ),
        found.named(
            "test_each_deployment_with_a_schedule_completes_on_a_platform_that_is_in_sync"
        ).line("each deployment completes as its schedule starts it"),
        found.starting("test_an_expected_failure").line(
            "an expected failure leaves no traceback in the log of its run"
        ),
        found.starting("test_a_bug", "test_a_killed_run").line(
            "a bug keeps its traceback, and a killed run is Crashed"
        ),
        found.line(
            "all of these tests: and no process's log has a traceback or an ERROR that "
            "demo/logs.py does not list with a reason"
        ),
    ]


def scheduled_start() -> list[Shown]:
    """A scheduled run, served on SQLite"""
    found = run_tests(
        *("--timeout=900", "tests/production/test_schedules.py"),
        *("-k", "serve-sqlite and (scheduled_runs or on_time)"),
    )
    return [found.line("each schedule gets scheduled runs, and one of them starts on time")]


def crashed_runs() -> list[Shown]:
    """Runs whose process dies, in each state"""
    found = run_tests("--timeout=2400", "tests/e2e/test_crashed_runs.py")
    return [
        found.named("test_runs_in_each_state_end_as_they_should_after_their_machine_died").line(
            "machine killed: Running and Pending runs finish, a cancelled one stays cancelled"
        ),
        found.named(
            "test_a_run_that_dies_before_and_after_an_approval_finishes_and_asks_once"
        ).line("killed before and after an approval: finishes, and asks once"),
        found.starting("test_a_run_that_dies_is", "test_a_run_that_always").line(
            "a run that dies each time is scheduled again a bounded number of times"
        ),
    ]


def approved_replacement() -> list[Shown]:
    """A replacement of a declared team that a person approves"""
    found = run_tests(
        *("--timeout=600", "tests/e2e/test_declared_teams.py"),
        *("-k", "only_when_a_person_approved or merge_adds"),
    )
    return [found.line("merged unasked if nothing is deleted; replaced only if approved")]


def document() -> list[Shown]:
    """The commands of docs/production.md on PostgreSQL"""
    found = run_tests("--timeout=900", "tests/production/test_document.py")
    return [found.line("each command works in the order of the page")]


def failures() -> list[Shown]:
    """The flows through a real Prefect server, and what their processes log"""
    found = run_tests("-m", "not long", "--timeout=600", "tests/e2e", "tests/demo", "tests/tasks")
    return [
        found.line("tests/e2e: no traceback, no ERROR in the logs of server and serving process")
    ]


# The form and the API


def form() -> list[Shown]:
    """The onboard-team form in a browser"""
    found = run_tests("--timeout=900", "tests/e2e/test_form.py")
    rules = run_tests("tests/declared/test_form.py")
    return [
        found.named("test_what_the_form_leaves_untouched_comes_from_the_platform").line(
            "headless Chromium: what the form leaves untouched comes from the platform"
        ),
        found.named("test_a_bad_name_is_refused_in_words_beside_its_field").line(
            "a bad name is refused in words"
        ),
        rules.starting("test_more_").line("all other fields as YAML or JSON in one field"),
        found.line("all of tests/e2e/test_form.py"),
        rules.line("what form and API take: every fault with its field or line, no defaults"),
    ]


def existing_teams() -> list[Shown]:
    """Calls for teams that are declared already"""
    found = run_tests("--timeout=600", "tests/e2e/test_declared_teams.py")
    rules = run_tests("tests/declared/test_form.py", "tests/declared/test_save.py")
    return [
        found.line("refused unless told; merge, replace, approval before the save, no conflict"),
        rules.of("tests/declared/test_save").line(
            "what is saved, what is left of comments, no other team's file is touched"
        ),
    ]


def approvals() -> list[Shown]:
    """Approvals and the names of runs"""
    found = run_tests("tests/core/test_approval.py", "tests/core/test_names.py")
    return [
        found.of("tests/core/test_approval").line(
            "one form in all flows, bound to the plan's hash"
        ),
        found.of("tests/core/test_names").line("a typed run name is kept"),
    ]


# Blocks and environment


def connections() -> list[Shown]:
    """Blocks, kubectl and the checks"""
    found = run_tests(
        "--timeout=600",
        "tests/blocks",
        "tests/declared/test_keys.py",
        "tests/sandbox/test_kubectl.py",
        "tests/systems/test_welcome.py",
        "tests/checks",
    )
    return [
        found.of("tests/blocks").line("a kubeconfig in every form that fits into the UI's field"),
        found.of("tests/declared/test_keys").line("the same for SSH keys and known_hosts"),
        found.of("tests/sandbox/test_kubectl").line("a real kubectl with the sandbox's KUBECONFIG"),
        found.of("tests/systems/test_welcome").line("the welcome guide's commands"),
        found.of("tests/checks").line("check-platform: without single sign-on one finding"),
    ]


# One team's fault is that team's


def one_team() -> list[Shown]:
    """Faulty team files, hostile values and conflicts"""
    found = run_tests(
        "--timeout=900",
        "tests/core",
        "tests/rotation",
        "tests/e2e",
        "-k",
        "left_out or hostile or faulty",
    )
    return [
        found.of("tests/core").line(
            "a faulty file stops its own team only: onboarding, drift, conflicts, claims"
        ),
        found.of("tests/rotation").line("its credentials are rotated as they are; none expires"),
        found.line("all of these tests"),
    ]


# The declared state


def reading() -> list[Shown]:
    """The cases of the declared state by kind"""
    found = run_tests(
        "--timeout=600",
        *("tests/declared", "tests/core", "tests/systems", "tests/migration/test_files.py"),
    )
    kinds = {
        "test_crash": "crashes: a message with place and remedy instead of a traceback",
        "test_silently_wrong": "silently wrong: kept as written, or a fault",
        "test_value_that_was_applied": "accepted before without harm: a warning with a remedy",
        "test_never_in_sync": "never in sync: in sync after one pass",
        "test_message": "messages: file, line, value, remedy; no class name",
        "test_yaml_bound": "YAML is bounded: nodes after alias expansion, depth, size",
        "test_regular_expression_bound": "regular expressions run in linear time",
    }
    schemas, every = (
        found.of("tests/declared/test_schema"),
        found.of("tests/declared/test_all_faults"),
    )
    return [
        *(found.starting(name).line(demand) for name, demand in kinds.items()),
        schemas.line("JSON Schemas accept examples, snippets and API parameters, as validate does"),
        every.line("validate names every fault at once"),
        found.line("all of tests/declared, tests/core, tests/systems, and of files of people"),
    ]


def values() -> list[Shown]:
    """What the systems refuse is refused first, and nothing else: the table of values"""
    found = run_tests("tests/declared/test_values.py", "tests/conformance/test_declared_values.py")
    table = found.of("tests/declared")
    shown = []
    for kind in dict.fromkeys(case.kind for case in ALL):
        of_kind = Results([c for c in table if c.parameters.startswith(f"[{kind}-")])
        refused = sum(case.kind == kind and case.fault is not None for case in ALL)
        line = of_kind.line(f"values: {kind}")
        shown.append(Shown(line.demand, f"{line.figure}; {refused} of them faults", line.held))
    return [*shown, found.of("tests/conformance").line("the systems give the same verdicts")]


# What people read


def wording() -> list[Shown]:
    """Reports, tables and messages"""
    found = run_tests("--timeout=600", "tests/core/test_wording.py", "tests/drift/test_reports.py")
    return [found.line("counts, ages, remedies; the HTML report on a narrow screen")]


# A real Harbor is the judge


def recordings() -> list[Shown]:
    """The sandbox, held to what a real Harbor answered"""
    names = [name for name in os.environ if name.startswith("TENANTRY_TEST_HARBOR_")]
    found = run_tests(*CONFORMANCE, variables=dict.fromkeys(names, ""))
    return [found.line("each Harbor case gives the recorded answers on the sandbox")]


def given_harbor() -> list[Shown]:
    """The same cases on a given Harbor"""
    found = run_tests(*CONFORMANCE, "--target", "real")
    return [found.line("each Harbor case on the given Harbor")]


def answers() -> list[Shown]:
    """Answers with a missing or odd member"""
    found = run_tests("--timeout=1800", "tests/core/test_odd_answers.py")
    return [
        found.named("test_an_odd_answer_ends_in_a_message").line(
            "each procedure: an odd answer ends in a message, never in a traceback"
        ),
        found.named("test_an_odd_answer_about_one_team_costs_the_other_nothing").line(
            "what is odd about one team costs the other nothing"
        ),
        found.line("all of tests/core/test_odd_answers.py"),
    ]


def outages() -> list[Shown]:
    """Harbor's core, database and sessions fail while procedures run"""
    found = run_tests("--timeout=1800", "tests/systems/test_outages.py")
    through = found.named("test_a_procedure_gets_through_an_outage")
    others = Results([case for case in found if case not in through.cases])
    names = dict.fromkeys(case.parameters.strip("[]").partition("-")[0] for case in through)
    minute = run_tests("--timeout=900", "tests/e2e/test_outages.py")
    return [
        *(
            Results([c for c in through if c.parameters.startswith(f"[{name}-")]).line(
                f"{name}: everything in sync in the end, once; no working secret was renewed"
            )
            for name in names or ["each procedure"]
        ),
        others.line("database down: nothing is called broken, nothing is renewed"),
        minute.line("core or database down for 60 s: one run of each flow completes", "seconds"),
    ]


def rotation() -> list[Shown]:
    """A request of a rotation fails once with 401"""
    found = run_tests("--whole", "--timeout=1800", "tests/rotation/test_crash.py", "-k", "401")
    return [found.line("401 once at each request of a rotation", "struck")]


MEASURES = (
    schedules,
    document,
    failures,
    crashed_runs,
    form,
    existing_teams,
    approvals,
    connections,
    demo,
    one_team,
    reading,
    values,
    wording,
    recordings,
    given_harbor,
    answers,
    outages,
    rotation,
)
SAMPLE = (scheduled_start, form, approved_replacement, rotation)
"""What the other targets of `.ci/run` leave out, and what takes a minute or two of it."""


if __name__ == "__main__":
    sys.exit(main())
