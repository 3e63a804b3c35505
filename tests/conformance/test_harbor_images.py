"""What robots push to a Harbor's registry and pull from it, and what the API then shows of it."""

from collections.abc import Iterator

import httpx
import pytest

from tests.conformance.conftest import unique
from tests.conformance.harbor import MARKS, HarborCaller, done
from tests.conformance.robots import PROBE, PULL, PUSH, permission, robot
from tests.sandbox.calls import refused
from tests.support.images import (
    MANIFEST,
    Image,
    digest_of,
    image,
    push,
    put_manifest,
    rest_of,
    upload,
)

pytestmark = [
    *MARKS,
    pytest.mark.demand("real", "Harbor: docker's login and pushes"),
]
OCI = {"accept": MANIFEST}
BASIC = 'Basic realm="harbor"'


@pytest.fixture
def name(caller: HarborCaller, project: str) -> Iterator[str]:
    """The name of a repository in a new project; what was pushed to it is removed in the end."""
    yield f"{project}/shop/web"
    for repository in caller.json(f"/projects/{project}/repositories"):
        encoded = repository["name"].removeprefix(f"{project}/").replace("/", "%252F")
        caller("DELETE", f"/projects/{project}/repositories/{encoded}")


def made(caller: HarborCaller, project: str, short: str, *access: tuple[str, str]) -> HarborCaller:
    """A caller that is a new robot of this project."""
    body = robot(project, name=short, permissions=[permission(project, *access)])
    answer = caller("POST", "/robots", json=body)
    assert answer.status_code == 201, answer.text
    return caller.login(answer.json()["name"], answer.json()["secret"])


@pytest.fixture
def ci(caller: HarborCaller, project: str) -> HarborCaller:
    return made(caller, project, "ci", PULL, PUSH)


@pytest.fixture
def puller(caller: HarborCaller, project: str) -> HarborCaller:
    return made(caller, project, "pull", PULL)


@pytest.fixture
def pushed(ci: HarborCaller, name: str) -> Image:
    built = image(name)
    answer = push(ci, name, built)
    assert answer.status_code == 201, answer.text
    assert answer.headers["docker-content-digest"] == built.digest
    return built


def unauthorized(answer: httpx.Response, fault: str, challenge: str = BASIC) -> bool:
    """Whether it is Harbor's refusal at the registry, which says all twice."""
    assert answer.headers["www-authenticate"] == challenge
    return refused(answer, 401, f"{fault}: {fault}")


