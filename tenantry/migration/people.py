"""Reads users and their rights from Keycloak and from Harbor. It writes nothing.

Keycloak: a page for each 100 users, and three requests for each user (links, groups, and roles of
the realm and of clients). Harbor: a page for each 100 users, a request for each user, and one for the
members of each project.
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
"""Reports progress: how many items are done, and how many there are."""


def no_progress(done: int, total: int) -> None:
    """Report nothing."""


def linked_users(client: KeycloakClient, provider: str) -> dict[str, dict[str, Any]]:
    """Return the users of the realm with a link to a provider, by id, as Keycloak lists them."""
    pages = client.pages("users", idpAlias=provider, briefRepresentation="false")
    return {user["id"]: user for user in pages}


def count_users(client: KeycloakClient, **query: str) -> int:
    """Return the number of users in the realm."""
    return client.count("users/count", **query)


def complete_person(client: KeycloakClient, user: dict[str, Any]) -> Person:
    """Return a listed user with links, groups and roles."""
    id = user["id"]
    realm_roles, client_roles = read_roles(client, id)
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
        links=read_links(client, id),
        groups=read_groups(client, id),
        roles=realm_roles,
        client_roles=client_roles,
    )


def read_links(client: KeycloakClient, id: str) -> list[Link]:
    """Return the links of a user; an empty list if the user does not exist."""
    return [
        Link(
            provider=link["identityProvider"],
            user_id=link.get("userId") or "",
            user_name=link.get("userName") or "",
        )
        for link in client.rows(f"users/{id}/federated-identity") or ()
    ]


def read_groups(client: KeycloakClient, id: str) -> list[str]:
    """Return the paths of a user's groups."""
    return sorted(group["path"] for group in client.pages(f"users/{id}/groups"))


def read_roles(client: KeycloakClient, id: str) -> tuple[list[str], dict[str, list[str]]]:
    """Return the realm roles of a user, and the client roles by client."""
    found: dict[str, Any] = client.get(f"users/{id}/role-mappings") or {}
    clients = sorted((found.get("clientMappings") or {}).items())
    return _names(found.get("realmMappings")), {
        name: _names(mapped.get("mappings")) for name, mapped in clients
    }


def _names(roles: Iterable[dict[str, Any]] | None) -> list[str]:
    return sorted(role["name"] for role in roles or ())


def read_person(client: KeycloakClient, id: str) -> Person | None:
    """Return the current state of a user; None if the user does not exist."""
    user = client.get(f"users/{id}")
    return complete_person(client, user) if user else None


def read_people(
    client: KeycloakClient, users: Iterable[dict[str, Any]], progress: Progress = no_progress
) -> list[Person]:
    """Return listed users with links, groups and roles, sorted by name, without service accounts."""
    wanted = [user for user in users if not user.get("serviceAccountClientId")]
    step: Callable[[Person], Person] = count_progress(progress, len(wanted))

    def complete(user: dict[str, Any]) -> Person:
        with understood("keycloak", "read a user"):
            return step(complete_person(client, user))

    found = map_concurrently(complete, wanted)
    return sorted(found, key=lambda person: person.username)


def read_harbor_users(
    client: HarborClient, progress: Progress = no_progress, *, only: Collection[int] | None = None
) -> list[HarborUser]:
    """Return the users of Harbor with their direct rights, without Harbor's local administrator.

    Args:
        client: Harbor.
        progress: reports progress.
        only: the ids of the users to read; all if not given.
    """
    listed = [row for row in client.pages("/users") if only is None or row["user_id"] in only]
    projects = list(client.pages("/projects"))
    owned: dict[int, list[str]] = defaultdict(list)
    for project in projects:
        owned[project["owner_id"]].append(project["name"])
    members: dict[int, dict[str, int]] = defaultdict(dict)
    found = map_concurrently(
        lambda project: list(read_memberships(client, project["name"])), projects
    )
    for project, rows in zip(projects, found, strict=True):
        for user, role in rows:
            members[user][project["name"]] = role
    step: Callable[[HarborUser], HarborUser] = count_progress(progress, len(listed))

    def complete(row: dict[str, Any]) -> HarborUser:
        # The answer contains the CLI secret. Only its `subiss` is read.
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

    return map_concurrently(complete, listed)


def read_memberships(client: HarborClient, project: str) -> Iterable[tuple[int, int]]:
    """Return the ids and roles of the users that are direct members of a project."""
    rows = client.pages(f"/projects/{project}/members", by_name=True)
    return ((row["entity_id"], row["role_id"]) for row in rows if row["entity_type"] == "u")


def join(people: Sequence[Person], users: Sequence[HarborUser], issuer: str) -> list[Person]:
    """Return the people with their users in Harbor, which have the person's id and this issuer."""
    by_subject = {user.subiss: user for user in users if user.subiss}
    return [
        person.model_copy(update={"harbor": by_subject.get(person.id + issuer)})
        for person in people
    ]


def count_progress(progress: Progress, total: int) -> Callable[[T], T]:
    """Return a function that returns its argument, and reports how often it was called."""
    done = 0

    def step(value: T) -> T:
        nonlocal done
        done += 1
        if done % 50 == 0 or done == total:
            progress(done, total)
        return value

    return step
