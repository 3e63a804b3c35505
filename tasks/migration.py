"""The tasks of a migration to another identity provider: one for each phase, each safe to repeat."""

from collections.abc import Sequence

from prefect import get_run_logger

from blocks.platform import PlatformBlocks
from tasks.approval import recall, remember
from tasks.locks import TeamLock
from tasks.migration_report import Progress, publish_pilot_links, publish_rights
from tasks.step import step
from tasks.store import BlockStore
from tenantry.errors import TenantryError
from tenantry.migration import (
    inspection,
    journal,
    pilots,
    report,
    status,
)
from tenantry.migration import snapshot as snapshots
from tenantry.migration.issuer import IssuerMigration
from tenantry.migration.machine import Migration, Status
from tenantry.migration.options import PILOT
from tenantry.migration.provider import ProviderMigration
from tenantry.migration.snapshot import Situation, report_name
from tenantry.resources import PLATFORM
from tenantry.systems.systems import Systems

_LAST_WAVE = "last-wave"


class Move:
    """One run, handed from task to task in memory.

    It is no dataclass on purpose: Prefect looks into those, and this one holds secrets.
    """

    def __init__(
        self,
        systems: Systems,
        store: BlockStore,
        blocks: PlatformBlocks,
        situation: Situation,
        old: str = "",
        new: str = "",
    ) -> None:
        self.systems = systems
        self.store = store
        self.situation = situation
        self.old, self.new = old, new
        self.progress = Progress()
        self.migration = KINDS[situation](
            systems,
            store,
            blocks.declared_state.edit,
            TeamLock([PLATFORM]),
            told=get_run_logger().info,
            progress=self.progress,
        )


KINDS: dict[Situation, type[Migration]] = {
    "provider": ProviderMigration,
    "users": ProviderMigration,
    "issuer": IssuerMigration,
}


@step("find migration")
def find(systems: Systems, store: BlockStore, blocks: PlatformBlocks) -> Move | None:
    """Return the migration that is in progress, or None."""
    entry = journal.read(store)
    if entry is None or not entry.is_on:
        return None
    return Move(systems, store, blocks, entry.situation, entry.old, entry.new)


def current(systems: Systems, store: BlockStore, blocks: PlatformBlocks) -> Move:
    """Return the migration that is in progress.

    Raises:
        TenantryError: none is.
    """
    move = find(systems, store, blocks)
    if move is None:
        raise TenantryError(
            f"No migration is in progress in {store.name}. Next: run plan-migration."
        )
    return move


@step("check versions")
def check_versions(systems: Systems) -> None:
    """Whether Harbor and Keycloak are new enough for this."""
    inspection.check_versions(systems)


@step("record approval")
def approve(move: Move, plan: str, by: str) -> None:
    """Takes the approval down in the journal, if it is for the plan that there is."""
    move.migration.approve(plan, by)


@step("move wave", "move wave {name}")
def move_wave(move: Move, name: str) -> None:
    """Links the people of the next wave to the new provider, makes them anew, or deletes them to
    come back.
    """
    move.progress.begin(f"Wave {name}")
    move.migration.move(1)


def move_waves(move: Move, waves: int | None) -> None:
    """Move the next waves, each in a task of its own.

    A run that is started again after a crash moves no more waves than it was started for.
    """
    migration = move.migration
    names = migration.snapshot.waves
    last = len(names) if waves is None else min(len(names), migration.entry.waves_done + waves)
    if waves is not None:
        kept = recall(_LAST_WAVE)
        if kept is None:
            remember(_LAST_WAVE, {"last": last})
        else:
            last = int(kept["last"])
    for name in names[migration.entry.waves_done : last]:
        move_wave(move, name)


def left(move: Move) -> int:
    """Return how many waves are left."""
    return move.migration.entry.waves - move.migration.entry.waves_done


def stands(move: Move, standing: Status | None = None, more: str = "") -> str:
    """Return where the migration is, who is locked out now, and the next step.

    Args:
        move: the migration.
        standing: how everybody stands, if that was read.
        more: what this run did, said after where the migration is.
    """
    migration, entry = move.migration, move.migration.journal
    assert entry is not None
    snapshot = migration.snapshot if entry.is_on else snapshots.load(move.store, entry.id)[0]
    pending = len(standing.incomplete) if standing else 0
    return status.describe(snapshot, entry, pending, more)


def no_migration(systems: Systems, store: BlockStore, blocks: PlatformBlocks) -> str:
    """Delete the snapshot of the last migration when its time is over; return what was done."""
    deleted = forget(Move(systems, store, blocks, "provider"))
    more = " The snapshot of the last one was deleted, as declared." if deleted else ""
    return f"No migration is in progress.{more}"


def check_not_ending(move: Move) -> None:
    """Refuse to continue a migration that is being finished or rolled back.

    Raises:
        TenantryError: it is, and the next step.
    """
    entry = move.migration.entry
    if entry.rolling_back or entry.finishing:
        what = "rolled back" if entry.rolling_back else "finished"
        raise TenantryError(f"The {entry.label} is being {what}. {status.next_step(entry)}")


@step("switch logins")
def switch(move: Move) -> None:
    """Lets people log in by the new one."""
    move.migration.switch()


@step("follow up migration")
def follow_up(move: Move) -> Status:
    """Mends or gives back what people lack, and tells how everybody stands."""
    return move.migration.follow_up()


@step("publish pilot links")
def make_pilot_links(move: Move) -> str:
    """Publish the links by which the pilots log in; return them in words, empty if none are due.

    They are due once the pilots are moved, and the others are not yet. Before that, a login by the
    new provider would make a second account.
    """
    entry, snapshot = move.migration.entry, move.migration.snapshot
    due = snapshot.waves[0] == PILOT and 0 < entry.waves_done < entry.waves
    if not due or (entry.switched_at is not None and move.situation != "issuer"):
        return ""
    found = pilots.links(move.systems, "" if move.situation == "issuer" else entry.new)
    publish_pilot_links(found)
    return f"{found}."


@step("check logins")
def standing(move: Move) -> Status | None:
    """Return how everybody stands; None if the migration is over."""
    return move.migration.follow_up() if move.migration.is_on else None


@step("compare rights")
def compare(move: Move) -> tuple[int, int]:
    """Everybody's rights before and after, to the store; how many there are, and how many differ."""
    entry = move.migration.entry
    rights = report.compare(move.migration)
    name = report_name(entry.id)
    report.write_rights(move.store, name, rights)
    return len(rights), publish_rights(move.store, name, rights)


@step("finish migration")
def finish(move: Move, exclude: Sequence[str], now: bool) -> None:
    """Delete the old provider, or end the wait for people who have not logged in."""
    move.migration.finish(tuple(exclude), now=now)


@step("roll back migration")
def roll_back(move: Move, exclude: Sequence[str], approved: int) -> str:
    """Undo the migration, deleting no more users than approved; return what was undone, in words."""
    move.progress.begin("Rolling back")
    return move.migration.roll_back(tuple(exclude), approved)


@step("delete snapshot")
def forget(move: Move) -> bool:
    """Deletes the snapshot of a migration that is over, once its time is over too."""
    return move.migration.delete_expired_snapshot()
