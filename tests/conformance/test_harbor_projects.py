"""A Harbor's projects, their quotas and their members."""

import pytest

from tests.conformance.conftest import unique
from tests.conformance.harbor import HarborCaller
from tests.sandbox.calls import refused

BAD_NAME = "project name is not in lower case or contains illegal characters"


def id_of(caller: HarborCaller, project: str) -> int:
    return int(caller.json(f"/projects/{project}")["project_id"])


@pytest.mark.facts
def test_creates_say_where_and_nothing_else(caller: HarborCaller) -> None:
    name = unique("conformance")
    answer = caller("POST", "/projects", json={"project_name": name, "nonsense": [1]})
    assert (answer.status_code, answer.content) == (201, b"")
    assert answer.headers["location"] == f"/api/v2.0/projects/{id_of(caller, name)}"
    named = unique("conformance")
    headers = {"X-Resource-Name-In-Location": "true"}
    answer = caller("POST", "/projects", json={"project_name": named}, headers=headers)
    assert answer.headers["location"] == f"/api/v2.0/projects/{named}"


@pytest.mark.facts
def test_a_name_is_taken_once(caller: HarborCaller, project: str) -> None:
    answer = caller("POST", "/projects", json={"project_name": project})
    assert refused(answer, 409, f"The project named {project} already exists")


@pytest.mark.facts
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "Project name  is illegal in length. (greater than 255 or less than 1)"),
        ({"project_name": "Team"}, BAD_NAME),
        ({"project_name": "a--b"}, BAD_NAME),
        (
            {"project_name": "a-b", "storage_limit": -5},
            "bad request: invalid non-positive value for quota limit, value=-5",
        ),
    ],
)
def test_what_cannot_be_a_project(caller: HarborCaller, body: dict, message: str) -> None:
    assert refused(caller("POST", "/projects", json=body), 400, message)


@pytest.mark.facts
def test_who_learns_that_a_project_is_missing(
    caller: HarborCaller, nobody: HarborCaller, project: str
) -> None:
    missing = unique("missing")
    assert refused(caller("GET", f"/projects/{missing}"), 404, f"project {missing} not found")
    for name in (missing, project):
        assert refused(nobody("GET", f"/projects/{name}"), 401, "unauthorized")
    assert caller("HEAD", f"/projects?project_name={missing}").status_code == 404
    assert caller("HEAD", f"/projects?project_name={project}").status_code == 200


@pytest.mark.facts
def test_digits_are_an_id_unless_said_otherwise(caller: HarborCaller) -> None:
    name = str(int(unique("")[1:], 16))
    number = caller.made("/projects", {"project_name": name})
    assert caller("GET", f"/projects/{name}").status_code == 404
    named = caller.json(f"/projects/{name}", headers={"X-Is-Resource-Name": "true"})
    assert named["project_id"] == number


@pytest.mark.facts
def test_an_update_merges_metadata_and_ignores_the_rest(caller: HarborCaller, project: str) -> None:
    body = {"project_name": "other", "storage_limit": 5, "metadata": {"auto_scan": "true"}}
    answer = caller("PUT", f"/projects/{project}", json=body)
    assert (answer.status_code, answer.content) == (200, b"")
    after = caller.json(f"/projects/{project}")
    assert after["name"] == project
    assert (after["metadata"]["public"], after["metadata"]["auto_scan"]) == ("false", "true")


# Quotas


@pytest.mark.facts
def test_a_quota_has_an_id_of_its_own_and_is_put_there(caller: HarborCaller) -> None:
    name = unique("conformance")
    project = caller.made("/projects", {"project_name": name, "storage_limit": 1024})
    summary = caller.json(f"/projects/{name}/summary")
    assert summary["quota"] == {"hard": {"storage": 1024}, "used": {"storage": 0}}
    [quota] = caller.json(f"/quotas?reference=project&reference_id={project}")
    assert (quota["hard"], quota["ref"]["name"]) == ({"storage": 1024}, name)
    path = f"/quotas/{quota['id']}"
    put = caller("PUT", path, json={"hard": {"storage": -1}})
    assert (put.status_code, put.content) == (200, b"")
    assert caller.json(f"/projects/{name}/summary")["quota"]["hard"] == {"storage": -1}
    why = "invalid non-positive value for quota limit, value=0"
    assert refused(caller("PUT", path, json={"hard": {"storage": 0}}), 400, why)
    assert refused(caller("PUT", path, json={}), 400, "hard required in body")
    assert caller("PUT", path, json={"hard": {"storage": 1.5}}).status_code == 422


# Members: of a Harbor whose users come from an identity provider


def group(name: str, role: int = 2) -> dict:
    return {"role_id": role, "member_group": {"group_name": name, "group_type": 3}}


@pytest.fixture
def name(caller: HarborCaller):
    """The name of a group that Harbor forgets in the end."""
    name = unique("conformance")
    yield name
    for made in caller.json(f"/usergroups?group_name={name}"):
        caller("DELETE", f"/usergroups/{made['id']}")


@pytest.mark.facts
def test_a_member_is_taken_once_whatever_the_role(
    caller: HarborCaller, project: str, name: str
) -> None:
    path = f"/projects/{project}/members"
    answer = caller("POST", path, json=group(name))
    assert (answer.status_code, answer.content) == (201, b"")
    assert answer.headers["location"].startswith(f"/api/v2.0{path}/")
    for role in (2, 4):
        said = "The project member specified already exist"
        assert refused(caller("POST", path, json=group(name, role)), 409, said)
    [member] = [each for each in caller.json(path) if each["entity_name"] == name]
    assert (member["entity_type"], member["role_id"], member["role_name"]) == ("g", 2, "developer")


@pytest.mark.facts
def test_a_role_that_does_not_exist_hides_the_member(
    caller: HarborCaller, project: str, name: str
) -> None:
    path = f"/projects/{project}/members"
    for role in (0, 9):
        said = "Failed to update project member, role is not in 1,2,3"
        assert refused(caller("POST", path, json=group(name, role)), 400, said)
    member = caller.made(path, group(name))
    answer = caller("PUT", f"{path}/{member}", json={"role_id": 9})
    assert (answer.status_code, answer.content) == (200, b"")
    assert caller("GET", f"{path}/{member}").status_code == 404
    listed = caller("GET", path)
    assert name not in [each["entity_name"] for each in listed.json()]
    assert listed.headers["x-total-count"] == "2"


@pytest.mark.facts
def test_missing_members_are_updated_and_deleted_all_the_same(
    caller: HarborCaller, project: str
) -> None:
    path = f"/projects/{project}/members/2147483000"
    assert caller("PUT", path, json={"role_id": 1}).status_code == 200
    assert caller("DELETE", path).status_code == 200
