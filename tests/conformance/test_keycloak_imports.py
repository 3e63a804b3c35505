"""Users of a Keycloak that are imported, and what they are then."""

import json
import uuid
from typing import Any

import httpx
import pytest
from keycloak import KeycloakAdmin

from tests.support.narrowing import present

confirmed = pytest.mark.confirmed("keycloak 26.7.3")


def imports(admin: KeycloakAdmin, *users: dict[str, Any], policy: str = "SKIP") -> Any:
    """The answer to a partial import."""
    body = json.dumps({"ifResourceExists": policy, "users": users})
    realm = admin.get_current_realm()
    return admin.connection.raw_post(f"admin/realms/{realm}/partialImport", data=body)


def raw(admin: KeycloakAdmin, path: str) -> Any:
    realm = admin.get_current_realm()
    return admin.connection.raw_get(f"admin/realms/{realm}/{path}").json()


def names(roles: list[dict[str, Any]]) -> set[str]:
    return {role["name"] for role in roles}


def count(admin: KeycloakAdmin) -> int:
    found: int = admin.users_count()
    return found


@confirmed
def test_a_user_is_imported_with_its_id_and_all_that_it_has(admin: KeycloakAdmin) -> None:
    admin.create_group({"name": "team-a"})
    admin.create_client({"clientId": "app"})
    realm, id = admin.get_current_realm(), str(uuid.uuid4())
    ann = {
        "id": id,
        "username": "Ann",
        "email": "Ann@x.test",
        "emailVerified": True,
        "enabled": True,
        "firstName": "Ann",
        "createdTimestamp": 1_600_000_000_000,
        "groups": ["/team-a"],
        "realmRoles": [f"default-roles-{realm}", "offline_access", "auditor"],
        "clientRoles": {"app": ["reader"]},
        "requiredActions": ["UPDATE_PROFILE"],
    }
    answer = imports(admin, ann)
    result = {"action": "ADDED", "resourceType": "USER", "resourceName": "Ann", "id": id}
    counts = {"overwritten": 0, "added": 1, "skipped": 0}
    assert (answer.status_code, answer.json()) == (200, {**counts, "results": [result]})

    user = raw(admin, f"users/{id}")
    kept = ("email", "emailVerified", "enabled", "firstName", "createdTimestamp", "requiredActions")
    assert user["username"] == "ann"
    assert {key: user[key] for key in kept} == {key: ann[key] for key in kept} | {
        "email": "ann@x.test"
    }
    assert [group["path"] for group in raw(admin, f"users/{id}/groups")] == ["/team-a"]
    given = raw(admin, f"users/{id}/role-mappings")
    assert names(given["realmMappings"]) == {
        f"default-roles-{realm}",
        "offline_access",
        "auditor",
    }, "a role that was not there is made"
    [app] = given["clientMappings"].values()
    assert (app["client"], names(app["mappings"])) == ("app", {"reader"})
    assert raw(admin, f"users/{id}/credentials") == []


@confirmed
def test_whoever_is_imported_has_no_role_by_default(admin: KeycloakAdmin) -> None:
    id, made = str(uuid.uuid4()), admin.create_user({"username": "bob", "enabled": True})
    imports(admin, {"id": id, "username": "ann", "enabled": True})
    assert raw(admin, f"users/{id}/role-mappings") == {}
    assert raw(admin, f"users/{id}/role-mappings/realm") == []
    default = f"default-roles-{admin.get_current_realm()}"
    assert names(raw(admin, f"users/{made}/role-mappings")["realmMappings"]) == {default}


@confirmed
def test_links_are_imported_too(admin: KeycloakAdmin) -> None:
    config = {"clientId": "x", "clientSecret": "y", "authorizationUrl": "https://x.test/a"}
    provider = {"alias": "corp", "providerId": "oidc", "enabled": True, "config": config}
    admin.create_idp(provider)
    id = str(uuid.uuid4())
    link = {"identityProvider": "corp", "userId": "e1", "userName": "ann.e"}
    gone = {"identityProvider": "gone", "userId": "e2", "userName": "ann.g"}
    imports(admin, {"id": id, "username": "ann", "federatedIdentities": [link, gone]})
    assert raw(admin, f"users/{id}/federated-identity") == [link]


