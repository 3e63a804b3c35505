"""Clients, client scopes, and the protocol mappers that both hold."""

from starlette.responses import Response

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
    unknown_error,
)
from .builtin import add_client
from .state import Assigned, Realm, User, new_id, new_secret

routes = Routes()

_MASK = "**********"
_ACCESS = {"view": True, "configure": True, "manage": True}
_SCOPE_LISTS: dict[str, Assigned] = {
    "default-client-scopes": "default",
    "optional-client-scopes": "optional",
}

# A PUT of a client leaves these alone: scopes and mappers have paths of their own.
_NOT_PUT = {"id", "access", "protocolMappers", "defaultClientScopes", "optionalClientScopes"}

_MAPPERS = {
    *(
        f"oidc-{name}-mapper"
        for name in (
            "acr",
            "address",
            "allowed-origins",
            "amr",
            "audience",
            "audience-resolve",
            "claims-param-token",
            "full-name",
            "group-membership",
            "hardcoded-claim",
            "hardcoded-role",
            "organization-membership",
            "role-name",
            "sha256-pairwise-sub",
            "sub",
            "usermodel-attribute",
            "usermodel-client-role",
            "usermodel-property",
            "usermodel-realm-role",
            "usersessionmodel-note",
        )
    ),
    *(
        f"saml-{name}-mapper"
        for name in ("group-membership", "role-list", "user-attribute", "user-property")
    ),
}

# What the server adds to a mapper's configuration: the second key, with the first one's value.
_MIRRORED = {
    "access.token.claim": "introspection.token.claim",
    "id.token.claim": "userinfo.token.claim",
}
_NO_USERINFO = {"oidc-allowed-origins-mapper", "oidc-audience-resolve-mapper"}


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


def _found(realm: Realm, client_id: str) -> JSON:
    client = realm.clients.get(client_id)
    if client is None:
        raise not_found("Could not find client")
    return client


def _found_scope(realm: Realm, scope_id: str, message: str = "Could not find client scope") -> JSON:
    scope = realm.scopes.get(scope_id)
    if scope is None:
        raise not_found(message)
    return scope


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
    for mapper in rep.get("protocolMappers") or ():
        mapper["config"] = _completed(mapper)
    ours = {
        "realm_client": "false",
        "client.secret.creation.time": str(int(call.now.timestamp())),
        "backchannel.logout.session.required": "true",
        "backchannel.logout.revoke.offline.tokens": "false",
    }
    client = add_client(realm, {**rep, "attributes": {**ours, **(rep.get("attributes") or {})}})
    _service_account(realm, client, call)
    return created(f"{call.base}/admin/realms/{realm.name}/clients/{client['id']}")


@routes("GET", "clients/{client}")
def get_client(realm: Realm, call: Call, client_id: str) -> Response:
    """One client, its secret in clear: the caller is an administrator."""
    return answer(shown(realm, _found(realm, client_id)))


@routes("PUT", "clients/{client}")
def update_client(realm: Realm, call: Call, client_id: str) -> Response:
    """Set what is given, except scopes and mappers: those stay as they were, without a word."""
    client, rep = _found(realm, client_id), call.body
    other = realm.client_named(rep.get("clientId") or client["clientId"])
    if other is not None and other is not client:
        raise exists(f"Client {rep['clientId']} already exists")
    given = {k: v for k, v in rep.items() if v is not None and k not in _NOT_PUT}
    if given.get("secret") == _MASK:
        del given["secret"]
    attributes = {**client["attributes"], **given.pop("attributes", {})}
    client |= given
    client["attributes"] = {key: value for key, value in attributes.items() if value}
    if not client["publicClient"] and not client["bearerOnly"] and not client.get("secret"):
        client["secret"] = new_secret()
    _service_account(realm, client, call)
    return done()


@routes("DELETE", "clients/{client}")
def delete_client(realm: Realm, call: Call, client_id: str) -> Response:
    """Remove the client and its service account."""
    client = _found(realm, client_id)
    account = realm.user_named(f"service-account-{client['clientId']}")
    if account and account.service_account_of:
        realm.remove_user(account)
    del realm.clients[client_id], realm.client_scopes[client_id]
    return done()


@routes("GET", "clients/{client}/client-secret")
def get_secret(realm: Realm, call: Call, client_id: str) -> Response:
    """The client's secret."""
    secret = _found(realm, client_id).get("secret")
    return answer({"type": "secret", **({"value": secret} if secret else {})})


