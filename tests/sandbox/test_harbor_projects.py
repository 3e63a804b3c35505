"""Projects, their metadata, summaries and quotas."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.sandbox.calls import refused

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


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "Project name  is illegal in length. (greater than 255 or less than 1)"),
        (
            {"project_name": "Team"},
            "project name is not in lower case or contains illegal characters",
        ),
        (
            {"project_name": "a--b"},
            "project name is not in lower case or contains illegal characters",
        ),
        (
            {"project_name": "a", "storage_limit": -5},
            "bad request: invalid non-positive value for quota limit, value=-5",
        ),
        (
            {"project_name": "a", "metadata": {"public": "maybe"}},
            "metadata.public should only be 'true' or 'false', but got: 'maybe'",
        ),
    ],
)
def test_what_cannot_be_a_project(admin, body, message) -> None:
    assert refused(admin("POST", "/projects", json=body), 400, message)


def test_a_project_shows_all_its_keys(admin, demo) -> None:
    project = admin.json("/projects/team-demo")
    assert set(project) == KEYS
    assert project["metadata"] == {"public": "false"}
    assert project["current_user_role_ids"] == [1]
    assert project["owner_name"] == "admin"
    brief = admin.json("/projects?with_detail=false")[0]
    assert set(brief) == KEYS - {"metadata", "owner_name"}


def test_digits_are_an_id_unless_said_otherwise(admin) -> None:
    number = admin.made("/projects", {"project_name": "1"})
    assert admin.json("/projects/1")["name"] == "library"
    named = admin.json("/projects/1", headers={"X-Is-Resource-Name": "true"})
    assert named["project_id"] == number


def test_who_learns_that_a_project_is_missing(admin, nobody, harbor, demo) -> None:
    assert refused(admin("GET", "/projects/nosuch"), 404, "project nosuch not found")
    assert refused(nobody("GET", "/projects/nosuch"), 401, "unauthorized")
    assert refused(nobody("GET", "/projects/team-demo"), 401, "unauthorized")
    assert admin("HEAD", "/projects?project_name=nosuch").status_code == 404
    assert admin("HEAD", "/projects?project_name=team-demo").status_code == 200
    assert admin("HEAD", "/projects").status_code == 422


def test_an_update_merges_metadata_and_ignores_the_rest(admin, demo) -> None:
    before = admin.json("/projects/team-demo")
    body = {
        "project_name": "other",
        "storage_limit": 5,
        "public": True,
        "metadata": {"auto_scan": "true", "nonsense": "x"},
    }
    assert admin("PUT", "/projects/team-demo", json=body).status_code == 200
    after = admin.json("/projects/team-demo")
    assert after["metadata"] == {"public": "false", "auto_scan": "true"}
    assert after["update_time"] == before["update_time"]
    assert admin.json(f"/quotas?reference=project&reference_id={demo}")[0]["hard"] == {
        "storage": -1
    }
    body = {"metadata": {"retention_id": "7"}}
    assert admin("PUT", "/projects/team-demo", json=body).status_code == 400


def test_metadata_one_by_one(admin, demo) -> None:
    path = "/projects/team-demo/metadatas"
    assert admin("POST", path, json={"severity": "HIGH"}).status_code == 200
    assert admin("POST", path, json={"severity": "low"}).status_code == 409
    assert admin.json(f"{path}/severity") == {"severity": "high"}
    assert admin("PUT", f"{path}/public", json={"public": "True"}).status_code == 200
    assert admin.json(f"{path}/") == {"public": "true", "severity": "high"}
    assert admin("POST", path, json={"nonsense": "x"}).status_code == 400
    for _ in range(2):
        assert admin("DELETE", f"{path}/severity").status_code == 200
    assert admin("GET", f"{path}/severity").status_code == 404


def test_deletion_frees_the_name_and_takes_what_is_inside(admin, harbor, demo) -> None:
    access = [{"resource": "repository", "action": "pull"}]
    permission = {"kind": "project", "namespace": "team-demo", "access": access}
    robot = {"name": "ci", "level": "project", "duration": 1, "permissions": [permission]}
    admin.made("/robots", robot)
    assert admin.json("/projects/team-demo/_deletable") == {"deletable": True}
    answer = admin("DELETE", "/projects/team-demo")
    assert (answer.status_code, answer.content) == (200, b"")
    assert refused(admin("DELETE", "/projects/team-demo"), 404, "project team-demo not found")
    assert not harbor.robots
    assert admin.json(f"/quotas?reference=project&reference_id={demo}") == []
    assert admin.made("/projects", {"project_name": "team-demo"}) == demo + 1


def test_a_project_with_repositories_stays(admin, harbor, demo) -> None:
    harbor.projects["team-demo"].repositories.append("app")
    message = "the project contains repositories, can not be deleted"
    answer = admin("DELETE", "/projects/team-demo")
    assert refused(answer, 412, f"precondition failed: {message}")
    assert admin.json("/projects/team-demo/_deletable") == {"message": message}


def test_parallel_creates(admin) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = pool.map(lambda _: admin("POST", "/projects", json={"project_name": "x"}), range(8))
        assert sorted(answer.status_code for answer in made) == [201] + [409] * 7


def test_summary(admin, demo) -> None:
    summary = admin.json("/projects/team-demo/summary")
    assert summary == {
        "repo_count": 0,
        "project_admin_count": 1,
        "quota": {"hard": {"storage": -1}, "used": {"storage": 0}},
    }


# --- Quotas --------------------------------------------------------------------------------------


def test_a_quota_is_found_by_its_project(admin) -> None:
    body = {"project_name": "team-demo", "storage_limit": 1024}
    project = admin.made("/projects", body)
    [quota] = admin.json(f"/quotas?reference=project&reference_id={project}")
    assert set(quota) == {"id", "hard", "used", "ref", "creation_time", "update_time"}
    assert quota["hard"] == {"storage": 1024}
    assert quota["ref"] == {"id": project, "name": "team-demo", "owner_name": ""}
    single = admin.json(f"/quotas/{quota['id']}")
    assert single == {**quota, "update_time": "0001-01-01T00:00:00.000Z"}
    assert admin.json("/quotas?reference=project&reference_id=999") == []
    put = admin("PUT", f"/quotas/{quota['id']}", json={"hard": {"storage": -1}})
    assert (put.status_code, put.content) == (200, b"")
    assert admin.json("/projects/team-demo/summary")["quota"]["hard"] == {"storage": -1}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"hard": {"storage": 0}}, "invalid non-positive value for quota limit, value=0"),
        ({"hard": {"storage": -2}}, "invalid non-positive value for quota limit, value=-2"),
        ({}, "hard required in body"),
        ({"hard": {"count": 1}}, "resource count not support"),
    ],
)
def test_what_no_quota_can_be(admin, body, message) -> None:
    assert refused(admin("PUT", "/quotas/1", json=body), 400, message)


def test_other_faults_of_quotas(admin) -> None:
    assert admin("PUT", "/quotas/1", json={"hard": {"storage": 1.5}}).status_code == 422
    assert admin("PUT", "/quotas/1", json={"hard": {"storage": 1024**5 + 1}}).status_code == 400
    answer = admin("PUT", "/quotas/9999", json={"hard": {"storage": 1}})
    assert refused(answer, 404, "quota 9999 not found")
