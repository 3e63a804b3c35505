"""A Harbor's robots: their life and their secrets."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conformance.conftest import unique
from tests.conformance.harbor import MARKS, MISSING, HarborCaller, changed, done
from tests.conformance.robots import PULL, PUSH, alive, permission, robot
from tests.sandbox.calls import API, refused

pytestmark = [
    *MARKS,
    pytest.mark.demand("real", "Harbor: robots"),
]
DAY = 86_400
BAD_NAME = "robot name is not in lower case or contains illegal characters"
WEAK = (
    "the secret must be 8-128, inclusively, characters long with at least 1 uppercase letter, "
    "1 lowercase letter and 1 number"
)
KEYS = {
    "creation_time",
    "creator_ref",
    "creator_type",
    "disable",
    "duration",
    "editable",
    "expires_at",
    "id",
    "level",
    "name",
    "permissions",
    "update_time",
}


def duration_fault(duration: int) -> str:
    return (
        f"bad request error duration input: {duration}, duration must be either -1(Never) or a "
        "positive integer"
    )


@pytest.fixture
def ci(caller: HarborCaller, project: str) -> dict:
    """The answer to the making of a project's robot."""
    answer = caller("POST", "/robots", json=robot(project, description="builds"))
    assert answer.status_code == 201, answer.text
    made: dict = answer.json()
    return made


@pytest.fixture
def other(caller: HarborCaller) -> str:
    """The name of another project."""
    name = unique("conformance")
    caller.made("/projects", {"project_name": name})
    return name


def id_of(caller: HarborCaller, project: str) -> int:
    return int(caller.json(f"/projects/{project}")["project_id"])


def in_any_order(permissions: list[dict]) -> set[tuple]:
    return {
        (each["kind"], each["namespace"], item["resource"], item["action"])
        for each in permissions
        for item in each["access"]
    }


# Creation


def test_a_given_secret_and_disable_are_ignored(caller: HarborCaller, project: str) -> None:
    answer = caller("POST", "/robots", json=robot(project, secret="Mine12345", disable=True))
    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["location"] == f"{API}/robots/{made['id']}"
    assert set(made) == {"id", "name", "secret", "creation_time", "expires_at"}
    prefix = caller.json("/configurations")["robot_name_prefix"]["value"]
    assert made["name"] == f"{prefix}{project}+ci"
    assert re.fullmatch("[A-Za-z0-9]{32}", made["secret"])
    shown = caller.json(f"/robots/{made['id']}")
    assert set(shown) == KEYS
    assert (shown["name"], shown["level"]) == (made["name"], "project")
    assert (shown["disable"], shown["editable"]) == (False, True)
    assert (shown["duration"], shown["expires_at"]) == (30, made["expires_at"])
    assert shown["permissions"] == [permission(project)]
    assert alive(caller, made["name"], made["secret"])


def test_a_robot_of_the_system_bears_no_projects_name(caller: HarborCaller, project: str) -> None:
    name = unique("conformance")
    body = robot(project, name=name, level="system", duration=-1)
    answer = caller("POST", "/robots", json=body)
    assert answer.status_code == 201
    prefix = caller.json("/configurations")["robot_name_prefix"]["value"]
    assert (answer.json()["name"], answer.json()["expires_at"]) == (f"{prefix}{name}", -1)


@pytest.mark.demand("real", "Harbor: error bodies and codes word for word")
@pytest.mark.demand("real", "each of the forty pitfalls has a test that passes")
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "CI"}, BAD_NAME),
        ({"name": "robot$x"}, BAD_NAME),
        ({"name": "a+b"}, BAD_NAME),
        ({"duration": 0}, duration_fault(0)),
        ({"duration": None}, duration_fault(0)),
        ({"duration": -2}, duration_fault(-2)),
        ({"duration": 2**31 - 1}, duration_fault(2**31 - 1)),
        ({"level": "bogus"}, "bad request error level input: bogus"),
        ({"permissions": []}, "bad request empty permission"),
    ],
)
def test_what_cannot_be_a_robot(
    caller: HarborCaller, project: str, fields: dict, message: str
) -> None:
    assert refused(caller("POST", "/robots", json=robot(project, **fields)), 400, message)


