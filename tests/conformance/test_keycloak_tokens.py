"""Realms, and who gets which token from a Keycloak."""

from typing import Any

import httpx
import jwt
import pytest
from keycloak import KeycloakAdmin, KeycloakOpenID
from keycloak.exceptions import (
    KeycloakAuthenticationError,
    KeycloakGetError,
    KeycloakPostError,
)

from tests.conformance.conftest import Keycloak, unique
from tests.support.narrowing import present

pytestmark = pytest.mark.demand("real", "Keycloak: tokens")

confirmed = pytest.mark.confirmed("keycloak 26.7.3")


def openid(
    keycloak: Keycloak, realm: str, client: str, secret: str | None = None
) -> KeycloakOpenID:
    return KeycloakOpenID(f"{keycloak.url}/", realm, client, client_secret_key=secret)


def with_user(admin: KeycloakAdmin, name: str = "alice") -> str:
    """A user who logs in with the password `pass`; Keycloak wants a whole profile for that."""
    return admin.create_user(
        {
            "username": name,
            "email": f"{name}@example.org",
            "firstName": name.title(),
            "lastName": "Example",
            "enabled": True,
            "credentials": [{"type": "password", "value": "pass", "temporary": False}],
        }
    )


def groups_mapper(**config: str) -> dict:
    claim = {"claim.name": "groups", "full.path": "false", "id.token.claim": "true"}
    return {
        "name": "groups",
        "protocol": "openid-connect",
        "protocolMapper": "oidc-group-membership-mapper",
        "config": {**claim, **config},
    }


def read(keycloak: Keycloak, token: str, audience: str) -> dict:
    """The claims of a token, its signature proven with the realm's published keys."""
    keys = jwt.PyJWKClient(f"{keycloak.url}/realms/{keycloak.realm}/protocol/openid-connect/certs")
    key = keys.get_signing_key_from_jwt(token).key
    return jwt.decode(token, key, ["RS256"], audience=audience)


@confirmed
def test_an_administrators_token_lives_a_minute(keycloak: Keycloak) -> None:
    token = openid(keycloak, "master", "admin-cli").token(
        keycloak.username, keycloak.password, scope="profile"
    )
    assert token["expires_in"] == 60
    assert "id_token" not in token
    call = {"authorization": f"Bearer {token['access_token']}"}
    assert httpx.get(f"{keycloak.url}/admin/realms", headers=call).status_code == 200


@confirmed
def test_a_refresh_token_gives_another_that_administers(keycloak: Keycloak) -> None:
    client = openid(keycloak, "master", "admin-cli")
    token = client.token(keycloak.username, keycloak.password, scope="profile")
    renewed = client.refresh_token(token["refresh_token"])
    call = {"authorization": f"Bearer {renewed['access_token']}"}
    assert httpx.get(f"{keycloak.url}/admin/realms", headers=call).status_code == 200


@confirmed
def test_the_admin_api_wants_an_administrator(admin: KeycloakAdmin, keycloak: Keycloak) -> None:
    url = f"{keycloak.url}/admin/realms/{keycloak.realm}/groups"
    missing = httpx.get(url)
    assert (missing.status_code, missing.json()) == (401, {"error": "HTTP 401 Unauthorized"})
    with_user(admin)
    token = openid(keycloak, keycloak.realm, "admin-cli").token("alice", "pass")
    refused = httpx.get(url, headers={"authorization": f"Bearer {token['access_token']}"})
    assert (refused.status_code, refused.json()) == (403, {"error": "HTTP 403 Forbidden"})


@confirmed
def test_an_empty_scope_is_an_unknown_one(keycloak: Keycloak) -> None:
    with pytest.raises(KeycloakPostError, match="Invalid scopes: "):
        openid(keycloak, "master", "admin-cli").token(
            keycloak.username, keycloak.password, scope=""
        )


@confirmed
def test_a_user_without_a_whole_profile_is_not_let_in(
    admin: KeycloakAdmin, keycloak: Keycloak
) -> None:
    credentials = [{"type": "password", "value": "pass", "temporary": False}]
    admin.create_user({"username": "alice", "enabled": True, "credentials": credentials})
    with pytest.raises(KeycloakPostError, match="Account is not fully set up"):
        openid(keycloak, keycloak.realm, "admin-cli").token("alice", "pass")


