"""Finds the realm of the teams, if the user names none."""

from tenantry.connections import Connections
from tenantry.errors import DeclarationError
from tenantry.systems.keycloak.client import KeycloakClient


def find_realm(connections: Connections) -> str:
    """Return the only realm besides the account's own.

    Raises:
        DeclarationError: there is none, or there are several.
        TenantryError: Keycloak cannot be read.
    """
    account = connections.keycloak
    client = KeycloakClient(account, account.realm)
    try:
        names = sorted(set(client.realms()) - {"master"})
    finally:
        client.close()
    if len(names) == 1:
        return names[0]
    known = ", ".join(names) or "none"
    raise DeclarationError(
        [
            f"Keycloak has several realms, or none besides 'master': {known}. Name the realm (--realm)"
        ]
    )
