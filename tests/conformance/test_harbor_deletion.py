"""What stands in the way of a deletion in Harbor, and what a deleted project leaves to a new one."""

from collections.abc import Iterator

import pytest

from tests.conformance.conftest import unique
from tests.conformance.harbor import MARKS, HarborCaller, done, made
from tests.conformance.robots import PROBE, PULL, PUSH, alive, permission, robot
from tests.sandbox.calls import refused
from tests.support.images import MANIFEST, Image, image, push, put_manifest

pytestmark = [*MARKS, pytest.mark.demand("real", "Harbor: deletions")]
KEEP = "the tag v1 configured as immutable, cannot be deleted"


@pytest.fixture
def name(caller: HarborCaller) -> Iterator[str]:
    """The name of a new project with two images in one repository, and one in another."""
    project = unique("gone")
    assert made(caller("POST", "/projects", json={"project_name": project}))
    ci = pusher(caller, project)
    for repository, tag in (("app/web", "v1"), ("app/web", "latest"), ("other", "dev")):
        pushed(ci, f"{project}/{repository}", tag)
    yield project
    for rule in listed(caller, project, "immutabletagrules"):
        caller("DELETE", f"/projects/{project}/immutabletagrules/{rule['id']}")
    for found in listed(caller, project, "repositories"):
        inside = found["name"].removeprefix(f"{project}/").replace("/", "%252F")
        caller("DELETE", f"/projects/{project}/repositories/{inside}")
    caller("DELETE", f"/projects/{project}")


def listed(caller: HarborCaller, project: str, part: str) -> list:
    answer = caller("GET", f"/projects/{project}/{part}")
    return answer.json() if answer.status_code == 200 else []


def pusher(caller: HarborCaller, project: str) -> HarborCaller:
    body = robot(project, permissions=[permission(project, PULL, PUSH)])
    answer = caller("POST", "/robots", json=body)
    assert answer.status_code == 201, answer.text
    return caller.login(answer.json()["name"], answer.json()["secret"])


def pushed(ci: HarborCaller, repository: str, tag: str) -> Image:
    built = image(f"{repository}:{tag}")
    answer = push(ci, repository, built, tag)
    assert answer.status_code == 201, answer.text
    return built


def make_immutable(caller: HarborCaller, project: str, tags: str, repositories: str) -> str:
    """The path of a new rule."""
    body = {
        "action": "immutable",
        "template": "immutable_template",
        "tag_selectors": [{"kind": "doublestar", "decoration": "matches", "pattern": tags}],
        "scope_selectors": {
            "repository": [
                {"kind": "doublestar", "decoration": "repoMatches", "pattern": repositories}
            ]
        },
    }
    answer = caller("POST", f"/projects/{project}/immutabletagrules", json=body)
    assert made(answer)
    return answer.headers["location"].removeprefix("/api/v2.0")


@pytest.mark.parametrize("repositories", ["**", "app/*", "{app/web,x}"])
def test_an_immutable_tag_is_neither_replaced_nor_deleted(
    caller: HarborCaller, name: str, repositories: str
) -> None:
    make_immutable(caller, name, "v*", repositories)
    web = f"/projects/{name}/repositories/app%252Fweb"
    built = image(f"{name}/app/web:v1")
    text = "Failed to process request due to 'app/web:v1' configured as immutable."
    assert refused(put_manifest(caller, f"{name}/app/web", built.manifest, "v1"), 412, text)
    assert refused(caller("DELETE", f"{web}/artifacts/v1/tags/v1"), 412, KEEP)
    assert refused(caller("DELETE", f"{web}/artifacts/v1"), 412, KEEP)
    assert refused(caller("DELETE", f"/v2/{name}/app/web/manifests/{built.digest}"), 412, KEEP)
    assert refused(caller("DELETE", web), 412, KEEP)
    [found] = [each for each in caller.json(f"{web}/artifacts") if each["digest"] == built.digest]
    assert [tag["immutable"] for tag in found["tags"]] == [False], "not shown unless requested"
    shown = caller.json(f"{web}/artifacts/v1?with_immutable_status=true")
    assert [tag["immutable"] for tag in shown["tags"]] == [True]
    assert done(caller("DELETE", f"/projects/{name}/repositories/other")), "it has no such tag"


