"""Runbook: move users to another identity provider without loss of access. See docs/migrate.md.

Five flows work on one migration. Its journal is in the report storage and records its state.
"""

from collections.abc import Callable
from typing import Any, Literal

from prefect import flow, get_run_logger

from blocks.platform import PlatformBlocks
from flows.parameters import (
    BlockName,
    Count,
    Hash,
    OptionalBlockName,
    Percent,
    PositiveCount,
    Storage,
)
from tasks import migration as tasks
from tasks import migration_approval as approvals
from tasks import migration_plan as planning
from tasks import migration_report
from tasks.connections import (
    check_connections,
    connected,
    finish,
    load_platform,
    read_declared_state,
)
from tasks.names import run_name
from tasks.states import complete, fail
from tasks.store import BlockStore, NoStore
from tenantry.errors import TenantryError
from tenantry.migration.consequences import IN_HARBOR
from tenantry.migration.identities import Match
from tenantry.migration.options import Options
from tenantry.migration.planning import NothingToMigrate
from tenantry.systems.systems import Systems
from tenantry.wording import count


@flow(
    name="plan-migration",
    flow_run_name=run_name("plan migration", options=("situation", "replan")),
    retries=0,
    persist_result=False,
)
def plan_migration(
    report_storage: Storage,
    situation: Literal["auto", "provider", "users", "issuer"] = "auto",
    match: Match = "email",
    identities_file: str = "",
    new_keycloak: OptionalBlockName = "",
    pilot: list[str] | None = None,
    groups: list[str] | None = None,
    wave_percent: Percent = 100,
    exclude_users: list[str] | None = None,
    reimport_users: list[str] | None = None,
    soak_hours: Count = 168,
    keep_days: Count = 30,
    max_wave_percent: Percent = 50,
    replan: bool = False,
    platform: BlockName = "default",
) -> Any:
    """Check which users must move and what blocks the migration. If nothing blocks it, create a plan.

    Args:
        report_storage: Type and name of the storage block for the journal, the snapshot and the
            reports, such as local-file-system/migration. All runs of a migration take the same.
        situation: What changes: an external provider of the realm ("provider"), the same with all
            users re-created under new ids ("users"), or the issuer that Harbor trusts ("issuer").
            "auto" selects "provider" if the declared state replaces one provider by another, otherwise
            "issuer". It never selects "users".
        match: How a user of the realm is matched with one of the new provider: by "email", by
            "username", or by a "mapping" file.
        identities_file: A CSV or Excel file in the report storage that lists the users of the new
            provider.
        new_keycloak: Instead of a file, the name of the Keycloak Connection block of the new provider.
            If neither is given and the issuer changes, Tenantry reads the users of the declared realm.
        pilot: User names of the pilot wave, which moves first.
        groups: Groups whose users move after the pilot wave, one wave for each group.
        wave_percent: The size of each later wave, as a percentage of the remaining users.
        exclude_users: User names of users who do not move. They cannot log in after the migration.
        reimport_users: User names of users who cannot be linked. They are deleted in the realm and
            imported again with the same id.
        soak_hours: Hours between the switch and the earliest finish. A rollback is possible until then.
        keep_days: Days to keep the snapshot after the end of the migration.
        max_wave_percent: The maximum percentage of Harbor's users that one wave may delete.
        replan: Replace a plan that is already approved.
        platform: Name of the Platform block.
    """

    def plan(systems: Systems, store: BlockStore, blocks: PlatformBlocks) -> str:
        options = Options(
            match=match,
            pilot=tuple(pilot or ()),
            groups=tuple(groups or ()),
            wave_percent=wave_percent,
            exclude_users=tuple(exclude_users or ()),
            reimport_users=tuple(reimport_users or ()),
            soak_hours=soak_hours,
            keep_days=keep_days,
            max_wave_percent=max_wave_percent,
        )
        run = planning.find_target(systems, store, blocks, situation, replan=replan)
        options = planning.complete_options(run, options)
        check_connections(systems)
        tasks.check_versions(systems)
        if not planning.is_planned(run):
            identities = planning.read_identities(run, match, identities_file, new_keycloak)
            found = planning.inspect(run, identities, options, identities_file)
            migration_report.publish_inspection(run.store, found)
            found.require_no_blocking()
            planning.export(run, found, options, replan=replan)
        return tasks.describe_status(run)

    return _run(plan, report_storage, platform)


@flow(
    name="continue-migration",
    flow_run_name=run_name("continue migration", options=("waves", "switch")),
    retries=0,
    persist_result=False,
)
def continue_migration(
    report_storage: Storage,
    waves: PositiveCount | None = None,
    switch: bool = True,
    approved_plan: Hash = "",
    platform: BlockName = "default",
) -> Any:
    """Continue the planned migration: request its approval, move users in waves, and switch logins.

    Args:
        report_storage: Type and name of the storage block of the migration.
        waves: The number of waves to move now; all remaining waves if empty.
        switch: Also switch logins to the new provider: after the last wave, or before the first wave if
            Harbor's issuer changes. If this is off, a later run switches.
        approved_plan: The hash of the plan. If you set it, you approve this plan, and the run does not
            wait for the form. plan-migration ends with this hash.
        platform: Name of the Platform block.
    """

    def continue_(systems: Systems, store: BlockStore, blocks: PlatformBlocks) -> str:
        run = tasks.find_current(systems, store, blocks)
        tasks.check_not_ending(run)
        check_connections(systems)
        tasks.check_versions(systems)
        approvals.request_plan_approval(run, approved_plan)
        if run.target.situation == "issuer" and switch:
            tasks.switch(run)
        if run.target.situation != "issuer" or switch:
            tasks.move_waves(run, waves)
        if run.target.situation != "issuer" and switch and not run.migration.waves_left:
            tasks.switch(run)
        return tasks.describe_status(run, result=tasks.make_pilot_links(run))

    return _run(continue_, report_storage, platform)


