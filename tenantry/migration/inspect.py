"""The look before anything is done: who is who, and what stands in the way. Nothing is written."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tenantry.calls import each
from tenantry.errors import SystemRefused, TenantryError
from tenantry.migration import people as read
from tenantry.migration.identities import check_known
from tenantry.migration.match import Matched, match
from tenantry.migration.order import Order, divide
from tenantry.migration.people import Progress, silent
from tenantry.migration.snapshot import HarborUser, Identity, Person
from tenantry.systems import Systems

_FEW = 3
"""A wave of so few people is never too large."""
OLDEST_KEYCLOAK = (26, 7)
"""The oldest Keycloak that this was tested with."""


@dataclass(frozen=True)
class Finding:
    """Something to know before people are moved."""

    what: str
    text: str
    """A sentence without names."""
    who: tuple[str, ...] = ()
    """User names, for the file in the store; never for an artifact."""
    blocking: bool = False


@dataclass
class Inspection:
    """What was found."""

    people: list[Person]
    """All who are linked to the old provider, matched, joined with Harbor, and with their waves."""
    waves: list[str]
    matched: dict[str, Matched]
    findings: list[Finding] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    """How Harbor logs people in, where that is what changes."""

    @property
    def blocking(self) -> list[Finding]:
        """What must be settled first."""
        return [finding for finding in self.findings if finding.blocking]

    @property
    def summary(self) -> str:
        """The counts, in a sentence."""
        states = [each.state for each in self.matched.values()]
        told = ", ".join(
            f"{states.count(state)} {state}" for state in ("matched", "unmatched", "ambiguous")
        )
        gone = sum(person.wave is None for person in self.people)
        return f"{len(self.people)} people: {told}; {gone} let go; {len(self.waves)} waves."

    def refuse(self) -> None:
        """Stops here if something must be settled first.

        Raises:
            TenantryError: and what.
        """
        if self.blocking:
            lines = [f"{finding.what}: {finding.text}" for finding in self.blocking]
            raise TenantryError("\n".join(["Nothing was changed. First settle this:", *lines]))


def check_versions(systems: Systems) -> None:
    """Whether Harbor and Keycloak are new enough.

    Raises:
        SystemRefused: one is not. Before Harbor 2.4 nobody who came by OIDC can be deleted.
    """
    systems.harbor_client.info()
    version = systems.keycloak_client.version()
    found = re.match(r"(\d+)\.(\d+)", version)
    if found and (int(found[1]), int(found[2])) < OLDEST_KEYCLOAK:
        oldest = ".".join(map(str, OLDEST_KEYCLOAK))
        text = f"it is version {version}, and a migration was tested with {oldest} and later only"
        raise SystemRefused("keycloak", "GET /admin/serverinfo", text, advice="Update Keycloak.")


def inspect(
    systems: Systems,
    old: str,
    new: str,
    identities: Sequence[Identity],
    order: Order,
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
        order: what is asked for.
        file: the name of the file that the identities are from, if they are.
        progress: told how far the look has come.

    Raises:
        TenantryError: the order, or the file, names people whom nobody knows.
    """
    keycloak = systems.keycloak_client
    listed = read.linked(keycloak, old)
    people = read.read_people(keycloak, listed.values(), progress)
    if order.match == "mapping":
        check_known(file, identities, {person.username for person in people})
    users = read.read_harbor(systems.harbor_client)
    people = read.join(people, users, keycloak.issuer)
    matched = match(people, identities, order.match)
    people = [each.model_copy(update={"new": matched[each.id].identity}) for each in people]
    people, waves = divide(people, order)
    inspection = Inspection(people, waves, matched)
    inspection.findings += [
        *_about_providers(systems, old, new),
        *about_matches(inspection),
        *_about_second_accounts(systems, inspection, new),
        *_about_us(systems, people),
        *_about_issuer(systems),
        *_about_remade(systems, people, listed),
        *_about_harbor(people, users),
        *_about_others(systems, people),
    ]
    if order.recreate:
        inspection.findings += [
            *about_waves(inspection, len(users), order),
            *about_losses(people),
        ]
    return inspection