@confirmed
def test_whoever_is_there_is_skipped_refused_or_overwritten(admin: KeycloakAdmin) -> None:
    there = admin.create_user({"username": "ann", "enabled": True})
    other = {"id": str(uuid.uuid4()), "username": "ann", "enabled": True}
    skipped = imports(admin, other).json()
    assert (skipped["skipped"], skipped["results"][0]["action"]) == (1, "SKIPPED")
    assert skipped["results"][0]["id"] == there

    refused = imports(admin, other, policy="FAIL")
    words = {"errorMessage": "User with user name ann already exists."}
    assert (refused.status_code, refused.json()) == (409, words)

    assert imports(admin, other, policy="OVERWRITE").json()["overwritten"] == 1
    assert [user["id"] for user in admin.get_users({})] == [other["id"]]
    anew = imports(admin, {"username": "ann"}, policy="OVERWRITE").json()["results"][0]["id"]
    assert anew not in (there, other["id"])


@confirmed
@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"email": "ann@x.test"}, 500),
        ({"groups": ["/nowhere"]}, 500),
        ({"clientRoles": {"nowhere": ["reader"]}}, 500),
        ({"username": None}, 500),
        ({"id": "of ann"}, 409),
    ],
    ids=["an address that is taken", "no such group", "no such client", "no name", "an id in use"],
)
def test_one_that_cannot_be_imported_stops_all(
    wrong: dict[str, Any], status: int, admin: KeycloakAdmin
) -> None:
    ann = admin.create_user({"username": "ann", "email": "ann@x.test"})
    if "id" in wrong:
        wrong = {"id": ann}
    answer = imports(admin, {"username": "bob"}, {"username": "eve", **wrong})
    error = "unknown_error" if status == 500 else "Duplicate resource error"
    assert answer.status_code == status, answer.text
    assert error in answer.text
    assert count(admin) == 1


@confirmed
def test_nobody_can_be_imported(admin: KeycloakAdmin) -> None:
    counts = {"overwritten": 0, "added": 0, "skipped": 0}
    assert imports(admin).json() == {**counts, "results": []}


@confirmed
def test_credentials_are_told_without_their_secret(admin: KeycloakAdmin) -> None:
    password = {"type": "password", "value": "wonderland", "temporary": False}
    id = admin.create_user({"username": "ann", "credentials": [password]})
    [found] = raw(admin, f"users/{id}/credentials")
    assert set(found) == {"id", "type", "createdDate", "credentialData"}
    assert found["type"] == "password"


@confirmed
def test_without_the_default_role_there_are_no_offline_tokens(admin: KeycloakAdmin) -> None:
    password = {"type": "password", "value": "wonderland", "temporary": False}
    shared = {"enabled": True, "emailVerified": True, "firstName": "A", "lastName": "B"}
    realm = admin.get_current_realm()
    for name, roles in (("ann", []), ("bob", [f"default-roles-{realm}"])):
        user = {"username": name, "email": f"{name}@x.test", "credentials": [password]}
        imports(admin, {**user, **shared, "realmRoles": roles})
    admin.create_client(
        {"clientId": "app", "publicClient": True, "directAccessGrantsEnabled": True}
    )

    def token(name: str, scope: str) -> httpx.Response:
        form = {"grant_type": "password", "client_id": "app", "username": name}
        form |= {"password": "wonderland", "scope": scope}
        server = present(admin.connection.server_url).rstrip("/")
        url = f"{server}/realms/{realm}/protocol/openid-connect/token"
        return httpx.post(url, data=form)

    assert (plain := token("ann", "openid")).status_code == 200, plain.text
    assert token("bob", "openid offline_access").status_code == 200
    refused = token("ann", "openid offline_access")
    words = "Offline tokens not allowed for the user or client"
    told = {"error": "not_allowed", "error_description": words}
    assert (refused.status_code, refused.json()) == (400, told)
