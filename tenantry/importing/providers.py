"""Declares the realm's connections to external identity providers."""

from collections.abc import Iterator
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tenantry.declared.single_sign_on import ProviderConnection
from tenantry.importing.notes import Note
from tenantry.importing.snapshot import Snapshot
from tenantry.systems.clients import Clients
from tenantry.systems.keycloak.client import Representation
from tenantry.systems.keycloak.providers import SECRET_VERSION

Data = dict[str, Any]

_CONNECTION = TypeAdapter(ProviderConnection)
_USUAL_KEY = "client-secret"


def connections(
    clients: Clients, snapshot: Snapshot, declared: Data
) -> Iterator[tuple[str, Data | None, Note | None]]:
    """Yield the external providers with the declaration of their connections.

    Keycloak never shows a provider's secret. So a connection is declared only if the provider records
    the Secret that Tenantry has read it from.

    Args:
        clients: the connections to the systems.
        snapshot: what was read.
        declared: the declared providers, by alias.

    Raises:
        TenantryError: the cluster cannot be read.
    """
    for alias, found in sorted(snapshot.providers.items()):
        if alias not in declared:
            text = (
                f"identity provider '{alias}' stays as it is. If it adds users to the teams' groups, "
                "declare it in keycloak.external_providers"
            )
            yield alias, None, Note("not expressed", ("keycloak",), text)
            continue
        reference = _reference(clients, snapshot, found)
        if reference is None:
            text = (
                f"the connection of identity provider '{alias}' is not declared: Keycloak does not show "
                "its secret. Put the secret into a Kubernetes Secret, and declare 'connection'"
            )
            yield alias, None, Note("not expressed", ("keycloak", "external_providers"), text)
            continue
        data = _connection(snapshot, alias, found, reference)
        try:
            _CONNECTION.validate_python(data)
        except ValidationError:
            text = f"the connection of identity provider '{alias}' cannot be declared"
            yield alias, None, Note("not expressed", ("keycloak", "external_providers"), text)
        else:
            yield alias, data, None


def _connection(snapshot: Snapshot, alias: str, found: Representation, reference: Data) -> Data:
    config = found.get("config") or {}
    mappers = {each.get("name"): each.get("config") or {} for each in snapshot.mappers[alias]}
    username = str(mappers.get("tenantry username", {}).get("template") or "")
    data: Data = {
        "issuer": config.get("issuer"),
        "client_id": config.get("clientId"),
        "client_secret": reference,
        "display_name": found.get("displayName") or None,
        "hidden": bool(found.get("hideOnLogin")),
        "sync_mode": str(config.get("syncMode") or "").lower(),
        "first_login_flow": found.get("firstBrokerLoginFlowAlias"),
        "scopes": str(config.get("defaultScope") or "").split(),
        "username_claim": username.removeprefix("${CLAIM.").removesuffix("}"),
        "email_claim": mappers.get("tenantry email", {}).get("claim"),
        "trust_email": bool(found.get("trustEmail")),
        "pkce": config.get("pkceEnabled") == "true",
    }
    usual = {name: field.default for name, field in ProviderConnection.model_fields.items()}
    return {key: value for key, value in data.items() if value != usual[key]}


def _reference(clients: Clients, snapshot: Snapshot, found: Representation) -> Data | None:
    """Return the reference to the Secret that a provider's secret was read from, by its UID."""
    uid = str((found.get("config") or {}).get(SECRET_VERSION) or "").partition("/")[0]
    places = [
        (namespace, name)
        for namespace, inside in snapshot.secrets.items()
        for name, each in inside.items()
        if uid and each["metadata"].get("uid") == uid
    ]
    if not places:
        return None
    namespace, name = places[0]
    secret = clients.clusters.home.get("Secret", name, namespace) or {}
    keys = sorted(secret.get("data") or {})
    if _USUAL_KEY in keys:
        return {"namespace": namespace, "name": name}
    return {"namespace": namespace, "name": name, "key": keys[0]} if len(keys) == 1 else None
