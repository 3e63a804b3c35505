"""Runbook: check that the systems work together, before users notice that they do not."""

from typing import Any

from prefect import flow

from flows.parameters import BlockName
from tasks import platform as tasks
from tasks.connections import check_connections, connected, load_platform, read_declared_state
from tasks.names import run_name
from tasks.states import complete, fail
from tenantry import checks
from tenantry.errors import TenantryError


@flow(name="check-platform", flow_run_name=run_name("check platform"), retries=0)
def check_platform(
    platform: BlockName = "default",
) -> Any:
    """Check that the systems work together, from a login to an image pull. Nothing is changed.

    Args:
        platform: Name of the Platform block.
    """
    try:
        blocks = load_platform(platform)
        declaration = read_declared_state(blocks)
        with connected(declaration, blocks) as systems:
            check_connections(systems, configuring=True)
            found = tasks.check_all(systems)
            report = checks.report(systems, found)
            tasks.publish_report(report)
            lines = [report.summary, *(f"{f.check}: {f.resource}: {f.detail}" for f in found)]
            failed = any(f.severity == "critical" or f.class_ == "unreadable" for f in found)
            state = fail if failed else complete
            return state("\n".join(lines))
    except TenantryError as error:
        return fail(str(error))
