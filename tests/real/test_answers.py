"""A proxy that answers in place of a real Keycloak and a real API server.

More cases run on the sandbox: tests/isolation/test_answers.py.
"""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import kubernetes
import pytest
from pydantic import SecretStr

from tenantry import onboarding
from tenantry.connections import Cluster as ClusterAccount
from tenantry.connections import Connections, HarborAccount, KeycloakAccount
from tenantry.declared import load
from tenantry.errors import SystemRefused, SystemUnavailable, TenantryError
from tenantry.sandbox import Sandbox
from tenantry.systems.keycloak.client import KeycloakClient
from tenantry.systems.kubernetes import client as kubernetes_client
from tenantry.systems.kubernetes.client import KubernetesClient
from tenantry.systems.systems import Systems
from tenantry.walk import observe_owners
from tests.isolation.test_answers import LOGIN_PAGE
from tests.real.conftest import Cluster, Keycloak
from tests.real.proxy import Answer, Proxy
from tests.real.servers.apiserver import connect
from tests.real.servers.given import remove_from_cluster
from tests.real.test_servers import connected
from tests.support.harness import prepare, write
from tests.support.listener import Listener

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(600),
    pytest.mark.usefixtures("no_waiting"),
    pytest.mark.demand(
        "isolation", "a proxy's page is not an answer; passwords follow no redirect; lists restart"
    ),
]

PAGE = Answer(200, LOGIN_PAGE.encode(), {"Content-Type": "text/html"})
OLD_TOKEN = {
    "kind": "Status",
    "apiVersion": "v1",
    "metadata": {},
    "status": "Failure",
    "message": "The provided continue parameter is too old to display a consistent list result. "
    "You can start a new list without the continue parameter, or use the continue token in this "
    "response to retrieve the remainder of the results.",
    "reason": "Expired",
    "code": 410,
}
"""The response of Kubernetes 1.37 to a continue token whose revision etcd has compacted."""


