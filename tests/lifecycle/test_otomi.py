"""A platform with the shape of Otomi is imported, adopted, and rotated while images are pulled."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tenantry.declared import Declaration, Platform
from tenantry.drift import Finding
from tenantry.importing import Imported
from tenantry.locks import NoLock
from tenantry.rotation import RotationRequest, rotate
from tenantry.systems.systems import Systems
from tests.lifecycle.round_trip import import_site
from tests.lifecycle.site import Site, changes_by_action
from tests.rotation.pullers import STEP, Pullers, attached, builds, secret
from tests.support.demands import Figure
from tests.support.harness import Bench, FaultySandbox, connections, prepare
from tests.support.otomi import ARGOCD, PURPOSES, SECRETS, Otomi, OtomiTeam, regular

pytestmark = pytest.mark.timeout(1800)

KUBELET = 90.0
"""Seconds after which a kubelet has read a Secret again, at the latest."""


@pytest.fixture
def platform(bench: Bench) -> list[OtomiTeam]:
    """Build the platform on the bench's sandbox, and return its teams."""
    bench.declare()
    return Otomi(bench.systems).build()


def test_the_platform_has_the_shape_that_its_operators_give_it(
    bench: Bench, platform: list[OtomiTeam]
) -> None:
    accepts = bench.systems.harbor_client.accepts
    broken = {
        (team.irregular, purpose)
        for team in platform
        for purpose in PURPOSES
        if purpose in team.logins and not accepts(*team.logins[purpose])
    }
    assert broken == {("push robot disabled", "push"), ("no builds robot", "builds")}
    assert len(regular(platform)) == 18
    for team in regular(platform):
        assert bench.login("harbor-pullsecret", team.slug) == team.logins["pull"]
        account = bench.sandbox.kubernetes.get("ServiceAccount", "default", team.slug)
        names = {each["name"] for each in (account or {})["imagePullSecrets"]}
        assert "harbor-pullsecret" in names


