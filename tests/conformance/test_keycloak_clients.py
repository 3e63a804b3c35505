"""Clients, client scopes, mappers and identity providers of a Keycloak."""

import pytest
from keycloak import KeycloakAdmin
from keycloak.exceptions import (
    KeycloakGetError,
    KeycloakPostError,
    KeycloakPutError,
)

from tests.support.narrowing import present

MASK = "**********"

confirmed = pytest.mark.confirmed("keycloak 26.7.3")


def mapper(name: str = "groups", **config: str) -> dict:
    return {
        "name": name,
        "protocol": "openid-connect",
        "protocolMapper": "oidc-group-membership-mapper",
        "config": config,
    }


# Clients


@pytest.mark.demand("real", "Keycloak: defaults the server adds")
@confirmed
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


@pytest.mark.demand("real", "Keycloak: defaults the server adds")
@confirmed
def test_a_client_gets_what_it_does_not_say(admin: KeycloakAdmin) -> None:
    made = admin.create_client({"clientId": "harbor"})
    client = admin.get_client(made)
    assert len(client["secret"]) == 86
    assert client["standardFlowEnabled"] is True
    assert client["publicClient"] is client["directAccessGrantsEnabled"] is False
    assert client["protocol"] == "openid-connect"
    assert client["attributes"].keys() == {"realm_client", "client.secret.creation.time"}
    scopes = {"basic", "profile", "email", "roles", "web-origins", "acr"}
    assert set(client["defaultClientScopes"]) == scopes
    assert "offline_access" in client["optionalClientScopes"]
    assert "protocolMappers" not in client


@pytest.mark.demand("real", "Keycloak: defaults the server adds")
@confirmed
def test_a_client_that_names_its_protocol_gets_other_defaults(admin: KeycloakAdmin) -> None:
    made = admin.create_client({"clientId": "app", "protocol": "openid-connect"})
    client = admin.get_client(made)
    assert client["publicClient"] is client["directAccessGrantsEnabled"] is True
    assert "secret" not in client
    assert client["attributes"].keys() == {
        "realm_client",
        "client.secret.creation.time",
        "backchannel.logout.session.required",
        "backchannel.logout.revoke.offline.tokens",
    }


@confirmed
def test_a_given_secret_is_kept_and_has_no_time(admin: KeycloakAdmin) -> None:
    made = admin.create_client({"clientId": "app", "secret": "word"})
    client = admin.get_client(made)
    assert (client["secret"], client["attributes"]) == ("word", {"realm_client": "false"})
    [listed] = admin.connection.raw_get(
        f"admin/realms/{admin.get_current_realm()}/clients", clientId="app"
    ).json()
    assert listed["secret"] == "word"


@confirmed
def test_a_public_client_has_no_secret_until_it_is_confidential(admin: KeycloakAdmin) -> None:
    made = admin.create_client({"clientId": "app", "secret": "word"})
    admin.update_client(made, {"publicClient": True})
    assert "secret" not in admin.get_client(made)
    assert admin.get_client_secrets(made) == {"type": "secret"}
    admin.update_client(made, {"publicClient": False})
    assert len(admin.get_client(made)["secret"]) == 86


@confirmed
def test_a_client_is_found_by_its_exact_id(admin: KeycloakAdmin) -> None:
    made = admin.create_client({"clientId": "harbor"})
    admin.create_client({"clientId": "harbor-old"})
    path = f"admin/realms/{admin.get_current_realm()}/clients"
    [found] = admin.connection.raw_get(path, clientId="harbor").json()
    assert found["id"] == made
    assert len(admin.connection.raw_get(path, clientId="harbor", search="true").json()) == 2
    with pytest.raises(KeycloakPostError, match="Client harbor already exists"):
        admin.create_client({"clientId": "harbor"})
    admin.delete_client(made)
    with pytest.raises(KeycloakGetError, match="Could not find client"):
        admin.get_client(made)


@pytest.mark.demand("real", "Keycloak: ignored fields")
@pytest.mark.demand("real", "each of the forty pitfalls has a test that passes")
@confirmed
def test_a_put_leaves_scopes_as_they_were_and_merges_attributes(admin: KeycloakAdmin) -> None:
    client = admin.create_client({"clientId": "harbor", "redirectUris": ["https://old/*"]})
    before = admin.get_client(client)
    admin.update_client(
        client,
        {
            "redirectUris": ["https://new/*"],
            "attributes": {"post.logout.redirect.uris": "+"},
            "defaultClientScopes": ["basic"],
        },
    )
    after = admin.get_client(client)
    assert after["redirectUris"] == ["https://new/*"]
    assert after["attributes"] == before["attributes"] | {"post.logout.redirect.uris": "+"}
    unchanged = ("clientId", "secret", "defaultClientScopes")
    assert all(after[key] == before[key] for key in unchanged)
    admin.update_client(client, {"attributes": {"post.logout.redirect.uris": ""}})
    assert admin.get_client(client)["attributes"] == before["attributes"]
    admin.create_client({"clientId": "other"})
    with pytest.raises(KeycloakPutError, match="Duplicate resource error"):
        admin.update_client(client, {"clientId": "other"})


