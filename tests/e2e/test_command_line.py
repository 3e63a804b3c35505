"""The commands that write beside the flows: one lock, and the runs at a glance."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tasks.locks import TeamLock
from tests.e2e.conftest import SandboxBench

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.long,
    pytest.mark.timeout(300),
    pytest.mark.demand("operate", "command line: a command and a run take the same lock"),
]


@contextmanager
def command(bench: SandboxBench, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a command of the command line in a process of its own, connected with the sandbox."""
    addresses = bench.sandbox.addresses()
    variables = {
        f"TENANTRY_{system.upper()}_{key.upper()}": str(value)
        for system in ("harbor", "keycloak", "kubernetes")
        for key, value in addresses[system].items()
    }
    call = [sys.executable, "-m", "tenantry.cli", *arguments]
    with subprocess.Popen(
        call,
        text=True,
        env={**os.environ, **variables, "PREFECT_API_URL": f"{bench.platform.url}/api"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        yield process
        process.kill()


def test_a_command_and_a_run_take_the_same_lock(bench: SandboxBench) -> None:
    bench.declare("commanded")
    apply = ("apply", str(bench.declared), "--yes")
    with ExitStack() as stack:
        with TeamLock(["commanded"]):
            waiting = stack.enter_context(command(bench, *apply))
            run_id = bench.start("onboard-teams", scope="all")
            bench.platform.wait_for(lambda: "Waiting for" in bench.platform.run_log(run_id))
            with pytest.raises(subprocess.TimeoutExpired):
                waiting.communicate(timeout=15)
            assert bench.sandbox.requests.writes() == 0
        run = bench.platform.wait_for_run(run_id)
        out, _ = waiting.communicate(timeout=120)
    assert (run["state_type"], waiting.returncode) == ("COMPLETED", 0)
    said = (run["state"]["message"], out.splitlines()[-1])
    assert said in {
        ("1 of 1 teams changed, 0 failed.", "1 team: in sync."),
        ("0 of 1 teams changed, 0 failed.", "1 team: 17 created."),
    }

    with command(bench, "status", str(bench.declared), "--json") as asked:
        out, err = asked.communicate(timeout=120)
    assert (asked.returncode, err) == (0, "")
    rows = {row["deployment"]: row for row in json.loads(out)["last_runs"]}
    assert rows["onboard-teams"]["state"] == "Completed"
    assert rows["onboard-teams"]["run"] == run["name"]
    assert rows["finish-migration"]["state"] == ""
