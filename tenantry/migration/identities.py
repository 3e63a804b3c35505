"""The users of the new provider, read from a file (`identities_file.py`) or, if it is a Keycloak, from
its admin API."""

import re
from collections.abc import Sequence
from typing import Literal

from tenantry.connections import KeycloakAccount
from tenantry.errors import TenantryError
from tenantry.migration.case import fold
from tenantry.migration.parameters import IDENTITIES_FILE
from tenantry.migration.snapshot import Identity
from tenantry.systems.keycloak.client import KeycloakClient

Match = Literal["email", "username", "mapping"]
"""How a user of the realm is matched with the new provider: by e-mail address, by user name, or by a
file that maps the two user names."""
_MAX_FAULTS = 200


class FaultyFile(TenantryError):
    """A faulty identities file. Each line of the message names a row. As in a spreadsheet, the header
    is row 1.
    """


def from_keycloak(account: KeycloakAccount, issuer: str) -> list[Identity]:
    """Return all users of the new provider, read through its admin API.

    Args:
        account: an account that may list the provider's users.
        issuer: the provider's issuer, which names its realm.

    Raises:
        TenantryError: the issuer does not name a realm, or the realm does not exist.
    """
    found = re.fullmatch(r".+/realms/([^/]+)", issuer)
    if found is None:
        raise TenantryError(
            f"'{issuer}' is not a realm of a Keycloak, so its users cannot be read through an admin "
            f"API. Export its users to a file, and set {IDENTITIES_FILE} to the file's name."
        )
    client = KeycloakClient(account, found[1])
    try:
        client.log_in()
        if not client.realm_exists():
            raise TenantryError(f"Keycloak at {account.url} has no realm '{found[1]}'.")
        return from_realm(client)
    finally:
        client.close()


def from_realm(client: KeycloakClient) -> list[Identity]:
    """Return all users of a realm."""
    return [
        Identity(
            external_id=user["id"],
            external_username=user["username"],
            email=user.get("email") or "",
        )
        for user in client.pages("users", briefRepresentation="true")
    ]


def check_known(name: str, identities: Sequence[Identity], known: set[str]) -> None:
    """Check that a mapping names only users that are to be moved.

    Raises:
        FaultyFile: it names others. The message lists all of them.
    """
    faults = [
        (row.row or 0, f"'{row.username}': must be the user name of a person who is to be moved")
        for row in identities
        if fold(row.username) not in known
    ]
    if faults:
        raise faulty(name, faults)


def faulty(name: str, faults: Sequence[tuple[int, str]]) -> FaultyFile:
    """Return the error for faults, each with its row."""
    lines = [f"{name}: row {row}: {text}" for row, text in faults[:_MAX_FAULTS]]
    if len(faults) > _MAX_FAULTS:
        lines.append(f"{name}: and {len(faults) - _MAX_FAULTS} more faults")
    return FaultyFile("\n".join(lines))
