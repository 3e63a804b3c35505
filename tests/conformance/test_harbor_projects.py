"""A Harbor's projects, their metadata and their summaries."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conformance.conftest import Harbor, unique
from tests.conformance.harbor import MARKS, MISSING, HarborCaller, done, made
from tests.sandbox.calls import API, refused

pytestmark = [
    *MARKS,
    pytest.mark.demand("real", "Harbor: projects"),
]
BAD_NAME = "project name is not in lower case or contains illegal characters"
NO_NAME = "Project name  is illegal in length. (greater than 255 or less than 1)"
KEYS = {
    "creation_time",
    "current_user_role_id",
    "current_user_role_ids",
    "cve_allowlist",
    "metadata",
    "name",
    "owner_id",
    "owner_name",
    "project_id",
    "repo_count",
    "update_time",
}


@pytest.fixture
def public(caller: HarborCaller) -> str:
    """The name of a new public project."""
    name = unique("conformance")
    caller.made("/projects", {"project_name": name, "metadata": {"public": "true"}})
    return name


# Creation


def test_creates_say_where_and_nothing_else(caller: HarborCaller) -> None:
    name = unique("conformance")
    answer = caller("POST", "/projects", json={"project_name": name})
    assert made(answer)
    number = caller.json(f"/projects/{name}")["project_id"]
    assert answer.headers["location"] == f"{API}/projects/{number}"
    named = unique("conformance")
    headers = {"X-Resource-Name-In-Location": "true"}
    answer = caller("POST", "/projects", json={"project_name": named}, headers=headers)
    assert made(answer)
    assert answer.headers["location"] == f"{API}/projects/{named}"


def test_a_name_is_taken_once(caller: HarborCaller, project: str) -> None:
    answer = caller("POST", "/projects", json={"project_name": project})
    assert refused(answer, 409, f"The project named {project} already exists")


@pytest.mark.demand("real", "Harbor: races: 409, 500, lost updates")
@pytest.mark.unordered
def test_of_parallel_creates_one_wins(caller: HarborCaller) -> None:
    body = {"project_name": unique("conformance")}
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda _: caller("POST", "/projects", json=body), range(8))
        assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7


@pytest.mark.demand("real", "Harbor: error bodies and codes word for word")
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, NO_NAME),
        ({"project_name": "Team"}, BAD_NAME),
        ({"project_name": "a--b"}, BAD_NAME),
        ({"project_name": "a-"}, BAD_NAME),
        (
            {"project_name": "a-b", "storage_limit": -5},
            "bad request: invalid non-positive value for quota limit, value=-5",
        ),
        (
            {"project_name": "a-b", "metadata": {"public": "maybe"}},
            "metadata.public should only be 'true' or 'false', but got: 'maybe'",
        ),
    ],
)
def test_what_cannot_be_a_project(caller: HarborCaller, body: dict, message: str) -> None:
    assert refused(caller("POST", "/projects", json=body), 400, message)


@pytest.mark.parametrize(
    "fields",
    [
        {"metadata": {"public": "maybe"}},
        {"storage_limit": 1024**5 + 1},
    ],
)
def test_what_else_cannot_be_a_project(caller: HarborCaller, fields: dict) -> None:
    answer = caller("POST", "/projects", json={"project_name": unique("conformance")} | fields)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["code"] == "BAD_REQUEST"


def test_a_name_has_255_characters_at_most(caller: HarborCaller) -> None:
    answer = caller("POST", "/projects", json={"project_name": "x" * 256})
    prefix, said = "validation failure list:\n", "should be at most 255 chars long"
    assert refused(answer, 422, f"{prefix * 2}project_name in body {said}")


def test_an_id_has_32_bits(caller: HarborCaller) -> None:
    for id in (2**31 - 1, 2**63):  # beyond 64 bits it is taken for a name
        assert refused(caller("GET", f"/projects/{id}"), 404, f"project {id} not found")
    assert refused(caller("GET", "/projects/6985239969936"), 500, "internal server error")


def test_a_letter_is_a_name(caller: HarborCaller) -> None:
    # It may be somebody's already, which says the same of the name.
    answer = caller("POST", "/projects", json={"project_name": "q"})
    taken = answer.status_code == 409
    assert refused(answer, 409, "The project named q already exists") if taken else made(answer)


# Reading


def test_a_project_shows_all_its_keys(
    caller: HarborCaller, nobody: HarborCaller, harbor: Harbor, public: str
) -> None:
    shown = caller.json(f"/projects/{public}")
    assert set(shown) == KEYS
    assert (shown["current_user_role_id"], shown["current_user_role_ids"]) == (1, [1])
    assert (shown["owner_name"], shown["metadata"]) == (harbor.username, {"public": "true"})
    seen = nobody.json(f"/projects/{public}")
    assert set(seen) == KEYS - {"current_user_role_id"}
    assert seen["current_user_role_ids"] is None
    [brief] = caller.json(f"/projects?name={public}&with_detail=false")
    assert not {"metadata", "owner_name"} & set(brief)


def test_who_learns_that_a_project_is_missing(
    caller: HarborCaller, nobody: HarborCaller, project: str
) -> None:
    missing = unique("missing")
    assert refused(caller("GET", f"/projects/{missing}"), 404, f"project {missing} not found")
    assert refused(caller("GET", f"/projects/{MISSING}"), 404, f"project {MISSING} not found")
    for name in (missing, project):
        assert refused(nobody("GET", f"/projects/{name}"), 401, "unauthorized")
    assert caller("HEAD", f"/projects?project_name={missing}").status_code == 404
    assert caller("HEAD", f"/projects?project_name={project}").status_code == 200
    assert caller("HEAD", "/projects").status_code == 422


def test_digits_are_an_id_unless_said_otherwise(caller: HarborCaller) -> None:
    name = str(random.randrange(10**9, MISSING))
    number = caller.made("/projects", {"project_name": name})
    assert caller("GET", f"/projects/{name}").status_code == 404
    assert caller.json(f"/projects/{number}")["name"] == name
    named = caller.json(f"/projects/{name}", headers={"X-Is-Resource-Name": "true"})
    assert named["project_id"] == number


def test_nobody_sees_public_projects_only(nobody: HarborCaller, project: str, public: str) -> None:
    listed = nobody("GET", "/projects?name=conformance-&page_size=100&sort=-creation_time")
    names = [each["name"] for each in listed.json()]
    assert public in names
    assert project not in names


# Metadata and update


@pytest.mark.demand("real", "Harbor: metadata")
def test_unknown_metadata_are_dropped_without_a_word(caller: HarborCaller) -> None:
    name = unique("conformance")
    metadata = {"auto_scan": "true", "nonsense": "x"}
    caller.made("/projects", {"project_name": name, "metadata": metadata})
    shown = caller.json(f"/projects/{name}")["metadata"]
    assert shown == {"public": "false", "auto_scan": "true"}


@pytest.mark.demand("real", "Harbor: metadata")
def test_an_update_merges_metadata_and_ignores_the_rest(caller: HarborCaller, project: str) -> None:
    before = caller.json(f"/projects/{project}")
    body = {
        "project_name": "other",
        "storage_limit": 5,
        "public": True,
        "metadata": {"auto_scan": "true", "nonsense": "x"},
    }
    assert done(caller("PUT", f"/projects/{project}", json=body))
    after = caller.json(f"/projects/{project}")
    assert after["metadata"] == {"public": "false", "auto_scan": "true"}
    assert (after["name"], after["update_time"]) == (project, before["update_time"])
    quota = caller.json(f"/projects/{project}/summary")["quota"]
    assert quota["hard"]["storage"] != 5


def test_the_retention_of_a_project_is_not_told_by_its_update(
    caller: HarborCaller, project: str
) -> None:
    body = {"metadata": {"retention_id": str(MISSING)}}
    assert caller("PUT", f"/projects/{project}", json=body).status_code == 400


@pytest.mark.demand("real", "Harbor: metadata")
def test_metadata_one_by_one(caller: HarborCaller, project: str) -> None:
    path = f"/projects/{project}/metadatas"
    assert caller("POST", path, json={"severity": "HIGH"}).status_code in (200, 201)
    answer = caller("POST", path, json={"severity": "low"})
    assert answer.status_code == 409
    assert answer.json()["errors"][0]["code"] == "CONFLICT"
    assert caller.json(f"{path}/severity") == {"severity": "high"}
    assert done(caller("PUT", f"{path}/public", json={"public": "True"}))
    assert caller.json(f"{path}/") == {"public": "true", "severity": "high"}
    assert refused(caller("POST", path, json={"nonsense": "x"}), 400, "invalid key: nonsense")
    maybe = caller("PUT", f"{path}/public", json={"public": "maybe"})
    assert refused(maybe, 400, "invalid value: maybe")
    two = {"auto_scan": "true", "prevent_vul": "true"}
    assert refused(caller("POST", path, json=two), 400, "only allow one key/value pair")
    for _ in range(2):
        assert done(caller("DELETE", f"{path}/severity"))
    assert "severity" not in caller.json(f"{path}/")


# Deletion


def test_deletion_frees_the_name_and_takes_what_is_inside(
    caller: HarborCaller, project: str
) -> None:
    path = f"/projects/{project}"
    number = caller.json(path)["project_id"]
    access = [{"resource": "repository", "action": "pull"}]
    permission = {"kind": "project", "namespace": project, "access": access}
    robot = {"name": "ci", "level": "project", "duration": 1, "permissions": [permission]}
    robot_id = caller.made("/robots", robot)
    group = {"group_name": unique("conformance"), "group_type": 3}
    group_id = caller.made("/usergroups", group)
    caller.made(f"{path}/members", {"role_id": 2, "member_group": {"id": group_id}})
    assert caller.json(f"{path}/_deletable") == {"deletable": True}
    assert done(caller("DELETE", path))
    assert refused(caller("DELETE", path), 404, f"project {project} not found")
    assert refused(caller("GET", f"/projects/{number}"), 404, f"project {number} not found")
    assert caller("GET", f"/robots/{robot_id}").status_code == 404
    assert caller.json(f"/quotas?reference=project&reference_id={number}") == []
    again = caller.made("/projects", {"project_name": project})
    assert again > number
    assert caller.json(f"/robots?q=Level=project,ProjectID={again}") == []
    assert [member["role_id"] for member in caller.json(f"{path}/members")] == [1]


# Summary


@pytest.mark.demand("real", "Harbor: summaries")
def test_the_summary_counts_the_members_by_role(caller: HarborCaller, project: str) -> None:
    path = f"/projects/{project}"
    summary = caller.json(f"{path}/summary")
    assert (summary["repo_count"], summary["project_admin_count"]) == (0, 1)
    assert summary["quota"]["used"] == {"storage": 0}
    assert "developer_count" not in summary
    group_id = caller.made("/usergroups", {"group_name": unique("conformance"), "group_type": 3})
    caller.made(f"{path}/members", {"role_id": 2, "member_group": {"id": group_id}})
    assert caller.json(f"{path}/summary")["developer_count"] == 1


@pytest.mark.demand("real", "Harbor: summaries")
def test_the_summary_of_a_public_project_tells_nobody_more(
    nobody: HarborCaller, project: str, public: str
) -> None:
    assert nobody.json(f"/projects/{public}/summary") == {"repo_count": 0}
    assert refused(nobody("GET", f"/projects/{project}/summary"), 401, "unauthorized")
