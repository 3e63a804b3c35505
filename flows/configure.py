"""Runbook: bring the platform's own resources, such as single sign-on, in sync with their declaration."""

from typing import Any

from prefect import flow

from flows.parameters import BlockName
from tasks import platform as tasks
from tasks.connections import check_connections, connected, load_platform, read_declared_state
from tasks.locks import TeamLock
from tasks.names import run_name
from tasks.onboarding import walk_of
from tasks.prefect_api import created
from tasks.states import complete, fail
from tenantry import explain
from tenantry.errors import TenantryError
from tenantry.outcomes import Outcome
from tenantry.plan import refuse
from tenantry.resources import PLATFORM


@flow(
    name="configure-platform",
    flow_run_name=run_name("configure platform", options=("renew_client_secret", "dry_run")),
    retries=0,
)
def configure_platform(
    dry_run: bool = False,
    renew_client_secret: bool = False,
    platform: BlockName = "default",
) -> Any:
    """Configure the Keycloak realm, its identity providers, Harbor's OIDC client, and Harbor's settings.

    Args:
        dry_run: Show the changes without making them.
        renew_client_secret: Renew the secret of Harbor's OIDC client in Keycloak now, regardless of
            its age.
        platform: Name of the Platform block.
    """
    try:
        blocks = load_platform(platform)
        declaration = read_declared_state(blocks)
        if not declaration.platform.is_managed:
            return complete("No resources of the platform itself are declared.")
        with connected(
            declaration,
            blocks,
            renew_client_secret_before=created() if renew_client_secret else None,
        ) as systems:
            check_connections(systems, configuring=True)
            walk = walk_of(systems, systems.state.platform)
            plan = walk.plan()
            tasks.publish_plan(plan)
            if dry_run:
                return complete(f"Dry run: {explain.summary([Outcome(PLATFORM, plan)])}")
            outcome = walk.apply(TeamLock([PLATFORM]))
            refuse(walk.planned)
            return complete(explain.summary([outcome], applied=True))
    except TenantryError as error:
        return fail(str(error))