def _about_providers(systems: Systems, old: str, new: str) -> Iterator[Finding]:
    keycloak = systems.keycloak_client
    path = "identity-provider/instances"
    there = {alias: keycloak.get(f"{path}/{alias}") for alias in (old, new)}
    for alias, provider in there.items():
        if provider is None:
            advice = "run configure-platform" if alias == new else "correct 'replaces'"
            text = f"the realm has no identity provider '{alias}': {advice}."
            yield Finding("provider missing", text, blocking=True)
    if there[new] is not None and not there[new].get("hideOnLogin"):
        text = (
            f"'{new}' is on the login page already: whoever logs in by it before being linked may "
            "get a second account. Declare it hidden, and run configure-platform."
        )
        yield Finding("provider shown", text, blocking=True)
    if all(there.values()):
        filled = {
            alias: {
                (mapper.get("config") or {}).get("group")
                for mapper in keycloak.get(f"{path}/{alias}/mappers") or ()
            }
            - {None}
            for alias in (old, new)
        }
        lacking = len(filled[old] - filled[new])
        if lacking:
            text = (
                f"Groups that '{old}' puts people into and '{new}' has no mapper for: {lacking}. At "
                "their first login people would fall out of them. Declare the new provider's names "
                "of the groups, and run configure-platform and onboard-teams (which: all)."
            )
            yield Finding("mappers missing", text, blocking=True)


def about_matches(inspection: Inspection) -> Iterator[Finding]:
    """Who has no match, or more than one."""
    if not inspection.people:
        text = "there is nobody to move."
        yield Finding("nobody", text, blocking=True)
    for state in ("unmatched", "ambiguous"):
        found = [
            person
            for person in inspection.people
            if person.wave is not None and inspection.matched[person.id].state == state
        ]
        if found:
            text = (
                f"{state.title()} at the new provider: {len(found)}. Correct it there or here, "
                "say who is who by a mapping file, or let them go by name (let_go)."
            )
            yield Finding(state, text, tuple(each.username for each in found), blocking=True)
    gone = [person.username for person in inspection.people if person.wave is None]
    if gone:
        text = f"Let go: {len(gone)}. They are left behind, and lose their way in."
        yield Finding("let go", text, tuple(gone))


def _about_second_accounts(systems: Systems, inspection: Inspection, new: str) -> Iterator[Finding]:
    """Whoever has been at the new provider already, and is somebody else here for it."""
    keycloak = systems.keycloak_client
    there = read.linked(keycloak, new)
    links = each(lambda id: read.links(keycloak, id), there)
    holders = {
        link.user_id: id
        for id, found in zip(there, links, strict=True)
        for link in found
        if link.provider == new
    }
    wrong = [
        person.username
        for person in inspection.people
        if person.new and not _is_free(person, person.new.external_id, new, holders)
    ]
    if wrong:
        text = (
            f"Identities at the new provider that another user of the realm is linked to, or people "
            f"who are linked to another identity: {len(wrong)}. Delete that user or link, if it is "
            "a second account; nothing is taken from anybody here."
        )
        yield Finding("second account", text, tuple(wrong), blocking=True)


def _is_free(person: Person, identity: str, new: str, holders: dict[str, str]) -> bool:
    """Whether the person is, or can be, linked to an identity, and nobody else is."""
    link = person.link(new)
    return holders.get(identity, person.id) == person.id and (
        link is None or link.user_id == identity
    )


def _about_us(systems: Systems, people: Sequence[Person]) -> Iterator[Finding]:
    """Whoever runs this keeps a way in."""
    names = {person.username for person in people}
    account = systems.keycloak_client.account
    if account.realm == systems.keycloak_client.realm and account.username.lower() in names:
        text = (
            "the account of the Keycloak connection is one of those who are moved: whoever runs "
            "this could lock themselves out. Use an account of the realm 'master'."
        )
        yield Finding("own account", text, (account.username,), blocking=True)
    own = systems.harbor_client.account.username
    if any(person.harbor and person.harbor.username == own for person in people):
        text = (
            "the account of the Harbor connection is one of those who are moved. Use the local "
            "administrator."
        )
        yield Finding("own account", text, (own,), blocking=True)


