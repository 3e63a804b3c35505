"""A real Prefect server with the flows served, and what a test gives its runs to work on."""

import base64
import itertools
import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import httpx
import kubernetes
import pytest
from keycloak import KeycloakAdmin
from prefect.settings import PREFECT_API_URL, temporary_settings

from demo.blocks import fill_in
from demo.processes import ROOT, LocalPlatform, Process, program
from tenantry.connections import HarborAccount
from tests.real.servers.apiserver import connect
from tests.real.servers.given import remove_from_cluster, remove_from_harbor
from tests.sandbox.calls import Caller

_names = (f"test-{number}" for number in itertools.count())


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPlatform]:
    """A Prefect server with blocks, automations and the served flows; no process logs an error.

    It starts no run by a schedule: one that starts amid a test holds its deployment's only slot.
    """
    settings = {"PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false"}
    with LocalPlatform(tmp_path_factory.mktemp("platform"), settings) as platform:
        platform.wait_for_server()
        with temporary_settings({PREFECT_API_URL: f"{platform.url}/api"}):
            platform.serve_flows()
            platform.run("deployments/automations.py")
            yield platform
    assert platform.new_errors() == []


class Worker:
    """A worker with the deployments of a file, instead of the flows if they are served."""

    def __init__(self, platform: LocalPlatform, file: Path = ROOT / "prefect.yaml") -> None:
        self._platform = platform
        self._file = file
        self._process: Process | None = None

    def __enter__(self) -> Self:
        pool = ("work-pool", "create", "tenantry", "--type", "process", "--overwrite")
        self._platform.run(*pool)
        self._served = self._platform.stop_flows()
        self.start()
        self._platform.run("deploy", "--all", "--prefect-file", str(self._file))
        self._platform.run("deployments/parameters.py")
        return self

    def __exit__(self, *raised: object) -> None:
        if self._process:
            self._platform.stop(self._process)
        if self._served:
            self._platform.serve_flows(self._file)

    def start(self) -> None:
        """Starts it."""
        command = [program("prefect"), "worker", "start", "--pool", "tenantry"]
        self._process = self._platform.start("the worker", command)

    def kill(self) -> None:
        """Kills it, and all runs that it started, with SIGKILL."""
        assert self._process
        self._platform.kill(self._process)
        self._process = None


class FlowBench:
    """A declared state, and the blocks that lead a run to it and to the systems."""

    def __init__(self, platform: LocalPlatform, addresses: dict[str, Any], declared: Path) -> None:
        self.platform = platform
        self.declared = declared
        self.block = next(_names)
        (declared / "teams").mkdir(parents=True)
        self.declare_platform("name: test\n")
        fill_in(addresses, declared, self.block)

    def declare_platform(self, text: str) -> None:
        (self.declared / "platform.yaml").write_text(text)

    def declare(self, name: str, text: str = "") -> None:
        (self.declared / "teams" / f"{name}.yaml").write_text(f"name: {name}\n{text}")

    @property
    def blocks(self) -> dict[str, str]:
        return dict.fromkeys(("declared_state", "harbor", "keycloak", "cluster"), self.block)

    def start(
        self, flow: str, key: str | None = None, named: str | None = None, **parameters: Any
    ) -> str:
        """Starts a run through the API, as anybody does."""
        return self.platform.create_run(f"{flow}/{flow}", self.blocks | parameters, key, named)

    def run(self, flow: str, **parameters: Any) -> dict[str, Any]:
        """Runs a flow to its end, and gives the run."""
        return self.platform.wait_for_run(self.start(flow, **parameters))

    def artifact(self, key: str, run: dict[str, Any]) -> dict[str, Any]:
        """The run's latest artifact of a key."""
        body = {"artifacts": {"key": {"any_": [key]}, "flow_run_id": {"any_": [run["id"]]}}}
        found = self.platform.call("POST", "artifacts/filter", body)
        assert found, f"run {run['name']} has no artifact {key}"
        return found[-1]

    def task_runs(self, run: dict[str, Any]) -> list[dict[str, Any]]:
        """The server's records of all tasks of an ended run.

        It has them a moment later, one after the other, and some under another name at first. How
        many there must be tells the run's log: each task has a last word there, and then the run.
        """
        of_run = {"any_": [run["id"]]}
        records: list[dict[str, Any]] = []

        def all_recorded() -> bool:
            body = {"logs": {"flow_run_id": of_run}, "sort": "TIMESTAMP_DESC"}
            lines = self.platform.call("POST", "logs/filter", body)
            said = "Finished in state "
            ended = {line["task_run_id"] for line in lines if line["message"].startswith(said)}
            body = {"flow_runs": {"id": of_run}, "sort": "EXPECTED_START_TIME_ASC"}
            records[:] = self.platform.call("POST", "task_runs/filter", body)
            recorded = {record["id"] for record in records if record["end_time"]}
            return None in ended and ended - {None} <= recorded

        self.platform.wait_for(all_recorded)
        return records

    def task_states(self, run: dict[str, Any]) -> dict[str, str]:
        """Names and states of an ended run's tasks."""
        return {record["name"]: record["state_name"] for record in self.task_runs(run)}


