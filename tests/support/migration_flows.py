"""Runs the deployments of a migration on a real Prefect server."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.filesystems import LocalFileSystem

from demo.blocks import save_blocks
from tests.support.approvals import wait_for_approval
from tests.support.harness import Bench, FaultySandbox, prepare
from tests.support.issuer_harness import IssuerBench
from tests.support.migration_harness import MigrationBench


class Flows:
    """Starts the runs of a migration's deployments."""

    def __init__(
        self,
        platform: Any,
        made: Any,
        block: str,
        addresses: dict[str, Any],
        declared: Path,
    ) -> None:
        self.platform = platform
        self.made = made
        self.block = block
        save_blocks(addresses, declared, block)
        LocalFileSystem(basepath=str(declared.parent / "store")).save(block, overwrite=True)

    def start(self, intent: str, **parameters: Any) -> str:
        """Start a run of one of the migration's deployments, such as `plan`; return its id."""
        name = f"{intent}-migration"
        asked = {"report_storage": f"local-file-system/{self.block}", "platform": self.block}
        return str(self.platform.create_run(f"{name}/{name}", asked | parameters))

    def run(self, intent: str, **parameters: Any) -> dict[str, Any]:
        found: dict[str, Any] = self.platform.wait_for_run(self.start(intent, **parameters))
        return found

    def done(self, intent: str, **parameters: Any) -> str:
        """Run a deployment, assert that the run completed, and return its message."""
        run = self.run(intent, **parameters)
        assert run["state_type"] == "COMPLETED", run["state"]["message"]
        return str(run["state"]["message"])

    def approved(self, intent: str, **parameters: Any) -> tuple[str, str]:
        """Run a deployment, approve it, and return the approval's text and the run's message."""
        id = self.start(intent, **parameters)
        asked = wait_for_approval(self, id)
        self.resume(id, asked.plan)
        run = self.platform.wait_for_run(id)
        assert run["state_type"] == "COMPLETED", run["state"]["message"]
        return asked.description, str(run["state"]["message"])

    def resume(self, id: str, plan: str) -> None:
        """Approve the plan of a suspended run."""
        answer = {"run_input": {"approve": True, "plan": plan, "your_name": "Ann"}}
        status = self.platform.call("POST", f"flow_runs/{id}/resume", answer)
        assert status["status"] == "ACCEPT", status

    def artifact(self, key: str, run: dict[str, Any]) -> str:
        return json.dumps(self.artifact_of(key, run))

    def artifact_of(self, key: str, run: dict[str, Any]) -> dict[str, Any]:
        """Return the run's latest artifact of a key."""
        body = {"artifacts": {"key": {"any_": [key]}, "flow_run_id": {"any_": [run["id"]]}}}
        found = self.platform.call("POST", "artifacts/filter", body)
        assert found, f"run {run['name']} has no artifact {key}"
        latest: dict[str, Any] = found[-1]
        return latest


@pytest.fixture
def flows(platform: Any, tmp_path: Path) -> Iterator[Flows]:
    with (
        FaultySandbox() as sandbox,
        Bench(prepare(sandbox), tmp_path / "state") as bench,
    ):
        made = MigrationBench(bench)
        block = f"migration-{tmp_path.name[-1]}"
        yield Flows(platform, made, block, sandbox.addresses(), bench.folder)


@pytest.fixture
def issuers(platform: Any, tmp_path: Path) -> Iterator[Flows]:
    with (
        FaultySandbox() as sandbox,
        Bench(prepare(sandbox), tmp_path / "state") as bench,
    ):
        made = IssuerBench(bench)
        block = f"issuer-{tmp_path.name[-1]}"
        yield Flows(platform, made, block, sandbox.addresses(), bench.folder)


def plan_of(made: MigrationBench | IssuerBench) -> str:
    """Return the hash of the plan that waits for an approval."""
    with made.process() as migration:
        return migration.entry.plan
