"""The mesh's own judge of its configuration: `istioctl validate`, and `analyze` on a cluster."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.real.servers import golang
from tests.real.servers.cache import Progress, quiet
from tests.real.servers.processes import run

SOURCE = Path(__file__).parent / "istioctl"
_PACKAGE = "istio.io/istio/istioctl/cmd/istioctl"


class Message(NamedTuple):
    """What `analyze` says of an object."""

    code: str
    level: str
    origin: str
    """The object, as `Kind namespace/name`."""
    text: str


def prepare(progress: Progress = quiet) -> Path:
    """Build it, unless cached; return it."""
    found = re.search(r"istio\.io/istio (v\S+)", (SOURCE / "go.mod").read_text())
    assert found is not None
    told = "istioctl (once; 3 to 8 minutes)"
    return golang.program(SOURCE, found[1], "-s -w", _PACKAGE, told, progress)


def validate(folder: Path, objects: Sequence[dict[str, Any]]) -> str:
    """What `validate` says of manifests, errors and warnings; empty if nothing."""
    file = folder / "manifests.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))
    output = run(
        "istioctl validate",
        [str(prepare()), "validate", "-f", str(file)],
        directory=folder,
        timeout=120,
        may_fail=True,
    )
    return "" if "valid" in output and "arning" not in output and "rror" not in output else output


def analyze(folder: Path, kubeconfig: Path, *namespaces: str) -> list[Message]:
    """What `analyze` says of these namespaces of a cluster."""
    found: list[Message] = []
    for namespace in namespaces:
        output = run(
            "istioctl analyze",
            [
                *(str(prepare()), "analyze", "--kubeconfig", str(kubeconfig)),
                *("--namespace", namespace, "--output", "json", "--failure-threshold", "Error"),
            ],
            directory=folder,
            timeout=120,
            may_fail=True,
        )
        for each in json.loads(output[output.index("[") : output.rindex("]") + 1] or "[]"):
            told = Message(each["code"], each["level"], each.get("origin", ""), each["message"])
            if told not in found:
                found.append(told)
    return found