class Lab:
    """A team, and proxies for Keycloak and the API server; Harbor is simulated."""

    def __init__(
        self, sandbox: Sandbox, keycloak: Proxy, cluster: Proxy, account: Keycloak, folder: Path
    ) -> None:
        self.mark = uuid.uuid4().hex[:8]
        self.realm, self.team = f"answers-{self.mark}", f"shop-{self.mark}"
        self.keycloak, self.cluster, self.sandbox = keycloak, cluster, sandbox
        self.account = KeycloakAccount(
            url=keycloak.url, username=account.username, password=SecretStr(account.password)
        )
        content = {
            "clusters": [{"name": "c", "cluster": {"server": cluster.url}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "c",
        }
        self.kubernetes = ClusterAccount(kubeconfig_content=content)
        client = {"redirect_uris": ["https://shop.example.com/cb"]}
        team = {"name": self.team, "oidc_clients": {"web": client}}
        platform = {"name": "Answers", "keycloak": {"realm": self.realm}}
        self.state = load(write(folder, team, platform=platform))

    def onboard(self) -> None:
        with Systems(self._connections(), self.state, clock=self.sandbox.clock.now) as systems:
            onboarding.onboard(systems, systems.state.teams[self.team])

    def is_applied(self) -> bool:
        """Return whether the team is marked as applied and its plan is empty."""
        with Systems(self._connections(), self.state, clock=self.sandbox.clock.now) as systems:
            teams = list(systems.state.teams.values())
            plan = systems.plan(teams[0], observe_owners(systems.team_adapters, teams))
            return plan.is_empty and systems.not_applied(teams) == []

    def _connections(self) -> Connections:
        harbor = HarborAccount.model_validate(self.sandbox.addresses()["harbor"])
        return Connections(harbor=harbor, keycloak=self.account, kubernetes=self.kubernetes)


@pytest.fixture
def lab(real_kubernetes: Cluster, real_keycloak: Keycloak, tmp_path: Path) -> Iterator[Lab]:
    admin = connected(real_keycloak)
    api = connect(real_kubernetes.kubeconfig)
    pool = api.rest_client.pool_manager
    with (
        Sandbox() as sandbox,
        Proxy(real_keycloak.url) as keycloak,
        Proxy(api.configuration.host, pool) as cluster,
    ):
        lab = Lab(prepare(sandbox), keycloak, cluster, real_keycloak, tmp_path / "state")
        admin.create_realm({"realm": lab.realm, "enabled": True})
        try:
            yield lab
        finally:
            admin.delete_realm(lab.realm)
            remove_from_cluster(kubernetes.client.CoreV1Api(api), lab.mark)
            api.close()


WRITES = {
    "a group": ("keycloak", "POST", "/groups"),
    "a client": ("keycloak", "POST", "/clients"),
    "a namespace": ("cluster", "PATCH", "/namespaces/team-"),
    "a Secret": ("cluster", "PATCH", "/secrets/"),
    "a binding": ("cluster", "PATCH", "/rolebindings/"),
}


@pytest.mark.parametrize("what", WRITES)
def test_a_write_that_a_proxy_answers_is_not_done(lab: Lab, what: str) -> None:
    """The proxy returns the login page of a single sign-on, with status 200."""
    system, wanted, part = WRITES[what]
    proxy: Proxy = getattr(lab, system)
    proxy.choose = lambda method, path: PAGE if method == wanted and part in path else None

    with pytest.raises(SystemUnavailable):
        lab.onboard()

    proxy.choose = lambda method, path: None
    assert not lab.is_applied()
    lab.onboard()
    assert lab.is_applied()


def test_a_login_page_for_everything_is_one_clear_failure(lab: Lab) -> None:
    for proxy in (lab.keycloak, lab.cluster):
        proxy.choose = lambda method, path: PAGE
        with pytest.raises(TenantryError) as failed:
            lab.onboard()
        assert "Traceback" not in str(failed.value)
        assert not [each for each in proxy.forwarded if each[0] not in ("GET",)]
        proxy.choose = lambda method, path: None


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_password_of_keycloak_follows_no_redirect(lab: Lab, status: int) -> None:
    with Listener() as elsewhere:
        to = Answer(status, b"", {"Location": f"{elsewhere.url}/realms/master/token"})
        lab.keycloak.choose = lambda method, path: to if path.endswith("/token") else None
        client = KeycloakClient(lab.account, lab.realm)
        with pytest.raises(SystemRefused, match="sends credentials to no other address"):
            client.log_in()
        client.close()

        assert elsewhere.requests == []


def test_a_redirect_within_the_host_is_followed(lab: Lab) -> None:
    """A reverse proxy may redirect to add a trailing slash or a path prefix."""
    to = Answer(307, b"", {"Location": "/realms/master/protocol/openid-connect/token?moved"})
    lab.keycloak.choose = lambda method, path: to if path.endswith("/token") else None
    client = KeycloakClient(lab.account, lab.realm)
    client.log_in()
    assert client.realm_exists()
    client.close()


def test_a_list_is_read_again_where_its_token_is_too_old(lab: Lab) -> None:
    """The real server returns three pages; the proxy rejects the second token once, as expired."""
    lab.onboard()
    expired = iter(
        [Answer(410, json.dumps(OLD_TOKEN).encode(), {"Content-Type": "application/json"})]
    )

    def choose(method: str, path: str) -> Answer | None:
        return next(expired, None) if "continue=" in path else None

    client = KubernetesClient(lab.kubernetes)
    with mock.patch.object(kubernetes_client, "_PAGE", 2):
        wanted = sorted(each["metadata"]["name"] for each in client.list("Namespace"))
        lab.cluster.choose = choose
        found = sorted(each["metadata"]["name"] for each in client.list("Namespace"))
    client.close()

    assert next(expired, None) is None, "the proxy has rejected the token"
    assert len(wanted) > 4
    assert f"team-{lab.team}" in found
    assert len(found) == len(set(found))


def test_a_token_that_the_server_itself_refuses_is_not_an_empty_list(lab: Lab) -> None:
    client = KubernetesClient(lab.kubernetes)
    with pytest.raises(SystemRefused):
        client._call("GET", "/api/v1/namespaces", {"limit": "2", "continue": "bm90LWEtdG9rZW4"})
    client.close()
