"""A migration through a real Prefect server: inspected, approved by a person, followed up, finished."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.filesystems import LocalFileSystem

from demo.blocks import fill_in
from tests.bench import Bench, MishapSandbox, prepare
from tests.migration_bench import NEW, OLD, MigrationBench

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

FLOW = "migrate-identity-provider"


class Flows:
    """The flow's runs on a migration's bench."""

    def __init__(self, platform: Any, made: MigrationBench, block: str, store: Path) -> None:
        self.platform = platform
        self.made = made
        self.block = block
        fill_in(made.sandbox.addresses(), made.bench.folder, block)
        LocalFileSystem(basepath=str(store)).save(block, overwrite=True)

    def start(self, action: str, **parameters: Any) -> str:
        names = dict.fromkeys(("declared_state", "harbor", "keycloak", "cluster"), self.block)
        asked = {"action": action, "store": f"local-file-system/{self.block}", **names}
        return str(self.platform.create_run(f"{FLOW}/{FLOW}", asked | parameters))

    def run(self, action: str, **parameters: Any) -> dict[str, Any]:
        found: dict[str, Any] = self.platform.wait_for_run(self.start(action, **parameters))
        return found

    def artifact(self, key: str, run: dict[str, Any]) -> str:
        body = {"artifacts": {"key": {"any_": [key]}, "flow_run_id": {"any_": [run["id"]]}}}
        found = self.platform.call("POST", "artifacts/filter", body)
        assert found, f"there is no artifact {key}"
        return json.dumps(found[-1])


@pytest.fixture
def flows(platform: Any, tmp_path: Path) -> Iterator[Flows]:
    with (
        MishapSandbox() as sandbox,
        Bench(prepare(sandbox), tmp_path / "state") as bench,
    ):
        made = MigrationBench(bench)
        yield Flows(platform, made, f"migration-{tmp_path.name[-1]}", tmp_path / "store")


@pytest.mark.long
def test_a_person_approves_a_plan_for_days_and_the_run_goes_on(flows: Flows) -> None:
    made = flows.made
    before = made.rights()
    there = {"new_keycloak": flows.block}

    idle = flows.run("follow up")
    assert idle["state"]["message"] == "No migration is on."

    looked = flows.run("inspect", **there)
    assert looked["state"]["message"].startswith("Nothing stands in the way. 5 people: 5 matched")
    assert "user01" not in flows.artifact("migration-inspection", looked)

    id = flows.start("migrate", pilot=["user00"], soak_hours=0, **there)
    flows.platform.wait_for(lambda: flows.platform.flow_run(id)["state_name"] == "Suspended")
    assert made.links(NEW) == {}
    other = flows.run("follow up")  # nothing is held meanwhile
    assert other["state"]["message"] == "0 linked, 5 to come; rights that differ: 0."

    answer = {"run_input": {"approve": True, "plan": plan_of(made), "your_name": "Ann"}}
    told = flows.platform.call("POST", f"flow_runs/{id}/resume", answer)
    assert told["status"] == "ACCEPT", told
    run = flows.platform.wait_for_run(id)

    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert run["state"]["message"].startswith(f"Switched from '{OLD}' to '{NEW}'.")
    assert made.hidden() == {OLD: True, NEW: False}
    assert len(made.links(NEW)) == 5

    followed = flows.run("follow up")
    assert followed["state"]["message"] == "5 linked, 0 to come; rights that differ: 0."
    assert "user01" not in flows.artifact("migration-by-team", followed)
    done = flows.run("finish")
    assert done["state_type"] == "COMPLETED", done["state"]["message"]
    assert done["state"]["message"].endswith("rights compared, 0 different.")
    assert made.hidden() == {NEW: False}
    assert made.rights() == before


@pytest.mark.long
def test_users_are_made_anew_where_that_is_demanded(flows: Flows) -> None:
    made = flows.made
    made.give_rights()
    before = made.rights_by_name()
    plan = {"situation": "users", "new_keycloak": flows.block, "largest_wave": 100}

    looked = flows.run("inspect", **plan)
    assert "made anew" in flows.artifact("migration-inspection", looked)
    id = flows.start("migrate", soak_hours=0, **plan)
    flows.platform.wait_for(lambda: flows.platform.flow_run(id)["state_name"] == "Suspended")
    moved = flows.run("migrate", approved_plan=plan_of(made))
    assert moved["state"]["message"].startswith(f"Switched from '{OLD}' to '{NEW}'.")
    assert made.rights_by_name()["people"] == {"admin": True}

    for user in made.everybody():
        made.log_in(user.username)
    back = flows.run("follow up")
    assert "in Harbor 5 returned, 0 pending" in back["state"]["message"]
    assert back["state"]["message"].endswith("; rights that differ: 1."), "a project's owner"
    assert made.rights_by_name() == before
    done = flows.run("finish")
    assert done["state_type"] == "COMPLETED", done["state"]["message"]


def plan_of(made: MigrationBench) -> str:
    """The plan that waits."""
    with made.process() as migration:
        return migration.entry.plan


@pytest.mark.long
@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "neither is given"),
        ({"people": "none.csv"}, "there is no such file"),
        ({"situation": "users", "reimport": ["user01"]}, "keeps people's ids"),
        ({"new_keycloak": "none"}, "There is no block 'Keycloak Connection'"),
        ({"store": "local-file-system/none"}, "There is no block"),
    ],
)
def test_what_is_asked_wrongly_is_refused_and_nothing_is_changed(
    flows: Flows, asked: dict[str, Any], said: str
) -> None:
    flows.made.sandbox.requests.reset()

    run = flows.run("migrate", **asked)

    assert run["state_type"] == "FAILED"
    assert said in run["state"]["message"]
    assert flows.made.sandbox.requests.writes() == 0


@pytest.mark.long
def test_a_plan_is_approved_by_its_hash_and_undone_through_the_flow(flows: Flows) -> None:
    made = flows.made
    plan = made.plan()

    refused = flows.run("migrate", approved_plan="0" * 64)
    assert "the plan is now" in refused["state"]["message"]
    moved = flows.run("migrate", approved_plan=plan, waves=1)
    assert moved["state"]["message"] == "Waves left: 1; then the switch."
    back = flows.run("roll back")
    assert back["state"]["message"].endswith("1 links taken away.")
    assert made.links(NEW) == {}
