"""The decisions before a plan: what is to be migrated, and whether it may be planned now."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from tenantry.connections import KeycloakAccount
from tenantry.errors import TenantryError
from tenantry.files import FileStore
from tenantry.migration import inspect_issuer, inspect_provider
from tenantry.migration.identities import FaultyFile, Match, from_keycloak, from_realm
from tenantry.migration.inspection import Inspection
from tenantry.migration.kinds import MIGRATIONS
from tenantry.migration.machine import Migration
from tenantry.migration.options import Options
from tenantry.migration.parameters import IDENTITIES_FILE, ROLL_BACK
from tenantry.migration.people import Progress, no_progress
from tenantry.migration.snapshot import Identity, Situation
from tenantry.migration.status import explain_no_replan, explain_replan
from tenantry.systems.systems import Systems


class NothingToMigrate(TenantryError):
    """The declared state asks for no migration."""


class Target(NamedTuple):
    """What a migration changes."""

    situation: Situation
    old: str
    """The alias of the old provider, or the old issuer."""
    new: str
    """The alias of the new provider, or the new issuer."""


def find_target(systems: Systems, requested: str) -> Target:
    """Return what is to be migrated by the declared state.

    Args:
        systems: the systems.
        requested: the situation that the operator requests, or `auto`.

    Raises:
        NothingToMigrate: nothing is declared to be migrated. The message says what to declare.
        TenantryError: the declared state does not fit the requested situation.
    """
    check_declared(systems, requested)
    if requested in MIGRATIONS:
        situation: Situation = requested
    else:
        providers = systems.state.platform.keycloak.external_providers.values()
        situation = "provider" if any(p.replaces for p in providers) else "issuer"
    return Target(situation, *_old_and_new(systems, situation))


def check_declared(systems: Systems, requested: str) -> None:
    """Check that a migration is declared, if the operator does not request a situation.

    Raises:
        NothingToMigrate: none is.
    """
    platform = systems.state.platform
    replaced = any(provider.replaces for provider in platform.keycloak.external_providers.values())
    if requested != "auto" or replaced:
        return
    if platform.harbor.single_sign_on is None:
        why = "harbor.single_sign_on is not declared"
    else:
        trusted = str(systems.harbor_client.settings().get("oidc_endpoint") or "")
        if trusted != systems.keycloak_client.issuer:
            return
        why = f"Harbor already trusts '{trusted}', the issuer of the declared realm"
    raise NothingToMigrate(
        "No migration is declared: no external provider of the realm is declared with 'replaces', "
        f"and {why}. Nothing was changed. docs/migrate.md describes what to declare."
    )


def _old_and_new(systems: Systems, situation: Situation) -> tuple[str, str]:
    """Return the aliases of the old and the new provider, or the old and the new issuer."""
    if situation == "issuer":
        return inspect_issuer.find_issuers(systems)
    for alias, provider in systems.state.platform.keycloak.external_providers.items():
        if provider.replaces:
            return provider.replaces, alias
    raise TenantryError(
        "No external provider is declared to replace another. Declare the new provider in "
        "platform.yaml in addition to the old one, hidden, with 'replaces: <alias of the old "
        "provider>'. Then run configure-platform and onboard-teams."
    )


def check_plannable(migration: Migration, requested: str, *, run: str, replan: bool) -> None:
    """Check that the migration in progress may be planned again.

    Args:
        migration: the migration in progress.
        requested: the situation that the operator requests, or `auto`.
        run: the run that plans.
        replan: whether an approved plan may be replaced.

    Raises:
        TenantryError: another migration is declared, the plan is final, or it is already approved.
    """
    entry = migration.entry
    if migration.is_plan_final or entry.finishing:
        raise TenantryError(explain_no_replan(entry))
    if requested not in ("auto", entry.situation):
        raise TenantryError(
            f"The {entry.label} is in progress, and its situation is '{entry.situation}', not "
            f"'{requested}'. Run {ROLL_BACK} first."
        )
    if not entry.switching:
        migration.check_no_other(*_old_and_new(migration.systems, entry.situation))
    check_replan(migration, run=run, replan=replan)


def check_replan(migration: Migration, *, run: str, replan: bool) -> None:
    """Check that a new plan replaces no approved plan, unless the operator requests that.

    Args:
        migration: the migration.
        run: the run that plans. It may be started again after the approval of its own plan.
        replan: whether an approved plan may be replaced.

    Raises:
        TenantryError: it would replace an approved plan.
    """
    entry = migration.journal
    if entry is None or not entry.is_on or entry.phase == "exported":
        return
    if not replan and entry.run != run:
        raise TenantryError(explain_replan(entry))


def read_identities(
    systems: Systems,
    store: FileStore,
    target: Target,
    match: Match,
    *,
    file: str = "",
    account: KeycloakAccount | None = None,
) -> list[Identity]:
    """Return the users of the new provider, from a file in the store or from an admin API.

    Args:
        systems: the systems.
        store: the store of the file.
        target: what is to be migrated.
        match: the attribute that is matched.
        file: the name of the identities file; empty if there is none.
        account: an account at the new provider, if it is another Keycloak.

    Raises:
        TenantryError: no source is given, or the users cannot be read from it.
    """
    if file and account:
        raise TenantryError(
            f"Both {IDENTITIES_FILE} and new_keycloak are set. Set only one: both list the users of "
            "the new provider."
        )
    if file:
        data = store.read(file)
        if data is None:
            raise FaultyFile(f"{file}: the file does not exist in block '{store.name}'.")
        # Imported here, because pandas takes a while to load.
        from tenantry.migration.identities_file import from_file

        return from_file(file, data, match)
    if match == "mapping":
        raise TenantryError(
            f"match: mapping requires a file. Set {IDENTITIES_FILE} to its name in the store."
        )
    if account is None:
        if target.situation == "issuer":
            return from_realm(systems.keycloak_client)
        raise TenantryError(
            "The users of the new provider are read from a file in the store or from its admin API. "
            f"Set {IDENTITIES_FILE} or new_keycloak."
        )
    issuer = target.new
    if target.situation != "issuer":
        provider = systems.state.platform.keycloak.external_providers[target.new]
        assert provider.connection is not None
        issuer = provider.connection.issuer
    return from_keycloak(account, issuer)


def complete_options(target: Target, options: Options) -> Options:
    """Return the options with the way in which the situation moves users.

    Raises:
        TenantryError: the options contradict the situation.
    """
    return replace(options, recreate=target.situation == "users")


def inspect(
    systems: Systems,
    target: Target,
    identities: Sequence[Identity],
    options: Options,
    *,
    file: str = "",
    progress: Progress = no_progress,
) -> Inspection:
    """Return the inspection of a migration. It changes nothing.

    Args:
        systems: the systems.
        target: what is to be migrated.
        identities: all users of the new provider.
        options: the options of the plan.
        file: the name of the identities file, if there is one.
        progress: reports progress.

    Raises:
        TenantryError: the options or the file name unknown users.
    """
    is_issuer = target.situation == "issuer"
    inspect_target = inspect_issuer.inspect if is_issuer else inspect_provider.inspect
    return inspect_target(
        systems, target.old, target.new, identities, options, file=file, progress=progress
    )
