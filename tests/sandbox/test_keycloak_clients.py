"""Clients, client scopes, mappers and identity providers of the simulated Keycloak."""

from collections.abc import Iterator

import pytest
from keycloak import KeycloakAdmin
from keycloak.exceptions import (
    KeycloakGetError,
    KeycloakPostError,
    KeycloakPutError,
)

from tenantry.sandbox import Sandbox

MASK = "**********"


@pytest.fixture
def admin(sandbox: Sandbox) -> Iterator[KeycloakAdmin]:
    """An administrator of an empty realm `tenants`."""
    pristine = sandbox.keycloak.dump()
    admin = KeycloakAdmin(
        server_url=sandbox.keycloak.url,
        username="admin",
        password="admin",
        user_realm_name="master",
    )
    admin.create_realm({"realm": "tenants", "enabled": True})
    admin.change_current_realm("tenants")
    yield admin
    sandbox.keycloak.load(pristine)


def mapper(name: str = "groups", **config: str) -> dict:
    return {
        "name": name,
        "protocol": "openid-connect",
        "protocolMapper": "oidc-group-membership-mapper",
        "config": config,
    }


# Clients


def test_a_realm_comes_with_clients_and_scopes(admin: KeycloakAdmin) -> None:
    assert {client["clientId"] for client in admin.get_clients()} == {
        "account",
        "account-console",
        "admin-cli",
        "broker",
        "realm-management",
        "security-admin-console",
    }
    scopes = {scope["name"] for scope in admin.get_client_scopes()}
    assert scopes >= {"basic", "profile", "email", "roles", "web-origins", "acr", "offline_access"}


def test_a_client_gets_what_it_does_not_say(admin: KeycloakAdmin) -> None:
    made = admin.create_client({"clientId": "harbor", "publicClient": False})
    client = admin.get_client(made)
    assert len(client["secret"]) == 32
    assert client["standardFlowEnabled"] is client["directAccessGrantsEnabled"] is True
    assert client["attributes"].keys() >= {"realm_client", "client.secret.creation.time"}
    assert set(client["defaultClientScopes"]) >= {"basic", "profile", "email"}
    assert "offline_access" in client["optionalClientScopes"]
    assert "protocolMappers" not in client
    undecided = admin.get_client(admin.create_client({"clientId": "app"}))
    assert undecided["publicClient"] is True
    assert "secret" not in undecided


def test_a_client_is_found_by_its_exact_id(admin: KeycloakAdmin) -> None:
    made = admin.create_client({"clientId": "harbor"})
    admin.create_client({"clientId": "harbor-old"})
    path = "admin/realms/tenants/clients"
    [found] = admin.connection.raw_get(path, clientId="harbor").json()
    assert found["id"] == made
    assert len(admin.connection.raw_get(path, clientId="harbor", search="true").json()) == 2
    with pytest.raises(KeycloakPostError, match="Client harbor already exists"):
        admin.create_client({"clientId": "harbor"})
    admin.delete_client(made)
    with pytest.raises(KeycloakGetError, match="Could not find client"):
        admin.get_client(made)


def test_a_put_leaves_scopes_and_mappers_as_they_were(admin: KeycloakAdmin) -> None:
    client = admin.create_client({"clientId": "harbor", "redirectUris": ["https://old/*"]})
    before = admin.get_client(client)
    admin.update_client(
        client,
        {
            "redirectUris": ["https://new/*"],
            "attributes": {"post.logout.redirect.uris": "+"},
            "defaultClientScopes": ["basic"],
            "protocolMappers": [mapper()],
        },
    )
    after = admin.get_client(client)
    assert after["redirectUris"] == ["https://new/*"]
    assert after["attributes"] == before["attributes"] | {"post.logout.redirect.uris": "+"}
    unchanged = ("clientId", "secret", "defaultClientScopes", "protocolMappers")
    assert all(after.get(key) == before.get(key) for key in unchanged)


def test_scopes_are_assigned_one_by_one(admin: KeycloakAdmin) -> None:
    client = admin.create_client({"clientId": "harbor"})
    scope = admin.create_client_scope(
        {"name": "groups", "protocol": "openid-connect", "protocolMappers": [mapper()]}
    )
    admin.add_client_default_client_scope(client, scope, {})
    assert "groups" in admin.get_client(client)["defaultClientScopes"]
    admin.add_client_optional_client_scope(client, scope, {})
    assert "groups" not in admin.get_client(client)["optionalClientScopes"]
    admin.delete_client_default_client_scope(client, scope)
    admin.add_client_optional_client_scope(client, scope, {})
    optional = admin.get_client_optional_client_scopes(client)
    assert {"id": scope, "name": "groups"} in optional
    with pytest.raises(KeycloakPutError, match="Client scope not found"):
        admin.add_client_default_client_scope(client, "nothing", {})
    admin.delete_client_scope(scope)
    assert "groups" not in admin.get_client(client)["optionalClientScopes"]


def test_a_new_secret_ends_the_old_one(admin: KeycloakAdmin) -> None:
    client = admin.create_client({"clientId": "harbor", "publicClient": False, "secret": "old"})
    assert admin.get_client_secrets(client) == {"type": "secret", "value": "old"}
    new = admin.generate_client_secrets(client)["value"]
    assert new != "old"
    assert admin.get_client(client)["secret"] == new


# Mappers and client scopes