@pytest.mark.demand("real", "Harbor: error bodies and codes word for word")
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"access": []}, "bad request empty access"),
        (permission("", ("repository", "fly")), "bad request permission: repository:fly"),
        # What no robot may hold: it could change others of its kind.
        (permission("", ("robot", "update")), "bad request permission: robot:update"),
        ({"kind": "zoo"}, "bad request permission level: zoo"),
    ],
)
def test_what_cannot_be_granted(
    caller: HarborCaller, project: str, fields: dict, message: str
) -> None:
    asked = {**permission(project), **fields, "namespace": project}
    body = robot(project, permissions=[asked])
    assert refused(caller("POST", "/robots", json=body), 400, message)


def test_a_projects_robot_has_one_namespace(caller: HarborCaller, project: str, other: str) -> None:
    body = robot(project, permissions=[permission(project), permission(other)])
    assert refused(caller("POST", "/robots", json=body), 400, "bad request permission")


def test_its_namespace_is_a_projects_name(caller: HarborCaller, project: str) -> None:
    for namespace in (unique("missing"), str(id_of(caller, project))):
        answer = caller("POST", "/robots", json=robot(namespace))
        assert refused(answer, 404, f"project {namespace} not found")


def test_a_name_is_taken_once(caller: HarborCaller, project: str, ci: dict) -> None:
    said = f"robot account {id_of(caller, project)}:{project}+ci already exists"
    assert refused(caller("POST", "/robots", json=robot(project)), 409, said)
    body = robot(project, name=unique("conformance"), level="system")
    caller.made("/robots", body)
    said = f"robot account 0:{body['name']} already exists"
    assert refused(caller("POST", "/robots", json=body), 409, said)


@pytest.mark.demand("real", "Harbor: races: 409, 500, lost updates")
@pytest.mark.unordered
def test_of_parallel_creates_one_wins(caller: HarborCaller, project: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda _: caller("POST", "/robots", json=robot(project)), range(8))
        assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7


def test_a_name_too_long_for_its_column_is_a_fault_of_the_server(
    caller: HarborCaller, project: str
) -> None:
    long = robot(project, name="x" * 250)
    assert refused(caller("POST", "/robots", json=long), 500, "internal server error")


# Lists


@pytest.mark.demand("real", "Harbor: double decoding")
@pytest.mark.demand("real", "each of the forty pitfalls has a test that passes")
def test_a_projects_robots_are_listed_by_level_and_id(
    caller: HarborCaller, project: str, ci: dict
) -> None:
    def names(query: str = "") -> list[str]:
        return [each["name"] for each in caller.json(f"/robots{query}")]

    number = id_of(caller, project)
    here = f"?q=Level=project,ProjectID={number}"
    for system in ("?page_size=0", f"?q=ProjectID={number}&page_size=0"):
        assert ci["name"] not in names(system)
        assert {each["level"] for each in caller.json(f"/robots{system}")} <= {"system"}
    assert names(here) == names(f"?q=Level%3Dproject%2CProjectID%3D{number}") == [ci["name"]]
    assert names(f"?q=Level=project,ProjectID={MISSING}") == []
    said = "must with project ID when to query project robots"
    assert refused(caller("GET", "/robots?q=Level=project"), 400, said)
    said = "bad request error level input"
    assert refused(caller("GET", "/robots?q=Level=bogus"), 400, said)
    # The stored name, whose plus must be encoded twice.
    assert names(f"{here},name={project}%252Bci") == [ci["name"]]
    assert names(f"{here},name={project}%2Bci") == []
    assert names(f"{here},name=ci") == []
    assert names(f"{here},name=~ci") == [ci["name"]]
    assert caller("GET", f"/projects/{number}/robots").status_code == 404


def test_a_projects_robots_come_by_name_and_in_pages(caller: HarborCaller, project: str) -> None:
    for name in ("b", "c", "a"):
        caller.made("/robots", robot(project, name=name))
    here = f"/robots?q=Level%3Dproject,ProjectID%3D{id_of(caller, project)}"
    listed = caller.json(here)
    assert [each["name"].rpartition("+")[2] for each in listed] == ["a", "b", "c"]
    page = caller("GET", f"{here}&page_size=2&page=2")
    assert [each["id"] for each in page.json()] == [listed[2]["id"]]
    assert page.headers["x-total-count"] == "3"


