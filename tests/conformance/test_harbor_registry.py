"""Where docker logs in at a Harbor: `/service/token` and `/v2/`; how a login is tried for sure."""

from typing import Any

import httpx
import jwt
import pytest

from tests.conformance.conftest import unique
from tests.conformance.harbor import MARKS, HarborCaller
from tests.conformance.robots import PROBE, robot
from tests.sandbox.calls import refused

pytestmark = [
    *MARKS,
    pytest.mark.demand("real", "Harbor: docker's login and pushes"),
]


@pytest.fixture
def made(caller: HarborCaller, project: str) -> dict:
    """The answer to the making of a project's robot, which may pull."""
    answer = caller("POST", "/robots", json=robot(project))
    assert answer.status_code == 201, answer.text
    made: dict = answer.json()
    return made


@pytest.fixture
def good(caller: HarborCaller, made: dict) -> HarborCaller:
    """A caller that is this robot."""
    return caller.login(made["name"], made["secret"])


@pytest.fixture(params=["a wrong secret", "no such robot", "disabled"])
def bad(request: pytest.FixtureRequest, caller: HarborCaller, made: dict) -> HarborCaller:
    """A caller with a robot's credentials that are refused."""
    if request.param == "a wrong secret":
        return caller.login(made["name"], "Wrong1234")
    if request.param == "no such robot":
        return caller.login(f"{made['name']}-{unique('missing')}", made["secret"])
    path = f"/robots/{made['id']}"
    caller("PUT", path, json=caller.json(path) | {"disable": True})
    return caller.login(made["name"], made["secret"])


def claims(answer: httpx.Response) -> dict[str, Any]:
    found: dict[str, Any] = jwt.decode(answer.json()["token"], options={"verify_signature": False})
    return found


def test_a_token_without_scope_is_the_sure_probe(
    caller: HarborCaller, made: dict, good: HarborCaller
) -> None:
    answer = good("GET", PROBE)
    assert answer.status_code == 200
    minutes = caller.json("/configurations")["token_expiration"]["value"]
    assert answer.json()["expires_in"] == minutes * 60
    token = claims(answer)
    assert (token["sub"], token["access"]) == (made["name"], None)


def test_a_refused_robot_gets_no_token(nobody: HarborCaller, bad: HarborCaller) -> None:
    for refused_one in (nobody, bad):
        answer = refused_one("GET", PROBE)
        assert (answer.status_code, answer.content) == (401, b"")


def test_with_a_scope_anybody_gets_a_token(
    project: str, good: HarborCaller, bad: HarborCaller
) -> None:
    scope = f"{PROBE}&scope=repository:{project}/x:pull"
    answer = bad("GET", scope)
    assert answer.status_code == 200
    assert not claims(answer).get("sub")
    assert [each["actions"] for each in claims(answer)["access"]] == [[]]


def test_a_token_holds_what_was_granted(project: str, good: HarborCaller) -> None:
    answer = good("GET", f"{PROBE}&scope=repository:{project}/x:pull,push")
    [granted] = claims(answer)["access"]
    assert (granted["type"], granted["name"]) == ("repository", f"{project}/x")
    assert granted["actions"] == ["pull"]


def test_what_a_refused_robot_is_told_elsewhere(
    project: str, made: dict, bad: HarborCaller
) -> None:
    assert bad("GET", "/projects").status_code == 200
    for path in ("/users/current", f"/projects/{project}"):
        assert refused(bad("GET", path), 401, "unauthorized")


def test_the_registrys_door(caller: HarborCaller, nobody: HarborCaller, good: HarborCaller) -> None:
    answer = good("GET", "/v2/")
    assert (answer.status_code, answer.json()) == (200, {})
    challenge = nobody("GET", "/v2/")
    assert challenge.status_code == 401
    realm = f'Bearer realm="{caller.json("/systeminfo")["external_url"]}/service/token"'
    assert challenge.headers["www-authenticate"] == f'{realm},service="harbor-registry"'
    token = {"authorization": f"Bearer {good('GET', PROBE).json()['token']}"}
    assert nobody("GET", "/v2/", headers=token).status_code == 200


def test_the_registrys_door_says_basic_to_refused_credentials(bad: HarborCaller) -> None:
    answer = bad("GET", "/v2/")
    assert refused(answer, 401, "unauthorized: unauthorized")
    assert answer.headers["www-authenticate"] == 'Basic realm="harbor"'


def test_a_token_outlives_its_robot(
    caller: HarborCaller, nobody: HarborCaller, made: dict, good: HarborCaller
) -> None:
    """Until it expires, whatever becomes of the robot."""
    token = {"authorization": f"Bearer {good('GET', PROBE).json()['token']}"}
    assert caller("DELETE", f"/robots/{made['id']}").status_code == 200
    assert good("GET", PROBE).status_code == 401
    assert nobody("GET", "/v2/", headers=token).status_code == 200
