"""The demo: the platform and three teams, through Prefect's API on a sandbox."""

import subprocess
import sys

import pytest

from demo.processes import ROOT
from tests.support.demands import Figure


@pytest.mark.demand(
    "reality", "make demo onboards three teams and ends with a summary, without a traceback"
)
@pytest.mark.demand(
    "onboard", "make demo onboards three teams and ends with a summary, without a traceback"
)
@pytest.mark.e2e
@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.xdist_group("prefect")
def test_the_demo_onboards_three_teams(figure: Figure) -> None:
    words = [sys.executable, "-m", "demo", "--once"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    ended = [line.strip() for line in done.stdout.splitlines() if ": done" in line]
    teams = [line for line in ended if not line.startswith("platform:")]
    figure(f"{len(teams)} teams done, exit status {done.returncode}")

    assert done.returncode == 0, done.stdout + done.stderr
    assert (len(teams), len(ended)) == (3, 4), done.stdout
    assert "Traceback" not in done.stdout + done.stderr
