"""Who gets which token from the simulated Keycloak, and what is in it."""

from collections.abc import Iterator

import httpx
import jwt
import pytest
from keycloak import KeycloakAdmin, KeycloakOpenID
from keycloak.exceptions import (
    KeycloakGetError,
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
    token = openid.token("admin", "admin", scope="profile")
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


def test_what_is_not_simulated_says_so(admin: KeycloakAdmin) -> None:
    with pytest.raises(KeycloakGetError) as raised:
        admin.get_authentication_flows()
    assert raised.value.response_code == 501
    assert b"GET /admin/realms/tenants/authentication/flows" in raised.value.response_body


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


def test_state_survives_a_dump(admin: KeycloakAdmin, keycloak: SimulatedKeycloak) -> None:
    user = admin.create_user({"username": "alice", "enabled": True})
    admin.group_user_add(user, admin.create_group({"name": "team-a"}))
    before = keycloak.dump()
    keycloak.load(before)
    assert keycloak.dump() == before
    assert [each["name"] for each in admin.get_user_groups(user)] == ["team-a"]