@routes("POST", "clients/{client}/client-secret")
def renew_secret(realm: Realm, call: Call, client_id: str) -> Response:
    """A new secret; the old one is worth nothing from now on."""
    client = _found(realm, client_id)
    client["secret"] = new_secret()
    client["attributes"]["client.secret.creation.time"] = str(int(call.now.timestamp()))
    return answer({"type": "secret", "value": client["secret"]})


@routes("GET", "clients/{client}/service-account-user")
def get_service_account(realm: Realm, call: Call, client_id: str) -> Response:
    """The user that the client signs in as."""
    client = _found(realm, client_id)
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


# Which scopes a client has


def _scope_lists(path: str, assigned: Assigned) -> None:
    @routes("GET", f"clients/{{client}}/{path}")
    def list_assigned(realm: Realm, call: Call, client_id: str) -> Response:
        scopes = realm.client_scopes[_found(realm, client_id)["id"]]
        ids = [each for each, how in scopes.items() if how == assigned]
        return answer([{"id": each, "name": realm.scopes[each]["name"]} for each in ids])

    @routes("PUT", f"clients/{{client}}/{path}/{{scope}}")
    def assign(realm: Realm, call: Call, client_id: str, scope_id: str) -> Response:
        scopes = realm.client_scopes[_found(realm, client_id)["id"]]
        _found_scope(realm, scope_id, "Client scope not found")
        # One that is in the other list stays there: it has to be taken out first.
        scopes.setdefault(scope_id, assigned)
        return done()

    @routes("DELETE", f"clients/{{client}}/{path}/{{scope}}")
    def withdraw(realm: Realm, call: Call, client_id: str, scope_id: str) -> Response:
        scopes = realm.client_scopes[_found(realm, client_id)["id"]]
        _found_scope(realm, scope_id, "Client scope not found")
        scopes.pop(scope_id, None)
        return done()

    @routes("GET", f"default-{path}")
    def list_realm_defaults(realm: Realm, call: Call) -> Response:
        ids = [each for each, how in realm.default_scopes.items() if how == assigned]
        scopes = [realm.scopes[each] for each in ids]
        return answer([{key: scope[key] for key in ("id", "name", "protocol")} for scope in scopes])

    @routes("PUT", f"default-{path}/{{scope}}")
    def assign_in_realm(realm: Realm, call: Call, scope_id: str) -> Response:
        _found_scope(realm, scope_id, "Client scope not found")
        if scope_id in realm.default_scopes:
            raise duplicate()
        realm.default_scopes[scope_id] = assigned
        return done()

    @routes("DELETE", f"default-{path}/{{scope}}")
    def withdraw_in_realm(realm: Realm, call: Call, scope_id: str) -> Response:
        _found_scope(realm, scope_id, "Client scope not found")
        realm.default_scopes.pop(scope_id, None)
        return done()


for _path, _assigned in _SCOPE_LISTS.items():
    _scope_lists(_path, _assigned)


# Client scopes


@routes("GET", "client-scopes")
def list_scopes(realm: Realm, call: Call) -> Response:
    """All client scopes, whole."""
    return answer(list(realm.scopes.values()))


@routes("POST", "client-scopes")
def create_scope(realm: Realm, call: Call) -> Response:
    """Make a client scope, mappers included."""
    rep = call.body
    if rep.get("name") is None:
        raise unknown_error()
    if rep.get("protocol") not in ("openid-connect", "saml"):
        raise invalid("Unexpected protocol")
    if not rep["name"]:
        raise invalid('Unexpected name "" for ClientScope')
    if realm.scope_named(rep["name"]):
        raise exists(f"Client Scope {rep['name']} already exists")
    scope: JSON = {"id": rep.get("id") or new_id(), "name": rep["name"]}
    if rep.get("description"):
        scope["description"] = rep["description"]
    scope |= {"protocol": rep["protocol"], "attributes": dict(rep.get("attributes") or {})}
    realm.scopes[scope["id"]] = scope
    for mapper in rep.get("protocolMappers") or ():
        _add_mapper(scope, mapper)
    return created(f"{call.base}/admin/realms/{realm.name}/client-scopes/{scope['id']}")


@routes("GET", "client-scopes/{scope}")
def get_scope(realm: Realm, call: Call, scope_id: str) -> Response:
    """One client scope."""
    return answer(_found_scope(realm, scope_id))


@routes("PUT", "client-scopes/{scope}")
def update_scope(realm: Realm, call: Call, scope_id: str) -> Response:
    """Set what is given, except mappers: those stay as they were, without a word."""
    scope, rep = _found_scope(realm, scope_id), call.body
    if rep.get("name") is None:
        raise unknown_error()
    other = realm.scope_named(rep["name"])
    if other is not None and other is not scope:
        raise exists(f"Client Scope {rep['name']} already exists")
    scope["name"] = rep["name"]
    for key in ("description", "protocol"):
        if rep.get(key):
            scope[key] = rep[key]
    scope["attributes"] |= rep.get("attributes") or {}
    return done()


