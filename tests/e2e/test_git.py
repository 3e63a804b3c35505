"""The declared state in a Git repository: a push starts a run, and a run pushes."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from blocks import DeclaredState
from demo.processes import ROOT
from tests.e2e.conftest import SandboxBench
from tests.support.git_server import TOKEN, USERNAME, BareRepository, HttpServer, files_with, git

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),
    pytest.mark.demand(
        "robust", "the flows on a Git repository, and the CI step that triggers them on a push"
    ),
]

SCRIPT = ROOT / "deployments" / "ci" / "trigger-onboarding.sh"


@pytest.fixture
def repository(tmp_path: Path) -> BareRepository:
    return BareRepository(tmp_path / "git")


@pytest.fixture
def server(bench: SandboxBench, repository: BareRepository) -> Iterator[HttpServer]:
    """Serve the repository, and name it in the bench's block."""
    with HttpServer(repository.path.parent) as server:
        DeclaredState(
            repository=f"{server.url}/tenants.git",
            username=USERNAME,
            token=SecretStr(TOKEN),
            author="Platform <platform@example.com>",
        ).save(bench.block, overwrite=True)
        yield server


@pytest.fixture
def trigger(bench: SandboxBench) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that calls the script as a CI step does."""

    def trigger(commit: str, **more: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "PREFECT_API_URL": f"{bench.platform.url}/api",
            "PARAMETERS": json.dumps(bench.blocks),
            **more,
        }
        return subprocess.run(
            [str(SCRIPT), commit], env=environment, capture_output=True, text=True, check=False
        )

    return trigger


def run_of(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout.split()[1].rstrip(":")


@pytest.mark.long
def test_a_push_triggers_a_run_at_its_commit(
    bench: SandboxBench,
    server: HttpServer,
    repository: BareRepository,
    trigger: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    commit = repository.commit({"teams/shop.yaml": "name: shop\n"})
    later = repository.commit({"teams/data.yaml": "name: data\n"})

    done = trigger(commit)

    assert done.returncode == 0, done
    assert "1 of 1 teams changed, 0 failed." in done.stdout
    assert "team-shop" in bench.sandbox.harbor.projects
    assert "team-data" not in bench.sandbox.harbor.projects, "it came with a later commit"
    run = bench.platform.flow_run(run_of(done))
    assert run["parameters"]["commit"] == commit
    bench.platform.wait_for(
        lambda: f"commit {commit} of branch 'main'" in bench.platform.run_log(run["id"])
    )
    assert f"(the branch is now at {later})" in bench.platform.run_log(run["id"])


@pytest.mark.long
def test_the_same_commit_makes_one_run(
    bench: SandboxBench,
    server: HttpServer,
    repository: BareRepository,
    trigger: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    first = trigger(repository.first)
    again = trigger(repository.first)

    assert (first.returncode, again.returncode) == (0, 0), (first, again)
    assert run_of(first) == run_of(again)
    assert "was there already" in again.stdout


@pytest.mark.long
def test_a_run_that_found_another_at_work_is_asked_for_again(
    bench: SandboxBench,
    server: HttpServer,
    repository: BareRepository,
    trigger: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """The deployment has one run at a time, and cancels a second one."""
    other = trigger(repository.first, FOLLOW="0")
    commit = repository.commit({"teams/shop.yaml": "name: shop\n"})

    done = trigger(commit)

    assert done.returncode == 0, (other, done)
    assert "team-shop" in bench.sandbox.harbor.projects


@pytest.mark.long
def test_a_commit_that_is_none_is_refused_by_the_api(
    bench: SandboxBench,
    server: HttpServer,
    trigger: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = trigger("main")

    assert done.returncode == 2
    assert "commit" in done.stderr


@pytest.mark.demand(
    "reality", "faulty files, hostile values and faulty parameters through a real Prefect server"
)
@pytest.mark.long
def test_a_faulty_commit_fails_the_step_and_says_where(
    bench: SandboxBench,
    server: HttpServer,
    repository: BareRepository,
    trigger: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    commit = repository.commit({"teams/shop.yaml": "name: shop\ncolour: red\n"})

    done = trigger(commit)

    assert done.returncode == 1
    assert f"commit {commit} of branch 'main'" in done.stderr
    assert "teams/shop.yaml:2: colour: unknown key" in done.stderr


@pytest.mark.long
def test_a_team_that_came_by_the_api_is_pushed(
    bench: SandboxBench, server: HttpServer, repository: BareRepository, tmp_path: Path
) -> None:
    run = bench.run("onboard-team", team={"name": "demo", "contact": "#demo"})

    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert repository.log[0] == "Platform <platform@example.com>: Declare team demo"
    assert repository.show("teams/demo.yaml") == "name: demo\ncontact: '#demo'\n"
    bench.platform.wait_for(
        lambda: f"Declared in commit {repository.head}" in bench.platform.run_log(run["id"])
    )
    assert TOKEN not in bench.platform.run_log(run["id"])
    assert not list(files_with(TOKEN, tmp_path, bench.platform.folder))


@pytest.mark.long
def test_a_refused_push_ends_the_run_before_any_system_is_changed(
    bench: SandboxBench, server: HttpServer, repository: BareRepository
) -> None:
    repository.hook("update", "echo 'main takes merge requests only' >&2; exit 1")

    run = bench.run("onboard-team", team={"name": "demo"})

    assert run["state_type"] == "FAILED"
    assert "main takes merge requests only" in run["state"]["message"]
    assert bench.sandbox.requests.writes() == 0
    assert git(repository.path, "rev-parse", "main") == repository.first
