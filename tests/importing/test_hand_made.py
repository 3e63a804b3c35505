"""Platforms that people built by hand: nothing that runs there today may break by the adoption."""

from pathlib import Path
from typing import Any

import pytest

from tenantry.importing import Imported, import_state
from tests.lifecycle.prerequisites import create_namespace
from tests.support.harness import Bench, connections

REGISTRY_ROBOT: dict[str, Any] = {"access": ["repository:pull"], "expiry_days": 90}


@pytest.fixture
def platform(bench: Bench) -> Bench:
    """Create two teams by hand: a namespace without labels, and a project."""
    systems = bench.declare().systems
    for name in ("team-shop", "team-data"):
        create_namespace(systems, name)
        systems.harbor_client.post("/projects", {"project_name": name})
    return bench


def imported(bench: Bench, folder: Path) -> Imported:
    return import_state(connections(bench.sandbox), into=folder, clock=bench.sandbox.clock.now)


def test_a_namespace_without_labels_keeps_running_as_it_does(
    platform: Bench, tmp_path: Path
) -> None:
    """The platform's values are stricter: `baseline`, and a sidecar for each pod."""
    found = imported(platform, tmp_path / "imported")
    for name in ("shop", "data"):
        declared = {
            **found.platform["defaults"]["namespace"],
            **found.teams[name].get("namespace", {}),
        }
        assert declared["pod_security"] is None
        assert declared["mesh"] is False
        assert declared["cluster_role"] is None
        assert declared["network"] == {"deny_by_default": False}


def test_a_robot_that_most_teams_have_is_not_created_for_the_others(
    bench: Bench, tmp_path: Path
) -> None:
    """`push` becomes a default, which a team without this robot removes."""
    push = {"access": ["repository:push"], "expiry_days": 90}
    robots = {"pull": REGISTRY_ROBOT, "ci": None}
    for name in ("one", "two", "three"):
        bench.declare({"name": name, "robots": {**robots, "push": push}}).onboard()
    bench.declare({"name": "without", "robots": robots}).onboard()

    found = imported(bench, tmp_path / "imported")

    assert found.platform["defaults"]["robots"]["push"]["access"] == ["repository:push"]
    assert found.teams["without"]["robots"] == {"push": None}
