"""Clients, their secrets and their service accounts."""

from starlette.responses import Response

from tenantry.declared.keycloak_values import MAX_URI, has_illegal_scheme, is_uri

from . import client_policies
from .answers import (
    JSON,
    Call,
    Routes,
    answer,
    created,
    done,
    duplicate,
    exists,
    invalid,
    not_found,
    oauth_error,
    unknown_error,
)
from .client_defaults import add_client, deduplicate_addresses
from .mappers import TYPES, complete_config, set_mappers
from .state import Realm, User, new_id, new_secret

routes = Routes()

_MASK = "**********"
_ACCESS = {"view": True, "configure": True, "manage": True}

# A PUT of a client does not change these: scopes have separate endpoints.
_NOT_PUT = {"id", "access", "defaultClientScopes", "optionalClientScopes"}


def client_json(realm: Realm, client: JSON) -> JSON:
    """Return the representation of a client."""
    assigned = realm.client_scopes[client["id"]]
    names = {
        kind: [
            realm.scopes[id]["name"] for id, assigned_as in assigned.items() if assigned_as == kind
        ]
        for kind in ("default", "optional")
    }
    return {
        **client,
        "defaultClientScopes": names["default"],
        "optionalClientScopes": names["optional"],
        "access": _ACCESS,
    }


def find_client(realm: Realm, client_id: str) -> JSON:
    """Return the client with this id; raise Refused if it does not exist."""
    client = realm.clients.get(client_id)
    if client is None:
        raise not_found("Could not find client")
    return client


@routes("GET", "clients")
def list_clients(realm: Realm, call: Call) -> Response:
    """Return the clients by clientId. A clientId in the query must be equal, except with `search`."""
    clients = sorted(realm.clients.values(), key=lambda client: str(client["clientId"]))
    wanted = call.query.get("clientId", "").strip()
    if wanted and call.flag("search"):
        lowered = wanted.lower()
        clients = [client for client in clients if lowered in client["clientId"].lower()]
    elif wanted:
        clients = [client for client in clients if client["clientId"] == wanted]
    return answer([client_json(realm, client) for client in call.page(clients)])


@routes("POST", "clients")
def create_client(realm: Realm, call: Call) -> Response:
    """Create a client with the defaults of the server."""
    rep = call.body
    if not rep.get("clientId"):
        raise invalid("Client ID is missing")
    if realm.client_named(rep["clientId"]):
        raise exists(f"Client {rep['clientId']} already exists")
    _check_addresses(rep)
    for mapper in rep.get("protocolMappers") or ():
        mapper["config"] = complete_config(mapper)
    server_attributes = {"realm_client": "false"}
    if not rep.get("publicClient") and not rep.get("secret"):
        server_attributes["client.secret.creation.time"] = str(int(call.now.timestamp()))
    # If the request has the protocol, the defaults of the protocol apply, otherwise those of Java.
    has_protocol = rep.get("protocol") == "openid-connect"
    if has_protocol:
        server_attributes["backchannel.logout.session.required"] = "true"
        server_attributes["backchannel.logout.revoke.offline.tokens"] = "false"
    given = {key: value for key, value in rep.items() if value is not None}
    given = {"publicClient": has_protocol, "directAccessGrantsEnabled": has_protocol, **given}
    attributes = {**server_attributes, **(rep.get("attributes") or {})}
    client = add_client(realm, {**given, "attributes": attributes})
    _add_service_account(realm, client, call)
    return created(f"{call.base}/admin/realms/{realm.name}/clients/{client['id']}")


