"""Serves the simulated systems and the controls on four loopback ports, from one event loop.

What a system is to this frame: a class with ``app`` (an ASGI app), ``dump()`` (its state, as JSON
would have it) and ``load()`` (the same back). The systems know nothing of each other, of ports or
of files: that is settled here.
"""

import asyncio
import contextlib
import json
import os
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
from tenantry.sandbox.control_app import control_app
from tenantry.sandbox.controls import Connection, Controls
from tenantry.sandbox.counting import RequestCounter, template_of
from tenantry.sandbox.harbor import ADMIN, ADMIN_PASSWORD, SimulatedHarbor
from tenantry.sandbox.harbor.routing import routes
from tenantry.sandbox.harbor.wire import Refusal
from tenantry.sandbox.keycloak import SimulatedKeycloak
from tenantry.sandbox.keycloak.builtin import new_realm
from tenantry.sandbox.kubernetes import SimulatedKubernetes
from tenantry.sandbox.realistic import Costs

HOST = "127.0.0.1"
SAVING_EVERY = 3.0  # seconds: what a SIGKILL may cost
REALM = "platform"  # the one realm beside master: the one that Harbor's logins go to
BLOBS = "blobs"  # the folder next to the systems' state that holds pushed content
LOST_AFTER = 10.0  # seconds until a server that doesn't start or stop is given up


class System(Protocol):
    """What the frame asks of a simulated system."""

    @property
    def app(self) -> ASGIApp:
        """The ASGI app."""
        ...

    def dump(self) -> dict[str, Any]:
        """The state, fit for JSON."""
        ...

    def load(self, state: dict[str, Any]) -> None:
        """Take the state of an earlier dump for one's own."""
        ...


class Sandbox:
    """The three systems, served while the context lasts.

    Args:
        state: The folder that keeps the systems' state from one run to the next. In memory
            without it.
        ports: The ports of Harbor, Keycloak and Kubernetes; 0 takes any free one.
        clock: The time that the systems live in.
        realistic: Let Harbor's calls cost what they cost on a real one.

    Attributes:
        harbor, keycloak, kubernetes: The simulated systems, to look into and to meddle with.
        requests: What was asked of them.
        controls: Latency and faults.
        costs: What Harbor's calls cost, if that is realistic.
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
        """Where the systems are and how to get in."""
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
        sockets = [_listening(port) for port in (*self._ports, 0)]
        for name, listening in zip((*self._systems, "controls"), sockets, strict=True):
            # kubectl sends no token without TLS. The other clients need none on one machine.
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
        self._thread.join(LOST_AFTER)
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
        if not ready.wait(LOST_AFTER):
            msg = "The sandbox's servers didn't start."
            raise RuntimeError(msg)

    def _tls(self, *_: object) -> ssl.SSLContext:
        """Return the TLS settings of the Kubernetes API, whose private key does not stay on disk."""
        pair = self._authority.server("kubernetes", hosts=["localhost"], addresses=[HOST])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        pair.certificate.unlink()
        pair.key.unlink()
        return context

    def _middleware(self, name: str, app: ASGIApp) -> ASGIApp:
        if name == "harbor":
            app = self.costs.around(app) if self.costs else app
            return self.controls.around(name, app, _harbor_template)
        return self.controls.around(name, app, lambda scope: template_of(scope["path"]))

    async def _serve(self, sockets: list[socket.socket]) -> None:
        saving = asyncio.create_task(self._save_now_and_then())
        serving = [
            asyncio.create_task(server.serve(sockets=[listening]))
            for server, listening in zip(self._servers, sockets, strict=True)
        ]
        while not all(server.started for server in self._servers):
            await asyncio.sleep(0.01)
        self._ready.set()
        await asyncio.gather(*serving)
        saving.cancel()

    async def _save_now_and_then(self) -> None:
        while self._state is not None:
            await asyncio.sleep(SAVING_EVERY)
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
    state: Path | None = None, ports: tuple[int, int, int] = (0, 0, 0), realistic: bool = False
) -> None:
    """Serve until SIGINT or SIGTERM. The first line of stdout is the addresses, as JSON."""
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with Sandbox(state, ports, realistic=realistic) as sandbox:
        print(json.dumps(sandbox.addresses()), flush=True)
        stopped.wait()


def _harbor_template(scope: Scope) -> str:
    raw_path = scope["raw_path"].decode("latin-1").partition("?")[0]
    try:
        return routes.find(scope["method"], raw_path)[1]
    except Refusal:
        return template_of(scope["path"])


def _listening(port: int) -> socket.socket:
    # The protocol is named because asyncio turns Nagle's delay off only where it is.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((HOST, port))
    listening.listen(1024)
    return listening


def _write(path: Path, text: str) -> None:
    """Write so that a reader finds the old content or the new, and only this user may look."""
    beside = path.with_name(f".{path.name}.new")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    beside.replace(path)
