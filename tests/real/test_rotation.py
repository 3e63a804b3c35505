"""Rotation on a real Kubernetes API server, while a real client pulls images.

Harbor and Keycloak are simulated; skopeo uses the simulated registry.
"""

import base64
import json
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import kubernetes
import pytest

from tenantry.connections import Cluster as ClusterAccount
from tenantry.connections import Connections, HarborAccount, KeycloakAccount
from tenantry.declared import Team, load
from tenantry.locks import NoLock
from tenantry.onboarding import onboard
from tenantry.plan import Plan
from tenantry.rotation import Outcome, RotationRequest, rotate
from tenantry.sandbox import Sandbox
from tenantry.systems.systems import Systems
from tenantry.walk import observe_owners
from tests.real.conftest import Cluster
from tests.real.servers import prerequisites
from tests.real.servers.apiserver import connect
from tests.real.servers.given import remove_from_cluster
from tests.sandbox.calls import Caller
from tests.support.harness import prepare, write
from tests.support.images import image, push

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


@dataclass
class Real:
    """A team on the real API server, and the sandbox with its project."""

    sandbox: Sandbox
    systems: Systems
    core: Any
    team: Team
    folder: Path

    def secret(self, name: str = "harbor-pull") -> Any:
        return self.core.read_namespaced_secret(name, self.team.home_namespace)

    def authfile(self, name: str = "harbor-pull") -> Path:
        """Write the credentials that a kubelet would use for a pull; return the path."""
        file = self.folder / f"{name}.json"
        file.write_bytes(base64.b64decode(self.secret(name).data[".dockerconfigjson"]))
        return file

    def run(self, **asked: Any) -> dict[str, Outcome]:
        now = self.sandbox.clock.now()
        found = rotate(self.systems, [self.team], RotationRequest(now, **asked), now, NoLock())
        assert [outcome.error for outcome in found if outcome.error] == []
        return {outcome.purpose: outcome for outcome in found}

    def pulls(self, authfile: Path) -> bool:
        host = self.sandbox.addresses()["harbor"]["url"].removeprefix("http://")
        words = ["skopeo", "--insecure-policy", "inspect", "--tls-verify=false"]
        source = f"docker://{host}/{self.team.project}/web:1"
        options = [f"--authfile={authfile}", source]
        return subprocess.run([*words, *options], capture_output=True, check=False).returncode == 0


@pytest.fixture
def real(real_kubernetes: Cluster, tmp_path: Path) -> Iterator[Real]:
    prerequisites.check(keycloak=False)
    mark = uuid.uuid4().hex[:8]
    state = load(write(tmp_path / "state", {"name": f"shop-{mark}"}))
    with Sandbox() as sandbox:
        prepare(sandbox)
        addresses = sandbox.addresses()
        kubeconfig = str(real_kubernetes.kubeconfig)
        connections = Connections(
            harbor=HarborAccount.model_validate(addresses["harbor"]),
            keycloak=KeycloakAccount.model_validate(addresses["keycloak"]),
            kubernetes=ClusterAccount.model_validate({"kubeconfig": kubeconfig}),
        )
        api = connect(real_kubernetes.kubeconfig)
        core: Any = kubernetes.client.CoreV1Api(api)
        (team,) = state.teams.values()
        try:
            with Systems(connections, state, clock=sandbox.clock.now) as systems:
                onboard(systems, team)
                yield Real(sandbox, systems, core, team, tmp_path)
        finally:
            remove_from_cluster(core, mark)
            api.close()


def test_a_credential_is_rotated_in_place_under_pulls_of_a_real_client(real: Real) -> None:
    ci = json.loads(real.authfile("harbor-ci").read_text())["auths"]
    ((_, login),) = ci.items()
    caller = Caller(real.sandbox.addresses()["harbor"]["url"], login["username"], login["password"])
    assert push(caller, f"{real.team.project}/web", image()).status_code == 201
    before, old = real.secret().metadata, real.authfile()
    kept = old.rename(real.folder / "old.json")
    assert real.pulls(kept)

    real.sandbox.clock.move(3600)
    outcomes = real.run(force=True)

    assert all(outcome.rotated for outcome in outcomes.values())
    after = real.secret().metadata
    assert (after.uid, after.labels) == (before.uid, before.labels)
    assert after.annotations["tenantry.io/robot"] == "pull-b"
    assert real.pulls(real.authfile())
    assert real.pulls(kept), "a client that has not loaded the new credential yet"

    real.sandbox.clock.move(timedelta(hours=25).total_seconds())
    real.run()
    assert real.pulls(real.authfile())
    assert not real.pulls(kept)
    observed = observe_owners(real.systems.team_adapters, [real.team])
    assert real.systems.plan(real.team, observed) == Plan(real.team.name)


def test_onboarding_keeps_rotations_annotations_on_the_real_server(real: Real) -> None:
    real.sandbox.clock.move(3600)
    real.run(force=True)
    kept = real.secret().metadata.annotations
    spoilt = {"data": {".dockerconfigjson": base64.b64encode(b'{"auths": {}}').decode()}}
    real.core.patch_namespaced_secret("harbor-pull", real.team.home_namespace, spoilt)

    onboard(real.systems, real.team)

    assert real.secret().metadata.annotations == kept
    assert set(kept) >= {"tenantry.io/rotated", "tenantry.io/previous-until"}
