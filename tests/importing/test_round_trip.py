"""Onboard, lose the declared state, import: the plan adopts and changes nothing else."""

import base64
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tenantry import declared
from tenantry.importing import Imported, Recognition, import_state, write
from tenantry.plan import Plan
from tenantry.walk import observe_owners
from tests.lifecycle.prerequisites import create_prerequisites
from tests.support.harness import Bench, Prepare, admit, connections
from tests.support.harness import write as declare
from tests.support.unmark import remove_marks
from tests.support.varied_teams import VariedTeams

GROUPS = Recognition(patterns=("team-{team}", "People of {team}"))
"""The names of the varied teams' namespaces, projects and groups."""


def onboarded(bench: Bench) -> None:
    """Onboard varied teams."""
    varied = VariedTeams(5)
    admit(declare(bench.folder, *varied.contents(8), platform=varied.platform()))
    create_prerequisites(bench.load().systems)
    for team in bench.teams:
        bench.onboard(team.name)


def unmarked(bench: Bench) -> None:
    """Onboard varied teams, and remove all marks."""
    onboarded(bench)
    remove_marks(bench.systems)


def imported(bench: Bench, folder: Path) -> Imported:
    """Import into a folder, and admit the teams as an operator does."""
    found = import_state(
        connections(bench.sandbox), GROUPS, into=folder, clock=bench.sandbox.clock.now
    )
    write(found, folder)
    return found


def plans(bench: Bench, folder: Path) -> dict[str, Plan]:
    """Return the plans of all teams of a declared state."""
    bench.folder = folder
    bench.load()
    return {team.name: bench.plan(team.name) for team in bench.teams}


@pytest.mark.parametrize("prepare", [onboarded, unmarked], ids=["marks kept", "marks lost"])
def test_the_plan_after_an_import_only_adopts(
    begin: Callable[[Prepare], Bench], prepare: Prepare, tmp_path: Path
) -> None:
    bench, folder = begin(prepare), tmp_path / "imported"
    names = set(bench.state.teams)

    found = imported(bench, folder)
    assert set(found.teams) == names
    made = plans(bench, admit(folder))

    assert {name: str(plan) for name, plan in made.items() if not plan.only_adopts} == {}
    for team in bench.teams:
        bench.onboard(team.name)
    assert [name for name, plan in plans(bench, folder).items() if not plan.is_empty] == []


def test_a_second_import_changes_no_byte(begin: Callable[[Prepare], Bench], tmp_path: Path) -> None:
    bench, folder = begin(unmarked), tmp_path / "imported"
    imported(bench, folder)
    before = {path: path.read_bytes() for path in folder.rglob("*.yaml")}

    assert imported(bench, folder).files == {}

    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    again = tmp_path / "again"
    imported(bench, again)
    assert {p.relative_to(again): p.read_bytes() for p in again.rglob("*.yaml")} == {
        path.relative_to(folder): content for path, content in before.items()
    }


def test_existing_files_stay_and_missing_teams_are_added(
    begin: Callable[[Prepare], Bench], tmp_path: Path
) -> None:
    bench, folder = begin(unmarked), tmp_path / "imported"
    found = imported(bench, folder)
    name, *_ = found.teams
    file = folder / "teams" / f"{name}.yaml"
    file.unlink()
    others = {path: path.read_bytes() for path in folder.rglob("*.yaml")}

    again = imported(bench, folder)

    assert list(again.teams) == [name]
    assert file.exists()
    assert {path: path.read_bytes() for path in others} == others
    made = plans(bench, admit(folder))
    assert made[name].only_adopts


def test_no_team_can_be_adopted_without_its_grants(
    begin: Callable[[Prepare], Bench], tmp_path: Path
) -> None:
    bench, folder = begin(unmarked), tmp_path / "imported"
    found = imported(bench, folder)

    assert "adopt" in found.report.grants
    bench.folder, bench.state = folder, declared.read(folder)
    with bench.process() as systems:
        for team in bench.teams:
            plan = systems.plan(team, observe_owners(systems.team_adapters, [team]))
            assert plan.refusals
            assert [change for change in plan.changes if change.action == "adopt"] == []


def test_grants_are_written_on_request_only(
    begin: Callable[[Prepare], Bench], tmp_path: Path
) -> None:
    bench, folder = begin(unmarked), tmp_path / "imported"
    found = import_state(
        connections(bench.sandbox),
        GROUPS,
        into=folder,
        write_grants=True,
        clock=bench.sandbox.clock.now,
    )
    write(found, folder)

    assert [name for name, plan in plans(bench, folder).items() if not plan.only_adopts] == []


def test_no_secret_reaches_a_file_or_the_report(
    begin: Callable[[Prepare], Bench], tmp_path: Path
) -> None:
    bench, folder = begin(unmarked), tmp_path / "imported"
    found = imported(bench, folder)

    secrets = {
        base64.b64decode(value).decode()
        for each in bench.sandbox.kubernetes.objects
        if each["kind"] == "Secret"
        for value in each.get("data", {}).values()
    }
    passwords = {
        text
        for secret in secrets
        for text in re.findall(r'"(?:password|auth)": "([^"]+)"', secret) or [secret]
        if len(text) >= 16
    }
    assert len(passwords) > 10
    written = "".join(path.read_text() for path in folder.rglob("*.yaml"))
    written += "\n".join(found.report.lines()) + found.report.markdown()
    assert [text for text in passwords if text in written and not text.startswith("http")] == []