class SharedBench(FlowBench):
    """A bench on systems that hold more than ours, such as those that are given.

    It works in a realm of its own, and on teams whose names bear its mark. Leaving it removes
    from the systems whatever has the mark in its name.

    Attributes:
        mark: what nothing else there has in its name.
        realm: the name of the realm.
        harbor: calls Harbor as its administrator.
        admin: an administrator of Keycloak, in the realm.
        core: the cluster's namespaces, Secrets and so on.
    """

    def __init__(self, platform: LocalPlatform, addresses: dict[str, Any], declared: Path) -> None:
        self.mark = uuid.uuid4().hex[:8]
        self.realm = f"platform-{self.mark}"
        self.addresses = addresses
        self._harbor = HarborAccount.model_validate(addresses["harbor"])
        password = self._harbor.password.get_secret_value()
        self.harbor = Caller(self._harbor.url, self._harbor.username, password)
        self.admin = self._administrator()
        self.api = connect(Path(addresses["kubernetes"]["kubeconfig"]))
        self.core: Any = kubernetes.client.CoreV1Api(self.api)
        super().__init__(platform, addresses, declared)

    def _administrator(self) -> KeycloakAdmin:
        account = self.addresses["keycloak"]
        return KeycloakAdmin(
            # Without the slash at its end, python-keycloak drops the path.
            server_url=f"{account['url']}/",
            username=account["username"],
            password=account["password"],
            realm_name="master",
            user_realm_name="master",
            verify=account.get("verify", True),
            max_retries=0,
        )

    def __enter__(self) -> Self:
        self.admin.create_realm({"realm": self.realm, "enabled": True})
        self.admin.change_current_realm(self.realm)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with ExitStack() as stack:  # each of them, whatever becomes of the others
            stack.callback(self.api.close)
            stack.callback(remove_from_cluster, self.core, self.mark)
            stack.callback(remove_from_harbor, self._harbor, self.mark)
            self.admin.delete_realm(self.realm)

    def declare_platform(self, text: str) -> None:
        super().declare_platform(f"{text}keycloak: {{realm: {self.realm}}}\n")

    def name(self, team: str) -> str:
        """A team's name that nobody else has."""
        return f"{team}-{self.mark}"

    def slug(self, team: str) -> str:
        """What the team's project, namespace and group are called."""
        return f"team-{self.name(team)}"

    # What is there

    def has_project(self, team: str) -> bool:
        """Whether Harbor has the team's project."""
        answer = self.harbor("HEAD", f"/projects?project_name={self.slug(team)}")
        assert answer.status_code in (200, 404), answer.status_code
        return bool(answer.status_code == 200)

    def has_namespace(self, team: str) -> bool:
        """Whether the cluster has the team's namespace."""
        found = [namespace.metadata.name for namespace in self.core.list_namespace().items]
        return self.slug(team) in found

    def has_group(self, team: str) -> bool:
        """Whether the realm has the team's group."""
        return self.slug(team) in [group["name"] for group in self.admin.get_groups()]

    def secret(self, name: str, team: str) -> dict[str, str]:
        """What a Secret in the team's namespace holds, decoded."""
        data = self.core.read_namespaced_secret(name, self.slug(team)).data
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def login(self, name: str, team: str) -> tuple[str, str]:
        """User name and password in a robot's Secret."""
        (entry,) = json.loads(self.secret(name, team)[".dockerconfigjson"])["auths"].values()
        return entry["username"], entry["password"]

    def opens(self, name: str, team: str) -> bool:
        """Whether what a robot's Secret holds opens Harbor, as docker would use it."""
        answer = self.harbor.login(*self.login(name, team))(
            "GET", "/service/token?service=harbor-registry"
        )
        assert answer.status_code in (200, 401), answer.text
        return bool(answer.status_code == 200)


