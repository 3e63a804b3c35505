"""The tasks of a migration to another identity provider: one for each phase, each safe to repeat."""

from collections.abc import Sequence

from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run

from blocks import DeclaredState, KeycloakConnection
from tasks.approval import require_approval
from tasks.locks import TeamLock
from tasks.migration_report import Progress, publish_rights
from tasks.onboarding import load_block
from tasks.prefect_api import needed
from tasks.step import step
from tasks.store import BlockStore
from tenantry.errors import TenantryError
from tenantry.migration import inspect_issuer, inspect_provider, inspection, journal, report
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
from tenantry.migration.snapshot import INSPECTION, Identity, Situation, report_name
from tenantry.resources import PLATFORM
from tenantry.systems import Systems
from tenantry.text import code, joined, markdown
from tenantry.wording import count

PATIENCE = 14 * 24 * 3600
"""Seconds that a suspended run waits for its approval. No process waits with it."""


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
def begin(
    systems: Systems, store: BlockStore, declared_state: str, action: str, asked: str
) -> Move | None:
    """The migration that is on, or the one that the declared state asks for.

    Args:
        systems: the systems.
        store: where its journal is.
        declared_state: name of the block that it changes.
        action: what the run is to do.
        asked: the situation that the operator asks for, or `auto`.

    Returns:
        None if none is on, and the run is no beginning of one.

    Raises:
        NothingToMove: nothing is declared to be migrated.
        TenantryError: another migration is on.
    """
    entry = journal.read(store)
    if entry is not None and entry.is_on:
        move = Move(systems, store, declared_state, entry.situation, entry.old, entry.new)
        if action in ("inspect", "migrate"):
            if asked not in ("auto", entry.situation):
                raise TenantryError(f"The {entry.told} is on, and is one of '{entry.situation}'.")
            if not entry.switching:
                move.migration.refuse_second(*_asked(systems, entry.situation))
        return move
    if action == "follow up":
        return None
    if action in ("finish", "roll back"):
        raise TenantryError(f"No migration is on in {store.name}.")
    _check_declared(systems, asked)
    situation = _situation(systems, asked)
    return Move(systems, store, declared_state, situation, *_asked(systems, situation))


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


def is_planned(move: Move, anew: bool) -> bool:
    """Whether there is a plan to go on with: one that is not to be made anew, or this run's own."""
    migration = move.migration
    return migration.is_on and (not anew or migration.entry.run == str(flow_run.id))


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


def ask(move: Move, approved_plan: str) -> None:
    """Has the plan approved: by its hash among the parameters, or by a person in the UI.

    The run is suspended meanwhile, and begins anew when it is resumed: the journal tells where.

    Raises:
        TenantryError: it was refused, or another plan was approved.
    """
    entry, snapshot = move.migration.entry, move.migration.snapshot
    if entry.phase != "exported":
        return
    if approved_plan:
        approve(move, approved_plan, f"{_who()}, by parameter")
        return
    remade = sum(person.way != "link" for person in snapshot.moving)
    more = f" Deleted and re-created in the realm: {remade}." if remade else ""
    waves = (
        markdown("1. {}: {}", name, len(snapshot.wave(number)))
        for number, name in enumerate(snapshot.waves)
    )
    text = markdown(
        "**{}** to move from {} to {}, in these waves:\n\n{}\n\nLet go: {}.{} Who they are: {} in "
        "block {}; what was found: the artifact `migration-inspection` of this run.",
        count(len(snapshot.moving), "person", "people"),
        code(entry.old),
        code(entry.new),
        joined("\n", waves),
        len(snapshot.people) - len(snapshot.moving),
        more,
        code(INSPECTION),
        code(move.store.name),
    )
    approve(move, entry.plan, require_approval(text, entry.plan, patience=PATIENCE))


def _who() -> str:
    with needed("read the flow run"), get_client(sync_client=True) as client:
        run = client.read_flow_run(flow_run.id)
    return (run.created_by and run.created_by.display_value) or "the API"


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
    """A task for each wave."""
    migration = move.migration
    for name in migration.snapshot.waves[migration.entry.waves_done :][:waves]:
        move_wave(move, name)


def left(move: Move) -> int:
    """How many waves are still to come."""
    return move.migration.entry.waves - move.migration.entry.waves_done


def stands(move: Move) -> str:
    """Where it stands, and what comes next, in words."""
    entry = move.migration.entry
    if entry.switched_at is None:
        return f"Waves left: {left(move)}; then the switch."
    until = f"{move.migration.soaked():%Y-%m-%d %H:%M} UTC"
    more = f" Waves left: {left(move)}." if left(move) else ""
    return f"Switched from '{entry.old}' to '{entry.new}'.{more} Finish it from {until} on."


@step("switch")
def switch(move: Move) -> None:
    """Lets people log in by the new one."""
    move.migration.switch()


@step("follow up")
def follow_up(move: Move) -> Standing:
    """Mends or gives back what people lack, and tells how everybody stands."""
    return move.migration.follow_up()


@step("compare rights")
def compare(move: Move) -> tuple[int, int]:
    """Everybody's rights before and after, to the store; how many there are, and how many differ."""
    entry = move.migration.entry
    rights = report.compare(move.migration)
    name = report_name(entry.id)
    report.write_rights(move.store, name, rights)
    return len(rights), publish_rights(move.store, name, rights)


@step("finish")
def finish(move: Move, let_go: Sequence[str], now: bool) -> None:
    """Takes the old provider away, or ends the wait for those who come back."""
    move.migration.finish(tuple(let_go), now=now)


@step("roll back")
def roll_back(move: Move) -> str:
    """Undoes all of it; what was undone, in words."""
    move.progress.begin("Undoing")
    return move.migration.roll_back()


@step("delete the snapshot")
def forget(move: Move) -> bool:
    """Deletes the snapshot of a migration that is over, once its time is over too."""
    return move.migration.forget()
