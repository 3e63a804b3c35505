"""How onboarding stands what befalls it, and what it costs: `make show-robust`."""

import sys
import time

from benchmarks import onboard as benchmark
from tests.show.report import Report, Shown
from tests.show.results import run_tests

AIM = 1.5
"""How many times the floor a run of Prefect may take; printed, and nothing depends on it."""


def main() -> int:
    report = Report("Robustness")
    for measure in (crashes, faults, concurrency, api, declared_state, locks, kills, secrets):
        report.show(measure)
    report.show(speed)
    return report.close()


def crashes() -> list[Shown]:
    """The core, killed at each of its requests"""
    found = run_tests("--whole", "--timeout=1800", "tests/core/test_crash.py")
    return [
        found.named("test_onboarding_killed_at_any_request_is_finished_by_the_next_run").line(
            "onboarding killed before and after each request: declared state, nothing twice, no "
            "orphan, a pull Secret that opens Harbor",
            "crashes",
        ),
        found.named("test_mending_killed_at_any_request_is_finished_by_the_next_run").line(
            "the same while it mends what somebody changed",
            "crashes",
        ),
        found.named("test_the_run_that_goes_on_may_be_killed_too").line(
            "the run that goes on is killed too, seeded",
            "crashes",
        ),
        found.named("test_sixteen_threads_killed_at_random_leave_what_the_next_run_finishes").line(
            "at full width, seeded: 16 teams with a group in common",
            "crashes",
        ),
        found.line("all of tests/core/test_crash.py"),
    ]


def faults() -> list[Shown]:
    """Each request of an onboarding fails in each way"""
    found = run_tests("--whole", "--timeout=1800", "tests/core/test_faults.py")
    each = found.each(
        "test_any_request_may_fail_once",
        "each request: {}",
        lambda case: (
            f"{case.told.get('struck')} struck, {case.told.get('failed')} of them end the run with "
            f"a message, as they must; {case.told.get('tries')} tries at most"
        ),
    )
    return [
        *each,
        found.named("test_a_dead_system_is_called_so_often_and_no_more").line(
            "calls to a system that is dead: 8 tries of 4",
            "calls",
        ),
        found.named(
            "test_a_system_that_dies_at_any_request_is_called_a_bounded_number_of_times_more"
        ).line(
            "calls to a system that dies at any request: 32 at most",
            "calls",
        ),
    ]


def concurrency() -> list[Shown]:
    """Runs beside each other, and beside somebody's hands"""
    found = run_tests("--whole", "--timeout=3600", "tests/core/test_concurrency.py")
    return [
        found.named(
            "test_runs_beside_each_other_and_beside_manual_changes_leave_what_is_declared"
        ).line(
            "a team twice at once, two batches at once, manual changes between: hypothesis "
            "chooses the order of requests",
            "runs",
            "requests",
        ),
        found.line("all of tests/core/test_concurrency.py"),
    ]


def api() -> list[Shown]:
    """Prefect's API, called as docs/api.md says"""
    found = run_tests("tests/e2e/test_api.py")
    return [
        found.named("test_the_same_request_makes_one_run_however_often_it_is_sent").line(
            "served: the same key makes one run; seconds from call to Running, to Completed",
            "running",
            "done",
        ),
        found.named("test_a_worker_does_the_same").line(
            "by a worker: the same; seconds from call to Running, to Completed",
            "running",
            "done",
        ),
        found.named("test_the_same_request_with_other_parameters_is_another_run").line(
            "other parameters are another run: the key has their hash",
        ),
        found.named("test_faulty_parameters_are_refused_with_field_and_reason").line(
            "a bad team is refused by the API with field and reason",
        ),
        found.named("test_a_caller_who_gets_503_calls_again_with_the_same_key").line(
            "a caller who gets 503 calls again with the same key: one run",
        ),
        found.named("test_the_documented_calls_work_as_they_stand").line(
            "the calls of docs/api.md, as printed"
        ),
        found.line("all of tests/e2e/test_api.py"),
    ]


def declared_state() -> list[Shown]:
    """The declared state in real Git repositories"""
    core = run_tests("tests/declared/test_git.py", "tests/declared/test_git_remote.py")
    flows = run_tests("tests/e2e/test_git.py", "tests/deployments/test_ci.py")
    return [
        core.line("real bare repository: load at a commit, push, lost races, conflicts"),
        flows.line("the flows on it, and the CI step that triggers them on a push"),
    ]


def locks() -> list[Shown]:
    """A lock for each team, kept by a real Prefect server"""
    found = run_tests("tests/e2e/test_locks.py")
    return [
        found.named("test_a_dead_holders_lock_is_free_within_about_a_minute").line(
            "a killed holder delays the next by the lease, a minute; seconds",
            "seconds",
        ),
        found.line("all of tests/e2e/test_locks.py"),
    ]


def kills() -> list[Shown]:
    """SIGKILL at each boundary between tasks"""
    found = run_tests("--whole", "--timeout=1800", "tests/e2e/test_kill.py")
    return [
        found.named(
            "test_runs_whose_server_is_killed_between_two_tasks_finish_when_they_are_run_again"
        ).line(
            "what serves the flows is killed at each boundary between two tasks; the automation "
            "notices the silence (of the first five) and the runs finish",
            "kills",
        ),
        found.named(
            "test_runs_whose_worker_is_killed_between_two_tasks_finish_when_they_are_run_again"
        ).line(
            "the same with a worker",
            "kills",
        ),
    ]


def secrets() -> list[Shown]:
    """Secrets in all that a session of 24 runs leaves behind"""
    found = run_tests("--whole", "tests/e2e/test_secrets.py")
    return [
        found.named("test_no_secret_is_left_behind").line(
            "no secret in Prefect's database, logs, artifacts, reports or files, in any form",
            "secrets",
            "forms",
            "findings",
        ),
        found.named("test_a_secret_is_found_in_every_place_that_runs_write_to").line(
            "a secret that is planted is found",
        ),
        found.line("all of tests/e2e/test_secrets.py"),
    ]


def speed() -> list[Shown]:
    """300 teams on the realistic sandbox with 5 ms of latency, beside the floor"""
    began = time.monotonic()
    results = benchmark.measure(300, 0.005)
    shown = [
        Shown(
            f"{run}: by Prefect, beside the floor of the same run (aim: {AIM} times)",
            f"{prefect.seconds:.1f} s, {prefect.seconds / floor.seconds:.2f} times {floor.seconds:.1f}"
            f" s; running {prefect.running:.1f} s; CPU {prefect.cpu:.1f} s, the floor's {floor.cpu:.1f}; "
            f"{prefect.requests} requests; {prefect.memory:.0f} MiB",
            prefect.requests <= core.requests * 1.02 + 20,
        )
        for run, core, floor, prefect in results
    ]
    return [*shown, Shown("the benchmark", f"{time.monotonic() - began:.0f} s", held=True)]


if __name__ == "__main__":
    sys.exit(main())
