"""The tasks of a migration to another identity provider: one for each phase, each safe to repeat."""

from collections.abc import Sequence
from dataclasses import replace

from prefect import get_run_logger
from prefect.runtime import flow_run

from blocks import DeclaredState, KeycloakConnection
from tasks.approval import recall, remember
from tasks.locks import TeamLock
from tasks.migration_report import Progress, publish_rights
from tasks.onboarding import load_block
from tasks.step import step
from tasks.store import BlockStore
from tenantry.errors import TenantryError
from tenantry.migration import (
    consequences,
    inspect_issuer,
    inspect_provider,
    inspection,
    journal,
    report,
)
from tenantry.migration import snapshot as snapshots
from tenantry.migration.identities import (
    FaultyFile,
    Match,
    from_file,
    from_keycloak,
    of_realm,
)
from tenantry.migration.inspection import Inspection
from tenantry.migration.issuer import IssuerMigration
from tenantry.migration.machine import Migration, Standing
from tenantry.migration.order import Order
from tenantry.migration.provider import ProviderMigration
from tenantry.migration.snapshot import Identity, Situation, report_name
from tenantry.resources import PLATFORM
from tenantry.systems import Systems

_LAST_WAVE = "last-wave"


class Move:
    """One run, handed from task to task in memory.

    It is no dataclass on purpose: Prefect looks into those, and this one holds secrets.
    """

    def __init__(
        self,
        systems: Systems,
        store: BlockStore,
        declared_state: str,
        situation: Situation,
        old: str = "",
        new: str = "",
    ) -> None:
        self.systems = systems
        self.store = store
        self.situation = situation
        self.old, self.new = old, new
        self.progress = Progress()
        block = load_block(DeclaredState, declared_state)
        self.migration = _KINDS[situation](
            systems,
            store,
            block.edit,
            TeamLock([PLATFORM]),
            told=get_run_logger().info,
            progress=self.progress,
        )


_KINDS: dict[Situation, type[Migration]] = {
    "provider": ProviderMigration,
    "users": ProviderMigration,
    "issuer": IssuerMigration,
}


@step("find the migration")
def find(systems: Systems, store: BlockStore, declared_state: str) -> Move | None:
    """Return the migration that is in progress, or None."""
    entry = journal.read(store)
    if entry is None or not entry.is_on:
        return None
    return Move(systems, store, declared_state, entry.situation, entry.old, entry.new)


def current(systems: Systems, store: BlockStore, declared_state: str) -> Move:
    """Return the migration that is in progress.

    Raises:
        TenantryError: none is.
    """
    move = find(systems, store, declared_state)
    if move is None:
        raise TenantryError(
            f"No migration is in progress in {store.name}. Next: run plan-migration."
        )
    return move


@step("find the migration")
def to_plan(
    systems: Systems, store: BlockStore, declared_state: str, asked: str, *, again: bool
) -> Move:
    """Return the migration that the declared state asks for, if it may be planned now.

    Args:
        systems: the systems.
        store: where the journal of the migration is.
        declared_state: name of the block that it changes.
        asked: the situation that the operator asks for, or `auto`.
        again: whether a plan that is approved already may be replaced.

    Raises:
        NothingToMove: nothing is declared to be migrated.
        TenantryError: another migration is in progress, or it is too late to plan this one again.
    """
    entry = journal.read(store)
    if entry is None or not entry.is_on:
        _check_declared(systems, asked)
        situation = _situation(systems, asked)
        return Move(systems, store, declared_state, situation, *_asked(systems, situation))
    move = Move(systems, store, declared_state, entry.situation, entry.old, entry.new)
    if move.migration.is_settled or entry.finishing:
        raise TenantryError(consequences.no_plan_again(entry))
    if asked not in ("auto", entry.situation):
        raise TenantryError(
            f"The {entry.told} is in progress, and its situation is '{entry.situation}', not "
            f"'{asked}'. Run roll-back-migration first."
        )
    if not entry.switching:
        move.migration.refuse_second(*_asked(systems, entry.situation))
    if entry.phase != "exported" and not again and entry.run != str(flow_run.id):
        raise TenantryError(consequences.plan_again(entry))
    return move


class NothingToMove(TenantryError):
    """The declared state asks for no migration."""


def _check_declared(systems: Systems, asked: str) -> None:
    """Check that something is declared to be moved, where the operator does not say what.

    Raises:
        NothingToMove: nothing is. The message says what there is, and what to declare.
    """
    platform = systems.state.platform
    replaced = any(each.replaces for each in platform.keycloak.external_providers.values())
    if asked != "auto" or replaced:
        return
    if platform.harbor.single_sign_on is None:
        why = "harbor.single_sign_on is not declared"
    else:
        trusted = str(systems.harbor_client.settings().get("oidc_endpoint") or "")
        if trusted != systems.keycloak_client.issuer:
            return
        why = f"Harbor trusts '{trusted}', the issuer of the declared realm, already"
    raise NothingToMove(
        "Nothing is declared to be moved: no external provider of the realm is declared with "
        f"'replaces', and {why}. Nothing was changed. docs/migrate.md describes what to declare."
    )


def _situation(systems: Systems, asked: str) -> Situation:
    """The least intrusive one that fits: an external provider that is declared to be replaced."""
    if asked in _KINDS:
        return asked
    providers = systems.state.platform.keycloak.external_providers.values()
    return "provider" if any(provider.replaces for provider in providers) else "issuer"


