"""The look before an external provider is replaced. Nothing is written."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tenantry.calls import map_concurrently
from tenantry.migration import people as read
from tenantry.migration.case import fold
from tenantry.migration.identities import check_known
from tenantry.migration.inspection import (
    Inspection,
    Notice,
    about_losses,
    about_matches,
    about_rights,
    about_waves,
)
from tenantry.migration.match import match
from tenantry.migration.options import Options, divide
from tenantry.migration.people import Progress, silent
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
    progress: Progress = silent,
) -> Inspection:
    """Reads everybody, matches them, and looks for what stands in the way.

    Args:
        systems: the systems.
        old: the alias of the provider that is replaced.
        new: the alias of the one that replaces it.
        identities: everybody at the new provider.
        options: what is asked for.
        file: the name of the file that the identities are from, if they are.
        progress: told how far the look has come.

    Raises:
        TenantryError: the options, or the file, names people whom nobody knows.
    """
    keycloak = systems.keycloak_client
    listed = read.linked(keycloak, old)
    people = read.read_people(keycloak, listed.values(), progress)
    if options.match == "mapping":
        check_known(file, identities, {fold(person.username) for person in people})
    users = read.read_harbor(systems.harbor_client)
    people = read.join(people, users, keycloak.issuer)
    matched = match(people, identities, options.match)
    people = [each.model_copy(update={"new": matched[each.id].identity}) for each in people]
    people, waves = divide(people, options)
    inspection = Inspection(people, waves, matched)
    inspection.notices += [
        *_about_providers(systems, old, new),
        *about_matches(inspection),
        *_about_names(people, new),
        *_about_second_accounts(systems, inspection, new),
        *_about_us(systems, people),
        *_about_issuer(systems),
        *_about_remade(systems, people, listed),
        *_about_harbor(people, users),
        *_about_others(systems, people),
    ]
    if options.recreate:
        inspection.notices += [
            *about_waves(inspection, len(users), options),
            *about_losses(people),
        ]
    return inspection


def _about_providers(systems: Systems, old: str, new: str) -> Iterator[Notice]:
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
            f"'{new}' is on the login page already: whoever logs in by it before being linked may "
            "get a second account."
        )
        remedy = "Declare it hidden, and run configure-platform."
        yield Notice("provider shown", text, blocking=True, remedy=remedy)
    if all(there.values()):
        filled = {
            alias: {
                (mapper.get("config") or {}).get("group")
                for mapper in keycloak.rows(f"{path}/{alias}/mappers") or ()
            }
            - {None}
            for alias in (old, new)
        }
        incomplete = len(filled[old] - filled[new])
        if incomplete:
            text = (
                f"Groups that '{old}' puts people into and '{new}' has no mapper for: {incomplete}. At "
                "their first login people would fall out of them."
            )
            remedy = (
                "Declare the new provider's names of the groups, and run configure-platform and "
                "onboard-teams (scope: all)."
            )
            yield Notice("mappers missing", text, blocking=True, remedy=remedy)


def _about_names(people: Sequence[Person], new: str) -> Iterator[Notice]:
    """Who is called otherwise there: the realm follows a provider whose sync_mode is force."""
    other = [
        p.username for p in people if p.new and fold(p.new.external_username) != fold(p.username)
    ]
    if other:
        text = (
            f"Other user names at '{new}': {len(other)}. From their first login by it they are called "
            "so in the realm, unless its sync_mode is import; in Harbor nobody's name changes but "
            "that of who is made anew."
        )
        yield Notice("other names", text, tuple(other))


def _about_second_accounts(systems: Systems, inspection: Inspection, new: str) -> Iterator[Notice]:
    """Whoever has been at the new provider already, and is somebody else here for it."""
    keycloak = systems.keycloak_client
    there = read.linked(keycloak, new)
    links = map_concurrently(lambda id: read.links(keycloak, id), there)
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
            f"Identities at the new provider that another user of the realm is linked to, or people "
            f"who are linked to another identity: {len(wrong)}."
        )
        remedy = "Delete that user or link, if it is a second account."
        yield Notice("second account", text, tuple(wrong), blocking=True, remedy=remedy)


def _is_free(person: Person, identity: str, new: str, holders: dict[str, str]) -> bool:
    """Whether the person is, or can be, linked to an identity, and nobody else is."""
    link = person.link(new)
    return holders.get(identity, person.id) == person.id and (
        link is None or link.user_id == identity
    )


def _about_us(systems: Systems, people: Sequence[Person]) -> Iterator[Notice]:
    """Whoever runs this keeps a way in."""
    names = {fold(person.username) for person in people}
    account = systems.keycloak_client.account
    if account.realm == systems.keycloak_client.realm and fold(account.username) in names:
        text = (
            "the account of the Keycloak connection is one of those who are moved: whoever runs "
            "this could lock themselves out."
        )
        remedy = "Use an account of the realm 'master'."
        yield Notice("own account", text, (account.username,), blocking=True, remedy=remedy)
    own = systems.harbor_client.account.username
    if any(person.harbor and person.harbor.username == own for person in people):
        text = "the account of the Harbor connection is one of those who are moved."
        remedy = "Use the local administrator."
        yield Notice("own account", text, (own,), blocking=True, remedy=remedy)


def _about_issuer(systems: Systems) -> Iterator[Notice]:
    """Whether Harbor trusts the realm that stays."""
    trusted = str(systems.harbor_client.settings().get("oidc_endpoint") or "").rstrip("/")
    issuer = systems.keycloak_client.issuer.rstrip("/")
    if trusted and trusted != issuer:
        text = (
            f"Harbor trusts '{trusted}', and the realm's issuer is '{issuer}': this is a change of "
            "Harbor's issuer, which is no replacement of a provider behind the realm."
        )
        remedy = "Run plan-migration with situation: issuer, if that is what you want."
        yield Notice("issuer", text, blocking=True, remedy=remedy)


def _about_harbor(people: Sequence[Person], users: Sequence[HarborUser]) -> Iterator[Notice]:
    known = {person.harbor.id for person in people if person.harbor}
    names = {fold(person.username): person for person in people}
    others = [
        user.username for user in users if user.id not in known and fold(user.username) in names
    ]
    if others:
        text = (
            f"Users of Harbor with a person's name and another subject or issuer: {len(others)}. "
            "Their logins end in 409 already, and the migration does not change that."
        )
        yield Notice("strangers in Harbor", text, tuple(others))
    yield from about_rights(people)


def _about_remade(
    systems: Systems, people: Sequence[Person], listed: Mapping[str, dict[str, Any]]
) -> Iterator[Notice]:
    """What those lose who are deleted in the realm, and who must not be."""
    recreated = [p for p in people if p.way != "link" and p.wave is not None]
    if not recreated:
        return
    foreign = [p.username for p in recreated if listed[p.id].get("federationLink")]
    if foreign:
        text = f"Users of a user federation (LDAP) who would be deleted, maybe there too: {len(foreign)}."
        remedy = "In the realm's user federation, 'Unlink users' makes them the realm's own."
        yield Notice("user federation", text, tuple(foreign), blocking=True, remedy=remedy)
    yield Notice(
        "made anew",
        f"Deleted and made anew in the realm: {len(recreated)}. Their sessions end.",
        tuple(person.username for person in recreated),
    )
    own = map_concurrently(
        lambda p: systems.keycloak_client.rows(f"users/{p.id}/credentials"), recreated
    )
    losing = [person.username for person, found in zip(recreated, own, strict=True) if found]
    if losing:
        text = f"Passwords and second factors of the realm's own are lost: {len(losing)} people's."
        yield Notice("credentials", text, tuple(losing))


def _about_others(systems: Systems, people: Sequence[Person]) -> Iterator[Notice]:
    others = read.count(systems.keycloak_client) - len(people)
    if others > 0:
        text = f"Users of the realm without a link to the old provider: {others}. They stay as they are."
        yield Notice("others", text)
    yield Notice("robots", "Robots and service accounts are nobody's logins: they work on.")
