"""Drift through a real Prefect server: detection, reports, approvals and remediation.

The tests run on the sandbox, because they change its systems without requests.
"""

import http.server
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.filesystems import LocalFileSystem

from tasks.tables import read_table
from tests.e2e.conftest import SandboxBench
from tests.support.approvals import answer, next_approval, wait_for_approval

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),
    pytest.mark.demand(
        "drift", "the flow on a real Prefect server: artifacts, events, approval, automations"
    ),
]


def rows(bench: SandboxBench, run: dict[str, Any]) -> list[dict[str, str]]:
    return read_table(bench.artifact("drift-findings", run)["data"])


def found(bench: SandboxBench, run: dict[str, Any]) -> set[str]:
    """Return the classes and resources of a run's findings."""
    return {f"{row['class']} {row['resource']}" for row in rows(bench, run)}


def events(
    bench: SandboxBench, name: str, resource: str, run: dict[str, Any]
) -> list[dict[str, Any]]:
    """Wait until a run's event with a name and resource has arrived, and return all such events."""
    body = {"filter": {"event": {"name": [name]}, "resource": {"id": [resource]}}, "limit": 50}
    related = f"prefect.flow-run.{run['id']}"
    found: list[dict[str, Any]] = []

    def arrived() -> bool:
        found[:] = [
            event
            for event in bench.platform.call("POST", "events/filter", body)["events"]
            if related in [each["prefect.resource.id"] for each in event["related"]]
        ]
        return bool(found)

    bench.platform.wait_for(arrived)
    return found


def onboarded(bench: SandboxBench, *teams: str) -> None:
    for team in teams:
        bench.declare(team)
    run = bench.run("onboard-teams")
    assert run["state_type"] == "COMPLETED", run["state"]["message"]


def put_by_hand(bench: SandboxBench, team: str, *, marked: bool = False) -> str:
    """Create a RoleBinding that is not declared, and return its id."""
    marks = {"app.kubernetes.io/managed-by": "tenantry", "tenantry.io/team": team}
    name = "ours" if marked else "by-hand"
    metadata = {"name": name, "namespace": f"team-{team}", "labels": marks if marked else {}}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": metadata,
        "roleRef": role,
        "subjects": [],
    }
    bench.sandbox.kubernetes.put(binding)
    return f"kubernetes/RoleBinding/team-{team}/{name}"


@pytest.mark.demand(
    "reality", "faulty files, hostile values and faulty parameters through a real Prefect server"
)
@pytest.mark.long
def test_a_team_whose_file_is_faulty_is_a_finding_and_nothing_of_it_is_removed(
    bench: SandboxBench,
) -> None:
    onboarded(bench, "one", "two")
    extra = put_by_hand(bench, "two", marked=True)
    (bench.declared / "teams" / "one.yaml").write_text("name: one\nharbor: {\n")
    before = bench.sandbox.kubernetes.get("Namespace", "team-one")

    run = bench.run("detect-drift", remediate="all", require_approval=False)

    assert run["state_type"] == "FAILED"
    assert found(bench, run) == {"unreadable declared state/team file/teams/one.yaml"}
    (row,) = rows(bench, run)
    assert (row["team"], row["severity"].splitlines()[0]) == ("one", "warning")
    assert row["declared at"].startswith("teams/one.yaml:")
    assert "1 change made." in run["state"]["message"]
    name = extra.rsplit("/", 1)[-1]
    assert bench.sandbox.kubernetes.get("RoleBinding", name, "team-two") is None
    assert bench.sandbox.kubernetes.get("Namespace", "team-one") == before
    assert "team-one" in bench.sandbox.harbor.projects


@pytest.mark.long
def test_a_team_just_onboarded_is_in_sync_and_nothing_is_written(bench: SandboxBench) -> None:
    onboarded(bench, "one", "two")
    bench.sandbox.requests.reset()

    run = bench.run("detect-drift", fail_on="drift")

    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert "2 teams" in run["state"]["message"]
    assert run["state"]["message"].endswith("in sync.")
    assert rows(bench, run) == []
    assert bench.sandbox.requests.writes() == 0
    assert {f"observe {system}" for system in ("Kubernetes", "Keycloak", "Harbor")} <= set(
        bench.task_states(run)
    )


