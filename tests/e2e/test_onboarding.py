"""Onboarding through a real Prefect server, as users and programs start it.

The tests run on the given systems, except those on the sandbox, which count its requests.
"""

import base64
from typing import Any

import httpx
import pytest

from blocks import Platform
from tests.e2e.conftest import SandboxBench
from tests.support.flow_harness import SharedBench

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def test_one_team_is_onboarded_through_the_api(shared: SharedBench) -> None:
    name = shared.name("demo")

    run = shared.run("onboard-team", team={"name": name, "display_name": "Demo"})

    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert run["name"] == f"onboard {name} (platform {shared.block})"
    assert shared.has_project("demo")
    assert shared.has_group("demo")
    assert shared.secret("harbor-pull", "demo")
    assert (shared.declared / "teams" / f"{name}.yaml").exists(), "the team is declared now"
    stages = (
        "observe Harbor",
        *(f"apply {name} changes" for name in ("Kubernetes", "Keycloak", "Harbor", "Credentials")),
        "mark as applied",
    )
    tasks = shared.task_states(run)
    assert set(stages) <= set(tasks)
    assert set(tasks.values()) == {"Completed"}


def test_the_artifacts_tell_the_changes_and_the_way_in_but_no_secret(shared: SharedBench) -> None:
    name, slug = shared.name("demo"), shared.slug("demo")

    run = shared.run("onboard-team", team={"name": name})

    plan = shared.artifact(f"plan-{name}", run)
    guide = shared.artifact(f"welcome-{name}", run)
    assert plan["type"] == "table"
    assert slug in plan["data"]
    assert "docker" in guide["data"]
    shown = plan["data"] + guide["data"]
    for secret in ("harbor-pull", "harbor-ci"):
        username, password = shared.login(secret, "demo")
        assert shared.can_log_in(secret, "demo")
        assert password not in shown
        assert base64.b64encode(f"{username}:{password}".encode()).decode() not in shown


@pytest.mark.long
def test_a_dry_run_shows_the_changes_and_makes_none(shared: SharedBench) -> None:
    name = shared.name("demo")

    run = shared.run("onboard-team", team={"name": name}, dry_run=True)

    assert run["state_type"] == "COMPLETED"
    assert run["state"]["message"].startswith("Dry run: 1 team: ")
    assert shared.slug("demo") in shared.artifact(f"plan-{name}", run)["data"]
    assert not (shared.declared / "teams" / f"{name}.yaml").exists()
    assert not shared.has_project("demo")
    assert not shared.has_namespace("demo")
    assert not shared.has_group("demo")


@pytest.mark.long
def test_a_dry_run_sends_no_write_to_the_sandbox(bench: SandboxBench) -> None:
    bench.run("onboard-team", team={"name": "demo"}, dry_run=True)

    assert bench.sandbox.requests.total() > 0
    assert bench.sandbox.requests.writes() == 0


@pytest.mark.parametrize(("team", "said"), [({"name": "a--b"}, "name"), ({"name": "123"}, "name")])
def test_a_bad_team_is_refused_by_the_api_itself(
    bench: SandboxBench, team: dict[str, Any], said: str
) -> None:
    """This runs on the sandbox, which counts the requests: none."""
    with pytest.raises(httpx.HTTPStatusError) as refused:
        bench.start("onboard-team", team=team)

    assert refused.value.response.status_code == 409
    assert said in refused.value.response.text
    assert bench.sandbox.requests.total() == 0


@pytest.mark.long
def test_a_fault_that_only_the_platform_shows_ends_the_run_before_any_call(
    bench: SandboxBench,
) -> None:
    """This runs on the sandbox, which counts the requests: none."""
    run = bench.run("onboard-team", team={"name": "demo", "profile": "large"})

    assert run["state_type"] == "FAILED"
    assert run["state"]["message"] == (
        "team demo: profile: 'large' is not a profile in platform.yaml; profiles there: none"
    )
    assert bench.sandbox.requests.total() == 0
    assert not (bench.declared / "teams" / "demo.yaml").exists()


@pytest.mark.demand(
    "reality", "faulty files, hostile values and faulty parameters through a real Prefect server"
)
@pytest.mark.long
def test_a_faulty_platform_ends_the_batch_before_any_call_and_names_every_fault(
    bench: SandboxBench,
) -> None:
    """This runs on the sandbox, which counts the requests: none."""
    bench.declare("bad", "harbor: {storage_quota: 0}\n")
    (bench.declared / "platform.yaml").write_text("colour: red\n")

    run = bench.run("onboard-teams", scope="all")

    assert run["state_type"] == "FAILED"
    assert "platform.yaml:1: colour: unknown key" in run["state"]["message"]
    assert "teams/bad.yaml:2: harbor.storage_quota" in run["state"]["message"]
    assert bench.sandbox.requests.total() == 0


