"""A team is revoked, restored and removed on a real Keycloak and a real Kubernetes API server.

Harbor is the given one, or else simulated, because the tests cannot start a real one.
"""

import base64
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from uuid import uuid4

import kubernetes
import pytest

from tenantry import offboarding, onboarding
from tenantry.connections import Cluster as ClusterAccount
from tenantry.connections import Connections, HarborAccount, KeycloakAccount
from tenantry.declared import Team, load
from tenantry.sandbox import Sandbox
from tenantry.systems.systems import Systems
from tenantry.walk import observe_owners
from tests.conformance.conftest import QUICK
from tests.real.conftest import Cluster, Keycloak
from tests.sandbox.calls import Caller
from tests.support.addresses import GivenHarbor, given
from tests.support.harness import granted, ids, prepare, write
from tests.support.images import image, push
from tests.support.narrowing import as_body
from tests.support.wire import Wire

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(600),
    pytest.mark.demand(
        "lifecycle",
        "offboarding on the real Keycloak and Kubernetes, and on a Harbor that is given",
    ),
]


class Lab:
    """A team with a unique name on the real systems."""

    def __init__(self, connections: Connections, folder: Path) -> None:
        self.mark = uuid4().hex[:8]
        self.name = f"gone-{self.mark}"
        self.project = f"team-{self.name}"
        self.pipelines = f"pipelines-{self.mark}"
        self._connections = connections
        sink = {"namespace": self.pipelines, "name": "harbor-{team}"}
        team = {
            "name": self.name,
            "further_namespaces": {"jobs": {}},
            "robots": {"ci": {"sinks": [sink]}},
            "oidc_clients": {"web": {"redirect_uris": [f"https://{self.name}.example.com/cb"]}},
            "routes": {
                "web": {
                    "host": f"{self.name}.example.com",
                    "paths": [{"service": "front", "port": 80}],
                }
            },
        }
        platform = granted(
            self.name,
            sinks=[f"{self.pipelines}/harbor-{{team}}"],
            platform={
                "name": f"Lab {self.mark}",
                "id": f"lab-{self.mark}",
                "mesh": {"gateway": "istio-ingress/public"},
                "keycloak": {"realm": f"lab-{self.mark}", "realm_settings": {}},
            },
        )
        self.folder = write(folder, team, platform=platform)

    def systems(self) -> Systems:
        """Return the systems of a new process."""
        return Systems(self._connections, load(self.folder))

    def team(self, systems: Systems) -> Team:
        """Return the team."""
        return systems.state.teams[self.name]

    def harbor(self) -> Caller:
        """Return Harbor's administrator."""
        account = self._connections.harbor
        return Caller(account.url, account.username, account.password.get_secret_value())

    def close(self) -> None:
        """Delete what is left of the team."""
        with self.systems() as systems:
            team = self.team(systems)
            plan = offboarding.plan_removal(systems, team, delete_images=True)
            offboarding.remove(systems, plan)
            systems.keycloak_client.delete("")


@pytest.fixture
def lab(
    given_harbor: GivenHarbor | None,
    real_keycloak: Keycloak,
    real_kubernetes: Cluster,
    tmp_path: Path,
) -> Iterator[Lab]:
    with Sandbox() as sandbox:
        prepare(sandbox)
        started = {
            "harbor": sandbox.addresses()["harbor"],
            "keycloak": asdict(real_keycloak),
            "kubernetes": {"kubeconfig": str(real_kubernetes.kubeconfig)},
        }
        addresses = given().addresses(started)
        lab = Lab(
            Connections(
                harbor=HarborAccount.model_validate(addresses["harbor"]),
                keycloak=KeycloakAccount.model_validate(addresses["keycloak"]),
                kubernetes=ClusterAccount.model_validate(addresses["kubernetes"]),
            ),
            tmp_path / "state",
        )
        kubernetes.config.load_kube_config(str(real_kubernetes.kubeconfig))
        core = kubernetes.client.CoreV1Api()
        core.create_namespace(as_body({"metadata": {"name": lab.pipelines}}))
        with lab.systems() as systems:
            systems.keycloak_client.create_realm(QUICK)
            onboarding.onboard(systems, lab.team(systems))
        yield lab
        lab.close()
        core.delete_namespace(lab.pipelines)


