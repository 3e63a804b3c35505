"""Runbook: find what of the systems is not as declared, and mend it where told to."""

from typing import Any

from prefect import flow, get_run_logger
from prefect.task_runners import ThreadPoolTaskRunner

from flows.onboard import BlockName, Commit, StoreName
from tasks import drift as tasks
from tasks import drift_report
from tasks.connections import connected, read_declared_state
from tasks.drift_report import FailOn
from tasks.names import run_name
from tasks.states import fail
from tasks.store import BlockStore
from tenantry.calls import MAX_CONCURRENT_CALLS
from tenantry.drift import SYSTEMS, Order, Remediate, SystemName
from tenantry.errors import TenantryError


@flow(
    name="detect-drift",
    flow_run_name=run_name("detect drift"),
    retries=0,
    task_runner=ThreadPoolTaskRunner(max_workers=MAX_CONCURRENT_CALLS),  # type: ignore[arg-type]
)
def detect_drift(
    teams: list[str] | None = None,
    systems: list[SystemName] | None = None,
    probe_credentials: bool = True,
    remediate: Remediate = "none",
    remove: list[str] | None = None,
    ask: bool = True,
    fail_on: FailOn = "never",
    store: StoreName | None = None,
    commit: Commit | None = None,
    declared_state: BlockName = "default",
    harbor: BlockName = "default",
    keycloak: BlockName = "default",
    cluster: BlockName = "default",
) -> Any:
    """Report what of the systems is not as declared, and mend it where told to.

    Args:
        teams: Names of teams, to look at no others.
        systems: Systems to tell of; all if not given.
        probe_credentials: Try whether robots' credentials open Harbor, a call each.
        remediate: "none" only reports; "safe" creates and updates what is ours; "all" also takes
            over what the declared state says to adopt, and removes extras that carry our mark.
        remove: Extras to remove that do not carry our mark, each as the report names it:
            system/kind/key.
        ask: Ask in the UI before anything is removed.
        fail_on: When the run ends Failed: "never" for what it finds; "drift" if there is any
            finding; "unreadable" if something could not be read.
        store: Type and name of a file-system block that keeps the report's files and the history,
            such as local-file-system/drift.
        commit: Full hash of a commit of the declared state's branch, to hold the systems to that
            commit; the latest if not given.
        declared_state: Name of the Declared State block.
        harbor: Name of the Harbor Connection block.
        keycloak: Name of the Keycloak Connection block.
        cluster: Name of the Cluster Connection block.
    """
    order = Order(remediate, tuple(remove or ()), tuple(systems or SYSTEMS))
    try:
        declaration = read_declared_state(declared_state, commit)
        declaration.pick(teams)
        archive = BlockStore(store) if store else None
        before = drift_report.Before(archive)
        with connected(
            declaration,
            harbor,
            keycloak,
            cluster,
            probe_credentials=probe_credentials,
            extras=True,
        ) as connections:
            detection = tasks.Detection(connections, order.systems, teams)
            first = last = detection.find()
            outcome = tasks.remediate(detection, first, order, ask=ask)
            if outcome.teams:
                last = detection.find(again=True)
        blocks = {
            "declared_state": declared_state,
            "harbor": harbor,
            "keycloak": keycloak,
            "cluster": cluster,
            "store": store,
        }
        drift_report.publish(last.report, before, first.report, outcome, archive, blocks)
        return drift_report.conclude(last.report, outcome, fail_on)
    except TenantryError as error:
        get_run_logger().error(str(error))
        return fail(str(error))
