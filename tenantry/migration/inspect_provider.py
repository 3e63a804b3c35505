"""The inspection before an external provider is replaced. It writes nothing."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tenantry.calls import map_concurrently
from tenantry.migration import people as read
from tenantry.migration.case import fold
from tenantry.migration.identities import check_known
from tenantry.migration.inspection import (
    Inspection,
    Notice,
    loss_notices,
    match_notices,
    rights_notices,
    wave_notices,
)
from tenantry.migration.match import match
from tenantry.migration.options import Options, divide
from tenantry.migration.people import Progress, no_progress
from tenantry.migration.snapshot import HarborUser, Identity, Person
from tenantry.systems.systems import Systems


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
    """Return the users with a link to the old provider, their matches at the new one, and notices.

    Args:
        systems: the systems.
        old: the alias of the old provider.
        new: the alias of the new provider.
        identities: all users of the new provider.
        options: the options of the plan.
        file: the name of the identities file, if there is one.
        progress: reports progress.

    Raises:
        TenantryError: the options or the file name unknown users.
    """
    keycloak = systems.keycloak_client
    listed = read.linked_users(keycloak, old)
    people = read.read_people(keycloak, listed.values(), progress)
    if options.match == "mapping":
        check_known(file, identities, {fold(person.username) for person in people})
    users = read.read_harbor_users(systems.harbor_client)
    people = read.join(people, users, keycloak.issuer)
    matched = match(people, identities, options.match)
    people = [p.model_copy(update={"new": matched[p.id].identity}) for p in people]
    people, waves = divide(people, options)
    inspection = Inspection(people, waves, matched)
    inspection.notices += [
        *_provider_notices(systems, old, new),
        *match_notices(inspection),
        *_name_notices(people, new),
        *_second_account_notices(systems, inspection, new),
        *_own_account_notices(systems, people),
        *_issuer_notices(systems),
        *_recreation_notices(systems, people, listed),
        *_harbor_notices(people, users),
        *_other_user_notices(systems, people),
    ]
    if options.recreate:
        inspection.notices += [
            *wave_notices(inspection, len(users), options),
            *loss_notices(people),
        ]
    return inspection


def _provider_notices(systems: Systems, old: str, new: str) -> Iterator[Notice]:
    keycloak = systems.keycloak_client
    path = "identity-provider/instances"
    there = {alias: keycloak.get(f"{path}/{alias}") for alias in (old, new)}
    for alias, provider in there.items():
        if provider is None:
            remedy = "Run configure-platform." if alias == new else "Correct 'replaces'."
            text = f"the realm has no identity provider '{alias}'."
            yield Notice("provider missing", text, blocking=True, remedy=remedy)
    shown = there[new]
    if shown is not None and not shown.get("hideOnLogin"):
        text = (
            f"'{new}' is already on the login page: a person who logs in with it before being linked "
            "may get a second account."
        )
        remedy = "Declare it hidden, and run configure-platform."
        yield Notice("provider shown", text, blocking=True, remedy=remedy)
    if all(there.values()):
        mapped = {
            alias: {
                (mapper.get("config") or {}).get("group")
                for mapper in keycloak.rows(f"{path}/{alias}/mappers") or ()
            }
            - {None}
            for alias in (old, new)
        }
        incomplete = len(mapped[old] - mapped[new])
        if incomplete:
            text = (
                f"Groups with a mapper of '{old}' and without one of '{new}': {incomplete}. People "
                "would lose these groups at their first login."
            )
            remedy = (
                "Declare the names of these groups at the new provider, and run configure-platform and "
                "onboard-teams (scope: all)."
            )
            yield Notice("mappers missing", text, blocking=True, remedy=remedy)


def _name_notices(people: Sequence[Person], new: str) -> Iterator[Notice]:
    """Yield a notice about people with another user name at the new provider.

    With the sync mode `force`, the realm takes over the provider's user names.
    """
    other = [
        p.username for p in people if p.new and fold(p.new.external_username) != fold(p.username)
    ]
    if other:
        text = (
            f"People with another user name at '{new}': {len(other)}. Their user names in the realm "
            "change at the first login with it, unless its sync_mode is import. In Harbor, only the "
            "user names of re-created users change."
        )
        yield Notice("other names", text, tuple(other))


def _second_account_notices(systems: Systems, inspection: Inspection, new: str) -> Iterator[Notice]:
    """Yield a notice about identities at the new provider that are linked to another user."""
    keycloak = systems.keycloak_client
    there = read.linked_users(keycloak, new)
    links = map_concurrently(lambda id: read.read_links(keycloak, id), there)
    holders = {
        link.user_id: id
        for id, found in zip(there, links, strict=True)
        for link in found
        if link.provider == new
    }
    wrong = [
        person.username
        for person in inspection.people
        if person.new
        and person.wave is not None
        and not _is_free(person, person.new.external_id, new, holders)
    ]
    if wrong:
        text = (
            "Identities at the new provider that are linked to another user of the realm, or people "
            f"who are linked to another identity: {len(wrong)}."
        )
        remedy = "If it is a second account, delete that user or link."
        yield Notice("second account", text, tuple(wrong), blocking=True, remedy=remedy)


def _is_free(person: Person, identity: str, new: str, holders: dict[str, str]) -> bool:
    """Return whether a person is or can be linked to an identity, and no other user is."""
    link = person.link(new)
    return holders.get(identity, person.id) == person.id and (
        link is None or link.user_id == identity
    )


def _own_account_notices(systems: Systems, people: Sequence[Person]) -> Iterator[Notice]:
    """Yield notices if the accounts of the connections are among the people to be moved."""
    names = {fold(person.username) for person in people}
    account = systems.keycloak_client.account
    if account.realm == systems.keycloak_client.realm and fold(account.username) in names:
        text = (
            "the account of the Keycloak connection is one of the users to be moved, so the migration "
            "could lock itself out."
        )
        remedy = "Use an account of the realm 'master'."
        yield Notice("own account", text, (account.username,), blocking=True, remedy=remedy)
    own = systems.harbor_client.account.username
    if any(person.harbor and person.harbor.username == own for person in people):
        text = "the account of the Harbor connection is one of the users to be moved."
        remedy = "Use the local administrator."
        yield Notice("own account", text, (own,), blocking=True, remedy=remedy)


def _issuer_notices(systems: Systems) -> Iterator[Notice]:
    """Yield a notice if Harbor trusts another issuer than the realm's."""
    trusted = str(systems.harbor_client.settings().get("oidc_endpoint") or "").rstrip("/")
    issuer = systems.keycloak_client.issuer.rstrip("/")
    if trusted and trusted != issuer:
        text = (
            f"Harbor trusts '{trusted}', and the realm's issuer is '{issuer}': this changes Harbor's "
            "issuer, not only a provider behind the realm."
        )
        remedy = "Run plan-migration with situation: issuer, if that is what you want."
        yield Notice("issuer", text, blocking=True, remedy=remedy)


