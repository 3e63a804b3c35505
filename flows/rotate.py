"""Runbook: exchange robots' credentials before they are too old, without one failed pull."""

from typing import Any

from prefect import flow, get_run_logger
from prefect.task_runners import ThreadPoolTaskRunner

from flows.onboard import BlockName, StoreName
from tasks import rotation as tasks
from tasks import rotation_report
from tasks.connections import connected, finish, read_declared_state
from tasks.names import run_name
from tasks.prefect_api import created
from tasks.states import complete, fail
from tenantry.calls import MAX_CONCURRENT_CALLS
from tenantry.errors import TenantryError
from tenantry.rotation import RotationRequest, RotationRun, report


@flow(
    name="rotate-robots",
    flow_run_name=run_name("rotate robots"),
    retries=0,
    task_runner=ThreadPoolTaskRunner(max_workers=MAX_CONCURRENT_CALLS),  # type: ignore[arg-type]
)
def rotate_robots(
    teams: list[str] | None = None,
    purposes: list[str] | None = None,
    force: bool = False,
    compromised: bool = False,
    reason: str = "",
    ask: bool = True,
    dry_run: bool = False,
    store: StoreName | None = None,
    declared_state: BlockName = "default",
    harbor: BlockName = "default",
    keycloak: BlockName = "default",
    cluster: BlockName = "default",
) -> Any:
    """Exchange the credentials that are due, and retire the old ones whose time is over.

    Args:
        teams: Names of teams, to take no others.
        purposes: Purposes of robots, such as pull and ci, to take no others.
        force: Exchange credentials that are not due, too.
        compromised: The old credentials are known to others: delete them first, then make new
            ones. Pulls and pushes fail until whoever makes them has read the new one.
        reason: Why it is done by hand, for the audit trail.
        ask: Ask in the UI before anything compromised is deleted.
        dry_run: Show who is due, and when everybody else will be, and change nothing.
        store: Type and name of a file-system block that keeps the audit trail, such as
            local-file-system/rotation.
        declared_state: Name of the Declared State block.
        harbor: Name of the Harbor Connection block.
        keycloak: Name of the Keycloak Connection block. It is not called.
        cluster: Name of the Cluster Connection block.
    """
    try:
        order = tasks.recall_order(RotationRequest(created(), force, compromised, reason))
        declaration = read_declared_state(declared_state)
        tasks.refuse_unknown(purposes, tasks.pick(declaration, teams), declaration)
        with connected(declaration, harbor, keycloak, cluster, settle_by_keycloak=False) as systems:
            tasks.check_connections(systems)
            chosen = tasks.pick(systems.state, teams)
            run = RotationRun(systems, chosen, order, teams, purposes=purposes)
            outcomes = tasks.observe_robots(run)
            tasks.keep_order(order)
            if dry_run:
                rotation_report.publish_table(outcomes, run.now)
                text = f"Dry run: {report.summary(outcomes)}"
                return finish(complete(text), systems.state, teams)
            by = tasks.who()
            if compromised and ask:
                rotation_report.publish_table(outcomes, run.now)
                if person := tasks.approve(outcomes, run.token_lifetime):
                    by = f"{by}, approved by {person}"
            trail = tasks.begin_trail(run, store, by)
            outcomes = tasks.rotate_all(run, trail, outcomes)
            rotation_report.publish_table(outcomes, run.now)
            return rotation_report.conclude(run, trail, outcomes)
    except TenantryError as error:
        get_run_logger().error(str(error))
        return fail(str(error))
