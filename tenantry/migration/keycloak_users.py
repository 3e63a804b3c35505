"""Re-creation of users in the realm, with everything that Keycloak can return.

Passwords, second factors and sessions are lost. Links, groups, roles and attributes are kept. Partial
import is the only call of Keycloak that accepts an id, and it creates all of this in one call.
"""

from collections.abc import Sequence
from typing import Any

from tenantry.errors import SystemRefused, SystemUnavailable
from tenantry.migration.snapshot import Link, Person
from tenantry.systems.keycloak.client import KeycloakClient

_IMPORT = "partialImport"


def check_import_rights(client: KeycloakClient) -> None:
    """Check that the account may import users, before the first user is deleted.

    Raises:
        SystemRefused: the account lacks the right `manage-realm`.
    """
    client.post(_IMPORT, {"ifResourceExists": "SKIP", "users": []}, status=200)


def recreate_user(client: KeycloakClient, person: Person, id: str, links: Sequence[Link]) -> None:
    """Delete a user and import it. A repeated call does only what is left to do.

    Args:
        client: the realm.
        person: the former state of the user, with the id that is deleted.
        id: the new id, which may be the same.
        links: the new links.

    Raises:
        SystemRefused: another user has the same name.
    """
    exists = client.get(f"users/{id}") is not None
    if exists and (id != person.id or _has_links(client, id, links)):
        return
    client.delete(f"users/{person.id}")
    _create(client, person, id, links)


def _has_links(client: KeycloakClient, id: str, links: Sequence[Link]) -> bool:
    found = client.rows(f"users/{id}/federated-identity") or ()
    existing = {(link["identityProvider"], link.get("userId") or "") for link in found}
    return {(link.provider, link.user_id) for link in links} <= existing


def _create(client: KeycloakClient, person: Person, id: str, links: Sequence[Link]) -> None:
    body = _representation(person, id, links)
    try:
        _import(client, body)
    except SystemUnavailable as error:
        # Keycloak answers 500 if a group or a client of the user was deleted since the export.
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
            "another user has the name of the user that is being re-created",
            advice="The person logged in between the deletion and the import. Delete that user, and "
            "run it again: it continues where it stopped.",
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
        # An imported user gets no default role, and without it no offline token: roles are explicit.
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
