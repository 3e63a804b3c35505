"""What onboarding must show, measured: `make show-onboard`."""

import sys
import tempfile
import time
from pathlib import Path

from prefect.settings import PREFECT_API_URL, temporary_settings

from demo.processes import LocalPlatform
from tenantry.calls import map_concurrently
from tenantry.declared import load
from tenantry.errors import DeclarationError
from tenantry.onboarding import onboard, plan_all
from tenantry.sandbox import Sandbox
from tests.show.report import Report, Shown
from tests.show.results import run_python, run_tests
from tests.support.flow_harness import FlowBench
from tests.support.harness import Bench, Data, environment, prepare, write

TEAMS = 50
RETENTION: Data = {"rules": [{"latest_pushed": 5}]}
BAD: dict[str, str] = {
    "two dashes in a name": "name: team-a--b",
    "upper case": "name: Demo",
    "64 characters": f"name: {'a' * 64}",
    "all digits": "name: '123'",
    "a trailing dash": "name: demo-",
    "an unknown key": "name: demo\nharbour: {}",
    "a storage quota of 0": "name: demo\nharbor: {storage_quota: 0}",
    "a negative quota": "name: demo\nnamespace: {quota: {pods: -1}}",
    "an unparsable quantity": "name: demo\nnamespace: {quota: {limits.memory: 10GiB}}",
    "a role that Harbor lacks": "name: demo\nharbor: {role: master}",
    "a missing profile": "name: demo\nprofile: large",
    "a rotation after the expiry": (
        "name: demo\nrobots: {pull: {expiry_days: 30, rotation: {max_age_days: 30}}}"
    ),
    "a name that is taken": "name: taken",
}


def main() -> int:
    report = Report("Onboarding")
    report.show(demo)
    report.show(declared_state)
    report.show(counts)
    report.show(crash)
    report.show(batch)
    report.show(real)
    return report.close()


def demo() -> list[Shown]:
    """The demo: the platform and three teams through the Prefect API on the sandbox"""
    began = time.monotonic()
    done = run_python(["-m", "demo", "--once"])
    ended = [line.strip() for line in done.stdout.splitlines() if ": done" in line]
    teams = sum(not line.startswith("platform:") for line in ended)
    figure = (
        f"{teams} teams done, platform {'done' if len(ended) > teams else 'NOT done'}, "
        f"exit {done.returncode}, {time.monotonic() - began:.0f} s"
    )
    clean = "Traceback" not in done.stdout + done.stderr
    held = done.returncode == 0 and teams == 3 and len(ended) == 4 and clean
    return [
        Shown("make demo onboards three teams, ends with a summary, no traceback", figure, held)
    ]


def declared_state() -> list[Shown]:
    """Bad declared state of every kind"""
    refused = 0
    with Sandbox() as sandbox, tempfile.TemporaryDirectory() as folder:
        before = sandbox.requests.total()
        for number, text in enumerate(BAD.values()):
            place = write(Path(folder) / str(number), {"name": "taken"}, text)
            done = run_python(["-m", "tenantry.cli", "validate", str(place)], environment(sandbox))
            named = "teams/" in done.stderr and "Traceback" not in done.stderr
            refused += done.returncode == 1 and named
        calls = sandbox.requests.total() - before
        together = write(Path(folder) / "all", *BAD.values(), {"name": "taken"})
        try:
            faults = len([load(together)])
        except DeclarationError as error:
            faults = len(error.faults)
    return [
        Shown(
            "each kind of bad declared state is refused with file and line, before any call",
            f"{refused} of {len(BAD)} kinds refused, {calls} calls",
            refused == len(BAD) and calls == 0,
        ),
        Shown(
            "all faults at once",
            f"{faults} faults named in one run",
            faults >= len(BAD),
        ),
    ]


