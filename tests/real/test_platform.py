"""From an empty real Keycloak to a user's login through an external provider.

Harbor is simulated, or the given one if its OIDC provider may be replaced. The external provider is
a second realm.
"""

import base64
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tenantry import checks, onboarding
from tenantry.connections import Cluster, Connections, KeycloakAccount
from tenantry.declared import Declaration, load
from tenantry.sandbox import Sandbox
from tenantry.systems.systems import Systems
from tests.real.conftest import Keycloak
from tests.real.lab_harbor import LabHarbor, new_mark
from tests.real.test_servers import QUICK_PASSWORDS, connected, with_user
from tests.support.addresses import GivenHarbor
from tests.support.harness import write
from tests.support.narrowing import present
from tests.support.wire import Wire
from tests.systems.test_client_secret import POLICIES

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(300),
    pytest.mark.demand("platform", "all of tests/real/test_platform.py"),
]

PASSWORD = "wonderland"
SECRET = "the-brokers-secret"


class Lab:
    """A declared platform, and the external provider of its users."""

    def __init__(
        self,
        keycloak: Keycloak,
        sandbox: Sandbox,
        harbor: LabHarbor,
        folder: Path,
    ) -> None:
        self.mark = new_mark()
        self.realm, self.corp = f"platform-{self.mark}", f"corp-{self.mark}"
        self.team, self.admins = f"demo-{self.mark}", f"platform-admins-{self.mark}"
        self.sandbox, self.harbor, self.folder = sandbox, harbor, folder
        self.keycloak = connected(keycloak)
        self.url, self.verify = keycloak.url, keycloak.verify
        self.admin = connected(keycloak)
        self.connections = Connections(
            harbor=harbor.account,
            keycloak=KeycloakAccount.model_validate(vars(keycloak)),
            kubernetes=Cluster.model_validate(sandbox.addresses()["kubernetes"]),
        )

    def set_up(self) -> None:
        """Create the external provider, and remove Harbor's OIDC provider."""
        self._external_provider()
        self._secret()
        self.harbor.forget_provider()

    def secret(self) -> str:
        """Return the secret of Harbor's client in Keycloak."""
        self.keycloak.change_current_realm(self.realm)
        number = present(self.keycloak.get_client_id("harbor"))
        return str(self.keycloak.get_client_secrets(number)["value"])

    def close(self) -> None:
        """Remove the realms, and the lab's objects in Harbor."""
        with ExitStack() as stack:  # a failure in one cleanup does not prevent the others
            for realm in (self.realm, self.corp):
                stack.callback(self.keycloak.delete_realm, realm)
            self.harbor.close(self.mark)

    def _external_provider(self) -> None:
        """Create the external realm with a client for our realm and a groups claim."""
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
                    "admin_group": self.admins,
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
                "groups": {self.admins: {"external_groups": {"corp": ["K8s-Admins"]}}},
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
        return load(write(self.folder, {"name": self.team}, platform=platform))

    def person(self, name: str, *groups: str) -> str:
        """Create a user of the external provider in some of its groups; return the user name."""
        name = f"{name}-{self.mark}"
        user = with_user(self.admin, name, PASSWORD)
        for group in groups:
            made = self.admin.create_group({"name": group}, skip_exists=True)
            found = made or self.admin.get_group_by_path(f"/{group}")["id"]
            self.admin.group_user_add(user, found)
        return name

    def log_in(self, name: str) -> tuple[httpx.Client, httpx.Response]:
        return self.harbor.log_in(name, PASSWORD)


@pytest.fixture(scope="module")
def lab(
    real_keycloak: Keycloak,
    given_harbor: GivenHarbor | None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Lab]:
    with Sandbox() as sandbox:
        folder = tmp_path_factory.mktemp("platform")
        lab = Lab(real_keycloak, sandbox, LabHarbor(sandbox, given_harbor), folder)
        with closing(lab):
            lab.set_up()
            with Systems(lab.connections, lab.declare()) as systems:
                systems.check(configuring=True)
                onboarding.configure(systems)
                for team in systems.state.teams.values():
                    onboarding.onboard(systems, team)
            lab.harbor.settle()
            yield lab


