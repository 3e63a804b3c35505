"""Declares a team's resources in Keycloak: members, names at external providers, and clients."""

import json
import re
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tenantry.declared.keycloak_values import UserName
from tenantry.declared.team import OidcClient
from tenantry.importing.notes import Note, quoted
from tenantry.importing.snapshot import Snapshot
from tenantry.systems.keycloak.client import KeycloakClient, Representation
from tenantry.systems.keycloak.clients import observed_fields

Data = dict[str, Any]

_USER, _CLIENT = TypeAdapter(UserName), TypeAdapter(OidcClient)
_LOGOUT = "post.logout.redirect.uris"


def members(
    client: KeycloakClient, snapshot: Snapshot, group: str | None
) -> tuple[list[str] | None, list[Note]]:
    """Return the declared members of a team's group, and notes.

    The membership is declared only if the group has members, and no external provider adds users to
    it: a declared membership is complete, so users of the provider would be extra.
    """
    found = snapshot.groups.get(group or "")
    if found is None:
        return None, []
    pages = client.pages(f"groups/{found['id']}/members", briefRepresentation="true")
    names = sorted(str(user["username"]) for user in pages)
    if not names:
        return None, []
    if any(_leads_to(mapper, group or "") for each in snapshot.mappers.values() for mapper in each):
        text = f"the group has {len(names)} members, and an external provider adds users to it"
        return None, [Note("decided", ("members",), f"{text}; the membership is not declared")]
    valid, notes = [], []
    for name in names:
        try:
            valid.append(_USER.validate_python(name))
        except ValidationError:
            text = f"member {quoted(name)} cannot be declared"
            notes.append(Note("not expressed", ("members",), text))
    return (None, notes) if notes else (valid, [])


def _leads_to(mapper: Representation, group: str) -> bool:
    path = str((mapper.get("config") or {}).get("group") or "")
    return path.rsplit("/", 1)[-1] == group


def external_names(mapper: Representation, claim: str) -> list[str] | None:
    """Return the names of a group in a mapper of Tenantry; None if they are not a list of names.

    Args:
        mapper: the mapper.
        claim: the claim with the groups of the provider.
    """
    try:
        claims = json.loads((mapper.get("config") or {}).get("claims") or "[]")
        found = next(each["value"] for each in claims if each["key"] == claim)
    except (ValueError, LookupError, TypeError, StopIteration):
        return None
    inner = re.fullmatch(r"(?:\(\?i\))?\((.*)\)", str(found))
    if inner is None:
        return None
    names = [_unescaped(part) for part in re.split(r"(?<!\\)\|", inner[1])]
    return None if None in names else [name for name in names if name]


def _unescaped(expression: str) -> str | None:
    """Return the only text that an expression matches; None if it matches several."""
    text = re.sub(r"\\(.)", r"\1", expression)
    return text if re.escape(text) == expression else None


def client(found: Representation) -> tuple[Data | None, str]:
    """Return the declaration of an OIDC client, or None and why it has none."""
    fields = observed_fields(found)
    logout = fields["attributes"].get(_LOGOUT) or ""
    data = {
        "redirect_uris": fields["redirectUris"],
        "post_logout_redirect_uris": [uri for uri in logout.split("##") if uri],
        "web_origins": fields["webOrigins"],
        "public": bool(fields.get("publicClient")),
    }
    try:
        _CLIENT.validate_python(data)
    except ValidationError as error:
        text = f"client {quoted(found['clientId'])} stays as it is: {error.errors()[0]['msg']}"
        return None, text
    return data, ""
