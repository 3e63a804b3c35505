"""Serves the simulated systems and the controls on four loopback ports, from one event loop.

A system is a class with ``app`` (an ASGI app), ``dump()`` (returns its state as JSON values) and
``load()`` (restores such a state). The systems do not know each other, nor ports and files: this
module connects them.
"""

import asyncio
import contextlib
import json
import os
import shlex
import shutil
import signal
import socket
import ssl
import tempfile
import threading
from base64 import b64encode
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import uvicorn
from starlette.types import ASGIApp, Scope

from tenantry.sandbox.certificates import Authority
from tenantry.sandbox.clock import Clock
from tenantry.sandbox.connections import Connection
from tenantry.sandbox.control_app import control_app
from tenantry.sandbox.controls import Controls
from tenantry.sandbox.counting import RequestCounter, template_of
from tenantry.sandbox.harbor import ADMIN, ADMIN_PASSWORD, SimulatedHarbor
from tenantry.sandbox.harbor.routing import routes
from tenantry.sandbox.harbor.wire import Refusal
from tenantry.sandbox.keycloak import SimulatedKeycloak
from tenantry.sandbox.keycloak.builtin import new_realm
from tenantry.sandbox.kubernetes import SimulatedKubernetes
from tenantry.sandbox.realistic import Costs

HOST = "127.0.0.1"
SAVE_INTERVAL = 3.0  # seconds: the changes that a SIGKILL may lose
REALM = "platform"  # the realm for Harbor's logins, in addition to master
BLOBS = "blobs"  # the folder for content pushed to the registry
START_TIMEOUT = 10.0  # seconds that a server may take to start or stop


class System(Protocol):
    """The interface of a simulated system."""

    @property
    def app(self) -> ASGIApp:
        """The ASGI app."""
        ...

    def dump(self) -> dict[str, Any]:
        """Return the state as JSON values."""
        ...

    def load(self, state: dict[str, Any]) -> None:
        """Restore the state of an earlier dump."""
        ...


