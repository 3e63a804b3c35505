"""Messages name deployments and parameters that the flows have."""

from typing import Any

from prefect import Flow

from flows import migrate
from tenantry.migration import parameters

FLOWS: dict[str, Flow[..., Any]] = {
    parameters.PLAN: migrate.plan_migration,
    parameters.CONTINUE: migrate.continue_migration,
    parameters.FOLLOW_UP: migrate.follow_up_migration,
    parameters.FINISH: migrate.finish_migration,
    parameters.ROLL_BACK: migrate.roll_back_migration,
}
NAMES = {value for name, value in vars(parameters).items() if name.isupper()} - set(FLOWS)


def test_each_deployment_in_a_message_exists() -> None:
    assert {name: flow.name for name, flow in FLOWS.items()} == {name: name for name in FLOWS}


def test_each_parameter_in_a_message_exists() -> None:
    assert set(migrate.plan_migration.parameters.properties) >= NAMES
    for flow in (migrate.finish_migration, migrate.roll_back_migration):
        assert parameters.EXCLUDE_USERS in flow.parameters.properties
