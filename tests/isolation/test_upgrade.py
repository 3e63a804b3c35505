"""Upgrades of installations of the previous release.

No credential is re-issued, nothing is deleted, the marks are upgraded, and a second run writes nothing.
`previous.py` records the installations.
"""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import stamina
from ruamel.yaml import YAML

from tenantry import marks
from tenantry.declared import propose_policy, read
from tenantry.sandbox import Sandbox
from tests.isolation.all_flows import run_all
from tests.isolation.previous import BOLD, INSTALLATIONS, PLATFORM, installed
from tests.isolation.snapshot import everything

pytestmark = pytest.mark.demand("isolation", "all of tests/isolation/test_upgrade.py")

Login = tuple[str, str]


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=4, cap=True):
        yield


def credentials(sandbox: Sandbox) -> dict[str, Any]:
    """Return all credentials: the data of Secrets, the hashes of robots, the secrets of clients."""
    found: dict[str, Any] = {
        f"Secret {o['metadata']['namespace']}/{o['metadata']['name']}": o.get("data")
        for o in sandbox.kubernetes.objects
        if o["kind"] == "Secret"
    }
    for robot in sandbox.harbor.dump()["robots"].values():
        facts = ("secret_hash", "salt", "disabled", "expires_at", "permissions", "name")
        found[f"robot {robot['id']}"] = {fact: robot[fact] for fact in facts}
    for client in sandbox.keycloak.dump()["realms"]["platform"]["clients"].values():
        found[f"client {client['clientId']}"] = client.get("secret")
    return found


def logins(sandbox: Sandbox) -> dict[str, Login]:
    """Return the username and password in each Secret of a robot."""
    found = {}
    for o in sandbox.kubernetes.objects:
        for text in o.get("data", {}).values() if o["kind"] == "Secret" else ():
            content = base64.b64decode(text).decode()
            if content.startswith('{"auths"'):
                (entry,) = json.loads(content)["auths"].values()
                name = f"{o['metadata']['namespace']}/{o['metadata']['name']}"
                found[name] = entry["username"], entry["password"]
    return found


def check_kept(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Assert that all earlier entries exist unchanged."""
    assert {key: after.get(key) for key in before} == before


def marked_teams(sandbox: Sandbox) -> list[str]:
    """Return the teams in the marks of the enabled robots of declared teams."""
    gone = sandbox.harbor.projects["team-gone"].id
    robots = [r for r in sandbox.harbor.robots.values() if r.project_id != gone and not r.disabled]
    assert robots
    found = [marks.parse(r.description.partition("[")[2].rstrip("]")) for r in robots]
    return [mark.team for mark in found if mark is not None and mark.platform]


@pytest.mark.demand(
    "isolation", "installations of the previous release: no credential re-issued, nothing deleted"
)
@pytest.mark.parametrize("name", INSTALLATIONS)
def test_no_credential_is_re_issued_and_nothing_is_deleted(name: str, tmp_path: Path) -> None:
    with installed(name, tmp_path) as sandbox:
        held, before = credentials(sandbox), everything(sandbox)
        assert len(logins(sandbox)) >= 3

        served = run_all(sandbox, tmp_path, remediate="safe")

        assert not served.errors
        check_kept(held, credentials(sandbox))
        assert before.keys() <= everything(sandbox).keys()


@pytest.mark.demand(
    "isolation",
    "installations of the previous release: marks upgraded; a second run writes nothing",
)
def test_marks_are_upgraded_and_a_second_run_writes_nothing(tmp_path: Path) -> None:
    with installed("plain", tmp_path) as sandbox:
        disabled = {r.id: r.description for r in sandbox.harbor.robots.values() if r.disabled}
        assert disabled, "the previous release left disabled robots"

        assert not run_all(sandbox, tmp_path, remediate="safe").errors

        assert set(marked_teams(sandbox)) == {team["name"] for team in INSTALLATIONS["plain"]}
        for id, description in disabled.items():
            assert sandbox.harbor.robots[id].description == description, (
                "a write would restart the time until its deletion"
            )
        before = everything(sandbox)
        sandbox.requests.reset()
        assert not run_all(sandbox, tmp_path, remediate="safe").errors
        assert everything(sandbox) == before
        assert sandbox.requests.writes("kubernetes") == 0


@pytest.mark.demand(
    "isolation",
    "installations of the previous release: a team beyond the policy keeps its "
    "access and is rotated",
)
def test_a_team_beyond_the_policy_keeps_its_credentials_and_has_them_rotated(
    tmp_path: Path,
) -> None:
    with installed("bold", tmp_path) as sandbox:
        before = logins(sandbox)
        assert "pipelines/harbor-bold" in before

        served = run_all(sandbox, tmp_path, ["bold"], remediate="safe")

        assert BOLD["name"] not in served.accepted
        assert not served.errors
        after = logins(sandbox)
        assert after.keys() >= before.keys()
        assert after["team-bold/harbor-pull"] != before["team-bold/harbor-pull"]
        assert after["pipelines/harbor-bold"] == after["team-bold/harbor-pull"]
        old = {key: login for key, login in before.items() if "bold" not in key}
        assert {key: after[key] for key in old} == old


@pytest.mark.demand("isolation", "`tenantry policy` admits the previous release's state")
def test_the_proposed_policy_admits_what_the_previous_release_served(tmp_path: Path) -> None:
    with installed("bold", tmp_path) as sandbox:
        held = credentials(sandbox)
        policy = YAML(typ="safe", pure=True).load(propose_policy(tmp_path))
        (tmp_path / "platform.yaml").write_text(json.dumps({**PLATFORM, **policy}))

        assert not read(tmp_path).left_out
        served = run_all(sandbox, tmp_path, remediate="safe")

        assert served.accepted == {team["name"] for team in INSTALLATIONS["bold"]}
        assert not served.errors
        check_kept(held, credentials(sandbox))