class Sandbox:
    """A context manager that serves the three systems.

    Args:
        state: The folder for the state of the systems. Without it, the state is kept in memory.
        ports: The ports of Harbor, Keycloak and Kubernetes; 0 selects a free port.
        clock: The clock of the systems.
        realistic: Delay Harbor's calls as measured on a real Harbor.

    Attributes:
        harbor, keycloak, kubernetes: The simulated systems, to inspect and change without requests.
        requests: The requests that they received.
        controls: Latency and faults.
        costs: The delays of Harbor's calls, if ``realistic``.
    """

    def __init__(
        self,
        state: Path | None = None,
        ports: tuple[int, int, int] = (0, 0, 0),
        clock: Clock | None = None,
        realistic: bool = False,
    ) -> None:
        self.clock = clock or Clock()
        self.requests = RequestCounter()
        self.harbor = SimulatedHarbor(self.clock)
        self.costs = Costs(self.harbor) if realistic else None
        self.keycloak = SimulatedKeycloak(self.clock)
        self.controls = Controls(self.requests, self.clock, self.keycloak, self.harbor)
        self.kubernetes = SimulatedKubernetes(self.clock)
        self._systems: dict[str, System] = {
            "harbor": self.harbor,
            "keycloak": self.keycloak,
            "kubernetes": self.kubernetes,
        }
        self._state = state
        self._ports = ports
        self._urls: dict[str, str] = {}
        self._saved: dict[str, str] = {}

    def addresses(self) -> dict[str, dict[str, str]]:
        """Return the URLs and credentials of the systems."""
        return {
            "harbor": {"url": self._urls["harbor"], "username": ADMIN, "password": ADMIN_PASSWORD},
            "keycloak": {"url": self._urls["keycloak"], "username": "admin", "password": "admin"},
            "kubernetes": {
                "kubeconfig": str(self._kubeconfig),
                "url": self._urls["kubernetes"],
                "ca": str(self._authority.certificate),
            },
            "controls": {"url": self._urls["controls"]},
        }

    def __enter__(self) -> Self:
        sockets = [_listen(port) for port in (*self._ports, 0)]
        for name, listening in zip((*self._systems, "controls"), sockets, strict=True):
            # kubectl sends a token only over TLS. The other clients need no TLS on one machine.
            scheme = "https" if name == "kubernetes" else "http"
            self._urls[name] = f"{scheme}://{HOST}:{listening.getsockname()[1]}"
        self.harbor.ext_endpoint = self._urls["harbor"]
        self.keycloak.url = self._urls["keycloak"]
        self.kubernetes.url = self._urls["kubernetes"]
        self.keycloak.realms[REALM] = new_realm(REALM, {"enabled": True})
        self.harbor.configuration["oidc_endpoint"] = f"{self._urls['keycloak']}/realms/{REALM}"
        self._load()
        self._authority = Authority(self._folder)
        self._write_kubeconfig()
        self._start(sockets)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.controls.release()
        for server in self._servers:
            server.should_exit = True
        self._thread.join(START_TIMEOUT)
        self._save()
        if self._state is None:
            shutil.rmtree(self._folder, ignore_errors=True)
        else:
            self._kubeconfig.unlink(missing_ok=True)
            self._authority.certificate.unlink(missing_ok=True)

    def _start(self, sockets: list[socket.socket]) -> None:
        apps = {
            name: self._middleware(name, system.app) for name, system in self._systems.items()
        } | {"controls": control_app(self.controls)}
        self._servers = [
            uvicorn.Server(
                uvicorn.Config(
                    app,
                    log_config=None,
                    access_log=False,
                    lifespan="off",
                    http=Connection,
                    ws="none",
                    server_header=False,
                    timeout_graceful_shutdown=1,
                    ssl_context_factory=self._tls if name == "kubernetes" else None,
                )
            )
            for name, app in apps.items()
        ]
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(sockets)), name="sandbox", daemon=True
        )
        ready = self._ready = threading.Event()
        self._thread.start()
        if not ready.wait(START_TIMEOUT):
            msg = f"The servers of the sandbox did not start within {START_TIMEOUT:.0f} seconds."
            raise RuntimeError(msg)

    def _tls(self, *_: object) -> ssl.SSLContext:
        """Return the TLS settings of the Kubernetes API, and delete its private key from disk."""
        pair = self._authority.server("kubernetes", hosts=["localhost"], addresses=[HOST])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        pair.certificate.unlink()
        pair.key.unlink()
        return context

    def _middleware(self, name: str, app: ASGIApp) -> ASGIApp:
        if name == "harbor":
            app = self.costs.wrap(app) if self.costs else app
            return self.controls.wrap(name, app, _harbor_template)
        return self.controls.wrap(name, app, lambda scope: template_of(scope["path"]))

    async def _serve(self, sockets: list[socket.socket]) -> None:
        saving = asyncio.create_task(self._save_regularly())
        serving = [
            asyncio.create_task(server.serve(sockets=[listening]))
            for server, listening in zip(self._servers, sockets, strict=True)
        ]
        while not all(server.started for server in self._servers):
            await asyncio.sleep(0.01)
        self._ready.set()
        await asyncio.gather(*serving)
        saving.cancel()

    async def _save_regularly(self) -> None:
        while self._state is not None:
            await asyncio.sleep(SAVE_INTERVAL)
            self._save()

    def _load(self) -> None:
        if self._state is None:
            self._folder = Path(tempfile.mkdtemp(prefix="tenantry-sandbox-"))
            self.harbor.blobs.folder = self._folder / BLOBS
            return
        self._folder = self._state
        self._folder.mkdir(parents=True, exist_ok=True)
        self.harbor.blobs.folder = self._folder / BLOBS
        for name, system in self._systems.items():
            with contextlib.suppress(FileNotFoundError):
                system.load(json.loads((self._folder / f"{name}.json").read_text()))

    def _save(self) -> None:
        if self._state is None:
            return
        for name, system in self._systems.items():
            text = json.dumps(system.dump())
            if text != self._saved.get(name):
                _write(self._folder / f"{name}.json", text)
                self._saved[name] = text

    @property
    def _kubeconfig(self) -> Path:
        return self._folder / "kubeconfig"

    def _write_kubeconfig(self) -> None:
        name = "sandbox"
        certificate = self._authority.certificate.read_bytes()
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": name,
                    "cluster": {
                        "server": self._urls["kubernetes"],
                        "certificate-authority-data": b64encode(certificate).decode(),
                    },
                }
            ],
            "users": [{"name": name, "user": {"token": self.kubernetes.token}}],
            "contexts": [
                {"name": name, "context": {"cluster": name, "user": name, "namespace": "default"}}
            ],
            "current-context": name,
        }
        _write(self._kubeconfig, json.dumps(content, indent=2))  # JSON is YAML


def serve(
    state: Path | None = None,
    ports: tuple[int, int, int] = (0, 0, 0),
    *,
    realistic: bool = False,
    print_env: bool = False,
) -> None:
    """Serve until SIGINT or SIGTERM, and print the addresses first.

    Args:
        state: the folder of the state; in memory if it is None.
        ports: the ports of Harbor, Keycloak and Kubernetes; free ones where they are 0.
        realistic: simulate the response times of a real Harbor.
        print_env: print the variables of the command line, as lines for a shell, instead of JSON in
            one line.
    """
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with Sandbox(state, ports, realistic=realistic) as sandbox:
        if print_env:
            print(_exports(sandbox.addresses()), flush=True)
        else:
            print(json.dumps(sandbox.addresses()), flush=True)
        stopped.wait()


def _exports(addresses: dict[str, dict[str, str]]) -> str:
    """Return the lines of a shell that connect the command line with the sandbox."""
    keys = {
        "harbor": ("url", "username", "password"),
        "keycloak": ("url", "username", "password"),
        "kubernetes": ("kubeconfig",),
    }
    return "\n".join(
        f"export TENANTRY_{system.upper()}_{key.upper()}={shlex.quote(addresses[system][key])}"
        for system, known in keys.items()
        for key in known
    )


def _harbor_template(scope: Scope) -> str:
    raw_path = scope["raw_path"].decode("latin-1").partition("?")[0]
    try:
        return routes.find(scope["method"], raw_path)[1]
    except Refusal:
        return template_of(scope["path"])


def _listen(port: int) -> socket.socket:
    # Name the protocol: asyncio disables Nagle's algorithm only for sockets that have one.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((HOST, port))
    listening.listen(1024)
    return listening


def _write(path: Path, text: str) -> None:
    """Write a file that only this user can read; readers get either the old or the new content."""
    new = path.with_name(f".{path.name}.new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    new.replace(path)
