"""import-teams, through a real Prefect server."""

import pytest

from tenantry.declared import load, read
from tenantry.onboarding import onboard
from tenantry.systems.systems import Systems
from tests.e2e.conftest import SandboxBench
from tests.support.harness import connections

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

TEAM = "name: shop\nrobots: {scanner: {access: ['repository:list']}}\n"


def test_the_file_of_an_existing_team_is_written_and_nothing_else(bench: SandboxBench) -> None:
    bench.declare_platform("name: test   # by hand\n")
    file = bench.declared / "teams" / "shop.yaml"
    file.write_text(TEAM)
    state = load(bench.declared)
    with Systems(connections(bench.sandbox), state) as systems:
        onboard(systems, state.teams["shop"])
    file.unlink()
    bench.sandbox.requests.reset()

    dry = bench.run("import-teams", dry_run=True)
    assert "Dry run: nothing was written" in dry["state"]["message"]
    assert not file.exists()

    run = bench.run("import-teams")
    assert run["state"]["message"].startswith("1 team imported")
    assert bench.task_states(run) == {"load platform": "Completed", "import teams": "Completed"}
    assert "shop: by the marks of Tenantry" in bench.artifact("import-report", run)["data"]
    text = (bench.declared / "platform.yaml").read_text()
    assert text.startswith("name: test   # by hand\n")
    assert set(read(bench.declared).teams["shop"].robots) == {"pull", "ci", "scanner"}

    again = bench.run("import-teams")
    assert again["state"]["message"].endswith("Nothing was written.")
    assert (bench.declared / "platform.yaml").read_text() == text
    writes = [each.template for each in bench.sandbox.requests.counts() if each.is_write]
    assert all("token" in path or path == "/c/login" for path in writes), writes
