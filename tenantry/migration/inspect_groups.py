"""The groups of people whose issuer changes: in the old realm, the new realm, or after the first login.

The mappers of a realm's external providers add people to groups at a login only. Before the first
login, the new realm shows no groups of these people, so the old realm is read, too.
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
        old: the old realm; None if it cannot be read.
        person: the person, with the identity in the new realm, if that is known.
        issuer: the old issuer.
    """
    found = frozenset(read.read_groups(new, person.new.external_id) if person.new else ())
    if old is None or person.harbor is None:
        return Groups(found)
    try:
        return Groups(
            found, frozenset(read.read_groups(old, person.harbor.subiss.removesuffix(issuer)))
        )
    except SystemRefused:  # the account may not read the users of the old realm
        return Groups(found)


def group_notices(
    realm: KeycloakClient, people: Sequence[Person], groups: Mapping[str, Groups]
) -> Iterator[Notice]:
    """Yield notices about people whose groups are not complete in the new realm.

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
            "People whom a provider's mapper adds to their groups in the new realm at their first "
            "login: {}."
        ),
        "groups missing": (
            "People who lack groups in the new realm that no provider's mapper adds them to: {}. Add "
            "them to these groups, or they lose the groups' rights."
        ),
        "no group": "People without a group in the old and the new realm: {}.",
        "groups unknown": (
            "People without a group in the new realm whose groups in the old realm cannot be read: "
            "{}. "
            + (
                "At their first login, the providers' mappers add them to groups."
                if mapped
                else "No provider's mapper adds them to a group: add them to groups in the new realm, "
                "or they do not have the rights of a team."
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
    """Return the kind of notice that a person belongs to; empty if none."""
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
