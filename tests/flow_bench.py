"""A real Prefect server with the flows served, and what a test gives its runs to work on."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from demo.blocks import fill_in
from demo.processes import LocalPlatform

_names = (f"test-{number}" for number in itertools.count())


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPlatform]:
    """A Prefect server with blocks, automations and the served flows."""
    with LocalPlatform(tmp_path_factory.mktemp("platform")) as platform:
        platform.wait_for_server()
        with temporary_settings({PREFECT_API_URL: f"{platform.url}/api"}):
            platform.serve_flows()
            platform.run("deployments/automations.py")
            yield platform


class FlowBench:
    """A declared state, and the blocks that lead a run to it and to the systems."""

    def __init__(self, platform: LocalPlatform, addresses: dict[str, Any], declared: Path) -> None:
        self.platform = platform
        self.declared = declared
        self.block = next(_names)
        (declared / "teams").mkdir(parents=True)
        self.declare_platform("name: test\n")
        fill_in(addresses, declared, self.block)

    def declare_platform(self, text: str) -> None:
        (self.declared / "platform.yaml").write_text(text)

    def declare(self, name: str, text: str = "") -> None:
        (self.declared / "teams" / f"{name}.yaml").write_text(f"name: {name}\n{text}")

    @property
    def blocks(self) -> dict[str, str]:
        return dict.fromkeys(("declared_state", "harbor", "keycloak", "cluster"), self.block)

    def start(self, flow: str, key: str | None = None, **parameters: Any) -> str:
        """Starts a run through the API, as anybody does."""
        return self.platform.create_run(f"{flow}/{flow}", self.blocks | parameters, key)

    def run(self, flow: str, **parameters: Any) -> dict[str, Any]:
        """Runs a flow to its end, and gives the run."""
        return self.platform.wait_for_run(self.start(flow, **parameters))

    def artifact(self, key: str, run: dict[str, Any]) -> dict[str, Any]:
        """The run's latest artifact of a key."""
        body = {"artifacts": {"key": {"any_": [key]}, "flow_run_id": {"any_": [run["id"]]}}}
        found = self.platform.call("POST", "artifacts/filter", body)
        assert found, f"run {run['name']} has no artifact {key}"
        return found[-1]

    def task_runs(self, run: dict[str, Any]) -> dict[str, str]:
        """Names and states of an ended run's tasks; the server records them a moment later."""
        body = {"flow_runs": {"id": {"any_": [run["id"]]}}, "sort": "EXPECTED_START_TIME_ASC"}
        states: dict[str, str] = {}

        def all_ended() -> bool:
            found = self.platform.call("POST", "task_runs/filter", body)
            states.update({task["name"]: task["state_name"] for task in found})
            return bool(states) and not {"Running", "Pending"} & set(states.values())

        self.platform.wait_for(all_ended)
        return states
