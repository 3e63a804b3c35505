"""Runs leak no secret: not into Prefect's database, logs, artifacts or files."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from demo.processes import LocalPlatform
from tenantry.sandbox.connections import buffer_answer
from tests.e2e.secrets_search import Finding, Known, Search, WatchedSandbox, files, tables
from tests.support.flow_harness import FlowBench, wide

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.long,
    # A run fails after two minutes if a system is down, and 24 runs are concurrent.
    pytest.mark.timeout(1800),
    pytest.mark.usefixtures("platform"),
    pytest.mark.demand("robust", "all of tests/e2e/test_secrets.py"),
]

RICH = {
    "name": "demo",
    "members": [],
    "oidc_clients": {"web": {"redirect_uris": ["https://a.b/*"]}},
}
CALL = {"team": RICH, "if_declared": "merge"}
"""The declared team has only a name, so a call without `if_declared` would be rejected."""
ChangeAnswer = Callable[[str, str], str | None]


class ChangedSandbox(WatchedSandbox):
    """A sandbox with changed answers that may cause a client to log a secret.

    `change_answer` returns the change for a system and a call such as `POST /api/v2.0/robots`:

    - "echo 422", or another status: the call is rejected, and the answer repeats its headers and body.
    - "without id", or another field: the answer does not have that field.
    - "nested": each text in the answer is replaced by a list of that text.
    - "half": the answer has only the first half of its body.
    """

    def __init__(self, known: Known, change_answer: ChangeAnswer) -> None:
        super().__init__(known)
        self._change_answer = change_answer

    def _middleware(self, name: str, app: ASGIApp) -> ASGIApp:
        original = super()._middleware(name, app)

        async def changing(scope: Scope, receive: Receive, send: Send) -> None:
            how = self._change_answer(name, f"{scope['method']} {scope['path']}") or ""
            kind, _, word = how.partition(" ")
            if kind == "echo":
                body = await Request(scope, receive).body()
                self._known.add_request(name, scope["headers"], body)
                await _echo(int(word), scope, body)(scope, receive, send)
            elif how:
                start, content = await buffer_answer(original, scope, receive)
                if start["status"] < 300:
                    content = _mangle(content, kind, word)
                headers = [pair for pair in start["headers"] if pair[0] != b"content-length"]
                await send({**start, "headers": headers})
                await send({"type": "http.response.body", "body": content})
            else:
                await original(scope, receive, send)

        return changing


def _echo(status: int, scope: Scope, body: bytes) -> Response:
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    text = f"can't process {scope['method']} {headers} {body.decode()}"
    return JSONResponse(
        {
            "errors": [{"code": "UNKNOWN", "message": text}],
            "error": "unknown_error",
            "error_description": text,
            "errorMessage": text,
            "kind": "Status",
            "message": text,
            "reason": text,
            "code": status,
        },
        status,
    )


def _mangle(content: bytes, kind: str, word: str) -> bytes:
    if kind == "half":
        return content[: len(content) // 2]
    answer = json.loads(content)
    if kind == "without":
        return json.dumps({key: value for key, value in answer.items() if key != word}).encode()
    nested = {key: [value] if isinstance(value, str) else value for key, value in answer.items()}
    return json.dumps(nested).encode()


@dataclass
class Case:
    """A run, and the changed answers that it gets."""

    name: str
    change_answer: ChangeAnswer = lambda system, call: None
    flow: str = "onboard-team"
    parameters: dict[str, Any] = field(default_factory=lambda: CALL)
    prepare: Callable[[ChangedSandbox], object] = lambda sandbox: None
    wrong: str = ""
    """The system whose credential in the block is wrong."""
    killed: bool = False
    ends: str = "FAILED"


def on(system: str, start: str, how: str, times: int = 99) -> ChangeAnswer:
    """Return a callable that changes a system's answers to calls with this beginning."""
    left = [times]

    def change(called: str, call: str) -> str | None:
        if called != system or not call.startswith(start) or left[0] == 0:
            return None
        left[0] -= 1
        return how

    return change


def _not_ours(sandbox: ChangedSandbox) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team-demo"}}
    sandbox.kubernetes.put(namespace)


