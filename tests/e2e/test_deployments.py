"""The deployments and automations for production."""

from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

import pytest
from prefect.automations import Automation
from ruamel.yaml import YAML

from blocks import Platform
from demo.processes import ROOT, LocalPlatform, ProcessDied
from tests.e2e.conftest import SandboxBench
from tests.support.flow_harness import SharedBench, Worker, scheduled_runs

DEPLOYMENTS = YAML(typ="safe", pure=True).load(ROOT / "prefect.yaml")["deployments"]
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]


def test_each_deployment_with_a_schedule_gets_scheduled_runs(platform: LocalPlatform) -> None:
    """On demand; tests/production has servers that schedule runs by themselves."""
    scheduled = {item["name"] for item in DEPLOYMENTS if item.get("schedules")}
    far = {"start_time": (datetime.now(UTC) + timedelta(days=30)).isoformat(), "max_runs": 1}
    planned = {}
    for name in scheduled:
        id = platform.call("GET", f"deployments/name/{name}/{name}")["id"]
        platform.call("POST", f"deployments/{id}/schedule", far)
        planned[name] = scheduled_runs(platform, name, "SCHEDULED")

    assert len(scheduled) == 7
    assert {name for name, runs in planned.items() if runs} == scheduled
    for run in chain.from_iterable(planned.values()):
        platform.call("DELETE", f"flow_runs/{run['id']}")


@pytest.mark.parametrize(
    ("name", "former"),
    [
        (
            "tenantry: a crashed run is scheduled again",
            "tenantry: a crashed run is scheduled again, once",
        ),
        ("tenantry: drift is remediated (safe only)", "tenantry: drift is mended (safe only)"),
    ],
)
def test_an_automation_that_was_renamed_is_updated_and_not_made_twice(
    platform: LocalPlatform, name: str, former: str
) -> None:
    found: Any = Automation.read(name=name)
    found.name = former
    found.update()
    before = platform.call("POST", "automations/count")

    platform.run("deployments/automations.py")

    again: Any = Automation.read(name=name)
    assert again.id == found.id
    assert platform.call("POST", "automations/count") == before


@pytest.mark.long
def test_a_worker_runs_what_prefect_yaml_declares(shared: SharedBench) -> None:
    platform = shared.platform
    served = platform.call("GET", "deployments/name/onboard-team/onboard-team")
    with Worker(platform):
        deployed = platform.call("GET", "deployments/name/onboard-team/onboard-team")
        run = shared.run("onboard-team", team={"name": shared.name("demo")})

    assert served["id"] == deployed["id"]
    assert deployed["work_pool_name"] == "tenantry"
    assert not deployed["pull_steps"], "a worker on another machine does not have this folder"
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert shared.has_project("demo")


@pytest.mark.long
def test_a_second_run_of_a_deployment_that_runs_one_at_a_time_waits_for_the_first(
    bench: SandboxBench,
) -> None:
    """It is not cancelled, because the user who started it expects its report."""
    bench.sandbox.controls.delay(0.2)
    started = [bench.start("check-platform") for _ in range(2)]
    runs = sorted(map(bench.platform.wait_for_run, started), key=lambda run: run["start_time"])

    assert [run["state_type"] for run in runs] == ["COMPLETED", "COMPLETED"]
    assert runs[0]["end_time"] <= runs[1]["start_time"]


def test_a_deployment_of_an_earlier_version_is_deleted_after_an_upgrade(
    platform: LocalPlatform,
) -> None:
    """Its flow no longer exists, so its schedule would start a crashing run every hour."""
    old = "migrate-identity-provider"
    flow = platform.call("POST", "flows/", {"name": old})["id"]
    body = {"name": old, "flow_id": flow, "tags": ["tenantry", "migration"]}
    kept = {"name": "mine", "flow_id": flow, "tags": []}
    for deployment in (body, kept):
        platform.call("POST", "deployments/", deployment)

    platform.run("deployments/parameters.py")

    names = {item["name"] for item in platform.call("POST", "deployments/filter", {})}
    assert old not in names
    assert {"mine", "follow-up-migration", "plan-migration"} <= names