def counts() -> list[Shown]:
    """One pass, and what a second costs"""
    some = {"harbor": {"retention": RETENTION, "immutable_tags": [{"tags": "v*"}]}, "members": []}
    teams = [{"name": f"team{n:02}", **(some if n % 5 == 0 else {})} for n in range(TEAMS)]
    rich = sum("members" in team for team in teams)
    with (
        Sandbox() as sandbox,
        tempfile.TemporaryDirectory() as folder,
        Bench(prepare(sandbox), Path(folder)) as bench,
    ):
        bench.declare(*teams)
        began = time.monotonic()
        observed = bench.systems.observe(bench.teams)
        plans = plan_all(bench.systems, bench.teams, observed)
        work = zip(bench.teams, (outcome.plan for outcome in plans), strict=True)
        map_concurrently(lambda pair: onboard(bench.systems, pair[0], (observed, pair[1])), work)
        took = time.monotonic() - began
        first = sandbox.requests.total()
        sandbox.requests.reset()
        left = [
            outcome
            for outcome in plan_all(bench.systems, bench.teams)
            if outcome.plan is None or not outcome.plan.is_empty
        ]
        writes = sandbox.requests.writes()
        found = dict.fromkeys(("harbor", "keycloak", "kubernetes"), 0)
        probes = secrets = 0
        for kind, number in sandbox.requests.counts().items():
            found[kind.system] += number
            probes += number if kind.template == "/service/token" else 0
            secrets += number if "/secrets/" in kind.template else 0
    pages = 1  # fewer than a hundred projects
    harbor = 3 * TEAMS + 2 * TEAMS + 2 * rich + pages
    keycloak = found["keycloak"] - rich
    kubernetes = found["kubernetes"] - secrets
    constant = 10
    return [
        Shown(
            "onboarding finishes in one pass",
            f"{len(left)} of {TEAMS} teams have something left; {first} requests, {took:.1f} s",
            not left,
        ),
        Shown(
            f"a second run on {TEAMS} unchanged teams writes nothing",
            f"{writes} writes (Otomi's operator: {9 * TEAMS + 1})",
            writes == 0,
        ),
        Shown(
            "its Harbor reads: 3 a team, 1 a robot's credential, 1 each for declared retention "
            "and immutable tags, and pages",
            f"{found['harbor']} reads, {probes} of them credentials; expected {harbor} "
            f"(Otomi's operator: {15 * TEAMS + 2})",
            found["harbor"] == harbor,
        ),
        Shown(
            "its Keycloak reads: at most 1 per 25 teams beyond a constant, 1 a team with members",
            f"{found['keycloak']} reads, {rich} of them members",
            keycloak <= TEAMS / 25 + 2,
        ),
        Shown(
            "its Kubernetes reads: at most 1 per 25 teams beyond a constant, 1 a managed Secret",
            f"{found['kubernetes']} reads, {secrets} of them Secrets",
            kubernetes <= TEAMS / 25 + constant and secrets == 2 * TEAMS,
        ),
    ]


def crash() -> list[Shown]:
    """A crash between a robot and its Secret"""
    with (
        Sandbox() as sandbox,
        tempfile.TemporaryDirectory() as folder,
        Bench(prepare(sandbox), Path(folder)) as bench,
    ):
        bench.declare({"name": "demo"})
        bench.onboard()
        for name in ("harbor-pull", "harbor-ci"):
            sandbox.kubernetes.delete("Secret", name, "team-demo")
        robots = set(sandbox.harbor.robots)
        outcome = bench.onboard()
        again = set(sandbox.harbor.robots)
        left = bench.plan()
    return [
        Shown(
            "a robot whose Secret was never written gets a new secret, and a Secret that opens "
            "Harbor",
            f"{len(outcome.done)} changes, {len(again - robots)} new robots, "
            f"{len(left.changes)} changes left",
            left.is_empty and again == robots,
        )
    ]


def batch() -> list[Shown]:
    """A batch in which one team fails, through a real Prefect server"""
    with tempfile.TemporaryDirectory() as folder, LocalPlatform(Path(folder)) as platform:
        platform.wait_for_server()
        with temporary_settings({PREFECT_API_URL: f"{platform.url}/api"}), Sandbox() as sandbox:
            platform.serve_flows()
            bench = FlowBench(platform, sandbox.addresses(), Path(folder) / "declared")
            for name in ("one", "two", "three"):
                bench.declare(name)
            sandbox.kubernetes.put(
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team-two"}}
            )
            run = bench.run("onboard-teams")
            onboarded = {"team-one", "team-three"} <= set(sandbox.harbor.projects)
    message = run["state"]["message"]
    reason = next((line for line in message.splitlines() if line.startswith("two: ")), "")
    return [
        Shown(
            "one team made to fail leaves the others onboarded and is named with its reason",
            f"{message.splitlines()[0]} {reason[:90]}",
            run["state_type"] == "FAILED" and onboarded and "did not make it" in reason,
        )
    ]


def real() -> list[Shown]:
    """The real Keycloak and the real Kubernetes API server"""
    results = run_tests("-m", "real", "tests/real/test_onboarding.py")
    demands = {
        "test_one_pass_leaves_nothing_to_do": "real servers: the Prefect flow onboards three "
        "teams in one pass",
        "test_a_second_pass_writes_nothing": "real servers: a second pass moves no resourceVersion",
        "test_a_login_yields_an_id_token_with_the_teams_group": "real Keycloak: a login yields an "
        "ID token with the team's group",
        "test_members_can_work_in_the_namespace_but_not_move_its_fences": "real API server: "
        "members can work, but write no NetworkPolicy, quota, limit range or role binding",
        "test_what_somebody_changed_on_the_real_servers_is_found_and_mended": "real servers: what "
        "somebody changed is found and mended",
        "test_a_keycloak_under_a_path_works": "real Keycloak under /auth",
    }
    shown = []
    for name, demand in demands.items():
        found = results.of(f"tests/real/test_onboarding.py::{name}")
        shown.append(found.line(demand))
    figure = f"{results.figure()}, {results.seconds:.0f} s"
    return [*shown, Shown("all of tests/real/test_onboarding.py", figure, results.all_passed)]


if __name__ == "__main__":
    sys.exit(main())