@pytest.mark.long
def test_drift_is_reported_by_artifacts_events_and_files_and_remediated_on_request(
    bench: SandboxBench, tmp_path: Path
) -> None:
    LocalFileSystem(basepath=str(tmp_path / "kept")).save(bench.block, overwrite=True)
    store = f"local-file-system/{bench.block}"
    onboarded(bench, "one", "two")
    bench.sandbox.harbor.projects["team-one"].metadata["public"] = "true"
    bench.sandbox.kubernetes.delete("Secret", "harbor-pull", "team-one")

    seen = bench.run("detect-drift", fail_on="drift", report_storage=store)

    assert seen["state_type"] == "FAILED"
    assert "2 findings" in seen["state"]["message"]
    assert found(bench, seen) == {
        "changed harbor/project/team-one",
        "missing kubernetes/Secret/team-one/harbor-pull",
    }
    assert "team-one" in bench.artifact("drift-summary", seen)["data"]
    (event,) = events(bench, "tenantry.drift.detected", "tenantry.team.one", seen)
    assert event["payload"]["findings"] == 2
    assert set(event["payload"]["resources"]) == {
        "harbor/project/team-one",
        "kubernetes/Secret/team-one/harbor-pull",
    }
    kept = tmp_path / "kept"
    assert json.loads((kept / "drift.json").read_text())["summary"]["findings"] == 2
    assert "team-one" in (kept / "drift.html").read_text()
    assert json.loads((kept / "drift.sarif").read_text())["version"] == "2.1.0"

    remediated = bench.run("detect-drift", fail_on="drift", report_storage=store, remediate="safe")

    assert remediated["state_type"] == "COMPLETED", remediated["state"]["message"]
    assert "in sync. 2 changes made." in remediated["state"]["message"]
    (event,) = events(bench, "tenantry.drift.cleared", "tenantry.team.one", remediated)
    assert event["payload"]["findings"] == 0
    over = (kept / "episodes.csv").read_text().splitlines()[1:]
    assert len(over) == 2
    assert all(line.endswith(",remediation") for line in over)
    assert bench.sandbox.harbor.projects["team-one"].metadata["public"] == "false"


@pytest.mark.long
def test_nothing_is_removed_before_a_person_approves_this_very_plan(bench: SandboxBench) -> None:
    onboarded(bench, "one")
    put_by_hand(bench, "one", marked=True)
    id = bench.start("detect-drift", remediate="all")
    asked = wait_for_approval(bench, id)
    first = asked.plan
    assert "**delete** kubernetes RoleBinding team-one/ours" in asked.description
    # Meanwhile there is more to remove, so the approved plan is outdated.
    by_hand = put_by_hand(bench, "one")
    bench.sandbox.kubernetes.delete("NetworkPolicy", "tenantry-allow-dns", "team-one")

    answer(bench, id, approve=True, plan=first)

    second = next_approval(bench, id, asked).plan
    assert bench.sandbox.kubernetes.get("RoleBinding", "ours", "team-one") is not None
    assert second != first
    answer(bench, id, approve=True, plan=second)
    run = bench.platform.wait_for_run(id)
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert found(bench, run) == {f"extra {by_hand}"}
    assert bench.sandbox.kubernetes.get("RoleBinding", "ours", "team-one") is None

    named = bench.run("detect-drift", remove=[by_hand], require_approval=False, fail_on="drift")
    assert named["state_type"] == "COMPLETED", named["state"]["message"]
    assert bench.sandbox.kubernetes.get("RoleBinding", "by-hand", "team-one") is None


@pytest.mark.long
def test_what_is_not_approved_is_left_as_it_is(bench: SandboxBench) -> None:
    onboarded(bench, "one")
    put_by_hand(bench, "one", marked=True)
    bench.sandbox.requests.reset()
    id = bench.start("detect-drift", remediate="all")
    plan = wait_for_approval(bench, id).plan

    answer(bench, id, approve=False, plan=plan)

    run = bench.platform.wait_for_run(id)
    assert f"Someone rejected plan {plan}: it was not applied." in run["state"]["message"]
    assert bench.sandbox.requests.writes() == 0


@pytest.mark.long
def test_an_id_to_remove_that_is_no_extra_is_named_and_nothing_is_changed(
    bench: SandboxBench,
) -> None:
    onboarded(bench, "one")
    bench.sandbox.requests.reset()

    run = bench.run("detect-drift", remove=["harbor/robot/team-one/pull-a"], require_approval=False)

    assert run["state_type"] == "FAILED"
    assert "Cannot remove 'harbor/robot/team-one/pull-a'" in run["state"]["message"]
    assert bench.sandbox.requests.writes() == 0
    assert rows(bench, run) == []


