"""A real client, skopeo, with the simulated registry and the robots of a team."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tenantry.sandbox import Sandbox
from tests.conformance.robots import PULL, PUSH, permission, robot
from tests.real.servers import prerequisites
from tests.sandbox.calls import Caller
from tests.support.images import Image, image

# skopeo must be installed from the packages of the distribution; the error says so if it is missing.
pytestmark = pytest.mark.real
TEAM, OTHER = "team-demo", "team-other"
ADDRESS = "docker://{host}/{project}/shop/web:{tag}"


@dataclass
class Registry:
    """The simulated registry, and calls to it by skopeo."""

    sandbox: Sandbox
    admin: Caller
    folder: Path

    def address(self, project: str = TEAM, tag: str = "1") -> str:
        return ADDRESS.format(host=self.admin.url.removeprefix("http://"), project=project, tag=tag)

    def robot(self, project: str, name: str, *access: tuple[str, str]) -> dict:
        body = robot(project, name=name, permissions=[permission(project, *access)])
        made: dict = self.admin("POST", "/robots", json=body).json()
        return made

    def push(self, source: str, who: dict, **where: str) -> subprocess.CompletedProcess[str]:
        creds = f"--dest-creds={who['name']}:{who['secret']}"
        return _skopeo("copy", "--dest-tls-verify=false", creds, source, self.address(**where))

    def pull(self, into: str, who: dict, **where: str) -> subprocess.CompletedProcess[str]:
        creds = f"--src-creds={who['name']}:{who['secret']}"
        copy = f"oci:{self.folder / into}:1"
        return _skopeo("copy", "--src-tls-verify=false", creds, self.address(**where), copy)

    def inspect(self, who: dict) -> subprocess.CompletedProcess[str]:
        creds = f"--creds={who['name']}:{who['secret']}"
        return _skopeo("inspect", "--tls-verify=false", creds, self.address())


def _skopeo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["skopeo", "--insecure-policy", *arguments], capture_output=True, text=True, check=False
    )


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    prerequisites.check(kubernetes=False, keycloak=False)
    with Sandbox() as sandbox:
        given = sandbox.addresses()["harbor"]
        admin = Caller(given["url"], given["username"], given["password"])
        for project in (TEAM, OTHER):
            admin.made("/projects", {"project_name": project})
        yield Registry(sandbox, admin, tmp_path)


@pytest.fixture
def ci(registry: Registry) -> dict:
    return registry.robot(TEAM, "ci", PULL, PUSH)


@pytest.fixture
def pull(registry: Registry) -> dict:
    return registry.robot(TEAM, "pull", PULL)


@pytest.fixture
def built(tmp_path: Path) -> tuple[Image, str]:
    made = image()
    return made, made.write(tmp_path / "built")


def test_ci_pushes_and_the_team_pulls_the_same(
    registry: Registry, ci: dict, pull: dict, built: tuple[Image, str]
) -> None:
    made, source = built
    pushed = registry.push(source, ci)
    assert pushed.returncode == 0, pushed.stderr
    seen = registry.inspect(pull)
    assert seen.returncode == 0, seen.stderr
    assert json.loads(seen.stdout)["Digest"] == made.digest
    assert json.loads(seen.stdout)["RepoTags"] == ["1"]
    pulled = registry.pull("pulled", pull)
    assert pulled.returncode == 0, pulled.stderr
    [entry] = json.loads((registry.folder / "pulled" / "index.json").read_text())["manifests"]
    assert entry["digest"] == made.digest
    assert registry.admin.json(f"/projects/{TEAM}/summary")["repo_count"] == 1
    # Layers that already exist are not uploaded again.
    again = registry.push(source, ci, tag="2")
    assert again.returncode == 0, again.stderr


def test_who_may_only_pull_pushes_nothing(
    registry: Registry, pull: dict, built: tuple[Image, str]
) -> None:
    refused = registry.push(built[1], pull)
    assert refused.returncode != 0
    assert "unauthorized to access repository: team-demo/shop/web, action: push" in refused.stderr
    assert registry.admin.json(f"/projects/{TEAM}/summary")["repo_count"] == 0


def test_another_teams_robot_sees_nothing(
    registry: Registry, ci: dict, built: tuple[Image, str]
) -> None:
    assert registry.push(built[1], ci).returncode == 0
    stranger = registry.robot(OTHER, "pull", PULL)
    refused = registry.pull("stolen", stranger)
    assert refused.returncode != 0
    assert "unauthorized to access repository: team-demo/shop/web, action: pull" in refused.stderr
    assert registry.inspect(stranger).returncode != 0


def test_a_refreshed_secret_fails_the_next_pull_and_its_requests_show(
    registry: Registry, ci: dict, pull: dict, built: tuple[Image, str]
) -> None:
    assert registry.push(built[1], ci).returncode == 0
    registry.admin("PATCH", f"/robots/{pull['id']}", json={})
    registry.sandbox.requests.reset()
    refused = registry.pull("late", pull)
    assert refused.returncode != 0
    assert "unauthorized" in refused.stderr
    assert [
        call.status for call in registry.sandbox.requests.log if "/manifests/" in call.target
    ] == [401]


def test_a_full_project_says_so(registry: Registry, ci: dict, built: tuple[Image, str]) -> None:
    [quota] = registry.admin.json(
        f"/quotas?reference_id={registry.admin.json(f'/projects/{TEAM}')['project_id']}"
    )
    registry.admin("PUT", f"/quotas/{quota['id']}", json={"hard": {"storage": 10}})
    refused = registry.push(built[1], ci)
    assert refused.returncode != 0
    assert "will exceed the configured upper limit of 10 B." in refused.stderr
