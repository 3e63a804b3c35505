"""Keycloak: groups, members, mappers of external providers, and OIDC clients."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr

from tenantry.errors import ChangedMeanwhile, SystemRefused, SystemUnavailable
from tenantry.plan import Plan
from tenantry.sandbox.keycloak.state import Group, Realm, new_id
from tenantry.systems.keycloak.client import KeycloakClient
from tenantry.walk import observe_owners
from tests.support.harness import (
    ADOPTING,
    PLATFORM,
    REALM,
    SHOP,
    Bench,
    Data,
    Prepare,
    connections,
    found,
    granted,
    ids,
)

TEAM: Data = {
    "name": "shop",
    "members": ["Ann", "bob"],
    "oidc_clients": {
        "web": {
            "redirect_uris": ["https://b.example.com/cb", "https://a.example.com/cb"],
            "post_logout_redirect_uris": ["https://b.example.com/", "https://a.example.com/"],
            "web_origins": ["https://a.example.com"],
        },
        "spa": {"redirect_uris": ["https://spa.example.com/"], "public": True},
    },
}
CORP: Data = {
    "keycloak": {
        "external_providers": {
            "corp": {"groups_claim": "roles", "group_name": "k8s-{group}", "ignore_case": True}
        }
    }
}


def marks(bench: Bench) -> dict[str, list[str]]:
    """Return the marks of the groups of team `shop` in Keycloak."""
    found = bench.systems.marks.attributes("shop")
    assert set(found) == {"app.kubernetes.io/managed-by", "tenantry.io/team", "tenantry.io/mark"}
    return {key: [value] for key, value in found.items()}


GROUP = "keycloak/group/team-shop"
WEB = "keycloak/client/team-shop-web"
MAPPER = "keycloak/identity provider mapper/corp/tenantry team-shop"


def realm(bench: Bench) -> Realm:
    return bench.sandbox.keycloak.realms[REALM]


def group(bench: Bench, name: str = "team-shop", parent: str | None = None) -> Group:
    made = realm(bench).child_named(parent, name)
    assert made is not None
    return made


def client(bench: Bench, name: str = "team-shop-web") -> dict[str, Any]:
    made = realm(bench).client_named(name)
    assert made is not None
    return made


def mapper(bench: Bench) -> dict[str, Any]:
    (made,) = realm(bench).provider_mappers.values()
    return made


def add_provider(bench: Bench) -> None:
    body = {"alias": "corp", "providerId": "oidc", "enabled": True, "config": {}}
    bench.systems.keycloak_client.post("identity-provider/instances", body)


def onboard(bench: Bench) -> None:
    for name in ("ann", "bob", "eve"):
        bench.sandbox.keycloak.add_user(REALM, name)
    bench.declare(TEAM, platform=CORP)
    add_provider(bench)
    bench.onboard()


@pytest.fixture
def shop(begin: Callable[[Prepare], Bench]) -> Bench:
    """Return a bench with the onboarded team, with all kinds of resources in Keycloak."""
    return begin(onboard)


def members(bench: Bench) -> list[str]:
    return sorted(realm(bench).users[user].username for user in group(bench).members)


# Created


def test_the_group_is_made_with_our_marks_and_its_members(shop: Bench) -> None:
    assert group(shop).attributes == marks(shop)
    assert members(shop) == ["ann", "bob"]


def test_membership_is_left_alone_where_no_members_are_declared(bench: Bench) -> None:
    eve = bench.sandbox.keycloak.add_user(REALM, "eve")
    bench.declare(SHOP).onboard()
    realm(bench).join(eve, group(bench))
    assert bench.plan() == Plan("shop")
    assert members(bench) == ["eve"]


def test_a_declared_group_takes_the_place_of_the_usual_one(bench: Bench) -> None:
    name = "Shop people (all)"
    bench.declare({**SHOP, "group": name}, platform=granted("shop", groups=[name])).onboard()
    assert group(bench, "Shop people (all)").attributes == marks(bench)
    assert [each.name for each in realm(bench).groups.values()] == ["Shop people (all)"]
    assert bench.plan() == Plan("shop")


@pytest.mark.parametrize("teams", [1, 5])
def test_groups_are_kept_under_the_declared_parent(teams: int, bench: Bench) -> None:
    """A group of the same name at the top is another one."""
    platform = {"keycloak": {"parent_group": "tenants"}}
    declared = [{**SHOP, "members": ["ann"]}, *({"name": f"t{n}"} for n in range(teams - 1))]
    ann = bench.sandbox.keycloak.add_user(REALM, "ann")
    bench.declare(*declared, platform=platform)
    bench.systems.keycloak_client.post("groups", {"name": "team-shop"})
    for team in bench.teams:
        bench.onboard(team.name)
    parent = group(bench, "tenants")
    own = group(bench, parent=parent.id)
    assert own.attributes == marks(bench)
    assert own.members == [ann.id]
    assert group(bench).attributes == {}
    assert realm(bench).child_count(parent.id) == teams
    seen = observe_owners(bench.systems.team_adapters, bench.teams)
    assert all(bench.systems.plan(team, seen) == Plan(team.name) for team in bench.teams)


@pytest.mark.demand("real", "each of the forty pitfalls has a test that passes")
def test_a_client_has_the_code_flow_only_and_leaf_names_of_groups(shop: Bench) -> None:
    made = client(shop)
    assert made["standardFlowEnabled"] is True
    assert made["publicClient"] is False
    for flow in ("implicitFlowEnabled", "directAccessGrantsEnabled", "serviceAccountsEnabled"):
        assert made[flow] is False
    assert sorted(made["redirectUris"]) == ["https://a.example.com/cb", "https://b.example.com/cb"]
    assert made["attributes"]["post.logout.redirect.uris"].split("##") == [
        "https://a.example.com/",
        "https://b.example.com/",
    ]
    tokens = shop.sandbox.keycloak.login(REALM, "team-shop-web", "ann")
    user = realm(shop).user_named("ann")
    assert user is not None
    assert "id_token" in tokens
    (groups,) = [each for each in made["protocolMappers"] if each["name"] == "groups"]
    assert groups["config"]["full.path"] == "false"


def test_a_public_client_must_prove_its_code(shop: Bench) -> None:
    made = client(shop, "team-shop-spa")
    assert made["publicClient"] is True
    assert made["attributes"]["pkce.code.challenge.method"] == "S256"


def test_a_mapper_adds_users_to_the_group_in_their_token(shop: Bench) -> None:
    made = mapper(shop)
    assert made["identityProviderMapper"] == "oidc-advanced-group-idp-mapper"
    assert made["config"]["group"] == "/team-shop"
    assert '"key": "roles"' in made["config"]["claims"]
    pattern = re.search(r'"value": "(.*)"', made["config"]["claims"])
    assert pattern is not None
    expression = re.compile(pattern[1].replace("\\\\", "\\"))
    assert expression.fullmatch("k8s-team-shop")
    assert expression.fullmatch("K8S-Team-Shop")
    assert not expression.fullmatch("k8s-team-shop-admins")


# Drift


def attributes(bench: Bench) -> None:
    group(bench).attributes["tenantry.io/team"] = ["data"]


def leaves(bench: Bench) -> None:
    user = realm(bench).user_named("ann")
    assert user is not None
    realm(bench).leave(user, group(bench))


def of_client(key: str, value: Any) -> Callable[[Bench], None]:
    return lambda bench: client(bench).update({key: value})


def of_attributes(key: str, value: str) -> Callable[[Bench], None]:
    return lambda bench: client(bench)["attributes"].update({key: value})


def of_claim(bench: Bench) -> None:
    (groups,) = [each for each in client(bench)["protocolMappers"] if each["name"] == "groups"]
    groups["config"]["full.path"] = "true"


def no_claim(bench: Bench) -> None:
    made = client(bench)
    made["protocolMappers"] = [m for m in made["protocolMappers"] if m["name"] != "groups"]


def of_mapper(bench: Bench) -> None:
    mapper(bench)["config"]["group"] = "/team-data"


def no_mapper(bench: Bench) -> None:
    realm(bench).provider_mappers.clear()


URIS = ["https://a.example.com/cb", "https://b.example.com/cb"]


@pytest.mark.parametrize(
    ("drift", "resource", "field", "old", "new"),
    [
        (attributes, GROUP, "attributes.tenantry.io/team", ["data"], ["shop"]),
        (leaves, "keycloak/group member/team-shop/ann", "member", None, True),
        (of_client("enabled", False), WEB, "enabled", False, True),
        (of_client("publicClient", True), WEB, "publicClient", True, False),
        (of_client("standardFlowEnabled", False), WEB, "standardFlowEnabled", False, True),
        (of_client("implicitFlowEnabled", True), WEB, "implicitFlowEnabled", True, False),
        (
            of_client("directAccessGrantsEnabled", True),
            WEB,
            "directAccessGrantsEnabled",
            True,
            False,
        ),
        (of_client("serviceAccountsEnabled", True), WEB, "serviceAccountsEnabled", True, False),
        (of_client("redirectUris", ["*"]), WEB, "redirectUris", ["*"], URIS),
        (of_client("webOrigins", ["*"]), WEB, "webOrigins", ["*"], ["https://a.example.com"]),
        (
            of_attributes("post.logout.redirect.uris", "+"),
            WEB,
            "attributes.post.logout.redirect.uris",
            "+",
            "https://a.example.com/##https://b.example.com/",
        ),
        (of_claim, WEB, "groups mapper.config.full.path", "true", "false"),
        (of_mapper, MAPPER, "config.group", "/team-data", "/team-shop"),
    ],
)
def test_drifted_fields_are_planned_exactly_and_repaired(
    drift: Callable[[Bench], None], resource: str, field: str, old: Any, new: Any, shop: Bench
) -> None:
    before = shop.sandbox.keycloak.dump()["realms"][REALM]
    drift(shop)
    assert found(shop.plan()) == {resource: {field: (old, new)}}
    shop.onboard()
    assert shop.plan() == Plan("shop")
    after = shop.sandbox.keycloak.dump()["realms"][REALM]
    for each in (before, after):
        for held in each["groups"].values():
            held["members"].sort()
    for kind in ("groups", "clients", "provider_mappers"):
        assert after[kind] == before[kind]


@pytest.mark.parametrize("drift", [no_claim, no_mapper])
def test_lost_resources_are_created_again(drift: Callable[[Bench], None], shop: Bench) -> None:
    drift(shop)
    assert len(shop.plan().changes) == 1
    shop.onboard()
    assert shop.plan() == Plan("shop")


def test_another_order_of_uris_is_not_a_difference(shop: Bench) -> None:
    client(shop)["redirectUris"].reverse()
    client(shop)["attributes"]["post.logout.redirect.uris"] = (
        "https://b.example.com/##https://a.example.com/"
    )
    assert shop.plan() == Plan("shop")


def test_what_others_set_on_a_group_or_client_stays(shop: Bench) -> None:
    group(shop).attributes |= {"cost-centre": ["7"], "tenantry.io/team": ["data"]}
    client(shop)["attributes"] |= {"login_theme": "dark", "tenantry.io/team": "data"}
    client(shop)["description"] = "The web shop"
    shop.onboard()
    assert group(shop).attributes == {**marks(shop), "cost-centre": ["7"]}
    assert client(shop)["attributes"]["login_theme"] == "dark"
    assert client(shop)["description"] == "The web shop"


# What must be there first


def test_a_member_who_is_not_a_user_yet_waits_and_the_rest_is_applied(bench: Bench) -> None:
    bench.declare({**SHOP, "members": ["ann", "bob"]})
    bench.sandbox.keycloak.add_user(REALM, "bob")
    outcome = bench.onboard()
    assert outcome.plan is not None
    assert [(str(wait.id), wait.reason) for wait in outcome.plan.waiting] == [
        ("keycloak/group member/team-shop/ann", "user 'ann' is not in realm 'platform' yet")
    ]
    assert members(bench) == ["bob"]
    assert bench.systems.not_applied(bench.teams) == bench.teams
    bench.sandbox.keycloak.add_user(REALM, "ann")
    bench.onboard()
    assert members(bench) == ["ann", "bob"]
    assert bench.systems.not_applied(bench.teams) == []


def test_a_provider_that_is_not_there_yet_is_waited_for(bench: Bench) -> None:
    bench.declare(SHOP, platform=CORP)
    assert bench.onboard().is_done
    assert ids(bench.plan().waiting) == [MAPPER]
    add_provider(bench)
    bench.onboard()
    assert mapper(bench)["config"]["group"] == "/team-shop"
    assert bench.plan() == Plan("shop")


# Whose it is


def test_a_foreign_group_is_refused_and_gets_no_members(bench: Bench) -> None:
    bench.sandbox.keycloak.add_user(REALM, "ann")
    bench.declare({**SHOP, "members": ["ann"]})
    bench.systems.keycloak_client.post("groups", {"name": "team-shop"})
    before = bench.sandbox.keycloak.dump()["realms"][REALM]["groups"]
    with pytest.raises(SystemRefused, match="keycloak/group/team-shop: it exists"):
        bench.onboard()
    assert bench.sandbox.keycloak.dump()["realms"][REALM]["groups"] == before


@pytest.mark.parametrize("adopt", ["if-identical", "yes"])
def test_a_group_is_adopted_and_the_mark_of_it_stays(adopt: str, bench: Bench) -> None:
    bench.declare({**SHOP, "adopt": adopt}, platform=ADOPTING)
    body = {"name": "team-shop", "attributes": {"cost-centre": ["7"]}}
    bench.systems.keycloak_client.post("groups", body)
    bench.onboard()
    adopted = {**marks(bench), "cost-centre": ["7"], "tenantry.io/adopted": ["true"]}
    assert group(bench).attributes == adopted
    assert bench.plan() == Plan("shop")
    group(bench).attributes["tenantry.io/team"] = ["data"]
    bench.onboard()
    assert group(bench).attributes == adopted


def test_a_client_that_is_not_ours_is_refused_and_its_secret_is_not_copied(bench: Bench) -> None:
    bench.declare(SHOP).onboard()
    bench.declare(TEAM)
    body = {"clientId": "team-shop-web", "redirectUris": ["https://theirs.example.com"]}
    bench.systems.keycloak_client.post("clients", body)
    before = dict(client(bench))
    with pytest.raises(SystemRefused, match="keycloak/client/team-shop-web: it exists"):
        bench.onboard()
    assert client(bench) == before
    assert bench.sandbox.kubernetes.get("Secret", "oidc-web", "team-shop") is None


def test_yes_adopts_a_client_and_the_mark_of_it_stays(bench: Bench) -> None:
    for name in ("ann", "bob"):
        bench.sandbox.keycloak.add_user(REALM, name)
    bench.declare({**TEAM, "adopt": "yes"}, platform=ADOPTING)
    body = {
        "clientId": "team-shop-web",
        "publicClient": False,
        "redirectUris": ["https://theirs.example.com"],
    }
    bench.systems.keycloak_client.post("clients", body)
    secret = client(bench)["secret"]
    bench.onboard()
    assert sorted(client(bench)["redirectUris"]) == URIS
    assert client(bench)["secret"] == secret
    assert bench.plan() == Plan("shop")
    client(bench)["enabled"] = False
    bench.onboard()
    assert client(bench)["attributes"]["tenantry.io/adopted"] == "true"


# Many


@pytest.mark.demand("real", "each of the forty pitfalls has a test that passes")
def test_more_than_a_page_of_groups_and_clients_is_read(bench: Bench) -> None:
    """Ours come last of the alphabet, and so on the last page."""
    web = {"redirect_uris": ["https://x.example.com/"]}
    teams = [{"name": f"t{number}", "oidc_clients": {"web": web}} for number in range(5)]
    bench.declare(*teams)
    for number in range(120):
        realm(bench).add_group(Group(new_id(), f"aaa-{number:03}"))
        body = {"clientId": f"aaa-{number:03}"}
        bench.systems.keycloak_client.post("clients", body)
    for team in bench.teams:
        bench.onboard(team.name)
    bench.sandbox.requests.reset()
    seen = observe_owners(bench.systems.team_adapters, bench.teams)
    assert all(bench.systems.plan(team, seen) == Plan(team.name) for team in bench.teams)
    asked = [each.target.split("?")[0] for each in bench.sandbox.requests.log]
    assert asked.count(f"/admin/realms/{REALM}/groups") == 2
    assert asked.count(f"/admin/realms/{REALM}/clients") == 2


@pytest.mark.parametrize("parent", [None, "tenants"])
def test_a_group_is_found_among_many_whose_names_hold_its_own(
    parent: str | None, bench: Bench
) -> None:
    platform = {"keycloak": {"parent_group": parent}} if parent else PLATFORM
    bench.declare(SHOP, platform=platform).onboard()
    above = group(bench, parent).id if parent else None
    for number in range(120):
        realm(bench).add_group(Group(new_id(), f"a-team-shop-{number:03}", above))
        realm(bench).add_group(
            Group(new_id(), f"team-shop-{number:03}", group(bench, parent=above).id)
        )
    assert bench.plan() == Plan("shop")


def test_more_than_a_page_of_members_is_read(bench: Bench) -> None:
    names = [f"user{number:03}" for number in range(120)]
    for name in names:
        bench.sandbox.keycloak.add_user(REALM, name)
    bench.declare({**SHOP, "members": names}).onboard()
    assert members(bench) == names
    bench.sandbox.requests.reset()
    assert bench.plan() == Plan("shop")
    asked = [each for each in bench.sandbox.requests.log if "/members" in each.target]
    assert [each.status for each in asked if each.system == "keycloak"] == [200, 200]


# Addresses, logins


def keycloak(bench: Bench, **account: Any) -> KeycloakClient:
    return KeycloakClient(connections(bench.sandbox).keycloak.model_copy(update=account), REALM)


def test_a_keycloak_under_a_relative_path_works(bench: Bench) -> None:
    simulated = bench.sandbox.keycloak
    simulated.relative_path = "/auth"
    for name in ("ann", "bob"):
        simulated.add_user(REALM, name)
    bench.sandbox.addresses = lambda: {  # type: ignore[method-assign]
        **type(bench.sandbox).addresses(bench.sandbox),
        "keycloak": {"url": f"{simulated.url}/auth/", "username": "admin", "password": "admin"},
    }
    bench.declare(TEAM)
    assert "/auth has realm 'platform'" in bench.systems.check()[1]
    bench.onboard()
    assert bench.secret("oidc-web")["issuer"] == f"{simulated.url}/auth/realms/platform"
    assert bench.plan() == Plan("shop")


def test_a_wrong_password_is_named(bench: Bench) -> None:
    with pytest.raises(SystemRefused) as refused:
        keycloak(bench, password=SecretStr("Wrong12345")).get("groups")
    assert refused.value.status == 400
    assert "Invalid user credentials. The credentials of the Keycloak connection are not" in str(
        refused.value
    )
    assert "Wrong12345" not in f"{refused.value}{refused.value.__dict__}"


def test_a_missing_realm_is_named(bench: Bench) -> None:
    bench.declare(SHOP, platform={"keycloak": {"realm": "none"}})
    with pytest.raises(SystemRefused, match=r"there is no realm 'none'\. Create it, or correct"):
        bench.systems.check()


def test_a_server_that_is_down_is_reported(bench: Bench) -> None:
    with pytest.raises(SystemUnavailable, match=r"Keycloak: .*: no answer"):
        keycloak(bench, url="http://127.0.0.1:9").get("groups")


def test_a_revoked_token_is_renewed(bench: Bench) -> None:
    """A restart, or the end of the session, revokes the token."""
    bench.declare(SHOP).onboard()
    bench.sandbox.keycloak.realms["master"].sessions.clear()
    assert bench.plan() == Plan("shop")
    bench.sandbox.keycloak.realms["master"].sessions.clear()
    bench.systems.keycloak_client.post("groups", {"name": "another"})
    assert group(bench, "another")


def test_a_group_created_after_the_observation_is_observed_again(bench: Bench) -> None:
    bench.declare(SHOP)
    seen = bench.observe()
    bench.systems.keycloak_client.post("groups", {"name": "team-shop"})
    with pytest.raises(ChangedMeanwhile) as failure:
        bench.systems.apply(bench.systems.plan(bench.team(), seen), seen)
    assert failure.value.status == 409
