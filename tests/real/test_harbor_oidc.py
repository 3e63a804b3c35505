"""Users of a real Keycloak log in to the simulated Harbor, in which their team is onboarded."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tenantry.connections import Cluster, Connections, HarborAccount, KeycloakAccount
from tenantry.declared import load
from tenantry.sandbox import Sandbox
from tenantry.systems.systems import Systems
from tenantry.walk import observe_owners
from tests.real.conftest import Keycloak
from tests.real.servers import browser
from tests.real.test_servers import QUICK_PASSWORDS, connected, unique, with_user
from tests.sandbox.calls import CLIENT, Caller, refused
from tests.support.harness import write

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

PASSWORD = "wonderland"
SECRET = "not-a-secret"
TEAM = "team-demo"


class Lab:
    """A realm, and a Harbor that trusts it, with a team that is onboarded in both."""

    def __init__(self, keycloak: Keycloak, sandbox: Sandbox, folder: Path) -> None:
        self.realm = unique("harbor")
        self.issuer = f"{keycloak.url}/realms/{self.realm}"
        self.sandbox = sandbox
        self.browsers: list[httpx.Client] = []
        self.keycloak = connected(keycloak)
        self.keycloak.create_realm(
            {"realm": self.realm, "enabled": True, "passwordPolicy": QUICK_PASSWORDS}
        )
        self.keycloak.change_current_realm(self.realm)
        address = sandbox.addresses()["harbor"]
        self.url = address["url"]
        self.admin = Caller(self.url, address["username"], address["password"])
        self.client = self._client_for_harbor()
        self._configure_harbor()
        self._onboard(keycloak, folder)

    def _client_for_harbor(self) -> str:
        claim = {"claim.name": "groups", "full.path": "false"}
        places = ("id.token.claim", "access.token.claim", "userinfo.token.claim")
        mapper = {
            "name": "groups",
            "protocol": "openid-connect",
            "protocolMapper": "oidc-group-membership-mapper",
            "config": {**claim, **dict.fromkeys(places, "true")},
        }
        client: str = self.keycloak.create_client(
            {
                "clientId": "harbor",
                "secret": SECRET,
                "redirectUris": [f"{self.url}/c/oidc/callback"],
                "directAccessGrantsEnabled": True,
                "protocolMappers": [mapper],
                "attributes": {
                    "pkce.code.challenge.method": "S256",
                    "post.logout.redirect.uris": f"{self.url}/account/sign-in",
                },
            }
        )
        return client

    def _configure_harbor(self) -> None:
        settings = {
            "oidc_name": "keycloak",
            "oidc_endpoint": self.issuer,
            "oidc_client_id": "harbor",
            "oidc_client_secret": SECRET,
            "oidc_scope": "openid,profile,email",
            "oidc_groups_claim": "groups",
            "oidc_user_claim": "preferred_username",
            "oidc_auto_onboard": True,
            "oidc_logout": True,
        }
        assert self.admin("PUT", "/configurations", json=settings).status_code == 200

    def _onboard(self, keycloak: Keycloak, folder: Path) -> None:
        """Onboard the team; the cluster is simulated, because logins do not need it."""
        platform = {"name": "Logins", "keycloak": {"realm": self.realm}}
        addresses = self.sandbox.addresses()
        connections = Connections(
            harbor=HarborAccount.model_validate(addresses["harbor"]),
            keycloak=KeycloakAccount.model_validate(vars(keycloak)),
            kubernetes=Cluster.model_validate(addresses["kubernetes"]),
        )
        state = load(write(folder, {"name": "demo"}, platform=platform))
        with Systems(connections, state) as systems:
            teams = list(state.teams.values())
            observed = observe_owners(systems.team_adapters, teams)
            for team in teams:
                systems.apply(systems.plan(team, observed), observed)

    def add_user(self, name: str) -> str:
        """Create a user of the realm who is in the team, and return the id."""
        user: str = with_user(self.keycloak, name, PASSWORD)
        self.keycloak.group_user_add(user, self.keycloak.get_group_by_path(f"/{TEAM}")["id"])
        return user

    def log_in(self, name: str) -> tuple[httpx.Client, httpx.Response]:
        client, answer = browser.log_in_at(
            f"{self.url}/c/oidc/login", f"{self.url}/c/oidc/callback", name, PASSWORD
        )
        self.browsers.append(client)
        return client, answer

    def logged_in(self, name: str) -> tuple[httpx.Client, dict[str, Any]]:
        """Log a user in, assert the success, and return the browser and Harbor's user."""
        client, answer = self.log_in(name)
        assert (answer.status_code, answer.headers.get("location")) == (302, "/"), answer.text
        return client, self.get(client, "/users/current").json()

    def get(self, client: httpx.Client, path: str) -> httpx.Response:
        return client.get(f"{self.url}/api/v2.0{path}")


