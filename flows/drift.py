"""Runbook: find where the systems differ from the declared state, and remediate if asked to."""

from typing import Any

from prefect import flow, get_run_logger
from prefect.task_runners import ThreadPoolTaskRunner

from flows.parameters import BlockName, Commit, Storage
from tasks import drift as tasks
from tasks import drift_report
from tasks.active import active_locks
from tasks.connections import connected, load_platform, read_declared_state
from tasks.drift_report import FailOn
from tasks.names import run_name
from tasks.states import fail
from tasks.store import BlockStore
from tenantry.calls import MAX_CONCURRENT_CALLS
from tenantry.drift import SYSTEMS, Order, Remediate, SystemName
from tenantry.errors import TenantryError


@flow(
    name="detect-drift",
    flow_run_name=run_name(
        "detect drift", about="teams", options=("systems", "remediate", "remove", "commit")
    ),
    retries=0,
    task_runner=ThreadPoolTaskRunner(max_workers=MAX_CONCURRENT_CALLS),  # type: ignore[arg-type]
)
def detect_drift(
    teams: list[str] | None = None,
    systems: list[SystemName] | None = None,
    probe_credentials: bool = True,
    remediate: Remediate = "none",
    remove: list[str] | None = None,
    require_approval: bool = True,
    fail_on: FailOn = "never",
    report_storage: Storage | None = None,
    commit: Commit | None = None,
    platform: BlockName = "default",
) -> Any:
    """Report where the systems differ from the declared state, and remediate the drift if asked to.

    Args:
        teams: Names of the teams to check; all teams if empty. Only a run for all teams reports the
            resources that belong to no declared team.
        systems: Systems to report on; all systems if empty.
        probe_credentials: Test with one login for each robot whether its credential works.
        remediate: "none" only reports. "safe" creates missing and updates changed resources that
            Tenantry owns. "all" also adopts the resources that the declared state says to adopt, and
            removes extra resources that Tenantry owns.
        remove: Extra resources to remove although Tenantry does not own them, each as the report
            names it, such as harbor/robot/team-shop/by-hand.
        require_approval: Require an approval in the UI before the run removes anything.
        fail_on: The findings that make the run end Failed: none ("never"), any ("drift"), or only
            resources that could not be read ("unreadable").
        report_storage: Type and name of the storage block for the report's files and the history,
            such as local-file-system/drift.
        commit: Full hash of a commit of the declared state's branch to compare with; the latest commit
            if empty.
        platform: Name of the Platform block.
    """
    order = Order(remediate, tuple(remove or ()), tuple(systems or SYSTEMS))
    try:
        blocks = load_platform(platform)
        declaration = read_declared_state(blocks, commit)
        declaration.pick(teams)
        store = BlockStore(report_storage) if report_storage else None
        before = drift_report.Before(store)
        with connected(
            declaration, blocks, probe_credentials=probe_credentials, extras=True
        ) as connections:
            detection = tasks.Detection(connections, order.systems, teams, active_locks(blocks))
            first = last = detection.find()
            outcome = tasks.remediate(detection, first, order, require_approval=require_approval)
            if outcome.teams:
                last = detection.find(again=True)
        parameters = {"platform": platform, "report_storage": report_storage}
        drift_report.publish(last.report, before, first.report, outcome, store, parameters)
        return drift_report.conclude(last.report, outcome, fail_on)
    except TenantryError as error:
        get_run_logger().error(str(error))
        return fail(str(error))
