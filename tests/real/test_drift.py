"""The catalogue of drift on a real Keycloak and a real Kubernetes API server.

Harbor is simulated or given; changes that concern only Harbor are not tested here.
"""

import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import kubernetes
import pytest
from keycloak import KeycloakAdmin

from tenantry import drift, onboarding
from tenantry.connections import Cluster as ClusterAccount
from tenantry.connections import Connections, HarborAccount, KeycloakAccount
from tenantry.declared import Team, load
from tenantry.drift import Detected
from tenantry.resources import PLATFORM
from tenantry.sandbox import Sandbox
from tenantry.systems.systems import Systems
from tests.drift.catalogue import findings_of
from tests.drift.checks import catalogue, check, rounds
from tests.drift.extras import extras, provider
from tests.drift.mutation import Mutation
from tests.drift.watch import SHOP
from tests.real.conftest import Cluster, Keycloak
from tests.real.servers.apiserver import connect
from tests.real.servers.given import remove_from_cluster, remove_from_harbor
from tests.support.addresses import GivenHarbor
from tests.support.harness import Data, prepare, write

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(600),
    pytest.mark.demand("drift", "the catalogue on a real Keycloak and a real API server"),
]

HERE = ("keycloak", "kubernetes", "istio")


class Real:
    """A team that is onboarded on real servers, and the detection of its drift."""

    def __init__(self, systems: Systems) -> None:
        self.systems = systems
        (self._team,) = systems.state.teams.values()
        # Given systems may contain other teams, which are extras for this declared state.
        seen = drift.observe(systems, [self._team], drift.SYSTEMS)
        ours = (None, PLATFORM, self._team.name)
        self._others = {id for id, live in seen.live.items() if live.team not in ours}

    def team(self, name: str) -> Team:
        return self._team

    def detect(self) -> Detected:
        seen = drift.observe(self.systems, [self._team], drift.SYSTEMS)
        for id in self._others & seen.live.keys():
            del seen.live[id]
        return drift.detect(self.systems, [self._team], seen)

    def catalogue(self, seen: Detected) -> list[Mutation]:
        return [each for each in catalogue(self, seen) if each.id.system in HERE]


@pytest.fixture(scope="module")
def real(
    given_harbor: GivenHarbor | None,
    real_keycloak: Keycloak,
    real_kubernetes: Cluster,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Real]:
    mark = uuid.uuid4().hex[:8]
    realm, name = f"platform-{mark}", f"shop-{mark}"
    keycloak = KeycloakAccount.model_validate(vars(real_keycloak))
    admin = KeycloakAdmin(
        server_url=f"{keycloak.url}/",
        username=keycloak.username,
        password=keycloak.password.get_secret_value(),
        realm_name="master",
        user_realm_name="master",
        verify=keycloak.verify,
    )
    with ExitStack() as stack:
        sandbox = prepare(stack.enter_context(Sandbox()))
        harbor = given_harbor or HarborAccount.model_validate(sandbox.addresses()["harbor"])
        api = connect(real_kubernetes.kubeconfig)
        stack.callback(api.close)
        core: Any = kubernetes.client.CoreV1Api(api)
        stack.callback(remove_from_cluster, core, mark)
        stack.callback(remove_from_harbor, harbor, mark)
        admin.create_realm({"realm": realm, "enabled": True})
        stack.callback(admin.delete_realm, realm)
        admin.change_current_realm(realm)
        for user in ("ann", "bob"):
            admin.create_user({"username": user, "enabled": True})
        providers = {"corp": {"group_name": "k8s-{group}"}}
        platform: Data = {"keycloak": {"realm": realm, "external_providers": providers}}
        folder = tmp_path_factory.mktemp("real") / "state"
        harbors = {**SHOP["harbor"], "groups": {f"auditors-{mark}": "guest"}}
        shop: Data = {**SHOP, "name": name, "harbor": harbors}
        state = load(write(Path(folder), shop, platform=platform))
        cluster = ClusterAccount(kubeconfig=str(real_kubernetes.kubeconfig))
        given = Connections(harbor=harbor, keycloak=keycloak, kubernetes=cluster)
        systems = stack.enter_context(Systems(given, state, extras=True))
        systems.keycloak_client.post("identity-provider/instances", provider("corp"))
        made = Real(systems)
        onboarding.onboard(systems, made.team("shop"))
        yield made


def test_what_was_just_onboarded_is_in_sync(real: Real) -> None:
    assert findings_of(real.detect().report) == set()


def test_every_change_and_deletion_is_found_and_remediated(real: Real) -> None:
    seen = real.detect()
    for names in rounds(real.catalogue(seen)):
        done = [each for each in real.catalogue(seen) if each.name in names]
        seen = check(real, done, seen)


def test_every_extra_is_found_and_removed(real: Real) -> None:
    found = [each for each in extras(real.team("shop")) if each.id.system in HERE]
    check(real, found, real.detect())
