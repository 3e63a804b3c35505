"""The roles, credentials and identity provider links of users."""

from uuid import UUID, uuid5

from starlette.responses import Response

from .answers import JSON, Call, Routes, answer, done, exists, not_found
from .state import Realm
from .users import find_user, link_of

routes = Routes()


@routes("GET", "users/{user}/role-mappings/realm")
def list_roles_of_user(realm: Realm, call: Call, user_id: str) -> Response:
    """Return the realm roles of a user."""
    user = find_user(realm, user_id)
    return answer([role_json(realm, name) for name in realm.roles_of(user)])


@routes("GET", "users/{user}/role-mappings")
def list_all_roles_of_user(realm: Realm, call: Call, user_id: str) -> Response:
    """Return the roles of a user: those of the realm, and those of clients by client."""
    user = find_user(realm, user_id)
    mappings: JSON = {}
    if given := realm.roles_of(user):
        mappings["realmMappings"] = [role_json(realm, name) for name in given]
    by_client = {}
    for name, roles in user.client_roles.items():
        client = realm.client_named(name)
        if client is not None:
            mapped = [_client_role_json(realm, client, role) for role in roles]
            by_client[name] = {"id": client["id"], "client": name, "mappings": mapped}
    if by_client:
        mappings["clientMappings"] = by_client
    return answer(mappings)


def _client_role_json(realm: Realm, client: JSON, name: str) -> JSON:
    return {
        "id": realm.client_roles[client["clientId"]][name],
        "name": name,
        "composite": False,
        "clientRole": True,
        "containerId": client["id"],
    }


@routes("GET", "users/{user}/credentials")
def list_credentials(realm: Realm, call: Call, user_id: str) -> Response:
    """Return the credentials of a user, without their secrets."""
    user = find_user(realm, user_id)
    if user.password is None:
        return answer([])
    data = '{"hashIterations":1,"algorithm":"pbkdf2-sha256","additionalParameters":{}}'
    id = str(uuid5(UUID(user.id), "password"))
    return answer(
        [{"id": id, "type": "password", "createdDate": user.created, "credentialData": data}]
    )


@routes("POST", "users/{user}/role-mappings/realm")
def grant_roles(realm: Realm, call: Call, user_id: str) -> Response:
    """Grant realm roles to a user."""
    user = find_user(realm, user_id)
    for name in _parse_roles(realm, call):
        if name not in user.roles:
            user.roles.append(name)
    return done()


@routes("DELETE", "users/{user}/role-mappings/realm")
def remove_roles(realm: Realm, call: Call, user_id: str) -> Response:
    """Remove realm roles from a user."""
    user, removed = find_user(realm, user_id), _parse_roles(realm, call)
    user.roles = [name for name in user.roles if name not in removed]
    return done()


def _parse_roles(realm: Realm, call: Call) -> list[str]:
    names = [role.get("name") for role in call.json]
    if any(name not in realm.roles for name in names):
        raise not_found("Could not find role")
    return names


def role_json(realm: Realm, name: str) -> JSON:
    """Return the representation of a realm role."""
    return {
        "id": realm.roles[name],
        "name": name,
        "composite": name in ("admin", realm.default_role),
        "clientRole": False,
        "containerId": realm.id,
    }


@routes("GET", "users/{user}/federated-identity")
def list_links(realm: Realm, call: Call, user_id: str) -> Response:
    """Return the links of a user, except those to providers that do not exist in the realm."""
    user = find_user(realm, user_id)
    links = [(alias, link) for alias, link in user.links.items() if alias in realm.providers]
    return answer([{"identityProvider": alias, **link} for alias, link in links])


@routes("POST", "users/{user}/federated-identity/{provider}")
def add_link(realm: Realm, call: Call, user_id: str, alias: str) -> Response:
    """Link a user. Neither the provider nor the owner of the external id is checked."""
    user, rep = find_user(realm, user_id), call.body
    if alias in user.links:
        raise exists("User is already linked with provider")
    user.links[alias] = link_of(rep)
    return done()


@routes("DELETE", "users/{user}/federated-identity/{provider}")
def remove_link(realm: Realm, call: Call, user_id: str, alias: str) -> Response:
    """Remove a link of a user."""
    if find_user(realm, user_id).links.pop(alias, None) is None:
        raise not_found("Link not found")
    return done()
