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
from .builtin import add_client, keep_as_sets
from .mappers import TYPES, completed, synchronized
from .state import Realm, User, new_id, new_secret

routes = Routes()

_MASK = "**********"
_ACCESS = {"view": True, "configure": True, "manage": True}

# A PUT of a client leaves these alone: scopes have paths of their own.
_NOT_PUT = {"id", "access", "defaultClientScopes", "optionalClientScopes"}


def shown(realm: Realm, client: JSON) -> JSON:
    """A client's representation."""
    assigned = realm.client_scopes[client["id"]]
    names = {
        kind: [realm.scopes[each]["name"] for each, how in assigned.items() if how == kind]
        for kind in ("default", "optional")
    }
    return {
        **client,
        "defaultClientScopes": names["default"],
        "optionalClientScopes": names["optional"],
        "access": _ACCESS,
    }


def found(realm: Realm, client_id: str) -> JSON:
    """The client of this id; Refused where there is none."""
    client = realm.clients.get(client_id)
    if client is None:
        raise not_found("Could not find client")
    return client


@routes("GET", "clients")
def list_clients(realm: Realm, call: Call) -> Response:
    """Clients by clientId; a clientId in the query is exact unless `search` says otherwise."""
    clients = sorted(realm.clients.values(), key=lambda client: str(client["clientId"]))
    wanted = call.query.get("clientId", "").strip()
    if wanted and call.flag("search"):
        lowered = wanted.lower()
        clients = [each for each in clients if lowered in each["clientId"].lower()]
    elif wanted:
        clients = [each for each in clients if each["clientId"] == wanted]
    return answer([shown(realm, client) for client in call.page(clients)])


@routes("POST", "clients")
def create_client(realm: Realm, call: Call) -> Response:
    """Make a client, with the defaults the server adds."""
    rep = call.body
    if not rep.get("clientId"):
        raise invalid("Client ID is missing")
    if realm.client_named(rep["clientId"]):
        raise exists(f"Client {rep['clientId']} already exists")
    _check_addresses(rep)
    for mapper in rep.get("protocolMappers") or ():
        mapper["config"] = completed(mapper)
    ours = {"realm_client": "false"}
    if not rep.get("publicClient") and not rep.get("secret"):
        ours["client.secret.creation.time"] = str(int(call.now.timestamp()))
    # Who names the protocol gets what it thinks of an undecided client, all others Java's zeros.
    named = rep.get("protocol") == "openid-connect"
    if named:
        ours["backchannel.logout.session.required"] = "true"
        ours["backchannel.logout.revoke.offline.tokens"] = "false"
    given = {key: value for key, value in rep.items() if value is not None}
    given = {"publicClient": named, "directAccessGrantsEnabled": named, **given}
    client = add_client(realm, {**given, "attributes": {**ours, **(rep.get("attributes") or {})}})
    _service_account(realm, client, call)
    return created(f"{call.base}/admin/realms/{realm.name}/clients/{client['id']}")


def _check_addresses(rep: JSON) -> None:
    """Refuse addresses that the server refuses, or that its database has no room for."""
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
    """One client, its secret in clear: the caller is an administrator."""
    return answer(shown(realm, found(realm, client_id)))


@routes("PUT", "clients/{client}")
def update_client(realm: Realm, call: Call, client_id: str) -> Response:
    """Set what is given, except scopes: those stay as they were, without a word."""
    client, rep = found(realm, client_id), call.body
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
    keep_as_sets(client)
    if mappers is not None:
        synchronized(client, [each for each in mappers if each.get("protocolMapper") in TYPES])
    client["attributes"] = {key: value for key, value in attributes.items() if value}
    if not client["publicClient"] and not client["bearerOnly"] and not client.get("secret"):
        client["secret"] = new_secret()
    if client["publicClient"]:
        client.pop("secret", None)
    client_policies.updated(realm, client, call.now)
    _service_account(realm, client, call)
    return done()


@routes("DELETE", "clients/{client}")
def delete_client(realm: Realm, call: Call, client_id: str) -> Response:
    """Remove the client and its service account."""
    client = found(realm, client_id)
    account = realm.user_named(f"service-account-{client['clientId']}")
    if account and account.service_account_of:
        realm.remove_user(account)
    del realm.clients[client_id], realm.client_scopes[client_id]
    return done()


@routes("GET", "clients/{client}/client-secret")
def get_secret(realm: Realm, call: Call, client_id: str) -> Response:
    """The client's secret."""
    secret = found(realm, client_id).get("secret")
    return answer({"type": "secret", **({"value": secret} if secret else {})})


@routes("POST", "clients/{client}/client-secret")
def renew_secret(realm: Realm, call: Call, client_id: str) -> Response:
    """A new secret; the old one is worth nothing from now on, unless a policy keeps it."""
    client = found(realm, client_id)
    return answer({"type": "secret", "value": client_policies.renewed(realm, client, call.now)})


@routes("GET", "clients/{client}/service-account-user")
def get_service_account(realm: Realm, call: Call, client_id: str) -> Response:
    """The user that the client signs in as."""
    client = found(realm, client_id)
    account = realm.user_named(f"service-account-{client['clientId']}")
    if account is None or not client["serviceAccountsEnabled"]:
        raise invalid(f"Service account not enabled for the client '{client['clientId']}'")
    return answer({"id": account.id, "username": account.username, "enabled": account.enabled})


def _service_account(realm: Realm, client: JSON, call: Call) -> None:
    name = f"service-account-{client['clientId']}".lower()
    if client["serviceAccountsEnabled"] and realm.user_named(name) is None:
        moment = int(call.now.timestamp() * 1000)
        account = User(new_id(), name, moment, True, service_account_of=client["clientId"])
        realm.add_user(account)
