"""The control that says who logs in at the simulated Keycloak, and with which claims."""

from collections.abc import Iterator

import httpx
import pytest
from keycloak import KeycloakAdmin

from tenantry.sandbox import Controls, Sandbox
from tenantry.sandbox.harbor import SimulatedHarbor
from tests.sandbox.calls import refused

pytestmark = pytest.mark.demand("real", "Keycloak: a user logs in with these claims")


@pytest.fixture
def client_of_harbor(sandbox: Sandbox, controls: Controls) -> Iterator[None]:
    """A client of Harbor's in the sandbox's own realm."""
    keycloak = sandbox.keycloak
    pristine = keycloak.dump()
    address = sandbox.addresses()["keycloak"]
    admin = KeycloakAdmin(
        server_url=f"{address['url']}/",
        username=address["username"],
        password=address["password"],
        realm_name="platform",
        user_realm_name="master",
    )
    redirect = f"{sandbox.addresses()['harbor']['url']}/c/oidc/callback"
    admin.create_client({"clientId": "harbor", "secret": "hush", "redirectUris": [redirect]})
    sandbox.harbor.configuration.update(
        oidc_client_id="harbor",
        oidc_client_secret="hush",
        oidc_scope="openid,profile,email",
        oidc_user_claim="preferred_username",
        oidc_groups_claim="groups",
        oidc_auto_onboard=True,
    )
    yield
    keycloak.load(pristine)


def browse(sandbox: Sandbox) -> httpx.Response:
    """What a browser ends at that is sent to Harbor's login."""
    with httpx.Client(follow_redirects=True) as browser:
        answer = browser.get(f"{sandbox.addresses()['harbor']['url']}/c/oidc/login")
        if answer.url.path != "/":
            return answer
        return browser.get(f"{sandbox.addresses()['harbor']['url']}/api/v2.0/users/current")


@pytest.mark.usefixtures("client_of_harbor")
def test_a_user_logs_in_with_the_given_claims(
    sandbox: Sandbox, controls: Controls, harbor: SimulatedHarbor
) -> None:
    claims = {"sub": "7", "email": "alice@lab.test", "groups": ["team-demo"]}
    controls.log_in("alice", claims)
    assert [each["username"] for each in controls.logins] == ["alice"]
    user = browse(sandbox).json()
    issuer = harbor.configuration["oidc_endpoint"]
    assert (user["username"], user["email"]) == ("alice", "alice@lab.test")
    assert user["oidc_user_meta"]["subiss"] == f"7{issuer}"
    assert "team-demo" in {group.name for group in harbor.groups.values()}
    assert controls.logins == []
    # The next one is nobody special, and is asked for name and password.
    assert "Password" in browse(sandbox).text


@pytest.mark.demand("real", "Harbor: 409 when sub or iss changed")
@pytest.mark.demand("real", "Controls: over HTTP, off the servers' own paths")
@pytest.mark.usefixtures("client_of_harbor")
def test_a_changed_subject_is_a_conflict_at_the_login(
    sandbox: Sandbox, control: httpx.Client
) -> None:
    for sub in ("7", "8"):
        told = {"username": "alice", "claims": {"sub": sub, "email": None}}
        assert control.post("/logins", json=told).status_code == 201
    assert [each["claims"]["sub"] for each in control.get("/logins").json()] == ["7", "8"]
    assert browse(sandbox).json()["username"] == "alice"
    said = "failed to create user record: user alice or email  already exists"
    assert refused(browse(sandbox), 409, said, code="UNKNOWN")


def test_logins_that_cannot_be_are_refused_with_the_reason(
    controls: Controls, control: httpx.Client
) -> None:
    for told, said in (
        (
            {"username": "a", "realm": "nosuch"},
            "realm 'nosuch' does not exist; the realms are: master, platform",
        ),
        ({"username": "a", "claims": {"iss": "x"}}, "claims that only the server sets: iss"),
        ({"claims": {}}, "username: Field required"),
    ):
        answer = control.post("/logins", json=told)
        assert (answer.status_code, answer.json()) == (422, {"errors": [said]})
    control.post("/logins", json={"username": "a"})
    assert control.delete("/logins").status_code == 204
    assert control.get("/logins").json() == []
