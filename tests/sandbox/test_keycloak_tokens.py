"""Who gets which token from the simulated Keycloak, and what is in it."""

from collections.abc import Iterator

import httpx
import pytest
from keycloak import KeycloakAdmin, KeycloakOpenID
from keycloak.exceptions import (
    KeycloakGetError,
)

from tenantry.sandbox import Sandbox
from tenantry.sandbox.keycloak import SimulatedKeycloak
from tests.support.narrowing import present


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


def test_an_administrators_token_lives_a_minute(
    sandbox: Sandbox, keycloak: SimulatedKeycloak
) -> None:
    openid = KeycloakOpenID(keycloak.url, "master", "admin-cli")
    token = openid.token("admin", "admin", scope="profile")
    assert token["expires_in"] == 60
    assert "id_token" not in token
    headers = {"authorization": f"Bearer {token['access_token']}"}
    url = f"{keycloak.url}/admin/realms"
    assert httpx.get(url, headers=headers).status_code == 200
    sandbox.clock.move(61)
    try:
        late = httpx.get(url, headers=headers)
        assert (late.status_code, late.json()) == (401, {"error": "HTTP 401 Unauthorized"})
        renewed = openid.refresh_token(token["refresh_token"])
        headers = {"authorization": f"Bearer {renewed['access_token']}"}
        assert httpx.get(url, headers=headers).status_code == 200
    finally:
        sandbox.clock.move(-61)


def test_what_is_not_simulated_says_so(admin: KeycloakAdmin) -> None:
    with pytest.raises(KeycloakGetError) as raised:
        admin.get_authentication_flows()
    assert raised.value.response_code == 501
    body = present(raised.value.response_body)
    assert b"GET /admin/realms/tenants/authentication/flows" in body


def test_each_realm_signs_with_a_key_of_its_own(
    admin: KeycloakAdmin, keycloak: SimulatedKeycloak
) -> None:
    admin.create_realm({"realm": "others", "enabled": True})
    keys = {
        httpx.get(f"{keycloak.url}/realms/{realm}/protocol/openid-connect/certs").json()["keys"][0][
            "n"
        ]
        for realm in ("master", "platform", "tenants", "others")
    }
    assert len(keys) == 4


def test_state_survives_a_dump(admin: KeycloakAdmin, keycloak: SimulatedKeycloak) -> None:
    user = admin.create_user({"username": "alice", "enabled": True})
    admin.group_user_add(user, present(admin.create_group({"name": "team-a"})))
    before = keycloak.dump()
    keycloak.load(before)
    assert keycloak.dump() == before
    assert [each["name"] for each in admin.get_user_groups(user)] == ["team-a"]