def test_a_refused_deletion_of_a_repository_deletes_none_of_its_images(
    caller: HarborCaller, name: str
) -> None:
    make_immutable(caller, name, "v1", "**")
    web = f"/projects/{name}/repositories/app%252Fweb"
    assert caller("DELETE", web).status_code == 412
    assert len(caller.json(f"{web}/artifacts")) == 2


def test_a_rule_that_does_not_match_or_is_disabled_is_not_in_the_way(
    caller: HarborCaller, name: str
) -> None:
    make_immutable(caller, name, "v*", "app")
    make_immutable(caller, name, "v", "**")
    path = make_immutable(caller, name, "**", "**")
    rule = caller.json(f"/projects/{name}/immutabletagrules")[-1]
    assert done(caller("PUT", path, json={**rule, "disabled": True}))
    assert done(caller("DELETE", f"/projects/{name}/repositories/app%252Fweb"))


def test_a_project_with_repositories_is_not_deleted(caller: HarborCaller, name: str) -> None:
    number = caller.json(f"/projects/{name}")["project_id"]
    text = "precondition failed: the project contains repositories, can not be deleted"
    assert refused(caller("DELETE", f"/projects/{number}"), 412, text)
    for repository in ("app%252Fweb", "other"):
        assert done(caller("DELETE", f"/projects/{name}/repositories/{repository}"))
    missing = caller("DELETE", f"/projects/{name}/repositories/other")
    assert refused(missing, 404, f"repository {name}/other not found")
    usage = caller.json(f"/projects/{number}/summary")["quota"]["used"]
    assert usage == {"storage": 0}
    assert done(caller("DELETE", f"/projects/{number}"))
    assert refused(caller("DELETE", f"/projects/{number}"), 404, f"project {number} not found")


def test_the_paths_of_repositories_have_the_name_of_the_project_never_its_number(
    caller: HarborCaller, name: str
) -> None:
    number = caller.json(f"/projects/{name}")["project_id"]
    answer = caller("GET", f"/projects/{number}/repositories")
    assert refused(answer, 404, f"project {number} not found")


def test_a_new_project_of_the_same_name_has_nothing_of_the_deleted_one(
    caller: HarborCaller, name: str
) -> None:
    old = caller.json(f"/projects/{name}")["project_id"]
    make_immutable(caller, name, "none", "**")
    body = robot(name, name="pull")
    credential = caller("POST", "/robots", json=body).json()
    for repository in ("app%252Fweb", "other"):
        assert done(caller("DELETE", f"/projects/{name}/repositories/{repository}"))
    assert done(caller("DELETE", f"/projects/{old}"))
    assert not alive(caller, credential["name"], credential["secret"])
    assert made(caller("POST", "/projects", json={"project_name": name}))
    new = caller.json(f"/projects/{name}")["project_id"]
    assert new > old
    assert not alive(caller, credential["name"], credential["secret"])
    assert caller.json(f"/robots?q=Level=project,ProjectID={new}") == []
    for part in ("repositories", "immutabletagrules"):
        assert caller.json(f"/projects/{name}/{part}") == []
    assert [row["entity_type"] for row in caller.json(f"/projects/{name}/members")] == ["u"]


def test_a_token_works_after_its_robot_is_disabled_until_the_images_are_gone(
    caller: HarborCaller, name: str
) -> None:
    body = robot(name, name="pull")
    credential = caller("POST", "/robots", json=body).json()
    holder = caller.login(credential["name"], credential["secret"])
    scope = f"&scope=repository:{name}/other:pull"
    token = holder("GET", f"{PROBE}{scope}").json()["token"]
    headers = {"authorization": f"Bearer {token}", "accept": MANIFEST}

    def pull() -> int:
        return HarborCaller(caller.url)(
            "GET", f"/v2/{name}/other/manifests/dev", headers
        ).status_code

    row = caller.json(f"/robots/{credential['id']}")
    assert done(caller("PUT", f"/robots/{credential['id']}", json={**row, "disable": True}))
    assert not alive(caller, credential["name"], credential["secret"])
    assert pull() == 200
    assert done(caller("DELETE", f"/projects/{name}/repositories/other"))
    assert pull() == 404
