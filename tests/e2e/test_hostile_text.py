"""Hostile text is not interpreted in names, logs, artifacts, events and states of runs."""

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tenantry.text import visible
from tests.e2e.conftest import SandboxBench
from tests.isolation.hostile import LIVE, MALLORY, SHOP, rendered, write_hostile_text

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600), pytest.mark.usefixtures("platform")]


RUNS: list[tuple[str, dict[str, Any]]] = [
    ("detect-drift", {}),
    ("onboard-team", {"team": {**MALLORY, "contact": LIVE}, "if_declared": "merge"}),
    ("check-platform", {}),
    ("rotate-robots", {"force": True}),
    ("onboard-teams", {"scope": "all"}),
    ("onboard-team", {"team": {"name": "new", "contact": LIVE}}),
    ("configure-platform", {"dry_run": True}),
]
"""Runs of flows on systems into which hostile text was written."""


@pytest.mark.demand(
    "reality", "faulty files, hostile values and faulty parameters through a real Prefect server"
)
@pytest.mark.parametrize(
    "runs",
    [
        pytest.param(RUNS[:2], id="a sample"),
        pytest.param(RUNS, id="all flows", marks=pytest.mark.long),
    ],
)
def test_no_flow_shows_hostile_text_as_more_than_text(
    bench: SandboxBench, runs: list[tuple[str, dict[str, Any]]]
) -> None:
    for team in (MALLORY, SHOP):
        (bench.declared / "teams" / f"{team['name']}.yaml").write_text(
            json.dumps(team, ensure_ascii=False), encoding="utf-8"
        )
    started = [bench.run("onboard-teams")]
    write_hostile_text(bench.sandbox)
    started += [bench.run(flow, **parameters) for flow, parameters in runs]
    with pytest.raises(httpx.HTTPStatusError) as refused:
        bench.start("onboard-team", team={"name": LIVE, LIVE: LIVE})
    assert refused.value.response.status_code == 409, "the API rejects an invalid name"
    time.sleep(3)  # the server writes events and task runs with a delay

    shown = [pair for run in started for pair in _shown(bench, run)]

    assert [run["state_type"] for run in started][:2] == ["COMPLETED", "COMPLETED"]
    assert any("evil.example" in text for _, text in shown), "the hostile text is shown"
    assert [pair for pair in shown if visible(pair[1]) != pair[1]] == []
    for place, text in shown:
        if place.startswith("log"):
            assert all(line.startswith("  ") for line in text.split("\n")[1:]), text
        if place.startswith("markdown"):
            assert not re.search(r"<(img|a)\b", rendered(text)), text
        if place.startswith("name"):
            assert len(text) <= 120
    pages = [text for place, text in shown if place == "markdown welcome-shop"]
    assert pages
    assert not any("evil" in text or "mallory" in text for text in pages)


def _shown(bench: SandboxBench, run: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield all texts of a run that Prefect shows, with their places."""
    call = bench.platform.call
    of_run = {"any_": [run["id"]]}
    yield "name of the run", run["name"]
    yield "state", run["state"]["message"] or ""
    for task in call("POST", "task_runs/filter", {"flow_runs": {"id": of_run}}):
        yield "name of a task", task["name"]
        yield "state of a task", (task["state"] or {}).get("message") or ""
    for entry in call("POST", "logs/filter", {"logs": {"flow_run_id": of_run}}):
        yield "log", entry["message"]
    for artifact in call("POST", "artifacts/filter", {"artifacts": {"flow_run_id": of_run}}):
        yield f"description of {artifact['key']}", artifact["description"] or ""
        yield (
            f"markdown {artifact['key']}" if artifact["type"] == "markdown" else "table",
            (artifact["data"] if isinstance(artifact["data"], str) else ""),
        )
        if artifact["type"] == "table":
            for row in json.loads(artifact["data"]):
                for value in row.values():
                    text = str(value)
                    yield "cell", text
                    yield "markdown cell", text
    events = call(
        "POST", "events/filter", {"filter": {"related": {"id": [f"prefect.flow-run.{run['id']}"]}}}
    )
    for event in events["events"]:
        yield "event", event["event"]
        yield "event", json.dumps([event["resource"], event["payload"]], ensure_ascii=False)