@flow(
    name="follow-up-migration",
    flow_run_name=run_name("follow up migration"),
    retries=0,
    persist_result=False,
)
def follow_up_migration(
    report_storage: Storage,
    platform: BlockName = "default",
) -> Any:
    """Restore missing links and rights of users in finished waves, and report the state of each user.

    Args:
        report_storage: Type and name of the storage block of the migration.
        platform: Name of the Platform block.
    """

    def follow_up(systems: Systems, store: BlockStore, blocks: PlatformBlocks) -> str:
        run = tasks.find(systems, store, blocks)
        if run is None:
            return tasks.report_no_migration(systems, store, blocks)
        label = run.migration.entry.label
        status = tasks.follow_up(run)
        if run.migration.is_on:
            migration_report.publish_status(run.migration, systems.state, label, status)
            _, differing = tasks.compare(run)
            text = f"{status}; rights that differ: {differing}."
            return tasks.describe_status(run, status, text)
        return tasks.describe_status(run, status, f"{status}.")

    return _run(follow_up, report_storage, platform, idle=True)


@flow(
    name="finish-migration",
    flow_run_name=run_name("finish migration", options=("skip_soak",)),
    retries=0,
    persist_result=False,
)
def finish_migration(
    report_storage: Storage,
    exclude_users: list[str] | None = None,
    skip_soak: bool = False,
    approved_plan: Hash = "",
    platform: BlockName = "default",
) -> Any:
    """Finish the migration after an approval. A rollback is not possible afterwards.

    Args:
        report_storage: Type and name of the storage block of the migration.
        exclude_users: User names of users who have not logged in yet. The finish does not wait for
            their login.
        skip_soak: Finish before the soak time is over.
        approved_plan: The hash that an earlier run of this flow showed. If you set it, you approve the
            consequences with this hash, and the run does not wait for the form.
        platform: Name of the Platform block.
    """

    def end(systems: Systems, store: BlockStore, blocks: PlatformBlocks) -> str:
        run = tasks.find_current(systems, store, blocks)
        by, _ = approvals.request_finish_approval(
            run, tuple(exclude_users or ()), skip_soak, approved_plan
        )
        compared, differing = tasks.compare(run)
        tasks.finish(run, tuple(exclude_users or ()), skip_soak)
        text = f"{count(compared, 'right')} compared, {differing} different; approved by {by}."
        return tasks.describe_status(run, result=text)

    return _run(end, report_storage, platform)


@flow(
    name="roll-back-migration",
    flow_run_name=run_name("roll back migration"),
    retries=0,
    persist_result=False,
)
def roll_back_migration(
    report_storage: Storage,
    exclude_users: list[str] | None = None,
    approved_plan: Hash = "",
    platform: BlockName = "default",
) -> Any:
    """Undo the migration after an approval, so that users log in as before.

    Args:
        report_storage: Type and name of the storage block of the migration.
        exclude_users: User names of users who have not logged in since they were deleted in Harbor.
            The rollback does not wait for their login.
        approved_plan: The hash that an earlier run of this flow showed. If you set it, you approve the
            consequences with this hash, and the run does not wait for the form.
        platform: Name of the Platform block.
    """

    def undo(systems: Systems, store: BlockStore, blocks: PlatformBlocks) -> str:
        run = tasks.find_current(systems, store, blocks)
        by, numbers = approvals.request_rollback_approval(run, exclude_users or (), approved_plan)
        label = run.migration.entry.label
        done = tasks.roll_back(run, exclude_users or (), numbers[IN_HARBOR])
        status = tasks.read_status(run)
        if status and run.migration.is_on:
            migration_report.publish_status(run.migration, systems.state, label, status)
        text = f"{done}; approved by {by}." if done else f"Approved by {by}."
        return tasks.describe_status(run, status, text)

    return _run(undo, report_storage, platform)


def _run(
    work: Callable[[Systems, BlockStore, PlatformBlocks], str],
    report_storage: str,
    platform: str,
    *,
    idle: bool = False,
) -> Any:
    """Return the final state of a run: the message that `work` returns, or why it failed.

    Args:
        work: the steps of the run.
        report_storage: type and name of the storage block of the migration.
        platform: name of the Platform block.
        idle: the run is a scheduled one, which completes if the storage block does not exist.
    """
    try:
        store = BlockStore(report_storage)
        blocks = load_platform(platform)
        declaration = read_declared_state(blocks)
        with connected(declaration, blocks) as systems:
            return finish(complete(work(systems, store, blocks)), systems.state, None)
    except NoStore as error:
        return complete(f"No migration is in progress. {error}") if idle else fail(str(error))
    except NothingToMigrate as error:
        return complete(str(error))
    except TenantryError as error:
        get_run_logger().error(str(error))
        return fail(str(error))
