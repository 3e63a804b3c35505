"""How teams are recognized: patterns, labels, marks, and the conventions of Otomi; and what is not a team."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tenantry.importing import Imported, Recognition, import_state, write
from tests.drift.changes import patch
from tests.support.harness import Bench, Prepare, admit, connections
from tests.support.otomi import Otomi
from tests.support.unmark import remove_marks

TEAMS = (
    {"name": "shop", "further_namespaces": {"jobs": {}}},
    {"name": "shop-test"},
    {"name": "data", "oidc_clients": {"web": {"redirect_uris": ["https://data.example.com/x"]}}},
)


def unmarked(bench: Bench) -> None:
    """Onboard teams, and remove all marks."""
    bench.declare(*TEAMS)
    for team in bench.teams:
        bench.onboard(team.name)
    remove_marks(bench.systems)


def marked(bench: Bench) -> None:
    """Onboard teams of another platform's id."""
    bench.declare(*TEAMS, platform={"name": "x", "id": "prod"})
    for team in bench.teams:
        bench.onboard(team.name)


def otomi(bench: Bench) -> None:
    """Build a platform with the shape of Otomi, with 20 teams."""
    bench.declare()
    Otomi(bench.systems).build()


def imported(bench: Bench, folder: Path, how: Recognition | None = None, **more: Any) -> Imported:
    """Import into a folder, and admit the teams as an operator does."""
    sandbox = bench.sandbox
    found = import_state(connections(sandbox), how, into=folder, clock=sandbox.clock.now, **more)
    write(found, folder)
    admit(folder)
    return found


def refuse_changes(bench: Bench, folder: Path) -> None:
    """Assert that the plans of all teams adopt only."""
    bench.folder = folder
    bench.load()
    made = {team.name: bench.plan(team.name) for team in bench.teams}
    assert {name: str(plan) for name, plan in made.items() if not plan.only_adopts} == {}


def test_a_namespace_without_a_project_belongs_to_the_team_before_it(
    begin: Callable[[Prepare], Bench], tmp_path: Path
) -> None:
    bench, folder = begin(unmarked), tmp_path / "new"
    found = imported(bench, folder)
    assert set(found.teams) == {"shop", "shop-test", "data"}
    assert list(found.teams["shop"]["further_namespaces"]) == ["jobs"]
    assert list(found.teams["data"]["oidc_clients"]) == ["web"]
    refuse_changes(bench, folder)


def test_teams_are_recognized_by_a_label(begin: Callable[[Prepare], Bench], tmp_path: Path) -> None:
    bench, folder = begin(unmarked), tmp_path / "new"
    for namespace in ("team-shop", "team-shop-jobs"):
        body = {"metadata": {"labels": {"example.com/team": "store"}}}
        patch(bench.systems, "Namespace", namespace, None, body)
    how = Recognition(patterns=("none-{team}",), labels=("example.com/team",))

    found = imported(bench, folder, how, write_grants=False)

    assert found.teams["store"]["names"]["namespace"] == "team-shop"
    assert found.teams["store"]["names"]["project"] == "team-shop"
    assert "store" in found.report.grants


def test_the_id_of_a_lost_cluster_is_taken_from_the_marks(
    begin: Callable[[Prepare], Bench], tmp_path: Path
) -> None:
    bench, folder = begin(marked), tmp_path / "new"
    found = imported(bench, folder)
    assert found.platform["id"] == "prod"
    assert all("adopt" not in team for team in found.teams.values())
    refuse_changes(bench, folder)


def test_a_platform_with_the_shape_of_otomi(
    begin: Callable[[Prepare], Bench], tmp_path: Path
) -> None:
    bench, folder = begin(otomi), tmp_path / "new"
    names = {each["metadata"]["name"] for each in bench.systems.home_cluster.list("Namespace")}
    found = imported(bench, folder)
    assert len(found.teams) == 18
    assert {f"team-{name}" for name in found.teams} < names
    what = {line for line, _ in found.report.orphans}
    assert {"namespace team-t17", "Harbor project team-t11"} < what
    replaced = found.platform["defaults"]["robots"]["pull"]["replaces"]
    assert [name.partition("$")[2] for name in replaced] == ["otomi-team-{team}-pull"]
    refuse_changes(bench, folder)


def test_orphans_are_listed_with_a_suggestion(
    begin: Callable[[Prepare], Bench], tmp_path: Path
) -> None:
    bench = begin(unmarked)
    kubernetes, harbor = bench.systems.home_cluster, bench.systems.harbor_client
    live = kubernetes.get("Namespace", "team-data")
    assert live is not None
    kubernetes.delete("Namespace", "team-data", None, live["metadata"]["uid"])
    number = harbor.get("/projects/team-shop")["project_id"]
    robots = list(harbor.pages("/robots", q=f"Level=project,ProjectID={number}"))
    pull = next(row for row in robots if row["name"].endswith("pull-a"))
    harbor.delete(f"/robots/{pull['id']}")
    secret = kubernetes.get("Secret", "harbor-ci", "team-shop")
    assert secret is not None
    kubernetes.delete("Secret", "harbor-ci", "team-shop", secret["metadata"]["uid"])

    found = imported(bench, tmp_path / "new")

    orphans = dict(found.report.orphans)
    assert "no namespace" in orphans["Harbor project team-data"]
    assert "does not exist" in orphans["Secret team-shop/harbor-pull"]
    assert [what for what in orphans if "+ci-a" in what]
    assert set(found.teams) == {"shop", "shop-test"}
    refuse_changes(bench, tmp_path / "new")


@pytest.mark.parametrize("text", ["x\nadopt: yes", "x\r# y", "\u2028adopt: yes", "'\"#: |"])
def test_live_text_cannot_end_a_comment(
    begin: Callable[[Prepare], Bench], tmp_path: Path, text: str
) -> None:
    bench, folder = begin(unmarked), tmp_path / "new"
    body = {"metadata": {"annotations": {"example.com/note": text}}}
    patch(bench.systems, "Namespace", "team-data", None, body)

    found = imported(bench, folder)

    lines = (folder / "teams" / "data.yaml").read_text().splitlines()
    quoted = [line for line in lines if "example.com/note" in line]
    assert quoted
    assert all(line.lstrip().startswith("#") for line in quoted)
    assert found.teams["data"].get("namespace", {}).get("annotations") is None
    assert any("example.com/note" in line for line in found.report.lines())
    refuse_changes(bench, folder)