@confirmed
def test_the_server_says_its_version(admin: KeycloakAdmin) -> None:
    assert admin.get_server_info()["systemInfo"]["version"].startswith("26.")


@pytest.mark.demand("real", "Keycloak: discovery and JWKS")
@confirmed
def test_discovery_names_the_issuer_that_signs(admin: KeycloakAdmin, keycloak: Keycloak) -> None:
    admin.create_client({"clientId": "app", "protocol": "openid-connect"})
    user = with_user(admin)
    app = openid(keycloak, keycloak.realm, "app")
    known = app.well_known()
    claims = read(keycloak, app.token("alice", "pass")["id_token"], "app")
    assert claims["iss"] == known["issuer"] == f"{keycloak.url}/realms/{keycloak.realm}"
    assert claims["preferred_username"] == "alice"
    assert claims["email"] == "alice@example.org"
    assert claims["sub"] == user


@confirmed
@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, ["dev", "team-a"]),
        ({"full.path": "true"}, ["/parent/dev", "/team-a"]),
        ({"id.token.claim": "false"}, None),
        ({"claim.name": "realm.teams"}, None),
    ],
)
def test_the_groups_claim_follows_its_mapper(
    admin: KeycloakAdmin, keycloak: Keycloak, config: dict, expected: list | None
) -> None:
    """Direct memberships only, as leaf names or paths, in the token the mapper names."""
    parent = admin.create_group({"name": "parent"})
    user = with_user(admin)
    admin.group_user_add(user, present(admin.create_group({"name": "dev"}, parent=parent)))
    admin.group_user_add(user, present(admin.create_group({"name": "team-a"})))
    client = admin.create_client(
        {"clientId": "harbor", "secret": "word", "directAccessGrantsEnabled": True}
    )
    admin.add_mapper_to_client(client, groups_mapper(**config))
    tokens = openid(keycloak, keycloak.realm, "harbor", "word").token("alice", "pass")
    claims = read(keycloak, tokens["id_token"], "harbor")
    found = claims.get("groups")
    assert (found and sorted(found)) == expected
    if config.get("claim.name"):
        assert sorted(claims["realm"]["teams"]) == ["dev", "team-a"]


@pytest.mark.facts
def test_an_example_token_tells_what_a_user_would_get(
    admin: KeycloakAdmin, keycloak: Keycloak
) -> None:
    """Without a password, and with the scopes that are asked for."""
    user = with_user(admin)
    admin.group_user_add(user, present(admin.create_group({"name": "team-a"})))
    client = admin.create_client({"clientId": "harbor"})
    admin.add_mapper_to_client(client, groups_mapper())
    path = f"admin/realms/{keycloak.realm}/clients/{client}/evaluate-scopes"
    address = f"{path}/generate-example-id-token"

    token = admin.connection.raw_get(address, userId=user, scope="openid email").json()
    nobody = admin.connection.raw_get(address, userId="nobody", scope="openid")

    assert token["iss"] == f"{keycloak.url}/realms/{keycloak.realm}"
    assert (token["sub"], token["aud"], token["typ"]) == (user, "harbor", "ID")
    assert token["groups"] == ["team-a"]
    assert (token["email"], token["email_verified"]) == ("alice@example.org", False)
    assert nobody.status_code == 404


@confirmed
def test_userinfo_and_a_password_login(admin: KeycloakAdmin, keycloak: Keycloak) -> None:
    with_user(admin)
    rep = {"clientId": "app", "secret": "word", "directAccessGrantsEnabled": True}
    admin.create_client(rep)
    app = openid(keycloak, keycloak.realm, "app", "word")
    token = app.token("alice", "pass")
    assert set(token) >= {"access_token", "id_token", "refresh_token", "scope"}
    user: Any = app.userinfo(token["access_token"])
    assert user["preferred_username"] == "alice"
    app.logout(token["refresh_token"])
    with pytest.raises(KeycloakPostError, match="invalid_grant"):
        app.refresh_token(token["refresh_token"])
    with pytest.raises(KeycloakPostError, match="Invalid user credentials"):
        app.token("alice", "wrong")
    wrong = openid(keycloak, keycloak.realm, "app", "old")
    with pytest.raises(KeycloakAuthenticationError, match="unauthorized_client"):
        wrong.token("alice", "pass")


