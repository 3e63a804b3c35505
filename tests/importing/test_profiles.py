"""What groups of teams share becomes profiles."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tenantry import declared
from tenantry.declared import Platform, Team, complete
from tenantry.declared.rewriting import dump
from tenantry.importing import defaults, import_state, profiles, write
from tests.support.harness import Bench, Prepare, admit, connections
from tests.support.harness import write as declare
from tests.support.unmark import remove_marks

Data = dict[str, Any]

SMALL: Data = {
    "namespace": {"quota": {"pods": 10, "requests.cpu": "2"}},
    "harbor": {"storage_quota": "5Gi"},
}
LARGE: Data = {
    "namespace": {"quota": {"pods": 300, "requests.cpu": "64"}},
    "harbor": {"storage_quota": "500Gi", "immutable_tags": [{"tags": "v*"}]},
    "robots": {"scanner": {"access": ["repository:pull"], "expiry_days": 90}},
}


def sized(bench: Bench) -> None:
    """Onboard three small teams, three large ones, and two of their own, and remove all marks."""
    teams = [{"name": f"small-{number}", **SMALL} for number in range(3)]
    teams += [{"name": f"large-{number}", **LARGE} for number in range(3)]
    teams += [{"name": "one"}, {"name": "two"}]
    admit(declare(bench.folder, *teams))
    bench.load()
    for team in bench.teams:
        bench.onboard(team.name)
    remove_marks(bench.systems)


def test_two_sizes_of_teams_become_two_profiles(
    begin: Callable[[Prepare], Bench], tmp_path: Path
) -> None:
    bench, folder = begin(sized), tmp_path / "new"
    found = import_state(connections(bench.sandbox), into=folder, clock=bench.sandbox.clock.now)
    write(found, folder)

    used = {name: content.get("profile") for name, content in found.teams.items()}
    assert len({used[f"small-{number}"] for number in range(3)}) == 1
    assert len({used[f"large-{number}"] for number in range(3)}) == 1
    assert used["one"] is None
    large = found.platform["profiles"][used["large-0"]]
    assert large["namespace"]["quota"] == {"pods": 300, "requests.cpu": 64}
    assert large["robots"]["scanner"]["access"] == ["repository:pull"]
    assert "namespace" not in found.teams["large-0"]
    assert "profiles:" in "\n".join(found.report.lines())

    files = {path: path.read_bytes() for path in folder.rglob("*.yaml")}
    assert import_state(connections(bench.sandbox), into=folder).files == {}
    again = tmp_path / "again"
    write(
        import_state(connections(bench.sandbox), into=again, clock=bench.sandbox.clock.now), again
    )
    assert {path: (again / path.relative_to(folder)).read_bytes() for path in files} == files
    bench.folder = admit(folder)
    bench.load()
    assert declared.read(folder).faults == []
    assert [t.name for t in bench.teams if not bench.plan(t.name).only_adopts] == []


def test_a_profile_that_exceeds_the_policy_names_its_teams(
    begin: Callable[[Prepare], Bench], tmp_path: Path
) -> None:
    """So a value that three teams share needs a review, as it does in a team's file."""
    bench, folder = begin(privileged), tmp_path / "new"
    found = import_state(connections(bench.sandbox), into=folder, clock=bench.sandbox.clock.now)
    write(found, folder)
    (name,) = {content["profile"] for content in found.teams.values() if "profile" in content}
    assert found.platform["profiles"][name]["namespace"]["pod_security"] == "privileged"
    assert f"  profiles:\n    {name}:\n      teams:" in found.report.grants
    left_out = {Path(each.file).stem for each in declared.read(folder).left_out}
    assert left_out == {"a", "b", "c"}


def privileged(bench: Bench) -> None:
    """Onboard three teams with privileged pods, and four others."""
    loose: Data = {
        "namespace": {
            "pod_security": "privileged",
            "quota": {"pods": 7, "services": 2, "secrets": 9},
        }
    }
    teams = [{"name": name, **loose} for name in "abc"]
    admit(declare(bench.folder, *teams, *({"name": name} for name in "defg")))
    bench.load()
    for team in bench.teams:
        bench.onboard(team.name)


PARTS = st.fixed_dictionaries(
    {},
    optional={
        "pods": st.integers(1, 2),
        "cpu": st.sampled_from(["1", "2"]),
        "storage": st.sampled_from(["1Gi", "2Gi"]),
        "label": st.sampled_from(["x", "y"]),
        "retention": st.integers(1, 2),
        "scanner": st.sampled_from([30, 90]),
        "ci": st.just(None),
    },
)


def team_of(name: str, parts: Data) -> Data:
    """Return a team with some settings, all of whose fields are given as an import gives them."""
    quota = {
        key: parts[part]
        for key, part in (("pods", "pods"), ("requests.cpu", "cpu"))
        if part in parts
    }
    content: Data = {
        "name": name,
        "namespace": {
            "quota": quota,
            "labels": {"example.com/a": parts["label"]} if "label" in parts else {},
        },
        "harbor": {"storage_quota": parts.get("storage")},
        "robots": {},
    }
    if "retention" in parts:
        content["harbor"]["retention"] = {"rules": [{"latest_pushed": parts["retention"]}]}
    if "scanner" in parts:
        content["robots"]["scanner"] = {
            "access": ["repository:pull"],
            "expiry_days": parts["scanner"],
        }
    if "ci" in parts:
        content["robots"]["ci"] = None
    return content


@settings(max_examples=30)
@given(st.lists(PARTS, min_size=3, max_size=9), st.randoms(use_true_random=False))
def test_profiles_change_no_team_and_make_the_files_shorter(
    parts: list[Data], order: random.Random
) -> None:
    contents = [team_of(f"t{number:02}", each) for number, each in enumerate(parts)]
    platform, files = shared(contents)
    found, shorter = profiles.find(platform, complete_teams(contents), files)

    whole = {**platform, "profiles": found}
    model = Platform.model_validate(whole)
    for content in contents:
        file = shorter.get(content["name"], files[content["name"]])
        made = complete(model, Team.model_validate(file)).model_dump(mode="json")
        wanted = complete(Platform(), Team.model_validate(content)).model_dump(mode="json")
        del made["profile"], wanted["profile"]
        robots = [{k: v for k, v in each.pop("robots").items() if v} for each in (made, wanted)]
        assert (made, robots[0]) == (wanted, robots[1])
    for name in found:
        assert sum(file.get("profile") == name for file in shorter.values()) >= 3
    before = sum(dump(each).count("\n") for each in files.values())
    after = sum(dump(each).count("\n") for each in {**files, **shorter}.values())
    assert not found or after + dump({"profiles": found}).count("\n") <= before

    mixed = list(contents)
    order.shuffle(mixed)
    assert profiles.find(platform, complete_teams(mixed), shared(mixed)[1]) == (found, shorter)


def complete_teams(contents: list[Data]) -> list[defaults.Complete]:
    return [defaults.Complete(Platform(), content) for content in contents]


def shared(contents: list[Data]) -> tuple[Data, dict[str, Data]]:
    """Return the platform with the defaults of some teams, and the contents of their files."""
    teams = complete_teams(contents)
    platform: Data = {"defaults": defaults.common(teams)}
    model = Platform.model_validate(platform)
    return platform, {team.data["name"]: defaults.own(model, team) for team in teams}
