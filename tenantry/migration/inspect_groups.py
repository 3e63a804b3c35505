"""The groups of people whose issuer changes: in the old realm, in the new one, or at their first login.

The mappers of a realm's external providers add people to groups at a login only. Until then the new
realm shows no group of theirs, so the old realm is read too.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tenantry.errors import SystemRefused
from tenantry.migration import people as read
from tenantry.migration.inspection import Notice
from tenantry.migration.snapshot import Person
from tenantry.systems.keycloak.client import KeycloakClient


@dataclass(frozen=True)
class Groups:
    """The paths of one person's groups."""

    new: frozenset[str] = frozenset()
    """In the new realm."""
    old: frozenset[str] | None = None
    """In the old realm; None if it cannot be read."""

    @property
    def all(self) -> list[str]:
        """All groups that are known, sorted."""
        return sorted(self.new | (self.old or frozenset()))


def read_groups(
    new: KeycloakClient, old: KeycloakClient | None, person: Person, issuer: str
) -> Groups:
    """Return the groups of a person in both realms.

    Args:
        new: the new realm.
        old: the old realm; None if it cannot be reached.
        person: the person, with the identity in the new realm, if that is known.
        issuer: the old issuer.
    """
    found = frozenset(read.groups(new, person.new.external_id) if person.new else ())
    if old is None or person.harbor is None:
        return Groups(found)
    try:
        return Groups(found, frozenset(read.groups(old, person.harbor.subiss.removesuffix(issuer))))
    except SystemRefused:  # the account may not read users there
        return Groups(found)


def about_groups(
    realm: KeycloakClient, people: Sequence[Person], groups: Mapping[str, Groups]
) -> Iterator[Notice]:
    """Yield notices on who gets a group at the first login, and who does not.

    Args:
        realm: the new realm.
        people: all people, with their identities.
        groups: their groups, by the person's id.
    """
    known = [person for person in people if person.new]
    if all(groups[person.id].new and not _missing(groups[person.id]) for person in known):
        return
    mapped = _mapped(realm)
    texts = {
        "groups at login": (
            "In groups of the old realm that a provider's mapper adds them to in the new one, at "
            "their first login: {}."
        ),
        "groups missing": (
            "In groups of the old realm that they are not in in the new one, and that no provider's "
            "mapper adds them to: {}. Add them there, or they lose what these groups may do."
        ),
        "no group": "In no group of the old realm or of the new one: {}.",
        "groups unknown": (
            "In no group of the new realm yet, and the old issuer's groups cannot be read: {}. "
            + (
                "At their first login the providers' mappers add them to groups."
                if mapped
                else "No provider's mapper adds them to a group: add them there, or they have no "
                "team's rights."
            )
        ),
    }
    found: dict[str, list[str]] = {what: [] for what in texts}
    for person in known:
        if what := _kind(groups[person.id], mapped):
            found[what].append(person.username)
    for what, names in found.items():
        if names:
            yield Notice(what, texts[what].format(len(names)), tuple(names))


def _missing(groups: Groups) -> frozenset[str]:
    return (groups.old or frozenset()) - groups.new


def _kind(groups: Groups, mapped: frozenset[str]) -> str:
    """Return the notice that a person belongs to; empty if none."""
    if missing := _missing(groups):
        return "groups at login" if missing <= mapped else "groups missing"
    if groups.new:
        return ""
    return "groups unknown" if groups.old is None else "no group"


def _mapped(realm: KeycloakClient) -> frozenset[str]:
    """Return the groups that a provider's mappers add people to."""
    path = "identity-provider/instances"
    return frozenset(
        str(group)
        for provider in realm.rows(path) or ()
        for mapper in realm.rows(f"{path}/{provider['alias']}/mappers") or ()
        if (group := (mapper.get("config") or {}).get("group"))
    )
