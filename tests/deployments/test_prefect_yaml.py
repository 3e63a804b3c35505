"""What ships for production says what it means: Prefect ignores an unknown key of a deployment."""

import asyncio
import inspect
import runpy
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from prefect import Flow
from prefect.client.schemas.objects import ConcurrencyLimitStrategy
from prefect.client.schemas.schedules import CronSchedule
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.server.schemas.schedules import CronSchedule as ServerSchedule
from pydantic import BaseModel, ConfigDict, Field, field_validator
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Limit(Strict):
    limit: int = Field(ge=1)
    collision_strategy: Literal["ENQUEUE"]


class Schedule(Strict):
    cron: str
    timezone: str

    @field_validator("timezone")
    @classmethod
    def _is_known(cls, value: str) -> str:
        ZoneInfo(value)
        return value


class JobVariables(Strict):
    command: Literal["python -m prefect.engine"]
    env: dict[str, str]


class WorkPool(Strict):
    name: Literal["tenantry"]
    job_variables: JobVariables


class Deployment(Strict):
    name: str
    entrypoint: str = Field(pattern=r"^flows\.[a-z_]+\.[a-z_]+$")
    description: str = Field(min_length=40)
    tags: list[str]
    parameters: dict[str, Any] = {}
    schedules: list[Schedule] = []
    concurrency_limit: Limit
    work_pool: WorkPool

    @property
    def flow(self) -> Flow[..., Any]:
        module, _, name = self.entrypoint.rpartition(".")
        flow = getattr(import_module(module), name)
        assert isinstance(flow, Flow)
        return flow


class PrefectYaml(Strict):
    name: str
    prefect_version: str = Field(alias="prefect-version")
    pull: list[Any] = Field(max_length=0)
    definitions: dict[str, Any]
    deployments: list[Deployment]


def read() -> PrefectYaml:
    return PrefectYaml.model_validate(YAML(typ="safe", pure=True).load(ROOT / "prefect.yaml"))


DEPLOYMENTS = read().deployments
each_deployment = pytest.mark.parametrize("declared", DEPLOYMENTS, ids=lambda d: d.name)


@pytest.fixture(scope="module")
def served() -> dict[str, Any]:
    """What deployments/serve.py offers."""
    return runpy.run_path(str(ROOT / "deployments" / "serve.py"))


@pytest.fixture(scope="module")
def automations() -> dict[str, Any]:
    """What deployments/automations.py offers."""
    return runpy.run_path(str(ROOT / "deployments" / "automations.py"))


# prefect.yaml


def test_every_flow_is_deployed_once() -> None:
    found = {
        f"flows.{path.stem}.{name}"
        for path in (ROOT / "flows").glob("[!_]*.py")
        for name, value in inspect.getmembers(import_module(f"flows.{path.stem}"))
        if isinstance(value, Flow)
    }

    assert sorted(declared.entrypoint for declared in DEPLOYMENTS) == sorted(found)
    assert len({declared.name for declared in DEPLOYMENTS}) == len(DEPLOYMENTS)


@each_deployment
def test_a_deployment_is_called_as_its_flow_and_tagged_for_the_automations(
    declared: Deployment,
) -> None:
    assert declared.name == declared.flow.name
    assert "tenantry" in declared.tags


@each_deployment
def test_a_flow_is_never_retried_as_a_whole(declared: Deployment) -> None:
    """A flow's retry has no condition: it would repeat refusals."""
    assert declared.flow.retries == 0


@each_deployment
def test_a_flow_and_each_of_its_parameters_are_described(declared: Deployment) -> None:
    schema = declared.flow.parameters

    assert declared.flow.description
    for name, parameter in schema.properties.items():
        assert parameter.get("description"), f"{declared.name}: {name}"


@each_deployment
def test_the_parameters_are_the_flows(declared: Deployment) -> None:
    known = declared.flow.parameters.properties

    assert set(declared.parameters) <= set(known)
    if not declared.flow.parameters.required:
        declared.flow.validate_parameters(declared.parameters)


@each_deployment
def test_the_schedules_are_such_as_prefect_takes(declared: Deployment) -> None:
    for schedule in declared.schedules:
        assert CronSchedule(**schedule.model_dump()).timezone == schedule.timezone


@each_deployment
def test_the_server_finds_the_next_runs_of_a_schedule(declared: Deployment) -> None:
    """With the locked packages: with others, the server's scheduler raises for each deployment."""
    for schedule in declared.schedules:
        dates = asyncio.run(ServerSchedule(**schedule.model_dump()).get_dates(n=3))

        assert len(dates) == 3
        assert dates == sorted(set(dates))