@dataclass
class TakenOver:
    """The platform after it was imported, adopted, and rotated into Tenantry's robots.

    Attributes:
        teams: its teams.
        imported: the import.
        planned: the resources in the plan after the import, by action.
        after: the resources in the plan after the adoption, by action.
        findings: the drift after the adoption.
        reissued: the robots whose secret the adoption changed.
        rotated: the number of rotated credentials.
        failed: the errors of the last run of rotation.
        retired: the robots of Otomi that no longer work.
        pulls: the pulls meanwhile.
        end: the resources in the plan at the end, by action.
    """

    teams: list[OtomiTeam]
    imported: Imported
    planned: dict[str, list[str]]
    after: dict[str, list[str]]
    findings: tuple[Finding, ...]
    reissued: list[str]
    pulls: Pullers
    rotated: int = 0
    failed: list[str] = field(default_factory=list)
    retired: list[str] = field(default_factory=list)
    end: dict[str, list[str]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def taken_over(whole: bool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TakenOver]:
    """Take the platform over while kubelets, builds and Argo CD pull.

    With `--whole` they pull before and after each request, otherwise a few of them do.
    """
    folder = tmp_path_factory.mktemp("otomi") / "state"
    with FaultySandbox() as sandbox, Bench(prepare(sandbox), folder) as bench:
        site = Site(connections(sandbox), folder, clock=sandbox.clock.now)
        with Systems(site.connections, Declaration(Platform(), {})) as systems:
            teams = Otomi(systems).build()
        sandbox.clock.move(3600)
        imported = import_site(site)
        declare_copies(folder)
        bench.load()
        kubelets = [attached(bench, team.slug) for team in regular(teams)]
        copies = [
            secret(bench, ARGOCD, f"copy-{team.slug}-{SECRETS['pull']}") for team in regular(teams)
        ]
        of_builds = [
            builds(bench, team.slug, SECRETS["builds"])
            for team in regular(teams)
            if team.irregular != "no builds robot"
        ]
        crowd = Pullers(bench, [*kubelets, *copies, *of_builds], KUBELET, at_once=6 if whole else 2)
        planned = changes_by_action(site.plans())
        before = _secrets(sandbox)
        crowd.step = 0
        with crowd.around_every_request():
            site.onboard()
        crowd.step = STEP
        reissued = [name for name, value in _secrets(sandbox).items() if before[name] != value]
        after, findings = changes_by_action(site.plans()), tuple(site.drift().findings)
        found = TakenOver(teams, imported, planned, after, findings, reissued, crowd)
        _rotate(site, bench, found)
        found.end = changes_by_action(site.plans())
        yield found


def declare_copies(folder: Path) -> None:
    """Declare Argo CD's copies of the pull Secrets as sinks, as the report of the import suggests."""
    path = folder / "platform.yaml"
    yaml = YAML(typ="safe", pure=True)
    platform = yaml.load(path)
    for purpose in ("pull", "push"):
        sink = {"namespace": ARGOCD, "name": f"copy-team-{{team}}-{SECRETS[purpose]}"}
        platform["defaults"]["robots"][purpose]["sinks"] = [sink]
    yaml.dump(platform, path)


def _rotate(site: Site, bench: Bench, found: TakenOver) -> None:
    """Rotate all credentials into Tenantry's robots, and let the overlap pass."""
    clock = bench.sandbox.clock
    for request in (RotationRequest(clock.now(), force=True), None, None):
        now = clock.now()
        with site.systems() as systems, found.pulls.around_every_request():
            teams = list(systems.state.teams.values())
            outcomes = rotate(systems, teams, request or RotationRequest(now), now, NoLock())
        found.rotated += sum(outcome.rotated for outcome in outcomes)
        # A run completes what the run before could not reach.
        found.failed = [f"{each.name}: {each.error}" for each in outcomes if each.error]
        found.pulls.wait(2 * KUBELET)
        clock.move(25 * 3600)
    accepts = bench.systems.harbor_client.accepts
    found.retired = [
        f"{team.name}/{purpose}"
        for team in regular(found.teams)
        for purpose, login in team.logins.items()
        if not accepts(*login)
    ]


def _secrets(sandbox: FaultySandbox) -> dict[str, str]:
    """Return the hash of each robot's secret."""
    robots = sandbox.harbor.robots.values()
    return {f"{robot.id} {robot.name}": robot.secret_hash for robot in robots}


def otomi_demand(text: str) -> Callable[[Any], Any]:
    """Mark a long test with a demand on the platform."""
    demand = f"Otomi-shaped platform of 20 teams: {text}"
    mark = pytest.mark.demand("lifecycle", demand, sample=True)
    return lambda test: mark(pytest.mark.long(test))


@otomi_demand("imported; irregular teams are reported")
def test_regular_teams_are_imported_and_irregular_ones_reported(
    taken_over: TakenOver, figure: Figure
) -> None:
    report = taken_over.imported.report
    figure(report.summary)
    assert set(taken_over.imported.teams) == {team.name for team in regular(taken_over.teams)}
    orphans = "\n".join(f"{what}: {why}" for what, why in report.orphans)
    assert "namespace team-t17" in orphans
    assert "Harbor project team-t11" in orphans
    suggested = {note.text for notes in report.notes.values() for note in notes}
    copy = f"Secret {ARGOCD}/copy-team-t00-{SECRETS['pull']} holds the credential of robot"
    assert any(text.startswith(copy) for text in suggested)


@otomi_demand("adopted; no credential is re-issued")
def test_adoption_issues_no_credential(taken_over: TakenOver, figure: Figure) -> None:
    figure(
        f"{len(taken_over.planned['adopt'])} resources adopted, {len(taken_over.reissued)} re-issued"
    )
    assert taken_over.planned.keys() == {"adopt", "record"}
    assert taken_over.reissued == []
    assert taken_over.after == {}


@otomi_demand("after the adoption, drift is only what others have made")
def test_drift_is_what_others_have_made(taken_over: TakenOver, figure: Figure) -> None:
    found = Counter(f"{each.class_} {each.resource.kind}" for each in taken_over.findings)
    figure(", ".join(f"{number} {what}" for what, number in found.items()))
    assert found == {
        "extra RoleBinding": len(regular(taken_over.teams)),
        "extra identity provider": 1,
        "extra system robot": 1,
    }


@otomi_demand("rotated into Tenantry's robots under continuous pulls; no pull fails")
def test_no_pull_fails_while_robots_of_others_are_replaced(
    taken_over: TakenOver, figure: Figure
) -> None:
    pulls = taken_over.pulls
    figure(
        f"{taken_over.rotated} credentials rotated, {pulls.failed} of {pulls.pulls} pulls failed"
    )
    assert taken_over.failed == []
    assert taken_over.rotated >= 2 * len(regular(taken_over.teams))
    assert pulls.failed == 0
    assert taken_over.end == {}


@otomi_demand("the replaced robots are retired, and no other robot is touched")
def test_replaced_robots_are_retired_and_no_others(taken_over: TakenOver, figure: Figure) -> None:
    teams = regular(taken_over.teams)
    wanted = {f"{team.name}/{purpose}" for team in teams for purpose in PURPOSES}
    kept = {f"{team.name}/push" for team in teams if team.irregular == "no push Secret"}
    gone = {f"{team.name}/builds" for team in teams if team.irregular == "no builds robot"}
    figure(f"{len(taken_over.retired)} retired")
    assert set(taken_over.retired) == wanted - kept | gone