def test_former_parameters_of_own_deployments_are_renamed_after_an_upgrade(
    platform: LocalPlatform,
) -> None:
    """The flows reject them, so each run of the deployment and its schedules would fail."""
    served = platform.call("GET", "deployments/name/detect-drift/detect-drift")
    former = {"declared_state": "eu", "harbor": "eu", "keycloak": "eu", "cluster": "eu-west"}
    known = (*former, "ask", "store", "remediate", "teams")
    for name, parameters in (
        ("eu-drift", {**former, "ask": False, "store": "local-file-system/eu"}),
        ("us-drift", dict.fromkeys(former, "us") | {"remediate": "safe"}),
        ("no-drift", dict.fromkeys(former, "default")),
        ("default", {"harbor": "eu"}),
    ):
        schedule = {"schedule": {"cron": "0 0 1 1 *"}, "parameters": {"ask": True, "teams": ["a"]}}
        body = {
            "name": name,
            "flow_id": served["flow_id"],
            "tags": ["tenantry"],
            "parameters": parameters,
            "schedules": [schedule],
            "enforce_parameter_schema": True,
            # The schema of the former version: only the shipped deployments are deployed again.
            "parameter_openapi_schema": {
                "type": "object",
                "properties": {each: {} for each in known},
                "additionalProperties": False,
            },
        }
        platform.call("POST", "deployments/", body)

    for _ in range(2):
        platform.run("deployments/parameters.py")

    found = {}
    for name in ("eu-drift", "us-drift", "no-drift", "default"):
        deployment = platform.call("GET", f"deployments/name/detect-drift/{name}")
        found[name] = deployment["parameters"]
        (schedule,) = deployment["schedules"]
        assert schedule["parameters"] == {"require_approval": True, "teams": ["a"]}
        assert deployment["parameter_openapi_schema"]["additionalProperties"] is False
        run = {"parameters": {"require_approval": True, "fail_on": "drift"}}
        platform.call("POST", f"deployments/{deployment['id']}/create_flow_run", run)
        platform.call("DELETE", f"deployments/{deployment['id']}")
    assert found == {
        "eu-drift": {
            "platform": "eu-drift",
            "require_approval": False,
            "report_storage": "local-file-system/eu",
        },
        "us-drift": {"platform": "us", "remediate": "safe"},
        "no-drift": {"platform": "default"},
        # A block 'Platform/default' would be used by all runs that name no Platform block.
        "default": {"platform": "detect-drift-default"},
    }
    load: Any = Platform.load  # it answers at once outside of an event loop
    assert load("eu-drift").clusters == {"home": "eu-west"}
    assert load("eu-drift").harbor == "eu"
    assert load("us").keycloak == "us"
    assert load("detect-drift-default").harbor == "eu"


def test_an_own_deployment_that_cannot_be_updated_does_not_stop_the_others(
    platform: LocalPlatform,
) -> None:
    """`serve.py` updates them at its start: it would serve no flow."""
    served = platform.call("GET", "deployments/name/check-platform/check-platform")
    for name, parameters in (("broken", {"unknown": 1}), ("whole", {"harbor": "default"})):
        body = {"name": name, "flow_id": served["flow_id"], "tags": ["tenantry"]}
        platform.call("POST", "deployments/", body | {"parameters": parameters})

    with pytest.raises(ProcessDied, match="broken: not updated"):
        platform.run("deployments/parameters.py")

    found = {}
    for name in ("broken", "whole"):
        deployment = platform.call("GET", f"deployments/name/check-platform/{name}")
        found[name] = deployment["parameters"]
        platform.call("DELETE", f"deployments/{deployment['id']}")
    assert found == {"broken": {"unknown": 1}, "whole": {"platform": "default"}}


@pytest.mark.long
@pytest.mark.timeout(900)
def test_deployments_after_the_first_page_are_updated_and_deleted_too(
    platform: LocalPlatform,
) -> None:
    """Prefect's API answers 200 deployments at a time, here in the order of their names."""
    flow = platform.call("GET", "deployments/name/check-platform/check-platform")["flow_id"]
    own = {"flow_id": flow, "tags": ["tenantry"], "parameters": {"harbor": "default"}}
    numbers = range(205)
    ids = [
        platform.call("POST", "deployments/", {**own, "name": f"early-{number}"})["id"]
        for number in numbers
    ]
    former = platform.call("POST", "flows/", {"name": "zz-former"})["id"]
    retired = {"name": "migrate-identity-provider", "flow_id": former, "tags": ["tenantry"]}
    retired_id = platform.call("POST", "deployments/", retired)["id"]

    platform.run("deployments/parameters.py")

    parameters = [platform.call("GET", f"deployments/{id}")["parameters"] for id in ids]
    assert parameters == [{"platform": "default"} for _ in numbers]
    wanted = {"deployments": {"id": {"any_": [retired_id]}}}
    assert platform.call("POST", "deployments/filter", wanted) == []
    for id in ids:
        platform.call("DELETE", f"deployments/{id}")
