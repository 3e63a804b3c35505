"""Users of the realm who are deleted and made once more, with all they had but what only they know.

Their passwords, second factors and sessions end; links, groups, roles and attributes stay. Partial
import is the only call of Keycloak's that takes an id, and one that makes all of it at once.
"""

from collections.abc import Sequence
from typing import Any

from tenantry.errors import SystemRefused, SystemUnavailable
from tenantry.migration.snapshot import Link, Person
from tenantry.systems.keycloak.client import KeycloakClient

_IMPORT = "partialImport"


def check_rights(client: KeycloakClient) -> None:
    """Whether users can be imported: it is seen before the first one is deleted.

    Raises:
        SystemRefused: the account lacks the right `manage-realm`.
    """
    client.post(_IMPORT, {"ifResourceExists": "SKIP", "users": []}, status=200)


def replace(client: KeycloakClient, person: Person, id: str, links: Sequence[Link]) -> None:
    """Deletes a user, and imports it; whatever of this is done already stays so.

    Args:
        client: the realm.
        person: the user as it was, with the id that is deleted.
        id: the id that it is to have: the same, or another.
        links: the links that it is to have.

    Raises:
        SystemRefused: somebody else has its name, or took it in that moment.
    """
    there = client.get(f"users/{id}") is not None
    if there and (id != person.id or _is_made(client, id, links)):
        return
    client.delete(f"users/{person.id}")
    _make(client, person, id, links)


def _is_made(client: KeycloakClient, id: str, links: Sequence[Link]) -> bool:
    found = client.rows(f"users/{id}/federated-identity") or ()
    held = {(link["identityProvider"], link.get("userId") or "") for link in found}
    return {(link.provider, link.user_id) for link in links} <= held


def _make(client: KeycloakClient, person: Person, id: str, links: Sequence[Link]) -> None:
    body = _representation(person, id, links)
    try:
        _import(client, body)
    except SystemUnavailable as error:
        # A group or a client that is gone by now breaks the import of who was in it.
        groups = [path for path in person.groups if client.get(f"group-by-path{path}")]
        clients = {name for name in person.client_roles if client.rows("clients", clientId=name)}
        roles = {name: roles for name, roles in person.client_roles.items() if name in clients}
        if error.status != 500 or (groups == person.groups and roles == person.client_roles):
            raise
        _import(client, {**body, "groups": groups, "clientRoles": roles})
    if client.get(f"users/{id}") is None:
        raise SystemRefused(
            "keycloak",
            f"import user {id}",
            "another user has the name of one who is being made anew",
            advice="The person logged in at that very moment. Delete that user, and run it again: it "
            "goes on where it stopped.",
        )


def _import(client: KeycloakClient, body: dict[str, Any]) -> None:
    client.post(_IMPORT, {"ifResourceExists": "SKIP", "users": [body]}, status=200)


def _representation(person: Person, id: str, links: Sequence[Link]) -> dict[str, Any]:
    return {
        "id": id,
        "username": person.username,
        "email": person.email or None,
        "emailVerified": person.email_verified,
        "firstName": person.first_name or None,
        "lastName": person.last_name or None,
        "enabled": person.enabled,
        "createdTimestamp": person.created,
        "attributes": person.attributes,
        "requiredActions": person.required_actions,
        "groups": person.groups,
        # Whoever is imported is given no role by default, and without that no offline token.
        "realmRoles": person.roles,
        "clientRoles": person.client_roles,
        "federatedIdentities": [
            {
                "identityProvider": link.provider,
                "userId": link.user_id,
                "userName": link.user_name,
            }
            for link in links
        ],
    }
