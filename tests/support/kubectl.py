"""The real kubectl, from the wheel of the test group."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tenantry.sandbox import Sandbox

PROGRAMS = Path(sys.executable).parent


class Kubectl:
    """kubectl with the sandbox's KUBECONFIG."""

    def __init__(self, sandbox: Sandbox, home: Path) -> None:
        self.environment = {
            "KUBECONFIG": sandbox.addresses()["kubernetes"]["kubeconfig"],
            "HOME": str(home),  # it caches the answers of discovery there
            "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
        }

    def __call__(self, *words: str, given: str | None = None) -> str:
        """Run kubectl and return its output."""
        return run(["kubectl", *words], self.environment, given=given)


def run(
    command: list[str],
    environment: Mapping[str, str],
    *,
    given: str | None = None,
    folder: Path | None = None,
) -> str:
    """Run a command and return its output, without warnings."""
    done = subprocess.run(
        command,
        env=dict(environment),
        input=given,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}: {done.stderr}"
    return done.stdout