def test_the_order_of_permissions_is_no_order(
    caller: HarborCaller, project: str, other: str
) -> None:
    asked = [
        permission(project, PUSH, PULL, PUSH),
        permission(other),
        permission("/", ("quota", "list"), kind="system"),
    ]
    body = robot(project, name=unique("conformance"), level="system", permissions=asked)
    number = caller.made("/robots", body)
    seen = [caller.json(f"/robots/{number}")["permissions"] for _ in range(40)]
    assert len({tuple(each["namespace"] for each in shown) for shown in seen}) > 1
    for shown in seen:
        assert in_any_order(shown) == in_any_order(asked)
        assert sum(len(each["access"]) for each in shown) == 4  # without the one asked for twice
        assert all(set(item) == {"resource", "action"} for each in shown for item in each["access"])
    # Of a deleted project nothing is left in it.
    assert done(caller("DELETE", f"/projects/{other}"))
    left = caller.json(f"/robots/{number}")["permissions"]
    assert {each["namespace"] for each in left} == {project, "/"}


# Secrets


@pytest.mark.demand("real", "each of the forty pitfalls has a test that passes")
def test_a_new_secret_ends_the_old_one(caller: HarborCaller, ci: dict) -> None:
    path, name = f"/robots/{ci['id']}", ci["name"]
    assert alive(caller, name, ci["secret"])
    for body in ({}, {"secret": ""}):
        fresh = caller("PATCH", path, json=body).json()
        assert set(fresh) == {"secret"}
        assert re.fullmatch("[A-Za-z0-9]{32}", fresh["secret"])
    assert not alive(caller, name, ci["secret"])
    assert alive(caller, name, fresh["secret"])
    given = caller("PATCH", path, json={"secret": "Sup3rSecret"})
    assert (given.status_code, given.json()) == (200, {})
    assert not alive(caller, name, fresh["secret"])
    assert alive(caller, name, "Sup3rSecret")
    for weak in ("weak", "Short1a", "nouppercase1", "NOLOWERCASE1", "NoNumberHere", "aA1" * 43):
        assert refused(caller("PATCH", path, json={"secret": weak}), 400, WEAK)
    assert caller("PATCH", path).status_code == 422
    missing = caller("PATCH", f"/robots/{MISSING}", json={})
    assert refused(missing, 404, f"robot {MISSING} not found")
    assert alive(caller, name, "Sup3rSecret")


@pytest.mark.demand("real", "Harbor: races: 409, 500, lost updates")
@pytest.mark.unordered
def test_of_two_new_secrets_at_once_one_is_good(caller: HarborCaller, ci: dict) -> None:
    with ThreadPoolExecutor(2) as pool:
        answers = list(
            pool.map(lambda _: caller("PATCH", f"/robots/{ci['id']}", json={}), range(2))
        )
    assert [answer.status_code for answer in answers] == [200, 200]
    secrets = {answer.json()["secret"] for answer in answers}
    assert sorted(alive(caller, ci["name"], secret) for secret in secrets) == [False, True]


def test_an_update_read_before_a_new_secret_leaves_it_alone(caller: HarborCaller, ci: dict) -> None:
    path = f"/robots/{ci['id']}"
    earlier = caller.json(path)
    secret = caller("PATCH", path, json={}).json()["secret"]
    assert done(caller("PUT", path, json=earlier))
    assert alive(caller, ci["name"], secret)


# Updates


def test_an_update_is_whole_and_keeps_the_secret(
    caller: HarborCaller, other: str, ci: dict
) -> None:
    path = f"/robots/{ci['id']}"
    full = caller.json(path)
    assert done(caller("PUT", path, json={**full, "secret": "Ignored123", "expires_at": 1}))
    assert {**caller.json(path), "update_time": ""} == {**full, "update_time": ""}
    assert alive(caller, ci["name"], ci["secret"])
    fixed = "cannot update the level or name of robot"
    for fields, said in (
        ({"name": "ci"}, fixed),
        ({"level": "system"}, fixed),
        ({"permissions": []}, "bad request empty permission"),
        ({"permissions": [permission(other)]}, "cannot update the project id of robot"),
    ):
        assert refused(caller("PUT", path, json=full | fields), 400, said)
    for partial in (full | {"duration": 0}, {"description": "x"}):
        assert caller("PUT", path, json=partial).status_code == 400


