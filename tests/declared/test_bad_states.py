"""Each kind of bad declared state, as the command line refuses it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from demo.processes import ROOT
from tenantry.declared import load
from tenantry.errors import DeclarationError
from tenantry.sandbox import Sandbox
from tests.support.demands import Figure
from tests.support.harness import environment, write

BAD = {
    "two dashes in a name": "name: team-a--b",
    "upper case": "name: Demo",
    "64 characters": f"name: {'a' * 64}",
    "all digits": "name: '123'",
    "a trailing dash": "name: demo-",
    "an unknown key": "name: demo\nharbour: {}",
    "a storage quota of 0": "name: demo\nharbor: {storage_quota: 0}",
    "a negative quota": "name: demo\nnamespace: {quota: {pods: -1}}",
    "an unparsable quantity": "name: demo\nnamespace: {quota: {limits.memory: 10GiB}}",
    "a role that Harbor lacks": "name: demo\nharbor: {role: master}",
    "a missing profile": "name: demo\nprofile: large",
    "a rotation after the expiry": (
        "name: demo\nrobots: {pull: {expiry_days: 30, rotation: {max_age_days: 30}}}"
    ),
    "a name that is taken": "name: taken",
}


@pytest.mark.demand(
    "onboard", "each kind of bad declared state is refused with file and line, before any call"
)
@pytest.mark.long
@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_a_bad_state_is_refused_with_file_and_line_before_any_call(
    text: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    before = sandbox.requests.total()
    place = write(tmp_path / "state", {"name": "taken"}, text)
    words = [sys.executable, "-m", "tenantry.cli", "validate", str(place)]
    variables = {**os.environ, **environment(sandbox)}
    done = subprocess.run(
        words, cwd=ROOT, env=variables, capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "teams/" in done.stderr
    assert "Traceback" not in done.stderr
    assert sandbox.requests.total() == before


@pytest.mark.demand("onboard", "all faults of the declared state are named at once")
def test_all_faults_are_named_at_once(tmp_path: Path, figure: Figure) -> None:
    with pytest.raises(DeclarationError) as refused:
        load(write(tmp_path / "state", *BAD.values(), {"name": "taken"}))

    figure(f"{len(refused.value.faults)} faults named")
    assert len(refused.value.faults) >= len(BAD)