def secret(core: kubernetes.client.CoreV1Api, name: str, namespace: str) -> dict[str, str]:
    """Return the decoded data of a Secret."""
    found = core.read_namespaced_secret(name, namespace)
    return {key: base64.b64decode(value).decode() for key, value in (found.data or {}).items()}


def test_a_team_is_revoked_restored_and_removed(lab: Lab) -> None:
    core = kubernetes.client.CoreV1Api()
    caller = lab.harbor()
    for tag in ("v1", "latest"):
        answer = push(caller, f"{lab.project}/app/web", image(f"{lab.name}{tag}"), tag)
        assert answer.status_code == 201, answer.text
    rule = {
        "action": "immutable",
        "template": "immutable_template",
        "tag_selectors": [{"kind": "doublestar", "decoration": "matches", "pattern": "v*"}],
        "scope_selectors": {
            "repository": [{"kind": "doublestar", "decoration": "repoMatches", "pattern": "**"}]
        },
    }
    answer = caller("POST", f"/projects/{lab.project}/immutabletagrules", json=rule)
    assert answer.status_code == 201, answer.text
    pull = secret(core, "harbor-pull", lab.project)
    client = secret(core, "oidc-web", lab.project)

    with lab.systems() as systems:
        offboarding.revoke(systems, lab.team(systems))
    assert secret(core, f"harbor-{lab.name}", lab.pipelines) == {
        ".dockerconfigjson": '{"auths": {}}'
    }
    with Wire() as wire, lab.systems() as systems:
        assert offboarding.revoke(systems, lab.team(systems)).done == ()
    assert [str(request) for request in wire.requests if request.is_write] == []

    with lab.systems() as systems:
        onboarding.onboard(systems, lab.team(systems))
    with lab.systems() as systems:
        team = lab.team(systems)
        observed = observe_owners(systems.team_adapters, [team])
        assert systems.plan(team, observed).is_empty
    assert secret(core, "harbor-pull", lab.project) == pull
    assert secret(core, "oidc-web", lab.project) == client
    assert secret(core, f"harbor-{lab.name}", lab.pipelines) != {
        ".dockerconfigjson": '{"auths": {}}'
    }

    hold = {"name": "hold", "finalizers": ["example.com/hold"]}
    core.create_namespaced_config_map(f"{lab.project}-jobs", as_body({"metadata": hold}))
    with lab.systems() as systems:
        team = lab.team(systems)
        offboarding.revoke(systems, team)
        plan = offboarding.plan_removal(systems, team, delete_images=True)
        assert ids(plan.removed) == [
            f"harbor/immutable-tag rule/{lab.project}/**:v*",
            f"harbor/repository/{lab.project}/app/web",
            f"harbor/project/{lab.project}",
            f"keycloak/client/{lab.project}-web",
            f"kubernetes/Secret/{lab.pipelines}/harbor-{lab.name}",
            f"kubernetes/Namespace/{lab.project}",
            f"kubernetes/Namespace/{lab.project}-jobs",
            f"keycloak/group/{lab.project}",
        ]
        (repository,) = plan.repositories
        assert (repository.tags, repository.artifacts) == (("latest", "v1"), 2)
        outcome = offboarding.remove(systems, plan, wait=20)
    (blocked,) = outcome.blocked
    assert blocked.namespace == f"{lab.project}-jobs"
    assert "example.com/hold" in str(blocked)
    body = {"metadata": {"finalizers": None}}
    core.patch_namespaced_config_map("hold", f"{lab.project}-jobs", body)
    with lab.systems() as systems:
        again = offboarding.plan_removal(systems, lab.team(systems), delete_images=True)
        assert again.is_approved(plan.approval)
        assert offboarding.remove(systems, again).is_complete
        left = offboarding.plan_removal(systems, lab.team(systems), delete_images=True)
        assert (left.removed, left.kept) == ((), ())