def _check_addresses(rep: JSON) -> None:
    """Raise Refused for invalid addresses, and for those that are too long for the database."""
    listed = rep.get("redirectUris") or []
    logout = (rep.get("attributes") or {}).get("post.logout.redirect.uris") or ""
    for what, uris in (("redirect", listed), ("post-logout redirect", logout.split("##"))):
        for uri in filter(None, uris):
            address, fragment, _ = uri.partition("#")
            if not is_uri(address):
                raise oauth_error(400, "invalid_input", f"A {what} URI is not a valid URI")
            if has_illegal_scheme(uri):
                raise oauth_error(400, "invalid_input", f"A {what} URI uses an illegal scheme")
            if fragment:
                raise oauth_error(
                    400, "invalid_input", f"A {what} URI must not contain an URL fragment"
                )
    if any(len(uri) > MAX_URI for uri in [*listed, *(rep.get("webOrigins") or ())]):
        raise unknown_error()


@routes("GET", "clients/{client}")
def get_client(realm: Realm, call: Call, client_id: str) -> Response:
    """Return one client, with its secret in clear text for the administrator."""
    return answer(client_json(realm, find_client(realm, client_id)))


@routes("PUT", "clients/{client}")
def update_client(realm: Realm, call: Call, client_id: str) -> Response:
    """Change the given fields. Scopes are silently ignored."""
    client, rep = find_client(realm, client_id), call.body
    other = realm.client_named(rep.get("clientId") or client["clientId"])
    if other is not None and other is not client:
        raise duplicate()
    _check_addresses(rep)
    given = {k: v for k, v in rep.items() if v is not None and k not in _NOT_PUT}
    if given.get("secret") == _MASK:
        del given["secret"]
    attributes = {**client["attributes"], **given.pop("attributes", {})}
    mappers = given.pop("protocolMappers", None)
    client |= given
    deduplicate_addresses(client)
    if mappers is not None:
        known = [mapper for mapper in mappers if mapper.get("protocolMapper") in TYPES]
        set_mappers(client, known)
    client["attributes"] = {key: value for key, value in attributes.items() if value}
    if not client["publicClient"] and not client["bearerOnly"] and not client.get("secret"):
        client["secret"] = new_secret()
    if client["publicClient"]:
        client.pop("secret", None)
    client_policies.update_secrets(realm, client, call.now)
    _add_service_account(realm, client, call)
    return done()


@routes("DELETE", "clients/{client}")
def delete_client(realm: Realm, call: Call, client_id: str) -> Response:
    """Delete a client and its service account."""
    client = find_client(realm, client_id)
    account = realm.user_named(f"service-account-{client['clientId']}")
    if account and account.service_account_of:
        realm.remove_user(account)
    del realm.clients[client_id], realm.client_scopes[client_id]
    return done()


@routes("GET", "clients/{client}/client-secret")
def get_secret(realm: Realm, call: Call, client_id: str) -> Response:
    """Return the secret of a client."""
    secret = find_client(realm, client_id).get("secret")
    return answer({"type": "secret", **({"value": secret} if secret else {})})


@routes("POST", "clients/{client}/client-secret")
def renew_secret(realm: Realm, call: Call, client_id: str) -> Response:
    """Set and return a new secret. The old one becomes invalid unless a policy keeps it."""
    client = find_client(realm, client_id)
    return answer(
        {"type": "secret", "value": client_policies.renew_secret(realm, client, call.now)}
    )


@routes("GET", "clients/{client}/service-account-user")
def get_service_account(realm: Realm, call: Call, client_id: str) -> Response:
    """Return the user of the client's service account."""
    client = find_client(realm, client_id)
    account = realm.user_named(f"service-account-{client['clientId']}")
    if account is None or not client["serviceAccountsEnabled"]:
        raise invalid(f"Service account not enabled for the client '{client['clientId']}'")
    return answer({"id": account.id, "username": account.username, "enabled": account.enabled})


def _add_service_account(realm: Realm, client: JSON, call: Call) -> None:
    name = f"service-account-{client['clientId']}".lower()
    if client["serviceAccountsEnabled"] and realm.user_named(name) is None:
        moment = int(call.now.timestamp() * 1000)
        account = User(new_id(), name, moment, True, service_account_of=client["clientId"])
        realm.add_user(account)
