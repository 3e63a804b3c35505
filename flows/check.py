"""Runbook: see that the systems work together, before a user finds out that they do not."""

from typing import Any

from prefect import flow

from flows.onboard import BlockName
from tasks import platform
from tasks.connections import check_connections, connected, read_declared_state
from tasks.names import run_name
from tasks.states import complete, fail
from tenantry import checks
from tenantry.errors import TenantryError


@flow(name="check-platform", flow_run_name=run_name("check the platform"), retries=0)
def check_platform(
    declared_state: BlockName = "default",
    harbor: BlockName = "default",
    keycloak: BlockName = "default",
    cluster: BlockName = "default",
) -> Any:
    """Check the chain from a person's login to a pull. Nothing is changed.

    Args:
        declared_state: Name of the Declared State block.
        harbor: Name of the Harbor Connection block.
        keycloak: Name of the Keycloak Connection block.
        cluster: Name of the Cluster Connection block.
    """
    try:
        declaration = read_declared_state(declared_state)
        with connected(declaration, harbor, keycloak, cluster) as systems:
            check_connections(systems, configuring=True)
            found = platform.check_all(systems)
            report = checks.report(systems, found)
            platform.publish_report(report)
            told = [report.summary, *(f"{f.check}: {f.resource}: {f.detail}" for f in found)]
            in_order = not any(f.severity == "critical" or f.class_ == "unreadable" for f in found)
            state = complete if in_order else fail
            return state("\n".join(told))
    except TenantryError as error:
        return fail(str(error))
