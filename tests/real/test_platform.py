"""From nothing to a person's login through an external provider: Keycloak is real.

Harbor is the sandbox's, or the one that is given; the external provider is a second realm.
"""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tenantry import onboarding
from tenantry.connections import Cluster, Connections, HarborAccount, KeycloakAccount
from tenantry.declared import Declaration, load
from tenantry.sandbox import Sandbox
from tenantry.systems import Systems
from tests.bench import write
from tests.real.conftest import Keycloak
from tests.real.servers import browser
from tests.real.test_servers import QUICK_PASSWORDS, connected, unique, with_user
from tests.sandbox.calls import Caller

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

PASSWORD = "wonderland"
SECRET = "the-brokers-secret"


class Lab:
    """A platform that is declared, and the external provider that its people come from."""

    def __init__(self, keycloak: Keycloak, sandbox: Sandbox, folder: Path) -> None:
        self.realm, self.corp = unique("platform"), unique("corp")
        self.sandbox, self.folder = sandbox, folder
        self.keycloak = connected(keycloak)
        self.url = keycloak.url
        self.admin = connected(keycloak)
        self._external_provider()
        self._secret()
        addresses = sandbox.addresses()
        self.connections = Connections(
            harbor=HarborAccount.model_validate(addresses["harbor"]),
            keycloak=KeycloakAccount.model_validate(vars(keycloak)),
            kubernetes=Cluster.model_validate(addresses["kubernetes"]),
        )
        self.harbor = addresses["harbor"]["url"]
        self.caller = Caller(
            self.harbor, addresses["harbor"]["username"], addresses["harbor"]["password"]
        )

    def _external_provider(self) -> None:
        """What the provider's own people do: a client for us, and the claim with their groups."""
        self.admin.create_realm(
            {"realm": self.corp, "enabled": True, "passwordPolicy": QUICK_PASSWORDS}
        )
        self.admin.change_current_realm(self.corp)
        mapper = {
            "name": "groups",
            "protocol": "openid-connect",
            "protocolMapper": "oidc-group-membership-mapper",
            "config": {
                "claim.name": "groups",
                "full.path": "false",
                "id.token.claim": "true",
                "userinfo.token.claim": "true",
            },
        }
        back = f"{self.url}/realms/{self.realm}/broker/corp/endpoint"
        self.admin.create_client(
            {
                "clientId": "tenantry",
                "secret": SECRET,
                "redirectUris": [back],
                "protocolMappers": [mapper],
            }
        )

    def _secret(self) -> None:
        data = {"client-secret": base64.b64encode(SECRET.encode()).decode()}
        self.sandbox.kubernetes.put(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sso"}}
        )
        self.sandbox.kubernetes.put(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "corp", "namespace": "sso"},
                "data": data,
            }
        )

    def declare(self) -> Declaration:
        platform: dict[str, Any] = {
            "name": "Logins",
            "harbor": {
                "single_sign_on": {
                    "admin_group": "platform-admins",
                    "redirect_parameters": {"kc_idp_hint": "corp"},
                }
            },
            "keycloak": {
                "realm": self.realm,
                "realm_settings": {
                    "access_token_minutes": 5,
                    "session_idle_minutes": 60,
                    "session_max_minutes": 600,
                    "offline_session_idle_minutes": 43200,
                    "brute_force_protection": True,
                    "login_failures": 20,
                    "unmanaged_attributes": "admin-edit",
                    "display_name": "The platform",
                },
                "groups": {"platform-admins": {"external_groups": {"corp": ["K8s-Admins"]}}},
                "external_providers": {
                    "corp": {
                        "group_name": "k8s-{group}-prod",
                        "ignore_case": True,
                        "connection": {
                            "issuer": f"{self.url}/realms/{self.corp}",
                            "client_id": "tenantry",
                            "client_secret": {"namespace": "sso", "name": "corp"},
                            "display_name": "Corp",
                            "trust_email": True,
                        },
                    }
                },
            },
        }
        return load(write(self.folder, {"name": "demo"}, platform=platform))

    def person(self, name: str, *groups: str) -> None:
        """Somebody whom the external provider knows, in groups of its own."""
        user = with_user(self.admin, name, PASSWORD)
        for group in groups:
            made = self.admin.create_group({"name": group}, skip_exists=True)
            found = made or self.admin.get_group_by_path(f"/{group}")["id"]
            self.admin.group_user_add(user, found)

    def log_in(self, name: str) -> tuple[httpx.Client, httpx.Response]:
        return browser.log_in_at(
            f"{self.harbor}/c/oidc/login", f"{self.harbor}/c/oidc/callback", name, PASSWORD
        )


@pytest.fixture(scope="module")
def lab(real_keycloak: Keycloak, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Sandbox() as sandbox:
        lab = Lab(real_keycloak, sandbox, tmp_path_factory.mktemp("platform"))
        with Systems(lab.connections, lab.declare()) as systems:
            systems.check(configuring=True)
            onboarding.configure(systems)
            for team in systems.state.teams.values():
                onboarding.onboard(systems, team)
        yield lab
        for realm in (lab.realm, lab.corp):
            lab.keycloak.delete_realm(realm)


def test_a_second_run_finds_nothing_to_do(lab: Lab) -> None:
    """What a real Keycloak adds to what it is given is no drift."""
    lab.sandbox.requests.reset()
    with Systems(lab.connections, lab.declare()) as systems:
        outcome = onboarding.configure(systems)
        assert outcome.done == ()
        assert outcome.plan is not None
        assert outcome.plan.is_empty
        team = onboarding.onboard(systems, systems.state.teams["demo"])
        assert team.done == ()
    assert lab.sandbox.requests.writes() == 0


def test_a_person_of_the_external_provider_is_a_developer_by_the_claim_alone(lab: Lab) -> None:
    lab.person("alice", "K8S-team-demo-PROD", "choir")

    client, answer = lab.log_in("alice")
    with_api = f"{lab.harbor}/api/v2.0"
    project = client.get(f"{with_api}/projects/team-demo").json()
    current = client.get(f"{with_api}/users/current").json()
    client.close()

    assert (answer.status_code, answer.headers["location"]) == (302, "/"), answer.text
    assert (current["username"], current["email"]) == ("alice", "alice@example.test")
    assert project["current_user_role_ids"] == [2]
    members = lab.caller.json("/projects/team-demo/members")
    assert "alice" not in [member["entity_name"] for member in members]
    assert not current.get("admin_role_in_auth")


def test_an_administrator_of_the_external_provider_is_harbors(lab: Lab) -> None:
    lab.person("root", "K8s-Admins")

    client, answer = lab.log_in("root")
    current = client.get(f"{lab.harbor}/api/v2.0/users/current").json()
    client.close()

    assert answer.status_code == 302, answer.text
    assert current["admin_role_in_auth"] is True


def test_a_wrong_secret_in_harbor_is_told_by_the_real_keycloak(lab: Lab) -> None:
    lab.sandbox.harbor.configuration["oidc_client_secret"] = "another"
    lab.sandbox.harbor.provider = None

    with Systems(lab.connections, lab.declare()) as systems:
        outcome = onboarding.configure(systems)
        (change,) = outcome.done
        assert [(d.field, d.old, d.new) for d in change.differences] == [
            ("oidc_client_secret", "does not work", "works")
        ]
        assert onboarding.configure(systems).done == ()