@routes("DELETE", "client-scopes/{scope}")
def delete_scope(realm: Realm, call: Call, scope_id: str) -> Response:
    """Remove the client scope, also from whatever it was assigned to."""
    _found_scope(realm, scope_id)
    del realm.scopes[scope_id]
    realm.default_scopes.pop(scope_id, None)
    for assigned in realm.client_scopes.values():
        assigned.pop(scope_id, None)
    return done()


# Protocol mappers


def _completed(mapper: JSON) -> dict[str, str]:
    """The mapper's configuration with what the server adds to it."""
    config = {key: value for key, value in (mapper.get("config") or {}).items() if value != ""}
    kind = mapper.get("protocolMapper") or ""
    if not kind.startswith("oidc-") or kind == "oidc-organization-membership-mapper":
        return config
    for first, second in _MIRRORED.items():
        if first in config and not (second.startswith("userinfo") and kind in _NO_USERINFO):
            config.setdefault(second, config[first])
    return config


def _add_mapper(holder: JSON, rep: JSON) -> JSON:
    if rep.get("protocolMapper") not in _MAPPERS:
        raise not_found("ProtocolMapper provider not found")
    if rep.get("name") is None or rep.get("protocol") is None:
        raise duplicate()
    mappers = holder.get("protocolMappers", [])
    if any(each["name"] == rep["name"] for each in mappers):
        raise exists("Protocol mapper exists with same name")
    mapper = {
        "id": rep.get("id") or new_id(),
        "name": rep["name"],
        "protocol": rep["protocol"],
        "protocolMapper": rep["protocolMapper"],
        "consentRequired": False,
        "config": _completed(rep),
    }
    holder["protocolMappers"] = [*mappers, mapper]
    return mapper


def _mapper(holder: JSON, mapper_id: str) -> JSON:
    for mapper in holder.get("protocolMappers", ()):
        if mapper["id"] == mapper_id:
            found: JSON = mapper
            return found
    raise not_found("Model not found")


def _mappers(path: str) -> None:
    find = _found if path == "clients" else _found_scope
    models = f"{path}/{{holder}}/protocol-mappers/models"

    @routes("GET", models)
    def list_mappers(realm: Realm, call: Call, holder_id: str) -> Response:
        return answer(find(realm, holder_id).get("protocolMappers", []))

    @routes("POST", models)
    def create_mapper(realm: Realm, call: Call, holder_id: str) -> Response:
        mapper = _add_mapper(find(realm, holder_id), call.body)
        return created(f"{call.base}/{'/'.join(call.segments)}/{mapper['id']}")

    @routes("POST", f"{path}/{{holder}}/protocol-mappers/add-models")
    def create_mappers(realm: Realm, call: Call, holder_id: str) -> Response:
        holder = find(realm, holder_id)
        before = holder.get("protocolMappers", [])
        try:
            for rep in call.anything:
                _add_mapper(holder, rep)
        except Exception:
            holder["protocolMappers"] = before
            raise
        return done()

    @routes("GET", f"{models}/{{mapper}}")
    def get_mapper(realm: Realm, call: Call, holder_id: str, mapper_id: str) -> Response:
        return answer(_mapper(find(realm, holder_id), mapper_id))

    @routes("PUT", f"{models}/{{mapper}}")
    def update_mapper(realm: Realm, call: Call, holder_id: str, mapper_id: str) -> Response:
        # The path says what has to exist, the id in the body what is written: the type and the
        # configuration, which is replaced. Name and protocol stay.
        holder, rep = find(realm, holder_id), call.body
        _mapper(holder, mapper_id)
        if rep.get("protocolMapper") not in _MAPPERS:
            raise not_found("ProtocolMapper provider not found")
        ids = [each["id"] for each in holder["protocolMappers"]]
        if rep.get("id") not in ids:
            raise unknown_error()
        target = _mapper(holder, rep["id"])
        target |= {"protocolMapper": rep["protocolMapper"], "config": _completed(rep)}
        return done()

    @routes("DELETE", f"{models}/{{mapper}}")
    def delete_mapper(realm: Realm, call: Call, holder_id: str, mapper_id: str) -> Response:
        holder = find(realm, holder_id)
        gone = _mapper(holder, mapper_id)
        left = [each for each in holder["protocolMappers"] if each is not gone]
        holder.pop("protocolMappers")
        if left:
            holder["protocolMappers"] = left
        return done()


for _path in ("clients", "client-scopes"):
    _mappers(_path)
