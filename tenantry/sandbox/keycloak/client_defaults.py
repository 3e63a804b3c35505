"""The defaults that the server adds to a new client."""

from typing import Any

from .answers import JSON
from .state import Realm, new_id, new_secret


def add_client(realm: Realm, given: JSON) -> JSON:
    """Add a client with the defaults of the server and the default scopes, and return it."""
    unspecified = given.get("publicClient") is None and given.get("bearerOnly") is None
    public = bool(given.get("publicClient", unspecified))
    client: JSON = {
        "id": given.get("id") or new_id(),
        "clientId": given["clientId"],
        "surrogateAuthRequired": False,
        "enabled": True,
        "alwaysDisplayInConsole": False,
        "clientAuthenticatorType": "client-secret",
        "redirectUris": [],
        "webOrigins": [],
        "notBefore": 0,
        "bearerOnly": False,
        "consentRequired": False,
        "standardFlowEnabled": True,
        "implicitFlowEnabled": False,
        "directAccessGrantsEnabled": True,
        "serviceAccountsEnabled": False,
        "frontchannelLogout": False,
        "protocol": "openid-connect",
        "authenticationFlowBindingOverrides": {},
        "fullScopeAllowed": True,
        "nodeReRegistrationTimeout": -1,
    }
    excluded = ("protocolMappers", "defaultClientScopes", "optionalClientScopes", "access")
    client |= {k: v for k, v in given.items() if v is not None and k not in excluded}
    client["publicClient"] = public
    client["attributes"] = {k: v for k, v in given.get("attributes", {}).items() if v}
    root = given.get("rootUrl")
    if root and not given.get("redirectUris"):
        client["redirectUris"] = [root.rstrip("/") + "/*"]
        client["webOrigins"] = ["/".join(root.split("/")[:3])]
    deduplicate_addresses(client)
    if not public and not client["bearerOnly"] and not client.get("secret"):
        client["secret"] = new_secret()
    if given.get("protocolMappers"):
        client["protocolMappers"] = [
            {"consentRequired": False, "config": {}, **mapper, "id": mapper.get("id") or new_id()}
            for mapper in given["protocolMappers"]
        ]
    realm.clients[client["id"]] = client
    realm.client_scopes[client["id"]] = _assigned_scopes(realm, given)
    if client["serviceAccountsEnabled"]:
        scope = realm.scope_named("service_account")
        if scope:
            realm.client_scopes[client["id"]][scope["id"]] = "default"
    return client


def deduplicate_addresses(client: JSON) -> None:
    """Remove duplicates from the addresses of a client, as Keycloak does."""
    for key in ("redirectUris", "webOrigins"):
        client[key] = list(dict.fromkeys(address for address in client[key] if address))


def _assigned_scopes(realm: Realm, given: JSON) -> dict[str, Any]:
    """Return the scopes of a client: the given ones except unknown names, or those of the realm."""
    assigned: dict[str, Any] = {}
    for kind, key in (("default", "defaultClientScopes"), ("optional", "optionalClientScopes")):
        names = given.get(key)
        if names is None:
            assigned |= {k: v for k, v in realm.default_scopes.items() if v == kind}
            continue
        for name in names:
            scope = realm.scope_named(name)
            if scope:
                assigned[scope["id"]] = kind
    return assigned
