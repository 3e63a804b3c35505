"""A Harbor's images: who may push them, and what they keep a project from."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from tests.conformance.conftest import unique
from tests.conformance.harbor import MARKS, HarborCaller, done
from tests.conformance.robots import PROBE, PULL, PUSH, permission, robot
from tests.sandbox.calls import refused

pytestmark = MARKS
OCI = "application/vnd.oci.image"
OBSTACLE = "the project contains repositories, can not be deleted"


@dataclass
class Docker:
    """What docker does after a login, with the token that it gets there."""

    nobody: HarborCaller
    robot: HarborCaller

    def begin(self, repository: str) -> httpx.Response:
        """The first request of a push that needs rights."""
        return self._send("POST", f"/v2/{repository}/blobs/uploads/", repository)

    def push(self, repository: str, tag: str) -> None:
        """Pushes the smallest image that there is."""
        config = b"{}"
        begun = self.begin(repository)
        assert begun.status_code == 202, begun.text
        place = httpx.URL(begun.headers["location"])
        place = place.copy_merge_params({"digest": digest(config)})
        target = place.raw_path.decode()
        kind = {"content-type": "application/octet-stream"}
        answer = self._send("PUT", target, repository, content=config, headers=kind)
        assert answer.status_code == 201, answer.text
        media = f"{OCI}.config.v1+json"
        described = {"mediaType": media, "digest": digest(config), "size": len(config)}
        manifest = {"schemaVersion": 2, "mediaType": f"{OCI}.manifest.v1+json"}
        content = json.dumps({**manifest, "config": described, "layers": []}).encode()
        kind = {"content-type": f"{OCI}.manifest.v1+json"}
        path = f"/v2/{repository}/manifests/{tag}"
        answer = self._send("PUT", path, repository, content=content, headers=kind)
        assert answer.status_code == 201, answer.text

    def pull(self, repository: str, tag: str) -> dict:
        """The manifest of an image."""
        kind = {"accept": f"{OCI}.manifest.v1+json"}
        answer = self._send("GET", f"/v2/{repository}/manifests/{tag}", repository, headers=kind)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def _send(self, method: str, path: str, repository: str, **more) -> httpx.Response:
        answer = self.robot("GET", f"{PROBE}&scope=repository:{repository}:pull,push")
        token = {"authorization": f"Bearer {answer.json()['token']}"}
        headers = {**token, **more.pop("headers", {})}
        return self.nobody(method, path, headers=headers, **more)


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@pytest.fixture
def docker(caller: HarborCaller, nobody: HarborCaller, project: str) -> Docker:
    """Docker, logged in as a robot that may pull from and push to the project."""
    body = robot(project, permissions=[permission(project, PULL, PUSH)])
    made = caller("POST", "/robots", json=body).json()
    return Docker(nobody, caller.login(made["name"], made["secret"]))


@pytest.fixture
def pushed(caller: HarborCaller, docker: Docker, project: str) -> Iterator[str]:
    """The project with an image `app:v1` in it."""
    docker.push(f"{project}/app", "v1")
    yield project
    caller("DELETE", f"/projects/{project}/repositories/app")


def test_a_robot_pushes_and_pulls_with_its_token(docker: Docker, pushed: str) -> None:
    assert docker.pull(f"{pushed}/app", "v1")["schemaVersion"] == 2


def test_another_project_is_refused_at_the_upload(caller: HarborCaller, docker: Docker) -> None:
    foreign = unique("conformance")
    caller.made("/projects", {"project_name": foreign})
    answer = docker.begin(f"{foreign}/app")
    assert answer.status_code == 401
    assert answer.json()["errors"][0]["code"] == "UNAUTHORIZED"
    assert answer.headers["www-authenticate"].startswith("Bearer realm=")


def test_a_project_with_repositories_stays(caller: HarborCaller, pushed: str) -> None:
    path = f"/projects/{pushed}"
    assert caller.json(path)["repo_count"] == 1
    assert caller.json(f"{path}/summary")["quota"]["used"]["storage"] > 0
    answer = caller("DELETE", path)
    assert refused(answer, 412, f"precondition failed: {OBSTACLE}")
    assert caller.json(f"{path}/_deletable") == {"message": OBSTACLE}
    assert done(caller("DELETE", f"{path}/repositories/app"))
    assert caller.json(f"{path}/_deletable") == {"deletable": True}


def test_repositories_are_listed_to_whom_the_project_is_shown(
    caller: HarborCaller, nobody: HarborCaller, pushed: str
) -> None:
    path = f"/projects/{pushed}/repositories"
    [row] = caller.json(path)
    assert (row["name"], row["artifact_count"]) == (f"{pushed}/app", 1)
    [image] = caller.json(f"{path}/app/artifacts")
    assert [tag["name"] for tag in image["tags"]] == ["v1"]
    assert refused(nobody("GET", path), 401, "unauthorized")
    listed = nobody("GET", f"/repositories?q=name%3D{pushed}/app")
    assert (listed.status_code, listed.json()) == (200, [])


def test_a_deleted_tag_leaves_the_image(caller: HarborCaller, pushed: str) -> None:
    path = f"/projects/{pushed}/repositories/app/artifacts"
    assert done(caller("DELETE", f"{path}/v1/tags/v1"))
    [image] = caller.json(path)
    assert not image.get("tags")