@pytest.mark.demand("platform", "a second run on the real Keycloak makes no write")
def test_a_second_run_writes_nothing(
    lab: Lab, record_property: Callable[[str, object], None]
) -> None:
    """Defaults that a real Keycloak adds to an object are not drift."""
    with Wire() as wire, Systems(lab.connections, lab.declare()) as systems:
        outcome = onboarding.configure(systems)
        assert outcome.done == ()
        assert outcome.plan is not None
        assert outcome.plan.is_empty
        team = onboarding.onboard(systems, systems.state.teams[lab.team])
        assert team.done == ()
    assert [str(each) for each in wire.requests if each.is_write] == []
    record_property("requests", len(wire.requests))


@pytest.mark.demand(
    "platform", "from empty to a login through a second realm: Developer by the groups claim alone"
)
def test_a_person_of_the_external_provider_is_a_developer_by_the_claim_alone(lab: Lab) -> None:
    alice = lab.person("alice", f"K8S-team-{lab.team}-PROD", "choir")

    client, answer = lab.log_in(alice)
    project = client.get(f"{lab.harbor.url}/api/v2.0/projects/team-{lab.team}").json()
    current = lab.harbor.current(client)
    client.close()

    assert (answer.status_code, answer.headers["location"]) == (302, "/"), answer.text
    assert (current["username"], current["email"]) == (alice, f"{alice}@example.test")
    assert project["current_user_role_ids"] == [2]
    members = lab.harbor.caller.json(f"/projects/team-{lab.team}/members")
    assert alice not in [member["entity_name"] for member in members]
    assert not current.get("admin_role_in_auth")


def test_an_administrator_of_the_external_provider_is_harbors(lab: Lab) -> None:
    root = lab.person("root", "K8s-Admins")

    client, answer = lab.log_in(root)
    current = lab.harbor.current(client)
    client.close()

    assert answer.status_code == 302, answer.text
    assert current["admin_role_in_auth"] is True


def test_a_wrong_secret_in_harbor_is_rejected_by_the_real_keycloak(lab: Lab) -> None:
    lab.harbor.set(oidc_client_secret="another")

    with Systems(lab.connections, lab.declare()) as systems:
        outcome = onboarding.configure(systems)
        (change,) = outcome.done
        assert [(d.field, d.old, d.new) for d in change.differences] == [
            ("oidc_client_secret", "does not work", "works")
        ]
        assert onboarding.configure(systems).done == ()


# The checks, on a real Keycloak


def seen(lab: Lab) -> list[tuple[str, str]]:
    with Systems(lab.connections, lab.declare()) as systems:
        return [(each.check, str(each.resource)) for each in checks.check_all(systems)]


@pytest.fixture
def in_order(lab: Lab) -> Iterator[Lab]:
    """Yield the platform with a user in each group, and remediate it afterwards."""
    for name, group in (("ann", f"team-{lab.team}"), ("boss", lab.admins)):
        lab.keycloak.change_current_realm(lab.realm)
        if not lab.keycloak.get_user_id(name):
            user = with_user(lab.keycloak, name, PASSWORD)
            lab.keycloak.group_user_add(user, lab.keycloak.get_group_by_path(f"/{group}")["id"])
    assert seen(lab) == []
    yield lab
    with Systems(lab.connections, lab.declare()) as systems:
        onboarding.configure(systems)


def harbor_client(lab: Lab) -> Any:
    lab.keycloak.change_current_realm(lab.realm)
    return lab.keycloak.get_client(present(lab.keycloak.get_client_id("harbor")))


def change_redirect_uri(lab: Lab) -> None:
    client = harbor_client(lab)
    client["redirectUris"] = ["https://old.example.com/c/oidc/callback"]
    lab.keycloak.update_client(client["id"], client)


def use_group_paths(lab: Lab) -> None:
    client = harbor_client(lab)
    (mapper,) = client["protocolMappers"]
    mapper["config"]["full.path"] = "true"
    lab.keycloak.update_client_mapper(client["id"], mapper["id"], mapper)


def use_plain_pkce(lab: Lab) -> None:
    client = harbor_client(lab)
    client["attributes"]["pkce.code.challenge.method"] = "plain"
    lab.keycloak.update_client(client["id"], client)