def test_what_an_update_leaves_out_is_emptied(caller: HarborCaller, ci: dict) -> None:
    path = f"/robots/{ci['id']}"
    full = caller.json(path)
    assert full["description"] == "builds"
    assert done(caller("PUT", path, json=full | {"disable": True}))
    assert caller.json(path)["disable"] is True
    assert not alive(caller, ci["name"], ci["secret"])
    kept = {key: full[key] for key in ("name", "level", "permissions")}
    assert done(caller("PUT", path, json=kept))
    after = caller.json(path)
    assert (after["disable"], after["expires_at"]) == (False, ci["expires_at"])
    assert after["duration"] == 30
    assert "description" not in after
    assert alive(caller, ci["name"], ci["secret"])


def test_a_new_secret_does_not_enable(caller: HarborCaller, ci: dict) -> None:
    path = f"/robots/{ci['id']}"
    assert done(caller("PUT", path, json=caller.json(path) | {"disable": True}))
    fresh = caller("PATCH", path, json={})
    assert fresh.status_code == 200
    assert not alive(caller, ci["name"], fresh.json()["secret"])
    assert caller.json(path)["disable"] is True


def test_permissions_are_replaced(caller: HarborCaller, project: str, ci: dict) -> None:
    path = f"/robots/{ci['id']}"
    wanted = [permission(project, PUSH, ("tag", "list"))]
    assert done(caller("PUT", path, json=caller.json(path) | {"permissions": wanted}))
    assert in_any_order(caller.json(path)["permissions"]) == in_any_order(wanted)


def test_expiry_counts_from_the_creation(caller: HarborCaller, ci: dict) -> None:
    path = f"/robots/{ci['id']}"
    shown = caller.json(path)
    for days in (1, 40, 365):
        assert done(caller("PUT", path, json=shown | {"duration": days}))
        assert caller.json(path)["expires_at"] == ci["expires_at"] + (days - 30) * DAY
    assert done(caller("PUT", path, json=shown | {"duration": -1}))
    assert caller.json(path)["expires_at"] == -1


@pytest.mark.demand("real", "Harbor: prefix at read time")
def test_the_prefix_is_put_before_names_when_they_are_read(
    caller: HarborCaller, project: str, ci: dict
) -> None:
    path = f"/robots/{ci['id']}"
    old = caller.json(path)
    with changed(caller, robot_name_prefix="other$") as answer:
        assert done(answer)
        renamed = caller.json(path)
        assert renamed["name"] == f"other${project}+ci"
        assert not alive(caller, ci["name"], ci["secret"])
        assert alive(caller, renamed["name"], ci["secret"])
        said = "cannot update the level or name of robot"
        assert refused(caller("PUT", path, json=old), 400, said)
        assert done(caller("PUT", path, json=renamed))
    assert caller.json(path)["name"] == ci["name"]
    assert alive(caller, ci["name"], ci["secret"])


@pytest.mark.demand("real", "Harbor: prefix at read time")
def test_the_prefix_may_be_empty(caller: HarborCaller, project: str, ci: dict) -> None:
    with changed(caller, robot_name_prefix="") as answer:
        assert done(answer)
        assert caller.json(f"/robots/{ci['id']}")["name"] == f"{project}+ci"


def test_deletion_frees_the_name(caller: HarborCaller, project: str, ci: dict) -> None:
    path = f"/robots/{ci['id']}"
    assert done(caller("DELETE", path))
    for method in ("DELETE", "GET"):
        assert refused(caller(method, path), 404, f"robot {ci['id']} not found")
    assert not alive(caller, ci["name"], ci["secret"])
    again = caller("POST", "/robots", json=robot(project)).json()
    assert again["id"] > ci["id"]
    assert again["secret"] != ci["secret"]
