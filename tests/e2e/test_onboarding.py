"""The flows through a real Prefect server, as people and programs trigger them."""

import httpx
import pytest

from tenantry.sandbox import Sandbox

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def writes(sandbox: Sandbox) -> int:
    return sandbox.requests.writes()


def test_one_team_is_onboarded_through_the_api(bench):
    run = bench.run("onboard-team", team={"name": "demo", "display_name": "Demo"})

    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert run["name"] == "onboard demo"
    assert "team-demo" in bench.sandbox.harbor.projects
    assert bench.sandbox.kubernetes.get("Secret", "harbor-pull", "team-demo")
    assert (bench.declared / "teams" / "demo.yaml").exists(), "the team is declared now"
    tasks = bench.task_runs(run)
    assert {"look at Harbor", "Kubernetes", "Keycloak", "Harbor", "Credentials"} <= set(tasks)
    assert set(tasks.values()) == {"Completed"}


def test_the_artifacts_tell_the_changes_and_the_way_in_but_no_secret(bench):
    run = bench.run("onboard-team", team={"name": "demo"})

    plan = bench.artifact("plan-demo", run)
    guide = bench.artifact("welcome-demo", run)
    assert plan["type"] == "table"
    assert "team-demo" in plan["data"]
    assert "docker" in guide["data"]
    shown = plan["data"] + guide["data"]
    issued = bench.sandbox.harbor.issued_secrets
    assert issued, "the sandbox handed out secrets"
    assert not [secret for secret in issued if secret in shown]


def test_a_dry_run_shows_the_changes_and_makes_none(bench):
    run = bench.run("onboard-team", team={"name": "demo"}, dry_run=True)

    assert run["state_type"] == "COMPLETED"
    assert run["state"]["message"].startswith("Dry run: 1 team: ")
    assert writes(bench.sandbox) == 0
    assert not (bench.declared / "teams" / "demo.yaml").exists()
    assert "team-demo" in bench.artifact("plan-demo", run)["data"]


@pytest.mark.parametrize(
    ("team", "said"),
    [
        ({"name": "Demo"}, "name"),
        ({"name": "a--b"}, "name"),
        ({"name": "123"}, "name"),
        ({"name": "demo", "colour": "red"}, "colour"),
        ({"name": "demo", "harbor": {"role": "master"}}, "role"),
    ],
)
def test_a_bad_team_is_refused_by_the_api_itself(bench, team, said):
    with pytest.raises(httpx.HTTPStatusError) as refused:
        bench.start("onboard-team", team=team)

    assert refused.value.response.status_code == 409
    assert said in refused.value.response.text
    assert bench.sandbox.requests.total() == 0


def test_a_fault_that_only_the_platform_shows_ends_the_run_before_any_call(bench):
    run = bench.run("onboard-team", team={"name": "demo", "profile": "large"})

    assert run["state_type"] == "FAILED"
    assert run["state"]["message"] == (
        "team demo: profile: 'large' is no profile in platform.yaml; profiles there: none"
    )
    assert bench.sandbox.requests.total() == 0
    assert not (bench.declared / "teams" / "demo.yaml").exists()


def test_bad_declared_state_ends_the_batch_before_any_call_and_names_every_fault(bench):
    bench.declare("good")
    bench.declare("bad", "harbor: {storage_quota: 0}\ncolour: red\n")

    run = bench.run("onboard-teams", which="all")

    assert run["state_type"] == "FAILED"
    assert "teams/bad.yaml:2: harbor.storage_quota" in run["state"]["message"]
    assert "teams/bad.yaml:3: colour: unknown key" in run["state"]["message"]
    assert bench.sandbox.requests.total() == 0


def test_a_failing_team_is_named_with_its_reason_and_the_others_are_onboarded(bench):
    for name in ("one", "two", "three"):
        bench.declare(name)
    bench.sandbox.kubernetes.put(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team-two"}}
    )

    run = bench.run("onboard-teams")

    assert run["state_type"] == "FAILED"
    assert "2 of 3 teams changed, 1 failed." in run["state"]["message"]
    assert (
        "kubernetes/Namespace/team-two: it exists and Tenantry did not make it"
        in (run["state"]["message"])
    )
    assert {"team-one", "team-three"} <= set(bench.sandbox.harbor.projects)
    tasks = bench.task_runs(run)
    assert tasks["onboard two"] == "Failed"
    assert tasks["onboard one"] == tasks["onboard three"] == "Completed"
    assert "FAILED" in bench.artifact("onboarding-result", run)["data"]
    assert bench.artifact("onboarding-progress", run)["data"] == 100


def test_the_schedule_takes_what_is_new_or_changed_and_nothing_else(bench):
    bench.declare("one")
    bench.declare("two")
    first = bench.run("onboard-teams")
    bench.sandbox.requests.reset()
    second = bench.run("onboard-teams")
    writes_of_second = writes(bench.sandbox)
    bench.declare("two", "harbor: {storage_quota: 5Gi}\n")
    third = bench.run("onboard-teams")

    assert first["state"]["message"] == "2 of 2 teams changed, 0 failed."
    assert second["state"]["message"] == "No team is new or changed."
    assert writes_of_second == 0
    assert third["state"]["message"] == "1 of 1 teams changed, 0 failed."


def test_a_missing_block_is_named(bench):
    run = bench.run("onboard-teams", harbor="nowhere")

    assert run["state_type"] == "FAILED"
    assert run["state"]["message"].startswith(
        "There is no block 'Harbor Connection' named 'nowhere'."
    )


def test_the_same_key_makes_one_run(bench):
    first = bench.start("onboard-team", key=f"{bench.block}-1", team={"name": "demo"})
    again = bench.start("onboard-team", key=f"{bench.block}-1", team={"name": "demo"})

    assert first == again
    assert bench.platform.wait_for_run(first)["state_type"] == "COMPLETED"
