"""The tasks that plan a migration: find what is declared to be moved, inspect, and export."""

from collections.abc import Sequence
from dataclasses import replace

from prefect import get_run_logger
from prefect.runtime import flow_run

from blocks import KeycloakConnection
from blocks.platform import PlatformBlocks
from tasks.connections import load_block
from tasks.migration import KINDS, Move
from tasks.step import step
from tasks.store import BlockStore
from tenantry.errors import TenantryError
from tenantry.migration import inspect_issuer, inspect_provider, journal, report, status
from tenantry.migration.identities import FaultyFile, Match, from_file, from_keycloak, of_realm
from tenantry.migration.inspection import Inspection
from tenantry.migration.options import Options
from tenantry.migration.snapshot import Identity, Situation
from tenantry.systems.systems import Systems


@step("find migration")
def to_plan(
    systems: Systems, store: BlockStore, blocks: PlatformBlocks, asked: str, *, again: bool
) -> Move:
    """Return the migration that the declared state asks for, if it may be planned now.

    Args:
        systems: the systems.
        store: where the journal of the migration is.
        blocks: the loaded blocks; the migration changes the declared state.
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
        return Move(systems, store, blocks, situation, *_asked(systems, situation))
    move = Move(systems, store, blocks, entry.situation, entry.old, entry.new)
    if move.migration.is_plan_final or entry.finishing:
        raise TenantryError(status.no_plan_again(entry))
    if asked not in ("auto", entry.situation):
        raise TenantryError(
            f"The {entry.label} is in progress, and its situation is '{entry.situation}', not "
            f"'{asked}'. Run roll-back-migration first."
        )
    if not entry.switching:
        move.migration.check_no_other(*_asked(systems, entry.situation))
    _refuse_approved(move, again=again)
    return move


def _refuse_approved(move: Move, *, again: bool) -> None:
    """Refuse to replace a plan that is approved already, unless the operator asks for that."""
    entry = move.migration.journal
    if entry is None or not entry.is_on or entry.phase == "exported":
        return
    if not again and entry.run != str(flow_run.id):
        raise TenantryError(status.plan_again(entry))


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
    if asked in KINDS:
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


@step("read identities")
def read_identities(move: Move, match: Match, people: str, keycloak: str) -> list[Identity]:
    """From a file in the store, or from the new provider's, or the realm's, own admin API."""
    if people and keycloak:
        raise TenantryError(
            "Both 'identities_file' and 'new_keycloak' are given. Give one of them."
        )
    if people:
        data = move.store.read(people)
        if data is None:
            raise FaultyFile(f"{people}: there is no such file in block '{move.store.name}'.")
        return from_file(people, data, match)
    if match == "mapping":
        raise TenantryError("A mapping is a file: name it in 'identities_file'.")
    if move.situation == "issuer" and not keycloak:
        return of_realm(move.systems.keycloak_client)
    if not keycloak:
        raise TenantryError(
            "The users of the new provider are read from a file in the store ('identities_file') or "
            "through its admin API ('new_keycloak'), and neither is given."
        )
    issuer = move.new
    if move.situation != "issuer":
        providers = move.systems.state.platform.keycloak.external_providers
        connection = providers[move.new].connection
        assert connection is not None
        issuer = connection.issuer
    return from_keycloak(load_block(KeycloakConnection, keycloak).account(), issuer)


@step("inspect users")
def inspect(
    move: Move, identities: Sequence[Identity], options: Options, people: str
) -> Inspection:
    """Reads everybody, and writes nothing to the systems."""
    move.progress.begin("Looking")
    look = inspect_issuer.inspect if move.situation == "issuer" else inspect_provider.inspect
    found = look(
        move.systems,
        move.old,
        move.new,
        identities,
        options,
        file=people,
        progress=move.progress,
    )
    report.write_inspection(move.store, found)
    get_run_logger().info(found.summary)
    return found


@step("export snapshot")
def export(move: Move, found: Inspection, options: Options, *, again: bool) -> None:
    """Write the snapshot to the store, and read it back.

    The plan of before may have been approved while this run inspected.
    """
    _refuse_approved(move, again=again)
    plan = move.migration.export(
        found, move.old, move.new, options, move.situation, str(flow_run.id)
    )
    get_run_logger().info("The plan, to be approved: %s", plan)


def complete_order(move: Move, options: Options) -> Options:
    """Return the order of an operator who left the situation to the declared state, completed."""
    return replace(options, recreate=move.situation == "users")
