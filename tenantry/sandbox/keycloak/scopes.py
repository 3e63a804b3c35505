"""Client scopes, and their assignment to realms and clients."""

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
from .clients import find_client
from .mappers import add_mapper
from .state import Assigned, Realm, new_id

routes = Routes()

_SCOPE_LISTS: dict[str, Assigned] = {
    "default-client-scopes": "default",
    "optional-client-scopes": "optional",
}


def find_scope(realm: Realm, scope_id: str, message: str = "Could not find client scope") -> JSON:
    """Return the client scope with this id; raise Refused with this message if it does not exist."""
    scope = realm.scopes.get(scope_id)
    if scope is None:
        raise not_found(message)
    return scope


# The assigned scopes


def _add_routes(path: str, assigned: Assigned) -> None:
    @routes("GET", f"clients/{{client}}/{path}")
    def list_assigned(realm: Realm, call: Call, client_id: str) -> Response:
        scopes = realm.client_scopes[find_client(realm, client_id)["id"]]
        ids = [id for id, kind in scopes.items() if kind == assigned]
        return answer([{"id": id, "name": realm.scopes[id]["name"]} for id in ids])

    @routes("PUT", f"clients/{{client}}/{path}/{{scope}}")
    def assign(realm: Realm, call: Call, client_id: str, scope_id: str) -> Response:
        scopes = realm.client_scopes[find_client(realm, client_id)["id"]]
        find_scope(realm, scope_id, "Client scope not found")
        # A scope that is in the other list remains there: it must be removed first.
        scopes.setdefault(scope_id, assigned)
        return done()

    @routes("DELETE", f"clients/{{client}}/{path}/{{scope}}")
    def unassign(realm: Realm, call: Call, client_id: str, scope_id: str) -> Response:
        scopes = realm.client_scopes[find_client(realm, client_id)["id"]]
        find_scope(realm, scope_id, "Client scope not found")
        scopes.pop(scope_id, None)
        return done()

    @routes("GET", f"default-{path}")
    def list_realm_defaults(realm: Realm, call: Call) -> Response:
        ids = [id for id, kind in realm.default_scopes.items() if kind == assigned]
        scopes = [realm.scopes[id] for id in ids]
        return answer([{key: scope[key] for key in ("id", "name", "protocol")} for scope in scopes])

    @routes("PUT", f"default-{path}/{{scope}}")
    def assign_in_realm(realm: Realm, call: Call, scope_id: str) -> Response:
        find_scope(realm, scope_id, "Client scope not found")
        if scope_id in realm.default_scopes:
            raise duplicate()
        realm.default_scopes[scope_id] = assigned
        return done()

    @routes("DELETE", f"default-{path}/{{scope}}")
    def unassign_in_realm(realm: Realm, call: Call, scope_id: str) -> Response:
        find_scope(realm, scope_id, "Client scope not found")
        realm.default_scopes.pop(scope_id, None)
        return done()


for _path, _assigned in _SCOPE_LISTS.items():
    _add_routes(_path, _assigned)


# Client scopes


@routes("GET", "client-scopes")
def list_scopes(realm: Realm, call: Call) -> Response:
    """Return all client scopes with all fields."""
    return answer(list(realm.scopes.values()))


@routes("POST", "client-scopes")
def create_scope(realm: Realm, call: Call) -> Response:
    """Create a client scope with its mappers."""
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
        add_mapper(scope, mapper)
    return created(f"{call.base}/admin/realms/{realm.name}/client-scopes/{scope['id']}")


@routes("GET", "client-scopes/{scope}")
def get_scope(realm: Realm, call: Call, scope_id: str) -> Response:
    """Return one client scope."""
    return answer(find_scope(realm, scope_id))


@routes("PUT", "client-scopes/{scope}")
def update_scope(realm: Realm, call: Call, scope_id: str) -> Response:
    """Change the given fields. Mappers are silently ignored."""
    scope, rep = find_scope(realm, scope_id), call.body
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
    """Delete a client scope and its assignments."""
    find_scope(realm, scope_id)
    del realm.scopes[scope_id]
    realm.default_scopes.pop(scope_id, None)
    for assigned in realm.client_scopes.values():
        assigned.pop(scope_id, None)
    return done()
