"""OIDC clients in Keycloak: desired and observed fields, and the calls that write them."""

from collections.abc import Mapping, Sequence
from typing import Any

from tenantry.marks import ADOPTED, MARK, Mark, read
from tenantry.plan import Change
from tenantry.systems.keycloak.client import KeycloakClient, Representation

ROTATED = "client.secret.rotated"
"""The attribute with the former secret of a client, which must never be shown."""
_URIS = ("post.logout.redirect.uris", "##")


def client_fields(
    marks: Mapping[str, str],
    *,
    redirect_uris: Sequence[str],
    post_logout_redirect_uris: Sequence[str],
    web_origins: Sequence[str],
    public: bool,
    pkce: bool,
) -> dict[str, Any]:
    """Return the fields of a client with the code flow only: other flows expose tokens."""
    key, separator = _URIS
    return {
        "enabled": True,
        "protocol": "openid-connect",
        "publicClient": public,
        "standardFlowEnabled": True,
        "implicitFlowEnabled": False,
        "directAccessGrantsEnabled": False,
        "serviceAccountsEnabled": False,
        "redirectUris": sorted(set(redirect_uris)),
        "webOrigins": sorted(set(web_origins)),
        "attributes": {
            **marks,
            key: separator.join(sorted(set(post_logout_redirect_uris))),
            "pkce.code.challenge.method": "S256" if pkce else "",
        },
    }


def groups_mapper(claim: str = "groups") -> dict[str, Any]:
    """Return the mapper that adds the groups of a user to a claim of all tokens.

    The claim has the last part of each group's path, since Harbor and RBAC compare the whole text.
    """
    return {
        "protocol": "openid-connect",
        "protocolMapper": "oidc-group-membership-mapper",
        "config": {
            "claim.name": claim,
            "full.path": "false",
            "id.token.claim": "true",
            "access.token.claim": "true",
            "userinfo.token.claim": "true",
        },
    }


def observed_fields(client: Representation) -> Representation:
    """Return a client in the form of the desired fields, with sorted lists."""
    attributes = dict(client.get("attributes") or {})
    attributes.pop(ROTATED, None)
    key, separator = _URIS
    uris = attributes.get(key, "")
    attributes[key] = separator.join(sorted(set(uris.split(separator))))
    return {
        **{key: value for key, value in client.items() if key not in ("secret", "protocolMappers")},
        "redirectUris": sorted(client.get("redirectUris") or []),
        "webOrigins": sorted(client.get("webOrigins") or []),
        "attributes": attributes,
        "groups mapper": named(client.get("protocolMappers"), "groups"),
    }


def apply_client(client: KeycloakClient, change: Change) -> None:
    """Create or update a client, and its groups mapper if the fields have one."""
    name = change.id.key
    fields = dict(change.resource.fields)
    mapper = {"name": "groups", **fields.pop("groups mapper", {})}
    has_mapper = len(mapper) > 1
    if change.live is None:
        mappers = {"protocolMappers": [mapper]} if has_mapper else {}
        client.post("clients", {"clientId": name, **fields, **mappers})
        return
    before: Representation = change.live.handle
    path = f"clients/{before['id']}"
    attributes = (before.get("attributes") or {}) | fields.get("attributes", {})
    if change.action == "adopt":
        attributes[ADOPTED] = "true"
    client.put(path, {**before, **fields, "attributes": attributes})
    # PUT of a client does not change its mappers, which have a path of their own.
    if any(difference.field.startswith("groups mapper") for difference in change.differences):
        own = named(before.get("protocolMappers"), "groups")
        if own is None:
            client.post(f"{path}/protocol-mappers/models", mapper)
        else:
            client.put(f"{path}/protocol-mappers/models/{own['id']}", {**own, **mapper})


def mark_of(attributes: Mapping[str, Any] | None) -> Mark | None:
    """Return the mark in the attributes of a resource; None if they contain none."""
    return read(attributes, (attributes or {}).get(MARK))


def named(items: Any, name: str, *, key: str = "name") -> Representation | None:
    """Return the item with exactly this name. Keycloak's searches may return others, too."""
    return next((item for item in items or () if item[key] == name), None)