TOKEN = "POST /realms/master/protocol/openid-connect/token"
ROBOTS = "POST /api/v2.0/robots"
SECRETS = "PATCH /api/v1/namespaces/team-demo/secrets/"
CASES = [
    Case("success", ends="COMPLETED"),
    Case("dry run", parameters={**CALL, "dry_run": True}, ends="COMPLETED"),
    Case("batch", flow="onboard-teams", parameters={}, ends="COMPLETED"),
    Case("retry", on("harbor", ROBOTS, "half", times=1), ends="COMPLETED"),
    Case("crash", prepare=lambda s: s.controls.delay(0.1), killed=True, ends="COMPLETED"),
    Case("not ours", prepare=_not_ours),
    Case("batch, not ours", flow="onboard-teams", parameters={}, prepare=_not_ours),
    Case("wrong password of Harbor", wrong="harbor"),
    Case("wrong password of Keycloak", wrong="keycloak"),
    Case("wrong token of Kubernetes", wrong="kubernetes"),
    Case("Harbor down", prepare=lambda s: s.controls.fail(503, system="harbor", times=None)),
    Case("a login echoed", on("harbor", "POST /c/login", "echo 500")),
    Case(
        "a login refused, with an echo", on("harbor", "POST /c/login", "echo 400"), ends="COMPLETED"
    ),
    Case("a token's call echoed", on("keycloak", TOKEN, "echo 400")),
    Case("half a token", on("keycloak", TOKEN, "half")),
    Case("a token without its type", on("keycloak", TOKEN, "without access_token")),
    Case("a robot refused, with an echo", on("harbor", ROBOTS, "echo 422")),
    Case("a robot without its name", on("harbor", ROBOTS, "without name"), ends="COMPLETED"),
    Case("a robot in lists", on("harbor", ROBOTS, "nested"), ends="COMPLETED"),
    Case("a Secret refused, with an echo", on("kubernetes", SECRETS, "echo 422")),
    Case("a Secret failed, with an echo", on("kubernetes", SECRETS, "echo 500")),
    Case(
        "a batch of Secrets refused, with an echo",
        on("kubernetes", SECRETS, "echo 422"),
        flow="onboard-teams",
        parameters={},
    ),
    Case(
        "a robot in lists, in a batch",
        on("harbor", ROBOTS, "nested"),
        flow="onboard-teams",
        parameters={},
        ends="COMPLETED",
    ),
    Case(
        "a client's secret in lists",
        on("keycloak", "GET /admin/realms/platform/clients/", "nested"),
    ),
]
SOME = (
    "success",
    "wrong password of Keycloak",
    "a token's call echoed",
    "a robot refused, with an echo",
    "a batch of Secrets refused, with an echo",
)


@dataclass
class Session:
    """A session: its runs and all their secrets."""

    platform: LocalPlatform
    known: Known
    declared: Path
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)

    def search(self, secrets: dict[str, str] | None = None) -> tuple[list[Finding], Search]:
        """Search the database and all files for the known secrets, or for the given ones."""
        search = Search(self.known.found if secrets is None else secrets)
        database = self.platform.folder / "prefect" / "prefect.db"
        return search([*tables(database), *files(self.platform.folder, self.declared)]), search


@pytest.fixture(scope="module")
def session(
    platform: LocalPlatform, tmp_path_factory: pytest.TempPathFactory, whole: bool
) -> Session:
    folder = tmp_path_factory.mktemp("secrets")
    with wide(platform, "onboard-team", "onboard-teams"):
        return run_all(platform, folder, [c for c in CASES if whole or c.name in SOME])


def run_all(platform: LocalPlatform, folder: Path, cases: list[Case]) -> Session:
    """Run cases concurrently, each on its own sandbox, and return the session."""
    session = Session(platform, Known(), folder)
    with ExitStack() as stack:
        started: dict[str, str] = {}
        for number, case in enumerate(cases):
            sandbox = stack.enter_context(ChangedSandbox(session.known, case.change_answer))
            stack.callback(_record_issued, session.known, sandbox)
            sandbox.harbor.login_delay = 0.01
            case.prepare(sandbox)
            bench = FlowBench(platform, _addresses(case, sandbox, session), folder / str(number))
            bench.declare("demo")
            started[case.name] = bench.start(case.flow, **case.parameters)
            if case.killed:
                kill_when_running(platform, started[case.name])
        for case in cases:
            session.runs[case.name] = _ended(platform, started[case.name], case)
    time.sleep(3)  # the server writes events and task runs with a delay
    return session


def _record_issued(known: Known, sandbox: ChangedSandbox) -> None:
    for secret in sandbox.harbor.issued_secrets:
        known.add("a secret that Harbor issued", secret)


