"""A real Prefect server that serves the flows, and benches for their runs."""

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
from typing import Any, Self

import kubernetes
import pytest
from keycloak import KeycloakAdmin
from prefect.settings import PREFECT_API_URL, temporary_settings

from demo.blocks import save_blocks
from demo.processes import ROOT, LocalPlatform, Process, program
from tenantry.connections import HarborAccount
from tests.real.servers.apiserver import connect
from tests.real.servers.given import remove_from_cluster, remove_from_harbor
from tests.sandbox.calls import Caller

_names = (f"test-{number}" for number in itertools.count())


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPlatform]:
    """Return a Prefect server with blocks, automations and served flows. None may log an error.

    It starts no scheduled runs: a run that starts during a test takes its deployment's only slot.
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
    """A worker with the deployments of a file; it replaces the process that serves the flows."""

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
        """Start the worker."""
        command = [program("prefect"), "worker", "start", "--pool", "tenantry"]
        self._process = self._platform.start("the worker", command)

    def kill(self) -> None:
        """Kill the worker, and all runs that it started, with SIGKILL."""
        assert self._process
        self._platform.kill(self._process)
        self._process = None


class FlowBench:
    """A declared state, and the blocks with which a run loads it and connects to the systems."""

    def __init__(self, platform: LocalPlatform, addresses: dict[str, Any], declared: Path) -> None:
        self.platform = platform
        self.declared = declared
        self.block = next(_names)
        (declared / "teams").mkdir(parents=True)
        self.declare_platform("name: test\n")
        save_blocks(addresses, declared, self.block)

    def declare_platform(self, text: str) -> None:
        (self.declared / "platform.yaml").write_text(text)

    def declare(self, name: str, text: str = "") -> None:
        (self.declared / "teams" / f"{name}.yaml").write_text(f"name: {name}\n{text}")

    @property
    def blocks(self) -> dict[str, str]:
        return {"platform": self.block}

    def start(
        self, flow: str, key: str | None = None, named: str | None = None, **parameters: Any
    ) -> str:
        """Start a run through the API, and return its id."""
        return self.platform.create_run(f"{flow}/{flow}", self.blocks | parameters, key, named)

    def run(self, flow: str, **parameters: Any) -> dict[str, Any]:
        """Run a flow to its end, and return the run."""
        return self.platform.wait_for_run(self.start(flow, **parameters))

    def artifact(self, key: str, run: dict[str, Any]) -> dict[str, Any]:
        """Return the run's latest artifact with this key."""
        body = {"artifacts": {"key": {"any_": [key]}, "flow_run_id": {"any_": [run["id"]]}}}
        found = self.platform.call("POST", "artifacts/filter", body)
        assert found, f"run {run['name']} has no artifact {key}"
        return found[-1]

    def task_runs(self, run: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the server's records of all tasks of an ended run.

        The server stores them one by one after the run has ended, some under another name at first.
        The run's log shows how many there are: each task has a last line, and then the run.
        """
        of_run = {"any_": [run["id"]]}
        records: list[dict[str, Any]] = []

        def all_recorded() -> bool:
            body = {"logs": {"flow_run_id": of_run}, "sort": "TIMESTAMP_DESC"}
            lines = self.platform.call("POST", "logs/filter", body)
            last = "Finished in state "
            ended = {line["task_run_id"] for line in lines if line["message"].startswith(last)}
            body = {"flow_runs": {"id": of_run}, "sort": "EXPECTED_START_TIME_ASC"}
            records[:] = self.platform.call("POST", "task_runs/filter", body)
            recorded = {record["id"] for record in records if record["end_time"]}
            return None in ended and ended - {None} <= recorded

        self.platform.wait_for(all_recorded)
        return records

    def task_states(self, run: dict[str, Any]) -> dict[str, str]:
        """Return the states of an ended run's tasks by name."""
        return {record["name"]: record["state_name"] for record in self.task_runs(run)}


class SharedBench(FlowBench):
    """A bench on systems that hold other data too, such as given ones.

    It has its own realm, and the names of its teams contain its mark. In the end it removes all
    objects whose names contain the mark.

    Attributes:
        mark: A text that no other name in the systems contains.
        realm: The name of the realm.
        harbor: Calls Harbor as its administrator.
        admin: An administrator of Keycloak, in the realm.
        core: The cluster's core API.
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
            # Without the trailing slash, python-keycloak drops the path.
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
        with ExitStack() as stack:  # each of them runs, even if another one fails
            stack.callback(self.api.close)
            stack.callback(remove_from_cluster, self.core, self.mark)
            stack.callback(remove_from_harbor, self._harbor, self.mark)
            self.admin.delete_realm(self.realm)

    def declare_platform(self, text: str) -> None:
        super().declare_platform(f"{text}keycloak: {{realm: {self.realm}}}\n")

    def name(self, team: str) -> str:
        """Return a unique name for a team."""
        return f"{team}-{self.mark}"

    def slug(self, team: str) -> str:
        """Return the name of the team's project, namespace and group."""
        return f"team-{self.name(team)}"

    # The systems

    def has_project(self, team: str) -> bool:
        """Return whether Harbor has the team's project."""
        answer = self.harbor("HEAD", f"/projects?project_name={self.slug(team)}")
        assert answer.status_code in (200, 404), answer.status_code
        return bool(answer.status_code == 200)

    def has_namespace(self, team: str) -> bool:
        """Return whether the cluster has the team's namespace."""
        found = [namespace.metadata.name for namespace in self.core.list_namespace().items]
        return self.slug(team) in found

    def has_group(self, team: str) -> bool:
        """Return whether the realm has the team's group."""
        return self.slug(team) in [group["name"] for group in self.admin.get_groups()]

    def secret(self, name: str, team: str) -> dict[str, str]:
        """Return the decoded data of a Secret in the team's namespace."""
        data = self.core.read_namespaced_secret(name, self.slug(team)).data
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def login(self, name: str, team: str) -> tuple[str, str]:
        """Return the user name and the password in a robot's Secret."""
        (entry,) = json.loads(self.secret(name, team)[".dockerconfigjson"])["auths"].values()
        return entry["username"], entry["password"]

    def can_log_in(self, name: str, team: str) -> bool:
        """Return whether Harbor's token service accepts the credential in a robot's Secret."""
        answer = self.harbor.login(*self.login(name, team))(
            "GET", "/service/token?service=harbor-registry"
        )
        assert answer.status_code in (200, 401), answer.text
        return bool(answer.status_code == 200)


@contextmanager
def wide(platform: LocalPlatform, *flows: str) -> Iterator[None]:
    """Let up to 100 runs of each of these deployments run at once while the context lasts."""
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
    """Return the scheduled runs of a deployment, the earliest first."""
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
