"""Runbook: bring what is the platform's own to what is declared of it: single sign-on first of all."""

from typing import Any

from prefect import flow

from flows.onboard import BlockName
from tasks import platform
from tasks.connections import check_connections, connected, read_declared_state
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


@flow(name="configure-platform", flow_run_name=run_name("configure the platform"), retries=0)
def configure_platform(
    dry_run: bool = False,
    renew_client_secret: bool = False,
    declared_state: BlockName = "default",
    harbor: BlockName = "default",
    keycloak: BlockName = "default",
    cluster: BlockName = "default",
) -> Any:
    """Configure the realm, its external providers, Harbor's client, and Harbor.

    Args:
        dry_run: Show the changes and make none.
        renew_client_secret: Renew the secret of Harbor's client in the realm now, whatever its age.
        declared_state: Name of the Declared State block.
        harbor: Name of the Harbor Connection block.
        keycloak: Name of the Keycloak Connection block.
        cluster: Name of the Cluster Connection block.
    """
    try:
        declaration = read_declared_state(declared_state)
        if not declaration.platform.is_managed:
            return complete("Nothing of the platform's own is declared.")
        with connected(
            declaration,
            harbor,
            keycloak,
            cluster,
            renew_client_secret_before=created() if renew_client_secret else None,
        ) as systems:
            check_connections(systems, configuring=True)
            walk = walk_of(systems, systems.state.platform)
            plan = walk.plan()
            platform.publish_plan(plan)
            if dry_run:
                return complete(f"Dry run: {explain.summary([Outcome(PLATFORM, plan)])}")
            outcome = walk.apply(TeamLock([PLATFORM]))
            refuse(walk.planned)
            return complete(explain.summary([outcome], applied=True))
    except TenantryError as error:
        return fail(str(error))
