"""The inspection before Harbor's issuer changes. It writes nothing."""

from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from typing import Any

from tenantry.calls import map_concurrently
from tenantry.errors import SystemRefused, TenantryError
from tenantry.migration import people as read
from tenantry.migration.case import fold
from tenantry.migration.identities import check_known
from tenantry.migration.inspect_groups import group_notices, read_groups
from tenantry.migration.inspection import (
    Inspection,
    Notice,
    loss_notices,
    match_notices,
    rights_notices,
    wave_notices,
)
from tenantry.migration.issuer import SETTINGS, explain_no_rollback, open_old_realm
from tenantry.migration.match import match
from tenantry.migration.options import Options, divide
from tenantry.migration.people import Progress, no_progress
from tenantry.migration.snapshot import HarborUser, Identity, Person
from tenantry.systems.systems import Systems


def find_issuers(systems: Systems) -> tuple[str, str]:
    """Return the issuer that Harbor trusts, and the issuer of the declared realm.

    Raises:
        TenantryError: both are the same, or Harbor's single sign-on is not declared.
    """
    if systems.state.platform.harbor.single_sign_on is None:
        raise TenantryError(
            "harbor.single_sign_on is not declared in platform.yaml, so Tenantry does not manage "
            "Harbor's issuer. Declare it first."
        )
    old = str(systems.harbor_client.settings().get("oidc_endpoint") or "")
    new = systems.keycloak_client.issuer
    if old == new:
        raise TenantryError(f"Harbor already trusts '{new}': its issuer does not change.")
    return old, new


def inspect(
    systems: Systems,
    old: str,
    new: str,
    identities: Sequence[Identity],
    options: Options,
    *,
    file: str = "",
    progress: Progress = no_progress,
) -> Inspection:
    """Return the users of Harbor with the old issuer, their matches at the new one, and notices.

    Args:
        systems: the systems; the realm is the new one.
        old: the issuer that Harbor trusts.
        new: the issuer that Harbor shall trust.
        identities: all users of the new issuer; `external_id` is the claim `sub` of their tokens.
        options: the options of the plan.
        file: the name of the identities file, if there is one.
        progress: reports progress.

    Raises:
        TenantryError: the options or the file name unknown users, or the declared realm is not the
            new one.
    """
    if (declared := systems.keycloak_client.issuer) != new or old == new:
        raise TenantryError(
            f"People are to be moved from '{old}' to '{new}', but the declared realm's issuer is "
            f"'{declared}'. Nothing was changed. Declare the realm with the new issuer, unless this "
            "migration is being rolled back."
        )
    users = read.read_harbor_users(systems.harbor_client, progress)
    ours = [user for user in users if user.subiss.endswith(old)]
    people = [_person(user) for user in sorted(ours, key=lambda user: user.username)]
    if options.match == "mapping":
        check_known(file, identities, {fold(person.username) for person in people})
    matched = match(people, identities, options.match)
    people = [p.model_copy(update={"new": matched[p.id].identity}) for p in people]
    old_client = open_old_realm(systems.keycloak_client, old)
    with closing(old_client) if old_client else nullcontext():
        keycloak = systems.keycloak_client
        found = map_concurrently(
            lambda person: read_groups(keycloak, old_client, person, old), people
        )
    groups = {person.id: own for person, own in zip(people, found, strict=True)}
    people = [p.model_copy(update={"groups": groups[p.id].all}) for p in people]
    people, waves = divide(people, options)
    current = systems.harbor_client.settings()
    settings = {name: current[name] for name in SETTINGS if name in current}
    inspection = Inspection(people, waves, matched, settings=settings)
    inspection.notices += [
        *match_notices(inspection),
        *_client_notices(systems),
        *_mesh_notices(systems, old, new),
        *wave_notices(inspection, len(users), options),
        *_own_account_notices(systems, people),
        *rights_notices(people),
        *group_notices(keycloak, people, groups),
        *loss_notices(people),
        *_other_user_notices(users, len(ours)),
        *([] if old_client else [Notice("no rollback", explain_no_rollback(old))]),
    ]
    return inspection


def _person(user: HarborUser) -> Person:
    return Person(id=f"harbor-{user.id}", username=user.username, email=user.email, harbor=user)


def _client_notices(systems: Systems) -> Iterator[Notice]:
    sign_on = systems.state.platform.harbor.single_sign_on
    assert sign_on is not None
    if not systems.keycloak_client.rows("clients", clientId=sign_on.client_id):
        text = f"the realm has no client '{sign_on.client_id}' for Harbor."
        remedy = "Run configure-platform."
        yield Notice("client missing", text, blocking=True, remedy=remedy)


def _mesh_notices(systems: Systems, old: str, new: str) -> Iterator[Notice]:
    """Yield a notice if Istio accepts the old issuer's tokens, and not the new issuer's."""
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
            f"RequestAuthentication {', '.join(incomplete)} accepts tokens of '{old}' and not of "
            f"'{new}', so requests would be rejected with 401."
        )
        remedy = "List both issuers until the migration is finished."
        yield Notice("mesh", text, blocking=True, remedy=remedy)


def _trusted(rule: dict[str, Any]) -> set[str]:
    rules = (rule.get("spec") or {}).get("jwtRules") or ()
    return {str(rule.get("issuer")) for rule in rules}


def _own_account_notices(systems: Systems, people: Sequence[Person]) -> Iterator[Notice]:
    own = systems.harbor_client.account.username
    if any(person.username == own for person in people):
        text = "the account of the Harbor connection is one of the users that would be deleted."
        remedy = "Use the local administrator."
        yield Notice("own account", text, (own,), blocking=True, remedy=remedy)


def _other_user_notices(users: Sequence[HarborUser], ours: int) -> Iterator[Notice]:
    if len(users) > ours:
        text = (
            f"Local users of Harbor, and users of other issuers: {len(users) - ours}. They are not "
            "changed."
        )
        yield Notice("other users", text)
    yield Notice("robots", "Robots are not affected.")
