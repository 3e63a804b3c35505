"""Platforms with other patterns of names than Tenantry's are imported with their patterns."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tenantry.importing import Imported, Recognition, import_state, write
from tests.drift.changes import patch
from tests.support.harness import PLATFORM, Bench, Data, Prepare, admit, connections
from tests.support.harness import write as declare
from tests.support.unmark import remove_marks

PATTERNS: dict[str, Data] = {
    "all": {
        "namespace": "{team}-dev",
        "further_namespace": "{key}-of-{team}",
        "project": "x.{team}",
        "group": "{team} people",
        "client": "{name}@{team}",
        "secret": "{purpose}.registry",
        "client_secret": "login-{name}",
    },
    "bare": {
        "namespace": "{team}",
        "project": "{team}",
        "group": "{team}",
        "client": "{team}.{name}",
    },
    "secrets": {"secret": "{purpose}.x", "secrets": {"ci": "push"}, "client_secret": "{name}"},
}


def teams() -> list[Data]:
    """Return teams with an object for each pattern."""
    return [
        {
            "name": name,
            "further_namespaces": {"jobs": {}},
            "oidc_clients": {
                "web": {"redirect_uris": [f"https://web.{name}.example.com/cb"]},
                "ci": {"redirect_uris": [f"https://ci.{name}.example.com/cb"]},
            },
        }
        for name in ("shop", "shop-web", "data")
    ]


def onboarded(patterns: Data, *, marks: bool) -> Prepare:
    def prepare(bench: Bench) -> None:
        admit(declare(bench.folder, *teams(), platform={**PLATFORM, "names": patterns}))
        bench.load()
        for team in bench.teams:
            bench.onboard(team.name)
        if not marks:
            remove_marks(bench.systems)

    return prepare


def imported(bench: Bench, folder: Path, **options: Any) -> Imported:
    """Import, and assert that the plan adopts only."""
    clock = bench.sandbox.clock.now
    found = import_state(connections(bench.sandbox), into=folder, clock=clock, **options)
    write(found, folder)
    assert set(found.teams) == {"shop", "shop-web", "data"}
    bench.folder = admit(folder)
    bench.load()
    plans = {team.name: bench.plan(team.name) for team in bench.teams}
    assert {name: str(plan) for name, plan in plans.items() if not plan.only_adopts} == {}
    return found


@pytest.mark.parametrize("name", PATTERNS)
@pytest.mark.parametrize("marks", [True, False], ids=["marks kept", "marks lost"])
def test_the_patterns_of_platform_yaml_name_the_objects(
    begin: Callable[[Prepare], Bench], tmp_path: Path, name: str, marks: bool
) -> None:
    """The folder has a `platform.yaml` with the patterns, and no team."""
    bench = begin(onboarded(PATTERNS[name], marks=marks))
    folder = declare(tmp_path / "new", platform={**PLATFORM, "names": PATTERNS[name]})

    found = imported(bench, folder)

    for content in found.teams.values():
        assert "names" not in content
        assert "group" not in content
        assert sorted(content["oidc_clients"]) == ["ci", "web"]
        assert list(content["further_namespaces"]) == ["jobs"]


@pytest.mark.parametrize("name", PATTERNS)
def test_the_patterns_are_found_by_the_marks(
    begin: Callable[[Prepare], Bench], tmp_path: Path, name: str
) -> None:
    """The declared state is lost as a whole."""
    bench = begin(onboarded(PATTERNS[name], marks=True))

    found = imported(bench, tmp_path / "new")

    wanted = {key: value for key, value in PATTERNS[name].items() if key != "secrets"}
    given = found.platform["names"]
    if name == "secrets":  # no pattern fits both Secrets of a team
        wanted, given = {"client_secret": "{name}"}, {"client_secret": given["client_secret"]}
    assert given == wanted


def test_the_patterns_are_found_in_names(begin: Callable[[Prepare], Bench], tmp_path: Path) -> None:
    """Without marks, a person gives the patterns of namespaces, projects and groups."""
    bench = begin(onboarded(PATTERNS["all"], marks=False))
    how = Recognition(patterns=("{team}-dev", "x.{team}", "{team} people"))
    body: Data = {"metadata": {"labels": {"example.com/team": ""}}}
    for team in ("shop", "shop-web", "data"):
        for namespace in (f"{team}-dev", f"jobs-of-{team}"):
            body["metadata"]["labels"]["example.com/team"] = team
            patch(bench.systems, "Namespace", namespace, None, body)

    found = imported(
        bench, tmp_path / "new", recognition=Recognition(how.patterns, ("example.com/team",))
    )

    names = found.platform["names"]
    for part in ("namespace", "project", "group", "client", "secret", "client_secret"):
        assert names[part] == PATTERNS["all"][part]