def _addresses(case: Case, sandbox: ChangedSandbox, session: Session) -> dict[str, Any]:
    addresses: dict[str, Any] = sandbox.addresses()
    if case.wrong == "kubernetes":
        content = Path(addresses["kubernetes"]["kubeconfig"]).read_text()
        other = Path(addresses["kubernetes"]["kubeconfig"]).with_name("other")
        other.write_text(content.replace(sandbox.kubernetes.token, "wrong-token-of-kubernetes"))
        addresses["kubernetes"]["kubeconfig"] = str(other)
    elif case.wrong:
        addresses[case.wrong]["password"] = f"wrong-password/{case.wrong}"
        session.known.add("a wrong password", f"wrong-password/{case.wrong}")
    return addresses


def _ended(platform: LocalPlatform, id: str, case: Case) -> dict[str, Any]:
    run = platform.wait_for_run(id, seconds=900)
    deadline = time.monotonic() + 60
    while case.killed and run["run_count"] < 2 and time.monotonic() < deadline:
        time.sleep(0.3)  # the automation schedules it again
        run = platform.wait_for_run(id, seconds=900)
    return run


def kill_when_running(platform: LocalPlatform, id: str) -> None:
    """Wait until a run is running, and kill its process."""
    platform.wait_for(lambda: platform.flow_run(id)["state_type"] == "RUNNING")
    listed = subprocess.check_output(["ps", "axeww", "-o", "pid=,args="], text=True)
    for line in listed.splitlines():
        if id in line:
            os.kill(int(line.split(None, 1)[0]), signal.SIGKILL)


# After a whole session


def test_each_case_ended_as_it_was_meant_to(session: Session) -> None:
    """With `--whole`, this checks all cases, otherwise some."""
    ended = {name: (run["state_type"], run["run_count"] > 1) for name, run in session.runs.items()}
    meant = {case.name: (case.ends, case.killed) for case in CASES if case.name in ended}
    assert ended == meant, [run["state"]["message"] for run in session.runs.values()]


@pytest.mark.demand(
    "robust",
    "no secret is left in Prefect's database, logs, artifacts, reports or files, in any form",
    "secrets",
    "forms",
    "findings",
)
def test_no_secret_is_left_behind(
    session: Session, record_property: Callable[[str, object], None]
) -> None:
    kinds = set(session.known.found.values())
    findings, search = session.search()
    record_property("secrets", len(session.known.found))
    record_property("forms", search.forms)
    record_property("findings", len(findings))

    # Secrets of these kinds were sent, so the search could have found them.
    assert {
        "harbor secret",
        "harbor cookie sid",
        "harbor CSRF token",
        "harbor administrator's password",
        "keycloak administrator's password",
        "keycloak access_token",
        "keycloak refresh_token",
        "keycloak secret",
        "kubernetes Bearer",
    } <= kinds
    assert findings == []


# The search itself


PLANTED = 'planted/secret+of "32" characters'


@pytest.mark.demand("robust", "a secret that is planted is found")
def test_a_secret_is_found_in_every_place_that_runs_write_to(session: Session) -> None:
    """The places are the database, logs, artifacts and files."""
    platform = session.platform
    run = session.runs["success"]
    body = {"type": "markdown", "key": "planted", "data": PLANTED, "flow_run_id": run["id"]}
    platform.call("POST", "artifacts/", body)
    log = {
        "name": "prefect.flow_runs",
        "level": 20,
        "message": PLANTED,
        "timestamp": run["start_time"],
        "flow_run_id": run["id"],
    }
    platform.call("POST", "logs/", [log])
    state = {"state": {"type": "FAILED", "message": PLANTED}, "force": True}
    platform.call("POST", f"flow_runs/{run['id']}/set_state", state)
    for folder in ("tmp", "prefect/storage"):
        (platform.folder / folder).mkdir(exist_ok=True)
        (platform.folder / folder / "planted").write_text(PLANTED)
    with next(platform.folder.glob("the-flows.log")).open("a") as file:
        file.write(PLANTED)
    (session.declared / "planted").write_text(PLANTED)

    findings, _ = session.search({PLANTED: "planted"})
    places = {finding.place for finding in findings}

    assert {
        "table artifact",
        "table log",
        "table flow_run_state",
        "file tmp/planted",
        "file prefect/storage/planted",
        "file the-flows.log",
        "file planted",
    } <= places