@pytest.mark.demand(
    "reality", "faulty files, hostile values and faulty parameters through a real Prefect server"
)
def test_a_faulty_team_file_is_named_with_every_fault_and_the_others_are_onboarded(
    shared: SharedBench,
) -> None:
    good, bad = shared.name("good"), shared.name("bad")
    shared.declare(good)
    shared.declare(bad, "harbor: {storage_quota: 0}\ncolour: red\n")

    run = shared.run("onboard-teams")
    again = shared.run("onboard-teams")

    message = run["state"]["message"]
    assert run["state_type"] == "FAILED"
    assert "1 of 2 teams changed, 1 failed." in message
    assert f"teams/{bad}.yaml:2: harbor.storage_quota" in message
    assert f"teams/{bad}.yaml:3: colour: unknown key" in message
    assert shared.has_project("good")
    assert not shared.has_project("bad")
    assert shared.task_states(run)[f"onboard {good}"] == "Completed"
    assert again["state_type"] == "FAILED"
    assert again["state"]["message"].startswith("No team is new or changed.")
    assert f"teams/{bad}.yaml:3: colour: unknown key" in again["state"]["message"]


@pytest.mark.demand(
    "onboard",
    "one team fails: the others are onboarded, and the message names the team and the reason",
)
def test_a_failing_team_is_named_with_its_reason_and_the_others_are_onboarded(
    shared: SharedBench,
) -> None:
    one, two, three = (shared.name(team) for team in ("one", "two", "three"))
    for name in (one, two, three):
        shared.declare(name)
    shared.core.create_namespace({"metadata": {"name": f"team-{two}"}})

    run = shared.run("onboard-teams")

    message = run["state"]["message"]
    assert run["state_type"] == "FAILED"
    assert "2 of 3 teams changed, 1 failed." in message
    assert f"kubernetes/Namespace/team-{two}: it exists and Tenantry did not create it" in message
    assert shared.has_project("one")
    assert shared.has_project("three")
    tasks = shared.task_states(run)
    assert tasks[f"onboard {two}"] == "Failed"
    assert tasks[f"onboard {one}"] == tasks[f"onboard {three}"] == "Completed"
    assert "FAILED" in shared.artifact("onboarding-result", run)["data"]
    log = shared.platform.whole_log(run["id"])
    assert message.splitlines()[0] in log
    assert "Traceback" not in log, "an expected failure is no fault of ours"
    assert "Engine execution exited" not in log
    assert shared.artifact("onboarding-progress", run)["data"] == 100


@pytest.mark.long
def test_the_schedule_takes_what_is_new_or_changed_and_nothing_else(shared: SharedBench) -> None:
    one, two = shared.name("one"), shared.name("two")
    shared.declare(one)
    shared.declare(two)
    first = shared.run("onboard-teams")
    second = shared.run("onboard-teams")
    shared.declare(two, "harbor: {storage_quota: 5Gi}\n")
    third = shared.run("onboard-teams")

    assert first["state"]["message"] == "2 of 2 teams changed, 0 failed."
    assert second["state"]["message"] == "No team is new or changed."
    assert third["state"]["message"] == "1 of 1 teams changed, 0 failed."


@pytest.mark.long
def test_where_no_team_is_new_no_write_is_sent_to_the_sandbox(bench: SandboxBench) -> None:
    bench.declare("one")
    bench.run("onboard-teams")
    bench.sandbox.requests.reset()

    second = bench.run("onboard-teams")

    assert second["state"]["message"] == "No team is new or changed."
    assert bench.sandbox.requests.writes() == 0


@pytest.mark.long
def test_a_missing_block_is_named(shared: SharedBench) -> None:
    block = shared.block
    Platform(declared_state=block, harbor="nowhere", keycloak=block, clusters={"x": block}).save(
        f"{block}-faulty"
    )

    run = shared.run("onboard-teams", platform=f"{block}-faulty")

    assert run["state_type"] == "FAILED"
    assert run["state"]["message"].startswith(
        "There is no block 'Harbor Connection' named 'nowhere'."
    )
    assert f"'Platform' named '{block}-faulty'" in run["state"]["message"]


@pytest.mark.long
def test_the_same_key_makes_one_run(shared: SharedBench) -> None:
    team = {"name": shared.name("demo")}
    first = shared.start("onboard-team", key=f"{shared.block}-1", team=team)
    again = shared.start("onboard-team", key=f"{shared.block}-1", team=team)

    assert first == again
    assert shared.platform.wait_for_run(first)["state_type"] == "COMPLETED"
