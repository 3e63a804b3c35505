"""The look before Harbor's issuer changes. Nothing is written."""

from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from typing import Any

from tenantry.calls import map_concurrently
from tenantry.errors import SystemRefused, TenantryError
from tenantry.migration import people as read
from tenantry.migration.case import fold
from tenantry.migration.identities import check_known
from tenantry.migration.inspect_groups import about_groups, read_groups
from tenantry.migration.inspection import (
    Inspection,
    Notice,
    about_losses,
    about_matches,
    about_rights,
    about_waves,
)
from tenantry.migration.issuer import SETTINGS, no_way_back, old_realm
from tenantry.migration.match import match
from tenantry.migration.options import Options, divide
from tenantry.migration.people import Progress, silent
from tenantry.migration.snapshot import HarborUser, Identity, Person
from tenantry.systems.systems import Systems


def issuers(systems: Systems) -> tuple[str, str]:
    """The issuer that Harbor trusts, and the one of the realm that is declared.

    Raises:
        TenantryError: they are the same, or Harbor's single sign-on is not declared.
    """
    if systems.state.platform.harbor.single_sign_on is None:
        raise TenantryError(
            "harbor.single_sign_on is not declared in platform.yaml, so Harbor's issuer is not "
            "Tenantry's to change."
        )
    old = str(systems.harbor_client.settings().get("oidc_endpoint") or "")
    new = systems.keycloak_client.issuer
    if old == new:
        raise TenantryError(f"Harbor trusts '{new}' already: its issuer does not change.")
    return old, new


def inspect(
    systems: Systems,
    old: str,
    new: str,
    identities: Sequence[Identity],
    options: Options,
    *,
    file: str = "",
    progress: Progress = silent,
) -> Inspection:
    """Reads everybody whom Harbor knows by the old issuer, and matches them with the new one's.

    Args:
        systems: the systems; the realm is the new one.
        old: the issuer that Harbor trusts.
        new: the issuer that it is to trust.
        identities: everybody whom the new issuer knows; `external_id` is what it calls `sub`.
        options: what is asked for.
        file: the name of the file that the identities are from, if they are.
        progress: told how far the look has come.

    Raises:
        TenantryError: the options, or the file, names people whom nobody knows; or the declared realm
            is not the new one.
    """
    if (declared := systems.keycloak_client.issuer) != new or old == new:
        raise TenantryError(
            f"People are to be moved from '{old}' to '{new}', but the declared realm's issuer is "
            f"'{declared}'. Nothing was changed. Declare the realm that people move to, unless this "
            "migration is being rolled back."
        )
    users = read.read_harbor(systems.harbor_client, progress)
    ours = [user for user in users if user.subiss.endswith(old)]
    people = [_person(user) for user in sorted(ours, key=lambda user: user.username)]
    if options.match == "mapping":
        check_known(file, identities, {fold(person.username) for person in people})
    matched = match(people, identities, options.match)
    people = [one.model_copy(update={"new": matched[one.id].identity}) for one in people]
    old_client = old_realm(systems.keycloak_client, old)
    with closing(old_client) if old_client else nullcontext():
        keycloak = systems.keycloak_client
        found = map_concurrently(
            lambda person: read_groups(keycloak, old_client, person, old), people
        )
    groups = {person.id: of for person, of in zip(people, found, strict=True)}
    people = [one.model_copy(update={"groups": groups[one.id].all}) for one in people]
    people, waves = divide(people, options)
    held = systems.harbor_client.settings()
    settings = {name: held[name] for name in SETTINGS if name in held}
    inspection = Inspection(people, waves, matched, settings=settings)
    inspection.notices += [
        *about_matches(inspection),
        *_about_client(systems),
        *_about_mesh(systems, old, new),
        *about_waves(inspection, len(users), options),
        *_about_us(systems, people),
        *about_rights(people),
        *about_groups(keycloak, people, groups),
        *about_losses(people),
        *_about_others(users, len(ours)),
        *([] if old_client else [Notice("no way back", no_way_back(old))]),
    ]
    return inspection


def _person(user: HarborUser) -> Person:
    return Person(id=f"harbor-{user.id}", username=user.username, email=user.email, harbor=user)


def _about_client(systems: Systems) -> Iterator[Notice]:
    sign_on = systems.state.platform.harbor.single_sign_on
    assert sign_on is not None
    if not systems.keycloak_client.rows("clients", clientId=sign_on.client_id):
        text = f"the realm has no client '{sign_on.client_id}' for Harbor."
        remedy = "Run configure-platform."
        yield Notice("client missing", text, blocking=True, remedy=remedy)


def _about_mesh(systems: Systems, old: str, new: str) -> Iterator[Notice]:
    """Rules that take the old issuer's tokens must take the new one's before the switch."""
    try:
        found = list(systems.home_cluster.list("RequestAuthentication"))
    except SystemRefused as error:
        if error.status != 404:
            raise
        return  # Istio is not installed
    incomplete = [
        f"{rule['metadata']['namespace']}/{rule['metadata']['name']}"
        for rule in found
        if (trusted := _trusted(rule)) and old in trusted and new not in trusted
    ]
    if incomplete:
        text = (
            f"RequestAuthentication {', '.join(incomplete)} takes tokens of '{old}' and not of "
            f"'{new}': requests would end in 401."
        )
        remedy = "List both issuers until the end."
        yield Notice("mesh", text, blocking=True, remedy=remedy)


def _trusted(rule: dict[str, Any]) -> set[str]:
    rules = (rule.get("spec") or {}).get("jwtRules") or ()
    return {str(each.get("issuer")) for each in rules}


def _about_us(systems: Systems, people: Sequence[Person]) -> Iterator[Notice]:
    own = systems.harbor_client.account.username
    if any(person.username == own for person in people):
        text = "the account of the Harbor connection is one of those who would be deleted."
        remedy = "Use the local administrator."
        yield Notice("own account", text, (own,), blocking=True, remedy=remedy)


def _about_others(users: Sequence[HarborUser], ours: int) -> Iterator[Notice]:
    if len(users) > ours:
        text = (
            f"Users of Harbor that are local or of other issuers: {len(users) - ours}. They stay."
        )
        yield Notice("others", text)
    yield Notice("robots", "Robots are nobody's logins: they work on.")
