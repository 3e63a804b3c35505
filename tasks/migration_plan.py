"""The tasks that plan a migration: find the target, inspect, and export."""

from collections.abc import Sequence

from prefect import get_run_logger
from prefect.runtime import flow_run

from blocks import KeycloakConnection
from blocks.platform import PlatformBlocks
from tasks.connections import load_block
from tasks.migration import MigrationRun
from tasks.step import step
from tasks.store import BlockStore
from tenantry.migration import journal, planning, report
from tenantry.migration.identities import Match
from tenantry.migration.inspection import Inspection
from tenantry.migration.options import Options
from tenantry.migration.planning import Target
from tenantry.migration.snapshot import Identity
from tenantry.systems.systems import Systems


@step("find migration")
def find_target(
    systems: Systems, store: BlockStore, blocks: PlatformBlocks, requested: str, *, replan: bool
) -> MigrationRun:
    """Return the migration that the declared state asks for, if it may be planned now.

    Args:
        systems: the systems.
        store: the store of the journal.
        blocks: the loaded blocks. The migration changes the declared state.
        requested: the situation that the operator requests, or `auto`.
        replan: whether an approved plan may be replaced.

    Raises:
        NothingToMigrate: nothing is declared to be migrated.
        TenantryError: another migration is in progress, or the plan is final or already approved.
    """
    entry = journal.read(store)
    if entry is None or not entry.is_on:
        target = planning.find_target(systems, requested)
        return MigrationRun(systems, store, blocks, target)
    target = Target(entry.situation, entry.old, entry.new)
    run = MigrationRun(systems, store, blocks, target)
    planning.check_plannable(run.migration, requested, run=str(flow_run.id), replan=replan)
    return run


def complete_options(run: MigrationRun, options: Options) -> Options:
    """Return the options with the way in which the run's situation moves users.

    Raises:
        TenantryError: the options contradict the situation.
    """
    return planning.complete_options(run.target, options)


def is_planned(run: MigrationRun) -> bool:
    """Return whether this run has already made its plan: it was started again after a crash."""
    return run.migration.is_on and run.migration.entry.run == str(flow_run.id)


@step("read identities")
def read_identities(run: MigrationRun, match: Match, file: str, keycloak: str) -> list[Identity]:
    """Return the users of the new provider, from a file in the store or from an admin API.

    Args:
        run: the migration.
        match: the attribute that is matched.
        file: the name of the identities file; empty if there is none.
        keycloak: the name of the new provider's Keycloak Connection block; empty if there is none.
    """
    account = load_block(KeycloakConnection, keycloak).account() if keycloak else None
    return planning.read_identities(
        run.systems, run.store, run.target, match, file=file, account=account
    )


@step("inspect users")
def inspect(
    run: MigrationRun, identities: Sequence[Identity], options: Options, file: str
) -> Inspection:
    """Return the inspection, and write the people to the store. It changes nothing in the systems."""
    run.progress.begin("Inspecting")
    found = planning.inspect(
        run.systems, run.target, identities, options, file=file, progress=run.progress
    )
    report.write_inspection(run.store, found)
    get_run_logger().info(found.summary)
    return found


@step("export snapshot")
def export(run: MigrationRun, found: Inspection, options: Options, *, replan: bool) -> None:
    """Write the snapshot to the store, and read it back.

    The former plan may have been approved during the inspection, so this is checked again.
    """
    id = str(flow_run.id)
    planning.check_replan(run.migration, run=id, replan=replan)
    situation, old, new = run.target
    plan = run.migration.export(found, old, new, options, situation, id)
    get_run_logger().info("Plan %s needs an approval.", plan)