# deployments/serve.py


def test_what_is_served_is_what_is_declared(served: dict[str, Any]) -> None:
    offered = served["deployments"]()

    assert [
        {
            "name": deployment.name,
            "flow": deployment.flow_name,
            "entrypoint": deployment.entrypoint,
            "description": deployment.description,
            "tags": deployment.tags,
            "parameters": deployment.parameters,
            "schedules": [
                (schedule.schedule.cron, schedule.schedule.timezone)
                for schedule in deployment.schedules
            ],
            "limit": deployment.concurrency_limit,
            "strategy": deployment.concurrency_options.collision_strategy,
        }
        for deployment in offered
    ] == [
        {
            "name": declared.name,
            "flow": declared.flow.name,
            "entrypoint": declared.entrypoint,
            "description": declared.description,
            "tags": declared.tags,
            "parameters": declared.parameters,
            "schedules": [(schedule.cron, schedule.timezone) for schedule in declared.schedules],
            "limit": declared.concurrency_limit.limit,
            "strategy": ConcurrencyLimitStrategy(declared.concurrency_limit.collision_strategy),
        }
        for declared in DEPLOYMENTS
    ]


@each_deployment
def test_a_served_run_has_the_environment_of_a_workers(
    declared: Deployment, served: dict[str, Any]
) -> None:
    assert served["environment"]() == declared.work_pool.job_variables.env


# deployments/automations.py


@each_deployment
def test_runs_say_that_they_live_as_often_as_the_automation_listens(
    declared: Deployment, automations: dict[str, Any]
) -> None:
    heartbeat = automations["HEARTBEAT"].total_seconds()
    silent = automations["automations"]()[0]

    assert declared.work_pool.job_variables.env["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == (
        f"{heartbeat:.0f}"
    )
    assert silent.trigger.within.total_seconds() >= 3 * heartbeat


def test_the_automations_are_valid_and_are_for_our_runs_only(automations: dict[str, Any]) -> None:
    silent, stuck, again = ours = automations["automations"]()

    assert len({automation.name for automation in ours}) == len(ours)
    for automation in ours:
        assert automation.description
        assert automation.enabled
        assert isinstance(automation.trigger, EventTrigger)
        related = automation.trigger.match_related
        assert isinstance(related, ResourceSpecification)
        assert related.model_dump()["prefect.resource.id"] == "prefect.tag.tenantry"
        assert type(automation).model_validate(automation.model_dump(mode="json"))
    for automation in (silent, stuck):
        assert automation.trigger.posture is Posture.Proactive
        assert automation.trigger.after <= automation.trigger.expect, "each attempt is watched"
        assert "prefect.flow-run.AwaitingRetry" in automation.trigger.expect, "no process is needed"
        assert not again.trigger.expect & automation.trigger.expect, "one could lose it"
        assert automation.actions[0].state == "CRASHED"
    assert "prefect.flow-run.Running" in silent.trigger.after, "it may die before a heartbeat"
    assert "prefect.flow-run.Running" in stuck.trigger.expect
    assert again.trigger.posture is Posture.Reactive
    assert again.trigger.expect == {"prefect.flow-run.Crashed"}
    assert again.trigger.match.model_dump()["prefect.run-count"] == ["0", "1", "2"]
    assert "prefect.run-count" in again.trigger.for_each, "a run that never starts keeps its count"
    assert again.trigger.within >= timedelta(days=1)
    assert again.actions[0].state == "SCHEDULED"


def test_the_automations_about_drift_ask_for_labels_and_mend_safely(
    automations: dict[str, Any],
) -> None:
    """That their templates arrive as they must: tests/e2e/test_drift.py."""
    id = uuid4()
    mends, tells = automations["remediation"](id), automations["notification"](id)
    (run,), (message,) = mends.actions, tells.actions

    assert not mends.enabled, "whether to mend unasked is not for us to say"
    assert tells.enabled
    assert run.deployment_id == message.block_document_id == id
    assert run.parameters["remediate"] == "safe"
    flow = next(each.flow for each in DEPLOYMENTS if each.name == "detect-drift")
    assert set(run.parameters) <= set(flow.parameters.properties)
    for automation in (mends, tells):
        assert automation.trigger.expect == {"tenantry.drift.detected"}
        match = automation.trigger.match.model_dump()
        assert match["prefect.resource.id"] == "tenantry.drift"
    assert mends.trigger.match.model_dump()["tenantry.remediated"] == "no"