class Question(NamedTuple):
    """The form that a suspended run waits with."""

    description: str
    schema: dict[str, Any]
    keyset: dict[str, str]

    @property
    def plan(self) -> str:
        """The hash of the plan that it asks about."""
        return str(self.schema["properties"]["plan"]["default"])


def paused(bench: Any, id: str) -> Question:
    """Waits until a run is suspended, and gives its question."""
    platform: LocalPlatform = bench.platform
    platform.wait_for(lambda: platform.flow_run(id)["state_type"] == "PAUSED")
    keyset = platform.flow_run(id)["state"]["state_details"]["run_input_keyset"]
    form: list[Any] = []

    def is_stored() -> bool:
        """Prefect sets the state first, and stores the form and its text after that."""
        try:
            form[:] = [
                platform.call("GET", f"flow_runs/{id}/input/{keyset[part]}")
                for part in ("schema", "description")
            ]
        except httpx.HTTPStatusError as error:
            if error.response.status_code != 404:
                raise
        return bool(form)

    platform.wait_for(is_stored)
    schema, described = form
    schema = schema if isinstance(schema, dict) else json.loads(schema)
    return Question(str(described), schema, keyset)


def asked_again(bench: Any, id: str, before: Question) -> Question:
    """Waits until a run asks another question than this one, and gives it."""
    bench.platform.wait_for(
        lambda: (
            bench.platform.flow_run(id)["state_type"] == "PAUSED"
            and paused(bench, id).keyset != before.keyset
        )
    )
    return paused(bench, id)


def answer(
    bench: Any, id: str, *, approve: bool, plan: str | None = None, your_name: str = ""
) -> str:
    """Answers a run's question, and gives the hash of the plan that it asked about."""
    asked = paused(bench, id).plan
    given = {"approve": approve, "plan": asked if plan is None else plan, "your_name": your_name}
    said = bench.platform.call("POST", f"flow_runs/{id}/resume", {"run_input": given})
    assert said["status"] == "ACCEPT", said
    return asked


@contextmanager
def wide(platform: LocalPlatform, *flows: str) -> Iterator[None]:
    """Lets any number of runs of each of these deployments run at once."""
    limits = {}
    for flow in flows:
        id = platform.call("GET", f"deployments/name/{flow}/{flow}")["id"]
        limit = f"v2/concurrency_limits/deployment:{id}"
        limits[limit] = platform.call("GET", limit)["limit"]
        platform.call("PATCH", limit, {"limit": 100})
    try:
        yield
    finally:
        for limit, number in limits.items():
            platform.call("PATCH", limit, {"limit": number})


def scheduled_runs(platform: LocalPlatform, deployment: str, *states: str) -> list[dict[str, Any]]:
    """Return the runs that the server created for a deployment's schedule, the earliest first."""
    body = {
        "deployments": {"name": {"any_": [deployment]}},
        "flow_runs": {"state": {"type": {"any_": list(states)}}},
        "sort": "EXPECTED_START_TIME_ASC",
    }
    found: list[dict[str, Any]] = platform.call("POST", "flow_runs/filter", body)
    return [run for run in found if run["auto_scheduled"]]


def kill_when_running(platform: LocalPlatform, id: str, after_runs: int = 0) -> None:
    """Kill the process of a run with SIGKILL as soon as it runs for the next time."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        run = platform.flow_run(id)
        if run["state_type"] == "RUNNING" and run["run_count"] > after_runs:
            kill_run(id)
            return
        time.sleep(0.02)
    raise AssertionError(f"the run did not start: {platform.flow_run(id)['state_name']}")


def kill_run(id: str) -> None:
    """Kill the process of a run with SIGKILL now."""
    killed = _processes_of(id)
    for pid in killed:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert killed, "the run's process was found"


def _processes_of(id: str) -> list[int]:
    """Return the ids of the processes whose environment names the run."""
    listed = subprocess.check_output(["ps", "axeww", "-o", "pid=,args="], text=True)
    lines = (line for line in listed.splitlines() if id in line)
    return [int(line.split(None, 1)[0]) for line in lines]
