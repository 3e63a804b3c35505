"""What the benchmarks share: a sandbox in its own process, measurements, and the floor of a run."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import httpx

from benchmarks.floor import Floor, Recording
from tenantry.connections import Cluster, Connections, HarborAccount, KeycloakAccount


class Timer:
    """Measures seconds, and CPU seconds of this process, while the context lasts."""

    def __enter__(self) -> Self:
        self._began = time.monotonic(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self._began[0]
        self.cpu = time.process_time() - self._began[1]


@dataclass
class Measured:
    """The measurements of one run.

    Attributes:
        seconds: from the call that starts it to its end.
        running: of these, seconds in which the flow ran; the rest is Prefect starting it.
        requests: to the four systems.
        cpu: CPU seconds of all processes but the sandbox: they are more precise than seconds if all
            share two cores.
        memory: the peak memory of the process, in MiB.
        note: what else there is to know, such as why the run failed.
    """

    seconds: float
    requests: int
    cpu: float
    running: float | None = None
    memory: float | None = None
    note: str = ""


@contextmanager
def sandbox(latency: float) -> Iterator[dict[str, Any]]:
    """Start a realistic sandbox in its own process, and return its addresses."""
    command = [sys.executable, "-m", "tenantry.cli", "sandbox", "--realistic"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        addresses: dict[str, Any] = json.loads(process.stdout.readline())
        controls = addresses["controls"]["url"]
        httpx.put(f"{controls}/latency", json={"seconds": latency}).raise_for_status()
        try:
            yield addresses
        finally:
            process.terminate()


def count(addresses: dict[str, Any]) -> int:
    """Return the number of requests since the last call."""
    url = f"{addresses['controls']['url']}/requests"
    total = httpx.get(url).raise_for_status().json()["total"]
    httpx.delete(url).raise_for_status()
    return int(total)


def connections(addresses: dict[str, Any]) -> Connections:
    """Return the connections to a sandbox."""
    return Connections(
        harbor=HarborAccount.model_validate(addresses["harbor"]),
        keycloak=KeycloakAccount.model_validate(addresses["keycloak"]),
        kubernetes=Cluster.model_validate(addresses["kubernetes"]),
    )


class Recorded(NamedTuple):
    """A recording, and the system at each address."""

    recording: Recording
    origins: dict[str, str]


def origins(addresses: dict[str, Any]) -> dict[str, str]:
    """Return the system at each address."""
    systems = ("harbor", "keycloak", "kubernetes")
    return {addresses[system]["url"].rstrip("/"): system for system in systems}


def floors(recordings: list[Recorded], latency: float) -> list[Measured]:
    """Repeat the requests of runs, one run after the other, on a new sandbox; return the measurements."""
    measured = []
    with sandbox(latency) as addresses:
        cluster = json.loads(Path(addresses["kubernetes"]["kubeconfig"]).read_text())
        token = cluster["users"][0]["user"]["token"]
        with Floor(recordings[0].origins, addresses, token) as floor:
            for recording, _ in recordings:
                count(addresses)
                floor.differing.clear()
                with Timer() as timer:
                    seconds = floor.seconds(recording)
                others = ", ".join(f"{n} of {what}" for what, n in floor.differing.items())
                measured.append(Measured(seconds, count(addresses), timer.cpu, note=others))
    return measured