def _asked(systems: Systems, situation: Situation) -> tuple[str, str]:
    """What is replaced, and what replaces it: aliases of providers, or issuers."""
    if situation == "issuer":
        return inspect_issuer.issuers(systems)
    for alias, provider in systems.state.platform.keycloak.external_providers.items():
        if provider.replaces:
            return provider.replaces, alias
    raise TenantryError(
        "No external provider is declared to replace another. Declare the new one beside the old "
        "one in platform.yaml, hidden, with 'replaces: <the old one's alias>'; then run "
        "configure-platform and onboard-teams."
    )


def is_planned(move: Move) -> bool:
    """Return whether this run has made its plan already: it was started again after a crash."""
    return move.migration.is_on and move.migration.entry.run == str(flow_run.id)


@step("check versions")
def check_versions(systems: Systems) -> None:
    """Whether Harbor and Keycloak are new enough for this."""
    inspection.check_versions(systems)


@step("read the new provider's people")
def read_identities(move: Move, match: Match, people: str, keycloak: str) -> list[Identity]:
    """From a file in the store, or from the new provider's, or the realm's, own admin API."""
    if people and keycloak:
        raise TenantryError("Both 'people' and 'new_keycloak' are given: one of them says who.")
    if people:
        data = move.store.read(people)
        if data is None:
            raise FaultyFile(f"{people}: there is no such file in block '{move.store.name}'.")
        return from_file(people, data, match)
    if match == "mapping":
        raise TenantryError("A mapping is a file: name it in 'people'.")
    if move.situation == "issuer" and not keycloak:
        return of_realm(move.systems.keycloak_client)
    if not keycloak:
        raise TenantryError(
            "Who there is at the new provider is read from a file in the store ('people') or from "
            "its own admin API ('new_keycloak'), and neither is given."
        )
    issuer = move.new
    if move.situation != "issuer":
        providers = move.systems.state.platform.keycloak.external_providers
        connection = providers[move.new].connection
        assert connection is not None
        issuer = connection.issuer
    return from_keycloak(load_block(KeycloakConnection, keycloak).account(), issuer)


@step("inspect")
def inspect(move: Move, identities: Sequence[Identity], order: Order, people: str) -> Inspection:
    """Reads everybody, and writes nothing to the systems."""
    move.progress.begin("Looking")
    look = inspect_issuer.inspect if move.situation == "issuer" else inspect_provider.inspect
    found = look(
        move.systems,
        move.old,
        move.new,
        identities,
        order,
        file=people,
        progress=move.progress,
    )
    report.write_inspection(move.store, found)
    get_run_logger().info(found.summary)
    return found


@step("export")
def export(move: Move, found: Inspection, order: Order) -> None:
    """Writes the snapshot to the store, and reads it back."""
    plan = move.migration.export(found, move.old, move.new, order, move.situation, str(flow_run.id))
    get_run_logger().info("The plan, to be approved: %s", plan)


@step("approve")
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


def stands(move: Move, standing: Standing | None = None, more: str = "") -> str:
    """Return where the migration is, who is locked out now, and the next step.

    Args:
        move: the migration.
        standing: how everybody stands, if that was read.
        more: what this run did, said after where the migration is.
    """
    migration, entry = move.migration, move.migration.journal
    assert entry is not None
    snapshot = migration.snapshot if entry.is_on else snapshots.load(move.store, entry.id)[0]
    pending = len(standing.lacking) if standing else 0
    return consequences.position(snapshot, entry, pending, more)


def no_migration(systems: Systems, store: BlockStore, declared_state: str) -> str:
    """Delete the snapshot of the last migration when its time is over; return what was done."""
    deleted = forget(Move(systems, store, declared_state, "provider"))
    more = " The snapshot of the last one was deleted, as declared." if deleted else ""
    return f"No migration is in progress.{more}"


def complete_order(move: Move, order: Order) -> Order:
    """Return the order of an operator who left the situation to the declared state, completed."""
    return replace(order, recreate=move.situation == "users")


def refuse_to_continue(move: Move) -> None:
    """Refuse to continue a migration that is being finished or rolled back.

    Raises:
        TenantryError: it is, and the next step.
    """
    entry = move.migration.entry
    if entry.rolling_back or entry.finishing:
        what = "rolled back" if entry.rolling_back else "finished"
        raise TenantryError(f"The {entry.told} is being {what}. {consequences.next_step(entry)}")


@step("switch")
def switch(move: Move) -> None:
    """Lets people log in by the new one."""
    move.migration.switch()


@step("follow up")
def follow_up(move: Move) -> Standing:
    """Mends or gives back what people lack, and tells how everybody stands."""
    return move.migration.follow_up()


@step("see who has logged in")
def standing(move: Move) -> Standing | None:
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


@step("finish")
def finish(move: Move, exclude: Sequence[str], now: bool) -> None:
    """Delete the old provider, or end the wait for people who have not logged in."""
    move.migration.finish(tuple(exclude), now=now)


@step("roll back")
def roll_back(move: Move, exclude: Sequence[str]) -> str:
    """Undo the migration; return what was undone, in words."""
    move.progress.begin("Rolling back")
    return move.migration.roll_back(tuple(exclude))


@step("delete the snapshot")
def forget(move: Move) -> bool:
    """Deletes the snapshot of a migration that is over, once its time is over too."""
    return move.migration.forget()
