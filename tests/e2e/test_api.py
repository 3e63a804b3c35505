"""Onboarding through Prefect's API, as docs/api.md describes it."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from demo.blocks import save_blocks
from demo.processes import ROOT, LocalPlatform
from tests.e2e.conftest import SandboxBench
from tests.support.flow_harness import Worker

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),
    pytest.mark.demand("robust", "all of tests/e2e/test_api.py"),
]

SCRIPT = ROOT / "deployments" / "api" / "onboard-team.sh"
LOGIN = "tester:correct horse"
NEVER = {"type": "SCHEDULED", "state_details": {"scheduled_time": "2100-01-01T00:00:00Z"}}


@pytest.fixture
def onboard(platform: LocalPlatform, tmp_path: Path) -> Callable[..., Any]:
    return caller(f"{platform.url}/api", tmp_path)


def caller(api: str, folder: Path, **variables: str) -> Callable[..., Any]:
    """Return a function that calls the script with parameters and returns the finished process."""

    def onboard(
        request: str, parameters: dict[str, Any], **more: str
    ) -> subprocess.CompletedProcess[str]:
        file = folder / f"parameters-{time.monotonic_ns()}.json"
        file.write_text(json.dumps(parameters))
        environment = {**os.environ, "PREFECT_API_URL": api, **variables, **more}
        return subprocess.run(
            [str(SCRIPT), request, str(file)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return onboard


def run_of(done: subprocess.CompletedProcess[str]) -> str:
    found = re.search(r"run ([0-9a-f-]{36})", done.stdout + done.stderr)
    assert found, done
    return found[1]


def runs_of_deployment(platform: LocalPlatform) -> int:
    body = {"deployments": {"name": {"any_": ["onboard-team"]}}}
    return int(platform.call("POST", "flow_runs/count", body))


def seconds_of(run: dict[str, Any]) -> tuple[float, float]:
    """Return the seconds from the call to the state Running, and to the end."""
    times = [time_of(run[key]) for key in ("created", "start_time", "end_time")]
    return times[1] - times[0], times[2] - times[0]


def time_of(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


# Served


@pytest.mark.demand(
    "robust",
    "served: the same key makes one run; seconds from the call to Running and to Completed",
    "running",
    "done",
)
def test_the_same_request_makes_one_run_however_often_it_is_sent(
    bench: SandboxBench, onboard: Callable[..., Any], record_property: Callable[[str, object], None]
) -> None:
    parameters = {"team": {"name": "demo"}, **bench.blocks}
    before = runs_of_deployment(bench.platform)

    first = onboard(bench.block, parameters)
    second = onboard(bench.block, dict(reversed(parameters.items())))

    assert first.returncode == 0, first
    assert second.returncode == 0, second
    assert run_of(first) == run_of(second)
    assert "created" in first.stdout
    assert "was there already" in second.stdout
    assert "1 team:" in first.stdout
    assert runs_of_deployment(bench.platform) == before + 1
    assert "team-demo" in bench.sandbox.harbor.projects
    running, done = seconds_of(bench.platform.flow_run(run_of(first)))
    record_property("running", f"{running:.1f}")
    record_property("done", f"{done:.1f}")


@pytest.mark.demand("robust", "other parameters make another run: the key has their hash")
@pytest.mark.long
def test_the_same_request_with_other_parameters_is_another_run(
    bench: SandboxBench, onboard: Callable[..., Any]
) -> None:
    """Prefect would silently return the old run. The key therefore has a hash of the parameters."""
    parameters = {"team": {"name": "demo"}, "dry_run": True, **bench.blocks}

    first = onboard(bench.block, parameters, FOLLOW="0")
    other = onboard(bench.block, {**parameters, "team": {"name": "demo", "contact": "x"}})
    key = {"idempotency_key": f"{bench.block}-raw", "state": NEVER}
    raw = [
        create(bench.platform, {"parameters": {**bench.blocks, "team": {"name": name}}, **key})
        for name in ("one", "two")
    ]

    assert run_of(first) != run_of(other)
    assert [answer.status_code for answer in raw] == [201, 200]
    assert raw[1].json()["parameters"]["team"]["name"] == "one"


def create(platform: LocalPlatform, body: dict[str, Any]) -> httpx.Response:
    id = platform.call("GET", "deployments/name/onboard-team/onboard-team")["id"]
    url = f"{platform.url}/api/deployments/{id}/create_flow_run"
    while (answer := httpx.post(url, json=body, timeout=60)).status_code == 503:
        time.sleep(0.5)
    return answer


@pytest.mark.demand(
    "reality", "faulty files, hostile values and faulty parameters through a real Prefect server"
)
@pytest.mark.demand("robust", "a bad team is refused by the API with field and reason")
@pytest.mark.parametrize(
    ("parameters", "field", "reason"),
    [
        ({"team": {"name": "Demo"}}, "'team.name'", "'1 to 58 lower-case letters and digits"),
        ({"team": {"name": "demo\n"}}, "'team.name'", "'1 to 58 lower-case letters and digits"),
        ({"team": {"name": "demo", "colour": "red"}}, "'team'", "'colour' is not one of ['name',"),
        (
            {"team": {"name": "demo", "harbor": {"role": "boss"}}},
            "'team.harbor.role'",
            "'boss' is not one of",
        ),
        ({"team": {"name": "demo"}, "dryrun": True}, "", "'dryrun' was unexpected"),
        ({"dry_run": True}, "", "'team' is a required property"),
    ],
)
def test_faulty_parameters_are_refused_with_field_and_reason(
    bench: SandboxBench,
    onboard: Callable[..., Any],
    parameters: dict[str, Any],
    field: str,
    reason: str,
) -> None:
    before = runs_of_deployment(bench.platform)

    done = onboard(bench.block, {**parameters, **bench.blocks})

    assert done.returncode == 2
    assert "answered 409: Error creating flow run: Validation failed" in done.stderr
    assert field in done.stderr
    assert reason in done.stderr
    assert runs_of_deployment(bench.platform) == before
    assert bench.sandbox.requests.total() == 0


def test_the_other_flow_takes_no_unknown_parameter_either(bench: SandboxBench) -> None:
    with pytest.raises(httpx.HTTPStatusError) as refused:
        bench.start("onboard-teams", colour="red")

    assert refused.value.response.status_code == 409


@pytest.mark.long
def test_a_run_that_fails_says_why(bench: SandboxBench, onboard: Callable[..., Any]) -> None:
    done = onboard(bench.block, {"team": {"name": "demo", "profile": "large"}, **bench.blocks})

    assert done.returncode == 1
    assert "Failed: team demo: profile: 'large' is not a profile" in done.stderr


@pytest.mark.long
def test_a_call_whose_answer_got_lost_is_sent_again_and_makes_one_run(
    bench: SandboxBench, tmp_path: Path
) -> None:
    before = runs_of_deployment(bench.platform)
    with Unreliable(bench.platform.url) as api:
        onboard = caller(f"{api.url}/api", tmp_path)
        done = onboard(bench.block, {"team": {"name": "demo"}, **bench.blocks})

    assert done.returncode == 0, done
    # Prefect's server also answers 503 while SQLite is busy.
    answered = [status for status in api.answers if status != 503]
    assert answered == [201, 200], "the first answer, a 503 to the caller, and the second"
    assert runs_of_deployment(bench.platform) == before + 1


class Unreliable:
    """A proxy of the API that answers 503 to the first call that creates a run, although it does."""

    def __init__(self, behind: str) -> None:
        self.answers: list[int] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _forward(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {"Content-Type": "application/json"}
                answer = httpx.request(
                    self.command, behind + self.path, content=body, headers=headers, timeout=60
                )
                status, content = answer.status_code, answer.content
                if self.path.endswith("create_flow_run"):
                    outer.answers.append(status)
                    if len(outer.answers) == 1:
                        status, content = 503, b"{}"
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = _forward  # noqa: N815 the library's names

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.mark.demand("robust", "the calls of docs/api.md work as printed")
@pytest.mark.long
def test_the_documented_calls_work_as_they_stand(bench: SandboxBench) -> None:
    missing = [tool for tool in ("curl", "jq") if shutil.which(tool) is None]
    assert not missing, f"docs/api.md calls {', '.join(missing)}: install it (apt-get install)"
    save_blocks(bench.sandbox.addresses(), bench.declared)  # as `default`
    page = (ROOT / "docs" / "api.md").read_text()
    by_hand = page.partition("## By hand")[2].partition("\n## ")[0]
    script = "\n".join(re.findall(r"^```shell\n(.*?)^```$", by_hand, re.DOTALL | re.MULTILINE))

    done = subprocess.run(
        ["sh", "-eu", "-c", script],
        env={**os.environ, "PREFECT_API_URL": f"{bench.platform.url}/api"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done
    assert "Completed: 1 team: " in done.stdout
    assert "docker login" in done.stdout, "the output has the welcome page"
    assert "team-shop" in bench.sandbox.harbor.projects


# By a worker


@pytest.mark.demand(
    "robust",
    "by a worker: the same; seconds from the call to Running and to Completed",
    "running",
    "done",
)
@pytest.mark.long
def test_a_worker_does_the_same(
    bench: SandboxBench, onboard: Callable[..., Any], record_property: Callable[[str, object], None]
) -> None:
    parameters = {"team": {"name": "demo"}, **bench.blocks}
    with Worker(bench.platform):
        refused = onboard(bench.block, {**parameters, "colour": "red"})
        first = onboard(bench.block, parameters)
        second = onboard(bench.block, parameters)

    assert "'colour' was unexpected" in refused.stderr
    assert first.returncode == second.returncode == 0, first
    assert run_of(first) == run_of(second)
    assert "team-demo" in bench.sandbox.harbor.projects
    running, done = seconds_of(bench.platform.flow_run(run_of(first)))
    record_property("running", f"{running:.1f}")
    record_property("done", f"{done:.1f}")


# A server that requires a login, and whose SQLite does not wait for other writers


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPlatform]:
    settings = {
        "PREFECT_SERVER_API_AUTH_STRING": LOGIN,
        "PREFECT_API_AUTH_STRING": LOGIN,
        "PREFECT_SERVER_DATABASE_TIMEOUT": "0.1",
        "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": "0.1",
    }
    with LocalPlatform(tmp_path_factory.mktemp("guarded"), settings) as platform:
        platform.wait_for_server()
        yield platform


@pytest.mark.long
def test_a_server_that_asks_for_a_login_is_given_it(guarded: LocalPlatform, tmp_path: Path) -> None:
    api = f"{guarded.url}/api"
    parameters = {"team": {"name": "demo"}}

    without = caller(api, tmp_path)("1", parameters)
    wrong = caller(api, tmp_path, PREFECT_API_AUTH_STRING="tester:wrong")("1", parameters)
    right = caller(api, tmp_path, PREFECT_API_AUTH_STRING=LOGIN)("1", parameters)

    assert (without.returncode, wrong.returncode, right.returncode) == (2, 2, 2)
    assert "answered 401" in without.stderr
    assert "answered 401" in wrong.stderr
    assert "answered 404: Deployment not found" in right.stderr, "nothing is deployed there yet"


@pytest.mark.demand("robust", "a caller who gets 503 calls again with the same key: one run")
@pytest.mark.long
def test_a_caller_who_gets_503_calls_again_with_the_same_key(
    guarded: LocalPlatform, tmp_path: Path
) -> None:
    guarded.run("work-pool", "create", "tenantry", "--type", "process", "--overwrite")
    guarded.run("deploy", "--all")
    onboard = caller(f"{guarded.url}/api", tmp_path, PREFECT_API_AUTH_STRING=LOGIN, FOLLOW="0")
    parameters = {"team": {"name": "demo"}}

    with locked(guarded):
        refused = onboard("1", parameters, RETRIES="0")
        assert "still answers 503" in refused.stderr
        assert refused.returncode == 3
        waiting: list[subprocess.CompletedProcess[str]] = []
        thread = threading.Thread(target=lambda: waiting.append(onboard("1", parameters)))
        thread.start()
        time.sleep(2)
    thread.join()
    (done,) = waiting
    again = onboard("1", parameters)

    assert done.returncode == 0, done
    assert run_of(done) == run_of(again)
    assert "was there already" in again.stdout


@contextmanager
def locked(platform: LocalPlatform) -> Iterator[None]:
    """Hold a write lock on the server's SQLite database."""
    file = platform.folder / "prefect" / "prefect.db"
    with closing(sqlite3.connect(file, timeout=60, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        yield
        database.execute("ROLLBACK")
