"""Client scopes, and which of them a realm and a client have."""

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
from .clients import found
from .mappers import add_mapper
from .state import Assigned, Realm, new_id

routes = Routes()

_SCOPE_LISTS: dict[str, Assigned] = {
    "default-client-scopes": "default",
    "optional-client-scopes": "optional",
}


def found_scope(realm: Realm, scope_id: str, message: str = "Could not find client scope") -> JSON:
    """The client scope of this id; Refused, in the path's own words, where there is none."""
    scope = realm.scopes.get(scope_id)
    if scope is None:
        raise not_found(message)
    return scope


# Which scopes a client has


def _scope_lists(path: str, assigned: Assigned) -> None:
    @routes("GET", f"clients/{{client}}/{path}")
    def list_assigned(realm: Realm, call: Call, client_id: str) -> Response:
        scopes = realm.client_scopes[found(realm, client_id)["id"]]
        ids = [each for each, how in scopes.items() if how == assigned]
        return answer([{"id": each, "name": realm.scopes[each]["name"]} for each in ids])

    @routes("PUT", f"clients/{{client}}/{path}/{{scope}}")
    def assign(realm: Realm, call: Call, client_id: str, scope_id: str) -> Response:
        scopes = realm.client_scopes[found(realm, client_id)["id"]]
        found_scope(realm, scope_id, "Client scope not found")
        # One that is in the other list stays there: it has to be taken out first.
        scopes.setdefault(scope_id, assigned)
        return done()

    @routes("DELETE", f"clients/{{client}}/{path}/{{scope}}")
    def withdraw(realm: Realm, call: Call, client_id: str, scope_id: str) -> Response:
        scopes = realm.client_scopes[found(realm, client_id)["id"]]
        found_scope(realm, scope_id, "Client scope not found")
        scopes.pop(scope_id, None)
        return done()

    @routes("GET", f"default-{path}")
    def list_realm_defaults(realm: Realm, call: Call) -> Response:
        ids = [each for each, how in realm.default_scopes.items() if how == assigned]
        scopes = [realm.scopes[each] for each in ids]
        return answer([{key: scope[key] for key in ("id", "name", "protocol")} for scope in scopes])

    @routes("PUT", f"default-{path}/{{scope}}")
    def assign_in_realm(realm: Realm, call: Call, scope_id: str) -> Response:
        found_scope(realm, scope_id, "Client scope not found")
        if scope_id in realm.default_scopes:
            raise duplicate()
        realm.default_scopes[scope_id] = assigned
        return done()

    @routes("DELETE", f"default-{path}/{{scope}}")
    def withdraw_in_realm(realm: Realm, call: Call, scope_id: str) -> Response:
        found_scope(realm, scope_id, "Client scope not found")
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
        add_mapper(scope, mapper)
    return created(f"{call.base}/admin/realms/{realm.name}/client-scopes/{scope['id']}")


@routes("GET", "client-scopes/{scope}")
def get_scope(realm: Realm, call: Call, scope_id: str) -> Response:
    """One client scope."""
    return answer(found_scope(realm, scope_id))


@routes("PUT", "client-scopes/{scope}")
def update_scope(realm: Realm, call: Call, scope_id: str) -> Response:
    """Set what is given, except mappers: those stay as they were, without a word."""
    scope, rep = found_scope(realm, scope_id), call.body
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
    found_scope(realm, scope_id)
    del realm.scopes[scope_id]
    realm.default_scopes.pop(scope_id, None)
    for assigned in realm.client_scopes.values():
        assigned.pop(scope_id, None)
    return done()