def _about_issuer(systems: Systems) -> Iterator[Finding]:
    """Whether Harbor trusts the realm that stays."""
    setting = systems.harbor_client.get("/configurations").get("oidc_endpoint") or {}
    trusted = str(setting.get("value") or "").rstrip("/")
    issuer = systems.keycloak_client.issuer.rstrip("/")
    if trusted and trusted != issuer:
        text = (
            f"Harbor trusts '{trusted}', and the realm's issuer is '{issuer}': this is a change of "
            "Harbor's issuer, which is no replacement of a provider behind the realm."
        )
        yield Finding("issuer", text, blocking=True)


def _about_harbor(people: Sequence[Person], users: Sequence[HarborUser]) -> Iterator[Finding]:
    known = {person.harbor.id for person in people if person.harbor}
    names = {person.username: person for person in people}
    others = [
        user.username for user in users if user.id not in known and user.username.lower() in names
    ]
    if others:
        text = (
            f"{len(others)} users of Harbor have a person's name and another subject or issuer: "
            "their logins end in 409 already, whatever is done here."
        )
        yield Finding("strangers in Harbor", text, tuple(others))
    yield from about_rights(people)


def about_rights(people: Sequence[Person]) -> Iterator[Finding]:
    """Who has something in Harbor by themselves."""
    for what, chosen in (
        ("administrators", [p for p in people if p.harbor and p.harbor.admin]),
        ("owners", [p for p in people if p.harbor and p.harbor.owns]),
        ("direct members", [p for p in people if p.harbor and p.harbor.members]),
    ):
        if chosen:
            text = f"{what.capitalize()} in Harbor by themselves, not by a group: {len(chosen)}."
            yield Finding(what, text, tuple(person.username for person in chosen))


def about_waves(inspection: Inspection, users: int, order: Order) -> Iterator[Finding]:
    """Whether a wave deletes more of Harbor's people than is allowed without a further word."""
    sizes = Counter(person.wave for person in inspection.people if person.wave is not None)
    most = max(_FEW, users * order.largest_wave // 100)
    large = [inspection.waves[wave] for wave, size in sizes.items() if size > most]
    if large:
        text = (
            f"Waves that would delete more than {order.largest_wave}% of Harbor's people at once: "
            f"{len(large)}. Make them smaller (percent), or say that it is meant (largest_wave)."
        )
        yield Finding("large wave", text, blocking=True)


def about_losses(people: Sequence[Person]) -> Iterator[Finding]:
    """What those lose whose users in Harbor are deleted."""
    text = "Everybody's CLI secret ends: whoever uses docker by hand needs a new one."
    yield Finding("CLI secrets", text)
    owners = [p.username for p in people if p.harbor and p.harbor.owns]
    if owners:
        text = (
            f"Owners of projects: {len(owners)}. Harbor has no way to give that back. They are "
            "project admins again where they were members."
        )
        yield Finding("ownership", text, tuple(owners))


def _about_remade(
    systems: Systems, people: Sequence[Person], listed: Mapping[str, dict[str, Any]]
) -> Iterator[Finding]:
    """What those lose who are deleted in the realm, and who must not be."""
    remade = [p for p in people if p.way != "link" and p.wave is not None]
    if not remade:
        return
    foreign = [p.username for p in remade if listed[p.id].get("federationLink")]
    if foreign:
        text = (
            f"Users of a user federation (LDAP) who would be deleted, maybe there too: {len(foreign)}. "
            "In the realm's user federation, 'Unlink users' makes them the realm's own."
        )
        yield Finding("user federation", text, tuple(foreign), blocking=True)
    yield Finding(
        "made anew",
        f"Deleted and made anew in the realm: {len(remade)}. Their sessions end.",
        tuple(person.username for person in remade),
    )
    own = each(lambda p: systems.keycloak_client.get(f"users/{p.id}/credentials"), remade)
    losing = [person.username for person, found in zip(remade, own, strict=True) if found]
    if losing:
        text = f"Passwords and second factors of the realm's own are lost: {len(losing)} people's."
        yield Finding("credentials", text, tuple(losing))


def _about_others(systems: Systems, people: Sequence[Person]) -> Iterator[Finding]:
    others = read.count(systems.keycloak_client) - len(people)
    if others > 0:
        text = f"{others} users of the realm are not linked to the old provider; nothing is done."
        yield Finding("others", text)
    yield Finding("robots", "Robots and service accounts are nobody's logins: they work on.")