@pytest.fixture(scope="module")
def lab(real_keycloak: Keycloak, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Sandbox() as sandbox:
        lab = Lab(real_keycloak, sandbox, tmp_path_factory.mktemp("logins"))
        yield lab
        for client in lab.browsers:
            client.close()
        lab.keycloak.delete_realm(lab.realm)


def test_the_groups_claim_alone_makes_a_developer(lab: Lab) -> None:
    subject = lab.add_user("alice")

    client, current = lab.logged_in("alice")
    project = lab.get(client, f"/projects/{TEAM}").json()
    members = lab.admin.json(f"/projects/{TEAM}/members")

    assert (current["username"], current["email"]) == ("alice", "alice@example.test")
    assert current["oidc_user_meta"]["subiss"] == f"{subject}{lab.issuer}"
    assert project["current_user_role_ids"] == [2]
    assert "alice" not in [member["entity_name"] for member in members]
    assert TEAM in [group["group_name"] for group in lab.admin.json("/usergroups")]


def test_a_user_outside_of_the_team_may_not_look(lab: Lab) -> None:
    with_user(lab.keycloak, "mallory", PASSWORD)

    client, _ = lab.logged_in("mallory")

    assert refused(lab.get(client, f"/projects/{TEAM}"), 403, "forbidden")


def test_a_user_re_created_in_keycloak_has_to_be_deleted_in_harbor_first(lab: Lab) -> None:
    subject = lab.add_user("bob")
    lab.logged_in("bob")
    lab.keycloak.delete_user(subject)
    lab.add_user("bob")
    [before] = [user for user in lab.admin.json("/users") if user["username"] == "bob"]

    _, answer = lab.log_in("bob")
    words = "failed to create user record: user bob or email bob@example.test already exists"
    assert refused(answer, 409, words, code="UNKNOWN")

    assert lab.admin("DELETE", f"/users/{before['user_id']}").status_code == 200
    client, current = lab.logged_in("bob")
    assert current["user_id"] > before["user_id"]
    assert lab.get(client, f"/projects/{TEAM}").json()["current_user_role_ids"] == [2]


def test_a_wrong_client_secret_in_keycloaks_own_words(lab: Lab) -> None:
    lab.add_user("carol")
    lab.keycloak.update_client(lab.client, {"clientId": "harbor", "secret": "another"})

    _, answer = lab.log_in("carol")
    lab.keycloak.update_client(lab.client, {"clientId": "harbor", "secret": SECRET})

    words = "Invalid client or Invalid client credentials"
    assert refused(answer, 400, f'oauth2: "unauthorized_client" "{words}"')
    assert lab.logged_in("carol")[1]["username"] == "carol"


def test_id_tokens_are_taken_and_access_tokens_are_not(lab: Lab) -> None:
    lab.add_user("dora")
    form = {
        "grant_type": "password",
        "client_id": "harbor",
        "client_secret": SECRET,
        "username": "dora",
        "password": PASSWORD,
        "scope": "openid",
    }
    answer = CLIENT.post(f"{lab.issuer}/protocol/openid-connect/token", data=form)
    tokens = answer.raise_for_status().json()

    def status(token: str) -> int:
        headers = {"authorization": f"Bearer {token}"}
        return CLIENT.get(f"{lab.url}/api/v2.0/projects/{TEAM}", headers=headers).status_code

    assert status(tokens["id_token"]) == 401, "dora has not logged in before"
    lab.logged_in("dora")
    assert status(tokens["id_token"]) == 200
    assert status(tokens["access_token"]) == 401


def test_logging_out_ends_both_sessions(lab: Lab) -> None:
    lab.add_user("erin")
    client, _ = lab.logged_in("erin")

    first = client.get(f"{lab.url}/c/log_out")
    onward = client.get(first.json()["redirect_location"])
    back = client.get(onward.headers["location"])

    assert first.status_code == 403
    assert urlsplit(onward.headers["location"]).path.endswith("/protocol/openid-connect/logout")
    assert back.headers["location"] == f"{lab.url}/account/sign-in"
    assert lab.get(client, "/users/current").status_code == 401


def test_harbor_finds_the_realm(lab: Lab) -> None:
    def ping(url: str) -> int:
        body = {"url": url, "verify_cert": True}
        return lab.admin("POST", "/system/oidc/ping", json=body).status_code

    assert ping(lab.issuer) == 200
    assert ping(f"{lab.issuer}-nowhere") == 400
