"""Istio's own checks of mesh configuration: `istioctl validate`, and `analyze` on a cluster."""

import json
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.real.servers import golang
from tests.real.servers.cache import Progress, quiet
from tests.real.servers.processes import ServerError

SOURCE = Path(__file__).parent / "istioctl"
_PACKAGE = "istio.io/istio/istioctl/cmd/istioctl"


class Message(NamedTuple):
    """A finding of `istioctl analyze` about one object."""

    code: str
    level: str
    origin: str
    """The object, as `Kind namespace/name`."""
    text: str


def prepare(progress: Progress = quiet) -> Path:
    """Build `istioctl` unless it is cached, and return the path of the program."""
    found = re.search(r"istio\.io/istio (v\S+)", (SOURCE / "go.mod").read_text())
    assert found is not None
    label = "istioctl (once; 3 to 8 minutes)"
    return golang.program(SOURCE, found[1], "-s -w", _PACKAGE, label, progress)


class Istioctl:
    """The `istioctl` program, built first unless it is cached."""

    def __init__(self) -> None:
        self._program = str(prepare())

    def validate(self, folder: Path, objects: Sequence[dict[str, Any]]) -> list[str]:
        """Return the errors and warnings of `validate` for the objects, written into `folder`."""
        file = folder / "manifests.yaml"
        file.write_text("\n---\n".join(map(json.dumps, objects)))  # JSON is YAML
        done = self._run("validate", "-f", str(file))
        findings = [
            line.strip().removeprefix("* ")
            for line in (done.stdout + done.stderr).splitlines()
            if line.strip().startswith("* ")
        ]
        if not findings and '" is valid' not in done.stdout + done.stderr:
            raise ServerError(f"istioctl validate: {done.stdout}{done.stderr}")
        return findings

    def analyze(self, kubeconfig: Path, *namespaces: str) -> list[Message]:
        """Return the findings of `analyze` in these namespaces of a cluster."""
        found: list[Message] = []
        for namespace in namespaces:
            done = self._run(
                *("analyze", "--kubeconfig", str(kubeconfig), "--namespace", namespace),
                *("--output", "json"),
            )
            if "[" not in done.stdout:
                raise ServerError(f"istioctl analyze: {done.stdout}{done.stderr}")
            for each in json.loads(done.stdout):
                message = Message(
                    each["code"], each["level"], each.get("origin", ""), each["message"]
                )
                if message not in found:
                    found.append(message)
        return found

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [self._program, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
