"""The tasks of a migration to another identity provider. Each is safe to repeat."""

from collections.abc import Sequence

from prefect import get_run_logger

from blocks.platform import PlatformBlocks
from tasks.approval import recall, remember
from tasks.locks import TeamLock
from tasks.migration_report import Progress, publish_pilot_links, publish_rights
from tasks.step import step
from tasks.store import BlockStore
from tenantry.errors import TenantryError
from tenantry.migration import inspection, journal, pilots, report, status
from tenantry.migration import snapshot as snapshots
from tenantry.migration.kinds import MIGRATIONS
from tenantry.migration.machine import Status
from tenantry.migration.parameters import PLAN
from tenantry.migration.planning import Target
from tenantry.migration.snapshot import report_file
from tenantry.resources import PLATFORM
from tenantry.systems.systems import Systems

_LAST_WAVE = "last-wave"
"""The key under which a run keeps the number of waves that are done at its end."""


class MigrationRun:
    """The migration of one run, passed from task to task in memory.

    It is not a dataclass, because Prefect inspects the fields of dataclasses, and this one has secrets.
    """

    def __init__(
        self, systems: Systems, store: BlockStore, blocks: PlatformBlocks, target: Target
    ) -> None:
        """
        Args:
            systems: the systems.
            store: the store of the journal.
            blocks: the loaded blocks. The migration changes the declared state.
            target: what is to be migrated.
        """
        self.systems = systems
        self.store = store
        self.target = target
        self.progress = Progress()
        self.migration = MIGRATIONS[target.situation](
            systems,
            store,
            blocks.declared_state.edit,
            TeamLock([PLATFORM]),
            report=get_run_logger().info,
            progress=self.progress,
        )


@step("find migration")
def find(systems: Systems, store: BlockStore, blocks: PlatformBlocks) -> MigrationRun | None:
    """Return the migration in progress; None if no migration is."""
    entry = journal.read(store)
    if entry is None or not entry.is_on:
        return None
    target = Target(entry.situation, entry.old, entry.new)
    return MigrationRun(systems, store, blocks, target)


def find_current(systems: Systems, store: BlockStore, blocks: PlatformBlocks) -> MigrationRun:
    """Return the migration in progress.

    Raises:
        TenantryError: no migration is in progress.
    """
    run = find(systems, store, blocks)
    if run is None:
        raise TenantryError(f"No migration is in progress in {store.name}. Next: run {PLAN}.")
    return run


@step("check versions")
def check_versions(systems: Systems) -> None:
    """Check that the versions of Harbor and Keycloak are supported."""
    inspection.check_versions(systems)


@step("record approval")
def approve(run: MigrationRun, plan: str, by: str) -> None:
    """Record the approval of the current plan in the journal."""
    run.migration.approve(plan, by)


@step("move wave", "move wave {name}")
def move_wave(run: MigrationRun, name: str) -> None:
    """Move the people of the next wave: link their users, re-create them, or delete them in Harbor."""
    run.progress.begin(f"Wave {name}")
    run.migration.move(1)


def move_waves(run: MigrationRun, waves: int | None) -> None:
    """Move the next waves, each in its own task.

    A run that is started again after a crash moves no more waves than it was started for.
    """
    migration = run.migration
    names = migration.snapshot.waves
    last = len(names) if waves is None else min(len(names), migration.entry.waves_done + waves)
    if waves is not None:
        kept = recall(_LAST_WAVE)
        if kept is None:
            remember(_LAST_WAVE, {"last": last})
        else:
            last = int(kept["last"])
    for name in names[migration.entry.waves_done : last]:
        move_wave(run, name)


def describe_status(run: MigrationRun, found: Status | None = None, result: str = "") -> str:
    """Return where the migration is, who is locked out now, and the next step.

    Args:
        run: the migration.
        found: the status of all people, if this run has read it.
        result: what this run did, added after the position.
    """
    migration, entry = run.migration, run.migration.journal
    assert entry is not None
    snapshot = migration.snapshot if entry.is_on else snapshots.load(run.store, entry.id)[0]
    pending = len(found.incomplete) if found else 0
    return status.describe(snapshot, entry, pending, result)


def report_no_migration(systems: Systems, store: BlockStore, blocks: PlatformBlocks) -> str:
    """Delete the last migration's snapshot if it has expired, and return what was done."""
    run = MigrationRun(systems, store, blocks, Target("provider", "", ""))
    more = " The snapshot of the last migration was deleted." if delete_snapshot(run) else ""
    return f"No migration is in progress.{more}"


def check_not_ending(run: MigrationRun) -> None:
    """Check that the migration is neither being finished nor being rolled back.

    Raises:
        TenantryError: it is. The message names the next step.
    """
    entry = run.migration.entry
    if entry.rolling_back or entry.finishing:
        state = "rolled back" if entry.rolling_back else "finished"
        raise TenantryError(f"The {entry.label} is being {state}. {status.next_step(entry)}")


@step("switch logins")
def switch(run: MigrationRun) -> None:
    """Switch logins to the new provider or issuer."""
    run.migration.switch()


@step("follow up migration")
def follow_up(run: MigrationRun) -> Status:
    """Restore the links and rights that people lack, and return the status of all people."""
    return run.migration.follow_up()


@step("publish pilot links")
def make_pilot_links(run: MigrationRun) -> str:
    """Publish the links with which the pilots log in; return them in words, or an empty text."""
    entry = run.migration.entry
    if not pilots.are_due(run.migration.snapshot, entry):
        return ""
    is_issuer = entry.situation == "issuer"
    found = pilots.make_links(run.systems, "" if is_issuer else entry.new)
    publish_pilot_links(found)
    return f"{found}."


@step("check logins")
def read_status(run: MigrationRun) -> Status | None:
    """Return the status of all people; None if the migration is over."""
    return run.migration.follow_up() if run.migration.is_on else None


@step("compare rights")
def compare(run: MigrationRun) -> tuple[int, int]:
    """Write a comparison of all rights to the store; return their number and how many differ."""
    entry = run.migration.entry
    rights = report.compare(run.migration)
    name = report_file(entry.id)
    report.write_rights(run.store, name, rights)
    return len(rights), publish_rights(run.store, name, rights)


@step("finish migration")
def finish(run: MigrationRun, exclude: Sequence[str], skip_soak: bool) -> None:
    """Delete the old provider, or stop waiting for people who have not logged in."""
    run.migration.finish(tuple(exclude), now=skip_soak)


@step("roll back migration")
def roll_back(run: MigrationRun, exclude: Sequence[str], approved: int) -> str:
    """Undo the migration, and return what was undone, in words.

    Args:
        run: the migration.
        exclude: user names of people for whom the rollback does not wait.
        approved: how many users it may delete in Harbor.
    """
    run.progress.begin("Rolling back")
    return run.migration.roll_back(tuple(exclude), approved)


@step("delete snapshot")
def delete_snapshot(run: MigrationRun) -> bool:
    """Delete the snapshot of a migration that ended `keep_days` ago; return whether it was deleted."""
    return run.migration.delete_expired_snapshot()
