"""Who gets which token from the simulated Keycloak, and what is in it."""

from collections.abc import Iterator

import httpx
import jwt
import pytest
from keycloak import KeycloakAdmin, KeycloakOpenID
from keycloak.exceptions import (
    KeycloakAuthenticationError,
    KeycloakGetError,
    KeycloakPostError,
)

from tenantry.sandbox import Sandbox
from tenantry.sandbox.keycloak import SimulatedKeycloak


@pytest.fixture
def keycloak(sandbox: Sandbox) -> Iterator[SimulatedKeycloak]:
    """The simulated Keycloak with an empty realm `tenants`, as it was afterwards."""
    pristine = sandbox.keycloak.dump()
    yield sandbox.keycloak
    sandbox.keycloak.load(pristine)


@pytest.fixture
def admin(keycloak: SimulatedKeycloak) -> KeycloakAdmin:
    admin = KeycloakAdmin(
        server_url=keycloak.url, username="admin", password="admin", user_realm_name="master"
    )
    admin.create_realm({"realm": "tenants", "enabled": True})
    admin.change_current_realm("tenants")
    return admin


def groups_mapper(**config: str) -> dict:
    claim = {"claim.name": "groups", "full.path": "false", "id.token.claim": "true"}
    return {
        "name": "groups",
        "protocol": "openid-connect",
        "protocolMapper": "oidc-group-membership-mapper",
        "config": {**claim, **config},
    }


def read(url: str, realm: str, token: str, audience: str | None = None) -> dict:
    """The claims of a token, its signature proven with the realm's published keys."""
    keys = jwt.PyJWKClient(f"{url}/realms/{realm}/protocol/openid-connect/certs")
    key = keys.get_signing_key_from_jwt(token).key
    # The sandbox's clock may have been moved: only signature and audience are looked at.
    times = {"verify_exp": False, "verify_iat": False}
    options = {"verify_aud": audience is not None, **times}
    return jwt.decode(token, key, ["RS256"], audience=audience, options=options)


def test_an_administrators_token_lives_a_minute(
    sandbox: Sandbox, keycloak: SimulatedKeycloak
) -> None:
    openid = KeycloakOpenID(keycloak.url, "master", "admin-cli")
    token = openid.token("admin", "admin", scope="")
    assert token["expires_in"] == 60
    assert "id_token" not in token
    call = {"headers": {"authorization": f"Bearer {token['access_token']}"}}
    url = f"{keycloak.url}/admin/realms"
    assert httpx.get(url, **call).status_code == 200
    sandbox.clock.move(61)
    try:
        late = httpx.get(url, **call)
        assert (late.status_code, late.json()) == (401, {"error": "HTTP 401 Unauthorized"})
        renewed = openid.refresh_token(token["refresh_token"])
        call = {"headers": {"authorization": f"Bearer {renewed['access_token']}"}}
        assert httpx.get(url, **call).status_code == 200
    finally:
        sandbox.clock.move(-61)


def test_the_admin_api_wants_an_administrator(
    admin: KeycloakAdmin, keycloak: SimulatedKeycloak
) -> None:
    url = f"{keycloak.url}/admin/realms/tenants/groups"
    assert httpx.get(url).status_code == 401
    keycloak.add_user("master", "somebody", password="pass")
    token = KeycloakOpenID(keycloak.url, "master", "admin-cli").token("somebody", "pass")
    refused = httpx.get(url, headers={"authorization": f"Bearer {token['access_token']}"})
    assert (refused.status_code, refused.json()) == (403, {"error": "HTTP 403 Forbidden"})


def test_what_is_not_simulated_says_so(admin: KeycloakAdmin) -> None:
    with pytest.raises(KeycloakGetError) as raised:
        admin.get_authentication_flows()
    assert raised.value.response_code == 501
    assert b"GET /admin/realms/tenants/authentication/flows" in raised.value.response_body


def test_the_server_says_its_version(admin: KeycloakAdmin) -> None:
    assert admin.get_server_info()["systemInfo"]["version"] == "26.7.3"


