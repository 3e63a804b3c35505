"""Reads everybody from Keycloak and from Harbor. Nothing is written here.

What it costs: of Keycloak a page for each 100 people and three requests each (links, groups,
roles of the realm and of clients); of Harbor a page for each 100 users and one each, and one for
each project's members.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, TypeVar

from tenantry.answers import understood
from tenantry.calls import map_concurrently
from tenantry.migration.snapshot import HarborUser, Link, Person
from tenantry.systems.harbor.client import HarborClient
from tenantry.systems.keycloak.client import KeycloakClient

T = TypeVar("T")
Progress = Callable[[int, int], None]
"""Told how many of how many are done."""


def silent(done: int, of: int) -> None:
    """Tells nobody."""


def linked(client: KeycloakClient, provider: str) -> dict[str, dict[str, Any]]:
    """The users of the realm who are linked to a provider, by id: as Keycloak lists them."""
    pages = client.pages("users", idpAlias=provider, briefRepresentation="false")
    return {user["id"]: user for user in pages}


def count(client: KeycloakClient, **query: str) -> int:
    """How many users the realm has."""
    return client.count("users/count", **query)


def read_person(client: KeycloakClient, user: dict[str, Any]) -> Person:
    """A user as it was listed, with links, groups and roles."""
    id = user["id"]
    realm_roles, client_roles = roles(client, id)
    return Person(
        id=id,
        username=user["username"],
        email=user.get("email") or "",
        first_name=user.get("firstName") or "",
        last_name=user.get("lastName") or "",
        enabled=user.get("enabled", True),
        email_verified=user.get("emailVerified", False),
        required_actions=user.get("requiredActions") or [],
        created=user.get("createdTimestamp") or 0,
        attributes=user.get("attributes") or {},
        links=links(client, id),
        groups=groups(client, id),
        roles=realm_roles,
        client_roles=client_roles,
    )


def links(client: KeycloakClient, id: str) -> list[Link]:
    """A user's links; none if there is no such user."""
    return [
        Link(
            provider=link["identityProvider"],
            user_id=link.get("userId") or "",
            user_name=link.get("userName") or "",
        )
        for link in client.rows(f"users/{id}/federated-identity") or ()
    ]


def groups(client: KeycloakClient, id: str) -> list[str]:
    """The paths of a user's groups."""
    return sorted(group["path"] for group in client.pages(f"users/{id}/groups"))


def roles(client: KeycloakClient, id: str) -> tuple[list[str], dict[str, list[str]]]:
    """The roles given to a user: those of the realm, and those of clients by the client."""
    found: dict[str, Any] = client.get(f"users/{id}/role-mappings") or {}
    clients = sorted((found.get("clientMappings") or {}).items())
    return _names(found.get("realmMappings")), {
        name: _names(mapped.get("mappings")) for name, mapped in clients
    }


def _names(roles: Iterable[dict[str, Any]] | None) -> list[str]:
    return sorted(role["name"] for role in roles or ())


def held(client: KeycloakClient, id: str) -> Person | None:
    """A user as it is now; None if there is none."""
    user = client.get(f"users/{id}")
    return read_person(client, user) if user else None


def read_people(
    client: KeycloakClient, users: Iterable[dict[str, Any]], progress: Progress = silent
) -> list[Person]:
    """Users as they were listed, by user name; service accounts are left out."""
    wanted = [user for user in users if not user.get("serviceAccountClientId")]
    step: Callable[[Person], Person] = counting(progress, len(wanted))

    def whole(user: dict[str, Any]) -> Person:
        with understood("keycloak", "read one of the people"):
            return step(read_person(client, user))

    found = map_concurrently(whole, wanted)
    return sorted(found, key=lambda person: person.username)


def read_harbor(
    client: HarborClient, progress: Progress = silent, *, only: Collection[int] | None = None
) -> list[HarborUser]:
    """Everybody in Harbor but its local administrator, with what each has directly.

    Args:
        client: Harbor.
        progress: told how far it has come.
        only: ids of users, to read no others.
    """
    listed = [row for row in client.pages("/users") if only is None or row["user_id"] in only]
    projects = list(client.pages("/projects"))
    owned: dict[int, list[str]] = defaultdict(list)
    for project in projects:
        owned[project["owner_id"]].append(project["name"])
    members: dict[int, dict[str, int]] = defaultdict(dict)
    found = map_concurrently(lambda project: list(memberships(client, project["name"])), projects)
    for project, rows in zip(projects, found, strict=True):
        for user, role in rows:
            members[user][project["name"]] = role
    step: Callable[[HarborUser], HarborUser] = counting(progress, len(listed))

    def whole(row: dict[str, Any]) -> HarborUser:
        # The answer holds the CLI secret: only this one field of it is looked at.
        meta = client.get(f"/users/{row['user_id']}").get("oidc_user_meta") or {}
        return step(
            HarborUser(
                id=row["user_id"],
                username=row["username"],
                email=row.get("email") or "",
                subiss=meta.get("subiss") or "",
                admin=bool(row.get("sysadmin_flag")),
                members=members[row["user_id"]],
                owns=sorted(owned[row["user_id"]]),
            )
        )

    return map_concurrently(whole, listed)


def memberships(client: HarborClient, project: str) -> Iterable[tuple[int, int]]:
    """The users that are direct members of a project, and their roles."""
    rows = client.pages(f"/projects/{project}/members", by_name=True)
    return ((row["entity_id"], row["role_id"]) for row in rows if row["entity_type"] == "u")


def join(people: Sequence[Person], users: Sequence[HarborUser], issuer: str) -> list[Person]:
    """The people with their users in Harbor: the one that has their id and the realm's issuer."""
    by_subject = {user.subiss: user for user in users if user.subiss}
    return [
        person.model_copy(update={"harbor": by_subject.get(person.id + issuer)})
        for person in people
    ]


def counting(progress: Progress, of: int) -> Callable[[T], T]:
    """A function that gives back what it is given, and tells how many it has been given."""
    done = 0

    def step(value: T) -> T:
        nonlocal done
        done += 1
        if done % 50 == 0 or done == of:
            progress(done, of)
        return value

    return step
