"""The limits of an operator who may start flows through Prefect's API but edit no blocks."""

import json
from typing import Any

import httpx
import pytest
from prefect.blocks.system import Secret

from tests.e2e.conftest import SandboxBench
from tests.isolation.test_rights import TRAVERSALS

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(600)]

HIDDEN = "dragon-Passw0rd-of-a-block"


def everything(bench: SandboxBench, run: dict[str, Any]) -> str:
    """Return state, logs and artifacts of a run as text."""
    of_run = {"any_": [run["id"]]}
    logs = bench.platform.call("POST", "logs/filter", {"logs": {"flow_run_id": of_run}})
    body = {"artifacts": {"flow_run_id": of_run}}
    return json.dumps([run, logs, bench.platform.call("POST", "artifacts/filter", body)])


# The run rejects a line break at the end, which patterns of JSON Schema accept.
@pytest.mark.parametrize("name", [name for name in TRAVERSALS if not name.endswith("\n")])
def test_the_api_refuses_a_name_that_is_not_a_blocks(bench: SandboxBench, name: str) -> None:
    with pytest.raises(httpx.HTTPStatusError) as refused:
        bench.start("check-platform", platform=name)
    assert refused.value.response.status_code == 409


def test_a_block_of_another_type_is_refused_and_not_shown(bench: SandboxBench) -> None:
    Secret(value=HIDDEN).save("hidden", overwrite=True)

    stored = bench.run("detect-drift", report_storage="secret/hidden")
    connected = bench.run("check-platform", platform="hidden")

    for run in (stored, connected):
        assert run["state_type"] == "FAILED"
        assert HIDDEN not in everything(bench, run)
    assert "it cannot store files" in stored["state"]["message"]
    assert "hidden" in connected["state"]["message"]


def test_nothing_is_removed_that_the_run_does_not_report(bench: SandboxBench) -> None:
    bench.declare("shop")
    bench.run("onboard-teams", scope="all")
    before = len(bench.sandbox.kubernetes.objects)

    for id in ("kubernetes/Namespace/kube-system", "harbor/project/team-shop"):
        run = bench.run("detect-drift", remove=[id], require_approval=False)
        assert run["state_type"] == "FAILED"
        assert "it is not among the extras" in run["state"]["message"]

    assert len(bench.sandbox.kubernetes.objects) == before