def test_a_mapper_gets_keys_of_the_servers(admin: KeycloakAdmin) -> None:
    client = admin.create_client({"clientId": "harbor"})
    config = {"claim.name": "groups", "access.token.claim": "true", "id.token.claim": "false"}
    admin.add_mapper_to_client(client, mapper(**config))
    [made] = admin.get_mappers_from_client(client)
    added = {"introspection.token.claim": "true", "userinfo.token.claim": "false"}
    assert made["config"] == config | added
    with pytest.raises(KeycloakPostError, match="Protocol mapper exists with same name"):
        admin.add_mapper_to_client(client, mapper())
    with pytest.raises(KeycloakPostError, match="ProtocolMapper provider not found"):
        admin.add_mapper_to_client(client, mapper("other") | {"protocolMapper": "nonsense"})


def test_a_mapper_is_written_by_the_id_in_the_body(admin: KeycloakAdmin) -> None:
    client = admin.create_client({"clientId": "harbor"})
    admin.add_mapper_to_client(client, mapper(**{"claim.name": "groups"}))
    [made] = admin.get_mappers_from_client(client)
    changed = made | {"name": "renamed", "config": {"claim.name": "teams"}}
    admin.update_client_mapper(client, made["id"], changed)
    [after] = admin.get_mappers_from_client(client)
    assert (after["name"], after["config"]) == ("groups", {"claim.name": "teams"})
    with pytest.raises(KeycloakPutError) as raised:
        admin.update_client_mapper(client, made["id"], mapper())
    assert raised.value.response_code == 500
    admin.remove_client_mapper(client, made["id"])
    assert "protocolMappers" not in admin.get_client(client)


def test_a_put_of_a_scope_ignores_its_mappers(admin: KeycloakAdmin) -> None:
    rep = {"name": "groups", "protocol": "openid-connect"}
    scope = admin.create_client_scope(rep)
    admin.update_client_scope(scope, {**rep, "description": "d", "protocolMappers": [mapper()]})
    after = admin.get_client_scope(scope)
    assert after["description"] == "d"
    assert "protocolMappers" not in after
    admin.add_mapper_to_client_scope(scope, mapper())
    [made] = admin.get_mappers_from_client_scope(scope)
    admin.delete_mapper_from_client_scope(scope, made["id"])
    assert admin.get_mappers_from_client_scope(scope) == []
    with pytest.raises(KeycloakPostError, match="Client Scope groups already exists"):
        admin.create_client_scope(rep)
    with pytest.raises(KeycloakPostError, match="Unexpected protocol"):
        admin.create_client_scope({"name": "other"})


# Identity providers


def provider(alias: str = "external", **config: str) -> dict:
    return {"alias": alias, "providerId": "oidc", "config": config}


def test_a_put_replaces_a_provider_but_keeps_a_masked_secret(
    admin: KeycloakAdmin, sandbox: Sandbox
) -> None:
    admin.create_idp(provider(clientSecret="word", issuer="https://old") | {"trustEmail": True})
    shown = admin.get_idp("external")
    assert (shown["config"]["clientSecret"], shown["trustEmail"]) == (MASK, True)
    admin.update_idp("external", provider(clientSecret=MASK, clientId="c"))
    kept = sandbox.keycloak.realms["tenants"].providers["external"]
    assert kept["config"] == {"clientSecret": "word", "clientId": "c"}
    assert "trustEmail" not in admin.get_idp("external")
    assert kept["internalId"] == shown["internalId"]
    with pytest.raises(KeycloakPutError, match="Identity Provider alias cannot be changed"):
        admin.update_idp("external", provider("renamed"))


def test_providers_stop_after_a_hundred(admin: KeycloakAdmin) -> None:
    for number in range(101):
        admin.create_idp(provider(f"idp-{number:03}"))
    assert len(admin.get_idps()) == 100
    path = "admin/realms/tenants/identity-provider/instances"
    assert len(admin.connection.raw_get(path, max=1000).json()) == 101


@pytest.mark.parametrize(
    ("rep", "said"),
    [
        (provider(), "Identity Provider external already exists"),
        ({"alias": "other", "providerId": "nonsense"}, r"Invalid identity provider id \[nonsense"),
        ({"providerId": "oidc"}, "path is null"),
        (
            provider("other", authorizationUrl="http://idp.example.org/auth"),
            r"The url \[authorization_url\] requires secure connections",
        ),
    ],
)
def test_what_providers_are_refused(admin: KeycloakAdmin, rep: dict, said: str) -> None:
    admin.create_idp(provider())
    with pytest.raises(KeycloakPostError, match=said):
        admin.create_idp(rep)


def test_provider_mappers_are_taken_as_they_are(admin: KeycloakAdmin) -> None:
    admin.create_idp(provider())
    rep = {
        "name": "team",
        "identityProviderAlias": "external",
        "identityProviderMapper": "no-such-mapper",
        "config": {"group": "/team"},
    }
    admin.add_mapper_to_idp("external", rep)
    with pytest.raises(KeycloakPostError) as raised:
        admin.add_mapper_to_idp("external", rep)
    assert raised.value.response_code == 400
    assert b"Failed to add mapper 'team' to identity provider [oidc]." in raised.value.response_body
    [made] = admin.get_idp_mappers("external")
    admin.update_mapper_in_idp("external", made["id"], made | {"config": {"group": "/crew"}})
    assert admin.get_idp_mappers("external")[0]["config"] == {"group": "/crew"}
    admin.delete_idp("external")
    admin.create_idp(provider())
    assert admin.get_idp_mappers("external") == []
