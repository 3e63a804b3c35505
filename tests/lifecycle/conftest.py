"""Sites for the tests of this folder: on the sandbox, and on real servers."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import kubernetes
import pytest
from keycloak import KeycloakAdmin

from tenantry.connections import Cluster as ClusterAccount
from tenantry.connections import Connections, HarborAccount, KeycloakAccount
from tenantry.sandbox import Sandbox
from tests.lifecycle.site import Site
from tests.lifecycle.taking_out import declare_all
from tests.real.fixtures import Cluster, Keycloak
from tests.real.servers.apiserver import connect
from tests.real.servers.given import remove_from_cluster, remove_from_harbor
from tests.support.addresses import GivenHarbor, given
from tests.support.harness import Bench, connections


@pytest.fixture
def shop(begin: Callable[..., Bench]) -> Bench:
    """Return a team that is onboarded with an entry in each list of its declaration."""
    return begin(declare_all)


@pytest.fixture
def site(bench: Bench) -> Site:
    """Return a site on the sandbox."""
    return Site(connections(bench.sandbox), bench.folder, clock=bench.sandbox.clock.now)


@pytest.fixture
def real_site(
    real_keycloak: Keycloak,
    real_kubernetes: Cluster,
    given_harbor: GivenHarbor | None,
    no_waiting: None,
    tmp_path: Path,
) -> Iterator[Site]:
    """Yield a site on a real Keycloak and API server, and on the given Harbor or a simulated one.

    It has a realm of its own, and its teams' names end in a suffix. All of them are removed in the
    end.
    """
    suffix = f"-{uuid.uuid4().hex[:8]}"
    realm = f"platform{suffix}"
    with ExitStack() as stack:
        sandbox = stack.enter_context(Sandbox())
        started = {
            "harbor": sandbox.addresses()["harbor"],
            "keycloak": asdict(real_keycloak),
            "kubernetes": {"kubeconfig": str(real_kubernetes.kubeconfig)},
        }
        addresses = given().addresses(started)
        harbor = HarborAccount.model_validate(addresses["harbor"])
        account = KeycloakAccount.model_validate(addresses["keycloak"])
        admin = KeycloakAdmin(
            server_url=f"{account.url}/",
            username=account.username,
            password=account.password.get_secret_value(),
            realm_name="master",
            user_realm_name="master",
            verify=account.verify,
            max_retries=0,
        )
        admin.create_realm({"realm": realm, "enabled": True})
        stack.callback(admin.delete_realm, realm)
        api = connect(Path(addresses["kubernetes"]["kubeconfig"]))
        stack.callback(api.close)
        stack.callback(remove_from_cluster, kubernetes.client.CoreV1Api(api), suffix)
        if given_harbor:
            stack.callback(remove_from_harbor, harbor, suffix)
        found = Connections(
            harbor=harbor,
            keycloak=account,
            kubernetes=ClusterAccount.model_validate(addresses["kubernetes"]),
        )
        yield Site(found, tmp_path / "state", suffix=suffix, realm=realm)
