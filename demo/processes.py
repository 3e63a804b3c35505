"""The processes of a platform on one machine, which start and stop together."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from demo.logs import LogReader

ROOT = Path(__file__).parent.parent
# A Prefect server with a new database may need minutes on a busy machine.
_START_TIMEOUT = 600.0


class ProcessDied(Exception):
    """A process ended unexpectedly. The message has the end of its log."""


class Process:
    """A process in its own process group, with a log file. `stop` also ends its children."""

    def __init__(
        self, name: str, command: list[str], env: Mapping[str, str], log: Path, cwd: Path = ROOT
    ) -> None:
        self.name = name
        self.log = log
        with log.open("wb") as file:
            self.popen = subprocess.Popen(
                command,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=dict(env),
                cwd=cwd,
                start_new_session=True,
            )

    def check(self) -> None:
        """Raise ProcessDied if the process has ended."""
        if self.popen.poll() is not None:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])
            raise ProcessDied(f"{self.name} ended with status {self.popen.returncode}:\n{tail}")

    def stop(self) -> None:
        """Terminate the process; kill it if it has not ended after ten seconds."""
        for number, timeout in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0)):
            if self.popen.poll() is not None:
                break
            _signal_group(self.popen.pid, number)
            try:
                self.popen.wait(timeout)
            except subprocess.TimeoutExpired:
                continue
        self.kill()

    def kill(self) -> None:
        """Kill the process and its children."""
        _signal_group(self.popen.pid, signal.SIGKILL)
        self.popen.wait()


def _signal_group(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, number)


def free_port() -> int:
    """Return a free port of the loopback address."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class LocalPlatform:
    """A context manager that runs a Prefect server, and the processes that use it.

    Attributes:
        url: the address of the server and its UI.
        env: the environment for all processes that call the server.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._port = port
        self._stack = ExitStack()
        self._processes: list[Process] = []
        self._logs: list[Path] = []
        self._log_reader = LogReader()
        self._flows: Process | None = None
        temporary = folder / "tmp"
        temporary.mkdir(parents=True)
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
        self.env: dict[str, str] = {
            **kept,
            "TMPDIR": str(temporary),
            # A worker starts `python`.
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_API_URL": f"{self.url}/api",
            # Without this setting, the UI calls port 4200.
            "PREFECT_SERVER_UI_API_URL": f"{self.url}/api",
            "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
            "DO_NOT_TRACK": "1",
            # Measured: for 1,000 task runs, recording in batches takes 7.6 CPU seconds instead of 25.6.
            "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "200",
            "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
            "PREFECT_RUNNER_POLL_FREQUENCY": "1",
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            # SQLite allows one writer at a time, so others must wait longer on a busy machine.
            "PREFECT_SERVER_DATABASE_TIMEOUT": "30",
            "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": "30",
            "PREFECT_CLIENT_MAX_RETRIES": "10",
            "PREFECT_LOGGING_EXTRA_LOGGERS": "tenantry",
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
            **(settings or {}),
        }

    def __enter__(self) -> Self:
        try:
            port = str(self._port)
            command = [
                program("prefect"),
                "server",
                "start",
                "--host",
                "127.0.0.1",
                "--port",
                port,
            ]
            self.start("the Prefect server", command)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def start(self, name: str, command: list[str]) -> Process:
        """Start and return a process that ends with the platform."""
        stem = name.replace(" ", "-")
        started = sum(log.stem.partition(".")[0] == stem for log in self._logs)
        log = self.folder / (f"{stem}.{started + 1}.log" if started else f"{stem}.log")
        self._logs.append(log)
        process = Process(name, command, self.env, log)
        self._stack.callback(process.stop)
        self._processes.append(process)
        return process

    def serve_flows(self, file: Path = ROOT / "prefect.yaml") -> None:
        """Serve the deployments of a file; return when the API accepts runs of them."""
        command = [sys.executable, str(ROOT / "deployments" / "serve.py"), str(file)]
        self._flows = process = self.start("the flows", command)
        self.wait_for(lambda: "Serving " in process.log.read_text(), process)

    def stop(self, process: Process) -> None:
        """Stop one process before the others."""
        process.stop()
        self._processes.remove(process)

    def stop_flows(self) -> bool:
        """Stop serving the flows, and return whether they were served."""
        flows, self._flows = self._flows, None
        if flows:
            self.stop(flows)
        return flows is not None

    def kill_flows(self) -> None:
        """Kill the process that serves the flows, with all its runs."""
        flows, self._flows = self._flows, None
        assert flows, "the flows are not served"
        self.kill(flows)

    def kill(self, process: Process) -> None:
        """Kill a process with its children."""
        process.kill()
        self._processes.remove(process)

    def run(self, *command: str) -> None:
        """Run a Prefect command or a Python file; raise ProcessDied if it fails."""
        arguments = [sys.executable, *command]
        if not command[0].endswith(".py"):
            arguments = [program("prefect"), "--no-prompt", *command]
        done = subprocess.run(
            arguments, env=self.env, cwd=ROOT, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ProcessDied(f"{' '.join(command)}:\n{done.stdout}\n{done.stderr}")

    def new_errors(self) -> list[str]:
        """Return the errors that the processes logged since the last call, without noise."""
        return self._log_reader.errors(self._logs)

    def check(self) -> None:
        """Raise ProcessDied if a process has ended."""
        for process in self._processes:
            process.check()

    def wait_for(
        self, done: Any, process: Process | None = None, seconds: float = _START_TIMEOUT
    ) -> None:
        """Wait until `done()` is true; raise ProcessDied if a process ends or the time is up."""
        deadline = time.monotonic() + seconds
        while not done():
            self.check()
            if time.monotonic() > deadline:
                name = process.name if process else "the platform"
                raise ProcessDied(f"{name} is not ready after {seconds:.0f} s")
            time.sleep(0.3)

    def wait_for_server(self) -> None:
        """Wait until the server answers. With a new database this takes about 15 seconds."""

        def healthy() -> bool:
            try:
                return httpx.get(f"{self.url}/api/health", timeout=5).status_code == 200
            except httpx.TransportError:
                return False

        self.wait_for(healthy)

    # Calls of the API

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Call the server's API, repeatedly on 503, and return the JSON content of the answer or None."""
        for _ in range(30):
            answer = httpx.request(method, f"{self.url}/api/{path}", json=body, timeout=60)
            if answer.status_code != 503:  # the SQLite database is locked for a moment
                break
            time.sleep(0.5)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def create_run(
        self,
        deployment: str,
        parameters: dict[str, Any],
        key: str | None = None,
        name: str | None = None,
    ) -> str:
        """Create a run of a deployment, named `flow/deployment`, and return its id."""
        id = self.call("GET", f"deployments/name/{deployment}")["id"]
        body = {"parameters": parameters, "idempotency_key": key} | ({"name": name} if name else {})
        return str(self.call("POST", f"deployments/{id}/create_flow_run", body)["id"])

    def flow_run(self, id: str) -> dict[str, Any]:
        """Return the current state of a run."""
        run: dict[str, Any] = self.call("GET", f"flow_runs/{id}")
        return run

    def run_log(self, id: str) -> str:
        """Return the messages that a run has logged so far, one a line."""
        return "\n".join(line["message"] for line in self._log_lines(id))

    def whole_log(self, id: str) -> str:
        """Return the log of an ended run, once the server has the entry of its final state."""

        def is_complete() -> bool:
            own = [line for line in self._log_lines(id) if line["task_run_id"] is None]
            return any(line["message"].startswith("Finished in state ") for line in own)

        self.wait_for(is_complete)
        return self.run_log(id)

    def _log_lines(self, id: str) -> list[dict[str, Any]]:
        body = {"logs": {"flow_run_id": {"any_": [id]}}, "sort": "TIMESTAMP_ASC"}
        lines: list[dict[str, Any]] = self.call("POST", "logs/filter", body)
        return lines

    def wait_for_run(self, id: str, seconds: float = 300, every: float = 0.3) -> dict[str, Any]:
        """Wait until a run has ended, and return it. Its state is read `every` so many seconds."""
        deadline = time.monotonic() + seconds
        while True:
            run = self.flow_run(id)
            if run["state_type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"):
                return run
            self.check()
            if time.monotonic() > deadline:
                raise ProcessDied(f"run {id} is {run['state_name']} after {seconds:.0f} s")
            time.sleep(every)


def start_sandbox(platform: LocalPlatform) -> dict[str, Any]:
    """Start the sandbox as a process of the platform, and return its addresses."""
    process = platform.start("the sandbox", [sys.executable, "-m", "tenantry.cli", "sandbox"])
    platform.wait_for(lambda: process.log.read_text().count("\n") > 0, process)
    addresses: dict[str, Any] = json.loads(process.log.read_text().splitlines()[0])
    return addresses


def program(name: str) -> str:
    """Return the path of a program in the current Python environment."""
    return str(Path(sys.executable).parent / name)