@confirmed
def test_a_disabled_client_gets_no_token_and_keeps_its_id_and_secret(
    admin: KeycloakAdmin, keycloak: Keycloak
) -> None:
    rep = {"clientId": "shop", "directAccessGrantsEnabled": True}
    made = admin.create_client(rep)
    with_user(admin)
    secret = admin.get_client(made)["secret"]
    shop = openid(keycloak, keycloak.realm, "shop", secret)
    assert shop.token("alice", "pass")["access_token"]
    admin.update_client(made, admin.get_client(made) | {"enabled": False})
    with pytest.raises(KeycloakAuthenticationError) as raised:
        shop.token("alice", "pass")
    assert raised.value.response_code == 401
    assert b'"error":"invalid_client"' in present(raised.value.response_body)
    held = admin.get_client(made)
    assert (held["enabled"], held["secret"], held["clientId"]) == (False, secret, "shop")
    admin.update_client(made, held | {"enabled": True})
    assert shop.token("alice", "pass")["access_token"]
    admin.delete_client(made)
    with pytest.raises(KeycloakAuthenticationError, match="invalid_client"):
        shop.token("alice", "pass")
    assert admin.create_client({"clientId": "shop"}) != made


@confirmed
def test_a_token_is_active_for_whom_it_is_meant_until_its_session_ends(
    admin: KeycloakAdmin, keycloak: Keycloak
) -> None:
    with_user(admin)
    rep = {"clientId": "app", "secret": "word", "directAccessGrantsEnabled": True}
    client = admin.create_client(rep)
    app = openid(keycloak, keycloak.realm, "app", "word")
    assert not app.introspect(app.token("alice", "pass")["access_token"])["active"]
    audience = {"included.client.audience": "app", "access.token.claim": "true"}
    admin.add_mapper_to_client(
        client, groups_mapper() | {"protocolMapper": "oidc-audience-mapper", "config": audience}
    )
    token = app.token("alice", "pass")
    assert app.introspect(token["access_token"])["active"]
    app.logout(token["refresh_token"])
    assert not app.introspect(token["access_token"])["active"]


@confirmed
def test_a_service_account_administers_once_it_has_the_role(
    admin: KeycloakAdmin, keycloak: Keycloak
) -> None:
    name = unique("robot")
    admin.change_current_realm("master")
    client = admin.create_client(
        {"clientId": name, "serviceAccountsEnabled": True, "secret": "word"}
    )
    try:
        account = admin.get_client_service_account_user(client)
        by_robot = KeycloakAdmin(
            server_url=f"{keycloak.url}/",
            client_id=name,
            client_secret_key="word",
            realm_name="master",
        )
        with pytest.raises(KeycloakGetError, match="403"):
            by_robot.get_realms()
        admin.assign_realm_roles(account["id"], [admin.get_realm_role("admin")])
        assert {realm["realm"] for realm in by_robot.get_realms()} >= {"master", keycloak.realm}
    finally:
        admin.delete_client(client)


@confirmed
def test_a_realm_comes_disabled_and_goes_for_good(admin: KeycloakAdmin) -> None:
    name = unique("other")
    admin.create_realm({"realm": name})
    assert admin.get_realm(name)["enabled"] is False
    with pytest.raises(KeycloakPostError, match=f"Realm {name} already exists"):
        admin.create_realm({"realm": name})
    admin.update_realm(name, {"enabled": True, "displayName": "Other"})
    changed = admin.get_realm(name)
    assert (changed["enabled"], changed["displayName"]) == (True, "Other")
    assert changed["accessTokenLifespan"] == 300
    admin.delete_realm(name)
    with pytest.raises(KeycloakGetError, match=r"Realm not found\."):
        admin.get_realm(name)
