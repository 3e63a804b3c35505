"""Runs every command of docs/production.md in the order of the page, on PostgreSQL.

The hosts and ports of the page are replaced by those of the test. The commands run in a copy of the
project.
"""

import os
import shutil
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from demo.blocks import save_blocks
from demo.logs import LogReader
from demo.processes import ROOT, Process, free_port
from tenantry.sandbox import Sandbox
from tests.docs.test_docs import fences, read
from tests.production.postgres import PASSWORD, Postgres

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("prefect"),
    pytest.mark.demand(
        "reality", "each command of docs/production.md works in the order of the page"
    ),
]

KEEP_RUNNING = ("prefect server start", "prefect worker start", "python deployments/serve.py")
ELSEWHERE = ("kubectl ",)
"""Commands that tests/real/test_rbac.py runs on a real API server."""


class Shell:
    """A shell for the command blocks of the page. Exported variables are kept for the next block.

    Attributes:
        processes: the running servers and workers, by command.
    """

    def __init__(self, folder: Path, replace: dict[str, str]) -> None:
        self.processes: dict[str, Process] = {}
        self.logs: list[Path] = []
        self._folder = folder
        self._replace = replace
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PREFECT_", "VIRTUAL_ENV"))
        }
        self.env = {**kept, "PREFECT_HOME": str(folder / "prefect"), "PGPASSWORD": PASSWORD}

    def run(self, block: str) -> None:
        """Run a block of commands. If the last one is a server or worker, it keeps running."""
        for text, replacement in self._replace.items():
            block = block.replace(text, replacement)
        *lines, last = block.rstrip("\n").splitlines()
        if not last.startswith(KEEP_RUNNING):
            return self._run_to_end(block)
        self._run_to_end("\n".join(lines))
        log = self._folder / f"{'-'.join(last.split()[:3]).replace('/', '-')}.log"
        command = ["bash", "-c", f"exec {last}"]
        self.logs.append(log)
        self.processes[last] = Process(last, command, self.env, log, cwd=self._folder / "checkout")

    def _run_to_end(self, block: str) -> None:
        after = self._folder / "environment"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"{block}\nenv -0 > {after}"],
            env=self.env,
            cwd=self._folder / "checkout",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        pairs = (entry.partition("=") for entry in after.read_text().split("\0") if entry)
        self.env = {name: value for name, _, value in pairs}

    def stop(self) -> None:
        """Stop the servers and workers, the last one first."""
        for process in reversed(self.processes.values()):
            process.stop()


def copy_of_checkout(folder: Path) -> None:
    """Copy the tracked and new files of the repository."""
    listed = subprocess.check_output(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, text=True
    )
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).exists():
            target = folder / "checkout" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target)


def blocks_of_page() -> list[str]:
    return fences(read("docs/production.md"), "shell")


def test_each_command_works_in_the_order_of_the_page(tmp_path: Path) -> None:
    """The server requires a login. A worker runs the deployments, then a process serves them."""
    copy_of_checkout(tmp_path)
    declared = tmp_path / "declared"
    shutil.copytree(ROOT / "deployments" / "example", declared)
    port = free_port()
    with ExitStack() as stack:
        postgres = stack.enter_context(Postgres())
        sandbox = stack.enter_context(Sandbox())
        replace = {
            "db.example.com": postgres.host,
            "prefect.example.com:4200": f"127.0.0.1:{port}",
            "--host 0.0.0.0 --port 4200": f"--host 127.0.0.1 --port {port}",
        }
        shell = Shell(tmp_path, replace)
        stack.callback(shell.stop)
        url = f"http://127.0.0.1:{port}"
        done = []
        for block in blocks_of_page():
            if block.startswith(ELSEWHERE):
                continue
            if "serve.py" in block:  # the alternative to a worker, which runs below
                alternative = block
                continue
            shell.run(block)
            done.append(block)
            if "server start" in block:
                wait_for_server(url, shell)
            if "block register" in block:
                save_blocks_for_page(shell, sandbox, declared)

        assert sum("worker start" in block for block in done) == 1
        assert deployed_from(url) == {()}
        assert ui_calls(url) == f"{url}/api"
        assert answers(url, None) == 401
        assert answers(url, ("admin", "change-me")) == 200

        worker = next(name for name in shell.processes if "worker" in name)
        shell.processes.pop(worker).stop()
        shell.run(alternative)
        shell.run(done[-1])

    assert LogReader().errors(shell.logs) == []


def wait_for_server(url: str, shell: Shell) -> None:
    (server,) = shell.processes.values()
    for _ in range(600):
        server.check()
        try:
            if httpx.get(f"{url}/api/health").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.3)
    raise AssertionError(f"the server does not answer: {server.log.read_text()}")


def save_blocks_for_page(shell: Shell, sandbox: Sandbox, declared: Path) -> None:
    with temporary_settings(
        {
            PREFECT_API_URL: shell.env["PREFECT_API_URL"],
            PREFECT_API_AUTH_STRING: shell.env["PREFECT_API_AUTH_STRING"],
        }
    ):
        save_blocks(sandbox.addresses(), declared)


def ui_calls(url: str) -> str:
    """Return the address of the API that the UI calls."""
    return str(httpx.get(f"{url}/ui-settings").json()["api_url"])


def deployed_from(url: str) -> set[tuple[str, ...]]:
    """Return the pull steps of all deployments. A worker on another machine does not have the folder."""
    answer = httpx.post(f"{url}/api/deployments/filter", json={}, auth=("admin", "change-me"))
    return {tuple(deployment["pull_steps"] or ()) for deployment in answer.json()}


def answers(url: str, login: tuple[str, str] | None) -> int:
    """Return the status of the API's answer to a login."""
    return httpx.post(f"{url}/api/deployments/filter", json={}, auth=login).status_code