@pytest.mark.long
def test_a_system_that_is_down_costs_its_own_findings_only(bench: SandboxBench) -> None:
    onboarded(bench, "one")
    bench.sandbox.kubernetes.delete("NetworkPolicy", "tenantry-allow-dns", "team-one")
    bench.sandbox.controls.fail(401, system="keycloak", times=None)

    run = bench.run("detect-drift", fail_on="unreadable")

    assert run["state_type"] == "FAILED"
    assert " Keycloak could not be read: " in run["state"]["message"]
    assert " answered 401: " in run["state"]["message"]
    assert found(bench, run) == {
        "unreadable keycloak/*/*",
        "missing kubernetes/NetworkPolicy/team-one/tenantry-allow-dns",
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"teams": ["nobody"]}, "team 'nobody' is not declared"),
        (
            {"report_storage": "local-file-system/nowhere"},
            "There is no block 'local-file-system/nowhere'",
        ),
    ],
)
@pytest.mark.long
def test_a_mistake_in_the_parameters_is_reported_before_any_call(
    bench: SandboxBench, given: dict[str, Any], said: str
) -> None:
    bench.declare("one")

    run = bench.run("detect-drift", **given)

    assert run["state_type"] == "FAILED"
    assert said in run["state"]["message"]
    assert bench.sandbox.requests.total() == 0


# Automations


@contextmanager
def switched_on(bench: SandboxBench, name: str) -> Iterator[None]:
    (automation,) = [
        each
        for each in bench.platform.call("POST", "automations/filter", {})
        if each["name"] == name
    ]
    path = f"automations/{automation['id']}"
    bench.platform.call("PATCH", path, {"enabled": True})
    time.sleep(3)  # the server loads the triggers again
    try:
        yield
    finally:
        bench.platform.call("PATCH", path, {"enabled": False})


def runs_of(bench: SandboxBench, **parameters: Any) -> list[dict[str, Any]]:
    """Return the runs with this bench's blocks and these parameters."""
    wanted = {"platform": bench.block, **parameters}
    found = bench.platform.call("POST", "flow_runs/filter", {"sort": "START_TIME_DESC"})
    return [run for run in found if wanted.items() <= run["parameters"].items()]


@pytest.mark.long
def test_the_automation_remediates_the_teams_with_drift_once_and_removes_nothing(
    bench: SandboxBench,
) -> None:
    """The list of teams is passed as a list. With text, the action would fail silently."""
    onboarded(bench, "one", "two")
    extra = put_by_hand(bench, "one", marked=True)
    bench.sandbox.kubernetes.delete("NetworkPolicy", "tenantry-allow-dns", "team-one")
    with switched_on(bench, "tenantry: drift is remediated (safe only)"):
        bench.run("detect-drift")
        bench.platform.wait_for(lambda: runs_of(bench, remediate="safe"))
        (remediation,) = runs_of(bench, remediate="safe")
        run = bench.platform.wait_for_run(remediation["id"])
        events(bench, "tenantry.drift.detected", "tenantry.team.one", run)
        time.sleep(3)  # its own findings could have triggered it again by now
        again = runs_of(bench, remediate="safe")

    assert run["parameters"]["teams"] == ["one"]
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert bench.sandbox.kubernetes.get("NetworkPolicy", "tenantry-allow-dns", "team-one")
    assert found(bench, run) == {f"extra {extra}"}
    assert bench.sandbox.kubernetes.get("RoleBinding", "ours", "team-one") is not None
    assert [started["id"] for started in again] == [run["id"]]


class Inbox(http.server.BaseHTTPRequestHandler):
    """A handler that records the bodies of POST requests."""

    messages: ClassVar[list[str]]

    def do_POST(self) -> None:
        self.messages.append(self.rfile.read(int(self.headers["content-length"])).decode())
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.mark.long
def test_the_notification_lists_new_findings_only(bench: SandboxBench) -> None:
    class Own(Inbox):
        messages: ClassVar[list[str]] = []

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Own) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        text = {"text": "{{subject}}: {{body}}"}
        block = CustomWebhookNotificationBlock(name="inbox", url=url, json_data=text)
        block.save(f"inbox-{bench.block}", overwrite=True)
        onboarded(bench, "one")
        bench.run("detect-drift")
        notify = f"custom-webhook/inbox-{bench.block}"
        bench.platform.run("deployments/automations.py", "--notify", notify)
        time.sleep(3)
        with switched_on(bench, "tenantry: drift is reported"):
            by_hand = put_by_hand(bench, "one")
            bench.run("detect-drift")
            bench.platform.wait_for(lambda: Own.messages)
            again = bench.run("detect-drift")
            events(bench, "tenantry.drift.detected", "tenantry.drift", again)
            time.sleep(3)
        server.shutdown()

    (message,) = Own.messages
    assert "Drift of test: 1 team, " in message
    assert "1 are new" in message
    assert f"critical: {by_hand} is extra" in message
