"""The welcome guide: its commands, executed as the team executes them."""

import json
import re
from pathlib import Path

import pytest

from tenantry import welcome
from tests.support.harness import REALM, SHOP, Bench
from tests.support.kubectl import Kubectl, run

pytestmark = pytest.mark.demand("reality", "the welcome guide's commands work")

# Stands for docker: it shows what it was called with, and its configuration.
DOCKER = """#!/bin/sh
echo "$@"
cat "$2/config.json"
"""


def commands(text: str) -> list[str]:
    return re.findall(r"```shell\n(.*?)```", text, re.DOTALL)


def test_the_pipelines_commands_push_with_a_login_that_works(bench: Bench, tmp_path: Path) -> None:
    bench.declare(SHOP).onboard()
    team, registry = bench.team(), bench.systems.credentials.registry
    (script,) = commands(welcome.guide(team, registry, REALM))
    docker = tmp_path / "docker"
    docker.write_text(DOCKER)
    docker.chmod(0o700)
    environment = Kubectl(bench.sandbox, tmp_path).environment
    environment["PATH"] = f"{tmp_path}:{environment['PATH']}"

    said = run(["sh", "-e", "-c", script], environment, folder=tmp_path)

    called, _, content = said.partition("\n")
    assert called == f"--config . push {registry}/{team.project}/app:1.0"
    login = json.loads(content)["auths"][registry]
    assert bench.systems.harbor_client.accepts(login["username"], login["password"])


def test_a_team_without_a_ci_robot_is_shown_no_command(bench: Bench) -> None:
    bench.declare({**SHOP, "robots": {"ci": None}})

    text = welcome.guide(bench.team(), "harbor.example.com", REALM)

    assert commands(text) == []
    assert "Push from a pipeline" not in text