def _harbor_notices(people: Sequence[Person], users: Sequence[HarborUser]) -> Iterator[Notice]:
    known = {person.harbor.id for person in people if person.harbor}
    names = {fold(person.username): person for person in people}
    others = [
        user.username for user in users if user.id not in known and fold(user.username) in names
    ]
    if others:
        text = (
            "Users of Harbor with the name of a person, and another subject or issuer: "
            f"{len(others)}. Harbor already rejects their logins with 409, and the migration does not "
            "change that."
        )
        yield Notice("same name in Harbor", text, tuple(others))
    yield from rights_notices(people)


def _recreation_notices(
    systems: Systems, people: Sequence[Person], listed: Mapping[str, dict[str, Any]]
) -> Iterator[Notice]:
    """Yield notices about what re-created users lose, and about users that must not be deleted."""
    recreated = [p for p in people if p.way != "link" and p.wave is not None]
    if not recreated:
        return
    foreign = [p.username for p in recreated if listed[p.id].get("federationLink")]
    if foreign:
        text = (
            "Users of a user federation (LDAP) that would be deleted, possibly in the directory, too: "
            f"{len(foreign)}."
        )
        remedy = "Select 'Unlink users' in the realm's user federation."
        yield Notice("user federation", text, tuple(foreign), blocking=True, remedy=remedy)
    yield Notice(
        "re-created",
        f"Users that are deleted and re-created in the realm: {len(recreated)}. Their sessions end.",
        tuple(person.username for person in recreated),
    )
    own = map_concurrently(
        lambda p: systems.keycloak_client.rows(f"users/{p.id}/credentials"), recreated
    )
    losing = [person.username for person, found in zip(recreated, own, strict=True) if found]
    if losing:
        text = f"People who lose passwords or second factors that the realm keeps: {len(losing)}."
        yield Notice("credentials", text, tuple(losing))


def _other_user_notices(systems: Systems, people: Sequence[Person]) -> Iterator[Notice]:
    others = read.count_users(systems.keycloak_client) - len(people)
    if others > 0:
        text = f"Users of the realm without a link to the old provider: {others}. They are not changed."
        yield Notice("other users", text)
    yield Notice("robots", "Robots and service accounts are not affected.")
