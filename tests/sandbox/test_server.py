"""The frame that serves the simulated systems."""

import json
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tenantry.sandbox import Clock, Sandbox
from tenantry.sandbox.counting import Answered, Counted
from tests.sandbox.calls import CLIENT, Caller

ADMIN = ("admin", "Harbor12345")


def test_addresses_tell_how_to_get_in(sandbox: Sandbox) -> None:
    addresses = sandbox.addresses()
    assert set(addresses) == {"harbor", "keycloak", "kubernetes", "controls"}
    assert addresses["harbor"]["url"].startswith("http://127.0.0.1:")
    kubeconfig = Path(addresses["kubernetes"]["kubeconfig"])
    assert stat.S_IMODE(kubeconfig.stat().st_mode) == 0o600
    content = json.loads(kubeconfig.read_text())
    assert content["contexts"][0]["context"]["namespace"] == "default"


def test_starts_quickly_and_leaves_nothing() -> None:
    started = time.monotonic()
    with Sandbox() as running:
        assert time.monotonic() - started < 2
        kubeconfig = Path(running.addresses()["kubernetes"]["kubeconfig"])
        url = running.addresses()["harbor"]["url"]
        assert CLIENT.get(f"{url}/api/v2.0/ping").text == "Pong"
    assert not kubeconfig.exists()
    assert not kubeconfig.parent.exists()


def test_state_outlives_the_sandbox(tmp_path: Path) -> None:
    with Sandbox(state=tmp_path) as running:
        url = running.addresses()["harbor"]["url"]
        body = {"project_name": "team-demo"}
        assert CLIENT.post(f"{url}/api/v2.0/projects", json=body, auth=ADMIN).status_code == 201
    assert not (tmp_path / "kubeconfig").exists()
    assert stat.S_IMODE((tmp_path / "harbor.json").stat().st_mode) == 0o600
    with Sandbox(state=tmp_path) as running:
        assert running.harbor.projects["team-demo"].id == 2
        url = running.addresses()["harbor"]["url"]
        body = {"project_name": "team-next"}
        answer = CLIENT.post(f"{url}/api/v2.0/projects", json=body, auth=ADMIN)
        assert answer.headers["location"] == "/api/v2.0/projects/3"


def test_a_killed_sandbox_loses_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenantry.sandbox.server.SAVE_INTERVAL", 0.05)
    with Sandbox(state=tmp_path) as running:
        url = running.addresses()["harbor"]["url"]
        CLIENT.post(f"{url}/api/v2.0/projects", json={"project_name": "team-demo"}, auth=ADMIN)
        deadline = time.monotonic() + 5
        while not (saved := tmp_path / "harbor.json").exists() or (
            "team-demo" not in saved.read_text()
        ):
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_serve_prints_the_addresses_and_ends_at_a_signal(tmp_path: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        code = "import pathlib, sys, tenantry.sandbox as s; s.serve(pathlib.Path(sys.argv[1]))"
        with subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            addresses = json.loads(process.stdout.readline())
            assert CLIENT.get(f"{addresses['harbor']['url']}/api/v2.0/ping").text == "Pong"
            controls = addresses["controls"]["url"]
            assert CLIENT.get(f"{controls}/requests").json()["total"] == 1
            process.send_signal(number)
            assert process.stdout.read() == ""
            assert process.wait(10) == 0
    assert (tmp_path / "harbor.json").exists()


def test_requests_are_counted_by_template(sandbox: Sandbox, admin: Caller, demo: int) -> None:
    sandbox.requests.reset()
    for project in ("library", "team-demo"):
        admin("GET", f"/projects/{project}/members")
    admin("PUT", "/projects/library", json={})
    admin("GET", "/nosuch/7")
    counts = sandbox.requests.counts()
    assert counts[Counted("harbor", "GET", "/api/v2.0/projects/{project}/members")] == 2
    assert counts[Counted("harbor", "GET", "/api/v2.0/nosuch/{id}")] == 1
    assert sandbox.requests.total() == sandbox.requests.total("harbor") == 4
    assert sandbox.requests.writes("harbor") == 1
    assert sandbox.requests.total("keycloak") == 0
    path = "/api/v2.0/projects/library/members"
    assert sandbox.requests.log[0] == Answered("harbor", "GET", path, 200)
    assert sandbox.requests.log[-1].status == 404


def test_a_login_is_no_write(sandbox: Sandbox, nobody: Caller) -> None:
    sandbox.requests.reset()
    nobody("POST", "/c/login")
    assert sandbox.requests.total() == 1
    assert sandbox.requests.writes() == 0


@pytest.mark.demand("real", "Controls: a clock that can be moved")
def test_the_clock_can_be_moved() -> None:
    clock = Clock()
    before = clock.now()
    clock.move(86_400)
    assert 86_400 <= (clock.now() - before).total_seconds() < 86_460
