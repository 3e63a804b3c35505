"""A Harbor's robots: their life, their secrets, and how a login is probed."""

import re

import pytest

from tests.conformance.harbor import HarborCaller
from tests.sandbox.calls import refused

DAY = 86_400
PROBE = "/service/token?service=harbor-registry"


def permission(project: str, action: str = "pull") -> dict:
    access = [{"resource": "repository", "action": action}]
    return {"kind": "project", "namespace": project, "access": access}


def robot(project: str, **fields: object) -> dict:
    body = {"name": "ci", "level": "project", "duration": 30, "permissions": [permission(project)]}
    return {**body, **fields}


@pytest.fixture
def ci(caller: HarborCaller, project: str) -> dict:
    """The answer to the making of a project's robot."""
    made: dict = caller("POST", "/robots", json=robot(project, description="builds")).json()
    return made


def alive(caller: HarborCaller, name: str, secret: str) -> bool:
    return caller.login(name, secret)("GET", PROBE).status_code == 200


@pytest.mark.facts
def test_a_given_secret_and_disable_are_ignored(caller: HarborCaller, project: str) -> None:
    answer = caller("POST", "/robots", json=robot(project, secret="Mine12345", disable=True))
    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["location"] == f"/api/v2.0/robots/{made['id']}"
    assert set(made) == {"id", "name", "secret", "creation_time", "expires_at"}
    assert made["name"].endswith(f"{project}+ci")
    assert re.fullmatch("[A-Za-z0-9]{32}", made["secret"])
    shown = caller.json(f"/robots/{made['id']}")
    assert (shown["disable"], shown["permissions"]) == (False, [permission(project)])
    assert not {"secret", "description"} & set(shown)
    assert alive(caller, made["name"], made["secret"])


@pytest.mark.facts
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "CI"}, "robot name is not in lower case or contains illegal characters"),
        (
            {"duration": 0},
            (
                "bad request error duration input: 0, duration must be either -1(Never) or a "
                "positive integer"
            ),
        ),
        ({"level": "bogus"}, "bad request error level input: bogus"),
        ({"permissions": []}, "bad request empty permission"),
    ],
)
def test_what_cannot_be_a_robot(
    caller: HarborCaller, project: str, fields: dict, message: str
) -> None:
    assert refused(caller("POST", "/robots", json=robot(project, **fields)), 400, message)


@pytest.mark.facts
def test_a_name_is_taken_once(caller: HarborCaller, project: str, ci: dict) -> None:
    number = caller.json(f"/projects/{project}")["project_id"]
    said = f"robot account {number}:{project}+ci already exists"
    assert refused(caller("POST", "/robots", json=robot(project)), 409, said)


@pytest.mark.facts
def test_a_projects_robots_are_listed_by_level_and_id(
    caller: HarborCaller, project: str, ci: dict
) -> None:
    def names(query: str = "") -> list[str]:
        return [each["name"] for each in caller.json(f"/robots{query}")]

    here = f"?q=Level=project,ProjectID={caller.json(f'/projects/{project}')['project_id']}"
    assert ci["name"] not in names("?page_size=0")
    assert names(here) == [ci["name"]]
    said = "must with project ID when to query project robots"
    assert refused(caller("GET", "/robots?q=Level=project"), 400, said)
    # The stored name, whose plus must be encoded twice.
    assert names(f"{here},name={project}%252Bci") == [ci["name"]]
    assert names(f"{here},name={project}%2Bci") == []
    assert names(f"{here},name=~ci") == [ci["name"]]


@pytest.mark.facts
def test_a_new_secret_ends_the_old_one(caller: HarborCaller, ci: dict) -> None:
    path, name = f"/robots/{ci['id']}", ci["name"]
    fresh = caller("PATCH", path, json={}).json()
    assert set(fresh) == {"secret"}
    assert not alive(caller, name, ci["secret"])
    assert alive(caller, name, fresh["secret"])
    given = caller("PATCH", path, json={"secret": "Sup3rSecret"})
    assert (given.status_code, given.json()) == (200, {})
    assert alive(caller, name, "Sup3rSecret")
    said = (
        "the secret must be 8-128, inclusively, characters long with at least 1 uppercase letter, "
        "1 lowercase letter and 1 number"
    )
    assert refused(caller("PATCH", path, json={"secret": "weak"}), 400, said)
    assert caller("PATCH", path).status_code == 422


@pytest.mark.facts
def test_an_update_is_whole_and_keeps_the_secret(caller: HarborCaller, ci: dict) -> None:
    path = f"/robots/{ci['id']}"
    full = caller.json(path)
    answer = caller("PUT", path, json={**full, "secret": "Ignored123"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert alive(caller, ci["name"], ci["secret"])
    fixed = "cannot update the level or name of robot"
    for fields, said in (
        ({"name": "ci"}, fixed),
        ({"level": "system"}, fixed),
        ({"permissions": []}, "bad request empty permission"),
    ):
        assert refused(caller("PUT", path, json=full | fields), 400, said)


@pytest.mark.facts
def test_what_an_update_leaves_out_is_emptied(caller: HarborCaller, ci: dict) -> None:
    path = f"/robots/{ci['id']}"
    full = caller.json(path)
    caller("PUT", path, json=full | {"disable": True})
    assert not alive(caller, ci["name"], ci["secret"])
    kept = {key: full[key] for key in ("name", "level", "permissions")}
    assert caller("PUT", path, json=kept).status_code == 200
    after = caller.json(path)
    assert (after["disable"], after["expires_at"]) == (False, ci["expires_at"])
    assert "description" not in after


@pytest.mark.facts
def test_expiry_counts_from_the_creation(caller: HarborCaller, ci: dict) -> None:
    path = f"/robots/{ci['id']}"
    shown = caller.json(path)
    assert caller("PUT", path, json=shown | {"duration": 40}).status_code == 200
    assert caller.json(path)["expires_at"] == ci["expires_at"] + 10 * DAY
    assert caller("PUT", path, json=shown | {"duration": -1}).status_code == 200
    assert caller.json(path)["expires_at"] == -1


@pytest.mark.facts
def test_deletion(caller: HarborCaller, ci: dict) -> None:
    path = f"/robots/{ci['id']}"
    assert caller("DELETE", path).status_code == 200
    assert refused(caller("DELETE", path), 404, f"robot {ci['id']} not found")


@pytest.mark.facts
def test_a_token_without_scope_is_the_sure_probe(
    caller: HarborCaller, nobody: HarborCaller, project: str, ci: dict
) -> None:
    good, bad = caller.login(ci["name"], ci["secret"]), caller.login(ci["name"], "Wrong1234")
    assert good("GET", PROBE).status_code == 200
    for refused_one in (nobody, bad):
        answer = refused_one("GET", PROBE)
        assert (answer.status_code, answer.content) == (401, b"")
    assert bad("GET", f"{PROBE}&scope=repository:{project}/x:pull").status_code == 200
    assert bad("GET", "/projects").status_code == 200
    assert bad("GET", "/users/current").status_code == 401
    said = "get current user not available for security context: robot"
    assert refused(good("GET", "/users/current"), 412, said)
    assert good("GET", "/v2/").status_code == 200
    assert bad("GET", "/v2/").headers["www-authenticate"] == 'Basic realm="harbor"'