def change_client_secret(lab: Lab) -> None:
    lab.harbor.set(oidc_client_secret="another")


def append_slash_to_issuer(lab: Lab) -> None:
    lab.harbor.set(oidc_endpoint=lab.harbor.settings()["oidc_endpoint"] + "/")


CLIENT, SETTINGS = "keycloak/client/harbor", "harbor/configuration/single sign-on"


@pytest.mark.demand(
    "platform", "faults planted on the real Keycloak: exactly that finding; without a fault, none"
)
@pytest.mark.parametrize(
    ("plant", "finding"),
    [
        (change_redirect_uri, ("redirect URI", CLIENT)),
        (use_group_paths, ("claims", CLIENT)),
        (use_plain_pkce, ("PKCE", CLIENT)),
        (change_client_secret, ("client secret", SETTINGS)),
        (append_slash_to_issuer, ("issuer", SETTINGS)),
    ],
)
def test_a_fault_planted_on_the_real_keycloak_is_found_and_nothing_else(
    plant: Callable[[Lab], None], finding: tuple[str, str], in_order: Lab
) -> None:
    plant(in_order)
    assert seen(in_order) == [finding]


# The secret of Harbor's client


def renewed(lab: Lab) -> tuple[str, list[str]]:
    """Renew the secret; return its age in the plan, and the secrets before and after."""
    secrets = [lab.secret()]
    time.sleep(1.1)  # Keycloak stores the creation time of a secret in whole seconds
    now = datetime.now(UTC)
    with Systems(lab.connections, lab.declare(), renew_client_secret_before=now) as systems:
        (change,) = onboarding.configure(systems).done
        secrets.append(lab.secret())
        (age,) = (each.old for each in change.differences if each.field == "age")
        assert onboarding.configure(systems).done == ()
        return str(age), secrets


def accepts(lab: Lab, secret: str) -> bool:
    """Return whether the realm accepts a secret of Harbor's client."""
    form = {"grant_type": "authorization_code", "code": "x", "redirect_uri": "x"}
    answer = httpx.post(
        f"{lab.url}/realms/{lab.realm}/protocol/openid-connect/token",
        data={**form, "client_id": "harbor", "client_secret": secret},
        verify=lab.verify,
    )
    return answer.json()["error"] == "invalid_grant"


@pytest.mark.demand(
    "platform",
    "a real Keycloak without it: the secret is renewed and given to Harbor, and "
    "the plan says what it costs",
)
def test_a_renewed_secret_is_handed_to_harbor_and_the_plan_says_what_it_costs(lab: Lab) -> None:
    age, (old, new) = renewed(lab)
    assert "the realm has no client policy with the executor secret-rotation" in age
    assert (accepts(lab, old), accepts(lab, new)) == (False, True)


@pytest.mark.demand(
    "platform",
    "a real Keycloak with secret-rotation: the two secrets overlap, and the old one expires",
)
def test_two_secrets_overlap_where_the_realm_has_the_policy(
    real_keycloak_with_rotation: Keycloak, tmp_path: Path
) -> None:
    with Sandbox() as sandbox:
        lab = Lab(real_keycloak_with_rotation, sandbox, LabHarbor(sandbox), tmp_path)
        lab.set_up()
        with Systems(lab.connections, lab.declare()) as systems:
            onboarding.configure(systems)
            for name, body in POLICIES.items():
                systems.keycloak_client.put(f"client-policies/{name}", body)
            path, first = f"clients/{harbor_client(lab)['id']}/client-secret", lab.secret()

            # After an interruption both secrets work, and the next run completes the renewal.
            systems.keycloak_client.post(path, {}, status=200)
            second = lab.secret()
            assert (accepts(lab, first), accepts(lab, second)) == (True, True)
            (change,) = onboarding.configure(systems).done
            assert [each.field for each in change.differences] == ["in use"]
            assert lab.sandbox.harbor.configuration["oidc_client_secret"] == second
            assert (accepts(lab, first), accepts(lab, second)) == (False, True)

        age, (old, new) = renewed(lab)
        assert "secret-rotation" not in age
        assert (old, accepts(lab, old), accepts(lab, new)) == (second, False, True)
