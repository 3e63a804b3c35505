"""OIDC clients as resources: what they are to be, what was seen of one, and how it is written."""

from collections.abc import Mapping, Sequence
from typing import Any

from tenantry.marks import ADOPTED, MARK, Mark, read
from tenantry.plan import Change
from tenantry.systems.keycloak.client import KeycloakClient, Representation

ROTATED = "client.secret.rotated"
"""The attribute with a client's secret before the last: never to be shown."""
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
    """A client for the code flow only: the others hand out tokens where they can be taken."""
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
    """The mapper that puts people's groups into a claim of all tokens.

    By leaf names: Harbor and RBAC compare the whole string, slash included.
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
    """A client in the form of the desired fields: lists sorted, the one mapper by its name."""
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
    """Creates or changes a client, and its groups mapper where that is among the fields."""
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
    attributes = (before.get("attributes") or {}) | fields["attributes"]
    if change.adopts:
        attributes[ADOPTED] = "true"
    client.put(path, {**before, **fields, "attributes": attributes})
    # PUT of a client leaves its mappers alone: they have their own address.
    if any(difference.field.startswith("groups mapper") for difference in change.differences):
        own = named(before.get("protocolMappers"), "groups")
        if own is None:
            client.post(f"{path}/protocol-mappers/models", mapper)
        else:
            client.put(f"{path}/protocol-mappers/models/{own['id']}", {**own, **mapper})


def mark_of(attributes: Mapping[str, Any] | None) -> Mark | None:
    """Return the mark among the attributes of something in Keycloak; None if it carries none."""
    return read(attributes, (attributes or {}).get(MARK))


def named(items: Any, name: str, *, key: str = "name") -> Representation | None:
    """The item of exactly this name: Keycloak's searches may find more than was asked for."""
    return next((item for item in items or () if item[key] == name), None)
