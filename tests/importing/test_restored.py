"""What an import restores after the declared state was lost, and what it says about the rest."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tenantry.importing import Imported, import_state, write
from tenantry.systems.credentials.contents import encode
from tests.lifecycle.prerequisites import create_namespace
from tests.support.harness import Bench, Prepare, admit, connections
from tests.support.harness import write as declare
from tests.support.unmark import remove_marks

SINKS: list[dict[str, Any]] = [
    {"namespace": "pipelines", "name": "shop-images"},
    {"namespace": "pipelines", "name": "shop-basic", "format": "basic"},
]
SHOP: dict[str, Any] = {
    "name": "shop",
    "contact": "#shop",
    "robots": {
        "ci": {"access": ["repository:push"], "rotation": {"max_age_days": 20}, "sinks": SINKS}
    },
    "further_namespaces": {"jobs": {}},
    "names": {"further_namespaces": {"jobs": "batch"}},
}


def marked(bench: Bench) -> None:
    """Onboard a team whose robot has sinks, and a further namespace with a name of its own."""
    admit(declare(bench.folder, SHOP, {"name": "data"}))
    bench.load()
    create_namespace(bench.systems, "pipelines")
    for team in bench.teams:
        bench.onboard(team.name)


def imported(bench: Bench, folder: Path) -> Imported:
    """Import, and assert that the plan writes marks only."""
    found = import_state(connections(bench.sandbox), into=folder, clock=bench.sandbox.clock.now)
    write(found, folder)
    bench.folder = admit(folder)
    bench.load()
    for team in bench.teams:
        assert bench.plan(team.name).only_adopts, bench.plan(team.name)
    return found


def lost(found: Imported) -> dict[str, str]:
    """Return what the report says that is lost, by file."""
    return {
        file: note.line
        for file, notes in found.report.notes.items()
        for note in notes
        if note.sort == "lost"
    }


def test_sinks_and_keys_are_restored_and_the_rest_is_listed(
    begin: Callable[[Prepare], Bench], tmp_path: Path
) -> None:
    bench = begin(marked)
    found = imported(bench, tmp_path / "new")

    shop = found.teams["shop"]
    assert sorted(shop["robots"]["ci"]["sinks"], key=lambda sink: sink["name"]) == sorted(
        SINKS, key=lambda sink: str(sink["name"])
    )
    assert shop["names"]["further_namespaces"] == {"jobs": "batch"}
    assert "pipelines/shop-basic" in found.report.grants
    assert set(lost(found)) == {"teams/shop.yaml", "teams/data.yaml"}
    text = lost(found)["teams/shop.yaml"]
    for word in ("profile", "display_name", "contact", "drift.ignore", "rotation of the robots ci"):
        assert word in text
    assert "sinks" not in text
    assert text in "\n".join(found.report.lines())
    assert not any("may" in line and "sink" in line for line in found.report.lines())


def test_without_marks_the_report_lists_what_is_lost(
    begin: Callable[[Prepare], Bench], tmp_path: Path
) -> None:
    bench = begin(marked)
    remove_marks(bench.systems)
    found = imported(bench, tmp_path / "new")
    assert "sinks" not in str(found.teams)
    assert "sinks" in lost(found)["teams/shop.yaml"]


@pytest.mark.parametrize("name", [sink["name"] for sink in SINKS])
def test_a_sink_with_the_name_of_another_robot_gets_no_credential_of_it(
    begin: Callable[[Prepare], Bench], tmp_path: Path, name: str
) -> None:
    """Other people can write in the namespace of a sink."""
    bench = begin(marked)
    robot = "robot$team-shop+pull-a"
    secret = bench.sandbox.kubernetes.get("Secret", name, "pipelines")
    assert secret is not None
    auth = encode(f"{robot}:guessed")
    entry = {"username": robot, "password": "guessed", "auth": auth}
    data = {
        "username": encode(robot),
        "password": encode("guessed"),
        ".dockerconfigjson": encode(json.dumps({"auths": {"registry.example.com": entry}})),
    }
    data = {key: value for key, value in data.items() if key in secret["data"]}
    bench.sandbox.kubernetes.put({**secret, "data": data})

    found = imported(bench, tmp_path / "new")

    pull = found.teams["shop"].get("robots", {}).get("pull") or {}
    assert "sinks" not in pull
    others = [sink["name"] for sink in found.teams["shop"]["robots"]["ci"]["sinks"]]
    assert others == [sink["name"] for sink in SINKS if sink["name"] != name]
    assert "1 of its sinks" in lost(found)["teams/shop.yaml"]