def fault(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal of the registry behind Harbor."""
    [error] = answer.json()["errors"]
    return answer.status_code, error["code"]


def test_what_was_pushed_is_pulled_by_tag_and_by_digest(
    name: str, puller: HarborCaller, pushed: Image
) -> None:
    for reference in ("1", pushed.digest):
        answer = puller("GET", f"/v2/{name}/manifests/{reference}", headers=OCI)
        assert (answer.status_code, answer.content) == (200, pushed.manifest)
        assert answer.headers["content-type"] == MANIFEST
        assert answer.headers["docker-content-digest"] == pushed.digest
    for blob in (pushed.layer, pushed.config):
        assert puller("GET", f"/v2/{name}/blobs/{digest_of(blob)}").content == blob
        head = puller("HEAD", f"/v2/{name}/blobs/{digest_of(blob)}")
        assert (head.status_code, int(head.headers["content-length"])) == (200, len(blob))


def test_an_oci_manifest_is_for_those_who_ask_for_one(
    name: str, puller: HarborCaller, pushed: Image
) -> None:
    answer = puller("GET", f"/v2/{name}/manifests/1")
    assert fault(answer) == (404, "MANIFEST_UNKNOWN")


def test_a_part_of_a_blob(name: str, puller: HarborCaller, pushed: Image) -> None:
    address = f"/v2/{name}/blobs/{digest_of(pushed.layer)}"
    answer = puller("GET", address, headers={"range": "bytes=2-5"})
    assert (answer.status_code, answer.content) == (206, pushed.layer[2:6])


def test_a_push_makes_the_repository_and_uses_storage(
    caller: HarborCaller, project: str, name: str, pushed: Image
) -> None:
    [repository] = caller.json(f"/projects/{project}/repositories")
    assert (repository["name"], repository["artifact_count"]) == (name, 1)
    path = f"/projects/{project}/repositories/shop%252Fweb"
    [artifact] = caller.json(f"{path}/artifacts")
    assert artifact["digest"] == pushed.digest
    assert [tag["name"] for tag in artifact["tags"]] == ["1"]
    assert caller.json(f"{path}/artifacts/1")["id"] == artifact["id"]
    summary = caller.json(f"/projects/{project}/summary")
    assert (summary["repo_count"], summary["quota"]["used"]["storage"]) == (1, pushed.size)
    message = "the project contains repositories, can not be deleted"
    assert caller.json(f"/projects/{project}/_deletable") == {"message": message}
    answer = caller("DELETE", f"/projects/{project}")
    assert refused(answer, 412, f"precondition failed: {message}", "PRECONDITION")
    assert done(caller("DELETE", path))
    assert caller.json(f"/projects/{project}/_deletable") == {"deletable": True}
    assert caller.json(f"/projects/{project}/summary")["quota"]["used"]["storage"] == 0


def test_an_image_pushed_twice_counts_once(
    caller: HarborCaller, project: str, name: str, ci: HarborCaller, pushed: Image
) -> None:
    assert push(ci, name, pushed, "2").status_code == 201
    used = caller.json(f"/projects/{project}/summary")["quota"]["used"]["storage"]
    assert used == pushed.size
    assert ci.json(f"/v2/{name}/tags/list") == {"name": name, "tags": ["1", "2"]}
    page = ci("GET", f"/v2/{name}/tags/list?n=1")
    assert page.json()["tags"] == ["1"]
    assert page.headers["link"] == f'</v2/{name}/tags/list?last=1&n=1>; rel="next"'
    assert ci.json(f"/v2/{name}/tags/list?n=1&last=1")["tags"] == ["2"]


def test_who_may_only_pull_starts_no_upload(name: str, puller: HarborCaller) -> None:
    answer = puller("POST", f"/v2/{name}/blobs/uploads/")
    assert unauthorized(answer, f"unauthorized to access repository: {name}, action: push")


def test_another_projects_robot_and_nobody_pull_nothing(
    caller: HarborCaller, nobody: HarborCaller, name: str, pushed: Image
) -> None:
    other = unique("conformance")
    caller.made("/projects", {"project_name": other})
    stranger = made(caller, other, "pull", PULL)
    path, words = f"/v2/{name}/manifests/1", f"unauthorized to access repository: {name}, action:"
    assert unauthorized(stranger("GET", path, headers=OCI), f"{words} pull")
    realm = f"{caller.json('/systeminfo')['external_url']}/service/token"
    challenge = f'Bearer realm="{realm}",service="harbor-registry",scope="repository:{name}:'
    needed = "authorize header needed to send HEAD to repository"
    for method in ("GET", "HEAD"):
        answer = nobody(method, path, headers=OCI)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == f'{challenge}pull"'
        assert method == "HEAD" or refused(answer, 401, f"{needed}: {needed}")
    answer = nobody("POST", f"/v2/{name}/blobs/uploads/")
    assert unauthorized(answer, f"{words} push", f'{challenge}pull,push"')


def test_a_project_that_is_missing_is_named(ci: HarborCaller) -> None:
    missing = unique("missing")
    answer = ci("POST", f"/v2/{missing}/web/blobs/uploads/")
    assert unauthorized(answer, f"project {missing} not found", "")


def test_a_token_opens_the_project_for_all_that_its_robot_may(
    nobody: HarborCaller, project: str, name: str, ci: HarborCaller
) -> None:
    scope = f"{PROBE}&scope=repository:{project}/other:pull"
    bearer = {"authorization": f"Bearer {ci.json(scope)['token']}"}
    started = nobody("POST", f"/v2/{name}/blobs/uploads/", headers=bearer)
    assert started.status_code == 202
    # A token that was given to nobody opens no door.
    bearer = {"authorization": f"Bearer {nobody.json(scope)['token']}"}
    assert unauthorized(nobody("GET", "/v2/", headers=bearer), "unauthorized")


def test_an_upload_is_cancelled_by_who_may_delete(
    caller: HarborCaller, name: str, ci: HarborCaller
) -> None:
    started = rest_of(ci("POST", f"/v2/{name}/blobs/uploads/"))
    words = f"unauthorized to access repository: {name}, action: delete"
    assert unauthorized(ci("DELETE", started), words)
    assert caller("DELETE", started).status_code == 204
    assert fault(caller("GET", started)) == (404, "BLOB_UPLOAD_UNKNOWN")
    assert caller.json(f"/projects/{name.partition('/')[0]}/repositories") == []


def test_an_upload_in_pieces(name: str, ci: HarborCaller) -> None:
    first = rest_of(ci("POST", f"/v2/{name}/blobs/uploads/"))
    kind = {"content-type": "application/octet-stream"}
    answer = ci("PATCH", first, headers=kind, content=b"hel")
    assert (answer.status_code, answer.headers["range"]) == (202, "0-2")
    assert ci("GET", rest_of(answer)).status_code == 204
    assert fault(ci("PATCH", first, headers=kind, content=b"hel")) == (404, "BLOB_UPLOAD_INVALID")
    last = rest_of(ci("PATCH", rest_of(answer), headers=kind, content=b"lo"))
    assert ci("PUT", f"{last}&digest={digest_of(b'hello')}").status_code == 201
    assert ci("GET", f"/v2/{name}/blobs/{digest_of(b'hello')}").content == b"hello"


def test_what_does_not_fit_is_refused(name: str, ci: HarborCaller, pushed: Image) -> None:
    started = rest_of(ci("POST", f"/v2/{name}/blobs/uploads/"))
    wrong = f"{started}&digest={digest_of(b'other')}"
    assert fault(ci("PUT", wrong, content=b"hello")) == (400, "DIGEST_INVALID")
    answer = put_manifest(ci, name, image("unsent").manifest)
    assert answer.status_code == 400
    codes = [error["code"] for error in answer.json()["errors"]]
    assert codes == ["MANIFEST_BLOB_UNKNOWN"] * 2  # its layer and its config
    answer = put_manifest(ci, name, pushed.manifest, digest_of(b"other"))
    assert fault(answer) == (400, "DIGEST_INVALID")
    assert fault(put_manifest(ci, name, b"x")) == (400, "MANIFEST_INVALID")
    # The registry behind Harbor looks at the version first, and calls another one an error of its own.
    assert fault(put_manifest(ci, name, b"{}")) == (500, "UNKNOWN")
    answer = ci("GET", f"/v2/{name}/blobs/{digest_of(b'other')}")
    assert fault(answer) == (404, "BLOB_UNKNOWN")
    answer = ci("GET", f"/v2/{name}/manifests/9", headers=OCI)
    assert refused(answer, 404, f"artifact {name}:9 not found")
    project = name.partition("/")[0]
    answer = ci("GET", f"/v2/{project}/none/tags/list")
    assert refused(answer, 404, f"repository {project}/none not found")


def test_a_blob_is_taken_from_another_repository(
    project: str, name: str, ci: HarborCaller, pushed: Image
) -> None:
    layer = digest_of(pushed.layer)
    elsewhere = f"/v2/{project}/copy/blobs"
    assert ci("HEAD", f"{elsewhere}/{layer}").status_code == 404
    answer = ci("POST", f"{elsewhere}/uploads/?mount={layer}&from={name}")
    assert answer.status_code == 201
    assert ci("HEAD", f"{elsewhere}/{layer}").status_code == 200
    answer = ci("POST", f"{elsewhere}/uploads/?mount={digest_of(b'none')}&from={name}")
    assert answer.status_code == 202


def test_an_artifact_is_deleted_by_its_digest(
    caller: HarborCaller, name: str, ci: HarborCaller, pushed: Image
) -> None:
    path = f"/v2/{name}/manifests"
    words = f"unauthorized to access repository: {name}, action: delete"
    assert unauthorized(ci("DELETE", f"{path}/{pushed.digest}"), words)
    assert caller("DELETE", f"{path}/{pushed.digest}").status_code == 202
    answer = ci("GET", f"{path}/1", headers=OCI)
    assert refused(answer, 404, f"artifact {name}:1 not found")


def test_a_push_over_the_quota_is_refused(
    caller: HarborCaller, project: str, name: str, ci: HarborCaller
) -> None:
    number = caller.json(f"/projects/{project}")["project_id"]
    [quota] = caller.json(f"/quotas?reference=project&reference_id={number}")
    assert done(caller("PUT", f"/quotas/{quota['id']}", json={"hard": {"storage": 2048}}))
    answer = upload(ci, name, bytes(3000))
    message = (
        "adding 2.9 KiB of storage resource, which when updated to current usage of 0 B will "
        "exceed the configured upper limit of 2.0 KiB."
    )
    assert refused(answer, 403, message, "DENIED")
    assert upload(ci, name, bytes(2048)).status_code == 201
    assert caller.json(f"/quotas/{quota['id']}")["used"]["storage"] == 2048


def test_repositories_are_listed_to_whom_the_project_is_shown(
    caller: HarborCaller, nobody: HarborCaller, name: str, project: str, pushed: Image
) -> None:
    path = f"/projects/{project}/repositories"
    [row] = caller.json(path)
    assert (row["name"], row["artifact_count"]) == (name, 1)
    assert refused(nobody("GET", path), 401, "unauthorized")
    listed = nobody("GET", f"/repositories?q=name%3D{name}")
    assert (listed.status_code, listed.json()) == (200, [])
    assert [each["name"] for each in caller.json(f"/repositories?q=name%3D{name}")] == [name]


def test_a_deleted_tag_leaves_the_artifact(
    caller: HarborCaller, name: str, project: str, pushed: Image
) -> None:
    repository = name.partition("/")[2].replace("/", "%252F")
    path = f"/projects/{project}/repositories/{repository}/artifacts"
    assert done(caller("DELETE", f"{path}/1/tags/1"))
    [artifact] = caller.json(path)
    assert artifact["digest"] == pushed.digest
    assert not artifact.get("tags")