def test_discovery_names_the_issuer_that_signs(
    admin: KeycloakAdmin, keycloak: SimulatedKeycloak
) -> None:
    known = KeycloakOpenID(keycloak.url, "tenants", "admin-cli").well_known()
    keycloak.add_user("tenants", "alice", email="alice@example.org")
    tokens = keycloak.login("tenants", "account", "alice")
    claims = read(keycloak.url, "tenants", tokens["id_token"], "account")
    assert claims["iss"] == known["issuer"] == f"{keycloak.url}/realms/tenants"
    assert claims["preferred_username"] == "alice"
    assert claims["email"] == "alice@example.org"
    assert claims["sub"] == keycloak.realms["tenants"].user_named("alice").id


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
    admin: KeycloakAdmin, keycloak: SimulatedKeycloak, config: dict, expected: list | None
) -> None:
    """Direct memberships only, as leaf names or paths, in the token the mapper names."""
    parent = admin.create_group({"name": "parent"})
    user = admin.create_user({"username": "alice", "enabled": True})
    admin.group_user_add(user, admin.create_group({"name": "dev"}, parent=parent))
    admin.group_user_add(user, admin.create_group({"name": "team-a"}))
    client = admin.create_client({"clientId": "harbor", "publicClient": False})
    admin.add_mapper_to_client(client, groups_mapper(**config))
    tokens = keycloak.login("tenants", "harbor", "alice")
    claims = read(keycloak.url, "tenants", tokens["id_token"], "harbor")
    assert claims.get("groups") == expected
    if config.get("claim.name"):
        assert claims["realm"] == {"teams": ["dev", "team-a"]}


def test_userinfo_and_a_password_login(admin: KeycloakAdmin, keycloak: SimulatedKeycloak) -> None:
    admin.create_user(
        {
            "username": "alice",
            "enabled": True,
            "credentials": [{"type": "password", "value": "pass", "temporary": False}],
        }
    )
    admin.create_client({"clientId": "app", "publicClient": False, "secret": "word"})
    app = KeycloakOpenID(keycloak.url, "tenants", "app", client_secret_key="word")
    token = app.token("alice", "pass")
    assert set(token) >= {"access_token", "id_token", "refresh_token", "scope"}
    assert app.userinfo(token["access_token"])["preferred_username"] == "alice"
    assert app.introspect(token["access_token"])["active"]
    app.logout(token["refresh_token"])
    assert not app.introspect(token["access_token"])["active"]
    with pytest.raises(KeycloakPostError, match="Token is not active"):
        app.refresh_token(token["refresh_token"])
    with pytest.raises(KeycloakAuthenticationError, match="Invalid user credentials"):
        app.token("alice", "wrong")
    wrong = KeycloakOpenID(keycloak.url, "tenants", "app", client_secret_key="old")
    with pytest.raises(KeycloakAuthenticationError, match="unauthorized_client"):
        wrong.token("alice", "pass")


def test_a_service_account_administers_once_it_has_the_role(
    admin: KeycloakAdmin, keycloak: SimulatedKeycloak
) -> None:
    admin.change_current_realm("master")
    client = admin.create_client(
        {"clientId": "robot", "publicClient": False, "serviceAccountsEnabled": True, "secret": "s"}
    )
    account = admin.get_client_service_account_user(client)
    by_robot = KeycloakAdmin(
        server_url=keycloak.url, client_id="robot", client_secret_key="s", realm_name="master"
    )
    with pytest.raises(KeycloakGetError, match="403"):
        by_robot.get_realms()
    admin.assign_realm_roles(account["id"], [admin.get_realm_role("admin")])
    assert {realm["realm"] for realm in by_robot.get_realms()} >= {"master", "tenants"}


def test_a_realm_comes_disabled_and_goes_for_good(admin: KeycloakAdmin) -> None:
    admin.create_realm({"realm": "other"})
    assert admin.get_realm("other")["enabled"] is False
    with pytest.raises(KeycloakPostError, match="Realm other already exists"):
        admin.create_realm({"realm": "other"})
    admin.update_realm("other", {"enabled": True, "displayName": "Other"})
    changed = admin.get_realm("other")
    assert (changed["enabled"], changed["displayName"]) == (True, "Other")
    assert changed["accessTokenLifespan"] == 300
    admin.delete_realm("other")
    with pytest.raises(KeycloakGetError, match=r"Realm not found\."):
        admin.get_realm("other")


def test_state_survives_a_dump(admin: KeycloakAdmin, keycloak: SimulatedKeycloak) -> None:
    user = admin.create_user({"username": "alice", "enabled": True})
    admin.group_user_add(user, admin.create_group({"name": "team-a"}))
    before = keycloak.dump()
    keycloak.load(before)
    assert keycloak.dump() == before
    assert [each["name"] for each in admin.get_user_groups(user)] == ["team-a"]