@pytest.mark.facts
def test_an_address_that_is_given_twice_is_kept_once(admin: KeycloakAdmin) -> None:
    twice = {
        "redirectUris": ["https://a.example/cb", "https://a.example/cb", "https://b.example/cb"],
        "webOrigins": ["https://a.example", "https://a.example"],
    }
    client = admin.create_client({"clientId": "harbor", **twice})
    for _ in range(2):
        found = admin.get_client(client)
        assert sorted(found["redirectUris"]) == ["https://a.example/cb", "https://b.example/cb"]
        assert found["webOrigins"] == ["https://a.example"]
        admin.update_client(client, twice)


@confirmed
def test_a_put_with_mappers_makes_them_all_there_are(admin: KeycloakAdmin) -> None:
    """A name that is there keeps its id."""
    client = admin.create_client({"clientId": "harbor"})
    added = {"access.token.claim": "true"}
    completed = {"access.token.claim": "true", "introspection.token.claim": "true"}
    for name in ("kept", "gone"):
        admin.add_mapper_to_client(client, mapper(name, **added))
    before = {each["name"]: each for each in admin.get_mappers_from_client(client)}
    assert before["kept"]["config"] == completed
    given = [mapper("kept", **{"claim.name": "teams"}), mapper("new", **added)]
    admin.update_client(client, {"protocolMappers": given})
    after = {each["name"]: each for each in admin.get_mappers_from_client(client)}
    assert {name: each["config"] for name, each in after.items()} == {
        "kept": {"claim.name": "teams"},
        "new": completed,
    }
    assert after["kept"]["id"] == before["kept"]["id"]
    admin.update_client(client, {"description": "d"})
    assert len(admin.get_mappers_from_client(client)) == 2
    admin.update_client(client, {"protocolMappers": []})
    assert admin.get_mappers_from_client(client) == []


@confirmed
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


@confirmed
def test_a_new_secret_ends_the_old_one(admin: KeycloakAdmin) -> None:
    client = admin.create_client({"clientId": "harbor", "publicClient": False, "secret": "old"})
    assert admin.get_client_secrets(client) == {"type": "secret", "value": "old"}
    new = admin.generate_client_secrets(client)["value"]
    assert new != "old"
    assert admin.get_client(client)["secret"] == new


# Mappers and client scopes


@pytest.mark.demand("real", "Keycloak: defaults the server adds")
@confirmed
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


@confirmed
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


@pytest.mark.demand("real", "Keycloak: ignored fields")
@confirmed
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


@pytest.mark.demand("real", "Keycloak: masks")
@pytest.mark.demand("real", "each of the forty pitfalls has a test that passes")
@confirmed
def test_a_put_replaces_a_provider_but_keeps_a_masked_secret(
    admin: KeycloakAdmin,
) -> None:
    admin.create_idp(provider(clientSecret="word", issuer="https://old") | {"trustEmail": True})
    shown = admin.get_idp("external")
    assert (shown["config"]["clientSecret"], shown["trustEmail"]) == (MASK, True)
    admin.update_idp("external", provider(clientSecret=MASK, clientId="c"))
    kept = admin.get_idp("external")
    assert kept["config"] == {"clientSecret": MASK, "clientId": "c"}
    assert "trustEmail" not in kept
    assert kept["internalId"] == shown["internalId"]
    with pytest.raises(KeycloakPutError, match="Identity Provider alias cannot be changed"):
        admin.update_idp("external", provider("renamed"))


@pytest.mark.demand("real", "Keycloak: paging limits")
@confirmed
def test_providers_stop_after_a_hundred(admin: KeycloakAdmin) -> None:
    for number in range(101):
        admin.create_idp(provider(f"idp-{number:03}"))
    assert len(admin.get_idps()) == 100
    path = f"admin/realms/{admin.get_current_realm()}/identity-provider/instances"
    assert len(admin.connection.raw_get(path, max=1000).json()) == 101


@confirmed
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


@confirmed
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
    body = present(raised.value.response_body)
    assert b"Failed to add mapper 'team' to identity provider [oidc]." in body
    [made] = admin.get_idp_mappers("external")
    admin.update_mapper_in_idp("external", made["id"], made | {"config": {"group": "/crew"}})
    assert admin.get_idp_mappers("external")[0]["config"] == {"group": "/crew"}
    admin.delete_idp("external")
    admin.create_idp(provider())
    assert admin.get_idp_mappers("external") == []
