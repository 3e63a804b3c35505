"""What only the registry of a simulated Harbor can be asked: by its clock, its log and its state."""

from pathlib import Path

import pytest

from tenantry.sandbox import Sandbox
from tests.conformance.robots import PROBE, PULL, PUSH, permission, robot
from tests.sandbox.calls import CLIENT, Caller
from tests.support.images import MANIFEST, Image, image, push

NAME = "team-demo/web"
OCI = {"accept": MANIFEST}
MANIFEST_1 = f"/v2/{NAME}/manifests/1"


@pytest.fixture
def ci(admin: Caller, demo: int) -> dict:
    """The answer to the making of a robot that may pull and push."""
    body = robot("team-demo", permissions=[permission("team-demo", PULL, PUSH)])
    made: dict = admin("POST", "/robots", json=body).json()
    return made


@pytest.fixture
def pushed(admin: Caller, ci: dict) -> Image:
    built = image()
    assert push(admin.login(ci["name"], ci["secret"]), NAME, built).status_code == 201
    return built


def bearer(caller: Caller) -> dict[str, str]:
    """The headers of a pull with a new token."""
    token = caller.json(f"{PROBE}&scope=repository:{NAME}:pull")["token"]
    return {**OCI, "authorization": f"Bearer {token}"}


@pytest.mark.parametrize("end", ["disabled", "deleted", "refreshed"])
def test_a_token_outlives_its_robot_until_it_expires(
    admin: Caller, nobody: Caller, ci: dict, pushed: Image, sandbox: Sandbox, end: str
) -> None:
    headers = bearer(admin.login(ci["name"], ci["secret"]))
    path = f"/robots/{ci['id']}"
    if end == "disabled":
        admin("PUT", path, json=admin.json(path) | {"disable": True})
    elif end == "deleted":
        admin("DELETE", path)
    else:
        admin("PATCH", path, json={})
    assert admin.login(ci["name"], ci["secret"])("GET", MANIFEST_1, headers=OCI).status_code == 401
    assert nobody("GET", MANIFEST_1, headers=headers).status_code == 200
    minutes = admin.json("/configurations")["token_expiration"]["value"]
    sandbox.clock.move(minutes * 60 + 30)  # and a minute more is let pass
    assert nobody("GET", MANIFEST_1, headers=headers).status_code == 200
    sandbox.clock.move(31)
    assert nobody("GET", MANIFEST_1, headers=headers).status_code == 401


def test_tokens_live_as_long_as_configured(
    admin: Caller, nobody: Caller, ci: dict, pushed: Image, sandbox: Sandbox
) -> None:
    admin("PUT", "/configurations", json={"token_expiration": 5})
    headers = bearer(admin.login(ci["name"], ci["secret"]))
    sandbox.clock.move(5 * 60 + 61)
    assert nobody("GET", MANIFEST_1, headers=headers).status_code == 401


def test_a_token_opens_no_later_project_of_the_name(
    admin: Caller, nobody: Caller, ci: dict, demo: int, sandbox: Sandbox
) -> None:
    headers = bearer(admin.login(ci["name"], ci["secret"]))
    sandbox.clock.move(2)
    admin("DELETE", f"/projects/{demo}")
    admin.made("/projects", {"project_name": "team-demo"})
    assert push(admin, NAME, image()).status_code == 201
    assert nobody("GET", MANIFEST_1, headers=headers).status_code == 401


def test_the_log_tells_failed_pulls(admin: Caller, pushed: Image, sandbox: Sandbox) -> None:
    sandbox.requests.reset()
    admin("GET", MANIFEST_1, headers=OCI)
    Caller(admin.url, "robot$team-demo+ci", "Wrong1234")("GET", MANIFEST_1, headers=OCI)
    seen = [(call.target, call.status) for call in sandbox.requests.log]
    assert seen == [(MANIFEST_1, 200), (MANIFEST_1, 401)]
    [(kind, times)] = sandbox.requests.counts().items()
    assert (kind.template, times) == ("/v2/{repository*}/manifests/{reference}", 2)


def test_the_catalog_is_the_admins(admin: Caller, nobody: Caller, ci: dict, pushed: Image) -> None:
    assert admin.json("/v2/_catalog") == {"repositories": [NAME]}
    assert admin.login(ci["name"], ci["secret"])("GET", "/v2/_catalog").status_code == 401
    assert nobody("GET", "/v2/_catalog").headers["www-authenticate"] == 'Basic realm="harbor"'


def test_images_and_tokens_outlive_the_sandbox(tmp_path: Path) -> None:
    def caller(running: Sandbox) -> Caller:
        given = running.addresses()["harbor"]
        return Caller(given["url"], given["username"], given["password"])

    built = image()
    with Sandbox(state=tmp_path) as running:
        caller(running).made("/projects", {"project_name": "team-demo"})
        assert push(caller(running), NAME, built).status_code == 201
        headers = bearer(caller(running))
    assert built.layer.hex() not in (tmp_path / "harbor.json").read_text()
    with Sandbox(state=tmp_path) as running:
        url = caller(running).url
        assert CLIENT.get(url + MANIFEST_1, headers=headers).content == built.manifest
        assert push(caller(running), NAME, built, "2").status_code == 201
