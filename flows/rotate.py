"""Runbook: rotate the credentials of robots before they expire, without a failed image pull."""

from typing import Any

from prefect import flow, get_run_logger
from prefect.task_runners import ThreadPoolTaskRunner

from flows.parameters import BlockName, Storage
from tasks import rotation as tasks
from tasks import rotation_report
from tasks.active import active_locks
from tasks.connections import connected, finish, load_platform, read_declared_state
from tasks.names import run_name
from tasks.prefect_api import created
from tasks.states import complete, fail
from tenantry.calls import MAX_CONCURRENT_CALLS
from tenantry.errors import TenantryError
from tenantry.rotation import RotationRequest, RotationRun, report
from tenantry.rotation.selection import pick, refuse_unknown


@flow(
    name="rotate-robots",
    flow_run_name=run_name(
        "rotate robots", about="teams", options=("purposes", "force", "compromised", "dry_run")
    ),
    retries=0,
    task_runner=ThreadPoolTaskRunner(max_workers=MAX_CONCURRENT_CALLS),  # type: ignore[arg-type]
)
def rotate_robots(
    teams: list[str] | None = None,
    purposes: list[str] | None = None,
    force: bool = False,
    compromised: bool = False,
    reason: str = "",
    require_approval: bool = True,
    dry_run: bool = False,
    report_storage: Storage | None = None,
    platform: BlockName = "default",
) -> Any:
    """Rotate the credentials that are due, and retire the old ones after their overlap.

    Args:
        teams: Names of the teams to rotate robots of; all teams if empty.
        purposes: Purposes of the robots to rotate, such as pull and ci; all purposes if empty.
        force: Also rotate credentials that are not due.
        compromised: The old credentials are known to others: delete them first, then create new
            ones. Pulls and pushes fail until the clients have loaded the new credentials.
        reason: The reason for a manual run, for the audit trail.
        require_approval: Require an approval in the UI before compromised credentials are deleted.
        dry_run: Show which robots are due now, and when the others will be, without changes.
        report_storage: Type and name of the storage block for the audit trail, such as
            local-file-system/rotation.
        platform: Name of the Platform block. Keycloak is not called.
    """
    try:
        order = tasks.recall_order(RotationRequest(created(), force, compromised, reason))
        blocks = load_platform(platform)
        declaration = read_declared_state(blocks)
        refuse_unknown(purposes, pick(declaration, teams), declaration)
        with connected(declaration, blocks, settle_by_keycloak=False) as systems:
            tasks.check_connections(systems)
            chosen = pick(systems.state, teams)
            run = RotationRun(systems, chosen, order, teams, purposes=purposes)
            outcomes = tasks.observe_robots(run)
            tasks.keep_order(order)
            if dry_run:
                rotation_report.publish_table(outcomes, run.now)
                text = f"Dry run: {report.summary(outcomes)}"
                return finish(complete(text), systems.state, teams)
            by = tasks.who()
            if compromised and require_approval:
                rotation_report.publish_table(outcomes, run.now)
                if person := tasks.approve(outcomes, run.token_lifetime):
                    by = f"{by}, approved by {person}"
            trail = tasks.begin_trail(run, report_storage, by)
            outcomes = tasks.rotate_all(run, trail, outcomes, active_locks(blocks))
            rotation_report.publish_table(outcomes, run.now)
            return rotation_report.conclude(run, trail, outcomes)
    except TenantryError as error:
        get_run_logger().error(str(error))
        return fail(str(error))
