"""What rotation must show, measured: `make show-rotate`."""

import logging
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from benchmarks import rotate as benchmark
from tests.real.servers import prerequisites
from tests.rotation.manual_changes import machine
from tests.rotation.pullers import failed_pulls, rotate_in_place
from tests.rotation.real_pullers import DELAY, Pulling, ways
from tests.sandbox.calls import Caller
from tests.show.report import Report, Shown
from tests.show.results import run_tests
from tests.support.harness import Bench, FaultySandbox, prepare
from tests.support.images import image, push
from tests.support.rotation_harness import SHOP, logins, order, pass_time, run

TEAMS, TIMES = 20, 5
EXAMPLES = settings(
    max_examples=40,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def main() -> int:
    report = Report("Rotation")
    for measure in (
        pulls,
        pulls_in_place,
        pulls_at_every_request,
        crash,
        manual_changes,
        cases,
        flow,
        costs,
    ):
        report.show(measure)
    return report.close()


@contextmanager
def bench() -> Iterator[Bench]:
    """A bench on a sandbox as new."""
    with (
        FaultySandbox() as sandbox,
        tempfile.TemporaryDirectory() as folder,
        Bench(prepare(sandbox), Path(folder)) as made,
    ):
        yield made


def _onboarded(made: Bench, teams: int) -> None:
    made.declare(*({**SHOP, "name": f"t{number:02}"} for number in range(teams)))
    for team in made.teams:
        made.onboard(team.name)
        caller = Caller(
            made.sandbox.addresses()["harbor"]["url"], *made.login("harbor-ci", team.slug)
        )
        answer = push(caller, f"{team.slug}/web", image())
        assert answer.status_code == 201, answer.text
    pass_time(made, hours=1)


def pulls() -> list[Shown]:
    """Twenty teams rotated five times under pulls by skopeo and by simulated pullers"""
    prerequisites.check(kubernetes=False, keycloak=False)
    # skopeo asks for TLS first, which the sandbox has none of and says so each time.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    old: set[tuple[str, str]] = set()
    rotated = 0
    with bench() as made, tempfile.TemporaryDirectory() as folder:
        _onboarded(made, TEAMS)
        with Pulling(made, Path(folder), ways(made, Path(folder))) as crowd:
            for _ in range(TIMES):
                old |= set(logins(made).values())
                outcomes = run(made, order(made, force=True)).values()
                rotated += sum(outcome.rotated for outcome in outcomes)
                time.sleep(1.5 * DELAY)
                with crowd.gate.alone():
                    pass_time(made, hours=25)
                run(made)
        still = sum(made.systems.harbor_client.accepts(*login) for login in old)
        works = all(
            made.systems.harbor_client.accepts(*login) for login in set(logins(made).values())
        )
    enough = crowd.pulls.get("skopeo", 0) > 50 and crowd.pulls.get("simulated", 0) > 500
    failed = sum(crowd.failed.values())
    return [
        Shown(
            f"no pull fails while {TEAMS} teams are rotated {TIMES} times each under continuous "
            "pulls",
            f"{failed} failed of {crowd.pulls.get('skopeo', 0)} pulls by skopeo and "
            f"{crowd.pulls.get('simulated', 0)} by simulated pullers that read the Secret "
            f"{DELAY:.0f} s late; {rotated} rotations",
            failed == 0 and enough and rotated == TEAMS * TIMES * 2,
        ),
        Shown(
            "after retirement no old secret opens anything",
            f"{still} of {len(old)} old secrets open Harbor; the published ones "
            f"{'all do' if works else 'do NOT'}",
            still == 0 and works and len(old) == TEAMS * TIMES * 2,
        ),
    ]


def pulls_in_place() -> list[Shown]:
    """The same with rotation in place, as the others do it"""
    with bench() as made, tempfile.TemporaryDirectory() as folder:
        _onboarded(made, 4)
        with Pulling(made, Path(folder), ways(made, Path(folder))) as crowd:
            for _ in range(TIMES):
                rotate_in_place(made)
                time.sleep(DELAY)
    failed, real = sum(crowd.failed.values()), crowd.failed.get("skopeo", 0)
    return [
        Shown(
            "the same test with rotation in place shows failures: it can tell",
            f"{failed} failed of {sum(crowd.pulls.values())} pulls, {real} of them skopeo's",
            failed > 0 and real > 0,
        )
    ]


def pulls_at_every_request() -> list[Shown]:
    """Pulls before and after each request of a rotation, in simulated time"""

    def ours(made: Bench) -> None:
        run(made, order(made, force=True))
        pass_time(made, hours=25)
        run(made)

    found = {}
    for name, rotate in (("ours", ours), ("in place", rotate_in_place)):
        with bench() as made:
            made.declare(SHOP, {**SHOP, "name": "data"})
            for team in made.teams:
                made.onboard(team.name)
            pass_time(made, hours=1)
            found[name] = failed_pulls(made, rotate, times=2, delay=90.0)
    (failed, all_pulls), (theirs, all_theirs) = found["ours"], found["in place"]
    return [
        Shown(
            "simulated kubelets (Secrets up to 90 s old) pull before and after each request",
            f"{failed} of {all_pulls} pulls fail; rotated in place {theirs} of {all_theirs}",
            failed == 0 and theirs > 0,
        )
    ]


# Crashes, and whatever else


def crash() -> list[Shown]:
    """A crash at each request, before and after, of each way a rotation can go, and all faults"""
    found = run_tests("--whole", "--timeout=1800", "tests/rotation/test_crash.py")
    ways = found.each(
        "test_killed_at_any_request_it_is_finished_by_the_next_run",
        "{}: killed before and after each request, a credential in four Secrets; one is live and "
        "published, no orphan, nothing retired that was in use",
        lambda case: f"{case.told.get('crashes')} crashes, all finished by the next run",
    )
    return [
        *ways,
        found.named("test_the_run_that_goes_on_may_be_killed_too").line(
            "the runs that go on are killed too, seeded", "crashes"
        ),
        found.named("test_any_request_of_a_rotation_may_fail_once").line(
            "each request fails in each way, its answer lost too", "struck"
        ),
        found.line("all of tests/rotation/test_crash.py"),
    ]


def manual_changes() -> list[Shown]:
    """A state machine over onboarding, rotation, crashes, time and somebody who changes robots by hand"""
    with bench() as made:
        run_state_machine_as_test(machine(made), settings=EXAMPLES)  # type: ignore[no-untyped-call]
    walks, steps = EXAMPLES.max_examples, EXAMPLES.stateful_step_count
    return [
        Shown(
            "invariants over onboard, rotate, crash, all at once, time passing and manual changes",
            f"{walks} random walks of up to {steps} steps, none broke one",
            held=True,
        )
    ]


# The cases


DEMANDS = {
    "test_the_requests_of_a_rotation": "requests of a rotation, exactly",
    "test_the_requests_of_a_run_with_nothing_to_do": "requests of a run with nothing to do",
    "test_of_two_rotations_at_once_one_rotates": "two rotations at once: one rotates",
    "test_nothing_is_retired_while_what_is_published_does_not_work": "nothing is retired while the "
    "published credential fails its test",
    "test_an_old_robot_is_an_extra_only_after_its_retirement": "drift: an overlapping old robot is no "
    "extra, one past its retirement is",
    "test_otomis_robots_are_adopted_and_retired_for_ours": "Otomi's robots are adopted and rotated "
    "into ours",
    "test_a_changed_prefix_is_explained_and_no_password_is_changed": "a changed prefix is "
    "explained and mended",
    "test_an_expired_robot_is_explained_and_exchanged": "an expired robot is explained",
    "test_a_robots_account_is_told_that_no_robot_may_rotate": "a robot's account is refused",
    "test_what_is_compromised_dies_first_and_the_report_tells_of_tokens": "compromised: the old "
    "ones die first, and the report tells how long tokens live",
    "test_a_thousand_teams_of_one_hour_come_due_over_all_of_that_time": "a thousand teams are "
    "spread",
    "test_no_more_are_rotated_than_one_run_may_and_the_most_urgent_first": "at most the declared "
    "number per run",
}
FLOW = {
    "test_who_is_due_is_rotated_shown_told_and_taken_down": "Prefect: table, page, event and audit "
    "trail",
    "test_a_dry_run_says_who_is_due_and_a_second_run_rotates_nobody_again": "Prefect: a dry run, "
    "and a second run",
    "test_what_is_compromised_waits_for_a_persons_word": "Prefect: approval in the UI",
    "test_rotation_leaves_no_secret_behind": "no secret in Prefect's database, logs, artifacts or files, on "
    "failure paths too",
}


def cases() -> list[Shown]:
    """All of tests/rotation"""
    return _lines(DEMANDS, "tests/rotation")


def flow() -> list[Shown]:
    """The flow through a real Prefect server, and the search for secrets"""
    places = ("tests/e2e/test_rotation.py", "tests/e2e/test_rotation_secrets.py")
    return _lines(FLOW, "--whole", *places)


def _lines(demands: dict[str, str], *words: str) -> list[Shown]:
    found = run_tests(*words)
    lines = [found.named(name).line(demand) for name, demand in demands.items()]
    return [*lines, found.line(f"all of these tests, {found.seconds:.0f} s")]


def costs() -> list[Shown]:
    """A thousand robots due, beside the floor"""
    core, floor = benchmark.measure(1000, 0.005)
    return [
        Shown(
            "a thousand robots due are rotated in one run, 16 calls at once",
            f"{core.seconds:.1f} s and {core.requests} requests; {core.seconds / floor.seconds:.2f} "
            f"of the floor's {floor.seconds:.1f} s",
            core.note == "",
        )
    ]


if __name__ == "__main__":
    sys.exit(main())
